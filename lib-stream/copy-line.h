/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_COPY_LINE_H
#define BOBBIN_COPY_LINE_H

/* Copying a line and looking for its end in the same pass. Not installed. */

#include "types.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define COPY_LINE_BLOCK 64
#define COPY_LINE_NONE SIZE_MAX

/* The LFs of a block, a bit each. */
static inline uint64_t line_ends(const unsigned char *in)
{
	uint64_t mask = 0;
	unsigned int i;

#if defined(__SSE2__)
	for (i = 0; i < COPY_LINE_BLOCK; i += 16) {
		__m128i c = _mm_loadu_si128((const void *)(in + i));
		__m128i lf = _mm_cmpeq_epi8(c, _mm_set1_epi8('\n'));

		mask |= (uint64_t)(unsigned int)_mm_movemask_epi8(lf) << i;
	}
#else
	for (i = 0; i < COPY_LINE_BLOCK; i++)
		mask |= (uint64_t)(in[i] == '\n') << i;
#endif
	return mask;
}

/* Copies whole blocks up to the one that has a LF: where that is, or COPY_LINE_NONE:
   not in the blocks that `size` bytes have. All of the size may be read and written. */
static inline size_t copy_line(unsigned char *out, const unsigned char *in,
			       size_t size)
{
	size_t i;

	for (i = 0; size - i >= COPY_LINE_BLOCK; i += COPY_LINE_BLOCK) {
		uint64_t mask = line_ends(in + i);

		memcpy(out + i, in + i, COPY_LINE_BLOCK);
		if (mask != 0)
			return i + (size_t)__builtin_ctzll(mask);
	}
	return COPY_LINE_NONE;
}

#endif
