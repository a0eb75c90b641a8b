/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: what it must never break (the numbers are the invariants of
   doc/spool-format.md). */

#include "config.h"
#include "istream.h"
#include "spool.h"
#include "test-spool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

static void test_wire_form_comes_back(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 1, 1000, 65536, 300000 };
	char encrypted[600];
	const char *stacks[] = { "", "gzip", "zstd:1", "lz4", encrypted };
	struct spool *spool;
	message_id id;
	size_t i, j;

	(void)snprintf(encrypted, sizeof(encrypted), "zstd | age:recipients=%s",
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

/* Which may be relative to where a program was started. */
static void test_a_configuration_names_no_keys(void **state ATTR_UNUSED)
{
	static const char *const rows[] = {
		"body = zstd:3 | age:recipients=public",
		"headers = age:recipient=age1test",
		"body = age:identity=key",
	};
	struct spool *spool;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of(i == 0 ? "journal" : "file", "");
		spool_close(&spool);
		assert_int_equal(
			test_command("cd %s && cp %s recipients && "
				     "sed -i '/^body/d; /^headers/d' "
				     "spool.conf && KEY=$(tail -n 1 "
				     "recipients) && echo '%s' | "
				     "sed \"s/age1test/$KEY/\" >>spool.conf",
				     test_spool_dir(), test_path("public"),
				     rows[i]),
			0);
		spool = spool_open(test_spool_dir(), 0, NULL, &error);
		assert_null(spool);
		assert_int_equal(errno, EINVAL);
		if (strstr(error, "/recipients") == NULL ||
		    strstr(error,
			   i == 0         ? "\"body = zstd:3 | age\"" :
				   i == 1 ? "\"headers = age\"" :
					    "\"body = age\"") == NULL)
			fail_msg("%s", error);
		free(error);
		/* who reads does not look at it */
		spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
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

static void test_scan_and_what_a_crash_leaves(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char path[512], other[512];
	message_id ids[6];
	struct stat st;
	unsigned int i;

	for (i = 0; i < 6; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&ids[i]),
				 IO_DONE);
	spool_close(&spool);
	/* a body without headers; headers without a body; headers cut, empty,
	   of another message; a temporary file */
	test_spool_file(&ids[0], ".h", path);
	assert_int_equal(unlink(path), 0);
	test_spool_file(&ids[1], ".b", path);
	assert_int_equal(unlink(path), 0);
	test_spool_file(&ids[2], ".h", path);
	assert_int_equal(truncate(path, 40), 0);
	test_spool_file(&ids[3], ".h", path);
	test_spool_file(&ids[4], ".h", other);
	assert_int_equal(test_command("cp %s %s", other, path), 0);
	(void)snprintf(other, sizeof(other), "%s/messages/tmp/.bobbin-tmp-1",
		       test_spool_dir());
	test_write_file(other, "x", 1);

	spool = test_spool_open(0);
	assert_int_equal(stat(other, &st), -1);
	assert_int_equal(test_spool_scan(spool), 2);
	assert_int_equal(test_spool_scan(spool), 2);
	test_spool_file(&ids[0], ".b", path);
	assert_int_equal(stat(path, &st), -1);
	test_spool_must_have(spool, &ids[4], wire, sizeof(wire) - 1);
	test_spool_must_have(spool, &ids[5], wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_damaged(spool, NULL), 0);
	spool_close(&spool);
	assert_int_equal(test_command("test $(ls %s/quarantine/*.why | wc -l) "
				      "= 3",
				      test_spool_dir()),
			 0);
}

static void damage_is_found(const char *stack)
{
	struct spool *spool = test_spool_new(stack);
	char path[512];
	const char *const suffixes[] = { ".h", ".b" };
	message_id id, other;
	buffer_t *file;
	size_t s, at;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &other),
			 IO_DONE);
	for (s = 0; s < 2; s++) {
		test_spool_file(&id, suffixes[s], path);
		file = test_read_file(path);
		for (at = 0; at < file->used; at++) {
			unsigned char *data =
				buffer_get_modifiable_data(file, NULL);

			data[at] ^= 0x10;
			test_write_file(path, data, file->used);
			data[at] ^= 0x10;
			/* byte 9 of a gzip header names a system: nothing
			   depends on it but the body's hash */
			if (test_spool_damaged(spool, NULL) == 0 &&
			    (strcmp(suffixes[s], ".b") == 0 || *stack == '\0'))
				fail_msg("%s byte %zu: unnoticed", suffixes[s],
					 at);
			test_write_file(path, data, at);
			if (test_spool_damaged(spool, NULL) != 1)
				fail_msg("%s cut at %zu: unnoticed",
					 suffixes[s], at);
		}
		test_write_file(path, file->data, file->used);
		assert_int_equal(test_spool_damaged(spool, NULL), 0);
		buffer_free(&file);
	}
	test_spool_must_have(spool, &other, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_damage_is_found(void **state ATTR_UNUSED)
{
	damage_is_found("gzip");
	damage_is_found("");
}

/* Damages the end of a headers' file: another byte, or it is cut. */
static void damage_the_end(const message_id *id, bool cut)
{
	char path[512];
	buffer_t *file;

	test_spool_file(id, ".h", path);
	file = test_read_file(path);
	((unsigned char *)buffer_get_modifiable_data(
		file, NULL))[file->used - 3] ^= 0x10;
	test_write_file(path, file->data, file->used - (cut ? 2 : 0));
	buffer_free(&file);
}

/* A start does not look behind the first line; a repair does, once and for all. */
static void repair_puts_aside(const char *stack, bool cut)
{
	struct spool *spool = test_spool_new(stack);
	char id_text[MESSAGE_ID_TEXT_SIZE];
	message_id id, other;
	unsigned int total;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &other),
			 IO_DONE);
	damage_the_end(&id, cut);
	assert_int_equal(test_spool_scan(spool), 2);
	assert_int_equal(test_spool_damaged(spool, NULL), 1);
	spool_close(&spool);

	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	assert_int_equal(test_spool_scan(spool), 1);
	assert_int_equal(test_spool_scan(spool), 1);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, 1);
	test_spool_must_have(spool, &other, wire, sizeof(wire) - 1);
	spool_close(&spool);
	message_id_to_text(&id, id_text);
	assert_int_equal(test_command("cd %s/quarantine && test -f %s.b && "
				      "grep -q %s.h %s.h.why",
				      test_spool_dir(), id_text, id_text,
				      id_text),
			 0);
}

static void test_repair_looks_behind_the_first_line(void **state ATTR_UNUSED)
{
	repair_puts_aside("", false);
	repair_puts_aside("", true);
	repair_puts_aside("gzip", false);
	repair_puts_aside("gzip", true);
}

/* Whatever the stack knows of it; the body alone, and more than a buffer holds. */
static void test_damaged_bodies_do_not_end_well(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 5, 300000 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 300000);
	static const char *const stacks[] = { "", "lz4", "zstd", "deflate",
					      "hex" };
	char path[512];
	struct spool *spool;
	message_id id;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		spool = test_spool_new(stacks[i]);
		for (j = 0; j < N_ELEMENTS(sizes); j++) {
			assert_int_equal(test_spool_put(spool, data, sizes[j],
							&id),
					 IO_DONE);
			test_spool_file(&id, ".b", path);
			test_spool_damage_body(spool, &id, path);
			test_spool_must_have(spool, &id, data, sizes[j]);
		}
		spool_close(&spool);
	}
	free(data);
}

/* Which file, and what to do. */
static void test_a_damaged_body_is_named(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	char path[512];
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	test_spool_file(&id, ".b", path);
	test_write_file(path, wire, sizeof(wire) - 2);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	while (i_stream_read(message->body) > 0)
		;
	assert_int_equal(message->body->stream_errno, EINVAL);
	if (strncmp(i_stream_get_error(message->body), path, strlen(path)) != 0)
		fail_msg("%s", i_stream_get_error(message->body));
	assert_non_null(strstr(i_stream_get_error(message->body),
			       "restore the file from a copy"));
	email_message_unref(&message);
	spool_close(&spool);
}

/* 16: what cannot be read now may be read later. */
static void test_transient_errors_of_a_scan(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_READ,
					    TEST_OP_READDIR };
	struct spool *spool = test_spool_new("");
	unsigned int i, n, hit;
	message_id id;

	for (i = 0; i < 5; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_DONE);
	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EIO;
			assert_true(test_spool_scan(spool) <= 5);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			assert_int_equal(test_spool_scan(spool), 5);
		}
	}
	spool_close(&spool);
}

/* Nor is it damage to who repairs. */
static void test_repair_of_what_cannot_be_read_now(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN, TEST_OP_READ };
	struct spool *spool = test_spool_new("gzip");
	unsigned int n, hit;
	message_id id;
	size_t i;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EIO;
			assert_true(test_spool_scan(spool) <= 1);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			assert_int_equal(test_spool_scan(spool), 1);
		}
	}
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
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
	assert_int_equal(test_spool_scan(spool), 1);
	spool_close(&spool);
	(void)umask(mask);
	assert_true(test_spool_files_in("quarantine").count >= 3);
	assert_int_equal(test_command("test -z \"$(find %s -perm /077)\"",
				      test_spool_dir()),
			 0);
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

/* Directories that were synced, by their inodes. */
static struct {
	ino_t inodes[32];
	unsigned int count;
} synced;

static int noting_fsync_dir(int dir_fd)
{
	struct stat st;

	assert_int_equal(fstat(dir_fd, &st), 0);
	assert_true(synced.count < N_ELEMENTS(synced.inodes));
	synced.inodes[synced.count++] = st.st_ino;
	return file_ops_system.fsync_dir(dir_fd);
}

/* A new spool's directories are durable when it is there. */
static void test_init_syncs_its_directories(void **state ATTR_UNUSED)
{
	static const char *const names[] = { "", "/messages" };
	struct file_ops ops = file_ops_system;
	char path[600];
	struct stat st;
	unsigned int n;
	size_t i;

	ops.fsync_dir = noting_fsync_dir;
	file_ops_set(&ops);
	synced.count = 0;
	test_spool_init("");
	file_ops_set(NULL);
	for (i = 0; i < N_ELEMENTS(names); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", test_spool_dir(),
			       names[i]);
		assert_int_equal(stat(path, &st), 0);
		for (n = 0; n < synced.count; n++) {
			if (synced.inodes[n] == st.st_ino)
				break;
		}
		if (n == synced.count)
			fail_msg("not synced: %s", path);
	}
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

static void put_more(const message_id *id ATTR_UNUSED, void *context)
{
	struct spool *spool = ((void **)context)[0];
	unsigned int *count = ((void **)context)[1], i;
	email_message *message;
	message_id other;

	if (++*count > 1)
		return;
	for (i = 0; i < 100; i++) {
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&other),
				 IO_DONE);
		if (i % 2 == 0)
			continue;
		/* also where he changed it since */
		assert_int_equal(spool_get(spool, &other, &message), IO_DONE);
		test_spool_set_body(message, ".\r\n", 3);
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message,
						 0),
				 IO_DONE);
		assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS,
						    message, 0),
				 IO_DONE);
		email_message_unref(&message);
	}
}

/* 20: who puts a message while the scan runs knows of it. */
static void test_scan_leaves_out_what_is_new(void **state ATTR_UNUSED)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	struct spool *spool = test_spool_new("");
	unsigned int count = 0, i;
	void *context[] = { spool, &count };
	char path[512];
	message_id id;

	/* the directories are there already, most of them still to be read */
	for (i = 0; i < 1024; i++) {
		(void)snprintf(path, sizeof(path), "%s/messages/%c%c",
			       test_spool_dir(), digits[i / 32],
			       digits[i % 32]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_start_scan(spool, put_more, NULL, context);
	spool_wait_scan(spool);
	assert_int_equal(count, 1);
	assert_int_equal(test_spool_scan(spool), 101);
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
	struct spool *spool = test_spool_new("zstd");
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

static void test_interrupted_and_short_calls(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("zstd");
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

static void test_order_of_syncs(void **state ATTR_UNUSED)
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

static void test_one_owner(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new(""), *second;
	char *error, pid[32];
	message_id id;

	second = spool_open(test_spool_dir(), 0, NULL, &error);
	assert_null(second);
	assert_int_equal(errno, EBUSY);
	(void)snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	assert_non_null(strstr(error, pid));
	free(error);
	/* looking is free */
	second = test_spool_open(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(test_spool_put(second, wire, sizeof(wire) - 1, &id),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EROFS);
	spool_close(&second);
	spool_close(&spool);
	spool = test_spool_open(0);
	spool_close(&spool);
}

/* In a child: the errno of a put and of a removal that fail, as its exit status. */
static int change_in_child(struct spool *spool, const message_id *id)
{
	message_id other;

	if (test_spool_put(spool, wire, sizeof(wire) - 1, &other) != IO_FAIL ||
	    io_get_errno() != EPERM || spool_remove(spool, id) != IO_FAIL)
		return 0;
	return io_get_errno();
}

/* A child that fork() made changes nothing, and does not keep the spool from others. */
static void forks(const char *store)
{
	struct spool *spool = test_spool_new_of(store, "");
	int hold[2], status;
	message_id id;
	char *error, byte;
	pid_t pid;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(pipe(hold), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		status = change_in_child(spool, &id);
		(void)close(hold[1]);
		_exit(read(hold[0], &byte, 1) == 0 ? status : 0);
	}
	spool_close(&spool);
	spool = spool_open(test_spool_dir(), 0, NULL, &error);
	/* before anything may fail: the child lived until now */
	(void)close(hold[0]);
	(void)close(hold[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_non_null(spool);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EPERM);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_a_fork_changes_nothing(void **state ATTR_UNUSED)
{
	forks("file");
	forks("journal");
}

static void note_done(void *context)
{
	*(bool *)context = true;
}

static void note_found(const message_id *id ATTR_UNUSED, void *context)
{
	*(bool *)context = false;
}

/* 0: all is as it should be; else the line. */
static int leave_in_child(struct spool *spool)
{
	bool done = false;
	uint64_t moved;
	char *error;

	/* what waits for a thread of the parent waits for ever */
	(void)alarm(60);
	spool_start_scan(spool, note_found, note_done, &done);
	spool_wait_scan(spool);
	if (!done)
		return 1;
	if (spool_compact(spool, &moved, &error) == 0 || errno != EPERM)
		return 2;
	free(error);
	spool_close(&spool);
	return spool == NULL ? 0 : 3;
}

/* The threads of a spool are not in a child, and what a close writes is its owner's. */
static void closes_in_child(const char *store)
{
	struct spool *spool = test_spool_new_of(store, "");
	message_id id;
	int status;
	pid_t pid;

	spool_close(&spool);
	assert_int_equal(test_command("cd %s && rm last-id && "
				      "sed -i '/^compaction/d' spool.conf",
				      test_spool_dir()),
			 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(leave_in_child(spool));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(test_command("test -e %s/last-id", test_spool_dir()),
			 1);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 2);
	spool_close(&spool);
}

static void test_a_fork_closes(void **state ATTR_UNUSED)
{
	closes_in_child("file");
	closes_in_child("journal");
}

static void test_settings_and_versions(void **state ATTR_UNUSED)
{
	static const struct {
		const char *body, *store, *error;
	} bad[] = {
		{ "zsdt", NULL, "no such kind" },
		{ "gzip | file:x", NULL, "an end of its own" },
		{ "age", NULL, "for whom" },
		{ "age:recipients=/nonexistent", NULL, "/nonexistent" },
		{ "", "jornal", "unknown store" },
	};
	char path[512], *error;
	struct spool *spool;
	struct stat st;
	size_t i;

	for (i = 0; i < N_ELEMENTS(bad); i++) {
		struct spool_settings settings = { bad[i].body, NULL,
						   bad[i].store };

		(void)snprintf(path, sizeof(path), "%s", test_path("refused"));
		assert_int_equal(spool_init(path, &settings, &error), -1);
		if (strstr(error, bad[i].error) == NULL)
			fail_msg("%s", error);
		free(error);
		/* nothing is left of it */
		assert_int_equal(stat(path, &st), -1);
	}
	test_spool_init("");
	(void)snprintf(path, sizeof(path), "%s/spool.conf", test_spool_dir());
	test_write_file(path, "version = 2\nstore = file\n", 25);
	spool = spool_open(test_spool_dir(), 0, NULL, &error);
	assert_null(spool);
	assert_int_equal(errno, ENOTSUP);
	assert_non_null(strstr(error, "newer version"));
	free(error);
	for (i = 0; i < 2; i++) {
		/* and the other way round */
		spool = test_spool_new_of(i == 0 ? "journal" : "file", "");
		spool_close(&spool);
		assert_int_equal(test_command("sed -i 's/^store = .*/store = "
					      "%s/' %s/spool.conf",
					      i == 0 ? "file" : "journal",
					      test_spool_dir()),
				 0);
		spool = spool_open(test_spool_dir(), 0, NULL, &error);
		assert_null(spool);
		assert_int_equal(errno, EINVAL);
		assert_non_null(strstr(error,
				       i == 0 ?
					       "made with \"store = journal\"" :
					       "made with \"store = file\""));
		free(error);
	}
	spool = spool_open(test_path("nowhere"), 0, NULL, &error);
	assert_null(spool);
	assert_int_equal(errno, ENOENT);
	free(error);
}

/* 11: a refused or broken init leaves what was there. */
static void test_init_that_fails(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = {
		TEST_OP_MKDIR,     TEST_OP_OPEN,      TEST_OP_WRITE,
		TEST_OP_FDATASYNC, TEST_OP_FSYNC_DIR, TEST_OP_LINK,
		TEST_OP_READDIR,   TEST_OP_OPENDIR
	};
	char stack[600], path[512], *error;
	struct spool_settings settings = { stack, NULL, NULL };
	unsigned int n, hit;
	struct stat st;
	size_t i;
	int ret, had;

	(void)snprintf(stack, sizeof(stack), "age:recipients=%s",
		       test_path("public"));
	(void)snprintf(path, sizeof(path), "%s", test_path("broken"));
	for (i = 0; i < N_ELEMENTS(ops) * 2; i++) {
		had = i % 2; /* whether the directory was there before */
		TEST_EACH_CALL(n, hit) {
			if (had)
				assert_int_equal(mkdir(path, 0700), 0);
			test_faults_begin();
			test_faults.fail_at[ops[i / 2]] = n;
			test_faults.fail_errno[ops[i / 2]] = ENOSPC;
			ret = spool_init(path, &settings, &error);
			hit = test_faults.calls[ops[i / 2]];
			test_faults_end();
			if (ret == 0) {
				assert_int_equal(test_command("rm -r %s", path),
						 0);
				continue;
			}
			assert_int_equal(errno, ENOSPC);
			/* it is known where, or the file of keys is named */
			assert_non_null(strstr(error, test_dir()));
			free(error);
			assert_int_equal(stat(path, &st) == 0, had);
			if (had && rmdir(path) < 0)
				fail_msg("%u, call %u: not empty",
					 (unsigned int)ops[i / 2], n);
		}
	}
}

static void test_links_and_devices_are_refused(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	email_message *message;
	char path[512];
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	test_spool_file(&id, ".b", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_int_equal(test_spool_damaged(spool, NULL), 1);
	spool_close(&spool);
}

static bool count_entry(const struct spool_entry *entry ATTR_UNUSED,
			void *context)
{
	++*(unsigned int *)context;
	return true;
}

/* A directory that is elsewhere: nothing there is read, or written. */
static void test_links_to_directories_are_refused(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	char path[512], outside[512], *error;
	email_message *message;
	unsigned int count = 0;
	message_id id, other;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	test_spool_file(&id, "", path);
	*strrchr(path, '/') = '\0';
	(void)snprintf(outside, sizeof(outside), "%s", test_path("outside"));
	assert_int_equal(rename(path, outside), 0);
	assert_int_equal(symlink(outside, path), 0);
	assert_int_not_equal(spool_get(spool, &id, &message), IO_DONE);
	other = id;
	other.bytes[8] ^= 1;
	assert_int_not_equal(test_spool_put_as(spool, wire, sizeof(wire) - 1,
					       &other),
			     IO_DONE);
	assert_int_equal(test_spool_scan(spool), 0);
	if (spool_list(spool, count_entry, &count, &error) < 0)
		free(error);
	assert_int_equal(count, 0);
	assert_int_not_equal(spool_remove(spool, &id), IO_DONE);
	assert_int_equal(test_command("test $(ls %s | wc -l) = 2", outside), 0);
	spool_close(&spool);
	/* all of them are */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rename(outside, path), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rename(path, outside), 0);
	assert_int_equal(symlink(outside, path), 0);
	assert_null(spool_open(test_spool_dir(), 0, NULL, &error));
	free(error);
}

/*
 * Threads
 */

#define WRITERS 4
#define EACH 25

static atomic_uint handed_out;

static void count_found(const message_id *id ATTR_UNUSED,
			void *context ATTR_UNUSED)
{
	atomic_fetch_add(&handed_out, 1);
}

static void *writer(void *context)
{
	struct spool *spool = context;
	message_id id;
	unsigned int i;

	for (i = 0; i < EACH; i++) {
		if (test_spool_put(spool, wire, sizeof(wire) - 1, &id) !=
		    IO_DONE)
			return spool;
		if (i % 5 == 4 && spool_remove(spool, &id) != IO_DONE)
			return spool;
	}
	return NULL;
}

static void test_scan_while_writers_work(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("zstd");
	pthread_t threads[WRITERS];
	unsigned int i, total;
	message_id id;
	void *result;

	for (i = 0; i < 30; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	atomic_store(&handed_out, 0);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, writer, spool), 0);
	spool_start_scan(spool, count_found, NULL, NULL);
	for (i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	spool_wait_scan(spool);
	/* those of before, each once; at most those written before the scan
	   began to look */
	assert_true(atomic_load(&handed_out) >= 30);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, 30 + WRITERS * EACH * 4 / 5);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_form_comes_back),
		cmocka_unit_test(test_no_plain_text_on_the_disk),
		cmocka_unit_test(test_a_configuration_names_no_keys),
		cmocka_unit_test(test_removed_never_comes_back),
		cmocka_unit_test(test_write_errors_have_the_path),
		cmocka_unit_test(test_an_id_is_stored_once),
		cmocka_unit_test(test_scan_and_what_a_crash_leaves),
		cmocka_unit_test(test_damage_is_found),
		cmocka_unit_test(test_repair_looks_behind_the_first_line),
		cmocka_unit_test(test_damaged_bodies_do_not_end_well),
		cmocka_unit_test(test_a_damaged_body_is_named),
		cmocka_unit_test(test_transient_errors_of_a_scan),
		cmocka_unit_test(test_scan_leaves_out_what_is_new),
		cmocka_unit_test(test_every_failing_call),
		cmocka_unit_test(test_interrupted_and_short_calls),
		cmocka_unit_test(test_order_of_syncs),
		cmocka_unit_test(test_one_owner),
		cmocka_unit_test(test_a_fork_changes_nothing),
		cmocka_unit_test(test_a_fork_closes),
		cmocka_unit_test(test_settings_and_versions),
		cmocka_unit_test(test_init_that_fails),
		cmocka_unit_test(test_links_and_devices_are_refused),
		cmocka_unit_test(test_links_to_directories_are_refused),
		cmocka_unit_test(test_repair_of_what_cannot_be_read_now),
		cmocka_unit_test(test_nobody_else_may_look),
		cmocka_unit_test(test_descriptors_are_given_back),
		cmocka_unit_test(test_init_syncs_its_directories),
		cmocka_unit_test(test_two_make_a_bucket),
		cmocka_unit_test(test_scan_while_writers_work),
	};

	return cmocka_run_group_tests_name(
		"module-file", tests, test_spool_setup, test_spool_teardown);
}
