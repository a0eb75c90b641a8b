/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Every constructor of a transform's streams makes what its name says: what the output
   stream writes is known, and the input stream of the name reads it. The transforms
   themselves are tested in test-transforms*.c and test-transform-*.c. */

#include "config.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>

/* Some are not used where the build lacks a library. */
#define OUTPUT(name, ...)                                             \
	static ATTR_UNUSED struct ostream *output_##name(             \
		struct ostream *output)                               \
	{                                                             \
		return o_stream_create_##name(output, ##__VA_ARGS__); \
	}
#define INPUT(name, ...)                                                       \
	static ATTR_UNUSED struct istream *input_##name(struct istream *input) \
	{                                                                      \
		return i_stream_create_##name(input, ##__VA_ARGS__);           \
	}

OUTPUT(dot, false)
OUTPUT(gzip, 6)
OUTPUT(gz, 6)
OUTPUT(zlib, 6)
OUTPUT(deflate, 6)
OUTPUT(lz4, 1)
OUTPUT(dovecot_lz4)
OUTPUT(zstd, 3)
OUTPUT(zstd_threads, 3, 1)
OUTPUT(bzip2, 9)
OUTPUT(bz2, 9)
OUTPUT(xz, 1)
OUTPUT(lzma, 1)
OUTPUT(encrypt, test_keys.recipients)
OUTPUT(hex)
OUTPUT(json)
OUTPUT(base64)
OUTPUT(base64_mime)
OUTPUT(base64url)
OUTPUT(qp)
OUTPUT(crlf)
OUTPUT(lf)

INPUT(dot, ISTREAM_DOT_TRIM_TRAIL)
INPUT(gzip)
INPUT(gz)
INPUT(zlib)
INPUT(deflate)
INPUT(lz4)
INPUT(dovecot_lz4)
INPUT(zstd)
INPUT(bzip2)
INPUT(bz2)
INPUT(xz)
INPUT(lzma)
INPUT(decrypt, test_keys.identities)
INPUT(hex_decoder)
INPUT(json_decoder)
INPUT(base64_decoder)
INPUT(base64url_decoder)
INPUT(qp_decoder)
INPUT(qp_decoder_loose)
INPUT(crlf)
INPUT(lf)

/* The other direction of those that are named decoders. */
INPUT(hex_encoder)
INPUT(json_encoder)
INPUT(base64_encoder, 0, true)
INPUT(base64url_encoder, 0, true)
INPUT(qp_encoder, QP_ENCODER_FLAG_BINARY_DATA)

#define BYTES(text) text, sizeof(text) - 1

static const char hello[] = "hello\n\"=";

/* What is written of hello[] begins like this, or is this where `whole` is set; and
   what is read of it is `back`, if that is not hello[] again. */
static const struct {
	const char *name;
	struct ostream *(*output)(struct ostream *output);
	struct istream *(*input)(struct istream *input);
	const char *begin;
	size_t begin_size;
	bool whole;
	const char *back;
} rows[] = {
	{ "dot", output_dot, input_dot, BYTES("hello\r\n\"=\r\n.\r\n"), true,
	  "hello\r\n\"=" },
	{ "gzip", output_gzip, input_gz, BYTES("\x1f\x8b\x08"), false, NULL },
	{ "gz", output_gz, input_gzip, BYTES("\x1f\x8b\x08"), false, NULL },
	{ "zlib", output_zlib, input_zlib, BYTES("\x78\x9c"), false, NULL },
	/* a last block with fixed codes */
	{ "deflate", output_deflate, input_deflate, BYTES("\xcb\x48"), false,
	  NULL },
	{ "lz4", output_lz4, input_lz4, BYTES("\x04\x22\x4d\x18"), false,
	  NULL },
	{ "dovecot_lz4", output_dovecot_lz4, input_dovecot_lz4,
	  BYTES("Dovecot-LZ4\x0d\x2a\x9b\xc5"), false, NULL },
#ifdef HAVE_ZSTD
	{ "zstd", output_zstd, input_zstd, BYTES("\x28\xb5\x2f\xfd"), false,
	  NULL },
	{ "zstd_threads", output_zstd_threads, input_zstd,
	  BYTES("\x28\xb5\x2f\xfd"), false, NULL },
#endif
#ifdef HAVE_BZIP2
	{ "bzip2", output_bzip2, input_bz2, BYTES("BZh9"), false, NULL },
	{ "bz2", output_bz2, input_bzip2, BYTES("BZh9"), false, NULL },
#endif
#ifdef HAVE_LZMA
	{ "xz", output_xz, input_xz,
	  BYTES("\xfd"
		"7zXZ\0"),
	  false, NULL },
	{ "lzma", output_lzma, input_lzma, BYTES("\x5d\0\0"), false, NULL },
#endif
	{ "encrypt", output_encrypt, input_decrypt,
	  BYTES("age-encryption.org/v1\n-> X25519 "), false, NULL },
	{ "hex", output_hex, input_hex_decoder, BYTES("68656c6c6f0a223d"), true,
	  NULL },
	{ "json", output_json, input_json_decoder, BYTES("hello\\n\\\"="), true,
	  NULL },
	{ "base64", output_base64, input_base64_decoder, BYTES("aGVsbG8KIj0="),
	  true, NULL },
	{ "base64_mime", output_base64_mime, input_base64_decoder,
	  BYTES("aGVsbG8KIj0="), true, NULL },
	{ "base64url", output_base64url, input_base64url_decoder,
	  BYTES("aGVsbG8KIj0="), true, NULL },
	{ "qp", output_qp, input_qp_decoder, BYTES("hello=0A\"=3D"), true,
	  NULL },
	{ "qp, loose", output_qp, input_qp_decoder_loose,
	  BYTES("hello=0A\"=3D"), true, NULL },
	{ "crlf", output_crlf, input_lf, BYTES("hello\r\n\"="), true, NULL },
	{ "lf", output_lf, input_crlf, BYTES("hello\n\"="), true,
	  "hello\r\n\"=" },
};

/* What the constructor's stream writes of this. */
static buffer_t *written(struct ostream *(*create)(struct ostream *output),
			 const void *data, size_t size)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 256);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *output = create(end);

	o_stream_nsend(output, data, size);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	o_stream_destroy(&end);
	return buf;
}

/* What the constructor's stream reads of this. */
static buffer_t *read_back(struct istream *(*create)(struct istream *input),
			   const buffer_t *buf)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 256);
	struct istream *data = i_stream_create_from_data(buf->data, buf->used);
	struct istream *input = create(data);

	assert_int_equal(test_read_all(input, out), 0);
	i_stream_destroy(&input);
	i_stream_destroy(&data);
	return out;
}

static void test_every_constructor(void **state ATTR_UNUSED)
{
	buffer_t *buf, *out;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		buf = written(rows[i].output, BYTES(hello));
		if (buf->used < rows[i].begin_size ||
		    (rows[i].whole && buf->used != rows[i].begin_size) ||
		    memcmp(buf->data, rows[i].begin, rows[i].begin_size) != 0)
			fail_msg("%s wrote something else: %s", rows[i].name,
				 buffer_c_str(buf));
		out = read_back(rows[i].input, buf);
		if (strcmp(buffer_c_str(out),
			   rows[i].back == NULL ? hello : rows[i].back) != 0)
			fail_msg("%s was read as: %s", rows[i].name,
				 buffer_c_str(out));
		buffer_free(&buf);
		buffer_free(&out);
	}
}

/* An encoder that is read gives what the one that is written to sends. */
static void test_encoders_that_are_read(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		struct istream *(*input)(struct istream *input);
		struct ostream *(*output)(struct ostream *output);
	} encoders[] = {
		{ "hex", input_hex_encoder, output_hex },
		{ "json", input_json_encoder, output_json },
		{ "base64", input_base64_encoder, output_base64 },
		{ "base64url", input_base64url_encoder, output_base64url },
		{ "qp", input_qp_encoder, output_qp },
		{ "crlf", input_crlf, output_crlf },
		{ "lf", input_lf, output_lf },
	};
	static const char text[] = "a\nb\r\n\xfb\xff\xbf \"=\"";
	buffer_t *plain = buffer_create_dynamic(default_pool, 64);
	buffer_t *sent, *out;
	size_t i;

	buffer_append(plain, BYTES(text));
	for (i = 0; i < N_ELEMENTS(encoders); i++) {
		sent = written(encoders[i].output, BYTES(text));
		out = read_back(encoders[i].input, plain);
		if (strcmp(buffer_c_str(sent), buffer_c_str(out)) != 0)
			fail_msg("%s reads as %s", encoders[i].name,
				 buffer_c_str(out));
		buffer_free(&sent);
		buffer_free(&out);
	}
	buffer_free(&plain);
}

/* Of text, a line may end with LF alone. */
static struct istream *input_qp_text(struct istream *input)
{
	return i_stream_create_qp_encoder(input, 0);
}

static void test_qp_encoder(void **state ATTR_UNUSED)
{
	static const struct {
		struct istream *(*input)(struct istream *input);
		const char *text;
	} cases[] = {
		{ input_qp_text, "a=3D\r\nb\r\nc=0Dd" },
		{ input_qp_encoder, "a=3D=0Ab\r\nc=0Dd" },
	};
	buffer_t *plain = buffer_create_dynamic(default_pool, 64), *out;
	size_t i;

	buffer_append(plain, BYTES("a=\nb\r\nc\rd"));
	for (i = 0; i < N_ELEMENTS(cases); i++) {
		out = read_back(cases[i].input, plain);
		assert_string_equal(buffer_c_str(out), cases[i].text);
		buffer_free(&out);
	}
	buffer_free(&plain);
}

/* The two that differ in what one of them refuses only. */
static void test_qp_loose(void **state ATTR_UNUSED)
{
	struct istream *data = i_stream_create_from_data("a=xy", 4), *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 16);

	input = i_stream_create_qp_decoder(data);
	assert_int_equal(test_read_all(input, out), EINVAL);
	assert_int_equal(input->stream_errno, EINVAL);
	i_stream_destroy(&input);
	i_stream_seek(data, 0);
	buffer_set_used_size(out, 0);
	input = i_stream_create_qp_decoder_loose(data);
	assert_int_equal(test_read_all(input, out), 0);
	assert_string_equal(buffer_c_str(out), "a=xy");
	i_stream_destroy(&input);
	i_stream_destroy(&data);
	buffer_free(&out);
}

/* Lines of 76 in MIME, none else. */
static void test_base64_lines(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 200);
	buffer_t *buf = written(output_base64, data, 200), *out;

	assert_int_equal(buf->used, 268);
	assert_null(memchr(buf->data, '\n', buf->used));
	buffer_free(&buf);
	buf = written(output_base64_mime, data, 200);
	assert_int_equal(buf->used, 268 + 3 * 2);
	assert_memory_equal((const char *)buf->data + 76, "\r\n", 2);
	out = read_back(input_base64_decoder, buf);
	assert_int_equal(out->used, 200);
	assert_memory_equal(out->data, data, 200);
	buffer_free(&buf);
	buffer_free(&out);
	free(data);
}

static void test_base64_encoders(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int chars_per_line;
		bool crlf;
		const char *text, *url_text;
	} cases[] = {
		{ 0, true, "aGVs+/8=", "aGVs-_8=" },
		{ 0, false, "aGVs+/8=", "aGVs-_8=" },
		{ 4, true, "aGVs\r\n+/8=", "aGVs\r\n-_8=" },
		{ 4, false, "aGVs\n+/8=", "aGVs\n-_8=" },
		{ 8, false, "aGVs+/8=", "aGVs-_8=" },
	};
	struct istream *data = i_stream_create_from_data(BYTES("hel\xfb\xff"));
	struct istream *(*create)(struct istream * input, unsigned int chars,
				  bool crlf);
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	struct istream *input;
	size_t i;

	for (i = 0; i < 2 * N_ELEMENTS(cases); i++) {
		create = i % 2 == 0 ? i_stream_create_base64_encoder :
				      i_stream_create_base64url_encoder;
		i_stream_seek(data, 0);
		buffer_set_used_size(out, 0);
		input = create(data, cases[i / 2].chars_per_line,
			       cases[i / 2].crlf);
		assert_int_equal(test_read_all(input, out), 0);
		assert_string_equal(buffer_c_str(out),
				    i % 2 == 0 ? cases[i / 2].text :
						 cases[i / 2].url_text);
		i_stream_destroy(&input);
	}
	for (i = 0; i < 2; i++) {
		create = i == 0 ? i_stream_create_base64_encoder :
				  i_stream_create_base64url_encoder;
		input = create(data, 7, false);
		assert_int_equal(i_stream_read(input), -1);
		assert_int_equal(input->stream_errno, EINVAL);
		i_stream_destroy(&input);
	}
	i_stream_destroy(&data);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_constructor),
		cmocka_unit_test(test_encoders_that_are_read),
		cmocka_unit_test(test_qp_encoder),
		cmocka_unit_test(test_qp_loose),
		cmocka_unit_test(test_base64_lines),
		cmocka_unit_test(test_base64_encoders),
	};

	return cmocka_run_group_tests_name("stream-filters", tests,
					   test_keys_setup, test_keys_teardown);
}
