/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What is written through a stack of one to four layers, in any pieces, corked and flushed,
   into a parent that is full for a while, is read back as it was, and once more after a
   seek. */

#include "config.h"
#include "fuzz-common.h"

#include "stack-spec.h"

#include <errno.h>
#include <stdlib.h>

#define LAYERS_MAX 4
#define CHOICES_SIZE 32
#define LONG_DATA ((size_t)200000)

/* What gives back every byte. Levels that take little time and memory. */
static const char *const layers[] = {
	"gzip:1",
	"zlib:0",
	"deflate:9",
	"lz4",
	"lz4:9,async=yes",
	"dovecot_lz4",
#ifdef HAVE_ZSTD
	"zstd:1",
	"zstd:3,async=yes",
	"zstd:1,threads=2",
#endif
#ifdef HAVE_BZIP2
	"bzip2:1",
#endif
#ifdef HAVE_LZMA
	"xz:0",
	"lzma:0",
#endif
	"age",
	"age:threads=2",
	"age:async=yes",
	"armor",
	"hex",
	"base64",
	"base64:line=4",
	"base64url:line=76",
	"qp",
	"qp:binary=yes",
	"limit:100M",
};

struct trip {
	struct stack_spec *spec;
	struct stream_context context;
	const unsigned char *data;
	size_t size;
	/* of the parent: 0: it is never full */
	size_t room, step;
	size_t buffer_size;
	struct fuzz_input choices;
};

static struct stack_spec *choose_stack(struct fuzz_input *in)
{
	unsigned int i, count = fuzz_byte(in) % LAYERS_MAX + 1;
	char text[256] = "";
	size_t size;

	for (i = 0; i < count; i++) {
		size = strlen(text);
		(void)snprintf(text + size, sizeof(text) - size, "%s%s",
			       i > 0 ? " | " : "",
			       layers[fuzz_byte(in) % N_ELEMENTS(layers)]);
	}
	return test_stack_parse(text);
}

static void write_all(const struct trip *trip, buffer_t *out)
{
	struct test_sink *sink = test_sink_create(
		trip->room == 0 ? SIZE_MAX : trip->room, trip->step);
	struct fuzz_input choices = trip->choices;
	struct ostream *output = stack_spec_create_output(
		trip->spec, &trip->context, sink->stream, NULL);

	if (trip->buffer_size > 0)
		o_stream_set_max_buffer_size(output, trip->buffer_size);
	if (fuzz_send(output, sink, trip->data, trip->size, &choices) != 0 ||
	    fuzz_finish(output, sink, trip->room + 100) != 0)
		fail_msg("%s", o_stream_get_error(output));
	assert_int_equal(sink->finishes > 0, 1);
	assert_int_equal(o_stream_get_buffer_used_size(output), 0);
	/* once more is nothing more */
	buffer_append(out, sink->data->data, sink->data->used);
	assert_int_equal(o_stream_finish(output), 1);
	assert_int_equal(sink->data->used, out->used);
	o_stream_destroy(&output);
	test_sink_free(&sink);
}

static void read_all(const struct trip *trip, const buffer_t *encoded,
		     bool pauses)
{
	struct istream *source = test_trickle_create(
		encoded->data, encoded->used,
		trip->step == 0 ? 65536 : trip->step, pauses);
	struct istream *input = stack_spec_create_input(
		trip->spec, &trip->context, source, NULL);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	struct fuzz_input choices = trip->choices;
	size_t offset;
	uoff_t size;
	int error;

	if (trip->buffer_size > 0)
		i_stream_set_max_buffer_size(input, trip->buffer_size);
	error = fuzz_read(input, out, &choices);
	if (error != 0)
		fail_msg("errno %d: %s", error, i_stream_get_error(input));
	fuzz_same(out, trip->data, trip->size, "read");

	offset = fuzz_below(&choices, 65536);
	offset = I_MIN(offset, trip->size);
	i_stream_seek(input, offset);
	buffer_set_used_size(out, 0);
	error = fuzz_read(input, out, &choices);
	if (error != 0)
		fail_msg("after a seek: errno %d: %s", error,
			 i_stream_get_error(input));
	fuzz_same(out, trip->data + offset, trip->size - offset,
		  "after a seek");
	if (!pauses) {
		assert_int_equal(i_stream_get_size(input, true, &size), 1);
		assert_int_equal(size, trip->size);
	}
	buffer_free(&out);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
}

/* Long data of few bytes: all of them that many times. */
static buffer_t *stretch(struct fuzz_input *in, size_t times)
{
	buffer_t *data = buffer_create_dynamic(default_pool, 65536);
	size_t size = fuzz_left(in), i;
	const unsigned char *bytes = fuzz_take(in, &size);

	for (i = 0; i < times && data->used < LONG_DATA; i++)
		buffer_append(data, bytes, size);
	return data;
}

/* Long data byte by byte would take too much time. */
static size_t choose_step(struct fuzz_input *in, size_t data_size)
{
	size_t least = data_size / 1024;

	return fuzz_byte(in) + 1 + least;
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct fuzz_input in = { data, data + size }, more;
	buffer_t *encoded = buffer_create_dynamic(default_pool, 1024), *plain;
	size_t choices_size = CHOICES_SIZE;
	struct trip trip = { .context = { .recipients = test_keys.recipients,
					  .identities =
						  test_keys.identities } };
	unsigned int how;

	trip.spec = choose_stack(&in);
	how = fuzz_byte(&in);
	trip.choices.data = fuzz_take(&in, &choices_size);
	trip.choices.end = trip.choices.data + choices_size;
	more = in;
	more.data += I_MIN(fuzz_left(&in), (size_t)3);
	plain = stretch(&more, (how & 0x10) != 0 ? how * 4 : 1);
	trip.data = plain->data;
	trip.size = plain->used;
	if ((how & 1) != 0)
		trip.room = choose_step(&in, trip.size);
	if ((how & 2) != 0)
		trip.step = choose_step(&in, trip.size);
	if ((how & 4) != 0)
		trip.buffer_size = choose_step(&in, trip.size);
	write_all(&trip, encoded);
	read_all(&trip, encoded, (how & 8) != 0);
	buffer_free(&encoded);
	buffer_free(&plain);
	stack_spec_free(&trip.spec);
}

void fuzz_setup(void)
{
	fuzz_keys();
}

void fuzz_seeds(void)
{
	unsigned char *mail = test_data(TEST_DATA_TEXT, 2000);
	unsigned char choices[8 + CHOICES_SIZE];
	unsigned int i, j;

	for (i = 0; i < N_ELEMENTS(layers) * 2; i++) {
		for (j = 0; j < sizeof(choices); j++)
			choices[j] = (unsigned char)((i + 3) * (j + 1) * 7);
		choices[0] = (unsigned char)(i / N_ELEMENTS(layers));
		choices[1] = (unsigned char)i;
		fuzz_seed_with(choices, sizeof(choices), mail, i * 40);
	}
	free(mail);
}
