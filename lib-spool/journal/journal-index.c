/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "journal/journal-index.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"

#include <string.h>

/* The last octet of an id is random. See also journal_index_part(). */
static struct journal_shard *shard_of(struct journal_index *index,
				      const message_id *id)
{
	return &index->shards[id->bytes[15]];
}

static void lock(const struct journal_index *index, struct journal_shard *shard)
{
	if (index->is_open)
		(void)pthread_mutex_lock(&shard->mutex);
}

static void unlock(const struct journal_index *index,
		   struct journal_shard *shard)
{
	if (index->is_open)
		(void)pthread_mutex_unlock(&shard->mutex);
}

/* NULL: no memory. */
static struct journal_slot *get(const struct journal_index *index,
				struct journal_shard *shard,
				const message_id *id)
{
	return journal_slots_get(&shard->slots, id,
				 index->is_open ? 0 : SLOT_OLD);
}

static struct journal_slot *find(const struct journal_shard *shard,
				 const message_id *id)
{
	return journal_slots_find(&shard->slots, id, 0);
}

static struct journal_slot *find_states(const struct journal_shard *shard,
					const struct journal_slot *slot)
{
	if ((slot->flags & SLOT_HAS_STATES) == 0)
		return NULL;
	return journal_slots_find(&shard->slots, &slot->id, SLOT_STATES);
}

static void slot_entry(const struct journal_shard *shard,
		       const struct journal_slot *slot,
		       struct journal_entry *entry_r)
{
	const struct journal_slot *states = find_states(shard, slot);

	memset(entry_r, 0, sizeof(*entry_r));
	entry_r->id = slot->id;
	entry_r->version = entry_r->base_version = slot->version;
	entry_r->headers = slot->headers;
	entry_r->body = slot->body;
	entry_r->external = (slot->flags & SLOT_EXTERNAL) != 0;
	if (states != NULL && states->headers.offset != 0) {
		entry_r->states = states->headers;
		entry_r->version = states->version;
	}
}

static void drop_unneeded(struct journal_shard *shard,
			  struct journal_slot *slot)
{
	if (slot->headers.offset == 0 && (slot->flags & SLOT_CLAIMED) == 0 &&
	    slot->waiting == 0)
		journal_slots_remove(&shard->slots, slot);
}

/* Who has the claim may be about to write others, for which there has to be memory. */
static void clear_states(struct journal_shard *shard, struct journal_slot *slot)
{
	struct journal_slot *states = find_states(shard, slot);

	if (states == NULL)
		return;
	states->headers.offset = 0;
	if ((slot->flags & SLOT_CLAIMED) == 0) {
		slot->flags &= (uint16_t)~SLOT_HAS_STATES;
		journal_slots_remove(&shard->slots, states);
	}
}

static void drop_empty_states(struct journal_shard *shard,
			      struct journal_slot *slot)
{
	const struct journal_slot *states = find_states(shard, slot);

	if (states != NULL && states->headers.offset == 0)
		clear_states(shard, slot);
}

/* NULL: no memory. */
static struct journal_slot *get_states(struct journal_shard *shard,
				       const message_id *id)
{
	struct journal_slot *slot = find(shard, id), *states;

	states = find_states(shard, slot);
	if (states == NULL) {
		states = journal_slots_get(&shard->slots, id, SLOT_STATES);
		if (states == NULL)
			return NULL;
		slot->flags |= SLOT_HAS_STATES;
	}
	return states;
}

void journal_index_init(struct journal_index *index)
{
	unsigned int i;

	memset(index, 0, sizeof(*index));
	for (i = 0; i < JOURNAL_SHARDS; i++) {
		(void)pthread_mutex_init(&index->shards[i].mutex, NULL);
		(void)pthread_cond_init(&index->shards[i].released, NULL);
	}
}

void journal_index_expect(struct journal_index *index, uint64_t count)
{
	uint32_t each =
		(uint32_t)I_MIN(count / JOURNAL_SHARDS, (uint64_t)UINT32_MAX);
	unsigned int i;

	for (i = 0; i < JOURNAL_SHARDS; i++)
		journal_slots_expect(&index->shards[i].slots, each);
}

void journal_index_is_open(struct journal_index *index)
{
	unsigned int i;

	for (i = 0; i < JOURNAL_SHARDS; i++)
		journal_slots_fit(&index->shards[i].slots);
	index->is_open = true;
}

void journal_index_deinit(struct journal_index *index)
{
	struct journal_shard *shard;

	for (shard = index->shards; shard < index->shards + JOURNAL_SHARDS;
	     shard++) {
		(void)pthread_cond_destroy(&shard->released);
		(void)pthread_mutex_destroy(&shard->mutex);
		journal_slots_free(&shard->slots);
	}
}

void journal_index_prefetch(struct journal_index *index, const message_id *id,
			    enum journal_prefetch what)
{
	journal_slots_prefetch(&shard_of(index, id)->slots, id, what);
}

bool journal_index_find(struct journal_index *index, const message_id *id,
			struct journal_entry *entry_r)
{
	struct journal_shard *shard = shard_of(index, id);
	const struct journal_slot *slot;
	bool found;

	lock(index, shard);
	slot = find(shard, id);
	found = slot != NULL && slot->headers.offset != 0;
	if (found)
		slot_entry(shard, slot, entry_r);
	unlock(index, shard);
	return found;
}

bool journal_index_claim(struct journal_index *index, const message_id *id,
			 struct journal_entry *entry_r)
{
	struct journal_shard *shard = shard_of(index, id);
	struct journal_slot *slot;

	(void)pthread_mutex_lock(&shard->mutex);
	slot = get(index, shard, id);
	while (slot != NULL && (slot->flags & SLOT_CLAIMED) != 0) {
		/* it stays for us */
		slot->waiting++;
		(void)pthread_cond_wait(&shard->released, &shard->mutex);
		slot->waiting--;
	}
	if (slot != NULL) {
		slot->flags |= SLOT_CLAIMED;
		slot_entry(shard, slot, entry_r);
	}
	(void)pthread_mutex_unlock(&shard->mutex);
	return slot != NULL;
}

void journal_index_release(struct journal_index *index, const message_id *id)
{
	struct journal_shard *shard = shard_of(index, id);
	struct journal_slot *slot;

	(void)pthread_mutex_lock(&shard->mutex);
	slot = find(shard, id);
	i_assert(slot != NULL && (slot->flags & SLOT_CLAIMED) != 0);
	slot->flags &= (uint16_t)~SLOT_CLAIMED;
	drop_empty_states(shard, slot);
	if (slot->waiting > 0)
		(void)pthread_cond_broadcast(&shard->released);
	drop_unneeded(shard, slot);
	(void)pthread_mutex_unlock(&shard->mutex);
}

unsigned int journal_index_waiting(struct journal_index *index,
				   const message_id *id)
{
	struct journal_shard *shard = shard_of(index, id);
	const struct journal_slot *slot;
	unsigned int waiting;

	(void)pthread_mutex_lock(&shard->mutex);
	slot = find(shard, id);
	waiting = slot == NULL ? 0 : slot->waiting;
	(void)pthread_mutex_unlock(&shard->mutex);
	return waiting;
}

bool journal_index_reserve_states(struct journal_index *index,
				  const message_id *id)
{
	struct journal_shard *shard = shard_of(index, id);
	bool done;

	(void)pthread_mutex_lock(&shard->mutex);
	done = get_states(shard, id) != NULL;
	(void)pthread_mutex_unlock(&shard->mutex);
	return done;
}

static void set_slot(struct journal_shard *shard, struct journal_slot *slot,
		     const struct journal_entry *entry)
{
	bool moved = slot->headers.offset != 0 &&
		slot->version == entry->base_version;

	slot->version = entry->base_version;
	slot->headers = entry->headers;
	slot->body = entry->body;
	slot->flags &= (uint16_t)~SLOT_EXTERNAL;
	slot->flags |= entry->external ? SLOT_EXTERNAL : 0;
	if (entry->states.offset == 0 && !moved)
		clear_states(shard, slot);
}

/* Of an entry that has some. False: no memory. */
static bool set_states(struct journal_shard *shard,
		       const struct journal_entry *entry)
{
	struct journal_slot *states;

	if (entry->states.offset == 0)
		return true;
	states = get_states(shard, &entry->id);
	if (states == NULL)
		return false;
	states->headers = entry->states;
	states->version = entry->version;
	return true;
}

bool journal_index_set(struct journal_index *index,
		       const struct journal_entry *entry,
		       struct journal_entry *old_r)
{
	struct journal_shard *shard = shard_of(index, &entry->id);
	struct journal_slot *slot;
	bool done = false;

	lock(index, shard);
	slot = get(index, shard, &entry->id);
	if (slot != NULL) {
		if (slot->headers.offset != 0)
			slot_entry(shard, slot, old_r);
		else
			memset(old_r, 0, sizeof(*old_r));
		set_slot(shard, slot, entry);
		done = set_states(shard, entry);
	}
	unlock(index, shard);
	return done;
}

bool journal_index_remove(struct journal_index *index, const message_id *id,
			  struct journal_entry *old_r)
{
	struct journal_shard *shard = shard_of(index, id);
	struct journal_slot *slot;
	bool found;

	lock(index, shard);
	slot = find(shard, id);
	found = slot != NULL && slot->headers.offset != 0;
	if (found) {
		slot_entry(shard, slot, old_r);
		clear_states(shard, slot);
		memset(&slot->headers, 0, sizeof(slot->headers));
		memset(&slot->body, 0, sizeof(slot->body));
		slot->flags &= (uint16_t)~SLOT_EXTERNAL;
		drop_unneeded(shard, slot);
	}
	unlock(index, shard);
	return found;
}

/* With its mutex. */
static bool has_message(const struct journal_slot *slot)
{
	return (slot->flags & (SLOT_USED | SLOT_STATES)) == SLOT_USED &&
		slot->headers.offset != 0;
}

size_t journal_index_slots(struct journal_index *index)
{
	struct journal_shard *shard;
	size_t count = 0;

	for (shard = index->shards; shard < index->shards + JOURNAL_SHARDS;
	     shard++) {
		(void)pthread_mutex_lock(&shard->mutex);
		count += shard->slots.count;
		(void)pthread_mutex_unlock(&shard->mutex);
	}
	return count;
}

size_t journal_index_spots(struct journal_index *index,
			   struct journal_cursor *cursor,
			   struct journal_spot *spots, size_t room)
{
	struct journal_shard *shard = &index->shards[cursor->shard];
	const struct journal_slot *slot;
	size_t count = 0;

	(void)pthread_mutex_lock(&shard->mutex);
	for (; count < room && cursor->slot < shard->slots.count;
	     cursor->slot++) {
		slot = journal_slot_at(&shard->slots, cursor->slot);
		if (!has_message(slot))
			continue;
		spots[count].headers = slot->headers;
		spots[count++].at = *cursor;
	}
	if (cursor->slot == shard->slots.count) {
		cursor->shard++;
		cursor->slot = 0;
	}
	(void)pthread_mutex_unlock(&shard->mutex);
	return count;
}

bool journal_index_take(struct journal_index *index,
			const struct journal_cursor *at, bool old,
			struct journal_entry *entry_r)
{
	struct journal_shard *shard = &index->shards[at->shard];
	struct journal_slot *slot;
	bool found;

	(void)pthread_mutex_lock(&shard->mutex);
	slot = journal_slot_at(&shard->slots, at->slot);
	found = has_message(slot) && (!old || (slot->flags & SLOT_OLD) != 0);
	if (found) {
		if (old)
			slot->flags &= (uint16_t)~SLOT_OLD;
		slot_entry(shard, slot, entry_r);
	}
	(void)pthread_mutex_unlock(&shard->mutex);
	return found;
}
