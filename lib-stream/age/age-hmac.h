/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_HMAC_H
#define BOBBIN_AGE_HMAC_H

/* HMAC-SHA-256 (RFC 2104, FIPS 180-4), by libcrypto where the library is built with
   it: that uses the processor's own instructions, libsodium's does not, and the
   many short ones of a header are what a small message costs beside X25519. Not
   installed. */

#include "types.h"

#define AGE_HMAC_SIZE 32

#ifdef HAVE_LIBCRYPTO
/* the plain functions: for so few bytes a look-up by name costs more than the hash */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

struct age_hmac {
	SHA256_CTX inner, outer;
};
#else
#include <sodium.h>

struct age_hmac {
	crypto_auth_hmacsha256_state state;
};
#endif

void age_hmac_init(struct age_hmac *hmac, const void *key, size_t key_size);
void age_hmac_update(struct age_hmac *hmac, const void *data, size_t size);
/* The MAC; the state is wiped. */
void age_hmac_final(struct age_hmac *hmac, unsigned char mac_r[AGE_HMAC_SIZE]);

#endif
