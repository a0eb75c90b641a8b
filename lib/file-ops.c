/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "file-ops.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <unistd.h>

static int system_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	return openat(dir_fd, path, flags, mode);
}

static int system_dup(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

static int system_set_nocow(int fd)
{
	int flags;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -1;
	flags |= FS_NOCOW_FL;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* Not every C library has a function for it. */
static int system_renameat2(int old_dir_fd, const char *old_path,
			    int new_dir_fd, const char *new_path,
			    unsigned int flags)
{
	return (int)syscall(SYS_renameat2, old_dir_fd, old_path, new_dir_fd,
			    new_path, flags);
}

const struct file_ops file_ops_system = {
	.openat = system_openat,
	.close = close,
	.dup = system_dup,
	.read = read,
	.pread = pread,
	.writev = writev,
	.pwritev = pwritev,
	.sendmsg = sendmsg,
	.recvmsg = recvmsg,
	.lseek = lseek,
	.fstat = fstat,
	.fstatat = fstatat,
	.fstatvfs = fstatvfs,
	.fchmod = fchmod,
	.fchown = fchown,
	.ftruncate = ftruncate,
	.set_nocow = system_set_nocow,
	.fsync = fsync,
	.fdatasync = fdatasync,
	.fsync_dir = fsync,
	.renameat2 = system_renameat2,
	.linkat = linkat,
	.unlinkat = unlinkat,
	.mkdirat = mkdirat,
	.fdopendir = fdopendir,
	.readdir = readdir,
	.closedir = closedir,
	.copy_file_range = copy_file_range,
	.sendfile = sendfile,
	.splice = splice,
};

static const struct file_ops *current_ops = &file_ops_system;

const struct file_ops *file_ops(void)
{
	return current_ops;
}

void file_ops_set(const struct file_ops *ops)
{
	current_ops = ops != NULL ? ops : &file_ops_system;
}

/* Repeats a call for as long as a signal interrupts it. */
#define RETRY_EINTR(type, call)              \
	type ret;                            \
	do {                                 \
		ret = (call);                \
	} while (ret < 0 && errno == EINTR); \
	return ret

int file_open(int dir_fd, const char *path, int flags, mode_t mode)
{
	RETRY_EINTR(int, current_ops->openat(dir_fd, path, flags, mode));
}

ssize_t file_read(int fd, void *data, size_t size)
{
	RETRY_EINTR(ssize_t, current_ops->read(fd, data, size));
}

ssize_t file_pread(int fd, void *data, size_t size, off_t offset)
{
	RETRY_EINTR(ssize_t, current_ops->pread(fd, data, size, offset));
}

ssize_t file_pread_all(int fd, void *data, size_t size, off_t offset)
{
	unsigned char *to = data;
	size_t done = 0;
	ssize_t ret = 1;

	while (ret > 0 && done < size) {
		ret = file_pread(fd, to + done, size - done,
				 offset + (off_t)done);
		if (ret > 0)
			done += (size_t)ret;
	}
	return ret < 0 ? -1 : (ssize_t)done;
}

ssize_t file_writev(int fd, const struct iovec *iov, int count)
{
	RETRY_EINTR(ssize_t, current_ops->writev(fd, iov, count));
}

ssize_t file_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	RETRY_EINTR(ssize_t, current_ops->pwritev(fd, iov, count, offset));
}

ssize_t file_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	RETRY_EINTR(ssize_t, current_ops->sendmsg(fd, msg, flags));
}

ssize_t file_recvmsg(int fd, struct msghdr *msg, int flags)
{
	RETRY_EINTR(ssize_t, current_ops->recvmsg(fd, msg, flags));
}

ssize_t file_copy_file_range(int in_fd, off_t in_offset, int out_fd,
			     off_t out_offset, size_t size)
{
	RETRY_EINTR(ssize_t,
		    current_ops->copy_file_range(in_fd, &in_offset, out_fd,
						 &out_offset, size, 0));
}

ssize_t file_sendfile(int out_fd, int in_fd, off_t offset, size_t size)
{
	RETRY_EINTR(ssize_t,
		    current_ops->sendfile(out_fd, in_fd, &offset, size));
}

ssize_t file_splice(int in_fd, int out_fd, off_t *out_offset, size_t size,
		    unsigned int flags)
{
	RETRY_EINTR(ssize_t,
		    current_ops->splice(in_fd, NULL, out_fd, out_offset, size,
					flags));
}

int file_fdatasync(int fd)
{
	RETRY_EINTR(int, current_ops->fdatasync(fd));
}

static int rename_by_link(int old_dir_fd, const char *old_path, int new_dir_fd,
			  const char *new_path)
{
	int error;

	if (file_ops()->linkat(old_dir_fd, old_path, new_dir_fd, new_path, 0) <
	    0)
		return -1;
	if (file_ops()->unlinkat(old_dir_fd, old_path, 0) == 0)
		return 0;
	error = errno;
	(void)file_ops()->unlinkat(new_dir_fd, new_path, 0);
	errno = error;
	return -1;
}

int file_rename_new(int old_dir_fd, const char *old_path, int new_dir_fd,
		    const char *new_path)
{
	int ret = file_ops()->renameat2(old_dir_fd, old_path, new_dir_fd,
					new_path, RENAME_NOREPLACE);

	return ret < 0 && (errno == EINVAL || errno == ENOSYS) ?
		rename_by_link(old_dir_fd, old_path, new_dir_fd, new_path) :
		ret;
}

int file_close(int *_fd)
{
	int fd = *_fd;

	if (fd == -1)
		return 0;
	*_fd = -1;
	/* Linux has released the fd even when a signal interrupted it */
	if (current_ops->close(fd) < 0 && errno != EINTR)
		return -1;
	return 0;
}

int file_open_regular(int dir_fd, const char *path)
{
	const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
		O_NOCTTY;
	struct stat st;
	int fd, error;

	fd = file_open(dir_fd, path, flags, 0);
	if (fd < 0) {
		/* a link; a socket or a device without a driver */
		if (errno == ELOOP || errno == ENXIO || errno == ENODEV)
			errno = EINVAL;
		return -1;
	}
	if (current_ops->fstat(fd, &st) < 0)
		error = errno;
	else if (!S_ISREG(st.st_mode))
		error = EINVAL;
	else
		return fd;
	(void)file_close(&fd);
	errno = error;
	return -1;
}

int file_sync_dir(int dir_fd, const char *path)
{
	int fd, ret, old_errno;

	fd = file_open(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	ret = file_sync_dir_fd(fd);
	old_errno = errno;
	(void)file_close(&fd);
	errno = old_errno;
	return ret;
}

int file_sync_dir_fd(int dir_fd)
{
	RETRY_EINTR(int, current_ops->fsync_dir(dir_fd));
}

bool file_is_full_disk(int error)
{
	return error == ENOSPC || error == EDQUOT;
}

char *file_dirname(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return i_strdup(".");
	return slash == path ? i_strdup("/") :
			       i_strndup(path, (size_t)(slash - path));
}
