/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store on a disk that gets full: segments of a half and a quarter are made,
   messages are removed, small segments are written anew, and give their blocks back when
   there is space again. What was acknowledged is there all the same, whenever the power
   goes. */

#include "config.h"
#include "crash-spool.h"
#include "module-journal-private.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "spool-private.h"
#include "test-common.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* A quarter of it is as small as a segment may be. */
#define SEGMENT (17 * 4 * JOURNAL_BLOCK_SIZE)
/* Eight blocks. */
#define LARGE 30000
/* Four of them fill a segment. */
#define HUGE 60000

/*
 * The disk
 */

static struct file_ops disk;
static const struct file_ops *recorder;
static uint64_t disk_left; /* bytes that files may have more */
static int disk_error;     /* that it has no more */

static ssize_t disk_pwritev(int fd, const struct iovec *iov, int count,
			    off_t offset)
{
	uint64_t end = (uint64_t)offset, more;
	struct stat st;
	int i;

	assert_int_equal(fstat(fd, &st), 0);
	for (i = 0; i < count; i++)
		end += iov[i].iov_len;
	more = end > (uint64_t)st.st_size ? end - (uint64_t)st.st_size : 0;
	if (more > disk_left) {
		errno = disk_error;
		return -1;
	}
	disk_left -= more;
	return recorder->pwritev(fd, iov, count, offset);
}

static int disk_ftruncate(int fd, off_t size)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	if (st.st_size > size)
		disk_left += (uint64_t)(st.st_size - size);
	return recorder->ftruncate(fd, size);
}

static int disk_unlinkat(int fd, const char *path, int flags)
{
	struct stat st;

	if (fstatat(fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		disk_left += (uint64_t)st.st_size;
	return recorder->unlinkat(fd, path, flags);
}

static struct spool *begin_with(unsigned int segment_size, uint64_t size)
{
	struct spool *spool;

	crash_set_segment_size(segment_size);
	spool = crash_journal_begin("", CRASH_SYNC_NONE);
	crash_set_segment_size(0);
	recorder = file_ops();
	disk = *recorder;
	disk.pwritev = disk_pwritev;
	disk.ftruncate = disk_ftruncate;
	disk.unlinkat = disk_unlinkat;
	disk_left = size;
	disk_error = ENOSPC;
	file_ops_set(&disk);
	return spool;
}

static struct spool *begin(uint64_t size)
{
	return begin_with(SEGMENT, size);
}

static void start_again(struct spool **spool)
{
	spool_close(spool);
	*spool = crash_spool_open(test_path("work"));
}

/* From `n` on: behind the last one that went in. The next one is not promised. */
static unsigned int put_sized_until_full(struct spool *spool, unsigned int n,
					 size_t size)
{
	while (crash_put(spool, n, size) == IO_DONE)
		n++;
	assert_true(crash_version(spool, n) == 0);
	crash_note_absent(n);
	return n;
}

static unsigned int put_until_full(struct spool *spool, unsigned int n)
{
	return put_sized_until_full(spool, n, LARGE);
}

static uint64_t size_of(struct spool *spool, uint32_t number)
{
	return journal_segment_get(crash_journal(spool), number)->header.size;
}

/*
 * Tests
 */

/* The oldest ones go, as in a queue, on a disk that stays full: what removes them is in
   small segments, too, which are written anew one after the other, and none before what
   its tombstones keep away is gone. */
static void test_a_queue_in_small_segments(void **state ATTR_UNUSED)
{
	struct spool *spool = begin(2 * SEGMENT);
	unsigned int first = 0, last, n;

	last = put_until_full(spool, 0);
	/* two that are kept for removals, and one for messages */
	assert_int_equal(size_of(spool, 2), SEGMENT / 4);
	assert_int_equal(size_of(spool, 3), SEGMENT / 4);
	assert_int_equal(size_of(spool, 4), SEGMENT / 2);
	for (n = 0; n < 16; n++) {
		crash_must_remove(spool, first++);
		/* a failed one has its number, too */
		if (crash_put(spool, last + 1, 3000) == IO_DONE)
			last++;
		if (n % 5 == 4)
			(void)crash_compact(spool);
		if (n == 8)
			start_again(&spool);
	}
	assert_int_equal(crash_journal(spool)->segment_end, 5);
	assert_true(crash_sync_count(CRASH_SYNC_SEGMENT_HEADER) > 3);
	crash_spool_end(&spool);
	crash_explore_all(4);
}

/* One message stays in each segment, others come and go beside it; then there is space,
   and the small segments give their blocks back. */
static void test_small_segments_until_there_is_space(void **state ATTR_UNUSED)
{
	struct spool *spool = begin(SEGMENT + SEGMENT / 2 + SEGMENT / 4);
	unsigned int count, n;

	crash_must_put(spool, 0, LARGE);
	crash_must_put(spool, 1, LARGE);
	assert_int_equal(crash_rewrite(spool, 0, false), IO_DONE);
	count = put_until_full(spool, 2);
	for (n = 1; n < count; n++) {
		if (n % 6 != 5)
			crash_must_remove(spool, n);
	}
	(void)crash_compact(spool);
	start_again(&spool);
	count = put_until_full(spool, count + 1);
	disk_left = 2 * SEGMENT;
	for (n = 0; n < 3; n++)
		crash_must_put(spool, ++count, LARGE);
	crash_must_remove(spool, 5);
	(void)crash_compact(spool);
	crash_must_put(spool, ++count, 100);
	(void)crash_compact(spool);
	crash_spool_end(&spool);
	crash_explore_all(4);
}

/* So many deliveries, of the last six messages, as are left room for. */
static void deliver_until_full(struct spool *spool, unsigned int last)
{
	unsigned int n = 0;

	while (crash_deliver(spool, last - n % 6) == IO_DONE)
		n++;
	assert_in_range(n, 10, 60);
}

/* A small segment with nothing but tombstones, of messages whose neighbour stays: however
   much one is needed, it is not written anew before they are elsewhere. */
static void test_small_segments_with_tombstones(void **state ATTR_UNUSED)
{
	struct spool *spool = begin(SEGMENT + SEGMENT / 2 + SEGMENT / 4);
	unsigned int count, n;

	crash_must_put(spool, 0, LARGE);
	crash_set_recipients(16);
	for (n = 1; n <= 6; n++)
		crash_must_put(spool, n, 100);
	crash_set_recipients(0);
	count = put_until_full(spool, n);
	for (; n < count; n++)
		crash_must_remove(spool, n);
	/* it does not go where they are */
	if (crash_put(spool, ++count, LARGE) != IO_DONE)
		crash_note_absent(count);
	crash_set_recipients(16);
	deliver_until_full(spool, 6);
	crash_set_recipients(0);
	assert_int_equal(crash_journal(spool)->segment_end, 5);
	start_again(&spool);
	disk_left = SEGMENT;
	crash_must_remove(spool, 0);
	crash_spool_end(&spool);
	crash_explore_all(4);
}

/* The same with what is void in a segment that stays, which can be carried nowhere: when
   there is space, it is not cut, either. */
static void test_a_small_segment_with_a_void(void **state ATTR_UNUSED)
{
	struct spool *spool = begin(2 * SEGMENT + SEGMENT / 4);
	unsigned int count, n;

	crash_must_put(spool, 0, LARGE);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 100), IO_TRANS_FAIL);
	crash_must_put(spool, 2, 100);
	crash_note_absent(1);
	count = put_until_full(spool, 3);
	for (n = 2; n < count; n++)
		crash_must_remove(spool, n);
	start_again(&spool);
	assert_int_equal(crash_version(spool, 1), 0);
	for (n = 0; n < 4; n++) {
		if (crash_put(spool, ++count, 3000) == IO_DONE)
			crash_must_remove(spool, count);
	}
	disk_left = 3 * SEGMENT;
	for (n = 0; n < 3; n++)
		crash_must_put(spool, ++count, LARGE);
	(void)crash_compact(spool);
	crash_must_put(spool, ++count, LARGE);
	crash_spool_end(&spool);
	crash_explore_all(4);
}

/* More deliveries are noted than the reserve has blocks for, and there is just space for a
   small segment. */
static void test_states_in_small_segments(void **state ATTR_UNUSED)
{
	struct spool *spool = begin(SEGMENT + SEGMENT / 4);
	unsigned int count, number, n;

	crash_set_recipients(16);
	for (n = 0; n < 4; n++)
		crash_must_put(spool, n, 100);
	count = put_until_full(spool, n);
	number = crash_journal(spool)->segment_end;
	disk_left = SEGMENT / 4;
	for (n = 0; n < 20; n++)
		assert_int_equal(crash_deliver(spool, n % 4), IO_DONE);
	assert_int_equal(crash_journal(spool)->segment_end, number + 1);
	start_again(&spool);
	crash_must_remove(spool, count - 1);
	crash_spool_end(&spool);
	crash_set_recipients(0);
	crash_explore_all(4);
}

/* Removals that come alone, more than there are blocks for: those in one piece are carried
   into the other, and back, and what they removed is in a segment that stays. */
static void test_removals_are_packed(void **state ATTR_UNUSED)
{
	struct spool *spool = begin(SEGMENT + SEGMENT / 2);
	unsigned int count, n;

	crash_must_put(spool, 0, LARGE);
	count = put_sized_until_full(spool, 1, 100);
	/* of one block each */
	assert_in_range(count, 48, 60);
	for (n = 0; n < count; n++) {
		if (n % 8 != 0)
			crash_must_remove(spool, n);
		if (n == count / 2)
			start_again(&spool);
	}
	crash_spool_end(&spool);
	crash_explore_all(2);
}

/* A quota is a disk, too. */
static void test_removals_are_packed_in_a_quota(void **state ATTR_UNUSED)
{
	struct spool *spool = begin_with(2 * SEGMENT, 3 * SEGMENT);
	unsigned int count, n;

	disk_error = EDQUOT;
	for (n = 0; n < 5; n++)
		crash_must_put(spool, n, HUGE);
	crash_must_put(spool, n++, LARGE);
	count = put_sized_until_full(spool, n, 100);
	/* they take more blocks than are kept */
	assert_in_range(count, 55, 62);
	for (n = 1; n < count; n++)
		crash_must_remove(spool, n);
	crash_spool_end(&spool);
	crash_explore_all(1);
}

/* Of many segments a part is removed, and what is left is moved into the one that is kept
   whole, again and again. */
static void test_what_is_left_is_moved_on(void **state ATTR_UNUSED)
{
	struct spool *spool = begin(10 * SEGMENT);
	unsigned int count = put_sized_until_full(spool, 0, HUGE), n, round;

	assert_true(crash_journal(spool)->segment_end > 10);
	for (round = 0; round < 3; round++) {
		for (n = round; n < count; n += 4)
			crash_must_remove(spool, n);
		assert_true(crash_compact(spool) > 0);
		start_again(&spool);
	}
	crash_must_put(spool, count + 1, HUGE);
	crash_spool_end(&spool);
	crash_explore_all(1);
}

/* What gave its blocks back does not get them again: it stays as it was. */
static void test_blocks_that_are_not_there_again(void **state ATTR_UNUSED)
{
	struct spool *spool = begin(5 * SEGMENT);
	unsigned int n, last = 0;

	while (crash_journal(spool)->segment_end < 6)
		crash_must_put(spool, last++, LARGE);
	for (n = 0; n < last; n++)
		crash_must_remove(spool, n);
	(void)crash_compact(spool);
	assert_true(disk_left >= SEGMENT);
	/* others take the space */
	disk_left = SEGMENT / 4;
	last = put_until_full(spool, last);
	start_again(&spool);
	crash_must_remove(spool, last - 1);
	disk_left = 2 * SEGMENT;
	crash_must_put(spool, last + 1, LARGE);
	crash_spool_end(&spool);
	crash_explore_all(2);
}

static int end(void **state ATTR_UNUSED)
{
	file_ops_set(NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_a_queue_in_small_segments, end),
		cmocka_unit_test_teardown(
			test_small_segments_until_there_is_space, end),
		cmocka_unit_test_teardown(test_small_segments_with_tombstones,
					  end),
		cmocka_unit_test_teardown(test_a_small_segment_with_a_void,
					  end),
		cmocka_unit_test_teardown(test_states_in_small_segments, end),
		cmocka_unit_test_teardown(test_removals_are_packed, end),
		cmocka_unit_test_teardown(test_removals_are_packed_in_a_quota,
					  end),
		cmocka_unit_test_teardown(test_what_is_left_is_moved_on, end),
		cmocka_unit_test_teardown(test_blocks_that_are_not_there_again,
					  end),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-journal-full", tests, NULL,
					   NULL);
}
