/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to functions of one's own that use the stream themselves, and stacks above
   them. */

#include "config.h"
#include "test-codec-common.h"
#include "test-taker.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Functions that use their own stream
 */

static void inside_send(struct ostream *s)
{
	(void)!o_stream_send_str(s, "x");
}

static void inside_flush(struct ostream *s)
{
	(void)o_stream_flush(s);
}

static void inside_finish(struct ostream *s)
{
	(void)o_stream_finish(s);
}

static void inside_uncork(struct ostream *s)
{
	o_stream_cork(s);
	o_stream_uncork(s);
}

static void inside_destroy(struct ostream *s)
{
	o_stream_destroy(&s);
}

static void inside_close(struct ostream *s)
{
	/* of a stream that failed nothing is flushed */
	o_stream_abort(s);
	o_stream_close(s);
}

static void (*used_inside)(struct ostream *s);
static struct ostream *used_stream;

static void use_inside(struct test_taker *t)
{
	t->inside = NULL;
	EXPECT_PANIC("output stream (callback) is used by its own callback",
		     used_inside(used_stream));
}

static void check_reentry(bool in_finish, bool stacked)
{
	struct test_taker t;
	struct ostream *top;

	test_taker_init(&t, 0, in_finish);
	top = stacked ? o_stream_create_gzip(t.s, 1) : t.s;
	used_stream = top;
	t.inside = use_inside;
	if (in_finish) {
		(void)o_stream_finish(top);
	} else {
		(void)!o_stream_send_str(top, "x");
		(void)o_stream_flush(top);
	}
	assert_null(t.inside);
	o_stream_abort(top);
	if (stacked)
		o_stream_destroy(&top);
	test_taker_free(&t);
}

static void test_functions_cannot_use_the_stream(void **state ATTR_UNUSED)
{
	static void (*const uses[])(struct ostream *) = {
		inside_send,   inside_flush,   inside_finish,
		inside_uncork, inside_destroy, inside_close,
	};
	size_t i;

	for (i = 0; i < N_ELEMENTS(uses); i++) {
		used_inside = uses[i];
		check_reentry(false, false);
		/* no send comes behind a finish, wherever it is */
		if (uses[i] != inside_send)
			check_reentry(true, false);
	}
	/* nor by what is on top of it */
	used_inside = inside_flush;
	check_reentry(false, true);
	check_reentry(true, true);
}

static void inside_send_on_top(struct ostream *top)
{
	char data[1000];

	memset(data, 'x', sizeof(data));
	(void)!o_stream_send(top, data, sizeof(data));
}

/* What a codec would put behind the bytes that write is looking at may move them. */
static void test_nor_may_a_codec(void **state ATTR_UNUSED)
{
	struct test_taker t;
	struct ostream *top;

	test_taker_init(&t, 0, false);
	o_stream_cork(t.s);
	assert_int_equal(o_stream_send_str(t.s, "abc"), 3);
	top = o_stream_create_hex(t.s);
	used_inside = inside_send_on_top;
	used_stream = top;
	t.inside = use_inside;
	assert_int_equal(o_stream_flush(t.s), 1);
	assert_null(t.inside);
	test_taker_has(&t, "abc", 3);
	o_stream_abort(top);
	o_stream_destroy(&top);
	test_taker_free(&t);
}

static void look_and_abort(struct test_taker *t)
{
	t->inside = NULL;
	assert_string_equal(o_stream_get_name(t->s), "(callback)");
	assert_int_equal(o_stream_get_buffer_used_size(t->s), 0);
	o_stream_callback_wake(t->s);
	o_stream_abort(t->s);
}

static void test_functions_may_abort(void **state ATTR_UNUSED)
{
	struct test_taker t;

	test_taker_init(&t, 0, true);
	t.inside = look_and_abort;
	t.step = 1;
	assert_int_equal(o_stream_send_str(t.s, "abc"), -1);
	assert_int_equal(t.writes, 1);
	assert_int_equal(t.s->stream_errno, EPIPE);
	test_taker_free(&t);

	test_taker_init(&t, 0, true);
	t.inside = look_and_abort;
	assert_int_equal(o_stream_finish(t.s), -1);
	assert_int_equal(t.s->stream_errno, EPIPE);
	test_taker_free(&t);
}

/*
 * Below a stack
 */

/* Refuses every other time. */
static void every_other_time(struct test_taker *t)
{
	t->room = (t->writes + t->finishes) % 2 == 0 ? SIZE_MAX : 0;
}

static void test_below_every_codec(void **state ATTR_UNUSED)
{
	static const size_t steps[] = { 0, 1, 5 };
	const struct test_codec *codec;
	struct test_taker t;
	struct ostream *top;
	unsigned char *data;
	buffer_t *want;
	size_t size, i;
	int ret;

	TEST_EACH_CODEC(codec) {
		size = 3000;
		data = test_codec_plain(codec, &size);
		want = test_codec_encode(codec, data, size);
		for (i = 0; i < N_ELEMENTS(steps); i++) {
			test_taker_init(&t, 50, true);
			top = o_stream_create_transform(t.s, codec->encoder());
			o_stream_set_max_buffer_size(top, SIZE_MAX);
			t.step = steps[i];
			t.inside = every_other_time;
			t.refusals = 2;
			assert_int_equal(o_stream_send(top, data, size), size);
			while ((ret = o_stream_finish(top)) == 0)
				;
			assert_int_equal(ret, 1);
			/* dot leaves it to be finished */
			while ((ret = o_stream_finish(t.s)) == 0)
				;
			assert_int_equal(ret, 1);
			assert_int_equal(t.finishes, 3);
			test_codec_must_give(want->data, want->used, t.got,
					     "functions below");
			o_stream_destroy(&top);
			test_taker_free(&t);
		}
		buffer_free(&want);
		free(data);
	}
}

/* What a codec writes into the stream's own buffer is not left there. */
static void test_what_a_codec_leaves(void **state ATTR_UNUSED)
{
	const size_t size = 50000;
	char *data = calloc(1, size);
	struct test_taker t;
	struct ostream *top;

	assert_non_null(data);
	test_taker_init(&t, 0, false);
	top = o_stream_create_hex(t.s);
	assert_int_equal(o_stream_send_str(top, "abc"), 3);
	test_taker_has(&t, "616263", 6);
	assert_int_equal(t.writes, 1);
	/* corked, in blocks */
	o_stream_cork(t.s);
	assert_int_equal(o_stream_send(top, data, size), size);
	assert_int_equal(t.size, 65536);
	assert_int_equal(t.got->used, 65536 + 6);
	assert_int_equal(o_stream_get_buffer_used_size(t.s), 2 * size - 65536);
	o_stream_uncork(t.s);
	assert_int_equal(o_stream_finish(top), 1);
	assert_int_equal(t.got->used, 2 * size + 6);
	o_stream_destroy(&top);
	test_taker_free(&t);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_functions_cannot_use_the_stream),
		cmocka_unit_test(test_nor_may_a_codec),
		cmocka_unit_test(test_functions_may_abort),
		cmocka_unit_test(test_below_every_codec),
		cmocka_unit_test(test_what_a_codec_leaves),
	};

	return cmocka_run_group_tests_name("ostream-callback-stacks", tests,
					   test_fixed_keys_setup,
					   test_keys_teardown);
}
