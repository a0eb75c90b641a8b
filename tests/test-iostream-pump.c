/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Pumps, over every kind of blocking and non-blocking sides. */

#include "config.h"
#include "istream.h"
#include "ostream.h"
#include "test-pump-common.h"

#include <errno.h>
#include <unistd.h>

static void test_pump_all_sides(void **state)
{
	static const size_t sizes[] = { 0, 1, 300000, TEST_PUMP_BIG };
	struct test_pump *f = *state;
	size_t i, j;

	for (i = 0; i < TEST_PUMP_SIDES; i++) {
		for (j = 0; j < N_ELEMENTS(sizes); j++) {
			test_pump_open_input(f, test_pump_sides[i][0],
					     sizes[j]);
			test_pump_open_output(f, test_pump_sides[i][1]);
			test_pump_start(f);
			test_pump_complete(f);
			assert_int_equal(f->status,
					 IOSTREAM_PUMP_STATUS_INPUT_EOF);
			assert_string_equal(f->error, "<no error>");
			test_pump_must_give(f, test_pump_sides[i][1], sizes[j]);
			assert_int_equal(f->input->v_offset, sizes[j]);
			test_pump_reset(f);
		}
	}
}

static const size_t failures[] = { 0, 1, 150000, 299999, 300000 };

static void test_pump_input_fails(void **state)
{
	struct test_pump *f = *state;
	struct istream *input;
	size_t i, j;

	for (i = 0; i < TEST_PUMP_SIDES; i++) {
		for (j = 0; j < N_ELEMENTS(failures); j++) {
			test_pump_open_input(f, test_pump_sides[i][0], 300000);
			input = f->input;
			f->input = failures[j] == 300000 ?
				i_stream_create_failure_at_eof(input, EIO,
							       "broken") :
				i_stream_create_failure_at(input, failures[j],
							   EIO, "broken");
			i_stream_unref(&input);
			i_stream_set_name(f->input, "SOURCE");
			test_pump_open_output(f, test_pump_sides[i][1]);
			test_pump_start(f);
			test_pump_complete(f);
			assert_int_equal(f->status,
					 IOSTREAM_PUMP_STATUS_INPUT_ERROR);
			assert_string_equal(f->error,
					    "reading from SOURCE "
					    "failed: broken");
			/* what came before has gone out */
			test_pump_must_give(f, test_pump_sides[i][1],
					    failures[j]);
			test_pump_reset(f);
			io_remove(&f->feed_io);
			test_close_fd(&f->in_fds[1]);
		}
	}
}

static void test_pump_output_fails(void **state)
{
	struct test_pump *f = *state;
	struct ostream *output;
	size_t i, j;

	for (i = 0; i < TEST_PUMP_SIDES; i++) {
		for (j = 0; j < N_ELEMENTS(failures); j++) {
			test_pump_open_input(f, test_pump_sides[i][0], 300000);
			test_pump_open_output(f, test_pump_sides[i][1]);
			output = f->output;
			f->output = failures[j] == 300000 ?
				o_stream_create_failure_at_flush(output,
								 "broken") :
				o_stream_create_failure_at(output, failures[j],
							   "broken");
			o_stream_unref(&output);
			o_stream_set_name(f->output, "SINK");
			test_pump_start(f);
			test_pump_complete(f);
			assert_int_equal(f->status,
					 IOSTREAM_PUMP_STATUS_OUTPUT_ERROR);
			assert_string_equal(f->error,
					    "writing to SINK failed: "
					    "broken");
			test_pump_reset(f);
			io_remove(&f->feed_io);
			test_close_fd(&f->in_fds[1]);
			test_pump_turn(f);
		}
	}
}

/* The reader of the socket goes away, while the pump waits for it. */
static void test_pump_output_is_closed(void **state)
{
	struct test_pump *f = *state;

	test_pump_open_input(f, TEST_SIDE_BLOCKING, TEST_PUMP_BIG);
	test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
	io_remove(&f->drain_io);
	test_pump_start(f);
	test_pump_turn(f);
	test_pump_turn(f);
	assert_true(iostream_pump_is_waiting_output(f->pump));
	test_close_fd(&f->out_fds[0]);
	test_pump_complete(f);
	assert_int_equal(f->status, IOSTREAM_PUMP_STATUS_OUTPUT_ERROR);
	assert_int_equal(f->output->stream_errno, EPIPE);
	assert_true(iostream_pump_is_waiting_output(f->pump));
}

/* What a failed or closed input had buffered is still delivered. */
static void test_pump_buffered_before_a_failure(void **state)
{
	struct test_pump *f = *state;
	struct istream *input;

	test_pump_open_input(f, TEST_SIDE_BLOCKING, 1000);
	input = f->input;
	f->input = i_stream_create_failure_at(input, 500, EIO, "broken");
	i_stream_unref(&input);
	while (i_stream_read(f->input) > 0)
		;
	assert_int_equal(f->input->stream_errno, EIO);
	test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
	test_pump_start(f);
	test_pump_complete(f);
	assert_int_equal(f->status, IOSTREAM_PUMP_STATUS_INPUT_ERROR);
	test_pump_must_give(f, TEST_SIDE_NONBLOCKING, 500);
}

/*
 * Waiting
 */

/* A reader that is held: the output's memory does not grow with the input. */
static void test_pump_memory_is_bounded(void **state)
{
	struct test_pump *f = *state;
	size_t used, i;

	for (i = 0; i < 2; i++) {
		test_pump_open_input(
			f, i == 0 ? TEST_SIDE_BLOCKING : TEST_SIDE_NONBLOCKING,
			TEST_PUMP_BIG);
		test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
		io_remove(&f->drain_io);
		test_pump_start(f);
		while (!iostream_pump_is_waiting_output(f->pump))
			test_pump_turn(f);
		test_pump_turn(f);
		used = o_stream_get_buffer_used_size(f->output);
		/* a file's bytes do not even pass through it */
		assert_true(i == 0 || used > 0);
		assert_true(used <= 400000);
		assert_true(f->input->v_offset <= 1000000);
		assert_int_equal(f->calls, 0);
		f->drain_io =
			io_add(f->out_fds[0], IO_READ, test_pump_drain, f);
		test_pump_complete(f);
		test_pump_must_give(f, TEST_SIDE_NONBLOCKING, TEST_PUMP_BIG);
		test_pump_reset(f);
	}
}

/* While the input pauses, the other side can read all it has given. */
static void test_pump_pause_is_a_sync_point(void **state)
{
	struct test_pump *f = *state;
	struct istream *source, *input;
	struct ostream *output;
	buffer_t *plain = buffer_create_dynamic(default_pool, 64);

	f->input = i_stream_create_fd(f->in_fds[0], 0);
	test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
	output = f->output;
	f->output = o_stream_create_gzip(output, 6);
	o_stream_unref(&output);
	test_pump_start(f);
	assert_int_equal(write(f->in_fds[1], "so far", 6), 6);
	while (f->got->used < 20)
		test_pump_turn(f);
	assert_false(iostream_pump_is_waiting_output(f->pump));
	source = i_stream_create_from_buffer(f->got);
	input = i_stream_create_gzip(source);
	assert_int_equal(test_read_all(input, plain), EPIPE);
	assert_int_equal(plain->used, 6);
	i_stream_unref(&input);
	i_stream_unref(&source);
	/* the trailer is the caller's */
	test_close_fd(&f->in_fds[1]);
	test_pump_complete(f);
	assert_int_equal(f->status, IOSTREAM_PUMP_STATUS_INPUT_EOF);
	assert_int_equal(o_stream_finish(f->output), 1);
	test_pump_turn(f);
	source = i_stream_create_from_buffer(f->got);
	input = i_stream_create_gzip(source);
	plain->used = 0;
	assert_int_equal(test_read_all(input, plain), 0);
	i_stream_unref(&input);
	i_stream_unref(&source);
	buffer_free(&plain);
}

static bool no_data(buffer_t *buf ATTR_UNUSED, void *context ATTR_UNUSED)
{
	return true;
}

static void test_pump_input_without_an_fd(void **state)
{
	struct test_pump *f = *state;

	f->input = i_stream_create_callback(no_data, NULL);
	test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
	test_pump_start(f);
	test_pump_turn(f);
	memcpy(f->data, "given", 5);
	i_stream_callback_append_str(f->input, "given");
	test_pump_turn(f);
	assert_int_equal(f->got->used, 0);
	i_stream_set_input_pending(f->input, true);
	test_pump_must_give(f, TEST_SIDE_NONBLOCKING, 5);
	assert_int_equal(f->calls, 0);
}

static void test_pump_wrong_use(void **state)
{
	struct test_pump *f = *state;
	struct istream *input;
	unsigned int i;

	test_pump_open_input(f, TEST_SIDE_BLOCKING, 10);
	test_pump_open_output(f, TEST_SIDE_BLOCKING);
	f->pump = iostream_pump_create(f->input, f->output);
	EXPECT_PANIC("there is no callback", iostream_pump_start(f->pump));
	iostream_pump_destroy(&f->pump);
	iostream_pump_destroy(&f->pump);
	/* a cork would keep the bytes from the fd; as many streams on top of
	   each other as there may be */
	o_stream_cork(f->output);
	for (i = 1; i < 256; i++) {
		input = f->input;
		f->input = i_stream_create_noop(input);
		i_stream_unref(&input);
	}
	test_pump_start(f);
	test_pump_complete(f);
	test_pump_must_give(f, TEST_SIDE_BLOCKING, 10);
}

static bool was_waiting;

static void note_waiting(enum iostream_pump_status status, struct test_pump *f)
{
	was_waiting = iostream_pump_is_waiting_output(f->pump);
	test_pump_completed(status, f);
}

/* Behind the end of the input it is the output alone that is waited for, also where that
   has room; and so it stays when the callback is called. */
static void test_pump_waits_for_output_at_the_end(void **state)
{
	struct test_pump *f = *state;
	struct istream *input;
	unsigned int fails;

	for (fails = 0; fails < 2; fails++) {
		test_pump_open_input(f, TEST_SIDE_BLOCKING, 10);
		if (fails == 1) {
			input = f->input;
			f->input = i_stream_create_failure_at(input, 10, EIO,
							      "failure");
			i_stream_unref(&input);
		}
		test_pump_open_output(f, TEST_SIDE_BLOCKING);
		f->pump = iostream_pump_create(f->input, f->output);
		iostream_pump_set_completion_callback(f->pump, note_waiting, f);
		iostream_pump_start(f->pump);
		assert_false(iostream_pump_is_waiting_output(f->pump));
		was_waiting = false;
		test_pump_complete(f);
		assert_true(was_waiting);
		test_pump_reset(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH_PUMP(test_pump_all_sides),
		TEST_WITH_PUMP(test_pump_input_fails),
		TEST_WITH_PUMP(test_pump_output_fails),
		TEST_WITH_PUMP(test_pump_output_is_closed),
		TEST_WITH_PUMP(test_pump_buffered_before_a_failure),
		TEST_WITH_PUMP(test_pump_memory_is_bounded),
		TEST_WITH_PUMP(test_pump_pause_is_a_sync_point),
		TEST_WITH_PUMP(test_pump_input_without_an_fd),
		TEST_WITH_PUMP(test_pump_wrong_use),
		TEST_WITH_PUMP(test_pump_waits_for_output_at_the_end),
	};

	return cmocka_run_group_tests_name("iostream-pump", tests, NULL, NULL);
}
