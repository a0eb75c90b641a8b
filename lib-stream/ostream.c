/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The core of output streams, whatever the class: their life, names and errors, and the
   methods of a class that has none of its own. The core checks the states (closed,
   failed, finished), keeps the books (offset, overflow, unchecked errors) and walks the
   chain of parents; the classes move bytes. */

#include "config.h"
#include "ostream-private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

/*
 * Default methods: pass through to the parent
 */

static void default_cork(struct ostream_private *stream ATTR_UNUSED,
			 bool set ATTR_UNUSED)
{
}

static int default_flush(struct ostream_private *stream,
			 enum ostream_flush_mode mode)
{
	return stream->parent == NULL ? 1 : o_stream_flush_parent(stream, mode);
}

static void default_set_flush_callback(struct ostream_private *stream,
				       stream_flush_callback_t *callback,
				       void *context)
{
	stream->callback = callback;
	stream->context = context;
	if (stream->parent != NULL)
		bobbin_o_stream_set_flush_callback(stream->parent, callback,
						   context);
}

static void default_flush_pending(struct ostream_private *stream, bool set)
{
	if (stream->parent != NULL)
		o_stream_set_flush_pending(stream->parent, set);
}

static size_t default_get_used_size(const struct ostream_private *stream)
{
	return stream->parent == NULL ?
		0 :
		o_stream_get_buffer_used_size(stream->parent);
}

static size_t default_get_avail_size(const struct ostream_private *stream)
{
	return stream->parent == NULL ?
		SIZE_MAX :
		o_stream_get_buffer_avail_size(stream->parent);
}

static int default_seek(struct ostream_private *stream,
			uoff_t offset ATTR_UNUSED)
{
	return o_stream_fail(stream, ESPIPE, "%s: output cannot be seeked",
			     o_stream_get_name(&stream->ostream));
}

static ssize_t default_sendv(struct ostream_private *stream,
			     const struct const_iovec *iov,
			     unsigned int iov_count)
{
	return o_stream_pass_parent(stream, iov, iov_count);
}

static int default_write_at(struct ostream_private *stream,
			    const void *data ATTR_UNUSED,
			    size_t size ATTR_UNUSED, uoff_t offset)
{
	return default_seek(stream, offset);
}

static enum ostream_send_istream_result
default_send_istream(struct ostream_private *outstream,
		     struct istream *instream)
{
	return o_stream_copy_istream(&outstream->ostream, instream);
}

static void default_switch_ioloop_to(struct ostream_private *stream,
				     struct ioloop *ioloop)
{
	stream->iostream.ioloop = ioloop;
	if (stream->parent != NULL)
		o_stream_switch_ioloop_to(stream->parent, ioloop);
}

static struct ostream_private *from_iostream(struct iostream_private *stream)
{
	return container_of(stream, struct ostream_private, iostream);
}

static void default_close(struct iostream_private *stream, bool close_parent)
{
	if (close_parent && from_iostream(stream)->parent != NULL)
		o_stream_close(from_iostream(stream)->parent);
}

static void default_destroy(struct iostream_private *stream ATTR_UNUSED)
{
}

static void default_set_max_buffer_size(struct iostream_private *stream,
					size_t max_size)
{
	from_iostream(stream)->max_buffer_size = max_size;
}

static void set_default_methods(struct ostream_private *stream)
{
	if (stream->iostream.close == NULL)
		stream->iostream.close = default_close;
	if (stream->iostream.destroy == NULL)
		stream->iostream.destroy = default_destroy;
	if (stream->iostream.set_max_buffer_size == NULL)
		stream->iostream.set_max_buffer_size =
			default_set_max_buffer_size;
	if (stream->cork == NULL)
		stream->cork = default_cork;
	if (stream->flush == NULL)
		stream->flush = default_flush;
	if (stream->set_flush_callback == NULL)
		stream->set_flush_callback = default_set_flush_callback;
	if (stream->flush_pending == NULL)
		stream->flush_pending = default_flush_pending;
	if (stream->get_buffer_used_size == NULL)
		stream->get_buffer_used_size = default_get_used_size;
	if (stream->get_buffer_avail_size == NULL)
		stream->get_buffer_avail_size = default_get_avail_size;
	if (stream->seek == NULL)
		stream->seek = default_seek;
	if (stream->sendv == NULL)
		stream->sendv = default_sendv;
	if (stream->write_at == NULL)
		stream->write_at = default_write_at;
	if (stream->send_istream == NULL)
		stream->send_istream = default_send_istream;
	if (stream->switch_ioloop_to == NULL)
		stream->switch_ioloop_to = default_switch_ioloop_to;
}

/* What the class held is freed: who is called now finds an empty, closed stream. */
static void forget_class(struct ostream_private *stream)
{
	stream->iostream.close = NULL;
	stream->iostream.destroy = NULL;
	stream->iostream.set_max_buffer_size = NULL;
	stream->cork = NULL;
	stream->flush = NULL;
	stream->set_flush_callback = NULL;
	stream->flush_pending = NULL;
	stream->get_buffer_used_size = NULL;
	stream->get_buffer_avail_size = NULL;
	stream->seek = NULL;
	stream->sendv = NULL;
	stream->write_at = NULL;
	stream->send_istream = NULL;
	stream->switch_ioloop_to = NULL;
	stream->abort = NULL;
	stream->mark_checked = NULL;
	stream->reserve = NULL;
	stream->commit = NULL;
	stream->fd = -1;
	set_default_methods(stream);
}

struct ostream *o_stream_create(struct ostream_private *stream,
				struct ostream *parent, int fd)
{
	set_default_methods(stream);
	stream->ostream.real_stream = stream;
	stream->iostream.refcount = 1;
	stream->iostream.depth = 1;
	stream->fd = fd;
	stream->timed_offset = stream->ostream.offset;
	stream->finish_also_parent = true;
	stream->finish_via_child = true;
	if (parent == NULL)
		return &stream->ostream;

	o_stream_ref(parent);
	parent->real_stream->abandoned = false;
	stream->parent = parent;
	stream->iostream.depth = parent->real_stream->iostream.depth + 1;
	stream->iostream.ioloop = parent->real_stream->iostream.ioloop;
	stream->max_buffer_size = parent->real_stream->max_buffer_size;
	stream->ostream.blocking = parent->blocking;
	stream->error_handling_disabled =
		parent->real_stream->error_handling_disabled;
	if (stream->iostream.depth > IOSTREAM_MAX_DEPTH)
		(void)o_stream_fail(stream, ELOOP,
				    "%s: more than %d streams on top of each "
				    "other",
				    o_stream_get_name(parent),
				    IOSTREAM_MAX_DEPTH);
	return &stream->ostream;
}

/*
 * Names and errors
 */

void o_stream_set_name(struct ostream *stream, const char *name)
{
	io_stream_set_name(&stream->real_stream->iostream, name);
}

const char *o_stream_get_name(struct ostream *stream)
{
	for (; stream != NULL; stream = stream->real_stream->parent) {
		if (stream->real_stream->iostream.name != NULL)
			return stream->real_stream->iostream.name;
	}
	return "";
}

int o_stream_get_fd(struct ostream *stream)
{
	for (; stream != NULL; stream = stream->real_stream->parent) {
		if (stream->real_stream->fd != -1)
			return stream->real_stream->fd;
	}
	return -1;
}

const char *o_stream_get_error(struct ostream *stream)
{
	struct ostream *s;

	if (stream->stream_errno == 0)
		return "<no error>";
	for (s = stream; s != NULL; s = s->real_stream->parent) {
		if (s->real_stream->iostream.error != NULL)
			return s->real_stream->iostream.error;
	}
	return strerror(stream->stream_errno);
}

const char *o_stream_get_disconnect_reason(struct ostream *stream)
{
	return io_stream_disconnect_reason(&stream->real_stream->iostream,
					   stream->stream_errno,
					   o_stream_get_error(stream));
}

int o_stream_fail(struct ostream_private *stream, int stream_errno,
		  const char *fmt, ...)
{
	va_list args;

	i_assert(stream_errno > 0);
	stream->append.open = false;
	if (stream->ostream.stream_errno == 0) {
		stream->ostream.stream_errno = stream_errno;
		va_start(args, fmt);
		io_stream_set_verror(&stream->iostream, fmt, args);
		va_end(args);
	}
	errno = stream->ostream.stream_errno;
	return -1;
}

void o_stream_copy_error_from_parent(struct ostream_private *stream)
{
	int parent_errno = stream->parent->stream_errno;

	/* the text stays with the stream that failed: get_error finds it */
	if (stream->ostream.stream_errno == 0)
		stream->ostream.stream_errno = parent_errno;
	if (stream->parent->closed)
		stream->ostream.closed = true;
	errno = stream->ostream.stream_errno;
}

void o_stream_copy_error_from(struct ostream_private *stream,
			      struct ostream *output)
{
	if (output == stream->parent)
		o_stream_copy_error_from_parent(stream);
	else
		(void)o_stream_fail(stream, output->stream_errno, "%s",
				    o_stream_get_error(output));
}

void o_stream_mark_checked(struct ostream *stream)
{
	for (; stream != NULL; stream = stream->real_stream->parent) {
		stream->real_stream->last_errors_not_checked = false;
		stream->real_stream->failure_told = stream->stream_errno != 0 ||
			stream->real_stream->noverflow;
		stream->real_stream->abandoned = false;
		if (stream->real_stream->mark_checked != NULL)
			stream->real_stream->mark_checked(stream->real_stream);
	}
}

void o_stream_ignore_last_errors(struct ostream *stream)
{
	o_stream_mark_checked(stream);
}

void o_stream_set_no_error_handling(struct ostream *stream, bool set)
{
	stream->real_stream->error_handling_disabled = set;
}

bool o_stream_finish_reaches(const struct ostream_private *stream,
			     const struct ostream *output)
{
	return output != NULL && stream->finish_also_parent &&
		output->real_stream->finish_via_child;
}

static void abort_one(struct ostream_private *s)
{
	s->aborted = true;
	(void)o_stream_fail(s, EPIPE, "%s: writing was aborted",
			    o_stream_get_name(&s->ostream));
}

void o_stream_give_up(struct ostream *stream)
{
	struct ostream_private *s = stream->real_stream;

	for (;; s = s->parent->real_stream) {
		/* of those that share a parent each one's finish counts */
		if ((s->needs_finish || s->shares_parent) && !s->finish_done &&
		    !s->aborted)
			abort_one(s);
		if (s->shares_parent || !o_stream_finish_reaches(s, s->parent))
			break;
	}
	if (s->abort != NULL)
		s->abort(s);
}

void o_stream_abort(struct ostream *stream)
{
	o_stream_mark_checked(stream);
	abort_one(stream->real_stream);
	o_stream_give_up(stream);
}

/*
 * References
 */

void bobbin_o_stream_add_destroy_callback(struct ostream *stream,
					  ostream_callback_t *callback,
					  void *context)
{
	io_stream_add_destroy_callback(&stream->real_stream->iostream, callback,
				       context);
}

void bobbin_o_stream_remove_destroy_callback(struct ostream *stream,
					     ostream_callback_t *callback)
{
	io_stream_remove_destroy_callback(&stream->real_stream->iostream,
					  callback);
}

static bool chain_has_failed(const struct ostream *stream)
{
	for (; stream != NULL; stream = stream->real_stream->parent) {
		if (stream->stream_errno != 0)
			return true;
	}
	return false;
}

static void panic_unless_finished(struct ostream *stream)
{
	const struct ostream_private *s = stream->real_stream;

	if (s->needs_finish && !s->finished && !s->aborted &&
	    !chain_has_failed(stream))
		i_panic("output stream %s destroyed without o_stream_finish()",
			o_stream_get_name(stream));
}

/* What this stream itself holds, as bytes that a close would lose. */
static size_t own_used_size(const struct ostream *stream)
{
	const struct ostream_private *s = stream->real_stream;
	size_t used = o_stream_get_buffer_used_size(stream);

	if (s->parent == NULL)
		return used;
	return used - I_MIN(used, o_stream_get_buffer_used_size(s->parent));
}

/* All that was sent is out, or was given to a parent that has been closed since, and told
   then what was lost with it: whatever is below now, a close loses nothing. */
static bool has_nothing_left(const struct ostream *stream)
{
	const struct ostream_private *s = stream->real_stream;

	if (!s->finish_done &&
	    (s->finished || s->needs_finish || s->parent == NULL ||
	     !s->parent->real_stream->closing))
		return false;
	return own_used_size(stream) == 0;
}

/* Sends what can be sent now; what cannot is lost, and that is an error. False
   where the stream fails here, after it had been fine. */
static bool flush_before_close(struct ostream *stream)
{
	struct ostream_private *s = stream->real_stream;
	size_t lost;

	if (stream->stream_errno != 0 || has_nothing_left(stream))
		return true;
	if (stream->offset == 0 && chain_has_failed(stream)) {
		/* it was made on top of an error and never used */
		o_stream_copy_error_from_parent(s);
		return true;
	}
	(void)o_stream_flush_mode(s, OSTREAM_PUSH);
	lost = own_used_size(stream);
	if (lost > 0)
		(void)o_stream_fail(s, EPIPE,
				    "%s: closed with %zu bytes that could not "
				    "be sent",
				    o_stream_get_name(stream), lost);
	else if (s->finished && !s->finish_done)
		(void)o_stream_fail(s, EPIPE,
				    "%s: closed before it was finished",
				    o_stream_get_name(stream));
	return stream->stream_errno == 0;
}

/* Without close_parents the caller is about to let go of the stream, so that
   nobody could look at an error: then it counts as unchecked. */
static void close_stream(struct ostream *stream, bool close_parents)
{
	struct ostream_private *s = stream->real_stream;

	if (s->closing)
		return;
	panic_unless_finished(stream);
	s->append.open = false;
	s->closing = true;
	if (!flush_before_close(stream) && !close_parents && !s->abandoned)
		s->last_errors_not_checked = true;
	o_stream_uncork_closed(stream);
	s->iostream.close(&s->iostream, close_parents);
	stream->closed = true;
	if (stream->stream_errno == 0)
		stream->stream_errno = EPIPE;
}

void o_stream_ref(struct ostream *stream)
{
	stream->real_stream->iostream.refcount++;
}

static bool was_given_up(const struct ostream_private *s)
{
	return s->aborted || s->abandoned;
}

void o_stream_abandon_below(const struct ostream_private *stream,
			    struct ostream *output)
{
	if (was_given_up(stream)) {
		output->real_stream->append.open = false;
		output->real_stream->abandoned = true;
	}
}

void o_stream_unref(struct ostream **_stream)
{
	struct ostream *stream = *_stream, *parent;
	struct ostream_private *s;

	if (stream == NULL)
		return;
	s = stream->real_stream;
	if (s->iostream.refcount <= 0)
		i_panic("output stream %s: one unref too many",
			o_stream_get_name(stream));
	if (s->iostream.refcount > 1) {
		s->iostream.refcount--;
		*_stream = NULL;
		return;
	}
	close_stream(stream, false);
	if (s->last_errors_not_checked && !s->error_handling_disabled &&
	    !was_given_up(s))
		i_panic("output stream %s is missing error handling",
			o_stream_get_name(stream));
	*_stream = NULL;
	parent = s->parent;
	if (parent != NULL)
		o_stream_abandon_below(s, parent);
	s->iostream.destroy(&s->iostream);
	if (s->iostream.destroy_callbacks != NULL)
		forget_class(s);
	io_stream_free(&s->iostream);
	i_free(s);
	o_stream_unref(&parent);
}

void o_stream_close(struct ostream *stream)
{
	close_stream(stream, true);
}

void o_stream_destroy(struct ostream **stream)
{
	if (*stream == NULL)
		return;
	close_stream(*stream, false);
	o_stream_unref(stream);
}
