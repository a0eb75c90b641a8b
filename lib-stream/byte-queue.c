/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "byte-queue.h"
#include "block-cache.h"
#include "iostream-private.h"

#include <string.h>

/* Gives the memory back, and keeps the counters. */
static void byte_queue_put(struct byte_queue *queue)
{
	block_put(&queue->data, queue->alloc, queue->secret ? queue->dirty : 0);
	queue->alloc = 0;
	queue->dirty = 0;
	queue->append_limit = 0;
}

/* A block that holds `size` bytes: one of the cached size, or the next power of
   two. 0: there is no such size. */
static size_t byte_queue_good_size(size_t size)
{
	size_t alloc = IO_BLOCK_SIZE;

	while (alloc < size) {
		if (alloc > SIZE_MAX / 2)
			return 0;
		alloc *= 2;
	}
	return alloc;
}

unsigned char *byte_queue_reserve(struct byte_queue *queue, size_t size)
{
	size_t used = byte_queue_used(queue), alloc;
	unsigned char *data;

	if (queue->alloc - queue->end >= size && queue->data != NULL)
		return queue->data + queue->end;
	if (queue->alloc - used >= size && queue->data != NULL) {
		memmove(queue->data, queue->data + queue->start, used);
	} else {
		alloc = byte_queue_good_size(size_add_saturate(used, size));
		data = alloc == 0 ? NULL : block_get(alloc);
		if (data == NULL)
			return NULL;
		if (used > 0)
			memcpy(data, byte_queue_data(queue), used);
		byte_queue_put(queue);
		queue->data = data;
		queue->alloc = alloc;
	}
	queue->start = 0;
	queue->end = used;
	queue->dirty = I_MAX(queue->dirty, used);
	return queue->data + queue->end;
}

void byte_queue_add(struct byte_queue *queue, size_t size)
{
	i_assert(size <= queue->alloc - queue->end);
	queue->end += size;
	queue->dirty = I_MAX(queue->dirty, queue->end);
}

void byte_queue_open(struct byte_queue *queue, size_t room)
{
	/* one more: it is what `end` stays below */
	queue->append_limit =
		queue->end + I_MIN(room, queue->alloc - queue->end) + 1;
	queue->dirty = I_MAX(queue->dirty, queue->append_limit - 1);
}

void byte_queue_skip(struct byte_queue *queue, size_t size)
{
	i_assert(size <= byte_queue_used(queue));
	queue->start += size;
	if (queue->start == queue->end)
		queue->start = queue->end = 0;
}

void byte_queue_relax(struct byte_queue *queue)
{
	if (queue->start == queue->end)
		byte_queue_free(queue);
}

void byte_queue_free(struct byte_queue *queue)
{
	queue->start = queue->end = 0;
	byte_queue_put(queue);
}
