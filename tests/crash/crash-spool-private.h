/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef CRASH_SPOOL_PRIVATE_H
#define CRASH_SPOOL_PRIVATE_H

/* What the workload (crash-workload.c) says of its messages, for who looks at the states
   (crash-spool.c). */

#include "crash-spool.h"

/* Events, each with a message's number. */
enum {
	STORED = 100,
	REMOVING = 200,
	REMOVED = 300,
	REWRITTEN = 400,
	NOT_REWRITTEN = 500,
	DAMAGED = 600
};

extern message_id crash_ids[CRASH_MESSAGES];
/* Texts, by number; NULL: no such message, or its body was never another one. */
extern char *crash_bodies[CRASH_MESSAGES], *crash_changed[CRASH_MESSAGES];

#endif
