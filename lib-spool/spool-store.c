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
	{ "file", "messages/tmp", module_file_init, module_file_open,
	  module_file_list, module_file_count_strays, NULL },
	{ "journal", "journal", module_journal_init, module_journal_open,
	  module_journal_list, module_journal_count_strays,
	  module_journal_compact },
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
