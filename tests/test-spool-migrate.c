/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Messages that move from one spool to another, of either store. */

#include "config.h"
#include "buffer.h"
#include "istream.h"
#include "mem.h"
#include "message-record.h"
#include "test-faults.h"
#include "test-migrate-common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

static buffer_t *record_in(struct spool *spool, const message_id *id)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 256);
	email_message *message = email_message_new(id);

	assert_int_equal(spool_readheaders(spool, IO_SYNCHRONOUS, message),
			 IO_DONE);
	assert_int_equal(message_record_write(message, record), 0);
	email_message_unref(&message);
	return record;
}

static void test_all_of_a_message_moves(void **state ATTR_UNUSED)
{
	buffer_t *before, *after;
	email_message *message;
	message_id ids[3];
	struct test_told told;
	struct test_pair pair;
	size_t i;

	for (i = 0; i < N_ELEMENTS(test_directions); i++) {
		test_pair_new(&test_directions[i], &pair);
		test_put_full(pair.from, &ids[0]);
		test_put_large(pair.from, &ids[1]);
		assert_int_equal(test_spool_put(pair.from, ".\r\n", 3, &ids[2]),
				 IO_DONE);
		before = record_in(pair.from, &ids[0]);
		told = test_migrate(&pair, 0);
		assert_int_equal(told.count, 3);
		assert_int_equal(told.were_there + told.problems, 0);
		assert_int_equal(told.total, 3);
		assert_int_equal(told.octets,
				 sizeof(wire) - 1 + TEST_SPOOL_LARGE + 3);
		assert_int_equal(test_spool_scan(test_open_again(
					 &pair.from, pair.from_dir)),
				 0);
		(void)test_open_again(&pair.to, pair.to_dir);
		assert_int_equal(test_spool_scan(pair.to), 3);
		assert_int_equal(test_spool_damaged(pair.to, NULL), 0);
		after = record_in(pair.to, &ids[0]);
		assert_int_equal(before->used, after->used);
		assert_memory_equal(before->data, after->data, after->used);
		buffer_free(&before);
		buffer_free(&after);
		test_spool_must_have(pair.to, &ids[0], wire, sizeof(wire) - 1);
		test_spool_must_have(pair.to, &ids[2], ".\r\n", 3);
		/* and its versions go on */
		assert_int_equal(spool_get(pair.to, &ids[0], &message),
				 IO_DONE);
		assert_int_equal(email_message_get_version(message), 3);
		assert_int_equal(spool_writeheaders(pair.to, IO_SYNCHRONOUS,
						    message, 0),
				 IO_DONE);
		assert_int_equal(email_message_get_version(message), 4);
		email_message_unref(&message);
		test_pair_close(&pair);
	}
}

static void test_keep_copies(void **state ATTR_UNUSED)
{
	struct test_told told;
	message_id ids[2];
	struct test_pair pair;
	size_t i;

	for (i = 0; i < N_ELEMENTS(test_directions); i++) {
		test_pair_new(&test_directions[i], &pair);
		test_put_full(pair.from, &ids[0]);
		test_put_large(pair.from, &ids[1]);
		told = test_migrate(&pair, SPOOL_MIGRATE_KEEP);
		assert_int_equal(told.count, 2);
		assert_int_equal(told.were_there, 0);
		test_must_have_whole(pair.from, 2);
		test_must_have_whole(pair.to, 2);
		/* once more changes nothing, and then it moves */
		told = test_migrate(&pair, SPOOL_MIGRATE_KEEP);
		assert_int_equal(told.were_there, 2);
		told = test_migrate(&pair, 0);
		assert_int_equal(told.were_there, 2);
		assert_int_equal(told.problems, 0);
		test_must_have_whole(pair.from, 0);
		test_must_have_whole(pair.to, 2);
		test_spool_must_have(pair.to, &ids[0], wire, sizeof(wire) - 1);
		test_pair_close(&pair);
	}
}

/* What a crash between the copy and the removal leaves. */
static void test_what_is_in_both_goes_on(void **state ATTR_UNUSED)
{
	struct test_told told = { 0 };
	message_id ids[2];
	struct test_pair pair;
	char *error;
	unsigned int there;
	size_t i;
	int ret;

	for (i = 0; i < N_ELEMENTS(test_directions); i++) {
		test_pair_new(&test_directions[i], &pair);
		test_put_full(pair.from, &ids[0]);
		test_put_large(pair.from, &ids[1]);
		test_faults_begin();
		if (strcmp(test_directions[i].from, "file") == 0) {
			test_faults.fail_at[TEST_OP_UNLINK] = 1;
			test_faults.fail_errno[TEST_OP_UNLINK] = EIO;
			test_faults.fail_after = true;
		}
		ret = spool_migrate(pair.from, pair.to, 0, test_migrate_note,
				    &told, &error);
		test_faults_end();
		if (strcmp(test_directions[i].from, "file") == 0) {
			assert_int_equal(ret, -1);
			free(error);
			(void)test_open_again(&pair.to, pair.to_dir);
			(void)test_open_again(&pair.from, pair.from_dir);
			assert_int_equal(test_spool_scan(pair.from), 2);
			/* the other one may have been on its way */
			there = test_spool_scan(pair.to);
			assert_in_range(there, 1, 2);
			told = test_migrate(&pair, 0);
			assert_int_equal(told.count, 2);
			assert_int_equal(told.were_there, there);
			assert_int_equal(told.octets,
					 sizeof(wire) - 1 + TEST_SPOOL_LARGE);
		}
		assert_int_equal(told.problems, 0);
		test_must_have_whole(pair.from, 0);
		test_must_have_whole(pair.to, 2);
		test_pair_close(&pair);
	}
}

/* Whichever file cannot be opened now: nobody is told that the message is not there, or that it
   was over there. */
static void test_what_cannot_be_opened_now(void **state ATTR_UNUSED)
{
	struct test_told told;
	struct test_pair pair;
	unsigned int n, hit;
	char *error = NULL;
	message_id id;

	TEST_EACH_CALL(n, hit) {
		test_pair_new(&test_directions[2], &pair);
		test_put_full(pair.from, &id);
		memset(&told, 0, sizeof(told));
		test_faults_begin();
		test_faults.fail_at[TEST_OP_OPEN] = n;
		test_faults.fail_errno[TEST_OP_OPEN] = EMFILE;
		if (spool_migrate(pair.from, pair.to, 0, test_migrate_note,
				  &told, &error) < 0)
			free(error);
		hit = test_faults.calls[TEST_OP_OPEN];
		test_faults_end();
		assert_int_equal(told.were_there, 0);
		assert_int_equal(told.error, told.problems > 0 ? EMFILE : 0);
		(void)test_migrate(&pair, 0);
		test_must_have_whole(pair.to, 1);
		test_pair_close(&pair);
	}
}

/* What was killed before it had synced the copy: the next one does, before it removes
   anything, or nothing is removed. */
static void test_what_is_in_both_is_durable(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct test_told told = { 0 };
	struct test_pair pair;
	char path[512], *error;
	message_id id;

	test_pair_new(&test_directions[2], &pair);
	test_put_full(pair.from, &id);
	(void)test_migrate(&pair, SPOOL_MIGRATE_KEEP);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FSYNC_DIR] = 1;
	test_faults.fail_errno[TEST_OP_FSYNC_DIR] = EIO;
	assert_int_equal(spool_migrate(pair.from, pair.to, 0, test_migrate_note,
				       &told, &error),
			 -1);
	test_faults_end();
	free(error);
	test_must_have_whole(pair.from, 1);
	ops.fsync_dir = test_noting_fsync_dir;
	test_syncs_forget();
	file_ops_set(&ops);
	told = test_migrate(&pair, 0);
	file_ops_set(NULL);
	assert_int_equal(told.were_there, 1);
	assert_int_equal(told.problems, 0);
	test_spool_file(&id, ".h", path);
	*strrchr(path, '/') = '\0';
	assert_true(test_was_synced(path));
	test_must_have_whole(pair.from, 0);
	test_pair_close(&pair);
}

/* What a crash between body and headers leaves there. */
static void test_a_body_without_headers_is_no_message(void **state ATTR_UNUSED)
{
	static const char half[] = "half\r\n.\r\n";
	struct istream *input;
	email_message *message;
	struct test_told told;
	struct test_pair pair;
	message_id id;

	test_pair_new(&test_directions[2], &pair);
	test_put_full(pair.from, &id);
	message = email_message_new(&id);
	input = i_stream_create_from_data(half, sizeof(half) - 1);
	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
	assert_int_equal(spool_writebody(pair.to, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
	(void)test_open_again(&pair.to, pair.to_dir);
	told = test_migrate(&pair, 0);
	assert_int_equal(told.problems + told.were_there, 0);
	test_spool_must_have(pair.to, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_scan(pair.from), 0);
	test_pair_close(&pair);
}

/* Its headers, with this line behind the others; NULL: as they are. */
static void rewrite(struct spool *spool, const message_id *id, const char *line)
{
	email_message *message;

	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	if (line != NULL)
		assert_int_equal(email_message_add_unknown(message, line), 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
}

static void test_what_differs_is_left(void **state ATTR_UNUSED)
{
	static const char other[] = "Subject: hallo\r\n\r\n..dots\r\n.\r\n";
	email_message *message;
	message_id ids[3];
	struct test_told told;
	struct test_pair pair;
	size_t i;

	for (i = 0; i < N_ELEMENTS(test_directions); i++) {
		test_pair_new(&test_directions[i], &pair);
		/* another body of the same length; other headers; more of them */
		assert_int_equal(test_spool_put(pair.from, wire,
						sizeof(wire) - 1, &ids[0]),
				 IO_DONE);
		assert_int_equal(test_spool_put_as(pair.to, other,
						   sizeof(other) - 1, &ids[0]),
				 IO_DONE);
		test_put_full(pair.from, &ids[1]);
		test_put_full(pair.from, &ids[2]);
		(void)test_migrate(&pair, SPOOL_MIGRATE_KEEP);
		rewrite(pair.from, &ids[2], NULL);
		rewrite(pair.to, &ids[2], "x-new 2");
		assert_int_equal(spool_get(pair.to, &ids[1], &message),
				 IO_DONE);
		assert_int_equal(email_message_set_flags(message, 0), 0);
		assert_int_equal(spool_writeheaders(pair.to, IO_SYNCHRONOUS,
						    message, 0),
				 IO_DONE);
		email_message_unref(&message);
		told = test_migrate(&pair, 0);
		assert_int_equal(told.count, 3);
		assert_int_equal(told.problems, 3);
		assert_int_equal(told.error, EEXIST);
		test_spool_must_have(pair.from, &ids[0], wire,
				     sizeof(wire) - 1);
		test_spool_must_have(pair.to, &ids[0], other,
				     sizeof(other) - 1);
		test_spool_must_have(pair.from, &ids[1], wire,
				     sizeof(wire) - 1);
		test_spool_must_have(pair.from, &ids[2], wire,
				     sizeof(wire) - 1);
		test_pair_close(&pair);
	}
}

static void test_there_and_back_again(void **state ATTR_UNUSED)
{
	struct spool *other;
	struct test_pair pair;
	message_id id;

	test_pair_new(&test_directions[1], &pair);
	test_put_full(pair.from, &id);
	(void)test_migrate(&pair, 0);
	other = pair.from;
	pair.from = pair.to;
	pair.to = other;
	(void)test_migrate(&pair, 0);
	/* an id that its tombstone is behind of is not dead for ever */
	(void)test_open_again(&pair.to, pair.from_dir);
	test_spool_must_have(pair.to, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_scan(pair.from), 0);
	test_pair_close(&pair);
}

static void test_damage_is_left(void **state ATTR_UNUSED)
{
	char path[512], dir[512];
	message_id ids[2];
	struct test_told told;
	struct test_pair pair;
	FILE *f;

	pair.from = test_spool_new_of("file", "");
	(void)snprintf(pair.from_dir, 512, "%s", test_spool_dir());
	test_put_full(pair.from, &ids[0]);
	test_put_full(pair.from, &ids[1]);
	test_spool_file(&ids[0], ".b", path);
	f = fopen(path, "a");
	assert_non_null(f);
	assert_true(fputs("more", f) >= 0);
	assert_int_equal(fclose(f), 0);
	pair.to = test_spool_new_of("journal", "");
	(void)snprintf(dir, sizeof(dir), "%s", test_spool_dir());
	told = test_migrate(&pair, 0);
	assert_int_equal(told.count, 2);
	assert_int_equal(told.problems, 1);
	assert_int_equal(told.error, EINVAL);
	assert_int_equal(
		test_spool_scan(test_open_again(&pair.from, pair.from_dir)), 1);
	assert_int_equal(test_spool_scan(test_open_again(&pair.to, dir)), 1);
	test_spool_must_have(pair.to, &ids[1], wire, sizeof(wire) - 1);
	test_pair_close(&pair);
}

/* It cannot be told whether they are the same: the message here stays, and why is told. */
static void test_damage_of_what_is_in_both_is_left(void **state ATTR_UNUSED)
{
	static const struct {
		const char *stack, *suffix;
		bool both;
	} rows[] = {
		{ "gzip", ".b", false }, { "gzip", ".b", true },
		{ "gzip", ".h", false }, { "gzip", ".h", true },
		{ "", ".b", false },     { "", ".b", true },
	};
	char here[512], there[512];
	struct test_told told;
	struct test_pair pair;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		pair.from = test_spool_new_of("file", rows[i].stack);
		test_put_full(pair.from, &id);
		test_spool_file(&id, rows[i].suffix, here);
		pair.to = test_spool_new_of("file", rows[i].stack);
		(void)test_migrate(&pair, SPOOL_MIGRATE_KEEP);
		test_spool_file(&id, rows[i].suffix, there);
		assert_int_equal(truncate(there, 20), 0);
		if (rows[i].both)
			assert_int_equal(truncate(here, 20), 0);
		told = test_migrate(&pair, 0);
		assert_int_equal(told.count, 1);
		assert_int_equal(told.problems, 1);
		assert_int_equal(told.error, EINVAL);
		assert_int_equal(access(here, F_OK), 0);
		assert_int_equal(access(there, F_OK), 0);
		test_pair_close(&pair);
	}
}

/* Whatever read of a message fails: the other one moves. */
static void test_a_message_that_cannot_be_read(void **state ATTR_UNUSED)
{
	unsigned int call, hit;
	message_id ids[2];
	struct test_told told;
	struct test_pair pair;

	TEST_EACH_CALL(call, hit) {
		test_pair_new(&test_directions[0], &pair);
		test_put_full(pair.from, &ids[0]);
		test_put_large(pair.from, &ids[1]);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_READ] = call;
		test_faults.fail_errno[TEST_OP_READ] = EIO;
		told = test_migrate(&pair, 0);
		hit = test_faults.calls[TEST_OP_READ];
		test_faults_end();
		assert_int_equal(told.count, 2);
		/* where it was the list's, it is read once more */
		assert_true(told.problems <= 1);
		assert_true(told.problems == 0 || told.error == EIO);
		test_pair_close(&pair);
	}
}

/* Else it would be whole over there, and gone here. */
static void test_a_damaged_body_is_not_moved(void **state ATTR_UNUSED)
{
	static const struct test_direction rows[] = {
		{ "file", "", "journal", "" },
		{ "file", "hex", "file", TEST_SPOOL_ZSTD },
		{ "journal", "", "file", "" },
		{ "journal", "hex", "journal", "" },
	};
	char path[1024];
	unsigned int total;
	message_id ids[2];
	struct test_told told;
	struct test_pair pair;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		pair.from = test_spool_new_of(rows[i].from, rows[i].from_stack);
		test_put_large(pair.from, &ids[0]);
		if (strcmp(rows[i].from, "file") == 0)
			test_spool_file(&ids[0], ".b", path);
		else
			(void)snprintf(
				path, sizeof(path), "%s",
				test_spool_files_in(TEST_SPOOL_BODIES).path);
		test_put_full(pair.from, &ids[1]);
		test_flip(path, TEST_SPOOL_LARGE / 2);
		pair.to = test_spool_new_of(rows[i].to, rows[i].to_stack);
		told = test_migrate(&pair, 0);
		assert_int_equal(told.count, 2);
		assert_int_equal(told.problems, 1);
		assert_int_equal(told.error, EINVAL);
		test_must_have_whole(pair.to, 1);
		assert_int_equal(test_spool_damaged(pair.from, &total), 1);
		assert_int_equal(total, 1);
		/* and it is what it was */
		test_flip(path, TEST_SPOOL_LARGE / 2);
		told = test_migrate(&pair, 0);
		assert_int_equal(told.problems, 0);
		test_must_have_whole(pair.from, 0);
		test_must_have_whole(pair.to, 2);
		test_pair_close(&pair);
	}
}

/* What cannot be written ends it, and is not tried again. */
static void test_a_full_disk_ends_it(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int count;
		bool always;
	} rows[] = {
		{ 2, true },
		{ 1, false },
		/* more than may be begun before one is told */
		{ 4 * TEST_MIGRATE_MANY, true },
	};
	message_id ids[4 * TEST_MIGRATE_MANY];
	struct test_told told;
	struct test_pair pair;
	unsigned int n;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		memset(&told, 0, sizeof(told));
		test_pair_new(&test_directions[0], &pair);
		for (n = 0; n < rows[i].count; n++)
			test_put_full(pair.from, &ids[n]);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_WRITE] = 1;
		test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
		test_faults.fail_after = rows[i].always;
		assert_int_equal(spool_migrate(pair.from, pair.to, 0,
					       test_migrate_note, &told,
					       &error),
				 -1);
		assert_int_equal(errno, ENOSPC);
		assert_true(test_faults.calls[TEST_OP_WRITE] <=
			    2 * TEST_MIGRATE_MANY);
		test_faults_end();
		free(error);
		assert_int_equal(told.count, 0);
		assert_int_equal(test_spool_scan(test_open_again(
					 &pair.from, pair.from_dir)),
				 rows[i].count);
		test_pair_close(&pair);
	}
}

/* Nobody takes a part of them for all. */
static void test_a_list_that_fails(void **state ATTR_UNUSED)
{
	unsigned int call, hit;
	struct test_told told;
	message_id ids[2];
	struct test_pair pair;
	char *error;
	int ret;

	test_pair_new(&test_directions[0], &pair);
	test_put_full(pair.from, &ids[0]);
	test_put_full(pair.from, &ids[1]);
	TEST_EACH_CALL(call, hit) {
		memset(&told, 0, sizeof(told));
		test_faults_begin();
		test_faults.fail_at[TEST_OP_READDIR] = call;
		test_faults.fail_errno[TEST_OP_READDIR] = EIO;
		ret = spool_migrate(pair.from, pair.to, SPOOL_MIGRATE_KEEP,
				    test_migrate_note, &told, &error);
		hit = test_faults.calls[TEST_OP_READDIR];
		test_faults_end();
		assert_int_equal(ret, hit < call ? 0 : -1);
		assert_int_equal(told.count, hit < call ? 2 : 0);
		if (ret < 0) {
			assert_int_equal(errno, EIO);
			free(error);
		}
	}
	test_pair_close(&pair);
}

static void test_what_cannot_be_is_refused(void **state ATTR_UNUSED)
{
	struct spool *bare = spool_new();
	struct test_pair pair;
	message_id id;
	char *error;

	test_pair_new(&test_directions[0], &pair);
	test_put_full(pair.from, &id);
	assert_int_equal(
		spool_migrate(pair.from, pair.from, 0, NULL, NULL, &error), -1);
	assert_int_equal(errno, EINVAL);
	free(error);
	/* who means something by it may mean that they stay */
	assert_int_equal(spool_migrate(pair.from, pair.to,
				       SPOOL_MIGRATE_KEEP << 1, NULL, NULL,
				       &error),
			 -1);
	assert_int_equal(errno, EINVAL);
	free(error);
	/* modules alone */
	assert_int_equal(spool_migrate(pair.from, bare, 0, NULL, NULL, &error),
			 -1);
	assert_int_equal(errno, ENOTSUP);
	free(error);
	assert_int_equal(spool_migrate(bare, pair.from, 0, NULL, NULL, &error),
			 -1);
	assert_int_equal(errno, ENOTSUP);
	free(error);
	spool_close(&bare);
	spool_close(&pair.to);
	pair.to = spool_open(pair.to_dir, SPOOL_OPEN_READ_ONLY, NULL, &error);
	assert_non_null(pair.to);
	assert_int_equal(
		spool_migrate(pair.from, pair.to, 0, NULL, NULL, &error), -1);
	assert_int_equal(errno, EROFS);
	free(error);
	assert_int_equal(
		spool_migrate(pair.to, pair.from, 0, NULL, NULL, &error), -1);
	assert_int_equal(errno, EROFS);
	free(error);
	/* copies leave it as it is */
	assert_int_equal(spool_migrate(pair.to, pair.from, SPOOL_MIGRATE_KEEP,
				       NULL, NULL, &error),
			 0);
	assert_int_equal(
		test_spool_scan(test_open_again(&pair.from, pair.from_dir)), 1);
	test_pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_a_message_moves),
		cmocka_unit_test(test_keep_copies),
		cmocka_unit_test(test_what_is_in_both_goes_on),
		cmocka_unit_test(test_what_cannot_be_opened_now),
		cmocka_unit_test(test_what_is_in_both_is_durable),
		cmocka_unit_test(test_a_body_without_headers_is_no_message),
		cmocka_unit_test(test_what_differs_is_left),
		cmocka_unit_test(test_there_and_back_again),
		cmocka_unit_test(test_damage_is_left),
		cmocka_unit_test(test_damage_of_what_is_in_both_is_left),
		cmocka_unit_test(test_a_message_that_cannot_be_read),
		cmocka_unit_test(test_a_damaged_body_is_not_moved),
		cmocka_unit_test(test_a_full_disk_ends_it),
		cmocka_unit_test(test_a_list_that_fails),
		cmocka_unit_test(test_what_cannot_be_is_refused),
	};

	return cmocka_run_group_tests_name(
		"spool-migrate", tests, test_spool_setup, test_spool_teardown);
}
