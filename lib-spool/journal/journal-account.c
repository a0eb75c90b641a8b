/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which segments are needed. One is as long as a record of it is a message's, and as
   long as one of its records overrules a record of a segment that is still there: a
   tombstone, or a newer version. If it went first, what it overruled would come
   back after the next start. */

#include "config.h"
#include "journal/journal-private.h"
#include "mem.h"
#include "panic.h"

#include <string.h>

/* A start could not give it its blocks: the next one tries it again. Until then its first block
   says that it has records, and nothing may be written behind that. */
static bool lacks_its_end(const struct journal_segment *segment)
{
	return segment->cut && !journal_segment_is_new(&segment->header);
}

bool journal_is_dead(const struct journal *journal,
		     const struct journal_segment *segment)
{
	return segment != NULL && segment != journal->active &&
		!segment->failed && !lacks_its_end(segment) &&
		segment->live == 0 && segment->outlives_count == 0;
}

bool journal_has_blocks(const struct journal *journal,
			const struct journal_segment *segment)
{
	return journal_is_dead(journal, segment) && !segment->cut;
}

bool journal_is_empty(const struct journal_segment *segment)
{
	return segment->blank && journal_segment_is_new(&segment->header);
}

bool journal_is_small(const struct journal *journal,
		      const struct journal_segment *segment)
{
	return segment->header.size < journal->settings.segment_size;
}

bool journal_is_of_tombstones(enum journal_use use)
{
	return use == JOURNAL_USE_CARRY || use == JOURNAL_USE_REMOVE;
}

bool journal_half_empty(const struct journal_segment *segment)
{
	uint64_t written = segment->pos - JOURNAL_BLOCK_SIZE;

	if (segment->live <= segment->total / 2)
		return true;
	/* those that are needed would have to be carried */
	return segment->outlives_count == 0 &&
		segment->taken * segment->live / segment->total <= written / 2;
}

void journal_account(struct journal *journal, const struct journal_place *place,
		     int change)
{
	struct journal_segment *segment;

	if (place->offset == 0)
		return;
	segment = journal->segments[place->segment];
	i_assert(change > 0 || segment->live > 0);
	segment->live += (uint64_t)(int64_t)change;
	if (segment->live == 0)
		segment->kept = false;
	if (change > 0)
		segment->total++;
	else if (segment != journal->active && journal_half_empty(segment))
		journal_worker_wake(journal->upkeep);
}

void journal_account_gone(struct journal *journal,
			  const struct journal_entry *old)
{
	journal->messages--;
	journal_account(journal, &old->headers, -1);
	journal_account(journal, &old->states, -1);
	journal_account(journal, &old->body, -1);
}

void journal_overrule(struct journal *journal, uint32_t by, uint32_t old)
{
	struct journal_segment *segment = journal->segments[by];
	uint32_t *outlives;
	unsigned int i;

	if (by == old)
		return;
	for (i = 0; i < segment->outlives_count; i++) {
		if (segment->outlives[i] == old)
			return;
	}
	outlives = try_realloc(segment->outlives, (i + 1) * sizeof(*outlives));
	if (outlives == NULL) {
		/* without a note it must not be written anew at all */
		segment->failed = true;
		return;
	}
	outlives[i] = old;
	segment->outlives = outlives;
	segment->outlives_count++;
}

static bool outlives(const struct journal_segment *segment, uint32_t number)
{
	unsigned int i;

	for (i = 0; i < segment->outlives_count; i++) {
		if (segment->outlives[i] == number)
			return true;
	}
	return false;
}

static void remove_number(struct journal_segment *segment, uint32_t number)
{
	unsigned int i;

	for (i = 0; i < segment->outlives_count; i++) {
		if (segment->outlives[i] == number) {
			segment->outlives[i] =
				segment->outlives[--segment->outlives_count];
			/* what held it may be gone */
			segment->kept = false;
			break;
		}
	}
}

void journal_forget_segment(struct journal *journal, uint32_t number)
{
	uint32_t i;

	journal_voids_forget(journal, journal->segments[number]);
	for (i = 0; i < journal->segment_end; i++) {
		if (journal->segments[i] != NULL)
			remove_number(journal->segments[i], number);
	}
}

/* What it has is on the disk until it is written anew: whoever overrules that outlives it as
   before. */
void journal_bequeath(struct journal *journal, struct journal_segment *from)
{
	uint32_t i;
	unsigned int n;

	for (i = 0; i < journal->segment_end; i++) {
		if (journal->segments[i] == NULL ||
		    !outlives(journal->segments[i], from->header.number))
			continue;
		for (n = 0; n < from->outlives_count; n++)
			journal_overrule(journal, i, from->outlives[n]);
	}
	from->outlives_count = 0;
}
