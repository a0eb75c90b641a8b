/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What makes bytes printable: hex (RFC 4648 8) and json (RFC 8259 7, with the
   UTF-8 of RFC 3629). */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>

static void check_encoding(struct transform *encoder, const char *plain,
			   size_t size, const char *want)
{
	buffer_t *encoded = test_encode(encoder, plain, size);

	if (encoded->used != strlen(want) ||
	    (encoded->used > 0 &&
	     memcmp(encoded->data, want, encoded->used) != 0))
		fail_msg("%s wanted, had: %.*s", want, (int)encoded->used,
			 (const char *)encoded->data);
	buffer_free(&encoded);
}

/*
 * hex
 */

static void test_hex_all_bytes(void **state ATTR_UNUSED)
{
	unsigned char plain[256];
	char lower[2 * 256 + 1], upper[2 * 256 + 1];
	struct test_decoding row;
	int i;

	for (i = 0; i < 256; i++) {
		plain[i] = (unsigned char)i;
		(void)snprintf(lower + 2 * i, 3, "%02x", (unsigned int)i);
		(void)snprintf(upper + 2 * i, 3, "%02X", (unsigned int)i);
	}
	check_encoding(transform_create_hex_encoder(), (const char *)plain, 256,
		       lower);
	memset(&row, 0, sizeof(row));
	row.in_size = 2 * 256;
	row.out = plain;
	row.out_size = 256;
	row.name = "lower case";
	row.in = lower;
	test_decoding(transform_create_hex_decoder, &row);
	row.name = "upper case";
	row.in = upper;
	test_decoding(transform_create_hex_decoder, &row);
}

static void test_hex_decoder(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		/* RFC 4648 10 */
		{ "empty", TEST_BYTES(""), TEST_BYTES(""), 0, NULL },
		{ "foobar", TEST_BYTES("666F6F626172"), TEST_BYTES("foobar"), 0,
		  NULL },
		{ "mixed case", TEST_BYTES("aAbBfF"),
		  TEST_BYTES("\xaa\xbb\xff"), 0, NULL },
		{ "half a byte", TEST_BYTES("666"), TEST_BYTES("f"), EPIPE,
		  "ends too early" },
		{ "no digit first", TEST_BYTES("66g6"), TEST_BYTES("f"), EINVAL,
		  "byte 0x67 is not a hexadecimal digit (at byte 2 of the "
		  "input, byte 1 of the output)" },
		{ "no digit second", TEST_BYTES("666/"), TEST_BYTES("f"),
		  EINVAL, "byte 0x2f is not a hexadecimal digit (at byte 3" },
		{ "a line end", TEST_BYTES("66\n66"), TEST_BYTES("f"), EINVAL,
		  "byte 0x0a" },
		{ "a prefix", TEST_BYTES("0x66"), TEST_BYTES(""), EINVAL,
		  "byte 0x78 is not a hexadecimal digit (at byte 1" },
		{ "the neighbours of the digits", TEST_BYTES(":"),
		  TEST_BYTES(""), EINVAL, "byte 0x3a" },
		{ "and of the letters", TEST_BYTES("@"), TEST_BYTES(""), EINVAL,
		  "byte 0x40" },
		{ "and of the small ones", TEST_BYTES("`"), TEST_BYTES(""),
		  EINVAL, "byte 0x60" },
	};

	test_decodings(transform_create_hex_decoder, rows, N_ELEMENTS(rows));
}

/*
 * json
 */

#define FFFD "\xef\xbf\xbd"

static void test_json_encoder(void **state ATTR_UNUSED)
{
	static const struct {
		const char *plain;
		size_t size;
		const char *want;
	} rows[] = {
		{ TEST_BYTES(""), "" },
		{ TEST_BYTES("\"\\/"), "\\\"\\\\/" },
		{ TEST_BYTES("\b\f\n\r\t"), "\\b\\f\\n\\r\\t" },
		{ TEST_BYTES("\0\1\13\x1f \x7f"),
		  "\\u0000\\u0001\\u000b\\u001f \x7f" },
		/* the first and last characters of each length */
		{ TEST_BYTES("\xc2\x80\xdf\xbf"), "\xc2\x80\xdf\xbf" },
		{ TEST_BYTES("\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf"
			     "\xbf"),
		  "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf" },
		{ TEST_BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"),
		  "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf" },
		/* no character begins like this */
		{ TEST_BYTES("a\x80z\xff"), "a" FFFD "z" FFFD },
		{ TEST_BYTES("\xc0\xaf\xc1\xbf"), FFFD FFFD FFFD FFFD },
		{ TEST_BYTES("\xf5\x80"), FFFD FFFD },
		/* overlong, a surrogate, and beyond U+10FFFF */
		{ TEST_BYTES("\xe0\x9f\xbf"), FFFD FFFD FFFD },
		{ TEST_BYTES("\xed\xa0\x80"), FFFD FFFD FFFD },
		{ TEST_BYTES("\xf0\x8f\xbf\xbf"), FFFD FFFD FFFD FFFD },
		{ TEST_BYTES("\xf4\x90\x80\x80"), FFFD FFFD FFFD FFFD },
		/* a character that is not whole is one mistake, and what cuts
		   it is read for itself */
		{ TEST_BYTES("\xe2\x82"
			     "a"),
		  FFFD "a" },
		{ TEST_BYTES("\xf0\x9f\x98\xc3\xa4"), FFFD "\xc3\xa4" },
		{ TEST_BYTES("\xe2\x82\n"), FFFD "\\n" },
		{ TEST_BYTES("x\xf0\x9f\x98"), "x" FFFD },
		{ TEST_BYTES("\xc3"), FFFD },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++)
		check_encoding(transform_create_json_encoder(), rows[i].plain,
			       rows[i].size, rows[i].want);
}

/* Cut between two sends, a character is still one. */
static void test_json_encoder_split(void **state ATTR_UNUSED)
{
	static const char plain[] = "a\xf0\x9f\x98\x80\xe2\x82\xc3\xa4\n\xc3";
	static const char want[] = "a\xf0\x9f\x98\x80" FFFD "\xc3\xa4\\n" FFFD;
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	struct transform *t = transform_create_json_encoder();
	size_t split, size = strlen(plain);

	for (split = 0; split <= size; split++) {
		buffer_set_used_size(out, 0);
		t->class_->reset(t);
		assert_int_equal(test_process(t, plain, split, TRANSFORM_RUN,
					      out, NULL),
				 TRANSFORM_NEED_IN);
		assert_int_equal(test_process(t, plain + split, size - split,
					      TRANSFORM_FINISH, out, NULL),
				 TRANSFORM_DONE);
		assert_int_equal(out->used, strlen(want));
		assert_memory_equal(out->data, want, out->used);
	}
	transform_free(&t);
	buffer_free(&out);
}

static void test_json_decoder(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "empty", TEST_BYTES(""), TEST_BYTES(""), 0, NULL },
		{ "all short escapes", TEST_BYTES("\\\"\\\\\\/\\b\\f\\n\\r\\t"),
		  TEST_BYTES("\"\\/\b\f\n\r\t"), 0, NULL },
		{ "a solidus needs none", TEST_BYTES("a/b"), TEST_BYTES("a/b"),
		  0, NULL },
		{ "NUL", TEST_BYTES("\\u0000"), TEST_BYTES("\0"), 0, NULL },
		{ "either case", TEST_BYTES("\\u00e4\\u00E4"),
		  TEST_BYTES("\xc3\xa4\xc3\xa4"), 0, NULL },
		{ "the lengths' borders",
		  TEST_BYTES("\\u007f\\u0080\\u07ff\\u0800\\ud7ff\\ue000"
			     "\\uffff"),
		  TEST_BYTES("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf"
			     "\xee\x80\x80\xef\xbf\xbf"),
		  0, NULL },
		{ "RFC 8259's clef", TEST_BYTES("\\uD834\\uDD1E"),
		  TEST_BYTES("\xf0\x9d\x84\x9e"), 0, NULL },
		{ "the first and the last pair",
		  TEST_BYTES("\\ud800\\udc00\\udbff\\udfff"),
		  TEST_BYTES("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), 0, NULL },
		{ "an escaped backslash before u", TEST_BYTES("\\\\u0041"),
		  TEST_BYTES("\\u0041"), 0, NULL },
		{ "more than four digits", TEST_BYTES("\\u00411"),
		  TEST_BYTES("A1"), 0, NULL },
		{ "DEL needs none", TEST_BYTES("\x7f"), TEST_BYTES("\x7f"), 0,
		  NULL },

		{ "unknown escape", TEST_BYTES("ab\\x41"), TEST_BYTES("ab"),
		  EINVAL,
		  "unknown escape behind a backslash (at byte 3 of the input, "
		  "byte 2 of the output)" },
		{ "upper case escape", TEST_BYTES("\\N"), TEST_BYTES(""),
		  EINVAL, "unknown escape" },
		{ "upper case U", TEST_BYTES("\\U0041"), TEST_BYTES(""), EINVAL,
		  "unknown escape" },
		{ "an escaped NUL byte", TEST_BYTES("\\\0"), TEST_BYTES(""),
		  EINVAL, "unknown escape" },
		{ "no digit", TEST_BYTES("a\\u00g1"), TEST_BYTES("a"), EINVAL,
		  "without four hexadecimal digits (at byte 5 of the input" },
		{ "a digit with bit 0x20", TEST_BYTES("\\u004\x11"),
		  TEST_BYTES(""), EINVAL, "without four hexadecimal digits" },
		{ "a quote", TEST_BYTES("a\"b"), TEST_BYTES("a"), EINVAL,
		  "byte 0x22 must be escaped in a JSON string (at byte 1" },
		{ "a line end", TEST_BYTES("a\nb"), TEST_BYTES("a"), EINVAL,
		  "byte 0x0a must be escaped" },
		{ "a NUL byte", TEST_BYTES("\0"), TEST_BYTES(""), EINVAL,
		  "byte 0x00 must be escaped" },

		{ "a low surrogate alone", TEST_BYTES("a\\udc00"),
		  TEST_BYTES("a"), EINVAL,
		  "a surrogate without its pair (at byte 6 of the input" },
		{ "the pair the wrong way round", TEST_BYTES("\\udd1e\\ud834"),
		  TEST_BYTES(""), EINVAL, "a surrogate without its pair" },
		{ "two high ones", TEST_BYTES("\\ud834\\ud834"), TEST_BYTES(""),
		  EINVAL, "a surrogate without its pair" },
		{ "a high one before text", TEST_BYTES("\\ud834x"),
		  TEST_BYTES(""), EINVAL, "a surrogate without its pair" },
		{ "a high one before an escape", TEST_BYTES("\\ud834\\n"),
		  TEST_BYTES(""), EINVAL, "a surrogate without its pair" },
		{ "a high one before a character", TEST_BYTES("\\ud834\\u0041"),
		  TEST_BYTES(""), EINVAL, "a surrogate without its pair" },

		{ "ends behind a backslash", TEST_BYTES("a\\"), TEST_BYTES("a"),
		  EPIPE, "ends too early" },
		{ "ends behind u", TEST_BYTES("a\\u"), TEST_BYTES("a"), EPIPE,
		  "ends too early" },
		{ "ends within the digits", TEST_BYTES("a\\u004"),
		  TEST_BYTES("a"), EPIPE, "ends too early" },
		{ "ends behind a high surrogate", TEST_BYTES("a\\ud834"),
		  TEST_BYTES("a"), EPIPE, "ends too early" },
		{ "ends within the second", TEST_BYTES("a\\ud834\\"),
		  TEST_BYTES("a"), EPIPE, "ends too early" },
	};

	test_decodings(transform_create_json_decoder, rows, N_ELEMENTS(rows));
}

/* reset() in the middle of a pair leaves nothing of it. */
static void test_json_decoder_reset(void **state ATTR_UNUSED)
{
	static const char *const parts[] = { "\\", "\\u00", "\\ud834",
					     "\\ud834\\u" };
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	struct transform *t = transform_create_json_decoder();
	size_t i;

	for (i = 0; i < N_ELEMENTS(parts); i++) {
		buffer_set_used_size(out, 0);
		(void)test_process(t, parts[i], strlen(parts[i]), TRANSFORM_RUN,
				   out, NULL);
		t->class_->reset(t);
		assert_int_equal(test_process(t, "\\u0041b", 7,
					      TRANSFORM_FINISH, out, NULL),
				 TRANSFORM_END);
		assert_int_equal(out->used, 2);
		assert_memory_equal(out->data, "Ab", 2);
	}
	transform_free(&t);
	buffer_free(&out);
}

static void write_much(buffer_t *dest, unsigned char chr,
		       void *context ATTR_UNUSED)
{
	buffer_append_printf(dest, "<%c has no room>", chr);
}

/* More than there is room for, also for the last byte. */
static void test_a_callback_that_writes_much(void **state ATTR_UNUSED)
{
	struct transform *t = transform_create_escape_encoder(write_much, NULL);
	buffer_t *out = buffer_create_dynamic(default_pool, 64);

	assert_true(t->class_->min_out < 16);
	assert_int_equal(test_process(t, "ab", 2, TRANSFORM_FINISH, out, NULL),
			 TRANSFORM_DONE);
	assert_string_equal(buffer_c_str(out),
			    "<a has no room><b has no room>");
	transform_free(&t);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex_all_bytes),
		cmocka_unit_test(test_hex_decoder),
		cmocka_unit_test(test_json_encoder),
		cmocka_unit_test(test_json_encoder_split),
		cmocka_unit_test(test_json_decoder),
		cmocka_unit_test(test_json_decoder_reset),
		cmocka_unit_test(test_a_callback_that_writes_much),
	};

	return cmocka_run_group_tests_name("transform-escape", tests, NULL,
					   NULL);
}
