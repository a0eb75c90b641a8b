/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_BASE64_H
#define BOBBIN_AGE_BASE64_H

/* Canonical base64, as age's headers and its armor have it. Not installed. */

#include "types.h"

#include <sodium.h>

/* `variant` is libsodium's: with padding or without. False where it is malformed, or
   more than `max` bytes. libsodium 1.0.18 takes bytes above 127 for letters: those are
   refused here. */
static inline bool age_base64_decode(int variant, const char *text, size_t size,
				     unsigned char *out, size_t max,
				     size_t *have_r)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if ((text[i] & 0x80) != 0)
			return false;
	}
	return sodium_base642bin(out, max, text, size, NULL, have_r, NULL,
				 variant) == 0;
}

#endif
