/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_H
#define BOBBIN_JOURNAL_H

/* Durable records of messages in segments that are written one after the other:
   many of them for one sync. It knows ids, versions and bytes, and nothing of
   what the bytes mean. Calls may come from many threads. Not installed. */

#include "journal/journal-format.h"

struct journal;
struct ostream;

/* Where a record begins. */
struct journal_place {
	uint32_t segment; /* its number */
	uint32_t offset;  /* in units of JOURNAL_ALIGN; 0: nowhere */
};

/* What is known about a message. */
struct journal_entry {
	message_id id;
	uint64_t version;
	struct journal_place headers, body;
	/* What changed since in the states of its recipients; nowhere: nothing. */
	struct journal_place states;
	uint64_t base_version; /* of the headers alone */
	bool external;         /* the body is in a file of its own */
};

struct journal_settings {
	uint64_t
		segment_size; /* of new segments, in bytes; 0: what suits the disk */
	bool read_only;       /* nothing is written, nothing is put aside */
	/* A segment whose first block is damaged is put aside (read_only: left
	   out); else the journal is not opened. One that is missing is told
	   of, once. */
	bool repair;
	/* By threads: half empty segments are emptied, and blocks given back;
	   the next segment is made before it is needed. */
	bool upkeep;
	/* of damage, and of what a person should know */
	void (*warning)(void *context, const char *text);
	/* Something that is damaged could not be put into quarantine, for this
	   errno; may be NULL. */
	void (*unkept)(void *context, int error);
	void *context;
};

/* Makes the directory of an empty journal below dir_fd. -1 with errno. */
int journal_init(int dir_fd);
/* Opens the journal below dir_fd (a directory's, which has to stay open), and reads
   what there is. NULL with errno (EBADMSG: the first block of a segment is damaged) and
   a sentence in *error_r (i_free() it). */
struct journal *journal_open(int dir_fd, const char *dir,
			     const struct journal_settings *settings,
			     char **error_r);
/* No other call may be running. NULL is allowed. To the next start the last group may be
   what a power cut has torn. */
void journal_close(struct journal **journal);
/* The same, of the process that opened it for writing: where there is room a block says that
   all before it was synced. What is wrong there later is damage then. */
void journal_end(struct journal **journal);

/*
 * Writing
 */

/* A record to be written. The caller's memory, until it is. */
struct journal_record {
	enum journal_type type;
	unsigned int flags;
	message_id id;
	uint64_t version, plain_size;
	const char *stack; /* its name, at most JOURNAL_STACK_MAX octets */
	const void *data;
	size_t size;

	struct journal_place place; /* where it was written */
	uint32_t payload_crc;       /* the journal's */
};

#define JOURNAL_REQUEST_MAX 3

/* Records that are written together, or not at all. */
struct journal_request {
	struct journal_record records[JOURNAL_REQUEST_MAX];
	unsigned int count;
	/* It gives more space back than it takes: it may have what is kept for
	   removing. */
	bool gives_back;
	/* And much more, so that messages can be removed: it may have what is kept for
	   tombstones. */
	bool for_removals;
	/* The journal's, for done(): its records may be on the disk, also where it
	   failed: until they are declared void a start may find them. */
	bool was_tried;
	/* Called when they are on stable storage, or (errno `error`) will not be:
	   on the thread of whoever writes, or waits for something of the same group, who
	   holds no lock. May be NULL. */
	void (*done)(struct journal_request *request, int error);
	void *context;

	/* the journal's */
	struct journal_request *next;
	struct journal_waiter *waiter; /* NULL: nobody waits */
	uint64_t size; /* of its records in a segment, in bytes */
	int error;
	unsigned int use; /* enum journal_use */
};

/* Whether there can be a segment that takes it. */
bool journal_fits(const struct journal *journal,
		  const struct journal_request *request);
/* Queues the request, which has to stay until done() was called. Where nobody is
   writing, this call writes, for others as well. The messages have to be claimed. */
void journal_submit(struct journal *journal, struct journal_request *request);
/* So many more will be submitted soon; or fewer: when they were, or will not be. A group that
   no thread waits for begins when as much is queued as is still to come, or 32; it waits a
   millisecond for that, and no group after it waits for what took longer. Who waits for the
   claim on a message in it waits as long. */
void journal_expect(struct journal *journal, int more);
/* The same, and waits: 0, or -1 with errno. */
int journal_commit(struct journal *journal, struct journal_request *request);

/* Waits until nobody else is changing the message, and keeps others from it: what is
   known of it (headers.offset 0: there is none). -1: no memory. */
int journal_claim(struct journal *journal, const message_id *id,
		  struct journal_entry *entry_r);
void journal_release(struct journal *journal, const message_id *id);
/* Before states of a claimed message's recipients are written. -1: no memory. */
int journal_reserve_states(struct journal *journal, const message_id *id);
/* What failed, and may be on the disk, no start finds any more when this returns 0: else a
   message that is not there now may be there then. -1 with errno. */
int journal_settle_voids(struct journal *journal);

/* What was counted, and what there is: waits for the group that is being written. -1
   with errno. */
struct spool_stats;
int journal_get_stats(struct journal *journal, struct spool_stats *stats_r);

/* Does at once what the upkeep does in time: moves what is left in half empty segments,
   and gives the blocks of most dead ones back. *moved_r: messages. -1 with errno. */
int journal_compact(struct journal *journal, uint64_t *moved_r);

/*
 * Bodies in files of their own
 */

/* Gives the file a name (external->tag), and creates it: its content is to be sent, and
   the stream finished before the record that speaks of it is submitted. */
struct ostream *journal_body_create(struct journal *journal,
				    const message_id *id,
				    struct journal_external *external);
/* An fd of it, for reading; -1 with errno. */
int journal_body_open(struct journal *journal, const message_id *id,
		      const struct journal_external *external);
/* Removes it, which no record speaks of any more, or none yet. Where that fails, the
   next opening does it. */
void journal_body_remove(struct journal *journal, const message_id *id,
			 const struct journal_external *external);
/* Moves it into quarantine, for a person, with the reason. -1 with errno. */
int journal_body_put_aside(struct journal *journal, const message_id *id,
			   const struct journal_external *external,
			   const char *why);
/* The same with all of the message's, where nobody can tell which one its record spoke
   of. */
int journal_bodies_put_aside(struct journal *journal, const message_id *id,
			     const char *why);
/* Whether the record of the message speaks of this file, or may. */
bool journal_body_is_spoken_of(struct journal *journal, const message_id *id,
			       const struct journal_external *external);
/* Adds those that no record speaks of. -1 with errno. */
struct spool_strays;
int journal_count_bodies(struct journal *journal, struct spool_strays *strays);
/* "SPOOL/journal/bodies/NAME", for messages; i_free() it. */
char *journal_body_path(const struct journal *journal, const message_id *id,
			const struct journal_external *external);

/*
 * Reading
 */

/* False: there is no such message. */
bool journal_find(struct journal *journal, const message_id *id,
		  struct journal_entry *entry_r);
/* Reads a record of the message: its header, and its stack's name (stack_r: room for
   JOURNAL_STACK_MAX + 1). Where data_r is not NULL, what follows the header is checked,
   and given for i_free(): header_r->stack_size octets of the name, then the payload. -1
   with errno (ENOENT: there is no such message any more; EINVAL: damaged) and
   io_set_error(). */
int journal_read(struct journal *journal, const message_id *id,
		 enum journal_type type, struct journal_header *header_r,
		 char *stack_r, unsigned char **data_r);
/* Sees to it that a copy of a record that is damaged is in quarantine, if there is one to
   copy; reading it has tried that. -1 with errno. */
int journal_keep_damaged(struct journal *journal, const message_id *id,
			 enum journal_type type);
/* Where the body of a message is in a file (journal_entry.external): which one. As
   journal_read(). */
int journal_read_external(struct journal *journal, const message_id *id,
			  struct journal_external *external_r);
/* What should be a record, and is none, or the first block of a segment: what opening
   for reading found of that, and no writer has put aside yet; NULL: nothing. The
   journal's. */
struct journal_damage {
	struct journal_damage *next;
	message_id id;    /* all zeros where it is not known */
	uint32_t segment; /* its number */
	uint64_t offset;  /* in it, in bytes */
	const char *why;
	/* What lacks something is a record there, and whole. */
	bool is_record;
};
const struct journal_damage *journal_get_damage(const struct journal *journal);
/* Calls back for each message; false stops. `old`: only those that were there when
   the journal was opened, and each once for the journal's life. Messages that come
   or go meanwhile may be left out, and one that goes and comes back may be told of twice. */
typedef bool journal_entry_t(const struct journal_entry *entry, void *context);
void journal_for_each(struct journal *journal, bool old,
		      journal_entry_t *callback, void *context);
/* Most bytes of a body, as its stack made it, that a segment has room for, with its
   headers. */
uint64_t journal_max_size(const struct journal *journal);
/* What a tombstone of the record there says. */
void journal_make_target(struct journal *journal,
			 const struct journal_place *place,
			 unsigned char target_r[JOURNAL_TARGET_SIZE]);

#endif
