/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool stats */

#include "config.h"
#include "spool-common.h"

#include <inttypes.h>
#include <stdio.h>

static const char help[] =
	"Usage: bobbin spool stats DIR [OPTION]...\n\n"
	"Counts messages and bytes. Stray bodies and files belong to no message: a\n"
	"writer is at work, or was killed. Segments of a journal are live, or no\n"
	"message needs them (dead), or nothing is in them (blank; cut: without\n"
	"blocks on disk). Records are those in segments, live ones a message's.\n\n"
	"      --json   as a JSON object\n"
	"  -h, --help   this text\n\n"
	"Examples:\n"
	"  bobbin spool stats spool\n"
	"  bobbin spool stats --json spool\n";

static bool count_entry(const struct spool_entry *entry, void *context)
{
	spool_add_up(context, entry);
	return !tool_interrupted();
}

static void print_totals(const struct spool_totals *totals)
{
	const struct spool_strays *strays = &totals->strays;

	printf("messages      %" PRIu64 "\ndamaged       %" PRIu64
	       "\nunread        %" PRIu64 "\nquarantined   %" PRIu64
	       "\ndamaged parts %" PRIu64 "\nmessage bytes %" PRIu64
	       "\nstored bytes  %" PRIu64 "\n",
	       totals->messages, totals->damaged, totals->unread,
	       strays->quarantined, strays->quarantined_parts,
	       totals->wire_bytes, totals->stored_bytes);
	/* of writers that are at work, or were killed */
	printf("stray bodies  %" PRIu64 "\nstray files   %" PRIu64
	       "\nstray bytes   %" PRIu64 "\nmisplaced     %" PRIu64 "\n",
	       strays->bodies, strays->temporary, strays->bytes,
	       strays->misplaced);
	spool_print_segments(stdout, &totals->stats);
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { SPOOL_JSON_OPTION,
						 SPOOL_HELP_OPTION,
						 { NULL, 0, NULL, 0 } };
	struct spool_totals totals = { .count_strays = true,
				       .want_stats = true };
	struct spool_args args;
	int code;

	code = spool_parse_args(&args, argc, argv, options, &tool_spool_stats,
				NULL);
	if (code >= 0)
		return code;
	code = spool_tool_walk(&args, spool_list, count_entry, &totals);
	if (code < 0 && args.json)
		spool_json_totals(&totals);
	else if (code < 0)
		print_totals(&totals);
	return spool_finish_output(code);
}

const struct tool_command tool_spool_stats = {
	.name = "spool stats",
	.summary = "count messages and bytes",
	.help = help,
	.run = run,
};
