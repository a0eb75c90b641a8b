/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-connection.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef TEST_LIBEV
#include "ioloop-libev.h"
#include <ev.h>
#endif

static struct ioloop *create_loop(void)
{
#ifdef TEST_LIBEV
	return ioloop_libev_create(ev_default_loop(0));
#else
	return io_loop_create();
#endif
}

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

void test_connection_open(enum test_transport transport, int fds[2])
{
	unsigned int i;

	switch (transport) {
	case TEST_PIPE:
		assert_int_equal(pipe(fds), 0);
		break;
	case TEST_UNIX:
	case TEST_CALLBACK:
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

/* Functions that send to a socket, and wait for it where it takes no more. */
struct sender {
	struct ostream *stream;
	struct io *io;
	int fd;
};

static void may_send(struct sender *sender)
{
	io_remove(&sender->io);
	o_stream_callback_wake(sender->stream);
}

static ssize_t sender_write(void *context, const void *data, size_t size,
			    const char **error_r ATTR_UNUSED)
{
	struct sender *sender = context;
	ssize_t ret = send(sender->fd, data, size, MSG_NOSIGNAL);

	if (ret < 0 && errno == EAGAIN && sender->io == NULL)
		sender->io = io_add(sender->fd, IO_WRITE, may_send, sender);
	return ret;
}

static void sender_destroy(void *context)
{
	struct sender *sender = context;

	io_remove(&sender->io);
	free(sender);
}

static struct ostream *create_sender(int fd, size_t max)
{
	static const struct ostream_callback_methods methods = {
		.write = sender_write, .destroy = sender_destroy
	};
	struct sender *sender = calloc(1, sizeof(*sender));

	assert_non_null(sender);
	sender->fd = fd;
	sender->stream = o_stream_create_callback(&methods, sender, max);
	return sender->stream;
}

struct ostream *test_connection_stream(struct test_connection *f, size_t max)
{
	return f->transport == TEST_CALLBACK ?
		create_sender(f->fds[1], max) :
		o_stream_create_fd(f->fds[1], max);
}

int test_connection_setup(void **state)
{
	struct test_connection *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = create_loop();
	f->data = test_data(TEST_DATA_RANDOM, TEST_CONNECTION_SIZE);
	f->got = buffer_create_dynamic(default_pool, TEST_CONNECTION_SIZE);
	*state = f;
	return 0;
}

int test_connection_teardown(void **state)
{
	struct test_connection *f = *state;

	io_loop_destroy(&f->loop);
	buffer_free(&f->got);
	free(f->data);
	free(f);
	return 0;
}

void test_connection_close_reader(struct test_connection *f)
{
	io_remove(&f->drain_io);
	if (f->fds[0] != -1)
		assert_int_equal(close(f->fds[0]), 0);
	f->fds[0] = -1;
}

static void close_connection(struct test_connection *f)
{
	test_connection_close_reader(f);
	timeout_remove(&f->timeout);
	o_stream_destroy(&f->s);
	assert_int_equal(close(f->fds[1]), 0);
}

void test_connection_drain(struct test_connection *f)
{
	unsigned char block[30000];
	ssize_t ret = read(f->fds[0], block, sizeof(block));

	if (ret > 0)
		buffer_append(f->got, block, (size_t)ret);
	if (f->got->used >= f->want)
		io_loop_stop(f->loop);
}

void test_connection_read_all(struct test_connection *f, size_t want)
{
	f->want = want;
	if (f->drain_io == NULL)
		f->drain_io =
			io_add(f->fds[0], IO_READ, test_connection_drain, f);
	if (f->got->used < want)
		io_loop_run(f->loop);
	assert_int_equal(f->got->used, want);
	io_remove(&f->drain_io);
}

static void count_turn(struct test_connection *f)
{
	if (++f->limit == 5)
		io_loop_stop(f->loop);
}

void test_connection_turns(struct test_connection *f)
{
	f->limit = 0;
	f->timeout = timeout_add(0, count_turn, f);
	io_loop_run(f->loop);
	timeout_remove(&f->timeout);
}

void test_each_transport(struct test_connection *f, size_t max,
			 void (*test)(struct test_connection *f))
{
	for (f->transport = TEST_PIPE; f->transport < TEST_TRANSPORTS;
	     f->transport++) {
		test_connection_open(f->transport, f->fds);
		f->s = test_connection_stream(f, max);
		f->sent = f->calls = 0;
		f->answer = 0;
		f->got->used = 0;
		test(f);
		close_connection(f);
	}
}

void test_connection_fill(struct test_connection *f)
{
	ssize_t ret;

	do {
		ret = o_stream_send(f->s, f->data + f->sent,
				    I_MIN((size_t)1000,
					  TEST_CONNECTION_SIZE - f->sent));
		assert_true(ret >= 0);
		f->sent += (size_t)ret;
	} while (ret == 1000);
	assert_true(f->sent < TEST_CONNECTION_SIZE);
}
