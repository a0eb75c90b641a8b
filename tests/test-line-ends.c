/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Line ends at the door of the spool: all LF or all CRLF, or the number of the line
   where it is otherwise. */

#include "config.h"
#include "line-ends.h"
#include "test-stream-common.h"

#include <errno.h>

static struct line_ends seen;

static void must_give(const char *name, bool normalise, const char *in,
		      size_t in_size, const char *out, size_t out_size,
		      int error, const char *text)
{
	buffer_t *got = buffer_create_dynamic(default_pool, 256);
	size_t step;
	int ret;

	/* cut at every place, and read with pauses */
	for (step = 1; step <= in_size + 1; step++) {
		ret = test_decode_step(line_ends_create(normalise, &seen), in,
				       in_size, step, step % 2 == 0, 0, got);
		if (ret != error)
			fail_msg("%s, step %zu: %s", name, step, strerror(ret));
		if (error != 0 && strstr(test_stream_error, text) == NULL)
			fail_msg("%s: %s", name, test_stream_error);
		if (got->used != out_size ||
		    memcmp(got->data, out, out_size) != 0)
			fail_msg("%s, step %zu: %zu bytes", name, step,
				 got->used);
	}
	buffer_free(&got);
}

static void test_good_mail_goes_through(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name, *in;
		size_t size;
		bool lf, crlf, final;
	} rows[] = {
		{ "nothing", TEST_BYTES(""), false, false, true },
		{ "LF", TEST_BYTES("a\nb\n"), true, false, true },
		{ "CRLF", TEST_BYTES("a\r\nb\r\n"), false, true, true },
		{ "LF, no end", TEST_BYTES("a\nb"), true, false, false },
		{ "CRLF, no end", TEST_BYTES("a\r\nb"), false, true, false },
		{ "one line", TEST_BYTES("a"), false, false, false },
		{ "empty lines", TEST_BYTES("\n\n\n"), true, false, true },
		{ "empty lines of CRLF", TEST_BYTES("\r\n\r\n"), false, true,
		  true },
		{ "NULs, 8 bit, dots", TEST_BYTES("\0.\xff\n.\n\0"), true,
		  false, false },
	};
	size_t i;
	int normalise;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		for (normalise = 0; normalise < 2; normalise++) {
			must_give(rows[i].name, normalise != 0, rows[i].in,
				  rows[i].size, rows[i].in, rows[i].size, 0,
				  NULL);
			assert_int_equal(seen.lf, rows[i].lf);
			assert_int_equal(seen.crlf, rows[i].crlf);
			assert_int_equal(seen.final, rows[i].final);
		}
	}
}

static void test_mixed_ends_are_named(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name, *in;
		size_t size;
		const char *before; /* what comes out before the error */
		const char *error;
		const char *normal; /* what comes out where it is allowed */
	} rows[] = {
		{ "LF, CRLF", TEST_BYTES("a\nb\r\nc\n"), "a\nb",
		  "line 2: ends in CRLF, lines before it in LF",
		  "a\nb\r\nc\n" },
		{ "CRLF, LF", TEST_BYTES("a\r\nb\r\n\nc"), "a\r\nb\r\n",
		  "line 3: ends in LF, lines before it in CRLF",
		  "a\r\nb\r\n\nc" },
		{ "a lone CR", TEST_BYTES("a\rb\n"), "a",
		  "line 1: a CR without LF", "a\r\nb\n" },
		{ "two CRs", TEST_BYTES("a\r\n\r\r\n"), "a\r\n",
		  "line 2: a CR without LF", "a\r\n\r\n\r\n" },
		{ "CR at the end", TEST_BYTES("a\nb\nc\r"), "a\nb\nc",
		  "line 3: a CR without LF", "a\nb\nc\r\n" },
		{ "CRs alone", TEST_BYTES("\r\r\r"), "",
		  "line 1: a CR without LF", "\r\n\r\n\r\n" },
		{ "LFCR", TEST_BYTES("a\n\rb"), "a\n",
		  "line 2: a CR without LF", "a\n\r\nb" },
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		must_give(rows[i].name, false, rows[i].in, rows[i].size,
			  rows[i].before, strlen(rows[i].before), EINVAL,
			  rows[i].error);
		assert_non_null(strstr(test_stream_error, "--normalise"));
		must_give(rows[i].name, true, rows[i].in, rows[i].size,
			  rows[i].normal, strlen(rows[i].normal), 0, NULL);
		/* or it would come back with LF */
		assert_true(seen.crlf);
	}
}

/* The number is right behind many lines, long ones and empty ones. */
static void test_number_of_a_far_line(void **state ATTR_UNUSED)
{
	static char line[5000];
	buffer_t *mail = buffer_create_dynamic(default_pool, 65536);
	buffer_t *out = buffer_create_dynamic(default_pool, 65536);
	unsigned int i;

	memset(line, 'x', sizeof(line));
	for (i = 0; i < 3000; i++) {
		buffer_append(mail, line, i % 7 == 0 ? sizeof(line) : i % 3);
		buffer_append(mail, "\r\n", 2);
	}
	buffer_append(mail, "here\n", 5);
	assert_int_equal(test_decode_step(line_ends_create(false, &seen),
					  mail->data, mail->used, 8192, false,
					  0, out),
			 EINVAL);
	assert_non_null(strstr(test_stream_error, "line 3001: ends in LF"));
	assert_int_equal(out->used, mail->used - 1);
	assert_memory_equal(out->data, mail->data, out->used);
	buffer_free(&mail);
	buffer_free(&out);
}

/* A mail that is read again from its beginning is seen anew. */
static void test_read_again(void **state ATTR_UNUSED)
{
	struct istream *source = i_stream_create_from_data("a\nb", 3), *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	unsigned int i;

	input = i_stream_create_transform(source,
					  line_ends_create(false, &seen));
	for (i = 0; i < 3; i++) {
		i_stream_seek(input, 0);
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(input, out), 0);
		assert_int_equal(out->used, 3);
		assert_true(seen.lf);
		assert_false(seen.crlf);
		assert_false(seen.final);
	}
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_mail_goes_through),
		cmocka_unit_test(test_mixed_ends_are_named),
		cmocka_unit_test(test_number_of_a_far_line),
		cmocka_unit_test(test_read_again),
	};

	return cmocka_run_group_tests_name("line-ends", tests, NULL, NULL);
}
