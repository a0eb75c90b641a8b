/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A full segment ends in a list of what is in it, so that a start has to read that
   alone. The list only speaks of what was synced. It needs no sync of its own: where it
   is damaged or missing the segment is read instead. */

#include "config.h"
#include "journal/journal-footer.h"
#include "crc32c.h"
#include "endian-io.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <string.h>

uint64_t journal_footer_most(unsigned int records)
{
	return TAIL_SIZE + (uint64_t)records * ENTRY_MAX;
}

uint64_t journal_footer_size(const struct journal_segment *segment,
			     unsigned int records)
{
	return segment->footer == NULL ?
		0 :
		segment->footer->used + journal_footer_most(records);
}

void journal_footer_begin(const struct journal *journal,
			  struct journal_segment *segment)
{
	if (journal_is_piece(journal, segment))
		return;
	if (segment->footer == NULL)
		segment->footer = buffer_create_dynamic(default_pool, 1024);
	buffer_set_used_size(segment->footer, 0);
	segment->footer_count = 0;
}

void journal_footer_free(struct journal_segment *segment)
{
	buffer_free(&segment->footer);
}

void journal_footer_add(struct journal_segment *segment,
			const struct journal_header *header, uint32_t offset,
			uint32_t body, const struct journal_target *target)
{
	unsigned char entry[ENTRY_MAX] = { 0 };
	size_t size = journal_entry_size(header->type);

	/* a body alone is nothing */
	if (segment->footer == NULL || header->type == JOURNAL_BODY ||
	    header->type == JOURNAL_PADDING)
		return;
	entry[ENTRY_TYPE] = (unsigned char)header->type;
	entry[ENTRY_FLAGS] = (unsigned char)header->flags;
	put_le32(entry + ENTRY_OFFSET, offset);
	put_le32(entry + ENTRY_BODY, body);
	put_le64(entry + ENTRY_VERSION, header->version);
	memcpy(entry + ENTRY_ID, header->id.bytes, sizeof(header->id.bytes));
	if (header->type == JOURNAL_STATES)
		put_le64(entry + ENTRY_SIZE, header->plain_size);
	else if (size > ENTRY_SIZE)
		journal_target_put(target, entry + ENTRY_SIZE);
	if (buffer_try_append(segment->footer, entry, size))
		segment->footer_count++;
	else /* one that does not tell all must not be */
		buffer_free(&segment->footer);
}

void journal_footer_write(struct journal_segment *segment,
			  uint64_t last_sequence)
{
	unsigned char tail[TAIL_SIZE] = { 0 };
	size_t size;

	if (segment->footer == NULL)
		return;
	size = segment->footer->used;
	put_le32(tail, FOOTER_MAGIC);
	put_le32(tail + TAIL_COUNT, segment->footer_count);
	put_le64(tail + TAIL_SIZE_OF_ENTRIES, size);
	put_le64(tail + TAIL_LAST_SEQUENCE, last_sequence);
	put_le32(tail + TAIL_ENTRIES_CRC,
		 crc32c(0, size == 0 ? (const void *)"" : segment->footer->data,
			size));
	put_le32(tail + TAIL_CRC,
		 crc32c(crc32c(0, segment->header.incarnation,
			       JOURNAL_INCARNATION_SIZE),
			tail, TAIL_CRC));
	/* what began without one may be full, and have one since a start */
	if (size + TAIL_SIZE <= segment->header.size - segment->pos &&
	    buffer_try_append(segment->footer, tail, sizeof(tail)))
		(void)journal_file_write(segment->file, segment->footer->data,
					 segment->footer->used,
					 segment->header.size -
						 segment->footer->used);
	journal_footer_free(segment);
}
