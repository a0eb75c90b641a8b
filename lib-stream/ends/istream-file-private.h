/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_ISTREAM_FILE_PRIVATE_H
#define BOBBIN_ISTREAM_FILE_PRIVATE_H

/* The stream that reads a file descriptor, for classes that are built on it. Not
   installed. */

#include "iostream.h"
#include "istream-private.h"

struct file_istream {
	struct istream_private istream;
	char *path; /* to be opened at the first use */
	/* What is no regular file is read by this: as read(). */
	ssize_t (*read)(struct file_istream *file, void *data, size_t size);
	struct iostream_fd *fd_ref; /* the fd, where it is shared; or NULL */
	bool regular:1;
	bool autoclose:1;
	bool moves_fd:1; /* its own offset, at the end: others go on there */
};

/* Sets everything up for fd (-1: a path that is still to be opened), with the
   methods of a file stream where the class has set none of its own. */
struct istream *file_istream_init(struct file_istream *file, int fd,
				  size_t max_buffer_size);
/* The methods, for classes that add to them. */
void file_istream_close(struct iostream_private *stream, bool close_parent);
void file_istream_destroy(struct iostream_private *stream);

#endif
