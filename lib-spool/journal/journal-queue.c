/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Group commit. Who finds nobody committing does it, for all that is queued; the next
   group gathers meanwhile. A lone writer pays for one sync and waits for nobody. */

#include "config.h"
#include "journal/journal-private.h"

#include <errno.h>

/* With the mutex, which is let go meanwhile. */
static void commit_queue(struct journal *journal)
{
	struct journal_request *list = journal->queue;

	journal->queue = NULL;
	journal->queue_end = &journal->queue;
	journal->committing = true;
	(void)pthread_mutex_unlock(&journal->mutex);
	journal_write_requests(journal, list);
	(void)pthread_mutex_lock(&journal->mutex);
	journal->committing = false;
	(void)pthread_cond_broadcast(&journal->progress);
}

/* With the mutex. */
static void enqueue(struct journal *journal, struct journal_request *request,
		    bool waited_for)
{
	request->next = NULL;
	request->finished = false;
	request->waited_for = waited_for;
	*journal->queue_end = request;
	journal->queue_end = &request->next;
}

static void set_crcs(struct journal_request *request)
{
	unsigned int i;

	for (i = 0; i < request->count; i++)
		journal_set_crc(&request->records[i]);
}

/* Whether some thread waits for a request that is queued, and so will commit it. */
static bool somebody_waits(const struct journal *journal)
{
	const struct journal_request *request = journal->queue;

	while (request != NULL && !request->waited_for)
		request = request->next;
	return request != NULL;
}

/* What nobody waits for is left to us. With the mutex. */
static void commit_the_rest(struct journal *journal)
{
	while (!journal->committing && journal->queue != NULL &&
	       !somebody_waits(journal))
		commit_queue(journal);
}

void journal_submit(struct journal *journal, struct journal_request *request)
{
	set_crcs(request);
	(void)pthread_mutex_lock(&journal->mutex);
	enqueue(journal, request, false);
	commit_the_rest(journal);
	(void)pthread_mutex_unlock(&journal->mutex);
}

int journal_commit_many(struct journal *journal,
			struct journal_request **requests, unsigned int count)
{
	unsigned int i;
	int error = 0;

	for (i = 0; i < count; i++)
		set_crcs(requests[i]);
	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < count; i++)
		enqueue(journal, requests[i], true);
	for (i = 0; i < count; i++) {
		while (!requests[i]->finished) {
			if (journal->committing)
				(void)pthread_cond_wait(&journal->progress,
							&journal->mutex);
			else
				commit_queue(journal);
		}
		if (error == 0)
			error = requests[i]->error;
	}
	commit_the_rest(journal);
	(void)pthread_mutex_unlock(&journal->mutex);
	errno = error;
	return error == 0 ? 0 : -1;
}

int journal_commit(struct journal *journal, struct journal_request *request)
{
	return journal_commit_many(journal, &request, 1);
}

void journal_begin_commit(struct journal *journal)
{
	(void)pthread_mutex_lock(&journal->mutex);
	while (journal->committing)
		(void)pthread_cond_wait(&journal->progress, &journal->mutex);
	journal->committing = true;
	(void)pthread_mutex_unlock(&journal->mutex);
}

void journal_end_commit(struct journal *journal)
{
	(void)pthread_mutex_lock(&journal->mutex);
	journal->committing = false;
	(void)pthread_cond_broadcast(&journal->progress);
	/* what was submitted meanwhile */
	commit_the_rest(journal);
	(void)pthread_mutex_unlock(&journal->mutex);
}
