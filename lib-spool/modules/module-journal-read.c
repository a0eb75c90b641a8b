/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store's reading hooks, and what looks at all of it. */

#include "config.h"
#include "module-journal-private.h"
#include "istream.h"
#include "mem.h"
#include "message-record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Hooks
 */

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

/* A record of the message, undone. */
static int open_record(struct journal_store *store, const message_id *id,
		       enum journal_type type, struct journal_header *header_r,
		       struct istream **input_r)
{
	char stack[JOURNAL_STACK_MAX + 1];
	struct istream *source;
	unsigned char *data;

	if (journal_read(store->journal, id, type, header_r, stack, &data) < 0)
		return read_fail(id);
	source = i_stream_create_from_data(data + header_r->stack_size,
					   (size_t)header_r->stored_size);
	bobbin_i_stream_add_destroy_callback(source, free_data, data);
	*input_r = spool_undo_stack(store->spool, stack, source);
	i_stream_unref(&source);
	return IO_DONE;
}

int journal_readheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			email_message *message)
{
	struct journal_store *store = journal_store(io);
	struct journal_header header;
	struct istream *input;
	buffer_t *record;
	int answer;

	answer = open_record(store, &message->message_id, JOURNAL_HEADERS,
			     &header, &input);
	if (answer != IO_DONE)
		return answer;
	record = buffer_create_dynamic(default_pool, 1024);
	answer = spool_read_record(input, record);
	if (answer == IO_DONE)
		answer = spool_parse_record(message, record, header.version,
					    header.plain_size);
	if (answer == IO_DONE)
		email_message_set_store_note(message, JOURNAL_NOTE);
	i_stream_destroy(&input);
	buffer_free(&record);
	return answer;
}

int journal_readbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		     email_message *message)
{
	struct journal_header header;
	struct istream *input;
	int answer;

	answer = open_record(journal_store(io), &message->message_id,
			     JOURNAL_BODY, &header, &input);
	if (answer != IO_DONE)
		return answer;
	email_message_set_body(message, input, header.plain_size);
	i_stream_unref(&input);
	return IO_DONE;
}

/*
 * Looking
 */

struct listing {
	struct journal_store *store;
	spool_entry_t *callback;
	void *context;
	bool verify;
};

/* One of the message's two records: 0, or the errno with io_set_error(). */
static int look_at(struct listing *listing, const message_id *id,
		   enum journal_type type, char stack[JOURNAL_STACK_MAX + 1],
		   struct journal_header *header)
{
	unsigned char *data = NULL;

	if (journal_read(listing->store->journal, id, type, header, stack,
			 listing->verify ? &data : NULL) < 0)
		return errno;
	i_free(data);
	return 0;
}

/* Reads it through its stacks, as far as there are keys. */
static int verify_message(struct journal_store *store,
			  const struct spool_entry *shown)
{
	email_message *message = email_message_new(&shown->id);
	int answer = IO_DONE, error = 0;
	uint64_t size = shown->body_len;

	if (spool_can_decode(store->spool, shown->headers_stack))
		answer = journal_readheaders(&store->io, IO_SYNCHRONOUS,
					     message);
	if (answer == IO_DONE &&
	    spool_can_decode(store->spool, shown->body_stack)) {
		answer = journal_readbody(&store->io, IO_SYNCHRONOUS, message);
		if (answer == IO_DONE)
			error = spool_read_through(message->body, &size);
	}
	if (answer != IO_DONE)
		error = io_get_errno() != 0 ? io_get_errno() : EINVAL;
	if (error == 0 && size != shown->body_len) {
		error = EINVAL;
		errno = error;
		io_set_error("the body has another length than the journal "
			     "says");
	}
	email_message_unref(&message);
	return error;
}

static bool list_entry(const struct journal_entry *entry, void *context)
{
	char headers_stack[JOURNAL_STACK_MAX + 1] = "";
	char body_stack[JOURNAL_STACK_MAX + 1] = "";
	struct journal_header headers = { 0 }, body = { 0 };
	struct listing *listing = context;
	struct spool_entry shown;
	char problem[512];

	memset(&shown, 0, sizeof(shown));
	shown.id = entry->id;
	shown.error = look_at(listing, &entry->id, JOURNAL_HEADERS,
			      headers_stack, &headers);
	if (shown.error == 0)
		shown.error = look_at(listing, &entry->id, JOURNAL_BODY,
				      body_stack, &body);
	if (shown.error == ENOENT) /* gone meanwhile */
		return true;
	shown.version = entry->version;
	shown.body_len = body.plain_size;
	shown.stored_size = headers.stored_size + body.stored_size;
	shown.headers_stack = headers_stack;
	shown.body_stack = body_stack;
	if (shown.error == 0 && listing->verify)
		shown.error = verify_message(listing->store, &shown);
	if (shown.error != 0) {
		(void)snprintf(problem, sizeof(problem), "%s", io_get_error());
		shown.problem = problem;
	}
	return listing->callback(&shown, listing->context);
}

int module_journal_list(io_infrastructure *io, bool verify,
			spool_entry_t *callback, void *context,
			char **error_r ATTR_UNUSED)
{
	struct listing listing = { .store = journal_store(io),
				   .callback = callback,
				   .context = context,
				   .verify = verify };

	journal_for_each(listing.store->journal, false, list_entry, &listing);
	return 0;
}

int module_journal_count_strays(io_infrastructure *io,
				struct spool_strays *strays_r, char **error_r)
{
	const struct spool *spool = journal_store(io)->spool;

	memset(strays_r, 0, sizeof(*strays_r));
	if (spool_count_quarantined(spool, strays_r) == 0)
		return 0;
	return spool_fail(error_r, errno, "reading %s/quarantine failed: %s",
			  spool->dir, strerror(errno));
}
