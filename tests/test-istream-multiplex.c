/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several channels of one input, in both formats: what each gives, whatever pieces
   the input comes in, and how all of them end. */

#include "config.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>

#define HEADER "\xff\xff\xff\xff\xff\x00\x02\x03\xfe"
#define CHANNELS 3

/* Channels 0 to 2. */
struct fixture {
	struct istream *parent, *channels[CHANNELS];
	buffer_t *out[CHANNELS];
};

static void begin(struct fixture *f, struct istream *parent, size_t bufsize)
{
	uint8_t i;

	f->parent = parent;
	f->channels[0] = i_stream_create_multiplex(parent, bufsize);
	for (i = 0; i < CHANNELS; i++) {
		f->out[i] = buffer_create_dynamic(default_pool, 64);
		if (i > 0)
			f->channels[i] = i_stream_multiplex_add_channel(
				f->channels[i - 1], i);
	}
	i_stream_unref(&f->parent);
}

static void end(struct fixture *f)
{
	unsigned int i;

	for (i = 0; i < CHANNELS; i++) {
		i_stream_destroy(&f->channels[i]);
		buffer_free(&f->out[i]);
	}
}

/* Takes what the channel has now. The answer that ended it. */
static int take(struct fixture *f, unsigned int i)
{
	const unsigned char *data;
	size_t size;
	int ret;

	while ((ret = i_stream_read_more(f->channels[i], &data, &size)) > 0) {
		buffer_append(f->out[i], data, size);
		i_stream_skip(f->channels[i], size);
	}
	return ret;
}

/* Reads all of them to their ends, the last one first in each turn. */
static void read_all(struct fixture *f)
{
	bool more;
	unsigned int i;

	do {
		more = false;
		for (i = CHANNELS; i > 0; i--)
			more = take(f, i - 1) == 0 || more;
	} while (more);
}

struct data_case {
	const char *name;
	const char *in;
	size_t in_size;
	const char *out[CHANNELS]; /* texts */
	int error;
	const char *text;
};

static const struct data_case cases[] = {
	{ "nothing", TEST_BYTES(""), { "", "", "" }, 0, NULL },
	{ "packets",
	  TEST_BYTES("\0\0\0\0\5hello\1\0\0\0\1x\0\0\0\0\1!"),
	  { "hello!", "x", "" },
	  0,
	  NULL },
	{ "an empty packet",
	  TEST_BYTES("\2\0\0\0\0\1\0\0\0\1x"),
	  { "", "x", "" },
	  0,
	  NULL },
	{ "a channel that is not there",
	  TEST_BYTES("\7\0\0\0\3abc\1\0\0\0\1x\xff\0\0\0\1y"),
	  { "", "x", "" },
	  0,
	  NULL },
	{ "a cut header",
	  TEST_BYTES("\1\0\0\0\1x\0\0\0\0"),
	  { "", "x", "" },
	  EPIPE,
	  "ends within a header" },
	{ "a cut packet",
	  TEST_BYTES("\1\0\0\0\4xy"),
	  { "", "xy", "" },
	  EPIPE,
	  "ends 2 bytes before the end of a packet of channel 1" },
	{ "a cut packet of no channel",
	  TEST_BYTES("\7\0\0\0\4xy"),
	  { "", "", "" },
	  EPIPE,
	  "ends 2 bytes before the end of a packet of channel 7" },
	{ "no data behind a header",
	  TEST_BYTES("\1\0\0\0\4"),
	  { "", "", "" },
	  EPIPE,
	  "ends 4 bytes before" },
	{ "a stream",
	  TEST_BYTES(HEADER "he\x03\xfe\x00\x02z\x03\xfe\x00\x00llo"),
	  { "hello", "", "z" },
	  0,
	  NULL },
	{ "a stream of nothing", TEST_BYTES(HEADER), { "", "", "" }, 0, NULL },
	{ "channels of a stream that are not there",
	  TEST_BYTES(HEADER "a\x03\xfe\x00\x09"
			    "b\x03\xfe\x01\x03"
			    "c\x03\xfe\x00\x01"
			    "d"),
	  { "a", "d", "" },
	  0,
	  NULL },
	{ "escapes",
	  TEST_BYTES(HEADER "\x03\xfe\x01\xfe|\x03\xfe\x01|\x03|\x03\x03|"
			    "\x03\x03\xfe\x01"),
	  { "\x03\xfe|\x03|\x03|\x03\x03|\x03\x03", "", "" },
	  0,
	  NULL },
	{ "the header in a packet, later",
	  TEST_BYTES("\0\0\0\0\x9" HEADER "\1\0\0\0\1x"),
	  { "\xff\xff\xff\xff\xff", "x", "" },
	  0,
	  NULL },
	{ "an unknown version",
	  TEST_BYTES("\xff\xff\xff\xff\xff\x01\x02\x03\xfe"
		     "a"),
	  { "", "", "" },
	  EINVAL,
	  "unknown version" },
	{ "another escape",
	  TEST_BYTES("\xff\xff\xff\xff\xff\x00\x02\x03\xfd"
		     "a"),
	  { "", "", "" },
	  EINVAL,
	  "unknown version: its header goes on with 00 02 03 fd" },
	{ "a cut header of a stream",
	  TEST_BYTES("\xff\xff\xff\xff\xff\x00\x02\x03"),
	  { "", "", "" },
	  EPIPE,
	  "ends within a header" },
	{ "a cut header of an unknown version",
	  TEST_BYTES("\xff\xff\xff\xff\xff\x00\x03"),
	  { "", "", "" },
	  EINVAL,
	  "unknown version, and ends" },
	{ "an unknown escape",
	  TEST_BYTES(HEADER "ab\x03\xfe\x02"),
	  { "ab", "", "" },
	  EINVAL,
	  "unknown escape (03 fe 02) at offset 13" },
	{ "an escape that is cut to one byte",
	  TEST_BYTES(HEADER "ab\x03"),
	  { "ab", "", "" },
	  EPIPE,
	  "ends within an escape" },
	{ "an escape that is cut to two",
	  TEST_BYTES(HEADER "ab\x03\xfe"),
	  { "ab", "", "" },
	  EPIPE,
	  "ends within an escape" },
	{ "an escape that is cut to three",
	  TEST_BYTES(HEADER "ab\x03\xfe\x00"),
	  { "ab", "", "" },
	  EPIPE,
	  "ends within an escape" },
};

static void check_case(const struct data_case *row, size_t step, bool pauses)
{
	struct fixture f;
	unsigned int i;
	const char *out;

	begin(&f, test_trickle_create(row->in, row->in_size, step, pauses), 0);
	read_all(&f);
	for (i = 0; i < CHANNELS; i++) {
		/* not all of what there is, where it holds NULs */
		out = buffer_c_str(f.out[i]);
		if (strcmp(out, row->out[i]) != 0)
			fail_msg("%s: channel %u gives %s", row->name, i, out);
		if (f.channels[i]->stream_errno != row->error)
			fail_msg("%s: channel %u ends with %d", row->name, i,
				 f.channels[i]->stream_errno);
		assert_true(f.channels[i]->eof);
		if (row->text != NULL &&
		    strstr(i_stream_get_error(f.channels[i]), row->text) ==
			    NULL)
			fail_msg("%s: %s", row->name,
				 i_stream_get_error(f.channels[i]));
	}
	end(&f);
}

static void test_formats(void **state ATTR_UNUSED)
{
	size_t i, step;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		for (step = 1; step <= cases[i].in_size + 1; step++) {
			check_case(&cases[i], step, false);
			check_case(&cases[i], step, true);
		}
	}
}

/* Bytes of others wait for them, and are no more than the buffer may hold. */
static void test_full_channel(void **state ATTR_UNUSED)
{
	static const char data[] = "\1\0\0\0\6abcdef\0\0\0\0\1x";
	const unsigned char *bytes, *again;
	struct fixture f;
	size_t size;

	begin(&f, i_stream_create_from_data(data, sizeof(data) - 1), 4);
	assert_int_equal(i_stream_multiplex_get_channel_id(f.channels[2]), 2);
	assert_false(f.channels[0]->blocking);
	/* it has to be read first */
	assert_int_equal(i_stream_read(f.channels[0]), 0);
	assert_int_equal(i_stream_read(f.channels[2]), 0);
	assert_int_equal(i_stream_read(f.channels[1]), 4);
	assert_int_equal(i_stream_read(f.channels[1]), -2);
	bytes = i_stream_get_data(f.channels[1], &size);
	assert_memory_equal(bytes, "abcd", 4);
	/* what it shows stays where it is while others read */
	assert_int_equal(i_stream_read(f.channels[0]), 1);
	again = i_stream_get_data(f.channels[1], &size);
	assert_ptr_equal(again, bytes);
	assert_memory_equal(bytes, "abcd", 4);
	i_stream_skip(f.channels[1], 4);
	assert_int_equal(i_stream_read(f.channels[1]), 2);
	assert_int_equal(i_stream_read(f.channels[1]), -1);
	assert_int_equal(f.channels[1]->stream_errno, 0);
	assert_int_equal(f.channels[1]->v_offset, 4);
	end(&f);
}

/* A channel that is closed makes nobody wait; a new one begins in the middle. */
static void test_channels_come_and_go(void **state ATTR_UNUSED)
{
	static const char data[] = "\1\0\0\0\6abcdef\0\0\0\0\1x\1\0\0\0\1y";
	struct fixture f;

	begin(&f, test_trickle_create(data, sizeof(data) - 1, 7, false), 1);
	assert_int_equal(i_stream_read(f.channels[0]), 0);
	i_stream_close(f.channels[1]);
	assert_int_equal(take(&f, 0), -1);
	assert_string_equal(buffer_c_str(f.out[0]), "x");
	assert_int_equal(take(&f, 1), -1);
	assert_int_equal(f.channels[1]->stream_errno, EPIPE);
	end(&f);

	begin(&f, test_trickle_create(data, sizeof(data) - 1, 8, false), 1);
	i_stream_destroy(&f.channels[1]);
	assert_int_equal(i_stream_read(f.channels[0]), 1);
	f.channels[1] = i_stream_multiplex_add_channel(f.channels[2], 1);
	EXPECT_PANIC("id != id",
		     (void)i_stream_multiplex_add_channel(f.channels[0], 1));
	read_all(&f);
	assert_string_equal(buffer_c_str(f.out[0]), "x");
	assert_string_equal(buffer_c_str(f.out[1]), "y");
	end(&f);
}

static void test_closes_the_parent_last(void **state ATTR_UNUSED)
{
	struct istream *parent = i_stream_create_from_data("", 0);
	struct fixture f;

	i_stream_ref(parent);
	begin(&f, parent, 0);
	i_stream_close(f.channels[1]);
	i_stream_close(f.channels[0]);
	assert_false(parent->closed);
	i_stream_close(f.channels[2]);
	assert_true(parent->closed);
	end(&f);
	i_stream_unref(&parent);
}

static void test_error_of_the_parent(void **state ATTR_UNUSED)
{
	static const char data[] = "\1\0\0\0\6abcdef";
	struct istream *parent =
		i_stream_create_from_data(data, sizeof(data) - 1);
	struct fixture f;
	unsigned int i;

	begin(&f, i_stream_create_failure_at(parent, 8, EIO, "line cut"), 0);
	i_stream_unref(&parent);
	read_all(&f);
	assert_string_equal(buffer_c_str(f.out[1]), "abc");
	for (i = 0; i < CHANNELS; i++) {
		assert_int_equal(f.channels[i]->stream_errno, EIO);
		assert_string_equal(i_stream_get_error(f.channels[i]),
				    "line cut");
	}
	end(&f);
}

static void test_no_size_no_seek(void **state ATTR_UNUSED)
{
	static const char data[] = "\1\0\0\0\6abcdef";
	struct fixture f;
	uoff_t size;

	begin(&f, i_stream_create_from_data(data, sizeof(data) - 1), 0);
	assert_int_equal(i_stream_get_size(f.channels[1], true, &size), 0);
	i_stream_seek(f.channels[1], 2);
	assert_int_equal(take(&f, 1), -1);
	assert_string_equal(buffer_c_str(f.out[1]), "cdef");
	end(&f);
}

/*
 * Round trips
 */

#define MANY 256

/* What channel i sends is a piece of the same data, from another place. */
static void round_trip(const unsigned char *data, size_t size,
		       enum ostream_multiplex_format format, size_t channels,
		       uint32_t seed)
{
	struct test_sink *sink = test_sink_create(test_random(&seed) % 100,
						  test_random(&seed) % 30);
	struct ostream *outputs[MANY];
	struct istream *input, *inputs[MANY];
	size_t sent[MANY] = { 0 }, got[MANY] = { 0 }, i, len;
	const unsigned char *bytes;
	ssize_t ret;
	bool all;
	int more;

	for (i = 0; i < channels; i++)
		outputs[i] = i == 0 ?
			o_stream_create_multiplex(sink->stream,
						  test_random(&seed) % 300,
						  format) :
			o_stream_multiplex_add_channel(outputs[0], (uint8_t)i);
	do {
		i = test_random(&seed) % channels;
		if (test_random(&seed) % 4 == 0)
			o_stream_cork(outputs[i]);
		else if (test_random(&seed) % 4 == 0)
			o_stream_uncork(outputs[i]);
		len = test_random(&seed) % 200;
		len = I_MIN(len, size - sent[i]);
		ret = o_stream_send(outputs[i], data + sent[i], len);
		assert_in_range(ret, 0, len);
		sent[i] += (size_t)ret;
		test_sink_allow(sink, test_random(&seed) % 300);
		for (i = 0, all = true; i < channels && all; i++)
			all = sent[i] == size;
	} while (!all);
	for (i = 0; i < channels; i++) {
		while (o_stream_finish(outputs[i]) == 0)
			test_sink_allow(sink, test_random(&seed) % 300);
	}
	assert_int_equal(sink->finishes, 1);
	input = test_trickle_create(sink->data->data, sink->data->used,
				    1 + test_random(&seed) % 500, true);
	for (i = 0; i < channels; i++)
		inputs[i] = i == 0 ?
			i_stream_create_multiplex(
				input, 1 + test_random(&seed) % 300) :
			i_stream_multiplex_add_channel(inputs[0], (uint8_t)i);
	do {
		for (i = 0, all = true; i < channels; i++) {
			more = i_stream_read_more(inputs[i], &bytes, &len);
			all = all && more < 0;
			if (more <= 0)
				continue;
			len = 1 + test_random(&seed) % len;
			assert_memory_equal(bytes, data + got[i], len);
			got[i] += len;
			i_stream_skip(inputs[i], len);
		}
	} while (!all);
	for (i = 0; i < channels; i++) {
		assert_int_equal(inputs[i]->stream_errno, 0);
		assert_int_equal(got[i], size);
		i_stream_destroy(&inputs[i]);
		o_stream_destroy(&outputs[i]);
	}
	i_stream_destroy(&input);
	test_sink_free(&sink);
}

static void test_round_trips(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 5000);
	uint32_t seed;
	size_t i;

	/* full of what the stream format escapes */
	for (i = 0; i < 2500; i++)
		data[i] = data[i] % 3 == 0 ? 0x03 :
			data[i] % 3 == 1   ? 0xfe :
					     data[i];
	for (seed = 1; seed <= 60; seed++) {
		round_trip(data, 5000,
			   seed % 2 == 0 ? OSTREAM_MULTIPLEX_FORMAT_PACKET :
					   OSTREAM_MULTIPLEX_FORMAT_STREAM,
			   1 + seed % 5, seed);
	}
	free(data);
}

static void test_many_channels(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 500);

	round_trip(data, 500, OSTREAM_MULTIPLEX_FORMAT_PACKET, MANY, 1);
	round_trip(data, 500, OSTREAM_MULTIPLEX_FORMAT_STREAM, MANY, 2);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_full_channel),
		cmocka_unit_test(test_channels_come_and_go),
		cmocka_unit_test(test_closes_the_parent_last),
		cmocka_unit_test(test_error_of_the_parent),
		cmocka_unit_test(test_no_size_no_seek),
		cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_many_channels),
	};

	return cmocka_run_group_tests_name("istream-multiplex", tests, NULL,
					   NULL);
}
