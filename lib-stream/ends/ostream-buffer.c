/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Appends to a buffer_t of the caller's. Nothing is ever pending: what was sent
   is in the buffer. */

#include "config.h"
#include "ostream-private.h"

#include <errno.h>
#include <string.h>

/* A window as large as a codec likes. */
#define WINDOW_SIZE 4096

struct buffer_ostream {
	struct ostream_private ostream;
	buffer_t *buf;
	size_t pos;  /* where the next byte goes, after a seek */
	bool seeked; /* without one it goes behind what the buffer holds */
};

static struct buffer_ostream *buffer_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct buffer_ostream, ostream);
}

static int no_memory(struct ostream_private *stream)
{
	return o_stream_fail(stream, ENOMEM, "%s: out of memory",
			     o_stream_get_name(&stream->ostream));
}

/* How far the buffer can ever reach. */
static size_t buffer_limit(const buffer_t *buf)
{
	return size_add_saturate(buf->used, buffer_get_avail_size(buf));
}

/* The caller may take bytes out of the buffer at any time. */
static size_t next_pos(const struct buffer_ostream *b)
{
	return b->seeked ? b->pos : b->buf->used;
}

/* How much may be sent now. The stream's bound is one of the whole buffer. */
static size_t buffer_room(const struct buffer_ostream *b)
{
	size_t limit = I_MIN(buffer_limit(b->buf), b->ostream.max_buffer_size);

	return limit - I_MIN(limit, next_pos(b));
}

static ssize_t o_stream_buffer_sendv(struct ostream_private *stream,
				     const struct const_iovec *iov,
				     unsigned int iov_count)
{
	struct buffer_ostream *b = buffer_ostream(stream);
	size_t len, total = 0;
	unsigned int i;

	for (i = 0; i < iov_count; i++) {
		len = I_MIN(iov[i].iov_len, buffer_room(b));
		if (!buffer_try_write(b->buf, next_pos(b), iov[i].iov_base,
				      len))
			return total > 0 ? (ssize_t)total : no_memory(stream);
		b->pos += len;
		total += len;
		if (len < iov[i].iov_len)
			break;
	}
	stream->append.open = !b->seeked && b->buf->w_data != NULL &&
		stream->max_buffer_size >= b->buf->max_size;
	return (ssize_t)total;
}

static unsigned char *o_stream_buffer_reserve(struct ostream_private *stream,
					      size_t min, size_t *size_r)
{
	struct buffer_ostream *b = buffer_ostream(stream);
	size_t room;

	if (next_pos(b) != b->buf->used)
		return NULL;
	room = I_MIN(buffer_room(b), I_MAX(min, (size_t)WINDOW_SIZE));
	if (room < min)
		return NULL;
	*size_r = room;
	return buffer_try_reserve(b->buf, room);
}

static void o_stream_buffer_commit(struct ostream_private *stream, size_t size)
{
	struct buffer_ostream *b = buffer_ostream(stream);

	b->pos += size;
	buffer_set_used_size(b->buf, b->buf->used + size);
}

static int o_stream_buffer_seek(struct ostream_private *stream, uoff_t offset)
{
	struct buffer_ostream *b = buffer_ostream(stream);

	if (offset > buffer_limit(b->buf))
		return o_stream_fail(stream, EFBIG,
				     "%s: offset %llu is behind the buffer's "
				     "limit of %zu bytes",
				     o_stream_get_name(&stream->ostream),
				     (unsigned long long)offset,
				     buffer_limit(b->buf));
	b->pos = (size_t)offset;
	b->seeked = true;
	stream->ostream.offset = offset;
	return 1;
}

static int o_stream_buffer_write_at(struct ostream_private *stream,
				    const void *data, size_t size,
				    uoff_t offset)
{
	struct buffer_ostream *b = buffer_ostream(stream);
	size_t limit = buffer_limit(b->buf), pos = next_pos(b);

	if (offset > limit || size > limit - (size_t)offset)
		return o_stream_fail(stream, ENOBUFS,
				     "%s: the buffer holds %zu bytes at most",
				     o_stream_get_name(&stream->ostream),
				     limit);
	if (!buffer_try_write(b->buf, (size_t)offset, data, size))
		return no_memory(stream);
	/* the buffer may end elsewhere now, but the stream was not moved */
	if (b->buf->used > pos) {
		b->pos = pos;
		b->seeked = true;
	}
	return 0;
}

static size_t
o_stream_buffer_get_avail_size(const struct ostream_private *stream)
{
	return buffer_room((const void *)stream);
}

struct ostream *o_stream_create_buffer(buffer_t *buf)
{
	struct buffer_ostream *b = i_new(struct buffer_ostream, 1);
	struct ostream *stream;

	b->buf = buf;
	b->ostream.in_memory = true;
	b->ostream.append.data = &buf->w_data;
	b->ostream.append.used = &buf->used;
	b->ostream.append.limit = &buf->alloc;
	b->ostream.max_buffer_size = buffer_limit(buf);
	b->ostream.sendv = o_stream_buffer_sendv;
	b->ostream.reserve = o_stream_buffer_reserve;
	b->ostream.commit = o_stream_buffer_commit;
	b->ostream.seek = o_stream_buffer_seek;
	b->ostream.write_at = o_stream_buffer_write_at;
	b->ostream.get_buffer_avail_size = o_stream_buffer_get_avail_size;
	stream = o_stream_create(&b->ostream, NULL, -1);
	o_stream_set_name(stream, "(buffer)");
	return stream;
}
