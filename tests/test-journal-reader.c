/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Who reads a journal beside its writer finds some of it as it was, and some as it is: none of
   that is damage. */

#include "config.h"
#include "file-ops.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "test-journal-common.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* A reader forgets what it took for damage in a segment that its writer wrote anew, wherever
   in the list, and goes on with the others. */
static void test_what_a_reader_forgets(void **state ATTR_UNUSED)
{
	const struct journal_item item = { .state = JOURNAL_ITEM_GAP,
					   .pos = 2 * JOURNAL_BLOCK_SIZE,
					   .size = JOURNAL_ALIGN };
	struct journal *journal = test_journal_new(), *reader;
	struct journal_segment_header header;
	const struct journal_damage *damage;
	int fd;

	assert_int_equal(test_journal_store(journal, 1), 0);
	reader = test_journal_open(true);
	journal_damage_missing(reader, 7);
	journal_reject(reader, reader->segments[1], &item, false, "gone");
	journal_damage_missing(reader, 8);
	journal_reject(reader, reader->segments[1], &item, false, "gone");
	journal_damage_forget(reader);
	/* nothing was written anew */
	for (damage = journal_get_damage(reader); damage->next != NULL;)
		damage = damage->next;
	assert_int_equal(damage->segment, 1);
	header = journal->segments[1]->header;
	fd = journal_file_hold(journal->segments[1]->file);
	assert_true(fd >= 0);
	assert_int_equal(journal_write_header(fd, &header), 0);
	journal_file_let_go(journal->segments[1]->file);
	journal_damage_forget(reader);
	journal_damage_missing(reader, 9);
	damage = journal_get_damage(reader);
	assert_int_equal(damage->segment, 7);
	assert_int_equal(damage->next->segment, 8);
	assert_int_equal(damage->next->next->segment, 9);
	assert_null(damage->next->next->next);
	journal_close(&reader);
	journal_close(&journal);
}

/* What scans of the segment read of its second group, before the writer is done with it: they
   have read the third one later. */
static struct late {
	unsigned int scans; /* that come too early */
	size_t at, size;    /* what is not there yet, in the group, in bytes */
} late;

static ssize_t read_too_early(int fd, void *data, size_t size, off_t offset)
{
	const size_t group = 2 * JOURNAL_BLOCK_SIZE + late.at;
	ssize_t ret = file_ops_system.pread(fd, data, size, offset);

	if (late.scans > 0 && offset == JOURNAL_BLOCK_SIZE &&
	    ret >= (ssize_t)(group + late.size)) {
		late.scans--;
		memset((char *)data + group - JOURNAL_BLOCK_SIZE, 0, late.size);
	}
	return ret;
}

static struct journal *read_early(unsigned int scans, size_t at, size_t size)
{
	struct file_ops ops = file_ops_system;
	struct journal *reader;

	late.scans = scans;
	late.at = at;
	late.size = size;
	ops.pread = read_too_early;
	file_ops_set(&ops);
	reader = test_journal_open(true);
	file_ops_set(NULL);
	return reader;
}

/* A group that was not written yet, or of which a payload was not. */
static const struct {
	size_t at, size;
} not_yet[] = { { 0, JOURNAL_BLOCK_SIZE }, { JOURNAL_HEADER_SIZE + 8, 1 } };

/* It is read again. */
static void test_a_group_that_comes_meanwhile(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new(), *reader;
	unsigned int n;
	size_t i;

	for (n = 1; n <= 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (i = 0; i < N_ELEMENTS(not_yet); i++) {
		reader = read_early(2, not_yet[i].at, not_yet[i].size);
		assert_int_equal(late.scans, 0);
		assert_null(journal_get_damage(reader));
		for (n = 1; n <= 3; n++)
			assert_true(test_journal_has(reader, n));
		journal_close(&reader);
	}
	journal_close(&journal);
}

/* That ends, and what it has not seen is no damage either. */
static void test_groups_that_come_all_the_time(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new(), *reader;
	unsigned int n;

	for (n = 1; n <= 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	reader = read_early(1000, 0, JOURNAL_BLOCK_SIZE);
	assert_true(late.scans > 0 && late.scans < 1000);
	assert_null(journal_get_damage(reader));
	assert_true(test_journal_has(reader, 1));
	assert_true(test_journal_has(reader, 3));
	journal_close(&reader);
	journal_close(&journal);
}

/* What is damaged stays so, however often it is read: also headers that are whole, and whose
   body is not. */
static void test_damage_beside_a_writer(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new(), *reader;
	const struct journal_damage *damage;
	unsigned int n;

	for (n = 1; n <= 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	reader = read_early(0, 0, 0);
	damage = journal_get_damage(reader);
	assert_non_null(damage);
	assert_int_equal(damage->offset, 2 * JOURNAL_BLOCK_SIZE);
	assert_non_null(damage->next);
	assert_null(damage->next->next);
	journal_close(&reader);
	journal_close(&journal);
}

/* The first segment, which its writer is done with, as its first block could not be written
   anew. */
static struct going {
	struct journal *writer; /* NULL: it is gone, or stays */
	unsigned int n;         /* the next message */
} going;

static ssize_t writes_none_anew(int fd, const struct iovec *iov, int count,
				off_t offset)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	errno = EIO;
	return offset == 0 && st.st_size > 0 ?
		-1 :
		file_ops_system.pwritev(fd, iov, count, offset);
}

/* What is in it is moved before. */
static void let_first_go(void)
{
	struct journal *writer = going.writer;

	going.writer = NULL;
	test_journal_drop_most(writer, going.n);
	test_journal_compact(writer);
	while (access(test_journal_segment(1), F_OK) == 0)
		(void)test_journal_store(writer, 1000 + going.n++);
}

static int late_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	/* others are opened by other threads */
	if (strcmp(path, "00000001.seg") == 0 && going.writer != NULL)
		let_first_go();
	return file_ops_system.openat(dir_fd, path, flags, mode);
}

static unsigned int begin_going(struct journal *journal)
{
	going.n = 0;
	while (test_journal_active(journal) < 3)
		assert_int_equal(test_journal_store(journal, going.n++), 0);
	return going.n;
}

/* It is listed, and then it is not there: what was in it is elsewhere. */
static void test_a_segment_that_goes_meanwhile(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new(), *reader;
	struct file_ops ops = file_ops_system;
	unsigned int end = begin_going(journal);

	going.writer = journal;
	ops.openat = late_openat;
	ops.pwritev = writes_none_anew;
	file_ops_set(&ops);
	reader = test_journal_open(true);
	file_ops_set(NULL);
	assert_null(going.writer);
	test_journal_must_have_the_rest(reader, end);
	journal_close(&reader);
	journal_close(&journal);
}

static void see_it_go(bool closed)
{
	struct journal *journal = test_journal_new(), *reader;
	struct file_ops ops = file_ops_system;
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	unsigned char *data;
	message_id id;

	(void)begin_going(journal);
	reader = test_journal_open(true);
	assert_true(test_journal_has(reader, 1));
	if (closed)
		reader->files.open_max = 0;
	assert_true(test_journal_has(reader, 1));
	going.writer = journal;
	ops.pwritev = writes_none_anew;
	file_ops_set(&ops);
	let_first_go();
	file_ops_set(NULL);
	test_journal_make_id(1, &id);
	assert_int_equal(journal_read(reader, &id, JOURNAL_HEADERS, &header,
				      stack, &data),
			 -1);
	assert_int_equal(errno, ESTALE);
	journal_close(&reader);
	journal_close(&journal);
}

/* Nor is a message gone, or damaged, whose segment a reader had closed, or has open. */
static void test_a_segment_that_went(void **state ATTR_UNUSED)
{
	see_it_go(true);
	see_it_go(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_reader_forgets),
		cmocka_unit_test(test_a_group_that_comes_meanwhile),
		cmocka_unit_test(test_groups_that_come_all_the_time),
		cmocka_unit_test(test_damage_beside_a_writer),
		cmocka_unit_test(test_a_segment_that_goes_meanwhile),
		cmocka_unit_test(test_a_segment_that_went),
	};

	return cmocka_run_group_tests_name("journal-reader", tests, NULL, NULL);
}
