/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output streams that pass bytes on, each against its own rules. */

#include "config.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Three sends of "abc" and one of "d", of which the sink takes `step` at once. */
static void test_progress(void **state ATTR_UNUSED)
{
	static const struct {
		uoff_t step;
		const char *sent, *finished;
	} cases[] = {
		{ 0, "3 6 9 10 ", "3 6 9 10 " },
		{ 4, "6 10 ", "6 10 " },
		{ 5, "6 ", "6 10 " },
		{ 11, "", "10 " },
	};
	struct test_sink *sink;
	struct ostream *s;
	struct test_told told;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		memset(&told, 0, sizeof(told));
		sink = test_sink_create(SIZE_MAX, 0);
		s = o_stream_create_progress(sink->stream, cases[i].step,
					     test_tell, &told);
		assert_int_equal(o_stream_send(s, "abc", 3), 3);
		assert_int_equal(o_stream_send(s, "abc", 3), 3);
		assert_int_equal(o_stream_send(s, "abc", 3), 3);
		assert_int_equal(o_stream_send(s, "d", 1), 1);
		assert_int_equal(o_stream_flush(s), 1);
		assert_string_equal(told.text, cases[i].sent);
		assert_int_equal(o_stream_finish(s), 1);
		assert_int_equal(o_stream_finish(s), 1);
		assert_string_equal(told.text, cases[i].finished);
		assert_string_equal(buffer_c_str(sink->data), "abcabcabcd");
		o_stream_destroy(&s);
		test_sink_free(&sink);
	}
}

static void test_progress_counts_what_was_taken(void **state ATTR_UNUSED)
{
	struct test_told told = { "", 0, 0 };
	struct test_sink *sink = test_sink_create(4, 0);
	struct ostream *s =
		o_stream_create_progress(sink->stream, 0, test_tell, &told);

	assert_int_equal(o_stream_send(s, "abcdef", 6), 4);
	assert_int_equal(o_stream_send(s, "ef", 2), 0);
	test_sink_allow(sink, 10);
	assert_int_equal(o_stream_send(s, "ef", 2), 2);
	assert_int_equal(o_stream_finish(s), 1);
	assert_string_equal(told.text, "4 6 ");
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

/* The bytes that were taken are; the calls after them fail. */
static void test_progress_cancels(void **state ATTR_UNUSED)
{
	struct test_told told = { "", 0, 1 };
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *s =
		o_stream_create_progress(sink->stream, 0, test_tell, &told);

	o_stream_set_name(s, "upload");
	assert_int_equal(o_stream_send(s, "abc", 3), 3);
	assert_int_equal(s->offset, 3);
	assert_int_equal(o_stream_send(s, "abc", 3), -1);
	assert_int_equal(o_stream_finish(s), -1);
	assert_int_equal(s->stream_errno, ECANCELED);
	assert_string_equal(o_stream_get_error(s),
			    "upload: writing was cancelled after 3 bytes");
	o_stream_destroy(&s);
	assert_string_equal(buffer_c_str(sink->data), "abc");
	test_sink_free(&sink);
}

/*
 * Tee
 */

#define TEE_MAX 3

struct tee_test {
	struct test_sink *sinks[TEE_MAX];
	struct ostream *stream;
};

static void tee_begin(struct tee_test *test, const size_t rooms[TEE_MAX],
		      const size_t steps[TEE_MAX])
{
	struct ostream *outputs[TEE_MAX + 1];
	unsigned int i;

	for (i = 0; i < TEE_MAX; i++) {
		test->sinks[i] = test_sink_create(rooms[i], steps[i]);
		outputs[i] = test->sinks[i]->stream;
	}
	outputs[TEE_MAX] = NULL;
	test->stream = o_stream_create_tee(outputs);
}

static void tee_end(struct tee_test *test)
{
	unsigned int i;

	o_stream_destroy(&test->stream);
	for (i = 0; i < TEE_MAX; i++)
		test_sink_free(&test->sinks[i]);
}

static void test_tee_sends_to_all(void **state ATTR_UNUSED)
{
	static const size_t all[] = { SIZE_MAX, SIZE_MAX, SIZE_MAX };
	static const size_t steps[] = { 0, 0, 0 };
	struct const_iovec iov[] = { { "ab", 2 }, { "", 0 }, { "cde", 3 } };
	struct tee_test test;
	unsigned int i;

	tee_begin(&test, all, steps);
	assert_int_equal(o_stream_sendv(test.stream, iov, 3), 5);
	assert_int_equal(o_stream_send_str(test.stream, "f"), 1);
	assert_int_equal(test.stream->offset, 6);
	assert_int_equal(o_stream_flush(test.stream), 1);
	assert_int_equal(o_stream_finish(test.stream), 1);
	for (i = 0; i < TEE_MAX; i++) {
		assert_string_equal(buffer_c_str(test.sinks[i]->data),
				    "abcdef");
		assert_int_equal(test.sinks[i]->flushes, 1);
		assert_int_equal(test.sinks[i]->finishes, 1);
	}
	tee_end(&test);
}

static void test_tee_slowest_decides(void **state ATTR_UNUSED)
{
	static const size_t rooms[] = { SIZE_MAX, 1, 3 };
	static const size_t steps[] = { 0, 0, 0 };
	struct tee_test test;
	unsigned int i;

	tee_begin(&test, rooms, steps);
	o_stream_set_max_buffer_size(test.stream, 4);
	assert_int_equal(o_stream_get_buffer_avail_size(test.stream), 4);
	/* "b".."e" wait for the second one */
	assert_int_equal(o_stream_send_str(test.stream, "abcdefgh"), 5);
	assert_true(test.stream->overflow);
	assert_int_equal(o_stream_get_buffer_used_size(test.stream), 4);
	assert_int_equal(o_stream_get_buffer_avail_size(test.stream), 0);
	assert_string_equal(buffer_c_str(test.sinks[0]->data), "abcde");
	assert_string_equal(buffer_c_str(test.sinks[1]->data), "a");
	assert_string_equal(buffer_c_str(test.sinks[2]->data), "abc");
	assert_int_equal(o_stream_send_str(test.stream, "fgh"), 0);
	assert_int_equal(o_stream_finish(test.stream), 0);
	/* only one that has all is finished */
	assert_int_equal(test.sinks[0]->finishes, 1);
	assert_int_equal(test.sinks[1]->finishes, 0);
	test_sink_allow(test.sinks[1], 2);
	assert_int_equal(o_stream_finish(test.stream), 0);
	assert_string_equal(buffer_c_str(test.sinks[1]->data), "abc");
	test_sink_allow(test.sinks[1], 2);
	test_sink_allow(test.sinks[2], 2);
	assert_int_equal(o_stream_finish(test.stream), 1);
	for (i = 0; i < TEE_MAX; i++) {
		assert_string_equal(buffer_c_str(test.sinks[i]->data), "abcde");
		assert_true(test.sinks[i]->finishes > 0);
	}
	tee_end(&test);
}

/* Streams of any speed get the same bytes. */
static void test_tee_random(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 5000);
	size_t rooms[TEE_MAX], steps[TEE_MAX], pos, len;
	struct tee_test test;
	uint32_t seed = 7;
	unsigned int round, i;
	ssize_t ret;

	for (round = 0; round < 50; round++) {
		for (i = 0; i < TEE_MAX; i++) {
			rooms[i] = test_random(&seed) % 100;
			steps[i] = test_random(&seed) % 20;
		}
		tee_begin(&test, rooms, steps);
		o_stream_set_max_buffer_size(test.stream,
					     test_random(&seed) % 300);
		for (pos = 0; pos < 5000;) {
			len = test_random(&seed) % 700;
			len = I_MIN(len, 5000 - pos);
			ret = o_stream_send(test.stream, data + pos, len);
			assert_in_range(ret, 0, len);
			pos += (size_t)ret;
			i = test_random(&seed) % TEE_MAX;
			test_sink_allow(test.sinks[i],
					test_random(&seed) % 300);
		}
		while (o_stream_finish(test.stream) == 0) {
			for (i = 0; i < TEE_MAX; i++)
				test_sink_allow(test.sinks[i], 50);
		}
		for (i = 0; i < TEE_MAX; i++) {
			assert_int_equal(test.sinks[i]->data->used, 5000);
			assert_memory_equal(test.sinks[i]->data->data, data,
					    5000);
		}
		tee_end(&test);
	}
	free(data);
}

static void test_tee_error_of_one(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *outputs[] = { sink->stream, NULL, NULL }, *s;

	outputs[1] = o_stream_create_failure_at(sink->stream, 2, "disk gone");
	s = o_stream_create_tee(outputs);
	assert_int_equal(o_stream_send_str(s, "ab"), 2);
	assert_int_equal(o_stream_send_str(s, "cd"), -1);
	assert_int_equal(s->stream_errno, EIO);
	assert_string_equal(o_stream_get_error(s), "disk gone");
	assert_int_equal(o_stream_finish(s), -1);
	o_stream_destroy(&s);
	o_stream_destroy(&outputs[1]);
	test_sink_free(&sink);
}

/* A cork's end meets the error: it is the tee's to check, not the output's. */
static void test_tee_error_at_uncork(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *outputs[] = { NULL, sink->stream, NULL }, *s;

	outputs[0] = o_stream_create_failure_at_flush(sink->stream, "no flush");
	s = o_stream_create_tee(outputs);
	o_stream_cork(s);
	assert_true(o_stream_is_corked(outputs[0]));
	assert_true(o_stream_is_corked(sink->stream));
	o_stream_nsend_str(s, "ab");
	o_stream_uncork(s);
	assert_false(o_stream_is_corked(sink->stream));
	assert_int_equal(o_stream_finish(s), -1);
	assert_string_equal(o_stream_get_error(s), "no flush");
	o_stream_destroy(&s);
	o_stream_destroy(&outputs[0]);
	test_sink_free(&sink);
}

static void test_tee_trailers(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *outputs[] = { NULL, NULL, NULL }, *s;

	outputs[0] = o_stream_create_dot(sink->stream, false);
	s = o_stream_create_tee(outputs);
	assert_int_equal(o_stream_send_str(s, "a\n"), 2);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	o_stream_destroy(&outputs[0]);
	assert_string_equal(buffer_c_str(sink->data), "a\r\n.\r\n");

	/* given up: the trailer is not asked for */
	outputs[0] = o_stream_create_dot(sink->stream, false);
	s = o_stream_create_tee(outputs);
	o_stream_unref(&outputs[0]);
	o_stream_abort(s);
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

/* Two pipes, of which one is read only when the writer has to wait. */
struct pipes {
	int reader[2];
	struct io *io[2];
	struct ostream *stream;
	buffer_t *data[2];
	size_t sent, size;
};

static int send_more(void *context)
{
	static const unsigned char block[10000];
	struct pipes *pipes = context;
	ssize_t ret;

	while (pipes->sent < pipes->size) {
		ret = o_stream_send(pipes->stream, block,
				    I_MIN(sizeof(block),
					  pipes->size - pipes->sent));
		assert_true(ret >= 0);
		if (ret == 0)
			return 0;
		pipes->sent += (size_t)ret;
	}
	return o_stream_finish(pipes->stream);
}

static void read_pipe(struct pipes *pipes, unsigned int i)
{
	char block[4096];
	ssize_t ret = read(pipes->reader[i], block, sizeof(block));

	assert_true(ret > 0);
	buffer_append(pipes->data[i], block, (size_t)ret);
	if (pipes->data[0]->used == pipes->size &&
	    pipes->data[1]->used == pipes->size)
		io_loop_stop(current_ioloop);
}

static void read_first(void *context)
{
	read_pipe(context, 0);
}

static void read_second(void *context)
{
	struct pipes *pipes = context;

	/* the slow one: only when the other has no more to read */
	if (pipes->data[0]->used >= pipes->sent - I_MIN(pipes->sent, 65536))
		read_pipe(pipes, 1);
}

static void test_tee_in_a_loop(void **state ATTR_UNUSED)
{
	struct ioloop *loop = io_loop_create();
	struct ostream *outputs[3] = { NULL, NULL, NULL };
	struct pipes pipes = { .size = 1000000 };
	unsigned int i;
	int fds[2];

	for (i = 0; i < 2; i++) {
		assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
		pipes.reader[i] = fds[0];
		pipes.data[i] = buffer_create_dynamic(default_pool, 1024);
		outputs[i] = o_stream_create_fd_autoclose(&fds[1], 5000);
	}
	pipes.io[0] = io_add(pipes.reader[0], IO_READ, read_first, &pipes);
	pipes.io[1] = io_add(pipes.reader[1], IO_READ, read_second, &pipes);
	pipes.stream = o_stream_create_tee(outputs);
	o_stream_unref(&outputs[0]);
	o_stream_unref(&outputs[1]);
	o_stream_set_flush_callback(pipes.stream, send_more, &pipes);
	o_stream_set_flush_pending(pipes.stream, true);
	io_loop_run(loop);
	assert_int_equal(o_stream_finish(pipes.stream), 1);
	o_stream_destroy(&pipes.stream);
	for (i = 0; i < 2; i++) {
		assert_int_equal(pipes.data[i]->used, pipes.size);
		io_remove(&pipes.io[i]);
		assert_int_equal(close(pipes.reader[i]), 0);
		buffer_free(&pipes.data[i]);
	}
	io_loop_destroy(&loop);
}

/* A tee over one output, which holds most of SLOW_SIZE bytes: its pipe is full. */
#define SLOW_SIZE 300000

static struct ostream *create_slow_tee(struct ostream *outputs[2],
				       int *reader_r)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SLOW_SIZE);
	struct ostream *s;
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	*reader_r = fds[0];
	outputs[0] = o_stream_create_fd_autoclose(&fds[1], SIZE_MAX);
	outputs[1] = NULL;
	s = o_stream_create_tee(outputs);
	assert_int_equal(o_stream_send(s, data, SLOW_SIZE), SLOW_SIZE);
	assert_int_equal(o_stream_flush(s), 0);
	free(data);
	return s;
}

/* What waits in an output stays there when the tee goes. */
static void test_tee_goes_before_its_output(void **state ATTR_UNUSED)
{
	struct ostream *outputs[2], *s;
	char block[4096];
	size_t have = 0;
	ssize_t ret;
	int reader;

	s = create_slow_tee(outputs, &reader);
	o_stream_destroy(&s);
	assert_int_equal(outputs[0]->stream_errno, 0);
	while (have < SLOW_SIZE) {
		assert_true(o_stream_flush(outputs[0]) >= 0);
		ret = read(reader, block, sizeof(block));
		assert_true(ret > 0);
		have += (size_t)ret;
	}
	assert_int_equal(o_stream_finish(outputs[0]), 1);
	o_stream_destroy(&outputs[0]);
	assert_int_equal(close(reader), 0);
}

static void test_tee_is_closed_with_its_output(void **state ATTR_UNUSED)
{
	struct ostream *outputs[2], *s;
	int reader;

	s = create_slow_tee(outputs, &reader);
	o_stream_close(s);
	assert_int_equal(s->stream_errno, EPIPE);
	assert_non_null(strstr(o_stream_get_error(s), "could not be sent"));
	assert_string_equal(o_stream_get_error(s),
			    o_stream_get_error(outputs[0]));
	o_stream_destroy(&s);
	o_stream_destroy(&outputs[0]);
	assert_int_equal(close(reader), 0);
}

static void test_tee_depth(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *layers[258], *outputs[2] = { NULL, NULL };
	unsigned int i;

	layers[0] = sink->stream;
	for (i = 1; i < 257; i++) {
		outputs[0] = layers[i - 1];
		layers[i] = o_stream_create_tee(outputs);
	}
	assert_int_equal(layers[255]->stream_errno, 0);
	assert_int_equal(layers[256]->stream_errno, ELOOP);
	assert_int_equal(o_stream_send_str(layers[255], "deep"), 4);
	assert_int_equal(o_stream_finish(layers[255]), 1);
	assert_string_equal(buffer_c_str(sink->data), "deep");
	for (i = 256; i > 0; i--)
		o_stream_destroy(&layers[i]);
	test_sink_free(&sink);
}

/* A stream on top of `lower`, whose reference it takes over. */
static struct ostream *layer(unsigned int kind, struct ostream *lower)
{
	struct ostream *outputs[] = { lower, NULL }, *upper;

	switch (kind) {
	case 0:
		upper = o_stream_create_passthrough(lower);
		break;
	case 1:
		upper = o_stream_create_tee(outputs);
		break;
	case 2:
		upper = o_stream_create_multiplex(
			lower, 0, OSTREAM_MULTIPLEX_FORMAT_PACKET);
		break;
	case 3:
		upper = o_stream_create_hex(lower);
		break;
	default:
		upper = o_stream_create_limit(lower, 1000);
		break;
	}
	o_stream_unref(&lower);
	return upper;
}

/* What would have brought the trailer of the lowest is given up: so is that. */
static void test_abort_reaches_through_all_layers(void **state ATTR_UNUSED)
{
	struct ostream *end, *s;
	unsigned int a, b, c;

	for (a = 0; a < 5; a++) {
		for (b = 0; b < 5; b++) {
			for (c = 0; c < 5; c++) {
				end = o_stream_create_null();
				s = o_stream_create_gzip(end, 6);
				o_stream_unref(&end);
				s = layer(a, layer(b, layer(c, s)));
				o_stream_nsend_str(s, "hello");
				o_stream_abort(s);
				/* no panic about a missing finish */
				o_stream_destroy(&s);
			}
		}
	}
}

static int stop_its_loop(void *context)
{
	struct ioloop *loop = context;

	io_loop_stop(loop);
	return 1;
}

/* Who waited for a filter waits for it again when what was on top of it is gone. */
static void test_a_filters_callback_is_restored(void **state ATTR_UNUSED)
{
	struct ioloop *loop = io_loop_create();
	struct ostream *end, *filter, *upper;
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	end = o_stream_create_fd_autoclose(&fds[1], 100);
	filter = o_stream_create_passthrough(end);
	o_stream_set_flush_callback(filter, stop_its_loop, loop);
	upper = o_stream_create_gzip(filter, 6);
	o_stream_set_flush_pending(upper, true);
	assert_int_equal(o_stream_finish(upper), 1);
	o_stream_destroy(&upper);
	o_stream_set_flush_pending(filter, true);
	io_loop_run(loop);
	o_stream_destroy(&filter);
	o_stream_destroy(&end);
	io_loop_destroy(&loop);
	assert_int_equal(close(fds[0]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_progress_counts_what_was_taken),
		cmocka_unit_test(test_progress_cancels),
		cmocka_unit_test(test_tee_sends_to_all),
		cmocka_unit_test(test_tee_slowest_decides),
		cmocka_unit_test(test_tee_random),
		cmocka_unit_test(test_tee_error_of_one),
		cmocka_unit_test(test_tee_error_at_uncork),
		cmocka_unit_test(test_tee_trailers),
		cmocka_unit_test(test_tee_in_a_loop),
		cmocka_unit_test(test_tee_goes_before_its_output),
		cmocka_unit_test(test_tee_is_closed_with_its_output),
		cmocka_unit_test(test_tee_depth),
		cmocka_unit_test(test_abort_reaches_through_all_layers),
		cmocka_unit_test(test_a_filters_callback_is_restored),
	};

	return cmocka_run_group_tests_name("ostream-plumbing", tests, NULL,
					   NULL);
}
