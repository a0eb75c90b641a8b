/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "journal/journal-slots.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* An entry: above its slot's number is an octet of the id. */
#define NUMBER_BITS 24
#define NUMBER_MASK (((uint32_t)1 << NUMBER_BITS) - 1)
#define SLOTS_MAX (NUMBER_MASK - 1)

#define TABLE_MIN 16u
#define CHUNK_SIZE (JOURNAL_CHUNK_SLOTS * sizeof(struct journal_slot))

/* The last eight octets of an id are random; the last one chose the shard. */
static uint32_t place_of(const struct journal_slots *slots,
			 const message_id *id)
{
	uint32_t hash = (uint32_t)id->bytes[14] | (uint32_t)id->bytes[13] << 8 |
		(uint32_t)id->bytes[12] << 16 | (uint32_t)id->bytes[11] << 24;

	return hash & (slots->table_size - 1);
}

static uint32_t mark_of(const message_id *id)
{
	return (uint32_t)id->bytes[10] << NUMBER_BITS;
}

static uint32_t place_behind(const struct journal_slots *slots, uint32_t place)
{
	return (place + 1) & (slots->table_size - 1);
}

static struct journal_slot *slot_of(const struct journal_slots *slots,
				    uint32_t entry)
{
	return journal_slot_at(slots, (entry & NUMBER_MASK) - 1);
}

/* Where the id's entry is, or (0 is there) would be. */
static uint32_t search(const struct journal_slots *slots, const message_id *id,
		       unsigned int states)
{
	uint32_t mark = mark_of(id), place = place_of(slots, id), entry;
	const struct journal_slot *slot;

	while ((entry = slots->table[place]) != 0) {
		slot = slot_of(slots, entry);
		if ((entry & ~NUMBER_MASK) == mark &&
		    (slot->flags & SLOT_STATES) == states &&
		    message_id_cmp(&slot->id, id) == 0)
			break;
		place = place_behind(slots, place);
	}
	return place;
}

struct journal_slot *journal_slots_find(const struct journal_slots *slots,
					const message_id *id,
					unsigned int states)
{
	uint32_t entry;

	if (slots->table_size == 0)
		return NULL;
	entry = slots->table[search(slots, id, states)];
	return entry == 0 ? NULL : slot_of(slots, entry);
}

/* Where there is room. */
static void enter(struct journal_slots *slots, uint32_t i)
{
	const message_id *id = &journal_slot_at(slots, i)->id;
	uint32_t place = place_of(slots, id);

	while (slots->table[place] != 0)
		place = place_behind(slots, place);
	slots->table[place] = mark_of(id) | (i + 1);
}

/* Three quarters of it are used at most: what is looked for is near its place then. */
static bool has_table_room(uint32_t size, uint32_t used)
{
	return used < size / 4 * 3;
}

/* The smallest one in which there is room for another. */
static uint32_t table_size_for(uint32_t used)
{
	uint32_t size = TABLE_MIN;

	while (!has_table_room(size, used))
		size *= 2;
	return size;
}

static bool set_table_size(struct journal_slots *slots, uint32_t size)
{
	uint32_t *table = try_calloc(size, sizeof(*table)), i;

	if (table == NULL)
		return false;
	i_free(slots->table);
	slots->table = table;
	slots->table_size = size;
	for (i = 0; i < slots->count; i++) {
		if ((journal_slot_at(slots, i)->flags & SLOT_USED) != 0)
			enter(slots, i);
	}
	return true;
}

static bool make_table_room(struct journal_slots *slots)
{
	return has_table_room(slots->table_size, slots->used) ||
		set_table_size(slots, table_size_for(slots->used));
}

/* Of empty ones: so many chunks at once. What is not used of them takes no memory but for
   addresses. */
static void make_chunks(struct journal_slots *slots, uint32_t count)
{
	struct journal_slot *first = try_malloc(count * CHUNK_SIZE);
	struct journal_slot **chunks = try_malloc(count * sizeof(*chunks));
	uint32_t i;

	if (first == NULL || chunks == NULL) {
		i_free(first);
		i_free(chunks);
		return;
	}
	for (i = 0; i < count; i++)
		chunks[i] = first + (size_t)i * JOURNAL_CHUNK_SLOTS;
	slots->chunks = chunks;
	slots->room = count * JOURNAL_CHUNK_SLOTS;
	slots->at_once = count;
}

void journal_slots_expect(struct journal_slots *slots, uint32_t count)
{
	count = I_MIN(count, SLOTS_MAX);
	if (count < JOURNAL_CHUNK_SLOTS)
		return;
	make_chunks(slots, count / JOURNAL_CHUNK_SLOTS);
	(void)set_table_size(slots, table_size_for(count));
}

void journal_slots_fit(struct journal_slots *slots)
{
	uint32_t size = table_size_for(slots->used);

	if (size < slots->table_size)
		(void)set_table_size(slots, size);
}

static bool add_chunk(struct journal_slots *slots)
{
	uint32_t count = slots->room / JOURNAL_CHUNK_SLOTS;
	struct journal_slot **chunks;

	if (slots->room + JOURNAL_CHUNK_SLOTS > SLOTS_MAX) {
		errno = ENOMEM;
		return false;
	}
	chunks = try_realloc(slots->chunks, (count + 1) * sizeof(*chunks));
	if (chunks == NULL)
		return false;
	slots->chunks = chunks;
	chunks[count] = try_calloc(JOURNAL_CHUNK_SLOTS, sizeof(**chunks));
	if (chunks[count] == NULL)
		return false;
	slots->room += JOURNAL_CHUNK_SLOTS;
	return true;
}

/* The number of one that nobody uses. False: no memory. */
static bool take_free(struct journal_slots *slots, uint32_t *i_r)
{
	if (slots->free != 0) {
		*i_r = slots->free - 1;
		slots->free = journal_slot_at(slots, *i_r)->next;
		return true;
	}
	if (slots->count == slots->room && !add_chunk(slots))
		return false;
	*i_r = slots->count++;
	return true;
}

/* Of which the entry goes there. */
static struct journal_slot *add(struct journal_slots *slots,
				const message_id *id, unsigned int flags,
				uint32_t place)
{
	struct journal_slot *slot;
	uint32_t i;

	if (!take_free(slots, &i))
		return NULL;
	slot = journal_slot_at(slots, i);
	memset(slot, 0, sizeof(*slot));
	slot->id = *id;
	slot->flags = (uint16_t)(SLOT_USED | flags);
	slots->table[place] = mark_of(id) | (i + 1);
	slots->used++;
	return slot;
}

struct journal_slot *journal_slots_get(struct journal_slots *slots,
				       const message_id *id, unsigned int flags)
{
	uint32_t place, entry;

	if (!make_table_room(slots))
		return NULL;
	place = search(slots, id, flags & SLOT_STATES);
	entry = slots->table[place];
	return entry == 0 ? add(slots, id, flags, place) :
			    slot_of(slots, entry);
}

/* The entries behind move up where they would be looked for no more. */
static void empty_place(struct journal_slots *slots, uint32_t hole)
{
	uint32_t mask = slots->table_size - 1, place = hole, home, entry;

	for (;;) {
		place = place_behind(slots, place);
		entry = slots->table[place];
		if (entry == 0)
			break;
		home = place_of(slots, &slot_of(slots, entry)->id);
		if (((place - home) & mask) >= ((place - hole) & mask)) {
			slots->table[hole] = entry;
			hole = place;
		}
	}
	slots->table[hole] = 0;
}

void journal_slots_remove(struct journal_slots *slots,
			  struct journal_slot *slot)
{
	uint32_t place = place_of(slots, &slot->id), number;

	while (slot_of(slots, slots->table[place]) != slot)
		place = place_behind(slots, place);
	number = slots->table[place] & NUMBER_MASK;
	empty_place(slots, place);
	slot->flags = 0;
	slot->next = slots->free;
	slots->free = number;
	slots->used--;
}

static void prefetch_found(const struct journal_slots *slots,
			   const message_id *id)
{
	uint32_t place = place_of(slots, id), entry;

	while ((entry = slots->table[place]) != 0) {
		if ((entry & ~NUMBER_MASK) == mark_of(id))
			I_PREFETCH(slot_of(slots, entry));
		place = place_behind(slots, place);
	}
}

/* The next one's, as if none came before. */
static void prefetch_new(const struct journal_slots *slots)
{
	uint32_t i = slots->free != 0 ? slots->free - 1 : slots->count;
	const struct journal_slot *slot;

	if (i == slots->room)
		return;
	slot = journal_slot_at(slots, i);
	I_PREFETCH_WRITE(slot);
	I_PREFETCH_WRITE(&slot->waiting); /* on the next line of the cache */
}

void journal_slots_prefetch(const struct journal_slots *slots,
			    const message_id *id, enum journal_prefetch what)
{
	if (slots->table_size == 0)
		return;
	switch (what) {
	case JOURNAL_PREFETCH_PLACE:
		I_PREFETCH(&slots->table[place_of(slots, id)]);
		break;
	case JOURNAL_PREFETCH_FOUND:
		prefetch_found(slots, id);
		break;
	case JOURNAL_PREFETCH_NEW:
		prefetch_new(slots);
		break;
	}
}

void journal_slots_free(struct journal_slots *slots)
{
	uint32_t i;

	for (i = 0; i < slots->room / JOURNAL_CHUNK_SLOTS; i++) {
		if (i == 0 || i >= slots->at_once)
			i_free(slots->chunks[i]);
	}
	i_free(slots->chunks);
	i_free(slots->table);
}
