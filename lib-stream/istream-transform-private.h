/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_ISTREAM_TRANSFORM_PRIVATE_H
#define BOBBIN_ISTREAM_TRANSFORM_PRIVATE_H

/* What the two parts of the input adapter share: the stream (istream-transform.c) and its
   codec's turns (istream-transform-codec.c). Not installed. */

#include "byte-queue.h"
#include "istream-private.h"
#include "transform-step.h"

struct transform_istream {
	struct istream_private istream;
	struct transform *transform;
	const struct transform_class *class_;

	struct byte_queue stage;
	/* Plain offset of the next byte that the codec puts out; what is in the
	   stage and the buffer lies before it. */
	uoff_t plain_pos;
	enum transform_status status; /* the codec's last answer */

	/* An error, kept aside until the data before it was given out. */
	int failure_errno;
	char *failure;

	uoff_t max_plain;       /* 0: no bound */
	unsigned int max_ratio; /* 0: no bound */
	struct io *worker_io; /* a reader waits, for another thread's output */
	uoff_t known_size;    /* UOFF_T_MAX: the end was never seen */

	bool unit_ended:1; /* END (or an encoder's DONE) was answered */
	bool deferred:1;   /* another thread may have output for us */
	bool parent_ended:1;
	bool finished:1; /* a clean end: nothing more comes */
	bool vouched:1;  /* the end was verified before random access */
	/* the codec went to look at the end: where it is now tells nothing of where
	   reading goes on, nor does an error that it met there */
	bool astray:1;
};

static inline bool
transform_istream_is_decoder(const struct transform_istream *s)
{
	return transform_is_decoder(s->class_);
}

/* How many bytes of the parent's the codec took. */
static inline uoff_t
transform_istream_encoded_pos(const struct transform_istream *s)
{
	return s->istream.parent_expected_offset -
		s->istream.parent_start_offset;
}

/* Keeps an error aside, the first one. */
void transform_istream_set_failure(struct transform_istream *s, int error,
				   const char *text);
/* The same with the codec's. */
void transform_istream_take_error(struct transform_istream *s);
/* All before the error was given out: now it is the stream's. -1. */
ssize_t transform_istream_raise(struct transform_istream *s);

/* Gets bytes out of the codec into io's output window. >0: that many; 0: the
   parent has nothing now; -1: the end, or a failure was set. */
ssize_t transform_istream_decode(struct transform_istream *s,
				 struct transform_io *io);
/* Whether there is a loop that other threads can wake, so that the reader need not
   wait for them here. */
bool transform_istream_watch_worker(struct transform_istream *s);

#endif
