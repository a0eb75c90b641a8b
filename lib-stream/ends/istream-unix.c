/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A file stream over a UNIX socket that can receive descriptors: one each time that
   it was asked for. One that comes when nobody asked is closed by the kernel, as the
   data is read without it. */

#include "config.h"
#include "ends/istream-file-private.h"
#include "file-ops.h"

#include <string.h>
#include <sys/socket.h>

struct unix_istream {
	struct file_istream file;
	int read_fd; /* received and not taken yet, or -1 */
	bool want_fd;
};

/* Keeps the first descriptor of a message, and closes what else it brought. */
static void take_fds(struct unix_istream *ustream, struct msghdr *msg)
{
	struct cmsghdr *header;
	size_t size, pos;
	int fd;

	for (header = CMSG_FIRSTHDR(msg); header != NULL;
	     header = CMSG_NXTHDR(msg, header)) {
		if (header->cmsg_level != SOL_SOCKET ||
		    header->cmsg_type != SCM_RIGHTS)
			continue;
		size = header->cmsg_len - CMSG_LEN(0);
		for (pos = 0; pos + sizeof(fd) <= size; pos += sizeof(fd)) {
			memcpy(&fd, CMSG_DATA(header) + pos, sizeof(fd));
			if (ustream->read_fd == -1)
				ustream->read_fd = fd;
			else
				(void)file_close(&fd);
		}
	}
}

static ssize_t unix_read(struct file_istream *file, void *data, size_t size)
{
	struct unix_istream *ustream =
		container_of(file, struct unix_istream, file);
	struct iovec iov = { data, size };
	union {
		struct cmsghdr header;
		/* who has SO_PASSCRED on gets the credentials first */
		char space[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg;
	ssize_t ret;

	if (!ustream->want_fd)
		return file_read(file->istream.fd, data, size);
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	/* the padding behind it would have room for a second one */
	msg.msg_controllen = sizeof(control);
	ret = file_recvmsg(file->istream.fd, &msg, MSG_CMSG_CLOEXEC);
	if (ret >= 0)
		take_fds(ustream, &msg);
	if (ustream->read_fd != -1)
		ustream->want_fd = false;
	return ret;
}

static void i_stream_unix_close(struct iostream_private *stream,
				bool close_parent)
{
	struct unix_istream *ustream = container_of(stream, struct unix_istream,
						    file.istream.iostream);

	(void)file_close(&ustream->read_fd);
	file_istream_close(stream, close_parent);
}

struct istream *i_stream_create_unix(int fd, size_t max_buffer_size)
{
	struct unix_istream *ustream = i_new(struct unix_istream, 1);
	struct istream *stream;

	ustream->read_fd = -1;
	ustream->file.read = unix_read;
	ustream->file.istream.iostream.close = i_stream_unix_close;
	stream = file_istream_init(&ustream->file, fd, max_buffer_size);
	/* who reads the fd past the stream would lose what comes along */
	stream->readable_fd = false;
	return stream;
}

static struct unix_istream *unix_istream(struct istream *stream)
{
	i_assert(stream->real_stream->iostream.close == i_stream_unix_close);
	return container_of(stream->real_stream, struct unix_istream,
			    file.istream);
}

void i_stream_unix_set_read_fd(struct istream *input)
{
	struct unix_istream *ustream = unix_istream(input);

	i_assert(ustream->read_fd == -1);
	ustream->want_fd = true;
}

void i_stream_unix_unset_read_fd(struct istream *input)
{
	unix_istream(input)->want_fd = false;
}

int i_stream_unix_get_read_fd(struct istream *input)
{
	struct unix_istream *ustream = unix_istream(input);
	int fd = ustream->read_fd;

	ustream->read_fd = -1;
	return fd;
}
