/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Groups that failed or were torn, and what says that they are void: while what is beside
   them is removed, moved and carried, they neither come back nor hold anything. */

#include "config.h"
#include "journal/journal-worker.h"
#include "macros.h"
#include "test-journal-common.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>

static void fail_to_store(struct journal *journal, unsigned int n,
			  uint64_t version)
{
	struct journal_entry entry;
	struct test_journal_put put;

	test_journal_make_put(&put, n, version);
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(journal_commit(journal, &put.request), -1);
	test_faults_end();
	journal_release(journal, &put.request.records[0].id);
}

/* The newest headers that the second segment has of a message are void: its tombstone, once
   carried, holds those of the first one none the less. */
static void test_a_tombstone_of_what_is_void(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = 0, from = TEST_JOURNAL_STAYING, round;

	while (n < TEST_JOURNAL_STAYING + 8)
		assert_int_equal(test_journal_store(journal, n++), 0);
	assert_int_equal(journal->active->header.number, 2);
	fail_to_store(journal, 1, 2);
	test_journal_fill(journal, &n);
	test_journal_start_again(&journal);
	test_journal_fill(journal, &n);
	/* in a segment of tombstones alone, which no other one overrules */
	assert_int_equal(test_journal_drop(journal, n - 1), 0);
	assert_int_equal(test_journal_drop(journal, 1), 0);
	assert_int_equal(test_journal_drop(journal, from), 0);
	test_journal_drop_range(journal, TEST_JOURNAL_STAYING + 8, n - 1);
	assert_int_equal(journal->active->header.number, 5);
	assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_time_passes(journal, &n);
	test_journal_drop_range(journal, from + 1, TEST_JOURNAL_STAYING + 8);
	for (round = 0; round < 3; round++) {
		test_journal_time_passes(journal, &n);
		test_journal_start_again(&journal);
		assert_false(test_journal_has(journal, 1));
		assert_true(test_journal_has(journal, 3));
	}
	journal_close(&journal);
}

/* What is on the disk beside the spare ones, in segments: others have a block each. */
static void must_have_few_segments(unsigned int most)
{
	assert_true(test_journal_disk_use() <=
		    (uint64_t)most * TEST_JOURNAL_SEGMENT +
			    test_journal_files_in("journal") *
				    JOURNAL_BLOCK_SIZE);
}

/* What says that a group is void is needed for as long as the group is there: so others say
   it, when the one that did goes. */
static void test_a_void_stays_while_its_group_does(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = TEST_JOURNAL_STAYING, i, round;

	for (i = 0; i < 10; i++)
		assert_int_equal(test_journal_store(journal, i), 0);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(test_journal_store(journal, 5000), EIO);
	test_faults_end();
	for (round = 0; round < 3; round++) {
		test_journal_time_passes(journal, &n);
		test_journal_time_passes(journal, &n);
		/* it, the active one, what the last message is in, and two spare ones */
		must_have_few_segments(5);
		test_journal_start_again(&journal);
		assert_false(test_journal_has(journal, 5000));
		for (i = 0; i < 10; i++)
			assert_true(test_journal_has(journal, i));
	}
	journal_close(&journal);
}

/* The last group of the segment that stays is torn, and said to be void. Tombstones of what
   was beside it are carried none the less, by who reads that segment again. */
static void test_a_torn_group_holds_nothing(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = TEST_JOURNAL_STAYING, i;

	for (i = 0; i < 12; i++)
		assert_int_equal(test_journal_store(journal, i), 0);
	journal_close(&journal);
	test_journal_flip(12 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	for (i = 0; i < 8; i++) {
		test_journal_pass(journal, &n, 10);
		assert_int_equal(test_journal_drop(journal, i), 0);
		if (i == 4)
			test_journal_start_again(&journal);
		test_journal_pass(journal, &n, 50);
		test_journal_compact(journal);
		must_have_few_segments(5);
	}
	test_journal_start_again(&journal);
	for (i = 0; i < 12; i++)
		assert_int_equal(test_journal_has(journal, i),
				 i >= 8 && i < 11);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	assert_int_equal(test_journal.warnings, 0);
}

/* The same of a segment that has nothing but tombstones: it goes, and what says that its
   last one is void goes with it. */
static void test_a_torn_tombstone_holds_nothing(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = TEST_JOURNAL_STAYING, i, number;
	uint64_t pos;

	for (i = 0; i < TEST_JOURNAL_STAYING; i++)
		assert_int_equal(test_journal_store(journal, i), 0);
	/* the only one that is in the second segment */
	assert_int_equal(test_journal_drop(journal, TEST_JOURNAL_STAYING - 1),
			 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(test_journal_drop(journal, i), 0);
	number = journal->active->header.number;
	pos = journal->active->pos;
	assert_int_equal(journal->active->live, 0);
	journal_close(&journal);
	test_journal_flip_in(number, pos - JOURNAL_BLOCK_SIZE + 9);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 4));
	test_journal_pass(journal, &n, 60);
	test_journal_compact(journal);
	assert_int_equal(journal->segments[number]->outlives_count, 0);
	for (i = 0; i < 3; i++) {
		test_journal_time_passes(journal, &n);
		test_journal_start_again(&journal);
	}
	for (i = 0; i < TEST_JOURNAL_STAYING; i++)
		assert_int_equal(test_journal_has(journal, i),
				 i >= 4 && i < TEST_JOURNAL_STAYING - 1);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* A power cut tears the last group, and the next start finds it. */
static void tear(struct journal **journal)
{
	uint32_t number = (*journal)->active->header.number;
	uint64_t pos = (*journal)->active->pos;

	journal_close(journal);
	test_journal_flip_in(
		number, pos - JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	*journal = test_journal_open(false);
}

#define STAYING 10u

/* The first segment's messages stay, and its last group is void, as the next one says. */
static struct journal *begin_with_void(unsigned int *n)
{
	struct journal *journal = test_journal_new();
	unsigned int i;

	for (i = 0; i <= STAYING; i++)
		assert_int_equal(test_journal_store(journal, i), 0);
	tear(&journal);
	*n = STAYING + 1;
	assert_int_equal(test_journal_store(journal, (*n)++), 0);
	assert_int_equal(journal->active->header.number, 2);
	return journal;
}

static void must_have_staying(struct journal *journal)
{
	unsigned int i;

	for (i = 0; i <= STAYING; i++)
		assert_int_equal(test_journal_has(journal, i), i < STAYING);
}

static bool is_free(struct journal *journal, uint32_t number)
{
	return journal_is_empty(journal->segments[number]);
}

/* A body and its headers are void. */
static void must_be_said_by(const struct journal *journal, uint32_t number)
{
	const struct journal_void *range;
	unsigned int count = 0;

	for (range = journal->voided; range != NULL; range = range->next) {
		assert_int_equal(range->said_by, number);
		count++;
	}
	assert_int_equal(count, 2);
}

/* Each cut leaves a segment that says what is void in the one before, and is void in part
   itself: the newest says it all. */
static void test_many_torn_groups_hold_nothing(void **state ATTR_UNUSED)
{
	unsigned int n, i;
	struct journal *journal = begin_with_void(&n);

	for (i = 0; i < 20; i++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		test_journal_drop_range(journal, n - 1, n + 1);
		assert_int_equal(test_journal_store(journal, n + 1), 0);
		tear(&journal);
		assert_false(test_journal_has(journal, n + 1));
		n += 2;
		assert_int_equal(test_journal_store(journal, n++), 0);
		test_journal_compact(journal);
		must_have_few_segments(4);
	}
	test_journal_start_again(&journal);
	must_have_staying(journal);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	assert_int_equal(test_journal.warnings, 0);
}

/* Before it has anything else: then that does not keep the one that said it before. */
static void test_a_new_segment_says_what_is_void(void **state ATTR_UNUSED)
{
	unsigned int n, from;
	struct journal *journal = begin_with_void(&n);

	from = n - 1;
	test_journal_fill(journal, &n);
	assert_int_equal(journal->active->header.number, 3);
	must_be_said_by(journal, 3);
	test_journal_start_again(&journal);
	must_be_said_by(journal, 3);
	test_journal_drop_range(journal, from, n - 1);
	test_journal_compact(journal);
	assert_true(is_free(journal, 2));
	test_journal_start_again(&journal);
	must_have_staying(journal);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* Writes of groups that say what is void and fail, from now on. */
static unsigned int failing;

static ssize_t failing_pwritev(int fd, const struct iovec *iov, int count,
			       off_t offset)
{
	/* the type of the first record */
	if (((const unsigned char *)iov->iov_base)[4] != JOURNAL_VOID ||
	    failing == 0)
		return file_ops_system.pwritev(fd, iov, count, offset);
	failing--;
	errno = EIO;
	return -1;
}

/* Stores and removes from *n on until that is another segment's, or fails: the errno. */
static int fill_with_failures(struct journal *journal, unsigned int *n,
			      unsigned int failures)
{
	struct file_ops ops = file_ops_system;
	int error = 0;

	ops.pwritev = failing_pwritev;
	failing = failures;
	file_ops_set(&ops);
	while (error == 0 && test_journal_active(journal) == 2) {
		error = test_journal_store(journal, *n);
		*n += error == 0 ? 1 : 0;
	}
	file_ops_set(NULL);
	return error;
}

/* Who begins a segment goes on with the next one where it cannot be said there: that is said
   with it. */
static void test_it_cannot_be_said_again_once(void **state ATTR_UNUSED)
{
	unsigned int n;
	struct journal *journal = begin_with_void(&n);

	assert_int_equal(fill_with_failures(journal, &n, 1), 0);
	assert_int_equal(journal->active->header.number, 4);
	assert_true(journal->segments[3]->failed);
	test_journal_start_again(&journal);
	assert_int_equal(journal->voided->said_by, 4);
	assert_int_equal(journal->voided->next->said_by, 4);
	/* and what could not be written */
	assert_non_null(journal->voided->next->next);
	must_have_staying(journal);
	journal_close(&journal);
}

/* What said it stays for as long as no other one does, durably. */
static void test_it_cannot_be_said_again(void **state ATTR_UNUSED)
{
	unsigned int n, from;
	struct journal *journal = begin_with_void(&n);

	from = n - 1;
	assert_int_equal(test_journal_store(journal, n++), 0);
	assert_int_equal(fill_with_failures(journal, &n, UINT_MAX), EIO);
	must_be_said_by(journal, 2);
	/* nothing is written any more */
	test_journal_start_again(&journal);
	assert_int_equal(fill_with_failures(journal, &n, 0), 0);
	test_journal_drop_range(journal, from, n - 1);
	test_journal_compact(journal);
	test_journal_start_again(&journal);
	must_have_staying(journal);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* One that has room in no segment that has anything else: the number of its own. */
static uint32_t put_large(struct journal *journal, unsigned int n)
{
	static char body[TEST_JOURNAL_SEGMENT - 3 * JOURNAL_BLOCK_SIZE];
	struct test_journal_put put;

	test_journal_make_put(&put, n, 1);
	put.request.records[0].data = body;
	put.request.records[0].size = sizeof(body);
	assert_true(journal_fits(journal, &put.request));
	test_journal_commit_claimed(journal, &put.request);
	return test_journal_active(journal);
}

/* A message that needs a segment of its own leaves it to the next one: until then what said
   it stays, though nothing else of it is needed. */
static void test_a_segment_that_is_needed_says_nothing(void **state ATTR_UNUSED)
{
	unsigned int n;
	struct journal *journal = begin_with_void(&n);

	test_journal_drop_range(journal, n - 1, n);
	assert_int_equal(put_large(journal, n++), 3);
	must_be_said_by(journal, 2);
	test_journal_compact(journal);
	assert_false(is_free(journal, 2));
	test_journal_start_again(&journal);
	assert_int_equal(test_journal_store(journal, n++), 0);
	must_be_said_by(journal, 4);
	test_journal_compact(journal);
	assert_true(is_free(journal, 2));
	must_have_staying(journal);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* What each cut left of a segment takes up all of it: it is moved, once. */
static void test_what_cuts_ended_is_moved(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n, i;
	uint64_t moved;

	for (n = 0; n < 36; n += 3) {
		for (i = 0; i < 3; i++)
			assert_int_equal(test_journal_store(journal, n + i), 0);
		tear(&journal);
	}
	assert_int_equal(test_journal_store(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 24);
	/* one that is full, the active one, and two spare ones */
	must_have_few_segments(4);
	test_journal_start_again(&journal);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	for (i = 0; i <= n; i++)
		assert_int_equal(test_journal_has(journal, i),
				 i == n || i % 3 != 2);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* More than half of it is used; the next message had no room in it; or it can be used again
   after the next start alone. */
static void test_other_segments_are_not_moved(void **state ATTR_UNUSED)
{
	unsigned int n;
	struct journal *journal = begin_with_void(&n);
	uint64_t moved;

	assert_int_equal(put_large(journal, n++), 3);
	assert_int_equal(test_journal_store(journal, n++), 0);
	fail_to_store(journal, n, 1);
	assert_int_equal(test_journal_store(journal, n++), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	must_have_staying(journal);
	journal_close(&journal);
}

/* There may be more than a segment says: what was said longest ago comes first. */
static void test_what_was_said_long_ago_is_said_first(void **state ATTR_UNUSED)
{
	unsigned int n, i;
	struct journal *journal = begin_with_void(&n);
	struct journal_target targets[8], target = journal->voided->target;

	for (i = 0; i < 6; i++) {
		target.offset += 100;
		assert_true(journal_note_void(journal, &target));
	}
	assert_int_equal(journal_voids_to_repeat(journal, 3, targets, 5), 5);
	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 5; i > 0; i--)
		journal_void_is_said(journal, &targets[i - 1], 3);
	(void)pthread_mutex_unlock(&journal->mutex);
	assert_int_equal(journal_voids_to_repeat(journal, 3, targets, 8), 3);
	assert_int_equal(journal_voids_to_repeat(journal, 4, targets, 4), 4);
	assert_int_equal(targets[2].offset, target.offset);
	journal_close(&journal);
}

/* On a full disk all of a segment is for something else. */
static void test_a_full_disk_is_told_nothing(void **state ATTR_UNUSED)
{
	unsigned int n;
	struct journal *journal = begin_with_void(&n);

	/* for what would be made else */
	journal_segment_make_ahead(journal);
	journal->is_full = true;
	test_journal_fill(journal, &n);
	assert_true(journal->is_full);
	must_be_said_by(journal, 2);
	journal_close(&journal);
}

/* Of what was written anew nothing is said. */
static void test_what_is_gone_is_not_void(void **state ATTR_UNUSED)
{
	unsigned int n;
	struct journal *journal = begin_with_void(&n);

	test_journal_drop_range(journal, 0, STAYING);
	test_journal_compact(journal);
	assert_true(is_free(journal, 1));
	assert_null(journal->voided);
	test_journal_start_again(&journal);
	assert_null(journal->voided);
	assert_true(test_journal_has(journal, n - 1));
	journal_close(&journal);
}

/* A power cut took all that is in it from there on. */
static void cut_behind(unsigned int number, uint64_t pos)
{
	test_journal_cut(number, pos);
	test_journal_cut(number, TEST_JOURNAL_SEGMENT);
}

/* What was torn is written anew before somebody says that it is void: he says that for
   nothing, and of what he says then there is no more. */
static void test_what_goes_first_is_not_void(void **state ATTR_UNUSED)
{
	unsigned int n;
	struct journal *journal = begin_with_void(&n);

	journal_close(&journal);
	/* the first of two that say so */
	test_journal_flip_in(2, JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE);
	cut_behind(2, JOURNAL_BLOCK_SIZE + JOURNAL_TOMBSTONE_SIZE);
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, n++), 0);
	assert_int_equal(journal->active->header.number, 2);
	must_be_said_by(journal, 2);
	must_have_staying(journal);
	journal_close(&journal);
}

/* The first group fails, and what was to say so, too: that says nothing any more, also where
   a cut took what comes behind, so that nobody else does. */
static void test_what_is_void_says_nothing(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n, i;

	for (n = 0; n < STAYING; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	fail_to_store(journal, n, 1);
	test_faults_begin();
	/* behind that of the new file */
	test_faults.fail_at[TEST_OP_FDATASYNC] = 2;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(test_journal_store(journal, n), EIO);
	test_faults_end();
	journal->probe_at = 0;
	assert_int_equal(test_journal_store(journal, ++n), 0);
	assert_int_equal(journal->active->header.number, 3);
	journal_close(&journal);
	/* that the second segment's is void is left */
	cut_behind(3, JOURNAL_BLOCK_SIZE + JOURNAL_TOMBSTONE_SIZE);
	test_journal_flip((STAYING + 1) * JOURNAL_BLOCK_SIZE +
			  JOURNAL_HEADER_SIZE);
	journal = test_journal_open(false);
	(void)put_large(journal, n);
	for (i = 0; i < 2; i++) {
		test_journal_start_again(&journal);
		must_have_staying(journal);
	}
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

static atomic_uint looked;

static void look(struct journal *journal ATTR_UNUSED)
{
	looked++;
}

/* The one that said it before may have nothing else that is needed. */
static void test_the_upkeep_looks_when_it_is_said(void **state ATTR_UNUSED)
{
	unsigned int n;
	struct journal *journal = begin_with_void(&n);
	struct journal_target target = journal->voided->target;

	looked = 0;
	journal->upkeep = journal_worker_start(journal, look);
	assert_non_null(journal->upkeep);
	(void)pthread_mutex_lock(&journal->mutex);
	journal_void_is_said(journal, &target, 2);
	(void)pthread_mutex_unlock(&journal->mutex);
	while (looked == 0)
		(void)sched_yield();
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tombstone_of_what_is_void),
		cmocka_unit_test(test_a_void_stays_while_its_group_does),
		cmocka_unit_test(test_a_torn_group_holds_nothing),
		cmocka_unit_test(test_a_torn_tombstone_holds_nothing),
		cmocka_unit_test(test_many_torn_groups_hold_nothing),
		cmocka_unit_test(test_a_new_segment_says_what_is_void),
		cmocka_unit_test(test_it_cannot_be_said_again_once),
		cmocka_unit_test(test_it_cannot_be_said_again),
		cmocka_unit_test(test_a_segment_that_is_needed_says_nothing),
		cmocka_unit_test(test_what_cuts_ended_is_moved),
		cmocka_unit_test(test_other_segments_are_not_moved),
		cmocka_unit_test(test_what_was_said_long_ago_is_said_first),
		cmocka_unit_test(test_a_full_disk_is_told_nothing),
		cmocka_unit_test(test_what_is_gone_is_not_void),
		cmocka_unit_test(test_what_goes_first_is_not_void),
		cmocka_unit_test(test_what_is_void_says_nothing),
		cmocka_unit_test(test_the_upkeep_looks_when_it_is_said),
	};

	return cmocka_run_group_tests_name("journal-void", tests, NULL, NULL);
}
