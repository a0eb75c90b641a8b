/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_PUMP_COMMON_H
#define TEST_PUMP_COMMON_H

/* A pump, between sides that block or do not. */

#include "iostream-pump.h"
#include "test-stream-common.h"

/* More than a pump moves in one turn of the loop. */
#define TEST_PUMP_BIG 5000000

struct test_pump {
	struct ioloop *loop;
	unsigned char *data; /* TEST_PUMP_BIG bytes */
	buffer_t *got;       /* what came out at the far end of an fd */
	/* [0] is read and [1] written: a pipe whose end [1] the test feeds, and
	   a socket whose end [0] it drains */
	int in_fds[2], out_fds[2];
	struct io *feed_io, *drain_io;
	size_t fed, feed_size;

	struct istream *input;
	struct ostream *output;
	struct iostream_pump *pump;
	unsigned int calls;
	enum iostream_pump_status status;
	char error[256];
	unsigned int turns;
	bool destroy; /* in the callback */
};

/* Each test has one, which has no input and no output yet. */
#define TEST_WITH_PUMP(func)                                   \
	cmocka_unit_test_setup_teardown(func, test_pump_setup, \
					test_pump_teardown)
int test_pump_setup(void **state);
int test_pump_teardown(void **state);
/* Ready for another pump. */
void test_pump_reset(struct test_pump *f);

enum test_side {
	TEST_SIDE_BLOCKING,   /* a file */
	TEST_SIDE_NONBLOCKING /* a pipe or a socket */
};
/* All four pairs of an input and an output. */
#define TEST_PUMP_SIDES 4
extern const enum test_side test_pump_sides[TEST_PUMP_SIDES][2];
/* The first `size` bytes of the data come from it. */
void test_pump_open_input(struct test_pump *f, enum test_side side,
			  size_t size);
void test_pump_open_output(struct test_pump *f, enum test_side side);
/* What has come out is the first so many bytes of the data. */
void test_pump_must_give(struct test_pump *f, enum test_side side, size_t size);
/* Reads what comes out of a socket, until it ends. */
void test_pump_drain(struct test_pump *f);
/* Where it is open (not -1). */
void test_close_fd(int *fd);

/* The completion callback. */
void test_pump_completed(enum iostream_pump_status status, struct test_pump *f);
/* Between the input and the output. */
void test_pump_start(struct test_pump *f);
/* What is due in one turn of the loop, which ends although nothing may be. A test
   that waits for what never comes fails. */
void test_pump_turn(struct test_pump *f);
/* Until it is completed, and that is told once. */
void test_pump_complete(struct test_pump *f);

#endif
