/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Making a spool. */

#include "config.h"
#include "spool-private.h"
#include "spool-stacks.h"
#include "age-keys.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For the records, each of which says what its stack is. */
static bool is_too_long(const struct stack_spec *spec)
{
	char *kinds = stack_spec_format(spec, STACK_SPEC_DECODING);
	bool too_long = strlen(kinds) >= SPOOL_STACK_SIZE;

	i_free(kinds);
	return too_long;
}

/* A stack for the configuration, which calls it by `name`: its public keys go to
   `recipients`, and the text names none. NULL with *error_r. */
static char *take_stack(const char *name, const char *text,
			const struct spool_settings *settings,
			struct age_recipients *recipients, char **error_r)
{
	const struct stream_context context = { .recipients =
							settings->recipients };
	struct stack_spec *spec;
	char *why, *result = NULL;

	spec = spool_parse_stack(text, &why);
	if (spec == NULL && why == NULL)
		return i_strdup("");
	if (spec != NULL && is_too_long(spec)) {
		why = i_strdup("the stack is too long");
		errno = EINVAL;
	} else if (spec != NULL &&
		   stack_spec_take_recipients(spec, &context, recipients,
					      &why) == 0)
		result = stack_spec_format(spec, STACK_SPEC_SETTINGS);
	if (result == NULL) {
		(void)spool_fail(error_r, errno, "%s: %s", name, why);
		i_free(why);
	}
	stack_spec_free(&spec);
	return result;
}

/* Each is tried: the configuration would name in vain what cannot be loaded. */
static int take_modules(struct spool_conf *conf, const char *const *modules,
			char **error_r)
{
	struct spool *spool = spool_new();
	const struct spool_conf_module *module = conf->modules;
	int ret = 0;

	for (; ret == 0 && *modules != NULL; modules++, module++) {
		ret = spool_conf_add_module(conf, *modules, 0, error_r);
		if (ret == 0)
			ret = spool_load_module(spool, module->path, NULL,
						module->config, error_r);
	}
	spool_close(&spool);
	/* whatever it is, it is a bad setting */
	errno = EINVAL;
	return ret;
}

static int write_recipients(int dir_fd, const struct age_recipients *recipients,
			    char **error_r)
{
	char text[AGE_RECIPIENT_TEXT_SIZE];
	struct ostream *output;
	unsigned int i;
	int ret = 0;

	if (age_recipients_count(recipients) == 0)
		return 0;
	output = o_stream_create_file_atomic_at(
		dir_fd, SPOOL_RECIPIENTS_NAME, -1, 0600,
		OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	o_stream_cork(output);
	o_stream_nsend_str(output,
			   "# Public keys that messages are encrypted to.\n");
	for (i = 0; i < age_recipients_count(recipients); i++) {
		age_recipients_get_text(recipients, i, text);
		o_stream_nsend_str(output, text);
		o_stream_nsend_str(output, "\n");
	}
	if (o_stream_finish(output) <= 0)
		ret = spool_fail(error_r, output->stream_errno, "%s",
				 o_stream_get_error(output));
	o_stream_destroy(&output);
	return ret;
}

static int check_empty(const char *dir, char **error_r)
{
	struct dirent *entry;
	DIR *listing = NULL;
	bool empty = true;
	int fd, error;

	fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd >= 0)
		listing = file_ops()->fdopendir(fd);
	if (listing == NULL) {
		error = errno;
		(void)file_close(&fd);
		return spool_fail(error_r, error, "open(%s) failed: %s", dir,
				  strerror(error));
	}
	errno = 0;
	while ((entry = file_ops()->readdir(listing)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			empty = false;
	}
	error = errno;
	(void)file_ops()->closedir(listing);
	if (error != 0)
		return spool_fail(error_r, error, "reading %s failed: %s", dir,
				  strerror(error));
	if (empty)
		return 0;
	return spool_fail(error_r, EEXIST,
			  "%s is not empty: a spool needs a directory of its "
			  "own",
			  dir);
}

/* Its name is durable then, however the path is written: with a slash behind it, as ".". */
static int sync_parent(int dir_fd, const char *dir, char **error_r)
{
	if (file_sync_dir(dir_fd, "..") < 0)
		return spool_fail(error_r, errno, "fsync(%s/..) failed: %s",
				  dir, strerror(errno));
	return 0;
}

static int init_in_dir(int dir_fd, const struct spool_conf *conf,
		       const struct age_recipients *recipients, char **error_r)
{
	int fd;

	if (spool_store_find(conf->store, error_r)->init(dir_fd, error_r) < 0 ||
	    write_recipients(dir_fd, recipients, error_r) < 0)
		return -1;
	fd = file_open(dir_fd, SPOOL_LOCK_NAME,
		       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return spool_fail(error_r, errno,
				  "open(" SPOOL_LOCK_NAME ") failed: %s",
				  strerror(errno));
	(void)file_close(&fd);
	/* the last step: without it the directory is no spool */
	return spool_conf_write(dir_fd, conf, error_r);
}

/* The directory was empty: what has these names is ours. What cannot be removed
   stays; the first error is the one to tell. */
static void undo_init(int dir_fd)
{
	static const struct {
		const char *name;
		int flags;
	} made[] = {
		{ SPOOL_CONF_NAME, 0 },
		{ SPOOL_LOCK_NAME, 0 },
		{ SPOOL_RECIPIENTS_NAME, 0 },
		{ "quarantine", AT_REMOVEDIR },
		{ "messages/tmp", AT_REMOVEDIR },
		{ "messages", AT_REMOVEDIR },
		{ "journal/bodies", AT_REMOVEDIR },
		{ "journal", AT_REMOVEDIR },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(made); i++)
		(void)file_ops()->unlinkat(dir_fd, made[i].name, made[i].flags);
}

/* What others were let into before it was a spool is for its owner alone then. *mode_r:
   what it was, 0: it stays so, as what is another's does. */
static int close_to_others(int dir_fd, const char *dir, mode_t *mode_r,
			   char **error_r)
{
	struct stat st;

	*mode_r = 0;
	if (file_ops()->fstat(dir_fd, &st) < 0)
		return spool_fail(error_r, errno, "fstat(%s) failed: %s", dir,
				  strerror(errno));
	if (st.st_uid != geteuid() || (st.st_mode & 077) == 0)
		return 0;
	if (file_ops()->fchmod(dir_fd, 0700) < 0)
		return spool_fail(error_r, errno, "fchmod(%s) failed: %s", dir,
				  strerror(errno));
	*mode_r = st.st_mode & 07777;
	return 0;
}

/* Fills an empty directory, or leaves it as it was. */
static int fill_dir(const char *dir, const struct spool_conf *conf,
		    const struct age_recipients *recipients, char **error_r)
{
	mode_t mode;
	char *why;
	int fd, error;

	if (check_empty(dir, error_r) < 0)
		return -1;
	fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return spool_fail(error_r, errno, "open(%s) failed: %s", dir,
				  strerror(errno));
	if (sync_parent(fd, dir, error_r) < 0 ||
	    close_to_others(fd, dir, &mode, error_r) < 0) {
		error = errno;
		(void)file_close(&fd);
		errno = error;
		return -1;
	}
	if (init_in_dir(fd, conf, recipients, &why) == 0) {
		(void)file_close(&fd);
		return 0;
	}
	error = errno;
	undo_init(fd);
	if (mode != 0)
		(void)file_ops()->fchmod(fd, mode);
	(void)file_close(&fd);
	(void)spool_fail(error_r, error, "making a spool of %s failed: %s", dir,
			 why);
	i_free(why);
	errno = error;
	return -1;
}

static int make_spool(const char *dir, const struct spool_conf *conf,
		      const struct age_recipients *recipients, char **error_r)
{
	bool made = file_ops()->mkdirat(AT_FDCWD, dir, 0700) == 0;
	int error;

	if (!made && errno != EEXIST)
		return spool_fail(error_r, errno, "mkdir(%s) failed: %s", dir,
				  strerror(errno));
	if (fill_dir(dir, conf, recipients, error_r) == 0)
		return 0;
	error = errno;
	if (made)
		(void)file_ops()->unlinkat(AT_FDCWD, dir, AT_REMOVEDIR);
	errno = error;
	return -1;
}

int spool_init(const char *dir, const struct spool_settings *settings,
	       char **error_r)
{
	const char *body = settings->body == NULL ? "" : settings->body;
	struct age_recipients *recipients = age_recipients_new();
	struct spool_conf conf = { .store = NULL };
	int ret = -1, error;

	conf.store =
		i_strdup(settings->store == NULL ? "file" : settings->store);
	if (spool_store_find(conf.store, error_r) == NULL)
		goto out;
	if (settings->modules != NULL &&
	    take_modules(&conf, settings->modules, error_r) < 0)
		goto out;
	conf.body = take_stack("body", body, settings, recipients, error_r);
	if (conf.body == NULL)
		goto out;
	/* not parsed again: a file of keys may be a pipe, which can be read once */
	conf.headers = settings->headers == NULL ?
		i_strdup(conf.body) :
		take_stack("headers", settings->headers, settings, recipients,
			   error_r);
	if (conf.headers != NULL)
		ret = make_spool(dir, &conf, recipients, error_r);
out:
	error = errno;
	spool_conf_free(&conf);
	age_recipients_unref(&recipients);
	errno = error;
	return ret;
}
