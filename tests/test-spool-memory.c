/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Spools of either store where memory ends, at each place where that is no panic: it is an
   answer, and nothing that is stored is damaged, or left out, for it. */

#include "config.h"
#include "istream.h"
#include "test-mem-faults.h"
#include "test-migrate-common.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char wire[] = TEST_SPOOL_WIRE;
static const char *const stores[] = { "file", "journal" };

/* More of the names of their files than a walk has room for at first. */
#define MESSAGES 20

static const struct kind {
	const char *store, *stack;
} kinds[] = { { "file", "" },
	      { "journal", "" },
	      { "file", "lz4 | age:recipients=" },
	      { "journal", "lz4 | age:recipients=" } };
/* So many of them have no stacks: for what has nothing to do with these. */
#define PLAIN 2

static struct spool *new_spool(const struct kind *kind)
{
	char stack[600];

	(void)snprintf(stack, sizeof(stack), "%s%s", kind->stack,
		       *kind->stack == '\0' ? "" : test_path("public"));
	return test_spool_new_of(kind->store, stack);
}

/* The last one is large, and the others have something in every field. */
static struct spool *begin(const struct kind *kind, message_id ids[MESSAGES])
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool = new_spool(kind);
	unsigned int i;

	for (i = 0; i < MESSAGES - 1; i++)
		test_put_full(spool, &ids[i]);
	assert_int_equal(test_spool_put(spool, data, TEST_SPOOL_LARGE, &ids[i]),
			 IO_DONE);
	free(data);
	return spool;
}

static void must_be_whole(struct spool *spool, unsigned int count)
{
	unsigned int total;

	assert_int_equal(test_spool_damaged(spool, &total), 0);
	assert_int_equal(total, count);
	assert_int_equal(test_spool_files_in("quarantine").count, 0);
}

/* Of the time before. */
static void must_find(struct spool *spool, unsigned int count)
{
	must_be_whole(spool, count);
	assert_int_equal(test_spool_scan(spool), count);
}

/* A message that is made while there is memory. */
static email_message *new_message(struct spool *spool, const void *data,
				  size_t size)
{
	email_message *message;
	message_id id;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	assert_int_equal(email_message_set_sender(message, "a@example.org"), 0);
	assert_int_equal(email_message_add_recipient(message, "b@example.org"),
			 0);
	test_spool_set_body(message, data, size);
	return message;
}

/* Told "no", it is not there. How many are stored. */
static unsigned int store_where_memory_ends(struct spool *spool,
					    const void *data, size_t size,
					    bool for_ever)
{
	unsigned int n, hit, stored = 0;
	email_message *message, *got;
	message_id id;
	int answer;

	TEST_EACH_CALL(n, hit) {
		message = new_message(spool, data, size);
		id = message->message_id;
		test_mem_faults_begin(n, for_ever);
		answer = spool_put(spool, message);
		hit = test_mem_faults_end();
		email_message_unref(&message);
		if (answer == IO_DONE) {
			test_spool_must_have(spool, &id, data, size);
			stored++;
			continue;
		}
		assert_true(n <= hit);
		assert_int_equal(answer, IO_TRANS_FAIL);
		assert_int_equal(spool_get(spool, &id, &got), IO_FAIL);
		assert_int_equal(io_get_errno(), ENOENT);
	}
	/* where there is memory */
	assert_true(stored > 0);
	return stored;
}

static void test_storing(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 100, TEST_SPOOL_LARGE };
	unsigned char *data = test_data(TEST_DATA_RANDOM, TEST_SPOOL_LARGE);
	struct spool *spool;
	unsigned int stored;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		spool = test_spool_new_of(stores[i], "gzip");
		stored = 0;
		for (j = 0; j < 2 * N_ELEMENTS(sizes); j++)
			stored += store_where_memory_ends(
				spool, data, sizes[j / 2], j % 2 != 0);
		must_be_whole(spool, stored);
		spool_close(&spool);
		spool = test_spool_open(0);
		must_find(spool, stored);
		spool_close(&spool);
	}
	free(data);
}

static void test_opening(void **state ATTR_UNUSED)
{
	static const unsigned int flags[] = { 0, SPOOL_OPEN_REPAIR,
					      SPOOL_OPEN_READ_ONLY };
	unsigned int n, hit, j;
	message_id ids[MESSAGES];
	struct spool *spool;
	char *error;
	size_t i;

	for (i = 0; i < PLAIN; i++) {
		spool = begin(&kinds[i], ids);
		spool_close(&spool);
		for (j = 0; j < N_ELEMENTS(flags); j++) {
			TEST_EACH_CALL(n, hit) {
				/* the spool itself is a small object */
				test_mem_faults_begin(n + 1, false);
				spool = spool_open(test_spool_dir(), flags[j],
						   NULL, &error);
				hit = test_mem_faults_end() - 1;
				if (spool == NULL) {
					if (errno != ENOMEM ||
					    strstr(error, "memory") == NULL)
						fail_msg("%s: call %u: %s, %s",
							 kinds[i].store, n,
							 strerror(errno),
							 error);
					free(error);
					spool = test_spool_open(0);
				}
				must_find(spool, MESSAGES);
				spool_close(&spool);
			}
		}
	}
}

static bool count_entry(const struct spool_entry *entry, void *context)
{
	/* no body here is SMTP wire form */
	if (entry->error != 0 && entry->error != ENOMEM &&
	    entry->error != EILSEQ)
		fail_msg("errno %d: %s", entry->error, entry->problem);
	++*(unsigned int *)context;
	return true;
}

/* All of it, or it is known that it is not. */
static void look_where_memory_ends(struct spool *spool, bool for_ever,
				   int (*look)(struct spool *, spool_entry_t *,
					       void *, char **))
{
	unsigned int n, hit, count;
	char *error;
	int ret;

	TEST_EACH_CALL(n, hit) {
		count = 0;
		test_mem_faults_begin(n, for_ever);
		ret = look(spool, count_entry, &count, &error);
		hit = test_mem_faults_end();
		if (ret == 0) {
			assert_int_equal(count, MESSAGES);
			continue;
		}
		assert_int_equal(errno, ENOMEM);
		free(error);
	}
}

static void test_looking(void **state ATTR_UNUSED)
{
	message_id ids[MESSAGES];
	struct spool *spool;
	unsigned int j;
	size_t i;

	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		spool = begin(&kinds[i], ids);
		for (j = 0; j < 2; j++) {
			look_where_memory_ends(spool, false, spool_list);
			look_where_memory_ends(spool, true, spool_list);
			look_where_memory_ends(spool, false, spool_verify);
			look_where_memory_ends(spool, true, spool_verify);
			/* and all of them from the disk */
			spool_close(&spool);
			spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
		}
		spool_close(&spool);
	}
}

/* What it cannot look at now is not put aside, and the next one finds it; nobody is told
   twice, whatever was forgotten. */
static void scan_where_memory_ends(bool for_ever)
{
	struct spool *spool;
	unsigned int n, hit, found;

	TEST_EACH_CALL(n, hit) {
		spool = test_spool_open(SPOOL_OPEN_REPAIR);
		test_mem_faults_begin(n, for_ever);
		found = test_spool_scan(spool);
		hit = test_mem_faults_end();
		assert_true(found + test_spool_scan(spool) <= MESSAGES);
		spool_close(&spool);
		spool = test_spool_open(0);
		must_find(spool, MESSAGES);
		spool_close(&spool);
	}
}

static void test_scanning(void **state ATTR_UNUSED)
{
	message_id ids[MESSAGES];
	struct spool *spool;
	size_t i;

	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		spool = begin(&kinds[i], ids);
		spool_close(&spool);
		scan_where_memory_ends(false);
		if (i < PLAIN)
			scan_where_memory_ends(true);
	}
}

/* What cannot be read now is no damage. */
static void read_where_memory_ends(struct spool *spool, const message_id *id)
{
	unsigned int n, hit;
	int error;

	TEST_EACH_CALL(n, hit) {
		test_mem_faults_begin(n, false);
		error = test_spool_read(spool, id, 0, NULL);
		hit = test_mem_faults_end();
		if (error != 0 && error != ENOMEM)
			fail_msg("call %u: %s (%s)", n, strerror(error),
				 io_get_error());
	}
}

static void test_reading(void **state ATTR_UNUSED)
{
	message_id ids[MESSAGES];
	struct spool *spool;
	unsigned int j;
	size_t i;

	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		spool = begin(&kinds[i], ids);
		for (j = 0; j < MESSAGES; j++)
			read_where_memory_ends(spool, &ids[j]);
		must_be_whole(spool, MESSAGES);
		spool_close(&spool);
	}
}

static void test_reading_through_stacks(void **state ATTR_UNUSED)
{
	static const char *const stacks[] = { "gzip", "lz4", "age",
					      "lz4 | age" };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 100000);
	struct spool *spool;
	message_id small, large;
	char stack[600];
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(stacks) * N_ELEMENTS(stores); i++) {
		j = i / N_ELEMENTS(stores);
		(void)snprintf(stack, sizeof(stack), "%s%s%s", stacks[j],
			       strstr(stacks[j], "age") ? ":recipients=" : "",
			       strstr(stacks[j], "age") ? test_path("public") :
							  "");
		spool = test_spool_new_of(stores[i % N_ELEMENTS(stores)],
					  stack);
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&small),
				 IO_DONE);
		assert_int_equal(test_spool_put(spool, data, 100000, &large),
				 IO_DONE);
		read_where_memory_ends(spool, &small);
		read_where_memory_ends(spool, &large);
		must_be_whole(spool, 2);
		spool_close(&spool);
	}
	free(data);
}

/* The old one or the new one, whole; who was told "no" may try it again. */
static void test_changing(void **state ATTR_UNUSED)
{
	static const char longer[] = "Subject: another\r\n\r\nlonger\r\n.\r\n";
	message_id ids[MESSAGES];
	email_message *message;
	struct spool *spool;
	unsigned int n, hit;
	size_t i;
	int answer;

	for (i = 0; i < PLAIN; i++) {
		spool = begin(&kinds[i], ids);
		TEST_EACH_CALL(n, hit) {
			test_spool_change_body(spool, &ids[0], wire,
					       sizeof(wire) - 1);
			assert_int_equal(spool_get(spool, &ids[0], &message),
					 IO_DONE);
			assert_int_equal(test_spool_write_body(spool, message,
							       longer),
					 IO_DONE);
			test_mem_faults_begin(n, false);
			answer = test_spool_write_headers(spool, message);
			hit = test_mem_faults_end();
			if (answer != IO_DONE) {
				assert_int_equal(answer, IO_TRANS_FAIL);
				test_spool_must_have(spool, &ids[0], wire,
						     sizeof(wire) - 1);
				assert_int_equal(test_spool_write_headers(
							 spool, message),
						 IO_DONE);
			}
			email_message_unref(&message);
			test_spool_must_have(spool, &ids[0], longer,
					     sizeof(longer) - 1);
		}
		must_be_whole(spool, MESSAGES);
		spool_close(&spool);
		spool = test_spool_open(0);
		must_find(spool, MESSAGES);
		spool_close(&spool);
	}
}

/* Several segments, of which little is left; moved is all of it, or nothing is lost. */
static void test_compacting(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 20000);
	struct spool *spool = test_spool_new_of("journal", "");
	unsigned int n, hit, i, left = 0;
	message_id ids[30];
	uint64_t moved;
	char *error;

	TEST_EACH_CALL(n, hit) {
		for (i = 0; i < N_ELEMENTS(ids); i++)
			assert_int_equal(test_spool_put(spool, data, 20000,
							&ids[i]),
					 IO_DONE);
		for (i = 0; i < N_ELEMENTS(ids) - 1; i++)
			assert_int_equal(spool_remove(spool, &ids[i]), IO_DONE);
		left++;
		test_mem_faults_begin(n, false);
		if (spool_compact(spool, &moved, &error) < 0) {
			assert_int_equal(errno, ENOMEM);
			free(error);
		}
		hit = test_mem_faults_end();
		must_be_whole(spool, left);
	}
	spool_close(&spool);
	spool = test_spool_open(0);
	must_find(spool, left);
	spool_close(&spool);
	free(data);
}

static void test_removing(void **state ATTR_UNUSED)
{
	message_id ids[MESSAGES], id;
	email_message *message;
	struct spool *spool;
	unsigned int n, hit;
	size_t i;
	int answer;

	for (i = 0; i < PLAIN; i++) {
		spool = begin(&kinds[i], ids);
		TEST_EACH_CALL(n, hit) {
			assert_int_equal(test_spool_put(spool, wire,
							sizeof(wire) - 1, &id),
					 IO_DONE);
			test_mem_faults_begin(n, false);
			answer = spool_remove(spool, &id);
			hit = test_mem_faults_end();
			if (answer != IO_DONE) {
				assert_int_equal(answer, IO_TRANS_FAIL);
				test_spool_must_have(spool, &id, wire,
						     sizeof(wire) - 1);
				assert_int_equal(spool_remove(spool, &id),
						 IO_DONE);
			}
			assert_int_equal(spool_get(spool, &id, &message),
					 IO_FAIL);
		}
		must_be_whole(spool, MESSAGES);
		spool_close(&spool);
	}
}

#define MOVED 3u

/* What did not move is where it was, and moves the next time. */
static void migrate_where_memory_ends(const struct test_direction *direction,
				      bool for_ever)
{
	struct test_told told;
	struct test_pair pair;
	unsigned int n, hit;
	message_id id;
	char *error;

	TEST_EACH_CALL(n, hit) {
		test_pair_new(direction, &pair);
		test_put_full(pair.from, &id);
		test_put_full(pair.from, &id);
		test_put_large(pair.from, &id);
		memset(&told, 0, sizeof(told));
		test_mem_faults_begin(n, for_ever);
		if (spool_migrate(pair.from, pair.to, 0, test_migrate_note,
				  &told, &error) < 0) {
			assert_int_equal(errno, ENOMEM);
			free(error);
		} else if (told.problems > 0) {
			assert_int_equal(told.error, ENOMEM);
		} else {
			assert_int_equal(told.count, MOVED);
		}
		hit = test_mem_faults_end();
		told = test_migrate(&pair, 0);
		assert_int_equal(told.problems, 0);
		test_must_have_whole(pair.from, 0);
		test_must_have_whole(pair.to, MOVED);
		test_pair_close(&pair);
	}
}

static void test_migrating(void **state ATTR_UNUSED)
{
	size_t i;

	/* from one store to the other */
	for (i = 0; i < 2; i++) {
		migrate_where_memory_ends(&test_directions[i], false);
		migrate_where_memory_ends(&test_directions[i], true);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storing),
		cmocka_unit_test(test_opening),
		cmocka_unit_test(test_looking),
		cmocka_unit_test(test_scanning),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_reading_through_stacks),
		cmocka_unit_test(test_changing),
		cmocka_unit_test(test_compacting),
		cmocka_unit_test(test_removing),
		cmocka_unit_test(test_migrating),
	};

	return cmocka_run_group_tests_name(
		"spool-memory", tests, test_spool_setup, test_spool_teardown);
}
