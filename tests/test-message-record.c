/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The stored form of a message's headers: what is written comes back, and what is damaged
   is refused. What has a checksum that is right, and makes no sense, is in
   test-message-record-hostile. */

#include "config.h"
#include "mem.h"
#include "message-record.h"
#include "test-record-common.h"

#include <errno.h>
#include <stdlib.h>

#define ID TEST_RECORD_ID
#define HEAD TEST_RECORD_HEAD

static buffer_t *written(const email_message *message)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 256);

	assert_int_equal(message_record_write(message, record), 0);
	return record;
}

static int parse_states(email_message *message, const void *data, size_t size)
{
	char *error;

	errno = 0;
	if (message_record_parse_states(message, data, size, &error) == 0)
		return 0;
	test_record_failed(error);
	assert_int_equal(email_message_recipient_count(message), 0);
	return errno;
}

static email_message *full_message(void)
{
	email_message *message = test_record_new();

	(void)email_message_set_sender(message, "se nder%@example.org");
	(void)email_message_add_recipient(message, "b@example.org");
	(void)email_message_add_recipient(message, "");
	(void)email_message_add_recipient(message, "\xc3\xa4\n\t\x7f\x01@x");
	(void)email_message_set_recipient_state(
		message, 1, EMAIL_RECIPIENT_DELIVERED, "250 2.0.0 ok");
	(void)email_message_set_recipient_state(
		message, 2, EMAIL_RECIPIENT_FAILED, "550 no\r\nheld\r\n");
	(void)email_message_set_value(message, "smtp", "helo", "a b");
	(void)email_message_set_value(message, "", "", "");
	email_message_set_arrival(message, 1767225600000);
	email_message_set_version(message, 42);
	(void)email_message_set_flags(
		message, EMAIL_MESSAGE_HELD | EMAIL_MESSAGE_LINE_ENDS_LF);
	message->body_len = UINT64_MAX;
	return message;
}

/* Byte for byte as doc/spool-format.md has it. */
static void test_written_form(void **state ATTR_UNUSED)
{
	static const char want[] = HEAD
		"version 42\n"
		"arrival 1767225600000\n"
		"body-length 18446744073709551615\n"
		"line-ends lf\n"
		"held\n"
		"sender se%20nder%25@example.org\n"
		"recipient pending b@example.org %\n"
		"recipient delivered % 250%202.0.0%20ok\n"
		"recipient failed %c3%a4%0a%09%7f%01@x "
		"550%20no%0d%0aheld%0d%0a\n"
		"value smtp helo a%20b\n"
		"value % % %\n";
	email_message *message = full_message();
	buffer_t *record = written(message);
	buffer_t *expected = test_record_of(want, sizeof(want) - 1);

	assert_int_equal(record->used, expected->used);
	assert_memory_equal(record->data, expected->data, record->used);
	buffer_free(&expected);
	buffer_free(&record);
	email_message_unref(&message);
}

static void test_round_trip(void **state ATTR_UNUSED)
{
	email_message *message = full_message(), *got = test_record_new();
	buffer_t *record = written(message), *again;
	const char *reason, *context, *name, *value = NULL;

	assert_int_equal(test_record_parse(got, record->data, record->used), 0);
	assert_string_equal(email_message_get_sender(got),
			    "se nder%@example.org");
	assert_int_equal(email_message_recipient_count(got), 3);
	assert_string_equal(email_message_get_recipient(got, 1), "");
	assert_string_equal(email_message_get_recipient(got, 2),
			    "\xc3\xa4\n\t\x7f\x01@x");
	assert_int_equal(email_message_get_recipient_state(got, 2, &reason),
			 EMAIL_RECIPIENT_FAILED);
	assert_string_equal(reason, "550 no\r\nheld\r\n");
	assert_true(
		email_message_get_value_at(got, 1, &context, &name, &value));
	assert_string_equal(value, "");
	assert_int_equal(email_message_get_flags(got),
			 EMAIL_MESSAGE_HELD | EMAIL_MESSAGE_LINE_ENDS_LF);
	assert_true(got->body_len == UINT64_MAX);
	assert_true(email_message_get_arrival(got) == 1767225600000);
	assert_int_equal(email_message_get_version(got), 42);
	again = written(got);
	assert_int_equal(again->used, record->used);
	assert_memory_equal(again->data, record->data, record->used);
	buffer_free(&again);
	buffer_free(&record);
	email_message_unref(&got);
	email_message_unref(&message);
}

/* Every byte that a text can have, alone and in the middle of others. */
static void test_every_byte_of_a_word(void **state ATTR_UNUSED)
{
	email_message *message = test_record_new(), *got = test_record_new();
	char text[4] = "a.b";
	buffer_t *record;
	unsigned int byte;
	const char *value;

	for (byte = 1; byte < 256; byte++) {
		text[1] = (char)byte;
		assert_int_equal(email_message_set_sender(message, text), 0);
		assert_int_equal(email_message_set_value(message, text + 1, "n",
							 text),
				 0);
		record = written(message);
		if (test_record_parse(got, record->data, record->used) != 0)
			fail_msg("byte %u: %s", byte, test_record_error);
		assert_string_equal(email_message_get_sender(got), text);
		value = email_message_get_value(got, text + 1, "n");
		assert_non_null(value);
		assert_string_equal(value, text);
		buffer_free(&record);
		email_message_clear(message);
	}
	email_message_unref(&got);
	email_message_unref(&message);
}

/* The record is appended: what is before it does not count. */
static void test_written_behind_something(void **state ATTR_UNUSED)
{
	email_message *message = full_message(), *got = test_record_new();
	buffer_t *record = buffer_create_dynamic(default_pool, 256);

	buffer_append(record, "something", 9);
	assert_int_equal(message_record_write(message, record), 0);
	assert_int_equal(test_record_parse(got, (const char *)record->data + 9,
					   record->used - 9),
			 0);
	buffer_free(&record);
	email_message_unref(&got);
	email_message_unref(&message);
}

/*
 * States of recipients alone
 */

#define STATES_HEAD "bobbin-states 1\nid " ID "\nversion 43\n"

static void test_states_alone(void **state ATTR_UNUSED)
{
	static const char want[] = STATES_HEAD "states 0 2 failed no%20more\n"
					       "states 3 1 delivered %\n";
	email_message *message = full_message(), *got = full_message();
	buffer_t *record = buffer_create_dynamic(default_pool, 256);
	buffer_t *expected = test_record_of(want, sizeof(want) - 1);
	const char *reason;
	unsigned int i;

	(void)email_message_add_recipient(message, "d@example.org");
	(void)email_message_add_recipient(got, "d@example.org");
	email_message_set_base_version(message, 42);
	email_message_set_base_version(got, 42);
	for (i = 0; i < 2; i++)
		assert_int_equal(email_message_set_recipient_state(
					 message, i, EMAIL_RECIPIENT_FAILED,
					 "no more"),
				 0);
	assert_int_equal(email_message_set_recipient_state(
				 message, 3, EMAIL_RECIPIENT_DELIVERED, ""),
			 0);
	email_message_set_version(message, 43);
	assert_int_equal(message_record_write_states(message, record), 0);
	assert_int_equal(record->used, expected->used);
	assert_memory_equal(record->data, expected->data, record->used);
	assert_int_equal(parse_states(got, record->data, record->used), 0);
	assert_int_equal(email_message_get_version(got), 43);
	assert_int_equal(email_message_get_recipient_state(got, 1, &reason),
			 EMAIL_RECIPIENT_FAILED);
	assert_string_equal(reason, "no more");
	assert_int_equal(email_message_get_recipient_state(got, 3, NULL),
			 EMAIL_RECIPIENT_DELIVERED);
	/* what it was before is not in it, and stays */
	assert_int_equal(email_message_get_recipient_state(got, 2, &reason),
			 EMAIL_RECIPIENT_FAILED);
	assert_string_equal(reason, "550 no\r\nheld\r\n");
	/* and it is known what to write the next time */
	assert_int_equal(email_message_get_base_version(got), 42);
	for (i = 0; i < 4; i++)
		assert_int_equal(email_message_recipient_changed(got, i),
				 i != 2);
	buffer_free(&expected);
	buffer_free(&record);
	email_message_unref(&got);
	email_message_unref(&message);
}

/* Any of these needs the whole record. */
static void test_what_needs_all(void **state ATTR_UNUSED)
{
	email_message *message = full_message();
	unsigned int i;

	for (i = 0; i < 6; i++) {
		email_message_set_base_version(message, 42);
		assert_int_equal(email_message_set_recipient_state(
					 message, 0, EMAIL_RECIPIENT_FAILED,
					 i % 2 == 0 ? "a" : "b"),
				 0);
		assert_int_equal(email_message_get_base_version(message), 42);
		if (i == 0)
			(void)email_message_set_sender(message, "x");
		else if (i == 1)
			(void)email_message_add_recipient(message, "x");
		else if (i == 2)
			(void)email_message_set_value(message, "x", "y", "z");
		else if (i == 3)
			email_message_set_arrival(message, 1);
		else if (i == 4)
			(void)email_message_set_flags(message, 0);
		else
			(void)email_message_add_unknown(message, "later x");
		assert_int_equal(email_message_get_base_version(message), 0);
	}
	email_message_unref(&message);
}

static void test_wrong_states_are_named(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text;
		int error;
		const char *why;
	} rows[] = {
		{ "bobbin-message 1\nid " ID "\n", EINVAL, "not a message" },
		{ "bobbin-states 2\nid " ID "\n", ENOTSUP, "newer version" },
		{ "bobbin-states 1\nversion 43\n", EINVAL, "no id" },
		{ STATES_HEAD "sender a\n", EINVAL, "line 4" },
		{ STATES_HEAD "states 0 1 failed\n", EINVAL, "two words" },
		{ STATES_HEAD "states x 1 failed %\n", EINVAL, "two numbers" },
		{ STATES_HEAD "states 0 1 lost %\n", EINVAL, "not known" },
		{ STATES_HEAD "states 0 4 failed %\n", EINVAL, "not there" },
		{ STATES_HEAD "states 4 0 failed %\n", EINVAL, "not there" },
		{ STATES_HEAD "states 1 18446744073709551615 failed %\n",
		  EINVAL, "not there" },
		{ STATES_HEAD "states 1 1 failed %\nstates 1 1 failed %\n",
		  EINVAL, "line 5: they are of recipients" },
	};
	buffer_t *record;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		email_message *message = full_message();

		record = test_record_of(rows[i].text, strlen(rows[i].text));
		if (parse_states(message, record->data, record->used) !=
		    rows[i].error)
			fail_msg("%s", rows[i].text);
		if (strstr(test_record_error, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].text, test_record_error);
		buffer_free(&record);
		email_message_unref(&message);
	}
}

/*
 * Damage
 */

static void test_every_truncation_is_refused(void **state ATTR_UNUSED)
{
	email_message *message = full_message(), *got = test_record_new();
	buffer_t *record = written(message);
	size_t size;
	char *cut;

	for (size = 0; size < record->used; size++) {
		/* of its own memory: reading behind it would be seen */
		cut = malloc(size > 0 ? size : 1);
		assert_non_null(cut);
		memcpy(cut, record->data, size);
		if (test_record_parse(got, cut, size) != EINVAL)
			fail_msg("cut at %zu: unnoticed", size);
		if (strstr(test_record_error, "cut short") == NULL &&
		    strstr(test_record_error, "damaged") == NULL)
			fail_msg("cut at %zu: %s", size, test_record_error);
		free(cut);
	}
	buffer_free(&record);
	email_message_unref(&got);
	email_message_unref(&message);
}

static void test_every_flipped_bit_is_refused(void **state ATTR_UNUSED)
{
	email_message *message = full_message(), *got = test_record_new();
	buffer_t *record = written(message);
	unsigned char *data = buffer_get_modifiable_data(record, NULL);
	unsigned int bit;
	size_t at;

	for (at = 0; at < record->used; at++) {
		for (bit = 0; bit < 8; bit++) {
			data[at] ^= (unsigned char)(1u << bit);
			if (test_record_parse(got, data, record->used) !=
			    EINVAL)
				fail_msg("byte %zu bit %u: unnoticed", at, bit);
			assert_string_equal(test_record_error,
					    "record of message " ID
					    ": its checksum is wrong: it is "
					    "damaged");
			data[at] ^= (unsigned char)(1u << bit);
		}
	}
	/* and what is behind it */
	buffer_append(record, "\n", 1);
	assert_int_equal(test_record_parse(got, record->data, record->used),
			 EINVAL);
	buffer_free(&record);
	email_message_unref(&got);
	email_message_unref(&message);
}

/*
 * Newer versions
 */

static void test_unknown_fields_survive(void **state ATTR_UNUSED)
{
	static const char later[] = HEAD
		"version 1\narrival 0\nbody-length 0\n"
		"priority high\nsender a\nline-ends cr\nheld till-monday\n"
		"recipient pending b %\nflag\nx %zz  %00 \n";
	static const char *const lines[] = { "priority high", "line-ends cr",
					     "held till-monday", "flag",
					     "x %zz  %00 " };
	email_message *got = test_record_new(), *again = test_record_new();
	buffer_t *record;
	const char *line;
	unsigned int i, round;

	assert_int_equal(test_record_parse_lines(got, later, sizeof(later) - 1),
			 0);
	/* as often as it is written anew */
	for (round = 0; round < 3; round++) {
		assert_int_equal(email_message_get_flags(got), 0);
		for (i = 0; i < N_ELEMENTS(lines); i++) {
			line = email_message_get_unknown(got, i);
			assert_non_null(line);
			assert_string_equal(line, lines[i]);
		}
		assert_null(email_message_get_unknown(got, i));
		(void)email_message_set_recipient_state(
			got, 0, EMAIL_RECIPIENT_DELIVERED, "ok");
		record = written(got);
		assert_int_equal(test_record_parse(again, record->data,
						   record->used),
				 0);
		buffer_free(&record);
		email_message_unref(&got);
		got = again;
		again = test_record_new();
	}
	email_message_unref(&got);
	email_message_unref(&again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_form),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_every_byte_of_a_word),
		cmocka_unit_test(test_written_behind_something),
		cmocka_unit_test(test_states_alone),
		cmocka_unit_test(test_what_needs_all),
		cmocka_unit_test(test_wrong_states_are_named),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_unknown_fields_survive),
	};

	return cmocka_run_group_tests_name("message-record", tests, NULL, NULL);
}
