/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store's scan at start-up: it hands out what is there, puts aside what is
   damaged, and sweeps what no writer will complete. Every message is looked at with
   the claim on it: nobody changes it meanwhile. */

#include "config.h"
#include "module-file-private.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool sweep_tmp_entry(int dir_fd, const char *name,
			    void *context ATTR_UNUSED)
{
	(void)file_ops()->unlinkat(dir_fd, name, 0);
	return true;
}

void file_sweep_tmp(struct file_store *store)
{
	/* the lock is ours: whoever wrote these is gone */
	(void)spool_walk_dir(store->messages_fd, "tmp", sweep_tmp_entry, NULL);
}

#define NUMBER_SIZE 16

struct quarantine_walk {
	struct file_store *store;
	char id[MESSAGE_ID_TEXT_SIZE];
	char number[NUMBER_SIZE]; /* behind the names in quarantine: "", ".1" */
	/* the name of what is to be written there */
	char reason[FILE_NAME_SIZE + NUMBER_SIZE + sizeof(SPOOL_REASON_SUFFIX)];
	bool taken;   /* something has one of the names */
	bool headers; /* these are moved now, or all others */
	int error;    /* the first errno */
};

static bool is_its_file(const struct quarantine_walk *walk, const char *name)
{
	return strncmp(name, walk->id, sizeof(walk->id) - 1) == 0;
}

static void note_error(struct quarantine_walk *walk)
{
	if (walk->error == 0)
		walk->error = errno;
}

static bool look_for_name(int bucket_fd ATTR_UNUSED, const char *name,
			  void *context)
{
	struct quarantine_walk *walk = context;
	char *aside;
	int found;

	if (!is_its_file(walk, name))
		return true;
	aside = i_strdup_printf("%s%s", name, walk->number);
	found = file_look(walk->store->quarantine_fd, aside);
	if (found < 0 && errno != EINVAL)
		note_error(walk);
	walk->taken = found != 0 || strcmp(aside, walk->reason) == 0;
	i_free(aside);
	return !walk->taken;
}

/* That none of its files takes the place of what is there, or is to be: it was put aside
   before, and somebody put it back, maybe with the reason of then. */
static void choose_number(struct quarantine_walk *walk, int bucket_fd)
{
	unsigned int number = 0;

	do {
		if (number > 0)
			(void)snprintf(walk->number, sizeof(walk->number),
				       ".%u", number);
		number++;
		(void)snprintf(walk->reason, sizeof(walk->reason),
			       "%s" FILE_HEADERS_SUFFIX
			       "%s" SPOOL_REASON_SUFFIX,
			       walk->id, walk->number);
		walk->taken = false;
		if (spool_walk_dir(bucket_fd, ".", look_for_name, walk) < 0)
			note_error(walk);
	} while (walk->taken && walk->error == 0);
}

/* One file, if it is the message's. */
static bool put_aside(int bucket_fd, const char *name, void *context)
{
	struct quarantine_walk *walk = context;
	char *aside, headers[FILE_NAME_SIZE];

	(void)snprintf(headers, sizeof(headers), "%s" FILE_HEADERS_SUFFIX,
		       walk->id);
	if (!is_its_file(walk, name) ||
	    (strcmp(name, headers) == 0) != walk->headers)
		return true;
	aside = i_strdup_printf("%s%s", name, walk->number);
	if (file_ops()->renameat2(bucket_fd, name, walk->store->quarantine_fd,
				  aside, 0) < 0)
		note_error(walk);
	i_free(aside);
	return true;
}

/* Unreadable only now, or to be mended by the owner: nothing is lost, but a person should
   know. -1. */
static int left_out(struct file_store *store, const message_id *id, int error,
		    const char *why)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	spool_note_left_out(store->spool, error);
	message_id_to_text(id, text);
	spool_warn(store->spool,
		   "message %s is left out of this scan, which cannot read it: "
		   "%s",
		   text, why);
	return -1;
}

static bool is_reader(const struct file_store *store)
{
	return (store->spool->flags & SPOOL_OPEN_READ_ONLY) != 0;
}

/* A damaged line does not tell which body was the message's: all of them. The headers come
   last: bodies that were left without them the next scan would sweep. */
static void move_files(struct quarantine_walk *walk, int bucket_fd)
{
	unsigned int i;

	for (i = 0; i < 2 && walk->error == 0; i++) {
		walk->headers = i == 1;
		if (spool_walk_dir(bucket_fd, ".", put_aside, walk) < 0)
			note_error(walk);
		if (file_sync_dir_fd(walk->store->quarantine_fd) < 0)
			note_error(walk);
		if (file_sync_dir_fd(bucket_fd) < 0)
			note_error(walk);
	}
}

/* Moves all files of a message to quarantine/, with the reason beside them: 0. Nothing
   is ever deleted. */
static int quarantine(struct file_store *store, int bucket_fd,
		      const message_id *id, const char *why)
{
	struct quarantine_walk walk = { .store = store };
	char *name;

	if (is_reader(store))
		return left_out(store, id, EINVAL, why);
	message_id_to_text(id, walk.id);
	choose_number(&walk, bucket_fd);
	name = i_strdup_printf("%s" FILE_HEADERS_SUFFIX "%s", walk.id,
			       walk.number);
	if (walk.error == 0 &&
	    spool_put_aside(store->spool->dir_fd, name, NULL, 0, why) < 0)
		note_error(&walk);
	i_free(name);
	move_files(&walk, bucket_fd);
	if (walk.error == 0) {
		spool_warn(store->spool,
			   "message %s is put aside into quarantine: %s",
			   walk.id, why);
		return 0;
	}
	spool_note_unkept(store->spool, walk.error);
	spool_warn(store->spool,
		   "message %s is damaged, and could not be put aside into "
		   "quarantine (%s): %s",
		   walk.id, strerror(walk.error), why);
	return 0;
}

/* Behind the line. A start that repairs nothing leaves that to who reads them. */
static int are_headers_whole(struct file_store *store, int bucket_fd,
			     const message_id *id)
{
	email_message *message;
	int error;

	if ((store->spool->flags & SPOOL_OPEN_REPAIR) == 0)
		return 1;
	message = email_message_new(id);
	error = file_verify_headers(store, bucket_fd, message);
	email_message_unref(&message);
	/* no key, or a codec that makes nothing of it: a checksum, if it has one,
	   was right */
	if (error == ENOKEY || error == EBADMSG)
		return 1;
	if (error == EINVAL)
		return quarantine(store, bucket_fd, id, io_get_error());
	return error == 0 ? 1 : left_out(store, id, error, io_get_error());
}

/* 1: both files are there; 0: they are not, or not any more; -1: it cannot be told now. */
static int is_whole(struct file_store *store, int bucket_fd,
		    const message_id *id)
{
	char body[FILE_NAME_SIZE];
	struct file_entry entry;
	int found;

	if (file_entry_read(store, bucket_fd, id, &entry) < 0) {
		if (errno == EINVAL)
			return quarantine(store, bucket_fd, id, io_get_error());
		/* or gone meanwhile */
		return errno == ENOENT ?
			0 :
			left_out(store, id, errno, io_get_error());
	}
	found = file_find_body(bucket_fd, id, entry.body_hash, body);
	if (found > 0)
		return are_headers_whole(store, bucket_fd, id);
	if (found == 0)
		return quarantine(store, bucket_fd, id,
				  "there is no body for these headers");
	if (errno == EINVAL)
		return quarantine(store, bucket_fd, id,
				  "its body is not a regular file");
	return left_out(store, id, errno, strerror(errno));
}

struct file_scan {
	struct file_store *store;
	struct spool_scan *scan;
	bool has_left_out; /* what a later one is to hand out */
	bool forgets;      /* what it has handed out */
	/* of files that are where nobody looks for them: whether it is known, and whether
	   there are any */
	bool has_counted, has_misplaced;
};

/* Whether it is to be handed out. */
static bool scan_headers(struct file_scan *scan, int bucket_fd,
			 const message_id *id)
{
	bool known = file_is_known(scan->store, id);
	int whole = is_whole(scan->store, bucket_fd, id);

	if (known || whole <= 0) {
		scan->has_left_out |= !known && whole < 0;
		return false;
	}
	if (file_known_add(scan->store, id) < 0)
		scan->forgets = true;
	return true;
}

/*
 * Bodies
 */

static bool pass_by(struct file_store *store ATTR_UNUSED,
		    int bucket_fd ATTR_UNUSED, const char *name ATTR_UNUSED,
		    const message_id *id ATTR_UNUSED,
		    enum file_kind kind ATTR_UNUSED, void *context ATTR_UNUSED)
{
	return true;
}

bool file_has_misplaced(struct file_store *store)
{
	uint64_t count;

	return file_walk_and_count(store, pass_by, NULL, &count) < 0 ||
		count > 0;
}

/* The same, once for each scan. */
static bool may_be_misplaced(struct file_scan *scan)
{
	if (!scan->has_counted)
		scan->has_misplaced = file_has_misplaced(scan->store);
	scan->has_counted = true;
	return scan->has_misplaced;
}

void file_sweep(struct file_store *store, int bucket_fd, const message_id *id,
		const char *name)
{
	if (!file_sweep_begin(store, id))
		return;
	/* what a killed process made of the headers need not be so for ever, before that */
	if (file_sync_dir_fd(bucket_fd) == 0)
		(void)file_ops()->unlinkat(bucket_fd, name, 0);
	file_sweep_end(store, id);
}

/* What took the place of another body, and that one, of which one is too many. */
struct old_body {
	struct file_entry entry; /* of the headers */
	char name[FILE_NAME_SIZE];
};

/* Whether there is one; each is visited, and the first one has nothing to do. */
static bool find_old_body(struct file_store *store, int bucket_fd,
			  const message_id *id, const char *visited,
			  struct old_body *old_r)
{
	char own[FILE_NAME_SIZE], first[FILE_NAME_SIZE];

	file_name(id, FILE_BODY_SUFFIX, first);
	if (strcmp(visited, first) == 0 ||
	    file_entry_read(store, bucket_fd, id, &old_r->entry) < 0)
		return false;
	file_body_name(id, old_r->entry.body_hash, own);
	(void)snprintf(old_r->name, sizeof(old_r->name), "%s",
		       strcmp(visited, own) == 0 ? first : visited);
	return file_look(bucket_fd, old_r->name) != 0;
}

/* With the claim: of a body without headers the writer is gone, unless it is one of ours.
   Whether there is an old one to look at. */
static bool look_at_body(struct file_scan *scan, int bucket_fd,
			 const message_id *id, const char *name,
			 struct old_body *old_r)
{
	char headers[FILE_NAME_SIZE];
	int have_headers;

	/* nothing of it would be swept */
	if (file_is_busy(scan->store, id))
		return false;
	file_name(id, FILE_HEADERS_SUFFIX, headers);
	have_headers = file_look(bucket_fd, headers);
	if (have_headers == 0 && !may_be_misplaced(scan))
		file_sweep(scan->store, bucket_fd, id, name);
	return have_headers > 0 &&
		find_old_body(scan->store, bucket_fd, id, name, old_r);
}

/* The body that headers speak of is there, and is what was written. */
static bool is_body_whole(const struct file_scan *scan, int bucket_fd,
			  const struct file_entry *entry)
{
	const unsigned char *data;
	char name[FILE_NAME_SIZE];
	struct istream *file;
	bool whole;
	size_t size;
	int fd;

	fd = file_open_body(scan->store, bucket_fd, entry, name);
	if (fd < 0)
		return false;
	file = file_body_stream(scan->store, entry, name, &fd);
	while (!spool_scan_is_stopping(scan->scan) &&
	       i_stream_read_more(file, &data, &size) > 0)
		i_stream_skip(file, size);
	whole = file->eof && file->stream_errno == 0;
	i_stream_destroy(&file);
	return whole;
}

/* The headers are still those. */
static bool is_unchanged(struct file_store *store, int bucket_fd,
			 const struct file_entry *entry)
{
	struct file_entry now;

	return file_entry_read(store, bucket_fd, &entry->id, &now) == 0 &&
		now.version == entry->version &&
		memcmp(now.body_hash, entry->body_hash, FILE_HASH_SIZE) == 0;
}

/* Whoever has lost the body that its headers speak of needs what is left. The claim is
   others' while that body is read. */
static void scan_body(struct file_scan *scan, int bucket_fd,
		      const message_id *id, const char *name)
{
	struct file_store *store = scan->store;
	struct old_body old;
	bool has_old;

	file_claim(store, id);
	has_old = look_at_body(scan, bucket_fd, id, name, &old);
	file_release(store, id);
	if (!has_old || !is_body_whole(scan, bucket_fd, &old.entry))
		return;
	file_claim(store, id);
	if (is_unchanged(store, bucket_fd, &old.entry))
		file_sweep(store, bucket_fd, id, old.name);
	file_release(store, id);
}

static bool scan_entry(struct file_store *store, int bucket_fd,
		       const char *name, const message_id *id,
		       enum file_kind kind, void *context)
{
	struct file_scan *scan = context;
	bool live;

	if (spool_scan_is_stopping(scan->scan))
		return false;
	if (kind != FILE_KIND_HEADERS) {
		if (!is_reader(store))
			scan_body(scan, bucket_fd, id, name);
		return true;
	}
	file_claim(store, id);
	live = scan_headers(scan, bucket_fd, id);
	file_release(store, id);
	/* without the claim: who is told may remove it at once */
	if (live)
		spool_scan_found(scan->scan, id);
	return true;
}

void *file_process_disk_queue(io_infrastructure *io, void *context)
{
	struct file_store *store = container_of(io, struct file_store, io);
	struct file_scan scan = { .store = store, .scan = context };
	uint64_t misplaced;

	if (file_walk_and_count(store, scan_entry, &scan, &misplaced) < 0) {
		scan.has_left_out = true;
		spool_note_left_out(store->spool, errno);
		spool_warn(store->spool, "the scan met an error: %s",
			   io_get_error());
	}
	if (misplaced > 0)
		spool_warn(store->spool,
			   "%" PRIu64 " files of messages are in directories "
			   "where nobody looks for them: move each to the one "
			   "that has the last two characters of its message's "
			   "id; no body is removed meanwhile for having no "
			   "headers",
			   misplaced);
	/* where it forgets: rather late, with the next opening, than twice */
	if (!scan.has_left_out || scan.forgets)
		file_known_all(store);
	return NULL;
}
