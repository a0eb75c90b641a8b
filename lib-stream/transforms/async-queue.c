/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "async-private.h"
#include "mem.h"

#include <sodium.h>
#include <string.h>

void async_block_free(const struct async_transform *async,
		      struct async_block **block)
{
	if (*block != NULL && async->secret)
		sodium_memzero((*block)->data, (*block)->size);
	i_free(*block);
	*block = NULL;
}

void async_queue_add(struct async_queue *queue, struct async_block *block)
{
	if (queue->count++ == 0)
		queue->end = &queue->first;
	*queue->end = block;
	queue->end = &block->next;
}

struct async_block *async_queue_take(struct async_queue *queue)
{
	struct async_block *block = queue->first;

	if (block != NULL) {
		queue->first = block->next;
		block->next = NULL;
		queue->count--;
	}
	return block;
}

void async_queue_free(const struct async_transform *async,
		      struct async_queue *queue)
{
	struct async_block *block;

	while ((block = async_queue_take(queue)) != NULL)
		async_block_free(async, &block);
}

struct async_block *async_block_get(struct async_transform *async,
				    struct async_queue *spare, size_t room)
{
	struct async_block *block = NULL;

	if (room > 0) {
		(void)pthread_mutex_lock(&async->lock);
		block = async_queue_take(spare);
		(void)pthread_mutex_unlock(&async->lock);
	}
	if (block == NULL) {
		block = try_malloc(sizeof(*block) + room);
		if (block == NULL)
			return NULL;
	}
	memset(block, 0, sizeof(*block));
	block->room = room;
	return block;
}

void async_block_put(struct async_transform *async, struct async_queue *spare,
		     struct async_block **block)
{
	if ((*block)->room == 0) {
		async_block_free(async, block);
		return;
	}
	if (async->secret)
		sodium_memzero((*block)->data, (*block)->size);
	(*block)->size = 0;
	async_queue_add(spare, *block);
	*block = NULL;
}
