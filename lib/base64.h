/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_BASE64_H
#define BOBBIN_BASE64_H

/* Base64 by whole groups, four letters for three bytes (RFC 4648 4 and 5), for the
   transforms and for age. Not for secrets: it looks letters up in tables, and the
   time that takes may tell which. Not installed. */

#include "types.h"

/* 64 letters; those of URLs and file names. */
extern const char base64_letters[65];
extern const char base64url_letters[65];

/* Letters with padding for so many bytes. */
#define BASE64_SIZE(size) (((size) + 2) / 3 * 4)

/* Writes BASE64_SIZE(size) letters; "=" ends a group of less than three bytes. */
void base64_groups_encode(const char *letters, const unsigned char *data,
			  size_t size, unsigned char *out);

/* Of each byte the value as a letter, or BASE64_NO_LETTER. */
struct base64_values {
	unsigned char of[256];
};

#define BASE64_NO_LETTER 0x80

void base64_values_init(struct base64_values *values, const char *letters);

/* Reads groups of four letters, and writes three bytes for each; how many: it stops
   before one that has anything but letters. */
size_t base64_groups_decode(const struct base64_values *values,
			    const unsigned char *text, size_t groups,
			    unsigned char *out);

#endif
