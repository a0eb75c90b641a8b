/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The segments that are kept for a full disk: which are made, and keep their blocks. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-journal-disk.h"

#include <errno.h>
#include <sys/stat.h>

#define SEGMENT TEST_DISK_SEGMENT
/* While it is full, what is small is not given back: nobody would get it again. */
static void test_small_ones_keep_their_blocks(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(2 * SEGMENT + SEGMENT / 4);
	unsigned int n, count = test_disk_fill(journal, 0, TEST_DISK_LARGE);
	uint32_t i, half = test_journal_active(journal);
	uint64_t moved;

	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	/* nor is one that is of no other use: neither a piece nor written any more */
	assert_true(journal->segments[half]->header.size == SEGMENT / 2);
	for (; test_journal_active(journal) == half; n++) {
		assert_int_equal(test_disk_store_large(journal, n), 0);
		assert_int_equal(test_journal_drop(journal, n), 0);
	}
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(journal->is_full);
	assert_true(journal_is_empty(journal->segments[half]));
	for (i = 1; i < journal->segment_end; i++)
		assert_false(journal->segments[i]->cut);
	journal_close(&journal);
}

/* The blocks of others were given back, and are somebody else's now; small messages fill
   what there is. How many these are. */
static unsigned int fill_without_blocks(struct journal *journal)
{
	unsigned int n, count = 0;
	uint64_t moved;

	while (test_journal_active(journal) < 9)
		assert_int_equal(test_disk_store_large(journal, count++), 0);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_not_equal(test_disk_wholes(journal, true), 0);
	test_disk.left = 0;
	n = test_disk_fill_small(journal);
	assert_int_equal(test_disk_wholes(journal, false), 0);
	return n;
}

static void must_have_its_blocks(const struct journal_segment *segment)
{
	int fd = journal_file_hold(segment->file);
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	journal_file_let_go(segment->file);
	assert_int_equal(st.st_size, segment->header.size);
}

/* Nothing is written where there are none. */
static void test_what_has_no_blocks_is_not_taken(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(20 * SEGMENT);
	unsigned int n = 0, count = fill_without_blocks(journal);
	unsigned int cut = test_disk_wholes(journal, true);
	const struct journal_segment *segment;
	uint64_t version = 2;

	while (test_disk_rewrite(journal, TEST_DISK_SMALL, version) == 0)
		version++;
	assert_in_range(version, 10, 1000);
	while (n < count &&
	       test_journal_drop(journal, TEST_DISK_SMALL + n) == 0)
		n++;
	assert_in_range(n, 10, count - 1);
	assert_true(test_disk_wholes(journal, true) >= cut);
	for (n = 1; n < journal->segment_end; n++)
		assert_false(journal->segments[n]->failed);
	/* whoever asks */
	journal_begin_commit(journal);
	segment = journal_segment_next(journal, JOURNAL_USE_MOVE);
	journal_end_commit(journal);
	assert_true(segment == NULL || !segment->cut);
	if (segment != NULL)
		must_have_its_blocks(segment);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* Where they are not to be had again for all of it, the next is a smaller one. */
static void test_a_small_one_ahead(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(20 * SEGMENT);
	uint32_t end_before;

	(void)fill_without_blocks(journal);
	end_before = journal->segment_end;
	/* a piece comes first */
	test_disk.left = SEGMENT / 4 * 3;
	journal_segment_make_ahead(journal);
	assert_int_equal(journal->segment_end, end_before + 2);
	assert_true(journal->segments[end_before]->header.size == SEGMENT / 4);
	assert_true(journal->segments[end_before + 1]->header.size ==
		    SEGMENT / 2);
	journal_close(&journal);
}

/* Until something cannot be removed by itself any more: behind the last one. */
static unsigned int drop_until_full(struct journal *journal, unsigned int count)
{
	unsigned int n = 0;

	while (n < count && test_journal_drop(journal, n) == 0)
		n++;
	assert_in_range(n, 50, count - 1);
	return n;
}

/* Of eight on there is one, which who removes leaves to who moves. */
static void test_a_whole_one_is_for_moving(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * SEGMENT);
	unsigned int count = test_disk_fill(journal, 0, 1000), n;
	uint64_t moved;

	assert_int_equal(test_disk_wholes(journal, false), 1);
	n = drop_until_full(journal, count / 8);
	assert_int_equal(test_disk_wholes(journal, false), 1);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) <
		    SEGMENT / 4);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_MOVE, 0) >
		    SEGMENT / 2);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(test_journal_drop(journal, n), 0);
	journal_close(&journal);
}

/* Or has it, where nothing can be moved; the next segment may have what can. */
static void test_a_whole_one_nobody_needs(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * SEGMENT);
	unsigned int n = 0, count = test_disk_fill(journal, 0, 1000);
	uint64_t moved;
	uint32_t active;

	assert_in_range(test_disk_wholes(journal, false), 1, 1);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) <
		    SEGMENT);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) >
		    SEGMENT);
	active = test_journal_active(journal);
	while (test_journal_active(journal) == active && n < count)
		assert_int_equal(test_journal_drop(journal, n++), 0);
	assert_int_equal(test_disk_wholes(journal, false), 1);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) <
		    SEGMENT);
	journal_close(&journal);
}

/* Of fewer there is none. */
static void test_few_keep_no_whole_one(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(4 * SEGMENT);
	unsigned int n;

	(void)test_disk_fill(journal, 0, TEST_DISK_LARGE);
	for (n = 0; n < 4; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(test_disk_wholes(journal, false), 1);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) >
		    SEGMENT);
	journal_close(&journal);
}

/* Bytes of the dead ones that are smaller than a segment. */
static uint64_t bytes_of_pieces(struct journal *journal)
{
	const struct journal_segment *segment;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (journal_has_blocks(journal, segment) &&
		    journal_is_small(journal, segment))
			bytes += segment->header.size;
	}
	return bytes;
}

/* There are as many as take the tombstones of all messages, and of those that the segment will
   have (up to 3000), packed, with what is lost where an eighth is too little to be won; they are
   given back with the messages. */
static void test_pieces_for_all_tombstones(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(60 * SEGMENT);
	unsigned int n, count = 0;
	uint64_t moved, pieces;

	while (count < 8000) {
		assert_int_equal(test_disk_store_group(journal, count, 32, 0),
				 0);
		count += 32;
		assert_true(journal->messages == count);
		if (count % 1024 != 0)
			continue;
		pieces = bytes_of_pieces(journal);
		assert_in_range(pieces, 128 * count + SEGMENT / 4,
				160 * (count + 3000) + 3 * (SEGMENT / 4));
		/* the same ones are no more than there were */
		assert_int_equal(test_disk_rewrite(journal, 1, count), 0);
	}
	for (n = 10; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(bytes_of_pieces(journal) / (SEGMENT / 4), 3);
	journal_close(&journal);
}

/* Until a removal has the next segment, which is one that is kept for it. */
static unsigned int drop_until_piece(struct journal *journal, unsigned int n,
				     unsigned int count)
{
	while (!journal_is_piece(journal, journal->active) && n < count)
		assert_int_equal(test_journal_drop(journal, n++), 0);
	assert_true(n < count);
	return n;
}

/* One is removed and another one is stored, in one group if that may be. */
static void replace(struct journal *journal, unsigned int n, unsigned int other)
{
	unsigned char target[JOURNAL_TARGET_SIZE];
	struct journal_request unlink, *requests[2];
	struct test_journal_put put;
	struct journal_entry entry;

	test_journal_claim_drop(journal, n, &unlink, target);
	test_journal_make_put(&put, other, 1);
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	requests[0] = &unlink;
	requests[1] = &put.request;
	assert_int_equal(journal_commit_many(journal, requests, 2), 0);
	journal_release(journal, &put.request.records[0].id);
	journal_release(journal, &unlink.records[0].id);
}

static void must_be_apart(struct journal *journal)
{
	const struct journal_segment *segment;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		assert_true(segment == NULL || segment->live == 0 ||
			    !journal_is_piece(journal, segment));
	}
}

/* Else they could not be packed any more, and there would be none for others: neither behind
   them in a group, nor later. */
static void test_messages_go_beside_no_tombstones(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * SEGMENT);
	unsigned int count = test_disk_fill(journal, 0, 9000);
	unsigned int n;

	for (n = 0; n < count / 2; n++)
		assert_int_equal(test_disk_drop(journal, n), 0);
	n = drop_until_piece(journal, n, count);
	replace(journal, n, TEST_DISK_SMALL);
	must_be_apart(journal);
	(void)drop_until_piece(journal, n + 1, count);
	assert_int_equal(test_disk_store(journal, TEST_DISK_SMALL + 1, 100), 0);
	must_be_apart(journal);
	journal_close(&journal);
}

/* Others take, and give back, all the time. */
static void test_a_full_disk_is_asked_anew(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(12 * SEGMENT);
	uint64_t ends[JOURNAL_USES];

	assert_int_equal(test_disk_store(journal, 0, 100), 0);
	journal_reserve_ends(journal, ends);
	assert_memory_equal(ends, journal->ends, sizeof(ends));
	assert_true(ends[JOURNAL_USE_GROW] > 0);
	journal->is_full = true;
	journal_reserve_ends(journal, ends);
	assert_true(ends[JOURNAL_USE_GROW] == 0);
	journal_close(&journal);
}

static struct journal_segment *find_piece(struct journal *journal)
{
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		if (journal_has_blocks(journal, journal->segments[i]) &&
		    journal_is_piece(journal, journal->segments[i]))
			return journal->segments[i];
	}
	return NULL;
}

/* What removals need is nothing that what is left of others is moved into. */
static void test_who_packs_leaves_it(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(2 * SEGMENT);
	struct journal_segment *piece;

	(void)test_disk_fill(journal, 0, 9000);
	piece = find_piece(journal);
	assert_non_null(piece);
	assert_true(journal->is_full);
	assert_false(journal_reserve_stays(journal, piece, JOURNAL_USE_PACK));
	/* where another one can be made */
	journal->is_full = false;
	assert_true(journal_reserve_stays(journal, piece, JOURNAL_USE_PACK));
	journal_close(&journal);
}

static atomic_bool is_over;

/* Others store and remove very many, all the time. */
static void *change_messages(void *context)
{
	struct journal *journal = context;
	unsigned int n;

	for (n = 0; !is_over; n++) {
		(void)pthread_mutex_lock(&journal->mutex);
		journal->messages += n % 2 == 0 ? 1000000 : -(uint64_t)1000000;
		(void)pthread_mutex_unlock(&journal->mutex);
	}
	return NULL;
}

/* Whether there is room for one may change as soon as somebody was told: what is acknowledged
   is written. */
static void test_what_was_granted_is_written(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT);
	struct journal_entry entry;
	unsigned int n, stored = 0;
	pthread_t thread;
	message_id id;

	is_over = false;
	assert_int_equal(
		pthread_create(&thread, NULL, change_messages, journal), 0);
	for (n = 0; n < 4000; n++) {
		if (test_disk_store(journal, n, 10) != 0)
			continue;
		stored++;
		test_journal_make_id(n, &id);
		assert_true(journal_find(journal, &id, &entry));
		assert_int_not_equal(entry.headers.offset, 0);
		assert_true(test_disk_has(journal, n));
		assert_int_equal(test_journal_drop(journal, n), 0);
	}
	is_over = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_in_range(stored, 100, 4000);
	journal_close(&journal);
}

/* Where there is no whole one who moves needs the largest, and who removes the smallest. */
static void test_who_gets_which(void **state ATTR_UNUSED)
{
	static const struct {
		enum journal_use use;
		uint64_t size;
	} cases[] = { { JOURNAL_USE_CARRY, SEGMENT / 16 },
		      { JOURNAL_USE_FREE, SEGMENT / 2 },
		      { JOURNAL_USE_REMOVE, SEGMENT / 16 },
		      { JOURNAL_USE_PACK, SEGMENT / 2 },
		      { JOURNAL_USE_REMOVE, SEGMENT / 16 },
		      { JOURNAL_USE_MOVE, SEGMENT / 2 },
		      { JOURNAL_USE_CARRY, SEGMENT / 16 },
		      { JOURNAL_USE_GROW, SEGMENT / 2 } };
	struct journal *journal = test_disk_begin(SEGMENT - SEGMENT / 16);
	struct journal_segment *segment;
	unsigned int n;

	/* a half, a quarter and so on */
	assert_int_equal(test_journal_store(journal, 1), 0);
	while (test_disk.left >= SEGMENT / 16)
		journal_segment_make_ahead(journal);
	assert_int_equal(test_journal_drop(journal, 1), 0);
	for (n = 0; n < N_ELEMENTS(cases); n++) {
		journal_begin_commit(journal);
		segment = journal_segment_next(journal, cases[n].use);
		journal_end_commit(journal);
		assert_non_null(segment);
		assert_true(segment->header.size == cases[n].size);
		/* in one that is for tombstones it would take too much */
		assert_int_equal(segment->footer == NULL,
				 segment->header.size <= SEGMENT / 4);
	}
	journal_close(&journal);
}

/* Where there is no space for pieces each message has a block at the end of its segment, for
   its tombstone. */
static void test_a_block_for_each_tombstone(void **state ATTR_UNUSED)
{
	struct journal *journal;
	unsigned int n, count, more;

	/* of one block more than another, whatever the footer takes */
	for (more = 0; more < 3; more++) {
		journal = test_disk_begin(SEGMENT);
		for (n = 0; n < more; n++)
			assert_int_equal(test_journal_store(
						 journal, TEST_DISK_SMALL + n),
					 0);
		count = test_disk_fill(journal, 0, 3000);
		assert_in_range(count, 80, 126);
		for (n = 0; n < count; n++)
			assert_int_equal(test_journal_drop(journal, n), 0);
		for (n = 0; n < more; n++)
			assert_int_equal(test_journal_drop(journal,
							   TEST_DISK_SMALL + n),
					 0);
		journal_close(&journal);
	}
}

/* What removals need is made before the next one, which is as large as is left for it. */
static void test_pieces_are_made_first(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(SEGMENT);

	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(journal->segment_end, 2);
	test_disk.left = SEGMENT + SEGMENT / 4;
	journal_segment_make_ahead(journal);
	assert_int_equal(journal->segment_end, 5);
	assert_true(journal->segments[2]->header.size == SEGMENT / 4);
	assert_true(journal->segments[3]->header.size == SEGMENT / 4);
	assert_true(journal->segments[4]->header.size == SEGMENT / 2);
	journal_close(&journal);
}

/* Where no thread makes them ahead, they come with the first segment: nobody waits for them
   in the middle of one. */
static void test_pieces_come_with_the_first_segment(void **state ATTR_UNUSED)
{
	const struct journal_settings settings = {
		.segment_size = 4 * JOURNAL_SEGMENT_MIN
	};
	struct journal *journal = test_disk_begin(20 * 4 * JOURNAL_SEGMENT_MIN);

	journal_close(&journal);
	journal = test_journal_open_with(settings);
	assert_int_equal(test_disk_store(journal, 0, 100), 0);
	assert_false(journal_reserve_lacks_piece(journal));
	assert_int_equal(journal->segment_end, 4);
	journal_close(&journal);
}

/* It is made ahead, beside the next. */
static void test_a_whole_one_ahead(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(40 * SEGMENT);
	unsigned int n = 0;

	while (test_journal_active(journal) < 12)
		assert_int_equal(test_disk_store_large(journal, n++), 0);
	journal_segment_make_ahead(journal);
	assert_int_equal(test_disk_wholes(journal, false), 2);
	journal_close(&journal);
}

/* It is not one of those that are kept to be written soon. */
static void test_a_whole_one_keeps_its_blocks(void **state ATTR_UNUSED)
{
	struct journal *journal = test_disk_begin(40 * SEGMENT);
	unsigned int n = 0;
	uint64_t moved;

	while (test_journal_active(journal) < 18)
		assert_int_equal(test_disk_store_large(journal, n++), 0);
	while (n > 8 * 4 + 1)
		assert_int_equal(test_journal_drop(journal, --n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_not_equal(test_disk_wholes(journal, true), 0);
	assert_int_equal(test_disk_wholes(journal, false), 3);
	journal_close(&journal);
}

/* For each 64 there is one more; where no thread makes them ahead who stores does. */
static void test_one_more_for_each_64(void **state ATTR_UNUSED)
{
	const struct journal_settings settings = {
		.segment_size = 4 * JOURNAL_SEGMENT_MIN
	};
	struct journal *journal = test_disk_begin(72 * 4 * JOURNAL_SEGMENT_MIN);
	uint32_t active = 0;
	unsigned int n = 0;

	journal_close(&journal);
	journal = test_journal_open_with(settings);
	while (test_journal_active(journal) < 70)
		assert_int_equal(test_disk_store(journal, n++, 60000), 0);
	assert_int_equal(test_disk_wholes(journal, false), 2);
	while (test_disk_store(journal, n++, 60000) == 0) {
		if (test_journal_active(journal) != active)
			journal_segment_make_ahead(journal);
		active = test_journal_active(journal);
	}
	assert_true(journal->is_full);
	assert_int_equal(test_disk_wholes(journal, false), 2);
	journal_close(&journal);
}

static unsigned int syncs_until_failure;

static int failing_fdatasync(int fd ATTR_UNUSED)
{
	if (syncs_until_failure-- > 0)
		return 0;
	syncs_until_failure = 1000;
	errno = EIO;
	return -1;
}

/* The kernel tells of an error once: whatever sync of a segment made ahead fails, there is
   none. */
static void test_a_piece_that_is_not_synced(void **state ATTR_UNUSED)
{
	unsigned int n, end_before;
	struct journal *journal;

	for (n = 0; n < 3; n++) {
		journal = test_disk_begin(4 * SEGMENT);
		assert_int_equal(test_journal_store(journal, 1), 0);
		assert_true(journal_segment_make_room(journal, JOURNAL_USE_GROW,
						      SEGMENT) > SEGMENT);
		end_before = journal->segment_end;
		test_disk.ops.fdatasync = failing_fdatasync;
		file_ops_set(&test_disk.ops);
		syncs_until_failure = n;
		journal_segment_make_ahead(journal);
		assert_true(syncs_until_failure > 3);
		assert_int_equal(journal->segment_end, end_before);
		file_ops_set(NULL);
		journal_close(&journal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_small_ones_keep_their_blocks,
					  test_disk_end),
		cmocka_unit_test_teardown(test_what_has_no_blocks_is_not_taken,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_small_one_ahead,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_whole_one_is_for_moving,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_whole_one_nobody_needs,
					  test_disk_end),
		cmocka_unit_test_teardown(test_few_keep_no_whole_one,
					  test_disk_end),
		cmocka_unit_test_teardown(test_pieces_for_all_tombstones,
					  test_disk_end),
		cmocka_unit_test_teardown(test_messages_go_beside_no_tombstones,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_full_disk_is_asked_anew,
					  test_disk_end),
		cmocka_unit_test_teardown(test_who_packs_leaves_it,
					  test_disk_end),
		cmocka_unit_test_teardown(test_what_was_granted_is_written,
					  test_disk_end),
		cmocka_unit_test_teardown(test_who_gets_which, test_disk_end),
		cmocka_unit_test_teardown(test_a_block_for_each_tombstone,
					  test_disk_end),
		cmocka_unit_test_teardown(test_pieces_are_made_first,
					  test_disk_end),
		cmocka_unit_test_teardown(
			test_pieces_come_with_the_first_segment, test_disk_end),
		cmocka_unit_test_teardown(test_a_whole_one_ahead,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_whole_one_keeps_its_blocks,
					  test_disk_end),
		cmocka_unit_test_teardown(test_one_more_for_each_64,
					  test_disk_end),
		cmocka_unit_test_teardown(test_a_piece_that_is_not_synced,
					  test_disk_end),
	};

	return cmocka_run_group_tests_name("journal-reserve", tests, NULL,
					   NULL);
}
