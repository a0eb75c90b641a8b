/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The command: finds the verb, and tells about itself. */

#include "config.h"
#include "macros.h"
#include "stream-kinds.h"
#include "tool-common.h"

#include <lz4.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

static const struct tool_command *const commands[] = {
	&tool_cat,         &tool_keygen,    &tool_spool_init,
	&tool_spool_put,   &tool_spool_get, &tool_spool_list,
	&tool_spool_show,  &tool_spool_rm,  &tool_spool_verify,
	&tool_spool_stats,
};

static int print_help(FILE *f)
{
	unsigned int i;

	fputs("Usage: bobbin VERB [OPTION]... [ARGUMENT]...\n\n"
	      "Composable streams and a durable mail spool.\n\n",
	      f);
	for (i = 0; i < N_ELEMENTS(commands); i++)
		fprintf(f, "  %-14s %s\n", commands[i]->name,
			commands[i]->summary);
	fputs("\n  bobbin VERB --help   what a verb does\n"
	      "  bobbin --version     version and codecs\n",
	      f);
	return fflush(f) == 0 ? EX_OK : EX_IOERR;
}

static int print_version(void)
{
	const struct stream_kind *kind;
	unsigned int i;

	printf("bobbin %s\nstreams:", PACKAGE_VERSION_TEXT);
	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++)
		printf(" %s", kind->name);
	printf("\nlibraries: zlib %s, lz4 %s, ", zlibVersion(),
	       LZ4_versionString());
#ifdef HAVE_ZSTD
	printf("zstd %s, ", ZSTD_versionString());
#endif
	printf("libsodium %s\n", sodium_version_string());
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

/* How many arguments the name of the command takes, 0 if it is another. */
static int match_command(const struct tool_command *command, int argc,
			 char *argv[])
{
	const char *name = command->name, *space = strchr(name, ' ');

	if (space == NULL)
		return strcmp(argv[1], name) == 0 ? 1 : 0;
	if (argc < 3 || strlen(argv[1]) != (size_t)(space - name) ||
	    strncmp(argv[1], name, (size_t)(space - name)) != 0)
		return 0;
	return strcmp(argv[2], space + 1) == 0 ? 2 : 0;
}

static int unknown_verb(char *argv[])
{
	fprintf(stderr,
		"bobbin: there is no verb \"%s%s%s\"\n"
		"See: bobbin --help\n",
		argv[1],
		strcmp(argv[1], "spool") == 0 && argv[2] != NULL ? " " : "",
		strcmp(argv[1], "spool") == 0 && argv[2] != NULL ? argv[2] :
								   "");
	return EX_USAGE;
}

int main(int argc, char *argv[])
{
	unsigned int i;
	int words;

	/* a closed pipe is an error of the stream that writes to it */
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		(void)print_help(stderr);
		return EX_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return print_help(stdout);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return print_version();
	for (i = 0; i < N_ELEMENTS(commands); i++) {
		words = match_command(commands[i], argc, argv);
		if (words == 0)
			continue;
		tool_name = commands[i]->name;
		return commands[i]->run(argc - words, argv + words);
	}
	return unknown_verb(argv);
}
