/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store's writing hooks. */

#include "config.h"
#include "module-journal-private.h"
#include "istream.h"
#include "mem.h"
#include "message-record.h"
#include "ostream.h"

#include <errno.h>
#include <string.h>

static int refuse(int error, const char *text)
{
	errno = error;
	io_set_error("%s", text);
	return IO_FAIL;
}

/*
 * Bodies
 */

/* A codec stops where it has not the room that it wants: then there has to be more than
   a body may have. */
#define SLACK ((size_t)1024 * 1024)

/* All of the body through its stack into the buffer. */
static int fill_body(struct journal_store *store, email_message *message,
		     struct journal_pending *pending)
{
	struct ostream *sink = o_stream_create_buffer(pending->data), *output;
	int answer;

	output = spool_push_stack(store->spool, store->stacks.body, sink);
	o_stream_unref(&sink);
	o_stream_cork(output);
	i_stream_seek(message->body, 0);
	answer = spool_send_body(output, message->body);
	pending->plain_size = output->offset;
	if (answer == IO_DONE)
		return spool_finish_stream(&output);
	spool_abort_stream(&output);
	return answer;
}

static int check_body_len(const email_message *message, uint64_t size)
{
	if (message->body_len == 0 || message->body_len == size)
		return IO_DONE;
	errno = EINVAL;
	io_set_error("the body has %llu octets where %llu were announced",
		     (unsigned long long)size,
		     (unsigned long long)message->body_len);
	return IO_FAIL;
}

static int too_large(const struct journal_store *store)
{
	errno = EFBIG;
	io_set_error("the body takes more than %llu bytes as it is stored, "
		     "which a segment of the journal has no room for: make "
		     "segment-size in spool.conf larger",
		     (unsigned long long)journal_max_size(store->journal));
	return IO_FAIL;
}

static int write_body(struct journal_store *store, email_message *message)
{
	struct journal_pending *pending = i_new(struct journal_pending, 1);
	size_t max = (size_t)journal_max_size(store->journal);
	int answer;

	pending->id = message->message_id;
	pending->data =
		buffer_create_dynamic_max(default_pool, 4096, max + SLACK);
	answer = fill_body(store, message, pending);
	if (pending->data->used > max)
		answer = too_large(store);
	if (answer == IO_DONE)
		answer = check_body_len(message, pending->plain_size);
	if (answer != IO_DONE) {
		journal_pending_free(&pending);
		return answer;
	}
	message->body_len = pending->plain_size;
	journal_pending_put(store, pending);
	email_message_set_store_note(message, JOURNAL_NOTE);
	return IO_DONE;
}

int journal_writebody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		      email_message *message, int force ATTR_UNUSED)
{
	struct journal_store *store = journal_store(io);
	struct journal_entry entry;

	if (message->body == NULL)
		return refuse(EINVAL, "the message has no body");
	if (email_message_get_version(message) > 0 &&
	    email_message_get_store_note(message) == NULL)
		return refuse(EINVAL,
			      "the message's headers were not read from this "
			      "store: read them before its body is changed");
	if (email_message_get_version(message) == 0 &&
	    journal_find(store->journal, &message->message_id, &entry))
		return refuse(EEXIST, "there is a message of this id already");
	return write_body(store, message);
}

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
		record->plain_size = body->plain_size;
		record++;
	}
	record->type = JOURNAL_HEADERS;
	record->flags = body != NULL ? JOURNAL_WITH_BODY : 0;
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
		return refuse(EINVAL,
			      "the body was not written to this store "
			      "before the headers");
	headers = make_headers(store, message, &answer);
	if (headers == NULL)
		return answer;
	fill_request(store, message, body, headers, &request);
	if (journal_commit(store->journal, &request) < 0)
		answer =
			io_fail_message("writing", &message->message_id, errno);
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
		journal_pending_free(&body);
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
	if (journal_commit(store->journal, &request) == 0)
		return IO_DONE;
	return io_fail_message("removing", id, errno);
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

	journal_pending_free(&pending);
	if (had)
		return IO_DONE;
	if (journal_find(store->journal, id, &entry))
		return refuse(EBUSY,
			      "the message's headers are there: remove "
			      "them before the body");
	return IO_CONT;
}
