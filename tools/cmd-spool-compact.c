/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool compact: gives disk space back, on request. */

#include "config.h"
#include "spool-common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
	"Usage: bobbin spool compact DIR\n\n"
	"Moves what is left in half empty segments of a journal, and gives the blocks\n"
	"of those where nothing is left back to the disk. A process that has the\n"
	"spool open for writing does that by itself, unless DIR/spool.conf says\n"
	"\"compaction = off\". On a full disk it also moves what is left in fuller\n"
	"ones, so that there is room for about as much as was removed. In a file store\n"
	"there is nothing to do.\n\n"
	"  -h, --help   this text\n\n"
	"Examples:\n"
	"  bobbin spool compact spool\n";

static int compact(const struct spool_args *args)
{
	struct spool *spool;
	uint64_t moved;
	char *error;
	int code;

	tool_catch_signals();
	spool = spool_tool_open_writer(args, &code);
	if (spool == NULL)
		return code;
	if (spool_compact(spool, &moved, &error) < 0) {
		code = spool_tool_read_failed(errno, error, true);
		free(error);
	} else {
		printf("moved  %" PRIu64 " messages\n", moved);
		code = -1;
	}
	spool_tool_close_writer(&spool);
	return code;
}

static int run(int argc, char *argv[])
{
	return spool_run(argc, argv, &tool_spool_compact, compact);
}

const struct tool_command tool_spool_compact = {
	.name = "spool compact",
	.summary = "give disk space back",
	.help = help,
	.run = run,
};
