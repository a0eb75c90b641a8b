/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_EMAIL_MESSAGE_H
#define BOBBIN_EMAIL_MESSAGE_H

/* A message in memory: the envelope, and the body as a stream. Reference counted;
   used by one thread at a time. Setters copy what they are given. */

#include "message-id.h"

BOBBIN_BEGIN_DECLS

struct istream;

typedef struct email_message email_message;

/* The members that the hook interface names; the rest by the calls below. */
struct email_message {
	struct message_id message_id;
	/* The body in SMTP wire form (RFC 5321 4.5.2: CRLF line ends, dots
	   doubled, the closing CR LF . CR LF included), from its beginning; a
	   reference of the message's. NULL: not read yet. Nobody looks whether it
	   is that when it is stored, and spool_verify() looks for its end alone:
	   it comes from the dot stream (o_stream_create_dot(),
	   i_stream_create_transform() with transform_create_dot_encoder()), or is
	   what a client sent behind DATA. */
	struct istream *body;
	/* Octets of the wire form; 0: not known yet. Where it is not 0 and wrong, storing
	   fails: also that of headers alone, where it is that of another body than the
	   stored one. */
	uint64_t body_len;

	struct email_message_private *priv;
};

enum email_recipient_state {
	EMAIL_RECIPIENT_PENDING,
	EMAIL_RECIPIENT_DELIVERED,
	EMAIL_RECIPIENT_FAILED
};

enum email_message_flags {
	/* the original had LF line ends: who exports it gives it those back */
	EMAIL_MESSAGE_LINE_ENDS_LF = 0x01,
	/* not to be delivered until it is released */
	EMAIL_MESSAGE_HELD = 0x02
};

/* Longest address, name, value; most recipients, parameters. */
#define EMAIL_TEXT_MAX 65536
#define EMAIL_RECIPIENTS_MAX 100000
#define EMAIL_PARAMETERS_MAX 10000

/* The last version: a message of it is read and removed, and not written any more. */
#define EMAIL_VERSION_MAX (UINT64_MAX - 1)

/* A message with one reference and nothing in it but the id. Never NULL. */
email_message *email_message_new(const struct message_id *id);
/* Takes one more reference, to be dropped by email_message_unref(). */
void email_message_ref(email_message *message);
/* Drops a reference, the last of which frees the message and drops its body, and sets
   the pointer to NULL; NULL is allowed. */
void email_message_unref(email_message **message);

/* Sets the body and its octets (0: not known yet); takes a reference on the stream, and
   drops that on the one before. NULL: no body. */
void email_message_set_body(email_message *message, struct istream *body,
			    uint64_t body_len);

/* The envelope sender, "" for the null sender, which is also what a new message has. 0,
   or, as all setters that return something, -1 with EINVAL where a text is too long,
   there are too many, or it is none of the values that there are, or with ENOMEM;
   nothing has changed then. What a getter gives is valid until that is set again, cleared
   or freed. */
int email_message_set_sender(email_message *message, const char *sender);
const char *email_message_get_sender(const email_message *message);
/* Adds a recipient behind the others, with the state PENDING. 0 or -1. */
int email_message_add_recipient(email_message *message, const char *address);
/* How many recipients there are. */
unsigned int email_message_recipient_count(const email_message *message);
/* The address of recipient i, 0 being the first; panics where there is none of this
   number. */
const char *email_message_get_recipient(const email_message *message,
					unsigned int i);
/* The state of recipient i, and why in *reason_r (may be NULL), "" where nothing is
   known. */
enum email_recipient_state
email_message_get_recipient_state(const email_message *message, unsigned int i,
				  const char **reason_r);
/* Sets the state of recipient i, and why ("": nothing to say). 0 or -1. */
int email_message_set_recipient_state(email_message *message, unsigned int i,
				      enum email_recipient_state state,
				      const char *reason);
/* When it was received, in milliseconds since 1970; 0 until it is set, which nobody else
   does. (The time in its id is ahead of the clock where the clock was set back since the
   spool was made.) */
void email_message_set_arrival(email_message *message, uint64_t msecs);
uint64_t email_message_get_arrival(const email_message *message);
/* What else is to be known of it: enum email_message_flags, 0 for a new message. Others
   are refused. */
int email_message_set_flags(email_message *message, unsigned int flags);
unsigned int email_message_get_flags(const email_message *message);

/* Named values, each in a named context ("smtp", an application's own). Setting
   replaces, value NULL removes: 0 or -1. Getting one that is not set gives NULL. */
int email_message_set_value(email_message *message, const char *context,
			    const char *name, const char *value);
const char *email_message_get_value(const email_message *message,
				    const char *context, const char *name);
/* Value i of all, 0 being the first, with its context and name; false behind the last. A
   removal moves those behind it down. */
bool email_message_get_value_at(const email_message *message, unsigned int i,
				const char **context_r, const char **name_r,
				const char **value_r);

/* Counts the headers' writes: 0 before the first. Set by the spool. */
uint64_t email_message_get_version(const email_message *message);
void email_message_set_version(email_message *message, uint64_t version);
/* The version that the first write of a new message gives it, 1 if it was not set: a
   copy from another spool goes on counting. From 1 to EMAIL_VERSION_MAX, else -1 with
   EINVAL. */
int email_message_set_first_version(email_message *message, uint64_t version);
uint64_t email_message_get_first_version(const email_message *message);
/* The version that is stored whole, beside which nothing but states of recipients has
   changed: those for which email_message_recipient_changed() says so. 0: there is none,
   or something else was changed, too. Set by a store that writes states alone. */
uint64_t email_message_get_base_version(const email_message *message);
void email_message_set_base_version(email_message *message, uint64_t version);
/* Whether the state of recipient i was changed since the base version was set. */
bool email_message_recipient_changed(const email_message *message,
				     unsigned int i);
/* Whether a write of what was stored before has failed: until one succeeds the
   spool asks modules with force, since one of them may have the new state and think
   it written. Set by the spool; email_message_clear() does not forget it. */
bool email_message_get_write_failed(const email_message *message);
void email_message_set_write_failed(email_message *message, bool failed);
/* A store's own note about where the body is: kept with the message in memory,
   not part of its record. NULL: none. */
void email_message_set_store_note(email_message *message, const char *note);
const char *email_message_get_store_note(const email_message *message);
/* The octets of the body that the note is about: body_len as it was when that was set. */
uint64_t email_message_get_stored_len(const email_message *message);
/* Lines of a record that a newer version wrote, and that are kept for it: without
   their LF. 0, or -1 with EINVAL for one that has an LF in it, does not begin with the
   name of a field (1 to 31 octets, up to a space) or with one that this version knows, or
   where there are too many (EMAIL_PARAMETERS_MAX), or with ENOMEM. */
int email_message_add_unknown(email_message *message, const char *line);
/* Line i of these, 0 being the first; NULL behind the last. */
const char *email_message_get_unknown(const email_message *message,
				      unsigned int i);
/* Forgets everything but the id (and that a write failed): what a read starts
   from. */
void email_message_clear(email_message *message);

BOBBIN_END_DECLS

#endif
