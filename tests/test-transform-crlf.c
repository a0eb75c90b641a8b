/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Line ends: every text of CR, LF and a letter up to seven bytes, cut at every
   place, against what the header says about them. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#define LONGEST 7

/* The n-th text of that length over the three bytes. */
static void make_text(char *text, size_t length, size_t n)
{
	size_t i;

	for (i = 0; i < length; i++, n /= 3)
		text[i] = "\r\nx"[n % 3];
}

/* Every LF that follows no CR becomes CRLF. */
static size_t model_encode(const char *text, size_t length, char *out)
{
	size_t i, size = 0;

	for (i = 0; i < length; i++) {
		if (text[i] == '\n' && (i == 0 || text[i - 1] != '\r'))
			out[size++] = '\r';
		out[size++] = text[i];
	}
	return size;
}

/* Every CRLF becomes LF. */
static size_t model_decode(const char *text, size_t length, char *out)
{
	size_t i, size = 0;

	for (i = 0; i < length; i++) {
		if (text[i] != '\r' || i + 1 == length || text[i + 1] != '\n')
			out[size++] = text[i];
	}
	return size;
}

static void run_all(struct transform *t,
		    size_t (*model)(const char *text, size_t length, char *out),
		    enum transform_status at_end)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	size_t length, n, count = 1, split, want_size;
	char text[LONGEST], want[2 * LONGEST];

	for (length = 0; length <= LONGEST; length++, count *= 3) {
		for (n = 0; n < count; n++) {
			make_text(text, length, n);
			want_size = model(text, length, want);
			for (split = 0; split <= length; split++) {
				buffer_set_used_size(out, 0);
				t->class_->reset(t);
				assert_int_equal(test_process(t, text, split,
							      TRANSFORM_RUN,
							      out, NULL),
						 TRANSFORM_NEED_IN);
				assert_int_equal(test_process(t, text + split,
							      length - split,
							      TRANSFORM_FINISH,
							      out, NULL),
						 at_end);
				assert_int_equal(out->used, want_size);
				if (want_size > 0)
					assert_memory_equal(out->data, want,
							    want_size);
			}
		}
	}
	buffer_free(&out);
}

static void test_encoder_is_the_model(void **state ATTR_UNUSED)
{
	struct transform *t = transform_create_crlf_encoder();

	run_all(t, model_encode, TRANSFORM_DONE);
	transform_free(&t);
}

static void test_decoder_is_the_model(void **state ATTR_UNUSED)
{
	struct transform *t = transform_create_crlf_decoder();

	run_all(t, model_decode, TRANSFORM_END);
	transform_free(&t);
}

static void test_decoder(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "nothing", TEST_BYTES(""), TEST_BYTES(""), 0, NULL },
		{ "lines", TEST_BYTES("a\r\nb\r\n"), TEST_BYTES("a\nb\n"), 0,
		  NULL },
		{ "bare ones stay", TEST_BYTES("a\rb\nc"),
		  TEST_BYTES("a\rb\nc"), 0, NULL },
		{ "CR CR LF", TEST_BYTES("a\r\r\n"), TEST_BYTES("a\r\n"), 0,
		  NULL },
		{ "a CR at the end", TEST_BYTES("a\r"), TEST_BYTES("a\r"), 0,
		  NULL },
		{ "only CRs", TEST_BYTES("\r\r\r"), TEST_BYTES("\r\r\r"), 0,
		  NULL },
		{ "NUL and 8 bits", TEST_BYTES("\0\xff\r\n\0"),
		  TEST_BYTES("\0\xff\n\0"), 0, NULL },
	};

	test_decodings(transform_create_crlf_decoder, rows, N_ELEMENTS(rows));
}

/* A flush must not put out a CR whose LF may follow, nor lose it. */
static void test_flush_between_cr_and_lf(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *output = o_stream_create_transform(
		sink->stream, transform_create_crlf_decoder());

	assert_int_equal(o_stream_send(output, "a\r", 2), 2);
	assert_int_equal(o_stream_flush(output), 1);
	assert_int_equal(sink->data->used, 1);
	assert_int_equal(o_stream_send(output, "\n\r", 2), 2);
	assert_int_equal(o_stream_finish(output), 1);
	assert_int_equal(sink->data->used, 3);
	assert_memory_equal(sink->data->data, "a\n\r", 3);
	o_stream_destroy(&output);
	test_sink_free(&sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoder_is_the_model),
		cmocka_unit_test(test_decoder_is_the_model),
		cmocka_unit_test(test_decoder),
		cmocka_unit_test(test_flush_between_cr_and_lf),
	};

	return cmocka_run_group_tests_name("transform-crlf", tests, NULL, NULL);
}
