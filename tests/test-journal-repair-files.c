/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What repair makes of messages of which a record is damaged, and whose body is in a file. */

#include "config.h"
#include "macros.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Messages that stay. */
static void count_staying(const char *text, void *context)
{
	unsigned int *stay = context;

	*stay += strstr(text, " stays: ") != NULL;
}

/* Another byte of the first segment. */
static void damage(uint64_t offset)
{
	test_flip(test_spool_segment(1), offset);
}

/* A record of a body that is in a file, the first in the first segment, which is full:
   where its payload is, and that of its headers. */
#define BODY_PAYLOAD (4096 + 64 + 8)
#define HEADERS_PAYLOAD (4096 + 128 + 64 + 4)

/* Such a one, and others; closed. */
static void put_under_footer(const unsigned char *data, message_id *id)
{
	struct spool *spool = test_spool_new_of("journal", "");
	message_id other;
	unsigned int i;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, id),
			 IO_DONE);
	for (i = 0; i < 5; i++)
		assert_int_equal(test_spool_put(spool, data, 20000, &other),
				 IO_DONE);
	spool_close(&spool);
}

/* A record that cannot be read may be the one that speaks of the file. */
static void test_a_file_of_a_damaged_record(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	message_id id;

	put_under_footer(data, &id);
	damage(BODY_PAYLOAD);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	spool_close(&spool);
	free(data);
}

/* Where a record is damaged, or a segment, the file that it spoke of is kept. */
static void test_files_of_what_is_damaged(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t offset;
		unsigned int flags;
	} rows[] = { { BODY_PAYLOAD, 0 }, { 20, SPOOL_OPEN_REPAIR } };
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct test_spool_files aside;
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of("journal", "");
		assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE,
						&id),
				 IO_DONE);
		assert_int_equal(test_spool_put(spool, data, 100, &id),
				 IO_DONE);
		spool_close(&spool);
		damage(rows[i].offset);
		spool = test_spool_open(rows[i].flags);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 0);
		aside = test_spool_files_in("quarantine");
		/* each with its reason; of the record those of body and headers */
		assert_int_equal(aside.count, i == 0 ? 6 : 4);
		spool_close(&spool);
	}
	free(data);
}

/* A message stays where a read fails that may succeed later. */
static void test_repair_after_a_failing_read(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	message_id id;

	put_under_footer(data, &id);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	assert_int_equal(test_spool_scan(spool), 6);
	test_faults_end();
	test_spool_must_have(spool, &id, data, TEST_SPOOL_LARGE);
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
	spool_close(&spool);
	free(data);
}

/* The headers are damaged, and the body's file cannot be moved: it stays, and the record
   that speaks of it. */
static void test_repair_that_cannot_keep_a_body(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	unsigned int total;
	message_id id;

	put_under_footer(data, &id);
	damage(HEADERS_PAYLOAD);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_RENAME] = 1;
	test_faults.fail_errno[TEST_OP_RENAME] = ENOSPC;
	test_faults.fail_after = true;
	assert_int_equal(test_spool_scan(spool), 5);
	test_faults_end();
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	assert_int_equal(total, 6);
	spool_close(&spool);
	/* the next one can */
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	assert_int_equal(test_spool_scan(spool), 5);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, 5);
	spool_close(&spool);
	free(data);
}

/* The headers are damaged, and the body's file is missing: somebody may find it, and the
   record stays that speaks of it. */
static void test_repair_of_what_lost_its_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	unsigned int stay = 0, total;
	struct spool *spool;
	message_id id;

	put_under_footer(data, &id);
	damage(HEADERS_PAYLOAD);
	assert_int_equal(unlink(test_spool_files_in(TEST_SPOOL_BODIES).path),
			 0);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	spool_set_warning_callback(spool, count_staying, &stay);
	assert_int_equal(test_spool_scan(spool), 5);
	assert_int_equal(stay, 1);
	(void)test_spool_damaged(spool, &total);
	assert_int_equal(total, 6);
	spool_close(&spool);
	free(data);
}

/* A repair that was cut off, or that failed, had moved the body's file; only where that is
   durable the record may go. The next one finishes it. */
static void test_repair_goes_on(void **state ATTR_UNUSED)
{
	/* the first one, and behind the copy of the damaged record, and two reasons, the
	   tombstone's, and that of the file's name */
	static const struct {
		enum test_op op;
		unsigned int at;
	} rows[] = {
		{ TEST_OP_WRITE, 1 },
		{ TEST_OP_WRITE, 4 },
		{ TEST_OP_FSYNC_DIR, 1 },
		{ TEST_OP_FSYNC_DIR, 4 },
	};
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	unsigned int stay = 0, total;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		put_under_footer(data, &id);
		damage(HEADERS_PAYLOAD);
		spool = test_spool_open(SPOOL_OPEN_REPAIR);
		spool_set_warning_callback(spool, count_staying, &stay);
		test_faults_begin();
		test_faults.fail_at[rows[i].op] = rows[i].at;
		test_faults.fail_errno[rows[i].op] = ENOSPC;
		test_faults.fail_after = true;
		assert_int_equal(test_spool_scan(spool), 5);
		test_faults_end();
		assert_int_equal(stay, i + 1);
		assert_int_equal(test_spool_damaged(spool, &total), 1);
		assert_int_equal(total, 6);
		spool_close(&spool);
		spool = test_spool_open(SPOOL_OPEN_REPAIR);
		assert_int_equal(test_spool_scan(spool), 5);
		assert_int_equal(test_spool_damaged(spool, &total), 0);
		assert_int_equal(total, 5);
		spool_close(&spool);
	}
	free(data);
}

/* The body's record is damaged, or its header is, so that nobody can tell which file it spoke
   of: the file is whole, and kept. */
static void
test_repair_keeps_the_file_of_a_damaged_record(void **state ATTR_UNUSED)
{
	static const uint64_t offsets[] = { BODY_PAYLOAD, 4096 + 10 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	char path[1200];
	message_id id;
	buffer_t *kept;
	size_t i;

	for (i = 0; i < N_ELEMENTS(offsets); i++) {
		put_under_footer(data, &id);
		(void)snprintf(
			path, sizeof(path), "%s/quarantine%s", test_spool_dir(),
			strrchr(test_spool_files_in(TEST_SPOOL_BODIES).path,
				'/'));
		damage(offsets[i]);
		spool = test_spool_open(SPOOL_OPEN_REPAIR);
		assert_int_equal(test_spool_scan(spool), 5);
		assert_int_equal(test_spool_scan_again(&spool), 5);
		spool_close(&spool);
		kept = test_read_file(path);
		assert_int_equal(kept->used, TEST_SPOOL_LARGE);
		assert_memory_equal(kept->data, data, TEST_SPOOL_LARGE);
		buffer_free(&kept);
	}
	free(data);
}

/* Where it cannot be moved the message stays, and the next repair takes it out. */
static void test_repair_that_cannot_keep_such_a_file(void **state ATTR_UNUSED)
{
	/* behind the reason of the copy of the damaged record; and where nobody can look
	   for it */
	static const struct {
		enum test_op op;
		unsigned int at;
	} rows[] = { { TEST_OP_RENAME, 2 }, { TEST_OP_OPENDIR, 1 } };
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	unsigned int total;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		put_under_footer(data, &id);
		damage(BODY_PAYLOAD);
		spool = test_spool_open(SPOOL_OPEN_REPAIR);
		test_faults_begin();
		test_faults.fail_at[rows[i].op] = rows[i].at;
		test_faults.fail_errno[rows[i].op] = ENOSPC;
		assert_int_equal(test_spool_scan(spool), 5);
		test_faults_end();
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 1);
		assert_int_equal(test_spool_damaged(spool, &total), 1);
		assert_int_equal(total, 6);
		assert_int_equal(test_spool_scan_again(&spool), 5);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 0);
		spool_close(&spool);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_file_of_a_damaged_record),
		cmocka_unit_test(test_files_of_what_is_damaged),
		cmocka_unit_test(test_repair_after_a_failing_read),
		cmocka_unit_test(test_repair_that_cannot_keep_a_body),
		cmocka_unit_test(test_repair_of_what_lost_its_file),
		cmocka_unit_test(test_repair_goes_on),
		cmocka_unit_test(
			test_repair_keeps_the_file_of_a_damaged_record),
		cmocka_unit_test(test_repair_that_cannot_keep_such_a_file),
	};

	return cmocka_run_group_tests_name("journal-repair-files", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
