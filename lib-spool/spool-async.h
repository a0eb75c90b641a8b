/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_ASYNC_H
#define BOBBIN_SPOOL_ASYNC_H

/* A spool's calls without waiting for them, for a program with an event loop. Workers
   run them, through the same modules as the calls of spool.h, with IO_ASYNCHRONOUS;
   the answer comes to a callback in the loop's thread. (doc/asynchronous.md tells more.)

   Each request that was accepted is answered exactly once, when it was cancelled and
   when everything is closed, too. Requests about one message id are run one after the
   other in the order in which they were submitted, those about others beside them.
   Where the native store is a journal, no worker waits until a message is on the disk:
   what is submitted meanwhile is written together, with one sync. While there is more that
   the workers have not made yet, this sync may begin a millisecond later. */

#include "ioloop.h"
#include "spool.h"

BOBBIN_BEGIN_DECLS

struct spool_async;

/* Starts the workers of an open spool; neither it nor the loop may be closed before
   them. ioloop NULL: the thread's current one (EINVAL where it has none). workers: how many threads, 1 to
   SPOOL_WORKERS_MAX; 0: one more than there are processors. Each takes one request
   at a time. requests_max: how many requests there may be whose
   callbacks have not been called; 0: SPOOL_REQUESTS_DEFAULT. A spool may have
   several of these. NULL with errno and a sentence in *error_r (free() it): EINVAL,
   a number is out of range; EAGAIN, there are no threads; EMFILE, no descriptors; EPERM, in a
   child that fork() made. */
#define SPOOL_WORKERS_MAX 64
#define SPOOL_REQUESTS_DEFAULT 1024
#define SPOOL_REQUESTS_MAX 1000000
struct spool_async *spool_async_new(struct spool *spool, struct ioloop *ioloop,
				    unsigned int workers,
				    unsigned int requests_max, char **error_r);

/* Waits until everything that was accepted is done, calling the callbacks, and ends the
   workers. Nothing is accepted meanwhile, and other threads have to have stopped
   submitting. What has not begun, and need not be done, is to be cancelled before. In
   the loop's thread; one of the callbacks may do it. Sets the pointer to NULL when the
   last callback has returned (or at once, where one of those that it calls closes, too);
   NULL is allowed. In a child that fork() made nothing is waited for and no callback
   called: that is the parent's; what there is of it in memory stays. */
void spool_async_close(struct spool_async **async);

/* Cancels the requests that were submitted with this context (NULL: all) and that no
   worker has begun: how many these were. They are answered, in their turn, by
   IO_TRANS_FAIL with ECANCELED, and nothing of them is done. Those that have begun
   are answered as ever. In a child that fork() made there are none. */
unsigned int spool_async_cancel(struct spool_async *async, const void *context);

/* How many requests there are whose callbacks have not been called; 0 in a child that
   fork() made. */
unsigned int spool_async_count(struct spool_async *async);

/* The answer: IO_DONE, IO_FAIL or IO_TRANS_FAIL, as the calls of spool.h return it, and
   io_get_error() and io_get_errno() tell why until the thread's next call of the
   spool, submitting included. The callback may submit, cancel and close. Every request
   has one: NULL panics, as what became of the message would be known to nobody. */
typedef void spool_answer_t(int answer, void *context);

/* Submitting returns at once, in any thread. IO_DONE: accepted; the callback will be
   called in the loop's thread, by the loop. Else the callback is not called, and it is
   IO_TRANS_FAIL with io_get_errno():

   - EAGAIN: there are requests_max requests already. Submit again when one of them
   was answered.
   - ENOMEM: out of memory.
   - ECANCELED: spool_async_close() was called.
   - EPERM: this is a child, made by fork(), of the process that has the workers.

   A message is referenced until its callback has returned. Until then it is the
   workers', who read its body (which has to be input that blocks, and that no event
   loop watches) and fill in what is read: it may be submitted again, and not looked
   at or changed. The body of a message that was read comes from the disk when it is
   looked at. */

/*
 * Requests
 */

/* spool_put(): body, then headers. After IO_DONE both are on stable storage. */
int spool_submit_put(struct spool_async *async, email_message *message,
		     spool_answer_t *callback, void *context);
/* spool_readheaders(), then spool_readbody(), into a message of which only the id has to
   be known. */
int spool_submit_get(struct spool_async *async, email_message *message,
		     spool_answer_t *callback, void *context);
/* spool_remove(): headers, then body. A message that is not there is IO_DONE. Where a full
   disk has no room for it, its worker makes some. */
int spool_submit_remove(struct spool_async *async, const message_id *id,
			spool_answer_t *callback, void *context);

/* The hooks one by one: as spool_writebody() and the others of spool.h. */
int spool_submit_writebody(struct spool_async *async, email_message *message,
			   int force, spool_answer_t *callback, void *context);
int spool_submit_writeheaders(struct spool_async *async, email_message *message,
			      int force, spool_answer_t *callback,
			      void *context);
int spool_submit_readheaders(struct spool_async *async, email_message *message,
			     spool_answer_t *callback, void *context);
int spool_submit_readbody(struct spool_async *async, email_message *message,
			  spool_answer_t *callback, void *context);
int spool_submit_unlinkheaders(struct spool_async *async, const message_id *id,
			       spool_answer_t *callback, void *context);
int spool_submit_unlinkbody(struct spool_async *async, const message_id *id,
			    spool_answer_t *callback, void *context);

BOBBIN_END_DECLS

#endif
