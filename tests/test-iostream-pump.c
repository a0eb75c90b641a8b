/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Pumps, over every kind of blocking and non-blocking sides. */

#include "config.h"
#include "iostream-pump.h"
#include "istream.h"
#include "ostream.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* More than a pump moves in one turn of the loop. */
#define BIG 5000000
#define TURNS_MAX 100000

struct fixture {
	struct ioloop *loop;
	unsigned char *data; /* BIG bytes */
	buffer_t *got;       /* what came out at the far end of an fd */
	/* [0] is read and [1] written: a pipe whose end [1] the test feeds, and
	   a socket whose end [0] it drains */
	int in_fds[2], out_fds[2];
	struct io *feed_io, *drain_io;
	size_t fed, feed_size;

	struct istream *input;
	struct ostream *output;
	struct iostream_pump *pump;
	unsigned int calls;
	enum iostream_pump_status status;
	char error[256];
	unsigned int turns;
	bool destroy; /* in the callback */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int size = 4096;

	assert_non_null(f);
	f->loop = io_loop_create();
	f->data = test_data(TEST_DATA_RANDOM, BIG);
	f->got = buffer_create_dynamic(default_pool, 4096);
	assert_int_equal(pipe2(f->in_fds, O_NONBLOCK), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
				    f->out_fds),
			 0);
	(void)setsockopt(f->out_fds[1], SOL_SOCKET, SO_SNDBUF, &size,
			 sizeof(size));
	*state = f;
	return 0;
}

static void close_fd(int *fd)
{
	if (*fd != -1)
		(void)close(*fd);
	*fd = -1;
}

/* Ready for another pump. */
static void reset(struct fixture *f)
{
	iostream_pump_destroy(&f->pump);
	i_stream_unref(&f->input);
	if (f->output != NULL)
		o_stream_ignore_last_errors(f->output);
	o_stream_unref(&f->output);
	f->calls = 0;
	f->error[0] = '\0';
	f->got->used = 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	reset(f);
	io_remove(&f->feed_io);
	io_remove(&f->drain_io);
	io_loop_destroy(&f->loop);
	close_fd(&f->in_fds[0]);
	close_fd(&f->in_fds[1]);
	close_fd(&f->out_fds[0]);
	close_fd(&f->out_fds[1]);
	buffer_free(&f->got);
	free(f->data);
	free(f);
	return 0;
}

static void feed(struct fixture *f)
{
	ssize_t ret = write(f->in_fds[1], f->data + f->fed,
			    I_MIN(f->feed_size - f->fed, (size_t)7777));

	if (ret > 0)
		f->fed += (size_t)ret;
	if (f->fed == f->feed_size) {
		io_remove(&f->feed_io);
		close_fd(&f->in_fds[1]);
	}
}

static void drain(struct fixture *f)
{
	unsigned char block[5555];
	ssize_t ret = read(f->out_fds[0], block, sizeof(block));

	if (ret > 0)
		buffer_append(f->got, block, (size_t)ret);
	else if (ret == 0)
		io_remove(&f->drain_io);
}

static void completed(enum iostream_pump_status status, struct fixture *f)
{
	f->calls++;
	f->status = status;
	(void)snprintf(f->error, sizeof(f->error), "%s",
		       iostream_pump_get_error(f->pump));
	if (f->destroy)
		iostream_pump_unref(&f->pump);
}

static void start(struct fixture *f)
{
	f->pump = iostream_pump_create(f->input, f->output);
	iostream_pump_set_completion_callback(f->pump, completed, f);
	iostream_pump_start(f->pump);
	assert_int_equal(f->calls, 0);
}

static void nothing(void *context ATTR_UNUSED)
{
}

/* What is due in one turn of the loop, which ends although nothing may be. A test
   that waits for what never comes fails. */
static void turn(struct fixture *f)
{
	struct timeout *now = timeout_add_to(f->loop, 0, nothing, NULL);

	assert_true(f->turns++ < TURNS_MAX);
	io_loop_handler_run(f->loop);
	timeout_remove(&now);
}

static void run_until_completed(struct fixture *f)
{
	unsigned int i;

	while (f->calls == 0)
		turn(f);
	/* once is all */
	for (i = 0; i < 5; i++)
		turn(f);
	assert_int_equal(f->calls, 1);
}

/*
 * The four sides
 */

enum side {
	SIDE_BLOCKING,   /* a file */
	SIDE_NONBLOCKING /* a pipe or a socket */
};

static void open_input(struct fixture *f, enum side side, size_t size)
{
	if (side == SIDE_BLOCKING) {
		test_write_file(test_path("in"), f->data, size);
		f->input = i_stream_create_file(test_path("in"), 0);
		return;
	}
	if (f->in_fds[1] == -1) {
		close_fd(&f->in_fds[0]);
		assert_int_equal(pipe2(f->in_fds, O_NONBLOCK), 0);
	}
	f->fed = 0;
	f->feed_size = size;
	f->feed_io = io_add(f->in_fds[1], IO_WRITE, feed, f);
	f->input = i_stream_create_fd(f->in_fds[0], 0);
}

static void open_output(struct fixture *f, enum side side)
{
	if (side == SIDE_BLOCKING) {
		f->output = o_stream_create_file(test_path("out"), 0, 0600, 0);
		return;
	}
	f->output = o_stream_create_fd(f->out_fds[1], SIZE_MAX);
	/* what fails on top of it leaves bytes here */
	o_stream_set_no_error_handling(f->output, true);
	if (f->drain_io == NULL)
		f->drain_io = io_add(f->out_fds[0], IO_READ, drain, f);
}

/* What has come out is the first so many bytes of the data. */
static void assert_out(struct fixture *f, enum side side, size_t size)
{
	buffer_t *file;

	if (side == SIDE_BLOCKING) {
		file = test_read_file(test_path("out"));
		assert_int_equal(file->used, size);
		assert_memory_equal(file->data, f->data, size);
		buffer_free(&file);
		return;
	}
	while (f->got->used < size)
		turn(f);
	turn(f);
	assert_int_equal(f->got->used, size);
	assert_memory_equal(f->got->data, f->data, size);
}

static const enum side sides[][2] = {
	{ SIDE_BLOCKING, SIDE_BLOCKING },
	{ SIDE_BLOCKING, SIDE_NONBLOCKING },
	{ SIDE_NONBLOCKING, SIDE_BLOCKING },
	{ SIDE_NONBLOCKING, SIDE_NONBLOCKING },
};

static void test_pump_all_sides(void **state)
{
	static const size_t sizes[] = { 0, 1, 300000, BIG };
	struct fixture *f = *state;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(sides); i++) {
		for (j = 0; j < N_ELEMENTS(sizes); j++) {
			open_input(f, sides[i][0], sizes[j]);
			open_output(f, sides[i][1]);
			start(f);
			run_until_completed(f);
			assert_int_equal(f->status,
					 IOSTREAM_PUMP_STATUS_INPUT_EOF);
			assert_string_equal(f->error, "<no error>");
			assert_out(f, sides[i][1], sizes[j]);
			assert_int_equal(f->input->v_offset, sizes[j]);
			reset(f);
		}
	}
}

static const size_t failures[] = { 0, 1, 150000, 299999, 300000 };

static void test_pump_input_fails(void **state)
{
	struct fixture *f = *state;
	struct istream *input;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(sides); i++) {
		for (j = 0; j < N_ELEMENTS(failures); j++) {
			open_input(f, sides[i][0], 300000);
			input = f->input;
			f->input = failures[j] == 300000 ?
				i_stream_create_failure_at_eof(input, EIO,
							       "broken") :
				i_stream_create_failure_at(input, failures[j],
							   EIO, "broken");
			i_stream_unref(&input);
			i_stream_set_name(f->input, "SOURCE");
			open_output(f, sides[i][1]);
			start(f);
			run_until_completed(f);
			assert_int_equal(f->status,
					 IOSTREAM_PUMP_STATUS_INPUT_ERROR);
			assert_string_equal(f->error,
					    "reading from SOURCE "
					    "failed: broken");
			/* what came before has gone out */
			assert_out(f, sides[i][1], failures[j]);
			reset(f);
			io_remove(&f->feed_io);
			close_fd(&f->in_fds[1]);
		}
	}
}

static void test_pump_output_fails(void **state)
{
	struct fixture *f = *state;
	struct ostream *output;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(sides); i++) {
		for (j = 0; j < N_ELEMENTS(failures); j++) {
			open_input(f, sides[i][0], 300000);
			open_output(f, sides[i][1]);
			output = f->output;
			f->output = failures[j] == 300000 ?
				o_stream_create_failure_at_flush(output,
								 "broken") :
				o_stream_create_failure_at(output, failures[j],
							   "broken");
			o_stream_unref(&output);
			o_stream_set_name(f->output, "SINK");
			start(f);
			run_until_completed(f);
			assert_int_equal(f->status,
					 IOSTREAM_PUMP_STATUS_OUTPUT_ERROR);
			assert_string_equal(f->error,
					    "writing to SINK failed: "
					    "broken");
			reset(f);
			io_remove(&f->feed_io);
			close_fd(&f->in_fds[1]);
			turn(f);
		}
	}
}

/* The reader of the socket goes away, while the pump waits for it. */
static void test_pump_output_is_closed(void **state)
{
	struct fixture *f = *state;

	open_input(f, SIDE_BLOCKING, BIG);
	open_output(f, SIDE_NONBLOCKING);
	io_remove(&f->drain_io);
	start(f);
	turn(f);
	turn(f);
	assert_true(iostream_pump_is_waiting_output(f->pump));
	close_fd(&f->out_fds[0]);
	run_until_completed(f);
	assert_int_equal(f->status, IOSTREAM_PUMP_STATUS_OUTPUT_ERROR);
	assert_int_equal(f->output->stream_errno, EPIPE);
	assert_true(iostream_pump_is_waiting_output(f->pump));
}

/* What a failed or closed input had buffered is still delivered. */
static void test_pump_buffered_before_a_failure(void **state)
{
	struct fixture *f = *state;
	struct istream *input;

	open_input(f, SIDE_BLOCKING, 1000);
	input = f->input;
	f->input = i_stream_create_failure_at(input, 500, EIO, "broken");
	i_stream_unref(&input);
	while (i_stream_read(f->input) > 0)
		;
	assert_int_equal(f->input->stream_errno, EIO);
	open_output(f, SIDE_NONBLOCKING);
	start(f);
	run_until_completed(f);
	assert_int_equal(f->status, IOSTREAM_PUMP_STATUS_INPUT_ERROR);
	assert_out(f, SIDE_NONBLOCKING, 500);
}

/*
 * Waiting
 */

/* A reader that is held: the output's memory does not grow with the input. */
static void test_pump_memory_is_bounded(void **state)
{
	struct fixture *f = *state;
	size_t used, i;

	for (i = 0; i < 2; i++) {
		open_input(f, i == 0 ? SIDE_BLOCKING : SIDE_NONBLOCKING, BIG);
		open_output(f, SIDE_NONBLOCKING);
		io_remove(&f->drain_io);
		start(f);
		while (!iostream_pump_is_waiting_output(f->pump))
			turn(f);
		turn(f);
		used = o_stream_get_buffer_used_size(f->output);
		/* a file's bytes do not even pass through it */
		assert_true(i == 0 || used > 0);
		assert_true(used <= 400000);
		assert_true(f->input->v_offset <= 1000000);
		assert_int_equal(f->calls, 0);
		f->drain_io = io_add(f->out_fds[0], IO_READ, drain, f);
		run_until_completed(f);
		assert_out(f, SIDE_NONBLOCKING, BIG);
		reset(f);
	}
}

/* While the input pauses, the other side can read all it has given. */
static void test_pump_pause_is_a_sync_point(void **state)
{
	struct fixture *f = *state;
	struct istream *source, *input;
	struct ostream *output;
	buffer_t *plain = buffer_create_dynamic(default_pool, 64);

	f->input = i_stream_create_fd(f->in_fds[0], 0);
	open_output(f, SIDE_NONBLOCKING);
	output = f->output;
	f->output = o_stream_create_gzip(output, 6);
	o_stream_unref(&output);
	start(f);
	assert_int_equal(write(f->in_fds[1], "so far", 6), 6);
	while (f->got->used < 20)
		turn(f);
	assert_false(iostream_pump_is_waiting_output(f->pump));
	source = i_stream_create_from_buffer(f->got);
	input = i_stream_create_gzip(source);
	assert_int_equal(test_read_all(input, plain), EPIPE);
	assert_int_equal(plain->used, 6);
	i_stream_unref(&input);
	i_stream_unref(&source);
	/* the trailer is the caller's */
	close_fd(&f->in_fds[1]);
	run_until_completed(f);
	assert_int_equal(f->status, IOSTREAM_PUMP_STATUS_INPUT_EOF);
	assert_int_equal(o_stream_finish(f->output), 1);
	turn(f);
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
	struct fixture *f = *state;

	f->input = i_stream_create_callback(no_data, NULL);
	open_output(f, SIDE_NONBLOCKING);
	start(f);
	turn(f);
	memcpy(f->data, "given", 5);
	i_stream_callback_append_str(f->input, "given");
	turn(f);
	assert_int_equal(f->got->used, 0);
	i_stream_set_input_pending(f->input, true);
	assert_out(f, SIDE_NONBLOCKING, 5);
	assert_int_equal(f->calls, 0);
}

/*
 * Life cycle
 */

static void test_pump_stop_and_start(void **state)
{
	struct fixture *f = *state;
	unsigned int stops = 0;

	open_input(f, SIDE_NONBLOCKING, BIG);
	open_output(f, SIDE_NONBLOCKING);
	start(f);
	while (f->calls == 0) {
		turn(f);
		if (f->calls == 0 && stops < 50) {
			stops++;
			iostream_pump_stop(f->pump);
			turn(f);
			iostream_pump_stop(f->pump);
			iostream_pump_start(f->pump);
			iostream_pump_start(f->pump);
		}
	}
	assert_int_equal(stops, 50);
	assert_out(f, SIDE_NONBLOCKING, BIG);
	assert_int_equal(f->calls, 1);
	/* a start is a new run: its end is told, too */
	iostream_pump_start(f->pump);
	while (f->calls == 1)
		turn(f);
	assert_int_equal(f->status, IOSTREAM_PUMP_STATUS_INPUT_EOF);
}

static void test_pump_stopped_is_silent(void **state)
{
	struct fixture *f = *state;
	struct iostream_pump *other;

	open_input(f, SIDE_BLOCKING, 10);
	open_output(f, SIDE_NONBLOCKING);
	start(f);
	iostream_pump_stop(f->pump);
	turn(f);
	assert_int_equal(f->input->v_offset, 0);
	iostream_pump_start(f->pump);
	/* destroyed, although somebody refers to it */
	other = f->pump;
	iostream_pump_ref(other);
	iostream_pump_destroy(&f->pump);
	turn(f);
	assert_ptr_equal(iostream_pump_get_input(other), f->input);
	assert_ptr_equal(iostream_pump_get_output(other), f->output);
	iostream_pump_unref(&other);
	iostream_pump_unref(&other);
	assert_int_equal(f->calls, 0);
	assert_int_equal(f->input->v_offset, 0);
}

struct stopper {
	struct fixture *f;
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
	struct fixture *f = *state;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		struct stopper stopper = { f, (i & 1) != 0, (i & 2) != 0, 0 };

		f->input =
			i_stream_create_callback(stop_while_reading, &stopper);
		open_output(f, SIDE_NONBLOCKING);
		start(f);
		turn(f);
		assert_true(stopper.calls <= 2);
		turn(f);
		turn(f);
		assert_true(stopper.calls <= 2);
		assert_int_equal(f->calls, 0);
		reset(f);
	}
}

/* In whatever call the end comes: the callback may free the pump, which was the
   last to refer to the streams. */
static void test_pump_destroyed_by_its_callback(void **state)
{
	struct fixture *f = *state;
	size_t i;

	f->destroy = true;
	for (i = 0; i < N_ELEMENTS(sides); i++) {
		open_input(f, sides[i][0], 300000);
		open_output(f, sides[i][1]);
		start(f);
		i_stream_unref(&f->input);
		o_stream_unref(&f->output);
		run_until_completed(f);
		assert_null(f->pump);
		assert_out(f, sides[i][1], 300000);
		reset(f);
	}
}

static void test_pump_switch_ioloop(void **state)
{
	struct fixture *f = *state;
	struct ioloop *other;

	open_input(f, SIDE_NONBLOCKING, 300000);
	open_output(f, SIDE_NONBLOCKING);
	start(f);
	while (f->got->used < 10000)
		turn(f);
	other = io_loop_create();
	iostream_pump_switch_ioloop(f->pump);
	f->feed_io = io_loop_move_io(&f->feed_io);
	f->drain_io = io_loop_move_io(&f->drain_io);
	io_loop_destroy(&f->loop);
	f->loop = other;
	run_until_completed(f);
	assert_out(f, SIDE_NONBLOCKING, 300000);
}

static void test_pump_wrong_use(void **state)
{
	struct fixture *f = *state;
	struct istream *input;
	unsigned int i;

	open_input(f, SIDE_BLOCKING, 10);
	open_output(f, SIDE_BLOCKING);
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
	start(f);
	run_until_completed(f);
	assert_out(f, SIDE_BLOCKING, 10);
}

static bool was_waiting;

static void note_waiting(enum iostream_pump_status status, struct fixture *f)
{
	was_waiting = iostream_pump_is_waiting_output(f->pump);
	completed(status, f);
}

/* Behind the end of the input it is the output alone that is waited for, also where that
   has room; and so it stays when the callback is called. */
static void test_pump_waits_for_output_at_the_end(void **state)
{
	struct fixture *f = *state;
	struct istream *input;
	unsigned int fails;

	for (fails = 0; fails < 2; fails++) {
		open_input(f, SIDE_BLOCKING, 10);
		if (fails == 1) {
			input = f->input;
			f->input = i_stream_create_failure_at(input, 10, EIO,
							      "failure");
			i_stream_unref(&input);
		}
		open_output(f, SIDE_BLOCKING);
		f->pump = iostream_pump_create(f->input, f->output);
		iostream_pump_set_completion_callback(f->pump, note_waiting, f);
		iostream_pump_start(f->pump);
		assert_false(iostream_pump_is_waiting_output(f->pump));
		was_waiting = false;
		run_until_completed(f);
		assert_true(was_waiting);
		reset(f);
	}
}

static bool stop_at_once(uoff_t offset ATTR_UNUSED, void *context)
{
	struct fixture *f = context;

	iostream_pump_stop(f->pump);
	return true;
}

/* Not with the next piece in the same turn, either; a new start does. */
static void test_pump_stopped_goes_on_no_more(void **state)
{
	struct fixture *f = *state;
	struct istream *file;
	uoff_t moved;

	open_input(f, SIDE_BLOCKING, BIG);
	file = f->input;
	f->input = i_stream_create_progress(file, 1, stop_at_once, f);
	i_stream_unref(&file);
	open_output(f, SIDE_BLOCKING);
	start(f);
	turn(f);
	moved = f->input->v_offset;
	assert_true(moved > 0 && moved < BIG / 10);
	turn(f);
	assert_int_equal(f->input->v_offset, moved);
	assert_int_equal(f->calls, 0);
}

#define PUMP_TEST(func) cmocka_unit_test_setup_teardown(func, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PUMP_TEST(test_pump_all_sides),
		PUMP_TEST(test_pump_input_fails),
		PUMP_TEST(test_pump_output_fails),
		PUMP_TEST(test_pump_output_is_closed),
		PUMP_TEST(test_pump_buffered_before_a_failure),
		PUMP_TEST(test_pump_memory_is_bounded),
		PUMP_TEST(test_pump_pause_is_a_sync_point),
		PUMP_TEST(test_pump_input_without_an_fd),
		PUMP_TEST(test_pump_stop_and_start),
		PUMP_TEST(test_pump_stopped_is_silent),
		PUMP_TEST(test_pump_stopped_by_its_input),
		PUMP_TEST(test_pump_destroyed_by_its_callback),
		PUMP_TEST(test_pump_switch_ioloop),
		PUMP_TEST(test_pump_wrong_use),
		PUMP_TEST(test_pump_waits_for_output_at_the_end),
		PUMP_TEST(test_pump_stopped_goes_on_no_more),
	};

	return cmocka_run_group_tests_name("iostream-pump", tests, NULL, NULL);
}
