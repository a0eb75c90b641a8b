/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MODULE_JOURNAL_PRIVATE_H
#define BOBBIN_MODULE_JOURNAL_PRIVATE_H

#include "file-ops.h"
#include "journal/journal.h"
#include "module-journal.h"
#include "spool-stacks.h"

#define PENDING_CHAINS 256

/* What a message says of itself in memory: its body was written to this store, or read
   from it. */
#define JOURNAL_NOTE "journal"

/* A body that waits for its headers. */
struct journal_pending {
	struct journal_pending *next;
	message_id id;
	buffer_t *data; /* as its stack made it */
	uint64_t plain_size;
};

struct journal_store {
	io_infrastructure io;
	struct spool *spool;
	struct journal *journal;
	struct spool_stacks stacks;

	pthread_mutex_t mutex;
	struct journal_pending *pending[PENDING_CHAINS];
};

struct journal_store *journal_store(io_infrastructure *io);

/* module-journal-pending.c */
void journal_pending_init(struct journal_store *store);
void journal_pending_deinit(struct journal_store *store);
/* Takes the place of one that the message had. */
void journal_pending_put(struct journal_store *store,
			 struct journal_pending *pending);
/* The message's, which is the caller's now; NULL: it has none. */
struct journal_pending *journal_pending_take(struct journal_store *store,
					     const message_id *id);
void journal_pending_free(struct journal_pending **pending);

/* module-journal-write.c */
int journal_writebody(io_infrastructure *io, io_caller caller,
		      email_message *message, int force);
int journal_writeheaders(io_infrastructure *io, io_caller caller,
			 email_message *message, int force);
int journal_unlinkheaders(io_infrastructure *io, io_caller caller,
			  message_id *id);
int journal_unlinkbody(io_infrastructure *io, io_caller caller, message_id *id);

/* module-journal-read.c */
int journal_readheaders(io_infrastructure *io, io_caller caller,
			email_message *message);
int journal_readbody(io_infrastructure *io, io_caller caller,
		     email_message *message);

#endif
