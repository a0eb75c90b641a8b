/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MODULE_JOURNAL_PRIVATE_H
#define BOBBIN_MODULE_JOURNAL_PRIVATE_H

#include "file-ops.h"
#include "journal/journal.h"
#include "module-journal.h"
#include "spool-stacks.h"

#include <stdatomic.h>

#define PENDING_CHAINS 256

/* What a message says of itself in memory: its body was written to this store, or read
   from it. */
#define JOURNAL_NOTE "journal"

/* A body that waits for its headers. */
struct journal_pending {
	struct journal_pending *next;
	message_id id;
	uint64_t number;  /* that the message goes by which wrote it */
	uint64_t version; /* that it had then: 0 of a new one */
	buffer_t *data;   /* the record's payload */
	uint64_t plain_size;
	bool in_file; /* the payload says which one, as `external` does */
	struct journal_external external;
	/* A record that failed may be on the disk all the same, and the next
	   start may go by it: its file stays until then. */
	bool is_spoken_of;
};

struct journal_store {
	io_infrastructure io;
	struct spool *spool;
	struct journal *journal;

	/* Longest body that goes into a segment, and the most that all those which
	   wait for their headers may have in memory: bytes, as their stack made them. */
	size_t inline_max, pending_max;
	atomic_size_t pending_size;

	pthread_mutex_t mutex;
	struct journal_pending *pending[PENDING_CHAINS];
	atomic_uint_fast64_t last_number; /* of a pending body */

	/* Of a reader: the journal as it was later, once somebody had to know. */
	pthread_mutex_t newer_mutex;
	struct journal *newer;
};

struct journal_store *journal_store(io_infrastructure *io);

/* module-journal-pending.c */
void journal_pending_init(struct journal_store *store);
void journal_pending_deinit(struct journal_store *store);
/* Gives it a number, and the message, too. */
void journal_pending_note(struct journal_store *store,
			  struct journal_pending *pending,
			  email_message *message);
/* 0: it has written none, or that one is stored. */
uint64_t journal_pending_number(const email_message *message);
/* Takes the place of an older one of this id; where there is a newer one it is dropped. */
void journal_pending_put(struct journal_store *store,
			 struct journal_pending *pending);
/* That of this number, or (0) of any, which is the caller's now; NULL: there is none. */
struct journal_pending *journal_pending_take(struct journal_store *store,
					     const message_id *id,
					     uint64_t number);
/* The message is of this version now, or (`removed`) was: a body that was written for an
   older one will never be stored. */
void journal_pending_outdate(struct journal_store *store, const message_id *id,
			     uint64_t version, bool removed);
/* It is in the journal now. NULL is allowed. */
void journal_pending_free(struct journal_store *store,
			  struct journal_pending **pending);
/* It never will be: its file goes, too, but where a record may speak of it. NULL is
   allowed. */
void journal_pending_drop(struct journal_store *store,
			  struct journal_pending **pending);

/* module-journal-body.c */
int journal_writebody(io_infrastructure *io, io_caller caller,
		      email_message *message, int force);

/* module-journal-write.c */
int journal_writeheaders(io_infrastructure *io, io_caller caller,
			 email_message *message, int force);
int journal_unlinkheaders(io_infrastructure *io, io_caller caller,
			  message_id *id);
int journal_unlinkbody(io_infrastructure *io, io_caller caller, message_id *id);
/* The same of who has claimed the message already, of which that is known. The claim is
   nobody's then, whatever the answer is. */
int journal_write_claimed(struct journal_store *store, email_message *message,
			  const struct journal_entry *entry);
int journal_unlink_claimed(struct journal_store *store,
			   const struct journal_entry *entry);

/* module-journal-losses.c: what opening for reading found to be damaged
   (journal_get_damage()), each message once; and each thing that is nobody's. */
struct journal_loss {
	const struct journal_damage *damage;
	bool told;
};
struct journal_losses {
	struct journal_loss *losses; /* i_free() it */
	size_t count;
};
/* False: no memory. */
bool journal_losses_find(struct journal_losses *losses,
			 const struct journal *journal);
/* That of this message; NULL: there is none. */
struct journal_loss *journal_losses_of(const struct journal_losses *losses,
				       const message_id *id);

/* module-journal-scan.c */
void *journal_process_disk_queue(io_infrastructure *io, void *scan);

/* module-journal-repair.c */

/* Keeps a copy of the record's payload in quarantine, of a body in a file the file,
   where it can be read; of a damaged one its bytes. -1 with errno: it could not be kept,
   or is there and cannot be read now. */
int journal_keep_record(struct journal_store *store, const message_id *id,
			enum journal_type type, const char *why);
/* Whether the record can be read and is none; its bytes are in quarantine then, as far as
   they could be copied: journal_keep_damaged(). */
bool journal_record_is_damaged(struct journal_store *store,
			       const message_id *id, enum journal_type type);
/* Looks at all records of the message; true: one of them was damaged, and the message
   is taken out, or it is not there any more. Where only states of recipients are, its headers
   are written anew without them. Who changes the message meanwhile waits. */
bool journal_repair_message(struct journal_store *store, const message_id *id);

/* module-journal-read.c */
int journal_readheaders(io_infrastructure *io, io_caller caller,
			email_message *message);
int journal_readbody(io_infrastructure *io, io_caller caller,
		     email_message *message);
/* The file of a body, which is checked as it is read (spool_check_file()); NULL with
   errno and io_set_error(), EINVAL where it is missing, ESTALE where a
   writer beside this reader has removed it. */
struct istream *journal_open_external(struct journal_store *store,
				      const message_id *id,
				      const struct journal_external *external);

/* module-journal-newer.c: whether the journal on the disk speaks of this body's file now:
   1 (of a writer always), 0, or -1 with errno and io_set_error() where nobody can tell. */
int journal_ask_newer(struct journal_store *store, const message_id *id,
		      const struct journal_external *external);

#endif
