/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Skipping, seeking, and several views of one stream. */

#include "compat-case.h"

static struct istream *data_stream(const char *text)
{
	return i_stream_create_from_data(text, strlen(text));
}

static void seeks(struct istream *s)
{
	i_stream_seek(s, 4);
	NUM(s->v_offset);
	NUM(i_stream_read(s) != 0);
	say_data("at 4", s);
	i_stream_seek(s, 1);
	NUM(i_stream_read(s) != 0);
	say_data("at 1", s);
	i_stream_seek_mark(s, 0);
	say_rest("all", s);
	i_stream_seek(s, 9);
	say_rest("the last", s);
	i_stream_seek(s, 10);
	say_rest("the end", s);
	i_stream_seek(s, 3);
	say_istream("back", s);
	say_rest("from 3", s);
}

static void memory(void)
{
	struct istream *s = data_stream("0123456789");

	seeks(s);
	i_stream_destroy(&s);
}

static void file(void)
{
	struct istream *s;

	write_file("f", "0123456789");
	s = i_stream_create_file("f", BLOCK);
	seeks(s);
	i_stream_destroy(&s);
}

static void limit(void)
{
	struct istream *data = data_stream("xx0123456789yy"), *s;

	i_stream_skip(data, 2);
	s = i_stream_create_limit(data, 10);
	NUM(s->v_offset);
	seeks(s);
	i_stream_destroy(&s);
	NUM(data->v_offset);
	i_stream_destroy(&data);
}

static void range(void)
{
	struct istream *data = data_stream("xx0123456789yy");
	struct istream *s = i_stream_create_range(data, 2, 10);

	NUM(s->v_offset);
	seeks(s);
	i_stream_destroy(&s);
	NUM(data->v_offset);
	i_stream_destroy(&data);
}

static void concat(void)
{
	struct istream *parts[] = { data_stream("0123"), data_stream(""),
				    data_stream("45"), data_stream("6789"),
				    NULL };
	struct istream *s = i_stream_create_concat(parts);

	for (int i = 0; i < 4; i++)
		i_stream_unref(&parts[i]);
	seeks(s);
	i_stream_destroy(&s);
}

static void skip_past_the_end(void)
{
	struct istream *s;

	s = data_stream("0123456789");
	i_stream_skip(s, 20);
	NUM(s->v_offset);
	NUM(i_stream_read(s));
	say("memory: errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	i_stream_destroy(&s);
	write_file("f", "0123456789");
	s = i_stream_create_file("f", BLOCK);
	i_stream_skip(s, 20);
	NUM(s->v_offset);
	NUM(i_stream_read(s));
	say("file: errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	i_stream_destroy(&s);
	s = i_stream_create_file("f", BLOCK);
	i_stream_seek(s, 20);
	NUM(i_stream_read(s));
	say("file seek: errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	i_stream_seek(s, 8);
	say_rest("file back", s);
	i_stream_destroy(&s);
}

static void seek_past_a_limit(void)
{
	struct istream *data = data_stream("0123456789");
	struct istream *s = i_stream_create_limit(data, 5);

	i_stream_seek(s, 7);
	NUM(i_stream_read(s));
	say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static void back_in_a_pipe(void)
{
	struct istream *s;
	int fds[2];

	make_pipe(fds);
	NUM(write(fds[1], "abcdef", 6));
	close(fds[1]);
	s = i_stream_create_fd_autoclose(&fds[0], BLOCK);
	NUM(fds[0]);
	say_rest("all", s);
	i_stream_seek(s, 2);
	NUM(i_stream_read(s));
	say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	i_stream_destroy(&s);
}

static void a_limit_leaves_its_parent(void)
{
	struct istream *data = data_stream("0123456789");
	struct istream *s = i_stream_create_limit(data, 5);

	NUM(i_stream_read(s));
	i_stream_skip(s, 3);
	i_stream_destroy(&s);
	NUM(data->v_offset);
	s = i_stream_create_limit(data, 2);
	say_rest("two", s);
	NUM(i_stream_get_absolute_offset(s));
	i_stream_destroy(&s);
	NUM(data->v_offset);
	say_rest("rest", data);
	i_stream_destroy(&data);
}

static void limits(void)
{
	struct istream *data = data_stream("0123456789"), *s;

	s = i_stream_create_limit(data, 0);
	say_rest("nothing", s);
	i_stream_destroy(&s);
	s = i_stream_create_limit(data, UOFF_T_MAX);
	say_rest("all", s);
	i_stream_destroy(&s);
	NUM(data->v_offset);
	i_stream_seek(data, 8);
	s = i_stream_create_limit(data, 5);
	say_rest("less", s);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static void two_views(void)
{
	struct istream *s, *first, *second;

	write_file("f", "0123456789");
	s = i_stream_create_file("f", BLOCK);
	first = i_stream_create_range(s, 0, 4);
	second = i_stream_create_range(s, 4, 4);
	NUM(i_stream_read(first));
	say_data("first", first);
	i_stream_skip(first, 1);
	NUM(i_stream_read(second));
	say_data("second", second);
	i_stream_skip(second, 1);
	say_rest("first", first);
	say_rest("second", second);
	i_stream_destroy(&first);
	i_stream_destroy(&second);
	i_stream_destroy(&s);
}

static void concat_keeps_bytes_together(void)
{
	struct istream *parts[] = { data_stream("abc"), data_stream("de"),
				    data_stream("f"), NULL };
	struct istream *s = i_stream_create_concat(parts);
	const unsigned char *data;
	uoff_t length;
	size_t size;

	for (int i = 0; i < 3; i++)
		i_stream_unref(&parts[i]);
	NUM(i_stream_get_size(s, true, &length));
	NUM(length);
	NUM(i_stream_read_data(s, &data, &size, 0));
	say_data("one", s);
	i_stream_skip(s, 1);
	NUM(i_stream_read_data(s, &data, &size, 3));
	say_data("over the border", s);
	NUM(i_stream_read_data(s, &data, &size, 4));
	say_data("over two", s);
	NUM(i_stream_read_data(s, &data, &size, 5));
	say_rest("rest", s);
	i_stream_destroy(&s);
}

static void concat_with_an_error(void)
{
	struct istream *parts[] = { data_stream("abc"),
				    i_stream_create_error_str(EIO, "broken"),
				    data_stream("f"), NULL };
	struct istream *s = i_stream_create_concat(parts);

	for (int i = 0; i < 3; i++)
		i_stream_unref(&parts[i]);
	say_rest("rest", s);
	i_stream_destroy(&s);
}

static void sync_sees_a_longer_file(void)
{
	struct istream *s;

	write_file("f", "0123");
	s = i_stream_create_file("f", BLOCK);
	say_rest("short", s);
	write_file("f", "0123456");
	i_stream_sync(s);
	say_rest("longer", s);
	i_stream_seek(s, 0);
	write_file("f", "abcd");
	i_stream_sync(s);
	say_rest("changed", s);
	i_stream_destroy(&s);
}

const struct compat_case compat_istream_seek[] = {
	{ "istream-seek memory", memory },
	{ "istream-seek file", file },
	{ "istream-seek limit", limit },
	{ "istream-seek range", range },
	{ "istream-seek concat", concat },
	{ "istream-seek past the end", skip_past_the_end },
	{ "istream-seek past a limit", seek_past_a_limit },
	{ "istream-seek back in a pipe", back_in_a_pipe },
	{ "istream-seek limit leaves its parent", a_limit_leaves_its_parent },
	{ "istream-seek limits", limits },
	{ "istream-seek two views", two_views },
	{ "istream-seek concat together", concat_keeps_bytes_together },
	{ "istream-seek concat error", concat_with_an_error },
	{ "istream-seek sync", sync_sees_a_longer_file },
	{ NULL, NULL }
};
