/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TOOL_COMMON_H
#define BOBBIN_TOOL_COMMON_H

/* What the commands share: exit codes, error messages, keys, progress. */

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sysexits.h>

#include "age-keys.h"
#include "compiler.h"
#include "stack-spec.h"

#define IDENTITY_FILES_MAX 64

/* A verb: "cat", "spool put". */
struct tool_command {
	const char *name;
	const char *summary;
	const char *help;
	/* argv[0] is the verb's last word; the exit code is returned */
	int (*run)(int argc, char *argv[]);
};
extern const struct tool_command tool_cat, tool_keygen, tool_kinds;
extern const struct tool_command tool_spool_init, tool_spool_put,
	tool_spool_get, tool_spool_list, tool_spool_show, tool_spool_rm,
	tool_spool_verify, tool_spool_stats, tool_spool_repair,
	tool_spool_compact, tool_spool_migrate;

/* The running command's name, for messages. */
extern const char *tool_name;

/*
 * Messages and exit codes (sysexits.h)
 */

/* Prints "bobbin VERB: TEXT" on stderr and returns the exit code. */
int tool_fail(int code, const char *fmt, ...) ATTR_FORMAT(2, 3);
/* The same for a mistake in the arguments (64), with a pointer to --help. */
int tool_usage(const char *fmt, ...) ATTR_FORMAT(1, 2);
/* For what tool_getopt() has complained about already. */
int tool_usage_hint(void);
void tool_warn(const char *fmt, ...) ATTR_FORMAT(1, 2);
/* The code for an errno of reading input, of writing output, of loading a file
   of keys. */
int tool_read_code(int error);
int tool_write_code(int error);
int tool_key_code(int error);
/* Prints the sentence about a failed read, with what to do about this errno, and
   gives its code; an interruption needs no sentence but that. */
int tool_read_failed(int error, const char *text, bool have_keys);
/* The same for a failed write. A reader of stdout that went away gets no words. */
int tool_write_failed(int error, const char *text);
/* Input "-", one at a time; the stream is the caller's. */
struct istream *tool_open_stdin(void);
/* The next process goes on behind what was read of it, before it is destroyed; nothing
   where it was not opened. */
void tool_leave_stdin(void);
/* Whether what is written to the fd, stdout or another, will be read from there: they are
   one regular file, in which the fd stands behind what is read next. */
bool tool_reads_output(struct istream *input, int fd);
/* Before anything is written: what is not for a terminal is written by a flush, which can
   tell why it fails, and not by some line, or where the C library's small buffer is full. */
void tool_buffer_stdout(void);
/* Prints the command's help on stdout. */
int tool_help(const struct tool_command *command);
/* False where stdout cannot be written: tool_finish_stdout() tells why. */
bool tool_flush_stdout(void);
/* Flushes stdout: EX_OK, or a message and its code. */
int tool_finish_stdout(void);

/*
 * Text from outside: text-out.c
 */

/* Bytes of the UTF-8 character that text begins with, 0 where there is none. */
size_t tool_utf8_size(const char *text);
/* Prints it with \n, \r, \t and \xNN for control characters and for what is not
   UTF-8; `reversible`: a backslash is doubled. */
void tool_print_text(FILE *f, const char *text, bool reversible);
/* Prints it with one column for each character, a blank for one of control, and none for a
   byte that UTF-8 has behind a first one only. */
void tool_print_columns(FILE *f, const char *text);

/*
 * Arguments
 */

/* As getopt_long(); '?' after a message. */
int tool_getopt(int argc, char *argv[], const char *letters,
		const struct option *options);

/* Parses the spec that was given as this option ("--to"). NULL after a message
   that points at the bad word, with *code_r. */
struct stack_spec *tool_parse_spec(const char *option, const char *text,
				   int *code_r);

/* The files of secrets that options name. */
struct tool_keys {
	const char *paths[IDENTITY_FILES_MAX]; /* -i */
	unsigned int count;
	const char *passphrase_path; /* --passphrase-file */
};
/* -i PATH. -1, or the exit code. */
int tool_keys_add(struct tool_keys *keys, const char *path);
/* Whether any was named. */
bool tool_keys_given(const struct tool_keys *keys);
/* Reads them; *set_r is NULL where none is named. -1, or the exit code, after a
   message. Warns when others may read one. */
int tool_keys_load(const struct tool_keys *keys, struct age_identities **set_r);

/*
 * Signals
 */

/* From here on SIGINT, SIGTERM and SIGHUP do not end the process: the read or
   write of a stream, or the opening of a file, that is under way, and those after
   it, fail with ECANCELED,
   so that half-written files are removed on the way out. A second one ends it.
   Call it before threads are started. */
void tool_catch_signals(void);
bool tool_interrupted(void);
/* Says so; EX_IOERR. */
int tool_fail_interrupted(void);
/* Ends the process by the signal that came, if one did: the shell is to know. */
void tool_die_if_interrupted(void);

/*
 * Progress: one line on stderr, rewritten; only on a terminal
 */
enum tool_progress_mode {
	PROGRESS_AUTO,
	PROGRESS_ALWAYS,
	PROGRESS_NEVER
};
struct tool_progress {
	bool on;
	const char *what;
	uint64_t total; /* 0: unknown */
	uint64_t last_msecs, start_msecs;
};
/* False: not a mode. */
bool tool_progress_parse(const char *text, enum tool_progress_mode *mode_r);
void tool_progress_begin(struct tool_progress *progress,
			 enum tool_progress_mode mode, const char *what,
			 uint64_t total);
/* Redraws at most ten times a second. `bytes` decides how it counts. */
void tool_progress_show(struct tool_progress *progress, uint64_t done,
			bool bytes);
/* Before another line is printed: wipes what is drawn, until it is drawn again. */
void tool_progress_wipe(void);
/* Wipes the line. */
void tool_progress_end(struct tool_progress *progress);

#endif
