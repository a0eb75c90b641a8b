/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool repair: the scan of a spool's start, on request and to its end. */

#include "config.h"
#include "spool-common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
	"Usage: bobbin spool repair DIR [OPTION]...\n\n"
	"Takes away what killed writers left: temporary files, and bodies without\n"
	"headers. Puts damaged headers, and headers without their body, aside into\n"
	"DIR/quarantine, with the reason; nothing there is ever deleted. put and rm\n"
	"do the same by themselves after a writer that was killed, but look at the\n"
	"first line of headers only. It needs no key: a checksum tells whether what is\n"
	"stored of encrypted headers is whole, whatever a codec says of it. It does not\n"
	"look into bodies: verify does. Of a journal it reads all records; messages of\n"
	"which one is damaged are taken out, and what can be read of them is kept in\n"
	"quarantine. Whole segments whose first block is damaged are put aside: without\n"
	"repair the spool does not open then. Their messages are missing, and some that\n"
	"were removed may be back.\n\n"
	"  -i, --identity KEY   read encrypted headers with the keys in this file\n"
	"      --passphrase-file FILE  decrypt with the passphrase in its first line\n"
	"  -h, --help           this text\n\n"
	"Examples:\n"
	"  bobbin spool repair spool\n"
	"  bobbin spool verify spool || bobbin spool repair spool\n";

static void count_message(const message_id *id, void *context)
{
	uint64_t *messages = context;

	(void)id;
	(*messages)++;
}

static void print_done(uint64_t messages, const struct spool_strays *before,
		       const struct spool_strays *after)
{
	uint64_t parts = after->quarantined_parts - before->quarantined_parts;

	printf("messages    %" PRIu64 "\nput aside   %" PRIu64, messages,
	       after->quarantined - before->quarantined);
	if (parts > 0)
		printf(", %" PRIu64 " parts of the journal", parts);
	printf("\ntaken away  %" PRIu64 " bodies, %" PRIu64
	       " temporary files\n",
	       before->bodies - after->bodies,
	       before->temporary - after->temporary);
}

/* What each was is told by warnings. -1, or the exit code. */
static int print_undone(const struct spool_undone *undone)
{
	if (undone->unkept > 0)
		printf("not aside   %" PRIu64 "\n", undone->unkept);
	if (undone->left_out > 0)
		printf("left out    %" PRIu64 "\n", undone->left_out);
	if (undone->unkept > 0)
		return spool_tool_code(undone->unkept_errno);
	return undone->left_out > 0 ? spool_tool_code(undone->left_out_errno) :
				      -1;
}

static int look_and_repair(const struct spool_args *args)
{
	struct spool_strays before = { 0 }, after = { 0 };
	struct spool_undone undone;
	uint64_t messages = 0;
	struct spool *spool;
	int code;

	code = spool_tool_look_before(args, &before);
	if (code >= 0)
		return code;
	spool = spool_tool_open(args, SPOOL_OPEN_REPAIR, &code);
	if (spool == NULL)
		return code;
	spool_start_scan(spool, count_message, NULL, &messages);
	spool_wait_scan(spool);
	code = tool_interrupted() ? tool_fail_interrupted() :
				    spool_tool_count_strays(spool, &after);
	spool_get_undone(spool, &undone);
	spool_close(&spool);
	if (code >= 0)
		return code;
	print_done(messages, &before, &after);
	return print_undone(&undone);
}

static int repair(struct spool_args *args)
{
	int code;

	tool_catch_signals();
	code = tool_keys_load(&args->keys, &args->identities);
	if (code < 0)
		code = look_and_repair(args);
	age_identities_unref(&args->identities);
	return code;
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { SPOOL_IDENTITY_OPTION,
						 SPOOL_PASSPHRASE_OPTION,
						 SPOOL_HELP_OPTION,
						 { NULL, 0, NULL, 0 } };
	struct spool_args args;
	int code = spool_parse_args(&args, argc, argv, options,
				    &tool_spool_repair, NULL);

	return code >= 0 ? code : spool_finish_output(repair(&args));
}

const struct tool_command tool_spool_repair = {
	.name = "spool repair",
	.summary = "take away what killed writers left",
	.help = help,
	.run = run,
};
