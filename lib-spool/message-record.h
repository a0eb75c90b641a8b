/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MESSAGE_RECORD_H
#define BOBBIN_MESSAGE_RECORD_H

/* The stored form of everything about a message but its body: text, one field a
   line, ended by its own checksum. doc/spool-format.md describes it. Not
   installed. */

#include "buffer.h"
#include "email-message.h"

/* A longer record is refused, when it is written as when it is read. */
#define MESSAGE_RECORD_MAX ((size_t)256 * 1024 * 1024)

/* Appends the record. -1 with ENOMEM, or EFBIG where it would be longer than that;
   nothing is appended then. */
int message_record_write(const email_message *message, buffer_t *out);
/* The same of the states of those recipients that have changed since the message's base
   version, alone. */
int message_record_write_states(const email_message *message, buffer_t *out);
/* Whether it is of a field that this version does not know, and keeps as it is. */
bool message_record_is_unknown(const char *line) ATTR_PURE;
/* Fills the message from a whole record, which must be about its id. -1 with
   EINVAL (ENOTSUP: of a newer format, ENOMEM) and a sentence in *error_r, to be freed
   by i_free(); the message is cleared then. */
int message_record_parse(email_message *message, const void *data, size_t size,
			 char **error_r);
/* Adds what such a record of states says to the message that was read before; where it
   fails, the message is cleared. */
int message_record_parse_states(email_message *message, const void *data,
				size_t size, char **error_r);

#endif
