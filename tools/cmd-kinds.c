/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin kinds: the registry, as a table. */

#include "config.h"
#include "tool-common.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
	"Usage: bobbin kinds [KIND]...\n\n"
	"Lists what a stack spec can be made of: every kind of stream (or those\n"
	"that are named), and its options. The first option of a kind may be given\n"
	"without its name: \"zstd:3\" is \"zstd:level=3\". A value with white space,\n"
	"a comma or \"|\" in it is written in double quotes (in them, \\\" and \\\\ stand\n"
	"for \" and \\), and so for a shell the whole spec in single ones:\n"
	"'zstd | file:\"my mail.zst\"'.\n\n"
	"  -h, --help   this text\n\n"
	"Examples:\n"
	"  bobbin kinds\n"
	"  bobbin kinds zstd age\n";

static void format_value(const struct stream_option *option, char *text,
			 size_t size)
{
	switch (option->type) {
	case STREAM_OPTION_INT:
		(void)snprintf(text, size,
			       "%" PRId64 "..%" PRId64 " (%" PRId64 ")",
			       option->min, option->max, option->def);
		break;
	case STREAM_OPTION_SIZE:
		(void)snprintf(text, size, "BYTES[K|M|G|T]");
		break;
	case STREAM_OPTION_BOOL:
		(void)snprintf(text, size, "yes|no (%s)",
			       option->def != 0 ? "yes" : "no");
		break;
	case STREAM_OPTION_RECIPIENT:
		(void)snprintf(text, size, "age1...");
		break;
	case STREAM_OPTION_WORD:
		(void)snprintf(text, size, "WORD");
		break;
	case STREAM_OPTION_PATH:
	case STREAM_OPTION_RECIPIENTS:
	case STREAM_OPTION_IDENTITIES:
		(void)snprintf(text, size, "FILE");
		break;
	}
}

static void print_kind(const struct stream_kind *kind)
{
	const struct stream_option *option;
	char value[64];

	printf("%-11s %s%s\n", kind->name, kind->help,
	       (kind->flags & STREAM_KIND_MISSING) != 0 ?
		       " (not in this build)" :
		       "");
	for (option = kind->options; option->name != NULL; option++) {
		format_value(option, value, sizeof(value));
		printf("  %13s=%-20s %s\n", option->name, value, option->help);
	}
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 }
	};
	const struct stream_kind *kind;
	unsigned int i;
	int c;

	while ((c = tool_getopt(argc, argv, "h", options)) != -1)
		return c == 'h' ? tool_help(&tool_kinds) : tool_usage_hint();
	for (c = optind; c < argc; c++) {
		kind = stream_kind_lookup(argv[c], strlen(argv[c]));
		if (kind == NULL)
			return tool_usage("there is no kind \"%s\"", argv[c]);
		print_kind(kind);
	}
	for (i = 0; optind == argc && (kind = stream_kind_get(i)) != NULL; i++)
		print_kind(kind);
	return tool_finish_stdout();
}

const struct tool_command tool_kinds = {
	.name = "kinds",
	.summary = "list what a stack spec can be made of",
	.help = help,
	.run = run,
};
