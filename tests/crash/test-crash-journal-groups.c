/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store with many messages in one group: that is there in part, that fails,
   and whose start is cut again. */

#include "config.h"
#include "crash-spool.h"
#include "module-journal-private.h"
#include "journal/journal-private.h"
#include "mem.h"
#include "spool-private.h"
#include "test-common.h"

#include <sched.h>

#define TOGETHER 12

static struct journal *the_journal;
static struct spool *the_spool;
static struct file_ops table;
static int (*real_fdatasync)(int fd);
static pthread_t threads[TOGETHER];
static unsigned int thread_count, first_number;
static int answers[TOGETHER];

static void *put_one(void *number)
{
	unsigned int n = *(unsigned int *)number;

	answers[n] = crash_put(the_spool, first_number + n, n * 700 + 50);
	i_free(number);
	return NULL;
}

static unsigned int queue_length(void)
{
	const struct journal_request *request;
	unsigned int count = 0;

	(void)pthread_mutex_lock(&the_journal->queue_mutex);
	for (request = the_journal->queue; request != NULL;
	     request = request->next)
		count++;
	(void)pthread_mutex_unlock(&the_journal->queue_mutex);
	return count;
}

/* Within the first group's sync the others come, so that they are the next group. */
static int gathering_fdatasync(int fd)
{
	unsigned int *n;

	for (; thread_count < TOGETHER; thread_count++) {
		n = i_new(unsigned int, 1);
		*n = thread_count;
		assert_int_equal(pthread_create(&threads[thread_count], NULL,
						put_one, n),
				 0);
		while (queue_length() < thread_count + 1)
			(void)sched_yield();
	}
	return real_fdatasync(fd);
}

/* Puts a message, and TOGETHER more as one group behind it. */
static void put_group(struct spool *spool, unsigned int first)
{
	const struct file_ops *recorder = file_ops();
	unsigned int i;

	the_spool = spool;
	the_journal = journal_store(spool->store)->journal;
	thread_count = 0;
	first_number = first + 1;
	table = *recorder;
	real_fdatasync = table.fdatasync;
	table.fdatasync = gathering_fdatasync;
	file_ops_set(&table);
	crash_must_put(spool, first, 100);
	for (i = 0; i < TOGETHER; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	file_ops_set(recorder);
}

static void test_group(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);
	unsigned int i;
	size_t before;

	crash_must_put(spool, 0, 100);
	before = crash_sync_count(CRASH_SYNC_GROUP);
	put_group(spool, 1);
	assert_int_equal(crash_sync_count(CRASH_SYNC_GROUP), before + 2);
	for (i = 0; i < TOGETHER; i++) {
		assert_int_equal(answers[i], IO_DONE);
		assert_int_equal(crash_remove(spool, 2 + i), IO_DONE);
	}
	crash_spool_end(&spool);
	crash_explore_all(6);
}

/* It takes many writes. */
static void test_group_in_pieces(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);
	unsigned int i;

	crash_must_put(spool, 0, 100);
	crash_write_short(true);
	put_group(spool, 1);
	crash_write_short(false);
	for (i = 0; i < TOGETHER; i++)
		assert_int_equal(answers[i], IO_DONE);
	crash_spool_end(&spool);
	crash_explore_all(2);
}

/* The sync of many fails: none of them is there. */
static void test_failed_group(void **state ATTR_UNUSED)
{
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);
	unsigned int i;

	crash_must_put(spool, 0, 100);
	crash_fail_later(CRASH_SYNC_GROUP, 1);
	put_group(spool, 1);
	for (i = 0; i < TOGETHER; i++)
		assert_int_equal(answers[i], IO_TRANS_FAIL);
	crash_must_put(spool, 40, 100);
	for (i = 0; i < TOGETHER; i++)
		crash_note_absent(2 + i);
	crash_spool_end(&spool);
	crash_explore_all(6);
}

static size_t go_on(const struct crash_kept *kept, uint64_t *moved)
{
	struct crash_keeping keeping = { .before = kept };
	struct spool *spool;
	unsigned int i;

	crash_forget();
	crash_record_begin(kept->dir);
	spool = crash_spool_open(kept->dir);
	for (i = 50; i < 52; i++)
		crash_must_put(spool, i, (i - 49) * 3000);
	assert_int_equal(crash_remove(spool, 51), IO_DONE);
	/* what was cut short is moved, and goes */
	*moved += crash_compact(spool);
	crash_spool_end(&spool);
	return crash_must_hold(&keeping, 3);
}

/* States with a group of many that is there in part, one after the other cut again
   while they are put in order: what is void takes several sectors. */
static void test_second_cut(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { .every = 4 };
	struct spool *spool = crash_journal_begin(NULL, CRASH_SYNC_NONE);
	uint64_t moved = 0;
	size_t states = 0;
	unsigned int i;

	crash_must_put(spool, 0, 3000);
	crash_record_base();
	put_group(spool, 1);
	crash_spool_end(&spool);
	(void)crash_must_hold(&keeping, 40);
	assert_true(keeping.count > 10);
	for (i = 0; i < keeping.count; i++)
		states += go_on(&keeping.kept[i], &moved);
	printf("%zu states behind %u states\n", states, keeping.count);
	assert_true(moved > 0);
	crash_keeping_free(&keeping);
	crash_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_group_in_pieces),
		cmocka_unit_test(test_failed_group),
		cmocka_unit_test(test_second_cut),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-journal-groups", tests, NULL,
					   NULL);
}
