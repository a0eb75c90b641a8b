/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Who reads a spool of the journal store beside its writer: what that one removed, moved or
   wrote anew meanwhile is no damage. */

#include "config.h"
#include "file-ops.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What verify says of a message. */
struct seen {
	message_id id;
	unsigned int count;
	int error;
	uint64_t body_len;
};

static bool see(const struct spool_entry *entry, void *context)
{
	struct seen *seen = context;

	if (message_id_cmp(&entry->id, &seen->id) != 0)
		return true;
	seen->count++;
	/* no body here is SMTP wire form */
	seen->error = entry->error == EILSEQ ? 0 : entry->error;
	seen->body_len = entry->body_len;
	return true;
}

static struct seen seen_of(struct spool *spool, const message_id *id)
{
	struct seen seen = { .id = *id };
	char *error;

	assert_int_equal(spool_verify(spool, see, &seen, &error), 0);
	return seen;
}

/* What it removed, or wrote anew, is no damage to who reads; what is missing is. */
static void test_a_reader_beside_a_writer(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	struct test_spool_files lost;
	email_message *message;
	message_id ids[4];
	unsigned int i, descriptors;

	for (i = 0; i < N_ELEMENTS(ids); i++) {
		assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE,
						&ids[i]),
				 IO_DONE);
		if (i == 0)
			lost = test_spool_files_in(TEST_SPOOL_BODIES);
	}
	descriptors = test_open_descriptors();
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(spool_remove(spool, &ids[1]), IO_DONE);
	assert_int_equal(spool_get(reader, &ids[1], &message), IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), ESTALE);
	assert_non_null(strstr(io_get_error(), "open it again"));
	assert_int_equal(seen_of(reader, &ids[1]).count, 0);
	/* behind the time at which it looked */
	assert_int_equal(spool_remove(spool, &ids[2]), IO_DONE);
	assert_int_equal(test_spool_read(reader, &ids[2], 0, NULL), ESTALE);
	assert_int_equal(seen_of(reader, &ids[2]).count, 0);
	test_spool_change_body(spool, &ids[3], data, TEST_SPOOL_LARGE - 1);
	assert_int_equal(test_spool_read(reader, &ids[3], 0, NULL), ESTALE);
	/* and what is listed is how it is now */
	assert_int_equal(seen_of(reader, &ids[3]).error, 0);
	assert_int_equal(seen_of(reader, &ids[3]).body_len,
			 TEST_SPOOL_LARGE - 1);
	assert_int_equal(unlink(lost.path), 0);
	assert_int_equal(test_spool_read(reader, &ids[0], 0, NULL), EINVAL);
	assert_int_equal(seen_of(reader, &ids[0]).error, EINVAL);
	spool_close(&reader);
	/* nor is the journal open that it looked into */
	assert_int_equal(test_open_descriptors(), descriptors);
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	test_spool_must_have(reader, &ids[3], data, TEST_SPOOL_LARGE - 1);
	assert_int_equal(test_spool_read(reader, &ids[2], 0, NULL), ENOENT);
	spool_close(&reader);
	spool_close(&spool);
	free(data);
}

/* Its segment is another one meanwhile; and so it is when the reader has looked again. */
static void test_a_reader_lists_nothing_that_went(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 20000);
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	message_id id, moved, other;
	unsigned int total;
	uint64_t count;
	char *error;

	assert_int_equal(test_spool_put(spool, data, 20000, &id), IO_DONE);
	assert_int_equal(test_spool_put(spool, data, 20000, &moved), IO_DONE);
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	while (test_spool_read(reader, &id, 0, NULL) == 0) {
		assert_int_equal(test_spool_put(spool, data, 20000, &other),
				 IO_DONE);
		assert_int_equal(spool_remove(spool, &other), IO_DONE);
		assert_int_equal(spool_compact(spool, &count, &error), 0);
	}
	assert_int_equal(test_spool_read(reader, &id, 0, NULL), ESTALE);
	assert_int_equal(seen_of(reader, &id).count, 0);
	assert_int_equal(test_spool_read(reader, &moved, 0, NULL), ESTALE);
	assert_int_equal(seen_of(reader, &moved).error, 0);
	assert_int_equal(seen_of(reader, &moved).count, 1);
	assert_int_equal(test_spool_damaged(reader, &total), 0);
	assert_int_equal(spool_remove(spool, &moved), IO_DONE);
	assert_int_equal(test_spool_damaged(reader, &total), 0);
	assert_int_equal(total, 0);
	spool_close(&reader);
	spool_close(&spool);
	free(data);
}

/* Puts others into the place of what the message is in. */
static void move(struct spool *spool, const unsigned char *data)
{
	message_id other;
	uint64_t count;
	unsigned int i;
	char *error;

	for (i = 0; i < 30; i++) {
		assert_int_equal(test_spool_put(spool, data, 20000, &other),
				 IO_DONE);
		assert_int_equal(spool_remove(spool, &other), IO_DONE);
		assert_int_equal(spool_compact(spool, &count, &error), 0);
	}
}

static struct {
	struct spool *spool;
	const unsigned char *data;
	unsigned int calls;
	bool moves;
} mover;

/* What reads the rest of the body comes too late, each time. */
static ssize_t pread_behind_moving(int fd, void *data, size_t size, off_t pos)
{
	if (!mover.moves && size > 15000 && size < 20000) {
		mover.calls++;
		mover.moves = true;
		move(mover.spool, mover.data);
		mover.moves = false;
	}
	return file_ops_system.pread(fd, data, size, pos);
}

/* That ends, too, and the message is not left out. */
static void test_what_is_moved_all_the_time(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 20000);
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	struct file_ops ops = file_ops_system;
	struct seen seen;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, 20000, &id), IO_DONE);
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	mover.spool = spool;
	mover.data = data;
	mover.calls = 0;
	ops.pread = pread_behind_moving;
	file_ops_set(&ops);
	seen = seen_of(reader, &id);
	file_ops_set(NULL);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.error, ESTALE);
	assert_int_equal(mover.calls, 9);
	assert_int_equal(seen_of(reader, &id).error, 0);
	spool_close(&reader);
	spool_close(&spool);
	free(data);
}

static bool see_one(const struct spool_entry *entry ATTR_UNUSED, void *context)
{
	unsigned int *count = context;

	++*count;
	return false;
}

/* Also where it is at those that a writer has moved. */
static void test_a_reader_whose_listing_is_cut_short(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 20000);
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	message_id gone[2], moved[2], other;
	unsigned int seen = 0, i;
	uint64_t count;
	char *error;

	for (i = 0; i < 4; i++)
		assert_int_equal(test_spool_put(spool, data, 10000,
						i < 2 ? &moved[i] :
							&gone[i - 2]),
				 IO_DONE);
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(spool_remove(spool, &gone[0]), IO_DONE);
	assert_int_equal(spool_remove(spool, &gone[1]), IO_DONE);
	/* the last one in its segment */
	while (test_spool_read(reader, &gone[1], 0, NULL) == 0) {
		assert_int_equal(test_spool_put(spool, data, 20000, &other),
				 IO_DONE);
		assert_int_equal(spool_remove(spool, &other), IO_DONE);
		assert_int_equal(spool_compact(spool, &count, &error), 0);
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(test_spool_read(reader, &moved[i], 0, NULL),
				 ESTALE);
	assert_int_equal(spool_list(reader, see_one, &seen, &error), 0);
	assert_int_equal(seen, 1);
	spool_close(&reader);
	spool_close(&spool);
	free(data);
}

static int openat_without_journal(int dir, const char *path, int flags,
				  mode_t mode)
{
	if (strcmp(path, "journal") == 0) {
		errno = EMFILE;
		return -1;
	}
	return file_ops_system.openat(dir, path, flags, mode);
}

/* Nobody can tell: that is no damage either. */
static void test_a_reader_that_cannot_look(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	struct file_ops ops = file_ops_system;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	ops.openat = openat_without_journal;
	file_ops_set(&ops);
	assert_int_equal(test_spool_read(reader, &id, 0, NULL), EMFILE);
	assert_int_equal(seen_of(reader, &id).error, EMFILE);
	file_ops_set(NULL);
	assert_int_equal(test_spool_read(reader, &id, 0, NULL), ESTALE);
	spool_close(&reader);
	spool_close(&spool);
	free(data);
}

/* Nor is it left out. */
static void
test_a_reader_that_cannot_look_for_what_moved(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 20000);
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	struct file_ops ops = file_ops_system;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, 20000, &id), IO_DONE);
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	move(spool, data);
	ops.openat = openat_without_journal;
	file_ops_set(&ops);
	assert_int_equal(seen_of(reader, &id).error, ESTALE);
	file_ops_set(NULL);
	assert_int_equal(seen_of(reader, &id).error, 0);
	spool_close(&reader);
	spool_close(&spool);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_reader_beside_a_writer),
		cmocka_unit_test(test_a_reader_lists_nothing_that_went),
		cmocka_unit_test(test_what_is_moved_all_the_time),
		cmocka_unit_test(test_a_reader_whose_listing_is_cut_short),
		cmocka_unit_test(test_a_reader_that_cannot_look),
		cmocka_unit_test(test_a_reader_that_cannot_look_for_what_moved),
	};

	return cmocka_run_group_tests_name("module-journal-reader", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
