/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Signals in the middle of verbs that make something: nothing of it stays. */

#include "config.h"
#include "file-ops.h"
#include "test-common.h"
#include "tool-common.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned int calls, signal_at;
static struct file_ops signalling_ops;

/* As if it had come while the call was under way. */
static void count_call(void)
{
	if (++calls == signal_at)
		(void)raise(SIGINT);
}

static ssize_t signalling_pwritev(int fd, const struct iovec *iov, int count,
				  off_t offset)
{
	count_call();
	return file_ops_system.pwritev(fd, iov, count, offset);
}

static int signalling_openat(int dir_fd, const char *path, int flags,
			     mode_t mode)
{
	count_call();
	return file_ops_system.openat(dir_fd, path, flags, mode);
}

static int signalling_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	count_call();
	return file_ops_system.mkdirat(dir_fd, path, mode);
}

/* In a process of its own, which the signal ends. */
static int run_child(const struct tool_command *command, int argc, char *argv[])
{
	int null = open("/dev/null", O_WRONLY);

	(void)dup2(null, STDOUT_FILENO);
	(void)dup2(null, STDERR_FILENO);
	(void)signal(SIGINT, SIG_DFL);
	signalling_ops = file_ops_system;
	signalling_ops.pwritev = signalling_pwritev;
	signalling_ops.openat = signalling_openat;
	signalling_ops.mkdirat = signalling_mkdirat;
	file_ops_set(&signalling_ops);
	optind = 0;
	return command->run(argc, argv);
}

static int run_verb(const struct tool_command *command, int argc, char *argv[])
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run_child(command, argc, argv));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static bool is_empty(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int count = 0;

	assert_non_null(dir);
	while (readdir(dir) != NULL)
		count++;
	assert_int_equal(closedir(dir), 0);
	return count == 2;
}

/* At each call: whoever is told that it was interrupted finds nothing. */
static void check_each_signal(const struct tool_command *command, int argc,
			      char *argv[], const char *dir)
{
	unsigned int interrupted = 0;
	int status;

	assert_int_equal(mkdir(dir, 0700), 0);
	for (signal_at = 1;; signal_at++) {
		status = run_verb(command, argc, argv);
		if (!WIFSIGNALED(status))
			break;
		assert_int_equal(WTERMSIG(status), SIGINT);
		assert_true(is_empty(dir));
		interrupted++;
	}
	assert_int_equal(status, 0);
	assert_true(interrupted > 1);
	assert_false(is_empty(dir));
}

static void test_a_key_that_is_made(void **state ATTR_UNUSED)
{
	char dir[256], key[300], name[] = "keygen", option[] = "-o";
	char *argv[] = { name, option, key, NULL };

	(void)snprintf(dir, sizeof(dir), "%s", test_path("keys"));
	(void)snprintf(key, sizeof(key), "%s/key.txt", dir);
	check_each_signal(&tool_keygen, 3, argv, dir);
}

static void check_spool(const char *store)
{
	char dir[256], name[] = "init", option[] = "--store", value[16];
	char *argv[] = { name, dir, option, value, NULL };

	(void)snprintf(dir, sizeof(dir), "%s", test_path(store));
	(void)snprintf(value, sizeof(value), "%s", store);
	check_each_signal(&tool_spool_init, 4, argv, dir);
}

static void test_a_spool_that_is_made(void **state ATTR_UNUSED)
{
	check_spool("file");
	check_spool("journal");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_key_that_is_made),
		cmocka_unit_test(test_a_spool_that_is_made),
	};

	return cmocka_run_group_tests_name("interrupt-verbs", tests, NULL,
					   NULL);
}
