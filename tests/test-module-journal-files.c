/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bodies of the journal store that are in files of their own: when they come, when they go,
   and what is found of them at a start. */

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
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

#define BODIES "journal/bodies"
/* In the journal a file of its own. */
#define LARGE 70000

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
		assert_int_equal(test_spool_files_in(BODIES).count,
				 rows[i].files);
		test_spool_must_have(spool, &id, data, rows[i].size);
		spool_close(&spool);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_scan(spool), 1);
		test_spool_must_have(spool, &id, data, rows[i].size);
		assert_int_equal(test_spool_damaged(spool, &total), 0);
		assert_int_equal(total, 1);
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		assert_int_equal(test_spool_files_in(BODIES).count, 0);
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
	assert_int_equal(test_spool_files_in(BODIES).count, 1);
	stored = test_read_file(test_spool_files_in(BODIES).path);
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
	message_id id;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	test_spool_set_body(message, data + 1, LARGE - 1);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(BODIES).count, 2);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(BODIES).count, 1);
	test_spool_must_have(spool, &id, data + 1, LARGE - 1);
	/* headers alone */
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	test_spool_must_have(spool, &id, data + 1, LARGE - 1);
	test_spool_set_body(message, wire, sizeof(wire) - 1);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(BODIES).count, 0);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	email_message_unref(&message);
	/* one without headers */
	spool_new_id(spool, &id);
	message = email_message_new(&id);
	test_spool_set_body(message, data, LARGE);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(test_spool_files_in(BODIES).count, 1);
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_DONE);
	assert_int_equal(test_spool_files_in(BODIES).count, 0);
	/* or of another length than was said */
	message->body_len = LARGE + 1;
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	message->body_len = 0;
	assert_int_equal(test_spool_files_in(BODIES).count, 0);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
	spool_close(&spool);
	assert_int_equal(test_spool_files_in(BODIES).count, 0);
	free(data);
}

/* Its message is small now, or gone. */
static void test_a_file_that_could_not_be_removed(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	email_message *message;
	struct spool *spool;
	message_id id;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		spool = test_spool_new_of("journal", "");
		assert_int_equal(test_spool_put(spool, data, LARGE, &id),
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
		assert_int_equal(test_spool_files_in(BODIES).count, 1);
		spool = test_spool_open(0);
		assert_int_equal(test_spool_files_in(BODIES).count, 0);
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
		assert_int_equal(test_spool_files_in(BODIES).count,
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
	assert_int_equal(test_spool_files_in(BODIES).count, COUNT - MAX / SIZE);
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
	assert_int_equal(test_spool_files_in(BODIES).count, COUNT - MAX / SIZE);
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
	assert_int_equal(test_spool_files_in(BODIES).count, 0);
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
	struct test_spool_files lost;

	assert_int_equal(test_spool_put(spool, data, LARGE, &ids[0]), IO_DONE);
	lost = test_spool_files_in(BODIES);
	assert_int_equal(test_spool_put(spool, data, LARGE, &ids[1]), IO_DONE);
	spool_close(&spool);
	assert_int_equal(unlink(lost.path), 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_read(spool, &ids[0], 0, NULL), EINVAL);
	assert_int_equal(test_spool_scan(spool), 1);
	/* the bytes and the reason */
	assert_int_equal(test_spool_files_in("quarantine").count, 2);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	assert_int_equal(total, 2);
	test_spool_must_have(spool, &ids[1], data, LARGE);
	spool_close(&spool);
	free(data);
}

/* What verify says of a message. */
struct seen {
	message_id id;
	unsigned int count;
	int error;
};

static bool see(const struct spool_entry *entry, void *context)
{
	struct seen *seen = context;

	if (message_id_cmp(&entry->id, &seen->id) != 0)
		return true;
	seen->count++;
	seen->error = entry->error;
	return true;
}

static struct seen seen_of(struct spool *spool, const message_id *id)
{
	struct seen seen = { .id = *id };
	char *error;

	assert_int_equal(spool_verify(spool, see, &seen, &error), 0);
	return seen;
}

static void change_body(struct spool *spool, const message_id *id,
			const unsigned char *data, size_t size)
{
	email_message *message;

	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	test_spool_set_body(message, data, size);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
}

/* What it removed, or wrote anew, is no damage to who reads; what is missing is. */
static void test_a_reader_beside_a_writer(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	struct test_spool_files lost;
	email_message *message;
	message_id ids[4];
	unsigned int i, descriptors;

	for (i = 0; i < N_ELEMENTS(ids); i++) {
		assert_int_equal(test_spool_put(spool, data, LARGE, &ids[i]),
				 IO_DONE);
		if (i == 0)
			lost = test_spool_files_in(BODIES);
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
	change_body(spool, &ids[3], data, LARGE - 1);
	assert_int_equal(test_spool_read(reader, &ids[3], 0, NULL), ESTALE);
	assert_int_equal(seen_of(reader, &ids[3]).error, ESTALE);
	assert_int_equal(unlink(lost.path), 0);
	assert_int_equal(test_spool_read(reader, &ids[0], 0, NULL), EINVAL);
	assert_int_equal(seen_of(reader, &ids[0]).error, EINVAL);
	spool_close(&reader);
	/* nor is the journal open that it looked into */
	assert_int_equal(test_open_descriptors(), descriptors);
	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	test_spool_must_have(reader, &ids[3], data, LARGE - 1);
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
	assert_int_equal(seen_of(reader, &moved).error, ESTALE);
	assert_int_equal(spool_remove(spool, &moved), IO_DONE);
	assert_int_equal(test_spool_damaged(reader, &total), 0);
	assert_int_equal(total, 0);
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
	assert_int_equal(seen_of(reader, &moved[0]).error, ESTALE);
	assert_int_equal(seen_of(reader, &moved[1]).error, ESTALE);
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
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", ""), *reader;
	struct file_ops ops = file_ops_system;
	message_id id;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
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

static struct {
	struct spool *spool;
	message_id id;
	const unsigned char *data;
	unsigned int calls;
} changing;

/* Who looks for the body's file finds it gone: another one took its place. */
static int changing_openat(int dir, const char *path, int flags, mode_t mode)
{
	size_t size = strlen(path);

	if (size == 45 && strcmp(path + size - 2, ".b") == 0 &&
	    changing.calls++ == 0)
		change_body(changing.spool, &changing.id, changing.data,
			    LARGE - 1);
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
		assert_int_equal(test_spool_files_in("quarantine").count, 0);
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
	file = fopen(test_spool_files_in(BODIES).path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, LARGE / 2, SEEK_SET), 0);
	assert_int_equal(fputc(data[LARGE / 2] ^ 1, file), data[LARGE / 2] ^ 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(test_spool_damaged(spool, &total), 1);
	spool_close(&spool);
	free(data);
}

/* Whatever the stack knows of it. */
static void test_damaged_bodies_do_not_end_well(void **state ATTR_UNUSED)
{
	static const char *const stacks[] = { "", "lz4", "zstd", "hex" };
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		spool = test_spool_new_of("journal", stacks[i]);
		assert_int_equal(test_spool_put(spool, data, LARGE, &id),
				 IO_DONE);
		test_spool_damage_body(spool, &id,
				       test_spool_files_in(BODIES).path);
		test_spool_must_have(spool, &id, data, LARGE);
		spool_close(&spool);
	}
	free(data);
}

static void count_warning(const char *text, void *context)
{
	unsigned int *count = context;

	*count += strstr(text, "put aside") != NULL;
}

/* Whatever the process's mask lets through. */
static void test_nobody_else_may_look(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	const mode_t mask = umask(0);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	assert_int_equal(test_spool_put(spool, data, 100, &id), IO_DONE);
	spool_close(&spool);
	(void)umask(mask);
	assert_int_equal(test_spool_files_in(BODIES).count, 1);
	assert_int_equal(test_command("test -z \"$(find %s -perm /077)\"",
				      test_spool_dir()),
			 0);
	free(data);
}

/* Nobody follows a link, or waits for a pipe, where a file should be. */
static void test_no_other_kind_is_a_body(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	char path[1024], away[1040];
	message_id id;

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	(void)snprintf(path, sizeof(path), "%s",
		       test_spool_files_in(BODIES).path);
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
	test_spool_must_have(spool, &id, data, LARGE);
	spool_close(&spool);
	free(data);
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
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
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
	assert_int_equal(test_spool_files_in(BODIES).count, 2);
	ops.renameat2 = reasoned_renameat2;
	file_ops_set(&ops);
	without_reason = 0;
	spool = test_spool_open(0);
	file_ops_set(NULL);
	assert_int_equal(without_reason, 0);
	assert_int_equal(test_spool_files_in(BODIES).count, 0);
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
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
	message_id id, large;
	unsigned int total;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(test_spool_put(spool, data, LARGE, &large), IO_DONE);
	spool_close(&spool);
	assert_int_equal(
		test_command("truncate -s 8192 %s/journal/00000001.seg",
			     test_spool_dir()),
		0);
	ops.renameat2 = renameat2_without_bodies;
	file_ops_set(&ops);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	file_ops_set(NULL);
	spool_close(&spool);
	assert_int_equal(test_spool_files_in(BODIES).count, 1);

	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	assert_int_equal(test_spool_files_in(BODIES).count, 0);
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
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
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

	assert_int_equal(test_spool_put(spool, data, LARGE, &id), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	test_spool_set_body(message, data + 1, LARGE - 1);
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
	assert_int_equal(test_spool_files_in(BODIES).count, 1);
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
	unsigned char *data = test_data(TEST_DATA_RANDOM, LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
	message_id id;

	ops.openat = openat_without_segments;
	file_ops_set(&ops);
	assert_int_equal(test_spool_put(spool, data, LARGE, &id),
			 IO_TRANS_FAIL);
	file_ops_set(NULL);
	assert_int_equal(io_get_errno(), ENOSPC);
	assert_int_equal(test_spool_files_in(BODIES).count, 0);
	spool_close(&spool);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large_bodies),
		cmocka_unit_test(test_codecs_know_sizes),
		cmocka_unit_test(test_a_file_has_no_plain_text),
		cmocka_unit_test(test_files_go_with_their_bodies),
		cmocka_unit_test(test_a_file_that_could_not_be_removed),
		cmocka_unit_test(test_the_longest_body_of_a_segment),
		cmocka_unit_test(test_waiting_bodies_have_little_memory),
		cmocka_unit_test(test_compaction_leaves_files),
		cmocka_unit_test(test_a_missing_file),
		cmocka_unit_test(test_a_reader_beside_a_writer),
		cmocka_unit_test(test_a_reader_lists_nothing_that_went),
		cmocka_unit_test(test_a_reader_whose_listing_is_cut_short),
		cmocka_unit_test(test_a_reader_that_cannot_look),
		cmocka_unit_test(test_a_file_that_is_changed_meanwhile),
		cmocka_unit_test(test_a_damaged_file),
		cmocka_unit_test(test_damaged_bodies_do_not_end_well),
		cmocka_unit_test(test_nobody_else_may_look),
		cmocka_unit_test(test_no_other_kind_is_a_body),
		cmocka_unit_test(test_strange_files),
		cmocka_unit_test(test_the_bodies_of_a_cut_segment),
		cmocka_unit_test(test_a_file_that_cannot_be_opened),
		cmocka_unit_test(test_a_rewrite_that_fails),
		cmocka_unit_test(test_a_rewrite_that_fails_last),
		cmocka_unit_test(test_no_segment_leaves_no_file),
	};

	return cmocka_run_group_tests_name("module-journal-files", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
