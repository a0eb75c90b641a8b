/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows its parent as it is, up to a size; a longer one is an error. (The limit
   stream ends there instead.) */

#include "config.h"
#include "istream-private.h"

#include <errno.h>

struct max_size_istream {
	struct istream_private istream;
	uoff_t max_size;
};

static ssize_t i_stream_max_size_read(struct istream_private *stream)
{
	struct max_size_istream *max =
		container_of(stream, struct max_size_istream, istream);
	uoff_t offset = stream->istream.v_offset;
	uoff_t left = max->max_size - I_MIN(max->max_size, offset);
	size_t old = stream->pos - stream->skip;
	ssize_t ret;

	/* a byte behind the last allowed one is looked at, never shown */
	ret = i_stream_view_parent(stream,
				   left == UOFF_T_MAX ? left : left + 1);
	if (stream->pos - stream->skip <= left)
		return ret;
	stream->pos = stream->skip + (size_t)left;
	if (left > old)
		return (ssize_t)(left - old);
	return i_stream_fail(stream, EFBIG,
			     "%s: larger than the limit of %llu bytes",
			     i_stream_get_name(&stream->istream),
			     (unsigned long long)max->max_size);
}

static void i_stream_max_size_seek(struct istream_private *stream,
				   uoff_t v_offset, bool mark ATTR_UNUSED)
{
	i_stream_reset_buffer(stream, v_offset);
}

struct istream *i_stream_create_max_size(struct istream *input, uoff_t max_size)
{
	struct max_size_istream *max = i_new(struct max_size_istream, 1);
	struct istream *stream;

	max->max_size = max_size;
	max->istream.read = i_stream_max_size_read;
	max->istream.seek = i_stream_max_size_seek;
	stream = i_stream_create(&max->istream, input, -1);
	/* the kernel would copy what is too much, too */
	stream->readable_fd = false;
	return stream;
}
