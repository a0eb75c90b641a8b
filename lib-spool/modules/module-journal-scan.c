/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store's scan at start-up: it hands out what was there when the journal
   was opened, which the index knows. Only of bodies in files it looks at the disk. */

#include "config.h"
#include "module-journal-private.h"
#include "istream.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

static bool is_reader(const struct journal_store *store)
{
	return (store->spool->flags & SPOOL_OPEN_READ_ONLY) != 0;
}

/* The headers are kept for a person, by the owner: nothing is removed. */
static void put_aside(struct journal_store *store, const message_id *id,
		      const char *why)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	int error;

	message_id_to_text(id, text);
	spool_note_left_out(store->spool, EINVAL);
	if (is_reader(store)) {
		spool_warn(store->spool,
			   "message %s is left out of this scan: %s", text,
			   why);
		return;
	}
	if (journal_keep_record(store, id, JOURNAL_HEADERS, why) == 0) {
		spool_warn(store->spool,
			   "message %s is left out of this scan, and its "
			   "headers are kept in quarantine: %s",
			   text, why);
		return;
	}
	error = errno;
	spool_note_unkept(store->spool, error);
	spool_warn(store->spool,
		   "message %s is left out of this scan, and its headers could "
		   "not be kept in quarantine (%s): %s",
		   text, strerror(error), why);
}

/* 1: it is there, or a reader will be told; 0: it is missing, with io_set_error(). */
static int look_for_file(struct journal_store *store, const message_id *id)
{
	struct journal_external external;
	struct istream *file;

	if (journal_read_external(store->journal, id, &external) < 0)
		return 1;
	file = journal_open_external(store, id, &external);
	if (file == NULL)
		return errno == EINVAL ? 0 : 1;
	i_stream_unref(&file);
	return 1;
}

/* Who changes or removes the message right now may have taken the file away. */
static bool has_its_file(struct journal_store *store,
			 const struct journal_entry *entry)
{
	struct journal_entry now = *entry;
	uint64_t version;
	char *why;

	do {
		version = now.version;
		if (!now.external || look_for_file(store, &now.id) > 0)
			return true;
		if (!journal_find(store->journal, &now.id, &now))
			return false;
	} while (now.version != version);
	why = i_strdup(io_get_error());
	put_aside(store, &now.id, why);
	i_free(why);
	return false;
}

struct walk {
	struct journal_store *store;
	struct spool_scan *scan;
};

static bool hand_out(const struct journal_entry *entry, void *context)
{
	const struct walk *walk = context;

	if (spool_scan_is_stopping(walk->scan))
		return false;
	if ((walk->store->spool->flags & SPOOL_OPEN_REPAIR) != 0 &&
	    !is_reader(walk->store) &&
	    journal_repair_message(walk->store, &entry->id))
		return true;
	if (has_its_file(walk->store, entry))
		spool_scan_found(walk->scan, &entry->id);
	return true;
}

void *journal_process_disk_queue(io_infrastructure *io, void *scan)
{
	struct walk walk = { journal_store(io), scan };

	journal_for_each(walk.store->journal, true, hand_out, &walk);
	return NULL;
}
