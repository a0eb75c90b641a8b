/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef CRASH_LEDGER_PRIVATE_H
#define CRASH_LEDGER_PRIVATE_H

/* What the ledger (crash-ledger.c) says of its messages, for who looks at them
   (crash-ledger-look.c). */

#include "crash-ledger.h"

#define LEDGER_CONTENTS 32 /* of a message; 0: it is not there */

/* What a message was written as. */
struct ledger_content {
	uint64_t version;
	/* what wrote them last */
	unsigned int headers, body, states;
	unsigned int delivered;
	char *text; /* of the body that it brought; NULL: none */
};

struct ledger_message {
	message_id id;
	bool was_put;
	struct ledger_content contents[LEDGER_CONTENTS];
	unsigned int count;
	/* What it may be, by bits, and what before the first event. */
	uint32_t allowed, base;
	/* What a call that failed was about. */
	email_message *tried;
	unsigned int tried_content;
};
extern struct ledger_message ledger_messages[LEDGER_MESSAGES];

/* Texts for what is wrong. */
extern char ledger_wrong[2000];
const char *ledger_bad(const char *what, unsigned int m);

/* Of each message what it may be behind these events. */
void ledger_get_sets(const int *events, size_t count,
		     uint32_t sets_r[LEDGER_MESSAGES]);

/* crash-ledger-look.c: how many were delivered. */
unsigned int ledger_delivered(const email_message *message);
/* Which content it is, with its message where it is there; LEDGER_FAILED: it cannot be read
   now; LEDGER_WRONG: *why says what is wrong. */
#define LEDGER_FAILED -2
#define LEDGER_WRONG -1
int ledger_read(struct spool *spool, unsigned int m, email_message **message_r,
		const char **why);
/* NULL where it is what it may be. */
const char *ledger_look_at(struct spool *spool, uint32_t set, unsigned int m,
			   int *content_r);
/* Of list and verify: all of those that are sure to be there, and none of those that are
   not. *failed_r: it could not do all. */
const char *ledger_check_list(struct spool *spool, bool verify,
			      const uint32_t *sets, bool *failed_r);
/* How often each was handed out. */
void ledger_scan(struct spool *spool, unsigned int counts[LEDGER_MESSAGES]);
/* All of them, where nothing fails. */
const char *ledger_look_all(struct spool *spool, const uint32_t *sets,
			    int is[LEDGER_MESSAGES]);

#endif
