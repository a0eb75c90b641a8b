/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A scan hands out each message that was there when the spool was opened, once, and none
   that this process has stored: whatever is stored while it runs, before it, or behind
   it. */

#include "config.h"
#include "istream.h"
#include "macros.h"
#include "module-file-private.h"
#include "test-faults.h"
#include "test-mem-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

static const char *const stores[] = { "file", "journal" };

#define MESSAGES 20

/* So many were there when it was opened. */
static struct spool *open_with(const char *store, message_id *ids,
			       unsigned int count)
{
	struct spool *spool = test_spool_new_of(store, "");

	test_spool_put_many(spool, ids, count);
	spool_close(&spool);
	return test_spool_open(0);
}

static void change(struct spool *spool, const message_id *id)
{
	test_spool_change_body(spool, id, ".\r\n", 3);
}

static void test_own_messages_are_known(void **state ATTR_UNUSED)
{
	message_id old[MESSAGES], own[MESSAGES];
	struct spool *spool;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		spool = open_with(stores[i], old, MESSAGES);
		test_spool_put_many(spool, own, MESSAGES);
		/* whoever changes them */
		change(spool, &own[0]);
		change(spool, &old[0]);
		assert_int_equal(test_spool_scan(spool), MESSAGES);
		/* nor are they there for another one */
		assert_int_equal(test_spool_scan(spool), 0);
		test_spool_put_many(spool, own, 1);
		assert_int_equal(test_spool_scan(spool), 0);
		assert_int_equal(test_spool_scan_again(&spool),
				 2 * MESSAGES + 1);
		spool_close(&spool);
	}
}

/* What was told "no" is no message, and the one that has its id goes on to be one. */
static void test_an_id_that_is_in_use(void **state ATTR_UNUSED)
{
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		spool = open_with(stores[i], &id, 1);
		assert_int_equal(test_spool_put_as(spool, wire,
						   sizeof(wire) - 1, &id),
				 IO_FAIL);
		assert_int_equal(io_get_errno(), EEXIST);
		assert_int_equal(test_spool_scan(spool), 1);
		assert_int_equal(test_spool_put_as(spool, wire,
						   sizeof(wire) - 1, &id),
				 IO_FAIL);
		assert_int_equal(test_spool_scan(spool), 0);
		spool_close(&spool);
	}
}

static email_message *message_of(const message_id *id)
{
	email_message *message = email_message_new(id);

	assert_int_equal(email_message_add_recipient(message, "a@example.org"),
			 0);
	return message;
}

/* Two of this process, and the second one comes between the first one's body and
   headers. */
static void test_two_of_one_id(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("file", "");
	email_message *first, *second;
	message_id id;

	spool_new_id(spool, &id);
	first = message_of(&id);
	second = message_of(&id);
	assert_int_equal(test_spool_write_body(spool, first, wire), IO_DONE);
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_DONE);
	assert_int_equal(test_spool_write_body(spool, second, wire), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, second), IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, first), IO_FAIL);
	assert_int_equal(io_get_errno(), EEXIST);
	assert_int_equal(test_spool_scan(spool), 0);
	email_message_unref(&first);
	email_message_unref(&second);
	spool_close(&spool);
}

static void test_an_id_that_was_in_use(void **state ATTR_UNUSED)
{
	struct spool *spool;
	message_id ids[2];
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		spool = open_with(stores[i], ids, 2);
		assert_int_equal(spool_remove(spool, &ids[0]), IO_DONE);
		assert_int_equal(test_spool_put_as(spool, wire,
						   sizeof(wire) - 1, &ids[0]),
				 IO_DONE);
		assert_int_equal(test_spool_scan(spool), 1);
		spool_close(&spool);
	}
}

/*
 * A reader
 */

static unsigned int warnings;

static void count_warning(const char *text ATTR_UNUSED,
			  void *context ATTR_UNUSED)
{
	warnings++;
}

/* How many it finds. */
static unsigned int read_and_scan(unsigned int flags)
{
	struct spool *reader = test_spool_open(SPOOL_OPEN_READ_ONLY | flags);
	unsigned int found;

	warnings = 0;
	spool_set_warning_callback(reader, count_warning, NULL);
	found = test_spool_scan(reader);
	spool_close(&reader);
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
	return found;
}

/* The owner is at a message, whose body waits for its headers. */
static void test_a_reader_and_the_owner(void **state ATTR_UNUSED)
{
	email_message *message;
	struct spool *spool;
	message_id id, new;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		spool = open_with(stores[i], &id, 1);
		spool_new_id(spool, &new);
		message = message_of(&new);
		assert_int_equal(test_spool_write_body(spool, message, wire),
				 IO_DONE);
		assert_int_equal(read_and_scan(0), 1);
		assert_int_equal(test_spool_write_headers(spool, message),
				 IO_DONE);
		/* and another body of it */
		assert_int_equal(test_spool_write_body(spool, message, ".\r\n"),
				 IO_DONE);
		assert_int_equal(read_and_scan(0), 2);
		assert_int_equal(read_and_scan(SPOOL_OPEN_REPAIR), 2);
		assert_int_equal(test_spool_write_headers(spool, message),
				 IO_DONE);
		email_message_unref(&message);
		spool_close(&spool);
	}
}

/* What is damaged is left out, and to the owner. */
static void test_a_reader_and_damage(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	char path[512];
	struct spool *spool;
	message_id id;

	spool = open_with("file", &id, 1);
	test_spool_file(&id, ".h", path);
	assert_int_equal(truncate(path, 30), 0);
	assert_int_equal(read_and_scan(0), 0);
	assert_int_equal(warnings, 1);
	assert_int_equal(test_spool_count_files(&id), 2);
	spool_close(&spool);

	/* a body in a file */
	spool = test_spool_new_of("journal", "");
	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	spool_close(&spool);
	assert_int_equal(unlink(test_spool_files_in(TEST_SPOOL_BODIES).path),
			 0);
	assert_int_equal(read_and_scan(0), 0);
	assert_int_equal(warnings, 1);
	assert_int_equal(read_and_scan(SPOOL_OPEN_REPAIR), 0);
	free(data);
}

/*
 * What the file store keeps for it
 */

static const struct file_known *known(const struct spool *spool)
{
	return &container_of(spool->store, struct file_store, io)->known;
}

/* Only of what is there, and only until a scan has gone through all. */
static void test_what_is_kept(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("file", "");
	message_id ids[MESSAGES], id;

	test_spool_put_many(spool, ids, MESSAGES);
	assert_int_equal(known(spool)->count, MESSAGES);
	assert_int_equal(spool_remove(spool, &ids[0]), IO_DONE);
	/* whatever was not there */
	spool_new_id(spool, &id);
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
	assert_int_equal(known(spool)->count, MESSAGES - 1);
	assert_int_equal(test_spool_scan(spool), 0);
	assert_int_equal(known(spool)->count, 0);
	test_spool_put_many(spool, ids, MESSAGES);
	assert_int_equal(known(spool)->count, 0);
	spool_close(&spool);
}

/* Of what could not be stored nothing is kept. */
static void test_what_is_not_stored(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("file", "");
	unsigned int n, hit;
	message_id id;

	TEST_EACH_CALL(n, hit) {
		bool stored;

		test_faults_begin();
		test_faults.fail_at[TEST_OP_RENAME] = n;
		test_faults.fail_errno[TEST_OP_RENAME] = ENOSPC;
		stored = test_spool_put(spool, wire, sizeof(wire) - 1, &id) ==
			IO_DONE;
		hit = test_faults.calls[TEST_OP_RENAME];
		test_faults_end();
		assert_int_equal(known(spool)->count, stored);
		if (stored)
			assert_int_equal(spool_remove(spool, &id), IO_DONE);
	}
	spool_close(&spool);
}

/* It is stored, as it was. */
static void test_what_is_not_rewritten(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("file", "");
	email_message *message = test_spool_put_to(spool, 1);
	message_id id = message->message_id;

	email_message_unref(&message);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_RENAME] = 1;
	test_faults.fail_errno[TEST_OP_RENAME] = ENOSPC;
	assert_int_equal(test_spool_write_headers(spool, message),
			 IO_TRANS_FAIL);
	test_faults_end();
	assert_int_equal(test_spool_scan(spool), 0);
	email_message_unref(&message);
	spool_close(&spool);
}

/* Rather not stored than found: whoever put it knows of it, or was told "no". */
static void test_without_memory(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("file", "");
	unsigned int n, hit;
	message_id id;

	TEST_EACH_CALL(n, hit) {
		test_mem_faults_begin(n, false);
		(void)test_spool_put(spool, wire, sizeof(wire) - 1, &id);
		hit = test_mem_faults_end();
		assert_int_equal(test_spool_scan(spool), 0);
		spool_close(&spool);
		spool = test_spool_open(0);
		(void)spool_remove(spool, &id);
	}
	spool_close(&spool);
}

/* Ids of other programs, too, whichever of their bytes they differ in. */
static message_id id_of(unsigned int i)
{
	message_id id;

	memset(&id, 0, sizeof(id));
	id.bytes[i % 15] = (unsigned char)(i >> 8);
	id.bytes[i % 15 + 1] = (unsigned char)i;
	return id;
}

static void test_many_are_known(void **state ATTR_UNUSED)
{
	const unsigned int many = 5000;
	struct spool *spool = test_spool_new_of("file", "");
	struct file_store *store =
		container_of(spool->store, struct file_store, io);
	message_id id;
	unsigned int i;

	for (i = 0; i < many; i++) {
		id = id_of(i);
		assert_false(file_is_known(store, &id));
		assert_int_equal(file_known_add(store, &id), 1);
		assert_int_equal(file_known_add(store, &id), 0);
	}
	assert_int_equal(store->known.count, many);
	/* as many chains, so that each is short */
	assert_true(store->known.chain_count >= many);
	for (i = 0; i < many; i += 3) {
		id = id_of(i);
		file_known_drop(store, &id);
		file_known_drop(store, &id);
	}
	for (i = 0; i < many; i++) {
		id = id_of(i);
		if (file_is_known(store, &id) != (i % 3 != 0))
			fail_msg("id %u", i);
	}
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_messages_are_known),
		cmocka_unit_test(test_an_id_that_is_in_use),
		cmocka_unit_test(test_two_of_one_id),
		cmocka_unit_test(test_an_id_that_was_in_use),
		cmocka_unit_test(test_a_reader_and_the_owner),
		cmocka_unit_test(test_a_reader_and_damage),
		cmocka_unit_test(test_what_is_kept),
		cmocka_unit_test(test_what_is_not_stored),
		cmocka_unit_test(test_what_is_not_rewritten),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_many_are_known),
	};

	return cmocka_run_group_tests_name("spool-scan-once", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
