/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a durable record makes of the index. Records come in the order in which they
   were written: after a commit, and again when the journal is opened. */

#include "config.h"
#include "journal/journal-private.h"

#include <string.h>

void journal_tally_add(struct journal *journal, struct journal_tally *tally)
{
	struct journal_segment *segment = journal->segments[tally->segment];

	journal->messages += tally->messages;
	segment->live += tally->records;
	segment->total += tally->records;
	tally->messages = tally->records = 0;
}

/* What is counted in the tally may be counted off next. */
static void lock_counts(struct journal *journal, struct journal_tally *tally)
{
	(void)pthread_mutex_lock(&journal->mutex);
	if (tally != NULL)
		journal_tally_add(journal, tally);
}

static bool apply_headers(struct journal *journal,
			  const struct journal_header *header,
			  const struct journal_place *place,
			  const struct journal_place *body,
			  struct journal_tally *tally)
{
	struct journal_end end = { .by = 0 };
	struct journal_entry entry, old;

	memset(&entry, 0, sizeof(entry));
	entry.id = header->id;
	entry.version = entry.base_version = header->version;
	entry.headers = *place;
	if (body != NULL) {
		entry.body = *body;
		entry.external = (header->flags & JOURNAL_EXTERNAL) != 0;
	} else if (journal_index_find(&journal->index, &header->id, &old)) {
		entry.body = old.body;
		entry.external = old.external;
	} else if (journal_rests_find_end(journal, &header->id, &end) &&
		   end.body.offset != 0) {
		entry.body = end.body;
		entry.external = end.external;
	} else {
		journal_rests_came(journal, &header->id, place);
		return true;
	}
	if (!journal_index_set(&journal->index, &entry, &old))
		return false;
	journal_rests_forget(journal, &header->id);
	if (tally != NULL && old.headers.offset == 0 && end.by == 0) {
		tally->messages++;
		tally->records += 2;
		return true;
	}
	lock_counts(journal, tally);
	journal->messages += old.headers.offset == 0 ? 1 : 0;
	journal_account(journal, place, 1);
	journal_account(journal, &old.headers, -1);
	if (old.base_version != header->version)
		journal_account(journal, &old.states, -1);
	if (old.headers.offset != 0)
		journal_overrule(journal, place->segment, old.headers.segment);
	if (body != NULL) {
		journal_account(journal, body, 1);
		journal_account(journal, &old.body, -1);
	}
	if (end.by != 0) {
		journal_account(journal, &end.body, 1);
		journal_overrule(journal, place->segment, end.by);
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return true;
}

/* Of other headers than those that it was written for, they are nothing. What they
   overrule needs no segment to stay for it: whatever comes first at the next start, the
   last ones count, and headers behind them count alone. */
static bool apply_states(struct journal *journal,
			 const struct journal_header *header,
			 const struct journal_place *place,
			 struct journal_tally *tally)
{
	struct journal_entry entry, old;

	if (!journal_index_find(&journal->index, &header->id, &entry)) {
		journal_rests_came(journal, &header->id, place);
		return true;
	}
	if (entry.base_version != header->plain_size)
		return true;
	entry.version = header->version;
	entry.states = *place;
	if (!journal_index_set(&journal->index, &entry, &old))
		return false;
	lock_counts(journal, tally);
	journal_account(journal, place, 1);
	journal_account(journal, &old.states, -1);
	(void)pthread_mutex_unlock(&journal->mutex);
	return true;
}

static bool is_of(const struct journal_segment *segment,
		  const struct journal_target *target)
{
	return memcmp(segment->header.incarnation, target->incarnation,
		      JOURNAL_INCARNATION_SIZE) == 0;
}

static void apply_unlink(struct journal *journal,
			 const struct journal_header *header,
			 const struct journal_place *place,
			 const struct journal_target *target,
			 struct journal_tally *tally)
{
	struct journal_segment *segment = NULL;
	struct journal_entry old;
	bool found = journal_index_remove(&journal->index, &header->id, &old);

	journal_rests_forget(journal, &header->id);
	lock_counts(journal, tally);
	journal->segments[place->segment]->tombstones++;
	if (found)
		segment = journal->segments[old.headers.segment];
	/* also where it killed something that is not known any more */
	if (segment == NULL || !is_of(segment, target))
		segment = journal_segment_find(journal, target->incarnation);
	if (segment != NULL)
		journal_overrule(journal, place->segment,
				 segment->header.number);
	if (found) {
		journal_overrule(journal, place->segment, old.headers.segment);
		journal_account_gone(journal, &old);
	}
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* What the range's segment has was dropped before anything was applied. A VOID that is void
   itself does not come here: it may be lost. */
static void apply_void(struct journal *journal,
		       const struct journal_place *place,
		       const struct journal_target *target)
{
	struct journal_segment *segment;

	(void)pthread_mutex_lock(&journal->mutex);
	segment = journal_segment_find(journal, target->incarnation);
	if (segment != NULL)
		journal_overrule(journal, place->segment,
				 segment->header.number);
	journal_void_is_said(journal, target, place->segment);
	(void)pthread_mutex_unlock(&journal->mutex);
}

bool journal_apply(struct journal *journal, const struct journal_header *header,
		   const struct journal_place *place,
		   const struct journal_target *target,
		   const struct journal_place *body,
		   struct journal_tally *tally)
{
	switch (header->type) {
	case JOURNAL_HEADERS:
		return apply_headers(journal, header, place, body, tally);
	case JOURNAL_STATES:
		return apply_states(journal, header, place, tally);
	case JOURNAL_UNLINK:
		apply_unlink(journal, header, place, target, tally);
		break;
	case JOURNAL_VOID:
		apply_void(journal, place, target);
		break;
	case JOURNAL_BODY:
	case JOURNAL_PADDING:
		break;
	}
	return true;
}
