/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Waiting for input streams in an event loop. */

#include "config.h"
#include "istream.h"
#include "ostream.h"
#include "test-stream-common.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	struct ioloop *loop;
	int fds[2]; /* a pipe */
};

/* Who waits, and what the callback is to do. */
struct waiter {
	struct istream *input;
	struct io *io;
	unsigned int calls;
	buffer_t *got; /* all there is, if not NULL */
	bool remove, destroy;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = io_loop_create();
	assert_int_equal(pipe2(f->fds, O_NONBLOCK), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	io_loop_destroy(&f->loop);
	(void)close(f->fds[0]);
	(void)close(f->fds[1]);
	free(f);
	return 0;
}

static void nothing(void *context ATTR_UNUSED)
{
}

/* What is due in one turn of the loop, which ends although nothing may be. */
static void turn(struct fixture *f)
{
	struct timeout *now = timeout_add_to(f->loop, 0, nothing, NULL);

	io_loop_handler_run(f->loop);
	timeout_remove(&now);
}

static void write_text(struct fixture *f, const char *text)
{
	assert_int_equal(write(f->fds[1], text, strlen(text)), strlen(text));
}

static void waiter_callback(struct waiter *w)
{
	const unsigned char *data;
	size_t size;

	w->calls++;
	while (w->got != NULL &&
	       i_stream_read_more(w->input, &data, &size) > 0) {
		buffer_append(w->got, data, size);
		i_stream_skip(w->input, size);
	}
	if (w->remove)
		io_remove(&w->io);
	if (w->destroy)
		i_stream_destroy(&w->input);
}

static void wait_for(struct waiter *w, struct istream *input)
{
	w->input = input;
	w->io = io_add_istream(input, waiter_callback, w);
}

static void wait_and_read(struct waiter *w, struct istream *input)
{
	w->got = buffer_create_dynamic(default_pool, 64);
	wait_for(w, input);
}

static void assert_got(struct waiter *w, const char *text)
{
	assert_int_equal(w->got->used, strlen(text));
	assert_memory_equal(w->got->data, text, strlen(text));
	w->got->used = 0;
}

static void stop_waiting(struct waiter *w)
{
	io_remove(&w->io);
	i_stream_unref(&w->input);
	if (w->got != NULL)
		buffer_free(&w->got);
}

static void test_istream_io_readable_or_pending(void **state)
{
	struct fixture *f = *state;
	struct waiter w = { 0 };

	wait_for(&w, i_stream_create_fd(f->fds[0], 0));
	turn(f);
	assert_int_equal(w.calls, 0);
	write_text(f, "x");
	turn(f);
	turn(f);
	assert_int_equal(w.calls, 2);
	assert_int_equal(i_stream_read(w.input), 1);
	turn(f);
	/* what is buffered calls nobody by itself */
	assert_int_equal(w.calls, 2);
	i_stream_set_input_pending(w.input, false);
	assert_false(io_is_pending(w.io));
	i_stream_set_input_pending(w.input, true);
	i_stream_set_input_pending(w.input, true);
	assert_true(io_is_pending(w.io));
	assert_int_equal(w.calls, 2);
	turn(f);
	assert_false(io_is_pending(w.io));
	turn(f);
	assert_int_equal(w.calls, 3);
	stop_waiting(&w);
}

/* An event may be older than a call that was made for pending input, and that call
   may have read it: on a blocking fd the next read would not return. */
static void test_istream_io_no_call_for_an_old_event(void **state)
{
	struct fixture *f = *state;
	struct waiter w = { 0 };

	wait_and_read(&w, i_stream_create_fd(f->fds[0], 0));
	write_text(f, "x");
	i_stream_set_input_pending(w.input, true);
	turn(f);
	turn(f);
	assert_int_equal(w.calls, 1);
	assert_got(&w, "x");
	/* a new one counts */
	write_text(f, "y");
	turn(f);
	turn(f);
	assert_got(&w, "y");
	stop_waiting(&w);
}

static void pend_and_write(struct waiter *w)
{
	i_stream_set_input_pending(w->input, true);
}

static void test_istream_io_pending_from_a_callback(void **state)
{
	struct fixture *f = *state;
	struct waiter w = { 0 };
	struct timeout *now;

	wait_and_read(&w, i_stream_create_fd(f->fds[0], 0));
	now = timeout_add(0, pend_and_write, &w);
	write_text(f, "x");
	io_loop_handler_run(f->loop);
	timeout_remove(&now);
	assert_int_equal(w.calls, 1);
	assert_false(io_is_pending(w.io));
	turn(f);
	assert_int_equal(w.calls, 1);
	stop_waiting(&w);
}

static void test_istream_io_pending_before_the_wait(void **state)
{
	struct fixture *f = *state;
	struct istream *file = i_stream_create_fd(f->fds[0], 0);
	struct istream *filter = i_stream_create_noop(file);
	struct waiter w = { 0 };

	i_stream_set_input_pending(file, true);
	wait_for(&w, filter);
	turn(f);
	turn(f);
	assert_int_equal(w.calls, 1);
	io_remove(&w.io);
	/* on top of what is then waited for */
	i_stream_set_input_pending(filter, true);
	wait_for(&w, file);
	turn(f);
	turn(f);
	assert_int_equal(w.calls, 2);
	stop_waiting(&w);
	i_stream_unref(&filter);
}

static void test_istream_io_along_the_chain(void **state)
{
	struct fixture *f = *state;
	struct istream *file = i_stream_create_fd(f->fds[0], 0);
	struct istream *middle = i_stream_create_noop(file);
	struct waiter top = { 0 }, low = { 0 }, beside = { 0 };

	wait_for(&top, i_stream_create_noop(middle));
	wait_for(&low, file);
	wait_for(&beside, i_stream_create_noop(file));
	i_stream_set_input_pending(middle, true);
	turn(f);
	assert_int_equal(top.calls, 1);
	assert_int_equal(low.calls, 1);
	assert_int_equal(beside.calls, 0);
	i_stream_set_input_pending(beside.input, true);
	turn(f);
	assert_int_equal(top.calls, 1);
	assert_int_equal(low.calls, 2);
	assert_int_equal(beside.calls, 1);
	/* all of them look at one fd */
	write_text(f, "x");
	turn(f);
	turn(f);
	assert_int_equal(top.calls, 2);
	assert_int_equal(low.calls, 3);
	assert_int_equal(beside.calls, 2);
	stop_waiting(&top);
	stop_waiting(&low);
	stop_waiting(&beside);
	i_stream_unref(&middle);
}

static bool no_data(buffer_t *buf ATTR_UNUSED, void *context ATTR_UNUSED)
{
	return true;
}

static void test_istream_io_without_an_fd(void **state)
{
	struct fixture *f = *state;
	struct waiter w = { 0 };

	wait_and_read(&w, i_stream_create_callback(no_data, NULL));
	turn(f);
	assert_int_equal(w.calls, 0);
	i_stream_callback_append_str(w.input, "text");
	i_stream_set_input_pending(w.input, true);
	turn(f);
	assert_got(&w, "text");
	stop_waiting(&w);
}

static void test_istream_io_callback_removes_all(void **state)
{
	struct fixture *f = *state;
	struct waiter w = { .remove = true, .destroy = true };

	wait_for(&w, i_stream_create_fd(f->fds[0], 0));
	write_text(f, "x");
	turn(f);
	assert_int_equal(w.calls, 1);
	assert_null(w.io);
	/* the io holds the stream */
	w.remove = false;
	wait_for(&w, i_stream_create_fd(f->fds[0], 0));
	i_stream_set_input_pending(w.input, true);
	turn(f);
	assert_null(w.input);
	io_remove(&w.io);
	turn(f);
	assert_int_equal(w.calls, 2);
}

static void test_istream_io_moves_with_its_stream(void **state)
{
	struct fixture *f = *state;
	struct ioloop *first = f->loop;
	struct waiter w = { 0 };

	wait_for(&w, i_stream_create_fd(f->fds[0], 0));
	i_stream_set_input_pending(w.input, true);
	f->loop = io_loop_create();
	i_stream_switch_ioloop(w.input);
	assert_true(io_is_pending(w.io));
	turn(f);
	turn(f);
	assert_int_equal(w.calls, 1);
	write_text(f, "x");
	turn(f);
	turn(f);
	assert_int_equal(w.calls, 2);
	w.io = io_loop_move_io_to(first, &w.io);
	turn(f);
	assert_int_equal(w.calls, 2);
	io_loop_destroy(&f->loop);
	f->loop = first;
	turn(f);
	assert_int_equal(w.calls, 3);
	stop_waiting(&w);
}

static void test_istream_io_needs_a_loop(void **state)
{
	struct fixture *f = *state;
	struct istream *input = i_stream_create_fd(f->fds[0], 0);

	io_loop_set_current(NULL);
	EXPECT_PANIC("io_add_istream(): this thread has no event loop",
		     io_add_istream(input, nothing, NULL));
	io_loop_set_current(f->loop);
	i_stream_unref(&input);
}

/*
 * Streams that read for each other
 */

static void test_istream_io_tee(void **state)
{
	struct fixture *f = *state;
	struct istream *file = i_stream_create_fd(f->fds[0], 4);
	struct tee_istream *tee = tee_i_stream_create(file);
	struct waiter fast = { 0 }, slow = { 0 };

	wait_and_read(&fast, tee_i_stream_create_child(tee));
	slow.input = tee_i_stream_create_child(tee);
	write_text(f, "12345678");
	turn(f);
	/* it waits for the slow one, whom the loop sees no fd for any more */
	assert_got(&fast, "1234");
	assert_true(tee_i_stream_child_is_waiting(fast.input));
	assert_false(io_is_pending(fast.io));
	assert_int_equal(i_stream_read(slow.input), 4);
	assert_true(io_is_pending(fast.io));
	wait_and_read(&slow, slow.input);
	i_stream_set_input_pending(slow.input, true);
	while (fast.got->used < 4 || slow.got->used < 8)
		turn(f);
	assert_got(&fast, "5678");
	assert_got(&slow, "12345678");
	stop_waiting(&fast);
	stop_waiting(&slow);
	i_stream_unref(&file);
}

/* What one channel's reader found for another one, the fd does not show. */
static void test_istream_io_multiplex(void **state)
{
	struct fixture *f = *state;
	struct istream *file = i_stream_create_fd(f->fds[0], 0);
	struct istream *first = i_stream_create_multiplex(file, 4);
	struct waiter a = { 0 }, b = { 0 };

	/* packets: six bytes of channel 1, one of channel 0 */
	static const unsigned char packets[] = "\001\0\0\0\006"
					       "123456"
					       "\0\0\0\0\001"
					       "x";

	b.input = i_stream_multiplex_add_channel(first, 1);
	wait_and_read(&a, first);
	assert_int_equal(write(f->fds[1], packets, sizeof(packets) - 1),
			 sizeof(packets) - 1);
	turn(f);
	/* the other one is full, and nobody reads it */
	assert_int_equal(a.calls, 1);
	assert_got(&a, "");
	turn(f);
	assert_int_equal(a.calls, 1);
	assert_int_equal(i_stream_read(b.input), 4);
	assert_true(io_is_pending(a.io));
	wait_and_read(&b, b.input);
	i_stream_set_input_pending(b.input, true);
	turn(f);
	turn(f);
	assert_got(&b, "123456");
	assert_got(&a, "x");
	/* the end reaches both */
	a.calls = b.calls = 0;
	(void)close(f->fds[1]);
	a.remove = true;
	while (b.calls == 0 || a.calls == 0)
		turn(f);
	assert_true(b.input->eof);
	stop_waiting(&a);
	stop_waiting(&b);
	i_stream_unref(&file);
	f->fds[1] = dup(f->fds[0]);
}

/* A stream over several: the loop watches the one that is read now. */
static void write_to(struct waiter *w, int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	w->got->used = 0;
}

static void one_after_the_other(struct fixture *f, struct waiter *w,
				int second_fd)
{
	write_to(w, f->fds[1], "first");
	turn(f);
	assert_got(w, "first");
	write_to(w, second_fd, "second");
	turn(f);
	assert_got(w, "");
	(void)close(f->fds[1]);
	/* the end, and then the other one is watched, too */
	turn(f);
	turn(f);
	assert_got(w, "second");
	write_to(w, second_fd, "more");
	turn(f);
	turn(f);
	assert_got(w, "more");
	w->calls = 0;
	turn(f);
	assert_int_equal(w->calls, 0);
	f->fds[1] = dup(f->fds[0]);
}

static void test_istream_io_concat_and_chain(void **state)
{
	struct fixture *f = *state;
	struct waiter w = { 0 };
	struct istream *inputs[3] = { NULL }, *several;
	struct istream_chain *chain;
	unsigned int i;
	int fds[2];

	for (i = 0; i < 2; i++) {
		assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
		inputs[0] = i_stream_create_fd(f->fds[0], 0);
		inputs[1] = i_stream_create_fd_autoclose(&fds[0], 0);
		if (i == 0) {
			several = i_stream_create_concat(inputs);
		} else {
			(void)close(f->fds[0]);
			(void)close(f->fds[1]);
			assert_int_equal(pipe2(f->fds, O_NONBLOCK), 0);
			i_stream_unref(&inputs[0]);
			inputs[0] = i_stream_create_fd(f->fds[0], 0);
			several = i_stream_create_chain(&chain, 0);
		}
		/* below another one */
		wait_and_read(&w, i_stream_create_noop(several));
		if (i == 1) {
			turn(f);
			i_stream_chain_append(chain, inputs[0]);
			i_stream_chain_append(chain, inputs[1]);
			turn(f);
		}
		i_stream_unref(&inputs[0]);
		i_stream_unref(&inputs[1]);
		i_stream_unref(&several);
		one_after_the_other(f, &w, fds[1]);
		stop_waiting(&w);
		(void)close(fds[1]);
	}
}

/* What finds out what it reads becomes another chain while it is waited for. */
static void test_istream_io_decompress(void **state)
{
	struct fixture *f = *state;
	struct istream *file = i_stream_create_fd(f->fds[0], 0);
	struct waiter w = { 0 };
	buffer_t *gz = buffer_create_dynamic(default_pool, 64);
	struct ostream *end = o_stream_create_buffer(gz);
	struct ostream *output = o_stream_create_gzip(end, 1);
	size_t i;

	assert_int_equal(o_stream_send_str(output, "text"), 4);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_unref(&output);
	o_stream_unref(&end);
	wait_and_read(&w, i_stream_create_decompress(file, 0));
	i_stream_unref(&file);
	for (i = 0; i < gz->used; i++) {
		assert_int_equal(write(f->fds[1], gz->data + i, 1), 1);
		turn(f);
		turn(f);
	}
	i_stream_set_input_pending(w.input, true);
	turn(f);
	(void)close(f->fds[1]);
	while (!w.input->eof)
		io_loop_handler_run(f->loop);
	assert_int_equal(w.input->stream_errno, 0);
	assert_got(&w, "text");
	stop_waiting(&w);
	buffer_free(&gz);
	f->fds[1] = dup(f->fds[0]);
}

/* Where there is nothing to be read, the children do not wake each other. */
static void test_istream_io_tee_sleeps(void **state)
{
	struct fixture *f = *state;
	struct istream *file = i_stream_create_fd(f->fds[0], 64);
	struct tee_istream *tee = tee_i_stream_create(file);
	struct waiter waiters[2] = { 0 };
	unsigned int i;

	for (i = 0; i < 2; i++)
		wait_and_read(&waiters[i], tee_i_stream_create_child(tee));
	write_text(f, "12345678");
	for (i = 0; i < 20; i++)
		turn(f);
	for (i = 0; i < 2; i++) {
		assert_got(&waiters[i], "12345678");
		/* for the pipe, and because the other one has read */
		assert_true(waiters[i].calls <= 3);
		stop_waiting(&waiters[i]);
	}
	i_stream_unref(&file);
}

#define IO_TEST(func) cmocka_unit_test_setup_teardown(func, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IO_TEST(test_istream_io_readable_or_pending),
		IO_TEST(test_istream_io_no_call_for_an_old_event),
		IO_TEST(test_istream_io_pending_from_a_callback),
		IO_TEST(test_istream_io_pending_before_the_wait),
		IO_TEST(test_istream_io_along_the_chain),
		IO_TEST(test_istream_io_without_an_fd),
		IO_TEST(test_istream_io_callback_removes_all),
		IO_TEST(test_istream_io_moves_with_its_stream),
		IO_TEST(test_istream_io_needs_a_loop),
		IO_TEST(test_istream_io_tee),
		IO_TEST(test_istream_io_multiplex),
		IO_TEST(test_istream_io_concat_and_chain),
		IO_TEST(test_istream_io_decompress),
		IO_TEST(test_istream_io_tee_sleeps),
	};

	return cmocka_run_group_tests_name("istream-io", tests, NULL, NULL);
}
