/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Transforms on a thread of their own, in an event loop: what the thread wakes, and what
   sleeps meanwhile. */

#include "config.h"
#include "ioloop.h"
#include "istream-private.h"
#include "test-held-codec.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Passes all on, and counts how often it was polled. */
struct counted {
	struct transform transform;
	struct transform_class class_;
	struct transform *inner;
	unsigned int polls;
};

static struct counted *counted(struct transform *t)
{
	return container_of(t, struct counted, transform);
}

static enum transform_status counted_process(struct transform *t,
					     struct transform_io *io,
					     enum transform_op op)
{
	struct transform *inner = counted(t)->inner;
	enum transform_status status = inner->class_->process(inner, io, op);

	if (op == TRANSFORM_POLL)
		counted(t)->polls++;
	if (status == TRANSFORM_ERROR)
		(void)transform_error(t, inner->error_errno, "%s",
				      inner->error);
	return status;
}

static size_t counted_get_pending(struct transform *t)
{
	return counted(t)->inner->class_->get_pending(counted(t)->inner);
}

static int counted_get_wake_fd(struct transform *t)
{
	return counted(t)->inner->class_->get_wake_fd(counted(t)->inner);
}

static void counted_free(struct transform *t)
{
	transform_free(&counted(t)->inner);
	free(counted(t));
}

static struct counted *counted_new(struct transform *inner)
{
	struct counted *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->inner = inner;
	c->class_ = *inner->class_;
	c->class_.process = counted_process;
	c->class_.free = counted_free;
	c->class_.get_pending = counted_get_pending;
	c->class_.get_wake_fd = counted_get_wake_fd;
	c->transform.class_ = &c->class_;
	return c;
}

struct waiting {
	struct ioloop *loop;
	struct test_gate gate;
	struct test_held_codec *held;
	struct counted *codec;
	struct ostream *s;
	struct istream *input;
	unsigned int calls;
	bool destroy;
	buffer_t *got;
};

static void waiting_init(struct waiting *w, size_t fail_at, bool decodes)
{
	memset(w, 0, sizeof(*w));
	test_gate_init(&w->gate);
	w->loop = io_loop_create();
	w->held = test_held_new(&w->gate, fail_at);
	if (decodes)
		w->held->transform.class_ = &test_held_decoder_class;
	w->codec = counted_new(transform_create_async(&w->held->transform));
	w->got = buffer_create_dynamic(default_pool, 1024);
}

static void waiting_free(struct waiting *w)
{
	io_loop_destroy(&w->loop);
	buffer_free(&w->got);
	test_gate_free(&w->gate);
}

static void nothing(void *context ATTR_UNUSED)
{
}

/* So many turns of the loop, whether anything happens or not. */
static void turn(struct waiting *w, unsigned int turns)
{
	struct timeout *to = timeout_add_to(w->loop, 0, nothing, NULL);

	while (turns-- > 0)
		io_loop_handler_run(w->loop);
	timeout_remove(&to);
}

static int all_went_out(void *context)
{
	struct waiting *w = context;

	w->calls++;
	io_loop_stop(w->loop);
	if (w->destroy) {
		o_stream_abort(w->s);
		o_stream_destroy(&w->s);
	}
	return 1;
}

/* Nobody sends, nobody flushes, and the parent has always room: the thread alone says
   that there is something. And where it has nothing to say the loop sleeps. */
static void test_the_thread_wakes_the_loop(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct waiting w;

	waiting_init(&w, SIZE_MAX, false);
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hel", 3), 3);
	assert_int_equal(o_stream_send(w.s, "lo", 2), 2);
	assert_int_equal(w.codec->polls, 0);
	turn(&w, 50);
	test_gate_wait_for_caller(&w.gate);
	/* both sends are with the thread, as one */
	assert_int_equal(w.gate.inside, 1);
	assert_int_equal(w.codec->polls, 1);
	assert_int_equal(w.calls, 0);
	test_gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_int_equal(w.calls, 1);
	assert_int_equal(buf->used, 5);
	assert_memory_equal(buf->data, "hello", 5);
	/* at most: output, still busy, at rest */
	turn(&w, 50);
	assert_true(w.codec->polls <= 6);
	assert_int_equal(w.calls, 1);
	assert_int_equal(o_stream_finish(w.s), 1);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	waiting_free(&w);
	buffer_free(&buf);
}

/* Also where nothing comes of what it was given: then nothing is on its way. */
static void test_the_thread_says_that_it_is_at_rest(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct waiting w;

	waiting_init(&w, SIZE_MAX, false);
	w.held->mute = true;
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	turn(&w, 50);
	test_gate_wait_for_caller(&w.gate);
	assert_int_equal(w.calls, 0);
	test_gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_int_equal(w.calls, 1);
	assert_int_equal(buf->used, 0);
	assert_int_equal(o_stream_finish(w.s), 1);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	waiting_free(&w);
	buffer_free(&buf);
}

static void test_the_loop_hears_of_an_error(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct waiting w;

	waiting_init(&w, 3, false);
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	test_gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_int_equal(w.s->stream_errno, EINVAL);
	assert_int_equal(buf->used, 3);
	turn(&w, 50);
	assert_int_equal(w.calls, 1);
	assert_true(w.codec->polls <= 6);
	o_stream_abort(w.s);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	waiting_free(&w);
	buffer_free(&buf);
}

static int asks_again(void *context)
{
	struct waiting *w = context;

	if (++w->calls < 3)
		return 0;
	io_loop_stop(w->loop);
	return 1;
}

/* One that answers 0 is called again, although nothing is on its way. */
static void test_the_callback_asks_again(void **state ATTR_UNUSED)
{
	int fds[2];
	struct ostream *end;
	struct waiting w;

	waiting_init(&w, SIZE_MAX, false);
	test_gate_open(&w.gate);
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	end = o_stream_create_fd_autoclose(&fds[1], 0);
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, asks_again, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	io_loop_run(w.loop);
	assert_int_equal(w.calls, 3);
	assert_int_equal(o_stream_finish(w.s), 1);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	assert_int_equal(close(fds[0]), 0);
	waiting_free(&w);
}

static void test_the_callback_may_destroy(void **state ATTR_UNUSED)
{
	struct ostream *end = o_stream_create_null();
	struct waiting w;

	waiting_init(&w, SIZE_MAX, false);
	w.destroy = true;
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	test_gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_null(w.s);
	o_stream_destroy(&end);
	waiting_free(&w);
}

static void test_another_loop(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 0);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ioloop *first;
	struct waiting w;

	first = io_loop_create();
	waiting_init(&w, SIZE_MAX, false);
	test_gate_open(&w.gate);
	io_loop_set_current(first);
	w.s = o_stream_create_transform(end, &w.codec->transform);
	o_stream_set_flush_callback(w.s, all_went_out, &w);
	assert_int_equal(o_stream_send(w.s, "hello", 5), 5);
	o_stream_switch_ioloop_to(w.s, w.loop);
	io_loop_run(w.loop);
	assert_int_equal(w.calls, 1);
	assert_int_equal(buf->used, 5);
	assert_int_equal(o_stream_finish(w.s), 1);
	o_stream_destroy(&w.s);
	o_stream_destroy(&end);
	io_loop_set_current(w.loop);
	waiting_free(&w);
	io_loop_destroy(&first);
	buffer_free(&buf);
}

#define PRESSURE_SIZE ((size_t)60 * TEST_BLOCK)
#define PRESSURE_LIMIT ((size_t)2 * TEST_BLOCK)

struct pressure {
	struct ioloop *loop;
	struct ostream *s;
	const unsigned char *data;
	size_t sent, used_max;
	unsigned int calls;
	int fd;
	buffer_t *got;
};

/* Sends until much waits, and goes on when the stream says so. */
static int send_more(void *context)
{
	struct pressure *p = context;
	size_t size, used;

	p->calls++;
	for (;;) {
		used = o_stream_get_buffer_used_size(p->s);
		p->used_max = I_MAX(p->used_max, used);
		if (p->sent == PRESSURE_SIZE || used >= PRESSURE_LIMIT)
			break;
		size = I_MIN((size_t)10000, PRESSURE_SIZE - p->sent);
		assert_int_equal(o_stream_send(p->s, p->data + p->sent, size),
				 size);
		p->sent += size;
	}
	return p->sent < PRESSURE_SIZE ? 1 : o_stream_finish(p->s);
}

static void take_some(void *context)
{
	struct pressure *p = context;
	unsigned char bytes[30000];
	ssize_t ret = read(p->fd, bytes, sizeof(bytes));

	assert_true(ret > 0);
	buffer_append(p->got, bytes, (size_t)ret);
	if (p->got->used == PRESSURE_SIZE)
		io_loop_stop(p->loop);
}

/* A slow reader: the memory is bounded by who looks at the used size, as with a codec
   that has no thread; and everything arrives by callbacks alone. */
static void test_backpressure(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, PRESSURE_SIZE);
	struct pressure p = { .data = data };
	struct ostream *end;
	struct test_gate gate;
	struct io *io;
	int fds[2], i;

	test_gate_init(&gate);
	test_gate_open(&gate);
	p.loop = io_loop_create();
	p.got = buffer_create_dynamic(default_pool, PRESSURE_SIZE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
	p.fd = fds[0];
	end = o_stream_create_fd_autoclose(&fds[1], SIZE_MAX);
	p.s = o_stream_create_transform(
		end,
		transform_create_async(
			&test_held_new(&gate, SIZE_MAX)->transform));
	o_stream_set_max_buffer_size(p.s, SIZE_MAX);
	o_stream_set_flush_callback(p.s, send_more, &p);
	io = io_add(p.fd, IO_READ, take_some, &p);
	(void)send_more(&p);
	io_loop_run(p.loop);
	assert_memory_equal(p.got->data, data, PRESSURE_SIZE);
	assert_true(p.used_max >= PRESSURE_LIMIT);
	/* the block that the worker is at may count twice, as what it was and as
	   what came out of it */
	assert_true(p.used_max < PRESSURE_LIMIT + 10000 + TEST_BLOCK);
	assert_int_equal(o_stream_finish(p.s), 1);
	io_remove(&io);
	o_stream_destroy(&p.s);
	o_stream_destroy(&end);
	assert_int_equal(close(p.fd), 0);
	io_loop_destroy(&p.loop);
	buffer_free(&p.got);
	test_gate_free(&gate);
	free(data);
}

static void read_some(void *context)
{
	struct waiting *w = context;
	const unsigned char *data;
	size_t size;

	w->calls++;
	while (i_stream_read_more(w->input, &data, &size) > 0) {
		buffer_append(w->got, data, size);
		i_stream_skip(w->input, size);
	}
	if (w->got->used == 8)
		io_loop_stop(w->loop);
}

/* A reader does not wait for the thread in its read, but in the loop. */
static void test_the_thread_wakes_a_reader(void **state ATTR_UNUSED)
{
	struct istream *pipe_input;
	struct waiting w;
	struct io *io;
	int fds[2];

	waiting_init(&w, SIZE_MAX, true);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	pipe_input = i_stream_create_fd_autoclose(&fds[0], 0);
	w.input = i_stream_create_transform(pipe_input, &w.codec->transform);
	assert_false(w.input->blocking);
	io = io_add_istream(w.input, read_some, &w);
	assert_int_equal(write(fds[1], "question", 8), 8);
	turn(&w, 50);
	test_gate_wait_for_caller(&w.gate);
	assert_int_equal(w.got->used, 0);
	/* for the pipe, and for what was gathered */
	assert_true(w.calls <= 2);
	assert_true(w.codec->polls <= 2);
	test_gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_memory_equal(w.got->data, "question", 8);
	turn(&w, 50);
	assert_true(w.calls <= 5);
	assert_true(w.codec->polls <= 8);
	io_remove(&io);
	i_stream_destroy(&w.input);
	i_stream_destroy(&pipe_input);
	assert_int_equal(close(fds[1]), 0);
	waiting_free(&w);
}

/* What the thread wakes moves with the stream. */
static void test_a_reader_in_another_loop(void **state ATTR_UNUSED)
{
	struct istream *pipe_input;
	struct ioloop *first;
	struct waiting w;
	struct io *io;
	int fds[2];

	first = io_loop_create();
	waiting_init(&w, SIZE_MAX, true);
	io_loop_set_current(first);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(write(fds[1], "question", 8), 8);
	pipe_input = i_stream_create_fd_autoclose(&fds[0], 0);
	w.input = i_stream_create_transform(pipe_input, &w.codec->transform);
	io = io_add_istream(w.input, read_some, &w);
	while (w.codec->polls == 0)
		assert_int_equal(i_stream_read(w.input), 0);
	i_stream_switch_ioloop_to(w.input, w.loop);
	assert_ptr_equal(pipe_input->real_stream->iostream.ioloop, w.loop);
	test_gate_open(&w.gate);
	io_loop_run(w.loop);
	assert_memory_equal(w.got->data, "question", 8);
	io_remove(&io);
	i_stream_destroy(&w.input);
	i_stream_destroy(&pipe_input);
	assert_int_equal(close(fds[1]), 0);
	io_loop_set_current(w.loop);
	waiting_free(&w);
	io_loop_destroy(&first);
}

/* Nor does one wait in its read that asks again before the loop has told it. */
static void test_a_reader_that_comes_again(void **state ATTR_UNUSED)
{
	struct istream *pipe_input;
	struct waiting w;
	unsigned int i;
	int fds[2];

	waiting_init(&w, SIZE_MAX, true);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	pipe_input = i_stream_create_fd_autoclose(&fds[0], 0);
	w.input = i_stream_create_transform(pipe_input, &w.codec->transform);
	assert_int_equal(write(fds[1], "question", 8), 8);
	/* if it waited, nobody would ever open the gate */
	(void)alarm(60);
	for (i = 0; i < 3; i++)
		assert_int_equal(i_stream_read(w.input), 0);
	test_gate_wait_for_caller(&w.gate);
	for (i = 0; i < 3; i++)
		assert_int_equal(i_stream_read(w.input), 0);
	(void)alarm(0);
	assert_true(w.codec->polls >= 6);
	test_gate_open(&w.gate);
	i_stream_destroy(&w.input);
	i_stream_destroy(&pipe_input);
	assert_int_equal(close(fds[1]), 0);
	waiting_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_thread_wakes_the_loop),
		cmocka_unit_test(test_the_thread_says_that_it_is_at_rest),
		cmocka_unit_test(test_the_loop_hears_of_an_error),
		cmocka_unit_test(test_the_callback_asks_again),
		cmocka_unit_test(test_the_callback_may_destroy),
		cmocka_unit_test(test_another_loop),
		cmocka_unit_test(test_backpressure),
		cmocka_unit_test(test_the_thread_wakes_a_reader),
		cmocka_unit_test(test_a_reader_in_another_loop),
		cmocka_unit_test(test_a_reader_that_comes_again),
	};

	return cmocka_run_group_tests_name("transform-async-loop", tests, NULL,
					   NULL);
}
