/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A full segment ends in a list of what is in it, so that a start has to read that
   alone. The list only speaks of what was synced. It needs no sync of its own: where it
   is damaged or missing the segment is read instead. */

#include "config.h"
#include "journal/journal-scan.h"
#include "crc32c.h"
#include "endian-io.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <string.h>

#define FOOTER_MAGIC 0x31464a42u /* "BJF1" */

/* The last bytes of the segment, behind the entries. */
enum {
	TAIL_COUNT = 4,
	TAIL_SIZE_OF_ENTRIES = 8,
	TAIL_LAST_SEQUENCE = 16,
	TAIL_ENTRIES_CRC = 56,
	TAIL_CRC = 60,
	TAIL_SIZE = 64
};

/* An entry; that of an UNLINK or a VOID has its target behind it, that of STATES the
   version of their headers. */
enum {
	ENTRY_TYPE = 0,
	ENTRY_FLAGS = 1,
	ENTRY_OFFSET = 4,
	ENTRY_BODY = 8, /* of HEADERS that came with one: its offset; else 0 */
	ENTRY_VERSION = 12,
	ENTRY_ID = 20,
	ENTRY_SIZE = 36
};
#define ENTRY_MAX (ENTRY_SIZE + JOURNAL_TARGET_SIZE)

static size_t entry_size(unsigned int type)
{
	if (type == JOURNAL_UNLINK || type == JOURNAL_VOID)
		return ENTRY_SIZE + JOURNAL_TARGET_SIZE;
	return type == JOURNAL_STATES ? ENTRY_SIZE + 8 : ENTRY_SIZE;
}

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
	size_t size = entry_size(header->type);

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

/*
 * Reading
 */

struct footer {
	uint32_t count;
	uint64_t size; /* of the entries, in bytes */
	uint64_t last_sequence;
	uint32_t crc;
};

static bool parse_tail(const struct journal_segment *segment,
		       const unsigned char tail[TAIL_SIZE],
		       struct footer *footer)
{
	if (get_le32(tail) != FOOTER_MAGIC ||
	    get_le32(tail + TAIL_CRC) !=
		    crc32c(crc32c(0, segment->header.incarnation,
				  JOURNAL_INCARNATION_SIZE),
			   tail, TAIL_CRC))
		return false;
	footer->count = get_le32(tail + TAIL_COUNT);
	footer->size = get_le64(tail + TAIL_SIZE_OF_ENTRIES);
	footer->last_sequence = get_le64(tail + TAIL_LAST_SEQUENCE);
	footer->crc = get_le32(tail + TAIL_ENTRIES_CRC);
	return footer->size <=
		segment->header.size - JOURNAL_BLOCK_SIZE - TAIL_SIZE;
}

static void set_item(struct journal_item *item, enum journal_type type,
		     const unsigned char *entry, uint32_t offset,
		     const struct footer *footer)
{
	memset(item, 0, sizeof(*item));
	item->state = JOURNAL_ITEM_WHOLE;
	item->pos = (uint64_t)offset * JOURNAL_ALIGN;
	item->size = JOURNAL_ALIGN;
	item->header.type = type;
	item->header.flags = entry[ENTRY_FLAGS];
	item->header.version = get_le64(entry + ENTRY_VERSION);
	item->header.sequence = footer->last_sequence;
	memcpy(item->header.id.bytes, entry + ENTRY_ID,
	       sizeof(item->header.id.bytes));
}

/* The items of one entry: the record, and before it the body that it came with. Its
   size; 0: it is none. */
static size_t add_entry(struct journal_items *items, const unsigned char *entry,
			size_t left, const struct footer *footer)
{
	struct journal_item *item;
	uint32_t offset, body;
	size_t size;

	if (left < ENTRY_SIZE)
		return 0;
	size = entry_size(entry[ENTRY_TYPE]);
	if (left < size)
		return 0;
	offset = get_le32(entry + ENTRY_OFFSET);
	body = get_le32(entry + ENTRY_BODY);
	if (body != 0)
		set_item(&items->items[items->count++], JOURNAL_BODY, entry,
			 body, footer);
	item = &items->items[items->count++];
	set_item(item, (enum journal_type)entry[ENTRY_TYPE], entry, offset,
		 footer);
	if (item->header.type == JOURNAL_STATES)
		item->header.plain_size = get_le64(entry + ENTRY_SIZE);
	else if (size > ENTRY_SIZE)
		journal_target_get(&item->target, entry + ENTRY_SIZE);
	return size;
}

static bool parse_entries(struct journal_items *items,
			  const unsigned char *entries,
			  const struct footer *footer)
{
	size_t pos = 0, size;
	uint32_t i;

	for (i = 0; i < footer->count; i++, pos += size) {
		size = add_entry(items, entries + pos,
				 (size_t)footer->size - pos, footer);
		if (size == 0)
			return false;
	}
	return pos == footer->size;
}

/* 1; 0: there is none that could be gone by; -1 with errno. */
static int read_entries(const struct journal_segment *segment,
			const struct footer *footer, unsigned char *entries,
			struct journal_items *items)
{
	int ret = journal_file_read(
		segment->file, entries, (size_t)footer->size,
		segment->header.size - TAIL_SIZE - footer->size);

	if (ret <= 0)
		return ret;
	if (crc32c(0, entries, (size_t)footer->size) != footer->crc ||
	    footer->count > footer->size / ENTRY_SIZE)
		return 0;
	items->room = (size_t)footer->count * 2 + 1;
	items->items = try_malloc(items->room * sizeof(*items->items));
	if (items->items == NULL)
		return -1;
	return parse_entries(items, entries, footer) ? 1 : 0;
}

int journal_footer_read(const struct journal_segment *segment,
			struct journal_items *items)
{
	unsigned char tail[TAIL_SIZE], *entries;
	struct footer footer;
	int ret;

	memset(items, 0, sizeof(*items));
	if (journal_segment_is_new(&segment->header))
		return 0;
	ret = journal_file_read(segment->file, tail, sizeof(tail),
				segment->header.size - TAIL_SIZE);
	if (ret <= 0 || !parse_tail(segment, tail, &footer))
		return I_MIN(ret, 0);
	entries = try_malloc((size_t)footer.size + 1);
	if (entries == NULL)
		return -1;
	ret = read_entries(segment, &footer, entries, items);
	i_free(entries);
	if (ret > 0)
		items->from_footer = true;
	else
		journal_items_free(items);
	return ret;
}

int journal_list(const struct journal_segment *segment,
		 struct journal_items *items)
{
	int ret = journal_footer_read(segment, items);

	if (ret == 0)
		ret = journal_scan(segment, items);
	return ret < 0 ? -1 : 0;
}
