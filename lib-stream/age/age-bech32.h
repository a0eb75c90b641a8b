/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_BECH32_H
#define BOBBIN_AGE_BECH32_H

#include "types.h"

/* Bech32 (BIP 173, without its length limit) for keys of 32 bytes. The code does
   not index memory by secret data. Not installed. */

/* Writes HRP "1" data checksum and a NUL; hrp in lower case, the text too unless
   `upper`. text_r holds strlen(hrp) + 60 bytes. */
void bech32_encode_key(const char *hrp, const unsigned char key[32], bool upper,
		       char *text_r);
/* The key of a text with this hrp (lower case), all of it in the case that
   `upper` says. False where it is anything else. */
bool bech32_decode_key(const char *hrp, const char *text, size_t size,
		       bool upper, unsigned char key_r[32]);

#endif
