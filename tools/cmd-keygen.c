/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin keygen: a new key pair, or the public key of one. */

#include "config.h"
#include "tool-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
	"Usage: bobbin keygen -o KEY\n"
	"       bobbin keygen -y KEY\n\n"
	"Makes a key pair for age encryption. The secret key (identity) goes to the\n"
	"file KEY, which must not exist yet; the public key (recipient) is printed.\n"
	"Both are in the form that age(1) uses. Keep KEY safe: without it nothing\n"
	"that was encrypted for its public key can be read again.\n\n"
	"  -o, --output KEY   write a new identity to KEY (mode 0600)\n"
	"  -y, --public KEY   print the public keys of the identities in KEY\n"
	"  -h, --help         this text\n\n"
	"Examples:\n"
	"  bobbin keygen -o key.txt >recipient.txt\n"
	"  bobbin cat --to \"zstd | age:recipients=recipient.txt\" -o m.age m.eml\n";

static int new_key(const char *path)
{
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;
	int code;

	tool_catch_signals();
	if (age_keygen(path, text, &error) < 0) {
		code = tool_interrupted() ?
			tool_fail_interrupted() :
			tool_fail(
				tool_write_code(errno), "%s%s", error,
				errno == EEXIST ?
					" (a key is never overwritten: choose "
					"another name)" :
					"");
		free(error);
		return code;
	}
	printf("%s\n", text);
	code = tool_finish_stdout();
	/* the same command would find the name taken */
	if (code != EX_OK)
		(void)tool_fail(code,
				"the key is in %s; \"bobbin keygen -y %s\" "
				"prints its public key",
				path, path);
	return code;
}

static int print_recipients(const char *path)
{
	char text[AGE_RECIPIENT_TEXT_SIZE];
	struct tool_keys keys = { .paths = { path }, .count = 1 };
	struct age_identities *set;
	unsigned int i;
	int code;

	code = tool_keys_load(&keys, &set);
	if (code >= 0)
		return code;
	for (i = 0; i < age_identities_count(set); i++) {
		age_identities_get_recipient(set, i, text);
		printf("%s\n", text);
	}
	age_identities_unref(&set);
	return tool_finish_stdout();
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ "public", required_argument, NULL, 'y' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	const char *output = NULL, *public_of = NULL;
	int c;

	while ((c = tool_getopt(argc, argv, "o:y:h", options)) != -1) {
		switch (c) {
		case 'o':
			output = optarg;
			break;
		case 'y':
			public_of = optarg;
			break;
		case 'h':
			return tool_help(&tool_keygen);
		default:
			return tool_usage_hint();
		}
	}
	if (optind < argc)
		return tool_usage("\"%s\": no argument is expected",
				  argv[optind]);
	if (output == NULL && public_of == NULL)
		return tool_usage("say where the new key goes (-o KEY)");
	if (output != NULL && public_of != NULL)
		return tool_usage("either -o or -y, not both");
	if (output != NULL && strcmp(output, "-") == 0)
		return tool_usage("-o -: a secret key goes to a file of its "
				  "own, not to stdout (./- is a file of that "
				  "name)");
	c = output != NULL ? new_key(output) : print_recipients(public_of);
	if (c != EX_OK)
		tool_die_if_interrupted();
	return c;
}

const struct tool_command tool_keygen = {
	.name = "keygen",
	.summary = "make a key pair for encryption",
	.help = help,
	.run = run,
};
