/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef FUZZ_COMMON_H
#define FUZZ_COMMON_H

/* What every fuzz target includes. The assertions of cmocka abort in it, which is how
   libFuzzer learns that something does not hold. */

#include "test-stream-common.h"

/* What a target is made of: one input, after which nothing is left behind, and those that
   it begins with. */
void fuzz_one(const unsigned char *data, size_t size);
void fuzz_seeds(void);
/* Writes one of these. */
void fuzz_seed(const void *data, size_t size);
/* The same with bytes before it, which choose what is done with it. */
void fuzz_seed_with(const void *choices, size_t choices_size, const void *data,
		    size_t size);
/* Each file of a directory of tests/data behind these choices. */
void fuzz_seed_files(const void *choices, size_t choices_size, const char *dir);
/* Once a process, before the first input; may be empty. */
void fuzz_setup(void);

/* An input that is read from its beginning. Behind its end there are zeros: what is cut
   short still means something. */
struct fuzz_input {
	const unsigned char *data, *end;
};
size_t fuzz_left(const struct fuzz_input *in);
unsigned int fuzz_byte(struct fuzz_input *in);
/* 0 to limit - 1, of one byte, or of two where limit is larger than 256. */
unsigned int fuzz_below(struct fuzz_input *in, unsigned int limit);
/* So many bytes, or fewer, that are there. */
const unsigned char *fuzz_take(struct fuzz_input *in, size_t *size);

/* What is done with an input, on stderr where FUZZ_TRACE is set. */
void fuzz_trace(const char *fmt, ...) ATTR_FORMAT(1, 2);

/* Fixed keys: test_keys. */
void fuzz_keys(void);

/* Sends all of the data, in pieces as choices says, to a stream that ends in the sink,
   which is given room when it is full, and some of the time corked or flushed. 0, or
   the errno. */
int fuzz_send(struct ostream *output, struct test_sink *sink,
	      const unsigned char *data, size_t size,
	      struct fuzz_input *choices);
/* The same for o_stream_finish(): 0, or the errno. */
int fuzz_finish(struct ostream *output, struct test_sink *sink, size_t room);
/* Reads all, as i_stream_read() and i_stream_skip() in sizes that choices says; the
   final stream_errno. */
int fuzz_read(struct istream *input, buffer_t *out, struct fuzz_input *choices);
/* That these are the same. */
void fuzz_same(const buffer_t *a, const void *data, size_t size,
	       const char *what);

#endif
