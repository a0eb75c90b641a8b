/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Seeks and skips to any place, also behind the end: what is read next is what is
   there, whatever the stream is of. */

#include "config.h"
#include "iostream-temp.h"
#include "istream-filters.h"
#include "temp-file.h"
#include "test-stream-common.h"

#include <errno.h>
#include <unistd.h>

#define SIZE 10

static const char digits[] = "0123456789";

static struct istream *of_memory(void)
{
	return i_stream_create_from_data(digits, SIZE);
}

static struct istream *of_copy(void)
{
	return i_stream_create_copy_from_data(digits, SIZE);
}

static struct istream *of_file(void)
{
	test_write_file(test_path("digits"), digits, SIZE);
	return i_stream_create_file(test_path("digits"), 4);
}

static struct istream *of_trickle(void)
{
	return test_trickle_create(digits, SIZE, 3, false);
}

/* In memory, or in a file. */
static struct istream *of_temp(size_t max_memory)
{
	struct ostream *output = iostream_temp_create_sized(
		test_path("temp"), 0, "temp", max_memory);

	o_stream_nsend(output, digits, SIZE);
	return iostream_temp_finish(&output, 4);
}

static struct istream *of_temp_memory(void)
{
	return of_temp(100);
}

static struct istream *of_temp_file(void)
{
	return of_temp(2);
}

static int open_file(const char **path_r, void *context ATTR_UNUSED)
{
	*path_r = "/the/place";
	return temp_file_open(test_path("seekable-"));
}

/* Two halves: one in memory, one that comes in pieces. */
static struct istream *of_halves(bool merged)
{
	struct istream *halves[3] = { NULL }, *s;

	halves[0] = i_stream_create_from_data(digits, SIZE / 2);
	halves[1] = test_trickle_create(digits + SIZE / 2, SIZE / 2, 2, false);
	s = merged ? i_streams_merge(halves, 4, open_file, NULL) :
		     i_stream_create_concat(halves);
	i_stream_unref(&halves[0]);
	i_stream_unref(&halves[1]);
	return s;
}

static struct istream *of_concat(void)
{
	return of_halves(false);
}

static struct istream *of_merged(void)
{
	return of_halves(true);
}

static struct istream *on_top(struct istream *upper, struct istream *lower)
{
	i_stream_unref(&lower);
	return upper;
}

static struct istream *of_noop(void)
{
	struct istream *lower = of_memory();

	return on_top(i_stream_create_noop(lower), lower);
}

/* The rest of the parent's is not shown. */
static struct istream *of_range(void)
{
	struct istream *lower = i_stream_create_from_data("<0123456789>", 12);

	return on_top(i_stream_create_range(lower, 1, SIZE), lower);
}

static struct istream *of_sized(void)
{
	struct istream *lower = of_memory();

	return on_top(i_stream_create_sized(lower, SIZE), lower);
}

static struct istream *of_max_size(void)
{
	struct istream *lower = of_memory();

	return on_top(i_stream_create_max_size(lower, SIZE), lower);
}

static struct istream *of_nonuls(void)
{
	struct istream *lower = of_memory();

	return on_top(i_stream_create_nonuls(lower, ' '), lower);
}

static struct istream *of_decoder(void)
{
	struct istream *lower =
		i_stream_create_from_data("MDEyMzQ1Njc4OQ==", 16);

	return on_top(i_stream_create_base64_decoder(lower), lower);
}

static struct istream *of_detected(void)
{
	struct istream *lower = of_memory();

	return on_top(i_stream_create_decompress(lower,
						 ISTREAM_DECOMPRESS_FLAG_TRY),
		      lower);
}

static const struct {
	const char *name;
	struct istream *(*create)(void);
} kinds[] = {
	{ "memory", of_memory },
	{ "copy", of_copy },
	{ "file", of_file },
	{ "trickle", of_trickle },
	{ "temp, memory", of_temp_memory },
	{ "temp, file", of_temp_file },
	{ "concat", of_concat },
	{ "merged", of_merged },
	{ "noop", of_noop },
	{ "range", of_range },
	{ "sized", of_sized },
	{ "max_size", of_max_size },
	{ "nonuls", of_nonuls },
	{ "decoder", of_decoder },
	{ "detected", of_detected },
};

/* The stream stands there, and has all that is behind. */
static void must_show(const char *name, struct istream *s, uoff_t at)
{
	uoff_t left = SIZE - I_MIN(at, (uoff_t)SIZE);
	const unsigned char *data;
	size_t size;
	int ret;

	ret = i_stream_read_bytes(s, &data, &size, 1);
	if (s->v_offset != at || s->stream_errno != 0 ||
	    ret != (left > 0 ? 1 : -1) || size > left ||
	    (size > 0 && memcmp(data, digits + at, size) != 0))
		fail_msg("%s: at %llu, not %llu: %d with %zu bytes (%s)", name,
			 (unsigned long long)s->v_offset,
			 (unsigned long long)at, ret, size,
			 i_stream_get_error(s));
}

static void test_istream_seek_back_from_behind(void **state ATTR_UNUSED)
{
	struct istream *s;
	uoff_t first, to;
	size_t i;

	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		for (first = SIZE; first < 3 * SIZE; first++) {
			for (to = 0; to < 3 * SIZE; to++) {
				s = kinds[i].create();
				i_stream_seek(s, first);
				i_stream_seek(s, to);
				must_show(kinds[i].name, s, to);
				i_stream_destroy(&s);
			}
		}
	}
}

static void test_istream_seek_anywhere(void **state ATTR_UNUSED)
{
	struct istream *s;
	uint32_t random = 7;
	unsigned int n;
	uoff_t to;
	size_t i;

	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		s = kinds[i].create();
		for (n = 0; n < 2000; n++) {
			to = test_random(&random) % (2 * SIZE + 5);
			if (to > s->v_offset && n % 2 == 0)
				i_stream_skip(s, to - s->v_offset);
			else
				i_stream_seek(s, to);
			if (test_random(&random) % 3 > 0)
				must_show(kinds[i].name, s, to);
		}
		i_stream_destroy(&s);
	}
}

static struct istream *pipe_with(const void *data, size_t size)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], data, size), size);
	assert_int_equal(close(fds[1]), 0);
	return i_stream_create_fd_autoclose(&fds[0], 0);
}

/* Forward, and back to where it stands after all: that is no way back for a decoder
   over a pipe. A byte before it is. */
static void test_istream_seek_to_where_it_is(void **state ATTR_UNUSED)
{
	struct istream *input, *s;
	unsigned int back;

	for (back = 4; back >= 3; back--) {
		input = pipe_with("3031323334353637", 16);
		s = i_stream_create_hex_decoder(input);
		i_stream_unref(&input);
		i_stream_set_max_buffer_size(s, 4);
		assert_int_equal(i_stream_read(s), 2);
		i_stream_skip(s, 2);
		assert_int_equal(i_stream_read(s), 2);
		i_stream_seek(s, 100);
		i_stream_seek(s, back);
		test_gives(s, back == 4 ? "4567" : "", back == 4 ? 0 : ESPIPE);
	}
}

/* Where a line's end was looked for in vain has nothing to do with the line that begins
   behind what is skipped or seeked over then. */
static void test_istream_line_behind_a_seek(void **state ATTR_UNUSED)
{
	struct istream *s;
	unsigned int way;

	for (way = 0; way < 3; way++) {
		s = test_trickle_create("abcde\nfg\n", 9, 4, false);
		assert_int_equal(i_stream_read(s), 4);
		assert_null(i_stream_next_line(s));
		if (way == 0)
			i_stream_skip(s, 3);
		else if (way == 1)
			i_stream_seek(s, 3);
		else
			i_stream_seek_mark(s, 3);
		assert_int_equal(i_stream_read(s), 4);
		assert_string_equal(i_stream_next_line(s), "de");
		assert_string_equal(i_stream_read_next_line(s), "fg");
		i_stream_destroy(&s);
	}
}

/*
 * Files that change
 */

static struct istream *nonuls_of(struct istream *file)
{
	return i_stream_create_nonuls(file, 'x');
}

static struct istream *concat_of(struct istream *file)
{
	struct istream *other = of_memory();
	struct istream *inputs[] = { file, other, NULL };
	struct istream *s = i_stream_create_concat(inputs);

	i_stream_unref(&other);
	return s;
}

static void must_have(struct istream *s, const char *want)
{
	const unsigned char *data;
	size_t size;

	assert_int_equal(i_stream_read_bytes(s, &data, &size, strlen(want)), 1);
	assert_memory_equal(data, want, strlen(want));
}

/* Streams that have bytes of their own drop them, too: those that come, and those that
   were skipped. */
static void test_istream_sync_of_copies(void **state ATTR_UNUSED)
{
	static const struct {
		struct istream *(*create)(struct istream *file);
		const char *old_text, *new_text;
	} cases[] = {
		{ nonuls_of, "abcdef", "ABCDEF" },
		{ concat_of, "abcdef", "ABCDEF" },
		{ i_stream_create_hex_decoder, "616263646566", "414243444546" },
		{ i_stream_create_lf, "abcdef\r\n", "ABCDEF\r\n" },
	};
	const char *path = test_path("changed");
	struct istream *file, *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		test_write_file(path, cases[i].old_text,
				strlen(cases[i].old_text));
		file = i_stream_create_file(path, 0);
		s = cases[i].create(file);
		must_have(s, "abcdef");
		i_stream_skip(s, 2);
		test_write_file(path, cases[i].new_text,
				strlen(cases[i].new_text));
		i_stream_sync(s);
		assert_int_equal(s->v_offset, 2);
		must_have(s, "CDEF");
		/* nothing is buffered */
		i_stream_skip(s, i_stream_get_data_size(s));
		test_write_file(path, cases[i].old_text,
				strlen(cases[i].old_text));
		i_stream_sync(s);
		i_stream_seek(s, 0);
		must_have(s, "abcdef");
		i_stream_destroy(&s);
		i_stream_destroy(&file);
	}
}

/* Nor is a line's end missed where there was none before. */
static void test_istream_sync_within_a_line(void **state ATTR_UNUSED)
{
	const char *path = test_path("changed");
	struct istream *file, *s;

	test_write_file(path, "abc", 3);
	file = i_stream_create_file(path, 0);
	s = i_stream_create_noop(file);
	assert_null(i_stream_read_next_line(s));
	test_write_file(path, "a\nc\n", 4);
	i_stream_sync(s);
	assert_string_equal(i_stream_read_next_line(s), "a");
	assert_string_equal(i_stream_read_next_line(s), "c");
	i_stream_destroy(&s);
	i_stream_destroy(&file);
}

/* What a pipe gave comes once. */
static void test_istream_sync_of_a_pipe(void **state ATTR_UNUSED)
{
	struct istream *input = pipe_with("303132333435", 12);
	struct istream *s = i_stream_create_hex_decoder(input);

	i_stream_unref(&input);
	i_stream_set_max_buffer_size(s, 4);
	must_have(s, "0123");
	i_stream_sync(s);
	test_gives(s, "012345", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_istream_seek_back_from_behind),
		cmocka_unit_test(test_istream_seek_anywhere),
		cmocka_unit_test(test_istream_seek_to_where_it_is),
		cmocka_unit_test(test_istream_line_behind_a_seek),
		cmocka_unit_test(test_istream_sync_of_copies),
		cmocka_unit_test(test_istream_sync_within_a_line),
		cmocka_unit_test(test_istream_sync_of_a_pipe),
	};

	return cmocka_run_group_tests_name("istream-seek", tests, NULL, NULL);
}
