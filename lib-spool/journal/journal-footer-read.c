/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is in a segment, by its footer where it has one, else by its records. */

#include "config.h"
#include "journal/journal-footer.h"
#include "journal/journal-scan.h"
#include "crc32c.h"
#include "endian-io.h"
#include "macros.h"
#include "mem.h"

#include <string.h>

/*
 * As it is on the disk
 */

struct tail {
	uint32_t count;
	uint64_t size; /* of the entries, in bytes */
	uint64_t last_sequence;
	uint32_t crc;
};

static bool parse_tail(const struct journal_segment *segment,
		       const unsigned char bytes[TAIL_SIZE], struct tail *tail)
{
	if (get_le32(bytes) != FOOTER_MAGIC ||
	    get_le32(bytes + TAIL_CRC) !=
		    crc32c(crc32c(0, segment->header.incarnation,
				  JOURNAL_INCARNATION_SIZE),
			   bytes, TAIL_CRC))
		return false;
	tail->count = get_le32(bytes + TAIL_COUNT);
	tail->size = get_le64(bytes + TAIL_SIZE_OF_ENTRIES);
	tail->last_sequence = get_le64(bytes + TAIL_LAST_SEQUENCE);
	tail->crc = get_le32(bytes + TAIL_ENTRIES_CRC);
	return tail->size <=
		segment->header.size - JOURNAL_BLOCK_SIZE - TAIL_SIZE &&
		tail->count <= tail->size / ENTRY_SIZE;
}

/* Whether there are as many as the tail says, and nothing else. */
static bool check_entries(const unsigned char *bytes, const struct tail *tail)
{
	uint64_t left = tail->size;
	uint32_t i;
	size_t size;

	for (i = 0; i < tail->count; i++, left -= size, bytes += size) {
		if (left < ENTRY_SIZE)
			return false;
		size = journal_entry_size(bytes[ENTRY_TYPE]);
		if (size > left)
			return false;
	}
	return left == 0;
}

/* 1; 0: there are none that could be gone by; -1 with errno. */
static int read_bytes(const struct journal_segment *segment,
		      const struct tail *tail, unsigned char *bytes)
{
	int ret = journal_file_read(segment->file, bytes, (size_t)tail->size,
				    segment->header.size - TAIL_SIZE -
					    tail->size);

	if (ret <= 0)
		return ret;
	return crc32c(0, bytes, (size_t)tail->size) == tail->crc &&
			check_entries(bytes, tail) ?
		1 :
		0;
}

/* As read_bytes(). */
static int read_tail(const struct journal_segment *segment, struct tail *tail)
{
	unsigned char bytes[TAIL_SIZE];
	int ret;

	if (journal_segment_is_new(&segment->header))
		return 0;
	ret = journal_file_read(segment->file, bytes, sizeof(bytes),
				segment->header.size - TAIL_SIZE);
	return ret <= 0 ? ret : parse_tail(segment, bytes, tail) ? 1 : 0;
}

uint32_t journal_footer_count(const struct journal_segment *segment)
{
	struct tail tail;

	return read_tail(segment, &tail) > 0 ? tail.count : 0;
}

int journal_entries_read(const struct journal_segment *segment,
			 struct journal_entries *entries)
{
	struct tail tail;
	int ret = read_tail(segment, &tail);

	memset(entries, 0, sizeof(*entries));
	if (ret <= 0)
		return ret;
	entries->bytes = try_malloc((size_t)tail.size + 1);
	if (entries->bytes == NULL)
		return -1;
	entries->size = (size_t)tail.size;
	entries->count = tail.count;
	entries->last_sequence = tail.last_sequence;
	ret = read_bytes(segment, &tail, entries->bytes);
	if (ret <= 0)
		journal_entries_free(entries);
	return ret;
}

/* NULL: there are no more. */
static const unsigned char *next_entry(const struct journal_entries *entries,
				       size_t *pos)
{
	const unsigned char *entry;

	if (*pos == entries->size)
		return NULL;
	entry = entries->bytes + *pos;
	*pos += journal_entry_size(entry[ENTRY_TYPE]);
	return entry;
}

bool journal_entries_peek(const struct journal_entries *entries, size_t *pos,
			  struct journal_peek *peek)
{
	const unsigned char *entry = next_entry(entries, pos);

	if (entry == NULL)
		return false;
	peek->type = (enum journal_type)entry[ENTRY_TYPE];
	peek->id = (const message_id *)(entry + ENTRY_ID);
	peek->has_body = get_le32(entry + ENTRY_BODY) != 0;
	return true;
}

bool journal_entries_next(const struct journal_entries *entries, size_t *pos,
			  struct journal_listed *listed)
{
	const unsigned char *entry = next_entry(entries, pos);
	struct journal_header *header = &listed->header;

	if (entry == NULL)
		return false;
	header->type = (enum journal_type)entry[ENTRY_TYPE];
	header->flags = entry[ENTRY_FLAGS];
	header->version = get_le64(entry + ENTRY_VERSION);
	memcpy(header->id.bytes, entry + ENTRY_ID, sizeof(header->id.bytes));
	listed->offset = get_le32(entry + ENTRY_OFFSET);
	listed->body = get_le32(entry + ENTRY_BODY);
	header->plain_size = header->type == JOURNAL_STATES ?
		get_le64(entry + ENTRY_SIZE) :
		0;
	if (header->type == JOURNAL_UNLINK || header->type == JOURNAL_VOID)
		journal_target_get(&listed->target, entry + ENTRY_SIZE);
	return true;
}

void journal_entries_free(struct journal_entries *entries)
{
	i_free(entries->bytes);
	memset(entries, 0, sizeof(*entries));
}

/*
 * As items
 */

static struct journal_item *add_item(struct journal_items *items,
				     uint32_t offset,
				     const struct journal_header *header)
{
	struct journal_item *item = &items->items[items->count++];

	memset(item, 0, sizeof(*item));
	item->state = JOURNAL_ITEM_WHOLE;
	item->pos = (uint64_t)offset * JOURNAL_ALIGN;
	item->size = JOURNAL_ALIGN;
	item->header = *header;
	return item;
}

/* The record, and before it the body that it came with. */
static void add_listed(struct journal_items *items,
		       const struct journal_listed *listed)
{
	struct journal_item *item;

	if (listed->body != 0) {
		item = add_item(items, listed->body, &listed->header);
		item->header.type = JOURNAL_BODY;
	}
	item = add_item(items, listed->offset, &listed->header);
	item->target = listed->target;
}

/* False: no memory. */
static bool make_items(const struct journal_entries *entries,
		       struct journal_items *items)
{
	struct journal_listed listed;
	size_t pos = 0;

	items->room = entries->size / ENTRY_SIZE * 2 + 1;
	items->items = try_malloc(items->room * sizeof(*items->items));
	if (items->items == NULL)
		return false;
	memset(&listed, 0, sizeof(listed));
	while (journal_entries_next(entries, &pos, &listed))
		add_listed(items, &listed);
	return true;
}

int journal_footer_read(const struct journal_segment *segment,
			struct journal_items *items)
{
	struct journal_entries entries;
	int ret = journal_entries_read(segment, &entries);

	memset(items, 0, sizeof(*items));
	if (ret > 0 && !make_items(&entries, items))
		ret = -1;
	journal_entries_free(&entries);
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

/*
 * As what there is
 */

int journal_content_read(const struct journal_segment *segment,
			 struct journal_content *content)
{
	int ret;

	memset(content, 0, sizeof(*content));
	ret = journal_entries_read(segment, &content->entries);
	content->from_footer = ret > 0;
	if (ret == 0)
		ret = journal_scan(segment, &content->items);
	return ret < 0 ? -1 : 0;
}

void journal_content_free(struct journal_content *content)
{
	journal_items_free(&content->items);
	journal_entries_free(&content->entries);
}
