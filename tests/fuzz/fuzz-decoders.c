/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Every decoder of the registry over any bytes: read in pieces and windows of any size,
   and sent, it gives the same bytes and the same error; after a seek it gives them again. */

#include "config.h"
#include "fuzz-common.h"

#include "stream-kinds.h"
#include "stream-options.h"

#include <errno.h>
#include <stdlib.h>

/* What comes out at most. */
#define MAX_PLAIN ((uoff_t)1024 * 1024)
/* How each decoder is used; what it gets is behind this. */
#define CHOICES_SIZE 24

enum {
	/* the source's bytes come with pauses */
	DECODE_PAUSES = 0x01,
	DECODE_SMALL_BUFFER = 0x02,
	DECODE_SEEK = 0x04,
	DECODE_SIZE = 0x08,
	DECODE_SMALL_SINK = 0x10
};

static const struct stream_kind *choose_kind(unsigned int n)
{
	const struct stream_kind *kind;
	unsigned int i, count = 0;

	while (stream_kind_get(count) != NULL)
		count++;
	/* one that has a decoder is soon found */
	for (i = 0; i < count; i++) {
		kind = stream_kind_get((n + i) % count);
		if (kind->role == STREAM_ROLE_TRANSFORM &&
		    (kind->flags & STREAM_KIND_MISSING) == 0)
			break;
	}
	return kind;
}

/* Each that a reader may be given, in small amounts: threads and memory cost time. */
static void choose_options(struct stream_options *options,
			   const struct stream_kind *kind, unsigned int bits)
{
	unsigned int i;

	stream_options_init(options, kind);
	for (i = 0; kind->options[i].name != NULL; i++) {
		if ((bits & 1u << i) == 0)
			continue;
		if (kind->options[i].type == STREAM_OPTION_BOOL)
			options->values[i].number = 1;
		else if (strcmp(kind->options[i].name, "threads") == 0)
			options->values[i].number = 2;
		else if (strcmp(kind->options[i].name, "window") == 0)
			options->values[i].number = 12;
		else if (strcmp(kind->options[i].name, "memory") == 0)
			options->values[i].number = 1024 * 1024;
	}
	options->identities = test_keys.identities;
}

struct decode {
	const struct stream_kind *kind;
	struct stream_options options;
	unsigned int how;
	size_t step, buffer_size;
	const unsigned char *data;
	size_t size;
};

static struct transform *make_decoder(const struct decode *d)
{
	return stream_kind_transform(d->kind, false, &d->options);
}

/* The stream is at its end; all that it gave is in out. */
static void read_again(const struct decode *d, struct istream *input,
		       const buffer_t *all, struct fuzz_input *choices)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	size_t offset = fuzz_below(choices, 65536);
	uoff_t size;

	offset = I_MIN(offset, all->used);
	i_stream_seek(input, offset);
	assert_int_equal(fuzz_read(input, out, choices), 0);
	fuzz_same(out, all->data + offset, all->used - offset, "after a seek");
	if ((d->how & DECODE_SIZE) != 0) {
		assert_int_equal(i_stream_get_size(input, true, &size), 1);
		assert_int_equal(size, all->used);
	}
	buffer_free(&out);
}

static int pull(const struct decode *d, buffer_t *out, size_t *left_r,
		struct fuzz_input choices)
{
	struct istream *source = test_trickle_create(
		d->data, d->size, d->step, (d->how & DECODE_PAUSES) != 0);
	struct istream *input =
		i_stream_create_transform(source, make_decoder(d));
	int error;

	i_stream_transform_set_limits(input, MAX_PLAIN, 0);
	if ((d->how & DECODE_SMALL_BUFFER) != 0)
		i_stream_set_max_buffer_size(input, d->buffer_size);
	error = fuzz_read(input, out, &choices);
	*left_r = d->size - (size_t)source->v_offset;
	if (error == 0 && (d->how & DECODE_SEEK) != 0)
		read_again(d, input, out, &choices);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	return error;
}

static int push(const struct decode *d, buffer_t *out,
		struct fuzz_input choices)
{
	bool small = (d->how & DECODE_SMALL_SINK) != 0;
	struct test_sink *sink =
		test_sink_create(small ? d->step : SIZE_MAX, small ? 777 : 0);
	struct ostream *limit = o_stream_create_limit(sink->stream, MAX_PLAIN);
	struct ostream *output =
		o_stream_create_transform(limit, make_decoder(d));
	int error;

	error = fuzz_send(output, sink, d->data, d->size, &choices);
	if (error == 0)
		error = fuzz_finish(output, sink, small ? 500 : 0);
	if (error != 0) {
		assert_true(strlen(o_stream_get_error(output)) > 0);
		o_stream_abort(output);
	}
	buffer_append(out, sink->data->data, sink->data->used);
	o_stream_destroy(&output);
	o_stream_destroy(&limit);
	test_sink_free(&sink);
	return error;
}

/* Before an error a library's decoder may give more where it has more room, or less: of
   the last block's bytes, say, which it gives out or not before their checksum. */
static bool depends_on_room(const struct stream_kind *kind)
{
	return (kind->flags & STREAM_KIND_BINARY) != 0 &&
		(kind->flags & STREAM_KIND_ENCRYPTED) == 0;
}

/* So one may meet the limit, and the other the error behind it. */
static bool same_error(const struct stream_kind *kind, int error,
		       int push_error)
{
	if (depends_on_room(kind) && error == EFBIG)
		return push_error != 0;
	if (depends_on_room(kind) && push_error == EFBIG)
		return error != 0;
	return error == push_error;
}

static void compare(const struct stream_kind *kind, int error,
		    const buffer_t *pulled, const buffer_t *pushed)
{
	size_t size = pushed->used;

	if (error != 0 && depends_on_room(kind)) {
		size = I_MIN(pulled->used, pushed->used);
		if (size > 0)
			assert_memory_equal(pulled->data, pushed->data, size);
		return;
	}
	fuzz_same(pulled, pushed->data, size, kind->name);
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct fuzz_input in = { data, data + size }, choices;
	buffer_t *pulled = buffer_create_dynamic(default_pool, 1024);
	buffer_t *pushed = buffer_create_dynamic(default_pool, 1024);
	size_t left, choices_size = CHOICES_SIZE;
	struct decode d;
	int error, push_error;

	d.kind = choose_kind(fuzz_byte(&in));
	choose_options(&d.options, d.kind, fuzz_byte(&in));
	d.how = fuzz_byte(&in);
	d.step = fuzz_byte(&in) + 1;
	if (d.step > 200)
		d.step = 65536;
	d.buffer_size = fuzz_byte(&in) + 1;
	choices.data = fuzz_take(&in, &choices_size);
	choices.end = choices.data + choices_size;
	d.data = in.data;
	d.size = fuzz_left(&in);

	error = pull(&d, pulled, &left, choices);
	push_error = push(&d, pushed, choices);
	/* what stands behind the end of a dot stream is the reader's, but nobody's where
	   it was sent */
	if (strcmp(d.kind->name, "dot") == 0 && error == 0 && left > 0)
		error = EINVAL;
	fuzz_trace("%s: errno %d, %zu bytes; errno %d, %zu bytes", d.kind->name,
		   error, pulled->used, push_error, pushed->used);
	if (!same_error(d.kind, error, push_error))
		fail_msg("%s: errno %d read, %d sent", d.kind->name, error,
			 push_error);
	compare(d.kind, error, pulled, pushed);
	buffer_free(&pulled);
	buffer_free(&pushed);
	d.options.identities = NULL;
	stream_options_free(&d.options);
}

void fuzz_setup(void)
{
	fuzz_keys();
}

static void seed_kind(unsigned int i, const struct stream_kind *kind)
{
	static const char *const texts[] = {
		"", "hello\r\n", ".\r\n..dots\r\n\r\nend = \xc3\xa4\r\n"
	};
	unsigned char choices[5 + CHOICES_SIZE] = { (unsigned char)i };
	unsigned char *mail = test_data(TEST_DATA_TEXT, 3000);
	struct stream_options options;
	unsigned int j;
	buffer_t *buf;

	choose_options(&options, kind, 0);
	options.recipients = test_keys.recipients;
	for (j = 0; j <= N_ELEMENTS(texts); j++) {
		bool text = j < N_ELEMENTS(texts);

		buf = test_encode(stream_kind_transform(kind, true, &options),
				  text ? texts[j] : (const char *)mail,
				  text ? strlen(texts[j]) : 3000);
		choices[2] = (unsigned char)(j * 7);
		choices[3] = (unsigned char)(255 - j * 50);
		memset(choices + 5, (int)j * 80, CHOICES_SIZE);
		fuzz_seed_with(choices, sizeof(choices), buf->data, buf->used);
		/* two members */
		buffer_append(buf, buf->data, j < 2 ? buf->used : 0);
		fuzz_seed_with(choices, sizeof(choices), buf->data, buf->used);
		buffer_free(&buf);
	}
	if ((kind->flags & (STREAM_KIND_ENCRYPTED | STREAM_KIND_ARMOR)) != 0)
		fuzz_seed_files(choices, sizeof(choices), "age");
	options.recipients = NULL;
	options.identities = NULL;
	stream_options_free(&options);
	free(mail);
}

void fuzz_seeds(void)
{
	const struct stream_kind *kind;
	unsigned int i;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if (choose_kind(i) == kind)
			seed_kind(i, kind);
	}
}
