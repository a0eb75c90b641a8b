/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The orders themselves: that what is wrong in some of them is found, and that a number is
   one order. */

#include "config.h"
#include "schedule.h"
#include "test-common.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER,
		       other_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static unsigned int counter, wrong_sums, seen;
static bool is_there;
static char trace[400], names[] = { 'a', 'b' };

static void run_two(void *(*first)(void *), void *(*second)(void *))
{
	pthread_t threads[2];

	assert_int_equal(pthread_create(&threads[0], NULL, first, &names[0]),
			 0);
	assert_int_equal(pthread_create(&threads[1], NULL, second, &names[1]),
			 0);
	assert_int_equal(pthread_join(threads[0], NULL), 0);
	assert_int_equal(pthread_join(threads[1], NULL), 0);
}

/* Reads and writes in two steps: one of them can be lost. */
static void *count_badly(void *context ATTR_UNUSED)
{
	unsigned int value;

	(void)pthread_mutex_lock(&mutex);
	value = counter;
	(void)pthread_mutex_unlock(&mutex);
	(void)pthread_mutex_lock(&mutex);
	counter = value + 1;
	(void)pthread_mutex_unlock(&mutex);
	return NULL;
}

static void count_twice(uint32_t number, void *context ATTR_UNUSED)
{
	counter = 0;
	schedule_begin(number);
	run_two(count_badly, count_badly);
	schedule_end();
	wrong_sums += counter != 2;
}

static void test_lost_update(void **state ATTR_UNUSED)
{
	schedule_each(200, count_twice, NULL);
	assert_true(wrong_sums > 0 || schedule_is_one());
}

static void *leave_a_trace(void *name)
{
	unsigned int i;

	for (i = 0; i < 100; i++) {
		trace[seen++] = *(const char *)name;
		schedule_point();
	}
	return NULL;
}

static void run_trace(uint32_t n)
{
	memset(trace, 0, sizeof(trace));
	seen = 0;
	schedule_begin(n);
	run_two(leave_a_trace, leave_a_trace);
	schedule_end();
}

static void test_same_number(void **state ATTR_UNUSED)
{
	char first[sizeof(trace)];
	uint32_t n;

	for (n = 0; n < 16; n++) {
		run_trace(n);
		memcpy(first, trace, sizeof(trace));
		run_trace(n);
		assert_string_equal(first, trace);
		/* another order of that kind, but where few are another */
		run_trace(n + 16);
		assert_true(n % 4 > 1 || strcmp(first, trace) != 0);
	}
}

/*
 * What does not end
 */

static void *lock_both(void *context)
{
	bool is_first = *(const char *)context == 'a';

	(void)pthread_mutex_lock(is_first ? &mutex : &other_mutex);
	(void)pthread_mutex_lock(is_first ? &other_mutex : &mutex);
	(void)pthread_mutex_unlock(&mutex);
	(void)pthread_mutex_unlock(&other_mutex);
	return NULL;
}

static void deadlock(void)
{
	run_two(lock_both, lock_both);
}

static void *wait_unlooked(void *context ATTR_UNUSED)
{
	bool there;

	(void)pthread_mutex_lock(&mutex);
	there = is_there;
	(void)pthread_mutex_unlock(&mutex);
	(void)pthread_mutex_lock(&mutex);
	if (!there)
		(void)pthread_cond_wait(&cond, &mutex);
	(void)pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *signal_once(void *context ATTR_UNUSED)
{
	(void)pthread_mutex_lock(&mutex);
	is_there = true;
	(void)pthread_cond_signal(&cond);
	(void)pthread_mutex_unlock(&mutex);
	return NULL;
}

static void lost_signal(void)
{
	is_there = false;
	run_two(wait_unlooked, signal_once);
}

/* In how many of the orders it ended with this text; a process each. */
static unsigned int count_failures(void (*work)(void), const char *text)
{
	const char *path = test_path("said");
	unsigned int n, count = 0;
	buffer_t *said;
	int status;
	pid_t pid;

	for (n = 0; n < 64; n++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			assert_non_null(freopen(path, "w", stderr));
			schedule_begin(n);
			work();
			schedule_end();
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (!WIFSIGNALED(status))
			continue;
		said = test_read_file(path);
		buffer_append_c(said, '\0');
		if (strstr((const char *)said->data, text) == NULL)
			fail_msg("order %u, signal %d: %s", n, WTERMSIG(status),
				 (const char *)said->data);
		buffer_free(&said);
		count++;
	}
	return count;
}

static void test_deadlock(void **state ATTR_UNUSED)
{
	unsigned int count = count_failures(deadlock, "all wait for one");

	assert_in_range(count, 1, 63);
	count = count_failures(lost_signal, "waits for a condition");
	assert_in_range(count, 1, 63);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lost_update),
		cmocka_unit_test(test_same_number),
		cmocka_unit_test(test_deadlock),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
