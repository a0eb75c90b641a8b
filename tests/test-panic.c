/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-common.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct outcome {
	int status;       /* of waitpid() */
	char output[512]; /* what it wrote to stderr */
};

/* Runs func in a child process, since that is to die. */
static struct outcome run_child(void (*func)(void))
{
	const struct rlimit no_core = { 0, 0 };
	struct outcome result;
	size_t used = 0;
	ssize_t n;
	int fds[2];
	pid_t pid;

	memset(&result, 0, sizeof(result));
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* cmocka would catch the signal and jump into the parent's
		   test */
		(void)signal(SIGABRT, SIG_DFL);
		(void)signal(SIGSEGV, SIG_DFL);
		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)dup2(fds[1], STDERR_FILENO);
		func();
		_exit(0);
	}
	(void)close(fds[1]);
	while ((n = read(fds[0], result.output + used,
			 sizeof(result.output) - 1 - used)) != 0) {
		if (n > 0)
			used += (size_t)n;
		else
			assert_int_equal(errno, EINTR);
	}
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &result.status, 0), pid);
	return result;
}

static void assert_aborted(const struct outcome *result)
{
	if (!WIFSIGNALED(result->status) || WTERMSIG(result->status) != SIGABRT)
		fail_msg("wait status %#x, output: %s",
			 (unsigned int)result->status, result->output);
}

static void panic_plainly(void)
{
	bobbin_set_panic_handler(NULL, NULL);
	i_panic("%s of %d things", "misuse", 3);
}

static void test_panic_default_prints_and_aborts(void **state ATTR_UNUSED)
{
	struct outcome result = run_child(panic_plainly);

	assert_aborted(&result);
	assert_string_equal(result.output, "Panic: misuse of 3 things\n");
}

static void handler_that_returns(const char *text, void *context)
{
	(void)dprintf(STDERR_FILENO, "%s: %s\n", (const char *)context, text);
}

static void panic_to_returning_handler(void)
{
	char context[] = "mine";

	bobbin_set_panic_handler(handler_that_returns, context);
	i_panic("text");
}

static void test_panic_handler_that_returns(void **state ATTR_UNUSED)
{
	struct outcome result = run_child(panic_to_returning_handler);

	assert_aborted(&result);
	assert_string_equal(result.output, "mine: text\n");
}

static void handler_that_panics(const char *text ATTR_UNUSED,
				void *context ATTR_UNUSED)
{
	i_panic("the handler's own");
}

static void panic_to_panicking_handler(void)
{
	bobbin_set_panic_handler(handler_that_panics, NULL);
	i_panic("first");
}

static void test_panic_recursion_ends(void **state ATTR_UNUSED)
{
	struct outcome result = run_child(panic_to_panicking_handler);

	assert_aborted(&result);
	assert_string_equal(result.output, "Panic: the handler's own\n");
}

/* A handler may leave by longjmp() any number of times, also from places that
   are deeper on the stack each time. */
static void panic_at_depth(unsigned int depth)
{
	static volatile bool really = true;
	volatile char pad[256];

	pad[0] = (char)depth;
	if (depth > 0)
		panic_at_depth(depth - 1);
	else if (really)
		i_panic("deep");
	/* no tail call */
	pad[1] = pad[0];
}

static void test_panic_caught_often(void **state ATTR_UNUSED)
{
	volatile unsigned int i;

	for (i = 0; i < 1000; i++)
		EXPECT_PANIC("deep", panic_at_depth(i % 10));
}

static void test_panic_assert_names_the_place(void **state ATTR_UNUSED)
{
	i_assert(1 + 1 == 2);
	EXPECT_PANIC("test-panic.c", i_assert(1 + 1 == 3));
	EXPECT_PANIC("(1 + 1 == 3)", i_assert(1 + 1 == 3));
	EXPECT_PANIC(__func__, i_assert(1 + 1 == 3));
}

static void test_panic_long_text(void **state ATTR_UNUSED)
{
	EXPECT_PANIC("000", i_panic("%03000d", 0));
	assert_true(strlen(test_panic_text) < 1024);
	assert_true(strlen(test_panic_text) > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_panic_default_prints_and_aborts),
		cmocka_unit_test(test_panic_handler_that_returns),
		cmocka_unit_test(test_panic_recursion_ends),
		cmocka_unit_test(test_panic_caught_often),
		cmocka_unit_test(test_panic_assert_names_the_place),
		cmocka_unit_test(test_panic_long_text),
	};

	return cmocka_run_group_tests_name("panic", tests, NULL, NULL);
}
