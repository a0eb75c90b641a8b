/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_HEADER_H
#define BOBBIN_AGE_HEADER_H

#include "age-crypto.h"
#include "age-keys-private.h"
#include "buffer.h"
#include "transform.h"

/* The text header of an age file (c2sp.org/age), both ways. Not installed. */

/* Nothing in the format bounds a header; this does. */
#define AGE_HEADER_MAX ((size_t)128 * 1024)

/* Appends a whole header for the recipients, wrapping file_key for each under an
   ephemeral secret: AGE_KEY_SIZE random bytes for each recipient, of the caller, who
   wipes them. False with the error in t (transform_error()): ENOMEM, or EINVAL where a
   recipient is a point of low order. */
bool age_header_write(buffer_t *out, const struct age_recipients *recipients,
		      const unsigned char file_key[AGE_FILE_KEY_SIZE],
		      const unsigned char *secrets, struct transform *t);

/* A header as it is read, line by line. */
struct age_header {
	buffer_t *raw;     /* all bytes so far; the MAC is over these */
	size_t line_start; /* of the unfinished line, in raw */
	enum {
		AGE_HEADER_VERSION,
		AGE_HEADER_STANZA, /* a stanza begins, or the end line comes */
		AGE_HEADER_BODY,
		AGE_HEADER_END
	} state;
	unsigned int stanza_count, scrypt_count;
	buffer_t *known; /* struct age_stanza of the kinds that are known */
	size_t mac_size; /* raw bytes under the MAC */
	unsigned char mac[32];
};

void age_header_init(struct age_header *header);
void age_header_free(struct age_header *header);
/* Takes bytes up to and including the LF of the end line: how many were taken.
   Errors are recorded in t (transform_error()), and then *failed_r is set. */
size_t age_header_feed(struct age_header *header, struct transform *t,
		       const unsigned char *data, size_t size, bool *failed_r);
/* Finds the file key of a complete header and checks its MAC. 0, or -1 with the
   error in t: ENOKEY where no identity opens it, EINVAL where it is wrong. */
int age_header_unwrap(const struct age_header *header,
		      const struct age_identities *identities,
		      struct transform *t,
		      unsigned char file_key_r[AGE_FILE_KEY_SIZE]);

#endif
