/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Groups that failed or were torn, and what says that they are void: while what is beside
   them is removed, moved and carried, they neither come back nor hold anything. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "test-journal-common.h"
#include "test-mem-faults.h"

#include <errno.h>

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

/* What says that a group is void is needed for as long as the group is there. */
static void test_a_void_is_not_carried(void **state ATTR_UNUSED)
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
		test_journal_start_again(&journal);
		assert_false(test_journal_has(journal, 5000));
		for (i = 0; i < 10; i++)
			assert_true(test_journal_has(journal, i));
	}
	journal_close(&journal);
}

/* The last group of the segment that stays is torn, and said to be void. Tombstones of what
   was beside it are carried none the less, by who reads that segment again: only the one
   that has the VOID stays as it is. */
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
		/* one more than without: that of the VOID */
		assert_true(test_journal_disk_use() <=
			    (6 * TEST_JOURNAL_SEGMENT +
			     test_journal_files_in("journal") *
				     JOURNAL_BLOCK_SIZE));
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

/* All of a record has to be in the range that was declared, of this life of the segment. */
static void test_what_a_range_covers(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t pos, size;
		unsigned char incarnation;
		bool is_void;
	} rows[] = {
		{ 4096, 4096, 1, true },
		{ 4096, 8192, 1, true },
		{ 4096 + 8192 - JOURNAL_ALIGN, JOURNAL_ALIGN, 1, true },
		{ 4096 - JOURNAL_ALIGN, 4096, 1, false },
		{ 4096, 8192 + JOURNAL_ALIGN, 1, false },
		{ 4096 + 8192, JOURNAL_ALIGN, 1, false },
		{ 4096, 4096, 2, false },
	};
	const struct journal_target range = { .incarnation = { 1 },
					      .offset = 4096 / JOURNAL_ALIGN,
					      .size = 8192 / JOURNAL_ALIGN };
	struct journal *journal = test_journal_new();
	size_t i;

	/* who is told that it could not be noted does not go on */
	test_mem_faults_begin(1, true);
	assert_false(journal_note_void(journal, &range));
	(void)test_mem_faults_end();
	assert_true(journal_note_void(journal, &range));
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		struct journal_segment segment = {
			.header = { .incarnation = { rows[i].incarnation } }
		};

		if (journal_is_void(journal, &segment, rows[i].pos,
				    rows[i].size) != rows[i].is_void)
			fail_msg("row %zu", i);
	}
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_tombstone_of_what_is_void),
		cmocka_unit_test(test_a_void_is_not_carried),
		cmocka_unit_test(test_a_torn_group_holds_nothing),
		cmocka_unit_test(test_a_torn_tombstone_holds_nothing),
		cmocka_unit_test(test_what_a_range_covers),
	};

	return cmocka_run_group_tests_name("journal-void", tests, NULL, NULL);
}
