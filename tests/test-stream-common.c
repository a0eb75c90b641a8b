/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-stream-common.h"

#include "istream-private.h"
#include "ostream-private.h"
#include "stack-spec.h"
#include "transform-step.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

/*
 * Sink
 */

struct sink_ostream {
	struct ostream_private ostream;
	struct test_sink *sink;
};

static struct test_sink *get_sink(struct ostream_private *stream)
{
	return container_of(stream, struct sink_ostream, ostream)->sink;
}

static ssize_t sink_sendv(struct ostream_private *stream,
			  const struct const_iovec *iov, unsigned int count)
{
	struct test_sink *sink = get_sink(stream);
	size_t left = sink->room, len, total = 0;
	unsigned int i;

	sink->sends++;
	if (sink->step > 0)
		left = I_MIN(left, sink->step);
	for (i = 0; i < count && left > 0; i++) {
		len = I_MIN(iov[i].iov_len, left);
		buffer_append(sink->data, iov[i].iov_base, len);
		left -= len;
		total += len;
	}
	if (sink->room != SIZE_MAX)
		sink->room -= total;
	return (ssize_t)total;
}

static int sink_flush(struct ostream_private *stream,
		      enum ostream_flush_mode mode)
{
	if (mode == OSTREAM_FINISH)
		get_sink(stream)->finishes++;
	else if (mode == OSTREAM_SYNC)
		get_sink(stream)->flushes++;
	return 1;
}

static size_t sink_avail(const struct ostream_private *stream)
{
	return ((const struct sink_ostream *)(const void *)stream)->sink->room;
}

struct test_sink *test_sink_create(size_t room, size_t step)
{
	struct test_sink *sink = calloc(1, sizeof(*sink));
	struct sink_ostream *s = i_new(struct sink_ostream, 1);

	assert_non_null(sink);
	sink->data = buffer_create_dynamic(default_pool, 1024);
	sink->room = room;
	sink->step = step;
	s->sink = sink;
	s->ostream.max_buffer_size = IO_BLOCK_SIZE;
	s->ostream.sendv = sink_sendv;
	s->ostream.flush = sink_flush;
	s->ostream.get_buffer_avail_size = sink_avail;
	sink->stream = o_stream_create(&s->ostream, NULL, -1);
	o_stream_set_name(sink->stream, "(sink)");
	return sink;
}

void test_sink_allow(struct test_sink *sink, size_t room)
{
	sink->room += room;
}

void test_sink_free(struct test_sink **_sink)
{
	struct test_sink *sink = *_sink;

	*_sink = NULL;
	o_stream_destroy(&sink->stream);
	buffer_free(&sink->data);
	free(sink);
}

bool test_tell(uoff_t offset, void *context)
{
	struct test_told *told = context;
	size_t len = strlen(told->text);

	(void)snprintf(told->text + len, sizeof(told->text) - len, "%llu ",
		       (unsigned long long)offset);
	return ++told->calls != told->cancel_at;
}

int test_dir_setup(void **state ATTR_UNUSED)
{
	test_remove_tree(test_path("d"));
	(void)umask(022);
	return mkdir(test_path("d"), 0700);
}

int test_dir_teardown(void **state ATTR_UNUSED)
{
	test_faults_end();
	test_remove_tree(test_path("d"));
	return 0;
}

struct test_keys test_keys;

int test_keys_setup(void **state ATTR_UNUSED)
{
	char *error;

	test_keys.identities = age_identities_new();
	test_keys.recipients = age_recipients_new();
	if (age_keygen(test_path("key"), test_keys.recipient, &error) < 0 ||
	    age_identities_add_file(test_keys.identities, test_path("key"),
				    NULL, &error) < 0 ||
	    age_recipients_add(test_keys.recipients, test_keys.recipient,
			       &error) < 0)
		return -1;
	return 0;
}

int test_keys_teardown(void **state ATTR_UNUSED)
{
	age_identities_unref(&test_keys.identities);
	age_recipients_unref(&test_keys.recipients);
	return 0;
}

static const char *fixed_name(void)
{
	return "fixed";
}

static uint32_t fixed_random(void)
{
	return 7;
}

static void fixed_buf(void *buf, size_t size)
{
	memset(buf, 7, size);
}

static struct randombytes_implementation fixed_bytes = {
	.implementation_name = fixed_name,
	.random = fixed_random,
	.buf = fixed_buf,
};

int test_fixed_keys_setup(void **state)
{
	if (test_keys_setup(state) < 0)
		return -1;
	return randombytes_set_implementation(&fixed_bytes);
}

/*
 * Trickle
 */

struct trickle_istream {
	struct istream_private istream;
	const unsigned char *data;
	size_t size, step;
	bool pauses, pause_next;
};

static ssize_t trickle_read(struct istream_private *stream)
{
	struct trickle_istream *t =
		container_of(stream, struct trickle_istream, istream);
	uoff_t pos = stream->istream.v_offset + (stream->pos - stream->skip);
	unsigned char *dest;
	size_t size;

	if (pos >= t->size) {
		stream->istream.eof = true;
		return -1;
	}
	if (t->pause_next) {
		t->pause_next = false;
		return 0;
	}
	dest = i_stream_reserve(stream, t->step, &size);
	if (dest == NULL)
		return -2;
	size = I_MIN(size, I_MIN(t->step, t->size - (size_t)pos));
	memcpy(dest, t->data + pos, size);
	stream->pos += size;
	t->pause_next = t->pauses;
	return (ssize_t)size;
}

static void trickle_seek(struct istream_private *stream, uoff_t v_offset,
			 bool mark ATTR_UNUSED)
{
	i_stream_reset_buffer(stream, v_offset);
}

static int trickle_stat(struct istream_private *stream, bool exact ATTR_UNUSED)
{
	struct trickle_istream *t =
		container_of(stream, struct trickle_istream, istream);

	memset(&stream->statbuf, 0, sizeof(stream->statbuf));
	stream->statbuf.st_size = (off_t)t->size;
	return 0;
}

struct istream *test_trickle_create(const void *data, size_t size, size_t step,
				    bool pauses)
{
	struct trickle_istream *t = i_new(struct trickle_istream, 1);
	struct istream *stream;

	t->data = data;
	t->size = size;
	t->step = step;
	t->pauses = pauses;
	t->istream.max_buffer_size = IO_BLOCK_SIZE;
	t->istream.read = trickle_read;
	t->istream.seek = trickle_seek;
	t->istream.stat = trickle_stat;
	stream = i_stream_create(&t->istream, NULL, -1);
	stream->blocking = !pauses;
	stream->seekable = true;
	i_stream_set_name(stream, "(trickle)");
	return stream;
}

int test_read_all(struct istream *input, buffer_t *out)
{
	const unsigned char *data;
	size_t size;
	int ret;

	while ((ret = i_stream_read_more(input, &data, &size)) >= 0) {
		if (ret == 0) {
			assert_false(input->blocking);
			continue;
		}
		buffer_append(out, data, size);
		i_stream_skip(input, size);
	}
	assert_int_equal(ret, -1);
	assert_true(input->eof);
	return input->stream_errno;
}

void test_gives(struct istream *s, const char *text, int error)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 64);

	assert_int_equal(test_read_all(s, out), error);
	assert_string_equal(buffer_c_str(out), text);
	i_stream_destroy(&s);
	buffer_free(&out);
}

struct stack_spec *test_stack_parse(const char *text)
{
	struct stack_spec *spec;
	char *error = NULL;

	spec = stack_spec_parse(text, &error);
	if (spec == NULL)
		fail_msg("%s: %s", text, error);
	return spec;
}

/*
 * Codecs
 */

char test_stream_error[1024];

buffer_t *test_encode(struct transform *encoder, const void *data, size_t size)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 1024);
	struct ostream *sink = o_stream_create_buffer(buf);
	struct ostream *output = o_stream_create_transform(sink, encoder);

	assert_int_equal(o_stream_send(output, data, size), size);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	assert_int_equal(o_stream_finish(sink), 1);
	o_stream_destroy(&sink);
	return buf;
}

static void keep_error(int error, const char *text)
{
	test_stream_error[0] = '\0';
	if (error == 0)
		return;
	assert_true(strlen(text) > 0);
	(void)snprintf(test_stream_error, sizeof(test_stream_error), "%s",
		       text);
}

int test_decode_step(struct transform *decoder, const void *data, size_t size,
		     size_t step, bool pauses, size_t max_buffer, buffer_t *out)
{
	struct istream *source = test_trickle_create(data, size, step, pauses);
	struct istream *input = i_stream_create_transform(source, decoder);
	int error;

	if (max_buffer > 0)
		i_stream_set_max_buffer_size(input, max_buffer);
	buffer_set_used_size(out, 0);
	error = test_read_all(input, out);
	keep_error(error, i_stream_get_error(input));
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	return error;
}

int test_decode(struct transform *decoder, const void *data, size_t size,
		buffer_t *out)
{
	return test_decode_step(decoder, data, size, 65536, false, 0, out);
}

int test_decode_push(struct transform *decoder, const void *data, size_t size,
		     size_t step, buffer_t *out)
{
	const unsigned char *bytes = data;
	struct ostream *sink, *output;
	size_t pos, piece;
	int error;

	buffer_set_used_size(out, 0);
	sink = o_stream_create_buffer(out);
	output = o_stream_create_transform(sink, decoder);
	for (pos = 0; pos < size; pos += piece) {
		piece = I_MIN(size - pos, step);
		o_stream_nsend(output, bytes + pos, piece);
	}
	if (o_stream_finish(output) == 1)
		assert_int_equal(output->stream_errno, 0);
	error = output->stream_errno;
	keep_error(error, o_stream_get_error(output));
	o_stream_destroy(&output);
	o_stream_destroy(&sink);
	return error;
}

static void check_decoding(const struct test_decoding *row, const char *way,
			   size_t step, int error, const buffer_t *out)
{
	if (error != row->error)
		fail_msg("%s, %s by %zu: errno %d, not %d: %s", row->name, way,
			 step, error, row->error, test_stream_error);
	if (row->text != NULL && strstr(test_stream_error, row->text) == NULL)
		fail_msg("%s, %s by %zu: \"%s\" is not in: %s", row->name, way,
			 step, row->text, test_stream_error);
	if (out->used != row->out_size ||
	    (out->used > 0 && memcmp(out->data, row->out, out->used) != 0))
		fail_msg("%s, %s by %zu: %zu bytes wanted, these %zu had: %.*s",
			 row->name, way, step, row->out_size, out->used,
			 (int)I_MIN(out->used, (size_t)40),
			 (const char *)out->data);
}

/* What follows the unit is an error only for who sends it. */
static bool stops_at_end(struct transform *(*decoder)(void))
{
	struct transform *t = decoder();
	bool stops = (t->class_->flags & TRANSFORM_STOP) != 0;

	transform_free(&t);
	return stops;
}

void test_decoding(struct transform *(*decoder)(void),
		   const struct test_decoding *row)
{
	static const size_t steps[] = { 65536, 1, 2, 7 };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	bool push = !stops_at_end(decoder);
	size_t i;
	int error;

	for (i = 0; i < N_ELEMENTS(steps); i++) {
		error = test_decode_step(decoder(), row->in, row->in_size,
					 steps[i], i % 2 != 0, i == 2 ? 3 : 0,
					 out);
		check_decoding(row, "read", steps[i], error, out);
		if (!push)
			continue;
		error = test_decode_push(decoder(), row->in, row->in_size,
					 steps[i], out);
		check_decoding(row, "sent", steps[i], error, out);
	}
	buffer_free(&out);
}

void test_decodings(struct transform *(*decoder)(void),
		    const struct test_decoding *rows, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		test_decoding(decoder, &rows[i]);
}

#define SKIPPED(n) n "\x2a\x4d\x18\x04\0\0\0skip"

void test_skippable_frames(struct transform *(*decoder)(void),
			   const void *hello, size_t size)
{
	static const struct {
		const char *name;
		bool behind, before; /* a hello */
		const void *frames;
		size_t size;
		int error;
	} rows[] = {
		{ "skipped first", false, true, TEST_BYTES(SKIPPED("\x50")),
		  0 },
		{ "skipped between", true, true,
		  TEST_BYTES(SKIPPED("\x5a") SKIPPED("\x57")), 0 },
		{ "skipped last", true, false, TEST_BYTES(SKIPPED("\x5f")), 0 },
		{ "only skipped", false, false, TEST_BYTES(SKIPPED("\x50")),
		  0 },
		{ "a skipped one that is empty", false, true,
		  TEST_BYTES("\x50\x2a\x4d\x18\0\0\0\0"), 0 },
		{ "a skipped one cut in its size", true, false,
		  TEST_BYTES("\x50\x2a\x4d\x18\4\0\0"), EPIPE },
		{ "a skipped one cut in its bytes", true, false,
		  TEST_BYTES("\x50\x2a\x4d\x18\4\0\0\0ski"), EPIPE },
		/* whose libraries do not count so far on a machine of 32 bits */
		{ "a skipped one of 4 GiB", false, false,
		  TEST_BYTES("\x50\x2a\x4d\x18\xff\xff\xff\xff....."),
		  sizeof(size_t) > 4 ? EPIPE : EINVAL },
	};
	struct test_decoding row = { .out = "hellohello" };
	buffer_t *in;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		in = buffer_create_dynamic(default_pool, 100);
		if (rows[i].behind)
			buffer_append(in, hello, size);
		buffer_append(in, rows[i].frames, rows[i].size);
		if (rows[i].before)
			buffer_append(in, hello, size);
		row.name = rows[i].name;
		row.in = in->data;
		row.in_size = in->used;
		row.out_size = 5u * (rows[i].behind + rows[i].before);
		row.error = rows[i].error;
		test_decoding(decoder, &row);
		buffer_free(&in);
	}
}

void test_every_cut(struct transform *(*decoder)(void), const void *data,
		    size_t size, const void *plain, size_t plain_size)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	size_t cut;
	int error;

	for (cut = 0; cut < size; cut++) {
		error = test_decode(decoder(), data, cut, out);
		if (error != EPIPE)
			fail_msg("cut at %zu of %zu: errno %d: %s", cut, size,
				 error, test_stream_error);
		assert_true(out->used <= plain_size);
		if (out->used > 0)
			assert_memory_equal(out->data, plain, out->used);
	}
	buffer_free(&out);
}

enum transform_status test_process(struct transform *t, const void *data,
				   size_t size, enum transform_op op,
				   buffer_t *out, size_t *taken_r)
{
	enum transform_status status = TRANSFORM_NEED_IN;
	unsigned char window[64];
	struct transform_io io;

	assert_true(t->class_->min_out <= sizeof(window));
	transform_no_input(&io);
	if (size > 0) {
		io.in = data;
		io.in_end = io.in + size;
	}
	do {
		io.out = window;
		io.out_end = window + t->class_->min_out;
		status = transform_step(t, &io, op, status);
		buffer_append(out, window, (size_t)(io.out - window));
	} while (status == TRANSFORM_NEED_OUT);
	if (taken_r != NULL)
		*taken_r = size - (size_t)(io.in_end - io.in);
	return status;
}

int test_decrypt(const void *data, size_t size, size_t step, buffer_t *out)
{
	struct istream *source = test_trickle_create(data, size, step, false);
	struct istream *input =
		i_stream_create_decrypt(source, test_keys.identities);
	int ret;

	buffer_set_used_size(out, 0);
	ret = test_read_all(input, out);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	return ret;
}
