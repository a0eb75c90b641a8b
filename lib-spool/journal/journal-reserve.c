/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is kept for who removes messages where the disk is full. A removal that comes alone
   takes a block, and 32 of them would have room in it: so there are two small segments, the
   pieces, that nobody stores anything in. When one is full of removals they are carried
   into the other, which takes a block for 32, and it is empty again. A journal of many
   segments keeps whole ones, too: into those what is left of others is moved.

   Each use leaves something to those that come before it in their enumeration, as they give
   back more. */

#include "config.h"
#include "journal/journal-private.h"
#include "macros.h"

#define PIECES 2
/* Each is this part of a segment; where that is too small for one, so much is left free in
   the segment that is written. */
#define RESERVE_PART 4
/* Who stores may have all but so much while the thread is making more. */
#define LEFT_PART 16
/* So many segments have one that is kept whole, and for each so many there is one more. */
#define FIRST_WHOLE 8
#define ONE_WHOLE 64
/* So many dead segments keep their blocks besides, to be written anew soon. */
#define SPARE_MAX 2

uint64_t journal_reserve_piece(const struct journal *journal)
{
	uint64_t size = journal->settings.segment_size / RESERVE_PART /
		JOURNAL_BLOCK_SIZE * JOURNAL_BLOCK_SIZE;

	return size < JOURNAL_SEGMENT_MIN ? 0 : size;
}

static bool is_piece(const struct journal *journal,
		     const struct journal_segment *segment)
{
	return segment->header.size <= journal_reserve_piece(journal);
}

/* Without the whole ones. */
static uint64_t least_reserve(const struct journal *journal)
{
	uint64_t piece = journal_reserve_piece(journal);

	return piece != 0 ? PIECES * piece :
			    journal->settings.segment_size / RESERVE_PART;
}

/*
 * What there is. With the mutex
 */

typedef bool counts_t(const struct journal *journal,
		      const struct journal_segment *segment);

/* Bytes of those that count. */
static uint64_t sum(const struct journal *journal, counts_t *counts)
{
	const struct journal_segment *segment;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment != NULL && counts(journal, segment))
			bytes += segment->header.size;
	}
	return bytes;
}

static bool is_used(const struct journal *journal,
		    const struct journal_segment *segment)
{
	return !journal_is_dead(journal, segment);
}

/* It has its blocks, and keeps them. */
static bool is_left(const struct journal *journal,
		    const struct journal_segment *segment)
{
	return journal_has_blocks(journal, segment) &&
		(journal->is_full || is_piece(journal, segment) ||
		 !journal_is_small(journal, segment));
}

static bool is_left_piece(const struct journal *journal,
			  const struct journal_segment *segment)
{
	return journal_has_blocks(journal, segment) &&
		is_piece(journal, segment);
}

/* What is in it would be moved into a whole one. */
static bool will_be_free(const struct journal *journal,
			 const struct journal_segment *segment)
{
	return journal_is_small(journal, segment) && segment->live > 0 &&
		!segment->kept;
}

/* How many are to be kept whole. */
static uint64_t wholes_wanted(const struct journal *journal)
{
	uint64_t used;

	if (journal_reserve_piece(journal) == 0)
		return 0;
	used = sum(journal, is_used) / journal->settings.segment_size;
	return used < FIRST_WHOLE ? 0 : 1 + used / ONE_WHOLE;
}

/* More than one whole are made ahead, where there is a thread for that, as who stores would
   have to wait for them: they are asked for where no other can be made any more. */
static uint64_t reserve_wanted(const struct journal *journal)
{
	uint64_t wholes = wholes_wanted(journal);

	if (!journal->is_full && journal->maker != NULL)
		wholes = I_MIN(wholes, (uint64_t)1);
	return least_reserve(journal) + wholes * journal->settings.segment_size;
}

static unsigned int count_wholes(const struct journal *journal)
{
	unsigned int count = 0;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		if (journal_has_blocks(journal, journal->segments[i]) &&
		    !journal_is_small(journal, journal->segments[i]))
			count++;
	}
	return count;
}

/* Who removes leaves the last whole one to who moves, as long as something can be. */
static bool is_whole_kept(const struct journal *journal)
{
	return journal->is_full && !journal->all_moved &&
		wholes_wanted(journal) > 0;
}

/* That can be carried into another one: there may be none but smaller ones. */
static uint64_t largest_piece(const struct journal *journal)
{
	const struct journal_segment *segment;
	uint64_t size = 0;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment != NULL && segment != journal->active &&
		    !segment->cut && is_piece(journal, segment))
			size = I_MAX(size, segment->header.size);
	}
	return size;
}

/* What headers and states that change leave, and what is packed: more than who removes, where
   that is all there is, and the former more than the latter, as they may be in the
   pieces. */
static uint64_t left_by_moving(const struct journal *journal, bool packs)
{
	uint64_t least = least_reserve(journal);

	if (wholes_wanted(journal) > 0)
		return packs ? least / 16 : least / 4;
	if (journal_reserve_piece(journal) == 0)
		return least / 4;
	return packs ? least / 8 * 3 : least / 16 * 7;
}

/* What a use leaves to others. */
static uint64_t left_by(const struct journal *journal, enum journal_use use)
{
	uint64_t left = 0;

	switch (use) {
	case JOURNAL_USE_REMOVE:
		/* half of a piece: carried, no piece takes more */
		left = largest_piece(journal) / 2;
		if (left > 0)
			left += 2 * JOURNAL_BLOCK_SIZE;
		/* fall through */
	case JOURNAL_USE_CARRY:
		if (is_whole_kept(journal) && count_wholes(journal) > 0)
			left += journal->settings.segment_size;
		break;
	case JOURNAL_USE_PACK:
	case JOURNAL_USE_MOVE:
		left = left_by_moving(journal, use == JOURNAL_USE_PACK);
		break;
	case JOURNAL_USE_GROW:
		left = journal->next_asked ?
			journal->settings.segment_size / LEFT_PART :
			reserve_wanted(journal);
		break;
	}
	return left;
}

/* So that this much is left, in dead ones; where it is not there, in the active one, as far
   as that is a part of it. */
static uint64_t end_that_leaves(const struct journal *journal, uint64_t wanted)
{
	uint64_t size = journal->active->header.size;
	uint64_t dead = sum(journal, is_left), most;

	if (dead >= wanted)
		return UINT64_MAX;
	most = I_MIN(journal->settings.segment_size / RESERVE_PART, size);
	return size - I_MIN(most, wanted - dead);
}

/*
 * Who may have it
 */

/* What is kept can only become less with another active one. Who asks again is told anew
   where the thread is making more. */
uint64_t journal_reserve_end(struct journal *journal, enum journal_use use)
{
	uint64_t end;

	(void)pthread_mutex_lock(&journal->mutex);
	end = end_that_leaves(journal, left_by(journal, use));
	if (use != JOURNAL_USE_GROW || !journal->next_asked)
		journal->ends[use] = end;
	(void)pthread_mutex_unlock(&journal->mutex);
	return end;
}

bool journal_reserve_gives(const struct journal *journal,
			   const struct journal_segment *segment,
			   enum journal_use use)
{
	if (use == JOURNAL_USE_GROW)
		return !is_piece(journal, segment);
	return use > JOURNAL_USE_REMOVE || journal_is_small(journal, segment) ||
		!is_whole_kept(journal) || count_wholes(journal) > 1;
}

bool journal_reserve_stays(struct journal *journal,
			   const struct journal_segment *segment)
{
	uint64_t left;
	bool stays;

	(void)pthread_mutex_lock(&journal->mutex);
	left = sum(journal, is_left);
	if (!journal_is_small(journal, segment))
		left += sum(journal, will_be_free);
	stays = journal_reserve_piece(journal) == 0 ||
		left >= reserve_wanted(journal) + segment->header.size;
	(void)pthread_mutex_unlock(&journal->mutex);
	return stays;
}

/* Groups begin and end on borders of blocks, and a segment's last bytes are the
   footer's. */
static uint64_t room_behind(const struct journal_segment *segment, uint64_t pos,
			    uint64_t footer)
{
	uint64_t room = segment->header.size - pos;

	room -= I_MIN(room, I_MAX(footer, (uint64_t)JOURNAL_BLOCK_SIZE));
	return room / JOURNAL_BLOCK_SIZE * JOURNAL_BLOCK_SIZE;
}

/* On a full disk. What is left in segments is moved into whole ones, where some are kept:
   who removes has the pieces. With the mutex. */
static uint64_t full_room(const struct journal *journal, enum journal_use use)
{
	bool whole = use == JOURNAL_USE_PACK && wholes_wanted(journal) > 0;
	const struct journal_segment *segment;
	uint64_t room = 0;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment == NULL ||
		    (whole && journal_is_small(journal, segment)))
			continue;
		if (segment == journal->active)
			room += room_behind(segment, segment->pos,
					    segment->footer_size);
		else if (journal_has_blocks(journal, segment))
			room += room_behind(segment, JOURNAL_BLOCK_SIZE, 0);
	}
	return room - I_MIN(room, left_by(journal, use));
}

bool journal_reserve_is_full(struct journal *journal)
{
	bool is_full;

	(void)pthread_mutex_lock(&journal->mutex);
	is_full = journal->is_full;
	(void)pthread_mutex_unlock(&journal->mutex);
	return is_full;
}

uint64_t journal_reserve_room(struct journal *journal, enum journal_use use)
{
	uint64_t room;

	(void)pthread_mutex_lock(&journal->mutex);
	room = journal->is_full ? full_room(journal, use) : UINT64_MAX;
	(void)pthread_mutex_unlock(&journal->mutex);
	return room;
}

void journal_reserve_want_space(struct journal *journal)
{
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	journal->space_wanted = true;
	for (i = 0; i < journal->segment_end; i++) {
		if (journal->segments[i] != NULL)
			journal->segments[i]->stuck = false;
	}
	journal_worker_wake(journal->upkeep);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/*
 * What is to be made, or to be given back
 */

bool journal_reserve_lacks_piece(struct journal *journal)
{
	bool lacks;

	(void)pthread_mutex_lock(&journal->mutex);
	lacks = journal_reserve_piece(journal) != 0 &&
		sum(journal, is_left_piece) < least_reserve(journal);
	(void)pthread_mutex_unlock(&journal->mutex);
	return lacks;
}

bool journal_reserve_lacks_whole(struct journal *journal)
{
	bool lacks;

	(void)pthread_mutex_lock(&journal->mutex);
	lacks = count_wholes(journal) < 1 + wholes_wanted(journal);
	(void)pthread_mutex_unlock(&journal->mutex);
	return lacks;
}

struct journal_segment *journal_reserve_surplus(struct journal *journal)
{
	struct journal_segment *segment, *found = NULL;
	uint64_t wholes = 0, pieces = 0, wholes_max;
	uint32_t i;
	bool needed;

	(void)pthread_mutex_lock(&journal->mutex);
	wholes_max = SPARE_MAX + wholes_wanted(journal);
	for (i = 0; i < journal->segment_end && found == NULL; i++) {
		segment = journal->segments[i];
		if (!journal_has_blocks(journal, segment) || !segment->blank)
			continue;
		if (!journal_is_small(journal, segment)) {
			needed = ++wholes <= wholes_max;
		} else if (is_piece(journal, segment)) {
			needed = pieces < least_reserve(journal);
			pieces += segment->header.size;
		} else {
			needed = false;
		}
		if (!needed &&
		    (!journal->is_full || !journal_is_small(journal, segment)))
			found = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}
