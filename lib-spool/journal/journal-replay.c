/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is in a segment is applied to a journal that is being opened, in the order in which
   it was written. Nobody else has the journal yet. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"

#include <string.h>

/* So many records before they are applied: the index is larger than any cache. For new
   messages a look at what is found there costs more than it brings. */
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

/* Where nothing is, no record takes the mutex. */
static bool is_void(struct journal *journal,
		    const struct journal_segment *segment, uint64_t pos,
		    uint64_t size)
{
	return journal->voided != NULL &&
		journal_is_void(journal, segment, pos, size);
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

static bool replay_listed(struct journal *journal,
			  const struct journal_segment *segment,
			  const struct journal_listed *listed)
{
	struct journal_place place = { segment->header.number, listed->offset };
	struct journal_place body = { segment->header.number, listed->body };

	if (is_void(journal, segment, (uint64_t)listed->offset * JOURNAL_ALIGN,
		    JOURNAL_ALIGN))
		return true;
	note_sequence(journal, listed->header.sequence);
	return journal_apply(journal, &listed->header, &place, &listed->target,
			     listed->body != 0 ? &body : NULL);
}

/* For so many entries from *pos on, which are ahead of what is applied: where they are
   looked for, or what is found there, if that is not a new message's. */
static void fetch(struct journal *journal,
		  const struct journal_entries *entries, size_t *pos,
		  unsigned int count, bool place_is_there)
{
	struct journal_peek peek;

	for (; count > 0 && journal_entries_peek(entries, pos, &peek);
	     count--) {
		if (!place_is_there || !peek.has_body)
			journal_index_prefetch(&journal->index, peek.id,
					       place_is_there);
	}
}

static bool replay_entries(struct journal *journal,
			   struct journal_segment *segment,
			   const struct journal_entries *entries)
{
	struct taken taken = { 0, 0, false };
	struct journal_listed listed;
	size_t pos = 0, places = 0, slots = 0;

	memset(&listed, 0, sizeof(listed));
	fetch(journal, entries, &places, FETCH_PLACES, false);
	fetch(journal, entries, &slots, FETCH_SLOTS, true);
	while (journal_entries_next(entries, &pos, &listed)) {
		fetch(journal, entries, &places, 1, false);
		fetch(journal, entries, &slots, 1, true);
		if (listed.body != 0)
			add_taken(&taken, listed.body, JOURNAL_BODY);
		add_taken(&taken, listed.offset, listed.header.type);
		if (!replay_listed(journal, segment, &listed))
			return false;
	}
	/* how long the last one is it does not say */
	segment->pos = taken.pos + JOURNAL_ALIGN;
	segment->taken = taken.bytes + (taken.of_message ? JOURNAL_ALIGN : 0);
	return true;
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
			     with_body ? &body : NULL);
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

static bool replay_items(struct journal *journal,
			 struct journal_segment *segment,
			 const struct journal_items *items, bool last)
{
	const struct journal_item *item;
	uint64_t taken = 0;
	size_t i;

	for (i = 0; i < items->count; i++) {
		item = &items->items[i];
		taken += taken_by(items, item);
		if (!is_void(journal, segment, item->pos, item->size) &&
		    !replay_item(journal, segment, items, i, last))
			return false;
		segment->pos = item->pos + item->size;
	}
	segment->taken = taken;
	return true;
}

/*
 * Of what there is
 */

bool journal_replay(struct journal *journal, struct journal_segment *segment,
		    const struct journal_content *content, bool last)
{
	bool done = content->from_footer ?
		replay_entries(journal, segment, &content->entries) :
		replay_items(journal, segment, &content->items, last);

	segment->footer_size = journal_footer_size(segment, 0);
	return done;
}

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
