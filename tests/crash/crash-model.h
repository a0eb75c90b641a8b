/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

/* What a power cut may leave. While a workload runs, the table of file operations
   writes down what it does to the files below one directory; afterwards, for every
   moment of it, the states are built that a disk may be in when the power goes
   there: all that a completed sync covers, and any part of what none had covered,
   writes torn in the middle included. */

#include <stdbool.h>
#include <stddef.h>

/* The syncs of the file store, in the order in which a message meets them. One of
   them can be left out, as if the code did not have it. */
enum crash_sync {
	CRASH_SYNC_NONE,
	CRASH_SYNC_BUCKET_NAME, /* the directory above a new bucket */
	CRASH_SYNC_BODY_DATA,
	CRASH_SYNC_BODY_NAME,
	CRASH_SYNC_HEADERS_DATA,
	CRASH_SYNC_HEADERS_NAME,
	CRASH_SYNC_UNLINK_NAME
};

/* Begins to write down; what is below root now is on stable storage. */
void crash_record_begin(const char *root);
/* The workload says that something was acknowledged: `event` comes back with each
   state that is built at or after this moment. */
void crash_record_event(int event);
/* As if this sync were not in the code. Before begin. */
void crash_leave_out(enum crash_sync sync);
void crash_record_end(void);
/* What was written down: operations, and how many of each sync there were. */
size_t crash_operation_count(void);
size_t crash_sync_count(enum crash_sync sync);

/* Builds states one after the other below dir (which is emptied each time), at most
   max_per_moment for each moment, and calls back: events[0..count) were
   acknowledged. The callback returns NULL, or what is wrong with the state, which
   ends the exploration. Returns that; the states' number goes to *states_r. */
typedef const char *crash_check_t(const char *dir, const int *events,
				  size_t count, void *context);
const char *crash_explore(const char *dir, unsigned int max_per_moment,
			  crash_check_t *check, void *context,
			  size_t *states_r);
void crash_forget(void);

#endif
