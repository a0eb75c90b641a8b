/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-held-codec.h"

#include <errno.h>
#include <stdlib.h>

void test_gate_init(struct test_gate *gate)
{
	memset(gate, 0, sizeof(*gate));
	assert_int_equal(pthread_mutex_init(&gate->lock, NULL), 0);
	assert_int_equal(pthread_cond_init(&gate->moved, NULL), 0);
}

void test_gate_free(struct test_gate *gate)
{
	(void)pthread_cond_destroy(&gate->moved);
	(void)pthread_mutex_destroy(&gate->lock);
}

void test_gate_open(struct test_gate *gate)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->open = true;
	(void)pthread_cond_broadcast(&gate->moved);
	(void)pthread_mutex_unlock(&gate->lock);
}

static void gate_pass(struct test_gate *gate)
{
	unsigned int number;

	(void)pthread_mutex_lock(&gate->lock);
	number = ++gate->inside;
	(void)pthread_cond_broadcast(&gate->moved);
	while (!gate->open && number > gate->let)
		(void)pthread_cond_wait(&gate->moved, &gate->lock);
	(void)pthread_mutex_unlock(&gate->lock);
}

void test_gate_let(struct test_gate *gate, unsigned int calls)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->let = calls;
	(void)pthread_cond_broadcast(&gate->moved);
	(void)pthread_mutex_unlock(&gate->lock);
}

void test_gate_wait_for_calls(struct test_gate *gate, unsigned int calls)
{
	(void)pthread_mutex_lock(&gate->lock);
	while (gate->inside < calls)
		(void)pthread_cond_wait(&gate->moved, &gate->lock);
	(void)pthread_mutex_unlock(&gate->lock);
}

void test_gate_wait_for_caller(struct test_gate *gate)
{
	test_gate_wait_for_calls(gate, 1);
}

static void gate_note_failure(struct test_gate *gate)
{
	(void)pthread_mutex_lock(&gate->lock);
	gate->failed = true;
	(void)pthread_cond_broadcast(&gate->moved);
	(void)pthread_mutex_unlock(&gate->lock);
}

void test_gate_wait_for_failure(struct test_gate *gate)
{
	(void)pthread_mutex_lock(&gate->lock);
	while (!gate->failed)
		(void)pthread_cond_wait(&gate->moved, &gate->lock);
	gate->failed = false;
	(void)pthread_mutex_unlock(&gate->lock);
}

static struct test_held_codec *held_codec(struct transform *t)
{
	return container_of(t, struct test_held_codec, transform);
}

static enum transform_status
held_process(struct transform *t, struct transform_io *io, enum transform_op op)
{
	struct test_held_codec *held = held_codec(t);
	size_t size = I_MIN((size_t)(io->in_end - io->in),
			    (size_t)(io->out_end - io->out));

	if (t->error_errno != 0)
		return TRANSFORM_ERROR;
	gate_pass(held->gate);
	held->caller = pthread_self();
	size = I_MIN(size, held->fail_at - held->done);
	if (!held->mute) {
		memcpy(io->out, io->in, size);
		io->out += size;
	}
	io->in += size;
	held->done += size;
	if (held->done == held->fail_at) {
		(void)transform_error(t, EINVAL, "enough of it");
		gate_note_failure(held->gate);
		return TRANSFORM_ERROR;
	}
	if (io->in < io->in_end)
		return TRANSFORM_NEED_OUT;
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

static void held_reset(struct transform *t)
{
	held_codec(t)->done = 0;
}

static void held_free(struct transform *t)
{
	free(held_codec(t));
}

static const struct transform_class held_class = {
	.name = "held",
	.flags = TRANSFORM_TRAILER,
	.min_out = 1,
	.process = held_process,
	.free = held_free,
};

static enum transform_status
held_decode(struct transform *t, struct transform_io *io, enum transform_op op)
{
	enum transform_status status = held_process(t, io, op);

	return status == TRANSFORM_DONE ? TRANSFORM_END : status;
}

const struct transform_class test_held_decoder_class = {
	.name = "held",
	.flags = TRANSFORM_DECODER | TRANSFORM_UNFRAMED,
	.min_out = 1,
	.process = held_decode,
	.reset = held_reset,
	.free = held_free,
};

static enum transform_status
crew_process(struct transform *t, struct transform_io *io, enum transform_op op)
{
	size_t size = (size_t)(io->in_end - io->in);

	gate_pass(held_codec(t)->gate);
	held_codec(t)->done = size == 0 ? 0 : held_codec(t)->done + size;
	io->in = io->in_end;
	return op == TRANSFORM_RUN ? TRANSFORM_NEED_IN : TRANSFORM_DONE;
}

static size_t crew_get_pending(struct transform *t)
{
	return held_codec(t)->done;
}

static int crew_get_wake_fd(struct transform *t ATTR_UNUSED)
{
	return -1;
}

const struct transform_class test_crew_class = {
	.name = "crew",
	.flags = TRANSFORM_TRAILER | TRANSFORM_DEFERS,
	.min_out = 1,
	.process = crew_process,
	.free = held_free,
	.get_pending = crew_get_pending,
	.get_wake_fd = crew_get_wake_fd,
};

struct test_held_codec *test_held_new(struct test_gate *gate, size_t fail_at)
{
	struct test_held_codec *held = calloc(1, sizeof(*held));

	assert_non_null(held);
	held->transform.class_ = &held_class;
	held->gate = gate;
	held->fail_at = fail_at;
	return held;
}
