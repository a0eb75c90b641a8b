/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "email-message.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"
#include "message-record.h"
#include "panic.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define FLAGS_ALL (EMAIL_MESSAGE_LINE_ENDS_LF | EMAIL_MESSAGE_HELD)

struct recipient {
	char *address;
	char *reason;
	enum email_recipient_state state;
	bool changed; /* since the base version */
};

struct value {
	char *context;
	char *name;
	char *value;
};

/* An array that grows; its elements are the caller's business. */
struct grow_array {
	void *items;
	unsigned int count, alloc;
};

struct email_message_private {
	char *sender;
	struct grow_array recipients; /* struct recipient */
	struct grow_array values;     /* struct value */
	struct grow_array unknown;    /* char * */
	uint64_t arrival;
	uint64_t version;
	uint64_t versions_before; /* those that another spool counted */
	uint64_t base_version;
	unsigned int flags;
	char *store_note;
	uint64_t stored_len;
	bool write_failed;
};

/* References come and go on one thread while another one fills the message in. */
struct counted_message {
	email_message message;
	atomic_int refcount;
};

static atomic_int *refcount_of(email_message *message)
{
	return &container_of(message, struct counted_message, message)
			->refcount;
}

/* A new zeroed element at the end; NULL with errno. */
static void *array_add(struct grow_array *array, size_t size, unsigned int max)
{
	unsigned int alloc = array->alloc == 0 ? 4 : array->alloc * 2;
	void *items;

	if (array->count == max) {
		errno = EINVAL;
		return NULL;
	}
	if (array->count == array->alloc) {
		items = try_realloc(array->items, alloc * size);
		if (items == NULL) {
			errno = ENOMEM;
			return NULL;
		}
		array->items = items;
		array->alloc = alloc;
	}
	return memset((char *)array->items + array->count++ * size, 0, size);
}

/* Not a recipient's state. */
static void note_change(email_message *message)
{
	message->priv->base_version = 0;
}

static struct recipient *recipients(const email_message *message)
{
	return message->priv->recipients.items;
}

static struct value *values(const email_message *message)
{
	return message->priv->values.items;
}

email_message *email_message_new(const struct message_id *id)
{
	struct counted_message *counted = i_new(struct counted_message, 1);

	counted->message.message_id = *id;
	counted->message.priv = i_new(struct email_message_private, 1);
	atomic_init(&counted->refcount, 1);
	return &counted->message;
}

void email_message_ref(email_message *message)
{
	(void)atomic_fetch_add(refcount_of(message), 1);
}

static void free_value(struct value *value)
{
	i_free(value->context);
	i_free(value->name);
	i_free(value->value);
}

void email_message_clear(email_message *message)
{
	struct email_message_private *priv = message->priv;
	char **unknown = priv->unknown.items;
	bool write_failed = priv->write_failed;
	unsigned int i;

	i_stream_unref(&message->body);
	message->body_len = 0;
	for (i = 0; i < priv->recipients.count; i++) {
		i_free(recipients(message)[i].address);
		i_free(recipients(message)[i].reason);
	}
	for (i = 0; i < priv->values.count; i++)
		free_value(&values(message)[i]);
	for (i = 0; i < priv->unknown.count; i++)
		i_free(unknown[i]);
	i_free(priv->recipients.items);
	i_free(priv->values.items);
	i_free(priv->unknown.items);
	i_free(priv->sender);
	i_free(priv->store_note);
	memset(priv, 0, sizeof(*priv));
	/* modules have not forgotten what they were given then */
	priv->write_failed = write_failed;
}

void email_message_unref(email_message **_message)
{
	email_message *message = *_message;

	*_message = NULL;
	if (message == NULL || atomic_fetch_sub(refcount_of(message), 1) > 1)
		return;
	email_message_clear(message);
	i_free(message->priv);
	i_free(container_of(message, struct counted_message, message));
}

void email_message_set_body(email_message *message, struct istream *body,
			    uint64_t body_len)
{
	if (body != NULL)
		i_stream_ref(body);
	i_stream_unref(&message->body);
	message->body = body;
	message->body_len = body_len;
}

static bool text_is_good(const char *text)
{
	if (strlen(text) <= EMAIL_TEXT_MAX)
		return true;
	errno = EINVAL;
	return false;
}

static int replace_text(char **slot, const char *text)
{
	char *copy;

	if (!text_is_good(text))
		return -1;
	copy = i_strdup(text);
	i_free(*slot);
	*slot = copy;
	return 0;
}

int email_message_set_sender(email_message *message, const char *sender)
{
	note_change(message);
	return replace_text(&message->priv->sender, sender);
}

const char *email_message_get_sender(const email_message *message)
{
	return message->priv->sender != NULL ? message->priv->sender : "";
}

int email_message_add_recipient(email_message *message, const char *address)
{
	struct recipient *recipient;

	if (!text_is_good(address))
		return -1;
	note_change(message);
	recipient = array_add(&message->priv->recipients, sizeof(*recipient),
			      EMAIL_RECIPIENTS_MAX);
	if (recipient == NULL)
		return -1;
	recipient->address = i_strdup(address);
	return 0;
}

unsigned int email_message_recipient_count(const email_message *message)
{
	return message->priv->recipients.count;
}

static struct recipient *get_recipient(const email_message *message,
				       unsigned int i)
{
	i_assert(i < message->priv->recipients.count);
	return &recipients(message)[i];
}

const char *email_message_get_recipient(const email_message *message,
					unsigned int i)
{
	return get_recipient(message, i)->address;
}

enum email_recipient_state
email_message_get_recipient_state(const email_message *message, unsigned int i,
				  const char **reason_r)
{
	const struct recipient *recipient = get_recipient(message, i);

	if (reason_r != NULL)
		*reason_r = recipient->reason != NULL ? recipient->reason : "";
	return recipient->state;
}

int email_message_set_recipient_state(email_message *message, unsigned int i,
				      enum email_recipient_state state,
				      const char *reason)
{
	struct recipient *recipient = get_recipient(message, i);
	const char *old_reason;

	if ((unsigned int)state > EMAIL_RECIPIENT_FAILED) {
		errno = EINVAL;
		return -1;
	}
	if (email_message_get_recipient_state(message, i, &old_reason) ==
		    state &&
	    strcmp(old_reason, reason) == 0)
		return 0;
	if (replace_text(&recipient->reason, reason) < 0)
		return -1;
	recipient->state = state;
	recipient->changed = true;
	return 0;
}

bool email_message_recipient_changed(const email_message *message,
				     unsigned int i)
{
	return get_recipient(message, i)->changed;
}

uint64_t email_message_get_base_version(const email_message *message)
{
	return message->priv->base_version;
}

void email_message_set_base_version(email_message *message, uint64_t version)
{
	unsigned int i;

	message->priv->base_version = version;
	for (i = 0; i < message->priv->recipients.count; i++)
		recipients(message)[i].changed = false;
}

void email_message_set_arrival(email_message *message, uint64_t msecs)
{
	note_change(message);
	message->priv->arrival = msecs;
}

uint64_t email_message_get_arrival(const email_message *message)
{
	return message->priv->arrival;
}

int email_message_set_flags(email_message *message, unsigned int flags)
{
	/* no record would keep it */
	if ((flags & ~(unsigned int)FLAGS_ALL) != 0) {
		errno = EINVAL;
		return -1;
	}
	note_change(message);
	message->priv->flags = flags;
	return 0;
}

unsigned int email_message_get_flags(const email_message *message)
{
	return message->priv->flags;
}

static struct value *find_value(const email_message *message,
				const char *context, const char *name)
{
	unsigned int i;

	for (i = 0; i < message->priv->values.count; i++) {
		struct value *value = &values(message)[i];

		if (strcmp(value->context, context) == 0 &&
		    strcmp(value->name, name) == 0)
			return value;
	}
	return NULL;
}

static void remove_value(email_message *message, struct value *value)
{
	struct grow_array *array = &message->priv->values;
	size_t behind = array->count - (size_t)(value - values(message)) - 1;

	free_value(value);
	memmove(value, value + 1, behind * sizeof(*value));
	array->count--;
}

int email_message_set_value(email_message *message, const char *context,
			    const char *name, const char *text)
{
	struct value *value = find_value(message, context, name);

	note_change(message);
	if (text == NULL) {
		if (value != NULL)
			remove_value(message, value);
		return 0;
	}
	if (value != NULL)
		return replace_text(&value->value, text);
	if (!text_is_good(context) || !text_is_good(name) ||
	    !text_is_good(text))
		return -1;
	value = array_add(&message->priv->values, sizeof(*value),
			  EMAIL_PARAMETERS_MAX);
	if (value == NULL)
		return -1;
	value->context = i_strdup(context);
	value->name = i_strdup(name);
	value->value = i_strdup(text);
	return 0;
}

const char *email_message_get_value(const email_message *message,
				    const char *context, const char *name)
{
	const struct value *value = find_value(message, context, name);

	return value == NULL ? NULL : value->value;
}

bool email_message_get_value_at(const email_message *message, unsigned int i,
				const char **context_r, const char **name_r,
				const char **value_r)
{
	const struct value *value;

	if (i >= message->priv->values.count)
		return false;
	value = values(message) + i;
	*context_r = value->context;
	*name_r = value->name;
	*value_r = value->value;
	return true;
}

uint64_t email_message_get_version(const email_message *message)
{
	return message->priv->version;
}

void email_message_set_version(email_message *message, uint64_t version)
{
	message->priv->version = version;
}

int email_message_set_first_version(email_message *message, uint64_t version)
{
	if (version == 0 || version > EMAIL_VERSION_MAX) {
		errno = EINVAL;
		return -1;
	}
	message->priv->versions_before = version - 1;
	return 0;
}

uint64_t email_message_get_first_version(const email_message *message)
{
	return message->priv->versions_before + 1;
}

bool email_message_get_write_failed(const email_message *message)
{
	return message->priv->write_failed;
}

void email_message_set_write_failed(email_message *message, bool failed)
{
	message->priv->write_failed = failed;
}

void email_message_set_store_note(email_message *message, const char *note)
{
	char *copy = i_strdup(note);

	i_free(message->priv->store_note);
	message->priv->store_note = copy;
	message->priv->stored_len = message->body_len;
}

const char *email_message_get_store_note(const email_message *message)
{
	return message->priv->store_note;
}

uint64_t email_message_get_stored_len(const email_message *message)
{
	return message->priv->stored_len;
}

int email_message_add_unknown(email_message *message, const char *line)
{
	char **slot;

	note_change(message);
	/* what would read as another line, or as none, in the record */
	if (strchr(line, '\n') != NULL || !message_record_is_unknown(line)) {
		errno = EINVAL;
		return -1;
	}
	slot = array_add(&message->priv->unknown, sizeof(*slot),
			 EMAIL_PARAMETERS_MAX);
	if (slot == NULL)
		return -1;
	*slot = i_strdup(line);
	return 0;
}

const char *email_message_get_unknown(const email_message *message,
				      unsigned int i)
{
	char **lines = message->priv->unknown.items;

	return i < message->priv->unknown.count ? lines[i] : NULL;
}
