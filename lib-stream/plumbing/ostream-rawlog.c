/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Logs every byte that its parent accepted. */

#include "config.h"
#include "ostream-private.h"
#include "plumbing/rawlog.h"

struct rawlog_ostream {
	struct ostream_private ostream;
	struct rawlog log;
};

static struct rawlog_ostream *rawlog_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct rawlog_ostream, ostream);
}

static void log_piece(void *context, const void *data, size_t size)
{
	rawlog_write(context, data, size);
}

static ssize_t o_stream_rawlog_sendv(struct ostream_private *stream,
				     const struct const_iovec *iov,
				     unsigned int iov_count)
{
	return o_stream_send_parent_shown(stream, iov, iov_count, log_piece,
					  &rawlog_ostream(stream)->log);
}

static void o_stream_rawlog_close(struct iostream_private *stream,
				  bool close_parent)
{
	struct rawlog_ostream *rawlog =
		container_of(stream, struct rawlog_ostream, ostream.iostream);

	rawlog_end(&rawlog->log);
	if (close_parent)
		o_stream_close(rawlog->ostream.parent);
}

struct ostream *
o_stream_create_rawlog_from_stream(struct ostream *output,
				   struct ostream *rawlog_output,
				   enum iostream_rawlog_flags flags)
{
	struct rawlog_ostream *rawlog = i_new(struct rawlog_ostream, 1);

	rawlog_init(&rawlog->log, rawlog_output, flags, 'O');
	rawlog->ostream.iostream.close = o_stream_rawlog_close;
	rawlog->ostream.sendv = o_stream_rawlog_sendv;
	return o_stream_create(&rawlog->ostream, output, -1);
}

struct ostream *o_stream_create_rawlog(struct ostream *output,
				       const char *rawlog_path, int rawlog_fd,
				       enum iostream_rawlog_flags flags)
{
	struct ostream *stream = o_stream_create_rawlog_from_stream(
		output, rawlog_fd_output(rawlog_path, rawlog_fd), flags);

	if ((flags & IOSTREAM_RAWLOG_FLAG_AUTOCLOSE) != 0)
		rawlog_ostream(stream->real_stream)->log.close_fd = rawlog_fd;
	return stream;
}
