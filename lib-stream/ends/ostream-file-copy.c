/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Sending bytes from a file or a pipe into a file, a socket or a pipe without taking
   them through this process; and within one file, where the places may overlap. */

#include "config.h"
#include "ends/ostream-file-private.h"
#include "file-ops.h"
#include "istream-private.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

/* Less goes through the buffer: a corked stream shall not write it at once. */
#define KERNEL_COPY_MIN ((uoff_t)IO_BLOCK_SIZE)
/* What one call is asked for at most: Linux takes less than 2 GiB. */
#define KERNEL_COPY_MAX ((uoff_t)1 << 30)

/*
 * By the kernel
 */

/* A copy to where this stream stands: what the call gave, or -1 and errno. */
typedef ssize_t kernel_call(struct file_ostream *file, struct istream *instream,
			    size_t size);

static ssize_t call_copy_file_range(struct file_ostream *file,
				    struct istream *instream, size_t size)
{
	return file_copy_file_range(
		i_stream_get_fd(instream),
		(off_t)i_stream_get_absolute_offset(instream), file->ostream.fd,
		(off_t)file->file_offset, size);
}

static ssize_t call_sendfile(struct file_ostream *file,
			     struct istream *instream, size_t size)
{
	return file_sendfile(file->ostream.fd, i_stream_get_fd(instream),
			     (off_t)i_stream_get_absolute_offset(instream),
			     size);
}

static ssize_t call_splice(struct file_ostream *file, struct istream *instream,
			   size_t size)
{
	bool wait = instream->blocking && file->ostream.ostream.blocking;
	off_t offset = (off_t)file->file_offset;

	return file_splice(i_stream_get_fd(instream), file->ostream.fd,
			   file->regular ? &offset : NULL, size,
			   wait ? SPLICE_F_MOVE :
				  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

/* These know no MSG_NOSIGNAL: a SIGPIPE of their own is taken back. */
static ssize_t call_nosignal(kernel_call *call, struct file_ostream *file,
			     struct istream *instream, size_t size)
{
	static const struct timespec at_once = { 0, 0 };
	sigset_t sigpipe, pending, old;
	ssize_t ret;
	int error;

	if (file->regular)
		return call(file, instream, size);
	(void)sigemptyset(&sigpipe);
	(void)sigaddset(&sigpipe, SIGPIPE);
	(void)sigpending(&pending);
	if (pthread_sigmask(SIG_BLOCK, &sigpipe, &old) != 0)
		return call(file, instream, size);
	ret = call(file, instream, size);
	error = errno;
	/* one that came after the first bytes were sent is there, although the
	   call succeeds */
	if (ret < (ssize_t)size && sigismember(&pending, SIGPIPE) == 0)
		(void)sigtimedwait(&sigpipe, NULL, &at_once);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	errno = error;
	return ret;
}

/* One call; on success the output has moved, and the input has to. */
static ssize_t kernel_copy_once(kernel_call *call, struct file_ostream *file,
				struct istream *instream, uoff_t size)
{
	ssize_t ret = call_nosignal(call, file, instream,
				    (size_t)I_MIN(size, KERNEL_COPY_MAX));

	if (ret > 0) {
		if (file->regular)
			file->file_offset += (uoff_t)ret;
		file->ostream.ostream.offset += (uoff_t)ret;
	}
	return ret;
}

/*
 * Out of a file
 */

/* How many bytes the kernel could take from the input's file, 0 if it shall not. */
static uoff_t kernel_copy_size(struct istream *instream)
{
	const struct stat *st;
	uoff_t size;

	if (!instream->readable_fd || i_stream_stat(instream, true, &st) < 0 ||
	    !S_ISREG(st->st_mode) ||
	    i_stream_get_size(instream, true, &size) <= 0)
		return 0;
	size -= I_MIN(size, instream->v_offset);
	return size < KERNEL_COPY_MIN ? 0 : size;
}

/* Copies what the kernel does. Whatever stops it (no such call between these two,
   a full disk, an input that has become shorter) is met once more by the ordinary
   copy, which knows whose error it is. True where the output takes no more now. */
static bool kernel_copy(struct file_ostream *file, struct istream *instream)
{
	kernel_call *call = file->regular ? call_copy_file_range :
					    call_sendfile;
	uoff_t size = kernel_copy_size(instream);
	ssize_t ret;

	if (size == 0 || file_ostream_flush(&file->ostream, OSTREAM_PUSH) <= 0)
		return false;
	while (size > 0) {
		ret = kernel_copy_once(call, file, instream, size);
		if (ret < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
			if (!file->ostream.ostream.blocking)
				return true;
			if (file_ostream_wait(file))
				continue;
		}
		if (ret <= 0)
			return false;
		i_stream_skip(instream, (uoff_t)ret);
		size -= (uoff_t)ret;
	}
	return false;
}

/*
 * Between pipes, and what has one at its other end
 */

/* How many bytes could be spliced, 0 if they shall not. */
static uoff_t splice_size(const struct file_ostream *file,
			  struct istream *instream)
{
	const struct stat *in_st;
	struct stat out_st;
	uoff_t size;

	if (!instream->readable_fd ||
	    i_stream_stat(instream, false, &in_st) < 0 ||
	    S_ISREG(in_st->st_mode))
		return 0;
	if (!S_ISFIFO(in_st->st_mode) &&
	    (file_ops()->fstat(file->ostream.fd, &out_st) < 0 ||
	     !S_ISFIFO(out_st.st_mode)))
		return 0;
	if (i_stream_get_size(instream, false, &size) <= 0)
		return UOFF_T_MAX;
	size -= I_MIN(size, instream->v_offset);
	return size < KERNEL_COPY_MIN ? 0 : size;
}

/* As o_stream_send(); the input is advanced
   by what was accepted, before an error, too. */
static ssize_t send_on(struct ostream *output, struct istream *instream,
		       const void *data, size_t size)
{
	uoff_t before = output->offset;
	ssize_t sent = o_stream_send(output, data, size);

	i_stream_skip(instream, output->offset - before);
	return sent;
}

/* Sends what was read from the fd already. */
static bool send_buffered(struct ostream *output, struct istream *instream)
{
	const unsigned char *data;
	size_t size;
	ssize_t sent;

	while (!i_stream_is_at_fd(instream)) {
		if (i_stream_read_more(instream, &data, &size) <= 0)
			return false;
		sent = send_on(output, instream, data, size);
		if (sent < 0 || (size_t)sent < size)
			return false;
	}
	return true;
}

/* As kernel_copy(); but who has to be waited for, and where the end is, the ordinary
   copy finds out. */
static void kernel_splice(struct file_ostream *file, struct istream *instream)
{
	uoff_t size = splice_size(file, instream), start = instream->v_offset;
	ssize_t ret;

	if (size == 0 || !send_buffered(&file->ostream.ostream, instream) ||
	    file_ostream_flush(&file->ostream, OSTREAM_PUSH) <= 0)
		return;
	if (size != UOFF_T_MAX)
		size -= I_MIN(size, instream->v_offset - start);
	while (size > 0 &&
	       (ret = kernel_copy_once(call_splice, file, instream, size)) >
		       0) {
		i_stream_skip_fd(instream, (uoff_t)ret);
		if (size != UOFF_T_MAX)
			size -= (uoff_t)ret;
	}
}

/*
 * Within one file
 */

/* Whether the input shows bytes of this very file. */
static bool is_same_file(const struct file_ostream *file,
			 struct istream *instream)
{
	const struct stat *in_st;
	struct stat out_st;

	return instream->readable_fd &&
		i_stream_stat(instream, true, &in_st) == 0 &&
		file_ops()->fstat(file->ostream.fd, &out_st) == 0 &&
		in_st->st_dev == out_st.st_dev &&
		in_st->st_ino == out_st.st_ino;
}

/* Moves `size` bytes within the file towards its end, the last block first, so
   that nothing is overwritten before it was read. */
static int copy_backwards(struct file_ostream *file, int fd, uoff_t in_offset,
			  uoff_t size)
{
	unsigned char block[8192];
	size_t part, have;
	ssize_t ret;

	while (size > 0) {
		part = (size_t)I_MIN(size, (uoff_t)sizeof(block));
		size -= part;
		for (have = 0; have < part; have += (size_t)ret) {
			ret = file_pread(fd, block + have, part - have,
					 (off_t)(in_offset + size + have));
			if (ret <= 0)
				return o_stream_fail(
					&file->ostream, ret < 0 ? errno : EPIPE,
					"%s: reading it back failed",
					o_stream_get_name(
						&file->ostream.ostream));
		}
		if (file_ostream_pwrite_all(file, block, part,
					    file->file_offset + size) < 0)
			return -1;
	}
	return 0;
}

/* Not more than there is now: what is written behind it would be read as well, and the
   file never end. */
static enum ostream_send_istream_result
copy_once(struct file_ostream *file, struct istream *instream, uoff_t size)
{
	const unsigned char *data;
	size_t have;
	ssize_t sent;

	while (size > 0) {
		have = (size_t)I_MIN(size, (uoff_t)IO_BLOCK_SIZE);
		if (i_stream_read_limited(instream, &data, &have, have) <= 0)
			return instream->stream_errno != 0 ?
				OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT :
				OSTREAM_SEND_ISTREAM_RESULT_FINISHED;
		sent = send_on(&file->ostream.ostream, instream, data, have);
		if (sent < 0)
			return OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT;
		size -= (uoff_t)sent;
	}
	return OSTREAM_SEND_ISTREAM_RESULT_FINISHED;
}

/* The same to a place that the file's end does not move. */
static enum ostream_send_istream_result copy_to_place(struct file_ostream *file,
						      struct istream *instream,
						      uoff_t in_offset,
						      uoff_t size)
{
	if (copy_backwards(file, i_stream_get_fd(instream), in_offset, size) <
	    0)
		return OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT;
	file->file_offset += size;
	file->ostream.ostream.offset += size;
	i_stream_skip(instream, size);
	return OSTREAM_SEND_ISTREAM_RESULT_FINISHED;
}

static enum ostream_send_istream_result
copy_within_file(struct file_ostream *file, struct istream *instream)
{
	enum ostream_send_istream_result result;
	uoff_t in_offset, size;

	if (file_ostream_flush(&file->ostream, OSTREAM_PUSH) < 0)
		return OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT;
	in_offset = i_stream_get_absolute_offset(instream);
	if ((file->regular && in_offset >= file->file_offset) ||
	    i_stream_get_size(instream, true, &size) <= 0)
		return o_stream_copy_istream(&file->ostream.ostream, instream);

	size -= I_MIN(size, instream->v_offset);
	result = file->regular ?
		copy_to_place(file, instream, in_offset, size) :
		copy_once(file, instream, size);
	/* as after every other way to the end, though the file has more now */
	if (result == OSTREAM_SEND_ISTREAM_RESULT_FINISHED)
		instream->eof = true;
	return result;
}

enum ostream_send_istream_result
file_ostream_send_istream(struct ostream_private *stream,
			  struct istream *instream)
{
	struct file_ostream *file =
		container_of(stream, struct file_ostream, ostream);

	if (stream->finished)
		/* which panics, if there is anything to send */
		return o_stream_copy_istream(&stream->ostream, instream);
	if (is_same_file(file, instream))
		return copy_within_file(file, instream);
	if (kernel_copy(file, instream)) {
		o_stream_set_flush_pending(&stream->ostream, true);
		return OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT;
	}
	kernel_splice(file, instream);
	return o_stream_copy_istream(&stream->ostream, instream);
}
