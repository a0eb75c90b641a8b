/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "ioloop.h"
#include "ioloop-private.h"
#include "mem.h"
#include "panic.h"

#include <errno.h>
#include <string.h>

struct ioloop {
	const struct ioloop_methods *methods;
	void *loop;
	struct ioloop *prev; /* current before this one was created */
	struct ioloop *next; /* of thread_loops */
	unsigned int users;  /* ios and timeouts */
	bool running;
};

struct io {
	struct ioloop *ioloop;
	void *handle; /* NULL: there is no fd */
	int fd;
	enum io_condition condition;
	io_callback_t *callback;
	void *context;
	struct timeout *pending; /* calls at the next turn */
	void (*removed)(void *context);
	void *removed_context;
	/* An event that the loop tells next may be older than a call that was
	   made for no event, and that call may have read all there was. */
	bool distrust_event;
};

struct timeout {
	struct ioloop *ioloop;
	void *handle;
};

static _Thread_local struct ioloop *thread_ioloop;
static _Thread_local struct ioloop *thread_loops; /* all of the thread's */

struct ioloop *io_loop_create_custom(const struct ioloop_methods *methods,
				     void *loop)
{
	struct ioloop *ioloop = i_new(struct ioloop, 1);

	ioloop->methods = methods;
	ioloop->loop = loop;
	ioloop->prev = thread_ioloop;
	ioloop->next = thread_loops;
	thread_ioloop = thread_loops = ioloop;
	return ioloop;
}

struct ioloop *io_loop_create(void)
{
	void *loop = epoll_loop_create();

	if (loop == NULL)
		i_panic("io_loop_create(): %s", strerror(errno));
	return io_loop_create_custom(&epoll_loop_methods, loop);
}

/* Nobody of this thread refers to the loop any more. */
static void forget_loop(struct ioloop *ioloop)
{
	struct ioloop **pos;

	for (pos = &thread_loops; *pos != NULL;) {
		if ((*pos)->prev == ioloop)
			(*pos)->prev = ioloop->prev;
		if (*pos == ioloop)
			*pos = ioloop->next;
		else
			pos = &(*pos)->next;
	}
	if (thread_ioloop == ioloop)
		thread_ioloop = ioloop->prev;
}

void io_loop_destroy(struct ioloop **_ioloop)
{
	struct ioloop *ioloop = *_ioloop;

	if (ioloop == NULL)
		return;
	*_ioloop = NULL;
	if (ioloop->users > 0)
		i_panic("io_loop_destroy(): %u ios or timeouts are left",
			ioloop->users);
	if (ioloop->methods->destroy != NULL)
		ioloop->methods->destroy(ioloop->loop);
	forget_loop(ioloop);
	i_free(ioloop);
}

void io_loop_run(struct ioloop *ioloop)
{
	bool was_running;

	if (ioloop->methods->run == NULL)
		i_panic("io_loop_run(): this loop is run by its owner");
	was_running = ioloop->running;
	ioloop->running = true;
	ioloop->methods->run(ioloop->loop);
	ioloop->running = was_running;
}

void io_loop_stop(struct ioloop *ioloop)
{
	ioloop->running = false;
	if (ioloop->methods->stop != NULL)
		ioloop->methods->stop(ioloop->loop);
}

bool io_loop_is_running(const struct ioloop *ioloop)
{
	return ioloop->running;
}

void io_loop_handler_run(struct ioloop *ioloop)
{
	if (ioloop->methods != &epoll_loop_methods)
		i_panic("io_loop_handler_run(): this loop is run by its owner");
	epoll_loop_turn(ioloop->loop);
}

struct ioloop *io_loop_get_current(void)
{
	return thread_ioloop;
}

void io_loop_set_current(struct ioloop *ioloop)
{
	thread_ioloop = ioloop;
}

/*
 * IOs
 */

/* The loop saw the fd. */
static void io_ready(void *context)
{
	struct io *io = context;

	if (io->distrust_event) {
		/* a true one is told once more: loops are level-triggered */
		io->distrust_event = false;
		return;
	}
	timeout_remove(&io->pending);
	io->callback(io->context);
}

static void io_call_pending(void *context)
{
	struct io *io = context;

	timeout_remove(&io->pending);
	io->distrust_event = true;
	io->callback(io->context);
}

/* Panics where the loop does not take it. */
static void add_handle(struct io *io)
{
	struct ioloop *ioloop = io->ioloop;

	ioloop->users++;
	if (io->fd == -1)
		return;
	io->handle = ioloop->methods->add_io(ioloop->loop, io->fd,
					     io->condition, io_ready, io);
	if (io->handle == NULL) {
		ioloop->users--;
		i_panic("io_add(fd %d): %s", io->fd, strerror(errno));
	}
}

static void remove_handle(struct io *io)
{
	struct ioloop *ioloop = io->ioloop;

	if (io->handle != NULL)
		ioloop->methods->remove_io(ioloop->loop, io->handle);
	io->handle = NULL;
	ioloop->users--;
}

static struct io *new_io(struct ioloop *ioloop, int fd,
			 enum io_condition condition, io_callback_t *callback,
			 void *context)
{
	struct io *io = i_new(struct io, 1);

	io->ioloop = ioloop;
	io->fd = fd;
	io->condition = condition;
	io->callback = callback;
	io->context = context;
	return io;
}

struct io *bobbin_io_add_to(struct ioloop *ioloop, int fd,
			    enum io_condition condition,
			    io_callback_t *callback, void *context)
{
	struct io *io;

	if (fd < 0)
		i_panic("io_add(fd %d): %s", fd, strerror(EBADF));
	io = new_io(ioloop, fd, condition, callback, context);
	add_handle(io);
	return io;
}

struct io *io_add_without_fd(struct ioloop *ioloop, io_callback_t *callback,
			     void *context)
{
	struct io *io = new_io(ioloop, -1, IO_READ, callback, context);

	add_handle(io);
	return io;
}

void io_change_fd(struct io *io, int fd)
{
	if (io->fd == fd)
		return;
	remove_handle(io);
	io->fd = fd;
	io->distrust_event = false;
	add_handle(io);
}

void io_set_removed_callback(struct io *io, void (*removed)(void *context),
			     void *context)
{
	io->removed = removed;
	io->removed_context = context;
}

static struct ioloop *need_current(const char *who)
{
	if (thread_ioloop == NULL)
		i_panic("%s: this thread has no event loop", who);
	return thread_ioloop;
}

struct io *bobbin_io_add(int fd, enum io_condition condition,
			 io_callback_t *callback, void *context)
{
	return bobbin_io_add_to(need_current("io_add()"), fd, condition,
				callback, context);
}

void io_remove(struct io **_io)
{
	struct io *io = *_io;

	if (io == NULL)
		return;
	*_io = NULL;
	timeout_remove(&io->pending);
	remove_handle(io);
	if (io->removed != NULL)
		io->removed(io->removed_context);
	i_free(io);
}

void io_set_pending(struct io *io)
{
	if (io->pending == NULL)
		io->pending =
			timeout_add_to(io->ioloop, 0, io_call_pending, io);
}

bool io_is_pending(const struct io *io)
{
	return io->pending != NULL;
}

struct io *io_loop_move_io_to(struct ioloop *ioloop, struct io **_io)
{
	struct io *io = *_io;
	bool pending = io->pending != NULL;

	*_io = NULL;
	if (io->ioloop == ioloop)
		return io;
	timeout_remove(&io->pending);
	remove_handle(io);
	io->ioloop = ioloop;
	io->distrust_event = false;
	add_handle(io);
	if (pending)
		io_set_pending(io);
	return io;
}

struct io *io_loop_move_io(struct io **io)
{
	return io_loop_move_io_to(need_current("io_loop_move_io()"), io);
}

/*
 * Timeouts
 */

struct timeout *bobbin_timeout_add_to(struct ioloop *ioloop, unsigned int msecs,
				      timeout_callback_t *callback,
				      void *context)
{
	struct timeout *timeout;
	void *handle = ioloop->methods->add_timeout(ioloop->loop, msecs,
						    callback, context);

	if (handle == NULL)
		i_panic("timeout_add(): %s", strerror(errno));
	timeout = i_new(struct timeout, 1);
	timeout->ioloop = ioloop;
	timeout->handle = handle;
	ioloop->users++;
	return timeout;
}

struct timeout *bobbin_timeout_add(unsigned int msecs,
				   timeout_callback_t *callback, void *context)
{
	return bobbin_timeout_add_to(need_current("timeout_add()"), msecs,
				     callback, context);
}

void timeout_remove(struct timeout **_timeout)
{
	struct timeout *timeout = *_timeout;

	if (timeout == NULL)
		return;
	*_timeout = NULL;
	timeout->ioloop->methods->remove_timeout(timeout->ioloop->loop,
						 timeout->handle);
	timeout->ioloop->users--;
	i_free(timeout);
}
