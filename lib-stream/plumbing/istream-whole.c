/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows a decoder's bytes as they are. Where the decoder ends, it looks at the
   rest of the decoder's source: that must have ended, too. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>

struct whole_istream {
	struct istream_private istream;
	struct istream *source;
};

/* The clean end of the parent: is it the source's? */
static ssize_t check_end(struct whole_istream *whole)
{
	struct istream_private *stream = &whole->istream;
	const unsigned char *data;
	size_t size;
	int ret;

	ret = i_stream_read_more(whole->source, &data, &size);
	if (ret == 0) {
		stream->istream.eof = false;
		return 0;
	}
	if (ret > 0)
		return i_stream_fail(stream, EINVAL,
				     "%s: data after the end of what was to be "
				     "decoded",
				     i_stream_get_name(&stream->istream));
	if (whole->source->stream_errno != 0)
		return i_stream_fail(stream, whole->source->stream_errno, "%s",
				     i_stream_get_error(whole->source));
	return -1;
}

static ssize_t i_stream_whole_read(struct istream_private *stream)
{
	struct whole_istream *whole =
		container_of(stream, struct whole_istream, istream);
	ssize_t ret;

	ret = i_stream_view_parent(stream, UOFF_T_MAX);
	if (ret != -1 || stream->istream.stream_errno != 0)
		return ret;
	return check_end(whole);
}

static void i_stream_whole_seek(struct istream_private *stream, uoff_t v_offset,
				bool mark ATTR_UNUSED)
{
	i_stream_reset_buffer(stream, v_offset);
}

static void i_stream_whole_destroy(struct iostream_private *stream)
{
	struct whole_istream *whole =
		container_of(stream, struct whole_istream, istream.iostream);

	i_stream_unref(&whole->source);
}

struct istream *i_stream_create_whole(struct istream *input,
				      struct istream *source)
{
	struct whole_istream *whole = i_new(struct whole_istream, 1);
	struct istream *stream;

	i_stream_ref(source);
	whole->source = source;
	whole->istream.iostream.destroy = i_stream_whole_destroy;
	whole->istream.read = i_stream_whole_read;
	whole->istream.seek = i_stream_whole_seek;
	stream = i_stream_create(&whole->istream, input, -1);
	stream->readable_fd = false;
	return stream;
}
