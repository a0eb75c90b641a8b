/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several inputs as one that can be seeked, in memory and in a file. */

#include "compat-case.h"

static int files;

static int open_file(const char **path_r, void *context)
{
	int fd = open("file", O_RDWR | O_CREAT | O_EXCL, 0600);

	if (context != NULL)
		say("the callback: context %s", shown_str(context));
	*path_r = "file";
	files++;
	if (fd >= 0)
		unlink("file");
	return fd;
}

static int open_nothing(const char **path_r, void *context)
{
	(void)context;
	say("the callback");
	*path_r = "none/file";
	errno = ENOENT;
	return -1;
}

static struct istream *data_stream(const char *text)
{
	return i_stream_create_from_data(text, strlen(text));
}

static void say_size(struct istream *s, bool exact)
{
	uoff_t size = 99;

	say("get_size(%s) = %d", exact ? "exact" : "",
	    i_stream_get_size(s, exact, &size));
	say("size = %llu", (unsigned long long)size);
}

static void from(struct istream *s, uoff_t offset)
{
	i_stream_seek(s, offset);
	say("from %llu", (unsigned long long)offset);
	say_rest("read", s);
}

static void merge(void)
{
	struct istream *inputs[] = { data_stream("hello"), data_stream(", "),
				     data_stream("world"), NULL };
	struct istream *s = i_streams_merge(inputs, BLOCK, open_file, "c");

	for (int i = 0; i < 3; i++)
		i_stream_unref(&inputs[i]);
	NUM(s->seekable);
	NUM(i_stream_read(s));
	say_data("the first", s);
	NUM(i_stream_read(s));
	say_data("the second", s);
	i_stream_skip(s, 3);
	NUM(s->v_offset);
	from(s, 1);
	from(s, 0);
	from(s, 6);
	from(s, 12);
	say_size(s, true);
	NUM(files);
	i_stream_destroy(&s);
}

static void sizes(void)
{
	struct istream *inputs[] = { data_stream("hello"), data_stream("world"),
				     NULL };
	struct istream *s = i_streams_merge(inputs, BLOCK, open_file, NULL);

	for (int i = 0; i < 2; i++)
		i_stream_unref(&inputs[i]);
	say_size(s, true);
	say_istream("asked", s);
	say_rest("all", s);
	say_size(s, false);
	i_stream_destroy(&s);
}

static void in_a_file(void)
{
	char *text = make_text(9000);
	struct istream *inputs[] = {
		i_stream_create_from_data(text, 3000),
		i_stream_create_from_data(text + 3000, 3000),
		i_stream_create_from_data(text + 6000, 3000), NULL
	};
	struct istream *s = i_streams_merge(inputs, 2000, open_file, "c");
	const unsigned char *data;
	size_t size;

	for (int i = 0; i < 3; i++)
		i_stream_unref(&inputs[i]);
	NUM(files);
	say_rest("all", s);
	NUM(files);
	from(s, 0);
	from(s, 2500);
	from(s, 8999);
	from(s, 9000);
	i_stream_seek(s, 5990);
	NUM(i_stream_read_bytes(s, &data, &size, 20));
	SHOWN(shown(data, 20));
	say_size(s, true);
	NUM(files);
	i_stream_destroy(&s);
	free(text);
}

/* To and fro, while not all of it was read yet. */
static void to_and_fro(void)
{
	char *text = make_text(9000);
	struct istream *inputs[] = {
		i_stream_create_from_data(text, 4000),
		i_stream_create_from_data(text + 4000, 5000), NULL
	};
	struct istream *s = i_streams_merge(inputs, 1000, open_file, NULL);
	static const uoff_t places[] = { 100, 3990, 5,    4500, 8000,
					 0,   8990, 3000, 8000 };
	const unsigned char *data;
	size_t size;

	for (int i = 0; i < 2; i++)
		i_stream_unref(&inputs[i]);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		i_stream_seek(s, places[i]);
		say("at %llu: %d", (unsigned long long)places[i],
		    i_stream_read_bytes(s, &data, &size, 10));
		SHOWN(shown(data, 10));
		NUM(s->v_offset);
	}
	NUM(files);
	i_stream_destroy(&s);
	free(text);
}

static void no_file(void)
{
	char *text = make_text(3000);
	struct istream *inputs[] = {
		i_stream_create_from_data(text, 1000),
		i_stream_create_from_data(text + 1000, 1000),
		i_stream_create_from_data(text + 2000, 1000), NULL
	};
	struct istream *s = i_streams_merge(inputs, 500, open_nothing, NULL);

	for (int i = 0; i < 3; i++)
		i_stream_unref(&inputs[i]);
	say_rest("all", s);
	from(s, 0);
	from(s, 1999);
	i_stream_destroy(&s);
	free(text);
}

static void failing(void)
{
	struct istream *data = data_stream("hello");
	struct istream *inputs[] = { data_stream("first "),
				     i_stream_create_failure_at(data, 3, EIO,
								"the text"),
				     data_stream("never"), NULL };
	struct istream *s = i_streams_merge(inputs, BLOCK, open_file, NULL);

	i_stream_unref(&data);
	for (int i = 0; i < 3; i++)
		i_stream_unref(&inputs[i]);
	say_rest("all", s);
	NUM(s->stream_errno != 0 &&
	    strstr(i_stream_get_error(s), "the text") != NULL);
	i_stream_destroy(&s);
}

static void waits(void)
{
	struct istream *inputs[] = { NULL, data_stream(" end"), NULL };
	struct istream *s;
	int fds[2];

	make_pipe(fds);
	inputs[0] = i_stream_create_fd(fds[0], BLOCK);
	s = i_stream_create_seekable(inputs, BLOCK, open_file, NULL);
	for (int i = 0; i < 2; i++)
		i_stream_unref(&inputs[i]);
	NUM(s->blocking);
	NUM(i_stream_read(s));
	if (write(fds[1], "hello", 5) != 5)
		exit(3);
	NUM(i_stream_read(s));
	say_data("came", s);
	i_stream_skip(s, 5);
	NUM(i_stream_read(s));
	from(s, 2);
	close(fds[1]);
	say_rest("rest", s);
	from(s, 0);
	say_size(s, true);
	i_stream_destroy(&s);
}

static void size_of_what_waits(void)
{
	struct istream *inputs[] = { NULL, NULL };
	struct istream *s;
	int fds[2];

	make_pipe(fds);
	inputs[0] = i_stream_create_fd(fds[0], BLOCK);
	s = i_stream_create_seekable(inputs, BLOCK, open_file, NULL);
	i_stream_unref(&inputs[0]);
	say_size(s, true);
	i_stream_destroy(&s);
}

/* Nothing has to be kept of what can be seeked itself. */
static void seekable_already(void)
{
	char *text = make_text(3000);
	struct istream *inputs[] = {
		i_stream_create_from_data(text, 1500),
		i_stream_create_from_data(text + 1500, 1500), NULL
	};
	struct istream *s =
		i_stream_create_seekable(inputs, 100, open_file, NULL);

	for (int i = 0; i < 2; i++)
		i_stream_unref(&inputs[i]);
	say_rest("all", s);
	from(s, 0);
	from(s, 1499);
	NUM(files);
	i_stream_destroy(&s);
	free(text);
}

static void path(void)
{
	struct istream *inputs[] = { NULL, NULL };
	char *text = make_text(3000);
	struct istream *s;
	int fds[2];

	make_pipe(fds);
	if (write(fds[1], text, 3000) != 3000)
		exit(3);
	close(fds[1]);
	inputs[0] = i_stream_create_fd(fds[0], BLOCK);
	s = i_stream_create_seekable_path(inputs, 500, "t");
	i_stream_unref(&inputs[0]);
	say_rest("all", s);
	from(s, 0);
	from(s, 2990);
	say_size(s, true);
	i_stream_destroy(&s);
	free(text);
}

static void inputs_that_were_read(void)
{
	struct istream *inputs[] = { data_stream("hello"), data_stream("world"),
				     NULL };
	struct istream *s;

	i_stream_skip(inputs[0], 2);
	i_stream_skip(inputs[1], 1);
	s = i_streams_merge(inputs, BLOCK, open_file, NULL);
	for (int i = 0; i < 2; i++)
		i_stream_unref(&inputs[i]);
	say_rest("all", s);
	i_stream_destroy(&s);
}

static void empty(void)
{
	struct istream *inputs[] = { data_stream(""), data_stream(""), NULL };
	struct istream *s = i_streams_merge(inputs, BLOCK, open_file, NULL);

	for (int i = 0; i < 2; i++)
		i_stream_unref(&inputs[i]);
	say_rest("all", s);
	from(s, 0);
	say_size(s, true);
	i_stream_destroy(&s);
}

static void small_buffer(void)
{
	struct istream *inputs[] = { data_stream("hello, world"), NULL };
	struct istream *s = i_streams_merge(inputs, 4, open_file, NULL);

	i_stream_unref(&inputs[0]);
	NUM(i_stream_read(s));
	NUM(i_stream_read(s));
	say_data("full", s);
	i_stream_skip(s, 2);
	NUM(i_stream_read(s));
	say_data("room for two", s);
	say_rest("rest", s);
	i_stream_destroy(&s);
}

const struct compat_case compat_istream_seekable[] = {
	{ "istream-seekable merge", merge },
	{ "istream-seekable sizes", sizes },
	{ "istream-seekable file", in_a_file },
	{ "istream-seekable to and fro", to_and_fro },
	{ "istream-seekable no file", no_file },
	{ "istream-seekable failing input", failing },
	{ "istream-seekable waits", waits },
	{ "istream-seekable size of what waits", size_of_what_waits },
	{ "istream-seekable already", seekable_already },
	{ "istream-seekable path", path },
	{ "istream-seekable inputs that were read", inputs_that_were_read },
	{ "istream-seekable empty", empty },
	{ "istream-seekable small buffer", small_buffer },
	{ NULL, NULL }
};
