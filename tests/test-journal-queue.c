/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Who writes for whom in the journal, and when each is told. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-faults.h"
#include "test-journal-gate.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define MANY 64

static struct test_journal_put many[MANY];

static void *submit_first(void *journal)
{
	journal_submit(journal, &many[0].request);
	return NULL;
}

/* What the next test did: groups of 1, 1 and 63. */
static void must_have_counted(struct journal *journal)
{
	struct spool_stats stats;

	assert_int_equal(journal_get_stats(journal, &stats), 0);
	assert_int_equal(stats.group_changes[0], 2);
	assert_int_equal(stats.group_changes[5], 1);
	assert_int_equal(test_journal_sum(stats.group_changes), 3);
	assert_int_equal(test_journal_sum(stats.sync_usecs), 3);
	assert_int_equal(stats.failed_groups, 0);
	assert_int_equal(stats.live_segments, 1);
	assert_int_equal(stats.dead_segments + stats.cut_segments, 0);
	assert_int_equal(stats.live_records, 2 * (MANY + 1));
	assert_int_equal(stats.records, stats.live_records);
	assert_true(stats.segment_bytes > 0);
}

static void test_what_gathers_is_one_group(void **state ATTR_UNUSED)
{
	struct journal *journal = test_gate_begin();
	pthread_t thread;
	unsigned int n;

	for (n = 0; n < MANY; n++)
		test_gate_submit(&many[n], n);
	thread = test_start(submit_first, journal);
	test_gate_wait(1);
	/* these find somebody at it, and do not wait */
	for (n = 1; n < MANY; n++)
		journal_submit(journal, &many[n].request);
	for (n = 0; n < MANY; n++) {
		assert_int_equal(test_gate_done(&many[n]), 0);
		/* and nothing is believed before its sync */
		assert_false(test_journal_has(journal, n));
	}
	test_gate_allow(UINT_MAX);
	test_end(thread);
	for (n = 0; n < MANY; n++) {
		test_gate_wait_for_done(&many[n]);
		assert_int_equal(many[n].error, 0);
		assert_true(test_journal_has(journal, n));
	}
	assert_int_equal(test_gate.syncs, 2);
	must_have_counted(journal);
	test_gate_end(journal);
}

/*
 * The turn
 */

static void done_once_the_next_sync_begins(struct journal_request *request,
					   int error)
{
	struct test_journal_put *put = request->context;

	test_gate_wait(2);
	put->error = error;
	put->done++;
}

/* Whoever is told may take his time: the disk has work meanwhile. */
static void
test_the_next_group_is_written_before_this_one_is_told(void **state ATTR_UNUSED)
{
	struct journal *journal = test_gate_begin();
	struct test_gate_commit first, second;
	pthread_t threads[2];

	test_gate_make_commit(&first, journal, 1);
	test_gate_make_commit(&second, journal, 2);
	first.put.request.done = done_once_the_next_sync_begins;
	threads[0] = test_start(test_gate_run, &first);
	test_gate_wait(1);
	threads[1] = test_start(test_gate_run, &second);
	test_gate_wait_for_queue(journal, 1, false);
	test_gate_allow(UINT_MAX);
	test_end(threads[0]);
	test_end(threads[1]);
	assert_int_equal(test_gate.syncs, 2);
	test_gate_end(journal);
}

static _Atomic unsigned int interruptions;

static void count_interruption(int number ATTR_UNUSED)
{
	interruptions++;
}

/* A signal's handler wakes who waits for another one's sync, and his own has not begun. */
static void test_a_signal_ends_no_wait(void **state ATTR_UNUSED)
{
	struct sigaction action = { .sa_handler = count_interruption }, old;
	struct journal *journal = test_gate_begin();
	struct test_gate_commit first, second;
	pthread_t threads[2];
	unsigned int i, asked;

	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	test_gate_make_commit(&first, journal, 1);
	test_gate_make_commit(&second, journal, 2);
	threads[0] = test_start(test_gate_run, &first);
	test_gate_wait(1);
	threads[1] = test_start(test_gate_run, &second);
	test_gate_wait_for_queue(journal, 1, false);
	/* so often that it waits for one of them at least */
	for (i = 0; i < 200; i++) {
		assert_int_equal(pthread_kill(threads[1], SIGUSR1), 0);
		/* a sanitizer may keep one back that comes just before it waits */
		for (asked = 1; interruptions <= i; asked++) {
			if (asked % 10000 == 0)
				(void)pthread_kill(threads[1], SIGUSR1);
			(void)sched_yield();
		}
	}
	test_gate_allow(UINT_MAX);
	test_end(threads[0]);
	test_end(threads[1]);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
	test_gate_end(journal);
}

static struct test_journal_put more[300];

static void *commit_more(void *journal)
{
	struct journal_request *requests[N_ELEMENTS(more)];
	unsigned int n;

	for (n = 0; n < N_ELEMENTS(more); n++)
		requests[n] = &more[n].request;
	return journal_commit_many(journal, requests, N_ELEMENTS(more)) == 0 ?
		NULL :
		journal;
}

static bool is_before(const struct test_journal_put *a,
		      const struct test_journal_put *b)
{
	const struct journal_place *x = &a->request.records[1].place;
	const struct journal_place *y = &b->request.records[1].place;

	return x->segment < y->segment ||
		(x->segment == y->segment && x->offset < y->offset);
}

/* More than a group takes, which one waits for: all are told, once, and none that came
   while the first of them were written is before the others. */
static void test_what_is_left_of_a_group_comes_first(void **state ATTR_UNUSED)
{
	struct journal *journal = test_gate_begin();
	pthread_t threads[2];
	unsigned int n;

	for (n = 0; n < N_ELEMENTS(more); n++)
		test_journal_make_put(&more[n], n, 1);
	test_gate_submit(&many[0], 2000);
	test_gate_submit(&many[1], 2001);
	threads[0] = test_start(submit_first, journal);
	test_gate_wait(1);
	threads[1] = test_start(commit_more, journal);
	test_gate_wait_for_queue(journal, N_ELEMENTS(more), false);
	test_gate_allow(1);
	test_gate_wait(2);
	journal_submit(journal, &many[1].request);
	test_gate_allow(UINT_MAX);
	test_end(threads[0]);
	test_end(threads[1]);
	for (n = 0; n < N_ELEMENTS(more); n++) {
		assert_int_equal(more[n].done, 1);
		assert_true(test_journal_has(journal, n));
		assert_true(n == 0 || is_before(&more[n - 1], &more[n]));
	}
	test_gate_wait_for_done(&many[1]);
	assert_true(is_before(&many[0], &more[0]));
	assert_true(is_before(&more[n - 1], &many[1]));
	test_gate_end(journal);
}

struct asking {
	struct journal *journal;
	struct spool_stats stats;
};

static void *ask_for_stats(void *context)
{
	struct asking *asking = context;

	return journal_get_stats(asking->journal, &asking->stats) == 0 ? NULL :
									 asking;
}

/* However many go on writing. */
static void
test_who_wants_the_turn_for_something_else_is_next(void **state ATTR_UNUSED)
{
	struct journal *journal = test_gate_begin();
	struct test_gate_commit commits[3];
	struct asking asking = { .journal = journal };
	pthread_t threads[4];
	unsigned int i;

	for (i = 0; i < 3; i++)
		test_gate_make_commit(&commits[i], journal, i + 1);
	threads[0] = test_start(test_gate_run, &commits[0]);
	test_gate_wait(1);
	threads[1] = test_start(test_gate_run, &commits[1]);
	test_gate_wait_for_queue(journal, 1, false);
	threads[3] = test_start(ask_for_stats, &asking);
	test_gate_wait_for_queue(journal, 1, true);
	threads[2] = test_start(test_gate_run, &commits[2]);
	test_gate_wait_for_queue(journal, 2, true);
	test_gate_allow(UINT_MAX);
	for (i = 0; i < 4; i++)
		test_end(threads[i]);
	/* the one before the gate, and the first one */
	assert_int_equal(test_journal_sum(asking.stats.group_changes), 2);
	assert_int_equal(test_gate.syncs, 2);
	test_gate_end(journal);
}

struct taking {
	struct journal *journal;
	unsigned int *taken, number; /* by how many, and which of them it was */
};

static void *take_a_turn(void *context)
{
	struct taking *taking = context;

	journal_begin_commit(taking->journal);
	taking->number = (*taking->taken)++;
	journal_end_commit(taking->journal);
	return NULL;
}

/* The next one is what a waiter begins with. */
static void wait_for_wanting(struct journal *journal, unsigned int count)
{
	const struct journal_waiter *waiter;
	unsigned int found;

	do {
		(void)sched_yield();
		found = 0;
		(void)pthread_mutex_lock(&journal->queue_mutex);
		for (waiter = journal->turn_wanted; waiter != NULL;
		     waiter = *(struct journal_waiter *const *)waiter)
			found++;
		(void)pthread_mutex_unlock(&journal->queue_mutex);
	} while (found < count);
}

/* Or who came first might never have it. */
static void test_turns_are_given_in_order(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct taking takings[3];
	pthread_t threads[3];
	unsigned int i, taken = 0;

	journal_begin_commit(journal);
	for (i = 0; i < 3; i++) {
		takings[i].journal = journal;
		takings[i].taken = &taken;
		threads[i] = test_start(take_a_turn, &takings[i]);
		wait_for_wanting(journal, i + 1);
	}
	journal_end_commit(journal);
	for (i = 0; i < 3; i++) {
		test_end(threads[i]);
		assert_int_equal(takings[i].number, i);
	}
	journal_close(&journal);
}

/* Nobody waits for it, and it came while the turn was somebody's for something else. */
static void test_what_came_meanwhile_is_written(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	test_gate_submit(&many[0], 1);
	journal_begin_commit(journal);
	journal_submit(journal, &many[0].request);
	assert_int_equal(test_gate_done(&many[0]), 0);
	journal_end_commit(journal);
	test_gate_wait_for_done(&many[0]);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

/* Two that do not go into one segment are two groups; the first one fails. */
static void test_one_of_many_fails(void **state ATTR_UNUSED)
{
	static unsigned char data[40000];
	struct journal *journal = test_journal_new();
	struct journal_request *requests[2];
	static struct test_journal_put puts[2];
	struct journal_entry entry;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		test_journal_make_put(&puts[i], i, 1);
		puts[i].request.records[0].data = data;
		puts[i].request.records[0].size = sizeof(data);
		requests[i] = &puts[i].request;
		assert_int_equal(journal_claim(journal,
					       &puts[i].request.records[0].id,
					       &entry),
				 0);
	}
	test_faults_begin();
	/* that of the new segment comes before */
	test_faults.fail_at[TEST_OP_FDATASYNC] = 2;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(journal_commit_many(journal, requests, 2), -1);
	assert_int_equal(errno, EIO);
	test_faults_end();
	assert_int_equal(puts[0].error, EIO);
	assert_int_equal(puts[1].error, 0);
	for (i = 0; i < 2; i++)
		journal_release(journal, &puts[i].request.records[0].id);
	journal_close(&journal);
}

static void test_no_requests_are_done(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(journal_commit_many(journal, NULL, 0), 0);
	journal_close(&journal);
}

/*
 * Many
 */

struct writer {
	struct journal *journal;
	unsigned int first;
};

static void *write_some(void *context)
{
	struct writer *writer = context;
	unsigned int n;

	for (n = 0; n < 50; n++) {
		if (test_journal_store(writer->journal, writer->first + n) != 0)
			return writer;
		if (n % 2 == 1 &&
		    test_journal_drop(writer->journal, writer->first + n) != 0)
			return writer;
	}
	return NULL;
}

static void test_many_writers(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct writer writers[4];
	pthread_t threads[4];
	unsigned int i, n;

	for (i = 0; i < 4; i++) {
		writers[i].journal = journal;
		writers[i].first = i * 1000;
		threads[i] = test_start(write_some, &writers[i]);
	}
	for (i = 0; i < 4; i++)
		test_end(threads[i]);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (i = 0; i < 4; i++) {
		for (n = 0; n < 50; n++)
			assert_int_equal(test_journal_has(journal,
							  i * 1000 + n),
					 n % 2 == 0);
	}
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_gathers_is_one_group),
		cmocka_unit_test(
			test_the_next_group_is_written_before_this_one_is_told),
		cmocka_unit_test(test_a_signal_ends_no_wait),
		cmocka_unit_test(test_what_is_left_of_a_group_comes_first),
		cmocka_unit_test(
			test_who_wants_the_turn_for_something_else_is_next),
		cmocka_unit_test(test_turns_are_given_in_order),
		cmocka_unit_test(test_what_came_meanwhile_is_written),
		cmocka_unit_test(test_one_of_many_fails),
		cmocka_unit_test(test_no_requests_are_done),
		cmocka_unit_test(test_many_writers),
	};

	return cmocka_run_group_tests_name("journal-queue", tests, NULL, NULL);
}
