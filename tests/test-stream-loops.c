/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What streams on top of others do with those and with event loops: they move to another
   one, block and close together, and who waits below for room is asked to say when there is
   some. */

#include "config.h"
#include "hash-method.h"
#include "ioloop.h"
#include "istream-private.h"
#include "ostream-private.h"
#include "test-stream-common.h"

#include <errno.h>

static uint64_t hashed[64];

static const struct hash_method *crc32(void)
{
	const struct hash_method *method = hash_method_lookup("crc32");

	assert_true(method->context_size <= sizeof(hashed));
	method->init(hashed);
	return method;
}

/*
 * Another loop
 */

static struct istream *in_hash(struct istream *input)
{
	return i_stream_create_hash(input, crc32(), hashed);
}

static struct istream *in_child(struct istream *input)
{
	return tee_i_stream_create_child(tee_i_stream_create(input));
}

static struct istream *in_timeout(struct istream *input)
{
	return i_stream_create_timeout(input, 1000);
}

static struct istream *in_channel(struct istream *input)
{
	return i_stream_create_multiplex(input, 0);
}

/* The second of two; the first is not at its end. */
static struct istream *with_first(struct istream *input,
				  struct istream *(*create)(struct istream *[]))
{
	struct istream *both[] = { i_stream_create_from_data("x", 1), input,
				   NULL },
		       *s = create(both);

	i_stream_unref(&both[0]);
	return s;
}

static struct istream *try_both(struct istream *both[])
{
	return i_stream_create_try(both);
}

static struct istream *merge_both(struct istream *both[])
{
	return i_streams_merge(both, 1024, NULL, NULL);
}

static struct istream *chain_both(struct istream *both[])
{
	struct istream_chain *chain;
	struct istream *s = i_stream_create_chain(&chain, 0);

	i_stream_chain_append(chain, both[0]);
	i_stream_chain_append(chain, both[1]);
	i_stream_chain_append_eof(chain);
	return s;
}

static struct istream *in_concat(struct istream *input)
{
	return with_first(input, i_stream_create_concat);
}

static struct istream *in_chain(struct istream *input)
{
	return with_first(input, chain_both);
}

static struct istream *in_try(struct istream *input)
{
	return with_first(input, try_both);
}

static struct istream *in_seekable(struct istream *input)
{
	return with_first(input, merge_both);
}

static struct istream *(*const inputs[])(struct istream *input) = {
	i_stream_create_noop,
	in_hash,
	in_child,
	in_timeout,
	in_channel,
	in_concat,
	in_chain,
	in_try,
	in_seekable,
	i_stream_create_gzip,
	i_stream_create_lf,
	i_stream_create_json_decoder
};

static void test_inputs_move(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	struct ioloop *loop = io_loop_create(), *other = io_loop_create();
	struct istream *end, *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(inputs); i++) {
		end = test_trickle_create("", 0, 1, true);
		s = inputs[i](end);
		i_stream_switch_ioloop_to(s, loop);
		assert_ptr_equal(s->real_stream->iostream.ioloop, loop);
		assert_ptr_equal(end->real_stream->iostream.ioloop, loop);
		/* what was read, or will not be, is left out */
		(void)test_read_all(s, out);
		i_stream_switch_ioloop_to(s, other);
		assert_ptr_equal(s->real_stream->iostream.ioloop, other);
		i_stream_destroy(&s);
		i_stream_destroy(&end);
	}
	io_loop_destroy(&other);
	io_loop_destroy(&loop);
	buffer_free(&out);
}

/* All that a stream reads from blocks as it does. */
static void test_inputs_block(void **state ATTR_UNUSED)
{
	struct istream *end, *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(inputs); i++) {
		end = test_trickle_create("", 0, 1, true);
		s = inputs[i](end);
		i_stream_set_blocking(s, false);
		assert_false(s->blocking);
		assert_false(end->blocking);
		i_stream_set_blocking(s, true);
		assert_true(s->blocking);
		assert_true(end->blocking);
		i_stream_destroy(&s);
		i_stream_destroy(&end);
	}
}

static void test_inputs_close(void **state ATTR_UNUSED)
{
	static struct istream *(*const owners[])(struct istream *) = {
		i_stream_create_noop, in_concat, in_chain, in_try, in_seekable
	};
	struct istream *end, *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(owners); i++) {
		end = test_trickle_create("", 0, 1, true);
		s = owners[i](end);
		i_stream_close(s);
		assert_true(end->closed);
		i_stream_destroy(&s);
		i_stream_destroy(&end);
	}
}

static struct ostream *out_hash(struct ostream *output)
{
	return o_stream_create_hash(output, crc32(), hashed);
}

static struct ostream *out_limit(struct ostream *output)
{
	return o_stream_create_limit(output, 1);
}

static struct ostream *out_tee(struct ostream *output)
{
	struct ostream *both[] = { o_stream_create_null(), output, NULL }, *s;

	s = o_stream_create_tee(both);
	o_stream_unref(&both[0]);
	return s;
}

static struct ostream *out_channel(struct ostream *output)
{
	return o_stream_create_multiplex(output, 0,
					 OSTREAM_MULTIPLEX_FORMAT_PACKET);
}

static struct ostream *(*const outputs[])(struct ostream *output) = {
	o_stream_create_passthrough,
	out_hash,
	out_limit,
	out_tee,
	out_channel,
	o_stream_create_hex,
	o_stream_create_json
};

static void test_outputs_move(void **state ATTR_UNUSED)
{
	struct ioloop *loop = io_loop_create();
	struct test_sink *sink;
	struct ostream *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(outputs); i++) {
		sink = test_sink_create(SIZE_MAX, 0);
		s = outputs[i](sink->stream);
		o_stream_switch_ioloop_to(s, loop);
		assert_ptr_equal(s->real_stream->iostream.ioloop, loop);
		assert_ptr_equal(sink->stream->real_stream->iostream.ioloop,
				 loop);
		o_stream_abort(s);
		o_stream_destroy(&s);
		test_sink_free(&sink);
	}
	io_loop_destroy(&loop);
}

/*
 * Waiting for room
 */

static unsigned int pendings;

static void note_pending(struct ostream_private *stream ATTR_UNUSED, bool set)
{
	if (set)
		pendings++;
}

/* Takes 3 bytes, buffers none, and knows whether it is to say when it takes more. */
static struct test_sink *narrow_sink(void)
{
	struct test_sink *sink = test_sink_create(3, 0);

	pendings = 0;
	sink->stream->real_stream->flush_pending = note_pending;
	return sink;
}

/* As a loop does when there is room. */
static int say_writable(struct test_sink *sink)
{
	struct ostream_private *s = sink->stream->real_stream;

	test_sink_allow(sink, 100);
	assert_non_null(s->callback);
	return s->callback(s->context);
}

/* They keep what the one below does not take. */
static struct ostream *(*const waiting[])(struct ostream *output) = {
	out_tee, out_channel, o_stream_create_hex
};

static void test_waiting_for_room(void **state ATTR_UNUSED)
{
	struct test_sink *sink;
	struct ostream *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(waiting); i++) {
		sink = narrow_sink();
		s = waiting[i](sink->stream);
		/* all of it is taken, and some of it is not sent */
		assert_int_equal(o_stream_send_str(s, "abcd"), 4);
		assert_int_equal(sink->data->used, 3);
		assert_true(pendings > 0);
		assert_int_equal(say_writable(sink), 1);
		assert_true(sink->data->used > 3);
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&s);
		test_sink_free(&sink);
	}
}

static unsigned int told;

static int tell(void *context)
{
	struct ostream *s = context;

	told++;
	return s->stream_errno != 0 ? -1 : 1;
}

/* An error below is told to who waits above, once there is nothing to wait for. */
static void test_told_of_an_error(void **state ATTR_UNUSED)
{
	struct test_sink *sink;
	struct ostream *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(waiting); i++) {
		sink = narrow_sink();
		s = waiting[i](sink->stream);
		told = 0;
		o_stream_set_flush_callback(s, tell, s);
		assert_int_equal(o_stream_send_str(s, "abcd"), 4);
		(void)o_stream_fail(sink->stream->real_stream, EIO, "gone");
		(void)say_writable(sink);
		assert_int_equal(s->stream_errno, EIO);
		assert_string_equal(o_stream_get_error(s), "gone");
		assert_int_equal(told, 1);
		/* it has failed: nobody sends it anything */
		assert_int_equal(o_stream_send_str(s, "e"), -1);
		assert_int_equal(o_stream_finish(s), -1);
		o_stream_ignore_last_errors(s);
		o_stream_destroy(&s);
		test_sink_free(&sink);
	}
}

/* Who waits is called when nothing of his waits, and not before. */
static void test_not_told_too_early(void **state ATTR_UNUSED)
{
	struct test_sink *sink = narrow_sink();
	struct ostream *s = out_channel(sink->stream);
	struct ostream_private *parent = sink->stream->real_stream;

	told = 0;
	o_stream_set_flush_callback(s, tell, s);
	assert_int_equal(o_stream_send_str(s, "abcd"), 4);
	/* one byte more, behind what is left of the first packet */
	assert_int_equal(o_stream_send_str(s, "e"), 1);
	test_sink_allow(sink, 1);
	assert_int_equal(parent->callback(parent->context), 0);
	assert_int_equal(told, 0);
	assert_int_equal(say_writable(sink), 1);
	assert_int_equal(told, 1);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

static struct ostream *out_stream_channel(struct ostream *output)
{
	return o_stream_create_multiplex(output, 0,
					 OSTREAM_MULTIPLEX_FORMAT_STREAM);
}

/* Who waited for the parent before there was a codec on top of it still does. */
static void test_callback_of_the_parent(void **state ATTR_UNUSED)
{
	struct test_sink *sink = narrow_sink();
	struct ostream *s;

	told = 0;
	sink->stream->real_stream->callback = tell;
	sink->stream->real_stream->context = sink->stream;
	s = o_stream_create_hex(sink->stream);
	assert_int_equal(o_stream_send_str(s, "abcd"), 4);
	assert_int_equal(say_writable(sink), 1);
	assert_int_equal(told, 1);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	assert_ptr_equal(sink->stream->real_stream->callback, tell);
	test_sink_free(&sink);
}

/* A tee's outputs are its parents: they are closed with it. */
static void test_tee_is_closed(void **state ATTR_UNUSED)
{
	struct test_sink *sink = test_sink_create(SIZE_MAX, 0);
	struct ostream *s = out_tee(sink->stream);

	o_stream_close(s);
	assert_true(s->closed);
	assert_true(sink->stream->closed);
	o_stream_destroy(&s);
	test_sink_free(&sink);
	sink = test_sink_create(SIZE_MAX, 0);
	s = out_tee(sink->stream);
	o_stream_destroy(&s);
	assert_false(sink->stream->closed);
	test_sink_free(&sink);
}

static void count(void *context)
{
	(*(unsigned int *)context)++;
}

/* Two wait for one stream, and each may go first. */
static void test_two_wait(void **state ATTR_UNUSED)
{
	struct ioloop *loop = io_loop_create();
	struct istream *s = test_trickle_create("", 0, 1, true);
	unsigned int calls[2], i;
	struct io *ios[2];

	for (i = 0; i < 2; i++) {
		calls[0] = calls[1] = 0;
		ios[0] = io_add_istream(s, count, &calls[0]);
		ios[1] = io_add_istream(s, count, &calls[1]);
		io_remove(&ios[i]);
		i_stream_set_input_pending(s, true);
		io_loop_handler_run(loop);
		assert_int_equal(calls[i], 0);
		assert_int_equal(calls[1 - i], 1);
		io_remove(&ios[1 - i]);
	}
	i_stream_destroy(&s);
	io_loop_destroy(&loop);
}

/* What is sent to one whose parent has failed is not taken. */
static void test_parent_that_has_failed(void **state ATTR_UNUSED)
{
	static struct ostream *(*const over[])(struct ostream * output) = {
		out_hash, out_tee, out_channel, out_stream_channel,
		o_stream_create_hex
	};
	struct test_sink *sink;
	struct ostream *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(over); i++) {
		sink = test_sink_create(SIZE_MAX, 0);
		s = over[i](sink->stream);
		assert_int_equal(o_stream_send_str(s, "a"), 1);
		(void)o_stream_fail(sink->stream->real_stream, EIO, "gone");
		assert_int_equal(o_stream_send_str(s, "b"), -1);
		assert_int_equal(s->stream_errno, EIO);
		o_stream_abort(s);
		o_stream_destroy(&s);
		test_sink_free(&sink);
	}
}

/* The failure is met when the bytes that wait are sent with the next ones. */
static void test_error_behind_what_waits(void **state ATTR_UNUSED)
{
	struct test_sink *sink = narrow_sink();
	struct ostream *s = out_tee(sink->stream);

	assert_int_equal(o_stream_send_str(s, "abcd"), 4);
	(void)o_stream_fail(sink->stream->real_stream, EIO, "gone");
	assert_int_equal(o_stream_send_str(s, "e"), -1);
	assert_int_equal(s->stream_errno, EIO);
	assert_int_equal(o_stream_flush(s), -1);
	o_stream_destroy(&s);
	test_sink_free(&sink);
}

/* A parent that is written to behind the last channel's end finds nobody. */
static void test_channels_are_gone(void **state ATTR_UNUSED)
{
	struct test_sink *sink = narrow_sink();
	struct ostream *s = out_channel(sink->stream), *kept = s;

	test_sink_allow(sink, 100);
	assert_int_equal(o_stream_send_str(s, "abcd"), 4);
	o_stream_ref(kept);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	assert_int_equal(say_writable(sink), 1);
	o_stream_unref(&kept);
	test_sink_free(&sink);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inputs_move),
		cmocka_unit_test(test_inputs_block),
		cmocka_unit_test(test_inputs_close),
		cmocka_unit_test(test_outputs_move),
		cmocka_unit_test(test_waiting_for_room),
		cmocka_unit_test(test_told_of_an_error),
		cmocka_unit_test(test_not_told_too_early),
		cmocka_unit_test(test_callback_of_the_parent),
		cmocka_unit_test(test_tee_is_closed),
		cmocka_unit_test(test_two_wait),
		cmocka_unit_test(test_parent_that_has_failed),
		cmocka_unit_test(test_error_behind_what_waits),
		cmocka_unit_test(test_channels_are_gone),
	};

	return cmocka_run_group_tests_name("stream-loops", tests, NULL, NULL);
}
