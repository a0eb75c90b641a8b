/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reading: how much, when, and what is seen of it. */

#include "compat-case.h"

static struct istream *data_stream(const char *text)
{
	return i_stream_create_from_data(text, strlen(text));
}

static void new_stream(void)
{
	struct istream *s = data_stream("hello");
	uoff_t size;

	say_istream("new", s);
	STR(i_stream_get_name(s));
	NUM(i_stream_get_fd(s));
	NUM(s->seekable);
	NUM(s->blocking);
	NUM(i_stream_get_size(s, true, &size));
	NUM(size);
	NUM(i_stream_get_absolute_offset(s));
	NUM(i_stream_have_bytes_left(s));
	i_stream_destroy(&s);
	NUM(s == NULL);
	i_stream_destroy(&s);
	i_stream_unref(&s);
}

static void reads_memory(void)
{
	struct istream *s = data_stream("hello");
	const unsigned char *data;
	size_t size;

	NUM(i_stream_read(s));
	say_data("read", s);
	say_istream("read", s);
	i_stream_skip(s, 2);
	say_data("skipped", s);
	NUM(s->v_offset);
	NUM(i_stream_read_data(s, &data, &size, 2));
	NUM(i_stream_read_data(s, &data, &size, 3));
	NUM(size);
	say_istream("too much", s);
	NUM(i_stream_read_bytes(s, &data, &size, 3));
	NUM(i_stream_read_bytes(s, &data, &size, 4));
	say_rest("rest", s);
	NUM(i_stream_read(s));
	NUM(i_stream_read_eof(s));
	NUM(i_stream_have_bytes_left(s));
	i_stream_destroy(&s);
}

static void an_empty_one(void)
{
	struct istream *s = i_stream_create_from_data("", 0);

	NUM(i_stream_have_bytes_left(s));
	NUM(i_stream_read(s));
	say_istream("read", s);
	NUM(i_stream_have_bytes_left(s));
	NUM(i_stream_read_eof(s));
	i_stream_destroy(&s);
}

static void reads_a_file(void)
{
	struct istream *s;
	uoff_t size;

	write_file("f", "0123456789");
	s = i_stream_create_file("f", BLOCK);
	NUM(s->seekable);
	NUM(s->blocking);
	STR(i_stream_get_name(s));
	NUM(i_stream_get_size(s, true, &size));
	NUM(size);
	NUM(i_stream_read(s));
	say_data("read", s);
	NUM(i_stream_get_fd(s) >= 0);
	NUM(s->readable_fd);
	NUM(i_stream_read(s));
	say_istream("end", s);
	say_data("still there", s);
	say_rest("rest", s);
	i_stream_destroy(&s);
}

static void a_file_that_is_not_there(void)
{
	struct istream *s = i_stream_create_file("nosuch", BLOCK);
	const struct stat *st;

	say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	NUM(i_stream_read(s));
	say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	NUM(strstr(i_stream_get_error(s), "No such file") != NULL);
	NUM(i_stream_stat(s, true, &st));
	i_stream_destroy(&s);
}

static void a_directory(void)
{
	struct istream *s = i_stream_create_file(".", BLOCK);

	NUM(i_stream_read(s));
	say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	i_stream_destroy(&s);
}

static void small_buffer(void)
{
	const unsigned char *data;
	struct istream *s;
	size_t size;

	write_file("f", "0123456789abcdefghij");
	s = i_stream_create_file("f", 8);
	NUM(i_stream_get_max_buffer_size(s));
	NUM(i_stream_read_data(s, &data, &size, 7));
	say("%s", shown(data, size));
	NUM(i_stream_read_data(s, &data, &size, 8));
	NUM(i_stream_read(s));
	say_data("full", s);
	i_stream_skip(s, 3);
	NUM(i_stream_read_data(s, &data, &size, 7));
	say_data("moved", s);
	i_stream_set_max_buffer_size(s, 12);
	NUM(i_stream_get_max_buffer_size(s));
	NUM(i_stream_read_data(s, &data, &size, 11));
	say_data("raised", s);
	i_stream_set_max_buffer_size(s, 4);
	NUM(i_stream_read(s));
	i_stream_skip(s, 9);
	NUM(i_stream_read(s));
	say_data("lowered", s);
	say_rest("rest", s);
	i_stream_destroy(&s);
}

static void limited_reads(void)
{
	const unsigned char *data;
	struct istream *s;
	size_t size;

	write_file("f", "0123456789");
	s = i_stream_create_file("f", BLOCK);
	NUM(i_stream_read_limited(s, &data, &size, 3));
	say("%s", shown(data, size));
	i_stream_skip(s, 2);
	NUM(i_stream_read_limited(s, &data, &size, 100));
	NUM(size > 0);
	i_stream_skip(s, i_stream_get_data_size(s));
	say_rest("rest", s);
	i_stream_destroy(&s);
}

static void reads_a_pipe(void)
{
	const unsigned char *data;
	struct istream *s;
	uoff_t length;
	size_t size;
	int fds[2];

	make_pipe(fds);
	s = i_stream_create_fd(fds[0], BLOCK);
	NUM(strncmp(i_stream_get_name(s), "(fd", 3) == 0);
	NUM(s->seekable);
	NUM(s->blocking);
	NUM(i_stream_get_size(s, true, &length));
	NUM(i_stream_read(s));
	say_istream("nothing", s);
	NUM(write(fds[1], "abc", 3));
	NUM(i_stream_read(s));
	NUM(i_stream_read_data(s, &data, &size, 3));
	NUM(size);
	NUM(write(fds[1], "def", 3));
	NUM(i_stream_read_data(s, &data, &size, 3));
	say("%s", shown(data, size));
	i_stream_skip(s, 4);
	close(fds[1]);
	NUM(i_stream_read(s));
	say_istream("closed", s);
	say_rest("rest", s);
	i_stream_destroy(&s);
}

static void skips_in_a_pipe(void)
{
	struct istream *s;
	int fds[2];

	make_pipe(fds);
	s = i_stream_create_fd(fds[0], BLOCK);
	NUM(write(fds[1], "abcdef", 6));
	i_stream_skip(s, 4);
	NUM(s->v_offset);
	NUM(i_stream_read(s));
	say_data("skipped", s);
	i_stream_skip(s, 10);
	NUM(s->v_offset);
	NUM(i_stream_read(s));
	NUM(write(fds[1], "0123456789", 10));
	close(fds[1]);
	NUM(i_stream_read(s));
	say_data("skipped on", s);
	say_rest("rest", s);
	i_stream_destroy(&s);
}

static void skips_past_the_end_of_a_pipe(void)
{
	struct istream *s;
	int fds[2];

	make_pipe(fds);
	s = i_stream_create_fd(fds[0], BLOCK);
	NUM(write(fds[1], "abc", 3));
	close(fds[1]);
	i_stream_skip(s, 10);
	say_istream("skipped", s);
	NUM(i_stream_read(s));
	say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	i_stream_destroy(&s);
}

static void closed(void)
{
	struct istream *s = data_stream("hello");
	const struct stat *st;

	NUM(i_stream_read(s));
	i_stream_close(s);
	say_istream("closed", s);
	say_data("closed", s);
	NUM(i_stream_read(s));
	say_istream("read", s);
	i_stream_skip(s, 2);
	say_data("skipped", s);
	NUM(i_stream_stat(s, true, &st));
	STR(i_stream_get_disconnect_reason(s));
	NUM(i_stream_read_eof(s));
	i_stream_destroy(&s);
}

static void close_takes_the_parents(void)
{
	struct istream *data = data_stream("hello");
	struct istream *s = i_stream_create_limit(data, 3);

	i_stream_close(s);
	NUM(data->closed);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
	data = data_stream("hello");
	s = i_stream_create_limit(data, 3);
	i_stream_destroy(&s);
	NUM(data->closed);
	say_rest("goes on", data);
	i_stream_destroy(&data);
}

static void errors(void)
{
	struct istream *s = i_stream_create_error(EINVAL);
	struct istream *child;

	say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
	NUM(i_stream_read(s));
	say_istream("read", s);
	STR(i_stream_get_disconnect_reason(s));
	STR(i_stream_get_error(s));
	i_stream_destroy(&s);
	s = i_stream_create_error_str(EIO, "no %s", "luck");
	child = i_stream_create_limit(s, 10);
	NUM(i_stream_read(child));
	say_istream("child", child);
	STR(i_stream_get_disconnect_reason(child));
	STR(i_stream_get_error(child));
	i_stream_destroy(&child);
	STR(i_stream_get_disconnect_reason(s));
	STR(i_stream_get_error(s));
	STR(i_stream_get_disconnect_reason(s));
	i_stream_destroy(&s);
	s = data_stream("");
	STR(i_stream_get_disconnect_reason(s));
	NUM(i_stream_read(s));
	STR(i_stream_get_disconnect_reason(s));
	STR(i_stream_get_error(s));
	i_stream_destroy(&s);
}

static void on_destroy(void *context)
{
	say("destroyed: %s", (const char *)context);
}

static char text[] = "it";

static void references(void)
{
	struct istream *s = data_stream("hello"), *other = s;
	struct istream *limit;

	i_stream_add_destroy_callback(s, on_destroy, (void *)text);
	i_stream_ref(s);
	i_stream_destroy(&s);
	say_istream("closed", other);
	i_stream_unref(&other);
	NUM(other == NULL);
	s = data_stream("hello");
	i_stream_add_destroy_callback(s, on_destroy, (void *)text);
	i_stream_remove_destroy_callback(s, on_destroy);
	limit = i_stream_create_limit(s, 2);
	i_stream_unref(&s);
	say_rest("held by the child", limit);
	i_stream_destroy(&limit);
}

static void names(void)
{
	struct istream *s = data_stream("hello");
	struct istream *child = i_stream_create_limit(s, 3);

	STR(i_stream_get_name(child));
	i_stream_set_name(s, "the end");
	STR(i_stream_get_name(child));
	i_stream_set_name(child, "the top");
	STR(i_stream_get_name(child));
	STR(i_stream_get_name(s));
	i_stream_destroy(&child);
	i_stream_destroy(&s);
}

static void sizes(void)
{
	struct istream *s = data_stream("hello"), *child;
	const struct stat *st;
	uoff_t size = 77;

	NUM(i_stream_stat(s, false, &st));
	NUM(st->st_size);
	i_stream_skip(s, 1);
	child = i_stream_create_limit(s, 3);
	NUM(i_stream_get_size(child, true, &size));
	NUM(size);
	NUM(i_stream_get_absolute_offset(child));
	i_stream_destroy(&child);
	child = i_stream_create_limit(s, 30);
	NUM(i_stream_get_size(child, true, &size));
	NUM(size);
	i_stream_destroy(&child);
	child = i_stream_create_range(s, 2, 2);
	NUM(i_stream_get_size(child, true, &size));
	NUM(size);
	NUM(i_stream_get_absolute_offset(child));
	NUM(child->v_offset);
	i_stream_destroy(&child);
	i_stream_destroy(&s);
	s = i_stream_create_error(EIO);
	NUM(i_stream_get_size(s, true, &size));
	i_stream_destroy(&s);
}

static void copies(void)
{
	char original[] = "hello";
	struct istream *s = i_stream_create_copy_from_data(original, 5);
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);

	memset(original, 'x', 5);
	say_rest("copied", s);
	i_stream_destroy(&s);
	buffer_append(buf, "abc", 3);
	s = i_stream_create_from_buffer(buf);
	say_rest("buffer", s);
	i_stream_destroy(&s);
	s = i_stream_create_copy_from_buffer(buf);
	buffer_free(&buf);
	say_rest("copied buffer", s);
	i_stream_destroy(&s);
}

static void adds_data(void)
{
	struct istream *s;
	int fds[2];

	make_pipe(fds);
	s = i_stream_create_fd(fds[0], 8);
	NUM(i_stream_add_data(s, (const unsigned char *)"abc", 3));
	say_data("added", s);
	NUM(write(fds[1], "de", 2));
	NUM(i_stream_read(s));
	say_data("read", s);
	i_stream_skip(s, 1);
	NUM(i_stream_add_data(s, (const unsigned char *)"fghi", 4));
	say_data("full", s);
	NUM(i_stream_add_data(s, (const unsigned char *)"j", 1));
	say_data("as before", s);
	NUM(i_stream_read(s));
	i_stream_skip(s, 8);
	close(fds[1]);
	NUM(i_stream_read(s));
	say_istream("end", s);
	i_stream_destroy(&s);
}

static void changes_data(void)
{
	unsigned char *data;
	struct istream *s;
	size_t size = 77;

	write_file("f", "0123456789");
	s = i_stream_create_file("f", BLOCK);
	NUM(i_stream_get_modifiable_data(s, &size) == NULL);
	NUM(i_stream_read(s));
	i_stream_skip(s, 2);
	data = i_stream_get_modifiable_data(s, &size);
	NUM(size);
	data[0] = 'x';
	say_rest("changed", s);
	i_stream_destroy(&s);
	s = data_stream("hello");
	NUM(i_stream_get_modifiable_data(s, &size) == NULL);
	i_stream_destroy(&s);
}

static void copies_an_fd(void)
{
	struct istream *s = data_stream("hello"), *file;

	write_file("f", "0123456789");
	file = i_stream_create_file("f", BLOCK);
	NUM(i_stream_read(file));
	i_stream_copy_fd(s, file);
	NUM(i_stream_get_fd(s) == i_stream_get_fd(file));
	NUM(s->readable_fd == file->readable_fd);
	say_rest("its own", s);
	i_stream_destroy(&s);
	say_rest("still open", file);
	i_stream_destroy(&file);
	s = data_stream("hello");
	file = data_stream("no fd");
	i_stream_copy_fd(s, file);
}

const struct compat_case compat_istream_read[] = {
	{ "istream-read new", new_stream },
	{ "istream-read memory", reads_memory },
	{ "istream-read empty", an_empty_one },
	{ "istream-read file", reads_a_file },
	{ "istream-read no such file", a_file_that_is_not_there },
	{ "istream-read directory", a_directory },
	{ "istream-read small buffer", small_buffer },
	{ "istream-read limited", limited_reads },
	{ "istream-read pipe", reads_a_pipe },
	{ "istream-read skips in a pipe", skips_in_a_pipe },
	{ "istream-read skips past a pipe's end",
	  skips_past_the_end_of_a_pipe },
	{ "istream-read closed", closed },
	{ "istream-read close takes the parents", close_takes_the_parents },
	{ "istream-read errors", errors },
	{ "istream-read references", references },
	{ "istream-read names", names },
	{ "istream-read sizes", sizes },
	{ "istream-read copies", copies },
	{ "istream-read adds data", adds_data },
	{ "istream-read changes data", changes_data },
	{ "istream-read copies an fd", copies_an_fd },
	{ NULL, NULL }
};
