/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool migrate: messages into another spool. */

#include "config.h"
#include "spool-common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char help[] =
	"Usage: bobbin spool migrate FROM TO [OPTION]...\n\n"
	"Moves all messages from one spool to another one, which init made, with any\n"
	"store and stacks; ids and versions stay. A message is on stable storage in\n"
	"TO before it is removed from FROM: after a crash the same command goes on.\n"
	"A message that cannot be read, or of which TO has another version, is named\n"
	"and stays where it is: exit status 65, or 77 where only keys are missing.\n\n"
	"      --keep           copy: remove nothing from FROM\n"
	"  -i, --identity KEY   read encrypted messages with the keys in this file\n"
	"      --passphrase-file FILE  decrypt with the passphrase in its first line\n"
	"  -v, --verbose        print the id of each message when it is in TO\n"
	"      --json           one JSON object a line, for each message; the last\n"
	"                       one has the counts\n"
	"      --progress WHEN  auto, always or never\n"
	"  -h, --help           this text\n\n"
	"Examples:\n"
	"  bobbin spool init --store journal new && bobbin spool migrate old new\n";

enum {
	OPTION_KEEP = 256
};

struct migrate {
	struct spool_args from, to;
	bool keep, verbose, stdout_failed;
	struct spool_strays before; /* it is opened for writing */
	struct spool_migrate_counts counts;
	int left_code; /* for all that were left */
	struct tool_progress progress;
};

static void print_one(const struct migrate *migrate,
		      const struct spool_migrated *what)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(&what->id, text);
	if (migrate->from.json || what->problem != NULL || migrate->verbose)
		tool_progress_wipe();
	if (migrate->from.json) {
		spool_json_migrated(what);
	} else if (what->problem != NULL) {
		printf("%s  ", text);
		tool_print_text(stdout, what->problem, false);
		putchar('\n');
	} else if (migrate->verbose) {
		puts(text);
	}
}

static void count_left(struct migrate *migrate, int error)
{
	migrate->counts.left++;
	/* another version that is there is bad data */
	migrate->left_code = spool_tool_worse_code(
		migrate->left_code,
		error == EEXIST ? EX_DATAERR : spool_tool_code(error));
}

static bool count_one(const struct spool_migrated *what, void *context)
{
	struct migrate *migrate = context;
	struct spool_migrate_counts *counts = &migrate->counts;

	/* its reading was cut short: it says nothing about the message */
	if (what->problem != NULL && tool_interrupted())
		return false;
	if (what->problem != NULL) {
		count_left(migrate, what->error);
	} else if (what->was_there) {
		counts->were_there++;
	} else {
		counts->copied++;
	}
	print_one(migrate, what);
	if (!tool_flush_stdout()) {
		migrate->stdout_failed = true;
		return false;
	}
	migrate->progress.total = what->total;
	tool_progress_show(&migrate->progress,
			   counts->copied + counts->were_there + counts->left,
			   false);
	return !tool_interrupted();
}

static void print_counts(const struct migrate *migrate)
{
	const struct spool_migrate_counts *counts = &migrate->counts;

	if (migrate->from.json) {
		spool_json_migrate_counts(counts);
		return;
	}
	printf("%" PRIu64 " messages %s", counts->copied,
	       migrate->keep ? "copied" : "moved");
	if (counts->were_there > 0)
		printf(", %" PRIu64 " were there already", counts->were_there);
	if (counts->left > 0)
		printf(", %" PRIu64 " left", counts->left);
	putchar('\n');
}

/* Of either spool. */
static int failed_code(int error)
{
	int code = spool_tool_code(error);

	return code == EX_TEMPFAIL ? code : spool_tool_write_code(error);
}

/* What opening put aside does not move: -1, or the exit code. */
static int look_after(const struct migrate *migrate, struct spool *from)
{
	const struct spool_strays *before = &migrate->before;
	struct spool_strays after;
	uint64_t aside;
	int code;

	if (migrate->keep)
		return -1;
	code = spool_tool_count_strays(from, &after);
	if (code >= 0)
		return code;
	aside = after.quarantined + after.quarantined_parts -
		before->quarantined - before->quarantined_parts;
	return aside == 0 ?
		-1 :
		tool_fail(EX_DATAERR,
			  "%" PRIu64 " damaged parts of the journal were put "
			  "aside, and are in %s/quarantine alone",
			  aside, migrate->from.dir);
}

/* With both spools: -1, or the exit code. */
static int migrate_all(struct migrate *migrate, struct spool *from,
		       struct spool *to)
{
	char *error;
	int ret, code = -1;

	tool_progress_begin(&migrate->progress, migrate->from.progress,
			    "migrated", 0);
	ret = spool_migrate(from, to, migrate->keep ? SPOOL_MIGRATE_KEEP : 0,
			    count_one, migrate, &error);
	tool_progress_end(&migrate->progress);
	if (ret < 0) {
		code = tool_interrupted() ?
			tool_fail_interrupted() :
			tool_fail(failed_code(errno), "%s", error);
		free(error);
	} else if (tool_interrupted()) {
		code = tool_fail_interrupted();
	} else if (!migrate->stdout_failed) {
		print_counts(migrate);
		code = look_after(migrate, from);
		if (migrate->counts.left > 0)
			code = spool_tool_worse_code(code < 0 ? EX_OK : code,
						     migrate->left_code);
	}
	return code;
}

static bool same_directory(const char *a, const char *b)
{
	struct stat st[2];

	return stat(a, &st[0]) == 0 && stat(b, &st[1]) == 0 &&
		st[0].st_dev == st[1].st_dev && st[0].st_ino == st[1].st_ino;
}

static int open_and_migrate(struct migrate *migrate)
{
	struct spool *from, *to;
	int code = -1;

	if (!migrate->keep)
		code = spool_tool_look_before(&migrate->from, &migrate->before);
	if (code >= 0)
		return code;
	from = spool_tool_open(&migrate->from,
			       migrate->keep ? SPOOL_OPEN_READ_ONLY : 0, &code);
	if (from == NULL)
		return code;
	to = spool_tool_open_writer(&migrate->to, &code);
	if (to != NULL)
		code = migrate_all(migrate, from, to);
	spool_tool_close_writer(&to);
	spool_close(&from);
	return code;
}

static int migrate_spools(struct migrate *migrate)
{
	int code;

	if (same_directory(migrate->from.dir, migrate->to.dir))
		return tool_fail(EX_USAGE, "%s and %s are the same directory",
				 migrate->from.dir, migrate->to.dir);
	tool_catch_signals();
	/* the keys are for what is in either of them */
	code = tool_keys_load(&migrate->from.keys, &migrate->from.identities);
	migrate->to.identities = migrate->from.identities;
	if (code < 0)
		code = open_and_migrate(migrate);
	age_identities_unref(&migrate->from.identities);
	return code;
}

static int parse_args(struct migrate *migrate, int argc, char *argv[])
{
	static const struct option options[] = {
		SPOOL_IDENTITY_OPTION,
		SPOOL_PASSPHRASE_OPTION,
		SPOOL_JSON_OPTION,
		SPOOL_PROGRESS_OPTION,
		SPOOL_HELP_OPTION,
		{ "keep", no_argument, NULL, OPTION_KEEP },
		{ "verbose", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 }
	};
	int c, code;

	while ((c = tool_getopt(argc, argv, "i:vh", options)) != -1) {
		code = -1;
		if (c == OPTION_KEEP)
			migrate->keep = true;
		else if (c == 'v')
			migrate->verbose = true;
		else
			code = spool_common_option(&migrate->from, c,
						   &tool_spool_migrate);
		if (code >= 0)
			return code;
	}
	code = spool_take_dir(&migrate->from, argc, argv);
	if (code >= 0)
		return code;
	if (optind + 1 != argc)
		return tool_usage("two spools are expected: FROM and TO");
	migrate->to = migrate->from;
	return spool_take_dir(&migrate->to, argc, argv);
}

static int run(int argc, char *argv[])
{
	struct migrate migrate;
	int code;

	memset(&migrate, 0, sizeof(migrate));
	code = parse_args(&migrate, argc, argv);
	if (code >= 0)
		return code;
	return spool_finish_output(migrate_spools(&migrate));
}

const struct tool_command tool_spool_migrate = {
	.name = "spool migrate",
	.summary = "move all messages into another spool",
	.help = help,
	.run = run,
};
