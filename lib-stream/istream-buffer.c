/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The buffers of input streams: one of the stream's own, or a view of its
   parent's; and how a filter gets at its parent's bytes. */

#include "config.h"
#include "block-cache.h"
#include "istream-private.h"

#include <errno.h>
#include <string.h>

static void put_buffer(unsigned char **buffer, size_t *size)
{
	block_put(buffer, *size, 0);
	*size = 0;
}

void i_stream_free_old_buffer(struct istream_private *stream)
{
	if (stream->old_buffer != NULL)
		put_buffer(&stream->old_buffer, &stream->old_buffer_size);
}

void i_stream_free_buffers(struct istream_private *stream)
{
	i_stream_free_old_buffer(stream);
	if (stream->w_buffer != NULL)
		put_buffer(&stream->w_buffer, &stream->buffer_size);
}

/* Whether somebody who shows w_buffer took it, so that it is the stream's no more. */
static bool give_up_buffer(struct istream_private *stream)
{
	if (stream->offer_buffer == NULL || stream->w_buffer == NULL ||
	    !stream->offer_buffer(stream->offer_context, stream->w_buffer,
				  stream->buffer_size))
		return false;
	stream->w_buffer = NULL;
	stream->buffer_size = 0;
	return true;
}

/* w_buffer is kept for pointers into it only, until the next read that succeeds. */
static void retire_buffer(struct istream_private *stream)
{
	if (stream->w_buffer == NULL || give_up_buffer(stream))
		return;
	i_stream_free_old_buffer(stream);
	stream->old_buffer = stream->w_buffer;
	stream->old_buffer_size = stream->buffer_size;
	stream->w_buffer = NULL;
	stream->buffer_size = 0;
}

/* The size of the buffer that is to hold used + wanted bytes, if max allows. */
static size_t good_size(const struct istream_private *stream, size_t used,
			size_t wanted)
{
	size_t size = I_MAX(stream->buffer_size, stream->init_buffer_size);
	size_t need = size_add_saturate(used, wanted);

	while (size < need)
		size = size > SIZE_MAX / 2 ? need : size * 2;
	return I_MIN(size, stream->max_buffer_size);
}

/* Moves the unskipped bytes to the beginning of another buffer, and keeps the
   old one for pointers into it. */
static bool move_data(struct istream_private *stream, size_t size)
{
	size_t used = stream->pos - stream->skip;
	unsigned char *buffer = block_get(size);

	if (buffer == NULL) {
		(void)i_stream_fail(stream, ENOMEM, "%s: out of memory",
				    i_stream_get_name(&stream->istream));
		return false;
	}
	if (used > 0)
		memcpy(buffer, stream->buffer + stream->skip, used);
	retire_buffer(stream);
	stream->buffer = stream->w_buffer = buffer;
	stream->buffer_size = size;
	stream->is_lent = false;
	stream->skip = 0;
	stream->pos = used;
	return true;
}

unsigned char *i_stream_reserve(struct istream_private *stream, size_t wanted,
				size_t *size_r)
{
	size_t used = stream->pos - stream->skip;
	size_t max = stream->max_buffer_size, room;

	*size_r = 0;
	if (used >= max)
		return NULL;
	if (used == 0) {
		stream->skip = stream->pos = 0;
		/* nothing else can be shown of an older one then */
		if (give_up_buffer(stream))
			i_stream_free_old_buffer(stream);
	}
	wanted = I_MAX(I_MIN(wanted, max - used), (size_t)1);
	room = stream->w_buffer == NULL ? 0 : stream->buffer_size - stream->pos;
	if (room < wanted && (room == 0 || stream->old_buffer == NULL)) {
		/* a second move before a read succeeds would free what
		   pointers may still point into */
		i_assert(stream->old_buffer == NULL);
		if (!move_data(stream, good_size(stream, used, wanted)))
			return NULL;
		room = stream->buffer_size - stream->pos;
	}
	*size_r = I_MIN(room, max - used);
	return stream->w_buffer + stream->pos;
}

ssize_t i_stream_take_from(struct istream_private *stream,
			   struct istream *input)
{
	const unsigned char *data;
	unsigned char *dest;
	size_t size, room;

	data = i_stream_get_data(input, &size);
	dest = i_stream_reserve(stream, size, &room);
	if (dest == NULL)
		return stream->istream.stream_errno != 0 ? -1 : -2;
	size = I_MIN(size, room);
	memcpy(dest, data, size);
	i_stream_skip(input, size);
	stream->pos += size;
	return (ssize_t)size;
}

bool i_stream_read_from(struct istream_private *stream, struct istream *input,
			ssize_t *ret_r)
{
	const unsigned char *data;
	size_t size;

	*ret_r = i_stream_read_more(input, &data, &size);
	if (*ret_r > 0)
		*ret_r = i_stream_take_from(stream, input);
	else if (*ret_r < 0 && input->stream_errno != 0)
		*ret_r = i_stream_fail(stream, input->stream_errno, "%s",
				       i_stream_get_error(input));
	else if (*ret_r < 0)
		return false;
	return true;
}

/* Whether what is shown is memory of the stream's own. */
static bool has_own_buffer(const struct istream_private *stream)
{
	return !stream->is_view &&
		(stream->buffer == NULL || stream->buffer == stream->w_buffer);
}

unsigned char *i_stream_get_modifiable_data(struct istream *stream,
					    size_t *size_r)
{
	struct istream_private *s = stream->real_stream;

	*size_r = 0;
	if (!has_own_buffer(s) || s->pos == s->skip)
		return NULL;
	*size_r = s->pos - s->skip;
	return s->w_buffer + s->skip;
}

bool i_stream_add_data(struct istream *stream, const unsigned char *data,
		       size_t size)
{
	struct istream_private *s = stream->real_stream;
	unsigned char *dest;
	size_t room;

	if (size == 0)
		return true;
	if (stream->closed || stream->stream_errno != 0 ||
	    (!has_own_buffer(s) && !s->is_lent) ||
	    size > s->max_buffer_size -
			    I_MIN(s->max_buffer_size, s->pos - s->skip))
		return false;
	/* it counts as a read: pointers into the old data are stale now */
	i_stream_free_old_buffer(s);
	s->access_counter++;
	dest = i_stream_reserve(s, size, &room);
	if (dest == NULL || room < size)
		return false;
	memcpy(dest, data, size);
	s->pos += size;
	return true;
}

bool i_stream_can_lend(const struct istream_private *stream)
{
	return has_own_buffer(stream) && stream->w_buffer != NULL;
}

void i_stream_show_lent(struct istream_private *stream,
			const unsigned char *buffer, size_t skip, size_t pos)
{
	retire_buffer(stream);
	stream->buffer = buffer;
	stream->is_lent = true;
	stream->skip = skip;
	stream->pos = pos;
}

void i_stream_own_lent(struct istream_private *stream)
{
	size_t used = stream->pos - stream->skip;

	if (!stream->is_lent)
		return;
	/* who shows it looks where it is */
	stream->access_counter++;
	if (used > 0 && move_data(stream, used))
		return;
	stream->buffer = NULL;
	stream->is_lent = false;
	stream->skip = stream->pos = 0;
}

void i_stream_reset_buffer(struct istream_private *stream, uoff_t v_offset)
{
	stream->skip = stream->pos = 0;
	stream->line_searched = 0;
	stream->istream.v_offset = v_offset;
}

/* Makes the parent stand there. False: it has failed, and cannot go there: what it shows is
   from elsewhere. */
static bool move_parent(struct istream_private *stream, uoff_t offset)
{
	struct istream *parent = stream->parent;

	i_stream_seek(parent, offset);
	return parent->stream_errno == 0 || parent->v_offset == offset;
}

/* The same for where this stream's v_offset is. */
static bool align_parent(struct istream_private *stream)
{
	return move_parent(
		stream, stream->parent_start_offset + stream->istream.v_offset);
}

/* Shows what the parent has: so many bytes. */
static size_t show_parent(struct istream_private *stream, uoff_t limit)
{
	size_t size;

	stream->buffer = i_stream_get_data(stream->parent, &size);
	stream->skip = 0;
	stream->pos = (size_t)I_MIN((uoff_t)size, limit);
	stream->is_view = true;
	stream->view_counter = stream->parent->real_stream->access_counter;
	return stream->pos;
}

static ssize_t read_more_of_parent(struct istream_private *stream)
{
	ssize_t ret;

	stream->parent->real_stream->data_limit = stream->data_limit;
	ret = i_stream_read(stream->parent);
	stream->parent->real_stream->data_limit = 0;
	return ret;
}

ssize_t i_stream_view_parent(struct istream_private *stream, uoff_t limit)
{
	size_t had = stream->pos - stream->skip, size;
	ssize_t ret = 1;

	if (!align_parent(stream)) {
		stream->skip = stream->pos = 0;
		i_stream_copy_error_from_parent(stream);
		return -1;
	}
	/* a parent that somebody else moved reads anew what was shown already */
	while ((size = show_parent(stream, limit)) <= had) {
		if (size >= limit)
			return 0;
		if (ret <= 0)
			break;
		ret = read_more_of_parent(stream);
	}
	if (ret == -1)
		i_stream_copy_error_from_parent(stream);
	return ret > 0 ? (ssize_t)(size - had) : ret;
}

int i_stream_view_get_size(struct istream_private *stream, bool exact,
			   uoff_t max_size, uoff_t *size_r)
{
	int ret = i_stream_get_size(stream->parent, exact, size_r);

	if (ret < 0)
		i_stream_copy_error_from_parent(stream);
	if (ret == 0 && max_size != UOFF_T_MAX && !exact) {
		*size_r = max_size;
		return 1;
	}
	if (ret <= 0)
		return ret;
	*size_r -= I_MIN(*size_r, stream->parent_start_offset);
	*size_r = I_MIN(*size_r, max_size);
	return 1;
}

int i_stream_view_stat(struct istream_private *stream, bool exact)
{
	const struct stat *st;
	uoff_t size;

	if (i_stream_stat(stream->parent, exact, &st) < 0) {
		i_stream_copy_error_from_parent(stream);
		return -1;
	}
	stream->statbuf = *st;
	switch (stream->get_size(stream, exact, &size)) {
	case -1:
		return -1;
	case 0:
		stream->statbuf.st_size = -1;
		return 0;
	default:
		stream->statbuf.st_size = (off_t)size;
		return 0;
	}
}

ssize_t i_stream_view_once(struct istream_private *stream, uoff_t *seen,
			   size_t *fresh_r)
{
	uoff_t lag = stream->lag, end;
	ssize_t ret;

	/* a seek forward reads through what it drops */
	stream->istream.v_offset -= lag;
	ret = i_stream_view_parent(stream, UOFF_T_MAX);
	end = stream->istream.v_offset + (stream->pos - stream->skip);
	*fresh_r = end > *seen ? (size_t)(end - *seen) : 0;
	*seen = I_MAX(*seen, end);
	stream->istream.v_offset += lag;
	return ret;
}

void i_stream_view_seek(struct istream_private *stream, uoff_t v_offset,
			bool mark ATTR_UNUSED)
{
	i_stream_reset_buffer(stream, v_offset);
}

void i_stream_view_leave(struct istream_private *stream, uoff_t max_size)
{
	struct istream *parent = stream->parent;
	/* what was skipped behind the part's end is none of it */
	uoff_t offset = stream->parent_start_offset +
		I_MIN(stream->istream.v_offset, max_size);

	/* what others have read of a pipe is not read again */
	if (offset > parent->v_offset || parent->seekable)
		i_stream_seek(parent, offset);
}

int i_stream_read_parent(struct istream_private *stream,
			 const unsigned char **data_r, size_t *size_r,
			 size_t more)
{
	if (!move_parent(stream, stream->parent_expected_offset)) {
		*data_r = NULL;
		*size_r = 0;
		return -1;
	}
	return i_stream_read_data(stream->parent, data_r, size_r, more);
}

void i_stream_skip_parent(struct istream_private *stream, size_t count)
{
	i_stream_skip(stream->parent, count);
	stream->parent_expected_offset = stream->parent->v_offset;
}

bool i_stream_is_at_fd(struct istream *stream)
{
	struct istream_private *s = stream->real_stream;

	if (s->pos != s->skip || s->lag != 0)
		return false;
	if (s->parent == NULL)
		return true;
	(void)align_parent(s);
	return i_stream_is_at_fd(s->parent);
}

void i_stream_skip_fd(struct istream *stream, uoff_t count)
{
	struct istream_private *s = stream->real_stream;

	i_assert(s->pos == s->skip);
	stream->v_offset += count;
	s->access_counter++;
	if (s->parent != NULL)
		i_stream_skip_fd(s->parent, count);
}
