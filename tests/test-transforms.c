/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The suite over all transforms: every behaviour of the two adapters, for every
   codec and both directions. A new codec is a row in the table. */

#include "config.h"
#include "age-keys.h"
#include "stream-kinds.h"
#include "test-stream-common.h"
#include "transform-age.h"
#include "transforms.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

struct codec {
	const char *name;
	struct transform *(*encoder)(void);
	struct transform *(*decoder)(void);
	/* every flipped bit of the encoded data is found */
	bool checksum;
	/* the data may be cut anywhere without notice */
	bool no_end;
	/* text is decoded as it was: false for what changes line ends */
	bool exact_text;
	/* bytes at the end that may be missing: a last line end */
	size_t optional_end;
};

static struct transform *gzip_encoder(void)
{
	return transform_create_gzip_encoder(6);
}
static struct transform *zlib_encoder(void)
{
	return transform_create_zlib_encoder(6);
}
static struct transform *deflate_encoder(void)
{
	return transform_create_deflate_encoder(6);
}
static struct transform *lz4_encoder(void)
{
	return transform_create_lz4_encoder(1);
}
#ifdef HAVE_ZSTD
static struct transform *zstd_encoder(void)
{
	return transform_create_zstd_encoder(3);
}
static struct transform *zstd_threads_encoder(void)
{
	return transform_create_zstd_threads_encoder(1, 2);
}
#endif
#ifdef HAVE_BZIP2
static struct transform *bzip2_encoder(void)
{
	return transform_create_bzip2_encoder(9);
}
#endif
#ifdef HAVE_LZMA
static struct transform *xz_encoder(void)
{
	return transform_create_xz_encoder(0);
}
static struct transform *lzma_encoder(void)
{
	return transform_create_lzma_encoder(0);
}
#endif
static struct transform *dot_encoder(void)
{
	return transform_create_dot_encoder(true);
}
static struct transform *dot_decoder(void)
{
	return transform_create_dot_decoder(TRANSFORM_DOT_TRIM_TRAIL);
}
static struct transform *base64_encoder(void)
{
	return transform_create_base64_encoder(76);
}

static struct transform *base64url_encoder(void)
{
	return transform_create_base64url_encoder(0);
}

static struct transform *qp_encoder(void)
{
	return transform_create_qp_encoder(false);
}
static struct transform *qp_decoder(void)
{
	return transform_create_qp_decoder(false);
}

static struct transform *async_gzip_encoder(void)
{
	return transform_create_async(gzip_encoder());
}
static struct transform *async_gzip_decoder(void)
{
	return transform_create_async(transform_create_gzip_decoder());
}
static struct transform *async_lz4_encoder(void)
{
	return transform_create_async(lz4_encoder());
}
static struct transform *async_lz4_decoder(void)
{
	return transform_create_async(transform_create_lz4_decoder());
}
static struct transform *async_armor_encoder(void)
{
	return transform_create_async(transform_create_armor_encoder());
}
static struct transform *async_armor_decoder(void)
{
	return transform_create_async(transform_create_armor_decoder());
}

static struct transform *age_encoder(void)
{
	return transform_create_age_encoder(test_keys.recipients);
}
static struct transform *age_decoder(void)
{
	return transform_create_age_decoder(test_keys.identities);
}
static struct transform *age_threads_encoder(void)
{
	return transform_create_age_threads_encoder(test_keys.recipients, 2);
}
static struct transform *age_threads_decoder(void)
{
	return transform_create_age_threads_decoder(test_keys.identities, 2);
}
static struct transform *async_age_encoder(void)
{
	return transform_create_async(age_threads_encoder());
}
static struct transform *async_age_decoder(void)
{
	return transform_create_async(age_threads_decoder());
}

static const struct codec codecs[] = {
	{ "gzip", gzip_encoder, transform_create_gzip_decoder, true, false,
	  true, 0 },
	{ "zlib", zlib_encoder, transform_create_zlib_decoder, true, false,
	  true, 0 },
	{ "deflate", deflate_encoder, transform_create_deflate_decoder, false,
	  false, true, 0 },
	{ "lz4", lz4_encoder, transform_create_lz4_decoder, true, false, true,
	  0 },
	{ "dovecot_lz4", transform_create_dovecot_lz4_encoder,
	  transform_create_dovecot_lz4_decoder, false, true, true, 0 },
#ifdef HAVE_ZSTD
	{ "zstd", zstd_encoder, transform_create_zstd_decoder, true, false,
	  true, 0 },
	{ "zstd, threads", zstd_threads_encoder, transform_create_zstd_decoder,
	  true, false, true, 0 },
#endif
#ifdef HAVE_BZIP2
	{ "bzip2", bzip2_encoder, transform_create_bzip2_decoder, true, false,
	  true, 0 },
#endif
#ifdef HAVE_LZMA
	{ "xz", xz_encoder, transform_create_xz_decoder, true, false, true, 0 },
	{ "lzma", lzma_encoder, transform_create_lzma_decoder, false, false,
	  true, 0 },
#endif
	{ "dot", dot_encoder, dot_decoder, false, false, false, 0 },
	{ "hex", transform_create_hex_encoder, transform_create_hex_decoder,
	  false, true, true, 0 },
	{ "json", transform_create_json_encoder, transform_create_json_decoder,
	  false, true, true, 0 },
	{ "base64", base64_encoder, transform_create_base64_decoder, false,
	  true, true, 0 },
	{ "base64url", base64url_encoder, transform_create_base64url_decoder,
	  false, true, true, 0 },
	{ "qp", qp_encoder, qp_decoder, false, true, true, 0 },
	{ "crlf", transform_create_crlf_encoder, transform_create_crlf_decoder,
	  false, true, true, 0 },
	{ "armor", transform_create_armor_encoder,
	  transform_create_armor_decoder, false, false, true, 1 },
	{ "gzip, async", async_gzip_encoder, async_gzip_decoder, true, false,
	  true, 0 },
	{ "lz4, async", async_lz4_encoder, async_lz4_decoder, true, false, true,
	  0 },
	{ "armor, async", async_armor_encoder, async_armor_decoder, false,
	  false, true, 1 },
	{ "age", age_encoder, age_decoder, true, false, true, 0 },
	{ "age, 2 threads", age_threads_encoder, age_threads_decoder, true,
	  false, true, 0 },
	{ "age, 2 threads, async", async_age_encoder, async_age_decoder, true,
	  false, true, 0 },
};

/* Lets each codec's row say its name when something fails. */
#define FOR_EACH_CODEC(c)                                                     \
	for (c = codecs;                                                      \
	     c < codecs + N_ELEMENTS(codecs) && (print_codec(c->name), true); \
	     c++)

static const char *current_codec = "";

static void print_codec(const char *name)
{
	current_codec = name;
}

static void same_bytes(const void *data, size_t size, const buffer_t *buf,
		       const char *what)
{
	if (buf->used != size || memcmp(buf->data, data, size) != 0)
		fail_msg("%s, %s: %zu bytes wanted, %zu bytes had",
			 current_codec, what, size, buf->used);
}

/* Data that the codec gives back as it was: mail text. For the line end codecs
   the plain form has their own line ends. */
static unsigned char *plain_for(const struct codec *codec, size_t *size)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, *size), *crlf;
	size_t i, n = 0;

	if (codec->exact_text)
		return data;
	crlf = calloc(2, *size + 1);
	assert_non_null(crlf);
	for (i = 0; i < *size; i++) {
		if (data[i] == '\n')
			crlf[n++] = '\r';
		crlf[n++] = data[i];
	}
	free(data);
	*size = n;
	return crlf;
}

static buffer_t *encode(const struct codec *codec, const void *data,
			size_t size)
{
	return test_encode(codec->encoder(), data, size);
}

static int decode(const struct codec *codec, const void *data, size_t size,
		  buffer_t *out)
{
	return test_decode(codec->decoder(), data, size, out);
}

/* That the encoded data is one unit and nothing behind it. */
static void must_be_one_unit(const struct codec *codec, const buffer_t *encoded)
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
	const struct codec *codec;
	unsigned char *data;
	size_t size, i;

	FOR_EACH_CODEC(codec)
	{
		for (i = 0; i < N_ELEMENTS(sizes); i++) {
			size = sizes[i];
			data = plain_for(codec, &size);
			encoded = encode(codec, data, size);
			assert_int_equal(decode(codec, encoded->data,
						encoded->used, out),
					 0);
			same_bytes(data, size, out, "round trip");
			must_be_one_unit(codec, encoded);
			buffer_free(&encoded);
			free(data);
		}
	}
	buffer_free(&out);
}

static void test_parent_takes_little_by_little(void **state ATTR_UNUSED)
{
	static const size_t steps[] = { 1, 2, 3, 7, 64 };
	const struct codec *codec;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	buffer_t *want;
	size_t size, i, sent;
	ssize_t ret;

	FOR_EACH_CODEC(codec)
	{
		size = 3000;
		data = plain_for(codec, &size);
		want = encode(codec, data, size);
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
			same_bytes(want->data, want->used, sink->data,
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
	const struct codec *codec;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	buffer_t *want;
	size_t size, room;
	int ret, tries;

	FOR_EACH_CODEC(codec)
	{
		size = 500;
		data = plain_for(codec, &size);
		want = encode(codec, data, size);
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
			same_bytes(want->data, want->used, sink->data,
				   "full parent");
			o_stream_destroy(&output);
			(void)o_stream_finish(sink->stream);
			test_sink_free(&sink);
		}
		buffer_free(&want);
		free(data);
	}
}

static void test_small_reads(void **state ATTR_UNUSED)
{
	static const struct {
		size_t step;
		bool pauses;
		size_t max_buffer;
	} ways[] = { { 1, false, 0 },     { 1, true, 1 },    { 3, true, 2 },
		     { 65536, false, 1 }, { 100, false, 7 }, { 5, true, 512 } };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *encoded;
	const struct codec *codec;
	unsigned char *data;
	size_t size, i;

	FOR_EACH_CODEC(codec)
	{
		size = 5000;
		data = plain_for(codec, &size);
		encoded = encode(codec, data, size);
		for (i = 0; i < N_ELEMENTS(ways); i++) {
			assert_int_equal(
				test_decode_step(codec->decoder(),
						 encoded->data, encoded->used,
						 ways[i].step, ways[i].pauses,
						 ways[i].max_buffer, out),
				0);
			same_bytes(data, size, out, "small reads");
		}
		buffer_free(&encoded);
		free(data);
	}
	buffer_free(&out);
}

static void test_every_truncation_is_an_error(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *encoded;
	const struct codec *codec;
	unsigned char *data;
	size_t size, cut;
	int ret;

	FOR_EACH_CODEC(codec)
	{
		if (codec->no_end)
			continue;
		size = 1000;
		data = plain_for(codec, &size);
		encoded = encode(codec, data, size);
		for (cut = 0; cut + codec->optional_end < encoded->used;
		     cut += TEST_STEP) {
			ret = decode(codec, encoded->data, cut, out);
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
	const struct codec *codec;
	unsigned char *data, *damaged;
	size_t size, bit;
	int ret;

	FOR_EACH_CODEC(codec)
	{
		if (!codec->checksum)
			continue;
		size = 300;
		data = plain_for(codec, &size);
		encoded = encode(codec, data, size);
		damaged = malloc(encoded->used);
		assert_non_null(damaged);
		for (bit = 0; bit < encoded->used * 8; bit += TEST_STEP) {
			memcpy(damaged, encoded->data, encoded->used);
			damaged[bit / 8] ^= (unsigned char)(1 << bit % 8);
			ret = decode(codec, damaged, encoded->used, out);
			/* a few header bits mean nothing to the data */
			if (ret == 0)
				same_bytes(data, size, out, "flipped bit");
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

static void test_flush_makes_all_decodable(void **state ATTR_UNUSED)
{
	const struct codec *codec;
	struct transform *encoder;
	struct test_sink *sink;
	struct ostream *output;
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	unsigned char *data;
	size_t size, part, sent, used;
	bool can_sync;

	FOR_EACH_CODEC(codec)
	{
		encoder = codec->encoder();
		can_sync = (encoder->class_->flags & TRANSFORM_CAN_SYNC) != 0;
		size = 2000;
		data = plain_for(codec, &size);
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
			assert_int_equal(decode(codec, sink->data->data,
						sink->data->used, out),
					 codec->no_end ? 0 : EPIPE);
			same_bytes(data, sent + part, out, "after a flush");
		}
		assert_int_equal(o_stream_finish(output), 1);
		assert_int_equal(decode(codec, sink->data->data,
					sink->data->used, out),
				 0);
		same_bytes(data, size, out, "flushed often");
		o_stream_destroy(&output);
		(void)o_stream_finish(sink->stream);
		test_sink_free(&sink);
		free(data);
	}
	buffer_free(&out);
}

static void test_check_makes_no_sync_point(void **state ATTR_UNUSED)
{
	const struct codec *codec;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	buffer_t *want;
	size_t size, sent;

	FOR_EACH_CODEC(codec)
	{
		size = 2000;
		data = plain_for(codec, &size);
		want = encode(codec, data, size);
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
	const struct codec *codec;
	struct ostream *sink, *output;
	unsigned char *data;
	buffer_t *encoded, *out;
	size_t size, pos;

	FOR_EACH_CODEC(codec)
	{
		size = 3000;
		data = plain_for(codec, &size);
		encoded = encode(codec, data, size);
		out = buffer_create_dynamic(default_pool, 1024);
		sink = o_stream_create_buffer(out);
		output = o_stream_create_transform(sink, codec->decoder());
		for (pos = 0; pos < encoded->used; pos++)
			o_stream_nsend(output, encoded->data + pos, 1);
		assert_int_equal(o_stream_finish(output), 1);
		o_stream_destroy(&output);
		o_stream_destroy(&sink);
		same_bytes(data, size, out, "pushed");
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

/* age's last chunk ends where the input does: what is behind it damages it. */
static bool ends_with_input(const struct codec *codec)
{
	return strncmp(codec->name, "age", 3) == 0;
}

/* What was good before the error is given out first, however little of it the parent
   takes at a time. */
static void test_pushed_data_comes_before_the_error(void **state ATTR_UNUSED)
{
	const struct codec *codec;
	struct transform *decoder;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	buffer_t *encoded;
	size_t size, i;

	FOR_EACH_CODEC(codec)
	{
		decoder = codec->decoder();
		if ((decoder->class_->flags & TRANSFORM_UNFRAMED) != 0 ||
		    ends_with_input(codec)) {
			transform_free(&decoder);
			continue;
		}
		size = 500;
		data = plain_for(codec, &size);
		encoded = encode(codec, data, size);
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
		same_bytes(data, size, sink->data, "before the error");
		o_stream_destroy(&output);
		test_sink_free(&sink);
		buffer_free(&encoded);
		free(data);
	}
}

static void test_pull_encoding(void **state ATTR_UNUSED)
{
	const struct codec *codec;
	struct istream *source, *middle, *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	unsigned char *data;
	size_t size;

	FOR_EACH_CODEC(codec)
	{
		size = 100000;
		data = plain_for(codec, &size);
		source = test_trickle_create(data, size, 1000, true);
		middle = i_stream_create_transform(source, codec->encoder());
		input = i_stream_create_transform(middle, codec->decoder());
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(input, out), 0);
		same_bytes(data, size, out, "encoded while reading");
		i_stream_destroy(&input);
		i_stream_destroy(&middle);
		i_stream_destroy(&source);
		free(data);
	}
	buffer_free(&out);
}

/* What follows a unit, by the class's flags. */
static void test_data_behind_the_end(void **state ATTR_UNUSED)
{
	static const char garbage[] = "garbage";
	const struct codec *codec;
	struct transform *decoder;
	unsigned int flags;
	struct istream *source, *input;
	buffer_t *encoded, *twice, *out;
	unsigned char *data;
	size_t size;
	int ret;

	out = buffer_create_dynamic(default_pool, 1024);
	FOR_EACH_CODEC(codec)
	{
		decoder = codec->decoder();
		flags = decoder->class_->flags;
		transform_free(&decoder);
		if ((flags & TRANSFORM_UNFRAMED) != 0 || ends_with_input(codec))
			continue;
		size = 1000;
		data = plain_for(codec, &size);
		encoded = encode(codec, data, size);
		twice = buffer_create_dynamic(default_pool, 1024);
		buffer_append(twice, encoded->data, encoded->used);
		buffer_append(twice, encoded->data, encoded->used);
		ret = decode(codec, twice->data, twice->used, out);
		if ((flags & TRANSFORM_MEMBERS) != 0) {
			assert_int_equal(ret, 0);
			assert_int_equal(out->used, 2 * size);
		} else {
			assert_int_equal(out->used, size);
			assert_int_equal(
				ret,
				(flags & TRANSFORM_EXACT) != 0 ? EINVAL : 0);
		}
		buffer_set_used_size(twice, encoded->used);
		buffer_append(twice, garbage, sizeof(garbage));
		source = i_stream_create_from_data(twice->data, twice->used);
		input = i_stream_create_transform(source, codec->decoder());
		buffer_set_used_size(out, 0);
		ret = test_read_all(input, out);
		same_bytes(data, size, out, "before garbage");
		if ((flags & TRANSFORM_STOP) != 0) {
			assert_int_equal(ret, 0);
			assert_int_equal(source->v_offset, encoded->used);
		} else {
			assert_int_equal(ret, EINVAL);
			assert_non_null(strstr(i_stream_get_error(input),
					       "data after the end"));
		}
		i_stream_destroy(&input);
		i_stream_destroy(&source);
		/* a cut magic is a truncation */
		if ((flags & TRANSFORM_MEMBERS) != 0)
			assert_int_equal(decode(codec, twice->data,
						encoded->used, out),
					 0);
		buffer_set_used_size(twice, encoded->used);
		buffer_append(twice, encoded->data, 1);
		if ((flags & TRANSFORM_MEMBERS) != 0)
			assert_int_equal(decode(codec, twice->data, twice->used,
						out),
					 EPIPE);
		buffer_free(&twice);
		buffer_free(&encoded);
		free(data);
	}
	buffer_free(&out);
}

static void test_random_seeks(void **state ATTR_UNUSED)
{
	const struct codec *codec;
	struct istream *source, *input;
	const unsigned char *got;
	unsigned char *data;
	uint32_t seed = 12345;
	buffer_t *encoded;
	size_t size, have;
	uoff_t offset, total;
	unsigned int i;

	FOR_EACH_CODEC(codec)
	{
		size = 200000;
		data = plain_for(codec, &size);
		encoded = encode(codec, data, size);
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
	const struct codec *codec;
	unsigned char *data, *last;
	size_t size;

	FOR_EACH_CODEC(codec)
	{
		if (!codec->checksum)
			continue;
		size = 200000;
		data = plain_for(codec, &size);
		encoded = encode(codec, data, size);
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
		same_bytes(data, size, out, codec->name);
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
	const struct codec *codec = &codecs[0];

	encoded = encode(codec, zeros, 4 << 20);
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
	const struct codec *codec;
	struct test_sink *sink;
	struct ostream *output;
	unsigned char *data;
	size_t avail, size;

	FOR_EACH_CODEC(codec)
	{
		size = 10000;
		data = plain_for(codec, &size);
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
	const struct codec *codec;
	struct ostream *null, *bad, *output;
	unsigned char *data;
	size_t size, at;

	FOR_EACH_CODEC(codec)
	{
		size = 3000;
		data = plain_for(codec, &size);
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

/* Also where the send before it took bytes: nothing waits for a stream that has
   failed. */
static void test_parent_error_ends_send_istream(void **state ATTR_UNUSED)
{
	const struct codec *codec;
	struct ostream *null, *bad, *output;
	struct istream *input;
	unsigned char *data;
	size_t size;

	FOR_EACH_CODEC(codec)
	{
		size = 300000;
		data = plain_for(codec, &size);
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
	const struct codec *codec;
	unsigned char *data;
	size_t size, cut;

	FOR_EACH_CODEC(codec)
	{
		size = 300;
		data = plain_for(codec, &size);
		want = encode(codec, data, size);
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
			same_bytes(want->data, want->used, out, "encoded");
			encoder->class_->reset(encoder);

			(void)test_process(decoder, want->data, cut,
					   TRANSFORM_RUN, out, NULL);
			decoder->class_->reset(decoder);
			buffer_set_used_size(out, 0);
			assert_int_equal(
				test_process(decoder, want->data, want->used,
					     TRANSFORM_FINISH, out, NULL),
				TRANSFORM_END);
			same_bytes(data, size, out, "decoded");
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
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(codecs); i++) {
		if (strcmp(codecs[i].name, name) == 0)
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

/* Keys and nonces are always the same, so that files can be compared. */
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_registered_transform_is_here),
		cmocka_unit_test(test_round_trip_sizes),
		cmocka_unit_test(test_parent_takes_little_by_little),
		cmocka_unit_test(test_full_parent_at_finish_loses_nothing),
		cmocka_unit_test(test_small_reads),
		cmocka_unit_test(test_every_truncation_is_an_error),
		cmocka_unit_test(test_every_flipped_bit_is_found),
		cmocka_unit_test(test_flush_makes_all_decodable),
		cmocka_unit_test(test_check_makes_no_sync_point),
		cmocka_unit_test(test_push_decoding),
		cmocka_unit_test(test_pushed_data_comes_before_the_error),
		cmocka_unit_test(test_pull_encoding),
		cmocka_unit_test(test_data_behind_the_end),
		cmocka_unit_test(test_random_seeks),
		cmocka_unit_test(test_seeking_back_forgets_an_error),
		cmocka_unit_test(test_going_back_mends_no_setting),
		cmocka_unit_test(test_limits_stop_bombs),
		cmocka_unit_test(test_bad_settings_fail_with_a_text),
		cmocka_unit_test(test_unfinished_trailer_panics),
		cmocka_unit_test(test_send_of_avail_size_takes_all),
		cmocka_unit_test(test_parent_error_comes_up),
		cmocka_unit_test(test_parent_error_ends_send_istream),
		cmocka_unit_test(test_no_progress_is_an_error),
		cmocka_unit_test(test_reset_forgets_everything),
		cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests_name(
		"transforms", tests, test_fixed_keys_setup, test_keys_teardown);
}
