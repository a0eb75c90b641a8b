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

struct conf_reader {
	struct spool_conf *conf;
	unsigned int line;
	bool have_version;
	char **error_r;
};

/* More of a hostile name or value is not told. */
#define SHOWN "\"%.60s\""

/* "PATH CONFIG": both are in one allocation. */
static int add_module(struct conf_reader *reader, const char *value)
{
	struct spool_conf *conf = reader->conf;
	struct spool_conf_module *module = &conf->modules[conf->module_count];
	size_t size = strcspn(value, " \t");

	/* what is relative depends on where a program was started */
	if (*value != '/')
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME ": line %u: module \"%.*s\": its "
					    "path has to begin with \"/\"",
				  reader->line, (int)size, value);
	if (conf->module_count == N_ELEMENTS(conf->modules))
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME ": line %u: more than %zu modules",
				  reader->line, N_ELEMENTS(conf->modules));
	module->path = i_strdup(value);
	module->config = module->path + size;
	if (*module->config != '\0')
		*module->config++ = '\0';
	module->config = trim(module->config);
	module->line = reader->line;
	conf->module_count++;
	return 0;
}

static int check_version(struct conf_reader *reader, const char *value)
{
	if (reader->have_version)
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME ": line %u: \"version\" is there "
					    "for the second time: take one "
					    "away",
				  reader->line);
	reader->have_version = true;
	if (strcmp(value, CONF_VERSION) == 0)
		return 0;
	if (*value != '\0' && strspn(value, "0123456789") == strlen(value))
		return spool_fail(reader->error_r, ENOTSUP,
				  CONF_NAME ": line %u: version " SHOWN
					    ": the spool was made by a newer "
					    "version of Bobbin: open it with "
					    "that one",
				  reader->line, value);
	return spool_fail(reader->error_r, EINVAL,
			  CONF_NAME ": line %u: version " SHOWN
				    " is none: \"version = " CONF_VERSION
				    "\" is expected",
			  reader->line, value);
}

static int set_field(struct conf_reader *reader, const char *name,
		     const char *value)
{
	char **slot;

	if (strcmp(name, "version") == 0)
		return check_version(reader, value);
	if (strcmp(name, "module") == 0)
		return add_module(reader, value);
	if (strcmp(name, "store") == 0)
		slot = &reader->conf->store;
	else if (strcmp(name, "body") == 0)
		slot = &reader->conf->body;
	else if (strcmp(name, "headers") == 0)
		slot = &reader->conf->headers;
	else
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME ": line %u: unknown name " SHOWN
					    " (version, store, body, "
					    "headers and module are known)",
				  reader->line, name);
	if (*slot != NULL)
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME ": line %u: \"%s\" is there for "
					    "the second time: take one away",
				  reader->line, name);
	*slot = i_strdup(value);
	return 0;
}

static int parse_line(struct conf_reader *reader, char *text)
{
	const char *p;
	char *equals;

	for (p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' && *p != '\t')
			return spool_fail(reader->error_r, EINVAL,
					  CONF_NAME ": line %u has a control "
						    "character in it: take it "
						    "away",
					  reader->line);
	}
	text = trim(text);
	if (*text == '\0' || *text == '#')
		return 0;
	equals = strchr(text, '=');
	if (equals == NULL)
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME ": line %u: \"name = value\" is "
					    "expected",
				  reader->line);
	*equals = '\0';
	return set_field(reader, trim(text), trim(equals + 1));
}

static int read_lines(struct conf_reader *reader, struct istream *input)
{
	char *text;

	while ((text = i_stream_read_next_line(input)) != NULL) {
		reader->line++;
		if (parse_line(reader, text) < 0)
			return -1;
	}
	if (input->stream_errno == ENOBUFS)
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME ": line %u is longer than %d bytes",
				  reader->line + 1, CONF_MAX_LINE);
	if (input->stream_errno != 0)
		return spool_fail(reader->error_r, input->stream_errno, "%s",
				  i_stream_get_error(input));
	if (!reader->have_version)
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME
				  ": the line \"version = " CONF_VERSION
				  "\" is missing");
	if (reader->conf->store == NULL)
		return spool_fail(reader->error_r, EINVAL,
				  CONF_NAME ": it names no store: the line "
					    "\"store = file\" is missing");
	return 0;
}

static int open_failed(char **error_r)
{
	switch (errno) {
	case EINVAL:
		return spool_fail(error_r, EINVAL,
				  CONF_NAME " is not a regular file");
	case ENOENT:
		return spool_fail(error_r, ENOENT,
				  "open(" CONF_NAME ") failed: %s (not a "
				  "spool? bobbin spool init makes one)",
				  strerror(ENOENT));
	default:
		return spool_fail(error_r, errno,
				  "open(" CONF_NAME ") failed: %s",
				  strerror(errno));
	}
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
	struct conf_reader reader = { .conf = conf, .error_r = error_r };
	struct istream *file, *input;
	int fd, ret, error;

	fd = file_open_regular(dir_fd, CONF_NAME);
	if (fd < 0)
		return open_failed(error_r);
	file = i_stream_create_fd(fd, CONF_MAX_LINE);
	i_stream_set_name(file, CONF_NAME);
	/* a NUL would end the line for us, and not for who looks at it */
	input = i_stream_create_nonuls(file, '\1');
	i_stream_set_max_buffer_size(input, CONF_MAX_LINE);
	i_stream_set_return_partial_line(input, true);
	ret = read_lines(&reader, input);
	error = errno;
	i_stream_destroy(&input);
	i_stream_destroy(&file);
	if (ret == 0 && check_owner(fd, conf, error_r) < 0) {
		ret = -1;
		error = errno;
	}
	(void)file_close(&fd);
	if (conf->body == NULL)
		conf->body = i_strdup("");
	if (conf->headers == NULL)
		conf->headers = i_strdup("");
	errno = error;
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
