/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Quoted-printable against RFC 2045 6.7. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

#define TEN "1234567890"
#define SEVENTY TEN TEN TEN TEN TEN TEN TEN

static struct transform *strict(void)
{
	return transform_create_qp_decoder(false);
}

static struct transform *loose(void)
{
	return transform_create_qp_decoder(true);
}

static void test_what_is_written(void **state ATTR_UNUSED)
{
	static const struct {
		const char *plain;
		size_t size;
		const char *encoded, *binary; /* NULL: the same */
	} rows[] = {
		{ TEST_BYTES(""), "", NULL },
		{ TEST_BYTES("!<>~ a\tb"), "!<>~ a\tb", NULL },
		{ TEST_BYTES("a=b"), "a=3Db", NULL },
		{ TEST_BYTES("\0\x01\x1f\x7f\x80\xff"), "=00=01=1F=7F=80=FF",
		  NULL },
		/* line ends, and what is none */
		{ TEST_BYTES("a\r\nb\r\n"), "a\r\nb\r\n", "a=0D=0Ab=0D=0A" },
		{ TEST_BYTES("a\nb\rc\r"), "a=0Ab=0Dc=0D", NULL },
		{ TEST_BYTES("\r\r\n\n\r"), "=0D\r\n=0A=0D",
		  "=0D=0D=0A=0A=0D" },
		{ TEST_BYTES("\r\n\r\n"), "\r\n\r\n", "=0D=0A=0D=0A" },
		/* white space at the end of a line, or of everything */
		{ TEST_BYTES("a "), "a=20", NULL },
		{ TEST_BYTES(" \t"), " =09", NULL },
		{ TEST_BYTES("a  \r\nb"), "a =20\r\nb", "a  =0D=0Ab" },
		{ TEST_BYTES("a \rb"), "a =0Db", NULL },
		/* lines of 76, with the "=" of a soft line break */
		{ TEST_BYTES(SEVENTY "123456"), SEVENTY "123456", NULL },
		{ TEST_BYTES(SEVENTY "1234567"), SEVENTY "12345=\r\n67", NULL },
		{ TEST_BYTES(SEVENTY "123456\r\nx"), SEVENTY "123456\r\nx",
		  SEVENTY "12345=\r\n6=0D=0Ax" },
		{ TEST_BYTES(SEVENTY "12="), SEVENTY "12=3D", NULL },
		{ TEST_BYTES(SEVENTY "123="), SEVENTY "123=3D", NULL },
		{ TEST_BYTES(SEVENTY "1234="), SEVENTY "1234=\r\n=3D", NULL },
		{ TEST_BYTES(SEVENTY "123=x"), SEVENTY "123=\r\n=3Dx", NULL },
		{ TEST_BYTES(SEVENTY "1234 "), SEVENTY "1234=\r\n=20", NULL },
		{ TEST_BYTES(SEVENTY "1234 x"), SEVENTY "1234 x", NULL },
		{ TEST_BYTES(SEVENTY "1234 xy"), SEVENTY "1234 =\r\nxy", NULL },
	};
	struct test_decoding row;
	const char *want;
	buffer_t *buf;
	unsigned int i;

	for (i = 0; i < 2 * N_ELEMENTS(rows); i++) {
		want = i % 2 == 1 && rows[i / 2].binary != NULL ?
			rows[i / 2].binary :
			rows[i / 2].encoded;
		buf = test_encode(transform_create_qp_encoder(i % 2 == 1),
				  rows[i / 2].plain, rows[i / 2].size);
		if (buf->used != strlen(want) ||
		    memcmp(buf->data, want, buf->used) != 0)
			fail_msg("%s: wanted, \"%.*s\" had", want,
				 (int)buf->used, buf->data);
		buffer_free(&buf);
		memset(&row, 0, sizeof(row));
		row.name = row.in = want;
		row.in_size = strlen(want);
		row.out = rows[i / 2].plain;
		row.out_size = rows[i / 2].size;
		test_decoding(strict, &row);
	}
}

/* Legal, but not what we write. */
static void test_reading(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "small letters", TEST_BYTES("=3d=c3=aF"),
		  TEST_BYTES("=\xc3\xaf"), 0, NULL },
		{ "what needs no escape", TEST_BYTES("=41=20=09=0D=0A"),
		  TEST_BYTES("A \t\r\n"), 0, NULL },
		{ "a soft line break", TEST_BYTES("a =\r\n b"),
		  TEST_BYTES("a  b"), 0, NULL },
		{ "with LF", TEST_BYTES("a=\nb\nc"), TEST_BYTES("ab\nc"), 0,
		  NULL },
		{ "padded by a transport", TEST_BYTES("a= \t \r\nb=\t\nc"),
		  TEST_BYTES("abc"), 0, NULL },
		{ "white space before a line end",
		  TEST_BYTES("a \t \r\nb\t\n c \r\n \r\n"),
		  TEST_BYTES("a\r\nb\n c\r\n\r\n"), 0, NULL },
		{ "and at the end", TEST_BYTES("a \t "), TEST_BYTES("a"), 0,
		  NULL },
		{ "long lines", TEST_BYTES(SEVENTY SEVENTY " "),
		  TEST_BYTES(SEVENTY SEVENTY), 0, NULL },
		{ "white space before an escape", TEST_BYTES("a  =41"),
		  TEST_BYTES("a  A"), 0, NULL },
		{ "nothing but a soft line break", TEST_BYTES("=\r\n"),
		  TEST_BYTES(""), 0, NULL },
	};

	test_decodings(strict, rows, N_ELEMENTS(rows));
	test_decodings(loose, rows, N_ELEMENTS(rows));
}

/* Malformed: an error, and what came before it; or passed as it is. */
static void test_malformed(void **state ATTR_UNUSED)
{
	static const struct {
		struct test_decoding strict;
		const char *passed;
	} rows[] = {
		{ { "no digit", TEST_BYTES("a=G1b"), TEST_BYTES("a"), EINVAL,
		    "byte 0x47 behind \"=\" has no place" },
		  "a=G1b" },
		{ { "one digit", TEST_BYTES("a =4 b"), TEST_BYTES("a "), EINVAL,
		    "byte 0x20 behind \"=\"" },
		  "a =4 b" },
		{ { "one digit and a line end", TEST_BYTES("=4\r\n"),
		    TEST_BYTES(""), EINVAL, "byte 0x0d behind \"=\"" },
		  "=4\r\n" },
		{ { "two", TEST_BYTES("==3D"), TEST_BYTES(""), EINVAL,
		    "byte 0x3d behind \"=\"" },
		  "==" },
		{ { "text behind a padded one", TEST_BYTES("a= \tb"),
		    TEST_BYTES("a"), EINVAL, "byte 0x62 behind \"=\"" },
		  "a= \tb" },
		{ { "a CR behind a soft one", TEST_BYTES("a= \rb\r\n"),
		    TEST_BYTES("a"), EINVAL, "byte 0x62 behind \"=\"" },
		  "a= \rb\r\n" },
		{ { "8 bits", TEST_BYTES("a \xc3\xa4"), TEST_BYTES("a "),
		    EINVAL, "byte 0xc3 has no place" },
		  "a \xc3\xa4" },
		{ { "a control", TEST_BYTES("a\x01"), TEST_BYTES("a"), EINVAL,
		    "byte 0x01 has no place" },
		  "a\x01" },
		{ { "a lone CR", TEST_BYTES("a \rb"), TEST_BYTES("a"), EINVAL,
		    "a CR without LF" },
		  "a \rb" },
		{ { "two CR", TEST_BYTES("a\r\r\n"), TEST_BYTES("a"), EINVAL,
		    "a CR without LF" },
		  "a\r\r\n" },
		{ { "a CR at the end", TEST_BYTES("a\r"), TEST_BYTES("a"),
		    EPIPE, NULL },
		  "a\r" },
		{ { "= at the end", TEST_BYTES("a="), TEST_BYTES("a"), EPIPE,
		    NULL },
		  "a" },
		{ { "= and white space at the end", TEST_BYTES("a= "),
		    TEST_BYTES("a"), EPIPE, NULL },
		  "a" },
		{ { "half of an escape at the end", TEST_BYTES("a=C"),
		    TEST_BYTES("a"), EPIPE, NULL },
		  "a=C" },
	};
	struct test_decoding passed;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		test_decoding(strict, &rows[i].strict);
		passed = rows[i].strict;
		passed.out = rows[i].passed;
		passed.out_size = strlen(rows[i].passed);
		passed.error = 0;
		passed.text = NULL;
		test_decoding(loose, &passed);
	}
}

/* White space before what may be a line end is held; not without a bound. */
static void test_endless_white_space(void **state ATTR_UNUSED)
{
	struct test_decoding row = { .name = "white space", .out = "" };
	char blanks[601];

	memset(blanks, ' ', sizeof(blanks));
	row.in = blanks;
	row.in_size = 512;
	test_decoding(strict, &row);
	row.in_size = sizeof(blanks);
	row.error = EINVAL;
	row.text = "too much white space";
	test_decoding(strict, &row);
	/* what does not fit is text */
	row.error = 0;
	row.text = NULL;
	row.out = blanks;
	row.out_size = 512;
	test_decoding(loose, &row);
	row.out_size = sizeof(blanks);
	blanks[600] = '.';
	test_decoding(loose, &row);
}

/* Whatever the bytes are, they come back, and the lines are not too long. */
static void test_all_bytes_come_back(void **state ATTR_UNUSED)
{
	static const char letters[] = "\r\n\r\n \t=a.\xff";
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *buf;
	unsigned char data[400];
	uint32_t seed = 7;
	unsigned int i, j, column;

	for (i = 0; i < 3000; i++) {
		for (j = 0; j < sizeof(data); j++)
			data[j] = i % 3 == 0 ?
				(unsigned char)test_random(&seed) :
				(unsigned char)
					letters[test_random(&seed) %
						(i % 3 == 1 ?
							 sizeof(letters) - 1 :
							 8)];
		buf = test_encode(transform_create_qp_encoder(i % 2 == 0), data,
				  i % sizeof(data));
		assert_int_equal(
			test_decode(strict(), buf->data, buf->used, out), 0);
		assert_int_equal(out->used, i % sizeof(data));
		assert_memory_equal(out->data, data, out->used);
		for (j = column = 0; j < buf->used; j++) {
			column = buf->data[j] == '\n' ? 0 : column + 1;
			assert_true(column <=
				    76 + (buf->data[j] == '\r' ? 1 : 0));
			if (buf->data[j] == '\r' && j > 0)
				assert_null(memchr(" \t", buf->data[j - 1], 2));
		}
		buffer_free(&buf);
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_reading),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_endless_white_space),
		cmocka_unit_test(test_all_bytes_come_back),
	};

	return cmocka_run_group_tests_name("transform-qp", tests, NULL, NULL);
}
