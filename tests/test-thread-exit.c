/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is called when a thread ends, and no more once the library is unloaded. */

#include "config.h"
#include "test-common.h"
#include "thread-exit.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_uint called;

static void count(void)
{
	(void)atomic_fetch_add(&called, 1);
}

struct thread {
	pthread_t thread;
	pthread_barrier_t asked, goes_on;
	bool accepted;
};

static void *ask_twice(void *context)
{
	struct thread *thread = context;

	thread->accepted = thread_exit_call(count) && thread_exit_call(count);
	(void)pthread_barrier_wait(&thread->asked);
	(void)pthread_barrier_wait(&thread->goes_on);
	return NULL;
}

/* One that has asked, and waits for end(). */
static void start(struct thread *thread)
{
	atomic_store(&called, 0);
	assert_int_equal(pthread_barrier_init(&thread->asked, NULL, 2), 0);
	assert_int_equal(pthread_barrier_init(&thread->goes_on, NULL, 2), 0);
	assert_int_equal(
		pthread_create(&thread->thread, NULL, ask_twice, thread), 0);
	(void)pthread_barrier_wait(&thread->asked);
}

static void end(struct thread *thread)
{
	(void)pthread_barrier_wait(&thread->goes_on);
	assert_int_equal(pthread_join(thread->thread, NULL), 0);
	(void)pthread_barrier_destroy(&thread->asked);
	(void)pthread_barrier_destroy(&thread->goes_on);
}

static void test_called_once_at_the_end(void **state ATTR_UNUSED)
{
	struct thread thread;

	start(&thread);
	assert_true(thread.accepted);
	assert_int_equal(atomic_load(&called), 0);
	end(&thread);
	assert_int_equal(atomic_load(&called), 1);
}

/* The last one: there is no way back. */
static void test_not_after_unloading(void **state ATTR_UNUSED)
{
	struct thread thread;

	start(&thread);
	assert_true(thread.accepted);
	thread_exit_forget();
	end(&thread);
	assert_int_equal(atomic_load(&called), 0);

	start(&thread);
	assert_false(thread.accepted);
	end(&thread);
	assert_int_equal(atomic_load(&called), 0);
	thread_exit_forget();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_called_once_at_the_end),
		cmocka_unit_test(test_not_after_unloading),
	};

	return cmocka_run_group_tests_name("thread-exit", tests, NULL, NULL);
}
