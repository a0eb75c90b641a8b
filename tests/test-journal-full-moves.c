/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is moved on a full disk, and what is not. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-journal-disk.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

#define SEGMENT TEST_DISK_SEGMENT
/* Where one is kept whole, messages that stay keep their segments from nobody: they are moved
   into it. */
static void test_moving_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * SEGMENT);
	unsigned int n, count = test_disk_fill(journal, 0, TEST_DISK_LARGE);
	uint64_t moved;

	/* of each segment all but one, of four */
	for (n = 0; n < count; n++) {
		if (n % 4 != 1)
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
	assert_int_equal(test_disk_store_large(journal, count), ENOSPC);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved > 0);
	assert_int_equal(test_disk_store_large(journal, count), 0);
	for (n = 1; n < count; n += 4)
		assert_true(test_disk_has(journal, n));
	journal_close(&journal);
}

/* Tombstones alone are in the one that is written: they have room in a small one, and it is
   won. Nobody does that while there is room. */
static void test_tombstones_leave_the_active_one(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(2 * SEGMENT + SEGMENT / 4);
	const unsigned int gone[] = { 0, 1, 4, 5 };
	unsigned int n;
	uint64_t moved;

	/* four are in the first segment, two in half of one */
	assert_int_equal(test_disk_fill(journal, 0, TEST_DISK_LARGE), 6);
	for (n = 0; n < N_ELEMENTS(gone); n++)
		assert_int_equal(test_journal_drop(journal, gone[n]), 0);
	(void)pthread_mutex_lock(&journal->mutex);
	journal->space_wanted = false;
	(void)pthread_mutex_unlock(&journal->mutex);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(test_journal_active(journal), 4);
	assert_true(journal->segments[4]->tombstones == 4);
	journal_reserve_want_space(journal);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(journal->segments[4]->tombstones == 0);
	test_disk_start_again(&journal);
	for (n = 0; n < 6; n++)
		assert_int_equal(test_disk_has(journal, n), n == 2 || n == 3);
	journal_close(&journal);
}

static uint32_t begin_next(struct journal *journal)
{
	journal_begin_commit(journal);
	assert_non_null(journal_segment_next(journal, JOURNAL_USE_GROW));
	journal_end_commit(journal);
	return test_journal_active(journal);
}

/* One segment is won where few tombstones keep it that have room in the one that is written
   anyway, though little is in it. */
static void test_a_tombstone_goes_into_the_active_one(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(6 * SEGMENT);
	uint32_t number;

	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(test_journal_store(journal, 2), 0);
	number = begin_next(journal);
	assert_int_equal(test_journal_drop(journal, 1), 0);
	(void)begin_next(journal);
	journal->is_full = true;
	assert_true(journal_reserve_worth(journal, journal->segments[number]) ==
		    0);
	assert_int_equal(journal->segments[number]->outlives_count, 1);
	assert_int_equal(journal_carry_tombstones(journal), 1);
	assert_int_equal(journal->segments[number]->outlives_count, 0);
	test_disk_start_again(&journal);
	assert_false(test_disk_has(journal, 1));
	assert_true(test_disk_has(journal, 2));
	journal_close(&journal);
}

/* But not where most of it would have to be. */
static void test_nothing_is_moved_in_vain(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(2 * SEGMENT);
	unsigned int n, count = test_disk_fill(journal, 0, TEST_DISK_LARGE);
	uint64_t moved;

	assert_int_equal(count, 6);
	assert_int_equal(test_journal_drop(journal, 0), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	for (n = 0; n < count; n++) {
		if (test_disk_has(journal, n))
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
	assert_int_equal(test_disk_store_large(journal, count), 0);
	journal_close(&journal);
}

#define CROWD 4u
#define EACH 60u

struct crowd {
	struct journal *journal;
	unsigned int first, stored;
};

/* Stores what it can, and has three messages at most. */
static void *come_and_go(void *context)
{
	struct crowd *one = context;
	unsigned int n, oldest = one->first;

	for (n = one->first; n < one->first + EACH; n++) {
		if (test_disk_store_large(one->journal, n) == 0)
			one->stored++;
		for (; oldest < n + 1 &&
		     (n - oldest >= 3 || !test_disk_has(one->journal, oldest));
		     oldest++) {
			if (test_disk_has(one->journal, oldest))
				assert_int_equal(test_disk_drop(one->journal,
								oldest),
						 0);
		}
	}
	return NULL;
}

/* They have more than there is space for, and segments are emptied and made meanwhile. */
static void test_many_on_a_full_disk(void **state ATTR_UNUSED)
{
	const struct journal_settings settings = { .segment_size = SEGMENT,
						   .upkeep = true };
	struct journal *journal = test_disk_begin_with(3 * SEGMENT, settings);
	struct crowd crowd[CROWD];
	pthread_t threads[CROWD];
	unsigned int i, n, stored = 0;
	uint64_t moved;

	for (i = 0; i < CROWD; i++) {
		crowd[i] = (struct crowd){ journal, i * EACH, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go,
						&crowd[i]),
				 0);
	}
	for (i = 0; i < CROWD; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	/* whoever comes first: more than there is ever space for */
	for (i = 0; i < CROWD; i++)
		stored += crowd[i].stored;
	assert_true(stored > 3 * CROWD);
	for (n = 0; n < CROWD * EACH; n++) {
		if (test_disk_has(journal, n))
			assert_int_equal(test_disk_drop(journal, n), 0);
	}
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(test_disk_store_large(journal, n), 0);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* What is moved may be larger than any segment that there is space for. */
static void test_moving_what_has_no_room(void **state ATTR_UNUSED)
{
	static unsigned char data[SEGMENT / 2];
	struct journal *journal = test_disk_begin(SEGMENT + SEGMENT / 4);
	struct journal_entry entry;
	struct test_journal_put put;

	(void)test_disk_fill(journal, 0, TEST_DISK_LARGE);
	test_journal_make_put(&put, 1, 2);
	put.request.records[0].data = data;
	put.request.records[0].size = sizeof(data);
	put.request.gives_back = true;
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(journal_commit(journal, &put.request), -1);
	assert_int_equal(errno, ENOSPC);
	journal_release(journal, &put.request.records[0].id);
	assert_true(test_disk_has(journal, 1));
	assert_int_equal(test_journal_drop(journal, 1), 0);
	journal_close(&journal);
}

/* Again and again, with what was removed in no order: a journal of many segments has room
   for about as many as went. */
static void test_room_for_others_in_any_order(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(24 * SEGMENT);
	unsigned int numbers[TEST_DISK_MANY], round, n, next, stored = 0;
	unsigned int count = test_disk_fill(journal, 0, 9000);
	uint64_t moved;

	test_disk_shuffle(numbers, count);
	next = count;
	for (round = 0; round < 2; round++) {
		for (n = 0; n < count / 4; n++)
			assert_int_equal(
				test_disk_drop(
					journal,
					numbers[round * (count / 4) + n]),
				0);
		assert_int_equal(journal_compact(journal, &moved), 0);
		for (; test_disk_store(journal, next, 9000) == 0; next++)
			stored++;
	}
	assert_true(stored > count / 3);
	journal_close(&journal);
}

#define GROUP 32u
#define GROUP_SIZE ((size_t)1000)

/* Of so many: after each removal, until nothing is moved any more. */
static void compact_after_each(struct journal *journal, unsigned int count,
			       unsigned int wanted)
{
	unsigned int numbers[TEST_DISK_MANY], n, steps = 0;
	uint64_t moved = 0;

	test_disk_shuffle(numbers, count);
	for (n = 0; n < wanted && test_disk_drop(journal, numbers[n]) == 0;
	     n++) {
		journal_reserve_want_space(journal);
		while (journal_compact_some(journal, true, &moved) > 0)
			steps++;
		assert_true(steps < 20 * count);
	}
	assert_int_equal(n, wanted);
}

/* Whoever compacts, and however often: messages and the tombstones that are needed do not go
   round and round. Where there are few segments not all can be removed so. */
static void test_moving_ends(void **state ATTR_UNUSED)
{
	static const uint64_t disks[] = { 4 * SEGMENT, 12 * SEGMENT };
	struct journal *journal;
	unsigned int i, count;

	for (i = 0; i < N_ELEMENTS(disks); i++) {
		journal = test_disk_begin(disks[i]);
		count = 0;
		while (test_disk_store_group(journal, count, GROUP,
					     GROUP_SIZE) == 0)
			count += GROUP;
		assert_in_range(count, 1000, TEST_DISK_MANY - GROUP);
		compact_after_each(journal, count, count / 8);
		journal_close(&journal);
	}
}

/* Where nobody found no room it is not worth it. */
static void test_as_much_as_is_wanted(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * SEGMENT);
	unsigned int count = test_disk_fill(journal, 0, 9000), n;
	uint64_t moved;

	/* nobody wants any more than there was */
	assert_int_equal(journal_compact(journal, &moved), 0);
	for (n = 0; n < count; n += 6)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	journal_reserve_want_space(journal);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved > count / 2);
	journal_close(&journal);
}

/* A process that compacts a full disk, as "bobbin spool compact" does, was not refused anything
   itself: it asks the file system. */
static void test_by_another_process(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * SEGMENT);
	unsigned int count = test_disk_fill(journal, 0, 9000), n, i;
	uint64_t moved;

	for (n = 0; n < count; n += 6)
		assert_int_equal(test_journal_drop(journal, n), 0);
	test_told.blocks = 1000000;
	test_disk.ops.fstatvfs = test_telling_fstatvfs;
	file_ops_set(&test_disk.ops);
	for (i = 0; i < 2; i++) {
		test_told.for_all = SEGMENT / 4096 - i;
		/* some of it is kept for others */
		test_told.for_root = 2 * SEGMENT / 4096;
		test_disk_start_again(&journal);
		assert_int_equal(journal_compact(journal, &moved), 0);
		assert_int_equal(moved > count / 2, i > 0);
	}
	journal_close(&journal);
}

/* One message that is larger than what can be written keeps nobody from moving others. */
static void test_what_has_no_room_is_left(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(9 * SEGMENT);
	unsigned int numbers[TEST_DISK_MANY], i, n, count = 0;
	uint64_t moved;

	while (test_disk_store(journal, count,
			       count % 60 == 59 ? 370000 : 1000) == 0)
		count++;
	test_disk_shuffle(numbers, count);
	for (i = 0; i < count; i++) {
		n = numbers[i];
		if (n % 60 == 59)
			continue;
		if (test_journal_drop(journal, n) == 0)
			continue;
		assert_int_equal(journal_compact(journal, &moved), 0);
		assert_int_equal(test_journal_drop(journal, n), 0);
	}
	for (n = 0; n < count; n++)
		assert_int_equal(test_disk_has(journal, n), n % 60 == 59);
	journal_close(&journal);
}

static atomic_uint looked;

static void look(struct journal *journal ATTR_UNUSED)
{
	looked++;
}

/* Less has to be won there than in half of a segment, so there may be something to move that
   was not worth it before. */
static void test_the_upkeep_looks_for_space(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * SEGMENT);
	unsigned int count = test_disk_fill(journal, 0, 9000);

	looked = 0;
	journal->upkeep = journal_worker_start(journal, look);
	assert_non_null(journal->upkeep);
	assert_int_equal(test_disk_store(journal, count, 9000), ENOSPC);
	while (looked == 0)
		(void)sched_yield();
	journal_close(&journal);
}

/* What had no room may have some now; what cannot be read, or moved, is as it was. */
static void
test_who_wants_space_has_all_looked_at_again(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(20 * TEST_DISK_SEGMENT);
	struct journal_segment *gone, *left;
	unsigned int n = 0;

	while (test_journal_active(journal) < 5)
		assert_int_equal(test_disk_store(journal, n++, 9000), 0);
	gone = journal->segments[1];
	left = journal->segments[journal->active->header.number - 1];
	for (n = 0; gone->live > 0; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	gone->kept = gone->stuck = left->kept = left->stuck = true;
	journal_reserve_want_space(journal);
	assert_false(gone->kept || gone->stuck || left->stuck);
	assert_true(left->kept);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_moving_on_a_full_disk,
					  test_disk_end),
		cmocka_unit_test_teardown(test_tombstones_leave_the_active_one,
					  test_disk_end),
		cmocka_unit_test_teardown(
			test_a_tombstone_goes_into_the_active_one,
			test_disk_end),
		cmocka_unit_test_teardown(test_nothing_is_moved_in_vain,
					  test_disk_end),
		cmocka_unit_test_teardown(test_many_on_a_full_disk,
					  test_disk_end),
		cmocka_unit_test_teardown(test_moving_what_has_no_room,
					  test_disk_end),
		cmocka_unit_test_teardown(test_room_for_others_in_any_order,
					  test_disk_end),
		cmocka_unit_test_teardown(test_moving_ends, test_disk_end),
		cmocka_unit_test_teardown(test_as_much_as_is_wanted,
					  test_disk_end),
		cmocka_unit_test_teardown(test_by_another_process,
					  test_disk_end),
		cmocka_unit_test_teardown(
			test_who_wants_space_has_all_looked_at_again,
			test_disk_end),
		cmocka_unit_test_teardown(test_what_has_no_room_is_left,
					  test_disk_end),
		cmocka_unit_test_teardown(test_the_upkeep_looks_for_space,
					  test_disk_end),
	};

	return cmocka_run_group_tests_name("journal-full-moves", tests, NULL,
					   NULL);
}
