/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The worker's side: whole calls of the inner transform, one block of input after the
   other, and blocks of what comes out. */

#include "config.h"
#include "async-private.h"
#include "macros.h"
#include "transform-step.h"

#include <errno.h>

static bool worker_fail(struct async_transform *async, int error,
			const char *text)
{
	(void)transform_error(async->inner, error, "%s", text);
	return false;
}

/* Wakes the owner where there is something for it. Under the lock. Who waits for room
   is left alone until there is some for more than a block, or output for more: it would
   be back in a moment, and each time costs both threads a system call. */
static void tell_owner(struct async_transform *async)
{
	bool tell = async->out.count > 0;

	switch (async->awaited) {
	case ASYNC_WAIT_NONE:
		return;
	case ASYNC_WAIT_ROOM:
		tell = async->in.count <= ASYNC_BLOCKS_MAX / 2 ||
			async->out.count > ASYNC_BLOCKS_MAX / 2;
		break;
	case ASYNC_WAIT_IDLE:
		tell |= async->in.count == 0 && !async->busy;
		break;
	case ASYNC_WAIT_ANSWER:
		tell |= async->op_answered;
		break;
	}
	if (tell)
		(void)pthread_cond_signal(&async->to_owner);
}

/* What threads of the codec's own still have. */
static size_t inner_pending(struct async_transform *async)
{
	const struct transform_class *class_ = async->inner->class_;

	return class_->get_pending == NULL ? 0 :
					     class_->get_pending(async->inner);
}

/* Gives the owner what was made. False: nobody wants it any more. */
static bool worker_put_out(struct async_transform *async)
{
	size_t pending;
	bool wanted;

	if (async->making == NULL || async->making->size == 0)
		return true;
	pending = inner_pending(async);
	(void)pthread_mutex_lock(&async->lock);
	while (async->out.count >= ASYNC_BLOCKS_MAX && !async->cancelled)
		(void)pthread_cond_wait(&async->to_worker, &async->lock);
	wanted = !async->cancelled;
	if (wanted) {
		async->out_size += async->making->size;
		/* some of it may be of the block that is not done yet */
		async->inner_size = I_MIN(async->inner_size, pending);
		async_queue_add(&async->out, async->making);
		wake_fd_set(&async->wake);
		async->making = NULL;
		tell_owner(async);
	}
	(void)pthread_mutex_unlock(&async->lock);
	return wanted;
}

/* Room for the inner transform's output. */
static bool worker_make_room(struct async_transform *async)
{
	const struct async_block *block = async->making;

	if (block != NULL &&
	    block->room - block->size < async->inner->class_->min_out &&
	    !worker_put_out(async))
		return false;
	if (async->making == NULL)
		async->making = async_block_get(async, &async->out_spare,
						async->out_room);
	return async->making != NULL ||
		worker_fail(async, ENOMEM, "out of memory");
}

/* Behind a unit: the next member, or an error. */
static bool worker_begin_member(struct async_transform *async,
				const struct async_block *block)
{
	const struct transform_class *class_ = async->inner->class_;

	if ((class_->flags & TRANSFORM_MEMBERS) == 0 ||
	    !class_->may_begin(block->data + block->pos,
			       block->size - block->pos))
		return worker_fail(async, EINVAL, "data after the end");
	class_->reset(async->inner);
	async->unit_ended = false;
	async->inner_status = TRANSFORM_NEED_IN;
	return true;
}

/* One call of the inner transform; false: it failed, or is not wanted any more. */
static bool worker_turn(struct async_transform *async,
			struct async_block *block, enum transform_op op)
{
	struct transform_io io;

	if (!worker_make_room(async))
		return false;
	transform_no_input(&io);
	if (block->pos < block->size) {
		io.in = block->data + block->pos;
		io.in_end = block->data + block->size;
	}
	io.out = async->making->data + async->making->size;
	io.out_end = async->making->data + async->making->room;
	async->inner_status =
		transform_step(async->inner, &io, op, async->inner_status);
	if (block->pos < block->size) {
		async->worked += (size_t)(io.in - block->data) - block->pos;
		block->pos = (size_t)(io.in - block->data);
	}
	async->made_some = io.out != async->making->data + async->making->size;
	async->making->size = (size_t)(io.out - async->making->data);
	return async->inner_status != TRANSFORM_ERROR;
}

static bool worker_is_done(const struct async_transform *async,
			   const struct async_block *block,
			   enum transform_op op)
{
	if (block->pos < block->size)
		return false;
	switch (async->inner_status) {
	case TRANSFORM_NEED_OUT:
		return false;
	case TRANSFORM_END:
		return true;
	default:
		return op == TRANSFORM_RUN ||
			async->inner_status == TRANSFORM_DONE;
	}
}

static bool worker_run(struct async_transform *async, struct async_block *block,
		       enum transform_op op)
{
	do {
		if (async->unit_ended && block->pos < block->size &&
		    !worker_begin_member(async, block))
			return false;
		if (!worker_turn(async, block, op))
			return false;
		if (async->inner_status == TRANSFORM_END)
			async->unit_ended = true;
	} while (!worker_is_done(async, block, op));
	return true;
}

static bool worker_finish_decoder(struct async_transform *async,
				  struct async_block *block)
{
	do {
		if (!worker_turn(async, block, TRANSFORM_FINISH))
			return false;
	} while (async->inner_status == TRANSFORM_NEED_OUT);
	async->unit_ended = async->inner_status == TRANSFORM_END;
	return true;
}

static bool worker_has_more_to_do(struct async_transform *async)
{
	bool more;

	(void)pthread_mutex_lock(&async->lock);
	more = async->in.count > 0 || async->cancelled;
	(void)pthread_mutex_unlock(&async->lock);
	return more;
}

/* Where the inner transform has threads of its own: what these have is waited for
   when there is nothing else to do. */
static bool worker_take_deferred(struct async_transform *async,
				 struct async_block *block)
{
	do {
		if (async->unit_ended || worker_has_more_to_do(async))
			return true;
		if (!worker_turn(async, block, TRANSFORM_RUN))
			return false;
		if (async->inner_status == TRANSFORM_END)
			async->unit_ended = true;
	} while (async->made_some || async->inner_status == TRANSFORM_NEED_OUT);
	return true;
}

/* False after an error, or where the owner does not want the rest. */
static bool worker_do(struct async_transform *async, struct async_block *block)
{
	const struct transform_class *class_ = async->inner->class_;
	enum transform_op op = block->op;
	bool decodes = transform_is_decoder(class_);

	/* a decoder's FINISH comes without input, and not at the border of a unit */
	if ((block->size > 0 || (!decodes && op != TRANSFORM_RUN)) &&
	    !worker_run(async, block, decodes ? TRANSFORM_RUN : op))
		return false;
	if (decodes && op == TRANSFORM_FINISH && !async->unit_ended &&
	    !worker_finish_decoder(async, block))
		return false;
	if (op == TRANSFORM_RUN && (class_->flags & TRANSFORM_DEFERS) != 0 &&
	    !worker_take_deferred(async, block))
		return false;
	return worker_put_out(async);
}

void *async_worker(void *context)
{
	struct async_transform *async = context;
	struct async_block *block;
	bool ok = true;
	size_t pending;

	(void)pthread_mutex_lock(&async->lock);
	for (;;) {
		while (async->in.count == 0 && !async->quit)
			(void)pthread_cond_wait(&async->to_worker,
						&async->lock);
		if (async->quit)
			break;
		block = async_queue_take(&async->in);
		async->busy = true;
		tell_owner(async);
		if (!async->failed && !async->cancelled) {
			(void)pthread_mutex_unlock(&async->lock);
			ok = worker_do(async, block);
			if (!ok)
				(void)worker_put_out(async);
			pending = ok ? inner_pending(async) : 0;
			(void)pthread_mutex_lock(&async->lock);
			async->inner_size = pending;
			async->failed = !ok && !async->cancelled;
		}
		if (block->op != TRANSFORM_RUN)
			async->op_answered = true;
		async->busy = false;
		async->in_size -= block->size;
		if (async->in.count == 0)
			wake_fd_set(&async->wake);
		tell_owner(async);
		async_block_put(async, &async->in_spare, &block);
	}
	(void)pthread_mutex_unlock(&async->lock);
	return NULL;
}
