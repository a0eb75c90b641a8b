/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TIMEOUT_QUEUE_H
#define BOBBIN_TIMEOUT_QUEUE_H

/* Points in time, the earliest first: a binary heap of entries that their
   owner embeds and keeps. Not installed. */

#include "types.h"

struct timeout_entry {
	uint64_t due; /* in any unit */

	/* private */
	uint64_t number; /* among equals, the one added first is first */
	size_t pos;      /* in the heap */
};

struct timeout_queue {
	struct timeout_entry **heap;
	size_t count, alloc;
	uint64_t added;
};

/* Adds the entry, whose due is set. -1 and errno ENOMEM; never for an entry
   that was removed just before. O(log n), as is removing. */
int timeout_queue_add(struct timeout_queue *queue, struct timeout_entry *entry);
void timeout_queue_remove(struct timeout_queue *queue,
			  struct timeout_entry *entry);
/* The earliest entry, NULL if there is none. */
struct timeout_entry *timeout_queue_first(const struct timeout_queue *queue);
/* Frees what the queue holds, not the entries. */
void timeout_queue_free(struct timeout_queue *queue);

#endif
