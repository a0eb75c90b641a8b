/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOLOOP_H
#define BOBBIN_IOLOOP_H

/* The event loop that non-blocking streams wait in. Either the epoll loop of
   the library, or the embedder's own, plugged in as a table of functions. A
   loop belongs to one thread; each thread has its own current loop. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct ioloop;
struct io;
struct timeout;

enum io_condition {
	IO_READ = 0x01,
	IO_WRITE = 0x02,
	/* the other end of a pipe or socket went away */
	IO_ERROR = 0x04
};

typedef void io_callback_t(void *context);
typedef void timeout_callback_t(void *context);

/* What an embedder's loop provides. Handles are the embedder's own pointers. */
struct ioloop_methods {
	/* Calls callback(context) whenever fd meets one of the conditions
	   (level-triggered), until remove_io(). NULL and errno on failure. */
	void *(*add_io)(void *loop, int fd, enum io_condition condition,
			io_callback_t *callback, void *context);
	void (*remove_io)(void *loop, void *handle);
	/* Calls callback(context) every msecs milliseconds (0: at the next
	   turn) until remove_timeout(). */
	void *(*add_timeout)(void *loop, unsigned int msecs,
			     timeout_callback_t *callback, void *context);
	void (*remove_timeout)(void *loop, void *handle);
	/* May be NULL, and then io_loop_run() on it panics. */
	void (*run)(void *loop);
	void (*stop)(void *loop);
	/* May be NULL. Called by io_loop_destroy(). */
	void (*destroy)(void *loop);
};

/* An epoll loop (panics where the system gives none); it becomes the thread's current
   loop, and the one that was current before returns to be it when this one is
   destroyed. A child that fork() made in the loop's thread may go on with it, or destroy it: what
   it adds and removes is nothing to the parent (of an embedder's loop that is its own
   matter). */
struct ioloop *io_loop_create(void);
/* The same for the embedder's loop, which the methods get as `loop`; they must outlive
   it. */
struct ioloop *io_loop_create_custom(const struct ioloop_methods *methods,
				     void *loop);
/* Panics if ios or timeouts are left, or if one of the loop's own callbacks
   calls it. To be called in the loop's thread. Sets the pointer to NULL. */
void io_loop_destroy(struct ioloop **ioloop);

/* Calls callbacks until io_loop_stop(). A callback may run the loop once more;
   the stop is for the innermost run. */
void io_loop_run(struct ioloop *ioloop);
/* The run returns when this turn's callbacks are done. Called by one of them;
   a stop before the run does not count. */
void io_loop_stop(struct ioloop *ioloop);
/* Whether it runs and was not told to stop. */
bool io_loop_is_running(const struct ioloop *ioloop);
/* Waits for one turn of events and calls their callbacks (epoll loop only). */
void io_loop_handler_run(struct ioloop *ioloop);

/* The thread's current loop, NULL if there is none. */
struct ioloop *io_loop_get_current(void);
/* Makes this loop the thread's current one; NULL: it has none then. */
void io_loop_set_current(struct ioloop *ioloop);
#define current_ioloop (io_loop_get_current())

/* Watches fd in the current loop (which must exist) or in the one given. A callback may
   remove any io, its own included. Never NULL: where the loop does not take the fd,
   which is a bad one or more than there is memory for, it panics; a regular file, which
   epoll refuses, counts as always ready. The callback may take its context's own type
   instead of void *. */
struct io *bobbin_io_add(int fd, enum io_condition condition,
			 io_callback_t *callback, void *context);
struct io *bobbin_io_add_to(struct ioloop *ioloop, int fd,
			    enum io_condition condition,
			    io_callback_t *callback, void *context);
#define io_add(fd, condition, callback, context) \
	bobbin_io_add(fd, condition, (io_callback_t *)(callback), context)
#define io_add_to(ioloop, fd, condition, callback, context)                  \
	bobbin_io_add_to(ioloop, fd, condition, (io_callback_t *)(callback), \
			 context)
/* Ends the watch: the callback is not called any more, be it for a call that is pending.
   The fd stays open. Sets the pointer to NULL; NULL is allowed. */
void io_remove(struct io **io);
/* Has the io called once at the loop's next turn although the system may see
   nothing: there is input that somebody read already. A call for the fd's sake
   that comes first is that call. */
void io_set_pending(struct io *io);
/* Whether that call is still to come. */
bool io_is_pending(const struct io *io);
/* Takes the io from its loop to another one, or to the thread's current one (which must
   exist), and returns it; a call that is pending will come there. *io is set to NULL,
   so that `io = io_loop_move_io(&io)` is how it is used. */
struct io *io_loop_move_io_to(struct ioloop *ioloop, struct io **io);
struct io *io_loop_move_io(struct io **io);

/* Calls back every msecs milliseconds (never earlier; by CLOCK_MONOTONIC, so
   that setting the clock does not matter; 0: at the loop's next turn) until
   timeout_remove(), in the current loop (which must exist) or in the one given. Those
   that are due in one turn are called in the order in which they are due. Never NULL:
   where the loop takes no more it panics. The callback may take its context's own type
   instead of void *. timeout_add_short() is Dovecot's name for less than a second. */
struct timeout *bobbin_timeout_add(unsigned int msecs,
				   timeout_callback_t *callback, void *context);
struct timeout *bobbin_timeout_add_to(struct ioloop *ioloop, unsigned int msecs,
				      timeout_callback_t *callback,
				      void *context);
#define timeout_add(msecs, callback, context) \
	bobbin_timeout_add(msecs, (timeout_callback_t *)(callback), context)
#define timeout_add_short(msecs, callback, context) \
	bobbin_timeout_add(msecs, (timeout_callback_t *)(callback), context)
#define timeout_add_to(ioloop, msecs, callback, context)                       \
	bobbin_timeout_add_to(ioloop, msecs, (timeout_callback_t *)(callback), \
			      context)
/* The callback is not called any more. May be called by the callback itself. Sets the
   pointer to NULL; NULL is allowed. */
void timeout_remove(struct timeout **timeout);

BOBBIN_END_DECLS

#endif
