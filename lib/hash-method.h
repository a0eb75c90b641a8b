/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_HASH_METHOD_H
#define BOBBIN_HASH_METHOD_H

/* Hash functions behind one small table, for hash streams and for users. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct hash_method {
	const char *name;
	/* All in bytes: the algorithm's block, what init() needs as context
	   (aligned as malloc() aligns), what result() writes. */
	unsigned int block_size;
	unsigned int context_size;
	unsigned int digest_size;

	void (*init)(void *context);
	void (*loop)(void *context, const void *data, size_t size);
	void (*result)(void *context, unsigned char *digest_r);
};

/* The method of this name: "sha256", "sha512" (FIPS 180-4), "blake2b" (RFC 7693,
   32-byte digest), "crc32" (RFC 1952 8, big-endian digest), "crc32c" (RFC 3720 B.4,
   big-endian digest), "size" (counts bytes, 8 bytes big-endian); NULL for any other. */
const struct hash_method *hash_method_lookup(const char *name);

/* All of these methods; NULL behind the last. */
extern const struct hash_method *const hash_methods[];

/* The digest of one piece of data; digest_r has room for method->digest_size bytes. */
void hash_method_get_digest(const struct hash_method *method, const void *data,
			    size_t size, unsigned char *digest_r);

BOBBIN_END_DECLS

#endif
