/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin cat: bytes through any stack of streams, in either direction. */

#include "config.h"
#include "istream.h"
#include "ostream.h"
#include "stack-detect.h"
#include "stack-spec.h"
#include "tool-common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDENTITY_FILES_MAX 64

static const char help[] =
	"Usage: bobbin cat [OPTION]... [FILE]\n\n"
	"Copies FILE (or stdin) to stdout through stacks of streams.\n\n"
	"  -f, --from SPEC    undo this stack; \"auto\" recognises gzip, zstd,\n"
	"                     lz4 and age by their first bytes (the default\n"
	"                     where there is no --to; else nothing is undone)\n"
	"  -t, --to SPEC      write through this stack, from left to right\n"
	"  -i, --identity KEY read age encryption with the keys in this file\n"
	"  -o, --output OUT   write to OUT, which appears whole or not at all\n"
	"  -v, --verbose      tell each layer's bytes and ratio\n"
	"      --force        write encoded data to a terminal\n"
	"      --progress WHEN  auto, always or never\n"
	"  -h, --help         this text\n\n"
	"bobbin-stack-spec(7) describes SPEC; bobbin --version lists the kinds.\n\n"
	"Examples:\n"
	"  bobbin cat --to \"dot | zstd:3 | age:recipients=keys.txt\" -o m.age m.eml\n"
	"  bobbin cat -i key.txt --from \"dot | zstd | age\" m.age\n";

struct cat {
	const char *from_text, *to_text, *output_path, *input_path;
	const char *identity_paths[IDENTITY_FILES_MAX];
	unsigned int identity_count;
	enum tool_progress_mode progress_mode;
	bool verbose, force;

	struct stack_spec *from, *to;
	struct stream_keys keys;
	struct istream *source, *input;
	struct ostream *end, *output;
	struct istream *in_layers[STACK_LAYERS_MAX + 1];
	struct ostream *out_layers[STACK_LAYERS_MAX + 1];
};

static volatile sig_atomic_t interrupted;

static void handle_signal(int signo)
{
	interrupted = signo;
}

/* So that an interrupted cat leaves no half file behind. */
static void catch_signals(void)
{
	struct sigaction act;

	memset(&act, 0, sizeof(act));
	act.sa_handler = handle_signal;
	/* a read from a terminal is to be interrupted, too */
	(void)sigaction(SIGINT, &act, NULL);
	(void)sigaction(SIGTERM, &act, NULL);
	(void)sigaction(SIGHUP, &act, NULL);
}

enum {
	OPTION_FORCE = 256,
	OPTION_PROGRESS
};

/* -1: go on; else the exit code. */
static int parse_args(struct cat *cat, int argc, char *argv[])
{
	static const struct option options[] = {
		{ "from", required_argument, NULL, 'f' },
		{ "to", required_argument, NULL, 't' },
		{ "identity", required_argument, NULL, 'i' },
		{ "output", required_argument, NULL, 'o' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "force", no_argument, NULL, OPTION_FORCE },
		{ "progress", required_argument, NULL, OPTION_PROGRESS },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 }
	};
	int c;

	while ((c = getopt_long(argc, argv, "f:t:i:o:vh", options, NULL)) !=
	       -1) {
		switch (c) {
		case 'f':
			cat->from_text = optarg;
			break;
		case 't':
			cat->to_text = optarg;
			break;
		case 'i':
			if (cat->identity_count == IDENTITY_FILES_MAX)
				return tool_usage("too many -i options");
			cat->identity_paths[cat->identity_count++] = optarg;
			break;
		case 'o':
			cat->output_path = optarg;
			break;
		case 'v':
			cat->verbose = true;
			break;
		case OPTION_FORCE:
			cat->force = true;
			break;
		case OPTION_PROGRESS:
			if (!tool_progress_parse(optarg, &cat->progress_mode))
				return tool_usage("--progress is auto, always "
						  "or never");
			break;
		case 'h':
			return tool_help(&tool_cat);
		default:
			return tool_usage("unknown option");
		}
	}
	if (optind + 1 < argc)
		return tool_usage("one FILE at a time");
	cat->input_path = optind < argc ? argv[optind] : "-";
	if (cat->output_path != NULL && strcmp(cat->output_path, "-") == 0)
		cat->output_path = NULL;
	return -1;
}

/* "undo nothing" is no spec. */
static struct stack_spec *parse_spec(const char *text, int *code_r)
{
	struct stack_spec *spec;
	char *error;

	spec = stack_spec_parse(text, &error);
	if (spec == NULL) {
		*code_r = tool_fail(EX_USAGE, "%s", error);
		free(error);
	}
	return spec;
}

static int parse_specs(struct cat *cat)
{
	int code = -1;

	if (cat->from_text == NULL && cat->to_text == NULL)
		cat->from_text = "auto";
	if (cat->from_text != NULL && strcmp(cat->from_text, "auto") != 0) {
		cat->from = parse_spec(cat->from_text, &code);
		if (cat->from == NULL)
			return code;
		if (stack_spec_has_end(cat->from))
			return tool_usage("--from takes no end: name the file "
					  "as an argument");
	}
	if (cat->to_text != NULL) {
		cat->to = parse_spec(cat->to_text, &code);
		if (cat->to == NULL)
			return code;
		if (stack_spec_has_end(cat->to) && cat->output_path != NULL)
			return tool_usage("--to has an end of its own: leave "
					  "-o out");
	}
	if (cat->identity_count == 0)
		return -1;
	cat->keys.identities = tool_load_identities(cat->identity_paths,
						    cat->identity_count, &code);
	return cat->keys.identities == NULL ? code : -1;
}

static void open_source(struct cat *cat)
{
	off_t offset;

	if (strcmp(cat->input_path, "-") != 0) {
		cat->source = i_stream_create_file(cat->input_path, 0);
		return;
	}
	cat->source = i_stream_create_fd(STDIN_FILENO, 0);
	i_stream_set_name(cat->source, "stdin");
	/* somebody may have read the beginning of a file already */
	offset = lseek(STDIN_FILENO, 0, SEEK_CUR);
	if (offset > 0 && cat->source->seekable)
		i_stream_seek(cat->source, (uoff_t)offset);
}

static void open_input(struct cat *cat)
{
	open_source(cat);
	if (cat->from != NULL) {
		cat->input = stack_spec_create_input(
			cat->from, &cat->keys, cat->source, cat->in_layers);
	} else if (cat->from_text != NULL) {
		cat->input = i_stream_create_auto(cat->source, &cat->keys);
	} else {
		cat->input = cat->source;
		i_stream_ref(cat->input);
	}
}

static int open_output(struct cat *cat)
{
	bool to_stdout = cat->output_path == NULL;

	if (cat->to != NULL && stack_spec_has_end(cat->to))
		to_stdout = false;
	else if (to_stdout)
		cat->end = o_stream_create_fd_blocking(STDOUT_FILENO);
	else
		cat->end =
			o_stream_create_file_atomic(cat->output_path, 0666, 0);
	if (to_stdout) {
		o_stream_set_name(cat->end, "stdout");
		if (cat->to != NULL && !cat->force &&
		    isatty(STDOUT_FILENO) == 1 &&
		    (stack_spec_has_layer(cat->to, "gzip") ||
		     stack_spec_has_layer(cat->to, "zlib") ||
		     stack_spec_has_layer(cat->to, "deflate") ||
		     stack_spec_has_layer(cat->to, "lz4") ||
		     stack_spec_has_layer(cat->to, "zstd") ||
		     stack_spec_has_layer(cat->to, "age")))
			return tool_usage("encoded data is not written to a "
					  "terminal (-o FILE, or --force)");
	}
	if (cat->to == NULL) {
		cat->output = cat->end;
		o_stream_ref(cat->output);
	} else {
		cat->output = stack_spec_create_output(
			cat->to, &cat->keys, cat->end, 0666, cat->out_layers);
	}
	return -1;
}

static int copy_failed(struct cat *cat, bool reading)
{
	if (interrupted != 0)
		return tool_fail(128 + interrupted, "interrupted");
	if (reading)
		return tool_fail(tool_read_code(cat->input->stream_errno), "%s",
				 i_stream_get_error(cat->input));
	/* the reader of our output went away: that needs no words */
	if (cat->output->stream_errno == EPIPE && cat->output_path == NULL)
		return EX_IOERR;
	return tool_fail(tool_write_code(cat->output->stream_errno), "%s",
			 o_stream_get_error(cat->output));
}

/* Each round sends a block; stdin may be interrupted between two of them. */
static int copy(struct cat *cat)
{
	struct tool_progress progress;
	const unsigned char *data;
	uoff_t total = 0;
	size_t size;
	int ret;

	if (i_stream_get_size(cat->source, false, &total) <= 0)
		total = 0;
	tool_progress_begin(&progress, cat->progress_mode, "bobbin cat", total);
	while ((ret = i_stream_read_more(cat->input, &data, &size)) > 0 &&
	       interrupted == 0) {
		if (o_stream_send(cat->output, data, size) < 0)
			break;
		i_stream_skip(cat->input, size);
		tool_progress_show(&progress, cat->source->v_offset, true);
	}
	tool_progress_end(&progress);
	if (cat->output->stream_errno != 0)
		return copy_failed(cat, false);
	if (interrupted != 0 || cat->input->stream_errno != 0)
		return copy_failed(cat, true);
	return o_stream_finish(cat->output) > 0 ? EX_OK :
						  copy_failed(cat, false);
}

static void report(struct cat *cat)
{
	unsigned int i, count;
	const char *found;

	if (cat->from != NULL) {
		count = stack_spec_layer_count(cat->from);
		for (i = count; i > 0; i--)
			tool_report_layer(stack_spec_layer_name(cat->from,
								i - 1),
					  cat->in_layers[i - 1]->v_offset,
					  cat->in_layers[i]->v_offset);
	} else if (cat->from_text != NULL) {
		found = i_stream_auto_found(cat->input);
		tool_report_layer(*found != '\0' ? found : "plain",
				  cat->input->v_offset, cat->source->v_offset);
	}
	count = cat->to == NULL ? 0 : stack_spec_layer_count(cat->to);
	for (i = 0; i < count; i++)
		tool_report_layer(stack_spec_layer_name(cat->to, i),
				  cat->out_layers[i]->offset,
				  cat->out_layers[i + 1]->offset);
}

static void close_all(struct cat *cat, bool failed)
{
	if (failed && cat->output != NULL)
		o_stream_abort(cat->output);
	o_stream_destroy(&cat->output);
	if (failed && cat->end != NULL)
		o_stream_abort(cat->end);
	o_stream_destroy(&cat->end);
	i_stream_destroy(&cat->input);
	i_stream_destroy(&cat->source);
	stack_spec_free(&cat->from);
	stack_spec_free(&cat->to);
	age_identities_unref(&cat->keys.identities);
}

static int run(int argc, char *argv[])
{
	struct cat cat;
	int code;

	memset(&cat, 0, sizeof(cat));
	code = parse_args(&cat, argc, argv);
	if (code < 0)
		code = parse_specs(&cat);
	if (code < 0) {
		catch_signals();
		open_input(&cat);
		code = open_output(&cat);
	}
	if (code < 0)
		code = copy(&cat);
	if (code == EX_OK && cat.verbose)
		report(&cat);
	close_all(&cat, code != EX_OK);
	return code;
}

const struct tool_command tool_cat = {
	.name = "cat",
	.summary =
		"copy through stacks of streams: compress, encrypt, and back",
	.help = help,
	.run = run,
};
