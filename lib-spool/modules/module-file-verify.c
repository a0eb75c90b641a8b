/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reading all of a message to see whether it is whole. */

#include "config.h"
#include "module-file-private.h"
#include "istream.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* What follows says what is wrong by an errno, with io_set_error(); 0: nothing. */

int file_damaged(const char *why)
{
	errno = EINVAL;
	io_set_error("%s", why);
	return EINVAL;
}

/* Whether the bytes on disk are those that were written; how many, and where the stack
   leaves them as they are, of what form. */
static int verify_body_hash(struct file_store *store, int bucket_fd,
			    const struct file_entry *entry,
			    struct spool_wire *wire)
{
	char name[FILE_NAME_SIZE];
	struct istream *file;
	int fd, error;

	fd = file_open_body(store, bucket_fd, entry, name);
	if (fd < 0 && errno == ENOENT)
		(void)file_body_missing(store, &entry->id);
	if (fd < 0)
		return errno;
	file = file_body_stream(store, entry, name, &fd);
	error = spool_is_plain(entry->body_stack) ?
		spool_read_wire(file, wire) :
		spool_read_through(file, &wire->size);
	i_stream_destroy(&file);
	return error;
}

/* What a stream says of its file has the path; what the record's text is found to be,
   has not. The errno. */
static int headers_fail(struct file_store *store, const message_id *id,
			int error)
{
	char name[FILE_NAME_SIZE];
	char *path;
	bool named;

	file_name(id, FILE_HEADERS_SUFFIX, name);
	path = file_path(store, id, name);
	named = strstr(io_get_error(), path) != NULL;
	errno = error;
	io_set_error("%s%s%s", named ? "" : path, named ? "" : ": ",
		     io_get_error());
	i_free(path);
	return error;
}

/* Undoes the stack of the headers that were read as they are stored. Where a line of number
   1 had no checksum for that, the stack's word is all that there is. */
static int verify_record(const struct file_store *store,
			 const struct file_entry *entry, struct istream *input,
			 email_message *message)
{
	int error;

	if (!spool_can_decode(store->spool, entry->headers_stack))
		return 0;
	if (file_undo_headers(store, entry, input, message) == IO_DONE)
		return 0;
	error = io_get_errno();
	/* a layer that ends too early: it was written whole */
	error = error == 0 || error == EPIPE ? EINVAL : error;
	return entry->has_headers_crc ? spool_unreadable(error) : error;
}

int file_verify_headers(struct file_store *store, int bucket_fd,
			email_message *message)
{
	const message_id *id = &message->message_id;
	struct file_entry entry;
	struct istream *input;
	uint64_t start, end;
	int error;

	if (file_entry_open(store, bucket_fd, id, &entry, &input) < 0)
		return errno;
	start = input->v_offset;
	error = spool_read_through(input, &end);
	if (error == 0) {
		i_stream_seek(input, start);
		error = verify_record(store, &entry, input, message);
	}
	i_stream_destroy(&input);
	return error == 0 ? 0 : headers_fail(store, id, error);
}

/* Undoes the stack of the body whose hash is right. */
static int verify_body(struct file_store *store, const struct file_entry *entry,
		       email_message *message, struct spool_wire *wire)
{
	int error = 0;

	if (!spool_can_decode(store->spool, entry->body_stack))
		return 0;
	if (!spool_is_plain(entry->body_stack)) {
		if (file_readbody(&store->io, IO_SYNCHRONOUS, message) !=
		    IO_DONE)
			return io_get_errno() != 0 ? io_get_errno() : EINVAL;
		error = spool_read_wire(message->body, wire);
	}
	if (error == 0 && wire->size != entry->body_len)
		error = file_damaged(
			"the body has another length than its headers "
			"say");
	return spool_unreadable(error);
}

int file_verify(struct file_store *store, int bucket_fd,
		const struct file_entry *entry)
{
	email_message *message = email_message_new(&entry->id);
	struct spool_wire wire = { 0, NULL };
	int error;

	error = verify_body_hash(store, bucket_fd, entry, &wire);
	if (error == 0)
		error = file_verify_headers(store, bucket_fd, message);
	if (error == 0)
		error = verify_body(store, entry, message, &wire);
	if (error == 0)
		error = spool_wire_fail(&wire);
	i_free(wire.why);
	email_message_unref(&message);
	return error;
}
