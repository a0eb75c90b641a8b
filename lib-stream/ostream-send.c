/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Sending, whatever the class. */

#include "config.h"
#include "ostream-private.h"
#include "istream.h"

#include <errno.h>
#include <string.h>

static size_t iov_size(const struct const_iovec *iov, unsigned int iov_count)
{
	size_t size = 0;
	unsigned int i;

	for (i = 0; i < iov_count; i++)
		size += iov[i].iov_len;
	return size;
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

static ssize_t tell_failure(struct ostream_private *s)
{
	s->failure_told = true;
	errno = s->ostream.stream_errno;
	return -1;
}

/* The other way in for bytes. What passed before an error counts: the answer is their
   number then, with the error in the stream. */
static BOBBIN_INLINE ssize_t send_bytes_inline(struct ostream_private *s,
					       const struct const_iovec *iov,
					       unsigned int iov_count)
{
	ssize_t ret;

	s->append.open = false;
	s->abandoned = false;
	if (o_stream_has_failed(&s->ostream)) {
		s->failure_told = true;
		return -1;
	}
	if (BOBBIN_UNLIKELY(s->finished))
		i_panic("output stream %s: write after finish",
			o_stream_get_name(&s->ostream));
	ret = s->sendv(s, iov, iov_count);
	if (ret > 0) {
		s->ostream.offset += (uoff_t)ret;
		if (!s->corked && !s->in_memory)
			o_stream_note_time(s);
	} else if (ret < 0) {
		return tell_failure(s);
	}
	return ret;
}

static ssize_t send_bytes(struct ostream_private *s,
			  const struct const_iovec *iov, unsigned int iov_count)
{
	return send_bytes_inline(s, iov, iov_count);
}

static ssize_t send_was_short(struct ostream *stream, ssize_t sent)
{
	if (stream->stream_errno != 0)
		return tell_failure(stream->real_stream);
	stream->overflow = true;
	return sent;
}

static BOBBIN_INLINE ssize_t send_sized(struct ostream *stream,
					const struct const_iovec *iov,
					unsigned int iov_count, size_t size)
{
	ssize_t ret;

	if (size == 0)
		return o_stream_has_failed(stream) ? -1 : 0;
	ret = send_bytes_inline(stream->real_stream, iov, iov_count);
	if (ret >= 0 && (size_t)ret < size)
		return send_was_short(stream, ret);
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

/* Whether the stream takes nothing any more. Where nobody closed it, nor was told, who sends
   without looking has to hear of that at the end: a file that could not be opened. */
static bool nsend_is_lost(struct ostream *stream)
{
	struct ostream_private *s = stream->real_stream;

	if (!o_stream_has_failed(stream) && !s->noverflow)
		return false;
	if (!s->closing && !s->failure_told)
		s->last_errors_not_checked = true;
	return true;
}

void o_stream_nsendv(struct ostream *stream, const struct const_iovec *iov,
		     unsigned int iov_count)
{
	struct ostream_private *s = stream->real_stream;
	size_t size = iov_size(iov, iov_count);
	ssize_t ret;

	if (size == 0 || nsend_is_lost(stream))
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

/* What passed before an error counts, as in send_bytes(). */
static ssize_t pass_to(struct ostream_private *stream, struct ostream *output,
		       const struct const_iovec *iov, unsigned int iov_count,
		       size_t size)
{
	struct ostream_private *s = output->real_stream;
	ssize_t ret;

	if (iov_count == 1 && try_append(s, iov->iov_base, iov->iov_len))
		return (ssize_t)iov->iov_len;
	if (size == 0)
		return 0;
	ret = send_bytes(s, iov, iov_count);
	/* it may have taken some of it before it failed: nobody has to wait until
	   it takes the rest */
	if (ret < 0 || output->stream_errno != 0)
		o_stream_copy_error_from(stream, output);
	return ret;
}

ssize_t o_stream_pass_parent(struct ostream_private *stream,
			     const struct const_iovec *iov,
			     unsigned int iov_count)
{
	return pass_to(stream, stream->parent, iov, iov_count,
		       iov_size(iov, iov_count));
}

ssize_t o_stream_send_to(struct ostream_private *stream, struct ostream *output,
			 const struct const_iovec *iov, unsigned int iov_count)
{
	size_t size = iov_size(iov, iov_count);
	ssize_t ret = pass_to(stream, output, iov, iov_count, size);

	return ret >= 0 && (size_t)ret < size && output->stream_errno != 0 ?
		-1 :
		ret;
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
	ssize_t ret = o_stream_pass_parent(stream, iov, iov_count);
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
		o_stream_note_time(s);
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
		if (outstream->stream_errno != 0) {
			(void)tell_failure(outstream->real_stream);
			return OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT;
		}
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

	if (o_stream_has_failed(outstream))
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

	if (nsend_is_lost(outstream))
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

	if (o_stream_has_failed(stream))
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
	o_stream_note_time(s);
	return 0;
}

int o_stream_seek(struct ostream *stream, uoff_t offset)
{
	struct ostream_private *s = stream->real_stream;
	int ret;

	if (o_stream_has_failed(stream))
		return -1;
	s->append.open = false;
	if (s->timed_offset != stream->offset)
		o_stream_note_time(s);
	ret = s->seek(s, offset);
	s->timed_offset = stream->offset;
	return ret;
}
