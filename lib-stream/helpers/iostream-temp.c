/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Keeps what is sent, in memory or in a file without a name, and gives it as an input
   stream. */

#include "config.h"
#include "helpers/iostream-temp.h"
#include "file-ops.h"
#include "helpers/istream-temp.h"
#include "istream.h"
#include "ostream-private.h"
#include "temp-file.h"
#include "temp-store.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define DEFAULT_MAX_MEMORY ((size_t)128 * 1024)

struct temp_ostream {
	struct ostream_private ostream;
	char *path_prefix;
	enum iostream_temp_flags flags;
	struct temp_store *store; /* NULL: finish took it */
	/* Where nothing was copied: part of this file is all there is. */
	int dup_fd;
	uoff_t dup_start, dup_size;
};

static struct temp_ostream *temp_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct temp_ostream, ostream);
}

static int store_failed(struct temp_ostream *temp)
{
	return o_stream_fail(&temp->ostream, errno, "%s: %s",
			     o_stream_get_name(&temp->ostream.ostream),
			     temp_store_get_error(temp->store));
}

static int open_file(const char **path_r, void *context)
{
	struct temp_ostream *temp = context;

	*path_r = temp->path_prefix;
	return temp_file_open(temp->path_prefix);
}

/*
 * Another file's bytes, as they are
 */

/* The part of the file that was sent; the fd is the stream's now. */
static struct istream *dup_input(struct temp_ostream *temp,
				 size_t max_buffer_size)
{
	struct istream *file, *part;

	file = i_stream_create_fd_autoclose(&temp->dup_fd, max_buffer_size);
	part = i_stream_create_range(file, temp->dup_start, temp->dup_size);
	i_stream_unref(&file);
	return part;
}

/* More is to come: now the file is copied after all. 0 or -1. */
static int dup_cancel(struct temp_ostream *temp)
{
	const unsigned char *data;
	struct istream *input;
	uoff_t offset = 0;
	size_t size;
	int ret = 0;

	if (temp->dup_fd == -1)
		return 0;
	input = dup_input(temp, 0);
	while (ret == 0 && i_stream_read_more(input, &data, &size) > 0) {
		if (temp_store_write(temp->store, offset, data, size) < 0)
			ret = store_failed(temp);
		i_stream_skip(input, size);
		offset += size;
	}
	if (ret == 0 && (input->stream_errno != 0 || offset < temp->dup_size))
		ret = o_stream_fail(
			&temp->ostream,
			input->stream_errno != 0 ? input->stream_errno : EPIPE,
			"%s: the file that was sent first cannot be copied: %s",
			o_stream_get_name(&temp->ostream.ostream),
			input->stream_errno != 0 ? i_stream_get_error(input) :
						   "it is shorter now");
	i_stream_destroy(&input);
	return ret;
}

/* True where the input needs no copy: it is read to its end then. */
static bool dup_file(struct temp_ostream *temp, struct istream *instream)
{
	const struct stat *st;
	uoff_t size;

	if ((temp->flags & IOSTREAM_TEMP_FLAG_TRY_FD_DUP) == 0 ||
	    temp->ostream.ostream.offset > 0 ||
	    temp_store_size(temp->store) > 0)
		return false;
	if (!instream->readable_fd || i_stream_stat(instream, true, &st) < 0 ||
	    !S_ISREG(st->st_mode) ||
	    i_stream_get_size(instream, true, &size) <= 0 ||
	    size <= instream->v_offset)
		return false;
	temp->dup_fd = fcntl(i_stream_get_fd(instream), F_DUPFD_CLOEXEC, 0);
	if (temp->dup_fd < 0)
		return false;
	temp->dup_start = i_stream_get_absolute_offset(instream);
	temp->dup_size = size - instream->v_offset;
	i_stream_skip(instream, temp->dup_size);
	temp->ostream.ostream.offset = temp->dup_size;
	return true;
}

/*
 * Methods
 */

static ssize_t o_stream_temp_sendv(struct ostream_private *stream,
				   const struct const_iovec *iov,
				   unsigned int iov_count)
{
	struct temp_ostream *temp = temp_ostream(stream);
	uoff_t offset = stream->ostream.offset;
	unsigned int i;

	if (dup_cancel(temp) < 0)
		return -1;
	for (i = 0; i < iov_count; i++) {
		if (temp_store_write(temp->store, offset, iov[i].iov_base,
				     iov[i].iov_len) < 0)
			return store_failed(temp);
		offset += iov[i].iov_len;
	}
	return (ssize_t)(offset - stream->ostream.offset);
}

static int o_stream_temp_seek(struct ostream_private *stream, uoff_t offset)
{
	if (dup_cancel(temp_ostream(stream)) < 0)
		return -1;
	stream->ostream.offset = offset;
	return 1;
}

static int o_stream_temp_write_at(struct ostream_private *stream,
				  const void *data, size_t size, uoff_t offset)
{
	struct temp_ostream *temp = temp_ostream(stream);

	if (dup_cancel(temp) < 0)
		return -1;
	if (temp_store_write(temp->store, offset, data, size) < 0)
		return store_failed(temp);
	return 0;
}

static int o_stream_temp_flush(struct ostream_private *stream,
			       enum ostream_flush_mode mode)
{
	struct temp_ostream *temp = temp_ostream(stream);

	if (mode == OSTREAM_FINISH && temp_store_finish(temp->store) < 0)
		return store_failed(temp);
	return 1;
}

static enum ostream_send_istream_result
o_stream_temp_send_istream(struct ostream_private *stream,
			   struct istream *instream)
{
	if (!stream->finished)
		(void)dup_file(temp_ostream(stream), instream);
	/* after a dup that is what comes behind the file's end: usually nothing,
	   and eof */
	return o_stream_copy_istream(&stream->ostream, instream);
}

static void o_stream_temp_destroy(struct iostream_private *stream)
{
	struct temp_ostream *temp =
		container_of(stream, struct temp_ostream, ostream.iostream);

	(void)file_close(&temp->dup_fd);
	temp_store_free(&temp->store);
	i_free(temp->path_prefix);
}

/*
 * Life cycle
 */

struct ostream *iostream_temp_create_sized(const char *temp_path_prefix,
					   enum iostream_temp_flags flags,
					   const char *name,
					   size_t max_mem_size)
{
	struct temp_ostream *temp = i_new(struct temp_ostream, 1);
	struct ostream *stream;

	temp->path_prefix = i_strdup(temp_path_prefix);
	temp->flags = flags;
	temp->dup_fd = -1;
	temp->store = temp_store_new(
		max_mem_size, (flags & IOSTREAM_TEMP_FLAG_ENCRYPTED) != 0,
		open_file, temp);
	if ((flags & IOSTREAM_TEMP_FLAG_NO_FALLBACK) != 0)
		temp_store_set_no_fallback(temp->store);
	temp->ostream.max_buffer_size = SIZE_MAX;
	temp->ostream.iostream.destroy = o_stream_temp_destroy;
	temp->ostream.flush = o_stream_temp_flush;
	temp->ostream.sendv = o_stream_temp_sendv;
	temp->ostream.seek = o_stream_temp_seek;
	temp->ostream.write_at = o_stream_temp_write_at;
	temp->ostream.send_istream = o_stream_temp_send_istream;
	stream = o_stream_create(&temp->ostream, NULL, -1);
	stream->blocking = true;
	o_stream_set_name(stream,
			  name != NULL && *name != '\0' ? name : "(temp)");
	return stream;
}

struct ostream *iostream_temp_create_named(const char *temp_path_prefix,
					   enum iostream_temp_flags flags,
					   const char *name)
{
	return iostream_temp_create_sized(temp_path_prefix, flags, name,
					  DEFAULT_MAX_MEMORY);
}

struct ostream *iostream_temp_create(const char *temp_path_prefix,
				     enum iostream_temp_flags flags)
{
	return iostream_temp_create_named(temp_path_prefix, flags, "");
}

static struct temp_ostream *need_temp(struct ostream *output)
{
	i_assert(output->real_stream->sendv == o_stream_temp_sendv);
	return temp_ostream(output->real_stream);
}

static void free_store(void *context)
{
	struct temp_store *store = context;

	temp_store_free(&store);
}

/* The store goes with the stream. */
static struct istream *store_input(struct temp_store *store,
				   size_t max_buffer_size)
{
	struct istream *input;
	int fd;

	fd = temp_store_take_fd(store);
	if (fd >= 0) {
		temp_store_free(&store);
		return i_stream_create_fd_autoclose(&fd, max_buffer_size);
	}
	if (temp_store_in_file(store))
		return i_stream_create_temp_store(store, max_buffer_size);
	input = i_stream_create_from_data(temp_store_memory(store),
					  (size_t)temp_store_size(store));
	i_stream_add_destroy_callback(input, free_store, store);
	return input;
}

struct istream *iostream_temp_finish(struct ostream **output,
				     size_t max_buffer_size)
{
	struct temp_ostream *temp = need_temp(*output);
	struct istream *input;

	if (o_stream_finish(*output) < 0) {
		input = i_stream_create_error_str((*output)->stream_errno, "%s",
						  o_stream_get_error(*output));
	} else if (temp->dup_fd != -1) {
		input = dup_input(temp, max_buffer_size);
	} else {
		input = store_input(temp->store, max_buffer_size);
		temp->store = NULL;
	}
	i_stream_set_name(input, o_stream_get_name(*output));
	o_stream_destroy(output);
	return input;
}

int o_stream_temp_move_to_memory(struct ostream *output)
{
	struct temp_ostream *temp = need_temp(output);

	if (output->stream_errno != 0)
		return -1;
	if (dup_cancel(temp) < 0)
		return -1;
	return temp_store_move_to_memory(temp->store) < 0 ? store_failed(temp) :
							    0;
}
