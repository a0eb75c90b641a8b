/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "journal/journal-files.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* Part of the process's descriptors that may be files that nobody uses. */
#define OPEN_PART 8
#define OPEN_LEAST 8
#define OPEN_MOST 1024

struct journal_file {
	struct journal_files *files;
	uint32_t number;
	/* Under the mutex of all. */
	int fd; /* -1: it is not open */
	unsigned int users;
	/* Of those that nobody uses; link NULL: somebody does. */
	struct journal_file *next, **link;
};

void journal_segment_name(uint32_t number, char name_r[JOURNAL_NAME_SIZE])
{
	(void)snprintf(name_r, JOURNAL_NAME_SIZE, "%08u.seg",
		       number % 100000000u);
}

void journal_gone_name(uint32_t number, char name_r[JOURNAL_GONE_NAME_SIZE])
{
	(void)snprintf(name_r, JOURNAL_GONE_NAME_SIZE, "%08u.gone",
		       number % 100000000u);
}

void journal_files_init(struct journal_files *files, bool read_only)
{
	struct rlimit limit;
	rlim_t most = OPEN_LEAST;

	memset(files, 0, sizeof(*files));
	files->dir_fd = -1;
	files->read_only = read_only;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		most = I_MAX(most, limit.rlim_cur / OPEN_PART);
	files->open_max = (unsigned int)I_MIN(most, (rlim_t)OPEN_MOST);
	files->idle_end = &files->idle;
	(void)pthread_mutex_init(&files->mutex, NULL);
}

void journal_files_deinit(struct journal_files *files)
{
	(void)pthread_mutex_destroy(&files->mutex);
}

struct journal_file *journal_file_new(struct journal_files *files,
				      uint32_t number)
{
	struct journal_file *file = i_new(struct journal_file, 1);

	file->files = files;
	file->number = number;
	file->fd = -1;
	return file;
}

/*
 * Those that nobody uses: with the mutex
 */

static void add_idle(struct journal_file *file)
{
	file->next = NULL;
	file->link = file->files->idle_end;
	*file->link = file;
	file->files->idle_end = &file->next;
}

static void remove_idle(struct journal_file *file)
{
	if (file->link == NULL)
		return;
	*file->link = file->next;
	if (file->next != NULL)
		file->next->link = file->link;
	else
		file->files->idle_end = file->link;
	file->link = NULL;
}

/* The descriptor of the one that was used longest ago, which is the caller's. */
static int take_idle_fd(struct journal_files *files)
{
	struct journal_file *file = files->idle;
	int fd;

	if (file == NULL)
		return -1;
	remove_idle(file);
	fd = file->fd;
	file->fd = -1;
	files->open_count--;
	return fd;
}

/*
 * Opening and closing
 */

static bool close_idle(struct journal_files *files, unsigned int open_most)
{
	int fd = -1;

	(void)pthread_mutex_lock(&files->mutex);
	if (files->open_count > open_most)
		fd = take_idle_fd(files);
	(void)pthread_mutex_unlock(&files->mutex);
	if (fd == -1)
		return false;
	(void)file_close(&fd);
	return true;
}

static void close_surplus(struct journal_files *files)
{
	while (close_idle(files, files->open_max))
		;
}

int journal_files_open(struct journal_files *files, const char *name, int flags)
{
	int fd, error;

	for (;;) {
		fd = file_open(files->dir_fd, name, flags, 0600);
		if (fd >= 0 || (errno != EMFILE && errno != ENFILE))
			return fd;
		error = errno;
		if (!close_idle(files, 0)) {
			errno = error;
			return -1;
		}
	}
}

static int open_file(const struct journal_file *file)
{
	struct journal_files *files = file->files;
	int flags = (files->read_only ? O_RDONLY : O_RDWR) | O_NOFOLLOW |
		O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	char name[JOURNAL_NAME_SIZE];

	journal_segment_name(file->number, name);
	return journal_files_open(files, name, flags);
}

/* Whoever is second has opened it in vain. */
static int use(struct journal_file *file, int fd)
{
	int used;

	(void)pthread_mutex_lock(&file->files->mutex);
	if (file->fd == -1) {
		file->fd = fd;
		file->files->open_count++;
		fd = -1;
	}
	remove_idle(file);
	file->users++;
	used = file->fd;
	(void)pthread_mutex_unlock(&file->files->mutex);
	(void)file_close(&fd);
	return used;
}

int journal_file_hold(struct journal_file *file)
{
	int fd;

	(void)pthread_mutex_lock(&file->files->mutex);
	fd = file->fd;
	if (fd != -1) {
		remove_idle(file);
		file->users++;
	}
	(void)pthread_mutex_unlock(&file->files->mutex);
	if (fd != -1)
		return fd;
	fd = open_file(file);
	return fd < 0 ? -1 : use(file, fd);
}

void journal_file_let_go(struct journal_file *file)
{
	int error = errno;

	(void)pthread_mutex_lock(&file->files->mutex);
	if (--file->users == 0)
		add_idle(file);
	(void)pthread_mutex_unlock(&file->files->mutex);
	close_surplus(file->files);
	errno = error;
}

void journal_file_adopt(struct journal_file *file, int fd)
{
	(void)use(file, fd);
	journal_file_let_go(file);
}

void journal_file_free(struct journal_file **_file)
{
	struct journal_file *file = *_file;

	*_file = NULL;
	if (file == NULL)
		return;
	(void)pthread_mutex_lock(&file->files->mutex);
	remove_idle(file);
	if (file->fd != -1)
		file->files->open_count--;
	(void)pthread_mutex_unlock(&file->files->mutex);
	(void)file_close(&file->fd);
	i_free(file);
}

/*
 * Reading and writing
 */

ssize_t journal_file_read_some(struct journal_file *file, void *data,
			       size_t size, uint64_t offset)
{
	int fd = journal_file_hold(file);
	ssize_t ret;

	if (fd < 0)
		return -1;
	ret = file_pread_all(fd, data, size, (off_t)offset);
	journal_file_let_go(file);
	return ret;
}

int journal_file_read(struct journal_file *file, void *data, size_t size,
		      uint64_t offset)
{
	ssize_t ret = journal_file_read_some(file, data, size, offset);

	return ret < 0 ? -1 : (size_t)ret == size ? 1 : 0;
}

int journal_pwrite_all(int fd, const void *data, size_t size, uint64_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)data, size };
	ssize_t ret;

	while (iov.iov_len > 0) {
		ret = file_pwritev(fd, &iov, 1, (off_t)offset);
		if (ret <= 0) {
			if (ret == 0)
				errno = ENOSPC;
			return -1;
		}
		iov.iov_base = (char *)iov.iov_base + ret;
		iov.iov_len -= (size_t)ret;
		offset += (uint64_t)ret;
	}
	return 0;
}

int journal_file_write(struct journal_file *file, const void *data, size_t size,
		       uint64_t offset)
{
	int fd = journal_file_hold(file), ret;

	if (fd < 0)
		return -1;
	ret = journal_pwrite_all(fd, data, size, offset);
	journal_file_let_go(file);
	return ret;
}
