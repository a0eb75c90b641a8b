/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Recognising input by its first bytes, layer by layer. */

#include "config.h"
#include "age-keys.h"
#include "stack-detect.h"
#include "stack-spec.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>

/* The data through a stack. */
static buffer_t *encode(const char *text, const void *data, size_t size)
{
	struct stream_context context = { .recipients = test_keys.recipients };
	buffer_t *buf = buffer_create_dynamic(default_pool, 1024);
	struct ostream *end = o_stream_create_buffer(buf), *output;
	struct stack_spec *spec = test_stack_parse(text);

	output = stack_spec_create_output(spec, &context, end, NULL);
	o_stream_nsend(output, data, size);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_unref(&output);
	o_stream_unref(&end);
	stack_spec_free(&spec);
	return buf;
}

static struct istream *create_auto(struct istream *source)
{
	struct stream_context context = { .identities = test_keys.identities };

	return i_stream_create_auto(source, &context);
}

/* Which layers were found, the outermost first: "age zstd". */
static const char *found(struct istream *stream)
{
	static char text[256];
	struct istream *layer;
	unsigned int i;

	text[0] = '\0';
	for (i = 0; i < i_stream_auto_layer_count(stream); i++) {
		if (i > 0)
			strcat(text, " ");
		strcat(text, i_stream_auto_layer(stream, i, &layer)->name);
		assert_non_null(layer);
	}
	return text;
}

static const struct {
	const char *spec, *found;
} stacks[] = {
	{ "plain", "" },
	{ "gzip", "gzip" },
	{ "lz4", "lz4" },
	{ "dovecot_lz4", "dovecot_lz4" },
#ifdef HAVE_ZSTD
	{ "zstd", "zstd" },
	{ "zstd | age", "age zstd" },
	{ "gzip | lz4 | zstd | age", "age zstd lz4 gzip" },
#endif
#ifdef HAVE_BZIP2
	{ "bzip2", "bzip2" },
	{ "bzip2:1 | age", "age bzip2" },
#endif
#ifdef HAVE_LZMA
	{ "xz:0", "xz" },
	{ "xz:0 | age", "age xz" },
	{ "gzip | lzma:0", "" },
#endif
	{ "age", "age" },
	{ "gzip | age | armor", "armor age gzip" },
	{ "age | age | gzip | gzip", "gzip gzip age age" },
	/* no magic: what is below them is not seen */
	{ "gzip | zlib", "" },
	{ "gzip | deflate", "" },
	{ "hex | gzip", "gzip" },
};

/* What comes of the source, which is dropped. */
static void check_read(struct istream *source, const void *data, size_t size,
		       const char *layers, const char *what)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	struct istream *input = create_auto(source);
	int ret;

	i_stream_unref(&source);
	ret = test_read_all(input, out);

	if (ret != 0)
		fail_msg("%s: %s", what, i_stream_get_error(input));
	assert_string_equal(found(input), layers);
	if (out->used != size || memcmp(out->data, data, size) != 0)
		fail_msg("%s: %zu bytes wanted, %zu had", what, size,
			 out->used);
	i_stream_unref(&input);
	buffer_free(&out);
}

/* What auto should give for an encoded stack: the data, unless a layer without
   magic hides it. */
static buffer_t *expected(unsigned int i, const buffer_t *encoded,
			  const void *data, size_t size)
{
	buffer_t *buf;

	if (strcmp(stacks[i].spec, "hex | gzip") == 0)
		return encode("hex", data, size);
	buf = buffer_create_dynamic(default_pool, 1024);
	if (stacks[i].found[0] == '\0')
		buffer_append(buf, encoded->data, encoded->used);
	else
		buffer_append(buf, data, size);
	return buf;
}

static void test_every_stack(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 1, 21, 22, 23, 5000, 200000 };
	struct istream *source;
	buffer_t *encoded, *want;
	unsigned char *data;
	unsigned int i, j, mode;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		for (j = 0; j < N_ELEMENTS(sizes); j++) {
			data = test_data(TEST_DATA_TEXT, sizes[j]);
			encoded = encode(stacks[i].spec, data, sizes[j]);
			want = expected(i, encoded, data, sizes[j]);
			/* whole; byte by byte; with pauses */
			for (mode = 0; mode < 3; mode++) {
				if (mode > 0 && sizes[j] > 5000)
					continue;
				source = mode == 0 ?
					i_stream_create_from_data(
						encoded->data, encoded->used) :
					test_trickle_create(encoded->data,
							    encoded->used, 1,
							    mode == 2);
				check_read(source, want->data, want->used,
					   stacks[i].found, stacks[i].spec);
			}
			buffer_free(&encoded);
			buffer_free(&want);
			free(data);
		}
	}
}

/* A parent whose buffer cannot hold a magic. */
static void test_small_buffers(void **state ATTR_UNUSED)
{
	struct istream *source;
	buffer_t *encoded, *want;
	unsigned char *data = test_data(TEST_DATA_TEXT, 500);
	unsigned int i;
	size_t max;

	for (i = 0; i < N_ELEMENTS(stacks); i++) {
		encoded = encode(stacks[i].spec, data, 500);
		want = expected(i, encoded, data, 500);
		test_write_file(test_path("small"), encoded->data,
				encoded->used);
		for (max = 1; max < 40; max++) {
			source = i_stream_create_file(test_path("small"), max);
			check_read(source, want->data, want->used,
				   stacks[i].found, stacks[i].spec);
		}
		buffer_free(&encoded);
		buffer_free(&want);
	}
	free(data);
}

static void test_at_most_eight_layers(void **state ATTR_UNUSED)
{
	static const char eight[] = "gzip|gzip|gzip|gzip|gzip|gzip|gzip|gzip";
	buffer_t *one = encode("gzip", "hello", 5);
	buffer_t *nine = encode(eight, one->data, one->used);
	struct istream *source;

	source = i_stream_create_from_data(nine->data, nine->used);
	check_read(source, one->data, one->used,
		   "gzip gzip gzip gzip gzip gzip gzip gzip", "nine layers");
	buffer_free(&one);
	buffer_free(&nine);
}

static void append_skipped(buffer_t *buf, unsigned int number, size_t size)
{
	unsigned char head[8] = { (unsigned char)(0x50 + number),
				  0x2a,
				  0x4d,
				  0x18,
				  (unsigned char)size,
				  (unsigned char)(size >> 8) };

	buffer_append(buf, head, sizeof(head));
	while (size-- > 0)
		buffer_append_c(buf, 'x');
}

/* Frames that readers skip, as pzstd writes one first: zstd and lz4 begin behind them,
   as far as one looks. */
static void test_skipped_frames(void **state ATTR_UNUSED)
{
	static const struct {
		const char *spec;
		size_t sizes[3]; /* SIZE_MAX: none */
		const char *found;
	} rows[] = {
#ifdef HAVE_ZSTD
		{ "zstd", { 4, SIZE_MAX, SIZE_MAX }, "zstd" },
		{ "zstd", { 0, 80, 4 }, "zstd" },
		/* of 128 bytes the last four are the magic */
		{ "zstd", { 112, SIZE_MAX, SIZE_MAX }, "zstd" },
		{ "zstd", { 113, SIZE_MAX, SIZE_MAX }, "zstd" },
		{ "zstd", { 116, SIZE_MAX, SIZE_MAX }, "zstd" },
		{ "zstd", { 117, SIZE_MAX, SIZE_MAX }, "" },
		{ "zstd", { 108, 0, SIZE_MAX }, "zstd" },
		{ "zstd", { 109, 0, SIZE_MAX }, "" },
		{ "gzip | zstd", { 4, SIZE_MAX, SIZE_MAX }, "zstd gzip" },
#endif
		{ "lz4", { 4, SIZE_MAX, SIZE_MAX }, "lz4" },
		{ "lz4", { 30, 0, 40 }, "lz4" },
		{ "lz4", { 116, SIZE_MAX, SIZE_MAX }, "lz4" },
		{ "lz4", { 117, SIZE_MAX, SIZE_MAX }, "" },
		{ "lz4", { 65535, SIZE_MAX, SIZE_MAX }, "" },
		/* others have no such frames */
		{ "gzip", { 4, SIZE_MAX, SIZE_MAX }, "" },
		{ "plain", { 4, SIZE_MAX, SIZE_MAX }, "" },
		{ "plain", { 65535, SIZE_MAX, SIZE_MAX }, "" },
	};
	buffer_t *data, *encoded;
	struct istream *source;
	unsigned int i, j, mode;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		data = buffer_create_dynamic(default_pool, 1024);
		for (j = 0; j < 3 && rows[i].sizes[j] != SIZE_MAX; j++)
			append_skipped(data, i + j, rows[i].sizes[j]);
		encoded = encode(rows[i].spec, "hello", 5);
		buffer_append(data, encoded->data, encoded->used);
		test_write_file(test_path("skipped"), data->data, data->used);
		for (mode = 0; mode < 12; mode++) {
			source = mode < 2 ?
				test_trickle_create(data->data, data->used, 1,
						    mode == 1) :
				i_stream_create_file(test_path("skipped"),
						     mode * mode * mode);
			if (rows[i].found[0] == '\0')
				check_read(source, data->data, data->used, "",
					   rows[i].spec);
			else
				check_read(source, "hello", 5, rows[i].found,
					   rows[i].spec);
		}
		buffer_free(&encoded);
		buffer_free(&data);
	}
}

/* What only begins like a magic is text. */
static void test_beginnings_of_a_magic(void **state ATTR_UNUSED)
{
	static const struct {
		const char *data;
		size_t size;
	} texts[] = {
		{ "\x1f", 1 },
		{ "\x1f\x8b", 2 },
		{ "\x1f\x8b\x07xxxxxxxxxxxxxxxxxxxxxxxxxxx", 30 },
		{ "\x28\xb5\x2f", 3 },
		{ "\x28\xb5\x2f\xfexxxxxxxxxxxxxxxxxxxxxxxxxxx", 30 },
		{ "\x04\x22\x4d", 3 },
		{ "\x50\x2a\x4d\x18", 4 },
		{ "\x50\x2a\x4d\x18\1\0\0", 7 },
		{ "\x50\x2a\x4d\x18\1\0\0\0", 8 },
		{ "\x50\x2a\x4d\x18\1\0\0\0x\x28\xb5\x2f", 12 },
		{ "\x50\x2a\x4d\x18\xff\xff\xff\xff and so on", 18 },
		{ "\x40\x2a\x4d\x18\0\0\0\0\x28\xb5\x2f\xfd", 12 },
		{ "Dovecot-LZ4\r\x2a\x9b", 14 },
		{ "Dovecot-LZ4 is a format", 23 },
		{ "BZh", 3 },
		{ "BZh91AY&SX, that is no bzip2 file", 33 },
		{ "age-encryption.org/v1", 21 },
		{ "age-encryption.org/v2\nxxxxxxxxxxxxxx", 36 },
		{ "age-encryption.org/v1\r\n", 23 },
		{ "-----BEGIN AGE ENCRYPTED FILE-----", 34 },
		{ "-----BEGIN AGE ENCRYPTED FILE-----\r", 35 },
		{ "-----BEGIN AGE ENCRYPTED FILE-----\rx", 36 },
		{ "-----BEGIN AGE ENCRYPTED FILE----- is how it begins", 51 },
		{ "", 0 },
		{ "x", 1 },
	};
	struct istream *source;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(texts); i++) {
		source = test_trickle_create(texts[i].data, texts[i].size, 1,
					     true);
		check_read(source, texts[i].data, texts[i].size, "",
			   texts[i].data);
	}
}

static int read_auto(const void *data, size_t size,
		     const struct stream_context *context, buffer_t *out)
{
	struct istream *source = i_stream_create_from_data(data, size);
	struct istream *input = i_stream_create_auto(source, context);
	int ret;

	i_stream_unref(&source);
	buffer_set_used_size(out, 0);
	ret = test_read_all(input, out);
	i_stream_unref(&input);
	return ret;
}

static void test_damage_is_an_error(void **state ATTR_UNUSED)
{
	struct stream_context context = { .identities = test_keys.identities };
	struct age_identities *others = age_identities_new();
	unsigned char *data = test_data(TEST_DATA_TEXT, 70000);
	buffer_t *encoded = encode("gzip | age", data, 70000);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	size_t cut;

	/* from where the age magic is whole, less is a truncation */
	for (cut = 22; cut < encoded->used; cut += 97) {
		assert_int_equal(read_auto(encoded->data, cut, &context, out),
				 EPIPE);
		assert_true(out->used < 70000);
		assert_memory_equal(out->data, data, out->used);
	}
	/* no identity, and another one */
	assert_int_equal(read_auto(encoded->data, encoded->used, NULL, out),
			 ENOKEY);
	context.identities = others;
	assert_int_equal(read_auto(encoded->data, encoded->used, &context, out),
			 ENOKEY);
	assert_int_equal(out->used, 0);
	/* a byte behind the last chunk: its tag is looked for in another
	   place, and a cut chunk looks the same */
	context.identities = test_keys.identities;
	buffer_append(encoded, "x", 1);
	assert_int_equal(read_auto(encoded->data, encoded->used, &context, out),
			 EPIPE);
	buffer_free(&encoded);
	buffer_free(&out);
	free(data);
	age_identities_unref(&others);
}

static void test_seeking(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, 100000);
	buffer_t *encoded = encode("gzip | age", data, 100000);
	buffer_t *behind = buffer_create_dynamic(default_pool, 1024);
	struct istream *source, *input;
	const unsigned char *got;
	uint32_t seed = 99;
	uoff_t offset, total;
	size_t size;
	int i;

	/* the input begins where the source stands */
	buffer_append(behind, "12345", 5);
	buffer_append(behind, encoded->data, encoded->used);
	source = i_stream_create_from_data(behind->data, behind->used);
	i_stream_skip(source, 5);
	input = create_auto(source);
	for (i = 0; i < 100; i++) {
		offset = test_random(&seed) % 100000;
		i_stream_seek(input, offset);
		assert_int_equal(i_stream_read_more(input, &got, &size), 1);
		assert_memory_equal(got, data + offset, size);
	}
	assert_int_equal(i_stream_get_size(input, true, &total), 1);
	assert_int_equal(total, 100000);
	i_stream_unref(&input);
	i_stream_unref(&source);
	buffer_free(&encoded);
	buffer_free(&behind);
	free(data);
}

static void test_decompress(void **state ATTR_UNUSED)
{
	static const struct {
		const char *spec, *data;
		/* errno, and bytes, without and with TRY; SIZE_MAX: all of the
		   encoded ones */
		int error, try_error;
		size_t size, try_size;
	} cases[] = {
		{ "gzip", "hello", 0, 0, 5, 5 },
		{ "lz4", "", 0, 0, 0, 0 },
		{ "plain", "hello", EINVAL, 0, 0, 5 },
		{ "plain", "h", EINVAL, 0, 0, 1 },
		{ "plain", "", EPIPE, 0, 0, 0 },
		{ "zlib", "hello", EINVAL, 0, 0, SIZE_MAX },
		/* encryption is no compression */
		{ "age", "hello", EINVAL, 0, 0, SIZE_MAX },
		{ "age | armor", "hello", EINVAL, 0, 0, SIZE_MAX },
	};
	buffer_t *encoded, *out = buffer_create_dynamic(default_pool, 64);
	struct istream *source, *input;
	size_t size;
	unsigned int i;
	int try_plain;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		encoded = encode(cases[i].spec, cases[i].data,
				 strlen(cases[i].data));
		for (try_plain = 0; try_plain < 2; try_plain++) {
			source = i_stream_create_from_data(encoded->data,
							   encoded->used);
			input = i_stream_create_decompress(
				source,
				try_plain == 0 ? 0 :
						 ISTREAM_DECOMPRESS_FLAG_TRY);
			buffer_set_used_size(out, 0);
			assert_int_equal(test_read_all(input, out),
					 try_plain == 0 ? cases[i].error :
							  cases[i].try_error);
			size = try_plain == 0 ? cases[i].size :
						cases[i].try_size;
			assert_int_equal(out->used,
					 size == SIZE_MAX ? encoded->used :
							    size);
			i_stream_unref(&input);
			i_stream_unref(&source);
		}
		buffer_free(&encoded);
	}
	/* one layer only */
	encoded = encode("gzip | gzip", "hello", 5);
	source = i_stream_create_from_data(encoded->data, encoded->used);
	input = i_stream_create_decompress(source, 0);
	buffer_set_used_size(out, 0);
	assert_int_equal(test_read_all(input, out), 0);
	assert_memory_equal(out->data, "\x1f\x8b\x08", 3);
	i_stream_unref(&input);
	i_stream_unref(&source);
	buffer_free(&encoded);
	buffer_free(&out);
}

static void test_error_of_the_input(void **state ATTR_UNUSED)
{
	struct istream *source, *bad, *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	uoff_t at;
	int i;

	for (at = 0; at < 40; at++) {
		for (i = 0; i < 2; i++) {
			source = i_stream_create_from_data(
				"no magic here, but it is long enough now", 40);
			bad = i_stream_create_failure_at(source, at, EIO,
							 "no more");
			input = i == 0 ? create_auto(bad) :
					 i_stream_create_decompress(bad, 0);
			buffer_set_used_size(out, 0);
			/* unknown input is told as soon as it is known */
			assert_int_equal(test_read_all(input, out),
					 i == 1 && at >= 36 ? EINVAL : EIO);
			if (i == 0)
				assert_int_equal(out->used, at);
			i_stream_unref(&input);
			i_stream_unref(&bad);
			i_stream_unref(&source);
		}
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_stack),
		cmocka_unit_test(test_small_buffers),
		cmocka_unit_test(test_at_most_eight_layers),
		cmocka_unit_test(test_skipped_frames),
		cmocka_unit_test(test_beginnings_of_a_magic),
		cmocka_unit_test(test_damage_is_an_error),
		cmocka_unit_test(test_seeking),
		cmocka_unit_test(test_decompress),
		cmocka_unit_test(test_error_of_the_input),
	};

	return cmocka_run_group_tests_name("stack-detect", tests,
					   test_keys_setup, test_keys_teardown);
}
