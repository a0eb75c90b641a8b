/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_WIRE_TEXT_H
#define BOBBIN_WIRE_TEXT_H

/* Copying text, and looking in the same pass for what the SMTP wire form treats in a
   special way: what codecs of mail spend their time with. Not installed. */

#include "types.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* A LF without a CR before it, or a dot where some server may take it for the first
   byte of a line. */
static inline bool is_wire_special(unsigned char before, unsigned char c)
{
	return c == '\n' ? before != '\r' :
			   c == '.' && (before == '\n' || before == '\r');
}

/* Puts out what must come before a special byte. */
static inline unsigned char *
put_wire_special(unsigned char *out, unsigned char before, unsigned char c)
{
	if (c == '\n') {
		*out++ = '\r';
		return out;
	}
	/* some server may take a lone CR for a line end, and the dot behind it
	   for one that begins a line: so it shall be */
	if (before == '\r')
		*out++ = '\n';
	*out++ = '.';
	return out;
}

/* Bytes that are looked at together. */
#define WIRE_BLOCK 64

#if defined(__SSE2__)
/* The special ones of 16 bytes, a bit each; in[-1] must be there to read. */
static inline unsigned int wire_special_16(const unsigned char *in)
{
	__m128i c = _mm_loadu_si128((const void *)in);
	__m128i before = _mm_loadu_si128((const void *)(in - 1));
	__m128i lf = _mm_set1_epi8('\n');
	__m128i behind_cr = _mm_cmpeq_epi8(before, _mm_set1_epi8('\r'));
	__m128i behind_end =
		_mm_or_si128(behind_cr, _mm_cmpeq_epi8(before, lf));
	__m128i special = _mm_or_si128(
		_mm_andnot_si128(behind_cr, _mm_cmpeq_epi8(c, lf)),
		_mm_and_si128(behind_end,
			      _mm_cmpeq_epi8(c, _mm_set1_epi8('.'))));

	return (unsigned int)_mm_movemask_epi8(special);
}
#endif

/* The special ones of a block, a bit each, from the first byte's, the lowest, on;
   in[-1] must be there to read. */
static inline uint64_t wire_special(const unsigned char *in)
{
	uint64_t mask = 0;
	unsigned int i;

#if defined(__SSE2__)
	for (i = 0; i < WIRE_BLOCK; i += 16)
		mask |= (uint64_t)wire_special_16(in + i) << i;
#else
	for (i = 0; i < WIRE_BLOCK; i++)
		mask |= (uint64_t)is_wire_special((in + i)[-1], in[i]) << i;
#endif
	return mask;
}

/* Copies bytes as long as they are not special, at most `size`: how many. in[-1] must
   be there to read; out may be overwritten up to `size`. */
static inline size_t copy_wire_text(unsigned char *out, const unsigned char *in,
				    size_t size)
{
	size_t i = 0;

	for (; size - i >= WIRE_BLOCK; i += WIRE_BLOCK) {
		uint64_t mask = wire_special(in + i);

		memcpy(out + i, in + i, WIRE_BLOCK);
		if (mask != 0)
			return i + (size_t)__builtin_ctzll(mask);
	}
	for (; i < size && !is_wire_special((in + i)[-1], in[i]); i++)
		out[i] = in[i];
	return i;
}

#endif
