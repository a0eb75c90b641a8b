/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Counting what lies in the file store and belongs to no message. */

#include "config.h"
#include "module-file-private.h"
#include "macros.h"

#include <errno.h>
#include <string.h>

static void count_size(struct spool_strays *strays, int dir_fd,
		       const char *name)
{
	strays->bytes += spool_file_size(dir_fd, name);
}

static bool count_body(struct file_store *store, int bucket_fd,
		       const char *name, const message_id *id,
		       enum file_kind kind, void *context)
{
	struct spool_strays *strays = context;
	char body[FILE_NAME_SIZE];
	struct file_entry entry;

	if (kind != FILE_KIND_BODY || file_is_busy(store, id))
		return true;
	if (file_entry_read(store, bucket_fd, id, &entry) < 0) {
		/* what headers that cannot be read speak of is not known */
		if (errno != ENOENT)
			return true;
	} else if (file_find_body(bucket_fd, id, entry.body_hash, body) > 0 &&
		   strcmp(name, body) == 0) {
		return true;
	}
	strays->bodies++;
	count_size(strays, bucket_fd, name);
	return true;
}

static bool count_temporary(int dir_fd, const char *name, void *context)
{
	struct spool_strays *strays = context;

	strays->temporary++;
	count_size(strays, dir_fd, name);
	return true;
}

int module_file_count_strays(io_infrastructure *io,
			     struct spool_strays *strays_r, char **error_r)
{
	struct file_store *store = container_of(io, struct file_store, io);

	memset(strays_r, 0, sizeof(*strays_r));
	if (file_walk_and_count(store, count_body, strays_r,
				&strays_r->misplaced) < 0)
		return spool_fail(error_r, errno, "%s", io_get_error());
	if (spool_walk_dir(store->messages_fd, "tmp", count_temporary,
			   strays_r) == 0 &&
	    spool_count_quarantined(store->spool, strays_r) == 0)
		return 0;
	return spool_fail(error_r, errno, "looking for strays in %s failed: %s",
			  store->spool->dir, strerror(errno));
}
