/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is said of options that are none. */

#include "config.h"
#include "test-common.h"
#include "tool-common.h"

#include <fcntl.h>
#include <unistd.h>

static const struct option options[] = {
	{ "from", required_argument, NULL, 'f' },
	{ "force", no_argument, NULL, 256 },
	{ "progress", required_argument, NULL, 257 },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

/* Up to five arguments, the last known option's value and what is printed. */
struct
try {
	const char *args[6];
	const char *said;
};
static const struct try tries[] = {
	{ { "--nosuch", "file" }, "unrecognized option '--nosuch'" },
	{ { "file", "--nosuch=x", "y" }, "unrecognized option '--nosuch=x'" },
	{ { "--a\n\033b\xff" }, "unrecognized option '--a\\n\\x1bb\\xff'" },
	{ { "--f=x", "y" }, "option '--f=x' is ambiguous" },
	{ { "--fo=x" }, "option '--force' doesn't allow an argument" },
	{ { "--help=x\n" }, "option '--help' doesn't allow an argument" },
	{ { "a", "--from" }, "option '--from' requires an argument" },
	{ { "--prog" }, "option '--progress' requires an argument" },
	{ { "-f" }, "option requires an argument -- 'f'" },
	{ { "a", "-hx", "b" }, "invalid option -- 'x'" },
	{ { "-f", "--force", "-xh" }, "invalid option -- 'x'" },
	{ { "-:" }, "invalid option -- ':'" },
	{ { "-?" }, "invalid option -- '?'" },
	{ { "-\xff" }, "invalid option -- '\\xff'" },
	{ { "-\033" }, "invalid option -- '\\x1b'" },
};

static int old_stderr;

static void catch_stderr(void)
{
	int fd = open(test_path("stderr"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	(void)fflush(stderr);
	old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(fd), 0);
}

static void give_stderr_back(void)
{
	(void)fflush(stderr);
	assert_int_equal(dup2(old_stderr, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(old_stderr), 0);
}

/* The answer that ends them, and what was said meanwhile is in the file. */
static int parse(const struct try *try)
{
	char texts[6][32], name[] = "verb", *argv[8] = { name };
	int argc, c;

	for (argc = 1; try->args[argc - 1] != NULL; argc++) {
		(void)snprintf(texts[argc - 1], sizeof(texts[0]), "%s",
			       try->args[argc - 1]);
		argv[argc] = texts[argc - 1];
	}
	argv[argc] = NULL;
	optind = 0;
	tool_name = name;
	catch_stderr();
	do {
		c = tool_getopt(argc, argv, "f:h", options);
	} while (c != -1 && c != '?');
	give_stderr_back();
	tool_name = "";
	return c;
}

static void test_what_is_refused(void **state ATTR_UNUSED)
{
	char said[128];
	buffer_t *printed;
	size_t i;

	for (i = 0; i < N_ELEMENTS(tries); i++) {
		assert_int_equal(parse(&tries[i]), '?');
		printed = test_read_file(test_path("stderr"));
		(void)snprintf(said, sizeof(said), "bobbin verb: %s\n",
			       tries[i].said);
		buffer_append_c(printed, '\0');
		assert_string_equal((const char *)printed->data, said);
		buffer_free(&printed);
	}
}

static void test_what_is_not(void **state ATTR_UNUSED)
{
	static const struct try good = {
		{ "a", "-h", "--from=x", "--for", "--" }, NULL
	};
	buffer_t *printed;

	assert_int_equal(parse(&good), -1);
	printed = test_read_file(test_path("stderr"));
	assert_int_equal(printed->used, 0);
	buffer_free(&printed);
}

/* The mark stands below the word all the same. */
static void test_a_spec_that_a_terminal_may_see(void **state ATTR_UNUSED)
{
	static const char text[] = "hex |\t\xc2\x9b\x7f\x9b\xff\xc3\xa4zs";
	static const char shown[] = "\n    hex |   ?\xc3\xa4zs\n"
				    "          ^~~~~~\n";
	buffer_t *printed;
	size_t size = sizeof(shown) - 1;
	int code = 0;

	tool_name = "verb";
	catch_stderr();
	assert_null(tool_parse_spec("--to", text, &code));
	give_stderr_back();
	tool_name = "";
	assert_int_equal(code, EX_USAGE);
	printed = test_read_file(test_path("stderr"));
	assert_true(printed->used > size);
	assert_memory_equal((const unsigned char *)printed->data +
				    printed->used - size,
			    shown, size);
	buffer_free(&printed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_what_is_not),
		cmocka_unit_test(test_a_spec_that_a_terminal_may_see),
	};

	return cmocka_run_group_tests_name("tool-options", tests, NULL, NULL);
}
