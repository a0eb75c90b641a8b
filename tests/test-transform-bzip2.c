/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* bzip2: streams that the public program made, and damaged ones. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

#ifdef HAVE_BZIP2

/* printf hello | bzip2, in its parts: the block's CRC-32 stands behind its mark, the
   stream's behind the mark of the end, which the bits before it shift */
#define BLOCK "1AY&SY\x19\x31\x65\x3d"
#define REST                                                             \
	"\0\0\0\x81\0\x02\x44\xa0\0\x21\x9a\x68\x33\x4d\x07\x33\x8b\xb9" \
	"\x22\x9c\x28\x48\x0c\x98\xb2\x9e\x80"
#define HELLO "BZh9" BLOCK REST
#define EMPTY "BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0"

static void test_streams(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "hello", TEST_BYTES(HELLO), TEST_BYTES("hello"), 0, NULL },
		{ "blocks of 100 kB", TEST_BYTES("BZh1" BLOCK REST),
		  TEST_BYTES("hello"), 0, NULL },
		{ "nothing", TEST_BYTES(EMPTY), TEST_BYTES(""), 0, NULL },
		{ "two", TEST_BYTES(HELLO HELLO), TEST_BYTES("hellohello"), 0,
		  NULL },
		{ "an empty one between", TEST_BYTES(HELLO EMPTY HELLO),
		  TEST_BYTES("hellohello"), 0, NULL },
		{ "the block's checksum",
		  TEST_BYTES("BZh91AY&SY\x19\x31\x65\x3c" REST),
		  TEST_BYTES("hello"), EINVAL, "the data is damaged" },
		{ "the stream's checksum",
		  TEST_BYTES("BZh9\x17\x72\x45\x38\x50\x90\0\0\0\1"),
		  TEST_BYTES(""), EINVAL, "the data is damaged" },
		{ "the mark of a block", TEST_BYTES("BZh91AY&SX\0\0\0\0"),
		  TEST_BYTES(""), EINVAL, "the data is damaged" },
		{ "no bzip2", TEST_BYTES("hello, hello"), TEST_BYTES(""),
		  EINVAL, "not in the bzip2 format" },
		{ "blocks of nothing", TEST_BYTES("BZh0" BLOCK REST),
		  TEST_BYTES(""), EINVAL, "not in the bzip2 format" },
		{ "garbage behind it", TEST_BYTES(HELLO "\0\0\0\0"),
		  TEST_BYTES("hello"), EINVAL, "data after the end" },
		{ "a magic that is cut", TEST_BYTES(HELLO "BZh"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "half a magic and garbage", TEST_BYTES(HELLO "BZ.xyz"),
		  TEST_BYTES("hello"), EINVAL, NULL },
	};

	test_decodings(transform_create_bzip2_decoder, rows, N_ELEMENTS(rows));
	test_every_cut(transform_create_bzip2_decoder, TEST_BYTES(HELLO),
		       "hello", 5);
	test_every_cut(transform_create_bzip2_decoder, TEST_BYTES(EMPTY), "",
		       0);
}

static void test_what_is_written(void **state ATTR_UNUSED)
{
	buffer_t *buf =
		test_encode(transform_create_bzip2_encoder(9), "hello", 5);

	assert_int_equal(buf->used, sizeof(HELLO) - 1);
	assert_memory_equal(buf->data, HELLO, buf->used);
	buffer_free(&buf);
	buf = test_encode(transform_create_bzip2_encoder(9), "", 0);
	assert_int_equal(buf->used, sizeof(EMPTY) - 1);
	assert_memory_equal(buf->data, EMPTY, buf->used);
	buffer_free(&buf);
}

/* Several blocks, and text, noise and runs in them. */
static void test_levels(void **state ATTR_UNUSED)
{
	static const int bad[] = { -1, 0, 10 };
	const size_t size = 250000;
	buffer_t *out = buffer_create_dynamic(default_pool, size), *buf;
	unsigned char *data;
	struct transform *t;
	size_t i, kind;
	int level;

	for (kind = TEST_DATA_TEXT; kind <= TEST_DATA_ZEROS; kind++) {
		data = test_data((enum test_data_kind)kind, size);
		for (level = 1; level <= 9; level += 4) {
			buf = test_encode(transform_create_bzip2_encoder(level),
					  data, size);
			assert_int_equal(buf->data[3], '0' + level);
			assert_int_equal(
				test_decode(transform_create_bzip2_decoder(),
					    buf->data, buf->used, out),
				0);
			assert_int_equal(out->used, size);
			assert_memory_equal(out->data, data, size);
			buffer_free(&buf);
		}
		free(data);
	}
	for (i = 0; i < N_ELEMENTS(bad); i++) {
		t = transform_create_bzip2_encoder(bad[i]);
		assert_int_equal(t->error_errno, EINVAL);
		assert_non_null(strstr(t->error, "is not within 1 to 9"));
		transform_free(&t);
	}
	buffer_free(&out);
}

/* A context, and its memory, may be used again in the middle of a stream, also for
   blocks of another size. */
static void test_reset_within_a_stream(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	struct transform *t = transform_create_bzip2_decoder();
	size_t cut;

	for (cut = 0; cut < sizeof(HELLO); cut++) {
		(void)test_process(t, HELLO, cut, TRANSFORM_RUN, out, NULL);
		t->class_->reset(t);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_process(t, TEST_BYTES("BZh1" BLOCK REST),
					      TRANSFORM_FINISH, out, NULL),
				 TRANSFORM_END);
		assert_int_equal(out->used, 5);
		t->class_->reset(t);
	}
	transform_free(&t);
	buffer_free(&out);
}

/* A few hundred bytes that claim to be 8 MiB. */
static void test_bomb(void **state ATTR_UNUSED)
{
	const size_t size = 8 << 20;
	unsigned char *zeros = test_data(TEST_DATA_ZEROS, size);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024);
	buffer_t *bomb =
		test_encode(transform_create_bzip2_encoder(9), zeros, size);
	struct istream *source =
		i_stream_create_from_data(bomb->data, bomb->used);
	struct istream *input = i_stream_create_bzip2(source);

	assert_true(bomb->used < 1000);
	i_stream_transform_set_limits(input, 1 << 20, 0);
	assert_int_equal(test_read_all(input, out), EFBIG);
	assert_int_equal(out->used, 1 << 20);
	i_stream_destroy(&input);
	i_stream_seek(source, 0);
	input = i_stream_create_bz2(source);
	i_stream_transform_set_limits(input, 0, 1000);
	buffer_set_used_size(out, 0);
	assert_int_equal(test_read_all(input, out), EFBIG);
	/* (a ratio is judged beyond 64 KiB) */
	assert_true(out->used <= I_MAX(1000 * bomb->used, (size_t)65536));
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&bomb);
	buffer_free(&out);
	free(zeros);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_reset_within_a_stream),
		cmocka_unit_test(test_bomb),
	};

	return cmocka_run_group_tests_name("transform-bzip2", tests, NULL,
					   NULL);
}

#else

static void test_refused(void **state ATTR_UNUSED)
{
	struct transform *t = transform_create_bzip2_encoder(9);

	assert_int_equal(t->error_errno, ENOTSUP);
	transform_free(&t);
	t = transform_create_bzip2_decoder();
	assert_int_equal(t->error_errno, ENOTSUP);
	assert_non_null(strstr(t->error, "built without bzip2"));
	transform_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused) };

	printf("NOT RUN: this build lacks bzip2\n");
	return cmocka_run_group_tests_name("transform-bzip2", tests, NULL,
					   NULL);
}

#endif
