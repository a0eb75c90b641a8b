/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MODULE_JOURNAL_H
#define BOBBIN_MODULE_JOURNAL_H

/* The journal store: many durable messages for one sync. Not installed; a spool opens
   it by its configuration. What the calls are is in struct spool_store. */

#include "spool-private.h"

int module_journal_init(int dir_fd, char **error_r);
io_infrastructure *module_journal_open(struct spool *spool, char **error_r);
int module_journal_list(io_infrastructure *io, enum spool_listing how,
			spool_entry_t *callback, void *context, char **error_r);
int module_journal_count_strays(io_infrastructure *io,
				struct spool_strays *strays_r, char **error_r);
int module_journal_get_stats(io_infrastructure *io, struct spool_stats *stats_r,
			     char **error_r);
int module_journal_compact(io_infrastructure *io, uint64_t *moved_r,
			   char **error_r);
int module_journal_start_writeheaders(io_infrastructure *io,
				      email_message *message,
				      struct spool_later *later);
int module_journal_start_unlinkheaders(io_infrastructure *io,
				       const message_id *id,
				       struct spool_later *later);
int module_journal_finish(struct spool_later *later);
void module_journal_expect(io_infrastructure *io, int more);

#endif
