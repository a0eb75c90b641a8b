/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Zstandard against RFC 8878: frames that are put together here byte by byte, of
   blocks that need no compressor. */

#include "config.h"
#include "test-stream-common.h"
#include "transform-cache.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

#ifdef HAVE_ZSTD

#define MAGIC "\x28\xb5\x2f\xfd"
/* A window of 1 KiB; no content size, checksum or dictionary. */
#define HEAD MAGIC "\0\0"
/* RFC 8878 3.1.1.2: last, or not, and 5 bytes as they are */
#define RAW_HELLO "\x28\0\0hello"
#define LAST_HELLO "\x29\0\0hello"
#define HELLO HEAD LAST_HELLO

static void test_frames_by_hand(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "a raw block", TEST_BYTES(HELLO), TEST_BYTES("hello"), 0,
		  NULL },
		{ "an empty last block", TEST_BYTES(HEAD RAW_HELLO "\1\0\0"),
		  TEST_BYTES("hello"), 0, NULL },
		{ "nothing", TEST_BYTES(HEAD "\1\0\0"), TEST_BYTES(""), 0,
		  NULL },
		{ "one byte repeated", TEST_BYTES(HEAD "\x2b\0\0x"),
		  TEST_BYTES("xxxxx"), 0, NULL },
		{ "a single segment", TEST_BYTES(MAGIC "\x20\x05" LAST_HELLO),
		  TEST_BYTES("hello"), 0, NULL },
		{ "a checksum",
		  TEST_BYTES(MAGIC "\x04\0\1\0\0\x99\xe9\xd8\x51"),
		  TEST_BYTES(""), 0, NULL },
		{ "another checksum",
		  TEST_BYTES(MAGIC "\x04\0\1\0\0\x99\xe9\xd8\x50"),
		  TEST_BYTES(""), EINVAL, "checksum" },
		{ "more content than it says",
		  TEST_BYTES(MAGIC "\x20\x04" LAST_HELLO), TEST_BYTES(""),
		  EINVAL, "the data is damaged" },
		/* which libzstd sees only where it has all of the frame */
		{ "no content, and it says some",
		  TEST_BYTES(MAGIC "\x24\x05\1\0\0\x99\xe9\xd8\x51"),
		  TEST_BYTES(""), EINVAL, "the data is damaged" },
		{ "a second one that is not empty, as it says",
		  TEST_BYTES(MAGIC "\x20\x05" LAST_HELLO MAGIC
				   "\x20\x05\1\0\0"),
		  TEST_BYTES("hello"), EINVAL, "the data is damaged" },
		{ "a block beyond the window", TEST_BYTES(HEAD "\x09\x20\0"),
		  TEST_BYTES(""), EINVAL, "the data is damaged" },
		{ "the reserved kind of block", TEST_BYTES(HEAD "\x2f\0\0x"),
		  TEST_BYTES(""), EINVAL, "the data is damaged" },
		{ "a good block before it",
		  TEST_BYTES(HEAD RAW_HELLO "\x2f\0\0x"), TEST_BYTES("hello"),
		  EINVAL, "the data is damaged" },
		{ "good blocks before it, in a frame of known size",
		  TEST_BYTES(MAGIC "\x20\x0f" RAW_HELLO RAW_HELLO "\x2f\0\0x"),
		  TEST_BYTES("hellohello"), EINVAL, "the data is damaged" },
		{ "good blocks and another checksum",
		  TEST_BYTES(MAGIC "\x24\x0a" RAW_HELLO LAST_HELLO "\1\2\3\4"),
		  TEST_BYTES("hellohello"), EINVAL, "checksum" },
		{ "a good frame, and a good block",
		  TEST_BYTES(HELLO HEAD RAW_HELLO RAW_HELLO "\x2f\0\0x"),
		  TEST_BYTES("hellohellohello"), EINVAL,
		  "the data is damaged" },
		{ "the reserved bit", TEST_BYTES(MAGIC "\x08\0" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, "nsupported" },

		{ "two frames", TEST_BYTES(HELLO HELLO),
		  TEST_BYTES("hellohello"), 0, NULL },
		{ "an empty frame between",
		  TEST_BYTES(HELLO HEAD "\1\0\0" HELLO),
		  TEST_BYTES("hellohello"), 0, NULL },

		{ "no zstd", TEST_BYTES("hello, hello"), TEST_BYTES(""), EINVAL,
		  "the data is damaged" },
		{ "garbage behind it", TEST_BYTES(HELLO "\0\0\0\0"),
		  TEST_BYTES("hello"), EINVAL, "data after the end" },
		{ "a magic that is cut", TEST_BYTES(HELLO "\x28\xb5\x2f"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "a skipped one's magic that is cut", TEST_BYTES(HELLO "\x53"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "half a magic and garbage", TEST_BYTES(HELLO "\x28\xb5..xyz"),
		  TEST_BYTES("hello"), EINVAL, NULL },
	};

	test_decodings(transform_create_zstd_decoder, rows, N_ELEMENTS(rows));
	test_every_cut(transform_create_zstd_decoder, rows[1].in,
		       rows[1].in_size, "hello", 5);
	test_skippable_frames(transform_create_zstd_decoder, TEST_BYTES(HELLO));
}

/* RFC 8878 3.1.1.1.2: 2^(10 + exponent) * (1 + mantissa / 8) */
static void test_window(void **state ATTR_UNUSED)
{
	static const char text[] = "the data needs a window of more than "
				   "2^27 bytes, which is refused (the option "
				   "window=31 allows every file)";
	static const struct test_decoding rows[] = {
		{ "8 MiB", TEST_BYTES(MAGIC "\0\x68" LAST_HELLO),
		  TEST_BYTES("hello"), 0, NULL },
		{ "128 MiB", TEST_BYTES(MAGIC "\0\x88" LAST_HELLO),
		  TEST_BYTES("hello"), 0, NULL },
		{ "144 MiB", TEST_BYTES(MAGIC "\0\x89" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, text },
		{ "2 GiB, as --long=31", TEST_BYTES(MAGIC "\0\xa8" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, text },
		{ "a TiB and more", TEST_BYTES(MAGIC "\0\xff" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, text },
		{ "a single segment of 4 GiB",
		  TEST_BYTES(MAGIC "\xa0\xff\xff\xff\xff" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, text },
	};

	test_decodings(transform_create_zstd_decoder, rows, N_ELEMENTS(rows));
}

/* Whether a decoder that read this waits for the next user. */
static bool is_kept(const void *data, size_t size)
{
	struct transform *t = transform_create_zstd_decoder(), *kept;
	const struct transform_class *class_ = t->class_;
	uintptr_t it = (uintptr_t)t;
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	bool same;

	assert_int_equal(test_process(t, data, size, TRANSFORM_RUN, out, NULL),
			 TRANSFORM_END);
	buffer_free(&out);
	transform_free(&t);
	/* what was kept last comes first */
	kept = transform_cache_get(class_, 27);
	same = (uintptr_t)kept == it;
	transform_free(&kept);
	return same;
}

/* It would keep the memory for its window, too. */
static void test_a_large_window_is_not_kept(void **state ATTR_UNUSED)
{
	assert_true(is_kept(TEST_BYTES(HELLO)));
	assert_true(is_kept(TEST_BYTES(MAGIC "\0\x68" LAST_HELLO)));
	assert_false(is_kept(TEST_BYTES(MAGIC "\0\x88" LAST_HELLO)));
}

static struct transform *decoder_10(void)
{
	return transform_create_zstd_window_decoder(10);
}

static struct transform *decoder_28(void)
{
	return transform_create_zstd_window_decoder(28);
}

/* The bound is each decoder's own, also where contexts are used again. */
static void test_window_option(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "1 KiB", TEST_BYTES(MAGIC "\0\0" LAST_HELLO),
		  TEST_BYTES("hello"), 0, NULL },
		{ "1 KiB and 128", TEST_BYTES(MAGIC "\0\1" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, "more than 2^10 bytes" },
		{ "144 MiB", TEST_BYTES(MAGIC "\0\x89" LAST_HELLO),
		  TEST_BYTES("hello"), 0, NULL },
		{ "2 GiB", TEST_BYTES(MAGIC "\0\xa8" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, "more than 2^28 bytes" },
	};
	static const int bad[] = { -1, 0, 9, 32 };
	struct transform *t;
	size_t i;

	test_decodings(decoder_10, rows, 2);
	test_decodings(decoder_28, rows + 2, 2);
	test_decodings(decoder_10, rows, 2);
	for (i = 0; i < N_ELEMENTS(bad); i++) {
		t = transform_create_zstd_window_decoder(bad[i]);
		assert_int_equal(t->error_errno, EINVAL);
		assert_non_null(strstr(t->error, "is not within 10 to 3"));
		transform_free(&t);
	}
}

static void test_dictionary_id(void **state ATTR_UNUSED)
{
	static const char text[] = "the data needs a dictionary, which is not "
				   "supported";
	static const struct test_decoding rows[] = {
		{ "1 byte", TEST_BYTES(MAGIC "\1\0\7" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, text },
		{ "2 bytes", TEST_BYTES(MAGIC "\2\0\7\7" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, text },
		{ "4 bytes", TEST_BYTES(MAGIC "\3\0\7\7\7\7" LAST_HELLO),
		  TEST_BYTES(""), EINVAL, text },
		{ "in the second frame",
		  TEST_BYTES(HELLO MAGIC "\1\0\7" LAST_HELLO),
		  TEST_BYTES("hello"), EINVAL, text },
		{ "0 is none", TEST_BYTES(MAGIC "\1\0\0" LAST_HELLO),
		  TEST_BYTES("hello"), 0, NULL },
	};

	test_decodings(transform_create_zstd_decoder, rows, N_ELEMENTS(rows));
}

/* A context may be used again in the middle of a frame. */
static void test_reset_within_a_frame(void **state ATTR_UNUSED)
{
	static const char frame[] = MAGIC "\x24\x05" LAST_HELLO "\0\0\0";
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	struct transform *t = transform_create_zstd_decoder();
	size_t cut;

	for (cut = 0; cut < sizeof(frame); cut++) {
		(void)test_process(t, frame, cut, TRANSFORM_RUN, out, NULL);
		t->class_->reset(t);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_process(t, TEST_BYTES(HELLO),
					      TRANSFORM_FINISH, out, NULL),
				 TRANSFORM_END);
		assert_int_equal(out->used, 5);
		t->class_->reset(t);
	}
	transform_free(&t);
	buffer_free(&out);
}

static void test_levels(void **state ATTR_UNUSED)
{
	static const int levels[] = { -5, 1, 3, 9, 19 };
	static const int bad[] = { 0, 23, -1000000 };
	const size_t size = 20000;
	unsigned char *data = test_data(TEST_DATA_TEXT, size);
	buffer_t *out = buffer_create_dynamic(default_pool, size), *buf;
	size_t i, sizes[N_ELEMENTS(levels)];
	struct transform *t;

	for (i = 0; i < N_ELEMENTS(levels); i++) {
		buf = test_encode(transform_create_zstd_encoder(levels[i]),
				  data, size);
		/* with a checksum of the content */
		assert_true((buf->data[4] & 0x04) != 0);
		assert_int_equal(test_decode(transform_create_zstd_decoder(),
					     buf->data, buf->used, out),
				 0);
		assert_int_equal(out->used, size);
		assert_memory_equal(out->data, data, size);
		sizes[i] = buf->used;
		buffer_free(&buf);
	}
	assert_true(sizes[1] < sizes[0] && sizes[4] < sizes[1]);
	for (i = 0; i < N_ELEMENTS(bad); i++) {
		t = transform_create_zstd_encoder(bad[i]);
		assert_int_equal(t->error_errno, EINVAL);
		assert_non_null(strstr(t->error, "is not within 1 to 22"));
		transform_free(&t);
	}
	free(data);
	buffer_free(&out);
}

/* Corked, a small input is gathered until it is known how large it is (RFC 8878
   3.1.1.1: a single segment, whose window is its content): the compressor takes
   smaller tables then. */
static void test_a_small_input_has_its_size(void **state ATTR_UNUSED)
{
	static const struct {
		bool corked;
		size_t piece, size;
		bool known;
	} rows[] = {
		{ true, 64, 10000, true },     { true, 5000, 10000, true },
		{ true, 10000, 10000, true },  { true, 20000, 30000, true },
		{ true, 30000, 60000, false }, { true, 40000, 40000, false },
		{ false, 5000, 10000, false },
	};
	unsigned char *data = test_data(TEST_DATA_TEXT, 60000);
	buffer_t *sent, *out = buffer_create_dynamic(default_pool, 1024);
	struct ostream *sink, *output;
	size_t i, pos, n;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		sent = buffer_create_dynamic(default_pool, 1024);
		sink = o_stream_create_buffer(sent);
		output = o_stream_create_zstd(sink, 3);
		o_stream_unref(&sink);
		if (rows[i].corked)
			o_stream_cork(output);
		for (pos = 0; pos < rows[i].size; pos += n) {
			n = I_MIN(rows[i].piece, rows[i].size - pos);
			assert_int_equal(o_stream_send(output, data + pos, n),
					 n);
		}
		assert_int_equal(o_stream_finish(output), 1);
		o_stream_destroy(&output);
		if (((sent->data[4] & 0x20) != 0) != rows[i].known)
			fail_msg("row %zu", i);
		assert_int_equal(test_decode(transform_create_zstd_decoder(),
					     sent->data, sent->used, out),
				 0);
		assert_int_equal(out->used, rows[i].size);
		assert_memory_equal(out->data, data, out->used);
		buffer_free(&sent);
	}
	free(data);
	buffer_free(&out);
}

/* The threads are there while it is open, and what they make is a file like any
   other. */
static void test_threads_of_a_stream(void **state ATTR_UNUSED)
{
	const size_t size = 3000000;
	unsigned char *data = test_data(TEST_DATA_TEXT, size);
	buffer_t *buf = buffer_create_dynamic(default_pool, size);
	buffer_t *out = buffer_create_dynamic(default_pool, size);
	unsigned int before = test_count_threads(), threads, left;
	struct ostream *end, *s;

	for (threads = 0; threads <= 2; threads++) {
		buffer_set_used_size(buf, 0);
		end = o_stream_create_buffer(buf);
		s = o_stream_create_zstd_threads(end, 1, threads);
		assert_int_equal(o_stream_send(s, data, size), size);
		assert_int_equal(test_count_threads(), before + threads);
		assert_int_equal(o_stream_flush(s), 1);
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&s);
		o_stream_destroy(&end);
		for (left = 1000000; test_count_threads() != before; left--)
			assert_true(left > 0);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_decode(transform_create_zstd_decoder(),
					     buf->data, buf->used, out),
				 0);
		assert_int_equal(out->used, size);
		assert_memory_equal(out->data, data, size);
	}
	end = o_stream_create_null();
	s = o_stream_create_zstd_threads(end, 1, 65);
	assert_int_equal(s->stream_errno, EINVAL);
	assert_non_null(strstr(o_stream_get_error(s), "65 threads"));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
	buffer_free(&out);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_by_hand),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_a_large_window_is_not_kept),
		cmocka_unit_test(test_window_option),
		cmocka_unit_test(test_dictionary_id),
		cmocka_unit_test(test_reset_within_a_frame),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_a_small_input_has_its_size),
		cmocka_unit_test(test_threads_of_a_stream),
	};

	return cmocka_run_group_tests_name("transform-zstd", tests, NULL, NULL);
}

#else

static void test_refused(void **state ATTR_UNUSED)
{
	struct transform *t = transform_create_zstd_encoder(3);

	assert_int_equal(t->error_errno, ENOTSUP);
	transform_free(&t);
	t = transform_create_zstd_decoder();
	assert_int_equal(t->error_errno, ENOTSUP);
	assert_non_null(strstr(t->error, "built without zstd"));
	transform_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused) };

	printf("NOT RUN: this build lacks zstd\n");
	return cmocka_run_group_tests_name("transform-zstd", tests, NULL, NULL);
}

#endif
