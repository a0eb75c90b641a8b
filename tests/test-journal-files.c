/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A journal has more segments than its process may have descriptors. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-faults.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* As few as a journal makes do with: eight are files that nobody uses. */
#define FEW 8
#define SEGMENTS 30u

static void limit_descriptors(rlim_t most)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = most == 0 ? limit.rlim_max : most;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static int unlimit(void **state ATTR_UNUSED)
{
	file_ops_set(NULL);
	limit_descriptors(0);
	return 0;
}

static int few(void **state ATTR_UNUSED)
{
	limit_descriptors((rlim_t)FEW * 8);
	return 0;
}

/* Until there are so many segments: the first message of each in first[]. */
static unsigned int fill_segments(struct journal *journal,
				  unsigned int first[SEGMENTS])
{
	const struct journal_segment *active = NULL;
	unsigned int n, count = 0;

	for (n = 0; count < SEGMENTS; n++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		if (journal->active != active)
			first[count++] = n;
		active = journal->active;
	}
	return n;
}

static void must_have_all(struct journal *journal, unsigned int end)
{
	unsigned int n;

	for (n = 0; n < end; n++)
		assert_true(test_journal_has(journal, n));
}

static void test_more_segments_than_descriptors(void **state ATTR_UNUSED)
{
	unsigned int first[SEGMENTS], before = test_open_descriptors(), n, end;
	struct journal *journal = test_journal_new();
	uint64_t moved;

	end = fill_segments(journal, first);
	must_have_all(journal, end);
	assert_true(test_open_descriptors() <= before + FEW + 4);
	journal_close(&journal);
	journal = test_journal_open(false);
	must_have_all(journal, end);
	assert_true(test_open_descriptors() <= before + FEW + 4);
	/* also what moves messages, and writes segments anew */
	for (n = 0; n < end; n++) {
		if (n % 9 != 1)
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved > 0);
	for (n = end; n < 2 * end; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < 2 * end; n++)
		assert_int_equal(test_journal_has(journal, n),
				 n >= end || n % 9 == 1);
	assert_true(test_open_descriptors() <= before + FEW + 4);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

static unsigned int segments_opened;

static int counting_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	if (strstr(path, ".seg") != NULL)
		segments_opened++;
	return file_ops_system.openat(dir_fd, path, flags, mode);
}

/* Some are read again and again, beside many that are read once. */
static void test_the_last_ones_stay_open(void **state ATTR_UNUSED)
{
	unsigned int first[SEGMENTS], i, once;
	struct journal *journal = test_journal_new();
	struct file_ops ops = file_ops_system;

	(void)fill_segments(journal, first);
	for (i = 0; i < FEW - 1; i++)
		assert_true(test_journal_has(journal, first[i]));
	ops.openat = counting_openat;
	file_ops_set(&ops);
	segments_opened = 0;
	for (once = FEW; once < SEGMENTS - 1; once++) {
		assert_true(test_journal_has(journal, first[once]));
		for (i = 0; i < FEW - 1; i++)
			assert_true(test_journal_has(journal, first[i]));
	}
	assert_int_equal(segments_opened, SEGMENTS - 1 - FEW);
	journal_close(&journal);
}

/* So many descriptors as there are; how many that is. */
static unsigned int take_all(int taken[FEW * 8])
{
	unsigned int count = 0;
	int fd;

	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		taken[count++] = fd;
	assert_int_equal(errno, EMFILE);
	return count;
}

static void give_back(const int *taken, unsigned int count)
{
	while (count > 0)
		assert_int_equal(close(taken[--count]), 0);
}

/* The process needs all of its descriptors: the journal makes do with those it has. */
static void test_idle_ones_make_room(void **state ATTR_UNUSED)
{
	unsigned int first[SEGMENTS], end, count;
	struct journal *journal = test_journal_new();
	const struct journal_segment *active;
	int taken[FEW * 8];

	end = fill_segments(journal, first);
	count = take_all(taken);
	must_have_all(journal, end);
	/* and goes on writing, into another segment, too */
	active = journal->active;
	while (journal->active == active)
		assert_int_equal(test_journal_store(journal, end++), 0);
	give_back(taken, count);
	must_have_all(journal, end);
	journal_close(&journal);
}

/* All whose name ends so. */
static const char *not_opened;

static int no_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	if (strstr(path, not_opened) == NULL)
		return file_ops_system.openat(dir_fd, path, flags, mode);
	errno = EMFILE;
	return -1;
}

/* Until none of the journal's is left; nor can these be opened any more. */
static void let_all_go(struct journal *journal, const char *names)
{
	struct journal_file *file = journal_file_new(&journal->files, 1);
	static struct file_ops ops;

	ops = file_ops_system;
	ops.openat = no_openat;
	not_opened = names;
	file_ops_set(&ops);
	assert_int_equal(journal_file_hold(file), -1);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(journal->files.open_count, 0);
	journal_file_free(&file);
}

static int read_headers(struct journal *journal, unsigned int n)
{
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	message_id id;

	test_journal_make_id(n, &id);
	return journal_read(journal, &id, JOURNAL_HEADERS, &header, stack,
			    NULL);
}

/* What cannot be opened now can be read, and written, later. */
static void test_no_descriptor(void **state ATTR_UNUSED)
{
	unsigned int first[SEGMENTS], end;
	struct journal *journal = test_journal_new();
	const struct journal_segment *active;

	end = fill_segments(journal, first);
	active = journal->active;
	let_all_go(journal, ".seg");
	assert_int_equal(read_headers(journal, first[0]), -1);
	assert_int_equal(errno, EMFILE);
	assert_int_equal(test_journal_store(journal, end), EMFILE);
	file_ops_set(NULL);
	must_have_all(journal, end);
	/* nothing of it was written, so that nothing is void */
	assert_int_equal(test_journal_store(journal, end), 0);
	assert_ptr_equal(journal->active, active);
	must_have_all(journal, end + 1);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* A dead one is not given up for that. */
static void test_no_descriptor_to_write_anew(void **state ATTR_UNUSED)
{
	unsigned int first[SEGMENTS], n, end, files;
	int error = 0;
	struct journal *journal = test_journal_new();

	end = fill_segments(journal, first);
	for (n = 0; n < first[1]; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	files = test_journal_files_in("journal");
	let_all_go(journal, "00000001.seg");
	/* the active one, until it is full */
	for (n = end; error == 0; n++)
		error = test_journal_store(journal, n);
	assert_int_equal(error, EMFILE);
	file_ops_set(NULL);
	assert_int_equal(test_journal_store(journal, n), 0);
	assert_int_equal(journal->active->header.number, 1);
	assert_int_equal(test_journal_files_in("journal"), files);
	journal_close(&journal);
}

/*
 * By themselves
 */

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

static void test_how_many_may_be_open(void **state ATTR_UNUSED)
{
	static const struct {
		rlim_t limit;
		unsigned int most;
	} rows[] = {
		{ 24, 8 },      { 80, 10 },      { 1024, 128 },
		{ 8192, 1024 }, { 16384, 1024 },
	};
	struct journal_files files;
	struct rlimit limit;
	size_t i;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		if (rows[i].limit > limit.rlim_max)
			break;
		limit_descriptors(rows[i].limit);
		journal_files_init(&files, false);
		assert_int_equal(files.open_max, rows[i].most);
		journal_files_deinit(&files);
	}
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
		cmocka_unit_test_setup_teardown(
			test_more_segments_than_descriptors, few, unlimit),
		cmocka_unit_test_setup_teardown(test_the_last_ones_stay_open,
						few, unlimit),
		cmocka_unit_test_setup_teardown(test_idle_ones_make_room, few,
						unlimit),
		cmocka_unit_test_setup_teardown(test_no_descriptor, few,
						unlimit),
		cmocka_unit_test_setup_teardown(
			test_no_descriptor_to_write_anew, few, unlimit),
		cmocka_unit_test(test_what_is_used_stays_open),
		cmocka_unit_test_teardown(test_two_open_it, unlimit),
		cmocka_unit_test_teardown(test_one_opens_what_is_idle, unlimit),
		cmocka_unit_test_teardown(test_how_many_may_be_open, unlimit),
		cmocka_unit_test_teardown(test_one_is_closed_for_another,
					  unlimit),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test_teardown(test_how_segments_are_opened,
					  unlimit),
		cmocka_unit_test_teardown(test_reads_in_parts, unlimit),
		cmocka_unit_test_teardown(test_writes_in_parts, unlimit),
		cmocka_unit_test_teardown(test_a_write_that_takes_nothing,
					  unlimit),
	};

	return cmocka_run_group_tests_name("journal-files", tests, NULL, NULL);
}
