/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Who closes a journal says that all of it was synced: what is wrong at its end later is no
   torn tail. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "test-journal-common.h"
#include "test-journal-disk.h"

#include <errno.h>

static struct journal *begin_with_three(void)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 1; n <= 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	return journal;
}

/* In the last one's records; and in the block behind them, which nobody needs. */
static const struct {
	const char *what;
	uint64_t offset;
	bool lost;
} places[] = {
	{ "the body's header", 3 * JOURNAL_BLOCK_SIZE + 10, true },
	{ "the body", 3 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8, true },
	{ "the headers' header",
	  3 * JOURNAL_BLOCK_SIZE + 2 * JOURNAL_ALIGN + 20, true },
	{ "the headers", 3 * JOURNAL_BLOCK_SIZE + 3 * JOURNAL_ALIGN + 9, true },
	{ "the end", 4 * JOURNAL_BLOCK_SIZE + 10, false },
	{ "its padding", 4 * JOURNAL_BLOCK_SIZE + 1000, false },
};

static void test_damage_at_the_end(void **state ATTR_UNUSED)
{
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(places); i++) {
		journal = begin_with_three();
		journal_end(&journal);
		assert_null(journal);
		test_journal_flip(places[i].offset);
		journal = test_journal_open(true);
		if ((journal_get_damage(journal) != NULL) != places[i].lost)
			fail_msg("%s", places[i].what);
		journal_close(&journal);
		journal = test_journal_open(false);
		assert_true(test_journal_has(journal, 1));
		assert_true(test_journal_has(journal, 2));
		assert_int_equal(test_journal_has(journal, 3), !places[i].lost);
		assert_int_equal(test_journal.warnings > 0, places[i].lost);
		assert_int_equal(test_journal_files_in("quarantine") > 0,
				 places[i].lost);
		assert_int_equal(test_journal_store(journal, 4), 0);
		journal_end(&journal);
		journal = test_journal_open(false);
		assert_true(test_journal_has(journal, 4));
		journal_end(&journal);
	}
}

/* Where nobody could say so, it may have been torn. */
static void test_damage_where_it_was_killed(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_with_three();

	journal_close(&journal);
	test_journal_flip(places[0].offset);
	journal = test_journal_open(false);
	assert_false(test_journal_has(journal, 3));
	assert_int_equal(test_journal.warnings, 0);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	journal_end(&journal);
}

/* One block, whatever was written; and none where nothing was. */
static void test_the_room_that_it_takes(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_with_three();
	unsigned int i;

	for (i = 0; i < 3; i++) {
		journal_end(&journal);
		journal = test_journal_open(i == 2);
		if (journal->settings.read_only)
			break;
		assert_int_equal(journal->active->pos, 5 * JOURNAL_BLOCK_SIZE);
	}
	journal_end(&journal);
	journal = test_journal_open(false);
	assert_int_equal(test_journal_drop(journal, 2), 0);
	assert_int_equal(journal->active->pos, 6 * JOURNAL_BLOCK_SIZE);
	journal_end(&journal);
	journal = test_journal_open(false);
	assert_int_equal(journal->active->pos, 7 * JOURNAL_BLOCK_SIZE);
	journal_end(&journal);
}

/* The room is for who removes. */
static void test_none_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * TEST_JOURNAL_SEGMENT);
	uint32_t number;
	uint64_t pos;

	(void)test_disk_fill(journal, 0, 1000);
	number = journal->active->header.number;
	pos = journal->active->pos;
	assert_true(journal_segment_has_room(journal->active, pos,
					     JOURNAL_BLOCK_SIZE, 0));
	journal_end(&journal);
	journal = test_journal_open(false);
	assert_int_equal(journal->segments[number]->pos, pos);
	journal_close(&journal);
}

/* It is no message's: who closes cannot be told, and nothing is lost. */
static void test_it_cannot_be_written(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_WRITE, TEST_OP_FDATASYNC };
	struct journal *journal;
	unsigned int n;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		journal = begin_with_three();
		test_faults_begin();
		test_faults.fail_at[ops[i]] = 1;
		test_faults.fail_errno[ops[i]] = EIO;
		journal_end(&journal);
		assert_int_equal(test_faults.calls[ops[i]], 1);
		test_faults_end();
		journal = test_journal_open(false);
		for (n = 1; n <= 3; n++)
			assert_true(test_journal_has(journal, n));
		assert_int_equal(test_journal_store(journal, 4), 0);
		journal_end(&journal);
		assert_int_equal(test_journal.warnings, 0);
		assert_int_equal(test_journal_files_in("quarantine"), 0);
	}
}

static void test_of_none(void **state ATTR_UNUSED)
{
	struct journal *journal = NULL;

	journal_end(&journal);
	assert_null(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage_at_the_end),
		cmocka_unit_test(test_damage_where_it_was_killed),
		cmocka_unit_test(test_the_room_that_it_takes),
		cmocka_unit_test_teardown(test_none_on_a_full_disk,
					  test_disk_end),
		cmocka_unit_test(test_it_cannot_be_written),
		cmocka_unit_test(test_of_none),
	};

	return cmocka_run_group_tests_name("journal-end", tests, NULL, NULL);
}
