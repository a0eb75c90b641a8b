/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Decoders on a thread of their own, without an event loop: what is read, and when, and
   where the thread is ahead of the reader. */

#include "config.h"
#include "test-held-codec.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* A reader is given what can be decoded, and does not wait for a writer who may be
   waiting for an answer: blocking or not. */
static void test_reading_does_not_wait_for_more(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_gzip(end, 6);
	struct istream *pipe_input, *input;
	const unsigned char *data;
	unsigned int nonblock;
	size_t size, flushed;
	int fds[2], ret;

	o_stream_nsend_str(s, "a question");
	assert_int_equal(o_stream_flush(s), 1);
	flushed = buf->used;
	assert_int_equal(o_stream_finish(s), 1);
	for (nonblock = 0; nonblock < 2; nonblock++) {
		assert_int_equal(pipe(fds), 0);
		if (nonblock == 1)
			assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
		pipe_input = i_stream_create_fd_autoclose(&fds[0], 0);
		input = i_stream_create_transform(
			pipe_input,
			transform_create_async(
				transform_create_gzip_decoder()));
		assert_int_equal(write(fds[1], buf->data, flushed), flushed);
		ret = i_stream_read_more(input, &data, &size);
		assert_int_equal(ret, 1);
		assert_int_equal(size, 10);
		assert_memory_equal(data, "a question", 10);
		i_stream_skip(input, size);
		if (nonblock == 1)
			assert_int_equal(
				i_stream_read_more(input, &data, &size), 0);
		size = buf->used - flushed;
		assert_int_equal(write(fds[1],
				       (const char *)buf->data + flushed, size),
				 size);
		assert_int_equal(close(fds[1]), 0);
		assert_int_equal(i_stream_read_more(input, &data, &size), -1);
		assert_int_equal(input->stream_errno, 0);
		assert_true(input->eof);
		i_stream_destroy(&input);
		i_stream_destroy(&pipe_input);
	}
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
}

/* What follows a member is looked at on the thread: the same answers come of it. */
static void test_members(void **state ATTR_UNUSED)
{
	static const struct {
		const char *behind;
		size_t size;
		int error;
	} rows[] = { { "", 0, 0 },
		     { "garbage", 7, EINVAL },
		     { "\x1f", 1, EPIPE } };
	buffer_t *one = buffer_create_dynamic(default_pool, 0);
	buffer_t *file = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(one);
	struct ostream *s = o_stream_create_gzip(end, 6);
	struct istream *data, *input;
	const unsigned char *got;
	size_t i, size;

	o_stream_nsend_str(s, "hello");
	assert_int_equal(o_stream_finish(s), 1);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		buffer_set_used_size(file, 0);
		buffer_append(file, one->data, one->used);
		buffer_append(file, one->data, one->used);
		buffer_append(file, rows[i].behind, rows[i].size);
		data = i_stream_create_from_buffer(file);
		input = i_stream_create_transform(
			data,
			transform_create_async(
				transform_create_gzip_decoder()));
		while (i_stream_read(input) > 0)
			;
		got = i_stream_get_data(input, &size);
		assert_int_equal(size, 10);
		assert_memory_equal(got, "hellohello", 10);
		assert_int_equal(input->stream_errno, rows[i].error);
		i_stream_destroy(&input);
		i_stream_destroy(&data);
	}
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&file);
	buffer_free(&one);
}

static buffer_t *gzipped(const void *data, size_t size)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_gzip(end, 1);

	o_stream_nsend(s, data, size);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	return buf;
}

/* How many bytes come out of the file's first `cut` bytes, before EIO. */
static size_t bytes_before_error(const buffer_t *file, uoff_t cut, bool async)
{
	struct transform *t = transform_create_gzip_decoder();
	struct istream *data = i_stream_create_from_buffer(file);
	struct istream *cutter =
		i_stream_create_failure_at(data, cut, EIO, "broken");
	struct istream *input = i_stream_create_transform(
		cutter, async ? transform_create_async(t) : t);
	const unsigned char *got;
	size_t size, total = 0;

	while (i_stream_read_more(input, &got, &size) > 0) {
		total += size;
		i_stream_skip(input, size);
	}
	assert_int_equal(input->stream_errno, EIO);
	i_stream_destroy(&input);
	i_stream_destroy(&cutter);
	i_stream_destroy(&data);
	return total;
}

static void test_bytes_before_the_parents_error(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 6 * TEST_BLOCK);
	buffer_t *file = gzipped(data, 6 * TEST_BLOCK);
	static const uoff_t cuts[] = { 20, 1000, 70000, 200000, 300001 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(cuts); i++)
		assert_int_equal(bytes_before_error(file, cuts[i], true),
				 bytes_before_error(file, cuts[i], false));
	buffer_free(&file);
	free(data);
}

/* What the thread met while it was ahead of the reader does not count where the
   reader goes back. */
static void test_seeking_back_forgets_an_error(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 4 * TEST_BLOCK);
	struct istream *mem = i_stream_create_from_data(data, 4 * TEST_BLOCK);
	struct test_held_codec *held;
	struct istream *input;
	const unsigned char *got;
	struct test_gate gate;
	size_t size;

	test_gate_init(&gate);
	test_gate_open(&gate);
	held = test_held_new(&gate, 2 * TEST_BLOCK);
	held->transform.class_ = &test_held_decoder_class;
	input = i_stream_create_transform(
		mem, transform_create_async(&held->transform));
	while (input->v_offset < 2 * TEST_BLOCK) {
		assert_int_equal(i_stream_read_more(input, &got, &size), 1);
		i_stream_skip(input, size);
	}
	/* its third block is with the thread since the first read */
	test_gate_wait_for_failure(&gate);
	i_stream_seek(input, 0);
	assert_int_equal(i_stream_read_more(input, &got, &size), 1);
	assert_memory_equal(got, data, size);
	i_stream_destroy(&input);
	i_stream_destroy(&mem);
	test_gate_free(&gate);
	free(data);
}

/* A decoder needs no finish: what it was given arrives all the same. */
static void test_destroy_of_a_pushed_decoder(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3 * TEST_BLOCK);
	buffer_t *file = gzipped(data, 3 * TEST_BLOCK);
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_transform(
		end, transform_create_async(transform_create_gzip_decoder()));

	assert_int_equal(o_stream_send(s, file->data, file->used), file->used);
	o_stream_destroy(&s);
	assert_int_equal(buf->used, 3 * TEST_BLOCK);
	assert_memory_equal(buf->data, data, 3 * TEST_BLOCK);
	o_stream_destroy(&end);
	buffer_free(&buf);
	buffer_free(&file);
	free(data);
}

/* What a dot's end leaves is the next reader's: no thread may have it. */
static void test_a_decoder_that_stops_stays(void **state ATTR_UNUSED)
{
	struct transform *t = transform_create_dot_decoder(0);

	assert_ptr_equal(transform_create_async(t), t);
	transform_free(&t);
	t = transform_create_gzip_encoder(77);
	assert_ptr_equal(transform_create_async(t), t);
	transform_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading_does_not_wait_for_more),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_bytes_before_the_parents_error),
		cmocka_unit_test(test_seeking_back_forgets_an_error),
		cmocka_unit_test(test_destroy_of_a_pushed_decoder),
		cmocka_unit_test(test_a_decoder_that_stops_stays),
	};

	return cmocka_run_group_tests_name("transform-async-input", tests, NULL,
					   NULL);
}
