/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A slot is found by its id as long as it is there, wherever others come and go. */

#include "config.h"
#include "journal/journal-slots.h"
#include "macros.h"
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
		journal_slots_prefetch(slots, &id, JOURNAL_PREFETCH_PLACE);
		journal_slots_prefetch(slots, &id, JOURNAL_PREFETCH_FOUND);
		journal_slots_prefetch(slots, &id, JOURNAL_PREFETCH_NEW);
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

/* Who knew how many there will be has memory for them at once; more may come. */
static void test_expected_ones(void **state ATTR_UNUSED)
{
	static const unsigned int expected[] = { 0,       31,  32,  100,
						 IDS - 1, IDS, 5000 };
	bool there[IDS] = { false };
	struct journal_slots slots;
	unsigned int n, room;
	uint32_t table_size;
	size_t i;

	for (i = 0; i < N_ELEMENTS(expected); i++) {
		memset(&slots, 0, sizeof(slots));
		memset(there, 0, sizeof(there));
		journal_slots_expect(&slots, expected[i]);
		room = slots.room;
		table_size = slots.table_size;
		assert_int_equal(room, expected[i] / 32 * 32);
		check(&slots, there);
		for (n = 0; n < IDS; n++) {
			add(&slots, n);
			there[n] = true;
			if (n < room) {
				assert_int_equal(slots.room, room);
				assert_int_equal(slots.table_size, table_size);
			}
		}
		check(&slots, there);
		for (n = 0; n < IDS; n += 2) {
			drop(&slots, n);
			there[n] = false;
		}
		check(&slots, there);
		journal_slots_free(&slots);
	}
}

/* More than the table can number is not expected. */
static void test_too_many_expected(void **state ATTR_UNUSED)
{
	struct journal_slots slots = { .count = 0 };

	journal_slots_expect(&slots, UINT32_MAX);
	assert_true(slots.room < 1u << 24);
	add(&slots, 1);
	journal_slots_free(&slots);
}

/* What was expected in vain is given back, and what is there stays. */
static void test_the_table_fits(void **state ATTR_UNUSED)
{
	struct journal_slots slots = { .count = 0 };
	bool there[IDS] = { false };
	unsigned int n;

	journal_slots_expect(&slots, 5000);
	assert_int_equal(slots.table_size, 8192);
	for (n = 0; n < 20; n++) {
		add(&slots, n);
		there[n] = true;
	}
	drop(&slots, 3);
	there[3] = false;
	test_mem_faults_begin(1, true);
	journal_slots_fit(&slots);
	(void)test_mem_faults_end();
	assert_int_equal(slots.table_size, 8192);
	check(&slots, there);
	journal_slots_fit(&slots);
	assert_int_equal(slots.table_size, 32);
	check(&slots, there);
	/* which it does now */
	test_mem_faults_begin(0, false);
	journal_slots_fit(&slots);
	assert_int_equal(test_mem_faults_end(), 0);
	for (n = 20; n < IDS; n++) {
		add(&slots, n);
		there[n] = true;
	}
	check(&slots, there);
	journal_slots_free(&slots);
}

/* Where there is no memory for what is expected, it comes as it is needed. */
static void test_expected_without_memory(void **state ATTR_UNUSED)
{
	bool there[IDS];
	struct journal_slots slots;
	unsigned int n, at, calls = 1;

	for (at = 1; at <= calls; at++) {
		memset(&slots, 0, sizeof(slots));
		memset(there, 0, sizeof(there));
		test_mem_faults_begin(at, false);
		journal_slots_expect(&slots, IDS);
		calls = test_mem_faults_end();
		for (n = 0; n < IDS; n++) {
			add(&slots, n);
			there[n] = true;
		}
		check(&slots, there);
		journal_slots_free(&slots);
	}
	assert_int_equal(calls, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_come_and_go),
		cmocka_unit_test(test_memory_is_used_again),
		cmocka_unit_test(test_two_of_one_id),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_expected_ones),
		cmocka_unit_test(test_too_many_expected),
		cmocka_unit_test(test_the_table_fits),
		cmocka_unit_test(test_expected_without_memory),
	};

	return cmocka_run_group_tests_name("journal-slots", tests, NULL, NULL);
}
