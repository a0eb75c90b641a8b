/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_CHAIN_H
#define BOBBIN_SPOOL_CHAIN_H

/* One call of the chain of hooks, whoever makes it. Not installed. */

#include "io-infrastructure.h"

#include <limits.h>

/* Beside the published answers, from a store and from spool_call_start(): not yet. */
#define SPOOL_LATER INT_MIN

/* What a store that answers SPOOL_LATER is given. */
struct spool_later {
	/* Called once, by any thread, holding no lock of the store's; perhaps
	   before the store has answered. Then the store's finish() has the answer,
	   and nothing else of this is touched. */
	void (*ready)(struct spool_later *later);
	void *work; /* the store's */
};

struct spool_call {
	/* What is asked: set before the start. `message` is of writes and reads, `id`
	   of unlinks. */
	struct spool *spool;
	io_caller caller;
	enum io_operation op;
	email_message *message;
	message_id id;
	int force;
	/* ready NULL: the call lasts until there is an answer. */
	struct spool_later later;

	/* The chain's. */
	unsigned int asked;   /* modules that were asked */
	unsigned int went_on; /* of them, those that answered IO_CONT */
	uint64_t version;     /* the message's, before it was written */
};

/* Asks the modules: the chain's answer with io_get_error(), as the calls of spool.h
   have it; or SPOOL_LATER where later.ready is set, and the call is not to be touched
   any more before that was called. */
int spool_call_start(struct spool_call *call);
/* So many more calls that the store may answer later will be started soon, or fewer, as they
   were: one that writes many together waits a little for them. */
void spool_expect(struct spool *spool, int more);
/* After later.ready() was called: the answer. */
int spool_call_finish(struct spool_call *call);

#endif
