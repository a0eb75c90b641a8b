/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "tool-common.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *tool_name = "";

ATTR_FORMAT(2, 0)
static void print_message(const char *kind, const char *fmt, va_list args)
{
	char *text = NULL;

	/* the scan has a thread of its own */
	flockfile(stderr);
	tool_progress_wipe();
	/* before the verb is known there is no name */
	fprintf(stderr, "bobbin%s%s: %s", *tool_name == '\0' ? "" : " ",
		tool_name, kind);
	/* it may quote names of files, which may hold anything */
	if (vasprintf(&text, fmt, args) >= 0)
		tool_print_text(stderr, text, false);
	fputc('\n', stderr);
	funlockfile(stderr);
	free(text);
}

int tool_fail(int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_message("", fmt, args);
	va_end(args);
	return code;
}

void tool_warn(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_message("warning: ", fmt, args);
	va_end(args);
}

int tool_usage_hint(void)
{
	fprintf(stderr, "See: bobbin %s --help\n", tool_name);
	return EX_USAGE;
}

int tool_usage(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	print_message("", fmt, args);
	va_end(args);
	return tool_usage_hint();
}

/* What means the same in both directions. */
static int common_code(int error)
{
	switch (error) {
	case ENOTSUP:
		return EX_UNAVAILABLE;
	case EAGAIN:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return EX_TEMPFAIL;
	default:
		return EX_IOERR;
	}
}

int tool_read_code(int error)
{
	switch (error) {
	case EBADF: /* stdin is closed */
	case ENOENT:
	case EISDIR:
	case ENOTDIR:
	case ENXIO:
	case ELOOP:
	case ENAMETOOLONG:
	case EACCES:
	case EPERM:
		return EX_NOINPUT;
	case ENOKEY:
		return EX_NOPERM;
	case EINVAL:
	case EBADMSG: /* of a spool that is opened */
	case EPIPE:
	case EFBIG:
		return EX_DATAERR;
	default:
		return common_code(error);
	}
}

int tool_write_code(int error)
{
	switch (error) {
	case ENOENT:
	case EISDIR:
	case ENOTDIR:
	case ENXIO:
	case EEXIST:
	case EROFS:
	case ELOOP:
	case ENAMETOOLONG:
	case EACCES:
	case EPERM:
		return EX_CANTCREAT;
	case EINVAL:
		return EX_DATAERR;
	default:
		return common_code(error);
	}
}

int tool_key_code(int error)
{
	/* a typo in a file of keys is not the data's fault */
	if (error == EINVAL)
		return EX_CONFIG;
	/* a spec that does not say for whom */
	if (error == EDESTADDRREQ)
		return EX_USAGE;
	return tool_read_code(error);
}

int tool_fail_interrupted(void)
{
	return tool_fail(EX_IOERR, "interrupted");
}

int tool_read_failed(int error, const char *text, bool have_keys)
{
	if (tool_interrupted())
		return tool_fail_interrupted();
	return tool_fail(
		tool_read_code(error), "%s%s", text,
		error == ENOKEY && !have_keys ?
			" (age: -i KEY gives the file of a secret key, "
			"--passphrase-file FILE that of a passphrase)" :
			"");
}

int tool_write_failed(int error, const char *text)
{
	if (tool_interrupted())
		return tool_fail_interrupted();
	/* the reader of our output went away: that needs no words */
	if (error == EPIPE)
		return EX_IOERR;
	return tool_fail(tool_write_code(error), "%s", text);
}

int tool_help(const struct tool_command *command)
{
	fputs(command->help, stdout);
	return tool_finish_stdout();
}

/* Of the first flush that failed: the next one may have nothing to write, and so no
   reason of its own. */
static int stdout_errno;

bool tool_flush_stdout(void)
{
	errno = 0;
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return true;
	if (stdout_errno == 0)
		stdout_errno = errno;
	return false;
}

int tool_finish_stdout(void)
{
	if (tool_flush_stdout())
		return EX_OK;
	if (tool_interrupted())
		return tool_fail_interrupted();
	/* the reader went away: that needs no words */
	if (stdout_errno == EPIPE)
		return EX_IOERR;
	/* a write between two flushes, of more than the buffer takes, keeps none */
	if (stdout_errno == 0)
		return tool_fail(EX_IOERR, "writing to stdout failed");
	return tool_fail(EX_IOERR, "writing to stdout failed: %s",
			 strerror(stdout_errno));
}

/* The spec again, with a mark below the bad word. */
static void print_bad_word(const char *text, const struct stack_spec_word *bad)
{
	size_t i, size = bad->size == 0 ? 1 : bad->size;

	fputs("    ", stderr);
	tool_print_columns(stderr, text);
	fputs("\n    ", stderr);
	for (i = 0; i < bad->offset + size; i++) {
		/* a character of UTF-8 is as wide as its first byte */
		if (i < bad->offset + bad->size &&
		    ((unsigned char)text[i] & 0xc0) == 0x80)
			continue;
		fputc(i < bad->offset          ? ' ' :
			      i == bad->offset ? '^' :
						 '~',
		      stderr);
	}
	fputc('\n', stderr);
}

struct stack_spec *tool_parse_spec(const char *option, const char *text,
				   int *code_r)
{
	struct stack_spec_word bad;
	struct stack_spec *spec;
	char *error;

	/* no layers: as in spool.conf */
	spec = stack_spec_parse_at(*text == '\0' ? "plain" : text, &bad,
				   &error);
	if (spec != NULL)
		return spec;
	*code_r = tool_fail(errno == EINVAL ? EX_USAGE : tool_read_code(errno),
			    "%s: %s", option, error);
	print_bad_word(text, &bad);
	free(error);
	return NULL;
}
