/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool init */

#include "config.h"
#include "spool-common.h"
#include "mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
	"Usage: bobbin spool init DIR [OPTION]...\n\n"
	"Makes DIR, which must be new or empty, a mail spool.\n\n"
	"  -b, --body SPEC     write bodies through this stack of streams\n"
	"      --headers SPEC  write everything else through this one (default:\n"
	"                      as the bodies)\n"
	"      --store NAME    how messages are kept: file (the default) or "
	"journal\n"
	"      --module MODULE \"/PATH [CONFIG]\": load this shared object whenever the\n"
	"                      spool is opened, with this text (may be given more than\n"
	"                      once)\n"
	"  -h, --help          this text\n\n"
	"Public keys that SPEC names are copied into the spool. Secret keys are\n"
	"never needed to write: who only has the spool cannot read it.\n\n"
	"Examples:\n"
	"  bobbin spool init /var/spool/mail --body \"zstd:3\"\n"
	"  bobbin spool init secret --body \"zstd | age:recipients=keys.txt\"\n";

enum {
	OPTION_HEADERS = 256,
	OPTION_STORE,
	OPTION_MODULE
};

/* Looks at a stack and its keys as cat does, before anything is made: the keys, which
   may come from a pipe, go to the set, and *bare_r, to be freed, is without them. -1, or
   the exit code. */
static int take_stack(const char *option, const char *text, char **bare_r,
		      struct age_recipients *set)
{
	struct stack_spec *spec;
	char *error;
	int code = -1;

	*bare_r = NULL;
	if (text == NULL)
		return -1;
	spec = tool_parse_spec(option, text, &code);
	if (spec == NULL)
		return code;
	if (stack_spec_check_storable(spec, &error) < 0)
		code = tool_fail(EX_USAGE, "%s: %s", option, error);
	else if (stack_spec_take_recipients(spec, NULL, set, &error) < 0)
		code = tool_fail(tool_key_code(errno), "%s: %s", option, error);
	else
		*bare_r = stack_spec_format(spec, STACK_SPEC_SETTINGS);
	if (code >= 0)
		free(error);
	stack_spec_free(&spec);
	return code;
}

/* -1, or the exit code. modules has room for all that there can be. */
static int parse_options(int argc, char *argv[],
			 struct spool_settings *settings, const char **modules)
{
	static const struct option options[] = {
		{ "body", required_argument, NULL, 'b' },
		{ "headers", required_argument, NULL, OPTION_HEADERS },
		{ "store", required_argument, NULL, OPTION_STORE },
		{ "module", required_argument, NULL, OPTION_MODULE },
		SPOOL_HELP_OPTION,
		{ NULL, 0, NULL, 0 }
	};
	unsigned int count = 0;
	int c;

	while ((c = tool_getopt(argc, argv, "b:h", options)) != -1) {
		switch (c) {
		case 'b':
			settings->body = optarg;
			break;
		case OPTION_HEADERS:
			settings->headers = optarg;
			break;
		case OPTION_STORE:
			settings->store = optarg;
			break;
		case OPTION_MODULE:
			modules[count++] = optarg;
			settings->modules = modules;
			break;
		case 'h':
			return tool_help(&tool_spool_init);
		default:
			return tool_usage_hint();
		}
	}
	return -1;
}

static int init_spool(const char *dir, const struct spool_settings *settings)
{
	char *error;
	int code;

	tool_catch_signals();
	if (spool_init(dir, settings, &error) == 0)
		return EX_OK;
	code = tool_interrupted() ?
		tool_fail_interrupted() :
		tool_fail(errno == EINVAL ? EX_USAGE :
					    spool_tool_write_code(errno),
			  "%s", error);
	free(error);
	return code;
}

static int init_with_keys(const char *dir, const struct spool_settings *given)
{
	struct spool_settings settings = *given;
	char *body, *headers = NULL;
	int code;

	settings.recipients = age_recipients_new();
	code = take_stack("--body", given->body, &body, settings.recipients);
	if (code < 0)
		code = take_stack("--headers", given->headers, &headers,
				  settings.recipients);
	settings.body = body;
	settings.headers = headers;
	if (code < 0)
		code = init_spool(dir, &settings);
	free(body);
	free(headers);
	age_recipients_unref(&settings.recipients);
	return code;
}

static int init(int argc, char *argv[], const char **modules)
{
	struct spool_settings settings = { .body = NULL };
	struct spool_args args = { .dir = NULL };
	int code;

	code = parse_options(argc, argv, &settings, modules);
	if (code < 0)
		code = spool_take_dir(&args, argc, argv);
	if (code >= 0)
		return code;
	if (optind < argc)
		return tool_usage("\"%s\": one DIR at a time", argv[optind]);
	/* those of a module are looked at when it is loaded */
	return settings.modules == NULL ? init_with_keys(args.dir, &settings) :
					  init_spool(args.dir, &settings);
}

static int run(int argc, char *argv[])
{
	const char **modules = i_new(const char *, (size_t)argc + 1);
	int code = init(argc, argv, modules);

	i_free(modules);
	return spool_finish(code);
}

const struct tool_command tool_spool_init = {
	.name = "spool init",
	.summary = "make a spool",
	.help = help,
	.run = run,
};
