/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Copies always take a whole block along, which is cheaper than to ask how much of it
   is wanted: what is too much lies in the input and in the room, and is overwritten
   by what comes next. */

#include "config.h"
#include "dot-blocks.h"
#include "wire-text.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_AVX2_BLOCKS
#include <immintrin.h>
#endif

/* A byte becomes three at most, and a copy goes a block too far. */
static inline bool has_block(const struct transform_io *io,
			     const unsigned char *in, const unsigned char *out)
{
	return io->in_end - in >= 2 * WIRE_BLOCK &&
		io->out_end - out >= 4 * WIRE_BLOCK;
}

/* Any block, whatever is special in it: where the output of it ends. */
static unsigned char *encode_any_block(unsigned char *out,
				       const unsigned char *in)
{
	const unsigned char *start = in, *special;
	uint64_t mask = wire_special(in);

	memcpy(out, in, WIRE_BLOCK);
	for (; mask != 0; mask &= mask - 1) {
		special = start + __builtin_ctzll(mask);
		out = put_wire_special(out + (special - in), special[-1],
				       *special);
		in = special;
		memcpy(out, in, WIRE_BLOCK);
	}
	return out + (start + WIRE_BLOCK - in);
}

void dot_encode_blocks_portable(struct transform_io *io)
{
	for (; has_block(io, io->in, io->out); io->in += WIRE_BLOCK)
		io->out = encode_any_block(io->out, io->in);
}

#ifdef HAVE_AVX2_BLOCKS
#define AVX2 BOBBIN_TARGET("avx2,bmi")
/* So far ahead the input is fetched: a page, where the CPU's own look-ahead ends. What
   is not memory there is not fetched, without an error. */
#define FETCH_AHEAD 4096

/* The LFs without a CR of 32 bytes, a bit each; where a dot is special is in
   *dots_r. */
static inline AVX2 unsigned int find_lfs(const unsigned char *in,
					 __m256i *dots_r)
{
	__m256i c = _mm256_loadu_si256((const void *)in);
	__m256i before = _mm256_loadu_si256((const void *)(in - 1));
	__m256i lf = _mm256_set1_epi8('\n');
	__m256i behind_cr = _mm256_cmpeq_epi8(before, _mm256_set1_epi8('\r'));
	__m256i behind_end =
		_mm256_or_si256(behind_cr, _mm256_cmpeq_epi8(before, lf));

	*dots_r = _mm256_and_si256(behind_end,
				   _mm256_cmpeq_epi8(c, _mm256_set1_epi8('.')));
	return (unsigned int)_mm256_movemask_epi8(
		_mm256_andnot_si256(behind_cr, _mm256_cmpeq_epi8(c, lf)));
}

static inline AVX2 void copy_block(unsigned char *out, const unsigned char *in)
{
	__m256i a = _mm256_loadu_si256((const void *)in);
	__m256i b = _mm256_loadu_si256((const void *)(in + 32));

	_mm256_storeu_si256((void *)out, a);
	_mm256_storeu_si256((void *)(out + 32), b);
}

/* Up to `place` the block is out: a CR goes there, and the rest behind it; at
   WIRE_BLOCK there is neither. */
static inline AVX2 unsigned char *put_cr(unsigned char *out,
					 const unsigned char *in, size_t place)
{
	*out = '\r';
	out += (place / WIRE_BLOCK) ^ 1;
	copy_block(out, in + place);
	return out;
}

/* Lines of mail are about as long as a block, so that mostly there are none, one or
   two LFs in it: with a branch for each, every other one would be predicted wrongly,
   and take longer than the work. */
static AVX2 void encode_blocks_avx2(struct transform_io *io)
{
	const unsigned char *in = io->in;
	unsigned char *out = io->out;
	__m256i dots, more_dots;
	size_t place, last;
	uint64_t lfs;

	for (; has_block(io, in, out); in += WIRE_BLOCK) {
		__builtin_prefetch((const void *)((uintptr_t)in + FETCH_AHEAD));
		lfs = find_lfs(in, &dots);
		lfs |= (uint64_t)find_lfs(in + 32, &more_dots) << 32;
		dots = _mm256_or_si256(dots, more_dots);
		if (BOBBIN_UNLIKELY(!_mm256_testz_si256(dots, dots))) {
			out = encode_any_block(out, in);
			continue;
		}
		/* WIRE_BLOCK where there is none */
		copy_block(out, in);
		place = (size_t)_tzcnt_u64(lfs);
		out = put_cr(out + place, in, place);
		do {
			last = place;
			lfs = _blsr_u64(lfs);
			place = (size_t)_tzcnt_u64(lfs);
			out = put_cr(out + (place - last), in, place);
		} while (BOBBIN_UNLIKELY(_blsr_u64(lfs) != 0));
		out += WIRE_BLOCK - place;
	}
	io->in = in;
	io->out = out;
}
#endif

void dot_encode_blocks(struct transform_io *io)
{
#ifdef HAVE_AVX2_BLOCKS
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")) {
		encode_blocks_avx2(io);
		return;
	}
#endif
	dot_encode_blocks_portable(io);
}
