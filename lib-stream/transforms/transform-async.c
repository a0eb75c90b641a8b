/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A transform whose process() runs on a thread of its own, behind a bounded number
   of blocks each way. Only whole calls of the inner transform run there: streams,
   callbacks and errno stay with the owner, who copies into blocks and out of them.

   The inner transform belongs to the worker while a block is queued or being worked
   on, and to the owner else: the queue's lock hands it over.

   A child that fork() made has no worker, and the lock and what is under it are as the worker
   had them at that moment: there it is left alone, memory included. (pthread_atfork() could
   take the lock, but not bring back the worker; and it would make each fork of the program
   wait for all streams, and not be called for _Fork().) */

#include "config.h"
#include "async-private.h"
#include "macros.h"
#include "mem.h"
#include "transform-step.h"
#include "transforms.h"

#include <errno.h>
#include <string.h>

/* What a block has room for, unless the codec likes more. */
#define BLOCK_SIZE ((size_t)128 * 1024)

static struct async_transform *async_transform(struct transform *t)
{
	return container_of(t, struct async_transform, transform);
}

/* Of a process of which this one is a fork: there is nothing here to be used. */
static bool is_parents(const struct async_transform *async)
{
	return wake_fd_is_parents(&async->wake);
}

static bool start(struct async_transform *async)
{
	if (!async->started) {
		wake_fd_claim(&async->wake);
		async->started = transform_start_thread(
			&async->transform, &async->thread, async_worker, async);
	}
	return async->started;
}

/* Signals are given without the lock: who is woken takes it at once. */
static void take_block(struct async_transform *async)
{
	bool was_full;

	(void)pthread_mutex_lock(&async->lock);
	was_full = async->out.count >= ASYNC_BLOCKS_MAX;
	async->emptying = async_queue_take(&async->out);
	if (async->emptying != NULL)
		async->out_size -= async->emptying->size;
	(void)pthread_mutex_unlock(&async->lock);
	if (was_full)
		(void)pthread_cond_signal(&async->to_worker);
}

/* Copies what is ready into the window. */
static void take_output(struct async_transform *async, struct transform_io *io)
{
	struct async_block *block;
	size_t size;

	while (io->out < io->out_end) {
		if (async->emptying == NULL)
			take_block(async);
		block = async->emptying;
		if (block == NULL)
			return;
		size = I_MIN(block->size - block->pos,
			     (size_t)(io->out_end - io->out));
		memcpy(io->out, block->data + block->pos, size);
		io->out += size;
		block->pos += size;
		if (block->pos < block->size)
			continue;
		(void)pthread_mutex_lock(&async->lock);
		async_block_put(async, &async->out_spare, &async->emptying);
		(void)pthread_mutex_unlock(&async->lock);
	}
}

/* Queues what was gathered, with what is to be done behind it. */
static bool put_filling(struct async_transform *async, enum transform_op op)
{
	struct async_block *block = async->filling;

	if (block == NULL)
		block = async_block_get(async, NULL, 0);
	if (block == NULL) {
		(void)transform_error(&async->transform, ENOMEM,
				      "out of memory");
		return false;
	}
	block->op = op;
	async->filling = NULL;
	(void)pthread_mutex_lock(&async->lock);
	async->in_size += block->size;
	async_queue_add(&async->in, block);
	(void)pthread_mutex_unlock(&async->lock);
	(void)pthread_cond_signal(&async->to_worker);
	return true;
}

/* Under the lock. */
static bool is_idle(const struct async_transform *async)
{
	return async->in.count == 0 && !async->busy;
}

/* Returns false where there is output to be taken first. */
static bool wait_for(struct async_transform *async, enum async_wait what)
{
	bool output, ready;

	(void)pthread_mutex_lock(&async->lock);
	for (;;) {
		output = async->out.count > 0;
		ready = what == ASYNC_WAIT_ROOM ?
			async->in.count < ASYNC_BLOCKS_MAX :
			what == ASYNC_WAIT_IDLE ? is_idle(async) :
						  async->op_answered;
		if (ready || output)
			break;
		async->awaited = what;
		(void)pthread_cond_wait(&async->to_owner, &async->lock);
	}
	async->awaited = ASYNC_WAIT_NONE;
	(void)pthread_mutex_unlock(&async->lock);
	return ready && (!output || what == ASYNC_WAIT_ROOM);
}

/* The inner transform's error becomes ours. */
static void take_error(struct async_transform *async)
{
	async->transform.error_left =
		async->taken - async->worked + async->inner->error_left;
	(void)transform_error(&async->transform, async->inner->error_errno,
			      "%s", async->inner->error);
}

/* Whether the worker failed, and all that it made before was taken. */
static bool has_failed(struct async_transform *async)
{
	bool failed;

	if (async->emptying != NULL)
		return false;
	(void)pthread_mutex_lock(&async->lock);
	failed = async->failed && async->out.count == 0 && !async->busy;
	(void)pthread_mutex_unlock(&async->lock);
	if (failed)
		take_error(async);
	return failed;
}

static bool has_output(struct async_transform *async)
{
	bool output;

	(void)pthread_mutex_lock(&async->lock);
	output = async->emptying != NULL || async->out.count > 0;
	(void)pthread_mutex_unlock(&async->lock);
	return output;
}

/* Gathers input, and queues what is full. False: there is output in the way, or an
   error. */
static bool put_input(struct async_transform *async, struct transform_io *io)
{
	struct async_block *block;
	size_t size;

	while (io->in < io->in_end) {
		if (async->filling == NULL) {
			if (!wait_for(async, ASYNC_WAIT_ROOM))
				return false;
			async->filling = async_block_get(
				async, &async->in_spare, async->in_room);
		}
		block = async->filling;
		if (block == NULL) {
			(void)transform_error(&async->transform, ENOMEM,
					      "out of memory");
			return false;
		}
		size = I_MIN(block->room - block->size,
			     (size_t)(io->in_end - io->in));
		memcpy(block->data + block->size, io->in, size);
		block->size += size;
		io->in += size;
		async->taken += size;
		if (block->size == block->room &&
		    !put_filling(async, TRANSFORM_RUN))
			return false;
	}
	return true;
}

/* What process() answers to RUN without input: all that the worker has to give is
   taken first. */
static enum transform_status async_poll(struct async_transform *async,
					struct transform_io *io)
{
	if (async->filling != NULL && !put_filling(async, TRANSFORM_RUN))
		return TRANSFORM_ERROR;
	for (;;) {
		take_output(async, io);
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		if (has_failed(async))
			return TRANSFORM_ERROR;
		if (wait_for(async, ASYNC_WAIT_IDLE))
			return has_failed(async) ? TRANSFORM_ERROR :
						   TRANSFORM_NEED_IN;
	}
}

/* The answer to SYNC and FINISH. */
static enum transform_status async_complete(struct async_transform *async,
					    struct transform_io *io,
					    enum transform_op op)
{
	if (!async->op_queued) {
		async->op_answered = false;
		if (!put_filling(async, op))
			return TRANSFORM_ERROR;
		async->op_queued = true;
	}
	for (;;) {
		take_output(async, io);
		if (io->out == io->out_end)
			return TRANSFORM_NEED_OUT;
		if (has_failed(async))
			return TRANSFORM_ERROR;
		if (wait_for(async, ASYNC_WAIT_ANSWER))
			break;
	}
	if (has_failed(async))
		return TRANSFORM_ERROR;
	async->op_queued = false;
	if (!transform_is_decoder(&async->class_))
		return TRANSFORM_DONE;
	return async->unit_ended ? TRANSFORM_END : TRANSFORM_NEED_IN;
}

static enum transform_status async_run(struct async_transform *async,
				       struct transform_io *io)
{
	bool all;

	do {
		take_output(async, io);
		if (has_failed(async))
			return TRANSFORM_ERROR;
		all = put_input(async, io);
		if (async->transform.error_errno != 0)
			return TRANSFORM_ERROR;
	} while (!all && io->out < io->out_end);
	take_output(async, io);
	return !all || (io->out == io->out_end && has_output(async)) ?
		TRANSFORM_NEED_OUT :
		TRANSFORM_NEED_IN;
}

/* What there is, without waiting. What was gathered goes to a worker that has nothing
   else to do. */
static enum transform_status async_take_ready(struct async_transform *async,
					      struct transform_io *io)
{
	bool idle;

	(void)pthread_mutex_lock(&async->lock);
	wake_fd_clear(&async->wake);
	idle = is_idle(async);
	(void)pthread_mutex_unlock(&async->lock);
	if (idle && async->filling != NULL &&
	    !put_filling(async, TRANSFORM_RUN))
		return TRANSFORM_ERROR;
	take_output(async, io);
	if (io->out == io->out_end && has_output(async))
		return TRANSFORM_NEED_OUT;
	return has_failed(async) ? TRANSFORM_ERROR : TRANSFORM_NEED_IN;
}

/* What was gathered is for the worker where the loop comes by and that has nothing to
   do: all that is sent until then goes in one block. */
static void wake_for_gathered(struct async_transform *async)
{
	if (async->filling == NULL)
		return;
	(void)pthread_mutex_lock(&async->lock);
	if (is_idle(async))
		wake_fd_set(&async->wake);
	(void)pthread_mutex_unlock(&async->lock);
}

static enum transform_status async_process(struct transform *t,
					   struct transform_io *io,
					   enum transform_op op)
{
	struct async_transform *async = async_transform(t);
	bool input = io->in < io->in_end;
	enum transform_status status;

	if (is_parents(async))
		return transform_error_forked(t);
	if (!start(async))
		return TRANSFORM_ERROR;
	status = TRANSFORM_NEED_IN;
	if (op == TRANSFORM_POLL)
		status = async_take_ready(async, io);
	else if (input ||
		 (op == TRANSFORM_RUN && async->last == TRANSFORM_NEED_OUT))
		status = async_run(async, io);
	else if (op == TRANSFORM_RUN)
		status = async_poll(async, io);
	if (status == TRANSFORM_NEED_IN &&
	    (op == TRANSFORM_SYNC || op == TRANSFORM_FINISH))
		status = async_complete(async, io, op);
	wake_for_gathered(async);
	async->last = status;
	return status;
}

/* The worker has nothing to do, and nothing of what it was given is left. */
static void stop_work(struct async_transform *async)
{
	(void)pthread_mutex_lock(&async->lock);
	async->cancelled = true;
	(void)pthread_cond_signal(&async->to_worker);
	async->awaited = ASYNC_WAIT_IDLE;
	while (async->started && !is_idle(async))
		(void)pthread_cond_wait(&async->to_owner, &async->lock);
	async->awaited = ASYNC_WAIT_NONE;
	async->cancelled = false;
	async->failed = async->op_answered = false;
	async->in_size = async->out_size = async->inner_size = 0;
	wake_fd_clear(&async->wake);
	(void)pthread_mutex_unlock(&async->lock);
	async_queue_free(async, &async->in);
	async_queue_free(async, &async->out);
	async_queue_free(async, &async->in_spare);
	async_queue_free(async, &async->out_spare);
	async_block_free(async, &async->making);
	async_block_free(async, &async->filling);
	async_block_free(async, &async->emptying);
	/* met while it was ahead of the owner, who may never come there */
	transform_clear_error(async->inner);
	async->op_queued = async->unit_ended = false;
	async->taken = async->worked = 0;
	async->last = async->inner_status = TRANSFORM_NEED_IN;
}

static void async_reset(struct transform *t)
{
	struct async_transform *async = async_transform(t);

	transform_clear_error(t);
	if (is_parents(async))
		return;
	stop_work(async);
	async->inner->class_->reset(async->inner);
}

static void async_free(struct transform *t)
{
	struct async_transform *async = async_transform(t);

	if (is_parents(async))
		return;
	stop_work(async);
	if (async->started) {
		(void)pthread_mutex_lock(&async->lock);
		async->quit = true;
		(void)pthread_cond_signal(&async->to_worker);
		(void)pthread_mutex_unlock(&async->lock);
		(void)pthread_join(async->thread, NULL);
	}
	wake_fd_free(&async->wake);
	(void)pthread_cond_destroy(&async->to_owner);
	(void)pthread_cond_destroy(&async->to_worker);
	(void)pthread_mutex_destroy(&async->lock);
	transform_free(&async->inner);
	i_free(async);
}

static int async_locate(struct transform *t, uoff_t plain_offset,
			uoff_t encoded_size, struct transform_point *point)
{
	struct async_transform *async = async_transform(t);
	int ret;

	if (is_parents(async)) {
		(void)transform_error_forked(t);
		return -1;
	}
	stop_work(async);
	ret = async->inner->class_->locate(async->inner, plain_offset,
					   encoded_size, point);
	if (ret < 0)
		take_error(async);
	return ret;
}

static int async_vouch(struct transform *t, uoff_t encoded_size,
		       struct transform_point *point)
{
	struct async_transform *async = async_transform(t);
	int ret;

	if (is_parents(async)) {
		(void)transform_error_forked(t);
		return -1;
	}
	stop_work(async);
	ret = async->inner->class_->vouch(async->inner, encoded_size, point);
	if (ret < 0)
		take_error(async);
	return ret;
}

static size_t async_get_pending(struct transform *t)
{
	struct async_transform *async = async_transform(t);
	size_t size = 0;
	bool more = true;

	if (async->filling != NULL)
		size += async->filling->size;
	if (async->emptying != NULL)
		size += async->emptying->size - async->emptying->pos;
	if (!is_parents(async)) {
		(void)pthread_mutex_lock(&async->lock);
		size += async->in_size + async->out_size + async->inner_size;
		more = !is_idle(async) || async->failed;
		(void)pthread_mutex_unlock(&async->lock);
	}
	return size == 0 && more ? 1 : size;
}

static int async_get_wake_fd(struct transform *t)
{
	struct async_transform *async = async_transform(t);
	int fd;

	if (is_parents(async)) {
		errno = EPERM;
		return -1;
	}
	(void)pthread_mutex_lock(&async->lock);
	wake_fd_claim(&async->wake);
	fd = wake_fd_get(&async->wake);
	(void)pthread_mutex_unlock(&async->lock);
	return fd;
}

static void init_class(struct async_transform *async)
{
	const struct transform_class *inner = async->inner->class_;
	struct transform_class *class_ = &async->class_;

	*class_ = *inner;
	class_->flags |= TRANSFORM_DEFERS;
	if (transform_is_decoder(inner)) {
		/* what is behind a unit was looked at by the worker */
		class_->flags &=
			~(unsigned int)(TRANSFORM_MEMBERS | TRANSFORM_EXACT);
		class_->flags |= TRANSFORM_UNFRAMED;
		class_->may_begin = NULL;
	}
	class_->min_out = 1;
	class_->max_state +=
		ASYNC_BLOCKS_MAX * (async->in_room + async->out_room);
	class_->process = async_process;
	class_->reset = inner->reset == NULL ? NULL : async_reset;
	class_->free = async_free;
	class_->get_pending = async_get_pending;
	class_->get_wake_fd = async_get_wake_fd;
	if (class_->locate != NULL)
		class_->locate = async_locate;
	if (class_->vouch != NULL)
		class_->vouch = async_vouch;
}

struct transform *transform_create_async(struct transform *inner)
{
	const struct transform_class *class_ = inner->class_;
	struct async_transform *async;

	/* what it leaves unread would be in a block already; and an error needs
	   no thread */
	if ((class_->flags & TRANSFORM_STOP) != 0 || inner->error_errno != 0)
		return inner;
	async = i_new(struct async_transform, 1);
	async->inner = inner;
	async->secret = (class_->flags & TRANSFORM_AUTHENTICATED) != 0;
	async->in_room = I_MAX(class_->good_in, BLOCK_SIZE);
	async->out_room = I_MAX(transform_good_window(class_, BLOCK_SIZE),
				class_->min_out);
	async->last = async->inner_status = TRANSFORM_NEED_IN;
	init_class(async);
	async->transform.class_ = &async->class_;
	(void)pthread_mutex_init(&async->lock, NULL);
	(void)pthread_cond_init(&async->to_worker, NULL);
	(void)pthread_cond_init(&async->to_owner, NULL);
	return &async->transform;
}
