/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Ranges of segments that are no records, though something was written there: of groups
   that failed, or that a crash cut short. Each is to be declared void at the beginning of
   the next segment, and is remembered then, as who reads the segment again must not take
   it for damage. While its segment is there, those that are begun later say it again, so
   that none but the newest that said it is needed for that. */

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
	(void)pthread_mutex_lock(&journal->mutex);
	range->next = journal->voids;
	journal->voids = range;
	(void)pthread_mutex_unlock(&journal->mutex);
}

bool journal_has_voids(struct journal *journal)
{
	bool ret;

	(void)pthread_mutex_lock(&journal->mutex);
	ret = journal->voids != NULL;
	(void)pthread_mutex_unlock(&journal->mutex);
	return ret;
}

/* Where a pointer to it is; to NULL, at the end: there is none. With the mutex. */
static struct journal_void **find_voided(struct journal *journal,
					 const struct journal_target *target)
{
	struct journal_void **link = &journal->voided;

	while (*link != NULL &&
	       ((*link)->target.offset != target->offset ||
		(*link)->target.size != target->size ||
		memcmp((*link)->target.incarnation, target->incarnation,
		       JOURNAL_INCARNATION_SIZE) != 0))
		link = &(*link)->next;
	return link;
}

/* With the mutex. */
static void append_voided(struct journal *journal, struct journal_void *range)
{
	struct journal_void **end = &journal->voided;

	while (*end != NULL)
		end = &(*end)->next;
	range->next = NULL;
	*end = range;
}

void journal_void_is_declared(struct journal *journal)
{
	struct journal_void *range = journal->voids;

	(void)pthread_mutex_lock(&journal->mutex);
	journal->voids = range->next;
	/* its segment may have been written anew meanwhile */
	if (journal_segment_find(journal, range->target.incarnation) != NULL)
		append_voided(journal, range);
	else
		i_free(range);
	(void)pthread_mutex_unlock(&journal->mutex);
}

bool journal_note_void(struct journal *journal,
		       const struct journal_target *target)
{
	struct journal_void *range;
	bool done = true;

	(void)pthread_mutex_lock(&journal->mutex);
	/* others that were begun later may say it, too */
	if (*find_voided(journal, target) == NULL &&
	    journal_segment_find(journal, target->incarnation) != NULL) {
		range = try_calloc(1, sizeof(*range));
		done = range != NULL;
		if (done) {
			range->target = *target;
			append_voided(journal, range);
		}
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return done;
}

void journal_void_is_said(struct journal *journal,
			  const struct journal_target *target, uint32_t by)
{
	struct journal_void **link = find_voided(journal, target);
	struct journal_void *range = *link;

	if (range == NULL)
		return;
	*link = range->next;
	append_voided(journal, range);
	range->said_by = by;
	/* the one that said it before may go */
	journal_worker_wake(journal->upkeep);
}

unsigned int journal_voids_to_repeat(struct journal *journal, uint32_t number,
				     struct journal_target *targets,
				     unsigned int max)
{
	const struct journal_void *range;
	unsigned int count = 0;

	(void)pthread_mutex_lock(&journal->mutex);
	for (range = journal->voided; range != NULL && count < max;
	     range = range->next) {
		if (range->said_by != number)
			targets[count++] = range->target;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return count;
}

bool journal_says_void(const struct journal *journal,
		       const struct journal_segment *segment)
{
	const struct journal_void *range;

	for (range = journal->voided; range != NULL; range = range->next) {
		if (range->said_by == segment->header.number)
			return true;
	}
	return false;
}

void journal_voids_forget(struct journal *journal,
			  const struct journal_segment *segment)
{
	struct journal_void *range, **link = &journal->voided;

	while ((range = *link) != NULL) {
		if (memcmp(range->target.incarnation,
			   segment->header.incarnation,
			   JOURNAL_INCARNATION_SIZE) == 0) {
			*link = range->next;
			i_free(range);
		} else {
			link = &range->next;
		}
	}
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
