/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store's reading hooks: the line of the header file says how the rest of
   it, and the body, were written. */

#include "config.h"
#include "module-file-private.h"
#include "buffer.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"
#include "message-record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Opens bucket and header file (input_r NULL: reads its line alone). The answer:
   IO_FAIL where there is none. */
static int open_entry(struct file_store *store, const message_id *id,
		      int *bucket_fd_r, struct file_entry *entry,
		      struct istream **input_r)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	int ret, error;

	memset(entry, 0, sizeof(*entry));
	*bucket_fd_r = file_open_bucket(store, id, false);
	if (*bucket_fd_r < 0 && errno != ENOENT)
		return io_fail_message("opening the directory", id, errno);
	if (*bucket_fd_r < 0)
		ret = -1;
	else if (input_r == NULL)
		ret = file_entry_read(store, *bucket_fd_r, id, entry);
	else
		ret = file_entry_open(store, *bucket_fd_r, id, entry, input_r);
	if (ret == 0)
		return IO_DONE;
	error = errno;
	(void)file_close(bucket_fd_r);
	message_id_to_text(id, text);
	if (error == ENOENT) {
		errno = error;
		io_set_error("there is no message %s", text);
		return IO_FAIL;
	}
	return io_answer_for_errno(error);
}

int file_undo_headers(const struct file_store *store,
		      const struct file_entry *entry, struct istream *source,
		      email_message *message)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 1024);
	struct istream *input;
	int answer;

	input = spool_undo_stack(store->spool, entry->headers_stack, source);
	answer = spool_read_record(input, record);
	if (answer == IO_DONE)
		answer = spool_parse_record(message, record, entry->version,
					    entry->body_len);
	i_stream_destroy(&input);
	buffer_free(&record);
	return answer;
}

int file_readheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		     email_message *message)
{
	struct file_store *store = container_of(io, struct file_store, io);
	struct istream *source = NULL;
	struct file_entry entry;
	int bucket_fd, answer;

	answer = open_entry(store, &message->message_id, &bucket_fd, &entry,
			    &source);
	if (answer != IO_DONE)
		return answer;
	answer = file_undo_headers(store, &entry, source, message);
	if (answer == IO_DONE)
		file_note_set(message, &entry, FILE_NOTE_STORED, NULL);
	i_stream_unref(&source);
	(void)file_close(&bucket_fd);
	return answer;
}

/* Opens the stored body. Whoever changes it right now may take away the file that
   the headers of a moment ago spoke of: then there are newer ones. */
static int open_body(struct file_store *store, const message_id *id,
		     struct file_entry *entry, char name_r[FILE_NAME_SIZE],
		     int *fd_r)
{
	uint64_t version = 0;
	int bucket_fd, answer, error;

	for (;;) {
		answer = open_entry(store, id, &bucket_fd, entry, NULL);
		if (answer != IO_DONE)
			return answer;
		*fd_r = file_open_body(store, bucket_fd, entry, name_r);
		error = errno;
		(void)file_close(&bucket_fd);
		if (*fd_r >= 0)
			return IO_DONE;
		if (error == ENOENT && entry->version == version) {
			(void)file_body_missing(store, id);
			return IO_FAIL;
		}
		if (error != ENOENT) {
			errno = error;
			return io_answer_for_errno(error);
		}
		version = entry->version;
	}
}

int file_readbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		  email_message *message)
{
	struct file_store *store = container_of(io, struct file_store, io);
	struct istream *source, *input;
	char name[FILE_NAME_SIZE];
	struct file_entry entry;
	int fd, answer;

	answer = open_body(store, &message->message_id, &entry, name, &fd);
	if (answer != IO_DONE)
		return answer;
	source = file_body_stream(store, &entry, name, &fd);
	input = spool_undo_stack(store->spool, entry.body_stack, source);
	i_stream_unref(&source);
	email_message_set_body(message, input, entry.body_len);
	i_stream_unref(&input);
	return IO_DONE;
}
