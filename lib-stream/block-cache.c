/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "block-cache.h"
#include "iostream-private.h"

#include <pthread.h>
#include <sodium.h>

/* Enough for a stack of three layers with a staging and a hold buffer each. */
#define BLOCK_CACHE_MAX 6

struct block_cache {
	unsigned int count;
	unsigned char *blocks[BLOCK_CACHE_MAX];
};

static _Thread_local struct block_cache thread_cache;
static pthread_once_t thread_exit_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_exit_key;
static bool thread_exit_ok;

void block_cache_trim(void)
{
	struct block_cache *cache = &thread_cache;

	while (cache->count > 0)
		i_free(cache->blocks[--cache->count]);
}

static void thread_exit(void *context ATTR_UNUSED)
{
	block_cache_trim();
}

static void thread_exit_init(void)
{
	thread_exit_ok = pthread_key_create(&thread_exit_key, thread_exit) == 0;
}

/* The key's value only has to be non-NULL for thread_exit() to be called. */
static bool thread_exit_watch(struct block_cache *cache)
{
	if (pthread_once(&thread_exit_once, thread_exit_init) != 0 ||
	    !thread_exit_ok)
		return false;
	return pthread_setspecific(thread_exit_key, cache) == 0;
}

unsigned char *block_get(size_t size)
{
	struct block_cache *cache = &thread_cache;

	if (size == IO_BLOCK_SIZE && cache->count > 0)
		return cache->blocks[--cache->count];
	return try_malloc(size);
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
	if (size == IO_BLOCK_SIZE && cache->count < BLOCK_CACHE_MAX &&
	    thread_exit_watch(cache))
		cache->blocks[cache->count++] = block;
	else
		i_free(block);
}
