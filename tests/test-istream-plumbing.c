/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input streams that pass bytes on, each against its own rules. */

#include "config.h"
#include "hash-method.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* All that a stream gives, and how it ends; the stream is destroyed. */
static void gives(struct istream *s, const char *text, int error)
{
	buffer_t *out = buffer_create_dynamic(default_pool, 64);

	assert_int_equal(test_read_all(s, out), error);
	assert_string_equal(buffer_c_str(out), text);
	i_stream_destroy(&s);
	buffer_free(&out);
}

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
	gives(s, "56789", 0);
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
			gives(cases[i].create(parent, cases[i].size),
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
	gives(i_stream_create_sized_range(parent, 4, 6), "456789", 0);
	gives(i_stream_create_sized_range(parent, 4, 5), "45678", EINVAL);
	gives(i_stream_create_min_sized_range(parent, 4, 7), "456789", EPIPE);
	i_stream_seek(parent, 1);
	s = i_stream_create_min_sized_range(parent, 8, 1);
	assert_int_equal(parent->v_offset, 1);
	gives(s, "8", 0);
	i_stream_destroy(&parent);
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
	gives(s, "0123456789", 0);
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
		gives(s, "?a??bc?", 0);
	}
	parent = i_stream_create_from_data(in, 7);
	s = i_stream_create_nonuls(parent, '-');
	i_stream_set_max_buffer_size(s, 3);
	assert_int_equal(i_stream_read(s), 3);
	assert_int_equal(i_stream_read(s), -2);
	i_stream_seek(s, 5);
	assert_int_equal(i_stream_read(s), 2);
	i_stream_seek(s, 1);
	gives(s, "a--bc-", 0);
	i_stream_destroy(&parent);
	parent = i_stream_create_error_str(EIO, "no disk");
	s = i_stream_create_nonuls(parent, '-');
	assert_int_equal(i_stream_read(s), -1);
	assert_string_equal(i_stream_get_error(s), "no disk");
	gives(s, "", EIO);
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
	gives(s, "head,piece 1,piece 2,piece 3,", 0);
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
	gives(s, "piece 1,piece 2,piece 3,", EBUSY);
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
	gives(s, " 1,piece 2,piece 3,", 0);
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
			gives(s, cases[i].text, cases[i].error);
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
	gives(s, "a\r\n", EIO);
}

/*
 * Checked
 */

static const char digits[] = "0123456789";

/* Over this parent, which is dropped, with the hash of the digits. */
static struct istream *checked(struct istream *parent, const char *method_name)
{
	const struct hash_method *method = hash_method_lookup(method_name);
	unsigned char digest[64];
	struct istream *s;

	hash_method_get_digest(method, digits, 10, digest);
	i_stream_set_name(parent, "digits");
	s = i_stream_create_checked(parent, method, digest, "they are others");
	i_stream_unref(&parent);
	return s;
}

/* In every size of steps, with and without pauses between them. */
static void test_checked(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{ "0123456789", 0 },       { "0123456788", EINVAL },
		{ "1123456789", EINVAL },  { "0123356789", EINVAL },
		{ "012345678", EINVAL },   { "", EINVAL },
		{ "01234567890", EINVAL }, { "0123456789\n", EINVAL },
	};
	static const char *const methods[] = { "crc32", "sha512", "blake2b" };
	unsigned int step;
	size_t i;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		for (step = 1; step <= 22; step++)
			gives(checked(test_trickle_create(cases[i].text,
							  strlen(cases[i].text),
							  (step + 1) / 2,
							  step % 2 == 0),
				      methods[step % 3]),
			      cases[i].text, cases[i].error);
	}
}

/* Of the digest each byte counts, also the last one. */
static void test_checked_by_the_whole_digest(void **state ATTR_UNUSED)
{
	const struct hash_method *method = hash_method_lookup("blake2b");
	unsigned char digest[64];
	struct istream *parent;
	unsigned int i;

	hash_method_get_digest(method, digits, 10, digest);
	for (i = 0; i < method->digest_size; i++) {
		digest[i] ^= 1;
		parent = i_stream_create_from_data(digits, 10);
		gives(i_stream_create_checked(parent, method, digest, "wrong"),
		      digits, EINVAL);
		i_stream_unref(&parent);
		digest[i] ^= 1;
	}
}

static void test_checked_text(void **state ATTR_UNUSED)
{
	struct istream *s =
		checked(i_stream_create_from_data("01234", 5), "blake2b");

	while (i_stream_read(s) > 0)
		;
	assert_string_equal(i_stream_get_error(s), "digits: they are others");
	i_stream_destroy(&s);
	/* what fails by itself says so itself */
	s = checked(i_stream_create_error_str(EIO, "no disk"), "blake2b");
	assert_int_equal(i_stream_read(s), -1);
	assert_string_equal(i_stream_get_error(s), "no disk");
	gives(s, "", EIO);
}

/* From any place to any other, within a buffer and without one. */
static void check_seeks(const char *text, int error)
{
	const unsigned char *data;
	size_t from, to, max, size;
	struct istream *s;

	for (max = 1; max <= 16; max *= 2) {
		for (from = 0; from <= 10; from++) {
			for (to = 0; to <= 10; to++) {
				s = checked(i_stream_create_from_data(text, 10),
					    "crc32");
				i_stream_set_max_buffer_size(s, max);
				i_stream_seek(s, from);
				/* there is no way back out of an error */
				if (from < 10) {
					assert_int_equal(
						i_stream_read_more(s, &data,
								   &size),
						1);
					assert_memory_equal(data, text + from,
							    size);
				}
				i_stream_seek(s, to);
				assert_int_equal(s->v_offset, to);
				gives(s, text + to, error);
			}
		}
	}
}

static void test_checked_seeks(void **state ATTR_UNUSED)
{
	struct istream *s;

	check_seeks(digits, 0);
	/* what nobody looked at */
	check_seeks("1123456789", EINVAL);
	s = checked(i_stream_create_from_data(digits, 10), "crc32");
	assert_true(s->seekable);
	i_stream_seek(s, 100);
	assert_int_equal(i_stream_read(s), -1);
	assert_int_equal(s->stream_errno, 0);
	/* and once more, of which nothing is hashed again */
	i_stream_seek(s, 0);
	gives(s, digits, 0);
}

/* Which would move it from a pipe into a file, and look at nothing. */
static void test_checked_is_not_left_to_the_kernel(void **state ATTR_UNUSED)
{
	struct ostream *output;
	struct istream *s;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], digits, 10), 10);
	assert_int_equal(close(fds[1]), 0);
	s = checked(i_stream_create_fd_autoclose(&fds[0], 0), "crc32");
	output = o_stream_create_file(test_path("copy"), 0, 0600, 0);
	assert_int_equal(o_stream_send_istream(output, s),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	i_stream_destroy(&s);
}

/* A file that ended well, and is another one when it is read again. */
static void test_checked_changes_behind_the_end(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 9, 11 };
	buffer_t *out = buffer_create_dynamic(default_pool, 16);
	struct istream *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(sizes); i++) {
		test_write_file(test_path("digits"), digits, 10);
		s = checked(i_stream_create_file(test_path("digits"), 4),
			    "crc32");
		assert_int_equal(test_read_all(s, out), 0);
		i_stream_seek(s, 1);
		assert_int_equal(truncate(test_path("digits"), (off_t)sizes[i]),
				 0);
		assert_int_equal(test_read_all(s, out), EINVAL);
		i_stream_destroy(&s);
	}
	buffer_free(&out);
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
		gives(s, "0123456789", 0);
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
	gives(s, "123456789", 0);
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

	gives(s, "012345", ECANCELED);
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
	gives(s, "one,two,three", 0);
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
	gives(s, "good", EIO);
	i_stream_unref(&bad);
}

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
		gives(a, "0123456789", 0);
		/* what one holds does not move when another one reads */
		assert_memory_equal(data, "01", 2);
		gives(b, "0123456789", 0);
	}
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
			gives(fast, text, 0);
			assert_memory_equal(held, text, held_size);
			if (skip < step) {
				data = i_stream_get_data(slow, &size);
				assert_ptr_equal(data, held + skip);
			}
			gives(slow, text + skip, 0);
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
		gives(children[2], "0123456789", 0);
		data = i_stream_get_data(children[1], &size);
		assert_memory_equal(data, "0123456789", size);
		gives(children[1], "0123456789", 0);
		gives(children[0], "0123456789", 0);
		gives(children[3], "0123456789", 0);
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
	gives(fast, "89", 0);
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
	gives(a, "0123", EIO);
	gives(b, "0123", EIO);
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
		gives(create_try((const char *)gzip->data, gzip->used, step, 0),
		      "squeezed", 0);
		/* the gzip header is longer than what may be buffered */
		gives(create_try((const char *)gzip->data, gzip->used, step, 4),
		      "squeezed", 0);
		gives(create_try(TEST_BYTES("686578"), step, 0), "hex", 0);
		gives(create_try(TEST_BYTES("plain text"), step, 0),
		      "plain text", 0);
		/* the one that was chosen stays it */
		gives(create_try(TEST_BYTES("6865zz"), step, 0), "he", EINVAL);
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
	gives(s, "", EIO);
	i_stream_unref(&inputs[0]);
	i_stream_unref(&inputs[1]);
}

/* Where none likes it, the last one says why; an empty one is not invalid. */
static void test_try_last_and_empty(void **state ATTR_UNUSED)
{
	struct istream *inputs[3] = { NULL, NULL, NULL };

	inputs[0] = i_stream_create_error_str(EINVAL, "not this");
	inputs[1] = i_stream_create_error_str(EINVAL, "nor that");
	gives(i_stream_create_try(inputs), "", EINVAL);
	i_stream_unref(&inputs[0]);
	inputs[0] = i_stream_create_from_data("", 0);
	gives(i_stream_create_try(inputs), "", 0);
	i_stream_unref(&inputs[0]);
	i_stream_unref(&inputs[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_noop),
		cmocka_unit_test(test_sized),
		cmocka_unit_test(test_sized_with_callback),
		cmocka_unit_test(test_sized_range),
		cmocka_unit_test(test_sized_seek_and_texts),
		cmocka_unit_test(test_nonuls),
		cmocka_unit_test(test_callback),
		cmocka_unit_test(test_callback_error),
		cmocka_unit_test(test_callback_full_buffer),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_checked),
		cmocka_unit_test(test_checked_by_the_whole_digest),
		cmocka_unit_test(test_checked_text),
		cmocka_unit_test(test_checked_seeks),
		cmocka_unit_test(test_checked_is_not_left_to_the_kernel),
		cmocka_unit_test(test_checked_changes_behind_the_end),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_progress_counts_bytes_once),
		cmocka_unit_test(test_progress_cancels),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_chain_frees_what_is_left),
		cmocka_unit_test(test_chain_error),
		cmocka_unit_test(test_tee),
		cmocka_unit_test(test_tee_lends),
		cmocka_unit_test(test_tee_lends_and_input_moves),
		cmocka_unit_test(test_tee_of_a_tee),
		cmocka_unit_test(test_tee_fast_child_waits),
		cmocka_unit_test(test_tee_error_reaches_all),
		cmocka_unit_test(test_try),
		cmocka_unit_test(test_try_other_errors_are_final),
		cmocka_unit_test(test_try_last_and_empty),
	};

	return cmocka_run_group_tests_name("istream-plumbing", tests, NULL,
					   NULL);
}
