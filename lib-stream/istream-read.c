/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reading, skipping and seeking, whatever the class. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>

/* Whether the parent may have changed the memory that is shown since; or its own parent,
   whose memory that may be. */
static bool is_stale(const struct istream_private *s)
{
	for (; s->is_view; s = s->parent->real_stream) {
		if (s->parent->real_stream->access_counter != s->view_counter)
			return true;
	}
	return false;
}

static bool is_closed_below(const struct istream_private *s)
{
	for (; s->is_view; s = s->parent->real_stream) {
		if (s->parent->closed)
			return true;
	}
	return false;
}

static void drop_stale_view(struct istream_private *s);

/* What a parent has kept when it was closed is there for good, and may lie elsewhere. */
static bool show_again(struct istream_private *s)
{
	struct istream_private *parent = s->parent->real_stream;
	uoff_t offset = s->parent_start_offset + s->istream.v_offset;
	size_t size = s->pos - s->skip, have;

	drop_stale_view(parent);
	have = parent->pos - parent->skip;
	if (size > have || offset < parent->istream.v_offset ||
	    offset - parent->istream.v_offset > have - size)
		return false;
	s->skip = parent->skip + (size_t)(offset - parent->istream.v_offset);
	s->pos = s->skip + size;
	s->buffer = parent->buffer;
	s->view_counter = parent->access_counter;
	/* and so for those who show this one's */
	s->access_counter++;
	return true;
}

static void drop_stale_view(struct istream_private *s)
{
	if (!is_stale(s) || (is_closed_below(s) && show_again(s)))
		return;
	s->skip = s->pos = 0;
	/* what is shown next may be other bytes: the file was changed */
	s->line_searched = 0;
}

/* Calls the class until a seek forward has dropped all it had to. */
static ssize_t read_through_lag(struct istream_private *s)
{
	size_t drop;
	ssize_t ret;

	for (;;) {
		ret = s->read(s);
		if (ret <= 0 || s->lag == 0)
			return ret;
		drop = (size_t)I_MIN(s->lag, (uoff_t)(s->pos - s->skip));
		s->skip += drop;
		s->lag -= drop;
		if (s->pos > s->skip)
			return (ssize_t)(s->pos - s->skip);
	}
}

ssize_t i_stream_read(struct istream *stream)
{
	struct istream_private *s = stream->real_stream;
	ssize_t ret;

	if (stream->closed || stream->stream_errno != 0) {
		stream->eof = true;
		errno = stream->stream_errno;
		return -1;
	}
	stream->eof = false;
	drop_stale_view(s);
	ret = read_through_lag(s);
	s->access_counter++;
	if (ret > 0) {
		i_stream_free_old_buffer(s);
		io_stream_get_time(&s->last_read_timeval);
	} else if (ret == -1) {
		i_assert(stream->eof || stream->stream_errno != 0);
		stream->eof = true;
		errno = stream->stream_errno;
	}
	return ret;
}

const unsigned char *i_stream_get_data(struct istream *stream, size_t *size_r)
{
	struct istream_private *s = stream->real_stream;

	drop_stale_view(s);
	*size_r = s->pos - s->skip;
	return *size_r == 0 ? NULL : s->buffer + s->skip;
}

size_t i_stream_get_data_size(struct istream *stream)
{
	size_t size;

	(void)i_stream_get_data(stream, &size);
	return size;
}

int i_stream_read_data(struct istream *stream, const unsigned char **data_r,
		       size_t *size_r, size_t threshold)
{
	ssize_t ret;

	for (;;) {
		*data_r = i_stream_get_data(stream, size_r);
		if (*size_r > threshold)
			return 1;
		ret = i_stream_read(stream);
		if (ret <= 0)
			break;
	}
	*data_r = i_stream_get_data(stream, size_r);
	return *size_r > threshold ? 1 : (int)ret;
}

int i_stream_read_limited(struct istream *stream, const unsigned char **data_r,
			  size_t *size_r, size_t limit)
{
	struct istream_private *s = stream->real_stream;
	int ret;

	i_assert(limit > 0);
	s->data_limit = limit;
	ret = i_stream_read_more(stream, data_r, size_r);
	s->data_limit = 0;
	*size_r = I_MIN(*size_r, limit);
	return ret;
}

/*
 * Skipping and seeking
 */

static void drop_rest(struct istream_private *s)
{
	s->istream.v_offset += s->pos - s->skip;
	s->skip = s->pos;
}

static void seek_to(struct istream_private *s, uoff_t v_offset, bool mark)
{
	uoff_t current = s->istream.v_offset;

	drop_stale_view(s);
	if (v_offset >= current && v_offset - current <= s->pos - s->skip) {
		s->skip += (size_t)(v_offset - current);
		s->istream.v_offset = v_offset;
	} else if (v_offset < current && current - v_offset <= s->skip &&
		   s->lag == 0 && !s->is_view) {
		/* what was skipped is still there */
		s->skip -= (size_t)(current - v_offset);
		s->istream.v_offset = v_offset;
	} else {
		s->seek(s, v_offset, mark);
		/* what was read is not what was asked for */
		if (s->istream.stream_errno != 0)
			drop_rest(s);
	}
	s->line_searched = 0;
}

void i_stream_skip(struct istream *stream, uoff_t count)
{
	struct istream_private *s = stream->real_stream;

	if (count == 0)
		return;
	/* data that was read is still there after a close or an error */
	if (count > i_stream_get_data_size(stream) &&
	    (stream->closed || stream->stream_errno != 0)) {
		drop_rest(s);
		return;
	}
	if (count > UOFF_T_MAX - stream->v_offset)
		count = UOFF_T_MAX - stream->v_offset;
	seek_to(s, stream->v_offset + count, false);
}

static void seek_stream(struct istream *stream, uoff_t v_offset, bool mark)
{
	if (v_offset == stream->v_offset)
		return;
	if (stream->closed || stream->stream_errno != 0) {
		/* what was read before the error is still there, and a child
		   that shows it has to get past it */
		if (v_offset > stream->v_offset)
			i_stream_skip(stream, v_offset - stream->v_offset);
		stream->eof = true;
		return;
	}
	stream->eof = false;
	stream->real_stream->access_counter++;
	seek_to(stream->real_stream, v_offset, mark);
}

void i_stream_seek(struct istream *stream, uoff_t v_offset)
{
	seek_stream(stream, v_offset, false);
}

void i_stream_seek_mark(struct istream *stream, uoff_t v_offset)
{
	seek_stream(stream, v_offset, true);
}
