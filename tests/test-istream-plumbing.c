/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input streams that pass bytes on, each against its own rules. Those that look at a hash are
   in test-istream-checked.c, those with several readers in test-istream-tee.c. */

#include "config.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdio.h>

static void test_noop(void **state ATTR_UNUSED)
{
	struct istream *parent = i_stream_create_from_data("0123456789", 10);
	const unsigned char *data;
	struct istream *s;
	uoff_t size;
	size_t len;

	i_stream_seek(parent, 2);
	s = i_stream_create_noop(parent);
	assert_int_equal(i_stream_get_size(s, true, &size), 1);
	assert_int_equal(size, 8);
	assert_int_equal(i_stream_read_more(s, &data, &len), 1);
	assert_memory_equal(data, "23456789", 8);
	i_stream_skip(s, 3);
	assert_int_equal(s->v_offset, 3);
	i_stream_destroy(&s);
	assert_int_equal(parent->v_offset, 5);
	s = i_stream_create_noop(parent);
	i_stream_unref(&parent);
	test_gives(s, "56789", 0);
}

/* Each in every size of steps, with and without pauses between them. */
static void test_sized(void **state ATTR_UNUSED)
{
	static const struct {
		struct istream *(*create)(struct istream *input, uoff_t size);
		uoff_t size;
		const char *text;
		int error;
	} cases[] = {
		{ i_stream_create_sized, 10, "0123456789", 0 },
		{ i_stream_create_sized, 11, "0123456789", EPIPE },
		{ i_stream_create_sized, 9, "012345678", EINVAL },
		{ i_stream_create_sized, 0, "", EINVAL },
		{ i_stream_create_min_sized, 10, "0123456789", 0 },
		{ i_stream_create_min_sized, 4, "0123", 0 },
		{ i_stream_create_min_sized, 0, "", 0 },
		{ i_stream_create_min_sized, 11, "0123456789", EPIPE },
		{ i_stream_create_max_size, 10, "0123456789", 0 },
		{ i_stream_create_max_size, 9, "012345678", EFBIG },
		{ i_stream_create_max_size, UOFF_T_MAX, "0123456789", 0 },
	};
	struct istream *parent;
	unsigned int step;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		for (step = 1; step <= 22; step++) {
			parent = test_trickle_create("0123456789", 10,
						     (step + 1) / 2,
						     step % 2 == 0);
			test_gives(cases[i].create(parent, cases[i].size),
				   cases[i].text, cases[i].error);
			i_stream_destroy(&parent);
		}
	}
}

static const char *say_size(const struct istream_sized_error_data *data,
			    char *text)
{
	(void)sprintf(text, "%llu and %zu of %llu%s",
		      (unsigned long long)data->v_offset, data->new_bytes,
		      (unsigned long long)data->wanted_size,
		      data->eof ? ", the end" : "");
	return text;
}

static void test_sized_with_callback(void **state ATTR_UNUSED)
{
	static const struct {
		uoff_t size;
		const char *text;
	} cases[] = {
		{ 11, "8 and 2 of 11, the end" },
		{ 10, "EOF" },
		{ 9, "8 and 2 of 9" },
		{ 8, "8 and 1 of 8" },
	};
	struct istream *parent = i_stream_create_from_data("0123456789", 10);
	char text[64];
	struct istream *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		i_stream_seek(parent, 0);
		s = i_stream_create_sized_with_callback(parent, cases[i].size,
							say_size, text);
		assert_true(i_stream_read(s) > 0);
		i_stream_skip(s, 8);
		while (i_stream_read(s) > 0)
			;
		/* the caller's text is its own again */
		text[0] = '\0';
		assert_string_equal(i_stream_get_error(s), cases[i].text);
		i_stream_destroy(&s);
	}
	i_stream_destroy(&parent);
}

static void test_sized_range(void **state ATTR_UNUSED)
{
	struct istream *parent = i_stream_create_from_data("0123456789", 10);
	struct istream *s;

	i_stream_seek(parent, 1);
	test_gives(i_stream_create_sized_range(parent, 4, 6), "456789", 0);
	test_gives(i_stream_create_sized_range(parent, 4, 5), "45678", EINVAL);
	test_gives(i_stream_create_min_sized_range(parent, 4, 7), "456789",
		   EPIPE);
	i_stream_seek(parent, 1);
	s = i_stream_create_min_sized_range(parent, 8, 1);
	assert_int_equal(parent->v_offset, 1);
	test_gives(s, "8", 0);
	i_stream_destroy(&parent);
}

/* What follows is the input's next, and nothing of what was read here is read again. */
static void test_sized_leaves_the_rest(void **state ATTR_UNUSED)
{
	static const struct {
		struct istream *(*create)(struct istream *input, uoff_t size);
		uoff_t size, skip, next;
	} cases[] = {
		{ i_stream_create_min_sized, 4, 4, 5 },
		{ i_stream_create_min_sized, 4, 2, 3 },
		{ i_stream_create_min_sized, 4, 7, 5 },
		{ i_stream_create_min_sized, 0, 0, 1 },
		{ i_stream_create_sized, 9, 3, 4 },
		{ i_stream_create_sized, 4, 4, 5 },
		{ i_stream_create_max_size, 8, 8, 9 },
	};
	struct istream *input, *s;
	unsigned int step;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		for (step = 1; step <= 10; step++) {
			input = test_trickle_create("0123456789", 10, step,
						    false);
			i_stream_skip(input, 1);
			s = cases[i].create(input, cases[i].size);
			while (i_stream_get_data_size(s) < cases[i].skip &&
			       i_stream_read(s) >= 0)
				;
			i_stream_skip(s, cases[i].skip);
			i_stream_destroy(&s);
			assert_int_equal(input->v_offset, cases[i].next);
			i_stream_destroy(&input);
		}
	}
}

static void test_sized_seek_and_texts(void **state ATTR_UNUSED)
{
	struct istream *parent = i_stream_create_from_data("0123456789", 10);
	struct istream *s = i_stream_create_sized(parent, 10);
	const unsigned char *data;
	size_t size;

	i_stream_set_name(parent, "digits");
	i_stream_seek(s, 7);
	assert_int_equal(i_stream_read_more(s, &data, &size), 1);
	assert_memory_equal(data, "789", 3);
	i_stream_seek(s, 0);
	test_gives(s, "0123456789", 0);
	i_stream_seek(parent, 0);
	s = i_stream_create_sized(parent, 12);
	while (i_stream_read(s) > 0)
		;
	assert_string_equal(i_stream_get_error(s),
			    "digits: ended after 10 bytes, but 12 were to "
			    "come");
	i_stream_destroy(&s);
	i_stream_destroy(&parent);
}

static void test_nonuls(void **state ATTR_UNUSED)
{
	static const char in[] = "\0a\0\0bc\0";
	struct istream *parent, *s;
	unsigned int step;

	for (step = 1; step <= 16; step++) {
		parent = test_trickle_create(in, 7, (step + 1) / 2,
					     step % 2 == 0);
		s = i_stream_create_nonuls(parent, '?');
		i_stream_unref(&parent);
		test_gives(s, "?a??bc?", 0);
	}
	parent = i_stream_create_from_data(in, 7);
	s = i_stream_create_nonuls(parent, '-');
	i_stream_set_max_buffer_size(s, 3);
	assert_int_equal(i_stream_read(s), 3);
	assert_int_equal(i_stream_read(s), -2);
	i_stream_seek(s, 5);
	assert_int_equal(i_stream_read(s), 2);
	i_stream_seek(s, 1);
	test_gives(s, "a--bc-", 0);
	i_stream_destroy(&parent);
	parent = i_stream_create_error_str(EIO, "no disk");
	s = i_stream_create_nonuls(parent, '-');
	assert_int_equal(i_stream_read(s), -1);
	assert_string_equal(i_stream_get_error(s), "no disk");
	test_gives(s, "", EIO);
	i_stream_destroy(&parent);
}

/*
 * Callback
 */

struct producer {
	struct istream *stream;
	unsigned int calls;
	int error;
};

/* Nothing, then three pieces with nothing between them, then the end. */
static bool produce(buffer_t *buf, void *context)
{
	struct producer *producer = context;

	producer->calls++;
	if (producer->calls % 2 == 0)
		buffer_append_printf(buf, "piece %u,", producer->calls / 2);
	if (producer->calls < 6)
		return true;
	if (producer->error != 0)
		i_stream_callback_set_error(producer->stream, producer->error,
					    "no more pieces");
	return false;
}

static void test_callback(void **state ATTR_UNUSED)
{
	struct producer producer = { NULL, 0, 0 };
	struct istream *s;

	s = producer.stream = i_stream_create_callback(produce, &producer);
	i_stream_callback_append_str(s, "head,");
	assert_int_equal(i_stream_read(s), 5);
	assert_int_equal(producer.calls, 0);
	assert_int_equal(i_stream_read(s), 0);
	test_gives(s, "head,piece 1,piece 2,piece 3,", 0);
	assert_int_equal(producer.calls, 6);
}

static void test_callback_error(void **state ATTR_UNUSED)
{
	struct producer producer = { NULL, 0, EBUSY };
	struct istream *s;

	s = producer.stream = i_stream_create_callback(produce, &producer);
	while (i_stream_read(s) >= 0)
		;
	assert_int_equal(s->stream_errno, EBUSY);
	assert_string_equal(i_stream_get_error(s), "no more pieces");
	/* the bytes before it are there */
	test_gives(s, "piece 1,piece 2,piece 3,", EBUSY);
	assert_int_equal(producer.calls, 6);
}

static void test_callback_full_buffer(void **state ATTR_UNUSED)
{
	struct producer producer = { NULL, 1, 0 };
	struct istream *s;
	const unsigned char *data, *again;
	size_t size;

	s = producer.stream = i_stream_create_callback(produce, &producer);
	i_stream_set_max_buffer_size(s, 4);
	assert_int_equal(i_stream_read(s), 4);
	assert_int_equal(i_stream_read(s), -2);
	i_stream_skip(s, 1);
	data = i_stream_get_data(s, &size);
	assert_memory_equal(data, "iec", 3);
	assert_int_equal(i_stream_read(s), 1);
	i_stream_skip(s, 4);
	assert_int_equal(i_stream_read(s), 3);
	/* what was given does not move while nothing comes */
	data = i_stream_get_data(s, &size);
	assert_int_equal(i_stream_read(s), 0);
	again = i_stream_get_data(s, &size);
	assert_ptr_equal(data, again);
	test_gives(s, " 1,piece 2,piece 3,", 0);
}

/*
 * Whole
 */

static void test_whole(void **state ATTR_UNUSED)
{
	static const struct {
		const char *source, *text;
		int error;
	} cases[] = {
		{ "a\r\n.\r\n", "a\r\n", 0 },
		{ "a\r\n.\r\nb", "a\r\n", EINVAL },
		{ "a\r\n.", "a\r\n", EPIPE },
	};
	struct istream *source, *dot, *s;
	size_t i, step;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		for (step = 1; step < 4; step++) {
			source = test_trickle_create(cases[i].source,
						     strlen(cases[i].source),
						     step, step == 2);
			dot = i_stream_create_dot(source, 0);
			s = i_stream_create_whole(dot, source);
			i_stream_unref(&source);
			i_stream_unref(&dot);
			test_gives(s, cases[i].text, cases[i].error);
		}
	}
	/* an error of what is behind the end */
	dot = i_stream_create_from_data("a\r\n.\r\n", 6);
	source = i_stream_create_failure_at_eof(dot, EIO, "the disk");
	i_stream_unref(&dot);
	dot = i_stream_create_dot(source, 0);
	s = i_stream_create_whole(dot, source);
	i_stream_unref(&source);
	i_stream_unref(&dot);
	test_gives(s, "a\r\n", EIO);
}

/*
 * Progress
 */

static void test_progress(void **state ATTR_UNUSED)
{
	static const struct {
		uoff_t step;
		const char *told;
	} cases[] = {
		{ 0, "3 6 9 10 " }, { 3, "3 6 9 10 " }, { 4, "6 10 " },
		{ 10, "10 " },      { 100, "10 " },
	};
	struct istream *parent, *s;
	struct test_told told;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		memset(&told, 0, sizeof(told));
		parent = test_trickle_create("0123456789", 10, 3, i % 2 == 0);
		s = i_stream_create_progress(parent, cases[i].step, test_tell,
					     &told);
		i_stream_unref(&parent);
		test_gives(s, "0123456789", 0);
		assert_string_equal(told.text, cases[i].told);
	}
}

static void test_progress_counts_bytes_once(void **state ATTR_UNUSED)
{
	struct test_told told = { "", 0, 0 };
	struct istream *parent =
		test_trickle_create("0123456789", 10, 5, false);
	struct istream *s =
		i_stream_create_progress(parent, 0, test_tell, &told);

	assert_int_equal(i_stream_read(s), 5);
	i_stream_skip(s, 5);
	i_stream_seek(s, 1);
	test_gives(s, "123456789", 0);
	i_stream_destroy(&parent);
	assert_string_equal(told.text, "5 10 ");
}

static void test_progress_cancels(void **state ATTR_UNUSED)
{
	struct test_told told = { "", 0, 2 };
	struct istream *parent =
		test_trickle_create("0123456789", 10, 3, false);
	struct istream *s =
		i_stream_create_progress(parent, 0, test_tell, &told);

	test_gives(s, "012345", ECANCELED);
	assert_string_equal(told.text, "3 6 ");
	i_stream_destroy(&parent);
}

/*
 * Chain
 */

static void append(struct istream_chain *chain, const char *text)
{
	struct istream *s = i_stream_create_from_data(text, strlen(text));

	i_stream_chain_append(chain, s);
	i_stream_unref(&s);
}

static void test_chain(void **state ATTR_UNUSED)
{
	struct istream_chain *chain;
	struct istream *s = i_stream_create_chain(&chain, 0);
	const unsigned char *data;
	size_t size;

	assert_int_equal(i_stream_read(s), 0);
	append(chain, "one,");
	append(chain, "");
	append(chain, "two,");
	assert_int_equal(i_stream_read_bytes(s, &data, &size, 8), 1);
	/* in one piece over the border */
	assert_memory_equal(data, "one,two,", 8);
	assert_int_equal(i_stream_read(s), 0);
	assert_false(s->eof);
	append(chain, "three");
	i_stream_chain_append_eof(chain);
	test_gives(s, "one,two,three", 0);
}

static void test_chain_frees_what_is_left(void **state ATTR_UNUSED)
{
	struct istream_chain *chain;
	struct istream *s = i_stream_create_chain(&chain, 2);

	append(chain, "abc");
	append(chain, "not read");
	assert_int_equal(i_stream_read(s), 2);
	assert_int_equal(i_stream_read(s), -2);
	i_stream_chain_append_eof(chain);
	i_stream_destroy(&s);
}

/* Nobody would ever read what comes behind the end. */
static void test_chain_goes_on_behind_its_end(void **state ATTR_UNUSED)
{
	struct istream_chain *chain;
	struct istream *s = i_stream_create_chain(&chain, 0);
	struct istream *late = i_stream_create_from_data("late", 4);

	append(chain, "abc");
	i_stream_chain_append_eof(chain);
	i_stream_chain_append_eof(chain);
	EXPECT_PANIC("chain->ends", i_stream_chain_append(chain, late));
	i_stream_unref(&late);
	test_gives(s, "abc", 0);
}

static void test_chain_error(void **state ATTR_UNUSED)
{
	struct istream *bad = i_stream_create_error_str(EIO, "bad sector");
	struct istream_chain *chain;
	struct istream *s = i_stream_create_chain(&chain, 0);

	append(chain, "good");
	i_stream_chain_append(chain, bad);
	append(chain, "behind it");
	assert_int_equal(i_stream_read(s), 4);
	assert_int_equal(i_stream_read(s), -1);
	assert_string_equal(i_stream_get_error(s), "bad sector");
	test_gives(s, "good", EIO);
	i_stream_unref(&bad);
}

static struct istream *several(unsigned int kind, struct istream *inputs[3])
{
	struct istream_chain *chain;
	struct istream *s;

	if (kind == 0)
		return i_stream_create_concat(inputs);
	if (kind == 1)
		return i_stream_create_try(inputs);
	s = i_stream_create_chain(&chain, 0);
	i_stream_chain_append(chain, inputs[0]);
	i_stream_chain_append(chain, inputs[1]);
	i_stream_chain_append_eof(chain);
	return s;
}

/* A close is for them all, also where one was read to its end or there never was another
   one's turn; a destroy is for none. */
static void test_several_inputs_are_closed(void **state ATTR_UNUSED)
{
	struct istream *inputs[3] = { NULL, NULL, NULL }, *s;
	const unsigned char *data;
	unsigned int kind, reads, close, i;
	size_t size;

	for (kind = 0; kind < 3; kind++) {
		for (reads = 0; reads < 2; reads++) {
			for (close = 0; close < 2; close++) {
				inputs[0] = i_stream_create_from_data("ab", 2);
				inputs[1] = i_stream_create_from_data("cd", 2);
				s = several(kind, inputs);
				if (reads == 1)
					assert_int_equal(
						i_stream_read_more(s, &data,
								   &size),
						1);
				if (close == 1)
					i_stream_close(s);
				i_stream_destroy(&s);
				for (i = 0; i < 2; i++) {
					/* not what it has no use for */
					if (kind != 1 || reads != 1 || i == 0)
						assert_int_equal(
							inputs[i]->closed,
							close);
					i_stream_destroy(&inputs[i]);
				}
			}
		}
	}
}

static void test_whole_can_be_seeked(void **state ATTR_UNUSED)
{
	static const char text[] = "one\r\ntwo\r\n.\r\n";
	struct istream *source = i_stream_create_from_data(text, 13);
	struct istream *dot = i_stream_create_dot(source, 0);
	struct istream *s = i_stream_create_whole(dot, source);
	buffer_t *out = buffer_create_dynamic(default_pool, 10);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(test_read_all(s, out), 0);
		assert_int_equal(out->used, 10);
		assert_memory_equal(out->data, "one\r\ntwo\r\n", 10);
		buffer_set_used_size(out, 0);
		i_stream_seek(s, 5);
		assert_int_equal(test_read_all(s, out), 0);
		assert_int_equal(out->used, 5);
		assert_memory_equal(out->data, "two\r\n", 5);
		buffer_set_used_size(out, 0);
		i_stream_seek(s, 0);
	}
	i_stream_destroy(&s);
	i_stream_destroy(&dot);
	i_stream_destroy(&source);
	buffer_free(&out);
}

static void test_concat_of_nothing(void **state ATTR_UNUSED)
{
	struct istream *none[] = { NULL }, *s = i_stream_create_concat(none);
	uoff_t size;

	assert_int_equal(i_stream_get_size(s, true, &size), 1);
	assert_int_equal(size, 0);
	i_stream_seek(s, 5);
	i_stream_seek(s, 0);
	test_gives(s, "", 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_noop),
		cmocka_unit_test(test_sized),
		cmocka_unit_test(test_sized_with_callback),
		cmocka_unit_test(test_sized_range),
		cmocka_unit_test(test_sized_leaves_the_rest),
		cmocka_unit_test(test_sized_seek_and_texts),
		cmocka_unit_test(test_nonuls),
		cmocka_unit_test(test_callback),
		cmocka_unit_test(test_callback_error),
		cmocka_unit_test(test_callback_full_buffer),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_progress_counts_bytes_once),
		cmocka_unit_test(test_progress_cancels),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_chain_frees_what_is_left),
		cmocka_unit_test(test_chain_goes_on_behind_its_end),
		cmocka_unit_test(test_chain_error),
		cmocka_unit_test(test_several_inputs_are_closed),
		cmocka_unit_test(test_whole_can_be_seeked),
		cmocka_unit_test(test_concat_of_nothing),
	};

	return cmocka_run_group_tests_name("istream-plumbing", tests, NULL,
					   NULL);
}
