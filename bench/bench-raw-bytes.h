/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BENCH_RAW_BYTES_H
#define BENCH_RAW_BYTES_H

#include "bench.h"

/* Bytes moved without any stream. */

/* out=FILE: each piece by a write(2) of its own. */
void raw_write_pieces(struct bench *b);
/* out=FILE: pieces copied into a block, and that written: what a stream that is corked
   cannot do without. */
void raw_write_blocks(struct bench *b);
/* Pieces copied into memory that is there. */
void raw_copy_pieces(struct bench *b);
/* in=FILE: a block is read, and each line of it gets its NUL where it is. */
void raw_read_lines(struct bench *b);

#endif
