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
	uoff_t v_size = limit_istream(stream)->v_size;
	int ret;

	ret = i_stream_get_size(stream->parent, exact, size_r);
	if (ret < 0)
		i_stream_copy_error_from_parent(stream);
	if (ret == 0 && v_size != UOFF_T_MAX && !exact) {
		*size_r = v_size;
		return 1;
	}
	if (ret <= 0)
		return ret;
	*size_r -= I_MIN(*size_r, stream->parent_start_offset);
	*size_r = I_MIN(*size_r, v_size);
	return 1;
}

static int i_stream_limit_stat(struct istream_private *stream, bool exact)
{
	const struct stat *st;
	uoff_t size;

	if (i_stream_stat(stream->parent, exact, &st) < 0) {
		i_stream_copy_error_from_parent(stream);
		return -1;
	}
	stream->statbuf = *st;
	switch (i_stream_limit_get_size(stream, exact, &size)) {
	case -1:
		return -1;
	case 0:
		stream->statbuf.st_size = -1;
		return 0;
	default:
		stream->statbuf.st_size = (off_t)size;
		return 0;
	}
}

/* The parent goes on where this part was read to. */
static void i_stream_limit_destroy(struct iostream_private *stream)
{
	struct limit_istream *limit =
		container_of(stream, struct limit_istream, istream.iostream);
	struct istream_private *s = &limit->istream;

	i_stream_seek(s->parent, s->parent_start_offset + s->istream.v_offset);
}

struct istream *i_stream_create_limit(struct istream *input, uoff_t v_size)
{
	struct limit_istream *limit = i_new(struct limit_istream, 1);

	limit->v_size = v_size;
	limit->istream.iostream.destroy = i_stream_limit_destroy;
	limit->istream.read = i_stream_limit_read;
	limit->istream.seek = i_stream_view_seek;
	limit->istream.stat = i_stream_limit_stat;
	limit->istream.get_size = i_stream_limit_get_size;
	return i_stream_create(&limit->istream, input, -1);
}

struct istream *i_stream_create_range(struct istream *input, uoff_t v_offset,
				      uoff_t v_size)
{
	uoff_t old_offset = input->v_offset;
	struct istream *stream;

	i_stream_seek(input, v_offset);
	stream = i_stream_create_limit(input, v_size);
	i_stream_seek(input, old_offset);
	return stream;
}

struct istream *i_stream_create_noop(struct istream *input)
{
	return i_stream_create_limit(input, UOFF_T_MAX);
}
