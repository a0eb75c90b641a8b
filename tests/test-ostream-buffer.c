/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to a buffer of the caller's: full ones, drained ones, and offsets. */

#include "config.h"
#include "ostream.h"
#include "test-common.h"

#include <errno.h>

static void test_ostream_buffer(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s;
	char room[8];
	buffer_t fixed;

	buffer_append(buf, "pre", 3);
	s = o_stream_create_buffer(buf);
	assert_int_equal(o_stream_send_str(s, "fix"), 3);
	assert_int_equal(s->offset, 3);
	assert_string_equal(buffer_c_str(buf), "prefix");
	assert_int_equal(o_stream_pwrite(s, "PRE", 3, 0), 0);
	assert_int_equal(o_stream_seek(s, 1), 1);
	assert_int_equal(o_stream_send_str(s, "R"), 1);
	assert_string_equal(buffer_c_str(buf), "PREfix");
	assert_int_equal(o_stream_get_buffer_used_size(s), 0);
	o_stream_destroy(&s);
	buffer_free(&buf);

	/* full is a short send, not an error */
	buffer_create_from_data(&fixed, room, sizeof(room));
	s = o_stream_create_buffer(&fixed);
	assert_int_equal(o_stream_get_buffer_avail_size(s), 8);
	assert_int_equal(o_stream_send_str(s, "0123456789"), 8);
	assert_true(s->overflow);
	assert_int_equal(o_stream_send_str(s, "x"), 0);
	assert_int_equal(s->stream_errno, 0);
	o_stream_destroy(&s);

	/* but to write where there is no room, at a place of one's own, is one */
	s = o_stream_create_buffer(&fixed);
	assert_int_equal(o_stream_pwrite(s, "ab", 2, 6), 0);
	assert_int_equal(o_stream_pwrite(s, "ab", 2, 7), -1);
	assert_int_equal(s->stream_errno, ENOBUFS);
	o_stream_ignore_last_errors(s);
	o_stream_destroy(&s);
	s = o_stream_create_buffer(&fixed);
	assert_int_equal(o_stream_pwrite(s, "a", 1, 9), -1);
	assert_int_equal(s->stream_errno, ENOBUFS);
	o_stream_ignore_last_errors(s);
	o_stream_destroy(&s);
	s = o_stream_create_buffer(&fixed);
	assert_int_equal(o_stream_seek(s, 8), 1);
	assert_int_equal(o_stream_seek(s, 9), -1);
	assert_int_equal(s->stream_errno, EFBIG);
	o_stream_ignore_last_errors(s);
	o_stream_destroy(&s);
	assert_memory_equal(room, "012345ab", 8);
}

static void test_ostream_buffer_that_is_drained(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s = o_stream_create_buffer(buf);

	assert_int_equal(o_stream_send_str(s, "12345678"), 8);
	o_stream_set_max_buffer_size(s, 3);
	assert_int_equal(o_stream_get_buffer_avail_size(s), 0);
	assert_int_equal(o_stream_send_str(s, "x"), 0);
	/* the caller takes the bytes out: the next ones begin where it ends */
	buffer_set_used_size(buf, 0);
	assert_int_equal(o_stream_get_buffer_avail_size(s), 3);
	assert_int_equal(o_stream_send_str(s, "abcdefgh"), 3);
	assert_string_equal(buffer_c_str(buf), "abc");
	assert_int_equal(s->offset, 11);
	o_stream_destroy(&s);
	buffer_free(&buf);
}

/* What a pwrite adds behind the end is written over by what is sent next, as in a
   file. */
static void test_ostream_buffer_pwrite_does_not_move(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		const char *held; /* by the buffer before */
		const char *first, *written, *then;
		uoff_t at;
		const char *want;
		size_t size;
	} cases[] = {
		{ "behind a gap", "", "abc", "Z", "d", 5, "abcd\0Z", 6 },
		{ "over the end", "", "abc", "YZ", "d", 2, "abYd", 4 },
		{ "up to the end", "", "abc", "YZ", "d", 1, "aYZd", 4 },
		{ "at the end", "", "abc", "YZ", "d", 3, "abcdZ", 5 },
		{ "before all", "", "", "YZ", "d", 1, "dYZ", 3 },
		{ "over all", "", "a", "YZ", "bcde", 1, "abcde", 5 },
		{ "behind others", "HE", "ab", "Z", "c", 5, "HEabcZ", 6 },
		{ "in others", "HE", "ab", "Z", "c", 0, "ZEabc", 5 },
	};
	struct ostream *s;
	buffer_t *buf;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		buf = buffer_create_dynamic(default_pool, 16);
		buffer_append(buf, cases[i].held, strlen(cases[i].held));
		s = o_stream_create_buffer(buf);
		o_stream_nsend_str(s, cases[i].first);
		assert_int_equal(o_stream_pwrite(s, cases[i].written,
						 strlen(cases[i].written),
						 cases[i].at),
				 0);
		assert_int_equal(s->offset, strlen(cases[i].first));
		o_stream_nsend_str(s, cases[i].then);
		assert_int_equal(o_stream_finish(s), 1);
		if (buf->used != cases[i].size ||
		    memcmp(buf->data, cases[i].want, cases[i].size) != 0)
			fail_msg("%s: %.*s", cases[i].name, (int)buf->used,
				 (const char *)buf->data);
		o_stream_destroy(&s);
		buffer_free(&buf);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ostream_buffer),
		cmocka_unit_test(test_ostream_buffer_that_is_drained),
		cmocka_unit_test(test_ostream_buffer_pwrite_does_not_move),
	};

	return cmocka_run_group_tests_name("ostream-buffer", tests, NULL, NULL);
}
