/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a message may be given, at its limits: every store gives it back, or refuses
   it, and moves it as it is. */

#include "config.h"
#include "istream.h"
#include "test-migrate-common.h"

#include <errno.h>

static const char wire[] = TEST_SPOOL_WIRE;

/* A message of this id whose versions begin with `first`. */
static email_message *new_message(const message_id *id, uint64_t first)
{
	email_message *message = email_message_new(id);

	assert_int_equal(email_message_set_first_version(message, first), 0);
	assert_int_equal(email_message_set_sender(message, "a@example.org"), 0);
	assert_int_equal(email_message_add_recipient(message, "b@example.org"),
			 0);
	test_spool_set_body(message, wire, sizeof(wire) - 1);
	return message;
}

static uint64_t version_in(struct spool *spool, const message_id *id)
{
	email_message *message;
	uint64_t version;

	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	version = email_message_get_version(message);
	email_message_unref(&message);
	return version;
}

/* The answer is IO_FAIL, with this errno. */
static void must_refuse(int answer, int error)
{
	assert_int_equal(answer, IO_FAIL);
	assert_int_equal(io_get_errno(), error);
}

/* Behind it nothing is written: its number would be one that was there before. */
static void test_the_last_version(void **state ATTR_UNUSED)
{
	email_message *message;
	struct test_told told;
	struct test_pair pair;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(test_directions); i++) {
		test_pair_new(&test_directions[i], &pair);
		spool_new_id(pair.from, &id);
		message = new_message(&id, EMAIL_VERSION_MAX - 1);
		assert_int_equal(spool_put(pair.from, message), IO_DONE);
		assert_int_equal(test_spool_write_headers(pair.from, message),
				 IO_DONE);
		assert_true(email_message_get_version(message) ==
			    EMAIL_VERSION_MAX);
		must_refuse(test_spool_write_headers(pair.from, message),
			    EOVERFLOW);
		must_refuse(test_spool_write_body(pair.from, message, wire),
			    EOVERFLOW);
		assert_true(email_message_get_version(message) ==
			    EMAIL_VERSION_MAX);
		email_message_unref(&message);
		test_spool_must_have(pair.from, &id, wire, sizeof(wire) - 1);
		/* it is a message as others are */
		told = test_migrate(&pair, 0);
		assert_int_equal(told.problems, 0);
		(void)test_open_again(&pair.to, pair.to_dir);
		assert_true(version_in(pair.to, &id) == EMAIL_VERSION_MAX);
		assert_int_equal(spool_remove(pair.to, &id), IO_DONE);
		test_pair_close(&pair);
	}
}

/* Whoever gave the body back, or took another one's length for it: what is stored is of
   the body that is. */
static void test_body_len_of_headers_alone(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t body_len;
		bool good;
	} rows[] = {
		{ sizeof(wire) - 1, true }, { 0, true },           { 1, false },
		{ sizeof(wire), false },    { UINT64_MAX, false },
	};
	email_message *message;
	struct test_pair pair;
	size_t i, j;
	message_id id;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		for (j = 0; j < 2; j++) {
			test_pair_new(&test_directions[j], &pair);
			assert_int_equal(test_spool_put(pair.from, wire,
							sizeof(wire) - 1, &id),
					 IO_DONE);
			assert_int_equal(spool_get(pair.from, &id, &message),
					 IO_DONE);
			email_message_set_body(message, NULL, rows[i].body_len);
			if (rows[i].good)
				assert_int_equal(test_spool_write_headers(
							 pair.from, message),
						 IO_DONE);
			else
				must_refuse(test_spool_write_headers(pair.from,
								     message),
					    EINVAL);
			email_message_unref(&message);
			assert_int_equal(version_in(pair.from, &id),
					 rows[i].good ? 2 : 1);
			test_must_have_whole(pair.from, 1);
			test_spool_must_have(pair.from, &id, wire,
					     sizeof(wire) - 1);
			test_pair_close(&pair);
		}
	}
}

/* The same of a body that waits. */
static void test_body_len_of_new_headers(void **state ATTR_UNUSED)
{
	email_message *message;
	struct test_pair pair;
	message_id id;
	size_t i;

	for (i = 0; i < 2; i++) {
		test_pair_new(&test_directions[i], &pair);
		spool_new_id(pair.from, &id);
		message = new_message(&id, 1);
		assert_int_equal(test_spool_write_body(pair.from, message,
						       wire),
				 IO_DONE);
		message->body_len = 0;
		assert_int_equal(test_spool_write_headers(pair.from, message),
				 IO_DONE);
		assert_int_equal(message->body_len, sizeof(wire) - 1);
		email_message_unref(&message);
		test_must_have_whole(pair.from, 1);
		test_spool_must_have(pair.from, &id, wire, sizeof(wire) - 1);
		test_pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_last_version),
		cmocka_unit_test(test_body_len_of_headers_alone),
		cmocka_unit_test(test_body_len_of_new_headers),
	};

	return cmocka_run_group_tests_name(
		"spool-limits", tests, test_spool_setup, test_spool_teardown);
}
