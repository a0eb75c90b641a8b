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
	void *handle;
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

struct io *bobbin_io_add_to(struct ioloop *ioloop, int fd,
			    enum io_condition condition,
			    io_callback_t *callback, void *context)
{
	struct io *io;
	void *handle = ioloop->methods->add_io(ioloop->loop, fd, condition,
					       callback, context);

	if (handle == NULL)
		i_panic("io_add(fd %d): %s", fd, strerror(errno));
	io = i_new(struct io, 1);
	io->ioloop = ioloop;
	io->handle = handle;
	ioloop->users++;
	return io;
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
	io->ioloop->methods->remove_io(io->ioloop->loop, io->handle);
	io->ioloop->users--;
	i_free(io);
}

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
