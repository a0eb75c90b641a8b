/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Transforms on a thread of their own, to which is sent. That the bytes and errors are those
   of the transform itself is shown by test-transforms; here it is about who waits for whom,
   without an event loop. What is read is in test-transform-async-input. */

#include "config.h"
#include "test-held-codec.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void *open_gate(void *context)
{
	test_gate_open(context);
	return NULL;
}

/*
 * Sending
 */

static void test_sends_return_while_the_codec_works(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 40 * TEST_BLOCK);
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf), *s;
	struct test_held_codec *held;
	struct test_gate gate;
	pthread_t opener;

	test_gate_init(&gate);
	held = test_held_new(&gate, SIZE_MAX);
	s = o_stream_create_transform(end,
				      transform_create_async(&held->transform));
	/* the codec has a block and cannot go on; four more wait */
	assert_int_equal(o_stream_send(s, data, TEST_BLOCK), TEST_BLOCK);
	test_gate_wait_for_caller(&gate);
	assert_int_equal(o_stream_send(s, data + TEST_BLOCK, 3 * TEST_BLOCK),
			 3 * TEST_BLOCK);
	assert_int_equal(o_stream_send(s, data + 4 * TEST_BLOCK, TEST_BLOCK),
			 TEST_BLOCK);
	assert_int_equal(buf->used, 0);
	assert_int_equal(gate.inside, 1);
	/* what is more than that waits for the codec, and loses nothing */
	assert_int_equal(pthread_create(&opener, NULL, open_gate, &gate), 0);
	assert_int_equal(o_stream_send(s, data + 5 * TEST_BLOCK,
				       35 * TEST_BLOCK),
			 35 * TEST_BLOCK);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(pthread_join(opener, NULL), 0);
	assert_false(pthread_equal(held->caller, pthread_self()));
	assert_int_equal(buf->used, 40 * TEST_BLOCK);
	assert_memory_equal(buf->data, data, 40 * TEST_BLOCK);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
	test_gate_free(&gate);
	free(data);
}

/* What the codec's own threads have is as little sent as what waits for the codec. */
static void test_what_the_codecs_threads_have_counts(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3 * TEST_BLOCK);
	struct ostream *end = o_stream_create_null(), *s;
	struct test_held_codec *held;
	struct test_gate gate;

	test_gate_init(&gate);
	held = test_held_new(&gate, SIZE_MAX);
	held->transform.class_ = &test_crew_class;
	s = o_stream_create_transform(end,
				      transform_create_async(&held->transform));
	assert_int_equal(o_stream_send(s, data, 3 * TEST_BLOCK),
			 3 * TEST_BLOCK);
	test_gate_wait_for_calls(&gate, 1);
	assert_int_equal(o_stream_get_buffer_used_size(s), 3 * TEST_BLOCK);
	/* the first block is done with, and so is the second */
	test_gate_let(&gate, 1);
	test_gate_wait_for_calls(&gate, 2);
	assert_int_equal(o_stream_get_buffer_used_size(s), 3 * TEST_BLOCK);
	test_gate_let(&gate, 2);
	test_gate_wait_for_calls(&gate, 3);
	assert_int_equal(o_stream_get_buffer_used_size(s), 3 * TEST_BLOCK);
	test_gate_open(&gate);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(o_stream_get_buffer_used_size(s), 0);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	test_gate_free(&gate);
	free(data);
}

static void test_flush_waits_for_the_codec(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf), *s;
	struct test_gate gate;
	pthread_t opener;

	test_gate_init(&gate);
	s = o_stream_create_transform(
		end,
		transform_create_async(
			&test_held_new(&gate, SIZE_MAX)->transform));
	assert_int_equal(o_stream_send(s, "hello", 5), 5);
	assert_int_equal(buf->used, 0);
	assert_int_equal(pthread_create(&opener, NULL, open_gate, &gate), 0);
	assert_int_equal(o_stream_flush(s), 1);
	assert_int_equal(buf->used, 5);
	assert_int_equal(pthread_join(opener, NULL), 0);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
	test_gate_free(&gate);
}

/* All bytes before the error reach the parent, wherever in a block it is. */
static void test_errors_come_behind_the_bytes(void **state ATTR_UNUSED)
{
	static const size_t places[] = { 0,
					 1,
					 TEST_BLOCK - 1,
					 TEST_BLOCK,
					 TEST_BLOCK + 1,
					 7 * TEST_BLOCK + 5,
					 10 * TEST_BLOCK };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 20 * TEST_BLOCK);
	struct ostream *end, *s;
	struct test_gate gate;
	char place[100];
	buffer_t *buf;
	size_t i;

	for (i = 0; i < N_ELEMENTS(places); i++) {
		test_gate_init(&gate);
		test_gate_open(&gate);
		buf = buffer_create_dynamic(default_pool, 0);
		end = o_stream_create_buffer(buf);
		s = o_stream_create_transform(
			end,
			transform_create_async(
				&test_held_new(&gate, places[i])->transform));
		o_stream_nsend(s, data, 20 * TEST_BLOCK);
		assert_int_equal(o_stream_finish(s), -1);
		assert_int_equal(s->stream_errno, EINVAL);
		/* what waits behind the place is not counted */
		(void)snprintf(place, sizeof(place),
			       "enough of it (at byte %zu of the input, byte "
			       "%zu of the output)",
			       places[i], places[i]);
		assert_non_null(strstr(o_stream_get_error(s), place));
		assert_int_equal(buf->used, places[i]);
		assert_memory_equal(buf->data, data, places[i]);
		o_stream_destroy(&s);
		o_stream_destroy(&end);
		buffer_free(&buf);
		test_gate_free(&gate);
	}
	free(data);
}

/* Whatever the codec is doing: at work, with more behind it, or at rest. */
static void test_abort_at_any_moment(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 10, TEST_BLOCK, 4 * TEST_BLOCK };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 4 * TEST_BLOCK);
	struct ostream *end, *s;
	struct test_gate gate;
	pthread_t opener;
	buffer_t *buf;
	size_t i;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		test_gate_init(&gate);
		buf = buffer_create_dynamic(default_pool, 0);
		end = o_stream_create_buffer(buf);
		s = o_stream_create_transform(
			end,
			transform_create_async(
				&test_held_new(&gate, SIZE_MAX)->transform));
		if (sizes[i] > 0)
			assert_int_equal(o_stream_send(s, data, sizes[i]),
					 sizes[i]);
		if (sizes[i] >= TEST_BLOCK)
			test_gate_wait_for_caller(&gate);
		assert_int_equal(
			pthread_create(&opener, NULL, open_gate, &gate), 0);
		o_stream_abort(s);
		o_stream_destroy(&s);
		assert_int_equal(pthread_join(opener, NULL), 0);
		/* not even the blocks that had come out */
		assert_int_equal(buf->used, 0);
		o_stream_destroy(&end);
		buffer_free(&buf);
		test_gate_free(&gate);
	}
	free(data);
}

/* What is with the thread is used space. */
static void test_used_size(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3 * TEST_BLOCK + 100);
	struct ostream *end = o_stream_create_null(), *s;
	struct test_gate gate;

	test_gate_init(&gate);
	s = o_stream_create_transform(
		end,
		transform_create_async(
			&test_held_new(&gate, SIZE_MAX)->transform));
	assert_int_equal(o_stream_get_buffer_used_size(s), 0);
	assert_int_equal(o_stream_send(s, data, 100), 100);
	assert_int_equal(o_stream_get_buffer_used_size(s), 100);
	assert_int_equal(o_stream_send(s, data, 3 * TEST_BLOCK),
			 3 * TEST_BLOCK);
	test_gate_wait_for_caller(&gate);
	assert_int_equal(o_stream_get_buffer_used_size(s),
			 3 * TEST_BLOCK + 100);
	test_gate_open(&gate);
	assert_int_equal(o_stream_flush(s), 1);
	assert_int_equal(o_stream_get_buffer_used_size(s), 0);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	test_gate_free(&gate);
	free(data);
}

/*
 * Many
 */

static void *round_trip(void *context)
{
	unsigned char *data = context;
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end, *packed, *s;
	struct istream *in, *unpacked, *input;
	size_t done = 0, size;
	const unsigned char *got;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		buffer_set_used_size(buf, 0);
		end = o_stream_create_buffer(buf);
		packed = o_stream_create_transform(
			end,
			transform_create_async(
				transform_create_gzip_encoder(1)));
		s = o_stream_create_transform(
			packed,
			transform_create_async(
				transform_create_lz4_encoder(1)));
		for (done = 0; done < 10 * TEST_BLOCK; done += 1000 + i)
			o_stream_nsend(s, data + done,
				       I_MIN(1000 + i, 10 * TEST_BLOCK - done));
		if (o_stream_finish(s) != 1)
			return context;
		o_stream_destroy(&s);
		o_stream_destroy(&packed);
		o_stream_destroy(&end);
		in = i_stream_create_from_buffer(buf);
		unpacked = i_stream_create_transform(
			in,
			transform_create_async(
				transform_create_gzip_decoder()));
		input = i_stream_create_transform(
			unpacked,
			transform_create_async(transform_create_lz4_decoder()));
		for (done = 0; i_stream_read_more(input, &got, &size) > 0;
		     done += size) {
			if (memcmp(got, data + done, size) != 0)
				return context;
			i_stream_skip(input, size);
		}
		if (done != 10 * TEST_BLOCK || input->stream_errno != 0)
			return context;
		i_stream_destroy(&input);
		i_stream_destroy(&unpacked);
		i_stream_destroy(&in);
	}
	buffer_free(&buf);
	return NULL;
}

static void test_many_streams_in_many_threads(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, 10 * TEST_BLOCK);
	pthread_t threads[6];
	void *failed;
	size_t i;

	for (i = 0; i < N_ELEMENTS(threads); i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, round_trip, data), 0);
	for (i = 0; i < N_ELEMENTS(threads); i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	free(data);
}

/* Without a loop there is nobody to be woken, and no descriptor to do it by: least of all
   the standard input, which keeps its bytes and gets none. */
static void test_nothing_is_woken_by_descriptor_zero(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3 * TEST_BLOCK);
	struct ostream *end = o_stream_create_null(), *s;
	int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	struct test_gate gate;
	char text[17];
	int fd;

	assert_true(saved >= 0);
	test_write_file(test_path("stdin"), "0123456789abcdef", 16);
	fd = open(test_path("stdin"), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(close(fd), 0);
	test_gate_init(&gate);
	test_gate_open(&gate);
	s = o_stream_create_transform(
		end,
		transform_create_async(
			&test_held_new(&gate, SIZE_MAX)->transform));
	assert_int_equal(o_stream_send(s, data, 3 * TEST_BLOCK),
			 3 * TEST_BLOCK);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	test_gate_free(&gate);
	assert_int_equal(lseek(STDIN_FILENO, 0, SEEK_CUR), 0);
	assert_int_equal(read(STDIN_FILENO, text, 17), 16);
	assert_memory_equal(text, "0123456789abcdef", 16);
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(close(saved), 0);
	free(data);
}

/* A flush of what has no sync points waits until all is sent, and the next one goes on with
   that, also where it would not wait by itself. */
static void test_a_full_parent_does_not_end_a_flush(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, 4 * TEST_BLOCK);
	struct test_sink *sink = test_sink_create(10, 0);
	struct ostream *s = o_stream_create_transform(
		sink->stream,
		transform_create_async(transform_create_hex_encoder()));

	o_stream_set_max_buffer_size(s, SIZE_MAX);
	assert_int_equal(o_stream_send(s, data, 4 * TEST_BLOCK),
			 4 * TEST_BLOCK);
	assert_int_equal(o_stream_flush(s), 0);
	assert_int_equal(sink->data->used, 10);
	/* all that was made by then, and a part of what comes behind that */
	test_sink_allow(sink, 100000);
	assert_int_equal(o_stream_check(s), 0);
	test_sink_allow(sink, SIZE_MAX);
	assert_int_equal(o_stream_check(s), 1);
	assert_int_equal(sink->data->used, 8 * TEST_BLOCK);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	test_sink_free(&sink);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sends_return_while_the_codec_works),
		cmocka_unit_test(test_what_the_codecs_threads_have_counts),
		cmocka_unit_test(test_flush_waits_for_the_codec),
		cmocka_unit_test(test_errors_come_behind_the_bytes),
		cmocka_unit_test(test_abort_at_any_moment),
		cmocka_unit_test(test_used_size),
		cmocka_unit_test(test_many_streams_in_many_threads),
		cmocka_unit_test(test_nothing_is_woken_by_descriptor_zero),
		cmocka_unit_test(test_a_full_parent_does_not_end_a_flush),
	};

	return cmocka_run_group_tests_name("transform-async", tests, NULL,
					   NULL);
}
