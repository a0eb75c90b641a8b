/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Fails on purpose, for tests: at an offset, or where the input ends. */

#include "config.h"
#include "istream-private.h"

struct failure_at_istream {
	struct istream_private istream;
	uoff_t failure_offset;
	int error_errno;
	char *error_string;
};

static ssize_t i_stream_failure_at_read(struct istream_private *stream)
{
	struct failure_at_istream *fstream =
		container_of(stream, struct failure_at_istream, istream);
	uoff_t left = fstream->failure_offset -
		I_MIN(fstream->failure_offset, stream->istream.v_offset);
	ssize_t ret;

	ret = left == 0 ? 0 : i_stream_view_parent(stream, left);
	if (ret > 0 || ret == -2)
		return ret;
	if (ret == 0 && stream->pos - stream->skip < left)
		return 0;
	if (ret == -1 &&
	    (stream->istream.stream_errno != 0 ||
	     fstream->failure_offset != UOFF_T_MAX))
		return -1;
	return i_stream_fail(stream, fstream->error_errno, "%s",
			     fstream->error_string);
}

static int i_stream_failure_at_get_size(struct istream_private *stream,
					bool exact, uoff_t *size_r)
{
	const struct failure_at_istream *fstream =
		container_of(stream, const struct failure_at_istream, istream);

	return i_stream_view_get_size(stream, exact, fstream->failure_offset,
				      size_r);
}

static void i_stream_failure_at_destroy(struct iostream_private *stream)
{
	struct failure_at_istream *fstream = container_of(
		stream, struct failure_at_istream, istream.iostream);

	i_free(fstream->error_string);
}

struct istream *i_stream_create_failure_at(struct istream *input,
					   uoff_t failure_offset,
					   int stream_errno,
					   const char *error_string)
{
	struct failure_at_istream *fstream =
		i_new(struct failure_at_istream, 1);
	struct istream *stream;

	fstream->failure_offset = failure_offset;
	fstream->error_errno = stream_errno;
	fstream->error_string = i_strdup(error_string);
	fstream->istream.iostream.destroy = i_stream_failure_at_destroy;
	fstream->istream.read = i_stream_failure_at_read;
	fstream->istream.seek = i_stream_view_seek;
	fstream->istream.stat = i_stream_view_stat;
	fstream->istream.get_size = i_stream_failure_at_get_size;
	stream = i_stream_create(&fstream->istream, input, -1);
	stream->readable_fd = false;
	return stream;
}

struct istream *i_stream_create_failure_at_eof(struct istream *input,
					       int stream_errno,
					       const char *error_string)
{
	return i_stream_create_failure_at(input, UOFF_T_MAX, stream_errno,
					  error_string);
}
