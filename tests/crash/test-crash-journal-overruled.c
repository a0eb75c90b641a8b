/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store where what is older is in segments that stay, and what overrules it is in
   others that come and go: rewritten headers, copies, tombstones and those of tombstones. None
   of these may be written anew before what it overrules. */

#include "config.h"
#include "crash-spool.h"
#include "module-journal-private.h"
#include "journal/journal-private.h"
#include "spool-private.h"
#include "test-common.h"

/* Four blocks: three of them, and three tombstones, fill a segment. */
#define LARGE 14000

static void come_and_go(struct spool *spool, unsigned int *i,
			unsigned int count)
{
	for (; count > 0; count--, (*i)++) {
		crash_must_put(spool, *i, LARGE);
		crash_must_remove(spool, *i);
	}
}

/* Messages of a segment that stays are written once more, the headers alone or the body as
   well, and removed, each in a segment that has nothing else: none of these may be written
   anew before what is older than it. */
static void test_older_versions_stay_away(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i, n;

	for (i = 0; i < 12; i++)
		crash_must_put(spool, i, 100);
	come_and_go(spool, &i, 2);
	for (n = 0; n < 3; n++) {
		crash_must_rewrite(spool, n, n == 2);
		come_and_go(spool, &i, 3);
	}
	crash_must_rewrite(spool, 1, false);
	come_and_go(spool, &i, 3);
	for (n = 0; n < 3; n++) {
		crash_must_remove(spool, n);
		come_and_go(spool, &i, 3);
	}
	come_and_go(spool, &i, 9);
	/* all are still there that have to be */
	assert_true(crash_journal(spool)->segment_end > 5);
	crash_spool_end(&spool);
	crash_explore_all(1);
}

/* A segment with a tombstone and with newer headers, of messages in two that stay, is let go:
   two others say of these headers that they are removed, and keep away the older ones from
   then on. */
static void be_inherited(bool both)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i, n;

	for (i = 0; i < 28; i++)
		crash_must_put(spool, i, 100);
	come_and_go(spool, &i, 1);
	crash_must_remove(spool, 0);
	for (n = 20; n < 23; n++)
		crash_must_rewrite(spool, n, false);
	come_and_go(spool, &i, 3);
	crash_must_remove(spool, 20);
	/* one of them stays, as it has others */
	for (n = 0; n < (both ? 0 : 9); n++)
		crash_must_put(spool, i++, 100);
	for (n = 21; n < 23; n++) {
		come_and_go(spool, &i, 3);
		crash_must_remove(spool, n);
	}
	for (n = 0; n < 4; n++) {
		(void)crash_compact(spool);
		come_and_go(spool, &i, 3);
	}
	crash_spool_end(&spool);
	crash_explore_all(1);
}

static void test_heirs_keep_away_all(void **state ATTR_UNUSED)
{
	be_inherited(true);
	be_inherited(false);
}

/* Messages are moved out of a segment that stays, as it has a tombstone, and are removed where
   they are then: neither that copy nor what removed it may go before their source. */
static void test_sources_stay_away(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	uint64_t moved = 0;
	unsigned int i, n;

	for (i = 0; i < 15; i++)
		crash_must_put(spool, i, 100);
	crash_must_remove(spool, 0);
	come_and_go(spool, &i, 2);
	crash_must_put(spool, i++, 100);
	crash_must_put(spool, i++, 100);
	come_and_go(spool, &i, 1);
	assert_int_equal(
		journal_compact_some(crash_journal(spool), true, &moved), 1);
	assert_int_equal(moved, 2);
	come_and_go(spool, &i, 2);
	crash_must_remove(spool, 17);
	crash_must_remove(spool, 18);
	for (n = 0; n < 4; n++) {
		come_and_go(spool, &i, 3);
		/* something stays in what was written anew: then others are */
		crash_must_put(spool, i++, 100);
	}
	crash_spool_end(&spool);
	crash_explore_all(1);
}

/* The newest that a tombstone keeps away are headers without their body, which is in a segment
   before theirs. */
static void test_headers_alone_stay_away(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i, n;

	for (i = 0; i < 16; i++)
		crash_must_put(spool, i, 100);
	crash_must_rewrite(spool, 0, false);
	for (; i < 26; i++)
		crash_must_put(spool, i, 100);
	come_and_go(spool, &i, 1);
	crash_must_remove(spool, 0);
	for (n = 0; n < 4; n++) {
		come_and_go(spool, &i, 3);
		(void)crash_compact(spool);
	}
	crash_spool_end(&spool);
	crash_explore_all(1);
}

/* Headers that were written without their body are moved with the states that are behind them,
   and their segment is written anew. */
static void test_states_of_headers_alone(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin("", CRASH_SYNC_NONE);
	unsigned int i, n;

	crash_set_recipients(16);
	crash_must_put(spool, 0, 100);
	crash_set_recipients(0);
	for (i = 1; i < 15; i++)
		crash_must_put(spool, i, 100);
	/* once half of them have changed all is written */
	for (n = 0; n < 10; n++)
		assert_int_equal(crash_deliver(spool, 0), IO_DONE);
	come_and_go(spool, &i, 2);
	for (n = 0; n < 3; n++) {
		(void)crash_compact(spool);
		come_and_go(spool, &i, 4);
		assert_int_equal(crash_deliver(spool, 0), IO_DONE);
	}
	assert_int_equal(crash_version(spool, 0), 14);
	crash_spool_end(&spool);
	crash_explore_all(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_older_versions_stay_away),
		cmocka_unit_test(test_heirs_keep_away_all),
		cmocka_unit_test(test_sources_stay_away),
		cmocka_unit_test(test_headers_alone_stay_away),
		cmocka_unit_test(test_states_of_headers_alone),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-journal-overruled", tests,
					   NULL, NULL);
}
