/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output streams that pass bytes on, each against its own rules. */

#include "config.h"
#include "test-stream-common.h"

#include <errno.h>

struct told {
	char text[256];
	unsigned int calls, cancel_at;
};

static bool tell(uoff_t offset, void *context)
{
	struct told *told = context;
	size_t len = strlen(told->text);

	(void)snprintf(told->text + len, sizeof(told->text) - len, "%llu ",
		       (unsigned long long)offset);
	return ++told->calls != told->cancel_at;
}

/* Three sends of "abc" and one of "d", of which the sink takes `step` at once. */
static void test_progress(void **state ATTR_UNUSED)
{
	static const struct {
		uoff_t step;
		const char *sent, *finished;
	} cases[] = {
		{ 0, "3 6 9 10 ", "3 6 9 10 " },
		{ 4, "6 10 ", "6 10 " },
		{ 5, "6 ", "6 10 " },
		{ 11, "", "10 " },
	};
	struct test_sink *sink;
	struct ostream *s;
	struct told told;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		memset(&told, 0, sizeof(told));
		sink = test_sink_create(SIZE_MAX, 0);
		s = o_stream_create_progress(sink->stream, cases[i].step, tell,
					     &told);
		assert_int_equal(o_stream_send(s, "abc", 3), 3);
		assert_int_equal(o_stream_send(s, "abc", 3), 3);
		assert_int_equal(o_stream_send(s, "abc", 3), 3);
		assert_int_equal(o_stream_send(s, "d", 1), 1);
		assert_int_equal(o_stream_flush(s), 1);
		assert_string_equal(told.text, cases[i].sent);
		assert_int_equal(o_stream_finish(s), 1);
		assert_int_equal(o_stream_finish(s), 1);
		assert_string_equal(told.text, cases[i].finished);
		assert_string_equal(buffer_c_str(sink->data), "abcabcabcd");
		o_stream_destroy(&s);
		test_sink_free(&sink);
	}
}

static void test_progress_counts_what_was_taken(void **state ATTR_UNUSED)
{
	struct told told = { "", 0, 0 };
	struct test_sink *sink = test_sink_create(4, 0);
	struct ostream *s =
		o_stream_create_progress(sink->stream, 0, tell, &told);

	assert_int_equal(o_stream_send(s, "abcdef", 6), 4);
	assert_int_equal(o_stream_send(s, "ef", 2), 0);
	test_sink_allow(sink, 10);
	assert_int_equal(o_stream_send(s, "ef", 2), 2);
	assert_int_equal(o_stream_finish(s), 1);
	assert_string_equal(told.text, "4 6 ");
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

/* The bytes that were taken are; the calls after them fail. */
static void test_progress_cancels(void **state ATTR_UNUSED)
{
	struct told told = { "", 0, 1 };
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *s =
		o_stream_create_progress(sink->stream, 0, tell, &told);

	o_stream_set_name(s, "upload");
	assert_int_equal(o_stream_send(s, "abc", 3), 3);
	assert_int_equal(s->offset, 3);
	assert_int_equal(o_stream_send(s, "abc", 3), -1);
	assert_int_equal(o_stream_finish(s), -1);
	assert_int_equal(s->stream_errno, ECANCELED);
	assert_string_equal(o_stream_get_error(s),
			    "upload: writing was cancelled after 3 bytes");
	o_stream_destroy(&s);
	assert_string_equal(buffer_c_str(sink->data), "abc");
	test_sink_free(&sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_progress_counts_what_was_taken),
		cmocka_unit_test(test_progress_cancels),
	};

	return cmocka_run_group_tests_name("ostream-plumbing", tests, NULL,
					   NULL);
}
