/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The files of secrets that a verb is given. No secret stands among its arguments or in
   its environment, where others could see it. */

#include "config.h"
#include "file-ops.h"
#include "tool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PASSPHRASE_MAX 4096
/* Files that want more than 2^20 for their work factor, and 1 GiB, are refused; age
   itself writes 2^18. */
#define MAX_LOG_N 20

int tool_keys_add(struct tool_keys *keys, const char *path)
{
	if (keys->count == IDENTITY_FILES_MAX)
		return tool_usage("more than %d -i options",
				  IDENTITY_FILES_MAX);
	keys->paths[keys->count++] = path;
	return -1;
}

bool tool_keys_given(const struct tool_keys *keys)
{
	return keys->count > 0 || keys->passphrase_path != NULL;
}

static int load_failed(int error, char *text)
{
	int code = tool_interrupted() ?
		tool_fail_interrupted() :
		tool_fail(tool_key_code(error), "%s", text);

	free(text);
	return code;
}

static void warn_exposed(const char *path, const char *what)
{
	tool_warn("others may read %s, which holds a %s (chmod 600 %s)", path,
		  what, path);
}

static int file_failed(const char *what, const char *path)
{
	int error = errno;

	return tool_interrupted() ?
		tool_fail_interrupted() :
		tool_fail(tool_key_code(error), "%s(%s) failed: %s", what, path,
			  strerror(error));
}

static int load_file(struct age_identities *set, const char *path)
{
	char *error;
	bool exposed;

	if (age_identities_add_file(set, path, &exposed, &error) < 0)
		return load_failed(errno, error);
	if (exposed)
		warn_exposed(path, "secret key");
	return -1;
}

/* Reads up to the first line end, or the end; -1 with errno, ENOBUFS: there is more
   than fits. */
static int read_line(int fd, char *line, size_t size)
{
	size_t used = 0;
	ssize_t ret;
	char *end;

	for (;;) {
		ret = file_read(fd, line + used, size - 1 - used);
		if (ret < 0)
			return -1;
		used += (size_t)ret;
		line[used] = '\0';
		end = strpbrk(line, "\r\n");
		if (end != NULL)
			*end = '\0';
		if (end != NULL || ret == 0)
			return 0;
		if (used + 1 == size) {
			errno = ENOBUFS;
			return -1;
		}
	}
}

static int add_passphrase(struct age_identities *set, const char *path, int fd)
{
	char line[PASSPHRASE_MAX + 1], *error;
	struct stat st;
	int code = -1;

	if (read_line(fd, line, sizeof(line)) < 0) {
		code = errno == ENOBUFS ?
			tool_fail(EX_CONFIG,
				  "%s: a passphrase has less than %d bytes",
				  path, PASSPHRASE_MAX) :
			file_failed("read", path);
	} else if (age_identities_add_passphrase(set, line, MAX_LOG_N, &error) <
		   0) {
		code = tool_fail(tool_key_code(errno), "%s: %s", path, error);
		free(error);
	} else if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		   (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		warn_exposed(path, "passphrase");
	}
	sodium_memzero(line, sizeof(line));
	return code;
}

static int load_passphrase(struct age_identities *set, const char *path)
{
	int code, fd;

	fd = file_open(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
	if (fd < 0)
		return file_failed("open", path);
	code = add_passphrase(set, path, fd);
	(void)file_close(&fd);
	return code;
}

int tool_keys_load(const struct tool_keys *keys, struct age_identities **set_r)
{
	struct age_identities *set;
	unsigned int i;
	int code = -1;

	*set_r = NULL;
	if (!tool_keys_given(keys))
		return -1;
	set = age_identities_new();
	for (i = 0; i < keys->count && code < 0; i++)
		code = load_file(set, keys->paths[i]);
	if (code < 0 && keys->passphrase_path != NULL)
		code = load_passphrase(set, keys->passphrase_path);
	if (code < 0)
		*set_r = set;
	else
		age_identities_unref(&set);
	return code;
}
