/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to functions of one's own: what they are given and when, and what becomes of
   their answers. What waits in an event loop is in test-ostream-callback-loop, what is
   above and around them in test-ostream-callback-stacks. */

#include "config.h"
#include "block-cache.h"
#include "test-mem-faults.h"
#include "ioloop.h"
#include "test-taker.h"

#include <errno.h>
#include <sys/resource.h>
#include <stdlib.h>

/*
 * What write is given
 */

static void test_each_send_is_a_call(void **state ATTR_UNUSED)
{
	static const struct const_iovec iov[] = {
		{ "three ", 6 }, { NULL, 0 }, { "small ", 6 }, { "ones", 4 }
	};
	struct test_taker t;

	test_taker_init(&t, 0, false);
	assert_string_equal(o_stream_get_name(t.s), "(callback)");
	assert_int_equal(o_stream_get_fd(t.s), -1);
	assert_int_equal(o_stream_send(t.s, "", 0), 0);
	assert_int_equal(t.writes, 0);
	assert_int_equal(o_stream_send_str(t.s, "one "), 4);
	assert_int_equal(o_stream_send_str(t.s, "two "), 4);
	assert_int_equal(t.writes, 2);
	/* several pieces of one send, too */
	assert_int_equal(o_stream_sendv(t.s, iov, N_ELEMENTS(iov)), 16);
	assert_int_equal(t.writes, 3);
	test_taker_has(&t, "one two three small ones", 24);
	assert_int_equal(t.s->offset, 24);
	assert_int_equal(o_stream_get_buffer_used_size(t.s), 0);
	assert_int_equal(o_stream_flush(t.s), 1);
	assert_int_equal(t.writes, 3);
	/* it is no file */
	o_stream_set_no_error_handling(t.s, true);
	assert_int_equal(o_stream_pwrite(t.s, "x", 1, 0), -1);
	assert_int_equal(errno, ESPIPE);
	test_taker_free(&t);
}

static void test_small_corked_sends_make_blocks(void **state ATTR_UNUSED)
{
	const size_t size = 3 * 65536 + 100;
	unsigned char *data = test_data(TEST_DATA_RANDOM, size);
	struct test_taker t;
	size_t sent;

	test_taker_init(&t, 0, false);
	o_stream_cork(t.s);
	for (sent = 0; sent < size; sent += 100)
		assert_int_equal(o_stream_send(t.s, data + sent,
					       I_MIN(size - sent, (size_t)100)),
				 I_MIN(size - sent, (size_t)100));
	assert_int_equal(t.writes, 3);
	assert_int_equal(t.got->used, 3 * 65536);
	o_stream_uncork(t.s);
	assert_int_equal(t.writes, 4);
	assert_int_equal(o_stream_flush(t.s), 1);
	test_taker_has(&t, data, size);
	test_taker_free(&t);
	free(data);
}

/* ...and what is large by itself is not copied, behind what was gathered. */
static void test_large_pieces_are_not_copied(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 60000);
	const struct const_iovec iov[] = { { data, 100 },
					   { data + 100, 50000 },
					   { data + 50100, 9900 } };
	struct test_taker t;

	test_taker_init(&t, 0, false);
	assert_int_equal(o_stream_send(t.s, data, 10), 10);
	assert_ptr_equal(t.data, data);
	o_stream_cork(t.s);
	assert_int_equal(o_stream_sendv(t.s, iov, 3), 60000);
	assert_int_equal(t.writes, 3);
	assert_ptr_equal(t.data, data + 100);
	assert_int_equal(o_stream_get_buffer_used_size(t.s), 9900);
	o_stream_uncork(t.s);
	assert_int_equal(o_stream_flush(t.s), 1);
	assert_int_equal(t.got->used, 60010);
	assert_memory_equal(t.got->data + 10, data, 60000);
	test_taker_free(&t);
	free(data);
}

static void test_parts(void **state ATTR_UNUSED)
{
	static const size_t steps[] = { 1, 2, 7, 1000 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, 5000);
	struct test_taker t;
	size_t i;

	for (i = 0; i < N_ELEMENTS(steps); i++) {
		test_taker_init(&t, 0, false);
		t.step = steps[i];
		assert_int_equal(o_stream_send(t.s, data, 5000), 5000);
		assert_int_equal(t.writes, (5000 + steps[i] - 1) / steps[i]);
		test_taker_has(&t, data, 5000);
		assert_int_equal(o_stream_get_buffer_used_size(t.s), 0);
		test_taker_free(&t);
	}
	free(data);
}

static void test_refused(void **state ATTR_UNUSED)
{
	struct test_taker t;

	test_taker_init(&t, 10, false);
	t.room = 3;
	assert_int_equal(o_stream_send_str(t.s, "abcdef"), 6);
	assert_int_equal(t.writes, 2);
	assert_int_equal(o_stream_get_buffer_used_size(t.s), 3);
	assert_int_equal(o_stream_get_buffer_avail_size(t.s), 7);
	assert_false(t.s->overflow);
	/* as much as may be buffered, and nothing is lost */
	assert_int_equal(o_stream_send_str(t.s, "ghijklmnop"), 7);
	assert_true(t.s->overflow);
	assert_int_equal(o_stream_send_str(t.s, "no"), 0);
	assert_int_equal(o_stream_flush(t.s), 0);
	/* each of them asked */
	assert_int_equal(t.writes, 5);
	t.room = 4;
	assert_int_equal(o_stream_flush(t.s), 0);
	assert_int_equal(o_stream_get_buffer_used_size(t.s), 6);
	t.room = SIZE_MAX;
	assert_int_equal(o_stream_check(t.s), 1);
	test_taker_has(&t, "abcdefghijklm", 13);
	assert_int_equal(t.s->offset, 13);
	test_taker_free(&t);
}

/* Whatever is sent: see test_taker.due. */
static void send_at_random(struct test_taker *t, const unsigned char *data,
			   size_t size, uint32_t *seed)
{
	struct const_iovec iov[3];
	size_t sent = 0, left, i;
	ssize_t ret;

	while (sent < size) {
		t->room = test_random(seed) % 3 == 0 ?
			0 :
			test_random(seed) % 50000;
		t->step = test_random(seed) % 2 * (test_random(seed) % 10000);
		if (test_random(seed) % 4 == 0)
			o_stream_cork(t->s);
		left = size - sent;
		for (i = 0; i < N_ELEMENTS(iov); i++) {
			iov[i].iov_base = data + (size - left);
			iov[i].iov_len = test_random(seed) %
				(test_random(seed) % 5 == 0 ? 100000 : 300);
			iov[i].iov_len = I_MIN(iov[i].iov_len, left);
			left -= iov[i].iov_len;
		}
		ret = o_stream_sendv(t->s, iov, 1 + test_random(seed) % 3);
		assert_true(ret >= 0);
		sent += (size_t)ret;
		assert_true(o_stream_get_buffer_used_size(t->s) <=
			    o_stream_get_max_buffer_size(t->s));
		assert_true(t->size <= o_stream_get_max_buffer_size(t->s));
		if (test_random(seed) % 4 == 0)
			o_stream_uncork(t->s);
	}
}

static void test_what_was_refused_comes_again(void **state ATTR_UNUSED)
{
	static const size_t maxima[] = { 1,     2,     100,    32768,
					 65536, 70000, 200000, SIZE_MAX };
	const size_t size = 1000000;
	unsigned char *data = test_data(TEST_DATA_RANDOM, size);
	struct test_taker t;
	uint32_t seed = 7;
	size_t i, part;

	for (i = 0; i < N_ELEMENTS(maxima); i++) {
		part = maxima[i] < 1000 ? 2000 : size;
		test_taker_init(&t, maxima[i], false);
		send_at_random(&t, data, part, &seed);
		t.room = SIZE_MAX;
		o_stream_uncork(t.s);
		assert_int_equal(o_stream_flush(t.s), 1);
		test_taker_has(&t, data, part);
		test_taker_free(&t);
	}
	free(data);
}

/* Without a buffer it stays with the sender, and may not come at all. */
static void test_no_buffer(void **state ATTR_UNUSED)
{
	struct test_taker t;

	test_taker_init(&t, 10, false);
	o_stream_set_max_buffer_size(t.s, 0);
	t.forgets = true;
	t.room = 4;
	assert_int_equal(o_stream_send_str(t.s, "abcdef"), 4);
	assert_int_equal(t.size, 2);
	o_stream_cork(t.s);
	assert_int_equal(o_stream_send_str(t.s, "xyz"), 0);
	o_stream_uncork(t.s);
	assert_int_equal(o_stream_get_buffer_used_size(t.s), 0);
	assert_int_equal(o_stream_flush(t.s), 1);
	test_taker_has(&t, "abcd", 4);
	test_taker_free(&t);
}

/*
 * Errors
 */

/* In the C library's words. */
static void error_is(struct ostream *s, const char *what, int error)
{
	char text[200];

	(void)snprintf(text, sizeof(text), "%s%s", what, strerror(error));
	assert_string_equal(o_stream_get_error(s), text);
}

static void test_errors(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		int error, as;
		const char *text;
	} rows[] = {
		{ "errno", ECONNRESET, ECONNRESET, NULL },
		{ "text", EIO, EIO, "bad record MAC" },
		{ "none", 0, EIO, NULL },
	};
	char text[200];
	struct test_taker t;
	unsigned int i, in_finish;

	for (i = 0; i < 2 * N_ELEMENTS(rows); i++) {
		in_finish = i % 2;
		test_taker_init(&t, 0, true);
		o_stream_set_name(t.s, rows[i / 2].name);
		assert_int_equal(o_stream_send_str(t.s, "good"), 4);
		t.fails = true;
		t.error = rows[i / 2].error;
		t.text = rows[i / 2].text == NULL ? NULL :
						    strdup(rows[i / 2].text);
		if (in_finish)
			assert_int_equal(o_stream_finish(t.s), -1);
		else
			assert_int_equal(o_stream_send_str(t.s, "bad"), -1);
		assert_int_equal(errno, rows[i / 2].as);
		assert_int_equal(t.s->stream_errno, rows[i / 2].as);
		/* the text was the function's own, and it stays */
		free(t.text);
		t.fails = false;
		assert_int_equal(o_stream_finish(t.s), -1);
		assert_int_equal(o_stream_flush(t.s), -1);
		assert_int_equal(o_stream_send_str(t.s, "more"), -1);
		(void)snprintf(text, sizeof(text), "%s(%s) failed: %s",
			       in_finish ? "finish" : "write", rows[i / 2].name,
			       rows[i / 2].text != NULL ?
				       rows[i / 2].text :
				       strerror(rows[i / 2].as));
		assert_string_equal(o_stream_get_error(t.s), text);
		/* nobody is asked any more */
		assert_int_equal(t.writes, in_finish ? 1 : 2);
		assert_int_equal(t.finishes, in_finish);
		assert_int_equal(t.s->offset, 4);
		test_taker_free(&t);
	}
}

/* What was sent without a look at it is not lost in silence. */
static void test_errors_are_not_silent(void **state ATTR_UNUSED)
{
	struct test_taker t;

	test_taker_init(&t, 0, false);
	t.fails = true;
	t.error = EPIPE;
	o_stream_nsend_str(t.s, "x");
	EXPECT_PANIC("is missing error handling", o_stream_destroy(&t.s));
	assert_int_equal(t.destroys, 0);
	assert_int_equal(o_stream_flush(t.s), -1);
	o_stream_destroy(&t.s);
	assert_int_equal(t.destroys, 1);
	buffer_free(&t.got);
	buffer_free(&t.due);
	/* nor what was taken, and cannot be written when it ends */
	test_taker_init(&t, 0, false);
	t.room = 1;
	assert_int_equal(o_stream_send_str(t.s, "xyz"), 3);
	o_stream_close(t.s);
	assert_int_equal(t.s->stream_errno, EPIPE);
	assert_string_equal(o_stream_get_error(t.s),
			    "(callback): closed with 2 bytes that could not "
			    "be sent");
	assert_int_equal(t.writes, 3);
	assert_int_equal(o_stream_flush(t.s), -1);
	test_taker_free(&t);
}

static void interrupt(struct test_taker *t)
{
	/* the first time, and the third time not now */
	unsigned int call = t->writes + t->finishes;

	t->fails = call % 3 != 2;
	t->error = call % 3 == 1 ? EINTR : EAGAIN;
}

/* A function that answers as send() does is understood. */
static void test_interrupted_and_not_now(void **state ATTR_UNUSED)
{
	struct test_taker t;

	test_taker_init(&t, 0, true);
	t.inside = interrupt;
	t.step = 2;
	assert_int_equal(o_stream_send_str(t.s, "abc"), 3);
	assert_int_equal(t.writes, 3);
	assert_int_equal(o_stream_get_buffer_used_size(t.s), 1);
	assert_int_equal(o_stream_flush(t.s), 1);
	assert_int_equal(t.writes, 5);
	test_taker_has(&t, "abc", 3);
	/* the sixth call says not now, the seventh is interrupted */
	assert_int_equal(o_stream_finish(t.s), 0);
	assert_int_equal(t.finishes, 1);
	assert_int_equal(o_stream_finish(t.s), 1);
	assert_int_equal(t.finishes, 3);
	test_taker_free(&t);
}

static ssize_t take_too_much(void *context ATTR_UNUSED,
			     const void *data ATTR_UNUSED, size_t size,
			     const char **error_r ATTR_UNUSED)
{
	return (ssize_t)size + 1;
}

static void test_no_more_can_be_taken(void **state ATTR_UNUSED)
{
	static const struct ostream_callback_methods methods = {
		.write = take_too_much
	};
	struct ostream *s = o_stream_create_callback(&methods, NULL, 0);

	EXPECT_PANIC("(callback): its callback took 4 bytes of 3",
		     (void)!o_stream_send(s, "abc", 3));
	/* no function but this one is needed */
	o_stream_destroy(&s);
}

static void test_no_memory(void **state ATTR_UNUSED)
{
	struct test_taker t;

	block_cache_trim();
	test_taker_init(&t, 0, false);
	t.room = 1;
	test_mem_faults_begin(1, true);
	assert_int_equal(o_stream_send_str(t.s, "abc"), -1);
	assert_true(test_mem_faults_end() > 0);
	assert_int_equal(t.s->stream_errno, ENOMEM);
	error_is(t.s, "write((callback)) failed: ", ENOMEM);
	assert_int_equal(o_stream_flush(t.s), -1);
	assert_int_equal(t.writes, 2);
	test_taker_free(&t);
}

static void note_destroyed(void *context)
{
	(*(unsigned int *)context)++;
}

static void test_nothing_to_write_with(void **state ATTR_UNUSED)
{
	static const struct ostream_callback_methods methods = {
		.destroy = note_destroyed
	};
	unsigned int destroyed = 0;
	struct ostream *s = o_stream_create_callback(&methods, &destroyed, 0);

	assert_int_equal(s->stream_errno, EINVAL);
	assert_string_equal(o_stream_get_error(s),
			    "(callback): no function was given to write with");
	assert_int_equal(o_stream_send_str(s, "x"), -1);
	assert_int_equal(destroyed, 0);
	o_stream_destroy(&s);
	assert_int_equal(destroyed, 1);
}

/*
 * The end
 */

static void test_finish(void **state ATTR_UNUSED)
{
	struct test_taker t;

	test_taker_init(&t, 0, true);
	t.room = 1;
	t.refusals = 2;
	assert_int_equal(o_stream_send_str(t.s, "abc"), 3);
	assert_int_equal(o_stream_flush(t.s), 0);
	/* everything is written first */
	assert_int_equal(o_stream_finish(t.s), 0);
	assert_int_equal(t.finishes, 0);
	t.room = SIZE_MAX;
	assert_int_equal(o_stream_finish(t.s), 0);
	assert_int_equal(t.finishes, 1);
	test_taker_has(&t, "abc", 3);
	/* a finish that was begun goes on with a flush; not with a check */
	assert_int_equal(o_stream_check(t.s), 1);
	assert_int_equal(t.finishes, 1);
	assert_int_equal(o_stream_flush(t.s), 0);
	assert_int_equal(o_stream_finish(t.s), 1);
	assert_int_equal(t.finishes, 3);
	/* and is done once */
	assert_int_equal(o_stream_finish(t.s), 1);
	assert_int_equal(o_stream_flush(t.s), 1);
	assert_int_equal(t.finishes, 3);
	EXPECT_PANIC("write after finish", (void)!o_stream_send_str(t.s, "x"));
	test_taker_free(&t);
}

static void test_not_finished(void **state ATTR_UNUSED)
{
	struct test_taker t;

	test_taker_init(&t, 0, true);
	EXPECT_PANIC("destroyed without o_stream_finish()",
		     o_stream_destroy(&t.s));
	/* an end that was begun and did not come is an error */
	t.refusals = 1;
	assert_int_equal(o_stream_finish(t.s), 0);
	o_stream_close(t.s);
	assert_string_equal(o_stream_get_error(t.s),
			    "(callback): closed before it was finished");
	assert_int_equal(t.finishes, 1);
	test_taker_free(&t);
	/* who has nothing to do at the end need not be told */
	test_taker_init(&t, 0, false);
	assert_int_equal(o_stream_send_str(t.s, "x"), 1);
	test_taker_free(&t);
}

static void test_abort(void **state ATTR_UNUSED)
{
	struct test_taker t;

	test_taker_init(&t, 0, true);
	o_stream_cork(t.s);
	assert_int_equal(o_stream_send_str(t.s, "abc"), 3);
	o_stream_abort(t.s);
	assert_int_equal(o_stream_finish(t.s), -1);
	o_stream_close(t.s);
	assert_int_equal(t.destroys, 0);
	test_taker_free(&t);
}

static void test_destroyed_with_the_last_reference(void **state ATTR_UNUSED)
{
	struct test_taker t;
	struct ostream *s;

	test_taker_init(&t, 0, false);
	o_stream_ref(t.s);
	o_stream_cork(t.s);
	assert_int_equal(o_stream_send_str(t.s, "abc"), 3);
	/* what is buffered goes before it is closed */
	s = t.s;
	o_stream_destroy(&s);
	test_taker_has(&t, "abc", 3);
	assert_true(t.s->closed);
	assert_int_equal(o_stream_send_str(t.s, "x"), -1);
	assert_int_equal(t.s->stream_errno, EPIPE);
	assert_int_equal(t.writes, 1);
	assert_int_equal(t.destroys, 0);
	test_taker_free(&t);
}

/* Without a descriptor nobody could ever be woken: that is said at once, in each way of
   beginning to wait. */
static void test_no_descriptors(void **state ATTR_UNUSED)
{
	struct ioloop *loop = io_loop_create();
	struct rlimit limit, none;
	struct test_taker t;
	unsigned int way;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	for (way = 0; way < 4; way++) {
		test_taker_init(&t, 0, false);
		t.room = 0;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		if (way == 0) {
			assert_int_equal(o_stream_send_str(t.s, "x"), -1);
		} else if (way == 1) {
			o_stream_set_flush_pending(t.s, true);
		} else {
			o_stream_cork(t.s);
			assert_int_equal(o_stream_send_str(t.s, "x"), 1);
			assert_int_equal(o_stream_flush(t.s), 0);
			o_stream_uncork(t.s);
		}
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		assert_int_equal(t.s->stream_errno, EMFILE);
		error_is(t.s, "(callback): cannot wait for room: ", EMFILE);
		if (way > 0)
			EXPECT_PANIC("is missing error handling",
				     o_stream_unref(&t.s));
		assert_int_equal(o_stream_flush(t.s), -1);
		test_taker_free(&t);
	}
	/* a flush that has to wait, of what was there before the loop was; but a
	   close waits for nothing */
	for (way = 0; way < 2; way++) {
		test_taker_init(&t, 0, false);
		t.room = 0;
		io_loop_set_current(NULL);
		assert_int_equal(o_stream_send_str(t.s, "abc"), 3);
		io_loop_set_current(loop);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		if (way == 0)
			assert_int_equal(o_stream_flush(t.s), -1);
		else
			o_stream_close(t.s);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		assert_int_equal(t.s->stream_errno, way == 0 ? EMFILE : EPIPE);
		test_taker_free(&t);
	}
	io_loop_destroy(&loop);
}

static void test_only_for_such_a_stream(void **state ATTR_UNUSED)
{
	struct ostream *s = o_stream_create_null();

	EXPECT_PANIC("sendv == o_stream_callback_sendv",
		     o_stream_callback_wake(s));
	o_stream_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_send_is_a_call),
		cmocka_unit_test(test_small_corked_sends_make_blocks),
		cmocka_unit_test(test_large_pieces_are_not_copied),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_what_was_refused_comes_again),
		cmocka_unit_test(test_no_buffer),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_errors_are_not_silent),
		cmocka_unit_test(test_interrupted_and_not_now),
		cmocka_unit_test(test_no_more_can_be_taken),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_nothing_to_write_with),
		cmocka_unit_test(test_finish),
		cmocka_unit_test(test_not_finished),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_destroyed_with_the_last_reference),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_only_for_such_a_stream),
	};

	return cmocka_run_group_tests_name("ostream-callback", tests, NULL,
					   NULL);
}
