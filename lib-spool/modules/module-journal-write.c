/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store's writing hooks. */

#include "config.h"
#include "module-journal-private.h"
#include "mem.h"
#include "message-record.h"
#include "ostream.h"

#include <errno.h>
#include <string.h>

/*
 * Headers
 */

/* The record through its stack; NULL: *answer_r. */
static buffer_t *make_headers(struct journal_store *store,
			      email_message *message, int *answer_r)
{
	buffer_t *record = buffer_create_dynamic(default_pool, 1024);
	buffer_t *data = buffer_create_dynamic(default_pool, 1024);
	struct ostream *sink, *output;

	if (message_record_write(message, record) < 0) {
		*answer_r = io_fail_message("making the headers' record",
					    &message->message_id, errno);
	} else {
		sink = o_stream_create_buffer(data);
		output = spool_push_stack(store->spool, store->stacks.headers,
					  sink);
		o_stream_unref(&sink);
		o_stream_nsend(output, record->data, record->used);
		*answer_r = spool_finish_stream(&output);
	}
	buffer_free(&record);
	if (*answer_r != IO_DONE)
		buffer_free(&data);
	return data;
}

/* A rewrite must follow the version that it was made from, and a new message have an
   id of its own. */
static int check_version(const struct journal_entry *entry, uint64_t version)
{
	uint64_t stored = entry->headers.offset == 0 ? 0 : entry->version;

	if (stored + 1 == version)
		return IO_DONE;
	if (stored == 0) {
		errno = ENOENT;
		io_set_error("the message is not there any more");
		return IO_FAIL;
	}
	errno = version == 1 ? EEXIST : EBUSY;
	if (version == 1)
		io_set_error("there is a message of this id already");
	else
		io_set_error("another writer changed the message: version %llu "
			     "is stored, not %llu",
			     (unsigned long long)stored,
			     (unsigned long long)version - 1);
	return IO_FAIL;
}

static void fill_request(struct journal_store *store,
			 const email_message *message,
			 const struct journal_pending *body,
			 const buffer_t *headers,
			 struct journal_request *request)
{
	struct journal_record *record = request->records;

	memset(request, 0, sizeof(*request));
	if (body != NULL) {
		record->type = JOURNAL_BODY;
		record->stack = store->stacks.body_kinds;
		record->data = body->data->data;
		record->size = body->data->used;
		record->flags = body->in_file ? JOURNAL_EXTERNAL : 0;
		record->plain_size = body->plain_size;
		record++;
	}
	record->type = JOURNAL_HEADERS;
	if (body != NULL)
		record->flags = JOURNAL_WITH_BODY |
			(body->in_file ? JOURNAL_EXTERNAL : 0);
	record->stack = store->stacks.headers_kinds;
	record->data = headers->data;
	record->size = headers->used;
	record->plain_size = message->body_len;
	request->count = (unsigned int)(record - request->records) + 1;
	for (; record >= request->records; record--) {
		record->id = message->message_id;
		record->version = email_message_get_version(message);
	}
}

/* Commits, and removes the file of the body that is none any more then. With the claim
   on the message. */
static int commit_without(struct journal_store *store,
			  const struct journal_entry *entry, bool drop_body,
			  struct journal_request *request, const char *what)
{
	struct journal_external old;
	/* where it cannot be read the next opening finds its file */
	bool in_file = drop_body && entry->headers.offset != 0 &&
		entry->external &&
		journal_read_external(store->journal, &request->records[0].id,
				      &old) == 0;

	if (journal_commit(store->journal, request) < 0)
		return io_fail_message(what, &request->records[0].id, errno);
	if (in_file)
		journal_body_remove(store->journal, &request->records[0].id,
				    &old);
	return IO_DONE;
}

/* With the claim on the message. */
static int commit_headers(struct journal_store *store, email_message *message,
			  const struct journal_entry *entry,
			  const struct journal_pending *body)
{
	uint64_t version = email_message_get_version(message);
	struct journal_request request;
	buffer_t *headers;
	int answer;

	answer = check_version(entry, version);
	if (answer != IO_DONE)
		return answer;
	if (version == 1 && body == NULL)
		return io_refuse(EINVAL,
				 "the body was not written to this store "
				 "before the headers");
	headers = make_headers(store, message, &answer);
	if (headers == NULL)
		return answer;
	fill_request(store, message, body, headers, &request);
	answer =
		commit_without(store, entry, body != NULL, &request, "writing");
	buffer_free(&headers);
	return answer;
}

int journal_writeheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			 email_message *message, int force ATTR_UNUSED)
{
	struct journal_store *store = journal_store(io);
	const message_id *id = &message->message_id;
	struct journal_pending *body;
	struct journal_entry entry;
	int answer;

	if (journal_claim(store->journal, id, &entry) < 0)
		return io_fail_message("writing the headers", id, errno);
	body = journal_pending_take(store, id);
	answer = commit_headers(store, message, &entry, body);
	journal_release(store->journal, id);
	/* the same headers may be tried again */
	if (answer != IO_DONE && body != NULL)
		journal_pending_put(store, body);
	else
		journal_pending_free(store, &body);
	return answer;
}

/*
 * Removing
 */

static int commit_unlink(struct journal_store *store, const message_id *id,
			 const struct journal_entry *entry)
{
	unsigned char payload[JOURNAL_TARGET_SIZE];
	struct journal_request request;

	journal_make_target(store->journal, &entry->headers, payload);
	memset(&request, 0, sizeof(request));
	request.count = 1;
	request.records[0].type = JOURNAL_UNLINK;
	request.records[0].id = *id;
	request.records[0].version = entry->version;
	request.records[0].data = payload;
	request.records[0].size = sizeof(payload);
	return commit_without(store, entry, true, &request, "removing");
}

int journal_unlinkheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			  message_id *id)
{
	struct journal_store *store = journal_store(io);
	struct journal_entry entry;
	int answer = IO_CONT;

	if (journal_claim(store->journal, id, &entry) < 0)
		return io_fail_message("removing", id, errno);
	/* what is gone from the index is so durably */
	if (entry.headers.offset != 0)
		answer = commit_unlink(store, id, &entry);
	journal_release(store->journal, id);
	return answer;
}

/* A stored body goes with its headers. */
int journal_unlinkbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		       message_id *id)
{
	struct journal_store *store = journal_store(io);
	struct journal_pending *pending = journal_pending_take(store, id);
	struct journal_entry entry;
	bool had = pending != NULL;

	journal_pending_drop(store, &pending);
	if (had)
		return IO_DONE;
	if (journal_find(store->journal, id, &entry))
		return io_refuse(EBUSY,
				 "the message's headers are there: remove "
				 "them before the body");
	return IO_CONT;
}
