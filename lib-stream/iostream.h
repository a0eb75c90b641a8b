/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOSTREAM_H
#define BOBBIN_IOSTREAM_H

/* What an input and an output stream have together: a connection. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct istream;
struct ostream;

/* An fd that several streams have, and that is closed once, with the last of them. */
struct iostream_fd {
	int refcount;
	int fd;
};

/* Makes the fd a shared one, with one reference: the caller's. */
struct iostream_fd *iostream_fd_init(int fd);
/* Takes one more reference, to be dropped by iostream_fd_unref(). */
void iostream_fd_ref(struct iostream_fd *ref);
/* Drops a reference and sets the pointer to NULL; NULL is allowed. True while there
   are others; else the fd is closed. */
bool iostream_fd_unref(struct iostream_fd **ref);

/* As i_stream_create_fd() and o_stream_create_fd() of the shared fd, on which they
   take a reference until they are closed. */
struct istream *i_stream_create_fd_ref_autoclose(struct iostream_fd *ref,
						 size_t max_buffer_size);
struct ostream *o_stream_create_fd_ref_autoclose(struct iostream_fd *ref,
						 size_t max_buffer_size);
/* Both over one fd, which is closed when both of them are; *fd is set to -1. */
void io_stream_create_fd_autoclose(int *fd, size_t max_in_buffer_size,
				   size_t max_out_buffer_size,
				   struct istream **input_r,
				   struct ostream **output_r);

/* Why a connection ended: "Connection closed", with ": ERROR" where one of the two
   failed otherwise than by EPIPE, the input before the output. Either may be NULL.
   Valid until it is asked for again or the stream is freed. */
const char *io_stream_get_disconnect_reason(struct istream *input,
					    struct ostream *output);

BOBBIN_END_DECLS

#endif
