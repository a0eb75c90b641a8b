/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Opening a spool for writing. Where the writer before did not close it, it may have
   left bodies without headers: then the spool is scanned beside the verb's work, as a
   daemon does when it starts. */

#include "config.h"
#include "spool-common.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* A writer writes `lock` when it begins and `last-id` when it ends
   (doc/spool-format.md). A scan too many is only work: what cannot be told is
   scanned. */
static bool was_closed(const char *dir)
{
	struct stat lock, last_id;
	bool closed = false;
	int fd;

	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return true; /* opening it will tell why */
	if (fstatat(fd, "lock", &lock, AT_SYMLINK_NOFOLLOW) < 0 ||
	    lock.st_size == 0)
		closed = true; /* nobody has written yet */
	else if (fstatat(fd, "last-id", &last_id, AT_SYMLINK_NOFOLLOW) == 0)
		closed = last_id.st_mtim.tv_sec > lock.st_mtim.tv_sec ||
			(last_id.st_mtim.tv_sec == lock.st_mtim.tv_sec &&
			 last_id.st_mtim.tv_nsec >= lock.st_mtim.tv_nsec);
	(void)close(fd);
	return closed;
}

struct spool *spool_tool_open_writer(const struct spool_args *args, int *code_r)
{
	bool scan = !was_closed(args->dir);
	struct spool *spool;

	tool_catch_signals();
	spool = spool_tool_open(args, 0, code_r);
	if (spool != NULL && scan)
		spool_start_scan(spool, NULL, NULL, NULL);
	return spool;
}

void spool_tool_close_writer(struct spool **spool)
{
	/* else the next one does it again, from the beginning */
	if (*spool != NULL && !tool_interrupted())
		spool_wait_scan(*spool);
	spool_close(spool);
}
