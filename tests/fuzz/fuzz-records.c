/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a spool keeps as text: a message's record, that of states, and the first line of a
   header file. What is read and written anew is read as the same. The first byte says
   which it is, and whether it gets a checksum that is right. */

#include "config.h"
#include "fuzz-common.h"

#include "crc32c.h"
#include "mem.h"
#include "message-record.h"
#include "modules/module-file-private.h"
#include "test-record-common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define STATES_HEAD "bobbin-states 1\nid " TEST_RECORD_ID "\n"

enum {
	FUZZ_RECORD,
	FUZZ_STATES,
	FUZZ_LINE,
	FUZZ_KINDS
};
#define FUZZ_CHECKSUM 0x80

static buffer_t *write_message(const email_message *message)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 256);

	assert_int_equal(message_record_write(message, out), 0);
	return out;
}

static void same_fields(const email_message *a, const email_message *b)
{
	unsigned int i;

	assert_string_equal(email_message_get_sender(a),
			    email_message_get_sender(b));
	assert_int_equal(email_message_get_version(a),
			 email_message_get_version(b));
	assert_int_equal(email_message_get_arrival(a),
			 email_message_get_arrival(b));
	assert_int_equal(email_message_get_flags(a),
			 email_message_get_flags(b));
	assert_int_equal(a->body_len, b->body_len);
	assert_int_equal(email_message_recipient_count(a),
			 email_message_recipient_count(b));
	for (i = 0; i < email_message_recipient_count(a); i++)
		assert_string_equal(email_message_get_recipient(a, i),
				    email_message_get_recipient(b, i));
}

static void try_record(const void *data, size_t size)
{
	email_message *message = test_record_new(), *again = test_record_new();
	buffer_t *first, *second;
	int error = test_record_parse(message, data, size);

	if (error != 0) {
		assert_true(error == EINVAL || error == ENOTSUP);
		assert_true(strlen(test_record_error) > 0);
	} else {
		first = write_message(message);
		assert_int_equal(
			test_record_parse(again, first->data, first->used), 0);
		same_fields(message, again);
		second = write_message(again);
		fuzz_same(second, first->data, first->used, "written again");
		buffer_free(&first);
		buffer_free(&second);
	}
	email_message_unref(&message);
	email_message_unref(&again);
}

/* To five recipients, as it is stored in version 7. */
static email_message *stored_message(void)
{
	email_message *message = test_record_new();
	unsigned int i;

	for (i = 0; i < 5; i++)
		assert_int_equal(email_message_add_recipient(message,
							     "a@example.org"),
				 0);
	email_message_set_version(message, 7);
	email_message_set_base_version(message, 7);
	return message;
}

/* 0, or the errno. */
static int read_states(email_message *message, const void *data, size_t size)
{
	char *error;

	errno = 0;
	if (message_record_parse_states(message, data, size, &error) == 0)
		return 0;
	test_record_failed(error);
	assert_true(strlen(test_record_error) > 0);
	assert_int_equal(email_message_recipient_count(message), 0);
	return errno;
}

static void same_states(const email_message *a, const email_message *b)
{
	const char *why_a, *why_b;
	unsigned int i;

	for (i = 0; i < email_message_recipient_count(a); i++) {
		assert_int_equal(
			email_message_get_recipient_state(a, i, &why_a),
			email_message_get_recipient_state(b, i, &why_b));
		assert_string_equal(why_a, why_b);
	}
}

static void try_states(const void *data, size_t size)
{
	email_message *message = stored_message(), *again = stored_message();
	buffer_t *out = buffer_create_dynamic(default_pool, 256);
	int error = read_states(message, data, size);

	if (error != 0) {
		assert_true(error == EINVAL || error == ENOTSUP);
	} else {
		assert_int_equal(message_record_write_states(message, out), 0);
		assert_int_equal(read_states(again, out->data, out->used), 0);
		same_states(message, again);
		assert_int_equal(email_message_get_version(message),
				 email_message_get_version(again));
	}
	buffer_free(&out);
	email_message_unref(&message);
	email_message_unref(&again);
}

/* The line's last word becomes its checksum. */
static char *sum_line(char *line)
{
	char *space = strrchr(line, ' '), *summed;
	int size = space == NULL ? 0 : (int)(space + 1 - line);

	assert_true(asprintf(&summed, "%.*s%08" PRIx32, size, line,
			     crc32c(0, line, (size_t)size)) >= 0);
	free(line);
	return summed;
}

static void try_line(const void *data, size_t size, bool right)
{
	struct file_entry entry, again;
	char *line = strndup(data, size), text[FILE_LINE_MAX];
	const char *why = NULL;

	assert_non_null(line);
	if (right)
		line = sum_line(line);
	memset(&entry, 0, sizeof(entry));
	errno = 0;
	if (strlen(line) >= FILE_LINE_MAX) {
		/* nobody reads it */
	} else if (!file_entry_parse(&entry, line, &why)) {
		assert_true(errno == EINVAL || errno == ENOTSUP);
		assert_true(errno == ENOTSUP || strlen(why) > 0);
	} else {
		file_entry_format(&entry, text);
		assert_int_equal(text[strlen(text) - 1], '\n');
		text[strlen(text) - 1] = '\0';
		memset(&again, 0, sizeof(again));
		assert_true(file_entry_parse(&again, text, &why));
		assert_true(again.has_headers_crc);
		again.has_headers_crc = entry.has_headers_crc;
		assert_int_equal(message_id_cmp(&entry.id, &again.id), 0);
		assert_int_equal(entry.version, again.version);
		assert_int_equal(entry.body_len, again.body_len);
		assert_memory_equal(entry.body_hash, again.body_hash,
				    FILE_HASH_SIZE);
		assert_memory_equal(entry.headers_crc, again.headers_crc,
				    FILE_CRC_SIZE);
		assert_string_equal(entry.headers_stack, again.headers_stack);
		assert_string_equal(entry.body_stack, again.body_stack);
	}
	free(line);
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct fuzz_input in = { data, data + size };
	unsigned int choice = fuzz_byte(&in);
	bool right = (choice & FUZZ_CHECKSUM) != 0;
	unsigned int kind =
		(choice & ~(unsigned int)FUZZ_CHECKSUM) % FUZZ_KINDS;
	buffer_t *record;

	data = in.data;
	size = fuzz_left(&in);
	if (kind == FUZZ_LINE) {
		try_line(data, size, right);
		return;
	}
	record = right ? test_record_of(data, size) :
			 buffer_create_dynamic(default_pool, size);
	if (!right)
		buffer_append(record, data, size);
	if (kind == FUZZ_RECORD)
		try_record(record->data, record->used);
	else
		try_states(record->data, record->used);
	buffer_free(&record);
}

void fuzz_setup(void)
{
}

static void seed_text(unsigned int kind, const char *text)
{
	unsigned char choice = (unsigned char)(kind | FUZZ_CHECKSUM);

	fuzz_seed_with(&choice, 1, text, strlen(text));
}

void fuzz_seeds(void)
{
	seed_text(FUZZ_RECORD,
		  TEST_RECORD_HEAD
		  "version 3\narrival 17\nbody-length 99\n"
		  "line-ends lf\nheld\nsender a@example.org\n"
		  "recipient pending b@example.org %\n"
		  "recipient failed %20%C3%A4 too%20late\n"
		  "value smtp size 12\nvalue x % %\nnew line\n");
	seed_text(FUZZ_RECORD, TEST_RECORD_HEAD);
	seed_text(FUZZ_STATES,
		  STATES_HEAD "version 8\n"
			      "states 0 2 delivered %\n"
			      "states 3 1 failed no%20such\n");
	seed_text(FUZZ_LINE,
		  "bobbin-h2 " TEST_RECORD_ID " 4 1234 "
		  "0123456789abcdef0123456789abcdef"
		  "0123456789abcdef0123456789abcdef zstd|age zstd|age "
		  "01234567 89abcdef");
	seed_text(FUZZ_LINE,
		  "bobbin-h1 " TEST_RECORD_ID " 4 1234 "
		  "0123456789abcdef0123456789abcdef"
		  "0123456789abcdef0123456789abcdef plain plain "
		  "89abcdef");
	fuzz_seed_files("\0", 1, "spool-h1");
}
