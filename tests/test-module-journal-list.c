/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What spool_list(), spool_verify() and spool_count_strays() tell of the journal store. */

#include "config.h"
#include "buffer.h"
#include "file-ops.h"
#include "macros.h"
#include "message-record.h"
#include "module-journal-private.h"
#include "test-faults.h"
#include "test-spool-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SMALL 5000
#define RECIPIENTS 20

struct seen {
	struct spool *spool;
	bool stops, removes;
	unsigned int count, problems;
	uint64_t version, body_len, stored_size;
	char body_stack[32], problem[200];
	message_id others[3];
};

static bool see(const struct spool_entry *entry, void *context)
{
	struct seen *seen = context;
	size_t i;

	seen->count++;
	/* no body here is SMTP wire form */
	seen->problems += entry->problem != NULL && entry->error != EILSEQ;
	seen->version = entry->version;
	seen->body_len = entry->body_len;
	seen->stored_size = entry->stored_size;
	(void)snprintf(seen->body_stack, sizeof(seen->body_stack), "%s",
		       entry->body_stack);
	if (entry->problem != NULL)
		(void)snprintf(seen->problem, sizeof(seen->problem), "%s",
			       entry->problem);
	for (i = 0; seen->removes && i < N_ELEMENTS(seen->others); i++) {
		if (message_id_cmp(&seen->others[i], &entry->id) != 0)
			(void)spool_remove(seen->spool, &seen->others[i]);
	}
	return !seen->stops;
}

static void list(struct spool *spool, struct seen *seen)
{
	char *error;

	seen->spool = spool;
	seen->count = seen->problems = 0;
	assert_int_equal(spool_list(spool, see, seen, &error), 0);
}

static void verify(struct spool *spool, struct seen *seen)
{
	char *error;

	seen->spool = spool;
	seen->count = seen->problems = 0;
	assert_int_equal(spool_verify(spool, see, seen, &error), 0);
}

/* Whether the body is in a segment or in a file, plain or not; sizes are those on the
   disk. */
static void test_what_is_listed(void **state ATTR_UNUSED)
{
	static const struct {
		const char *stack, *shown;
		size_t size, least, most;
	} rows[] = {
		{ "", "plain", SMALL, SMALL, SMALL + 1000 },
		{ "", "plain", TEST_SPOOL_LARGE, TEST_SPOOL_LARGE,
		  TEST_SPOOL_LARGE + 1000 },
		{ "hex", "hex", SMALL, 2 * SMALL, 2 * SMALL + 1000 },
		{ "hex", "hex", TEST_SPOOL_LARGE, 2 * TEST_SPOOL_LARGE,
		  2 * TEST_SPOOL_LARGE + 1000 },
	};
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct seen seen = { 0 };
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of("journal", rows[i].stack);
		assert_int_equal(test_spool_put(spool, data, rows[i].size, &id),
				 IO_DONE);
		list(spool, &seen);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.problems, 0);
		assert_int_equal(seen.version, 1);
		assert_int_equal(seen.body_len, rows[i].size);
		assert_in_range(seen.stored_size, rows[i].least, rows[i].most);
		assert_string_equal(seen.body_stack, rows[i].shown);
		verify(spool, &seen);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.problems, 0);
		spool_close(&spool);
	}
	free(data);
}

static void write_states(struct spool *spool, email_message *message)
{
	assert_int_equal(email_message_set_recipient_state(
				 message, 0, EMAIL_RECIPIENT_DELIVERED, "250"),
			 0);
	assert_int_equal(spool_writeheaders(spool, IO_SYNCHRONOUS, message, 0),
			 IO_DONE);
}

/* States that are written apart have their version, and their size. */
static void test_states_are_listed(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, RECIPIENTS);
	struct seen before = { 0 }, after = { 0 };

	list(spool, &before);
	write_states(spool, message);
	email_message_unref(&message);
	list(spool, &after);
	assert_int_equal(after.count, 1);
	assert_int_equal(after.version, 2);
	assert_true(after.stored_size > before.stored_size);
	assert_int_equal(after.body_len, before.body_len);
	spool_close(&spool);
}

/* That they are whole says nothing of the others. */
static void test_whole_states_of_a_damaged_body(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, RECIPIENTS);
	struct seen seen = { 0 };

	write_states(spool, message);
	email_message_unref(&message);
	/* the first record's header, of which a list is made */
	test_flip(test_spool_segment(1), 4096 + 20);
	list(spool, &seen);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.problems, 1);
	verify(spool, &seen);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.problems, 1);
	spool_close(&spool);
}

/* Who has no key verifies what can be read, also where it was not encrypted at first. */
static void test_states_without_a_key(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, RECIPIENTS);
	struct seen seen = { 0 };
	char *error;

	spool_close(&spool);
	assert_int_equal(test_command("cd %s && cp %s recipients && "
				      "sed -i '/^headers/d' spool.conf && "
				      "echo 'headers = age' >>spool.conf",
				      test_spool_dir(), test_path("public")),
			 0);
	spool = test_spool_open(0);
	write_states(spool, message);
	email_message_unref(&message);
	spool_close(&spool);
	spool = spool_open(test_spool_dir(), SPOOL_OPEN_READ_ONLY, NULL,
			   &error);
	assert_non_null(spool);
	verify(spool, &seen);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.problems, 0);
	assert_int_equal(seen.version, 2);
	spool_close(&spool);
}

/* It ends where the caller wants no more; and what he removes meanwhile is not listed. */
static void test_a_listing_that_is_cut_short(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct seen seen = { .stops = true };
	size_t i;

	for (i = 0; i < N_ELEMENTS(seen.others); i++)
		assert_int_equal(test_spool_put(spool, data,
						i == 0 ? TEST_SPOOL_LARGE :
							 SMALL,
						&seen.others[i]),
				 IO_DONE);
	list(spool, &seen);
	assert_int_equal(seen.count, 1);
	verify(spool, &seen);
	assert_int_equal(seen.count, 1);
	seen.stops = false;
	list(spool, &seen);
	assert_int_equal(seen.count, 3);
	seen.removes = true;
	list(spool, &seen);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.problems, 0);
	spool_close(&spool);
	free(data);
}

/* Nor what somebody removes while it is looked at. */
static void test_removed_while_it_is_listed(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct seen seen = { 0 };
	message_id id;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	test_spool_remove_when_opened(spool, &id);
	list(spool, &seen);
	test_spool_must_be_removed();
	assert_int_equal(seen.count, 0);
	spool_close(&spool);
	free(data);
}

/* Whose newest states are damaged is a message all the same, and told of once. */
static void test_a_damaged_record_of_a_message(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message = test_spool_put_to(spool, RECIPIENTS);
	struct seen seen = { 0 };
	message_id id;

	write_states(spool, message);
	email_message_unref(&message);
	assert_int_equal(test_spool_put(spool, ".\r\n", 3, &id), IO_DONE);
	spool_close(&spool);
	/* in the second block, behind its header */
	test_flip(test_spool_segment(1), 2 * 4096 + 70);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	verify(spool, &seen);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.problems, 1);
	if (strstr(seen.problem, "segment 1, byte 8192: ") == NULL)
		fail_msg("%s", seen.problem);
	spool_close(&spool);
}

/* Three messages, of two blocks each. */
static void store_three(void)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SMALL);
	struct spool *spool = test_spool_new_of("journal", "");
	message_id id;
	unsigned int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(test_spool_put(spool, data, SMALL, &id),
				 IO_DONE);
	spool_close(&spool);
	free(data);
}

/* What is damaged and no message is told by a reader who verifies, as far as the caller
   wants to know. */
static void test_damage_is_verified(void **state ATTR_UNUSED)
{
	struct seen seen = { 0 };
	struct spool *spool;

	store_three();
	/* the bodies of the first two */
	test_flip(test_spool_segment(1), 4096 + 1000);
	test_flip(test_spool_segment(1), 3 * 4096 + 1000);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	list(spool, &seen);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.problems, 0);
	/* each once, of which body and headers are gone */
	verify(spool, &seen);
	assert_int_equal(seen.problems, 2);
	assert_int_equal(seen.count, 3);
	/* where it is, and what */
	assert_non_null(strstr(seen.problem, "segment 1, byte "));
	assert_non_null(
		strstr(seen.problem, ": the checksum of a record is wrong"));
	seen.stops = true;
	verify(spool, &seen);
	assert_int_equal(seen.count, 1);
	spool_close(&spool);
}

/* Headers of which nobody can tell whose they were: each is told of. */
static void test_damage_of_nobody(void **state ATTR_UNUSED)
{
	struct seen seen = { 0 };
	struct spool *spool;

	store_three();
	/* behind the bodies of 5000 octets */
	test_flip(test_spool_segment(1), 4096 + 5120 + 20);
	test_flip(test_spool_segment(1), 3 * 4096 + 5120 + 20);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	verify(spool, &seen);
	assert_int_equal(seen.problems, 2);
	assert_int_equal(seen.count, 3);
	spool_close(&spool);
}

/* A message whose records are whole, and say that its body has 4 octets, and its version is
   1; its text says this. */
static message_id store_lie(struct spool *spool, const char *stack,
			    const char *body, uint64_t version,
			    uint64_t body_len)
{
	struct journal *journal = journal_store(spool->store)->journal;
	buffer_t *record = buffer_create_dynamic(default_pool, 200);
	struct journal_request request = { .count = 2 };
	struct journal_record *records = request.records;
	struct journal_entry entry;
	email_message *message;
	message_id id;
	unsigned int i;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	email_message_set_version(message, version);
	message->body_len = body_len;
	assert_int_equal(message_record_write(message, record), 0);
	for (i = 0; i < 2; i++) {
		records[i].id = id;
		records[i].version = 1;
		records[i].plain_size = 4;
	}
	records[0].type = JOURNAL_BODY;
	records[0].stack = stack;
	records[0].data = body;
	records[0].size = strlen(body);
	records[1].type = JOURNAL_HEADERS;
	records[1].flags = JOURNAL_WITH_BODY;
	records[1].stack = "plain";
	records[1].data = record->data;
	records[1].size = record->used;
	assert_int_equal(journal_claim(journal, &id, &entry), 0);
	assert_int_equal(journal_commit(journal, &request), 0);
	journal_release(journal, &id);
	email_message_unref(&message);
	buffer_free(&record);
	return id;
}

/* What a message's own text says of it has to be what its record does. */
static void test_texts_of_others(void **state ATTR_UNUSED)
{
	static const struct {
		uint64_t version, body_len;
		int answer;
	} rows[] = {
		{ 1, 4, IO_DONE },
		{ 1, 5, IO_FAIL },
		{ 2, 4, IO_FAIL },
	};
	struct spool *spool = test_spool_new_of("journal", "");
	email_message *message;
	char text[MESSAGE_ID_TEXT_SIZE];
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		id = store_lie(spool, "plain", "abcd", rows[i].version,
			       rows[i].body_len);
		message = email_message_new(&id);
		assert_int_equal(spool_readheaders(spool, IO_SYNCHRONOUS,
						   message),
				 rows[i].answer);
		if (rows[i].answer != IO_DONE) {
			assert_int_equal(io_get_errno(), EINVAL);
			assert_non_null(strstr(io_get_error(), "differ"));
			message_id_to_text(&id, text);
			assert_non_null(strstr(io_get_error(), text));
			/* nobody goes by it */
			assert_int_equal(email_message_get_version(message), 0);
			assert_int_equal(message->body_len, 0);
		}
		email_message_unref(&message);
	}
	spool_close(&spool);
}

/* Of a body that ends well, but elsewhere, only its length tells. */
static void test_lengths_are_verified(void **state ATTR_UNUSED)
{
	static const struct {
		const char *stack, *body;
		unsigned int problems;
	} rows[] = {
		{ "plain", "abcd", 0 },  { "plain", "abc", 1 },
		{ "plain", "abcde", 1 }, { "hex", "61626364", 0 },
		{ "hex", "616263", 1 },  { "hex", "6162636465", 1 },
	};
	struct seen seen = { 0 };
	struct spool *spool;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spool = test_spool_new_of("journal", "");
		(void)store_lie(spool, rows[i].stack, rows[i].body, 1, 4);
		verify(spool, &seen);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.problems, rows[i].problems);
		spool_close(&spool);
	}
}

/* What a newer version stored is not taken for plain bytes. */
static void test_a_stack_that_nobody_knows(void **state ATTR_UNUSED)
{
	static const char *const stacks[] = { "newer", "plain | newer",
					      "hex | newer" };
	struct seen seen = { 0 };
	struct spool *spool;
	message_id id;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		spool = test_spool_new_of("journal", "");
		id = store_lie(spool, stacks[i], "abcd", 1, 4);
		assert_int_equal(test_spool_read(spool, &id, 0, NULL), ENOTSUP);
		verify(spool, &seen);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.problems, 1);
		spool_close(&spool);
	}
}

/* Of a filesystem on another machine, to who writes: nobody else has moved it. */
static void test_a_stale_file(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	struct seen seen = { .stops = false };
	message_id id;

	test_spool_put_many(spool, &id, 1);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = ESTALE;
	list(spool, &seen);
	test_faults_end();
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.problems, 1);
	assert_non_null(strstr(seen.problem, strerror(ESTALE)));
	list(spool, &seen);
	assert_int_equal(seen.problems, 0);
	spool_close(&spool);
}

/* Files that are nobody's are counted, each as what it is, and go at the next start; the
   one that is a message's stays, under its own name alone. */
static void test_strays(void **state ATTR_UNUSED)
{
#define ID1 "01h2xcejqtf2nbrexx3vqjhp41"
#define ID2 "01h2xcejqtf2nbrexx3vqjhp42"
	static const char *const aside[] = {
		ID1 ".headers", ID1 ".headers.why", ID1 ".body",
		ID1 ".body.why", ID2 ".0000000000000012.b", ID1 ".headers.1",
		ID1 ".headers.1.why",
		/* a reason alone, and what has no name of ours */
		"01h2xcejqtf2nbrexx3vqjhp43.h.why", ID1,
		"01h2xcejqtf2nbrexx3vqjhp44x.h",
		"journal-00000001-01020304-4096.bytes",
		"journal-00000001-01020304-4096.bytes.why",
		"journal-00000002-01020304.seg",
		"journal-00000002-01020304.seg.why",
		"journal-00000003-missing.why"
	};
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = test_spool_new_of("journal", "");
	struct spool_strays strays;
	struct test_spool_files files;
	char *error, path[1100], *tag;
	message_id id;
	struct stat st;
	size_t i;

	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &id),
			 IO_DONE);
	files = test_spool_files_in(TEST_SPOOL_BODIES);
	assert_int_equal(stat(files.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)snprintf(path, sizeof(path),
		       "%s/" TEST_SPOOL_BODIES "/.bobbin-tmp-9",
		       test_spool_dir());
	test_write_file(path, data, 100);
	/* other bodies of this message */
	(void)snprintf(path, sizeof(path), "%s", files.path);
	tag = path + strlen(path) - strlen("0123456789abcdef.b");
	for (i = 0; i < 2; i++) {
		memcpy(tag, i == 0 ? "0000000000000001" : "000000000000000a",
		       16);
		test_write_file(path, data, 100);
	}
	/* not as a body is named */
	memcpy(tag, "000000000000000B", 16);
	test_write_file(path, data, 100);
	for (i = 0; i < N_ELEMENTS(aside); i++) {
		(void)snprintf(path, sizeof(path), "%s/quarantine/%s",
			       test_spool_dir(), aside[i]);
		test_write_file(path, "because\n", 8);
	}
	memset(&strays, 0xff, sizeof(strays));
	if (spool_count_strays(spool, &strays, &error) < 0)
		fail_msg("%s", error);
	assert_int_equal(strays.bodies, 2);
	assert_int_equal(strays.temporary, 2);
	/* two of which one was put aside twice, and three parts */
	assert_int_equal(strays.quarantined, 3);
	assert_int_equal(strays.quarantined_parts, 3);
	assert_in_range(strays.bytes, 4, 4 * 8192);
	spool_close(&spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_files_in(TEST_SPOOL_BODIES).count, 1);
	test_spool_must_have(spool, &id, data, TEST_SPOOL_LARGE);
	spool_close(&spool);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_listed),
		cmocka_unit_test(test_states_are_listed),
		cmocka_unit_test(test_whole_states_of_a_damaged_body),
		cmocka_unit_test(test_states_without_a_key),
		cmocka_unit_test(test_a_listing_that_is_cut_short),
		cmocka_unit_test(test_removed_while_it_is_listed),
		cmocka_unit_test(test_a_damaged_record_of_a_message),
		cmocka_unit_test(test_damage_is_verified),
		cmocka_unit_test(test_damage_of_nobody),
		cmocka_unit_test(test_texts_of_others),
		cmocka_unit_test(test_lengths_are_verified),
		cmocka_unit_test(test_a_stack_that_nobody_knows),
		cmocka_unit_test(test_a_stale_file),
		cmocka_unit_test(test_strays),
	};

	return cmocka_run_group_tests_name("module-journal-list", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
