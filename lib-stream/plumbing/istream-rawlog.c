/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows its parent's bytes, and logs each of them once and in order. */

#include "config.h"
#include "istream-private.h"
#include "ostream.h"
#include "plumbing/rawlog.h"

struct rawlog_istream {
	struct istream_private istream;
	struct rawlog log;
	uoff_t logged; /* v_offset of the first byte not logged yet */
};

static struct rawlog_istream *rawlog_istream(struct istream_private *stream)
{
	return container_of(stream, struct rawlog_istream, istream);
}

static ssize_t i_stream_rawlog_read(struct istream_private *stream)
{
	struct rawlog_istream *rawlog = rawlog_istream(stream);
	size_t fresh;
	ssize_t ret;

	ret = i_stream_view_once(stream, &rawlog->logged, &fresh);
	if (fresh > 0)
		rawlog_write(&rawlog->log, stream->buffer + stream->pos - fresh,
			     fresh);
	return ret;
}

static void i_stream_rawlog_seek(struct istream_private *stream,
				 uoff_t v_offset, bool mark ATTR_UNUSED)
{
	uoff_t logged = rawlog_istream(stream)->logged;

	i_stream_reset_buffer(stream, v_offset);
	stream->lag = v_offset - I_MIN(v_offset, logged);
}

static void i_stream_rawlog_close(struct iostream_private *stream,
				  bool close_parent)
{
	struct rawlog_istream *rawlog =
		container_of(stream, struct rawlog_istream, istream.iostream);

	rawlog_end(&rawlog->log);
	if (close_parent)
		i_stream_close(rawlog->istream.parent);
}

struct istream *
i_stream_create_rawlog_from_stream(struct istream *input,
				   struct ostream *rawlog_output,
				   enum iostream_rawlog_flags flags)
{
	struct rawlog_istream *rawlog = i_new(struct rawlog_istream, 1);
	struct istream *stream;

	rawlog_init(&rawlog->log, rawlog_output, flags, 'I');
	rawlog->istream.iostream.close = i_stream_rawlog_close;
	rawlog->istream.read = i_stream_rawlog_read;
	rawlog->istream.seek = i_stream_rawlog_seek;
	stream = i_stream_create(&rawlog->istream, input, -1);
	/* the kernel would copy past the log */
	stream->readable_fd = false;
	return stream;
}

struct istream *i_stream_create_rawlog(struct istream *input,
				       const char *rawlog_path, int rawlog_fd,
				       enum iostream_rawlog_flags flags)
{
	struct istream *stream = i_stream_create_rawlog_from_stream(
		input, rawlog_fd_output(rawlog_path, rawlog_fd), flags);

	if ((flags & IOSTREAM_RAWLOG_FLAG_AUTOCLOSE) != 0)
		rawlog_istream(stream->real_stream)->log.close_fd = rawlog_fd;
	return stream;
}
