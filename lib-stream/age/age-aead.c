/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-aead.h"
#include "panic.h"

#include <sodium.h>
#include <string.h>

void age_aead_set_key(struct age_aead *aead,
		      const unsigned char key[AGE_AEAD_KEY_SIZE])
{
	age_aead_clear(aead);
	memcpy(aead->key, key, AGE_AEAD_KEY_SIZE);
}

#ifdef HAVE_LIBCRYPTO

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>

/* Looked up once: a look-up by name costs more than sealing a small message. It
   lives as long as the process, as the rest of libcrypto's state does. */
static EVP_CIPHER *cipher;
static pthread_once_t cipher_once = PTHREAD_ONCE_INIT;

static void fetch_cipher(void)
{
	cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
}

void age_aead_clear(struct age_aead *aead)
{
	/* it wipes what it frees */
	EVP_CIPHER_CTX_free(aead->ctx);
	aead->ctx = NULL;
	sodium_memzero(aead->key, sizeof(aead->key));
}

/* Ready for the next text under this key. */
static bool begin(struct age_aead *aead, const unsigned char *nonce,
		  bool sealing)
{
	if (aead->ctx != NULL && aead->sealing == (int)sealing)
		return EVP_CipherInit_ex(aead->ctx, NULL, NULL, NULL, nonce,
					 sealing) == 1;
	(void)pthread_once(&cipher_once, fetch_cipher);
	if (aead->ctx == NULL)
		aead->ctx = EVP_CIPHER_CTX_new();
	aead->sealing = sealing;
	return cipher != NULL && aead->ctx != NULL &&
		EVP_CipherInit_ex(aead->ctx, cipher, NULL, aead->key, nonce,
				  sealing) == 1;
}

bool age_aead_seal(struct age_aead *aead,
		   const unsigned char nonce[AGE_AEAD_NONCE_SIZE],
		   const unsigned char *in, size_t size, unsigned char *out)
{
	int n;

	i_assert(size <= INT_MAX);
	return begin(aead, nonce, true) &&
		EVP_CipherUpdate(aead->ctx, out, &n, in, (int)size) == 1 &&
		EVP_CipherFinal_ex(aead->ctx, out + size, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(aead->ctx, EVP_CTRL_AEAD_GET_TAG,
				    AGE_TAG_SIZE, out + size) == 1;
}

bool age_aead_open(struct age_aead *aead,
		   const unsigned char nonce[AGE_AEAD_NONCE_SIZE],
		   const unsigned char *in, size_t size, unsigned char *out)
{
	unsigned char tag[AGE_TAG_SIZE];
	bool ok;
	int n;

	i_assert(size <= INT_MAX);
	if (size < AGE_TAG_SIZE)
		return false;
	size -= AGE_TAG_SIZE;
	memcpy(tag, in + size, sizeof(tag));
	ok = begin(aead, nonce, false) &&
		EVP_CIPHER_CTX_ctrl(aead->ctx, EVP_CTRL_AEAD_SET_TAG,
				    AGE_TAG_SIZE, tag) == 1 &&
		EVP_CipherUpdate(aead->ctx, out, &n, in, (int)size) == 1 &&
		EVP_CipherFinal_ex(aead->ctx, tag, &n) == 1;
	if (!ok)
		sodium_memzero(out, size);
	return ok;
}

#else

void age_aead_clear(struct age_aead *aead)
{
	sodium_memzero(aead->key, sizeof(aead->key));
}

bool age_aead_seal(struct age_aead *aead,
		   const unsigned char nonce[AGE_AEAD_NONCE_SIZE],
		   const unsigned char *in, size_t size, unsigned char *out)
{
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(
		out, NULL, in, size, NULL, 0, NULL, nonce, aead->key);
	return true;
}

bool age_aead_open(struct age_aead *aead,
		   const unsigned char nonce[AGE_AEAD_NONCE_SIZE],
		   const unsigned char *in, size_t size, unsigned char *out)
{
	return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in,
							 size, NULL, 0, nonce,
							 aead->key) == 0;
}

#endif
