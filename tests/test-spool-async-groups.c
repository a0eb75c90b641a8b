/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Asynchronous calls: what the journal makes one group of, and what a group's end is to
   those in it. */

#include "config.h"
#include "test-async-common.h"
#include "module-journal-private.h"
#include "journal/journal-private.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

static const char wire[] = TEST_SPOOL_WIRE;

/*
 * The first sync is held until so many were asked for
 */

static struct {
	enum io_operation op;
	unsigned int asked;        /* then it goes on */
	int error;                 /* and fails so */
	struct journal_file *file; /* NULL: whatever is synced */
	int fd;                    /* its own */
	atomic_uint syncs;
} sync_gate;

static int held_fdatasync(int fd)
{
	if (sync_gate.file != NULL && fd != sync_gate.fd)
		return file_ops_system.fdatasync(fd);
	if (atomic_fetch_add(&sync_gate.syncs, 1) == 0)
		test_watch_wait_asked(sync_gate.op, sync_gate.asked);
	if (sync_gate.error == 0)
		return file_ops_system.fdatasync(fd);
	errno = sync_gate.error;
	return -1;
}

static struct file_ops gated_ops;

static void hold_sync(enum io_operation op, unsigned int asked, int error)
{
	sync_gate.op = op;
	sync_gate.asked = asked;
	sync_gate.error = error;
	atomic_store(&sync_gate.syncs, 0);
	gated_ops = file_ops_system;
	gated_ops.fdatasync = held_fdatasync;
	file_ops_set(&gated_ops);
}

/* Only those of the segment that is written: others are made for removals meanwhile. */
static void hold_sync_of(struct spool *spool, enum io_operation op,
			 unsigned int asked)
{
	sync_gate.file = journal_store(spool->store)->journal->active->file;
	sync_gate.fd = journal_file_hold(sync_gate.file);
	assert_true(sync_gate.fd >= 0);
	hold_sync(op, asked, 0);
}

static void let_sync_go(void)
{
	file_ops_set(NULL);
	journal_file_let_go(sync_gate.file);
	sync_gate.file = NULL;
}

#define MANY 64
/* Long enough for each test. */
#define FOREVER_USECS (UINT64_C(3600) * 1000000)

/* All of them are on their way before the first is on the disk: no worker waits. */
static void test_64_messages_are_three_groups(void **state ATTR_UNUSED)
{
	static struct test_answer answers[MANY + 1];
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	message_id ids[MANY], id;
	unsigned int i;

	/* the segment is there */
	assert_int_equal(test_async_put(spool, async, &id, &answers[MANY]),
			 IO_DONE);
	test_wait_answers(1);
	/* also where the workers are kept from it for longer */
	journal_store(spool->store)->journal->patience = FOREVER_USECS;
	hold_sync_of(spool, IO_OP_WRITEHEADERS, 1 + MANY);
	for (i = 0; i < MANY; i++)
		assert_int_equal(test_async_put(spool, async, &ids[i],
						&answers[i]),
				 IO_DONE);
	test_watch_wait_asked(IO_OP_WRITEHEADERS, 1 + MANY);
	test_wait_answers(1 + MANY);
	let_sync_go();
	assert_in_range(atomic_load(&sync_gate.syncs), 1, 3);
	for (i = 0; i < MANY; i++) {
		test_must_be(&answers[i], IO_DONE);
		test_spool_must_have(spool, &ids[i], wire, sizeof(wire) - 1);
	}
	hold_sync_of(spool, IO_OP_UNLINKHEADERS, MANY);
	memset(answers, 0, sizeof(answers));
	for (i = 0; i < MANY; i++)
		assert_int_equal(spool_submit_remove(async, &ids[i],
						     test_answered,
						     &answers[i]),
				 IO_DONE);
	test_wait_answers(1 + 2 * MANY);
	let_sync_go();
	assert_in_range(atomic_load(&sync_gate.syncs), 1, 3);
	for (i = 0; i < MANY; i++)
		test_must_be(&answers[i], IO_DONE);
	test_async_end(&async, &spool);
	spool = test_spool_open(0);
	assert_int_equal(test_spool_scan(spool), 1);
	spool_close(&spool);
}

/* What is under way in the store counts, and is done before the workers end. */
static void test_close_waits_for_the_disk(void **state ATTR_UNUSED)
{
	struct test_answer answers[8] = { 0 }, refused = { 0 };
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 2, 8);
	message_id ids[8], id;
	unsigned int i;

	hold_sync(IO_OP_READHEADERS, 1, 0);
	for (i = 0; i < 8; i++)
		assert_int_equal(test_async_put(spool, async, &ids[i],
						&answers[i]),
				 IO_DONE);
	test_watch_wait_asked(IO_OP_WRITEHEADERS, 8);
	assert_int_equal(test_async_put(spool, async, &id, &refused),
			 IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), EAGAIN);
	/* they have begun */
	assert_int_equal(spool_async_cancel(async, NULL), 0);
	assert_int_equal(test_answers(), 0);
	/* a call that waits for nobody lets the sync go */
	test_async_must_be_missing(spool, &id);
	spool_async_close(&async);
	file_ops_set(NULL);
	for (i = 0; i < 8; i++) {
		test_must_be(&answers[i], IO_DONE);
		test_spool_must_have(spool, &ids[i], wire, sizeof(wire) - 1);
	}
	assert_int_equal(refused.calls, 0);
	test_async_end(&async, &spool);
}

/* 12: a group that fails is an answer for each of its members, and each is taken back
   from the modules in front. */
static void test_a_group_fails(void **state ATTR_UNUSED)
{
	static struct test_answer answers[16];
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	message_id ids[16], id;
	unsigned int i;

	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	/* without the first of them it would be the second sync in a row */
	hold_sync(IO_OP_WRITEHEADERS, 1 + 16, EIO);
	for (i = 0; i < 16; i++)
		assert_int_equal(test_async_put(spool, async, &ids[i],
						&answers[i]),
				 IO_DONE);
	test_wait_answers(16);
	file_ops_set(NULL);
	for (i = 0; i < 16; i++) {
		test_must_be(&answers[i], IO_TRANS_FAIL);
		assert_int_equal(answers[i].error, EIO);
		assert_non_null(strstr(answers[i].why, "writing of message"));
		assert_int_equal(test_watch_asked(IO_OP_UNLINKHEADERS, &ids[i]),
				 1);
		assert_int_equal(test_watch_asked(IO_OP_UNLINKBODY, &ids[i]),
				 1);
		test_async_must_be_missing(spool, &ids[i]);
	}
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	test_async_end(&async, &spool);
}

/* The next request of a message sees what became of the one before, which the disk
   has. */
static void test_order_behind_a_held_sync(void **state ATTR_UNUSED)
{
	struct test_answer answers[5] = { 0 };
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	email_message *message;
	message_id id, other;
	unsigned int i;
	int ret;

	message = test_async_message(spool, &id);
	hold_sync(IO_OP_READHEADERS, 1, 0);
	ret = spool_submit_put(async, message, test_answered, &answers[0]);
	ret |= spool_submit_writeheaders(async, message, 0, test_answered,
					 &answers[1]);
	ret |= spool_submit_remove(async, &id, test_answered, &answers[2]);
	ret |= spool_submit_remove(async, &id, test_answered, &answers[3]);
	ret |= test_async_put(spool, async, &other, &answers[4]);
	assert_int_equal(ret, IO_DONE);
	test_watch_wait_asked(IO_OP_WRITEHEADERS, 2);
	assert_int_equal(test_watch_asked(IO_OP_WRITEHEADERS, &id), 1);
	assert_int_equal(test_watch_asked(IO_OP_UNLINKHEADERS, NULL), 0);
	test_async_must_be_missing(spool, &id);
	test_wait_answers(5);
	file_ops_set(NULL);
	for (i = 0; i < 5; i++)
		test_must_be(&answers[i], IO_DONE);
	assert_int_equal(email_message_get_version(message), 2);
	assert_int_equal(test_watch_asked(IO_OP_WRITEHEADERS, &id), 2);
	assert_int_equal(test_watch_asked(IO_OP_UNLINKHEADERS, &id), 2);
	test_async_must_be_missing(spool, &id);
	test_spool_must_have(spool, &other, wire, sizeof(wire) - 1);
	email_message_unref(&message);
	test_async_end(&async, &spool);
}

/*
 * What is being made
 */

/* One worker makes messages while the other is held: they are not written one by one. */
static void test_what_is_made_meanwhile_is_one_group(void **state ATTR_UNUSED)
{
	struct test_answer answers[4] = { 0 };
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	message_id ids[4];
	unsigned int i;

	/* the segment is there */
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &ids[0]),
			 IO_DONE);
	journal_store(spool->store)->journal->patience = FOREVER_USECS;
	test_watch_hold(IO_OP_WRITEBODY, NULL);
	hold_sync_of(spool, IO_OP_WRITEBODY, 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(test_async_put(spool, async, &ids[i],
						&answers[i]),
				 IO_DONE);
	test_watch_wait_inside(2);
	test_watch_hold(IO_OP_WRITEBODY, &ids[0]);
	test_wait_answers(3);
	/* the second waited for the third one, and did not for the first */
	assert_in_range(atomic_load(&sync_gate.syncs), 1, 2);
	test_watch_release();
	test_wait_answers(4);
	let_sync_go();
	for (i = 0; i < 4; i++)
		test_must_be(&answers[i], IO_DONE);
	test_async_end(&async, &spool);
}

/* What writes nothing is not waited for. */
static void test_reading_is_not_waited_for(void **state ATTR_UNUSED)
{
	struct test_answer answers[3] = { 0 };
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 3, 0);
	email_message *copies[2];
	message_id id;
	unsigned int i;

	journal_store(spool->store)->journal->patience = FOREVER_USECS;
	test_watch_hold(IO_OP_READBODY, NULL);
	for (i = 0; i < 2; i++) {
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&id),
				 IO_DONE);
		copies[i] = email_message_new(&id);
		assert_int_equal(spool_submit_get(async, copies[i],
						  test_answered, &answers[i]),
				 IO_DONE);
	}
	test_watch_wait_inside(2);
	assert_int_equal(test_async_put(spool, async, &id, &answers[2]),
			 IO_DONE);
	test_wait_answers(1);
	test_must_be(&answers[2], IO_DONE);
	test_watch_release();
	test_wait_answers(3);
	for (i = 0; i < 2; i++) {
		test_must_be(&answers[i], IO_DONE);
		email_message_unref(&copies[i]);
	}
	test_async_end(&async, &spool);
}

static void wait_until_expected(struct journal *journal, unsigned int count)
{
	while (atomic_load(&journal->expected) != count)
		(void)sched_yield();
}

/* Each that was expected came, or it is known that it does not: else the next one would be
   waited for. */
static void test_all_that_was_expected_is_forgotten(void **state ATTR_UNUSED)
{
	static struct test_answer answers[20];
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	struct journal *journal = journal_store(spool->store)->journal;
	email_message *message;
	message_id ids[4];
	unsigned int i, n = 0;

	test_watch_hold(IO_OP_WRITEBODY, NULL);
	for (i = 0; i < 4; i++)
		assert_int_equal(test_async_put(spool, async, &ids[i],
						&answers[n++]),
				 IO_DONE);
	test_watch_wait_inside(2);
	wait_until_expected(journal, 4);
	assert_int_equal(spool_async_cancel(async, NULL), 2);
	test_watch_release();
	test_wait_answers(n);
	wait_until_expected(journal, 0);
	/* two of one message, one of which fails as it is there; removals */
	assert_int_equal(spool_get(spool, &ids[0], &message), IO_DONE);
	for (i = 0; i < 2; i++)
		assert_int_equal(spool_submit_writeheaders(async, message, 1,
							   test_answered,
							   &answers[n++]),
				 IO_DONE);
	for (i = 0; i < 4; i++)
		assert_int_equal(spool_submit_remove(async, &ids[i],
						     test_answered,
						     &answers[n++]),
				 IO_DONE);
	test_wait_answers(n);
	wait_until_expected(journal, 0);
	email_message_unref(&message);
	test_async_end(&async, &spool);
}

/* Those behind one of their message cannot be made yet. */
static void test_the_first_of_a_message_is_expected(void **state ATTR_UNUSED)
{
	struct test_answer answers[5] = { 0 };
	struct spool *spool = test_watched_spool("journal");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	struct journal *journal = journal_store(spool->store)->journal;
	message_id ids[2];
	unsigned int i, n = 0;

	/* a removal is written, too */
	for (i = 0; i < 2; i++)
		assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1,
						&ids[i]),
				 IO_DONE);
	test_watch_hold(IO_OP_UNLINKHEADERS, NULL);
	for (i = 0; i < 2; i++)
		assert_int_equal(spool_submit_remove(async, &ids[i],
						     test_answered,
						     &answers[n++]),
				 IO_DONE);
	for (i = 0; i < 3; i++)
		assert_int_equal(spool_submit_remove(async, &ids[0],
						     test_answered,
						     &answers[n++]),
				 IO_DONE);
	test_watch_wait_inside(2);
	wait_until_expected(journal, 2);
	test_watch_release();
	test_wait_answers(n);
	for (i = 0; i < n; i++)
		test_must_be(&answers[i], IO_DONE);
	test_async_end(&async, &spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_64_messages_are_three_groups),
		cmocka_unit_test(test_close_waits_for_the_disk),
		cmocka_unit_test(test_a_group_fails),
		cmocka_unit_test(test_order_behind_a_held_sync),
		cmocka_unit_test(test_what_is_made_meanwhile_is_one_group),
		cmocka_unit_test(test_reading_is_not_waited_for),
		cmocka_unit_test(test_all_that_was_expected_is_forgotten),
		cmocka_unit_test(test_the_first_of_a_message_is_expected),
	};

	return cmocka_run_group_tests_name("spool-async-groups", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
