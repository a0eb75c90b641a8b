/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What becomes of bytes that should be a record, and are none. */

#include "config.h"
#include "journal/journal-scan.h"
#include "file-ops.h"
#include "mem.h"
#include "spool-private.h"

#include <sodium.h>
#include <stdio.h>

/* Keeps a copy of the bytes, and why. */
static void put_aside(struct journal *journal,
		      const struct journal_segment *segment,
		      const struct journal_item *item, const char *why)
{
	unsigned char *bytes = try_malloc((size_t)item->size);
	char hex[9], name[128];
	ssize_t size = -1;

	(void)sodium_bin2hex(hex, sizeof(hex), segment->header.incarnation, 4);
	(void)snprintf(name, sizeof(name), "journal-%08u-%s-%llu.bytes",
		       segment->header.number, hex,
		       (unsigned long long)item->pos);
	journal_warn(journal, "%s: segment %u, byte %llu: %s: %s", journal->dir,
		     segment->header.number, (unsigned long long)item->pos, why,
		     "a copy is kept in quarantine");
	if (bytes != NULL)
		size = file_pread(segment->fd, bytes, (size_t)item->size,
				  (off_t)item->pos);
	spool_put_aside(journal->dir_fd, name, size < 0 ? NULL : bytes,
			size < 0 ? 0 : (size_t)size, why);
	i_free(bytes);
}

/* What a footer spoke of was not looked at when the journal was opened. */
void journal_damage_read(struct journal *journal,
			 const struct journal_place *place)
{
	struct journal_segment *segment =
		journal_segment_get(journal, place->segment);
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	struct journal_item item = { .pos = (uint64_t)place->offset *
					     JOURNAL_ALIGN,
				     .size = JOURNAL_ALIGN };

	if (segment == NULL || journal->settings.read_only)
		return;
	if (journal_pread_all(segment->fd, bytes, sizeof(bytes), item.pos) >
		    0 &&
	    journal_header_get(&item.header, segment->header.incarnation,
			       bytes) &&
	    journal_record_size(&item.header) <=
		    segment->header.size - item.pos)
		item.size = journal_record_size(&item.header);
	put_aside(journal, segment, &item,
		  "a record is damaged that was asked for");
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
	journal->damaged = true;
	if (!journal->settings.read_only)
		put_aside(journal, segment, item, why);
	/* an older version of it is not what was acknowledged last; and a
	   tombstone is one, whatever its target is */
	if (item->state == JOURNAL_ITEM_BAD &&
	    (item->header.type == JOURNAL_HEADERS ||
	     item->header.type == JOURNAL_UNLINK))
		drop_message(journal, &item->header.id, segment->header.number);
}
