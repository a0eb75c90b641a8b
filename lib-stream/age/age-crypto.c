/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-crypto.h"
#include "age-hmac.h"
#include "endian-io.h"

#include <string.h>

#define NONCE_SIZE AGE_AEAD_NONCE_SIZE

void age_hkdf(const void *salt, size_t salt_size, const void *ikm,
	      size_t ikm_size, const char *info, unsigned char out[32])
{
	struct age_hmac hmac;
	unsigned char prk[AGE_HMAC_SIZE];
	static const unsigned char one = 1;

	age_hmac_init(&hmac, salt, salt_size);
	age_hmac_update(&hmac, ikm, ikm_size);
	age_hmac_final(&hmac, prk);
	age_hmac_init(&hmac, prk, sizeof(prk));
	age_hmac_update(&hmac, info, strlen(info));
	age_hmac_update(&hmac, &one, 1);
	age_hmac_final(&hmac, out);
	sodium_memzero(prk, sizeof(prk));
}

void age_header_mac(const unsigned char file_key[AGE_FILE_KEY_SIZE],
		    const void *header, size_t size, unsigned char mac_r[32])
{
	static const unsigned char no_salt[32];
	struct age_hmac hmac;
	unsigned char key[32];

	age_hkdf(no_salt, sizeof(no_salt), file_key, AGE_FILE_KEY_SIZE,
		 "header", key);
	age_hmac_init(&hmac, key, sizeof(key));
	age_hmac_update(&hmac, header, size);
	age_hmac_final(&hmac, mac_r);
	sodium_memzero(key, sizeof(key));
}

void age_payload_key(const unsigned char file_key[AGE_FILE_KEY_SIZE],
		     const unsigned char nonce[AGE_NONCE_SIZE],
		     unsigned char key_r[32])
{
	age_hkdf(nonce, AGE_NONCE_SIZE, file_key, AGE_FILE_KEY_SIZE, "payload",
		 key_r);
}

void age_x25519_wrap_key(const unsigned char share[32],
			 const unsigned char recipient[32],
			 const unsigned char shared_secret[32],
			 unsigned char key_r[32])
{
	unsigned char salt[64];

	memcpy(salt, share, 32);
	memcpy(salt + 32, recipient, 32);
	age_hkdf(salt, sizeof(salt), shared_secret, 32,
		 "age-encryption.org/v1/X25519", key_r);
}

void age_wrap(const unsigned char key[32],
	      const unsigned char file_key[AGE_FILE_KEY_SIZE],
	      unsigned char out[AGE_WRAPPED_SIZE])
{
	static const unsigned char nonce[NONCE_SIZE];

	(void)crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, file_key,
							AGE_FILE_KEY_SIZE, NULL,
							0, NULL, nonce, key);
}

bool age_unwrap(const unsigned char key[32],
		const unsigned char wrapped[AGE_WRAPPED_SIZE],
		unsigned char file_key_r[AGE_FILE_KEY_SIZE])
{
	static const unsigned char nonce[NONCE_SIZE];

	return crypto_aead_chacha20poly1305_ietf_decrypt(file_key_r, NULL, NULL,
							 wrapped,
							 AGE_WRAPPED_SIZE, NULL,
							 0, nonce, key) == 0;
}

static void chunk_nonce(unsigned char nonce[NONCE_SIZE], uint64_t counter,
			bool last)
{
	memset(nonce, 0, NONCE_SIZE);
	put_be64(nonce + 3, counter);
	nonce[NONCE_SIZE - 1] = last ? 1 : 0;
}

bool age_seal_chunk(struct age_aead *aead, uint64_t counter, bool last,
		    const unsigned char *in, size_t size, unsigned char *out)
{
	unsigned char nonce[NONCE_SIZE];

	chunk_nonce(nonce, counter, last);
	return age_aead_seal(aead, nonce, in, size, out);
}

bool age_open_chunk(struct age_aead *aead, uint64_t counter, bool last,
		    const unsigned char *in, size_t size, unsigned char *out)
{
	unsigned char nonce[NONCE_SIZE];

	chunk_nonce(nonce, counter, last);
	return age_aead_open(aead, nonce, in, size, out);
}
