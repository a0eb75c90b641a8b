/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_SCAN_H
#define BOBBIN_JOURNAL_SCAN_H

/* What is in a segment, from its first record to its last: also where records should
   be, and are not. Not installed. */

#include "journal/journal-private.h"

enum journal_item_state {
	JOURNAL_ITEM_WHOLE,
	JOURNAL_ITEM_BAD, /* its header is right, its payload is not */
	JOURNAL_ITEM_GAP /* bytes that are no record, with a record behind them */
};

struct journal_item {
	enum journal_item_state state;
	uint64_t pos, size; /* in the segment, in bytes */
	struct journal_header header;
	struct journal_target target; /* of an UNLINK and a VOID */
};

struct journal_items {
	struct journal_item *items;
	size_t count, room;
	/* The index of the first one that no later group vouches for: the last
	   group may not have been synced. */
	size_t last_group;
	/* only what counts for the index is there, by the segment's footer */
	bool from_footer;
};

/* Reads all of a segment; -1 with errno. */
int journal_scan(const struct journal_segment *segment,
		 struct journal_items *items);
/* Only the VOID records, which are its first. */
int journal_scan_voids(const struct journal_segment *segment,
		       struct journal_items *items);
void journal_items_free(struct journal_items *items);
/* journal-void.c: whether it is within a range that is declared void. Not with the
   mutex. */
bool journal_is_void(struct journal *journal,
		     const struct journal_segment *segment,
		     const struct journal_item *item);
/* Bytes from where it begins to the next one that is no padding: a footer says only where
   records begin. */
uint64_t journal_item_extent(const struct journal_items *items,
			     const struct journal_item *item) ATTR_PURE;
/* journal-footer.c: what it says. 1; 0: there is none; -1 with errno. */
int journal_footer_read(const struct journal_segment *segment,
			struct journal_items *items);
/* By the footer where there is one, else all of the segment. -1 with errno. */
int journal_list(const struct journal_segment *segment,
		 struct journal_items *items);

/* journal-ahead.c: reads segments by several threads, a few ahead of who wants to know
   what is in them: by their footers, or whole. */
struct journal_ahead;
struct journal_ahead *journal_ahead_start(struct journal_segment **segments,
					  unsigned int count);
/* The next one's, which are the caller's then; -1 with errno. */
int journal_ahead_next(struct journal_ahead *ahead,
		       struct journal_items *items);
/* What was read in vain is freed. NULL is allowed. */
void journal_ahead_stop(struct journal_ahead **ahead);

/* journal-damage.c: the item is no record, for this reason. `torn`: of a group that may
   not have been synced, and so is to be declared void; else it is damage, which is put
   aside. */
void journal_reject(struct journal *journal,
		    const struct journal_segment *segment,
		    const struct journal_item *item, bool torn,
		    const char *why);
/* The file of the segment, in which there are records up to there, is shorter than the
   segment. */
void journal_damage_end(struct journal *journal,
			struct journal_segment *segment, uint64_t pos);

#endif
