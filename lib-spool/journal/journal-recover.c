/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a journal is, found in its segments. They are read in the order in which they
   were written, and their records applied. Where bytes should be a record and are
   none: in the last group, which may not have been synced when the power went, they
   are void, and the next segment will say so; before that, they are damage, and are
   put aside. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"
#include "spool-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct held {
	struct journal_segment *segment;
	struct journal_content content;
};

struct recovery {
	struct journal *journal;
	char **error_r;
	struct journal_segment **sorted;
	unsigned int count;
	uint64_t listed; /* in their footers */
	/* what was read, and is not applied yet: room for all */
	struct held *held;
	unsigned int held_count;
	struct journal_ahead *ahead;
	struct journal_parts *parts;
};

static int recover_fail(struct recovery *recovery,
			const struct journal_segment *segment, const char *what)
{
	return spool_fail(recovery->error_r, errno,
			  "%s: %s segment %u failed: %s",
			  recovery->journal->dir, what, segment->header.number,
			  strerror(errno));
}

/*
 * Their order
 */

static int by_age(const void *_a, const void *_b)
{
	const struct journal_segment *a = *(struct journal_segment *const *)_a;
	const struct journal_segment *b = *(struct journal_segment *const *)_b;

	if (a->header.first_sequence != b->header.first_sequence)
		return a->header.first_sequence < b->header.first_sequence ?
			-1 :
			1;
	return a->header.number < b->header.number ? -1 : 1;
}

static int sort_segments(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	uint32_t i;

	recovery->sorted = try_calloc(I_MAX(journal->segment_end, 1u),
				      sizeof(*recovery->sorted));
	recovery->held = try_calloc(I_MAX(journal->segment_end, 1u),
				    sizeof(*recovery->held));
	if (recovery->sorted == NULL || recovery->held == NULL)
		return spool_fail(recovery->error_r, ENOMEM, "out of memory");
	for (i = 0; i < journal->segment_end; i++) {
		if (journal->segments[i] != NULL)
			recovery->sorted[recovery->count++] =
				journal->segments[i];
		else if (i > 0 && !journal_was_given_up(journal, i))
			journal_damage_missing(journal, i);
	}
	qsort(recovery->sorted, recovery->count, sizeof(*recovery->sorted),
	      by_age);
	return 0;
}

/*
 * What is void
 */

static bool note_voids(struct journal *journal,
		       const struct journal_segment *segment,
		       const struct journal_items *items)
{
	const struct journal_item *item;
	size_t i;

	for (i = 0; i < items->count; i++) {
		item = &items->items[i];
		if (item->state == JOURNAL_ITEM_WHOLE &&
		    item->header.type == JOURNAL_VOID &&
		    !journal_is_void(journal, segment, item->pos, item->size) &&
		    !journal_note_void(journal, &item->target))
			return false;
	}
	return true;
}

/* The newest first: what is void says nothing itself, as the one that says it need not stay
   for what nobody else says. */
static int read_voids(struct recovery *recovery)
{
	struct journal_segment *segment;
	struct journal_items items;
	unsigned int i;
	bool noted;

	for (i = recovery->count; i > 0; i--) {
		segment = recovery->sorted[i - 1];
		if (journal_scan_voids(segment, &items) < 0)
			return recover_fail(recovery, segment, "reading");
		noted = note_voids(recovery->journal, segment, &items);
		journal_items_free(&items);
		if (!noted)
			return spool_fail(recovery->error_r, ENOMEM,
					  "out of memory");
	}
	return 0;
}

/*
 * What is there
 */

/* What was written last goes on, unless something of it is void; or its last group
   has lost its padding, and with it perhaps more: then no other group may come behind
   it, which would vouch for what is not there. */
static void choose_active(struct journal *journal,
			  struct journal_segment *segment)
{
	if (segment != NULL && journal->voids == NULL && !segment->sealed &&
	    !segment->cut && /* its end would be lost elsewhere then */
	    segment->pos % JOURNAL_BLOCK_SIZE == 0)
		journal->active = segment;
}

/* Where the last sync failed, the kernel may show what the disk does not have, and takes
   it for written. So what is gone by is written: the same bytes, which harm nobody. */
static int rewrite_last_groups(struct recovery *recovery)
{
	const struct journal_item *first, *last;
	const struct journal_items *items;
	unsigned int i;

	for (i = 0; i < recovery->held_count; i++) {
		/* all of its groups were synced before that was written */
		if (recovery->held[i].content.from_footer)
			continue;
		items = &recovery->held[i].content.items;
		first = &items->items[items->last_group];
		last = &items->items[items->count - 1];
		if (journal_segment_rewrite(
			    recovery->held[i].segment, first->pos,
			    last->pos + last->size - first->pos) < 0)
			return recover_fail(recovery, recovery->held[i].segment,
					    "writing");
	}
	return 0;
}

static int apply_held(struct recovery *recovery, bool last)
{
	struct held *held;
	unsigned int i;

	for (i = 0; i < recovery->held_count; i++) {
		held = &recovery->held[i];
		/* a message that is left out would be lost */
		if (!journal_parts_replay(recovery->parts, held->segment,
					  &held->content, last))
			return spool_fail(recovery->error_r, ENOMEM,
					  "out of memory");
		journal_content_free(&held->content);
	}
	recovery->held_count = 0;
	return 0;
}

static int start_reading(struct recovery *recovery)
{
	recovery->ahead =
		journal_ahead_start(recovery->sorted, recovery->count);
	/* while something is read */
	journal_index_expect(&recovery->journal->index, recovery->listed);
	recovery->parts = journal_parts_start(recovery->journal);
	if (recovery->ahead == NULL || recovery->parts == NULL)
		return spool_fail(recovery->error_r, ENOMEM, "out of memory");
	return 0;
}

/* One that gave its blocks back said before that it has no records. */
static void look_at_end(struct journal *journal,
			struct journal_segment *segment,
			const struct journal_items *items)
{
	const struct journal_item *last;
	uint64_t end = JOURNAL_BLOCK_SIZE;

	if (!segment->cut || journal_segment_is_new(&segment->header))
		return;
	if (items->count > 0) {
		last = &items->items[items->count - 1];
		end = last->pos + last->size;
	}
	journal_damage_end(journal, segment, end);
}

/* Each segment is applied when it is known whether a later one has records: else its
   last group may not have been synced. Some that only began to say what is void may be
   behind it, one for each crash in the middle of that. */
static int read_segments(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	struct journal_segment *segment;
	struct journal_content content;
	unsigned int i;

	for (i = 0; i < recovery->count; i++) {
		segment = recovery->sorted[i];
		/* no two that were to be used have the same */
		journal->next_sequence =
			I_MAX(journal->next_sequence,
			      segment->header.first_sequence + 1);
		if (journal_ahead_next(recovery->ahead, &content) < 0)
			return recover_fail(recovery, segment, "reading");
		segment->sealed = content.from_footer;
		/* one that was to be used, and was not, is made so again */
		segment->blank = journal_segment_is_new(&segment->header);
		look_at_end(journal, segment, &content.items);
		if (journal_content_is_empty(&content)) {
			journal_content_free(&content);
			continue;
		}
		if (journal_content_is_real(&content) &&
		    apply_held(recovery, false) < 0) {
			journal_content_free(&content);
			return -1;
		}
		recovery->held[recovery->held_count].segment = segment;
		recovery->held[recovery->held_count++].content = content;
	}
	return 0;
}

static int finish_last_segments(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	struct journal_segment *last = NULL;
	unsigned int i;

	if (!journal->settings.read_only && rewrite_last_groups(recovery) < 0)
		return -1;
	for (i = 0; i < recovery->held_count; i++) {
		last = recovery->held[i].segment;
		if (!recovery->held[i].content.from_footer)
			journal_footer_begin(journal, last);
	}
	if (apply_held(recovery, true) < 0)
		return -1;
	if (!journal_parts_wait(recovery->parts))
		return spool_fail(recovery->error_r, ENOMEM, "out of memory");
	journal_rests_keep(journal);
	choose_active(journal, last);
	return 0;
}

int journal_recover(struct journal *journal, char **error_r)
{
	struct recovery recovery = { .journal = journal, .error_r = error_r };
	unsigned int i;
	int ret = -1, error;

	if (journal_look(journal, &recovery.listed, error_r) == 0 &&
	    sort_segments(&recovery) == 0 && read_voids(&recovery) == 0 &&
	    start_reading(&recovery) == 0 && read_segments(&recovery) == 0 &&
	    finish_last_segments(&recovery) == 0)
		ret = 0;
	error = errno;
	journal_ahead_stop(&recovery.ahead);
	journal_parts_stop(&recovery.parts);
	for (i = 0; i < recovery.held_count; i++)
		journal_content_free(&recovery.held[i].content);
	i_free(recovery.held);
	i_free(recovery.sorted);
	errno = error;
	return ret;
}
