/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a file stream writes to its descriptor. A regular file is written with
   pwrite() at an offset of the stream's own, or anywhere. */

#include "config.h"
#include "ends/ostream-file-private.h"
#include "file-ops.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Vectors per system call; more would be copied onto a large stack. */
#define MAX_VECTORS 64
/* A write larger than this is never asked for at once: Linux takes less than
   2 GiB. */
#define MAX_WRITE_SIZE ((size_t)1 << 30)

#define NO_SEEKING "it is no regular file, or is only appended to"

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

int file_ostream_write_failed(struct file_ostream *file, int error)
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
			return file_ostream_write_failed(file, ENOSPC);
		if (errno != EAGAIN && errno != EWOULDBLOCK)
			return file_ostream_write_failed(file, errno);
		if (!file->ostream.ostream.blocking)
			return 0;
		if (!file_ostream_wait(file))
			return file_ostream_write_failed(file, errno);
	}
}

void file_output_advance(struct file_output *output, size_t size)
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

int file_ostream_write_output(struct file_ostream *file,
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
		file_output_advance(output, size - from_buffer);
	}
	return 0;
}

/*
 * Random access
 */

int file_ostream_seek(struct ostream_private *stream, uoff_t offset)
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
int file_ostream_write_at(struct ostream_private *stream, const void *_data,
			  size_t size, uoff_t offset)
{
	struct file_ostream *file = file_ostream(stream);
	const unsigned char *data = _data;
	uoff_t start = file->file_offset;
	size_t used = byte_queue_used(&file->buffer), part;

	if (!file->regular || offset > (uoff_t)INT64_MAX - size)
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
