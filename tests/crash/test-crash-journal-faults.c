/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store where more than the power fails: a sync says no, the process is
   killed, many messages are in one group, the power fails again during the start. */

#include "config.h"
#include "crash-spool.h"
#include "module-journal-private.h"
#include "journal/journal-private.h"
#include "mem.h"
#include "spool-private.h"
#include "test-common.h"

#include <sched.h>

static struct spool *begin(void)
{
	struct spool_settings settings = { .store = "journal" };

	crash_forget();
	return crash_spool_begin(test_path("work"), &settings);
}

static void end(struct spool **spool)
{
	spool_close(spool);
	crash_record_end();
}

static void must_put(struct spool *spool, unsigned int i, size_t size)
{
	assert_int_equal(crash_put(spool, i, size), IO_DONE);
}

static size_t explore(struct crash_keeping *keeping, unsigned int max)
{
	const char *result;
	size_t states;

	result = crash_explore(test_path("state"), crash_states_per_moment(max),
			       crash_check_spool, keeping, &states);
	if (result != NULL)
		fail_msg("%s", result);
	return states;
}

static void explore_all(unsigned int max)
{
	struct crash_keeping keeping = { 0 };

	printf("%zu states\n", explore(&keeping, max));
	crash_forget();
}

/*
 * Syncs that fail
 */

static void test_failed_put(void **state ATTR_UNUSED)
{
	struct spool *spool = begin();

	must_put(spool, 0, 3000);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	assert_int_equal(crash_version(spool, 1), 0);
	must_put(spool, 2, 700);
	crash_note_absent(1);
	must_put(spool, 3, 5000);
	/* and once more */
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 4, 100), IO_TRANS_FAIL);
	must_put(spool, 5, 100);
	crash_note_absent(4);
	assert_int_equal(crash_remove(spool, 2), IO_DONE);
	end(&spool);
	explore_all(6);
}

static void test_failed_rewrite_and_removal(void **state ATTR_UNUSED)
{
	struct spool *spool = begin();

	must_put(spool, 0, 3000);
	must_put(spool, 1, 700);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_rewrite(spool, 0, false), IO_TRANS_FAIL);
	assert_int_equal(crash_version(spool, 0), 1);
	must_put(spool, 2, 700);
	crash_note_not_rewritten(0);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_remove(spool, 2), IO_TRANS_FAIL);
	assert_int_equal(crash_version(spool, 2), 1);
	must_put(spool, 3, 700);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_rewrite(spool, 1, true), IO_TRANS_FAIL);
	assert_int_equal(crash_remove(spool, 2), IO_DONE);
	crash_note_not_rewritten(1);
	end(&spool);
	explore_all(6);
}

/* The segment that is to be written anew does not take its header: another one is
   used, and what it was goes on to be overruled. */
static void test_failed_header(void **state ATTR_UNUSED)
{
	struct spool *spool = begin();
	unsigned int i;

	crash_fail(CRASH_SYNC_SEGMENT_HEADER);
	for (i = 0; i < 26; i++) {
		must_put(spool, i, 14000);
		if (i > 1)
			assert_int_equal(crash_remove(spool, i - 2), IO_DONE);
	}
	assert_true(crash_sync_count(CRASH_SYNC_SEGMENT_HEADER) > 1);
	end(&spool);
	explore_all(2);
}

static void test_failed_segment(void **state ATTR_UNUSED)
{
	static const enum crash_sync syncs[] = { CRASH_SYNC_SEGMENT_DATA,
						 CRASH_SYNC_SEGMENT_NAME };
	struct spool *spool;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(syncs); i++) {
		spool = begin();
		crash_fail(syncs[i]);
		assert_int_equal(crash_put(spool, 0, 3000), IO_TRANS_FAIL);
		crash_note_absent(0);
		must_put(spool, 1, 3000);
		end(&spool);
		explore_all(6);
	}
}

/* What failed the kernel still shows to the next start. If that hands it out, it stays:
   no sync of the file alone would see to that. */
static void test_start_after_failure(void **state ATTR_UNUSED)
{
	struct spool *spool = begin();

	must_put(spool, 0, 3000);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	spool_close(&spool);

	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 1), 1);
	crash_note_stored(1);
	assert_int_equal(crash_rewrite(spool, 1, false), IO_DONE);
	must_put(spool, 2, 700);
	end(&spool);
	explore_all(12);
}

/* After the second failure nothing is taken any more, before the next start. That one
   is shown that the first was declared void: it stays so. */
static void test_two_failures(void **state ATTR_UNUSED)
{
	struct spool *spool = begin();

	must_put(spool, 0, 3000);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 1, 6000), IO_TRANS_FAIL);
	crash_fail(CRASH_SYNC_GROUP);
	assert_int_equal(crash_put(spool, 2, 100), IO_TRANS_FAIL);
	assert_int_equal(crash_put(spool, 3, 100), IO_TRANS_FAIL);
	assert_int_equal(crash_remove(spool, 0), IO_TRANS_FAIL);
	assert_int_equal(crash_version(spool, 0), 1);
	spool_close(&spool);

	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 1), 0);
	must_put(spool, 4, 700);
	crash_note_absent(1);
	end(&spool);
	explore_all(12);
}

/*
 * Processes that are killed
 */

/* What it wrote and never synced the next one finds, and hands out: then it stays. */
static void test_killed_before_sync(void **state ATTR_UNUSED)
{
	struct spool *spool = begin();

	must_put(spool, 0, 3000);
	crash_kill(CRASH_SYNC_GROUP);
	(void)crash_put(spool, 1, 6000);
	spool_close(&spool);
	assert_true(crash_revive());
	spool = crash_spool_open(test_path("work"));
	assert_int_equal(crash_version(spool, 1), 1);
	crash_note_stored(1);
	assert_int_equal(crash_rewrite(spool, 1, false), IO_DONE);
	must_put(spool, 2, 700);
	end(&spool);
	explore_all(12);
}

static void must_remove(struct spool *spool, unsigned int first,
			unsigned int count)
{
	for (; count > 0; first++, count--)
		assert_int_equal(crash_remove(spool, first), IO_DONE);
}

/* Four blocks each: three of them, and three tombstones, fill a segment. */
static void put_large(struct spool *spool, unsigned int first,
		      unsigned int count)
{
	for (; count > 0; first++, count--)
		must_put(spool, first, 14000);
}

/* The second segment is about to be written anew; all of its tombstones are in the
   first one, which is full and has nothing else. Killed there, the next process must
   not take the new header for written, and the first segment. */
static void kill_in_header(enum crash_sync left_out)
{
	struct spool *spool = begin();

	crash_leave_out(left_out);
	put_large(spool, 0, 6);
	must_remove(spool, 0, 3);
	put_large(spool, 6, 1); /* the first one, written anew */
	must_remove(spool, 3, 3);
	put_large(spool, 7, 1);
	must_remove(spool, 6, 2);
	must_put(spool, 8, 100);
	must_remove(spool, 8, 1);
	assert_int_equal(crash_sync_count(CRASH_SYNC_SEGMENT_HEADER), 1);
	crash_kill(CRASH_SYNC_SEGMENT_HEADER);
	put_large(spool, 9, 1);
	spool_close(&spool);
	assert_true(crash_revive());
	spool = crash_spool_open(test_path("work"));
	put_large(spool, 10, 1);
	end(&spool);
}

static void test_killed_in_header(void **state ATTR_UNUSED)
{
	kill_in_header(CRASH_SYNC_NONE);
	explore_all(4);
}

static void test_sync_of_the_start_is_needed(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { 0 };
	const char *result;
	size_t states;

	kill_in_header(CRASH_SYNC_OPENED);
	assert_true(crash_sync_count(CRASH_SYNC_OPENED) > 0);
	result = crash_explore(test_path("state"), 24, crash_check_spool,
			       &keeping, &states);
	assert_non_null(result);
	printf("without the sync of what was found: %s\n", result);
	crash_forget();
}

/* Killed while a segment is made, or written anew: what the next process goes on with
   has to be as durable as if it had made it. */
static void test_killed_in_segment(void **state ATTR_UNUSED)
{
	static const enum crash_sync syncs[] = { CRASH_SYNC_SEGMENT_DATA,
						 CRASH_SYNC_SEGMENT_NAME,
						 CRASH_SYNC_SEGMENT_HEADER };
	struct spool *spool;
	unsigned int n, i;

	for (n = 0; n < N_ELEMENTS(syncs); n++) {
		spool = begin();
		must_put(spool, 0, 14000);
		crash_kill(syncs[n]);
		for (i = 1; !crash_is_killed(); i++) {
			must_put(spool, i, 14000);
			assert_int_equal(crash_remove(spool, i - 1), IO_DONE);
		}
		spool_close(&spool);
		assert_true(crash_revive());
		spool = crash_spool_open(test_path("work"));
		for (; i < 20; i++)
			must_put(spool, i, 7000);
		end(&spool);
		explore_all(3);
	}
}

/*
 * Groups
 */

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

	(void)pthread_mutex_lock(&the_journal->mutex);
	for (request = the_journal->queue; request != NULL;
	     request = request->next)
		count++;
	(void)pthread_mutex_unlock(&the_journal->mutex);
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
	must_put(spool, first, 100);
	for (i = 0; i < TOGETHER; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	file_ops_set(recorder);
}

static void test_group(void **state ATTR_UNUSED)
{
	struct spool *spool = begin();
	unsigned int i;
	size_t before;

	must_put(spool, 0, 100);
	before = crash_sync_count(CRASH_SYNC_GROUP);
	put_group(spool, 1);
	assert_int_equal(crash_sync_count(CRASH_SYNC_GROUP), before + 2);
	for (i = 0; i < TOGETHER; i++) {
		assert_int_equal(answers[i], IO_DONE);
		assert_int_equal(crash_remove(spool, 2 + i), IO_DONE);
	}
	end(&spool);
	explore_all(6);
}

/* The sync of many fails: none of them is there. */
static void test_failed_group(void **state ATTR_UNUSED)
{
	struct spool *spool = begin();
	unsigned int i;

	must_put(spool, 0, 100);
	crash_fail_later(CRASH_SYNC_GROUP, 1);
	put_group(spool, 1);
	for (i = 0; i < TOGETHER; i++)
		assert_int_equal(answers[i], IO_TRANS_FAIL);
	must_put(spool, 40, 100);
	for (i = 0; i < TOGETHER; i++)
		crash_note_absent(2 + i);
	end(&spool);
	explore_all(6);
}

/*
 * One cut after the other
 */

static size_t go_on(const struct crash_kept *kept)
{
	struct crash_keeping keeping = { .before = kept };
	struct spool *spool;
	unsigned int i;

	crash_forget();
	crash_record_begin(kept->dir);
	spool = crash_spool_open(kept->dir);
	for (i = 50; i < 52; i++)
		must_put(spool, i, (i - 49) * 3000);
	assert_int_equal(crash_remove(spool, 51), IO_DONE);
	end(&spool);
	return explore(&keeping, 3);
}

/* States with a group of many that is there in part, one after the other cut again
   while they are put in order: what is void takes several sectors. */
static void test_second_cut(void **state ATTR_UNUSED)
{
	struct crash_keeping keeping = { .every = 4 };
	struct spool *spool = begin();
	size_t states = 0;
	unsigned int i;

	must_put(spool, 0, 3000);
	crash_record_base();
	put_group(spool, 1);
	end(&spool);
	(void)explore(&keeping, 40);
	assert_true(keeping.count > 10);
	for (i = 0; i < keeping.count; i++)
		states += go_on(&keeping.kept[i]);
	printf("%zu states behind %u states\n", states, keeping.count);
	crash_keeping_free(&keeping);
	crash_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_failed_put),
		cmocka_unit_test(test_failed_rewrite_and_removal),
		cmocka_unit_test(test_failed_header),
		cmocka_unit_test(test_failed_segment),
		cmocka_unit_test(test_start_after_failure),
		cmocka_unit_test(test_two_failures),
		cmocka_unit_test(test_killed_before_sync),
		cmocka_unit_test(test_killed_in_header),
		cmocka_unit_test(test_killed_in_segment),
		cmocka_unit_test(test_sync_of_the_start_is_needed),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_failed_group),
		cmocka_unit_test(test_second_cut),
	};

	crash_use_memory();
	return cmocka_run_group_tests_name("crash-journal-faults", tests, NULL,
					   NULL);
}
