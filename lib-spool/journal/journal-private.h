/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_PRIVATE_H
#define BOBBIN_JOURNAL_PRIVATE_H

#include "journal/journal.h"
#include "journal/journal-files.h"
#include "journal/journal-index.h"
#include "journal/journal-worker.h"
#include "buffer.h"
#include "spool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define JOURNAL_DIR_NAME "journal"
#define JOURNAL_NEW_NAME "new.tmp"
#define JOURNAL_BODIES_NAME "bodies"
struct journal_segment {
	struct journal_file *file;
	struct journal_segment_header header;
	uint64_t pos; /* where the next group goes; changed under the mutex */
	uint64_t footer_size; /* most bytes of it, up to there; as above */
	uint64_t live;        /* records that are a message's */
	uint64_t total;       /* that ever were, of this incarnation */
	uint64_t tombstones;  /* in it, as above */
	/* Bytes of those that ever were, with what was padded behind them; once
	   it is not the active one. */
	uint64_t taken;
	/* Segments that must be written anew before this one may be: records of
	   theirs are overruled by some of its. */
	uint32_t *outlives;
	unsigned int outlives_count;
	bool failed; /* a write or sync failed: never written again */
	bool sealed; /* it ends in a footer: nothing more goes into it */
	bool blank;  /* no record of this incarnation was ever written */
	/* Not all of its blocks are on the disk: it gave them back, or (where it is not new) its
	   end is lost; under the mutex. */
	bool cut;
	bool end_told; /* records behind its file's end are lost: it was told */
	bool kept;     /* what is left in it could not be moved, or is needed */
	bool stuck;    /* there was no room for it; under the mutex */
	/* Of the one that is written: what its footer will have. NULL: nothing, as it
	   will have none. */
	buffer_t *footer;
	uint32_t footer_count;
};

/* A range of a segment in which there are no records. */
struct journal_void {
	struct journal_void *next;
	struct journal_target target;
	/* The number of the newest segment that says so, durably; 0: there is none yet. */
	uint32_t said_by;
};

/* What something is written for: on a full disk each leaves something to those before it,
   which give back more. */
enum journal_use {
	JOURNAL_USE_CARRY,  /* tombstones, of which fewer are left then */
	JOURNAL_USE_FREE,   /* what is in the way of that */
	JOURNAL_USE_REMOVE, /* a message */
	JOURNAL_USE_PACK,   /* what is left in a segment */
	JOURNAL_USE_MOVE,   /* headers or states that change */
	JOURNAL_USE_GROW    /* a message that is stored */
};
#define JOURNAL_USES (JOURNAL_USE_GROW + 1)

struct journal {
	int dir_fd; /* the spool's */
	int fd;     /* SPOOL/journal */
	int bodies_fd;
	struct journal_files files;
	char *dir; /* for messages */
	struct journal_settings settings;
	struct journal_index index;

	/* Of its own, so that who has the turn does not wait for those who queue. */
	pthread_mutex_t queue_mutex;
	/* Under that. */
	struct journal_request *queue, **queue_end;
	pthread_cond_t came; /* what a group waits for, or somebody who waits */
	uint64_t patience;   /* of a group, in microseconds */
	unsigned int queued; /* in the queue */
	/* See journal_expect(); and how much of it took longer than a group waits; changed by
	   all */
	atomic_uint expected, overdue;
	/* threads, for something that is in it, or was and they were not told yet, or did
	   not get to know it; changed by all */
	atomic_uint waiting;
	struct journal_waiter *turn_wanted; /* for something else */
	struct journal_writer *writer;      /* NULL: none was needed yet */
	bool committing;     /* somebody has the turn; else nothing is queued */
	atomic_bool keeping; /* a group waits; read by all */

	pthread_mutex_t mutex;
	/* Under the mutex. */
	bool next_wanted;  /* somebody waits for a segment */
	bool next_asked;   /* the maker makes one */
	bool is_full;      /* there was no space for the last one */
	bool space_wanted; /* somebody found no room: it is worth a bit more */
	bool all_moved;    /* though it was, nothing could be moved */
	/* by number, from 1; NULL: none */
	struct journal_segment **segments;
	uint32_t segment_end; /* behind the largest number */
	/* No new one has a lower number, from 1 */
	uint32_t first_number;
	/* Numbers of those that were given up before it was opened. */
	uint32_t *given_up;
	unsigned int given_up_count;
	uint64_t messages;

	/* Of who is committing. */
	struct journal_group *group; /* read_only: NULL */
	/* NULL: the next one is to be taken; changed under the mutex */
	struct journal_segment *active;
	uint64_t next_sequence;
	/* to be declared void; changed under the mutex */
	struct journal_void *voids;
	/* that are, of segments that are there, what was said longest ago first; under the
	   mutex */
	struct journal_void *voided;
	uint64_t probe_at; /* by journal_now_usecs() */
	int broken;        /* errno; nothing is written before that */
	bool warned;       /* that it is broken */
	bool vouch_wanted; /* something was written, and nothing says that it was synced */
	bool was_ahead_asked; /* for the segment behind the active one */
	/* Up to which the active one may be filled, as far as was asked, and how many
	   messages may be stored until it is asked again. */
	uint64_t ends[JOURNAL_USES], grow_count;
	uint64_t
		growing; /* of messages that are stored by this group, so far */
	struct spool_stats stats; /* what is counted while it is open */

	bool damaged; /* something is missing that was there: found at opening */
	/* while that is, see journal-rests.c */
	struct journal_rest *rests[JOURNAL_SHARDS];
	/* of one that is read-only: what it was */
	struct journal_damage *damage, **damage_end;
	/* NULL: it is not done by itself */
	struct journal_worker *upkeep, *maker;
	/* Of who makes segments, or lets their blocks go; behind the turn. */
	pthread_mutex_t making;
	uint64_t
		most_space; /* that there was when the last one failed; under that */
	/* One compaction at a time: each has claims on several messages, and two that
	   take them in another order would wait for each other. */
	pthread_mutex_t compaction;
	struct journal_listing *listing; /* under that; NULL: none */
};

/* journal.c */
void journal_warn(struct journal *journal, const char *fmt, ...)
	ATTR_FORMAT(2, 3);
/* Something could not be put into quarantine, for this errno. */
void journal_unkept(struct journal *journal, int error);

/* journal-segment.c: the table of them. What fails says so by errno. */
/* Adds a segment to the table. False: no memory. */
bool journal_segment_add(struct journal *journal,
			 struct journal_segment *segment);
void journal_segment_free(struct journal_segment **segment);
/* It is written no more. */
void journal_segment_fail(struct journal *journal,
			  struct journal_segment *segment);
/* Whether so many bytes, of so many records, can go behind `end`, and its footer behind
   them. */
bool journal_segment_has_room(const struct journal_segment *segment,
			      uint64_t end, uint64_t size,
			      unsigned int records);
/* Writes the bytes that are there once more, and syncs: -1 with errno. */
int journal_segment_rewrite(const struct journal_segment *segment, uint64_t pos,
			    uint64_t size);
/* By number; NULL: there is none. */
struct journal_segment *journal_segment_get(struct journal *journal,
					    uint32_t number);
/* What a reader needs of one, who holds no lock: the file stays, and what is
   written anew meanwhile has another incarnation. False: there is none. */
struct journal_source {
	struct journal_file *file;
	uint64_t size;
	unsigned char incarnation[JOURNAL_INCARNATION_SIZE];
};
bool journal_segment_source(struct journal *journal, uint32_t number,
			    struct journal_source *source_r);
/* Whether another process, that writes, has written it anew since it was read, or removed
   it: for readers. */
bool journal_source_has_changed(const struct journal_source *source);
/* journal-read.c: the header of the record there; false with errno (0: it is none). */
bool journal_read_header(const struct journal_source *segment, uint64_t offset,
			 struct journal_header *header_r);
/* By incarnation; NULL: it is gone. */
struct journal_segment *
journal_segment_find(struct journal *journal,
		     const unsigned char incarnation[JOURNAL_INCARNATION_SIZE]);

/* journal-footer.c: what a full segment ends in. In one that is kept for removals it would
   take half as much as a tombstone: it has none. */
void journal_footer_begin(const struct journal *journal,
			  struct journal_segment *segment);
void journal_footer_free(struct journal_segment *segment);
/* A durable record, at this offset, in units of JOURNAL_ALIGN; `body`: that of the one
   that it came with, or 0. Target: of an UNLINK and a VOID. */
void journal_footer_add(struct journal_segment *segment,
			const struct journal_header *header, uint32_t offset,
			uint32_t body, const struct journal_target *target);
/* Most bytes that it takes with so many records, or so many more. */
uint64_t journal_footer_most(unsigned int records);
uint64_t journal_footer_size(const struct journal_segment *segment,
			     unsigned int records);
/* No record of it has a higher sequence. What fails leaves a segment that will be
   read whole. */
void journal_footer_write(struct journal_segment *segment,
			  uint64_t last_sequence);

/* journal-make.c: of who makes segments. The first block, under a fresh incarnation, which
   nobody could have guessed: -1 with errno. */
int journal_write_header(int fd, struct journal_segment_header *header);
/* Bytes of a segment, on the disk of this directory. */
uint64_t journal_default_size(int dir_fd);
/* Whether the file system has space for another one: where not, the disk is full from then
   on. */
bool journal_has_space(struct journal *journal);
/* A new one, without a record; NULL with errno. Ahead: nobody waits for it, yet. */
struct journal_segment *journal_make_segment(struct journal *journal,
					     uint64_t size,
					     uint64_t first_sequence,
					     bool ahead);
/* There is no space for one of `size`: as large a part of it as there is space for, of at
   least so many bytes. */
struct journal_segment *journal_make_smaller(struct journal *journal,
					     uint64_t size, uint64_t least,
					     uint64_t first_sequence,
					     bool ahead);
/* The blocks of a cut one again, for which there may be no space: then it stays as it was.
   They are synced with its first block, which is written last. 0, or -1 with errno. */
int journal_fill_cut(struct journal *journal, struct journal_segment *segment,
		     bool ahead);
/* The same of one whose end is lost: what is there of it stays. */
int journal_fill_end(struct journal *journal, struct journal_segment *segment);

/* journal-next.c: an empty one to write in, which is the active one then: a dead one that
   is written anew, or a new file. NULL with errno. Of who is committing. */
struct journal_segment *journal_segment_next(struct journal *journal,
					     enum journal_use use);
/* Makes what that will find: of at least so many bytes. False with errno. Of who is
   committing. */
bool journal_segment_prepare(struct journal *journal, uint64_t least,
			     enum journal_use use);
/* The same, where nobody waits for it. */
void journal_segment_make_ahead(struct journal *journal);
/* As journal_reserve_end(): makes more of what is kept where it would not be up to `end`
   else. errno tells why it is not. */
uint64_t journal_segment_make_room(struct journal *journal,
				   enum journal_use use, uint64_t end);
/* Makes a dead one blank, so that what outlives it needs to no more; false: there is
   none. Of who is committing. */
bool journal_segment_blank_one(struct journal *journal);
/* Gives blocks of one back where more are blank than are soon needed; false: there is
   none, or (where it is not to be waited for) one is being made. */
bool journal_segment_cut_one(struct journal *journal, bool wait);

/* journal-reserve.c: what is kept on a full disk. Most bytes of what is needed in a segment,
   for it to be worth emptying it there. */
uint64_t journal_reserve_worth(const struct journal *journal,
			       const struct journal_segment *segment) ATTR_PURE;
/* The size of one of the small segments that
   it is, in bytes; 0: segments are too small for that. */
uint64_t journal_reserve_piece(const struct journal *journal) ATTR_PURE;
bool journal_is_piece(const struct journal *journal,
		      const struct journal_segment *segment) ATTR_PURE;
/* Up to which the active one may be filled, as it is now. Of who is committing. */
uint64_t journal_reserve_end(struct journal *journal, enum journal_use use);
/* What was said of that and still holds; 0: ask. */
void journal_reserve_ends(struct journal *journal,
			  uint64_t ends_r[JOURNAL_USES]);
/* Whether enough is kept when that goes on in this one. */
bool journal_reserve_stays(struct journal *journal,
			   const struct journal_segment *segment,
			   enum journal_use use);
/* Whether it may be the next for that. With the mutex. */
bool journal_reserve_gives(const struct journal *journal,
			   const struct journal_segment *segment,
			   enum journal_use use);
/* Whether no segment can be made, as far as is known. */
bool journal_reserve_is_full(struct journal *journal);
/* Bytes that can be written where no segment can be made, if none of the requests has more
   than `largest`, as each segment may have to do without one; UINT64_MAX: a segment can be
   made, as far as is known. */
uint64_t journal_reserve_room(struct journal *journal, enum journal_use use,
			      uint64_t largest);
/* Bytes of tombstones that go into the active one. */
uint64_t journal_reserve_active_room(struct journal *journal);
/* Whether the active one has nothing but tombstones, which others have room for, and they
   would take much less there. */
bool journal_reserve_wins_by_ending(struct journal *journal,
				    const struct journal_segment *active);
/* Of who makes segments. */
bool journal_reserve_lacks_piece(struct journal *journal);
bool journal_reserve_lacks_whole(struct journal *journal);
/* Somebody found no room. */
void journal_reserve_want_space(struct journal *journal);
/* One that need not keep its blocks; NULL: there is none. */
struct journal_segment *journal_reserve_surplus(struct journal *journal);

/* journal-commit.c: what a group is made in; NULL: no memory. i_free() it. */
struct journal_group *journal_group_new(void);
/* What can be done before its turn comes. */
void journal_prepare(struct journal_request *request);
/* Cuts the list's beginning off and writes it as one group; each of it has its error
   then. What is left of the list. Of who is committing. */
struct journal_request *journal_write_group(struct journal *journal,
					    struct journal_request *first);
/* Nothing more goes into the active one, where that is worth it on a full disk. False: it
   is not. Of who is committing. */
bool journal_end_active(struct journal *journal);
/* journal-queue.c */
void journal_queue_init(struct journal *journal);
void journal_queue_deinit(struct journal *journal);
/* Ends its thread; no other call is running. */
void journal_writer_stop(struct journal *journal);
/* Takes the part of who is committing, and gives it back. */
void journal_begin_commit(struct journal *journal);
void journal_end_commit(struct journal *journal);
/* journal_commit() of many, which are one group where that is possible. */
int journal_commit_many(struct journal *journal,
			struct journal_request **requests, unsigned int count);

/* journal-compact.c: moves a batch of what is left in the emptiest of those segments that
   are half empty: 1; 0: there is none; -1 with errno. wait: see
   journal_segment_cut_one(). */
int journal_compact_some(struct journal *journal, bool wait, uint64_t *moved);
/* Lets go what it keeps of the segment that it is at. */
void journal_listing_free(struct journal *journal);
/* journal-carry.c: a tombstone's record, in bytes. */
#define JOURNAL_TOMBSTONE_SIZE ((uint64_t)2 * JOURNAL_ALIGN)
/* Lets one segment go that has nothing but tombstones: 1; 0: there is
   none; -1 with errno. */
int journal_carry_tombstones(struct journal *journal);
/* The upkeep: all of it that there is. Of its thread. */
void journal_upkeep(struct journal *journal);

/* journal-account.c: which segments are needed. Under the mutex. */
void journal_account(struct journal *journal, const struct journal_place *place,
		     int change);
/* The message is there no more, and was this. */
void journal_account_gone(struct journal *journal,
			  const struct journal_entry *old);
/* Whether it may be written anew. */
bool journal_is_dead(const struct journal *journal,
		     const struct journal_segment *segment) ATTR_PURE;
/* The same, and at once. */
bool journal_has_blocks(const struct journal *journal,
			const struct journal_segment *segment) ATTR_PURE;
/* Its first block says that it has no records, so that its file may be shorter than it. */
bool journal_is_empty(const struct journal_segment *segment) ATTR_PURE;
/* It may have been made when they were to be smaller, or when there was no space for
   more. */
bool journal_is_small(const struct journal *journal,
		      const struct journal_segment *segment) ATTR_PURE;
/* Whether nothing but tombstones is written for that. */
bool journal_is_of_tombstones(enum journal_use use);
/* Whether half of it is a message's at most: of the records that ever were, or of what was
   written, where the rest is tombstones that nothing needs. */
bool journal_half_empty(const struct journal_segment *segment) ATTR_PURE;
/* A record at `by` overrules the one at `old`. */
void journal_overrule(struct journal *journal, uint32_t by, uint32_t old);
/* The segment was written anew, and its header is to change, or its file is gone: nothing
   has to outlive it. */
void journal_forget_segment(struct journal *journal, uint32_t number);
/* Nothing is overruled by this segment alone any more: who has to outlive it outlives
   what it had to outlive, too, and it is dead. */
void journal_bequeath(struct journal *journal, struct journal_segment *from);

/* journal-void.c: remembers that this range of the segment, in bytes, is to be declared
   void. */
void journal_add_void(struct journal *journal,
		      const struct journal_segment *segment, uint64_t pos,
		      uint64_t size);
bool journal_has_voids(struct journal *journal);
/* The first of those is declared so, durably. */
void journal_void_is_declared(struct journal *journal);
/* A record that was read declares it so. False: no memory. */
bool journal_note_void(struct journal *journal,
		       const struct journal_target *target);
/* The segment of this number is the newest that says so, and nothing says that this is
   void. With the mutex. */
void journal_void_is_said(struct journal *journal,
			  const struct journal_target *target, uint32_t by);
/* Those that are said by others than the segment of this number alone: `max` at most; how
   many that are. */
unsigned int journal_voids_to_repeat(struct journal *journal, uint32_t number,
				     struct journal_target *targets,
				     unsigned int max);
/* Whether something is void that no newer one says. With the mutex. */
bool journal_says_void(const struct journal *journal,
		       const struct journal_segment *segment) ATTR_PURE;
/* It is to be written anew, or is gone: nothing of it has to be said any more. With the
   mutex. */
void journal_voids_forget(struct journal *journal,
			  const struct journal_segment *segment);
void journal_voids_free(struct journal *journal);

/* journal-commit.c: of who closes: see journal_end(). */
void journal_vouch(struct journal *journal);

/* journal-apply.c: new messages of a segment, which who applies many counts by himself, and adds when he is
   done with the segment. Nobody else may count off what is of them. NULL: each one is added at
   once. With the mutex. */
struct journal_tally {
	uint32_t segment;
	uint64_t messages, records;
};
/* What a record changes, once it is durable (or was read). `body`:
   the record before it, of the same request; NULL: none. False: no memory for a message
   that nobody has claimed. */
bool journal_apply(struct journal *journal, const struct journal_header *header,
		   const struct journal_place *place,
		   const struct journal_target *target,
		   const struct journal_place *body,
		   struct journal_tally *tally);
void journal_tally_add(struct journal *journal, struct journal_tally *tally);

/* journal-clock.c: of a monotonic clock. */
uint64_t journal_now_usecs(void);
/* For waits that end by that clock. */
void journal_cond_init(pthread_cond_t *cond);
struct timespec journal_time_in(uint64_t usecs);
/* A group that was written, or could not be: of who is committing. */
void journal_count_group(struct journal *journal, unsigned int changes,
			 bool synced, uint64_t sync_usecs);

/* journal-damage.c: a reader found no record there. */
void journal_damage_read(struct journal *journal,
			 const struct journal_place *place);
/* A copy of that is in quarantine, or there is nothing to copy: 0, or -1 with errno. */
int journal_damage_keep(struct journal *journal,
			const struct journal_place *place);

/* The first block of the segment, whose number is in its header, is damaged: it is put
   aside, and its file is not needed any more. -1 with errno. */
int journal_damage_segment(struct journal *journal,
			   const struct journal_segment *segment);
/* There is no segment of this number, and there was: a reader names it, until a repair has
   told of it. */
void journal_damage_missing(struct journal *journal, uint32_t number);
/* Whether one of this number was put aside, or told of: where it is missing nobody is told so
   again. */
bool journal_damage_is_known(const struct journal *journal, uint32_t number);
void journal_damage_free(struct journal *journal);
/* Of a reader: whether at some of those places a record is now, which a writer beside it had
   not written yet, or not to its end. */
bool journal_damage_is_outdated(struct journal *journal);
/* Such a place, and what was found in segments that were written anew while they were read,
   is none. */
void journal_damage_forget(struct journal *journal);
/* Segments whose end is lost, once that is told, get their blocks again: lest it is told for
   ever. What it had to do with is aside by then, as nobody knows of the loss any more. */
void journal_damage_mend(struct journal *journal);

/* It is a rest: a copy of that record is in quarantine, too, or its segment stays. Nowhere:
   nothing. */
void journal_damage_keep_rest(struct journal *journal,
			      const struct journal_place *place);

/* journal-rests.c: of a start. A damaged record has ended the message, of which this one is
   left, or (nowhere) none that is known. */
void journal_rests_add(struct journal *journal, const message_id *id,
		       const struct journal_place *place);
/* What newer headers of it would have: they come back with the body, where that is whole (else
   it is nowhere), and overrule what is damaged in this segment. */
struct journal_end {
	struct journal_place body;
	bool external;
	uint32_t by;
};
void journal_rests_end(struct journal *journal, const message_id *id,
		       const struct journal_end *end);
/* The newest; false: the message has not ended so. */
bool journal_rests_find_end(struct journal *journal, const message_id *id,
			    struct journal_end *end_r);
/* There is no message that this record is of: it may be one that has ended so. */
void journal_rests_came(struct journal *journal, const message_id *id,
			const struct journal_place *place);
/* It was removed, or is there again. */
void journal_rests_forget(struct journal *journal, const message_id *id);
/* All was read: what is left is kept. */
void journal_rests_keep(struct journal *journal);
void journal_rests_free(struct journal *journal);

/* journal-bodies.c: what files no record speaks of are removed; where records may be
   missing, they are put aside. After the segments were read. False: some could not be
   put aside. */
bool journal_sweep_bodies(struct journal *journal);

/* journal-recover.c: reads all segments. -1 with errno and *error_r. */
int journal_recover(struct journal *journal, char **error_r);

#endif
