/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which records of a segment a range that is void has. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "test-journal-common.h"
#include "test-mem-faults.h"

#include <string.h>

/* All of a record has to be in the range that was declared, of this life of the segment. */
static void test_what_a_range_covers(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t pos, size;
		bool of_this_life, is_void;
	} rows[] = {
		{ 4096, 4096, true, true },
		{ 4096, 8192, true, true },
		{ 4096 + 8192 - JOURNAL_ALIGN, JOURNAL_ALIGN, true, true },
		{ 4096 - JOURNAL_ALIGN, 4096, true, false },
		{ 4096, 8192 + JOURNAL_ALIGN, true, false },
		{ 4096 + 8192, JOURNAL_ALIGN, true, false },
		{ 4096, 4096, false, false },
	};
	struct journal_target range = { .offset = 4096 / JOURNAL_ALIGN,
					.size = 8192 / JOURNAL_ALIGN };
	struct journal *journal = test_journal_new();
	struct journal_segment segment;
	size_t i;

	assert_int_equal(test_journal_store(journal, 0), 0);
	memcpy(range.incarnation, journal->segments[1]->header.incarnation,
	       sizeof(range.incarnation));
	/* who is told that it could not be noted does not go on */
	test_mem_faults_begin(1, true);
	assert_false(journal_note_void(journal, &range));
	(void)test_mem_faults_end();
	assert_true(journal_note_void(journal, &range));
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		segment = *journal->segments[1];
		segment.header.incarnation[0] ^= rows[i].of_this_life ? 0 : 1;
		if (journal_is_void(journal, &segment, rows[i].pos,
				    rows[i].size) != rows[i].is_void)
			fail_msg("row %zu", i);
	}
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_a_range_covers),
	};

	return cmocka_run_group_tests_name("journal-void-range", tests, NULL,
					   NULL);
}
