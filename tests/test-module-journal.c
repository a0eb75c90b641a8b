/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store behind the hooks. */

#include "config.h"
#include "macros.h"
#include "spool-private.h"
#include "spool-stacks.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

static void test_put_get_and_remove(void **state ATTR_UNUSED)
{
	static const char *const stacks[] = { "", "lz4", "gzip | age" };
	struct spool *spool;
	message_id ids[3];
	char stack[600];
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		(void)snprintf(stack, sizeof(stack), "%s", stacks[i]);
		if (i == 2)
			(void)snprintf(stack, sizeof(stack),
				       "gzip | age:recipients=%s",
				       test_path("public"));
		spool = test_spool_new_of("journal", stack);
		for (j = 0; j < N_ELEMENTS(ids); j++) {
			assert_int_equal(test_spool_put(spool, wire,
							sizeof(wire) - 1,
							&ids[j]),
					 IO_DONE);
			test_spool_must_have(spool, &ids[j], wire,
					     sizeof(wire) - 1);
		}
		assert_int_equal(spool_remove(spool, &ids[1]), IO_DONE);
		assert_int_equal(spool_remove(spool, &ids[1]), IO_DONE);
		spool_close(&spool);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_scan(spool), 2);
		test_spool_must_have(spool, &ids[0], wire, sizeof(wire) - 1);
		test_spool_must_have(spool, &ids[2], wire, sizeof(wire) - 1);
		spool_close(&spool);
	}
}

static void test_of_one_id_there_is_one(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(test_spool_put_as(spool, "other\r\n.\r\n", 10, &id),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EEXIST);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void must_be_aside(const char *name, const char *text)
{
	char path[600];
	buffer_t *file;

	(void)snprintf(path, sizeof(path), "%s/quarantine/%s", test_spool_dir(),
		       name);
	file = test_read_file(path);
	assert_string_equal(buffer_c_str(file), text);
	buffer_free(&file);
}

/* What was put aside first stays, and the newest reason. */
static void test_nothing_that_is_aside_is_replaced(void **state ATTR_UNUSED)
{
	/* longer, and shorter, and what begins with it */
	static const char *const kept[] = { "one", "two", "", "tw", "twos" };
	static const char *const names[] = { "x", "x.1", "x.2", "x.3", "x.4" };
	struct spool *spool = test_spool_new_of("journal", "");
	char why[20];
	size_t i;

	for (i = 0; i < N_ELEMENTS(kept); i++)
		assert_int_equal(spool_put_aside(spool->dir_fd, "x", kept[i],
						 strlen(kept[i]), "first"),
				 0);
	/* once more what is there already */
	assert_int_equal(
		spool_put_aside(spool->dir_fd, "x", "two", 3, "second"), 0);
	assert_int_equal(test_spool_files_in("quarantine").count,
			 2 * N_ELEMENTS(kept));
	for (i = 0; i < N_ELEMENTS(kept); i++) {
		must_be_aside(names[i], kept[i]);
		(void)snprintf(why, sizeof(why), "%s.why", names[i]);
		must_be_aside(why, i == 1 ? "second\n" : "first\n");
	}
	spool_close(&spool);
}

/* What an opening failed for is told by errno, too. */
static void test_a_spool_without_its_journal(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	char *error;

	spool_close(&spool);
	assert_int_equal(test_command("rm -r %s/journal", test_spool_dir()), 0);
	spool = spool_open(test_spool_dir(), 0, NULL, &error);
	assert_null(spool);
	assert_int_equal(errno, ENOENT);
	free(error);
}

/* A spool that could not be made is none, and nothing is left of it: a second try is as the
   first. */
static void test_a_journal_that_is_not_made(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = {
		TEST_OP_MKDIR, TEST_OP_FSYNC_DIR, TEST_OP_OPEN,
		TEST_OP_WRITE, TEST_OP_FDATASYNC, TEST_OP_LINK
	};
	const struct spool_settings settings = { .store = "journal" };
	char path[512], *error;
	unsigned int n, hit;
	struct stat st;
	size_t i;
	int ret;

	(void)snprintf(path, sizeof(path), "%s", test_path("none"));
	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = ENOSPC;
			ret = spool_init(path, &settings, &error);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			assert_int_equal(ret, n > hit ? 0 : -1);
			assert_int_equal(stat(path, &st) == 0, ret == 0);
			if (ret < 0)
				free(error);
		}
		assert_int_equal(test_command("rm -r %s", path), 0);
	}
}

/* Headers that no segment has room for will not have more later; what the system refuses
   may. */
static void test_too_large(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	char *text = malloc(EMAIL_TEXT_MAX + 1);
	email_message *message;
	message_id id;
	unsigned int i;
	char name[8];

	assert_non_null(text);
	memset(text, 'x', EMAIL_TEXT_MAX);
	text[EMAIL_TEXT_MAX] = '\0';
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	for (i = 0; i < 4; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(
			email_message_set_value(message, "x", name, text), 0);
	}
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EFBIG);
	assert_non_null(strstr(io_get_error(), "segment-size"));
	email_message_unref(&message);
	/* which no segment is needed for */
	assert_int_equal(spool_record_fail(spool, &id, EFBIG), IO_FAIL);
	assert_int_equal(io_get_errno(), EFBIG);
	assert_non_null(strstr(io_get_error(), "256 MiB"));
	test_faults_begin();
	test_faults.fail_at[TEST_OP_WRITE] = 1;
	test_faults.fail_errno[TEST_OP_WRITE] = EFBIG;
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_TRANS_FAIL);
	test_faults_end();
	/* and where it was to be written */
	assert_non_null(strstr(io_get_error(), test_spool_dir()));
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	free(text);
}

/* 13: whatever fails, once, is an answer; what was acknowledged is there, and what was
   not is not. */
static void test_every_failing_call(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_WRITE,
					    TEST_OP_FDATASYNC, TEST_OP_RENAME,
					    TEST_OP_FSYNC_DIR };
	static const size_t sizes[] = { sizeof(wire) - 1, TEST_SPOOL_LARGE };
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	unsigned int n, hit, stored;
	struct spool *spool;
	message_id id;
	size_t i, size;
	int answer;

	memcpy(data, wire, sizeof(wire) - 1);
	for (i = 0; i < 2 * N_ELEMENTS(ops); i++) {
		size = sizes[i / N_ELEMENTS(ops)];
		spool = test_spool_new_of("journal", "gzip");
		stored = 0;
		TEST_EACH_CALL(n, hit) {
			test_faults_begin();
			test_faults.fail_at[ops[i % N_ELEMENTS(ops)]] = n;
			test_faults.fail_errno[ops[i % N_ELEMENTS(ops)]] =
				ENOSPC;
			answer = test_spool_put(spool, data, size, &id);
			hit = test_faults.calls[ops[i % N_ELEMENTS(ops)]];
			test_faults_end();
			if (answer == IO_DONE) {
				stored++;
				test_spool_must_have(spool, &id, data, size);
			} else {
				assert_int_equal(answer, IO_TRANS_FAIL);
				assert_int_equal(io_get_errno(), ENOSPC);
			}
		}
		/* service goes on */
		assert_int_equal(test_spool_put(spool, data, size, &id),
				 IO_DONE);
		spool_close(&spool);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_scan(spool), stored + 1);
		spool_close(&spool);
	}
	free(data);
}

static void *put_and_remove(void *context)
{
	struct spool *spool = context;
	message_id id;
	unsigned int i;

	for (i = 0; i < 30; i++) {
		if (test_spool_put(spool, wire, sizeof(wire) - 1, &id) !=
		    IO_DONE)
			return spool;
		if (i % 3 == 0 && spool_remove(spool, &id) != IO_DONE)
			return spool;
	}
	return NULL;
}

static void test_many_threads(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "gzip");
	unsigned int total, i;
	pthread_t threads[4];
	void *failed;

	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						put_and_remove, spool),
				 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, 80);
	spool_close(&spool);
}

/* Who closed the spool had all on the disk: what is wrong with the last message then is
   damage as any other. */
static void test_damage_of_the_last_one(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	char path[600];
	unsigned int total;
	message_id id;
	int fd;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_spool_dir());
	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "?", 1, 4096 + 128 + 8), 1);
	assert_int_equal(close(fd), 0);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	spool_close(&spool);
}

/* Once for each opening, and nothing that came since. */
static void test_a_scan_hands_out_what_was_there(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;
	unsigned int i;

	for (i = 0; i < 2; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_DONE);
	assert_int_equal(test_spool_scan(spool), 0);
	for (i = 2; i < 4; i++) {
		spool_close(&spool);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_DONE);
		assert_int_equal(test_spool_scan(spool), i);
		assert_int_equal(test_spool_scan(spool), 0);
	}
	spool_close(&spool);
}

/* A new segment fails, and so does taking away what was made of it: that is not there for
   ever. */
static void test_a_segment_that_failed_can_be_made(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;

	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	test_faults.fail_at[TEST_OP_UNLINK] = 1;
	test_faults.fail_errno[TEST_OP_UNLINK] = EIO;
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_TRANS_FAIL);
	test_faults_end();
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_a_reader_changes_nothing(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	test_spool_must_have(reader, &id, wire, sizeof(wire) - 1);
	assert_int_equal(spool_remove(reader, &id), IO_FAIL);
	spool_close(&reader);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put_get_and_remove),
		cmocka_unit_test(test_of_one_id_there_is_one),
		cmocka_unit_test(test_nothing_that_is_aside_is_replaced),
		cmocka_unit_test(test_a_spool_without_its_journal),
		cmocka_unit_test(test_a_journal_that_is_not_made),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_every_failing_call),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_damage_of_the_last_one),
		cmocka_unit_test(test_a_scan_hands_out_what_was_there),
		cmocka_unit_test(test_a_segment_that_failed_can_be_made),
		cmocka_unit_test(test_a_reader_changes_nothing),
	};

	return cmocka_run_group_tests_name(
		"module-journal", tests, test_spool_setup, test_spool_teardown);
}