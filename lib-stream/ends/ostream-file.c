/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Writes to a file descriptor. A corked stream gathers blocks in `buffer`; else
   only what the fd does not take waits there. A regular file is written with
   pwrite() at an offset of the stream's own. */

#include "config.h"
#include "ends/ostream-file-private.h"
#include "file-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Vectors per system call; more would be copied onto a large stack. */
#define MAX_VECTORS 64
/* A write larger than this is never asked for at once: Linux takes less than
   2 GiB. */
#define MAX_WRITE_SIZE ((size_t)1 << 30)

#define NO_SEEKING "it is no regular file, or is only appended to"

static struct file_ostream *file_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct file_ostream, ostream);
}

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
	if (!file->ostream.closing)
		o_stream_uncork_internal(stream);
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
 * System calls
 */

ssize_t file_ostream_write(struct file_ostream *file, const struct iovec *iov,
			   unsigned int count)
{
	struct msghdr msg;

	if (file->regular)
		return file_pwritev(file->ostream.fd, iov, (int)count,
				    (off_t)file->file_offset);
	if (!file->socket)
		return file_writev(file->ostream.fd, iov, (int)count);
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = (struct iovec *)(uintptr_t)iov;
	msg.msg_iovlen = count;
	return file_sendmsg(file->ostream.fd, &msg, MSG_NOSIGNAL);
}

static int file_write_failed(struct file_ostream *file, int error)
{
	const char *name = o_stream_get_name(&file->ostream.ostream);

	/* as a caller sees it; the fd is closed with the stream */
	file->ostream.ostream.closed = true;
	if (!file->regular)
		return o_stream_fail(&file->ostream, error,
				     "write(%s) failed: %s", name,
				     strerror(error));
	return o_stream_fail(&file->ostream, error,
			     "write(%s) failed at offset %llu: %s", name,
			     (unsigned long long)file->file_offset,
			     strerror(error));
}

bool file_ostream_wait(const struct file_ostream *file)
{
	struct pollfd pfd = { .fd = file->ostream.fd, .events = POLLOUT };

	return poll(&pfd, 1, -1) > 0 || errno == EINTR;
}

/* Bytes that the fd took, 0 if it is not ready, -1 on errors. */
static ssize_t file_write(struct file_ostream *file, const struct iovec *iov,
			  unsigned int count)
{
	ssize_t ret;

	for (;;) {
		ret = file->write(file, iov, count);
		if (ret > 0) {
			if (file->regular)
				file->file_offset += (uoff_t)ret;
			return ret;
		}
		if (ret == 0)
			/* a regular file that takes nothing is full */
			return file_write_failed(file, ENOSPC);
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return file_write_failed(file, errno);
		if (!file->ostream.ostream.blocking)
			return 0;
		if (!file_ostream_wait(file))
			return file_write_failed(file, errno);
	}
}

/* What is still to be written: the buffer, then the caller's vectors from
   (index, skip) on. */
struct file_output {
	const struct const_iovec *iov;
	unsigned int count, index;
	size_t skip;
	size_t taken; /* of the caller's bytes */
};

static void output_advance(struct file_output *output, size_t size)
{
	size_t left;

	output->taken += size;
	while (output->index < output->count) {
		left = output->iov[output->index].iov_len - output->skip;
		if (size < left) {
			output->skip += size;
			return;
		}
		size -= left;
		output->skip = 0;
		output->index++;
	}
}

static unsigned int output_fill(const struct file_ostream *file,
				const struct file_output *output,
				struct iovec *iov)
{
	size_t used = byte_queue_used(&file->buffer), skip = output->skip, len;
	size_t total = used;
	unsigned int n = 0, i;

	if (used > 0) {
		iov[n].iov_base =
			(void *)(uintptr_t)byte_queue_data(&file->buffer);
		iov[n++].iov_len = I_MIN(used, MAX_WRITE_SIZE);
	}
	for (i = output->index;
	     i < output->count && n < MAX_VECTORS && total < MAX_WRITE_SIZE;
	     i++, skip = 0) {
		len = I_MIN(output->iov[i].iov_len - skip,
			    MAX_WRITE_SIZE - total);
		if (len == 0)
			continue;
		iov[n].iov_base =
			(char *)(uintptr_t)output->iov[i].iov_base + skip;
		iov[n++].iov_len = len;
		total += len;
	}
	return n;
}

/* Writes the buffer and then the caller's vectors, as far as the fd takes them
   (all, if it is blocking). 0, or -1 with stream_errno. */
static int file_write_output(struct file_ostream *file,
			     struct file_output *output)
{
	struct iovec iov[MAX_VECTORS];
	size_t size, from_buffer;
	unsigned int n;
	ssize_t ret;

	while ((n = output_fill(file, output, iov)) > 0) {
		ret = file_write(file, iov, n);
		if (ret <= 0)
			return (int)ret;
		size = (size_t)ret;
		from_buffer = I_MIN(size, byte_queue_used(&file->buffer));
		byte_queue_skip(&file->buffer, from_buffer);
		output_advance(output, size - from_buffer);
	}
	return 0;
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
				return file_write_failed(file, ENOMEM);
			memcpy(dest, (const char *)iov->iov_base + output->skip,
			       len);
			byte_queue_add(&file->buffer, len);
		}
		room -= len;
		output_advance(output, len);
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
		    file_write_output(file, &none) < 0)
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
		ret = file_write_output(file, &output);
	/* what the fd does not take now */
	if (ret == 0 && output.taken < size)
		ret = buffer_output(file, &output,
				    buffer_room(file, stream->max_buffer_size));
	if (ret < 0)
		return -1;
	if (stream->corked)
		file_open_append(file);
	else
		file_update_io(file);
	return (ssize_t)output.taken;
}

int file_ostream_flush(struct ostream_private *stream,
		       enum ostream_flush_mode mode ATTR_UNUSED)
{
	struct file_ostream *file = file_ostream(stream);
	struct file_output none = { 0 };

	if (byte_queue_used(&file->buffer) > 0 &&
	    file_write_output(file, &none) < 0)
		return -1;
	byte_queue_relax(&file->buffer);
	file_update_io(file);
	return byte_queue_used(&file->buffer) == 0 ? 1 : 0;
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
 * Random access
 */

static int file_ostream_seek(struct ostream_private *stream, uoff_t offset)
{
	struct file_ostream *file = file_ostream(stream);

	if (!file->regular || offset > INT64_MAX)
		return o_stream_fail(stream, file->regular ? EINVAL : ESPIPE,
				     "%s: cannot seek to offset %llu: %s",
				     o_stream_get_name(&stream->ostream),
				     (unsigned long long)offset,
				     file->regular ? "it is too large" :
						     NO_SEEKING);
	if (file_ostream_flush(stream, OSTREAM_PUSH) < 0)
		return -1;
	file->file_offset = offset;
	stream->ostream.offset = offset;
	return 1;
}

int file_ostream_pwrite_all(struct file_ostream *file,
			    const unsigned char *data, size_t size,
			    uoff_t offset)
{
	uoff_t old_offset = file->file_offset;
	struct iovec iov;
	ssize_t ret = 0;

	file->file_offset = offset;
	while (size > 0) {
		iov.iov_base = (void *)(uintptr_t)data;
		iov.iov_len = I_MIN(size, MAX_WRITE_SIZE);
		ret = file_write(file, &iov, 1);
		if (ret < 0)
			break;
		data += ret;
		size -= (size_t)ret;
	}
	file->file_offset = old_offset;
	return ret < 0 ? -1 : 0;
}

/* The part before the buffered range and the part behind it are written, the
   part within is changed in the buffer. */
static int file_ostream_write_at(struct ostream_private *stream,
				 const void *_data, size_t size, uoff_t offset)
{
	struct file_ostream *file = file_ostream(stream);
	const unsigned char *data = _data;
	uoff_t start = file->file_offset;
	size_t used = byte_queue_used(&file->buffer), part;

	if (!file->regular || offset > INT64_MAX - size)
		return o_stream_fail(stream, file->regular ? EINVAL : ESPIPE,
				     "%s: cannot write at offset %llu: %s",
				     o_stream_get_name(&stream->ostream),
				     (unsigned long long)offset,
				     file->regular ? "it is too large" :
						     NO_SEEKING);
	if (used > 0 && offset < start) {
		part = (size_t)I_MIN(start - offset, (uoff_t)size);
		if (file_ostream_pwrite_all(file, data, part, offset) < 0)
			return -1;
		data += part;
		size -= part;
		offset += part;
	}
	if (size > 0 && offset >= start && offset - start < used) {
		part = I_MIN(used - (size_t)(offset - start), size);
		memcpy(file->buffer.data + file->buffer.start +
			       (size_t)(offset - start),
		       data, part);
		data += part;
		size -= part;
		offset += part;
	}
	return size == 0 ? 0 :
			   file_ostream_pwrite_all(file, data, size, offset);
}

/*
 * Life cycle
 */

static void file_ostream_cork(struct ostream_private *stream, bool set)
{
	struct file_ostream *file = file_ostream(stream);
	int value = set ? 1 : 0;

	if (file->tcp &&
	    setsockopt(stream->fd, IPPROTO_TCP, TCP_CORK, &value,
		       sizeof(value)) < 0)
		file->tcp = false;
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

	io_remove(&file->io);
	byte_queue_free(&file->buffer);
	/* an error that only close() tells is a write error, too */
	if (file->autoclose && file_ostream_close_fd(file) < 0)
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

struct ostream *file_ostream_init(struct file_ostream *file, int fd,
				  uoff_t offset, size_t max_buffer_size)
{
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
	return o_stream_create(&file->ostream, NULL, fd);
}

struct ostream *o_stream_create_fd(int fd, size_t max_buffer_size)
{
	return file_ostream_init(i_new(struct file_ostream, 1), fd, UOFF_T_MAX,
				 max_buffer_size);
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

	open_flags |= (flags & OSTREAM_CREATE_FILE_FLAG_APPEND) == 0 ? O_TRUNC :
								       O_APPEND;
	fd = file_open(AT_FDCWD, path, open_flags, mode);
	if (fd < 0)
		return o_stream_create_error_str(errno, "open(%s) failed: %s",
						 path, strerror(errno));
	stream = o_stream_create_fd_file_autoclose(&fd, offset);
	o_stream_set_name(stream, path);
	if ((flags & OSTREAM_CREATE_FILE_FLAG_APPEND) != 0)
		file_ostream(stream->real_stream)->regular = false;
	return stream;
}
