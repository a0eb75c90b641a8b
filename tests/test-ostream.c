/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The core of output streams: states, errors, panics, flags. */

#include "config.h"
#include "hash-method.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void test_offset_and_overflow(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(10, 0);
	struct ostream *s = sink->stream;

	assert_int_equal(o_stream_send(s, "", 0), 0);
	assert_int_equal(o_stream_send(s, "12345678", 8), 8);
	assert_int_equal(s->offset, 8);
	assert_false(s->overflow);
	/* less than asked: said, and remembered */
	assert_int_equal(o_stream_send(s, "12345", 5), 2);
	assert_int_equal(s->offset, 10);
	assert_true(s->overflow);
	assert_int_equal(s->stream_errno, 0);
	test_sink_free(&sink);
}

static void test_nsend_keeps_the_overflow(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(4, 0);
	struct ostream *s = sink->stream;

	o_stream_nsend_str(s, "123456");
	test_sink_allow(sink, 100);
	o_stream_nsend_str(s, "ignored");
	assert_int_equal(sink->data->used, 4);
	/* there is a gap, whether or not somebody minds */
	o_stream_ignore_last_errors(s);
	o_stream_nsend_str(s, "ignored");
	assert_int_equal(sink->data->used, 4);
	assert_int_equal(o_stream_flush(s), -1);
	assert_int_equal(s->stream_errno, ENOBUFS);
	assert_non_null(
		strstr(o_stream_get_error(s), "Output stream buffer was full"));
	test_sink_free(&sink);
}

static void test_unchecked_errors_panic(void **state ATTR_UNUSED)
{
	struct ostream *null = o_stream_create_null(), *s;
	uint64_t context = 0;

	/* whether or not an error occurred */
	o_stream_set_no_error_handling(null, false);
	assert_string_equal(o_stream_get_name(null), "(null stream)");
	s = o_stream_create_hash(null, hash_method_lookup("size"), &context);
	o_stream_set_name(s, "named");
	o_stream_nsend(s, "x", 1);
	EXPECT_PANIC("output stream named is missing error handling",
		     o_stream_destroy(&s));
	o_stream_ignore_last_errors(s);
	o_stream_destroy(&s);
	o_stream_destroy(&null);
	assert_null(null);
	o_stream_destroy(&null);
}

static void nsend_in_a_way(struct ostream *s, unsigned int way)
{
	struct const_iovec iov = { "data", 4 };
	struct istream *input;

	switch (way) {
	case 0:
		o_stream_nsend(s, "data", 4);
		break;
	case 1:
		o_stream_nsend_str(s, "data");
		break;
	case 2:
		o_stream_nsendv(s, &iov, 1);
		break;
	case 3:
		input = i_stream_create_from_data("data", 4);
		o_stream_nsend_istream(s, input);
		i_stream_destroy(&input);
		break;
	}
}

static void nsend_must_be_checked(struct ostream *s, unsigned int way)
{
	nsend_in_a_way(s, way);
	EXPECT_PANIC("is missing error handling", o_stream_destroy(&s));
	o_stream_abort(s);
	o_stream_destroy(&s);
}

/* What is sent to a stream that failed when it was made is lost: that has to be looked at,
   too. */
static void test_nsend_to_a_failed_stream(void **state ATTR_UNUSED)
{
	struct ostream *s;
	unsigned int way;

	for (way = 0; way < 4; way++) {
		s = o_stream_create_file(test_path("none/x"), 0, 0600, 0);
		nsend_must_be_checked(s, way);
		s = o_stream_create_error(EIO);
		nsend_must_be_checked(s, way);
	}
	/* who knows that it has failed needs not be told for each */
	s = o_stream_create_error(EIO);
	o_stream_nsend_str(s, "data");
	assert_int_equal(o_stream_flush(s), -1);
	o_stream_nsend_str(s, "data");
	o_stream_destroy(&s);
	/* who was told by a send; nothing that was lost, or that somebody waits for */
	s = o_stream_create_error(EIO);
	assert_int_equal(o_stream_send_str(s, "data"), -1);
	o_stream_nsend_str(s, "data");
	o_stream_destroy(&s);
	s = o_stream_create_error(EIO);
	o_stream_nsend(s, "", 0);
	o_stream_destroy(&s);
	s = o_stream_create_fd_file(-1, 0, false);
	assert_int_equal(o_stream_send_str(s, "data"), -1);
	o_stream_nsend_str(s, "data");
	o_stream_destroy(&s);
	s = o_stream_create_null();
	o_stream_set_no_error_handling(s, false);
	o_stream_close(s);
	o_stream_nsend_str(s, "data");
	o_stream_destroy(&s);
}

static void test_each_way_of_checking(void **state ATTR_UNUSED)
{
	unsigned int way;
	struct test_sink *sink;

	for (way = 0; way < 5; way++) {
		sink = test_sink_create(SIZE_MAX, 0);
		o_stream_nsend_str(sink->stream, "x");
		switch (way) {
		case 0:
			assert_int_equal(o_stream_flush(sink->stream), 1);
			break;
		case 1:
			assert_int_equal(o_stream_check(sink->stream), 1);
			break;
		case 2:
			assert_int_equal(o_stream_finish(sink->stream), 1);
			break;
		case 3:
			o_stream_abort(sink->stream);
			break;
		case 4:
			o_stream_set_no_error_handling(sink->stream, true);
			break;
		}
		test_sink_free(&sink);
	}
}

static void test_write_after_finish_panics(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);

	assert_int_equal(o_stream_finish(sink->stream), 1);
	EXPECT_PANIC("output stream (sink): write after finish",
		     (void)!o_stream_send(sink->stream, "x", 1));
	EXPECT_PANIC("write after finish",
		     o_stream_nsend(sink->stream, "x", 1));
	/* nothing is nothing */
	assert_int_equal(o_stream_send(sink->stream, "", 0), 0);
	assert_int_equal(o_stream_finish(sink->stream), 1);
	test_sink_free(&sink);
}

static void test_finish_flags(void **state ATTR_UNUSED)
{
	static const struct {
		bool also_parent, via_child;
		unsigned int finishes, flushes;
	} cases[] = {
		{ true, true, 1, 0 },
		{ false, true, 0, 1 },
		{ true, false, 0, 1 },
	};
	struct test_sink *sink;
	struct ostream *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		sink = test_sink_create(SIZE_MAX, 0);
		s = o_stream_create_gzip(sink->stream, 6);
		o_stream_set_finish_also_parent(s, cases[i].also_parent);
		o_stream_set_finish_via_child(sink->stream, cases[i].via_child);
		assert_int_equal(o_stream_finish(s), 1);
		assert_int_equal(sink->finishes, cases[i].finishes);
		assert_int_equal(sink->flushes, cases[i].flushes);
		o_stream_destroy(&s);
		test_sink_free(&sink);
	}
}

static void test_two_members_through_one_sink(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct istream *source, *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	struct ostream *s;
	int i;

	o_stream_set_finish_via_child(sink->stream, false);
	for (i = 0; i < 2; i++) {
		s = o_stream_create_gzip(sink->stream, 6);
		o_stream_nsend_str(s, i == 0 ? "one " : "two");
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&s);
	}
	source = i_stream_create_from_buffer(sink->data);
	input = i_stream_create_gzip(source);
	assert_int_equal(test_read_all(input, out), 0);
	assert_string_equal(buffer_c_str(out), "one two");
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&out);
	test_sink_free(&sink);
}

static void test_corks(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *s = o_stream_create_crlf(sink->stream);

	o_stream_cork(s);
	assert_true(o_stream_is_corked(s));
	assert_true(o_stream_is_corked(sink->stream));
	o_stream_nsend_str(s, "a\n");
	assert_int_equal(sink->data->used, 0);
	/* a flag, not a count */
	o_stream_cork(s);
	o_stream_uncork(s);
	assert_false(o_stream_is_corked(s));
	assert_false(o_stream_is_corked(sink->stream));
	assert_int_equal(sink->data->used, 3);
	assert_int_equal(sink->flushes, 1);
	assert_int_equal(o_stream_flush(s), 1);
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

static void test_uncork_keeps_its_error(void **state ATTR_UNUSED)
{
	struct ostream *null = o_stream_create_null(), *bad, *s;

	bad = o_stream_create_failure_at_flush(null, "cannot flush");
	o_stream_set_no_error_handling(bad, false);
	s = o_stream_create_crlf(bad);
	o_stream_cork(s);
	assert_int_equal(o_stream_send_str(s, "a"), 1);
	o_stream_uncork(s);
	EXPECT_PANIC("missing error handling", o_stream_destroy(&s));
	assert_int_equal(o_stream_flush(s), -1);
	assert_string_equal(o_stream_get_error(s), "cannot flush");
	assert_int_equal(s->stream_errno, EIO);
	o_stream_destroy(&s);
	o_stream_destroy(&bad);
	o_stream_destroy(&null);
}

static void test_close(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);

	assert_int_equal(o_stream_send_str(sink->stream, "x"), 1);
	o_stream_close(sink->stream);
	assert_true(sink->stream->closed);
	assert_int_equal(o_stream_send_str(sink->stream, "x"), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(o_stream_flush(sink->stream), -1);
	o_stream_close(sink->stream);
	test_sink_free(&sink);
}

static void test_bytes_lost_by_close_are_an_error(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(0, 0);
	struct ostream *s = o_stream_create_hex(sink->stream);

	assert_int_equal(o_stream_send_str(s, "abc"), 3);
	assert_int_equal(o_stream_get_buffer_used_size(s), 6);
	o_stream_close(s);
	assert_int_equal(s->stream_errno, EPIPE);
	assert_non_null(strstr(o_stream_get_error(s), "6 bytes"));
	o_stream_destroy(&s);
	test_sink_free(&sink);

	/* with nobody left to look at it, it is an unchecked error */
	sink = test_sink_create(0, 0);
	s = o_stream_create_hex(sink->stream);
	assert_int_equal(o_stream_send_str(s, "abc"), 3);
	EXPECT_PANIC("missing error handling", o_stream_destroy(&s));
	o_stream_ignore_last_errors(s);
	o_stream_unref(&s);
	test_sink_free(&sink);
}

static void test_unfinished_finish(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(3, 0);
	struct ostream *s = o_stream_create_gzip(sink->stream, 6);

	assert_int_equal(o_stream_finish(s), 0);
	o_stream_close(s);
	assert_int_equal(s->stream_errno, EPIPE);
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

static void test_errors_go_up_and_have_texts(void **state ATTR_UNUSED)
{
	struct ostream *bad = o_stream_create_error_str(EDQUOT, "over %d", 5);
	struct ostream *s = o_stream_create_crlf(bad);

	/* a child that noticed nothing says nothing */
	assert_string_equal(o_stream_get_error(s), "<no error>");
	assert_int_equal(o_stream_send_str(s, "x"), -1);
	assert_int_equal(s->stream_errno, EDQUOT);
	assert_string_equal(o_stream_get_error(s), "over 5");
	assert_string_equal(o_stream_get_disconnect_reason(s),
			    "Connection closed: over 5");
	/* the reason is a text of its own, however often it is asked for */
	assert_string_equal(o_stream_get_error(s), "over 5");
	assert_string_equal(o_stream_get_disconnect_reason(bad),
			    "Connection closed: over 5");
	assert_string_equal(o_stream_get_disconnect_reason(bad),
			    "Connection closed: over 5");
	assert_string_equal(o_stream_get_error(bad), "over 5");
	o_stream_destroy(&s);
	o_stream_destroy(&bad);
	bad = o_stream_create_error(ENOSPC);
	assert_string_equal(o_stream_get_error(bad), strerror(ENOSPC));
	assert_string_equal(o_stream_get_name(bad), "(error)");
	assert_true(bad->closed);
	o_stream_destroy(&bad);
}

static char destroyed[8];

static void on_destroy(void *context)
{
	strncat(destroyed, context, 1);
}

static void on_destroy_too(void *context)
{
	strncat(destroyed, context, 1);
}

static void test_destroy_callbacks_and_references(void **state ATTR_UNUSED)
{
	char a[] = "a", b[] = "b";
	struct ostream *s = o_stream_create_null(), *same = s;

	o_stream_add_destroy_callback(s, on_destroy, a);
	o_stream_add_destroy_callback(s, on_destroy_too, b);
	o_stream_ref(s);
	o_stream_unref(&same);
	assert_null(same);
	assert_string_equal(destroyed, "");
	o_stream_destroy(&s);
	assert_string_equal(destroyed, "ab");

	destroyed[0] = '\0';
	s = o_stream_create_null();
	o_stream_add_destroy_callback(s, on_destroy, a);
	o_stream_remove_destroy_callback(s, on_destroy);
	o_stream_destroy(&s);
	assert_string_equal(destroyed, "");
	/* the one that is meant, wherever it is */
	s = o_stream_create_null();
	o_stream_add_destroy_callback(s, on_destroy, a);
	o_stream_add_destroy_callback(s, on_destroy_too, b);
	o_stream_remove_destroy_callback(s, on_destroy_too);
	EXPECT_PANIC("stream has no such destroy callback",
		     o_stream_remove_destroy_callback(s, on_destroy_too));
	o_stream_destroy(&s);
	assert_string_equal(destroyed, "a");
}

static void test_names(void **state ATTR_UNUSED)
{
	struct ostream *null = o_stream_create_null();
	struct ostream *s = o_stream_create_crlf(null);

	o_stream_set_name(null, "below");
	assert_string_equal(o_stream_get_name(s), "below");
	o_stream_set_name(s, "above");
	assert_string_equal(o_stream_get_name(s), "above");
	assert_int_equal(o_stream_get_fd(s), -1);
	o_stream_destroy(&s);
	o_stream_destroy(&null);
}

static void test_abort_gives_up_the_stack(void **state ATTR_UNUSED)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *sink = o_stream_create_buffer(buf);
	struct ostream *gzip = o_stream_create_gzip(sink, 6);
	struct ostream *zstd = o_stream_create_lz4(gzip, 1);

	o_stream_nsend_str(zstd, "x");
	o_stream_abort(zstd);
	assert_int_equal(zstd->stream_errno, EPIPE);
	assert_int_equal(gzip->stream_errno, EPIPE);
	/* the sink below stays usable */
	assert_int_equal(sink->stream_errno, 0);
	o_stream_destroy(&zstd);
	o_stream_destroy(&gzip);
	o_stream_destroy(&sink);
	buffer_free(&buf);
}

/* Who gives up the only stream that is held has given up what waits below it; who uses
   that afterwards has not. */
static void test_abort_gives_up_what_waits_below(void **state ATTR_UNUSED)
{
	static const char data[300000];
	struct ostream *end, *middle, *top;
	int fds[2];
	volatile int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(pipe(fds), 0);
		assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
		end = o_stream_create_fd(fds[1], SIZE_MAX);
		middle = o_stream_create_passthrough(end);
		top = o_stream_create_gzip(middle, 0);
		o_stream_unref(&middle);
		if (i == 0)
			o_stream_unref(&end);
		o_stream_nsend(top, data, sizeof(data));
		o_stream_abort(top);
		o_stream_destroy(&top);
		if (i > 0) {
			if (i == 1)
				assert_int_equal(o_stream_send(end, data, 1),
						 1);
			else
				assert_int_equal(o_stream_flush(end), 0);
			EXPECT_PANIC("is missing error handling",
				     o_stream_destroy(&end));
			o_stream_ignore_last_errors(end);
			o_stream_destroy(&end);
		}
		(void)close(fds[0]);
		(void)close(fds[1]);
	}
}

static void test_send_istream_results(void **state ATTR_UNUSED)
{
	static const char data[] = "0123456789";
	struct test_sink *sink = test_sink_create(4, 0);
	struct istream *input = i_stream_create_from_data(data, 10);

	assert_int_equal(o_stream_send_istream(sink->stream, input),
			 OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT);
	/* exactly what was accepted */
	assert_int_equal(input->v_offset, 4);
	test_sink_allow(sink, 100);
	assert_int_equal(o_stream_send_istream(sink->stream, input),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_int_equal(sink->data->used, 10);
	i_stream_destroy(&input);
	input = i_stream_create_error(EIO);
	assert_int_equal(o_stream_send_istream(sink->stream, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT);
	o_stream_nsend_istream(sink->stream, input);
	assert_int_equal(o_stream_flush(sink->stream), -1);
	assert_int_equal(sink->stream->stream_errno, EIO);
	i_stream_destroy(&input);
	input = i_stream_create_from_data(data, 10);
	assert_int_equal(o_stream_send_istream(sink->stream, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT);
	i_stream_destroy(&input);
	test_sink_free(&sink);
}

static void test_failure_at(void **state ATTR_UNUSED)
{
	static const struct {
		uoff_t at;
		ssize_t ret;
		size_t passed;
	} cases[] = {
		{ 0, -1, 0 }, { 3, -1, 3 }, { 5, -1, 5 },
		{ 6, 6, 6 },  { 7, 6, 6 },
	};
	buffer_t *buf;
	struct ostream *sink, *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		buf = buffer_create_dynamic(default_pool, 16);
		sink = o_stream_create_buffer(buf);
		s = o_stream_create_failure_at(sink, cases[i].at, "stop");
		assert_int_equal(o_stream_send(s, "abcdef", 6), cases[i].ret);
		assert_int_equal(buf->used, cases[i].passed);
		assert_int_equal(s->stream_errno, cases[i].ret < 0 ? EIO : 0);
		(void)o_stream_flush(s);
		o_stream_destroy(&s);
		o_stream_destroy(&sink);
		buffer_free(&buf);
	}
	buf = buffer_create_dynamic(default_pool, 16);
	sink = o_stream_create_buffer(buf);
	s = o_stream_create_failure_at_flush(sink, "no flush");
	assert_int_equal(o_stream_send(s, "abcdef", 6), 6);
	assert_int_equal(o_stream_finish(s), -1);
	o_stream_destroy(&s);
	s = o_stream_create_limit(sink, 2);
	assert_int_equal(o_stream_send(s, "abc", 3), -1);
	assert_int_equal(s->stream_errno, EFBIG);
	(void)o_stream_flush(s);
	o_stream_destroy(&s);
	o_stream_destroy(&sink);
	buffer_free(&buf);
}

static void test_hash_sees_what_was_accepted(void **state ATTR_UNUSED)
{
	const struct hash_method *method = hash_method_lookup("size");
	uint64_t context;
	unsigned char digest[8];
	struct test_sink *sink = test_sink_create(5, 0);
	struct ostream *s;

	method->init(&context);
	s = o_stream_create_hash(sink->stream, method, &context);
	assert_int_equal(o_stream_send_str(s, "12345678"), 5);
	method->result(&context, digest);
	assert_int_equal(digest[7], 5);
	assert_int_equal(o_stream_seek(s, 0), -1);
	assert_int_equal(s->stream_errno, ESPIPE);
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offset_and_overflow),
		cmocka_unit_test(test_nsend_keeps_the_overflow),
		cmocka_unit_test(test_unchecked_errors_panic),
		cmocka_unit_test(test_nsend_to_a_failed_stream),
		cmocka_unit_test(test_each_way_of_checking),
		cmocka_unit_test(test_write_after_finish_panics),
		cmocka_unit_test(test_finish_flags),
		cmocka_unit_test(test_two_members_through_one_sink),
		cmocka_unit_test(test_corks),
		cmocka_unit_test(test_uncork_keeps_its_error),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_bytes_lost_by_close_are_an_error),
		cmocka_unit_test(test_unfinished_finish),
		cmocka_unit_test(test_errors_go_up_and_have_texts),
		cmocka_unit_test(test_destroy_callbacks_and_references),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_abort_gives_up_the_stack),
		cmocka_unit_test(test_abort_gives_up_what_waits_below),
		cmocka_unit_test(test_send_istream_results),
		cmocka_unit_test(test_failure_at),
		cmocka_unit_test(test_hash_sees_what_was_accepted),
	};

	return cmocka_run_group_tests_name("ostream", tests, NULL, NULL);
}
