/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_ISTREAM_H
#define BOBBIN_ISTREAM_H

/* Input streams: read more, look at what is there, skip what was used. Names
   and behaviour follow Dovecot's documented API; doc/dovecot-differences.md
   lists what differs.

   A stream belongs to one thread at a time; two threads may use two streams at
   once. A filter holds a reference on its parent, the stream it reads. */

#ifdef ISTREAM_H
#error "Dovecot's and Bobbin's istream.h cannot be used in one source file: use them in two, and link both"
#endif

#include "types.h"
#include "buffer.h"
#include "panic.h"
#include "ioloop.h"

#include <sys/stat.h>
#include <sys/time.h>

BOBBIN_BEGIN_DECLS

struct istream_private;

/* The members may be read; only stream_errno may be written (to 0). */
struct istream {
	/* Plain offset of the first byte that is not skipped yet. */
	uoff_t v_offset;
	/* 0, or: ENOENT no such file; EPIPE ended too early, or closed; ESPIPE
	   cannot seek; ENOBUFS a line is too long; EINVAL corrupted; EIO; ...
	   With an error, eof is set too. */
	int stream_errno;

	bool mmaped:1;   /* Dovecot's: never set, nothing is mapped */
	bool blocking:1; /* read never returns 0 */
	bool closed:1;
	bool readable_fd:1; /* the fd gives the same bytes (sendfile) */
	bool seekable:1;    /* seeking backwards works */
	/* The end was read (data may still be buffered), or an error. */
	bool eof:1;

	struct istream_private *real_stream;
};

typedef void istream_callback_t(void *context);

/*
 * Ends
 */

/* Reads from fd, as it is: blocking or not. max_buffer_size bounds what may be
   buffered, in bytes (0: a good size). The fd is not closed. A regular file is read by
   pread() from its beginning, wherever the fd stands, whose own offset is left alone: who
   shares it with others seeks to where it stands before (i_stream_seek()), and lseek()s to
   v_offset behind. */
struct istream *i_stream_create_fd(int fd, size_t max_buffer_size);
/* The same, and the fd becomes the stream's to close; *fd is set to -1. */
struct istream *i_stream_create_fd_autoclose(int *fd, size_t max_buffer_size);
/* Opens the path at the first read. */
struct istream *i_stream_create_file(const char *path, size_t max_buffer_size);
/* As i_stream_create_fd() of a UNIX stream socket, over which descriptors can be
   received, too. */
struct istream *i_stream_create_unix(int fd, size_t max_buffer_size);
/* For such a stream only: the next reads take a descriptor that comes with their
   bytes, until one has come. One that comes at any other time is closed. A descriptor
   that was received must be taken before the next is asked for (else: panic). */
void i_stream_unix_set_read_fd(struct istream *input);
/* Takes the wish back. */
void i_stream_unix_unset_read_fd(struct istream *input);
/* The descriptor that was received, with close-on-exec set, which is the caller's
   from then on; -1: none. One that nobody took is closed with the stream. */
int i_stream_unix_get_read_fd(struct istream *input);
/* The caller's memory, which must outlive the stream. It is all buffered from
   the beginning: the first read is the end. Of a buffer (or string, which is one here)
   it is what is used at this moment. */
struct istream *i_stream_create_from_data(const void *data, size_t size);
#define i_stream_create_from_buffer(buf) \
	i_stream_create_from_data((buf)->data, (buf)->used)
#define i_stream_create_from_string(str) i_stream_create_from_buffer(str)
/* The same of a copy, which is the stream's; without memory for it the first read
   fails with ENOMEM. */
struct istream *i_stream_create_copy_from_data(const void *data, size_t size);
#define i_stream_create_copy_from_buffer(buf) \
	i_stream_create_copy_from_data((buf)->data, (buf)->used)
#define i_stream_create_copy_from_string(str) \
	i_stream_create_copy_from_buffer(str)
/* What a callback produces: it appends to buf, as much as it likes, and returns
   true; the read then gives 0 if it appended nothing. False is the end, after
   what it has appended. */
typedef bool istream_callback_read_t(buffer_t *buf, void *context);
struct istream *
bobbin_i_stream_create_callback(istream_callback_read_t *callback,
				void *context);
#define i_stream_create_callback(callback, context)                            \
	bobbin_i_stream_create_callback((istream_callback_read_t *)(callback), \
					context)
/* For such a stream only. Appends `size` bytes, or a string without its NUL, to what
   is read next, before the callback is asked again: a header, say. */
void i_stream_callback_append(struct istream *input, const void *data,
			      size_t size);
void i_stream_callback_append_str(struct istream *input, const char *str);
/* Where the callback's bytes are until they are read; to be appended to only. */
buffer_t *i_stream_callback_get_buffer(struct istream *input);
/* The end will be this error, behind what was appended; the callback is not asked
   any more. */
void i_stream_callback_set_error(struct istream *input, int stream_errno,
				 const char *error);
/* Fails at the first read with this errno, and text where given. */
struct istream *i_stream_create_error(int stream_errno);
struct istream *i_stream_create_error_str(int stream_errno, const char *fmt,
					  ...) ATTR_FORMAT(2, 3);

/*
 * Names, errors, references
 */

/* For error texts: a path, or what the stream is. Copied. */
void i_stream_set_name(struct istream *stream, const char *name);
/* The nearest name up the chain of parents; "" if there is none. */
const char *i_stream_get_name(struct istream *stream);
/* The fd below, or -1. */
int i_stream_get_fd(struct istream *stream);
/* Gives dest, which has none, the fd of source and its readable_fd. The fd stays
   source's to close. Panics where source has no fd, or dest has one. */
void i_stream_copy_fd(struct istream *dest, struct istream *source);
/* The error as a sentence; "EOF" at a clean end; else "<no error>". Valid
   until the stream is used again. */
const char *i_stream_get_error(struct istream *stream);
/* Why the connection ended: "Connection closed", with ": ERROR" where the stream failed
   otherwise than by EPIPE. Valid until it is asked for again or the stream is freed. */
const char *i_stream_get_disconnect_reason(struct istream *stream);

/* Closes this stream but not its parents, whoever else refers to it, drops the
   caller's reference and sets the pointer to NULL. NULL is allowed. */
void i_stream_destroy(struct istream **stream);
/* Takes one more reference, to be dropped by i_stream_unref(). */
void i_stream_ref(struct istream *stream);
/* Drops a reference and sets the pointer to NULL; NULL is allowed. While others are left
   the stream stays as it is, open too; the last one closes it, but not its parents,
   and frees it. */
void i_stream_unref(struct istream **stream);
/* Adds a callback that is called when the stream is freed, after those that were added
   before it. The stream uses nothing any more then but its parent, which is still there:
   what it was made with may be freed. It is closed, has no data and no descriptor;
   it may be asked for its name, its error and its offset, and must not be kept. */
void bobbin_i_stream_add_destroy_callback(struct istream *stream,
					  istream_callback_t *callback,
					  void *context);
#define i_stream_add_destroy_callback(stream, callback, context) \
	bobbin_i_stream_add_destroy_callback(                    \
		stream, (istream_callback_t *)(callback), context)
/* Takes the first callback back that was added with this function. Panics where there is
   none. */
void bobbin_i_stream_remove_destroy_callback(struct istream *stream,
					     istream_callback_t *callback);
#define i_stream_remove_destroy_callback(stream, callback) \
	bobbin_i_stream_remove_destroy_callback(           \
		stream, (istream_callback_t *)(callback))
/* Closes this stream and its parents: reads give -1 with EPIPE, but what was
   read already stays usable. */
void i_stream_close(struct istream *stream);
/* Drops what is buffered, here and below, so that a changed file is read anew: by a
   decoder from its beginning. Where that cannot be seeked, nothing is dropped, nor what a
   seekable stream has kept. */
void i_stream_sync(struct istream *stream);

/*
 * Reading
 */

/* Reads at least a byte more into the buffer. Returns the number of bytes
   added; 0: none now (non-blocking streams only); -1: end or error (see eof
   and stream_errno); -2: the buffer is full at its maximum. Pointers from
   get_data stay valid while the answer is <= 0. */
ssize_t i_stream_read(struct istream *stream);
/* What is buffered and not skipped: *size_r bytes; NULL where that is nothing. */
const unsigned char *i_stream_get_data(struct istream *stream, size_t *size_r);
/* How many bytes are buffered and not skipped. */
size_t i_stream_get_data_size(struct istream *stream);
/* What i_stream_get_data() gives, to be changed in place: of streams that fill a buffer
   of their own (files, decoders), else NULL and a size of 0. */
unsigned char *i_stream_get_modifiable_data(struct istream *stream,
					    size_t *size_r);
/* Appends to what is buffered, as if it had been read: for a pipe or a socket of
   which something was read already. False, and nothing happens, where the buffer
   may not grow that far or the stream has none of its own. */
bool i_stream_add_data(struct istream *stream, const unsigned char *data,
		       size_t size);
/* Reads until more than threshold bytes are buffered: 1; 0: not now; -1: end
   or error with less (what there is is in *data_r, *size_r); -2: full. */
int i_stream_read_data(struct istream *stream, const unsigned char **data_r,
		       size_t *size_r, size_t threshold);
/* Reads until at least `wanted` (> 0) bytes are buffered; returns as above. */
static inline int i_stream_read_bytes(struct istream *stream,
				      const unsigned char **data_r,
				      size_t *size_r, size_t wanted)
{
	i_assert(wanted > 0);
	return i_stream_read_data(stream, data_r, size_r, wanted - 1);
}
/* Whatever is buffered, reading only where that is nothing. */
static inline int i_stream_read_more(struct istream *stream,
				     const unsigned char **data_r,
				     size_t *size_r)
{
	return i_stream_read_data(stream, data_r, size_r, 0);
}
/* As read_more, but *size_r is at most limit (> 0), and little more than that
   is buffered. */
int i_stream_read_limited(struct istream *stream, const unsigned char **data_r,
			  size_t *size_r, size_t limit);
/* Skips bytes, also ones not read yet; past the end is noticed by the next
   read. */
void i_stream_skip(struct istream *stream, uoff_t count);
/* Goes on reading at this offset. Never fails; the next read tells. A decoder
   seeks backwards by restarting from the beginning, or its nearest index
   point. _mark: the caller may come back to here. */
void i_stream_seek(struct istream *stream, uoff_t v_offset);
void i_stream_seek_mark(struct istream *stream, uoff_t v_offset);

/* The next line of what is buffered, without its LF or CRLF, or NULL where no
   whole line is buffered. The text is valid until the stream is used again;
   it may be written to. */
char *i_stream_next_line(struct istream *stream);
/* The same, reading more; NULL: not now, end, or error (ENOBUFS: the line is
   longer than the buffer may be. Who skips what is buffered, and sets stream_errno to 0,
   goes on behind that, still in that line). */
char *i_stream_read_next_line(struct istream *stream);
/* Whether the last line returned ended with CRLF. */
bool i_stream_last_line_crlf(struct istream *stream);
/* Whether a last line without a line end is returned (default no); a CR without an LF is
   one of its letters. */
void i_stream_set_return_partial_line(struct istream *stream, bool set);

/*
 * State
 */

/* st_size is -1 where the size is not known. Without `exact` it may be an
   estimate (a compressed size, say). 0 or -1. */
int i_stream_stat(struct istream *stream, bool exact, const struct stat **st_r);
/* 1 with *size_r in bytes, 0 unknown, -1 error. With `exact` a decoder may have
   to read through to its end; it returns to where it was. */
int i_stream_get_size(struct istream *stream, bool exact, uoff_t *size_r);
/* False at the end, or after an error, with nothing buffered. */
bool i_stream_have_bytes_left(struct istream *stream);
/* True where nothing is buffered and a read gives the end or an error. Else that read may
   have buffered something: a callback of io_add_istream() that asks for this goes on
   reading. */
bool i_stream_read_eof(struct istream *stream);
/* v_offset, plus where the parents stood when this stream was created. */
uoff_t i_stream_get_absolute_offset(struct istream *stream);

/* How large the stream's own buffer is at first, in bytes (at least 1; 64 KiB where this
   is not called); it grows from there to its maximum. For before the first read: a
   buffer that is there stays. A stream that shows its parent's bytes has none. */
void i_stream_set_init_buffer_size(struct istream *stream, size_t size);
/* Bounds the buffer, in bytes (at least 1), here and in the parents. */
void i_stream_set_max_buffer_size(struct istream *stream, size_t max_size);
/* The largest bound of this stream and its parents. */
size_t i_stream_get_max_buffer_size(struct istream *stream);
/* Dovecot's, for sources that call it: nothing changes here, where a buffer is kept until
   its stream is freed. */
void i_stream_set_persistent_buffers(struct istream *stream, bool set);
/* Sets or clears O_NONBLOCK of the fds below, and `blocking` all the way: of all streams that
   it reads from. */
void i_stream_set_blocking(struct istream *stream, bool blocking);
/* When something was last read (zero if never), by the system's clock and as exact as its
   ticks (some milliseconds). */
void i_stream_get_last_read_time(struct istream *stream, struct timeval *tv_r);
/* Moves what waits for the stream in an event loop, the ios of io_add_istream()
   included, to this loop or to the thread's current one; and so all streams that it reads
   from. */
void i_stream_switch_ioloop_to(struct istream *stream, struct ioloop *ioloop);
void i_stream_switch_ioloop(struct istream *stream);

/*
 * Waiting for input
 */

/* Watches a stream, which it refers to until it is removed by io_remove(): the
   callback is called when the fd below is readable, and once for each
   i_stream_set_input_pending(). A stream without an fd is waited for by the
   latter alone. What the callback leaves buffered calls nobody again: it reads
   until there is no more (0), or says that there is pending input. */
struct io *bobbin_io_add_istream(struct istream *input, io_callback_t *callback,
				 void *context);
struct io *bobbin_io_add_istream_to(struct ioloop *ioloop,
				    struct istream *input,
				    io_callback_t *callback, void *context);
#define io_add_istream(input, callback, context) \
	bobbin_io_add_istream(input, (io_callback_t *)(callback), context)
#define io_add_istream_to(ioloop, input, callback, context)                  \
	bobbin_io_add_istream_to(ioloop, input, (io_callback_t *)(callback), \
				 context)
/* Says that the stream can be read although its fd may not be readable: has every
   io called that waits for it, for a stream on top of it, or for one below it. Where
   nobody waits yet, the next io_add_istream() of these is called. False: nothing
   happens, as in Dovecot. */
void i_stream_set_input_pending(struct istream *stream, bool pending);

BOBBIN_END_DECLS

#include "istream-filters.h"

#endif
