/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The native stores that there are. */

#include "config.h"
#include "spool-private.h"
#include "macros.h"
#include "module-file.h"
#include "module-journal.h"

#include <errno.h>
#include <string.h>

static const struct spool_store stores[] = {
	{ .name = "file",
	  .tmp = "messages/tmp",
	  .init = module_file_init,
	  .open = module_file_open,
	  .list = module_file_list,
	  .count_strays = module_file_count_strays },
	{ .name = "journal",
	  .tmp = "journal",
	  .init = module_journal_init,
	  .open = module_journal_open,
	  .list = module_journal_list,
	  .count_strays = module_journal_count_strays,
	  .get_stats = module_journal_get_stats,
	  .compact = module_journal_compact,
	  .start_writeheaders = module_journal_start_writeheaders,
	  .start_unlinkheaders = module_journal_start_unlinkheaders,
	  .finish = module_journal_finish },
};

const struct spool_store *spool_store_find(const char *name, char **error_r)
{
	size_t i;

	for (i = 0; i < N_ELEMENTS(stores); i++) {
		if (strcmp(stores[i].name, name) == 0)
			return &stores[i];
	}
	(void)spool_fail(error_r, EINVAL,
			 "unknown store \"%.60s\" (known are \"file\" and "
			 "\"journal\")",
			 name);
	return NULL;
}
