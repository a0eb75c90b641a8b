/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_INDEX_H
#define BOBBIN_JOURNAL_INDEX_H

/* Which records are a message's, in memory: 48 bytes each, and as much again for one whose
   recipients' states were written apart, in shards that grow one by one. It also keeps, for each message, who may change it. Not installed. */

#include "journal/journal-slots.h"

#include <pthread.h>

#define JOURNAL_SHARDS 256

struct journal_shard {
	pthread_mutex_t mutex;
	pthread_cond_t released;
	struct journal_slots slots;
};

struct journal_index {
	/* Before that no shard is more than one thread's, which needs no mutex then. */
	bool is_open;
	struct journal_shard shards[JOURNAL_SHARDS];
};

void journal_index_init(struct journal_index *index);
/* There may be so many messages soon. Of who is alone. */
void journal_index_expect(struct journal_index *index, uint64_t count);
/* What was added before is old, and more was expected in vain; several threads may come
   for the same shards from now on. Of who is alone. */
void journal_index_is_open(struct journal_index *index);
void journal_index_deinit(struct journal_index *index);

/* Which one of so many parts of the shards the message's is of: who has a part is alone
   there. */
static inline unsigned int journal_index_part(const message_id *id,
					      unsigned int parts)
{
	return id->bytes[15] * parts / JOURNAL_SHARDS;
}
/* Of who is alone: see journal_slots_prefetch(). */
void journal_index_prefetch(struct journal_index *index, const message_id *id,
			    enum journal_prefetch what);
bool journal_index_find(struct journal_index *index, const message_id *id,
			struct journal_entry *entry_r);
/* See journal_claim(). */
bool journal_index_claim(struct journal_index *index, const message_id *id,
			 struct journal_entry *entry_r);
/* How many threads wait for the claim: for tests. */
unsigned int journal_index_waiting(struct journal_index *index,
				   const message_id *id);
void journal_index_release(struct journal_index *index, const message_id *id);
/* Makes the entry the message's, as `old_r` tells what it was before (headers.offset
   0: none). Headers that were moved, which have the version that was there, keep the
   states that they had until the entry has others. False: no memory, which cannot be where
   it was claimed. */
bool journal_index_set(struct journal_index *index,
		       const struct journal_entry *entry,
		       struct journal_entry *old_r);
/* So that journal_index_set() has memory for an entry with states. False: none. */
bool journal_index_reserve_states(struct journal_index *index,
				  const message_id *id);
/* False: there was none. */
bool journal_index_remove(struct journal_index *index, const message_id *id,
			  struct journal_entry *old_r);
/* A slot of the index: a message keeps its own as long as it is there. */
struct journal_cursor {
	uint32_t shard, slot;
};
/* A message's, and where its headers are. */
struct journal_spot {
	struct journal_place headers;
	struct journal_cursor at;
};
/* How many there are, with those that have no message now. */
size_t journal_index_slots(struct journal_index *index);
/* Those of the cursor's shard from there on, `room` at most, and goes on behind them. The end
   is where shard is JOURNAL_SHARDS. */
size_t journal_index_spots(struct journal_index *index,
			   struct journal_cursor *cursor,
			   struct journal_spot *spots, size_t room);
/* What is there now. False: nothing, or it is not `old`, which it is once. */
bool journal_index_take(struct journal_index *index,
			const struct journal_cursor *at, bool old,
			struct journal_entry *entry_r);
/* journal-walk.c: see journal_for_each(). */
void journal_index_for_each(struct journal_index *index, bool old,
			    journal_entry_t *callback, void *context);

#endif
