/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Going through all of the file store: the scan at start-up, which puts aside what
   is damaged and sweeps what no writer will complete, and listing and verifying,
   which change nothing. */

#include "config.h"
#include "module-file-private.h"
#include "hash-method.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Calls back for each entry of a directory that is not hidden; false stops. */
typedef bool dir_entry_t(int dir_fd, const char *name, void *context);

static int walk_dir(int parent_fd, const char *name, dir_entry_t *callback,
		    void *context)
{
	struct dirent *entry;
	bool more = true;
	int fd, old_errno;
	DIR *dir;

	fd = file_open(parent_fd, name,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	dir = file_ops()->fdopendir(fd);
	if (dir == NULL) {
		old_errno = errno;
		(void)file_close(&fd);
		errno = old_errno;
		return -1;
	}
	do {
		errno = 0;
		entry = file_ops()->readdir(dir);
		if (entry == NULL)
			break;
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			more = callback(fd, entry->d_name, context);
	} while (more);
	old_errno = entry == NULL ? errno : 0;
	(void)file_ops()->closedir(dir);
	errno = old_errno;
	return old_errno == 0 ? 0 : -1;
}

/* "ID.h" or "ID.b"; false for any other name. */
static bool parse_name(const char *name, message_id *id_r, bool *headers_r)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	const char *suffix = name + MESSAGE_ID_TEXT_SIZE - 1;

	if (strlen(name) != FILE_NAME_SIZE - 1)
		return false;
	memcpy(text, name, MESSAGE_ID_TEXT_SIZE - 1);
	text[MESSAGE_ID_TEXT_SIZE - 1] = '\0';
	*headers_r = strcmp(suffix, FILE_HEADERS_SUFFIX) == 0;
	return message_id_from_text(text, id_r) &&
		(*headers_r || strcmp(suffix, FILE_BODY_SUFFIX) == 0);
}

/* A walk over all buckets. */
struct store_walk {
	struct file_store *store;
	struct spool_scan *scan; /* scanning */
	spool_entry_t *callback; /* listing */
	void *context;
	bool verify;
	bool stopped;
	int error; /* the first errno */
	dir_entry_t *visit;
};

static bool visit_bucket(int messages_fd, const char *name, void *context)
{
	struct store_walk *walk = context;

	if (strlen(name) != FILE_BUCKET_SIZE - 1)
		return true; /* tmp */
	if (walk_dir(messages_fd, name, walk->visit, walk) < 0 &&
	    walk->error == 0)
		walk->error = errno;
	return !walk->stopped;
}

static int walk_store(struct store_walk *walk)
{
	if (walk_dir(walk->store->messages_fd, ".", visit_bucket, walk) < 0 &&
	    walk->error == 0)
		walk->error = errno;
	errno = walk->error;
	return walk->error == 0 ? 0 : -1;
}

static bool sweep_tmp_entry(int dir_fd, const char *name,
			    void *context ATTR_UNUSED)
{
	(void)file_ops()->unlinkat(dir_fd, name, 0);
	return true;
}

void file_sweep_tmp(struct file_store *store)
{
	/* the lock is ours: whoever wrote these is gone */
	(void)walk_dir(store->messages_fd, "tmp", sweep_tmp_entry, NULL);
}

/*
 * Scan
 */

static bool exists(int dir_fd, const char *name)
{
	struct stat st;

	return file_ops()->fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Moves a message's files to quarantine/, with the reason beside them. Nothing is
   ever deleted. */
static void quarantine(struct file_store *store, int bucket_fd,
		       const message_id *id, const char *why)
{
	char headers[FILE_NAME_SIZE], body[FILE_NAME_SIZE];
	char reason_name[FILE_NAME_SIZE + 8];
	struct ostream *reason;

	file_name(id, FILE_HEADERS_SUFFIX, headers);
	file_name(id, FILE_BODY_SUFFIX, body);
	spool_warn(store->spool, "%s is put aside into quarantine: %s", headers,
		   why);
	(void)snprintf(reason_name, sizeof(reason_name), "%s.why", headers);
	reason = o_stream_create_file_atomic_at(store->quarantine_fd,
						reason_name, -1, 0600, 0);
	o_stream_nsend_str(reason, why);
	o_stream_nsend_str(reason, "\n");
	(void)o_stream_finish(reason);
	o_stream_destroy(&reason);
	(void)file_ops()->renameat(bucket_fd, body, store->quarantine_fd, body);
	(void)file_ops()->renameat(bucket_fd, headers, store->quarantine_fd,
				   headers);
	(void)file_sync_dir_fd(store->quarantine_fd);
	(void)file_sync_dir_fd(bucket_fd);
}

static void scan_headers(struct store_walk *walk, int bucket_fd,
			 const message_id *id)
{
	char body[FILE_NAME_SIZE];
	struct file_entry entry;
	struct istream *input;

	if (file_entry_open(bucket_fd, id, &entry, &input) < 0) {
		/* gone meanwhile, or unreadable only now: nothing is lost */
		if (errno == EINVAL)
			quarantine(walk->store, bucket_fd, id, io_get_error());
		return;
	}
	i_stream_destroy(&input);
	file_name(id, FILE_BODY_SUFFIX, body);
	if (!exists(bucket_fd, body)) {
		/* somebody may be removing it right now: headers go first */
		file_name(id, FILE_HEADERS_SUFFIX, body);
		if (exists(bucket_fd, body))
			quarantine(walk->store, bucket_fd, id,
				   "there is no body for these headers");
		return;
	}
	spool_scan_found(walk->scan, id);
}

/* A body whose headers never came: the writer is gone, unless it is one of ours.
   That is asked before the headers are looked for: a writer leaves the list only
   after its headers are there. */
static void scan_body(struct store_walk *walk, int bucket_fd,
		      const message_id *id, const char *name)
{
	char headers[FILE_NAME_SIZE];

	file_name(id, FILE_HEADERS_SUFFIX, headers);
	if (file_is_busy(walk->store, id) || exists(bucket_fd, headers))
		return;
	(void)file_ops()->unlinkat(bucket_fd, name, 0);
}

static bool scan_entry(int bucket_fd, const char *name, void *context)
{
	struct store_walk *walk = context;
	message_id id;
	bool headers;

	if (spool_scan_is_stopping(walk->scan)) {
		walk->stopped = true;
		return false;
	}
	if (!parse_name(name, &id, &headers))
		return true;
	if (!headers)
		scan_body(walk, bucket_fd, &id, name);
	else if (!file_is_busy(walk->store, &id))
		scan_headers(walk, bucket_fd, &id);
	return true;
}

void *file_process_disk_queue(io_infrastructure *io, void *context)
{
	struct store_walk walk = {
		.store = container_of(io, struct file_store, io),
		.scan = context,
		.visit = scan_entry,
	};

	file_busy_scan(walk.store, true);
	if (walk_store(&walk) < 0)
		spool_warn(walk.store->spool, "the scan met an error: %s",
			   strerror(errno));
	file_busy_scan(walk.store, false);
	return NULL;
}

/*
 * Listing and verifying
 */

static uint64_t stored_size(int bucket_fd, const message_id *id,
			    const char *suffix)
{
	char name[FILE_NAME_SIZE];
	struct stat st;

	file_name(id, suffix, name);
	if (file_ops()->fstatat(bucket_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (uint64_t)st.st_size;
}

/* Reads all of a stream; NULL, or what is wrong. */
static const char *read_through(struct istream *input, uint64_t *size_r)
{
	const unsigned char *data;
	size_t size;

	while (i_stream_read_more(input, &data, &size) > 0)
		i_stream_skip(input, size);
	*size_r = input->v_offset;
	if (input->stream_errno == 0)
		return NULL;
	io_set_error("%s", i_stream_get_error(input));
	return io_get_error();
}

/* Whether the bytes on disk are those that were written. */
static const char *verify_body_hash(int bucket_fd,
				    const struct file_entry *entry)
{
	const struct hash_method *method = hash_method_lookup("blake2b");
	unsigned char hash[FILE_HASH_SIZE];
	struct istream *file, *input;
	const char *problem;
	uint64_t size;
	void *context;
	int fd;

	fd = file_open_body(bucket_fd, &entry->id);
	if (fd < 0)
		return io_get_error();
	context = i_calloc(1, method->context_size);
	method->init(context);
	file = i_stream_create_fd_autoclose(&fd, 0);
	input = i_stream_create_hash(file, method, context);
	problem = read_through(input, &size);
	method->result(context, hash);
	i_free(context);
	i_stream_destroy(&input);
	i_stream_destroy(&file);
	if (problem == NULL &&
	    memcmp(hash, entry->body_hash, FILE_HASH_SIZE) != 0)
		problem = "the body is damaged: its hash is wrong";
	return problem;
}

/* Without the key of an encrypted stack, its hash has to do. */
static bool can_decode(const struct file_store *store, const char *stack)
{
	return strstr(stack, "age") == NULL ||
		store->spool->keys.identities != NULL;
}

static const char *verify_content(struct file_store *store,
				  const struct file_entry *entry)
{
	email_message *message = email_message_new(&entry->id);
	const char *problem = NULL;
	uint64_t size;

	if (can_decode(store, entry->headers_stack) &&
	    store->io.io_readheaders(&store->io, IO_SYNCHRONOUS, message) !=
		    IO_DONE)
		problem = io_get_error();
	if (problem == NULL && can_decode(store, entry->body_stack)) {
		if (store->io.io_readbody(&store->io, IO_SYNCHRONOUS,
					  message) != IO_DONE) {
			problem = io_get_error();
		} else {
			problem = read_through(message->body, &size);
			if (problem == NULL && size != entry->body_len)
				problem = "the body has another length than "
					  "its headers say";
		}
	}
	email_message_unref(&message);
	return problem;
}

static bool list_entry(int bucket_fd, const char *name, void *context)
{
	struct store_walk *walk = context;
	struct spool_entry shown;
	struct file_entry entry;
	struct istream *input;
	bool headers;

	memset(&shown, 0, sizeof(shown));
	memset(&entry, 0, sizeof(entry));
	if (!parse_name(name, &shown.id, &headers) || !headers)
		return true;
	if (file_entry_open(bucket_fd, &shown.id, &entry, &input) < 0) {
		if (errno == ENOENT)
			return true;
		shown.problem = io_get_error();
	} else {
		i_stream_destroy(&input);
	}
	shown.version = entry.version;
	shown.body_len = entry.body_len;
	shown.headers_stack = entry.headers_stack;
	shown.body_stack = entry.body_stack;
	shown.stored_size =
		stored_size(bucket_fd, &shown.id, FILE_HEADERS_SUFFIX) +
		stored_size(bucket_fd, &shown.id, FILE_BODY_SUFFIX);
	if (walk->verify && shown.problem == NULL)
		shown.problem = verify_body_hash(bucket_fd, &entry);
	if (walk->verify && shown.problem == NULL)
		shown.problem = verify_content(walk->store, &entry);
	walk->stopped = !walk->callback(&shown, walk->context);
	return !walk->stopped;
}

int module_file_list(io_infrastructure *io, bool verify,
		     spool_entry_t *callback, void *context, char **error_r)
{
	struct store_walk walk = {
		.store = container_of(io, struct file_store, io),
		.callback = callback,
		.context = context,
		.verify = verify,
		.visit = list_entry,
	};

	if (walk_store(&walk) < 0)
		return spool_fail(error_r, errno,
				  "reading the spool's directories failed: %s",
				  strerror(errno));
	return 0;
}
