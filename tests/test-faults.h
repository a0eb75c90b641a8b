/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

/* Faults: a table of file operations over the system's own that counts calls
   and lets chosen ones fail. */

#include "file-ops.h"

enum test_op {
	TEST_OP_OPEN, /* openat and dup */
	TEST_OP_CLOSE,
	TEST_OP_READ,  /* read, pread, recvmsg */
	TEST_OP_WRITE, /* writev, pwritev, sendmsg */
	TEST_OP_COPY,  /* copy_file_range, sendfile, splice */
	TEST_OP_LSEEK,
	TEST_OP_FSTAT, /* fstat and fstatat */
	TEST_OP_FSTATVFS,
	TEST_OP_FCHMOD,
	TEST_OP_FCHOWN,
	TEST_OP_FTRUNCATE,
	TEST_OP_FSYNC,
	TEST_OP_FDATASYNC,
	TEST_OP_FSYNC_DIR,
	TEST_OP_RENAME,
	TEST_OP_LINK,
	TEST_OP_UNLINK,
	TEST_OP_MKDIR,
	TEST_OP_OPENDIR,
	TEST_OP_READDIR,
	TEST_OP_CLOSEDIR,
	TEST_OP_COUNT
};
/* Any thread may do the calls; the rest is set before they start. */
struct test_faults {
	/* calls, without those that were only interrupted */
	_Atomic unsigned int calls[TEST_OP_COUNT];
	/* call number fail_at[op] (1 is the first) fails with fail_errno[op];
	   a close() that fails has closed the fd, as in real life */
	unsigned int fail_at[TEST_OP_COUNT];
	int fail_errno[TEST_OP_COUNT];
	bool fail_after; /* the calls behind that one fail, too */
	/* short counts; 0: no limit. Copies are writes. */
	size_t max_write, max_read;
	/* what can be interrupted is: a call as often as that (at most), then
	   it is done */
	unsigned int eintr;
	bool zero_write; /* writes take nothing */
	/* Of all calls together whose fail_errno is not 0: number fail_nth fails (with
	   fail_after those behind it, too), or, with `shortens`, is the only one that
	   the short counts are for. hit: it came so far. */
	_Atomic unsigned int all_calls;
	unsigned int fail_nth;
	bool shortens;
	_Atomic bool hit;
	/* is told of each sync of a file that fails; may be NULL */
	void (*sync_failed)(int fd);
};
extern struct test_faults test_faults;
/* Call 1 fails, then 2, ..., until a round did not come so far: `hit` is to be the
   number of calls that the round made. */
#define TEST_EACH_CALL(n, hit) for ((n) = 1, (hit) = 0; (hit) + 1 >= (n); (n)++)
/* Puts the table in use, without any fault yet: set some in test_faults. The
   other ends it; use both in a test's setup and teardown if it may fail. */
void test_faults_begin(void);
/* The same over another table than the system's. */
void test_faults_begin_over(const struct file_ops *ops);
void test_faults_end(void);

/* Which directories were synced since the last test_syncs_forget(). */
void test_syncs_forget(void);
/* As file_ops.fsync_dir: notes it. */
int test_noting_fsync_dir(int dir_fd);
bool test_was_synced(const char *path);

#endif
