/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* SPOOL/spool.conf: lines of "name = value" and "# comments". */

#include "config.h"
#include "spool-private.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "istream.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_NAME SPOOL_CONF_NAME
#define CONF_VERSION "1"
#define CONF_MAX_LINE 65536

void spool_conf_free(struct spool_conf *conf)
{
	while (conf->module_count > 0)
		i_free(conf->modules[--conf->module_count].path);
	i_free_and_null(conf->store);
	i_free_and_null(conf->body);
	i_free_and_null(conf->headers);
}

static char *trim(char *text)
{
	size_t size;

	while (*text == ' ' || *text == '\t')
		text++;
	size = strlen(text);
	while (size > 0 && (text[size - 1] == ' ' || text[size - 1] == '\t'))
		text[--size] = '\0';
	return text;
}

/* "PATH CONFIG": both are in one allocation. */
static int add_module(struct spool_conf *conf, const char *value,
		      unsigned int line, char **error_r)
{
	struct spool_conf_module *module = &conf->modules[conf->module_count];
	size_t size = strcspn(value, " \t");

	/* what is relative depends on where a program was started */
	if (*value != '/')
		return spool_fail(error_r, EINVAL,
				  CONF_NAME ": line %u: module \"%.*s\": its "
					    "path has to begin with \"/\"",
				  line, (int)size, value);
	if (conf->module_count == N_ELEMENTS(conf->modules))
		return spool_fail(error_r, EINVAL,
				  CONF_NAME ": line %u: more than %zu modules",
				  line, N_ELEMENTS(conf->modules));
	module->path = i_strdup(value);
	module->config = module->path + size;
	if (*module->config != '\0')
		*module->config++ = '\0';
	module->config = trim(module->config);
	module->line = line;
	conf->module_count++;
	return 0;
}

static int set_field(struct spool_conf *conf, const char *name,
		     const char *value, unsigned int line, char **error_r)
{
	char **slot;

	if (strcmp(name, "version") == 0) {
		if (strcmp(value, CONF_VERSION) == 0)
			return 0;
		return spool_fail(error_r, ENOTSUP,
				  CONF_NAME ": version %s: the spool was made "
					    "by a newer version of Bobbin",
				  value);
	}
	if (strcmp(name, "module") == 0)
		return add_module(conf, value, line, error_r);
	if (strcmp(name, "store") == 0)
		slot = &conf->store;
	else if (strcmp(name, "body") == 0)
		slot = &conf->body;
	else if (strcmp(name, "headers") == 0)
		slot = &conf->headers;
	else
		return spool_fail(error_r, EINVAL,
				  CONF_NAME ": line %u: unknown name \"%s\"",
				  line, name);
	i_free(*slot);
	*slot = i_strdup(value);
	return 0;
}

static int parse_line(struct spool_conf *conf, char *text, unsigned int line,
		      char **error_r)
{
	char *equals;

	text = trim(text);
	if (*text == '\0' || *text == '#')
		return 0;
	equals = strchr(text, '=');
	if (equals == NULL)
		return spool_fail(error_r, EINVAL,
				  CONF_NAME ": line %u: \"name = value\" is "
					    "expected",
				  line);
	*equals = '\0';
	return set_field(conf, trim(text), trim(equals + 1), line, error_r);
}

/* Modules are code: root, who looks at somebody's spool, must not run what that
   somebody, or everybody, wrote into its configuration. */
static int check_owner(int fd, const struct spool_conf *conf, char **error_r)
{
	struct stat st;

	if (conf->module_count == 0)
		return 0;
	if (file_ops()->fstat(fd, &st) < 0)
		return spool_fail(error_r, errno,
				  "fstat(" CONF_NAME ") failed: %s",
				  strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return spool_fail(error_r, EPERM,
				  CONF_NAME ": line %u: it names a module, and "
					    "the file belongs to user %lu: run "
					    "this as that user",
				  conf->modules[0].line,
				  (unsigned long)st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return spool_fail(error_r, EPERM,
				  CONF_NAME ": line %u: it names a module, and "
					    "others than its owner may write "
					    "the file",
				  conf->modules[0].line);
	return 0;
}

int spool_conf_read(int dir_fd, struct spool_conf *conf, char **error_r)
{
	struct istream *input;
	unsigned int line = 0;
	char *text;
	int fd, ret = 0;

	fd = file_open(dir_fd, CONF_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return spool_fail(error_r, errno,
				  "open(" CONF_NAME ") failed: %s%s",
				  strerror(errno),
				  errno == ENOENT ?
					  " (not a spool? bobbin spool init "
					  "makes one)" :
					  "");
	input = i_stream_create_fd(fd, CONF_MAX_LINE);
	i_stream_set_name(input, CONF_NAME);
	i_stream_set_return_partial_line(input, true);
	while (ret == 0 && (text = i_stream_read_next_line(input)) != NULL)
		ret = parse_line(conf, text, ++line, error_r);
	if (ret == 0 && input->stream_errno != 0)
		ret = spool_fail(error_r, input->stream_errno, "%s",
				 i_stream_get_error(input));
	i_stream_destroy(&input);
	if (ret == 0)
		ret = check_owner(fd, conf, error_r);
	(void)file_close(&fd);
	if (ret == 0 && conf->store == NULL)
		ret = spool_fail(error_r, EINVAL,
				 CONF_NAME ": it names no store");
	if (conf->body == NULL)
		conf->body = i_strdup("");
	if (conf->headers == NULL)
		conf->headers = i_strdup("");
	return ret;
}

int spool_conf_write(int dir_fd, const struct spool_conf *conf, char **error_r)
{
	struct ostream *output;
	int ret = 0;

	output = o_stream_create_file_atomic_at(
		dir_fd, CONF_NAME, -1, 0600,
		OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	o_stream_nsend_str(output,
			   "# A Bobbin spool; see bobbin-spool(5).\n"
			   "version = " CONF_VERSION "\nstore = ");
	o_stream_nsend_str(output, conf->store);
	o_stream_nsend_str(output,
			   "\n# What bodies and headers are written through; "
			   "changed, it holds for new\n# messages: each one "
			   "tells how it was written.\nbody = ");
	o_stream_nsend_str(output, conf->body);
	o_stream_nsend_str(output, "\nheaders = ");
	o_stream_nsend_str(output, conf->headers);
	o_stream_nsend_str(output, "\n");
	if (o_stream_finish(output) <= 0)
		ret = spool_fail(error_r, output->stream_errno, "%s",
				 o_stream_get_error(output));
	o_stream_destroy(&output);
	return ret;
}
