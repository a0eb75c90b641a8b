/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Full disks of any size, with messages of any size that were stored alone or in groups, and
   are delivered, removed and stored again in any order, beside starts: each message can be
   removed, all the time (invariant 14). FULL_DISKS says how many, `make full-soak` takes
   many; FULL_DISK_SEED is the number of the first. */

#include "config.h"
#include "file-ops.h"
#include "macros.h"
#include "test-journal-disk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SEGMENT TEST_DISK_SEGMENT
#define MANY 60000u

/*
 * Numbers
 */

static uint64_t seed;

static unsigned int below(unsigned int limit)
{
	return test_disk_below(&seed, limit);
}

/*
 * Disks
 */

enum order {
	OLDEST_FIRST,
	NEWEST_FIRST,
	ANY_ORDER,
	ORDERS
};

struct disk_case {
	unsigned int number;
	uint64_t segment, disk; /* bytes */
	size_t size, large;     /* of a body, and of every so many of them */
	unsigned int every;     /* 0: none is large */
	unsigned int group;     /* stored at once */
	unsigned int rounds;    /* in which some come and go */
	unsigned int start;     /* anew after so many removals; 0: never */
	enum order order;
};

struct run {
	struct disk_case disk;
	struct journal *journal;
	bool is_there[MANY];
	unsigned int next, count; /* numbers; messages */
	uint64_t version;         /* that headers have then */
};

static void choose(struct disk_case *disk, unsigned int number)
{
	static const size_t sizes[] = { 0,    100,  500,  1000,
					3000, 4000, 9000, 30000 };

	seed = number;
	(void)below(2);
	memset(disk, 0, sizeof(*disk));
	disk->number = number;
	disk->segment = SEGMENT >> below(3);
	disk->disk = disk->segment +
		disk->segment * below(below(2) == 0 ? 400 : 2400) / 100;
	disk->size = sizes[below(N_ELEMENTS(sizes))];
	disk->large = disk->segment / 64 * (1 + below(16));
	disk->every = below(2) == 0 ? 0 : 4 + below(40);
	disk->group = 1 + below(3) * below(16);
	disk->rounds = below(4);
	disk->start = below(3) == 0 ? 20 + below(500) : 0;
	disk->order = (enum order)below(ORDERS);
}

static void describe(const struct disk_case *disk, const char *what)
{
	print_message("%s: FULL_DISK_SEED=%u: segments of %u KiB, a disk of "
		      "%u KiB, %zu bytes a body, %zu every %u, groups of %u, "
		      "%u rounds, starts after %u, order %d\n",
		      what, disk->number, (unsigned int)(disk->segment / 1024),
		      (unsigned int)(disk->disk / 1024), disk->size,
		      disk->large, disk->every, disk->group, disk->rounds,
		      disk->start, (int)disk->order);
}

/*
 * What is done
 */

static void must(const struct run *run, bool holds, const char *what)
{
	if (holds)
		return;
	describe(&run->disk, what);
	fail();
}

static size_t size_of(const struct run *run, unsigned int n)
{
	return run->disk.every != 0 && n % run->disk.every == 0 ?
		run->disk.large :
		run->disk.size;
}

/* As spool_remove() does. Whatever is moved, that ends. */
static void remove_one(struct run *run, unsigned int n)
{
	unsigned int tries, steps = 0;
	uint64_t moved;
	int error = test_journal_drop(run->journal, n);

	for (tries = 0; error == ENOSPC && tries < 3; tries++) {
		while (journal_compact_some(run->journal, true, &moved) > 0)
			must(run, ++steps < 1000 + 10 * run->count,
			     "moving never ends");
		error = test_journal_drop(run->journal, n);
	}
	must(run, error == 0, "a message cannot be removed");
	run->is_there[n] = false;
	run->count--;
}

/* Until a group is refused; of that a part may be there. */
static void fill(struct run *run)
{
	unsigned int i;
	int error = 0;

	while (error == 0 && run->next + run->disk.group <= MANY) {
		error = test_disk_store_group(run->journal, run->next,
					      run->disk.group,
					      size_of(run, run->next));
		must(run, error == 0 || error == ENOSPC, "not stored");
		for (i = 0; i < run->disk.group; i++, run->next++) {
			run->is_there[run->next] =
				test_disk_has(run->journal, run->next);
			run->count += run->is_there[run->next] ? 1 : 0;
		}
	}
}

static void start_again(struct run *run)
{
	unsigned int n;

	test_disk_start_again(&run->journal);
	for (n = 0; n < run->next; n++)
		must(run, test_disk_has(run->journal, n) == run->is_there[n],
		     "a start finds other messages");
}

/* A delivery, where headers are written once more: it may be refused. */
static void deliver_one(struct run *run, unsigned int n)
{
	int error = test_disk_rewrite(run->journal, n, ++run->version);

	must(run, error == 0 || error == ENOSPC, "not delivered");
}

static void come_and_go(struct run *run)
{
	uint64_t moved;
	unsigned int n;

	for (n = 0; n < run->next; n++) {
		if (!run->is_there[n])
			continue;
		if (below(4) == 0)
			remove_one(run, n);
		else if (below(8) == 0)
			deliver_one(run, n);
	}
	(void)journal_compact(run->journal, &moved);
	fill(run);
}

static void remove_all(struct run *run)
{
	static unsigned int numbers[MANY];
	unsigned int i, n, other, removed = 0;

	for (i = 0; i < run->next; i++)
		numbers[i] =
			run->disk.order == NEWEST_FIRST ? run->next - 1 - i : i;
	for (i = run->next; run->disk.order == ANY_ORDER && i > 1; i--) {
		other = below(i);
		n = numbers[i - 1];
		numbers[i - 1] = numbers[other];
		numbers[other] = n;
	}
	for (i = 0; i < run->next; i++) {
		if (!run->is_there[numbers[i]])
			continue;
		remove_one(run, numbers[i]);
		if (run->disk.start != 0 && ++removed % run->disk.start == 0)
			start_again(run);
	}
}

static void run_disk(unsigned int number)
{
	static struct run run;
	struct journal_settings settings = { 0 };
	unsigned int i;
	uint64_t moved;

	memset(&run, 0, sizeof(run));
	choose(&run.disk, number);
	run.version = 1;
	settings.segment_size = run.disk.segment;
	run.journal = test_disk_begin_with(run.disk.disk, settings);
	fill(&run);
	for (i = 0; i < run.disk.rounds; i++) {
		come_and_go(&run);
		if (run.disk.start != 0)
			start_again(&run);
	}
	remove_all(&run);
	start_again(&run);
	must(&run, run.count == 0, "messages are left");
	must(&run, journal_compact(run.journal, &moved) == 0, "not compacted");
	must(&run, test_disk_store(run.journal, MANY, run.disk.size) == 0,
	     "nothing is stored in an empty one");
	must(&run, test_journal.warnings == 0, "warnings");
	journal_close(&run.journal);
	file_ops_set(NULL);
}

/*
 * Tests
 */

static void test_each_message_can_be_removed(void **state ATTR_UNUSED)
{
	/* each found a mistake that was made here, or is planted in the list of them */
	static const unsigned int known[] = {
		5, 92, 103, 120, 200, 279, 321, 381, 1004, 3163, 5215, 7022
	};
	unsigned int first = test_disk_number_of("FULL_DISK_SEED", 0);
	unsigned int count = test_disk_number_of("FULL_DISKS", 40), i;

	for (i = 0; first == 0 && i < N_ELEMENTS(known); i++)
		run_disk(known[i]);
	for (i = 0; i < count; i++)
		run_disk(I_MAX(first, 1u) + i);
	print_message("%u disks\n", count);
}

static void remove_in_any_order(struct journal **journal, unsigned int count)
{
	unsigned int numbers[TEST_DISK_MANY], n;

	test_disk_shuffle(numbers, count);
	for (n = 0; n < count; n++) {
		assert_int_equal(test_disk_drop(*journal, numbers[n]), 0);
		/* what is packed outlives a start */
		if (n == count / 2)
			test_disk_start_again(journal);
	}
	test_disk_start_again(journal);
	for (n = 0; n < count; n++)
		assert_false(test_disk_has(*journal, n));
}

/* 14: each takes a block, if it comes alone, as they were stored; all of them can be removed
   one after the other, and there is room again. */
static void test_all_can_be_removed_in_any_order(void **state ATTR_UNUSED)
{
	static const uint64_t disks[] = { SEGMENT + SEGMENT / 2, 2 * SEGMENT,
					  4 * SEGMENT, 12 * SEGMENT,
					  24 * SEGMENT };
	static const size_t sizes[] = { 1000, 9000 };
	struct journal *journal;
	unsigned int i, count;
	uint64_t moved;

	for (i = 0; i < N_ELEMENTS(disks) * N_ELEMENTS(sizes); i++) {
		journal = test_disk_begin(disks[i / 2]);
		count = test_disk_fill(journal, 0, sizes[i % 2]);
		remove_in_any_order(&journal, count);
		assert_int_equal(journal_compact(journal, &moved), 0);
		assert_int_equal(test_disk_store(journal, count, sizes[i % 2]),
				 0);
		journal_close(&journal);
	}
	assert_int_equal(test_journal.warnings, 0);
}

/* 14: what was kept when segments were to be larger or smaller is kept all the same. */
static void
test_all_can_be_removed_with_another_segment_size(void **state ATTR_UNUSED)
{
	static const uint64_t sizes[] = { SEGMENT / 2, 2 * SEGMENT,
					  4 * SEGMENT };
	static const size_t bodies[] = { 100, 1000, 4000 };
	struct journal_settings settings = { 0 };
	unsigned int numbers[TEST_DISK_MANY], i, n, count;
	struct journal *journal;

	for (i = 0; i < N_ELEMENTS(sizes) * N_ELEMENTS(bodies) * 5; i++) {
		journal = test_disk_begin((2 + i % 5) * SEGMENT);
		count = test_disk_fill(journal, 0,
				       bodies[i / 5 % N_ELEMENTS(bodies)]);
		test_disk_shuffle(numbers, count);
		settings.segment_size = sizes[i / 5 / N_ELEMENTS(bodies)];
		for (n = 0; n < count; n++) {
			if (n == count / 8) {
				journal_close(&journal);
				journal = test_journal_open_with(settings);
			}
			assert_int_equal(test_disk_drop(journal, numbers[n]),
					 0);
		}
		journal_close(&journal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_all_can_be_removed_in_any_order,
					  test_disk_end),
		cmocka_unit_test_teardown(
			test_all_can_be_removed_with_another_segment_size,
			test_disk_end),
		cmocka_unit_test_teardown(test_each_message_can_be_removed,
					  test_disk_end),
	};

	return cmocka_run_group_tests_name("journal-full-random", tests, NULL,
					   NULL);
}
