/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows its parent as it is, and tells how far it was read. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>

struct progress_istream {
	struct istream_private istream;
	uoff_t step;
	uoff_t told;
	stream_progress_callback_t *callback;
	void *context;
};

static ssize_t i_stream_progress_read(struct istream_private *stream)
{
	struct progress_istream *progress =
		container_of(stream, struct progress_istream, istream);
	uoff_t end;
	bool at_end;
	ssize_t ret;

	ret = i_stream_view_parent(stream, UOFF_T_MAX);
	end = stream->istream.v_offset + (stream->pos - stream->skip);
	at_end = ret == -1 && stream->istream.stream_errno == 0;
	if (end <= progress->told ||
	    (end - progress->told < progress->step && !at_end))
		return ret;
	progress->told = end;
	if (progress->callback(end, progress->context))
		return ret;
	return i_stream_fail(stream, ECANCELED,
			     "%s: reading was cancelled after %llu bytes",
			     i_stream_get_name(&stream->istream),
			     (unsigned long long)end);
}

struct istream *i_stream_create_progress(struct istream *input, uoff_t step,
					 stream_progress_callback_t *callback,
					 void *context)
{
	struct progress_istream *progress = i_new(struct progress_istream, 1);
	struct istream *stream;

	progress->step = step;
	progress->callback = callback;
	progress->context = context;
	progress->istream.read = i_stream_progress_read;
	progress->istream.seek = i_stream_view_seek;
	stream = i_stream_create(&progress->istream, input, -1);
	/* what the kernel copies nobody would be told of */
	stream->readable_fd = false;
	return stream;
}
