/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_BLOCK_CACHE_H
#define BOBBIN_BLOCK_CACHE_H

/* Buffers of IO_BLOCK_SIZE come and go with every message, and fresh memory is
   expensive (the kernel zeroes each page). A few of them are kept per thread
   and freed when it ends. Not installed. */

#include "iostream-private.h"

/* One block serves a plain buffer and one with a codec's few bytes more (a chunk
   of age's with its tag). Sizes from IO_BLOCK_SIZE to this are kept. */
#define BLOCK_SIZE_MAX (IO_BLOCK_SIZE + 64)

/* `size` bytes of memory with any content, from IO_BLOCK_SIZE on at a multiple of
   I_ALIGN_BLOCK; NULL without memory. */
unsigned char *block_get(size_t size) ATTR_WARN_UNUSED_RESULT;
/* Gives it back, and sets the pointer to NULL; the size must be the one that
   was asked for. The first wipe_size bytes are wiped. NULL is allowed. */
void block_put(unsigned char **block, size_t size, size_t wipe_size);
/* Frees what this thread keeps. */
void block_cache_trim(void);

#endif
