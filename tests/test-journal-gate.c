/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

#include "config.h"
#include "test-journal-gate.h"
#include "file-ops.h"
#include "macros.h"

#include <sched.h>

struct test_gate test_gate = { .mutex = PTHREAD_MUTEX_INITIALIZER,
			       .changed = PTHREAD_COND_INITIALIZER };

static int held_fdatasync(int fd)
{
	unsigned int number;

	(void)pthread_mutex_lock(&test_gate.mutex);
	number = ++test_gate.syncs;
	if (number <= N_ELEMENTS(test_gate.by))
		test_gate.by[number - 1] = pthread_self();
	(void)pthread_cond_broadcast(&test_gate.changed);
	while (number > test_gate.allowed)
		(void)pthread_cond_wait(&test_gate.changed, &test_gate.mutex);
	(void)pthread_mutex_unlock(&test_gate.mutex);
	return file_ops_system.fdatasync(fd);
}

void test_gate_allow(unsigned int count)
{
	(void)pthread_mutex_lock(&test_gate.mutex);
	test_gate.allowed = count;
	(void)pthread_cond_broadcast(&test_gate.changed);
	(void)pthread_mutex_unlock(&test_gate.mutex);
}

/* Until there were so many, since test_gate_begin(). */
void test_gate_wait(unsigned int count)
{
	(void)pthread_mutex_lock(&test_gate.mutex);
	while (test_gate.syncs < count)
		(void)pthread_cond_wait(&test_gate.changed, &test_gate.mutex);
	(void)pthread_mutex_unlock(&test_gate.mutex);
}

/* A new journal that has its segment, with one message, and whose next sync is held. */
struct journal *test_gate_begin(void)
{
	static struct file_ops ops;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1000), 0);
	ops = file_ops_system;
	ops.fdatasync = held_fdatasync;
	file_ops_set(&ops);
	test_gate.syncs = 0;
	test_gate_allow(0);
	return journal;
}

void test_gate_end(struct journal *journal)
{
	file_ops_set(NULL);
	journal_close(&journal);
}

void test_gate_count(struct journal_request *request, int error)
{
	struct test_journal_put *put = request->context;

	(void)pthread_mutex_lock(&test_gate.mutex);
	put->error = error;
	put->done++;
	(void)pthread_cond_broadcast(&test_gate.changed);
	(void)pthread_mutex_unlock(&test_gate.mutex);
}

/* One that nobody waits for. */
void test_gate_submit(struct test_journal_put *put, unsigned int n)
{
	test_journal_make_put(put, n, 1);
	put->request.done = test_gate_count;
}

unsigned int test_gate_done(const struct test_journal_put *put)
{
	unsigned int done;

	(void)pthread_mutex_lock(&test_gate.mutex);
	done = put->done;
	(void)pthread_mutex_unlock(&test_gate.mutex);
	return done;
}

void test_gate_wait_for_done(const struct test_journal_put *put)
{
	(void)pthread_mutex_lock(&test_gate.mutex);
	while (put->done == 0)
		(void)pthread_cond_wait(&test_gate.changed, &test_gate.mutex);
	(void)pthread_mutex_unlock(&test_gate.mutex);
}

pthread_t test_start(void *(*run)(void *context), void *context)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run, context), 0);
	return thread;
}

void test_end(pthread_t thread)
{
	void *failed;

	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
}

/* Waits until so many requests are queued, and so many want the turn for something
   else. */
void test_gate_wait_for_queue(struct journal *journal, unsigned int requests,
			      bool wanted)
{
	const struct journal_request *request;
	unsigned int count;
	bool as_wanted;

	do {
		(void)sched_yield();
		(void)pthread_mutex_lock(&journal->queue_mutex);
		count = 0;
		for (request = journal->queue; request != NULL;
		     request = request->next)
			count++;
		as_wanted = (journal->turn_wanted != NULL) == wanted;
		(void)pthread_mutex_unlock(&journal->queue_mutex);
	} while (count != requests || !as_wanted);
}

void *test_gate_run(void *context)
{
	struct test_gate_commit *commit = context;
	int ret = journal_commit(commit->journal, &commit->put.request);

	return ret == 0 && commit->put.done == 1 ? NULL : commit;
}

void test_gate_make_commit(struct test_gate_commit *commit,
			   struct journal *journal, unsigned int n)
{
	commit->journal = journal;
	test_journal_make_put(&commit->put, n, 1);
}
