/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TRANSFORM_H
#define BOBBIN_TRANSFORM_H

/* A transform is a codec as a plain state machine. It knows no streams, no
   files and no loops; o_stream_create_transform() and
   i_stream_create_transform() make a stream of it, in either direction. Full
   parents, half-written trailers, retries, truncation, several members and
   limits are the adapters' work, once for all codecs.

   Rules for process():
   - Any input length, also 0, is legal. The output room is never less than
     the class's min_out.
   - TRANSFORM_NEED_IN: all input was consumed, nothing is left to be put out
     now. TRANSFORM_NEED_OUT: more output is waiting, call again with room.
   - An encoder is called with TRANSFORM_RUN, TRANSFORM_SYNC, TRANSFORM_FINISH.
     SYNC and FINISH are repeated, with whatever input was left unconsumed,
     until TRANSFORM_DONE. SYNC never answers NEED_IN.
   - A decoder is called with TRANSFORM_RUN, and with TRANSFORM_FINISH once no
     more input will come. It answers TRANSFORM_END where the unit it decodes
     is complete, and leaves the bytes behind it unconsumed. NEED_IN in answer
     to FINISH says that the unit is incomplete; the adapter makes it EPIPE.
   - A call that moves nothing and repeats its status is an error ("codec made
     no progress"), so a codec must not rely on being called in vain.
   - After TRANSFORM_ERROR, DONE of a FINISH, or END, process() is not called
     again before reset(). */

#include "types.h"

BOBBIN_BEGIN_DECLS

enum transform_op {
	TRANSFORM_RUN,
	/* put out all that the reader needs to decode everything given so far */
	TRANSFORM_SYNC,
	/* no more input after this: put out the rest, and the trailer */
	TRANSFORM_FINISH,
	/* without input, classes that DEFER only: put out what other threads have
	   ready, give them what was gathered, and do not wait for them */
	TRANSFORM_POLL
};

enum transform_status {
	TRANSFORM_NEED_IN,
	TRANSFORM_NEED_OUT,
	TRANSFORM_DONE,
	TRANSFORM_END,
	TRANSFORM_ERROR
};

enum transform_flags {
	/* It decodes; without this flag it encodes. */
	TRANSFORM_DECODER = 0x01,
	/* FINISH writes something that the reader needs: a stream that is
	   neither finished nor aborted panics when it is destroyed. */
	TRANSFORM_TRAILER = 0x02,
	/* SYNC does something (encoders only). */
	TRANSFORM_CAN_SYNC = 0x04,
	/* finish_also_parent starts as false. */
	TRANSFORM_KEEP_PARENT = 0x08,
	/* Only verified bytes may ever be visible to the reader; staging is
	   wiped. */
	TRANSFORM_AUTHENTICATED = 0x10,
	/* The format has no end of its own; it ends where its input does, and
	   mostly it has no header either, so that zero bytes are zero bytes. The
	   decoder answers FINISH with END where the input may end, and with
	   NEED_IN where it may not. */
	TRANSFORM_UNFRAMED = 0x20,
	/* NEED_IN does not say that nothing is left to be put out: another thread
	   may be at it (transform_create_async()). Who has no more input calls
	   process() with TRANSFORM_RUN and without input, which waits for that,
	   until it moves nothing; or with TRANSFORM_POLL, where get_wake_fd is. */
	TRANSFORM_DEFERS = 0x40,
	/* An encoder that does better where all of a small input comes with
	   FINISH, in one call: it knows the size then. What is sent first is
	   gathered while the stream is corked. */
	TRANSFORM_LIKES_WHOLE = 0x80,

	/* After a decoder's END: exactly one of these three, unless UNFRAMED. */
	/* another member may follow and is read on (gzip, zstd, lz4) */
	TRANSFORM_MEMBERS = 0x100,
	/* what follows belongs to the parent's reader (dot) */
	TRANSFORM_STOP = 0x200,
	/* any further byte is an error (age, armor, zlib) */
	TRANSFORM_EXACT = 0x400
};

/* An input window and an output window; process() advances in and out. */
struct transform_io {
	const unsigned char *in;
	const unsigned char *in_end;
	unsigned char *out;
	unsigned char *out_end;
};

/* A place in the encoded input and the plain offset that belongs to it. */
struct transform_point {
	uoff_t encoded_offset;
	uoff_t plain_offset;
};

struct transform;

struct transform_class {
	const char *name;   /* as in a stack spec: "gzip" */
	unsigned int flags; /* enum transform_flags */
	size_t min_out;   /* bytes of output room process() always gets, >= 1 */
	size_t good_in;   /* input bytes it likes per call; 0: any */
	size_t good_out;  /* output bytes it likes per call; 0: any */
	size_t max_state; /* bytes of memory a context may take, roughly */
	enum transform_status (*process)(struct transform *t,
					 struct transform_io *io,
					 enum transform_op op);
	/* Keeps parameters and keys, forgets data: for the next member, for
	   reuse, for a backward seek. May be NULL where free and create are
	   the only way (never for a class with MEMBERS). */
	void (*reset)(struct transform *t);
	void (*free)(struct transform *t);

	/* Decoders of MEMBERS only: whether these bytes (at least one) are the
	   beginning of a member, or of its magic, as far as they go. It tells
	   garbage behind a member from a cut one. */
	bool (*may_begin)(const unsigned char *data, size_t size);

	/* Optional, decoders only: random access. Finds where reading must go
	   on so that the bytes from point->plain_offset <= plain_offset come
	   out next, and sets the transform to that place. encoded_size is the
	   size of the whole input in bytes. 1: done, the next input given is
	   from point->encoded_offset. 0: not possible now (the header was not
	   read yet); read from the beginning. -1: error, as from process(). */
	int (*locate)(struct transform *t, uoff_t plain_offset,
		      uoff_t encoded_size, struct transform_point *point);
	/* Optional, with locate: the plain size that encoded_size bytes claim
	   to hold goes to point->plain_offset, and the encoded offset of what
	   must be decoded without an error before that claim, and the end of
	   the stream, may be believed, to point->encoded_offset. As locate, it
	   sets the transform to that place. Same returns. */
	int (*vouch)(struct transform *t, uoff_t encoded_size,
		     struct transform_point *point);

	/* Optional, both or none of them, for classes that DEFER. How many bytes
	   other threads have, of the input that process() took or of output; never 0
	   while something is still to come of them, be it an error. */
	size_t (*get_pending)(struct transform *t);
	/* A descriptor that polls readable when TRANSFORM_POLL has something to do:
	   there is output or an error, or nothing is under way any more. That call
	   makes it unreadable. It is the transform's, and stays as long as that. -1
	   with errno where there is none to be had. */
	int (*get_wake_fd)(struct transform *t);
};

/* Embedded first in every codec's own struct. */
struct transform {
	const struct transform_class *class_;
	/* Set by transform_error(): an errno (EINVAL malformed, EPIPE cut
	   short, ENOKEY no key that fits, ENOMEM, ...) and a sentence without
	   the stream's name. */
	int error_errno;
	char *error;
	/* With an error: bytes of the input that process() took, but did not come to
	   before it. They are left out where the error's place is told. */
	uoff_t error_left;
};

/* Records the error and returns TRANSFORM_ERROR. The first one stays. */
enum transform_status transform_error(struct transform *t, int error_errno,
				      const char *fmt, ...) ATTR_FORMAT(3, 4);
/* A transform whose first process() fails with this error: what the
   constructor of a codec returns for a bad setting or without memory.
   flags as of the class it stands for (TRAILER is left out). */
struct transform *transform_create_error(const char *name, unsigned int flags,
					 int error_errno, const char *fmt, ...)
	ATTR_FORMAT(4, 5);
/* Forgets the error, for reset(). */
void transform_clear_error(struct transform *t);
/* Frees it and sets the pointer to NULL; NULL is allowed. */
void transform_free(struct transform **t);

BOBBIN_END_DECLS

#endif
