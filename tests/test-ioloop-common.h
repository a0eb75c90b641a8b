/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_IOLOOP_COMMON_H
#define TEST_IOLOOP_COMMON_H

/* A loop, and what its callbacks see. */

#include "ioloop.h"
#include "test-common.h"

/* In milliseconds, for a timeout that must not come. */
#define TEST_AN_HOUR (60 * 60 * 1000)

/* Each test has a loop, a pair of connected sockets, and a text to which callbacks append a
   letter. */
struct test_loop {
	struct ioloop *loop;
	int fds[2];
	char log[64];
	struct io *ios[4];
	struct timeout *timeouts[4];
	unsigned int calls, stop_at;
};

/* One callback's own letter. */
struct test_letter {
	struct test_loop *f;
	char chr;
	/* what the callback is to do */
	struct io **remove_io;
	struct timeout **remove_timeout;
	bool stop;
};

#define TEST_WITH_LOOP(func)                                   \
	cmocka_unit_test_setup_teardown(func, test_loop_setup, \
					test_loop_teardown)
int test_loop_setup(void **state);
int test_loop_teardown(void **state);

/* The callback of such a letter. */
void test_letter_called(struct test_letter *letter);
/* Makes the other end readable. */
void test_write_byte(int fd);

#endif
