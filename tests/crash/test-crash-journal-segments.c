/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store where its segments are what they seldom are: records and groups that
   end on a block's border, voids that hold a segment, segments that go on after a start,
   and files that are closed and opened again in between. */

#include "config.h"
#include "crash-spool.h"
#include "module-journal-private.h"
#include "journal/journal-private.h"
#include "spool-private.h"
#include "test-common.h"

/* Four blocks: three of them, and three tombstones, fill a segment. */
#define LARGE 14000

static void start_again(struct spool **spool)
{
	spool_close(spool);
	*spool = crash_spool_open(test_path("work"));
}

/*
 * Borders
 */

/* What the records take of a message: its body, its headers, and what was padded. */
struct sizes {
	uint64_t body, headers, padding;
};

static void put_measured(struct spool *spool, unsigned int i, size_t size,
			 struct sizes *sizes)
{
	struct journal *journal = crash_journal(spool);
	struct journal_header header;
	struct journal_source source;
	uint64_t pos;

	crash_must_put(spool, i, size);
	assert_true(journal_segment_source(
		journal, journal->active->header.number, &source));
	memset(sizes, 0, sizeof(*sizes));
	/* it may have begun the segment */
	for (pos = JOURNAL_BLOCK_SIZE; pos < journal->active->pos;
	     pos += journal_record_size(&header)) {
		assert_true(journal_read_header(&source, pos, &header));
		if (header.type == JOURNAL_BODY) {
			memset(sizes, 0, sizeof(*sizes));
			sizes->body = journal_record_size(&header);
		} else if (header.type == JOURNAL_HEADERS) {
			sizes->headers = journal_record_size(&header);
		} else if (header.type == JOURNAL_PADDING) {
			sizes->padding = journal_record_size(&header);
		}
	}
}

/* So large that there is no padding; and that its headers fill blocks of their own. */
static size_t filling, filling_body, filling_headers;

static void measure(struct spool *spool, unsigned int i)
{
	struct sizes sizes;

	put_measured(spool, i, 1000, &sizes);
	filling = 1000 + (size_t)sizes.padding;
	filling_body = 1000 + JOURNAL_BLOCK_SIZE -
		(size_t)(sizes.body % JOURNAL_BLOCK_SIZE);
	crash_set_headers_size(100);
	put_measured(spool, i + 1, filling_body, &sizes);
	crash_set_headers_size(0);
	assert_int_equal(sizes.body % JOURNAL_BLOCK_SIZE, 0);
	filling_headers = 100 + (size_t)sizes.padding;
	crash_must_remove(spool, i);
	crash_must_remove(spool, i + 1);
}

static int put_filling(struct spool *spool, unsigned int i, bool both)
{
	int answer;

	crash_set_headers_size(both ? filling_headers : 0);
	answer = crash_put(spool, i, both ? filling_body : filling);
	crash_set_headers_size(0);
	return answer;
}

/* There is no padding that would say where a group ends, and what is lost of one may begin
   or end where a block does. */
static void test_groups_that_fill_their_last_block(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	struct sizes sizes;
	unsigned int i;

	measure(spool, 0);
	for (i = 2; i < 20; i++) {
		if (i % 3 != 0)
			assert_int_equal(put_filling(spool, i, i % 3 == 2),
					 IO_DONE);
		else
			crash_must_put(spool, i, i % 2 == 0 ? 3000 : 100);
		if (i > 5)
			crash_must_remove(spool, i - 3);
	}
	put_measured(spool, 20, filling, &sizes);
	assert_int_equal(sizes.padding, 0);
	crash_set_headers_size(filling_headers);
	put_measured(spool, 21, filling_body, &sizes);
	crash_set_headers_size(0);
	assert_int_equal(sizes.padding, 0);
	assert_int_equal(sizes.headers % JOURNAL_BLOCK_SIZE, 0);
	crash_spool_end(&spool);
	crash_explore_all(6);
}

/* What is void then ends with the record of a message. */
static void
test_failed_groups_that_fill_their_last_block(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int n;

	measure(spool, 0);
	crash_must_put(spool, 2, 100);
	for (n = 0; n < 2; n++) {
		crash_fail(CRASH_SYNC_GROUP);
		assert_int_equal(put_filling(spool, 10 + n, n > 0),
				 IO_TRANS_FAIL);
		assert_int_equal(put_filling(spool, 20 + n, n > 0), IO_DONE);
		crash_note_absent(10 + n);
	}
	crash_must_remove(spool, 20);
	start_again(&spool);
	assert_int_equal(crash_version(spool, 10), 0);
	assert_int_equal(crash_version(spool, 11), 0);
	crash_must_put(spool, 30, 100);
	crash_spool_end(&spool);
	crash_explore_all(8);
}

/* Messages that fill a block all but the end, where a footer has no room beside them. */
static void test_a_footer_has_a_block(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i;

	measure(spool, 0);
	for (i = 2; i < 36; i++)
		crash_must_put(spool, i, filling - JOURNAL_ALIGN);
	assert_int_equal(crash_journal(spool)->segment_end, 4);
	for (i = 2; i < 36; i++)
		assert_int_equal(crash_version(spool, i), 1);
	crash_spool_end(&spool);
	crash_explore_all(2);
}

/*
 * Voids
 */

/* Segments that say what is void in the first one, and have tombstones: it stays, and failed
   rewrites would come back from it. Each goes when the next one has said it, and some of
   these cannot. */
static void test_voids_are_said_again(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i, number, fails = 0, goes = 0;

	for (i = 0; i < 5; i++)
		crash_must_put(spool, i, 100);
	crash_must_put(spool, i++, LARGE);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_rewrite(spool, 0, false), IO_TRANS_FAIL);
	crash_must_put(spool, i++, LARGE);
	crash_note_not_rewritten(0);
	/* until a start it is not known how it ends */
	start_again(&spool);
	crash_must_remove(spool, 1);
	for (; i < 22; i++) {
		number = crash_journal(spool)->voided->said_by;
		if (i % 4 == 3)
			/* what is void comes first in a segment */
			crash_fail(CRASH_SYNC_GROUP);
		if (crash_put(spool, i, LARGE) == IO_DONE) {
			fails += i % 4 == 3;
			crash_must_remove(spool, i);
		} else {
			crash_must_put(spool, ++i, LARGE);
			crash_note_absent(i - 1);
		}
		if (i % 2 == 1)
			(void)crash_compact(spool);
		goes += journal_is_empty(
			crash_journal(spool)->segments[number]);
	}
	assert_true(fails > 0 && goes > 1);
	assert_int_equal(crash_version(spool, 0), 1);
	crash_spool_end(&spool);
	crash_explore_all(6);
}

/* The copy of a tombstone is all that keeps a message away, and a failed rewrite of its
   neighbour is right behind it: the one counts, the other one does not. */
static void test_void_behind_a_carried_tombstone(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i;

	for (i = 0; i < 12; i++)
		crash_must_put(spool, i, 100);
	crash_must_remove(spool, 1);
	for (; i < 16; i++) {
		crash_must_put(spool, i, LARGE);
		crash_must_remove(spool, i);
	}
	/* what has the tombstone goes, and its copy is written */
	(void)crash_compact(spool);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_rewrite(spool, 2, true), IO_TRANS_FAIL);
	for (; i < 18; i++) {
		crash_must_put(spool, i, LARGE);
		crash_must_remove(spool, i);
	}
	crash_note_not_rewritten(2);
	start_again(&spool);
	for (; i < 26; i++) {
		crash_must_put(spool, i, LARGE);
		crash_must_remove(spool, i);
		if (i % 3 == 2)
			(void)crash_compact(spool);
	}
	assert_int_equal(crash_version(spool, 1), 0);
	assert_int_equal(crash_version(spool, 2), 1);
	crash_spool_end(&spool);
	crash_explore_all(4);
}

/*
 * Starts
 */

/* Each of three starts goes on in the segment of the one before, which gets a footer when
   it is full: that speaks of all that was written in it. */
static void test_segments_that_go_on_after_a_start(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i;

	crash_set_recipients(8);
	for (i = 0; i < 24; i++) {
		if (i % 4 == 3)
			start_again(&spool);
		crash_must_put(spool, i, i % 3 == 0 ? 5000 : 100);
		if (i % 4 == 1)
			assert_int_equal(crash_deliver(spool, i - 1), IO_DONE);
		if (i % 5 == 2)
			crash_must_remove(spool, i - 2);
		if (i > 12)
			assert_true(crash_version(spool, i - 1) > 0);
	}
	assert_true(crash_journal(spool)->segment_end > 3);
	crash_set_recipients(0);
	start_again(&spool);
	(void)crash_compact(spool);
	crash_must_put(spool, i, LARGE);
	crash_spool_end(&spool);
	crash_explore_all(5);
}

/*
 * States of recipients
 */

/* States are in other segments than headers, each moves without the other one, and what
   comes behind the move counts. */
static void test_states_in_other_segments(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i = 3, n;

	crash_set_recipients(16);
	for (n = 0; n < 3; n++)
		crash_must_put(spool, n, 100);
	for (n = 0; n < 9; n++) {
		assert_int_equal(crash_deliver(spool, n % 3), IO_DONE);
		crash_must_put(spool, i, LARGE);
		crash_must_remove(spool, i++);
		if (n == 3 || n == 6)
			(void)crash_compact(spool);
		if (n == 5)
			start_again(&spool);
	}
	crash_must_remove(spool, 1);
	(void)crash_compact(spool);
	assert_int_equal(crash_deliver(spool, 2), IO_DONE);
	for (n = 0; n < 4; n++) {
		crash_must_put(spool, i, LARGE);
		crash_must_remove(spool, i++);
	}
	assert_int_equal(crash_version(spool, 0), 4);
	assert_int_equal(crash_version(spool, 2), 5);
	crash_spool_end(&spool);
	crash_set_recipients(0);
	crash_explore_all(4);
}

/*
 * The next one
 */

/* It is made while the one before is written, and taken when that is full: new, or dead
   before, with all that is stale in it. */
static void test_the_next_segment_is_taken(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i, number, taken = 0;

	for (i = 0; i < 20; i++) {
		journal_segment_make_ahead(crash_journal(spool));
		number = crash_journal(spool)->segment_end;
		crash_must_put(spool, i, LARGE);
		/* the first one stays, and what overrules its neighbours */
		if (i == 4)
			crash_must_remove(spool, 1);
		if (i == 7)
			crash_must_rewrite(spool, 0, false);
		if (i > 8)
			crash_must_remove(spool, i - 2);
		taken += crash_journal(spool)->segment_end == number &&
			crash_journal(spool)->active->pos <=
				JOURNAL_BLOCK_SIZE + LARGE * 2;
		if (i % 6 == 5)
			start_again(&spool);
		if (i % 8 == 7)
			(void)crash_compact(spool);
	}
	assert_true(taken > 2);
	crash_spool_end(&spool);
	crash_explore_all(4);
}

/*
 * Blocks that were given back
 */

/* What gave its blocks back gets them again when it is needed, before it says that it has
   records. */
static void test_cut_segments_are_taken(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i, n, cut = 0;

	for (i = 0; i < 15; i++)
		crash_must_put(spool, i, LARGE);
	for (n = 0; n < 15; n++)
		crash_must_remove(spool, n);
	(void)crash_compact(spool);
	for (n = 1; n < crash_journal(spool)->segment_end; n++)
		cut += crash_journal(spool)->segments[n]->cut;
	assert_true(cut > 1);
	/* each goes on in another one, without a look at what is to come */
	for (; i < 30; i += 2) {
		crash_fail(CRASH_SYNC_GROUP);
		assert_int_equal(crash_put(spool, i, LARGE), IO_TRANS_FAIL);
		crash_must_put(spool, i + 1, LARGE);
		crash_note_absent(i);
	}
	for (n = 1; n < crash_journal(spool)->segment_end; n++)
		assert_false(crash_journal(spool)->segments[n]->cut);
	crash_spool_end(&spool);
	crash_explore_all(2);
}

/*
 * Files
 */

/* No segment's file stays open: each descriptor is another file's soon. */
static void test_files_that_are_closed_in_between(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i;

	for (i = 0; i < 22; i++) {
		crash_journal(spool)->files.open_max = i % 2;
		crash_must_put(spool, i, i % 3 == 0 ? LARGE : 100);
		assert_int_equal(crash_version(spool, i / 2),
				 i / 2 % 5 == 4 ? 0 : 1);
		if (i % 5 == 4)
			crash_must_remove(spool, i);
		if (i % 11 == 10) {
			crash_must_remove(spool, i - 1);
			crash_must_remove(spool, i - 7);
			(void)crash_compact(spool);
		}
	}
	crash_spool_end(&spool);
	crash_explore_all(4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups_that_fill_their_last_block),
		cmocka_unit_test(test_failed_groups_that_fill_their_last_block),
		cmocka_unit_test(test_a_footer_has_a_block),
		cmocka_unit_test(test_voids_are_said_again),
		cmocka_unit_test(test_void_behind_a_carried_tombstone),
		cmocka_unit_test(test_segments_that_go_on_after_a_start),
		cmocka_unit_test(test_states_in_other_segments),
		cmocka_unit_test(test_the_next_segment_is_taken),
		cmocka_unit_test(test_cut_segments_are_taken),
		cmocka_unit_test(test_files_that_are_closed_in_between),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-journal-segments", tests,
					   NULL, NULL);
}
