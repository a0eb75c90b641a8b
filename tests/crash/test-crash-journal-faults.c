/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store where more than the power fails: a sync says no, or the process is
   killed. */

#include "config.h"
#include "crash-spool.h"
#include "test-common.h"

static void must_remove(struct spool *spool, unsigned int first,
			unsigned int count)
{
	for (; count > 0; first++, count--)
		assert_int_equal(crash_remove(spool, first), IO_DONE);
}

/* Four blocks each: three of them, and three tombstones, fill a segment. */
static void put_large(struct spool *spool, unsigned int first,
		      unsigned int count)
{
	for (; count > 0; first++, count--)
		crash_must_put(spool, first, 14000);
}

/* A block each. */
static void must_put_small(struct spool *spool, unsigned int first,
			   unsigned int count)
{
	for (; count > 0; first++, count--)
		crash_must_put(spool, first, 100);
}

/*
 * Syncs that fail
 */

static void test_failed_put(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_must_put(spool, 0, 3000);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	assert_int_equal(crash_version(spool, 1), 0);
	crash_must_put(spool, 2, 700);
	crash_note_absent(1);
	crash_must_put(spool, 3, 5000);
	/* and once more */
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 4, 100), IO_TRANS_FAIL);
	crash_must_put(spool, 5, 100);
	crash_note_absent(4);
	assert_int_equal(crash_remove(spool, 2), IO_DONE);
	crash_spool_end(&spool);
	crash_explore_all(6);
}

/* What nobody finds, as it was refused, may be on the disk: who is told that it is removed
   may rely on that. */
static void test_removal_behind_failed_put(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_must_put(spool, 0, 3000);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	crash_must_remove(spool, 1);
	/* once is enough */
	crash_fail(CRASH_SYNC_GROUP);
	crash_must_remove(spool, 1);
	crash_spool_end(&spool);
	crash_explore_all(6);
}

static void test_failed_removal_behind_failed_put(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_must_put(spool, 0, 3000);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_remove(spool, 1), IO_TRANS_FAIL);
	crash_spool_end(&spool);
	crash_explore_all(6);
}

static void test_failed_rewrite_and_removal(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_must_put(spool, 0, 3000);
	crash_must_put(spool, 1, 700);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_rewrite(spool, 0, false), IO_TRANS_FAIL);
	assert_int_equal(crash_version(spool, 0), 1);
	crash_must_put(spool, 2, 700);
	crash_note_not_rewritten(0);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_remove(spool, 2), IO_TRANS_FAIL);
	assert_int_equal(crash_version(spool, 2), 1);
	crash_must_put(spool, 3, 700);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_rewrite(spool, 1, true), IO_TRANS_FAIL);
	assert_int_equal(crash_remove(spool, 2), IO_DONE);
	crash_note_not_rewritten(1);
	crash_spool_end(&spool);
	crash_explore_all(6);
}

/* Bodies in files: what speaks of one may be on the disk though that is not known, and the
   file before it is the message's as long as it is not. */
static void test_failed_files(void **state ATTR_UNUSED)
{
	static const enum crash_sync syncs[] = { CRASH_SYNC_GROUP,
						 CRASH_SYNC_BODY_DATA,
						 CRASH_SYNC_BODY_NAME };
	struct spool *spool;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(syncs); i++) {
		spool = crash_journal_begin("", CRASH_SYNC_NONE);
		crash_must_put(spool, 0, 30000);
		crash_fail(syncs[i]);
		assert_int_equal(crash_put(spool, 1, 40000), IO_TRANS_FAIL);
		crash_must_put(spool, 2, 60000);
		if (syncs[i] == CRASH_SYNC_GROUP)
			crash_note_absent(1);
		crash_fail(syncs[i]);
		assert_int_equal(crash_rewrite(spool, 2, true), IO_TRANS_FAIL);
		assert_int_equal(crash_version(spool, 2), 1);
		crash_fail(CRASH_SYNC_GROUP);
		assert_int_equal(crash_remove(spool, 0), IO_TRANS_FAIL);
		assert_int_equal(crash_version(spool, 0), 1);
		crash_spool_end(&spool);
		crash_explore_all(4);
	}
}

/* The segment that is to be written anew does not take its header: another one is
   used, and what it was goes on to be overruled. */
static void test_failed_header(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);
	unsigned int i;

	/* the second segment is begun before */
	crash_fail_later(CRASH_SYNC_SEGMENT_HEADER, 1);
	for (i = 0; i < 26; i++) {
		crash_must_put(spool, i, 14000);
		if (i > 1)
			assert_int_equal(crash_remove(spool, i - 2), IO_DONE);
	}
	assert_true(crash_sync_count(CRASH_SYNC_SEGMENT_HEADER) > 1);
	crash_spool_end(&spool);
	crash_explore_all(2);
}

/* The next segment says first what is void: a message that takes all of a segment has
   no room behind it, and goes into one more. */
static void test_large_behind_void(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_must_put(spool, 0, 100);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	/* what a segment has room for, but not behind a block */
	crash_set_headers_size(33000);
	crash_must_put(spool, 2, 25500);
	crash_set_headers_size(0);
	assert_int_equal(crash_version(spool, 2), 1);
	crash_note_absent(1);
	crash_spool_end(&spool);
	crash_explore_all(6);
}

static void test_failed_segment(void **state ATTR_UNUSED)
{
	static const enum crash_sync syncs[] = { CRASH_SYNC_SEGMENT_DATA,
						 CRASH_SYNC_SEGMENT_NAME };
	struct spool *spool;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(syncs); i++) {
		spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);
		crash_fail(syncs[i]);
		assert_int_equal(crash_put(spool, 0, 3000), IO_TRANS_FAIL);
		crash_note_absent(0);
		crash_must_put(spool, 1, 3000);
		crash_spool_end(&spool);
		crash_explore_all(6);
	}
}

/* What failed the kernel still shows to the next start. If that hands it out, it stays:
   no sync of the file alone would see to that. */
static void test_start_after_failure(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_must_put(spool, 0, 3000);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	spool_close(&spool);

	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 1), 1);
	crash_note_stored(1);
	assert_int_equal(crash_rewrite(spool, 1, false), IO_DONE);
	crash_must_put(spool, 2, 700);
	crash_spool_end(&spool);
	crash_explore_all(12);
}

/* After the second failure nothing is taken any more, before the next start. That one
   is shown that the first was declared void: it stays so. */
static void test_two_failures(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_must_put(spool, 0, 3000);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 2, 100), IO_TRANS_FAIL);
	assert_int_equal(crash_put(spool, 3, 100), IO_TRANS_FAIL);
	assert_int_equal(crash_remove(spool, 0), IO_TRANS_FAIL);
	assert_int_equal(crash_version(spool, 0), 1);
	spool_close(&spool);

	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 1), 0);
	crash_must_put(spool, 4, 700);
	crash_note_absent(1);
	crash_spool_end(&spool);
	crash_explore_all(12);
}

/*
 * Processes that are killed
 */

/* What it wrote and never synced the next one finds, and hands out: then it stays. */
static void test_killed_before_sync(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_must_put(spool, 0, 3000);
	crash_kill(CRASH_SYNC_GROUP);
	(void)crash_put(spool, 1, 6000);
	spool_close(&spool);
	assert_true(crash_revive());
	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 1), 1);
	crash_note_stored(1);
	assert_int_equal(crash_rewrite(spool, 1, false), IO_DONE);
	crash_must_put(spool, 2, 700);
	crash_spool_end(&spool);
	crash_explore_all(12);
}

/* The second segment is about to be written anew; all of its tombstones are in the
   first one, which is full and has nothing else. Killed there, the next process must
   not take the new header for written, and the first segment. */
static void kill_in_header(enum crash_sync left_out)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	crash_leave_out(left_out);
	put_large(spool, 0, 6);
	must_remove(spool, 0, 3);
	put_large(spool, 6, 1); /* the first one, written anew */
	must_remove(spool, 3, 3);
	put_large(spool, 7, 1);
	must_remove(spool, 6, 2);
	crash_must_put(spool, 8, 100);
	must_remove(spool, 8, 1);
	/* each was begun once: the second one had been made before */
	assert_int_equal(crash_sync_count(CRASH_SYNC_SEGMENT_HEADER), 2);
	crash_kill(CRASH_SYNC_SEGMENT_HEADER);
	put_large(spool, 9, 1);
	spool_close(&spool);
	assert_true(crash_revive());
	spool = crash_spool_open(test_path("work"));
	put_large(spool, 10, 1);
	crash_spool_end(&spool);
}

static void test_killed_in_header(void **state ATTR_UNUSED)
{
	kill_in_header(CRASH_SYNC_NONE);
	crash_explore_all(4);
}

static void ATTR_UNUSED
test_sync_of_the_start_is_needed(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { 0 };

	kill_in_header(CRASH_SYNC_OPENED);
	crash_must_break(CRASH_SYNC_OPENED, "what was found", &keeping);
	crash_forget();
}

/* Killed while a segment is made, or written anew: what the next process goes on with
   has to be as durable as if it had made it. */
static void test_killed_in_segment(void **state ATTR_UNUSED)
{
	static const enum crash_sync syncs[] = { CRASH_SYNC_SEGMENT_DATA,
						 CRASH_SYNC_SEGMENT_NAME,
						 CRASH_SYNC_SEGMENT_HEADER };
	struct spool *spool;
	unsigned int n, i;

	for (n = 0; n < N_ELEMENTS(syncs); n++) {
		spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);
		crash_must_put(spool, 0, 14000);
		crash_kill(syncs[n]);
		for (i = 1; !crash_is_killed(); i++) {
			crash_must_put(spool, i, 14000);
			assert_int_equal(crash_remove(spool, i - 1), IO_DONE);
		}
		spool_close(&spool);
		assert_true(crash_revive());
		spool = crash_spool_open(test_path("work"));
		for (; i < 20; i++)
			crash_must_put(spool, i, 7000);
		crash_spool_end(&spool);
		crash_explore_all(3);
	}
}

/*
 * Damage
 */

/* In the tail of a footer. */
#define FOOTER (69632 - 10)

static void flip_byte(const char *segment, uint64_t offset)
{
	char path[600];

	(void)snprintf(path, sizeof(path), "%s/journal/%s", test_path("work"),
		       segment);
	test_flip(path, offset);
}

/* A message whose rewrite is damaged is gone: the older version must not come back when
   the segment that had the rewrite is written anew. */
static void test_damaged_rewrite(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	put_large(spool, 0, 3);
	must_put_small(spool, 3, 3);
	/* the second segment: the rewrite, and what is gone with it */
	assert_int_equal(crash_rewrite(spool, 0, false), IO_DONE);
	put_large(spool, 6, 1);
	must_remove(spool, 6, 1);
	put_large(spool, 7, 1);
	must_remove(spool, 7, 1);
	put_large(spool, 8, 1);
	must_remove(spool, 8, 1);
	crash_spool_end(&spool);
	flip_byte("00000002.seg", 4096 + 64 + 20);
	flip_byte("00000002.seg", FOOTER); /* so that it is read whole */

	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 0), 0);
	assert_int_equal(crash_version(spool, 1), 1);
	put_large(spool, 10, 6);
	spool_close(&spool);
	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 0), 0);
	spool_close(&spool);
	crash_forget();
}

/* A tombstone whose target cannot be read still is one. */
static void test_damaged_tombstone(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);

	put_large(spool, 0, 3);
	must_put_small(spool, 3, 3);
	must_remove(spool, 0, 1);
	must_put_small(spool, 6, 1);
	crash_spool_end(&spool);
	flip_byte("00000002.seg", 4096 + 64 + 4);
	flip_byte("00000002.seg", FOOTER);

	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 0), 0);
	assert_int_equal(crash_version(spool, 1), 1);
	spool_close(&spool);
	crash_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_put),
		cmocka_unit_test(test_removal_behind_failed_put),
		cmocka_unit_test(test_failed_removal_behind_failed_put),
		cmocka_unit_test(test_failed_rewrite_and_removal),
		cmocka_unit_test(test_failed_files),
		cmocka_unit_test(test_failed_header),
		cmocka_unit_test(test_large_behind_void),
		cmocka_unit_test(test_failed_segment),
		cmocka_unit_test(test_start_after_failure),
		cmocka_unit_test(test_two_failures),
		cmocka_unit_test(test_killed_before_sync),
		cmocka_unit_test(test_killed_in_header),
		cmocka_unit_test(test_killed_in_segment),
#if TEST_STEP == 1
		cmocka_unit_test(test_sync_of_the_start_is_needed),
#endif
		cmocka_unit_test(test_damaged_rewrite),
		cmocka_unit_test(test_damaged_tombstone),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-journal-faults", tests, NULL,
					   NULL);
}
