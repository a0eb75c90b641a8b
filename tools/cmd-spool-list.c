/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool list */

#include "config.h"
#include "spool-common.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: bobbin spool list DIR [OPTION]...\n\n"
	"Lists the messages: id, octets of wire form, bytes on disk, version of\n"
	"the headers, stacks. A list of a spool in use may miss or repeat what\n"
	"comes and goes meanwhile.\n\n"
	"      --json   one JSON object a line; ignore keys you do not know\n"
	"  -h, --help   this text\n\n"
	"Examples:\n"
	"  bobbin spool list spool\n"
	"  bobbin spool list --json spool\n";

/* Not before the spool is open. */
static void print_heading(struct spool_totals *totals)
{
	if (!totals->json && !totals->heading)
		printf("%-26s %10s %10s %7s  %s\n", "ID", "SIZE", "STORED",
		       "VERSION", "STACK");
	totals->heading = true;
}

static void print_entry(const struct spool_entry *entry)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(&entry->id, text);
	printf("%s %10" PRIu64 " %10" PRIu64 " %7" PRIu64 "  ", text,
	       entry->body_len, entry->stored_size, entry->version);
	tool_print_text(stdout, entry->body_stack, false);
	if (strcmp(entry->body_stack, entry->headers_stack) != 0) {
		fputs(", headers ", stdout);
		tool_print_text(stdout, entry->headers_stack, false);
	}
	if (entry->problem != NULL) {
		fputs("  ", stdout);
		tool_print_text(stdout, entry->problem, false);
	}
	putchar('\n');
}

static bool list_entry(const struct spool_entry *entry, void *context)
{
	struct spool_totals *totals = context;

	print_heading(totals);
	if (totals->json)
		spool_json_entry(entry);
	else
		print_entry(entry);
	return !tool_interrupted();
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { SPOOL_JSON_OPTION,
						 SPOOL_HELP_OPTION,
						 { NULL, 0, NULL, 0 } };
	struct spool_totals totals = { .messages = 0 };
	struct spool_args args;
	int code;

	code = spool_parse_args(&args, argc, argv, options, &tool_spool_list,
				NULL);
	if (code >= 0)
		return code;
	totals.json = args.json;
	code = spool_tool_walk(&args, spool_list, list_entry, &totals);
	if (code < 0)
		print_heading(&totals);
	return spool_finish_output(code);
}

const struct tool_command tool_spool_list = {
	.name = "spool list",
	.summary = "list the messages",
	.help = help,
	.run = run,
};
