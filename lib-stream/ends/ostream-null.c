/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Takes everything and keeps nothing. */

#include "config.h"
#include "ostream-private.h"

static ssize_t o_stream_null_sendv(struct ostream_private *stream ATTR_UNUSED,
				   const struct const_iovec *iov,
				   unsigned int iov_count)
{
	size_t size = iov->iov_len;
	unsigned int i;

	for (i = 1; i < iov_count; i++)
		size += iov[i].iov_len;
	return (ssize_t)size;
}

struct ostream *o_stream_create_null(void)
{
	struct ostream_private *null = i_new(struct ostream_private, 1);
	struct ostream *stream;

	null->sendv = o_stream_null_sendv;
	null->in_memory = true;
	null->max_buffer_size = SIZE_MAX;
	stream = o_stream_create(null, NULL, -1);
	stream->blocking = true;
	o_stream_set_no_error_handling(stream, true);
	o_stream_set_name(stream, "(null stream)");
	return stream;
}
