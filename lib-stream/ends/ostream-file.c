/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A stream over a file descriptor. A corked stream gathers blocks in `buffer`; else
   only what the fd does not take waits there. */

#include "config.h"
#include "ends/ostream-file-private.h"
#include "file-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

static const struct file_ostream *
file_ostream_const(const struct ostream_private *stream)
{
	return (const struct file_ostream *)(const void *)stream;
}

/*
 * The event loop
 */

static int file_writable_default(struct file_ostream *file)
{
	return file_ostream_flush(&file->ostream, OSTREAM_PUSH);
}

static void file_update_io(struct file_ostream *file);

static void file_writable(void *context)
{
	struct file_ostream *file = context;
	struct ostream *stream = &file->ostream.ostream;
	int ret;

	o_stream_ref(stream);
	file->ostream.append.open = false;
	/* a callback that asks for the next one must not be overruled */
	file->flush_pending = false;
	o_stream_cork_internal(stream);
	if (file->ostream.callback != NULL)
		ret = o_stream_call_flush_callback(&file->ostream, 1);
	else
		ret = file_writable_default(file);
	if (ret == 0)
		file->flush_pending = true;
	o_stream_end_turn(&file->ostream);
	file_update_io(file);
	o_stream_unref(&stream);
}

/* Waits for the fd where something is to be sent or asked for. */
static void file_update_io(struct file_ostream *file)
{
	struct ioloop *ioloop = io_stream_get_ioloop(&file->ostream.iostream);
	bool want;

	want = byte_queue_used(&file->buffer) > 0 || file->flush_pending;
	if (file->ostream.corked || file->ostream.ostream.closed ||
	    file->ostream.closing || file->ostream.ostream.stream_errno != 0)
		want = false;
	if (!want)
		io_remove(&file->io);
	else if (file->io == NULL && ioloop != NULL)
		file->io = io_add_to(ioloop, file->ostream.fd, IO_WRITE,
				     file_writable, file);
}

/*
 * Buffer
 */

static size_t buffer_room(const struct file_ostream *file, size_t limit)
{
	size_t used = byte_queue_used(&file->buffer);

	return limit - I_MIN(limit, used);
}

/* A corked stream writes when this much is there. */
static size_t block_size(const struct file_ostream *file)
{
	return I_MIN(file->ostream.max_buffer_size, (size_t)IO_BLOCK_SIZE);
}

/* Copies up to `room` of the caller's remaining bytes into the buffer. */
static int buffer_output(struct file_ostream *file, struct file_output *output,
			 size_t room)
{
	const struct const_iovec *iov;
	unsigned char *dest;
	size_t len;

	while (room > 0 && output->index < output->count) {
		iov = &output->iov[output->index];
		len = I_MIN(iov->iov_len - output->skip, room);
		if (len > 0) {
			dest = byte_queue_reserve(&file->buffer, len);
			if (dest == NULL)
				return file_ostream_write_failed(file, ENOMEM);
			memcpy(dest, (const char *)iov->iov_base + output->skip,
			       len);
			byte_queue_add(&file->buffer, len);
		}
		room -= len;
		file_output_advance(output, len);
		if (len == 0)
			output->skip = 0;
	}
	return 0;
}

/* Small corked sends fill the buffer; a full one is written as a whole block. */
static int send_corked(struct file_ostream *file, struct file_output *output,
		       size_t size)
{
	struct file_output none = { 0 };

	if (size > buffer_room(file, block_size(file))) {
		if (buffer_output(file, output,
				  buffer_room(file, block_size(file))) < 0 ||
		    file_ostream_write_output(file, &none) < 0)
			return -1;
	}
	return buffer_output(file, output, buffer_room(file, block_size(file)));
}

/* The next small sends need no more than a copy. */
static void file_open_append(struct file_ostream *file)
{
	if (file->buffer.data == NULL)
		return;
	byte_queue_open(&file->buffer, buffer_room(file, block_size(file)));
	file->ostream.append.open = true;
}

static ssize_t file_ostream_sendv(struct ostream_private *stream,
				  const struct const_iovec *iov,
				  unsigned int iov_count)
{
	struct file_ostream *file = file_ostream(stream);
	struct file_output output = { .iov = iov, .count = iov_count };
	size_t size = 0;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < iov_count; i++)
		size += iov[i].iov_len;
	if (stream->corked && size < block_size(file) / 2)
		ret = send_corked(file, &output, size);
	else
		ret = file_ostream_write_output(file, &output);
	/* what the fd does not take now */
	if (ret == 0 && output.taken < size)
		ret = buffer_output(file, &output,
				    buffer_room(file, stream->max_buffer_size));
	if (ret < 0)
		return o_stream_passed(output.taken);
	if (stream->corked)
		file_open_append(file);
	else
		file_update_io(file);
	return (ssize_t)output.taken;
}

static void file_set_tcp_cork(struct file_ostream *file, bool set)
{
	int value = set ? 1 : 0;

	if (file->tcp &&
	    setsockopt(file->ostream.fd, IPPROTO_TCP, TCP_CORK, &value,
		       sizeof(value)) < 0)
		file->tcp = false;
}

int file_ostream_flush(struct ostream_private *stream,
		       enum ostream_flush_mode mode)
{
	struct file_ostream *file = file_ostream(stream);
	struct file_output none = { 0 };

	if (byte_queue_used(&file->buffer) > 0 &&
	    file_ostream_write_output(file, &none) < 0)
		return -1;
	byte_queue_relax(&file->buffer);
	file_update_io(file);
	if (byte_queue_used(&file->buffer) > 0)
		return 0;
	/* nothing follows for which the kernel could wait */
	if (stream->corked && mode == OSTREAM_FINISH)
		file_set_tcp_cork(file, false);
	if (file->moves_fd && mode != OSTREAM_PUSH)
		(void)file_ops()->lseek(stream->fd, (off_t)file->file_offset,
					SEEK_SET);
	return 1;
}

static unsigned char *file_ostream_reserve(struct ostream_private *stream,
					   size_t min, size_t *size_r)
{
	struct file_ostream *file = file_ostream(stream);
	size_t room = buffer_room(file, block_size(file));
	unsigned char *window;

	if (room < min)
		return NULL;
	window = byte_queue_reserve(&file->buffer, room);
	*size_r = room;
	return window;
}

static void file_ostream_commit(struct ostream_private *stream, size_t size)
{
	struct file_ostream *file = file_ostream(stream);

	byte_queue_add(&file->buffer, size);
	if (!stream->corked || buffer_room(file, block_size(file)) == 0)
		(void)file_ostream_flush(stream, OSTREAM_PUSH);
}

static size_t file_ostream_get_used_size(const struct ostream_private *stream)
{
	return byte_queue_used(&file_ostream_const(stream)->buffer);
}

static size_t file_ostream_get_avail_size(const struct ostream_private *stream)
{
	return buffer_room(file_ostream_const(stream), stream->max_buffer_size);
}

/*
 * Life cycle
 */

static void file_ostream_cork(struct ostream_private *stream, bool set)
{
	struct file_ostream *file = file_ostream(stream);

	file_set_tcp_cork(file, set);
	file_update_io(file);
}

static void file_ostream_flush_pending(struct ostream_private *stream, bool set)
{
	struct file_ostream *file = file_ostream(stream);

	file->flush_pending = set;
	file_update_io(file);
}

static void file_ostream_set_flush_callback(struct ostream_private *stream,
					    stream_flush_callback_t *callback,
					    void *context)
{
	stream->callback = callback;
	stream->context = context;
}

static void file_ostream_switch_ioloop_to(struct ostream_private *stream,
					  struct ioloop *ioloop)
{
	struct file_ostream *file = file_ostream(stream);

	stream->iostream.ioloop = ioloop;
	io_remove(&file->io);
	file_update_io(file);
}

int file_ostream_close_fd(struct file_ostream *file)
{
	int ret;

	if (file->fd_ref == NULL) {
		ret = file_close(&file->ostream.fd);
	} else {
		file->ostream.fd = -1;
		ret = iostream_fd_release(&file->fd_ref);
	}
	if (ret == 0)
		return 0;
	return o_stream_fail(&file->ostream, errno, "close(%s) failed: %s",
			     o_stream_get_name(&file->ostream.ostream),
			     strerror(errno));
}

void file_ostream_close(struct iostream_private *stream,
			bool close_parent ATTR_UNUSED)
{
	struct file_ostream *file =
		container_of(stream, struct file_ostream, ostream.iostream);
	bool had_failed = file->ostream.ostream.stream_errno != 0;

	io_remove(&file->io);
	byte_queue_free(&file->buffer);
	/* an error that only close() tells is a write error, too; one behind another error
	   says nothing new */
	if (file->autoclose && file_ostream_close_fd(file) < 0 && !had_failed)
		file->ostream.last_errors_not_checked = true;
}

static void file_set_methods(struct ostream_private *stream)
{
	if (stream->iostream.close == NULL)
		stream->iostream.close = file_ostream_close;
	if (stream->flush == NULL)
		stream->flush = file_ostream_flush;
	stream->cork = file_ostream_cork;
	stream->set_flush_callback = file_ostream_set_flush_callback;
	stream->flush_pending = file_ostream_flush_pending;
	stream->get_buffer_used_size = file_ostream_get_used_size;
	stream->get_buffer_avail_size = file_ostream_get_avail_size;
	stream->seek = file_ostream_seek;
	stream->sendv = file_ostream_sendv;
	stream->write_at = file_ostream_write_at;
	stream->send_istream = file_ostream_send_istream;
	stream->switch_ioloop_to = file_ostream_switch_ioloop_to;
	stream->reserve = file_ostream_reserve;
	stream->commit = file_ostream_commit;
}

/* Whoever opened it: there pwrite() writes to the end, too, and nowhere else. */
static bool is_appended_to(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && (flags & O_APPEND) != 0;
}

/* No file has such a place, and as an off_t it would be another one. */
static bool offset_is_too_large(uoff_t offset)
{
	return offset > INT64_MAX && offset != UOFF_T_MAX;
}

struct ostream *file_ostream_init(struct file_ostream *file, int fd,
				  uoff_t offset, size_t max_buffer_size)
{
	struct ostream *stream;
	struct stat st;
	off_t pos;

	file->ostream.max_buffer_size = max_buffer_size == 0 ? IO_BLOCK_SIZE :
							       max_buffer_size;
	file_set_methods(&file->ostream);
	if (file->write == NULL)
		file->write = file_ostream_write;
	io_stream_set_fd_name(&file->ostream.iostream, fd);
	file->ostream.append.data = &file->buffer.data;
	file->ostream.append.used = &file->buffer.end;
	file->ostream.append.limit = &file->buffer.append_limit;
	if (fd != -1 && file_ops()->fstat(fd, &st) == 0) {
		file->regular = S_ISREG(st.st_mode);
		file->socket = file->tcp = S_ISSOCK(st.st_mode);
	}
	if (file->regular) {
		file->ostream.ostream.blocking = true;
		pos = offset == UOFF_T_MAX ?
			file_ops()->lseek(fd, 0, SEEK_CUR) :
			(off_t)offset;
		file->file_offset = pos < 0 ? 0 : (uoff_t)pos;
		file->ostream.ostream.offset = file->file_offset;
	}
	stream = o_stream_create(&file->ostream, NULL, fd);
	if (file->regular && offset_is_too_large(offset))
		(void)o_stream_fail(&file->ostream, EFBIG,
				    "%s: cannot write from offset %llu on: it "
				    "is too large",
				    o_stream_get_name(stream),
				    (unsigned long long)offset);
	if (file->regular && is_appended_to(fd))
		file->regular = false;
	return stream;
}

struct ostream *o_stream_create_fd(int fd, size_t max_buffer_size)
{
	struct file_ostream *file = i_new(struct file_ostream, 1);

	(void)file_ostream_init(file, fd, UOFF_T_MAX, max_buffer_size);
	file->moves_fd = file->regular;
	return &file->ostream.ostream;
}

struct ostream *o_stream_create_fd_autoclose(int *fd, size_t max_buffer_size)
{
	struct file_ostream *file = i_new(struct file_ostream, 1);

	file->autoclose = true;
	(void)file_ostream_init(file, *fd, UOFF_T_MAX, max_buffer_size);
	*fd = -1;
	return &file->ostream.ostream;
}

struct ostream *o_stream_create_fd_blocking(int fd)
{
	struct file_ostream *file = i_new(struct file_ostream, 1);

	(void)file_ostream_init(file, fd, UOFF_T_MAX, 0);
	/* others may write to the same open file: its offset must move */
	file->regular = false;
	file->ostream.ostream.offset = file->ostream.timed_offset = 0;
	file->ostream.ostream.blocking = true;
	return &file->ostream.ostream;
}

struct ostream *o_stream_create_fd_file(int fd, uoff_t offset,
					bool autoclose_fd)
{
	struct file_ostream *file = i_new(struct file_ostream, 1);

	file->autoclose = autoclose_fd;
	return file_ostream_init(file, fd, offset, 0);
}

struct ostream *o_stream_create_fd_file_autoclose(int *fd, uoff_t offset)
{
	struct ostream *stream = o_stream_create_fd_file(*fd, offset, true);

	*fd = -1;
	return stream;
}

struct ostream *o_stream_create_file(const char *path, uoff_t offset,
				     mode_t mode,
				     enum ostream_create_file_flags flags)
{
	int open_flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
	struct ostream *stream;
	int fd;

	/* before it is emptied */
	if (offset_is_too_large(offset))
		return o_stream_create_error_str(
			EFBIG,
			"cannot write %s from offset %llu on: it is too large",
			path, (unsigned long long)offset);
	open_flags |= (flags & OSTREAM_CREATE_FILE_FLAG_APPEND) == 0 ? O_TRUNC :
								       O_APPEND;
	fd = file_open(AT_FDCWD, path, open_flags, mode);
	if (fd < 0)
		return o_stream_create_error_str(errno, "open(%s) failed: %s",
						 path, strerror(errno));
	stream = o_stream_create_fd_file_autoclose(&fd, offset);
	o_stream_set_name(stream, path);
	return stream;
}
