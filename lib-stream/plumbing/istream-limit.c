/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows a part of its parent: so many bytes, from where the parent stood. */

#include "config.h"
#include "istream-private.h"

struct limit_istream {
	struct istream_private istream;
	uoff_t v_size;
};

static struct limit_istream *limit_istream(struct istream_private *stream)
{
	return container_of(stream, struct limit_istream, istream);
}

static ssize_t i_stream_limit_read(struct istream_private *stream)
{
	uoff_t v_size = limit_istream(stream)->v_size;
	uoff_t left = v_size - I_MIN(v_size, stream->istream.v_offset);
	ssize_t ret;

	ret = left == 0 ? 0 : i_stream_view_parent(stream, left);
	if (ret == 0 && stream->pos - stream->skip >= left) {
		stream->istream.eof = true;
		return -1;
	}
	return ret;
}

static int i_stream_limit_get_size(struct istream_private *stream, bool exact,
				   uoff_t *size_r)
{
	return i_stream_view_get_size(stream, exact,
				      limit_istream(stream)->v_size, size_r);
}

static void i_stream_limit_destroy(struct iostream_private *stream)
{
	struct limit_istream *limit =
		container_of(stream, struct limit_istream, istream.iostream);

	i_stream_view_leave(&limit->istream, limit->v_size);
}

struct istream *i_stream_create_limit(struct istream *input, uoff_t v_size)
{
	struct limit_istream *limit = i_new(struct limit_istream, 1);

	limit->v_size = v_size;
	limit->istream.iostream.destroy = i_stream_limit_destroy;
	limit->istream.read = i_stream_limit_read;
	limit->istream.seek = i_stream_view_seek;
	limit->istream.stat = i_stream_view_stat;
	limit->istream.get_size = i_stream_limit_get_size;
	return i_stream_create(&limit->istream, input, -1);
}

struct istream *i_stream_create_range(struct istream *input, uoff_t v_offset,
				      uoff_t v_size)
{
	struct istream *stream = i_stream_create_limit(input, v_size);

	/* the input stays where it is: there may be no way back */
	stream->real_stream->parent_start_offset = v_offset;
	return stream;
}

struct istream *i_stream_create_noop(struct istream *input)
{
	return i_stream_create_limit(input, UOFF_T_MAX);
}
