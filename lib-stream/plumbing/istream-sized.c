/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Shows its parent as it is; one that is longer or shorter than it may be is an
   error, behind every byte that is allowed. (The limit stream ends instead, and so
   does one that may be longer.) */

#include "config.h"
#include "istream-private.h"

#include <errno.h>

struct sized_istream {
	struct istream_private istream;
	uoff_t min_size, max_size;
	int too_long_errno; /* 0: what is too much is nobody's business */
	istream_sized_callback_t *callback; /* NULL: the text is ours */
	void *context;
};

static struct sized_istream *sized_istream(struct istream_private *stream)
{
	return container_of(stream, struct sized_istream, istream);
}

static ssize_t fail_by_callback(struct sized_istream *sized, int error,
				size_t new_bytes, bool eof)
{
	struct istream_sized_error_data data;

	data.v_offset = sized->istream.istream.v_offset;
	data.new_bytes = new_bytes;
	data.wanted_size = sized->max_size;
	data.eof = eof;
	return i_stream_fail(&sized->istream, error, "%s",
			     sized->callback(&data, sized->context));
}

static ssize_t fail_short(struct sized_istream *sized, uoff_t size)
{
	const struct istream *stream = &sized->istream.istream;

	if (sized->callback != NULL)
		return fail_by_callback(
			sized, EPIPE, (size_t)(size - stream->v_offset), true);
	return i_stream_fail(
		&sized->istream, EPIPE,
		"%s: ended after %llu bytes, but %llu were to come",
		i_stream_get_name(&sized->istream.istream),
		(unsigned long long)size, (unsigned long long)sized->min_size);
}

static ssize_t fail_long(struct sized_istream *sized)
{
	const char *name = i_stream_get_name(&sized->istream.istream);
	size_t shown = sized->istream.pos - sized->istream.skip;

	if (sized->callback != NULL)
		return fail_by_callback(sized, sized->too_long_errno, shown + 1,
					false);
	if (sized->min_size == sized->max_size)
		return i_stream_fail(&sized->istream, sized->too_long_errno,
				     "%s: goes on after the %llu bytes that "
				     "were to come",
				     name, (unsigned long long)sized->max_size);
	return i_stream_fail(&sized->istream, sized->too_long_errno,
			     "%s: larger than the limit of %llu bytes", name,
			     (unsigned long long)sized->max_size);
}

static ssize_t i_stream_sized_read(struct istream_private *stream)
{
	struct sized_istream *sized = sized_istream(stream);
	uoff_t offset = stream->istream.v_offset;
	uoff_t left = sized->max_size - I_MIN(sized->max_size, offset);
	size_t old = stream->pos - stream->skip;
	ssize_t ret;

	if (sized->too_long_errno == 0 && old >= left) {
		stream->istream.eof = true;
		return -1;
	}
	/* a byte behind the last allowed one is looked at, never shown */
	ret = i_stream_view_parent(stream,
				   left == UOFF_T_MAX ? left : left + 1);
	if (stream->pos - stream->skip > left) {
		stream->pos = stream->skip + (size_t)left;
		return left > old ? (ssize_t)(left - old) : fail_long(sized);
	}
	offset += stream->pos - stream->skip;
	if (ret == -1 && stream->istream.stream_errno == 0 &&
	    offset < sized->min_size)
		return fail_short(sized, offset);
	return ret;
}

/* What is too much never comes. */
static int i_stream_sized_get_size(struct istream_private *stream, bool exact,
				   uoff_t *size_r)
{
	return i_stream_view_get_size(stream, exact,
				      sized_istream(stream)->max_size, size_r);
}

static void i_stream_sized_destroy(struct iostream_private *stream)
{
	struct sized_istream *sized =
		container_of(stream, struct sized_istream, istream.iostream);

	i_stream_view_leave(&sized->istream, sized->max_size);
}

static struct istream *create_sized(struct istream *input, uoff_t min_size,
				    uoff_t max_size, int too_long_errno)
{
	struct sized_istream *sized = i_new(struct sized_istream, 1);
	struct istream *stream;

	sized->min_size = min_size;
	sized->max_size = max_size;
	sized->too_long_errno = too_long_errno;
	sized->istream.iostream.destroy = i_stream_sized_destroy;
	sized->istream.read = i_stream_sized_read;
	sized->istream.seek = i_stream_view_seek;
	sized->istream.stat = i_stream_view_stat;
	sized->istream.get_size = i_stream_sized_get_size;
	stream = i_stream_create(&sized->istream, input, -1);
	/* the kernel would copy what is too much, too */
	stream->readable_fd = false;
	return stream;
}

struct istream *i_stream_create_max_size(struct istream *input, uoff_t max_size)
{
	return create_sized(input, 0, max_size, EFBIG);
}

struct istream *i_stream_create_sized(struct istream *input, uoff_t size)
{
	return create_sized(input, size, size, EINVAL);
}

struct istream *bobbin_i_stream_create_sized_with_callback(
	struct istream *input, uoff_t size,
	istream_sized_callback_t *error_callback, void *context)
{
	struct istream *stream = i_stream_create_sized(input, size);
	struct sized_istream *sized = sized_istream(stream->real_stream);

	sized->callback = error_callback;
	sized->context = context;
	return stream;
}

struct istream *i_stream_create_min_sized(struct istream *input,
					  uoff_t min_size)
{
	return create_sized(input, min_size, min_size, 0);
}

/* The input stays where it is: there may be no way back. */
static struct istream *begin_at(struct istream *stream, uoff_t offset)
{
	stream->real_stream->parent_start_offset = offset;
	return stream;
}

struct istream *i_stream_create_sized_range(struct istream *input,
					    uoff_t offset, uoff_t size)
{
	return begin_at(i_stream_create_sized(input, size), offset);
}

struct istream *i_stream_create_min_sized_range(struct istream *input,
						uoff_t offset, uoff_t min_size)
{
	return begin_at(i_stream_create_min_sized(input, min_size), offset);
}
