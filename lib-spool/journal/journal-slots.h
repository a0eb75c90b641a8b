/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_SLOTS_H
#define BOBBIN_JOURNAL_SLOTS_H

/* The memory of a shard of the index: slots that stay where they are, and a table by which
   one is found by its id. Not installed. */

#include "journal/journal.h"

enum journal_slot_flags {
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
	uint32_t next; /* of the free ones: slot + 1 */
	uint16_t flags;
	uint16_t waiting; /* threads that wait for the claim */
};

struct journal_slots {
	struct journal_slot **chunks;
	uint32_t at_once; /* so many of them are one piece of memory */
	/* Each entry is empty (0), or a slot + 1 and an octet of its id, so that hardly any
	   other slot is looked at; at the first place from the id's own that was empty. */
	uint32_t *table;
	uint32_t table_size; /* a power of two, or 0 */
	uint32_t used;
	/* used so far, or once; and what there is memory for */
	uint32_t count, room;
	uint32_t free; /* a list, slot + 1 */
};

/* Slots are allocated by so many: nothing is moved when there are more, and what is not
   used yet is little. A power of two. */
#define JOURNAL_CHUNK_SLOTS 32u

/* By its number, from 0. */
static inline struct journal_slot *
journal_slot_at(const struct journal_slots *slots, uint32_t i)
{
	return &slots->chunks[i / JOURNAL_CHUNK_SLOTS][i % JOURNAL_CHUNK_SLOTS];
}

/* `states`: 0, or SLOT_STATES for the second one. NULL: there is none. */
struct journal_slot *journal_slots_find(const struct journal_slots *slots,
					const message_id *id,
					unsigned int states);
/* The same (`flags` has SLOT_STATES or not), or else a new one with these flags, and
   SLOT_USED. NULL: no memory. */
struct journal_slot *journal_slots_get(struct journal_slots *slots,
				       const message_id *id,
				       unsigned int flags);
/* Of empty ones: memory for so many, which need not be got bit by bit; where there is none, it
   is. */
void journal_slots_expect(struct journal_slots *slots, uint32_t count);
/* A table that is no larger than what is there needs. */
void journal_slots_fit(struct journal_slots *slots);
void journal_slots_remove(struct journal_slots *slots,
			  struct journal_slot *slot);
/* What the processor has to fetch for an id: its place in the table; and when that is there,
   what is found there, or else the slot that it is to have. */
enum journal_prefetch {
	JOURNAL_PREFETCH_PLACE,
	JOURNAL_PREFETCH_FOUND,
	JOURNAL_PREFETCH_NEW
};
void journal_slots_prefetch(const struct journal_slots *slots,
			    const message_id *id, enum journal_prefetch what);
void journal_slots_free(struct journal_slots *slots);

#endif
