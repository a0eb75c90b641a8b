/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-hmac.h"

#include <sodium.h>
#include <string.h>

#ifdef HAVE_LIBCRYPTO

static void begin(SHA256_CTX *ctx, const unsigned char key[SHA256_CBLOCK],
		  unsigned char pad)
{
	unsigned char block[SHA256_CBLOCK];
	unsigned int i;

	for (i = 0; i < sizeof(block); i++)
		block[i] = key[i] ^ pad;
	SHA256_Init(ctx);
	SHA256_Update(ctx, block, sizeof(block));
	sodium_memzero(block, sizeof(block));
}

void age_hmac_init(struct age_hmac *hmac, const void *key, size_t key_size)
{
	unsigned char block[SHA256_CBLOCK] = { 0 };

	if (key_size > sizeof(block))
		SHA256(key, key_size, block);
	else
		memcpy(block, key, key_size);
	begin(&hmac->inner, block, 0x36);
	begin(&hmac->outer, block, 0x5c);
	sodium_memzero(block, sizeof(block));
}

void age_hmac_update(struct age_hmac *hmac, const void *data, size_t size)
{
	SHA256_Update(&hmac->inner, data, size);
}

void age_hmac_final(struct age_hmac *hmac, unsigned char mac_r[AGE_HMAC_SIZE])
{
	SHA256_Final(mac_r, &hmac->inner);
	SHA256_Update(&hmac->outer, mac_r, AGE_HMAC_SIZE);
	SHA256_Final(mac_r, &hmac->outer);
	sodium_memzero(hmac, sizeof(*hmac));
}

#else

void age_hmac_init(struct age_hmac *hmac, const void *key, size_t key_size)
{
	crypto_auth_hmacsha256_init(&hmac->state, key, key_size);
}

void age_hmac_update(struct age_hmac *hmac, const void *data, size_t size)
{
	crypto_auth_hmacsha256_update(&hmac->state, data, size);
}

void age_hmac_final(struct age_hmac *hmac, unsigned char mac_r[AGE_HMAC_SIZE])
{
	crypto_auth_hmacsha256_final(&hmac->state, mac_r);
	sodium_memzero(hmac, sizeof(*hmac));
}

#endif
