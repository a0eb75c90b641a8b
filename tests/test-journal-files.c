/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The descriptors of segments: who holds one and who may close it, how segments are opened,
   and what is read and written in parts. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int restore(void **state ATTR_UNUSED)
{
	file_ops_set(NULL);
	return 0;
}

/* Without a journal: so many segments, of which one is kept open. */
static void begin_files(struct journal_files *files, unsigned int count)
{
	char name[JOURNAL_NAME_SIZE];
	unsigned int i;
	int fd;

	test_journal_new_dir();
	journal_files_init(files, false);
	files->dir_fd = test_journal.dir_fd;
	files->open_max = 1;
	for (i = 1; i <= count; i++) {
		journal_segment_name(i, name);
		fd = openat(files->dir_fd, name, O_CREAT | O_RDWR, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, name, sizeof(name)), sizeof(name));
		assert_int_equal(close(fd), 0);
	}
}

static void must_be(int fd, uint32_t number)
{
	char name[JOURNAL_NAME_SIZE], got[JOURNAL_NAME_SIZE];

	journal_segment_name(number, name);
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	assert_string_equal(got, name);
}

static void test_what_is_used_stays_open(void **state ATTR_UNUSED)
{
	struct journal_file *file[4];
	struct journal_files files;
	uint32_t i;
	int fd;

	begin_files(&files, 4);
	for (i = 0; i < 4; i++)
		file[i] = journal_file_new(&files, i + 1);
	/* once idle, and held again, by two */
	(void)journal_file_hold(file[0]);
	journal_file_let_go(file[0]);
	fd = journal_file_hold(file[0]);
	assert_int_equal(journal_file_hold(file[0]), fd);
	journal_file_let_go(file[0]);
	for (i = 1; i < 4; i++) {
		must_be(journal_file_hold(file[i]), i + 1);
		journal_file_let_go(file[i]);
		must_be(fd, 1);
		assert_int_equal(files.open_count, 1);
	}
	journal_file_let_go(file[0]);
	for (i = 0; i < 4; i++)
		journal_file_free(&file[i]);
	assert_int_equal(files.open_count, 0);
	journal_files_deinit(&files);
}

/* While one opens it, another one does. */
static struct {
	struct journal_file *file;
	unsigned int opening;
	int fd;
} other;

static int doubled_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	if (other.opening++ == 0)
		other.fd = journal_file_hold(other.file);
	return file_ops_system.openat(dir_fd, path, flags, mode);
}

static void test_two_open_it(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	unsigned int before;
	struct journal_files files;
	int fd;

	begin_files(&files, 1);
	before = test_open_descriptors();
	other.file = journal_file_new(&files, 1);
	ops.openat = doubled_openat;
	file_ops_set(&ops);
	fd = journal_file_hold(other.file);
	assert_int_equal(other.opening, 2);
	assert_int_equal(fd, other.fd);
	must_be(fd, 1);
	assert_int_equal(test_open_descriptors(), before + 1);
	journal_file_let_go(other.file);
	journal_file_let_go(other.file);
	journal_file_free(&other.file);
	assert_int_equal(test_open_descriptors(), before);
	journal_files_deinit(&files);
}

static void *hold_by_turns(void *context)
{
	struct journal_file **file = context;
	unsigned int i;

	for (i = 0; i < 3000; i++) {
		must_be(journal_file_hold(file[i % 3]), i % 3 + 1);
		journal_file_let_go(file[i % 3]);
	}
	return NULL;
}

static void test_many_threads(void **state ATTR_UNUSED)
{
	struct journal_file *file[3];
	struct journal_files files;
	pthread_t threads[3];
	uint32_t i;

	begin_files(&files, 3);
	for (i = 0; i < 3; i++)
		file[i] = journal_file_new(&files, i + 1);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						hold_by_turns, file),
				 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_true(files.open_count <= 1);
	for (i = 0; i < 3; i++)
		journal_file_free(&file[i]);
	journal_files_deinit(&files);
}

/* The other one has let it go before: nobody uses it, and somebody does at once. */
static int doubled_and_idle_openat(int dir_fd, const char *path, int flags,
				   mode_t mode)
{
	if (other.opening++ == 0) {
		other.fd = journal_file_hold(other.file);
		journal_file_let_go(other.file);
	}
	return file_ops_system.openat(dir_fd, path, flags, mode);
}

static void test_one_opens_what_is_idle(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal_files files;
	struct journal_file *second;
	int fd;

	begin_files(&files, 2);
	other.file = journal_file_new(&files, 1);
	second = journal_file_new(&files, 2);
	other.opening = 0;
	ops.openat = doubled_and_idle_openat;
	file_ops_set(&ops);
	fd = journal_file_hold(other.file);
	assert_int_equal(fd, other.fd);
	/* nothing is idle that could make room */
	assert_null(files.idle);
	must_be(journal_file_hold(second), 2);
	journal_file_let_go(second);
	must_be(fd, 1);
	journal_file_let_go(other.file);
	journal_file_free(&second);
	/* nor is what is no more */
	assert_ptr_equal(files.idle, other.file);
	journal_file_free(&other.file);
	assert_null(files.idle);
	journal_files_deinit(&files);
}

/* What the process, or all of the machine, has no descriptor for: others are closed. What
   that one's close says is nobody's error. */
static void test_one_is_closed_for_another(void **state ATTR_UNUSED)
{
	static const int errors[] = { EMFILE, ENFILE };
	struct journal_file *file[2];
	struct journal_files files;
	uint32_t i;
	size_t row;

	for (row = 0; row < N_ELEMENTS(errors); row++) {
		begin_files(&files, 2);
		for (i = 0; i < 2; i++)
			file[i] = journal_file_new(&files, i + 1);
		must_be(journal_file_hold(file[0]), 1);
		journal_file_let_go(file[0]);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_OPEN] = 1;
		test_faults.fail_errno[TEST_OP_OPEN] = errors[row];
		must_be(journal_file_hold(file[1]), 2);
		assert_int_equal(files.open_count, 1);
		/* nothing is idle now */
		test_faults.fail_at[TEST_OP_OPEN] =
			test_faults.calls[TEST_OP_OPEN] + 1;
		assert_int_equal(journal_file_hold(file[0]), -1);
		assert_int_equal(errno, errors[row]);
		/* one too many is open when this one is let go */
		must_be(journal_file_hold(file[0]), 1);
		journal_file_let_go(file[1]);
		(void)journal_file_hold(file[1]);
		test_faults.fail_at[TEST_OP_CLOSE] =
			test_faults.calls[TEST_OP_CLOSE] + 1;
		test_faults.fail_errno[TEST_OP_CLOSE] = EIO;
		errno = ESTALE;
		journal_file_let_go(file[0]);
		assert_int_equal(errno, ESTALE);
		journal_file_let_go(file[1]);
		test_faults_end();
		for (i = 0; i < 2; i++)
			journal_file_free(&file[i]);
		journal_files_deinit(&files);
	}
}

static struct {
	int flags;              /* of the segment that was opened last */
	size_t most;            /* of one read */
	unsigned int fail_from; /* this read, and those behind it, fail */
	unsigned int reads;
	ssize_t written; /* by a write */
} way;

static int way_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	if (strstr(path, ".seg") != NULL)
		way.flags = flags;
	return file_ops_system.openat(dir_fd, path, flags, mode);
}

static ssize_t way_pread(int fd, void *data, size_t size, off_t offset)
{
	if (++way.reads >= way.fail_from) {
		errno = EIO;
		return -1;
	}
	return file_ops_system.pread(fd, data, I_MIN(size, way.most), offset);
}

static ssize_t way_pwritev(int fd ATTR_UNUSED,
			   const struct iovec *iov ATTR_UNUSED,
			   int count ATTR_UNUSED, off_t offset ATTR_UNUSED)
{
	return way.written;
}

/* Nobody follows a link, waits for a pipe, or gives the descriptor to another program;
   and who only reads cannot write. */
static void test_how_segments_are_opened(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();
	bool read_only;
	int i;

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_close(&journal);
	ops.openat = way_openat;
	file_ops_set(&ops);
	for (i = 0; i < 2; i++) {
		read_only = i > 0;
		way.flags = 0;
		journal = test_journal_open(read_only);
		assert_int_equal(way.flags & O_ACCMODE,
				 read_only ? O_RDONLY : O_RDWR);
		assert_true((way.flags & O_NOFOLLOW) != 0);
		assert_true((way.flags & O_NONBLOCK) != 0);
		assert_true((way.flags & O_CLOEXEC) != 0);
		journal_close(&journal);
	}
}

/* A read may give less than was asked for; an error behind it is not the end. */
static void test_reads_in_parts(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();
	unsigned char data[8 * JOURNAL_ALIGN], again[sizeof(data)];
	struct journal_file *file;

	assert_int_equal(test_journal_store(journal, 1), 0);
	file = journal->active->file;
	assert_int_equal(journal_file_read(file, data, sizeof(data), 0), 1);
	ops.pread = way_pread;
	file_ops_set(&ops);
	way.most = 100;
	way.reads = 0;
	way.fail_from = 1000;
	assert_int_equal(journal_file_read(file, again, sizeof(again), 0), 1);
	assert_memory_equal(data, again, sizeof(data));
	assert_int_equal(journal_file_read_some(file, again, sizeof(again),
						TEST_JOURNAL_SEGMENT - 150),
			 150);
	assert_int_equal(journal_file_read(file, again, sizeof(again),
					   TEST_JOURNAL_SEGMENT - 150),
			 0);
	way.fail_from = way.reads + 2;
	assert_int_equal(journal_file_read_some(file, again, sizeof(again), 0),
			 -1);
	assert_int_equal(errno, EIO);
	file_ops_set(NULL);
	journal_close(&journal);
}

/* The same of a write: each part is where it belongs. */
static void test_writes_in_parts(void **state ATTR_UNUSED)
{
	unsigned char data[1000], again[sizeof(data)];
	struct journal_file *file;
	struct journal_files files;
	unsigned int i;

	for (i = 0; i < sizeof(data); i++)
		data[i] = (unsigned char)(i % 251);
	begin_files(&files, 1);
	file = journal_file_new(&files, 1);
	test_faults_begin();
	test_faults.max_write = 300;
	assert_int_equal(journal_file_write(file, data, sizeof(data), 5), 0);
	assert_int_equal(test_faults.calls[TEST_OP_WRITE], 4);
	/* an error behind a part is none of the whole */
	test_faults.fail_at[TEST_OP_WRITE] = 6;
	test_faults.fail_errno[TEST_OP_WRITE] = EIO;
	assert_int_equal(journal_file_write(file, data, sizeof(data), 5), -1);
	assert_int_equal(errno, EIO);
	test_faults_end();
	assert_int_equal(journal_file_read(file, again, sizeof(again), 5), 1);
	assert_memory_equal(data, again, sizeof(data));
	journal_file_free(&file);
	journal_files_deinit(&files);
}

/* A write that takes nothing is an error, and no loop. */
static void test_a_write_that_takes_nothing(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	ops.pwritev = way_pwritev;
	file_ops_set(&ops);
	way.written = 0;
	errno = 0;
	assert_int_equal(journal_file_write(journal->active->file, "x", 1, 0),
			 -1);
	assert_int_equal(errno, ENOSPC);
	file_ops_set(NULL);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_used_stays_open),
		cmocka_unit_test_teardown(test_two_open_it, restore),
		cmocka_unit_test_teardown(test_one_opens_what_is_idle, restore),
		cmocka_unit_test_teardown(test_one_is_closed_for_another,
					  restore),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test_teardown(test_how_segments_are_opened,
					  restore),
		cmocka_unit_test_teardown(test_reads_in_parts, restore),
		cmocka_unit_test_teardown(test_writes_in_parts, restore),
		cmocka_unit_test_teardown(test_a_write_that_takes_nothing,
					  restore),
	};

	return cmocka_run_group_tests_name("journal-files", tests, NULL, NULL);
}
