/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A file stream over a UNIX socket that can send descriptors. One waits at a time,
   for the first byte that is sent after it was given: what is buffered by then goes
   before it, so that the reader gets the two together. */

#include "config.h"
#include "ends/ostream-file-private.h"
#include "file-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

struct unix_ostream {
	struct file_ostream file;
	int write_fd;        /* a duplicate of ours, or -1 */
	size_t bytes_before; /* of what is buffered */
};

static struct unix_ostream *unix_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct unix_ostream, file.ostream);
}

static ssize_t write_with_fd(struct unix_ostream *ustream,
			     const struct iovec *iov, unsigned int count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg;

	memset(&control, 0, sizeof(control));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &ustream->write_fd, sizeof(int));
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = (struct iovec *)(uintptr_t)iov;
	msg.msg_iovlen = count;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	return file_sendmsg(ustream->file.ostream.fd, &msg, MSG_NOSIGNAL);
}

static ssize_t unix_write(struct file_ostream *file, const struct iovec *iov,
			  unsigned int count)
{
	struct unix_ostream *ustream =
		container_of(file, struct unix_ostream, file);
	struct iovec before;
	ssize_t ret;

	if (ustream->write_fd == -1)
		return file_ostream_write(file, iov, count);
	if (ustream->bytes_before > 0) {
		/* they are buffered, and the buffer is the first vector */
		before = iov[0];
		before.iov_len = I_MIN(before.iov_len, ustream->bytes_before);
		ret = file_ostream_write(file, &before, 1);
		if (ret > 0)
			ustream->bytes_before -= (size_t)ret;
		return ret;
	}
	ret = write_with_fd(ustream, iov, count);
	/* it belongs to the first byte */
	if (ret > 0)
		(void)file_close(&ustream->write_fd);
	return ret;
}

static int o_stream_unix_flush(struct ostream_private *stream,
			       enum ostream_flush_mode mode)
{
	int ret = file_ostream_flush(stream, mode);

	if (ret > 0 && mode == OSTREAM_FINISH &&
	    unix_ostream(stream)->write_fd != -1)
		return o_stream_fail(stream, EPIPE,
				     "%s: finished with a descriptor that no "
				     "data came after",
				     o_stream_get_name(&stream->ostream));
	return ret;
}

/* The kernel's copy would not take the descriptor along. */
static enum ostream_send_istream_result
o_stream_unix_send_istream(struct ostream_private *stream,
			   struct istream *instream)
{
	if (unix_ostream(stream)->write_fd != -1)
		return o_stream_copy_istream(&stream->ostream, instream);
	return file_ostream_send_istream(stream, instream);
}

static void o_stream_unix_close(struct iostream_private *stream,
				bool close_parent)
{
	struct unix_ostream *ustream = container_of(stream, struct unix_ostream,
						    file.ostream.iostream);
	struct ostream_private *s = &ustream->file.ostream;

	if (ustream->write_fd != -1) {
		(void)file_close(&ustream->write_fd);
		if (s->ostream.stream_errno == 0) {
			(void)o_stream_fail(s, EPIPE,
					    "%s: closed with a descriptor that "
					    "was not sent",
					    o_stream_get_name(&s->ostream));
			/* as for bytes: with a destroy nobody looks */
			if (!close_parent)
				s->last_errors_not_checked = true;
		}
	}
	file_ostream_close(stream, close_parent);
}

struct ostream *o_stream_create_unix(int fd, size_t max_buffer_size)
{
	struct unix_ostream *ustream = i_new(struct unix_ostream, 1);
	struct ostream *stream;

	ustream->write_fd = -1;
	ustream->file.write = unix_write;
	ustream->file.ostream.iostream.close = o_stream_unix_close;
	ustream->file.ostream.flush = o_stream_unix_flush;
	stream = file_ostream_init(&ustream->file, fd, UOFF_T_MAX,
				   max_buffer_size);
	ustream->file.ostream.send_istream = o_stream_unix_send_istream;
	return stream;
}

bool o_stream_unix_write_fd(struct ostream *stream, int fd)
{
	struct unix_ostream *ustream = unix_ostream(stream->real_stream);
	struct ostream_private *s = &ustream->file.ostream;

	i_assert(s->flush == o_stream_unix_flush);
	if (stream->closed || stream->stream_errno != 0 ||
	    ustream->write_fd != -1)
		return false;
	if (s->finished)
		i_panic("output stream %s: write after finish",
			o_stream_get_name(stream));
	ustream->write_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (ustream->write_fd == -1) {
		(void)o_stream_fail(s, errno,
				    "%s: descriptor %d cannot be duplicated to "
				    "be sent: %s",
				    o_stream_get_name(stream), fd,
				    strerror(errno));
		return false;
	}
	ustream->bytes_before = byte_queue_used(&ustream->file.buffer);
	return true;
}
