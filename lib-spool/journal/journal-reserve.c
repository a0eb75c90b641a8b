/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is kept for who removes messages where the disk is full. A removal that comes alone
   takes a block, and 32 of them would have room in it: so there are small segments, the
   pieces, that nobody stores anything in. When one is full of removals they are carried
   into another, which takes a block for 32, and it is empty again. There are as many as
   take the tombstones of all messages, packed so: whoever stores one more leaves room for
   its tombstone. A journal of many segments keeps whole ones, too: into those what is left
   of others is moved.

   Each use leaves something to those that come before it in their enumeration, as they give
   back more. */

#include "config.h"
#include "journal/journal-private.h"
#include "macros.h"

#include <string.h>

/* Each piece is this part of a segment; where that is too small for one, so much is left
   free in the segment that is written. */
#define RESERVE_PART 4
/* Who stores may have all but so much while the thread is making more. */
#define LEFT_PART 16
/* So many segments have one that is kept whole, and for each so many there is one more. */
#define FIRST_WHOLE 8
#define ONE_WHOLE 64
/* What is won by emptying a segment is at least this part of it. */
#define WON_PART 8
/* So many dead segments keep their blocks besides, to be written anew soon. */
#define SPARE_MAX 2

uint64_t journal_reserve_piece(const struct journal *journal)
{
	uint64_t size = journal->settings.segment_size / RESERVE_PART /
		JOURNAL_BLOCK_SIZE * JOURNAL_BLOCK_SIZE;

	return size < JOURNAL_SEGMENT_MIN ? 0 : size;
}

/* Of a segment of so many bytes: without its first block, and that of its end. */
static uint64_t usable(uint64_t size)
{
	return size - I_MIN(size, (uint64_t)2 * JOURNAL_BLOCK_SIZE);
}

/* The last of its blocks may be for few. */
static uint64_t worth(uint64_t size)
{
	uint64_t most = usable(size) - usable(size) / WON_PART;

	return most - I_MIN(most, (uint64_t)JOURNAL_BLOCK_SIZE);
}

/* What was written becomes less each time, so that it ends: what was left free at its end
   may be so again. */
uint64_t journal_reserve_worth(const struct journal *journal,
			       const struct journal_segment *segment)
{
	uint64_t written = segment->pos - JOURNAL_BLOCK_SIZE;
	uint64_t won = journal_is_piece(journal, segment) ?
		2 * (uint64_t)JOURNAL_BLOCK_SIZE :
		segment->header.size / WON_PART;

	return I_MIN(worth(segment->header.size),
		     written - I_MIN(written, won));
}

bool journal_is_piece(const struct journal *journal,
		      const struct journal_segment *segment)
{
	return segment->header.size <= journal_reserve_piece(journal);
}

/*
 * What removals need
 */

/* Of a tombstone, where all are carried that are worth it. */
#define PACKED_SIZE (JOURNAL_TOMBSTONE_SIZE * WON_PART / (WON_PART - 1))

/* A piece that they go into while another is carried, and a part of one that cannot be
   carried yet. */
static uint64_t carrying_needs(const struct journal *journal)
{
	uint64_t piece = usable(journal_reserve_piece(journal));

	return piece + piece / 4;
}

/* How many messages can be removed one after the other, in any order, with so many bytes in
   segments of their own: packed, or as they come. */
static uint64_t removals_in(const struct journal *journal, uint64_t bytes)
{
	uint64_t carrying = carrying_needs(journal);
	uint64_t packed = (bytes - I_MIN(bytes, carrying)) / PACKED_SIZE;

	return I_MAX(packed, bytes / JOURNAL_BLOCK_SIZE);
}

static uint64_t removals_need(const struct journal *journal, uint64_t messages)
{
	return I_MIN(messages * JOURNAL_BLOCK_SIZE,
		     carrying_needs(journal) + messages * PACKED_SIZE);
}

/* What headers and states that change may have, and what is packed. */
static uint64_t others_need(const struct journal *journal)
{
	return usable(journal_reserve_piece(journal)) / 2;
}

/* Bytes of pieces: two, or more for so many messages. */
static uint64_t pieces_wanted(const struct journal *journal, uint64_t messages)
{
	return I_MAX(2 * usable(journal_reserve_piece(journal)),
		     removals_need(journal, messages) + others_need(journal));
}

/* How many more there will be when the active one is full, if they go on like that: each
   has two records in it. With the mutex. */
static uint64_t messages_ahead(const struct journal *journal)
{
	const struct journal_segment *active = journal->active;

	if (active == NULL || active->pos == JOURNAL_BLOCK_SIZE)
		return 0;
	return active->total / 2 * (active->header.size - active->pos) /
		(active->pos - JOURNAL_BLOCK_SIZE);
}

/*
 * What there is. With the mutex
 */

typedef bool counts_t(const struct journal *journal,
		      const struct journal_segment *segment);

/* Bytes that are usable of those that count. */
static uint64_t sum(const struct journal *journal, counts_t *counts)
{
	const struct journal_segment *segment;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment != NULL && counts(journal, segment))
			bytes += usable(segment->header.size);
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
		(journal->is_full || journal_is_piece(journal, segment) ||
		 !journal_is_small(journal, segment));
}

static bool is_left_piece(const struct journal *journal,
			  const struct journal_segment *segment)
{
	return journal_has_blocks(journal, segment) &&
		journal_is_piece(journal, segment);
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
	uint64_t whole = usable(journal->settings.segment_size), used;

	if (journal_reserve_piece(journal) == 0 || whole == 0)
		return 0;
	used = sum(journal, is_used) / whole;
	return used < FIRST_WHOLE ? 0 : 1 + used / ONE_WHOLE;
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

/* Whether it has messages, for the most part, though it is as small as a piece: segments
   were to be smaller when it was made, or there was no room elsewhere. */
static bool is_of_messages(const struct journal_segment *segment)
{
	return segment->live > 0 &&
		segment->taken > (segment->pos - JOURNAL_BLOCK_SIZE) / 2;
}

/* That can be carried into another one: there may be none but smaller ones, or those that
   messages are in. Where segments were to be larger there may be none but whole ones. */
static uint64_t largest_piece(const struct journal *journal)
{
	const struct journal_segment *segment;
	uint64_t size = 0, of_messages = 0, whole = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment == NULL || segment == journal->active ||
		    segment->cut)
			continue;
		if (!journal_is_piece(journal, segment)) {
			if (!is_of_messages(segment))
				whole = I_MIN(whole, segment->header.size);
		} else if (is_of_messages(segment)) {
			of_messages = I_MAX(of_messages, segment->header.size);
		} else {
			size = I_MAX(size, segment->header.size);
		}
	}
	size = size == 0 ? of_messages : size;
	return size == 0 && whole != UINT64_MAX ? whole : size;
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

static uint64_t room_of(const struct journal *journal,
			const struct journal_segment *segment,
			enum journal_use use)
{
	uint64_t entry = journal_footer_most(1) - journal_footer_most(0);
	uint64_t room;

	if (segment != journal->active)
		return journal_has_blocks(journal, segment) ?
			room_behind(segment, JOURNAL_BLOCK_SIZE, 0) :
			0;
	room = room_behind(segment, segment->pos, segment->footer_size);
	/* small records have as large entries as others */
	if (journal_is_of_tombstones(use) && segment->footer_size > 0)
		room = room * JOURNAL_TOMBSTONE_SIZE /
			(JOURNAL_TOMBSTONE_SIZE + entry);
	return room / JOURNAL_BLOCK_SIZE * JOURNAL_BLOCK_SIZE;
}

/* All can be removed as they come, without one being carried. */
static bool has_blocks_for_all(const struct journal *journal)
{
	uint64_t room = sum(journal, is_left);

	if (journal->active != NULL)
		room += room_of(journal, journal->active, JOURNAL_USE_REMOVE);
	return journal->messages <= room / JOURNAL_BLOCK_SIZE;
}

/* What who removes leaves to who carries, so that whatever is worth it can be; and to who
   moves. */
static uint64_t left_by_removing(const struct journal *journal)
{
	uint64_t left = 0, largest = largest_piece(journal);

	if (largest > 0 && !has_blocks_for_all(journal))
		left = worth(largest) + 2 * (uint64_t)JOURNAL_BLOCK_SIZE;
	if (is_whole_kept(journal) && count_wholes(journal) > 0)
		left += usable(journal->settings.segment_size);
	return left;
}

/* What who stores leaves besides what removals need. More than one whole are made ahead,
   where there is a thread for that, as he would have to wait for them: they are asked for
   where no other can be made any more. */
static uint64_t left_by_storing(const struct journal *journal)
{
	uint64_t wholes = wholes_wanted(journal);
	uint64_t piece = journal_reserve_piece(journal);

	if (journal->next_asked)
		return journal->settings.segment_size / LEFT_PART;
	if (!journal->is_full && journal->maker != NULL)
		wholes = I_MIN(wholes, (uint64_t)1);
	return wholes * usable(journal->settings.segment_size) +
		(piece == 0 ? journal->settings.segment_size / RESERVE_PART :
			      others_need(journal));
}

/* What others leave besides what removals need, each to those before it. */
static uint64_t left_by(const struct journal *journal, enum journal_use use)
{
	uint64_t piece = journal_reserve_piece(journal);

	switch (use) {
	case JOURNAL_USE_CARRY:
	case JOURNAL_USE_FREE:
		return 0;
	case JOURNAL_USE_REMOVE:
		return left_by_removing(journal);
	case JOURNAL_USE_PACK:
	case JOURNAL_USE_MOVE:
		if (piece == 0)
			return journal->settings.segment_size / RESERVE_PART /
				4;
		return use == JOURNAL_USE_PACK ? 0 : piece / 8;
	case JOURNAL_USE_GROW:
		break;
	}
	return left_by_storing(journal);
}

/* Of the active one, where so many bytes of dead ones are not enough: nothing can be carried
   out of it, so that each removal takes a block there. */
static uint64_t tail_wanted(const struct journal *journal, enum journal_use use,
			    uint64_t dead)
{
	uint64_t messages = journal->messages + journal->growing, removals;
	uint64_t left = left_by(journal, use);
	uint64_t tail = left - I_MIN(left, dead);

	tail = I_MIN(tail, journal->settings.segment_size / RESERVE_PART);
	if (use <= JOURNAL_USE_REMOVE || journal_reserve_piece(journal) == 0)
		return tail;
	removals = removals_in(journal, dead - I_MIN(dead, left));
	if (removals >= messages)
		return tail;
	messages -= removals;
	/* with the one that is to be stored */
	messages += use == JOURNAL_USE_GROW ? 1 : 0;
	return tail + messages * JOURNAL_BLOCK_SIZE +
		journal_footer_size(journal->active, (unsigned int)messages);
}

/*
 * Who may have it
 */

/* What is kept can only become less with another active one, and what is to be kept more
   with messages that are stored. Who asks again is told anew where the thread is making
   more. */
uint64_t journal_reserve_end(struct journal *journal, enum journal_use use)
{
	uint64_t size = journal->active->header.size;
	uint64_t end = UINT64_MAX, dead, tail, left, removals;

	(void)pthread_mutex_lock(&journal->mutex);
	dead = sum(journal, is_left);
	tail = tail_wanted(journal, use, dead);
	if (tail > 0)
		end = size - I_MIN(size, tail);
	if (use == JOURNAL_USE_GROW) {
		left = left_by(journal, use);
		removals = removals_in(journal, dead - I_MIN(dead, left));
		journal->grow_count = removals -
			I_MIN(removals, journal->messages + journal->growing);
	}
	if (use != JOURNAL_USE_GROW || !journal->next_asked)
		journal->ends[use] = end;
	(void)pthread_mutex_unlock(&journal->mutex);
	return end;
}

/* On a full disk others change what there is, and what is needed of it, all the time. */
void journal_reserve_ends(struct journal *journal,
			  uint64_t ends_r[JOURNAL_USES])
{
	(void)pthread_mutex_lock(&journal->mutex);
	if (journal->is_full)
		memset(ends_r, 0, JOURNAL_USES * sizeof(*ends_r));
	else
		memcpy(ends_r, journal->ends, JOURNAL_USES * sizeof(*ends_r));
	(void)pthread_mutex_unlock(&journal->mutex);
}

bool journal_reserve_gives(const struct journal *journal,
			   const struct journal_segment *segment,
			   enum journal_use use)
{
	if (use == JOURNAL_USE_GROW)
		return !journal_is_piece(journal, segment);
	return use != JOURNAL_USE_REMOVE ||
		journal_is_small(journal, segment) || !is_whole_kept(journal) ||
		count_wholes(journal) > 1;
}

bool journal_reserve_stays(struct journal *journal,
			   const struct journal_segment *segment,
			   enum journal_use use)
{
	uint64_t left;
	bool stays;

	(void)pthread_mutex_lock(&journal->mutex);
	left = sum(journal, is_left);
	if (use == JOURNAL_USE_GROW && !journal_is_small(journal, segment))
		left += sum(journal, will_be_free);
	stays = journal_reserve_piece(journal) == 0 ||
		(use != JOURNAL_USE_GROW && !journal->is_full) ||
		left >= removals_need(journal, journal->messages) +
				left_by(journal, use) +
				usable(segment->header.size);
	(void)pthread_mutex_unlock(&journal->mutex);
	return stays;
}

/* In those that a use may have on a full disk. In each but the last one there may be no room
   for the next request. With the mutex. */
static uint64_t sum_room(const struct journal *journal, enum journal_use use,
			 bool whole, uint64_t largest)
{
	const struct journal_segment *segment;
	uint64_t sum = 0, room;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment == NULL ||
		    (whole && journal_is_small(journal, segment)))
			continue;
		room = room_of(journal, segment, use);
		sum += room - I_MIN(room, largest);
	}
	return sum == 0 ? 0 : sum + largest;
}

/* What is left in segments is moved into whole ones, where some are kept: who removes has
   the pieces. With the mutex. */
static uint64_t full_room(const struct journal *journal, enum journal_use use,
			  uint64_t largest)
{
	bool whole = use == JOURNAL_USE_PACK && wholes_wanted(journal) > 0;
	uint64_t left = left_by(journal, use);
	uint64_t room = sum_room(journal, use, false, largest);

	if (use > JOURNAL_USE_REMOVE && journal_reserve_piece(journal) != 0)
		left += removals_need(journal, journal->messages);
	room -= I_MIN(room, left);
	return whole ? I_MIN(room, sum_room(journal, use, true, largest)) :
		       room;
}

bool journal_reserve_is_full(struct journal *journal)
{
	bool is_full;

	(void)pthread_mutex_lock(&journal->mutex);
	is_full = journal->is_full;
	(void)pthread_mutex_unlock(&journal->mutex);
	return is_full;
}

uint64_t journal_reserve_room(struct journal *journal, enum journal_use use,
			      uint64_t largest)
{
	uint64_t room;

	(void)pthread_mutex_lock(&journal->mutex);
	room = journal->is_full ? full_room(journal, use, largest) : UINT64_MAX;
	(void)pthread_mutex_unlock(&journal->mutex);
	return room;
}

uint64_t journal_reserve_active_room(struct journal *journal)
{
	uint64_t room = 0;

	(void)pthread_mutex_lock(&journal->mutex);
	if (journal->active != NULL)
		room = room_of(journal, journal->active, JOURNAL_USE_CARRY);
	(void)pthread_mutex_unlock(&journal->mutex);
	return room;
}

bool journal_reserve_wins_by_ending(struct journal *journal,
				    const struct journal_segment *active)
{
	uint64_t bytes, dead;
	bool wins;

	(void)pthread_mutex_lock(&journal->mutex);
	bytes = active->tombstones * JOURNAL_TOMBSTONE_SIZE +
		JOURNAL_BLOCK_SIZE;
	dead = sum(journal, is_left);
	wins = journal->is_full && journal->space_wanted && active->live == 0 &&
		active->outlives_count > 0 && bytes <= dead &&
		bytes <= journal_reserve_worth(journal, active);
	(void)pthread_mutex_unlock(&journal->mutex);
	return wins;
}

void journal_reserve_want_space(struct journal *journal)
{
	struct journal_segment *segment;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	journal->space_wanted = true;
	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment == NULL)
			continue;
		segment->stuck = false;
		/* tombstones may have room in the one that is written now */
		if (segment->live == 0)
			segment->kept = false;
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
		sum(journal, is_left_piece) <
			pieces_wanted(journal,
				      journal->messages +
					      messages_ahead(journal));
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
	uint64_t wholes = 0, pieces = 0, wholes_max, pieces_max;
	uint32_t i;
	bool needed;

	(void)pthread_mutex_lock(&journal->mutex);
	wholes_max = SPARE_MAX + wholes_wanted(journal);
	/* one more, lest it be made again for the next messages */
	pieces_max = pieces_wanted(journal, journal->messages) +
		usable(journal_reserve_piece(journal));
	for (i = 0; i < journal->segment_end && found == NULL; i++) {
		segment = journal->segments[i];
		if (!journal_has_blocks(journal, segment) ||
		    !journal_is_empty(segment))
			continue;
		if (!journal_is_small(journal, segment)) {
			needed = ++wholes <= wholes_max;
		} else if (journal_is_piece(journal, segment)) {
			needed = pieces < pieces_max;
			pieces += usable(segment->header.size);
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
