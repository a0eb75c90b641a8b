/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a start and a repair make of segments that are missing, and of those whose end is.
   */

#include "config.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* That a segment is missing, or its end, a reader names, until a repair has told of it. */
static void test_what_is_missing_is_damage(void **state ATTR_UNUSED)
{
	const struct journal_damage *damage;
	struct journal *journal;
	unsigned int i, n;

	for (i = 0; i < 2; i++) {
		journal = test_journal_new();
		n = 0;
		while (test_journal_active(journal) < 3)
			assert_int_equal(test_journal_store(journal, n++), 0);
		journal_close(&journal);
		/* between two groups */
		if (i == 0)
			assert_int_equal(unlink(test_journal_segment(2)), 0);
		else
			test_journal_cut(2, 5 * JOURNAL_BLOCK_SIZE);
		journal = test_journal_open(true);
		damage = journal_get_damage(journal);
		assert_non_null(damage);
		assert_int_equal(damage->segment, 2);
		assert_int_equal(damage->offset,
				 i == 0 ? 0 : 5 * JOURNAL_BLOCK_SIZE);
		assert_null(damage->next);
		journal_close(&journal);
		journal = test_journal_repair(false);
		assert_int_equal(test_journal.warnings, 1);
		assert_int_equal(test_journal_store(journal, n), 0);
		journal_close(&journal);
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		assert_true(test_journal_has(journal, 0));
		assert_true(test_journal_has(journal, n));
		journal_close(&journal);
	}
}

/* Of a segment's file. */
static off_t size_of(unsigned int segment)
{
	struct stat st;

	assert_int_equal(stat(test_journal_segment(segment), &st), 0);
	return st.st_size;
}

/* The last segment, where the next record goes, is cut at every block, and in each:
   what is there stays, and the loss is told once. */
static void lose_end(uint64_t size, bool repaired)
{
	struct journal *journal = test_journal_new();
	unsigned int n, there = 0;

	for (n = 0; n < 5; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	test_journal_cut(1, size);
	journal = repaired ? test_journal_repair(false) :
			     test_journal_open(false);
	assert_true(test_journal.warnings > 0);
	for (n = 0; n < 5; n++)
		there += test_journal_has(journal, n) ? 1 : 0;
	assert_int_equal(there,
			 size < 2 * JOURNAL_BLOCK_SIZE ?
				 0 :
				 size / JOURNAL_BLOCK_SIZE - 1);
	journal_close(&journal);
	assert_int_equal(size_of(1), TEST_JOURNAL_SEGMENT);

	test_journal.warnings = 0;
	for (n = 5; n < 8; n++) {
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
		journal = test_journal_open(false);
		assert_int_equal(test_journal_store(journal, n), 0);
		journal_close(&journal);
	}
	assert_int_equal(test_journal.warnings, 0);
	journal = test_journal_open(true);
	assert_null(journal_get_damage(journal));
	for (n = 0, there += 3; n < 8; n++)
		there -= test_journal_has(journal, n) ? 1 : 0;
	assert_int_equal(there, 0);
	journal_close(&journal);
}

static void test_a_cut_segment_is_told_of_once(void **state ATTR_UNUSED)
{
	unsigned int i, blocks;

	for (i = 0; i < 2; i++) {
		/* what is left of a first block is enough to know that it had some */
		lose_end(JOURNAL_HEADER_SIZE, i > 0);
		lose_end(JOURNAL_BLOCK_SIZE - 1, i > 0);
		for (blocks = 1; blocks < 6; blocks++) {
			lose_end(blocks * JOURNAL_BLOCK_SIZE, i > 0);
			lose_end(blocks * JOURNAL_BLOCK_SIZE + 100, i > 0);
		}
	}
}

/* And one. */
#define END_BLOCKS (TEST_JOURNAL_SEGMENT / JOURNAL_BLOCK_SIZE - 2 + 1)

/* The first segment's blocks behind its end. */
static struct {
	bool fail;
	ino_t inode;
	off_t from, next;    /* where they begin, and end so far */
	unsigned int synced; /* when all were there */
} end;

static bool is_first(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_ino == end.inode;
}

static ssize_t watching_pwritev(int fd, const struct iovec *iov, int count,
				off_t offset)
{
	struct iovec first = *iov;
	ssize_t ret;

	if (!is_first(fd) || offset < end.from ||
	    end.next == TEST_JOURNAL_SEGMENT)
		return file_ops_system.pwritev(fd, iov, count, offset);
	/* by then a reader would take the reason for granted */
	assert_int_equal(test_journal_files_in("quarantine"), 1);
	assert_int_equal(offset, end.next);
	if (end.fail && offset > end.from) {
		errno = EIO;
		return -1;
	}
	assert_int_equal(count, 1);
	if (end.fail)
		first.iov_len = JOURNAL_BLOCK_SIZE;
	ret = file_ops_system.pwritev(fd, &first, 1, offset);
	if (ret > 0)
		end.next += ret;
	return ret;
}

static int watching_fdatasync(int fd)
{
	if (is_first(fd) && end.next == TEST_JOURNAL_SEGMENT)
		end.synced++;
	return file_ops_system.fdatasync(fd);
}

/* A journal of one message, whose segment ends behind that. */
static void lose_blocks(void)
{
	static struct file_ops ops;
	struct journal *journal = test_journal_new();
	struct stat st;

	assert_int_equal(test_journal_store(journal, 0), 0);
	journal_close(&journal);
	assert_int_equal(stat(test_journal_segment(1), &st), 0);
	end.inode = st.st_ino;
	end.from = end.next = 2 * JOURNAL_BLOCK_SIZE;
	end.synced = 0;
	test_journal_cut(1, (uint64_t)end.from);
	ops = file_ops_system;
	ops.pwritev = watching_pwritev;
	ops.fdatasync = watching_fdatasync;
	ops.fstatvfs = test_telling_fstatvfs;
	test_told.fails = false;
	test_told.blocks = 1000;
	file_ops_set(&ops);
}

static void tell_space(uint64_t blocks)
{
	test_told.for_all = test_told.for_root = blocks;
}

/* As a new segment has them: a file that is only made long gets them when it is written, where
   there may be no space any more. */
static void test_what_was_cut_has_its_blocks_again(void **state ATTR_UNUSED)
{
	struct journal *journal;

	lose_blocks();
	tell_space(END_BLOCKS);
	journal = test_journal_open(false);
	assert_int_equal(end.next, TEST_JOURNAL_SEGMENT);
	assert_int_equal(end.synced, 1);
	assert_false(journal->segments[1]->cut);
	assert_true(test_journal_has(journal, 0));
	journal_close(&journal);
	/* and goes on */
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(journal->active->header.number, 1);
	journal_close(&journal);
	file_ops_set(NULL);
}

/* What cannot be given its blocks is not written in, whatever becomes of its messages, and is
   told of again, in the same place. */
static void test_a_cut_segment_that_stays(void **state ATTR_UNUSED)
{
	struct journal *journal;
	unsigned int i, n;

	for (i = 0; i < 2; i++) {
		lose_blocks();
		end.fail = i == 0;
		tell_space(i == 0 ? END_BLOCKS : END_BLOCKS - 1);
		journal = test_journal_open(false);
		assert_true(journal->segments[1]->cut);
		assert_int_equal(size_of(1), end.from);
		end.fail = false;
		tell_space(900);
		assert_int_equal(test_journal_store(journal, 1), 0);
		assert_int_not_equal(test_journal_active(journal), 1);
		assert_int_equal(test_journal_drop(journal, 0), 0);
		n = 2;
		test_journal_pass(journal, &n, 100);
		test_journal_compact(journal);
		assert_int_equal(size_of(1), end.from);
		assert_true(test_journal_has(journal, n - 1));
		journal_close(&journal);
		/* a writer has told of it */
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
		end.next = end.from;
		journal = test_journal_open(false);
		assert_int_equal(end.synced, 1);
		assert_int_equal(test_journal_files_in("quarantine"), 1);
		assert_true(test_journal_has(journal, n - 1));
		journal_close(&journal);
		file_ops_set(NULL);
	}
}

static ssize_t pwritev_without_sync(int fd, const struct iovec *iov, int count,
				    off_t offset)
{
	if (is_first(fd) && offset >= end.from)
		test_faults.fail_at[TEST_OP_FDATASYNC] =
			test_faults.calls[TEST_OP_FDATASYNC] + 1;
	return file_ops_system.pwritev(fd, iov, count, offset);
}

/* Blocks that the disk may not have are none. */
static void test_blocks_that_are_not_synced(void **state ATTR_UNUSED)
{
	struct journal *journal;
	struct file_ops ops;

	lose_blocks();
	tell_space(900);
	test_faults_begin();
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	ops = *file_ops();
	ops.pwritev = pwritev_without_sync;
	file_ops_set(&ops);
	journal = test_journal_open(false);
	test_faults_end();
	assert_true(journal->segments[1]->cut);
	assert_int_equal(size_of(1), end.from);
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(journal->active->header.number, 2);
	journal_close(&journal);
}

/* As long as the loss could not be noted, each start finds it. */
static void test_a_cut_segment_that_is_not_told_of(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 0), 0);
	journal_close(&journal);
	test_journal_cut(1, 2 * JOURNAL_BLOCK_SIZE);
	assert_int_equal(
		unlinkat(test_journal.dir_fd, "quarantine", AT_REMOVEDIR), 0);
	journal = test_journal_open(false);
	journal_close(&journal);
	assert_int_equal(size_of(1), 2 * JOURNAL_BLOCK_SIZE);
	assert_int_equal(mkdirat(test_journal.dir_fd, "quarantine", 0700), 0);
	journal = test_journal_open(false);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 1);
	assert_int_equal(size_of(1), TEST_JOURNAL_SEGMENT);
}

/* All that are cut get their length again at once. */
static void test_several_cut_segments(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int i, n = 0;

	while (test_journal_active(journal) < 4)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	for (i = 1; i < 4; i++) {
		test_journal_cut(i, 5 * JOURNAL_BLOCK_SIZE);
	}
	journal = test_journal_open(false);
	for (i = 1; i < 4; i++) {
		assert_int_equal(size_of(i), TEST_JOURNAL_SEGMENT);
		assert_false(journal->segments[i]->cut);
	}
	journal_close(&journal);
}

/* What is aside of one segment says nothing of another, and a record of it nothing of all
   of it: both are missing, and readers say so until a writer has told of them. */
static void test_what_is_known_to_be_missing(void **state ATTR_UNUSED)
{
	const struct journal_damage *damage;
	struct journal *journal = test_journal_new();
	unsigned int n = 0, lost, aside;

	while (test_journal_active(journal) < 4)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	/* a record of the last one is aside, of which nobody knows whose it was */
	test_journal_flip_in(3, JOURNAL_BLOCK_SIZE + 10);
	test_journal_flip_in(3, TEST_JOURNAL_SEGMENT - 10);
	journal = test_journal_open(false);
	assert_true(test_journal_files_in("quarantine") > 0);
	journal_close(&journal);
	for (lost = 2; lost < 4; lost++) {
		assert_int_equal(unlink(test_journal_segment(lost)), 0);
		journal = test_journal_open(true);
		damage = journal_get_damage(journal);
		assert_non_null(damage);
		assert_int_equal(damage->segment, lost);
		assert_null(damage->next);
		journal_close(&journal);
		journal = test_journal_repair(false);
		journal_close(&journal);
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
	}
	/* one that was put aside is not missing: the file, and why */
	aside = test_journal_files_in("quarantine");
	test_journal_flip(20);
	journal = test_journal_repair(false);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), aside + 2);
	journal = test_journal_open(true);
	assert_null(journal_get_damage(journal));
	journal_close(&journal);
}

/* Writes in three segments, and closes it: the number of the first. */
static unsigned int fill_three(struct journal **journal)
{
	unsigned int n = 0, first;

	assert_int_equal(test_journal_store(*journal, n++), 0);
	first = test_journal_active(*journal);
	while (test_journal_active(*journal) < first + 2)
		assert_int_equal(test_journal_store(*journal, n++), 0);
	journal_close(journal);
	return first;
}

/* Its file goes, and a reader names it, and nothing else. */
static void lose_segment(unsigned int number)
{
	const struct journal_damage *damage;
	struct journal *journal;

	assert_int_equal(unlink(test_journal_segment(number)), 0);
	journal = test_journal_open(true);
	damage = journal_get_damage(journal);
	assert_non_null(damage);
	assert_int_equal(damage->segment, number);
	assert_null(damage->next);
	journal_close(&journal);
}

/* The only segment was put aside, and the next one gets lost: that is another one, of which
   nobody has told. */
static void test_what_came_behind_one_that_is_aside(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int lost;

	assert_int_equal(test_journal_store(journal, 5000), 0);
	journal_close(&journal);
	test_journal_flip(20);
	journal = test_journal_repair(false);
	journal_close(&journal);
	journal = test_journal_open(false);
	lost = fill_three(&journal);
	lose_segment(lost);
}

/* The only segment was given up, and the power went before its blocks were given back: a start
   does that. Nor does the next one get its number: where that is lost, it is another one. */
static void
test_what_came_behind_one_that_was_given_up(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int lost;
	struct stat st;

	assert_int_equal(test_journal_store(journal, 5000), 0);
	journal_close(&journal);
	assert_int_equal(renameat(test_journal.dir_fd, "journal/00000001.seg",
				  test_journal.dir_fd, "journal/00000001.gone"),
			 0);
	journal = test_journal_open(true);
	assert_null(journal_get_damage(journal));
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_int_equal(fstatat(test_journal.dir_fd, "journal/00000001.gone",
				 &st, 0),
			 0);
	assert_int_equal(st.st_size, 0);
	assert_false(test_journal_has(journal, 5000));
	lost = fill_three(&journal);
	journal = test_journal_repair(false);
	assert_int_equal(test_journal.warnings, 0);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	journal_close(&journal);
	lose_segment(lost);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_missing_is_damage),
		cmocka_unit_test(test_a_cut_segment_is_told_of_once),
		cmocka_unit_test(test_what_was_cut_has_its_blocks_again),
		cmocka_unit_test(test_a_cut_segment_that_stays),
		cmocka_unit_test(test_blocks_that_are_not_synced),
		cmocka_unit_test(test_a_cut_segment_that_is_not_told_of),
		cmocka_unit_test(test_several_cut_segments),
		cmocka_unit_test(test_what_is_known_to_be_missing),
		cmocka_unit_test(test_what_came_behind_one_that_is_aside),
		cmocka_unit_test(test_what_came_behind_one_that_was_given_up),
	};

	return cmocka_run_group_tests_name("journal-missing", tests, NULL,
					   NULL);
}
