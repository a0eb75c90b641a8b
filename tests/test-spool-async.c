/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Asynchronous calls: what is accepted, in which order it is run, and that each is
   answered once. Stores and commits are test-spool-async-store.c's. */

#include "config.h"
#include "macros.h"
#include "spool-async-private.h"
#include "test-async-common.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

static const char wire[] = TEST_SPOOL_WIRE;

/*
 * The bound
 */

static void test_a_full_queue_refuses(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 1, 3);
	struct test_answer answers[4] = { 0 }, refused = { 0 };
	message_id ids[4], id;
	unsigned int i;

	test_watch_hold(IO_OP_WRITEBODY, NULL);
	for (i = 0; i < 3; i++)
		assert_int_equal(test_async_put(spool, async, &ids[i],
						&answers[i]),
				 IO_DONE);
	assert_int_equal(spool_async_count(async), 3);
	assert_int_equal(test_async_put(spool, async, &id, &refused),
			 IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), EAGAIN);
	assert_non_null(strstr(io_get_error(), "as many requests"));
	assert_int_equal(spool_submit_remove(async, &ids[0], test_answered,
					     &refused),
			 IO_TRANS_FAIL);
	assert_int_equal(spool_async_count(async), 3);
	test_watch_release();
	test_wait_answers(3);
	/* there is room again */
	assert_int_equal(spool_async_count(async), 0);
	assert_int_equal(test_async_put(spool, async, &ids[3], &answers[3]),
			 IO_DONE);
	assert_string_equal(io_get_error(), "");
	test_wait_answers(4);
	for (i = 0; i < 4; i++) {
		test_must_be(&answers[i], IO_DONE);
		test_spool_must_have(spool, &ids[i], wire, sizeof(wire) - 1);
	}
	assert_int_equal(refused.calls, 0);
	test_async_end(&async, &spool);
	assert_int_equal(refused.calls, 0);
}

/* An answer that the loop has not told yet holds its place, too. */
static void test_answers_that_wait_count(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 2, 2);
	struct test_answer answers[3] = { 0 };
	message_id id;

	assert_int_equal(test_async_put(spool, async, &id, &answers[0]),
			 IO_DONE);
	assert_int_equal(test_async_put(spool, async, &id, &answers[1]),
			 IO_DONE);
	/* both are done; the second time it is the event of after() */
	(void)pthread_mutex_lock(&test_watch.mutex);
	while (test_watch.count < 8)
		(void)pthread_cond_wait(&test_watch.changed, &test_watch.mutex);
	(void)pthread_mutex_unlock(&test_watch.mutex);
	assert_int_equal(test_async_put(spool, async, &id, &answers[2]),
			 IO_TRANS_FAIL);
	assert_int_equal(answers[0].calls + answers[1].calls, 0);
	test_wait_answers(2);
	test_async_end(&async, &spool);
}

/* The loop sleeps when all is told, and not before. */
static void test_nothing_to_tell_wakes_nobody(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 1, 0);
	struct pollfd poll_fd = { .events = POLLIN };
	struct test_answer answer = { 0 };
	message_id id;

	poll_fd.fd = wake_fd_get(&async->wake);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	assert_int_equal(test_async_put(spool, async, &id, &answer), IO_DONE);
	/* it stays so until the loop runs */
	assert_int_equal(poll(&poll_fd, 1, -1), 1);
	assert_int_equal(answer.calls, 0);
	test_wait_answers(1);
	test_must_be(&answer, IO_DONE);
	assert_int_equal(poll(&poll_fd, 1, 0), 0);
	test_async_end(&async, &spool);
}

/*
 * Order
 */

static void test_one_message_keeps_its_order(void **state ATTR_UNUSED)
{
	static const enum io_operation order[] = {
		IO_OP_WRITEBODY,     IO_OP_WRITEHEADERS, IO_OP_WRITEHEADERS,
		IO_OP_WRITEHEADERS,  IO_OP_READHEADERS,  IO_OP_READBODY,
		IO_OP_UNLINKHEADERS, IO_OP_UNLINKBODY,   IO_OP_READHEADERS
	};
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 4, 0);
	struct test_answer answers[6] = { 0 }, other = { 0 };
	email_message *message, *copy;
	message_id id, other_id;
	size_t i, n = 0;

	message = test_async_message(spool, &id);
	copy = email_message_new(&id);
	test_watch_hold(IO_OP_WRITEBODY, &id);
	assert_int_equal(spool_submit_put(async, message, test_answered,
					  &answers[0]),
			 IO_DONE);
	assert_int_equal(spool_submit_writeheaders(async, message, 1,
						   test_answered, &answers[1]),
			 IO_DONE);
	assert_int_equal(spool_submit_writeheaders(async, message, 0,
						   test_answered, &answers[2]),
			 IO_DONE);
	assert_int_equal(spool_submit_get(async, copy, test_answered,
					  &answers[3]),
			 IO_DONE);
	assert_int_equal(spool_submit_remove(async, &id, test_answered,
					     &answers[4]),
			 IO_DONE);
	assert_int_equal(spool_submit_readheaders(async, copy, test_answered,
						  &answers[5]),
			 IO_DONE);
	test_watch_wait_inside(1);
	/* others overtake them */
	assert_int_equal(test_async_put(spool, async, &other_id, &other),
			 IO_DONE);
	test_wait_answers(1);
	test_must_be(&other, IO_DONE);
	assert_int_equal(test_watch_asked(IO_OP_WRITEBODY, &id), 1);
	assert_int_equal(test_watch_asked(IO_OP_WRITEHEADERS, &id), 0);
	test_watch_release();
	test_wait_answers(7);
	for (i = 0; i < 5; i++)
		test_must_be(&answers[i], IO_DONE);
	test_must_be(&answers[5], IO_FAIL);
	for (i = 0; i < test_watch.count; i++) {
		if (test_watch.events[i].after ||
		    message_id_cmp(&test_watch.events[i].id, &id) != 0)
			continue;
		assert_true(n < N_ELEMENTS(order));
		assert_int_equal(test_watch.events[i].op, order[n++]);
	}
	assert_int_equal(n, N_ELEMENTS(order));
	assert_int_equal(email_message_get_version(message), 3);
	email_message_unref(&message);
	email_message_unref(&copy);
	test_async_end(&async, &spool);
}

/* Two ids that are kept in one list: where a request of the one is answered, and another
   takes its place, the other id keeps its order, too. */
static void test_ids_with_the_same_end(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	struct test_answer answers[5] = { 0 };
	email_message *first, *second, *copy;
	message_id id, other_id, third_id;
	size_t i;

	first = test_async_message(spool, &id);
	other_id = id;
	other_id.bytes[8] ^= 1;
	second = email_message_new(&other_id);
	test_spool_set_body(second, "x\r\n.\r\n", 6);
	copy = email_message_new(&other_id);
	test_watch_hold(IO_OP_WRITEBODY, NULL);
	assert_int_equal(spool_submit_put(async, first, test_answered,
					  &answers[0]),
			 IO_DONE);
	assert_int_equal(spool_submit_writeheaders(async, first, 0,
						   test_answered, &answers[1]),
			 IO_DONE);
	assert_int_equal(spool_submit_put(async, second, test_answered,
					  &answers[2]),
			 IO_DONE);
	test_watch_wait_inside(2);
	/* only the other one is still held */
	test_watch_hold(IO_OP_WRITEBODY, &other_id);
	(void)pthread_cond_broadcast(&test_watch.changed);
	test_wait_answers(2);
	assert_int_equal(spool_submit_readheaders(async, copy, test_answered,
						  &answers[3]),
			 IO_DONE);
	/* a worker is free for what is behind */
	assert_int_equal(test_async_put(spool, async, &third_id, &answers[4]),
			 IO_DONE);
	test_wait_answers(3);
	assert_int_equal(test_watch_asked(IO_OP_READHEADERS, &other_id), 0);
	test_watch_release();
	test_wait_answers(5);
	for (i = 0; i < N_ELEMENTS(answers); i++)
		test_must_be(&answers[i], IO_DONE);
	email_message_unref(&first);
	email_message_unref(&second);
	email_message_unref(&copy);
	test_async_end(&async, &spool);
}

/* As many at once as there are workers. */
static void test_messages_run_beside_each_other(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 4, 0);
	struct test_answer answers[8] = { 0 };
	message_id id;
	unsigned int i;

	test_watch_hold(IO_OP_WRITEBODY, NULL);
	for (i = 0; i < N_ELEMENTS(answers); i++)
		assert_int_equal(test_async_put(spool, async, &id, &answers[i]),
				 IO_DONE);
	test_watch_wait_inside(4);
	assert_int_equal(test_watch_asked(IO_OP_WRITEBODY, NULL), 4);
	test_watch_release();
	test_wait_answers(N_ELEMENTS(answers));
	for (i = 0; i < N_ELEMENTS(answers); i++)
		test_must_be(&answers[i], IO_DONE);
	test_async_end(&async, &spool);
}

/*
 * Ends
 */

struct ending {
	struct spool *spool;
	struct spool_async *async;
	bool close; /* in the callback */
	struct test_answer answers[10], late;
	unsigned int calls;
};

/* A worker is held by another message until this one is answered. */
static void let_go(int answer, void *context)
{
	struct ending *ending = context;

	assert_int_equal(answer, IO_DONE);
	ending->calls++;
	test_watch_release();
	if (ending->close) {
		spool_async_close(&ending->async);
		io_loop_stop(current_ioloop);
	}
}

/* One that is held, eight behind it, one that lets it go, and one more. */
static void submit_all(struct ending *ending, message_id ids[3])
{
	email_message *message = test_async_message(ending->spool, &ids[0]);
	unsigned int i;

	test_watch_hold(IO_OP_WRITEBODY, &ids[0]);
	assert_int_equal(spool_submit_put(ending->async, message, test_answered,
					  &ending->answers[0]),
			 IO_DONE);
	for (i = 1; i < 9; i++)
		assert_int_equal(spool_submit_writeheaders(
					 ending->async, message, 0,
					 test_answered, &ending->answers[i]),
				 IO_DONE);
	email_message_unref(&message);
	message = test_async_message(ending->spool, &ids[1]);
	assert_int_equal(spool_submit_put(ending->async, message, let_go,
					  ending),
			 IO_DONE);
	email_message_unref(&message);
	assert_int_equal(test_async_put(ending->spool, ending->async, &ids[2],
					&ending->answers[9]),
			 IO_DONE);
}

static void must_have_all(const struct ending *ending, const message_id ids[3])
{
	unsigned int i;

	assert_int_equal(ending->calls, 1);
	for (i = 0; i < N_ELEMENTS(ending->answers); i++)
		test_must_be(&ending->answers[i], IO_DONE);
	for (i = 0; i < 3; i++)
		test_spool_must_have(ending->spool, &ids[i], wire,
				     sizeof(wire) - 1);
}

/* Without a turn of the loop. */
static void test_close_drains(void **state ATTR_UNUSED)
{
	struct ending ending = { .spool = test_watched_spool("memory") };
	message_id ids[3];

	ending.async = test_async_begin(ending.spool, 2, 0);
	submit_all(&ending, ids);
	spool_async_close(&ending.async);
	must_have_all(&ending, ids);
	test_async_end(&ending.async, &ending.spool);
	assert_int_equal(ending.calls, 1);
}

static void test_a_callback_closes(void **state ATTR_UNUSED)
{
	struct ending ending = { .spool = test_watched_spool("memory"),
				 .close = true };
	message_id ids[3];

	ending.async = test_async_begin(ending.spool, 2, 0);
	submit_all(&ending, ids);
	io_loop_run(current_ioloop);
	assert_null(ending.async);
	must_have_all(&ending, ids);
	test_async_end(&ending.async, &ending.spool);
}

static void submit_late(int answer, void *context)
{
	struct ending *ending = context;
	message_id id;

	assert_int_equal(answer, IO_DONE);
	ending->calls++;
	assert_int_equal(test_async_put(ending->spool, ending->async, &id,
					&ending->late),
			 IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), ECANCELED);
}

static void test_nothing_is_accepted_at_the_end(void **state ATTR_UNUSED)
{
	struct ending ending = { .spool = test_watched_spool("memory") };
	struct spool_async *async;
	message_id id;

	async = ending.async = test_async_begin(ending.spool, 1, 0);
	spool_new_id(ending.spool, &id);
	assert_int_equal(spool_submit_remove(async, &id, submit_late, &ending),
			 IO_DONE);
	test_async_end(&async, &ending.spool);
	assert_int_equal(ending.calls, 1);
	assert_int_equal(ending.late.calls, 0);
}

/* A callback has nothing but the pointer that who closes gave, and may close, too. */
static void submit_and_close(int answer, void *context)
{
	struct ending *ending = context;
	message_id id;

	assert_int_equal(answer, IO_DONE);
	assert_non_null(ending->async);
	assert_int_equal(spool_async_count(ending->async), 1);
	assert_int_equal(spool_async_cancel(ending->async, &id), 0);
	assert_int_equal(test_async_put(ending->spool, ending->async, &id,
					&ending->late),
			 IO_TRANS_FAIL);
	assert_int_equal(io_get_errno(), ECANCELED);
	spool_async_close(&ending->async);
	assert_null(ending->async);
	ending->calls++;
}

static void
test_the_pointer_holds_until_the_last_answer(void **state ATTR_UNUSED)
{
	struct ending ending = { .spool = test_watched_spool("memory") };
	message_id id;

	ending.async = test_async_begin(ending.spool, 1, 0);
	spool_new_id(ending.spool, &id);
	assert_int_equal(spool_submit_remove(ending.async, &id,
					     submit_and_close, &ending),
			 IO_DONE);
	assert_int_equal(spool_submit_remove(ending.async, &id, test_answered,
					     &ending.answers[0]),
			 IO_DONE);
	test_async_end(&ending.async, &ending.spool);
	assert_null(ending.async);
	assert_int_equal(ending.calls, 1);
	test_must_be(&ending.answers[0], IO_DONE);
	assert_int_equal(ending.late.calls, 0);
}

/* What has not begun is not done; each is answered in its turn. */
static void test_cancel(void **state ATTR_UNUSED)
{
	struct ending ending = { .spool = test_watched_spool("memory") };
	struct test_answer *answers = ending.answers;
	email_message *message;
	message_id ids[3];
	unsigned int i;

	ending.async = test_async_begin(ending.spool, 1, 0);
	submit_all(&ending, ids);
	test_watch_wait_inside(1);
	assert_int_equal(spool_async_cancel(ending.async, &answers[5]), 1);
	assert_int_equal(spool_async_cancel(ending.async, &answers[5]), 0);
	assert_int_equal(spool_async_cancel(ending.async, &answers[9]), 1);
	/* it has begun */
	assert_int_equal(spool_async_cancel(ending.async, &answers[0]), 0);
	assert_int_equal(spool_async_cancel(ending.async, &ending.late), 0);
	assert_int_equal(test_answers(), 0);
	test_watch_release();
	spool_async_close(&ending.async);
	for (i = 0; i < 10; i++) {
		if (i != 5 && i != 9) {
			test_must_be(&answers[i], IO_DONE);
			continue;
		}
		test_must_be(&answers[i], IO_TRANS_FAIL);
		assert_int_equal(answers[i].error, ECANCELED);
		assert_string_equal(answers[i].why,
				    "the request was cancelled");
	}
	assert_int_equal(ending.calls, 1);
	assert_int_equal(test_watch_asked(IO_OP_WRITEHEADERS, &ids[0]), 8);
	assert_int_equal(test_watch_asked(IO_OP_WRITEBODY, &ids[2]), 0);
	assert_int_equal(spool_get(ending.spool, &ids[2], &message), IO_FAIL);
	test_async_end(&ending.async, &ending.spool);
}

static void test_cancel_all(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	struct test_answer answers[20] = { 0 };
	message_id id;
	unsigned int i;

	test_watch_hold(IO_OP_WRITEBODY, NULL);
	for (i = 0; i < 20; i++)
		assert_int_equal(test_async_put(spool, async, &id, &answers[i]),
				 IO_DONE);
	test_watch_wait_inside(2);
	assert_int_equal(spool_async_cancel(async, NULL), 18);
	test_watch_release();
	test_wait_answers(20);
	for (i = 0; i < 20; i++)
		test_must_be(&answers[i], i < 2 ? IO_DONE : IO_TRANS_FAIL);
	assert_int_equal(test_watch_asked(IO_OP_WRITEBODY, NULL), 2);
	test_async_end(&async, &spool);
}

/* A program that always has one more. */
struct endless {
	struct spool *spool;
	struct spool_async *async;
	unsigned int left;
};

static void put_next(int answer, void *context)
{
	struct endless *endless = context;
	email_message *message;
	message_id id;

	assert_int_equal(answer, IO_DONE);
	if (endless->left-- == 0) {
		io_loop_stop(current_ioloop);
		return;
	}
	message = test_async_message(endless->spool, &id);
	/* its place is free already */
	assert_int_equal(spool_submit_put(endless->async, message, put_next,
					  endless),
			 IO_DONE);
	email_message_unref(&message);
}

static void test_a_callback_submits(void **state ATTR_UNUSED)
{
	struct endless endless = { .spool = test_watched_spool("memory"),
				   .left = 50 };

	endless.async = test_async_begin(endless.spool, 2, 1);
	put_next(IO_DONE, &endless);
	io_loop_run(current_ioloop);
	assert_int_equal(spool_async_count(endless.async), 0);
	assert_int_equal(test_watch_asked(IO_OP_WRITEHEADERS, NULL), 50);
	test_async_end(&endless.async, &endless.spool);
}

/* Each is answered when the one before is told. */
struct turns {
	struct spool *spool;
	struct spool_async *async;
	unsigned int left, of_others;
};

static void put_and_wait(int answer, void *context)
{
	struct turns *turns = context;
	email_message *message;
	message_id id;

	assert_int_equal(answer, IO_DONE);
	if (turns->left-- == 0) {
		io_loop_stop(current_ioloop);
		return;
	}
	message = test_async_message(turns->spool, &id);
	assert_int_equal(spool_submit_put(turns->async, message, put_and_wait,
					  turns),
			 IO_DONE);
	email_message_unref(&message);
	(void)pthread_mutex_lock(&turns->async->mutex);
	while (turns->async->complete.first == NULL)
		(void)pthread_cond_wait(&turns->async->answered,
					&turns->async->mutex);
	(void)pthread_mutex_unlock(&turns->async->mutex);
}

static void note_turn(void *context)
{
	struct turns *turns = context;

	turns->of_others++;
}

/* Answers that never end are not all that a loop has to do. */
static void test_the_loop_has_other_things_to_do(void **state ATTR_UNUSED)
{
	struct turns turns = { .spool = test_watched_spool("memory"),
			       .left = 20 };
	int fds[2];
	struct io *io;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	turns.async = test_async_begin(turns.spool, 1, 1);
	/* it is always readable */
	io = io_add(fds[0], IO_READ, note_turn, &turns);
	put_and_wait(IO_DONE, &turns);
	io_loop_run(current_ioloop);
	assert_true(turns.of_others >= 10);
	io_remove(&io);
	test_async_end(&turns.async, &turns.spool);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_full_queue_refuses),
		cmocka_unit_test(test_answers_that_wait_count),
		cmocka_unit_test(test_nothing_to_tell_wakes_nobody),
		cmocka_unit_test(test_one_message_keeps_its_order),
		cmocka_unit_test(test_ids_with_the_same_end),
		cmocka_unit_test(test_messages_run_beside_each_other),
		cmocka_unit_test(test_close_drains),
		cmocka_unit_test(test_a_callback_closes),
		cmocka_unit_test(test_nothing_is_accepted_at_the_end),
		cmocka_unit_test(test_the_pointer_holds_until_the_last_answer),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_all),
		cmocka_unit_test(test_a_callback_submits),
		cmocka_unit_test(test_the_loop_has_other_things_to_do),
	};

	return cmocka_run_group_tests_name(
		"spool-async", tests, test_spool_setup, test_spool_teardown);
}
