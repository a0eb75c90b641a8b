/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef CRASH_SPOOL_H
#define CRASH_SPOOL_H

/* What is done to a spool while its operations are written down, and what has to be
   true of each state that a power cut may leave of it. Messages have numbers. */

#include "crash-model.h"
#include "spool.h"

#define CRASH_MESSAGES 64
/* One that no workload uses: the states get it. */
#define CRASH_EXTRA (CRASH_MESSAGES - 1)

/* Forgets what was written down before, and begins to write down what is done to a new
   spool at test_path("work"), with this sync left out. Segments of a journal are as
   small as they may be. */
struct spool *crash_spool_begin(const struct spool_settings *settings,
				enum crash_sync left_out);
/* The same of the journal store. */
struct spool *crash_journal_begin(const char *body_stack,
				  enum crash_sync left_out);
/* The same without opening it. */
void crash_spool_prepare(const struct spool_settings *settings,
			 enum crash_sync left_out);
/* Whether journals that are begun from now on have threads of their own that compact. */
void crash_set_upkeep(bool on);
/* Of journals that are begun from now on; 0: as small as they are else. */
void crash_set_segment_size(unsigned int size);
/* Closes it: nothing more is written down. */
void crash_spool_end(struct spool **spool);
/* Opens a spool, which cannot fail. */
struct spool *crash_spool_open(const char *dir);
/* Of a spool that has one. */
struct journal *crash_journal(struct spool *spool);

/* Each is IO_DONE and noted as acknowledged, or fails and is not. The size of the
   body is in octets, about. */
int crash_put(struct spool *spool, unsigned int i, size_t size);
/* What the headers of those that are put from now on have, in octets, about. */
void crash_set_headers_size(size_t size);
/* Only the headers, or another body as well. */
int crash_rewrite(struct spool *spool, unsigned int i, bool body);
/* Its body alone, as of one that was killed before the headers: which cannot fail. */
void crash_begin_rewrite(struct spool *spool, unsigned int i);
/* The state of the next recipient alone, of those that messages have which are put from
   now on. */
void crash_set_recipients(unsigned int count);
int crash_deliver(struct spool *spool, unsigned int i);
int crash_remove(struct spool *spool, unsigned int i);
/* Moves what is left in half empty segments; how many messages that were. */
uint64_t crash_compact(struct spool *spool);
/* These have to be acknowledged. */
void crash_must_put(struct spool *spool, unsigned int i, size_t size);
void crash_must_rewrite(struct spool *spool, unsigned int i, bool body);
void crash_must_remove(struct spool *spool, unsigned int i);
/* The version that a reader gets now; 0: there is no such message. */
uint64_t crash_version(struct spool *spool, unsigned int i);
/* What crash_put() puts, for who does it otherwise and notes what is acknowledged; and its
   id. */
email_message *crash_message(struct spool *spool, unsigned int i, size_t size);
const message_id *crash_id(unsigned int i);
void crash_note_rewritten(unsigned int i);
/* Before anybody is asked to. */
void crash_note_removing(unsigned int i);
/* A message that was put, or that a start found, and that has to stay. One that was removed,
   or was told to have failed with something behind it acknowledged: it must not be there from
   now on; one whose second version must not. */
void crash_note_stored(unsigned int i);
void crash_note_absent(unsigned int i);
void crash_note_not_rewritten(unsigned int i);
/* It need not be there any more, but its bytes are, in whatever file. */
void crash_note_damaged(unsigned int i);

/* A state that is kept for another run, which goes on where it ends. */
struct crash_kept {
	char dir[512];
	int *events;
	size_t count;
};
struct crash_keeping {
	/* Each so-manieth state is kept, as dir + a number; 0: none. */
	unsigned int every, states;
	struct crash_kept kept[512];
	unsigned int count;
	/* What was acknowledged before the run; may be NULL. */
	const struct crash_kept *before;
	/* How states are opened: enum spool_open_flags. */
	unsigned int flags;
	/* Something was put aside, or is to be. */
	bool has_damage;
};
void crash_keeping_free(struct crash_keeping *keeping);

/* For crash_explore(): the context is a struct crash_keeping. Opens the spool, looks at
   its messages, scans it twice, puts one more into it, and does it again. */
crash_check_t crash_check_spool;

/* Explores what was written down: the test fails where anything is wrong with a state.
   CRASH_STATES, or so many of them for each moment; how many there were in all. */
size_t crash_must_hold(struct crash_keeping *keeping, unsigned int usual);
/* The same, after which it is forgotten. */
void crash_explore_all(unsigned int usual);
/* What belongs to no message goes when the spool is opened, or scanned: what there is of it
   still; NULL: nothing. */
const char *crash_left_behind(struct spool *spool);
/* What the spool there has put aside: the text says so, and is the answer; NULL: nothing. */
const char *crash_put_aside(const char *dir, char *text, size_t size);
/* As crash_must_hold(), of what was written down with this sync left out: the test fails where
   nothing is wrong. */
void crash_must_break(enum crash_sync sync, const char *name,
		      struct crash_keeping *keeping);
/* Builds states in memory, where that is possible. Before anything else. */
void crash_use_memory(void);

#endif
