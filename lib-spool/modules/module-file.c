/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The file store: making, opening and closing it. */

#include "config.h"
#include "module-file-private.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static void file_deinit(io_infrastructure *io)
{
	struct file_store *store = container_of(io, struct file_store, io);

	(void)file_close(&store->messages_fd);
	(void)file_close(&store->tmp_fd);
	(void)file_close(&store->quarantine_fd);
	file_busy_deinit(store);
	file_known_deinit(store);
	i_free(store);
}

static int make_subdir(int dir_fd, const char *name, char **error_r)
{
	if (file_ops()->mkdirat(dir_fd, name, 0700) < 0)
		return spool_fail(error_r, errno, "mkdir(%s) failed: %s", name,
				  strerror(errno));
	return 0;
}

int module_file_init(int dir_fd, char **error_r)
{
	if (make_subdir(dir_fd, "messages", error_r) < 0 ||
	    make_subdir(dir_fd, "messages/tmp", error_r) < 0 ||
	    make_subdir(dir_fd, "quarantine", error_r) < 0)
		return -1;
	if (file_sync_dir(dir_fd, "messages") < 0 ||
	    file_sync_dir_fd(dir_fd) < 0)
		return spool_fail(error_r, errno,
				  "fsync of the spool's directory failed: %s",
				  strerror(errno));
	return 0;
}

static int open_subdir(const struct spool *spool, const char *name, int *fd_r,
		       char **error_r)
{
	*fd_r = file_open(spool->dir_fd, name,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (*fd_r < 0)
		return spool_fail(error_r, errno, "open(%s/%s) failed: %s",
				  spool->dir, name, strerror(errno));
	return 0;
}

static int open_subdirs(struct file_store *store, char **error_r)
{
	const struct spool *spool = store->spool;

	if (open_subdir(spool, "messages", &store->messages_fd, error_r) < 0 ||
	    open_subdir(spool, "messages/tmp", &store->tmp_fd, error_r) < 0 ||
	    open_subdir(spool, "quarantine", &store->quarantine_fd, error_r) <
		    0)
		return -1;
	return 0;
}

/* What a killed process left: temporary files, and names of buckets that it had not
   synced, which the next message there takes for durable. */
static int tidy_up(struct file_store *store, char **error_r)
{
	if ((store->spool->flags & SPOOL_OPEN_READ_ONLY) != 0)
		return 0;
	if (file_sync_dir_fd(store->messages_fd) < 0)
		return spool_fail(error_r, errno,
				  "fsync(%s/messages) failed: %s",
				  store->spool->dir, strerror(errno));
	file_sweep_tmp(store);
	return 0;
}

io_infrastructure *module_file_open(struct spool *spool, char **error_r)
{
	static const shared_module_infrastructure shared =
		SPOOL_MODULE_SHARED("file", "The Bobbin authors",
				    "a body file and a header file a message");
	struct file_store *store = i_new(struct file_store, 1);

	store->spool = spool;
	store->messages_fd = store->tmp_fd = store->quarantine_fd = -1;
	store->io.shared = shared;
	store->io.shared.deinit = file_deinit;
	store->io.io_process_disk_queue = file_process_disk_queue;
	store->io.io_writeheaders = file_writeheaders;
	store->io.io_readheaders = file_readheaders;
	store->io.io_unlinkheaders = file_unlinkheaders;
	store->io.io_writebody = file_writebody;
	store->io.io_readbody = file_readbody;
	store->io.io_unlinkbody = file_unlinkbody;
	if (!file_busy_init(store)) {
		file_deinit(&store->io);
		(void)spool_fail(error_r, ENOMEM, "out of memory");
		return NULL;
	}
	if (open_subdirs(store, error_r) < 0 || tidy_up(store, error_r) < 0) {
		int old_errno = errno;

		file_deinit(&store->io);
		errno = old_errno;
		return NULL;
	}
	return &store->io;
}

int module_file_settle(io_infrastructure *io, const message_id *id)
{
	struct file_store *store = container_of(io, struct file_store, io);
	int bucket_fd = file_open_bucket(store, id, false), answer = IO_DONE;

	/* what is in its files was synced before they had names, and the bucket's own name
	   when the store was opened */
	if (bucket_fd < 0 || file_sync_dir_fd(bucket_fd) < 0)
		answer = spool_fail_message(store->spool,
					    "syncing the directory", id, errno);
	(void)file_close(&bucket_fd);
	return answer;
}
