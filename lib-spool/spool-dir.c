/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Going through the directories of a spool. */

#include "config.h"
#include "spool-private.h"
#include "file-ops.h"
#include "mem.h"
#include "ostream.h"

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

/* What cannot be kept stays where it was: it is a copy that is missing. */
static bool keep(int dir_fd, const char *name, const char *suffix,
		 enum ostream_file_atomic_flags flags, const void *data,
		 size_t size)
{
	char *path = i_strdup_printf("quarantine/%s%s", name, suffix);
	struct ostream *output;
	bool kept;

	output = o_stream_create_file_atomic_at(dir_fd, path, -1, 0600, flags);
	o_stream_nsend(output, data, size);
	/* or it is there from the last time */
	kept = o_stream_finish(output) > 0 || output->stream_errno == EEXIST;
	o_stream_destroy(&output);
	i_free(path);
	return kept;
}

bool spool_put_aside(int dir_fd, const char *name, const void *data,
		     size_t size, const char *why)
{
	char *line = i_strdup_printf("%s\n", why);
	bool kept = true;

	if (data != NULL)
		kept = keep(dir_fd, name, "",
			    OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE, data, size);
	(void)keep(dir_fd, name, ".why", 0, line, strlen(line));
	i_free(line);
	return kept;
}

static bool count_quarantined(int dir_fd ATTR_UNUSED, const char *name,
			      void *context)
{
	static const char suffix[] = ".why";
	struct spool_strays *strays = context;
	size_t size = strlen(name);

	if (size >= sizeof(suffix) &&
	    strcmp(name + size - (sizeof(suffix) - 1), suffix) == 0)
		strays->quarantined++;
	return true;
}

int spool_count_quarantined(const struct spool *spool,
			    struct spool_strays *strays)
{
	return spool_walk_dir(spool->dir_fd, "quarantine", count_quarantined,
			      strays);
}
