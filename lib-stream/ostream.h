/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_OSTREAM_H
#define BOBBIN_OSTREAM_H

/* Output streams. The life of one: create, cork, nsend..., uncork, flush, ...,
   finish (and look at the answer), destroy. Names and behaviour follow
   Dovecot's documented API; doc/dovecot-differences.md lists what differs.

   A stream belongs to one thread at a time; two threads may use two streams at
   once. A filter holds a reference on its parent, the stream it writes to. */

#ifdef OSTREAM_H
#error "Dovecot's and Bobbin's ostream.h cannot be used in one source file: use them in two, and link both"
#endif

#include "types.h"
#include "buffer.h"
#include "ioloop.h"

#include <sys/time.h>

BOBBIN_BEGIN_DECLS

struct istream;
struct ostream_private;

enum ostream_send_istream_result {
	/* All of the input was sent. */
	OSTREAM_SEND_ISTREAM_RESULT_FINISHED,
	/* The input is non-blocking and has nothing more now. */
	OSTREAM_SEND_ISTREAM_RESULT_WAIT_INPUT,
	/* The output is full; the flush callback was asked for. */
	OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT,
	/* Reading failed: see the input's stream_errno. */
	OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT,
	/* Writing failed: see the output's stream_errno. */
	OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT
};

enum ostream_create_file_flags {
	/* Append to a file that exists, instead of emptying it: each write goes
	   to where the file ends then, and seek and pwrite are ESPIPE. So it is
	   with every fd below that was opened with O_APPEND. */
	OSTREAM_CREATE_FILE_FLAG_APPEND = 0x01
};

enum ostream_file_atomic_flags {
	/* Fail with EEXIST instead of replacing a file of that name. Where the
	   directory's fsync fails the new name is removed again. */
	OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE = 0x01,
	/* Leave out fdatasync and directory fsync: whole or not at all for
	   other processes, but not after a power cut. */
	OSTREAM_FILE_ATOMIC_FLAG_NO_SYNC = 0x02
};

/* The members may be read; only stream_errno and overflow may be written. */
struct ostream {
	/* Bytes given to this stream and accepted, by a send that then failed, too; not
	   what came out of it. */
	uoff_t offset;
	/* 0, or the errno of the failure that stands. */
	int stream_errno;
	/* Some bytes given to send were neither sent nor buffered. The library
	   sets it and never unsets it. */
	bool overflow:1;
	/* Sends take everything or fail. */
	bool blocking:1;
	bool closed:1;

	struct ostream_private *real_stream;
};

/* Called when more can be written. Returns 1 when done, 0 to be called again
   when the stream is writable, -1 on an error. */
typedef int stream_flush_callback_t(void *context);
typedef void ostream_callback_t(void *context);

/*
 * Ends: streams that are not on top of another stream
 */

/* Writes to fd, as it is: blocking or not. max_buffer_size bounds what is
   buffered when fd takes no more, in bytes; 0 chooses a good size. The fd is
   not closed. Of a regular file a flush and finish leave its own offset behind what was
   written, so that others go on there (another stream, or who has stdout next); who
   writes beside others, in turn with them, wants _blocking. A write to a pipe whose reader
   is gone raises SIGPIPE, as write() does: a program that wants EPIPE ignores that signal;
   for sockets it is not raised. A file that would grow beyond what the process may write
   (RLIMIT_FSIZE), this stream's or one of those below, raises SIGXFSZ, which ends the
   process, and leaves temporary files: a program that wants EFBIG ignores that one. */
struct ostream *o_stream_create_fd(int fd, size_t max_buffer_size);
/* The same, and the fd becomes the stream's to close; *fd is set to -1. */
struct ostream *o_stream_create_fd_autoclose(int *fd, size_t max_buffer_size);
/* A blocking fd: sends wait until everything is written, each where the fd stands by
   then. For stdout. */
struct ostream *o_stream_create_fd_blocking(int fd);
/* A regular file from `offset` on (UOFF_T_MAX: where the fd stands), written
   with pwrite(); the fd's own offset is left alone. Another offset of 2^63 or more is
   EFBIG, here and below. With autoclose_fd, and by _autoclose, which sets *fd to -1, the
   fd becomes the stream's to close. */
struct ostream *o_stream_create_fd_file(int fd, uoff_t offset,
					bool autoclose_fd);
struct ostream *o_stream_create_fd_file_autoclose(int *fd, uoff_t offset);
/* Opens (creates with mode) the file, emptied unless APPEND is given, and
   writes from `offset` on. A failing open gives a failed stream. */
struct ostream *o_stream_create_file(const char *path, uoff_t offset,
				     mode_t mode,
				     enum ostream_create_file_flags flags);
/* A file that appears whole or not at all. Bytes go to a temporary name in
   path's directory; finish flushes, makes them durable (fdatasync), renames
   to path and makes the name durable (fsync of the directory), in this order,
   and only then says 1. Abort, or destroying it after an error, removes the
   temporary file. It must be finished or aborted before it is destroyed.
   A file that exists is replaced when it is finished, no earlier; where path is
   a symbolic link to one, the link stays and its target is replaced. A directory
   is refused (EISDIR), and so is a device, a FIFO, a socket or the path of an open
   descriptor (EEXIST), which a rename would replace;
   o_stream_create_file_or_device() opens those. The mode is one of open(): the
   umask takes from it. */
struct ostream *
o_stream_create_file_atomic(const char *path, mode_t mode,
			    enum ostream_file_atomic_flags flags);
/* The same below a directory fd, with the temporary file below tmp_dir_fd (on
   the same filesystem; -1: beside it). Neither fd is closed; both must stay
   open until the stream is destroyed. A name without '/' is expected. For
   directories of one's own: whatever has the name, but a directory, is replaced. */
struct ostream *
o_stream_create_file_atomic_at(int dir_fd, const char *name, int tmp_dir_fd,
			       mode_t mode,
			       enum ostream_file_atomic_flags flags);
/* Another name for what finish makes, before that is called: for files that are
   called by their content. The stream must be one of the two above, or it panics; to
   one that has failed nothing happens. */
void o_stream_file_atomic_set_name(struct ostream *stream, const char *name);
/* As o_stream_create_fd() of a UNIX stream socket, over which descriptors can be
   sent, too. */
struct ostream *o_stream_create_unix(int fd, size_t max_buffer_size);
/* For such a stream only: fd goes along with the first byte that is sent from now on.
   The stream has a duplicate of it: the caller may close fd at once. False where the
   one before was not sent yet (one waits at a time), or the stream has failed, which
   it does where fd cannot be duplicated (its errno). A finish, or a close, with one
   that was not sent is an error (EPIPE), and it is closed. */
bool o_stream_unix_write_fd(struct ostream *stream, int fd);
/* Appends to the buffer, which stays the caller's; it may take bytes out at any
   time. Full (a buffer of limited size, or as many bytes in it as
   o_stream_set_max_buffer_size() allows) is a short send;
   get_buffer_used_size() is always 0. Supports seek and pwrite, which count from
   the buffer's beginning, as Dovecot's, also where it held something before; after a pwrite
   behind the buffer's end the next byte goes where it would have gone without. */
struct ostream *o_stream_create_buffer(buffer_t *buf);
/* What an end of one's own does with the bytes: see o_stream_create_callback(). */
struct ostream_callback_methods {
	/* Takes what it can of `size` (> 0) bytes and returns how many that are.
	   0: none now. It is called again after o_stream_callback_wake(), and
	   whenever the stream is sent to or flushed; what it did not take comes
	   first then, all of it (but where o_stream_set_max_buffer_size() set
	   0). -1: the stream's error is errno, and its text has *error_r where
	   that is set, which is copied at once. -1 with EAGAIN is 0, and with
	   EINTR it is called again. */
	ssize_t (*write)(void *context, const void *data, size_t size,
			 const char **error_r);
	/* May be NULL; else the stream must be finished or aborted before it is
	   destroyed. Called by o_stream_finish() when write has taken
	   everything. 1: done; 0: not yet, and it is called again as write is;
	   -1 as above. */
	int (*finish)(void *context, const char **error_r);
	/* May be NULL. Called once, when the stream is freed, whatever became of
	   it: without a finish that said 1 before, what was written is not the
	   whole. */
	void (*destroy)(void *context);
};
/* Writes to functions of one's own: a TLS library, a queue, whatever is no descriptor.
   They are called in the thread that uses the stream, and not after an error, a close,
   or a finish that said 1. Each send calls write; corked, small sends are gathered into
   blocks. What write does not take is buffered, as much as max_buffer_size allows (in
   bytes; 0 chooses a good size), and write is never given more than that at once. The
   struct is copied. In write and finish the stream may be asked things, woken and
   aborted; sending to it, flushing or closing it there, or a stream on top of it,
   panics. */
struct ostream *
o_stream_create_callback(const struct ostream_callback_methods *methods,
			 void *context, size_t max_buffer_size);
/* For such a stream only: there is room again, or finish may be asked again. Where
   something waits for that, the stream's event loop calls the flush callback and writes
   it, as for a descriptor that became writable; without a loop nothing happens. Any
   thread may call it, while write is called, too, until destroy has returned: one that
   cannot know takes a lock of the context's around this call, as destroy does. */
void o_stream_callback_wake(struct ostream *stream);
/* Takes everything and keeps nothing. */
struct ostream *o_stream_create_null(void);
/* Fails every send and flush with this errno, and text where given. */
struct ostream *o_stream_create_error(int stream_errno);
struct ostream *o_stream_create_error_str(int stream_errno, const char *fmt,
					  ...) ATTR_FORMAT(2, 3);

/*
 * Names, errors, references
 */

/* For error texts: a path, or what the stream is. Copied. */
void o_stream_set_name(struct ostream *stream, const char *name);
/* The nearest name up the chain of parents; "" if there is none. */
const char *o_stream_get_name(struct ostream *stream);
/* The fd below this stream, or -1. */
int o_stream_get_fd(struct ostream *stream);
/* The error as a sentence, "<no error>" where stream_errno is 0. Valid until
   the stream is used again. */
const char *o_stream_get_error(struct ostream *stream);
/* Why the connection ended: "Connection closed", with ": ERROR" where the stream failed
   otherwise than by EPIPE. Valid until it is asked for again or the stream is freed. */
const char *o_stream_get_disconnect_reason(struct ostream *stream);

/* Flushes and closes this stream but not its parents, whoever else refers to it, drops
   the caller's reference and sets the pointer to NULL. NULL is allowed. Panics as
   o_stream_unref() does. */
void o_stream_destroy(struct ostream **stream);
/* Takes one more reference, to be dropped by o_stream_unref(). */
void o_stream_ref(struct ostream *stream);
/* Drops a reference and sets the pointer to NULL; NULL is allowed. While others are left
   the stream stays as it is, open too; the last one flushes and closes it, but not its
   parents, and frees it. That one panics where errors were not checked: "output
   stream NAME is missing error handling". */
void o_stream_unref(struct ostream **stream);

/* Adds a callback that is called when the stream is freed, after those that were added
   before it. The stream uses nothing any more then but its parent, which is still there:
   what it was made with may be freed. It is closed, holds nothing and has no descriptor;
   it may be asked for its name, its error and its offset, and must not be kept. */
void bobbin_o_stream_add_destroy_callback(struct ostream *stream,
					  ostream_callback_t *callback,
					  void *context);
#define o_stream_add_destroy_callback(stream, callback, context) \
	bobbin_o_stream_add_destroy_callback(                    \
		stream, (ostream_callback_t *)(callback), context)
/* Takes the first callback back that was added with this function. Panics where there is
   none. */
void bobbin_o_stream_remove_destroy_callback(struct ostream *stream,
					     ostream_callback_t *callback);
#define o_stream_remove_destroy_callback(stream, callback) \
	bobbin_o_stream_remove_destroy_callback(           \
		stream, (ostream_callback_t *)(callback))

/* Flushes, then closes this stream and its parents. Later sends are -1 with
   EPIPE. What cannot be sent now is lost, and that is an error of the stream
   (EPIPE, with the number of bytes). */
void o_stream_close(struct ostream *stream);

/*
 * Sending
 */

/* Sends `size` bytes, the pieces one after the other, or a string without its NUL.
   Returns the bytes accepted (sent or buffered), or -1. Fewer than asked only
   where a non-blocking stream's buffer is full; `overflow` is set then. Zero
   bytes are 0. After finish it panics. */
ssize_t o_stream_send(struct ostream *stream, const void *data,
		      size_t size) ATTR_WARN_UNUSED_RESULT;
ssize_t o_stream_sendv(struct ostream *stream, const struct const_iovec *iov,
		       unsigned int iov_count) ATTR_WARN_UNUSED_RESULT;
ssize_t o_stream_send_str(struct ostream *stream,
			  const char *str) ATTR_WARN_UNUSED_RESULT;
/* As send, with the error kept for the next flush or finish, which somebody
   must then call (or o_stream_ignore_last_errors()). After a short send all
   further ones are ignored, and flush fails with ENOBUFS. */
void o_stream_nsend(struct ostream *stream, const void *data, size_t size);
void o_stream_nsendv(struct ostream *stream, const struct const_iovec *iov,
		     unsigned int iov_count);
void o_stream_nsend_str(struct ostream *stream, const char *str);

/* Sends all of the input. The input is advanced by exactly what was accepted.
   Files are copied by the kernel where it can; copying within one file, whose own
   streams these are (the input may be a limit or a range of its), works, overlapping
   too, and ends where the input ended before. Through any other stream (a hash, a
   decoder) and to one of o_stream_create_fd_blocking() that begins inside of the input,
   a copy within one file would read what it has just written, and where it moves the
   file's end never end: the places must not overlap, nor the input reach that end. */
enum ostream_send_istream_result
o_stream_send_istream(struct ostream *outstream,
		      struct istream *instream) ATTR_WARN_UNUSED_RESULT;
/* The same, with every error (the input's too) kept for flush. */
void o_stream_nsend_istream(struct ostream *outstream,
			    struct istream *instream);

/* Writes at an offset, without moving the stream's own; also where the range
   is still buffered. Files and buffers only, else ESPIPE. 0 or -1. */
int o_stream_pwrite(struct ostream *stream, const void *data, size_t size,
		    uoff_t offset);
/* Goes on writing at this offset. Files and buffers only, else ESPIPE.
   1 or -1. */
int o_stream_seek(struct ostream *stream, uoff_t offset);

/*
 * Flushing and finishing
 */

/* cork delays sending until the buffer is full, in this stream and its
   parents, and sets TCP_CORK on a TCP socket. uncork flushes the chain once;
   its errors must still be checked by a flush. A flag, not a count. A stream that is
   closed or destroyed takes the cork that it put on its parents along. */
void o_stream_cork(struct ostream *stream);
void o_stream_uncork(struct ostream *stream);
/* Whether this stream is corked, be it by a cork of one on top of it. */
bool o_stream_is_corked(struct ostream *stream);
/* Sends what is buffered, here and in the parents: 1 when everything that the
   formats can release is out, 0 when something is still buffered, -1 on an
   error. Errors count as checked, for this stream and its parents. In a
   compressor it makes a sync point, which costs ratio: a flush every 4 KiB
   costs gzip 3 % and zstd 6 %. o_stream_check() looks without that. */
int o_stream_flush(struct ostream *stream);
/* o_stream_uncork() and o_stream_flush(): returns what the flush does. */
static inline int o_stream_uncork_flush(struct ostream *stream)
{
	o_stream_uncork(stream);
	return o_stream_flush(stream);
}
/* As o_stream_flush(), but no compressor makes a sync point: errors are
   checked and what is ready goes out. Bobbin's own. */
int o_stream_check(struct ostream *stream);
/* No more data: writes the trailer and flushes; 0 asks to be called again
   when the stream is writable, and the trailer is still written only once.
   Called again after 1 it equals flush. Sends after it panic. */
int o_stream_finish(struct ostream *stream);
/* Whether finishing this stream finishes its parent, too (default yes; dot: no). */
void o_stream_set_finish_also_parent(struct ostream *stream, bool set);
/* Whether this stream lets the finish of one on top of it finish it (default yes). */
void o_stream_set_finish_via_child(struct ostream *stream, bool set);
/* Errors so far count as checked, here and in the parents. One that stands is not mended,
   nor is an nsend that was cut short: what follows is ignored, and flush still fails. */
void o_stream_ignore_last_errors(struct ostream *stream);
/* For giving up: errors count as handled, no trailer is required any more, and
   the stream fails with EPIPE unless it failed already. What waits in its parents
   may be lost without a panic, too, where nobody else uses them before their end. */
void o_stream_abort(struct ostream *stream);
/* Turns the check for unhandled errors off; filters created later on top of
   this stream copy the setting. */
void o_stream_set_no_error_handling(struct ostream *stream, bool set);

/*
 * Buffers and the event loop
 */

/* Bounds what is buffered, in bytes, here and in the parents. SIZE_MAX: no
   bound. */
void o_stream_set_max_buffer_size(struct ostream *stream, size_t max_size);
/* The bound of this stream alone, in bytes. */
size_t o_stream_get_max_buffer_size(struct ostream *stream);
/* Bytes waiting in this stream and its parents; not what a codec keeps until
   its block is full. */
size_t o_stream_get_buffer_used_size(const struct ostream *stream) ATTR_PURE;
/* Bytes that a send is sure to accept now. */
size_t o_stream_get_buffer_avail_size(const struct ostream *stream) ATTR_PURE;

/* The callback runs, corked, when the fd below becomes writable while data is
   buffered or a flush is pending. It may destroy the stream. */
void bobbin_o_stream_set_flush_callback(struct ostream *stream,
					stream_flush_callback_t *callback,
					void *context);
#define o_stream_set_flush_callback(stream, callback, context) \
	bobbin_o_stream_set_flush_callback(                    \
		stream, (stream_flush_callback_t *)(callback), context)
/* Takes the callback back: none is called any more. */
void o_stream_unset_flush_callback(struct ostream *stream);
/* Asks for the callback even though the buffer may be empty. */
void o_stream_set_flush_pending(struct ostream *stream, bool set);
/* When something was last accepted (zero if never), by the system's clock and as exact as
   its ticks (some milliseconds). Small sends do not look at the clock: what a corked
   stream or one in memory took since counts as accepted when this is asked. */
void o_stream_get_last_write_time(struct ostream *stream, struct timeval *tv_r);
/* Moves what the stream has in an event loop to the one given / the thread's
   current one. */
void o_stream_switch_ioloop_to(struct ostream *stream, struct ioloop *ioloop);
void o_stream_switch_ioloop(struct ostream *stream);

BOBBIN_END_DECLS

#include "ostream-filters.h"

#endif
