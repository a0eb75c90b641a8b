/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_STREAM_COMMON_H
#define TEST_STREAM_COMMON_H

/* Streams that are difficult on purpose. */

#include "age-keys.h"
#include "istream.h"
#include "ostream.h"
#include "test-common.h"
#include "transform.h"

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

/* For progress streams: what it was told, with a space behind each; cancels with the
   call of number cancel_at. */
struct test_told {
	char text[256];
	unsigned int calls, cancel_at;
};
bool test_tell(uoff_t offset, void *context);

/* Of a test: an empty directory test_path("d"), where umask leaves what others may read; and
   file operations that are the system's again. */
int test_dir_setup(void **state);
int test_dir_teardown(void **state);

/* Of a group: a new key, as sets and as text; its secret half is in
   test_path("key"). */
extern struct test_keys {
	struct age_identities *identities;
	struct age_recipients *recipients;
	char recipient[AGE_RECIPIENT_TEXT_SIZE];
} test_keys;
int test_keys_setup(void **state);
int test_keys_teardown(void **state);
/* What is sealed for them, in pieces of so many bytes: the errno, and in out all that was
   read. */
int test_decrypt(const void *data, size_t size, size_t step, buffer_t *out);
/* The same, and from then on all that is random is not: what encrypts gives the same
   bytes each time. */
int test_fixed_keys_setup(void **state);

/* One whose secret half nobody has. */
#define TEST_RECIPIENT \
	"age1ry6h846usy7nlmv9lzmmudaj53g9v68vyx9fwgtsldejr2k4y4cqjeta86"

/* Input that comes `step` bytes a read, with a "nothing now" between two of them
   where `pauses` is set. The data must outlive it. */
struct istream *test_trickle_create(const void *data, size_t size, size_t step,
				    bool pauses);

/* Reads all there is (going on at 0 answers); the final stream_errno. */
int test_read_all(struct istream *input, buffer_t *out);
/* All that a stream gives, and how it ends; the stream is destroyed. */
void test_gives(struct istream *s, const char *text, int error);

struct stack_spec *test_stack_parse(const char *text);

/*
 * Codecs
 */

/* A string literal's bytes and how many they are, for tables. */
#define TEST_BYTES(str) (str), sizeof(str) - 1

/* All of the data encoded in one send; buffer_free() it. */
buffer_t *test_encode(struct transform *encoder, const void *data, size_t size);
/* Decodes by reading from a trickle of `step` bytes; max_buffer 0 is the usual
   one. What came out, also before an error, replaces out's data; the final
   stream_errno is returned, its text is in test_stream_error. */
extern char test_stream_error[1024];
int test_decode_step(struct transform *decoder, const void *data, size_t size,
		     size_t step, bool pauses, size_t max_buffer,
		     buffer_t *out);
int test_decode(struct transform *decoder, const void *data, size_t size,
		buffer_t *out);
/* The same by sending `step` bytes at a time, and finish. */
int test_decode_push(struct transform *decoder, const void *data, size_t size,
		     size_t step, buffer_t *out);

/* What a decoder makes of some bytes. */
struct test_decoding {
	const char *name;
	const void *in;
	size_t in_size;
	const void *out; /* all that comes out, also before an error */
	size_t out_size;
	int error;
	const char *text; /* part of the error's text, or NULL */
};
/* One row, read whole, byte by byte and in small pieces, and sent in the same
   ways: the answer is always the same one. */
void test_decoding(struct transform *(*decoder)(void),
		   const struct test_decoding *row);
void test_decodings(struct transform *(*decoder)(void),
		    const struct test_decoding *rows, size_t count);
/* Skippable frames, which LZ4 and zstd have in common, and a frame of "hello" that is this. */
void test_skippable_frames(struct transform *(*decoder)(void),
			   const void *hello, size_t size);
/* Every proper prefix of a unit is EPIPE, and gives a prefix of `plain`. */
void test_every_cut(struct transform *(*decoder)(void), const void *data,
		    size_t size, const void *plain, size_t plain_size);

/* Drives process() itself, with an output window of the class's min_out: all of
   the input, and then the answer to op. out is appended to; what was taken of
   the input goes to *taken_r if that is not NULL. */
enum transform_status test_process(struct transform *t, const void *data,
				   size_t size, enum transform_op op,
				   buffer_t *out, size_t *taken_r);

#endif
