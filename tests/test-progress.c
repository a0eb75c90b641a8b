/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Progress shares its terminal with what else is printed: it wipes its own line, and
   nothing else. */

#include "config.h"
#include "test-common.h"
#include "tool-common.h"

#include <fcntl.h>
#include <unistd.h>

static struct tool_progress progress;
static int old_stderr;

/* stderr is a file, in which the data's last line stands. */
static int setup(void **state ATTR_UNUSED)
{
	int fd = open(test_path("stderr"),
		      O_RDWR | O_CREAT | O_TRUNC | O_APPEND, 0600);

	assert_true(fd >= 0);
	(void)fflush(stderr);
	old_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(fd), 0);
	tool_name = "verb";
	tool_progress_begin(&progress, PROGRESS_NEVER, "done", 0);
	progress.on = true;
	fputs("data", stderr);
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	(void)fflush(stderr);
	assert_int_equal(dup2(old_stderr, STDERR_FILENO), STDERR_FILENO);
	return close(old_stderr);
}

/* However fast the machine is. */
static void draw(void)
{
	progress.start_msecs = progress.last_msecs = 0;
	tool_progress_show(&progress, 1, false);
}

/* The data is there, so many carriage returns, and this at the end. */
static void assert_printed(unsigned int returns, const char *end)
{
	buffer_t *printed;
	const char *text, *pos;
	unsigned int count = 0;

	(void)fflush(stderr);
	printed = test_read_file(test_path("stderr"));
	buffer_append_c(printed, '\0');
	text = (const char *)printed->data;
	assert_int_equal(strncmp(text, "data", 4), 0);
	for (pos = text; (pos = strchr(pos, '\r')) != NULL; pos++)
		count++;
	assert_int_equal(count, returns);
	assert_true(strlen(text) >= strlen(end));
	assert_string_equal(text + strlen(text) - strlen(end), end);
	buffer_free(&printed);
}

static void test_nothing_was_drawn(void **state ATTR_UNUSED)
{
	tool_progress_show(&progress, 1, false);
	tool_progress_end(&progress);
	assert_printed(0, "data");
}

static void test_what_was_drawn_is_wiped_once(void **state ATTR_UNUSED)
{
	draw();
	assert_printed(1, "/s\033[K");
	tool_progress_wipe();
	assert_printed(2, "\r\033[K");
	tool_progress_end(&progress);
	assert_printed(2, "\r\033[K");
}

static void test_a_message_has_its_own_line(void **state ATTR_UNUSED)
{
	draw();
	tool_warn("text");
	assert_printed(2, "/s\033[K\r\033[Kbobbin verb: warning: text\n");
	draw();
	tool_progress_end(&progress);
	assert_printed(4, "\r\033[K");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_was_drawn, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_what_was_drawn_is_wiped_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_message_has_its_own_line,
						setup, teardown),
	};

	return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
