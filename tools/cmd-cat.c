/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bobbin cat: bytes through any stack of streams, in either direction. */

#include "config.h"
#include "istream.h"
#include "ostream.h"
#include "stack-detect.h"
#include "stack-spec.h"
#include "tool-common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
	"Usage: bobbin cat [OPTION]... [FILE]\n\n"
	"Copies FILE (or stdin, also \"-\") to stdout through stacks of streams.\n\n"
	"  -f, --from SPEC      undo this stack; \"auto\" recognises gzip, zstd, lz4,\n"
	"                       Dovecot's lz4, bzip2, xz, age and armor by their first\n"
	"                       bytes, layer by layer.\n"
	"                       Default: auto where there is no --to, else nothing is\n"
	"                       undone\n"
	"  -t, --to SPEC        write through this stack, from left to right\n"
	"  -i, --identity KEY   decrypt with the secret keys in this file\n"
	"      --passphrase-file FILE  decrypt with the passphrase in its first line\n"
	"  -o, --output OUT     write to OUT, which appears whole or not at all\n"
	"  -v, --verbose        tell each layer's bytes and ratio, on stderr\n"
	"      --force          write compressed or encrypted data to a terminal\n"
	"      --progress WHEN  auto (on a terminal), always or never\n"
	"  -h, --help           this text\n\n"
	"SPEC is \"KIND[:OPTIONS] | KIND...\"; `bobbin kinds` lists the kinds. --from\n"
	"takes the SPEC as it was given to --to. `bobbin kinds --help` has its quotes.\n\n"
	"Examples:\n"
	"  bobbin cat --to \"dot | zstd:3 | age:recipients=keys.txt\" -o m.age m.eml\n"
	"  bobbin cat -i key.txt --from \"dot | zstd | age\" m.age\n";

struct cat {
	const char *from_text, *to_text, *output_path, *input_path;
	struct tool_keys keys;
	enum tool_progress_mode progress_mode;
	bool verbose, force;

	bool auto_from;
	struct stack_spec *from, *to; /* NULL: nothing is done */
	struct stream_context context;
	struct istream *input;
	/* what is read of FILE; input or a stream below it */
	struct istream *source;
	struct ostream *output;
	struct istream *in_layers[STACK_LAYERS_MAX + 1];
	struct ostream *out_layers[STACK_LAYERS_MAX + 1];
};

/*
 * Arguments. These functions return -1 to go on, else the exit code.
 */

enum {
	OPTION_FORCE = 256,
	OPTION_PASSPHRASE,
	OPTION_PROGRESS
};

static const struct option options[] = {
	{ "from", required_argument, NULL, 'f' },
	{ "to", required_argument, NULL, 't' },
	{ "identity", required_argument, NULL, 'i' },
	{ "passphrase-file", required_argument, NULL, OPTION_PASSPHRASE },
	{ "output", required_argument, NULL, 'o' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "force", no_argument, NULL, OPTION_FORCE },
	{ "progress", required_argument, NULL, OPTION_PROGRESS },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 }
};

static int parse_option(struct cat *cat, int c)
{
	switch (c) {
	case 'f':
		cat->from_text = optarg;
		return -1;
	case 't':
		cat->to_text = optarg;
		return -1;
	case 'i':
		return tool_keys_add(&cat->keys, optarg);
	case OPTION_PASSPHRASE:
		cat->keys.passphrase_path = optarg;
		return -1;
	case 'o':
		cat->output_path = strcmp(optarg, "-") == 0 ? NULL : optarg;
		return -1;
	case 'v':
		cat->verbose = true;
		return -1;
	case OPTION_FORCE:
		cat->force = true;
		return -1;
	case OPTION_PROGRESS:
		return tool_progress_parse(optarg, &cat->progress_mode) ?
			-1 :
			tool_usage("--progress is auto, always or never");
	case 'h':
		return tool_help(&tool_cat);
	default:
		return tool_usage_hint();
	}
}

static int parse_args(struct cat *cat, int argc, char *argv[])
{
	int c, code;

	while ((c = tool_getopt(argc, argv, "f:t:i:o:vh", options)) != -1) {
		code = parse_option(cat, c);
		if (code >= 0)
			return code;
	}
	if (optind + 1 < argc)
		return tool_usage("more than one FILE");
	cat->input_path = optind < argc ? argv[optind] : NULL;
	return -1;
}

static int parse_specs(struct cat *cat)
{
	int code = -1;

	cat->auto_from = cat->from_text == NULL ?
		cat->to_text == NULL :
		strcmp(cat->from_text, "auto") == 0;
	if (cat->from_text != NULL && !cat->auto_from) {
		cat->from = tool_parse_spec("--from", cat->from_text, &code);
		if (cat->from == NULL)
			return code;
		if (stack_spec_end_kind(cat->from) != NULL &&
		    cat->input_path != NULL)
			return tool_usage("--from names its input, and FILE "
					  "names another: give one of them");
	}
	if (cat->to_text != NULL) {
		cat->to = tool_parse_spec("--to", cat->to_text, &code);
		if (cat->to == NULL)
			return code;
		if (stack_spec_end_kind(cat->to) != NULL &&
		    cat->output_path != NULL)
			return tool_usage("--to names its output, and -o names "
					  "another: give one of them");
	}
	return -1;
}

/* All keys before the first byte: nothing is begun that cannot be ended. */
static int load_keys(struct cat *cat)
{
	char *error;
	int code;

	code = tool_keys_load(&cat->keys, &cat->context.identities);
	if (code >= 0)
		return code;
	if ((cat->from != NULL &&
	     stack_spec_load_keys(cat->from, false, &cat->context, &error) <
		     0) ||
	    (cat->to != NULL &&
	     stack_spec_load_keys(cat->to, true, &cat->context, &error) < 0)) {
		code = errno == ENOKEY ?
			tool_read_failed(errno, error,
					 tool_keys_given(&cat->keys)) :
			tool_fail(tool_key_code(errno), "%s", error);
		free(error);
		return code;
	}
	return -1;
}

/*
 * Streams
 */

static struct istream *open_file(const char *path)
{
	return path == NULL || strcmp(path, "-") == 0 ?
		tool_open_stdin() :
		i_stream_create_file(path, 0);
}

static void open_input(struct cat *cat)
{
	struct istream *file = NULL;

	if (cat->from == NULL || stack_spec_end_kind(cat->from) == NULL)
		file = open_file(cat->input_path);
	if (cat->from != NULL) {
		cat->input = stack_spec_create_input(cat->from, &cat->context,
						     file, cat->in_layers);
		cat->source = cat->in_layers[stack_spec_layer_count(cat->from)];
		i_stream_unref(&file);
	} else if (cat->auto_from) {
		cat->input = i_stream_create_auto(file, &cat->context);
		cat->source = file;
		i_stream_unref(&file);
	} else {
		cat->input = cat->source = file;
	}
}

/* Whether what comes out is no text. */
static bool output_is_binary(const struct cat *cat)
{
	unsigned int i = cat->to == NULL ? 0 : stack_spec_layer_count(cat->to);

	for (; i > 0; i--) {
		if (stack_spec_layer_kind(cat->to, i - 1)->role !=
		    STREAM_ROLE_PLUMBING)
			break;
	}
	return i > 0 &&
		(stack_spec_layer_kind(cat->to, i - 1)->flags &
		 STREAM_KIND_BINARY) != 0;
}

static bool writes_stdout(const struct cat *cat)
{
	return cat->output_path == NULL &&
		(cat->to == NULL || stack_spec_end_kind(cat->to) == NULL);
}

/* NULL where --to has its own. */
static struct ostream *open_end(struct cat *cat)
{
	struct ostream *end;

	if (cat->to != NULL && stack_spec_end_kind(cat->to) != NULL)
		return NULL;
	if (cat->output_path != NULL)
		return o_stream_create_file_or_device(cat->output_path, 0666);
	end = o_stream_create_fd_blocking(STDOUT_FILENO);
	o_stream_set_name(end, "stdout");
	return end;
}

/* What is not to be written to stdout. */
static int check_stdout(const struct cat *cat)
{
	if (writes_stdout(cat) && !cat->force && output_is_binary(cat) &&
	    isatty(STDOUT_FILENO) == 1)
		return tool_usage("compressed or encrypted data is not written "
				  "to a terminal: give -o OUT, or --force");
	return -1;
}

/* stdout has other names, as /dev/stdout, and so has each descriptor. */
static int check_end(const struct cat *cat)
{
	struct ostream *end = cat->output;
	int fd;

	if (cat->to != NULL)
		end = cat->out_layers[stack_spec_layer_count(cat->to)];
	fd = o_stream_get_fd(end);
	if (fd >= 0 && tool_reads_output(cat->source, fd))
		return tool_fail(EX_USAGE,
				 "%s is %s, too: it would grow for ever, as "
				 "what is written would be read again",
				 i_stream_get_name(cat->source),
				 o_stream_get_name(end));
	return -1;
}

static int open_output(struct cat *cat)
{
	struct ostream *end = open_end(cat);

	if (cat->to == NULL) {
		cat->output = end;
	} else {
		cat->output = stack_spec_create_output(cat->to, &cat->context,
						       end, cat->out_layers);
		o_stream_unref(&end);
	}
	if (cat->output->stream_errno != 0 && tool_interrupted())
		return tool_fail_interrupted();
	/* a setting of a layer, or the file: nothing was read yet */
	if (cat->output->stream_errno != 0)
		return tool_fail(
			cat->output->stream_errno == EINVAL ?
				EX_USAGE :
				tool_write_code(cat->output->stream_errno),
			"%s", o_stream_get_error(cat->output));
	return check_end(cat);
}

/*
 * Copying
 */

static int read_failed(struct cat *cat)
{
	return tool_read_failed(cat->input->stream_errno,
				i_stream_get_error(cat->input),
				tool_keys_given(&cat->keys));
}

static int write_failed(struct cat *cat)
{
	const struct ostream *end = cat->output;
	int error = cat->output->stream_errno;

	if (cat->to != NULL)
		end = cat->out_layers[stack_spec_layer_count(cat->to)];
	/* too much for the layer "limit", as when reading, not for the disk */
	if (error == EFBIG && end->stream_errno != EFBIG)
		error = EINVAL;
	return tool_write_failed(error, o_stream_get_error(cat->output));
}

/* Not among the data, where a terminal shows these. */
static enum tool_progress_mode progress_mode(const struct cat *cat)
{
	if (cat->progress_mode == PROGRESS_AUTO && writes_stdout(cat) &&
	    isatty(STDOUT_FILENO) == 1)
		return PROGRESS_NEVER;
	return cat->progress_mode;
}

static int copy(struct cat *cat)
{
	struct tool_progress progress;
	const unsigned char *data;
	uoff_t total = 0;
	size_t size;
	ssize_t sent = 0;

	if (i_stream_get_size(cat->source, false, &total) <= 0)
		total = 0;
	tool_progress_begin(&progress, progress_mode(cat), "bobbin cat", total);
	while (sent >= 0 && i_stream_read_more(cat->input, &data, &size) >= 0) {
		sent = size == 0 ? 0 : o_stream_send(cat->output, data, size);
		if (sent > 0)
			i_stream_skip(cat->input, (uoff_t)sent);
		tool_progress_show(&progress, cat->source->v_offset, true);
	}
	tool_progress_end(&progress);
	if (sent < 0)
		return write_failed(cat);
	if (cat->input->stream_errno != 0)
		return read_failed(cat);
	return o_stream_finish(cat->output) > 0 ? EX_OK : write_failed(cat);
}

/*
 * -v
 */

/* `before` bytes went in, `after` came out; the ratio is that of the plain ones
   to the encoded ones. */
static void report_layer(const char *direction, const char *name, uoff_t before,
			 uoff_t after, uoff_t plain, uoff_t encoded)
{
	fprintf(stderr, "%s %-8s %12llu -> %12llu bytes", direction, name,
		(unsigned long long)before, (unsigned long long)after);
	if (encoded > 0)
		fprintf(stderr, "  %.3f : 1", (double)plain / (double)encoded);
	fputc('\n', stderr);
}

static void report_undone(const char *name, uoff_t encoded, uoff_t plain)
{
	report_layer("undo", name, encoded, plain, plain, encoded);
}

static void report(struct cat *cat)
{
	const struct stream_kind *kind;
	struct istream *layer;
	uoff_t encoded = cat->source->v_offset;
	unsigned int i, count;

	count = cat->auto_from ? i_stream_auto_layer_count(cat->input) : 0;
	for (i = 0; i < count; i++) {
		kind = i_stream_auto_layer(cat->input, i, &layer);
		report_undone(kind->name, encoded, layer->v_offset);
		encoded = layer->v_offset;
	}
	count = cat->from == NULL ? 0 : stack_spec_layer_count(cat->from);
	for (i = count; i > 0; i--)
		report_undone(stack_spec_layer_kind(cat->from, i - 1)->name,
			      cat->in_layers[i]->v_offset,
			      cat->in_layers[i - 1]->v_offset);
	count = cat->to == NULL ? 0 : stack_spec_layer_count(cat->to);
	for (i = 0; i < count; i++)
		report_layer("make", stack_spec_layer_kind(cat->to, i)->name,
			     cat->out_layers[i]->offset,
			     cat->out_layers[i + 1]->offset,
			     cat->out_layers[i]->offset,
			     cat->out_layers[i + 1]->offset);
	fprintf(stderr, "read %llu bytes, wrote %llu bytes\n",
		(unsigned long long)cat->source->v_offset,
		(unsigned long long)(count == 0 ?
					     cat->output->offset :
					     cat->out_layers[count]->offset));
}

static void close_all(struct cat *cat, bool failed)
{
	if (failed && cat->output != NULL)
		o_stream_abort(cat->output);
	o_stream_destroy(&cat->output);
	tool_leave_stdin();
	i_stream_destroy(&cat->input);
	stack_spec_free(&cat->from);
	stack_spec_free(&cat->to);
	age_identities_unref(&cat->context.identities);
}

static int run(int argc, char *argv[])
{
	struct cat cat;
	int code;

	memset(&cat, 0, sizeof(cat));
	code = parse_args(&cat, argc, argv);
	if (code < 0)
		code = parse_specs(&cat);
	/* before the keys: their file, too, may be a FIFO */
	if (code < 0) {
		tool_catch_signals();
		code = load_keys(&cat);
	}
	if (code < 0) {
		open_input(&cat);
		code = check_stdout(&cat);
	}
	if (code < 0)
		code = open_output(&cat);
	if (code < 0)
		code = copy(&cat);
	if (code == EX_OK && cat.verbose)
		report(&cat);
	close_all(&cat, code != EX_OK);
	if (code != EX_OK)
		tool_die_if_interrupted();
	return code;
}

const struct tool_command tool_cat = {
	.name = "cat",
	.summary = "copy through stacks of streams: compress, encrypt, undo",
	.help = help,
	.run = run,
};
