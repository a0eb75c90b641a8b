/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Each byte as a callback writes it. */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <stdlib.h>

/* Nothing for 'n', a long text for 'l', another byte for the others. */
static void escape(buffer_t *dest, unsigned char chr, void *context)
{
	unsigned int *calls = context;
	unsigned int i;

	++*calls;
	if (chr == 'l') {
		for (i = 0; i < 20000; i++)
			buffer_append_c(dest, (unsigned char)('0' + i % 10));
	} else if (chr != 'n') {
		buffer_append_c(dest, (unsigned char)(chr ^ 0x20));
	}
}

/* What reaches a parent that takes everything. */
static void gives(ostream_escape_callback_t *callback, void *context,
		  const char *in, size_t size, const char *want)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *s =
		o_stream_create_escaped(sink->stream, callback, context);

	assert_int_equal(o_stream_send(s, in, size), size);
	assert_int_equal(s->offset, size);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(sink->finishes, 1);
	assert_string_equal(buffer_c_str(sink->data), want);
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

static void test_callback(void **state ATTR_UNUSED)
{
	unsigned int calls = 0;

	gives(escape, &calls, "", 0, "");
	gives(escape, &calls, "abc", 3, "ABC");
	assert_int_equal(calls, 3);
	gives(escape, &calls, "nan", 3, "A");
	gives(escape, &calls, "nnn", 3, "");
	assert_int_equal(calls, 9);
}

static void test_hex_and_json(void **state ATTR_UNUSED)
{
	gives(o_stream_escaped_hex, NULL, "\0a\xff", 3, "0061ff");
	gives(o_stream_escaped_json, NULL, "\0\x1f\"\\/\b\f\n\r\t a\x7f", 13,
	      "\\u0000\\u001f\\\"\\\\/\\b\\f\\n\\r\\t a\x7f");
	gives(o_stream_escaped_json, NULL, "\xc3\xa4", 2, "\xc3\xa4");
}

/* They say what the transforms say, byte by byte. */
static void test_same_as_the_transforms(void **state ATTR_UNUSED)
{
	unsigned int i;
	buffer_t *out;
	char c[2] = "";

	for (i = 0; i < 256; i++) {
		c[0] = (char)i;
		out = test_encode(transform_create_hex_encoder(), c, 1);
		gives(o_stream_escaped_hex, NULL, c, 1, buffer_c_str(out));
		buffer_free(&out);
		if (i > 127)
			continue;
		out = test_encode(transform_create_json_encoder(), c, 1);
		gives(o_stream_escaped_json, NULL, c, 1, buffer_c_str(out));
		buffer_free(&out);
	}
}

/* A slow parent gets the same bytes, and no byte is escaped twice. */
static void test_slow_parents(void **state ATTR_UNUSED)
{
	static const char in[] = "anlbnlllc";
	struct test_sink *sink, *all = test_sink_create(SIZE_MAX, 0);
	unsigned int calls = 0, step;
	struct ostream *s;
	size_t pos;
	ssize_t ret;

	s = o_stream_create_escaped(all->stream, escape, &calls);
	assert_int_equal(o_stream_send_str(s, in), 9);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(all->data->used, 4 * 20000 + 3);
	o_stream_destroy(&s);
	for (step = 1; step < 40000; step = step * 3 + 1) {
		calls = 0;
		sink = test_sink_create(0, step);
		s = o_stream_create_escaped(sink->stream, escape, &calls);
		for (pos = 0; pos < 9; pos += (size_t)ret) {
			ret = o_stream_send(s, in + pos, 9 - pos);
			assert_in_range(ret, 0, 9 - pos);
			test_sink_allow(sink, step);
		}
		while (o_stream_finish(s) == 0)
			test_sink_allow(sink, step);
		assert_int_equal(calls, 9);
		assert_int_equal(sink->data->used, all->data->used);
		assert_memory_equal(sink->data->data, all->data->data,
				    all->data->used);
		o_stream_destroy(&s);
		test_sink_free(&sink);
	}
	test_sink_free(&all);
}

/* It is a transform like others: it reads, too, and begins anew. */
static void test_transform(void **state ATTR_UNUSED)
{
	unsigned int calls = 0;
	struct istream *input = i_stream_create_from_data("abc", 3), *s;
	buffer_t *out = buffer_create_dynamic(default_pool, 16);

	s = i_stream_create_transform(
		input, transform_create_escape_encoder(escape, &calls));
	assert_int_equal(test_read_all(s, out), 0);
	i_stream_seek(s, 1);
	assert_int_equal(test_read_all(s, out), 0);
	assert_string_equal(buffer_c_str(out), "ABCBC");
	i_stream_destroy(&s);
	i_stream_destroy(&input);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callback),
		cmocka_unit_test(test_hex_and_json),
		cmocka_unit_test(test_same_as_the_transforms),
		cmocka_unit_test(test_slow_parents),
		cmocka_unit_test(test_transform),
	};

	return cmocka_run_group_tests_name("ostream-escaped", tests, NULL,
					   NULL);
}
