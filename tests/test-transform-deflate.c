/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* gzip against RFC 1952, zlib against RFC 1950, deflate against RFC 1951. Files are
   put together here byte by byte; stored blocks need no compressor. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

/* RFC 1952 2.3.1 */
enum gzip_flags {
	FTEXT = 0x01,
	FHCRC = 0x02,
	FEXTRA = 0x04,
	FNAME = 0x08,
	FCOMMENT = 0x10
};

/* What is wrong with a file. */
enum damage {
	BAD_NOTHING,
	BAD_HEADER_CRC,
	BAD_CRC,
	BAD_SIZE,
	BAD_METHOD,
	BAD_MAGIC,
	BAD_STORED_LENGTH
};

static void append_le(buffer_t *buf, uint32_t value, unsigned int bytes)
{
	for (; bytes > 0; bytes--, value >>= 8)
		buffer_append_c(buf, (unsigned char)value);
}

static void append_str(buffer_t *buf, const char *str)
{
	buffer_append(buf, str, strlen(str));
}

/* RFC 1951 3.2.4: one stored block, the last. */
static void append_stored(buffer_t *buf, const char *text, bool bad_length)
{
	uint32_t size = (uint32_t)strlen(text);

	buffer_append_c(buf, 1);
	append_le(buf, size, 2);
	append_le(buf, bad_length ? size : ~size, 2);
	append_str(buf, text);
}

static void append_header(buffer_t *buf, unsigned int flags, enum damage bad)
{
	size_t start = buf->used;
	uLong crc;

	append_str(buf, bad == BAD_MAGIC ? "\x1f\x8c" : "\x1f\x8b");
	buffer_append_c(buf, bad == BAD_METHOD ? 7 : 8);
	buffer_append_c(buf, (unsigned char)flags);
	append_le(buf, 1234567890, 4);
	append_le(buf, 0x0302, 2);
	if ((flags & FEXTRA) != 0) {
		append_le(buf, 8, 2);
		buffer_append(buf, "Xy\4\0a\0bc", 8);
	}
	if ((flags & FNAME) != 0)
		buffer_append(buf, "name.txt", 9);
	if ((flags & FCOMMENT) != 0)
		buffer_append(buf, "said of it", 11);
	if ((flags & FHCRC) != 0) {
		crc = crc32(0, (const Bytef *)buf->data + start,
			    (uInt)(buf->used - start));
		append_le(buf, (uint32_t)crc ^ (bad == BAD_HEADER_CRC), 2);
	}
}

static void append_member(buffer_t *buf, unsigned int flags, const char *text,
			  enum damage bad)
{
	uint32_t size = (uint32_t)strlen(text);

	append_header(buf, flags, bad);
	append_stored(buf, text, bad == BAD_STORED_LENGTH);
	append_le(buf,
		  (uint32_t)crc32(0, (const Bytef *)text, size) ^
			  (bad == BAD_CRC),
		  4);
	append_le(buf, size ^ (bad == BAD_SIZE), 4);
}

/* A file of one member, and the answer to it. */
static void check_member(const char *name, unsigned int flags, enum damage bad,
			 const char *out, int error, const char *text)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct test_decoding row = { .name = name,
				     .out = out,
				     .out_size = strlen(out),
				     .error = error,
				     .text = text };

	append_member(buf, flags, "hello", bad);
	row.in = buf->data;
	row.in_size = buf->used;
	test_decoding(transform_create_gzip_decoder, &row);
	buffer_free(&buf);
}

static void test_gzip_header_fields(void **state ATTR_UNUSED)
{
	unsigned int flags;
	char name[32];
	buffer_t *buf;

	for (flags = 0; flags < 0x20; flags++) {
		(void)snprintf(name, sizeof(name), "flags 0x%02x", flags);
		check_member(name, flags, BAD_NOTHING, "hello", 0, NULL);
		buf = buffer_create_dynamic(default_pool, 64);
		append_member(buf, flags, "hello", BAD_NOTHING);
		test_every_cut(transform_create_gzip_decoder, buf->data,
			       buf->used, "hello", 5);
		buffer_free(&buf);
		if ((flags & FHCRC) != 0)
			check_member(name, flags, BAD_HEADER_CRC, "", EINVAL,
				     "header crc mismatch");
	}
}

static void test_gzip_reserved_flags(void **state ATTR_UNUSED)
{
	check_member("bit 5", 0x20, BAD_NOTHING, "", EINVAL, "unknown header");
	check_member("bit 6", 0x40, BAD_NOTHING, "", EINVAL, "unknown header");
	check_member("bit 7", 0x80, BAD_NOTHING, "", EINVAL, "unknown header");
}

static void test_gzip_damage(void **state ATTR_UNUSED)
{
	check_member("no gzip", 0, BAD_MAGIC, "", EINVAL, "incorrect header");
	check_member("no deflate", 0, BAD_METHOD, "", EINVAL,
		     "unknown compression method");
	check_member("a block's length", 0, BAD_STORED_LENGTH, "", EINVAL,
		     "invalid stored block lengths");
	check_member("the CRC-32", 0, BAD_CRC, "hello", EINVAL,
		     "incorrect data check");
	test_decoding(
		transform_create_gzip_decoder,
		&(struct test_decoding){ .name = "zlib",
					 .in = "\x78\x9c\x03\0\0\0\0\1",
					 .in_size = 8,
					 .out = "",
					 .error = EINVAL,
					 .text = "incorrect header check" });
	check_member("the size", 0, BAD_SIZE, "hello", EINVAL,
		     "incorrect length check");
}

/* A name may be long; it is skipped in bounded memory. */
static void test_gzip_long_fields(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 80000);
	struct test_decoding row = { .name = "long fields",
				     .out = "x",
				     .out_size = 1 };
	unsigned int i;

	buffer_append(buf, "\x1f\x8b\x08\x1c\0\0\0\0\0\xff\xff\xff", 12);
	for (i = 0; i < 65535; i++)
		buffer_append_c(buf, (unsigned char)i);
	for (i = 0; i < 5000; i++)
		buffer_append_c(buf, 'n');
	buffer_append_c(buf, 0);
	for (i = 0; i < 300; i++)
		buffer_append_c(buf, 'c');
	buffer_append_c(buf, 0);
	append_stored(buf, "x", false);
	append_le(buf, (uint32_t)crc32(0, (const Bytef *)"x", 1), 4);
	append_le(buf, 1, 4);
	row.in = buf->data;
	row.in_size = buf->used;
	test_decoding(transform_create_gzip_decoder, &row);
	buffer_free(&buf);
}

/*
 * What follows a member
 */

static void test_gzip_after_a_member(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		const char *more;
		size_t size;
		int error;
	} rows[] = {
		{ "nothing", TEST_BYTES(""), 0 },
		/* tape blocks: gzip(1) is silent, but cannot tell them from a
		   file that was written in part */
		{ "a zero", TEST_BYTES("\0"), EINVAL },
		{ "zeros", TEST_BYTES("\0\0\0\0\0\0\0\0"), EINVAL },
		{ "garbage", TEST_BYTES("garbage"), EINVAL },
		{ "a line end", TEST_BYTES("\n"), EINVAL },
		{ "half a magic", TEST_BYTES("\x1f"), EPIPE },
		{ "a magic", TEST_BYTES("\x1f\x8b"), EPIPE },
		{ "a magic and a method", TEST_BYTES("\x1f\x8b\x08"), EPIPE },
		{ "a header that is cut",
		  TEST_BYTES("\x1f\x8b\x08\0\0\0\0\0\0"), EPIPE },
		{ "half a magic and garbage", TEST_BYTES("\x1f\0"), EINVAL },
		{ "compress's magic", TEST_BYTES("\x1f\x9d\x90"), EINVAL },
		{ "a magic and another method", TEST_BYTES("\x1f\x8b\x07\0"),
		  EINVAL },
	};
	struct test_decoding row = { .out = "hello", .out_size = 5 };
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	size_t i, size;

	append_member(buf, FNAME, "hello", BAD_NOTHING);
	size = buf->used;
	for (i = 0; i < N_ELEMENTS(rows); i++) {
		buffer_set_used_size(buf, size);
		buffer_append(buf, rows[i].more, rows[i].size);
		row.name = rows[i].name;
		row.in = buf->data;
		row.in_size = buf->used;
		row.error = rows[i].error;
		test_decoding(transform_create_gzip_decoder, &row);
	}
	buffer_free(&buf);
}

static void test_gzip_members(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 256);
	struct test_decoding row = { .name = "five members",
				     .out = "one two three",
				     .out_size = 13 };

	append_member(buf, 0, "", BAD_NOTHING);
	append_member(buf, FNAME, "one ", BAD_NOTHING);
	append_member(buf, FEXTRA | FHCRC, "two ", BAD_NOTHING);
	append_member(buf, 0, "", BAD_NOTHING);
	append_member(buf, FCOMMENT, "three", BAD_NOTHING);
	row.in = buf->data;
	row.in_size = buf->used;
	test_decoding(transform_create_gzip_decoder, &row);

	/* each member has checks of its own */
	row.name = "the second member's CRC";
	buffer_set_used_size(buf, 0);
	append_member(buf, 0, "one ", BAD_NOTHING);
	append_member(buf, 0, "two ", BAD_CRC);
	append_member(buf, 0, "three", BAD_NOTHING);
	row.in = buf->data;
	row.in_size = buf->used;
	row.out_size = 8;
	row.error = EINVAL;
	row.text = "incorrect data check";
	test_decoding(transform_create_gzip_decoder, &row);
	buffer_free(&buf);
}

/* ISIZE is the size modulo 2^32 (RFC 1952 2.3.1), so a file of 4 GiB and 5 bytes
   says 5. That takes a while: make check-large. */
static void test_gzip_beyond_4_gib(void **state ATTR_UNUSED)
{
	static const unsigned char zeros[1 << 20];
	buffer_t *buf = buffer_create_dynamic(default_pool, 8 << 20);
	struct ostream *sink, *output;
	struct istream *source, *input;
	uoff_t size;
	int i;

	if (getenv("BOBBIN_LARGE") == NULL) {
		buffer_free(&buf);
		print_message("NOT RUN: BOBBIN_LARGE is not set\n");
		skip();
	}
	sink = o_stream_create_buffer(buf);
	output = o_stream_create_gzip(sink, 1);
	for (i = 0; i < 4096; i++)
		o_stream_nsend(output, zeros, sizeof(zeros));
	o_stream_nsend(output, zeros, 5);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	o_stream_destroy(&sink);
	assert_memory_equal((const char *)buf->data + buf->used - 4, "\5\0\0\0",
			    4);
	source = i_stream_create_from_data(buf->data, buf->used);
	input = i_stream_create_gzip(source);
	assert_int_equal(i_stream_get_size(input, true, &size), 1);
	assert_true(size == ((uoff_t)1 << 32) + 5);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&buf);
}

/*
 * What we write
 */

/* RFC 1952 2.3: no name and no time, which would make equal data unequal. */
static void test_gzip_header_is_plain(void **state ATTR_UNUSED)
{
	buffer_t *buf = test_encode(transform_create_gzip_encoder(6), "x", 1);

	assert_memory_equal(buf->data, "\x1f\x8b\x08\0\0\0\0\0\0", 9);
	assert_memory_equal((const char *)buf->data + buf->used - 4, "\1\0\0\0",
			    4);
	buffer_free(&buf);
}

static struct transform *(*const encoders[])(int level) = {
	transform_create_gzip_encoder, transform_create_zlib_encoder,
	transform_create_deflate_encoder
};
static struct transform *(*const decoders[])(void) = {
	transform_create_gzip_decoder, transform_create_zlib_decoder,
	transform_create_deflate_decoder
};

static void test_levels(void **state ATTR_UNUSED)
{
	const size_t size = 20000;
	unsigned char *data = test_data(TEST_DATA_TEXT, size);
	buffer_t *out = buffer_create_dynamic(default_pool, size), *buf;
	size_t i, sizes[11];
	int level;

	for (i = 0; i < N_ELEMENTS(encoders); i++) {
		for (level = -1; level <= 9; level++) {
			buf = test_encode(encoders[i](level), data, size);
			assert_int_equal(test_decode(decoders[i](), buf->data,
						     buf->used, out),
					 0);
			assert_int_equal(out->used, size);
			assert_memory_equal(out->data, data, size);
			sizes[level + 1] = buf->used;
			buffer_free(&buf);
		}
		/* stored, quick, thorough; and -1 is 6 */
		assert_true(sizes[1] > size);
		assert_true(sizes[2] < size / 2);
		assert_true(sizes[10] < sizes[2]);
		assert_int_equal(sizes[0], sizes[7]);
	}
	free(data);
	buffer_free(&out);
}

static void test_bad_levels(void **state ATTR_UNUSED)
{
	static const int levels[] = { -2, 10, 1000 };
	struct transform *t;
	size_t i, j;

	for (i = 0; i < N_ELEMENTS(encoders); i++) {
		for (j = 0; j < N_ELEMENTS(levels); j++) {
			t = encoders[i](levels[j]);
			assert_int_equal(t->error_errno, EINVAL);
			assert_non_null(
				strstr(t->error, "is not within -1 to 9"));
			transform_free(&t);
		}
	}
}

/*
 * zlib and deflate
 */

static void test_zlib(void **state ATTR_UNUSED)
{
	/* "hello" stored; its Adler-32 is 062c0215 */
#define ZLIB_HELLO "\x01\x05\0\xfa\xffhello\x06\x2c\x02\x15"
	static const struct test_decoding rows[] = {
		{ "whole", TEST_BYTES("\x78\x9c" ZLIB_HELLO),
		  TEST_BYTES("hello"), 0, NULL },
		{ "a window of 256 bytes", TEST_BYTES("\x08\x1d" ZLIB_HELLO),
		  TEST_BYTES("hello"), 0, NULL },
		{ "a preset dictionary",
		  TEST_BYTES("\x78\xbb\x12\x34\x56\x78" ZLIB_HELLO),
		  TEST_BYTES(""), EINVAL,
		  "the data needs a preset dictionary" },
		{ "the check of the header", TEST_BYTES("\x78\x9d" ZLIB_HELLO),
		  TEST_BYTES(""), EINVAL, "incorrect header check" },
		{ "another method", TEST_BYTES("\x77\x85" ZLIB_HELLO),
		  TEST_BYTES(""), EINVAL, "unknown compression method" },
		{ "a window of 64 KiB", TEST_BYTES("\x88\x1c" ZLIB_HELLO),
		  TEST_BYTES(""), EINVAL, "invalid window size" },
		{ "the Adler-32",
		  TEST_BYTES("\x78\x9c\x01\x05\0\xfa\xffhello\x06\x2c\x02\x14"),
		  TEST_BYTES("hello"), EINVAL, "incorrect data check" },
		{ "data behind it", TEST_BYTES("\x78\x9c" ZLIB_HELLO "x"),
		  TEST_BYTES("hello"), EINVAL,
		  "data after the end (at byte 16 of the input" },
		{ "another one behind it",
		  TEST_BYTES("\x78\x9c" ZLIB_HELLO "\x78\x9c" ZLIB_HELLO),
		  TEST_BYTES("hello"), EINVAL, "data after the end" },
		{ "gzip", TEST_BYTES("\x1f\x8b\x08\0\0\0\0\0\0\0"),
		  TEST_BYTES(""), EINVAL, "incorrect header check" },
	};

	test_decodings(transform_create_zlib_decoder, rows, N_ELEMENTS(rows));
	test_every_cut(transform_create_zlib_decoder, rows[0].in,
		       rows[0].in_size, "hello", 5);
}

static void test_deflate(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "stored", TEST_BYTES("\x01\x05\0\xfa\xffhello"),
		  TEST_BYTES("hello"), 0, NULL },
		{ "stored, nothing", TEST_BYTES("\x01\0\0\xff\xff"),
		  TEST_BYTES(""), 0, NULL },
		{ "two blocks",
		  TEST_BYTES("\0\2\0\xfd\xffhe\x01\3\0\xfc\xffllo"),
		  TEST_BYTES("hello"), 0, NULL },
		{ "fixed codes, nothing", TEST_BYTES("\x03\0"), TEST_BYTES(""),
		  0, NULL },
		{ "fixed codes", TEST_BYTES("\xcb\x48\xcd\xc9\xc9\x07\0"),
		  TEST_BYTES("hello"), 0, NULL },
		{ "the reserved kind of block", TEST_BYTES("\x07"),
		  TEST_BYTES(""), EINVAL, "invalid block type" },
		{ "a length that is not its complement",
		  TEST_BYTES("\x01\x05\0\xfa\xfehello"), TEST_BYTES(""), EINVAL,
		  "invalid stored block lengths" },
		/* the first code: length 3, distance 1 */
		{ "a copy from before the beginning", TEST_BYTES("\x03\x02"),
		  TEST_BYTES(""), EINVAL, "invalid distance too far back" },
		{ "data behind it", TEST_BYTES("\x03\0x"), TEST_BYTES(""),
		  EINVAL, "data after the end (at byte 2 of the input" },
	};

	test_decodings(transform_create_deflate_decoder, rows,
		       N_ELEMENTS(rows));
	test_every_cut(transform_create_deflate_decoder, rows[2].in,
		       rows[2].in_size, "hello", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gzip_header_fields),
		cmocka_unit_test(test_gzip_reserved_flags),
		cmocka_unit_test(test_gzip_damage),
		cmocka_unit_test(test_gzip_long_fields),
		cmocka_unit_test(test_gzip_after_a_member),
		cmocka_unit_test(test_gzip_members),
		cmocka_unit_test(test_gzip_beyond_4_gib),
		cmocka_unit_test(test_gzip_header_is_plain),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_bad_levels),
		cmocka_unit_test(test_zlib),
		cmocka_unit_test(test_deflate),
	};

	return cmocka_run_group_tests_name("transform-deflate", tests, NULL,
					   NULL);
}
