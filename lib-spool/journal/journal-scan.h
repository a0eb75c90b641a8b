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
};

/* What a footer says, as it is on the disk: an item takes six times as much memory. */
struct journal_entries {
	unsigned char *bytes;
	size_t size, count;
	uint64_t last_sequence; /* of any record of the segment */
};

/* One of them: a record, whose sequence is not listed, and the body that it came with. */
struct journal_listed {
	struct journal_header header;
	struct journal_target target; /* of an UNLINK and a VOID */
	uint32_t offset, body;        /* in units; body 0: it has none */
};

struct journal_peek {
	enum journal_type type;
	const message_id *id; /* of the entries */
	bool has_body;
};

/* What is in a segment: by its footer, where it has one. */
struct journal_content {
	bool from_footer;
	struct journal_items items;     /* else */
	struct journal_entries entries; /* then */
};

/* Reads all of a segment; -1 with errno. */
int journal_scan(const struct journal_segment *segment,
		 struct journal_items *items);
/* Only the VOID records, which are its first, and what is damaged between them. */
int journal_scan_voids(const struct journal_segment *segment,
		       struct journal_items *items);
/* Bytes from there, where there should be a record and is none, to the next one; or to the
   segment's end, where there is no other, or that cannot be told. */
uint64_t journal_gap_size(const struct journal_segment *segment, uint64_t pos);
/* Whether there is a whole record there; false: or it cannot be told. */
bool journal_scan_is_whole(const struct journal_segment *segment, uint64_t pos);
void journal_items_free(struct journal_items *items);
/* journal-void.c: whether these bytes are within a range that is declared void. Not with
   the mutex. */
bool journal_is_void(struct journal *journal,
		     const struct journal_segment *segment, uint64_t pos,
		     uint64_t size);
/* Bytes from where it begins to the next one that is no padding: a footer says only where
   records begin. */
uint64_t journal_item_extent(const struct journal_items *items,
			     const struct journal_item *item) ATTR_PURE;
/* journal-footer-read.c: how many entries its footer says that it has. 0: none, or that is not
   known. */
uint32_t journal_footer_count(const struct journal_segment *segment);
/* What it says. 1; 0: there is none; -1 with errno. */
int journal_entries_read(const struct journal_segment *segment,
			 struct journal_entries *entries);
/* The one at *pos, which is behind it then; false: there are no more. */
bool journal_entries_next(const struct journal_entries *entries, size_t *pos,
			  struct journal_listed *listed);
/* The same, for who wants to know little of it. */
bool journal_entries_peek(const struct journal_entries *entries, size_t *pos,
			  struct journal_peek *peek);
void journal_entries_free(struct journal_entries *entries);
/* The same as items. */
int journal_footer_read(const struct journal_segment *segment,
			struct journal_items *items);
/* By the footer where there is one, else all of the segment. -1 with errno. */
int journal_list(const struct journal_segment *segment,
		 struct journal_items *items);
int journal_content_read(const struct journal_segment *segment,
			 struct journal_content *content);
void journal_content_free(struct journal_content *content);

/* journal-replay.c: whether there is a record in it. */
bool journal_content_is_empty(const struct journal_content *content) ATTR_PURE;
/* One that is not written before all that is void is durably said to be. */
bool journal_content_is_real(const struct journal_content *content);
/* Applies all of it to a journal that is being opened. `last`: no segment of later ones has
   records, so that its last group may not have been synced. False: no memory. */
bool journal_replay(struct journal *journal, struct journal_segment *segment,
		    const struct journal_items *items, bool last);
/* The same of one that has a footer: what is of the segment, before the first of its parts of
   the index, which may be applied at the same time. */
void journal_replay_footer(struct journal *journal,
			   struct journal_segment *segment,
			   const struct journal_entries *entries);
bool journal_replay_part(struct journal *journal,
			 const struct journal_segment *segment,
			 const struct journal_entries *entries,
			 unsigned int number, unsigned int parts);

/* journal-parts.c: applies what is in segments, in their order, by several threads. NULL: no
   memory. */
struct journal_parts;
struct journal_parts *journal_parts_start(struct journal *journal);
/* What was not needed of the content is there when it comes back. It may not be applied yet.
   False: no memory, also for one before. */
bool journal_parts_replay(struct journal_parts *parts,
			  struct journal_segment *segment,
			  struct journal_content *content, bool last);
/* Until all is applied. False: as above. */
bool journal_parts_wait(struct journal_parts *parts);
/* It ends with what was to be applied. NULL is allowed. */
void journal_parts_stop(struct journal_parts **parts);

/* journal-look.c: finds the segments that there are, and what they are; and how many records
   their footers list. -1 with errno and a text. */
int journal_look(struct journal *journal, uint64_t *listed_r, char **error_r);
/* Whether the one of this number was given up before that: it is not missing. */
bool journal_was_given_up(const struct journal *journal,
			  uint32_t number) ATTR_PURE;

/* journal-ahead.c: reads segments by several threads, a few ahead of who wants to know
   what is in them: by their footers, or whole. */
struct journal_ahead;
struct journal_ahead *journal_ahead_start(struct journal_segment **segments,
					  unsigned int count);
/* The next one's, which are the caller's then; -1 with errno. */
int journal_ahead_next(struct journal_ahead *ahead,
		       struct journal_content *content);
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
