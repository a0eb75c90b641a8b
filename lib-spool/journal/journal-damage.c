/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What becomes of bytes that should be a record, and are none. */

#include "config.h"
#include "journal/journal-scan.h"
#include "file-ops.h"
#include "mem.h"
#include "ostream.h"

#include <sodium.h>
#include <stdio.h>

/* Keeps a copy of the bytes, and why: once. */
static void put_aside(struct journal *journal,
		      const struct journal_segment *segment,
		      const struct journal_item *item, const char *why)
{
	char hex[9], name[128], why_name[136];
	unsigned char *bytes = try_malloc((size_t)item->size);
	struct ostream *output;
	ssize_t size;

	(void)sodium_bin2hex(hex, sizeof(hex), segment->header.incarnation, 4);
	(void)snprintf(name, sizeof(name),
		       "quarantine/journal-%08u-%s-%llu.bytes",
		       segment->header.number, hex,
		       (unsigned long long)item->pos);
	(void)snprintf(why_name, sizeof(why_name), "%s.why", name);
	journal_warn(journal, "%s: segment %u, byte %llu: %s: %s", journal->dir,
		     segment->header.number, (unsigned long long)item->pos, why,
		     "a copy is kept in quarantine");
	size = bytes == NULL ? -1 :
			       file_pread(segment->fd, bytes,
					  (size_t)item->size, (off_t)item->pos);
	output = o_stream_create_file_atomic_at(
		journal->dir_fd, name, -1, 0600,
		OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	if (size > 0)
		o_stream_nsend(output, bytes, (size_t)size);
	(void)o_stream_finish(output);
	o_stream_destroy(&output);
	output = o_stream_create_file_atomic_at(journal->dir_fd, why_name, -1,
						0600, 0);
	o_stream_nsend_str(output, why);
	o_stream_nsend_str(output, "\n");
	(void)o_stream_finish(output);
	o_stream_destroy(&output);
	i_free(bytes);
}

/* What is damaged overrules it for as long as it is there. */
static void drop_message(struct journal *journal, const message_id *id,
			 uint32_t by)
{
	struct journal_entry old;

	if (!journal_index_remove(&journal->index, id, &old))
		return;
	(void)pthread_mutex_lock(&journal->mutex);
	journal_overrule(journal, by, old.headers.segment);
	journal_account(journal, &old.headers, -1);
	journal_account(journal, &old.body, -1);
	(void)pthread_mutex_unlock(&journal->mutex);
}

void journal_reject(struct journal *journal,
		    const struct journal_segment *segment,
		    const struct journal_item *item, bool torn, const char *why)
{
	if (torn) {
		if (!journal->settings.read_only)
			journal_add_void(journal, segment, item->pos,
					 item->size);
		return;
	}
	if (!journal->settings.read_only)
		put_aside(journal, segment, item, why);
	/* an older version of it is not what was acknowledged last; and a
	   tombstone is one, whatever its target is */
	if (item->state == JOURNAL_ITEM_BAD &&
	    (item->header.type == JOURNAL_HEADERS ||
	     item->header.type == JOURNAL_UNLINK))
		drop_message(journal, &item->header.id, segment->header.number);
}
