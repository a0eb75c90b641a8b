/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* One thing is done for each of many, by so many threads at most; and what the library's
   threads have. */

#include "config.h"
#include "macros.h"
#include "test-common.h"
#include "thread-each.h"
#include "thread-start.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#define MANY 1000u

struct calls {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int of[MANY];
	unsigned int wanted, inside, most;
	pthread_t main;
	unsigned int elsewhere; /* in other threads than this */
};

static void init(struct calls *calls, unsigned int wanted)
{
	memset(calls, 0, sizeof(*calls));
	(void)pthread_mutex_init(&calls->mutex, NULL);
	(void)pthread_cond_init(&calls->changed, NULL);
	calls->wanted = wanted;
	calls->main = pthread_self();
}

/* Waits until so many are inside, or the test has failed. */
static void call(void *context, unsigned int i)
{
	struct calls *calls = context;
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 60;
	(void)pthread_mutex_lock(&calls->mutex);
	calls->of[i]++;
	calls->elsewhere += pthread_equal(pthread_self(), calls->main) ? 0 : 1;
	calls->inside++;
	calls->most = I_MAX(calls->most, calls->inside);
	(void)pthread_cond_broadcast(&calls->changed);
	while (calls->most < calls->wanted &&
	       pthread_cond_timedwait(&calls->changed, &calls->mutex,
				      &deadline) != ETIMEDOUT)
		;
	calls->inside--;
	(void)pthread_mutex_unlock(&calls->mutex);
}

static void must_be_once_each(const struct calls *calls, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < MANY; i++)
		assert_int_equal(calls->of[i], i < count ? 1 : 0);
	assert_int_equal(calls->inside, 0);
}

static void test_each_is_called_once(void **state ATTR_UNUSED)
{
	static const unsigned int counts[] = { 0, 1, 2, 7, MANY };
	static const unsigned int threads[] = { 1, 2, 4, 16, 17, 1000 };
	struct calls calls;
	size_t c, t;

	for (c = 0; c < N_ELEMENTS(counts); c++) {
		for (t = 0; t < N_ELEMENTS(threads); t++) {
			init(&calls, 0);
			thread_each(counts[c], threads[t], call, &calls);
			must_be_once_each(&calls, counts[c]);
			assert_true(calls.most <= threads[t]);
			if (threads[t] == 1)
				assert_int_equal(calls.elsewhere, 0);
		}
	}
}

static void test_several_at_once(void **state ATTR_UNUSED)
{
	static const unsigned int threads[] = { 1, 2, 4, 16 };
	struct calls calls;
	size_t t;

	for (t = 0; t < N_ELEMENTS(threads); t++) {
		init(&calls, threads[t]);
		thread_each(MANY, threads[t], call, &calls);
		must_be_once_each(&calls, MANY);
		assert_int_equal(calls.most, threads[t]);
	}
}

static void test_alone_where_there_is_no_thread(void **state ATTR_UNUSED)
{
	struct calls calls;

	init(&calls, 0);
	if (!test_threads_fail())
		return;
	thread_each(MANY, 4, call, &calls);
	test_threads_again();
	must_be_once_each(&calls, MANY);
	assert_int_equal(calls.elsewhere, 0);
}

/* What the C library says of the thread that it is in. */
static void *get_stack_size(void *context)
{
	size_t *size = context;
	pthread_attr_t attr;

	if (pthread_getattr_np(pthread_self(), &attr) == 0) {
		(void)pthread_attr_getstacksize(&attr, size);
		(void)pthread_attr_destroy(&attr);
	}
	return NULL;
}

/* A small one is not for modules and codecs; a large one is what somebody wants. */
static void test_stacks(void **state ATTR_UNUSED)
{
	static const struct {
		size_t usual, is;
	} rows[] = {
		{ 128 * 1024, THREAD_STACK_MIN },
		{ THREAD_STACK_MIN * 4, THREAD_STACK_MIN * 4 },
	};
	pthread_attr_t usual, attr;
	pthread_t thread;
	size_t i, size;

	assert_int_equal(pthread_getattr_default_np(&usual), 0);
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		assert_int_equal(pthread_attr_init(&attr), 0);
		assert_int_equal(
			pthread_attr_setstacksize(&attr, rows[i].usual), 0);
		assert_int_equal(pthread_setattr_default_np(&attr), 0);
		(void)pthread_attr_destroy(&attr);
		size = 0;
		assert_int_equal(thread_start(&thread, get_stack_size, &size),
				 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		/* some C libraries round, or take a guard's page from it */
		assert_in_range(size, rows[i].is - 64 * 1024,
				rows[i].is + 64 * 1024);
	}
	assert_int_equal(pthread_setattr_default_np(&usual), 0);
	(void)pthread_attr_destroy(&usual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* the first: C libraries give larger stacks of threads that went */
		cmocka_unit_test(test_stacks),
		cmocka_unit_test(test_each_is_called_once),
		cmocka_unit_test(test_several_at_once),
		cmocka_unit_test(test_alone_where_there_is_no_thread),
	};

	return cmocka_run_group_tests_name("thread-each", tests, NULL, NULL);
}
