/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "istream.h"
#include "ostream.h"
#include "test-pump-common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURNS_MAX 100000

const enum test_side test_pump_sides[TEST_PUMP_SIDES][2] = {
	{ TEST_SIDE_BLOCKING, TEST_SIDE_BLOCKING },
	{ TEST_SIDE_BLOCKING, TEST_SIDE_NONBLOCKING },
	{ TEST_SIDE_NONBLOCKING, TEST_SIDE_BLOCKING },
	{ TEST_SIDE_NONBLOCKING, TEST_SIDE_NONBLOCKING },
};

int test_pump_setup(void **state)
{
	struct test_pump *f = calloc(1, sizeof(*f));
	int size = 4096;

	assert_non_null(f);
	f->loop = io_loop_create();
	f->data = test_data(TEST_DATA_RANDOM, TEST_PUMP_BIG);
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

void test_close_fd(int *fd)
{
	if (*fd != -1)
		(void)close(*fd);
	*fd = -1;
}

void test_pump_reset(struct test_pump *f)
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

int test_pump_teardown(void **state)
{
	struct test_pump *f = *state;

	test_pump_reset(f);
	io_remove(&f->feed_io);
	io_remove(&f->drain_io);
	io_loop_destroy(&f->loop);
	test_close_fd(&f->in_fds[0]);
	test_close_fd(&f->in_fds[1]);
	test_close_fd(&f->out_fds[0]);
	test_close_fd(&f->out_fds[1]);
	buffer_free(&f->got);
	free(f->data);
	free(f);
	return 0;
}

static void feed(struct test_pump *f)
{
	ssize_t ret = write(f->in_fds[1], f->data + f->fed,
			    I_MIN(f->feed_size - f->fed, (size_t)7777));

	if (ret > 0)
		f->fed += (size_t)ret;
	if (f->fed == f->feed_size) {
		io_remove(&f->feed_io);
		test_close_fd(&f->in_fds[1]);
	}
}

void test_pump_drain(struct test_pump *f)
{
	unsigned char block[5555];
	ssize_t ret = read(f->out_fds[0], block, sizeof(block));

	if (ret > 0)
		buffer_append(f->got, block, (size_t)ret);
	else if (ret == 0)
		io_remove(&f->drain_io);
}

void test_pump_completed(enum iostream_pump_status status, struct test_pump *f)
{
	f->calls++;
	f->status = status;
	(void)snprintf(f->error, sizeof(f->error), "%s",
		       iostream_pump_get_error(f->pump));
	if (f->destroy)
		iostream_pump_unref(&f->pump);
}

void test_pump_start(struct test_pump *f)
{
	f->pump = iostream_pump_create(f->input, f->output);
	iostream_pump_set_completion_callback(f->pump, test_pump_completed, f);
	iostream_pump_start(f->pump);
	assert_int_equal(f->calls, 0);
}

static void nothing(void *context ATTR_UNUSED)
{
}

void test_pump_turn(struct test_pump *f)
{
	struct timeout *now = timeout_add_to(f->loop, 0, nothing, NULL);

	assert_true(f->turns++ < TURNS_MAX);
	io_loop_handler_run(f->loop);
	timeout_remove(&now);
}

void test_pump_complete(struct test_pump *f)
{
	unsigned int i;

	while (f->calls == 0)
		test_pump_turn(f);
	/* once is all */
	for (i = 0; i < 5; i++)
		test_pump_turn(f);
	assert_int_equal(f->calls, 1);
}

void test_pump_open_input(struct test_pump *f, enum test_side side, size_t size)
{
	if (side == TEST_SIDE_BLOCKING) {
		test_write_file(test_path("in"), f->data, size);
		f->input = i_stream_create_file(test_path("in"), 0);
		return;
	}
	if (f->in_fds[1] == -1) {
		test_close_fd(&f->in_fds[0]);
		assert_int_equal(pipe2(f->in_fds, O_NONBLOCK), 0);
	}
	f->fed = 0;
	f->feed_size = size;
	f->feed_io = io_add(f->in_fds[1], IO_WRITE, feed, f);
	f->input = i_stream_create_fd(f->in_fds[0], 0);
}

void test_pump_open_output(struct test_pump *f, enum test_side side)
{
	if (side == TEST_SIDE_BLOCKING) {
		f->output = o_stream_create_file(test_path("out"), 0, 0600, 0);
		return;
	}
	f->output = o_stream_create_fd(f->out_fds[1], SIZE_MAX);
	/* what fails on top of it leaves bytes here */
	o_stream_set_no_error_handling(f->output, true);
	if (f->drain_io == NULL)
		f->drain_io =
			io_add(f->out_fds[0], IO_READ, test_pump_drain, f);
}

void test_pump_must_give(struct test_pump *f, enum test_side side, size_t size)
{
	buffer_t *file;

	if (side == TEST_SIDE_BLOCKING) {
		file = test_read_file(test_path("out"));
		assert_int_equal(file->used, size);
		assert_memory_equal(file->data, f->data, size);
		buffer_free(&file);
		return;
	}
	while (f->got->used < size)
		test_pump_turn(f);
	test_pump_turn(f);
	assert_int_equal(f->got->used, size);
	assert_memory_equal(f->got->data, f->data, size);
}
