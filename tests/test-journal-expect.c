/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Requests that nobody waits for, while more of them are expected. */

#include "config.h"
#include "test-journal-gate.h"

#include <limits.h>
#include <sched.h>

/* Long enough for each test, but for those about patience. */
#define FOREVER_USECS (UINT64_C(3600) * 1000000)
/* More than a group waits for. */
#define MANY 40

static struct test_journal_put many[MANY];

static struct journal *begin(void)
{
	struct journal *journal = test_gate_begin();
	unsigned int n;

	journal->patience = FOREVER_USECS;
	for (n = 0; n < MANY; n++)
		test_gate_submit(&many[n], n);
	test_gate_allow(UINT_MAX);
	return journal;
}

/* As who said that it comes. */
static void submit(struct journal *journal, unsigned int n)
{
	journal_submit(journal, &many[n].request);
	journal_expect(journal, -1);
}

/* A group waits. */
static void wait_until_kept(struct journal *journal)
{
	bool kept;

	do {
		(void)sched_yield();
		(void)pthread_mutex_lock(&journal->queue_mutex);
		kept = atomic_load(&journal->keeping);
		(void)pthread_mutex_unlock(&journal->queue_mutex);
	} while (!kept);
}

static void must_be_stored(struct journal *journal, unsigned int count)
{
	unsigned int n;

	for (n = 0; n < count; n++) {
		test_gate_wait_for_done(&many[n]);
		assert_int_equal(many[n].error, 0);
		assert_true(test_journal_has(journal, n));
	}
}

/* While one half is written the other one is made. */
static void test_half_of_them_are_a_group(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();
	unsigned int n;

	journal_expect(journal, 8);
	submit(journal, 0);
	wait_until_kept(journal);
	for (n = 1; n < 4; n++)
		submit(journal, n);
	must_be_stored(journal, 4);
	assert_int_equal(test_gate.syncs, 1);
	for (; n < 8; n++)
		submit(journal, n);
	must_be_stored(journal, 8);
	test_gate_end(journal);
}

static void test_a_lone_one_is_not_kept(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();

	journal_expect(journal, 1);
	journal_submit(journal, &many[0].request);
	/* by this thread */
	assert_int_equal(test_gate_done(&many[0]), 1);
	journal_expect(journal, -1);
	test_gate_end(journal);
}

static void test_that_is_enough(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();
	unsigned int n;

	journal_expect(journal, 1000);
	journal_submit(journal, &many[0].request);
	wait_until_kept(journal);
	for (n = 1; n < 32; n++)
		journal_submit(journal, &many[n].request);
	must_be_stored(journal, 32);
	journal_expect(journal, -1000);
	test_gate_end(journal);
}

static void test_what_does_not_come_is_not_waited_for(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();

	journal_expect(journal, 3);
	submit(journal, 0);
	wait_until_kept(journal);
	journal_expect(journal, -1);
	must_be_stored(journal, 1);
	journal_expect(journal, -1);
	test_gate_end(journal);
}

/* What is in his group is no longer kept, either. */
static void test_who_waits_is_not_kept(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();
	struct test_gate_commit commit;

	test_gate_make_commit(&commit, journal, 50);
	journal_expect(journal, 5);
	submit(journal, 0);
	wait_until_kept(journal);
	assert_null(test_gate_run(&commit));
	must_be_stored(journal, 1);
	assert_int_equal(test_gate.syncs, 1);
	journal_expect(journal, -4);
	test_gate_end(journal);
}

static void
test_who_wants_the_turn_for_something_else_is_not_kept(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();

	journal_expect(journal, 5);
	submit(journal, 0);
	wait_until_kept(journal);
	journal_begin_commit(journal);
	journal_end_commit(journal);
	must_be_stored(journal, 1);
	journal_expect(journal, -4);
	test_gate_end(journal);
}

/* Of who says that more comes, and takes his time. */
static void test_patience_has_an_end(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();

	journal->patience = 100;
	journal_expect(journal, 5);
	submit(journal, 0);
	must_be_stored(journal, 1);
	journal_expect(journal, -4);
	test_gate_end(journal);
}

/* A slow one is waited for by one group, and not by those behind it. */
static void test_what_is_late_is_not_waited_for_again(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();

	journal->patience = 100;
	journal_expect(journal, 3);
	journal_submit(journal, &many[0].request);
	must_be_stored(journal, 1);
	journal->patience = FOREVER_USECS;
	journal_submit(journal, &many[1].request);
	must_be_stored(journal, 2);
	/* those that came behind it are */
	journal_expect(journal, 2);
	journal_submit(journal, &many[2].request);
	wait_until_kept(journal);
	journal_submit(journal, &many[3].request);
	must_be_stored(journal, 4);
	/* and once it has come, all are */
	journal_expect(journal, -5);
	journal_expect(journal, 2);
	journal_submit(journal, &many[4].request);
	wait_until_kept(journal);
	journal_submit(journal, &many[5].request);
	must_be_stored(journal, 6);
	assert_int_equal(test_gate.syncs, 4);
	journal_expect(journal, -2);
	test_gate_end(journal);
}

/* It is written by who submits it. */
static void test_without_a_thread_nothing_is_kept(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();

	journal_expect(journal, 3);
	if (test_threads_fail()) {
		submit(journal, 0);
		assert_int_equal(test_gate_done(&many[0]), 1);
		test_threads_again();
	} else {
		journal_expect(journal, -1);
	}
	journal_expect(journal, -2);
	test_gate_end(journal);
}

static void test_it_has_one_of_its_own(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_in_range(journal->patience, 1, 10000);
	journal_close(&journal);
}

/* It is behind the one that is written. */
static void test_groups_behind_one_are_kept_too(void **state ATTR_UNUSED)
{
	struct journal *journal = begin();
	unsigned int n;

	test_gate_allow(0);
	journal_expect(journal, 6);
	for (n = 0; n < 3; n++)
		submit(journal, n);
	test_gate_wait(1);
	submit(journal, 3);
	test_gate_allow(UINT_MAX);
	must_be_stored(journal, 3);
	submit(journal, 4);
	must_be_stored(journal, 5);
	assert_int_equal(test_gate.syncs, 2);
	submit(journal, 5);
	must_be_stored(journal, 6);
	test_gate_end(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_of_them_are_a_group),
		cmocka_unit_test(test_a_lone_one_is_not_kept),
		cmocka_unit_test(test_that_is_enough),
		cmocka_unit_test(test_what_does_not_come_is_not_waited_for),
		cmocka_unit_test(test_who_waits_is_not_kept),
		cmocka_unit_test(
			test_who_wants_the_turn_for_something_else_is_not_kept),
		cmocka_unit_test(test_patience_has_an_end),
		cmocka_unit_test(test_what_is_late_is_not_waited_for_again),
		cmocka_unit_test(test_without_a_thread_nothing_is_kept),
		cmocka_unit_test(test_it_has_one_of_its_own),
		cmocka_unit_test(test_groups_behind_one_are_kept_too),
	};

	return cmocka_run_group_tests_name("journal-expect", tests, NULL, NULL);
}
