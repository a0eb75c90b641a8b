/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reads what a temporary store holds, at any place. */

#include "config.h"
#include "helpers/istream-temp.h"
#include "istream-private.h"

#include <errno.h>
#include <string.h>

struct temp_istream {
	struct istream_private istream;
	struct temp_store *store;
};

static ssize_t i_stream_temp_read(struct istream_private *stream)
{
	struct temp_istream *temp =
		container_of(stream, struct temp_istream, istream);
	uoff_t pos = stream->istream.v_offset + (stream->pos - stream->skip);
	uoff_t end = temp_store_size(temp->store);
	size_t wanted = stream->data_limit > 0 ? stream->data_limit :
						 IO_BLOCK_SIZE;
	unsigned char *dest;
	size_t size;

	if (pos >= end) {
		stream->istream.eof = true;
		return -1;
	}
	dest = i_stream_reserve(stream, wanted, &size);
	if (dest == NULL)
		return stream->istream.stream_errno != 0 ? -1 : -2;
	size = (size_t)I_MIN(end - pos, (uoff_t)I_MIN(size, wanted));
	if (temp_store_read(temp->store, pos, dest, size) < 0)
		return i_stream_fail(stream, errno, "%s: %s",
				     i_stream_get_name(&stream->istream),
				     temp_store_get_error(temp->store));
	stream->pos += size;
	return (ssize_t)size;
}

static void i_stream_temp_seek(struct istream_private *stream, uoff_t v_offset,
			       bool mark ATTR_UNUSED)
{
	i_stream_reset_buffer(stream, v_offset);
}

static int i_stream_temp_stat(struct istream_private *stream,
			      bool exact ATTR_UNUSED)
{
	struct temp_istream *temp =
		container_of(stream, struct temp_istream, istream);

	memset(&stream->statbuf, 0, sizeof(stream->statbuf));
	stream->statbuf.st_size = (off_t)temp_store_size(temp->store);
	return 0;
}

static void i_stream_temp_destroy(struct iostream_private *stream)
{
	struct temp_istream *temp =
		container_of(stream, struct temp_istream, istream.iostream);

	temp_store_free(&temp->store);
}

struct istream *i_stream_create_temp_store(struct temp_store *store,
					   size_t max_buffer_size)
{
	struct temp_istream *temp = i_new(struct temp_istream, 1);
	struct istream *stream;

	temp->store = store;
	temp->istream.max_buffer_size = max_buffer_size == 0 ? IO_BLOCK_SIZE :
							       max_buffer_size;
	temp->istream.iostream.destroy = i_stream_temp_destroy;
	temp->istream.read = i_stream_temp_read;
	temp->istream.seek = i_stream_temp_seek;
	temp->istream.stat = i_stream_temp_stat;
	stream = i_stream_create(&temp->istream, NULL, -1);
	stream->blocking = true;
	stream->seekable = true;
	return stream;
}
