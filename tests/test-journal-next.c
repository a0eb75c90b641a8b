/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which segment of a journal is written next, who makes it, and when. What a thread of the
   journal's own writes is told apart by whose thread it is. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "test-journal-common.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* It is written in many pieces, each of which is synced. */
#define SEGMENT_SIZE ((uint64_t)16 * 1024 * 1024)
/* So many fill a segment. */
#define LARGE_SIZE ((size_t)1024 * 1024)
#define LARGE_COUNT 15
/* Small ones, that are kept for removals on a full disk, are made before it. */
#define PIECES 2u

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	pthread_t writer;     /* who is not the journal's */
	unsigned int syncs;   /* of others, that began */
	unsigned int allowed; /* that may end */
	unsigned int writer_syncs;
	unsigned int made, made_by_writer;
} seen = { .mutex = PTHREAD_MUTEX_INITIALIZER,
	   .changed = PTHREAD_COND_INITIALIZER };

static bool is_writer(void)
{
	return pthread_equal(pthread_self(), seen.writer) != 0;
}

static int held_fdatasync(int fd)
{
	unsigned int number;

	(void)pthread_mutex_lock(&seen.mutex);
	if (!is_writer()) {
		number = ++seen.syncs;
		(void)pthread_cond_broadcast(&seen.changed);
		while (number > seen.allowed)
			(void)pthread_cond_wait(&seen.changed, &seen.mutex);
	} else {
		seen.writer_syncs++;
		(void)pthread_cond_broadcast(&seen.changed);
	}
	(void)pthread_mutex_unlock(&seen.mutex);
	return file_ops_system.fdatasync(fd);
}

/* A segment gets its name. */
static int counting_renameat2(int from_fd, const char *from, int to_fd,
			      const char *to, unsigned int flags)
{
	int ret = file_ops_system.renameat2(from_fd, from, to_fd, to, flags);

	(void)pthread_mutex_lock(&seen.mutex);
	seen.made++;
	seen.made_by_writer += is_writer();
	(void)pthread_cond_broadcast(&seen.changed);
	(void)pthread_mutex_unlock(&seen.mutex);
	return ret;
}

static void allow_syncs(unsigned int count)
{
	(void)pthread_mutex_lock(&seen.mutex);
	seen.allowed = count;
	(void)pthread_cond_broadcast(&seen.changed);
	(void)pthread_mutex_unlock(&seen.mutex);
}

static void wait_for_syncs(unsigned int count)
{
	(void)pthread_mutex_lock(&seen.mutex);
	while (seen.syncs < count)
		(void)pthread_cond_wait(&seen.changed, &seen.mutex);
	(void)pthread_mutex_unlock(&seen.mutex);
}

static void wait_for_made(unsigned int count)
{
	(void)pthread_mutex_lock(&seen.mutex);
	while (seen.made < count)
		(void)pthread_cond_wait(&seen.changed, &seen.mutex);
	(void)pthread_mutex_unlock(&seen.mutex);
}

static unsigned int get(const unsigned int *what)
{
	unsigned int value;

	(void)pthread_mutex_lock(&seen.mutex);
	value = *what;
	(void)pthread_mutex_unlock(&seen.mutex);
	return value;
}

/* A new journal with threads, whose syncs are held from the first on if allowed is 0. */
static struct journal *begin(unsigned int allowed, uint64_t size)
{
	struct journal_settings settings = { .segment_size = size,
					     .upkeep = true };
	static struct file_ops ops;

	seen.writer = pthread_self();
	seen.syncs = seen.made = seen.made_by_writer = 0;
	seen.writer_syncs = 0;
	seen.allowed = allowed;
	ops = file_ops_system;
	ops.fdatasync = held_fdatasync;
	ops.renameat2 = counting_renameat2;
	file_ops_set(&ops);
	test_journal_new_dir();
	return test_journal_open_with(settings);
}

static void end(struct journal **journal)
{
	journal_close(journal);
	file_ops_set(NULL);
}

/* One that has the large body. */
static void store_large(struct journal *journal, unsigned int n)
{
	unsigned char *body = calloc(1, LARGE_SIZE);
	struct test_journal_put put;
	struct journal_entry entry;

	assert_non_null(body);
	test_journal_make_put(&put, n, 1);
	put.request.records[0].data = body;
	put.request.records[0].size = LARGE_SIZE;
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	journal_release(journal, &put.request.records[0].id);
	free(body);
}

static void store_segment(struct journal *journal, unsigned int first)
{
	unsigned int n;

	for (n = 0; n < LARGE_COUNT; n++)
		store_large(journal, first + n);
}

/* As many as go in while the next one is made: the rest is for who removes. */
static void store_most(struct journal *journal, unsigned int first)
{
	unsigned int n;

	for (n = 0; n < LARGE_COUNT - 1; n++)
		store_large(journal, first + n);
}

static unsigned int count_segments(void)
{
	return test_journal_files_in("journal");
}

static void test_one_is_made_ahead(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(UINT_MAX, SEGMENT_SIZE);
	unsigned int round;

	for (round = 0; round < 3; round++) {
		store_most(journal, round * LARGE_COUNT);
		wait_for_made(round + 2 + PIECES);
		/* who is faster than that waits for it, or makes it himself */
		store_large(journal, round * LARGE_COUNT + LARGE_COUNT - 1);
	}
	/* the first one nobody could know of */
	assert_int_equal(get(&seen.made_by_writer), 1);
	assert_int_equal(count_segments(), 4 + PIECES);
	end(&journal);
}

/* Or only when hardly anything is left for who removes. */
static void test_nobody_waits_for_it(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(0, SEGMENT_SIZE);

	store_most(journal, 0);
	assert_int_equal(get(&seen.made), 1);
	allow_syncs(UINT_MAX);
	end(&journal);
}

/* It is told from one whose messages went, also by the next start. */
static void test_one_that_waits_is_blank(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct spool_stats stats;
	unsigned int i;

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_segment_make_ahead(journal);
	for (i = 0; i < 2; i++) {
		assert_int_equal(journal_get_stats(journal, &stats), 0);
		assert_int_equal(stats.blank_segments, 1);
		assert_int_equal(stats.dead_segments, 0);
		journal_close(&journal);
		journal = test_journal_open(false);
	}
	journal_close(&journal);
}

/* One that is used begins with what its header says, which nothing has that was in it
   before. */
static void test_one_that_is_used_is_another(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned char before[JOURNAL_INCARNATION_SIZE];
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	struct journal_segment *segment;
	struct journal_header header;
	uint64_t first;

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_segment_make_ahead(journal);
	segment = journal->segments[journal->segment_end - 1];
	assert_true(segment->blank && !journal_is_small(journal, segment));
	memcpy(before, segment->header.incarnation, sizeof(before));
	journal_begin_commit(journal);
	assert_ptr_equal(journal_segment_next(journal, JOURNAL_USE_GROW),
			 segment);
	journal_end_commit(journal);
	assert_memory_not_equal(segment->header.incarnation, before,
				sizeof(before));
	first = segment->header.first_sequence;
	journal_close(&journal);
	/* that nothing was written in it is no reason for another one to have it */
	journal = test_journal_open(false);
	assert_true(journal->next_sequence > first);
	journal_begin_commit(journal);
	segment = journal_segment_next(journal, JOURNAL_USE_GROW);
	journal_end_commit(journal);
	assert_non_null(segment);
	assert_int_equal(test_journal_store(journal, 2), 0);
	assert_ptr_equal(journal->active, segment);
	assert_int_equal(journal_file_read(segment->file, bytes, sizeof(bytes),
					   JOURNAL_BLOCK_SIZE),
			 1);
	assert_true(journal_header_get(&header, segment->header.incarnation,
				       bytes));
	assert_int_equal(header.sequence, segment->header.first_sequence);
	journal_close(&journal);
}

/* A disk has 64 of them, or it has them as small as they can be. */
static void test_as_large_as_suits_the_disk(void **state ATTR_UNUSED)
{
	static const struct {
		bool fails;
		uint64_t disk, size; /* in MiB */
	} rows[] = {
		{ false, 0, 64 },       { true, 100, 64 },
		{ false, 1000000, 64 }, { false, 4096, 64 },
		{ false, 4095, 32 },    { false, 400, 4 },
		{ false, 100, 1 },      { false, 1, 1 },
	};
	const struct journal_settings settings = {
		.warning = test_journal_count_warning
	};
	struct file_ops ops = file_ops_system;
	struct journal *journal;
	char *error;
	size_t i;

	ops.fstatvfs = test_telling_fstatvfs;
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_journal_new_dir();
		test_told.fails = rows[i].fails;
		test_told.blocks = rows[i].disk * 1024 * 1024 / 4096;
		file_ops_set(&ops);
		journal = journal_open(test_journal.dir_fd, test_journal.dir,
				       &settings, &error);
		file_ops_set(NULL);
		test_told.fails = false;
		assert_non_null(journal);
		assert_true(journal->settings.segment_size ==
			    rows[i].size * 1024 * 1024);
		journal_close(&journal);
	}
}

static void test_a_small_journal_has_one(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(UINT_MAX, SEGMENT_SIZE);

	store_large(journal, 1);
	assert_false(journal->was_ahead_asked);
	store_large(journal, 2);
	assert_true(journal->was_ahead_asked);
	end(&journal);
}

/* What was made ahead is behind what was written meanwhile: else the next start would
   take the first of two versions for the last. */
static void test_the_order_is_that_of_writing(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(UINT_MAX, SEGMENT_SIZE);
	const struct journal_segment *segment, *before;

	store_segment(journal, 0);
	wait_for_made(2);
	before = journal->active;
	store_large(journal, LARGE_COUNT);
	segment = journal->active;
	assert_ptr_not_equal(segment, before);
	assert_true(segment->header.first_sequence >
		    before->header.first_sequence + 2);
	end(&journal);
}

static void *store_one(void *journal)
{
	store_large(journal, 100);
	return NULL;
}

/* Whether somebody waits for a segment. */
static void wait_for_wanted(struct journal *journal)
{
	bool wanted;

	do {
		(void)sched_yield();
		(void)pthread_mutex_lock(&journal->mutex);
		wanted = journal->next_wanted;
		(void)pthread_mutex_unlock(&journal->mutex);
	} while (!wanted);
}

/* It is half made when it is needed: it is made to the end, without a rest, and not
   twice. */
static void test_who_needs_it_waits_for_it(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(0, SEGMENT_SIZE);
	pthread_t thread;

	store_most(journal, 0);
	wait_for_syncs(1);
	assert_int_equal(pthread_create(&thread, NULL, store_one, journal), 0);
	wait_for_wanted(journal);
	assert_int_equal(get(&seen.syncs), 1);
	allow_syncs(UINT_MAX);
	assert_int_equal(pthread_join(thread, NULL), 0);
	/* that one, one of each that is whole, and the group's, which has the rest */
	assert_int_equal(seen.syncs, 3 + PIECES);
	assert_int_equal(seen.made, 2 + PIECES);
	assert_int_equal(seen.made_by_writer, 1);
	end(&journal);
	assert_int_equal(count_segments(), 2 + PIECES);
}

static void *close_it(void *journal)
{
	struct journal *closed = journal;

	journal_close(&closed);
	return NULL;
}

/* Closing does not wait for all of it; nothing stays of what was begun. */
static void test_closing_ends_it(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(0, SEGMENT_SIZE);
	pthread_t thread;

	store_most(journal, 0);
	wait_for_syncs(1);
	/* nor does the upkeep wait, which closing ends before */
	assert_false(journal_segment_cut_one(journal, false));
	assert_int_equal(pthread_create(&thread, NULL, close_it, journal), 0);
	while (journal_worker_rest(journal->maker, 0))
		(void)sched_yield();
	allow_syncs(UINT_MAX);
	assert_int_equal(pthread_join(thread, NULL), 0);
	file_ops_set(NULL);
	assert_int_equal(seen.syncs, 1);
	assert_int_equal(seen.made, 1);
	assert_int_equal(count_segments(), 1);
}

#define DEAD 5

static void *allow_when_blank(void *context)
{
	const unsigned int *count = context;

	(void)pthread_mutex_lock(&seen.mutex);
	while (seen.writer_syncs < *count)
		(void)pthread_cond_wait(&seen.changed, &seen.mutex);
	(void)pthread_mutex_unlock(&seen.mutex);
	allow_syncs(UINT_MAX);
	return NULL;
}

/* Who asks for blocks to be given back gets them, also while one is being made: it is the
   upkeep that comes again. */
static void
test_compaction_waits_for_the_one_that_is_made(void **state ATTR_UNUSED)
{
	struct journal *journal = begin(UINT_MAX, SEGMENT_SIZE);
	struct spool_stats stats;
	unsigned int n, count;
	pthread_t thread;
	uint64_t moved;

	journal_worker_stop(journal->upkeep);
	journal_worker_free(&journal->upkeep);
	for (n = 0; n < DEAD; n++) {
		store_segment(journal, n * LARGE_COUNT);
		wait_for_made(n + 2 + PIECES);
	}
	count = get(&seen.syncs);
	allow_syncs(count);
	for (n = 0; n < 3; n++)
		store_large(journal, DEAD * LARGE_COUNT + n);
	wait_for_syncs(count + 1);
	for (n = 0; n < DEAD * LARGE_COUNT; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	count = get(&seen.writer_syncs) + DEAD;
	assert_int_equal(
		pthread_create(&thread, NULL, allow_when_blank, &count), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(journal_get_stats(journal, &stats), 0);
	assert_true(stats.cut_segments >= DEAD - 2);
	end(&journal);
}

/*
 * All at once
 */

#define CROWD 3
#define EACH 600
#define STAYS(n) ((n) % 7 == 3)

struct crowd {
	struct journal *journal;
	unsigned int number;
	atomic_uint *left; /* threads */
};

static void *come_and_go(void *context)
{
	struct crowd *one = context;
	unsigned int n, first = one->number * EACH;

	for (n = first; n < first + EACH; n++) {
		assert_int_equal(test_journal_store(one->journal, n), 0);
		if (n >= first + 20 && !STAYS(n - 20))
			assert_int_equal(
				test_journal_drop(one->journal, n - 20), 0);
	}
	atomic_fetch_sub(one->left, 1);
	return NULL;
}

static void must_have_what_stays(struct journal *journal)
{
	unsigned int n;

	for (n = 0; n < CROWD * EACH; n++) {
		if (n % EACH < EACH - 20)
			assert_int_equal(test_journal_has(journal, n),
					 STAYS(n));
	}
}

/* Some write, segments are made ahead, emptied, made blank and cut, somebody asks for all of
   that at once, and somebody counts. */
static void test_all_at_once(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .segment_size = 256 * 1024,
					     .upkeep = true };
	struct crowd crowd[CROWD];
	pthread_t threads[CROWD];
	struct spool_stats stats;
	struct journal *journal;
	atomic_uint left = CROWD;
	uint64_t moved;
	unsigned int i;

	test_journal_new_dir();
	journal = test_journal_open_with(settings);
	for (i = 0; i < CROWD; i++) {
		crowd[i] = (struct crowd){ journal, i, &left };
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go,
						&crowd[i]),
				 0);
	}
	while (atomic_load(&left) > 0) {
		assert_int_equal(journal_compact(journal, &moved), 0);
		assert_int_equal(journal_get_stats(journal, &stats), 0);
	}
	for (i = 0; i < CROWD; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	must_have_what_stays(journal);
	journal_close(&journal);
	journal = test_journal_open(false);
	must_have_what_stays(journal);
	assert_int_equal(test_journal.warnings, 0);
	journal_close(&journal);
}

static int full_fdatasync(int fd ATTR_UNUSED)
{
	errno = ENOSPC;
	return -1;
}

/* A disk that is full before the next one is needed harms nobody. */
static void test_no_space_ahead(void **state ATTR_UNUSED)
{
	struct file_ops ops = file_ops_system;
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	ops.fdatasync = full_fdatasync;
	file_ops_set(&ops);
	journal_segment_make_ahead(journal);
	file_ops_set(NULL);
	assert_int_equal(count_segments(), 1);
	assert_int_equal(test_journal.warnings, 0);
	assert_int_equal(test_journal_store(journal, 2), 0);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_is_made_ahead),
		cmocka_unit_test(test_nobody_waits_for_it),
		cmocka_unit_test(test_one_that_waits_is_blank),
		cmocka_unit_test(test_one_that_is_used_is_another),
		cmocka_unit_test(test_as_large_as_suits_the_disk),
		cmocka_unit_test(test_a_small_journal_has_one),
		cmocka_unit_test(test_the_order_is_that_of_writing),
		cmocka_unit_test(test_who_needs_it_waits_for_it),
		cmocka_unit_test(test_closing_ends_it),
		cmocka_unit_test(
			test_compaction_waits_for_the_one_that_is_made),
		cmocka_unit_test(test_no_space_ahead),
		cmocka_unit_test(test_all_at_once),
	};

	return cmocka_run_group_tests_name("journal-next", tests, NULL, NULL);
}
