/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A stream that has failed: what a constructor returns instead of NULL. */

#include "config.h"
#include "ostream-private.h"

#include <string.h>

struct ostream *o_stream_create_error(int stream_errno)
{
	return o_stream_create_error_str(stream_errno, "%s",
					 strerror(stream_errno));
}

struct ostream *o_stream_create_error_str(int stream_errno, const char *fmt,
					  ...)
{
	struct ostream_private *error = i_new(struct ostream_private, 1);
	struct ostream *stream;
	va_list args;

	i_assert(stream_errno > 0);
	stream = o_stream_create(error, NULL, -1);
	stream->blocking = true;
	stream->closed = true;
	stream->stream_errno = stream_errno;
	va_start(args, fmt);
	io_stream_set_verror(&error->iostream, fmt, args);
	va_end(args);
	o_stream_set_name(stream, "(error)");
	return stream;
}
