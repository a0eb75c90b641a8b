/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-chunks.h"
#include "block-cache.h"
#include "macros.h"

#include <errno.h>
#include <string.h>

bool age_chunk_alloc(struct age_chunk *chunk, struct transform *t)
{
	if (chunk->data == NULL)
		chunk->data = block_get(AGE_SEALED_CHUNK_SIZE);
	if (chunk->data == NULL)
		(void)transform_error(t, ENOMEM, "out of memory");
	return chunk->data != NULL;
}

void age_chunk_free(struct age_chunk *chunk)
{
	block_put(&chunk->data, AGE_SEALED_CHUNK_SIZE, chunk->dirty);
	memset(chunk, 0, sizeof(*chunk));
}

void age_chunk_gather(struct age_chunk *chunk, struct transform_io *io,
		      size_t want)
{
	size_t size = I_MIN(want - chunk->have, age_in_size(io));

	memcpy(chunk->data + chunk->have, io->in, size);
	chunk->have += size;
	chunk->dirty = I_MAX(chunk->dirty, chunk->have);
	io->in += size;
}

bool age_chunk_drain(struct age_chunk *chunk, struct transform_io *io)
{
	size_t size = I_MIN(chunk->out_end - chunk->out_pos, age_out_size(io));

	if (size > 0)
		memcpy(io->out, chunk->data + chunk->out_pos, size);
	io->out += size;
	chunk->out_pos += size;
	if (chunk->out_pos < chunk->out_end)
		return false;
	chunk->out_pos = chunk->out_end = 0;
	return true;
}
