/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "message-record-format.h"
#include "crc32c.h"
#include "escape-text.h"
#include "number-text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *const message_record_states[MESSAGE_RECORD_STATES] = { "pending",
								   "delivered",
								   "failed" };

void message_record_checksum(const void *data, size_t size,
			     char line_r[CHECKSUM_LINE_SIZE])
{
	uint32_t crc = crc32c(0, data, size);
	unsigned char *digits = (unsigned char *)line_r + sizeof(CHECKSUM) - 1;
	unsigned int i;

	memcpy(line_r, CHECKSUM, sizeof(CHECKSUM) - 1);
	for (i = 0; i < 4; i++)
		hex_escape((unsigned char)(crc >> (24 - 8 * i)),
			   digits + 2 * i);
	line_r[CHECKSUM_LINE_SIZE - 1] = '\n';
}

struct record_writer {
	buffer_t *out;
	size_t end; /* not farther than this, or nobody could read it */
	int error;
};

static bool append(struct record_writer *w, const void *data, size_t size)
{
	if (size > w->end - w->out->used)
		w->error = EFBIG;
	else if (!buffer_try_append(w->out, data, size))
		w->error = ENOMEM;
	else
		return true;
	return false;
}

static bool is_plain(unsigned char c)
{
	return c > 0x20 && c < 0x7f && c != '%';
}

/* A space, a percent sign and what is not printable ASCII become %XX, so that a
   word is a word and a line is a line; the empty word is "%". */
static bool append_word(struct record_writer *w, const char *text)
{
	const unsigned char *p = (const unsigned char *)text, *end;
	unsigned char escaped[3] = { '%' };
	bool ok = append(w, " ", 1);

	if (*p == '\0')
		return ok && append(w, "%", 1);
	while (ok && *p != '\0') {
		for (end = p; is_plain(*end);)
			end++;
		if (end > p) {
			ok = append(w, p, (size_t)(end - p));
			p = end;
			continue;
		}
		hex_escape(*p++, escaped + 1);
		ok = append(w, escaped, 3);
	}
	return ok;
}

static bool append_text(struct record_writer *w, const char *text)
{
	return append(w, text, strlen(text));
}

static bool append_number(struct record_writer *w, const char *field,
			  uint64_t number)
{
	char text[NUMBER_TEXT_SIZE + 1];
	const char *digits = number_to_text(number, text);

	text[NUMBER_TEXT_SIZE] = '\n';
	return append_text(w, field) && append(w, " ", 1) &&
		append(w, digits, (size_t)(text + sizeof(text) - digits));
}

static bool append_recipients(struct record_writer *w,
			      const email_message *message)
{
	unsigned int i, count = email_message_recipient_count(message);
	enum email_recipient_state state;
	const char *reason;

	for (i = 0; i < count; i++) {
		state = email_message_get_recipient_state(message, i, &reason);
		if (!append_text(w, "recipient") ||
		    !append_word(w, message_record_states[state]) ||
		    !append_word(w, email_message_get_recipient(message, i)) ||
		    !append_word(w, reason) || !append_text(w, "\n"))
			return false;
	}
	return true;
}

static bool append_values(struct record_writer *w, const email_message *message)
{
	const char *context, *name, *value;
	unsigned int i;

	for (i = 0;
	     email_message_get_value_at(message, i, &context, &name, &value);
	     i++) {
		if (!append_text(w, "value") || !append_word(w, context) ||
		    !append_word(w, name) || !append_word(w, value) ||
		    !append_text(w, "\n"))
			return false;
	}
	return true;
}

static bool append_head(struct record_writer *w, const char *magic,
			const email_message *message)
{
	char id[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(&message->message_id, id);
	return append_text(w, magic) && append_text(w, "\nid ") &&
		append_text(w, id) &&
		append_number(w, "\nversion",
			      email_message_get_version(message));
}

static bool append_fields(struct record_writer *w, const email_message *message)
{
	unsigned int flags = email_message_get_flags(message), i;
	const char *line;

	if (!append_head(w, MAGIC, message) ||
	    !append_number(w, "arrival", email_message_get_arrival(message)) ||
	    !append_number(w, "body-length", message->body_len))
		return false;
	if ((flags & EMAIL_MESSAGE_LINE_ENDS_LF) != 0 &&
	    !append_text(w, "line-ends lf\n"))
		return false;
	if ((flags & EMAIL_MESSAGE_HELD) != 0 && !append_text(w, "held\n"))
		return false;
	if (!append_text(w, "sender") ||
	    !append_word(w, email_message_get_sender(message)) ||
	    !append_text(w, "\n"))
		return false;
	if (!append_recipients(w, message) || !append_values(w, message))
		return false;
	for (i = 0; (line = email_message_get_unknown(message, i)) != NULL;
	     i++) {
		if (!append_text(w, line) || !append_text(w, "\n"))
			return false;
	}
	return true;
}

/* Whether both have changed, to the same. */
static bool is_as(const email_message *message, unsigned int a, unsigned int b)
{
	const char *reason_a, *reason_b;

	return email_message_recipient_changed(message, b) &&
		email_message_get_recipient_state(message, a, &reason_a) ==
		email_message_get_recipient_state(message, b, &reason_b) &&
		strcmp(reason_a, reason_b) == 0;
}

static bool append_states(struct record_writer *w, const email_message *message)
{
	unsigned int i, end, count = email_message_recipient_count(message);
	enum email_recipient_state state;
	const char *reason;
	char head[64];

	if (!append_head(w, STATES_MAGIC, message))
		return false;
	for (i = 0; i < count; i = end) {
		end = i + 1;
		if (!email_message_recipient_changed(message, i))
			continue;
		while (end < count && is_as(message, i, end))
			end++;
		state = email_message_get_recipient_state(message, i, &reason);
		(void)snprintf(head, sizeof(head), "states %u %u", i, end - i);
		if (!append_text(w, head) ||
		    !append_word(w, message_record_states[state]) ||
		    !append_word(w, reason) || !append_text(w, "\n"))
			return false;
	}
	return true;
}

typedef bool append_t(struct record_writer *w, const email_message *message);

static int write_record(const email_message *message, buffer_t *out,
			append_t *append_all)
{
	size_t start = out->used;
	struct record_writer w = { .out = out,
				   .end = start + MESSAGE_RECORD_MAX };
	char line[CHECKSUM_LINE_SIZE];

	if (append_all(&w, message)) {
		message_record_checksum(out->data + start, out->used - start,
					line);
		if (append(&w, line, sizeof(line)))
			return 0;
	}
	buffer_set_used_size(out, start);
	errno = w.error;
	return -1;
}

int message_record_write(const email_message *message, buffer_t *out)
{
	return write_record(message, out, append_fields);
}

int message_record_write_states(const email_message *message, buffer_t *out)
{
	return write_record(message, out, append_states);
}
