/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Emptying segments that are half empty, so that they can be written anew. A message is
   moved by writing its records once more, with the claim on it, so that between the
   copy and its source nothing newer can come: to the rest of the journal that is a
   rewrite of the same version. The source stays valid until its segment is dead. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* What is moved by one commit, so that others need not wait for long: messages, and about
   so many bytes. */
#define BATCH_MESSAGES 64
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
	bool left_out; /* something could not be read */
};

/* The one of which least is left. With the mutex. */
static struct journal_segment *choose(const struct journal *journal)
{
	struct journal_segment *segment, *best = NULL;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment == NULL || segment == journal->active ||
		    segment->kept || segment->live == 0 ||
		    !journal_half_empty(segment))
			continue;
		if (best == NULL || segment->live < best->live)
			best = segment;
	}
	return best;
}

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
	if (journal_claim(batch->journal, id, &entry) < 0) {
		batch->left_out = true;
		return;
	}
	if (!is_in(&entry, batch->segment)) {
		journal_release(batch->journal, id);
	} else if (read_move(batch, move, &entry) < 0) {
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

	return (item->header.type == JOURNAL_HEADERS ||
		item->header.type == JOURNAL_BODY ||
		item->header.type == JOURNAL_STATES) &&
		journal_find(journal, &item->header.id, &entry) &&
		is_in(&entry, segment);
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

static void fill_batch(struct batch *batch, const struct journal_items *items)
{
	const struct journal_item *item = items->items;
	const struct journal_item *end = item + items->count;

	for (; item < end && batch->count < BATCH_MESSAGES &&
	     batch->bytes < BATCH_BYTES;
	     item++) {
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
static void keep(struct journal *journal, const struct journal_segment *source)
{
	struct journal_segment *segment;

	(void)pthread_mutex_lock(&journal->mutex);
	segment = journal_segment_find(journal, source->header.incarnation);
	if (segment != NULL && segment->live > 0)
		segment->kept = true;
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* `source`: as the segment was under the mutex. */
static int move_some(struct journal *journal,
		     const struct journal_segment *source, uint64_t *moved)
{
	struct batch *batch = try_calloc(1, sizeof(*batch));
	struct journal_items items;
	int ret;

	if (batch == NULL)
		return -1;
	batch->journal = journal;
	batch->segment = source->header.number;
	ret = journal_list(source, &items);
	if (ret == 0) {
		fill_batch(batch, &items);
		journal_items_free(&items);
		ret = commit_batch(batch);
	}
	if (ret == 0)
		*moved += batch->count;
	/* what cannot be read now stays where it is */
	if (ret == 0 && (batch->left_out || batch->count == 0))
		keep(journal, source);
	i_free(batch);
	return ret < 0 ? -1 : 1;
}

static bool tidy_one(struct journal *journal)
{
	struct journal_segment *segment;

	journal_begin_commit(journal);
	segment = journal_segment_to_tidy(journal);
	if (segment != NULL)
		journal_segment_tidy(journal, segment);
	journal_end_commit(journal);
	return segment != NULL;
}

static int compact_some(struct journal *journal, uint64_t *moved)
{
	const struct journal_segment *segment;
	struct journal_segment source;

	(void)pthread_mutex_lock(&journal->mutex);
	segment = choose(journal);
	if (segment != NULL)
		source = *segment;
	(void)pthread_mutex_unlock(&journal->mutex);
	if (segment != NULL)
		return move_some(journal, &source, moved);
	return tidy_one(journal) ? 1 : journal_carry_tombstones(journal);
}

int journal_compact_some(struct journal *journal, uint64_t *moved)
{
	int ret, error;

	(void)pthread_mutex_lock(&journal->compaction);
	ret = compact_some(journal, moved);
	error = errno;
	(void)pthread_mutex_unlock(&journal->compaction);
	errno = error;
	return ret;
}

int journal_compact(struct journal *journal, uint64_t *moved_r)
{
	int ret = 1;

	*moved_r = 0;
	while (ret > 0)
		ret = journal_compact_some(journal, moved_r);
	return ret;
}
