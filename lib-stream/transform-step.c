/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "transform-step.h"

#include <errno.h>

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
