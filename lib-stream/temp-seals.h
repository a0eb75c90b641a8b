/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TEMP_SEALS_H
#define BOBBIN_TEMP_SEALS_H

/* Which number each chunk of an encrypted temporary file was sealed with last. It
   takes memory for the chunks that were, wherever they are: at most 43 bytes each
   (and half as much again while it grows). Not installed. */

#include "types.h"

struct temp_seals {
	/* open addressing: a power of two of places, at most 3/4 of them taken */
	struct temp_seal *places;
	size_t size, used;
};

/* Room for one more chunk, if `chunk` is not there. 0, or -1 with ENOMEM. */
int temp_seals_reserve(struct temp_seals *seals, uint64_t chunk);
/* The number of a chunk, which is not 0; there must be room for it. */
void temp_seals_set(struct temp_seals *seals, uint64_t chunk, uint64_t number);
/* 0: it was never sealed. */
uint64_t temp_seals_get(const struct temp_seals *seals,
			uint64_t chunk) ATTR_PURE;
/* One that is all zeros is empty; this makes it so again. */
void temp_seals_free(struct temp_seals *seals);

#endif
