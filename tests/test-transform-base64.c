/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* base64 against RFC 4648 and the lines of RFC 2045. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

/* RFC 4648 10, and the letters behind the alphanumeric ones. */
static const struct {
	const char *plain;
	size_t size;
	const char *encoded;
} vectors[] = {
	{ TEST_BYTES(""), "" },
	{ TEST_BYTES("f"), "Zg==" },
	{ TEST_BYTES("fo"), "Zm8=" },
	{ TEST_BYTES("foo"), "Zm9v" },
	{ TEST_BYTES("foob"), "Zm9vYg==" },
	{ TEST_BYTES("fooba"), "Zm9vYmE=" },
	{ TEST_BYTES("foobar"), "Zm9vYmFy" },
	{ TEST_BYTES("\xfb\xff\xbe"), "+/++" },
	{ TEST_BYTES("\0\0\0\0"), "AAAAAA==" },
	{ TEST_BYTES("\xff\xff\xff"), "////" },
};

static void test_vectors(void **state ATTR_UNUSED)
{
	struct test_decoding row;
	buffer_t *encoded;
	size_t i;

	for (i = 0; i < N_ELEMENTS(vectors); i++) {
		encoded = test_encode(transform_create_base64_encoder(0),
				      vectors[i].plain, vectors[i].size);
		assert_int_equal(encoded->used, strlen(vectors[i].encoded));
		assert_memory_equal(encoded->data, vectors[i].encoded,
				    encoded->used);
		buffer_free(&encoded);
		memset(&row, 0, sizeof(row));
		row.name = row.in = vectors[i].encoded;
		row.in_size = strlen(vectors[i].encoded);
		row.out = vectors[i].plain;
		row.out_size = vectors[i].size;
		test_decoding(transform_create_base64_decoder, &row);
	}
}

/* RFC 4648 5: two letters are others. */
static void test_url(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "the other letters", TEST_BYTES("-_-_"),
		  TEST_BYTES("\xfb\xff\xbf"), 0, NULL },
		{ "padded, in lines", TEST_BYTES("-_-_\r\n_w==\n"),
		  TEST_BYTES("\xfb\xff\xbf\xff"), 0, NULL },
		{ "not padded", TEST_BYTES("_w"), TEST_BYTES(""), EPIPE,
		  "ends too early" },
		{ "plain base64's 62nd", TEST_BYTES("Zm9v+"), TEST_BYTES("foo"),
		  EINVAL, "byte 0x2b has no place in base64url" },
		{ "plain base64's 63rd", TEST_BYTES("Zm9v/"), TEST_BYTES("foo"),
		  EINVAL, "byte 0x2f has no place in base64url" },
	};
	buffer_t *encoded;

	encoded = test_encode(transform_create_base64url_encoder(4),
			      TEST_BYTES("\xfb\xff\xbf\xff"));
	assert_string_equal(buffer_c_str(encoded), "-_-_\r\n_w==");
	buffer_free(&encoded);
	test_decodings(transform_create_base64url_decoder, rows,
		       N_ELEMENTS(rows));
}

static void test_lines(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int width;
		size_t size;
		const char *encoded;
	} rows[] = {
		{ 4, 3, "YWFh" },
		/* no line break behind the last line */
		{ 4, 4, "YWFh\r\nYQ==" },
		{ 4, 6, "YWFh\r\nYWFh" },
		{ 8, 6, "YWFhYWFh" },
		{ 8, 7, "YWFhYWFh\r\nYQ==" },
		{ 0, 7, "YWFhYWFhYQ==" },
		{ 76, 57,
		  "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
		  "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh" },
		{ 76, 58,
		  "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh"
		  "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\r\nYQ==" },
	};
	char plain[64];
	buffer_t *encoded;
	size_t i;

	memset(plain, 'a', sizeof(plain));
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		encoded = test_encode(
			transform_create_base64_encoder(rows[i].width), plain,
			rows[i].size);
		assert_int_equal(encoded->used, strlen(rows[i].encoded));
		assert_memory_equal(encoded->data, rows[i].encoded,
				    encoded->used);
		buffer_free(&encoded);
	}
}

static void test_bad_width(void **state ATTR_UNUSED)
{
	static const unsigned int widths[] = { 1, 3, 5, 78 };
	struct transform *t;
	size_t i;

	for (i = 0; i < 2 * N_ELEMENTS(widths); i++) {
		t = i % 2 == 0 ?
			transform_create_base64_encoder(widths[i / 2]) :
			transform_create_base64url_encoder(widths[i / 2]);
		assert_int_equal(t->error_errno, EINVAL);
		assert_non_null(strstr(t->error, "not a multiple of 4"));
		transform_free(&t);
	}
}

/* A flush puts out whole groups only, so it never pads in the middle. */
static void test_flush_keeps_a_partial_group(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *output = o_stream_create_transform(
		sink->stream, transform_create_base64_encoder(0));

	assert_int_equal(o_stream_send(output, "foob", 4), 4);
	assert_int_equal(o_stream_flush(output), 1);
	assert_int_equal(sink->data->used, 4);
	assert_int_equal(o_stream_send(output, "ar", 2), 2);
	assert_int_equal(o_stream_finish(output), 1);
	assert_int_equal(sink->data->used, 8);
	assert_memory_equal(sink->data->data, "Zm9vYmFy", 8);
	o_stream_destroy(&output);
	test_sink_free(&sink);
}

static void test_decoder(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "line breaks anywhere",
		  TEST_BYTES("\nZ\r\nm\n9v\r\n\r\nYg=\r\n=\r\n"),
		  TEST_BYTES("foob"), 0, NULL },
		{ "only line breaks", TEST_BYTES("\r\n\n"), TEST_BYTES(""), 0,
		  NULL },
		{ "a blank", TEST_BYTES("Zm9v Ym"), TEST_BYTES("foo"), EINVAL,
		  "byte 0x20 has no place in base64 (at byte 4 of the input, "
		  "byte 3 of the output)" },
		{ "a tab", TEST_BYTES("\tZm9v"), TEST_BYTES(""), EINVAL,
		  "byte 0x09 has no place in base64 (at byte 0" },
		{ "the other alphabet's 62nd", TEST_BYTES("Zm9v-_"),
		  TEST_BYTES("foo"), EINVAL, "byte 0x2d" },
		{ "the other alphabet's 63rd", TEST_BYTES("Zm9v_-"),
		  TEST_BYTES("foo"), EINVAL, "byte 0x5f" },
		{ "a NUL", TEST_BYTES("Zm9vY\0"), TEST_BYTES("foo"), EINVAL,
		  "byte 0x00" },
		{ "not ASCII", TEST_BYTES("Zm9v\xc3\xa4"), TEST_BYTES("foo"),
		  EINVAL, "byte 0xc3" },
		{ "padding first", TEST_BYTES("===="), TEST_BYTES(""), EINVAL,
		  "byte 0x3d" },
		{ "padding behind one letter", TEST_BYTES("Z==="),
		  TEST_BYTES(""), EINVAL, "byte 0x3d" },
		{ "padding behind a whole group", TEST_BYTES("Zm9v="),
		  TEST_BYTES("foo"), EINVAL, "byte 0x3d" },
		{ "a letter behind padding", TEST_BYTES("Zg=a"), TEST_BYTES(""),
		  EINVAL, "byte 0x61" },
		{ "data behind the padding", TEST_BYTES("Zg==Zg=="),
		  TEST_BYTES("f"), EINVAL,
		  "data after the end (at byte 4 of the input" },
		{ "more padding", TEST_BYTES("Zg==="), TEST_BYTES("f"), EINVAL,
		  "data after the end" },
		{ "four bits that no byte has", TEST_BYTES("Zh=="),
		  TEST_BYTES(""), EINVAL, "not canonical" },
		{ "two bits that no byte has", TEST_BYTES("Zm9="),
		  TEST_BYTES(""), EINVAL, "not canonical" },
		{ "one letter", TEST_BYTES("Zm9vY"), TEST_BYTES("foo"), EPIPE,
		  "ends too early" },
		{ "two letters", TEST_BYTES("Zm9vYg"), TEST_BYTES("foo"), EPIPE,
		  "ends too early" },
		{ "three letters", TEST_BYTES("Zm9vYmE"), TEST_BYTES("foo"),
		  EPIPE, "ends too early" },
		{ "half the padding", TEST_BYTES("Zm9vYg="), TEST_BYTES("foo"),
		  EPIPE, "ends too early" },
	};

	test_decodings(transform_create_base64_decoder, rows, N_ELEMENTS(rows));
}

/* All 256 bytes in the first place of a group: exactly the 64 letters and the
   two line ends have a place there. */
static void test_alphabet_is_exact(void **state ATTR_UNUSED)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789+/";
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	char text[5] = "xAAA";
	const char *pos;
	int c;

	for (c = 0; c < 256; c++) {
		text[0] = (char)c;
		pos = c == 0 ? NULL : strchr(letters, c);
		if (c == '\r' || c == '\n') {
			assert_int_equal(
				test_decode(transform_create_base64_decoder(),
					    text, 4, out),
				EPIPE);
			continue;
		}
		assert_int_equal(test_decode(transform_create_base64_decoder(),
					     text, 4, out),
				 pos == NULL ? EINVAL : 0);
		if (pos != NULL)
			assert_int_equal(((const unsigned char *)out->data)[0],
					 (pos - letters) << 2);
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_url),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bad_width),
		cmocka_unit_test(test_flush_keeps_a_partial_group),
		cmocka_unit_test(test_decoder),
		cmocka_unit_test(test_alphabet_is_exact),
	};

	return cmocka_run_group_tests_name("transform-base64", tests, NULL,
					   NULL);
}
