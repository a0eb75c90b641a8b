/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Full buffers, and the callbacks that go on when there is room. */

#include "config.h"
#include "istream.h"
#include "test-connection.h"

/*
 * Full buffers
 */

static void full_buffer(struct test_connection *f)
{
	test_connection_fill(f);
	assert_true(f->s->overflow);
	assert_int_equal(o_stream_get_buffer_used_size(f->s), 10000);
	assert_int_equal(o_stream_get_buffer_avail_size(f->s), 0);
	assert_int_equal(o_stream_flush(f->s), 0);
	assert_int_equal(o_stream_send_str(f->s, "no"), 0);
	/* a cork changes nothing about it */
	o_stream_cork(f->s);
	assert_int_equal(o_stream_send_str(f->s, "no"), 0);
	o_stream_uncork(f->s);
	assert_int_equal(f->s->offset, f->sent);
	assert_int_equal(o_stream_flush(f->s), 0);
	test_connection_read_all(f, f->sent);
	assert_memory_equal(f->got->data, f->data, f->sent);
	assert_int_equal(o_stream_flush(f->s), 1);
	assert_int_equal(o_stream_get_buffer_avail_size(f->s), 10000);
}

static void test_full_buffer(void **state)
{
	test_each_transport(*state, 10000, full_buffer);
}

static int produce(struct test_connection *f)
{
	ssize_t ret;
	int flushed;

	f->calls++;
	flushed = o_stream_flush(f->s);
	if (flushed <= 0)
		return flushed;
	while (f->sent < TEST_CONNECTION_SIZE) {
		ret = o_stream_send(f->s, f->data + f->sent,
				    I_MIN((size_t)1234,
					  TEST_CONNECTION_SIZE - f->sent));
		assert_true(ret >= 0);
		f->sent += (size_t)ret;
		if (ret < 1234)
			/* what is buffered calls again by itself */
			return 1;
	}
	return o_stream_flush(f->s);
}

static void producer(struct test_connection *f)
{
	o_stream_set_flush_callback(f->s, produce, f);
	o_stream_set_flush_pending(f->s, true);
	test_connection_read_all(f, TEST_CONNECTION_SIZE);
	assert_memory_equal(f->got->data, f->data, TEST_CONNECTION_SIZE);
	assert_true(f->calls > 2);
	assert_int_equal(o_stream_finish(f->s), 1);
}

static void test_producer_in_the_flush_callback(void **state)
{
	test_each_transport(*state, 5000, producer);
}

static int copy_file(struct test_connection *f)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);

	f->calls++;
	i_stream_seek(input, f->s->offset);
	f->answer = (int)o_stream_send_istream(f->s, input);
	i_stream_unref(&input);
	return f->answer == OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT ? 0 : 1;
}

/* The kernel copies, where it can; each time as much as is taken. */
static void slow_copy(struct test_connection *f)
{
	o_stream_set_flush_callback(f->s, copy_file, f);
	(void)copy_file(f);
	assert_int_equal(f->answer, OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT);
	test_connection_read_all(f, TEST_CONNECTION_SIZE);
	assert_memory_equal(f->got->data, f->data, TEST_CONNECTION_SIZE);
	assert_true(f->calls > 2);
	test_connection_turns(f);
	assert_int_equal(f->answer, OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
}

static void test_send_istream_waits(void **state)
{
	struct test_connection *f = *state;

	test_write_file(test_path("in"), f->data, TEST_CONNECTION_SIZE);
	test_each_transport(f, 5000, slow_copy);
}

/*
 * Flush callbacks
 */

static int three_times(struct test_connection *f)
{
	return ++f->calls < 3 ? 0 : 1;
}

static void answers_0(struct test_connection *f)
{
	o_stream_set_flush_callback(f->s, three_times, f);
	test_connection_turns(f);
	assert_int_equal(f->calls, 0);
	o_stream_set_flush_pending(f->s, true);
	test_connection_turns(f);
	test_connection_turns(f);
	assert_int_equal(f->calls, 3);
}

static void test_callback_answers_0(void **state)
{
	test_each_transport(*state, 0, answers_0);
}

static int ask_again(struct test_connection *f)
{
	if (++f->calls == 1)
		o_stream_set_flush_pending(f->s, true);
	return 1;
}

static void asks_inside(struct test_connection *f)
{
	o_stream_set_flush_callback(f->s, ask_again, f);
	o_stream_set_flush_pending(f->s, true);
	test_connection_turns(f);
	test_connection_turns(f);
	assert_int_equal(f->calls, 2);
}

static void test_callback_asks_for_itself(void **state)
{
	test_each_transport(*state, 0, asks_inside);
}

static int second(struct test_connection *f)
{
	f->calls += 100;
	o_stream_unset_flush_callback(f->s);
	return 0;
}

static int first(struct test_connection *f)
{
	f->calls++;
	o_stream_set_flush_callback(f->s, second, f);
	return 0;
}

/* Another one, and then none: what is buffered is then sent without one. */
static void changes(struct test_connection *f)
{
	o_stream_set_flush_callback(f->s, first, f);
	o_stream_set_flush_pending(f->s, true);
	test_connection_turns(f);
	test_connection_turns(f);
	assert_int_equal(f->calls, 101);
	f->calls = 0;
	test_connection_fill(f);
	o_stream_set_flush_callback(f->s, first, f);
	test_connection_read_all(f, f->sent);
	assert_memory_equal(f->got->data, f->data, f->sent);
	assert_int_equal(f->calls, 101);
}

static void test_callback_changes_itself(void **state)
{
	test_each_transport(*state, 10000, changes);
}

static int destroy(struct test_connection *f)
{
	f->calls++;
	o_stream_abort(f->s);
	o_stream_destroy(&f->s);
	return f->answer;
}

static void destroys(struct test_connection *f)
{
	struct ostream *conn;

	for (f->answer = -1; f->answer <= 1; f->answer++) {
		f->calls = 0;
		o_stream_set_flush_callback(f->s, destroy, f);
		o_stream_set_flush_pending(f->s, true);
		test_connection_turns(f);
		assert_int_equal(f->calls, 1);
		assert_null(f->s);
		/* a compressor, which was the last to refer to what is below */
		conn = test_connection_stream(f, 0);
		f->s = o_stream_create_gzip(conn, 1);
		o_stream_unref(&conn);
		o_stream_set_flush_callback(f->s, destroy, f);
		o_stream_set_flush_pending(f->s, true);
		test_connection_turns(f);
		assert_int_equal(f->calls, 2);
		assert_null(f->s);
		f->s = test_connection_stream(f, 10000);
	}
	/* with bytes that are lost */
	f->sent = 0;
	test_connection_fill(f);
	o_stream_set_no_error_handling(f->s, true);
	o_stream_set_flush_callback(f->s, destroy, f);
	f->want = TEST_CONNECTION_SIZE;
	f->drain_io = io_add(f->fds[0], IO_READ, test_connection_drain, f);
	while (f->s != NULL)
		test_connection_turns(f);
	assert_int_equal(f->calls, 3);
}

static void test_callback_destroys_its_stream(void **state)
{
	test_each_transport(*state, 10000, destroys);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_CONNECTION(test_full_buffer),
		TEST_CONNECTION(test_producer_in_the_flush_callback),
		TEST_CONNECTION(test_send_istream_waits),
		TEST_CONNECTION(test_callback_answers_0),
		TEST_CONNECTION(test_callback_asks_for_itself),
		TEST_CONNECTION(test_callback_changes_itself),
		TEST_CONNECTION(test_callback_destroys_its_stream),
	};

	return cmocka_run_group_tests_name("nonblocking", tests, NULL, NULL);
}
