/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Dovecot's lz4 container: files that are put together here byte by byte, and what
   such a format can and cannot notice. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

#define MAGIC "Dovecot-LZ4\r\x2a\x9b\xc5"
#define HEAD MAGIC "\0\1\0\0"
/* five literals; 1 literal, a match of 4 + 4 at 1 back, then 5 literals */
#define CHUNK_HELLO "\0\0\0\x06\x50hello"
#define CHUNK_MATCH "\0\0\0\x0a\x14x\1\0\x50hello"
#define HELLO HEAD CHUNK_HELLO

static void test_files_by_hand(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "a chunk", TEST_BYTES(HELLO), TEST_BYTES("hello"), 0, NULL },
		{ "no chunk", TEST_BYTES(HEAD), TEST_BYTES(""), 0, NULL },
		{ "two chunks", TEST_BYTES(HELLO CHUNK_MATCH),
		  TEST_BYTES("helloxxxxxxxxxhello"), 0, NULL },
		{ "chunks of up to 5 bytes",
		  TEST_BYTES(MAGIC "\0\0\0\5" CHUNK_HELLO CHUNK_HELLO),
		  TEST_BYTES("hellohello"), 0, NULL },
		{ "of up to a MiB", TEST_BYTES(MAGIC "\0\x10\0\0" CHUNK_HELLO),
		  TEST_BYTES("hello"), 0, NULL },

		{ "nothing", TEST_BYTES(""), TEST_BYTES(""), EPIPE, NULL },
		{ "half a magic", TEST_BYTES("Dovecot"), TEST_BYTES(""), EPIPE,
		  NULL },
		{ "half a header", TEST_BYTES(MAGIC "\0\1"), TEST_BYTES(""),
		  EPIPE, NULL },
		{ "a size that is cut", TEST_BYTES(HELLO "\0\0\0"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "a size and no block", TEST_BYTES(HELLO "\0\0\0\6"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "a block that is cut", TEST_BYTES(HELLO "\0\0\0\6\x50hell"),
		  TEST_BYTES("hello"), EPIPE, NULL },

		{ "another magic", TEST_BYTES("Dovecot-LZ5"), TEST_BYTES(""),
		  EINVAL, "not in Dovecot's lz4 format" },
		{ "an lz4 frame", TEST_BYTES("\x04\x22\x4d\x18"),
		  TEST_BYTES(""), EINVAL, "not in Dovecot's lz4 format" },
		{ "chunks of nothing", TEST_BYTES(MAGIC "\0\0\0\0" CHUNK_HELLO),
		  TEST_BYTES(""), EINVAL, "up to 0 bytes are refused" },
		{ "chunks of a MiB and one",
		  TEST_BYTES(MAGIC "\0\x10\0\1" CHUNK_HELLO), TEST_BYTES(""),
		  EINVAL, "up to 1048577 bytes are refused" },
		{ "chunks of 4 GiB",
		  TEST_BYTES(MAGIC "\xff\xff\xff\xff" CHUNK_HELLO),
		  TEST_BYTES(""), EINVAL, "up to 4294967295 bytes" },
		{ "more than its chunks may have",
		  TEST_BYTES(MAGIC "\0\0\0\4" CHUNK_HELLO), TEST_BYTES(""),
		  EINVAL, "the data is damaged" },
		{ "an empty chunk", TEST_BYTES(HELLO "\0\0\0\0"),
		  TEST_BYTES("hello"), EINVAL, "a chunk of 0 encoded bytes" },
		{ "a chunk of nothing", TEST_BYTES(HELLO "\0\0\0\1\0"),
		  TEST_BYTES("hello"), EINVAL, "the data is damaged" },
		{ "a chunk that is too large", TEST_BYTES(HELLO "\0\1\x01\x12"),
		  TEST_BYTES("hello"), EINVAL,
		  "a chunk of 65810 encoded bytes" },
		{ "the largest that may be", TEST_BYTES(HELLO "\0\1\x01\x11"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "another file behind it", TEST_BYTES(HELLO HELLO),
		  TEST_BYTES("hello"), EINVAL,
		  "a chunk of 1148155493 encoded bytes" },
		{ "a match from before the chunk",
		  TEST_BYTES(HELLO "\0\0\0\x0a\x14x\2\0\x50hello"),
		  TEST_BYTES("hello"), EINVAL, "the data is damaged" },
	};

	test_decodings(transform_create_dovecot_lz4_decoder, rows,
		       N_ELEMENTS(rows));
}

/* A file of several chunks, cut anywhere: EPIPE, but between two chunks, which nobody
   can tell from the end. */
static void test_every_cut_but_between_chunks(void **state ATTR_UNUSED)
{
	static const char file[] = HEAD CHUNK_HELLO CHUNK_HELLO CHUNK_HELLO;
	const size_t head = sizeof(HEAD) - 1, chunk = sizeof(CHUNK_HELLO) - 1;
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	size_t cut, chunks;
	bool between;

	for (cut = 0; cut < sizeof(file); cut++) {
		chunks = cut < head ? 0 : (cut - head) / chunk;
		between = cut >= head && (cut - head) % chunk == 0;
		assert_int_equal(
			test_decode(transform_create_dovecot_lz4_decoder(),
				    file, cut, out),
			between ? 0 : EPIPE);
		assert_int_equal(out->used, 5 * chunks);
		assert_memory_equal(out->data, "hellohellohello", out->used);
	}
	buffer_free(&out);
}

static void check_size_field(const buffer_t *buf, size_t at, size_t want)
{
	const unsigned char *d = buf->data + at;

	assert_true(at + 4 <= buf->used);
	assert_int_equal((uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 |
				 (uint32_t)d[2] << 8 | d[3],
			 want);
}

static void test_what_is_written(void **state ATTR_UNUSED)
{
	const size_t size = 65536 + 5;
	unsigned char *data = test_data(TEST_DATA_RANDOM, size);
	buffer_t *out = buffer_create_dynamic(default_pool, size), *buf;

	buf = test_encode(transform_create_dovecot_lz4_encoder(), "", 0);
	assert_int_equal(buf->used, 19);
	assert_memory_equal(buf->data, HEAD, 19);
	buffer_free(&buf);
	buf = test_encode(transform_create_dovecot_lz4_encoder(), "hello", 5);
	assert_int_equal(buf->used, sizeof(HELLO) - 1);
	assert_memory_equal(buf->data, HELLO, buf->used);
	buffer_free(&buf);
	/* what does not compress becomes larger: 65536 literals in one run, and
	   then a chunk of 5 bytes */
	buf = test_encode(transform_create_dovecot_lz4_encoder(), data, size);
	check_size_field(buf, 19, 65536 + 258);
	check_size_field(buf, 19 + 4 + 65536 + 258, 6);
	assert_int_equal(buf->used, 19 + 4 + 65536 + 258 + 4 + 6);
	assert_int_equal(test_decode(transform_create_dovecot_lz4_decoder(),
				     buf->data, buf->used, out),
			 0);
	assert_int_equal(out->used, size);
	assert_memory_equal(out->data, data, size);
	buffer_free(&buf);
	buffer_free(&out);
	free(data);
}

/* It has no checksum: damage to a literal is other data, without a word. What the
   documents say so of must stay true. */
static void test_damage_may_go_unseen(void **state ATTR_UNUSED)
{
	char file[] = HELLO;
	struct test_decoding row = { .name = "jello",
				     .in = file,
				     .in_size = sizeof(file) - 1,
				     .out = "jello",
				     .out_size = 5 };

	file[sizeof(file) - 6] ^= 'h' ^ 'j';
	test_decoding(transform_create_dovecot_lz4_decoder, &row);
}

/* 18 KiB that hold 4 MiB. */
static void test_bomb(void **state ATTR_UNUSED)
{
	const size_t size = 4 << 20;
	unsigned char *zeros = test_data(TEST_DATA_ZEROS, size);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	buffer_t *bomb = test_encode(transform_create_dovecot_lz4_encoder(),
				     zeros, size);
	struct istream *source =
		i_stream_create_from_data(bomb->data, bomb->used);
	struct istream *input = i_stream_create_dovecot_lz4(source);

	assert_true(bomb->used < 20000);
	i_stream_transform_set_limits(input, 100000, 0);
	assert_int_equal(test_read_all(input, out), EFBIG);
	assert_int_equal(out->used, 100000);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&bomb);
	buffer_free(&out);
	free(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_by_hand),
		cmocka_unit_test(test_every_cut_but_between_chunks),
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_damage_may_go_unseen),
		cmocka_unit_test(test_bomb),
	};

	return cmocka_run_group_tests_name("transform-dovecot-lz4", tests, NULL,
					   NULL);
}
