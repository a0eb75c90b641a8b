/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TEST_CONNECTION_H
#define BOBBIN_TEST_CONNECTION_H

/* Output that has to wait, over pipes, UNIX and TCP sockets and functions of one's own,
   in an event loop: the library's own, or (TEST_LIBEV) an embedder's, the example's. A
   reader that is held makes a buffer full; nothing depends on how long anything takes. */

#include "ioloop.h"
#include "ostream.h"
#include "test-stream-common.h"

#define TEST_CONNECTION_SIZE 3000000

enum test_transport {
	TEST_PIPE,
	TEST_UNIX,
	TEST_TCP,
	TEST_CALLBACK, /* whose function sends to a UNIX socket */
	TEST_TRANSPORTS
};

struct test_connection {
	struct ioloop *loop;
	unsigned char *data; /* TEST_CONNECTION_SIZE bytes */
	enum test_transport transport;
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

/* For cmocka: a loop, and data, without a connection. */
int test_connection_setup(void **state);
int test_connection_teardown(void **state);
#define TEST_CONNECTION(func)                                        \
	cmocka_unit_test_setup_teardown(func, test_connection_setup, \
					test_connection_teardown)

/* Both ends, which do not block. */
void test_connection_open(enum test_transport transport, int fds[2]);
void test_connection_close_reader(struct test_connection *f);
/* A stream over the write end that buffers as much as that. */
struct ostream *test_connection_stream(struct test_connection *f, size_t max);
/* Calls the test for each kind of connection, with a stream over it. */
void test_each_transport(struct test_connection *f, size_t max,
			 void (*test)(struct test_connection *f));
/* Sends until no more is taken. */
void test_connection_fill(struct test_connection *f);
/* What the reader does when there is something. */
void test_connection_drain(struct test_connection *f);
/* Runs the loop until the reader, who begins now, has so much. */
void test_connection_read_all(struct test_connection *f, size_t want);
/* Runs the loop for some turns, at the end of which nothing may have come. */
void test_connection_turns(struct test_connection *f);

#endif
