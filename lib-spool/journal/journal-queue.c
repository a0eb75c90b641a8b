/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Group commit. One at a time has the turn: he writes a group of what is queued, for
   all, and the next group gathers meanwhile. A lone writer pays for one sync and waits
   for nobody. Who had the turn hands it on before he tells those whose requests he
   wrote, so that the disk has work again while they are told. Each of them is woken by
   himself, once: of many who wait for one group, half wait for the next one. What nobody
   waits for has a thread of its own, since whoever had the turn wants to go on. */

#include "config.h"
#include "journal/journal-private.h"
#include "mem.h"
#include "thread-start.h"

#include <errno.h>
#include <semaphore.h>

/* Woken once for each turn, and once when nothing is left. */
struct journal_waiter {
	struct journal_waiter *next;
	sem_t woken;
	unsigned int left; /* requests */
	int error;         /* of one that failed */
	bool has_turn;
};

struct journal_writer {
	pthread_t thread;
	struct journal_waiter waiter; /* woken without a turn it ends */
};

static void init_waiter(struct journal_waiter *waiter, unsigned int count)
{
	waiter->next = NULL;
	(void)sem_init(&waiter->woken, 0, 0);
	waiter->left = count;
	waiter->error = 0;
	waiter->has_turn = false;
}

static void wait_for_wake(struct journal_waiter *waiter)
{
	while (sem_wait(&waiter->woken) < 0)
		;
}

/* With the mutex. */
static void enqueue(struct journal *journal, struct journal_request *request,
		    struct journal_waiter *waiter)
{
	request->next = NULL;
	request->waiter = waiter;
	*journal->queue_end = request;
	journal->queue_end = &request->next;
}

/* Puts what was left of a list before what came meanwhile. With the mutex. */
static void put_back(struct journal *journal, struct journal_request *rest)
{
	struct journal_request **end = &rest;

	if (rest == NULL)
		return;
	while (*end != NULL)
		end = &(*end)->next;
	*end = journal->queue;
	if (journal->queue == NULL)
		journal->queue_end = end;
	journal->queue = rest;
}

/*
 * The turn
 */

/* Who is to have the turn next; NULL: there is nobody. With the mutex. */
static struct journal_waiter *next_waiter(struct journal *journal)
{
	struct journal_waiter *waiter = journal->turn_wanted;
	const struct journal_request *request = journal->queue;

	if (waiter != NULL) {
		journal->turn_wanted = waiter->next;
		return waiter;
	}
	while (request != NULL && request->waiter == NULL)
		request = request->next;
	if (request != NULL)
		return request->waiter;
	return journal->queue == NULL || journal->writer == NULL ?
		NULL :
		&journal->writer->waiter;
}

/* False: it stays here, since something is queued for which there is nobody else. With the
   mutex, which is let go. */
static bool hand_on(struct journal *journal)
{
	struct journal_waiter *waiter = next_waiter(journal);
	bool stays = waiter == NULL && journal->queue != NULL;

	if (waiter != NULL)
		waiter->has_turn = true;
	else if (!stays)
		journal->committing = false;
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	if (waiter != NULL)
		(void)sem_post(&waiter->woken);
	return !stays;
}

/* What nobody waits for is its done()'s from then on. Those that somebody waits for, as a
   list. */
static struct journal_request *tell(struct journal_request *group)
{
	struct journal_request *waited = NULL, *request;
	bool is_waited_for;

	while ((request = group) != NULL) {
		group = request->next;
		is_waited_for = request->waiter != NULL;
		if (request->done != NULL)
			request->done(request, request->error);
		if (is_waited_for) {
			request->next = waited;
			waited = request;
		}
	}
	return waited;
}

/* Those for whom nothing is left. The requests are theirs, and gone once they are woken;
   another one may count at the same time. */
static void wake(struct journal *journal, struct journal_request *request)
{
	struct journal_waiter *waiters = NULL, *waiter;

	(void)pthread_mutex_lock(&journal->queue_mutex);
	for (; request != NULL; request = request->next) {
		waiter = request->waiter;
		if (waiter->error == 0)
			waiter->error = request->error;
		if (--waiter->left == 0) {
			waiter->next = waiters;
			waiters = waiter;
		}
	}
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	while ((waiter = waiters) != NULL) {
		waiters = waiter->next;
		(void)sem_post(&waiter->woken);
	}
}

/* Writes a group. Whether the turn was handed on. */
static bool take_turn(struct journal *journal)
{
	struct journal_request *group, *rest, *waited;
	bool handed_on;

	(void)pthread_mutex_lock(&journal->queue_mutex);
	group = journal->queue;
	journal->queue = NULL;
	journal->queue_end = &journal->queue;
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	rest = journal_write_group(journal, group);
	(void)pthread_mutex_lock(&journal->queue_mutex);
	put_back(journal, rest);
	handed_on = hand_on(journal);
	waited = tell(group);
	if (waited != NULL)
		wake(journal, waited);
	return handed_on;
}

static void take_turns(struct journal *journal)
{
	while (!take_turn(journal))
		;
}

/* Whether nobody has it. With the mutex. */
static bool get_turn(struct journal *journal)
{
	bool got = !journal->committing;

	journal->committing = true;
	return got;
}

/*
 * Requests
 */

/* Takes the turns that it is given. */
static void *writer_main(void *context)
{
	struct journal *journal = context;
	struct journal_waiter *waiter = &journal->writer->waiter;

	for (wait_for_wake(waiter); waiter->has_turn; wait_for_wake(waiter)) {
		waiter->has_turn = false;
		take_turns(journal);
	}
	return NULL;
}

/* Without one, whoever has the turn has to go on. With the mutex. */
static void start_writer(struct journal *journal)
{
	struct journal_writer *writer = try_calloc(1, sizeof(*writer));

	if (writer == NULL)
		return;
	init_waiter(&writer->waiter, 0);
	journal->writer = writer;
	if (thread_start(&writer->thread, writer_main, journal) == 0)
		return;
	journal->writer = NULL;
	(void)sem_destroy(&writer->waiter.woken);
	i_free(writer);
}

void journal_writer_stop(struct journal *journal)
{
	struct journal_writer *writer = journal->writer;

	if (writer == NULL)
		return;
	(void)sem_post(&writer->waiter.woken);
	(void)pthread_join(writer->thread, NULL);
	journal->writer = NULL;
	(void)sem_destroy(&writer->waiter.woken);
	i_free(writer);
}

void journal_submit(struct journal *journal, struct journal_request *request)
{
	bool got_turn;

	journal_prepare(request);
	(void)pthread_mutex_lock(&journal->queue_mutex);
	if (journal->writer == NULL)
		start_writer(journal);
	enqueue(journal, request, NULL);
	got_turn = get_turn(journal);
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	if (got_turn)
		take_turns(journal);
}

/* Until nothing is left. */
static void wait_for_requests(struct journal *journal,
			      struct journal_waiter *waiter)
{
	for (;;) {
		wait_for_wake(waiter);
		if (!waiter->has_turn)
			return;
		waiter->has_turn = false;
		take_turns(journal);
	}
}

int journal_commit_many(struct journal *journal,
			struct journal_request **requests, unsigned int count)
{
	struct journal_waiter waiter;
	unsigned int i;
	bool got_turn;

	if (count == 0)
		return 0;
	init_waiter(&waiter, count);
	for (i = 0; i < count; i++)
		journal_prepare(requests[i]);
	(void)pthread_mutex_lock(&journal->queue_mutex);
	for (i = 0; i < count; i++)
		enqueue(journal, requests[i], &waiter);
	got_turn = get_turn(journal);
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	if (got_turn)
		take_turns(journal);
	wait_for_requests(journal, &waiter);
	(void)sem_destroy(&waiter.woken);
	errno = waiter.error;
	return waiter.error == 0 ? 0 : -1;
}

int journal_commit(struct journal *journal, struct journal_request *request)
{
	return journal_commit_many(journal, &request, 1);
}

/*
 * A turn for something else
 */

void journal_begin_commit(struct journal *journal)
{
	struct journal_waiter waiter, **end;
	bool got_turn;

	init_waiter(&waiter, 0);
	(void)pthread_mutex_lock(&journal->queue_mutex);
	got_turn = get_turn(journal);
	if (!got_turn) {
		for (end = &journal->turn_wanted; *end != NULL;)
			end = &(*end)->next;
		*end = &waiter;
	}
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	if (!got_turn)
		wait_for_wake(&waiter);
	(void)sem_destroy(&waiter.woken);
}

void journal_end_commit(struct journal *journal)
{
	(void)pthread_mutex_lock(&journal->queue_mutex);
	if (!hand_on(journal))
		take_turns(journal);
}
