/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_CODEC_COMMON_H
#define TEST_CODEC_COMMON_H

/* The table of all codecs, for what holds of each of them. A new codec is a row in it. */

#include "test-stream-common.h"

struct test_codec {
	const char *name; /* NULL: the table's end */
	struct transform *(*encoder)(void);
	struct transform *(*decoder)(void);
	/* every flipped bit of the encoded data is found */
	bool checksum;
	/* the data may be cut anywhere without notice */
	bool no_end;
	/* text is decoded as it was: false for what changes line ends */
	bool exact_text;
	/* bytes at the end that may be missing: a last line end */
	size_t optional_end;
};
/* The first one is gzip. Those of age want the keys of test_fixed_keys_setup(), which are
   always the same, as are the nonces: so what they make can be compared. */
extern const struct test_codec test_codecs[];

/* Each in turn, which says its name when something fails. */
#define TEST_EACH_CODEC(c)    \
	for (c = test_codecs; \
	     c->name != NULL && (test_codec_begin(c->name), true); c++)
void test_codec_begin(const char *name);

/* That this is what is in the buffer. */
void test_codec_must_give(const void *data, size_t size, const buffer_t *buf,
			  const char *what);
/* Data that the codec gives back as it was: mail text. For the line end codecs the plain
   form has their own line ends. free() it. */
unsigned char *test_codec_plain(const struct test_codec *codec, size_t *size);
buffer_t *test_codec_encode(const struct test_codec *codec, const void *data,
			    size_t size);
/* The final stream_errno; what came out replaces out's data. */
int test_codec_decode(const struct test_codec *codec, const void *data,
		      size_t size, buffer_t *out);
/* age's last chunk ends where the input does: what is behind it damages it. */
bool test_codec_ends_with_input(const struct test_codec *codec);

#endif
