/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Fails where its parent gives nothing for too long. The time is the event loop's: a
   timeout that each read that gives something starts anew. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>
#include <poll.h>

struct timeout_istream {
	struct istream_private istream;
	unsigned int msecs;
	struct timeout *timeout;
};

static struct timeout_istream *timeout_istream(struct istream_private *stream)
{
	return container_of(stream, struct timeout_istream, istream);
}

/* Bytes, or an end, that nobody has read yet: it is the reader who is slow. */
static bool has_unread_input(struct timeout_istream *t)
{
	struct pollfd pfd = { .fd = i_stream_fd_of_chain(&t->istream.istream),
			      .events = POLLIN };

	return pfd.fd != -1 && poll(&pfd, 1, 0) > 0;
}

static void timed_out(struct timeout_istream *t)
{
	struct istream *stream = &t->istream.istream;
	uoff_t end;

	if (has_unread_input(t))
		return;
	timeout_remove(&t->timeout);
	end = stream->v_offset + i_stream_get_data_size(stream);
	(void)i_stream_fail(
		&t->istream, ETIMEDOUT,
		"%s: nothing could be read for %u.%03u s, behind offset %llu",
		i_stream_get_name(stream), t->msecs / 1000, t->msecs % 1000,
		(unsigned long long)end);
	i_stream_set_input_pending(stream, true);
}

static void start_timeout(struct timeout_istream *t)
{
	struct ioloop *ioloop = io_stream_get_ioloop(&t->istream.iostream);
	struct istream *stream = &t->istream.istream;

	timeout_remove(&t->timeout);
	if (t->msecs == 0 || ioloop == NULL)
		return;
	/* memory, say: nothing ever keeps a reader waiting there */
	if (stream->blocking && i_stream_fd_of_chain(stream) == -1)
		return;
	t->timeout = timeout_add_to(ioloop, t->msecs, timed_out, t);
}

static ssize_t i_stream_timeout_read(struct istream_private *stream)
{
	struct timeout_istream *t = timeout_istream(stream);
	ssize_t ret;

	ret = i_stream_view_parent(stream, UOFF_T_MAX);
	if (ret < 0)
		/* the end, or the reader has to take something first */
		timeout_remove(&t->timeout);
	else if (ret > 0 || t->timeout == NULL)
		start_timeout(t);
	return ret;
}

static void i_stream_timeout_switch_ioloop_to(struct istream_private *stream,
					      struct ioloop *ioloop)
{
	struct timeout_istream *t = timeout_istream(stream);

	stream->iostream.ioloop = ioloop;
	i_stream_switch_ioloop_to(stream->parent, ioloop);
	if (t->timeout != NULL)
		start_timeout(t);
}

static void i_stream_timeout_close(struct iostream_private *stream,
				   bool close_parent)
{
	struct timeout_istream *t =
		container_of(stream, struct timeout_istream, istream.iostream);

	timeout_remove(&t->timeout);
	if (close_parent)
		i_stream_close(t->istream.parent);
}

struct istream *i_stream_create_timeout(struct istream *input,
					unsigned int timeout_msecs)
{
	struct timeout_istream *t = i_new(struct timeout_istream, 1);
	struct istream *stream;

	t->msecs = timeout_msecs;
	t->istream.iostream.close = i_stream_timeout_close;
	t->istream.read = i_stream_timeout_read;
	t->istream.seek = i_stream_view_seek;
	t->istream.switch_ioloop_to = i_stream_timeout_switch_ioloop_to;
	stream = i_stream_create(&t->istream, input, -1);
	/* it has to see the bytes come */
	stream->readable_fd = false;
	return stream;
}
