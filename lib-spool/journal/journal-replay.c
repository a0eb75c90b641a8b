/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is in a segment is applied to a journal that is being opened, in the order in which
   it was written. Nobody has the journal yet, but for others that apply other parts. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"

#include <string.h>

/* So many records before they are applied: the index is larger than any cache. */
#define FETCH_PLACES 16
#define FETCH_SLOTS 8

static void set_place(struct journal_place *place,
		      const struct journal_segment *segment, uint64_t pos)
{
	place->segment = segment->header.number;
	place->offset = (uint32_t)(pos / JOURNAL_ALIGN);
}

static void note_sequence(struct journal *journal, uint64_t sequence)
{
	journal->next_sequence = I_MAX(journal->next_sequence, sequence + 1);
}

static bool has_voids(struct journal *journal)
{
	bool found;

	(void)pthread_mutex_lock(&journal->mutex);
	found = journal->voided != NULL;
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}

/*
 * Of a footer
 */

/* Bytes that messages have, as a group counts them. */
struct taken {
	uint64_t bytes;
	uint64_t pos; /* of the last record */
	bool of_message;
};

static void add_taken(struct taken *taken, uint32_t offset,
		      enum journal_type type)
{
	uint64_t pos = (uint64_t)offset * JOURNAL_ALIGN;

	if (taken->of_message)
		taken->bytes += pos - taken->pos;
	taken->pos = pos;
	taken->of_message = journal_is_of_message(type);
}

void journal_replay_footer(struct journal *journal,
			   struct journal_segment *segment,
			   const struct journal_entries *entries)
{
	struct taken taken = { 0, 0, false };
	struct journal_listed listed;
	size_t pos = 0;

	while (journal_entries_next(entries, &pos, &listed)) {
		if (listed.body != 0)
			add_taken(&taken, listed.body, JOURNAL_BODY);
		add_taken(&taken, listed.offset, listed.header.type);
	}
	note_sequence(journal, entries->last_sequence);
	/* how long the last one is it does not say */
	segment->pos = taken.pos + JOURNAL_ALIGN;
	segment->taken = taken.bytes + (taken.of_message ? JOURNAL_ALIGN : 0);
	segment->footer_size = journal_footer_size(segment, 0);
}

struct own_entry {
	size_t pos;
	const message_id *id;
	bool is_new; /* as far as it is known: it has a body */
};

struct part {
	struct journal *journal;
	const struct journal_segment *segment;
	const struct journal_entries *entries;
	struct journal_tally tally;
	bool has_voids; /* where nothing is void, no record takes the mutex */
	struct own_entry *own;
	size_t count;
};

static bool find_own(struct part *part, unsigned int number, unsigned int parts)
{
	struct journal_peek peek;
	struct own_entry *own;
	size_t pos = 0, at;

	part->own = try_malloc((part->entries->count + 1) * sizeof(*part->own));
	if (part->own == NULL)
		return false;
	for (at = 0; journal_entries_peek(part->entries, &pos, &peek);
	     at = pos) {
		own = &part->own[part->count];
		own->pos = at;
		own->id = peek.id;
		own->is_new = peek.has_body;
		/* no branch, which nobody could predict */
		part->count += journal_index_part(peek.id, parts) == number;
	}
	return true;
}

static void fetch_place(const struct part *part, size_t i)
{
	if (i < part->count)
		journal_index_prefetch(&part->journal->index, part->own[i].id,
				       JOURNAL_PREFETCH_PLACE);
}

static void fetch_slot(const struct part *part, size_t i)
{
	if (i < part->count)
		journal_index_prefetch(&part->journal->index, part->own[i].id,
				       part->own[i].is_new ?
					       JOURNAL_PREFETCH_NEW :
					       JOURNAL_PREFETCH_FOUND);
}

static bool replay_listed(struct part *part,
			  const struct journal_listed *listed)
{
	uint32_t number = part->segment->header.number;
	struct journal_place place = { number, listed->offset };
	struct journal_place body = { number, listed->body };

	if (part->has_voids &&
	    journal_is_void(part->journal, part->segment,
			    (uint64_t)listed->offset * JOURNAL_ALIGN,
			    JOURNAL_ALIGN))
		return true;
	return journal_apply(part->journal, &listed->header, &place,
			     &listed->target, listed->body != 0 ? &body : NULL,
			     &part->tally);
}

static bool replay_own(struct part *part)
{
	struct journal_listed listed;
	size_t i;

	memset(&listed, 0, sizeof(listed));
	for (i = 0; i < part->count; i++) {
		fetch_place(part, i + FETCH_PLACES);
		fetch_slot(part, i + FETCH_SLOTS);
		(void)journal_entries_next(part->entries, &part->own[i].pos,
					   &listed);
		if (!replay_listed(part, &listed))
			return false;
	}
	return true;
}

bool journal_replay_part(struct journal *journal,
			 const struct journal_segment *segment,
			 const struct journal_entries *entries,
			 unsigned int number, unsigned int parts)
{
	struct part part;
	bool done;

	memset(&part, 0, sizeof(part));
	part.journal = journal;
	part.segment = segment;
	part.entries = entries;
	part.tally.segment = segment->header.number;
	part.has_voids = has_voids(journal);
	done = find_own(&part, number, parts) && replay_own(&part);
	i_free(part.own);
	(void)pthread_mutex_lock(&journal->mutex);
	journal_tally_add(journal, &part.tally);
	(void)pthread_mutex_unlock(&journal->mutex);
	return done;
}

/*
 * Of all records
 */

/* Whether the item before is the body that the headers came with. */
static bool has_its_body(const struct journal_items *items, size_t i)
{
	const struct journal_item *item = &items->items[i];

	return i > 0 && item[-1].state == JOURNAL_ITEM_WHOLE &&
		item[-1].header.type == JOURNAL_BODY &&
		message_id_cmp(&item[-1].header.id, &item->header.id) == 0 &&
		item[-1].header.version == item->header.version &&
		((item[-1].header.flags ^ item->header.flags) &
		 JOURNAL_EXTERNAL) == 0;
}

/* What it overruled only a whole scan knows: no footer may be made of it. */
static void reject(struct journal *journal, struct journal_segment *segment,
		   const struct journal_item *item, bool torn, const char *why)
{
	journal_reject(journal, segment, item, torn, why);
	journal_footer_free(segment);
}

/* The body that is right before what is no record: that were its headers. */
static void keep_body_before(struct journal *journal,
			     const struct journal_segment *segment,
			     const struct journal_items *items, size_t i)
{
	const struct journal_item *body;
	struct journal_end end = { .by = segment->header.number };

	if (i == 0)
		return;
	body = &items->items[i - 1];
	if (body->state != JOURNAL_ITEM_WHOLE ||
	    body->header.type != JOURNAL_BODY)
		return;
	set_place(&end.body, segment, body->pos);
	end.external = (body->header.flags & JOURNAL_EXTERNAL) != 0;
	journal_rests_add(journal, &body->header.id, &end.body);
	/* else nobody knows whether they were acknowledged */
	if (items->items[i].state == JOURNAL_ITEM_BAD && has_its_body(items, i))
		journal_rests_end(journal, &body->header.id, &end);
}

/* False: no memory. */
static bool replay_item(struct journal *journal,
			struct journal_segment *segment,
			const struct journal_items *items, size_t i, bool last)
{
	const struct journal_item *item = &items->items[i];
	bool torn = last && i >= items->last_group;
	bool with_body = item->header.type == JOURNAL_HEADERS &&
		(item->header.flags & JOURNAL_WITH_BODY) != 0;
	struct journal_place place, body = { 0, 0 };

	note_sequence(journal, item->header.sequence);
	if (item->state != JOURNAL_ITEM_WHOLE) {
		reject(journal, segment, item, torn,
		       item->state == JOURNAL_ITEM_BAD ?
			       "the checksum of a record is wrong" :
			       "there should be a record");
		if (!torn)
			keep_body_before(journal, segment, items, i);
		return true;
	}
	if (with_body && !has_its_body(items, i)) {
		reject(journal, segment, item, torn,
		       "there is no body for these headers");
		return true;
	}
	set_place(&place, segment, item->pos);
	if (with_body)
		set_place(&body, segment, item[-1].pos);
	journal_footer_add(segment, &item->header, place.offset, body.offset,
			   &item->target);
	return journal_apply(journal, &item->header, &place, &item->target,
			     with_body ? &body : NULL, NULL);
}

/* As a group counts it. */
static uint64_t taken_by(const struct journal_items *items,
			 const struct journal_item *item)
{
	return item->state == JOURNAL_ITEM_WHOLE &&
			journal_is_of_message(item->header.type) ?
		journal_item_extent(items, item) :
		0;
}

bool journal_replay(struct journal *journal, struct journal_segment *segment,
		    const struct journal_items *items, bool last)
{
	const struct journal_item *item;
	uint64_t taken = 0;
	size_t i;

	for (i = 0; i < items->count; i++) {
		item = &items->items[i];
		taken += taken_by(items, item);
		if (!journal_is_void(journal, segment, item->pos, item->size) &&
		    !replay_item(journal, segment, items, i, last))
			return false;
		segment->pos = item->pos + item->size;
	}
	segment->taken = taken;
	segment->footer_size = journal_footer_size(segment, 0);
	return true;
}

/*
 * Of what there is
 */

bool journal_content_is_empty(const struct journal_content *content)
{
	return content->items.count == 0 && content->entries.size == 0;
}

static bool is_real_item(const struct journal_item *item)
{
	return item->state != JOURNAL_ITEM_GAP &&
		item->header.type != JOURNAL_VOID &&
		item->header.type != JOURNAL_PADDING;
}

bool journal_content_is_real(const struct journal_content *content)
{
	struct journal_peek peek;
	size_t i, pos = 0;

	for (i = 0; i < content->items.count; i++) {
		if (is_real_item(&content->items.items[i]))
			return true;
	}
	while (journal_entries_peek(&content->entries, &pos, &peek)) {
		if (peek.type != JOURNAL_VOID)
			return true;
	}
	return false;
}
