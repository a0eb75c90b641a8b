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
	bool moves_fd:1;            /* its own offset: others go on there */
	bool socket:1;
	bool tcp:1; /* until TCP_CORK was refused */
	bool autoclose:1;
	bool flush_pending:1;
};

static inline struct file_ostream *file_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct file_ostream, ostream);
}

/* What is still to be written: the buffer, then the caller's vectors from
   (index, skip) on. */
struct file_output {
	const struct const_iovec *iov;
	unsigned int count, index;
	size_t skip;
	size_t taken; /* of the caller's bytes */
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
ssize_t file_ostream_write(struct file_ostream *file, const struct iovec *iov,
			   unsigned int count);
int file_ostream_seek(struct ostream_private *stream, uoff_t offset);
int file_ostream_write_at(struct ostream_private *stream, const void *data,
			  size_t size, uoff_t offset);

/* Writes the buffer and then the caller's vectors, as far as the fd takes them
   (all, if it is blocking). 0, or -1 with stream_errno. */
int file_ostream_write_output(struct file_ostream *file,
			      struct file_output *output);
/* So many of the caller's bytes are done with. */
void file_output_advance(struct file_output *output, size_t size);
/* Writes all of it into a regular file, not moving its offset; 0 or -1. */
int file_ostream_pwrite_all(struct file_ostream *file,
			    const unsigned char *data, size_t size,
			    uoff_t offset);
/* The stream's error for a write that failed with this errno; -1. */
int file_ostream_write_failed(struct file_ostream *file, int error);
/* Waits until the fd takes more; false where poll() fails. */
bool file_ostream_wait(const struct file_ostream *file);
/* Closes the fd now; -1 with stream_errno where that reports an error. */
int file_ostream_close_fd(struct file_ostream *file);

#endif
