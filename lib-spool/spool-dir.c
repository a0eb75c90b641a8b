/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Going through the directories of a spool. */

#include "config.h"
#include "spool-private.h"
#include "file-ops.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

int spool_walk_dir(int parent_fd, const char *name, spool_dir_entry_t *callback,
		   void *context)
{
	struct dirent *entry;
	bool more = true;
	int fd, old_errno;
	DIR *dir;

	fd = file_open(parent_fd, name,
		       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	dir = file_ops()->fdopendir(fd);
	if (dir == NULL) {
		old_errno = errno;
		(void)file_close(&fd);
		errno = old_errno;
		return -1;
	}
	do {
		errno = 0;
		entry = file_ops()->readdir(dir);
		if (entry == NULL)
			break;
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			more = callback(fd, entry->d_name, context);
	} while (more);
	old_errno = entry == NULL ? errno : 0;
	(void)file_ops()->closedir(dir);
	errno = old_errno;
	return old_errno == 0 ? 0 : -1;
}

uint64_t spool_file_size(int dir_fd, const char *name)
{
	struct stat st;

	if (file_ops()->fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	return (uint64_t)st.st_size;
}
