/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A stream whose first read fails: what a constructor returns instead of
   NULL. */

#include "config.h"
#include "istream-private.h"

#include <string.h>

static ssize_t i_stream_error_read(struct istream_private *stream ATTR_UNUSED)
{
	return -1;
}

struct istream *i_stream_create_error(int stream_errno)
{
	return i_stream_create_error_str(stream_errno, "%s",
					 strerror(stream_errno));
}

struct istream *i_stream_create_error_str(int stream_errno, const char *fmt,
					  ...)
{
	struct istream_private *error = i_new(struct istream_private, 1);
	struct istream *stream;
	va_list args;

	i_assert(stream_errno > 0);
	error->read = i_stream_error_read;
	error->max_buffer_size = 1;
	stream = i_stream_create(error, NULL, -1);
	stream->blocking = true;
	stream->eof = true;
	stream->closed = true;
	stream->stream_errno = stream_errno;
	va_start(args, fmt);
	io_stream_set_verror(&error->iostream, fmt, args);
	va_end(args);
	i_stream_set_name(stream, "(error)");
	return stream;
}
