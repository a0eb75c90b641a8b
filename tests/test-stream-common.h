/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_STREAM_COMMON_H
#define TEST_STREAM_COMMON_H

/* Streams that are difficult on purpose. */

#include "istream.h"
#include "ostream.h"
#include "test-common.h"

/* A sink that takes at most `room` bytes in all until test_sink_allow() gives it
   more, and at most `step` bytes a send (0: no limit). What it took is in
   data. */
struct test_sink {
	struct ostream *stream;
	buffer_t *data;
	size_t room, step;
	unsigned int sends, flushes, finishes;
};
struct test_sink *test_sink_create(size_t room, size_t step);
void test_sink_allow(struct test_sink *sink, size_t room);
/* Drops the stream (unless somebody still refers to it) and the data. */
void test_sink_free(struct test_sink **sink);

/* Input that comes `step` bytes a read, with a "nothing now" between two of them
   where `pauses` is set. The data must outlive it. */
struct istream *test_trickle_create(const void *data, size_t size, size_t step,
				    bool pauses);

/* Reads all there is (going on at 0 answers); the final stream_errno. */
int test_read_all(struct istream *input, buffer_t *out);

#endif
