/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a reader does not know of the writer beside it: its index is of the time when it
   was opened. Where something is not there any more, the journal is read once more, and
   tells whether it is missing or was removed. */

#include "config.h"
#include "module-journal-private.h"
#include "mem.h"

#include <errno.h>

/* -1 with errno and io_set_error(). */
static int open_newer(struct journal_store *store)
{
	const struct spool *spool = store->spool;
	const struct journal_settings settings = {
		.read_only = true,
		.repair = (spool->flags & SPOOL_OPEN_REPAIR) != 0
	};
	char *error;

	journal_close(&store->newer);
	store->newer =
		journal_open(spool->dir_fd, spool->dir, &settings, &error);
	if (store->newer != NULL)
		return 0;
	io_set_error("%s", error);
	i_free(error);
	errno = io_get_errno();
	return -1;
}

int journal_ask_newer(struct journal_store *store, const message_id *id,
		      const struct journal_external *external)
{
	int ret = 0;

	if ((store->spool->flags & SPOOL_OPEN_READ_ONLY) == 0)
		return 1;
	(void)pthread_mutex_lock(&store->newer_mutex);
	/* a file that was gone stays gone; one that was there may have gone since */
	if (store->newer == NULL ||
	    journal_body_is_spoken_of(store->newer, id, external))
		ret = open_newer(store);
	if (ret == 0)
		ret = journal_body_is_spoken_of(store->newer, id, external) ?
			1 :
			0;
	(void)pthread_mutex_unlock(&store->newer_mutex);
	return ret;
}
