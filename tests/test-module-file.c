/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: what it must never break (the numbers are the invariants of
   doc/spool-format.md). */

#include "config.h"
#include "age-keys.h"
#include "istream.h"
#include "spool.h"
#include "test-common.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char wire[] = "Subject: hello\r\n\r\n..dots\r\n.\r\n";
static struct age_identities *identities;
static unsigned int spool_number;

static int setup(void **state ATTR_UNUSED)
{
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;

	identities = age_identities_new();
	if (age_keygen(test_path("key"), text, &error) < 0 ||
	    age_identities_add_file(identities, test_path("key"), NULL,
				    &error) < 0)
		return -1;
	test_write_file(test_path("public"), text, strlen(text));
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	age_identities_unref(&identities);
	return 0;
}

static const char *spool_dir(void)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "spool%u", spool_number);
	return test_path(name);
}

static struct spool *open_spool(unsigned int flags)
{
	struct stream_context keys = { .identities = identities };
	struct spool *spool;
	char *error;

	spool = spool_open(spool_dir(), flags, &keys, &error);
	if (spool == NULL)
		fail_msg("%s", error);
	return spool;
}

static void init_spool(const char *body)
{
	struct spool_settings settings = { body, NULL, NULL };
	char *error;

	spool_number++;
	if (spool_init(spool_dir(), &settings, &error) < 0)
		fail_msg("%s", error);
}

static struct spool *new_spool(const char *body)
{
	init_spool(body);
	return open_spool(0);
}

static int put_bytes(struct spool *spool, const void *data, size_t size,
		     message_id *id_r)
{
	struct istream *input = i_stream_create_from_data(data, size);
	email_message *message;
	int answer;

	spool_new_id(spool, id_r);
	message = email_message_new(id_r);
	(void)email_message_set_sender(message, "a@example.org");
	(void)email_message_add_recipient(message, "b@example.org");
	email_message_set_body(message, input, 0);
	answer = spool_put(spool, message);
	email_message_unref(&message);
	i_stream_unref(&input);
	return answer;
}

static void must_have(struct spool *spool, const message_id *id,
		      const void *data, size_t size)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	const unsigned char *got;
	email_message *message;
	size_t have;

	if (spool_get(spool, id, &message) != IO_DONE)
		fail_msg("%s", io_get_error());
	assert_string_equal(email_message_get_sender(message), "a@example.org");
	assert_string_equal(email_message_get_recipient(message, 0),
			    "b@example.org");
	assert_int_equal(message->body_len, size);
	while (i_stream_read_more(message->body, &got, &have) > 0) {
		buffer_append(out, got, have);
		i_stream_skip(message->body, have);
	}
	assert_int_equal(message->body->stream_errno, 0);
	assert_int_equal(out->used, size);
	assert_memory_equal(out->data, data, size);
	buffer_free(&out);
	email_message_unref(&message);
}

static bool count_entry(const struct spool_entry *entry, void *context)
{
	unsigned int *counts = context;

	counts[0]++;
	if (entry->problem != NULL)
		counts[1]++;
	return true;
}

static unsigned int damaged(struct spool *spool, unsigned int *total_r)
{
	unsigned int counts[2] = { 0, 0 };
	char *error;

	assert_int_equal(spool_verify(spool, count_entry, counts, &error), 0);
	if (total_r != NULL)
		*total_r = counts[0];
	return counts[1];
}

static void file_of(const message_id *id, const char *suffix, char path[512])
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	(void)snprintf(path, 512, "%s/messages/%s/%s%s", spool_dir(), text + 24,
		       text, suffix);
}

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
		spool = new_spool(stacks[i]);
		for (j = 0; j < N_ELEMENTS(sizes); j++) {
			/* NULs and 8 bit included */
			unsigned char *data =
				test_data(TEST_DATA_RANDOM, sizes[j]);

			assert_int_equal(put_bytes(spool, data, sizes[j], &id),
					 IO_DONE);
			must_have(spool, &id, data, sizes[j]);
			free(data);
		}
		assert_int_equal(damaged(spool, NULL), 0);
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
	spool = new_spool(stack);
	assert_int_equal(put_bytes(spool, canary, sizeof(canary) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	assert_int_equal(test_command("grep -rqa 'CANARY-7f3a\\|example.org' "
				      "%s",
				      spool_dir()),
			 1);
	/* without the key: seen, checked, removed, but not read */
	{
		email_message *message;
		char *error;

		spool = spool_open(spool_dir(), 0, NULL, &error);
		assert_non_null(spool);
		assert_int_equal(damaged(spool, NULL), 0);
		assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
		assert_int_equal(io_get_errno(), ENOKEY);
		assert_int_equal(spool_remove(spool, &id), IO_DONE);
		spool_close(&spool);
	}
}

static void test_removed_never_comes_back(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("");
	email_message *message;
	message_id id;
	unsigned int total;

	assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	/* any number of times */
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	spool_close(&spool);
	spool = open_spool(0);
	assert_int_equal(damaged(spool, &total), 0);
	assert_int_equal(total, 0);
	spool_close(&spool);
}

static void test_rewrites(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("zstd");
	email_message *first, *second;
	message_id id;

	assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, &id, &first), IO_DONE);
	assert_int_equal(spool_get(spool, &id, &second), IO_DONE);
	assert_int_equal(email_message_get_version(first), 1);
	(void)email_message_set_recipient_state(
		first, 0, EMAIL_RECIPIENT_DELIVERED, "250 ok");
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, first, 1),
			 IO_DONE);
	/* two writers of one version: the other one is told */
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, second, 0),
			 IO_FAIL);
	assert_non_null(strstr(io_get_error(), "another writer"));
	email_message_unref(&first);
	email_message_unref(&second);
	assert_int_equal(spool_get(spool, &id, &first), IO_DONE);
	assert_int_equal(email_message_get_version(first), 2);
	assert_int_equal(email_message_get_recipient_state(first, 0, NULL),
			 EMAIL_RECIPIENT_DELIVERED);
	email_message_unref(&first);
	must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_an_id_is_stored_once(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("");
	struct istream *input =
		i_stream_create_from_data(wire, sizeof(wire) - 1);
	email_message *again;
	message_id id;

	assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	again = email_message_new(&id);
	email_message_set_body(again, input, 0);
	assert_int_equal(spool_put(spool, again), IO_FAIL);
	email_message_unref(&again);
	i_stream_unref(&input);
	must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

struct scan_result {
	unsigned int count;
	message_id last;
};

static void found(const message_id *id, void *context)
{
	struct scan_result *result = context;

	result->count++;
	result->last = *id;
}

static unsigned int scan(struct spool *spool)
{
	struct scan_result result = { .count = 0 };

	spool_start_scan(spool, found, NULL, &result);
	spool_wait_scan(spool);
	return result.count;
}

static void test_scan_and_what_a_crash_leaves(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("");
	char path[512], other[512];
	message_id ids[6];
	struct stat st;
	unsigned int i;

	for (i = 0; i < 6; i++)
		assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1,
					   &ids[i]),
				 IO_DONE);
	spool_close(&spool);
	/* a body without headers; headers without a body; headers cut, empty,
	   of another message; a temporary file */
	file_of(&ids[0], ".h", path);
	assert_int_equal(unlink(path), 0);
	file_of(&ids[1], ".b", path);
	assert_int_equal(unlink(path), 0);
	file_of(&ids[2], ".h", path);
	assert_int_equal(truncate(path, 40), 0);
	file_of(&ids[3], ".h", path);
	file_of(&ids[4], ".h", other);
	assert_int_equal(test_command("cp %s %s", other, path), 0);
	(void)snprintf(other, sizeof(other), "%s/messages/tmp/.bobbin-tmp-1",
		       spool_dir());
	test_write_file(other, "x", 1);

	spool = open_spool(0);
	assert_int_equal(stat(other, &st), -1);
	assert_int_equal(scan(spool), 2);
	assert_int_equal(scan(spool), 2);
	file_of(&ids[0], ".b", path);
	assert_int_equal(stat(path, &st), -1);
	must_have(spool, &ids[4], wire, sizeof(wire) - 1);
	must_have(spool, &ids[5], wire, sizeof(wire) - 1);
	assert_int_equal(damaged(spool, NULL), 0);
	spool_close(&spool);
	assert_int_equal(test_command("test $(ls %s/quarantine/*.why | wc -l) "
				      "= 3",
				      spool_dir()),
			 0);
}

static void test_damage_is_found(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("gzip");
	char path[512];
	const char *const suffixes[] = { ".h", ".b" };
	message_id id, other;
	buffer_t *file;
	size_t s, at;

	assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &other),
			 IO_DONE);
	for (s = 0; s < 2; s++) {
		file_of(&id, suffixes[s], path);
		file = test_read_file(path);
		for (at = 0; at < file->used; at++) {
			unsigned char *data =
				buffer_get_modifiable_data(file, NULL);

			data[at] ^= 0x10;
			test_write_file(path, data, file->used);
			data[at] ^= 0x10;
			/* byte 9 of a gzip header names a system: nothing
			   depends on it but the body's hash */
			if (damaged(spool, NULL) == 0 &&
			    strcmp(suffixes[s], ".b") == 0)
				fail_msg("%s byte %zu: unnoticed", suffixes[s],
					 at);
			test_write_file(path, data, at);
			if (damaged(spool, NULL) != 1)
				fail_msg("%s cut at %zu: unnoticed",
					 suffixes[s], at);
		}
		test_write_file(path, file->data, file->used);
		assert_int_equal(damaged(spool, NULL), 0);
		buffer_free(&file);
	}
	must_have(spool, &other, wire, sizeof(wire) - 1);
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
	struct spool *spool = new_spool("zstd");
	email_message *message;
	unsigned int n, hit, stored = 0, total;
	message_id id;
	size_t i, j;
	int answer;

	for (i = 0; i < N_ELEMENTS(ops); i++) {
		for (j = 0; j < N_ELEMENTS(errors); j++) {
			for (n = 1, hit = 1; hit >= n; n++) {
				test_faults_begin();
				test_faults.fail_at[ops[i]] = n;
				test_faults.fail_errno[ops[i]] = errors[j];
				answer = put_bytes(spool, wire,
						   sizeof(wire) - 1, &id);
				hit = test_faults.calls[ops[i]];
				test_faults_end();
				if (answer == IO_DONE) {
					must_have(spool, &id, wire,
						  sizeof(wire) - 1);
					stored++;
					continue;
				}
				assert_true(*io_get_error() != '\0');
				/* told "no": a later read may find it whole
				   (the name was there already), never in
				   part */
				if (spool_get(spool, &id, &message) ==
				    IO_DONE) {
					email_message_unref(&message);
					must_have(spool, &id, wire,
						  sizeof(wire) - 1);
					assert_int_equal(spool_remove(spool,
								      &id),
							 IO_DONE);
				}
			}
		}
	}
	spool_close(&spool);
	spool = open_spool(0);
	assert_int_equal(scan(spool), stored);
	assert_int_equal(damaged(spool, &total), 0);
	assert_int_equal(total, stored);
	spool_close(&spool);
	assert_int_equal(test_command("test -z \"$(ls -A %s/messages/tmp)\"",
				      spool_dir()),
			 0);
}

static void test_interrupted_and_short_calls(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("zstd");
	message_id id;

	test_faults_begin();
	test_faults.eintr = true;
	test_faults.max_write = 7;
	test_faults.max_read = 3;
	assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	must_have(spool, &id, wire, sizeof(wire) - 1);
	test_faults_end();
	must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

static void test_order_of_syncs(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("");
	message_id id;

	test_faults_begin();
	assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &id),
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
	struct spool *spool = new_spool(""), *second;
	char *error, pid[32];
	message_id id;

	second = spool_open(spool_dir(), 0, NULL, &error);
	assert_null(second);
	assert_int_equal(errno, EBUSY);
	(void)snprintf(pid, sizeof(pid), "pid %ld", (long)getpid());
	assert_non_null(strstr(error, pid));
	free(error);
	/* looking is free */
	second = open_spool(SPOOL_OPEN_READ_ONLY);
	assert_int_equal(put_bytes(second, wire, sizeof(wire) - 1, &id),
			 IO_FAIL);
	spool_close(&second);
	spool_close(&spool);
	spool = open_spool(0);
	spool_close(&spool);
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

		spool_number++;
		assert_int_equal(spool_init(spool_dir(), &settings, &error),
				 -1);
		if (strstr(error, bad[i].error) == NULL)
			fail_msg("%s", error);
		free(error);
		/* nothing is left of it */
		assert_int_equal(stat(spool_dir(), &st), -1);
	}
	init_spool("");
	(void)snprintf(path, sizeof(path), "%s/spool.conf", spool_dir());
	test_write_file(path, "version = 2\nstore = file\n", 25);
	spool = spool_open(spool_dir(), 0, NULL, &error);
	assert_null(spool);
	assert_int_equal(errno, ENOTSUP);
	assert_non_null(strstr(error, "newer version"));
	free(error);
	spool = spool_open(test_path("nowhere"), 0, NULL, &error);
	assert_null(spool);
	assert_int_equal(errno, ENOENT);
	free(error);
}

static void test_links_and_devices_are_refused(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("");
	email_message *message;
	char path[512];
	message_id id;

	assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	file_of(&id, ".b", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(spool_get(spool, &id, &message), IO_FAIL);
	assert_int_equal(damaged(spool, NULL), 1);
	spool_close(&spool);
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
		if (put_bytes(spool, wire, sizeof(wire) - 1, &id) != IO_DONE)
			return spool;
		if (i % 5 == 4 && spool_remove(spool, &id) != IO_DONE)
			return spool;
	}
	return NULL;
}

static void test_scan_while_writers_work(void **state ATTR_UNUSED)
{
	struct spool *spool = new_spool("zstd");
	pthread_t threads[WRITERS];
	unsigned int i, total;
	message_id id;
	void *result;

	for (i = 0; i < 30; i++)
		assert_int_equal(put_bytes(spool, wire, sizeof(wire) - 1, &id),
				 IO_DONE);
	spool_close(&spool);
	spool = open_spool(0);
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
	assert_int_equal(damaged(spool, &total), 0);
	assert_int_equal(total, 30 + WRITERS * EACH * 4 / 5);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_form_comes_back),
		cmocka_unit_test(test_no_plain_text_on_the_disk),
		cmocka_unit_test(test_removed_never_comes_back),
		cmocka_unit_test(test_rewrites),
		cmocka_unit_test(test_an_id_is_stored_once),
		cmocka_unit_test(test_scan_and_what_a_crash_leaves),
		cmocka_unit_test(test_damage_is_found),
		cmocka_unit_test(test_every_failing_call),
		cmocka_unit_test(test_interrupted_and_short_calls),
		cmocka_unit_test(test_order_of_syncs),
		cmocka_unit_test(test_one_owner),
		cmocka_unit_test(test_settings_and_versions),
		cmocka_unit_test(test_links_and_devices_are_refused),
		cmocka_unit_test(test_scan_while_writers_work),
	};

	return cmocka_run_group_tests_name("module-file", tests, setup,
					   teardown);
}
