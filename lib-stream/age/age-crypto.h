/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_CRYPTO_H
#define BOBBIN_AGE_CRYPTO_H

#include "age-aead.h"

#include <sodium.h>

/* The primitives of the age v1 format. Not installed. */

#define AGE_FILE_KEY_SIZE 16
#define AGE_NONCE_SIZE 16
#define AGE_CHUNK_SIZE ((size_t)65536)
#define AGE_SEALED_CHUNK_SIZE (AGE_CHUNK_SIZE + AGE_TAG_SIZE)
#define AGE_WRAPPED_SIZE (AGE_FILE_KEY_SIZE + AGE_TAG_SIZE)

/* HKDF-SHA-256 (RFC 5869) with 32 bytes of output. */
void age_hkdf(const void *salt, size_t salt_size, const void *ikm,
	      size_t ikm_size, const char *info, unsigned char out[32]);
/* The MAC of a header up to and including its "---". */
void age_header_mac(const unsigned char file_key[AGE_FILE_KEY_SIZE],
		    const void *header, size_t size, unsigned char mac_r[32]);
/* The key of the chunks. */
void age_payload_key(const unsigned char file_key[AGE_FILE_KEY_SIZE],
		     const unsigned char nonce[AGE_NONCE_SIZE],
		     unsigned char key_r[32]);
/* The key that wraps a file key for an X25519 recipient. */
void age_x25519_wrap_key(const unsigned char share[32],
			 const unsigned char recipient[32],
			 const unsigned char shared_secret[32],
			 unsigned char key_r[32]);
/* Wrapping under a key that is used once: the nonce is zero. */
void age_wrap(const unsigned char key[32],
	      const unsigned char file_key[AGE_FILE_KEY_SIZE],
	      unsigned char out[AGE_WRAPPED_SIZE]);
bool age_unwrap(const unsigned char key[32],
		const unsigned char wrapped[AGE_WRAPPED_SIZE],
		unsigned char file_key_r[AGE_FILE_KEY_SIZE]);
/* Chunk number `counter` of the payload; see age_aead_seal() and _open(). */
bool age_seal_chunk(struct age_aead *aead, uint64_t counter, bool last,
		    const unsigned char *in, size_t size,
		    unsigned char *out) ATTR_WARN_UNUSED_RESULT;
bool age_open_chunk(struct age_aead *aead, uint64_t counter, bool last,
		    const unsigned char *in, size_t size,
		    unsigned char *out) ATTR_WARN_UNUSED_RESULT;

#endif
