/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_AEAD_H
#define BOBBIN_AGE_AEAD_H

/* ChaCha20-Poly1305 (RFC 8439) under one key, by libcrypto where the library is
   built with it (about three times as fast), else by libsodium. Not installed. */

#include "types.h"

#define AGE_AEAD_KEY_SIZE 32
#define AGE_AEAD_NONCE_SIZE 12
#define AGE_TAG_SIZE 16

/* Zeroed: without a key. */
struct age_aead {
	unsigned char key[AGE_AEAD_KEY_SIZE];
#ifdef HAVE_LIBCRYPTO
	void *ctx;   /* made at the first use */
	int sealing; /* what it was made for: 1, 0 */
#endif
};

void age_aead_set_key(struct age_aead *aead,
		      const unsigned char key[AGE_AEAD_KEY_SIZE]);
/* Wipes the key; NULL is not allowed. */
void age_aead_clear(struct age_aead *aead);

/* out: size + AGE_TAG_SIZE bytes; it may be `in`. False: no memory. */
bool age_aead_seal(struct age_aead *aead,
		   const unsigned char nonce[AGE_AEAD_NONCE_SIZE],
		   const unsigned char *in, size_t size,
		   unsigned char *out) ATTR_WARN_UNUSED_RESULT;
/* size counts the tag; out: size - AGE_TAG_SIZE bytes; it may be `in`. False: the
   tag is wrong (or no memory), and `out` holds nothing of the plain text. */
bool age_aead_open(struct age_aead *aead,
		   const unsigned char nonce[AGE_AEAD_NONCE_SIZE],
		   const unsigned char *in, size_t size,
		   unsigned char *out) ATTR_WARN_UNUSED_RESULT;

/* Whether open verifies before it writes. Where it does not, `out` has to be memory
   that nobody else looks at: it is wiped when the tag is wrong. */
#ifdef HAVE_LIBCRYPTO
#define AGE_AEAD_VERIFIES_FIRST false
#else
#define AGE_AEAD_VERIFIES_FIRST true
#endif

#endif
