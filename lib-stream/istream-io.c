/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Event loops and input streams. Bytes that wait in a stream's memory are seen by
   no loop, so a stream that has some for another one's reader says so. The ios are
   kept at the end of the chain, where every stream of it finds them; several streams
   on one end (two channels, two readers of a tee) wake only their own. */

#include "config.h"
#include "istream-private.h"
#include "ioloop-private.h"

struct istream_io {
	struct istream_io *next;
	struct istream *stream; /* which is waited for */
	struct io *io;
};

static struct istream_private *end_of_chain(struct istream *stream)
{
	while (stream->real_stream->parent != NULL)
		stream = stream->real_stream->parent;
	return stream->real_stream;
}

static bool is_on_top_of(const struct istream *stream,
			 const struct istream *lower)
{
	while (stream != NULL && stream != lower)
		stream = stream->real_stream->parent;
	return stream != NULL;
}

/* Whether somebody said that there is input; it is told once. */
static bool take_pending(struct istream *stream)
{
	bool pending = false;

	for (; stream != NULL; stream = stream->real_stream->parent) {
		if (stream->real_stream->input_pending)
			pending = true;
		stream->real_stream->input_pending = false;
	}
	return pending;
}

static void istream_io_removed(void *context)
{
	struct istream_io *wait = context;
	struct istream_io **pos = &end_of_chain(wait->stream)->ios;

	while (*pos != wait)
		pos = &(*pos)->next;
	*pos = wait->next;
	i_stream_unref(&wait->stream);
	i_free(wait);
}

struct io *bobbin_io_add_istream_to(struct ioloop *ioloop,
				    struct istream *input,
				    io_callback_t *callback, void *context)
{
	struct istream_private *end = end_of_chain(input);
	struct istream_io *wait = i_new(struct istream_io, 1);
	int fd = i_stream_get_fd(input);

	wait->io = fd == -1 ?
		io_add_without_fd(ioloop, callback, context) :
		bobbin_io_add_to(ioloop, fd, IO_READ, callback, context);
	wait->stream = input;
	i_stream_ref(input);
	wait->next = end->ios;
	end->ios = wait;
	io_set_removed_callback(wait->io, istream_io_removed, wait);
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

void i_stream_set_input_pending(struct istream *stream, bool pending)
{
	struct istream_io *wait;
	bool told = false;

	if (!pending)
		return;
	for (wait = end_of_chain(stream)->ios; wait != NULL;
	     wait = wait->next) {
		if (!is_on_top_of(wait->stream, stream) &&
		    !is_on_top_of(stream, wait->stream))
			continue;
		io_set_pending(wait->io);
		told = true;
	}
	for (; !told && stream != NULL; stream = stream->real_stream->parent)
		stream->real_stream->input_pending = true;
}

void i_stream_move_ios(struct istream *stream, struct ioloop *ioloop)
{
	struct istream_io *wait;
	struct io *io;

	for (wait = end_of_chain(stream)->ios; wait != NULL;
	     wait = wait->next) {
		io = wait->io;
		if (wait->stream == stream)
			wait->io = io_loop_move_io_to(ioloop, &io);
	}
}
