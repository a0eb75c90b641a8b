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

static int s_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
	int ret;

	before();
	ret = below->openat(dir_fd, path, flags, mode);
	behind();
	return ret;
}

static ssize_t s_read(int fd, void *data, size_t size)
{
	ssize_t ret;

	before();
	ret = below->read(fd, data, size);
	behind();
	return ret;
}

static ssize_t s_writev(int fd, const struct iovec *iov, int count)
{
	ssize_t ret;

	before();
	ret = below->writev(fd, iov, count);
	behind();
	return ret;
}

static ssize_t s_pread(int fd, void *data, size_t size, off_t offset)
{
	ssize_t ret;

	before();
	ret = below->pread(fd, data, size, offset);
	behind();
	return ret;
}

static ssize_t s_pwritev(int fd, const struct iovec *iov, int count,
			 off_t offset)
{
	ssize_t ret;

	before();
	ret = below->pwritev(fd, iov, count, offset);
	behind();
	return ret;
}

static int s_ftruncate(int fd, off_t size)
{
	int ret;

	before();
	ret = below->ftruncate(fd, size);
	behind();
	return ret;
}

static int s_fdatasync(int fd)
{
	int ret;

	before();
	ret = below->fdatasync(fd);
	behind();
	return ret;
}

static int s_fsync_dir(int dir_fd)
{
	int ret;

	before();
	ret = below->fsync_dir(dir_fd);
	behind();
	return ret;
}

static int s_renameat2(int old_fd, const char *old_path, int new_fd,
		       const char *new_path, unsigned int flags)
{
	int ret;

	before();
	ret = below->renameat2(old_fd, old_path, new_fd, new_path, flags);
	behind();
	return ret;
}

static int s_linkat(int old_fd, const char *old_path, int new_fd,
		    const char *new_path, int flags)
{
	int ret;

	before();
	ret = below->linkat(old_fd, old_path, new_fd, new_path, flags);
	behind();
	return ret;
}

static int s_unlinkat(int dir_fd, const char *path, int flags)
{
	int ret;

	before();
	ret = below->unlinkat(dir_fd, path, flags);
	behind();
	return ret;
}

static int s_mkdirat(int dir_fd, const char *path, mode_t mode)
{
	int ret;

	before();
	ret = below->mkdirat(dir_fd, path, mode);
	behind();
	return ret;
}

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
