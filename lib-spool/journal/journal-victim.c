/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which segment is emptied next: that of which least is left, or on a full disk by which most
   is won with the room that there is. */

#include "config.h"
#include "journal/journal-victim.h"
#include "macros.h"

/* See is_worth_room(). */
#define ROOM_PART 32

/* Of those that are left in it, or a little more. With the mutex. */
static uint64_t bytes_left(const struct journal_segment *segment)
{
	return segment->total == 0 ?
		0 :
		segment->taken / segment->total * segment->live;
}

/* What is left in a small one would be moved into a whole one, so that it is of the reserve
   again; from one small one to another it would go round and round. With the mutex. */
static bool is_to_be_free(const struct journal *journal,
			  const struct journal_segment *segment)
{
	return journal_is_small(journal, segment) && journal->active != NULL &&
		!journal_is_small(journal, journal->active);
}

/* Half a block for each batch, which is of two records a message, and one for the last. */
uint64_t journal_victim_padding(uint64_t records)
{
	return records / (4 * JOURNAL_VICTIM_BATCH) * JOURNAL_BLOCK_SIZE +
		JOURNAL_BLOCK_SIZE;
}

/* What is in it would take so much in another one: the tombstones, of which all may be
   needed, are packed there. With the mutex. */
static uint64_t bytes_needed(const struct journal_segment *segment)
{
	return bytes_left(segment) + journal_victim_padding(segment->live) +
		segment->tombstones * JOURNAL_TOMBSTONE_SIZE;
}

/* With the mutex. */
static uint64_t bytes_won(const struct journal_segment *segment)
{
	uint64_t written = segment->pos - JOURNAL_BLOCK_SIZE;

	return written - I_MIN(written, bytes_needed(segment));
}

/* On a full disk, where little can be written: what is moved leaves a part of that to who
   removes meanwhile. Where space is wanted it is enough that a part of the segment is
   won. With the mutex. */
static bool is_worth_room(const struct journal *journal,
			  const struct journal_segment *segment, uint64_t room)
{
	uint64_t written = segment->pos - JOURNAL_BLOCK_SIZE;

	if (segment->stuck || bytes_left(segment) > room - room / ROOM_PART)
		return false;
	return journal_half_empty(segment) || is_to_be_free(journal, segment) ||
		(journal->space_wanted &&
		 bytes_won(segment) >= written / ROOM_PART);
}

/* What is moved of one that is not kept for removals takes little of what is, since that has
   to be several segments: tombstones are carried from one to another. */
static uint64_t most_for_removals(const struct journal *journal,
				  const struct journal_segment *segment,
				  uint64_t room)
{
	if (!journal_is_piece(journal, segment))
		room /= 4;
	return I_MIN(room, journal_reserve_worth(journal, segment));
}

/* What keeps the tombstones beside it from being carried, in one of those that are kept for
   them; or what is little beside what is won, though records need not be alike. With the
   mutex. */
static bool is_in_the_way(const struct journal *journal,
			  const struct journal_segment *segment, uint64_t room)
{
	return journal->space_wanted && !segment->stuck &&
		bytes_needed(segment) <=
		most_for_removals(journal, segment, room);
}

/* A start found it without an end, and another one was begun: of what it takes up half is
   nobody's. What it is moved into will have an end, so that it does not go round. With the
   mutex. */
static bool ended_early(const struct journal_segment *segment)
{
	return !segment->sealed && !segment->failed &&
		bytes_left(segment) <=
		(segment->header.size - JOURNAL_BLOCK_SIZE) / 2;
}

static bool may_move(const struct journal *journal,
		     const struct journal_segment *segment,
		     const struct journal_rooms *rooms)
{
	if (segment == NULL || segment == journal->active || segment->kept ||
	    segment->live == 0)
		return false;
	if (rooms->pack == UINT64_MAX)
		return journal_half_empty(segment) || ended_early(segment);
	return is_worth_room(journal, segment, rooms->pack) ||
		is_in_the_way(journal, segment, rooms->free);
}

static bool is_better(const struct journal_segment *segment,
		      const struct journal_segment *best,
		      const struct journal_rooms *rooms)
{
	if (best == NULL)
		return true;
	return rooms->pack == UINT64_MAX ? segment->live < best->live :
					   bytes_won(segment) > bytes_won(best);
}

/* The one of which least is left; where there is little room, by which most is won. With the
   mutex. */
static struct journal_segment *choose(const struct journal *journal,
				      const struct journal_rooms *rooms)
{
	struct journal_segment *segment, *best = NULL;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (may_move(journal, segment, rooms) &&
		    is_better(segment, best, rooms))
			best = segment;
	}
	return best;
}

bool journal_victim_find(struct journal *journal,
			 const struct journal_rooms *rooms,
			 struct journal_victim *victim_r)
{
	const struct journal_segment *segment;

	(void)pthread_mutex_lock(&journal->mutex);
	segment = choose(journal, rooms);
	if (segment != NULL) {
		victim_r->segment = *segment;
		victim_r->for_removals = rooms->pack != UINT64_MAX &&
			!is_worth_room(journal, segment, rooms->pack);
		victim_r->most = victim_r->for_removals ?
			most_for_removals(journal, segment, rooms->free) :
			rooms->pack;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return segment != NULL;
}
