/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Listing and verifying the file store, which change nothing. */

#include "config.h"
#include "module-file-private.h"
#include "hash-method.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static uint64_t stored_size(int bucket_fd, const char *name)
{
	struct stat st;

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

	fd = file_open_body(bucket_fd, entry);
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

struct listing {
	spool_entry_t *callback;
	void *context;
	bool verify;
};

static bool list_entry(struct file_store *store, int bucket_fd,
		       const char *name, const message_id *id,
		       enum file_kind kind, void *context)
{
	struct listing *listing = context;
	char body[FILE_NAME_SIZE];
	struct spool_entry shown;
	struct file_entry entry;

	if (kind != FILE_KIND_HEADERS)
		return true;
	memset(&shown, 0, sizeof(shown));
	memset(&entry, 0, sizeof(entry));
	shown.id = *id;
	if (file_entry_read(bucket_fd, id, &entry) < 0) {
		if (errno == ENOENT)
			return true;
		shown.problem = io_get_error();
	}
	shown.version = entry.version;
	shown.body_len = entry.body_len;
	shown.headers_stack = entry.headers_stack;
	shown.body_stack = entry.body_stack;
	shown.stored_size = stored_size(bucket_fd, name);
	if (file_find_body(bucket_fd, id, entry.body_hash, body) > 0)
		shown.stored_size += stored_size(bucket_fd, body);
	if (listing->verify && shown.problem == NULL)
		shown.problem = verify_body_hash(bucket_fd, &entry);
	if (listing->verify && shown.problem == NULL)
		shown.problem = verify_content(store, &entry);
	return listing->callback(&shown, listing->context);
}

int module_file_list(io_infrastructure *io, bool verify,
		     spool_entry_t *callback, void *context, char **error_r)
{
	struct listing listing = { .callback = callback,
				   .context = context,
				   .verify = verify };

	if (file_walk(container_of(io, struct file_store, io), list_entry,
		      &listing) < 0)
		return spool_fail(error_r, errno,
				  "reading the spool's directories failed: %s",
				  strerror(errno));
	return 0;
}
