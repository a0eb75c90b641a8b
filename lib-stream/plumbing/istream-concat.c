/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reads several streams one after the other. Bytes are copied, so that what a
   reader has not skipped stays in one piece over the borders. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>
#include <string.h>

struct concat_input {
	struct istream *stream;
	uoff_t first; /* the stream's v_offset where we begin */
	uoff_t start; /* our v_offset there, once known */
};

struct concat_istream {
	struct istream_private istream;
	struct concat_input *inputs;
	unsigned int count;
	unsigned int current;
};

static struct concat_istream *concat_istream(struct istream_private *stream)
{
	return container_of(stream, struct concat_istream, istream);
}

/* The current input is at its end: go on with the next. False: that was all. */
static bool next_input(struct concat_istream *concat)
{
	struct concat_input *input = &concat->inputs[concat->current];

	if (concat->current + 1 == concat->count)
		return false;
	i_stream_set_input_pending(&concat->istream.istream, true);
	concat->current++;
	input[1].start =
		input->start + (input->stream->v_offset - input->first);
	i_stream_seek(input[1].stream, input[1].first);
	return true;
}

static struct istream *i_stream_concat_current(struct istream_private *stream)
{
	const struct concat_istream *concat = concat_istream(stream);

	return concat->count == 0 ? NULL :
				    concat->inputs[concat->current].stream;
}

static ssize_t i_stream_concat_read(struct istream_private *stream)
{
	struct concat_istream *concat = concat_istream(stream);
	struct istream *input;
	ssize_t ret;

	for (;;) {
		if (concat->count == 0)
			break;
		input = concat->inputs[concat->current].stream;
		if (i_stream_read_from(stream, input, &ret))
			return ret;
		if (!next_input(concat))
			break;
	}
	stream->istream.eof = true;
	return -1;
}

bool i_stream_is_concat(const struct istream *stream)
{
	return stream->real_stream->read == i_stream_concat_read;
}

/* What is read next is what stands there: no farther than was read. */
static void read_from(struct concat_istream *concat, uoff_t v_offset)
{
	struct concat_input *input;

	while (concat->current > 0 &&
	       concat->inputs[concat->current].start > v_offset)
		concat->current--;
	input = &concat->inputs[concat->current];
	i_stream_seek(input->stream, input->first + (v_offset - input->start));
}

static void i_stream_concat_seek(struct istream_private *stream,
				 uoff_t v_offset, bool mark ATTR_UNUSED)
{
	uoff_t end = stream->istream.v_offset + (stream->pos - stream->skip) -
		stream->lag;

	if (v_offset >= end) {
		stream->lag = v_offset - end;
		stream->skip = stream->pos;
		stream->istream.v_offset = v_offset;
		return;
	}
	i_stream_reset_buffer(stream, v_offset);
	stream->lag = 0;
	read_from(concat_istream(stream), v_offset);
}

static void i_stream_concat_sync(struct istream_private *stream)
{
	struct concat_istream *concat = concat_istream(stream);
	uoff_t v_offset = stream->istream.v_offset;
	unsigned int i;

	for (i = 0; i < concat->count; i++)
		i_stream_sync(concat->inputs[i].stream);
	if (!stream->istream.seekable || concat->count == 0)
		return;
	i_stream_reset_buffer(stream, v_offset);
	read_from(concat, v_offset - stream->lag);
}

static int i_stream_concat_get_size(struct istream_private *stream, bool exact,
				    uoff_t *size_r)
{
	struct concat_istream *concat = concat_istream(stream);
	uoff_t size, total = 0;
	struct istream *input;
	unsigned int i;
	int ret;

	for (i = 0; i < concat->count; i++) {
		input = concat->inputs[i].stream;
		ret = i_stream_get_size(input, exact, &size);
		if (ret < 0)
			return (int)i_stream_fail(stream, input->stream_errno,
						  "%s",
						  i_stream_get_error(input));
		if (ret == 0)
			return 0;
		total += size - I_MIN(size, concat->inputs[i].first);
	}
	*size_r = total;
	return 1;
}

static int i_stream_concat_stat(struct istream_private *stream, bool exact)
{
	uoff_t size = 0;
	int ret;

	memset(&stream->statbuf, 0, sizeof(stream->statbuf));
	ret = i_stream_concat_get_size(stream, exact, &size);
	stream->statbuf.st_size = ret > 0 ? (off_t)size : -1;
	return ret < 0 ? -1 : 0;
}

static void i_stream_concat_each_input(struct istream_private *stream,
				       istream_input_callback_t *callback,
				       void *context)
{
	struct concat_istream *concat = concat_istream(stream);
	unsigned int i;

	for (i = 0; i < concat->count; i++)
		callback(concat->inputs[i].stream, context);
}

static void i_stream_concat_destroy(struct iostream_private *stream)
{
	struct concat_istream *concat =
		container_of(stream, struct concat_istream, istream.iostream);
	unsigned int i;

	for (i = 0; i < concat->count; i++)
		i_stream_unref(&concat->inputs[i].stream);
	i_free(concat->inputs);
}

static void concat_add(struct concat_istream *concat, struct istream *input)
{
	struct concat_input *slot = &concat->inputs[concat->count++];
	struct istream *stream = &concat->istream.istream;

	i_stream_add_input(&concat->istream, input);
	slot->stream = input;
	slot->first = input->v_offset;
	stream->seekable = stream->seekable && input->seekable;
	concat->istream.max_buffer_size =
		I_MAX(concat->istream.max_buffer_size,
		      i_stream_get_max_buffer_size(input));
}

struct istream *i_stream_create_concat(struct istream *input[])
{
	struct concat_istream *concat;
	struct concat_input *inputs;
	unsigned int count = 0, i;

	while (input[count] != NULL)
		count++;
	inputs = try_calloc(count, sizeof(*inputs));
	if (inputs == NULL)
		return i_stream_create_error_str(ENOMEM, "out of memory");
	concat = i_new(struct concat_istream, 1);
	concat->inputs = inputs;
	concat->istream.iostream.destroy = i_stream_concat_destroy;
	concat->istream.read = i_stream_concat_read;
	concat->istream.each_input = i_stream_concat_each_input;
	concat->istream.current_input = i_stream_concat_current;
	concat->istream.seek = i_stream_concat_seek;
	concat->istream.sync = i_stream_concat_sync;
	concat->istream.stat = i_stream_concat_stat;
	concat->istream.get_size = i_stream_concat_get_size;
	concat->istream.max_buffer_size = IO_BLOCK_SIZE;
	(void)i_stream_create(&concat->istream, NULL, -1);
	concat->istream.istream.blocking = true;
	concat->istream.istream.seekable = true;
	for (i = 0; i < count; i++)
		concat_add(concat, input[i]);
	i_stream_set_name(&concat->istream.istream, "(concat)");
	return &concat->istream.istream;
}
