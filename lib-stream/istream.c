/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The core of input streams: their life, names and errors, and the methods of a class
   that has none of its own. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

/*
 * Default methods
 */

/* Forward by dropping what is read next; backward it cannot go. */
static void default_seek(struct istream_private *stream, uoff_t v_offset,
			 bool mark ATTR_UNUSED)
{
	uoff_t end = stream->istream.v_offset + (stream->pos - stream->skip);

	if (v_offset < stream->istream.v_offset) {
		(void)i_stream_fail(stream, ESPIPE,
				    "%s: cannot seek back to offset %llu",
				    i_stream_get_name(&stream->istream),
				    (unsigned long long)v_offset);
		return;
	}
	stream->lag += v_offset - end;
	stream->skip = stream->pos;
	stream->istream.v_offset = v_offset;
}

static void default_sync(struct istream_private *stream)
{
	if (stream->parent != NULL)
		i_stream_sync(stream->parent);
}

static int default_stat(struct istream_private *stream, bool exact)
{
	const struct stat *st;

	if (stream->parent == NULL) {
		memset(&stream->statbuf, 0, sizeof(stream->statbuf));
		stream->statbuf.st_size = -1;
		return 0;
	}
	if (i_stream_stat(stream->parent, exact, &st) < 0) {
		i_stream_copy_error_from_parent(stream);
		return -1;
	}
	stream->statbuf = *st;
	if (st->st_size > 0)
		stream->statbuf.st_size -=
			I_MIN(st->st_size, (off_t)stream->parent_start_offset);
	return 0;
}

static int default_get_size(struct istream_private *stream, bool exact,
			    uoff_t *size_r)
{
	if (stream->stat(stream, exact) < 0)
		return -1;
	if (stream->statbuf.st_size == -1)
		return 0;
	*size_r = (uoff_t)stream->statbuf.st_size;
	return 1;
}

/* The streams that this one reads from. */
static void each_input(struct istream_private *stream,
		       istream_input_callback_t *callback, void *context)
{
	if (stream->parent != NULL)
		callback(stream->parent, context);
	else if (stream->each_input != NULL)
		stream->each_input(stream, callback, context);
}

static void switch_input(struct istream *input, void *ioloop)
{
	i_stream_switch_ioloop_to(input, ioloop);
}

static void default_switch_ioloop_to(struct istream_private *stream,
				     struct ioloop *ioloop)
{
	stream->iostream.ioloop = ioloop;
	each_input(stream, switch_input, ioloop);
}

static struct istream_private *from_iostream(struct iostream_private *stream)
{
	return container_of(stream, struct istream_private, iostream);
}

static void close_input(struct istream *input, void *context ATTR_UNUSED)
{
	i_stream_close(input);
}

static void default_close(struct iostream_private *stream, bool close_parent)
{
	if (close_parent)
		each_input(from_iostream(stream), close_input, NULL);
}

static void default_destroy(struct iostream_private *stream ATTR_UNUSED)
{
}

static void default_set_max_buffer_size(struct iostream_private *stream,
					size_t max_size)
{
	from_iostream(stream)->max_buffer_size = max_size;
}

static void set_default_methods(struct istream_private *stream)
{
	if (stream->iostream.close == NULL)
		stream->iostream.close = default_close;
	if (stream->iostream.destroy == NULL)
		stream->iostream.destroy = default_destroy;
	if (stream->iostream.set_max_buffer_size == NULL)
		stream->iostream.set_max_buffer_size =
			default_set_max_buffer_size;
	if (stream->seek == NULL)
		stream->seek = default_seek;
	if (stream->sync == NULL)
		stream->sync = default_sync;
	if (stream->stat == NULL)
		stream->stat = default_stat;
	if (stream->get_size == NULL)
		stream->get_size = default_get_size;
	if (stream->switch_ioloop_to == NULL)
		stream->switch_ioloop_to = default_switch_ioloop_to;
}

/* What the class held is freed: who is called now finds an empty, closed stream. */
static void forget_class(struct istream_private *stream)
{
	stream->iostream.close = NULL;
	stream->iostream.destroy = NULL;
	stream->iostream.set_max_buffer_size = NULL;
	stream->seek = NULL;
	stream->sync = NULL;
	stream->stat = NULL;
	stream->get_size = NULL;
	stream->switch_ioloop_to = NULL;
	stream->set_limits = NULL;
	stream->each_input = NULL;
	stream->current_input = NULL;
	stream->fd = -1;
	stream->buffer = NULL;
	stream->skip = stream->pos = 0;
	set_default_methods(stream);
}

struct istream *i_stream_create(struct istream_private *stream,
				struct istream *parent, int fd)
{
	set_default_methods(stream);
	stream->istream.real_stream = stream;
	stream->iostream.refcount = 1;
	stream->iostream.depth = 1;
	stream->fd = fd;
	if (stream->init_buffer_size == 0)
		stream->init_buffer_size = IO_BLOCK_SIZE;
	if (parent == NULL)
		return &stream->istream;

	i_stream_ref(parent);
	stream->parent = parent;
	stream->parent_start_offset = parent->v_offset;
	stream->parent_expected_offset = parent->v_offset;
	stream->iostream.depth = parent->real_stream->iostream.depth + 1;
	stream->iostream.ioloop = parent->real_stream->iostream.ioloop;
	if (stream->max_buffer_size == 0)
		stream->max_buffer_size = parent->real_stream->max_buffer_size;
	stream->istream.blocking = parent->blocking;
	stream->istream.readable_fd = parent->readable_fd;
	stream->istream.seekable = parent->seekable;
	if (stream->iostream.depth > IOSTREAM_MAX_DEPTH)
		(void)i_stream_fail(stream, ELOOP,
				    "%s: more than %d streams on top of each "
				    "other",
				    i_stream_get_name(parent),
				    IOSTREAM_MAX_DEPTH);
	return &stream->istream;
}

void i_stream_add_input(struct istream_private *stream, struct istream *input)
{
	i_stream_ref(input);
	stream->istream.blocking = stream->istream.blocking && input->blocking;
	stream->iostream.depth = I_MAX(stream->iostream.depth,
				       input->real_stream->iostream.depth + 1);
	if (stream->iostream.depth > IOSTREAM_MAX_DEPTH)
		(void)i_stream_fail(stream, ELOOP,
				    "more than %d streams on top of each other",
				    IOSTREAM_MAX_DEPTH);
}

/*
 * Names and errors
 */

void i_stream_set_name(struct istream *stream, const char *name)
{
	io_stream_set_name(&stream->real_stream->iostream, name);
}

const char *i_stream_get_name(struct istream *stream)
{
	for (; stream != NULL; stream = stream->real_stream->parent) {
		if (stream->real_stream->iostream.name != NULL)
			return stream->real_stream->iostream.name;
	}
	return "";
}

int i_stream_get_fd(struct istream *stream)
{
	for (; stream != NULL; stream = stream->real_stream->parent) {
		if (stream->real_stream->fd != -1)
			return stream->real_stream->fd;
	}
	return -1;
}

void i_stream_copy_fd(struct istream *dest, struct istream *source)
{
	int fd = i_stream_get_fd(source);

	i_assert(fd != -1);
	i_assert(dest->real_stream->fd == -1);
	dest->real_stream->fd = fd;
	dest->readable_fd = source->readable_fd;
}

const char *i_stream_get_error(struct istream *stream)
{
	struct istream *s;

	if (stream->stream_errno == 0)
		return stream->eof ? "EOF" : "<no error>";
	for (s = stream; s != NULL; s = s->real_stream->parent) {
		if (s->real_stream->iostream.error != NULL)
			return s->real_stream->iostream.error;
	}
	return strerror(stream->stream_errno);
}

const char *i_stream_get_disconnect_reason(struct istream *stream)
{
	return io_stream_disconnect_reason(&stream->real_stream->iostream,
					   stream->stream_errno,
					   i_stream_get_error(stream));
}

ssize_t i_stream_fail(struct istream_private *stream, int stream_errno,
		      const char *fmt, ...)
{
	va_list args;

	i_assert(stream_errno > 0);
	if (stream->istream.stream_errno == 0) {
		stream->istream.stream_errno = stream_errno;
		va_start(args, fmt);
		io_stream_set_verror(&stream->iostream, fmt, args);
		va_end(args);
	}
	stream->istream.eof = true;
	errno = stream->istream.stream_errno;
	return -1;
}

void i_stream_copy_error_from_parent(struct istream_private *stream)
{
	struct istream *parent = stream->parent;

	/* the text stays with the stream that failed: get_error finds it */
	if (stream->istream.stream_errno == 0)
		stream->istream.stream_errno = parent->stream_errno;
	if (parent->stream_errno != 0 || parent->eof)
		stream->istream.eof = true;
	errno = stream->istream.stream_errno;
}

/*
 * References
 */

void bobbin_i_stream_add_destroy_callback(struct istream *stream,
					  istream_callback_t *callback,
					  void *context)
{
	io_stream_add_destroy_callback(&stream->real_stream->iostream, callback,
				       context);
}

void bobbin_i_stream_remove_destroy_callback(struct istream *stream,
					     istream_callback_t *callback)
{
	io_stream_remove_destroy_callback(&stream->real_stream->iostream,
					  callback);
}

void i_stream_ref(struct istream *stream)
{
	stream->real_stream->iostream.refcount++;
}

static void close_stream(struct istream *stream, bool close_parents)
{
	struct istream_private *s = stream->real_stream;

	if (s->closing)
		return;
	s->closing = true;
	s->iostream.close(&s->iostream, close_parents);
	stream->closed = true;
	if (stream->stream_errno == 0)
		stream->stream_errno = EPIPE;
}

void i_stream_unref(struct istream **_stream)
{
	struct istream *stream = *_stream, *parent;
	struct istream_private *s;

	if (stream == NULL)
		return;
	*_stream = NULL;
	s = stream->real_stream;
	if (s->iostream.refcount <= 0)
		i_panic("input stream %s: one unref too many",
			i_stream_get_name(stream));
	if (--s->iostream.refcount > 0)
		return;
	close_stream(stream, false);
	parent = s->parent;
	s->iostream.destroy(&s->iostream);
	i_stream_free_buffers(s);
	i_free_and_null(s->line);
	if (s->iostream.destroy_callbacks != NULL)
		forget_class(s);
	io_stream_free(&s->iostream);
	i_free(s);
	i_stream_unref(&parent);
}

void i_stream_close(struct istream *stream)
{
	close_stream(stream, true);
}

void i_stream_destroy(struct istream **stream)
{
	if (*stream == NULL)
		return;
	close_stream(*stream, false);
	i_stream_unref(stream);
}

void i_stream_sync(struct istream *stream)
{
	struct istream_private *s = stream->real_stream;

	if (stream->closed || stream->stream_errno != 0)
		return;
	s->sync(s);
	/* views of it look again, too */
	s->access_counter++;
}

/*
 * State
 */

int i_stream_stat(struct istream *stream, bool exact, const struct stat **st_r)
{
	struct istream_private *s = stream->real_stream;

	if (stream->closed) {
		errno = stream->stream_errno;
		return -1;
	}
	if (s->stat(s, exact) < 0)
		return -1;
	*st_r = &s->statbuf;
	return 0;
}

int i_stream_get_size(struct istream *stream, bool exact, uoff_t *size_r)
{
	struct istream_private *s = stream->real_stream;

	if (stream->closed) {
		errno = stream->stream_errno;
		return -1;
	}
	return s->get_size(s, exact, size_r);
}

bool i_stream_have_bytes_left(struct istream *stream)
{
	return i_stream_get_data_size(stream) > 0 || !stream->eof;
}

bool i_stream_read_eof(struct istream *stream)
{
	if (i_stream_get_data_size(stream) == 0)
		(void)i_stream_read(stream);
	return !i_stream_have_bytes_left(stream);
}

uoff_t i_stream_get_absolute_offset(struct istream *stream)
{
	uoff_t offset = stream->v_offset;

	for (; stream != NULL; stream = stream->real_stream->parent)
		offset += stream->real_stream->parent_start_offset;
	return offset;
}

void i_stream_set_init_buffer_size(struct istream *stream, size_t size)
{
	stream->real_stream->init_buffer_size = I_MAX(size, (size_t)1);
}

void i_stream_set_max_buffer_size(struct istream *stream, size_t max_size)
{
	struct iostream_private *io;

	for (; stream != NULL; stream = stream->real_stream->parent) {
		io = &stream->real_stream->iostream;
		io->set_max_buffer_size(io, I_MAX(max_size, (size_t)1));
	}
}

size_t i_stream_get_max_buffer_size(struct istream *stream)
{
	size_t max = 0;

	for (; stream != NULL; stream = stream->real_stream->parent)
		max = I_MAX(max, stream->real_stream->max_buffer_size);
	return max;
}

void i_stream_set_persistent_buffers(struct istream *stream, bool set)
{
	for (; stream != NULL; stream = stream->real_stream->parent)
		stream->real_stream->nonpersistent_buffers = !set;
}

static void set_fd_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return;
	flags = blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK;
	(void)fcntl(fd, F_SETFL, flags);
}

static void set_input_blocking(struct istream *input, void *context)
{
	const bool *blocking = context;

	i_stream_set_blocking(input, *blocking);
}

void i_stream_set_blocking(struct istream *stream, bool blocking)
{
	stream->blocking = blocking;
	if (stream->real_stream->fd != -1)
		set_fd_blocking(stream->real_stream->fd, blocking);
	each_input(stream->real_stream, set_input_blocking, &blocking);
}

void i_stream_get_last_read_time(struct istream *stream, struct timeval *tv_r)
{
	*tv_r = stream->real_stream->last_read_timeval;
}

void i_stream_switch_ioloop_to(struct istream *stream, struct ioloop *ioloop)
{
	i_stream_move_ios(stream, ioloop);
	stream->real_stream->switch_ioloop_to(stream->real_stream, ioloop);
}

void i_stream_switch_ioloop(struct istream *stream)
{
	i_stream_switch_ioloop_to(stream, io_loop_get_current());
}
