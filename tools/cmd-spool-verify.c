/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool verify */

#include "config.h"
#include "spool-common.h"

#include <inttypes.h>
#include <stdio.h>

static const char help[] =
	"Usage: bobbin spool verify DIR [OPTION]...\n\n"
	"Reads and checks every byte of every message, and tells what is wrong.\n"
	"Without a key an encrypted message is checked by the hash and the checksum of\n"
	"what is stored. Exit status 65 where something is damaged, cannot be undone\n"
	"though its checksum is right, or lies where nobody looks for it, or a program\n"
	"stored a body that is no SMTP wire form; 77 where only the key does not fit. What\n"
	"a killed writer left belongs to no message: it is counted, and no damage.\n\n"
	"  -i, --identity KEY   decrypt with the keys in this file, too\n"
	"      --passphrase-file FILE  decrypt with the passphrase in its first line\n"
	"      --json           one JSON object a line, for each message; the last\n"
	"                       one has the counts\n"
	"      --progress WHEN  auto, always or never\n"
	"  -h, --help           this text\n\n"
	"Examples:\n"
	"  bobbin spool verify spool\n"
	"  bobbin spool verify -i key.txt --json spool\n";

static bool verify_entry(const struct spool_entry *entry, void *context)
{
	struct spool_totals *totals = context;
	char text[MESSAGE_ID_TEXT_SIZE];

	/* its reading was cut short: it says nothing about the message */
	if (tool_interrupted())
		return false;
	spool_add_up(totals, entry);
	if (totals->json || entry->problem != NULL)
		tool_progress_wipe();
	if (totals->json) {
		spool_json_entry(entry);
	} else if (entry->problem != NULL) {
		message_id_to_text(&entry->id, text);
		printf("%s  ", text);
		tool_print_text(stdout, entry->problem, false);
		putchar('\n');
	}
	tool_progress_show(&totals->progress, totals->messages, false);
	return !tool_interrupted();
}

static void print_totals(const struct spool_totals *totals)
{
	const struct spool_strays *strays = &totals->strays;

	printf("%" PRIu64 " messages, %" PRIu64 " damaged", totals->messages,
	       totals->damaged);
	if (totals->malformed > 0)
		printf(", %" PRIu64 " whose bodies are no SMTP wire form",
		       totals->malformed);
	if (totals->unread > 0)
		printf(", %" PRIu64 " that could not be read", totals->unread);
	putchar('\n');
	if (strays->bodies + strays->temporary > 0)
		printf("%" PRIu64 " bodies without headers and %" PRIu64
		       " temporary files, %" PRIu64
		       " bytes: a writer is at work, or was killed "
		       "(see: bobbin spool repair --help)\n",
		       strays->bodies, strays->temporary, strays->bytes);
	if (strays->misplaced > 0)
		printf("%" PRIu64 " files are where nobody looks for them: "
		       "move each to the directory that has the last two "
		       "characters of its message's id\n",
		       strays->misplaced);
	if (strays->quarantined > 0)
		printf("%" PRIu64 " messages were put aside earlier, into "
		       "quarantine\n",
		       strays->quarantined);
	if (strays->quarantined_parts > 0)
		printf("%" PRIu64
		       " damaged or missing parts of the journal are "
		       "noted in quarantine\n",
		       strays->quarantined_parts);
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = {
		SPOOL_IDENTITY_OPTION, SPOOL_PASSPHRASE_OPTION,
		SPOOL_JSON_OPTION,     SPOOL_PROGRESS_OPTION,
		SPOOL_HELP_OPTION,     { NULL, 0, NULL, 0 }
	};
	struct spool_totals totals = { .count_strays = true, .verifies = true };
	struct spool_args args;
	int code;

	code = spool_parse_args(&args, argc, argv, options, &tool_spool_verify,
				NULL);
	if (code >= 0)
		return code;
	totals.json = args.json;
	tool_progress_begin(&totals.progress, args.progress, "verified", 0);
	code = spool_tool_walk(&args, spool_verify, verify_entry, &totals);
	tool_progress_end(&totals.progress);
	if (code < 0 && args.json)
		spool_json_totals(&totals);
	else if (code < 0)
		print_totals(&totals);
	if (code < 0 &&
	    totals.damaged + totals.malformed + totals.strays.misplaced > 0)
		code = EX_DATAERR;
	else if (code < 0 && totals.unread > 0)
		code = totals.unread_code;
	return spool_finish_output(code);
}

const struct tool_command tool_spool_verify = {
	.name = "spool verify",
	.summary = "check every stored byte",
	.help = help,
	.run = run,
};
