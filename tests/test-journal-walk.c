/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* All messages of a journal's index, one after the other. */

#include "config.h"
#include "journal/journal-index.h"
#include "test-journal-common.h"
#include "test-mem-faults.h"

#include <stdlib.h>

/* Messages, and segments that they are in. */
#define COUNT 1000u
#define SEGMENTS 7u

static struct walked {
	struct journal_index *index;
	unsigned int count, stop_at;
	bool removes;
	bool was_seen[COUNT];
	struct journal_place last;
	unsigned int
		back; /* how often one was before the last one on the disk */
} walked;

static unsigned int number_of(const struct journal_entry *entry)
{
	return (unsigned int)entry->version - 1;
}

static bool walk(const struct journal_entry *entry, void *context ATTR_UNUSED)
{
	struct journal_entry next, old;
	message_id id;

	assert_in_range(number_of(entry), 0, COUNT - 1);
	assert_false(walked.was_seen[number_of(entry)]);
	walked.was_seen[number_of(entry)] = true;
	if (entry->headers.segment < walked.last.segment ||
	    (entry->headers.segment == walked.last.segment &&
	     entry->headers.offset < walked.last.offset))
		walked.back++;
	walked.last = entry->headers;
	if (walked.removes) {
		/* its neighbour by number, which is behind it as often as not */
		test_journal_make_id(number_of(entry) ^ 1, &id);
		if (journal_index_find(walked.index, &id, &next))
			(void)journal_index_remove(walked.index, &id, &old);
	}
	return ++walked.count != walked.stop_at;
}

/* Numbers say nothing of places. */
static void add(struct journal_index *index, unsigned int n)
{
	struct journal_entry entry = { .version = n + 1,
				       .base_version = n + 1 };
	struct journal_entry old;

	test_journal_make_id(n, &entry.id);
	entry.headers.segment = 1 + n * 37 % SEGMENTS;
	entry.headers.offset = 1 + n * 7919 % COUNT;
	entry.body = entry.headers;
	assert_true(journal_index_set(index, &entry, &old));
}

static int setup(void **state ATTR_UNUSED)
{
	unsigned int n;

	memset(&walked, 0, sizeof(walked));
	walked.index = malloc(sizeof(*walked.index));
	assert_non_null(walked.index);
	journal_index_init(walked.index);
	for (n = 0; n < COUNT; n++)
		add(walked.index, n);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	journal_index_deinit(walked.index);
	free(walked.index);
	return 0;
}

/* Each once, and in the order in which they are on the disk. */
static void test_in_the_order_of_the_disk(void **state ATTR_UNUSED)
{
	journal_index_for_each(walked.index, false, walk, NULL);
	assert_int_equal(walked.count, COUNT);
	assert_int_equal(walked.back, 0);
}

/* Where there is no memory for an order each is told of all the same, a few in order at a
   time. */
static void test_without_memory(void **state ATTR_UNUSED)
{
	test_mem_faults_begin(1, true);
	journal_index_for_each(walked.index, false, walk, NULL);
	assert_true(test_mem_faults_end() > 0);
	assert_int_equal(walked.count, COUNT);
	assert_in_range(walked.back, 1, COUNT / 50);
}

static void test_no_more_is_wanted(void **state ATTR_UNUSED)
{
	walked.stop_at = 10;
	test_mem_faults_begin(1, true);
	journal_index_for_each(walked.index, false, walk, NULL);
	(void)test_mem_faults_end();
	assert_int_equal(walked.count, 10);
}

/* Those that were there when it was opened, each once. */
static void test_old_ones(void **state ATTR_UNUSED)
{
	struct journal_entry old;
	message_id id;

	test_journal_make_id(5, &id);
	assert_true(journal_index_remove(walked.index, &id, &old));
	journal_index_is_open(walked.index);
	add(walked.index, 5);
	walked.stop_at = 100;
	journal_index_for_each(walked.index, true, walk, NULL);
	assert_int_equal(walked.count, 100);
	journal_index_for_each(walked.index, true, walk, NULL);
	assert_int_equal(walked.count, COUNT - 1);
	assert_false(walked.was_seen[5]);
	assert_true(walked.back <= 1);
}

/* What went meanwhile is not told of. */
static void test_what_goes_meanwhile(void **state ATTR_UNUSED)
{
	unsigned int n;

	walked.removes = true;
	journal_index_for_each(walked.index, false, walk, NULL);
	assert_int_equal(walked.count, COUNT / 2);
	for (n = 0; n < COUNT; n += 2)
		assert_int_not_equal(walked.was_seen[n],
				     walked.was_seen[n + 1]);
}

static void test_of_none(void **state ATTR_UNUSED)
{
	struct journal_entry old;
	message_id id;
	unsigned int n;

	for (n = 0; n < COUNT; n++) {
		test_journal_make_id(n, &id);
		assert_true(journal_index_remove(walked.index, &id, &old));
	}
	journal_index_for_each(walked.index, false, walk, NULL);
	assert_int_equal(walked.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_the_order_of_the_disk,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_memory, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_no_more_is_wanted, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_old_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_goes_meanwhile, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_of_none, setup, teardown),
	};

	return cmocka_run_group_tests_name("journal-walk", tests, NULL, NULL);
}
