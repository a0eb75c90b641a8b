/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which of the segments is emptied, and which are left as they are: numbers alone, without
   files. */

#include "config.h"
#include "journal/journal-victim.h"
#include "macros.h"
#include "test-common.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
/* The disk is not full, so that there is room for all. */
#define ANY UINT64_MAX

/* What a row says of a segment. */
struct given {
	uint64_t live, total, taken;
	uint64_t
		written; /* bytes, behind the first block; 0: no such segment */
	uint64_t tombstones;
	uint64_t size; /* bytes; 0: as large as they should be */
	bool unsealed, failed, kept, stuck;
};

#define OF(live_, total_, taken_, written_)                    \
	.live = (live_), .total = (total_), .taken = (taken_), \
	.written = (written_)

struct row {
	const char *name;
	struct given segments[3]; /* from 1 on */
	uint32_t active;          /* 0: there is none */
	bool wanted;              /* space */
	uint64_t pack, free;      /* the rooms */
	/* the segment; 0: none */
	uint32_t number;
	uint64_t most;
	bool for_removals;
};

static void make_segment(struct journal_segment *segment, uint32_t number,
			 const struct given *given)
{
	memset(segment, 0, sizeof(*segment));
	segment->header.number = number;
	segment->header.size = given->size == 0 ? MIB : given->size;
	segment->pos = JOURNAL_BLOCK_SIZE + given->written;
	segment->live = given->live;
	segment->total = given->total;
	segment->taken = given->taken;
	segment->tombstones = given->tombstones;
	segment->sealed = !given->unsealed;
	segment->failed = given->failed;
	segment->kept = given->kept;
	segment->stuck = given->stuck;
}

static void check(const struct row *row)
{
	struct journal_segment all[N_ELEMENTS(row->segments) + 1];
	struct journal_segment *table[N_ELEMENTS(all)] = { NULL };
	const struct journal_rooms rooms = { row->pack, row->free };
	struct journal_victim victim;
	struct journal journal;
	uint32_t i, number = 0;

	memset(&journal, 0, sizeof(journal));
	for (i = 1; i < N_ELEMENTS(all); i++) {
		make_segment(&all[i], i, &row->segments[i - 1]);
		if (row->segments[i - 1].written > 0)
			table[i] = &all[i];
	}
	journal.settings.segment_size = MIB;
	journal.segments = table;
	journal.segment_end = N_ELEMENTS(table);
	journal.active = row->active == 0 ? NULL : table[row->active];
	journal.space_wanted = row->wanted;
	if (journal_victim_find(&journal, &rooms, &victim)) {
		number = victim.segment.header.number;
		assert_true(number > 0);
	}
	if (number != row->number)
		fail_msg("%s: segment %u", row->name, number);
	if (number != 0 && victim.most != row->most)
		fail_msg("%s: %ju bytes", row->name, (uintmax_t)victim.most);
	if (number != 0 && victim.for_removals != row->for_removals)
		fail_msg("%s: for the other", row->name);
}

static void check_all(const struct row *rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		check(&rows[i]);
}

/* As long as another one can be made, that of which least is left, whatever room there was
   before. */
static void test_where_there_is_space(void **state ATTR_UNUSED)
{
	static const struct row rows[] = {
		{ .name = "there is none", .pack = ANY },
		{ .name = "half of the records",
		  .segments = { { OF(50, 100, 640 * KIB, 640 * KIB) } },
		  .pack = ANY,
		  .number = 1,
		  .most = ANY },
		{ .name = "more",
		  .segments = { { OF(51, 100, 640 * KIB, 640 * KIB) } },
		  .pack = ANY },
		{ .name = "more, and space is wanted",
		  .segments = { { OF(51, 100, 640 * KIB, 640 * KIB) } },
		  .wanted = true,
		  .pack = ANY,
		  .free = MIB },
		{ .name = "half of the bytes",
		  .segments = { { OF(100, 100, 320 * KIB, 640 * KIB) } },
		  .pack = ANY,
		  .number = 1,
		  .most = ANY },
		{ .name = "nothing is left",
		  .segments = { { OF(0, 100, 640 * KIB, 640 * KIB) } },
		  .pack = ANY },
		{ .name = "it is written",
		  .segments = { { OF(50, 100, 640 * KIB, 640 * KIB) } },
		  .active = 1,
		  .pack = ANY },
		{ .name = "it is kept",
		  .segments = { { OF(50, 100, 640 * KIB, 640 * KIB),
				  .kept = true } },
		  .pack = ANY },
		{ .name = "it was stuck",
		  .segments = { { OF(50, 100, 640 * KIB, 640 * KIB),
				  .stuck = true } },
		  .pack = ANY,
		  .number = 1,
		  .most = ANY },
		{ .name = "least of the records, not of the bytes",
		  .segments = { { OF(40, 100, 64 * KIB, 640 * KIB) },
				{ OF(30, 100, 640 * KIB, 640 * KIB) },
				{ OF(31, 100, 640 * KIB, 640 * KIB) } },
		  .pack = ANY,
		  .number = 2,
		  .most = ANY },
		{ .name = "the first of those that are alike",
		  .segments = { { OF(60, 100, 640 * KIB, 640 * KIB) },
				{ OF(40, 100, 640 * KIB, 640 * KIB) },
				{ OF(40, 100, 640 * KIB, 640 * KIB) } },
		  .pack = ANY,
		  .number = 2,
		  .most = ANY },
		{ .name = "a crash ended it, in its first half",
		  .segments = { { OF(1, 1, 510 * KIB, 510 * KIB),
				  .unsealed = true } },
		  .pack = ANY,
		  .number = 1,
		  .most = ANY },
		{ .name = "in its second one",
		  .segments = { { OF(1, 1, 510 * KIB + 1, 510 * KIB + 1),
				  .unsealed = true } },
		  .pack = ANY },
		{ .name = "a write ended it",
		  .segments = { { OF(1, 1, 510 * KIB, 510 * KIB),
				  .unsealed = true, .failed = true } },
		  .pack = ANY },
		{ .name = "nothing ended it early",
		  .segments = { { OF(1, 1, 510 * KIB, 510 * KIB) } },
		  .pack = ANY },
		{ .name = "a crash ended it, on a full disk",
		  .segments = { { OF(1, 1, 510 * KIB, 510 * KIB),
				  .unsealed = true } },
		  .pack = MIB },
	};

	check_all(rows, N_ELEMENTS(rows));
}

/* What is left in it is at most the room less a part: of 320 KiB, 310. */
static void test_what_has_room(void **state ATTR_UNUSED)
{
	static const struct row rows[] = {
		{ .name = "as much as may be",
		  .segments = { { OF(1, 1, 310 * KIB, 620 * KIB) } },
		  .pack = 320 * KIB,
		  .number = 1,
		  .most = 320 * KIB },
		{ .name = "a byte more",
		  .segments = { { OF(1, 1, 310 * KIB + 1, 640 * KIB) } },
		  .pack = 320 * KIB },
		{ .name = "it was more",
		  .segments = { { OF(31, 62, 620 * KIB, 620 * KIB) } },
		  .pack = 320 * KIB,
		  .number = 1,
		  .most = 320 * KIB },
		{ .name = "it is stuck",
		  .segments = { { OF(1, 1, 310 * KIB, 620 * KIB),
				  .stuck = true } },
		  .wanted = true,
		  .pack = 320 * KIB,
		  .free = MIB },
		{ .name = "it is kept",
		  .segments = { { OF(1, 1, 310 * KIB, 620 * KIB),
				  .kept = true } },
		  .wanted = true,
		  .pack = 320 * KIB,
		  .free = MIB },
		{ .name = "it is written",
		  .segments = { { OF(1, 1, 310 * KIB, 620 * KIB) } },
		  .active = 1,
		  .wanted = true,
		  .pack = 320 * KIB,
		  .free = MIB },
		{ .name = "it is more than half full",
		  .segments = { { OF(51, 100, 620 * KIB, 620 * KIB) } },
		  .pack = MIB },
		{ .name = "of a small one, a whole one being written",
		  .segments = { { OF(1, 1, 500 * KIB, 500 * KIB),
				  .size = MIB - 4 * KIB },
				{ OF(1, 1, 64 * KIB, 64 * KIB) } },
		  .active = 2,
		  .pack = MIB,
		  .number = 1,
		  .most = MIB },
		{ .name = "of a whole one",
		  .segments = { { OF(1, 1, 500 * KIB, 500 * KIB) },
				{ OF(1, 1, 64 * KIB, 64 * KIB) } },
		  .active = 2,
		  .pack = MIB },
		{ .name = "a small one being written",
		  .segments = { { OF(1, 1, 500 * KIB, 500 * KIB),
				  .size = MIB - 4 * KIB },
				{ OF(1, 1, 64 * KIB, 64 * KIB),
				  .size = MIB - 4 * KIB } },
		  .active = 2,
		  .pack = MIB },
		{ .name = "none being written",
		  .segments = { { OF(1, 1, 500 * KIB, 500 * KIB),
				  .size = MIB - 4 * KIB } },
		  .pack = MIB },
	};

	check_all(rows, N_ELEMENTS(rows));
}

/* Where space is wanted a part is enough: of 640 KiB, 20. A block is lost at the end, and
   half a one with each batch. */
static void test_what_wins_enough(void **state ATTR_UNUSED)
{
	static const struct row rows[] = {
		{ .name = "as little as may be",
		  .segments = { { OF(1, 1, 616 * KIB, 640 * KIB) } },
		  .wanted = true,
		  .pack = MIB,
		  .number = 1,
		  .most = MIB },
		{ .name = "a byte less",
		  .segments = { { OF(1, 1, 616 * KIB + 1, 640 * KIB) } },
		  .wanted = true,
		  .pack = MIB },
		{ .name = "nobody wants it",
		  .segments = { { OF(1, 1, 616 * KIB, 640 * KIB) } },
		  .pack = MIB,
		  .free = MIB },
		/* 32 of them are a block */
		{ .name = "with tombstones",
		  .segments = { { OF(1, 1, 612 * KIB, 640 * KIB),
				  .tombstones = 32 } },
		  .wanted = true,
		  .pack = MIB,
		  .number = 1,
		  .most = MIB },
		{ .name = "with tombstones, a byte less",
		  .segments = { { OF(1, 1, 612 * KIB + 1, 640 * KIB),
				  .tombstones = 32 } },
		  .wanted = true,
		  .pack = MIB },
		{ .name = "in two batches",
		  .segments = { { OF(128, 128, 612 * KIB, 640 * KIB) } },
		  .wanted = true,
		  .pack = MIB,
		  .number = 1,
		  .most = MIB },
		{ .name = "in two batches, a byte of each less",
		  .segments = { { OF(128, 128, 612 * KIB + 128, 640 * KIB) } },
		  .wanted = true,
		  .pack = MIB },
	};

	check_all(rows, N_ELEMENTS(rows));
}

/* Of 400 KiB that removals have a segment that is none of theirs has 100, and a piece what it
   gives back, which is less than its 100 by two blocks. */
static void test_what_is_in_the_way(void **state ATTR_UNUSED)
{
	static const struct row rows[] = {
		{ .name = "a part of the room",
		  .segments = { { OF(1, 1, 96 * KIB, 640 * KIB) } },
		  .wanted = true,
		  .free = 400 * KIB,
		  .number = 1,
		  .most = 100 * KIB,
		  .for_removals = true },
		{ .name = "a byte more",
		  .segments = { { OF(1, 1, 96 * KIB + 1, 640 * KIB) } },
		  .wanted = true,
		  .free = 400 * KIB },
		{ .name = "with tombstones",
		  .segments = { { OF(1, 1, 92 * KIB, 640 * KIB),
				  .tombstones = 32 } },
		  .wanted = true,
		  .free = 400 * KIB,
		  .number = 1,
		  .most = 100 * KIB,
		  .for_removals = true },
		{ .name = "with tombstones, a byte more",
		  .segments = { { OF(1, 1, 92 * KIB + 1, 640 * KIB),
				  .tombstones = 32 } },
		  .wanted = true,
		  .free = 400 * KIB },
		{ .name = "what a segment gives back",
		  .segments = { { OF(1, 1, 96 * KIB, 228 * KIB) } },
		  .wanted = true,
		  .free = MIB,
		  .number = 1,
		  .most = 100 * KIB,
		  .for_removals = true },
		{ .name = "what a piece gives back",
		  .segments = { { OF(1, 1, 88 * KIB, 100 * KIB),
				  .size = 256 * KIB } },
		  .wanted = true,
		  .free = 400 * KIB,
		  .number = 1,
		  .most = 92 * KIB,
		  .for_removals = true },
		{ .name = "of a piece, a byte more",
		  .segments = { { OF(1, 1, 88 * KIB + 1, 100 * KIB),
				  .size = 256 * KIB } },
		  .wanted = true,
		  .free = 400 * KIB },
		{ .name = "of a piece, all of the room",
		  .segments = { { OF(1, 1, 46 * KIB, 100 * KIB),
				  .size = 256 * KIB } },
		  .wanted = true,
		  .free = 50 * KIB,
		  .number = 1,
		  .most = 50 * KIB,
		  .for_removals = true },
		{ .name = "nobody wants it",
		  .segments = { { OF(1, 1, 96 * KIB, 640 * KIB) } },
		  .free = 400 * KIB },
		{ .name = "it is stuck",
		  .segments = { { OF(1, 1, 96 * KIB, 640 * KIB),
				  .stuck = true } },
		  .wanted = true,
		  .free = 400 * KIB },
		{ .name = "it is worth it, too",
		  .segments = { { OF(1, 1, 96 * KIB, 640 * KIB) } },
		  .wanted = true,
		  .pack = 200 * KIB,
		  .free = 400 * KIB,
		  .number = 1,
		  .most = 200 * KIB },
	};

	check_all(rows, N_ELEMENTS(rows));
}

/* On a full disk it is that by which most is won, whatever is left in it. */
static void test_which_wins_most(void **state ATTR_UNUSED)
{
	static const struct row rows[] = {
		{ .name = "more than what less is left of",
		  .segments = { { OF(10, 100, 200 * KIB, 200 * KIB) },
				{ OF(40, 100, 900 * KIB, 900 * KIB) },
				{ OF(30, 100, 300 * KIB, 300 * KIB) } },
		  .pack = MIB,
		  .number = 2,
		  .most = MIB },
		{ .name = "the first of those that are alike",
		  .segments = { { OF(60, 100, 900 * KIB, 900 * KIB) },
				{ OF(40, 100, 900 * KIB, 900 * KIB) },
				{ OF(40, 100, 900 * KIB, 900 * KIB) } },
		  .pack = MIB,
		  .number = 2,
		  .most = MIB },
		/* which take 100 KiB, and 120 */
		{ .name = "tombstones are no less",
		  .segments = { { OF(40, 100, 700 * KIB, 900 * KIB),
				  .tombstones = 960 },
				{ OF(40, 100, 700 * KIB, 900 * KIB),
				  .tombstones = 800 } },
		  .pack = MIB,
		  .number = 2,
		  .most = MIB },
		{ .name = "more than was written",
		  .segments = { { OF(1, 1, 100 * KIB, 100 * KIB),
				  .size = 512 * KIB },
				{ OF(1, 1, 64 * KIB, 128 * KIB) },
				{ OF(1, 1, 4 * KIB, 4 * KIB) } },
		  .active = 3,
		  .pack = MIB,
		  .number = 2,
		  .most = MIB },
	};

	check_all(rows, N_ELEMENTS(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where_there_is_space),
		cmocka_unit_test(test_what_has_room),
		cmocka_unit_test(test_what_wins_enough),
		cmocka_unit_test(test_what_is_in_the_way),
		cmocka_unit_test(test_which_wins_most),
	};

	return cmocka_run_group_tests_name("journal-victim", tests, NULL, NULL);
}
