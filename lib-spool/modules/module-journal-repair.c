/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What repair makes of a message of which a record is damaged: an opening trusts the
   footers of full segments, and does not look at the records behind them. From the look to
   the end the message is claimed: what somebody else writes of it comes before that, or
   behind it. */

#include "config.h"
#include "module-journal-private.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *suffix_of(enum journal_type type)
{
	switch (type) {
	case JOURNAL_BODY:
		return "body";
	case JOURNAL_STATES:
		return "states";
	default:
		return "headers";
	}
}

/* The body's file may be whole, and once the message is removed nothing speaks of it: the
   next start would remove it. */
static int keep_damaged(struct journal_store *store, const message_id *id,
			enum journal_type type, const char *why)
{
	struct journal_entry entry;

	if (journal_keep_damaged(store->journal, id, type) < 0)
		return -1;
	return type == JOURNAL_BODY &&
			journal_find(store->journal, id, &entry) &&
			entry.external ?
		journal_bodies_put_aside(store->journal, id, why) :
		0;
}

int journal_keep_record(struct journal_store *store, const message_id *id,
			enum journal_type type, const char *why)
{
	char text[MESSAGE_ID_TEXT_SIZE], name[MESSAGE_ID_TEXT_SIZE + 8];
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_external external;
	struct journal_header header;
	unsigned char *data;
	int ret, error;

	if (journal_read(store->journal, id, type, &header, stack, &data) < 0)
		return errno == EINVAL ? keep_damaged(store, id, type, why) :
					 -1;
	message_id_to_text(id, text);
	(void)snprintf(name, sizeof(name), "%s.%s", text, suffix_of(type));
	if (type == JOURNAL_BODY && (header.flags & JOURNAL_EXTERNAL) != 0) {
		ret = journal_read_external(store->journal, id, &external);
		if (ret == 0)
			ret = journal_body_put_aside(store->journal, id,
						     &external, why);
	} else {
		ret = spool_put_aside(store->spool->dir_fd, name,
				      data + header.stack_size,
				      (size_t)header.stored_size, why);
	}
	error = errno;
	i_free(data);
	errno = error;
	return ret;
}

bool journal_record_is_damaged(struct journal_store *store,
			       const message_id *id, enum journal_type type)
{
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	unsigned char *data;

	if (journal_read(store->journal, id, type, &header, stack, &data) < 0)
		return errno == EINVAL;
	i_free(data);
	return false;
}

/* All of the message that there is. -1 with an errno. */
static int keep_message(struct journal_store *store,
			const struct journal_entry *entry, const char *why)
{
	const message_id *id = &entry->id;
	int error = 0;

	if (journal_keep_record(store, id, JOURNAL_BODY, why) < 0)
		error = errno;
	if (journal_keep_record(store, id, JOURNAL_HEADERS, why) < 0)
		error = errno;
	/* lest who restores it delivers it twice */
	if (entry->states.offset != 0 &&
	    journal_keep_record(store, id, JOURNAL_STATES, why) < 0)
		error = errno;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* What can be read of it is kept, and then it is removed: as long as it was listed,
   nobody could take it, nor write it anew. The claim goes. */
static void take_out(struct journal_store *store,
		     const struct journal_entry *entry)
{
	char text[MESSAGE_ID_TEXT_SIZE], *why = i_strdup(io_get_error());
	int answer, error;

	message_id_to_text(&entry->id, text);
	if (keep_message(store, entry, why) < 0) {
		error = errno;
		journal_release(store->journal, &entry->id);
		spool_note_unkept(store->spool, error);
		spool_warn(store->spool,
			   "message %s stays: what there is of it could not be "
			   "kept in quarantine (%s): %s",
			   text, strerror(error), why);
		i_free(why);
		return;
	}
	answer = journal_unlink_claimed(store, entry);
	if (answer == IO_FAIL || answer == IO_TRANS_FAIL) {
		spool_note_unkept(store->spool, io_get_errno());
		spool_warn(store->spool, "message %s stays: %s", text,
			   io_get_error());
	} else {
		spool_warn(store->spool,
			   "message %s is taken out, and what can be read of "
			   "it is kept in quarantine: %s",
			   text, why);
	}
	i_free(why);
}

/* Body and headers are whole. The claim goes. */
static void write_anew(struct journal_store *store,
		       const struct journal_entry *entry)
{
	email_message *message = email_message_new(&entry->id);
	char text[MESSAGE_ID_TEXT_SIZE];
	int answer;

	answer = journal_readheaders(&store->io, IO_SYNCHRONOUS, message);
	if (answer == IO_DONE) {
		email_message_set_version(
			message, email_message_get_version(message) + 1);
		answer = journal_write_claimed(store, message, entry);
	} else {
		journal_release(store->journal, &entry->id);
	}
	message_id_to_text(&entry->id, text);
	if (answer != IO_DONE) {
		spool_note_unkept(store->spool, io_get_errno());
		spool_warn(store->spool, "message %s: %s", text,
			   io_get_error());
	}
	email_message_unref(&message);
}

/* The bytes of the damaged ones are nobody's then. The claim goes. */
static void replace_states(struct journal_store *store,
			   const struct journal_entry *entry)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	int error;

	if (journal_keep_damaged(store->journal, &entry->id, JOURNAL_STATES) ==
	    0) {
		write_anew(store, entry);
		return;
	}
	error = errno;
	journal_release(store->journal, &entry->id);
	message_id_to_text(&entry->id, text);
	spool_note_unkept(store->spool, error);
	spool_warn(store->spool,
		   "message %s: damaged states of its recipients stay: they "
		   "could not be kept in quarantine: %s",
		   text, strerror(error));
}

static void not_looked_at(struct journal_store *store, const message_id *id)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	spool_note_unkept(store->spool, ENOMEM);
	spool_warn(store->spool, "message %s is not looked at: %s", text,
		   strerror(ENOMEM));
}

bool journal_repair_message(struct journal_store *store, const message_id *id)
{
	struct journal_entry entry;
	bool is_there;

	if (journal_claim(store->journal, id, &entry) < 0) {
		not_looked_at(store, id);
		return false;
	}
	is_there = entry.headers.offset != 0;
	if (is_there &&
	    (journal_record_is_damaged(store, id, JOURNAL_HEADERS) ||
	     journal_record_is_damaged(store, id, JOURNAL_BODY))) {
		take_out(store, &entry);
		return true;
	}
	if (is_there && entry.states.offset != 0 &&
	    journal_record_is_damaged(store, id, JOURNAL_STATES))
		replace_states(store, &entry);
	else
		journal_release(store->journal, id);
	return !is_there;
}
