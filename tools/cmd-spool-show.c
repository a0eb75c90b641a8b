/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool show */

#include "config.h"
#include "spool-common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static const char help[] =
	"Usage: bobbin spool show DIR ID [OPTION]...\n\n"
	"Shows the envelope of a message, the state of each recipient, and how it\n"
	"is stored. Control characters, and what is not UTF-8, are shown as \\n,\n"
	"\\r, \\t and \\xNN, a backslash as two.\n\n"
	"  -i, --identity KEY   read encrypted messages with the keys in this file\n"
	"      --passphrase-file FILE  decrypt with the passphrase in its first line\n"
	"      --json           as a JSON object\n"
	"  -h, --help           this text\n\n"
	"Examples:\n"
	"  bobbin spool show spool 01h2xcejqtf2nbrexx3vqjhp41\n"
	"  bobbin spool show -i key.txt --json spool 01h2xcejqtf2nbrexx3vqjhp41\n";

/* What the store knows about one message. */
struct stored {
	const message_id *id;
	bool found;
	struct spool_entry entry;
	char headers_stack[256], body_stack[256];
};

static bool remember_entry(const struct spool_entry *entry, void *context)
{
	struct stored *stored = context;

	if (message_id_cmp(&entry->id, stored->id) != 0)
		return !tool_interrupted();
	stored->found = true;
	stored->entry = *entry;
	stored->entry.problem = NULL; /* its headers were read */
	(void)snprintf(stored->headers_stack, sizeof(stored->headers_stack),
		       "%s", entry->headers_stack);
	(void)snprintf(stored->body_stack, sizeof(stored->body_stack), "%s",
		       entry->body_stack);
	stored->entry.headers_stack = stored->headers_stack;
	stored->entry.body_stack = stored->body_stack;
	return false;
}

/* -1, or the exit code. Where modules keep messages there may be none to find. */
static int find_stored(struct spool *spool, struct stored *stored)
{
	char *error;
	int code;

	if (spool_list(spool, remember_entry, stored, &error) == 0)
		return tool_interrupted() ? tool_fail_interrupted() : -1;
	code = spool_tool_read_failed(errno, error, true);
	free(error);
	return code;
}

static void print_line(const char *name, const char *text)
{
	printf("%-10s ", name);
	tool_print_text(stdout, text, true);
	putchar('\n');
}

static void print_address(const char *name, const char *address)
{
	printf("%-10s <", name);
	tool_print_text(stdout, address, true);
	putchar('>');
}

static void print_recipient(const email_message *message, unsigned int i)
{
	enum email_recipient_state state;
	const char *reason;

	state = email_message_get_recipient_state(message, i, &reason);
	print_address("recipient", email_message_get_recipient(message, i));
	printf(" %s", spool_recipient_state(state));
	if (*reason != '\0') {
		fputs(": ", stdout);
		tool_print_text(stdout, reason, true);
	}
	putchar('\n');
}

static void print_value(const char *context, const char *name,
			const char *value)
{
	printf("%-10s ", "value");
	tool_print_text(stdout, context, true);
	putchar(' ');
	tool_print_text(stdout, name, true);
	putchar(' ');
	tool_print_text(stdout, value, true);
	putchar('\n');
}

static void print_arrival(uint64_t msecs)
{
	time_t secs = (time_t)(msecs / 1000);
	char text[64];
	struct tm tm;

	if (msecs == 0)
		(void)snprintf(text, sizeof(text), "not set");
	else if (gmtime_r(&secs, &tm) == NULL ||
		 strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) ==
			 0)
		(void)snprintf(text, sizeof(text), "%" PRIu64 " ms", msecs);
	print_line("arrival", text);
}

static void print_message(const email_message *message,
			  const struct spool_entry *entry)
{
	char text[MESSAGE_ID_TEXT_SIZE];
	const char *context, *name, *value;
	unsigned int i;

	message_id_to_text(&message->message_id, text);
	print_line("id", text);
	print_arrival(email_message_get_arrival(message));
	printf("version    %" PRIu64 "\nsize       %" PRIu64
	       " octets of wire form\n",
	       email_message_get_version(message), message->body_len);
	if (entry != NULL) {
		printf("stored     %" PRIu64 " bytes\n", entry->stored_size);
		print_line("body", entry->body_stack);
		print_line("headers", entry->headers_stack);
	}
	if ((email_message_get_flags(message) & EMAIL_MESSAGE_HELD) != 0)
		puts("held");
	print_address("sender", email_message_get_sender(message));
	putchar('\n');
	for (i = 0; i < email_message_recipient_count(message); i++)
		print_recipient(message, i);
	for (i = 0;
	     email_message_get_value_at(message, i, &context, &name, &value);
	     i++)
		print_value(context, name, value);
}

/* -1, or the exit code. */
static int show(struct spool *spool, const struct spool_args *args,
		email_message *message)
{
	struct stored stored = { .id = &message->message_id };
	const struct spool_entry *entry;
	int answer, code;

	answer = spool_readheaders(spool, IO_SYNCHRONOUS, message);
	if (answer != IO_DONE)
		return spool_tool_fail(args, answer);
	code = find_stored(spool, &stored);
	if (code >= 0)
		return code;
	entry = stored.found ? &stored.entry : NULL;
	if (args->json)
		spool_json_message(message, entry);
	else
		print_message(message, entry);
	return -1;
}

static int run(int argc, char *argv[])
{
	static const struct option options[] = { SPOOL_IDENTITY_OPTION,
						 SPOOL_PASSPHRASE_OPTION,
						 SPOOL_JSON_OPTION,
						 SPOOL_HELP_OPTION,
						 { NULL, 0, NULL, 0 } };
	struct spool_args args;
	struct spool *spool;
	email_message *message;
	message_id id;
	int code;

	code = spool_parse_args(&args, argc, argv, options, &tool_spool_show,
				&id);
	if (code >= 0)
		return code;
	tool_catch_signals();
	spool = spool_tool_open(&args, SPOOL_OPEN_READ_ONLY, &code);
	if (spool == NULL)
		return spool_finish(code);
	message = email_message_new(&id);
	code = show(spool, &args, message);
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
