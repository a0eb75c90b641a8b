/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MESSAGE_ID_H
#define BOBBIN_MESSAGE_ID_H

/* A message's name for ever: 128 bits, which sort by the time they were made. As
   text 26 characters of lower-case Crockford base32. */

#include "types.h"

BOBBIN_BEGIN_DECLS

/* Bytes of the text, with the NUL. */
#define MESSAGE_ID_TEXT_SIZE 27

/* 48 bits of milliseconds since 1970, 16 bits of sequence, 64 random bits, all
   big-endian. */
typedef struct message_id {
	unsigned char bytes[16];
} message_id;

/* Makes ids; may be shared by threads. A clock that steps back never repeats an
   id: the last used time and sequence go on. */
struct message_id_generator;
/* A new generator, to be freed by message_id_generator_free(). `last` (may be NULL): no
   id at or before this one's time and sequence is made. Where none is left behind it (48
   bits of time last until the year 10889), ids have the last time and sequence, and their
   random bits alone differ. */
struct message_id_generator *
message_id_generator_new(const struct message_id *last);
/* Frees it and sets the pointer to NULL; NULL is allowed. */
void message_id_generator_free(struct message_id_generator **gen);
/* Makes the next id, of this moment of the system's clock. Any thread may call it. */
void message_id_generate(struct message_id_generator *gen,
			 struct message_id *id_r);
/* The same for a given time of day, in milliseconds since 1970, of which the lower 48 bits
   count: for tests. */
void message_id_generate_at(struct message_id_generator *gen, uint64_t msecs,
			    struct message_id *id_r);
/* The newest id that was made; where none was, the one that the generator was begun with,
   or all zeros. */
void message_id_generator_get_last(struct message_id_generator *gen,
				   struct message_id *id_r);

/* The id as text: 26 characters and a NUL. */
void message_id_to_text(const struct message_id *id,
			char text_r[MESSAGE_ID_TEXT_SIZE]);
/* The id that the text is: exactly 26 characters of the alphabet, lower case, of a value
   below 2^128. False for anything else, also for what could be part of a path, and
   *id_r is left alone then. */
bool message_id_from_text(const char *text, struct message_id *id_r);
/* Compares two ids as the time goes: below 0, 0, above 0, as memcmp(). */
int message_id_cmp(const struct message_id *a,
		   const struct message_id *b) ATTR_PURE;
/* When it was made, in milliseconds since 1970. */
uint64_t message_id_get_msecs(const struct message_id *id) ATTR_PURE;

BOBBIN_END_DECLS

#endif
