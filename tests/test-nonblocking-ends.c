/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Streams that end while their output has to wait: the other side goes away, a trailer has no
   room yet, one body comes after the other. */

#include "config.h"
#include "iostream-pump.h"
#include "istream.h"
#include "test-connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t sigpipes;

static void count_sigpipe(int signo ATTR_UNUSED)
{
	sigpipes++;
}

/*
 * The other end goes away
 */

static int until_error(struct test_connection *f)
{
	f->calls++;
	f->answer = o_stream_flush(f->s);
	if (f->answer < 0)
		io_loop_stop(f->loop);
	return f->answer;
}

static void gone_while_waiting(struct test_connection *f)
{
	test_connection_fill(f);
	o_stream_set_flush_callback(f->s, until_error, f);
	test_connection_close_reader(f);
	io_loop_run(f->loop);
	assert_true(f->s->stream_errno == EPIPE ||
		    f->s->stream_errno == ECONNRESET);
	/* that was the last call */
	f->calls = 0;
	test_connection_turns(f);
	assert_int_equal(f->calls, 0);
	assert_int_equal(o_stream_send_str(f->s, "x"), -1);
}

static void test_reader_goes_away(void **state)
{
	sigpipes = 0;
	test_each_transport(*state, 10000, gone_while_waiting);
	/* the pipe's: for a pipe there is no way to write without it */
	assert_int_equal(sigpipes, 1);
}

static int send_text(struct ostream *output,
		     struct test_connection *f ATTR_UNUSED)
{
	return (int)o_stream_send_str(output, "x");
}

static int send_buffered(struct ostream *output, struct test_connection *f)
{
	o_stream_cork(output);
	o_stream_nsend(output, f->data, 100);
	o_stream_uncork(output);
	return o_stream_flush(output);
}

static int send_file(struct ostream *output,
		     struct test_connection *f ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	enum ostream_send_istream_result result;

	result = o_stream_send_istream(output, input);
	i_stream_unref(&input);
	return result == OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT ? -1 : 0;
}

static int send_fd(struct ostream *output, struct test_connection *f)
{
	if (f->transport == TEST_UNIX)
		(void)o_stream_unix_write_fd(output, STDERR_FILENO);
	return (int)o_stream_send_str(output, "x");
}

static void gone_before(struct test_connection *f)
{
	static int (*const ways[])(struct ostream *,
				   struct test_connection *) = {
		send_text, send_buffered, send_file, send_fd
	};
	unsigned int i;

	if (f->transport == TEST_PIPE || f->transport == TEST_CALLBACK)
		return;
	for (i = 0; i < N_ELEMENTS(ways); i++) {
		test_connection_close_reader(f);
		o_stream_destroy(&f->s);
		f->s = f->transport == TEST_UNIX ?
			o_stream_create_unix(f->fds[1], 0) :
			o_stream_create_fd(f->fds[1], 0);
		/* TEST_TCP learns of it by the answer to what is sent first */
		while (ways[i](f->s, f) >= 0)
			;
		assert_true(f->s->stream_errno == EPIPE ||
			    f->s->stream_errno == ECONNRESET);
		/* that text is the peer's fault, and it says whose */
		assert_non_null(strstr(o_stream_get_error(f->s), "(fd "));
		o_stream_destroy(&f->s);
		assert_int_equal(close(f->fds[1]), 0);
		test_connection_open(f->transport, f->fds);
		f->s = o_stream_create_fd(f->fds[1], 0);
	}
}

static void test_sockets_raise_no_signal(void **state)
{
	struct test_connection *f = *state;

	test_write_file(test_path("in"), f->data, TEST_CONNECTION_SIZE);
	sigpipes = 0;
	test_each_transport(f, 0, gone_before);
	assert_int_equal(sigpipes, 0);
}

/*
 * Finish
 */

static int finish(struct test_connection *f)
{
	f->calls++;
	f->answer = o_stream_finish(f->s);
	return f->answer;
}

static void assert_gunzips(const unsigned char *gz, size_t gz_size,
			   const unsigned char *data, size_t size)
{
	struct istream *source = i_stream_create_from_data(gz, gz_size);
	struct istream *input = i_stream_create_gzip(source);
	buffer_t *plain = buffer_create_dynamic(default_pool, size);

	assert_int_equal(test_read_all(input, plain), 0);
	assert_int_equal(plain->used, size);
	assert_memory_equal(plain->data, data, size);
	buffer_free(&plain);
	i_stream_unref(&input);
	i_stream_unref(&source);
}

static void slow_finish(struct test_connection *f)
{
	struct ostream *conn = f->s;

	f->s = o_stream_create_gzip(conn, 1);
	/* as much as it takes: gzip and the sink are full then */
	test_connection_fill(f);
	o_stream_set_flush_callback(f->s, finish, f);
	assert_int_equal(o_stream_finish(f->s), 0);
	assert_int_equal(o_stream_finish(f->s), 0);
	f->want = SIZE_MAX;
	f->drain_io = io_add(f->fds[0], IO_READ, test_connection_drain, f);
	while (f->answer == 0)
		test_connection_turns(f);
	assert_int_equal(f->answer, 1);
	assert_int_equal(o_stream_finish(f->s), 1);
	assert_int_equal(o_stream_finish(conn), 1);
	o_stream_unref(&conn);
	test_connection_turns(f);
	test_connection_turns(f);
	test_connection_read_all(f, f->got->used);
	assert_gunzips(f->got->data, f->got->used, f->data, f->sent);
}

static void test_finish_waits(void **state)
{
	test_each_transport(*state, 10000, slow_finish);
}

/* One body after the other over the same connection. */
#define BODIES 3
struct bodies {
	struct test_connection *f;
	struct ostream *conn;
	size_t sizes[BODIES];
	unsigned int done, zeros;
};

static int next_body(struct bodies *b)
{
	static const size_t size = TEST_CONNECTION_SIZE / BODIES;
	struct test_connection *f = b->f;
	int ret;

	while (b->done < BODIES) {
		if (f->s == NULL) {
			f->s = o_stream_create_gzip(b->conn, 1);
			o_stream_set_flush_callback(f->s, next_body, b);
			assert_int_equal(o_stream_send(f->s,
						       f->data + b->done * size,
						       size),
					 size);
		}
		ret = o_stream_finish(f->s);
		assert_true(ret >= 0);
		if (ret == 0) {
			b->zeros++;
			return 0;
		}
		o_stream_destroy(&f->s);
		b->sizes[b->done++] = b->conn->offset;
	}
	io_loop_stop(f->loop);
	return o_stream_finish(b->conn);
}

static void bodies(struct test_connection *f)
{
	struct bodies b = { .f = f, .conn = f->s };
	size_t from = 0, i;

	f->s = NULL;
	o_stream_set_finish_via_child(b.conn, false);
	assert_int_equal(next_body(&b), 0);
	f->want = SIZE_MAX;
	f->drain_io = io_add(f->fds[0], IO_READ, test_connection_drain, f);
	io_loop_run(f->loop);
	/* each of them had to wait */
	assert_true(b.zeros >= BODIES);
	assert_int_equal(o_stream_finish(b.conn), 1);
	test_connection_read_all(f, b.conn->offset);
	for (i = 0; i < BODIES; i++) {
		assert_gunzips((const unsigned char *)f->got->data + from,
			       b.sizes[i] - from,
			       f->data + i * (TEST_CONNECTION_SIZE / BODIES),
			       TEST_CONNECTION_SIZE / BODIES);
		from = b.sizes[i];
	}
	assert_int_equal(from, f->got->used);
	o_stream_unref(&b.conn);
}

static void test_gzip_bodies_over_one_connection(void **state)
{
	test_each_transport(*state, SIZE_MAX, bodies);
}

/*
 * Corks
 */

static int tcp_cork(int fd)
{
	int value = -1;
	socklen_t len = sizeof(value);

	if (getsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, &len) < 0)
		return -1;
	return value != 0 ? 1 : 0;
}

static int look_at_cork(struct test_connection *f)
{
	f->calls++;
	f->saw_cork = tcp_cork(f->fds[1]);
	io_loop_stop(f->loop);
	return 1;
}

static void corks(struct test_connection *f)
{
	bool tcp = f->transport == TEST_TCP;
	struct ostream *top = o_stream_create_passthrough(f->s);

	assert_int_equal(tcp_cork(f->fds[1]), tcp ? 0 : -1);
	o_stream_cork(top);
	o_stream_cork(top);
	assert_int_equal(o_stream_send_str(top, "corked"), 6);
	assert_int_equal(tcp_cork(f->fds[1]), tcp ? 1 : -1);
	/* it is a flag, and not a count */
	o_stream_uncork(top);
	assert_int_equal(tcp_cork(f->fds[1]), tcp ? 0 : -1);
	test_connection_read_all(f, 6);
	/* a flush callback runs corked */
	o_stream_set_flush_callback(f->s, look_at_cork, f);
	o_stream_set_flush_pending(f->s, true);
	io_loop_run(f->loop);
	assert_int_equal(f->saw_cork, tcp ? 1 : -1);
	assert_int_equal(tcp_cork(f->fds[1]), tcp ? 0 : -1);
	/* a cork of the user's outlives it, and then waits for nothing */
	f->calls = 0;
	o_stream_cork(f->s);
	o_stream_set_flush_pending(f->s, true);
	test_connection_turns(f);
	assert_int_equal(f->calls, 0);
	o_stream_uncork(f->s);
	io_loop_run(f->loop);
	assert_int_equal(f->calls, 1);
	o_stream_unref(&top);
}

static void test_corks(void **state)
{
	test_each_transport(*state, 0, corks);
}

/*
 * Input, and both together
 */

static void pumped(enum iostream_pump_status status, struct test_connection *f)
{
	f->calls++;
	assert_int_equal(status, IOSTREAM_PUMP_STATUS_INPUT_EOF);
}

static void feed(struct test_connection *f)
{
	ssize_t ret =
		write(f->answer, f->data + f->sent,
		      I_MIN((size_t)10000, TEST_CONNECTION_SIZE - f->sent));

	if (ret > 0)
		f->sent += (size_t)ret;
	if (f->sent == TEST_CONNECTION_SIZE)
		(void)shutdown(f->answer, SHUT_WR);
}

static void pump(struct test_connection *f)
{
	struct iostream_pump *pump;
	struct istream *input;
	struct io *feed_io;
	int fds[2];

	test_connection_open(TEST_UNIX, fds);
	f->answer = fds[1];
	input = i_stream_create_fd(fds[0], 0);
	feed_io = io_add(fds[1], IO_WRITE, feed, f);
	pump = iostream_pump_create(input, f->s);
	i_stream_unref(&input);
	iostream_pump_set_completion_callback(pump, pumped, f);
	iostream_pump_start(pump);
	while (!iostream_pump_is_waiting_output(pump))
		test_connection_turns(f);
	test_connection_read_all(f, TEST_CONNECTION_SIZE);
	assert_memory_equal(f->got->data, f->data, TEST_CONNECTION_SIZE);
	while (f->calls == 0)
		test_connection_turns(f);
	io_remove(&feed_io);
	iostream_pump_unref(&pump);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void test_pump(void **state)
{
	test_each_transport(*state, SIZE_MAX, pump);
}

static void note_pending(struct test_connection *f)
{
	f->calls++;
	io_loop_stop(f->loop);
}

static void test_pending_input(void **state)
{
	struct test_connection *f = *state;
	struct istream *input = i_stream_create_from_data("x", 1);
	struct io *io = io_add_istream(input, note_pending, f);

	f->calls = 0;
	i_stream_set_input_pending(input, true);
	io_loop_run(f->loop);
	test_connection_turns(f);
	assert_int_equal(f->calls, 1);
	io_remove(&io);
	i_stream_unref(&input);
}

int main(void)
{
	static const struct sigaction action = { .sa_handler = count_sigpipe };
	const struct CMUnitTest tests[] = {
		TEST_CONNECTION(test_reader_goes_away),
		TEST_CONNECTION(test_sockets_raise_no_signal),
		TEST_CONNECTION(test_finish_waits),
		TEST_CONNECTION(test_gzip_bodies_over_one_connection),
		TEST_CONNECTION(test_corks),
		TEST_CONNECTION(test_pump),
		TEST_CONNECTION(test_pending_input),
	};

	assert_int_equal(sigaction(SIGPIPE, &action, NULL), 0);
	return cmocka_run_group_tests_name("nonblocking-ends", tests, NULL,
					   NULL);
}
