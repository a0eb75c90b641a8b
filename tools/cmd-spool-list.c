/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool list, show, verify, stats: what is in a spool, for people and as JSON
   lines (names as postqueue's where they fit). None of them needs the lock. */

#include "config.h"
#include "spool-common.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef HAVE_JANSSON
#include <jansson.h>
#endif

static const char list_help[] =
	"Usage: bobbin spool list DIR [OPTION]...\n\n"
	"Lists the messages: id, octets of wire form, bytes on disk, version of\n"
	"the headers, stacks. A list of a spool in use may miss or repeat what\n"
	"comes and goes meanwhile.\n\n"
	"      --json   one JSON object a line; ignore keys you do not know\n"
	"  -h, --help   this text\n\n"
	"Examples:\n"
	"  bobbin spool list spool\n"
	"  bobbin spool list --json spool\n";

static const char show_help[] =
	"Usage: bobbin spool show DIR ID [OPTION]...\n\n"
	"Shows the envelope of a message and how it is stored.\n\n"
	"  -i, --identity KEY   read encrypted messages with the keys in this file\n"
	"      --json           as a JSON object\n"
	"  -h, --help           this text\n\n"
	"Examples:\n"
	"  bobbin spool show spool 01h2xcejqtf2nbrexx3vqjhp41\n"
	"  bobbin spool show -i key.txt --json spool 01h2xcejqtf2nbrexx3vqjhp41\n";

static const char verify_help[] =
	"Usage: bobbin spool verify DIR [OPTION]...\n\n"
	"Reads and checks every byte of every message, and tells what is wrong.\n"
	"Without its key an encrypted message is checked by its hash. Exit status\n"
	"65 where something is damaged.\n\n"
	"  -i, --identity KEY   decrypt with the keys in this file, too\n"
	"      --json           one JSON object a line, for each message\n"
	"      --progress WHEN  auto, always or never\n"
	"  -h, --help           this text\n\n"
	"Examples:\n"
	"  bobbin spool verify spool\n"
	"  bobbin spool verify -i key.txt --json spool\n";

static const char stats_help[] = "Usage: bobbin spool stats DIR [OPTION]...\n\n"
				 "Counts messages and bytes.\n\n"
				 "      --json   as a JSON object\n"
				 "  -h, --help   this text\n\n"
				 "Examples:\n"
				 "  bobbin spool stats spool\n"
				 "  bobbin spool stats --json spool\n";

/* What a listing adds up. */
struct totals {
	uint64_t messages, damaged, wire_bytes, stored_bytes;
	bool json, verify;
	struct tool_progress progress;
};

static void add_up(struct totals *totals, const struct spool_entry *entry)
{
	totals->messages++;
	if (entry->problem != NULL)
		totals->damaged++;
	totals->wire_bytes += entry->body_len;
	totals->stored_bytes += entry->stored_size;
}

#ifdef HAVE_JANSSON

static void print_json(json_t *object)
{
	(void)json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

static json_t *id_json(const message_id *id)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	return json_string(text);
}

/* Text from outside that may not be UTF-8. */
static json_t *text_json(const char *text)
{
	json_t *value = json_string(text);

	return value != NULL ? value : json_string("(not UTF-8)");
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
	(void)json_object_set_new(object, name,
				  json_integer((json_int_t)number));
}

static void print_entry_json(const struct spool_entry *entry)
{
	json_t *object = json_object();

	(void)json_object_set_new(object, "queue_id", id_json(&entry->id));
	set_number(object, "arrival_time",
		   message_id_get_msecs(&entry->id) / 1000);
	set_number(object, "message_size", entry->body_len);
	set_number(object, "stored_size", entry->stored_size);
	set_number(object, "version", entry->version);
	(void)json_object_set_new(object, "headers_stack",
				  text_json(entry->headers_stack));
	(void)json_object_set_new(object, "body_stack",
				  text_json(entry->body_stack));
	if (entry->problem != NULL)
		(void)json_object_set_new(object, "problem",
					  text_json(entry->problem));
	print_json(object);
}

static void print_totals_json(const struct totals *totals)
{
	json_t *object = json_object();

	set_number(object, "messages", totals->messages);
	set_number(object, "damaged", totals->damaged);
	set_number(object, "message_bytes", totals->wire_bytes);
	set_number(object, "stored_bytes", totals->stored_bytes);
	print_json(object);
}

static json_t *recipient_json(const email_message *message, unsigned int i)
{
	static const char *const states[] = { "pending", "delivered",
					      "failed" };
	enum email_recipient_state state;
	json_t *object = json_object();
	const char *reason;

	state = email_message_get_recipient_state(message, i, &reason);
	(void)json_object_set_new(
		object, "address",
		text_json(email_message_get_recipient(message, i)));
	(void)json_object_set_new(object, "state", json_string(states[state]));
	if (*reason != '\0')
		(void)json_object_set_new(object, "delay_reason",
					  text_json(reason));
	return object;
}

static void print_message_json(const email_message *message)
{
	json_t *object = json_object(), *list = json_array();
	unsigned int i;

	(void)json_object_set_new(object, "queue_id",
				  id_json(&message->message_id));
	set_number(object, "arrival_time",
		   email_message_get_arrival(message) / 1000);
	set_number(object, "message_size", message->body_len);
	set_number(object, "version", email_message_get_version(message));
	(void)json_object_set_new(object, "sender",
				  text_json(email_message_get_sender(message)));
	for (i = 0; i < email_message_recipient_count(message); i++)
		(void)json_array_append_new(list, recipient_json(message, i));
	(void)json_object_set_new(object, "recipients", list);
	print_json(object);
}

#else

/* --json was refused: these are not called. */
static void print_entry_json(const struct spool_entry *entry)
{
	(void)entry;
}

static void print_totals_json(const struct totals *totals)
{
	(void)totals;
}

static void print_message_json(const email_message *message)
{
	(void)message;
}

#endif

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

static bool list_entry(const struct spool_entry *entry, void *context)
{
	struct totals *totals = context;
	char text[MESSAGE_ID_TEXT_SIZE];

	add_up(totals, entry);
	if (totals->json) {
		print_entry_json(entry);
		return true;
	}
	message_id_to_text(&entry->id, text);
	printf("%s %10" PRIu64 " %10" PRIu64 " %7" PRIu64 "  %s%s%s\n", text,
	       entry->body_len, entry->stored_size, entry->version,
	       entry->body_stack, entry->problem != NULL ? "  " : "",
	       entry->problem != NULL ? entry->problem : "");
	return true;
}

static bool verify_entry(const struct spool_entry *entry, void *context)
{
	struct totals *totals = context;
	char text[MESSAGE_ID_TEXT_SIZE];

	add_up(totals, entry);
	if (totals->json) {
		print_entry_json(entry);
	} else if (entry->problem != NULL) {
		message_id_to_text(&entry->id, text);
		printf("%s  %s\n", text, entry->problem);
	}
	tool_progress_show(&totals->progress, totals->messages, false);
	return true;
}

static bool count_entry(const struct spool_entry *entry, void *context)
{
	add_up(context, entry);
	return true;
}

/* Options and DIR; -1 or the exit code. */
static int parse_args(struct spool_args *args, int argc, char *argv[],
		      const struct tool_command *command)
{
	static const struct option options[] = { SPOOL_IDENTITY_OPTION,
						 SPOOL_JSON_OPTION,
						 SPOOL_PROGRESS_OPTION,
						 SPOOL_HELP_OPTION,
						 { NULL, 0, NULL, 0 } };
	int c, code;

	memset(args, 0, sizeof(*args));
	while ((c = getopt_long(argc, argv, "i:h", options, NULL)) != -1) {
		code = spool_common_option(args, c, command);
		if (code >= 0)
			return code;
	}
	return spool_take_dir(args, argc, argv);
}

typedef int spool_walk_t(struct spool *spool, spool_entry_t *callback,
			 void *context, char **error_r);

/* One walk over the spool of args; -1, or the exit code of a failure. */
static int walk(const struct spool_args *args, spool_walk_t *go,
		spool_entry_t *callback, struct totals *totals)
{
	struct spool *spool;
	char *error;
	int code = -1;

	spool = spool_tool_open(args, SPOOL_OPEN_READ_ONLY, &code);
	if (spool == NULL)
		return code;
	if (go(spool, callback, totals, &error) < 0) {
		code = tool_fail(tool_read_code(errno), "%s", error);
		free(error);
	}
	spool_close(&spool);
	return code;
}

static int finish_output(int code)
{
	/* a reader that has seen enough needs no words */
	if (fflush(stdout) != 0)
		return errno == EPIPE ?
			EX_IOERR :
			tool_fail(EX_IOERR, "writing to stdout failed: %s",
				  strerror(errno));
	return code < 0 ? EX_OK : code;
}

static int no_more_args(int argc, char *argv[])
{
	return optind < argc ?
		tool_usage("\"%s\": one DIR at a time", argv[optind]) :
		-1;
}

static int run_list(int argc, char *argv[])
{
	struct totals totals = { .messages = 0 };
	struct spool_args args;
	int code;

	code = parse_args(&args, argc, argv, &tool_spool_list);
	if (code < 0)
		code = no_more_args(argc, argv);
	if (code >= 0)
		return code;
	totals.json = args.json;
	if (!args.json)
		printf("%-26s %10s %10s %7s  %s\n", "ID", "SIZE", "STORED",
		       "VERSION", "STACK");
	return finish_output(walk(&args, spool_list, list_entry, &totals));
}

static int run_verify(int argc, char *argv[])
{
	struct totals totals = { .messages = 0 };
	struct spool_args args;
	int code;

	code = parse_args(&args, argc, argv, &tool_spool_verify);
	if (code < 0)
		code = no_more_args(argc, argv);
	if (code >= 0)
		return code;
	totals.json = args.json;
	tool_progress_begin(&totals.progress, args.progress, "verified", 0);
	code = walk(&args, spool_verify, verify_entry, &totals);
	tool_progress_end(&totals.progress);
	if (code < 0 && !args.json)
		printf("%" PRIu64 " messages, %" PRIu64 " damaged\n",
		       totals.messages, totals.damaged);
	if (code < 0 && totals.damaged > 0)
		code = EX_DATAERR;
	return finish_output(code);
}

static int run_stats(int argc, char *argv[])
{
	struct totals totals = { .messages = 0 };
	struct spool_args args;
	int code;

	code = parse_args(&args, argc, argv, &tool_spool_stats);
	if (code < 0)
		code = no_more_args(argc, argv);
	if (code >= 0)
		return code;
	code = walk(&args, spool_list, count_entry, &totals);
	if (code < 0 && args.json)
		print_totals_json(&totals);
	else if (code < 0)
		printf("messages      %" PRIu64 "\ndamaged       %" PRIu64
		       "\nmessage bytes %" PRIu64 "\nstored bytes  %" PRIu64
		       "\n",
		       totals.messages, totals.damaged, totals.wire_bytes,
		       totals.stored_bytes);
	return finish_output(code);
}

static int run_show(int argc, char *argv[])
{
	struct spool_args args;
	struct spool *spool;
	email_message *message;
	message_id id;
	int code, answer;

	code = parse_args(&args, argc, argv, &tool_spool_show);
	if (code >= 0)
		return code;
	if (optind + 1 != argc)
		return tool_usage("one message ID is expected");
	if (!spool_tool_id(argv[optind], &id))
		return EX_USAGE;
	spool = spool_tool_open(&args, SPOOL_OPEN_READ_ONLY, &code);
	if (spool == NULL)
		return code;
	message = email_message_new(&id);
	answer = spool_readheaders(spool, IO_SYNCHRONOUS, message);
	if (answer != IO_DONE)
		code = spool_tool_fail(answer);
	else if (args.json)
		print_message_json(message);
	else
		print_message(message);
	email_message_unref(&message);
	spool_close(&spool);
	return finish_output(code);
}

const struct tool_command tool_spool_list = { "spool list", "list the messages",
					      list_help, run_list };
const struct tool_command tool_spool_show = { "spool show",
					      "show a message's envelope",
					      show_help, run_show };
const struct tool_command tool_spool_verify = { "spool verify",
						"check every stored byte",
						verify_help, run_verify };
const struct tool_command tool_spool_stats = { "spool stats",
					       "count messages and bytes",
					       stats_help, run_stats };
