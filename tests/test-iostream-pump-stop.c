/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Pumps that are stopped, started again, let go of, or moved to another loop, at any moment. */

#include "config.h"
#include "istream.h"
#include "ostream.h"
#include "test-pump-common.h"

static void test_pump_stop_and_start(void **state)
{
	struct test_pump *f = *state;
	unsigned int stops = 0;

	test_pump_open_input(f, TEST_SIDE_NONBLOCKING, TEST_PUMP_BIG);
	test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
	test_pump_start(f);
	while (f->calls == 0) {
		test_pump_turn(f);
		if (f->calls == 0 && stops < 50) {
			stops++;
			iostream_pump_stop(f->pump);
			test_pump_turn(f);
			iostream_pump_stop(f->pump);
			iostream_pump_start(f->pump);
			iostream_pump_start(f->pump);
		}
	}
	assert_int_equal(stops, 50);
	test_pump_must_give(f, TEST_SIDE_NONBLOCKING, TEST_PUMP_BIG);
	assert_int_equal(f->calls, 1);
	/* a start is a new run: its end is told, too */
	iostream_pump_start(f->pump);
	while (f->calls == 1)
		test_pump_turn(f);
	assert_int_equal(f->status, IOSTREAM_PUMP_STATUS_INPUT_EOF);
}

static void test_pump_stopped_is_silent(void **state)
{
	struct test_pump *f = *state;
	struct iostream_pump *other;

	test_pump_open_input(f, TEST_SIDE_BLOCKING, 10);
	test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
	test_pump_start(f);
	iostream_pump_stop(f->pump);
	test_pump_turn(f);
	assert_int_equal(f->input->v_offset, 0);
	iostream_pump_start(f->pump);
	/* destroyed, although somebody refers to it */
	other = f->pump;
	iostream_pump_ref(other);
	iostream_pump_destroy(&f->pump);
	test_pump_turn(f);
	assert_ptr_equal(iostream_pump_get_input(other), f->input);
	assert_ptr_equal(iostream_pump_get_output(other), f->output);
	iostream_pump_unref(&other);
	iostream_pump_unref(&other);
	assert_int_equal(f->calls, 0);
	assert_int_equal(f->input->v_offset, 0);
}

struct stopper {
	struct test_pump *f;
	bool destroy, at_end;
	unsigned int calls;
};

static bool stop_while_reading(buffer_t *buf, void *context)
{
	struct stopper *stopper = context;

	if (stopper->calls++ > 0)
		return !stopper->at_end;
	buffer_append(buf, "data", 4);
	if (stopper->destroy)
		iostream_pump_destroy(&stopper->f->pump);
	else
		iostream_pump_stop(stopper->f->pump);
	return !stopper->at_end;
}

/* Whoever the bytes pass may stop the pump, or let go of it: then it neither goes on
   nor tells an end. */
static void test_pump_stopped_by_its_input(void **state)
{
	struct test_pump *f = *state;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		struct stopper stopper = { f, (i & 1) != 0, (i & 2) != 0, 0 };

		f->input =
			i_stream_create_callback(stop_while_reading, &stopper);
		test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
		test_pump_start(f);
		test_pump_turn(f);
		assert_true(stopper.calls <= 2);
		test_pump_turn(f);
		test_pump_turn(f);
		assert_true(stopper.calls <= 2);
		assert_int_equal(f->calls, 0);
		test_pump_reset(f);
	}
}

/* In whatever call the end comes: the callback may free the pump, which was the
   last to refer to the streams. */
static void test_pump_destroyed_by_its_callback(void **state)
{
	struct test_pump *f = *state;
	size_t i;

	f->destroy = true;
	for (i = 0; i < TEST_PUMP_SIDES; i++) {
		test_pump_open_input(f, test_pump_sides[i][0], 300000);
		test_pump_open_output(f, test_pump_sides[i][1]);
		test_pump_start(f);
		i_stream_unref(&f->input);
		o_stream_unref(&f->output);
		test_pump_complete(f);
		assert_null(f->pump);
		test_pump_must_give(f, test_pump_sides[i][1], 300000);
		test_pump_reset(f);
	}
}

static void test_pump_switch_ioloop(void **state)
{
	struct test_pump *f = *state;
	struct ioloop *other;

	test_pump_open_input(f, TEST_SIDE_NONBLOCKING, 300000);
	test_pump_open_output(f, TEST_SIDE_NONBLOCKING);
	test_pump_start(f);
	while (f->got->used < 10000)
		test_pump_turn(f);
	other = io_loop_create();
	iostream_pump_switch_ioloop(f->pump);
	f->feed_io = io_loop_move_io(&f->feed_io);
	f->drain_io = io_loop_move_io(&f->drain_io);
	io_loop_destroy(&f->loop);
	f->loop = other;
	test_pump_complete(f);
	test_pump_must_give(f, TEST_SIDE_NONBLOCKING, 300000);
}

static bool stop_at_once(uoff_t offset ATTR_UNUSED, void *context)
{
	struct test_pump *f = context;

	iostream_pump_stop(f->pump);
	return true;
}

/* Not with the next piece in the same turn, either; a new start does. */
static void test_pump_stopped_goes_on_no_more(void **state)
{
	struct test_pump *f = *state;
	struct istream *file;
	uoff_t moved;

	test_pump_open_input(f, TEST_SIDE_BLOCKING, TEST_PUMP_BIG);
	file = f->input;
	f->input = i_stream_create_progress(file, 1, stop_at_once, f);
	i_stream_unref(&file);
	test_pump_open_output(f, TEST_SIDE_BLOCKING);
	test_pump_start(f);
	test_pump_turn(f);
	moved = f->input->v_offset;
	assert_true(moved > 0 && moved < TEST_PUMP_BIG / 10);
	test_pump_turn(f);
	assert_int_equal(f->input->v_offset, moved);
	assert_int_equal(f->calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH_PUMP(test_pump_stop_and_start),
		TEST_WITH_PUMP(test_pump_stopped_is_silent),
		TEST_WITH_PUMP(test_pump_stopped_by_its_input),
		TEST_WITH_PUMP(test_pump_destroyed_by_its_callback),
		TEST_WITH_PUMP(test_pump_switch_ioloop),
		TEST_WITH_PUMP(test_pump_stopped_goes_on_no_more),
	};

	return cmocka_run_group_tests_name("iostream-pump-stop", tests, NULL,
					   NULL);
}
