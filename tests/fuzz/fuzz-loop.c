/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "fuzz-loop.h"

#include "test-common.h"

#include <poll.h>

static struct fuzz_loop_handle *add_handle(struct fuzz_loop *loop)
{
	struct fuzz_loop_handle *handle = loop->handles;

	while (handle->used)
		handle++;
	assert_true(handle < loop->handles + FUZZ_LOOP_HANDLES - 1);
	handle->used = true;
	return handle;
}

static void *add_io(void *loop, int fd, enum io_condition condition,
		    io_callback_t *callback, void *context)
{
	struct fuzz_loop_handle *handle = add_handle(loop);

	handle->fd = fd;
	handle->events = (short)((condition & IO_READ) != 0 ? POLLIN : 0);
	if ((condition & IO_WRITE) != 0)
		handle->events |= POLLOUT;
	handle->callback = callback;
	handle->context = context;
	return handle;
}

static void *add_timeout(void *_loop, unsigned int msecs,
			 timeout_callback_t *callback, void *context)
{
	struct fuzz_loop *loop = _loop;
	struct fuzz_loop_handle *handle = add_handle(loop);

	handle->fd = -1;
	handle->every = msecs;
	handle->due = loop->now + msecs;
	handle->callback = callback;
	handle->context = context;
	return handle;
}

static void remove_handle(void *loop ATTR_UNUSED, void *_handle)
{
	struct fuzz_loop_handle *handle = _handle;

	assert_true(handle->used);
	handle->used = false;
}

static const struct ioloop_methods methods = {
	.add_io = add_io,
	.remove_io = remove_handle,
	.add_timeout = add_timeout,
	.remove_timeout = remove_handle,
};

void fuzz_loop_begin(struct fuzz_loop *loop)
{
	memset(loop, 0, sizeof(*loop));
	loop->ioloop = io_loop_create_custom(&methods, loop);
}

void fuzz_loop_end(struct fuzz_loop *loop)
{
	unsigned int i;

	for (i = 0; i < FUZZ_LOOP_HANDLES; i++)
		assert_false(loop->handles[i].used);
	io_loop_destroy(&loop->ioloop);
}

static bool is_ready(const struct fuzz_loop *loop,
		     const struct fuzz_loop_handle *handle)
{
	struct pollfd pfd = { .fd = handle->fd, .events = handle->events };

	if (!handle->used)
		return false;
	return handle->fd == -1 ? handle->due <= loop->now :
				  poll(&pfd, 1, 0) > 0;
}

void fuzz_loop_pass(struct fuzz_loop *loop, unsigned int msecs)
{
	bool ready[FUZZ_LOOP_HANDLES];
	unsigned int i;

	loop->now += msecs;
	for (i = 0; i < FUZZ_LOOP_HANDLES; i++)
		ready[i] = is_ready(loop, &loop->handles[i]);
	for (i = 0; i < FUZZ_LOOP_HANDLES; i++) {
		struct fuzz_loop_handle *handle = &loop->handles[i];

		/* not what was added by one that was called before */
		if (!ready[i] || !is_ready(loop, handle))
			continue;
		if (handle->fd == -1)
			handle->due = loop->now + handle->every;
		handle->callback(handle->context);
	}
}
