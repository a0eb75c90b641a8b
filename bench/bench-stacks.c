/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Stacks from specs, with one more layer or without it, and on threads: what is
   compared with the same stack without that. */

#define _GNU_SOURCE
#include "bench.h"
#include "bench-files.h"

#include <bobbin/istream.h>
#include <bobbin/ostream.h>
#include <bobbin/stack-spec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_SIZE 65536
/* Bytes between two calls of a progress callback. */
#define PROGRESS_STEP 65536

static struct stack_spec *parse(const struct bench *b)
{
	struct stack_spec *spec;
	char *error;

	spec = stack_spec_parse(b->spec, &error);
	if (spec == NULL)
		bench_fail(error, b->spec, 0);
	return spec;
}

/* Whether this build knows all of the spec; the answer is the exit code. */
static void known(struct bench *b)
{
	struct stack_spec *spec = parse(b);

	stack_spec_free(&spec);
}

static bool count_progress(uoff_t offset, void *context)
{
	uoff_t *last = context;

	*last = offset;
	return true;
}

static bool layer_is(const struct bench *b, const char *name)
{
	return strcmp(b->layer, name) == 0;
}

static void finish(struct ostream **output)
{
	bench_check(o_stream_finish(*output) > 0);
	o_stream_destroy(output);
}

/*
 * Writing
 */

/* out=FILE, or null. */
static struct ostream *open_end(const struct bench *b)
{
	if (b->out_path == NULL)
		return o_stream_create_null();
	return o_stream_create_fd_file(bench_open_out(b), 0, true);
}

/* layer=NAME on top of output, which it takes over. */
static struct ostream *add_layer(const struct bench *b, struct ostream *output,
				 uoff_t *progress)
{
	struct ostream *tee[3] = { output, NULL, NULL }, *layer;

	if (layer_is(b, ""))
		return output;
	if (layer_is(b, "passthrough")) {
		layer = o_stream_create_passthrough(output);
	} else if (layer_is(b, "limit")) {
		layer = o_stream_create_limit(output, UINT64_MAX / 2);
	} else if (layer_is(b, "progress")) {
		layer = o_stream_create_progress(output, PROGRESS_STEP,
						 count_progress, progress);
	} else {
		bench_check(layer_is(b, "tee"));
		tee[1] = o_stream_create_null();
		layer = o_stream_create_tee(tee);
		o_stream_unref(&tee[1]);
	}
	o_stream_set_finish_also_parent(layer, true);
	o_stream_unref(&output);
	return layer;
}

/* spec=STACK below layer=NAME over the end. */
static struct ostream *open_output(const struct bench *b,
				   const struct stack_spec *spec,
				   uoff_t *progress)
{
	struct ostream *end = open_end(b), *output;

	output = stack_spec_create_output(spec, NULL, end, NULL);
	o_stream_unref(&end);
	return add_layer(b, output, progress);
}

/* One long stream of pieces. */
static void send(struct bench *b)
{
	struct stack_spec *spec = parse(b);
	struct ostream *output;
	uoff_t progress = 0;

	bench_start();
	output = open_output(b, spec, &progress);
	o_stream_cork(output);
	while (b->bytes < b->total) {
		bench_check(o_stream_send(output, bench_piece(b), b->piece) ==
			    (ssize_t)b->piece);
		b->bytes += b->piece;
		b->calls++;
	}
	finish(&output);
	bench_stop();
	bench_check(!layer_is(b, "progress") || progress == b->bytes);
	stack_spec_free(&spec);
}

/*
 * Reading
 */

/* layer=NAME over input, which it takes over; the other child of a tee in *beside_r,
   NULL where there is none. */
static struct istream *add_input_layer(const struct bench *b,
				       struct istream *input, uoff_t *progress,
				       struct istream **beside_r)
{
	struct tee_istream *tee;
	struct istream *layer;

	*beside_r = NULL;
	if (layer_is(b, ""))
		return input;
	if (layer_is(b, "passthrough")) {
		layer = i_stream_create_noop(input);
	} else if (layer_is(b, "limit")) {
		layer = i_stream_create_limit(input, UINT64_MAX / 2);
	} else if (layer_is(b, "progress")) {
		layer = i_stream_create_progress(input, PROGRESS_STEP,
						 count_progress, progress);
	} else {
		bench_check(layer_is(b, "tee"));
		tee = tee_i_stream_create(input);
		layer = tee_i_stream_create_child(tee);
		*beside_r = tee_i_stream_create_child(tee);
	}
	i_stream_unref(&input);
	return layer;
}

/* All that the other child of a tee has: it drops it. */
static void drop_beside(struct istream *beside)
{
	const unsigned char *data;
	size_t size;

	while (i_stream_read_more(beside, &data, &size) > 0)
		i_stream_skip(beside, size);
}

static void read_all(struct bench *b, struct istream *input,
		     struct istream *beside)
{
	const unsigned char *data;
	size_t size;
	int ret;

	while ((ret = i_stream_read_more(input, &data, &size)) >= 0) {
		if (ret > 0) {
			b->bytes += size;
			i_stream_skip(input, size);
		}
		if (beside != NULL)
			drop_beside(beside);
		b->calls++;
	}
	bench_check(input->stream_errno == 0);
}

/* in=FILE through layer=NAME, and then through the stack, round and round. */
static void read_file(struct bench *b)
{
	struct stack_spec *spec = parse(b);
	struct istream *file, *input, *beside;
	uoff_t progress = 0;

	bench_start();
	while (b->bytes < b->total) {
		file = i_stream_create_file(b->in_path, READ_SIZE);
		file = add_input_layer(b, file, &progress, &beside);
		input = stack_spec_create_input(spec, NULL, file, NULL);
		i_stream_unref(&file);
		read_all(b, input, beside);
		i_stream_destroy(&input);
		if (beside != NULL)
			i_stream_destroy(&beside);
	}
	bench_stop();
	stack_spec_free(&spec);
}

/*
 * From file to file
 */

static void move(struct bench *b, struct istream *input, struct ostream *output)
{
	bench_check(o_stream_send_istream(output, input) ==
		    OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	b->bytes = input->v_offset;
	b->calls = 1;
	finish(&output);
	i_stream_destroy(&input);
}

/* in=FILE through the stack into out=FILE. */
static void encode_file(struct bench *b)
{
	struct stack_spec *spec = parse(b);

	bench_start();
	move(b, i_stream_create_file(b->in_path, READ_SIZE),
	     open_output(b, spec, NULL));
	bench_stop();
	stack_spec_free(&spec);
}

static void decode_file(struct bench *b)
{
	struct stack_spec *spec = parse(b);
	struct istream *file, *input;

	bench_start();
	file = i_stream_create_file(b->in_path, READ_SIZE);
	input = stack_spec_create_input(spec, NULL, file, NULL);
	i_stream_unref(&file);
	move(b, input, open_end(b));
	bench_stop();
	stack_spec_free(&spec);
}

static const struct bench_work works[] = {
	{ "known", known },
	{ "send", send },
	{ "read", read_file },
	{ "encode-file", encode_file },
	{ "decode-file", decode_file },
	{ NULL, NULL },
};

int main(int argc, char *argv[])
{
	return bench_main(argc, argv, works);
}
