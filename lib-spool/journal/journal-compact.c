/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Emptying segments that are half empty, so that they can be written anew. A message is
   moved by writing its records once more, with the claim on it, so that between the
   copy and its source nothing newer can come: to the rest of the journal that is a
   rewrite of the same version. The source stays valid until its segment is dead. */

#include "config.h"
#include "journal/journal-scan.h"
#include "journal/journal-victim.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* What is moved by one commit, so that others need not wait for long: that many messages, and
   about so many bytes. */
#define BATCH_MESSAGES JOURNAL_VICTIM_BATCH
#define BATCH_BYTES ((uint64_t)1024 * 1024)

struct move {
	struct journal_request request;
	message_id id;
	unsigned char *data[JOURNAL_REQUEST_MAX];
	char stacks[JOURNAL_REQUEST_MAX][JOURNAL_STACK_MAX + 1];
};

struct batch {
	struct journal *journal;
	uint32_t segment;
	struct move moves[BATCH_MESSAGES];
	unsigned int count;
	uint64_t bytes;
	bool left_out;     /* something could not be read */
	bool for_removals; /* see journal_request */
};

/* What is in the segment that is being emptied, and how far that went: reading it takes
   longer than moving a batch. Of who compacts. */
struct journal_listing {
	unsigned char incarnation[JOURNAL_INCARNATION_SIZE];
	struct journal_items items;
	size_t pos;
};

/* The record of the message as it is, to be written once more. -1: it cannot be read. */
static int add_record(struct batch *batch, struct move *move,
		      enum journal_type type)
{
	unsigned int i = move->request.count;
	struct journal_record *record = &move->request.records[i];
	struct journal_header header;

	if (journal_read(batch->journal, &move->id, type, &header,
			 move->stacks[i], &move->data[i]) < 0)
		return -1;
	record->type = type;
	record->flags = header.flags & JOURNAL_EXTERNAL;
	record->id = move->id;
	record->version = header.version;
	record->plain_size = header.plain_size;
	record->stack = move->stacks[i];
	record->data = move->data[i] + header.stack_size;
	record->size = (size_t)header.stored_size;
	batch->bytes += journal_record_size(&header);
	move->request.count++;
	return 0;
}

static void drop_move(struct batch *batch, struct move *move)
{
	unsigned int i;

	for (i = 0; i < JOURNAL_REQUEST_MAX; i++)
		i_free(move->data[i]);
	journal_release(batch->journal, &move->id);
}

/* A body comes with its headers, and states behind them; headers can be moved without
   the body, and states by themselves. */
static int read_move(struct batch *batch, struct move *move,
		     const struct journal_entry *entry)
{
	struct journal_record *record;
	bool with_body = entry->body.segment == batch->segment;

	if (!with_body && entry->headers.segment != batch->segment)
		return add_record(batch, move, JOURNAL_STATES);
	if (with_body && add_record(batch, move, JOURNAL_BODY) < 0)
		return -1;
	if (add_record(batch, move, JOURNAL_HEADERS) < 0)
		return -1;
	record = &move->request.records[move->request.count - 1];
	record->flags = 0;
	if (with_body)
		record->flags = JOURNAL_WITH_BODY |
			move->request.records[0].flags;
	/* of the body, the version that it came with does not count any more */
	move->request.records[0].version = record->version;
	if (entry->states.offset != 0)
		return add_record(batch, move, JOURNAL_STATES);
	return 0;
}

/* Whether a record of the message is in the segment. */
static bool is_in(const struct journal_entry *entry, uint32_t segment)
{
	return entry->headers.offset != 0 &&
		(entry->headers.segment == segment ||
		 entry->body.segment == segment ||
		 (entry->states.offset != 0 &&
		  entry->states.segment == segment));
}

static void add_message(struct batch *batch, const message_id *id)
{
	struct move *move = &batch->moves[batch->count];
	struct journal_entry entry;

	memset(move, 0, sizeof(*move));
	move->id = *id;
	move->request.gives_back = true;
	move->request.for_removals = batch->for_removals;
	if (journal_claim(batch->journal, id, &entry) < 0) {
		batch->left_out = true;
		return;
	}
	if (!is_in(&entry, batch->segment)) {
		journal_release(batch->journal, id);
	} else if (read_move(batch, move, &entry) < 0 ||
		   /* made when segments were to be larger */
		   !journal_fits(batch->journal, &move->request)) {
		batch->left_out = true;
		drop_move(batch, move);
	} else {
		batch->count++;
	}
}

static bool is_left(struct journal *journal, uint32_t segment,
		    const struct journal_item *item)
{
	struct journal_entry entry;

	return journal_is_of_message(item->header.type) &&
		journal_find(journal, &item->header.id, &entry) &&
		is_in(&entry, segment);
}

/* Whether it is this record of the message that counts. */
static bool is_current(const struct journal_entry *entry, uint32_t segment,
		       const struct journal_item *item)
{
	const struct journal_place *places[] = { &entry->body, &entry->headers,
						 &entry->states };
	uint32_t offset = (uint32_t)(item->pos / JOURNAL_ALIGN);
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(places); i++) {
		if (places[i]->segment == segment &&
		    places[i]->offset == offset)
			return true;
	}
	return false;
}

/* Of all that is left in it. Messages need not be alike: it may be more than was thought. */
static uint64_t bytes_to_move(struct journal *journal, uint32_t segment,
			      const struct journal_listing *listing,
			      uint64_t *largest_r)
{
	const struct journal_item *item = listing->items.items;
	const struct journal_item *end = item + listing->items.count;
	uint64_t bytes = 0, count = 0, size;
	struct journal_entry entry;

	*largest_r = 0;

	for (; item < end; item++) {
		if (!journal_is_of_message(item->header.type) ||
		    !journal_find(journal, &item->header.id, &entry) ||
		    !is_current(&entry, segment, item))
			continue;
		size = journal_item_extent(&listing->items, item);
		*largest_r = I_MAX(*largest_r, size);
		bytes += size;
		count++;
	}
	return bytes + journal_victim_padding(count);
}

/* Of one message there may be several records, which need not be neighbours; its claim
   can be taken once. */
static bool is_new(const struct batch *batch, const message_id *id)
{
	unsigned int i;

	for (i = batch->count; i > 0; i--) {
		if (message_id_cmp(&batch->moves[i - 1].id, id) == 0)
			return false;
	}
	return true;
}

static void fill_batch(struct batch *batch, struct journal_listing *listing)
{
	const struct journal_item *item;

	while (listing->pos < listing->items.count &&
	       batch->count < BATCH_MESSAGES && batch->bytes < BATCH_BYTES) {
		item = &listing->items.items[listing->pos++];
		if (is_left(batch->journal, batch->segment, item) &&
		    is_new(batch, &item->header.id))
			add_message(batch, &item->header.id);
	}
}

static int commit_batch(struct batch *batch)
{
	struct journal_request *requests[BATCH_MESSAGES];
	unsigned int i;
	int ret, error;

	for (i = 0; i < batch->count; i++)
		requests[i] = &batch->moves[i].request;
	ret = journal_commit_many(batch->journal, requests, batch->count);
	error = errno;
	for (i = 0; i < batch->count; i++)
		drop_move(batch, &batch->moves[i]);
	errno = error;
	return ret;
}

/* Unless it was written anew meanwhile. */
static void keep(struct journal *journal, const struct journal_segment *victim)
{
	struct journal_segment *segment;

	(void)pthread_mutex_lock(&journal->mutex);
	segment = journal_segment_find(journal, victim->header.incarnation);
	if (segment != NULL && segment->live > 0)
		segment->kept = true;
	(void)pthread_mutex_unlock(&journal->mutex);
}

void journal_listing_free(struct journal *journal)
{
	if (journal->listing != NULL)
		journal_items_free(&journal->listing->items);
	i_free_and_null(journal->listing);
}

/* NULL with errno. */
static struct journal_listing *get_listing(struct journal *journal,
					   const struct journal_segment *victim)
{
	struct journal_listing *listing = journal->listing;

	if (listing != NULL &&
	    memcmp(listing->incarnation, victim->header.incarnation,
		   JOURNAL_INCARNATION_SIZE) == 0)
		return listing;
	journal_listing_free(journal);
	listing = try_calloc(1, sizeof(*listing));
	if (listing == NULL)
		return NULL;
	memcpy(listing->incarnation, victim->header.incarnation,
	       JOURNAL_INCARNATION_SIZE);
	if (journal_list(victim, &listing->items) < 0)
		i_free_and_null(listing);
	journal->listing = listing;
	return listing;
}

static int move_batch(struct batch *batch, struct journal_listing *listing,
		      const struct journal_segment *victim)
{
	bool from_start = listing->pos == 0;

	fill_batch(batch, listing);
	if (commit_batch(batch) < 0)
		return -1;
	/* what cannot be read now stays where it is */
	if (batch->left_out || (batch->count == 0 && from_start))
		keep(batch->journal, victim);
	return 1;
}

/* Before the first of them is moved. False with errno. */
static bool has_room(struct journal *journal,
		     const struct journal_listing *listing,
		     const struct journal_victim *victim)
{
	uint64_t bytes, largest, room;

	if (victim->most == UINT64_MAX || listing->pos > 0)
		return true;
	bytes = bytes_to_move(journal, victim->segment.header.number, listing,
			      &largest);
	bytes += victim->segment.tombstones * JOURNAL_TOMBSTONE_SIZE;
	room = journal_reserve_room(journal,
				    victim->for_removals ? JOURNAL_USE_FREE :
							   JOURNAL_USE_PACK,
				    largest);
	errno = ENOSPC;
	return bytes <= I_MIN(victim->most, room);
}

static int move_some(struct journal *journal,
		     const struct journal_victim *victim, uint64_t *moved)
{
	struct journal_listing *listing =
		get_listing(journal, &victim->segment);
	struct batch *batch = try_calloc(1, sizeof(*batch));
	int ret = -1;

	if (batch != NULL && listing != NULL &&
	    has_room(journal, listing, victim)) {
		batch->journal = journal;
		batch->segment = victim->segment.header.number;
		batch->for_removals = victim->for_removals;
		ret = move_batch(batch, listing, &victim->segment);
		*moved += ret > 0 ? batch->count : 0;
		/* what a batch that failed had is looked for again */
		if (ret > 0 && batch->count == 0)
			journal_listing_free(journal);
	}
	i_free(batch);
	return ret;
}

static bool tidy_one(struct journal *journal, bool wait)
{
	bool done;

	journal_begin_commit(journal);
	done = journal_segment_blank_one(journal);
	journal_end_commit(journal);
	return done || journal_segment_cut_one(journal, wait);
}

/* Others may be smaller. That the disk is full may have been unknown, too. */
static int leave_stuck(struct journal *journal,
		       const struct journal_victim *victim)
{
	struct journal_segment *segment;
	int error = errno;

	journal_listing_free(journal);
	(void)pthread_mutex_lock(&journal->mutex);
	segment = journal_segment_find(journal,
				       victim->segment.header.incarnation);
	if (segment != NULL && victim->most != UINT64_MAX)
		segment->stuck = true;
	(void)pthread_mutex_unlock(&journal->mutex);
	errno = error;
	return journal_reserve_is_full(journal) ? 1 : -1;
}

/* Where space was wanted there is no more to be won. */
static void note_all_moved(struct journal *journal)
{
	(void)pthread_mutex_lock(&journal->mutex);
	if (journal->space_wanted)
		journal->all_moved = true;
	journal->space_wanted = false;
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* Else what is in the active one cannot be carried, as that is where it would go. */
static bool end_active(struct journal *journal)
{
	bool done;

	journal_begin_commit(journal);
	done = journal_end_active(journal);
	journal_end_commit(journal);
	return done;
}

/* Without a message that is moved. */
static int win_by_tombstones(struct journal *journal, bool wait)
{
	int ret = tidy_one(journal, wait) ? 1 :
					    journal_carry_tombstones(journal);

	return ret == 0 && end_active(journal) ? 1 : ret;
}

static int compact_some(struct journal *journal, bool wait, uint64_t *moved)
{
	const struct journal_rooms rooms = {
		.pack = journal_reserve_room(journal, JOURNAL_USE_PACK, 0),
		.free = journal_reserve_room(journal, JOURNAL_USE_FREE, 0)
	};
	bool is_full = rooms.pack != UINT64_MAX;
	struct journal_victim victim;
	int ret;

	/* where there is little room, what wins most comes first */
	ret = is_full ? win_by_tombstones(journal, wait) : 0;
	if (ret != 0)
		return ret;
	if (journal_victim_find(journal, &rooms, &victim)) {
		ret = move_some(journal, &victim, moved);
		return ret < 0 && file_is_full_disk(errno) ?
			leave_stuck(journal, &victim) :
			ret;
	}
	journal_listing_free(journal);
	ret = is_full ? 0 : win_by_tombstones(journal, wait);
	if (ret == 0)
		note_all_moved(journal);
	return ret;
}

int journal_compact_some(struct journal *journal, bool wait, uint64_t *moved)
{
	int ret, error;

	(void)pthread_mutex_lock(&journal->compaction);
	ret = compact_some(journal, wait, moved);
	error = errno;
	(void)pthread_mutex_unlock(&journal->compaction);
	errno = error;
	return ret;
}

/* Where nobody of this process was refused yet, it may be for those of others that somebody
   asks for room. */
static void look_for_space(struct journal *journal)
{
	if (!journal_reserve_is_full(journal) && !journal_has_space(journal))
		journal_reserve_want_space(journal);
}

int journal_compact(struct journal *journal, uint64_t *moved_r)
{
	int ret = 1;

	*moved_r = 0;
	look_for_space(journal);
	while (ret > 0)
		ret = journal_compact_some(journal, true, moved_r);
	return ret;
}

/* Between two batches it rests as long as one took, so that it has half of the disk at
   most. */
void journal_upkeep(struct journal *journal)
{
	uint64_t moved = 0, started;
	int ret;

	do {
		started = journal_now_usecs();
		ret = journal_compact_some(journal, false, &moved);
	} while (ret > 0 &&
		 journal_worker_rest(journal->upkeep,
				     journal_now_usecs() - started));
}
