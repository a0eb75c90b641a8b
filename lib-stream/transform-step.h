/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TRANSFORM_STEP_H
#define BOBBIN_TRANSFORM_STEP_H

/* What both adapters share: one checked call of a codec. Not installed. */

#include "transform.h"

#include <pthread.h>

/* Calls process() and holds its answer against the rules of transform.h; an
   answer that breaks them becomes the error "codec made no progress" (EIO), so
   that a faulty codec never makes a stream spin. `last` is the answer before
   this one. */
enum transform_status transform_step(struct transform *t,
				     struct transform_io *io,
				     enum transform_op op,
				     enum transform_status last);

/* Whether another thread may still have output, after a call that gave this answer, and
   moved something or did not. */
bool transform_defers(struct transform *t, enum transform_status status,
		      bool moved);
/* Starts a thread for a transform: false with its error. The program's signals are its
   own threads'. */
bool transform_start_thread(struct transform *t, pthread_t *thread,
			    void *(*main)(void *), void *context);
/* The error of a transform whose threads are those of a parent that made this process by
   fork(). */
enum transform_status transform_error_forked(struct transform *t);

/* An empty input window: codecs may do arithmetic with its pointers. */
static inline void transform_no_input(struct transform_io *io)
{
	io->in = io->in_end = (const unsigned char *)"";
}

static inline bool transform_is_decoder(const struct transform_class *class_)
{
	return (class_->flags & TRANSFORM_DECODER) != 0;
}

/* How large an output window the codec would like. */
static inline size_t transform_good_window(const struct transform_class *class_,
					   size_t usual)
{
	size_t size = class_->good_out > usual ? class_->good_out : usual;

	return class_->min_out > size ? class_->min_out : size;
}

#endif
