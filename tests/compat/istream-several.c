/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several readers of one input (tee), the one of several that fits (try), and
   inputs one after the other (chain). */

#include "compat-case.h"

static struct istream *data_stream(const char *text)
{
	return i_stream_create_from_data(text, strlen(text));
}

/*
 * tee
 */

static void tee_all(void)
{
	struct istream *data = data_stream("hello"), *a, *b;
	struct tee_istream *t = tee_i_stream_create(data);

	a = tee_i_stream_create_child(t);
	b = tee_i_stream_create_child(t);
	i_stream_unref(&data);
	NUM(i_stream_read(a));
	say_data("a", a);
	i_stream_skip(a, 2);
	say_rest("a", a);
	NUM(tee_i_stream_child_is_waiting(a));
	say_rest("b", b);
	i_stream_destroy(&a);
	i_stream_destroy(&b);
}

/* What the input has room for is what the fastest is ahead of the slowest. */
static void tee_waits(void)
{
	struct istream *pipe_input, *a, *b;
	struct tee_istream *t;
	int fds[2];

	make_pipe(fds);
	pipe_input = i_stream_create_fd(fds[0], 4);
	t = tee_i_stream_create(pipe_input);
	a = tee_i_stream_create_child(t);
	b = tee_i_stream_create_child(t);
	i_stream_unref(&pipe_input);
	NUM(i_stream_read(a));
	NUM(tee_i_stream_child_is_waiting(a));
	NUM(write(fds[1], "hello, world", 12));
	NUM(i_stream_read(a));
	say_data("a", a);
	i_stream_skip(a, 4);
	NUM(i_stream_read(a));
	NUM(tee_i_stream_child_is_waiting(a));
	say_data("b", b);
	NUM(i_stream_read(b));
	say_data("b", b);
	i_stream_skip(b, 3);
	NUM(i_stream_read(a));
	NUM(tee_i_stream_child_is_waiting(a));
	say_data("a", a);
	i_stream_skip(b, 1);
	NUM(i_stream_read(b));
	say_data("b", b);
	close(fds[1]);
	i_stream_destroy(&b);
	say_rest("a alone", a);
	i_stream_destroy(&a);
}

static void tee_late_child(void)
{
	struct istream *data = data_stream("hello"), *a, *b;
	struct tee_istream *t = tee_i_stream_create(data);

	a = tee_i_stream_create_child(t);
	NUM(i_stream_read(a));
	i_stream_skip(a, 2);
	b = tee_i_stream_create_child(t);
	say_rest("a", a);
	say_rest("b", b);
	i_stream_destroy(&a);
	i_stream_destroy(&b);
	i_stream_destroy(&data);
}

static void tee_fails(void)
{
	struct istream *data = data_stream("hello"), *input, *a, *b;
	struct tee_istream *t;

	input = i_stream_create_failure_at(data, 3, EIO, "at three");
	t = tee_i_stream_create(input);
	a = tee_i_stream_create_child(t);
	b = tee_i_stream_create_child(t);
	i_stream_unref(&input);
	say_rest("a", a);
	say_rest("b", b);
	STR(i_stream_get_error(b));
	i_stream_destroy(&a);
	i_stream_destroy(&b);
	i_stream_destroy(&data);
}

static void tee_of_an_error(void)
{
	struct istream *input = i_stream_create_error(EIO), *a, *b;
	struct tee_istream *t = tee_i_stream_create(input);

	a = tee_i_stream_create_child(t);
	b = tee_i_stream_create_child(t);
	i_stream_unref(&input);
	say_rest("a", a);
	say_rest("b", b);
	i_stream_destroy(&a);
	i_stream_destroy(&b);
}

static void tee_lines(void)
{
	struct istream *data = data_stream("one\ntwo\r\nthree"), *a, *b;
	struct tee_istream *t = tee_i_stream_create(data);

	a = tee_i_stream_create_child(t);
	b = tee_i_stream_create_child(t);
	i_stream_unref(&data);
	STR(i_stream_read_next_line(a));
	STR(i_stream_read_next_line(a));
	STR(i_stream_read_next_line(b));
	say_rest("a", a);
	STR(i_stream_read_next_line(b));
	STR(i_stream_read_next_line(b));
	i_stream_destroy(&a);
	say_rest("b", b);
	i_stream_destroy(&b);
}

static void tee_pipe(void)
{
	struct istream *pipe_input, *children[3];
	struct tee_istream *t;
	int fds[2];

	make_pipe(fds);
	pipe_input = i_stream_create_fd(fds[0], BLOCK);
	t = tee_i_stream_create(pipe_input);
	for (int i = 0; i < 3; i++)
		children[i] = tee_i_stream_create_child(t);
	i_stream_unref(&pipe_input);
	NUM(write(fds[1], "ab", 2));
	for (int i = 0; i < 3; i++)
		NUM(i_stream_read(children[i]));
	i_stream_skip(children[0], 1);
	i_stream_skip(children[1], 2);
	NUM(write(fds[1], "cd", 2));
	for (int i = 0; i < 3; i++) {
		NUM(i_stream_read(children[i]));
		say_data("child", children[i]);
	}
	close(fds[1]);
	for (int i = 0; i < 3; i++)
		say_rest("child", children[i]);
	for (int i = 0; i < 3; i++)
		i_stream_destroy(&children[i]);
}

/*
 * try
 */

/* A file with this text. */
static struct istream *file_stream(const char *path, const char *text)
{
	write_file(path, text);
	return i_stream_create_file(path, BLOCK);
}

/* The first `count` fail with these errnos, where not 0. */
static void try_row(const int errnos[], int count)
{
	struct istream *inputs[4], *s;
	char text[] = "input 0";

	for (int i = 0; i < count; i++) {
		text[6] = (char)('0' + i);
		inputs[i] = errnos[i] == 0 ? file_stream(text, text) :
					     i_stream_create_error(errnos[i]);
		say("input %d: %s", i, errno_name(errnos[i]));
	}
	inputs[count] = NULL;
	s = istream_try_create(inputs, 1024);
	for (int i = 0; i < count; i++)
		i_stream_unref(&inputs[i]);
	say_rest("try", s);
	i_stream_destroy(&s);
}

static void try_errors(void)
{
	static const int rows[][3] = {
		{ 0, 0, 0 },           { EINVAL, 0, 0 },
		{ EINVAL, EINVAL, 0 }, { EINVAL, EINVAL, EINVAL },
		{ EINVAL, EIO, 0 },    { EPIPE, 0, 0 },
		{ EINVAL, 0, EIO }
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		try_row(rows[i], 3);
	try_row(rows[0], 1);
	try_row(rows[3], 1);
}

/* Input that is buffered from the beginning. */
static void try_data(void)
{
	struct istream *inputs[2] = { data_stream("hello"), NULL };
	struct istream *s = istream_try_create(inputs, 1024);

	i_stream_unref(&inputs[0]);
	say_rest("try", s);
	i_stream_destroy(&s);
}

/* It is chosen by its first byte: what fails later does so for good. */
static void try_late_failure(void)
{
	struct istream *data = data_stream("hello"), *inputs[3], *s;

	inputs[0] = i_stream_create_failure_at(data, 3, EINVAL, "at three");
	inputs[1] = data_stream("second");
	inputs[2] = NULL;
	s = istream_try_create(inputs, 1024);
	i_stream_unref(&inputs[0]);
	i_stream_unref(&inputs[1]);
	say_rest("try", s);
	STR(i_stream_get_error(s));
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static void try_decoders(void)
{
	static const char *const rows[] = { "aGVsbG8=", "*plain*", "" };
	struct istream *data, *inputs[3], *children[2], *s;
	struct tee_istream *t;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		say("text %s", shown_str(rows[i]));
		data = data_stream(rows[i]);
		t = tee_i_stream_create(data);
		i_stream_unref(&data);
		children[0] = tee_i_stream_create_child(t);
		children[1] = tee_i_stream_create_child(t);
		inputs[0] = i_stream_create_base64_decoder(children[0]);
		inputs[1] = children[1];
		inputs[2] = NULL;
		s = istream_try_create(inputs, 1024);
		i_stream_unref(&inputs[0]);
		i_stream_unref(&children[0]);
		i_stream_unref(&children[1]);
		say_rest("try", s);
		i_stream_destroy(&s);
	}
}

/*
 * chain
 */

static void append(struct istream_chain *chain, const char *text)
{
	struct istream *data = data_stream(text);

	i_stream_chain_append(chain, data);
	i_stream_unref(&data);
}

static void chain(void)
{
	struct istream_chain *c;
	struct istream *s = i_stream_create_chain(&c, 1024);

	NUM(i_stream_read(s));
	append(c, "hel");
	NUM(i_stream_read(s));
	say_data("one", s);
	append(c, "lo, ");
	append(c, "");
	append(c, "world");
	say_rest("what there is", s);
	NUM(i_stream_read(s));
	append(c, "!");
	i_stream_chain_append_eof(c);
	say_rest("the end", s);
	i_stream_destroy(&s);
}

static void chain_empty(void)
{
	struct istream_chain *c;
	struct istream *s = i_stream_create_chain(&c, 1024);

	i_stream_chain_append_eof(c);
	say_rest("empty", s);
	i_stream_destroy(&s);
}

static void chain_fails(void)
{
	struct istream_chain *c;
	struct istream *s = i_stream_create_chain(&c, 1024), *failing;

	append(c, "hello");
	failing = i_stream_create_error(EIO);
	i_stream_chain_append(c, failing);
	i_stream_unref(&failing);
	append(c, "more");
	i_stream_chain_append_eof(c);
	say_rest("chain", s);
	i_stream_destroy(&s);
}

static void chain_lines(void)
{
	struct istream_chain *c;
	struct istream *s = i_stream_create_chain(&c, 1024);

	append(c, "on");
	append(c, "e\ntw");
	STR(i_stream_read_next_line(s));
	STR(i_stream_read_next_line(s));
	append(c, "o\n");
	STR(i_stream_read_next_line(s));
	i_stream_chain_append_eof(c);
	STR(i_stream_read_next_line(s));
	say_istream("end", s);
	i_stream_destroy(&s);
}

static void chain_of_a_pipe(void)
{
	struct istream_chain *c;
	struct istream *s = i_stream_create_chain(&c, 1024), *pipe_input;
	int fds[2];

	make_pipe(fds);
	pipe_input = i_stream_create_fd(fds[0], BLOCK);
	i_stream_chain_append(c, pipe_input);
	i_stream_unref(&pipe_input);
	append(c, " and more");
	i_stream_chain_append_eof(c);
	NUM(i_stream_read(s));
	NUM(write(fds[1], "hello", 5));
	NUM(i_stream_read(s));
	say_data("hello", s);
	NUM(i_stream_read(s));
	close(fds[1]);
	say_rest("rest", s);
	i_stream_destroy(&s);
}

const struct compat_case compat_istream_several[] = {
	{ "istream-several tee", tee_all },
	{ "istream-several tee waits", tee_waits },
	{ "istream-several tee late child", tee_late_child },
	{ "istream-several tee fails", tee_fails },
	{ "istream-several tee of an error", tee_of_an_error },
	{ "istream-several tee lines", tee_lines },
	{ "istream-several tee of a pipe", tee_pipe },
	{ "istream-several try", try_errors },
	{ "istream-several try data", try_data },
	{ "istream-several try fails late", try_late_failure },
	{ "istream-several try decoders", try_decoders },
	{ "istream-several chain", chain },
	{ "istream-several chain, empty", chain_empty },
	{ "istream-several chain fails", chain_fails },
	{ "istream-several chain lines", chain_lines },
	{ "istream-several chain of a pipe", chain_of_a_pipe },
	{ NULL, NULL }
};
