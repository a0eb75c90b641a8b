/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A slot is found by its id as long as it is there, wherever others come and go. */

#include "config.h"
#include "journal/journal-slots.h"
#include "test-common.h"
#include "test-mem-faults.h"

#include <errno.h>

/* Of ids that want one of so many places, all at the end of a small table: most of them
   stand elsewhere, some behind its end. */
#define IDS 200u
#define PLACES 3u

static void make_id(message_id *id_r, unsigned int n)
{
	memset(id_r, 0, sizeof(*id_r));
	id_r->bytes[14] = (unsigned char)(0xff - n % PLACES);
	id_r->bytes[13] = 0xff;
	/* a few have all in common that an entry knows of them */
	id_r->bytes[10] = (unsigned char)(n / PLACES / 4);
	id_r->bytes[0] = (unsigned char)n;
}

/* What should be there, by its number; `version` tells which one it is. */
static void check(const struct journal_slots *slots, const bool *there)
{
	const struct journal_slot *slot;
	message_id id;
	unsigned int n;

	for (n = 0; n < IDS; n++) {
		make_id(&id, n);
		journal_slots_prefetch(slots, &id, false);
		journal_slots_prefetch(slots, &id, true);
		slot = journal_slots_find(slots, &id, 0);
		assert_int_equal(slot != NULL, there[n]);
		if (slot != NULL)
			assert_int_equal(slot->version, n);
		assert_null(journal_slots_find(slots, &id, SLOT_STATES));
	}
}

static void add(struct journal_slots *slots, unsigned int n)
{
	struct journal_slot *slot;
	message_id id;

	make_id(&id, n);
	slot = journal_slots_get(slots, &id, SLOT_OLD);
	assert_non_null(slot);
	assert_int_equal(slot->flags, SLOT_USED | SLOT_OLD);
	assert_int_equal(slot->headers.offset, 0);
	slot->version = n;
	/* so that one that is used again is seen to begin anew */
	slot->headers.offset = 1;
}

static void drop(struct journal_slots *slots, unsigned int n)
{
	struct journal_slot *slot;
	message_id id;

	make_id(&id, n);
	slot = journal_slots_find(slots, &id, 0);
	assert_non_null(slot);
	journal_slots_remove(slots, slot);
}

static void test_come_and_go(void **state ATTR_UNUSED)
{
	struct journal_slots slots = { .count = 0 };
	bool there[IDS] = { false };
	unsigned int round, n, random = 1;

	check(&slots, there);
	for (round = 0; round < 3000; round++) {
		random = random * 1103515245u + 12345u;
		n = (random >> 8) % IDS;
		/* few in one part of the rounds, most in the next */
		if (!there[n] && (round / 500 % 2 == 0 || n % 8 == 0))
			add(&slots, n);
		else if (there[n])
			drop(&slots, n);
		else
			continue;
		there[n] = !there[n];
		check(&slots, there);
	}
	journal_slots_free(&slots);
}

static void test_memory_is_used_again(void **state ATTR_UNUSED)
{
	struct journal_slots slots = { .count = 0 };
	unsigned int round, n;

	for (round = 0; round < 100; round++) {
		for (n = 0; n < 10; n++)
			add(&slots, n + round % 7);
		for (n = 0; n < 10; n++)
			drop(&slots, n + round % 7);
	}
	assert_int_equal(slots.count, 10);
	assert_int_equal(slots.used, 0);
	assert_int_equal(slots.room, JOURNAL_CHUNK_SLOTS);
	assert_true(slots.table_size <= 16);
	journal_slots_free(&slots);
}

static void test_two_of_one_id(void **state ATTR_UNUSED)
{
	struct journal_slots slots = { .count = 0 };
	struct journal_slot *first, *states;
	message_id id;

	make_id(&id, 1);
	first = journal_slots_get(&slots, &id, 0);
	assert_null(journal_slots_find(&slots, &id, SLOT_STATES));
	states = journal_slots_get(&slots, &id, SLOT_STATES);
	assert_ptr_equal(journal_slots_find(&slots, &id, 0), first);
	assert_ptr_equal(journal_slots_find(&slots, &id, SLOT_STATES), states);
	journal_slots_remove(&slots, first);
	assert_null(journal_slots_find(&slots, &id, 0));
	assert_ptr_equal(journal_slots_find(&slots, &id, SLOT_STATES), states);
	journal_slots_remove(&slots, states);
	assert_null(journal_slots_find(&slots, &id, SLOT_STATES));
	journal_slots_free(&slots);
}

/* Where there is no memory for one there is none, and what was there stays; nor is anything
   in the way of the next try. */
static void test_without_memory(void **state ATTR_UNUSED)
{
	struct journal_slots slots = { .count = 0 };
	unsigned int n, at, failed = 0;
	bool there[IDS] = { false };
	struct journal_slot *slot;
	message_id id;

	for (n = 0; n < IDS; n++) {
		make_id(&id, n);
		for (at = 1;; at++) {
			test_mem_faults_begin(at, false);
			slot = journal_slots_get(&slots, &id, 0);
			if (test_mem_faults_end() < at)
				break;
			failed++;
			assert_null(slot);
			assert_int_equal(errno, ENOMEM);
			check(&slots, there);
		}
		assert_non_null(slot);
		slot->version = n;
		there[n] = true;
		assert_int_equal(slots.used, n + 1);
	}
	check(&slots, there);
	/* a table, the list of the chunks, and a chunk, each more than once */
	assert_in_range(failed, 12, 24);
	journal_slots_free(&slots);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_come_and_go),
		cmocka_unit_test(test_memory_is_used_again),
		cmocka_unit_test(test_two_of_one_id),
		cmocka_unit_test(test_without_memory),
	};

	return cmocka_run_group_tests_name("journal-slots", tests, NULL, NULL);
}
