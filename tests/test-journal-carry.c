/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Tombstones: how long they are needed, and that a segment which has nothing else goes. What
   is void is in test-journal-void. */

#include "config.h"
#include "test-journal-common.h"

#include <errno.h>

/* Of the first segment's messages 4 went, as the next one says. */
#define STAYS(n) ((n) % 4 != 2)

static void begin_with_staying(struct journal *journal)
{
	unsigned int n;

	for (n = 0; n < TEST_JOURNAL_STAYING; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	for (n = 0; n < TEST_JOURNAL_STAYING; n++) {
		if (!STAYS(n))
			assert_int_equal(test_journal_drop(journal, n), 0);
	}
}

static void must_have_staying(struct journal *journal)
{
	unsigned int n;

	for (n = 0; n < TEST_JOURNAL_STAYING; n++)
		assert_int_equal(test_journal_has(journal, n), STAYS(n));
}

/* Messages that nobody takes keep their own segment, and no other. */
static void test_a_full_segment_holds_nothing(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = TEST_JOURNAL_STAYING, round, i;

	begin_with_staying(journal);
	for (round = 0; round < 10; round++) {
		test_journal_pass(journal, &n, 100);
		test_journal_compact(journal);
		must_have_staying(journal);
		/* it, the active one, what the last message is in, two spare ones, and
		   of others a block each */
		assert_true(test_journal_disk_use() <=
			    (5 * TEST_JOURNAL_SEGMENT +
			     test_journal_files_in("journal") *
				     JOURNAL_BLOCK_SIZE));
	}
	journal_close(&journal);
	journal = test_journal_open(false);
	must_have_staying(journal);
	for (i = TEST_JOURNAL_STAYING; i < n; i++)
		assert_int_equal(test_journal_has(journal, i), i == n - 1);
	/* and what was carried is known for what it is */
	test_journal_pass(journal, &n, 100);
	test_journal_compact(journal);
	assert_true(test_journal_disk_use() <=
		    (5 * TEST_JOURNAL_SEGMENT +
		     test_journal_files_in("journal") * JOURNAL_BLOCK_SIZE));
	journal_close(&journal);
	journal = test_journal_open(false);
	must_have_staying(journal);
	journal_close(&journal);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
	assert_int_equal(test_journal.warnings, 0);
}

/* A message whose first record is in a segment that stays is removed, comes back, or is
   written anew, and goes again. All that speaks of it is moved on in between, also when
   there is no start that finds out anew what overrules what. */
static void test_what_is_written_again_goes_again(void **state ATTR_UNUSED)
{
	static const struct {
		bool goes_first, starts;
	} tests[] = { { false, false },
		      { false, true },
		      { true, false },
		      { true, true } };
	struct journal *journal;
	unsigned int n, i, round;

	for (i = 0; i < N_ELEMENTS(tests); i++) {
		journal = test_journal_new();
		n = 0;
		test_journal_pass(journal, &n, TEST_JOURNAL_STAYING);
		for (round = 0; round < 2; round++) {
			if (tests[i].goes_first || round > 0)
				assert_int_equal(test_journal_drop(journal, 1),
						 0);
			test_journal_time_passes(journal, &n);
			test_journal_pass(journal, &n, 20);
			assert_int_equal(test_journal_store(journal, 1), 0);
			test_journal_time_passes(journal, &n);
			test_journal_time_passes(journal, &n);
			if (tests[i].starts)
				test_journal_start_again(&journal);
			assert_true(test_journal_has(journal, 1));
		}
		assert_int_equal(test_journal_drop(journal, 1), 0);
		test_journal_time_passes(journal, &n);
		test_journal_time_passes(journal, &n);
		test_journal_start_again(&journal);
		assert_false(test_journal_has(journal, 1));
		assert_true(test_journal_has(journal, 2));
		journal_close(&journal);
	}
}

#define RANDOM_IDS 40
/* So many in one group, of which so many go by one. */
#define CROWD 150u
#define GOING 70u

/* As a start would find it. */
static void must_be_on_the_disk(const bool there[RANDOM_IDS])
{
	struct journal *reader = test_journal_open(true);
	unsigned int n;

	for (n = 0; n < RANDOM_IDS; n++)
		assert_int_equal(test_journal_has(reader, n), there[n]);
	journal_close(&reader);
}

/* Some change often, others hardly ever; some segments stay, others go: whatever comes
   after what, nothing that went comes back. */
static void test_any_order(void **state ATTR_UNUSED)
{
	struct journal *journal;
	uint32_t random, round, n;
	unsigned int seed;

	for (seed = 1; seed <= 8; seed++) {
		bool there[RANDOM_IDS] = { false };

		journal = test_journal_new();
		random = seed;
		for (round = 0; round < 700; round++) {
			n = test_random(&random) % RANDOM_IDS;
			n = n * n / RANDOM_IDS;
			if (there[n] && test_random(&random) % 2 == 0) {
				assert_int_equal(test_journal_drop(journal, n),
						 0);
				there[n] = false;
			} else {
				assert_int_equal(test_journal_store(journal, n),
						 0);
				there[n] = true;
			}
			if (test_random(&random) % 32 == 0) {
				test_journal_compact(journal);
				must_be_on_the_disk(there);
			}
		}
		journal_close(&journal);
	}
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* Stores or removes the messages from `from` to `to`, as one group. */
static void commit_range(struct journal *journal, unsigned int from,
			 unsigned int to, bool removes)
{
	static struct test_journal_put puts[2 * CROWD];
	static unsigned char targets[2 * CROWD][JOURNAL_TARGET_SIZE];
	struct journal_request *requests[2 * CROWD];
	struct journal_record *record;
	struct journal_entry entry;
	unsigned int n;

	for (n = from; n < to; n++) {
		test_journal_make_put(&puts[n], n, 1);
		requests[n] = &puts[n].request;
		record = puts[n].request.records;
		assert_int_equal(journal_claim(journal, &record->id, &entry),
				 0);
		if (!removes)
			continue;
		journal_make_target(journal, &entry.headers, targets[n]);
		puts[n].request.count = 1;
		record->type = JOURNAL_UNLINK;
		record->stack = NULL;
		record->data = targets[n];
		record->size = JOURNAL_TARGET_SIZE;
	}
	assert_int_equal(
		journal_commit_many(journal, requests + from, to - from), 0);
	for (n = from; n < to; n++)
		journal_release(journal, &puts[n].request.records[0].id);
}

/* Until another segment is begun, which has the last one. */
static void fill_with_what_goes(struct journal *journal, unsigned int *n)
{
	const struct journal_segment *active = journal->active;

	for (;;) {
		assert_int_equal(test_journal_store(journal, (*n)++), 0);
		if (journal->active != active)
			break;
		assert_int_equal(test_journal_drop(journal, *n - 1), 0);
		/* else a tombstone there would connect the two */
		assert_ptr_equal(journal->active, active);
	}
}

/* What is behind it may be held by it alone. */
static void test_the_oldest_is_carried_first(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = 0, segment;

	assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_fill(journal, &n);
	/* two segments of tombstones */
	for (segment = 2; segment <= 3; segment++) {
		assert_int_equal(test_journal_active(journal), segment);
		assert_int_equal(test_journal_drop(journal, segment), 0);
		assert_int_equal(test_journal_drop(journal, segment + 2), 0);
		assert_int_equal(test_journal_drop(journal, n - 1), 0);
		fill_with_what_goes(journal, &n);
		assert_int_equal(journal->segments[segment]->live, 0);
		assert_int_not_equal(journal->segments[segment]->outlives_count,
				     0);
	}
	assert_int_equal(journal_carry_tombstones(journal), 1);
	assert_int_equal(journal->segments[2]->outlives_count, 0);
	assert_int_not_equal(journal->segments[3]->outlives_count, 0);
	journal_close(&journal);
}

/* Of a message that came back there are records in two segments that stay, and tombstones
   for both in one that is carried: one tombstone is left, which holds both. */
static void test_one_tombstone_for_two(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = 0, moved, second, behind, i;

	assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_fill(journal, &n);
	/* the first tombstone */
	assert_int_equal(test_journal_drop(journal, 1), 0);
	moved = n - 1;
	fill_with_what_goes(journal, &n);
	second = n - 1;
	test_journal_store_version(journal, 1, 2);
	test_journal_fill(journal, &n);
	behind = n - 1;
	/* the second one, and a copy of the first */
	assert_int_equal(test_journal_drop(journal, 1), 0);
	test_journal_compact(journal);
	assert_int_equal(journal->active->tombstones, 2);
	assert_int_equal(test_journal_drop(journal, moved), 0);
	assert_int_equal(test_journal_drop(journal, behind), 0);
	fill_with_what_goes(journal, &n);
	for (i = 0; i < 3; i++)
		test_journal_time_passes(journal, &n);
	/* the segment of the second record goes, and then all that is behind it may */
	test_journal_drop_range(journal, second, behind);
	for (i = 0; i < 10; i++)
		test_journal_time_passes(journal, &n);
	test_journal_start_again(&journal);
	assert_false(test_journal_has(journal, 1));
	assert_true(test_journal_has(journal, 0));
	journal_close(&journal);
}

/* A tombstone is not carried while the message is there again; then what is behind the
   next one is still known, also where nothing else connects the segments. */
static void test_what_came_back_goes_again(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = 0, from;

	assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_fill(journal, &n);
	from = n - 1;
	/* a segment with the tombstone, and one with the message */
	assert_int_equal(test_journal_drop(journal, 1), 0);
	test_journal_fill(journal, &n);
	test_journal_store_version(journal, 1, 2);
	test_journal_fill(journal, &n);
	test_journal_drop_range(journal, from, n);
	from = n;
	test_journal_fill(journal, &n);
	/* one that it is moved to, and one with the other tombstone */
	test_journal_compact(journal);
	assert_true(test_journal_has(journal, 1));
	test_journal_fill(journal, &n);
	assert_int_equal(test_journal_drop(journal, 1), 0);
	test_journal_fill(journal, &n);
	test_journal_drop_range(journal, from, n);
	test_journal_fill(journal, &n);
	test_journal_compact(journal);
	test_journal_start_again(&journal);
	assert_false(test_journal_has(journal, 1));
	assert_true(test_journal_has(journal, 2));
	journal_close(&journal);
}

/* Whatever sync of a compaction fails: what it did not carry on is held where it is, and
   nothing that went comes back. */
static void test_a_compaction_that_fails(void **state ATTR_UNUSED)
{
	struct journal *journal;
	unsigned int n, call, hit, i;
	uint64_t moved;

	TEST_EACH_CALL(call, hit) {
		journal = test_journal_new();
		n = TEST_JOURNAL_STAYING;
		begin_with_staying(journal);
		test_journal_pass(journal, &n, 40);
		test_faults_begin();
		test_faults.fail_at[TEST_OP_FDATASYNC] = call;
		test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
		(void)journal_compact(journal, &moved);
		hit = test_faults.calls[TEST_OP_FDATASYNC];
		test_faults_end();
		/* what is dead is written anew */
		test_journal_pass(journal, &n, 80);
		test_journal_start_again(&journal);
		must_have_staying(journal);
		for (i = TEST_JOURNAL_STAYING; i < n; i++)
			assert_int_equal(test_journal_has(journal, i),
					 i == n - 1);
		journal_close(&journal);
	}
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* More tombstones than are carried by one commit. */
static void test_many_tombstones(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = CROWD, i, round;

	commit_range(journal, 0, CROWD, false);
	test_journal_fill(journal, &n);
	commit_range(journal, 0, GOING, true);
	for (round = 0; round < 4; round++) {
		test_journal_time_passes(journal, &n);
		test_journal_start_again(&journal);
		for (i = 0; i < CROWD; i++)
			assert_int_equal(test_journal_has(journal, i),
					 i >= GOING);
	}
	journal_close(&journal);
}

/* Of two segments that stay, so many in one that copying them would win little. */
static void test_a_segment_of_needed_tombstones_stays(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = 2 * CROWD, from, i;

	for (i = 0; i < 2; i++) {
		commit_range(journal, i * CROWD, (i + 1) * CROWD, false);
		test_journal_fill(journal, &n);
	}
	from = n - 1;
	for (i = 0; i < 2; i++)
		commit_range(journal, i * CROWD, i * CROWD + GOING, true);
	test_journal_fill(journal, &n);
	test_journal_drop_range(journal, from, n);
	test_journal_fill(journal, &n);
	assert_int_equal(journal->segments[3]->live, 0);
	test_journal_compact(journal);
	assert_false(journal->segments[3]->blank);
	test_journal_start_again(&journal);
	for (i = 0; i < 2 * CROWD; i++)
		assert_int_equal(test_journal_has(journal, i),
				 i % CROWD >= GOING);
	journal_close(&journal);
}

/* Two thirds of the second segment are tombstones that nothing needs: a start sees that, as
   who wrote it did. */
static void test_tombstones_are_known_from_messages(void **state ATTR_UNUSED)
{
	struct journal *journal;
	unsigned int round, n, i;

	for (round = 0; round < 2; round++) {
		journal = test_journal_new();
		for (n = 0; n < TEST_JOURNAL_STAYING; n++)
			assert_int_equal(test_journal_store(journal, n), 0);
		test_journal_drop_range(journal, 0, 10);
		test_journal_fill(journal, &n);
		assert_int_equal(journal->active->header.number, 3);
		journal_close(&journal);
		/* also where all of it has to be read */
		if (round > 0)
			test_journal_flip_in(2, TEST_JOURNAL_SEGMENT - 10);
		journal = test_journal_open(false);
		assert_int_equal(journal->segments[2]->sealed, round == 0);
		test_journal_compact(journal);
		assert_int_equal(journal->segments[2]->live, 0);
		for (i = 0; i < n; i++)
			assert_int_equal(test_journal_has(journal, i), i >= 10);
		journal_close(&journal);
	}
}

/* A rewrite that is damaged overrules what it came after, and is no tombstone that could
   be carried: its segment stays. */
static void test_damage_is_not_carried(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_entry entry;
	struct test_journal_put put;
	unsigned int n = 0, from, round;

	assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_fill(journal, &n);
	from = n;
	test_journal_make_put(&put, 1, 2);
	assert_int_equal(
		journal_claim(journal, &put.request.records[0].id, &entry), 0);
	assert_int_equal(journal_commit(journal, &put.request), 0);
	journal_release(journal, &put.request.records[0].id);
	assert_true(journal_find(journal, &entry.id, &entry));
	assert_int_equal(entry.headers.segment, 2);
	test_journal_fill(journal, &n);
	test_journal_drop_range(journal, from - 1, n - 1);
	journal_close(&journal);
	/* the payload of the headers, and the footer: it is read whole */
	test_journal_flip_in(2,
			     (uint64_t)entry.headers.offset * JOURNAL_ALIGN +
				     JOURNAL_HEADER_SIZE + 9);
	test_journal_flip_in(2, TEST_JOURNAL_SEGMENT - 10);
	journal = test_journal_open(false);
	for (round = 0; round < 3; round++) {
		assert_false(test_journal_has(journal, 1));
		assert_true(test_journal_has(journal, 2));
		test_journal_time_passes(journal, &n);
		test_journal_start_again(&journal);
	}
	journal_close(&journal);
}

/* A tombstone whose target was damaged since holds what is left of the message before:
   also where no start has told of the damage yet. */
static void test_a_tombstone_of_what_is_damaged(void **state ATTR_UNUSED)
{
	struct journal_entry entry;
	struct test_journal_put put;
	struct journal *journal;
	unsigned int n, from, round, restarts;

	for (restarts = 0; restarts < 2; restarts++) {
		journal = test_journal_new();
		n = 0;
		assert_int_equal(test_journal_store(journal, n++), 0);
		test_journal_fill(journal, &n);
		from = n - 1;
		test_journal_make_put(&put, 1, 2);
		test_journal_commit_claimed(journal, &put.request);
		assert_true(journal_find(journal, &put.request.records[0].id,
					 &entry));
		assert_int_equal(entry.headers.segment, 2);
		test_journal_fill(journal, &n);
		assert_int_equal(test_journal_drop(journal, 1), 0);
		test_journal_drop_range(journal, from, n);
		test_journal_fill(journal, &n);
		/* the headers' own header */
		test_journal_flip_in(
			2, (uint64_t)entry.headers.offset * JOURNAL_ALIGN + 20);
		test_journal_flip_in(2, TEST_JOURNAL_SEGMENT - 10);
		if (restarts > 0)
			test_journal_start_again(&journal);
		for (round = 0; round < 3; round++) {
			assert_false(test_journal_has(journal, 1));
			assert_true(test_journal_has(journal, 2));
			test_journal_time_passes(journal, &n);
			test_journal_time_passes(journal, &n);
			test_journal_start_again(&journal);
		}
		journal_close(&journal);
	}
}

/* A rewrite whose place nobody can read, so that the tombstone behind it is found to
   remove what came before: it is needed for as long as the rewrite's segment is there. Who
   restores the file from a copy has no message back that went. */
static void test_a_tombstone_of_what_is_restored(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_entry entry;
	struct test_journal_put put;
	unsigned int n = 0, from, round;
	uint64_t header;

	assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_fill(journal, &n);
	from = n - 1;
	test_journal_make_put(&put, 1, 2);
	test_journal_commit_claimed(journal, &put.request);
	assert_true(journal_find(journal, &put.request.records[0].id, &entry));
	assert_int_equal(entry.headers.segment, 2);
	header = (uint64_t)entry.headers.offset * JOURNAL_ALIGN + 20;
	test_journal_fill(journal, &n);
	assert_int_equal(test_journal_drop(journal, 1), 0);
	journal_close(&journal);
	test_journal_flip_in(2, header);
	test_journal_flip_in(2, TEST_JOURNAL_SEGMENT - 10);
	journal = test_journal_open(false);
	assert_false(test_journal_has(journal, 1));
	/* what came before goes, too, and its segment becomes another one */
	assert_int_equal(test_journal_drop(journal, 0), 0);
	test_journal_drop_range(journal, 2, from);
	for (round = 0; round < 3; round++)
		test_journal_time_passes(journal, &n);
	journal_close(&journal);
	test_journal_flip_in(2, header);
	test_journal_flip_in(2, TEST_JOURNAL_SEGMENT - 10);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, from));
	assert_false(test_journal_has(journal, 1));
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_full_segment_holds_nothing),
		cmocka_unit_test(test_what_is_written_again_goes_again),
		cmocka_unit_test(test_what_came_back_goes_again),
		cmocka_unit_test(test_the_oldest_is_carried_first),
		cmocka_unit_test(test_one_tombstone_for_two),
		cmocka_unit_test(test_a_compaction_that_fails),
		cmocka_unit_test(test_tombstones_are_known_from_messages),
		cmocka_unit_test(test_many_tombstones),
		cmocka_unit_test(test_a_segment_of_needed_tombstones_stays),
		cmocka_unit_test(test_damage_is_not_carried),
		cmocka_unit_test(test_a_tombstone_of_what_is_damaged),
		cmocka_unit_test(test_a_tombstone_of_what_is_restored),
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests_name("journal-carry", tests, NULL, NULL);
}
