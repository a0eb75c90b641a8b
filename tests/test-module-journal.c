/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store behind the hooks. */

#include "config.h"
#include "file-ops.h"
#include "istream.h"
#include "test-spool-common.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

/* Goes to a file: segments are small here. */
#define LARGE 70000

static void set_text(email_message *message, const char *text)
{
	struct istream *input = i_stream_create_from_data(text, strlen(text));

	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
}

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

static void test_the_last_rewrite_wins(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "gzip");
	email_message *first, *second;
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, &id, &first), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &second), IO_DONE);
	assert_int_equal(email_message_set_value(first, "x", "y", "1"), 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, first, 0),
			 IO_DONE);
	/* made from what is not the newest any more */
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, second, 0),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EBUSY);
	email_message_unref(&second);
	/* headers alone leave the body, and a body comes with headers */
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	set_text(first, "another\r\n.\r\n");
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, first, 0),
			 IO_DONE);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, first, 0),
			 IO_DONE);
	email_message_unref(&first);
	spool_close(&spool);
	spool = test_spool_open(0);
	test_spool_must_have(spool, &id, "another\r\n.\r\n", 12);
	assert_int_equal(spool_get(spool, &id, &first), IO_DONE);
	assert_int_equal(email_message_get_version(first), 3);
	assert_string_equal(email_message_get_value(first, "x", "y"), "1");
	email_message_unref(&first);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 0);
	spool_close(&spool);
}

static void test_headers_need_their_body(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message;
	message_id id;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EINVAL);
	set_text(message, wire);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	/* given up: then there is nothing to come with headers */
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	email_message_unref(&message);
	assert_int_equal(test_spool_scan(spool), 0);
	spool_close(&spool);
}

static void test_a_body_stays_while_headers_are_there(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_FAIL);
	assert_int_equal(io_get_errno(), EBUSY);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

/* 13: whatever fails, once, is an answer; what was acknowledged is there, and what was
   not is not. */
static void test_every_failing_call(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_WRITE,
					    TEST_OP_FDATASYNC, TEST_OP_RENAME,
					    TEST_OP_FSYNC_DIR };
	static const size_t sizes[] = { sizeof(wire) - 1, LARGE };
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
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

/*
 * Bodies in files
 */

struct files {
	unsigned int count;
	char path[1024]; /* of the last one */
};

static struct files files_in(const char *name)
{
	struct files files = { 0 };
	struct dirent *entry;
	char path[600];
	DIR *listing;

	(void)snprintf(path, sizeof(path), "%s/%s", test_spool_dir(), name);
	listing = opendir(path);
	assert_non_null(listing);
	while ((entry = readdir(listing)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		files.count++;
		(void)snprintf(files.path, sizeof(files.path), "%s/%s", path,
			       entry->d_name);
	}
	(void)closedir(listing);
	return files;
}

static struct files body_files(void)
{
	return files_in("journal/bodies");
}

static void test_large_bodies(void **state ATTR_UNUSED)
{
	static const struct {
		const char *stack;
		size_t size;
		unsigned int files;
	} rows[] = {
		{ "", 20000, 0 },     { "", LARGE, 1 },
		{ "", 3000000, 1 },   { "gzip", LARGE, 1 },
		{ "lz4", LARGE, 1 },  { "lz4", 3000000, 1 },
		{ "gzip", 20000, 0 }, { "hex", 20000, 1 },
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
		assert_int_equal(body_files().count, rows[i].files);
		test_spool_must_have(spool, &id, data, rows[i].size);
		spool_close(&spool);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_scan(spool), 1);
		test_spool_must_have(spool, &id, data, rows[i].size);
		assert_int_equal(test_spool_damaged(spool, &total), 0);
		assert_int_equal(total, 1);
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		assert_int_equal(body_files().count, 0);
		spool_close(&spool);
	}
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
	char path[600];

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_spool_dir());
	assert_int_equal(frames_without_size(path, &with_size), 0);
	assert_int_equal(with_size, 2);
#else
	skip();
#endif
}

/* What is in the file is what the stack made: the host cannot read it. */
static void test_a_file_has_no_plain_text(void **state ATTR_UNUSED)
{
	static const char canary[] = "the canary sings\r\n";
	char stack[600], *text = malloc(LARGE);
	struct spool *spool;
	buffer_t *stored;
	size_t i;
	message_id id;

	assert_non_null(text);
	for (i = 0; i < LARGE; i++)
		text[i] = canary[i % (sizeof(canary) - 1)];
	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	spool = test_spool_new_of("journal", stack);
	assert_int_equal(test_spool_put(spool, text, LARGE, &id), IO_DONE);
	assert_int_equal(body_files().count, 1);
	stored = test_read_file(body_files().path);
	assert_null(memmem(stored->data, stored->used, "canary", 6));
	assert_memory_equal(stored->data, "age-encryption.org", 18);
	buffer_free(&stored);
	test_spool_must_have(spool, &id, text, LARGE);
	spool_close(&spool);
	free(text);
}

/* One that is changed, given up, or taken back leaves no file. */
static void test_files_go_with_their_bodies(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message;
	struct istream *input;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	input = i_stream_create_from_data(data + 1, LARGE - 1);
	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(body_files().count, 2);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(body_files().count, 1);
	test_spool_must_have(spool, &id, data + 1, LARGE - 1);
	/* headers alone */
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	test_spool_must_have(spool, &id, data + 1, LARGE - 1);
	set_text(message, wire);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(body_files().count, 0);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	email_message_unref(&message);
	/* one without headers */
	spool_new_id(spool, &id);
	message = email_message_new(&id);
	input = i_stream_create_from_data(data, LARGE);
	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(body_files().count, 1);
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_DONE);
	assert_int_equal(body_files().count, 0);
	/* or of another length than was said */
	message->body_len = LARGE + 1;
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	message->body_len = 0;
	assert_int_equal(body_files().count, 0);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
	spool_close(&spool);
	assert_int_equal(body_files().count, 0);
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
	struct istream *input;
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
		input = i_stream_create_from_data(data, SIZE);
		email_message_set_body(messages[i], input, 0);
		i_stream_unref(&input);
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS,
						 messages[i], 0),
				 IO_DONE);
	}
	assert_int_equal(body_files().count, COUNT - MAX / SIZE);
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
	assert_int_equal(body_files().count, COUNT - MAX / SIZE);
	spool_close(&spool);
	free(data);
}

/* Moved are what the record of a body says, and headers; not the file. */
static void test_compaction_leaves_files(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id large, ids[20];
	uint64_t moved;
	char *error;
	size_t i;

	assert_int_equal(test_spool_put(spool, data, LARGE, &large), IO_DONE);
	for (i = 0; i < N_ELEMENTS(ids); i++)
		assert_int_equal(test_spool_put(spool, data, 9000, &ids[i]),
				 IO_DONE);
	for (i = 0; i < N_ELEMENTS(ids); i++)
		assert_int_equal(spool_remove(spool, &ids[i]), IO_DONE);
	assert_int_equal(spool_compact(spool, &moved, &error), 0);
	assert_int_equal(moved, 1);
	test_spool_must_have(spool, &large, data, LARGE);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 1);
	test_spool_must_have(spool, &large, data, LARGE);
	assert_int_equal(spool_remove(spool, &large), IO_DONE);
	assert_int_equal(body_files().count, 0);
	spool_close(&spool);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(spool_compact(spool, &moved, &error), -1);
	assert_int_equal(errno, EROFS);
	free(error);
	spool_close(&spool);
	free(data);
}

/* 6: the headers are kept, reported and not queued; 15: the neighbours stay. */
static void test_a_missing_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	unsigned int total;
	message_id ids[2];
	struct files lost;

	assert_int_equal(test_spool_put(spool, data, LARGE, &ids[0]), IO_DONE);
	lost = body_files();
	assert_int_equal(test_spool_put(spool, data, LARGE, &ids[1]), IO_DONE);
	spool_close(&spool);
	assert_int_equal(unlink(lost.path), 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 1);
	/* the bytes and the reason */
	assert_int_equal(files_in("quarantine").count, 2);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	assert_int_equal(total, 2);
	test_spool_must_have(spool, &ids[1], data, LARGE);
	spool_close(&spool);
	free(data);
}

static struct {
	struct spool *spool;
	message_id id;
	const unsigned char *data;
	unsigned int calls;
} changing;

/* Who looks for the body's file finds it gone: another one took its place. */
static int changing_openat(int dir, const char *path, int flags, mode_t mode)
{
	email_message *message;
	struct istream *input;
	size_t size = strlen(path);

	if (size == 45 && strcmp(path + size - 2, ".b") == 0 &&
	    changing.calls++ == 0) {
		assert_int_equal(spool_get(changing.spool, &changing.id,
					   &message),
				 IO_DONE);
		input = i_stream_create_from_data(changing.data, LARGE - 1);
		email_message_set_body(message, input, 0);
		i_stream_unref(&input);
		assert_int_equal(spool_writebody(changing.spool, IO_SYNCHRONOUS,
						 message, 0),
				 IO_DONE);
		assert_int_equal(spool_writeheaders(changing.spool,
						    IO_SYNCHRONOUS, message, 0),
				 IO_DONE);
		email_message_unref(&message);
	}
	return file_ops_system.openat(dir, path, flags, mode);
}

/* 20: a message is found whose body is changed under the scan, and is no damage. */
static void test_a_file_that_is_changed_meanwhile(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct file_ops ops = file_ops_system;
	unsigned int total, i;
	struct spool *spool;

	ops.openat = changing_openat;
	changing.data = data;
	for (i = 0; i < 2; i++) {
		spool = test_spool_new_of("journal", "");
		assert_int_equal(test_spool_put(spool, data, LARGE,
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
		test_spool_must_have(spool, &changing.id, data, LARGE - 1);
		assert_int_equal(files_in("quarantine").count, 0);
		spool_close(&spool);
	}
	free(data);
}

static void test_a_damaged_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	unsigned int total;
	message_id id;
	FILE *file;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	file = fopen(body_files().path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, LARGE / 2, SEEK_SET), 0);
	assert_int_equal(fputc(data[LARGE / 2] ^ 1, file), data[LARGE / 2] ^ 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	spool_close(&spool);
	free(data);
}

static void count_warning(const char *text, void *context)
{
	unsigned int *count = context;

	*count += strstr(text, "put aside") != NULL;
}

/* Where records are missing, nobody knows whose a file is. */
static void test_strange_files(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	char path[700], away[710];
	message_id id;
	unsigned int i, warnings = 0;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	for (i = 0; i < 5; i++)
		assert_int_equal(test_spool_put(spool, data, 20000, &id),
				 IO_DONE);
	spool_close(&spool);
	(void)snprintf(path, sizeof(path), "%s/journal/bodies/.bobbin-tmp-1",
		       test_spool_dir());
	test_write_file(path, data, 100);
	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_spool_dir());
	(void)snprintf(away, sizeof(away), "%s.away", path);
	assert_int_equal(rename(path, away), 0);
	/* a reader touches nothing */
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	spool_close(&spool);
	assert_int_equal(body_files().count, 2);
	spool = test_spool_open(0);
	assert_int_equal(body_files().count, 0);
	assert_int_equal(files_in("quarantine").count, 2);
	/* who is told only now is told */
	spool_set_warning_callback(spool, count_warning, &warnings);
	assert_int_equal(warnings, 1);
	spool_close(&spool);
	free(data);
}

/* A record of a body that is in a file, the first in the first segment, which is full:
   where its payload is, and that of its headers. */
#define BODY_PAYLOAD (4096 + 64 + 8)
#define HEADERS_PAYLOAD (4096 + 128 + 64 + 4)

static void damage(long offset)
{
	char path[700];
	FILE *file;
	int byte;

	(void)snprintf(path, sizeof(path), "%s/journal/00000001.seg",
		       test_spool_dir());
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, offset, SEEK_SET), 0);
	byte = fgetc(file);
	assert_int_equal(fseek(file, offset, SEEK_SET), 0);
	assert_int_equal(fputc(byte ^ 1, file), byte ^ 1);
	assert_int_equal(fclose(file), 0);
}

/* Such a one, and others; closed. */
static void put_under_footer(const unsigned char *data, message_id *id)
{
	struct spool *spool = test_spool_new_of("journal", "");
	message_id other;
	unsigned int i;

	assert_int_equal(test_spool_put(spool, data, LARGE, id), IO_DONE);
	for (i = 0; i < 5; i++)
		assert_int_equal(test_spool_put(spool, data, 20000, &other),
				 IO_DONE);
	spool_close(&spool);
}

/* A record that cannot be read may be the one that speaks of the file. */
static void test_a_file_of_a_damaged_record(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool;
	message_id id;

	put_under_footer(data, &id);
	damage(BODY_PAYLOAD);
	spool = test_spool_open(0);
	assert_int_equal(body_files().count, 1);
	spool_close(&spool);
	free(data);
}

/* Where a record is damaged, or a segment, the file that it spoke of is kept. */
static void test_files_of_what_is_damaged(void **state ATTR_UNUSED)
{
	static const struct {
		long offset;
		unsigned int flags;
	} rows[] = { { BODY_PAYLOAD, 0 }, { 20, SPOOL_OPEN_REPAIR } };
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct files aside;
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of("journal", "");
		assert_int_equal(test_spool_put(spool, data, LARGE, &id),
				 IO_DONE);
		assert_int_equal(test_spool_put(spool, data, 100, &id),
				 IO_DONE);
		spool_close(&spool);
		damage(rows[i].offset);
		spool = test_spool_open(rows[i].flags);
		assert_int_equal(body_files().count, 0);
		aside = files_in("quarantine");
		/* each with its reason; of the record those of body and headers */
		assert_int_equal(aside.count, i == 0 ? 6 : 4);
		spool_close(&spool);
	}
	free(data);
}

static int failing_openat(int dir, const char *path, int flags, mode_t mode)
{
	size_t size = strlen(path);

	if (size == 45 && strcmp(path + size - 2, ".b") == 0) {
		errno = EMFILE;
		return -1;
	}
	return file_ops_system.openat(dir, path, flags, mode);
}

/* 6 is not it: the reader will be told, and the message waits. */
static void test_a_file_that_cannot_be_opened(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	ops.openat = failing_openat;
	file_ops_set(&ops);
	assert_int_equal(test_spool_scan(spool), 1);
	file_ops_set(NULL);
	assert_int_equal(files_in("quarantine").count, 0);
	test_spool_must_have(spool, &id, data, LARGE);
	spool_close(&spool);
	free(data);
}

/* The body that was to be replaced stays with its headers: in this process, behind what says
   that the rewrite is void, and where the next start finds nothing that says so. */
static void rewrite_that_fails(bool goes_on)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id, other;
	email_message *message;
	struct istream *input;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	input = i_stream_create_from_data(data + 1, LARGE - 1);
	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_TRANS_FAIL);
	test_faults_end();
	email_message_unref(&message);
	test_spool_must_have(spool, &id, data, LARGE);
	if (goes_on)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&other),
				 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), goes_on ? 2 : 1);
	if (goes_on)
		test_spool_must_have(spool, &id, data, LARGE);
	assert_int_equal(body_files().count, 1);
	assert_int_equal(files_in("quarantine").count, 0);
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

/*
 * Repair
 */

/* A message stays where a read fails that may succeed later. */
static void test_repair_after_a_failing_read(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool;
	message_id id;

	put_under_footer(data, &id);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	assert_int_equal(test_spool_scan(spool), 6);
	test_faults_end();
	test_spool_must_have(spool, &id, data, LARGE);
	assert_int_equal(files_in("quarantine").count, 0);
	spool_close(&spool);
	free(data);
}

/* The headers are damaged, and the body's file cannot be moved: it stays, and the record
   that speaks of it. */
static void test_repair_that_cannot_keep_a_body(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
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
	assert_int_equal(body_files().count, 1);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	assert_int_equal(total, 6);
	spool_close(&spool);
	/* the next one can */
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	assert_int_equal(test_spool_scan(spool), 5);
	assert_int_equal(body_files().count, 0);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, 5);
	spool_close(&spool);
	free(data);
}

/* A repair that was cut off, or that failed, had moved the body's file; only where that is
   durable the record may go. The next one finishes it. */
static void test_repair_goes_on(void **state ATTR_UNUSED)
{
	/* the tombstone's, and that of the file's name */
	static const enum test_op ops[] = { TEST_OP_WRITE, TEST_OP_FSYNC_DIR };
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool;
	unsigned int total;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		put_under_footer(data, &id);
		damage(HEADERS_PAYLOAD);
		spool = test_spool_open(SPOOL_OPEN_REPAIR);
		test_faults_begin();
		test_faults.fail_at[ops[i]] = 1;
		test_faults.fail_errno[ops[i]] = ENOSPC;
		test_faults.fail_after = true;
		assert_int_equal(test_spool_scan(spool), 5);
		test_faults_end();
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
		cmocka_unit_test(test_the_last_rewrite_wins),
		cmocka_unit_test(test_headers_need_their_body),
		cmocka_unit_test(test_a_body_stays_while_headers_are_there),
		cmocka_unit_test(test_every_failing_call),
		cmocka_unit_test(test_large_bodies),
		cmocka_unit_test(test_codecs_know_sizes),
		cmocka_unit_test(test_a_file_has_no_plain_text),
		cmocka_unit_test(test_files_go_with_their_bodies),
		cmocka_unit_test(test_waiting_bodies_have_little_memory),
		cmocka_unit_test(test_compaction_leaves_files),
		cmocka_unit_test(test_a_missing_file),
		cmocka_unit_test(test_a_file_that_is_changed_meanwhile),
		cmocka_unit_test(test_a_damaged_file),
		cmocka_unit_test(test_strange_files),
		cmocka_unit_test(test_a_file_of_a_damaged_record),
		cmocka_unit_test(test_files_of_what_is_damaged),
		cmocka_unit_test(test_a_file_that_cannot_be_opened),
		cmocka_unit_test(test_a_rewrite_that_fails),
		cmocka_unit_test(test_a_rewrite_that_fails_last),
		cmocka_unit_test(test_repair_after_a_failing_read),
		cmocka_unit_test(test_repair_that_cannot_keep_a_body),
		cmocka_unit_test(test_repair_goes_on),
		cmocka_unit_test(test_many_threads),
		cmocka_unit_test(test_a_reader_changes_nothing),
	};

	return cmocka_run_group_tests_name(
		"module-journal", tests, test_spool_setup, test_spool_teardown);
}
