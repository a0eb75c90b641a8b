/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool get: a stored message as it was given. */

#include "config.h"
#include "istream.h"
#include "ostream.h"
#include "spool-common.h"
#include "stream-kinds.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: bobbin spool get DIR ID [OPTION]...\n\n"
	"Writes the message ID to stdout, as it was given to put.\n\n"
	"  -i, --identity KEY   read encrypted messages with the keys in this file\n"
	"      --passphrase-file FILE  decrypt with the passphrase in its first line\n"
	"  -w, --wire           in SMTP wire form (CRLF, dots doubled, final dot)\n"
	"  -o, --output OUT     write to OUT, which appears whole or not at all\n"
	"  -h, --help           this text\n\n"
	"Examples:\n"
	"  bobbin spool get spool 01h2xcejqtf2nbrexx3vqjhp41 -o mail.eml\n"
	"  bobbin spool get -i key.txt spool 01h2xcejqtf2nbrexx3vqjhp41\n";

struct get {
	struct spool_args args;
	const char *output_path;
	bool wire;
	message_id id;
};

/* The bytes that were put. */
static struct istream *original(const email_message *message)
{
	const char *final =
		email_message_get_value(message, "bobbin", "final-line-end");
	unsigned int flags = 0;
	struct istream *dot, *input, *lf;

	if (final != NULL && strcmp(final, "none") == 0)
		flags |= ISTREAM_DOT_TRIM_TRAIL;
	dot = i_stream_create_dot(message->body, flags);
	/* the checksums of the stack come behind the final dot */
	input = i_stream_create_whole(dot, message->body);
	i_stream_unref(&dot);
	if ((email_message_get_flags(message) & EMAIL_MESSAGE_LINE_ENDS_LF) ==
	    0)
		return input;
	lf = i_stream_create_lf(input);
	i_stream_unref(&input);
	return lf;
}

static int copy(struct istream *input, struct ostream *output, bool have_keys)
{
	switch (o_stream_send_istream(output, input)) {
	case OSTREAM_SEND_ISTREAM_RESULT_FINISHED:
		if (o_stream_finish(output) > 0)
			return EX_OK;
		break;
	case OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT:
		return spool_tool_read_failed(input->stream_errno,
					      i_stream_get_error(input),
					      have_keys);
	default:
		break;
	}
	return tool_write_failed(output->stream_errno,
				 o_stream_get_error(output));
}

static int write_message(const struct get *get, const email_message *message)
{
	struct istream *input;
	struct ostream *output;
	int code;

	if (get->wire) {
		input = message->body;
		i_stream_ref(input);
	} else {
		input = original(message);
	}
	if (get->output_path != NULL) {
		output = o_stream_create_file_or_device(get->output_path, 0666);
	} else {
		output = o_stream_create_fd_blocking(STDOUT_FILENO);
		o_stream_set_name(output, "stdout");
	}
	code = copy(input, output, tool_keys_given(&get->args.keys));
	if (code != EX_OK)
		o_stream_abort(output);
	o_stream_destroy(&output);
	i_stream_unref(&input);
	return code;
}

static int parse_args(struct get *get, int argc, char *argv[])
{
	static const struct option options[] = {
		SPOOL_IDENTITY_OPTION,
		SPOOL_PASSPHRASE_OPTION,
		{ "wire", no_argument, NULL, 'w' },
		{ "output", required_argument, NULL, 'o' },
		SPOOL_HELP_OPTION,
		{ NULL, 0, NULL, 0 }
	};
	int c, code;

	while ((c = tool_getopt(argc, argv, "i:wo:h", options)) != -1) {
		switch (c) {
		case 'w':
			get->wire = true;
			break;
		case 'o':
			if (strcmp(optarg, "-") != 0)
				get->output_path = optarg;
			break;
		default:
			code = spool_common_option(&get->args, c,
						   &tool_spool_get);
			if (code >= 0)
				return code;
		}
	}
	code = spool_take_dir(&get->args, argc, argv);
	if (code >= 0)
		return code;
	if (optind + 1 != argc)
		return tool_usage("one message ID is expected");
	return spool_tool_id(argv[optind], &get->id) ? -1 : EX_USAGE;
}

static int run(int argc, char *argv[])
{
	struct get get;
	struct spool *spool;
	email_message *message;
	int code, answer;

	memset(&get, 0, sizeof(get));
	code = parse_args(&get, argc, argv);
	if (code >= 0)
		return code;
	tool_catch_signals();
	spool = spool_tool_open(&get.args, SPOOL_OPEN_READ_ONLY, &code);
	if (spool == NULL)
		return spool_finish(code);
	answer = spool_get(spool, &get.id, &message);
	if (answer != IO_DONE) {
		code = spool_tool_fail(&get.args, answer);
	} else {
		code = write_message(&get, message);
		email_message_unref(&message);
	}
	spool_close(&spool);
	return spool_finish(code);
}

const struct tool_command tool_spool_get = {
	.name = "spool get",
	.summary = "write a stored message out",
	.help = help,
	.run = run,
};
