/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows every byte that is read of its parent to a hash function, once and in
   order; and may know what has to come of it. */

#include "config.h"
#include "hash-method.h"
#include "istream-private.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

struct hash_istream {
	struct istream_private istream;
	const struct hash_method *method;
	void *hash_context;
	uoff_t hashed; /* v_offset of the first byte not hashed yet */

	/* Of one that checks, whose hash_context is its own. */
	unsigned char *expected; /* the digest, and room for another */
	char *problem;
	bool ended; /* what was hashed is all there is to be */
};

static struct hash_istream *hash_istream(struct istream_private *stream)
{
	return container_of(stream, struct hash_istream, istream);
}

static ssize_t i_stream_hash_read(struct istream_private *stream)
{
	struct hash_istream *hash = hash_istream(stream);
	size_t fresh;
	ssize_t ret;

	ret = i_stream_view_once(stream, &hash->hashed, &fresh);
	if (fresh > 0 && !hash->ended)
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

/*
 * One that checks
 */

static ssize_t fail_check(struct hash_istream *hash)
{
	return i_stream_fail(&hash->istream, EINVAL, "%s: %s",
			     i_stream_get_name(&hash->istream.istream),
			     hash->problem);
}

static bool is_expected(struct hash_istream *hash)
{
	unsigned int size = hash->method->digest_size;
	unsigned char *digest = hash->expected + size;

	hash->method->result(hash->hash_context, digest);
	return memcmp(hash->expected, digest, size) == 0;
}

static uoff_t shown_end(const struct istream_private *stream)
{
	return stream->istream.v_offset - stream->lag +
		(stream->pos - stream->skip);
}

static ssize_t i_stream_checked_read(struct istream_private *stream)
{
	struct hash_istream *hash = hash_istream(stream);
	uoff_t hashed = hash->hashed;
	bool at_end;
	ssize_t ret;

	ret = i_stream_hash_read(stream);
	at_end = ret == -1 && stream->istream.stream_errno == 0;
	/* what ended once may have grown since... */
	if (hash->ended ? hash->hashed > hashed : at_end && !is_expected(hash))
		return fail_check(hash);
	if (!at_end)
		return ret;
	hash->ended = true;
	/* ...and where it is read again, be shorter than it was */
	return shown_end(stream) == hash->hashed ? ret : fail_check(hash);
}

/* What lies between the bytes that were hashed and those that are asked for is read
   first. */
static void i_stream_checked_seek(struct istream_private *stream,
				  uoff_t v_offset, bool mark ATTR_UNUSED)
{
	uoff_t from = I_MIN(v_offset, hash_istream(stream)->hashed);

	i_stream_reset_buffer(stream, v_offset);
	stream->lag = v_offset - from;
}

static void i_stream_checked_destroy(struct iostream_private *stream)
{
	struct hash_istream *hash =
		container_of(stream, struct hash_istream, istream.iostream);

	i_free(hash->hash_context);
	i_free(hash->expected);
	i_free(hash->problem);
}

struct istream *i_stream_create_checked(struct istream *input,
					const struct hash_method *method,
					const unsigned char *digest,
					const char *problem)
{
	struct hash_istream *hash = i_new(struct hash_istream, 1);
	struct istream *stream;

	hash->method = method;
	hash->hash_context = i_calloc(1, method->context_size);
	method->init(hash->hash_context);
	hash->expected = i_calloc(2, method->digest_size);
	memcpy(hash->expected, digest, method->digest_size);
	hash->problem = i_strdup(problem);
	hash->istream.iostream.destroy = i_stream_checked_destroy;
	hash->istream.read = i_stream_checked_read;
	hash->istream.seek = i_stream_checked_seek;
	stream = i_stream_create(&hash->istream, input, -1);
	stream->readable_fd = false;
	return stream;
}
