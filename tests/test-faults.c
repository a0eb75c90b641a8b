/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "macros.h"
#include "panic.h"
#include "test-faults.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

struct test_faults test_faults;
static _Atomic unsigned int interrupts;
/* What does what is asked for. */
static const struct file_ops *base = &file_ops_system;
/* This call is the one that is to be short. */
static _Thread_local bool shortened;

static bool can_be_interrupted(enum test_op op)
{
	switch (op) {
	case TEST_OP_OPEN:
	case TEST_OP_READ:
	case TEST_OP_WRITE:
	case TEST_OP_COPY:
	case TEST_OP_FTRUNCATE:
	case TEST_OP_FSYNC:
	case TEST_OP_FDATASYNC:
	case TEST_OP_FSYNC_DIR:
		return true;
	default:
		return false;
	}
}

/* Of all that can fail: whether it is this call's turn. */
static bool is_nth(enum test_op op)
{
	unsigned int call;

	if (test_faults.fail_errno[op] == 0)
		return false;
	call = ++test_faults.all_calls;
	if (test_faults.fail_nth == 0 || call < test_faults.fail_nth ||
	    (call > test_faults.fail_nth && !test_faults.fail_after))
		return false;
	test_faults.hit |= !test_faults.shortens;
	shortened = test_faults.shortens;
	errno = test_faults.fail_errno[op];
	return !shortened;
}

/* Counts the call; true where it is to fail, with errno set. */
static bool faulty(enum test_op op)
{
	unsigned int call, at = test_faults.fail_at[op];

	if (test_faults.eintr > 0 && can_be_interrupted(op) &&
	    interrupts++ % (test_faults.eintr + 1) < test_faults.eintr) {
		errno = EINTR;
		return true;
	}
	call = ++test_faults.calls[op];
	if (is_nth(op))
		return true;
	if (at == 0 || call < at || (call > at && !test_faults.fail_after))
		return false;
	errno = test_faults.fail_errno[op];
	return true;
}

static int t_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	return faulty(TEST_OP_OPEN) ? -1 :
				      base->openat(dir_fd, path, flags, mode);
}

static int t_dup(int fd)
{
	return faulty(TEST_OP_OPEN) ? -1 : base->dup(fd);
}

static int t_close(int fd)
{
	bool fail = faulty(TEST_OP_CLOSE);
	int ret = base->close(fd);

	if (!fail)
		return ret;
	errno = test_faults.fail_errno[TEST_OP_CLOSE];
	return -1;
}

static size_t short_count(size_t size, size_t max)
{
	if (test_faults.shortens && !shortened)
		max = 0;
	shortened = false;
	return max != 0 && size > max ? max : size;
}

static ssize_t t_read(int fd, void *data, size_t size)
{
	if (faulty(TEST_OP_READ))
		return -1;
	return base->read(fd, data, short_count(size, test_faults.max_read));
}

static ssize_t t_pread(int fd, void *data, size_t size, off_t offset)
{
	if (faulty(TEST_OP_READ))
		return -1;
	return base->pread(fd, data, short_count(size, test_faults.max_read),
			   offset);
}

/* A shorter first vector, for a short write. */
static struct iovec first_vector(const struct iovec *iov, size_t count)
{
	struct iovec first = { NULL, 0 };
	size_t i;

	for (i = 0; i < count && first.iov_len == 0; i++)
		first = iov[i];
	first.iov_len = short_count(first.iov_len, test_faults.max_write);
	return first;
}

static ssize_t t_writev(int fd, const struct iovec *iov, int count)
{
	struct iovec first;

	if (faulty(TEST_OP_WRITE))
		return -1;
	if (test_faults.zero_write)
		return 0;
	if (test_faults.max_write == 0)
		return base->writev(fd, iov, count);
	first = first_vector(iov, (size_t)count);
	return base->writev(fd, &first, 1);
}

static ssize_t t_pwritev(int fd, const struct iovec *iov, int count,
			 off_t offset)
{
	struct iovec first;

	if (faulty(TEST_OP_WRITE))
		return -1;
	if (test_faults.zero_write)
		return 0;
	if (test_faults.max_write == 0)
		return base->pwritev(fd, iov, count, offset);
	first = first_vector(iov, (size_t)count);
	return base->pwritev(fd, &first, 1, offset);
}

static ssize_t t_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct msghdr short_msg = *msg;
	struct iovec first;

	if (faulty(TEST_OP_WRITE))
		return -1;
	if (test_faults.zero_write)
		return 0;
	if (test_faults.max_write != 0) {
		first = first_vector(msg->msg_iov, msg->msg_iovlen);
		short_msg.msg_iov = &first;
		short_msg.msg_iovlen = 1;
	}
	return base->sendmsg(fd, &short_msg, flags);
}

static ssize_t t_recvmsg(int fd, struct msghdr *msg, int flags)
{
	if (faulty(TEST_OP_READ))
		return -1;
	if (test_faults.max_read != 0 && msg->msg_iovlen > 0) {
		msg->msg_iovlen = 1;
		msg->msg_iov[0].iov_len =
			I_MIN(msg->msg_iov[0].iov_len, test_faults.max_read);
	}
	return base->recvmsg(fd, msg, flags);
}

static ssize_t t_copy_file_range(int in_fd, off_t *in_offset, int out_fd,
				 off_t *out_offset, size_t size,
				 unsigned int flags)
{
	if (faulty(TEST_OP_COPY))
		return -1;
	size = short_count(size, test_faults.max_write);
	return base->copy_file_range(in_fd, in_offset, out_fd, out_offset, size,
				     flags);
}

static ssize_t t_sendfile(int out_fd, int in_fd, off_t *offset, size_t size)
{
	if (faulty(TEST_OP_COPY))
		return -1;
	size = short_count(size, test_faults.max_write);
	return base->sendfile(out_fd, in_fd, offset, size);
}

static ssize_t t_splice(int in_fd, off_t *in_offset, int out_fd,
			off_t *out_offset, size_t size, unsigned int flags)
{
	if (faulty(TEST_OP_COPY))
		return -1;
	size = short_count(size, test_faults.max_write);
	return base->splice(in_fd, in_offset, out_fd, out_offset, size, flags);
}

static off_t t_lseek(int fd, off_t offset, int whence)
{
	return faulty(TEST_OP_LSEEK) ? -1 : base->lseek(fd, offset, whence);
}

static int t_fstatat(int dir_fd, const char *path, struct stat *st, int flags)
{
	return faulty(TEST_OP_FSTAT) ? -1 :
				       base->fstatat(dir_fd, path, st, flags);
}

static int t_fstatvfs(int fd, struct statvfs *st)
{
	return faulty(TEST_OP_FSTATVFS) ? -1 : base->fstatvfs(fd, st);
}

static int t_fchmod(int fd, mode_t mode)
{
	return faulty(TEST_OP_FCHMOD) ? -1 : base->fchmod(fd, mode);
}

static int t_fchown(int fd, uid_t owner, gid_t group)
{
	return faulty(TEST_OP_FCHOWN) ? -1 : base->fchown(fd, owner, group);
}

static int t_ftruncate(int fd, off_t size)
{
	return faulty(TEST_OP_FTRUNCATE) ? -1 : base->ftruncate(fd, size);
}

/* Whose answer nobody looks at. */
static int t_set_nocow(int fd)
{
	return base->set_nocow(fd);
}

static int fail_sync(int fd)
{
	int error = errno;

	if (test_faults.sync_failed != NULL)
		test_faults.sync_failed(fd);
	errno = error;
	return -1;
}

static int t_fsync(int fd)
{
	return faulty(TEST_OP_FSYNC) ? fail_sync(fd) : base->fsync(fd);
}

static int t_fstat(int fd, struct stat *st)
{
	return faulty(TEST_OP_FSTAT) ? -1 : base->fstat(fd, st);
}

static int t_fdatasync(int fd)
{
	return faulty(TEST_OP_FDATASYNC) ? fail_sync(fd) : base->fdatasync(fd);
}

static int t_fsync_dir(int fd)
{
	return faulty(TEST_OP_FSYNC_DIR) ? -1 : base->fsync_dir(fd);
}

static int t_renameat2(int old_fd, const char *old_path, int new_fd,
		       const char *new_path, unsigned int flags)
{
	return faulty(TEST_OP_RENAME) ?
		-1 :
		base->renameat2(old_fd, old_path, new_fd, new_path, flags);
}

static int t_linkat(int old_fd, const char *old_path, int new_fd,
		    const char *new_path, int flags)
{
	return faulty(TEST_OP_LINK) ?
		-1 :
		base->linkat(old_fd, old_path, new_fd, new_path, flags);
}

static int t_unlinkat(int fd, const char *path, int flags)
{
	return faulty(TEST_OP_UNLINK) ? -1 : base->unlinkat(fd, path, flags);
}

static int t_mkdirat(int fd, const char *path, mode_t mode)
{
	return faulty(TEST_OP_MKDIR) ? -1 : base->mkdirat(fd, path, mode);
}

static DIR *t_fdopendir(int fd)
{
	return faulty(TEST_OP_OPENDIR) ? NULL : base->fdopendir(fd);
}

static struct dirent *t_readdir(DIR *dir)
{
	return faulty(TEST_OP_READDIR) ? NULL : base->readdir(dir);
}

static int t_closedir(DIR *dir)
{
	bool fail = faulty(TEST_OP_CLOSEDIR);
	int ret = base->closedir(dir);

	if (!fail)
		return ret;
	errno = test_faults.fail_errno[TEST_OP_CLOSEDIR];
	return -1;
}

static const struct file_ops faulty_ops = {
	.openat = t_openat,
	.close = t_close,
	.dup = t_dup,
	.read = t_read,
	.pread = t_pread,
	.writev = t_writev,
	.pwritev = t_pwritev,
	.sendmsg = t_sendmsg,
	.recvmsg = t_recvmsg,
	.lseek = t_lseek,
	.fstat = t_fstat,
	.fstatat = t_fstatat,
	.fstatvfs = t_fstatvfs,
	.fchmod = t_fchmod,
	.fchown = t_fchown,
	.ftruncate = t_ftruncate,
	.set_nocow = t_set_nocow,
	.fsync = t_fsync,
	.fdatasync = t_fdatasync,
	.fsync_dir = t_fsync_dir,
	.renameat2 = t_renameat2,
	.linkat = t_linkat,
	.unlinkat = t_unlinkat,
	.mkdirat = t_mkdirat,
	.fdopendir = t_fdopendir,
	.readdir = t_readdir,
	.closedir = t_closedir,
	.copy_file_range = t_copy_file_range,
	.sendfile = t_sendfile,
	.splice = t_splice,
};

void test_faults_begin_over(const struct file_ops *ops)
{
	memset(&test_faults, 0, sizeof(test_faults));
	interrupts = 0;
	base = ops;
	file_ops_set(&faulty_ops);
}

void test_faults_begin(void)
{
	test_faults_begin_over(&file_ops_system);
}

void test_faults_end(void)
{
	file_ops_set(NULL);
}

/* By their inodes. */
static struct {
	ino_t inodes[32];
	unsigned int count;
} synced;

void test_syncs_forget(void)
{
	synced.count = 0;
}

int test_noting_fsync_dir(int dir_fd)
{
	struct stat st;

	i_assert(fstat(dir_fd, &st) == 0);
	i_assert(synced.count < N_ELEMENTS(synced.inodes));
	synced.inodes[synced.count++] = st.st_ino;
	return base->fsync_dir(dir_fd);
}

bool test_was_synced(const char *path)
{
	struct stat st;
	unsigned int n;

	i_assert(stat(path, &st) == 0);
	for (n = 0; n < synced.count; n++) {
		if (synced.inodes[n] == st.st_ino)
			return true;
	}
	return false;
}
