/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* All messages, in the order in which they are on the disk: who looks into each of them reads
   one segment after the other, and not a page here and there. In the index their order is
   that of their ids, which is none. */

#include "config.h"
#include "journal/journal-index.h"
#include "macros.h"
#include "mem.h"

#include <stdlib.h>

/* So many are put in order at a time, 16 bytes each: more go over the disk once more. */
#define SPOTS_MAX ((size_t)1024 * 1024)
/* Where there is no memory for them. */
#define SPOTS_LEAST 64

struct walk {
	struct journal_index *index;
	bool old;
	journal_entry_t *callback;
	void *context;
};

static uint64_t place_on_disk(const struct journal_spot *spot)
{
	return (uint64_t)spot->headers.segment << 32 | spot->headers.offset;
}

static int by_place(const void *_a, const void *_b)
{
	const uint64_t a = place_on_disk(_a), b = place_on_disk(_b);

	return a < b ? -1 : a > b;
}

static size_t collect(struct journal_index *index,
		      struct journal_cursor *cursor, struct journal_spot *spots,
		      size_t room)
{
	size_t count = 0;

	while (count < room && cursor->shard < JOURNAL_SHARDS)
		count += journal_index_spots(index, cursor, spots + count,
					     room - count);
	return count;
}

/* Without a lock while the callback runs: it may change what is there. False: it wants no
   more. */
static bool call_back(const struct walk *walk, const struct journal_spot *spots,
		      size_t count)
{
	struct journal_entry entry;
	size_t i;

	for (i = 0; i < count; i++) {
		if (journal_index_take(walk->index, &spots[i].at, walk->old,
				       &entry) &&
		    !walk->callback(&entry, walk->context))
			return false;
	}
	return true;
}

static void walk_all(const struct walk *walk, struct journal_spot *spots,
		     size_t room)
{
	struct journal_cursor cursor = { 0, 0 };
	size_t count;

	do {
		count = collect(walk->index, &cursor, spots, room);
		qsort(spots, count, sizeof(*spots), by_place);
	} while (call_back(walk, spots, count) &&
		 cursor.shard < JOURNAL_SHARDS);
}

void journal_index_for_each(struct journal_index *index, bool old,
			    journal_entry_t *callback, void *context)
{
	const struct walk walk = { index, old, callback, context };
	size_t room = I_MIN(journal_index_slots(index), SPOTS_MAX);
	struct journal_spot *spots, few[SPOTS_LEAST];

	if (room == 0)
		return;
	while ((spots = try_malloc(room * sizeof(*spots))) == NULL &&
	       room > SPOTS_LEAST)
		room /= 2;
	if (spots == NULL)
		walk_all(&walk, few, SPOTS_LEAST);
	else
		walk_all(&walk, spots, room);
	i_free(spots);
}
