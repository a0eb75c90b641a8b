/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "ends/iostream-named-fd.h"
#include "ends/istream-file-private.h"
#include "ends/ostream-file-private.h"
#include "file-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As the kernel: more links in a row are a circle. */
#define LINKS_MAX 40

/*
 * Names
 */

/* Behind "/proc/1234", or "/1234": NULL where that is not what begins here. */
static const char *skip_number(const char *text, const char *before)
{
	size_t size = strlen(before), digits;

	if (strncmp(text, before, size) != 0)
		return NULL;
	digits = strspn(text + size, "0123456789");
	return digits == 0 ? NULL : text + size + digits;
}

/* Whether the kernel shows a process's (or a thread's) descriptors there. The path
   has no links any more. */
static bool is_fd_dir(const char *dir)
{
	const char *rest = skip_number(dir, "/proc/"), *task;

	if (rest == NULL)
		return false;
	task = skip_number(rest, "/task/");
	return strcmp(task != NULL ? task : rest, "/fd") == 0;
}

static bool is_own(const char *dir)
{
	char *self = realpath("/proc/self", NULL);
	size_t size = self == NULL ? 0 : strlen(self);
	bool own = size > 0 && strncmp(dir, self, size) == 0 &&
		dir[size] == '/';

	free(self);
	return own;
}

/* The part of a path behind its directory. */
static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? path : slash + 1;
}

/* Whether the name in this directory is a descriptor's. */
static bool is_fd(const char *dir, const char *name, int *fd_r)
{
	const char *end = skip_number(name, "");
	long number;

	if (end == NULL || *end != '\0' || !is_fd_dir(dir))
		return false;
	number = strtol(name, NULL, 10);
	*fd_r = !is_own(dir) || number > INT_MAX ? -1 : (int)number;
	return true;
}

/* Where the link of this name in this directory leads, for i_free(); NULL: it is
   no link. */
static char *link_target(const char *dir, const char *name)
{
	char *path = i_strdup_printf("%s/%s", dir, name), target[PATH_MAX];
	ssize_t size = readlink(path, target, sizeof(target));

	i_free(path);
	if (size <= 0 || (size_t)size == sizeof(target))
		return NULL;
	target[size] = '\0';
	return *target == '/' ? i_strdup(target) :
				i_strdup_printf("%s/%s", dir, target);
}

bool path_names_fd(const char *path, int *fd_r)
{
	char *now = i_strdup(path), *next, *parent, *dir;
	unsigned int links = 0;
	bool found = false;

	/* link by link: what they lead to all together is the file behind the
	   descriptor */
	while (now != NULL && !found && links++ <= LINKS_MAX) {
		parent = file_dirname(now);
		dir = realpath(parent, NULL);
		next = NULL;
		if (dir != NULL) {
			found = is_fd(dir, last_part(now), fd_r);
			next = found ? NULL : link_target(dir, last_part(now));
		}
		free(dir);
		i_free(parent);
		i_free(now);
		now = next;
	}
	i_free(now);
	return found;
}

/*
 * Streams
 */

/* A duplicate of the descriptor, or -1 with errno and in *why_r what is in the way.
   `unfit` is the access mode (O_RDONLY, O_WRONLY) with which it is of no use. */
static int duplicate(int fd, int unfit, const char **why_r)
{
	int flags = fcntl(fd, F_GETFL), copy;

	*why_r = "no such descriptor is open";
	if (flags < 0)
		return -1;
	if ((flags & O_ACCMODE) == unfit) {
		*why_r = unfit == O_RDONLY ?
			"the descriptor is open for reading only" :
			"the descriptor is open for writing only";
		errno = EBADF;
		return -1;
	}
	copy = file_ops()->dup(fd);
	*why_r = strerror(errno);
	return copy;
}

struct ostream *o_stream_create_named_fd(const char *path)
{
	struct ostream *stream;
	const char *why;
	int fd;

	if (!path_names_fd(path, &fd))
		return NULL;
	if (fd == -1)
		return o_stream_create_file(path, 0, 0,
					    OSTREAM_CREATE_FILE_FLAG_APPEND);
	fd = duplicate(fd, O_RDONLY, &why);
	if (fd == -1)
		return o_stream_create_error_str(
			errno, "cannot write to %s: %s", path, why);
	stream = o_stream_create_fd_blocking(fd);
	file_ostream(stream->real_stream)->autoclose = true;
	o_stream_set_name(stream, path);
	return stream;
}

struct istream *i_stream_create_named_fd(const char *path)
{
	struct istream *stream;
	const char *why;
	off_t offset;
	int fd;

	if (!path_names_fd(path, &fd))
		return NULL;
	if (fd == -1)
		return i_stream_create_file(path, 0);
	fd = duplicate(fd, O_WRONLY, &why);
	if (fd == -1)
		return i_stream_create_error_str(errno, "cannot read %s: %s",
						 path, why);
	offset = file_ops()->lseek(fd, 0, SEEK_CUR);
	stream = i_stream_create_fd_autoclose(&fd, 0);
	container_of(stream->real_stream, struct file_istream, istream)
		->moves_fd = true;
	i_stream_set_name(stream, path);
	if (offset > 0 && stream->seekable)
		i_stream_seek(stream, (uoff_t)offset);
	return stream;
}
