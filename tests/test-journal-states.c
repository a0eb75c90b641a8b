/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* States of recipients are written apart from the headers, which stay as they are, and
   nobody who reads a message can tell. In any order: test-journal-states-random. */

#include "config.h"
#include "file-ops.h"
#include "test-faults.h"
#include "test-journal-common.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>

static int deliver(struct spool *spool, email_message *message, unsigned int i,
		   const char *reason)
{
	assert_int_equal(email_message_set_recipient_state(
				 message, i, EMAIL_RECIPIENT_DELIVERED, reason),
			 0);
	return spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0);
}

static uint64_t written;

static ssize_t counting_pwritev(int fd, const struct iovec *iov, int count,
				off_t offset)
{
	ssize_t ret = file_ops_system.pwritev(fd, iov, count, offset);

	written += ret > 0 ? (uint64_t)ret : 0;
	return ret;
}

#define MANY 200

/* A relay delivers one after the other. */
static void test_one_by_one(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, MANY), *got;
	const char *reason;
	unsigned int i;

	for (i = 0; i < MANY; i++) {
		assert_int_equal(deliver(spool, message, i, "250 ok"), IO_DONE);
		assert_int_equal(spool_get(spool, &message->message_id, &got),
				 IO_DONE);
		assert_int_equal(email_message_get_version(got), i + 2);
		assert_int_equal(email_message_get_recipient_state(got, i,
								   &reason),
				 EMAIL_RECIPIENT_DELIVERED);
		assert_string_equal(reason, "250 ok");
		if (i + 1 < MANY)
			assert_int_equal(email_message_get_recipient_state(
						 got, i + 1, NULL),
					 EMAIL_RECIPIENT_PENDING);
		email_message_unref(&got);
	}
	email_message_unref(&message);
	spool_close(&spool);
}

static uint64_t live_records(struct spool *spool)
{
	struct spool_stats stats;
	char *error;

	if (spool_get_stats(spool, &stats, &error) < 0)
		fail_msg("%s", error);
	return stats.live_records;
}

/* Or their segments would never be written anew. */
static void test_nothing_is_left(void **state ATTR_UNUSED)
{
	static const unsigned char kinds[] = { 's', 's', 'h', 's', 'c', 's' };
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, 30);
	unsigned int i;
	uint64_t moved;
	char *error;

	assert_int_equal(live_records(spool), 2);
	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		if (kinds[i] == 'h')
			email_message_set_arrival(message, i);
		if (kinds[i] == 'c')
			assert_int_equal(spool_compact(spool, &moved, &error),
					 0);
		else
			assert_int_equal(deliver(spool, message, i, ""),
					 IO_DONE);
		assert_int_equal(live_records(spool), kinds[i] == 'h' ? 2 : 3);
	}
	assert_int_equal(spool_remove(spool, &message->message_id), IO_DONE);
	assert_int_equal(live_records(spool), 0);
	email_message_unref(&message);
	spool_close(&spool);
}

/* Of few recipients, and once more than half of them have changed, all is written anew: what
   is apart would be no smaller. */
static void test_when_states_are_apart(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int recipients, delivered;
		bool apart;
	} rows[] = {
		{ 15, 1, false },  { 16, 1, true },  { 16, 8, true },
		{ 16, 9, false },  { 16, 10, true }, { 21, 10, true },
		{ 21, 11, false },
	};
	email_message *message;
	struct spool *spool;
	unsigned int n;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of("journal", "");
		message = test_spool_put_to(spool, rows[i].recipients);
		for (n = 0; n < rows[i].delivered; n++)
			assert_int_equal(deliver(spool, message, n, ""),
					 IO_DONE);
		assert_int_equal(live_records(spool), rows[i].apart ? 3 : 2);
		email_message_unref(&message);
		spool_close(&spool);
	}
}

/* Where a record of headers of this version begins in the first segment. */
static size_t find_headers(const unsigned char *data, size_t size,
			   unsigned char version)
{
	size_t pos;

	for (pos = 0; pos + 64 <= size; pos += 64) {
		if (memcmp(data + pos, "BJR1\2", 5) == 0 &&
		    data[pos + 24] == version)
			return pos;
	}
	fail_msg("there are no headers of version %u", version);
	return 0;
}

static void damage_headers(unsigned char version)
{
	buffer_t *data = test_read_file(test_spool_segment(1));

	test_flip(test_spool_segment(1),
		  find_headers(data->data, data->used, version));
	buffer_free(&data);
}

/* Where the headers are lost that they belong to, they say nothing about others. */
static void test_of_damaged_headers(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, 30), *got;

	email_message_set_arrival(message, 7);
	assert_int_equal(deliver(spool, message, 1, ""), IO_DONE);
	assert_int_equal(deliver(spool, message, 2, ""), IO_DONE);
	spool_close(&spool);
	damage_headers(2);
	spool = test_spool_open(0);
	assert_int_equal(spool_get(spool, &message->message_id, &got), IO_DONE);
	assert_int_equal(email_message_get_version(got), 1);
	assert_int_equal(email_message_get_recipient_state(got, 2, NULL),
			 EMAIL_RECIPIENT_PENDING);
	email_message_unref(&got);
	email_message_unref(&message);
	spool_close(&spool);
}

/* The headers that a failed write would have stored are not there: states that are
   written next must not speak of them. */
static void test_after_headers_that_failed(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, 30), *got;

	email_message_set_arrival(message, 7);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	assert_int_equal(deliver(spool, message, 1, ""), IO_TRANS_FAIL);
	test_faults_end();
	assert_int_equal(deliver(spool, message, 2, ""), IO_DONE);
	assert_int_equal(spool_get(spool, &message->message_id, &got), IO_DONE);
	assert_int_equal(email_message_get_version(got), 2);
	assert_int_equal(email_message_get_recipient_state(got, 1, NULL),
			 EMAIL_RECIPIENT_DELIVERED);
	assert_int_equal(email_message_get_recipient_state(got, 2, NULL),
			 EMAIL_RECIPIENT_DELIVERED);
	email_message_unref(&got);
	email_message_unref(&message);
	spool_close(&spool);
}

/* Compaction writes headers once more, and states behind them; until these are there, or
   if they never come, those from before hold. */
static void test_headers_that_are_moved(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_request request = { .count = 1 };
	struct journal_entry entry;
	struct test_journal_put put;
	unsigned int starts;

	assert_int_equal(test_journal_store(journal, 7), 0);
	test_journal_make_put(&put, 7, 1);
	assert_int_equal(
		journal_claim(journal, &put.request.records[1].id, &entry), 0);
	request.records[0] = put.request.records[1];
	request.records[0].type = JOURNAL_STATES;
	request.records[0].flags = 0;
	request.records[0].version = 2;
	request.records[0].plain_size = 1;
	assert_int_equal(journal_reserve_states(journal, &entry.id), 0);
	assert_int_equal(journal_commit(journal, &request), 0);
	request.records[0] = put.request.records[1];
	request.records[0].flags = 0;
	assert_int_equal(journal_commit(journal, &request), 0);
	journal_release(journal, &entry.id);
	for (starts = 0; starts < 2; starts++) {
		assert_true(journal_find(journal, &entry.id, &entry));
		assert_int_equal(entry.version, 2);
		assert_int_equal(entry.base_version, 1);
		assert_int_not_equal(entry.states.offset, 0);
		journal_close(&journal);
		journal = test_journal_open(false);
	}
	journal_close(&journal);
}

/* They are moved by themselves where their headers stay in a segment that is full. */
static void test_states_alone_are_moved(void **state ATTR_UNUSED)
{
	struct journal *journal = test_journal_new();
	struct journal_request request = { .count = 1 };
	struct journal_entry entry;
	struct test_journal_put put;
	unsigned int n, first = 0, segment;
	uint64_t moved;

	for (n = 0; first == 0 || journal->active->header.number < 3; n++) {
		assert_int_equal(test_journal_store(journal, n), 0);
		if (first > 0 || journal->active->header.number < 2)
			continue;
		first = n;
		test_journal_make_put(&put, 7, 2);
		request.records[0] = put.request.records[1];
		request.records[0].type = JOURNAL_STATES;
		request.records[0].flags = 0;
		request.records[0].plain_size = 1;
		assert_int_equal(journal_claim(journal, &request.records[0].id,
					       &entry),
				 0);
		assert_int_equal(journal_reserve_states(journal, &entry.id), 0);
		assert_int_equal(journal_commit(journal, &request), 0);
		journal_release(journal, &entry.id);
	}
	assert_true(journal_find(journal, &entry.id, &entry));
	segment = entry.states.segment;
	assert_int_equal(segment, 2);
	for (; first < n; first++)
		assert_int_equal(test_journal_drop(journal, first), 0);
	assert_int_equal(journal_compact(journal, &moved), 0);
	assert_int_equal(moved, 1);
	assert_true(journal_find(journal, &entry.id, &entry));
	assert_int_equal(entry.version, 2);
	assert_int_not_equal(entry.states.segment, segment);
	assert_int_equal(entry.headers.segment, 1);
	journal_close(&journal);
}

/* Of each delivery a block is written, not all recipients. */
static void test_states_are_small(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, MANY);
	struct file_ops ops = file_ops_system;
	unsigned int i;

	ops.pwritev = counting_pwritev;
	file_ops_set(&ops);
	written = 0;
	for (i = 0; i < MANY; i++)
		assert_int_equal(deliver(spool, message, i, "250 ok"), IO_DONE);
	file_ops_set(NULL);
	/* each a block, and once the headers; segments are made for them */
	assert_true(written < 3 * MANY * 4096);
	email_message_unref(&message);
	spool_close(&spool);
}

/* As with headers: who comes second has to read again. */
static void test_of_two_one_wins(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *first = test_spool_put_to(spool, 30), *second;

	assert_int_equal(spool_get(spool, &first->message_id, &second),
			 IO_DONE);
	assert_int_equal(deliver(spool, first, 1, "1"), IO_DONE);
	assert_int_equal(deliver(spool, second, 2, "2"), IO_FAIL);
	assert_int_equal(io_get_errno(), EBUSY);
	email_message_unref(&second);
	assert_int_equal(spool_get(spool, &first->message_id, &second),
			 IO_DONE);
	assert_int_equal(email_message_get_recipient_state(second, 1, NULL),
			 EMAIL_RECIPIENT_DELIVERED);
	assert_int_equal(email_message_get_recipient_state(second, 2, NULL),
			 EMAIL_RECIPIENT_PENDING);
	assert_int_equal(deliver(spool, second, 2, "2"), IO_DONE);
	email_message_unref(&second);
	email_message_unref(&first);
	spool_close(&spool);
}

/*
 * While they are read
 */

/* Two for the headers, which are too large for one, and one for the states. */
#define READS 3

/* In the middle of a read another one writes the headers whole, and (`states`) states
   behind them. */
static struct {
	struct spool *spool;
	email_message *message;
	unsigned int calls, at;
	bool states, moves;
} meanwhile;

static ssize_t changing_pread(int fd, void *data, size_t size, off_t offset)
{
	ssize_t ret = file_ops_system.pread(fd, data, size, offset);

	if (++meanwhile.calls != meanwhile.at)
		return ret;
	email_message_set_arrival(meanwhile.message, 7);
	assert_int_equal(deliver(meanwhile.spool, meanwhile.message, 2, ""),
			 IO_DONE);
	if (meanwhile.states)
		assert_int_equal(deliver(meanwhile.spool, meanwhile.message, 3,
					 ""),
				 IO_DONE);
	/* as where the segment became another one */
	if (meanwhile.moves)
		memset(data, 'X', size);
	return ret;
}

/* Version 2 has the state of the first one apart, version 3 those of two with its headers,
   and version 4 another one apart. */
static void must_be_of_one_version(const email_message *got)
{
	uint64_t version = email_message_get_version(got);
	unsigned int i;

	assert_in_range(version, meanwhile.moves ? 3 : 2, 4);
	if (meanwhile.moves && meanwhile.states)
		assert_int_equal(version, 4);
	assert_int_equal(email_message_get_arrival(got) == 7, version >= 3);
	for (i = 0; i < 5; i++)
		assert_int_equal(email_message_get_recipient_state(got, i,
								   NULL) ==
					 EMAIL_RECIPIENT_DELIVERED,
				 i > 0 && i < version);
}

static void read_while_it_changes(void)
{
	struct spool *spool = test_spool_new_of("journal", "");
	struct file_ops ops = file_ops_system;
	email_message *got;

	meanwhile.spool = spool;
	meanwhile.message = test_spool_put_to(spool, 30);
	assert_int_equal(deliver(spool, meanwhile.message, 1, ""), IO_DONE);
	got = email_message_new(&meanwhile.message->message_id);
	ops.pread = changing_pread;
	meanwhile.calls = 0;
	file_ops_set(&ops);
	assert_int_equal(spool_readheaders(spool, IO_SYNCHRONOUS, got),
			 IO_DONE);
	file_ops_set(NULL);
	assert_true(meanwhile.calls >= meanwhile.at);
	must_be_of_one_version(got);
	email_message_unref(&got);
	email_message_unref(&meanwhile.message);
	spool_close(&spool);
}

/* Who reads has the headers of one version with the states that belong to them. */
static void test_headers_change_while_they_are_read(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (meanwhile.at = 1; meanwhile.at <= READS; meanwhile.at++) {
		for (i = 0; i < 4; i++) {
			meanwhile.states = i % 2 != 0;
			meanwhile.moves = i / 2 != 0;
			read_while_it_changes();
		}
	}
}

static void store_states(struct journal *journal, unsigned int n, uint64_t base)
{
	struct test_journal_put put;

	test_journal_make_put(&put, n, base + 1);
	put.request.count = 1;
	put.request.records[0].type = JOURNAL_STATES;
	put.request.records[0].plain_size = base;
	test_journal_commit_claimed(journal, &put.request);
}

/* A message comes back as it was before, in its first or its second version. A start that
   knew of no removal would take its headers for the ones of that version, moved, to which
   the states belong. */
static void test_states_of_an_earlier_life(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t base;
		bool apart; /* its versions are in two segments */
	} rows[] = { { 1, false }, { 2, false }, { 2, true } };
	struct journal_entry entry;
	struct journal *journal;
	unsigned int n, from, round;
	message_id id;
	size_t i;

	test_journal_make_id(0, &id);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		journal = test_journal_new();
		n = 1;
		if (rows[i].base > 1)
			test_journal_store_version(journal, 0, 1);
		if (rows[i].apart)
			test_journal_fill(journal, &n);
		test_journal_store_version(journal, 0, rows[i].base);
		store_states(journal, 0, rows[i].base);
		test_journal_fill(journal, &n);
		from = n;
		/* the newer segment's first */
		assert_int_equal(test_journal_drop(journal, 0), 0);
		assert_int_equal(test_journal_drop(journal, 1), 0);
		test_journal_fill(journal, &n);
		test_journal_store_version(journal, 0, rows[i].base);
		test_journal_drop_range(journal, from, n - 1);
		for (round = 0; round < 3; round++) {
			assert_true(journal_find(journal, &id, &entry));
			assert_int_equal(entry.version, rows[i].base);
			assert_int_equal(entry.states.offset, 0);
			test_journal_time_passes(journal, &n);
			test_journal_start_again(&journal);
		}
		journal_close(&journal);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_by_one),
		cmocka_unit_test(test_states_alone_are_moved),
		cmocka_unit_test(test_states_are_small),
		cmocka_unit_test(test_nothing_is_left),
		cmocka_unit_test(test_when_states_are_apart),
		cmocka_unit_test(test_of_damaged_headers),
		cmocka_unit_test(test_after_headers_that_failed),
		cmocka_unit_test(test_headers_that_are_moved),
		cmocka_unit_test(test_of_two_one_wins),
		cmocka_unit_test(test_headers_change_while_they_are_read),
		cmocka_unit_test(test_states_of_an_earlier_life),
	};

	return cmocka_run_group_tests_name(
		"journal-states", tests, test_spool_setup, test_spool_teardown);
}
