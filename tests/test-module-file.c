/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: what was stored comes back, is nowhere else, and no failing call changes
   that (the numbers are the invariants of doc/spool-format.md). */

#include "config.h"
#include "file-ops.h"
#include "istream.h"
#include "spool.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

static void test_wire_form_comes_back(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 1, 1000, 65536, 300000 };
	char encrypted[600];
	const char *stacks[] = { "", "gzip", TEST_SPOOL_ZSTD ":1", "lz4",
				 encrypted };
	struct spool *spool;
	message_id id;
	size_t i, j;

	(void)snprintf(encrypted, sizeof(encrypted),
		       TEST_SPOOL_ZSTD " | age:recipients=%s",
		       test_path("public"));
	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		spool = test_spool_new(stacks[i]);
		for (j = 0; j < N_ELEMENTS(sizes); j++) {
			/* NULs and 8 bit included */
			unsigned char *data =
				test_data(TEST_DATA_RANDOM, sizes[j]);

			assert_int_equal(test_spool_put(spool, data, sizes[j],
							&id),
					 IO_DONE);
			test_spool_must_have(spool, &id, data, sizes[j]);
			free(data);
		}
		assert_int_equal(test_spool_damaged(spool, NULL), 0);
		spool_close(&spool);
	}
}

static void test_no_plain_text_on_the_disk(void **state ATTR_UNUSED)
{
	static const char canary[] = "CANARY-7f3a-in-plain-text\r\n.\r\n";
	char stack[600];
	struct spool *spool;
	message_id id;

	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	spool = test_spool_new(stack);
	assert_int_equal(test_spool_put(spool, canary, sizeof(canary) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	assert_int_equal(test_command("grep -rqa 'CANARY-7f3a\\|example.org' "
				      "%s",
				      test_spool_dir()),
			 1);
	/* without the key: seen, checked, removed, but not read */
	{
		email_message *message;
		char *error;

		spool = spool_open(test_spool_dir(), 0, NULL, &error);
		assert_non_null(spool);
		assert_int_equal(test_spool_damaged(spool, NULL), 0);
		assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
		assert_int_equal(io_get_errno(), ENOKEY);
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		spool_close(&spool);
	}
}

static void test_removed_never_comes_back(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	message_id id;
	unsigned int total;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	/* any number of times */
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, 0);
	spool_close(&spool);
}

/* A person has to find the file. */
static void test_write_errors_have_the_path(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char path[512];
	message_id id;

	test_faults_begin();
	test_faults.fail_at[TEST_OP_WRITE] = 1;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_TRANS_FAIL);
	test_faults_end();
	test_spool_file(&id, ".b", path);
	if (strstr(io_get_error(), path) == NULL)
		fail_msg("%s", io_get_error());
	spool_close(&spool);
}

static void test_an_id_is_stored_once(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct istream *input =
		i_stream_create_from_data(wire, sizeof(wire) - 1);
	email_message *again;
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	again = email_message_new(&id);
	email_message_set_body(again, input, 0);
	assert_int_equal(spool_put(spool, again), IO_FAIL);
	email_message_unref(&again);
	i_stream_unref(&input);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

/* 13: whatever fails, once or from then on, it is an answer and no residue. */
static void test_every_failing_call(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN,      TEST_OP_WRITE,
					    TEST_OP_FDATASYNC, TEST_OP_CLOSE,
					    TEST_OP_FSYNC_DIR, TEST_OP_RENAME,
					    TEST_OP_LINK,      TEST_OP_UNLINK,
					    TEST_OP_MKDIR };
	static const int errors[] = { ENOSPC, EIO, EMFILE };
	struct spool *spool = test_spool_new(TEST_SPOOL_ZSTD);
	email_message *message;
	unsigned int n, hit, stored = 0, total;
	message_id id;
	size_t i, j;
	int answer;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		for (j = 0; j < N_ELEMENTS(errors); j++) {
			TEST_EACH_CALL(n, hit) {
				test_faults_begin();
				test_faults.fail_at[ops[i]] = n;
				test_faults.fail_errno[ops[i]] = errors[j];
				answer = test_spool_put(spool, wire,
							sizeof(wire) - 1, &id);
				hit = test_faults.calls[ops[i]];
				test_faults_end();
				if (answer == IO_DONE) {
					test_spool_must_have(spool, &id, wire,
							     sizeof(wire) - 1);
					stored++;
					continue;
				}
				assert_true(*io_get_error() != '\0');
				/* told "no": nobody finds it, also where
				   its name stood already */
				assert_int_equal(spool_get(spool, &id,
							   &message),
						 IO_FAIL);
				assert_non_null(strstr(io_get_error(),
						       "there is no message"));
			}
		}
	}
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), stored);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, stored);
	spool_close(&spool);
	assert_int_equal(test_command("test -z \"$(ls -A %s/messages/tmp)\"",
				      test_spool_dir()),
			 0);
}

/* Whatever fails: it is told that the message is gone where it is, for ever. */
static void test_every_failing_call_of_a_removal(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_UNLINK,
					    TEST_OP_FSYNC_DIR, TEST_OP_FSTAT };
	struct spool *spool = test_spool_new("");
	email_message *message;
	unsigned int n, hit;
	message_id id;
	size_t i;
	int answer;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			assert_int_equal(test_spool_put(spool, wire,
							sizeof(wire) - 1, &id),
					 IO_DONE);
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EMFILE;
			test_faults.fail_after = true;
			answer = spool_remove(spool, &id);
			hit = test_faults.calls[ops[i]];
			/* it is the same the second time */
			if (ops[i] == TEST_OP_FSYNC_DIR && n <= hit)
				assert_int_equal(spool_remove(spool, &id),
						 IO_TRANS_FAIL);
			test_faults_end();
			if (answer == IO_DONE) {
				assert_int_equal(spool_get(spool, &id,
							   &message),
						 IO_FAIL);
				assert_int_equal(io_get_errno(), ENOENT);
				continue;
			}
			assert_int_equal(answer, IO_TRANS_FAIL);
			assert_true(n <= hit);
			assert_int_equal(spool_remove(spool, &id), IO_DONE);
			assert_int_equal(test_spool_scan(spool), 0);
		}
	}
	spool_close(&spool);
}

/* All that one does with a message, whatever fails. */
static void use_spool(struct spool *spool)
{
	struct spool_strays strays;
	email_message *message;
	message_id id;
	char *error;

	(void)test_spool_put(spool, wire, sizeof(wire) - 1, &id);
	if (spool_get(spool, &id, &message) == IO_DONE) {
		(void)spool_writebody(spool, IO_SYNCHRONOUS, message, 0);
		(void)spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0);
		email_message_unref(&message);
	}
	(void)test_spool_scan(spool);
	if (spool_count_strays(spool, &strays, &error) < 0)
		free(error);
	(void)spool_remove(spool, &id);
	if (spool_get(spool, &id, &message) == IO_DONE)
		email_message_unref(&message);
}

/* Whatever became of what they were opened for. */
static void test_descriptors_are_given_back(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN,    TEST_OP_READ,
					    TEST_OP_FSTAT,   TEST_OP_FSYNC_DIR,
					    TEST_OP_OPENDIR, TEST_OP_READDIR };
	const unsigned int before = test_open_descriptors();
	struct spool *spool;
	unsigned int n, hit;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			test_spool_init("gzip");
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EIO;
			spool = spool_open(test_spool_dir(), 0, NULL, &error);
			if (spool == NULL)
				free(error);
			else
				use_spool(spool);
			spool_close(&spool);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			assert_int_equal(test_open_descriptors(), before);
		}
	}
}

static void test_interrupted_and_short_calls(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new(TEST_SPOOL_ZSTD);
	message_id id;

	test_faults_begin();
	test_faults.eintr = true;
	test_faults.max_write = 7;
	test_faults.max_read = 3;
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	test_faults_end();
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_number_of_syncs(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	message_id id;

	test_faults_begin();
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	/* body and headers: a data sync and a directory's each, and the new
	   bucket's name */
	assert_int_equal(test_faults.calls[TEST_OP_FDATASYNC], 2);
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 3);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 4);
	test_faults_end();
	spool_close(&spool);
}

/* Whatever the process's mask lets through. */
static void test_nobody_else_may_look(void **state ATTR_UNUSED)
{
	const mode_t mask = umask(0);
	struct spool *spool = test_spool_new("");
	message_id ids[2];
	char path[512];

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &ids[0]),
			 IO_DONE);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &ids[1]),
			 IO_DONE);
	test_spool_file(&ids[1], ".h", path);
	assert_int_equal(truncate(path, 30), 0);
	assert_int_equal(test_spool_scan_again(&spool), 1);
	spool_close(&spool);
	(void)umask(mask);
	assert_true(test_spool_files_in("quarantine").count >= 3);
	assert_int_equal(test_command("test -z \"$(find %s -perm /077)\"",
				      test_spool_dir()),
			 0);
}

static int doubled_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	(void)file_ops_system.mkdirat(dir_fd, path, mode);
	return file_ops_system.mkdirat(dir_fd, path, mode);
}

/* Two messages are the first of their bucket. */
static void test_two_make_a_bucket(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct file_ops ops = file_ops_system;
	message_id id;

	ops.mkdirat = doubled_mkdirat;
	file_ops_set(&ops);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	file_ops_set(NULL);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_form_comes_back),
		cmocka_unit_test(test_no_plain_text_on_the_disk),
		cmocka_unit_test(test_removed_never_comes_back),
		cmocka_unit_test(test_write_errors_have_the_path),
		cmocka_unit_test(test_an_id_is_stored_once),
		cmocka_unit_test(test_every_failing_call),
		cmocka_unit_test(test_every_failing_call_of_a_removal),
		cmocka_unit_test(test_descriptors_are_given_back),
		cmocka_unit_test(test_interrupted_and_short_calls),
		cmocka_unit_test(test_number_of_syncs),
		cmocka_unit_test(test_nobody_else_may_look),
		cmocka_unit_test(test_two_make_a_bucket),
	};

	return cmocka_run_group_tests_name(
		"module-file", tests, test_spool_setup, test_spool_teardown);
}
