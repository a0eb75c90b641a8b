/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Every behaviour of the adapter that makes an output stream of a transform, for every
   codec and both directions. */

#include "config.h"
#include "test-codec-common.h"
#include "ostream-private.h"

#include <errno.h>
#include <stdlib.h>

static void test_parent_takes_little_by_little(void **state ATTR_UNUSED)
{
	static const size_t steps[] = { 1, 2, 3, 7, 64 };
	const struct test_codec *codec;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	buffer_t *want;
	size_t size, i, sent;
	ssize_t ret;

	TEST_EACH_CODEC(codec) {
		size = 3000;
		data = test_codec_plain(codec, &size);
		want = test_codec_encode(codec, data, size);
		for (i = 0; i < N_ELEMENTS(steps); i++) {
			sink = test_sink_create(0, 0);
			output = o_stream_create_transform(sink->stream,
							   codec->encoder());
			o_stream_set_max_buffer_size(output, 100);
			for (sent = 0; sent < size; sent += (size_t)ret) {
				ret = o_stream_send(output, data + sent,
						    size - sent);
				assert_true(ret >= 0);
				test_sink_allow(sink, steps[i]);
			}
			while ((ret = o_stream_finish(output)) == 0)
				test_sink_allow(sink, steps[i]);
			assert_int_equal(ret, 1);
			assert_int_equal(output->offset, size);
			test_codec_must_give(want->data, want->used, sink->data,
					     "small parent");
			/* the parent's user did not send too much */
			assert_false(sink->stream->overflow);
			o_stream_destroy(&output);
			(void)o_stream_finish(sink->stream);
			test_sink_free(&sink);
		}
		buffer_free(&want);
		free(data);
	}
}

static void test_full_parent_at_finish_loses_nothing(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	buffer_t *want;
	size_t size, room;
	int ret, tries;

	TEST_EACH_CODEC(codec) {
		size = 500;
		data = test_codec_plain(codec, &size);
		want = test_codec_encode(codec, data, size);
		for (room = 0; room <= want->used; room += TEST_STEP) {
			sink = test_sink_create(room, 0);
			output = o_stream_create_transform(sink->stream,
							   codec->encoder());
			assert_int_equal(o_stream_send(output, data, size),
					 size);
			ret = o_stream_finish(output);
			assert_int_equal(ret, room < want->used ? 0 : 1);
			/* asking again changes nothing */
			for (tries = 0; tries < 3 && ret == 0; tries++)
				assert_int_equal(o_stream_finish(output), 0);
			test_sink_allow(sink, SIZE_MAX / 2);
			assert_int_equal(o_stream_finish(output), 1);
			assert_int_equal(o_stream_finish(output), 1);
			test_codec_must_give(want->data, want->used, sink->data,
					     "full parent");
			o_stream_destroy(&output);
			(void)o_stream_finish(sink->stream);
			test_sink_free(&sink);
		}
		buffer_free(&want);
		free(data);
	}
}

static void test_flush_makes_all_decodable(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct transform *encoder;
	struct test_sink *sink;
	struct ostream *output;
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	unsigned char *data;
	size_t size, part, sent, used;
	bool can_sync;

	TEST_EACH_CODEC(codec) {
		encoder = codec->encoder();
		can_sync = (encoder->class_->flags & TRANSFORM_CAN_SYNC) != 0;
		size = 2000;
		data = test_codec_plain(codec, &size);
		sink = test_sink_create(SIZE_MAX, 0);
		output = o_stream_create_transform(sink->stream, encoder);
		/* nothing was given: nothing comes out */
		assert_int_equal(o_stream_flush(output), 1);
		assert_int_equal(sink->data->used, 0);
		for (sent = 0; sent < size; sent += part) {
			part = I_MIN(size - sent, (size_t)173);
			assert_int_equal(
				o_stream_send(output, data + sent, part), part);
			assert_int_equal(o_stream_flush(output), 1);
			used = sink->data->used;
			/* twice writes nothing more */
			assert_int_equal(o_stream_flush(output), 1);
			assert_int_equal(sink->data->used, used);
			if (!can_sync)
				continue;
			assert_int_equal(
				test_codec_decode(codec, sink->data->data,
						  sink->data->used, out),
				codec->no_end ? 0 : EPIPE);
			test_codec_must_give(data, sent + part, out,
					     "after a flush");
		}
		assert_int_equal(o_stream_finish(output), 1);
		assert_int_equal(test_codec_decode(codec, sink->data->data,
						   sink->data->used, out),
				 0);
		test_codec_must_give(data, size, out, "flushed often");
		o_stream_destroy(&output);
		(void)o_stream_finish(sink->stream);
		test_sink_free(&sink);
		free(data);
	}
	buffer_free(&out);
}

static void test_check_makes_no_sync_point(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	buffer_t *want;
	size_t size, sent;

	TEST_EACH_CODEC(codec) {
		size = 2000;
		data = test_codec_plain(codec, &size);
		want = test_codec_encode(codec, data, size);
		sink = test_sink_create(SIZE_MAX, 0);
		output = o_stream_create_transform(sink->stream,
						   codec->encoder());
		for (sent = 0; sent < size; sent++) {
			o_stream_nsend(output, data + sent, 1);
			assert_int_equal(o_stream_check(output), 1);
		}
		assert_int_equal(o_stream_finish(output), 1);
		/* a byte at a time costs nothing in size */
		assert_true(sink->data->used <= want->used + 16);
		o_stream_destroy(&output);
		(void)o_stream_finish(sink->stream);
		test_sink_free(&sink);
		buffer_free(&want);
		free(data);
	}
}

static void test_push_decoding(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct ostream *sink, *output;
	unsigned char *data;
	buffer_t *encoded, *out;
	size_t size, pos;

	TEST_EACH_CODEC(codec) {
		size = 3000;
		data = test_codec_plain(codec, &size);
		encoded = test_codec_encode(codec, data, size);
		out = buffer_create_dynamic(default_pool, 1024);
		sink = o_stream_create_buffer(out);
		output = o_stream_create_transform(sink, codec->decoder());
		for (pos = 0; pos < encoded->used; pos++)
			o_stream_nsend(output, encoded->data + pos, 1);
		assert_int_equal(o_stream_finish(output), 1);
		o_stream_destroy(&output);
		o_stream_destroy(&sink);
		test_codec_must_give(data, size, out, "pushed");
		buffer_free(&out);

		/* cut short: finish tells */
		out = buffer_create_dynamic(default_pool, 1024);
		sink = o_stream_create_buffer(out);
		output = o_stream_create_transform(sink, codec->decoder());
		o_stream_nsend(output, encoded->data,
			       encoded->used - 1 - codec->optional_end);
		if (!codec->no_end) {
			assert_int_equal(o_stream_finish(output), -1);
			assert_int_equal(output->stream_errno, EPIPE);
		} else {
			(void)o_stream_finish(output);
		}
		o_stream_destroy(&output);
		o_stream_destroy(&sink);
		buffer_free(&out);
		buffer_free(&encoded);
		free(data);
	}
}

/* What was good before the error is given out first, however little of it the parent
   takes at a time. */
static void test_pushed_data_comes_before_the_error(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct transform *decoder;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	buffer_t *encoded;
	size_t size, i;

	TEST_EACH_CODEC(codec) {
		decoder = codec->decoder();
		if ((decoder->class_->flags & TRANSFORM_UNFRAMED) != 0 ||
		    test_codec_ends_with_input(codec)) {
			transform_free(&decoder);
			continue;
		}
		size = 500;
		data = test_codec_plain(codec, &size);
		encoded = test_codec_encode(codec, data, size);
		buffer_append_str(encoded, "garbage");
		sink = test_sink_create(0, 0);
		output = o_stream_create_transform(sink->stream, decoder);
		assert_int_equal(o_stream_send(output, encoded->data,
					       encoded->used),
				 encoded->used);
		for (i = 0; i < size; i++) {
			assert_int_equal(sink->data->used, i);
			assert_int_equal(o_stream_check(output), 0);
			assert_int_equal(output->stream_errno, 0);
			test_sink_allow(sink, 1);
			if (i == size - 1)
				break;
			(void)o_stream_check(output);
		}
		assert_int_equal(o_stream_check(output), -1);
		assert_int_equal(output->stream_errno, EINVAL);
		test_codec_must_give(data, size, sink->data,
				     "before the error");
		o_stream_destroy(&output);
		test_sink_free(&sink);
		buffer_free(&encoded);
		free(data);
	}
}

static void test_bad_settings_fail_with_a_text(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *sink = o_stream_create_buffer(buf);
	struct ostream *output;
	unsigned int i;

	for (i = 0; i < 4; i++) {
		output = i == 0 ? o_stream_create_gzip(sink, 10) :
			i == 1  ? o_stream_create_lz4(sink, 13) :
			i == 2  ? o_stream_create_zstd(sink, 100) :
				  o_stream_create_deflate(sink, -2);
		assert_int_not_equal(output->stream_errno, 0);
#ifndef HAVE_ZSTD
		if (i == 2)
			assert_int_equal(output->stream_errno, ENOTSUP);
		else
#endif
			assert_non_null(
				strstr(o_stream_get_error(output), "level"));
		assert_int_equal(o_stream_send(output, "x", 1), -1);
		assert_int_equal(o_stream_finish(output), -1);
		o_stream_destroy(&output);
	}
	o_stream_destroy(&sink);
	assert_int_equal(buf->used, 0);
	buffer_free(&buf);
}

static void test_unfinished_trailer_panics(void **state ATTR_UNUSED)
{
	struct ostream *sink = o_stream_create_null();
	struct ostream *output = o_stream_create_gzip(sink, 6);

	o_stream_set_name(output, "thing");
	assert_int_equal(o_stream_send(output, "x", 1), 1);
	EXPECT_PANIC("output stream thing destroyed without o_stream_finish()",
		     o_stream_destroy(&output));
	EXPECT_PANIC("output stream thing destroyed without o_stream_finish()",
		     o_stream_close(output));
	o_stream_abort(output);
	assert_int_equal(output->stream_errno, EPIPE);
	o_stream_destroy(&output);
	o_stream_destroy(&sink);
}

static void test_send_of_avail_size_takes_all(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	size_t avail, size;

	TEST_EACH_CODEC(codec) {
		size = 10000;
		data = test_codec_plain(codec, &size);
		sink = test_sink_create(0, 0);
		output = o_stream_create_transform(sink->stream,
						   codec->encoder());
		o_stream_set_max_buffer_size(output, 1000);
		while ((avail = o_stream_get_buffer_avail_size(output)) > 0) {
			avail = I_MIN(avail, (size_t)333);
			assert_int_equal(o_stream_send(output, data, avail),
					 avail);
			/* a codec that swallows everything never fills up */
			if (output->offset > 1 << 20)
				break;
		}
		assert_false(output->overflow);
		o_stream_abort(output);
		o_stream_destroy(&output);
		o_stream_abort(sink->stream);
		test_sink_free(&sink);
		free(data);
	}
}

static void test_parent_error_comes_up(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct ostream *null, *bad, *output;
	unsigned char *data;
	size_t size, at;

	TEST_EACH_CODEC(codec) {
		size = 3000;
		data = test_codec_plain(codec, &size);
		for (at = 0; at < 40; at++) {
			null = o_stream_create_null();
			bad = o_stream_create_failure_at(null, at, "no more");
			output = o_stream_create_transform(bad,
							   codec->encoder());
			o_stream_nsend(output, data, size);
			assert_int_equal(o_stream_finish(output), -1);
			assert_int_equal(output->stream_errno, EIO);
			assert_string_equal(o_stream_get_error(output),
					    "no more");
			o_stream_destroy(&output);
			o_stream_destroy(&bad);
			o_stream_destroy(&null);
		}
		free(data);
	}
}

/* Takes one byte, and fails with the next. */
static ssize_t one_byte_sendv(struct ostream_private *stream,
			      const struct const_iovec *iov ATTR_UNUSED,
			      unsigned int count ATTR_UNUSED)
{
	(void)o_stream_fail(stream, EIO, "no more");
	return 1;
}

static struct ostream *create_one_byte(void)
{
	struct ostream_private *s = i_new(struct ostream_private, 1);

	s->max_buffer_size = IO_BLOCK_SIZE;
	s->sendv = one_byte_sendv;
	return o_stream_create(s, NULL, -1);
}

/* A parent may have taken a part before it failed, as a filter does whose own parent
   fails. Nobody is told to wait until it takes the rest, not even once. */
static void test_parent_error_in_the_middle(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct ostream *bad, *output;
	unsigned char *data;
	size_t size;

	TEST_EACH_CODEC(codec) {
		size = 3000;
		data = test_codec_plain(codec, &size);
		bad = create_one_byte();
		output = o_stream_create_transform(bad, codec->encoder());
		o_stream_cork(output);
		/* whatever is sent is sent by the finish */
		o_stream_nsend(output, data, size);
		assert_int_equal(o_stream_finish(output), -1);
		assert_int_equal(output->stream_errno, EIO);
		assert_string_equal(o_stream_get_error(output), "no more");
		o_stream_destroy(&output);
		o_stream_destroy(&bad);
		free(data);
	}
}

/* Also where the send before it took bytes: nothing waits for a stream that has
   failed. */
static void test_parent_error_ends_send_istream(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct ostream *null, *bad, *output;
	struct istream *input;
	unsigned char *data;
	size_t size;

	TEST_EACH_CODEC(codec) {
		size = 300000;
		data = test_codec_plain(codec, &size);
		null = o_stream_create_null();
		bad = o_stream_create_failure_at(null, 1, "no more");
		output = o_stream_create_transform(bad, codec->encoder());
		input = i_stream_create_from_data(data, size);
		/* a codec may still hold all that it was given */
		if (o_stream_send_istream(output, input) !=
		    OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT) {
			assert_true(input->eof);
			assert_int_equal(o_stream_finish(output), -1);
		}
		assert_int_equal(output->stream_errno, EIO);
		o_stream_abort(output);
		i_stream_destroy(&input);
		o_stream_destroy(&output);
		o_stream_destroy(&bad);
		o_stream_destroy(&null);
		free(data);
	}
}

static void test_depth(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *streams[257];
	int i;

	streams[0] = o_stream_create_buffer(buf);
	for (i = 1; i < 257; i++) {
		streams[i] = o_stream_create_crlf(streams[i - 1]);
		assert_int_equal(streams[i]->stream_errno, i < 256 ? 0 : ELOOP);
	}
	o_stream_cork(streams[255]);
	assert_int_equal(o_stream_send_str(streams[255], "a\nb"), 3);
	o_stream_uncork(streams[255]);
	assert_int_equal(o_stream_finish(streams[255]), 1);
	assert_int_equal(buf->used, 4);
	for (i = 256; i >= 0; i--)
		o_stream_destroy(&streams[i]);
	buffer_free(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parent_takes_little_by_little),
		cmocka_unit_test(test_full_parent_at_finish_loses_nothing),
		cmocka_unit_test(test_flush_makes_all_decodable),
		cmocka_unit_test(test_check_makes_no_sync_point),
		cmocka_unit_test(test_push_decoding),
		cmocka_unit_test(test_pushed_data_comes_before_the_error),
		cmocka_unit_test(test_bad_settings_fail_with_a_text),
		cmocka_unit_test(test_unfinished_trailer_panics),
		cmocka_unit_test(test_send_of_avail_size_takes_all),
		cmocka_unit_test(test_parent_error_comes_up),
		cmocka_unit_test(test_parent_error_in_the_middle),
		cmocka_unit_test(test_parent_error_ends_send_istream),
		cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests_name("transforms-output", tests,
					   test_fixed_keys_setup,
					   test_keys_teardown);
}
