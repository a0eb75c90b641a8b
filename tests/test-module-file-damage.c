/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: what a start, a scan, a repair and verify find of what a crash left, or a
   disk damaged (the numbers are the invariants of doc/spool-format.md). */

#include "config.h"
#include "istream.h"
#include "spool.h"
#include "test-spool-common.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

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
	assert_int_equal(test_spool_scan_again(&spool), 2);
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
			   depends on it but the hash, or checksum */
			if (test_spool_damaged(spool, NULL) == 0)
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
	assert_int_equal(test_spool_scan_again(&spool), 2);
	assert_int_equal(test_spool_damaged(spool, NULL), 1);
	spool_close(&spool);

	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	assert_int_equal(test_spool_scan(spool), 1);
	assert_int_equal(test_spool_scan_again(&spool), 1);
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
	static const char *const stacks[] = { "", "lz4", TEST_SPOOL_ZSTD,
					      "deflate", "hex" };
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

/* Opens it, scans while this fails, and then once more: each is found once. */
static unsigned int scan_twice(unsigned int flags, enum test_op op,
			       unsigned int n, unsigned int *hit_r)
{
	struct spool *spool = test_spool_open(flags);
	unsigned int found;

	test_faults_begin();
	test_faults.fail_at[op] = n;
	test_faults.fail_errno[op] = EIO;
	found = test_spool_scan(spool);
	*hit_r = test_faults.calls[op];
	test_faults_end();
	found += test_spool_scan(spool);
	assert_int_equal(test_spool_scan(spool), 0);
	spool_close(&spool);
	return found;
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
	spool_close(&spool);
	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit)
			assert_int_equal(scan_twice(0, ops[i], n, &hit), 5);
	}
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
	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit)
			assert_int_equal(scan_twice(SPOOL_OPEN_REPAIR, ops[i],
						    n, &hit),
					 1);
	}
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
}

static void put_more(const message_id *id ATTR_UNUSED, void *context)
{
	struct spool *spool = ((void **)context)[0];
	unsigned int *count = ((void **)context)[1], i;
	message_id other;

	if (++*count > 1)
		return;
	for (i = 0; i < 100; i++) {
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&other),
				 IO_DONE);
		/* also where he changed it since */
		if (i % 2 != 0)
			test_spool_change_body(spool, &other, ".\r\n", 3);
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
	spool_close(&spool);
	context[0] = spool = test_spool_open(0);
	spool_start_scan(spool, put_more, NULL, context);
	spool_wait_scan(spool);
	assert_int_equal(count, 1);
	assert_int_equal(test_spool_scan_again(&spool), 101);
	spool_close(&spool);
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
#define BEFORE 30

/* How often which of those of before was handed out, and others. */
struct handed_out {
	message_id ids[BEFORE];
	unsigned int times[BEFORE], others;
};

static void count_found(const message_id *id, void *context)
{
	struct handed_out *handed_out = context;
	unsigned int i = 0;

	while (i < BEFORE && message_id_cmp(&handed_out->ids[i], id) != 0)
		i++;
	if (i < BEFORE)
		handed_out->times[i]++;
	else
		handed_out->others++;
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
	struct spool *spool = test_spool_new(TEST_SPOOL_ZSTD);
	struct handed_out handed_out = { .others = 0 };
	pthread_t threads[WRITERS];
	unsigned int i, total;
	void *result;

	for (i = 0; i < BEFORE; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&handed_out.ids[i]),
				 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(0);
	for (i = 0; i < WRITERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, writer, spool), 0);
	spool_start_scan(spool, count_found, NULL, &handed_out);
	for (i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_null(result);
	}
	spool_wait_scan(spool);
	/* those of before, each once, and nothing that is new */
	for (i = 0; i < BEFORE; i++)
		assert_int_equal(handed_out.times[i], 1);
	assert_int_equal(handed_out.others, 0);
	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, BEFORE + WRITERS * EACH * 4 / 5);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scan_and_what_a_crash_leaves),
		cmocka_unit_test(test_damage_is_found),
		cmocka_unit_test(test_repair_looks_behind_the_first_line),
		cmocka_unit_test(test_damaged_bodies_do_not_end_well),
		cmocka_unit_test(test_a_damaged_body_is_named),
		cmocka_unit_test(test_transient_errors_of_a_scan),
		cmocka_unit_test(test_repair_of_what_cannot_be_read_now),
		cmocka_unit_test(test_scan_leaves_out_what_is_new),
		cmocka_unit_test(test_links_and_devices_are_refused),
		cmocka_unit_test(test_links_to_directories_are_refused),
		cmocka_unit_test(test_scan_while_writers_work),
	};

	return cmocka_run_group_tests_name("module-file-damage", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
