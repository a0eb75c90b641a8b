/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to functions of one's own in an event loop: who refuses says when there is room
   again, and then what waits goes on. */

#include "config.h"
#include "ioloop.h"
#include "test-taker.h"

#include <errno.h>

struct fixture {
	struct ioloop *loop;
	struct test_taker t;
	unsigned int calls; /* of the flush callback */
	int answer;
};

static void begin(struct fixture *f, bool finishes)
{
	memset(f, 0, sizeof(*f));
	f->loop = io_loop_create();
	test_taker_init(&f->t, 0, finishes);
}

static void end(struct fixture *f)
{
	test_taker_free(&f->t);
	io_loop_destroy(&f->loop);
}

static void nothing(void *context ATTR_UNUSED)
{
}

/* So many turns of the loop, whether anything happens or not. */
static void turn(struct fixture *f, unsigned int turns)
{
	struct timeout *to = timeout_add_to(f->loop, 0, nothing, NULL);

	while (turns-- > 0)
		io_loop_handler_run(f->loop);
	timeout_remove(&to);
}

static int flush_callback(struct fixture *f)
{
	f->calls++;
	return f->answer;
}

/* Sends "abc" of which nothing is taken. */
static void fill(struct fixture *f)
{
	f->t.room = 0;
	assert_int_equal(o_stream_send_str(f->t.s, "abc"), 3);
	f->t.writes = 0;
}

/*
 * Waking
 */

static void test_wake(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, false);
	fill(&f);
	f.answer = 1;
	o_stream_set_flush_callback(f.t.s, flush_callback, &f);
	turn(&f, 3);
	assert_int_equal(f.calls, 0);
	assert_int_equal(f.t.writes, 0);
	/* still none: it was asked once, and waits for the next time */
	o_stream_callback_wake(f.t.s);
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 1);
	assert_int_equal(f.t.writes, 1);
	f.t.room = SIZE_MAX;
	turn(&f, 3);
	assert_int_equal(f.t.writes, 1);
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.t.writes, 2);
	test_taker_has(&f.t, "abc", 3);
	/* nothing waits any more */
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.t.writes, 2);
	end(&f);
}

static void wake_inside(struct test_taker *t)
{
	if (t->writes == 1)
		o_stream_callback_wake(t->s);
}

/* What is said before the refusal is back, or before anybody waits, counts. */
static void test_wake_while_it_refuses(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, true);
	f.t.room = 0;
	f.t.inside = wake_inside;
	assert_int_equal(o_stream_send_str(f.t.s, "abc"), 3);
	assert_int_equal(f.t.writes, 1);
	f.t.room = SIZE_MAX;
	turn(&f, 2);
	assert_int_equal(f.t.writes, 2);
	test_taker_has(&f.t, "abc", 3);
	/* nobody said that this was all */
	assert_int_equal(f.t.finishes, 0);
	assert_int_equal(o_stream_finish(f.t.s), 1);
	end(&f);
}

/* What was said before is old: the refusal came after it. */
static void test_wake_before_the_refusal(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, false);
	o_stream_callback_wake(f.t.s);
	fill(&f);
	turn(&f, 3);
	assert_int_equal(f.t.writes, 0);
	o_stream_abort(f.t.s);
	end(&f);

	begin(&f, true);
	o_stream_callback_wake(f.t.s);
	f.t.refusals = 2;
	assert_int_equal(o_stream_finish(f.t.s), 0);
	turn(&f, 3);
	assert_int_equal(f.t.finishes, 1);
	o_stream_abort(f.t.s);
	end(&f);
}

/* A loop that only counts. */
static unsigned int ios, timeouts;

static void *count_io(void *loop, int fd ATTR_UNUSED,
		      enum io_condition condition ATTR_UNUSED,
		      io_callback_t *callback ATTR_UNUSED,
		      void *context ATTR_UNUSED)
{
	ios++;
	return loop;
}

static void *count_timeout(void *loop, unsigned int msecs ATTR_UNUSED,
			   timeout_callback_t *callback ATTR_UNUSED,
			   void *context ATTR_UNUSED)
{
	timeouts++;
	return loop;
}

static void remove_nothing(void *loop ATTR_UNUSED, void *handle ATTR_UNUSED)
{
}

static const struct ioloop_methods counting_loop = {
	.add_io = count_io,
	.remove_io = remove_nothing,
	.add_timeout = count_timeout,
	.remove_timeout = remove_nothing,
};

/* Who was refused sleeps, and who was not asks for a turn. */
static void test_sleeps(void **state ATTR_UNUSED)
{
	struct fixture f;

	memset(&f, 0, sizeof(f));
	ios = timeouts = 0;
	f.loop = io_loop_create_custom(&counting_loop, &f);
	test_taker_init(&f.t, 0, false);
	assert_int_equal(o_stream_send_str(f.t.s, "x"), 1);
	assert_int_equal(ios, 0);
	o_stream_set_flush_pending(f.t.s, true);
	assert_int_equal(timeouts, 1);
	o_stream_set_flush_pending(f.t.s, false);
	fill(&f);
	o_stream_set_flush_pending(f.t.s, true);
	assert_int_equal(timeouts, 1);
	assert_int_equal(ios, 2);
	o_stream_abort(f.t.s);
	end(&f);
}

/* A corked stream waits for nothing; an uncork asks by itself, and then it waits. */
static void test_corked(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, false);
	fill(&f);
	o_stream_cork(f.t.s);
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.t.writes, 0);
	o_stream_uncork(f.t.s);
	assert_int_equal(f.t.writes, 1);
	turn(&f, 3);
	assert_int_equal(f.t.writes, 1);
	f.t.room = SIZE_MAX;
	o_stream_callback_wake(f.t.s);
	turn(&f, 2);
	test_taker_has(&f.t, "abc", 3);
	assert_int_equal(o_stream_flush(f.t.s), 1);
	end(&f);
}

static void test_without_a_loop(void **state ATTR_UNUSED)
{
	unsigned int fds = test_open_descriptors();
	struct fixture f;

	memset(&f, 0, sizeof(f));
	test_taker_init(&f.t, 0, false);
	fill(&f);
	o_stream_callback_wake(f.t.s);
	o_stream_set_flush_pending(f.t.s, true);
	assert_int_equal(f.t.writes, 0);
	assert_int_equal(test_open_descriptors(), fds);
	/* and then in one, which finds what was said */
	f.loop = io_loop_create();
	f.t.room = SIZE_MAX;
	o_stream_switch_ioloop(f.t.s);
	turn(&f, 2);
	test_taker_has(&f.t, "abc", 3);
	end(&f);
	assert_int_equal(test_open_descriptors(), fds);
}

static void test_another_loop(void **state ATTR_UNUSED)
{
	struct fixture f;
	struct ioloop *first;

	begin(&f, false);
	fill(&f);
	first = f.loop;
	f.loop = io_loop_create();
	o_stream_switch_ioloop(f.t.s);
	io_loop_set_current(f.loop);
	io_loop_destroy(&first);
	f.t.room = SIZE_MAX;
	o_stream_callback_wake(f.t.s);
	turn(&f, 2);
	test_taker_has(&f.t, "abc", 3);
	end(&f);
}

/*
 * Flush callbacks
 */

static void test_pending(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, false);
	o_stream_set_flush_callback(f.t.s, flush_callback, &f);
	turn(&f, 2);
	assert_int_equal(f.calls, 0);
	/* nobody was refused: at once, and as long as it says 0 */
	o_stream_set_flush_pending(f.t.s, true);
	turn(&f, 3);
	assert_true(f.calls >= 2);
	f.answer = 1;
	turn(&f, 2);
	f.calls = 0;
	turn(&f, 2);
	assert_int_equal(f.calls, 0);
	assert_int_equal(f.t.writes, 0);
	/* where there is no room, when there is */
	f.answer = 0;
	o_stream_set_max_buffer_size(f.t.s, 0);
	f.t.forgets = true;
	f.t.room = 0;
	assert_int_equal(o_stream_send_str(f.t.s, "x"), 0);
	o_stream_set_flush_pending(f.t.s, true);
	turn(&f, 3);
	assert_int_equal(f.calls, 0);
	f.answer = 1;
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 1);
	o_stream_set_flush_pending(f.t.s, true);
	o_stream_set_flush_pending(f.t.s, false);
	turn(&f, 3);
	assert_int_equal(f.calls, 1);
	end(&f);
}

/* A send between the asking and the turn found that there is no room. */
static void test_refused_before_the_turn(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, false);
	f.answer = 1;
	o_stream_set_flush_callback(f.t.s, flush_callback, &f);
	o_stream_set_flush_pending(f.t.s, true);
	fill(&f);
	turn(&f, 3);
	assert_int_equal(f.calls, 0);
	assert_int_equal(f.t.writes, 0);
	f.t.room = SIZE_MAX;
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 1);
	test_taker_has(&f.t, "abc", 3);
	end(&f);
}

static int append_small(struct fixture *f)
{
	f->calls++;
	assert_true(o_stream_is_corked(f->t.s));
	o_stream_nsend_str(f->t.s, "d");
	o_stream_nsend_str(f->t.s, "e");
	return o_stream_flush(f->t.s) < 0 ? -1 : 1;
}

/* It runs corked: what it sends goes in one piece with what waited. */
static void test_callback_sends(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, false);
	fill(&f);
	o_stream_set_flush_callback(f.t.s, append_small, &f);
	f.t.room = SIZE_MAX;
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 1);
	assert_int_equal(f.t.writes, 1);
	test_taker_has(&f.t, "abcde", 5);
	assert_false(o_stream_is_corked(f.t.s));
	end(&f);
}

static int flush_it(struct fixture *f)
{
	f->calls++;
	return o_stream_flush(f->t.s);
}

/* A wake is a call of each, and after an error there is none. */
static void test_callback_flushes(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, false);
	fill(&f);
	o_stream_set_flush_callback(f.t.s, flush_it, &f);
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 1);
	assert_int_equal(f.t.writes, 1);
	f.t.fails = true;
	f.t.error = ECONNRESET;
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.t.s->stream_errno, ECONNRESET);
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.t.writes, 2);
	end(&f);
}

static int destroy_it(struct fixture *f)
{
	f->calls++;
	o_stream_abort(f->t.s);
	o_stream_destroy(&f->t.s);
	return f->answer;
}

static void test_callback_destroys_the_stream(void **state ATTR_UNUSED)
{
	struct fixture f;
	int answer;

	for (answer = -1; answer <= 1; answer++) {
		begin(&f, false);
		fill(&f);
		f.answer = answer;
		o_stream_set_flush_callback(f.t.s, destroy_it, &f);
		o_stream_callback_wake(f.t.s);
		turn(&f, 3);
		assert_int_equal(f.calls, 1);
		assert_int_equal(f.t.destroys, 1);
		assert_int_equal(f.t.writes, 0);
		end(&f);
	}
}

/*
 * Ends and errors
 */

static int finish(struct fixture *f)
{
	f->calls++;
	return o_stream_finish(f->t.s);
}

/* A finish that has to wait is asked again when it was woken: with a flush callback, and
   by itself. */
static void test_finish_waits(void **state ATTR_UNUSED)
{
	struct fixture f;
	int with_callback;

	for (with_callback = 0; with_callback < 2; with_callback++) {
		begin(&f, true);
		fill(&f);
		f.t.refusals = 2;
		if (with_callback)
			o_stream_set_flush_callback(f.t.s, finish, &f);
		assert_int_equal(o_stream_finish(f.t.s), 0);
		f.t.room = SIZE_MAX;
		turn(&f, 3);
		assert_int_equal(f.t.finishes, 0);
		o_stream_callback_wake(f.t.s);
		turn(&f, 3);
		test_taker_has(&f.t, "abc", 3);
		assert_int_equal(f.t.finishes, 1);
		o_stream_callback_wake(f.t.s);
		turn(&f, 3);
		assert_int_equal(f.t.finishes, 2);
		o_stream_callback_wake(f.t.s);
		turn(&f, 3);
		assert_int_equal(f.t.finishes, 3);
		/* that was it */
		o_stream_callback_wake(f.t.s);
		turn(&f, 3);
		assert_int_equal(f.calls, with_callback ? 3 : 0);
		assert_int_equal(o_stream_finish(f.t.s), 1);
		assert_int_equal(f.t.finishes, 3);
		end(&f);
	}
}

static int finish_once(struct fixture *f)
{
	/* what is buffered is all out, the end is not */
	if (++f->calls == 1) {
		assert_int_equal(o_stream_finish(f->t.s), 0);
		assert_int_equal(o_stream_check(f->t.s), 1);
	}
	return 1;
}

/* A callback that says that it is done is not called for a finish that it leaves. */
static void test_finish_is_left(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, true);
	o_stream_set_flush_callback(f.t.s, finish_once, &f);
	f.t.refusals = 2;
	assert_int_equal(o_stream_finish(f.t.s), 0);
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 1);
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 2);
	assert_int_equal(f.t.finishes, 2);
	assert_int_equal(o_stream_finish(f.t.s), 1);
	end(&f);
}

/* Asked again without a wake, and done: nobody has to come any more. */
static void test_finish_does_not_wait_any_more(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f, true);
	o_stream_set_flush_callback(f.t.s, finish, &f);
	f.t.refusals = 1;
	assert_int_equal(o_stream_finish(f.t.s), 0);
	assert_int_equal(o_stream_finish(f.t.s), 1);
	o_stream_callback_wake(f.t.s);
	turn(&f, 3);
	assert_int_equal(f.calls, 0);
	end(&f);
}

/* Where nobody was there to be told of an error, who destroys the stream has to look. */
static void test_errors_in_the_loop(void **state ATTR_UNUSED)
{
	struct fixture f;
	int in_finish;

	for (in_finish = 0; in_finish < 2; in_finish++) {
		begin(&f, true);
		fill(&f);
		if (in_finish) {
			assert_int_equal(o_stream_finish(f.t.s), 0);
			f.t.refusals = 1;
			f.t.room = SIZE_MAX;
			assert_int_equal(o_stream_finish(f.t.s), 0);
			f.t.writes = 0;
		}
		f.t.fails = true;
		f.t.error = ECONNRESET;
		o_stream_callback_wake(f.t.s);
		turn(&f, 3);
		assert_int_equal(f.t.s->stream_errno, ECONNRESET);
		assert_int_equal(f.t.writes, 1 - in_finish);
		/* nothing comes behind it */
		o_stream_callback_wake(f.t.s);
		turn(&f, 3);
		assert_int_equal(f.t.writes, 1 - in_finish);
		assert_int_equal(f.t.finishes, in_finish * 2);
		EXPECT_PANIC("is missing error handling",
			     o_stream_unref(&f.t.s));
		assert_int_equal(o_stream_flush(f.t.s), -1);
		end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wake),
		cmocka_unit_test(test_wake_while_it_refuses),
		cmocka_unit_test(test_wake_before_the_refusal),
		cmocka_unit_test(test_sleeps),
		cmocka_unit_test(test_corked),
		cmocka_unit_test(test_without_a_loop),
		cmocka_unit_test(test_another_loop),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_refused_before_the_turn),
		cmocka_unit_test(test_callback_sends),
		cmocka_unit_test(test_callback_flushes),
		cmocka_unit_test(test_callback_destroys_the_stream),
		cmocka_unit_test(test_finish_waits),
		cmocka_unit_test(test_finish_is_left),
		cmocka_unit_test(test_finish_does_not_wait_any_more),
		cmocka_unit_test(test_errors_in_the_loop),
	};

	return cmocka_run_group_tests_name("ostream-callback-loop", tests, NULL,
					   NULL);
}
