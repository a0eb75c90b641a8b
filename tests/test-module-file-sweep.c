/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What the scan removes of bodies, and what it leaves, whoever is at work meanwhile. */

#include "config.h"
#include "file-ops.h"
#include "istream.h"
#include "test-spool-common.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

static const char wire[] = "first\r\n.\r\n";
static const char longer[] = "another one, which is longer\r\n.\r\n";

static struct spool *spool;
static message_id id;

static email_message *get(void)
{
	email_message *message;

	assert_int_equal(spool_get(spool, &id, &message), IO_DONE);
	return message;
}

/* A message whose rewrite was killed between body and headers: there are two bodies. */
static void make_killed_rewrite(void)
{
	email_message *message;

	spool = test_spool_new("");
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	message = get();
	assert_int_equal(test_spool_write_body(spool, message, longer),
			 IO_DONE);
	email_message_unref(&message);
	spool_close(&spool);
	assert_int_equal(test_spool_count_files(&id), 3);
}

/*
 * While the scan reads the body that is to stay
 */

static void (*meanwhile)(void);
static int body_fd;
static email_message *changing;

/* Bodies are opened by the scan alone, in these tests; whoever would wait for what its
   thread has would wait for ever. */
static int hooked_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int fd = file_ops_system.openat(dir_fd, path, flags, mode);
	size_t size = strlen(path);

	if (size > 2 && strcmp(path + size - 2, ".b") == 0 &&
	    (flags & O_ACCMODE) == O_RDONLY)
		body_fd = fd;
	return fd;
}

static void do_it_once(int fd)
{
	void (*now)(void) = meanwhile;

	if (fd != body_fd || now == NULL)
		return;
	meanwhile = NULL;
	now();
}

static ssize_t hooked_read(int fd, void *data, size_t size)
{
	do_it_once(fd);
	return file_ops_system.read(fd, data, size);
}

static ssize_t hooked_pread(int fd, void *data, size_t size, off_t offset)
{
	do_it_once(fd);
	return file_ops_system.pread(fd, data, size, offset);
}

static void scan_and(void (*what)(void))
{
	static struct file_ops ops;

	ops = file_ops_system;
	ops.openat = hooked_openat;
	ops.read = hooked_read;
	ops.pread = hooked_pread;
	file_ops_set(&ops);
	meanwhile = what;
	body_fd = -1;
	(void)test_spool_scan(spool);
	assert_null(meanwhile);
	file_ops_set(NULL);
}

static void write_it_again(void)
{
	assert_int_equal(test_spool_write_body(spool, changing, longer),
			 IO_DONE);
}

/* Who tries it again writes the same bytes, under the name that the scan is to remove. */
static void test_what_is_written_again_stays(void **state ATTR_UNUSED)
{
	make_killed_rewrite();
	spool = test_spool_open(0);
	changing = get();
	scan_and(write_it_again);
	assert_int_equal(test_spool_write_headers(spool, changing), IO_DONE);
	email_message_unref(&changing);
	test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
	assert_int_equal(test_spool_count_files(&id), 2);
	spool_close(&spool);
}

static void remove_it(void)
{
	assert_int_equal(spool_remove(spool, &id), IO_DONE);
}

/* However long a body is: nobody waits for the scan to have read it. */
static void test_who_removes_does_not_wait(void **state ATTR_UNUSED)
{
	make_killed_rewrite();
	spool = test_spool_open(0);
	scan_and(remove_it);
	spool_close(&spool);
	/* it has gone on with what is there no more, and what is left of that is swept */
	spool = test_spool_open(0);
	(void)test_spool_scan(spool);
	assert_int_equal(test_spool_count_files(&id), 0);
	spool_close(&spool);
}

static void rewrite_it(void)
{
	email_message *message = get();

	assert_int_equal(test_spool_write_body(spool, message, longer),
			 IO_DONE);
	assert_int_equal(test_spool_write_headers(spool, message), IO_DONE);
	email_message_unref(&message);
}

/* Then the one that was to go is its own. */
static void test_what_became_its_own_stays(void **state ATTR_UNUSED)
{
	make_killed_rewrite();
	spool = test_spool_open(0);
	scan_and(rewrite_it);
	test_spool_must_have(spool, &id, longer, sizeof(longer) - 1);
	assert_int_equal(test_spool_count_files(&id), 2);
	spool_close(&spool);
}

/* The first one is there, and is not what these headers are to be about. */
static void test_a_changed_body_that_is_gone(void **state ATTR_UNUSED)
{
	email_message *message;

	make_killed_rewrite();
	spool = test_spool_open(0);
	message = get();
	assert_int_equal(test_spool_write_body(spool, message, longer),
			 IO_DONE);
	assert_int_equal(
		test_command("rm %s/messages/*/*.*.b", test_spool_dir()), 0);
	assert_int_equal(test_spool_write_headers(spool, message),
			 IO_TRANS_FAIL);
	email_message_unref(&message);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

/*
 * Bodies whose headers are elsewhere
 */

static unsigned int warnings;

static void count_warning(const char *text, void *context ATTR_UNUSED)
{
	if (strstr(text, "1 files of messages are in directories where") !=
	    NULL)
		warnings++;
}

static void test_headers_that_were_moved(void **state ATTR_UNUSED)
{
	char path[512], elsewhere[512];

	spool = test_spool_new("");
	assert_int_equal(test_spool_put(spool, wire, sizeof(wire) - 1, &id),
			 IO_DONE);
	test_spool_file(&id, ".h", path);
	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/messages/zz",
		       test_spool_dir());
	assert_int_equal(mkdir(elsewhere, 0700), 0);
	(void)snprintf(elsewhere, sizeof(elsewhere), "%s/messages/zz/%s",
		       test_spool_dir(), strrchr(path, '/') + 1);
	assert_int_equal(rename(path, elsewhere), 0);
	spool_close(&spool);
	spool = test_spool_open(SPOOL_OPEN_REPAIR);
	spool_set_warning_callback(spool, count_warning, NULL);
	warnings = 0;
	assert_int_equal(test_spool_scan(spool), 0);
	assert_int_equal(warnings, 1);
	assert_int_equal(rename(elsewhere, path), 0);
	test_spool_must_have(spool, &id, wire, sizeof(wire) - 1);
	spool_close(&spool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_again_stays),
		cmocka_unit_test(test_who_removes_does_not_wait),
		cmocka_unit_test(test_what_became_its_own_stays),
		cmocka_unit_test(test_a_changed_body_that_is_gone),
		cmocka_unit_test(test_headers_that_were_moved),
	};

	return cmocka_run_group_tests_name("module-file-sweep", tests,
					   test_spool_setup,
					   test_spool_teardown);
}
