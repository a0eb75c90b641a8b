/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The library's own event loop. The kernel knows an fd once, with the union of
   the conditions of its ios. Removing an io or a timeout only marks it while
   callbacks run: the memory goes when the turn is over, so a callback may
   remove anything, itself included. Regular files, which epoll refuses, are
   always ready. */

#include "config.h"
#include "ioloop-private.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64

struct epoll_io {
	struct epoll_io *next;
	int fd;
	enum io_condition condition;
	io_callback_t *callback;
	void *context;
	bool always_ready; /* a regular file */
	bool removed;
	bool fresh; /* added in this turn: its events come in the next */
};

struct epoll_timeout {
	struct epoll_timeout *next;
	uint64_t due; /* CLOCK_MONOTONIC, milliseconds */
	unsigned int msecs;
	timeout_callback_t *callback;
	void *context;
	bool removed;
	bool fresh;
};

struct epoll_loop {
	int epoll_fd;
	struct epoll_io *ios;
	struct epoll_timeout *timeouts;
	unsigned int depth; /* > 0 while callbacks run */
	bool stop;
};

static uint64_t now_msecs(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void *epoll_loop_create(void)
{
	struct epoll_loop *loop;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return NULL;
	loop = i_new(struct epoll_loop, 1);
	loop->epoll_fd = fd;
	return loop;
}

/* What the kernel should watch fd for, over all its ios. */
static uint32_t wanted_events(const struct epoll_loop *loop, int fd)
{
	const struct epoll_io *io;
	uint32_t events = 0;

	for (io = loop->ios; io != NULL; io = io->next) {
		if (io->fd != fd || io->removed || io->always_ready)
			continue;
		if ((io->condition & IO_READ) != 0)
			events |= EPOLLIN | EPOLLPRI;
		if ((io->condition & IO_WRITE) != 0)
			events |= EPOLLOUT;
		/* errors and hang-ups are always told */
		events |= EPOLLERR | EPOLLHUP;
	}
	return events;
}

static int update_fd(struct epoll_loop *loop, int fd)
{
	struct epoll_event event = { .events = wanted_events(loop, fd) };

	event.data.fd = fd;
	if (event.events == 0) {
		/* a closed fd has left the set by itself */
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	if (errno != ENOENT)
		return -1;
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

static void *epoll_io_add(void *_loop, int fd, enum io_condition condition,
			  io_callback_t *callback, void *context)
{
	struct epoll_loop *loop = _loop;
	struct epoll_io *io = i_new(struct epoll_io, 1);

	io->fd = fd;
	io->condition = condition;
	io->callback = callback;
	io->context = context;
	io->fresh = loop->depth > 0;
	io->next = loop->ios;
	loop->ios = io;
	if (update_fd(loop, fd) < 0) {
		if (errno != EPERM) {
			loop->ios = io->next;
			i_free(io);
			return NULL;
		}
		io->always_ready = true;
	}
	return io;
}

static void sweep_ios(struct epoll_loop *loop)
{
	struct epoll_io **pos = &loop->ios, *io;

	while ((io = *pos) != NULL) {
		io->fresh = false;
		if (io->removed) {
			*pos = io->next;
			i_free(io);
		} else {
			pos = &io->next;
		}
	}
}

static void sweep_timeouts(struct epoll_loop *loop)
{
	struct epoll_timeout **pos = &loop->timeouts, *timeout;

	while ((timeout = *pos) != NULL) {
		timeout->fresh = false;
		if (timeout->removed) {
			*pos = timeout->next;
			i_free(timeout);
		} else {
			pos = &timeout->next;
		}
	}
}

static void epoll_io_remove(void *_loop, void *handle)
{
	struct epoll_loop *loop = _loop;
	struct epoll_io *io = handle;

	io->removed = true;
	if (!io->always_ready)
		(void)update_fd(loop, io->fd);
	if (loop->depth == 0)
		sweep_ios(loop);
}

/* Keeps the list in the order in which timeouts are due; among equals, the
   older first. */
static void insert_timeout(struct epoll_loop *loop,
			   struct epoll_timeout *timeout)
{
	struct epoll_timeout **pos = &loop->timeouts;

	while (*pos != NULL && (*pos)->due <= timeout->due)
		pos = &(*pos)->next;
	timeout->next = *pos;
	*pos = timeout;
}

static void *epoll_timeout_add(void *_loop, unsigned int msecs,
			       timeout_callback_t *callback, void *context)
{
	struct epoll_loop *loop = _loop;
	struct epoll_timeout *timeout = i_new(struct epoll_timeout, 1);

	timeout->due = now_msecs() + msecs;
	timeout->msecs = msecs;
	timeout->callback = callback;
	timeout->context = context;
	timeout->fresh = loop->depth > 0;
	insert_timeout(loop, timeout);
	return timeout;
}

static void epoll_timeout_remove(void *_loop, void *handle)
{
	struct epoll_loop *loop = _loop;
	struct epoll_timeout *timeout = handle;

	timeout->removed = true;
	if (loop->depth == 0)
		sweep_timeouts(loop);
}

static bool have_always_ready(const struct epoll_loop *loop)
{
	const struct epoll_io *io;

	for (io = loop->ios; io != NULL; io = io->next) {
		if (io->always_ready && !io->removed)
			return true;
	}
	return false;
}

/* How long the kernel may wait, in milliseconds; -1: for ever. */
static int wait_msecs(const struct epoll_loop *loop)
{
	uint64_t now;

	if (have_always_ready(loop))
		return 0;
	if (loop->timeouts == NULL)
		return -1;
	now = now_msecs();
	if (loop->timeouts->due <= now)
		return 0;
	return (int)I_MIN(loop->timeouts->due - now, (uint64_t)INT32_MAX);
}

/* The next timeout that is due and not new in this turn; taken off the list. */
static struct epoll_timeout *take_due_timeout(struct epoll_loop *loop,
					      uint64_t now)
{
	struct epoll_timeout **pos = &loop->timeouts, *timeout;

	for (; (timeout = *pos) != NULL && timeout->due <= now;
	     pos = &timeout->next) {
		if (timeout->removed || timeout->fresh)
			continue;
		*pos = timeout->next;
		return timeout;
	}
	return NULL;
}

static void run_timeouts(struct epoll_loop *loop)
{
	uint64_t now = now_msecs();
	struct epoll_timeout *timeout;

	while (!loop->stop && (timeout = take_due_timeout(loop, now)) != NULL) {
		timeout->due = now + timeout->msecs;
		timeout->fresh = true;
		insert_timeout(loop, timeout);
		timeout->callback(timeout->context);
	}
}

static bool io_is_ready(const struct epoll_io *io, uint32_t events)
{
	if ((events & (EPOLLERR | EPOLLHUP)) != 0)
		return true;
	if ((io->condition & IO_READ) != 0 &&
	    (events & (EPOLLIN | EPOLLPRI)) != 0)
		return true;
	return (io->condition & IO_WRITE) != 0 && (events & EPOLLOUT) != 0;
}

static void run_ios(struct epoll_loop *loop, const struct epoll_event *events,
		    int count)
{
	struct epoll_io *io;
	int i;

	for (i = 0; i < count; i++) {
		for (io = loop->ios; io != NULL; io = io->next) {
			if (io->fd == events[i].data.fd && !io->removed &&
			    !io->fresh && !io->always_ready &&
			    io_is_ready(io, events[i].events))
				io->callback(io->context);
		}
	}
	for (io = loop->ios; io != NULL; io = io->next) {
		if (io->always_ready && !io->removed && !io->fresh)
			io->callback(io->context);
	}
}

void epoll_loop_turn(void *_loop)
{
	struct epoll_loop *loop = _loop;
	struct epoll_event events[EVENTS_PER_TURN];
	int count;

	if (loop->ios == NULL && loop->timeouts == NULL)
		i_panic("event loop has nothing to wait for");
	count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN,
			   wait_msecs(loop));
	if (count < 0) {
		if (errno != EINTR)
			i_panic("epoll_wait() failed (errno %d)", errno);
		count = 0;
	}
	loop->depth++;
	run_timeouts(loop);
	run_ios(loop, events, count);
	if (--loop->depth == 0) {
		sweep_ios(loop);
		sweep_timeouts(loop);
	}
}

static void epoll_run(void *_loop)
{
	struct epoll_loop *loop = _loop;

	loop->stop = false;
	while (!loop->stop)
		epoll_loop_turn(loop);
}

static void epoll_stop(void *_loop)
{
	struct epoll_loop *loop = _loop;

	loop->stop = true;
}

static void epoll_destroy(void *_loop)
{
	struct epoll_loop *loop = _loop;

	(void)close(loop->epoll_fd);
	i_free(loop);
}

const struct ioloop_methods epoll_loop_methods = {
	.add_io = epoll_io_add,
	.remove_io = epoll_io_remove,
	.add_timeout = epoll_timeout_add,
	.remove_timeout = epoll_timeout_remove,
	.run = epoll_run,
	.stop = epoll_stop,
	.destroy = epoll_destroy,
};
