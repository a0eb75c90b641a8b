/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A file that appears whole or not at all. What a crash leaves, by step:
   before the rename, the temporary file and nothing under the name (the
   temporary file is removed by whoever owns the directory); after the rename
   and before the directory's fsync, either; after that, the whole file. Only
   then does finish say 1. */

#include "config.h"
#include "ends/iostream-named-fd.h"
#include "ends/ostream-file-private.h"
#include "file-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 64 random bits: no two writers meet, and nobody can guess the name. */
#define TMP_NAME_SIZE sizeof(".bobbin-tmp-0123456789abcdef")

struct atomic_ostream {
	struct file_ostream file;
	int dir_fd, tmp_dir_fd;
	char *name;
	char tmp_name[TMP_NAME_SIZE];
	enum ostream_file_atomic_flags flags;
	bool own_dir_fd:1;
	bool tmp_exists:1;
	bool published:1;
};

static struct atomic_ostream *atomic_ostream(struct ostream_private *stream)
{
	return container_of(stream, struct atomic_ostream, file.ostream);
}

static int atomic_fail(struct atomic_ostream *atomic, const char *what)
{
	return o_stream_fail(&atomic->file.ostream, errno, "%s(%s) failed: %s",
			     what,
			     o_stream_get_name(&atomic->file.ostream.ostream),
			     strerror(errno));
}

/* Puts the name in place of the temporary one. */
static int atomic_rename(struct atomic_ostream *atomic)
{
	int ret;

	if ((atomic->flags & OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE) != 0)
		ret = file_rename_new(atomic->tmp_dir_fd, atomic->tmp_name,
				      atomic->dir_fd, atomic->name);
	else
		ret = file_ops()->renameat2(atomic->tmp_dir_fd,
					    atomic->tmp_name, atomic->dir_fd,
					    atomic->name, 0);
	if (ret < 0)
		return atomic_fail(atomic, "rename");
	atomic->tmp_exists = false;
	return 0;
}

/* The name stands, and may not outlast a crash. One that nobody had before is given back:
   who was told "no" finds nothing, and may try again. */
static int fail_behind_rename(struct atomic_ostream *atomic)
{
	bool is_new = (atomic->flags & OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE) !=
		0;
	int ret = atomic_fail(atomic, "fsync of the directory");

	if (is_new)
		(void)file_ops()->unlinkat(atomic->dir_fd, atomic->name, 0);
	return ret;
}

/* Every step's error is final: after a failed sync nobody knows what is on the
   disk, and a second try would lie. */
static int atomic_publish(struct atomic_ostream *atomic)
{
	bool sync = (atomic->flags & OSTREAM_FILE_ATOMIC_FLAG_NO_SYNC) == 0;

	if (sync && file_fdatasync(atomic->file.ostream.fd) < 0)
		return atomic_fail(atomic, "fdatasync");
	if (file_ostream_close_fd(&atomic->file) < 0)
		return -1;
	if (atomic_rename(atomic) < 0)
		return -1;
	if (!sync)
		return 0;
	if (file_sync_dir_fd(atomic->dir_fd) < 0)
		return fail_behind_rename(atomic);
	/* the temporary directory needs no sync: a name that comes back there
	   is a left-over like any other */
	return 0;
}

static int o_stream_file_atomic_flush(struct ostream_private *stream,
				      enum ostream_flush_mode mode)
{
	struct atomic_ostream *atomic = atomic_ostream(stream);
	int ret;

	if (atomic->published)
		return 1;
	ret = file_ostream_flush(stream, mode);
	if (ret <= 0 || mode != OSTREAM_FINISH)
		return ret;
	if (atomic_publish(atomic) < 0)
		return -1;
	atomic->published = true;
	return 1;
}

static void o_stream_file_atomic_close(struct iostream_private *stream,
				       bool close_parent)
{
	struct atomic_ostream *atomic = container_of(
		stream, struct atomic_ostream, file.ostream.iostream);

	if (atomic->tmp_exists) {
		(void)file_ops()->unlinkat(atomic->tmp_dir_fd, atomic->tmp_name,
					   0);
		atomic->tmp_exists = false;
	}
	file_ostream_close(stream, close_parent);
	if (atomic->own_dir_fd)
		(void)file_close(&atomic->dir_fd);
}

static void o_stream_file_atomic_destroy(struct iostream_private *stream)
{
	struct atomic_ostream *atomic = container_of(
		stream, struct atomic_ostream, file.ostream.iostream);

	i_free(atomic->name);
}

static int atomic_open_tmp(struct atomic_ostream *atomic, mode_t mode)
{
	uint32_t random[2];
	int fd;

	randombytes_buf(random, sizeof(random));
	(void)snprintf(atomic->tmp_name, sizeof(atomic->tmp_name),
		       ".bobbin-tmp-%08x%08x", random[0], random[1]);
	fd = file_open(atomic->tmp_dir_fd, atomic->tmp_name,
		       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       mode);
	atomic->tmp_exists = fd >= 0;
	return fd;
}

/* `dir` is for the error's text. */
static struct ostream *atomic_create(int dir_fd, bool own_dir_fd,
				     int tmp_dir_fd, const char *dir,
				     const char *name, const char *stream_name,
				     mode_t mode,
				     enum ostream_file_atomic_flags flags)
{
	struct atomic_ostream *atomic = i_new(struct atomic_ostream, 1);
	struct ostream *stream;
	int fd, open_errno;

	atomic->dir_fd = dir_fd;
	atomic->tmp_dir_fd = tmp_dir_fd;
	atomic->own_dir_fd = own_dir_fd;
	atomic->name = i_strdup(name);
	atomic->flags = flags;
	atomic->file.autoclose = true;
	atomic->file.ostream.iostream.close = o_stream_file_atomic_close;
	atomic->file.ostream.iostream.destroy = o_stream_file_atomic_destroy;
	atomic->file.ostream.flush = o_stream_file_atomic_flush;
	fd = atomic_open_tmp(atomic, mode);
	open_errno = errno;
	stream = file_ostream_init(&atomic->file, fd, 0, 0);
	o_stream_set_name(stream, stream_name);
	atomic->file.ostream.needs_finish = true;
	if (fd < 0)
		(void)o_stream_fail(
			&atomic->file.ostream, open_errno,
			"cannot create %s: no temporary file can be "
			"made in %s: %s",
			stream_name, dir, strerror(open_errno));
	return stream;
}

struct ostream *
o_stream_create_file_atomic_at(int dir_fd, const char *name, int tmp_dir_fd,
			       mode_t mode,
			       enum ostream_file_atomic_flags flags)
{
	return atomic_create(
		dir_fd, false, tmp_dir_fd == -1 ? dir_fd : tmp_dir_fd,
		tmp_dir_fd == -1 ? "its directory" : "the directory for them",
		name, name, mode, flags);
}

static struct ostream *refused(const char *path, const char *what)
{
	return o_stream_create_error_str(
		EEXIST,
		"cannot create %s: it is a %s, which a new file would replace; "
		"choose another name, or open it with "
		"o_stream_create_file_or_device()",
		path, what);
}

/* Refuses what a rename would destroy, though it is no file: NULL if path may be
   replaced. */
static struct ostream *refuse_target(const char *path, const struct stat *st)
{
	const char *what;

	if (S_ISREG(st->st_mode))
		return NULL;
	if (S_ISDIR(st->st_mode))
		return o_stream_create_error_str(
			EISDIR,
			"cannot create %s: it is a directory; name a file in "
			"it",
			path);
	what = S_ISFIFO(st->st_mode)  ? "FIFO" :
		S_ISSOCK(st->st_mode) ? "socket" :
					"device";
	return refused(path, what);
}

/* Where a symbolic link leads, for free(); NULL where path is none. It is the
   target that is replaced, the link stays. */
static struct ostream *follow_link(const char *path, char **target_r)
{
	struct stat st;
	int fd;

	*target_r = NULL;
	if (path_names_fd(path, &fd))
		return refused(path, "descriptor");
	if (file_ops()->fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		/* there is none yet, or opening the directory tells why */
		return NULL;
	if (!S_ISLNK(st.st_mode))
		return refuse_target(path, &st);
	*target_r = realpath(path, NULL);
	if (*target_r == NULL ||
	    file_ops()->fstatat(AT_FDCWD, *target_r, &st, 0) < 0)
		return o_stream_create_error_str(
			errno,
			"cannot create %s: it is a symbolic link that leads "
			"nowhere (%s); remove it, or name the file itself",
			path, strerror(errno));
	return refuse_target(path, &st);
}

static struct ostream *create_in_dir(const char *path, const char *stream_name,
				     mode_t mode,
				     enum ostream_file_atomic_flags flags)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash == NULL ? path : slash + 1;
	char *dir = file_dirname(path);
	struct ostream *stream;
	int dir_fd;

	dir_fd =
		file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (dir_fd < 0)
		stream = o_stream_create_error_str(
			errno,
			"cannot create %s: open(%s) failed: %s; the directory "
			"must be there, and readable",
			stream_name, dir, strerror(errno));
	else
		stream = atomic_create(dir_fd, true, dir_fd, dir, name,
				       stream_name, mode, flags);
	i_free(dir);
	return stream;
}

struct ostream *
o_stream_create_file_atomic(const char *path, mode_t mode,
			    enum ostream_file_atomic_flags flags)
{
	struct ostream *stream = NULL;
	char *target = NULL;

	/* with NO_REPLACE any name that exists is refused, when it is made */
	if ((flags & OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE) == 0)
		stream = follow_link(path, &target);
	if (stream == NULL)
		stream = create_in_dir(target != NULL ? target : path, path,
				       mode, flags);
	free(target);
	return stream;
}

void o_stream_file_atomic_set_name(struct ostream *stream, const char *name)
{
	struct ostream_private *private = stream->real_stream;

	/* an error stream may stand for one that could not be made */
	if (stream->stream_errno != 0)
		return;
	i_assert(private->flush == o_stream_file_atomic_flush);
	i_assert(!private->finished);
	i_free(atomic_ostream(private)->name);
	atomic_ostream(private)->name = i_strdup(name);
}
