/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "journal/journal-index.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"

#include <string.h>

enum slot_flags {
	SLOT_USED = 0x01,
	SLOT_CLAIMED = 0x02,
	SLOT_OLD = 0x04, /* to be handed out by a scan */
	SLOT_EXTERNAL = 0x08,
	SLOT_HAS_STATES = 0x10, /* in a second slot of the same id: */
	SLOT_STATES = 0x20      /* this one, which has a place and a version */
};

/* A slot without headers is there for its claim alone. */
struct journal_slot {
	message_id id;
	uint64_t version;
	struct journal_place headers, body;
	uint32_t next; /* of the chain or of the free ones: slot + 1 */
	uint16_t flags;
	uint16_t waiting; /* threads that wait for the claim */
};

/* Slots are allocated by so many: nothing is moved when there are more, and what is not
   used yet is little. A power of two. */
#define CHUNK_SLOTS 32u

/* By its number, from 0. */
static struct journal_slot *slot_at(const struct journal_shard *shard,
				    uint32_t i)
{
	return &shard->chunks[i / CHUNK_SLOTS][i % CHUNK_SLOTS];
}

/* The last octets of an id are random. */
static struct journal_shard *shard_of(struct journal_index *index,
				      const message_id *id)
{
	return &index->shards[id->bytes[15]];
}

static uint32_t chain_of(const struct journal_shard *shard,
			 const message_id *id)
{
	uint32_t hash = (uint32_t)id->bytes[14] | (uint32_t)id->bytes[13] << 8 |
		(uint32_t)id->bytes[12] << 16 | (uint32_t)id->bytes[11] << 24;

	return hash & (shard->chain_count - 1);
}

/* `states`: 0, or SLOT_STATES for the second one. */
static struct journal_slot *find_slot(const struct journal_shard *shard,
				      const message_id *id, unsigned int states)
{
	struct journal_slot *slot;
	uint32_t i;

	if (shard->chain_count == 0)
		return NULL;
	for (i = shard->chains[chain_of(shard, id)]; i != 0; i = slot->next) {
		slot = slot_at(shard, i - 1);
		if ((slot->flags & SLOT_STATES) == states &&
		    message_id_cmp(&slot->id, id) == 0)
			return slot;
	}
	return NULL;
}

static struct journal_slot *find(const struct journal_shard *shard,
				 const message_id *id)
{
	return find_slot(shard, id, 0);
}

static struct journal_slot *find_states(const struct journal_shard *shard,
					const struct journal_slot *slot)
{
	if ((slot->flags & SLOT_HAS_STATES) == 0)
		return NULL;
	return find_slot(shard, &slot->id, SLOT_STATES);
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

static void link_slot(struct journal_shard *shard, uint32_t i)
{
	struct journal_slot *slot = slot_at(shard, i);
	uint32_t *chain = &shard->chains[chain_of(shard, &slot->id)];

	slot->next = *chain;
	*chain = i + 1;
}

/* Of one slot at most, about: whoever is new has nobody to be compared with. */
static bool grow_chains(struct journal_shard *shard)
{
	uint32_t count = shard->chain_count == 0 ? 16 : shard->chain_count * 2;
	uint32_t *chains = try_calloc(count, sizeof(*chains)), i;

	if (chains == NULL)
		return false;
	i_free(shard->chains);
	shard->chains = chains;
	shard->chain_count = count;
	for (i = 0; i < shard->slot_count; i++) {
		if ((slot_at(shard, i)->flags & SLOT_USED) != 0)
			link_slot(shard, i);
	}
	return true;
}

static bool add_chunk(struct journal_shard *shard)
{
	uint32_t count = shard->slot_room / CHUNK_SLOTS;
	struct journal_slot **chunks =
		try_realloc(shard->chunks, (count + 1) * sizeof(*chunks));

	if (chunks == NULL)
		return false;
	shard->chunks = chunks;
	chunks[count] = try_calloc(CHUNK_SLOTS, sizeof(**chunks));
	if (chunks[count] == NULL)
		return false;
	shard->slot_room += CHUNK_SLOTS;
	return true;
}

static struct journal_slot *add(struct journal_shard *shard,
				const message_id *id)
{
	struct journal_slot *slot;
	uint32_t i;

	if (shard->free_slots != 0) {
		i = shard->free_slots - 1;
		shard->free_slots = slot_at(shard, i)->next;
	} else {
		if (shard->slot_count == shard->slot_room && !add_chunk(shard))
			return NULL;
		if (shard->slot_count >= shard->chain_count &&
		    !grow_chains(shard))
			return NULL;
		i = shard->slot_count++;
	}
	slot = slot_at(shard, i);
	memset(slot, 0, sizeof(*slot));
	slot->id = *id;
	slot->flags = SLOT_USED;
	link_slot(shard, i);
	return slot;
}

static void free_slot(struct journal_shard *shard, struct journal_slot *slot)
{
	uint32_t *pos = &shard->chains[chain_of(shard, &slot->id)], number;

	while (slot_at(shard, *pos - 1) != slot)
		pos = &slot_at(shard, *pos - 1)->next;
	number = *pos;
	*pos = slot->next;
	slot->flags = 0;
	slot->next = shard->free_slots;
	shard->free_slots = number;
}

static void drop_unneeded(struct journal_shard *shard,
			  struct journal_slot *slot)
{
	if (slot->headers.offset == 0 && (slot->flags & SLOT_CLAIMED) == 0 &&
	    slot->waiting == 0)
		free_slot(shard, slot);
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
		free_slot(shard, states);
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
		states = add(shard, id);
		if (states == NULL)
			return NULL;
		states->flags |= SLOT_STATES;
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

void journal_index_deinit(struct journal_index *index)
{
	struct journal_shard *shard;
	uint32_t i;

	for (shard = index->shards; shard < index->shards + JOURNAL_SHARDS;
	     shard++) {
		(void)pthread_cond_destroy(&shard->released);
		(void)pthread_mutex_destroy(&shard->mutex);
		for (i = 0; i < shard->slot_room / CHUNK_SLOTS; i++)
			i_free(shard->chunks[i]);
		i_free(shard->chunks);
		i_free(shard->chains);
	}
}

void journal_index_prefetch(struct journal_index *index, const message_id *id,
			    bool chain_is_there)
{
	const struct journal_shard *shard = shard_of(index, id);
	const uint32_t *chain;

	if (shard->chain_count == 0)
		return;
	chain = &shard->chains[chain_of(shard, id)];
	if (!chain_is_there)
		I_PREFETCH(chain);
	else if (*chain != 0)
		I_PREFETCH(slot_at(shard, *chain - 1));
}

bool journal_index_find(struct journal_index *index, const message_id *id,
			struct journal_entry *entry_r)
{
	struct journal_shard *shard = shard_of(index, id);
	const struct journal_slot *slot;
	bool found;

	(void)pthread_mutex_lock(&shard->mutex);
	slot = find(shard, id);
	found = slot != NULL && slot->headers.offset != 0;
	if (found)
		slot_entry(shard, slot, entry_r);
	(void)pthread_mutex_unlock(&shard->mutex);
	return found;
}

bool journal_index_claim(struct journal_index *index, const message_id *id,
			 struct journal_entry *entry_r)
{
	struct journal_shard *shard = shard_of(index, id);
	struct journal_slot *slot;

	(void)pthread_mutex_lock(&shard->mutex);
	slot = find(shard, id);
	if (slot == NULL)
		slot = add(shard, id);
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

	(void)pthread_mutex_lock(&shard->mutex);
	slot = find(shard, &entry->id);
	if (slot == NULL)
		slot = add(shard, &entry->id);
	if (slot != NULL) {
		slot_entry(shard, slot, old_r);
		set_slot(shard, slot, entry);
		done = set_states(shard, entry);
	}
	(void)pthread_mutex_unlock(&shard->mutex);
	return done;
}

bool journal_index_remove(struct journal_index *index, const message_id *id,
			  struct journal_entry *old_r)
{
	struct journal_shard *shard = shard_of(index, id);
	struct journal_slot *slot;
	bool found;

	(void)pthread_mutex_lock(&shard->mutex);
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
	(void)pthread_mutex_unlock(&shard->mutex);
	return found;
}

void journal_index_mark_old(struct journal_index *index)
{
	struct journal_shard *shard;
	uint32_t i;

	for (shard = index->shards; shard < index->shards + JOURNAL_SHARDS;
	     shard++) {
		for (i = 0; i < shard->slot_count; i++)
			slot_at(shard, i)->flags |= SLOT_OLD;
	}
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
		count += shard->slot_count;
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
	for (; count < room && cursor->slot < shard->slot_count;
	     cursor->slot++) {
		slot = slot_at(shard, cursor->slot);
		if (!has_message(slot))
			continue;
		spots[count].headers = slot->headers;
		spots[count++].at = *cursor;
	}
	if (cursor->slot == shard->slot_count) {
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
	slot = slot_at(shard, at->slot);
	found = has_message(slot) && (!old || (slot->flags & SLOT_OLD) != 0);
	if (found) {
		if (old)
			slot->flags &= (uint16_t)~SLOT_OLD;
		slot_entry(shard, slot, entry_r);
	}
	(void)pthread_mutex_unlock(&shard->mutex);
	return found;
}
