/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_MODULES_H
#define BOBBIN_SPOOL_MODULES_H

/* Modules for tests, the library's and an embedder's. Each is added to a spool by
   spool_add_module(), and freed when that is closed; one that could not be added, or was
   not, by spool_module_free(). */

#include "io-infrastructure.h"

BOBBIN_BEGIN_DECLS

/* Keeps everything in memory, and answers as a native store does. */
io_infrastructure *spool_module_memory_new(void);
/* Has every hook, and answers IO_CONT to all: the whole contract at a glance. */
io_infrastructure *spool_module_null_new(void);
/* Answers IO_CONT, but `answer` to call number `nth` (1 is the first) of this
   operation. */
io_infrastructure *spool_module_failure_new(enum io_operation operation,
					    unsigned int nth, int answer);
/* Frees one of these that is of no spool; what is of one panics. Sets the pointer to NULL;
   NULL is allowed. */
void spool_module_free(io_infrastructure **module);

BOBBIN_END_DECLS

#endif
