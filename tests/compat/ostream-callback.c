/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Flush callbacks. */

#include "compat-case.h"

static struct ioloop *loop;
static struct ostream *stream;
static int fds[2], calls, until;

static void begin(size_t room)
{
	loop = io_loop_create();
	make_pipe(fds);
	fill_pipe(fds, room);
	stream = o_stream_create_fd(fds[1], 100);
	o_stream_set_name(stream, "pipe");
}

static void end(void)
{
	o_stream_destroy(&stream);
	io_loop_destroy(&loop);
}

static int call_again(void *context)
{
	(void)context;
	calls++;
	say("call %d, corked %d", calls, o_stream_is_corked(stream));
	if (calls < until)
		return 0;
	io_loop_stop(loop);
	return 1;
}

static void an_empty_buffer(void)
{
	begin(4096);
	until = 3;
	o_stream_set_flush_callback(stream, call_again, (void *)NULL);
	o_stream_set_flush_pending(stream, true);
	io_loop_run(loop);
	NUM(calls);
	NUM(o_stream_is_corked(stream));
	end();
}

static int flush_it(void *context)
{
	int ret;

	(void)context;
	ret = o_stream_flush(stream);
	say("flush = %d, used %zu", ret, o_stream_get_buffer_used_size(stream));
	return ret;
}

static void on_readable(void *context)
{
	const char *text = drained(fds);

	(void)context;
	if (strcmp(text, "\"\"") == 0)
		return;
	say("read %s", text);
	if (o_stream_get_buffer_used_size(stream) == 0)
		io_loop_stop(loop);
}

static void buffered_bytes(void)
{
	struct io *io;

	begin(0);
	CALL(o_stream_send_str(stream, "abc"));
	o_stream_set_flush_callback(stream, flush_it, (void *)NULL);
	io = io_add(fds[0], IO_READ, on_readable, (void *)NULL);
	io_loop_run(loop);
	io_remove(&io);
	SHOWN(drained(fds));
	end();
}

static int destroy_it(void *context)
{
	(void)context;
	say("destroying");
	o_stream_destroy(&stream);
	io_loop_stop(loop);
	return 1;
}

static void destroyed_inside(void)
{
	begin(4096);
	o_stream_set_flush_callback(stream, destroy_it, (void *)NULL);
	o_stream_set_flush_pending(stream, true);
	io_loop_run(loop);
	NUM(stream == NULL);
	end();
}

static int replace_it(void *context)
{
	(void)context;
	say("replacing");
	until = 2;
	o_stream_set_flush_callback(stream, call_again, (void *)NULL);
	return 0;
}

static void replaced_inside(void)
{
	begin(4096);
	o_stream_set_flush_callback(stream, replace_it, (void *)NULL);
	o_stream_set_flush_pending(stream, true);
	io_loop_run(loop);
	NUM(calls);
	end();
}

static int ask_again(void *context)
{
	(void)context;
	calls++;
	say("call %d", calls);
	if (calls < 3)
		o_stream_set_flush_pending(stream, true);
	else
		io_loop_stop(loop);
	return 1;
}

static void asked_for_inside(void)
{
	begin(4096);
	o_stream_set_flush_callback(stream, ask_again, (void *)NULL);
	o_stream_set_flush_pending(stream, true);
	io_loop_run(loop);
	NUM(calls);
	end();
}

static int fill_and_stop(void *context)
{
	char *text = make_text(5000);

	(void)context;
	calls++;
	CALL(o_stream_send(stream, text, 4090));
	CALL(o_stream_send(stream, text, 10));
	say("used %zu", o_stream_get_buffer_used_size(stream));
	free(text);
	io_loop_stop(loop);
	return 1;
}

static void sends_inside_are_corked(void)
{
	begin(4096);
	o_stream_set_flush_callback(stream, fill_and_stop, (void *)NULL);
	o_stream_set_flush_pending(stream, true);
	io_loop_run(loop);
	NUM(calls);
	say("used %zu", o_stream_get_buffer_used_size(stream));
	SHOWN(drained(fds));
	NUM(o_stream_flush(stream));
	SHOWN(drained(fds));
	end();
}

static void set_on_a_filter(void)
{
	struct ostream *filter;

	begin(4096);
	filter = o_stream_create_failure_at(stream, 100, "no");
	until = 2;
	o_stream_set_flush_callback(filter, call_again, (void *)NULL);
	o_stream_set_flush_pending(filter, true);
	io_loop_run(loop);
	NUM(calls);
	o_stream_destroy(&filter);
	end();
}

static void unset(void)
{
	struct io *io;

	begin(0);
	o_stream_set_flush_callback(stream, call_again, (void *)NULL);
	o_stream_unset_flush_callback(stream);
	CALL(o_stream_send_str(stream, "abc"));
	io = io_add(fds[0], IO_READ, on_readable, (void *)NULL);
	io_loop_run(loop);
	io_remove(&io);
	NUM(calls);
	NUM(o_stream_get_buffer_used_size(stream));
	end();
}

const struct compat_case compat_ostream_callback[] = {
	{ "ostream-callback empty buffer", an_empty_buffer },
	{ "ostream-callback buffered bytes", buffered_bytes },
	{ "ostream-callback destroyed inside", destroyed_inside },
	{ "ostream-callback replaced inside", replaced_inside },
	{ "ostream-callback asked for inside", asked_for_inside },
	{ "ostream-callback sends inside", sends_inside_are_corked },
	{ "ostream-callback on a filter", set_on_a_filter },
	{ "ostream-callback unset", unset },
	{ NULL, NULL }
};
