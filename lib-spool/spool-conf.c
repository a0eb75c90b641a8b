/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* SPOOL/spool.conf: lines of "name = value" and "# comments". */

#include "config.h"
#include "spool-private.h"
#include "file-ops.h"
#include "journal/journal-format.h"
#include "macros.h"
#include "mem.h"
#include "istream.h"
#include "ostream.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONF_VERSION "1"
#define CONF_MAX_LINE 65536

void spool_conf_free(struct spool_conf *conf)
{
	while (conf->module_count > 0)
		i_free(conf->modules[--conf->module_count].path);
	i_free_and_null(conf->store);
	i_free_and_null(conf->body);
	i_free_and_null(conf->headers);
	conf->segment_size = conf->inline_limit = 0;
	conf->compaction_off = false;
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
	const char *path; /* for messages */
	unsigned int line;
	bool have_version, have_compaction;
	char **error_r;
};

/* "FILE: line N: TEXT"; -1. */
static int line_fail(const struct conf_reader *reader, int error,
		     const char *fmt, ...) ATTR_FORMAT(3, 4);

static int line_fail(const struct conf_reader *reader, int error,
		     const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = i_strdup_vprintf(fmt, args);
	va_end(args);
	(void)spool_fail(reader->error_r, error, "%s: line %u: %s",
			 reader->path, reader->line, text);
	i_free(text);
	errno = error;
	return -1;
}

/* The same of an error that was told without its place. */
static int in_line(const struct conf_reader *reader, int ret)
{
	char *why = *reader->error_r;

	if (ret == 0)
		return 0;
	(void)line_fail(reader, errno, "%s", why);
	i_free(why);
	return -1;
}

/* More of a hostile name or value is not told. */
#define SHOWN "\"%.60s\""

static int check_text(const char *text, char **error_r)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' && *text != '\t')
			return spool_fail(error_r, EINVAL,
					  "a control character is in it: take "
					  "it away");
	}
	return 0;
}

int spool_conf_add_module(struct spool_conf *conf, const char *value,
			  unsigned int line, char **error_r)
{
	struct spool_conf_module *module = &conf->modules[conf->module_count];
	size_t size = strcspn(value, " \t");

	/* what is relative depends on where a program was started */
	if (*value != '/')
		return spool_fail(error_r, EINVAL,
				  "module \"%.*s\": its path has to begin with "
				  "\"/\"",
				  (int)size, value);
	if (conf->module_count == N_ELEMENTS(conf->modules))
		return spool_fail(error_r, EINVAL, "more than %zu modules",
				  N_ELEMENTS(conf->modules));
	if (check_text(value, error_r) < 0)
		return -1;
	/* both are in one allocation */
	module->path = i_strdup(value);
	module->config = module->path + size;
	if (*module->config != '\0')
		*module->config++ = '\0';
	module->config = trim(module->config);
	module->line = line;
	conf->module_count++;
	return 0;
}

static int second_time(const struct conf_reader *reader, const char *name)
{
	return line_fail(reader, EINVAL,
			 "\"%s\" is there for the second time: take one away",
			 name);
}

static int check_version(struct conf_reader *reader, const char *value)
{
	if (reader->have_version)
		return second_time(reader, "version");
	reader->have_version = true;
	if (strcmp(value, CONF_VERSION) == 0)
		return 0;
	if (*value != '\0' && strspn(value, "0123456789") == strlen(value))
		return line_fail(reader, ENOTSUP,
				 "version " SHOWN ": the spool was made by a "
				 "newer version of Bobbin: open it with that "
				 "one",
				 value);
	return line_fail(reader, EINVAL,
			 "version " SHOWN ": \"version = " CONF_VERSION
			 "\" is expected",
			 value);
}

/* "on" is what there is without it. */
static int set_compaction(struct conf_reader *reader, const char *value)
{
	if (reader->have_compaction)
		return second_time(reader, "compaction");
	reader->have_compaction = true;
	reader->conf->compaction_off = strcmp(value, "off") == 0;
	if (reader->conf->compaction_off || strcmp(value, "on") == 0)
		return 0;
	return line_fail(reader, EINVAL,
			 "compaction " SHOWN ": on or off is expected", value);
}

/* Sizes of the journal's, in bytes. */
static const struct conf_size {
	const char *name;
	uint64_t min, max, multiple;
	size_t offset; /* in struct spool_conf */
} conf_sizes[] = {
	{ "segment-size", JOURNAL_SEGMENT_MIN, JOURNAL_SEGMENT_MAX,
	  JOURNAL_BLOCK_SIZE, offsetof(struct spool_conf, segment_size) },
	{ "inline-limit", 1024, JOURNAL_SEGMENT_MAX, 1,
	  offsetof(struct spool_conf, inline_limit) },
};

static int size_fail(const struct conf_reader *reader,
		     const struct conf_size *size, const char *value)
{
	char multiple[48] = "";

	if (size->multiple > 1)
		(void)snprintf(multiple, sizeof(multiple),
			       ", a multiple of %llu",
			       (unsigned long long)size->multiple);
	return line_fail(reader, EINVAL,
			 "%s " SHOWN ": a number of bytes from %llu to "
			 "%llu is expected%s",
			 size->name, value, (unsigned long long)size->min,
			 (unsigned long long)size->max, multiple);
}

static int set_size(struct conf_reader *reader, const struct conf_size *size,
		    const char *value)
{
	uint64_t *slot = (void *)((unsigned char *)reader->conf + size->offset);
	uint64_t number = 0;
	char *end;

	if (*slot != 0)
		return second_time(reader, size->name);
	errno = 0;
	if (*value >= '0' && *value <= '9')
		number = strtoull(value, &end, 10);
	if (number == 0 || errno != 0 || *end != '\0' || number < size->min ||
	    number > size->max || number % size->multiple != 0)
		return size_fail(reader, size, value);
	*slot = number;
	return 0;
}

/* 1; 0: it is no size; -1. */
static int try_size(struct conf_reader *reader, const char *name,
		    const char *value)
{
	size_t i;

	for (i = 0; i < N_ELEMENTS(conf_sizes); i++) {
		if (strcmp(name, conf_sizes[i].name) == 0)
			return set_size(reader, &conf_sizes[i], value) < 0 ?
				-1 :
				1;
	}
	return 0;
}

static int set_field(struct conf_reader *reader, const char *name,
		     const char *value)
{
	int ret = try_size(reader, name, value);
	char **slot;

	if (ret != 0)
		return ret < 0 ? -1 : 0;
	if (strcmp(name, "version") == 0)
		return check_version(reader, value);
	if (strcmp(name, "module") == 0)
		return in_line(reader,
			       spool_conf_add_module(reader->conf, value,
						     reader->line,
						     reader->error_r));
	if (strcmp(name, "compaction") == 0)
		return set_compaction(reader, value);
	if (strcmp(name, "store") == 0)
		slot = &reader->conf->store;
	else if (strcmp(name, "body") == 0)
		slot = &reader->conf->body;
	else if (strcmp(name, "headers") == 0)
		slot = &reader->conf->headers;
	else
		return line_fail(reader, EINVAL,
				 "unknown name " SHOWN " (version, store, "
				 "body, headers, segment-size, inline-limit, "
				 "compaction and module are known)",
				 name);
	if (*slot != NULL)
		return second_time(reader, name);
	*slot = i_strdup(value);
	return 0;
}

static int parse_line(struct conf_reader *reader, char *text)
{
	char *equals;

	if (in_line(reader, check_text(text, reader->error_r)) < 0)
		return -1;
	text = trim(text);
	if (*text == '\0' || *text == '#')
		return 0;
	equals = strchr(text, '=');
	if (equals == NULL)
		return line_fail(reader, EINVAL,
				 "\"name = value\" is expected");
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
	if (input->stream_errno == ENOBUFS) {
		reader->line++;
		return line_fail(reader, EINVAL, "longer than %d bytes",
				 CONF_MAX_LINE);
	}
	if (input->stream_errno != 0)
		return spool_fail(reader->error_r, input->stream_errno, "%s",
				  i_stream_get_error(input));
	if (!reader->have_version)
		return spool_fail(reader->error_r, EINVAL,
				  "%s: the line \"version = " CONF_VERSION
				  "\" is missing",
				  reader->path);
	if (reader->conf->store == NULL)
		return spool_fail(reader->error_r, EINVAL,
				  "%s: it names no store: the line "
				  "\"store = file\" is missing",
				  reader->path);
	return 0;
}

static int open_conf(const struct conf_reader *reader, int dir_fd)
{
	int fd = file_open_regular(dir_fd, SPOOL_CONF_NAME);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case EINVAL:
		return spool_fail(reader->error_r, EINVAL,
				  "%s is not a regular file", reader->path);
	case ENOENT:
		return spool_fail(reader->error_r, ENOENT,
				  "open(%s) failed: %s (not a spool? bobbin "
				  "spool init makes one)",
				  reader->path, strerror(ENOENT));
	default:
		return spool_fail(reader->error_r, errno, "open(%s) failed: %s",
				  reader->path, strerror(errno));
	}
}

/* Modules are code: root, who looks at somebody's spool, must not run what that
   somebody, or everybody, wrote into its configuration. */
static int check_owner(struct conf_reader *reader, int fd)
{
	struct stat st;

	if (reader->conf->module_count == 0)
		return 0;
	reader->line = reader->conf->modules[0].line;
	if (file_ops()->fstat(fd, &st) < 0)
		return spool_fail(reader->error_r, errno,
				  "fstat(%s) failed: %s", reader->path,
				  strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return line_fail(reader, EPERM,
				 "it names a module, and the file belongs to "
				 "user %lu: run this as that user",
				 (unsigned long)st.st_uid);
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return line_fail(reader, EPERM,
				 "it names a module, and others than its owner "
				 "may write the file (chmod go-w)");
	return 0;
}

static int read_conf(struct conf_reader *reader, int dir_fd)
{
	struct istream *file, *input;
	int fd, ret, error;

	fd = open_conf(reader, dir_fd);
	if (fd < 0)
		return -1;
	file = i_stream_create_fd(fd, CONF_MAX_LINE);
	i_stream_set_name(file, reader->path);
	/* a NUL would end the line for us, and not for who looks at it */
	input = i_stream_create_nonuls(file, '\1');
	i_stream_set_max_buffer_size(input, CONF_MAX_LINE);
	i_stream_set_return_partial_line(input, true);
	ret = read_lines(reader, input);
	if (ret == 0)
		ret = check_owner(reader, fd);
	error = errno;
	i_stream_destroy(&input);
	i_stream_destroy(&file);
	(void)file_close(&fd);
	errno = error;
	return ret;
}

int spool_conf_read(int dir_fd, const char *dir, struct spool_conf *conf,
		    char **error_r)
{
	char *path = i_strdup_printf("%s/" SPOOL_CONF_NAME, dir);
	struct conf_reader reader = { .conf = conf,
				      .path = path,
				      .error_r = error_r };
	int ret, error;

	ret = read_conf(&reader, dir_fd);
	error = errno;
	if (conf->body == NULL)
		conf->body = i_strdup("");
	if (conf->headers == NULL)
		conf->headers = i_strdup("");
	i_free(path);
	errno = error;
	return ret;
}

int spool_conf_write(int dir_fd, const struct spool_conf *conf, char **error_r)
{
	const struct spool_conf_module *module;
	struct ostream *output;
	unsigned int i;
	int ret = 0;

	output = o_stream_create_file_atomic_at(
		dir_fd, SPOOL_CONF_NAME, -1, 0600,
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
	for (i = 0; i < conf->module_count; i++) {
		module = &conf->modules[i];
		o_stream_nsend_str(output, "module = ");
		o_stream_nsend_str(output, module->path);
		o_stream_nsend_str(output, *module->config == '\0' ? "" : " ");
		o_stream_nsend_str(output, module->config);
		o_stream_nsend_str(output, "\n");
	}
	if (o_stream_finish(output) <= 0)
		ret = spool_fail(error_r, output->stream_errno, "%s",
				 o_stream_get_error(output));
	o_stream_destroy(&output);
	return ret;
}
