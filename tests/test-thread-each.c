/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* One thing is done for each of many, by so many threads at most. */

#include "config.h"
#include "macros.h"
#include "test-common.h"
#include "thread-each.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_is_called_once),
		cmocka_unit_test(test_several_at_once),
		cmocka_unit_test(test_alone_where_there_is_no_thread),
	};

	return cmocka_run_group_tests_name("thread-each", tests, NULL, NULL);
}
