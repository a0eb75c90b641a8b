/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Every behaviour of the adapter that makes an input stream of a transform, for every codec
   and both directions. */

#include "config.h"
#include "test-codec-common.h"

#include <errno.h>
#include <stdlib.h>

static void test_small_reads(void **state ATTR_UNUSED)
{
	static const struct {
		size_t step;
		bool pauses;
		size_t max_buffer;
	} ways[] = { { 1, false, 0 },     { 1, true, 1 },    { 3, true, 2 },
		     { 65536, false, 1 }, { 100, false, 7 }, { 5, true, 512 } };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *encoded;
	const struct test_codec *codec;
	unsigned char *data;
	size_t size, i;

	TEST_EACH_CODEC(codec) {
		size = 5000;
		data = test_codec_plain(codec, &size);
		encoded = test_codec_encode(codec, data, size);
		for (i = 0; i < N_ELEMENTS(ways); i++) {
			assert_int_equal(
				test_decode_step(codec->decoder(),
						 encoded->data, encoded->used,
						 ways[i].step, ways[i].pauses,
						 ways[i].max_buffer, out),
				0);
			test_codec_must_give(data, size, out, "small reads");
		}
		buffer_free(&encoded);
		free(data);
	}
	buffer_free(&out);
}

static void test_pull_encoding(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct istream *source, *middle, *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	unsigned char *data;
	size_t size;

	TEST_EACH_CODEC(codec) {
		size = 100000;
		data = test_codec_plain(codec, &size);
		source = test_trickle_create(data, size, 1000, true);
		middle = i_stream_create_transform(source, codec->encoder());
		input = i_stream_create_transform(middle, codec->decoder());
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(input, out), 0);
		test_codec_must_give(data, size, out, "encoded while reading");
		i_stream_destroy(&input);
		i_stream_destroy(&middle);
		i_stream_destroy(&source);
		free(data);
	}
	buffer_free(&out);
}

/* Two units, one behind the other. */
static void check_two_units(const struct test_codec *codec, unsigned int flags,
			    const buffer_t *unit, size_t plain_size)
{
	buffer_t *twice = buffer_create_dynamic(default_pool, 1024);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	int ret;

	buffer_append(twice, unit->data, unit->used);
	buffer_append(twice, unit->data, unit->used);
	ret = test_codec_decode(codec, twice->data, twice->used, out);
	if ((flags & TRANSFORM_MEMBERS) != 0) {
		assert_int_equal(ret, 0);
		assert_int_equal(out->used, 2 * plain_size);
		assert_int_equal(test_codec_decode(codec, twice->data,
						   unit->used, out),
				 0);
		/* a cut magic is a truncation */
		assert_int_equal(test_codec_decode(codec, twice->data,
						   unit->used + 1, out),
				 EPIPE);
	} else {
		assert_int_equal(out->used, plain_size);
		assert_int_equal(ret,
				 (flags & TRANSFORM_EXACT) != 0 ? EINVAL : 0);
	}
	buffer_free(&twice);
	buffer_free(&out);
}

static void check_garbage(const struct test_codec *codec, unsigned int flags,
			  const buffer_t *unit, const void *plain,
			  size_t plain_size)
{
	static const char garbage[] = "garbage";
	buffer_t *data = buffer_create_dynamic(default_pool, 1024);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	struct istream *source, *input;
	int ret;

	buffer_append(data, unit->data, unit->used);
	buffer_append(data, garbage, sizeof(garbage));
	source = i_stream_create_from_data(data->data, data->used);
	input = i_stream_create_transform(source, codec->decoder());
	ret = test_read_all(input, out);
	test_codec_must_give(plain, plain_size, out, "before garbage");
	if ((flags & TRANSFORM_STOP) != 0) {
		assert_int_equal(ret, 0);
		assert_int_equal(source->v_offset, unit->used);
	} else {
		assert_int_equal(ret, EINVAL);
		assert_non_null(strstr(i_stream_get_error(input),
				       "data after the end"));
	}
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&data);
	buffer_free(&out);
}

/* What follows a unit, by the class's flags. */
static void test_data_behind_the_end(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct transform *decoder;
	unsigned int flags;
	unsigned char *data;
	buffer_t *unit;
	size_t size;

	TEST_EACH_CODEC(codec) {
		decoder = codec->decoder();
		flags = decoder->class_->flags;
		transform_free(&decoder);
		if ((flags & TRANSFORM_UNFRAMED) != 0 ||
		    test_codec_ends_with_input(codec))
			continue;
		size = 1000;
		data = test_codec_plain(codec, &size);
		unit = test_codec_encode(codec, data, size);
		check_two_units(codec, flags, unit, size);
		check_garbage(codec, flags, unit, data, size);
		buffer_free(&unit);
		free(data);
	}
}

static void test_random_seeks(void **state ATTR_UNUSED)
{
	const struct test_codec *codec;
	struct istream *source, *input;
	const unsigned char *got;
	unsigned char *data;
	uint32_t seed = 12345;
	buffer_t *encoded;
	size_t size, have;
	uoff_t offset, total;
	unsigned int i;

	TEST_EACH_CODEC(codec) {
		size = 200000;
		data = test_codec_plain(codec, &size);
		encoded = test_codec_encode(codec, data, size);
		source =
			i_stream_create_from_data(encoded->data, encoded->used);
		input = i_stream_create_transform(source, codec->decoder());
		for (i = 0; i < 200; i++) {
			offset = test_random(&seed) % size;
			i_stream_seek(input, offset);
			assert_int_equal(input->v_offset, offset);
			if (i_stream_read_more(input, &got, &have) <= 0)
				fail_msg("%s: seek to %llu: %s", codec->name,
					 (unsigned long long)offset,
					 i_stream_get_error(input));
			assert_true(have <= size - offset);
			assert_memory_equal(got, data + offset, have);
			if (i == 100) {
				assert_int_equal(i_stream_get_size(input, true,
								   &total),
						 1);
				assert_int_equal(total, size);
				assert_int_equal(input->v_offset, offset);
			}
		}
		i_stream_destroy(&input);
		i_stream_destroy(&source);
		buffer_free(&encoded);
		free(data);
	}
}

/* Reads from the beginning, with this byte damaged; the error's text is kept. */
static void read_damaged(struct istream *input, unsigned char *byte,
			 const char *what)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	int error;

	*byte ^= 0x10;
	input->stream_errno = 0;
	i_stream_seek(input, 0);
	/* age cannot tell it from a cut in its last chunk */
	error = test_read_all(input, out);
	if (error != EINVAL && error != EPIPE)
		fail_msg("%s: %s", what, i_stream_get_error(input));
	*byte ^= 0x10;
	buffer_free(&out);
}

/* The codec has no error any more, be it to go on or to tell the next one. */
static void test_seeking_back_forgets_an_error(void **state ATTR_UNUSED)
{
	buffer_t *encoded, *out = buffer_create_dynamic(default_pool, 1024);
	struct istream *source, *input, *fresh;
	const struct test_codec *codec;
	unsigned char *data, *last;
	size_t size;

	TEST_EACH_CODEC(codec) {
		if (!codec->checksum)
			continue;
		size = 200000;
		data = test_codec_plain(codec, &size);
		encoded = test_codec_encode(codec, data, size);
		last = (unsigned char *)encoded->data + encoded->used - 2;
		source =
			i_stream_create_from_data(encoded->data, encoded->used);
		input = i_stream_create_transform(source, codec->decoder());
		fresh = i_stream_create_transform(source, codec->decoder());
		read_damaged(input, last - encoded->used / 2, codec->name);
		read_damaged(input, last, codec->name);
		read_damaged(fresh, last, codec->name);
		assert_string_equal(i_stream_get_error(input),
				    i_stream_get_error(fresh));
		input->stream_errno = 0;
		i_stream_seek(input, 0);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(input, out), 0);
		test_codec_must_give(data, size, out, codec->name);
		i_stream_destroy(&fresh);
		i_stream_destroy(&input);
		i_stream_destroy(&source);
		buffer_free(&encoded);
		free(data);
	}
	buffer_free(&out);
}

/* What was born failed stays so, and so do its words. */
static void test_going_back_mends_no_setting(void **state ATTR_UNUSED)
{
	struct istream *source = i_stream_create_from_data("x", 1);
	struct istream *input = i_stream_create_transform(
		source,
		transform_create_error("gzip", TRANSFORM_DECODER, ENOTSUP,
				       "not in this build"));
	uoff_t size;
	int i;

	for (i = 0; i < 2; i++) {
		assert_int_equal(i_stream_get_size(input, true, &size), -1);
		assert_int_equal(input->stream_errno, ENOTSUP);
		input->stream_errno = 0;
		assert_int_equal(i_stream_read(input), -1);
		assert_int_equal(input->stream_errno, ENOTSUP);
		assert_non_null(
			strstr(i_stream_get_error(input), "not in this build"));
		input->stream_errno = 0;
	}
	i_stream_destroy(&input);
	i_stream_destroy(&source);
}

static void test_limits_stop_bombs(void **state ATTR_UNUSED)
{
	struct istream *source, *input;
	buffer_t *encoded, *out;
	unsigned char *zeros = test_data(TEST_DATA_ZEROS, 4 << 20);
	const struct test_codec *codec = &test_codecs[0];

	encoded = test_codec_encode(codec, zeros, 4 << 20);
	out = buffer_create_dynamic(default_pool, 1024);
	source = i_stream_create_from_data(encoded->data, encoded->used);
	input = i_stream_create_transform(source, codec->decoder());
	i_stream_transform_set_limits(input, 100000, 0);
	assert_int_equal(test_read_all(input, out), EFBIG);
	assert_int_equal(out->used, 100000);
	i_stream_destroy(&input);
	i_stream_seek(source, 0);
	input = i_stream_create_transform(source, codec->decoder());
	i_stream_transform_set_limits(input, 0, 50);
	assert_int_equal(test_read_all(input, out), EFBIG);
	i_stream_destroy(&input);
	i_stream_seek(source, 0);
	/* exactly as much as is allowed */
	buffer_set_used_size(out, 0);
	input = i_stream_create_transform(source, codec->decoder());
	i_stream_transform_set_limits(input, 4 << 20, 0);
	assert_int_equal(test_read_all(input, out), 0);
	assert_int_equal(out->used, 4 << 20);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&encoded);
	buffer_free(&out);
	free(zeros);
}

static void test_limits_of_another_stream(void **state ATTR_UNUSED)
{
	struct istream *source = i_stream_create_from_data("abc", 3);
	struct istream *noop = i_stream_create_noop(source);

	EXPECT_PANIC("set_limits",
		     i_stream_transform_set_limits(source, 1000, 10));
	EXPECT_PANIC("set_limits",
		     i_stream_transform_set_limits(noop, 1000, 10));
	i_stream_destroy(&noop);
	i_stream_destroy(&source);
}

/* Of what cannot go back nobody reads on to its end to know it; and who takes an estimate
   does not have anybody read at all. */
static void test_asking_for_the_size(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *encoded;
	const struct test_codec *codec;
	struct istream *source, *once, *s;
	struct istream_chain *chain;
	unsigned char *data;
	unsigned int exact;
	uoff_t length;
	size_t size;

	TEST_EACH_CODEC(codec) {
		size = 5000;
		data = test_codec_plain(codec, &size);
		encoded = test_codec_encode(codec, data, size);
		source =
			i_stream_create_from_data(encoded->data, encoded->used);
		s = i_stream_create_transform(source, codec->decoder());
		assert_true(i_stream_get_size(s, false, &length) >= 0);
		assert_int_equal(source->v_offset, 0);
		i_stream_destroy(&s);
		for (exact = 0; exact < 2; exact++) {
			i_stream_seek(source, 0);
			once = i_stream_create_chain(&chain, 0);
			i_stream_chain_append(chain, source);
			i_stream_chain_append_eof(chain);
			assert_false(once->seekable);
			s = i_stream_create_transform(once, codec->decoder());
			assert_int_equal(
				i_stream_get_size(s, exact == 1, &length), 0);
			assert_int_equal(s->v_offset, 0);
			buffer_set_used_size(out, 0);
			assert_int_equal(test_read_all(s, out), 0);
			test_codec_must_give(data, size, out, "the rest");
			i_stream_destroy(&s);
			i_stream_destroy(&once);
		}
		i_stream_destroy(&source);
		buffer_free(&encoded);
		free(data);
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small_reads),
		cmocka_unit_test(test_pull_encoding),
		cmocka_unit_test(test_data_behind_the_end),
		cmocka_unit_test(test_random_seeks),
		cmocka_unit_test(test_seeking_back_forgets_an_error),
		cmocka_unit_test(test_going_back_mends_no_setting),
		cmocka_unit_test(test_limits_stop_bombs),
		cmocka_unit_test(test_limits_of_another_stream),
		cmocka_unit_test(test_asking_for_the_size),
	};

	return cmocka_run_group_tests_name("transforms-input", tests,
					   test_fixed_keys_setup,
					   test_keys_teardown);
}
