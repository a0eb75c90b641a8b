/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "tool-common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *tool_name = "";

static void print_message(const char *fmt, va_list args)
{
	fprintf(stderr, "bobbin %s: ", tool_name);
	vfprintf(stderr, fmt, args);
	fputc('\n', stderr);
}

int tool_fail(int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_message(fmt, args);
	va_end(args);
	return code;
}

int tool_usage(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_message(fmt, args);
	va_end(args);
	fprintf(stderr, "See: bobbin %s --help\n", tool_name);
	return EX_USAGE;
}

int tool_read_code(int error)
{
	switch (error) {
	case ENOENT:
	case EISDIR:
	case ENOTDIR:
		return EX_NOINPUT;
	case EACCES:
	case EPERM:
	case ENOKEY:
		return EX_NOPERM;
	case EINVAL:
	case EPIPE:
	case EFBIG:
		return EX_DATAERR;
	case ENOTSUP:
		return EX_UNAVAILABLE;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return EX_TEMPFAIL;
	default:
		return EX_IOERR;
	}
}

int tool_write_code(int error)
{
	switch (error) {
	case ENOENT:
	case EISDIR:
	case ENOTDIR:
	case EEXIST:
	case EROFS:
		return EX_CANTCREAT;
	case EACCES:
	case EPERM:
		return EX_NOPERM;
	case EINVAL:
		return EX_DATAERR;
	case ENOTSUP:
		return EX_UNAVAILABLE;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return EX_TEMPFAIL;
	default:
		return EX_IOERR;
	}
}

int tool_help(const struct tool_command *command)
{
	fputs(command->help, stdout);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

void tool_report_layer(const char *name, uint64_t plain, uint64_t encoded)
{
	fprintf(stderr, "%-8s %14llu bytes -> %14llu bytes", name,
		(unsigned long long)plain, (unsigned long long)encoded);
	if (encoded > 0)
		fprintf(stderr, "  (%.2f : 1)",
			(double)plain / (double)encoded);
	fputc('\n', stderr);
}

struct age_identities *tool_load_identities(const char *const *paths,
					    unsigned int count, int *code_r)
{
	struct age_identities *set = age_identities_new();
	char *error;
	bool exposed;
	unsigned int i;

	for (i = 0; i < count; i++) {
		if (age_identities_add_file(set, paths[i], &exposed, &error) <
		    0) {
			*code_r = tool_fail(tool_read_code(errno), "%s", error);
			free(error);
			age_identities_unref(&set);
			return NULL;
		}
		if (exposed)
			fprintf(stderr,
				"bobbin %s: warning: others may read %s, which "
				"holds a secret key (chmod 600 %s)\n",
				tool_name, paths[i], paths[i]);
	}
	return set;
}
