/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reads what a callback produces. It appends to a buffer of its own, from where
   the bytes are copied as the stream's maximum allows: a pointer that a reader
   holds is not moved by a callback that had nothing. */

#include "config.h"
#include "istream-private.h"

#include <string.h>

struct callback_istream {
	struct istream_private istream;
	istream_callback_read_t *callback;
	void *context;
	buffer_t *produced;
	size_t taken; /* of produced */
	bool finished;
	int error_errno;
	char *error_string;
};

static struct callback_istream *callback_istream(struct istream_private *stream)
{
	return container_of(stream, struct callback_istream, istream);
}

static ssize_t at_end(struct callback_istream *cstream)
{
	if (cstream->error_errno != 0)
		return i_stream_fail(&cstream->istream, cstream->error_errno,
				     "%s", cstream->error_string);
	cstream->istream.istream.eof = true;
	return -1;
}

static ssize_t i_stream_callback_read(struct istream_private *stream)
{
	struct callback_istream *cstream = callback_istream(stream);
	buffer_t *produced = cstream->produced;
	unsigned char *dest;
	size_t size, room;

	if (produced->used == cstream->taken && !cstream->finished) {
		buffer_set_used_size(produced, 0);
		cstream->taken = 0;
		if (!cstream->callback(produced, cstream->context))
			cstream->finished = true;
	}
	size = produced->used - cstream->taken;
	if (size == 0)
		return cstream->finished ? at_end(cstream) : 0;
	dest = i_stream_reserve(stream, size, &room);
	if (dest == NULL)
		return stream->istream.stream_errno != 0 ? -1 : -2;
	size = I_MIN(size, room);
	memcpy(dest, produced->data + cstream->taken, size);
	cstream->taken += size;
	stream->pos += size;
	return (ssize_t)size;
}

static void i_stream_callback_destroy(struct iostream_private *stream)
{
	struct callback_istream *cstream =
		container_of(stream, struct callback_istream, istream.iostream);

	buffer_free(&cstream->produced);
	i_free(cstream->error_string);
}

struct istream *
bobbin_i_stream_create_callback(istream_callback_read_t *callback,
				void *context)
{
	struct callback_istream *cstream = i_new(struct callback_istream, 1);
	struct istream *stream;

	cstream->callback = callback;
	cstream->context = context;
	cstream->produced = buffer_create_dynamic(default_pool, 0);
	cstream->istream.iostream.destroy = i_stream_callback_destroy;
	cstream->istream.read = i_stream_callback_read;
	cstream->istream.max_buffer_size = IO_BLOCK_SIZE;
	stream = i_stream_create(&cstream->istream, NULL, -1);
	i_stream_set_name(stream, "(callback)");
	return stream;
}

buffer_t *i_stream_callback_get_buffer(struct istream *input)
{
	i_assert(input->real_stream->read == i_stream_callback_read);
	return callback_istream(input->real_stream)->produced;
}

void i_stream_callback_append(struct istream *input, const void *data,
			      size_t size)
{
	buffer_append(i_stream_callback_get_buffer(input), data, size);
}

void i_stream_callback_append_str(struct istream *input, const char *str)
{
	i_stream_callback_append(input, str, strlen(str));
}

void i_stream_callback_set_error(struct istream *input, int stream_errno,
				 const char *error)
{
	struct callback_istream *cstream = callback_istream(input->real_stream);

	i_assert(input->real_stream->read == i_stream_callback_read);
	i_assert(stream_errno > 0);
	cstream->finished = true;
	if (cstream->error_errno != 0)
		return;
	cstream->error_errno = stream_errno;
	cstream->error_string = i_strdup(error);
}
