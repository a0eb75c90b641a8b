/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A segment of which no record is a message's may still be needed for its tombstones:
   what they removed is in an older segment, which is more than half full and stays. What
   came behind has overruled records of this one, and so on, up to the newest: one
   segment of messages that nobody takes would keep the whole journal. So tombstones are
   written once more where it is worth it, and those who had to outlive this segment
   outlive what it had to outlive. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is carried by one commit. */
#define BATCH_MAX 64
/* Where the disk is not full this part of a segment is the most that is carried. */
#define WORTH_PART 4

struct tombstone {
	message_id id;
	/* The newest record of the message that would come back. */
	struct journal_target target;
	uint64_t version;
	bool needed;
};

struct carry {
	struct journal *journal;
	uint64_t room, active_room;    /* that there is for them, in bytes */
	struct journal_segment source; /* as it was under the mutex */
	/* What it outlives, by age. */
	struct journal_segment *old;
	unsigned int old_count;
	/* One for each message, by id. */
	struct tombstone *tombstones;
	size_t count;
};

/* The oldest one: what comes behind may be held by it alone. What is void is said again when
   a segment is begun: until then the one that says it stays. With the mutex. */
static const struct journal_segment *choose(const struct journal *journal)
{
	const struct journal_segment *segment, *best = NULL;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment == NULL || segment == journal->active ||
		    segment->failed || segment->kept || segment->live > 0 ||
		    segment->outlives_count == 0 ||
		    journal_says_void(journal, segment))
			continue;
		if (best == NULL ||
		    segment->header.first_sequence <
			    best->header.first_sequence)
			best = segment;
	}
	return best;
}

static int by_age(const void *_a, const void *_b)
{
	const struct journal_segment *a = _a, *b = _b;

	return a->header.first_sequence < b->header.first_sequence ? -1 : 1;
}

/* With the mutex. */
static bool copy_segments(struct carry *carry,
			  const struct journal_segment *source)
{
	unsigned int i;

	carry->source = *source;
	carry->old_count = source->outlives_count;
	carry->old = try_calloc(carry->old_count, sizeof(*carry->old));
	if (carry->old == NULL)
		return false;
	for (i = 0; i < carry->old_count; i++)
		carry->old[i] = *carry->journal->segments[source->outlives[i]];
	qsort(carry->old, carry->old_count, sizeof(*carry->old), by_age);
	return true;
}

static int by_id(const void *_a, const void *_b)
{
	const struct tombstone *a = _a, *b = _b;

	return message_id_cmp(&a->id, &b->id);
}

/* A message may have come back, and gone again. */
static void drop_repeated(struct carry *carry)
{
	size_t i, used = 0;

	for (i = 0; i < carry->count; i++) {
		if (used == 0 ||
		    by_id(&carry->tombstones[used - 1],
			  &carry->tombstones[i]) != 0)
			carry->tombstones[used++] = carry->tombstones[i];
	}
	carry->count = used;
}

/* 1; 0: something in it cannot be read; -1 with errno. */
static int take_tombstones(struct carry *carry,
			   const struct journal_items *items)
{
	const struct journal_item *item = items->items;
	const struct journal_item *end = item + items->count;

	carry->tombstones =
		try_calloc(items->count + 1, sizeof(*carry->tombstones));
	if (carry->tombstones == NULL)
		return -1;
	for (; item < end; item++) {
		if (journal_is_void(carry->journal, &carry->source, item->pos,
				    item->size))
			continue;
		if (item->state != JOURNAL_ITEM_WHOLE)
			return 0;
		if (item->header.type == JOURNAL_UNLINK)
			carry->tombstones[carry->count++].id = item->header.id;
	}
	qsort(carry->tombstones, carry->count, sizeof(*carry->tombstones),
	      by_id);
	drop_repeated(carry);
	return 1;
}

static int read_tombstones(struct carry *carry)
{
	struct journal_items items;
	int ret = journal_list(&carry->source, &items);

	if (ret < 0)
		return -1;
	ret = take_tombstones(carry, &items);
	journal_items_free(&items);
	return ret;
}

static void mark_needed(struct carry *carry, const struct journal_segment *old,
			const struct journal_item *item)
{
	struct tombstone key = { .id = item->header.id }, *found;

	if (item->header.type != JOURNAL_HEADERS || carry->count == 0)
		return;
	found = bsearch(&key, carry->tombstones, carry->count,
			sizeof(*carry->tombstones), by_id);
	if (found == NULL)
		return;
	memcpy(found->target.incarnation, old->header.incarnation,
	       JOURNAL_INCARNATION_SIZE);
	found->target.offset = (uint32_t)(item->pos / JOURNAL_ALIGN);
	found->version = item->header.version;
	found->needed = true;
}

/* As read_tombstones(). */
static int look_into(struct carry *carry, const struct journal_segment *old)
{
	const struct journal_item *item;
	struct journal_items items;
	size_t i;
	int ret = 1;

	if (journal_list(old, &items) < 0)
		return -1;
	for (i = 0; i < items.count && ret > 0; i++) {
		item = &items.items[i];
		if (journal_is_void(carry->journal, old, item->pos, item->size))
			continue;
		/* it might be of a message that was removed */
		if (item->state != JOURNAL_ITEM_WHOLE)
			ret = 0;
		else
			mark_needed(carry, old, item);
	}
	journal_items_free(&items);
	return ret;
}

static int find_needed(struct carry *carry)
{
	unsigned int i;
	int ret = read_tombstones(carry);

	for (i = 0; i < carry->old_count && ret > 0; i++)
		ret = look_into(carry, &carry->old[i]);
	return ret;
}

static void drop_needless(struct carry *carry)
{
	size_t i, used = 0;

	for (i = 0; i < carry->count; i++) {
		if (carry->tombstones[i].needed)
			carry->tombstones[used++] = carry->tombstones[i];
	}
	carry->count = used;
}

/* Else it has nothing but what is needed, and space is not won. Where no other segment is
   begun for it, one is won. */
static bool is_worth_it(const struct carry *carry)
{
	uint64_t bytes = carry->count * JOURNAL_TOMBSTONE_SIZE;

	if (carry->room == UINT64_MAX)
		return bytes <= carry->source.header.size / WORTH_PART;
	return bytes <= journal_reserve_worth(carry->journal, &carry->source) ||
		bytes <= carry->active_room;
}

/* The last block need not be full. */
static bool has_room(const struct carry *carry)
{
	uint64_t bytes =
		carry->count * JOURNAL_TOMBSTONE_SIZE + JOURNAL_BLOCK_SIZE - 1;

	return bytes - bytes % JOURNAL_BLOCK_SIZE <= carry->room;
}

/* A record there overrules what the source's tombstone did: the message's new headers,
   where it came back, or the tombstone's copy. Which of the old segments have records
   that count is not asked: what is void may be among them. */
static void let_overrule(const struct carry *carry, uint32_t by)
{
	struct journal *journal = carry->journal;
	const struct journal_segment *segment;
	unsigned int i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < carry->old_count; i++) {
		segment = journal_segment_find(
			journal, carry->old[i].header.incarnation);
		if (segment != NULL)
			journal_overrule(journal, by, segment->header.number);
	}
	(void)pthread_mutex_unlock(&journal->mutex);
}

static void make_request(struct journal_request *request,
			 const struct tombstone *tombstone,
			 unsigned char payload[JOURNAL_TARGET_SIZE])
{
	struct journal_record *record = &request->records[0];

	memset(request, 0, sizeof(*request));
	journal_target_put(&tombstone->target, payload);
	record->type = JOURNAL_UNLINK;
	record->id = tombstone->id;
	record->version = tombstone->version;
	record->data = payload;
	record->size = JOURNAL_TARGET_SIZE;
	request->count = 1;
	request->gives_back = true;
}

/* With claims, so that none of the messages comes back meanwhile. 1; 0: one of them cannot
   be done without; -1 with errno. */
static int carry_some(const struct carry *carry,
		      const struct tombstone *tombstones, size_t count)
{
	struct journal *journal = carry->journal;
	struct journal_request requests[BATCH_MAX], *list[BATCH_MAX];
	unsigned char payloads[BATCH_MAX][JOURNAL_TARGET_SIZE];
	struct journal_entry entry;
	unsigned int used = 0, i;
	size_t claimed;
	bool can = true;
	int ret = 0, error;

	for (claimed = 0; claimed < count; claimed++) {
		ret = journal_claim(journal, &tombstones[claimed].id, &entry);
		if (ret < 0)
			break;
		if (entry.headers.offset != 0) {
			/* a start that knew of no removal would take these
			   headers for those that were removed, moved, and
			   give them the states that those had */
			if (entry.base_version == tombstones[claimed].version)
				can = false;
			let_overrule(carry, entry.headers.segment);
			continue;
		}
		make_request(&requests[used], &tombstones[claimed],
			     payloads[used]);
		list[used] = &requests[used];
		used++;
	}
	if (ret == 0)
		ret = journal_commit_many(journal, list, used);
	error = errno;
	for (i = 0; ret == 0 && i < used; i++)
		let_overrule(carry, requests[i].records[0].place.segment);
	while (claimed > 0)
		journal_release(journal, &tombstones[--claimed].id);
	errno = error;
	return ret < 0 ? -1 : can;
}

/* As carry_some(). */
static int carry_all(struct carry *carry)
{
	size_t i, count;
	int ret = 1;

	for (i = 0; i < carry->count && ret > 0; i += count) {
		count = I_MIN(carry->count - i, (size_t)BATCH_MAX);
		ret = carry_some(carry, carry->tombstones + i, count);
	}
	return ret;
}

/* 1: it is dead now, or will not be before something changes; -1 with errno. */
static int carry_from(struct carry *carry)
{
	struct journal *journal = carry->journal;
	struct journal_segment *segment;
	int ret = find_needed(carry);

	if (ret > 0) {
		drop_needless(carry);
		ret = is_worth_it(carry) && has_room(carry) ? carry_all(carry) :
							      0;
	}
	if (ret < 0)
		return -1;
	(void)pthread_mutex_lock(&journal->mutex);
	segment =
		journal_segment_find(journal, carry->source.header.incarnation);
	if (segment != NULL && ret > 0)
		journal_bequeath(journal, segment);
	else if (segment != NULL && segment->outlives_count == carry->old_count)
		segment->kept = true;
	(void)pthread_mutex_unlock(&journal->mutex);
	return 1;
}

int journal_carry_tombstones(struct journal *journal)
{
	struct carry carry = { .journal = journal };
	const struct journal_segment *source;
	int ret = 0, error;

	carry.room = journal_reserve_room(journal, JOURNAL_USE_CARRY, 0);
	carry.active_room = journal_reserve_active_room(journal);
	(void)pthread_mutex_lock(&journal->mutex);
	source = choose(journal);
	if (source != NULL)
		ret = copy_segments(&carry, source) ? 1 : -1;
	(void)pthread_mutex_unlock(&journal->mutex);
	if (ret > 0)
		ret = carry_from(&carry);
	error = errno;
	i_free(carry.tombstones);
	i_free(carry.old);
	errno = error;
	return ret;
}
