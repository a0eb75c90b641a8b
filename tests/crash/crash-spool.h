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

/* Begins to write down what is done to a new spool at dir. Segments of a journal are
   as small as they may be. */
struct spool *crash_spool_begin(const char *dir,
				const struct spool_settings *settings);
/* Opens a spool, which cannot fail. */
struct spool *crash_spool_open(const char *dir);

/* Each is IO_DONE and noted as acknowledged, or fails and is not. The size of the
   body is in octets, about. */
int crash_put(struct spool *spool, unsigned int i, size_t size);
/* What the headers of those that are put from now on have, in octets, about. */
void crash_set_headers_size(size_t size);
/* Only the headers, or another body as well. */
int crash_rewrite(struct spool *spool, unsigned int i, bool body);
int crash_remove(struct spool *spool, unsigned int i);
/* The version that a reader gets now; 0: there is no such message. */
uint64_t crash_version(struct spool *spool, unsigned int i);
/* A message that a start found, and that has to stay. Where it was told to have failed,
   and something behind it is acknowledged: a message that must not be there from now
   on; one whose second version must not. */
void crash_note_stored(unsigned int i);
void crash_note_absent(unsigned int i);
void crash_note_not_rewritten(unsigned int i);

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
};
void crash_keeping_free(struct crash_keeping *keeping);

/* For crash_explore(): the context is a struct crash_keeping. Opens the spool, looks at
   its messages, scans it twice, puts one more into it, and does it again. */
crash_check_t crash_check_spool;

/* How many states a moment is to have: CRASH_STATES, or this. */
unsigned int crash_states_per_moment(unsigned int usual);
/* Builds states in memory, where that is possible. Before anything else. */
void crash_use_memory(void);

#endif
