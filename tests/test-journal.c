/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal by itself: records, and what fails. What a power cut leaves is
   crash/test-crash-journal.c's. */

#include "config.h"
#include "file-ops.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/*
 * Storing
 */

static void test_stored_and_there_after_reopening(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 0; n < 8; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < 8; n += 4)
		assert_int_equal(test_journal_drop(journal, n), 0);
	for (n = 0; n < 8; n++)
		assert_int_equal(test_journal_has(journal, n), n % 4 != 0);
	journal_close(&journal);
	journal = test_journal_open(true);
	for (n = 0; n < 8; n++)
		assert_int_equal(test_journal_has(journal, n), n % 4 != 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	/* it goes on where it stood */
	assert_int_equal(test_journal_store(journal, 8), 0);
	for (n = 0; n < 9; n++)
		assert_int_equal(test_journal_has(journal, n),
				 n % 4 != 0 || n == 8);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("journal"), 1);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	assert_int_equal(test_journal.warnings, 0);
}

/* Dead segments are written anew: a spool does not grow by what is gone. */
static void test_segments_are_written_anew(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 0; n < 500; n++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		if (n >= 5)
			assert_int_equal(test_journal_drop(journal, n - 5), 0);
	}
	assert_true(test_journal_files_in("journal") <= 3);
	for (n = 0; n < 500; n++)
		assert_int_equal(test_journal_has(journal, n), n >= 495);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 0; n < 500; n++)
		assert_int_equal(test_journal_has(journal, n), n >= 495);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

static void test_too_large_is_refused(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned char *data = calloc(1, TEST_JOURNAL_SEGMENT);
	struct test_journal_put put;

	assert_non_null(data);
	test_journal_make_put(&put, 1, 1);
	put.request.records[0].data = data;
	put.request.records[0].size = TEST_JOURNAL_SEGMENT;
	assert_int_equal(journal_commit(journal, &put.request), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(put.error, EFBIG);
	/* the largest one does go in */
	test_journal_make_put(&put, 2, 1);
	put.request.records[0].data = data;
	put.request.records[0].size = (size_t)journal_max_size(journal);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	assert_int_equal(test_journal_store(journal, 3), 0);
	assert_true(test_journal_has(journal, 3));
	journal_close(&journal);
	free(data);
}

/* Segments were to be smaller: none of them is written anew for what it has no room for. */
static void test_a_segment_that_is_too_small_is_left(void **state ATTR_UNUSED)
{
	static unsigned char data[2 * TEST_JOURNAL_SEGMENT];
	struct journal_settings settings = { .segment_size =
						     4 * TEST_JOURNAL_SEGMENT };
	struct journal *journal = test_journal_new();
	struct test_journal_put put;
	unsigned int n, count = 0;

	while (test_journal_active(journal) < 2)
		assert_int_equal(test_journal_store(journal, count++), 0);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	journal_close(&journal);
	journal = test_journal_open_with(settings);
	test_journal_make_put(&put, count, 1);
	put.request.records[0].data = data;
	put.request.records[0].size = sizeof(data);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	assert_true(journal->active->header.size == settings.segment_size);
	assert_int_equal(test_journal_store(journal, n + 1), 0);
	assert_true(test_journal_has(journal, n + 1));
	journal_close(&journal);
}

/*
 * What fails
 */

/* For one message more. */
static bool has_room(const struct journal *journal)
{
	return journal_segment_has_room(journal->active, journal->active->pos,
					JOURNAL_BLOCK_SIZE, 2);
}

static void test_a_failed_sync_is_void(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_FDATASYNC, TEST_OP_WRITE };
	struct spool_stats stats;
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		test_faults_begin();
		test_faults.fail_at[ops[i]] = 1;
		test_faults.fail_errno[ops[i]] = EIO;
		assert_int_equal(test_journal_store(journal, 2), EIO);
		test_faults_end();
		assert_false(test_journal_has(journal, 2));
		assert_int_equal(test_journal_store(journal, 3), 0);
		assert_int_equal(journal_get_stats(journal, &stats), 0);
		assert_int_equal(stats.failed_groups, 1);
		assert_int_equal(stats.group_changes[0], 2);
		/* and what says so, for nobody */
		assert_int_equal(test_journal_sum(stats.sync_usecs), 3);
		journal_close(&journal);
		journal = test_journal_open(false);
		assert_true(test_journal_has(journal, 1));
		/* its bytes may well be there: nobody was promised them */
		assert_false(test_journal_has(journal, 2));
		assert_true(test_journal_has(journal, 3));
		assert_int_equal(test_journal_store(journal, 4), 0);
		journal_close(&journal);
		assert_int_equal(test_journal_files_in("journal"), 2);
		assert_int_equal(test_journal_files_in("quarantine"), 0);
	}
}

/* A group that fills its blocks has no padding: what is void ends with its last record. */
static void
test_a_failed_group_without_padding_is_void(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned char data[JOURNAL_BLOCK_SIZE] = { 0 };
	struct test_journal_put put;
	uint64_t end;

	assert_int_equal(test_journal_store(journal, 1), 0);
	end = journal->active->pos + JOURNAL_BLOCK_SIZE;
	test_journal_make_put(&put, 2, 1);
	put.request.records[0].data = data;
	put.request.records[0].stack = NULL;
	/* its headers take two units */
	put.request.records[0].size =
		JOURNAL_BLOCK_SIZE - JOURNAL_HEADER_SIZE - 2 * JOURNAL_ALIGN;
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(journal_commit(journal, &put.request), -1);
	test_faults_end();
	assert_int_equal((uint64_t)put.request.records[1].place.offset *
					 JOURNAL_ALIGN +
				 2 * JOURNAL_ALIGN,
			 end);
	assert_int_equal(test_journal_store(journal, 3), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	assert_false(test_journal_has(journal, 2));
	assert_true(test_journal_has(journal, 3));
	journal_close(&journal);
}

static void test_two_failures_are_enough(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(test_journal_store(journal, 2), EIO);
	test_faults.calls[TEST_OP_FDATASYNC] = 0;
	/* the next segment is made, and then its first group fails */
	test_faults.fail_at[TEST_OP_FDATASYNC] = 2;
	assert_int_equal(test_journal_store(journal, 3), EIO);
	test_faults_end();
	assert_int_equal(test_journal.warnings, 1);
	assert_int_equal(test_journal_store(journal, 4), EIO);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	assert_int_equal(test_journal_store(journal, 5), 0);
	journal_close(&journal);
}

/* A full disk: no segment can be made, and nothing is left of the try. */
static void test_a_full_disk(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_WRITE,
					    TEST_OP_FDATASYNC, TEST_OP_RENAME,
					    TEST_OP_FSYNC_DIR };
	struct journal *journal = test_journal_new();
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		test_faults_begin();
		test_faults.fail_at[ops[i]] = 1;
		test_faults.fail_errno[ops[i]] = ENOSPC;
		assert_int_equal(test_journal_store(journal, 1), ENOSPC);
		test_faults_end();
		assert_int_equal(test_journal_files_in("journal"), 0);
	}
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

/* A group is written in as many pieces as the kernel takes it in. */
static void test_short_writes(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	assert_int_equal(test_journal_store(journal, 0), 0);
	test_faults_begin();
	test_faults.max_write = 7;
	for (n = 1; n < 5; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	test_faults_end();
	for (n = 0; n < 5; n++)
		assert_true(test_journal_has(journal, n));
	journal_close(&journal);
}

static ssize_t write_nothing(int fd ATTR_UNUSED,
			     const struct iovec *iov ATTR_UNUSED,
			     int count ATTR_UNUSED, off_t offset ATTR_UNUSED)
{
	errno = 0;
	return 0;
}

/* As where there is no space, and no reason is told. */
static void test_writes_that_write_nothing(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct file_ops ops = file_ops_system;

	assert_int_equal(test_journal_store(journal, 0), 0);
	ops.pwritev = write_nothing;
	file_ops_set(&ops);
	assert_int_equal(test_journal_store(journal, 1), ENOSPC);
	file_ops_set(NULL);
	assert_false(test_journal_has(journal, 1));
	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
}

/* Fills the first segment, and the second one with the tombstones of all that was in the
   first. How many were stored; *kept_r is the first one that stays. */
static unsigned int fill_two(struct journal *journal, unsigned int *kept_r)
{
	const struct journal_segment *old;
	unsigned int n = 0, i;

	assert_int_equal(test_journal_store(journal, n++), 0);
	for (old = journal->active; journal->active == old; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	*kept_r = n - 1;
	for (i = 0; i < *kept_r; i++)
		assert_int_equal(test_journal_drop(journal, i), 0);
	while (has_room(journal))
		assert_int_equal(test_journal_store(journal, n++), 0);
	return n;
}

/* The header of the next segment cannot be written, and its file gets another name. Until that
   is durable the tombstones of what was in it are needed, and its blocks. */
static void test_a_name_that_is_not_synced(void **state ATTR_UNUSED)
{
	static const int errors[] = { 0, EIO };
	struct journal *journal;
	unsigned int n, kept;
	struct stat st;
	size_t i;

	for (i = 0; i < N_ELEMENTS(errors); i++) {
		journal = test_journal_new();
		n = fill_two(journal, &kept);
		assert_int_equal(journal->segments[2]->outlives_count, 1);
		test_faults_begin();
		/* behind the footer of the one that is full */
		test_faults.fail_at[TEST_OP_WRITE] = 2;
		test_faults.fail_errno[TEST_OP_WRITE] = EIO;
		test_faults.fail_at[TEST_OP_FSYNC_DIR] = errors[i] != 0;
		test_faults.fail_errno[TEST_OP_FSYNC_DIR] = errors[i];
		assert_int_equal(test_journal_store(journal, n), 0);
		/* and a new one is made */
		assert_int_equal(test_faults.calls[TEST_OP_RENAME], 2);
		test_faults_end();
		assert_int_equal(journal->segments[2]->outlives_count,
				 errors[i] != 0);
		assert_int_equal(fstatat(test_journal.dir_fd,
					 "journal/00000001.gone", &st, 0),
				 0);
		assert_int_equal(st.st_size,
				 errors[i] != 0 ? TEST_JOURNAL_SEGMENT : 0);
		journal_close(&journal);
	}
}

/* The header of the next segment cannot be written, and the file keeps its name: what
   was in it is still there, and its tombstones have to be, too. */
static void test_a_segment_that_stays_what_it_was(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	const struct journal_segment *old;
	unsigned int n = 0, i, tries;

	assert_int_equal(test_journal_store(journal, n++), 0);
	for (old = journal->active; journal->active == old; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (i = 0; i + 1 < n; i++)
		assert_int_equal(test_journal_drop(journal, i), 0);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_RENAME] = 1;
	test_faults.fail_errno[TEST_OP_RENAME] = EIO;
	for (tries = 0; test_faults.calls[TEST_OP_RENAME] == 0; tries++) {
		/* a message that is in the way, and the write behind it */
		assert_int_equal(test_journal_store(journal, n++), 0);
		test_faults.calls[TEST_OP_WRITE] = 0;
		test_faults.fail_at[TEST_OP_WRITE] = has_room(journal) ? 0 : 2;
		test_faults.fail_errno[TEST_OP_WRITE] = EIO;
		assert_true(tries < 100);
	}
	test_faults_end();
	for (i = n - tries - 1; i < n; i++)
		assert_int_equal(test_journal_drop(journal, i), 0);
	/* time enough to write others anew */
	for (i = 0; i < 100; i++, n++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		assert_int_equal(test_journal_drop(journal, n), 0);
	}
	journal_close(&journal);
	journal = test_journal_open(false);
	for (i = 0; i < 10; i++)
		assert_false(test_journal_has(journal, i));
	journal_close(&journal);
}

/* The next segment is dead, and its header cannot be written. Where the disk fails, or is full,
   it is one no more; where the program was told to end it stays. It is not missing in any case,
   and nothing comes back. */
static void test_a_header_that_is_not_written(void **state ATTR_UNUSED)
{
	static const struct {
		int error;
		unsigned int gone;
	} rows[] = { { ECANCELED, 0 }, { EIO, 1 }, { ENOSPC, 1 } };
	struct journal *journal;
	unsigned int n, i, r, kept;

	for (r = 0; r < N_ELEMENTS(rows); r++) {
		journal = test_journal_new();
		n = fill_two(journal, &kept);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_WRITE] = 1;
		test_faults.fail_errno[TEST_OP_WRITE] = rows[r].error;
		test_faults.fail_after = true;
		assert_int_not_equal(test_journal_store(journal, n), 0);
		test_faults_end();
		assert_int_equal(test_journal_files_in("journal"), 3);
		journal_close(&journal);
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
		journal = test_journal_open(false);
		assert_false(journal->damaged);
		assert_int_equal(journal->given_up_count, rows[r].gone);
		for (i = 0; i <= n; i++)
			assert_int_equal(test_journal_has(journal, i),
					 i >= kept && i < n);
		journal_close(&journal);
	}
}

/* After two failures in a row nothing is taken, until later a probe succeeds: what had
   failed is void then. */
static void test_a_probe_ends_the_refusal(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	assert_int_equal(test_journal_store(journal, 1), 0);
	for (n = 2; n < 4; n++) {
		test_faults_begin();
		/* the group's, and the one that is to say what is void */
		test_faults.fail_at[TEST_OP_FDATASYNC] = n == 2 ? 1 : 2;
		test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
		assert_int_equal(test_journal_store(journal, n), EIO);
		test_faults_end();
	}
	assert_int_equal(test_journal.warnings, 1);
	assert_int_equal(test_journal_store(journal, 4), EIO);
	assert_int_equal(test_journal_drop(journal, 1), EIO);
	assert_true(test_journal_has(journal, 1));
	journal->probe_at = 0;
	assert_int_equal(test_journal_store(journal, 5), 0);
	assert_int_equal(test_journal.warnings, 2);
	for (n = 1; n < 6; n++)
		assert_int_equal(test_journal_has(journal, n),
				 n == 1 || n == 5);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 1; n < 6; n++)
		assert_int_equal(test_journal_has(journal, n),
				 n == 1 || n == 5);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/*
 * What it took
 */

static int slow_fdatasync(int fd)
{
	uint64_t until = journal_now_usecs() + 1000;

	while (journal_now_usecs() < until)
		;
	return file_ops_system.fdatasync(fd);
}

static void test_how_long_a_sync_took(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct file_ops ops = file_ops_system;
	struct spool_stats stats;
	unsigned int i;

	/* not that of a segment, which is nobody's */
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(journal_get_stats(journal, &stats), 0);
	assert_int_equal(test_journal_sum(stats.sync_usecs), 1);
	ops.fdatasync = slow_fdatasync;
	file_ops_set(&ops);
	assert_int_equal(test_journal_store(journal, 2), 0);
	file_ops_set(NULL);
	assert_int_equal(journal_get_stats(journal, &stats), 0);
	/* 512 and more */
	for (i = 0; i < 9; i++)
		stats.sync_usecs[i] = 0;
	assert_in_range(test_journal_sum(stats.sync_usecs), 1, 2);
	/* nor is it more than half an hour */
	assert_int_equal(stats.sync_usecs[SPOOL_HISTOGRAM_SIZE - 1], 0);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stored_and_there_after_reopening),
		cmocka_unit_test(test_segments_are_written_anew),
		cmocka_unit_test(test_too_large_is_refused),
		cmocka_unit_test(test_a_segment_that_is_too_small_is_left),
		cmocka_unit_test(test_a_failed_sync_is_void),
		cmocka_unit_test(test_a_failed_group_without_padding_is_void),
		cmocka_unit_test(test_two_failures_are_enough),
		cmocka_unit_test(test_a_full_disk),
		cmocka_unit_test(test_short_writes),
		cmocka_unit_test(test_writes_that_write_nothing),
		cmocka_unit_test(test_a_name_that_is_not_synced),
		cmocka_unit_test(test_a_segment_that_stays_what_it_was),
		cmocka_unit_test(test_a_header_that_is_not_written),
		cmocka_unit_test(test_a_probe_ends_the_refusal),
		cmocka_unit_test(test_how_long_a_sync_took),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
