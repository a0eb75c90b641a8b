/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Claims on messages: one has it at a time, and who waits gets it. */

#include "config.h"
#include "macros.h"
#include "test-journal-gate.h"

#include <sched.h>

#define CLAIMS 2000

/* Two messages whose claims wait at the same place, and who has them. */
static struct {
	struct journal *journal;
	message_id ids[2];
	_Atomic unsigned int inside[2], wrong;
} claims;

static void *claim_often(void *number)
{
	unsigned int n = *(const unsigned int *)number, i;
	struct journal_entry entry;

	for (i = 0; i < CLAIMS; i++) {
		if (journal_claim(claims.journal, &claims.ids[n], &entry) < 0)
			return number;
		if (claims.inside[n]++ > 0)
			claims.wrong++;
		(void)sched_yield();
		claims.inside[n]--;
		journal_release(claims.journal, &claims.ids[n]);
	}
	return NULL;
}

/* One has it at a time, and each who waits gets it. */
static void test_many_claims(void **state ATTR_UNUSED)
{
	static unsigned int numbers[] = { 0, 1, 0, 1, 0, 1 };
	pthread_t threads[N_ELEMENTS(numbers)];
	unsigned int i;

	claims.journal = test_journal_new();
	for (i = 0; i < 2; i++) {
		test_journal_make_id(i, &claims.ids[i]);
		claims.ids[i].bytes[15] = 7;
	}
	for (i = 0; i < N_ELEMENTS(numbers); i++)
		threads[i] = test_start(claim_often, &numbers[i]);
	for (i = 0; i < N_ELEMENTS(numbers); i++)
		test_end(threads[i]);
	assert_int_equal(claims.wrong, 0);
	journal_close(&claims.journal);
}

static void *claim_once(void *number)
{
	unsigned int n = *(const unsigned int *)number;
	struct journal_entry entry;

	if (journal_claim(claims.journal, &claims.ids[n], &entry) < 0)
		return number;
	journal_release(claims.journal, &claims.ids[n]);
	return NULL;
}

/* Somebody else waits for longer, at the same place for another message. */
static void test_the_right_one_is_woken(void **state ATTR_UNUSED)
{
	static unsigned int numbers[] = { 0, 1 };
	struct journal_entry entry;
	pthread_t threads[2];
	unsigned int i;

	claims.journal = test_journal_new();
	for (i = 0; i < 2; i++) {
		test_journal_make_id(i, &claims.ids[i]);
		claims.ids[i].bytes[15] = 7;
		assert_int_equal(journal_claim(claims.journal, &claims.ids[i],
					       &entry),
				 0);
	}
	for (i = 0; i < 2; i++) {
		threads[i] = test_start(claim_once, &numbers[i]);
		while (journal_index_waiting(&claims.journal->index,
					     &claims.ids[i]) == 0)
			(void)sched_yield();
	}
	for (i = 2; i-- > 0;) {
		journal_release(claims.journal, &claims.ids[i]);
		test_end(threads[i]);
	}
	journal_close(&claims.journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_claims),
		cmocka_unit_test(test_the_right_one_is_woken),
	};

	return cmocka_run_group_tests_name("journal-claims", tests, NULL, NULL);
}
