/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Ranges of segments that are no records, though something was written there: of groups
   that failed, or that a crash cut short. Each is to be declared void at the beginning of
   the next segment, and is remembered then, as who reads the segment again must not take
   it for damage. */

#include "config.h"
#include "journal/journal-scan.h"
#include "mem.h"

#include <string.h>

void journal_add_void(struct journal *journal,
		      const struct journal_segment *segment, uint64_t pos,
		      uint64_t size)
{
	struct journal_void *range = i_new(struct journal_void, 1);

	memcpy(range->target.incarnation, segment->header.incarnation,
	       JOURNAL_INCARNATION_SIZE);
	range->target.offset = (uint32_t)(pos / JOURNAL_ALIGN);
	range->target.size = (uint32_t)(size / JOURNAL_ALIGN);
	range->next = journal->voids;
	journal->voids = range;
}

static void push_voided(struct journal *journal, struct journal_void *range)
{
	(void)pthread_mutex_lock(&journal->mutex);
	range->next = journal->voided;
	journal->voided = range;
	(void)pthread_mutex_unlock(&journal->mutex);
}

void journal_void_is_declared(struct journal *journal)
{
	struct journal_void *range = journal->voids;

	journal->voids = range->next;
	push_voided(journal, range);
}

bool journal_note_void(struct journal *journal,
		       const struct journal_target *target)
{
	struct journal_void *range = try_calloc(1, sizeof(*range));

	if (range == NULL)
		return false;
	range->target = *target;
	push_voided(journal, range);
	return true;
}

static bool covers(const struct journal_target *target,
		   const struct journal_segment *segment, uint64_t pos,
		   uint64_t size)
{
	uint64_t from = (uint64_t)target->offset * JOURNAL_ALIGN;
	uint64_t to = from + (uint64_t)target->size * JOURNAL_ALIGN;

	return pos >= from && pos + size <= to &&
		memcmp(target->incarnation, segment->header.incarnation,
		       JOURNAL_INCARNATION_SIZE) == 0;
}

bool journal_is_void(struct journal *journal,
		     const struct journal_segment *segment, uint64_t pos,
		     uint64_t size)
{
	const struct journal_void *range;

	(void)pthread_mutex_lock(&journal->mutex);
	for (range = journal->voided; range != NULL; range = range->next) {
		if (covers(&range->target, segment, pos, size))
			break;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return range != NULL;
}

static void free_ranges(struct journal_void **ranges)
{
	struct journal_void *range;

	while ((range = *ranges) != NULL) {
		*ranges = range->next;
		i_free(range);
	}
}

void journal_voids_free(struct journal *journal)
{
	free_ranges(&journal->voids);
	free_ranges(&journal->voided);
}
