/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which segment gives its blocks back: numbers alone, without files. Of those behind its first
   block nothing can be read any more, so that it must have none that a start asks for. */

#include "config.h"
#include "journal/journal-private.h"
#include "macros.h"
#include "test-common.h"

#define SEGMENT ((uint64_t)1024 * 1024)
/* The last of them is the one that a row is about. */
#define COUNT 3

struct row {
	const char *name;
	uint64_t size;           /* 0: as large as they should be */
	uint64_t first_sequence; /* its header's */
	uint64_t live;
	bool holds; /* records of others back: by a tombstone, or a VOID */
	bool failed, cut, written, active;
	bool is_full;
	bool given;
};

/* Two whole ones are kept to be written soon, so that one like them is more than enough. */
static void make_segments(struct journal_segment segments[COUNT])
{
	uint32_t i;

	memset(segments, 0, COUNT * sizeof(*segments));
	for (i = 0; i < COUNT; i++) {
		segments[i].header.number = i + 1;
		segments[i].header.size = SEGMENT;
		segments[i].pos = JOURNAL_BLOCK_SIZE;
		segments[i].blank = true;
	}
}

static void check(const struct row *row)
{
	struct journal_segment segments[COUNT], *table[COUNT + 1] = { NULL };
	struct journal_segment *last = &segments[COUNT - 1];
	uint32_t outlives[] = { 1 };
	struct journal journal;
	uint32_t i;

	make_segments(segments);
	for (i = 0; i < COUNT; i++)
		table[i + 1] = &segments[i];
	last->header.size = row->size == 0 ? SEGMENT : row->size;
	last->header.first_sequence = row->first_sequence;
	last->live = row->live;
	last->outlives = outlives;
	last->outlives_count = row->holds ? 1 : 0;
	last->failed = row->failed;
	last->cut = row->cut;
	last->blank = !row->written;
	memset(&journal, 0, sizeof(journal));
	journal.settings.segment_size = SEGMENT;
	journal.segments = table;
	journal.segment_end = N_ELEMENTS(table);
	journal.active = row->active ? last : NULL;
	journal.is_full = row->is_full;
	if (journal_reserve_surplus(&journal) != (row->given ? last : NULL))
		fail_msg("%s", row->name);
}

static void test_what_is_given_back(void **state ATTR_UNUSED)
{
	static const struct row rows[] = {
		{ .name = "it is empty", .given = true },
		{ .name = "on a full disk", .is_full = true, .given = true },
		{ .name = "it was cut", .cut = true },
		{ .name = "it is written now", .active = true },
		{ .name = "nobody knows what is in it", .failed = true },
		/* what is void, or removed, would be there again */
		{ .name = "it holds others back",
		  .first_sequence = 7,
		  .holds = true,
		  .written = true },
		{ .name = "it has messages",
		  .first_sequence = 7,
		  .live = 1,
		  .written = true },
		/* a start would take for lost what nobody needs */
		{ .name = "it had messages",
		  .first_sequence = 7,
		  .written = true },
		{ .name = "it was to be written", .first_sequence = 7 },
		{ .name = "it is small", .size = SEGMENT / 2, .given = true },
		/* nobody would get it again */
		{ .name = "it is small, on a full disk",
		  .size = SEGMENT / 2,
		  .is_full = true },
		{ .name = "it is a piece", .size = SEGMENT / 4 },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++)
		check(&rows[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_given_back),
	};

	return cmocka_run_group_tests_name("journal-surplus", tests, NULL,
					   NULL);
}
