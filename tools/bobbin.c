/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The command: finds the verb, and tells about itself. */

#include "config.h"
#include "macros.h"
#include "stream-kinds.h"
#include "tool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <signal.h>
#ifdef HAVE_LIBCRYPTO
#include <openssl/crypto.h>
#endif
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#ifdef HAVE_BZIP2
#include <bzlib.h>
#endif
#ifdef HAVE_LZMA
#include <lzma.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

/* A verb is a row; one of two words belongs to the group that its first word
   names. */
static const struct tool_command *const commands[] = {
	&tool_cat,           &tool_keygen,        &tool_kinds,
	&tool_spool_init,    &tool_spool_put,     &tool_spool_get,
	&tool_spool_list,    &tool_spool_show,    &tool_spool_rm,
	&tool_spool_verify,  &tool_spool_stats,   &tool_spool_repair,
	&tool_spool_compact, &tool_spool_migrate,
};

/* Whether the verb's first word is this one, and it has a second. */
static bool in_group(const struct tool_command *command, const char *word)
{
	size_t size = strlen(word);

	return strncmp(command->name, word, size) == 0 &&
		command->name[size] == ' ';
}

static bool is_group(const char *word)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(commands); i++) {
		if (in_group(commands[i], word))
			return true;
	}
	return false;
}

/* All verbs, or those of a group (NULL: all). */
static void print_help(FILE *f, const char *group)
{
	unsigned int i;

	fprintf(f,
		"Usage: bobbin %s [OPTION]... [ARGUMENT]...\n\n"
		"Composable byte streams and a durable mail spool.\n\n",
		group != NULL ? group : "VERB");
	for (i = 0; i < N_ELEMENTS(commands); i++) {
		if (group == NULL || in_group(commands[i], group))
			fprintf(f, "  %-14s %s\n", commands[i]->name,
				commands[i]->summary);
	}
	fputs("\n"
	      "  bobbin VERB --help   what a verb does, with examples\n"
	      "  bobbin --version     the version and what it was built with\n"
	      "\n"
	      "Exit codes are those of sysexits.h: 64 usage, 65 bad data, "
	      "66 no input,\n"
	      "69 not in this build, 73 cannot create, 74 I/O error, "
	      "75 try again later,\n"
	      "77 no key that fits, 78 bad configuration.\n",
	      f);
}

static void print_kinds(const char *what, unsigned int missing)
{
	const struct stream_kind *kind;
	bool any = false;
	unsigned int i;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if ((kind->flags & STREAM_KIND_MISSING) == missing) {
			printf("%s%s", any ? " " : what, kind->name);
			any = true;
		}
	}
	if (any)
		putchar('\n');
}

static int print_version(void)
{
	printf("bobbin %s\n", PACKAGE_VERSION_TEXT);
	print_kinds("streams: ", 0);
	print_kinds("not in this build: ", STREAM_KIND_MISSING);
	printf("libraries: zlib %s, lz4 %s, ", zlibVersion(),
	       LZ4_versionString());
#ifdef HAVE_ZSTD
	printf("zstd %s, ", ZSTD_versionString());
#endif
#ifdef HAVE_LIBCRYPTO
	printf("%s, ", OpenSSL_version(OPENSSL_VERSION));
#endif
#ifdef HAVE_BZIP2
	/* "1.0.8, 13-Jul-2019" */
	printf("bzip2 %.*s, ", (int)strcspn(BZ2_bzlibVersion(), ","),
	       BZ2_bzlibVersion());
#endif
#ifdef HAVE_LZMA
	printf("liblzma %s, ", lzma_version_string());
#endif
	printf("libsodium %s\n", sodium_version_string());
	return tool_finish_stdout();
}

/* How many words of the arguments are the verb's, 0 if it is another. */
static int match_command(const struct tool_command *command, int argc,
			 char *argv[])
{
	const char *space = strchr(command->name, ' ');

	if (space == NULL)
		return strcmp(argv[1], command->name) == 0 ? 1 : 0;
	return argc > 2 && in_group(command, argv[1]) &&
			strcmp(argv[2], space + 1) == 0 ?
		2 :
		0;
}

static int run_command(const struct tool_command *command, int words, int argc,
		       char *argv[])
{
	tool_name = command->name;
	return command->run(argc - words, argv + words);
}

static int unknown_verb(int argc, char *argv[])
{
	bool group = is_group(argv[1]);

	if (group && argc == 2) {
		print_help(stderr, argv[1]);
		return EX_USAGE;
	}
	(void)tool_fail(EX_USAGE, "there is no verb \"%s%s%s\"", argv[1],
			group ? " " : "", group ? argv[2] : "");
	fprintf(stderr, "See: bobbin %s%s--help\n", group ? argv[1] : "",
		group ? " " : "");
	return EX_USAGE;
}

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 ||
		strcmp(word, "help") == 0;
}

/* The next file to be opened, a signal's or a message's, would take the place of a
   standard one that is closed. What is there now fails as that would (EBADF). */
static void occupy_closed_fds(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null",
				   fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
	}
}

int main(int argc, char *argv[])
{
	bool help_wanted = false;
	unsigned int i;
	int words;

	occupy_closed_fds();
	tool_buffer_stdout();
	/* a closed pipe, or a file that may not grow, is an error of the stream that
	   writes to it */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);
	/* getopt_long() would take a --recipient behind a file for another file, and
	   the mail would be stored without it */
	(void)unsetenv("POSIXLY_CORRECT");
	if (argc < 2) {
		print_help(stderr, NULL);
		return EX_USAGE;
	}
	/* "help VERB" is "VERB --help" */
	if (argc > 2 && is_help(argv[1])) {
		argv++;
		argc--;
		help_wanted = true;
	} else if (is_help(argv[1])) {
		print_help(stdout, NULL);
		return tool_finish_stdout();
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return print_version();
	for (i = 0; i < N_ELEMENTS(commands); i++) {
		words = match_command(commands[i], argc, argv);
		if (words > 0 && help_wanted)
			return tool_help(commands[i]);
		if (words > 0)
			return run_command(commands[i], words, argc, argv);
	}
	if (is_group(argv[1]) &&
	    (help_wanted || (argc > 2 && is_help(argv[2])))) {
		print_help(stdout, argv[1]);
		return tool_finish_stdout();
	}
	return unknown_verb(argc, argv);
}
