/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is done to a spool, and written down as acknowledged. */

#include "config.h"
#include "crash-spool-private.h"
#include "istream.h"
#include "module-journal-private.h"
#include "spool-private.h"
#include "test-common.h"

#include <stdlib.h>

message_id crash_ids[CRASH_MESSAGES];
char *crash_bodies[CRASH_MESSAGES], *crash_changed[CRASH_MESSAGES];
static char headers_value[40000];
static unsigned int recipients;
/* The header, 15 blocks of records, and the footer's. */
#define SEGMENT_SIZE 69632
static unsigned int segment_size = SEGMENT_SIZE;
static bool has_upkeep;

/* Lines of letters, as different as messages are. */
static void make_body(char **body, unsigned int i, size_t size,
		      const char *subject)
{
	static const char end[] = "\r\n.\r\n";
	uint32_t seed = i + 1;
	size_t pos;

	free(*body);
	*body = malloc(size + 128);
	assert_non_null(*body);
	pos = (size_t)snprintf(*body, 64, "Subject: %s %u\r\n\r\n", subject, i);
	for (; pos < size; pos++) {
		(*body)[pos] = (char)('a' + (test_random(&seed) >> 8) % 26);
		if (pos % 64 == 63) {
			memcpy(*body + pos - 1, "\r\n", 2);
		}
	}
	memcpy(*body + pos, end, sizeof(end));
}

static void set_body(email_message *message, const char *text)
{
	struct istream *input = i_stream_create_from_data(text, strlen(text));

	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
}

struct spool *crash_spool_open(const char *dir)
{
	struct spool *spool;
	char *error;

	spool = spool_open(dir, 0, NULL, &error);
	if (spool == NULL)
		fail_msg("%s", error);
	return spool;
}

struct journal *crash_journal(struct spool *spool)
{
	return journal_store(spool->store)->journal;
}

void crash_spool_prepare(const struct spool_settings *settings,
			 enum crash_sync left_out)
{
	const char *dir = test_path("work");
	char path[600], *error;
	unsigned int i;
	FILE *conf;

	for (i = 0; i < CRASH_MESSAGES; i++) {
		free(crash_bodies[i]);
		free(crash_changed[i]);
		crash_bodies[i] = crash_changed[i] = NULL;
	}
	test_remove_tree(dir);
	if (spool_init(dir, settings, &error) < 0)
		fail_msg("%s", error);
	if (settings->store != NULL &&
	    strcmp(settings->store, "journal") == 0) {
		(void)snprintf(path, sizeof(path), "%s/spool.conf", dir);
		conf = fopen(path, "a");
		assert_non_null(conf);
		assert_true(
			fprintf(conf, "segment-size = %u\ncompaction = %s\n",
				segment_size, has_upkeep ? "on" : "off") > 0);
		assert_int_equal(fclose(conf), 0);
	}
	crash_forget();
	crash_leave_out(left_out);
	crash_record_begin(dir);
}

struct spool *crash_spool_begin(const struct spool_settings *settings,
				enum crash_sync left_out)
{
	crash_spool_prepare(settings, left_out);
	return crash_spool_open(test_path("work"));
}

struct spool *crash_journal_begin(const char *body_stack,
				  enum crash_sync left_out)
{
	struct spool_settings settings = { .body = body_stack,
					   .store = "journal" };

	return crash_spool_begin(&settings, left_out);
}

void crash_spool_end(struct spool **spool)
{
	spool_close(spool);
	crash_record_end();
}

void crash_set_segment_size(unsigned int size)
{
	segment_size = size == 0 ? SEGMENT_SIZE : size;
}

void crash_set_upkeep(bool on)
{
	has_upkeep = on;
}

void crash_set_headers_size(size_t size)
{
	assert_true(size < sizeof(headers_value));
	memset(headers_value, 'v', size);
	headers_value[size] = '\0';
}

void crash_set_recipients(unsigned int count)
{
	recipients = count;
}

email_message *crash_message(struct spool *spool, unsigned int i, size_t size)
{
	email_message *message;
	unsigned int n;

	assert_true(i < CRASH_MESSAGES);
	make_body(&crash_bodies[i], i, size, "number");
	spool_new_id(spool, &crash_ids[i]);
	message = email_message_new(&crash_ids[i]);
	set_body(message, crash_bodies[i]);
	for (n = 0; n < recipients; n++)
		assert_int_equal(email_message_add_recipient(message, "a@b"),
				 0);
	if (headers_value[0] != '\0')
		assert_int_equal(email_message_set_value(message, "x", "y",
							 headers_value),
				 0);
	return message;
}

const message_id *crash_id(unsigned int i)
{
	return &crash_ids[i];
}

int crash_put(struct spool *spool, unsigned int i, size_t size)
{
	email_message *message = crash_message(spool, i, size);
	int answer = spool_put(spool, message);

	if (answer == IO_DONE)
		crash_note_stored(i);
	email_message_unref(&message);
	return answer;
}

static int write_changed_body(struct spool *spool, email_message *message,
			      unsigned int i)
{
	make_body(&crash_changed[i], i, strlen(crash_bodies[i]) / 2, "not");
	set_body(message, crash_changed[i]);
	return spool_writebody(spool, IO_SYNCHRONOUS, message, 0);
}

void crash_begin_rewrite(struct spool *spool, unsigned int i)
{
	email_message *message;

	assert_int_equal(spool_get(spool, &crash_ids[i], &message), IO_DONE);
	assert_int_equal(write_changed_body(spool, message, i), IO_DONE);
	email_message_unref(&message);
}

int crash_rewrite(struct spool *spool, unsigned int i, bool body)
{
	email_message *message;
	int answer = IO_DONE;

	assert_int_equal(spool_get(spool, &crash_ids[i], &message), IO_DONE);
	assert_int_equal(email_message_set_value(message, "x", "y", "z"), 0);
	if (body)
		answer = write_changed_body(spool, message, i);
	if (answer == IO_DONE)
		answer = spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0);
	if (answer == IO_DONE)
		crash_note_rewritten(i);
	email_message_unref(&message);
	return answer;
}

int crash_deliver(struct spool *spool, unsigned int i)
{
	email_message *message;
	unsigned int n;
	int answer;

	assert_int_equal(spool_get(spool, &crash_ids[i], &message), IO_DONE);
	n = (unsigned int)email_message_get_version(message) - 1;
	assert_int_equal(email_message_set_recipient_state(
				 message, n, EMAIL_RECIPIENT_DELIVERED, "ok"),
			 0);
	answer = spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0);
	if (answer == IO_DONE)
		crash_note_rewritten(i);
	email_message_unref(&message);
	return answer;
}

int crash_remove(struct spool *spool, unsigned int i)
{
	int answer;

	crash_note_removing(i);
	answer = spool_remove(spool, &crash_ids[i]);
	if (answer == IO_DONE)
		crash_note_absent(i);
	return answer;
}

uint64_t crash_compact(struct spool *spool)
{
	uint64_t moved;
	char *error;

	if (spool_compact(spool, &moved, &error) < 0)
		fail_msg("%s", error);
	return moved;
}

void crash_must_put(struct spool *spool, unsigned int i, size_t size)
{
	assert_int_equal(crash_put(spool, i, size), IO_DONE);
}

void crash_must_rewrite(struct spool *spool, unsigned int i, bool body)
{
	assert_int_equal(crash_rewrite(spool, i, body), IO_DONE);
}

void crash_must_remove(struct spool *spool, unsigned int i)
{
	assert_int_equal(crash_remove(spool, i), IO_DONE);
}

void crash_note_stored(unsigned int i)
{
	crash_record_event(STORED + (int)i);
}

void crash_note_removing(unsigned int i)
{
	crash_record_event(REMOVING + (int)i);
}

void crash_note_rewritten(unsigned int i)
{
	crash_record_event(REWRITTEN + (int)i);
}

void crash_note_absent(unsigned int i)
{
	crash_record_event(REMOVED + (int)i);
}

void crash_note_not_rewritten(unsigned int i)
{
	crash_record_event(NOT_REWRITTEN + (int)i);
}

void crash_note_damaged(unsigned int i)
{
	crash_record_event(DAMAGED + (int)i);
}
