/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "spool-common.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_MAX 86400

/* -1, or the exit code. */
static int take_wait(struct spool_args *args, const char *text)
{
	char *end;
	unsigned long secs;

	errno = 0;
	secs = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 ||
	    secs > WAIT_MAX)
		return tool_usage("--wait is a number of seconds, %u at most",
				  WAIT_MAX);
	args->wait_secs = (unsigned int)secs;
	return -1;
}

int spool_common_option(struct spool_args *args, int option,
			const struct tool_command *command)
{
	switch (option) {
	case 'i':
		return tool_keys_add(&args->keys, optarg);
	case SPOOL_OPTION_PASSPHRASE:
		args->keys.passphrase_path = optarg;
		return -1;
	case SPOOL_OPTION_JSON:
#ifdef HAVE_JANSSON
		args->json = true;
		return -1;
#else
		return tool_fail(EX_UNAVAILABLE,
				 "--json: this program was built without "
				 "jansson");
#endif
	case SPOOL_OPTION_PROGRESS:
		if (tool_progress_parse(optarg, &args->progress))
			return -1;
		return tool_usage("--progress is auto, always or never");
	case SPOOL_OPTION_WAIT:
		return take_wait(args, optarg);
	case 'h':
		return tool_help(command);
	default:
		return tool_usage_hint();
	}
}

int spool_take_dir(struct spool_args *args, int argc, char *argv[])
{
	if (optind >= argc)
		return tool_usage("say which spool: its directory is missing");
	args->dir = argv[optind++];
	return -1;
}

static void print_warning(const char *text, void *context)
{
	(void)context;
	/* what an interruption leaves undone is no news */
	if (!tool_interrupted())
		tool_warn("%s", text);
}

int spool_tool_code(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case EROFS:
	case ESTALE:
	case ETIMEDOUT:
	case EINTR:
	/* as io_answer_for_errno() has it: an administrator mends that */
	case EACCES:
	case EPERM:
		return EX_TEMPFAIL;
	default:
		return tool_read_code(error);
	}
}

int spool_tool_worse_code(int code, int other)
{
	if (code == EX_OK || code == EX_NOPERM || other == EX_DATAERR)
		return other;
	return code;
}

int spool_tool_write_code(int error)
{
	int code = tool_write_code(error);

	return code == EX_IOERR ? EX_TEMPFAIL : code;
}

static int open_code(int error)
{
	switch (error) {
	case EBUSY:
		return EX_TEMPFAIL;
	case ENOTSUP:
	case EINVAL:
	case ENOBUFS: /* a line of spool.conf */
		return EX_CONFIG;
	default:
		return spool_tool_code(error);
	}
}

int spool_run(int argc, char *argv[], const struct tool_command *command,
	      int (*work)(const struct spool_args *args))
{
	static const struct option options[] = { SPOOL_HELP_OPTION,
						 { NULL, 0, NULL, 0 } };
	struct spool_args args;
	int code = spool_parse_args(&args, argc, argv, options, command, NULL);

	return code >= 0 ? code : spool_finish_output(work(&args));
}

/* Each so often. */
#define WAIT_NSECS 20000000

static bool wait_a_little(const struct timespec *until)
{
	const struct timespec little = { .tv_nsec = WAIT_NSECS };
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (tool_interrupted() || now.tv_sec > until->tv_sec ||
	    (now.tv_sec == until->tv_sec && now.tv_nsec >= until->tv_nsec))
		return false;
	(void)nanosleep(&little, NULL);
	return true;
}

/* NULL with errno and *error_r. Nobody tells when it is free. */
static struct spool *open_or_wait(const struct spool_args *args,
				  unsigned int flags,
				  const struct stream_context *keys,
				  char **error_r)
{
	struct timespec until;
	struct spool *spool;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)args->wait_secs;
	while ((spool = spool_open(args->dir, flags, keys, error_r)) == NULL &&
	       errno == EBUSY) {
		if (!wait_a_little(&until)) {
			errno = EBUSY;
			break;
		}
		free(*error_r);
	}
	return spool;
}

struct spool *spool_tool_open(const struct spool_args *args, unsigned int flags,
			      int *code_r)
{
	struct stream_context keys = { .identities = NULL };
	struct spool *spool;
	char *error;

	if (args->identities == NULL) {
		*code_r = tool_keys_load(&args->keys, &keys.identities);
		if (*code_r >= 0)
			return NULL;
	} else {
		keys.identities = args->identities;
		age_identities_ref(keys.identities);
	}
	spool = open_or_wait(args, flags, &keys, &error);
	if (spool == NULL) {
		*code_r = tool_interrupted() ?
			tool_fail_interrupted() :
			tool_fail(open_code(errno), "%s", error);
		free(error);
	} else {
		spool_set_warning_callback(spool, print_warning, NULL);
	}
	age_identities_unref(&keys.identities);
	return spool;
}

int spool_tool_count_strays(struct spool *spool, struct spool_strays *strays_r)
{
	char *error;
	int code = -1;

	if (spool_count_strays(spool, strays_r, &error) < 0) {
		code = spool_tool_read_failed(errno, error, true);
		free(error);
	}
	return code;
}

int spool_tool_look_before(const struct spool_args *args,
			   struct spool_strays *strays_r)
{
	struct spool *spool;
	int code;

	spool = spool_tool_open(args, SPOOL_OPEN_READ_ONLY | SPOOL_OPEN_REPAIR,
				&code);
	if (spool == NULL)
		return code;
	code = spool_tool_count_strays(spool, strays_r);
	spool_close(&spool);
	return code;
}

int spool_tool_fail(const struct spool_args *args, int answer)
{
	int error = io_get_errno();

	if (answer == IO_TRANS_FAIL && !tool_interrupted())
		return tool_fail(EX_TEMPFAIL, "%s", io_get_error());
	return tool_read_failed(error == 0 ? EINVAL : error, io_get_error(),
				tool_keys_given(&args->keys));
}

int spool_tool_read_failed(int error, const char *text, bool have_keys)
{
	if (spool_tool_code(error) == EX_TEMPFAIL && !tool_interrupted())
		return tool_fail(EX_TEMPFAIL, "%s", text);
	return tool_read_failed(error, text, have_keys);
}

bool spool_tool_id(const char *text, message_id *id_r)
{
	if (message_id_from_text(text, id_r))
		return true;
	(void)tool_usage("\"%.40s\" is not a message id (26 lower-case letters "
			 "and digits, as list prints them)",
			 text);
	return false;
}

/* The options' letters, as tool_getopt() wants them. */
static void option_letters(const struct option *options, char *letters,
			   size_t size)
{
	size_t used = 0;

	for (; options->name != NULL && used + 3 <= size; options++) {
		if (options->val > UCHAR_MAX)
			continue;
		letters[used++] = (char)options->val;
		if (options->has_arg == required_argument)
			letters[used++] = ':';
	}
	letters[used] = '\0';
}

int spool_parse_args(struct spool_args *args, int argc, char *argv[],
		     const struct option *options,
		     const struct tool_command *command, message_id *id_r)
{
	char letters[16];
	int c, code;

	memset(args, 0, sizeof(*args));
	option_letters(options, letters, sizeof(letters));
	while ((c = tool_getopt(argc, argv, letters, options)) != -1) {
		code = spool_common_option(args, c, command);
		if (code >= 0)
			return code;
	}
	code = spool_take_dir(args, argc, argv);
	if (code >= 0)
		return code;
	if (id_r != NULL) {
		if (optind + 1 != argc)
			return tool_usage("one message ID is expected");
		return spool_tool_id(argv[optind], id_r) ? -1 : EX_USAGE;
	}
	if (optind < argc)
		return tool_usage("\"%s\": one DIR at a time", argv[optind]);
	return -1;
}

const char *spool_recipient_state(enum email_recipient_state state)
{
	static const char *const names[] = { "pending", "delivered", "failed" };

	return names[state];
}

/*
 * Walks
 */

void spool_add_up(struct spool_totals *totals, const struct spool_entry *entry)
{
	static const message_id nobody;

	/* what is damaged may be no message's */
	totals->messages += message_id_cmp(&entry->id, &nobody) != 0 ? 1 : 0;
	if (entry->problem != NULL && entry->error == EINVAL) {
		totals->damaged++;
	} else if (entry->problem != NULL && entry->error == EILSEQ) {
		totals->malformed++;
	} else if (entry->problem != NULL) {
		totals->unread++;
		totals->unread_code = spool_tool_worse_code(
			totals->unread_code, spool_tool_code(entry->error));
	}
	totals->wire_bytes += entry->body_len;
	totals->stored_bytes += entry->stored_size;
}

int spool_tool_walk(const struct spool_args *args, spool_walk_t *walk,
		    spool_entry_t *callback, struct spool_totals *totals)
{
	struct spool *spool;
	char *error;
	int code = -1;

	tool_catch_signals();
	/* to verify, all that can be */
	spool = spool_tool_open(args,
				walk == spool_verify ? SPOOL_OPEN_READ_ONLY |
						SPOOL_OPEN_REPAIR :
						       SPOOL_OPEN_READ_ONLY,
				&code);
	if (spool == NULL)
		return code;
	if (walk(spool, callback, totals, &error) < 0 ||
	    (totals->count_strays && !tool_interrupted() &&
	     spool_count_strays(spool, &totals->strays, &error) < 0) ||
	    (totals->want_stats && !tool_interrupted() &&
	     spool_get_stats(spool, &totals->stats, &error) < 0)) {
		code = spool_tool_read_failed(errno, error,
					      tool_keys_given(&args->keys));
		free(error);
	} else if (tool_interrupted()) {
		code = tool_fail_interrupted();
	}
	spool_close(&spool);
	return code;
}

int spool_finish(int code)
{
	if (code > EX_OK)
		tool_die_if_interrupted();
	return code < 0 ? EX_OK : code;
}

int spool_finish_output(int code)
{
	int written = tool_finish_stdout();

	/* the code says what was found, also where nobody could be told what that is */
	return spool_finish(code <= EX_OK ? written : code);
}
