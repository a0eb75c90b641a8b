/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The native stores that there are. */

#include "config.h"
#include "spool-private.h"
#include "file-ops.h"
#include "macros.h"
#include "module-file.h"
#include "module-journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const struct spool_store stores[] = {
	{ .name = "file",
	  .dir = "messages",
	  .tmp = "messages/tmp",
	  .init = module_file_init,
	  .open = module_file_open,
	  .list = module_file_list,
	  .count_strays = module_file_count_strays,
	  .settle = module_file_settle },
	{ .name = "journal",
	  .dir = "journal",
	  .tmp = "journal",
	  .init = module_journal_init,
	  .open = module_journal_open,
	  .list = module_journal_list,
	  .count_strays = module_journal_count_strays,
	  .get_stats = module_journal_get_stats,
	  .compact = module_journal_compact,
	  .start_writeheaders = module_journal_start_writeheaders,
	  .start_unlinkheaders = module_journal_start_unlinkheaders,
	  .finish = module_journal_finish,
	  .expect = module_journal_expect },
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

static bool is_there(const struct spool *spool, const struct spool_store *store)
{
	struct stat st;

	/* what cannot be looked at, opening it says */
	return file_ops()->fstatat(spool->dir_fd, store->dir, &st,
				   AT_SYMLINK_NOFOLLOW) == 0 ||
		errno != ENOENT;
}

int spool_store_check(const struct spool *spool, char **error_r)
{
	const struct spool_store *store = spool->store_class;
	size_t i;

	if (is_there(spool, store))
		return 0;
	for (i = 0; i < N_ELEMENTS(stores); i++) {
		if (&stores[i] != store && is_there(spool, &stores[i]))
			return spool_fail(
				error_r, EINVAL,
				"%s/" SPOOL_CONF_NAME ": store = %s, but there "
				"is no %s/%s: the spool was made with \"store = "
				"%s\": write that again, and let \"bobbin spool "
				"migrate\" move the messages into a spool of "
				"another store",
				spool->dir, store->name, spool->dir, store->dir,
				stores[i].name);
	}
	return 0;
}
