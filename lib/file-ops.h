/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_FILE_OPS_H
#define BOBBIN_FILE_OPS_H

/* The one table through which both libraries touch files. Each member has the
   system call's own arguments, result and errno; tests replace members to
   inject faults and to record what reached the disk. Nothing else in lib/,
   lib-stream/ and lib-spool/ opens, reads, writes, syncs, renames or removes.
   Not installed. */

#include "types.h"

#include <dirent.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

struct file_ops {
	int (*openat)(int dir_fd, const char *path, int flags, mode_t mode);
	int (*close)(int fd);
	/* another descriptor of the same open file, closed by exec */
	int (*dup)(int fd);
	ssize_t (*read)(int fd, void *data, size_t size);
	ssize_t (*pread)(int fd, void *data, size_t size, off_t offset);
	ssize_t (*writev)(int fd, const struct iovec *iov, int count);
	ssize_t (*pwritev)(int fd, const struct iovec *iov, int count,
			   off_t offset);
	ssize_t (*sendmsg)(int fd, const struct msghdr *msg, int flags);
	ssize_t (*recvmsg)(int fd, struct msghdr *msg, int flags);
	off_t (*lseek)(int fd, off_t offset, int whence);
	int (*fstat)(int fd, struct stat *st);
	int (*fstatat)(int dir_fd, const char *path, struct stat *st,
		       int flags);
	int (*fstatvfs)(int fd, struct statvfs *st);
	int (*fchmod)(int fd, mode_t mode);
	int (*fchown)(int fd, uid_t owner, gid_t group);
	int (*ftruncate)(int fd, off_t size);
	/* FS_IOC_GETFLAGS, and FS_IOC_SETFLAGS with FS_NOCOW_FL besides */
	int (*set_nocow)(int fd);
	int (*fsync)(int fd);
	int (*fdatasync)(int fd);
	/* fsync() of a directory's fd: what makes names durable. */
	int (*fsync_dir)(int dir_fd);
	int (*renameat2)(int old_dir_fd, const char *old_path, int new_dir_fd,
			 const char *new_path, unsigned int flags);
	int (*linkat)(int old_dir_fd, const char *old_path, int new_dir_fd,
		      const char *new_path, int flags);
	int (*unlinkat)(int dir_fd, const char *path, int flags);
	int (*mkdirat)(int dir_fd, const char *path, mode_t mode);
	DIR *(*fdopendir)(int fd);
	struct dirent *(*readdir)(DIR *dir);
	int (*closedir)(DIR *dir);
	ssize_t (*copy_file_range)(int in_fd, off_t *in_offset, int out_fd,
				   off_t *out_offset, size_t size,
				   unsigned int flags);
	ssize_t (*sendfile)(int out_fd, int in_fd, off_t *offset, size_t size);
	ssize_t (*splice)(int in_fd, off_t *in_offset, int out_fd,
			  off_t *out_offset, size_t size, unsigned int flags);
};

/* The system's own calls. */
extern const struct file_ops file_ops_system;

/* The table in use: file_ops_system, until file_ops_set() replaces it. Set it
   only while no other thread uses the library; NULL restores the default. */
const struct file_ops *file_ops(void);
void file_ops_set(const struct file_ops *ops);

/* As the members, but repeated on EINTR. Opening a FIFO waits for its other end:
   who wants a signal to end that puts a table in use whose openat() says ECANCELED
   for EINTR once the signal has come. */
int file_open(int dir_fd, const char *path, int flags, mode_t mode);
ssize_t file_read(int fd, void *data, size_t size);
ssize_t file_pread(int fd, void *data, size_t size, off_t offset);
/* The same until all of it was read, or the file ends: only then it is less. */
ssize_t file_pread_all(int fd, void *data, size_t size, off_t offset);
ssize_t file_writev(int fd, const struct iovec *iov, int count);
ssize_t file_pwritev(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t file_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t file_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t file_copy_file_range(int in_fd, off_t in_offset, int out_fd,
			     off_t out_offset, size_t size);
ssize_t file_sendfile(int out_fd, int in_fd, off_t offset, size_t size);
/* out_offset NULL: where out_fd stands, as it must be for a pipe or a socket. */
ssize_t file_splice(int in_fd, int out_fd, off_t *out_offset, size_t size,
		    unsigned int flags);
int file_fdatasync(int fd);
/* Renames, and replaces nothing: EEXIST. Where a filesystem cannot do that (NFS, ZFS, many of
   FUSE) it is by a link: a crash may leave both names then. */
int file_rename_new(int old_dir_fd, const char *old_path, int new_dir_fd,
		    const char *new_path);
int file_sync_dir_fd(int dir_fd);
/* Closes *fd once (never again after EINTR) and sets it to -1; -1 and errno
   where close() reports a late write error. A *fd of -1 is 0. */
int file_close(int *fd);
/* Opens a regular file for reading, and nothing else that may have its name: a link
   is not followed, a fifo not waited for, a device not touched more than by open().
   -1 with errno; EINVAL: it is something else. */
int file_open_regular(int dir_fd, const char *path);
/* Whether the error says that there is no space: a quota is a disk, too. */
bool file_is_full_disk(int error);
/* Opens the directory, makes its names durable, closes it. */
int file_sync_dir(int dir_fd, const char *path);
/* The directory part of path, "." where it has none; for i_free(). */
char *file_dirname(const char *path);

#endif
