/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MODULE_FILE_PRIVATE_H
#define BOBBIN_MODULE_FILE_PRIVATE_H

#include "file-ops.h"
#include "module-file.h"
#include "stack-spec.h"

/* The two files of a message are called by its id and these. */
#define FILE_HEADERS_SUFFIX ".h"
#define FILE_BODY_SUFFIX ".b"
#define FILE_NAME_SIZE (MESSAGE_ID_TEXT_SIZE + 2)
#define FILE_BUCKET_SIZE 3 /* two characters of the id, and a NUL */

#define FILE_HASH_SIZE 32
#define FILE_STACK_SIZE 128

/* An id whose body is being written, or whose scan-time fate is known. */
struct busy_id;

struct file_store {
	io_infrastructure io;
	struct spool *spool;
	int messages_fd, tmp_fd, quarantine_fd;
	struct stack_spec *body_spec, *headers_spec; /* NULL: plain */
	char *body_kinds, *headers_kinds;

	pthread_mutex_t mutex;
	/* ids between their body's write and their headers' commit; and while
	   the scan runs, all that this process wrote */
	struct busy_id *busy;
	bool scanning;
};

/* The plain line that begins a header file, doc/spool-format.md:
   bobbin-h1 ID VERSION BODY-LENGTH BODY-HASH HEADERS-STACK BODY-STACK CRC32C */
struct file_entry {
	message_id id;
	uint64_t version, body_len;
	unsigned char body_hash[FILE_HASH_SIZE];
	char headers_stack[FILE_STACK_SIZE], body_stack[FILE_STACK_SIZE];
};
#define FILE_LINE_MAX 512

/* The line with its LF and a NUL. */
void file_entry_format(const struct file_entry *entry,
		       char line_r[FILE_LINE_MAX]);
/* A line without its LF. False with a reason; *newer_r: a newer version's. */
bool file_entry_parse(struct file_entry *entry, char *line, const char **why_r);
/* Opens the header file of an id below its bucket, and reads its line; *input_r
   then stands behind it. -1 with errno (ENOENT: there is none; EINVAL: it is
   damaged or another's) and io_set_error(). */
int file_entry_open(int bucket_fd, const message_id *id,
		    struct file_entry *entry, struct istream **input_r);

void file_name(const message_id *id, const char *suffix,
	       char name_r[FILE_NAME_SIZE]);
void file_bucket_name(const message_id *id, char name_r[FILE_BUCKET_SIZE]);
/* The bucket's directory; with `create` it is made, and durable, first. -1 with
   errno. */
int file_open_bucket(struct file_store *store, const message_id *id,
		     bool create);
/* Opens the stored body. -1 with errno and io_set_error(). */
int file_open_body(int bucket_fd, const message_id *id);

/* module-file-busy.c */
void file_busy_add(struct file_store *store, const message_id *id);
/* The headers are committed, or the write was given up. */
void file_busy_remove(struct file_store *store, const message_id *id);
bool file_is_busy(struct file_store *store, const message_id *id);
void file_busy_scan(struct file_store *store, bool scanning);
void file_busy_free(struct file_store *store);

/* module-file-scan.c */
void *file_process_disk_queue(io_infrastructure *io, void *scan);
/* Removes temporary files of writers that are gone. */
void file_sweep_tmp(struct file_store *store);

#endif
