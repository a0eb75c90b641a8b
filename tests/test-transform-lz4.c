/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The LZ4 frame format: frames of every kind that liblz4 can write, and the ones
   that are put together here byte by byte. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <lz4frame.h>
#include <stdlib.h>

/* Flags 0x60 (independent blocks), blocks of 64 KiB, and their checksum. */
#define HEAD "\x04\x22\x4d\x18\x60\x40\x82"
#define STORED_HELLO "\x05\0\0\x80hello"
#define END "\0\0\0\0"
#define HELLO HEAD STORED_HELLO END

static const struct {
	const char *name;
	LZ4F_frameInfo_t info;
} kinds[] = {
	{ "plain", { .blockMode = LZ4F_blockIndependent } },
	{ "linked", { .blockMode = LZ4F_blockLinked } },
	{ "content checksum",
	  { .contentChecksumFlag = LZ4F_contentChecksumEnabled } },
	{ "block checksums",
	  { .blockChecksumFlag = LZ4F_blockChecksumEnabled } },
	{ "content size", { .contentSize = 1 } },
	{ "everything",
	  { .blockSizeID = LZ4F_max64KB,
	    .blockMode = LZ4F_blockLinked,
	    .contentChecksumFlag = LZ4F_contentChecksumEnabled,
	    .blockChecksumFlag = LZ4F_blockChecksumEnabled,
	    .contentSize = 1 } },
	{ "256 KiB",
	  { .blockSizeID = LZ4F_max256KB,
	    .blockMode = LZ4F_blockIndependent } },
	{ "1 MiB",
	  { .blockSizeID = LZ4F_max1MB, .blockMode = LZ4F_blockLinked } },
	{ "4 MiB",
	  { .blockSizeID = LZ4F_max4MB, .blockMode = LZ4F_blockIndependent } },
};

/* liblz4's frame of that kind; contentSize stands for whether there is one. */
static buffer_t *make_frame(const LZ4F_frameInfo_t *info, const void *data,
			    size_t size)
{
	LZ4F_preferences_t prefs;
	buffer_t *buf;
	size_t bound, ret;

	memset(&prefs, 0, sizeof(prefs));
	prefs.frameInfo = *info;
	if (info->contentSize != 0)
		prefs.frameInfo.contentSize = size;
	bound = LZ4F_compressFrameBound(size, &prefs);
	buf = buffer_create_dynamic(default_pool, bound);
	ret = LZ4F_compressFrame(buffer_append_space_unsafe(buf, bound), bound,
				 data, size, &prefs);
	assert_false(LZ4F_isError(ret));
	buffer_set_used_size(buf, ret);
	return buf;
}

static void test_every_kind_of_frame(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 1, 1000, 65536, 65537, 300000 };
	static const enum test_data_kind contents[] = { TEST_DATA_TEXT,
							TEST_DATA_RANDOM,
							TEST_DATA_ZEROS };
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *frame;
	unsigned char *data;
	size_t i, j, k;

	for (j = 0; j < N_ELEMENTS(contents); j++) {
		data = test_data(contents[j], sizes[N_ELEMENTS(sizes) - 1]);
		for (k = 0; k < N_ELEMENTS(sizes); k++) {
			for (i = 0; i < N_ELEMENTS(kinds); i++) {
				frame = make_frame(&kinds[i].info, data,
						   sizes[k]);
				if (test_decode(transform_create_lz4_decoder(),
						frame->data, frame->used,
						out) != 0)
					fail_msg("%s, %zu bytes: %s",
						 kinds[i].name, sizes[k],
						 test_stream_error);
				assert_int_equal(out->used, sizes[k]);
				if (sizes[k] > 0)
					assert_memory_equal(out->data, data,
							    sizes[k]);
				buffer_free(&frame);
			}
		}
		free(data);
	}
	buffer_free(&out);
}

static void test_every_kind_cut(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, 200);
	buffer_t *frame;
	size_t i;

	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		frame = make_frame(&kinds[i].info, data, 200);
		test_every_cut(transform_create_lz4_decoder, frame->data,
			       frame->used, data, 200);
		buffer_free(&frame);
	}
	test_every_cut(transform_create_lz4_decoder, TEST_BYTES(HELLO), "hello",
		       5);
	free(data);
}

/* Where a frame has a checksum: the last byte, or one before it, is another. */
static void test_checksums(void **state ATTR_UNUSED)
{
	static const char plain[] = "hello hello hello hello hello hello!";
	static const struct {
		const char *name;
		LZ4F_frameInfo_t info;
		size_t from_end, out_size;
		const char *text;
	} rows[] = {
		{ "the content's",
		  { .contentChecksumFlag = LZ4F_contentChecksumEnabled },
		  1,
		  sizeof(plain),
		  "contentChecksum" },
		/* before the end mark; nothing of the block may be seen */
		{ "the block's",
		  { .blockChecksumFlag = LZ4F_blockChecksumEnabled },
		  5,
		  0,
		  "blockChecksum" },
		{ "a byte of the block",
		  { .blockChecksumFlag = LZ4F_blockChecksumEnabled },
		  9,
		  0,
		  "blockChecksum" },
	};
	struct test_decoding row = { .out = plain, .error = EINVAL };
	unsigned char *damaged;
	buffer_t *frame;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		frame = make_frame(&rows[i].info, plain, sizeof(plain));
		assert_true(frame->used < sizeof(plain));
		damaged = malloc(frame->used);
		assert_non_null(damaged);
		memcpy(damaged, frame->data, frame->used);
		damaged[frame->used - rows[i].from_end] ^= 1;
		row.name = rows[i].name;
		row.in = damaged;
		row.in_size = frame->used;
		row.out_size = rows[i].out_size;
		row.text = rows[i].text;
		test_decoding(transform_create_lz4_decoder, &row);
		free(damaged);
		buffer_free(&frame);
	}
}

/* A size in the header that the content does not have. */
static void test_wrong_content_size(void **state ATTR_UNUSED)
{
	static const unsigned long long sizes[] = { 4, 6, 1ull << 40 };
	struct test_decoding row = { .name = "content size",
				     .out = "hello",
				     .out_size = 5,
				     .error = EINVAL,
				     .text = "frameSize_wrong" };
	LZ4F_preferences_t prefs;
	LZ4F_cctx *ctx;
	unsigned char frame[1 << 17];
	size_t i, size;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		memset(&prefs, 0, sizeof(prefs));
		prefs.frameInfo.contentSize = sizes[i];
		assert_int_equal(
			LZ4F_createCompressionContext(&ctx, LZ4F_VERSION), 0);
		size = LZ4F_compressBegin(ctx, frame, sizeof(frame), &prefs);
		assert_false(LZ4F_isError(size));
		memcpy(frame + size, STORED_HELLO END,
		       sizeof(STORED_HELLO END) - 1);
		row.in = frame;
		row.in_size = size + sizeof(STORED_HELLO END) - 1;
		test_decoding(transform_create_lz4_decoder, &row);
		(void)LZ4F_freeCompressionContext(ctx);
	}
}

static void test_frames_by_hand(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "a stored block", TEST_BYTES(HELLO), TEST_BYTES("hello"), 0,
		  NULL },
		{ "no block", TEST_BYTES(HEAD END), TEST_BYTES(""), 0, NULL },
		{ "literals only", TEST_BYTES(HEAD "\x06\0\0\0\x50hello" END),
		  TEST_BYTES("hello"), 0, NULL },
		/* 1 literal, a match of 4 + 4 at 1 back, then 5 literals */
		{ "a match",
		  TEST_BYTES(HEAD "\x0a\0\0\0\x14x\1\0\x50hello" END),
		  TEST_BYTES("xxxxxxxxxhello"), 0, NULL },
		{ "a match from before the beginning",
		  TEST_BYTES(HEAD "\x0a\0\0\0\x14x\2\0\x50hello" END),
		  TEST_BYTES(""), EINVAL, "the data is damaged" },
		{ "a block that is too large",
		  TEST_BYTES(HEAD "\x01\0\x01\x80"), TEST_BYTES(""), EINVAL,
		  "maxBlockSize_invalid" },
		{ "two frames", TEST_BYTES(HELLO HELLO),
		  TEST_BYTES("hellohello"), 0, NULL },
		{ "an empty frame between", TEST_BYTES(HELLO HEAD END HELLO),
		  TEST_BYTES("hellohello"), 0, NULL },

		{ "the header's checksum",
		  TEST_BYTES("\x04\x22\x4d\x18\x60\x40\x83" STORED_HELLO END),
		  TEST_BYTES(""), EINVAL, "headerChecksum_invalid" },
		{ "another version",
		  TEST_BYTES("\x04\x22\x4d\x18\xa0\x40\x82" STORED_HELLO END),
		  TEST_BYTES(""), EINVAL, "headerVersion_wrong" },
		{ "a reserved flag",
		  TEST_BYTES("\x04\x22\x4d\x18\x62\x40\x82" STORED_HELLO END),
		  TEST_BYTES(""), EINVAL, "reservedFlag_set" },
		{ "a reserved bit of the block size",
		  TEST_BYTES("\x04\x22\x4d\x18\x60\xc0\x82" STORED_HELLO END),
		  TEST_BYTES(""), EINVAL, "reservedFlag_set" },
		{ "blocks of less than 64 KiB",
		  TEST_BYTES("\x04\x22\x4d\x18\x60\x30\x82" STORED_HELLO END),
		  TEST_BYTES(""), EINVAL, "maxBlockSize_invalid" },
		{ "a dictionary",
		  TEST_BYTES("\x04\x22\x4d\x18\x61\x40\7\0\0\0\x82"),
		  TEST_BYTES(""), EINVAL,
		  "the data needs a dictionary, which is not supported" },
		{ "the legacy format",
		  TEST_BYTES("\x02\x21\x4c\x18\x06\0\0\0\x50hello"),
		  TEST_BYTES(""), EINVAL,
		  "in the legacy lz4 format, which is not supported" },
		{ "no lz4", TEST_BYTES("hello, hello"), TEST_BYTES(""), EINVAL,
		  "frameType_unknown" },

		{ "garbage behind it", TEST_BYTES(HELLO "\0\0\0\0"),
		  TEST_BYTES("hello"), EINVAL, "data after the end" },
		{ "a legacy frame behind it",
		  TEST_BYTES(HELLO "\x02\x21\x4c\x18\x06\0\0\0\x50hello"),
		  TEST_BYTES("hello"), EINVAL, "data after the end" },
		{ "a magic that is cut", TEST_BYTES(HELLO "\x04\x22\x4d"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "a skipped one's magic that is cut", TEST_BYTES(HELLO "\x53"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "half a magic and garbage", TEST_BYTES(HELLO "\x04\x22..xyz"),
		  TEST_BYTES("hello"), EINVAL, NULL },
	};

	test_decodings(transform_create_lz4_decoder, rows, N_ELEMENTS(rows));
	test_skippable_frames(transform_create_lz4_decoder, TEST_BYTES(HELLO));
}

/* A context may be used again in the middle of a frame: nothing of that frame, not
   even the size it should have, is left. */
static void test_reset_within_a_frame(void **state ATTR_UNUSED)
{
	const LZ4F_frameInfo_t info = {
		.contentSize = 1,
		.contentChecksumFlag = LZ4F_contentChecksumEnabled,
	};
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	buffer_t *frame = make_frame(&info, "other", 5);
	struct transform *t = transform_create_lz4_decoder();
	size_t cut;

	for (cut = 0; cut < frame->used; cut++) {
		(void)test_process(t, frame->data, cut, TRANSFORM_RUN, out,
				   NULL);
		t->class_->reset(t);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_process(t, TEST_BYTES(HELLO),
					      TRANSFORM_FINISH, out, NULL),
				 TRANSFORM_END);
		assert_int_equal(out->used, 5);
		t->class_->reset(t);
	}
	transform_free(&t);
	buffer_free(&frame);
	buffer_free(&out);
}

/* The id says that the data is not to be had without a dictionary, also where it
   could be decoded. */
static void test_dictionary_id(void **state ATTR_UNUSED)
{
	const LZ4F_frameInfo_t info = { .dictID = 7 };
	buffer_t *frame = make_frame(&info, "hello", 5);
	struct test_decoding row = { .name = "dictionary",
				     .in = frame->data,
				     .in_size = frame->used,
				     .out = "",
				     .error = EINVAL,
				     .text = "the data needs a dictionary" };

	test_decoding(transform_create_lz4_decoder, &row);
	buffer_free(&frame);
}

/* What we write: linked blocks of 64 KiB and a checksum of the content. */
static void test_what_is_written(void **state ATTR_UNUSED)
{
	buffer_t *buf = test_encode(transform_create_lz4_encoder(1), "", 0);

	/* the empty content's checksum is 02cc5d05 */
	assert_int_equal(buf->used, 15);
	assert_memory_equal(buf->data,
			    "\x04\x22\x4d\x18\x44\x40\x5e" END
			    "\x05\x5d\xcc\x02",
			    15);
	buffer_free(&buf);
}

static void test_levels(void **state ATTR_UNUSED)
{
	const size_t size = 20000;
	unsigned char *data = test_data(TEST_DATA_TEXT, size);
	buffer_t *out = buffer_create_dynamic(default_pool, size), *buf;
	size_t sizes[13];
	struct transform *t;
	int level;

	for (level = 0; level <= 12; level++) {
		buf = test_encode(transform_create_lz4_encoder(level), data,
				  size);
		assert_int_equal(test_decode(transform_create_lz4_decoder(),
					     buf->data, buf->used, out),
				 0);
		assert_int_equal(out->used, size);
		assert_memory_equal(out->data, data, size);
		sizes[level] = buf->used;
		buffer_free(&buf);
	}
	assert_true(sizes[1] < size && sizes[9] < sizes[1]);
	assert_true(sizes[12] <= sizes[9]);
	for (level = -1; level <= 13; level += 14) {
		t = transform_create_lz4_encoder(level);
		assert_int_equal(t->error_errno, EINVAL);
		assert_non_null(strstr(t->error, "is not within 0 to 12"));
		transform_free(&t);
	}
	free(data);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_of_frame),
		cmocka_unit_test(test_every_kind_cut),
		cmocka_unit_test(test_checksums),
		cmocka_unit_test(test_wrong_content_size),
		cmocka_unit_test(test_frames_by_hand),
		cmocka_unit_test(test_reset_within_a_frame),
		cmocka_unit_test(test_dictionary_id),
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests_name("transform-lz4", tests, NULL, NULL);
}
