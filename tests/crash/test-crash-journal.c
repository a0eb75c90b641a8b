/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store through every power cut: what was acknowledged is there, byte for
   byte; what was removed stays away; the rest is whole or absent; nothing is put
   aside. Segments fill, die and are written anew meanwhile, so that what is stale in
   them is under a new header. And the same with one sync left out, for each. */

#include "config.h"
#include "crash-spool.h"
#include "module-journal-private.h"
#include "journal/journal-private.h"
#include "spool-private.h"
#include "test-common.h"

/* How many messages are there at a time. */
#define ALIVE 5
#define LAST 32
/* The first one stays so long: meanwhile the segments behind its own may not be
   written anew, as tombstones of its neighbours are in them. */
#define FIRST_STAYS 10
/* Goes to a file of its own. */
#define LARGE 30000

/* Smaller than a sector, than a block, and of several blocks. */
static size_t size_of(unsigned int i)
{
	static const size_t sizes[] = { 100, 3000, 9000, 700, 14000 };

	return sizes[i % N_ELEMENTS(sizes)];
}

static void workload(const char *stack, enum crash_sync sync)
{
	struct spool *spool;
	unsigned int i;

	spool = crash_journal_begin(stack, sync);
	for (i = 0; i < LAST; i++) {
		crash_must_put(spool, i, size_of(i));
		/* those whose headers, or bodies as well, are changed */
		if (i % 4 == 3)
			assert_int_equal(crash_rewrite(spool, i - 2,
						       i % 8 == 3),
					 IO_DONE);
		if (i == FIRST_STAYS)
			crash_must_remove(spool, 0);
		if (i > ALIVE)
			crash_must_remove(spool, i - ALIVE);
	}
	crash_spool_end(&spool);
}

static void test_every_power_cut(void **state ATTR_UNUSED)
{
	static const struct {
		const char *stack;
		unsigned int states;
	} rounds[] = { { "", 4 }, { "gzip", 2 } };
	struct crash_keeping keeping = { 0 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(rounds); i++) {
		workload(rounds[i].stack, CRASH_SYNC_NONE);
		/* the same file was several ones */
		assert_true(crash_sync_count(CRASH_SYNC_SEGMENT_HEADER) > 1);
		assert_true(crash_must_hold(&keeping, rounds[i].states) >
			    300 / TEST_STEP);
	}
	crash_forget();
}

/* Too large for a segment, which has the headers alone: bodies in files come, take the
   place of others, or of small ones, and go. */
static void large_workload(enum crash_sync sync)
{
	struct spool *spool = crash_journal_begin("", sync);
	unsigned int i;

	for (i = 0; i < 6; i++) {
		crash_must_put(spool, i, i % 3 == 2 ? 9000 : LARGE);
		if (i % 3 == 1)
			/* half of it is small */
			assert_int_equal(crash_rewrite(spool, i, true),
					 IO_DONE);
		if (i > 1)
			crash_must_remove(spool, i - 2);
	}
	crash_must_put(spool, i, 2 * LARGE);
	assert_int_equal(crash_rewrite(spool, i, true), IO_DONE);
	assert_int_equal(crash_rewrite(spool, i, false), IO_DONE);
	crash_spool_end(&spool);
}

static void test_large_bodies(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { 0 };

	large_workload(CRASH_SYNC_NONE);
	assert_true(crash_sync_count(CRASH_SYNC_BODY_DATA) >= 6);
	assert_true(crash_must_hold(&keeping, 8) > 300 / TEST_STEP);
	crash_forget();
}

/* Segments become half empty, and are emptied: of messages, of rewritten ones, and of
   bodies and headers that were written apart. Some of those that were moved go, and so
   do blocks; what is dead is written anew. */
static void compaction_workload(enum crash_sync sync)
{
	struct spool *spool = crash_journal_begin("", sync);
	unsigned int i;

	for (i = 0; i < 20; i++) {
		crash_must_put(spool, i, size_of(i));
		if (i % 6 == 1)
			assert_int_equal(crash_rewrite(spool, i, i % 4 == 1),
					 IO_DONE);
	}
	for (i = 0; i < 20; i++) {
		/* of 7 headers and body are not neighbours */
		if (i % 5 != 1 && i != 7)
			crash_must_remove(spool, i);
	}
	assert_true(crash_compact(spool) > 0);
	crash_must_remove(spool, 1);
	assert_int_equal(crash_rewrite(spool, 6, false), IO_DONE);
	for (i = 20; i < 28; i++) {
		crash_must_put(spool, i, size_of(i));
		if (i % 2 == 0)
			crash_must_remove(spool, i);
	}
	(void)crash_compact(spool);
	crash_must_remove(spool, 11);
	for (i = 28; i < 32; i++)
		crash_must_put(spool, i, size_of(i));
	crash_spool_end(&spool);
}

static void test_compaction(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { 0 };

	compaction_workload(CRASH_SYNC_NONE);
	assert_true(crash_must_hold(&keeping, 4) > 300 / TEST_STEP);
	crash_forget();
}

/* A segment stays, and its tombstones are carried from one that goes to another; one of
   its messages was written anew, and goes. */
static void carry_workload(enum crash_sync sync)
{
	struct spool *spool = crash_journal_begin("", sync);
	unsigned int i;

	for (i = 0; i < 8; i++)
		crash_must_put(spool, i, 100);
	assert_int_equal(crash_rewrite(spool, 2, true), IO_DONE);
	crash_must_remove(spool, 1);
	for (; i < 30; i++) {
		crash_must_put(spool, i, 100);
		if (i > 8)
			crash_must_remove(spool, i - 1);
		if (i % 8 == 4)
			(void)crash_compact(spool);
		if (i == 16)
			crash_must_remove(spool, 2);
	}
	(void)crash_compact(spool);
	crash_spool_end(&spool);
}

static void test_carrying(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { 0 };

	carry_workload(CRASH_SYNC_NONE);
	assert_true(crash_must_hold(&keeping, 4) > 300 / TEST_STEP);
	crash_forget();
}

/* Segments are made before they are needed, as new files or from those that gave their
   blocks back. */
static void ahead_workload(enum crash_sync sync)
{
	struct spool *spool = crash_journal_begin("", sync);
	struct journal *journal = journal_store(spool->store)->journal;
	unsigned int i;

	crash_must_put(spool, 0, 100);
	crash_must_put(spool, 1, 100);
	for (i = 2; i < 30; i++) {
		if (i % 3 == 0)
			journal_segment_make_ahead(journal);
		crash_must_put(spool, i, size_of(i));
		/* the same ones in one segment after the other */
		assert_int_equal(crash_rewrite(spool, i % 2, i % 4 == 3),
				 IO_DONE);
		if (i > 3)
			crash_must_remove(spool, i - 2);
		if (i % 10 == 9)
			(void)crash_compact(spool);
	}
	crash_spool_end(&spool);
}

static void test_making_ahead(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { 0 };

	ahead_workload(CRASH_SYNC_NONE);
	assert_true(crash_must_hold(&keeping, 4) > 300 / TEST_STEP);
	crash_forget();
}

/* States of recipients are written apart, moved with their headers or alone, and folded
   into them. */
static void states_workload(enum crash_sync sync)
{
	struct spool *spool = crash_journal_begin("", sync);
	unsigned int i, n;

	crash_set_recipients(16);
	for (i = 0; i < 3; i++)
		crash_must_put(spool, i, 100);
	for (n = 0; n < 12; n++) {
		assert_int_equal(crash_deliver(spool, 0), IO_DONE);
		if (n % 3 == 0)
			assert_int_equal(crash_deliver(spool, 1), IO_DONE);
		crash_must_put(spool, i, 100);
		crash_must_remove(spool, i++);
		if (n % 4 == 3)
			(void)crash_compact(spool);
	}
	crash_must_remove(spool, 1);
	(void)crash_compact(spool);
	crash_spool_end(&spool);
	crash_set_recipients(0);
}

static void test_states(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { 0 };

	states_workload(CRASH_SYNC_NONE);
	assert_true(crash_must_hold(&keeping, 4) > 300 / TEST_STEP);
	crash_forget();
}

typedef void workload_t(enum crash_sync sync);

static void small_workload(enum crash_sync sync)
{
	workload("", sync);
}

/* Each mutant must be noticed. */
static void ATTR_UNUSED test_every_sync_is_needed(void **state ATTR_UNUSED)
{
	static const struct {
		enum crash_sync sync;
		const char *name;
		workload_t *workload;
	} mutants[] = {
		{ CRASH_SYNC_SEGMENT_DATA, "a new segment's data",
		  small_workload },
		{ CRASH_SYNC_SEGMENT_NAME, "a new segment's name",
		  small_workload },
		{ CRASH_SYNC_SEGMENT_HEADER,
		  "the header of one that is "
		  "written anew",
		  small_workload },
		{ CRASH_SYNC_GROUP, "a group", small_workload },
		{ CRASH_SYNC_GROUP, "a group of moved ones",
		  compaction_workload },
		{ CRASH_SYNC_GROUP, "a group of states", states_workload },
		{ CRASH_SYNC_BODY_DATA, "a body's file", large_workload },
		{ CRASH_SYNC_BODY_NAME, "its name", large_workload },
	};
	struct crash_keeping keeping = { 0 };
	size_t i;

	for (i = 0; i < N_ELEMENTS(mutants); i++) {
		mutants[i].workload(mutants[i].sync);
		crash_must_break(mutants[i].sync, mutants[i].name, &keeping);
	}
	crash_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_power_cut),
		cmocka_unit_test(test_large_bodies),
		cmocka_unit_test(test_compaction),
		cmocka_unit_test(test_carrying),
		cmocka_unit_test(test_making_ahead),
		cmocka_unit_test(test_states),
#if TEST_STEP == 1
		cmocka_unit_test(test_every_sync_is_needed),
#endif
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-journal", tests, NULL, NULL);
}
