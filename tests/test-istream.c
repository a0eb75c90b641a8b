/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input streams: reading, lines, seeking, and the plumbing. */

#include "config.h"
#include "hash-method.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void test_read_data_results(void **state ATTR_UNUSED)
{
	struct istream *s = test_trickle_create("abcdefgh", 8, 3, true);
	const unsigned char *data;
	size_t size;

	assert_int_equal(i_stream_read_data(s, &data, &size, 2), 1);
	assert_int_equal(size, 3);
	assert_int_equal(i_stream_read_bytes(s, &data, &size, 5), 0);
	assert_int_equal(i_stream_read_bytes(s, &data, &size, 5), 1);
	assert_int_equal(size, 6);
	assert_memory_equal(data, "abcdef", 6);
	/* more than there is: the end, with what there is */
	assert_int_equal(i_stream_read_bytes(s, &data, &size, 100), 0);
	while (i_stream_read_bytes(s, &data, &size, 100) == 0)
		;
	assert_int_equal(size, 8);
	assert_true(s->eof);
	assert_int_equal(s->stream_errno, 0);
	assert_string_equal(i_stream_get_error(s), "EOF");
	i_stream_skip(s, 8);
	assert_int_equal(i_stream_read_more(s, &data, &size), -1);
	assert_false(i_stream_have_bytes_left(s));
	assert_true(i_stream_read_eof(s));
	i_stream_destroy(&s);
	assert_null(s);
}

static void test_full_buffer(void **state ATTR_UNUSED)
{
	struct istream *s = test_trickle_create("abcdefgh", 8, 8, false);
	const unsigned char *data;
	size_t size;

	i_stream_set_max_buffer_size(s, 4);
	assert_int_equal(i_stream_read(s), 4);
	assert_int_equal(i_stream_read(s), -2);
	assert_int_equal(i_stream_read_data(s, &data, &size, 4), -2);
	i_stream_skip(s, 1);
	assert_int_equal(i_stream_read(s), 1);
	data = i_stream_get_data(s, &size);
	assert_int_equal(size, 4);
	assert_memory_equal(data, "bcde", 4);
	/* less than a byte is no buffer */
	i_stream_skip(s, 4);
	i_stream_set_max_buffer_size(s, 0);
	assert_int_equal(i_stream_read(s), 1);
	i_stream_destroy(&s);
}

static void test_pointers_stay_while_nothing_is_read(void **state ATTR_UNUSED)
{
	unsigned char *bytes = test_data(TEST_DATA_RANDOM, 300000);
	struct istream *s = test_trickle_create(bytes, 300000, 60000, true);
	const unsigned char *before;
	size_t size;
	int i;

	for (i = 0; i < 4; i++) {
		while (i_stream_read(s) == 0)
			;
		i_stream_skip(s, i_stream_get_data_size(s) - 1000);
		before = i_stream_get_data(s, &size);
		/* room is made, and then nothing comes */
		assert_int_equal(i_stream_read(s), 0);
		assert_memory_equal(before, bytes + s->v_offset, 1000);
	}
	i_stream_destroy(&s);
	free(bytes);
}

static void test_read_limited(void **state ATTR_UNUSED)
{
	struct istream *s = i_stream_create_from_data("0123456789", 10);
	const unsigned char *data;
	size_t size;

	assert_string_equal(i_stream_get_name(s), "(buffer)");
	assert_int_equal(i_stream_read_limited(s, &data, &size, 3), 1);
	assert_int_equal(size, 3);
	i_stream_destroy(&s);
}

static void test_skip_and_seek(void **state ATTR_UNUSED)
{
	struct istream *s = test_trickle_create("0123456789", 10, 2, true);
	const unsigned char *data;
	size_t size;

	i_stream_skip(s, 7);
	assert_int_equal(s->v_offset, 7);
	while (i_stream_read_more(s, &data, &size) == 0)
		;
	assert_int_equal(data[0], '7');
	i_stream_seek(s, 2);
	while (i_stream_read_more(s, &data, &size) == 0)
		;
	assert_int_equal(data[0], '2');
	/* past the end: the next read tells */
	i_stream_seek(s, 50);
	while (i_stream_read_more(s, &data, &size) == 0)
		;
	assert_true(s->eof);
	assert_int_equal(s->v_offset, 50);
	i_stream_destroy(&s);
}

static void test_two_views_of_one_parent(void **state ATTR_UNUSED)
{
	struct istream *s =
		test_trickle_create("0123456789abcdef", 16, 4, false);
	struct istream *a = i_stream_create_range(s, 0, 8);
	struct istream *b = i_stream_create_range(s, 8, 8);
	const unsigned char *data;
	buffer_t *from_a = buffer_create_dynamic(default_pool, 16);
	buffer_t *from_b = buffer_create_dynamic(default_pool, 16);
	size_t size;
	int i;

	for (i = 0; i < 8; i++) {
		assert_int_equal(i_stream_read_more(a, &data, &size), 1);
		buffer_append(from_a, data, 1);
		i_stream_skip(a, 1);
		assert_int_equal(i_stream_read_more(b, &data, &size), 1);
		buffer_append(from_b, data, 1);
		i_stream_skip(b, 1);
	}
	assert_string_equal(buffer_c_str(from_a), "01234567");
	assert_string_equal(buffer_c_str(from_b), "89abcdef");
	assert_int_equal(i_stream_read_more(a, &data, &size), -1);
	i_stream_destroy(&a);
	i_stream_destroy(&b);
	i_stream_destroy(&s);
	buffer_free(&from_a);
	buffer_free(&from_b);
}

static void test_close_keeps_what_was_read(void **state ATTR_UNUSED)
{
	struct istream *s = i_stream_create_copy_from_data("hello", 5);
	const unsigned char *data;
	size_t size;

	/* memory needs no read to be seen */
	assert_int_equal(i_stream_get_data_size(s), 5);
	i_stream_close(s);
	data = i_stream_get_data(s, &size);
	assert_int_equal(size, 5);
	assert_memory_equal(data, "hello", 5);
	i_stream_skip(s, 5);
	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, EPIPE);
	i_stream_destroy(&s);
}

static void test_errors(void **state ATTR_UNUSED)
{
	struct istream *s = i_stream_create_file(test_path("none"), 0);
	const struct stat *st;

	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, ENOENT);
	assert_true(s->eof);
	assert_string_equal(i_stream_get_name(s), test_path("none"));
	assert_non_null(strstr(i_stream_get_error(s), "open("));
	assert_non_null(strstr(i_stream_get_error(s), test_path("none")));
	i_stream_destroy(&s);
	s = i_stream_create_file(test_dir(), 0);
	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, EISDIR);
	i_stream_destroy(&s);
	/* no descriptor, and no path to open one of */
	s = i_stream_create_fd(-1, 0);
	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, EBADF);
	assert_non_null(strstr(i_stream_get_error(s), "fd -1"));
	i_stream_destroy(&s);
	s = i_stream_create_error_str(EIO, "bad %s", "luck");
	assert_int_equal(i_stream_read(s), -1);
	assert_string_equal(i_stream_get_error(s), "bad luck");
	assert_string_equal(i_stream_get_name(s), "(error)");
	assert_true(s->closed);
	errno = 0;
	assert_int_equal(i_stream_stat(s, true, &st), -1);
	assert_int_equal(errno, EIO);
	/* the reason is a text of its own, however often it is asked for */
	assert_string_equal(i_stream_get_disconnect_reason(s),
			    "Connection closed: bad luck");
	assert_string_equal(i_stream_get_error(s), "bad luck");
	assert_string_equal(i_stream_get_disconnect_reason(s),
			    "Connection closed: bad luck");
	i_stream_destroy(&s);
}

/*
 * Lines
 */

static void test_lines(void **state ATTR_UNUSED)
{
	static const char text[] = "one\ntwo\r\n\r\r\n\nlast";
	static const struct {
		const char *line;
		bool crlf;
	} want[] = { { "one", false },
		     { "two", true },
		     { "\r", true },
		     { "", false },
		     { "last", false } };
	struct istream *s;
	char *line;
	size_t step, i;

	for (step = 1; step < sizeof(text); step++) {
		s = test_trickle_create(text, sizeof(text) - 1, step, true);
		i_stream_set_return_partial_line(s, true);
		for (i = 0; i < N_ELEMENTS(want); i++) {
			do {
				line = i_stream_read_next_line(s);
			} while (line == NULL && !s->eof);
			if (line == NULL)
				fail_msg("step %zu: line %zu is missing", step,
					 i);
			assert_string_equal(line, want[i].line);
			assert_int_equal(i_stream_last_line_crlf(s),
					 want[i].crlf);
			/* it may be written to */
			line[0] = '\0';
		}
		while ((line = i_stream_read_next_line(s)) == NULL && !s->eof)
			;
		assert_null(line);
		i_stream_destroy(&s);
	}
	/* without the wish, an unfinished last line is not given */
	s = i_stream_create_from_data("a\nb", 3);
	assert_string_equal(i_stream_read_next_line(s), "a");
	assert_null(i_stream_read_next_line(s));
	assert_int_equal(s->stream_errno, 0);
	/* and its bytes are still there */
	assert_int_equal(i_stream_get_data_size(s), 1);
	i_stream_destroy(&s);
}

/* A CR is part of a line end only where an LF is. */
static void test_last_line_with_a_cr(void **state ATTR_UNUSED)
{
	static const char *const texts[] = { "last\r", "\r", "\r\r" };
	struct istream *s;
	size_t i, step;

	for (i = 0; i < N_ELEMENTS(texts); i++) {
		for (step = 1; step < 7; step++) {
			s = test_trickle_create(texts[i], strlen(texts[i]),
						step, false);
			i_stream_set_return_partial_line(s, true);
			assert_string_equal(i_stream_read_next_line(s),
					    texts[i]);
			assert_false(i_stream_last_line_crlf(s));
			assert_null(i_stream_read_next_line(s));
			assert_int_equal(s->v_offset, strlen(texts[i]));
			i_stream_destroy(&s);
		}
	}
}

static void test_line_too_long(void **state ATTR_UNUSED)
{
	struct istream *s =
		test_trickle_create("0123456789\nabc\n", 15, 4, false);
	uoff_t offset;

	i_stream_set_max_buffer_size(s, 5);
	for (offset = 0; offset < 10; offset += 5) {
		assert_null(i_stream_read_next_line(s));
		assert_int_equal(s->stream_errno, ENOBUFS);
		assert_int_equal(s->v_offset, offset);
		/* who wants to go on behind it may */
		i_stream_skip(s, i_stream_get_data_size(s));
		s->stream_errno = 0;
	}
	assert_string_equal(i_stream_read_next_line(s), "");
	assert_string_equal(i_stream_read_next_line(s), "abc");
	i_stream_destroy(&s);
}

/*
 * Files
 */

static void test_file(void **state ATTR_UNUSED)
{
	unsigned char *bytes = test_data(TEST_DATA_RANDOM, 200000);
	buffer_t *out = buffer_create_dynamic(default_pool, 200000);
	struct istream *s, *other;
	const unsigned char *data;
	const struct stat *st = NULL;
	uoff_t total;
	size_t size;
	int fd;

	test_write_file(test_path("f"), bytes, 200000);
	test_faults_begin();
	test_faults.eintr = 1;
	test_faults.max_read = 999;
	s = i_stream_create_file(test_path("f"), 0);
	assert_int_equal(test_read_all(s, out), 0);
	test_faults_end();
	assert_int_equal(out->used, 200000);
	assert_memory_equal(out->data, bytes, 200000);
	assert_int_equal(i_stream_get_size(s, true, &total), 1);
	assert_int_equal(total, 200000);
	assert_int_equal(i_stream_stat(s, true, &st), 0);
	assert_int_equal(st->st_size, 200000);
	i_stream_destroy(&s);
	/* two streams share an fd */
	fd = open(test_path("f"), O_RDONLY);
	s = i_stream_create_fd(fd, 0);
	other = i_stream_create_fd(fd, 0);
	i_stream_seek(other, 150000);
	assert_int_equal(i_stream_read_more(s, &data, &size), 1);
	assert_memory_equal(data, bytes, size);
	assert_int_equal(i_stream_read_more(other, &data, &size), 1);
	assert_memory_equal(data, bytes + 150000, I_MIN(size, (size_t)50000));
	i_stream_destroy(&s);
	i_stream_destroy(&other);
	assert_int_equal(close(fd), 0);
	buffer_free(&out);
	free(bytes);
}

static void test_pipe(void **state ATTR_UNUSED)
{
	const unsigned char *data;
	struct istream *s;
	uoff_t total;
	size_t size;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	s = i_stream_create_fd_autoclose(&fds[0], 0);
	assert_false(s->blocking);
	assert_int_equal(i_stream_read(s), 0);
	assert_int_equal(write(fds[1], "abcdef", 6), 6);
	i_stream_skip(s, 4);
	assert_int_equal(i_stream_read_more(s, &data, &size), 1);
	assert_int_equal(size, 2);
	assert_memory_equal(data, "ef", 2);
	assert_int_equal(i_stream_get_size(s, true, &total), 0);
	i_stream_seek(s, 100);
	assert_int_equal(i_stream_read(s), 0);
	i_stream_seek(s, 1);
	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, ESPIPE);
	i_stream_destroy(&s);
	assert_int_equal(close(fds[1]), 0);
}

/*
 * Plumbing
 */

static const char digits[] = "0123456789";

static void test_limit(void **state ATTR_UNUSED)
{
	static const struct {
		uoff_t start, limit, size;
	} cases[] = { { 0, 0, 0 },   { 0, 4, 4 },   { 3, 4, 4 },
		      { 0, 10, 10 }, { 5, 100, 5 }, { 10, 1, 0 } };
	struct istream *parent, *s;
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	uoff_t total;
	size_t i, step;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		for (step = 1; step < 12; step++) {
			parent = test_trickle_create("0123456789", 10, step,
						     true);
			i_stream_seek(parent, cases[i].start);
			s = i_stream_create_limit(parent, cases[i].limit);
			assert_int_equal(i_stream_get_size(s, true, &total), 1);
			assert_int_equal(total, cases[i].size);
			buffer_set_used_size(out, 0);
			assert_int_equal(test_read_all(s, out), 0);
			assert_int_equal(out->used, cases[i].size);
			assert_memory_equal(out->data, digits + cases[i].start,
					    out->used);
			i_stream_seek(s, 0);
			if (cases[i].size > 2) {
				i_stream_skip(s, 2);
				i_stream_destroy(&s);
				assert_int_equal(parent->v_offset,
						 cases[i].start + 2);
			}
			i_stream_destroy(&s);
			i_stream_destroy(&parent);
		}
	}
	buffer_free(&out);
}

static void test_concat(void **state ATTR_UNUSED)
{
	struct istream *parts[4] = { NULL }, *s;
	const unsigned char *data;
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	uoff_t total, at;
	size_t size;
	int i;

	parts[0] = i_stream_create_from_data("01234", 5);
	parts[1] = i_stream_create_from_data("", 0);
	parts[2] = i_stream_create_from_data("56789", 5);
	s = i_stream_create_concat(parts);
	assert_int_equal(i_stream_get_size(s, true, &total), 1);
	assert_int_equal(total, 10);
	/* what was not skipped stays in one piece over the border */
	i_stream_skip(s, 3);
	assert_int_equal(i_stream_read_bytes(s, &data, &size, 7), 1);
	assert_memory_equal(data, "3456789", 7);
	for (at = 10; at-- > 0;) {
		i_stream_seek(s, at);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(s, out), 0);
		assert_int_equal(out->used, 10 - at);
		assert_memory_equal(out->data, digits + at, 10 - at);
	}
	i_stream_destroy(&s);
	for (i = 0; i < 3; i++)
		i_stream_destroy(&parts[i]);
	buffer_free(&out);
}

static void test_hash_once_and_in_order(void **state ATTR_UNUSED)
{
	const struct hash_method *method = hash_method_lookup("crc32");
	unsigned char digest[4], want[4];
	struct istream *parent, *s;
	const unsigned char *data;
	uint32_t context;
	size_t size, step;

	hash_method_get_digest(method, "123456789", 9, want);
	for (step = 1; step < 10; step++) {
		parent = test_trickle_create("123456789", 9, step, true);
		method->init(&context);
		s = i_stream_create_hash(parent, method, &context);
		/* also what is seeked over */
		i_stream_skip(s, 4);
		while (i_stream_read_more(s, &data, &size) >= 0) {
			if (size > 0)
				i_stream_skip(s, 1);
		}
		method->result(&context, digest);
		assert_memory_equal(digest, want, 4);
		i_stream_destroy(&s);
		i_stream_destroy(&parent);
	}
}

static void test_failure_at(void **state ATTR_UNUSED)
{
	struct istream *parent = i_stream_create_from_data("0123456789", 10);
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	struct istream *s, *source;
	size_t step;

	for (step = 1; step <= 10; step++) {
		source = test_trickle_create("0123456789", 10, step, false);
		s = i_stream_create_failure_at(source, 4, EIO, "at four");
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(s, out), EIO);
		assert_int_equal(out->used, 4);
		assert_string_equal(i_stream_get_error(s), "at four");
		i_stream_destroy(&s);
		i_stream_destroy(&source);
	}
	buffer_set_used_size(out, 0);
	s = i_stream_create_failure_at_eof(parent, EINVAL, "at the end");
	assert_int_equal(test_read_all(s, out), EINVAL);
	assert_int_equal(out->used, 10);
	i_stream_destroy(&s);
	i_stream_destroy(&parent);
	buffer_free(&out);
}

static void test_depth(void **state ATTR_UNUSED)
{
	struct istream *streams[257];
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	int i;

	streams[0] = i_stream_create_from_data("deep", 4);
	for (i = 1; i < 257; i++)
		streams[i] = i_stream_create_limit(streams[i - 1], 100);
	assert_int_equal(streams[255]->stream_errno, 0);
	assert_int_equal(streams[256]->stream_errno, ELOOP);
	assert_int_equal(test_read_all(streams[255], out), 0);
	assert_string_equal(buffer_c_str(out), "deep");
	for (i = 256; i >= 0; i--)
		i_stream_destroy(&streams[i]);
	buffer_free(&out);
}

/* Lines of which a whole buffer is there. */
static void test_lines_of_a_long_text(void **state ATTR_UNUSED)
{
	buffer_t *text = buffer_create_dynamic(default_pool, 200000);
	uint32_t random = 5, again = 5;
	unsigned int i, j, way;
	struct istream *s;
	const char *line;
	size_t len;
	bool crlf;

	for (i = 0; i < 2000; i++) {
		len = test_random(&random) % 200;
		crlf = test_random(&random) % 2 == 0;
		for (j = 0; j < len; j++)
			buffer_append_c(text, (unsigned char)('a' + i % 26));
		buffer_append(text, crlf ? "\r\n" : "\n", crlf ? 2 : 1);
	}
	test_write_file(test_path("lines"), text->data, text->used);
	for (way = 0; way < 2; way++) {
		again = 5;
		s = way == 0 ?
			i_stream_create_from_data(text->data, text->used) :
			i_stream_create_file(test_path("lines"), 0);
		for (i = 0; i < 2000; i++) {
			len = test_random(&again) % 200;
			crlf = test_random(&again) % 2 == 0;
			line = i_stream_read_next_line(s);
			assert_non_null(line);
			assert_int_equal(strlen(line), len);
			for (j = 0; j < len; j++)
				assert_int_equal(line[j], 'a' + i % 26);
			assert_int_equal(i_stream_last_line_crlf(s), crlf);
		}
		assert_null(i_stream_read_next_line(s));
		assert_int_equal(s->v_offset, text->used);
		i_stream_destroy(&s);
	}
	buffer_free(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_data_results),
		cmocka_unit_test(test_full_buffer),
		cmocka_unit_test(test_pointers_stay_while_nothing_is_read),
		cmocka_unit_test(test_read_limited),
		cmocka_unit_test(test_skip_and_seek),
		cmocka_unit_test(test_two_views_of_one_parent),
		cmocka_unit_test(test_close_keeps_what_was_read),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_last_line_with_a_cr),
		cmocka_unit_test(test_line_too_long),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_concat),
		cmocka_unit_test(test_hash_once_and_in_order),
		cmocka_unit_test(test_failure_at),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_lines_of_a_long_text),
	};

	return cmocka_run_group_tests_name("istream", tests, NULL, NULL);
}
