/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Signals of the tool, in the moments that a shell does not hit. */

#include "config.h"
#include "file-ops.h"
#include "test-common.h"
#include "tool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

/* Behind the look whether there was a signal, and before the call waits: nobody opens the
   other side. */
static void test_a_signal_before_a_call_that_waits(void **state ATTR_UNUSED)
{
	unsigned int i;

	assert_int_equal(mkfifo(test_path("lonely"), 0600), 0);
	tool_catch_signals();
	assert_false(tool_interrupted());
	assert_int_equal(raise(SIGTERM), 0);
	assert_true(tool_interrupted());
	/* each time */
	for (i = 0; i < 2; i++) {
		assert_int_equal(file_ops_system.openat(AT_FDCWD,
							test_path("lonely"),
							O_RDONLY, 0),
				 -1);
		assert_int_equal(errno, EINTR);
	}
	/* which is then the end of it */
	assert_int_equal(file_open(AT_FDCWD, test_path("lonely"), O_RDONLY, 0),
			 -1);
	assert_int_equal(errno, ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_signal_before_a_call_that_waits),
	};

	return cmocka_run_group_tests_name("interrupt", tests, NULL, NULL);
}
