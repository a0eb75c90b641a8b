/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several channels over one output: what reaches it, in which order, and what happens
   when it is slow, fails or ends. What is written is read in test-istream-multiplex; pipes
   are in test-ostream-multiplex-pipe. */

#include "config.h"
#include "ostream-private.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>

#define PACKET OSTREAM_MULTIPLEX_FORMAT_PACKET
#define STREAM OSTREAM_MULTIPLEX_FORMAT_STREAM
#define HEADER "\xff\xff\xff\xff\xff\x00\x02\x03\xfe"

#define CHANNELS 3

struct fixture {
	struct test_sink *sink;
	struct ostream *channels[CHANNELS];
};

/* Channels 0 to 2 over a sink. */
static void begin(struct fixture *f, enum ostream_multiplex_format format,
		  size_t room, size_t step)
{
	uint8_t i;

	f->sink = test_sink_create(room, step);
	f->channels[0] = o_stream_create_multiplex(f->sink->stream, 0, format);
	for (i = 1; i < CHANNELS; i++)
		f->channels[i] =
			o_stream_multiplex_add_channel(f->channels[i - 1], i);
}

static void end(struct fixture *f)
{
	unsigned int i;

	for (i = 0; i < CHANNELS; i++)
		o_stream_destroy(&f->channels[i]);
	test_sink_free(&f->sink);
}

static void expect(const struct fixture *f, const void *data, size_t size)
{
	assert_int_equal(f->sink->data->used, size);
	assert_memory_equal(f->sink->data->data, data, size);
	buffer_set_used_size(f->sink->data, 0);
}
#define EXPECT(f, str) expect(f, str, sizeof(str) - 1)

static void send_all(struct ostream *stream, const void *data, size_t size)
{
	assert_int_equal(o_stream_send(stream, data, size), size);
}

/*
 * Formats
 */

static void test_packets(void **state ATTR_UNUSED)
{
	struct const_iovec iov[] = { { "ab", 2 }, { "", 0 }, { "cd", 2 } };
	struct fixture f;

	begin(&f, PACKET, SIZE_MAX, 0);
	assert_int_equal(o_stream_multiplex_get_channel_id(f.channels[0]), 0);
	assert_int_equal(o_stream_multiplex_get_channel_id(f.channels[2]), 2);
	assert_int_equal(o_stream_send_str(f.channels[0], "hello"), 5);
	EXPECT(&f, "\0\0\0\0\5hello");
	assert_int_equal(o_stream_send_str(f.channels[2], "x"), 1);
	EXPECT(&f, "\2\0\0\0\1x");
	/* one send, one packet */
	assert_int_equal(o_stream_sendv(f.channels[1], iov, 3), 4);
	EXPECT(&f, "\1\0\0\0\4abcd");
	assert_int_equal(f.channels[1]->offset, 4);
	assert_int_equal(o_stream_send(f.channels[1], "", 0), 0);
	EXPECT(&f, "");
	end(&f);
}

static void test_corked_sends_are_one_packet(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, PACKET, SIZE_MAX, 0);
	o_stream_cork(f.channels[1]);
	assert_false(o_stream_is_corked(f.sink->stream));
	assert_int_equal(o_stream_send_str(f.channels[1], "one "), 4);
	assert_int_equal(o_stream_send_str(f.channels[1], "packet"), 6);
	/* nobody's cork but its own holds a channel back, nor pushes it */
	assert_int_equal(o_stream_send_str(f.channels[0], "x"), 1);
	EXPECT(&f, "\0\0\0\0\1x");
	assert_int_equal(o_stream_get_buffer_used_size(f.channels[1]), 10);
	o_stream_uncork(f.channels[1]);
	EXPECT(&f, "\1\0\0\0\x0aone packet");
	assert_int_equal(o_stream_flush(f.channels[1]), 1);
	EXPECT(&f, "");
	/* a flush sends it, too */
	o_stream_cork(f.channels[2]);
	assert_int_equal(o_stream_send_str(f.channels[2], "a"), 1);
	assert_int_equal(o_stream_flush(f.channels[2]), 1);
	EXPECT(&f, "\2\0\0\0\1a");
	end(&f);
}

/* Many small sends under cork leave as blocks, not all at the end. */
static void test_corked_blocks(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, 200000);
	struct fixture f;
	size_t pos;

	begin(&f, PACKET, SIZE_MAX, 0);
	o_stream_cork(f.channels[0]);
	for (pos = 0; pos < 200000; pos += 100)
		send_all(f.channels[0], data + pos, 100);
	assert_true(f.sink->data->used > 100000);
	assert_true(o_stream_get_buffer_used_size(f.channels[0]) <= 65536);
	assert_true(f.sink->sends <= 10);
	/* larger than a block: it goes at once */
	send_all(f.channels[0], data, 200000);
	o_stream_uncork(f.channels[0]);
	assert_int_equal(o_stream_finish(f.channels[0]), 1);
	assert_in_range(f.sink->data->used, 400000, 400000 + 5 * 10);
	free(data);
	end(&f);
}

static void test_stream_format(void **state ATTR_UNUSED)
{
	static const struct {
		unsigned int channel;
		const char *in;
		size_t in_size;
		const char *out;
		size_t out_size;
	} sends[] = {
		{ 0, TEST_BYTES("x"), TEST_BYTES(HEADER "x") },
		{ 0, TEST_BYTES("yz"), TEST_BYTES("yz") },
		{ 2, TEST_BYTES("a"),
		  TEST_BYTES("\x03\xfe\x00\x02"
			     "a") },
		{ 2, TEST_BYTES(HEADER),
		  TEST_BYTES("\xff\xff\xff\xff\xff\x00"
			     "\x02\x03\xfe\x01\xfe") },
		{ 2, TEST_BYTES("\x03\xfe"), TEST_BYTES("\x03\xfe\x01\xfe") },
		{ 2, TEST_BYTES("\x03"), TEST_BYTES("\x03\xfe\x01") },
		{ 2, TEST_BYTES("\xfe"), TEST_BYTES("\xfe") },
		{ 2, TEST_BYTES("\x03x"), TEST_BYTES("\x03x") },
		{ 2, TEST_BYTES("\x03\x03x"), TEST_BYTES("\x03\x03x") },
		{ 2, TEST_BYTES("\x03\x03"), TEST_BYTES("\x03\x03\xfe\x01") },
		{ 2, TEST_BYTES("\x03\x03\xfe"),
		  TEST_BYTES("\x03\x03\xfe\x01\xfe") },
		{ 0, TEST_BYTES("b\x03\xfe\x00"),
		  TEST_BYTES("\x03\xfe\x00\x00"
			     "b\x03\xfe\x01\xfe\x00") },
	};
	struct fixture f;
	size_t i;

	begin(&f, STREAM, SIZE_MAX, 0);
	for (i = 0; i < N_ELEMENTS(sends); i++) {
		send_all(f.channels[sends[i].channel], sends[i].in,
			 sends[i].in_size);
		expect(&f, sends[i].out, sends[i].out_size);
	}
	/* several sends under cork: only the last byte is the end */
	o_stream_cork(f.channels[0]);
	send_all(f.channels[0], "\x03", 1);
	send_all(f.channels[0], "\xfe\x03", 2);
	send_all(f.channels[0], "a", 1);
	o_stream_uncork(f.channels[0]);
	EXPECT(&f,
	       "\x03\xfe\x01\xfe\x03"
	       "a");
	end(&f);
}

static void test_stream_of_nothing(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, STREAM, SIZE_MAX, 0);
	assert_int_equal(o_stream_finish(f.channels[0]), 1);
	EXPECT(&f, "");
	end(&f);
}

static void test_stream_continued(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, OSTREAM_MULTIPLEX_FORMAT_STREAM_CONTINUE, SIZE_MAX, 0);
	send_all(f.channels[0], "hello", 5);
	EXPECT(&f, "\x03\xfe\x00\x00hello");
	send_all(f.channels[0], "x", 1);
	EXPECT(&f, "x");
	end(&f);
}

/*
 * A parent that takes little
 */

static void test_longest_waiting_first(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, PACKET, SIZE_MAX, 0);
	send_all(f.channels[1], "1", 1);
	send_all(f.channels[0], "0", 1);
	buffer_set_used_size(f.sink->data, 0);
	f.sink->room = 0;
	send_all(f.channels[0], "a", 1);
	send_all(f.channels[1], "b", 1);
	send_all(f.channels[2], "c", 1);
	send_all(f.channels[0], "d", 1);
	assert_int_equal(o_stream_flush(f.channels[0]), 0);
	EXPECT(&f, "");
	/* 2 was never served, 1 before 0 */
	test_sink_allow(f.sink, 1000);
	assert_int_equal(o_stream_flush(f.channels[2]), 1);
	EXPECT(&f, "\2\0\0\0\1c\1\0\0\0\1b\0\0\0\0\2ad");
	end(&f);
}

static void test_full_parent(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, PACKET, 0, 0);
	o_stream_set_max_buffer_size(f.channels[0], 4);
	assert_int_equal(o_stream_get_buffer_avail_size(f.channels[0]), 4);
	assert_int_equal(o_stream_send_str(f.channels[0], "abcdef"), 4);
	assert_true(f.channels[0]->overflow);
	assert_int_equal(o_stream_get_buffer_avail_size(f.channels[0]), 0);
	assert_int_equal(o_stream_send_str(f.channels[0], "ef"), 0);
	assert_int_equal(o_stream_get_buffer_used_size(f.channels[0]), 4);
	assert_int_equal(o_stream_finish(f.channels[0]), 0);
	test_sink_allow(f.sink, 8);
	/* a frame that was begun: it counts until it is sent */
	assert_int_equal(o_stream_finish(f.channels[0]), 0);
	assert_int_equal(o_stream_get_buffer_used_size(f.channels[0]), 1);
	EXPECT(&f, "\0\0\0\0\4abc");
	test_sink_allow(f.sink, 8);
	assert_int_equal(o_stream_finish(f.channels[0]), 1);
	EXPECT(&f, "d");
	end(&f);
}

/* A channel may go while a frame of it is half sent: the frame is completed. */
static void test_begun_frame_is_completed(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, PACKET, 7, 0);
	send_all(f.channels[1], "abcdef", 6);
	o_stream_destroy(&f.channels[1]);
	send_all(f.channels[0], "x", 1);
	assert_int_equal(o_stream_flush(f.channels[0]), 0);
	test_sink_allow(f.sink, 100);
	assert_int_equal(o_stream_flush(f.channels[0]), 1);
	EXPECT(&f, "\1\0\0\0\6abcdef\0\0\0\0\1x");
	end(&f);
}

static void test_begun_frame_of_the_last(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(7, 0);
	struct ostream *s = o_stream_create_multiplex(sink->stream, 0, PACKET);

	send_all(s, "abcdef", 6);
	o_stream_close(s);
	assert_int_equal(s->stream_errno, EPIPE);
	assert_string_equal(
		o_stream_get_error(s),
		"(sink): closed with 4 bytes that could not be sent");
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

/*
 * Errors and ends
 */

static void test_errors_reach_all(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *output, *s[3];

	output = o_stream_create_failure_at(sink->stream, 8, "line cut");
	s[0] = o_stream_create_multiplex(output, 0, PACKET);
	s[1] = o_stream_multiplex_add_channel(s[0], 1);
	s[2] = o_stream_multiplex_add_channel(s[0], 2);
	o_stream_cork(s[2]);
	send_all(s[2], "kept", 4);
	send_all(s[0], "abc", 3);
	assert_int_equal(o_stream_send_str(s[1], "d"), -1);
	assert_int_equal(s[0]->stream_errno, EIO);
	assert_int_equal(s[2]->stream_errno, EIO);
	assert_string_equal(o_stream_get_error(s[0]), "line cut");
	assert_int_equal(o_stream_send_str(s[2], "more"), -1);
	assert_int_equal(o_stream_finish(s[2]), -1);
	o_stream_destroy(&s[1]);
	o_stream_destroy(&s[0]);
	o_stream_destroy(&s[2]);
	o_stream_destroy(&output);
	test_sink_free(&sink);
}

static void test_finish(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, PACKET, SIZE_MAX, 0);
	o_stream_cork(f.channels[0]);
	send_all(f.channels[0], "a", 1);
	assert_int_equal(o_stream_finish(f.channels[0]), 1);
	EXPECT(&f, "\0\0\0\0\1a");
	assert_int_equal(o_stream_finish(f.channels[1]), 1);
	assert_int_equal(f.sink->finishes, 0);
	send_all(f.channels[2], "b", 1);
	f.sink->room = 0;
	o_stream_cork(f.channels[2]);
	send_all(f.channels[2], "c", 1);
	assert_int_equal(o_stream_finish(f.channels[2]), 0);
	assert_int_equal(f.sink->finishes, 0);
	test_sink_allow(f.sink, 100);
	assert_int_equal(o_stream_finish(f.channels[2]), 1);
	assert_int_equal(f.sink->finishes, 1);
	EXPECT(&f, "\2\0\0\0\1b\2\0\0\0\1c");
	EXPECT_PANIC("write after finish", send_all(f.channels[0], "x", 1));
	end(&f);
}

/* Who counts for the parent's finish, and who does not. */
static void test_finish_without_some(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, PACKET, SIZE_MAX, 0);
	o_stream_abort(f.channels[0]);
	assert_int_equal(f.sink->stream->stream_errno, 0);
	o_stream_destroy(&f.channels[1]);
	assert_int_equal(o_stream_finish(f.channels[2]), 1);
	assert_int_equal(f.sink->finishes, 1);
	end(&f);

	begin(&f, PACKET, SIZE_MAX, 0);
	o_stream_set_finish_also_parent(f.channels[2], false);
	assert_int_equal(o_stream_finish(f.channels[0]), 1);
	assert_int_equal(o_stream_finish(f.channels[1]), 1);
	assert_int_equal(o_stream_finish(f.channels[2]), 1);
	assert_int_equal(f.sink->finishes, 0);
	end(&f);
}

/* A parent with a trailer is given up with the last channel, and no earlier. */
static void test_abort_below_a_trailer(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *gzip = o_stream_create_gzip(sink->stream, 6), *s[2];

	s[0] = o_stream_create_multiplex(gzip, 0, STREAM);
	s[1] = o_stream_multiplex_add_channel(s[0], 1);
	send_all(s[0], "abc", 3);
	send_all(s[1], "abc", 3);
	o_stream_abort(s[0]);
	assert_int_equal(gzip->stream_errno, 0);
	assert_int_equal(s[1]->stream_errno, 0);
	o_stream_abort(s[1]);
	assert_int_equal(gzip->stream_errno, EPIPE);
	o_stream_destroy(&s[0]);
	o_stream_destroy(&s[1]);
	o_stream_destroy(&gzip);
	test_sink_free(&sink);
}

static void leave(struct ostream **stream, unsigned int how)
{
	switch (how) {
	case 0:
		o_stream_abort(*stream);
		break;
	case 1:
		o_stream_close(*stream);
		break;
	case 2:
		o_stream_destroy(stream);
		break;
	default:
		assert_int_equal(o_stream_finish(*stream), 1);
		break;
	}
}

/* In every order and way; those who stay go on. */
static void test_any_order(void **state ATTR_UNUSED)
{
	static const unsigned int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 },
						   { 1, 0, 2 }, { 1, 2, 0 },
						   { 2, 0, 1 }, { 2, 1, 0 } };
	unsigned int order, ways, i, j;
	struct fixture f;
	char id;

	for (order = 0; order < 6; order++) {
		for (ways = 0; ways < 64; ways++) {
			begin(&f, STREAM, SIZE_MAX, 0);
			send_all(f.channels[orders[order][0]], "x", 1);
			for (i = 0; i < 3; i++) {
				leave(&f.channels[orders[order][i]],
				      ways >> (2 * i) & 3);
				for (j = i + 1; j < 3; j++) {
					id = (char)orders[order][j];
					send_all(f.channels[(int)id], &id, 1);
				}
			}
			end(&f);
		}
	}
}

/* Closing the parent is for the last one. */
static void test_close_with_parents(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, PACKET, SIZE_MAX, 0);
	o_stream_close(f.channels[0]);
	o_stream_close(f.channels[1]);
	assert_false(f.sink->stream->closed);
	/* the number is free again */
	o_stream_destroy(&f.channels[1]);
	f.channels[1] = o_stream_multiplex_add_channel(f.channels[2], 1);
	o_stream_close(f.channels[2]);
	assert_false(f.sink->stream->closed);
	o_stream_close(f.channels[1]);
	assert_true(f.sink->stream->closed);
	end(&f);
}

static void test_many_channels(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *s[256];
	unsigned char c;
	unsigned int i;

	s[0] = o_stream_create_multiplex(sink->stream, 0, PACKET);
	for (i = 1; i < 256; i++)
		s[i] = o_stream_multiplex_add_channel(s[0], (uint8_t)i);
	EXPECT_PANIC("id != id", (void)o_stream_multiplex_add_channel(s[0], 9));
	sink->room = 0;
	for (i = 0; i < 256; i++) {
		c = (unsigned char)i;
		send_all(s[i], &c, 1);
	}
	test_sink_allow(sink, SIZE_MAX / 2);
	assert_int_equal(o_stream_flush(s[77]), 1);
	assert_int_equal(sink->data->used, 256 * 6);
	for (i = 0; i < 256; i++) {
		assert_int_equal(sink->data->data[i * 6], i);
		assert_int_equal(sink->data->data[i * 6 + 5], i);
		o_stream_destroy(&s[i]);
	}
	test_sink_free(&sink);
}

/* Dovecot's own tool reads the packets. */
static void test_doveadm(void **state ATTR_UNUSED)
{
	const char *path = test_path("packets"), *text = test_path("dump");
	struct ostream *output, *s[2];
	buffer_t *dump;

	if (!test_have_program("doveadm"))
		return;
	output = o_stream_create_file(path, 0, 0600, 0);
	s[0] = o_stream_create_multiplex(output, 0, PACKET);
	s[1] = o_stream_multiplex_add_channel(s[0], 7);
	send_all(s[0], "hello", 5);
	send_all(s[1], "abc", 3);
	assert_int_equal(o_stream_finish(s[0]), 1);
	assert_int_equal(o_stream_finish(s[1]), 1);
	o_stream_destroy(&s[0]);
	o_stream_destroy(&s[1]);
	o_stream_destroy(&output);
	assert_int_equal(test_command("doveadm -O dump -t multiplex %s >%s",
				      path, text),
			 0);
	dump = test_read_file(text);
	assert_string_equal(buffer_c_str(dump),
			    "CHANNEL 0: 5 bytes:\nhello\n"
			    "CHANNEL 7: 3 bytes:\nabc\n");
	buffer_free(&dump);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_corked_sends_are_one_packet),
		cmocka_unit_test(test_corked_blocks),
		cmocka_unit_test(test_stream_format),
		cmocka_unit_test(test_stream_of_nothing),
		cmocka_unit_test(test_stream_continued),
		cmocka_unit_test(test_longest_waiting_first),
		cmocka_unit_test(test_full_parent),
		cmocka_unit_test(test_begun_frame_is_completed),
		cmocka_unit_test(test_begun_frame_of_the_last),
		cmocka_unit_test(test_errors_reach_all),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_finish_without_some),
		cmocka_unit_test(test_abort_below_a_trailer),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_close_with_parents),
		cmocka_unit_test(test_many_channels),
		cmocka_unit_test(test_doveadm),
	};

	return cmocka_run_group_tests_name("ostream-multiplex", tests, NULL,
					   NULL);
}
