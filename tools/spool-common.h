/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_TOOL_H
#define BOBBIN_SPOOL_TOOL_H

/* What the spool's verbs share. */

#include "spool.h"
#include "tool-common.h"

/* The options that most verbs have. */
struct spool_args {
	struct tool_keys keys;
	/* what is in their files, of a verb that opens more than once: a pipe can be
	   read once; NULL: not read yet */
	struct age_identities *identities;
	bool json;
	enum tool_progress_mode progress;
	const char *dir;
	unsigned int wait_secs; /* for who has the spool open */
};

/* What a walk over a spool adds up. */
struct spool_totals {
	uint64_t messages, wire_bytes, stored_bytes;
	uint64_t damaged;
	uint64_t malformed; /* whole, and no SMTP wire form: of verify */
	/* not read, for want of a key, of a newer version, of a working disk;
	   the code for all of them */
	uint64_t unread;
	int unread_code;
	struct spool_strays strays;
	struct spool_stats stats;
	bool json, heading, count_strays, want_stats, verifies;
	struct tool_progress progress;
};

enum {
	SPOOL_OPTION_PROGRESS = 512,
	SPOOL_OPTION_JSON,
	SPOOL_OPTION_PASSPHRASE,
	SPOOL_OPTION_WAIT
};
#define SPOOL_IDENTITY_OPTION                            \
	{                                                \
		"identity", required_argument, NULL, 'i' \
	}
#define SPOOL_PASSPHRASE_OPTION                             \
	{                                                   \
		"passphrase-file", required_argument, NULL, \
			SPOOL_OPTION_PASSPHRASE             \
	}
#define SPOOL_JSON_OPTION                                    \
	{                                                    \
		"json", no_argument, NULL, SPOOL_OPTION_JSON \
	}
#define SPOOL_PROGRESS_OPTION                                              \
	{                                                                  \
		"progress", required_argument, NULL, SPOOL_OPTION_PROGRESS \
	}
#define SPOOL_WAIT_OPTION                                          \
	{                                                          \
		"wait", required_argument, NULL, SPOOL_OPTION_WAIT \
	}
#define SPOOL_WAIT_HELP                                                              \
	"      --wait SECONDS       where another process has the spool open, try\n" \
	"                           so long until it has not\n"
#define SPOOL_HELP_OPTION                      \
	{                                      \
		"help", no_argument, NULL, 'h' \
	}
/* -1: go on with the next option; else the exit code. */
int spool_common_option(struct spool_args *args, int option,
			const struct tool_command *command);
/* Takes DIR, the first argument. -1, or the exit code. */
int spool_take_dir(struct spool_args *args, int argc, char *argv[]);
/* The arguments of a verb that takes these options, DIR, and an ID where id_r is
   not NULL. -1, or the exit code. */
int spool_parse_args(struct spool_args *args, int argc, char *argv[],
		     const struct option *options,
		     const struct tool_command *command, message_id *id_r);
/* A verb that takes DIR and --help alone: what `work` gives, or the exit code. */
int spool_run(int argc, char *argv[], const struct tool_command *command,
	      int (*work)(const struct spool_args *args));
/* Opens it, with the keys of -i; warnings go to stderr. NULL after a message, with
   the exit code. */
struct spool *spool_tool_open(const struct spool_args *args, unsigned int flags,
			      int *code_r);
/* The same for writing, and for a verb that signals do not end: spool-writer.c. The
   spool is scanned meanwhile where a writer was killed; closing waits for that. */
struct spool *spool_tool_open_writer(const struct spool_args *args,
				     int *code_r);
void spool_tool_close_writer(struct spool **spool);
/* -1, or the exit code after a message. */
int spool_tool_count_strays(struct spool *spool, struct spool_strays *strays_r);
/* The same, before opening for writing takes temporary files away, and puts damaged parts of
   a journal aside. */
int spool_tool_look_before(const struct spool_args *args,
			   struct spool_strays *strays_r);
/* Prints io_get_error(), and gives the exit code for a hook's answer. */
int spool_tool_fail(const struct spool_args *args, int answer);
/* The code for an errno of the spool: where its disk is full or fails, or is read-only,
   or a permission is missing, the same call may go well later, as the library says by
   IO_TRANS_FAIL. */
int spool_tool_code(int error);
/* The same for making a spool, and for filling one with many messages. */
int spool_tool_write_code(int error);
/* The code for several messages that were not read: `other` is that of one, `code` that
   of those before, EX_OK where there are none. Damage says more than all else, a missing
   key less, whichever came first. */
int spool_tool_worse_code(int code, int other);
/* As tool_read_failed(), for what is read from the spool. */
int spool_tool_read_failed(int error, const char *text, bool have_keys);
/* Prints a message where the text is no id; false then. */
bool spool_tool_id(const char *text, message_id *id_r);

/* spool_list or spool_verify */
typedef int spool_walk_t(struct spool *spool, spool_entry_t *callback,
			 void *context, char **error_r);
/* One walk over the spool of args, which needs no lock;
   -1, or the exit code of a failure. */
int spool_tool_walk(const struct spool_args *args, spool_walk_t *walk,
		    spool_entry_t *callback, struct spool_totals *totals);
void spool_add_up(struct spool_totals *totals, const struct spool_entry *entry);
/* The end of a verb: the exit code, where code < 0 is EX_OK; or the end by the
   signal that interrupted it. */
int spool_finish(int code);
/* The same, having flushed stdout. */
int spool_finish_output(int code);

/* What became of the messages of a migration. */
struct spool_migrate_counts {
	uint64_t copied, were_there, left;
};
void spool_json_migrated(const struct spool_migrated *what);
void spool_json_migrate_counts(const struct spool_migrate_counts *counts);

/*
 * spool-counts.c
 */

/* Lines with the groups and syncs of this process; nothing where it had none. */
void spool_print_syncs(FILE *f, struct spool *spool);
/* Whether there are any: of a journal. */
bool spool_has_segments(const struct spool_stats *stats);
/* Lines about them; nothing where there are none. */
void spool_print_segments(FILE *f, const struct spool_stats *stats);

/* "pending", "delivered", "failed" */
const char *spool_recipient_state(enum email_recipient_state state);

/*
 * spool-json.c: one JSON object on stdout, in a line of its own
 */
void spool_json_entry(const struct spool_entry *entry);
void spool_json_totals(const struct spool_totals *totals);
/* entry NULL: the native store knows nothing of it. */
void spool_json_message(const email_message *message,
			const struct spool_entry *entry);

#endif
