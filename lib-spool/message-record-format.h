/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MESSAGE_RECORD_FORMAT_H
#define BOBBIN_MESSAGE_RECORD_FORMAT_H

/* Words of a record, for who writes it (message-record.c) and who reads it
   (message-record-parse.c). Not installed. */

#include "message-record.h"

#define MAGIC "bobbin-message 1"
#define STATES_MAGIC "bobbin-states 1"

/* By enum email_recipient_state. */
#define MESSAGE_RECORD_STATES 3u
extern const char *const message_record_states[MESSAGE_RECORD_STATES];

#define CHECKSUM "crc32c "
#define CHECKSUM_LINE_SIZE (sizeof(CHECKSUM) - 1 + 8 + 1)

/* A record's last line, for all that is before it. */
void message_record_checksum(const void *data, size_t size,
			     char line_r[CHECKSUM_LINE_SIZE]);

#endif
