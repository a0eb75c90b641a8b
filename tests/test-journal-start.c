/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* How a journal is opened: calls that fail, and readers beside a writer. */

#include "config.h"
#include "buffer.h"
#include "crc32c.h"
#include "endian-io.h"
#include "file-ops.h"
#include "macros.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* What is called otherwise is nothing of the journal's. */
static void test_names_of_no_segment(void **state ATTR_UNUSED)
{
	static const char *const names[] = {
		"00000009.seg.bak", "00000009.seg~", "9.seg",
		"000000009.seg",    "00000009",      "00000009.sea",
		"0000009x.seg",     "-0000009.seg",  " 0000009.seg",
	};
	struct journal *journal = test_journal_new();
	char path[600];
	size_t i;

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	for (i = 0; i < N_ELEMENTS(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/journal/%s",
			       test_journal.dir, names[i]);
		test_write_file(path, "else", 4);
	}
	for (i = 0; i < 2; i++) {
		journal = test_journal_open(i == 0);
		assert_int_equal(journal->segment_end, 2);
		assert_true(test_journal_has(journal, 1));
		journal_close(&journal);
	}
	assert_int_equal(test_journal.warnings, 0);
}

/* As where it was restored from a copy that had no empty directories. */
static void test_no_directory_for_bodies(void **state ATTR_UNUSED)
{
	const struct journal_settings read_only = { .read_only = true };
	struct journal *journal = test_journal_new();
	char path[600], *error;

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	(void)snprintf(path, sizeof(path), "%s/journal/bodies",
		       test_journal.dir);
	assert_int_equal(rmdir(path), 0);
	test_faults_begin();
	journal = test_journal_open(false);
	/* its name, and those of the segments */
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 2);
	test_faults_end();
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
	assert_int_equal(rmdir(path), 0);
	/* who only reads makes none */
	assert_null(journal_open(test_journal.dir_fd, test_journal.dir,
				 &read_only, &error));
	assert_int_equal(errno, ENOENT);
	free(error);
	assert_int_equal(access(path, F_OK), -1);
}

/* Nor does he work at anything. */
static void test_a_reader_has_no_workers(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .segment_size =
						     TEST_JOURNAL_SEGMENT,
					     .read_only = true,
					     .upkeep = true };
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	journal = test_journal_open_with(settings);
	assert_null(journal->maker);
	assert_null(journal->upkeep);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

/* Who does not know what a segment says leaves it, and all others, alone. */
static void test_a_segment_of_a_newer_version(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .segment_size =
						     TEST_JOURNAL_SEGMENT };
	struct journal *journal = test_journal_new();
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	buffer_t *before, *after;
	char path[600], *error;
	unsigned int n;

	for (n = 0; test_journal_active(journal) < 2; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_segment_header_put(&journal->segments[1]->header, bytes);
	journal_close(&journal);
	/* the number behind its magic, and the checksum at its end */
	bytes[15]++;
	put_le32(bytes + JOURNAL_HEADER_SIZE - 4,
		 crc32c(0, bytes, JOURNAL_HEADER_SIZE - 4));
	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_journal.dir);
	before = test_read_file(path);
	memcpy(buffer_get_modifiable_data(before, NULL), bytes, sizeof(bytes));
	test_write_file(path, before->data, before->used);
	for (n = 0; n < 2; n++) {
		settings.read_only = n > 0;
		assert_null(journal_open(test_journal.dir_fd, test_journal.dir,
					 &settings, &error));
		assert_int_equal(errno, ENOTSUP);
		assert_non_null(strstr(error, "newer version of Bobbin"));
		free(error);
	}
	after = test_read_file(path);
	assert_int_equal(after->used, before->used);
	assert_memory_equal(after->data, before->data, before->used);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	buffer_free(&before);
	buffer_free(&after);
}

/*
 * Calls that fail
 */

/* Whatever call fails, a start that succeeds has all there is, and nothing that a sync could
   not make durable is gone by. */
static void test_every_failing_call_of_a_start(void **state ATTR_UNUSED)
{
	static const struct {
		enum test_op op;
		bool always;
	} rows[] = {
		{ TEST_OP_FDATASYNC, true }, { TEST_OP_FSYNC_DIR, true },
		{ TEST_OP_OPENDIR, false },  { TEST_OP_READDIR, false },
		{ TEST_OP_OPEN, false },     { TEST_OP_READ, false },
		{ TEST_OP_FSTAT, false },    { TEST_OP_WRITE, true },
	};
	struct journal_settings settings = { .segment_size =
						     TEST_JOURNAL_SEGMENT };
	struct journal *journal = test_journal_new();
	unsigned int count = 0, n, hit, i;
	size_t row;
	char *error;

	while (test_journal_active(journal) < 3)
		assert_int_equal(test_journal_store(journal, count++), 0);
	journal_close(&journal);
	for (row = 0; row < N_ELEMENTS(rows); row++) {
		TEST_EACH_CALL(n, hit) {
			test_faults_begin();
			test_faults.fail_at[rows[row].op] = n;
			test_faults.fail_errno[rows[row].op] = EIO;
			journal = journal_open(test_journal.dir_fd,
					       test_journal.dir, &settings,
					       &error);
			hit = test_faults.calls[rows[row].op];
			test_faults_end();
			if (journal == NULL) {
				assert_int_equal(errno, EIO);
				assert_true(n <= hit);
				free(error);
				continue;
			}
			assert_false(rows[row].always && n <= hit);
			for (i = 0; i < count; i++)
				assert_true(test_journal_has(journal, i));
			journal_close(&journal);
		}
	}
}

/* How much of a segment is messages' is the same for who wrote it and who reads it whole. A
   footer says of the last record only where it begins. */
static void test_what_a_segment_has_taken(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	uint64_t taken;
	unsigned int n;

	for (n = 0; test_journal_active(journal) < 2; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	taken = journal->segments[1]->taken;
	assert_int_equal(taken, (n - 1) * JOURNAL_BLOCK_SIZE);
	test_journal_start_again(&journal);
	assert_in_range(journal->segments[1]->taken, taken - JOURNAL_BLOCK_SIZE,
			taken);
	test_journal_flip(TEST_JOURNAL_SEGMENT - 10);
	test_journal_start_again(&journal);
	assert_int_equal(journal->segments[1]->taken, taken);
	journal_close(&journal);
}

/* Of segments that wait for records a start reads what they are, and no more. */
static void test_blank_ones_are_not_read(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n, files, reads;
	uint64_t moved;

	for (n = 0; n < 500; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < 500; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	files = test_journal_files_in("journal");
	assert_true(files > 3);
	test_faults_begin();
	journal = test_journal_open(true);
	reads = test_faults.calls[TEST_OP_READ];
	test_faults_end();
	/* each one's first block, twice, as somebody might write beside this reader; of
	   the active one twice whether there is a footer, what is void, and the records */
	assert_int_equal(reads, 2 * files + 4);
	assert_true(test_journal_has(journal, n));
	journal_close(&journal);
}

/* A file system may give less than was asked for: that is no end, and no damage. */
static void test_short_reads(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 0; n < 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	for (n = 0; n < 2; n++) {
		test_faults_begin();
		test_faults.max_read = JOURNAL_HEADER_SIZE - 1;
		journal = test_journal_open(n == 0);
		test_faults_end();
		assert_true(test_journal_has(journal, 2));
		journal_close(&journal);
	}
	assert_int_equal(test_journal.warnings, 0);
}

/* Two names become durable before a journal is made: that of its directory, and what is
   in that. */
static void test_a_journal_that_cannot_be_made(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_MKDIR, TEST_OP_FSYNC_DIR };
	unsigned int call;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		for (call = 1; call <= 2; call++) {
			test_journal_new_dir();
			assert_int_equal(unlinkat(test_journal.dir_fd,
						  "journal/bodies",
						  AT_REMOVEDIR),
					 0);
			assert_int_equal(unlinkat(test_journal.dir_fd,
						  "journal", AT_REMOVEDIR),
					 0);
			test_faults_begin();
			test_faults.fail_at[ops[i]] = call;
			test_faults.fail_errno[ops[i]] = EIO;
			assert_int_equal(journal_init(test_journal.dir_fd), -1);
			assert_int_equal(errno, EIO);
			test_faults_end();
		}
	}
}

/*
 * A reader beside a writer
 */

/* What a writer is making right now. */
static void test_a_reader_leaves_the_next_segment(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new(), *reader;
	char path[600];
	int fd;

	assert_int_equal(test_journal_store(journal, 1), 0);
	(void)snprintf(path, sizeof(path), "%s/journal/" JOURNAL_NEW_NAME,
		       test_journal.dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(close(fd), 0);
	reader = test_journal_open(true);
	assert_true(test_journal_has(reader, 1));
	journal_close(&reader);
	assert_int_equal(unlink(path), 0);
	journal_close(&journal);
}

/* Until the first segment is written anew: none of its messages is left. */
static void write_first_anew(struct journal *journal, unsigned int *n)
{
	while (journal->active == NULL || journal->active->header.number != 1)
		assert_int_equal(test_journal_store(journal, (*n)++), 0);
}

/* In the second of its segments; the first one is dead. */
static struct journal *new_with_dead_segment(unsigned int *n)
{
	struct journal *journal = test_journal_new();
	unsigned int i;

	for (*n = 0; test_journal_active(journal) < 2;)
		assert_int_equal(test_journal_store(journal, (*n)++), 0);
	for (i = 0; i + 1 < *n; i++)
		assert_int_equal(test_journal_drop(journal, i), 0);
	return journal;
}

/* What was written anew is no damage, but has to be opened again. */
static void test_what_a_writer_moved(void **state ATTR_UNUSED)
{
	struct journal_header header;
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal *journal, *reader;
	unsigned char *data;
	unsigned int n, i;
	message_id id;

	journal = test_journal_new();
	for (n = 0; test_journal_active(journal) < 2;)
		assert_int_equal(test_journal_store(journal, n++), 0);
	reader = test_journal_open(true);
	assert_true(test_journal_has(reader, 0));
	for (i = 0; i + 1 < n; i++)
		assert_int_equal(test_journal_drop(journal, i), 0);
	write_first_anew(journal, &n);
	test_journal_make_id(0, &id);
	assert_int_equal(journal_read(reader, &id, JOURNAL_HEADERS, &header,
				      stack, &data),
			 -1);
	assert_int_equal(errno, ESTALE);
	journal_close(&reader);
	reader = test_journal_open(true);
	assert_false(test_journal_has(reader, 0));
	assert_true(test_journal_has(reader, n - 1));
	assert_null(journal_get_damage(reader));
	journal_close(&reader);
	journal_close(&journal);
}

/* Several of the reader's threads look at segments. */
static struct {
	_Atomic(struct journal *) writer; /* NULL: it is its own turn, or was */
	unsigned int n;
	atomic_int fd; /* the reader's, of the first segment */
} beside;

static int noting_openat(int dir, const char *path, int flags, mode_t mode)
{
	int fd = file_ops_system.openat(dir, path, flags, mode);

	if (beside.writer != NULL && strcmp(path, "00000001.seg") == 0)
		beside.fd = fd;
	return fd;
}

/* The writer goes on when the reader has seen the first block of the first segment. */
static ssize_t overtaking_pread(int fd, void *data, size_t size, off_t offset)
{
	ssize_t ret = file_ops_system.pread(fd, data, size, offset);
	struct journal *writer = NULL;

	if (fd == beside.fd && offset == 0)
		writer = atomic_exchange(&beside.writer, NULL);
	if (writer != NULL)
		write_first_anew(writer, &beside.n);
	return ret;
}

static void test_a_reader_that_was_overtaken(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal, *reader;

	journal = new_with_dead_segment(&beside.n);
	beside.writer = journal;
	beside.fd = -1;
	ops.openat = noting_openat;
	ops.pread = overtaking_pread;
	file_ops_set(&ops);
	reader = test_journal_open(true);
	file_ops_set(NULL);
	assert_int_equal(journal->active->header.number, 1);
	assert_null(journal_get_damage(reader));
	assert_true(test_journal_has(reader, beside.n - 1));
	journal_close(&reader);
	journal_close(&journal);
}

/* A writer that is faster than any reader: the first segment is as it was whenever it is
   opened, and written anew as soon as its first block was read. */
static struct {
	unsigned char bytes[JOURNAL_SEGMENT_MIN];
	atomic_int fd; /* the reader's; -1: it has read it */
	atomic_uint opened;
} fast;

static void write_first(const void *bytes, size_t size)
{
	int fd = openat(test_journal.dir_fd, "journal/00000001.seg", O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	assert_int_equal(close(fd), 0);
}

static int restoring_openat(int dir, const char *path, int flags, mode_t mode)
{
	int fd = file_ops_system.openat(dir, path, flags, mode);

	if (strcmp(path, "00000001.seg") == 0) {
		write_first(fast.bytes, sizeof(fast.bytes));
		fast.fd = fd;
		fast.opened++;
	}
	return fd;
}

static ssize_t spoiling_pread(int fd, void *data, size_t size, off_t offset)
{
	ssize_t ret = file_ops_system.pread(fd, data, size, offset);
	unsigned char blocks[2 * JOURNAL_BLOCK_SIZE] = { 0 };
	struct journal_segment_header header;

	if (fd != fast.fd || offset != 0)
		return ret;
	fast.fd = -1;
	assert_int_equal(journal_segment_header_get(&header, data),
			 JOURNAL_SEGMENT_VALID);
	header.incarnation[0] ^= 1;
	journal_segment_header_put(&header, blocks);
	write_first(blocks, sizeof(blocks));
	return ret;
}

static void test_a_writer_that_is_faster(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new(), *reader;
	unsigned int n = 0;
	int fd;

	while (n < 3)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	fd = openat(test_journal.dir_fd, "journal/00000001.seg", O_RDONLY);
	assert_int_equal(read(fd, fast.bytes, sizeof(fast.bytes)),
			 sizeof(fast.bytes));
	assert_int_equal(close(fd), 0);
	fast.fd = -1;
	ops.openat = restoring_openat;
	ops.pread = spoiling_pread;
	file_ops_set(&ops);
	reader = test_journal_open(true);
	file_ops_set(NULL);
	assert_int_equal(fast.opened, 10);
	assert_null(journal_get_damage(reader));
	journal_close(&reader);
}

/* The second one comes while the third is being opened, with this name. */
static const char *appearing;

static int appearing_openat(int dir, const char *path, int flags, mode_t mode)
{
	if (strcmp(path, "00000003.seg") == 0)
		assert_int_equal(renameat(test_journal.dir_fd, "hidden", dir,
					  appearing),
				 0);
	return file_ops_system.openat(dir, path, flags, mode);
}

/* A listing had the younger one of two that a writer made meanwhile; or neither name of one that
   it gave up. */
static void test_a_segment_that_was_not_listed(void **state ATTR_UNUSED)
{
	static const char *const names[] = { "00000002.seg", "00000002.gone" };
	struct file_ops ops = file_ops_system;
	struct journal *journal, *reader;
	unsigned int i, n;
	size_t row;

	ops.openat = appearing_openat;
	for (row = 0; row < N_ELEMENTS(names); row++) {
		journal = test_journal_new();
		for (n = 0; test_journal_active(journal) < 3; n++)
			assert_int_equal(test_journal_store(journal, n), 0);
		journal_close(&journal);
		assert_int_equal(renameat(test_journal.dir_fd,
					  "journal/00000002.seg",
					  test_journal.dir_fd, "hidden"),
				 0);
		appearing = names[row];
		file_ops_set(&ops);
		reader = test_journal_open(true);
		file_ops_set(NULL);
		assert_null(journal_get_damage(reader));
		for (i = 0; i < n && row == 0; i++)
			assert_true(test_journal_has(reader, i));
		journal_close(&reader);
	}
}

static ssize_t failing_pread(int fd, void *data, size_t size, off_t offset)
{
	/* the end of what a footer is looked for in */
	if (offset >= (off_t)(TEST_JOURNAL_SEGMENT - JOURNAL_BLOCK_SIZE)) {
		errno = EIO;
		return -1;
	}
	return file_ops_system.pread(fd, data, size, offset);
}

/* Of so many that who reads ahead waits when it ends. What could not be read is not taken
   for empty. */
static void test_a_read_that_fails(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	const struct journal_settings settings = {
		.segment_size = TEST_JOURNAL_SEGMENT
	};
	struct journal *journal = test_journal_new();
	unsigned int n = 0;
	char *error;

	while (test_journal_active(journal) < 20)
		assert_int_equal(test_journal_store(journal, n++), 0);
	journal_close(&journal);
	ops.pread = failing_pread;
	file_ops_set(&ops);
	journal = journal_open(test_journal.dir_fd, test_journal.dir, &settings,
			       &error);
	assert_int_equal(errno, EIO);
	assert_null(journal);
	assert_non_null(strstr(error, "reading segment 1 failed"));
	free(error);
	file_ops_set(NULL);
	journal = test_journal_open(false);
	for (n = 0; n < 200; n++)
		assert_true(test_journal_has(journal, n));
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_of_no_segment),
		cmocka_unit_test(test_no_directory_for_bodies),
		cmocka_unit_test(test_a_reader_has_no_workers),
		cmocka_unit_test(test_a_segment_of_a_newer_version),
		cmocka_unit_test(test_every_failing_call_of_a_start),
		cmocka_unit_test(test_what_a_segment_has_taken),
		cmocka_unit_test(test_blank_ones_are_not_read),
		cmocka_unit_test(test_short_reads),
		cmocka_unit_test(test_a_journal_that_cannot_be_made),
		cmocka_unit_test(test_a_reader_leaves_the_next_segment),
		cmocka_unit_test(test_what_a_writer_moved),
		cmocka_unit_test(test_a_reader_that_was_overtaken),
		cmocka_unit_test(test_a_writer_that_is_faster),
		cmocka_unit_test(test_a_segment_that_was_not_listed),
		cmocka_unit_test(test_a_read_that_fails),
	};

	return cmocka_run_group_tests_name("journal-start", tests, NULL, NULL);
}
