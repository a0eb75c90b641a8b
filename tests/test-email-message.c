/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A message in memory: what is set is copied, bounded, and there when asked for. */

#include "config.h"
#include "email-message.h"
#include "istream.h"
#include "test-common.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static email_message *new_message(void)
{
	message_id id;

	memset(&id, 7, sizeof(id));
	return email_message_new(&id);
}

/* A text of so many bytes; free() it. */
static char *text_of(size_t size)
{
	char *text = malloc(size + 1);

	assert_non_null(text);
	memset(text, 'x', size);
	text[size] = '\0';
	return text;
}

static unsigned int count_values(const email_message *message)
{
	const char *context, *name, *value;
	unsigned int i = 0;

	while (email_message_get_value_at(message, i, &context, &name, &value))
		i++;
	return i;
}

/* All that a message without anything answers. */
static void must_be_empty(const email_message *message)
{
	assert_null(message->body);
	assert_int_equal(message->body_len, 0);
	assert_string_equal(email_message_get_sender(message), "");
	assert_int_equal(email_message_recipient_count(message), 0);
	assert_int_equal(email_message_get_arrival(message), 0);
	assert_int_equal(email_message_get_flags(message), 0);
	assert_int_equal(email_message_get_version(message), 0);
	assert_null(email_message_get_value(message, "smtp", "helo"));
	assert_int_equal(count_values(message), 0);
	assert_null(email_message_get_store_note(message));
	assert_null(email_message_get_unknown(message, 0));
}

static void fill(email_message *message)
{
	struct istream *body = i_stream_create_from_data("x\r\n.\r\n", 6);

	assert_int_equal(email_message_set_sender(message, "a@x"), 0);
	assert_int_equal(email_message_add_recipient(message, "b@x"), 0);
	assert_int_equal(email_message_add_recipient(message, "c@x"), 0);
	assert_int_equal(email_message_set_recipient_state(
				 message, 1, EMAIL_RECIPIENT_FAILED, "550 no"),
			 0);
	email_message_set_arrival(message, 12345);
	assert_int_equal(email_message_set_flags(message, EMAIL_MESSAGE_HELD),
			 0);
	email_message_set_version(message, 3);
	assert_int_equal(email_message_set_value(message, "smtp", "helo", "h"),
			 0);
	email_message_set_store_note(message, "note");
	assert_int_equal(email_message_add_unknown(message, "later 1"), 0);
	email_message_set_body(message, body, 6);
	i_stream_unref(&body);
}

static void test_new_and_cleared_messages_are_empty(void **state ATTR_UNUSED)
{
	email_message *message = new_message();
	message_id id = message->message_id;

	must_be_empty(message);
	fill(message);
	email_message_clear(message);
	must_be_empty(message);
	assert_int_equal(message_id_cmp(&id, &message->message_id), 0);
	/* and is as good as new */
	fill(message);
	assert_string_equal(email_message_get_recipient(message, 0), "b@x");
	email_message_unref(&message);
	assert_null(message);
	email_message_unref(&message);
}

static void test_what_is_set_is_there(void **state ATTR_UNUSED)
{
	email_message *message = new_message();
	const char *reason;

	fill(message);
	assert_string_equal(email_message_get_sender(message), "a@x");
	assert_int_equal(email_message_recipient_count(message), 2);
	assert_int_equal(email_message_get_recipient_state(message, 0, &reason),
			 EMAIL_RECIPIENT_PENDING);
	assert_string_equal(reason, "");
	assert_int_equal(email_message_get_recipient_state(message, 1, &reason),
			 EMAIL_RECIPIENT_FAILED);
	assert_string_equal(reason, "550 no");
	assert_int_equal(email_message_get_recipient_state(message, 1, NULL),
			 EMAIL_RECIPIENT_FAILED);
	assert_int_equal(email_message_get_arrival(message), 12345);
	assert_int_equal(email_message_get_flags(message), EMAIL_MESSAGE_HELD);
	assert_int_equal(email_message_get_version(message), 3);
	assert_string_equal(email_message_get_store_note(message), "note");
	assert_string_equal(email_message_get_unknown(message, 0), "later 1");
	assert_null(email_message_get_unknown(message, 1));
	email_message_unref(&message);
}

static void test_texts_are_copies(void **state ATTR_UNUSED)
{
	email_message *message = new_message();
	char text[] = "before";

	assert_int_equal(email_message_set_sender(message, text), 0);
	assert_int_equal(email_message_add_recipient(message, text), 0);
	assert_int_equal(email_message_set_value(message, text, text, text), 0);
	email_message_set_store_note(message, text);
	assert_int_equal(email_message_add_unknown(message, text), 0);
	memcpy(text, "after!", sizeof(text));
	assert_string_equal(email_message_get_sender(message), "before");
	assert_string_equal(email_message_get_recipient(message, 0), "before");
	assert_string_equal(
		email_message_get_value(message, "before", "before"), "before");
	assert_string_equal(email_message_get_store_note(message), "before");
	assert_string_equal(email_message_get_unknown(message, 0), "before");
	/* its own texts may be given to it */
	assert_int_equal(email_message_set_sender(
				 message, email_message_get_sender(message)),
			 0);
	assert_string_equal(email_message_get_sender(message), "before");
	email_message_set_store_note(message,
				     email_message_get_store_note(message));
	assert_string_equal(email_message_get_store_note(message), "before");
	email_message_unref(&message);
}

static void test_values(void **state ATTR_UNUSED)
{
	static const struct {
		const char *context, *name, *value;
		unsigned int count;
	} steps[] = {
		{ "smtp", "helo", "one", 1 },  { "smtp", "auth", "", 2 },
		{ "own", "helo", "three", 3 }, { "smtp", "helo", "new", 3 },
		{ "smtp", "none", NULL, 3 },   { "smtp", "helo", NULL, 2 },
		{ "smtp", "helo", NULL, 2 },   { "", "", "empty", 3 },
		{ "own", "helo", NULL, 2 },    { "", "", NULL, 1 },
		{ "smtp", "auth", NULL, 0 },
	};
	email_message *message = new_message();
	const char *got;
	size_t i;

	for (i = 0; i < N_ELEMENTS(steps); i++) {
		assert_int_equal(
			email_message_set_value(message, steps[i].context,
						steps[i].name, steps[i].value),
			0);
		got = email_message_get_value(message, steps[i].context,
					      steps[i].name);
		if (steps[i].value == NULL)
			assert_null(got);
		else
			assert_string_equal(got, steps[i].value);
		if (count_values(message) != steps[i].count)
			fail_msg("step %zu: %u values", i,
				 count_values(message));
	}
	email_message_unref(&message);
}

static int set_reason(email_message *message, const char *text)
{
	return email_message_set_recipient_state(message, 0,
						 EMAIL_RECIPIENT_FAILED, text);
}

static int set_context(email_message *message, const char *text)
{
	return email_message_set_value(message, text, "n", "v");
}

static int set_name(email_message *message, const char *text)
{
	return email_message_set_value(message, "c", text, "v");
}

static int set_value(email_message *message, const char *text)
{
	return email_message_set_value(message, "c", "n", text);
}

static int set_known_value(email_message *message, const char *text)
{
	return email_message_set_value(message, "smtp", "helo", text);
}

static void test_too_long_texts_change_nothing(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		int (*set)(email_message *message, const char *text);
	} rows[] = {
		{ "sender", email_message_set_sender },
		{ "recipient", email_message_add_recipient },
		{ "reason", set_reason },
		{ "context", set_context },
		{ "name", set_name },
		{ "value", set_value },
		{ "another value", set_known_value },
	};
	char *longest = text_of(EMAIL_TEXT_MAX);
	char *longer = text_of(EMAIL_TEXT_MAX + 1);
	email_message *message;
	const char *reason;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		message = new_message();
		fill(message);
		errno = 0;
		if (rows[i].set(message, longer) != -1 || errno != EINVAL)
			fail_msg("%s: taken", rows[i].name);
		assert_string_equal(email_message_get_sender(message), "a@x");
		assert_int_equal(email_message_recipient_count(message), 2);
		assert_int_equal(email_message_get_recipient_state(message, 0,
								   &reason),
				 EMAIL_RECIPIENT_PENDING);
		assert_string_equal(reason, "");
		assert_int_equal(count_values(message), 1);
		assert_string_equal(
			email_message_get_value(message, "smtp", "helo"), "h");
		if (rows[i].set(message, longest) != 0)
			fail_msg("%s: refused", rows[i].name);
		email_message_unref(&message);
	}
	free(longest);
	free(longer);
}

/* They would be gone when the message is read again. */
static void test_unknown_flags_are_refused(void **state ATTR_UNUSED)
{
	const unsigned int all = EMAIL_MESSAGE_LINE_ENDS_LF |
		EMAIL_MESSAGE_HELD;
	email_message *message = new_message();
	unsigned int bit;

	assert_int_equal(email_message_set_flags(message, all), 0);
	assert_int_equal(email_message_set_flags(message, 0), 0);
	for (bit = 1; bit != 0; bit <<= 1) {
		if ((bit & all) != 0)
			continue;
		errno = 0;
		if (email_message_set_flags(message, all | bit) != -1 ||
		    errno != EINVAL)
			fail_msg("taken: 0x%x", bit);
		assert_int_equal(email_message_get_flags(message), 0);
	}
	email_message_unref(&message);
}

/* No store could say which one it was. */
static void test_unknown_states_are_refused(void **state ATTR_UNUSED)
{
	static const unsigned int states[] = { EMAIL_RECIPIENT_FAILED + 1, 77,
					       INT_MAX, UINT_MAX };
	email_message *message = new_message();
	const char *reason;
	size_t i;

	fill(message);
	for (i = 0; i < N_ELEMENTS(states); i++) {
		errno = 0;
		if (email_message_set_recipient_state(
			    message, 1, (enum email_recipient_state)states[i],
			    "other") != -1 ||
		    errno != EINVAL)
			fail_msg("taken: %u", states[i]);
		assert_int_equal(email_message_get_recipient_state(message, 1,
								   &reason),
				 EMAIL_RECIPIENT_FAILED);
		assert_string_equal(reason, "550 no");
	}
	email_message_unref(&message);
}

/* Behind the last version there is none, and 0 is that of what was never written. */
static void test_first_versions(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t version;
		bool good;
	} rows[] = {
		{ 1, true },
		{ EMAIL_VERSION_MAX, true },
		{ 0, false },
		{ EMAIL_VERSION_MAX + 1, false },
	};
	email_message *message;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		message = new_message();
		assert_int_equal(email_message_get_first_version(message), 1);
		assert_int_equal(email_message_set_first_version(message, 7),
				 0);
		errno = 0;
		if ((email_message_set_first_version(message, rows[i].version) <
		     0) == rows[i].good)
			fail_msg("row %zu", i);
		assert_int_equal(errno, rows[i].good ? 0 : EINVAL);
		assert_true(email_message_get_first_version(message) ==
			    (rows[i].good ? rows[i].version : 7));
		email_message_unref(&message);
	}
}

static void test_too_many_are_refused(void **state ATTR_UNUSED)
{
	email_message *message = new_message();
	char name[16];
	unsigned int i;

	for (i = 0; i < EMAIL_RECIPIENTS_MAX; i++)
		assert_int_equal(email_message_add_recipient(message, "a"), 0);
	errno = 0;
	assert_int_equal(email_message_add_recipient(message, "a"), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(email_message_recipient_count(message),
			 EMAIL_RECIPIENTS_MAX);
	for (i = 0; i < EMAIL_PARAMETERS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(
			email_message_set_value(message, "c", name, "v"), 0);
		assert_int_equal(email_message_add_unknown(message, name), 0);
	}
	assert_int_equal(email_message_set_value(message, "c", "more", "v"),
			 -1);
	assert_int_equal(email_message_add_unknown(message, "more"), -1);
	assert_null(email_message_get_unknown(message, EMAIL_PARAMETERS_MAX));
	/* changed and removed they can be all the same */
	assert_int_equal(email_message_set_value(message, "c", "0", "w"), 0);
	assert_int_equal(email_message_set_value(message, "c", "0", NULL), 0);
	assert_int_equal(email_message_set_value(message, "c", "more", "v"), 0);
	assert_string_equal(email_message_get_value(message, "c", "9999"), "v");
	email_message_unref(&message);
}

/* A line that would be another in the record, two, or none, is not one: the message could
   not be read again. */
static void test_unknown_lines_are_lines(void **state ATTR_UNUSED)
{
	static const char *const texts[] = {
		/* two, or none */
		"", "\n", "later 1\nheld", "later\n",
		/* of a field that is known, as it is, or wrong */
		"id", "version 7", "version", "arrival x", "body-length 1",
		"recipient x", "recipient pending a %", "value", "sender %",
		"line-ends lf", "held",
		/* of none */
		" later", "abcdefghijabcdefghijabcdefghijab",
		"abcdefghijabcdefghijabcdefghijab 1"
	};
	static const char *const good[] = { "later 1",
					    "later",
					    "line-ends cr",
					    "held 1",
					    "ids",
					    "x  \r",
					    "abcdefghijabcdefghijabcdefghija",
					    "crc32c 00000000" };
	email_message *message = new_message();
	size_t i;

	for (i = 0; i < N_ELEMENTS(texts); i++) {
		errno = 0;
		if (email_message_add_unknown(message, texts[i]) != -1)
			fail_msg("taken: \"%s\"", texts[i]);
		assert_int_equal(errno, EINVAL);
	}
	assert_null(email_message_get_unknown(message, 0));
	for (i = 0; i < N_ELEMENTS(good); i++) {
		if (email_message_add_unknown(message, good[i]) < 0)
			fail_msg("refused: \"%s\"", good[i]);
	}
	email_message_unref(&message);
}

static void test_no_such_recipient_panics(void **state ATTR_UNUSED)
{
	email_message *message = new_message();

	assert_int_equal(email_message_add_recipient(message, "a"), 0);
	EXPECT_PANIC("recipients.count",
		     (void)email_message_get_recipient(message, 1));
	EXPECT_PANIC("recipients.count",
		     (void)email_message_set_recipient_state(
			     message, 7, EMAIL_RECIPIENT_FAILED, ""));
	email_message_unref(&message);
}

static void count_destroyed(void *context)
{
	(*(unsigned int *)context)++;
}

/* The body lives as long as somebody has it, and not longer. */
static void test_references(void **state ATTR_UNUSED)
{
	struct istream *body = i_stream_create_from_data("abc", 3);
	struct istream *other = i_stream_create_from_data("de", 2);
	email_message *message = new_message(), *second;
	unsigned int destroyed = 0;

	i_stream_add_destroy_callback(body, count_destroyed, &destroyed);
	email_message_set_body(message, body, 3);
	i_stream_unref(&body);
	/* the same one once more */
	email_message_set_body(message, message->body, 4);
	assert_int_equal(destroyed, 0);
	assert_int_equal(message->body_len, 4);
	email_message_ref(message);
	second = message;
	email_message_unref(&second);
	assert_int_equal(destroyed, 0);
	email_message_set_body(message, other, 2);
	assert_int_equal(destroyed, 1);
	i_stream_add_destroy_callback(other, count_destroyed, &destroyed);
	i_stream_unref(&other);
	email_message_set_body(message, NULL, 0);
	assert_int_equal(destroyed, 2);
	assert_null(message->body);
	email_message_unref(&message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_and_cleared_messages_are_empty),
		cmocka_unit_test(test_what_is_set_is_there),
		cmocka_unit_test(test_texts_are_copies),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_too_long_texts_change_nothing),
		cmocka_unit_test(test_unknown_flags_are_refused),
		cmocka_unit_test(test_unknown_states_are_refused),
		cmocka_unit_test(test_first_versions),
		cmocka_unit_test(test_too_many_are_refused),
		cmocka_unit_test(test_unknown_lines_are_lines),
		cmocka_unit_test(test_no_such_recipient_panics),
		cmocka_unit_test(test_references),
	};

	return cmocka_run_group_tests_name("email-message", tests, NULL, NULL);
}
