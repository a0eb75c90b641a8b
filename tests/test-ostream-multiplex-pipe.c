/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several channels over a pipe: one without a buffer, in an event loop, and one that nobody
   reads any more. */

#include "config.h"
#include "ioloop.h"
#include "ostream.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#define PACKET OSTREAM_MULTIPLEX_FORMAT_PACKET
#define STREAM OSTREAM_MULTIPLEX_FORMAT_STREAM

static void send_all(struct ostream *stream, const void *data, size_t size)
{
	assert_int_equal(o_stream_send(stream, data, size), size);
}

/* One without a buffer says that there is no room, but takes something. */
static void test_parent_without_a_buffer(void **state ATTR_UNUSED)
{
	static const enum ostream_multiplex_format formats[] = { PACKET,
								 STREAM };
	struct ostream *output, *s;
	char data[64];
	size_t i;
	int fds[2];

	for (i = 0; i < N_ELEMENTS(formats); i++) {
		assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
		output = o_stream_create_fd(fds[1], 0);
		o_stream_set_max_buffer_size(output, 0);
		s = o_stream_create_multiplex(output, 0, formats[i]);
		send_all(s, "hello", 5);
		assert_int_equal(o_stream_get_buffer_used_size(s), 0);
		assert_int_equal(read(fds[0], data, sizeof(data)),
				 i == 0 ? 10 : 14);
		o_stream_destroy(&s);
		o_stream_destroy(&output);
		assert_int_equal(close(fds[0]) | close(fds[1]), 0);
	}
}

struct pipe_test {
	struct ioloop *loop;
	int fds[2];
	struct ostream *output, *channels[2];
	struct io *io;
	size_t received, called[2];
};

static void read_pipe(void *context)
{
	struct pipe_test *t = context;
	char data[1000];
	ssize_t ret = read(t->fds[0], data, sizeof(data));

	assert_true(ret > 0);
	t->received += (size_t)ret;
	if (t->channels[0] != NULL &&
	    o_stream_get_buffer_used_size(t->channels[0]) == 0 &&
	    o_stream_get_buffer_used_size(t->channels[1]) == 0)
		io_loop_stop(t->loop);
}

static void pipe_begin(struct pipe_test *t)
{
	memset(t, 0, sizeof(*t));
	t->loop = io_loop_create();
	assert_int_equal(pipe2(t->fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(fcntl(t->fds[1], F_SETPIPE_SZ, 4096), 4096);
	t->output = o_stream_create_fd(t->fds[1], 1024);
	t->channels[0] = o_stream_create_multiplex(t->output, 4096, PACKET);
	t->channels[1] = o_stream_multiplex_add_channel(t->channels[0], 1);
	t->io = io_add(t->fds[0], IO_READ, read_pipe, t);
}

static void pipe_end(struct pipe_test *t)
{
	io_remove(&t->io);
	o_stream_destroy(&t->channels[0]);
	o_stream_destroy(&t->channels[1]);
	o_stream_destroy(&t->output);
	assert_int_equal(close(t->fds[0]) | close(t->fds[1]), 0);
	io_loop_destroy(&t->loop);
}

/* Everything is full, and corked again when the loop begins. */
static void test_corked_and_full(void **state ATTR_UNUSED)
{
	struct pipe_test t;
	char data[500];
	size_t i;
	ssize_t ret;

	memset(data, 'x', sizeof(data));
	pipe_begin(&t);
	for (i = 0; i < 2; i++) {
		do {
			ret = o_stream_send(t.channels[i], data, sizeof(data));
			assert_true(ret >= 0);
		} while (ret > 0);
		o_stream_cork(t.channels[i]);
		assert_int_equal(o_stream_send(t.channels[i], "y", 1), 0);
	}
	o_stream_uncork(t.channels[1]);
	o_stream_cork(t.channels[1]);
	/* the loop's callback stops it; it would never return from a hang */
	io_loop_run(t.loop);
	assert_true(t.received + 4096 >
		    t.channels[0]->offset + t.channels[1]->offset);
	pipe_end(&t);
}

#define CALLBACK_TOTAL 20000

static int send_some(struct pipe_test *t, unsigned int i)
{
	static const char data[64];
	uoff_t left = CALLBACK_TOTAL - t->channels[i]->offset;
	ssize_t ret;

	t->called[i]++;
	ret = o_stream_send(t->channels[i], data,
			    (size_t)I_MIN((uoff_t)sizeof(data), left));
	assert_true(ret >= 0);
	return t->channels[i]->offset < CALLBACK_TOTAL ? 0 : 1;
}

static int send_first(void *context)
{
	return send_some(context, 0);
}

static int send_second(void *context)
{
	return send_some(context, 1);
}

static int stop_loop(void *context)
{
	struct pipe_test *t = context;

	io_loop_stop(t->loop);
	return 1;
}

/* Each channel's callback is called until it says that it is done, and neither
   starves the other. */
static void test_flush_callbacks(void **state ATTR_UNUSED)
{
	struct pipe_test t;

	pipe_begin(&t);
	o_stream_set_flush_callback(t.channels[0], send_first, &t);
	o_stream_set_flush_callback(t.channels[1], send_second, &t);
	o_stream_set_flush_pending(t.channels[0], true);
	o_stream_set_flush_pending(t.channels[1], true);
	while (t.channels[0]->offset < CALLBACK_TOTAL ||
	       t.channels[1]->offset < CALLBACK_TOTAL)
		io_loop_handler_run(t.loop);
	assert_in_range(t.called[0], t.called[1] - 5, t.called[1] + 5);
	pipe_end(&t);
}

/* A callback may destroy the other channel, and its own. */
static int destroy_both(void *context)
{
	struct pipe_test *t = context;

	o_stream_destroy(&t->channels[1]);
	o_stream_destroy(&t->channels[0]);
	io_loop_stop(t->loop);
	return 1;
}

static void test_callback_destroys_channels(void **state ATTR_UNUSED)
{
	struct pipe_test t;

	pipe_begin(&t);
	o_stream_set_flush_callback(t.channels[0], destroy_both, &t);
	o_stream_set_flush_callback(t.channels[1], destroy_both, &t);
	o_stream_set_flush_pending(t.channels[0], true);
	o_stream_set_flush_pending(t.channels[1], true);
	io_loop_run(t.loop);
	assert_null(t.channels[0]);
	pipe_end(&t);
}

/* The parent's own callback comes back with the last channel's end. */
static void test_parents_callback_is_restored(void **state ATTR_UNUSED)
{
	struct pipe_test t;

	pipe_begin(&t);
	o_stream_destroy(&t.channels[0]);
	o_stream_destroy(&t.channels[1]);
	o_stream_set_flush_callback(t.output, stop_loop, &t);
	t.channels[0] = o_stream_create_multiplex(t.output, 0, PACKET);
	o_stream_destroy(&t.channels[0]);
	o_stream_set_flush_pending(t.output, true);
	io_loop_run(t.loop);
	pipe_end(&t);
}

/* Frames of several channels become one write, which fails. */
static void test_an_error_of_several_frames(void **state ATTR_UNUSED)
{
	struct ostream *parent, *channels[2];
	char block[4096] = { 0 };
	unsigned int i;
	int fds[2];

	assert_ptr_not_equal(signal(SIGPIPE, SIG_IGN), SIG_ERR);
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	while (write(fds[1], block, sizeof(block)) > 0)
		;
	parent = o_stream_create_fd(fds[1], 64);
	channels[0] = o_stream_create_multiplex(parent, 1000, PACKET);
	channels[1] = o_stream_multiplex_add_channel(channels[0], 1);
	/* the parent takes no more than the first */
	send_all(channels[0], block, 59);
	for (i = 0; i < 2; i++) {
		send_all(channels[i], "waits", 5);
		assert_true(o_stream_get_buffer_used_size(channels[i]) > 64);
	}
	while (read(fds[0], block, sizeof(block)) > 0)
		;
	assert_int_equal(o_stream_flush(parent), 1);
	assert_int_equal(o_stream_get_buffer_used_size(parent), 0);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(o_stream_flush(channels[0]), -1);
	for (i = 0; i < 2; i++) {
		assert_int_equal(channels[i]->stream_errno, EPIPE);
		assert_string_equal(o_stream_get_error(channels[i]),
				    o_stream_get_error(parent));
		o_stream_ignore_last_errors(channels[i]);
		o_stream_destroy(&channels[i]);
	}
	o_stream_destroy(&parent);
	assert_int_equal(close(fds[1]), 0);
	assert_ptr_not_equal(signal(SIGPIPE, SIG_DFL), SIG_ERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parent_without_a_buffer),
		cmocka_unit_test(test_corked_and_full),
		cmocka_unit_test(test_flush_callbacks),
		cmocka_unit_test(test_callback_destroys_channels),
		cmocka_unit_test(test_parents_callback_is_restored),
		cmocka_unit_test(test_an_error_of_several_frames),
	};

	return cmocka_run_group_tests_name("ostream-multiplex-pipe", tests,
					   NULL, NULL);
}
