/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Event loops and input streams. Bytes that wait in a stream's memory are seen by
   no loop, so a stream that has some for another one's reader says so. Who waits for
   a stream is kept there, and at the end of the chain, where every stream of it is
   found; several streams on one end (two channels, two readers of a tee) wake only
   their own. The chain may change (concat goes on to its next input): then what is
   watched follows, at the call that this is worth. */

#include "config.h"
#include "istream-private.h"
#include "ioloop-private.h"

struct istream_io {
	struct istream_io *own_next, *end_next;
	struct istream *stream; /* which is waited for */
	struct istream *end;    /* of the chain, as it was looked at last */
	struct io *io;
	io_callback_t *callback;
	void *context;
};

static struct istream *below(const struct istream *stream)
{
	struct istream_private *s = stream->real_stream;

	if (s->parent == NULL && s->current_input != NULL)
		return s->current_input(s);
	return s->parent;
}

static struct istream *end_of_chain(struct istream *stream)
{
	struct istream *next;

	while ((next = below(stream)) != NULL)
		stream = next;
	return stream;
}

int i_stream_fd_of_chain(const struct istream *stream)
{
	while (stream != NULL && stream->real_stream->fd == -1)
		stream = below(stream);
	return stream == NULL ? -1 : stream->real_stream->fd;
}

static bool is_on_top_of(const struct istream *stream,
			 const struct istream *lower)
{
	while (stream != NULL && stream != lower)
		stream = below(stream);
	return stream != NULL;
}

/* Whether somebody said that there is input; it is told once. */
static bool take_pending(struct istream *stream)
{
	bool pending = false;

	for (; stream != NULL; stream = below(stream)) {
		if (stream->real_stream->input_pending)
			pending = true;
		stream->real_stream->input_pending = false;
	}
	return pending;
}

static void link_to_end(struct istream_io *wait)
{
	struct istream_private *end;

	wait->end = end_of_chain(wait->stream);
	i_stream_ref(wait->end);
	end = wait->end->real_stream;
	wait->end_next = end->end_ios;
	end->end_ios = wait;
}

static void unlink_from_end(struct istream_io *wait)
{
	struct istream_io **pos = &wait->end->real_stream->end_ios;

	while (*pos != wait)
		pos = &(*pos)->end_next;
	*pos = wait->end_next;
	i_stream_unref(&wait->end);
}

static void istream_io_removed(void *context)
{
	struct istream_io *wait = context;
	struct istream_io **pos = &wait->stream->real_stream->own_ios;

	while (*pos != wait)
		pos = &(*pos)->own_next;
	*pos = wait->own_next;
	unlink_from_end(wait);
	i_stream_unref(&wait->stream);
	i_free(wait);
}

static void istream_io_called(void *context)
{
	struct istream_io *wait = context;

	if (end_of_chain(wait->stream) != wait->end) {
		io_change_fd(wait->io, i_stream_fd_of_chain(wait->stream));
		unlink_from_end(wait);
		link_to_end(wait);
	}
	wait->callback(wait->context);
}

struct io *bobbin_io_add_istream_to(struct ioloop *ioloop,
				    struct istream *input,
				    io_callback_t *callback, void *context)
{
	struct istream_io *wait = i_new(struct istream_io, 1);
	struct istream_private *s = input->real_stream;

	wait->io = io_add_without_fd(ioloop, istream_io_called, wait);
	io_change_fd(wait->io, i_stream_fd_of_chain(input));
	io_set_removed_callback(wait->io, istream_io_removed, wait);
	wait->callback = callback;
	wait->context = context;
	wait->stream = input;
	i_stream_ref(input);
	wait->own_next = s->own_ios;
	s->own_ios = wait;
	link_to_end(wait);
	if (take_pending(input))
		io_set_pending(wait->io);
	return wait->io;
}

struct io *bobbin_io_add_istream(struct istream *input, io_callback_t *callback,
				 void *context)
{
	if (io_loop_get_current() == NULL)
		i_panic("io_add_istream(): this thread has no event loop");
	return bobbin_io_add_istream_to(io_loop_get_current(), input, callback,
					context);
}

/* Those who wait for the stream, or for one below it. */
static bool wake_below(struct istream *stream)
{
	const struct istream_io *wait;
	bool woken = false;

	for (; stream != NULL; stream = below(stream)) {
		for (wait = stream->real_stream->own_ios; wait != NULL;
		     wait = wait->own_next) {
			io_set_pending(wait->io);
			woken = true;
		}
	}
	return woken;
}

/* Those who wait for a stream on top of it. One whose chain has changed is called
   rather than forgotten. */
static bool wake_above(struct istream *stream)
{
	const struct istream_io *wait;
	bool woken = false;

	for (wait = end_of_chain(stream)->real_stream->end_ios; wait != NULL;
	     wait = wait->end_next) {
		if (!is_on_top_of(wait->stream, stream) &&
		    end_of_chain(wait->stream) == wait->end)
			continue;
		io_set_pending(wait->io);
		woken = true;
	}
	return woken;
}

void i_stream_set_input_pending(struct istream *stream, bool pending)
{
	bool above, lower;

	if (!pending)
		return;
	above = wake_above(stream);
	lower = wake_below(stream);
	if (above || lower)
		return;
	for (; stream != NULL; stream = below(stream))
		stream->real_stream->input_pending = true;
}

void i_stream_move_ios(struct istream *stream, struct ioloop *ioloop)
{
	struct istream_io *wait;
	struct io *io;

	for (wait = stream->real_stream->own_ios; wait != NULL;
	     wait = wait->own_next) {
		io = wait->io;
		wait->io = io_loop_move_io_to(ioloop, &io);
	}
}
