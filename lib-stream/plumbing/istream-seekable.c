/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reads several streams one after the other, and keeps what was read, so that it can
   be read again: in memory as long as that is little, then in a file. */

#include "config.h"
#include "istream-private.h"
#include "temp-file.h"
#include "temp-store.h"

#include <errno.h>
#include <string.h>

typedef int seekable_fd_callback_t(const char **path_r, void *context);

struct seekable_istream {
	struct istream_private istream;
	/* those that have not ended yet, from `current` on */
	struct istream **inputs;
	unsigned int count, current;
	struct temp_store *store; /* all that was read of the inputs */
	seekable_fd_callback_t *fd_callback;
	void *fd_context;
	char *path_prefix; /* where we are our own fd_callback */
};

static struct seekable_istream *seekable_istream(struct istream_private *stream)
{
	return container_of(stream, struct seekable_istream, istream);
}

static int open_file(const char **path_r, void *context)
{
	struct seekable_istream *seekable = context;

	return seekable->fd_callback(path_r, seekable->fd_context);
}

static int open_prefix(const char **path_r, void *context)
{
	struct seekable_istream *seekable = context;

	*path_r = seekable->path_prefix;
	return temp_file_open(seekable->path_prefix);
}

static int store_failed(struct seekable_istream *seekable)
{
	struct istream_private *s = &seekable->istream;

	return (int)i_stream_fail(s, errno, "%s: %s",
				  i_stream_get_name(&s->istream),
				  temp_store_get_error(seekable->store));
}

/* What the inputs have next, which is not in the store yet: as i_stream_read(). */
static int next_data(struct seekable_istream *seekable,
		     const unsigned char **data_r, size_t *size_r)
{
	struct istream **input;
	int ret;

	while (seekable->current < seekable->count) {
		input = &seekable->inputs[seekable->current];
		(*input)->real_stream->data_limit =
			seekable->istream.data_limit;
		ret = i_stream_read_more(*input, data_r, size_r);
		(*input)->real_stream->data_limit = 0;
		if (ret >= 0)
			return ret;
		if ((*input)->stream_errno != 0)
			return (int)i_stream_fail(&seekable->istream,
						  (*input)->stream_errno, "%s",
						  i_stream_get_error(*input));
		/* who waits in a loop has to wait for the next one */
		if (seekable->current + 1 < seekable->count)
			i_stream_set_input_pending(&seekable->istream.istream,
						   true);
		i_stream_unref(input);
		seekable->current++;
	}
	seekable->istream.istream.eof = true;
	return -1;
}

static struct istream *i_stream_seekable_current(struct istream_private *stream)
{
	const struct seekable_istream *seekable = seekable_istream(stream);

	return seekable->current == seekable->count ?
		NULL :
		seekable->inputs[seekable->current];
}

/* Moves `size` bytes of the input to the end of the store. */
static int keep_data(struct seekable_istream *seekable,
		     const unsigned char *data, size_t size)
{
	if (temp_store_write(seekable->store, temp_store_size(seekable->store),
			     data, size) < 0)
		return store_failed(seekable);
	i_stream_skip(seekable->inputs[seekable->current], size);
	return 0;
}

static ssize_t i_stream_seekable_read(struct istream_private *stream)
{
	struct seekable_istream *seekable = seekable_istream(stream);
	uoff_t pos = stream->istream.v_offset + (stream->pos - stream->skip) -
		stream->lag;
	uoff_t kept = temp_store_size(seekable->store);
	const unsigned char *data = NULL;
	size_t size = IO_BLOCK_SIZE, room;
	unsigned char *dest;
	int ret;

	if (pos < kept) {
		size = (size_t)I_MIN(kept - pos, (uoff_t)IO_BLOCK_SIZE);
		if (stream->data_limit > 0)
			size = I_MIN(size, stream->data_limit);
	} else {
		ret = next_data(seekable, &data, &size);
		if (ret <= 0)
			return ret;
	}
	dest = i_stream_reserve(stream, size, &room);
	if (dest == NULL)
		return stream->istream.stream_errno != 0 ? -1 : -2;
	size = I_MIN(size, room);
	if (data != NULL) {
		memcpy(dest, data, size);
		ret = keep_data(seekable, data, size);
	} else {
		ret = temp_store_read(seekable->store, pos, dest, size);
		if (ret < 0)
			ret = store_failed(seekable);
	}
	if (ret < 0)
		return -1;
	stream->pos += size;
	return (ssize_t)size;
}

/* What was never read is read through. */
static void i_stream_seekable_seek(struct istream_private *stream,
				   uoff_t v_offset, bool mark ATTR_UNUSED)
{
	uoff_t kept = temp_store_size(seekable_istream(stream)->store);

	i_stream_reset_buffer(stream, v_offset);
	stream->lag = v_offset - I_MIN(v_offset, kept);
}

static int i_stream_seekable_get_size(struct istream_private *stream,
				      bool exact, uoff_t *size_r)
{
	struct seekable_istream *seekable = seekable_istream(stream);
	const unsigned char *data;
	size_t size;
	int ret = 1;

	while (exact && seekable->current < seekable->count) {
		ret = next_data(seekable, &data, &size);
		if (stream->istream.stream_errno != 0)
			return -1;
		if (ret == 0)
			return 0;
		if (ret > 0 && keep_data(seekable, data, size) < 0)
			return -1;
	}
	/* only a read says that it is there */
	stream->istream.eof = false;
	if (seekable->current < seekable->count)
		return 0;
	*size_r = temp_store_size(seekable->store);
	return 1;
}

static int i_stream_seekable_stat(struct istream_private *stream, bool exact)
{
	uoff_t size;
	int ret;

	ret = i_stream_seekable_get_size(stream, exact, &size);
	if (ret < 0)
		return -1;
	memset(&stream->statbuf, 0, sizeof(stream->statbuf));
	stream->statbuf.st_size = ret == 0 ? -1 : (off_t)size;
	return 0;
}

static void i_stream_seekable_each_input(struct istream_private *stream,
					 istream_input_callback_t *callback,
					 void *context)
{
	struct seekable_istream *seekable = seekable_istream(stream);
	unsigned int i;

	for (i = seekable->current; i < seekable->count; i++)
		callback(seekable->inputs[i], context);
}

static void i_stream_seekable_destroy(struct iostream_private *stream)
{
	struct seekable_istream *seekable =
		container_of(stream, struct seekable_istream, istream.iostream);

	for (; seekable->current < seekable->count; seekable->current++)
		i_stream_unref(&seekable->inputs[seekable->current]);
	i_free(seekable->inputs);
	temp_store_free(&seekable->store);
	i_free(seekable->path_prefix);
}

static struct seekable_istream *
merge(struct istream *input[], size_t max_buffer_size, temp_store_open_t *open)
{
	struct seekable_istream *seekable;
	struct istream **inputs;
	unsigned int count = 0, i;

	while (input[count] != NULL)
		count++;
	inputs = try_calloc(count + 1, sizeof(*inputs));
	seekable = i_new(struct seekable_istream, 1);
	seekable->inputs = inputs;
	seekable->store = temp_store_new(max_buffer_size, true, open, seekable);
	seekable->istream.max_buffer_size =
		max_buffer_size == 0 ? IO_BLOCK_SIZE : max_buffer_size;
	seekable->istream.iostream.destroy = i_stream_seekable_destroy;
	seekable->istream.read = i_stream_seekable_read;
	seekable->istream.each_input = i_stream_seekable_each_input;
	seekable->istream.seek = i_stream_seekable_seek;
	seekable->istream.stat = i_stream_seekable_stat;
	seekable->istream.current_input = i_stream_seekable_current;
	seekable->istream.get_size = i_stream_seekable_get_size;
	(void)i_stream_create(&seekable->istream, NULL, -1);
	i_stream_set_name(&seekable->istream.istream, "(seekable)");
	seekable->istream.istream.blocking = true;
	seekable->istream.istream.seekable = true;
	if (inputs == NULL) {
		(void)i_stream_fail(&seekable->istream, ENOMEM,
				    "(seekable): out of memory");
		return seekable;
	}
	for (i = 0; i < count; i++) {
		i_stream_add_input(&seekable->istream, input[i]);
		inputs[i] = input[i];
	}
	seekable->count = count;
	return seekable;
}

struct istream *i_streams_merge(struct istream *input[], size_t max_buffer_size,
				int (*fd_callback)(const char **path_r,
						   void *context),
				void *context)
{
	struct seekable_istream *seekable =
		merge(input, max_buffer_size, open_file);

	seekable->fd_callback = fd_callback;
	seekable->fd_context = context;
	return &seekable->istream.istream;
}

static bool all_seekable(struct istream *const input[])
{
	while (*input != NULL && (*input)->seekable)
		input++;
	return *input == NULL;
}

struct istream *
i_stream_create_seekable(struct istream *input[], size_t max_buffer_size,
			 int (*fd_callback)(const char **path_r, void *context),
			 void *context)
{
	if (all_seekable(input))
		return i_stream_create_concat(input);
	return i_streams_merge(input, max_buffer_size, fd_callback, context);
}

struct istream *i_stream_create_seekable_path(struct istream *input[],
					      size_t max_buffer_size,
					      const char *temp_path_prefix)
{
	struct seekable_istream *seekable;

	if (all_seekable(input))
		return i_stream_create_concat(input);
	seekable = merge(input, max_buffer_size, open_prefix);
	seekable->path_prefix = i_strdup(temp_path_prefix);
	return &seekable->istream.istream;
}

void i_stream_seekable_set_encrypted(struct istream *stream, bool encrypted)
{
	/* of a concat nothing is kept, nor of what has failed */
	if (stream->stream_errno != 0 || i_stream_is_concat(stream))
		return;
	i_assert(stream->real_stream->read == i_stream_seekable_read);
	temp_store_set_encrypted(seekable_istream(stream->real_stream)->store,
				 encrypted);
}
