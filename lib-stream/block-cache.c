/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "block-cache.h"
#include "iostream-private.h"
#include "thread-exit.h"

#include <sodium.h>

/* Enough for a stack of three layers with a staging and a hold buffer each. */
#define BLOCK_CACHE_MAX 6

struct block_cache {
	unsigned int count;
	unsigned char *blocks[BLOCK_CACHE_MAX];
};

static _Thread_local struct block_cache thread_cache;

static bool is_block(size_t size)
{
	return size >= IO_BLOCK_SIZE && size <= BLOCK_SIZE_MAX;
}

void block_cache_trim(void)
{
	struct block_cache *cache = &thread_cache;

	while (cache->count > 0)
		i_free(cache->blocks[--cache->count]);
}

unsigned char *block_get(size_t size)
{
	struct block_cache *cache = &thread_cache;

	if (is_block(size) && cache->count > 0)
		return cache->blocks[--cache->count];
	if (size < IO_BLOCK_SIZE)
		return try_malloc(size);
	return try_malloc_block(is_block(size) ? BLOCK_SIZE_MAX : size);
}

void block_put(unsigned char **_block, size_t size, size_t wipe_size)
{
	struct block_cache *cache = &thread_cache;
	unsigned char *block = *_block;

	*_block = NULL;
	if (block == NULL)
		return;
	if (wipe_size > 0)
		sodium_memzero(block, wipe_size);
	if (is_block(size) && cache->count < BLOCK_CACHE_MAX &&
	    thread_exit_call(block_cache_trim))
		cache->blocks[cache->count++] = block;
	else
		i_free(block);
}
