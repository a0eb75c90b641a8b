/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Segments that gave their blocks back, and get them again; and how they are to stay. */

#include "config.h"
#include "file-ops.h"
#include "test-journal-common.h"

#include <errno.h>

#define COUNT 300u

/* A journal whose messages went, and a segment of it whose blocks were given back. */
static struct journal *new_emptied(struct journal_segment **cut_r)
{
	struct journal *journal = test_journal_new();
	uint64_t moved;
	unsigned int n;

	for (n = 0; n < COUNT; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < COUNT; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	for (n = 1; n < journal->segment_end && !journal->segments[n]->cut;)
		n++;
	assert_true(n < journal->segment_end);
	*cut_r = journal->segments[n];
	return journal;
}

/* One whose blocks were given back is as good as a new file. */
static void test_blocks_again_ahead(void **state ATTR_UNUSED)
{
	struct journal_segment *segment;
	struct journal *journal = new_emptied(&segment);
	struct spool_stats before, after;
	unsigned int n = COUNT;

	/* those that keep their blocks are written */
	assert_int_equal(journal_get_stats(journal, &before), 0);
	assert_true(before.cut_segments > 0);
	while (before.blank_segments > 0) {
		assert_int_equal(test_journal_store(journal, n++), 0);
		assert_int_equal(journal_get_stats(journal, &before), 0);
	}
	journal_segment_make_ahead(journal);
	assert_int_equal(journal_get_stats(journal, &after), 0);
	assert_int_equal(after.cut_segments, before.cut_segments - 1);
	assert_int_equal(after.blank_segments, 1);
	/* and none beside it */
	journal_segment_make_ahead(journal);
	assert_int_equal(journal_get_stats(journal, &after), 0);
	assert_int_equal(after.cut_segments, before.cut_segments - 1);
	journal_close(&journal);
	/* which a reader does not take for damage */
	journal = test_journal_open(true);
	assert_null(journal_get_damage(journal));
	assert_int_equal(journal_get_stats(journal, &after), 0);
	assert_true(after.cut_segments > 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, n - 1));
	journal_close(&journal);
}

/* The file that was written last, and whether that is on the disk. */
static struct {
	int fd;
	bool synced;
} last_written;

static ssize_t noting_pwritev(int fd, const struct iovec *iov, int count,
			      off_t offset)
{
	last_written.fd = fd;
	last_written.synced = false;
	return file_ops_system.pwritev(fd, iov, count, offset);
}

static int noting_fdatasync(int fd)
{
	last_written.synced |= fd == last_written.fd;
	return file_ops_system.fdatasync(fd);
}

/* Before its first block says that there are records: of a file that is too short for what
   that says they would be lost. */
static void test_blocks_are_there_before_records(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal_segment *segment;
	struct journal *journal = new_emptied(&segment);

	ops.pwritev = noting_pwritev;
	ops.fdatasync = noting_fdatasync;
	file_ops_set(&ops);
	assert_int_equal(journal_fill_cut(journal, segment, false), 0);
	file_ops_set(NULL);
	assert_false(segment->cut);
	assert_true(last_written.synced);
	journal_close(&journal);
}

/* One that was to be used says that it has records: it does not give its blocks back before it
   says something else. */
static void test_one_that_was_to_be_used(void **state ATTR_UNUSED)
{
	struct journal_segment *segment;
	struct journal *journal = new_emptied(&segment);

	assert_int_equal(journal_fill_cut(journal, segment, false), 0);
	assert_false(journal_segment_blank_one(journal));
	segment->header.first_sequence = journal->next_sequence;
	assert_false(journal_segment_cut_one(journal, true));
	assert_true(journal_segment_blank_one(journal));
	assert_int_equal(segment->header.first_sequence, 0);
	assert_true(journal_segment_cut_one(journal, true));
	assert_true(segment->cut);
	journal_close(&journal);
}

static unsigned int told, told_empty;

static int noting_set_nocow(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	told++;
	told_empty += st.st_size == 0;
	errno = EOPNOTSUPP;
	return -1;
}

/* What is written over takes no space on a copy-on-write file system: which is told of each
   file while it is empty, and may not know how. */
static void test_files_are_written_in_place(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal;
	unsigned int n;

	test_journal_new_dir();
	ops.set_nocow = noting_set_nocow;
	file_ops_set(&ops);
	told = told_empty = 0;
	journal = test_journal_open(false);
	for (n = 0; n < COUNT; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	assert_true(told > 1);
	assert_int_equal(told, test_journal_files_in("journal"));
	assert_int_equal(told_empty, told);
	journal_close(&journal);
	file_ops_set(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocks_again_ahead),
		cmocka_unit_test(test_blocks_are_there_before_records),
		cmocka_unit_test(test_one_that_was_to_be_used),
		cmocka_unit_test(test_files_are_written_in_place),
	};

	return cmocka_run_group_tests_name("journal-blocks", tests, NULL, NULL);
}
