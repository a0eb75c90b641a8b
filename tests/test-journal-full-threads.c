/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Full disks with several threads that store and remove, beside the upkeep: what was
   acknowledged, and nothing else, is there after a start, and each message can be removed.
   FULL_DISKS says how many disks, `make full-soak` takes many; FULL_DISK_SEED is the number
   of the first. With TEST_SCHEDULE each has its order (tests/schedule/). */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-journal-disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS_MAX 8u
/* Most messages of each. */
#ifdef TEST_SCHEDULE
#include "schedule.h"
#define EACH 200u
#else
#define EACH 500u
#endif

struct worker {
	struct journal *journal;
	uint64_t seed;
	unsigned int first; /* number of a message */
	unsigned int count, stored, removed_of_100;
	bool is_stored[EACH];
	const char *failed; /* NULL: nothing */
};

/*
 * Threads
 */

static int drop(struct worker *worker, unsigned int i)
{
	unsigned int tries;
	uint64_t moved;
	int error;

	for (tries = 0; tries < 20; tries++) {
		error = test_journal_drop(worker->journal, worker->first + i);
		if (error != ENOSPC)
			return error;
		if (journal_compact(worker->journal, &moved) < 0)
			return errno;
	}
	return error;
}

static void remove_one(struct worker *worker)
{
	unsigned int i = test_disk_below(&worker->seed, worker->count);

	while (!worker->is_stored[i])
		i = (i + 1) % worker->count;
	if (drop(worker, i) != 0)
		worker->failed = "a message could not be removed";
	worker->is_stored[i] = false;
	worker->stored--;
}

static void store_one(struct worker *worker)
{
	unsigned int i = worker->count++;
	size_t size = test_disk_below(&worker->seed, 3) == 0 ?
		test_disk_below(&worker->seed, 20000) :
		100;
	int error = test_disk_store(worker->journal, worker->first + i, size);

	if (error != 0 && error != ENOSPC)
		worker->failed = "storing failed";
	worker->is_stored[i] = error == 0;
	worker->stored += error == 0 ? 1 : 0;
}

static void *work(void *context)
{
	struct worker *worker = context;

	while (worker->count < EACH && worker->failed == NULL) {
		if (worker->stored > 0 &&
		    test_disk_below(&worker->seed, 100) <
			    worker->removed_of_100)
			remove_one(worker);
		else
			store_one(worker);
	}
	return NULL;
}

/*
 * Disks
 */

static void must(bool holds, unsigned int number, const char *what)
{
	if (!holds)
		fail_msg("disk %u: %s", number, what);
}

/* Those that were started; a machine may have no more. */
static unsigned int run_workers(struct worker *workers, unsigned int count)
{
	pthread_t threads[THREADS_MAX];
	unsigned int i, started = 0;

	while (started < count &&
	       pthread_create(&threads[started], NULL, work,
			      &workers[started]) == 0)
		started++;
	for (i = 0; i < started; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	return started;
}

static void must_have_what_was_told(struct journal *journal,
				    const struct worker *worker,
				    unsigned int number)
{
	unsigned int i;
	bool has;

	must(worker->failed == NULL, number, worker->failed);
	for (i = 0; i < worker->count; i++) {
		has = test_disk_has(journal, worker->first + i);
		must(has || !worker->is_stored[i], number,
		     "what was acknowledged is not there");
		must(!has || worker->is_stored[i], number,
		     "what was removed, or refused, is there");
	}
}

/* The disk is there before its order begins, which has all threads of the journal. */
static struct journal *begin(uint64_t left, struct journal_settings settings,
			     unsigned int number)
{
	test_disk_install(left);
	test_journal_new_dir();
#ifdef TEST_SCHEDULE
	schedule_begin(number);
#else
	(void)number;
#endif
	return test_journal_open_with(settings);
}

static void end(struct journal **journal)
{
	journal_close(journal);
#ifdef TEST_SCHEDULE
	schedule_end();
#endif
}

static void run_disk(unsigned int number)
{
	static struct worker workers[THREADS_MAX];
	uint64_t seed = number;
	struct journal_settings settings = {
		.segment_size = TEST_DISK_SEGMENT /
			(1 + test_disk_below(&seed, 4)) / JOURNAL_BLOCK_SIZE *
			JOURNAL_BLOCK_SIZE,
		.upkeep = true
	};
	uint64_t left =
		settings.segment_size * (2 + test_disk_below(&seed, 8)) +
		test_disk_below(&seed, 300000);
	struct journal *journal = begin(left, settings, number);
	unsigned int count = 1 + test_disk_below(&seed, THREADS_MAX), i;

	memset(workers, 0, sizeof(workers));
	for (i = 0; i < count; i++) {
		workers[i].journal = journal;
		workers[i].seed = seed + i;
		workers[i].first = i * EACH;
		workers[i].removed_of_100 = 10 + test_disk_below(&seed, 40);
	}
	count = run_workers(workers, count);
	end(&journal);
	settings.upkeep = false;
	journal = test_journal_open_with(settings);
	for (i = 0; i < count; i++)
		must_have_what_was_told(journal, &workers[i], number);
	must(!journal->damaged && test_journal.warnings == 0, number,
	     "it is damaged");
	journal_close(&journal);
	file_ops_set(NULL);
}

#ifdef TEST_SCHEDULE
static void run_order(uint32_t number, void *context ATTR_UNUSED)
{
	run_disk(number + 1);
}

static void run_disks(void)
{
	schedule_each(30, run_order, NULL);
}
#else
static void run_disks(void)
{
	unsigned int first = test_disk_number_of("FULL_DISK_SEED", 1);
	unsigned int count = test_disk_number_of("FULL_DISKS", 8), i;

	for (i = 0; i < count; i++)
		run_disk(first + i);
	print_message("%u disks\n", count);
}
#endif

static void test_what_is_told_holds(void **state ATTR_UNUSED)
{
	run_disks();
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test_teardown(
		test_what_is_told_holds, test_disk_end) };

	return cmocka_run_group_tests_name("journal-full-threads", tests, NULL,
					   NULL);
}
