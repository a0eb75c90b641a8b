/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bodies of the journal store that are in files of their own: when they come, and when they
   go. */

#include "config.h"
#include "buffer.h"
#include "file-ops.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char wire[] = TEST_SPOOL_WIRE;

static void test_large_bodies(void **state ATTR_UNUSED)
{
	static const struct {
		const char *stack;
		size_t size;
		unsigned int files;
	} rows[] = {
		{ "", 20000, 0 },
		{ "", TEST_SPOOL_LARGE, 1 },
		{ "", 3000000, 1 },
		{ "gzip", TEST_SPOOL_LARGE, 1 },
		{ "lz4", TEST_SPOOL_LARGE, 1 },
		{ "lz4", 3000000, 1 },
		{ "gzip", 20000, 0 },
		{ "hex", 20000, 1 },
	};
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3000000);
	struct spool *spool;
	unsigned int total;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of("journal", rows[i].stack);
		assert_int_equal(test_spool_put(spool, data, rows[i].size, &id),
				 IO_DONE);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 rows[i].files);
		test_spool_must_have(spool, &id, data, rows[i].size);
		spool_close(&spool);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_scan(spool), 1);
		test_spool_must_have(spool, &id, data, rows[i].size);
		assert_int_equal(test_spool_damaged(spool, &total), 0);
		assert_int_equal(total, 1);
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 0);
		spool_close(&spool);
	}
	free(data);
}

/* A start that reads no more of a segment than its footer finds them, too. */
static void test_files_of_a_full_segment(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id, other;
	unsigned int n;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	/* more than have room in the first one */
	for (n = 0; n < 20; n++)
		assert_int_equal(test_spool_put(spool, data, 5000, &other),
				 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	test_spool_must_have(spool, &id, data, TEST_SPOOL_LARGE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	spool_close(&spool);
	free(data);
}

#ifdef HAVE_ZSTD
/* Frames of this file that do not say how much is in them, and of those that do, how
   many there are. */
static unsigned int frames_without_size(const char *path,
					unsigned int *with_size_r)
{
	static const unsigned char magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
	buffer_t *file = test_read_file(path);
	const unsigned char *data = file->data;
	unsigned int without = 0;
	size_t i;

	*with_size_r = 0;
	for (i = 0; i + 5 < file->used; i++) {
		if (memcmp(data + i, magic, sizeof(magic)) != 0)
			continue;
		/* RFC 8878, 3.1.1.1: the flag of a single segment */
		if ((data[i + 4] & 0x20) != 0)
			(*with_size_r)++;
		else
			without++;
	}
	buffer_free(&file);
	return without;
}
#endif

/* Headers and bodies are small: where their size is known the codec's tables are, too. */
static void test_codecs_know_sizes(void **state ATTR_UNUSED)
{
#ifdef HAVE_ZSTD
	struct spool *spool = test_spool_new_of("journal", "zstd");
	unsigned int with_size;
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	assert_int_equal(frames_without_size(test_spool_segment(1), &with_size),
			 0);
	assert_int_equal(with_size, 2);
#else
	skip();
#endif
}

/* What is in the file is what the stack made: the host cannot read it. */
static void test_a_file_has_no_plain_text(void **state ATTR_UNUSED)
{
	static const char canary[] = "the canary sings\r\n";
	char stack[600], *text = malloc(TEST_SPOOL_LARGE);
	struct spool *spool;
	buffer_t *stored;
	size_t i;
	message_id id;

	assert_non_null(text);
	for (i = 0; i < TEST_SPOOL_LARGE; i++)
		text[i] = canary[i % (sizeof(canary) - 1)];
	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	spool = test_spool_new_of("journal", stack);
	assert_int_equal(test_spool_put(spool, text, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	stored = test_read_file(test_spool_files_in(TEST_SPOOL_BODIES).path);
	assert_null(memmem(stored->data, stored->used, "canary", 6));
	assert_memory_equal(stored->data, "age-encryption.org", 18);
	buffer_free(&stored);
	test_spool_must_have(spool, &id, text, TEST_SPOOL_LARGE);
	spool_close(&spool);
	free(text);
}

/* Whatever the process's mask lets through. */
static void test_nobody_else_may_look(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	const mode_t mask = umask(0);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	assert_int_equal(test_spool_put(spool, data, 100, &id), IO_DONE);
	spool_close(&spool);
	(void)umask(mask);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	assert_int_equal(test_command("test -z \"$(find %s -perm /077)\"",
				      test_spool_dir()),
			 0);
	free(data);
}

/* One that is changed, given up, or taken back leaves no file. */
static void test_files_go_with_their_bodies(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	test_spool_set_body(message, data + 1, TEST_SPOOL_LARGE - 1);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 2);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	test_spool_must_have(spool, &id, data + 1, TEST_SPOOL_LARGE - 1);
	/* headers alone */
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	test_spool_must_have(spool, &id, data + 1, TEST_SPOOL_LARGE - 1);
	test_spool_set_body(message, wire, sizeof(wire) - 1);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	email_message_unref(&message);
	/* one without headers */
	spool_new_id(spool, &id);
	message = email_message_new(&id);
	test_spool_set_body(message, data, TEST_SPOOL_LARGE);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	/* or of another length than was said */
	message->body_len = TEST_SPOOL_LARGE + 1;
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	message->body_len = 0;
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
	spool_close(&spool);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	free(data);
}

/* Its message is small now, or gone. */
static void test_a_file_that_could_not_be_removed(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	email_message *message;
	struct spool *spool;
	message_id id;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		spool = test_spool_new_of("journal", "");
		assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE,
						&id),
				 IO_DONE);
		assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
		test_spool_set_body(message, wire, sizeof(wire) - 1);
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message,
						 0),
				 IO_DONE);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_UNLINK] = 1;
		test_faults.fail_errno[TEST_OP_UNLINK] = EIO;
		assert_int_equal(i == 0 ? spool_writeheaders(spool,
							     IO_SYNCHRONOUS,
							     message, 0) :
					  spool_remove(spool, &id),
				 IO_DONE);
		test_faults_end();
		email_message_unref(&message);
		spool_close(&spool);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 1);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 0);
		spool_close(&spool);
	}
	free(data);
}

/* So many bytes go into a segment, as the stack makes them, and not one more. The limit is
   no multiple of what a stack makes at once. */
static void test_the_longest_body_of_a_segment(void **state ATTR_UNUSED)
{
	enum {
		MAX = 10000
	};
	static const struct {
		const char *stack;
		size_t size;
		unsigned int files;
	} rows[] = {
		{ "", MAX, 0 },        { "", MAX + 1, 1 },
		{ "hex", MAX / 2, 0 }, { "hex", MAX / 2 + 1, 1 },
		{ "gzip", MAX, 1 },
	};
	unsigned char *data = test_data(TEST_DATA_RANDOM, MAX + 1);
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of("journal", rows[i].stack);
		spool_close(&spool);
		assert_int_equal(test_command("echo inline-limit = %u >> "
					      "%s/spool.conf",
					      MAX, test_spool_dir()),
				 0);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_put(spool, data, rows[i].size, &id),
				 IO_DONE);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 rows[i].files);
		test_spool_must_have(spool, &id, data, rows[i].size);
		spool_close(&spool);
	}
	free(data);
}

/* Bodies that wait for their headers have so much memory together; the others wait on
   disk, however small they are. */
static void test_waiting_bodies_have_little_memory(void **state ATTR_UNUSED)
{
	enum {
		COUNT = 200,
		SIZE = 20000,
		MAX = 64 * 24576
	};
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *messages[COUNT];
	message_id id;
	unsigned int i;

	for (i = 0; i < COUNT; i++) {
		spool_new_id(spool, &id);
		messages[i] = email_message_new(&id);
		assert_int_equal(email_message_set_sender(messages[i],
							  "a@example.org"),
				 0);
		assert_int_equal(email_message_add_recipient(messages[i],
							     "b@example.org"),
				 0);
		test_spool_set_body(messages[i], data, SIZE);
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS,
						 messages[i], 0),
				 IO_DONE);
	}
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
			 COUNT - MAX / SIZE);
	for (i = 0; i < COUNT; i++) {
		assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS,
						    messages[i], 0),
				 IO_DONE);
		test_spool_must_have(spool, &messages[i]->message_id, data,
				     SIZE);
		email_message_unref(&messages[i]);
	}
	/* it was given back */
	assert_int_equal(test_spool_put(spool, data, SIZE, &id), IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
			 COUNT - MAX / SIZE);
	spool_close(&spool);
	free(data);
}

/* Moved are what the record of a body says, and headers; not the file. */
static void test_compaction_leaves_files(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id large, ids[20];
	uint64_t moved;
	char *error;
	size_t i;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &large),
			 IO_DONE);
	for (i = 0; i < N_ELEMENTS(ids); i++)
		assert_int_equal(test_spool_put(spool, data, 9000, &ids[i]),
				 IO_DONE);
	for (i = 0; i < N_ELEMENTS(ids); i++)
		assert_int_equal(spool_remove(spool, &ids[i]), IO_DONE);
	assert_int_equal(spool_compact(spool, &moved, &error), 0);
	assert_int_equal(moved, 1);
	test_spool_must_have(spool, &large, data, TEST_SPOOL_LARGE);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 1);
	test_spool_must_have(spool, &large, data, TEST_SPOOL_LARGE);
	assert_int_equal(spool_remove(spool, &large), IO_DONE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	spool_close(&spool);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(spool_compact(spool, &moved, &error), -1);
	assert_int_equal(errno, EROFS);
	free(error);
	spool_close(&spool);
	free(data);
}

/* The body that was to be replaced stays with its headers: in this process, behind what says
   that the rewrite is void, and where the next start finds nothing that says so. */
static void rewrite_that_fails(bool goes_on)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id, other;
	email_message *message;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	test_spool_set_body(message, data + 1, TEST_SPOOL_LARGE - 1);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_TRANS_FAIL);
	test_faults_end();
	email_message_unref(&message);
	test_spool_must_have(spool, &id, data, TEST_SPOOL_LARGE);
	if (goes_on)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&other),
				 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), goes_on ? 2 : 1);
	if (goes_on)
		test_spool_must_have(spool, &id, data, TEST_SPOOL_LARGE);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
	spool_close(&spool);
	free(data);
}

static void test_a_rewrite_that_fails(void **state ATTR_UNUSED)
{
	rewrite_that_fails(true);
}

/* Its record may be there all the same: then either of the two bodies is. */
static void test_a_rewrite_that_fails_last(void **state ATTR_UNUSED)
{
	rewrite_that_fails(false);
}

static int openat_without_segments(int dir, const char *path, int flags,
				   mode_t mode)
{
	if (strcmp(path, "new.tmp") == 0) {
		errno = ENOSPC;
		return -1;
	}
	return file_ops_system.openat(dir, path, flags, mode);
}

/* Nothing was tried, and so nothing stays. */
static void test_no_segment_leaves_no_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
	message_id id;

	ops.openat = openat_without_segments;
	file_ops_set(&ops);
	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_TRANS_FAIL);
	file_ops_set(NULL);
	assert_int_equal(io_get_errno(), ENOSPC);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 0);
	spool_close(&spool);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_bodies),
		cmocka_unit_test(test_files_of_a_full_segment),
		cmocka_unit_test(test_codecs_know_sizes),
		cmocka_unit_test(test_a_file_has_no_plain_text),
		cmocka_unit_test(test_nobody_else_may_look),
		cmocka_unit_test(test_files_go_with_their_bodies),
		cmocka_unit_test(test_a_file_that_could_not_be_removed),
		cmocka_unit_test(test_the_longest_body_of_a_segment),
		cmocka_unit_test(test_waiting_bodies_have_little_memory),
		cmocka_unit_test(test_compaction_leaves_files),
		cmocka_unit_test(test_a_rewrite_that_fails),
		cmocka_unit_test(test_a_rewrite_that_fails_last),
		cmocka_unit_test(test_no_segment_leaves_no_file),
	};

	return cmocka_run_group_tests_name("module-journal-files", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
