/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Whose cork it is, and that none outlives its stream. */

#include "config.h"
#include "test-stream-common.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * TCP
 */

/* Two ends of a connection. */
static void tcp_pair(int fds[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len),
			 0);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (struct sockaddr *)&addr, len), 0);
	fds[1] = accept(listener, NULL, NULL);
	assert_true(fds[1] >= 0);
	assert_int_equal(close(listener), 0);
}

static bool tcp_is_corked(int fd)
{
	socklen_t len = sizeof(int);
	int value;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, &len),
			 0);
	return value != 0;
}

static void test_ostream_cork_tcp(void **state ATTR_UNUSED)
{
	enum {
		UNCORK,
		FINISH,
		DESTROY,
		CLOSE,
		ABORT,
		WAYS
	};
	struct ostream *s;
	unsigned int way;
	int fds[2];

	for (way = 0; way < WAYS; way++) {
		tcp_pair(fds);
		s = o_stream_create_fd(fds[0], 0);
		o_stream_cork(s);
		assert_true(tcp_is_corked(fds[0]));
		assert_int_equal(o_stream_send_str(s, "abc"), 3);
		/* more is to follow */
		assert_int_equal(o_stream_flush(s), 1);
		assert_true(tcp_is_corked(fds[0]));
		switch (way) {
		case UNCORK:
			o_stream_uncork(s);
			break;
		case FINISH:
			assert_int_equal(o_stream_finish(s), 1);
			break;
		case DESTROY:
			o_stream_destroy(&s);
			break;
		case CLOSE:
			o_stream_close(s);
			break;
		case ABORT:
			o_stream_abort(s);
			o_stream_destroy(&s);
			break;
		}
		assert_false(tcp_is_corked(fds[0]));
		o_stream_destroy(&s);
		assert_int_equal(close(fds[0]) | close(fds[1]), 0);
	}
}

static void test_ostream_cork_tcp_below_a_filter(void **state ATTR_UNUSED)
{
	struct ostream *end, *s;
	int fds[2];

	tcp_pair(fds);
	end = o_stream_create_fd(fds[0], 0);
	s = o_stream_create_crlf(end);
	o_stream_cork(s);
	assert_true(tcp_is_corked(fds[0]));
	assert_int_equal(o_stream_send_str(s, "abc\n"), 4);
	o_stream_destroy(&s);
	assert_false(tcp_is_corked(fds[0]));
	o_stream_destroy(&end);
	assert_int_equal(close(fds[0]) | close(fds[1]), 0);
}

/*
 * Parents
 */

/* In which order a parent, a stream on it, and another one were corked (p, a, b), and the
   last two destroyed (A, B); and whether the parent is corked then. */
static void test_ostream_cork_of_a_parent(void **state ATTR_UNUSED)
{
	static const struct {
		const char *steps;
		bool corked;
	} cases[] = {
		{ "aA", false },   { "paA", true },   { "apA", true },
		{ "abA", true },   { "abAB", false }, { "bAB", false },
		{ "pabAB", true }, { "apbAB", true }, { "bA", true },
	};
	struct ostream *on_top[2];
	struct test_sink *sink;
	const char *step;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		sink = test_sink_create(SIZE_MAX, 0);
		on_top[0] = o_stream_create_crlf(sink->stream);
		on_top[1] = o_stream_create_crlf(sink->stream);
		for (step = cases[i].steps; *step != '\0'; step++) {
			if (*step == 'p')
				o_stream_cork(sink->stream);
			else if (*step >= 'a')
				o_stream_cork(on_top[*step - 'a']);
			else
				o_stream_destroy(&on_top[*step - 'A']);
		}
		if (o_stream_is_corked(sink->stream) != cases[i].corked)
			fail_msg("%s", cases[i].steps);
		o_stream_destroy(&on_top[0]);
		o_stream_destroy(&on_top[1]);
		test_sink_free(&sink);
	}
}

/* It goes through all layers, and so does its end. */
static void test_ostream_cork_of_a_stack(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *lower = o_stream_create_crlf(sink->stream);
	struct ostream *upper = o_stream_create_crlf(lower);

	o_stream_cork(upper);
	assert_true(o_stream_is_corked(lower));
	o_stream_unref(&lower);
	assert_true(o_stream_is_corked(sink->stream));
	o_stream_destroy(&upper);
	assert_false(o_stream_is_corked(sink->stream));
	test_sink_free(&sink);
}

static void test_ostream_cork_of_a_tee(void **state ATTR_UNUSED)
{
	struct test_sink *sinks[2];
	struct ostream *outputs[3] = { NULL }, *s;
	unsigned int i, broken;

	for (broken = 0; broken < 2; broken++) {
		for (i = 0; i < 2; i++) {
			sinks[i] = test_sink_create(SIZE_MAX, 0);
			outputs[i] = sinks[i]->stream;
		}
		if (broken == 1)
			outputs[1] = o_stream_create_failure_at(
				sinks[1]->stream, 2, "broken");
		s = o_stream_create_tee(outputs);
		o_stream_cork(s);
		assert_true(o_stream_is_corked(outputs[0]));
		o_stream_nsend_str(s, "abc");
		/* an error that was looked at is none at the end */
		assert_int_equal(o_stream_flush(s), broken == 1 ? -1 : 1);
		o_stream_destroy(&s);
		for (i = 0; i < 2; i++)
			assert_false(o_stream_is_corked(outputs[i]));
		if (broken == 1)
			o_stream_destroy(&outputs[1]);
		for (i = 0; i < 2; i++)
			test_sink_free(&sinks[i]);
	}
}

/* Who checks a tee's errors checks those of its outputs, as those of parents. */
static void test_ostream_cork_ends_below_a_tee(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *outputs[] = { o_stream_create_failure_at_flush(
					      sink->stream, "disk gone"),
				      NULL };
	struct ostream *s = o_stream_create_tee(outputs);

	assert_int_equal(o_stream_send_str(s, "abc"), 3);
	o_stream_cork(outputs[0]);
	o_stream_uncork(outputs[0]);
	assert_int_equal(o_stream_flush(s), -1);
	assert_string_equal(o_stream_get_error(s), "disk gone");
	o_stream_unref(&outputs[0]);
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ostream_cork_tcp),
		cmocka_unit_test(test_ostream_cork_tcp_below_a_filter),
		cmocka_unit_test(test_ostream_cork_of_a_parent),
		cmocka_unit_test(test_ostream_cork_of_a_stack),
		cmocka_unit_test(test_ostream_cork_of_a_tee),
		cmocka_unit_test(test_ostream_cork_ends_below_a_tee),
	};

	return cmocka_run_group_tests_name("ostream-cork", tests, NULL, NULL);
}
