/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What tells a child that fork() made, where several of its threads ask first, in one order
   after the other: all are told the same, and no child of it will be. */

#include "config.h"
#include "process-mark.h"
#include "schedule.h"
#include "test-common.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASKERS 3

static void *ask(void *context)
{
	*(uint64_t *)context = process_mark();
	return NULL;
}

static void must_be_well(pid_t pid)
{
	int status;

	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* In a child, in which nobody has asked yet. */
static void ask_first(uint64_t parents)
{
	uint64_t marks[ASKERS];
	pthread_t threads[ASKERS];
	unsigned int i;
	int status;
	pid_t pid;

	for (i = 0; i < ASKERS; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, ask, &marks[i]), 0);
	for (i = 0; i < ASKERS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (i = 0; i < ASKERS; i++) {
		if (marks[i] != marks[0] || marks[i] == parents)
			schedule_fail("of mark %llu: thread %u has %llu, and "
				      "another one %llu",
				      (unsigned long long)parents, i,
				      (unsigned long long)marks[i],
				      (unsigned long long)marks[0]);
	}
	pid = fork();
	if (pid == 0)
		_exit(process_mark() == marks[0] ? 1 : 0);
	if (waitpid(pid, &status, 0) != pid || status != 0)
		schedule_fail("a child has its parent's mark");
}

static void run_child(uint32_t number, void *context)
{
	const uint64_t *parents = context;
	pid_t pid = fork();

	if (pid == 0) {
		schedule_begin(number);
		ask_first(*parents);
		schedule_end();
		_exit(0);
	}
	must_be_well(pid);
}

static void test_who_asks_first(void **state ATTR_UNUSED)
{
	uint64_t mark = process_mark();

	schedule_each(1000, run_child, &mark);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_asks_first),
	};

	return cmocka_run_group_tests_name("schedule-marks", tests, NULL, NULL);
}
