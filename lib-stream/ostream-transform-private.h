/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_OSTREAM_TRANSFORM_PRIVATE_H
#define BOBBIN_OSTREAM_TRANSFORM_PRIVATE_H

/* What the two parts of the output adapter share: the stream (ostream-transform.c) and
   its codec's turns (ostream-transform-codec.c). Not installed. */

#include "byte-queue.h"
#include "ostream-private.h"
#include "transform-step.h"

/* Corked sends below this size are gathered, so that codecs see decent
   blocks... */
#define SMALL_SEND 4096
/* ...and go to the codec when there is this much. */
#define GATHER_SIZE 32768

struct transform_ostream {
	struct ostream_private ostream;
	struct transform *transform;
	const struct transform_class *class_;

	struct byte_queue stage;
	struct byte_queue hold;
	/* SYNC or FINISH while it is being repeated until DONE, else RUN; and
	   how many bytes of hold belong before it. */
	enum transform_op latched;
	size_t latched_size;

	uoff_t synced_offset; /* plain bytes up to the last sync point */
	/* What the codec took and what came out of it: where an error is. */
	uoff_t taken_size, given_size;
	enum transform_status status; /* the codec's last answer */

	/* An error of the codec, kept aside until the stage is empty. */
	int failure_errno;
	char *failure;

	/* Whom the parent called before it was told to call us. */
	stream_flush_callback_t *parent_callback;
	void *parent_context;

	struct io *worker_io; /* another thread may have output for us */

	bool watching_parent:1;
	bool unit_ended:1;     /* a decoder answered END */
	bool deferred:1;       /* another thread may have output for us */
	bool wants_deferred:1; /* and a flush is still to bring it */
	bool finish_written:1; /* nothing more comes out of the codec */
};

static inline bool
transform_ostream_is_decoder(const struct transform_ostream *s)
{
	return transform_is_decoder(s->class_);
}

/* Keeps an error aside, the first one: -1. */
int transform_ostream_set_failure(struct transform_ostream *s, int error,
				  const char *text);
/* The same with the codec's. */
int transform_ostream_take_error(struct transform_ostream *s);
/* The stage is empty: now the error is the stream's. -1. */
int transform_ostream_raise(struct transform_ostream *s);

/* One turn of the codec. 1: it did something; 0: there is no room for output; -1: failure
   is set. *consumed_r is always set. */
int transform_ostream_turn(struct transform_ostream *s, const unsigned char *in,
			   size_t in_size, enum transform_op op,
			   size_t *consumed_r);
/* 1: the stage is empty; 0: the parent took less; -1: the parent failed. */
int transform_ostream_send_stage(struct transform_ostream *s);
/* All that was sent until now belongs before this operation, which is repeated until the
   codec says DONE. */
void transform_ostream_latch(struct transform_ostream *s, enum transform_op op);
/* Moves on what waits, as far as the parent lets it; bytes that were only gathered when
   there are enough of them, or with `all`. 1: nothing waits; 0: the parent is full; -1:
   failed. */
int transform_ostream_drain(struct transform_ostream *s, bool all);

#endif
