/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A journal has more segments than its process may have descriptors. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-journal-common.h"

#include <errno.h>
#include <fcntl.h>
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
		cmocka_unit_test_teardown(test_how_many_may_be_open, unlimit),
	};

	return cmocka_run_group_tests_name("journal-descriptors", tests, NULL,
					   NULL);
}
