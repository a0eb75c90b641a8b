/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOSTREAM_PRIVATE_H
#define BOBBIN_IOSTREAM_PRIVATE_H

/* What input and output streams have in common: references, a name, an error
   text, destroy callbacks. For implementers of streams. */

#include "types.h"
#include "ioloop.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"

#include <sys/time.h>

/* More streams on top of each other are refused (ELOOP), so that a chain's
   calls always fit the stack. */
#define IOSTREAM_MAX_DEPTH 256

/* The usual size of a buffer between a stream and the system. */
#define IO_BLOCK_SIZE 65536

struct iostream_destroy_callback;

struct iostream_private {
	int refcount;
	unsigned int depth; /* 1 for an end, parent's + 1 for a filter */
	char *name;
	char *error;
	char *disconnect_reason; /* what get_disconnect_reason() last said */
	struct ioloop *ioloop;   /* NULL: the thread's current one */

	/* Releases what the class holds; called once, before destroy. The
	   core has flushed an output stream already. */
	void (*close)(struct iostream_private *stream, bool close_parent);
	/* Frees what the class holds; the core frees the struct itself (which
	   must have been allocated by i_calloc() or try_calloc()) and drops
	   the parent. */
	void (*destroy)(struct iostream_private *stream);
	void (*set_max_buffer_size)(struct iostream_private *stream,
				    size_t max_size);

	struct iostream_destroy_callback *destroy_callbacks;
};

struct iostream_fd;

/* Sets the text that get_error() gives; the errno is set by the caller. */
void io_stream_set_verror(struct iostream_private *stream, const char *fmt,
			  va_list args) ATTR_FORMAT(2, 0);
/* "Connection closed", with the error of a stream that failed otherwise than by
   EPIPE; valid until it is asked for again or the stream is freed. */
const char *io_stream_disconnect_reason(struct iostream_private *stream,
					int stream_errno, const char *error);
void io_stream_set_name(struct iostream_private *stream, const char *name);
/* The name of a stream that was given nothing but an fd. */
void io_stream_set_fd_name(struct iostream_private *stream, int fd);
void io_stream_add_destroy_callback(struct iostream_private *stream,
				    void (*callback)(void *), void *context);
void io_stream_remove_destroy_callback(struct iostream_private *stream,
				       void (*callback)(void *));
/* As iostream_fd_unref(): 0, or -1 with errno where close() reports an error. */
int iostream_fd_release(struct iostream_fd **ref);
/* Calls the destroy callbacks, and frees name, error and callbacks. */
void io_stream_free(struct iostream_private *stream);
/* The loop that the stream was switched to, or the thread's current one. */
struct ioloop *io_stream_get_ioloop(const struct iostream_private *stream);
/* The wall clock, coarse. */
void io_stream_get_time(struct timeval *tv_r);
/* a + b, at most SIZE_MAX. */
size_t size_add_saturate(size_t a, size_t b) ATTR_PURE;

#endif
