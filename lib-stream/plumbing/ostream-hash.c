/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows every byte that its parent accepted to a hash function. */

#include "config.h"
#include "hash-method.h"
#include "ostream-private.h"

struct hash_ostream {
	struct ostream_private ostream;
	const struct hash_method *method;
	void *hash_context;
};

static ssize_t o_stream_hash_sendv(struct ostream_private *stream,
				   const struct const_iovec *iov,
				   unsigned int iov_count)
{
	struct hash_ostream *hash =
		container_of(stream, struct hash_ostream, ostream);

	return o_stream_send_parent_shown(
		stream, iov, iov_count, hash->method->loop, hash->hash_context);
}

struct ostream *o_stream_create_hash(struct ostream *output,
				     const struct hash_method *method,
				     void *hash_context)
{
	struct hash_ostream *hash = i_new(struct hash_ostream, 1);

	hash->method = method;
	hash->hash_context = hash_context;
	hash->ostream.sendv = o_stream_hash_sendv;
	return o_stream_create(&hash->ostream, output, -1);
}
