/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store's writing hooks. */

#include "config.h"
#include "module-journal-private.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/*
 * Changes
 */

/* What one asks of the journal, from the claim on its message to the answer. */
struct journal_change {
	struct journal_store *store;
	struct spool_later *later; /* NULL: somebody waits for it */
	const char *what;          /* for messages */
	email_message *message;    /* NULL: it removes */
	message_id id;
	buffer_t *headers; /* NULL: it removes; or states alone */
	uint64_t
		base; /* 0: what is written is whole; else what they belong to */
	struct journal_pending *body; /* NULL: none, or it is put back */
	bool drops_file;              /* this one, of the body before */
	struct journal_external old;
	unsigned char target[JOURNAL_TARGET_SIZE];
	struct journal_request request;
	int error;
};

/* The claim is the caller's, and the change's then; NULL: no memory, and it is nobody's. */
static struct journal_change *change_claimed(struct journal_store *store,
					     const message_id *id,
					     const char *what,
					     struct spool_later *later)
{
	struct journal_change *change = try_calloc(1, sizeof(*change));

	if (change == NULL) {
		journal_release(store->journal, id);
		errno = ENOMEM;
		return NULL;
	}
	change->store = store;
	change->later = later;
	change->what = what;
	change->id = *id;
	return change;
}

/* With the claim; NULL with errno. */
static struct journal_change *begin_change(struct journal_store *store,
					   const message_id *id,
					   const char *what,
					   struct spool_later *later,
					   struct journal_entry *entry_r)
{
	if (journal_claim(store->journal, id, entry_r) < 0)
		return NULL;
	return change_claimed(store, id, what, later);
}

/* The body that this change will have put an end to may be in a file; where that cannot
   be read, the next opening finds it. */
static void note_file(struct journal_change *change,
		      const struct journal_entry *entry)
{
	change->drops_file = entry->headers.offset != 0 && entry->external &&
		journal_read_external(change->store->journal, &change->id,
				      &change->old) == 0;
}

/* What failed may be tried again: its body goes on waiting. Never waits for a sync or
   for another change. */
static void give_up_claim(struct journal_change *change, bool committed)
{
	if (!committed && change->body != NULL) {
		if (change->request.was_tried)
			change->body->is_spoken_of = true;
		journal_pending_put(change->store, change->body);
		change->body = NULL;
	}
	journal_release(change->store->journal, &change->id);
}

static void free_change(struct journal_change *change)
{
	journal_pending_free(change->store, &change->body);
	buffer_free(&change->headers);
	i_free(change);
}

/* It was not submitted. */
static int drop_change(struct journal_change *change, int answer)
{
	give_up_claim(change, false);
	free_change(change);
	return answer;
}

/* On the thread of whoever writes, who is not to be kept: what is left to do is done
   by who finishes it. But the claim goes here, since others may wait for it on all
   threads that could. */
static void change_done(struct journal_request *request, int error)
{
	struct journal_change *change = request->context;
	struct spool_later *later = change->later;

	change->error = error;
	give_up_claim(change, error == 0);
	if (later != NULL)
		later->ready(later);
}

static void note_stored(struct journal_change *change)
{
	if (change->drops_file)
		journal_body_remove(change->store->journal, &change->id,
				    &change->old);
	/* its body waits no more */
	if (change->message != NULL && change->body != NULL)
		email_message_set_store_note(change->message, JOURNAL_NOTE);
	journal_pending_outdate(change->store, &change->id,
				change->request.records[0].version,
				change->message == NULL);
}

static int finish_change(struct journal_change *change)
{
	int answer = IO_DONE;

	if (change->error != 0) {
		(void)spool_fail_message(change->store->spool, change->what,
					 &change->id, change->error);
		answer = io_answer_for_output(change->error);
	} else {
		note_stored(change);
	}
	free_change(change);
	return answer;
}

int module_journal_finish(struct spool_later *later)
{
	return finish_change(later->work);
}

void module_journal_expect(io_infrastructure *io, int more)
{
	journal_expect(journal_store(io)->journal, more);
}

static int commit_change(struct journal_change *change)
{
	change->request.done = change_done;
	change->request.context = change;
	if (change->later == NULL) {
		(void)journal_commit(change->store->journal, &change->request);
		return finish_change(change);
	}
	change->later->work = change;
	journal_submit(change->store->journal, &change->request);
	return SPOOL_LATER;
}

/*
 * Headers
 */

/* A rewrite must follow the version that it was made from, and a new message have an
   id of its own. */
static int check_version(const struct journal_entry *entry,
			 const email_message *message)
{
	uint64_t version = email_message_get_version(message);
	bool is_new = version == email_message_get_first_version(message);
	uint64_t stored = entry->headers.offset == 0 ? 0 : entry->version;

	if (stored == 0 ? is_new : stored + 1 == version && !is_new)
		return IO_DONE;
	if (stored == 0) {
		errno = ENOENT;
		io_set_error("the message is not there any more");
		return IO_FAIL;
	}
	errno = is_new ? EEXIST : EBUSY;
	if (is_new)
		io_set_error("there is a message of this id already");
	else
		io_set_error("another writer changed the message: version %llu "
			     "is stored, not %llu",
			     (unsigned long long)stored,
			     (unsigned long long)version - 1);
	return IO_FAIL;
}

/* Below that, the whole record takes no more blocks than the states. */
#define STATES_RECIPIENTS_MIN 16

/* The version whose headers go on to be stored, beside the states of some recipients; 0:
   all is written. Once most have changed it is time to write all anew. */
static uint64_t base_of(const struct journal_change *change,
			const email_message *message,
			const struct journal_entry *entry)
{
	uint64_t base = email_message_get_base_version(message);
	unsigned int i, changed = 0;
	unsigned int count = email_message_recipient_count(message);

	if (change->body != NULL || base == 0 || base != entry->base_version ||
	    entry->headers.offset == 0 || count < STATES_RECIPIENTS_MIN)
		return 0;
	for (i = 0; i < count; i++)
		changed += email_message_recipient_changed(message, i) ? 1 : 0;
	return changed <= count / 2 ? base : 0;
}

static void fill_request(struct journal_change *change,
			 const email_message *message)
{
	const struct journal_store *store = change->store;
	const struct journal_pending *body = change->body;
	struct journal_request *request = &change->request;
	struct journal_record *record = request->records;

	if (body != NULL) {
		record->type = JOURNAL_BODY;
		record->stack = store->spool->stacks.body_kinds;
		record->data = body->data->data;
		record->size = body->data->used;
		record->flags = body->in_file ? JOURNAL_EXTERNAL : 0;
		record->plain_size = body->plain_size;
		record++;
	}
	record->type = change->base != 0 ? JOURNAL_STATES : JOURNAL_HEADERS;
	if (body != NULL)
		record->flags = JOURNAL_WITH_BODY |
			(body->in_file ? JOURNAL_EXTERNAL : 0);
	record->stack = store->spool->stacks.headers_kinds;
	record->data = change->headers->data;
	record->size = change->headers->used;
	record->plain_size = change->base != 0 ? change->base :
						 message->body_len;
	request->count = (unsigned int)(record - request->records) + 1;
	for (; record >= request->records; record--) {
		record->id = message->message_id;
		record->version = email_message_get_version(message);
	}
}

static int refuse_size(const struct journal_change *change)
{
	errno = EFBIG;
	io_set_error(
		"the message's headers are too large: no segment of this "
		"journal has room for their %zu octets: segment-size in " SPOOL_CONF_NAME
		" says how large one is",
		change->headers->used);
	return IO_FAIL;
}

static int fill_write(struct journal_change *change, email_message *message,
		      const struct journal_entry *entry)
{
	int answer = check_version(entry, message);

	if (answer != IO_DONE) {
		/* no stored version will ever be the one that it is for */
		journal_pending_drop(change->store, &change->body);
		return answer;
	}
	if (email_message_get_version(message) ==
		    email_message_get_first_version(message) &&
	    change->body == NULL)
		return io_refuse(EINVAL,
				 "the body was not written to this store "
				 "before the headers");
	answer = spool_check_stored_len(message);
	if (answer != IO_DONE)
		return answer;
	change->base = base_of(change, message, entry);
	if (change->base != 0 &&
	    journal_reserve_states(change->store->journal, &change->id) < 0)
		return spool_fail_message(change->store->spool,
					  "writing the headers", &change->id,
					  errno);
	change->headers = spool_make_headers(change->store->spool, message,
					     change->base != 0, &answer);
	if (change->headers == NULL)
		return answer;
	fill_request(change, message);
	if (!journal_fits(change->store->journal, &change->request))
		return refuse_size(change);
	/* where it fails, no stored version will be that one */
	if (change->base == 0)
		email_message_set_base_version(
			message, email_message_get_version(message));
	if (change->body != NULL)
		note_file(change, entry);
	return IO_DONE;
}

/* What this message has written, and nobody else. */
static int take_body(struct journal_change *change)
{
	uint64_t number = journal_pending_number(change->message);

	if (number == 0)
		return IO_DONE;
	change->body = journal_pending_take(change->store, &change->id, number);
	return change->body != NULL ?
		IO_DONE :
		io_refuse(EBUSY,
			  "the body that was written for these headers is "
			  "gone, since another writer changed the message or "
			  "wrote another body: read the message again, and "
			  "write the body and the headers");
}

/* change NULL: there was no memory for it. */
static int go_on_writing(struct journal_store *store,
			 struct journal_change *change, email_message *message,
			 const struct journal_entry *entry)
{
	int answer;

	if (change == NULL)
		return spool_fail_message(store->spool, "writing the headers",
					  &message->message_id, errno);
	change->message = message;
	answer = take_body(change);
	if (answer == IO_DONE)
		answer = fill_write(change, message, entry);
	return answer == IO_DONE ? commit_change(change) :
				   drop_change(change, answer);
}

/* later NULL: waits. */
static int start_write(struct journal_store *store, email_message *message,
		       struct spool_later *later)
{
	struct journal_entry entry;
	struct journal_change *change = begin_change(
		store, &message->message_id, "writing", later, &entry);

	return go_on_writing(store, change, message, &entry);
}

int journal_write_claimed(struct journal_store *store, email_message *message,
			  const struct journal_entry *entry)
{
	return go_on_writing(store,
			     change_claimed(store, &message->message_id,
					    "writing", NULL),
			     message, entry);
}

int journal_writeheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			 email_message *message, int force ATTR_UNUSED)
{
	return start_write(journal_store(io), message, NULL);
}

int module_journal_start_writeheaders(io_infrastructure *io,
				      email_message *message,
				      struct spool_later *later)
{
	return start_write(journal_store(io), message, later);
}

/*
 * Removing
 */

static void fill_unlink(struct journal_change *change,
			const struct journal_entry *entry)
{
	struct journal_record *record = change->request.records;

	journal_make_target(change->store->journal, &entry->headers,
			    change->target);
	change->request.count = 1;
	record->type = JOURNAL_UNLINK;
	record->id = change->id;
	record->version = entry->version;
	record->data = change->target;
	record->size = sizeof(change->target);
	note_file(change, entry);
}

/* What is gone from the index is so durably; but what was refused as it could not be made
   durable was never in it. */
static int settle_absence(struct journal_store *store, const message_id *id)
{
	return journal_settle_voids(store->journal) < 0 ?
		spool_fail_message(store->spool, "removing", id, errno) :
		IO_CONT;
}

/* As go_on_writing(). */
static int go_on_removing(struct journal_store *store,
			  struct journal_change *change, const message_id *id,
			  const struct journal_entry *entry)
{
	if (change == NULL)
		return spool_fail_message(store->spool, "removing", id, errno);
	if (entry->headers.offset == 0)
		return drop_change(change, settle_absence(store, id));
	fill_unlink(change, entry);
	return commit_change(change);
}

static int start_unlink(struct journal_store *store, const message_id *id,
			struct spool_later *later)
{
	struct journal_entry entry;
	struct journal_change *change =
		begin_change(store, id, "removing", later, &entry);

	return go_on_removing(store, change, id, &entry);
}

int journal_unlink_claimed(struct journal_store *store,
			   const struct journal_entry *entry)
{
	return go_on_removing(
		store, change_claimed(store, &entry->id, "removing", NULL),
		&entry->id, entry);
}

int journal_unlinkheaders(io_infrastructure *io, io_caller caller ATTR_UNUSED,
			  message_id *id)
{
	return start_unlink(journal_store(io), id, NULL);
}

int module_journal_start_unlinkheaders(io_infrastructure *io,
				       const message_id *id,
				       struct spool_later *later)
{
	return start_unlink(journal_store(io), id, later);
}

/* A stored body goes with its headers. */
int journal_unlinkbody(io_infrastructure *io, io_caller caller ATTR_UNUSED,
		       message_id *id)
{
	struct journal_store *store = journal_store(io);
	struct journal_pending *pending = journal_pending_take(store, id, 0);
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
