/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The core of output streams: what holds for every class. It checks the states
   (closed, failed, finished), keeps the books (offset, overflow, unchecked
   errors) and walks the chain of parents; the classes move bytes. */

#include "config.h"
#include "ostream-private.h"
#include "istream.h"

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
	return o_stream_send_parent(stream, iov, iov_count);
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

/* An output that is not the parent is not found by get_error: its text comes
   along. */
static void copy_error(struct ostream_private *stream, struct ostream *output)
{
	if (output == stream->parent)
		o_stream_copy_error_from_parent(stream);
	else
		(void)o_stream_fail(stream, output->stream_errno, "%s",
				    o_stream_get_error(output));
}

static bool has_failed(const struct ostream *stream)
{
	if (BOBBIN_LIKELY(!stream->closed && stream->stream_errno == 0))
		return false;
	errno = stream->stream_errno;
	return true;
}

static void mark_checked(struct ostream *stream)
{
	for (; stream != NULL; stream = stream->real_stream->parent) {
		stream->real_stream->last_errors_not_checked = false;
		stream->real_stream->abandoned = false;
	}
}

void o_stream_ignore_last_errors(struct ostream *stream)
{
	mark_checked(stream);
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
	mark_checked(stream);
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

static int flush_stream(struct ostream_private *s,
			enum ostream_flush_mode mode);

/* Sends what can be sent now; what cannot is lost, and that is an error. False
   where the stream fails here, after it had been fine. */
static bool flush_before_close(struct ostream *stream)
{
	struct ostream_private *s = stream->real_stream;
	size_t lost;

	if (stream->stream_errno != 0)
		return true;
	if (stream->offset == 0 && chain_has_failed(stream)) {
		/* it was made on top of an error and never used */
		o_stream_copy_error_from_parent(s);
		return true;
	}
	(void)flush_stream(s, OSTREAM_PUSH);
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

/*
 * Sending
 */

static size_t iov_size(const struct const_iovec *iov, unsigned int iov_count)
{
	size_t size = 0;
	unsigned int i;

	for (i = 0; i < iov_count; i++)
		size += iov[i].iov_len;
	return size;
}

static void note_time(struct ostream_private *s)
{
	io_stream_get_time(&s->last_write_timeval);
	s->timed_offset = s->ostream.offset;
}

/* A larger send may have a better way than through a buffer. */
#define APPEND_MAX 16384

static inline bool try_append(struct ostream_private *s, const void *data,
			      size_t size)
{
	size_t used;

	if (!s->append.open || size - 1 >= APPEND_MAX)
		return false;
	used = *s->append.used;
	if (used + size >= *s->append.limit)
		return false;
	memcpy(*s->append.data + used, data, size);
	*s->append.used = used + size;
	s->ostream.offset += size;
	return true;
}

/* The other way in for bytes. */
static ssize_t send_bytes(struct ostream_private *s,
			  const struct const_iovec *iov, unsigned int iov_count)
{
	ssize_t ret;

	s->append.open = false;
	s->abandoned = false;
	if (has_failed(&s->ostream))
		return -1;
	if (BOBBIN_UNLIKELY(s->finished))
		i_panic("output stream %s: write after finish",
			o_stream_get_name(&s->ostream));
	ret = s->sendv(s, iov, iov_count);
	if (ret > 0) {
		s->ostream.offset += (uoff_t)ret;
		if (!s->corked && !s->in_memory)
			note_time(s);
	} else if (ret < 0) {
		errno = s->ostream.stream_errno;
	}
	return ret;
}

static inline ssize_t send_sized(struct ostream *stream,
				 const struct const_iovec *iov,
				 unsigned int iov_count, size_t size)
{
	ssize_t ret;

	if (size == 0)
		return has_failed(stream) ? -1 : 0;
	ret = send_bytes(stream->real_stream, iov, iov_count);
	if (ret >= 0 && (size_t)ret < size)
		stream->overflow = true;
	return ret;
}

ssize_t o_stream_sendv(struct ostream *stream, const struct const_iovec *iov,
		       unsigned int iov_count)
{
	return send_sized(stream, iov, iov_count, iov_size(iov, iov_count));
}

/* Apart from o_stream_send(), which then needs few registers. */
static BOBBIN_NOINLINE ssize_t send_piece(struct ostream *stream,
					  const void *data, size_t size)
{
	struct const_iovec iov = { data, size };

	return send_sized(stream, &iov, 1, size);
}

ssize_t o_stream_send(struct ostream *stream, const void *data, size_t size)
{
	if (BOBBIN_LIKELY(try_append(stream->real_stream, data, size)))
		return (ssize_t)size;
	return send_piece(stream, data, size);
}

ssize_t o_stream_send_str(struct ostream *stream, const char *str)
{
	return o_stream_send(stream, str, strlen(str));
}

void o_stream_nsendv(struct ostream *stream, const struct const_iovec *iov,
		     unsigned int iov_count)
{
	struct ostream_private *s = stream->real_stream;
	size_t size = iov_size(iov, iov_count);
	ssize_t ret;

	if (size == 0 || has_failed(stream) || s->noverflow)
		return;
	ret = o_stream_sendv(stream, iov, iov_count);
	if (ret >= 0 && (size_t)ret < size)
		s->noverflow = true;
	s->last_errors_not_checked = true;
}

void o_stream_nsend(struct ostream *stream, const void *data, size_t size)
{
	struct const_iovec iov = { data, size };

	if (!stream->real_stream->noverflow &&
	    try_append(stream->real_stream, data, size))
		stream->real_stream->last_errors_not_checked = true;
	else
		o_stream_nsendv(stream, &iov, 1);
}

void o_stream_nsend_str(struct ostream *stream, const char *str)
{
	o_stream_nsend(stream, str, strlen(str));
}

ssize_t o_stream_send_to(struct ostream_private *stream, struct ostream *output,
			 const struct const_iovec *iov, unsigned int iov_count)
{
	struct ostream_private *s = output->real_stream;
	ssize_t ret;

	if (iov_count == 1 && try_append(s, iov->iov_base, iov->iov_len))
		return (ssize_t)iov->iov_len;
	if (iov_size(iov, iov_count) == 0)
		return 0;
	ret = send_bytes(s, iov, iov_count);
	if (ret < 0)
		copy_error(stream, output);
	return ret;
}

ssize_t o_stream_send_parent(struct ostream_private *stream,
			     const struct const_iovec *iov,
			     unsigned int iov_count)
{
	return o_stream_send_to(stream, stream->parent, iov, iov_count);
}

ssize_t o_stream_send_parent_shown(struct ostream_private *stream,
				   const struct const_iovec *iov,
				   unsigned int iov_count,
				   o_stream_show_t *show, void *context)
{
	ssize_t ret = o_stream_send_parent(stream, iov, iov_count);
	size_t left = ret < 0 ? 0 : (size_t)ret, len;
	unsigned int i;

	for (i = 0; i < iov_count && left > 0; i++, left -= len) {
		len = I_MIN(iov[i].iov_len, left);
		show(context, iov[i].iov_base, len);
	}
	return ret;
}

unsigned char *o_stream_reserve(struct ostream *stream, size_t min,
				size_t *size_r)
{
	struct ostream_private *s = stream->real_stream;

	s->append.open = false;
	if (s->reserve == NULL || stream->closed || stream->stream_errno != 0)
		return NULL;
	if (BOBBIN_UNLIKELY(s->finished))
		i_panic("output stream %s: write after finish",
			o_stream_get_name(stream));
	return s->reserve(s, min, size_r);
}

void o_stream_commit(struct ostream *stream, size_t size)
{
	struct ostream_private *s = stream->real_stream;

	if (size == 0)
		return;
	stream->offset += size;
	if (!s->corked && !s->in_memory)
		note_time(s);
	s->commit(s, size);
}

enum ostream_send_istream_result
o_stream_copy_istream(struct ostream *outstream, struct istream *instream)
{
	const unsigned char *data;
	struct const_iovec iov;
	size_t size;
	ssize_t sent;
	int ret;

	while ((ret = i_stream_read_more(instream, &data, &size)) > 0) {
		iov.iov_base = data;
		iov.iov_len = size;
		sent = send_bytes(outstream->real_stream, &iov, 1);
		if (sent < 0)
			return OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT;
		i_stream_skip(instream, (size_t)sent);
		/* what was taken before the error counts, but nobody has to
		   wait for more room */
		if (outstream->stream_errno != 0)
			return OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT;
		if ((size_t)sent < size) {
			o_stream_set_flush_pending(outstream, true);
			return OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT;
		}
	}
	if (ret == 0)
		return OSTREAM_SEND_ISTREAM_RESULT_WAIT_INPUT;
	return instream->stream_errno != 0 ?
		OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT :
		OSTREAM_SEND_ISTREAM_RESULT_FINISHED;
}

enum ostream_send_istream_result
o_stream_send_istream(struct ostream *outstream, struct istream *instream)
{
	struct ostream_private *s = outstream->real_stream;

	if (has_failed(outstream))
		return OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT;
	if (instream->closed || instream->stream_errno != 0) {
		errno = instream->stream_errno;
		return OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT;
	}
	s->append.open = false;
	return s->send_istream(s, instream);
}

void o_stream_nsend_istream(struct ostream *outstream, struct istream *instream)
{
	struct ostream_private *s = outstream->real_stream;

	if (has_failed(outstream) || s->noverflow)
		return;
	switch (o_stream_send_istream(outstream, instream)) {
	case OSTREAM_SEND_ISTREAM_RESULT_FINISHED:
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT:
		break;
	case OSTREAM_SEND_ISTREAM_RESULT_WAIT_INPUT:
		(void)o_stream_fail(s, EAGAIN,
				    "%s: the input %s has nothing to read now",
				    o_stream_get_name(outstream),
				    i_stream_get_name(instream));
		break;
	case OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT:
		s->noverflow = true;
		break;
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT:
		(void)o_stream_fail(s, instream->stream_errno,
				    "%s: reading %s failed: %s",
				    o_stream_get_name(outstream),
				    i_stream_get_name(instream),
				    i_stream_get_error(instream));
		break;
	}
	s->last_errors_not_checked = true;
}

int o_stream_pwrite(struct ostream *stream, const void *data, size_t size,
		    uoff_t offset)
{
	struct ostream_private *s = stream->real_stream;

	if (has_failed(stream))
		return -1;
	if (size == 0)
		return 0;
	if (s->finished)
		i_panic("output stream %s: write after finish",
			o_stream_get_name(stream));
	s->append.open = false;
	if (s->write_at(s, data, size, offset) < 0) {
		errno = stream->stream_errno;
		return -1;
	}
	note_time(s);
	return 0;
}

int o_stream_seek(struct ostream *stream, uoff_t offset)
{
	struct ostream_private *s = stream->real_stream;
	int ret;

	if (has_failed(stream))
		return -1;
	s->append.open = false;
	if (s->timed_offset != stream->offset)
		note_time(s);
	ret = s->seek(s, offset);
	s->timed_offset = stream->offset;
	return ret;
}

/*
 * Flushing
 */

static int flush_stream(struct ostream_private *s, enum ostream_flush_mode mode)
{
	int ret;

	s->append.open = false;
	if (has_failed(&s->ostream))
		return -1;
	if (s->timed_offset != s->ostream.offset && !s->in_memory)
		note_time(s);
	if (s->noverflow)
		return o_stream_fail(s, ENOBUFS,
				     "Output stream buffer was full (%zu "
				     "bytes)",
				     s->max_buffer_size);
	if (s->parent != NULL && s->parent->stream_errno != 0) {
		o_stream_copy_error_from_parent(s);
		return -1;
	}
	/* a finish that was begun is what goes on */
	if (s->finished && mode != OSTREAM_PUSH)
		mode = s->finish_done ? OSTREAM_SYNC : OSTREAM_FINISH;
	ret = s->flush(s, mode);
	if (ret > 0 && mode == OSTREAM_FINISH)
		s->finish_done = true;
	return ret;
}

int o_stream_flush_to(struct ostream_private *stream, struct ostream *output,
		      enum ostream_flush_mode mode)
{
	int ret;

	if (mode == OSTREAM_FINISH) {
		if (o_stream_finish_reaches(stream, output))
			output->real_stream->finished = true;
		else
			mode = OSTREAM_SYNC;
	}
	ret = flush_stream(output->real_stream, mode);
	if (ret < 0)
		copy_error(stream, output);
	return ret;
}

int o_stream_flush_parent(struct ostream_private *stream,
			  enum ostream_flush_mode mode)
{
	return o_stream_flush_to(stream, stream->parent, mode);
}

int o_stream_flush(struct ostream *stream)
{
	mark_checked(stream);
	return flush_stream(stream->real_stream, OSTREAM_SYNC);
}

int o_stream_check(struct ostream *stream)
{
	mark_checked(stream);
	return flush_stream(stream->real_stream, OSTREAM_PUSH);
}

int o_stream_finish(struct ostream *stream)
{
	mark_checked(stream);
	stream->real_stream->append.open = false;
	stream->real_stream->finished = true;
	return flush_stream(stream->real_stream, OSTREAM_FINISH);
}

void o_stream_set_finish_also_parent(struct ostream *stream, bool set)
{
	stream->real_stream->finish_also_parent = set;
}

void o_stream_set_finish_via_child(struct ostream *stream, bool set)
{
	stream->real_stream->finish_via_child = set;
}

/*
 * Corking
 */

/* The next stream that a cork of this one reaches. */
static struct ostream *cork_next(const struct ostream_private *s)
{
	return s->shares_parent ? NULL : s->parent;
}

static void cork_chain(struct ostream *stream, bool internal)
{
	struct ostream_private *s;

	for (; stream != NULL; stream = cork_next(s)) {
		s = stream->real_stream;
		if (!internal)
			s->corked_internal = false;
		if (s->corked)
			continue;
		s->corked = true;
		s->corked_internal = internal;
		s->cork(s, true);
	}
}

static void uncork_chain(struct ostream *stream, bool internal)
{
	struct ostream_private *s;

	for (; stream != NULL; stream = cork_next(s)) {
		s = stream->real_stream;
		if (!s->corked || (internal && !s->corked_internal))
			continue;
		s->corked = s->corked_internal = false;
		s->append.open = false;
		s->cork(s, false);
	}
}

void o_stream_cork(struct ostream *stream)
{
	if (!has_failed(stream))
		cork_chain(stream, false);
}

void o_stream_uncork(struct ostream *stream)
{
	struct ostream_private *s = stream->real_stream;

	if (!s->corked)
		return;
	if (!has_failed(stream) && flush_stream(s, OSTREAM_SYNC) < 0)
		s->last_errors_not_checked = true;
	uncork_chain(stream, false);
}

void o_stream_cork_internal(struct ostream *stream)
{
	cork_chain(stream, true);
}

void o_stream_uncork_internal(struct ostream *stream)
{
	struct ostream_private *s = stream->real_stream;

	if (!has_failed(stream) && flush_stream(s, OSTREAM_PUSH) < 0)
		s->last_errors_not_checked = true;
	uncork_chain(stream, true);
}

bool o_stream_is_corked(struct ostream *stream)
{
	return stream->real_stream->corked;
}

/*
 * Buffers and the event loop
 */

void o_stream_set_max_buffer_size(struct ostream *stream, size_t max_size)
{
	struct iostream_private *io;

	for (; stream != NULL; stream = stream->real_stream->parent) {
		stream->real_stream->append.open = false;
		io = &stream->real_stream->iostream;
		io->set_max_buffer_size(io, max_size);
	}
}

size_t o_stream_get_max_buffer_size(struct ostream *stream)
{
	return stream->real_stream->max_buffer_size;
}

size_t o_stream_get_buffer_used_size(const struct ostream *stream)
{
	return stream->real_stream->get_buffer_used_size(stream->real_stream);
}

size_t o_stream_get_buffer_avail_size(const struct ostream *stream)
{
	return stream->real_stream->get_buffer_avail_size(stream->real_stream);
}

void bobbin_o_stream_set_flush_callback(struct ostream *stream,
					stream_flush_callback_t *callback,
					void *context)
{
	struct ostream_private *s = stream->real_stream;

	s->set_flush_callback(s, callback, context);
}

void o_stream_unset_flush_callback(struct ostream *stream)
{
	bobbin_o_stream_set_flush_callback(stream, NULL, NULL);
}

int o_stream_call_flush_callback(struct ostream_private *stream, int otherwise)
{
	if (stream->callback == NULL)
		return otherwise;
	return stream->callback(stream->context);
}

void o_stream_set_flush_pending(struct ostream *stream, bool set)
{
	if (!stream->closed && stream->stream_errno == 0)
		stream->real_stream->flush_pending(stream->real_stream, set);
}

void o_stream_get_last_write_time(struct ostream *stream, struct timeval *tv_r)
{
	if (stream->real_stream->timed_offset != stream->offset)
		note_time(stream->real_stream);
	*tv_r = stream->real_stream->last_write_timeval;
}

void o_stream_switch_ioloop_to(struct ostream *stream, struct ioloop *ioloop)
{
	stream->real_stream->switch_ioloop_to(stream->real_stream, ioloop);
}

void o_stream_switch_ioloop(struct ostream *stream)
{
	o_stream_switch_ioloop_to(stream, io_loop_get_current());
}
