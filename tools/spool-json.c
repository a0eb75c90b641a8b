/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Messages as JSON lines; names are postqueue's where they fit. */

#include "config.h"
#include "spool-common.h"

#ifdef HAVE_JANSSON
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_json(json_t *object)
{
	/* ASCII: nothing in it is a command to a terminal */
	(void)json_dumpf(object, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(object);
}

static json_t *id_json(const message_id *id)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	return json_string(text);
}

/* U+FFFD for each byte that is not UTF-8; free() it. */
static char *replace_bytes(const char *text)
{
	char *copy = malloc(strlen(text) * 3 + 1), *out = copy;
	size_t size;

	for (; out != NULL && *text != '\0'; text += size) {
		size = tool_utf8_size(text);
		memcpy(out, size == 0 ? "\xef\xbf\xbd" : text,
		       size == 0 ? 3 : size);
		out += size == 0 ? 3 : size;
		size = size == 0 ? 1 : size;
	}
	if (out != NULL)
		*out = '\0';
	return copy;
}

/* Text from outside. JSON cannot hold what is not UTF-8: then NAME_base64 has the
   bytes, and NAME something to look at. */
static void set_text(json_t *object, const char *name, const char *text)
{
	size_t size = strlen(text),
	       encoded = sodium_base64_ENCODED_LEN(
		       size, sodium_base64_VARIANT_ORIGINAL);
	char bytes_name[64], *copy;
	json_t *value = json_string(text);

	if (value != NULL) {
		(void)json_object_set_new(object, name, value);
		return;
	}
	copy = replace_bytes(text);
	(void)json_object_set_new(object, name,
				  json_string(copy == NULL ? "" : copy));
	free(copy);
	copy = malloc(encoded);
	if (copy == NULL)
		return;
	(void)sodium_bin2base64(copy, encoded, (const unsigned char *)text,
				size, sodium_base64_VARIANT_ORIGINAL);
	(void)snprintf(bytes_name, sizeof(bytes_name), "%s_base64", name);
	(void)json_object_set_new(object, bytes_name, json_string(copy));
	free(copy);
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
	(void)json_object_set_new(object, name,
				  json_integer((json_int_t)number));
}

/* What a program may want to know of a problem, beside the sentence. */
static const char *kind_of_problem(int error)
{
	switch (error) {
	case EINVAL:
		return "damaged";
	case EILSEQ:
		return "malformed";
	case ENOKEY:
		return "no-key";
	default:
		return "unread";
	}
}

/* What the store tells of a message. */
static void set_stored(json_t *object, const struct spool_entry *entry)
{
	set_number(object, "stored_size", entry->stored_size);
	set_text(object, "headers_stack", entry->headers_stack);
	set_text(object, "body_stack", entry->body_stack);
	if (entry->problem == NULL)
		return;
	set_text(object, "problem", entry->problem);
	set_text(object, "problem_kind", kind_of_problem(entry->error));
}

void spool_json_entry(const struct spool_entry *entry)
{
	json_t *object = json_object();

	(void)json_object_set_new(object, "queue_id", id_json(&entry->id));
	set_number(object, "arrival_time",
		   message_id_get_msecs(&entry->id) / 1000);
	set_number(object, "message_size", entry->body_len);
	set_number(object, "version", entry->version);
	set_stored(object, entry);
	print_json(object);
}

static void set_segments(json_t *object, const struct spool_stats *stats)
{
	set_number(object, "live_segments", stats->live_segments);
	set_number(object, "dead_segments", stats->dead_segments);
	set_number(object, "blank_segments", stats->blank_segments);
	set_number(object, "cut_segments", stats->cut_segments);
	set_number(object, "segment_bytes", stats->segment_bytes);
	set_number(object, "live_records", stats->live_records);
	set_number(object, "records", stats->records);
}

void spool_json_totals(const struct spool_totals *totals)
{
	json_t *object = json_object();

	set_number(object, "messages", totals->messages);
	set_number(object, "damaged", totals->damaged);
	if (totals->verifies)
		set_number(object, "malformed", totals->malformed);
	set_number(object, "unread", totals->unread);
	set_number(object, "quarantined", totals->strays.quarantined);
	set_number(object, "quarantined_parts",
		   totals->strays.quarantined_parts);
	set_number(object, "message_bytes", totals->wire_bytes);
	set_number(object, "stored_bytes", totals->stored_bytes);
	set_number(object, "stray_bodies", totals->strays.bodies);
	set_number(object, "stray_files", totals->strays.temporary);
	set_number(object, "stray_bytes", totals->strays.bytes);
	set_number(object, "misplaced_files", totals->strays.misplaced);
	if (spool_has_segments(&totals->stats))
		set_segments(object, &totals->stats);
	print_json(object);
}

static json_t *recipient_json(const email_message *message, unsigned int i)
{
	enum email_recipient_state state;
	json_t *object = json_object();
	const char *reason;

	state = email_message_get_recipient_state(message, i, &reason);
	set_text(object, "address", email_message_get_recipient(message, i));
	(void)json_object_set_new(object, "state",
				  json_string(spool_recipient_state(state)));
	if (*reason != '\0')
		set_text(object, "delay_reason", reason);
	return object;
}

static json_t *values_json(const email_message *message)
{
	json_t *list = json_array(), *object;
	const char *context, *name, *value;
	unsigned int i;

	for (i = 0;
	     email_message_get_value_at(message, i, &context, &name, &value);
	     i++) {
		object = json_object();
		set_text(object, "context", context);
		set_text(object, "name", name);
		set_text(object, "value", value);
		(void)json_array_append_new(list, object);
	}
	return list;
}

void spool_json_message(const email_message *message,
			const struct spool_entry *entry)
{
	json_t *object = json_object(), *list = json_array();
	unsigned int i, flags = email_message_get_flags(message);

	(void)json_object_set_new(object, "queue_id",
				  id_json(&message->message_id));
	if (email_message_get_arrival(message) == 0)
		(void)json_object_set_new(object, "arrival_time", json_null());
	else
		set_number(object, "arrival_time",
			   email_message_get_arrival(message) / 1000);
	set_number(object, "message_size", message->body_len);
	set_number(object, "version", email_message_get_version(message));
	if (entry != NULL)
		set_stored(object, entry);
	(void)json_object_set_new(object, "held",
				  json_boolean((flags & EMAIL_MESSAGE_HELD) !=
					       0));
	set_text(object, "sender", email_message_get_sender(message));
	for (i = 0; i < email_message_recipient_count(message); i++)
		(void)json_array_append_new(list, recipient_json(message, i));
	(void)json_object_set_new(object, "recipients", list);
	(void)json_object_set_new(object, "values", values_json(message));
	print_json(object);
}

void spool_json_migrated(const struct spool_migrated *what)
{
	json_t *object = json_object();

	(void)json_object_set_new(object, "queue_id", id_json(&what->id));
	/* none is so short: it was not read */
	if (what->body_len > 0)
		set_number(object, "message_size", what->body_len);
	set_text(object, "result",
		 what->problem != NULL   ? "left" :
			 what->was_there ? "was there" :
					   "copied");
	if (what->problem != NULL)
		set_text(object, "problem", what->problem);
	print_json(object);
}

void spool_json_migrate_counts(const struct spool_migrate_counts *counts)
{
	json_t *object = json_object();

	set_number(object, "copied", counts->copied);
	set_number(object, "were_there", counts->were_there);
	set_number(object, "left", counts->left);
	print_json(object);
}

#else

/* --json was refused: these are not called. */
void spool_json_entry(const struct spool_entry *entry)
{
	(void)entry;
}

void spool_json_totals(const struct spool_totals *totals)
{
	(void)totals;
}

void spool_json_message(const email_message *message,
			const struct spool_entry *entry)
{
	(void)message;
	(void)entry;
}

void spool_json_migrated(const struct spool_migrated *what)
{
	(void)what;
}

void spool_json_migrate_counts(const struct spool_migrate_counts *counts)
{
	(void)counts;
}

#endif
