/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a start and a repair make of segments whose first block is damaged, or cannot be
   read. */

#include "config.h"
#include "test-journal-common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void must_not_open(bool repair, int error, const char *says)
{
	struct journal_settings settings = {
		.segment_size = TEST_JOURNAL_SEGMENT, .repair = repair
	};
	char *text;

	assert_null(journal_open(test_journal.dir_fd, test_journal.dir,
				 &settings, &text));
	assert_int_equal(errno, error);
	assert_non_null(strstr(text, says));
	free(text);
}

static void test_first_blocks(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_journal_flip(20);
	must_not_open(false, EBADMSG, "segment 1 is damaged");
	test_journal_flip(20);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

/* A file that was renamed would be taken for the segment that its header names, which
   may be there as well. */
static void test_a_segment_under_another_name(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	int fd;

	assert_int_equal(test_journal_store(journal, 1), 0);
	fd = dup(journal->fd);
	journal_close(&journal);
	assert_int_equal(renameat(fd, "00000001.seg", fd, "00000002.seg"), 0);
	must_not_open(false, EBADMSG, "segment 2 is damaged");
	assert_int_equal(renameat(fd, "00000002.seg", fd, "00000001.seg"), 0);
	assert_int_equal(close(fd), 0);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

/* A disk that fails is no damage: nothing is put aside, and the next try finds all. */
static void test_a_first_block_that_cannot_be_read(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	must_not_open(true, EIO, "reading segment 1 failed");
	test_faults_end();
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	journal = test_journal_repair(false);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

/* The only segment, the first and the last one of several. */
static void test_a_damaged_segment_is_put_aside(void **state ATTR_UNUSED)
{
	const struct journal_damage *damage;
	struct journal *journal;

	journal = test_journal_new();
	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_journal_flip(20);
	journal = test_journal_repair(true);
	assert_false(test_journal_has(journal, 1));
	damage = journal_get_damage(journal);
	assert_non_null(damage);
	assert_int_equal(damage->segment, 1);
	assert_int_equal(damage->offset, 0);
	assert_null(damage->next);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	journal = test_journal_repair(false);
	assert_false(test_journal_has(journal, 1));
	assert_int_equal(test_journal.warnings, 1);
	/* the file, and why */
	assert_int_equal(test_journal_files_in("quarantine"), 2);
	assert_int_equal(test_journal_files_in("journal"), 0);
	assert_int_equal(test_journal_store(journal, 2), 0);
	journal_close(&journal);
	journal = test_journal_open(true);
	assert_true(test_journal_has(journal, 2));
	assert_null(journal_get_damage(journal));
	journal_close(&journal);
	/* that one has a number of its own */
	test_journal_flip_in(2, 20);
	journal = test_journal_repair(false);
	assert_int_equal(test_journal_files_in("quarantine"), 4);
	journal_close(&journal);
}

/* By who takes it out of quarantine without having mended it. */
static void test_a_segment_that_comes_back_damaged(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	int fd;

	assert_int_equal(test_journal_store(journal, 1), 0);
	fd = dup(journal->fd);
	journal_close(&journal);
	test_journal_flip(20);
	assert_int_equal(
		linkat(fd, "00000001.seg", test_journal.dir_fd, "copy", 0), 0);
	journal = test_journal_repair(false);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 2);
	assert_int_equal(
		renameat(test_journal.dir_fd, "copy", fd, "00000001.seg"), 0);
	assert_int_equal(close(fd), 0);
	journal = test_journal_repair(false);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 4);
}

static struct {
	bool renamed;
	unsigned int synced; /* 1: quarantine, 2: journal */
} aside;

static int noting_renameat2(int old_dir_fd, const char *old_path,
			    int new_dir_fd, const char *new_path,
			    unsigned int flags)
{
	aside.renamed = aside.renamed ||
		(strncmp(new_path, "quarantine/", 11) == 0 &&
		 strcmp(new_path + strlen(new_path) - 4, ".seg") == 0);
	return file_ops_system.renameat2(old_dir_fd, old_path, new_dir_fd,
					 new_path, flags);
}

static int noting_fsync_dir(int dir_fd)
{
	static const char *const names[] = { "quarantine", "journal" };
	struct stat synced, st;
	unsigned int i;

	assert_int_equal(fstat(dir_fd, &synced), 0);
	for (i = 0; i < N_ELEMENTS(names) && aside.renamed; i++) {
		assert_int_equal(fstatat(test_journal.dir_fd, names[i], &st, 0),
				 0);
		if (st.st_ino == synced.st_ino)
			aside.synced |= 1u << i;
	}
	return file_ops_system.fsync_dir(dir_fd);
}

/* Both names: else a power cut might bring it back, or leave it nowhere. */
static void test_what_is_put_aside_is_durable(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_journal_flip(20);
	ops.renameat2 = noting_renameat2;
	ops.fsync_dir = noting_fsync_dir;
	file_ops_set(&ops);
	journal = test_journal_repair(false);
	file_ops_set(NULL);
	assert_true(aside.renamed);
	assert_int_equal(aside.synced, 3);
	journal_close(&journal);
}

static int failing_renameat2(int old_dir_fd, const char *old_path,
			     int new_dir_fd, const char *new_path,
			     unsigned int flags)
{
	if (strcmp(old_path, "00000001.seg") != 0)
		return file_ops_system.renameat2(old_dir_fd, old_path,
						 new_dir_fd, new_path, flags);
	errno = EIO;
	return -1;
}

/* Only the first one behind the rename. */
static int failing_fsync_dir(int dir_fd)
{
	if (!aside.renamed || aside.synced++ > 0)
		return file_ops_system.fsync_dir(dir_fd);
	errno = EIO;
	return -1;
}

static int plain_renameat2(int old_dir_fd, const char *old_path, int new_dir_fd,
			   const char *new_path, unsigned int flags)
{
	if (flags == 0)
		return file_ops_system.renameat2(old_dir_fd, old_path,
						 new_dir_fd, new_path, 0);
	errno = EINVAL;
	return -1;
}

/* As NFS and others: nothing is replaced there either, and the file goes. */
static void test_where_rename_may_replace(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	test_journal_flip(20);
	ops.renameat2 = plain_renameat2;
	file_ops_set(&ops);
	journal = test_journal_repair(false);
	file_ops_set(NULL);
	assert_int_equal(test_journal_files_in("quarantine"), 2);
	assert_int_equal(test_journal_files_in("journal"), 0);
	journal_close(&journal);
}

/* Who cannot put it aside does not go on without it: the next repair does. */
static void test_what_cannot_be_put_aside(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		journal_close(&journal);
		test_journal_flip(20);
		aside.renamed = false;
		aside.synced = 0;
		ops.renameat2 = i == 0 ? failing_renameat2 : noting_renameat2;
		ops.fsync_dir = failing_fsync_dir;
		file_ops_set(&ops);
		must_not_open(true, EIO, "putting aside segment 1 failed");
		file_ops_set(NULL);
		assert_int_equal(test_journal_files_in("journal"), 1 - i);
		/* no reason without a file */
		assert_int_equal(test_journal_files_in("quarantine"), 2 * i);
		journal = test_journal_repair(false);
		assert_int_equal(test_journal_files_in("journal"), 0);
		journal_close(&journal);
	}
}

static void test_a_damaged_segment_among_others(void **state ATTR_UNUSED)
{
	const struct journal_damage *damage;
	struct journal *journal = test_journal_new();
	unsigned int n, there = 0;

	for (n = 0; test_journal_files_in("journal") < 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	test_journal_flip(20);
	/* a reader comes across it three times, and tells of it once */
	journal = test_journal_repair(true);
	damage = journal_get_damage(journal);
	assert_non_null(damage);
	assert_null(damage->next);
	assert_non_null(strstr(damage->why, "first block"));
	journal_close(&journal);
	journal = test_journal_repair(false);
	assert_int_equal(test_journal_files_in("journal"), 2);
	assert_false(test_journal_has(journal, 0));
	assert_true(test_journal_has(journal, n - 1));
	for (n = 0; n < 1000; n++)
		there += test_journal_has(journal, n) ? 1 : 0;
	assert_true(there > 1);
	assert_int_equal(test_journal_store(journal, 1000), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1000));
	for (n = 0; n < 1000; n++)
		there -= test_journal_has(journal, n) ? 1 : 0;
	assert_int_equal(there, 0);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_blocks),
		cmocka_unit_test(test_a_segment_under_another_name),
		cmocka_unit_test(test_a_first_block_that_cannot_be_read),
		cmocka_unit_test(test_a_damaged_segment_is_put_aside),
		cmocka_unit_test(test_a_segment_that_comes_back_damaged),
		cmocka_unit_test(test_what_is_put_aside_is_durable),
		cmocka_unit_test(test_where_rename_may_replace),
		cmocka_unit_test(test_what_cannot_be_put_aside),
		cmocka_unit_test(test_a_damaged_segment_among_others),
	};

	return cmocka_run_group_tests_name("journal-damage-segments", tests,
					   NULL, NULL);
}
