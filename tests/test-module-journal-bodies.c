/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A body is stored by the headers that come after it, and by no others, whoever else writes
   one for the message. */

#include "config.h"
#include "istream.h"
#include "mem.h"
#include "module-journal-private.h"
#include "spool-private.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char wire[] = TEST_SPOOL_WIRE;

static void put_and_get_twice(struct spool *spool, message_id *id_r,
			      email_message **a_r, email_message **b_r)
{
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id_r),
			 IO_DONE);
	assert_int_equal(spool_get(spool, id_r, a_r), IO_DONE);
	assert_int_equal(spool_get(spool, id_r, b_r), IO_DONE);
}

static void test_the_last_rewrite_wins(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "gzip");
	email_message *first, *second;
	message_id id;

	put_and_get_twice(spool, &id, &first, &second);
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
	test_spool_set_body(first, "another\r\n.\r\n", 12);
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
	test_spool_set_body(message, wire, sizeof(wire) - 1);
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

/* Two have read a message, and one of them has written another body for it, which it never
   follows by headers, or too late: the other one's headers are not that body's. */
static void test_nobody_stores_the_body_of_another(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *late, *other;
	message_id id;

	put_and_get_twice(spool, &id, &late, &other);
	test_spool_set_body(late, "another\r\n.\r\n", 12);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, late, 0),
			 IO_DONE);
	assert_int_equal(email_message_set_recipient_state(
				 other, 0, EMAIL_RECIPIENT_DELIVERED, ""),
			 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, other, 0),
			 IO_DONE);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, late, 0),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EBUSY);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	/* and the one that goes on with its own has it, also after a reading */
	test_spool_set_body(other, "third\r\n.\r\n", 10);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, other, 0),
			 IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, other, 0),
			 IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, other, 0),
			 IO_DONE);
	test_spool_must_have(spool, &id, "third\r\n.\r\n", 10);
	email_message_unref(&late);
	email_message_unref(&other);
	spool_close(&spool);
}

/* Of two that wrote a body each for one message the first one's is gone: its headers alone
   would be those of a body that is not theirs. */
static void test_of_two_bodies_the_last_one_waits(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *first, *second;
	message_id id;

	put_and_get_twice(spool, &id, &first, &second);
	test_spool_set_body(first, "1\r\n.\r\n", 6);
	test_spool_set_body(second, "2\r\n.\r\n", 6);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, first, 0),
			 IO_DONE);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, second, 0),
			 IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, first, 0),
			 IO_FAIL);
	assert_int_equal(io_get_errno(), EBUSY);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, second, 0),
			 IO_DONE);
	test_spool_must_have(spool, &id, "2\r\n.\r\n", 6);
	email_message_unref(&first);
	email_message_unref(&second);
	spool_close(&spool);
}

/* What is never to be stored has no memory, and no file. */
static void test_bodies_that_are_out_of_date_go(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *late, *other;
	message_id id;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		put_and_get_twice(spool, &id, &late, &other);
		test_spool_set_body(late, data, TEST_SPOOL_LARGE);
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, late,
						 0),
				 IO_DONE);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 1);
		assert_int_equal(
			i == 0 ? spool_unlinkheaders(spool, IO_SYNCHRONOUS,
						     &id) :
				 spool_writeheaders(spool, IO_SYNCHRONOUS,
						    other, 0),
			IO_DONE);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 0);
		/* written even later, and refused with its headers */
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, late,
						 0),
				 IO_DONE);
		assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, late,
						    0),
				 IO_FAIL);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 0);
		email_message_unref(&late);
		email_message_unref(&other);
	}
	spool_close(&spool);
	free(data);
}

/* An empty body that waits for its headers. */
static void make_pending(struct journal_store *store, const message_id *id,
			 uint64_t number, uint64_t version)
{
	struct journal_pending *pending = i_new(struct journal_pending, 1);

	pending->id = *id;
	pending->number = number;
	pending->version = version;
	pending->data = buffer_create_dynamic(default_pool, 16);
	journal_pending_put(store, pending);
}

/* Whose headers fail puts its body back: where another one wrote a newer body meanwhile, that
   one goes on waiting. */
static void test_a_body_that_is_put_back(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	struct journal_store *store = journal_store(spool->store);
	struct journal_pending *pending;
	message_id id;
	uint64_t number;

	memset(&id, 1, sizeof(id));
	for (number = 2; number > 0; number--)
		make_pending(store, &id, number, 0);
	assert_null(journal_pending_take(store, &id, 1));
	pending = journal_pending_take(store, &id, 2);
	assert_non_null(pending);
	journal_pending_free(store, &pending);
	assert_null(journal_pending_take(store, &id, 0));
	spool_close(&spool);
}

/* A body that comes in parts is in memory until it is too large for that. What it had there
   others may have. */
static void test_memory_of_bodies_is_given_back(void **state ATTR_UNUSED)
{
	static const struct {
		size_t size, waiting;
	} rows[] = { { TEST_SPOOL_LARGE, 0 }, { 20000, 20000 } };
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct journal_store *store = journal_store(spool->store);
	email_message *message;
	struct istream *input;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_write_file(test_path("body"), data, rows[i].size);
		spool_new_id(spool, &id);
		message = email_message_new(&id);
		input = i_stream_create_file(test_path("body"), 1000);
		email_message_set_body(message, input, 0);
		i_stream_unref(&input);
		assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message,
						 0),
				 IO_DONE);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 i == 0);
		assert_int_equal(atomic_load(&store->pending_size),
				 rows[i].waiting);
		assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id),
				 IO_DONE);
		assert_int_equal(atomic_load(&store->pending_size), 0);
		email_message_unref(&message);
		assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count,
				 0);
	}
	spool_close(&spool);
	free(data);
}

/* A change is told of after others can write again: a body of the version that it made, or
   of the message that comes behind its removal, is none that it puts an end to. */
static void test_bodies_of_what_is_stored_now_wait(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t waiting, stored;
		bool removed, stays;
	} rows[] = {
		{ 1, 2, false, false }, { 2, 2, false, true },
		{ 3, 2, false, true },  { 0, 2, true, true },
		{ 2, 2, true, false },
	};
	struct spool *spool = test_spool_new_of("journal", "");
	struct journal_store *store = journal_store(spool->store);
	struct journal_pending *pending;
	message_id id;
	size_t i;

	memset(&id, 1, sizeof(id));
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make_pending(store, &id, 0, rows[i].waiting);
		journal_pending_outdate(store, &id, rows[i].stored,
					rows[i].removed);
		pending = journal_pending_take(store, &id, 0);
		assert_int_equal(pending != NULL, rows[i].stays);
		journal_pending_free(store, &pending);
	}
	spool_close(&spool);
}

/* Of a new message: what another one does while its body is read. */
static struct {
	struct spool *spool;
	message_id id;
	bool done;
} meanwhile;

static bool put_meanwhile(buffer_t *out, void *context ATTR_UNUSED)
{
	if (meanwhile.done)
		return false;
	meanwhile.done = true;
	assert_int_equal(test_spool_put_as(meanwhile.spool, wire,
					   sizeof(wire) - 1, &meanwhile.id),
			 IO_DONE);
	buffer_append(out, "late\r\n.\r\n", 9);
	return true;
}

/* Nor does one of another spool's, which goes on counting there, take the place of one that
   has the version before. */
static void test_one_id_comes_twice_at_once(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message;
	struct istream *input;
	uint64_t version;

	meanwhile.spool = spool;
	for (version = 1; version <= 2; version++) {
		meanwhile.done = false;
		spool_new_id(spool, &meanwhile.id);
		message = email_message_new(&meanwhile.id);
		assert_int_equal(
			email_message_set_first_version(message, version), 0);
		input = i_stream_create_callback(put_meanwhile, NULL);
		email_message_set_body(message, input, 0);
		i_stream_unref(&input);
		assert_int_equal(spool_put(spool, message), IO_FAIL);
		assert_int_equal(io_get_errno(), EEXIST);
		email_message_unref(&message);
		test_spool_must_have(spool, &meanwhile.id, wire,
				     sizeof(wire) - 1);
	}
	spool_close(&spool);
}

/* A body that waits to replace one that is stored can be given up, and that one stays. */
static void test_another_body_is_given_up(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message;
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	test_spool_set_body(message, "another\r\n.\r\n", 12);
	assert_int_equal(spool_writebody(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(spool_unlinkbody(spool, IO_SYNCHRONOUS, &id), IO_DONE);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_FAIL);
	email_message_unref(&message);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_rewrite_wins),
		cmocka_unit_test(test_headers_need_their_body),
		cmocka_unit_test(test_nobody_stores_the_body_of_another),
		cmocka_unit_test(test_of_two_bodies_the_last_one_waits),
		cmocka_unit_test(test_bodies_that_are_out_of_date_go),
		cmocka_unit_test(test_a_body_that_is_put_back),
		cmocka_unit_test(test_memory_of_bodies_is_given_back),
		cmocka_unit_test(test_bodies_of_what_is_stored_now_wait),
		cmocka_unit_test(test_one_id_comes_twice_at_once),
		cmocka_unit_test(test_another_body_is_given_up),
		cmocka_unit_test(test_a_body_stays_while_headers_are_there),
	};

	return cmocka_run_group_tests_name("module-journal-bodies", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
