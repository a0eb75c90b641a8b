/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "file-ops.h"
#include "mem.h"
#include "test-common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

static int setup(void **state ATTR_UNUSED)
{
	test_faults_begin();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	test_faults_end();
	return 0;
}

static int open_file(const char *name, const char *content)
{
	const char *path = test_path(name);
	int fd;

	test_write_file(path, content, strlen(content));
	fd = file_open(AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	assert_true(fd >= 0);
	return fd;
}

/* A table that lacks a member would crash only those who need it. */
static void test_file_ops_system_is_complete(void **state ATTR_UNUSED)
{
	void (*members[sizeof(struct file_ops) / sizeof(void (*)(void))])(void);
	size_t i;

	memcpy(members, &file_ops_system, sizeof(members));
	for (i = 0; i < N_ELEMENTS(members); i++) {
		if (members[i] == NULL)
			fail_msg("member %zu", i);
	}
	assert_ptr_equal(file_ops(), &file_ops_system);
}

/* Each call, and which member of the table it is to reach. */
static int fd_under_test;
static char byte_under_test;
static int call_open(void)
{
	int fd = file_open(AT_FDCWD, test_path("open"), O_RDWR | O_CREAT, 0600);

	return fd < 0 ? -1 : close(fd);
}
static int call_read(void)
{
	return (int)file_read(fd_under_test, &byte_under_test, 1);
}
static int call_pread(void)
{
	return (int)file_pread(fd_under_test, &byte_under_test, 1, 0);
}
static int call_writev(void)
{
	struct iovec iov = { &byte_under_test, 1 };

	return (int)file_writev(fd_under_test, &iov, 1);
}
static int call_pwritev(void)
{
	struct iovec iov = { &byte_under_test, 1 };

	return (int)file_pwritev(fd_under_test, &iov, 1, 0);
}
static int call_sendmsg(void)
{
	struct iovec iov = { &byte_under_test, 1 };
	struct msghdr msg;
	int fds[2], ret, old_errno;

	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ret = (int)file_sendmsg(fds[0], &msg, 0);
	old_errno = errno;
	(void)close(fds[0]);
	(void)close(fds[1]);
	errno = old_errno;
	return ret;
}
static int call_recvmsg(void)
{
	struct iovec iov = { &byte_under_test, 1 };
	struct msghdr msg;
	int fds[2], ret, old_errno;

	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(send(fds[1], "x", 1, 0), 1);
	ret = (int)file_recvmsg(fds[0], &msg, 0);
	old_errno = errno;
	(void)close(fds[0]);
	(void)close(fds[1]);
	errno = old_errno;
	return ret;
}
static int call_fdatasync(void)
{
	return file_fdatasync(fd_under_test);
}
static int call_sync_dir(void)
{
	return file_sync_dir(AT_FDCWD, test_dir());
}

static const struct {
	const char *name;
	int (*call)(void);
	enum test_op op;
} calls[] = {
	{ "file_open", call_open, TEST_OP_OPEN },
	{ "file_read", call_read, TEST_OP_READ },
	{ "file_pread", call_pread, TEST_OP_READ },
	{ "file_writev", call_writev, TEST_OP_WRITE },
	{ "file_pwritev", call_pwritev, TEST_OP_WRITE },
	{ "file_sendmsg", call_sendmsg, TEST_OP_WRITE },
	{ "file_recvmsg", call_recvmsg, TEST_OP_READ },
	{ "file_fdatasync", call_fdatasync, TEST_OP_FDATASYNC },
	{ "file_sync_dir", call_sync_dir, TEST_OP_FSYNC_DIR },
};

/* The table in use is what is called; a signal is no failure. */
static void test_file_ops_interrupted(void **state ATTR_UNUSED)
{
	size_t i;
	int ret;

	fd_under_test = open_file("interrupted", "abc");
	for (i = 0; i < N_ELEMENTS(calls); i++) {
		test_faults_begin();
		test_faults.eintr = 3;
		ret = calls[i].call();
		if (ret < 0 || test_faults.calls[calls[i].op] != 1)
			fail_msg("%s: %d", calls[i].name, ret);
	}
	assert_int_equal(file_close(&fd_under_test), 0);
}

static volatile sig_atomic_t signalled;

static void note_signal(int signo ATTR_UNUSED)
{
	signalled = 1;
}

/* What a program that wants signals to end its work puts in the table. */
static int cancellable_openat(int dir_fd, const char *path, int flags,
			      mode_t mode)
{
	int fd = file_ops_system.openat(dir_fd, path, flags, mode);

	if (fd < 0 && errno == EINTR && signalled != 0)
		errno = ECANCELED;
	return fd;
}

/* A FIFO without another end is waited for until the table says no. */
static void test_file_ops_open_is_cancelled(void **state ATTR_UNUSED)
{
	static const int flags[] = { O_RDONLY, O_WRONLY };
	/* again and again: one may come before the call */
	const struct itimerval often = { { 0, 1000 }, { 0, 1000 } };
	const struct itimerval never = { { 0, 0 }, { 0, 0 } };
	struct file_ops ops = file_ops_system;
	struct sigaction act, old;
	size_t i;

	assert_int_equal(mkfifo(test_path("fifo"), 0600), 0);
	memset(&act, 0, sizeof(act));
	act.sa_handler = note_signal;
	assert_int_equal(sigaction(SIGALRM, &act, &old), 0);
	ops.openat = cancellable_openat;
	file_ops_set(&ops);
	for (i = 0; i < N_ELEMENTS(flags); i++) {
		signalled = 0;
		assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
		errno = 0;
		assert_int_equal(file_open(AT_FDCWD, test_path("fifo"),
					   flags[i], 0),
				 -1);
		assert_int_equal(errno, ECANCELED);
	}
	assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
}

/* Any other error comes back at once, with its errno. */
static void test_file_ops_errors(void **state ATTR_UNUSED)
{
	size_t i;
	int ret;

	fd_under_test = open_file("errors", "abc");
	for (i = 0; i < N_ELEMENTS(calls); i++) {
		test_faults_begin();
		test_faults.fail_at[calls[i].op] = 1;
		test_faults.fail_errno[calls[i].op] = EIO;
		errno = 0;
		ret = calls[i].call();
		if (ret != -1 || errno != EIO ||
		    test_faults.calls[calls[i].op] != 1)
			fail_msg("%s: %d, errno %d", calls[i].name, ret, errno);
	}
	assert_int_equal(file_close(&fd_under_test), 0);
}

static void test_file_ops_replaced_and_restored(void **state ATTR_UNUSED)
{
	int fd = open_file("replaced", "abc");
	char byte;

	assert_int_equal(test_faults.calls[TEST_OP_OPEN], 1);
	assert_int_equal(file_read(fd, &byte, 1), 1);
	assert_int_equal(test_faults.calls[TEST_OP_READ], 1);
	file_ops_set(NULL);
	assert_ptr_equal(file_ops(), &file_ops_system);
	assert_int_equal(file_read(fd, &byte, 1), 1);
	assert_int_equal(test_faults.calls[TEST_OP_READ], 1);
	assert_int_equal(byte, 'b');
	assert_int_equal(file_close(&fd), 0);
}

static void test_file_ops_open_sets_mode(void **state ATTR_UNUSED)
{
	mode_t old_mask = umask(0);
	struct stat st;
	int fd;

	fd = file_open(AT_FDCWD, test_path("mode"), O_WRONLY | O_CREAT, 0640);
	(void)umask(old_mask);
	assert_true(fd >= 0);
	assert_int_equal(file_ops()->fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_close(&fd), 0);
	errno = 0;
	assert_int_equal(file_open(AT_FDCWD, test_path("none"), O_RDONLY, 0),
			 -1);
	assert_int_equal(errno, ENOENT);
}

/* Nothing else that may have the name is opened for longer than it takes to see that. */
static void test_file_ops_open_regular(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		int error;
	} cases[] = { { "regular", 0 },
		      { "link", EINVAL },
		      { "pipe", EINVAL },
		      { "directory", EINVAL },
		      { "none", ENOENT } };
	size_t i;
	int fd;

	test_write_file(test_path("regular"), "abc", 3);
	assert_int_equal(symlink(test_path("regular"), test_path("link")), 0);
	assert_int_equal(mkfifo(test_path("pipe"), 0600), 0);
	assert_int_equal(mkdir(test_path("directory"), 0700), 0);
	for (i = 0; i < N_ELEMENTS(cases); i++) {
		errno = 0;
		fd = file_open_regular(AT_FDCWD, test_path(cases[i].name));
		if (fd == -1 ? errno != cases[i].error : cases[i].error != 0)
			fail_msg("%s: %d, %s", cases[i].name, fd,
				 strerror(errno));
		assert_int_equal(file_close(&fd), 0);
	}
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 3);
	/* what cannot be looked at is nothing to read */
	test_faults.fail_at[TEST_OP_FSTAT] =
		test_faults.calls[TEST_OP_FSTAT] + 1;
	test_faults.fail_errno[TEST_OP_FSTAT] = EIO;
	assert_int_equal(file_open_regular(AT_FDCWD, test_path("regular")), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 4);
}

static void test_file_ops_full_disk(void **state ATTR_UNUSED)
{
	assert_true(file_is_full_disk(ENOSPC));
	assert_true(file_is_full_disk(EDQUOT));
	assert_false(file_is_full_disk(EIO));
	assert_false(file_is_full_disk(0));
}

/* close() is called once whatever it answers: the number may be another file's
   by then. */
static void test_file_ops_close(void **state ATTR_UNUSED)
{
	int fd = open_file("close", ""), old_fd = fd;

	assert_int_equal(file_close(&fd), 0);
	assert_int_equal(fd, -1);
	assert_int_equal(fcntl(old_fd, F_GETFD), -1);
	assert_int_equal(file_close(&fd), 0);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
}

static const struct {
	int error, ret;
} close_errors[] = {
	{ EIO, -1 },
	{ ENOSPC, -1 },
	{ EDQUOT, -1 },
	{ EINTR, 0 },
};

static void test_file_ops_close_errors(void **state ATTR_UNUSED)
{
	size_t i;
	int fd;

	for (i = 0; i < N_ELEMENTS(close_errors); i++) {
		test_faults_begin();
		test_faults.fail_at[TEST_OP_CLOSE] = 1;
		test_faults.fail_errno[TEST_OP_CLOSE] = close_errors[i].error;
		fd = open_file("close-errors", "");
		errno = 0;
		assert_int_equal(file_close(&fd), close_errors[i].ret);
		assert_int_equal(fd, -1);
		if (close_errors[i].ret < 0)
			assert_int_equal(errno, close_errors[i].error);
		assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
	}
}

static void test_file_ops_sync_dir(void **state ATTR_UNUSED)
{
	assert_int_equal(file_sync_dir(AT_FDCWD, test_dir()), 0);
	assert_int_equal(test_faults.calls[TEST_OP_OPEN], 1);
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 1);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
	/* files have their own calls */
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC], 0);
	assert_int_equal(test_faults.calls[TEST_OP_FDATASYNC], 0);
}

static void test_file_ops_sync_dir_errors(void **state ATTR_UNUSED)
{
	test_write_file(test_path("no-dir"), "", 0);
	assert_int_equal(file_sync_dir(AT_FDCWD, test_path("no-dir")), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(file_sync_dir(AT_FDCWD, test_path("none")), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 0);

	/* the first error counts, and nothing stays open */
	test_faults_begin();
	test_faults.fail_at[TEST_OP_FSYNC_DIR] = 1;
	test_faults.fail_errno[TEST_OP_FSYNC_DIR] = EIO;
	test_faults.fail_at[TEST_OP_CLOSE] = 1;
	test_faults.fail_errno[TEST_OP_CLOSE] = EBADF;
	assert_int_equal(file_sync_dir(AT_FDCWD, test_dir()), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(test_faults.calls[TEST_OP_FSYNC_DIR], 1);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
}

static const struct {
	const char *path, *dir;
} dirnames[] = {
	{ "file", "." },     { "dir/file", "dir" }, { "a/b/file", "a/b" },
	{ "/file", "/" },    { "/a/file", "/a" },   { "./file", "." },
	{ "../file", ".." }, { "", "." },
};

/* NULL: it is not there. */
static void new_has(const char *text)
{
	buffer_t *buf;

	assert_int_equal(access(test_path("new"), F_OK), text != NULL ? 0 : -1);
	if (text == NULL)
		return;
	buf = test_read_file(test_path("new"));
	assert_string_equal(buffer_c_str(buf), text);
	buffer_free(&buf);
}

/* By a rename, or where the filesystem cannot (an error), by a link. Whatever fails, there is one
   name as before. */
static void test_file_ops_rename_new(void **state ATTR_UNUSED)
{
	static const struct {
		int rename_errno, unlink_errno;
		bool taken;
		int error;
	} rows[] = {
		{ 0, 0, false, 0 },      { 0, 0, true, EEXIST },
		{ EINVAL, 0, false, 0 }, { EINVAL, 0, true, EEXIST },
		{ ENOSYS, 0, false, 0 }, { ENOSYS, 0, true, EEXIST },
		{ EIO, 0, false, EIO },  { EINVAL, EIO, false, EIO },
	};
	size_t i;
	int ret;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_write_file(test_path("old"), "old", 3);
		(void)unlink(test_path("new"));
		if (rows[i].taken)
			test_write_file(test_path("new"), "new", 3);
		test_faults_begin();
		test_faults.fail_errno[TEST_OP_RENAME] = rows[i].rename_errno;
		test_faults.fail_at[TEST_OP_RENAME] = rows[i].rename_errno != 0;
		test_faults.fail_errno[TEST_OP_UNLINK] = rows[i].unlink_errno;
		test_faults.fail_at[TEST_OP_UNLINK] = rows[i].unlink_errno != 0;
		ret = file_rename_new(AT_FDCWD, test_path("old"), AT_FDCWD,
				      test_path("new"));
		assert_int_equal(ret, rows[i].error == 0 ? 0 : -1);
		if (ret < 0)
			assert_int_equal(errno, rows[i].error);
		test_faults_end();
		assert_int_equal(access(test_path("old"), F_OK),
				 ret == 0 ? -1 : 0);
		new_has(ret == 0 ? "old" : rows[i].taken ? "new" : NULL);
	}
}

static void test_file_ops_dirname(void **state ATTR_UNUSED)
{
	size_t i;
	char *dir;

	for (i = 0; i < N_ELEMENTS(dirnames); i++) {
		dir = file_dirname(dirnames[i].path);
		assert_string_equal(dir, dirnames[i].dir);
		i_free(dir);
	}
}

/* The faults themselves, since other tests trust them. */
static void test_file_ops_short_counts(void **state ATTR_UNUSED)
{
	char data[8] = "";
	struct iovec iov[2] = { { data, 0 }, { data, 8 } };
	int fd = open_file("short", "abcdefgh");

	test_faults.max_read = 3;
	test_faults.max_write = 2;
	assert_int_equal(file_read(fd, data, 8), 3);
	assert_int_equal(file_pread(fd, data, 8, 4), 3);
	assert_memory_equal(data, "efg", 3);
	assert_int_equal(file_pread_all(fd, data, 8, 1), 7);
	assert_memory_equal(data, "bcdefgh", 7);
	assert_int_equal(file_writev(fd, iov, 2), 2);
	assert_int_equal(file_pwritev(fd, iov, 2, 0), 2);
	test_faults.zero_write = true;
	assert_int_equal(file_writev(fd, iov, 2), 0);
	assert_int_equal(file_close(&fd), 0);
}

static void test_file_ops_fail_nth(void **state ATTR_UNUSED)
{
	int fd = open_file("nth", "abcdefgh");
	char byte;

	test_faults.fail_at[TEST_OP_READ] = 2;
	test_faults.fail_errno[TEST_OP_READ] = ENOSPC;
	assert_int_equal(file_read(fd, &byte, 1), 1);
	assert_int_equal(file_read(fd, &byte, 1), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(file_read(fd, &byte, 1), 1);
	test_faults.fail_after = true;
	assert_int_equal(file_read(fd, &byte, 1), -1);
	assert_int_equal(test_faults.calls[TEST_OP_READ], 4);
	assert_int_equal(file_close(&fd), 0);
}

#define FAULT_TEST(func) cmocka_unit_test_setup_teardown(func, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_ops_system_is_complete),
		FAULT_TEST(test_file_ops_interrupted),
		FAULT_TEST(test_file_ops_open_is_cancelled),
		FAULT_TEST(test_file_ops_errors),
		FAULT_TEST(test_file_ops_replaced_and_restored),
		FAULT_TEST(test_file_ops_open_sets_mode),
		FAULT_TEST(test_file_ops_open_regular),
		cmocka_unit_test(test_file_ops_full_disk),
		FAULT_TEST(test_file_ops_close),
		FAULT_TEST(test_file_ops_close_errors),
		FAULT_TEST(test_file_ops_sync_dir),
		FAULT_TEST(test_file_ops_sync_dir_errors),
		FAULT_TEST(test_file_ops_rename_new),
		cmocka_unit_test(test_file_ops_dirname),
		FAULT_TEST(test_file_ops_short_counts),
		FAULT_TEST(test_file_ops_fail_nth),
	};

	return cmocka_run_group_tests_name("file-ops", tests, NULL, NULL);
}
