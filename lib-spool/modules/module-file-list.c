/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Listing the file store, which changes nothing. */

#include "config.h"
#include "module-file-private.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The errno, with io_set_error(), or 0 and the size of the body. */
static int find_body(struct file_store *store, int bucket_fd,
		     const struct file_entry *entry, uint64_t *size_r)
{
	char name[FILE_NAME_SIZE];
	int found;

	found = file_find_body(bucket_fd, &entry->id, entry->body_hash, name);
	if (found > 0) {
		*size_r = spool_file_size(bucket_fd, name);
		return 0;
	}
	if (found == 0) {
		(void)file_body_missing(store, &entry->id);
		return EINVAL;
	}
	if (errno == EINVAL)
		return file_damaged("the message is damaged: its body is not a "
				    "regular file");
	(void)spool_fail_message(store->spool, "looking for the body",
				 &entry->id, errno);
	return io_get_errno();
}

struct listing {
	spool_entry_t *callback;
	void *context;
	bool verify;
};

/* Whether somebody changed or removed the message since its line was read: then what
   was found is not its fault. */
static bool has_changed(struct file_store *store, int bucket_fd,
			const struct file_entry *entry)
{
	struct file_entry now;

	if (file_entry_read(store, bucket_fd, &entry->id, &now) < 0)
		return errno == ENOENT;
	return now.version != entry->version ||
		memcmp(now.body_hash, entry->body_hash, FILE_HASH_SIZE) != 0;
}

#define PROBLEM_SIZE 1024

/* False: there is no such message any more, or its line cannot be read. */
static bool examine(struct file_store *store, int bucket_fd,
		    const message_id *id, bool verify, struct file_entry *entry,
		    struct spool_entry *shown, char problem[PROBLEM_SIZE])
{
	uint64_t body_size;

	do {
		memset(entry, 0, sizeof(*entry));
		shown->error = 0;
		body_size = 0;
		if (file_entry_read(store, bucket_fd, id, entry) < 0)
			shown->error = errno;
		else
			shown->error =
				find_body(store, bucket_fd, entry, &body_size);
		if (shown->error == ENOENT)
			return false;
		if (shown->error == 0 && verify)
			shown->error = file_verify(store, bucket_fd, entry);
		(void)snprintf(problem, PROBLEM_SIZE, "%s", io_get_error());
	} while (shown->error != 0 && entry->version != 0 &&
		 has_changed(store, bucket_fd, entry));
	shown->stored_size += body_size;
	return true;
}

static bool list_entry(struct file_store *store, int bucket_fd,
		       const char *name, const message_id *id,
		       enum file_kind kind, void *context)
{
	struct listing *listing = context;
	char problem[PROBLEM_SIZE];
	struct spool_entry shown;
	struct file_entry entry;

	if (kind != FILE_KIND_HEADERS)
		return true;
	memset(&shown, 0, sizeof(shown));
	shown.id = *id;
	shown.stored_size = spool_file_size(bucket_fd, name);
	if (!examine(store, bucket_fd, id, listing->verify, &entry, &shown,
		     problem))
		return true;
	if (shown.error != 0)
		shown.problem = problem;
	shown.version = entry.version;
	shown.body_len = entry.body_len;
	shown.headers_stack = entry.headers_stack;
	shown.body_stack = entry.body_stack;
	return listing->callback(&shown, listing->context);
}

int module_file_list(io_infrastructure *io, enum spool_listing how,
		     spool_entry_t *callback, void *context, char **error_r)
{
	struct file_store *store = container_of(io, struct file_store, io);
	struct listing listing = { .callback = callback,
				   .context = context,
				   .verify = how == SPOOL_LISTING_VERIFY };

	if (file_walk(store, list_entry, &listing) < 0)
		return spool_fail(error_r, errno, "%s", io_get_error());
	return 0;
}
