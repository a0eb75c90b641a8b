/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reads a file descriptor, or a file that is opened when it is first needed. A
   regular file is read with pread(), so that several streams may share the fd;
   v_offset 0 is the file's first byte. */

#include "config.h"
#include "ends/istream-file-private.h"
#include "file-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static struct file_istream *file_istream(struct istream_private *stream)
{
	return container_of(stream, struct file_istream, istream);
}

static int file_failed(struct file_istream *file, const char *what, int error)
{
	struct istream *stream = &file->istream.istream;

	return (int)i_stream_fail(&file->istream, error, "%s(%s) failed: %s",
				  what, i_stream_get_name(stream),
				  strerror(error));
}

/* Learns what kind of file the fd is. */
static void file_inspect(struct file_istream *file)
{
	struct istream *stream = &file->istream.istream;
	struct stat st;
	int flags;

	if (file_ops()->fstat(file->istream.fd, &st) == 0)
		file->regular = S_ISREG(st.st_mode);
	stream->readable_fd = true;
	/* of a path more was hoped for before */
	stream->seekable = file->regular;
	if (file->regular) {
		stream->blocking = true;
	} else {
		flags = fcntl(file->istream.fd, F_GETFL);
		stream->blocking = flags < 0 || (flags & O_NONBLOCK) == 0;
	}
}

static int file_need_fd(struct file_istream *file)
{
	int fd;

	if (file->istream.fd != -1)
		return 0;
	fd = file_open(AT_FDCWD, file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY,
		       0);
	if (fd < 0)
		return file_failed(file, "open", errno);
	file->istream.fd = fd;
	file_inspect(file);
	return 0;
}

static ssize_t i_stream_file_read(struct istream_private *stream)
{
	struct file_istream *file = file_istream(stream);
	unsigned char *dest;
	uoff_t offset;
	size_t size;
	ssize_t ret;

	if (file_need_fd(file) < 0)
		return -1;
	dest = i_stream_reserve(stream,
				stream->data_limit > 0 ? stream->data_limit :
							 IO_BLOCK_SIZE,
				&size);
	if (dest == NULL)
		return stream->istream.stream_errno != 0 ? -1 : -2;
	if (stream->data_limit > 0)
		size = I_MIN(size, stream->data_limit);
	if (file->regular) {
		offset =
			stream->istream.v_offset + (stream->pos - stream->skip);
		ret = offset > INT64_MAX ?
			0 :
			file_pread(stream->fd, dest, size, (off_t)offset);
	} else {
		ret = file->read(file, dest, size);
	}
	if (ret > 0) {
		stream->pos += (size_t)ret;
		return ret;
	}
	if (ret == 0) {
		stream->istream.eof = true;
		return -1;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return 0;
	return file_failed(file, "read", errno);
}

static void i_stream_file_seek(struct istream_private *stream, uoff_t v_offset,
			       bool mark ATTR_UNUSED)
{
	struct file_istream *file = file_istream(stream);
	uoff_t end = stream->istream.v_offset + (stream->pos - stream->skip);

	if (file_need_fd(file) < 0)
		return;
	if (file->regular) {
		i_stream_reset_buffer(stream, v_offset);
	} else if (v_offset < stream->istream.v_offset) {
		(void)i_stream_fail(stream, ESPIPE,
				    "%s: cannot seek back to offset %llu: not "
				    "a regular file",
				    i_stream_get_name(&stream->istream),
				    (unsigned long long)v_offset);
	} else {
		stream->lag += v_offset - end;
		stream->skip = stream->pos;
		stream->istream.v_offset = v_offset;
	}
}

static void i_stream_file_sync(struct istream_private *stream)
{
	if (file_istream(stream)->regular)
		i_stream_reset_buffer(stream, stream->istream.v_offset);
}

static int i_stream_file_stat(struct istream_private *stream,
			      bool exact ATTR_UNUSED)
{
	struct file_istream *file = file_istream(stream);

	if (file_need_fd(file) < 0)
		return -1;
	if (file_ops()->fstat(stream->fd, &stream->statbuf) < 0)
		return file_failed(file, "fstat", errno);
	if (!file->regular)
		stream->statbuf.st_size = -1;
	return 0;
}

void file_istream_close(struct iostream_private *stream,
			bool close_parent ATTR_UNUSED)
{
	struct file_istream *file =
		container_of(stream, struct file_istream, istream.iostream);

	if (file->moves_fd && file->regular)
		(void)file_ops()->lseek(file->istream.fd,
					(off_t)file->istream.istream.v_offset,
					SEEK_SET);
	if (file->fd_ref != NULL)
		(void)iostream_fd_unref(&file->fd_ref);
	else if (file->autoclose)
		(void)file_close(&file->istream.fd);
	file->istream.fd = -1;
}

void file_istream_destroy(struct iostream_private *stream)
{
	struct file_istream *file =
		container_of(stream, struct file_istream, istream.iostream);

	i_free(file->path);
}

static ssize_t read_fd(struct file_istream *file, void *data, size_t size)
{
	return file_read(file->istream.fd, data, size);
}

static void file_set_methods(struct file_istream *file)
{
	if (file->istream.iostream.close == NULL)
		file->istream.iostream.close = file_istream_close;
	if (file->istream.iostream.destroy == NULL)
		file->istream.iostream.destroy = file_istream_destroy;
	if (file->read == NULL)
		file->read = read_fd;
	file->istream.read = i_stream_file_read;
	file->istream.seek = i_stream_file_seek;
	file->istream.sync = i_stream_file_sync;
	file->istream.stat = i_stream_file_stat;
}

struct istream *file_istream_init(struct file_istream *file, int fd,
				  size_t max_buffer_size)
{
	struct istream *stream;

	file->istream.max_buffer_size = max_buffer_size == 0 ? IO_BLOCK_SIZE :
							       max_buffer_size;
	file_set_methods(file);
	stream = i_stream_create(&file->istream, NULL, fd);
	if (fd != -1) {
		file_inspect(file);
		io_stream_set_fd_name(&file->istream.iostream, fd);
	}
	return stream;
}

static struct istream *file_create(const char *path, int fd,
				   size_t max_buffer_size, bool autoclose)
{
	struct file_istream *file = i_new(struct file_istream, 1);
	struct istream *stream;

	file->path = i_strdup(path);
	file->autoclose = autoclose;
	stream = file_istream_init(file, fd, max_buffer_size);
	if (fd == -1) {
		/* until it is opened: what a path most likely is */
		stream->seekable = true;
		stream->blocking = true;
		stream->readable_fd = true;
		i_stream_set_name(stream, path);
	}
	return stream;
}

struct istream *i_stream_create_fd(int fd, size_t max_buffer_size)
{
	return file_create(NULL, fd, max_buffer_size, false);
}

struct istream *i_stream_create_fd_autoclose(int *fd, size_t max_buffer_size)
{
	struct istream *stream = file_create(NULL, *fd, max_buffer_size, true);

	*fd = -1;
	return stream;
}

struct istream *i_stream_create_file(const char *path, size_t max_buffer_size)
{
	return file_create(path, -1, max_buffer_size, true);
}
