/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Group commit. One at a time has the turn: he writes a group of what is queued, for
   all, and the next group gathers meanwhile. A lone writer pays for one sync and waits
   for nobody. Where many wait a thread of the journal's own has the turn, and goes on with
   the next group at once: whoever is woken for it would have to get a processor first.
   Those whose requests were written are told by one of them meanwhile. Each is woken by
   himself, once: of many who wait for one group, half wait for the next one. That thread
   also writes what nobody waits for, as whoever had the turn wants to go on; and if more of
   it is being made on all processors, not one by one, since each group takes of them, too. */

#include "config.h"
#include "journal/journal-private.h"
#include "mem.h"
#include "thread-start.h"

#include <errno.h>
#include <semaphore.h>

/* Processors are what is lacking where more than so many times as many as are queued were told
   and did not run since: then groups are to be large. */
#define BACKLOG_FACTOR 3

/* So many in a group are enough, and so is the time that it waits for them. */
#define ENOUGH 32
#define PATIENCE_USECS 1000

/* Woken once for each turn, for each group that he is to tell of, and once when nothing is
   left. Under the queue's mutex, but for the semaphore. */
struct journal_waiter {
	struct journal_waiter *next;
	sem_t woken;
	unsigned int left; /* requests */
	int error;         /* of one that failed */
	bool has_turn;
	struct journal_request *written; /* whom he is to tell; NULL: nobody */
};

enum reason {
	REASON_TELL,
	REASON_TURN,
	REASON_DONE
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
	waiter->written = NULL;
}

static void wait_for_wake(struct journal_waiter *waiter)
{
	while (sem_wait(&waiter->woken) < 0)
		;
}

/* Why he was woken; REASON_TELL: of *written_r. */
static enum reason wait_for_reason(struct journal *journal,
				   struct journal_waiter *waiter,
				   struct journal_request **written_r)
{
	enum reason reason = REASON_DONE;

	wait_for_wake(waiter);
	(void)pthread_mutex_lock(&journal->queue_mutex);
	*written_r = waiter->written;
	if (waiter->written != NULL) {
		reason = REASON_TELL;
		waiter->written = NULL;
	} else if (waiter->has_turn) {
		reason = REASON_TURN;
		waiter->has_turn = false;
	}
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	return reason;
}

/* With the mutex. */
static void enqueue(struct journal *journal, struct journal_request *request,
		    struct journal_waiter *waiter)
{
	request->next = NULL;
	request->waiter = waiter;
	*journal->queue_end = request;
	journal->queue_end = &request->next;
	journal->queued++;
}

/* Puts what was left of a list before what came meanwhile. With the mutex. */
static void put_back(struct journal *journal, struct journal_request *rest)
{
	struct journal_request **end = &rest;

	if (rest == NULL)
		return;
	for (; *end != NULL; end = &(*end)->next)
		journal->queued++;
	*end = journal->queue;
	if (journal->queue == NULL)
		journal->queue_end = end;
	journal->queue = rest;
}

/*
 * What is expected
 */

void journal_queue_init(struct journal *journal)
{
	journal->queue_end = &journal->queue;
	journal->patience = PATIENCE_USECS;
	(void)pthread_mutex_init(&journal->queue_mutex, NULL);
	journal_cond_init(&journal->came);
}

void journal_queue_deinit(struct journal *journal)
{
	(void)pthread_cond_destroy(&journal->came);
	(void)pthread_mutex_destroy(&journal->queue_mutex);
}

/* What took too long once is not waited for again. */
static unsigned int count_expected(const struct journal *journal)
{
	unsigned int expected = atomic_load(&journal->expected);

	return expected - I_MIN(expected, atomic_load(&journal->overdue));
}

/* Half of all that is under way is a group, while the other half is made. With the mutex. */
static bool is_too_early(const struct journal *journal)
{
	return journal->queued < I_MIN(count_expected(journal), ENOUGH) &&
		atomic_load(&journal->waiting) == 0 &&
		journal->turn_wanted == NULL;
}

/* Something of that has changed. With the mutex. */
static void look_again(struct journal *journal)
{
	if (atomic_load(&journal->keeping) && !is_too_early(journal))
		(void)pthread_cond_signal(&journal->came);
}

/* With the mutex. */
static void wait_for_expected(struct journal *journal)
{
	struct timespec end = journal_time_in(journal->patience);

	atomic_store(&journal->keeping, true);
	while (is_too_early(journal) &&
	       pthread_cond_timedwait(&journal->came, &journal->queue_mutex,
				      &end) == 0)
		;
	if (is_too_early(journal))
		atomic_store(&journal->overdue,
			     atomic_load(&journal->expected));
	atomic_store(&journal->keeping, false);
}

/* It came at last, or something else did: it cannot be told. With the mutex. */
static void forget_overdue(struct journal *journal)
{
	unsigned int expected = atomic_load(&journal->expected);

	if (atomic_load(&journal->overdue) > expected)
		atomic_store(&journal->overdue, expected);
}

void journal_expect(struct journal *journal, int more)
{
	(void)atomic_fetch_add(&journal->expected, (unsigned int)more);
	/* the mutex is others' where nobody wants to know it */
	if (more > 0 ||
	    (!atomic_load(&journal->keeping) &&
	     atomic_load(&journal->overdue) == 0))
		return;
	(void)pthread_mutex_lock(&journal->queue_mutex);
	forget_overdue(journal);
	look_again(journal);
	(void)pthread_mutex_unlock(&journal->queue_mutex);
}

/*
 * The journal's thread
 */

static void *writer_main(void *context);

/* Without one, others have its turns. With the mutex. */
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

/*
 * The turn
 */

/* Whether the journal's thread is to have it, behind a group of so many requests; 0: if there
   is nobody else. With the mutex. */
static bool is_writers(const struct journal *journal, unsigned int count)
{
	return journal->writer != NULL && count > 0 &&
		atomic_load(&journal->waiting) <=
		count + (1 + BACKLOG_FACTOR) * journal->queued;
}

/* Who is to have the turn next; NULL: there is nobody. With the mutex. */
static struct journal_waiter *next_waiter(struct journal *journal,
					  unsigned int count)
{
	struct journal_waiter *waiter = journal->turn_wanted;
	const struct journal_request *request = journal->queue;

	if (waiter != NULL) {
		journal->turn_wanted = waiter->next;
		return waiter;
	}
	while (request != NULL && request->waiter == NULL)
		request = request->next;
	if (request != NULL && !is_writers(journal, count))
		return request->waiter;
	return journal->queue == NULL || journal->writer == NULL ?
		NULL :
		&journal->writer->waiter;
}

/* Behind a group of so many. False: it stays here, as `own` is who is next, or since something
   is queued for which there is nobody else. With the mutex, which is let go. */
static bool hand_on(struct journal *journal, const struct journal_waiter *own,
		    unsigned int count)
{
	struct journal_waiter *waiter;
	bool stays;

	if (journal->queue != NULL && journal->writer == NULL)
		start_writer(journal);
	waiter = next_waiter(journal, count);
	stays = waiter == NULL ? journal->queue != NULL : waiter == own;
	if (waiter == NULL)
		journal->committing = stays;
	else if (!stays)
		waiter->has_turn = true;
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	if (waiter != NULL && !stays)
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

static void tell_all(struct journal *journal, struct journal_request *group)
{
	struct journal_request *waited = tell(group);

	if (waited != NULL)
		wake(journal, waited);
}

/* One of those who wait for it, who tells the others; NULL: there is none. With the mutex. */
static struct journal_waiter *take_teller(struct journal_request *group)
{
	const struct journal_request *request = group;

	/* who waits for several may not have told of the last group yet */
	while (request != NULL &&
	       (request->waiter == NULL || request->waiter->written != NULL))
		request = request->next;
	if (request == NULL)
		return NULL;
	request->waiter->written = group;
	return request->waiter;
}

/* Writes a group. Whether the turn was handed on; own: of the journal's thread, or NULL. */
static bool take_turn(struct journal *journal, const struct journal_waiter *own)
{
	struct journal_waiter *teller = NULL;
	struct journal_request *group, *rest;
	unsigned int count;
	bool handed_on;

	(void)pthread_mutex_lock(&journal->queue_mutex);
	if (own != NULL && is_too_early(journal))
		wait_for_expected(journal);
	group = journal->queue;
	count = journal->queued;
	journal->queue = NULL;
	journal->queue_end = &journal->queue;
	journal->queued = 0;
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	rest = journal_write_group(journal, group);
	(void)pthread_mutex_lock(&journal->queue_mutex);
	put_back(journal, rest);
	if (own != NULL)
		teller = take_teller(group);
	/* who has to tell them himself does not keep the disk from others meanwhile */
	if (own != NULL && teller == NULL)
		count = 0;
	handed_on = hand_on(journal, own, count);
	if (teller != NULL)
		(void)sem_post(&teller->woken);
	else
		tell_all(journal, group);
	return handed_on;
}

static void take_turns(struct journal *journal,
		       const struct journal_waiter *own)
{
	while (!take_turn(journal, own))
		;
}

/* Whether nobody has it. With the mutex. */
static bool get_turn(struct journal *journal)
{
	bool got = !journal->committing;

	journal->committing = true;
	return got;
}

/* Of the journal's own thread. */
static void *writer_main(void *context)
{
	struct journal *journal = context;
	struct journal_waiter *waiter = &journal->writer->waiter;
	struct journal_request *none;

	while (wait_for_reason(journal, waiter, &none) == REASON_TURN)
		take_turns(journal, waiter);
	return NULL;
}

/*
 * Requests
 */

void journal_submit(struct journal *journal, struct journal_request *request)
{
	bool got_turn;

	journal_prepare(request);
	(void)pthread_mutex_lock(&journal->queue_mutex);
	enqueue(journal, request, NULL);
	look_again(journal);
	got_turn = get_turn(journal);
	if (got_turn && is_too_early(journal))
		got_turn = !hand_on(journal, NULL, 0);
	else
		(void)pthread_mutex_unlock(&journal->queue_mutex);
	if (got_turn)
		take_turns(journal, NULL);
}

/* Until nothing is left. */
static void wait_for_requests(struct journal *journal,
			      struct journal_waiter *waiter)
{
	struct journal_request *written;
	enum reason reason;

	do {
		reason = wait_for_reason(journal, waiter, &written);
		if (reason == REASON_TELL)
			tell_all(journal, written);
		else if (reason == REASON_TURN)
			take_turns(journal, NULL);
	} while (reason != REASON_DONE);
	(void)atomic_fetch_sub(&journal->waiting, 1);
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
	(void)atomic_fetch_add(&journal->waiting, 1);
	look_again(journal);
	got_turn = get_turn(journal);
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	if (got_turn)
		take_turns(journal, NULL);
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
		look_again(journal);
	}
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	if (!got_turn)
		wait_for_wake(&waiter);
	(void)sem_destroy(&waiter.woken);
}

void journal_end_commit(struct journal *journal)
{
	(void)pthread_mutex_lock(&journal->queue_mutex);
	if (!hand_on(journal, NULL, 0))
		take_turns(journal, NULL);
}
