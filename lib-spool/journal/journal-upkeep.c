/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The thread that empties segments and gives blocks back, while others write. Between two
   batches it rests as long as one took, so that it has half of the disk at most. */

#include "config.h"
#include "journal/journal-private.h"
#include "mem.h"
#include "thread-start.h"

#include <errno.h>
#include <string.h>
#include <time.h>

struct journal_upkeep {
	pthread_t thread;
	pthread_cond_t changed;
	/* Under the journal's mutex. */
	bool wanted, stopping;
};

void journal_upkeep_wake(struct journal *journal)
{
	struct journal_upkeep *upkeep = journal->upkeep;

	if (upkeep == NULL || upkeep->wanted)
		return;
	upkeep->wanted = true;
	(void)pthread_cond_signal(&upkeep->changed);
}

/* As long as since `started`. With the mutex. */
static void rest(struct journal *journal, uint64_t started)
{
	struct journal_upkeep *upkeep = journal->upkeep;
	uint64_t now = journal_now_usecs(), until = now + (now - started);
	struct timespec end;

	end.tv_sec = (time_t)(until / 1000000);
	end.tv_nsec = (long)(until % 1000000) * 1000;
	while (!upkeep->stopping &&
	       pthread_cond_timedwait(&upkeep->changed, &journal->mutex,
				      &end) == 0)
		;
}

/* With the mutex, which is let go meanwhile. */
static void work(struct journal *journal)
{
	uint64_t moved = 0, started;
	int ret = 1;

	while (ret > 0 && !journal->upkeep->stopping) {
		(void)pthread_mutex_unlock(&journal->mutex);
		started = journal_now_usecs();
		ret = journal_compact_some(journal, &moved);
		(void)pthread_mutex_lock(&journal->mutex);
		if (ret > 0)
			rest(journal, started);
	}
}

static void *upkeep_main(void *context)
{
	struct journal *journal = context;
	struct journal_upkeep *upkeep = journal->upkeep;

	(void)pthread_mutex_lock(&journal->mutex);
	while (!upkeep->stopping) {
		if (!upkeep->wanted) {
			(void)pthread_cond_wait(&upkeep->changed,
						&journal->mutex);
			continue;
		}
		upkeep->wanted = false;
		work(journal);
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return NULL;
}

bool journal_upkeep_start(struct journal *journal)
{
	struct journal_upkeep *upkeep = try_calloc(1, sizeof(*upkeep));
	pthread_condattr_t attr;
	int error = ENOMEM;

	if (upkeep != NULL) {
		(void)pthread_condattr_init(&attr);
		(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
		(void)pthread_cond_init(&upkeep->changed, &attr);
		(void)pthread_condattr_destroy(&attr);
		/* what was left by the time before */
		upkeep->wanted = true;
		journal->upkeep = upkeep;
		error = thread_start(&upkeep->thread, upkeep_main, journal);
	}
	if (error == 0)
		return true;
	if (upkeep != NULL)
		(void)pthread_cond_destroy(&upkeep->changed);
	i_free(upkeep);
	journal->upkeep = NULL;
	errno = error;
	return false;
}

void journal_upkeep_stop(struct journal *journal)
{
	struct journal_upkeep *upkeep = journal->upkeep;

	if (upkeep == NULL)
		return;
	(void)pthread_mutex_lock(&journal->mutex);
	upkeep->stopping = true;
	(void)pthread_cond_broadcast(&upkeep->changed);
	(void)pthread_mutex_unlock(&journal->mutex);
	(void)pthread_join(upkeep->thread, NULL);
	(void)pthread_cond_destroy(&upkeep->changed);
	i_free(upkeep);
	journal->upkeep = NULL;
}
