/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input that has to come in time. No case looks at how long that took. */

#include "compat-case.h"

static struct ioloop *loop;
static struct istream *input, *s;
static int fds[2];

static void begin(unsigned int msecs)
{
	loop = io_loop_create();
	make_pipe(fds);
	input = i_stream_create_fd(fds[0], BLOCK);
	s = i_stream_create_timeout(input, msecs);
}

static void end(void)
{
	i_stream_destroy(&s);
	i_stream_destroy(&input);
	io_loop_destroy(&loop);
}

static void feed(const char *text)
{
	if (write(fds[1], text, strlen(text)) < 0)
		exit(3);
}

static void on_input(void *context)
{
	(void)context;
	/* a call before its time tells nothing */
	if (i_stream_read(s) == 0)
		return;
	say_data("called", s);
	say_istream("called", s);
	io_loop_stop(loop);
}

static void stop(void *context)
{
	(void)context;
	io_loop_stop(loop);
}

static void nothing_comes(void)
{
	struct io *io;

	begin(10);
	io = io_add_istream(s, on_input, (void *)NULL);
	NUM(i_stream_read(s));
	io_loop_run(loop);
	NUM(i_stream_read(s));
	io_remove(&io);
	end();
}

static void stops_coming(void)
{
	struct io *io;

	begin(10);
	feed("hello");
	NUM(i_stream_read(s));
	say_data("read", s);
	i_stream_skip(s, 2);
	NUM(i_stream_read(s));
	io = io_add_istream(s, on_input, (void *)NULL);
	io_loop_run(loop);
	io_remove(&io);
	end();
}

static void ends_in_time(void)
{
	begin(600000);
	feed("hello");
	NUM(i_stream_read(s));
	NUM(i_stream_read(s));
	close(fds[1]);
	say_rest("rest", s);
	end();
}

/* Long enough for one of 10 milliseconds. */
static void no_timeout(void)
{
	struct timeout *timeout;
	struct io *io;

	begin(0);
	NUM(i_stream_read(s));
	io = io_add_istream(s, on_input, (void *)NULL);
	timeout = timeout_add_short(50, stop, (void *)NULL);
	io_loop_run(loop);
	timeout_remove(&timeout);
	io_remove(&io);
	say_istream("still there", s);
	feed("hello");
	close(fds[1]);
	say_rest("rest", s);
	end();
}

static void of_data(void)
{
	struct istream *data = i_stream_create_from_data("hello", 5);

	loop = io_loop_create();
	s = i_stream_create_timeout(data, 10);
	NUM(i_stream_read(s));
	i_stream_skip(s, 3);
	i_stream_seek(s, 1);
	say_rest("rest", s);
	i_stream_destroy(&s);
	NUM(data->v_offset);
	i_stream_destroy(&data);
	io_loop_destroy(&loop);
}

const struct compat_case compat_istream_timeout[] = {
	{ "istream-timeout nothing comes", nothing_comes },
	{ "istream-timeout stops coming", stops_coming },
	{ "istream-timeout ends in time", ends_in_time },
	{ "istream-timeout none", no_timeout },
	{ "istream-timeout of data", of_data },
	{ NULL, NULL }
};
