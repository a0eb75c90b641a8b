/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_AGE_CHUNKS_H
#define BOBBIN_AGE_CHUNKS_H

/* A chunk of an age file on its way: gathered from `in` windows, or waiting for
   `out` ones. Not installed. */

#include "age-crypto.h"
#include "transform.h"

/* Zeroed: none. */
struct age_chunk {
	unsigned char *data; /* room for AGE_SEALED_CHUNK_SIZE bytes, or NULL */
	size_t dirty;        /* how far it was ever written */
	size_t have;         /* gathered */
	size_t out_pos, out_end; /* finished bytes that wait */
};

/* Makes sure that there is memory; false: the transform has the error. */
bool age_chunk_alloc(struct age_chunk *chunk,
		     struct transform *t) ATTR_WARN_UNUSED_RESULT;
/* Drops all, and wipes: plain text was in it. */
void age_chunk_free(struct age_chunk *chunk);
/* Gathers up to `want` bytes in all. */
void age_chunk_gather(struct age_chunk *chunk, struct transform_io *io,
		      size_t want);
/* Puts out what waits; whether nothing waits any more. */
bool age_chunk_drain(struct age_chunk *chunk, struct transform_io *io);

static inline size_t age_in_size(const struct transform_io *io)
{
	return (size_t)(io->in_end - io->in);
}

static inline size_t age_out_size(const struct transform_io *io)
{
	return (size_t)(io->out_end - io->out);
}

#endif
