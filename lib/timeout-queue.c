/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "mem.h"
#include "panic.h"
#include "timeout-queue.h"

#define MIN_ALLOC 16

static bool earlier(const struct timeout_entry *a,
		    const struct timeout_entry *b)
{
	return a->due != b->due ? a->due < b->due : a->number < b->number;
}

static void put(struct timeout_queue *queue, size_t pos,
		struct timeout_entry *entry)
{
	queue->heap[pos] = entry;
	entry->pos = pos;
}

/* The entry belongs at pos or nearer to the top. */
static void move_up(struct timeout_queue *queue, size_t pos,
		    struct timeout_entry *entry)
{
	size_t parent;

	for (; pos > 0; pos = parent) {
		parent = (pos - 1) / 2;
		if (!earlier(entry, queue->heap[parent]))
			break;
		put(queue, pos, queue->heap[parent]);
	}
	put(queue, pos, entry);
}

/* The entry belongs at pos or farther from the top. */
static void move_down(struct timeout_queue *queue, size_t pos,
		      struct timeout_entry *entry)
{
	size_t child;

	while ((child = 2 * pos + 1) < queue->count) {
		if (child + 1 < queue->count &&
		    earlier(queue->heap[child + 1], queue->heap[child]))
			child++;
		if (!earlier(queue->heap[child], entry))
			break;
		put(queue, pos, queue->heap[child]);
		pos = child;
	}
	put(queue, pos, entry);
}

int timeout_queue_add(struct timeout_queue *queue, struct timeout_entry *entry)
{
	size_t alloc = queue->alloc > 0 ? queue->alloc * 2 : MIN_ALLOC;
	void *heap;

	if (queue->count == queue->alloc) {
		heap = try_realloc(queue->heap, alloc * sizeof(*queue->heap));
		if (heap == NULL)
			return -1;
		queue->heap = heap;
		queue->alloc = alloc;
	}
	entry->number = queue->added++;
	move_up(queue, queue->count++, entry);
	return 0;
}

void timeout_queue_remove(struct timeout_queue *queue,
			  struct timeout_entry *entry)
{
	struct timeout_entry *last;

	i_assert(entry->pos < queue->count && queue->heap[entry->pos] == entry);
	last = queue->heap[--queue->count];
	if (last == entry)
		return;
	/* the last one takes its place, and from there its own */
	if (earlier(last, entry))
		move_up(queue, entry->pos, last);
	else
		move_down(queue, entry->pos, last);
}

struct timeout_entry *timeout_queue_first(const struct timeout_queue *queue)
{
	return queue->count > 0 ? queue->heap[0] : NULL;
}

void timeout_queue_free(struct timeout_queue *queue)
{
	i_free(queue->heap);
	queue->heap = NULL;
	queue->count = queue->alloc = 0;
}
