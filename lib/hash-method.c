/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "hash-method.h"
#include "crc32c.h"
#include "endian-io.h"
#include "macros.h"
#include "mem.h"

#include <sodium.h>
#include <string.h>
#include <zlib.h>

static void sha256_init(void *context)
{
	(void)crypto_hash_sha256_init(context);
}

static void sha256_loop(void *context, const void *data, size_t size)
{
	(void)crypto_hash_sha256_update(context, data, size);
}

static void sha256_result(void *context, unsigned char *digest_r)
{
	(void)crypto_hash_sha256_final(context, digest_r);
}

static void sha512_init(void *context)
{
	(void)crypto_hash_sha512_init(context);
}

static void sha512_loop(void *context, const void *data, size_t size)
{
	(void)crypto_hash_sha512_update(context, data, size);
}

static void sha512_result(void *context, unsigned char *digest_r)
{
	(void)crypto_hash_sha512_final(context, digest_r);
}

/* libsodium wants 64-byte alignment for this state, malloc() gives 16: the
   state lives at the first aligned address inside the context. */
#define BLAKE2B_ALIGN 64

static crypto_generichash_state *blake2b_state(void *context)
{
	uintptr_t p = (uintptr_t)context;
	size_t gap = (size_t)(-p & (BLAKE2B_ALIGN - 1));

	return (void *)((char *)context + gap);
}

static void blake2b_init(void *context)
{
	/* Done once; before it libsodium does without the CPU's vectors. What
	   can fail in it is randomness, which is no matter to a hash. */
	int ret = sodium_init();

	(void)ret;
	(void)crypto_generichash_init(blake2b_state(context), NULL, 0,
				      crypto_generichash_BYTES);
}

static void blake2b_loop(void *context, const void *data, size_t size)
{
	(void)crypto_generichash_update(blake2b_state(context), data, size);
}

static void blake2b_result(void *context, unsigned char *digest_r)
{
	(void)crypto_generichash_final(blake2b_state(context), digest_r,
				       crypto_generichash_BYTES);
}

static void u32_init(void *context)
{
	memset(context, 0, sizeof(uint32_t));
}

static void u32_result(void *context, unsigned char *digest_r)
{
	put_be32(digest_r, *(uint32_t *)context);
}

static void crc32_loop(void *context, const void *data, size_t size)
{
	uint32_t *crc = context;

	/* for NULL, which no bytes may come from, zlib begins anew */
	if (size > 0)
		*crc = (uint32_t)crc32_z(*crc, data, size);
}

static void crc32c_loop(void *context, const void *data, size_t size)
{
	uint32_t *crc = context;

	*crc = crc32c(*crc, data, size);
}

static void size_init(void *context)
{
	memset(context, 0, sizeof(uint64_t));
}

static void size_loop(void *context, const void *data ATTR_UNUSED, size_t size)
{
	*(uint64_t *)context += size;
}

static void size_result(void *context, unsigned char *digest_r)
{
	put_be64(digest_r, *(uint64_t *)context);
}

static const struct hash_method hash_method_sha256 = {
	"sha256",
	64,
	sizeof(crypto_hash_sha256_state),
	crypto_hash_sha256_BYTES,
	sha256_init,
	sha256_loop,
	sha256_result
};
static const struct hash_method hash_method_sha512 = {
	"sha512",
	128,
	sizeof(crypto_hash_sha512_state),
	crypto_hash_sha512_BYTES,
	sha512_init,
	sha512_loop,
	sha512_result
};
static const struct hash_method hash_method_blake2b = {
	"blake2b",
	128,
	sizeof(crypto_generichash_state) + BLAKE2B_ALIGN,
	crypto_generichash_BYTES,
	blake2b_init,
	blake2b_loop,
	blake2b_result
};
static const struct hash_method hash_method_crc32 = {
	"crc32", 1, sizeof(uint32_t), 4, u32_init, crc32_loop, u32_result
};
static const struct hash_method hash_method_crc32c = {
	"crc32c", 1, sizeof(uint32_t), 4, u32_init, crc32c_loop, u32_result
};
static const struct hash_method hash_method_size = {
	"size", 1, sizeof(uint64_t), 8, size_init, size_loop, size_result
};

const struct hash_method *const hash_methods[] = { &hash_method_sha256,
						   &hash_method_sha512,
						   &hash_method_blake2b,
						   &hash_method_crc32,
						   &hash_method_crc32c,
						   &hash_method_size,
						   NULL };

const struct hash_method *hash_method_lookup(const char *name)
{
	unsigned int i;

	for (i = 0; hash_methods[i] != NULL; i++) {
		if (strcmp(hash_methods[i]->name, name) == 0)
			return hash_methods[i];
	}
	return NULL;
}

void hash_method_get_digest(const struct hash_method *method, const void *data,
			    size_t size, unsigned char *digest_r)
{
	void *context = i_calloc(1, method->context_size);

	method->init(context);
	if (size > 0)
		method->loop(context, data, size);
	method->result(context, digest_r);
	sodium_memzero(context, method->context_size);
	i_free(context);
}
