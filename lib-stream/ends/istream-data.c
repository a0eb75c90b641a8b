/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reads memory: all of it is buffered from the beginning. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>
#include <string.h>

struct data_istream {
	struct istream_private istream;
	const unsigned char *data;
	size_t size;
	unsigned char *copy; /* data, where it is ours */
};

static struct data_istream *data_istream(struct istream_private *stream)
{
	return container_of(stream, struct data_istream, istream);
}

static ssize_t i_stream_data_read(struct istream_private *stream)
{
	stream->istream.eof = true;
	return -1;
}

static void i_stream_data_seek(struct istream_private *stream, uoff_t v_offset,
			       bool mark ATTR_UNUSED)
{
	struct data_istream *d = data_istream(stream);

	/* bytes skip..pos of the data are shown, and skip is v_offset; behind the
	   end nothing is, not even for the core, which goes back over skipped bytes
	   by itself */
	stream->pos = v_offset > d->size ? 0 : d->size;
	stream->skip = I_MIN((size_t)v_offset, stream->pos);
	stream->istream.v_offset = v_offset;
}

static int i_stream_data_stat(struct istream_private *stream,
			      bool exact ATTR_UNUSED)
{
	memset(&stream->statbuf, 0, sizeof(stream->statbuf));
	stream->statbuf.st_size = (off_t)data_istream(stream)->size;
	return 0;
}

static void i_stream_data_destroy(struct iostream_private *stream)
{
	struct data_istream *d =
		container_of(stream, struct data_istream, istream.iostream);

	i_free(d->copy);
}

struct istream *i_stream_create_from_data(const void *data, size_t size)
{
	struct data_istream *d = i_new(struct data_istream, 1);
	struct istream *stream;

	d->data = data;
	d->size = size;
	d->istream.buffer = data;
	d->istream.pos = size;
	d->istream.max_buffer_size = SIZE_MAX;
	d->istream.iostream.destroy = i_stream_data_destroy;
	d->istream.read = i_stream_data_read;
	d->istream.seek = i_stream_data_seek;
	d->istream.stat = i_stream_data_stat;
	stream = i_stream_create(&d->istream, NULL, -1);
	stream->blocking = true;
	stream->seekable = true;
	i_stream_set_name(stream, "(buffer)");
	return stream;
}

struct istream *i_stream_create_copy_from_data(const void *data, size_t size)
{
	unsigned char *copy = try_malloc(size);
	struct istream *stream;

	if (copy == NULL)
		return i_stream_create_error_str(ENOMEM, "out of memory");
	if (size > 0)
		memcpy(copy, data, size);
	stream = i_stream_create_from_data(copy, size);
	data_istream(stream->real_stream)->copy = copy;
	return stream;
}
