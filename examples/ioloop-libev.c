/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* An event loop of one's own, behind the library's streams: libev's. What a loop has
   to do is in <bobbin/ioloop.h>: tell when an fd is ready, as long as it is; call
   back every so many milliseconds; and allow any callback to remove anything. */

#include "ioloop-libev.h"

#include <bobbin/ioloop.h>

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <stdlib.h>

struct libev_io {
	ev_io watcher; /* the first member: libev gives it back */
	io_callback_t *callback;
	void *context;
};

struct libev_timeout {
	ev_timer watcher;
	ev_tstamp seconds;
	timeout_callback_t *callback;
	void *context;
};

static void io_event(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct libev_io *io = (struct libev_io *)watcher;

	(void)loop;
	(void)events;
	/* may free it: nothing is used afterwards */
	io->callback(io->context);
}

static void *add_io(void *loop, int fd, enum io_condition condition,
		    io_callback_t *callback, void *context)
{
	struct libev_io *io;
	int events = 0;

	/* libev would take it, and report it to its own error function */
	if (fcntl(fd, F_GETFD) < 0)
		return NULL;
	io = malloc(sizeof(*io));
	if (io == NULL)
		return NULL;
	/* errors come to whoever waits for anything */
	if ((condition & (IO_READ | IO_ERROR)) != 0)
		events |= EV_READ;
	if ((condition & IO_WRITE) != 0)
		events |= EV_WRITE;
	io->callback = callback;
	io->context = context;
	ev_io_init(&io->watcher, io_event, fd, events);
	ev_io_start(loop, &io->watcher);
	return io;
}

static void remove_io(void *loop, void *handle)
{
	struct libev_io *io = handle;

	/* also drops an event that waits for its turn */
	ev_io_stop(loop, &io->watcher);
	free(io);
}

static void start_timeout(struct ev_loop *loop, struct libev_timeout *timeout)
{
	/* libev counts from the beginning of the turn: too early */
	ev_now_update(loop);
	ev_timer_set(&timeout->watcher, timeout->seconds, 0.);
	ev_timer_start(loop, &timeout->watcher);
}

static void timeout_event(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct libev_timeout *timeout = (struct libev_timeout *)watcher;

	(void)events;
	/* not as a repeating timer, which for libev is never one of 0 */
	start_timeout(loop, timeout);
	timeout->callback(timeout->context);
}

static void *add_timeout(void *loop, unsigned int msecs,
			 timeout_callback_t *callback, void *context)
{
	struct libev_timeout *timeout = malloc(sizeof(*timeout));

	if (timeout == NULL)
		return NULL;
	timeout->seconds = msecs / 1000.;
	timeout->callback = callback;
	timeout->context = context;
	ev_init(&timeout->watcher, timeout_event);
	start_timeout(loop, timeout);
	return timeout;
}

static void remove_timeout(void *loop, void *handle)
{
	struct libev_timeout *timeout = handle;

	ev_timer_stop(loop, &timeout->watcher);
	free(timeout);
}

static void run(void *loop)
{
	ev_run(loop, 0);
}

static void stop(void *loop)
{
	ev_break(loop, EVBREAK_ONE);
}

struct ioloop *ioloop_libev_create(struct ev_loop *loop)
{
	static const struct ioloop_methods methods = {
		.add_io = add_io,
		.remove_io = remove_io,
		.add_timeout = add_timeout,
		.remove_timeout = remove_timeout,
		.run = run,
		.stop = stop,
		/* no destroy: the loop is the caller's */
	};

	return io_loop_create_custom(&methods, loop);
}
