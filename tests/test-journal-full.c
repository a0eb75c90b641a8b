/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A disk that has no space for another segment, or for a small one: nothing is stored any
   more, but what is there can be read, and removed; then there is room again. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-journal-disk.h"

#include <errno.h>
#include <unistd.h>

#define SEGMENT TEST_DISK_SEGMENT
/* 14: the oldest first, as a queue is emptied. */
static void test_removing_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(4 * SEGMENT);
	unsigned int n, count, small, again;

	count = test_disk_fill(journal, 0, TEST_DISK_LARGE);
	/* four in each of three segments, two in half of one */
	assert_int_equal(count, 14);
	small = test_disk_fill_small(journal);
	assert_true(small > 10);
	for (n = 0; n < count; n++) {
		assert_true(test_disk_has(journal, n));
		assert_int_equal(test_journal_drop(journal, n), 0);
	}
	for (n = 0; n < small; n++)
		assert_int_equal(
			test_journal_drop(journal, TEST_DISK_SMALL + n), 0);
	again = test_disk_fill(journal, count, TEST_DISK_LARGE);
	/* the half may be what is kept */
	assert_in_range(again - count, 11, 14);
	test_disk_start_again(&journal);
	for (n = 0; n < again; n++)
		assert_int_equal(test_disk_has(journal, n), n >= count);
	assert_int_equal(test_disk_store_large(journal, again), ENOSPC);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* Again and again there is room for as much as was removed. */
static void test_a_queue_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(3 * SEGMENT);
	unsigned int first = 0,
		     last = test_disk_fill(journal, 0, TEST_DISK_LARGE);

	while (last < 200) {
		assert_int_equal(test_journal_drop(journal, first++), 0);
		if (test_disk_store_large(journal, last) == 0)
			last++;
		/* one segment is dead, or is the reserve */
		assert_in_range(last - first, 4, 11);
	}
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* A delivery is noted, or it would be done twice. */
static void test_states_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT);
	struct journal_entry entry;
	struct test_journal_put put;

	assert_int_equal(test_disk_fill(journal, 0, TEST_DISK_LARGE), 4);
	(void)test_disk_fill_small(journal);
	test_journal_make_put(&put, 1, 1);
	put.request.records[0] = put.request.records[1];
	put.request.records[0].type = JOURNAL_STATES;
	put.request.records[0].flags = 0;
	put.request.records[0].version = 2;
	put.request.count = 1;
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(
		journal_reserve_states(journal, &put.request.records[0].id), 0);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	journal_release(journal, &put.request.records[0].id);
	journal_close(&journal);
}

/* Of few recipients the states are written with all of the headers; removals have what
   these leave. */
static void test_headers_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT);
	unsigned int n, small;
	uint64_t version = 2;
	int error;

	assert_int_equal(test_disk_fill(journal, 0, TEST_DISK_LARGE), 4);
	small = test_disk_fill_small(journal);
	while ((error = test_disk_rewrite(journal, 1, version)) == 0)
		version++;
	assert_int_equal(error, ENOSPC);
	assert_in_range(version, 10, SEGMENT / JOURNAL_BLOCK_SIZE);
	for (n = 0; n < 4; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_true(small > 2);
	for (n = 0; n < small; n++)
		assert_int_equal(
			test_journal_drop(journal, TEST_DISK_SMALL + n), 0);
	journal_close(&journal);
}

/* There is only one, and it is not full. */
static void test_an_empty_segment_begins_anew(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT);
	unsigned int n;

	assert_int_equal(test_disk_fill(journal, 0, TEST_DISK_LARGE), 4);
	for (n = 0; n < 4; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(test_disk_fill(journal, 10, TEST_DISK_LARGE), 14);
	assert_int_equal(test_journal_files_in("journal"), 1);
	test_disk_start_again(&journal);
	for (n = 0; n < 20; n++)
		assert_int_equal(test_disk_has(journal, n), n >= 10 && n < 14);
	journal_close(&journal);
}

/* Pieces, before whatever else somebody lacks. */
static void test_pieces_are_made_first(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT);

	assert_int_equal(test_disk_store_large(journal, 0), 0);
	assert_int_equal(journal->segment_end, 2);
	test_disk.left = SEGMENT + SEGMENT / 4;
	(void)test_disk_fill(journal, 1, TEST_DISK_LARGE);
	assert_true(journal->segments[2]->header.size == SEGMENT / 4);
	assert_true(journal->segments[3]->header.size == SEGMENT / 4);
	assert_true(journal->segments[4]->header.size == SEGMENT / 2);
	journal_close(&journal);
}

/* As large a segment as there is space for; later they are as they should be. */
static void test_smaller_segments(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(2 * SEGMENT + SEGMENT / 4);
	unsigned int n, count, small;
	uint64_t moved;

	count = test_disk_fill(journal, 0, TEST_DISK_LARGE);
	/* four in the first one, two in half of one; the pieces; nothing less */
	assert_int_equal(count, 6);
	assert_true(journal->segments[2]->header.size == SEGMENT / 4);
	assert_true(journal->segments[3]->header.size == SEGMENT / 4);
	assert_true(journal->segments[4]->header.size == SEGMENT / 2);
	assert_int_equal(journal->segment_end, 5);
	assert_true(test_disk.left == SEGMENT / 4);
	small = test_disk_fill_small(journal);
	test_disk_start_again(&journal);
	for (n = 0; n < count; n++)
		assert_true(test_disk_has(journal, n));
	assert_int_equal(test_disk_store_large(journal, count), ENOSPC);
	test_disk.left = 10 * SEGMENT;
	while (test_journal_active(journal) < 5)
		assert_int_equal(test_disk_store_large(journal, count++), 0);
	assert_true(journal->active->header.size == SEGMENT);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	test_journal_drop_range(journal, TEST_DISK_SMALL,
				TEST_DISK_SMALL + small);
	assert_int_equal(journal_compact(journal, &moved), 0);
	/* the small ones give their blocks back, but for the pieces */
	assert_false(journal->segments[2]->cut || journal->segments[3]->cut);
	assert_true(journal->segments[4]->cut);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* What none of them takes is refused, until there is space: others are not. */
static void test_too_large_for_what_there_is(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT - JOURNAL_BLOCK_SIZE);
	const size_t size = SEGMENT / 16 * 5;

	assert_int_equal(test_disk_store(journal, 0, size), 0);
	assert_true(journal->active->header.size == SEGMENT / 2);
	assert_int_equal(test_disk_store(journal, 1, size), ENOSPC);
	assert_int_equal(test_journal_active(journal), 1);
	assert_int_equal(test_journal_store(journal, 2), 0);
	assert_int_equal(test_disk_store(journal, 1, size), ENOSPC);
	assert_int_equal(test_journal_store(journal, 3), 0);
	test_disk.left = 3 * SEGMENT;
	assert_int_equal(test_disk_store(journal, 1, size), 0);
	assert_true(journal->active->header.size == SEGMENT);
	test_disk_start_again(&journal);
	assert_true(test_disk_has(journal, 0) && test_disk_has(journal, 1) &&
		    test_disk_has(journal, 2) && test_disk_has(journal, 3));
	journal_close(&journal);
}

/* One that is kept for removals was begun, and the first had no room in it: who stores does
   not either, and goes on into another. */
static void test_behind_an_empty_piece(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(4 * SEGMENT);
	const struct journal_segment *piece;

	assert_int_equal(test_journal_store(journal, 1), 0);
	while (journal_reserve_lacks_piece(journal))
		journal_segment_make_ahead(journal);
	journal->is_full = true;
	journal_begin_commit(journal);
	piece = journal_segment_next(journal, JOURNAL_USE_REMOVE);
	journal_end_commit(journal);
	assert_non_null(piece);
	assert_true(journal_is_piece(journal, piece));
	journal->is_full = false;
	assert_int_equal(test_journal_store(journal, 2), 0);
	assert_true(journal->active->header.size == SEGMENT);
	test_disk_start_again(&journal);
	assert_true(test_disk_has(journal, 1) && test_disk_has(journal, 2));
	journal_close(&journal);
}

/* One that is smaller than the reserve is all of it. */
static void test_a_segment_that_is_the_reserve(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT + SEGMENT / 8);
	unsigned int n, count = test_disk_fill(journal, 0, TEST_DISK_LARGE);
	unsigned int small = test_disk_fill_small(journal);

	test_disk_start_again(&journal);
	assert_int_equal(test_journal_store(journal, 5000), ENOSPC);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	for (n = 0; n < small; n++)
		assert_int_equal(
			test_journal_drop(journal, TEST_DISK_SMALL + n), 0);
	journal_close(&journal);

	journal = test_disk_begin(SEGMENT / 8);
	assert_int_equal(test_journal_store(journal, 0), ENOSPC);
	journal_close(&journal);
}

/* Who changes headers alone leaves something to who removes. */
static void test_new_headers_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT);
	unsigned int n, version = 2, small;

	assert_int_equal(test_disk_fill(journal, 0, TEST_DISK_LARGE), 4);
	small = test_disk_fill_small(journal);
	while (version < 1000 && test_disk_rewrite(journal, 1, version) == 0)
		version++;
	assert_true(version < 1000);
	for (n = 0; n < 3; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	/* a quarter of the reserve is theirs, and its footer's */
	for (n = 0; n < small && n < 5; n++)
		assert_int_equal(
			test_journal_drop(journal, TEST_DISK_SMALL + n), 0);
	journal_close(&journal);
}

/* Of segments that are too small for pieces none is kept, however many there are. */
static void test_small_segments_keep_none(void **state ATTR_UNUSED)
{
	const struct journal_settings settings = { .segment_size =
							   SEGMENT / 16 };
	struct journal *journal =
		test_disk_begin_with(12 * (SEGMENT / 16), settings);

	assert_int_equal(journal_reserve_piece(journal), 0);
	assert_in_range(test_disk_fill(journal, 0, 1000), 100, 300);
	assert_int_equal(journal->segment_end, 13);
	assert_int_equal(test_disk_wholes(journal, false), 0);
	journal_close(&journal);
}

/* Where the disk is not full they go on into another segment, though nobody stores
   anything. */
static void test_headers_alone_get_another_segment(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT);
	uint64_t version = 2;

	assert_int_equal(test_journal_store(journal, 1), 0);
	/* until then it was */
	test_disk.left = 9 * SEGMENT;
	while (test_journal_active(journal) == 1)
		assert_int_equal(test_disk_rewrite(journal, 1, version++), 0);
	assert_true(test_disk_has(journal, 1));
	journal_close(&journal);
}

/* Of many recipients. What none of the small segments takes is refused, once. */
static void test_states_that_have_no_room(void **state ATTR_UNUSED)
{
	static unsigned char data[SEGMENT / 2];
	struct journal *journal = test_disk_begin(SEGMENT + SEGMENT / 4);
	struct journal_record *record;
	struct journal_entry entry;
	struct test_journal_put put;

	(void)test_disk_fill(journal, 0, TEST_DISK_LARGE);
	test_journal_make_put(&put, 1, 1);
	record = &put.request.records[0];
	*record = put.request.records[1];
	record->type = JOURNAL_STATES;
	record->flags = 0;
	record->version = 2;
	record->data = data;
	record->size = sizeof(data);
	put.request.count = 1;
	assert_int_equal(journal_claim(journal, &record->id, &entry), 0);
	assert_int_equal(journal_reserve_states(journal, &record->id), 0);
	assert_int_equal(journal_commit(journal, &put.request), -1);
	assert_int_equal(errno, ENOSPC);
	journal_release(journal, &record->id);
	assert_int_equal(test_journal_drop(journal, 1), 0);
	journal_close(&journal);
}

/* A quota is a disk, too. */
static void test_a_quota(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(2 * SEGMENT);
	unsigned int n, count = 0;
	int error;

	test_disk.error = EDQUOT;
	while ((error = test_disk_store_large(journal, count)) == 0)
		count++;
	assert_true(error == EDQUOT || error == ENOSPC);
	assert_true(journal->segments[4]->header.size == SEGMENT / 2);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	journal_close(&journal);
}

/* Space that others leave is used, whoever comes first. */
static void test_who_removes_finds_new_space(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT + SEGMENT / 2);
	unsigned int count = test_disk_fill(journal, 0, 1000), n = 0;

	while (n < count && test_journal_drop(journal, n) == 0)
		n++;
	/* nobody packs them */
	assert_in_range(n, 50, count - 1);
	test_disk.left = 2 * SEGMENT;
	for (; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	journal_close(&journal);
}

/* What has no room is not begun. */
static void test_what_the_file_system_tells(void **state ATTR_UNUSED)
{
	static const struct {
		fsblkcnt_t blocks, left;
		bool is_made;
	} cases[] = { { 1000, SEGMENT / 4096 - 1, false },
		      { 1000, SEGMENT / 4096, true },
		      { 0, 0, true } /* it does not know */ };
	struct journal *journal;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		journal = test_disk_begin(2 * SEGMENT);
		test_told.blocks = cases[i].blocks;
		test_told.for_root = test_told.for_all = cases[i].left;
		test_disk.ops.fstatvfs = test_telling_fstatvfs;
		file_ops_set(&test_disk.ops);
		assert_int_equal(test_journal_store(journal, 1), 0);
		assert_int_equal(journal->active->header.size == SEGMENT,
				 cases[i].is_made);
		/* the whole was not tried */
		assert_true(cases[i].is_made || test_disk.left > SEGMENT);
		file_ops_set(NULL);
		journal_close(&journal);
	}
}

/* What is left for root alone is nothing to others. */
static void test_what_is_left_for_root(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(2 * SEGMENT);

	test_told.blocks = 1000;
	test_told.for_root = SEGMENT / 4096;
	test_told.for_all = SEGMENT / 4096 / 2;
	test_disk.ops.fstatvfs = test_telling_fstatvfs;
	file_ops_set(&test_disk.ops);
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(journal->active->header.size == SEGMENT,
			 geteuid() == 0);
	file_ops_set(NULL);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_removing_on_a_full_disk,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_queue_on_a_full_disk,
					  test_disk_end),
		cmocka_unit_test_teardown(test_states_on_a_full_disk,
					  test_disk_end),
		cmocka_unit_test_teardown(test_headers_on_a_full_disk,
					  test_disk_end),
		cmocka_unit_test_teardown(test_an_empty_segment_begins_anew,
					  test_disk_end),
		cmocka_unit_test_teardown(test_pieces_are_made_first,
					  test_disk_end),
		cmocka_unit_test_teardown(test_smaller_segments, test_disk_end),
		cmocka_unit_test_teardown(test_too_large_for_what_there_is,
					  test_disk_end),
		cmocka_unit_test_teardown(test_behind_an_empty_piece,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_segment_that_is_the_reserve,
					  test_disk_end),
		cmocka_unit_test_teardown(test_new_headers_on_a_full_disk,
					  test_disk_end),
		cmocka_unit_test_teardown(test_small_segments_keep_none,
					  test_disk_end),
		cmocka_unit_test_teardown(
			test_headers_alone_get_another_segment, test_disk_end),
		cmocka_unit_test_teardown(test_states_that_have_no_room,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_quota, test_disk_end),
		cmocka_unit_test_teardown(test_who_removes_finds_new_space,
					  test_disk_end),
		cmocka_unit_test_teardown(test_what_the_file_system_tells,
					  test_disk_end),
		cmocka_unit_test_teardown(test_what_is_left_for_root,
					  test_disk_end),
	};

	return cmocka_run_group_tests_name("journal-full", tests, NULL, NULL);
}
