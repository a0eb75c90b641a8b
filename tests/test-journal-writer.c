/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal's own thread: whose groups it writes, and who does where there is none. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-journal-gate.h"

#include <limits.h>

static struct test_journal_put some[3];

static pthread_t told_by[8];

static void note_teller(struct journal_request *request, int error)
{
	struct test_journal_put *put = request->context;

	put->error = error;
	put->done++;
	told_by[request->records[0].id.bytes[15]] = pthread_self();
}

static unsigned int index_of(const pthread_t *threads, unsigned int count,
			     pthread_t thread)
{
	unsigned int i = 0;

	while (i < count && !pthread_equal(threads[i], thread))
		i++;
	return i;
}

/* Six commits: the first is synced, the others are queued behind it. */
static void begin_six(struct journal *journal, struct test_gate_commit *commits,
		      pthread_t *threads)
{
	unsigned int i;

	for (i = 0; i < 6; i++) {
		test_gate_make_commit(&commits[i], journal, i);
		commits[i].put.request.done = note_teller;
		commits[i].put.request.records[0].id.bytes[15] =
			commits[i].put.request.records[1].id.bytes[15] =
				(unsigned char)i;
		threads[i] = test_start(test_gate_run, &commits[i]);
		if (i == 0)
			test_gate_wait(1);
		else
			test_gate_wait_for_queue(journal, i < 4 ? i : i - 3,
						 false);
		if (i == 3) {
			test_gate_allow(1);
			test_gate_wait(2);
		}
	}
}

/* Where many wait. Who waits for it need not be woken before it is written, nor does it tell
   those whose group it wrote. */
static void test_its_thread_goes_on(void **state ATTR_UNUSED)
{
	struct journal *journal = test_gate_begin();
	struct test_gate_commit commits[6];
	pthread_t threads[6];
	unsigned int i;

	begin_six(journal, commits, threads);
	test_gate_allow(UINT_MAX);
	for (i = 0; i < 6; i++)
		test_end(threads[i]);
	assert_int_equal(test_gate.syncs, 3);
	assert_true(pthread_equal(test_gate.by[0], threads[0]));
	/* the second and the third group */
	assert_int_equal(index_of(threads, 6, test_gate.by[1]), 6);
	assert_true(pthread_equal(test_gate.by[2], test_gate.by[1]));
	for (i = 1; i < 4; i++)
		assert_in_range(index_of(threads, 6, told_by[i]), 1, 3);
	test_gate_end(journal);
	assert_int_equal(commits[0].put.done, 1);
}

/* Where those who were told did not even get a processor since, it is for one of those who
   wait: what he has to wait for makes the group larger. */
static void test_processors_are_what_is_lacking(void **state ATTR_UNUSED)
{
	struct journal *journal = test_gate_begin();
	struct test_gate_commit commits[6];
	pthread_t threads[6];
	unsigned int i;

	atomic_fetch_add(&journal->waiting, 100);
	begin_six(journal, commits, threads);
	test_gate_allow(UINT_MAX);
	for (i = 0; i < 6; i++)
		test_end(threads[i]);
	assert_int_equal(test_gate.syncs, 3);
	assert_int_equal(index_of(threads, 6, test_gate.by[1]), 1);
	assert_int_equal(index_of(threads, 6, test_gate.by[2]), 4);
	/* each of them was counted as long as he waited */
	assert_int_equal(journal->waiting, 100);
	test_gate_end(journal);
}

static void done_once_the_third_sync_begins(struct journal_request *request,
					    int error)
{
	test_gate_wait(3);
	test_gate_count(request, error);
}

/* Where nobody waits for what it wrote it tells them itself, and somebody else has the turn:
   they may take their time. */
static void test_its_thread_tells_without_the_turn(void **state ATTR_UNUSED)
{
	struct journal *journal = test_gate_begin();
	struct test_gate_commit commits[2];
	pthread_t threads[2];

	test_gate_make_commit(&commits[0], journal, 1);
	test_gate_make_commit(&commits[1], journal, 2);
	test_gate_submit(&some[0], 3);
	some[0].request.done = done_once_the_third_sync_begins;
	threads[0] = test_start(test_gate_run, &commits[0]);
	test_gate_wait(1);
	journal_submit(journal, &some[0].request);
	test_gate_allow(1);
	test_gate_wait(2);
	threads[1] = test_start(test_gate_run, &commits[1]);
	test_gate_wait_for_queue(journal, 1, false);
	test_gate_allow(UINT_MAX);
	test_end(threads[0]);
	test_end(threads[1]);
	test_gate_wait_for_done(&some[0]);
	assert_int_equal(test_gate_done(&some[0]), 1);
	test_gate_end(journal);
}

/* Others may submit for ever. */
static void test_who_waits_writes_for_no_longer(void **state ATTR_UNUSED)
{
	struct journal *journal = test_gate_begin();
	struct test_gate_commit commit;
	pthread_t thread;

	test_gate_make_commit(&commit, journal, 1);
	test_gate_submit(&some[0], 2);
	thread = test_start(test_gate_run, &commit);
	test_gate_wait(1);
	journal_submit(journal, &some[0].request);
	test_gate_allow(1);
	/* while the sync of the other one is held */
	test_end(thread);
	assert_int_equal(test_gate_done(&some[0]), 0);
	test_gate_allow(UINT_MAX);
	test_gate_wait_for_done(&some[0]);
	test_gate_end(journal);
}

static struct journal *submitting_to;

/* Another one comes while the first group is synced. */
static int submitting_fdatasync(int fd)
{
	struct journal *journal = submitting_to;

	submitting_to = NULL;
	if (journal != NULL)
		journal_submit(journal, &some[1].request);
	return file_ops_system.fdatasync(fd);
}

/* What nobody waits for is written by who submits, where there can be no thread for it. */
static void test_without_a_thread(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	test_gate_submit(&some[0], 2);
	test_gate_submit(&some[1], 3);
	test_gate_submit(&some[2], 4);
	ops.fdatasync = submitting_fdatasync;
	if (test_threads_fail()) {
		submitting_to = journal;
		file_ops_set(&ops);
		journal_submit(journal, &some[0].request);
		file_ops_set(NULL);
		assert_null(submitting_to);
		assert_int_equal(test_gate_done(&some[0]), 1);
		assert_int_equal(test_gate_done(&some[1]), 1);
		assert_true(test_journal_has(journal, 3));
		/* or by whoever had the turn for something else */
		journal_begin_commit(journal);
		journal_submit(journal, &some[2].request);
		assert_int_equal(test_gate_done(&some[2]), 0);
		journal_end_commit(journal);
		assert_int_equal(test_gate_done(&some[2]), 1);
		test_threads_again();
	}
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_its_thread_goes_on),
		cmocka_unit_test(test_processors_are_what_is_lacking),
		cmocka_unit_test(test_its_thread_tells_without_the_turn),
		cmocka_unit_test(test_who_waits_writes_for_no_longer),
		cmocka_unit_test(test_without_a_thread),
	};

	return cmocka_run_group_tests_name("journal-writer", tests, NULL, NULL);
}
