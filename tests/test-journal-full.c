/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A disk that has no space for another segment, or for a small one: nothing is stored any
   more, but what is there can be read, and removed; then there is room again. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define SEGMENT ((uint64_t)1024 * 1024)
/* Four of them have room in a segment, and three where a quarter is kept. */
#define LARGE ((size_t)200 * 1024)

/*
 * The disk
 */

/* One thread makes a segment at a time, others look at its descriptor meanwhile. */
static struct {
	_Atomic uint64_t left; /* for new segments, in bytes */
	atomic_int fd;         /* of the one that is being made */
	int error;             /* that it is full; 0: ENOSPC */
	_Atomic uint64_t made; /* how much of it there is */
} disk;

static int disk_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int fd = file_ops_system.openat(dir_fd, path, flags, mode);

	if (strcmp(path, JOURNAL_NEW_NAME) == 0) {
		disk.fd = fd;
		disk.made = 0;
	}
	return fd;
}

static ssize_t disk_pwritev(int fd, const struct iovec *iov, int count,
			    off_t offset)
{
	uint64_t end = (uint64_t)offset + iov->iov_len, more = 0;
	struct stat st;
	ssize_t ret;

	assert_int_equal(fstat(fd, &st), 0);
	/* one that gave its blocks back gets them again */
	if (fd != disk.fd && end > (uint64_t)st.st_size)
		more = end - (uint64_t)st.st_size;
	if ((fd == disk.fd ? end : more) > disk.left) {
		errno = disk.error != 0 ? disk.error : ENOSPC;
		return -1;
	}
	disk.left -= more;
	ret = file_ops_system.pwritev(fd, iov, count, offset);
	if (fd == disk.fd && ret > 0)
		disk.made = I_MAX(disk.made, (uint64_t)(offset + ret));
	return ret;
}

static int disk_ftruncate(int fd, off_t size)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	if (st.st_size > size)
		disk.left += (uint64_t)(st.st_size - size);
	return file_ops_system.ftruncate(fd, size);
}

/* It is whole. */
static int disk_renameat2(int from_fd, const char *from, int to_fd,
			  const char *to, unsigned int flags)
{
	disk.left -= disk.made;
	disk.fd = -1;
	return file_ops_system.renameat2(from_fd, from, to_fd, to, flags);
}

/* It did not become one. */
static int disk_unlinkat(int dir_fd, const char *path, int flags)
{
	disk.fd = -1;
	return file_ops_system.unlinkat(dir_fd, path, flags);
}

static struct file_ops ops;

static struct journal *begin_with(uint64_t left, bool upkeep)
{
	const struct journal_settings settings = { .segment_size = SEGMENT,
						   .upkeep = upkeep };

	disk.left = left;
	disk.error = 0;
	disk.fd = -1;
	ops = file_ops_system;
	ops.openat = disk_openat;
	ops.pwritev = disk_pwritev;
	ops.ftruncate = disk_ftruncate;
	ops.renameat2 = disk_renameat2;
	ops.unlinkat = disk_unlinkat;
	file_ops_set(&ops);
	test_journal_new_dir();
	return test_journal_open_with(settings);
}

static struct journal *begin(uint64_t left)
{
	return begin_with(left, false);
}

static void start_again(struct journal **journal)
{
	const struct journal_settings settings = { .segment_size = SEGMENT };

	journal_close(journal);
	*journal = test_journal_open_with(settings);
}

static int end(void **state ATTR_UNUSED)
{
	file_ops_set(NULL);
	return 0;
}

/*
 * Messages
 */

static int store_sized(struct journal *journal, unsigned int n, size_t size)
{
	static unsigned char data[SEGMENT / 2];
	struct journal_entry entry;
	struct test_journal_put put;
	int error;

	test_journal_make_put(&put, n, 1);
	put.request.records[0].data = data;
	put.request.records[0].size = size;
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	error = journal_commit(journal, &put.request) < 0 ? errno : 0;
	journal_release(journal, &put.request.records[0].id);
	return error;
}

static int store_large(struct journal *journal, unsigned int n)
{
	return store_sized(journal, n, LARGE);
}

static bool is_there(struct journal *journal, unsigned int n)
{
	struct journal_entry entry;
	message_id id;

	test_journal_make_id(n, &id);
	return journal_find(journal, &id, &entry);
}

/* From `n` on, until the disk is full: behind the last one. */
static unsigned int store_until_full(struct journal *journal, unsigned int n)
{
	int error;

	while ((error = store_large(journal, n)) == 0)
		n++;
	assert_int_equal(error, ENOSPC);
	return n;
}

/* Not even a small one goes in any more; how many did, from SMALL on. */
#define SMALL 1000u

static unsigned int store_small_until_full(struct journal *journal)
{
	unsigned int n = 0;
	int error;

	while ((error = test_journal_store(journal, SMALL + n)) == 0)
		n++;
	assert_int_equal(error, ENOSPC);
	return n;
}

/*
 * Tests
 */

/* 14: the oldest first, as a queue is emptied. */
static void test_removing_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(4 * SEGMENT);
	unsigned int n, count, small, again;

	count = store_until_full(journal, 0);
	/* four in each of three segments, two in half of one */
	assert_int_equal(count, 14);
	small = store_small_until_full(journal);
	assert_true(small > 10);
	for (n = 0; n < count; n++) {
		assert_true(is_there(journal, n));
		assert_int_equal(test_journal_drop(journal, n), 0);
	}
	for (n = 0; n < small; n++)
		assert_int_equal(test_journal_drop(journal, SMALL + n), 0);
	again = store_until_full(journal, count);
	/* the half may be what is kept */
	assert_in_range(again - count, 11, 14);
	start_again(&journal);
	for (n = 0; n < again; n++)
		assert_int_equal(is_there(journal, n), n >= count);
	assert_int_equal(store_large(journal, again), ENOSPC);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* Again and again there is room for as much as was removed. */
static void test_a_queue_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(3 * SEGMENT);
	unsigned int first = 0, last = store_until_full(journal, 0);

	while (last < 200) {
		assert_int_equal(test_journal_drop(journal, first++), 0);
		if (store_large(journal, last) == 0)
			last++;
		/* one segment is dead, or is the reserve */
		assert_in_range(last - first, 4, 11);
	}
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* A delivery is noted, or it would be done twice. */
static void test_states_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(SEGMENT);
	struct journal_entry entry;
	struct test_journal_put put;

	assert_int_equal(store_until_full(journal, 0), 4);
	(void)store_small_until_full(journal);
	test_journal_make_put(&put, 1, 1);
	put.request.records[0] = put.request.records[1];
	put.request.records[0].type = JOURNAL_STATES;
	put.request.records[0].flags = 0;
	put.request.records[0].version = 2;
	put.request.count = 1;
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(
		journal_reserve_states(journal, &put.request.records[0].id), 0);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	journal_release(journal, &put.request.records[0].id);
	journal_close(&journal);
}

/* The headers of a message that is there, once more: 0, or the errno. */
static int rewrite(struct journal *journal, unsigned int n, uint64_t version)
{
	struct journal_entry entry;
	struct test_journal_put put;
	int error;

	test_journal_make_put(&put, n, version);
	put.request.records[0] = put.request.records[1];
	put.request.records[0].flags = 0;
	put.request.count = 1;
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	error = journal_commit(journal, &put.request) < 0 ? errno : 0;
	journal_release(journal, &put.request.records[0].id);
	return error;
}

/* Of few recipients the states are written with all of the headers; removals have what
   these leave. */
static void test_headers_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(SEGMENT);
	unsigned int n, small;
	uint64_t version = 2;
	int error;

	assert_int_equal(store_until_full(journal, 0), 4);
	small = store_small_until_full(journal);
	while ((error = rewrite(journal, 1, version)) == 0)
		version++;
	assert_int_equal(error, ENOSPC);
	assert_in_range(version, 10, SEGMENT / JOURNAL_BLOCK_SIZE);
	for (n = 0; n < 4; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_true(small > 2);
	for (n = 0; n < small; n++)
		assert_int_equal(test_journal_drop(journal, SMALL + n), 0);
	journal_close(&journal);
}

/* There is only one, and it is not full. */
static void test_an_empty_segment_begins_anew(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(SEGMENT);
	unsigned int n;

	assert_int_equal(store_until_full(journal, 0), 4);
	for (n = 0; n < 4; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(store_until_full(journal, 10), 14);
	assert_int_equal(test_journal_files_in("journal"), 1);
	start_again(&journal);
	for (n = 0; n < 20; n++)
		assert_int_equal(is_there(journal, n), n >= 10 && n < 14);
	journal_close(&journal);
}

/* A message that stays keeps its segment from nobody: it is moved into what was kept. */
static void test_moving_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(2 * SEGMENT);
	unsigned int n, count = store_until_full(journal, 0);
	uint64_t moved;

	assert_int_equal(count, 6);
	/* of each segment all but one */
	for (n = 0; n < count; n++) {
		if (n != 1 && n != 5)
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
	assert_int_equal(store_large(journal, count), ENOSPC);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved > 0);
	assert_int_equal(store_large(journal, count), 0);
	assert_true(is_there(journal, 1) && is_there(journal, 5));
	journal_close(&journal);
}

/* But not where most of it would have to be. */
static void test_nothing_is_moved_in_vain(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(2 * SEGMENT);
	unsigned int n, count = store_until_full(journal, 0);
	uint64_t moved;

	assert_int_equal(count, 6);
	assert_int_equal(test_journal_drop(journal, 0), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	for (n = 0; n < count; n++) {
		if (is_there(journal, n))
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
	assert_int_equal(store_large(journal, count), 0);
	journal_close(&journal);
}

/* As large a segment as there is space for; later they are as they should be. */
static void test_smaller_segments(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(2 * SEGMENT + SEGMENT / 4);
	unsigned int n, count, small;
	uint64_t moved;

	count = store_until_full(journal, 0);
	/* four in the first one, two in half of one; the pieces; nothing less */
	assert_int_equal(count, 6);
	assert_true(journal->segments[2]->header.size == SEGMENT / 4);
	assert_true(journal->segments[3]->header.size == SEGMENT / 4);
	assert_true(journal->segments[4]->header.size == SEGMENT / 2);
	assert_int_equal(journal->segment_end, 5);
	assert_true(disk.left == SEGMENT / 4);
	small = store_small_until_full(journal);
	start_again(&journal);
	for (n = 0; n < count; n++)
		assert_true(is_there(journal, n));
	assert_int_equal(store_large(journal, count), ENOSPC);
	disk.left = 10 * SEGMENT;
	while (test_journal_active(journal) < 5)
		assert_int_equal(store_large(journal, count++), 0);
	assert_true(journal->active->header.size == SEGMENT);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	test_journal_drop_range(journal, SMALL, SMALL + small);
	assert_int_equal(journal_compact(journal, &moved), 0);
	/* the small ones give their blocks back, but for the pieces */
	assert_false(journal->segments[2]->cut || journal->segments[3]->cut);
	assert_true(journal->segments[4]->cut);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* What none of them takes is refused, until there is space: others are not. */
static void test_too_large_for_what_there_is(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(SEGMENT - JOURNAL_BLOCK_SIZE);
	const size_t size = SEGMENT / 16 * 5;

	assert_int_equal(store_sized(journal, 0, size), 0);
	assert_true(journal->active->header.size == SEGMENT / 2);
	assert_int_equal(store_sized(journal, 1, size), ENOSPC);
	assert_int_equal(test_journal_active(journal), 1);
	assert_int_equal(test_journal_store(journal, 2), 0);
	assert_int_equal(store_sized(journal, 1, size), ENOSPC);
	assert_int_equal(test_journal_store(journal, 3), 0);
	disk.left = 3 * SEGMENT;
	assert_int_equal(store_sized(journal, 1, size), 0);
	assert_true(journal->active->header.size == SEGMENT);
	start_again(&journal);
	assert_true(is_there(journal, 0) && is_there(journal, 1) &&
		    is_there(journal, 2) && is_there(journal, 3));
	journal_close(&journal);
}

/* Nothing is packed before it must be. Others may take what is won. */
static int drop_or_pack(struct journal *journal, unsigned int n)
{
	unsigned int tries;
	uint64_t moved;
	int error = test_journal_drop(journal, n);

	for (tries = 0; error != 0 && tries < 10; tries++) {
		assert_int_equal(journal_compact(journal, &moved), 0);
		error = test_journal_drop(journal, n);
	}
	return error;
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
		if (store_large(one->journal, n) == 0)
			one->stored++;
		for (; oldest < n + 1 &&
		     (n - oldest >= 3 || !is_there(one->journal, oldest));
		     oldest++) {
			if (is_there(one->journal, oldest))
				assert_int_equal(
					drop_or_pack(one->journal, oldest), 0);
		}
	}
	return NULL;
}

/* They have more than there is space for, and segments are emptied and made meanwhile. */
static void test_many_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = begin_with(3 * SEGMENT, true);
	struct crowd crowd[CROWD];
	pthread_t threads[CROWD];
	unsigned int i, n;
	uint64_t moved;

	for (i = 0; i < CROWD; i++) {
		crowd[i] = (struct crowd){ journal, i * EACH, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go,
						&crowd[i]),
				 0);
	}
	for (i = 0; i < CROWD; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (i = 0; i < CROWD; i++)
		assert_true(crowd[i].stored > 3);
	for (n = 0; n < CROWD * EACH; n++) {
		if (is_there(journal, n))
			assert_int_equal(drop_or_pack(journal, n), 0);
	}
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(store_large(journal, n), 0);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* One that is smaller than the reserve is all of it. */
static void test_a_segment_that_is_the_reserve(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(SEGMENT + SEGMENT / 8);
	unsigned int n, count = store_until_full(journal, 0);
	unsigned int small = store_small_until_full(journal);

	start_again(&journal);
	assert_int_equal(test_journal_store(journal, 5000), ENOSPC);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	for (n = 0; n < small; n++)
		assert_int_equal(test_journal_drop(journal, SMALL + n), 0);
	journal_close(&journal);

	journal = begin(SEGMENT / 8);
	assert_int_equal(test_journal_store(journal, 0), ENOSPC);
	journal_close(&journal);
}

/* Who changes headers alone leaves something to who removes. */
static void test_new_headers_on_a_full_disk(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(SEGMENT);
	unsigned int n, version = 2, small;

	assert_int_equal(store_until_full(journal, 0), 4);
	small = store_small_until_full(journal);
	while (version < 1000 && rewrite(journal, 1, version) == 0)
		version++;
	assert_true(version < 1000);
	for (n = 0; n < 3; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	/* a quarter of the reserve is theirs, and its footer's */
	for (n = 0; n < small && n < 5; n++)
		assert_int_equal(test_journal_drop(journal, SMALL + n), 0);
	journal_close(&journal);
}

/* Where the disk is not full they go on into another segment, though nobody stores
   anything. */
static void test_headers_alone_get_another_segment(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(10 * SEGMENT);
	uint64_t version = 2;

	assert_int_equal(test_journal_store(journal, 1), 0);
	while (test_journal_active(journal) == 1)
		assert_int_equal(rewrite(journal, 1, version++), 0);
	assert_true(is_there(journal, 1));
	journal_close(&journal);
}

/* Of many recipients. What none of the small segments takes is refused, once. */
static void test_states_that_have_no_room(void **state ATTR_UNUSED)
{
	static unsigned char data[SEGMENT / 2];
	struct journal *journal = begin(SEGMENT + SEGMENT / 4);
	struct journal_record *record;
	struct journal_entry entry;
	struct test_journal_put put;

	(void)store_until_full(journal, 0);
	test_journal_make_put(&put, 1, 1);
	record = &put.request.records[0];
	*record = put.request.records[1];
	record->type = JOURNAL_STATES;
	record->flags = 0;
	record->version = 2;
	record->data = data;
	record->size = sizeof(data);
	put.request.count = 1;
	assert_int_equal(journal_claim(journal, &record->id, &entry), 0);
	assert_int_equal(journal_reserve_states(journal, &record->id), 0);
	assert_int_equal(journal_commit(journal, &put.request), -1);
	assert_int_equal(errno, ENOSPC);
	journal_release(journal, &record->id);
	assert_int_equal(test_journal_drop(journal, 1), 0);
	journal_close(&journal);
}

/* What is moved may be larger than any segment that there is space for. */
static void test_moving_what_has_no_room(void **state ATTR_UNUSED)
{
	static unsigned char data[SEGMENT / 2];
	struct journal *journal = begin(SEGMENT + SEGMENT / 4);
	struct journal_entry entry;
	struct test_journal_put put;

	(void)store_until_full(journal, 0);
	test_journal_make_put(&put, 1, 2);
	put.request.records[0].data = data;
	put.request.records[0].size = sizeof(data);
	put.request.gives_back = true;
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(journal_commit(journal, &put.request), -1);
	assert_int_equal(errno, ENOSPC);
	journal_release(journal, &put.request.records[0].id);
	assert_true(is_there(journal, 1));
	assert_int_equal(test_journal_drop(journal, 1), 0);
	journal_close(&journal);
}

/* A quota is a disk, too. */
static void test_a_quota(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(2 * SEGMENT);
	unsigned int n, count = 0;
	int error;

	disk.error = EDQUOT;
	while ((error = store_large(journal, count)) == 0)
		count++;
	assert_true(error == EDQUOT || error == ENOSPC);
	assert_true(journal->segments[4]->header.size == SEGMENT / 2);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	journal_close(&journal);
}

/*
 * Many, in any order
 */

#define MANY_MAX 9000u

static unsigned int store_sized_until_full(struct journal *journal, size_t size)
{
	unsigned int n = 0;
	int error;

	while ((error = store_sized(journal, n, size)) == 0)
		n++;
	assert_int_equal(error, ENOSPC);
	assert_in_range(n, 10, MANY_MAX);
	return n;
}

/* Always the same order. */
static void shuffle(unsigned int *numbers, unsigned int count)
{
	unsigned int n, other, number, seed = 1;

	for (n = 0; n < count; n++)
		numbers[n] = n;
	for (n = count - 1; n > 0; n--) {
		seed = seed * 1103515245u + 12345u;
		other = (seed >> 8) % (n + 1);
		number = numbers[n];
		numbers[n] = numbers[other];
		numbers[other] = number;
	}
}

static void remove_all(struct journal **journal, unsigned int count)
{
	unsigned int numbers[MANY_MAX], n;

	shuffle(numbers, count);
	for (n = 0; n < count; n++) {
		assert_int_equal(drop_or_pack(*journal, numbers[n]), 0);
		/* what is packed outlives a start */
		if (n == count / 2)
			start_again(journal);
	}
	start_again(journal);
	for (n = 0; n < count; n++)
		assert_false(is_there(*journal, n));
}

/* 14: each takes a block, if it comes alone, as they were stored; all of them can be removed
   one after the other, and there is room again. */
static void test_all_can_be_removed_in_any_order(void **state ATTR_UNUSED)
{
	static const uint64_t disks[] = { SEGMENT + SEGMENT / 2, 2 * SEGMENT,
					  4 * SEGMENT, 12 * SEGMENT,
					  24 * SEGMENT };
	static const size_t sizes[] = { 1000, 9000 };
	struct journal *journal;
	unsigned int i, count;

	for (i = 0; i < N_ELEMENTS(disks) * N_ELEMENTS(sizes); i++) {
		journal = begin(disks[i / 2]);
		count = store_sized_until_full(journal, sizes[i % 2]);
		remove_all(&journal, count);
		assert_int_equal(store_sized(journal, count, sizes[i % 2]), 0);
		journal_close(&journal);
	}
	assert_int_equal(test_journal.warnings, 0);
}

/* Again and again, with what was removed in no order: a journal of many segments has room
   for about as many as went. */
static void test_room_for_others_in_any_order(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(12 * SEGMENT);
	unsigned int count = store_sized_until_full(journal, 4000);
	unsigned int round, n, next = count, stored = 0;
	uint64_t moved;

	for (round = 0; round < 4; round++) {
		for (n = round; n < count; n += 4)
			assert_int_equal(drop_or_pack(journal, n), 0);
		assert_int_equal(journal_compact(journal, &moved), 0);
		/* who finds no room asks once more */
		while (store_sized(journal, next, 4000) == 0 ||
		       (journal_compact(journal, &moved) == 0 &&
			store_sized(journal, next, 4000) == 0)) {
			next++;
			stored++;
		}
	}
	/* what is kept has the rest at times */
	assert_true(stored > count / 4 * 3);
	journal_close(&journal);
}

#define GROUP 32u
#define GROUP_SIZE ((size_t)1000)

/* Many in one group, as busy writers store them: 0, or the errno. */
static int store_group(struct journal *journal, unsigned int first)
{
	static const unsigned char data[GROUP_SIZE];
	struct test_journal_put puts[GROUP];
	struct journal_request *requests[GROUP];
	struct journal_entry entry;
	unsigned int i;
	int error;

	for (i = 0; i < GROUP; i++) {
		test_journal_make_put(&puts[i], first + i, 1);
		puts[i].request.records[0].data = data;
		puts[i].request.records[0].size = sizeof(data);
		requests[i] = &puts[i].request;
		assert_int_equal(journal_claim(journal,
					       &requests[i]->records[0].id,
					       &entry),
				 0);
	}
	error = journal_commit_many(journal, requests, GROUP) < 0 ? errno : 0;
	for (i = 0; i < GROUP; i++)
		journal_release(journal, &requests[i]->records[0].id);
	return error;
}

/* Of so many: after each removal, until nothing is moved any more. */
static void compact_after_each(struct journal *journal, unsigned int count,
			       unsigned int wanted)
{
	unsigned int numbers[MANY_MAX], n, steps = 0;
	uint64_t moved = 0;

	shuffle(numbers, count);
	for (n = 0; n < wanted && drop_or_pack(journal, numbers[n]) == 0; n++) {
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
		journal = begin(disks[i]);
		count = 0;
		while (store_group(journal, count) == 0)
			count += GROUP;
		assert_in_range(count, 1000, MANY_MAX - GROUP);
		compact_after_each(journal, count, count / 8);
		journal_close(&journal);
	}
}

/* Where nobody found no room it is not worth it. */
static void test_as_much_as_is_wanted(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(12 * SEGMENT);
	unsigned int count = store_sized_until_full(journal, 9000), n;
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

/* One message that is larger than what can be written keeps nobody from moving others. */
static void test_what_has_no_room_is_left(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(9 * SEGMENT);
	unsigned int numbers[MANY_MAX], i, n, count = 0;
	uint64_t moved;

	while (store_sized(journal, count, count % 60 == 59 ? 370000 : 1000) ==
	       0)
		count++;
	shuffle(numbers, count);
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
		assert_int_equal(is_there(journal, n), n % 60 == 59);
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
	struct journal *journal = begin(12 * SEGMENT);
	unsigned int count = store_sized_until_full(journal, 9000);

	looked = 0;
	journal->upkeep = journal_worker_start(journal, look);
	assert_non_null(journal->upkeep);
	assert_int_equal(store_sized(journal, count, 9000), ENOSPC);
	while (looked == 0)
		(void)sched_yield();
	journal_close(&journal);
}

/*
 * What keeps its blocks
 */

static unsigned int count_whole(struct journal *journal, bool cut)
{
	const struct journal_segment *segment;
	unsigned int count = 0;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (journal_is_dead(journal, segment) && segment->cut == cut &&
		    !journal_is_small(journal, segment))
			count++;
	}
	return count;
}

/* While it is full, what is small is not given back: nobody would get it again. */
static void test_small_ones_keep_their_blocks(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(2 * SEGMENT + SEGMENT / 4);
	unsigned int n, count = store_until_full(journal, 0);
	uint32_t i;
	uint64_t moved;

	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
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
		assert_int_equal(store_large(journal, count++), 0);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_not_equal(count_whole(journal, true), 0);
	disk.left = 0;
	n = store_small_until_full(journal);
	assert_int_equal(count_whole(journal, false), 0);
	return n;
}

/* Nothing is written where there are none. */
static void test_what_has_no_blocks_is_not_taken(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(20 * SEGMENT);
	unsigned int n = 0, count = fill_without_blocks(journal);
	unsigned int cut = count_whole(journal, true);
	uint64_t version = 2;

	while (rewrite(journal, SMALL, version) == 0)
		version++;
	assert_in_range(version, 10, 1000);
	while (n < count && test_journal_drop(journal, SMALL + n) == 0)
		n++;
	assert_in_range(n, 10, count - 1);
	assert_true(count_whole(journal, true) >= cut);
	for (n = 1; n < journal->segment_end; n++)
		assert_false(journal->segments[n]->failed);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* Where they are not to be had again for all of it, the next is a smaller one. */
static void test_a_small_one_ahead(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(20 * SEGMENT);
	uint32_t end_before;

	(void)fill_without_blocks(journal);
	end_before = journal->segment_end;
	/* a piece comes first */
	disk.left = SEGMENT / 4 * 3;
	journal_segment_make_ahead(journal);
	assert_int_equal(journal->segment_end, end_before + 2);
	assert_true(journal->segments[end_before]->header.size == SEGMENT / 4);
	assert_true(journal->segments[end_before + 1]->header.size ==
		    SEGMENT / 2);
	journal_close(&journal);
}

/*
 * Those that are kept whole
 */

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
	struct journal *journal = begin(12 * SEGMENT);
	unsigned int count = store_sized_until_full(journal, 1000), n;
	uint64_t moved;

	assert_int_equal(count_whole(journal, false), 1);
	n = drop_until_full(journal, count / 8);
	assert_int_equal(count_whole(journal, false), 1);
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
	struct journal *journal = begin(12 * SEGMENT);
	unsigned int n = 0, count = store_sized_until_full(journal, 1000);
	uint64_t moved;
	uint32_t active;

	assert_in_range(count_whole(journal, false), 1, 1);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) <
		    SEGMENT);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) >
		    SEGMENT);
	active = test_journal_active(journal);
	while (test_journal_active(journal) == active && n < count)
		assert_int_equal(test_journal_drop(journal, n++), 0);
	assert_int_equal(count_whole(journal, false), 1);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) <
		    SEGMENT);
	journal_close(&journal);
}

/* Of fewer there is none. */
static void test_few_keep_no_whole_one(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(4 * SEGMENT);
	unsigned int n;

	(void)store_until_full(journal, 0);
	for (n = 0; n < 4; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(count_whole(journal, false), 1);
	assert_true(journal_reserve_room(journal, JOURNAL_USE_REMOVE, 0) >
		    SEGMENT);
	journal_close(&journal);
}

/* What removals need is made before the next one, which is as large as is left for it. */
static void test_pieces_are_made_first(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(2 * SEGMENT + SEGMENT / 4);

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_segment_make_ahead(journal);
	assert_int_equal(journal->segment_end, 5);
	assert_true(journal->segments[2]->header.size == SEGMENT / 4);
	assert_true(journal->segments[3]->header.size == SEGMENT / 4);
	assert_true(journal->segments[4]->header.size == SEGMENT / 2);
	journal_close(&journal);
}

/* It is made ahead, beside the next. */
static void test_a_whole_one_ahead(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(40 * SEGMENT);
	unsigned int n = 0;

	while (test_journal_active(journal) < 12)
		assert_int_equal(store_large(journal, n++), 0);
	journal_segment_make_ahead(journal);
	assert_int_equal(count_whole(journal, false), 2);
	journal_close(&journal);
}

/* It is not one of those that are kept to be written soon. */
static void test_a_whole_one_keeps_its_blocks(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(40 * SEGMENT);
	unsigned int n = 0;
	uint64_t moved;

	while (test_journal_active(journal) < 18)
		assert_int_equal(store_large(journal, n++), 0);
	while (n > 8 * 4 + 1)
		assert_int_equal(test_journal_drop(journal, --n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_not_equal(count_whole(journal, true), 0);
	assert_int_equal(count_whole(journal, false), 3);
	journal_close(&journal);
}

/* For each 64 there is one more; where no thread makes them ahead who stores does. */
static void test_one_more_for_each_64(void **state ATTR_UNUSED)
{
	const struct journal_settings settings = {
		.segment_size = 4 * JOURNAL_SEGMENT_MIN
	};
	struct journal *journal = begin(72 * 4 * JOURNAL_SEGMENT_MIN);
	uint32_t active = 0;
	unsigned int n = 0;

	journal_close(&journal);
	journal = test_journal_open_with(settings);
	while (test_journal_active(journal) < 70)
		assert_int_equal(store_sized(journal, n++, 60000), 0);
	assert_int_equal(count_whole(journal, false), 2);
	while (store_sized(journal, n++, 60000) == 0) {
		if (test_journal_active(journal) != active)
			journal_segment_make_ahead(journal);
		active = test_journal_active(journal);
	}
	assert_true(journal->is_full);
	assert_int_equal(count_whole(journal, false), 2);
	journal_close(&journal);
}

/* Space that others leave is used, whoever comes first. */
static void test_who_removes_finds_new_space(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(SEGMENT + SEGMENT / 2);
	unsigned int count = store_sized_until_full(journal, 1000), n = 0;

	while (n < count && test_journal_drop(journal, n) == 0)
		n++;
	/* nobody packs them */
	assert_in_range(n, 50, count - 1);
	disk.left = 2 * SEGMENT;
	for (; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	journal_close(&journal);
}

static struct statvfs told;

static int telling_fstatvfs(int fd ATTR_UNUSED, struct statvfs *st)
{
	*st = told;
	return 0;
}

/* What has no room is not begun. */
static void test_what_the_file_system_tells(void **state ATTR_UNUSED)
{
	static const struct {
		fsblkcnt_t blocks, left;
		bool is_made;
	} cases[] = { { 1000, SEGMENT / 4096 - 1, false },
		      { 1000, SEGMENT / 4096, true },
		      { 0, 0, true } /* it does not know */ };
	struct journal *journal;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		journal = begin(2 * SEGMENT);
		memset(&told, 0, sizeof(told));
		told.f_blocks = cases[i].blocks;
		told.f_bfree = told.f_bavail = cases[i].left;
		told.f_frsize = 4096;
		ops.fstatvfs = telling_fstatvfs;
		file_ops_set(&ops);
		assert_int_equal(test_journal_store(journal, 1), 0);
		assert_int_equal(journal->active->header.size == SEGMENT,
				 cases[i].is_made);
		/* the whole was not tried */
		assert_true(cases[i].is_made || disk.left > SEGMENT);
		file_ops_set(NULL);
		journal_close(&journal);
	}
}

/* What is left for root alone is nothing to others. */
static void test_what_is_left_for_root(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(2 * SEGMENT);

	memset(&told, 0, sizeof(told));
	told.f_blocks = 1000;
	told.f_bfree = SEGMENT / 4096;
	told.f_bavail = SEGMENT / 4096 / 2;
	told.f_frsize = 4096;
	ops.fstatvfs = telling_fstatvfs;
	file_ops_set(&ops);
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(journal->active->header.size == SEGMENT,
			 geteuid() == 0);
	file_ops_set(NULL);
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
		journal = begin(4 * SEGMENT);
		assert_int_equal(test_journal_store(journal, 1), 0);
		assert_true(journal_segment_make_room(journal, JOURNAL_USE_GROW,
						      SEGMENT) > SEGMENT);
		end_before = journal->segment_end;
		ops.fdatasync = failing_fdatasync;
		file_ops_set(&ops);
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
		cmocka_unit_test_teardown(test_removing_on_a_full_disk, end),
		cmocka_unit_test_teardown(test_a_queue_on_a_full_disk, end),
		cmocka_unit_test_teardown(test_states_on_a_full_disk, end),
		cmocka_unit_test_teardown(test_headers_on_a_full_disk, end),
		cmocka_unit_test_teardown(test_an_empty_segment_begins_anew,
					  end),
		cmocka_unit_test_teardown(test_moving_on_a_full_disk, end),
		cmocka_unit_test_teardown(test_nothing_is_moved_in_vain, end),
		cmocka_unit_test_teardown(test_smaller_segments, end),
		cmocka_unit_test_teardown(test_too_large_for_what_there_is,
					  end),
		cmocka_unit_test_teardown(test_many_on_a_full_disk, end),
		cmocka_unit_test_teardown(test_a_segment_that_is_the_reserve,
					  end),
		cmocka_unit_test_teardown(test_new_headers_on_a_full_disk, end),
		cmocka_unit_test_teardown(test_moving_what_has_no_room, end),
		cmocka_unit_test_teardown(
			test_headers_alone_get_another_segment, end),
		cmocka_unit_test_teardown(test_states_that_have_no_room, end),
		cmocka_unit_test_teardown(test_a_quota, end),
		cmocka_unit_test_teardown(test_all_can_be_removed_in_any_order,
					  end),
		cmocka_unit_test_teardown(test_room_for_others_in_any_order,
					  end),
		cmocka_unit_test_teardown(test_moving_ends, end),
		cmocka_unit_test_teardown(test_as_much_as_is_wanted, end),
		cmocka_unit_test_teardown(test_what_has_no_room_is_left, end),
		cmocka_unit_test_teardown(test_the_upkeep_looks_for_space, end),
		cmocka_unit_test_teardown(test_small_ones_keep_their_blocks,
					  end),
		cmocka_unit_test_teardown(test_what_has_no_blocks_is_not_taken,
					  end),
		cmocka_unit_test_teardown(test_a_small_one_ahead, end),
		cmocka_unit_test_teardown(test_a_whole_one_is_for_moving, end),
		cmocka_unit_test_teardown(test_a_whole_one_nobody_needs, end),
		cmocka_unit_test_teardown(test_few_keep_no_whole_one, end),
		cmocka_unit_test_teardown(test_pieces_are_made_first, end),
		cmocka_unit_test_teardown(test_a_whole_one_ahead, end),
		cmocka_unit_test_teardown(test_a_whole_one_keeps_its_blocks,
					  end),
		cmocka_unit_test_teardown(test_one_more_for_each_64, end),
		cmocka_unit_test_teardown(test_who_removes_finds_new_space,
					  end),
		cmocka_unit_test_teardown(test_what_the_file_system_tells, end),
		cmocka_unit_test_teardown(test_what_is_left_for_root, end),
		cmocka_unit_test_teardown(test_a_piece_that_is_not_synced, end),
	};

	return cmocka_run_group_tests_name("journal-full", tests, NULL, NULL);
}
