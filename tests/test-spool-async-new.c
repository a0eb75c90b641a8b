/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Asynchronous calls: what there must be for them, and who may make and end them. */

#include "config.h"
#include "spool-async-private.h"
#include "test-async-common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_bad_numbers(void **state ATTR_UNUSED)
{
	struct ioloop *ioloop = io_loop_create();
	struct spool_async *async;
	struct spool *spool = spool_new();
	char *error;

	assert_null(
		spool_async_new(spool, NULL, SPOOL_WORKERS_MAX + 1, 0, &error));
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(error, "65 workers"));
	free(error);
	assert_null(spool_async_new(spool, NULL, 1, SPOOL_REQUESTS_MAX + 1,
				    &error));
	assert_int_equal(errno, EINVAL);
	free(error);
	/* as many as there may be */
	async = spool_async_new(spool, NULL, SPOOL_WORKERS_MAX,
				SPOOL_REQUESTS_MAX, &error);
	assert_non_null(async);
	spool_async_close(&async);
	spool_close(&spool);
	io_loop_destroy(&ioloop);
}

/* 0: all is as it should be. */
static int use_in_child(struct spool *spool, struct spool_async *async)
{
	struct test_answer refused = { 0 };
	message_id id;
	char *error = NULL;

	/* nobody is there who would do it, or let the mutex go */
	(void)alarm(60);
	if (spool_async_cancel(async, NULL) != 0 ||
	    spool_async_count(async) != 0)
		return 5;
	if (test_async_put(spool, async, &id, &refused) != IO_TRANS_FAIL ||
	    io_get_errno() != EPERM)
		return 1;
	spool_async_close(&async);
	if (async != NULL || refused.calls != 0)
		return 2;
	async = spool_async_new(spool, NULL, 1, 0, &error);
	if (async != NULL || errno != EPERM || error == NULL)
		return 3;
	spool_close(&spool);
	return spool == NULL ? 0 : 4;
}

static void test_a_fork_has_no_workers(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	struct spool_async *async = test_async_begin(spool, 2, 0);
	struct test_answer answers[2] = { 0 };
	message_id ids[2];
	int status;
	pid_t pid;

	/* the journal's own thread is there from then on */
	assert_int_equal(test_async_put(spool, async, &ids[0], &answers[0]),
			 IO_DONE);
	test_wait_answers(1);
	/* as a worker may have it */
	(void)pthread_mutex_lock(&async->mutex);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(use_in_child(spool, async));
	(void)pthread_mutex_unlock(&async->mutex);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* the loop still knows of the parent's */
	assert_int_equal(test_async_put(spool, async, &ids[1], &answers[1]),
			 IO_DONE);
	test_wait_answers(2);
	test_must_be(&answers[1], IO_DONE);
	test_async_end(&async, &spool);
}

static void do_nothing(void *context ATTR_UNUSED)
{
}

/* How often it was called back. */
static unsigned int run_loop_in_child(struct spool_async *async,
				      const struct test_answer *answer)
{
	struct timeout *timeout;
	unsigned int i;

	(void)alarm(60);
	spool_async_close(&async);
	/* so that no turn waits */
	timeout = timeout_add(0, do_nothing, NULL);
	for (i = 0; i < 3; i++)
		io_loop_handler_run(io_loop_get_current());
	timeout_remove(&timeout);
	return answer->calls;
}

/* What is answered when a child is made its parent is told, and nobody else. */
static void test_a_fork_is_told_nothing(void **state ATTR_UNUSED)
{
	struct spool *spool = test_spool_new_of("journal", "");
	struct spool_async *async = test_async_begin(spool, 1, 0);
	struct test_answer answer = { 0 };
	message_id id;
	int status;
	pid_t pid;

	assert_int_equal(test_async_put(spool, async, &id, &answer), IO_DONE);
	(void)pthread_mutex_lock(&async->mutex);
	while (async->complete.first == NULL)
		(void)pthread_cond_wait(&async->answered, &async->mutex);
	(void)pthread_mutex_unlock(&async->mutex);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit((int)run_loop_in_child(async, &answer));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	test_wait_answers(1);
	test_must_be(&answer, IO_DONE);
	test_async_end(&async, &spool);
}

static void test_no_loop(void **state ATTR_UNUSED)
{
	struct spool *spool = spool_new();
	char *error;

	assert_null(io_loop_get_current());
	assert_null(spool_async_new(spool, NULL, 1, 0, &error));
	assert_int_equal(errno, EINVAL);
	assert_non_null(strstr(error, "no event loop"));
	free(error);
	spool_close(&spool);
}

static void test_no_callback(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 1, 0);
	message_id id;

	spool_new_id(spool, &id);
	EXPECT_PANIC("the callback is NULL",
		     (void)spool_submit_remove(async, &id, NULL, NULL));
	assert_int_equal(spool_async_count(async), 0);
	test_async_end(&async, &spool);
}

/* What is taken has not failed, whatever did before. */
static void test_nothing_is_wrong_with_it_yet(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 1, 0);
	struct test_answer answer = { 0 };
	message_id id;

	errno = EIO;
	io_set_error("of another one");
	assert_int_equal(test_async_put(spool, async, &id, &answer), IO_DONE);
	assert_int_equal(io_get_errno(), 0);
	assert_string_equal(io_get_error(), "");
	test_wait_answers(1);
	test_async_end(&async, &spool);
}

static void test_no_descriptors(void **state ATTR_UNUSED)
{
	struct ioloop *ioloop = io_loop_create();
	struct spool *spool = spool_new();
	struct rlimit old, none;
	char *error;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_null(spool_async_new(spool, NULL, 2, 0, &error));
	assert_int_equal(errno, EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_non_null(strstr(error, "eventfd"));
	free(error);
	spool_close(&spool);
	io_loop_destroy(&ioloop);
}

static void test_no_threads(void **state ATTR_UNUSED)
{
	struct ioloop *ioloop = io_loop_create();
	struct spool *spool = spool_new();
	unsigned int threads = test_count_threads();
	char *error;

	if (test_threads_fail()) {
		assert_null(spool_async_new(spool, NULL, 2, 0, &error));
		assert_int_equal(errno, EAGAIN);
		test_threads_again();
		assert_non_null(strstr(error, "starting worker 1 of 2 failed"));
		test_threads_are(threads);
		free(error);
	}
	spool_close(&spool);
	io_loop_destroy(&ioloop);
}

static void test_a_spool_with_workers_is_not_closed(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 1, 0);

	EXPECT_PANIC("spool_async_close() comes before", spool_close(&spool));
	test_async_end(&async, &spool);
}

/* Of a loop that is not the thread's current one. */
static void test_another_loop(void **state ATTR_UNUSED)
{
	struct spool *spool = test_watched_spool("memory");
	struct spool_async *async = test_async_begin(spool, 1, 0), *second;
	struct ioloop *first = current_ioloop, *inner = io_loop_create();
	struct test_answer answer = { 0 };
	message_id id;
	char *error;

	second = spool_async_new(spool, first, 0, 0, &error);
	assert_non_null(second);
	assert_int_equal(test_async_put(spool, second, &id, &answer), IO_DONE);
	io_loop_destroy(&inner); /* it watches nothing */
	test_wait_answers(1);
	test_must_be(&answer, IO_DONE);
	spool_async_close(&second);
	test_async_end(&async, &spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_numbers),
		cmocka_unit_test(test_a_fork_has_no_workers),
		cmocka_unit_test(test_a_fork_is_told_nothing),
		cmocka_unit_test(test_no_loop),
		cmocka_unit_test(test_no_callback),
		cmocka_unit_test(test_nothing_is_wrong_with_it_yet),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_no_threads),
		cmocka_unit_test(test_a_spool_with_workers_is_not_closed),
		cmocka_unit_test(test_another_loop),
	};

	return cmocka_run_group_tests_name("spool-async-new", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
