/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Messages as JSON lines; names are postqueue's where they fit. */

#include "config.h"
#include "spool-common.h"

#ifdef HAVE_JANSSON
#include <jansson.h>
#include <stdio.h>

static void print_json(json_t *object)
{
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static json_t *id_json(const message_id *id)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	return json_string(text);
}

/* Text from outside that may not be UTF-8. */
static json_t *text_json(const char *text)
{
	json_t *value = json_string(text);

	return value != NULL ? value : json_string("(not UTF-8)");
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
	(void)json_object_set_new(object, name,
				  json_integer((json_int_t)number));
}

void spool_json_entry(const struct spool_entry *entry)
{
	json_t *object = json_object();

	(void)json_object_set_new(object, "queue_id", id_json(&entry->id));
	set_number(object, "arrival_time",
		   message_id_get_msecs(&entry->id) / 1000);
	set_number(object, "message_size", entry->body_len);
	set_number(object, "stored_size", entry->stored_size);
	set_number(object, "version", entry->version);
	(void)json_object_set_new(object, "headers_stack",
				  text_json(entry->headers_stack));
	(void)json_object_set_new(object, "body_stack",
				  text_json(entry->body_stack));
	if (entry->problem != NULL)
		(void)json_object_set_new(object, "problem",
					  text_json(entry->problem));
	print_json(object);
}

void spool_json_totals(const struct spool_totals *totals)
{
	json_t *object = json_object();

	set_number(object, "messages", totals->messages);
	set_number(object, "damaged", totals->damaged);
	set_number(object, "message_bytes", totals->wire_bytes);
	set_number(object, "stored_bytes", totals->stored_bytes);
	print_json(object);
}

static json_t *recipient_json(const email_message *message, unsigned int i)
{
	static const char *const states[] = { "pending", "delivered",
					      "failed" };
	enum email_recipient_state state;
	json_t *object = json_object();
	const char *reason;

	state = email_message_get_recipient_state(message, i, &reason);
	(void)json_object_set_new(
		object, "address",
		text_json(email_message_get_recipient(message, i)));
	(void)json_object_set_new(object, "state", json_string(states[state]));
	if (*reason != '\0')
		(void)json_object_set_new(object, "delay_reason",
					  text_json(reason));
	return object;
}

void spool_json_message(const email_message *message)
{
	json_t *object = json_object(), *list = json_array();
	unsigned int i;

	(void)json_object_set_new(object, "queue_id",
				  id_json(&message->message_id));
	set_number(object, "arrival_time",
		   email_message_get_arrival(message) / 1000);
	set_number(object, "message_size", message->body_len);
	set_number(object, "version", email_message_get_version(message));
	(void)json_object_set_new(object, "sender",
				  text_json(email_message_get_sender(message)));
	for (i = 0; i < email_message_recipient_count(message); i++)
		(void)json_array_append_new(list, recipient_json(message, i));
	(void)json_object_set_new(object, "recipients", list);
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

void spool_json_message(const email_message *message)
{
	(void)message;
}

#endif
