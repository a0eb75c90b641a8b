/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Records of messages that nobody wrote so, whose checksum is right: what is wrong is named,
   and nothing may be larger than it should. */

#include "config.h"
#include "message-record.h"
#include "test-record-common.h"

#include <errno.h>
#include <stdlib.h>

#define ID TEST_RECORD_ID
#define HEAD TEST_RECORD_HEAD

struct lines {
	const char *name, *text;
	size_t size;
	int error;
	const char *why;
};
#define LINES(text) (text), sizeof(text) - 1

static void test_wrong_lines_are_named(void **state ATTR_UNUSED)
{
	static const struct lines rows[] = {
		{ "nothing", LINES(""), EINVAL, "it has no id" },
		{ "another file", LINES("From: x\n"), EINVAL,
		  "line 1: it is not a message record" },
		{ "a newer format", LINES("bobbin-message 2\nid " ID "\n"),
		  ENOTSUP, "newer version" },
		{ "the magic alone", LINES("bobbin-message 1\n"), EINVAL,
		  "it has no id" },
		{ "no LF", LINES("bobbin-message 1"), EINVAL, "line 1" },
		{ "another message",
		  LINES("bobbin-message 1\nid 01arz3ndektsv4rrffq69g5faw\n"),
		  EINVAL, "line 2: it is about another message" },
		{ "no id", LINES("bobbin-message 1\nid x/../y\n"), EINVAL,
		  "line 2: the id is malformed" },
		{ "a NUL", LINES(HEAD "sender a\0b\n"), EINVAL,
		  "line 3: the line is malformed" },
		{ "an empty line", LINES(HEAD "\nheld\n"), EINVAL, "line 3" },
		{ "a space first", LINES(HEAD " held\n"), EINVAL, "line 3" },
		{ "a long field",
		  LINES(HEAD "a-field-with-a-name-of-32-letters x\n"), EINVAL,
		  "line 3: the field's name is malformed" },
		{ "version: none", LINES(HEAD "version\n"), EINVAL, "number" },
		{ "version: -1", LINES(HEAD "version -1\n"), EINVAL, "number" },
		{ "version: a space", LINES(HEAD "version  1\n"), EINVAL,
		  "number" },
		{ "version: 1x", LINES(HEAD "version 1x\n"), EINVAL, "number" },
		{ "version: 2^64", LINES(HEAD "version 18446744073709551616\n"),
		  EINVAL, "number" },
		{ "length: hex", LINES(HEAD "body-length 0x10\n"), EINVAL,
		  "number" },
		{ "recipient: none", LINES(HEAD "recipient\n"), EINVAL,
		  "three words" },
		{ "recipient: two", LINES(HEAD "recipient pending a\n"), EINVAL,
		  "three words" },
		{ "recipient: four",
		  LINES(HEAD "held\nrecipient pending a % b\n"), EINVAL,
		  "line 4: a recipient needs three words" },
		{ "recipient: state", LINES(HEAD "recipient lost a %\n"),
		  EINVAL, "state is not known" },
		{ "value: two", LINES(HEAD "value a b\n"), EINVAL,
		  "three words" },
		{ "value: four", LINES(HEAD "value a b c d\n"), EINVAL,
		  "three words" },
		{ "sender: none", LINES(HEAD "sender\n"), EINVAL,
		  "the sender is malformed" },
		{ "sender: two", LINES(HEAD "sender a b\n"), EINVAL,
		  "the sender is malformed" },
	};
	email_message *got = test_record_new();
	size_t i;
	int ret;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		ret = test_record_parse_lines(got, rows[i].text, rows[i].size);
		if (ret != rows[i].error)
			fail_msg("%s: %d", rows[i].name, ret);
		if (strstr(test_record_error, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].name, test_record_error);
	}
	email_message_unref(&got);
}

/* In the first, second and third word of a line. */
static void test_wrong_escapes_are_refused(void **state ATTR_UNUSED)
{
	static const char *const escapes[] = {
		"%0",  "%zz",    "%4z",    "%z4",    "%-1",  "%+1",
		"%+",  "% 1",    "a%",     "%%",     "%00",  "a%00",
		"%0x", "%41%zz", "%41%4-", "%4z%4z", "%\t1",
	};
	static const char *const formats[] = {
		HEAD "sender %s\n",
		HEAD "recipient %s x y\n",
		HEAD "recipient pending %s y\n",
		HEAD "recipient pending x %s\n",
		HEAD "value %s x y\n",
		HEAD "value x %s y\n",
		HEAD "value x y %s\n",
	};
	email_message *got = test_record_new();
	char lines[256];
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(escapes); i++) {
		for (j = 0; j < N_ELEMENTS(formats); j++) {
			const char *at = strstr(formats[j], "%s");

			(void)snprintf(lines, sizeof(lines), "%.*s%s%s",
				       (int)(at - formats[j]), formats[j],
				       escapes[i], at + 2);
			if (test_record_parse_lines(got, lines,
						    strlen(lines)) != EINVAL)
				fail_msg("taken: %s", lines);
		}
	}
	email_message_unref(&got);
}

/* So many bytes of lines, made of one. */
static buffer_t *repeated(const char *line, size_t count)
{
	buffer_t *lines = buffer_create_dynamic(default_pool, 65536);
	size_t i;

	buffer_append(lines, HEAD, strlen(HEAD));
	for (i = 0; i < count; i++)
		buffer_append(lines, line, strlen(line));
	return lines;
}

static void test_counts_are_bounded(void **state ATTR_UNUSED)
{
	static const struct {
		const char *line;
		size_t max;
	} rows[] = {
		{ "recipient pending a %\n", EMAIL_RECIPIENTS_MAX },
		{ "later x\n", EMAIL_PARAMETERS_MAX },
	};
	email_message *got = test_record_new();
	buffer_t *lines;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		lines = repeated(rows[i].line, rows[i].max);
		assert_int_equal(test_record_parse_lines(got, lines->data,
							 lines->used),
				 0);
		buffer_append(lines, rows[i].line, strlen(rows[i].line));
		assert_int_equal(test_record_parse_lines(got, lines->data,
							 lines->used),
				 EINVAL);
		assert_non_null(strstr(test_record_error, "too many"));
		buffer_free(&lines);
	}
	/* the same value over and over is one */
	lines = repeated("value c n v\n", EMAIL_PARAMETERS_MAX + 1);
	assert_int_equal(test_record_parse_lines(got, lines->data, lines->used),
			 0);
	buffer_free(&lines);
	email_message_unref(&got);
}

static void test_lengths_are_bounded(void **state ATTR_UNUSED)
{
	static const char *const before[] = { "sender ", "recipient pending ",
					      "recipient pending a ",
					      "value c n " };
	static const char *const behind[] = { "\n", " %\n", "\n", "\n" };
	char *text = malloc(EMAIL_TEXT_MAX + 2);
	email_message *got = test_record_new();
	buffer_t *lines;
	size_t i, extra;

	assert_non_null(text);
	for (i = 0; i < N_ELEMENTS(before); i++) {
		for (extra = 0; extra < 2; extra++) {
			memset(text, 'x', EMAIL_TEXT_MAX + extra);
			text[EMAIL_TEXT_MAX + extra] = '\0';
			lines = repeated(before[i], 1);
			buffer_append(lines, text, strlen(text));
			buffer_append(lines, behind[i], strlen(behind[i]));
			assert_int_equal(test_record_parse_lines(
						 got, lines->data, lines->used),
					 extra == 0 ? 0 : EINVAL);
			buffer_free(&lines);
		}
	}
	free(text);
	email_message_unref(&got);
}

/* What a reader would refuse is not written: it could never be read again. */
static void test_too_large_a_record(void **state ATTR_UNUSED)
{
	const size_t piece = MESSAGE_RECORD_MAX / 4;
	email_message *message = test_record_new(), *got = test_record_new();
	buffer_t *record = buffer_create_dynamic(default_pool, 256);
	char *line = malloc(piece + 1);
	unsigned int i;

	assert_non_null(line);
	memset(line, 'x', piece);
	memcpy(line, "later ", 6);
	line[piece] = '\0';
	for (i = 0; i < 4; i++)
		assert_int_equal(email_message_add_unknown(message, line), 0);
	errno = 0;
	assert_int_equal(message_record_write(message, record), -1);
	assert_int_equal(errno, EFBIG);
	/* nothing was appended */
	assert_int_equal(record->used, 0);
	buffer_free(&record);
	email_message_unref(&message);
	free(line);
	/* and one that comes so is not looked at */
	assert_int_equal(test_record_parse(got, HEAD, MESSAGE_RECORD_MAX + 1),
			 EINVAL);
	assert_non_null(strstr(test_record_error, "larger than"));
	email_message_unref(&got);
}

/* Random bytes for lines: an answer, and nothing else. */
static void test_random_lines(void **state ATTR_UNUSED)
{
	static const char *const words[] = {
		"sender",  "recipient",    "value", "pending",
		"failed",  "id",           ID,      "version",
		"arrival", "held",         " ",     " ",
		" ",       "\n",           "\n",    "%",
		"%2",      "%20",          "%zz",   "1",
		"x",       "line-ends lf",
	};
	email_message *got = test_record_new();
	uint32_t random = 12345;
	unsigned int i, n;
	buffer_t *lines;
	const char *word;

	for (i = 0; i < 20000 / TEST_STEP; i++) {
		lines = repeated("", 0);
		for (n = test_random(&random) % 20; n > 0; n--) {
			word = words[test_random(&random) % N_ELEMENTS(words)];
			buffer_append(lines, word, strlen(word));
		}
		(void)test_record_parse_lines(got, lines->data, lines->used);
		buffer_free(&lines);
	}
	email_message_unref(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wrong_lines_are_named),
		cmocka_unit_test(test_wrong_escapes_are_refused),
		cmocka_unit_test(test_counts_are_bounded),
		cmocka_unit_test(test_lengths_are_bounded),
		cmocka_unit_test(test_too_large_a_record),
		cmocka_unit_test(test_random_lines),
	};

	return cmocka_run_group_tests_name("message-record-hostile", tests,
					   NULL, NULL);
}
