/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_WORKER_H
#define BOBBIN_JOURNAL_WORKER_H

#include "macros.h"

#include <stdbool.h>
#include <stdint.h>

struct journal;

/* A thread of the journal's own, which works when it is woken. */
struct journal_worker;
/* Called in the thread, without a lock. One that takes long rests now and then. */
typedef void journal_work_t(struct journal *journal);

/* NULL with errno. */
struct journal_worker *journal_worker_start(struct journal *journal,
					    journal_work_t *work);
/* Ends it, with what it is at; it may still be woken, for nobody. NULL is allowed. */
void journal_worker_stop(struct journal_worker *worker);
/* Of one that was stopped: nobody may know of it any more. */
void journal_worker_free(struct journal_worker **worker);
/* There may be something to do. With the journal's mutex. NULL: for nobody. */
void journal_worker_wake(struct journal_worker *worker);
/* Of the thread: waits for so many microseconds; false, at once: it is to end. NULL: it
   is another's, who does not wait. */
bool journal_worker_rest(struct journal_worker *worker, uint64_t usecs);

#endif
