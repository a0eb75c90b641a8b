/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which segments are needed, and which are worth emptying: numbers alone, without
   files; what a person is told of them; and who works at it. */

#include "config.h"
#include "file-ops.h"
#include "journal/journal-victim.h"
#include "journal/journal-worker.h"
#include "macros.h"
#include "mem.h"
#include "test-journal-common.h"
#include "test-mem-faults.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

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

/* That of which least is left; on a full disk that by which most is won, which may be another
   one. */
static void test_which_is_emptied(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t pack;
		uint32_t number;
		uint64_t most;
	} rows[] = { { UINT64_MAX, 2, UINT64_MAX }, { MIB, 3, MIB } };
	struct segments segments;
	struct journal_segment *all = segments.all;
	struct journal_victim victim;
	struct journal_rooms rooms;
	uint32_t i;

	begin(&segments);
	segments.journal.settings.segment_size = MIB;
	for (i = 1; i < N_ELEMENTS(segments.all); i++) {
		all[i].header.size = MIB;
		all[i].total = all[i].live = 100;
		all[i].taken = MIB / 4 * 3;
		all[i].pos = JOURNAL_BLOCK_SIZE + MIB / 4 * 3;
	}
	all[2].live = 30;
	all[2].taken = all[2].pos = MIB / 4;
	all[3].live = 40;
	all[4].live = 45;
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		/* what was stuck on a full disk is not for ever */
		all[2].stuck = rows[i].pack == UINT64_MAX;
		rooms.pack = rows[i].pack;
		rooms.free = MIB / 2;
		assert_true(journal_victim_find(&segments.journal, &rooms,
						&victim));
		assert_int_equal(victim.segment.header.number, rows[i].number);
		assert_false(victim.for_removals);
		assert_int_equal(victim.most, rows[i].most);
	}
	end(&segments);
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

/* What a segment has to outlive and has no note of is overruled for ever: it is not written
   anew. */
static void test_no_memory_for_a_note(void **state ATTR_UNUSED)
{
	struct segments segments;
	struct journal_segment *last = &segments.all[4];

	begin(&segments);
	journal_overrule(&segments.journal, 4, 2);
	test_mem_faults_begin(1, false);
	journal_overrule(&segments.journal, 4, 1);
	assert_int_equal(test_mem_faults_end(), 1);
	assert_int_equal(last->outlives_count, 1);
	assert_true(has_to_outlive(last, 2));
	assert_true(last->failed);
	end(&segments);
}

/* Who outlives one that goes outlives all that that one did, and it is dead: but that one
   first, whose records are there until it is written anew. */
static void test_what_is_bequeathed(void **state ATTR_UNUSED)
{
	struct segments segments;

	begin(&segments);
	journal_overrule(&segments.journal, 3, 1);
	journal_overrule(&segments.journal, 3, 2);
	journal_overrule(&segments.journal, 4, 3);
	journal_bequeath(&segments.journal, &segments.all[3]);
	assert_int_equal(segments.all[3].outlives_count, 0);
	assert_int_equal(segments.all[4].outlives_count, 3);
	assert_true(has_to_outlive(&segments.all[4], 1) &&
		    has_to_outlive(&segments.all[4], 2) &&
		    has_to_outlive(&segments.all[4], 3));
	assert_int_equal(segments.all[2].outlives_count, 0);
	journal_forget_segment(&segments.journal, 3);
	assert_int_equal(segments.all[4].outlives_count, 2);
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

/*
 * What a person is told
 */

/* What a stat says of a segment; its error, where it has one. */
static struct {
	const char *fails; /* the name */
	int error;
} looks;

static int look_fstatat(int dir_fd ATTR_UNUSED, const char *name,
			struct stat *st, int flags ATTR_UNUSED)
{
	if (looks.fails != NULL && strcmp(name, looks.fails) == 0) {
		errno = looks.error;
		return -1;
	}
	memset(st, 0, sizeof(*st));
	st->st_size = 1000000;
	st->st_blksize = 4096;
	st->st_blocks = 3;
	return 0;
}

/* What a segment takes on the disk is what it has of it, and one that was given up has
   nothing. */
static void test_what_segments_take(void **state ATTR_UNUSED)
{
	static const struct {
		const char *fails;
		int error, expected, ret;
		uint64_t count;
	} rows[] = {
		{ NULL, 0, 0, 0, 2 },
		{ "00000001.seg", ENOENT, 0, 0, 1 },
		{ "00000001.seg", EIO, EIO, -1, 0 },
		{ "00000002.seg", EIO, EIO, -1, 0 },
	};
	struct journal *journal = test_journal_new();
	struct file_ops ops = file_ops_system;
	struct spool_stats stats;
	unsigned int n;
	size_t i;
	int ret;

	for (n = 0; test_journal_active(journal) < 2; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	ops.fstatat = look_fstatat;
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		looks.fails = rows[i].fails;
		looks.error = rows[i].error;
		file_ops_set(&ops);
		ret = journal_get_stats(journal, &stats);
		n = (unsigned int)errno;
		file_ops_set(NULL);
		assert_int_equal(ret, rows[i].ret);
		if (ret < 0)
			assert_int_equal(n, rows[i].expected);
		else
			assert_int_equal(stats.segment_bytes,
					 rows[i].count * 3 * 512);
	}
	journal_close(&journal);
}

static void test_dead_segments_are_counted(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct spool_stats stats;
	unsigned int n;

	for (n = 0; test_journal_active(journal) < 2; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	assert_int_equal(journal_get_stats(journal, &stats), 0);
	assert_int_equal(stats.dead_segments, 0);
	assert_int_equal(stats.live_segments, 2);
	test_journal_drop_range(journal, 0, n);
	assert_int_equal(journal_get_stats(journal, &stats), 0);
	/* and where the tombstones are */
	assert_true(stats.dead_segments >= 2);
	assert_int_equal(stats.live_segments, 0);
	assert_int_equal(stats.live_records, 0);
	assert_true(stats.records > 0);
	journal_close(&journal);
}

/* Each in the last one whose number, of twos, it is not less than. */
static void test_histograms_have_an_end(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t value;
		unsigned int slot;
	} rows[] = {
		{ 0, 0 },           { 1, 0 },           { 2, 1 },
		{ 3, 1 },           { 4, 2 },           { UINT32_MAX / 2, 30 },
		{ UINT32_MAX, 31 }, { UINT64_MAX, 31 },
	};
	struct journal journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		memset(&journal, 0, sizeof(journal));
		journal_count_group(&journal, 1, true, rows[i].value);
		assert_int_equal(journal.stats.sync_usecs[rows[i].slot], 1);
		assert_int_equal(test_journal_sum(journal.stats.sync_usecs), 1);
	}
}

/*
 * Who works
 */

static struct {
	pthread_cond_t changed;
	unsigned int rounds;
	bool may_end;
} labour = { PTHREAD_COND_INITIALIZER, 0, false };

static void one_round(struct journal *journal)
{
	(void)pthread_mutex_lock(&journal->mutex);
	labour.rounds++;
	(void)pthread_cond_broadcast(&labour.changed);
	while (!labour.may_end)
		(void)pthread_cond_wait(&labour.changed, &journal->mutex);
	(void)pthread_mutex_unlock(&journal->mutex);
}

static void wait_for_round(struct journal *journal, unsigned int round)
{
	while (labour.rounds < round)
		(void)pthread_cond_wait(&labour.changed, &journal->mutex);
}

/* It may have looked already at what there is to do now. */
static void test_who_is_woken_at_work_works_again(void **state ATTR_UNUSED)
{
	struct journal_worker *worker;
	struct journal journal;

	memset(&journal, 0, sizeof(journal));
	assert_int_equal(pthread_mutex_init(&journal.mutex, NULL), 0);
	worker = journal_worker_start(&journal, one_round);
	assert_non_null(worker);
	(void)pthread_mutex_lock(&journal.mutex);
	journal_worker_wake(worker);
	wait_for_round(&journal, 1);
	journal_worker_wake(worker);
	labour.may_end = true;
	(void)pthread_cond_broadcast(&labour.changed);
	wait_for_round(&journal, 2);
	(void)pthread_mutex_unlock(&journal.mutex);
	journal_worker_stop(worker);
	journal_worker_free(&worker);
	(void)pthread_mutex_destroy(&journal.mutex);
}

static struct {
	struct journal_worker *worker;
	uint64_t rested;
	bool goes_on;
} rest;

static void rest_once(struct journal *journal)
{
	uint64_t before = journal_now_usecs();

	rest.goes_on = journal_worker_rest(rest.worker, 20000);
	rest.rested = journal_now_usecs() - before;
	(void)pthread_mutex_lock(&journal->mutex);
	labour.rounds = 1;
	(void)pthread_cond_broadcast(&labour.changed);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* Not less than it was told; one that nobody has does not. */
static void test_a_rest_lasts(void **state ATTR_UNUSED)
{
	struct journal journal;

	memset(&journal, 0, sizeof(journal));
	assert_int_equal(pthread_mutex_init(&journal.mutex, NULL), 0);
	labour.rounds = 0;
	rest.worker = journal_worker_start(&journal, rest_once);
	assert_non_null(rest.worker);
	(void)pthread_mutex_lock(&journal.mutex);
	journal_worker_wake(rest.worker);
	wait_for_round(&journal, 1);
	(void)pthread_mutex_unlock(&journal.mutex);
	assert_true(rest.goes_on);
	assert_true(rest.rested >= 20000);
	journal_worker_stop(rest.worker);
	/* it is to end: nobody waits */
	assert_false(journal_worker_rest(rest.worker, UINT32_MAX));
	journal_worker_free(&rest.worker);
	assert_true(journal_worker_rest(NULL, UINT32_MAX));
	(void)pthread_mutex_destroy(&journal.mutex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_half_empty),
		cmocka_unit_test(test_which_is_emptied),
		cmocka_unit_test(test_what_a_segment_outlives),
		cmocka_unit_test(test_no_memory_for_a_note),
		cmocka_unit_test(test_what_is_bequeathed),
		cmocka_unit_test(test_what_was_kept_is_tried_again),
		cmocka_unit_test(test_what_segments_take),
		cmocka_unit_test(test_dead_segments_are_counted),
		cmocka_unit_test(test_histograms_have_an_end),
		cmocka_unit_test(test_who_is_woken_at_work_works_again),
		cmocka_unit_test(test_a_rest_lasts),
	};

	return cmocka_run_group_tests_name("journal-account", tests, NULL,
					   NULL);
}
