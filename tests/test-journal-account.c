/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which segments are needed, and which are worth emptying: numbers alone, without
   files. */

#include "config.h"
#include "macros.h"
#include "mem.h"
#include "test-journal-common.h"

#include <malloc.h>
#include <sys/resource.h>

#define MIB ((uint64_t)1024 * 1024)

static void test_half_empty(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t live, total, taken, written;
		unsigned int outlives;
		bool half_empty;
	} rows[] = {
		/* of the records */
		{ 0, 10, MIB, MIB, 0, true },
		{ 5, 10, MIB, MIB, 0, true },
		{ 6, 10, MIB, MIB, 0, false },
		{ 5, 10, MIB, MIB, 1, true },
		{ 2, 5, MIB, MIB, 0, true },
		{ 3, 5, MIB, MIB, 0, false },
		/* of the bytes, where tombstones have the rest */
		{ 6, 10, MIB / 2, MIB, 0, true },
		{ 10, 10, MIB / 2, MIB, 0, true },
		{ 10, 10, MIB / 2 + 1, MIB, 0, false },
		/* the first block is no record's */
		{ 10, 10, 4 * 4096, 7 * 4096, 0, false },
		/* but not where they are needed */
		{ 6, 10, MIB / 2, MIB, 1, false },
		/* the largest segment */
		{ 900000, 1000000, 4096 * MIB, 4096 * MIB, 0, false },
	};
	struct journal_segment segment;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		memset(&segment, 0, sizeof(segment));
		segment.live = rows[i].live;
		segment.total = rows[i].total;
		segment.taken = rows[i].taken;
		segment.pos = JOURNAL_BLOCK_SIZE + rows[i].written;
		segment.outlives_count = rows[i].outlives;
		if (journal_half_empty(&segment) != rows[i].half_empty)
			fail_msg("row %zu", i);
	}
}

/* Segments 1 to 4. */
struct segments {
	struct journal journal;
	struct journal_segment all[5], *table[5];
};

static void begin(struct segments *segments)
{
	uint32_t i;

	memset(segments, 0, sizeof(*segments));
	for (i = 1; i < N_ELEMENTS(segments->all); i++) {
		segments->all[i].header.number = i;
		segments->table[i] = &segments->all[i];
	}
	segments->journal.segments = segments->table;
	segments->journal.segment_end = N_ELEMENTS(segments->all);
}

static void end(struct segments *segments)
{
	uint32_t i;

	for (i = 1; i < N_ELEMENTS(segments->all); i++)
		i_free(segments->all[i].outlives);
}

static bool has_to_outlive(const struct journal_segment *segment, uint32_t old)
{
	unsigned int i, found = 0;

	for (i = 0; i < segment->outlives_count; i++)
		found += segment->outlives[i] == old;
	assert_true(found <= 1);
	return found == 1;
}

static void test_what_a_segment_outlives(void **state ATTR_UNUSED)
{
	struct segments segments;
	struct journal_segment *last = &segments.all[4];

	begin(&segments);
	journal_overrule(&segments.journal, 4, 4);
	assert_int_equal(last->outlives_count, 0);
	journal_overrule(&segments.journal, 4, 1);
	journal_overrule(&segments.journal, 4, 2);
	journal_overrule(&segments.journal, 4, 3);
	journal_overrule(&segments.journal, 4, 2);
	assert_int_equal(last->outlives_count, 3);
	/* the one that goes first is not the last of them */
	journal_forget_segment(&segments.journal, 1);
	assert_true(has_to_outlive(last, 2) && has_to_outlive(last, 3));
	journal_forget_segment(&segments.journal, 2);
	assert_int_equal(last->outlives_count, 1);
	assert_true(has_to_outlive(last, 3));
	journal_forget_segment(&segments.journal, 2);
	journal_forget_segment(&segments.journal, 3);
	assert_int_equal(last->outlives_count, 0);
	end(&segments);
}

/* A sanitizer has memory of its own, and ends the program where there is none. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAN_LIMIT_MEMORY false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CAN_LIMIT_MEMORY false
#endif
#endif
#ifndef CAN_LIMIT_MEMORY
#define CAN_LIMIT_MEMORY true
#endif

/* Blocks of this size are the kernel's, and grow only where it gives more. */
#define LARGE_BLOCK ((size_t)4 * 1024 * 1024)

/* With so little memory that this call has none; false: it has. */
static bool overrule_without_memory(struct journal *journal, uint32_t by,
				    uint32_t old)
{
	struct rlimit limit, none;
	void *probe;

	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	probe = try_malloc(LARGE_BLOCK);
	if (probe == NULL)
		journal_overrule(journal, by, old);
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	i_free(probe);
	return probe == NULL;
}

/* What a segment has to outlive and has no note of is overruled for ever: it is not written
   anew. */
static void test_no_memory_for_a_note(void **state ATTR_UNUSED)
{
	struct segments segments;
	struct journal_segment *last = &segments.all[4];
	unsigned int i;

	begin(&segments);
	last->outlives = try_malloc(LARGE_BLOCK);
	assert_non_null(last->outlives);
	/* not one number more fits into it */
	last->outlives_count =
		(unsigned int)(malloc_usable_size(last->outlives) /
			       sizeof(*last->outlives));
	for (i = 0; i < last->outlives_count; i++)
		last->outlives[i] = 100 + i;
	if (CAN_LIMIT_MEMORY &&
	    overrule_without_memory(&segments.journal, 4, 1)) {
		assert_int_equal(last->outlives_count, i);
		assert_true(last->failed);
	} else {
		printf("NOT RUN: memory cannot be made to fail here\n");
	}
	end(&segments);
}

/* Who outlives one that goes outlives all that that one did, and it is dead. */
static void test_what_is_bequeathed(void **state ATTR_UNUSED)
{
	struct segments segments;

	begin(&segments);
	journal_overrule(&segments.journal, 3, 1);
	journal_overrule(&segments.journal, 3, 2);
	journal_overrule(&segments.journal, 4, 3);
	journal_bequeath(&segments.journal, &segments.all[3]);
	assert_int_equal(segments.all[3].outlives_count, 0);
	assert_int_equal(segments.all[4].outlives_count, 2);
	assert_true(has_to_outlive(&segments.all[4], 1) &&
		    has_to_outlive(&segments.all[4], 2));
	end(&segments);
}

/* What could not be moved or carried is looked at again when that may have changed: its
   last message goes, or a segment that it holds back for. */
static void test_what_was_kept_is_tried_again(void **state ATTR_UNUSED)
{
	const struct journal_place place = { .segment = 2, .offset = 64 };
	struct segments segments;
	struct journal_segment *segment = &segments.all[2];

	begin(&segments);
	journal_account(&segments.journal, &place, 1);
	journal_account(&segments.journal, &place, 1);
	segment->kept = true;
	journal_account(&segments.journal, &place, -1);
	assert_true(segment->kept);
	journal_account(&segments.journal, &place, -1);
	assert_false(segment->kept);
	assert_int_equal(segment->total, 2);

	journal_overrule(&segments.journal, 2, 1);
	segment->kept = true;
	journal_forget_segment(&segments.journal, 3);
	assert_true(segment->kept);
	journal_forget_segment(&segments.journal, 1);
	assert_false(segment->kept);
	end(&segments);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_empty),
		cmocka_unit_test(test_what_a_segment_outlives),
		cmocka_unit_test(test_no_memory_for_a_note),
		cmocka_unit_test(test_what_is_bequeathed),
		cmocka_unit_test(test_what_was_kept_is_tried_again),
	};

	return cmocka_run_group_tests_name("journal-account", tests, NULL,
					   NULL);
}
