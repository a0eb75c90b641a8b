/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef CRASH_LEDGER_H
#define CRASH_LEDGER_H

/* A ledger of what callers of a spool were told, while file operations fail: what a message
   may be at each moment. Messages have few numbers, and so has what each was written as: its
   contents, of which number 0 is that it is not there. */

#include "crash-model.h"
#include "spool.h"
#include "stream-kinds.h"

#define LEDGER_MESSAGES 3

enum ledger_step {
	LEDGER_PUT,     /* under the same id each time */
	LEDGER_CHANGE,  /* its headers */
	LEDGER_REPLACE, /* its body, too */
	LEDGER_DELIVER, /* to the next recipient */
	LEDGER_REMOVE,
	LEDGER_GET,
	LEDGER_LIST,
	LEDGER_VERIFY,
	LEDGER_SCAN,
	LEDGER_COMPACT,
	LEDGER_REOPEN,
	LEDGER_KILL, /* the process, and another one opens it */
	LEDGER_STEPS
};

struct ledger_call {
	enum ledger_step step;
	unsigned int message;
};

/* Whatever is opened is opened with these. */
extern struct stream_context ledger_keys;

/* There are no messages. settles: what failed is what it is then as soon as anything else is
   acknowledged. */
void ledger_begin(bool settles);
/* Lets go of messages in memory. */
void ledger_end(void);
/* Octets of a body, about; every other one has half of it. */
void ledger_set_size(size_t size);
/* Does it with the spool (NULL: it is not open), and looks at the answer: NULL, or what is
   wrong with it. *again_r: it was no success, which is right where test_faults.hit says that
   a fault was met, and it is to be done again; `same`: with the same message in memory. */
const char *ledger_do(struct spool **spool, const char *dir,
		      const struct ledger_call *call, bool same, bool *again_r);
/* Looks at all that there is, while nothing fails: NULL, or what is wrong. */
const char *ledger_look(struct spool *spool);
/* What messages may be now is what they may be before the first event. */
void ledger_base(void);
/* The same behind these events, which then are none: the power went there. */
void ledger_base_behind(const int *events, size_t count);
/* For crash_explore(): who only reads finds what may be there; so does who opens it for
   writing, be it that some operation of the start before has failed, and whoever comes
   then. */
crash_check_t ledger_check;
/* What a step is called. */
const char *ledger_step_name(enum ledger_step step);

#endif
