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

/* What syncs are for. One of them can be left out, as if the code did not have it. */
enum crash_sync {
	CRASH_SYNC_NONE,
	/* of the file store, in the order in which a message meets them; those of
	   bodies also of the journal's files */
	CRASH_SYNC_BUCKET_NAME, /* the directory above a new bucket */
	CRASH_SYNC_BODY_DATA,
	CRASH_SYNC_BODY_NAME,
	CRASH_SYNC_HEADERS_DATA,
	CRASH_SYNC_HEADERS_NAME,
	CRASH_SYNC_UNLINK_NAME,
	/* of the journal store */
	CRASH_SYNC_OPENED,         /* what a killed process wrote */
	CRASH_SYNC_SEGMENT_DATA,   /* a new segment's zeros */
	CRASH_SYNC_SEGMENT_NAME,   /* and its directory */
	CRASH_SYNC_SEGMENT_HEADER, /* a segment is written anew */
	CRASH_SYNC_GROUP,
	CRASH_SYNC_COUNT
};

/* Begins to write down; what is below root now is on stable storage. */
void crash_record_begin(const char *root);
/* The exploration is to begin here: all that was done is on stable storage. */
void crash_record_base(void);
/* The workload says that something was acknowledged: `event` comes back with each
   state that is built at or after this moment. */
void crash_record_event(int event);
/* As if this sync were not in the code. Before begin. */
void crash_leave_out(enum crash_sync sync);
/* The next of these syncs fails with EIO: what it was to cover is on the disk or not
   from then on, whatever is synced later. */
void crash_fail(enum crash_sync sync);
/* The same after so many of them that do not. */
void crash_fail_later(enum crash_sync sync, unsigned int after);
/* From now on each write is of a part of what was asked for, and more than none. */
void crash_write_short(bool on);
/* The process is killed before the next of these syncs: what it wrote until then is
   in the kernel's hands, and what it does from then on is not done, until
   crash_revive(), which is false where it was not killed. */
void crash_kill(enum crash_sync sync);
/* The same now. */
void crash_kill_now(void);
bool crash_is_killed(void);
bool crash_revive(void);
/* A sync of this file has failed before it came here. */
void crash_sync_failed(int fd);
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
/* From now on of each so-manieth moment alone, and of the last; 1: of all. */
void crash_explore_each(size_t nth);
/* From now on of this moment and later ones. */
void crash_explore_from(size_t moment);
void crash_forget(void);

#endif
