/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* getopt_long() with messages of our own: its own ones have what they quote as it is, and
   that may be the name of a file. */

#include "config.h"
#include "tool-common.h"

#include <string.h>

/* Up to the value. */
static bool may_mean(const char *arg, const struct option *option)
{
	return strncmp(arg, "--", 2) == 0 &&
		strncmp(arg + 2, option->name, strcspn(arg + 2, "=")) == 0;
}

/* That of this argument, with the value that optopt is (0: any). */
static const struct option *find(const char *arg, const struct option *options)
{
	for (; options->name != NULL; options++) {
		if (may_mean(arg, options) &&
		    (optopt == 0 || options->val == optopt))
			return options;
	}
	return NULL;
}

static void refuse_letter(const char *letters)
{
	char letter[2] = { (char)optopt, '\0' };

	(void)tool_fail(EX_USAGE, "%s -- '%s'",
			*letter != ':' && strchr(letters, *letter) != NULL ?
				"option requires an argument" :
				"invalid option",
			letter);
}

static void refuse(const char *arg, const char *letters,
		   const struct option *options)
{
	const struct option *option = find(arg, options);

	if (optopt == 0)
		(void)tool_fail(EX_USAGE,
				option == NULL ? "unrecognized option '%s'" :
						 "option '%s' is ambiguous",
				arg);
	else if (option == NULL)
		refuse_letter(letters);
	else
		(void)tool_fail(EX_USAGE, "option '--%s' %s", option->name,
				option->has_arg == required_argument ?
					"requires an argument" :
					"doesn't allow an argument");
}

int tool_getopt(int argc, char *argv[], const char *letters,
		const struct option *options)
{
	int c;

	opterr = 0;
	optopt = 0;
	c = getopt_long(argc, argv, letters, options, NULL);
	/* "-?" is no option of any verb */
	if (c == '?')
		refuse(argv[optind - 1], letters, options);
	return c;
}
