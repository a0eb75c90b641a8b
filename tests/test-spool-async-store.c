/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Asynchronous calls through each store: answers and failures. */

#include "config.h"
#include "test-async-common.h"
#include "istream.h"
#include "spool-modules.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

static const char wire[] = TEST_SPOOL_WIRE;
static const char *const stores[] = { "memory", "file", "journal" };
/* those that files may fail */
static const char *const disk_stores[] = { "file", "journal" };

/*
 * Answers
 */

/* On the workers, with IO_ASYNCHRONOUS, and told to after(). */
static void must_be_asynchronous(enum io_operation op, int result)
{
	unsigned int i, told = 0;

	for (i = 0; i < test_watch.count; i++) {
		if (test_watch.events[i].op != op)
			continue;
		assert_int_equal(test_watch.events[i].caller, IO_ASYNCHRONOUS);
		assert_false(test_watch.events[i].on_loop);
		if (test_watch.events[i].after) {
			assert_int_equal(test_watch.events[i].result, result);
			told++;
		}
	}
	assert_int_equal(told, 1);
	assert_int_equal(test_watch_asked(op, NULL), 1);
}

static void test_whole_messages(void **state ATTR_UNUSED)
{
	struct spool_async *async;
	struct test_answer answers[5];
	struct spool *spool;
	email_message *copy;
	message_id id;
	size_t i;
	int op;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		memset(answers, 0, sizeof(answers));
		spool = test_watched_spool(stores[i]);
		async = test_async_begin(spool, 2, 0);
		assert_int_equal(test_async_put(spool, async, &id, &answers[0]),
				 IO_DONE);
		copy = email_message_new(&id);
		assert_int_equal(spool_submit_get(async, copy, test_answered,
						  &answers[1]),
				 IO_DONE);
		assert_int_equal(spool_submit_remove(async, &id, test_answered,
						     &answers[2]),
				 IO_DONE);
		/* never before the loop runs */
		assert_int_equal(test_answers(), 0);
		test_wait_answers(3);
		assert_string_equal(email_message_get_sender(copy),
				    "a@example.org");
		assert_int_equal(copy->body_len, sizeof(wire) - 1);
		for (op = IO_OP_WRITEHEADERS; op <= IO_OP_UNLINKBODY; op++)
			must_be_asynchronous((enum io_operation)op, IO_DONE);
		assert_int_equal(spool_submit_get(async, copy, test_answered,
						  &answers[3]),
				 IO_DONE);
		assert_int_equal(spool_submit_remove(async, &id, test_answered,
						     &answers[4]),
				 IO_DONE);
		test_wait_answers(5);
		email_message_unref(&copy);
		test_must_be(&answers[0], IO_DONE);
		test_must_be(&answers[1], IO_DONE);
		test_must_be(&answers[2], IO_DONE);
		assert_string_equal(answers[2].why, "");
		test_must_be(&answers[3], IO_FAIL);
		assert_int_equal(answers[3].error, ENOENT);
		assert_non_null(strstr(answers[3].why, "there is no "));
		/* that is not the reason of what comes behind it */
		test_must_be(&answers[4], IO_DONE);
		assert_string_equal(answers[4].why, "");
		test_async_must_be_missing(spool, &id);
		test_async_end(&async, &spool);
	}
}

static void test_hook_by_hook(void **state ATTR_UNUSED)
{
	struct test_answer answers[6];
	struct spool_async *async;
	email_message *message, *copy;
	struct spool *spool;
	message_id id;
	size_t i, n;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		memset(answers, 0, sizeof(answers));
		spool = test_watched_spool(stores[i]);
		async = test_async_begin(spool, 2, 0);
		message = test_async_message(spool, &id);
		copy = email_message_new(&id);
		n = (size_t)spool_submit_writebody(async, message, 1,
						   test_answered, &answers[0]);
		n |= (size_t)spool_submit_writeheaders(
			async, message, 1, test_answered, &answers[1]);
		n |= (size_t)spool_submit_readheaders(
			async, copy, test_answered, &answers[2]);
		n |= (size_t)spool_submit_readbody(async, copy, test_answered,
						   &answers[3]);
		assert_int_equal(n, 0);
		test_wait_answers(4);
		assert_int_equal(email_message_get_version(message), 1);
		test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
		n |= (size_t)spool_submit_unlinkheaders(
			async, &id, test_answered, &answers[4]);
		n |= (size_t)spool_submit_unlinkbody(async, &id, test_answered,
						     &answers[5]);
		assert_int_equal(n, 0);
		test_wait_answers(6);
		for (n = 0; n < N_ELEMENTS(answers); n++)
			test_must_be(&answers[n], IO_DONE);
		test_async_must_be_missing(spool, &id);
		email_message_unref(&message);
		email_message_unref(&copy);
		test_async_end(&async, &spool);
	}
}

/* What does not fit into a segment is in a file, and goes with its message. */
/* The one that the hook called `op` first was asked with. */
static int force_of(enum io_operation op)
{
	unsigned int i;

	for (i = 0; i < test_watch.count; i++) {
		if (test_watch.events[i].op == op &&
		    !test_watch.events[i].after)
			return test_watch.events[i].force;
	}
	fail_msg("hook %d was not asked", op);
	return 0;
}

/* Modules may skip what is written without it. */
static void test_force_is_passed_on(void **state ATTR_UNUSED)
{
	struct test_answer answers[2];
	struct spool_async *async;
	email_message *message;
	struct spool *spool;
	message_id id;
	size_t i;
	int ret;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		memset(answers, 0, sizeof(answers));
		spool = test_watched_spool(stores[i]);
		async = test_async_begin(spool, 2, 0);
		message = test_async_message(spool, &id);
		ret = spool_submit_writebody(async, message, 2, test_answered,
					     &answers[0]);
		ret |= spool_submit_writeheaders(async, message, 3,
						 test_answered, &answers[1]);
		assert_int_equal(ret, IO_DONE);
		test_wait_answers(2);
		test_must_be(&answers[0], IO_DONE);
		test_must_be(&answers[1], IO_DONE);
		assert_int_equal(force_of(IO_OP_WRITEBODY), 2);
		assert_int_equal(force_of(IO_OP_WRITEHEADERS), 3);
		email_message_unref(&message);
		test_async_end(&async, &spool);
	}
}

static void test_a_large_body(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 100000);
	struct istream *body = i_stream_create_from_data(data, 100000);
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	struct test_answer answers[2] = { 0 };
	email_message *message;
	message_id id;

	message = test_async_message(spool, &id);
	email_message_set_body(message, body, 100000);
	i_stream_unref(&body);
	assert_int_equal(spool_submit_put(async, message, test_answered,
					  &answers[0]),
			 IO_DONE);
	email_message_unref(&message);
	test_wait_answers(1);
	test_must_be(&answers[0], IO_DONE);
	test_spool_must_have(spool, &id, data, 100000);
	assert_int_equal(test_command("test -n \"$(ls -A %s/journal/bodies)\"",
				      test_spool_dir()),
			 0);
	assert_int_equal(spool_submit_remove(async, &id, test_answered,
					     &answers[1]),
			 IO_DONE);
	test_wait_answers(2);
	test_must_be(&answers[1], IO_DONE);
	assert_int_equal(test_command("test -z \"$(ls -A %s/journal/bodies)\"",
				      test_spool_dir()),
			 0);
	test_async_end(&async, &spool);
	free(data);
}

static void test_reading_only(void **state ATTR_UNUSED)
{
	struct test_answer answers[2] = { 0 };
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async;
	message_id id;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	spool_close(&spool);
	spool = test_spool_open(SPOOL_OPEN_READ_ONLY);
	async = test_async_begin(spool, 1, 0);
	assert_int_equal(spool_submit_remove(async, &id, test_answered,
					     &answers[0]),
			 IO_DONE);
	assert_int_equal(test_async_put(spool, async, &id, &answers[1]),
			 IO_DONE);
	test_wait_answers(2);
	test_must_be(&answers[0], IO_FAIL);
	assert_int_equal(answers[0].error, EROFS);
	test_must_be(&answers[1], IO_FAIL);
	assert_int_equal(answers[1].error, EROFS);
	test_async_end(&async, &spool);
}

/*
 * Failures
 */

/* The last module before the store refuses: the one before it is told to forget. */
static void test_a_failing_module(void **state ATTR_UNUSED)
{
	static const enum io_operation ops[] = { IO_OP_WRITEBODY,
						 IO_OP_WRITEHEADERS };
	struct test_answer answers[2];
	struct spool_async *async;
	struct spool *spool;
	email_message *message;
	message_id id;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops) * N_ELEMENTS(disk_stores); i++) {
		memset(answers, 0, sizeof(answers));
		spool = test_watched_spool(disk_stores[i / N_ELEMENTS(ops)]);
		assert_int_equal(
			spool_add_module(spool,
					 spool_module_failure_new(
						 ops[i % N_ELEMENTS(ops)], 1,
						 IO_TRANS_FAIL),
					 "", &error),
			0);
		async = test_async_begin(spool, 2, 0);
		message = test_async_message(spool, &id);
		assert_int_equal(spool_submit_put(async, message, test_answered,
						  &answers[0]),
				 IO_DONE);
		test_wait_answers(1);
		test_must_be(&answers[0], IO_TRANS_FAIL);
		assert_string_equal(answers[0].why, "failing on purpose");
		assert_int_equal(test_watch_asked(IO_OP_UNLINKBODY, &id), 1);
		assert_int_equal(email_message_get_version(message), 0);
		test_async_must_be_missing(spool, &id);
		/* and once more, as if nothing had been */
		assert_int_equal(spool_submit_put(async, message, test_answered,
						  &answers[1]),
				 IO_DONE);
		test_wait_answers(2);
		test_must_be(&answers[1], IO_DONE);
		test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
		email_message_unref(&message);
		test_async_end(&async, &spool);
	}
}

struct
try {
	struct spool *spool;
	struct spool_async *async;
	unsigned int answers, stored;
};

/* Two messages, of which call n fails: each is answered, and is there or is not. How
   many such calls there were. */
static unsigned int try_puts(struct try *try, enum test_op op, unsigned int n)
{
	struct test_answer answers[2] = { 0 };
	unsigned int i, hit;
	message_id ids[2];

	test_faults_begin();
	test_faults.fail_at[op] = n;
	test_faults.fail_errno[op] = ENOSPC;
	for (i = 0; i < 2; i++)
		assert_int_equal(test_async_put(try->spool, try->async, &ids[i],
						&answers[i]),
				 IO_DONE);
	try->answers += 2;
	test_wait_answers(try->answers);
	hit = test_faults.calls[op];
	test_faults_end();
	for (i = 0; i < 2; i++) {
		if (answers[i].answer == IO_DONE) {
			try->stored++;
			test_spool_must_have(try->spool, &ids[i], wire,
					     sizeof(wire) - 1);
			continue;
		}
		test_must_be(&answers[i], IO_TRANS_FAIL);
		assert_int_equal(answers[i].error, ENOSPC);
		test_async_must_be_missing(try->spool, &ids[i]);
	}
	return hit;
}

static void test_every_failing_call(void **state ATTR_UNUSED)
{
	static const enum test_op ops[] = { TEST_OP_OPEN,      TEST_OP_WRITE,
					    TEST_OP_FDATASYNC, TEST_OP_RENAME,
					    TEST_OP_FSYNC_DIR, TEST_OP_MKDIR };
	struct try try = { NULL, NULL, 0, 0 };
	unsigned int n, hit;
	enum test_op op;
	size_t i;

	for (i = 0; i < N_ELEMENTS(ops) * N_ELEMENTS(disk_stores); i++) {
		op = ops[i % N_ELEMENTS(ops)];
		try.spool = test_spool_new_of(disk_stores[i / N_ELEMENTS(ops)],
					      "gzip");
		try.async = test_async_begin(try.spool, 2, 0);
		try.answers = try.stored = 0;
		TEST_EACH_CALL(n, hit)
			hit = try_puts(&try, op, n);
		/* service goes on */
		(void)try_puts(&try, op, 0);
		test_async_end(&try.async, &try.spool);
		try.spool = test_spool_open(0);
		assert_int_equal(test_spool_scan(try.spool), try.stored);
		spool_close(&try.spool);
	}
}

/*
 * Beside calls that wait
 */

#define EACH 30

static void *put_and_remove(void *context)
{
	struct spool *spool = context;
	message_id id;
	unsigned int i;

	for (i = 0; i < EACH; i++) {
		if (test_spool_put(spool, wire, sizeof(wire) - 1, &id) !=
			    IO_DONE ||
		    (i % 2 == 0 && spool_remove(spool, &id) != IO_DONE))
			return spool;
	}
	return NULL;
}

/* Whoever writes the group, each gets its answer; two of these share the spool. */
static void test_beside_threads_that_wait(void **state ATTR_UNUSED)
{
	static struct test_answer answers[4 * EACH];
	struct spool_async *async, *second;
	pthread_t threads[2];
	struct spool *spool;
	message_id ids[2 * EACH];
	unsigned int n;
	void *failed;
	char *error;
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		memset(answers, 0, sizeof(answers));
		spool = test_watched_spool(stores[i]);
		async = test_async_begin(spool, 2, 0);
		second = spool_async_new(spool, NULL, 1, 0, &error);
		assert_non_null(second);
		for (n = 0; n < 2; n++)
			assert_int_equal(pthread_create(&threads[n], NULL,
							put_and_remove, spool),
					 0);
		for (n = 0; n < 2 * EACH; n++)
			assert_int_equal(test_async_put(spool,
							n % 2 == 0 ? async :
								     second,
							&ids[n], &answers[n]),
					 IO_DONE);
		test_wait_answers(2 * EACH);
		/* each by the other one */
		for (n = 0; n < 2 * EACH; n++)
			assert_int_equal(
				spool_submit_remove(n % 2 == 0 ? second : async,
						    &ids[n], test_answered,
						    &answers[2 * EACH + n]),
				IO_DONE);
		test_wait_answers(4 * EACH);
		for (n = 0; n < 2; n++) {
			assert_int_equal(pthread_join(threads[n], &failed), 0);
			assert_null(failed);
		}
		for (n = 0; n < 4 * EACH; n++)
			test_must_be(&answers[n], IO_DONE);
		spool_async_close(&second);
		test_async_end(&async, &spool);
		if (strcmp(stores[i], "memory") == 0)
			continue;
		spool = test_spool_open(0);
		assert_int_equal(test_spool_scan(spool), EACH);
		spool_close(&spool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_messages),
		cmocka_unit_test(test_hook_by_hook),
		cmocka_unit_test(test_force_is_passed_on),
		cmocka_unit_test(test_a_large_body),
		cmocka_unit_test(test_reading_only),
		cmocka_unit_test(test_a_failing_module),
		cmocka_unit_test(test_every_failing_call),
		cmocka_unit_test(test_beside_threads_that_wait),
	};

	return cmocka_run_group_tests_name("spool-async-store", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
