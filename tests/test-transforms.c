/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What holds of every codec: its data comes back, damage of it is found, and nothing is
   left of who had its context before. */

#include "config.h"
#include "stream-kinds.h"
#include "test-codec-common.h"

#include <errno.h>
#include <stdlib.h>

/* That the encoded data is one unit and nothing behind it. */
static void must_be_one_unit(const struct test_codec *codec,
			     const buffer_t *encoded)
{
	struct istream *source, *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);

	source = i_stream_create_from_data(encoded->data, encoded->used);
	input = i_stream_create_transform(source, codec->decoder());
	assert_int_equal(test_read_all(input, out), 0);
	assert_int_equal(source->v_offset, encoded->used);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&out);
}

static void test_round_trip_sizes(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0,     1,      2,      3,
					100,   4095,   65535,  65536,
					65537, 131072, 300000, 1048577 };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *encoded;
	const struct test_codec *codec;
	unsigned char *data;
	size_t size, i;

	TEST_EACH_CODEC(codec) {
		for (i = 0; i < N_ELEMENTS(sizes); i++) {
			size = sizes[i];
			data = test_codec_plain(codec, &size);
			encoded = test_codec_encode(codec, data, size);
			assert_int_equal(test_codec_decode(codec, encoded->data,
							   encoded->used, out),
					 0);
			test_codec_must_give(data, size, out, "round trip");
			must_be_one_unit(codec, encoded);
			buffer_free(&encoded);
			free(data);
		}
	}
	buffer_free(&out);
}

static void test_every_truncation_is_an_error(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *encoded;
	const struct test_codec *codec;
	unsigned char *data;
	size_t size, cut;
	int ret;

	TEST_EACH_CODEC(codec) {
		if (codec->no_end)
			continue;
		size = 1000;
		data = test_codec_plain(codec, &size);
		encoded = test_codec_encode(codec, data, size);
		for (cut = 0; cut + codec->optional_end < encoded->used;
		     cut += TEST_STEP) {
			ret = test_codec_decode(codec, encoded->data, cut, out);
			if (ret != EPIPE)
				fail_msg("%s cut at %zu of %zu: errno %d",
					 codec->name, cut, encoded->used, ret);
			assert_true(out->used <= size);
			assert_true(out->used == 0 ||
				    memcmp(out->data, data, out->used) == 0);
		}
		buffer_free(&encoded);
		free(data);
	}
	buffer_free(&out);
}

static void test_every_flipped_bit_is_found(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *encoded;
	const struct test_codec *codec;
	unsigned char *data, *damaged;
	size_t size, bit;
	int ret;

	TEST_EACH_CODEC(codec) {
		if (!codec->checksum)
			continue;
		size = 300;
		data = test_codec_plain(codec, &size);
		encoded = test_codec_encode(codec, data, size);
		damaged = malloc(encoded->used);
		assert_non_null(damaged);
		for (bit = 0; bit < encoded->used * 8; bit += TEST_STEP) {
			memcpy(damaged, encoded->data, encoded->used);
			damaged[bit / 8] ^= (unsigned char)(1 << bit % 8);
			ret = test_codec_decode(codec, damaged, encoded->used,
						out);
			/* a few header bits mean nothing to the data */
			if (ret == 0)
				test_codec_must_give(data, size, out,
						     "flipped bit");
			else
				assert_true(ret == EINVAL || ret == EPIPE ||
					    ret == ENOKEY);
		}
		free(damaged);
		buffer_free(&encoded);
		free(data);
	}
	buffer_free(&out);
}

/*
 * Codecs that break the rules: an error, never a loop without an end
 */

struct bad_codec {
	struct transform transform;
	enum transform_status answer;
};

static enum transform_status bad_process(struct transform *t,
					 struct transform_io *io ATTR_UNUSED,
					 enum transform_op op ATTR_UNUSED)
{
	return container_of(t, struct bad_codec, transform)->answer;
}

static void bad_reset(struct transform *t ATTR_UNUSED)
{
}

static void bad_free(struct transform *t)
{
	free(container_of(t, struct bad_codec, transform));
}

static const struct transform_class bad_classes[] = {
	{ .name = "bad",
	  .min_out = 1,
	  .process = bad_process,
	  .reset = bad_reset,
	  .free = bad_free },
	{ .name = "bad",
	  .flags = TRANSFORM_DECODER | TRANSFORM_EXACT,
	  .min_out = 1,
	  .process = bad_process,
	  .reset = bad_reset,
	  .free = bad_free },
};

static struct transform *bad_codec(bool decoder, enum transform_status answer)
{
	struct bad_codec *bad = calloc(1, sizeof(*bad));

	assert_non_null(bad);
	bad->transform.class_ = &bad_classes[decoder ? 1 : 0];
	bad->answer = answer;
	return &bad->transform;
}

static void test_no_progress_is_an_error(void **state ATTR_UNUSED)
{
	/* needs input and leaves it; needs room and has it; is done when it
	   was not asked to be; speaks the other direction's words */
	static const enum transform_status answers[2][4] = {
		{ TRANSFORM_NEED_IN, TRANSFORM_NEED_OUT, TRANSFORM_DONE,
		  TRANSFORM_END },
		{ TRANSFORM_NEED_IN, TRANSFORM_NEED_OUT, TRANSFORM_DONE,
		  TRANSFORM_DONE }
	};
	buffer_t *buf = buffer_create_dynamic(default_pool, 16), *out;
	struct ostream *sink = o_stream_create_buffer(buf), *output;
	struct istream *source, *input;
	unsigned int i, d;

	out = buffer_create_dynamic(default_pool, 16);
	for (d = 0; d < 2; d++) {
		for (i = 0; i < N_ELEMENTS(answers[d]); i++) {
			output = o_stream_create_transform(
				sink, bad_codec(d > 0, answers[d][i]));
			o_stream_nsend(output, "data", 4);
			assert_int_equal(o_stream_finish(output), -1);
			assert_int_equal(output->stream_errno, EIO);
			assert_non_null(strstr(o_stream_get_error(output),
					       "no progress"));
			o_stream_destroy(&output);

			source = i_stream_create_from_data("data", 4);
			input = i_stream_create_transform(
				source, bad_codec(d > 0, answers[d][i]));
			assert_int_equal(test_read_all(input, out), EIO);
			assert_int_equal(out->used, 0);
			i_stream_destroy(&input);
			i_stream_destroy(&source);
		}
	}
	o_stream_destroy(&sink);
	buffer_free(&buf);
	buffer_free(&out);
}

/* Contexts are used again (transform-cache.h), wherever their last user stopped:
   nothing of his data, nor of what was to follow it, is left. */
static void test_reset_forgets_everything(void **state ATTR_UNUSED)
{
	buffer_t *want, *out = buffer_create_dynamic(default_pool, 1024);
	struct transform *encoder, *decoder;
	const struct test_codec *codec;
	unsigned char *data;
	size_t size, cut;

	TEST_EACH_CODEC(codec) {
		size = 300;
		data = test_codec_plain(codec, &size);
		want = test_codec_encode(codec, data, size);
		encoder = codec->encoder();
		decoder = codec->decoder();
		for (cut = 0; cut <= want->used; cut += 7) {
			(void)test_process(encoder, data, I_MIN(cut, size),
					   cut % 2 == 0 ? TRANSFORM_RUN :
							  TRANSFORM_SYNC,
					   out, NULL);
			encoder->class_->reset(encoder);
			buffer_set_used_size(out, 0);
			(void)test_process(encoder, data, size, TRANSFORM_RUN,
					   out, NULL);
			assert_int_equal(test_process(encoder, NULL, 0,
						      TRANSFORM_FINISH, out,
						      NULL),
					 TRANSFORM_DONE);
			test_codec_must_give(want->data, want->used, out,
					     "encoded");
			encoder->class_->reset(encoder);

			(void)test_process(decoder, want->data, cut,
					   TRANSFORM_RUN, out, NULL);
			decoder->class_->reset(decoder);
			buffer_set_used_size(out, 0);
			assert_int_equal(
				test_process(decoder, want->data, want->used,
					     TRANSFORM_FINISH, out, NULL),
				TRANSFORM_END);
			test_codec_must_give(data, size, out, "decoded");
			decoder->class_->reset(decoder);
		}
		transform_free(&encoder);
		transform_free(&decoder);
		buffer_free(&want);
		free(data);
	}
	buffer_free(&out);
}

static bool is_tested(const char *name)
{
	const struct test_codec *codec;

	TEST_EACH_CODEC(codec) {
		if (strcmp(codec->name, name) == 0)
			return true;
	}
	return false;
}

static void test_every_registered_transform_is_here(void **state ATTR_UNUSED)
{
	const struct stream_kind *kind;
	unsigned int i;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		/* "lf" is crlf, the other way round */
		if (kind->role == STREAM_ROLE_TRANSFORM &&
		    (kind->flags & STREAM_KIND_MISSING) == 0 &&
		    strcmp(kind->name, "lf") != 0 && !is_tested(kind->name))
			fail_msg("%s is missing from this suite", kind->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_registered_transform_is_here),
		cmocka_unit_test(test_round_trip_sizes),
		cmocka_unit_test(test_every_truncation_is_an_error),
		cmocka_unit_test(test_every_flipped_bit_is_found),
		cmocka_unit_test(test_no_progress_is_an_error),
		cmocka_unit_test(test_reset_forgets_everything),
	};

	return cmocka_run_group_tests_name(
		"transforms", tests, test_fixed_keys_setup, test_keys_teardown);
}
