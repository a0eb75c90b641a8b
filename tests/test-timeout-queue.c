/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-common.h"
#include "timeout-queue.h"

#define ENTRIES 500

static void test_timeout_queue_equals_in_order(void **state ATTR_UNUSED)
{
	struct timeout_queue queue = { NULL, 0, 0, 0 };
	struct timeout_entry entries[20];
	unsigned int i;

	assert_null(timeout_queue_first(&queue));
	for (i = 0; i < N_ELEMENTS(entries); i++) {
		entries[i].due = 7;
		assert_int_equal(timeout_queue_add(&queue, &entries[i]), 0);
	}
	for (i = 0; i < N_ELEMENTS(entries); i++) {
		assert_ptr_equal(timeout_queue_first(&queue), &entries[i]);
		timeout_queue_remove(&queue, &entries[i]);
	}
	assert_null(timeout_queue_first(&queue));
	timeout_queue_free(&queue);
}

/* What is first, found the slow way. */
static struct timeout_entry *slow_first(struct timeout_entry *entries,
					const bool *present)
{
	struct timeout_entry *first = NULL;
	unsigned int i;

	for (i = 0; i < ENTRIES; i++) {
		if (present[i] &&
		    (first == NULL || entries[i].due < first->due ||
		     (entries[i].due == first->due &&
		      entries[i].number < first->number)))
			first = &entries[i];
	}
	return first;
}

/* Random adding and removing, anywhere in the queue, and at last all from its
   beginning. */
static void test_timeout_queue_model(void **state ATTR_UNUSED)
{
	static struct timeout_entry entries[ENTRIES];
	static bool present[ENTRIES];
	struct timeout_queue queue = { NULL, 0, 0, 0 };
	unsigned int step, i;
	uint32_t seed = 5;

	for (step = 0; step < 20000; step++) {
		i = test_random(&seed) % ENTRIES;
		if (step % 1000 > 600 && queue.count > 0)
			i = (unsigned int)(timeout_queue_first(&queue) -
					   entries);
		if (present[i]) {
			timeout_queue_remove(&queue, &entries[i]);
		} else {
			entries[i].due = test_random(&seed) % 300;
			assert_int_equal(timeout_queue_add(&queue, &entries[i]),
					 0);
		}
		present[i] = !present[i];
		assert_ptr_equal(timeout_queue_first(&queue),
				 slow_first(entries, present));
	}
	timeout_queue_free(&queue);
}

static void test_timeout_queue_misuse(void **state ATTR_UNUSED)
{
	struct timeout_queue queue = { NULL, 0, 0, 0 };
	struct timeout_entry entry, other = { 1, 0, 0 };

	entry.due = 1;
	assert_int_equal(timeout_queue_add(&queue, &entry), 0);
	EXPECT_PANIC("assertion failed", timeout_queue_remove(&queue, &other));
	timeout_queue_remove(&queue, &entry);
	EXPECT_PANIC("assertion failed", timeout_queue_remove(&queue, &entry));
	timeout_queue_free(&queue);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timeout_queue_equals_in_order),
		cmocka_unit_test(test_timeout_queue_model),
		cmocka_unit_test(test_timeout_queue_misuse),
	};

	return cmocka_run_group_tests_name("timeout-queue", tests, NULL, NULL);
}
