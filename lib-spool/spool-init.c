/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Making a spool. */

#include "config.h"
#include "spool-private.h"
#include "age-keys.h"
#include "file-ops.h"
#include "mem.h"
#include "module-file.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* A stack for the configuration: its public keys go to `recipients`, and the
   text names none. NULL with *error_r. */
static char *take_stack(const char *text, struct age_recipients *recipients,
			char **error_r)
{
	struct stack_spec *spec = spool_parse_stack(text, error_r);
	char *result;

	if (spec == NULL)
		return *error_r == NULL ? i_strdup("") : NULL;
	if (stack_spec_take_recipients(spec, NULL, recipients, error_r) < 0)
		result = NULL;
	else
		result = stack_spec_format(spec, STACK_SPEC_SETTINGS);
	stack_spec_free(&spec);
	return result;
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

/* Creates DIR, or finds it empty; its name is durable then. */
static int make_dir(const char *dir, char **error_r)
{
	struct dirent *entry;
	char *parent;
	DIR *listing;
	bool empty = true;
	int fd, ret;

	if (file_ops()->mkdirat(AT_FDCWD, dir, 0700) < 0 && errno != EEXIST)
		return spool_fail(error_r, errno, "mkdir(%s) failed: %s", dir,
				  strerror(errno));
	fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0 || (listing = file_ops()->fdopendir(fd)) == NULL)
		return spool_fail(error_r, errno, "open(%s) failed: %s", dir,
				  strerror(errno));
	while ((entry = file_ops()->readdir(listing)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			empty = false;
	}
	(void)file_ops()->closedir(listing);
	if (!empty)
		return spool_fail(error_r, EEXIST,
				  "%s is not empty: a spool needs a directory "
				  "of its own",
				  dir);
	parent = file_dirname(dir);
	ret = file_sync_dir(AT_FDCWD, parent);
	if (ret < 0)
		ret = spool_fail(error_r, errno, "fsync(%s) failed: %s", parent,
				 strerror(errno));
	i_free(parent);
	return ret;
}

static int init_in_dir(int dir_fd, const struct spool_conf *conf,
		       const struct age_recipients *recipients, char **error_r)
{
	int fd;

	if (module_file_init(dir_fd, error_r) < 0 ||
	    write_recipients(dir_fd, recipients, error_r) < 0)
		return -1;
	fd = file_open(dir_fd, SPOOL_LOCK_NAME,
		       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return spool_fail(error_r, errno, "open(lock) failed: %s",
				  strerror(errno));
	(void)file_close(&fd);
	/* the last step: without it the directory is no spool */
	return spool_conf_write(dir_fd, conf, error_r);
}

int spool_init(const char *dir, const struct spool_settings *settings,
	       char **error_r)
{
	const char *body = settings->body == NULL ? "" : settings->body;
	const char *headers = settings->headers == NULL ? body :
							  settings->headers;
	struct age_recipients *recipients = age_recipients_new();
	struct spool_conf conf = { .store = NULL };
	int fd = -1, ret = -1;

	conf.store =
		i_strdup(settings->store == NULL ? "file" : settings->store);
	if (strcmp(conf.store, "file") != 0) {
		(void)spool_fail(error_r, EINVAL,
				 "unknown store \"%s\" (known is \"file\")",
				 conf.store);
		goto out;
	}
	conf.body = take_stack(body, recipients, error_r);
	if (conf.body == NULL)
		goto out;
	conf.headers = take_stack(headers, recipients, error_r);
	if (conf.headers == NULL || make_dir(dir, error_r) < 0)
		goto out;
	fd = file_open(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0) {
		(void)spool_fail(error_r, errno, "open(%s) failed: %s", dir,
				 strerror(errno));
		goto out;
	}
	ret = init_in_dir(fd, &conf, recipients, error_r);
out:
	(void)file_close(&fd);
	spool_conf_free(&conf);
	age_recipients_unref(&recipients);
	return ret;
}
