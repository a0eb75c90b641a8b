/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Copying text up to what the SMTP wire form treats in a special way, in large steps
   as in small ones; and the end of the text, wherever it is cut. */

#include "config.h"
#include "dot-blocks.h"
#include "test-stream-common.h"
#include "transforms.h"
#include "wire-text.h"

#include <stdlib.h>

/* One byte at a time: what the fast one must do. */
static size_t plain_count(const unsigned char *in, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		unsigned char before = (in + i)[-1], c = in[i];

		if (c == '\n' && before != '\r')
			break;
		if (c == '.' && (before == '\n' || before == '\r'))
			break;
	}
	return i;
}

/* in[-1] is there; so are the bytes behind it, which must not count. */
static void must_copy(const unsigned char *in, size_t size)
{
	const size_t want = plain_count(in, size);
	unsigned char *out = malloc(size + 1);
	size_t got;

	assert_non_null(out);
	out[size] = 0xa5;
	got = copy_wire_text(out, in, size);
	if (got != want)
		fail_msg("%zu bytes of %zu, not %zu", got, size, want);
	if (want > 0)
		assert_memory_equal(out, in, want);
	assert_int_equal(out[size], 0xa5);
	free(out);
}

static void test_special_bytes(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned char before, c;
		bool special;
	} rows[] = {
		{ '\r', '\n', false }, { 'a', '\n', true },
		{ '\n', '\n', true },  { '\n', '.', true },
		{ '\r', '.', true },   { 'a', '.', false },
		{ '.', '.', false },   { '\n', '\r', false },
		{ '\r', '\r', false }, { '\n', 'a', false },
		{ '\0', '.', false },  { '\n', '\0', false },
		{ '\0', '\n', true },  { 0x8a, '.', false },
		{ '\n', 0xae, false },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		if (is_wire_special(rows[i].before, rows[i].c) !=
		    rows[i].special)
			fail_msg("row %zu", i);
	}
}

/* Every text of so many of these bytes, around the border of a large step. */
#define BYTES 6

static void test_all_short_texts_at_every_place(void **state ATTR_UNUSED)
{
	static const char alphabet[] = "a.\r\n";
	unsigned char text[1 + 64 + BYTES];
	unsigned int n, rest, i, place;

	for (place = 0; place < 34; place++) {
		for (n = 0; n < 1u << (2 * BYTES); n++) {
			memset(text, 'x', sizeof(text));
			for (i = 0, rest = n; i < BYTES; i++, rest >>= 2)
				text[place + i] =
					(unsigned char)alphabet[rest & 3];
			must_copy(text + 1, 48);
		}
	}
}

static void test_random_texts_of_every_size(void **state ATTR_UNUSED)
{
	static const char alphabet[] = "aaaaaaaaaaaaaaaaaaaaaaa\0\xff..\r\n";
	uint32_t random = 7;
	unsigned char text[200];
	size_t size, i, start;

	for (size = 0; size < 160; size++) {
		for (start = 1; start < 33; start++) {
			for (i = 0; i < sizeof(text); i++)
				text[i] = (unsigned char)
					alphabet[test_random(&random) %
						 (sizeof(alphabet) - 1)];
			must_copy(text + start, size);
		}
	}
}

/* One byte at a time: what the blocks must do. */
static size_t plain_encode(unsigned char *out, const unsigned char *in,
			   size_t size)
{
	unsigned char *start = out;
	size_t i;

	for (i = 0; i < size; i++) {
		if (is_wire_special((in + i)[-1], in[i]))
			out = put_wire_special(out, (in + i)[-1], in[i]);
		*out++ = in[i];
	}
	return (size_t)(out - start);
}

/* text[0] is the byte before. */
static void must_encode(void (*encode)(struct transform_io *),
			const unsigned char *text, size_t size, size_t room)
{
	unsigned char want[2048], *out = malloc(room);
	struct transform_io io = { .in = text + 1, .in_end = text + 1 + size };
	size_t taken, given;

	assert_non_null(out);
	io.out = out;
	io.out_end = out + room;
	encode(&io);
	taken = (size_t)(io.in - text) - 1;
	given = (size_t)(io.out - out);
	/* it stops for the reasons that it names */
	assert_int_equal(taken % WIRE_BLOCK, 0);
	assert_true(size - taken < 2 * WIRE_BLOCK ||
		    room - given < 4 * WIRE_BLOCK);
	if (plain_encode(want, text + 1, taken) != given ||
	    memcmp(want, out, given) != 0)
		fail_msg("%zu bytes: another output", size);
	free(out);
}

static void test_blocks_are_encoded_as_bytes_are(void **state ATTR_UNUSED)
{
	static const char *const alphabets[] = {
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n",
		"aaaaaaaaaaa\xff\n",
		"ab.\r\n\n",
		"a.\r\n",
		"\n",
		".\n"
	};
	unsigned char text[1 + 600];
	uint32_t random = 11;
	size_t i, j, size;

	for (i = 0; i < N_ELEMENTS(alphabets); i++) {
		for (size = 0; size < 600; size += 7) {
			for (j = 0; j < sizeof(text); j++)
				text[j] = (unsigned char)
					alphabets[i][test_random(&random) %
						     strlen(alphabets[i])];
			must_encode(dot_encode_blocks, text, size, 2000);
			must_encode(dot_encode_blocks_portable, text, size,
				    2000);
			must_encode(dot_encode_blocks, text, size, 300 + size);
			must_encode(dot_encode_blocks_portable, text, size,
				    300 + size);
		}
	}
}

/* Three pieces of a text: true where its end was seen, in the last byte. */
static bool decode_pieces(const char *wire, size_t first, size_t second,
			  buffer_t *out)
{
	const size_t size = strlen(wire), cuts[] = { 0, first, second, size };
	struct transform *decoder = transform_create_dot_decoder(0);
	enum transform_status status = TRANSFORM_NEED_IN;
	size_t i, taken;
	bool ended = false;

	buffer_set_used_size(out, 0);
	for (i = 0; i < 3 && !ended; i++) {
		status = test_process(decoder, wire + cuts[i],
				      cuts[i + 1] - cuts[i], TRANSFORM_RUN, out,
				      &taken);
		ended = status == TRANSFORM_END;
		if (ended)
			assert_int_equal(cuts[i] + taken, size);
		else
			assert_int_equal(status, TRANSFORM_NEED_IN);
	}
	transform_free(&decoder);
	return ended;
}

/* It may be cut at any two places: the same text comes out, and the end is seen
   once, where it is. */
static void test_the_end_at_every_split(void **state ATTR_UNUSED)
{
	static const struct {
		const char *wire, *text;
		bool ends;
	} rows[] = {
		{ "a\r\n.\r\n", "a\r\n", true },
		{ ".\r\n", "", true },
		{ "..\r\n.\r\n", ".\r\n", true },
		{ "a\r\n..\r\n.\r\n", "a\r\n.\r\n", true },
		{ "a\r\n...\r\n\r\n.\r\n", "a\r\n..\r\n\r\n", true },
		{ "a.\r\n.\r\n", "a.\r\n", true },
		{ "\r\n\r\n.\r\n", "\r\n\r\n", true },
		/* a dot in a line, a part of the end */
		{ "a\r\n.", "a\r\n", false },
		{ "a\r\n.\r", "a\r\n", false },
		{ "a.\r\nb", "a.\r\nb", false },
		{ "a\r\n..\r\nb", "a\r\n.\r\nb", false },
	};
	buffer_t *out = buffer_create_dynamic(default_pool, 256);
	size_t i, size, first, second;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		size = strlen(rows[i].wire);
		for (first = 0; first <= size; first++) {
			for (second = first; second <= size; second++) {
				if (decode_pieces(rows[i].wire, first, second,
						  out) != rows[i].ends)
					fail_msg("row %zu: %zu, %zu", i, first,
						 second);
				if (out->used != strlen(rows[i].text) ||
				    memcmp(out->data, rows[i].text,
					   out->used) != 0)
					fail_msg("row %zu: %zu, %zu: %zu bytes",
						 i, first, second, out->used);
			}
		}
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_special_bytes),
		cmocka_unit_test(test_all_short_texts_at_every_place),
		cmocka_unit_test(test_random_texts_of_every_size),
		cmocka_unit_test(test_blocks_are_encoded_as_bytes_are),
		cmocka_unit_test(test_the_end_at_every_split),
	};

	return cmocka_run_group_tests_name("wire-text", tests, NULL, NULL);
}
