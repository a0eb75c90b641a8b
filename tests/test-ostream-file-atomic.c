/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Files that appear whole or not at all, from the first byte to a commit, an abort
   or any failure on the way. */

#include "config.h"
#include "test-stream-common.h"
#include "stream-kinds.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static unsigned int files_in_dir(void)
{
	return (unsigned int)test_command("exit $(ls -A %s | wc -l)",
					  test_path("d"));
}

static void file_has(const char *name, const char *text)
{
	buffer_t *buf = test_read_file(test_path(name));

	assert_string_equal(buffer_c_str(buf), text);
	buffer_free(&buf);
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(test_path(name), &st) == 0;
}

static mode_t mode_of(const char *name)
{
	struct stat st;

	assert_int_equal(lstat(test_path(name), &st), 0);
	return st.st_mode;
}

static void write_text(const char *name, const char *text)
{
	test_write_file(test_path(name), text, strlen(text));
}

static struct ostream *create(const char *name)
{
	return o_stream_create_file_atomic(test_path(name), 0640, 0);
}

static void finish_and_destroy(struct ostream *s)
{
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
}

static void test_it_appears_when_it_is_finished(void **state ATTR_UNUSED)
{
	struct ostream *s = create("d/x");

	assert_string_equal(o_stream_get_name(s), test_path("d/x"));
	assert_false(exists("d/x"));
	o_stream_nsend_str(s, "whole");
	assert_int_equal(o_stream_flush(s), 1);
	assert_false(exists("d/x"));
	assert_int_equal(o_stream_finish(s), 1);
	file_has("d/x", "whole");
	/* finished once, however often it is asked for */
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(o_stream_flush(s), 1);
	o_stream_destroy(&s);
	file_has("d/x", "whole");
	assert_int_equal(files_in_dir(), 1);
}

static void test_an_empty_one(void **state ATTR_UNUSED)
{
	finish_and_destroy(create("d/x"));
	file_has("d/x", "");
	assert_int_equal(files_in_dir(), 1);
}

static void test_a_large_one(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 1000000);
	struct ostream *s = create("d/x");
	buffer_t *buf;
	size_t i;

	o_stream_cork(s);
	for (i = 0; i < 1000000; i += 1000)
		o_stream_nsend(s, data + i, 1000);
	finish_and_destroy(s);
	buf = test_read_file(test_path("d/x"));
	assert_int_equal(buf->used, 1000000);
	assert_memory_equal(buf->data, data, 1000000);
	buffer_free(&buf);
	free(data);
}

static void test_what_exists_is_replaced_at_the_end(void **state ATTR_UNUSED)
{
	struct ostream *s;

	write_text("d/x", "old");
	s = create("d/x");
	o_stream_nsend_str(s, "new");
	assert_int_equal(o_stream_flush(s), 1);
	file_has("d/x", "old");
	finish_and_destroy(s);
	file_has("d/x", "new");
	assert_int_equal(files_in_dir(), 1);
}

static void test_aborted(void **state ATTR_UNUSED)
{
	struct ostream *s;

	write_text("d/x", "old");
	s = create("d/x");
	o_stream_nsend_str(s, "half");
	o_stream_abort(s);
	assert_int_equal(s->stream_errno, EPIPE);
	assert_int_equal(o_stream_finish(s), -1);
	o_stream_destroy(&s);
	file_has("d/x", "old");
	assert_int_equal(files_in_dir(), 1);
	/* through a filter, too */
	s = create("d/y");
	{
		struct ostream *gzip = o_stream_create_gzip(s, 6);

		o_stream_unref(&s);
		o_stream_nsend_str(gzip, "half");
		o_stream_abort(gzip);
		o_stream_destroy(&gzip);
	}
	assert_int_equal(files_in_dir(), 1);
}

static void test_neither_finished_nor_aborted(void **state ATTR_UNUSED)
{
	struct ostream *s = create("d/x");

	assert_int_equal(o_stream_send_str(s, "half"), 4);
	EXPECT_PANIC("d/x destroyed without o_stream_finish()",
		     o_stream_destroy(&s));
	o_stream_set_no_error_handling(s, true);
	EXPECT_PANIC("destroyed without o_stream_finish()", o_stream_close(s));
	o_stream_abort(s);
	o_stream_destroy(&s);
	assert_int_equal(files_in_dir(), 0);
}

static void test_permissions(void **state ATTR_UNUSED)
{
	struct ostream *s;

	finish_and_destroy(
		o_stream_create_file_atomic(test_path("d/a"), 0666, 0));
	assert_int_equal(mode_of("d/a") & 0777, 0644);
	finish_and_destroy(
		o_stream_create_file_atomic(test_path("d/b"), 0600, 0));
	assert_int_equal(mode_of("d/b") & 0777, 0600);
	/* the stream's own mode, not that of what is replaced... */
	assert_int_equal(chmod(test_path("d/a"), 0666), 0);
	finish_and_destroy(
		o_stream_create_file_atomic(test_path("d/a"), 0600, 0));
	assert_int_equal(mode_of("d/a") & 0777, 0600);
	/* ...unless that is asked for, and then as it is */
	assert_int_equal(chmod(test_path("d/a"), 0666), 0);
	s = o_stream_create_file_or_device(test_path("d/a"), 0600);
	o_stream_nsend_str(s, "x");
	finish_and_destroy(s);
	assert_int_equal(mode_of("d/a") & 0777, 0666);
	finish_and_destroy(
		o_stream_create_file_or_device(test_path("d/c"), 0666));
	assert_int_equal(mode_of("d/c") & 0777, 0644);
}

static void test_no_replace(void **state ATTR_UNUSED)
{
	struct ostream *s;

	write_text("d/x", "old");
	s = o_stream_create_file_atomic(test_path("d/x"), 0600,
					OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	o_stream_nsend_str(s, "new");
	assert_int_equal(o_stream_finish(s), -1);
	assert_int_equal(s->stream_errno, EEXIST);
	o_stream_destroy(&s);
	file_has("d/x", "old");
	/* a link is a name that exists, wherever it leads */
	assert_int_equal(symlink("nowhere", test_path("d/link")), 0);
	s = o_stream_create_file_atomic(test_path("d/link"), 0600,
					OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	o_stream_nsend_str(s, "new");
	assert_int_equal(o_stream_finish(s), -1);
	assert_int_equal(s->stream_errno, EEXIST);
	o_stream_destroy(&s);
	assert_false(exists("d/nowhere"));
	s = o_stream_create_file_atomic(test_path("d/y"), 0600,
					OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	o_stream_nsend_str(s, "new");
	finish_and_destroy(s);
	file_has("d/y", "new");
	assert_int_equal(files_in_dir(), 3);
}

/* Not every filesystem can rename without replacing. */
static void test_no_replace_where_rename_cannot(void **state ATTR_UNUSED)
{
	static const int errors[] = { EINVAL, ENOSYS };
	struct ostream *s;
	size_t i;

	write_text("d/x", "old");
	for (i = 0; i < N_ELEMENTS(errors) * 2; i++) {
		test_faults_begin();
		test_faults.fail_at[TEST_OP_RENAME] = 1;
		test_faults.fail_errno[TEST_OP_RENAME] = errors[i / 2];
		s = o_stream_create_file_atomic(
			test_path(i % 2 == 0 ? "d/x" : "d/y"), 0600,
			OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
		o_stream_nsend_str(s, "new");
		assert_int_equal(o_stream_finish(s), i % 2 == 0 ? -1 : 1);
		assert_int_equal(s->stream_errno, i % 2 == 0 ? EEXIST : 0);
		assert_int_equal(test_faults.calls[TEST_OP_LINK], 1);
		o_stream_destroy(&s);
		test_faults_end();
		assert_int_equal(files_in_dir(), 1 + i % 2);
		if (i % 2 == 1) {
			file_has("d/y", "new");
			assert_int_equal(unlink(test_path("d/y")), 0);
		}
	}
	file_has("d/x", "old");
}

/*
 * What is no regular file
 */

static void make_socket(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(strlen(path) < sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(close(fd), 0);
}

static void is_refused(const char *name, int stream_errno, const char *why)
{
	struct ostream *s =
		o_stream_create_file_atomic(test_path(name), 0600, 0);

	assert_int_equal(s->stream_errno, stream_errno);
	assert_non_null(strstr(o_stream_get_error(s), test_path(name)));
	if (strstr(o_stream_get_error(s), why) == NULL)
		fail_msg("%s", o_stream_get_error(s));
	assert_int_equal(o_stream_send_str(s, "x"), -1);
	assert_int_equal(o_stream_finish(s), -1);
	o_stream_destroy(&s);
}

static void test_what_is_no_file_is_refused(void **state ATTR_UNUSED)
{
	assert_int_equal(mkdir(test_path("d/dir"), 0700), 0);
	assert_int_equal(mkfifo(test_path("d/fifo"), 0600), 0);
	make_socket(test_path("d/socket"));
	assert_int_equal(symlink("/dev/null", test_path("d/null")), 0);
	is_refused("d/dir", EISDIR, "it is a directory");
	is_refused("d/fifo", EEXIST, "it is a FIFO");
	is_refused("d/socket", EEXIST, "it is a socket");
	is_refused("d/null", EEXIST, "it is a device");
	assert_true(S_ISDIR(mode_of("d/dir")));
	assert_true(S_ISFIFO(mode_of("d/fifo")));
	assert_true(S_ISSOCK(mode_of("d/socket")));
	assert_true(S_ISLNK(mode_of("d/null")));
	assert_int_equal(files_in_dir(), 4);
}

static void test_a_device_is_written_to(void **state ATTR_UNUSED)
{
	struct ostream *s;
	struct stat st;
	char got[8];
	int fd;

	assert_int_equal(mkfifo(test_path("d/fifo"), 0600), 0);
	fd = open(test_path("d/fifo"), O_RDWR);
	s = o_stream_create_file_or_device(test_path("d/fifo"), 0600);
	assert_int_equal(o_stream_send_str(s, "hello"), 5);
	finish_and_destroy(s);
	assert_int_equal(read(fd, got, sizeof(got)), 5);
	assert_memory_equal(got, "hello", 5);
	assert_int_equal(close(fd), 0);
	s = o_stream_create_file_or_device("/dev/null", 0600);
	assert_int_equal(o_stream_send_str(s, "hello"), 5);
	finish_and_destroy(s);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	/* a directory takes no bytes either way */
	s = o_stream_create_file_or_device(test_path("d"), 0600);
	assert_int_equal(s->stream_errno, EISDIR);
	o_stream_destroy(&s);
	assert_int_equal(files_in_dir(), 1);
}

static void test_a_link_stays(void **state ATTR_UNUSED)
{
	struct ostream *s;

	assert_int_equal(mkdir(test_path("d/there"), 0700), 0);
	write_text("d/there/target", "old");
	assert_int_equal(symlink("there/target", test_path("d/link")), 0);
	assert_int_equal(symlink("link", test_path("d/link2")), 0);
	s = create("d/link2");
	assert_string_equal(o_stream_get_name(s), test_path("d/link2"));
	o_stream_nsend_str(s, "new");
	finish_and_destroy(s);
	file_has("d/there/target", "new");
	assert_true(S_ISLNK(mode_of("d/link")));
	assert_true(S_ISLNK(mode_of("d/link2")));
	assert_true(S_ISREG(mode_of("d/there/target")));
	assert_int_equal(files_in_dir(), 3);
	/* one that leads nowhere, one that leads to itself */
	assert_int_equal(symlink("nowhere", test_path("d/dangling")), 0);
	is_refused("d/dangling", ENOENT, "leads nowhere");
	assert_int_equal(symlink("loop", test_path("d/loop")), 0);
	is_refused("d/loop", ELOOP, "leads nowhere");
	assert_false(exists("d/nowhere"));
}

/*
 * Failures
 */

static void test_directories_that_do_not_do(void **state ATTR_UNUSED)
{
	is_refused("d/none/x", ENOENT, "d/none");
	write_text("d/file", "");
	is_refused("d/file/x", ENOTDIR, "d/file");
	/* root may write anywhere: the error comes from the table */
	test_faults_begin();
	test_faults.fail_at[TEST_OP_OPEN] = 2;
	test_faults.fail_errno[TEST_OP_OPEN] = EACCES;
	is_refused("d/x", EACCES, "no temporary file can be made in");
	test_faults_begin();
	test_faults.fail_at[TEST_OP_OPEN] = 1;
	test_faults.fail_errno[TEST_OP_OPEN] = EACCES;
	is_refused("d/x", EACCES, "Permission denied");
	test_faults_end();
	assert_int_equal(files_in_dir(), 1);
}

/* Each operation fails once; what is there is the old file or the new one. */
static void test_each_operation_may_fail(void **state ATTR_UNUSED)
{
	static const struct {
		enum test_op op;
		unsigned int call;
		bool new_name; /* the rename was done already */
	} cases[] = {
		{ TEST_OP_OPEN, 1, false },      { TEST_OP_OPEN, 2, false },
		{ TEST_OP_WRITE, 1, false },     { TEST_OP_WRITE, 2, false },
		{ TEST_OP_FDATASYNC, 1, false }, { TEST_OP_CLOSE, 1, false },
		{ TEST_OP_RENAME, 1, false },    { TEST_OP_FSYNC_DIR, 1, true }
	};
	static const int errors[] = { EIO, ENOSPC };
	struct ostream *s;
	size_t i, e;

	for (i = 0; i < N_ELEMENTS(cases) * N_ELEMENTS(errors); i++) {
		e = i % N_ELEMENTS(errors);
		write_text("d/x", "old");
		test_faults_begin();
		test_faults.fail_at[cases[i / 2].op] = cases[i / 2].call;
		test_faults.fail_errno[cases[i / 2].op] = errors[e];
		s = create("d/x");
		o_stream_nsend_str(s, "ne");
		o_stream_nsend_str(s, "w");
		assert_int_equal(o_stream_finish(s), -1);
		assert_int_equal(s->stream_errno, errors[e]);
		assert_non_null(
			strstr(o_stream_get_error(s), test_path("d/x")));
		/* final: a second try would lie */
		assert_int_equal(o_stream_finish(s), -1);
		assert_int_equal(s->stream_errno, errors[e]);
		assert_true(test_faults.calls[TEST_OP_FDATASYNC] <= 1);
		assert_true(test_faults.calls[TEST_OP_RENAME] <= 1);
		assert_true(test_faults.calls[TEST_OP_FSYNC_DIR] <= 1);
		o_stream_destroy(&s);
		test_faults_end();
		file_has("d/x", cases[i / 2].new_name ? "new" : "old");
		assert_int_equal(files_in_dir(), 1);
	}
}

/* A new name that may not be durable is nobody's: the next one may have it. */
static void test_new_name_is_given_back(void **state ATTR_UNUSED)
{
	struct ostream *s;
	int i;

	for (i = 0; i < 2; i++) {
		test_faults_begin();
		test_faults.fail_at[TEST_OP_FSYNC_DIR] = i == 0 ? 1 : 0;
		test_faults.fail_errno[TEST_OP_FSYNC_DIR] = EIO;
		s = o_stream_create_file_atomic(
			test_path("d/new"), 0600,
			OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
		o_stream_nsend_str(s, "data");
		assert_int_equal(o_stream_finish(s), i == 0 ? -1 : 1);
		o_stream_destroy(&s);
		test_faults_end();
	}
	file_has("d/new", "data");
	assert_int_equal(unlink(test_path("d/new")), 0);
}

/* The order in which it becomes durable: behind one that fails none is made. */
static void test_steps_in_order(void **state ATTR_UNUSED)
{
	static const enum test_op steps[] = { TEST_OP_FDATASYNC, TEST_OP_RENAME,
					      TEST_OP_FSYNC_DIR };
	struct ostream *s;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(steps); i++) {
		test_faults_begin();
		test_faults.fail_at[steps[i]] = 1;
		test_faults.fail_errno[steps[i]] = EIO;
		s = create("d/x");
		o_stream_nsend_str(s, "data");
		assert_int_equal(o_stream_finish(s), -1);
		for (j = 0; j < N_ELEMENTS(steps); j++)
			assert_int_equal(test_faults.calls[steps[j]], j <= i);
		o_stream_destroy(&s);
		test_faults_end();
	}
}

/* And the calls that were made. */
static void test_every_step_is_made(void **state ATTR_UNUSED)
{
	struct ostream *s;

	test_faults_begin();
	s = create("d/x");
	o_stream_nsend_str(s, "data");
	assert_int_equal(o_stream_flush(s), 1);
	assert_int_equal(test_faults.calls[TEST_OP_FDATASYNC], 0);
	assert_int_equal(test_faults.calls[TEST_OP_RENAME], 0);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(test_faults.calls[TEST_OP_FDATASYNC], 1);
	assert_int_equal(test_faults.calls[TEST_OP_RENAME], 1);
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 1);
	assert_int_equal(test_faults.calls[TEST_OP_UNLINK], 0);
	o_stream_destroy(&s);
	/* without them it is whole for others, but not after a power cut */
	test_faults_begin();
	s = o_stream_create_file_atomic(test_path("d/y"), 0600,
					OSTREAM_FILE_ATOMIC_FLAG_NO_SYNC);
	o_stream_nsend_str(s, "data");
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(test_faults.calls[TEST_OP_FDATASYNC], 0);
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 0);
	o_stream_destroy(&s);
	test_faults_end();
	file_has("d/y", "data");
}

static void test_interrupted_and_short_writes(void **state ATTR_UNUSED)
{
	struct ostream *s;

	test_faults_begin();
	test_faults.eintr = 2;
	test_faults.max_write = 3;
	s = create("d/x");
	o_stream_nsend_str(s, "0123456789");
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	test_faults_end();
	file_has("d/x", "0123456789");
}

static void test_below_a_directory_fd(void **state ATTR_UNUSED)
{
	int dir_fd, tmp_fd;
	struct ostream *s;

	assert_int_equal(mkdir(test_path("d/tmp"), 0700), 0);
	dir_fd = open(test_path("d"), O_RDONLY | O_DIRECTORY);
	tmp_fd = open(test_path("d/tmp"), O_RDONLY | O_DIRECTORY);
	s = o_stream_create_file_atomic_at(dir_fd, "x", tmp_fd, 0600, 0);
	o_stream_nsend_str(s, "data");
	assert_int_equal(o_stream_flush(s), 1);
	/* the temporary file is where it was asked for */
	assert_int_equal(files_in_dir(), 1);
	assert_int_not_equal(
		test_command("test -z \"$(ls -A %s)\"", test_path("d/tmp")), 0);
	finish_and_destroy(s);
	file_has("d/x", "data");
	assert_int_equal(
		test_command("test -z \"$(ls -A %s)\"", test_path("d/tmp")), 0);
	/* another name, as long as it is not finished */
	s = o_stream_create_file_atomic_at(dir_fd, "y", -1, 0600, 0);
	o_stream_nsend_str(s, "data");
	o_stream_file_atomic_set_name(s, "z");
	finish_and_destroy(s);
	assert_false(exists("d/y"));
	file_has("d/z", "data");
	/* but not behind that, and no other stream's */
	s = o_stream_create_file_atomic_at(dir_fd, "y", -1, 0600, 0);
	assert_int_equal(o_stream_finish(s), 1);
	EXPECT_PANIC("finished", o_stream_file_atomic_set_name(s, "late"));
	o_stream_destroy(&s);
	s = o_stream_create_null();
	EXPECT_PANIC("o_stream_file_atomic_flush",
		     o_stream_file_atomic_set_name(s, "null"));
	o_stream_destroy(&s);
	/* one that could not be made has none, either */
	s = o_stream_create_file_atomic(test_path("nowhere/x"), 0600, 0);
	o_stream_file_atomic_set_name(s, "y");
	o_stream_destroy(&s);
	assert_int_equal(close(dir_fd), 0);
	assert_int_equal(close(tmp_fd), 0);
}

#define TEST(function)                                            \
	cmocka_unit_test_setup_teardown(function, test_dir_setup, \
					test_dir_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_it_appears_when_it_is_finished),
		TEST(test_an_empty_one),
		TEST(test_a_large_one),
		TEST(test_what_exists_is_replaced_at_the_end),
		TEST(test_aborted),
		TEST(test_neither_finished_nor_aborted),
		TEST(test_permissions),
		TEST(test_no_replace),
		TEST(test_no_replace_where_rename_cannot),
		TEST(test_what_is_no_file_is_refused),
		TEST(test_a_device_is_written_to),
		TEST(test_a_link_stays),
		TEST(test_directories_that_do_not_do),
		TEST(test_each_operation_may_fail),
		TEST(test_new_name_is_given_back),
		TEST(test_steps_in_order),
		TEST(test_every_step_is_made),
		TEST(test_interrupted_and_short_writes),
		TEST(test_below_a_directory_fd),
	};

	return cmocka_run_group_tests_name("ostream-file-atomic", tests, NULL,
					   NULL);
}
