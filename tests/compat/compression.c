/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Compression: what was written reads back, and how its calls answer. */

#include "compat-case.h"

struct codec {
	const char *name;
	struct ostream *(*output)(struct ostream *output, int level);
	struct istream *(*input)(struct istream *input);
	int level;
};

static struct istream *gz_input(struct istream *input)
{
	return i_stream_create_gz(input);
}

static struct istream *zstd_input(struct istream *input)
{
	return i_stream_create_zstd(input);
}

static const struct codec gz = { "gz", o_stream_create_gz, gz_input, 6 };
static const struct codec zstd = { "zstd", o_stream_create_zstd, zstd_input,
				   3 };

static void read_back(const struct codec *codec)
{
	struct istream *data = i_stream_create_file("f", BLOCK);
	struct istream *s = codec->input(data);

	say_rest(codec->name, s);
	i_stream_seek(s, 3);
	say_rest("from 3", s);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static void whole_life(const struct codec *codec)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *s = codec->output(end, codec->level);
	char *text = make_text(200000);

	CALL(o_stream_send_str(s, "hello"));
	NUM(s->offset);
	o_stream_nsend(s, text, 200000);
	NUM(s->offset);
	NUM(o_stream_finish(s));
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	read_back(codec);
	free(text);
}

static void gz_whole_life(void)
{
	whole_life(&gz);
}

static void zstd_whole_life(void)
{
	whole_life(&zstd);
}

static void an_empty_one(const struct codec *codec)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *s = codec->output(end, codec->level);

	NUM(o_stream_finish(s));
	NUM(end->offset > 0);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	read_back(codec);
}

static void gz_empty(void)
{
	an_empty_one(&gz);
}

static void zstd_empty(void)
{
	an_empty_one(&zstd);
}

static void flushed_can_be_read(const struct codec *codec)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *s = codec->output(end, codec->level);
	struct istream *data, *input;

	CALL(o_stream_send_str(s, "hello"));
	NUM(o_stream_flush(s));
	data = i_stream_create_file("f", BLOCK);
	input = codec->input(data);
	NUM(i_stream_read(input));
	say_data("flushed", input);
	NUM(i_stream_read(input));
	say("errno %s, eof %d", errno_name(input->stream_errno), input->eof);
	i_stream_destroy(&input);
	i_stream_destroy(&data);
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

static void gz_flushed(void)
{
	flushed_can_be_read(&gz);
}

static void zstd_flushed(void)
{
	flushed_can_be_read(&zstd);
}

static void two_members(void)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0), *s;

	o_stream_set_finish_via_child(end, false);
	for (int i = 0; i < 2; i++) {
		s = o_stream_create_gz(end, 6);
		o_stream_nsend_str(s, i == 0 ? "one, " : "two");
		NUM(o_stream_finish(s));
		o_stream_destroy(&s);
	}
	o_stream_destroy(&end);
	read_back(&gz);
}

static void not_compressed(const struct codec *codec)
{
	struct istream *data =
		i_stream_create_from_data("plain text, no gz", 17);
	struct istream *s = codec->input(data);

	NUM(i_stream_read(s));
	say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static void gz_of_plain_text(void)
{
	not_compressed(&gz);
}

static void zstd_of_plain_text(void)
{
	not_compressed(&zstd);
}

static void gz_trickling(void)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *s = o_stream_create_gz(end, 6);
	struct istream *pipe_input, *input;
	ssize_t ret = 0;
	int fds[2], fd;
	char byte;

	o_stream_nsend_str(s, "hello, trickling world");
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	make_pipe(fds);
	pipe_input = i_stream_create_fd(fds[0], BLOCK);
	input = i_stream_create_gz(pipe_input);
	fd = open("f", O_RDONLY);
	while (ret >= 0 && read(fd, &byte, 1) == 1) {
		if (write(fds[1], &byte, 1) != 1)
			exit(3);
		ret = i_stream_read(input);
	}
	close(fd);
	close(fds[1]);
	say_data("all", input);
	NUM(i_stream_read(input));
	say_istream("end", input);
	i_stream_destroy(&input);
	i_stream_destroy(&pipe_input);
}

static void gz_not_finished(void)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *s = o_stream_create_gz(end, 6);

	o_stream_set_name(end, "the end");
	CALL(o_stream_send_str(s, "hello"));
	o_stream_destroy(&s);
	say("destroyed");
}

static void gz_aborted(void)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *s = o_stream_create_gz(end, 6);

	CALL(o_stream_send_str(s, "hello"));
	o_stream_abort(s);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	say("destroyed");
}

static void gz_of_a_failing_parent(void)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *middle = o_stream_create_failure_at(end, 5, "at five");
	struct ostream *s = o_stream_create_gz(middle, 6);

	o_stream_nsend_str(s, "hello");
	CALL(o_stream_finish(s));
	say("errno %s, error %s", errno_name(s->stream_errno),
	    o_stream_get_error(s));
	o_stream_destroy(&s);
	o_stream_destroy(&middle);
	o_stream_destroy(&end);
}

const struct compat_case compat_compression[] = {
	{ "compression gz", gz_whole_life },
	{ "compression zstd", zstd_whole_life },
	{ "compression gz empty", gz_empty },
	{ "compression zstd empty", zstd_empty },
	{ "compression gz flushed", gz_flushed },
	{ "compression zstd flushed", zstd_flushed },
	{ "compression gz two members", two_members },
	{ "compression gz of plain text", gz_of_plain_text },
	{ "compression zstd of plain text", zstd_of_plain_text },
	{ "compression gz trickling", gz_trickling },
	{ "compression gz not finished", gz_not_finished },
	{ "compression gz aborted", gz_aborted },
	{ "compression gz of a failing parent", gz_of_a_failing_parent },
	{ NULL, NULL }
};
