/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A thread of the journal that empties half empty segments: what wakes it. */

#include "config.h"
#include "test-journal-common.h"

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int cuts;
} upkeep = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

static int counting_ftruncate(int fd, off_t size)
{
	int ret = file_ops_system.ftruncate(fd, size);

	(void)pthread_mutex_lock(&upkeep.mutex);
	upkeep.cuts++;
	(void)pthread_cond_broadcast(&upkeep.changed);
	(void)pthread_mutex_unlock(&upkeep.mutex);
	return ret;
}

/* Nobody has to ask for it. */
static void test_the_upkeep_works_by_itself(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .upkeep = true };
	struct file_ops ops = file_ops_system;
	struct journal *journal;
	unsigned int n;

	test_journal_new_dir();
	ops.ftruncate = counting_ftruncate;
	file_ops_set(&ops);
	upkeep.cuts = 0;
	journal = test_journal_open_with(settings);
	for (n = 0; n < 300; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	test_journal_drop_most(journal, 300);
	(void)pthread_mutex_lock(&upkeep.mutex);
	while (upkeep.cuts < 5)
		(void)pthread_cond_wait(&upkeep.changed, &upkeep.mutex);
	(void)pthread_mutex_unlock(&upkeep.mutex);
	test_journal_must_have_the_rest(journal, 300);
	journal_close(&journal);
	file_ops_set(NULL);
	journal = test_journal_open(false);
	test_journal_must_have_the_rest(journal, 300);
	journal_close(&journal);
}

static struct {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int writes;
} written = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0 };

static ssize_t counting_pwritev(int fd, const struct iovec *iov, int count,
				off_t offset)
{
	ssize_t ret = file_ops_system.pwritev(fd, iov, count, offset);

	(void)pthread_mutex_lock(&written.mutex);
	written.writes++;
	(void)pthread_cond_broadcast(&written.changed);
	(void)pthread_mutex_unlock(&written.mutex);
	return ret;
}

/* A segment becomes half empty, and all that happens is that messages are removed. */
static void test_the_upkeep_sees_removals(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .upkeep = true };
	struct file_ops ops = file_ops_system;
	const struct journal_segment *active;
	struct journal *journal;
	unsigned int n, stored = 0;

	test_journal_new_dir();
	journal = test_journal_open_with(settings);
	/* it writes, too */
	journal_worker_stop(journal->maker);
	journal_worker_free(&journal->maker);
	assert_int_equal(test_journal_store(journal, stored++), 0);
	active = journal->active;
	while (journal->active == active)
		assert_int_equal(test_journal_store(journal, stored++), 0);
	active = journal->active;
	ops.pwritev = counting_pwritev;
	file_ops_set(&ops);
	written.writes = 0;
	for (n = 0; n < stored - 3; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	assert_true(journal->active == active);
	/* what is left is moved */
	(void)pthread_mutex_lock(&written.mutex);
	while (written.writes < stored - 2)
		(void)pthread_cond_wait(&written.changed, &written.mutex);
	(void)pthread_mutex_unlock(&written.mutex);
	journal_close(&journal);
	file_ops_set(NULL);
}

static uint64_t live_in(struct journal *journal, uint32_t number)
{
	uint64_t live;

	(void)pthread_mutex_lock(&journal->mutex);
	live = journal->segments[number]->live;
	(void)pthread_mutex_unlock(&journal->mutex);
	return live;
}

/* A segment was emptied while it was written, and all that happens is that it is full. */
static void test_the_upkeep_sees_the_next_segment(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .upkeep = true };
	struct journal *journal;
	unsigned int n;

	test_journal_new_dir();
	journal = test_journal_open_with(settings);
	/* it wakes the upkeep, too */
	journal_worker_stop(journal->maker);
	journal_worker_free(&journal->maker);
	for (n = 0; n < 6; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < 6; n++)
		assert_int_equal(test_journal_drop(journal, n), 0);
	while (test_journal_active(journal) < 2)
		assert_int_equal(test_journal_store(journal, n++), 0);
	while (live_in(journal, 1) > 0)
		(void)sched_yield();
	assert_true(test_journal_has(journal, n - 2));
	journal_close(&journal);
}

/* What the time before left, with nothing to be written. */
static void test_the_upkeep_sees_what_was_left(void **state ATTR_UNUSED)
{
	struct journal_settings settings = { .upkeep = true };
	struct journal *journal = test_journal_new();
	unsigned int n = 0;

	while (n < 15)
		assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_drop_range(journal, 0, n - 2);
	journal_close(&journal);
	journal = test_journal_open_with(settings);
	while (live_in(journal, 1) > 0)
		(void)sched_yield();
	assert_true(test_journal_has(journal, n - 1));
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_upkeep_works_by_itself),
		cmocka_unit_test(test_the_upkeep_sees_removals),
		cmocka_unit_test(test_the_upkeep_sees_the_next_segment),
		cmocka_unit_test(test_the_upkeep_sees_what_was_left),
	};

	return cmocka_run_group_tests_name("journal-upkeep", tests, NULL, NULL);
}
