/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The memory of the index: what a message takes, and that what went takes none. */

#include "config.h"
#include "test-journal-common.h"
#include "test-mem-faults.h"

#include <errno.h>
#include <stdlib.h>

/* Of a message that went, or that was never stored, the index has nothing: neither for it nor
   for its states. */
static uint32_t used_slots(const struct journal *journal)
{
	uint32_t used = 0;
	unsigned int i;

	for (i = 0; i < JOURNAL_SHARDS; i++)
		used += journal->index.shards[i].slots.used;
	return used;
}

static void test_no_memory_of_what_went(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_entry entry;
	struct test_journal_put put;
	struct journal_record *record = put.request.records;
	unsigned int i, stored;
	message_id id;

	test_journal_make_id(1, &id);
	for (i = 0; i < 20; i++) {
		stored = i % 2;
		if (stored > 0)
			assert_int_equal(test_journal_store(journal, 1), 0);
		assert_int_equal(journal_claim(journal, &id, &entry), 0);
		assert_int_equal(journal_reserve_states(journal, &id), 0);
		test_journal_make_put(&put, 1, 2);
		put.request.count = 1;
		record->type = JOURNAL_STATES;
		record->plain_size = 1;
		if (stored > 0)
			assert_int_equal(journal_commit(journal, &put.request),
					 0);
		journal_release(journal, &id);
		if (stored > 0)
			assert_int_equal(test_journal_drop(journal, 1), 0);
	}
	assert_true(journal->index.shards[id.bytes[15]].slots.count <= 2);
	assert_int_equal(used_slots(journal), 0);
	journal_close(&journal);
}

/* Where there is memory for states, it stays there until the claim goes, whatever is written
   meanwhile. */
static void test_memory_for_states_stays(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	const struct journal_shard *shard;
	struct journal_entry entry;
	struct test_journal_put put;

	assert_int_equal(test_journal_store(journal, 1), 0);
	test_journal_make_put(&put, 1, 2);
	shard = &journal->index.shards[put.request.records[0].id.bytes[15]];
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(journal_reserve_states(journal, &entry.id), 0);
	assert_int_equal(shard->slots.count, 2);
	/* none are there yet */
	assert_true(journal_find(journal, &entry.id, &entry));
	assert_int_equal(entry.version, 1);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	assert_int_equal(shard->slots.free, 0);
	journal_release(journal, &entry.id);
	assert_int_not_equal(shard->slots.free, 0);
	journal_close(&journal);
}

/* So many may come, in whatever shards they are; what came not is not kept. */
static void test_expected_messages(void **state ATTR_UNUSED)
{
	struct journal_index *index = malloc(sizeof(*index));
	struct journal_entry entry, old;
	unsigned int n, i;

	assert_non_null(index);
	journal_index_init(index);
	journal_index_expect(index, 1000 * JOURNAL_SHARDS);
	for (i = 0; i < JOURNAL_SHARDS; i++) {
		assert_true(index->shards[i].slots.room >= 960);
		assert_int_equal(index->shards[i].slots.table_size, 2048);
	}
	memset(&entry, 0, sizeof(entry));
	entry.headers.offset = 1;
	for (n = 0; n < 100; n++) {
		test_journal_make_id(n, &entry.id);
		memset(&old, 0xff, sizeof(old));
		assert_true(journal_index_set(index, &entry, &old));
		assert_int_equal(old.headers.offset, 0);
		assert_int_equal(old.states.offset, 0);
	}
	journal_index_is_open(index);
	for (i = 0; i < JOURNAL_SHARDS; i++)
		assert_int_equal(index->shards[i].slots.table_size, 16);
	for (n = 0; n < 100; n++) {
		test_journal_make_id(n, &entry.id);
		assert_true(journal_index_find(index, &entry.id, &old));
	}
	journal_index_deinit(index);
	free(index);
}

/* Whatever there is none for: it is said, and nothing is there of it. */
static void test_no_memory_for_a_message(void **state ATTR_UNUSED)
{
	struct journal_index *index = malloc(sizeof(*index));
	struct journal_entry entry, found;
	unsigned int n, at, failed = 0;
	bool done;

	assert_non_null(index);
	journal_index_init(index);
	memset(&entry, 0, sizeof(entry));
	entry.headers.offset = 1;
	for (n = 0; n < 2; n++) {
		test_journal_make_id(n, &entry.id);
		for (at = 1;; at++) {
			test_mem_faults_begin(at, false);
			done = n == 0 ?
				journal_index_set(index, &entry, &found) :
				journal_index_claim(index, &entry.id, &found);
			if (test_mem_faults_end() < at)
				break;
			failed++;
			assert_false(done);
			assert_false(
				journal_index_find(index, &entry.id, &found));
		}
		assert_true(done);
	}
	assert_true(failed >= 4);
	journal_index_release(index, &entry.id);
	journal_index_deinit(index);
	free(index);
}

static void test_memory_of_a_message(void **state ATTR_UNUSED)
{
	const unsigned int count = 200000;
	struct journal_index *index = malloc(sizeof(*index));
	struct journal_entry entry, old;
	size_t before = test_mem_faults.used, grown;
	unsigned int n;

	assert_non_null(index);
	journal_index_init(index);
	memset(&entry, 0, sizeof(entry));
	entry.headers.offset = 1;
	for (n = 0; n < count; n++) {
		test_journal_make_id(n, &entry.id);
		assert_true(journal_index_set(index, &entry, &old));
	}
	grown = test_mem_faults.used - before;
	if (grown > (size_t)count * 68)
		fail_msg("%zu bytes a message", grown / count);
	for (n = 0; n < count; n++) {
		test_journal_make_id(n, &entry.id);
		assert_true(journal_index_remove(index, &entry.id, &old));
		assert_false(journal_index_find(index, &entry.id, &old));
	}
	journal_index_deinit(index);
	assert_int_equal(test_mem_faults.used, before);
	free(index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory_of_what_went),
		cmocka_unit_test(test_memory_for_states_stays),
		cmocka_unit_test(test_no_memory_for_a_message),
		cmocka_unit_test(test_expected_messages),
		cmocka_unit_test(test_memory_of_a_message),
	};

	return cmocka_run_group_tests_name("journal-index", tests, NULL, NULL);
}
