/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Time passes here when the tests say so: their event loop has no clock. */

#include "config.h"
#include "ioloop.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_HANDLES 8

/* An ioloop that only remembers what it is to watch. */
struct handle {
	unsigned int msecs; /* what is left until it is due */
	unsigned int every;
	timeout_callback_t *callback;
	void *context;
	bool used;
};
struct slow_loop {
	struct ioloop *ioloop;
	struct handle timeouts[MAX_HANDLES];
	unsigned int added;
};

static void *slow_add_io(void *loop, int fd ATTR_UNUSED,
			 enum io_condition condition ATTR_UNUSED,
			 io_callback_t *callback ATTR_UNUSED,
			 void *context ATTR_UNUSED)
{
	return loop;
}

static void slow_remove_io(void *loop ATTR_UNUSED, void *handle ATTR_UNUSED)
{
}

static void *slow_add_timeout(void *_loop, unsigned int msecs,
			      timeout_callback_t *callback, void *context)
{
	struct slow_loop *loop = _loop;
	struct handle *handle = loop->timeouts;

	while (handle->used)
		handle++;
	assert_true(handle < loop->timeouts + MAX_HANDLES);
	*handle = (struct handle){ .msecs = msecs,
				   .every = msecs,
				   .callback = callback,
				   .context = context,
				   .used = true };
	loop->added++;
	return handle;
}

static void slow_remove_timeout(void *loop ATTR_UNUSED, void *_handle)
{
	struct handle *handle = _handle;

	assert_true(handle->used);
	handle->used = false;
}

static const struct ioloop_methods slow_methods = {
	.add_io = slow_add_io,
	.remove_io = slow_remove_io,
	.add_timeout = slow_add_timeout,
	.remove_timeout = slow_remove_timeout,
};

static unsigned int timeouts_in(const struct slow_loop *loop)
{
	unsigned int i, count = 0;

	for (i = 0; i < MAX_HANDLES; i++)
		count += loop->timeouts[i].used ? 1 : 0;
	return count;
}

/* Lets so many milliseconds pass. */
static void pass(struct slow_loop *loop, unsigned int msecs)
{
	struct handle *handle;
	unsigned int i;

	for (i = 0; i < MAX_HANDLES; i++) {
		handle = &loop->timeouts[i];
		if (!handle->used)
			continue;
		if (handle->msecs > msecs) {
			handle->msecs -= msecs;
			continue;
		}
		handle->msecs = handle->every;
		handle->callback(handle->context);
	}
}

static void loop_begin(struct slow_loop *loop)
{
	memset(loop, 0, sizeof(*loop));
	loop->ioloop = io_loop_create_custom(&slow_methods, loop);
}

/* A stream over a socket, and its other end. */
struct fixture {
	struct slow_loop loop;
	int fd, peer;
	struct istream *socket, *stream;
	unsigned int calls;
};

static void begin(struct fixture *f, unsigned int msecs)
{
	int fds[2];

	f->calls = 0;
	loop_begin(&f->loop);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	f->fd = fds[0];
	f->peer = fds[1];
	f->socket = i_stream_create_fd(f->fd, 1024);
	i_stream_set_name(f->socket, "(peer)");
	f->stream = i_stream_create_timeout(f->socket, msecs);
}

static void end(struct fixture *f)
{
	i_stream_destroy(&f->stream);
	i_stream_destroy(&f->socket);
	assert_int_equal(timeouts_in(&f->loop), 0);
	(void)close(f->fd);
	(void)close(f->peer);
	io_loop_destroy(&f->loop.ioloop);
}

static void peer_says(struct fixture *f, const char *text)
{
	assert_int_equal(write(f->peer, text, strlen(text)), strlen(text));
}

static void expect_timeout(struct fixture *f)
{
	assert_int_equal(i_stream_read(f->stream), -1);
	assert_int_equal(f->stream->stream_errno, ETIMEDOUT);
	assert_true(f->stream->eof);
	assert_int_equal(timeouts_in(&f->loop), 0);
}

static void test_nothing_comes(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, 1500);
	/* it runs from the first read on */
	assert_int_equal(timeouts_in(&f.loop), 0);
	assert_int_equal(i_stream_read(f.stream), 0);
	pass(&f.loop, 1499);
	assert_int_equal(i_stream_read(f.stream), 0);
	pass(&f.loop, 1);
	expect_timeout(&f);
	assert_string_equal(i_stream_get_error(f.stream),
			    "(peer): nothing could be read for 1.500 s, behind "
			    "offset 0");
	/* the parent has not failed */
	assert_int_equal(f.socket->stream_errno, 0);
	end(&f);
}

/* Each byte is another chance, also for a reader that waits for more of them. */
static void test_starts_anew(void **state ATTR_UNUSED)
{
	const unsigned char *data;
	struct fixture f;
	unsigned int i;
	size_t size;

	begin(&f, 1000);
	assert_int_equal(i_stream_read(f.stream), 0);
	for (i = 0; i < 5; i++) {
		pass(&f.loop, 999);
		peer_says(&f, "x");
		assert_int_equal(i_stream_read_data(f.stream, &data, &size, i),
				 1);
	}
	pass(&f.loop, 999);
	assert_int_equal(i_stream_read(f.stream), 0);
	pass(&f.loop, 1);
	expect_timeout(&f);
	/* what came is still there */
	data = i_stream_get_data(f.stream, &size);
	assert_int_equal(size, 5);
	assert_memory_equal(data, "xxxxx", 5);
	assert_non_null(
		strstr(i_stream_get_error(f.stream), "behind offset 5"));
	end(&f);
}

/* A reader that reads once and goes back to its loop is told, too. */
static void test_after_data_alone(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, 1000);
	peer_says(&f, "x");
	assert_int_equal(i_stream_read(f.stream), 1);
	i_stream_skip(f.stream, 1);
	pass(&f.loop, 1000);
	expect_timeout(&f);
	end(&f);
}

/* The reader's own delay is nobody's fault: bytes, or the end, are there. */
static void test_slow_reader(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, 1000);
	assert_int_equal(i_stream_read(f.stream), 0);
	peer_says(&f, "x");
	pass(&f.loop, 1000);
	pass(&f.loop, 1000);
	assert_int_equal(i_stream_read(f.stream), 1);
	assert_int_equal(shutdown(f.peer, SHUT_WR), 0);
	pass(&f.loop, 1000);
	assert_int_equal(i_stream_read(f.stream), -1);
	assert_int_equal(f.stream->stream_errno, 0);
	assert_int_equal(timeouts_in(&f.loop), 0);
	end(&f);
}

/* Nobody may take bytes out of the fd past it; half a line in the buffer is no reason
   to wait for ever for the rest. */
static void test_unread_buffer(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, 1000);
	assert_false(f.stream->readable_fd);
	peer_says(&f, "half a line");
	assert_true(i_stream_read(f.stream) > 0);
	pass(&f.loop, 1000);
	expect_timeout(&f);
	end(&f);
}

static void test_full_buffer(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, 1000);
	i_stream_set_max_buffer_size(f.stream, 4);
	peer_says(&f, "0123");
	while (i_stream_read(f.stream) > 0)
		;
	assert_int_equal(i_stream_read(f.stream), -2);
	pass(&f.loop, 5000);
	assert_int_equal(f.stream->stream_errno, 0);
	i_stream_skip(f.stream, 4);
	assert_int_equal(i_stream_read(f.stream), 0);
	pass(&f.loop, 1000);
	expect_timeout(&f);
	end(&f);
}

static void test_no_timeout(void **state ATTR_UNUSED)
{
	struct fixture f;
	struct istream *data;

	/* not wanted */
	begin(&f, 0);
	assert_int_equal(i_stream_read(f.stream), 0);
	assert_int_equal(f.loop.added, 0);
	end(&f);
	/* nobody has to wait for memory */
	begin(&f, 1000);
	i_stream_destroy(&f.stream);
	data = i_stream_create_from_data("abc", 3);
	f.stream = i_stream_create_timeout(data, 1000);
	i_stream_unref(&data);
	assert_int_equal(i_stream_read(f.stream), 3);
	assert_int_equal(f.loop.added, 0);
	end(&f);
	/* without a loop there is no time */
	begin(&f, 1000);
	io_loop_set_current(NULL);
	assert_int_equal(i_stream_read(f.stream), 0);
	assert_int_equal(f.loop.added, 0);
	io_loop_set_current(f.loop.ioloop);
	end(&f);
}

static void count_call(void *context)
{
	struct fixture *f = context;

	f->calls++;
}

/* Who waits for the stream in the loop is called, as if there were input. */
static void test_waiting_reader_is_called(void **state ATTR_UNUSED)
{
	struct fixture f;
	struct istream *top;
	struct io *io;

	begin(&f, 1000);
	top = i_stream_create_noop(f.stream);
	io = io_add_istream(top, count_call, &f);
	assert_int_equal(i_stream_read(top), 0);
	pass(&f.loop, 999);
	assert_int_equal(f.calls, 0);
	pass(&f.loop, 1);
	pass(&f.loop, 1);
	assert_int_equal(f.calls, 1);
	assert_int_equal(i_stream_read(top), -1);
	assert_int_equal(top->stream_errno, ETIMEDOUT);
	io_remove(&io);
	i_stream_destroy(&top);
	end(&f);
}

static void test_another_loop(void **state ATTR_UNUSED)
{
	struct slow_loop other;
	struct fixture f;

	begin(&f, 1000);
	assert_int_equal(i_stream_read(f.stream), 0);
	loop_begin(&other);
	i_stream_switch_ioloop(f.stream);
	assert_int_equal(timeouts_in(&f.loop), 0);
	assert_int_equal(timeouts_in(&other), 1);
	/* there and back, whichever is the current one */
	i_stream_switch_ioloop_to(f.stream, f.loop.ioloop);
	assert_int_equal(timeouts_in(&f.loop), 1);
	assert_int_equal(timeouts_in(&other), 0);
	i_stream_switch_ioloop_to(f.stream, other.ioloop);
	pass(&other, 1000);
	expect_timeout(&f);
	i_stream_switch_ioloop_to(f.stream, f.loop.ioloop);
	io_loop_destroy(&other.ioloop);
	end(&f);
}

static void test_closed(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, 1000);
	assert_int_equal(i_stream_read(f.stream), 0);
	assert_int_equal(timeouts_in(&f.loop), 1);
	i_stream_close(f.stream);
	assert_true(f.socket->closed);
	assert_int_equal(timeouts_in(&f.loop), 0);
	end(&f);
}

static bool nothing_yet(buffer_t *buf ATTR_UNUSED, void *context ATTR_UNUSED)
{
	return true;
}

/* What produces the bytes may be late, too. */
static void test_input_without_a_descriptor(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_callback(nothing_yet, NULL), *s;
	struct slow_loop loop;

	loop_begin(&loop);
	s = i_stream_create_timeout(input, 1000);
	assert_int_equal(i_stream_read(s), 0);
	assert_int_equal(timeouts_in(&loop), 1);
	pass(&loop, 999);
	assert_int_equal(i_stream_read(s), 0);
	pass(&loop, 1);
	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, ETIMEDOUT);
	assert_int_equal(timeouts_in(&loop), 0);
	i_stream_destroy(&s);
	i_stream_destroy(&input);
	io_loop_destroy(&loop.ioloop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_comes),
		cmocka_unit_test(test_starts_anew),
		cmocka_unit_test(test_after_data_alone),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_unread_buffer),
		cmocka_unit_test(test_full_buffer),
		cmocka_unit_test(test_no_timeout),
		cmocka_unit_test(test_waiting_reader_is_called),
		cmocka_unit_test(test_another_loop),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_input_without_a_descriptor),
	};

	return cmocka_run_group_tests_name("istream-timeout", tests, NULL,
					   NULL);
}
