/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_OSTREAM_FILE_PRIVATE_H
#define BOBBIN_OSTREAM_FILE_PRIVATE_H

/* The stream over a file descriptor, for classes that are built on it. */

#include "byte-queue.h"
#include "iostream.h"
#include "ostream-private.h"

#include <sys/uio.h>

struct file_ostream {
	struct ostream_private ostream;
	struct io *io; /* waits for the fd to be writable */
	struct byte_queue buffer;
	uoff_t file_offset; /* where buffer goes, in a regular file */
	/* One system call: bytes written, or -1 with errno. Default:
	   file_ostream_write(). */
	ssize_t (*write)(struct file_ostream *file, const struct iovec *iov,
			 unsigned int count);

	struct iostream_fd *fd_ref; /* the fd, where it is shared; or NULL */
	bool regular:1;             /* written by pwrite() at file_offset */
	bool socket:1;
	bool tcp:1; /* until TCP_CORK was refused */
	bool autoclose:1;
	bool flush_pending:1;
};

/* Sets everything up for fd (-1: a stream that is about to fail), with the
   methods of a file stream where the class has set none of its own. Offset
   UOFF_T_MAX: a regular file goes on where the fd stands. */
struct ostream *file_ostream_init(struct file_ostream *file, int fd,
				  uoff_t offset, size_t max_buffer_size);

/* The methods, for classes that add to them. */
int file_ostream_flush(struct ostream_private *stream,
		       enum ostream_flush_mode mode);
void file_ostream_close(struct iostream_private *stream, bool close_parent);
enum ostream_send_istream_result
file_ostream_send_istream(struct ostream_private *stream,
			  struct istream *instream);
/* Writes all of it into a regular file, not moving its offset; 0 or -1. */
int file_ostream_pwrite_all(struct file_ostream *file,
			    const unsigned char *data, size_t size,
			    uoff_t offset);
ssize_t file_ostream_write(struct file_ostream *file, const struct iovec *iov,
			   unsigned int count);
/* Waits until the fd takes more; false where poll() fails. */
bool file_ostream_wait(const struct file_ostream *file);
/* Closes the fd now; -1 with stream_errno where that reports an error. */
int file_ostream_close_fd(struct file_ostream *file);

#endif
