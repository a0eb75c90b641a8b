/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store's reading hooks. */

#include "config.h"
#include "module-journal-private.h"
#include "istream.h"
#include "mem.h"
#include "message-record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int read_fail(const message_id *id)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	if (io_get_errno() == ENOENT) {
		message_id_to_text(id, text);
		errno = ENOENT;
		io_set_error("there is no message %s", text);
		return IO_FAIL;
	}
	return io_answer_for_errno(io_get_errno());
}

static void free_data(void *data)
{
	i_free(data);
}

/* The errno, with io_set_error(). */
static int file_is_missing(struct journal_store *store, const message_id *id,
			   const struct journal_external *external,
			   const char *path)
{
	int there = journal_ask_newer(store, id, external);

	if (there < 0)
		return errno;
	if (there > 0) {
		errno = EINVAL;
		io_set_error("the message is damaged: its body %s is missing",
			     path);
		return EINVAL;
	}
	errno = ESTALE;
	io_set_error("the body %s was removed by another process since the "
		     "spool was opened: open it again",
		     path);
	return ESTALE;
}

struct istream *journal_open_external(struct journal_store *store,
				      const message_id *id,
				      const struct journal_external *external)
{
	int fd = journal_body_open(store->journal, id, external), error = errno;
	char *path = journal_body_path(store->journal, id, external);
	struct istream *file, *source = NULL;

	if (fd >= 0) {
		file = i_stream_create_fd_autoclose(&fd, 0);
		i_stream_set_name(file, path);
		source = spool_check_file(file, external->hash);
		i_stream_unref(&file);
	} else if (error == ENOENT) {
		error = file_is_missing(store, id, external, path);
	} else {
		errno = error;
		io_set_error("open(%s) failed: %s", path, strerror(error));
	}
	i_free(path);
	errno = error;
	return source;
}

/* What errors call it. */
static void name_payload(struct istream *source,
			 const struct journal_header *header)
{
	char id[MESSAGE_ID_TEXT_SIZE], name[sizeof(id) + 16];

	message_id_to_text(&header->id, id);
	(void)snprintf(name, sizeof(name), "%s of %s",
		       header->type == JOURNAL_BODY            ? "body" :
			       header->type == JOURNAL_HEADERS ? "headers" :
								 "states",
		       id);
	i_stream_set_name(source, name);
}

/* The record's payload, or what it speaks of; the data is the stream's then. NULL with
   errno. */
static struct istream *open_payload(struct journal_store *store,
				    const struct journal_header *header,
				    unsigned char *data)
{
	struct journal_external external;
	struct istream *source;

	if ((header->flags & JOURNAL_EXTERNAL) == 0 ||
	    header->type != JOURNAL_BODY) {
		source = i_stream_create_from_data(data + header->stack_size,
						   (size_t)header->stored_size);
		bobbin_i_stream_add_destroy_callback(source, free_data, data);
		name_payload(source, header);
		return source;
	}
	memset(&external, 0, sizeof(external));
	if (header->stored_size == JOURNAL_EXTERNAL_SIZE)
		journal_external_get(&external, data + header->stack_size);
	i_free(data);
	return journal_open_external(store, &header->id, &external);
}

/* A record of the message, undone. Whoever changes the body right now may take away the
   file that the record of a moment ago spoke of: then there is a newer one. */
static int open_record(struct journal_store *store, const message_id *id,
		       enum journal_type type, struct journal_header *header_r,
		       struct istream **input_r)
{
	char stack[JOURNAL_STACK_MAX + 1];
	struct istream *source = NULL;
	uint64_t last = 0;
	unsigned char *data;

	while (source == NULL) {
		if (journal_read(store->journal, id, type, header_r, stack,
				 &data) < 0)
			return read_fail(id);
		source = open_payload(store, header_r, data);
		if (source == NULL &&
		    (errno != EINVAL || header_r->sequence == last))
			return io_answer_for_errno(errno);
		last = header_r->sequence;
	}
	*input_r = spool_undo_stack(store->spool, stack, source);
	i_stream_unref(&source);
	return IO_DONE;
}

/* The text of such a record; buffer_free() it. */
static int read_text(struct journal_store *store, const message_id *id,
		     enum journal_type type, struct journal_header *header_r,
		     buffer_t **record_r)
{
	struct istream *input;
	int answer = open_record(store, id, type, header_r, &input);

	if (answer != IO_DONE)
		return answer;
	*record_r = buffer_create_dynamic(default_pool, 1024);
	answer = spool_read_record(input, *record_r);
	i_stream_destroy(&input);
	if (answer != IO_DONE)
		buffer_free(record_r);
	return answer;
}

/* What changed since the headers were written is lost, and what they say counts; the next
   who writes them writes them whole. */
static void forget_states(struct journal_store *store, email_message *message,
			  const struct journal_entry *entry)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(&message->message_id, text);
	spool_warn(store->spool,
		   "message %s: what changed in the states of its recipients "
		   "is damaged: those of its headers, of version %llu, count",
		   text, (unsigned long long)entry->base_version);
	email_message_set_version(message, entry->version);
	email_message_set_base_version(message, 0);
}

/* 1; 0: the headers have become others since; else the answer is *answer_r. */
static int add_states(struct journal_store *store, email_message *message,
		      int *answer_r)
{
	struct journal_header header;
	struct journal_entry entry;
	buffer_t *record;
	uint64_t base = email_message_get_base_version(message);

	if (!journal_find(store->journal, &message->message_id, &entry) ||
	    entry.base_version != base)
		return 0;
	if (entry.states.offset == 0)
		return 1;
	*answer_r = read_text(store, &message->message_id, JOURNAL_STATES,
			      &header, &record);
	if (*answer_r != IO_DONE && io_get_errno() == EINVAL &&
	    journal_record_is_damaged(store, &message->message_id,
				      JOURNAL_STATES)) {
		forget_states(store, message, &entry);
		return 1;
	}
	if (*answer_r != IO_DONE)
		return io_get_errno() == ENOENT ? 0 : -1;
	if (header.plain_size == base)
		*answer_r = spool_parse_states(message, record, header.version);
	buffer_free(&record);
	if (header.plain_size != base)
		return 0;
	return *answer_r == IO_DONE ? 1 : -1;
}

static int read_headers(struct journal_store *store, email_message *message)
{
	struct journal_header header;
	buffer_t *record;
	int answer;

	answer = read_text(store, &message->message_id, JOURNAL_HEADERS,
			   &header, &record);
	if (answer != IO_DONE)
		return answer;
	answer = spool_parse_record(message, record, header.version,
				    header.plain_size);
	if (answer == IO_DONE)
		email_message_set_base_version(message, header.version);
	buffer_free(&record);
	return answer;
}

int journal_readheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			email_message *message)
{
	struct journal_store *store = journal_store(io);
	int answer = IO_DONE, ret = 0;

	while (ret == 0) {
		answer = read_headers(store, message);
		if (answer != IO_DONE)
			return answer;
		ret = add_states(store, message, &answer);
	}
	if (ret > 0)
		email_message_set_store_note(message, JOURNAL_NOTE);
	return ret > 0 ? IO_DONE : answer;
}

int journal_readbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		     email_message *message)
{
	struct journal_header header;
	struct istream *input = NULL;
	int answer;

	answer = open_record(journal_store(io), &message->message_id,
			     JOURNAL_BODY, &header, &input);
	if (answer != IO_DONE)
		return answer;
	email_message_set_body(message, input, header.plain_size);
	i_stream_unref(&input);
	return IO_DONE;
}
