/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MODULE_FILE_H
#define BOBBIN_MODULE_FILE_H

/* The file store: a body file and a header file a message. Not installed; a spool
   opens it by its configuration. */

#include "spool-private.h"

/* Makes the directories below the spool's. -1 with *error_r. */
int module_file_init(int dir_fd, char **error_r);
/* The store of a spool whose directory, configuration and keys are set. NULL with
   errno and *error_r. Freed by its deinit. */
io_infrastructure *module_file_open(struct spool *spool, char **error_r);
/* spool_list() and spool_verify(). */
int module_file_list(io_infrastructure *io, enum spool_listing how,
		     spool_entry_t *callback, void *context, char **error_r);

/* spool_count_strays(). */
int module_file_count_strays(io_infrastructure *io,
			     struct spool_strays *strays_r, char **error_r);

/* A message's names are durable then: the answer. */
int module_file_settle(io_infrastructure *io, const message_id *id);

#endif
