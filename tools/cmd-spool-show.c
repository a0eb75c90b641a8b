/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool show */

#include "config.h"
#include "spool-common.h"

#include <inttypes.h>
#include <stdio.h>

static const char help[] =
	"Usage: bobbin spool show DIR ID [OPTION]...\n\n"
	"Shows the envelope of a message and how it is stored.\n\n"
	"  -i, --identity KEY   read encrypted messages with the keys in this file\n"
	"      --json           as a JSON object\n"
	"  -h, --help           this text\n\n"
	"Examples:\n"
	"  bobbin spool show spool 01h2xcejqtf2nbrexx3vqjhp41\n"
	"  bobbin spool show -i key.txt --json spool 01h2xcejqtf2nbrexx3vqjhp41\n";

static void print_message(const email_message *message)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	const char *context, *name, *value;
	unsigned int i;

	message_id_to_text(&message->message_id, text);
	printf("id         %s\nversion    %" PRIu64 "\nsize       %" PRIu64
	       " octets of wire form\nsender     <%s>\n",
	       text, email_message_get_version(message), message->body_len,
	       email_message_get_sender(message));
	for (i = 0; i < email_message_recipient_count(message); i++)
		printf("recipient  <%s>\n",
		       email_message_get_recipient(message, i));
	for (i = 0;
	     email_message_get_value_at(message, i, &context, &name, &value);
	     i++)
		printf("value      %s %s %s\n", context, name, value);
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { SPOOL_IDENTITY_OPTION,
						 SPOOL_JSON_OPTION,
						 SPOOL_HELP_OPTION,
						 { NULL, 0, NULL, 0 } };
	struct spool_args args;
	struct spool *spool;
	email_message *message;
	message_id id;
	int code, answer;

	code = spool_parse_args(&args, argc, argv, options, &tool_spool_show,
				&id);
	if (code >= 0)
		return code;
	tool_catch_signals();
	spool = spool_tool_open(&args, SPOOL_OPEN_READ_ONLY, &code);
	if (spool == NULL)
		return spool_finish(code);
	message = email_message_new(&id);
	answer = spool_readheaders(spool, IO_SYNCHRONOUS, message);
	if (answer != IO_DONE)
		code = spool_tool_fail(&args, answer);
	else if (args.json)
		spool_json_message(message);
	else
		print_message(message);
	email_message_unref(&message);
	spool_close(&spool);
	return spool_finish_output(code);
}

const struct tool_command tool_spool_show = {
	.name = "spool show",
	.summary = "show a message's envelope and how it is stored",
	.help = help,
	.run = run,
};
