/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "transform-step.h"
#include "thread-start.h"

#include <errno.h>
#include <string.h>

static bool answer_is_legal(bool decoder, const struct transform_io *io,
			    enum transform_op op, enum transform_status status,
			    enum transform_status last, bool moved)
{
	switch (status) {
	case TRANSFORM_NEED_IN:
		if (io->in != io->in_end)
			return false;
		return decoder || op == TRANSFORM_RUN || op == TRANSFORM_POLL;
	case TRANSFORM_NEED_OUT:
		return moved || last != TRANSFORM_NEED_OUT;
	case TRANSFORM_DONE:
		return !decoder && io->in == io->in_end &&
			(op == TRANSFORM_SYNC || op == TRANSFORM_FINISH);
	case TRANSFORM_END:
		return decoder;
	case TRANSFORM_ERROR:
		return true;
	}
	return false;
}

enum transform_status transform_step(struct transform *t,
				     struct transform_io *io,
				     enum transform_op op,
				     enum transform_status last)
{
	const unsigned char *in = io->in, *out = io->out;
	enum transform_status status;

	status = t->class_->process(t, io, op);
	if (answer_is_legal(transform_is_decoder(t->class_), io, op, status,
			    last, io->in != in || io->out != out))
		return status;
	return transform_error(t, EIO, "codec made no progress");
}

bool transform_defers(struct transform *t, enum transform_status status,
		      bool moved)
{
	if ((t->class_->flags & TRANSFORM_DEFERS) == 0)
		return false;
	if (t->class_->get_pending != NULL)
		return t->class_->get_pending(t) > 0;
	return moved || status != TRANSFORM_NEED_IN;
}

bool transform_start_thread(struct transform *t, pthread_t *thread,
			    void *(*main)(void *), void *context)
{
	int error = thread_start(thread, main, context);

	if (error == 0)
		return true;
	/* EAGAIN would say that one may try again */
	(void)transform_error(t, ENOMEM, "cannot start a thread: %s",
			      strerror(error));
	return false;
}

enum transform_status transform_error_forked(struct transform *t)
{
	return transform_error(t, EPERM,
			       "its threads did not come along by fork(): "
			       "streams with threads are to be made in the "
			       "process that uses them");
}
