/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MODULE_FILE_PRIVATE_H
#define BOBBIN_MODULE_FILE_PRIVATE_H

#include "file-ops.h"
#include "module-file.h"
#include "spool-stacks.h"

/* The two files of a message are called by its id and these. A body that took the
   place of another has the beginning of its hash between them: ID.HASH.b. */
#define FILE_HEADERS_SUFFIX ".h"
#define FILE_BODY_SUFFIX ".b"
#define FILE_NAME_HASH_SIZE 8 /* octets of the hash in the name */
#define FILE_NAME_SIZE (MESSAGE_ID_TEXT_SIZE + 1 + FILE_NAME_HASH_SIZE * 2 + 2)
#define FILE_BUCKET_SIZE 3 /* two characters of the id, and a NUL */
#define FILE_BUCKETS 1024

#define FILE_HASH_SIZE 32
#define FILE_CRC_SIZE 4
#define FILE_STACK_SIZE SPOOL_STACK_SIZE

#define FILE_BUSY_CHAINS 1024

struct busy_id;
struct known_id;

/* module-file-known.c */
struct file_known {
	struct known_id **chains; /* by id */
	size_t chain_count, count;
	bool all; /* of them nothing is kept */
};

struct file_store {
	io_infrastructure io;
	struct spool *spool;
	int messages_fd, tmp_fd, quarantine_fd;

	/* module-file-entry.c: those that were made, and whose names may not be durable:
	   a bit each, under the mutex */
	unsigned char new_buckets[FILE_BUCKETS / 8];

	/* module-file-busy.c */
	pthread_mutex_t mutex;
	pthread_cond_t released;
	struct busy_id **busy; /* FILE_BUSY_CHAINS, by id */
	struct file_known known;
};

/* The plain line that begins a header file, doc/spool-format.md:
   bobbin-h2 ID VERSION BODY-LENGTH BODY-HASH HEADERS-STACK BODY-STACK
   HEADERS-CRC CRC
   One of number 1, which is read and not written any more, has no HEADERS-CRC. */
struct file_entry {
	message_id id;
	uint64_t version, body_len;
	unsigned char body_hash[FILE_HASH_SIZE];
	char headers_stack[FILE_STACK_SIZE], body_stack[FILE_STACK_SIZE];
	bool has_headers_crc; /* of number 2 */
	unsigned char headers_crc[FILE_CRC_SIZE];
};
#define FILE_LINE_MAX 512

/* The line with its LF and a NUL, of number 2. */
void file_entry_format(const struct file_entry *entry,
		       char line_r[FILE_LINE_MAX]);
/* The checksum that ends it. */
#define FILE_LINE_CRC_SIZE 9
void file_entry_line_crc(const struct file_entry *entry,
			 char crc_r[FILE_LINE_CRC_SIZE]);
/* A line without its LF. False with errno (EINVAL, and a reason; ENOTSUP: a newer
   version's). */
bool file_entry_parse(struct file_entry *entry, char *line, const char **why_r);
/* Opens the header file of an id below its bucket, and reads its line; *input_r is
   what stands behind it. Where that ends and the line's checksum is of other bytes, it
   fails (EINVAL). -1 with errno (ENOENT: there is none; EINVAL: it is damaged or
   another's; ENOTSUP: a newer version's) and io_set_error(). */
int file_entry_open(struct file_store *store, int bucket_fd,
		    const message_id *id, struct file_entry *entry,
		    struct istream **input_r);
/* The same for who wants the line alone. */
int file_entry_read(struct file_store *store, int bucket_fd,
		    const message_id *id, struct file_entry *entry);

void file_name(const message_id *id, const char *suffix,
	       char name_r[FILE_NAME_SIZE]);
/* The name of a body that took the place of another. */
void file_body_name(const message_id *id,
		    const unsigned char hash[FILE_HASH_SIZE],
		    char name_r[FILE_NAME_SIZE]);
void file_bucket_name(const message_id *id, char name_r[FILE_BUCKET_SIZE]);
/* 1: a regular file is there; 0: nothing; -1 with errno: it cannot be told (EINVAL:
   something else has the name), so nothing may be removed or overwritten. */
int file_look(int dir_fd, const char *name);
/* The bucket's directory; with `create` it is made, and durable, first. -1 with
   errno. */
int file_open_bucket(struct file_store *store, const message_id *id,
		     bool create);
/* The name of the body that a header file is about, as file_look(). */
int file_find_body(int bucket_fd, const message_id *id,
		   const unsigned char hash[FILE_HASH_SIZE],
		   char name_r[FILE_NAME_SIZE]);
/* Opens that body, and says what it is called. -1 with errno and io_set_error(). */
int file_open_body(struct file_store *store, int bucket_fd,
		   const struct file_entry *entry, char name_r[FILE_NAME_SIZE]);
/* A stream over what that opened, which its errors name; it closes the fd. Where it
   ends and what was read is not what was written, it fails (EINVAL). */
struct istream *file_body_stream(const struct file_store *store,
				 const struct file_entry *entry,
				 const char *name, int *fd);
/* That there is none is damage, with headers that speak of it: -1 with EINVAL and
   io_set_error(). */
int file_body_missing(struct file_store *store, const message_id *id);
/* The path of a file of a message, for messages; i_free() it. */
char *file_path(const struct file_store *store, const message_id *id,
		const char *name);

/*
 * module-file-note.c
 */

/* Which of the store's bodies is the message's own. */
enum file_note {
	FILE_NOTE_STORED, /* the one that its header file speaks of */
	/* what no header file speaks of yet: the first one of a message, called ID.b, or
	   one that is to take the place of another, ID.HASH.b */
	FILE_NOTE_FIRST,
	FILE_NOTE_CHANGED
};
/* Lines of its next version, by their checksums, of which the store may have one already, by a
   write that failed behind the rename: the last one that was tried, and the one that was found
   before it. "": none. */
#define FILE_TRIES_MAX 2
struct file_tries {
	char lines[FILE_TRIES_MAX][FILE_LINE_CRC_SIZE];
};
/* Stands with a message in memory. tries may be NULL: none. */
void file_note_set(email_message *message, const struct file_entry *entry,
		   enum file_note kind, const struct file_tries *tries);
void file_note_get_tries(const email_message *message,
			 struct file_tries *tries_r);
/* Whether this line is one of them. */
bool file_note_is_tried(const email_message *message,
			const struct file_entry *stored);
/* Fills in body_hash and body_stack; false: this store has no body of it. */
bool file_note_get(const email_message *message, struct file_entry *entry,
		   enum file_note *kind_r);

/*
 * module-file-busy.c: what this process is doing to which message.
 */

/* A body is being written. */
void file_busy_begin(struct file_store *store, const message_id *id);
/* It was written, and waits for its headers; or it was not. */
void file_busy_end(struct file_store *store, const message_id *id,
		   bool written);
/* The headers came, or will not come. */
void file_busy_settle(struct file_store *store, const message_id *id);
/* Until that: its headers were there, and nobody knows whether they may be again after a
   crash. */
void file_busy_doubt(struct file_store *store, const message_id *id);
bool file_is_in_doubt(struct file_store *store, const message_id *id);
/* Whether a body is being written or waits. */
bool file_is_busy(struct file_store *store, const message_id *id);
/* False where it is. Until the end nobody begins to write one. */
bool file_sweep_begin(struct file_store *store, const message_id *id);
void file_sweep_end(struct file_store *store, const message_id *id);
/* The right to change which files are a message's, of one thread at a time:
   waits until it is free. */
void file_claim(struct file_store *store, const message_id *id);
void file_release(struct file_store *store, const message_id *id);
/* False: no memory. */
bool file_busy_init(struct file_store *store);
void file_busy_deinit(struct file_store *store);

/*
 * module-file-known.c: what no scan hands out. Who changes that has the claim.
 */

/* This process has stored the message, or a scan hands it out: 1; 0 where it was known
   already; -1: no memory. */
int file_known_add(struct file_store *store, const message_id *id);
/* It was not stored, or is removed. */
void file_known_drop(struct file_store *store, const message_id *id);
bool file_is_known(struct file_store *store, const message_id *id);
/* All that was there is handed out: nothing needs to be kept from now on. */
void file_known_all(struct file_store *store);
void file_known_deinit(struct file_store *store);

/*
 * The hooks
 */

/* module-file-write.c */
int file_writebody(io_infrastructure *io, io_caller caller,
		   email_message *message, int force);
int file_writeheaders(io_infrastructure *io, io_caller caller,
		      email_message *message, int force);
int file_unlinkheaders(io_infrastructure *io, io_caller caller, message_id *id);
int file_unlinkbody(io_infrastructure *io, io_caller caller, message_id *id);

/* module-file-read.c */
/* What file_entry_open() opened, which is read to its end: the answer. */
int file_undo_headers(const struct file_store *store,
		      const struct file_entry *entry, struct istream *source,
		      email_message *message);
int file_readheaders(io_infrastructure *io, io_caller caller,
		     email_message *message);
int file_readbody(io_infrastructure *io, io_caller caller,
		  email_message *message);

/*
 * Looking
 */

/* module-file-verify.c: 0, or the errno of what is wrong, with io_set_error(). The hash
   is checked first: what no key fits (ENOKEY), and what its stack does not undo
   (EBADMSG), is whole all the same. */
int file_verify(struct file_store *store, int bucket_fd,
		const struct file_entry *entry);
/* The same of the headers alone, which are read into the message where there is the key
   that they need. Their checksum is looked at first; where a line of number 1 has none,
   what the stack does not undo is damaged (EINVAL), and if there is no key, nothing is
   known of them: 0. */
int file_verify_headers(struct file_store *store, int bucket_fd,
			email_message *message);
/* EINVAL, after io_set_error(). */
int file_damaged(const char *why);
/* module-file-scan.c */
void *file_process_disk_queue(io_infrastructure *io, void *context);
/* Whether headers of a message may be where nobody looks for them, so that its body has
   none only where it is. */
bool file_has_misplaced(struct file_store *store);
/* Removes a body, with the claim, unless one of the process's own is about to need it. */
void file_sweep(struct file_store *store, int bucket_fd, const message_id *id,
		const char *name);
/* Removes temporary files of writers that are gone. */
void file_sweep_tmp(struct file_store *store);

/*
 * module-file-walk.c: going through all of the store.
 */

enum file_kind {
	FILE_KIND_HEADERS,
	FILE_KIND_BODY
};

/* Is called for each file of a message; false stops. */
typedef bool file_visit_t(struct file_store *store, int bucket_fd,
			  const char *name, const message_id *id,
			  enum file_kind kind, void *context);

/* -1 with the first errno, and io_set_error(); what can be read is visited all the same. */
int file_walk(struct file_store *store, file_visit_t *visit, void *context);
/* The same; *misplaced_r: names in a directory that is not their ID's, which are not
   visited. */
int file_walk_and_count(struct file_store *store, file_visit_t *visit,
			void *context, uint64_t *misplaced_r);

#endif
