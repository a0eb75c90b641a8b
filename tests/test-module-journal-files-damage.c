/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bodies of the journal store that are in files of their own: what a start, a scan and
   verify find of those that are missing, damaged, or nobody's. */

#include "config.h"
#include "file-ops.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

/* 6: the headers are kept, reported and not queued; 15: the neighbours stay. */
static void test_a_missing_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	unsigned int total;
	message_id ids[2];
	struct test_spool_files lost;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &ids[0]),
			 IO_DONE);
	lost = test_spool_files_in(TEST_SPOOL_BODIES);
	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &ids[1]),
			 IO_DONE);
	spool_close(&spool);
	assert_int_equal(unlink(lost.path), 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_read(spool, &ids[0], 0, NULL), EINVAL);
	assert_int_equal(test_spool_scan(spool), 1);
	/* the bytes and the reason */
	assert_int_equal(test_spool_files_in("quarantine").count, 2);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	assert_int_equal(total, 2);
	test_spool_must_have(spool, &ids[1], data, TEST_SPOOL_LARGE);
	spool_close(&spool);
	free(data);
}

static struct {
	struct spool *spool;
	message_id id;
	const unsigned char *data;
	unsigned int calls;
} changing;

/* The name of such a file. */
static bool is_body(const char *path)
{
	size_t size = strlen(path);

	return size == 45 && strcmp(path + size - 2, ".b") == 0;
}

/* Who looks for the body's file finds it gone: another one took its place. */
static int changing_openat(int dir, const char *path, int flags, mode_t mode)
{
	if (is_body(path) && changing.calls++ == 0)
		test_spool_change_body(changing.spool, &changing.id,
				       changing.data, TEST_SPOOL_LARGE - 1);
	return file_ops_system.openat(dir, path, flags, mode);
}

/* 20: a message is found whose body is changed under the scan, and is no damage. */
static void test_a_file_that_is_changed_meanwhile(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct file_ops ops = file_ops_system;
	unsigned int total, i;
	struct spool *spool;

	ops.openat = changing_openat;
	changing.data = data;
	for (i = 0; i < 2; i++) {
		spool = test_spool_new_of("journal", "");
		assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE,
						&changing.id),
				 IO_DONE);
		spool_close(&spool);
		spool = test_spool_open(0);
		changing.spool = spool;
		changing.calls = 0;
		file_ops_set(&ops);
		if (i == 0)
			assert_int_equal(test_spool_scan(spool), 1);
		else
			assert_int_equal(test_spool_damaged(spool, &total), 0);
		file_ops_set(NULL);
		assert_true(changing.calls > 1);
		test_spool_must_have(spool, &changing.id, data,
				     TEST_SPOOL_LARGE - 1);
		assert_int_equal(test_spool_files_in("quarantine").count, 0);
		spool_close(&spool);
	}
	free(data);
}

static void test_a_damaged_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	unsigned int total;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	test_flip(test_spool_files_in(TEST_SPOOL_BODIES).path,
		  TEST_SPOOL_LARGE / 2);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	spool_close(&spool);
	free(data);
}

/* By its hash alone. */
static void test_a_damaged_file_without_a_key(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	char stack[512], *error;
	unsigned int total;
	message_id id;

	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	spool = test_spool_new_of("journal", stack);
	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	spool_close(&spool);
	spool = spool_open(test_spool_dir(), SPOOL_OPEN_READ_ONLY, NULL,
			   &error);
	assert_non_null(spool);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	test_flip(test_spool_files_in(TEST_SPOOL_BODIES).path,
		  TEST_SPOOL_LARGE / 2);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	spool_close(&spool);
	free(data);
}

/* Whatever the stack knows of it. */
static void test_damaged_bodies_do_not_end_well(void **state ATTR_UNUSED)
{
	static const char *const stacks[] = { "", "lz4", TEST_SPOOL_ZSTD,
					      "hex" };
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		spool = test_spool_new_of("journal", stacks[i]);
		assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE,
						&id),
				 IO_DONE);
		test_spool_damage_body(
			spool, &id,
			test_spool_files_in(TEST_SPOOL_BODIES).path);
		test_spool_must_have(spool, &id, data, TEST_SPOOL_LARGE);
		spool_close(&spool);
	}
	free(data);
}

/* Nobody follows a link, or waits for a pipe, where a file should be. */
static void test_no_other_kind_is_a_body(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	char path[1024], away[1040];
	message_id id;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	(void)snprintf(path, sizeof(path), "%s",
		       test_spool_files_in(TEST_SPOOL_BODIES).path);
	(void)snprintf(away, sizeof(away), "%s", test_path("away"));
	assert_int_equal(rename(path, away), 0);
	/* it has the right bytes */
	assert_int_equal(symlink(away, path), 0);
	assert_int_equal(test_spool_read(spool, &id, 0, NULL), EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(test_spool_read(spool, &id, 0, NULL), EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(test_spool_read(spool, &id, 0, NULL), EINVAL);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(away, path), 0);
	test_spool_must_have(spool, &id, data, TEST_SPOOL_LARGE);
	spool_close(&spool);
	free(data);
}

static void count_warning(const char *text, void *context)
{
	unsigned int *count = context;

	*count += strstr(text, "put aside") != NULL;
}

/* Bodies that were put aside before their reason was there. */
static unsigned int without_reason;

static int reasoned_renameat2(int old_dir, const char *old_path, int new_dir,
			      const char *new_path, unsigned int flags)
{
	char why[512];

	(void)snprintf(why, sizeof(why), "%s.why", new_path);
	if (strncmp(new_path, "quarantine/", 11) == 0 &&
	    strcmp(new_path + strlen(new_path) - 2, ".b") == 0 &&
	    faccessat(new_dir, why, F_OK, 0) < 0)
		without_reason++;
	return file_ops_system.renameat2(old_dir, old_path, new_dir, new_path,
					 flags);
}

/* Where records are missing, nobody knows whose a file is. */
static void test_strange_files(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
	char path[700], away[710];
	message_id id;
	unsigned int i, warnings = 0;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	for (i = 0; i < 5; i++)
		assert_int_equal(test_spool_put(spool, data, 20000, &id),
				 IO_DONE);
	spool_close(&spool);
	(void)snprintf(path, sizeof(path), "%s/journal/bodies/.bobbin-tmp-1",
		       test_spool_dir());
	test_write_file(path, data, 100);
	(void)snprintf(away, sizeof(away), "%s.away", test_spool_segment(1));
	assert_int_equal(rename(test_spool_segment(1), away), 0);
	/* a reader touches nothing */
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	spool_close(&spool);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 2);
	ops.renameat2 = reasoned_renameat2;
	file_ops_set(&ops);
	without_reason = 0;
	spool = test_spool_open(0);
	file_ops_set(NULL);
	assert_int_equal(without_reason, 0);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	assert_int_equal(test_spool_files_in("quarantine").count, 2);
	/* who is told only now is told */
	spool_set_warning_callback(spool, count_warning, &warnings);
	assert_int_equal(warnings, 1);
	spool_close(&spool);
	free(data);
}

static int renameat2_without_bodies(int old_dir, const char *old_path,
				    int new_dir, const char *new_path,
				    unsigned int flags)
{
	/* but reasons */
	if (strncmp(new_path, "quarantine/", 11) == 0 &&
	    strcmp(new_path + strlen(new_path) - 2, ".b") == 0) {
		errno = EIO;
		return -1;
	}
	return file_ops_system.renameat2(old_dir, old_path, new_dir, new_path,
					 flags);
}

/* The segment's end is lost with their records: they are aside before nobody knows of
   that any more. */
static void test_the_bodies_of_a_cut_segment(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
	message_id id, large;
	unsigned int total;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &large),
			 IO_DONE);
	spool_close(&spool);
	assert_int_equal(truncate(test_spool_segment(1), 8192), 0);
	ops.renameat2 = renameat2_without_bodies;
	file_ops_set(&ops);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	file_ops_set(NULL);
	spool_close(&spool);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);

	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	/* it, and its reason, and that of the segment's end */
	assert_int_equal(test_spool_files_in("quarantine").count, 3);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, 1);
	spool_close(&spool);
	free(data);
}

static int failing_openat(int dir, const char *path, int flags, mode_t mode)
{
	if (is_body(path)) {
		errno = EMFILE;
		return -1;
	}
	return file_ops_system.openat(dir, path, flags, mode);
}

/* 6 is not it: the reader will be told, and the message waits. */
static void test_a_file_that_cannot_be_opened(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	ops.openat = failing_openat;
	file_ops_set(&ops);
	assert_int_equal(test_spool_scan(spool), 1);
	file_ops_set(NULL);
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
	test_spool_must_have(spool, &id, data, TEST_SPOOL_LARGE);
	spool_close(&spool);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_missing_file),
		cmocka_unit_test(test_a_file_that_is_changed_meanwhile),
		cmocka_unit_test(test_a_damaged_file),
		cmocka_unit_test(test_a_damaged_file_without_a_key),
		cmocka_unit_test(test_damaged_bodies_do_not_end_well),
		cmocka_unit_test(test_no_other_kind_is_a_body),
		cmocka_unit_test(test_strange_files),
		cmocka_unit_test(test_the_bodies_of_a_cut_segment),
		cmocka_unit_test(test_a_file_that_cannot_be_opened),
	};

	return cmocka_run_group_tests_name("module-journal-files-damage", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
