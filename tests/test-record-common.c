/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "crc32c.h"
#include "mem.h"
#include "message-record.h"
#include "test-record-common.h"

#include <errno.h>
#include <inttypes.h>

email_message *test_record_new(void)
{
	message_id id;

	assert_true(message_id_from_text(TEST_RECORD_ID, &id));
	return email_message_new(&id);
}

buffer_t *test_record_of(const void *lines, size_t size)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 256);
	char line[32];

	buffer_append(record, lines, size);
	(void)snprintf(line, sizeof(line), "crc32c %08" PRIx32 "\n",
		       crc32c(0, lines, size));
	buffer_append(record, line, strlen(line));
	return record;
}

char test_record_error[512];

void test_record_failed(char *error)
{
	assert_int_not_equal(errno, 0);
	(void)snprintf(test_record_error, sizeof(test_record_error), "%s",
		       error);
	i_free(error);
}

int test_record_parse(email_message *message, const void *data, size_t size)
{
	char *error = NULL;

	errno = 0;
	if (message_record_parse(message, data, size, &error) == 0)
		return 0;
	test_record_failed(error);
	/* nothing of it is left */
	assert_int_equal(email_message_recipient_count(message), 0);
	assert_string_equal(email_message_get_sender(message), "");
	assert_int_equal(email_message_get_version(message), 0);
	assert_int_equal(message->body_len, 0);
	return errno;
}

int test_record_parse_lines(email_message *message, const void *lines,
			    size_t size)
{
	buffer_t *record = test_record_of(lines, size);
	int ret = test_record_parse(message, record->data, record->used);

	buffer_free(&record);
	return ret;
}
