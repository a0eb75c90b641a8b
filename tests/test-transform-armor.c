/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* age's armor: the white space around it (the public vectors have the rest). */

#include "config.h"
#include "test-stream-common.h"
#include "transform-age.h"

#include "buffer.h"
#include "macros.h"

#include <errno.h>
#include <string.h>

#define BEGIN "-----BEGIN AGE ENCRYPTED FILE-----"
#define END "-----END AGE ENCRYPTED FILE-----"
/* What age's command takes of it, before and behind, is 1,024 bytes each. */
#define LITTLE 1000
#define MUCH 1100
#define LINE "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2"
#define LINE_TEXT "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"

static void append(buffer_t *buf, unsigned int count, const char *text)
{
	while (count-- > 0)
		buffer_append(buf, text, strlen(text));
}

static void test_white_space(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		unsigned int before, lines, behind, out;
		int error;
	} rows[] = {
		{ "none", 0, 1, 0, 1, 0 },
		{ "some before, and some behind", LITTLE, 1, LITTLE, 1, 0 },
		{ "more line ends within", LITTLE, MUCH, LITTLE, MUCH, 0 },
		{ "much before", MUCH, 1, 0, 0, EINVAL },
		{ "much behind", 0, 1, MUCH, 1, EINVAL },
	};
	struct test_decoding row = { 0 };
	buffer_t *in, *out;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		in = buffer_create_dynamic(default_pool, 4096);
		out = buffer_create_dynamic(default_pool, 4096);
		append(in, rows[i].before, "\n");
		append(in, 1, BEGIN "\n");
		append(in, rows[i].lines, LINE "\n");
		append(in, 1, END "\n");
		append(in, rows[i].behind, "\n");
		append(out, rows[i].out, LINE_TEXT);
		row.name = rows[i].name;
		row.in = in->data;
		row.in_size = in->used;
		row.out = out->data;
		row.out_size = out->used;
		row.error = rows[i].error;
		row.text = row.error == 0 ? NULL : "too much white space";
		test_decoding(transform_create_armor_decoder, &row);
		buffer_free(&in);
		buffer_free(&out);
	}
}

/* Only the last line may be short: another one behind it is not. */
static void test_a_short_line_is_the_last(void **state ATTR_UNUSED)
{
	static const struct test_decoding rows[] = {
		{ "one short line", TEST_BYTES(BEGIN "\nYWJj\n" END),
		  TEST_BYTES("abc"), 0, NULL },
		{ "two", TEST_BYTES(BEGIN "\nYWJj\nYWJj\n" END),
		  TEST_BYTES("abc"), EINVAL, "must follow a line" },
		{ "behind padding", TEST_BYTES(BEGIN "\nYWI=\nYWJj\n" END),
		  TEST_BYTES("ab"), EINVAL, "line 3" },
	};

	test_decodings(transform_create_armor_decoder, rows, N_ELEMENTS(rows));
}

/* Not even where a letter is what libsodium makes of it. */
static void test_bytes_that_are_no_letters(void **state ATTR_UNUSED)
{
	struct test_decoding row = { .in_size =
					     sizeof(BEGIN "\n?BCD\n" END) - 1,
				     .out = "",
				     .error = EINVAL,
				     .text = "line 2: not canonical base64" };
	char text[] = BEGIN "\n?BCD\n" END, name[20];
	unsigned int c;

	for (c = 0x80; c <= 0xff; c++) {
		(void)snprintf(name, sizeof(name), "byte 0x%02x", c);
		text[sizeof(BEGIN "\n") - 1] = (char)c;
		row.name = name;
		row.in = text;
		test_decoding(transform_create_armor_decoder, &row);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_white_space),
		cmocka_unit_test(test_a_short_line_is_the_last),
		cmocka_unit_test(test_bytes_that_are_no_letters),
	};

	return cmocka_run_group_tests_name("transform-armor", tests, NULL,
					   NULL);
}
