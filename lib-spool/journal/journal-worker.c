/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "journal/journal-private.h"
#include "journal/journal-worker.h"
#include "mem.h"
#include "thread-start.h"

#include <errno.h>
#include <time.h>

struct journal_worker {
	struct journal *journal;
	journal_work_t *work;
	pthread_t thread;
	pthread_cond_t changed;
	/* Under the journal's mutex. */
	bool wanted, stopping;
};

void journal_worker_wake(struct journal_worker *worker)
{
	if (worker == NULL || worker->wanted)
		return;
	worker->wanted = true;
	(void)pthread_cond_signal(&worker->changed);
}

bool journal_worker_rest(struct journal_worker *worker, uint64_t usecs)
{
	struct timespec end = journal_time_in(usecs);
	pthread_mutex_t *mutex;
	bool stopping;

	if (worker == NULL)
		return true;
	mutex = &worker->journal->mutex;
	(void)pthread_mutex_lock(mutex);
	while (!worker->stopping &&
	       pthread_cond_timedwait(&worker->changed, mutex, &end) == 0)
		;
	stopping = worker->stopping;
	(void)pthread_mutex_unlock(mutex);
	return !stopping;
}

static void *worker_main(void *context)
{
	struct journal_worker *worker = context;
	pthread_mutex_t *mutex = &worker->journal->mutex;

	(void)pthread_mutex_lock(mutex);
	while (!worker->stopping) {
		if (!worker->wanted) {
			(void)pthread_cond_wait(&worker->changed, mutex);
			continue;
		}
		worker->wanted = false;
		(void)pthread_mutex_unlock(mutex);
		worker->work(worker->journal);
		(void)pthread_mutex_lock(mutex);
	}
	(void)pthread_mutex_unlock(mutex);
	return NULL;
}

struct journal_worker *journal_worker_start(struct journal *journal,
					    journal_work_t *work)
{
	struct journal_worker *worker = try_calloc(1, sizeof(*worker));
	int error;

	if (worker == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	worker->journal = journal;
	worker->work = work;
	journal_cond_init(&worker->changed);
	error = thread_start(&worker->thread, worker_main, worker);
	if (error == 0)
		return worker;
	(void)pthread_cond_destroy(&worker->changed);
	i_free(worker);
	errno = error;
	return NULL;
}

void journal_worker_stop(struct journal_worker *worker)
{
	if (worker == NULL)
		return;
	(void)pthread_mutex_lock(&worker->journal->mutex);
	worker->stopping = true;
	(void)pthread_cond_broadcast(&worker->changed);
	(void)pthread_mutex_unlock(&worker->journal->mutex);
	(void)pthread_join(worker->thread, NULL);
}

void journal_worker_free(struct journal_worker **_worker)
{
	struct journal_worker *worker = *_worker;

	*_worker = NULL;
	if (worker == NULL)
		return;
	(void)pthread_cond_destroy(&worker->changed);
	i_free(worker);
}
