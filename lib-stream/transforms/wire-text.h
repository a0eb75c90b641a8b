/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_WIRE_TEXT_H
#define BOBBIN_WIRE_TEXT_H

/* Copying text, and looking in the same pass for what the SMTP wire form treats in a
   special way: what codecs of mail spend their time with. Not installed. */

#include "types.h"

#include <stddef.h>

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

/* Copies bytes as long as they are not special, at most `size`: how many. in[-1] must
   be there to read; out may be overwritten up to `size`. */
static inline size_t copy_wire_text(unsigned char *out, const unsigned char *in,
				    size_t size)
{
	size_t i = 0;

#if defined(__SSE2__)
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n'),
		      dot = _mm_set1_epi8('.');

	for (; size - i >= sizeof(__m128i); i += sizeof(__m128i)) {
		__m128i c = _mm_loadu_si128((const void *)(in + i));
		__m128i before = _mm_loadu_si128((const void *)(in + i - 1));
		__m128i behind_cr = _mm_cmpeq_epi8(before, cr);
		__m128i behind_end =
			_mm_or_si128(behind_cr, _mm_cmpeq_epi8(before, lf));
		__m128i special = _mm_or_si128(
			_mm_andnot_si128(behind_cr, _mm_cmpeq_epi8(c, lf)),
			_mm_and_si128(behind_end, _mm_cmpeq_epi8(c, dot)));
		unsigned int mask = (unsigned int)_mm_movemask_epi8(special);

		_mm_storeu_si128((void *)(out + i), c);
		if (mask != 0)
			return i + (size_t)__builtin_ctz(mask);
	}
#endif
	for (; i < size && !is_wire_special((in + i)[-1], in[i]); i++)
		out[i] = in[i];
	return i;
}

#endif
