/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "journal/journal-scan.h"
#include "crc32c.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* Bytes that are read at a time. */
#define WINDOW_SIZE ((size_t)1024 * 1024)
/* The same for VOIDs, of which there are few, and for a record by itself. */
#define SMALL_WINDOW_SIZE ((size_t)JOURNAL_BLOCK_SIZE)

struct scanner {
	const struct journal_segment *segment;
	struct journal_items *items;
	uint64_t end; /* of the file, at most of the segment */
	unsigned char *window;
	size_t window_room;
	uint64_t window_pos;
	size_t window_size;
};

uint64_t journal_item_extent(const struct journal_items *items,
			     const struct journal_item *item)
{
	const struct journal_item *next = item + 1;
	const struct journal_item *end = items->items + items->count;

	while (next < end && next->header.type == JOURNAL_PADDING)
		next++;
	return (next < end ? next->pos : next[-1].pos + next[-1].size) -
		item->pos;
}

void journal_items_free(struct journal_items *items)
{
	i_free(items->items);
	memset(items, 0, sizeof(*items));
}

/* Reads the window that begins at pos; -1 with errno. */
static int read_window(struct scanner *scanner, uint64_t pos)
{
	size_t size = (size_t)I_MIN(scanner->end - pos,
				    (uint64_t)scanner->window_room);
	ssize_t ret = journal_file_read_some(scanner->segment->file,
					     scanner->window, size, pos);

	scanner->window_pos = pos;
	scanner->window_size = ret < 0 ? 0 : (size_t)ret;
	/* it is shorter than it was */
	if (scanner->window_size < size)
		scanner->end = pos + scanner->window_size;
	return ret < 0 ? -1 : 0;
}

/* Bytes at pos, of *size at most; NULL with errno, or with 0: there are none. */
static const unsigned char *look(struct scanner *scanner, uint64_t pos,
				 size_t *size)
{
	uint64_t window_end = scanner->window_pos + scanner->window_size;

	errno = 0;
	if (pos >= scanner->end)
		return NULL;
	if ((pos < scanner->window_pos ||
	     pos + I_MIN(*size, (size_t)JOURNAL_HEADER_SIZE) > window_end) &&
	    read_window(scanner, pos) < 0)
		return NULL;
	window_end = scanner->window_pos + scanner->window_size;
	if (pos >= window_end)
		return NULL;
	*size = (size_t)I_MIN(window_end - pos, (uint64_t)*size);
	return scanner->window + (pos - scanner->window_pos);
}

/* 1: a header of this segment's incarnation; 0: none; -1 with errno. */
static int look_header(struct scanner *scanner, uint64_t pos,
		       struct journal_header *header)
{
	size_t size = JOURNAL_HEADER_SIZE;
	const unsigned char *bytes = look(scanner, pos, &size);

	if (bytes == NULL)
		return errno != 0 ? -1 : 0;
	return size == JOURNAL_HEADER_SIZE &&
			journal_header_get(header,
					   scanner->segment->header.incarnation,
					   bytes) &&
			journal_record_size(header) <=
				scanner->segment->header.size - pos ?
		1 :
		0;
}

/* Whether the payload is what was written: 1, 0, -1 with errno. It keeps the bytes
   of a target. */
static int check_payload(struct scanner *scanner, struct journal_item *item)
{
	uint64_t left = item->header.stack_size + item->header.stored_size;
	uint64_t pos = item->pos + JOURNAL_HEADER_SIZE;
	unsigned char target[JOURNAL_TARGET_SIZE];
	const unsigned char *bytes;
	size_t size, kept = 0, n;
	uint32_t crc = 0;

	for (; left > 0; pos += size, left -= size) {
		size = (size_t)I_MIN(left, (uint64_t)scanner->window_room);
		bytes = look(scanner, pos, &size);
		if (bytes == NULL)
			return errno != 0 ? -1 : 0;
		crc = crc32c(crc, bytes, size);
		n = I_MIN(sizeof(target) - kept, size);
		memcpy(target + kept, bytes, n);
		kept += n;
	}
	if (crc != item->header.payload_crc)
		return 0;
	if (item->header.type != JOURNAL_UNLINK &&
	    item->header.type != JOURNAL_VOID)
		return 1;
	if (kept < sizeof(target))
		return 0;
	journal_target_get(&item->target, target);
	return 1;
}

static struct journal_item *add_item(struct scanner *scanner,
				     enum journal_item_state state,
				     uint64_t pos, uint64_t size)
{
	struct journal_items *items = scanner->items;
	struct journal_item *item;
	size_t room = items->room == 0 ? 64 : items->room * 2;

	if (items->count == items->room) {
		item = try_realloc(items->items, room * sizeof(*item));
		if (item == NULL)
			return NULL;
		items->items = item;
		items->room = room;
	}
	item = &items->items[items->count++];
	memset(item, 0, sizeof(*item));
	item->state = state;
	item->pos = pos;
	item->size = size;
	return item;
}

/* Where a group begins, what is before it was synced. That the first record of one is
   missing shows where padding ended the one before. */
static void note_group(struct journal_items *items)
{
	const struct journal_item *item = &items->items[items->count - 1];

	if (item->state == JOURNAL_ITEM_GAP ?
		    items->count > 1 &&
			    item[-1].header.type == JOURNAL_PADDING :
		    (item->header.flags & JOURNAL_GROUP_START) != 0)
		items->last_group = items->count - 1;
}

/* Looks for the next header from *pos on: where it is, or the end; -1 with errno. */
static int find_header(struct scanner *scanner, uint64_t *pos, uint64_t end,
		       struct journal_header *header)
{
	int ret = 0;

	for (; ret == 0 && *pos < end; *pos += JOURNAL_ALIGN) {
		ret = look_header(scanner, *pos, header);
		if (ret > 0)
			break;
	}
	return ret;
}

/* A header that came to stand here, and whose payload did not, says nothing of what is
   behind it: the next header ends the record. -1 with errno. */
static int end_bad(struct scanner *scanner, struct journal_item *item)
{
	struct journal_header next;
	uint64_t pos = item->pos + JOURNAL_ALIGN;
	int ret = find_header(scanner, &pos, item->pos + item->size, &next);

	if (ret > 0)
		item->size = pos - item->pos;
	return ret;
}

/* The record at pos, whose header is right; -1 with errno. */
static int add_record(struct scanner *scanner, uint64_t pos,
		      const struct journal_header *header)
{
	struct journal_item *item = add_item(scanner, JOURNAL_ITEM_WHOLE, pos,
					     journal_record_size(header));
	int ret = 1;

	if (item == NULL)
		return -1;
	item->header = *header;
	if (header->type != JOURNAL_PADDING)
		ret = check_payload(scanner, item);
	if (ret < 0)
		return -1;
	if (ret == 0) {
		item->state = JOURNAL_ITEM_BAD;
		if (end_bad(scanner, item) < 0)
			return -1;
	}
	note_group(scanner->items);
	return 0;
}

/* Behind the last item. */
static uint64_t next_pos(const struct journal_items *items)
{
	const struct journal_item *item = &items->items[items->count - 1];

	return item->pos + item->size;
}

static int scan(struct scanner *scanner, bool voids_only)
{
	uint64_t pos = JOURNAL_BLOCK_SIZE, found;
	struct journal_header header;
	int ret;

	for (; pos < scanner->end; pos = next_pos(scanner->items)) {
		found = pos;
		/* also to find a VOID behind one that is damaged */
		ret = find_header(scanner, &found, scanner->end, &header);
		if (ret <= 0)
			return ret;
		if (voids_only && header.type != JOURNAL_VOID &&
		    header.type != JOURNAL_PADDING)
			return 0;
		if (found > pos) {
			if (add_item(scanner, JOURNAL_ITEM_GAP, pos,
				     found - pos) == NULL)
				return -1;
			note_group(scanner->items);
		}
		if (add_record(scanner, found, &header) < 0)
			return -1;
	}
	return 0;
}

/* False: no memory. */
static bool begin(struct scanner *scanner,
		  const struct journal_segment *segment, size_t window)
{
	memset(scanner, 0, sizeof(*scanner));
	scanner->segment = segment;
	/* of one that has no records nothing is read, however large it is */
	scanner->end = journal_segment_is_new(&segment->header) ?
		0 :
		segment->header.size;
	scanner->window_room =
		(size_t)I_MIN(segment->header.size, (uint64_t)window);
	scanner->window = try_malloc_block(scanner->window_room);
	return scanner->window != NULL;
}

uint64_t journal_gap_size(const struct journal_segment *segment, uint64_t pos)
{
	struct journal_header header;
	struct scanner scanner;
	uint64_t end = pos + JOURNAL_ALIGN;
	int ret = -1;

	if (begin(&scanner, segment, WINDOW_SIZE))
		ret = find_header(&scanner, &end, scanner.end, &header);
	i_free(scanner.window);
	return (ret > 0 ? end : segment->header.size) - pos;
}

bool journal_scan_is_whole(const struct journal_segment *segment, uint64_t pos)
{
	struct journal_item item = { .pos = pos };
	struct scanner scanner;
	bool whole = begin(&scanner, segment, SMALL_WINDOW_SIZE) &&
		look_header(&scanner, pos, &item.header) > 0 &&
		(item.header.type == JOURNAL_PADDING ||
		 check_payload(&scanner, &item) > 0);

	i_free(scanner.window);
	return whole;
}

static int run_scan(const struct journal_segment *segment,
		    struct journal_items *items, bool voids_only)
{
	struct scanner scanner;
	int ret, error;

	memset(items, 0, sizeof(*items));
	ret = begin(&scanner, segment,
		    voids_only ? SMALL_WINDOW_SIZE : WINDOW_SIZE) ?
		0 :
		-1;
	scanner.items = items;
	if (ret == 0)
		ret = scan(&scanner, voids_only);
	error = errno;
	i_free(scanner.window);
	if (ret < 0)
		journal_items_free(items);
	errno = error;
	return ret;
}

int journal_scan(const struct journal_segment *segment,
		 struct journal_items *items)
{
	return run_scan(segment, items, false);
}

int journal_scan_voids(const struct journal_segment *segment,
		       struct journal_items *items)
{
	return run_scan(segment, items, true);
}
