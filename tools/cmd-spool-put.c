/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin spool put: mail at the door of the spool becomes SMTP wire form. */

#include "config.h"
#include "file-ops.h"
#include "istream.h"
#include "line-ends.h"
#include "spool-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RECIPIENTS_MAX 10000

static const char help[] =
	"Usage: bobbin spool put DIR [OPTION]... FILE...\n\n"
	"Stores each FILE (- is stdin) as a message, and prints its id as soon as\n"
	"it is on stable storage.\n\n"
	"  -s, --sender ADDRESS     the envelope sender\n"
	"  -r, --recipient ADDRESS  an envelope recipient; may be repeated\n"
	"      --normalise          accept mixed line ends and lone CR, and make\n"
	"                           them CRLF\n" SPOOL_WAIT_HELP
	"      --progress WHEN      auto, always or never\n"
	"  -v, --verbose            tell at the end, on stderr, how long the syncs of\n"
	"                           a journal took\n"
	"  -h, --help               this text\n\n"
	"A file whose lines all end in LF comes back so, bit for bit.\n\n"
	"Examples:\n"
	"  bobbin spool put spool --sender a@x.org --recipient b@y.org mail.eml\n"
	"  bobbin spool put spool mails/*.eml\n";

enum {
	OPTION_NORMALISE = 256
};

struct put {
	struct spool_args args;
	const char *sender;
	const char **recipients;
	unsigned int recipient_count;
	bool normalise, verbose, stdout_failed;
	struct spool *spool;
};

static uint64_t now_msecs(void)
{
	struct timespec now = { 0, 0 };

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int set_envelope(const struct put *put, email_message *message)
{
	unsigned int i;

	/* not the id's time, which is ahead where the clock once was */
	email_message_set_arrival(message, now_msecs());
	if (put->sender != NULL &&
	    email_message_set_sender(message, put->sender) < 0)
		return tool_fail(EX_USAGE, "the sender is too long");
	for (i = 0; i < put->recipient_count; i++) {
		if (email_message_add_recipient(message, put->recipients[i]) <
		    0)
			return tool_fail(EX_USAGE,
					 "too many or too long recipients");
	}
	return -1;
}

/* Body, what the body turned out to be, headers: in this order. */
static int store(struct put *put, email_message *message,
		 const struct line_ends *seen)
{
	unsigned int flags = 0;
	int answer;

	answer = spool_writebody(put->spool, IO_SYNCHRONOUS, message, 0);
	if (answer != IO_DONE)
		return answer;
	if (seen->lf && !seen->crlf)
		flags |= EMAIL_MESSAGE_LINE_ENDS_LF;
	(void)email_message_set_flags(message, flags);
	if (!seen->final &&
	    email_message_set_value(message, "bobbin", "final-line-end",
				    "none") < 0)
		return IO_TRANS_FAIL;
	return spool_writeheaders(put->spool, IO_SYNCHRONOUS, message, 0);
}

/* Who does not get the id does not know of the message: nothing more is stored
   then. */
static int print_id(struct put *put, const message_id *id)
{
	char text[MESSAGE_ID_TEXT_SIZE];

	message_id_to_text(id, text);
	tool_progress_wipe();
	if (printf("%s\n", text) >= 0 && fflush(stdout) == 0)
		return EX_OK;
	put->stdout_failed = true;
	return tool_fail(EX_IOERR,
			 "message %s is stored, but writing its id to stdout "
			 "failed: %s",
			 text, strerror(errno));
}

/* Where a disk is not mounted, or a journal is damaged, that is no fault of the message,
   of which 65 and 66 are said: a sender gets it back then. */
static int open_code(int code)
{
	return code == EX_DATAERR || code == EX_NOINPUT ? EX_TEMPFAIL : code;
}

static int refused_code(const struct istream *source, int answer)
{
	int error = io_get_errno();

	/* not the spool's */
	if (tool_read_code(source->stream_errno) == EX_NOINPUT)
		return EX_NOINPUT;
	if (answer == IO_TRANS_FAIL)
		return EX_TEMPFAIL;
	return tool_read_code(error == 0 ? EINVAL : error);
}

/* Says of which file, and what can be done. */
static int refused(const struct put *put, struct istream *source, bool read,
		   int answer)
{
	/* why it was not read has its name already */
	const char *name = read ? i_stream_get_name(source) : "";
	const char *colon = read ? ": " : "";

	if (tool_interrupted())
		return tool_fail_interrupted();
	if (answer == IO_TRANS_FAIL && file_is_full_disk(io_get_errno()))
		return tool_fail(
			EX_TEMPFAIL,
			"%s%s%s: remove messages; in a journal "
			"\"bobbin spool compact %s\" wins the space of "
			"removed ones",
			name, colon, io_get_error(), put->args.dir);
	return tool_fail(refused_code(source, answer), "%s%s%s", name, colon,
			 io_get_error());
}

static int put_input(struct put *put, struct istream *source)
{
	struct istream *checked, *wire;
	struct line_ends seen;
	email_message *message;
	message_id id;
	int answer, code;

	spool_new_id(put->spool, &id);
	message = email_message_new(&id);
	code = set_envelope(put, message);
	if (code >= 0) {
		email_message_unref(&message);
		return code;
	}
	checked = i_stream_create_transform(
		source, line_ends_create(put->normalise, &seen));
	wire = i_stream_create_transform(checked,
					 transform_create_dot_encoder(false));
	email_message_set_body(message, wire, 0);
	answer = store(put, message, &seen);
	code = answer == IO_DONE ?
		print_id(put, &id) :
		refused(put, source, wire->stream_errno == 0, answer);
	email_message_unref(&message);
	i_stream_unref(&wire);
	i_stream_unref(&checked);
	return code;
}

static int put_file(struct put *put, const char *path)
{
	struct istream *source;
	int code;

	source = strcmp(path, "-") == 0 ? tool_open_stdin() :
					  i_stream_create_file(path, 0);
	code = put_input(put, source);
	tool_leave_stdin();
	i_stream_destroy(&source);
	return code;
}

/* All files are tried, unless nobody wants to know any more; the first failure's
   code is the command's. */
static int put_files(struct put *put, int count, char *paths[])
{
	struct tool_progress progress;
	int i, code, first = EX_OK;

	tool_progress_begin(&progress, put->args.progress, "stored",
			    (uint64_t)count);
	for (i = 0; i < count && !put->stdout_failed; i++) {
		if (tool_interrupted()) {
			/* between two of them */
			if (first == EX_OK)
				first = tool_fail_interrupted();
			break;
		}
		code = put_file(put, paths[i]);
		if (first == EX_OK)
			first = code;
		tool_progress_show(&progress, (uint64_t)i + 1, false);
	}
	tool_progress_end(&progress);
	return first;
}

/* -1, or the exit code. */
static int check_files(int count, char *paths[])
{
	int i, from_stdin = 0;

	if (count == 0)
		return tool_usage("say which FILE to store (- is stdin)");
	for (i = 0; i < count; i++)
		from_stdin += strcmp(paths[i], "-") == 0 ? 1 : 0;
	/* the second one would be an empty message */
	return from_stdin <= 1 ?
		-1 :
		tool_usage("-: stdin is one message: name it once");
}

static int parse_args(struct put *put, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "sender", required_argument, NULL, 's' },
		{ "recipient", required_argument, NULL, 'r' },
		{ "normalise", no_argument, NULL, OPTION_NORMALISE },
		{ "verbose", no_argument, NULL, 'v' },
		SPOOL_PROGRESS_OPTION,
		SPOOL_WAIT_OPTION,
		SPOOL_HELP_OPTION,
		{ NULL, 0, NULL, 0 }
	};
	int c, code;

	while ((c = tool_getopt(argc, argv, "s:r:vh", options)) != -1) {
		switch (c) {
		case 's':
			put->sender = optarg;
			break;
		case 'r':
			if (put->recipient_count == RECIPIENTS_MAX)
				return tool_usage("too many recipients");
			put->recipients[put->recipient_count++] = optarg;
			break;
		case OPTION_NORMALISE:
			put->normalise = true;
			break;
		case 'v':
			put->verbose = true;
			break;
		default:
			code = spool_common_option(&put->args, c,
						   &tool_spool_put);
			if (code >= 0)
				return code;
		}
	}
	code = spool_take_dir(&put->args, argc, argv);
	return code < 0 ? check_files(argc - optind, argv + optind) : code;
}

static int run(int argc, char *argv[])
{
	struct put put;
	int code;

	memset(&put, 0, sizeof(put));
	put.recipients = calloc(RECIPIENTS_MAX, sizeof(*put.recipients));
	if (put.recipients == NULL)
		return tool_fail(EX_TEMPFAIL, "out of memory");
	code = parse_args(&put, argc, argv);
	if (code < 0) {
		put.spool = spool_tool_open_writer(&put.args, &code);
		code = put.spool == NULL ?
			open_code(code) :
			put_files(&put, argc - optind, argv + optind);
		if (put.spool != NULL && put.verbose)
			spool_print_syncs(stderr, put.spool);
		spool_tool_close_writer(&put.spool);
	}
	free(put.recipients);
	return spool_finish(code);
}

const struct tool_command tool_spool_put = {
	.name = "spool put",
	.summary = "store mail",
	.help = help,
	.run = run,
};
