/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Half empty segments are emptied, and space is given back, when that is asked for. What
   does so by itself is in test-journal-upkeep. */

#include "config.h"
#include "test-journal-common.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

static void test_compaction_gives_space_back(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	uint64_t before, moved;
	unsigned int n, files;

	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	test_journal_drop_most(journal, 200);
	before = test_journal_disk_use();
	files = test_journal_files_in("journal");
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved >= 20);
	test_journal_must_have_the_rest(journal, 200);
	/* the 22 that are left, the active one, two spare ones, and of the others
	   a block each */
	assert_true(before > 20 * TEST_JOURNAL_SEGMENT);
	assert_true(test_journal_disk_use() <=
		    7 * TEST_JOURNAL_SEGMENT + files * JOURNAL_BLOCK_SIZE);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	test_journal_must_have_the_rest(journal, 200);
	/* those that were moved can be removed, and stay away */
	assert_int_equal(test_journal_drop(journal, 1), 0);
	assert_int_equal(test_journal_drop(journal, 10), 0);
	/* and what was cut is used again */
	for (n = 200; n < 500; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	assert_true(test_journal_files_in("journal") < files + 300 / 15);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 0; n < 500; n++)
		assert_int_equal(test_journal_has(journal, n),
				 n >= 200 || (TEST_JOURNAL_KEEPS(n) && n > 10));
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	assert_int_equal(test_journal.warnings, 0);
}

/* Who removes while what is left is moved mixes it with tombstones: segments are full of
   those, and none of them is needed. */
static void test_dead_tombstones_are_no_reason_to_stay(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n, files;
	uint64_t moved;

	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < 200; n++) {
		if (!TEST_JOURNAL_KEEPS(n))
			assert_int_equal(test_journal_drop(journal, n), 0);
		if (n % 16 == 15)
			assert_int_equal(journal_compact(journal, &moved), 0);
	}
	test_journal_must_have_the_rest(journal, 200);
	assert_int_equal(journal_compact(journal, &moved), 0);
	files = test_journal_files_in("journal");
	assert_true(test_journal_disk_use() <=
		    7 * TEST_JOURNAL_SEGMENT + files * JOURNAL_BLOCK_SIZE);
	/* and that comes to an end */
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	test_journal_start_again(&journal);
	test_journal_must_have_the_rest(journal, 200);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 0);
	journal_close(&journal);
}

/* What was padded behind a message is its own: moving it would be no gain. */
static void test_small_messages_may_stay(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n, round;
	uint64_t moved;

	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (round = 0; round < 2; round++) {
		assert_int_equal(journal_compact(journal, &moved), 0);
		assert_int_equal(moved, 0);
		test_journal_start_again(&journal);
	}
	journal_close(&journal);
}

/* More than a batch takes. */
#define MANY_SEGMENT ((uint64_t)1024 * 1024)

/* A journal whose first segment is left with many messages; how many that are. */
static struct journal *with_many_left(unsigned int *left)
{
	struct journal_settings settings = { .segment_size = MANY_SEGMENT };
	struct journal *journal;
	unsigned int n;

	test_journal_new_dir();
	journal = test_journal_open_with(settings);
	assert_int_equal(test_journal_store(journal, 0), 0);
	for (n = 1; journal->active->header.number == 1; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (*left = n; *left > n / 3; (*left)--)
		assert_int_equal(test_journal_drop(journal, *left - 1), 0);
	assert_int_equal(journal->segments[1]->live, 2 * *left);
	return journal;
}

static void test_a_failed_batch_is_moved_again(void **state ATTR_UNUSED)
{
	unsigned int left;
	struct journal *journal = with_many_left(&left);
	uint64_t moved;

	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 2;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(journal_compact(journal, &moved), -1);
	test_faults_end();
	assert_true(journal->segments[1]->live > 0);
	/* what it had is not counted */
	assert_int_equal(journal->segments[1]->live, 2 * (left - moved));
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved > 0);
	assert_int_equal(journal->segments[1]->live, 0);
	journal_close(&journal);
}

/* Its footer: a batch takes what the one before has left. */
static void test_a_segment_is_read_once(void **state ATTR_UNUSED)
{
	unsigned int left, reads;
	struct journal *journal = with_many_left(&left);
	uint64_t moved;

	test_faults_begin();
	assert_int_equal(journal_compact(journal, &moved), 0);
	reads = test_faults.calls[TEST_OP_READ];
	test_faults_end();
	assert_int_equal(moved, left);
	/* of each message two records; a footer in two */
	assert_true(reads <= 2 * left + 3);
	journal_close(&journal);
}

/* What comes next needs another segment. */
static void fill_to_reserve(struct journal *journal, unsigned int *n)
{
	while (journal->active->pos + JOURNAL_BLOCK_SIZE <=
	       TEST_JOURNAL_SEGMENT / 4 * 3)
		assert_int_equal(test_journal_store(journal, (*n)++), 0);
}

/* 13: a segment whose blocks were given back waits until there is space for them. */
static void test_no_space_for_blocks_again(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	const struct journal_segment *active;
	unsigned int n, first, files;
	uint64_t moved, used;

	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	files = test_journal_files_in("journal");
	/* what has its blocks is used first; then one got them again */
	used = test_journal_disk_use();
	for (first = n; test_journal_disk_use() == used;)
		assert_int_equal(test_journal_store(journal, n++), 0);
	active = journal->active;
	while (journal->active == active)
		assert_int_equal(test_journal_store(journal, n++), 0);
	fill_to_reserve(journal, &n);
	used = test_journal_disk_use();
	test_faults_begin();
	test_faults.fail_at[TEST_OP_WRITE] = 1;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	assert_int_equal(test_journal_store(journal, 9999), ENOSPC);
	test_faults_end();
	assert_int_equal(test_journal_files_in("journal"), files);
	assert_true(test_journal_disk_use() <= used);
	/* and service goes on */
	assert_int_equal(test_journal_store(journal, n++), 0);
	assert_int_equal(test_journal_files_in("journal"), files);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (; first < n; first++)
		assert_true(test_journal_has(journal, first));
	assert_false(test_journal_has(journal, 9999));
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
}

/* What cannot be read is left where it is, and its segment. */
static void test_compaction_leaves_what_is_damaged(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	uint64_t moved;
	unsigned int n;

	for (n = 0; n < 60; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	test_journal_drop_most(journal, 60);
	/* the body of message 1 */
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_true(moved > 0);
	for (n = 2; n < 60; n++)
		assert_int_equal(test_journal_has(journal, n),
				 TEST_JOURNAL_KEEPS(n));
	assert_int_equal(test_journal_files_in("quarantine"), 2);
	journal_close(&journal);
}

static void *read_the_rest(void *journal)
{
	unsigned int i, n;

	for (i = 0; i < 50; i++) {
		for (n = 0; n < 200; n++) {
			if (TEST_JOURNAL_KEEPS(n) &&
			    !test_journal_has(journal, n))
				return journal;
		}
	}
	return NULL;
}

/* Others read and write meanwhile, and nothing comes back. */
static void test_compaction_while_others_work(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	pthread_t reader;
	uint64_t moved;
	void *failed;
	unsigned int n;

	for (n = 0; n < 200; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	test_journal_drop_most(journal, 200);
	assert_int_equal(pthread_create(&reader, NULL, read_the_rest, journal),
			 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	for (n = 200; n < 300; n++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		assert_int_equal(test_journal_drop(journal, n), 0);
		assert_int_equal(journal_compact(journal, &moved), 0);
	}
	assert_int_equal(pthread_join(reader, &failed), 0);
	assert_null(failed);
	journal_close(&journal);
	journal = test_journal_open(false);
	test_journal_must_have_the_rest(journal, 200);
	for (n = 200; n < 300; n++)
		assert_false(test_journal_has(journal, n));
	journal_close(&journal);
}

static struct {
	struct journal *journal;
	unsigned int n;
	bool done;
} mover;

/* What is left of the first segment is moved, and others come where it was. */
static ssize_t moving_pread(int fd, void *data, size_t size, off_t offset)
{
	struct journal *journal = mover.journal;
	unsigned int end;
	uint64_t moved;

	if (!mover.done) {
		mover.done = true;
		assert_int_equal(journal_compact(journal, &moved), 0);
		assert_true(moved > 0);
		for (end = UINT_MAX; mover.n < end; mover.n++) {
			assert_int_equal(test_journal_store(journal, mover.n),
					 0);
			if (end == UINT_MAX &&
			    journal->active->header.number == 1)
				end = mover.n + 4;
		}
	}
	return file_ops_system.pread(fd, data, size, offset);
}

/* He looked up its place before. */
static void test_a_reader_follows_what_is_moved(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct file_ops ops = file_ops_system;

	mover.journal = journal;
	for (mover.n = 0; test_journal_active(journal) < 2; mover.n++)
		assert_int_equal(test_journal_store(journal, mover.n), 0);
	test_journal_drop_most(journal, mover.n - 1);
	ops.pread = moving_pread;
	file_ops_set(&ops);
	assert_true(test_journal_has(journal, 1));
	file_ops_set(NULL);
	assert_true(mover.done);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	journal_close(&journal);
}

static struct {
	struct journal *journal;
	pthread_t thread;
	_Atomic bool claimed;
	bool started, too_early;
} claimer;

static void *claim_first(void *context ATTR_UNUSED)
{
	struct journal_entry entry;
	message_id id;

	test_journal_make_id(1, &id);
	if (journal_claim(claimer.journal, &id, &entry) < 0)
		return &claimer;
	claimer.claimed = true;
	journal_release(claimer.journal, &id);
	return NULL;
}

static int claiming_fdatasync(int fd)
{
	message_id id;

	if (!claimer.started) {
		claimer.started = true;
		assert_int_equal(pthread_create(&claimer.thread, NULL,
						claim_first, NULL),
				 0);
		test_journal_make_id(1, &id);
		while (!claimer.claimed &&
		       journal_index_waiting(&claimer.journal->index, &id) == 0)
			(void)sched_yield();
		claimer.too_early = claimer.claimed;
	}
	return file_ops_system.fdatasync(fd);
}

/* Or the copy might come behind what is newer. */
static void test_what_is_moved_is_claimed(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct file_ops ops = file_ops_system;
	uint64_t moved;
	void *failed;
	unsigned int n;

	for (n = 0; n < 60; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 2; n < 14; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	claimer.journal = journal;
	ops.fdatasync = claiming_fdatasync;
	file_ops_set(&ops);
	assert_int_equal(journal_compact(journal, &moved), 0);
	file_ops_set(NULL);
	assert_true(moved > 0 && claimer.started);
	assert_int_equal(pthread_join(claimer.thread, &failed), 0);
	assert_null(failed);
	assert_false(claimer.too_early);
	assert_true(test_journal_has(journal, 1));
	journal_close(&journal);
}

static struct {
	struct journal *journal;
	_Atomic bool ended;
} compactor;

static void *compact_all(void *context ATTR_UNUSED)
{
	uint64_t moved;
	int ret = journal_compact(compactor.journal, &moved);

	compactor.ended = true;
	return ret < 0 ? &compactor : NULL;
}

static bool turn_is_wanted(struct journal *journal)
{
	bool wanted;

	(void)pthread_mutex_lock(&journal->queue_mutex);
	wanted = journal->turn_wanted != NULL;
	(void)pthread_mutex_unlock(&journal->queue_mutex);
	return wanted;
}

/* Or who commits might take the same segment to write in. */
static void test_a_segment_is_made_blank_in_turn(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n, count = 0;
	pthread_t thread;
	void *failed;

	while (test_journal_active(journal) < 2)
		assert_int_equal(test_journal_store(journal, count++), 0);
	for (n = 0; n < count; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_int_equal(journal->segments[1]->live, 0);
	journal_begin_commit(journal);
	compactor.journal = journal;
	assert_int_equal(pthread_create(&thread, NULL, compact_all, NULL), 0);
	while (!compactor.ended && !turn_is_wanted(journal))
		(void)sched_yield();
	assert_false(compactor.ended);
	assert_false(journal->segments[1]->blank);
	journal_end_commit(journal);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_true(journal->segments[1]->blank);
	journal_close(&journal);
}

/* Segments were to be larger: a message that none of today's has room for stays where it
   is, and keeps nothing else from being given back. */
static void test_a_message_too_large_to_be_moved(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .segment_size = MANY_SEGMENT };
	unsigned char *body = calloc(1, MANY_SEGMENT / 4);
	struct test_journal_put put;
	struct journal *journal;
	struct spool_stats stats;
	unsigned int n;
	uint64_t moved;

	assert_non_null(body);
	test_journal_new_dir();
	journal = test_journal_open_with(settings);
	test_journal_make_put(&put, 9999, 1);
	put.request.records[0].data = body;
	put.request.records[0].size = MANY_SEGMENT / 4;
	test_journal_commit_claimed(journal, &put.request);
	free(body);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 0; n < 500; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	test_journal_drop_range(journal, 0, n);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(journal_get_stats(journal, &stats), 0);
	assert_true(stats.cut_segments > 0);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compaction_gives_space_back),
		cmocka_unit_test(test_dead_tombstones_are_no_reason_to_stay),
		cmocka_unit_test(test_small_messages_may_stay),
		cmocka_unit_test(test_a_failed_batch_is_moved_again),
		cmocka_unit_test(test_a_segment_is_read_once),
		cmocka_unit_test(test_no_space_for_blocks_again),
		cmocka_unit_test(test_compaction_leaves_what_is_damaged),
		cmocka_unit_test(test_compaction_while_others_work),
		cmocka_unit_test(test_a_reader_follows_what_is_moved),
		cmocka_unit_test(test_what_is_moved_is_claimed),
		cmocka_unit_test(test_a_segment_is_made_blank_in_turn),
		cmocka_unit_test(test_a_message_too_large_to_be_moved),
	};

	return cmocka_run_group_tests_name("journal-compaction", tests, NULL,
					   NULL);
}
