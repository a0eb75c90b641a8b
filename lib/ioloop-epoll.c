/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The library's own event loop. The kernel knows an fd once, with the union of
   the conditions of its ios. Regular files, which epoll refuses, are always
   ready.

   Callbacks may add and remove anything, and may even run the loop once more.
   So an io that is removed while callbacks run is only marked, and its memory
   goes when the outermost turn is over. And each turn has a number: it calls
   only what was neither added nor called since it began, for its events are
   older than that.

   A child that fork() made has the loop once more, but the kernel's set of fds is one of
   both: what either takes out the other one would wait for in vain. So the child makes a
   set of its own as soon as it uses the loop. */

#include "config.h"
#include "ioloop-private.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"
#include "process-mark.h"
#include "timeout-queue.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 64
#define FDS_MIN_ALLOC 64

struct epoll_io {
	struct epoll_io *next;      /* of its list, in the order of adding */
	struct epoll_io *next_dead; /* of those that wait to be freed */
	int fd;
	enum io_condition condition;
	io_callback_t *callback;
	void *context;
	uint64_t turn; /* in which it was added or last called */
	bool always_ready;
	bool removed;
};

struct epoll_timeout {
	struct timeout_entry entry; /* due: CLOCK_MONOTONIC, microseconds */
	unsigned int msecs;
	timeout_callback_t *callback;
	void *context;
	uint64_t turn; /* as above */
};

struct epoll_loop {
	int epoll_fd;
	uint64_t owner;        /* of that: a process_mark() */
	struct epoll_io **fds; /* by the number of the fd */
	size_t fds_alloc;
	struct epoll_io *files; /* the always ready ones */
	struct epoll_io *dead;
	unsigned int io_count; /* without the removed ones */
	struct timeout_queue timeouts;
	uint64_t turn;
	unsigned int depth; /* > 0 while callbacks run */
	bool stop;
};

static uint64_t now_usecs(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		i_panic("clock_gettime() failed: %s", strerror(errno));
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void *epoll_loop_create(void)
{
	struct epoll_loop *loop;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd < 0)
		return NULL;
	loop = i_new(struct epoll_loop, 1);
	loop->epoll_fd = fd;
	loop->owner = process_mark();
	return loop;
}

/*
 * IOs
 */

static uint32_t io_events(const struct epoll_io *io)
{
	/* errors and hang-ups are always told */
	uint32_t events = EPOLLERR | EPOLLHUP;

	if ((io->condition & IO_READ) != 0)
		events |= EPOLLIN | EPOLLPRI;
	if ((io->condition & IO_WRITE) != 0)
		events |= EPOLLOUT;
	return events;
}

/* What the kernel should watch an fd for, over all its ios. */
static uint32_t wanted_events(const struct epoll_io *ios)
{
	uint32_t events = 0;

	for (; ios != NULL; ios = ios->next) {
		if (!ios->removed)
			events |= io_events(ios);
	}
	return events;
}

/* Tells the kernel what an fd is now to be watched for. What it was watched for
   is not kept here: a close() has taken it out of the set, and the number may
   be another file's. */
static int tell_kernel(struct epoll_loop *loop, int fd)
{
	struct epoll_event event = { .events = wanted_events(loop->fds[fd]) };

	event.data.fd = fd;
	if (event.events == 0) {
		(void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd, &event);
		return 0;
	}
	if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
		return 0;
	if (errno != EEXIST)
		return -1;
	return epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd, &event);
}

/* What cannot be watched any more was closed meanwhile. */
static void need_own_set(struct epoll_loop *loop)
{
	size_t fd;

	if (loop->owner == process_mark())
		return;
	(void)close(loop->epoll_fd);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll_fd < 0)
		i_panic("epoll_create1() failed: %s", strerror(errno));
	loop->owner = process_mark();
	for (fd = 0; fd < loop->fds_alloc; fd++) {
		if (loop->fds[fd] != NULL)
			(void)tell_kernel(loop, (int)fd);
	}
}

static int update_fd(struct epoll_loop *loop, int fd)
{
	need_own_set(loop);
	return tell_kernel(loop, fd);
}

/* Makes room for the fd in loop->fds. */
static int reserve_fd(struct epoll_loop *loop, int fd)
{
	size_t alloc = I_MAX(loop->fds_alloc, (size_t)FDS_MIN_ALLOC);
	struct epoll_io **fds;

	if (fd < 0) {
		errno = EBADF;
		return -1;
	}
	if ((size_t)fd < loop->fds_alloc)
		return 0;
	while (alloc <= (size_t)fd)
		alloc *= 2;
	fds = try_realloc(loop->fds, alloc * sizeof(*fds));
	if (fds == NULL)
		return -1;
	memset(fds + loop->fds_alloc, 0,
	       (alloc - loop->fds_alloc) * sizeof(*fds));
	loop->fds = fds;
	loop->fds_alloc = alloc;
	return 0;
}

static void append_io(struct epoll_io **list, struct epoll_io *io)
{
	while (*list != NULL)
		list = &(*list)->next;
	*list = io;
}

static void unlink_io(struct epoll_io **list, struct epoll_io *io)
{
	while (*list != io) {
		i_assert(*list != NULL);
		list = &(*list)->next;
	}
	*list = io->next;
	io->next = NULL;
}

static void *epoll_io_add(void *_loop, int fd, enum io_condition condition,
			  io_callback_t *callback, void *context)
{
	struct epoll_loop *loop = _loop;
	struct epoll_io *io;

	if (reserve_fd(loop, fd) < 0)
		return NULL;
	io = i_new(struct epoll_io, 1);
	io->fd = fd;
	io->condition = condition;
	io->callback = callback;
	io->context = context;
	io->turn = loop->turn;
	append_io(&loop->fds[fd], io);
	if (update_fd(loop, fd) < 0) {
		unlink_io(&loop->fds[fd], io);
		if (errno != EPERM) {
			i_free(io);
			return NULL;
		}
		io->always_ready = true;
		append_io(&loop->files, io);
	}
	loop->io_count++;
	return io;
}

static void free_dead_ios(struct epoll_loop *loop)
{
	struct epoll_io *io;

	while ((io = loop->dead) != NULL) {
		loop->dead = io->next_dead;
		unlink_io(io->always_ready ? &loop->files : &loop->fds[io->fd],
			  io);
		i_free(io);
	}
}

static void epoll_io_remove(void *_loop, void *handle)
{
	struct epoll_loop *loop = _loop;
	struct epoll_io *io = handle;

	io->removed = true;
	io->next_dead = loop->dead;
	loop->dead = io;
	loop->io_count--;
	if (!io->always_ready)
		(void)update_fd(loop, io->fd);
	if (loop->depth == 0)
		free_dead_ios(loop);
}

/* Calls those of a list whose events are there. */
static void run_ios(struct epoll_io *ios, uint32_t events, uint64_t turn)
{
	for (; ios != NULL; ios = ios->next) {
		if (ios->removed || ios->turn >= turn ||
		    (io_events(ios) & events) == 0)
			continue;
		ios->turn = turn;
		ios->callback(ios->context);
	}
}

/*
 * Timeouts
 */

static void *epoll_timeout_add(void *_loop, unsigned int msecs,
			       timeout_callback_t *callback, void *context)
{
	struct epoll_loop *loop = _loop;
	struct epoll_timeout *timeout = i_new(struct epoll_timeout, 1);

	timeout->entry.due = now_usecs() + (uint64_t)msecs * 1000;
	timeout->msecs = msecs;
	timeout->callback = callback;
	timeout->context = context;
	timeout->turn = loop->turn;
	if (timeout_queue_add(&loop->timeouts, &timeout->entry) < 0) {
		i_free(timeout);
		return NULL;
	}
	return timeout;
}

static void epoll_timeout_remove(void *_loop, void *handle)
{
	struct epoll_loop *loop = _loop;
	struct epoll_timeout *timeout = handle;

	timeout_queue_remove(&loop->timeouts, &timeout->entry);
	i_free(timeout);
}

static struct epoll_timeout *first_timeout(const struct epoll_loop *loop)
{
	struct timeout_entry *entry = timeout_queue_first(&loop->timeouts);

	return entry == NULL ? NULL :
			       container_of(entry, struct epoll_timeout, entry);
}

/* How long the kernel may wait, in milliseconds; -1: for ever. */
static int wait_msecs(const struct epoll_loop *loop)
{
	const struct epoll_timeout *timeout = first_timeout(loop);
	uint64_t now, msecs;

	if (loop->files != NULL)
		return 0;
	if (timeout == NULL)
		return -1;
	now = now_usecs();
	if (timeout->entry.due <= now)
		return 0;
	/* rounded up, or the last millisecond would be spent in a busy loop */
	msecs = (timeout->entry.due - now + 999) / 1000;
	return (int)I_MIN(msecs, (uint64_t)INT_MAX);
}

static void run_timeouts(struct epoll_loop *loop, uint64_t turn)
{
	uint64_t now = now_usecs();
	struct epoll_timeout *timeout;

	/* what was added or called in this turn is behind all that was not:
	   it is not due before now */
	while ((timeout = first_timeout(loop)) != NULL &&
	       timeout->entry.due <= now && timeout->turn < turn) {
		timeout_queue_remove(&loop->timeouts, &timeout->entry);
		timeout->entry.due = now + (uint64_t)timeout->msecs * 1000;
		timeout->turn = turn;
		/* there is room: one has just gone */
		(void)timeout_queue_add(&loop->timeouts, &timeout->entry);
		timeout->callback(timeout->context);
	}
}

/*
 * The loop
 */

void epoll_loop_turn(void *_loop)
{
	struct epoll_loop *loop = _loop;
	struct epoll_event events[EVENTS_PER_TURN];
	int i, count;
	uint64_t turn;

	if (loop->io_count == 0 && first_timeout(loop) == NULL)
		i_panic("event loop has nothing to wait for");
	need_own_set(loop);
	count = epoll_wait(loop->epoll_fd, events, EVENTS_PER_TURN,
			   wait_msecs(loop));
	if (count < 0 && errno != EINTR)
		i_panic("epoll_wait() failed: %s", strerror(errno));
	turn = ++loop->turn;
	loop->depth++;
	run_timeouts(loop, turn);
	for (i = 0; i < count; i++)
		run_ios(loop->fds[events[i].data.fd], events[i].events, turn);
	run_ios(loop->files, UINT32_MAX, turn);
	if (--loop->depth == 0)
		free_dead_ios(loop);
}

static void epoll_run(void *_loop)
{
	struct epoll_loop *loop = _loop;
	bool outer_stop = loop->stop;

	loop->stop = false;
	while (!loop->stop)
		epoll_loop_turn(loop);
	loop->stop = outer_stop;
}

static void epoll_stop(void *_loop)
{
	struct epoll_loop *loop = _loop;

	loop->stop = true;
}

static void epoll_destroy(void *_loop)
{
	struct epoll_loop *loop = _loop;

	if (loop->depth > 0)
		i_panic("io_loop_destroy(): called by a callback of the loop");
	(void)close(loop->epoll_fd);
	timeout_queue_free(&loop->timeouts);
	i_free(loop->fds);
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
