/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_ISTREAM_PRIVATE_H
#define BOBBIN_ISTREAM_PRIVATE_H

/* For implementers of input streams. A class embeds struct istream_private
   first, sets the methods it has, and calls i_stream_create().

   The buffer: bytes buffer[skip..pos) are what get_data gives. A class that
   fills a buffer of its own gets room by i_stream_reserve(), writes behind
   pos, moves pos. A class that shows its parent's bytes points `buffer` into
   the parent's. Nothing that get_data gave may move while read answers <= 0:
   i_stream_reserve() keeps the old memory until the next read that succeeds.
   A stream can lend its buffer to others, which go on showing it while it is
   read (tee): i_stream_can_lend(). */

#include "istream.h"
#include "iostream-private.h"

struct istream_io;

typedef void istream_input_callback_t(struct istream *input, void *context);

struct istream_private {
	struct iostream_private iostream;

	/* As i_stream_read(): >0, 0, -1 (sets eof or stream_errno), -2. */
	ssize_t (*read)(struct istream_private *stream);
	/* Called only where v_offset is outside of what is buffered. Default:
	   forward by reading, backward ESPIPE. */
	void (*seek)(struct istream_private *stream, uoff_t v_offset,
		     bool mark);
	void (*sync)(struct istream_private *stream);
	/* Fills statbuf. Default: the parent's. */
	int (*stat)(struct istream_private *stream, bool exact);
	/* 1, 0, -1. Default: by stat. */
	int (*get_size)(struct istream_private *stream, bool exact,
			uoff_t *size_r);
	void (*switch_ioloop_to)(struct istream_private *stream,
				 struct ioloop *ioloop);
	/* Optional: i_stream_transform_set_limits(). */
	void (*set_limits)(struct istream_private *stream, uoff_t max_plain,
			   unsigned int max_ratio);
	/* Optional, for a stream with inputs of its own keeping instead of a
	   parent: calls back for each that it has still to do with. What is
	   done with a parent (closing it, another event loop) is done with
	   them. */
	void (*each_input)(struct istream_private *stream,
			   istream_input_callback_t *callback, void *context);
	/* Optional, for such a stream: the one it reads now, NULL: none. Before it goes on to another
	   one it calls i_stream_set_input_pending() on itself, so that a loop
	   waits for that one. */
	struct istream *(*current_input)(struct istream_private *stream);

	struct istream istream;
	int fd;
	struct stat statbuf;

	const unsigned char *buffer;
	unsigned char *w_buffer;   /* NULL where buffer is not ours */
	unsigned char *old_buffer; /* kept for pointers that are still valid */
	size_t buffer_size, old_buffer_size;
	/* Of a stream that lends its buffer: is offered one before it is written
	   over or freed, and takes it, by block_put() later, where somebody
	   still shows it. */
	bool (*offer_buffer)(void *context, unsigned char *buffer, size_t size);
	void *offer_context;
	size_t max_buffer_size, init_buffer_size;
	size_t skip, pos;
	/* read should not buffer much more than this, 0: no wish */
	size_t data_limit;

	struct istream *parent;
	uoff_t parent_start_offset;
	/* Where this stream left the parent: i_stream_read_parent() seeks it
	   back to there when somebody else moved it. */
	uoff_t parent_expected_offset;
	/* Moves with every read and seek, so that a child can tell that the
	   parent was used behind its back. */
	unsigned int access_counter;

	/* the parent's access_counter when buffer was pointed into its memory */
	unsigned int view_counter;
	/* bytes that a seek forward has still to drop */
	uoff_t lag;

	/* the ios that wait for this stream; of an end: those of all streams on
	   top of it */
	struct istream_io *own_ios, *end_ios;

	struct timeval last_read_timeval;
	char *line; /* the last line that was returned */
	size_t line_size;
	/* bytes behind skip that were searched for LF already */
	size_t line_searched;
	bool line_crlf; /* written for each line: no bit among others */

	/* buffer points into the parent's memory */
	bool is_view:1;
	/* buffer is a lent one: it stays as it is for as long as it is shown */
	bool is_lent:1;
	bool return_nolf_line:1;
	bool nonpersistent_buffers:1;
	bool closing:1;
	/* input was said to be pending while nobody waited for it */
	bool input_pending:1;
};

/* Fills in default methods, takes the reference on the parent (NULL for an
   end), copies its settings. Returns the public struct. When the chain is
   deeper than IOSTREAM_MAX_DEPTH the stream is born failed (ELOOP). */
struct istream *i_stream_create(struct istream_private *stream,
				struct istream *parent, int fd);

/* Sets stream_errno, eof and the text; returns -1, so that a method can end
   with it. */
ssize_t i_stream_fail(struct istream_private *stream, int stream_errno,
		      const char *fmt, ...) ATTR_FORMAT(3, 4);
void i_stream_copy_error_from_parent(struct istream_private *stream);

/* Room of at least one byte, `wanted` if the maximum allows, behind pos in
   w_buffer. NULL with *size_r 0: the buffer is full at its maximum (answer
   -2), or no memory (stream_errno ENOMEM is set: answer -1). */
unsigned char *i_stream_reserve(struct istream_private *stream, size_t wanted,
				size_t *size_r);
/* For a stream with inputs of its own keeping: takes a reference on one more, which
   it stands on top of (ELOOP where that is too high), and is blocking no more where
   that is not. */
void i_stream_add_input(struct istream_private *stream, struct istream *input);
/* Copies what `input` has buffered behind pos, as far as the buffer may grow, and
   skips it there: as i_stream_read(), where input has something. */
ssize_t i_stream_take_from(struct istream_private *stream,
			   struct istream *input);
/* Reads `input` for that, where other inputs may follow it: what the read of the stream
   answers; false: the input has ended well. */
bool i_stream_read_from(struct istream_private *stream, struct istream *input,
			ssize_t *ret_r);
/* Whether what is buffered is in a buffer that offer_buffer would be asked about. */
bool i_stream_can_lend(const struct istream_private *stream);
/* Shows buffer[skip..pos), which another stream has lent, from now on: called by a
   read that succeeds. */
void i_stream_show_lent(struct istream_private *stream,
			const unsigned char *buffer, size_t skip, size_t pos);
/* Copies what is shown of a lent buffer, which is not needed any more then. Without
   memory nothing is shown, and the stream has failed. */
void i_stream_own_lent(struct istream_private *stream);
/* Whether it is one of i_stream_create_concat(). */
bool i_stream_is_concat(const struct istream *stream);
/* Whether the last read of a tee's child below the stream, or of itself, gave 0
   because of another child. */
bool i_stream_waits_for_tee(struct istream *stream);
/* The fd that a loop waits for: as i_stream_get_fd(), but also of a current_input. */
int i_stream_fd_of_chain(const struct istream *stream);
/* Moves the ios that wait for the stream itself. */
void i_stream_move_ios(struct istream *stream, struct ioloop *ioloop);
/* For the core. */
void i_stream_free_old_buffer(struct istream_private *stream);
void i_stream_free_buffers(struct istream_private *stream);
/* Drops all that is buffered, and says that v_offset is now this. */
void i_stream_reset_buffer(struct istream_private *stream, uoff_t v_offset);

/* For who takes bytes straight out of the fd of a stream with readable_fd that is no
   regular file. Whether the next byte of the stream is the fd's next one: nothing is
   buffered, here or in the parents. */
bool i_stream_is_at_fd(struct istream *stream);
/* So many bytes were taken out of the fd: the stream and its parents have passed
   them. */
void i_stream_skip_fd(struct istream *stream, uoff_t count);

/* For filters that show their parent's bytes as they are: points buffer at up
   to `limit` bytes of the parent's, from v_offset on, and reads more where it
   shows them all already. As i_stream_read(), -1 with eof or the parent's error
   set; at the limit 0, which the caller must tell apart. */
ssize_t i_stream_view_parent(struct istream_private *stream, uoff_t limit);
/* The same without a limit, for filters that look at each byte once, also at those
   that a seek forward drops: *fresh_r bytes at the end of the buffer lie behind *seen,
   the v_offset up to which bytes were looked at, and that moves behind them. */
ssize_t i_stream_view_once(struct istream_private *stream, uoff_t *seen,
			   size_t *fresh_r);
/* The get_size of one that ends at max_size at the latest, and a stat that asks its
   get_size. */
int i_stream_view_get_size(struct istream_private *stream, bool exact,
			   uoff_t max_size, uoff_t *size_r);
int i_stream_view_stat(struct istream_private *stream, bool exact);
/* The seek method of such a filter. */
void i_stream_view_seek(struct istream_private *stream, uoff_t v_offset,
			bool mark);

/* For the destroy of one that shows a part of its parent, of max_size at the most: the
   parent goes on where that was read to. */
void i_stream_view_leave(struct istream_private *stream, uoff_t max_size);

/* For filters: makes the parent stand where this stream left it, and gives the
   parent's data from there, reading where there is none (or, with `more`, where
   there is no more than that): as i_stream_read_more(). */
int i_stream_read_parent(struct istream_private *stream,
			 const unsigned char **data_r, size_t *size_r,
			 size_t more);
/* Takes `count` bytes of what i_stream_read_parent() gave. */
void i_stream_skip_parent(struct istream_private *stream, size_t count);

#endif
