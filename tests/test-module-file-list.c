/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What spool_list(), spool_verify() and spool_count_strays() tell of the file store: which
   messages there are, and what belongs to none. The problems of one that is there are in
   test-module-file-problems. */

#include "config.h"
#include "file-ops.h"
#include "spool.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

static bool look_at_one(const struct spool_entry *entry, void *context)
{
	assert_true(message_id_cmp(&entry->id, context) == 0);
	assert_int_equal(entry->version, 2);
	assert_int_equal(entry->body_len, sizeof(wire) - 1);
	assert_string_equal(entry->headers_stack, "lz4");
	assert_string_equal(entry->body_stack, "gzip");
	assert_int_equal(entry->error, 0);
	return true;
}

/* What its line says. */
static void test_what_is_listed(void **state ATTR_UNUSED)
{
	email_message *message;
	struct spool *spool;
	message_id id;
	char *error;

	test_spool_init("gzip");
	assert_int_equal(test_command("sed -i 's/^headers = .*/headers = lz4/' "
				      "%s/spool.conf",
				      test_spool_dir()),
			 0);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
	assert_int_equal(spool_list(spool, look_at_one, &id, &error), 0);
	assert_int_equal(spool_verify(spool, look_at_one, &id, &error), 0);
	spool_close(&spool);
}

struct listed {
	unsigned int count, most;
	uint64_t size;
};

static bool count_some(const struct spool_entry *entry, void *context)
{
	struct listed *listed = context;

	listed->size += entry->stored_size;
	return ++listed->count < listed->most;
}

/* In one bucket and in others: as many as one wants, and what they take. */
static void test_a_list_ends_early(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct listed listed = { 0, 100, 0 };
	uint64_t size = 0;
	char path[512], *error;
	struct stat st;
	message_id id;
	unsigned int i, most;

	spool_new_id(spool, &id);
	for (i = 0; i < 6; i++) {
		id.bytes[i % 2 == 0 ? 8 : 15] ^= 1;
		assert_int_equal(test_spool_put_as(spool, wire,
						   sizeof(wire) - 1, &id),
				 IO_DONE);
		test_spool_file(&id, ".h", path);
		assert_int_equal(stat(path, &st), 0);
		size += (uint64_t)st.st_size + sizeof(wire) - 1;
		if (i == 3)
			id.bytes[9] ^= 1;
	}
	assert_int_equal(spool_list(spool, count_some, &listed, &error), 0);
	assert_int_equal(listed.count, 6);
	assert_int_equal(listed.size, size);
	for (most = 1; most < 6; most++) {
		listed.count = 0;
		listed.most = most;
		assert_int_equal(spool_list(spool, count_some, &listed, &error),
				 0);
		assert_int_equal(listed.count, most);
	}
	spool_close(&spool);
}

/* One directory cannot be read: the others' messages are told, and that it is not all. */
static void test_a_directory_that_cannot_be_read(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct listed listed = { 0, 100, 0 };
	message_id id;
	unsigned int i;
	char *error;

	spool_new_id(spool, &id);
	for (i = 0; i < 4; i++) {
		id.bytes[15]++;
		assert_int_equal(test_spool_put_as(spool, wire,
						   sizeof(wire) - 1, &id),
				 IO_DONE);
	}
	test_faults_begin();
	/* after that of all buckets */
	test_faults.fail_at[TEST_OP_OPENDIR] = 2;
	test_faults.fail_errno[TEST_OP_OPENDIR] = EIO;
	assert_int_equal(spool_list(spool, count_some, &listed, &error), -1);
	assert_int_equal(errno, EIO);
	test_faults_end();
	free(error);
	assert_int_equal(listed.count, 3);
	spool_close(&spool);
}

/* What is no directory, and has the name of one, is told by its name. */
static void test_a_file_that_is_called_so(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct listed listed = { 0, 100, 0 };
	char path[512], *error;

	(void)snprintf(path, sizeof(path), "%s/messages/zz", test_spool_dir());
	test_write_file(path, "x", 1);
	assert_int_equal(spool_list(spool, count_some, &listed, &error), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_non_null(strstr(error, path));
	free(error);
	spool_close(&spool);
}

/* That is no damage to who reads beside the writer. */
static void test_removed_under_a_reader(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new(""), *reader;
	unsigned int i, total;
	message_id id;

	reader = test_spool_open(SPOOL_OPEN_READ_ONLY);
	for (i = 0; i < 2; i++) {
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_DONE);
		test_spool_remove_when_opened(spool, &id);
		if (i == 0)
			assert_int_equal(test_spool_read(reader, &id, 0, NULL),
					 ENOENT);
		else
			assert_int_equal(test_spool_damaged(reader, &total), 0);
		test_spool_must_be_removed();
	}
	assert_int_equal(total, 0);
	spool_close(&reader);
	spool_close(&spool);
}

static void test_strays_are_counted(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPENDIR, TEST_OP_READDIR };
	struct spool *spool = test_spool_new(""), *looking;
	char path[512], other[512], *error;
	struct spool_strays strays;
	email_message *message;
	message_id ids[3], id;
	unsigned int i, n, hit;
	int ret;

	for (i = 0; i < 3; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&ids[i]),
				 IO_DONE);
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.bodies + strays.temporary + strays.bytes, 0);
	spool_close(&spool);
	/* headers gone; a body beside the one that its headers speak of */
	test_spool_file(&ids[0], ".h", path);
	assert_int_equal(unlink(path), 0);
	test_spool_file(&ids[1], ".0123456789abcdef.b", path);
	test_write_file(path, "xyz", 3);
	(void)snprintf(other, sizeof(other), "%s/messages/tmp/.bobbin-tmp-1",
		       test_spool_dir());
	test_write_file(other, "x", 1);
	looking = test_spool_open(SPOOL_OPEN_READ_ONLY);
	/* one that cannot be counted is not taken for none */
	for (i = 0; i < N_ELEMENTS(ops); i++) {
		TEST_EACH_CALL(n, hit) {
			test_faults_begin();
			test_faults.fail_at[ops[i]] = n;
			test_faults.fail_errno[ops[i]] = EIO;
			ret = spool_count_strays(looking, &strays, &error);
			hit = test_faults.calls[ops[i]];
			test_faults_end();
			assert_int_equal(ret, n <= hit ? -1 : 0);
			if (ret < 0)
				free(error);
		}
	}
	test_spool_count_strays(looking, &strays);
	assert_int_equal(strays.bodies, 2);
	assert_int_equal(strays.temporary, 1);
	assert_int_equal(strays.bytes, sizeof(wire) - 1 + 3 + 1);
	assert_int_equal(strays.quarantined, 0);
	spool = test_spool_open(0);
	test_spool_count_strays(looking, &strays);
	assert_int_equal(strays.temporary, 0);
	assert_int_equal(test_spool_scan(spool), 2);
	test_spool_count_strays(looking, &strays);
	assert_int_equal(strays.bodies + strays.bytes, 0);
	/* a body that waits for its headers is one to others alone */
	spool_new_id(spool, &id);
	message = email_message_new(&id);
	test_spool_set_body(message, wire, sizeof(wire) - 1);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.bodies, 0);
	test_spool_count_strays(looking, &strays);
	assert_int_equal(strays.bodies, 1);
	email_message_unref(&message);
	spool_close(&looking);
	spool_close(&spool);
}

/* What headers that cannot be read speak of is none; those beside it are counted. */
static void test_strays_beside_damaged_headers(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new("");
	struct spool_strays strays;
	char path[512];
	message_id id;
	unsigned int i;

	spool_new_id(spool, &id);
	for (i = 0; i < 20; i++) {
		id.bytes[15]++;
		assert_int_equal(test_spool_put_as(spool, wire,
						   sizeof(wire) - 1, &id),
				 IO_DONE);
		test_spool_file(&id, ".h", path);
		/* in whatever order they are met, not all of these are the last */
		if (i % 4 == 0)
			test_flip(path, 10);
		else
			assert_int_equal(unlink(path), 0);
	}
	test_spool_count_strays(spool, &strays);
	assert_int_equal(strays.bodies, 15);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_listed),
		cmocka_unit_test(test_a_list_ends_early),
		cmocka_unit_test(test_a_directory_that_cannot_be_read),
		cmocka_unit_test(test_a_file_that_is_called_so),
		cmocka_unit_test(test_removed_under_a_reader),
		cmocka_unit_test(test_strays_are_counted),
		cmocka_unit_test(test_strays_beside_damaged_headers),
	};

	return cmocka_run_group_tests_name("module-file-list", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
