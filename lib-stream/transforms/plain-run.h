/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_PLAIN_RUN_H
#define BOBBIN_PLAIN_RUN_H

/* Runs of bytes that stand for themselves, most of what there is in the texts that
   some transforms escape. Not installed. */

#include "transform.h"
#include "macros.h"

#include <string.h>

/* How many bytes of the input are plain, before the first that is not; so many as may
   be put out, and `max` at most. */
static inline size_t plain_run(const struct transform_io *io, size_t max,
			       bool (*is_plain)(unsigned char c))
{
	size_t size = 0;

	max = I_MIN(max, (size_t)(io->in_end - io->in));
	max = I_MIN(max, (size_t)(io->out_end - io->out));
	while (size < max && is_plain(io->in[size]))
		size++;
	return size;
}

static inline void copy_run(struct transform_io *io, size_t size)
{
	if (size == 0)
		return;
	memcpy(io->out, io->in, size);
	io->in += size;
	io->out += size;
}

#endif
