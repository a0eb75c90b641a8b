/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A temporary stream that fails where the disk does, and takes no memory instead. */

#include "config.h"
#include "iostream-temp.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>

#define SIZE ((size_t)150000)
#define MEMORY ((size_t)1000)
#define NO_FALLBACK IOSTREAM_TEMP_FLAG_NO_FALLBACK
#define ENCRYPTED IOSTREAM_TEMP_FLAG_ENCRYPTED
#define TRY_FD_DUP IOSTREAM_TEMP_FLAG_TRY_FD_DUP

static const enum iostream_temp_flags both_kinds[] = {
	NO_FALLBACK, NO_FALLBACK | ENCRYPTED
};
static unsigned char *data;

static int setup(void **state ATTR_UNUSED)
{
	data = test_data(TEST_DATA_RANDOM, SIZE);
	return data == NULL ? -1 : 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	free(data);
	return 0;
}

static struct ostream *create(enum iostream_temp_flags flags)
{
	return iostream_temp_create_sized(test_path("temp-"), flags, "mail",
					  MEMORY);
}

/* 0, or the errno of the stream that is read. */
static int finish(struct ostream **output, char *error, size_t error_size)
{
	buffer_t *out = buffer_create_dynamic(default_pool, SIZE);
	struct istream *input = iostream_temp_finish(output, 0);
	int ret = test_read_all(input, out);

	(void)snprintf(error, error_size, "%s", i_stream_get_error(input));
	if (ret == 0) {
		assert_int_equal(out->used, SIZE);
		assert_memory_equal(out->data, data, SIZE);
	}
	i_stream_destroy(&input);
	buffer_free(&out);
	return ret;
}

static void must_say(const char *error, const char *what, int why)
{
	if (strncmp(error, "mail: ", 6) != 0 || strstr(error, what) == NULL ||
	    strstr(error, ", and memory is not to be used instead") == NULL ||
	    strstr(error, test_path("temp-")) == NULL ||
	    strstr(error, strerror(why)) == NULL)
		fail_msg("%s", error);
}

/* Each write that the sends, or the finish, come to. */
static void test_a_full_disk_is_an_error(void **state ATTR_UNUSED)
{
	static const int errors[] = { ENOSPC, EDQUOT };
	struct ostream *output;
	unsigned int kind, n, hit;
	char error[512];
	int ret, want;

	for (kind = 0; kind < 2; kind++) {
		want = errors[kind];
		TEST_EACH_CALL(n, hit) {
			output = create(both_kinds[kind]);
			test_faults_begin();
			test_faults.max_write = 9001;
			test_faults.fail_at[TEST_OP_WRITE] = n;
			test_faults.fail_errno[TEST_OP_WRITE] = want;
			o_stream_nsend(output, data, SIZE / 2);
			o_stream_nsend(output, data + SIZE / 2,
				       SIZE - SIZE / 2);
			ret = finish(&output, error, sizeof(error));
			hit = test_faults.calls[TEST_OP_WRITE];
			/* one is not tried again */
			assert_int_equal(ret, hit >= n ? want : 0);
			assert_int_equal(hit, hit >= n ? n : n - 1);
			assert_int_equal(test_faults.calls[TEST_OP_OPEN],
					 test_faults.calls[TEST_OP_CLOSE]);
			test_faults_end();
			if (ret != 0)
				must_say(error, "cannot be written", want);
		}
		assert_true(n > SIZE / 9001);
	}
}

/* The send itself, and each that comes behind it. */
static void test_the_send_fails(void **state ATTR_UNUSED)
{
	struct ostream *output;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		output = create(both_kinds[i]);
		test_faults_begin();
		test_faults.zero_write = true;
		assert_int_equal(o_stream_send(output, data, MEMORY), MEMORY);
		assert_int_equal(o_stream_send(output, data, SIZE), -1);
		assert_int_equal(output->stream_errno, ENOSPC);
		assert_int_equal(output->offset, MEMORY);
		must_say(o_stream_get_error(output), "cannot be written",
			 ENOSPC);
		assert_int_equal(o_stream_send(output, data, 1), -1);
		assert_int_equal(o_stream_pwrite(output, data, 1, 0), -1);
		assert_int_equal(o_stream_finish(output), -1);
		o_stream_destroy(&output);
		test_faults_end();
	}
}

static void test_pwrite_fails(void **state ATTR_UNUSED)
{
	struct ostream *output = create(NO_FALLBACK);

	assert_int_equal(o_stream_send(output, data, SIZE), SIZE);
	test_faults_begin();
	test_faults.zero_write = true;
	assert_int_equal(o_stream_pwrite(output, data, 1, 0), -1);
	assert_int_equal(output->stream_errno, ENOSPC);
	must_say(o_stream_get_error(output), "cannot be written", ENOSPC);
	o_stream_destroy(&output);
	test_faults_end();
}

static void test_no_file_is_an_error(void **state ATTR_UNUSED)
{
	struct ostream *output;
	unsigned int i;

	/* which nobody knows as long as none is needed */
	for (i = 0; i < 2; i++) {
		output = iostream_temp_create_sized(
			test_path("temp-no/x"), both_kinds[i], "mail", MEMORY);
		assert_int_equal(o_stream_send(output, data, MEMORY), MEMORY);
		assert_int_equal(o_stream_flush(output), 1);
		assert_int_equal(o_stream_send(output, data, 1), -1);
		assert_int_equal(output->stream_errno, ENOENT);
		must_say(o_stream_get_error(output),
			 "no temporary file can be made", ENOENT);
		o_stream_destroy(&output);
	}
}

/* There was one for a moment. The error is why, and not what the close says then. */
static void test_a_file_that_takes_nothing(void **state ATTR_UNUSED)
{
	struct ostream *output;

	test_faults_begin();
	test_faults.fail_at[TEST_OP_WRITE] = 1;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	test_faults.fail_at[TEST_OP_CLOSE] = 1;
	test_faults.fail_errno[TEST_OP_CLOSE] = EIO;
	output = iostream_temp_create_sized(test_path("temp-"), NO_FALLBACK,
					    "mail", SIZE - 1);
	assert_int_equal(o_stream_send(output, data, SIZE - 1), SIZE - 1);
	assert_int_equal(o_stream_send(output, data, 1), -1);
	assert_int_equal(output->stream_errno, ENOSPC);
	must_say(o_stream_get_error(output), "no temporary file can be made",
		 ENOSPC);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
	o_stream_destroy(&output);
	test_faults_end();
}

/* What was finished needs no room on the disk any more, and no memory. */
static void test_reading_writes_nothing(void **state ATTR_UNUSED)
{
	buffer_t *out = buffer_create_dynamic(default_pool, SIZE);
	struct ostream *output;
	struct istream *input;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		output = create(both_kinds[i]);
		o_stream_nsend(output, data, SIZE);
		assert_int_equal(o_stream_finish(output), 1);
		input = iostream_temp_finish(&output, 0);
		test_faults_begin();
		buffer_set_used_size(out, 0);
		assert_int_equal(test_read_all(input, out), 0);
		assert_int_equal(test_faults.calls[TEST_OP_WRITE], 0);
		assert_true(test_faults.calls[TEST_OP_READ] > 0);
		test_faults_end();
		assert_int_equal(out->used, SIZE);
		assert_memory_equal(out->data, data, SIZE);
		i_stream_destroy(&input);
	}
	buffer_free(&out);
}

/* A last write is for this alone, and nothing but the finish makes it. */
static void test_the_finish_writes_the_rest(void **state ATTR_UNUSED)
{
	static const enum iostream_temp_flags flags[] = {
		ENCRYPTED, ENCRYPTED | NO_FALLBACK
	};
	struct ostream *output;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		output = create(flags[i]);
		assert_int_equal(o_stream_send(output, data, SIZE), SIZE);
		test_faults_begin();
		assert_int_equal(o_stream_flush(output), 1);
		assert_int_equal(test_faults.calls[TEST_OP_WRITE], 0);
		assert_int_equal(o_stream_finish(output), 1);
		assert_int_equal(test_faults.calls[TEST_OP_WRITE], i);
		o_stream_destroy(&output);
		test_faults_end();
	}
}

/* With a fallback the file would be read once more, into memory. */
static void test_a_failing_read_is_an_error(void **state ATTR_UNUSED)
{
	struct ostream *output = create(NO_FALLBACK | ENCRYPTED);
	char error[512];

	o_stream_nsend(output, data, SIZE);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_READ] = 2;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	assert_int_equal(finish(&output, error, sizeof(error)), EIO);
	assert_int_equal(test_faults.calls[TEST_OP_READ], 2);
	test_faults_end();
	assert_non_null(
		strstr(error, "the temporary file cannot be read back"));
}

static void test_moving_to_memory_is_a_full_disk(void **state ATTR_UNUSED)
{
	struct ostream *output;
	unsigned int i;
	size_t size;

	/* from a file, and before there is one */
	for (i = 0; i < 2; i++) {
		output = create(NO_FALLBACK);
		size = i == 0 ? SIZE : MEMORY;
		assert_int_equal(o_stream_send(output, data, size), size);
		assert_int_equal(o_stream_temp_move_to_memory(output), -1);
		assert_int_equal(output->stream_errno, ENOSPC);
		assert_non_null(strstr(o_stream_get_error(output),
				       "memory is not to be used instead"));
		o_stream_destroy(&output);
	}
}

/* A file that was not copied is copied when more comes. */
static void test_fd_dup(void **state ATTR_UNUSED)
{
	struct ostream *output = create(NO_FALLBACK | TRY_FD_DUP);
	struct istream *file;

	test_write_file(test_path("file"), data, SIZE);
	file = i_stream_create_file(test_path("file"), 0);
	test_faults_begin();
	test_faults.zero_write = true;
	assert_int_equal(o_stream_send_istream(output, file),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_int_equal(o_stream_send(output, data, 1), -1);
	assert_int_equal(output->stream_errno, ENOSPC);
	must_say(o_stream_get_error(output), "cannot be written", ENOSPC);
	o_stream_destroy(&output);
	test_faults_end();
	i_stream_destroy(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_full_disk_is_an_error),
		cmocka_unit_test(test_the_send_fails),
		cmocka_unit_test(test_pwrite_fails),
		cmocka_unit_test(test_no_file_is_an_error),
		cmocka_unit_test(test_a_file_that_takes_nothing),
		cmocka_unit_test(test_reading_writes_nothing),
		cmocka_unit_test(test_the_finish_writes_the_rest),
		cmocka_unit_test(test_a_failing_read_is_an_error),
		cmocka_unit_test(test_moving_to_memory_is_a_full_disk),
		cmocka_unit_test(test_fd_dup),
	};

	return cmocka_run_group_tests_name("iostream-temp-no-fallback", tests,
					   setup, teardown);
}
