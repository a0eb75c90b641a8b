/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool rm */

#include "config.h"
#include "spool-common.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: bobbin spool rm DIR ID...\n\n"
	"Removes messages. What is said to be removed never comes back; a message\n"
	"that is not there is no failure.\n\n" SPOOL_WAIT_HELP
	"  -h, --help               this text\n\n"
	"Examples:\n"
	"  bobbin spool rm spool 01h2xcejqtf2nbrexx3vqjhp41\n"
	"  bobbin spool list spool | awk 'NR > 1 { print $1 }' |\n"
	"      xargs bobbin spool rm spool\n";

/* Every one that stays is told; the first failure's code is the command's. */
static int remove_ids(const struct spool_args *args, struct spool *spool,
		      int count, char *texts[])
{
	int i, answer, code, first = EX_OK;
	message_id id;

	for (i = 0; i < count && !tool_interrupted(); i++) {
		(void)message_id_from_text(texts[i], &id);
		answer = spool_remove(spool, &id);
		code = answer == IO_DONE ? EX_OK :
					   spool_tool_fail(args, answer);
		if (first == EX_OK)
			first = code;
	}
	if (i < count && first == EX_OK)
		first = tool_fail_interrupted();
	return first;
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { SPOOL_WAIT_OPTION,
						 SPOOL_HELP_OPTION,
						 { NULL, 0, NULL, 0 } };
	struct spool_args args;
	struct spool *spool;
	message_id id;
	int c, code, i;

	memset(&args, 0, sizeof(args));
	while ((c = tool_getopt(argc, argv, "h", options)) != -1) {
		code = spool_common_option(&args, c, &tool_spool_rm);
		if (code >= 0)
			return code;
	}
	code = spool_take_dir(&args, argc, argv);
	if (code >= 0)
		return code;
	if (optind == argc)
		return tool_usage("say which message: an ID is missing");
	/* all or none of the ids are good */
	for (i = optind; i < argc; i++) {
		if (!spool_tool_id(argv[i], &id))
			return EX_USAGE;
	}
	spool = spool_tool_open_writer(&args, &code);
	if (spool == NULL)
		return spool_finish(code);
	code = remove_ids(&args, spool, argc - optind, argv + optind);
	spool_tool_close_writer(&spool);
	return spool_finish(code);
}

const struct tool_command tool_spool_rm = {
	.name = "spool rm",
	.summary = "remove messages",
	.help = help,
	.run = run,
};
