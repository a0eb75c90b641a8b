/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A table of file operations over the one that was in use: what a sync covers is what was
   written before it, and whoever goes on behind it, before its thread does, does not know
   that it is over. */

#include "config.h"
#include "file-ops.h"
#include "schedule-private.h"

static const struct file_ops *below;
static struct file_ops table;

static void before(void)
{
	schedule_point();
	schedule_hold();
}

static void behind(void)
{
	schedule_let_go();
	schedule_point();
}

#define WITH_POINTS(type, name, params, args) \
	static type s_##name params           \
	{                                     \
		type ret;                     \
                                              \
		before();                     \
		ret = below->name args;       \
		behind();                     \
		return ret;                   \
	}

WITH_POINTS(int, openat, (int dir, const char *path, int flags, mode_t mode),
	    (dir, path, flags, mode))
WITH_POINTS(ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
WITH_POINTS(ssize_t, pread, (int fd, void *data, size_t size, off_t offset),
	    (fd, data, size, offset))
WITH_POINTS(ssize_t, writev, (int fd, const struct iovec *iov, int count),
	    (fd, iov, count))
WITH_POINTS(ssize_t, pwritev,
	    (int fd, const struct iovec *iov, int count, off_t offset),
	    (fd, iov, count, offset))
WITH_POINTS(int, ftruncate, (int fd, off_t size), (fd, size))
WITH_POINTS(int, fstatat,
	    (int dir, const char *path, struct stat *st, int flags),
	    (dir, path, st, flags))
WITH_POINTS(int, fdatasync, (int fd), (fd))
WITH_POINTS(int, fsync_dir, (int dir), (dir))
WITH_POINTS(int, renameat2,
	    (int old_dir, const char *old_path, int dir, const char *path,
	     unsigned int flags),
	    (old_dir, old_path, dir, path, flags))
WITH_POINTS(int, linkat,
	    (int old_dir, const char *old_path, int dir, const char *path,
	     int flags),
	    (old_dir, old_path, dir, path, flags))
WITH_POINTS(int, unlinkat, (int dir, const char *path, int flags),
	    (dir, path, flags))
WITH_POINTS(int, mkdirat, (int dir, const char *path, mode_t mode),
	    (dir, path, mode))

void schedule_files_begin(void)
{
	below = file_ops();
	table = *below;
	table.openat = s_openat;
	table.read = s_read;
	table.writev = s_writev;
	table.pread = s_pread;
	table.pwritev = s_pwritev;
	table.ftruncate = s_ftruncate;
	table.fstatat = s_fstatat;
	table.fdatasync = s_fdatasync;
	table.fsync_dir = s_fsync_dir;
	table.renameat2 = s_renameat2;
	table.linkat = s_linkat;
	table.unlinkat = s_unlinkat;
	table.mkdirat = s_mkdirat;
	file_ops_set(&table);
}

void schedule_files_end(void)
{
	file_ops_set(below);
}
