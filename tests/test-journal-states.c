/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* States of recipients are written apart from the headers, which stay as they are, and
   nobody who reads a message can tell. */

#include "config.h"
#include "file-ops.h"
#include "istream.h"
#include "test-faults.h"
#include "test-journal-common.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdlib.h>

static const char wire[] = TEST_SPOOL_WIRE;

static email_message *new_message(struct spool *spool, unsigned int recipients)
{
	struct istream *input =
		i_stream_create_from_data(wire, sizeof(wire) - 1);
	email_message *message;
	message_id id;
	char address[64];
	unsigned int i;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	(void)email_message_set_sender(message, "a@example.org");
	for (i = 0; i < recipients; i++) {
		(void)snprintf(address, sizeof(address),
			       "somebody-with-a-name-%u@example.org", i);
		assert_int_equal(email_message_add_recipient(message, address),
				 0);
	}
	email_message_set_body(message, input, 0);
	i_stream_unref(&input);
	assert_int_equal(spool_put(spool, message), IO_DONE);
	return message;
}

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
	email_message *message = new_message(spool, MANY), *got;
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
	email_message *message = new_message(spool, 30);
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
		message = new_message(spool, rows[i].recipients);
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
	email_message *message = new_message(spool, 30), *got;

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
	email_message *message = new_message(spool, 30), *got;

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
	email_message *message = new_message(spool, MANY);
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
	email_message *first = new_message(spool, 30), *second;

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
	meanwhile.message = new_message(spool, 30);
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

/*
 * In any order
 */

#define MESSAGES 12
#define RECIPIENTS 20

struct model {
	email_message *message; /* NULL: there is none */
	unsigned char states[RECIPIENTS], value;
};

static void must_be_as(struct spool *spool, const message_id *id,
		       const struct model *model)
{
	email_message *got;
	char value[16];
	unsigned int i;

	if (model->message == NULL) {
		assert_int_equal(spool_get(spool, id, &got), IO_FAIL);
		assert_int_equal(io_get_errno(), ENOENT);
		return;
	}
	assert_int_equal(spool_get(spool, id, &got), IO_DONE);
	assert_int_equal(email_message_get_version(got),
			 email_message_get_version(model->message));
	for (i = 0; i < RECIPIENTS; i++)
		assert_int_equal(email_message_get_recipient_state(got, i,
								   NULL),
				 model->states[i]);
	(void)snprintf(value, sizeof(value), "%u", model->value);
	if (model->value != 0)
		assert_string_equal(email_message_get_value(got, "x", "y"),
				    value);
	assert_int_equal(got->body_len, model->message->body_len);
	email_message_unref(&got);
}

/* As a start would find them. */
static void must_be_on_the_disk(const struct model models[MESSAGES],
				const message_id ids[MESSAGES])
{
	struct spool *spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	unsigned int i;

	for (i = 0; i < MESSAGES; i++)
		must_be_as(spool, &ids[i], &models[i]);
	spool_close(&spool);
}

/* The reader that was written from doc/journal-format.md alone finds these versions. */
static void must_be_for_others(const struct model models[MESSAGES])
{
	char command[1400], id[MESSAGE_ID_TEXT_SIZE], line[256];
	unsigned long long version, total = 0, want = 0;
	unsigned int i, there = 0, lines = 0;
	FILE *output;

	if (system("command -v python3 >/dev/null") != 0) {
		printf("NOT RUN: a journal read by another program: python3 is "
		       "not installed\n");
		return;
	}
	for (i = 0; i < MESSAGES; i++) {
		if (models[i].message == NULL)
			continue;
		there++;
		want += email_message_get_version(models[i].message);
	}
	(void)snprintf(command, sizeof(command), "python3 %s %s 2>/dev/null",
		       test_data_path("../read-journal.py"), test_spool_dir());
	output = popen(command, "r");
	assert_non_null(output);
	for (; fgets(line, sizeof(line), output) != NULL; lines++) {
		assert_int_equal(sscanf(line, "%26s %llu", id, &version), 2);
		total += version;
	}
	assert_int_equal(pclose(output), 0);
	assert_int_equal(lines, there);
	assert_int_equal(total, want);
}

static void change(struct spool *spool, struct model *model, uint32_t *random)
{
	email_message *message = model->message;
	unsigned int i = test_random(random) % RECIPIENTS;
	char value[16];

	if (test_random(random) % 6 == 0) {
		model->value = (unsigned char)(test_random(random) % 200 + 1);
		(void)snprintf(value, sizeof(value), "%u", model->value);
		assert_int_equal(
			email_message_set_value(message, "x", "y", value), 0);
	}
	model->states[i] = (unsigned char)(test_random(random) % 3);
	assert_int_equal(email_message_set_recipient_state(
				 message, i, model->states[i],
				 model->states[i] == 0 ? "" : "why"),
			 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
}

/* Puts, changes or removes one. */
static void step(struct spool *spool, struct model *model, message_id *id,
		 uint32_t *random)
{
	if (model->message == NULL) {
		memset(model, 0, sizeof(*model));
		model->message = new_message(spool, RECIPIENTS);
		*id = model->message->message_id;
	} else if (test_random(random) % 8 == 0) {
		assert_int_equal(spool_remove(spool, id), IO_DONE);
		email_message_unref(&model->message);
	} else {
		if (test_random(random) % 3 == 0) {
			email_message_unref(&model->message);
			assert_int_equal(spool_get(spool, id, &model->message),
					 IO_DONE);
		}
		change(spool, model, random);
	}
}

static void must_compact(struct spool *spool)
{
	uint64_t moved;
	char *error;

	if (spool_compact(spool, &moved, &error) < 0)
		fail_msg("%s", error);
}

static void test_any_order(void **state ATTR_UNUSED)
{
	struct model models[MESSAGES];
	message_id ids[MESSAGES];
	struct spool *spool;
	uint32_t random;
	unsigned int round, i, n;

	for (n = 1; n <= 4; n++) {
		memset(models, 0, sizeof(models));
		memset(ids, 0, sizeof(ids));
		spool = test_spool_new_of("journal", "");
		random = n;
		for (round = 0; round < 500; round++) {
			/* some change more often than others */
			i = test_random(&random) % MESSAGES;
			i = i * i / MESSAGES;
			step(spool, &models[i], &ids[i], &random);
			must_be_as(spool, &ids[i], &models[i]);
			if (test_random(&random) % 32 == 0) {
				must_compact(spool);
				must_be_on_the_disk(models, ids);
			}
		}
		spool_close(&spool);
		must_be_on_the_disk(models, ids);
		must_be_for_others(models);
		for (i = 0; i < MESSAGES; i++)
			email_message_unref(&models[i].message);
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
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests_name(
		"journal-states", tests, test_spool_setup, test_spool_teardown);
}
