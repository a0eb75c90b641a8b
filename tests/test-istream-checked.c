/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input streams that end well only where all that they passed on has this hash. */

#include "config.h"
#include "hash-method.h"
#include "test-stream-common.h"

#include <errno.h>
#include <unistd.h>

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
			test_gives(checked(test_trickle_create(
						   cases[i].text,
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
		test_gives(i_stream_create_checked(parent, method, digest,
						   "wrong"),
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
	test_gives(s, "", EIO);
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
				test_gives(s, text + to, error);
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
	test_gives(s, digits, 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checked),
		cmocka_unit_test(test_checked_by_the_whole_digest),
		cmocka_unit_test(test_checked_text),
		cmocka_unit_test(test_checked_seeks),
		cmocka_unit_test(test_checked_is_not_left_to_the_kernel),
		cmocka_unit_test(test_checked_changes_behind_the_end),
	};

	return cmocka_run_group_tests_name("istream-checked", tests, NULL,
					   NULL);
}
