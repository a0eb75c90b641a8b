/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_TAKER_H
#define TEST_TAKER_H

/* An end of a test's own, whose functions take what they are told to. */

#include "test-stream-common.h"

struct test_taker {
	struct ostream *s;
	buffer_t *got;
	size_t room; /* for so many bytes more */
	size_t step; /* at most so many a call; 0: no limit */
	/* What it fails with: -1 and this errno, where `fails`; and the text. */
	bool fails;
	int error;
	char *text;
	unsigned int refusals; /* so many calls of finish say 0 */
	/* Done in each call of write and finish. */
	void (*inside)(struct test_taker *taker);
	/* Calls, and what write was last given. */
	unsigned int writes, finishes, destroys;
	const void *data;
	size_t size;
	/* Of that, what it did not take: it comes again, as it was, and first. */
	buffer_t *due;
	bool forgets; /* it may not */
};

/* With a stream that buffers as much, and is to be finished or need not be. Everything
   is taken, until the test says otherwise. */
void test_taker_init(struct test_taker *taker, size_t max_buffer_size,
		     bool finishes);
/* Drops the stream, which is freed then; nothing was called that should not have been. */
void test_taker_free(struct test_taker *taker);
/* It is what came. */
void test_taker_has(const struct test_taker *taker, const void *data,
		    size_t size);

#endif
