/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_OSTREAM_PRIVATE_H
#define BOBBIN_OSTREAM_PRIVATE_H

/* For implementers of output streams. A class embeds struct ostream_private
   first, sets the methods it has, and calls o_stream_create(); methods that
   are unset pass through to the parent.

   The core (ostream.c, ostream-send.c, ostream-flush.c) checks arguments, the closed and finished states,
   overflow and the unchecked mark, moves `offset`, and copies errors up; the
   methods are called only on a stream without an error. */

#include "ostream.h"
#include "iostream-private.h"

#include <errno.h>

/* How far a flush goes. */
enum ostream_flush_mode {
	/* What is ready goes out; nobody makes a sync point. */
	OSTREAM_PUSH,
	/* A compressor makes all it was given decodable (the user's flush). */
	OSTREAM_SYNC,
	/* The end: trailers are written. */
	OSTREAM_FINISH
};

/* Memory of the class's that a small send is simply appended to, without a call of
   any method, while `open` is set: *used moves, and must stay below *limit. The class
   opens it at the end of a sendv; the core closes it before it calls any method, and
   a class that is called by an event does, too. */
struct ostream_append {
	bool open;
	unsigned char **data;
	size_t *used;
	const size_t *limit;
};

struct ostream_private {
	struct iostream_private iostream;

	/* Own part only: the core has set `corked` and walks the parents. */
	void (*cork)(struct ostream_private *stream, bool set);
	/* Sends what this stream holds to the parent (or the system), then
	   flushes the parent by o_stream_flush_parent(). 1, 0 or -1. */
	int (*flush)(struct ostream_private *stream,
		     enum ostream_flush_mode mode);
	void (*set_flush_callback)(struct ostream_private *stream,
				   stream_flush_callback_t *callback,
				   void *context);
	void (*flush_pending)(struct ostream_private *stream, bool set);
	size_t (*get_buffer_used_size)(const struct ostream_private *stream);
	size_t (*get_buffer_avail_size)(const struct ostream_private *stream);
	/* 1, or -1 with stream_errno. */
	int (*seek)(struct ostream_private *stream, uoff_t offset);
	/* Bytes accepted, with stream_errno set if an error came behind them, or -1 with
	   stream_errno. The core moves offset. */
	ssize_t (*sendv)(struct ostream_private *stream,
			 const struct const_iovec *iov, unsigned int iov_count);
	/* 0, or -1 with stream_errno. */
	int (*write_at)(struct ostream_private *stream, const void *data,
			size_t size, uoff_t offset);
	/* Moves both offsets itself. Default: o_stream_copy_istream(). */
	enum ostream_send_istream_result (*send_istream)(
		struct ostream_private *outstream, struct istream *instream);
	void (*switch_ioloop_to)(struct ostream_private *stream,
				 struct ioloop *ioloop);
	/* Optional, for a stream with parents of its own keeping: gives up those
	   that wait for a trailer which its finish would have brought. */
	void (*abort)(struct ostream_private *stream);
	/* Optional, for such a stream, too: errors of its parents, as of this
	   one, count as checked. */
	void (*mark_checked)(struct ostream_private *stream);
	/* Optional: a window in the stream's own buffer of at least `min` bytes
	   (NULL: none), for a child that produces bytes, so that they need no
	   copy; commit takes the first `size` bytes of it in, as a send that
	   always succeeds would (offset is moved by o_stream_commit()). No
	   other call comes between. The default has no window. */
	unsigned char *(*reserve)(struct ostream_private *stream, size_t min,
				  size_t *size_r);
	void (*commit)(struct ostream_private *stream, size_t size);

	struct ostream ostream;
	struct ostream_append append;
	size_t max_buffer_size;
	struct ostream *parent;
	int fd;
	/* The stream whose cork corked this one, which takes it along when it is closed;
	   a cork of this stream's own is its own. */
	const struct ostream *corked_by;
	/* when the bytes up to timed_offset were taken; asking the clock for
	   each small send would cost more than the send */
	struct timeval last_write_timeval;
	uoff_t timed_offset;

	stream_flush_callback_t *callback;
	void *context;

	bool corked:1;
	/* the library corked it, not the user */
	bool corked_internal:1;
	bool closing:1;
	/* finish was called / has returned 1 */
	bool finished:1;
	bool finish_done:1;
	/* a trailer is due: destroying it unfinished panics */
	bool needs_finish:1;
	bool aborted:1;
	/* an aborted stream on top of it let go of it, and nobody used it since:
	   what it cannot send when it is closed was given up, too */
	bool abandoned:1;
	bool last_errors_not_checked:1;
	bool failure_told:1; /* to who sent, or looked whether it has failed */
	bool error_handling_disabled:1;
	/* an nsend was cut short */
	bool noverflow:1;
	bool finish_also_parent:1;
	bool finish_via_child:1;
	/* others send to the same parent, too: corks and aborts of this stream
	   are not the parent's, and its class decides when that is finished */
	bool shares_parent:1;
	/* sends never wait for a system: the clock is not asked either, until
	   somebody wants to know */
	bool in_memory:1;
};

/* Fills in default methods, takes the reference on the parent (NULL for an
   end), copies its settings. Returns the public struct. When the chain is
   deeper than IOSTREAM_MAX_DEPTH the stream is born failed (ELOOP). */
struct ostream *o_stream_create(struct ostream_private *stream,
				struct ostream *parent, int fd);

/* Sets stream_errno and the text "NAME: ..." is the caller's business; returns
   -1, so that a method can end with it. The first error stays. */
int o_stream_fail(struct ostream_private *stream, int stream_errno,
		  const char *fmt, ...) ATTR_FORMAT(3, 4);
void o_stream_copy_error_from_parent(struct ostream_private *stream);

/* What a sendv answers that met an error, with stream_errno set, after so many bytes. */
static inline ssize_t o_stream_passed(size_t size)
{
	return size > 0 ? (ssize_t)size : -1;
}

/* For methods of filters. As o_stream_sendv() on the parent, but it sets
   neither the parent's overflow nor its unchecked mark, and a failure of the
   parent is copied to this stream. */
ssize_t o_stream_send_parent(struct ostream_private *stream,
			     const struct const_iovec *iov,
			     unsigned int iov_count);
/* The same for a sendv that gives all of it to the parent, which may have taken some of it
   before it failed: that is the answer then. */
ssize_t o_stream_pass_parent(struct ostream_private *stream,
			     const struct const_iovec *iov,
			     unsigned int iov_count);
/* The same for filters that look at what passes: show(context, data, size) for each
   piece that the parent took. */
typedef void o_stream_show_t(void *context, const void *data, size_t size);
ssize_t o_stream_send_parent_shown(struct ostream_private *stream,
				   const struct const_iovec *iov,
				   unsigned int iov_count,
				   o_stream_show_t *show, void *context);
/* Flushes the parent in the mode that follows from this stream's: FINISH
   becomes a finish of the parent where both flags allow it, else SYNC. Errors
   are copied. 1, 0 or -1. */
int o_stream_flush_parent(struct ostream_private *stream,
			  enum ostream_flush_mode mode);
/* The sending and the flushing for a stream with several parents, of its own keeping: `output` is
   one of them, and its error is copied with its text. */
ssize_t o_stream_send_to(struct ostream_private *stream, struct ostream *output,
			 const struct const_iovec *iov, unsigned int iov_count);
int o_stream_flush_to(struct ostream_private *stream, struct ostream *output,
		      enum ostream_flush_mode mode);
/* reserve and commit on a stream, for its child (see above). NULL on a failed
   or closed stream. */
unsigned char *o_stream_reserve(struct ostream *stream, size_t min,
				size_t *size_r);
void o_stream_commit(struct ostream *stream, size_t size);
/* A cork that the library sets for its own batching: its end pushes what is
   buffered but makes no sync point. A cork of the user's stays. */
void o_stream_cork_internal(struct ostream *stream);
/* Whether the stream's finish is to bring the output's. */
bool o_stream_finish_reaches(const struct ostream_private *stream,
			     const struct ostream *output);
/* What stands above the stream was aborted: it is, too, if it waits for a finish, and so
   are all below that such a finish would reach; a plain sink stays usable. */
void o_stream_give_up(struct ostream *stream);
/* Before a stream that goes lets go of an output: whoever gave up the one gave up what
   waits in the other, where nobody else has a use for that. */
void o_stream_abandon_below(const struct ostream_private *stream,
			    struct ostream *output);
void o_stream_uncork_internal(struct ostream *stream);
/* Ends the stream's cork, and those of its parents that are part of it, flushing
   nothing: for one that is closed. */
void o_stream_uncork_closed(struct ostream *stream);
/* Reads and sends until one side has to wait: the default send_istream. */
enum ostream_send_istream_result
o_stream_copy_istream(struct ostream *outstream, struct istream *instream);
/* Calls the flush callback of this stream, if it has one: its answer, or
   `otherwise`. */
int o_stream_call_flush_callback(struct ostream_private *stream, int otherwise);
/* Ends the cork of a turn of the event loop in which that was called. What fails only then
   is told by calling it once more: nothing else would come of it. */
void o_stream_end_turn(struct ostream_private *stream);

/* For the core. */
static inline bool o_stream_has_failed(const struct ostream *stream)
{
	if (BOBBIN_LIKELY(!stream->closed && stream->stream_errno == 0))
		return false;
	errno = stream->stream_errno;
	return true;
}
/* The stream, and those below it, have an error that somebody looks at now. */
void o_stream_mark_checked(struct ostream *stream);
/* An output that is not the parent is not found by get_error: its text comes
   along. */
void o_stream_copy_error_from(struct ostream_private *stream,
			      struct ostream *output);
/* 1, 0 or -1: the class's flush, of a stream that may have failed or be finished. */
int o_stream_flush_mode(struct ostream_private *stream,
			enum ostream_flush_mode mode);
/* Now is when the bytes up to offset were taken. */
void o_stream_note_time(struct ostream_private *stream);

#endif
