/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_VICTIM_H
#define BOBBIN_JOURNAL_VICTIM_H

/* Choosing what is emptied. Not installed. */

#include "journal/journal-private.h"

/* Messages that are moved by one commit. */
#define JOURNAL_VICTIM_BATCH 32

/* Bytes that can be written on a full disk: for what is packed, and for what is in the way of
   tombstones. pack UINT64_MAX: it is not full. */
struct journal_rooms {
	uint64_t pack, free;
};

/* What is to be emptied. */
struct journal_victim {
	struct journal_segment segment; /* as it was under the mutex */
	uint64_t most;     /* bytes, to be worth it; UINT64_MAX: any */
	bool for_removals; /* see journal_request */
};

/* False: none is worth it. */
bool journal_victim_find(struct journal *journal,
			 const struct journal_rooms *rooms,
			 struct journal_victim *victim_r);
/* Bytes that are padded where so many records are moved. */
uint64_t journal_victim_padding(uint64_t records);

#endif
