/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TOOL_COMMON_H
#define BOBBIN_TOOL_COMMON_H

/* What the commands share: exit codes, error messages, keys, progress. */

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <sysexits.h>

#include "age-keys.h"
#include "compiler.h"

/* A verb: "cat", "spool put". */
struct tool_command {
	const char *name;
	const char *summary;
	const char *help;
	int (*run)(int argc, char *argv[]);
};
extern const struct tool_command tool_cat, tool_keygen;
extern const struct tool_command tool_spool_init, tool_spool_put,
	tool_spool_get, tool_spool_list, tool_spool_show, tool_spool_rm,
	tool_spool_verify, tool_spool_stats;

/* The running command's name, for messages. */
extern const char *tool_name;

/* Prints "bobbin VERB: TEXT" on stderr and returns the exit code. */
int tool_fail(int code, const char *fmt, ...) ATTR_FORMAT(2, 3);
/* The same for a mistake in the arguments (64), with a pointer to --help. */
int tool_usage(const char *fmt, ...) ATTR_FORMAT(1, 2);
/* The sysexits code for an errno of reading (input) or of writing. */
int tool_read_code(int error);
int tool_write_code(int error);
/* Prints the command's help on stdout. */
int tool_help(const struct tool_command *command);
/* A line on stderr for each layer of a written stack: bytes in, out, ratio. */
void tool_report_layer(const char *name, uint64_t plain, uint64_t encoded);

/* Reads identity files; NULL after a message, with *code_r. Warns when others may
   read one. */
struct age_identities *tool_load_identities(const char *const *paths,
					    unsigned int count, int *code_r);

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
/* Wipes the line. */
void tool_progress_end(struct tool_progress *progress);

#endif
