/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The journal store. Bodies and headers go through their stacks on the threads of
   those who write them, outside of every lock; what comes out is one record each in
   the journal. A body waits in memory for its headers, and both are written together:
   the headers' record, which comes last, is the commit point, and one sync makes both
   durable. A crash before that leaves nothing. */

#include "config.h"
#include "module-journal-private.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a body that goes into a segment; how many of such may be in memory. */
#define INLINE_DEFAULT ((uint64_t)256 * 1024)
#define PENDING_FACTOR 64

struct journal_store *journal_store(io_infrastructure *io)
{
	return container_of(io, struct journal_store, io);
}

int module_journal_init(int dir_fd, char **error_r)
{
	if (file_ops()->mkdirat(dir_fd, "quarantine", 0700) < 0)
		return spool_fail(error_r, errno,
				  "mkdir(quarantine) failed: %s",
				  strerror(errno));
	if (journal_init(dir_fd) < 0)
		return spool_fail(error_r, errno,
				  "making the journal's directory failed: %s",
				  strerror(errno));
	return 0;
}

static void journal_store_warning(void *context, const char *text)
{
	spool_warn(context, "%s", text);
}

static void journal_store_unkept(void *context, int error)
{
	spool_note_unkept(context, error);
}

static void journal_store_deinit(io_infrastructure *io)
{
	struct journal_store *store = journal_store(io);

	journal_pending_deinit(store);
	journal_close(&store->newer);
	journal_end(&store->journal);
	(void)pthread_mutex_destroy(&store->newer_mutex);
	i_free(store);
}

static int open_journal(struct journal_store *store, char **error_r)
{
	struct spool *spool = store->spool;
	struct journal_settings settings = {
		.segment_size = spool->conf.segment_size,
		.read_only = (spool->flags & SPOOL_OPEN_READ_ONLY) != 0,
		.repair = (spool->flags & SPOOL_OPEN_REPAIR) != 0,
		.upkeep = !spool->conf.compaction_off,
		.warning = journal_store_warning,
		.unkept = journal_store_unkept,
		.context = spool
	};

	store->journal =
		journal_open(spool->dir_fd, spool->dir, &settings, error_r);
	if (store->journal == NULL)
		return -1;
	/* whatever it is set to: a segment has room for some of them */
	store->inline_max = (size_t)I_MIN(spool->conf.inline_limit == 0 ?
						  INLINE_DEFAULT :
						  spool->conf.inline_limit,
					  journal_max_size(store->journal) / 2);
	store->pending_max = store->inline_max * PENDING_FACTOR;
	return 0;
}

io_infrastructure *module_journal_open(struct spool *spool, char **error_r)
{
	static const shared_module_infrastructure shared = SPOOL_MODULE_SHARED(
		"journal", "The Bobbin authors", "many messages for one sync");
	struct journal_store *store = try_calloc(1, sizeof(*store));
	int error;

	if (store == NULL) {
		(void)spool_fail(error_r, ENOMEM, "out of memory");
		return NULL;
	}
	store->spool = spool;
	store->io.shared = shared;
	store->io.shared.deinit = journal_store_deinit;
	store->io.io_process_disk_queue = journal_process_disk_queue;
	store->io.io_writeheaders = journal_writeheaders;
	store->io.io_readheaders = journal_readheaders;
	store->io.io_unlinkheaders = journal_unlinkheaders;
	store->io.io_writebody = journal_writebody;
	store->io.io_readbody = journal_readbody;
	store->io.io_unlinkbody = journal_unlinkbody;
	journal_pending_init(store);
	(void)pthread_mutex_init(&store->newer_mutex, NULL);
	if (open_journal(store, error_r) == 0)
		return &store->io;
	error = errno;
	journal_store_deinit(&store->io);
	errno = error;
	return NULL;
}

int module_journal_get_stats(io_infrastructure *io, struct spool_stats *stats_r,
			     char **error_r)
{
	const struct journal_store *store = journal_store(io);

	if (journal_get_stats(store->journal, stats_r) == 0)
		return 0;
	return spool_fail(error_r, errno,
			  "looking at the segments of %s/journal failed: %s",
			  store->spool->dir, strerror(errno));
}

int module_journal_compact(io_infrastructure *io, uint64_t *moved_r,
			   char **error_r)
{
	const struct journal_store *store = journal_store(io);

	if (journal_compact(store->journal, moved_r) == 0)
		return 0;
	return spool_fail(error_r, errno, "compacting %s/journal failed: %s",
			  store->spool->dir, strerror(errno));
}
