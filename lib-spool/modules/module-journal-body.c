/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Writing bodies. What comes out of a body's stack is kept in memory until its headers
   come; where that is more than goes into a segment, or where all the bodies that wait
   have too much memory, it goes to a file of its own. Only what the stack made is ever
   in that file: the host of an encrypted spool has no plain text on its disk. */

#include "config.h"
#include "module-journal-private.h"
#include "hash-method.h"
#include "istream.h"
#include "mem.h"
#include "ostream-private.h"
#include "panic.h"

#include <errno.h>

/* The end of a body's stack: first the pending body's memory, then the file. */
struct body_ostream {
	struct ostream_private ostream;
	struct journal_store *store;
	struct journal_pending *pending;
	struct ostream *memory, *file; /* file NULL: it is in memory so far */
	void *hash_context;
};

static struct body_ostream *body_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct body_ostream, ostream);
}

/* How many bytes more memory is given for. */
static size_t memory_room(const struct body_ostream *body)
{
	size_t used = body->pending->data->used;
	size_t all = atomic_load(&body->store->pending_size);
	size_t own =
		body->store->inline_max - I_MIN(body->store->inline_max, used);

	return I_MIN(own,
		     body->store->pending_max -
			     I_MIN(body->store->pending_max, all));
}

static const struct hash_method *body_hash(void)
{
	return hash_method_lookup("blake2b");
}

static int create_file(struct body_ostream *body)
{
	struct journal_pending *pending = body->pending;
	struct ostream *file;

	body->hash_context = try_calloc(1, body_hash()->context_size);
	if (body->hash_context == NULL)
		return o_stream_fail(&body->ostream, ENOMEM, "out of memory");
	body_hash()->init(body->hash_context);
	file = journal_body_create(body->store->journal, &pending->id,
				   &pending->external);
	body->file =
		o_stream_create_hash(file, body_hash(), body->hash_context);
	o_stream_unref(&file);
	o_stream_cork(body->file);
	return 0;
}

/* What is in memory goes to a file, and so does what comes from now on. */
static int leave_memory(struct body_ostream *body)
{
	struct journal_pending *pending = body->pending;
	struct const_iovec iov = { pending->data->data, pending->data->used };
	ssize_t ret;

	if (create_file(body) < 0)
		return -1;
	pending->in_file = true;
	atomic_fetch_sub(&body->store->pending_size, iov.iov_len);
	ret = o_stream_send_to(&body->ostream, body->file, &iov, 1);
	if (ret < 0)
		return -1;
	/* a file takes all there is */
	i_assert((size_t)ret == iov.iov_len);
	buffer_set_used_size(pending->data, 0);
	return 0;
}

static ssize_t o_stream_body_sendv(struct ostream_private *stream,
				   const struct const_iovec *iov,
				   unsigned int iov_count)
{
	struct body_ostream *body = body_ostream(stream);
	size_t size = 0;
	ssize_t ret;
	unsigned int i;

	for (i = 0; i < iov_count; i++)
		size += iov[i].iov_len;
	if (body->file == NULL && size > memory_room(body) &&
	    leave_memory(body) < 0)
		return -1;
	if (body->file != NULL)
		return o_stream_send_to(stream, body->file, iov, iov_count);
	ret = o_stream_send_to(stream, body->memory, iov, iov_count);
	if (ret > 0)
		atomic_fetch_add(&body->store->pending_size, (size_t)ret);
	return ret;
}

static unsigned char *o_stream_body_reserve(struct ostream_private *stream,
					    size_t min, size_t *size_r)
{
	struct body_ostream *body = body_ostream(stream);
	size_t room = memory_room(body);
	unsigned char *window;

	if (body->file != NULL)
		return o_stream_reserve(body->file, min, size_r);
	if (room < min)
		return NULL;
	window = o_stream_reserve(body->memory, min, size_r);
	*size_r = I_MIN(*size_r, room);
	return window;
}

static void o_stream_body_commit(struct ostream_private *stream, size_t size)
{
	struct body_ostream *body = body_ostream(stream);

	if (body->file != NULL) {
		o_stream_commit(body->file, size);
		return;
	}
	o_stream_commit(body->memory, size);
	atomic_fetch_add(&body->store->pending_size, size);
}

static int o_stream_body_flush(struct ostream_private *stream,
			       enum ostream_flush_mode mode)
{
	struct body_ostream *body = body_ostream(stream);

	return body->file == NULL ? 1 :
				    o_stream_flush_to(stream, body->file, mode);
}

static void o_stream_body_abort(struct ostream_private *stream)
{
	struct body_ostream *body = body_ostream(stream);

	if (body->file != NULL)
		o_stream_abort(body->file);
}

static void o_stream_body_destroy(struct iostream_private *stream)
{
	struct body_ostream *body =
		container_of(stream, struct body_ostream, ostream.iostream);

	o_stream_unref(&body->memory);
	o_stream_unref(&body->file);
	i_free(body->hash_context);
}

static struct ostream *create_body(struct journal_store *store,
				   struct journal_pending *pending)
{
	struct body_ostream *body = i_new(struct body_ostream, 1);
	struct ostream *output;

	body->store = store;
	body->pending = pending;
	body->memory = o_stream_create_buffer(pending->data);
	body->ostream.max_buffer_size = SIZE_MAX;
	body->ostream.iostream.destroy = o_stream_body_destroy;
	body->ostream.sendv = o_stream_body_sendv;
	body->ostream.reserve = o_stream_body_reserve;
	body->ostream.commit = o_stream_body_commit;
	body->ostream.flush = o_stream_body_flush;
	body->ostream.abort = o_stream_body_abort;
	output = o_stream_create(&body->ostream, NULL, -1);
	output->blocking = true;
	o_stream_set_name(output, "(body)");
	return output;
}

/* The file is whole and durable: the record is to speak of it. */
static int fill_external(struct ostream *output,
			 struct journal_pending *pending)
{
	struct body_ostream *body = body_ostream(output->real_stream);
	unsigned char payload[JOURNAL_EXTERNAL_SIZE];

	pending->external.size = body->file->offset;
	body_hash()->result(body->hash_context, pending->external.hash);
	journal_external_put(&pending->external, payload);
	return buffer_try_append(pending->data, payload, sizeof(payload)) ?
		IO_DONE :
		spool_fail_message(body->store->spool, "writing the body",
				   &pending->id, ENOMEM);
}

/* All of the body through its stack. */
static int fill_body(struct journal_store *store, email_message *message,
		     struct journal_pending *pending)
{
	struct ostream *sink = create_body(store, pending), *output;
	int answer;

	output =
		spool_push_stack(store->spool, store->spool->stacks.body, sink);
	o_stream_cork(output);
	i_stream_seek(message->body, 0);
	answer = spool_send_body(output, message->body);
	pending->plain_size = output->offset;
	if (answer == IO_DONE)
		answer = spool_check_body_len(message, pending->plain_size);
	if (answer == IO_DONE)
		answer = spool_finish_stream(&output);
	else
		spool_abort_stream(&output);
	if (answer == IO_DONE && pending->in_file)
		answer = fill_external(sink, pending);
	if (answer != IO_DONE)
		o_stream_abort(sink);
	o_stream_unref(&sink);
	return answer;
}

static int write_body(struct journal_store *store, email_message *message)
{
	struct journal_pending *pending = i_new(struct journal_pending, 1);
	int answer;

	pending->id = message->message_id;
	pending->data = buffer_create_dynamic(default_pool, 4096);
	answer = fill_body(store, message, pending);
	if (answer != IO_DONE) {
		journal_pending_drop(store, &pending);
		return answer;
	}
	message->body_len = pending->plain_size;
	pending->version = email_message_get_version(message);
	journal_pending_note(store, pending, message);
	journal_pending_put(store, pending);
	return IO_DONE;
}

int journal_writebody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		      email_message *message, int force ATTR_UNUSED)
{
	struct journal_store *store = journal_store(io);
	struct journal_entry entry;
	int answer = spool_check_body(message);

	if (answer != IO_DONE)
		return answer;
	if (email_message_get_version(message) == 0 &&
	    journal_find(store->journal, &message->message_id, &entry))
		return io_refuse(EEXIST,
				 "there is a message of this id already");
	return write_body(store, message);
}
