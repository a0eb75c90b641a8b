/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several readers of one input stream, and the stream that tries several decoders by them.
   */

#include "config.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Tee
 */

static void test_tee(void **state ATTR_UNUSED)
{
	struct istream *parent, *a, *b;
	struct tee_istream *tee;
	const unsigned char *data;
	unsigned int step;
	size_t size;

	for (step = 1; step <= 22; step++) {
		parent = test_trickle_create("0123456789", 10, (step + 1) / 2,
					     step % 2 == 0);
		tee = i_stream_create_tee(parent);
		a = tee_i_stream_create_child(tee);
		b = tee_i_stream_create_child(tee);
		i_stream_unref(&parent);
		while (i_stream_read_bytes(b, &data, &size, 2) == 0)
			;
		assert_memory_equal(data, "01", 2);
		test_gives(a, "0123456789", 0);
		/* what one holds does not move when another one reads */
		assert_memory_equal(data, "01", 2);
		test_gives(b, "0123456789", 0);
	}
}

/* Each begins where the input stands when it is made. */
static void test_tee_of_a_rest(void **state ATTR_UNUSED)
{
	struct istream *parent, *a, *b;
	struct tee_istream *tee;

	parent = test_trickle_create("0123456789", 10, 3, false);
	i_stream_skip(parent, 4);
	tee = i_stream_create_tee(parent);
	i_stream_unref(&parent);
	a = tee_i_stream_create_child(tee);
	b = tee_i_stream_create_child(tee);
	test_gives(a, "456789", 0);
	test_gives(b, "456789", 0);
}

/* A child shows the input's own memory, which stays where it is for as long as the
   child has not read on, however far the others are. */
static void test_tee_lends(void **state ATTR_UNUSED)
{
	static const char text[] = "0123456789abcdefghij";
	struct istream *parent, *fast, *slow;
	struct tee_istream *tee;
	const unsigned char *held, *data;
	size_t size, held_size, step, skip;

	for (step = 1; step <= 7; step++) {
		for (skip = 0; skip <= step; skip++) {
			parent = test_trickle_create(text, 20, step, false);
			i_stream_set_init_buffer_size(parent, 4);
			tee = tee_i_stream_create(parent);
			fast = tee_i_stream_create_child(tee);
			slow = tee_i_stream_create_child(tee);
			i_stream_unref(&parent);
			assert_int_equal(i_stream_read(fast), step);
			assert_int_equal(i_stream_read(slow), step);
			held = i_stream_get_data(slow, &held_size);
			assert_ptr_equal(held, i_stream_get_data(fast, &size));
			i_stream_skip(slow, skip);
			test_gives(fast, text, 0);
			assert_memory_equal(held, text, held_size);
			if (skip < step) {
				data = i_stream_get_data(slow, &size);
				assert_ptr_equal(data, held + skip);
			}
			test_gives(slow, text + skip, 0);
		}
	}
}

/* Whatever else the input is asked for. */
static void test_tee_lends_and_input_moves(void **state ATTR_UNUSED)
{
	unsigned char *plain = test_data(TEST_DATA_TEXT, 300000);
	buffer_t *gzip =
		test_encode(transform_create_gzip_encoder(1), plain, 300000);
	struct istream *source, *input, *child;
	struct tee_istream *tee;
	const unsigned char *data;
	uoff_t size;
	size_t held;

	source = i_stream_create_from_data(gzip->data, gzip->used);
	input = i_stream_create_gzip(source);
	tee = tee_i_stream_create(input);
	child = tee_i_stream_create_child(tee);
	assert_true(i_stream_read(child) > 0);
	data = i_stream_get_data(child, &held);
	/* that decodes everything into the input's buffer */
	assert_int_equal(i_stream_get_size(child, true, &size), 1);
	assert_int_equal(size, 300000);
	assert_memory_equal(data, plain, held);
	i_stream_sync(child);
	assert_memory_equal(data, plain, held);
	/* the input goes first, and what was read stays */
	i_stream_close(child);
	i_stream_unref(&input);
	i_stream_unref(&source);
	data = i_stream_get_data(child, &held);
	assert_memory_equal(data, plain, held);
	i_stream_unref(&child);
	buffer_free(&gzip);
	free(plain);
}

/* The lower one's child shows memory that is not its own. */
static void test_tee_of_a_tee(void **state ATTR_UNUSED)
{
	struct istream *parent, *children[4];
	struct tee_istream *tee, *upper;
	const unsigned char *data;
	unsigned int i, step;
	size_t size;

	for (step = 1; step <= 11; step++) {
		parent = test_trickle_create("0123456789", 10, step, false);
		i_stream_set_init_buffer_size(parent, 2);
		tee = tee_i_stream_create(parent);
		i_stream_unref(&parent);
		children[0] = tee_i_stream_create_child(tee);
		children[1] = tee_i_stream_create_child(tee);
		upper = tee_i_stream_create(children[1]);
		i_stream_unref(&children[1]);
		for (i = 1; i < 4; i++)
			children[i] = tee_i_stream_create_child(upper);
		assert_true(i_stream_read(children[1]) > 0);
		assert_true(i_stream_read(children[0]) > 0);
		test_gives(children[2], "0123456789", 0);
		data = i_stream_get_data(children[1], &size);
		assert_memory_equal(data, "0123456789", size);
		test_gives(children[1], "0123456789", 0);
		test_gives(children[0], "0123456789", 0);
		test_gives(children[3], "0123456789", 0);
	}
}

/* Who shows what a child has goes on to do so when that is closed, be it from above, and the
   buffer of the input's that it was in is used by others. */
static void test_tee_closed_below_views(void **state ATTR_UNUSED)
{
	struct istream *parent, *child, *faster, *lower, *upper, *other;
	struct tee_istream *tee;
	const unsigned char *data;
	unsigned int above;
	size_t size;

	for (above = 0; above < 2; above++) {
		parent = test_trickle_create("0123456789", 10, 5, false);
		tee = tee_i_stream_create(parent);
		child = tee_i_stream_create_child(tee);
		faster = tee_i_stream_create_child(tee);
		lower = i_stream_create_limit(child, 8);
		upper = i_stream_create_noop(lower);
		assert_int_equal(i_stream_read(upper), 5);
		i_stream_skip(upper, 2);
		/* now the input needs another buffer */
		test_gives(faster, "0123456789", 0);
		i_stream_close(above == 0 ? child : upper);
		other = test_trickle_create("xxxxxxxxxx", 10, 10, false);
		assert_int_equal(i_stream_read(other), 10);
		data = i_stream_get_data(upper, &size);
		assert_int_equal(size, 3);
		assert_memory_equal(data, "234", 3);
		i_stream_skip(upper, 1);
		data = i_stream_get_data(upper, &size);
		assert_int_equal(size, 2);
		assert_memory_equal(data, "34", 2);
		assert_int_equal(i_stream_read(upper), -1);
		i_stream_destroy(&other);
		i_stream_unref(&upper);
		i_stream_unref(&lower);
		i_stream_unref(&child);
		i_stream_unref(&parent);
	}
}

static void test_tee_fast_child_waits(void **state ATTR_UNUSED)
{
	struct istream *parent =
		test_trickle_create("0123456789", 10, 10, false);
	struct tee_istream *tee = tee_i_stream_create(parent);
	struct istream *fast, *slow;

	i_stream_set_max_buffer_size(parent, 4);
	fast = tee_i_stream_create_child(tee);
	slow = tee_i_stream_create_child(tee);
	i_stream_unref(&parent);
	assert_int_equal(i_stream_read(fast), 4);
	i_stream_skip(fast, 4);
	assert_int_equal(i_stream_read(fast), 0);
	assert_true(tee_i_stream_child_is_waiting(fast));
	assert_int_equal(i_stream_read(slow), 4);
	assert_false(tee_i_stream_child_is_waiting(slow));
	assert_int_equal(i_stream_read(fast), 4);
	assert_false(tee_i_stream_child_is_waiting(fast));
	i_stream_skip(fast, 4);
	assert_int_equal(i_stream_read(fast), 0);
	/* without the slow one there is nobody to wait for */
	i_stream_close(slow);
	test_gives(fast, "89", 0);
	assert_int_equal(i_stream_get_data_size(slow), 4);
	i_stream_destroy(&slow);
}

static void test_tee_error_reaches_all(void **state ATTR_UNUSED)
{
	struct istream *data = i_stream_create_from_data("0123456789", 10);
	struct istream *parent =
		i_stream_create_failure_at(data, 4, EIO, "at four");
	struct tee_istream *tee = tee_i_stream_create(parent);
	struct istream *a = tee_i_stream_create_child(tee);
	struct istream *b = tee_i_stream_create_child(tee);

	i_stream_unref(&data);
	i_stream_unref(&parent);
	while (i_stream_read(a) > 0)
		;
	assert_string_equal(i_stream_get_error(a), "at four");
	test_gives(a, "0123", EIO);
	test_gives(b, "0123", EIO);
}

/*
 * Try
 */

/* gzip, else hex, else the bytes as they are. */
static struct istream *create_try(const char *data, size_t size, size_t step,
				  size_t max_buffer)
{
	struct istream *parent = test_trickle_create(data, size, step, true);
	struct istream *children[3], *inputs[4], *s;
	struct tee_istream *tee;
	unsigned int i;

	if (max_buffer > 0)
		i_stream_set_max_buffer_size(parent, max_buffer);
	tee = tee_i_stream_create(parent);
	i_stream_unref(&parent);
	for (i = 0; i < 3; i++)
		children[i] = tee_i_stream_create_child(tee);
	inputs[0] = i_stream_create_gzip(children[0]);
	inputs[1] = i_stream_create_hex_decoder(children[1]);
	inputs[2] = i_stream_create_noop(children[2]);
	inputs[3] = NULL;
	s = i_stream_create_try(inputs);
	for (i = 0; i < 3; i++) {
		i_stream_unref(&inputs[i]);
		i_stream_unref(&children[i]);
	}
	return s;
}

static void test_try(void **state ATTR_UNUSED)
{
	buffer_t *gzip = test_encode(transform_create_gzip_encoder(6),
				     TEST_BYTES("squeezed"));
	size_t step;

	for (step = 1; step < 12; step++) {
		test_gives(create_try((const char *)gzip->data, gzip->used,
				      step, 0),
			   "squeezed", 0);
		/* the gzip header is longer than what may be buffered */
		test_gives(create_try((const char *)gzip->data, gzip->used,
				      step, 4),
			   "squeezed", 0);
		test_gives(create_try(TEST_BYTES("686578"), step, 0), "hex", 0);
		test_gives(create_try(TEST_BYTES("plain text"), step, 0),
			   "plain text", 0);
		/* the one that was chosen stays it */
		test_gives(create_try(TEST_BYTES("6865zz"), step, 0), "he",
			   EINVAL);
	}
	buffer_free(&gzip);
}

static void test_try_other_errors_are_final(void **state ATTR_UNUSED)
{
	struct istream *inputs[3] = { NULL, NULL, NULL }, *s;

	inputs[0] = i_stream_create_error_str(EIO, "bad sector");
	inputs[1] = i_stream_create_from_data("never", 5);
	s = i_stream_create_try(inputs);
	assert_int_equal(i_stream_read(s), -1);
	assert_string_equal(i_stream_get_error(s), "bad sector");
	test_gives(s, "", EIO);
	i_stream_unref(&inputs[0]);
	i_stream_unref(&inputs[1]);
}

/* Where none likes it, the last one says why; an empty one is not invalid. */
static void test_try_last_and_empty(void **state ATTR_UNUSED)
{
	struct istream *inputs[3] = { NULL, NULL, NULL };

	inputs[0] = i_stream_create_error_str(EINVAL, "not this");
	inputs[1] = i_stream_create_error_str(EINVAL, "nor that");
	test_gives(i_stream_create_try(inputs), "", EINVAL);
	i_stream_unref(&inputs[0]);
	inputs[0] = i_stream_create_from_data("", 0);
	test_gives(i_stream_create_try(inputs), "", 0);
	i_stream_unref(&inputs[0]);
	i_stream_unref(&inputs[1]);
}

/* What is held ends where the next bytes begin, but those are in another buffer. */
static void test_tee_lends_and_input_grows(void **state ATTR_UNUSED)
{
	static const char text[] = "0123456789abcdefghij";
	struct istream *parent, *fast, *slow;
	struct tee_istream *tee;
	const unsigned char *data;
	size_t size, step;

	for (step = 1; step <= 7; step++) {
		parent = test_trickle_create(text, 20, step, false);
		i_stream_set_init_buffer_size(parent, step);
		tee = tee_i_stream_create(parent);
		fast = tee_i_stream_create_child(tee);
		slow = tee_i_stream_create_child(tee);
		i_stream_unref(&parent);
		for (size = 0; size < 20;) {
			assert_true(i_stream_read(fast) > 0);
			data = i_stream_get_data(fast, &size);
			assert_memory_equal(data, text, size);
		}
		test_gives(fast, text, 0);
		test_gives(slow, text, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tee),
		cmocka_unit_test(test_tee_of_a_rest),
		cmocka_unit_test(test_tee_lends),
		cmocka_unit_test(test_tee_lends_and_input_moves),
		cmocka_unit_test(test_tee_of_a_tee),
		cmocka_unit_test(test_tee_closed_below_views),
		cmocka_unit_test(test_tee_fast_child_waits),
		cmocka_unit_test(test_tee_error_reaches_all),
		cmocka_unit_test(test_try),
		cmocka_unit_test(test_try_other_errors_are_final),
		cmocka_unit_test(test_try_last_and_empty),
		cmocka_unit_test(test_tee_lends_and_input_grows),
	};

	return cmocka_run_group_tests_name("istream-tee", tests, NULL, NULL);
}
