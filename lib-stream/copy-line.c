/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "copy-line.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2_LINES
#include <immintrin.h>
#endif

size_t copy_line_portable(unsigned char *out, const unsigned char *in,
			  size_t size)
{
	const unsigned char *lf = size == 0 ? NULL : memchr(in, '\n', size);

	if (lf == NULL)
		return COPY_LINE_NONE;
	size = (size_t)(lf - in);
	memcpy(out, in, size);
	return size;
}

#ifdef HAVE_AVX2_LINES
#define AVX2 BOBBIN_TARGET("avx2,bmi")
#define BLOCK ((size_t)128)

static inline AVX2 uint64_t copy_32(unsigned char *out, const unsigned char *in)
{
	__m256i c = _mm256_loadu_si256((const void *)in);
	__m256i lf = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('\n'));

	_mm256_storeu_si256((void *)out, c);
	return (unsigned int)_mm256_movemask_epi8(lf);
}

/* Whole blocks only. A line of mail is shorter than one, mostly: to ask for each part
   of it would cost more, since the answer cannot be predicted. */
static AVX2 size_t copy_line_avx2(unsigned char *out, const unsigned char *in,
				  size_t size)
{
	uint64_t first, second;
	size_t i;

	for (i = 0; size - i >= BLOCK; i += BLOCK) {
		first = copy_32(out + i, in + i);
		first |= copy_32(out + i + 32, in + i + 32) << 32;
		second = copy_32(out + i + 64, in + i + 64);
		second |= copy_32(out + i + 96, in + i + 96) << 32;
		if (BOBBIN_LIKELY((first | second) != 0)) {
			/* 64 where there is none */
			size_t a = (size_t)_tzcnt_u64(first);
			size_t b = (size_t)_tzcnt_u64(second);

			return i + (first != 0 ? a : 64 + b);
		}
	}
	return COPY_LINE_NONE;
}
#endif

size_t copy_line(unsigned char *out, const unsigned char *in, size_t size)
{
#ifdef HAVE_AVX2_LINES
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
		return copy_line_avx2(out, in, size);
#endif
	return copy_line_portable(out, in, size);
}
