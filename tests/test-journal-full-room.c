/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* On a full disk nothing is begun that there is no room for: what was moved or carried of a
   segment that stays is there twice, and what it takes is missing to who removes. */

#include "config.h"
#include "macros.h"
#include "test-journal-disk.h"

#include <errno.h>

#define SEGMENT TEST_DISK_SEGMENT
#define KIB ((uint64_t)1024)
#define GROUP TEST_DISK_GROUP_MAX

static void begin_next(struct journal *journal)
{
	journal_begin_commit(journal);
	assert_non_null(journal_segment_next(journal, JOURNAL_USE_GROW));
	journal_end_commit(journal);
}

static void store_groups(struct journal *journal, unsigned int from,
			 unsigned int to, size_t size)
{
	for (; from < to; from += GROUP)
		assert_int_equal(
			test_disk_store_group(journal, from, GROUP, size), 0);
}

/* In one group, so that they take a block. */
static void drop_group(struct journal *journal, unsigned int first)
{
	struct journal_request all[GROUP], *requests[GROUP];
	unsigned char targets[GROUP][JOURNAL_TARGET_SIZE];
	unsigned int i;

	for (i = 0; i < GROUP; i++) {
		test_journal_claim_drop(journal, first + i, &all[i],
					targets[i]);
		requests[i] = &all[i];
	}
	assert_int_equal(journal_commit_many(journal, requests, GROUP), 0);
	for (i = 0; i < GROUP; i++)
		journal_release(journal, &all[i].records[0].id);
}

static void drop_groups(struct journal *journal, unsigned int from,
			unsigned int to)
{
	for (; from < to; from += GROUP)
		drop_group(journal, from);
}

/* No segment can be made, and of those that are dead so many pieces have their blocks, and
   none else. */
static void leave_the_active_one(struct journal *journal, unsigned int pieces)
{
	struct journal_segment *segment;
	uint32_t i;

	test_disk.left = 0;
	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (!journal_has_blocks(journal, segment))
			continue;
		if (pieces > 0 && journal_is_piece(journal, segment))
			pieces--;
		else
			segment->cut = true;
	}
	journal->is_full = true;
	(void)pthread_mutex_unlock(&journal->mutex);
	assert_int_equal(pieces, 0);
}

/* Fills the active one up to so many blocks. */
static void fill_up_to(struct journal *journal, unsigned int from,
		       uint64_t blocks)
{
	uint64_t wanted = blocks * JOURNAL_BLOCK_SIZE;

	while (journal_reserve_active_room(journal) > wanted + 64 * KIB)
		assert_int_equal(test_disk_store(journal, from++, 20000), 0);
	while (journal_reserve_active_room(journal) > wanted)
		assert_int_equal(test_journal_store(journal, from++), 0);
	assert_int_equal(journal_reserve_active_room(journal), wanted);
}

/*
 * Carrying
 */

/* Of what was removed, in a segment of its own, all is needed, as what was beside it
   stays. */
static void test_tombstones_have_room(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int tombstones;
		uint64_t blocks; /* of room */
		bool carried;
	} rows[] = {
		{ 128, 4, true },  { 128, 3, false }, { 130, 5, true },
		{ 130, 4, false }, { 65, 3, true },   { 65, 2, false },
	};
	struct journal_segment *source;
	struct journal *journal;
	unsigned int i;
	uint64_t before;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		journal = test_disk_begin(20 * SEGMENT);
		store_groups(journal, 0, 512, 100);
		begin_next(journal);
		source = journal->active;
		/* one in each block, so that it is worth it */
		test_journal_drop_range(journal, 0, rows[i].tombstones);
		begin_next(journal);
		fill_up_to(journal, 1000, rows[i].blocks);
		leave_the_active_one(journal, 0);
		before = journal->active->tombstones;
		assert_int_equal(journal_carry_tombstones(journal), 1);
		assert_int_equal(journal->active->tombstones - before,
				 rows[i].carried ? rows[i].tombstones : 0);
		assert_int_equal(source->kept, !rows[i].carried);
		assert_int_equal(journal_is_dead(journal, source),
				 rows[i].carried);
		journal_close(&journal);
	}
}

/*
 * Moving
 */

#define SMALL 64u    /* messages that stay in the segment that is emptied */
#define GOING 512u   /* that went from there, so that little is left of it */
#define OTHERS 1000u /* the number of the first one that is elsewhere */
#define OLD 2000u    /* of those that went before */

struct moving {
	unsigned int large; /* messages that are larger than the others */
	size_t size;
	unsigned int tombstones; /* beside them, which are needed */
	unsigned int others;     /* in the active one, of 20000 bytes */
	unsigned int pieces;     /* that have their blocks */
	bool moved;
};

/* The segment that is to be emptied. */
static struct journal_segment *make_source(struct journal *journal,
					   const struct moving *row)
{
	struct journal_segment *source;
	unsigned int i;

	store_groups(journal, OLD, OLD + row->tombstones, 100);
	assert_int_equal(test_journal_store(journal, OTHERS - 1), 0);
	/* lest it is emptied itself */
	journal->active->kept = true;
	begin_next(journal);
	source = journal->active;
	store_groups(journal, 0, SMALL, 100);
	for (i = 0; i < row->large; i++)
		assert_int_equal(test_disk_store(journal, SMALL + i, row->size),
				 0);
	drop_groups(journal, OLD, OLD + row->tombstones);
	store_groups(journal, 100, 100 + GOING, 100);
	assert_ptr_equal(journal->active, source);
	begin_next(journal);
	drop_groups(journal, 100, 100 + GOING);
	for (i = 0; i < row->others; i++)
		assert_int_equal(test_disk_store(journal, OTHERS + i, 20000),
				 0);
	return source;
}

/* As far as is known before it is read all messages of a segment are alike, and there is as
   much room for them as for tombstones. */
static void test_messages_have_room(void **state ATTR_UNUSED)
{
	static const struct moving rows[] = {
		{ 1, 1000, 0, 20, 0, true },
		{ 1, 300000, 0, 20, 0, false },
		{ 1, 1000, 0, 26, 0, true },
		/* they are moved later, but have to be */
		{ 1, 1000, 512, 26, 0, false },
		/* what is left at the end of the first is too little for one */
		{ 2, 200000, 0, 10, 1, true },
		{ 2, 240000, 0, 10, 1, false },
	};
	struct journal_segment *source;
	struct journal *journal;
	unsigned int i;
	uint64_t moved;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		journal = test_disk_begin(20 * SEGMENT);
		source = make_source(journal, &rows[i]);
		leave_the_active_one(journal, rows[i].pieces);
		assert_int_equal(journal_compact(journal, &moved), 0);
		assert_int_equal(moved,
				 rows[i].moved ? SMALL + rows[i].large : 0);
		assert_int_equal(source->stuck, !rows[i].moved);
		journal_close(&journal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_tombstones_have_room,
					  test_disk_end),
		cmocka_unit_test_teardown(test_messages_have_room,
					  test_disk_end),
	};

	return cmocka_run_group_tests_name("journal-full-room", tests, NULL,
					   NULL);
}
