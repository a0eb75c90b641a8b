/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

#include "config.h"
#include "test-migrate-common.h"

#include <stdlib.h>
#include <string.h>

static const char wire[] = TEST_SPOOL_WIRE;

const struct test_direction test_directions[] = {
	{ "file", "", "journal", "gzip" },
	{ "journal", "gzip", "file", "" },
	{ "file", "lz4", "file", "gzip" },
	{ "journal", "", "journal", "" },
};

void test_pair_new(const struct test_direction *direction,
		   struct test_pair *pair)
{
	pair->from = test_spool_new_of(direction->from, direction->from_stack);
	(void)snprintf(pair->from_dir, 512, "%s", test_spool_dir());
	pair->to = test_spool_new_of(direction->to, direction->to_stack);
	(void)snprintf(pair->to_dir, 512, "%s", test_spool_dir());
}

struct spool *test_open_again(struct spool **spool, const char *dir)
{
	char *error;

	spool_close(spool);
	*spool = spool_open(dir, 0, NULL, &error);
	if (*spool == NULL)
		fail_msg("%s", error);
	return *spool;
}

void test_pair_close(struct test_pair *pair)
{
	spool_close(&pair->from);
	spool_close(&pair->to);
}

bool test_migrate_note(const struct spool_migrated *what, void *context)
{
	struct test_told *told = context;

	told->count++;
	told->octets += what->body_len;
	told->total = what->total;
	if (what->was_there)
		told->were_there++;
	if (what->problem != NULL) {
		told->problems++;
		told->error = what->error;
	}
	return true;
}

struct test_told test_migrate(const struct test_pair *pair, unsigned int flags)
{
	struct test_told told = { 0 };
	char *error;

	if (spool_migrate(pair->from, pair->to, flags, test_migrate_note, &told,
			  &error) < 0)
		fail_msg("%s", error);
	return told;
}

void test_put_large(struct spool *spool, message_id *id)
{
	unsigned char *text = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);

	memcpy(text + TEST_SPOOL_LARGE - 5, "\r\n.\r\n", 5);
	assert_int_equal(test_spool_put(spool, text, TEST_SPOOL_LARGE, id),
			 IO_DONE);
	test_spool_must_have(spool, id, text, TEST_SPOOL_LARGE);
	free(text);
}

void test_put_full(struct spool *spool, message_id *id)
{
	email_message *message;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, id),
			 IO_DONE);
	assert_int_equal(spool_get(spool, id, &message), IO_DONE);
	assert_int_equal(email_message_set_value(message, "smtp", "ret", "x\n"),
			 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	assert_int_equal(email_message_set_recipient_state(
				 message, 0, EMAIL_RECIPIENT_FAILED, "why"),
			 0);
	assert_int_equal(email_message_add_unknown(message, "x-new 1"), 0);
	assert_int_equal(
		email_message_set_flags(message,
					EMAIL_MESSAGE_HELD |
						EMAIL_MESSAGE_LINE_ENDS_LF),
		0);
	email_message_set_arrival(message, 12345);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
	email_message_unref(&message);
}

void test_must_have_whole(struct spool *spool, unsigned int count)
{
	unsigned int total;

	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, count);
}
