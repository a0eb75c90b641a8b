/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows its parent with another character for each NUL. */

#include "config.h"
#include "istream-private.h"

#include <string.h>

struct nonuls_istream {
	struct istream_private istream;
	char replace_chr;
};

static void replace_nuls(unsigned char *data, size_t size, char replace_chr)
{
	unsigned char *end = data + size, *nul = data;

	while ((nul = memchr(nul, '\0', (size_t)(end - nul))) != NULL)
		*nul++ = (unsigned char)replace_chr;
}

static ssize_t i_stream_nonuls_read(struct istream_private *stream)
{
	struct nonuls_istream *nonuls =
		container_of(stream, struct nonuls_istream, istream);
	const unsigned char *data;
	unsigned char *dest;
	size_t size, room;
	int ret;

	ret = i_stream_read_parent(stream, &data, &size, 0);
	if (ret <= 0) {
		if (ret == -1)
			i_stream_copy_error_from_parent(stream);
		return ret;
	}
	dest = i_stream_reserve(stream, size, &room);
	if (dest == NULL)
		return stream->istream.stream_errno != 0 ? -1 : -2;
	size = I_MIN(size, room);
	memcpy(dest, data, size);
	replace_nuls(dest, size, nonuls->replace_chr);
	i_stream_skip_parent(stream, size);
	stream->pos += size;
	return (ssize_t)size;
}

static void i_stream_nonuls_seek(struct istream_private *stream,
				 uoff_t v_offset, bool mark ATTR_UNUSED)
{
	i_stream_reset_buffer(stream, v_offset);
	stream->parent_expected_offset = stream->parent_start_offset + v_offset;
}

static void i_stream_nonuls_sync(struct istream_private *stream)
{
	i_stream_sync(stream->parent);
	if (stream->istream.seekable)
		i_stream_nonuls_seek(stream, stream->istream.v_offset, false);
}

struct istream *i_stream_create_nonuls(struct istream *input, char replace_chr)
{
	struct nonuls_istream *nonuls = i_new(struct nonuls_istream, 1);
	struct istream *stream;

	nonuls->replace_chr = replace_chr;
	nonuls->istream.read = i_stream_nonuls_read;
	nonuls->istream.seek = i_stream_nonuls_seek;
	nonuls->istream.sync = i_stream_nonuls_sync;
	stream = i_stream_create(&nonuls->istream, input, -1);
	stream->readable_fd = false;
	return stream;
}
