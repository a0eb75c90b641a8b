/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The .xz and .lzma formats: files that the public program made, damaged ones, and
   headers that ask for more memory than is allowed. */

#include "config.h"
#include "test-stream-common.h"
#include "transform-cache.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

#ifdef HAVE_LZMA

/* printf hello | xz, the same with --check=none, and nothing */
#define HELLO                                                          \
	"\xfd\x37zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0!\x01\x16\0\0\0t/"   \
	"\xe5\xa3\x01\0\x04hello\0\0\0\0\xb1\x37\xb9\xdb\xe5\xda\x1e"  \
	"\x9b\0\x01\x1d\x05\xb8-\x80\xaf\x1f\xb6\xf3}\x01\0\0\0\0\x04" \
	"YZ"
#define HELLO_NO_CHECK                                                 \
	"\xfd\x37zXZ\0\0\0\xff\x12\xd9\x41\x02\0!\x01\x16\0\0\0t/\xe5" \
	"\xa3\x01\0\x04hello\0\0\0\0\0\x01\x15\x05\xb0\xa7Yg\x06r\x9e" \
	"z\x01\0\0\0\0\0YZ"
#define EMPTY                                                          \
	"\xfd\x37zXZ\0\0\x04\xe6\xd6\xb4\x46\0\0\0\0\x1c\xdf\x44!\x1f" \
	"\xb6\xf3}\x01\0\0\0\0\x04YZ"
/* The first one, but with 2 as its kind of check, which stands for none yet; and with a
   dictionary of 1 GiB. */
#define UNKNOWN_CHECK                                                 \
	"\xfd\x37zXZ\0\0\x02\xd3s\xd7\xaf\x02\0!\x01\x16\0\0\0t/\xe5" \
	"\xa3\x01\0\x04hello\0\0\0\0\xb1\x37\xb9\xdb\xe5\xda\x1e\x9b" \
	"\0\x01\x1d\x05\xb8-\x80\xaf\x1f\xb6\xf3}\x01\0\0\0\0\x04YZ"
#define HUGE_HELLO                                                     \
	"\xfd\x37zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0!\x01$\0\0\0^\x1f"   \
	"\xc7\xf9\x01\0\x04hello\0\0\0\0\xb1\x37\xb9\xdb\xe5\xda\x1e"  \
	"\x9b\0\x01\x1d\x05\xb8-\x80\xaf\x1f\xb6\xf3}\x01\0\0\0\0\x04" \
	"YZ"
/* printf hello | xz --format=lzma, and nothing */
#define LZMA_HELLO                                                   \
	"]\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x34\x19I\xee" \
	"\x8eh!\xff\xff\xff\xb9\xe0\0\0"
#define LZMA_EMPTY                                                  \
	"]\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x83\xff\xfb" \
	"\xff\xff\xc0\0\0\0"
/* printf hello | xz --lzma2=dict=64MiB */
#define LARGE_HELLO                                                    \
	"\xfd\x37zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0!\x01\x1c\0\0\0\x10" \
	"\xcfX\xcc\x01\0\x04hello\0\0\0\0\xb1\x37\xb9\xdb\xe5\xda\x1e" \
	"\x9b\0\x01\x1d\x05\xb8-\x80\xaf\x1f\xb6\xf3}\x01\0\0\0\0\x04" \
	"YZ"
#define PADDING "\0\0\0\0"

static void test_xz_streams(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "hello", TEST_BYTES(HELLO), TEST_BYTES("hello"), 0, NULL },
		{ "no check", TEST_BYTES(HELLO_NO_CHECK), TEST_BYTES("hello"),
		  0, NULL },
		{ "nothing", TEST_BYTES(EMPTY), TEST_BYTES(""), 0, NULL },
		{ "two", TEST_BYTES(HELLO HELLO_NO_CHECK),
		  TEST_BYTES("hellohello"), 0, NULL },
		{ "an empty one between", TEST_BYTES(HELLO EMPTY HELLO),
		  TEST_BYTES("hellohello"), 0, NULL },
		{ "padding behind it", TEST_BYTES(HELLO PADDING PADDING),
		  TEST_BYTES("hello"), 0, NULL },
		{ "padding between", TEST_BYTES(HELLO PADDING HELLO PADDING),
		  TEST_BYTES("hellohello"), 0, NULL },
		{ "padding that is cut", TEST_BYTES(HELLO PADDING "\0\0\0"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "padding of five", TEST_BYTES(HELLO PADDING "\0" HELLO),
		  TEST_BYTES("hello"), EINVAL, "the padding" },
		{ "garbage behind the padding",
		  TEST_BYTES(HELLO PADDING "garbage"), TEST_BYTES("hello"),
		  EINVAL, "data after the end" },
		{ "padding first", TEST_BYTES(PADDING HELLO), TEST_BYTES(""),
		  EINVAL, "not in the xz format" },
		{ "no xz", TEST_BYTES("hello, hello"), TEST_BYTES(""), EINVAL,
		  "not in the xz format" },
		{ "garbage behind it", TEST_BYTES(HELLO "garbage"),
		  TEST_BYTES("hello"), EINVAL, "data after the end" },
		{ "a magic that is cut",
		  TEST_BYTES(HELLO "\xfd"
				   "7zX"),
		  TEST_BYTES("hello"), EPIPE, NULL },
		{ "half a magic and garbage",
		  TEST_BYTES(HELLO "\xfd"
				   "7zip.."),
		  TEST_BYTES("hello"), EINVAL, NULL },
		{ "a check that nobody knows", TEST_BYTES(UNKNOWN_CHECK),
		  TEST_BYTES(""), EINVAL, "a check of a kind" },
	};

	test_decodings(transform_create_xz_decoder, rows, N_ELEMENTS(rows));
	test_every_cut(transform_create_xz_decoder, TEST_BYTES(HELLO), "hello",
		       5);
	test_every_cut(transform_create_xz_decoder, TEST_BYTES(EMPTY), "", 0);
}

static void test_lzma_files(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "hello", TEST_BYTES(LZMA_HELLO), TEST_BYTES("hello"), 0,
		  NULL },
		{ "nothing", TEST_BYTES(LZMA_EMPTY), TEST_BYTES(""), 0, NULL },
		{ "two", TEST_BYTES(LZMA_HELLO LZMA_HELLO), TEST_BYTES("hello"),
		  EINVAL, "data after the end" },
		{ "no lzma",
		  TEST_BYTES("\xfe"
			     "ello, hello, hello"),
		  TEST_BYTES(""), EINVAL, "not in the lzma format" },
		/* the bytes of a text ask for a dictionary of 1.8 GB */
		{ "a text", TEST_BYTES("hello, hello, hello"), TEST_BYTES(""),
		  EINVAL, NULL },
	};

	test_decodings(transform_create_lzma_decoder, rows, N_ELEMENTS(rows));
	test_every_cut(transform_create_lzma_decoder, TEST_BYTES(LZMA_HELLO),
		       "hello", 5);
}

static struct transform *xz_decoder_2m(void)
{
	return transform_create_xz_memory_decoder(2 << 20);
}

static struct transform *lzma_decoder_2m(void)
{
	return transform_create_lzma_memory_decoder(2 << 20);
}

static struct transform *xz_decoder_2g(void)
{
	return transform_create_xz_memory_decoder(1ull << 31);
}

/* Whether a decoder that read one stream, and then another, waits for the next user. */
static bool is_kept(const void *first, size_t first_size, const void *second,
		    size_t second_size)
{
	struct transform *t = transform_create_xz_decoder(), *kept;
	const struct transform_class *class_ = t->class_;
	uintptr_t it = (uintptr_t)t;
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	bool same;

	(void)test_process(t, first, first_size, TRANSFORM_RUN, out, NULL);
	class_->reset(t);
	assert_int_equal(test_process(t, second, second_size, TRANSFORM_FINISH,
				      out, NULL),
			 TRANSFORM_END);
	buffer_free(&out);
	transform_free(&t);
	/* what was kept last comes first */
	kept = transform_cache_get(class_, 0);
	same = (uintptr_t)kept == it;
	transform_free(&kept);
	return same;
}

/* It would keep the memory for its dictionary, too. */
static void test_a_large_dictionary_is_not_kept(void **state ATTR_UNUSED)
{
	assert_true(is_kept(TEST_BYTES(HELLO), TEST_BYTES(HELLO)));
	assert_false(is_kept(TEST_BYTES(HELLO), TEST_BYTES(LARGE_HELLO)));
	assert_false(is_kept(TEST_BYTES(LARGE_HELLO), TEST_BYTES(EMPTY)));
}

/* The bound is each decoder's own, also where contexts are used again. HUGE_HELLO
   asks for a dictionary of 1 GiB. */
static void test_memory(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "8 MiB, and 128 allowed", TEST_BYTES(HELLO),
		  TEST_BYTES("hello"), 0, NULL },
		{ "1 GiB, and 128 MiB allowed", TEST_BYTES(HUGE_HELLO),
		  TEST_BYTES(""), EINVAL, "and 134217728 are allowed" },
		{ "8 MiB, and 2 allowed", TEST_BYTES(HELLO), TEST_BYTES(""),
		  EINVAL, "and 2097152 are allowed" },
		{ "lzma, 8 MiB, and 2 allowed", TEST_BYTES(LZMA_HELLO),
		  TEST_BYTES(""), EINVAL, "and 2097152 are allowed" },
		{ "lzma, 4 GiB, and 128 MiB allowed",
		  TEST_BYTES("\x5d\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
			     "\xff\0\x34\x19\x49\xee"),
		  TEST_BYTES(""), EINVAL, "and 134217728 are allowed" },
	};

	test_decodings(transform_create_xz_decoder, rows, 2);
	test_decodings(xz_decoder_2m, rows + 2, 1);
	test_decodings(transform_create_xz_decoder, rows, 2);
	test_decodings(xz_decoder_2g, rows, 1);
	test_decodings(lzma_decoder_2m, rows + 3, 1);
	test_decodings(transform_create_lzma_decoder, rows + 4, 1);
}

/* A few hundred bytes that hold 8 MiB. */
static void test_bombs(void **state ATTR_UNUSED)
{
	const size_t size = 8 << 20;
	unsigned char *zeros = test_data(TEST_DATA_ZEROS, size);
	buffer_t *out = buffer_create_dynamic(default_pool, 1024), *bomb;
	struct istream *source, *input;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		bomb = test_encode(i == 0 ? transform_create_xz_encoder(0) :
					    transform_create_lzma_encoder(0),
				   zeros, size);
		source = i_stream_create_from_data(bomb->data, bomb->used);
		input = i == 0 ? i_stream_create_xz(source) :
				 i_stream_create_lzma(source);
		i_stream_transform_set_limits(input, 1 << 20, 0);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(input, out), EFBIG);
		assert_int_equal(out->used, 1 << 20);
		i_stream_destroy(&input);
		i_stream_destroy(&source);
		buffer_free(&bomb);
	}
	buffer_free(&out);
	free(zeros);
}

static void check_level(unsigned int i, int level, const void *data,
			size_t size, buffer_t *out)
{
	buffer_t *buf =
		test_encode(i == 0 ? transform_create_xz_encoder(level) :
				     transform_create_lzma_encoder(level),
			    data, size);

	/* a .xz header's check: 4 is CRC-64 */
	if (i == 0)
		assert_int_equal(buf->data[7], 4);
	assert_int_equal(test_decode(i == 0 ? transform_create_xz_decoder() :
					      transform_create_lzma_decoder(),
				     buf->data, buf->used, out),
			 0);
	assert_int_equal(out->used, size);
	assert_memory_equal(out->data, data, size);
	buffer_free(&buf);
}

static void test_levels(void **state ATTR_UNUSED)
{
	static const int levels[] = { 0, 3, 6 };
	static const int bad[] = { -1, 10 };
	const size_t size = 40000;
	buffer_t *out = buffer_create_dynamic(default_pool, size);
	unsigned int i, j, kind;
	unsigned char *data;
	struct transform *t;

	for (kind = TEST_DATA_TEXT; kind <= TEST_DATA_ZEROS; kind++) {
		data = test_data((enum test_data_kind)kind, size);
		for (j = 0; j < N_ELEMENTS(levels); j++) {
			check_level(0, levels[j], data, size, out);
			check_level(1, levels[j], data, size, out);
		}
		free(data);
	}
	for (i = 0; i < 2 * N_ELEMENTS(bad); i++) {
		t = i % 2 == 0 ? transform_create_xz_encoder(bad[i / 2]) :
				 transform_create_lzma_encoder(bad[i / 2]);
		assert_int_equal(t->error_errno, EINVAL);
		assert_non_null(strstr(t->error, "is not within 0 to 9"));
		transform_free(&t);
	}
	buffer_free(&out);
}

/* A context may be used again in the middle of a stream, and of the padding. */
static void test_reset_within_a_stream(void **state ATTR_UNUSED)
{
	static const char stream[] = HELLO "\0\0";
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	struct transform *t = transform_create_xz_decoder();
	size_t cut;

	for (cut = 0; cut < sizeof(stream); cut++) {
		(void)test_process(t, stream, cut, TRANSFORM_RUN, out, NULL);
		t->class_->reset(t);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_process(t, TEST_BYTES(HELLO_NO_CHECK),
					      TRANSFORM_FINISH, out, NULL),
				 TRANSFORM_END);
		assert_int_equal(out->used, 5);
		t->class_->reset(t);
	}
	transform_free(&t);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xz_streams),
		cmocka_unit_test(test_lzma_files),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_a_large_dictionary_is_not_kept),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_reset_within_a_stream),
	};

	return cmocka_run_group_tests_name("transform-xz", tests, NULL, NULL);
}

#else

static void test_refused(void **state ATTR_UNUSED)
{
	struct transform *made[] = {
		transform_create_xz_encoder(6),
		transform_create_xz_decoder(),
		transform_create_lzma_encoder(6),
		transform_create_lzma_decoder(),
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(made); i++) {
		assert_int_equal(made[i]->error_errno, ENOTSUP);
		assert_non_null(strstr(made[i]->error, "built without xz"));
		transform_free(&made[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_refused) };

	printf("NOT RUN: this build lacks xz and lzma\n");
	return cmocka_run_group_tests_name("transform-xz", tests, NULL, NULL);
}

#endif
