/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a start makes of damaged records: which messages are gone, what is put aside, and
   what is a torn tail and no damage. */

#include "config.h"
#include "journal/journal-scan.h"
#include "test-journal-common.h"

#include <errno.h>

/* Three messages, each in a group, and damage at this offset in the second one's. */
static void make_three(uint64_t offset)
{
	struct journal *journal = test_journal_new();
	unsigned int n;

	for (n = 1; n <= 3; n++)
		assert_int_equal(test_journal_store(journal, n), 0);
	journal_close(&journal);
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + offset);
}

/* Where the records of the second of three messages are, each in a group. */
static void test_damage_is_put_aside(void **state ATTR_UNUSED)
{
	static const struct {
		const char *what;
		unsigned int offset;
	} rows[] = {
		{ "the body's header", 10 },
		{ "the body", JOURNAL_HEADER_SIZE + 8 },
		{ "the headers' header", 2 * JOURNAL_ALIGN + 20 },
		{ "the headers", 3 * JOURNAL_ALIGN + 9 },
	};
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make_three(rows[i].offset);
		journal = test_journal_open(true);
		assert_false(test_journal_has(journal, 2));
		journal_close(&journal);
		assert_int_equal(test_journal_files_in("quarantine"), 0);
		journal = test_journal_open(false);
		if (test_journal_has(journal, 2) ||
		    !test_journal_has(journal, 1) ||
		    !test_journal_has(journal, 3))
			fail_msg("%s", rows[i].what);
		assert_true(test_journal.warnings > 0);
		assert_true(test_journal_files_in("quarantine") >= 2);
		assert_true(test_journal_must_keep_bytes(JOURNAL_ALIGN) > 0);
		/* it is nothing that a message has */
		assert_in_range(journal->segments[1]->taken,
				2 * JOURNAL_BLOCK_SIZE,
				3 * JOURNAL_BLOCK_SIZE - 1);
		assert_int_equal(test_journal_store(journal, 4), 0);
		journal_close(&journal);
	}
}

/* What is aside of a segment says nothing of what it becomes later, where the same bytes are
   damaged again. */
static void test_the_same_place_in_another_life(void **state ATTR_UNUSED)
{
	const struct journal_item item = { .state = JOURNAL_ITEM_GAP,
					   .pos = JOURNAL_BLOCK_SIZE,
					   .size = JOURNAL_ALIGN };
	struct journal *journal = test_journal_new();
	struct journal_segment segment;
	unsigned int i;

	assert_int_equal(test_journal_store(journal, 1), 0);
	segment = *journal->segments[1];
	for (i = 1; i <= 2; i++) {
		journal_reject(journal, &segment, &item, false, "gone");
		assert_int_equal(test_journal_files_in("quarantine"), 2 * i);
		segment.header.incarnation[0] ^= 1;
	}
	journal_close(&journal);
}

/* The last group may not have been synced: its damage is a torn tail, and stays
   that. */
static void test_a_torn_tail_is_void(void **state ATTR_UNUSED)
{
	static const unsigned int offsets[] = { 10, JOURNAL_HEADER_SIZE + 8,
						2 * JOURNAL_ALIGN + 20,
						3 * JOURNAL_ALIGN + 9 };
	struct journal *journal;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(offsets); i++) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		assert_int_equal(test_journal_store(journal, 2), 0);
		journal_close(&journal);
		test_journal_flip(2 * JOURNAL_BLOCK_SIZE + offsets[i]);
		for (j = 0; j < 3; j++) {
			journal = test_journal_open(false);
			assert_true(test_journal_has(journal, 1));
			assert_false(test_journal_has(journal, 2));
			assert_int_equal(test_journal_store(
						 journal, 10 + (unsigned int)j),
					 0);
			journal_close(&journal);
		}
		assert_int_equal(test_journal.warnings, 0);
		assert_int_equal(test_journal_files_in("quarantine"), 0);
	}
}

#define TORN 40

/* More is void than one block can say. */
static void test_much_is_void(void **state ATTR_UNUSED)
{
	static struct test_journal_put puts[TORN];
	struct journal *journal = test_journal_new();
	struct journal_request *requests[TORN];
	struct journal_entry entry;
	unsigned int n;

	/* this one keeps the segment what it is */
	assert_int_equal(test_journal_store(journal, 200), 0);
	for (n = 0; n < TORN; n++) {
		test_journal_make_put(&puts[n], n, 1);
		requests[n] = &puts[n].request;
		assert_int_equal(journal_claim(journal,
					       &puts[n].request.records[0].id,
					       &entry),
				 0);
	}
	assert_int_equal(journal_commit_many(journal, requests, TORN), 0);
	for (n = 0; n < TORN; n++)
		journal_release(journal, &puts[n].request.records[0].id);
	journal_close(&journal);
	for (n = 0; n < TORN; n++)
		test_journal_flip(
			(uint64_t)puts[n].request.records[0].place.offset *
				JOURNAL_ALIGN +
			JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, 100), 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	for (n = 0; n < TORN; n++)
		assert_false(test_journal_has(journal, n));
	assert_true(test_journal_has(journal, 100));
	assert_true(test_journal_has(journal, 200));
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* What says that a tail is void was cut itself: neither is damage. */
static void test_a_torn_void(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(test_journal_store(journal, 2), 0);
	journal_close(&journal);
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	test_faults_begin();
	/* that of the segment comes before */
	test_faults.fail_at[TEST_OP_FDATASYNC] = 2;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(test_journal_store(journal, 3), EIO);
	test_faults_end();
	journal_close(&journal);
	test_journal_flip_in(2, JOURNAL_BLOCK_SIZE + 10);
	test_journal.warnings = 0;
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	assert_false(test_journal_has(journal, 2));
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
	assert_int_equal(test_journal_files_in("quarantine"), 0);
}

/* Writes two messages anew, in one group, of which a power cut leaves the headers without
   what is in them. */
static void tear_two(struct journal **journal)
{
	static struct test_journal_put puts[2];
	struct journal_request *requests[2];
	struct journal_record *headers[2];
	struct journal_entry entry;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		test_journal_make_put(&puts[i], i + 1, 2);
		requests[i] = &puts[i].request;
		headers[i] = &puts[i].request.records[1];
		assert_int_equal(
			journal_claim(*journal, &headers[i]->id, &entry), 0);
	}
	assert_int_equal(journal_commit_many(*journal, requests, 2), 0);
	for (i = 0; i < 2; i++)
		journal_release(*journal, &headers[i]->id);
	journal_close(journal);
	for (i = 0; i < 2; i++)
		test_journal_flip((uint64_t)headers[i]->place.offset *
					  JOURNAL_ALIGN +
				  JOURNAL_HEADER_SIZE + 8);
}

/* The first one of two that say what is void is damaged: what the second one says holds none
   the less, and the message is the one that was acknowledged. */
static void test_a_void_behind_a_damaged_one(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(test_journal_store(journal, 2), 0);
	tear_two(&journal);
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, 3), 0);
	journal_close(&journal);
	assert_int_equal(test_journal.warnings, 0);
	test_journal_flip_in(2, JOURNAL_BLOCK_SIZE + 10);
	journal = test_journal_open(false);
	assert_true(test_journal_has(journal, 1));
	assert_true(test_journal_has(journal, 3));
	assert_true(test_journal.warnings > 0);
	journal_close(&journal);
}

/* The last group has lost its first record, or that one's payload, and what came before it
   is damaged: that was synced, and is no torn tail. */
static void test_damage_before_a_torn_tail(void **state ATTR_UNUSED)
{
	static const unsigned int offsets[] = { 10, JOURNAL_HEADER_SIZE + 8 };
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(offsets); i++) {
		make_three(JOURNAL_HEADER_SIZE + 8);
		test_journal_flip(3 * JOURNAL_BLOCK_SIZE + offsets[i]);
		journal = test_journal_open(false);
		assert_true(test_journal_has(journal, 1));
		assert_false(test_journal_has(journal, 2));
		assert_false(test_journal_has(journal, 3));
		assert_true(test_journal.warnings > 0);
		assert_true(test_journal_files_in("quarantine") >= 2);
		journal_close(&journal);
	}
}

/* What would go beyond the segment's end is no record, and the next group takes its
   place. */
static void test_a_record_beyond_the_end(void **state ATTR_UNUSED)
{
	struct journal_header header = { .type = JOURNAL_BODY,
					 .flags = JOURNAL_GROUP_START,
					 .stored_size = TEST_JOURNAL_SEGMENT };
	struct journal *journal = test_journal_new();
	unsigned char bytes[JOURNAL_HEADER_SIZE];

	assert_int_equal(test_journal_store(journal, 1), 0);
	journal_header_put(&header, journal->active->header.incarnation, bytes);
	assert_int_equal(journal_file_write(journal->active->file, bytes,
					    sizeof(bytes),
					    journal->active->pos),
			 0);
	journal_close(&journal);
	journal = test_journal_open(false);
	assert_int_equal(test_journal_store(journal, 2), 0);
	assert_int_equal(journal->active->header.number, 1);
	assert_true(test_journal_has(journal, 1));
	assert_true(test_journal_has(journal, 2));
	journal_close(&journal);
}

/* The record right before them has to be what they were written with. */
static void test_headers_behind_the_body_of_others(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int n;
		uint64_t version;
		unsigned int flags;
	} bodies[] = {
		{ 9, 1, 0 },                /* of another message */
		{ 2, 2, 0 },                /* of another version */
		{ 2, 1, JOURNAL_EXTERNAL }, /* in a file */
	};
	struct journal_record *body;
	struct test_journal_put put;
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(bodies); i++) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		test_journal_make_put(&put, 2, 1);
		body = &put.request.records[0];
		test_journal_make_id(bodies[i].n, &body->id);
		body->version = bodies[i].version;
		body->flags = bodies[i].flags;
		assert_int_equal(journal_commit(journal, &put.request), 0);
		assert_int_equal(test_journal_store(journal, 3), 0);
		journal_close(&journal);
		journal = test_journal_open(false);
		assert_true(test_journal_has(journal, 1));
		assert_false(test_journal_has(journal, 2));
		assert_true(test_journal_has(journal, 3));
		assert_int_equal(test_journal.warnings, 1);
		/* a footer would not know of them */
		assert_null(journal->segments[1]->footer);
		journal_close(&journal);
	}
}

/* Body and headers were written anew, and the body is damaged: the older version, which
   is whole, is not what was acknowledged last. */
static void test_a_damaged_body_of_a_rewrite(void **state ATTR_UNUSED)
{
	/* the payload, and the header, without which it is nobody's */
	static const unsigned int offsets[] = { JOURNAL_HEADER_SIZE + 8, 10 };
	struct journal_entry entry;
	struct test_journal_put put;
	struct journal *journal;
	size_t i;

	for (i = 0; i < N_ELEMENTS(offsets); i++) {
		journal = test_journal_new();
		assert_int_equal(test_journal_store(journal, 1), 0);
		test_journal_make_put(&put, 1, 2);
		assert_int_equal(journal_claim(journal,
					       &put.request.records[0].id,
					       &entry),
				 0);
		assert_int_equal(journal_commit(journal, &put.request), 0);
		journal_release(journal, &put.request.records[0].id);
		assert_int_equal(test_journal_store(journal, 3), 0);
		journal_close(&journal);
		test_journal_flip(2 * JOURNAL_BLOCK_SIZE + offsets[i]);
		journal = test_journal_open(false);
		assert_false(journal_find(journal, &put.request.records[0].id,
					  &entry));
		assert_true(test_journal_has(journal, 3));
		journal_close(&journal);
	}
}

/* Whatever it was to remove, the message is not there any more. */
static void test_a_damaged_tombstone(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();

	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_int_equal(test_journal_drop(journal, 1), 0);
	assert_int_equal(test_journal_store(journal, 3), 0);
	journal_close(&journal);
	test_journal_flip(2 * JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	assert_true(test_journal.warnings > 0);
	assert_false(test_journal_has(journal, 1));
	assert_true(test_journal_has(journal, 3));
	journal_close(&journal);
}

/* Body, headers and states count no more where the message's newer headers are damaged: or
   their segment would never be written anew. */
static void test_nothing_counts_of_a_damaged_message(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_request request = { .count = 1 };
	struct test_journal_put put;
	uint64_t version;

	assert_int_equal(test_journal_store(journal, 1), 0);
	for (version = 2; version <= 3; version++) {
		test_journal_make_put(&put, 1, version);
		request.records[0] = put.request.records[1];
		request.records[0].flags = 0;
		if (version == 2) {
			request.records[0].type = JOURNAL_STATES;
			request.records[0].plain_size = 1;
		}
		test_journal_commit_claimed(journal, &request);
	}
	assert_int_equal(test_journal_store(journal, 3), 0);
	journal_close(&journal);
	test_journal_flip((uint64_t)request.records[0].place.offset *
				  JOURNAL_ALIGN +
			  JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	assert_false(test_journal_has(journal, 1));
	/* body and headers of the other one */
	assert_int_equal(journal->segments[1]->live, 2);
	journal_close(&journal);
}

/* The headers were written anew, and what is damaged is the body, which those came with that
   they took the place of: without one there is no message, and another one of its id may
   come. */
static void test_headers_whose_body_nobody_knows(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_request headers = { .count = 1 };
	struct journal_entry entry;
	struct test_journal_put put;

	assert_int_equal(test_journal_store(journal, 1), 0);
	test_journal_make_put(&put, 1, 2);
	headers.records[0] = put.request.records[1];
	headers.records[0].flags = 0;
	test_journal_commit_claimed(journal, &headers);
	assert_int_equal(test_journal_store(journal, 3), 0);
	journal_close(&journal);
	test_journal_flip(JOURNAL_BLOCK_SIZE + JOURNAL_HEADER_SIZE + 8);
	journal = test_journal_open(false);
	assert_true(test_journal.warnings > 0);
	assert_false(journal_find(journal, &headers.records[0].id, &entry));
	assert_int_equal(test_journal_store(journal, 1), 0);
	assert_true(test_journal_has(journal, 1));
	assert_true(test_journal_has(journal, 3));
	journal_close(&journal);
}

static void test_a_reader_names_damage(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int offset, at;
		bool known;
	} rows[] = {
		/* what comes first in a record is its header: then it is
		   nobody's */
		{ 10, 0, false },
		{ JOURNAL_HEADER_SIZE + 8, 0, true },
		{ 2 * JOURNAL_ALIGN + 20, 2 * JOURNAL_ALIGN, false },
		{ 3 * JOURNAL_ALIGN + 9, 2 * JOURNAL_ALIGN, true },
	};
	const struct journal_damage *damage;
	struct journal *journal;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		make_three(rows[i].offset);
		journal = test_journal_open(true);
		damage = journal_get_damage(journal);
		assert_non_null(damage);
		assert_int_equal(damage->segment, 1);
		assert_int_equal(damage->offset,
				 2 * JOURNAL_BLOCK_SIZE + rows[i].at);
		test_journal_make_id(2, &id);
		assert_int_equal(message_id_cmp(&damage->id, &id) == 0,
				 rows[i].known);
		journal_close(&journal);
		/* what a writer has put aside is told of there */
		journal = test_journal_open(false);
		journal_close(&journal);
		journal = test_journal_open(true);
		assert_null(journal_get_damage(journal));
		journal_close(&journal);
	}
}

/* The last group of a segment is vouched for by what another one has, also where that has no
   footer. */
static void test_damage_before_another_segment(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	unsigned int n = 0, i;
	uint64_t pos;

	assert_int_equal(test_journal_store(journal, n++), 0);
	test_journal_fill(journal, &n);
	pos = journal->segments[1]->pos - JOURNAL_BLOCK_SIZE;
	journal_close(&journal);
	/* its footer, and what is before that */
	test_journal_flip(TEST_JOURNAL_SEGMENT - 64);
	test_journal_flip(pos + 9);
	journal = test_journal_open(false);
	assert_false(journal->segments[1]->sealed);
	for (i = 0; i < n; i++)
		assert_int_equal(test_journal_has(journal, i), i != n - 2);
	assert_true(test_journal.warnings > 0);
	assert_true(test_journal_files_in("quarantine") >= 2);
	journal_close(&journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage_is_put_aside),
		cmocka_unit_test(test_the_same_place_in_another_life),
		cmocka_unit_test(test_a_torn_tail_is_void),
		cmocka_unit_test(test_much_is_void),
		cmocka_unit_test(test_a_torn_void),
		cmocka_unit_test(test_a_void_behind_a_damaged_one),
		cmocka_unit_test(test_damage_before_a_torn_tail),
		cmocka_unit_test(test_damage_before_another_segment),
		cmocka_unit_test(test_a_record_beyond_the_end),
		cmocka_unit_test(test_headers_behind_the_body_of_others),
		cmocka_unit_test(test_a_damaged_body_of_a_rewrite),
		cmocka_unit_test(test_a_damaged_tombstone),
		cmocka_unit_test(test_nothing_counts_of_a_damaged_message),
		cmocka_unit_test(test_headers_whose_body_nobody_knows),
		cmocka_unit_test(test_a_reader_names_damage),
	};

	return cmocka_run_group_tests_name("journal-damage", tests, NULL, NULL);
}
