/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_BENCH_H
#define BOBBIN_BENCH_H

/* What the benchmark's programs share: a program per library, each with a table of
   works by name. run.py starts them in turn; a program does one work once and
   prints one line about it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bench {
	/* What is sent: the corpus, and where each of its messages ends. Pieces
	   come out of its first window=SIZE bytes (all, where it is not given):
	   what a program sends it has mostly just made, so it is in a cache. */
	const unsigned char *data;
	size_t size, window;
	const size_t *ends;
	size_t messages;

	/* From the command line: bytes of a send, bytes in all (rounded up to
	   whole pieces or messages), a codec and its level, files. */
	size_t piece;
	uint64_t total;
	const char *codec;
	int level;
	/* a stack's spec, and a layer that is no part of specs */
	const char *spec, *layer;
	const char *in_path, *out_path, *key_path;
	/* of a spool: which native store, how many threads write, and the bytes
	   that a message takes in a journal */
	const char *store;
	unsigned int writers;
	size_t record;

	/* Results. A work counts what it did; out_bytes only where that differs
	   from bytes. */
	uint64_t bytes, calls, out_bytes;
	size_t pos, stride, next_message;
};

typedef void bench_work_t(struct bench *b);

struct bench_work {
	const char *name;
	bench_work_t *run;
};

/* The program's main(): work=NAME and the parameters above as NAME=VALUE. Prints
   "bytes calls out_bytes wall_ns cpu_ns rss_kib" (the last: how much more memory was
   resident than at bench_start()) and returns an exit code. */
int bench_main(int argc, char *argv[], const struct bench_work *works);

/* Around what is measured. What lies before and behind (setting up, reading the
   corpus) is not; a work calls each once. */
void bench_start(void);
void bench_stop(void);

/* Ends the program: a benchmark of something that fails says nothing. */
#define bench_check(condition) \
	((condition) ? (void)0 : bench_fail(#condition, __FILE__, __LINE__))
_Noreturn void bench_fail(const char *what, const char *file, int line);

/* A number of memory's: allocations so far in this process. */
uint64_t bench_allocations(void);
/* Resident memory now, in bytes. */
size_t bench_resident(void);

/* A copy whose source and destination lie at the same place of their pages, or nearly
   so, is much slower than others (loads take the stores before them for their own).
   Where a buffer lies is luck; so large pieces are taken with gaps, and each lies
   elsewhere. */
#define BENCH_PAGE 4096
#define BENCH_GAP 64

/* The next piece of the corpus, which is read round and round. */
static inline const unsigned char *bench_piece(struct bench *b)
{
	const unsigned char *piece;

	if (b->pos + b->piece > b->window)
		b->pos = 0;
	piece = b->data + b->pos;
	b->pos += b->stride;
	return piece;
}

/* The next whole message. */
static inline const unsigned char *bench_message(struct bench *b, size_t *size)
{
	size_t i = b->next_message, start = i == 0 ? 0 : b->ends[i - 1];

	*size = b->ends[i] - start;
	b->next_message = i + 1 == b->messages ? 0 : i + 1;
	return b->data + start;
}

#endif
