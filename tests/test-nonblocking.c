/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output that has to wait, over pipes, UNIX and TCP sockets, in an event loop: the
   library's own, or (TEST_LIBEV) an embedder's, the example's. A reader that is held
   makes a buffer full; nothing depends on how long anything takes. */

#include "config.h"
#include "iostream-pump.h"
#include "istream.h"
#include "ostream.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef TEST_LIBEV
#include "ioloop-libev.h"
#include <ev.h>
#endif

#define SIZE 3000000

enum transport {
	PIPE,
	UNIX,
	TCP,
	TRANSPORTS
};

struct fixture {
	struct ioloop *loop;
	unsigned char *data; /* SIZE bytes */
	enum transport transport;
	int fds[2]; /* read end, write end */

	struct ostream *s;
	size_t sent;
	unsigned int calls, limit;
	int answer, saw_cork;

	struct io *drain_io;
	buffer_t *got;
	size_t want; /* the loop stops when so much came */
	struct timeout *timeout;
};

static volatile sig_atomic_t sigpipes;

static void count_sigpipe(int signo ATTR_UNUSED)
{
	sigpipes++;
}

static struct ioloop *create_loop(void)
{
#ifdef TEST_LIBEV
	return ioloop_libev_create(ev_default_loop(0));
#else
	return io_loop_create();
#endif
}

/*
 * Connections
 */

static void set_int(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* Small segments: of large ones a small window would wait for a timer. */
static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	set_int(fd, IPPROTO_TCP, TCP_MAXSEG, 1400);
	set_int(fd, SOL_SOCKET, SO_SNDBUF, 65536);
	set_int(fd, SOL_SOCKET, SO_RCVBUF, 65536);
	return fd;
}

static void open_tcp(int fds[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int listener = tcp_socket();

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len),
			 0);
	fds[1] = tcp_socket();
	assert_int_equal(connect(fds[1], (struct sockaddr *)&addr, len), 0);
	fds[0] = accept(listener, NULL, NULL);
	assert_true(fds[0] >= 0);
	assert_int_equal(close(listener), 0);
}

static void open_fds(enum transport transport, int fds[2])
{
	unsigned int i;

	switch (transport) {
	case PIPE:
		assert_int_equal(pipe(fds), 0);
		break;
	case UNIX:
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		set_int(fds[1], SOL_SOCKET, SO_SNDBUF, 4096);
		break;
	default:
		open_tcp(fds);
		break;
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = create_loop();
	f->data = test_data(TEST_DATA_RANDOM, SIZE);
	f->got = buffer_create_dynamic(default_pool, SIZE);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	io_loop_destroy(&f->loop);
	buffer_free(&f->got);
	free(f->data);
	free(f);
	return 0;
}

static void close_reader(struct fixture *f)
{
	io_remove(&f->drain_io);
	if (f->fds[0] != -1)
		assert_int_equal(close(f->fds[0]), 0);
	f->fds[0] = -1;
}

static void close_connection(struct fixture *f)
{
	close_reader(f);
	timeout_remove(&f->timeout);
	o_stream_destroy(&f->s);
	assert_int_equal(close(f->fds[1]), 0);
}

static void drain(struct fixture *f)
{
	unsigned char block[30000];
	ssize_t ret = read(f->fds[0], block, sizeof(block));

	if (ret > 0)
		buffer_append(f->got, block, (size_t)ret);
	if (f->got->used >= f->want)
		io_loop_stop(f->loop);
}

/* Runs the loop until the reader, who begins now, has so much. */
static void read_all(struct fixture *f, size_t want)
{
	f->want = want;
	if (f->drain_io == NULL)
		f->drain_io = io_add(f->fds[0], IO_READ, drain, f);
	if (f->got->used < want)
		io_loop_run(f->loop);
	assert_int_equal(f->got->used, want);
	io_remove(&f->drain_io);
}

/* Runs the loop for some turns, at the end of which nothing may have come. */
static void count_turn(struct fixture *f)
{
	if (++f->limit == 5)
		io_loop_stop(f->loop);
}

static void some_turns(struct fixture *f)
{
	f->limit = 0;
	f->timeout = timeout_add(0, count_turn, f);
	io_loop_run(f->loop);
	timeout_remove(&f->timeout);
}

/* Calls the test for each kind of connection, with a stream over it that buffers as
   much as that. */
static void for_each_transport(struct fixture *f, size_t max,
			       void (*test)(struct fixture *f))
{
	for (f->transport = PIPE; f->transport < TRANSPORTS; f->transport++) {
		open_fds(f->transport, f->fds);
		f->s = o_stream_create_fd(f->fds[1], max);
		f->sent = f->calls = 0;
		f->answer = 0;
		f->got->used = 0;
		test(f);
		close_connection(f);
	}
}

/* Sends until no more is taken. */
static void fill(struct fixture *f)
{
	ssize_t ret;

	do {
		ret = o_stream_send(f->s, f->data + f->sent,
				    I_MIN((size_t)1000, SIZE - f->sent));
		assert_true(ret >= 0);
		f->sent += (size_t)ret;
	} while (ret == 1000);
	assert_true(f->sent < SIZE);
}

/*
 * Full buffers
 */

static void full_buffer(struct fixture *f)
{
	fill(f);
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
	read_all(f, f->sent);
	assert_memory_equal(f->got->data, f->data, f->sent);
	assert_int_equal(o_stream_flush(f->s), 1);
	assert_int_equal(o_stream_get_buffer_avail_size(f->s), 10000);
}

static void test_full_buffer(void **state)
{
	for_each_transport(*state, 10000, full_buffer);
}

static int produce(struct fixture *f)
{
	ssize_t ret;
	int flushed;

	f->calls++;
	flushed = o_stream_flush(f->s);
	if (flushed <= 0)
		return flushed;
	while (f->sent < SIZE) {
		ret = o_stream_send(f->s, f->data + f->sent,
				    I_MIN((size_t)1234, SIZE - f->sent));
		assert_true(ret >= 0);
		f->sent += (size_t)ret;
		if (ret < 1234)
			/* what is buffered calls again by itself */
			return 1;
	}
	return o_stream_flush(f->s);
}

static void producer(struct fixture *f)
{
	o_stream_set_flush_callback(f->s, produce, f);
	o_stream_set_flush_pending(f->s, true);
	read_all(f, SIZE);
	assert_memory_equal(f->got->data, f->data, SIZE);
	assert_true(f->calls > 2);
	assert_int_equal(o_stream_finish(f->s), 1);
}

static void test_producer_in_the_flush_callback(void **state)
{
	for_each_transport(*state, 5000, producer);
}

static int copy_file(struct fixture *f)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);

	f->calls++;
	i_stream_seek(input, f->s->offset);
	f->answer = (int)o_stream_send_istream(f->s, input);
	i_stream_unref(&input);
	return f->answer == OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT ? 0 : 1;
}

/* The kernel copies, where it can; each time as much as is taken. */
static void slow_copy(struct fixture *f)
{
	o_stream_set_flush_callback(f->s, copy_file, f);
	(void)copy_file(f);
	assert_int_equal(f->answer, OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT);
	read_all(f, SIZE);
	assert_memory_equal(f->got->data, f->data, SIZE);
	assert_true(f->calls > 2);
	some_turns(f);
	assert_int_equal(f->answer, OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
}

static void test_send_istream_waits(void **state)
{
	struct fixture *f = *state;

	test_write_file(test_path("in"), f->data, SIZE);
	for_each_transport(f, 5000, slow_copy);
}

/*
 * Flush callbacks
 */

static int three_times(struct fixture *f)
{
	return ++f->calls < 3 ? 0 : 1;
}

static void answers_0(struct fixture *f)
{
	o_stream_set_flush_callback(f->s, three_times, f);
	some_turns(f);
	assert_int_equal(f->calls, 0);
	o_stream_set_flush_pending(f->s, true);
	some_turns(f);
	some_turns(f);
	assert_int_equal(f->calls, 3);
}

static void test_callback_answers_0(void **state)
{
	for_each_transport(*state, 0, answers_0);
}

static int ask_again(struct fixture *f)
{
	if (++f->calls == 1)
		o_stream_set_flush_pending(f->s, true);
	return 1;
}

static void asks_inside(struct fixture *f)
{
	o_stream_set_flush_callback(f->s, ask_again, f);
	o_stream_set_flush_pending(f->s, true);
	some_turns(f);
	some_turns(f);
	assert_int_equal(f->calls, 2);
}

static void test_callback_asks_for_itself(void **state)
{
	for_each_transport(*state, 0, asks_inside);
}

static int second(struct fixture *f)
{
	f->calls += 100;
	o_stream_unset_flush_callback(f->s);
	return 0;
}

static int first(struct fixture *f)
{
	f->calls++;
	o_stream_set_flush_callback(f->s, second, f);
	return 0;
}

/* Another one, and then none: what is buffered is then sent without one. */
static void changes(struct fixture *f)
{
	o_stream_set_flush_callback(f->s, first, f);
	o_stream_set_flush_pending(f->s, true);
	some_turns(f);
	some_turns(f);
	assert_int_equal(f->calls, 101);
	f->calls = 0;
	fill(f);
	o_stream_set_flush_callback(f->s, first, f);
	read_all(f, f->sent);
	assert_memory_equal(f->got->data, f->data, f->sent);
	assert_int_equal(f->calls, 101);
}

static void test_callback_changes_itself(void **state)
{
	for_each_transport(*state, 10000, changes);
}

static int destroy(struct fixture *f)
{
	f->calls++;
	o_stream_abort(f->s);
	o_stream_destroy(&f->s);
	return f->answer;
}

static void destroys(struct fixture *f)
{
	struct ostream *conn;

	for (f->answer = -1; f->answer <= 1; f->answer++) {
		f->calls = 0;
		o_stream_set_flush_callback(f->s, destroy, f);
		o_stream_set_flush_pending(f->s, true);
		some_turns(f);
		assert_int_equal(f->calls, 1);
		assert_null(f->s);
		/* a compressor, which was the last to refer to what is below */
		conn = o_stream_create_fd(f->fds[1], 0);
		f->s = o_stream_create_gzip(conn, 1);
		o_stream_unref(&conn);
		o_stream_set_flush_callback(f->s, destroy, f);
		o_stream_set_flush_pending(f->s, true);
		some_turns(f);
		assert_int_equal(f->calls, 2);
		assert_null(f->s);
		f->s = o_stream_create_fd(f->fds[1], 10000);
	}
	/* with bytes that are lost */
	f->sent = 0;
	fill(f);
	o_stream_set_no_error_handling(f->s, true);
	o_stream_set_flush_callback(f->s, destroy, f);
	f->want = SIZE;
	f->drain_io = io_add(f->fds[0], IO_READ, drain, f);
	while (f->s != NULL)
		some_turns(f);
	assert_int_equal(f->calls, 3);
}

static void test_callback_destroys_its_stream(void **state)
{
	for_each_transport(*state, 10000, destroys);
}

/*
 * The other end goes away
 */

static int until_error(struct fixture *f)
{
	f->calls++;
	f->answer = o_stream_flush(f->s);
	if (f->answer < 0)
		io_loop_stop(f->loop);
	return f->answer;
}

static void gone_while_waiting(struct fixture *f)
{
	fill(f);
	o_stream_set_flush_callback(f->s, until_error, f);
	close_reader(f);
	io_loop_run(f->loop);
	assert_true(f->s->stream_errno == EPIPE ||
		    f->s->stream_errno == ECONNRESET);
	/* that was the last call */
	f->calls = 0;
	some_turns(f);
	assert_int_equal(f->calls, 0);
	assert_int_equal(o_stream_send_str(f->s, "x"), -1);
}

static void test_reader_goes_away(void **state)
{
	sigpipes = 0;
	for_each_transport(*state, 10000, gone_while_waiting);
	/* the pipe's: for a pipe there is no way to write without it */
	assert_int_equal(sigpipes, 1);
}

static int send_text(struct ostream *output, struct fixture *f ATTR_UNUSED)
{
	return (int)o_stream_send_str(output, "x");
}

static int send_buffered(struct ostream *output, struct fixture *f)
{
	o_stream_cork(output);
	o_stream_nsend(output, f->data, 100);
	o_stream_uncork(output);
	return o_stream_flush(output);
}

static int send_file(struct ostream *output, struct fixture *f ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	enum ostream_send_istream_result result;

	result = o_stream_send_istream(output, input);
	i_stream_unref(&input);
	return result == OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT ? -1 : 0;
}

static int send_fd(struct ostream *output, struct fixture *f)
{
	if (f->transport == UNIX)
		(void)o_stream_unix_write_fd(output, STDERR_FILENO);
	return (int)o_stream_send_str(output, "x");
}

static void gone_before(struct fixture *f)
{
	static int (*const ways[])(struct ostream *, struct fixture *) = {
		send_text, send_buffered, send_file, send_fd
	};
	unsigned int i;

	if (f->transport == PIPE)
		return;
	for (i = 0; i < N_ELEMENTS(ways); i++) {
		close_reader(f);
		o_stream_destroy(&f->s);
		f->s = f->transport == UNIX ?
			o_stream_create_unix(f->fds[1], 0) :
			o_stream_create_fd(f->fds[1], 0);
		/* TCP learns of it by the answer to what is sent first */
		while (ways[i](f->s, f) >= 0)
			;
		assert_true(f->s->stream_errno == EPIPE ||
			    f->s->stream_errno == ECONNRESET);
		/* that text is the peer's fault, and it says whose */
		assert_non_null(strstr(o_stream_get_error(f->s), "(fd "));
		o_stream_destroy(&f->s);
		assert_int_equal(close(f->fds[1]), 0);
		open_fds(f->transport, f->fds);
		f->s = o_stream_create_fd(f->fds[1], 0);
	}
}

static void test_sockets_raise_no_signal(void **state)
{
	struct fixture *f = *state;

	test_write_file(test_path("in"), f->data, SIZE);
	sigpipes = 0;
	for_each_transport(f, 0, gone_before);
	assert_int_equal(sigpipes, 0);
}

/*
 * Finish
 */

static int finish(struct fixture *f)
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

static void slow_finish(struct fixture *f)
{
	struct ostream *conn = f->s;

	f->s = o_stream_create_gzip(conn, 1);
	/* as much as it takes: gzip and the sink are full then */
	fill(f);
	o_stream_set_flush_callback(f->s, finish, f);
	assert_int_equal(o_stream_finish(f->s), 0);
	assert_int_equal(o_stream_finish(f->s), 0);
	f->want = SIZE_MAX;
	f->drain_io = io_add(f->fds[0], IO_READ, drain, f);
	while (f->answer == 0)
		some_turns(f);
	assert_int_equal(f->answer, 1);
	assert_int_equal(o_stream_finish(f->s), 1);
	assert_int_equal(o_stream_finish(conn), 1);
	o_stream_unref(&conn);
	some_turns(f);
	some_turns(f);
	read_all(f, f->got->used);
	assert_gunzips(f->got->data, f->got->used, f->data, f->sent);
}

static void test_finish_waits(void **state)
{
	for_each_transport(*state, 10000, slow_finish);
}

/* One body after the other over the same connection. */
#define BODIES 3
struct bodies {
	struct fixture *f;
	struct ostream *conn;
	size_t sizes[BODIES];
	unsigned int done, zeros;
};

static int next_body(struct bodies *b)
{
	static const size_t size = SIZE / BODIES;
	struct fixture *f = b->f;
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

static void bodies(struct fixture *f)
{
	struct bodies b = { .f = f, .conn = f->s };
	size_t from = 0, i;

	f->s = NULL;
	o_stream_set_finish_via_child(b.conn, false);
	assert_int_equal(next_body(&b), 0);
	f->want = SIZE_MAX;
	f->drain_io = io_add(f->fds[0], IO_READ, drain, f);
	io_loop_run(f->loop);
	/* each of them had to wait */
	assert_true(b.zeros >= BODIES);
	assert_int_equal(o_stream_finish(b.conn), 1);
	read_all(f, b.conn->offset);
	for (i = 0; i < BODIES; i++) {
		assert_gunzips((const unsigned char *)f->got->data + from,
			       b.sizes[i] - from, f->data + i * (SIZE / BODIES),
			       SIZE / BODIES);
		from = b.sizes[i];
	}
	assert_int_equal(from, f->got->used);
	o_stream_unref(&b.conn);
}

static void test_gzip_bodies_over_one_connection(void **state)
{
	for_each_transport(*state, SIZE_MAX, bodies);
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

static int look_at_cork(struct fixture *f)
{
	f->calls++;
	f->saw_cork = tcp_cork(f->fds[1]);
	io_loop_stop(f->loop);
	return 1;
}

static void corks(struct fixture *f)
{
	bool tcp = f->transport == TCP;
	struct ostream *top = o_stream_create_passthrough(f->s);

	assert_int_equal(tcp_cork(f->fds[1]), tcp ? 0 : -1);
	o_stream_cork(top);
	o_stream_cork(top);
	assert_int_equal(o_stream_send_str(top, "corked"), 6);
	assert_int_equal(tcp_cork(f->fds[1]), tcp ? 1 : -1);
	/* it is a flag, and not a count */
	o_stream_uncork(top);
	assert_int_equal(tcp_cork(f->fds[1]), tcp ? 0 : -1);
	read_all(f, 6);
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
	some_turns(f);
	assert_int_equal(f->calls, 0);
	o_stream_uncork(f->s);
	io_loop_run(f->loop);
	assert_int_equal(f->calls, 1);
	o_stream_unref(&top);
}

static void test_corks(void **state)
{
	for_each_transport(*state, 0, corks);
}

/*
 * Input, and both together
 */

static void pumped(enum iostream_pump_status status, struct fixture *f)
{
	f->calls++;
	assert_int_equal(status, IOSTREAM_PUMP_STATUS_INPUT_EOF);
}

static void feed(struct fixture *f)
{
	ssize_t ret = write(f->answer, f->data + f->sent,
			    I_MIN((size_t)10000, SIZE - f->sent));

	if (ret > 0)
		f->sent += (size_t)ret;
	if (f->sent == SIZE)
		(void)shutdown(f->answer, SHUT_WR);
}

static void pump(struct fixture *f)
{
	struct iostream_pump *pump;
	struct istream *input;
	struct io *feed_io;
	int fds[2];

	open_fds(UNIX, fds);
	f->answer = fds[1];
	input = i_stream_create_fd(fds[0], 0);
	feed_io = io_add(fds[1], IO_WRITE, feed, f);
	pump = iostream_pump_create(input, f->s);
	i_stream_unref(&input);
	iostream_pump_set_completion_callback(pump, pumped, f);
	iostream_pump_start(pump);
	while (!iostream_pump_is_waiting_output(pump))
		some_turns(f);
	read_all(f, SIZE);
	assert_memory_equal(f->got->data, f->data, SIZE);
	while (f->calls == 0)
		some_turns(f);
	io_remove(&feed_io);
	iostream_pump_unref(&pump);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void test_pump(void **state)
{
	for_each_transport(*state, SIZE_MAX, pump);
}

static void note_pending(struct fixture *f)
{
	f->calls++;
	io_loop_stop(f->loop);
}

static void test_pending_input(void **state)
{
	struct fixture *f = *state;
	struct istream *input = i_stream_create_from_data("x", 1);
	struct io *io = io_add_istream(input, note_pending, f);

	f->calls = 0;
	i_stream_set_input_pending(input, true);
	io_loop_run(f->loop);
	some_turns(f);
	assert_int_equal(f->calls, 1);
	io_remove(&io);
	i_stream_unref(&input);
}

#define LOOP_TEST(func) cmocka_unit_test_setup_teardown(func, setup, teardown)

int main(void)
{
	static const struct sigaction action = { .sa_handler = count_sigpipe };
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_full_buffer),
		LOOP_TEST(test_producer_in_the_flush_callback),
		LOOP_TEST(test_send_istream_waits),
		LOOP_TEST(test_callback_answers_0),
		LOOP_TEST(test_callback_asks_for_itself),
		LOOP_TEST(test_callback_changes_itself),
		LOOP_TEST(test_callback_destroys_its_stream),
		LOOP_TEST(test_reader_goes_away),
		LOOP_TEST(test_sockets_raise_no_signal),
		LOOP_TEST(test_finish_waits),
		LOOP_TEST(test_gzip_bodies_over_one_connection),
		LOOP_TEST(test_corks),
		LOOP_TEST(test_pump),
		LOOP_TEST(test_pending_input),
	};

	assert_int_equal(sigaction(SIGPIPE, &action, NULL), 0);
	return cmocka_run_group_tests_name("nonblocking", tests, NULL, NULL);
}
