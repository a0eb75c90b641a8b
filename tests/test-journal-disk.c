/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

#include "config.h"
#include "test-journal-disk.h"
#include "file-ops.h"
#include "macros.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

struct test_disk test_disk;

static int disk_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int fd = file_ops_system.openat(dir_fd, path, flags, mode);

	if (strcmp(path, JOURNAL_NEW_NAME) == 0) {
		test_disk.fd = fd;
		test_disk.made = 0;
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
	if (fd != test_disk.fd && end > (uint64_t)st.st_size)
		more = end - (uint64_t)st.st_size;
	if ((fd == test_disk.fd ? end : more) > test_disk.left) {
		errno = test_disk.error != 0 ? test_disk.error : ENOSPC;
		return -1;
	}
	test_disk.left -= more;
	ret = file_ops_system.pwritev(fd, iov, count, offset);
	if (fd == test_disk.fd && ret > 0)
		test_disk.made =
			I_MAX(test_disk.made, (uint64_t)(offset + ret));
	return ret;
}

static int disk_ftruncate(int fd, off_t size)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	if (st.st_size > size)
		test_disk.left += (uint64_t)(st.st_size - size);
	return file_ops_system.ftruncate(fd, size);
}

/* It is whole. */
static int disk_renameat2(int from_fd, const char *from, int to_fd,
			  const char *to, unsigned int flags)
{
	test_disk.left -= test_disk.made;
	test_disk.fd = -1;
	return file_ops_system.renameat2(from_fd, from, to_fd, to, flags);
}

/* It did not become one. */
static int disk_unlinkat(int dir_fd, const char *path, int flags)
{
	test_disk.fd = -1;
	return file_ops_system.unlinkat(dir_fd, path, flags);
}

/* What is lost with the power is not the matter here. */
static int disk_fdatasync(int fd ATTR_UNUSED)
{
	return 0;
}

void test_disk_install(uint64_t left)
{
	test_disk.left = left;
	test_disk.error = 0;
	test_disk.fd = -1;
	test_disk.ops = file_ops_system;
	test_disk.ops.openat = disk_openat;
	test_disk.ops.pwritev = disk_pwritev;
	test_disk.ops.ftruncate = disk_ftruncate;
	test_disk.ops.renameat2 = disk_renameat2;
	test_disk.ops.unlinkat = disk_unlinkat;
	test_disk.ops.fdatasync = disk_fdatasync;
	test_disk.ops.fsync_dir = disk_fdatasync;
	file_ops_set(&test_disk.ops);
}

struct journal *test_disk_begin_with(uint64_t left,
				     struct journal_settings settings)
{
	test_disk_install(left);
	test_journal_new_dir();
	return test_journal_open_with(settings);
}

struct journal *test_disk_begin(uint64_t left)
{
	const struct journal_settings settings = { .segment_size =
							   TEST_DISK_SEGMENT };

	return test_disk_begin_with(left, settings);
}

void test_disk_start_again(struct journal **journal)
{
	struct journal_settings settings = {
		.segment_size = (*journal)->settings.segment_size
	};

	journal_close(journal);
	*journal = test_journal_open_with(settings);
}

int test_disk_end(void **state ATTR_UNUSED)
{
	file_ops_set(NULL);
	return 0;
}

/*
 * Messages
 */

/* Big enough for any. */
static unsigned char data[TEST_DISK_SEGMENT / 2];

int test_disk_store(struct journal *journal, unsigned int n, size_t size)
{
	return test_disk_store_group(journal, n, 1, size);
}

int test_disk_store_group(struct journal *journal, unsigned int first,
			  unsigned int count, size_t size)
{
	struct test_journal_put puts[TEST_DISK_GROUP_MAX];
	struct journal_request *requests[TEST_DISK_GROUP_MAX];
	struct journal_entry entry;
	unsigned int i;
	int error;

	assert_true(count <= TEST_DISK_GROUP_MAX && size <= sizeof(data));
	for (i = 0; i < count; i++) {
		test_journal_make_put(&puts[i], first + i, 1);
		puts[i].request.records[0].data = data;
		puts[i].request.records[0].size = size;
		requests[i] = &puts[i].request;
		assert_int_equal(journal_claim(journal,
					       &requests[i]->records[0].id,
					       &entry),
				 0);
	}
	error = journal_commit_many(journal, requests, count) < 0 ? errno : 0;
	for (i = 0; i < count; i++)
		journal_release(journal, &requests[i]->records[0].id);
	return error;
}

int test_disk_rewrite(struct journal *journal, unsigned int n, uint64_t version)
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

int test_disk_drop(struct journal *journal, unsigned int n)
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

bool test_disk_has(struct journal *journal, unsigned int n)
{
	struct journal_entry entry;
	message_id id;

	test_journal_make_id(n, &id);
	return journal_find(journal, &id, &entry);
}

int test_disk_store_large(struct journal *journal, unsigned int n)
{
	return test_disk_store(journal, n, TEST_DISK_LARGE);
}

unsigned int test_disk_fill(struct journal *journal, unsigned int first,
			    size_t size)
{
	unsigned int n = first;
	int error;

	while ((error = test_disk_store(journal, n, size)) == 0)
		n++;
	assert_int_equal(error, ENOSPC);
	assert_in_range(n, first + (size < TEST_DISK_LARGE ? 10 : 0),
			TEST_DISK_MANY);
	return n;
}

unsigned int test_disk_fill_small(struct journal *journal)
{
	unsigned int n = TEST_DISK_SMALL;
	int error;

	while ((error = test_journal_store(journal, n)) == 0)
		n++;
	assert_int_equal(error, ENOSPC);
	return n - TEST_DISK_SMALL;
}

void test_disk_shuffle(unsigned int *numbers, unsigned int count)
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

unsigned int test_disk_below(uint64_t *seed, unsigned int limit)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	/* the upper bits are as good as any */
	return (unsigned int)((*seed >> 33) % limit);
}

unsigned int test_disk_number_of(const char *name, unsigned int otherwise)
{
	const char *value = getenv(name);

	return value == NULL ? otherwise :
			       (unsigned int)strtoul(value, NULL, 10);
}

unsigned int test_disk_wholes(struct journal *journal, bool cut)
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
