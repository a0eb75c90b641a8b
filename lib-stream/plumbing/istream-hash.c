/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows every byte that is read of its parent to a hash function, once and in
   order. */

#include "config.h"
#include "hash-method.h"
#include "istream-private.h"

#include <errno.h>

struct hash_istream {
	struct istream_private istream;
	const struct hash_method *method;
	void *hash_context;
	uoff_t hashed; /* v_offset of the first byte not hashed yet */
};

static ssize_t i_stream_hash_read(struct istream_private *stream)
{
	struct hash_istream *hash =
		container_of(stream, struct hash_istream, istream);
	size_t fresh;
	ssize_t ret;

	ret = i_stream_view_once(stream, &hash->hashed, &fresh);
	if (fresh > 0)
		hash->method->loop(hash->hash_context,
				   stream->buffer + stream->pos - fresh, fresh);
	return ret;
}

struct istream *i_stream_create_hash(struct istream *input,
				     const struct hash_method *method,
				     void *hash_context)
{
	struct hash_istream *hash = i_new(struct hash_istream, 1);
	struct istream *stream;

	hash->method = method;
	hash->hash_context = hash_context;
	hash->istream.read = i_stream_hash_read;
	stream = i_stream_create(&hash->istream, input, -1);
	stream->seekable = false;
	stream->readable_fd = false;
	return stream;
}
