/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "iostream-temp.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE ((size_t)300000)
#define ENCRYPTED IOSTREAM_TEMP_FLAG_ENCRYPTED
#define TRY_FD_DUP IOSTREAM_TEMP_FLAG_TRY_FD_DUP

static const enum iostream_temp_flags both_kinds[] = { 0, ENCRYPTED };

static struct ostream *create(enum iostream_temp_flags flags, size_t max_memory)
{
	return iostream_temp_create_sized(test_path("temp-"), flags, "mail",
					  max_memory);
}

static void send_all(struct ostream *output, const void *data, size_t size,
		     size_t step)
{
	size_t pos, part;

	for (pos = 0; pos < size; pos += part) {
		part = I_MIN(step, size - pos);
		assert_int_equal(o_stream_send(output, (const char *)data + pos,
					       part),
				 part);
	}
}

/* Reads all of it, and then pieces at random places. Destroys it. */
static void expect(struct istream *input, const unsigned char *data,
		   size_t size)
{
	buffer_t *out = buffer_create_dynamic(default_pool, size);
	const unsigned char *piece;
	uint32_t random = 3;
	size_t have, at;
	uoff_t in_size;
	unsigned int i;

	assert_int_equal(i_stream_get_size(input, true, &in_size), 1);
	assert_int_equal(in_size, size);
	assert_true(input->seekable);
	assert_true(input->blocking);
	assert_int_equal(test_read_all(input, out), 0);
	assert_int_equal(out->used, size);
	assert_memory_equal(out->data, data, size);
	for (i = 0; i < 50 && size > 0; i++) {
		at = test_random(&random) % size;
		i_stream_seek(input, at);
		assert_int_equal(i_stream_read_more(input, &piece, &have), 1);
		assert_true(have <= size - at);
		assert_memory_equal(piece, data + at, have);
	}
	buffer_free(&out);
	i_stream_destroy(&input);
}

static void test_round_trip(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 1, 65535, 65536, 65537, 200000 };
	static const size_t limits[] = { 0, 1000, 65536, SIZE };
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *output;
	struct istream *input;
	unsigned int kind, i, j;
	bool in_file;

	for (kind = 0; kind < 2; kind++) {
		for (i = 0; i < N_ELEMENTS(sizes); i++) {
			for (j = 0; j < N_ELEMENTS(limits); j++) {
				output = create(both_kinds[kind], limits[j]);
				assert_true(output->blocking);
				send_all(output, data, sizes[i], 777);
				assert_int_equal(output->offset, sizes[i]);
				assert_int_equal(
					o_stream_get_buffer_used_size(output),
					0);
				input = iostream_temp_finish(&output, 4096);
				assert_null(output);
				assert_string_equal(i_stream_get_name(input),
						    "mail");
				/* a plain file can be sent by the kernel */
				in_file = sizes[i] > limits[j];
				assert_int_equal(i_stream_get_fd(input) != -1,
						 in_file && kind == 0);
				expect(input, data, sizes[i]);
			}
		}
	}
	free(data);
}

static void test_default_limit(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, SIZE);
	struct ostream *output;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		test_faults_begin();
		output = iostream_temp_create(test_path("temp-"), 0);
		send_all(output, data, 128 * 1024 + i, 4096);
		assert_int_equal(test_faults.calls[TEST_OP_OPEN], i);
		o_stream_destroy(&output);
		/* and it is closed with the stream */
		assert_int_equal(test_faults.calls[TEST_OP_CLOSE], i);
		test_faults_end();
	}
	free(data);
}

static void test_names(void **state ATTR_UNUSED)
{
	struct ostream *output;
	struct istream *input;

	output = iostream_temp_create(test_path("temp-"), 0);
	assert_string_equal(o_stream_get_name(output), "(temp)");
	input = iostream_temp_finish(&output, 0);
	assert_string_equal(i_stream_get_name(input), "(temp)");
	i_stream_destroy(&input);
	output = iostream_temp_create_named(test_path("temp-"), 0, "x");
	assert_string_equal(o_stream_get_name(output), "x");
	o_stream_destroy(&output);
}

/* A seek, a gap and a pwrite, in memory, in the file, and where the one becomes the
   other. */
static void test_seek_and_pwrite(void **state ATTR_UNUSED)
{
	static const size_t limits[] = { 0, 100, 70000, SIZE };
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE), *model;
	struct ostream *output;
	unsigned int kind, i;

	for (kind = 0; kind < 2; kind++) {
		for (i = 0; i < N_ELEMENTS(limits); i++) {
			model = calloc(1, SIZE);
			output = create(both_kinds[kind], limits[i]);
			send_all(output, data, 90, 90);
			assert_int_equal(o_stream_seek(output, 150000), 1);
			assert_int_equal(output->offset, 150000);
			send_all(output, data, 10000, 3000);
			assert_int_equal(
				o_stream_pwrite(output, data, 70000, 50), 0);
			assert_int_equal(output->offset, 160000);
			assert_int_equal(o_stream_seek(output, 10), 1);
			send_all(output, data, 5, 5);
			memcpy(model, data, 90);
			memcpy(model + 150000, data, 10000);
			memcpy(model + 50, data, 70000);
			memcpy(model + 10, data, 5);
			expect(iostream_temp_finish(&output, 0), model, 160000);
			free(model);
		}
	}
	free(data);
}

/* Filters on top of it, and their trailer. */
static void test_below_a_filter(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, SIZE);
	buffer_t *out = buffer_create_dynamic(default_pool, SIZE);
	struct ostream *output = create(ENCRYPTED, 1000), *gzip;
	struct istream *input, *plain;

	gzip = o_stream_create_gzip(output, 6);
	o_stream_nsend(gzip, data, SIZE);
	assert_int_equal(o_stream_finish(gzip), 1);
	o_stream_destroy(&gzip);
	input = iostream_temp_finish(&output, 0);
	plain = i_stream_create_gzip(input);
	assert_int_equal(test_read_all(plain, out), 0);
	assert_int_equal(out->used, SIZE);
	assert_memory_equal(out->data, data, SIZE);
	i_stream_destroy(&plain);
	i_stream_destroy(&input);
	buffer_free(&out);
	free(data);
}

static void test_wrong_use(void **state ATTR_UNUSED)
{
	struct ostream *output = o_stream_create_null();

	EXPECT_PANIC("assertion failed",
		     (void)iostream_temp_finish(&output, 0));
	EXPECT_PANIC("assertion failed",
		     (void)o_stream_temp_move_to_memory(output));
	o_stream_destroy(&output);
}

/*
 * Faults
 */

/* Sends it all with write number `call` (and those behind it) failing, each of at most
   `max_write` bytes. */
static void send_with_fault(enum iostream_temp_flags flags,
			    const unsigned char *data, size_t size,
			    size_t max_write, unsigned int call)
{
	struct ostream *output = create(flags, 1000);
	struct istream *input;

	test_faults_begin();
	test_faults.max_write = max_write;
	test_faults.fail_at[TEST_OP_WRITE] = call;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	test_faults.fail_after = true;
	send_all(output, data, size, 9999);
	input = iostream_temp_finish(&output, 0);
	assert_int_equal(i_stream_get_fd(input) != -1,
			 flags == 0 && test_faults.calls[TEST_OP_WRITE] < call);
	expect(input, data, size);
	test_faults_end();
}

static void test_disk_full_at_any_byte(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	unsigned int kind, call;

	for (kind = 0; kind < 2; kind++) {
		for (call = 1; call < 40; call++)
			send_with_fault(both_kinds[kind], data, 150000, 9001,
					call);
		for (call = 1; call < 6; call++)
			send_with_fault(both_kinds[kind], data, SIZE, 0, call);
		send_with_fault(both_kinds[kind], data, 70000, 1, 2);
		send_with_fault(both_kinds[kind], data, 70000, 1, 65535);
		send_with_fault(both_kinds[kind], data, 70000, 1, 65537);
	}
	free(data);
}

/* Once there was no room, nobody tries again. */
static void test_no_second_try(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *output = create(0, 1000);

	test_faults_begin();
	test_faults.fail_at[TEST_OP_WRITE] = 1;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	send_all(output, data, SIZE, 9999);
	assert_int_equal(test_faults.calls[TEST_OP_WRITE], 1);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
	expect(iostream_temp_finish(&output, 0), data, SIZE);
	assert_int_equal(test_faults.calls[TEST_OP_OPEN], 1);
	test_faults_end();
	free(data);
}

static void test_no_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *output;

	output = iostream_temp_create_sized(test_path("nowhere/temp-"), 0, "x",
					    10);
	test_faults_begin();
	send_all(output, data, SIZE, 9999);
	/* with and without a name, and not for every send */
	assert_int_equal(test_faults.calls[TEST_OP_OPEN], 2);
	test_faults_end();
	expect(iostream_temp_finish(&output, 0), data, SIZE);
	free(data);
}

/* The one thing that cannot be helped, and it is an error of both streams. */
static void test_cannot_be_read_back(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *output = create(0, 1000);
	struct istream *input;

	test_faults_begin();
	send_all(output, data, 200000, 200000);
	test_faults.fail_at[TEST_OP_WRITE] =
		test_faults.calls[TEST_OP_WRITE] + 1;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	assert_int_equal(o_stream_send(output, data, 100000), -1);
	assert_int_equal(output->stream_errno, EIO);
	assert_non_null(strstr(o_stream_get_error(output),
			       "mail: the temporary file cannot be read back"));
	input = iostream_temp_finish(&output, 0);
	assert_int_equal(i_stream_read(input), -1);
	assert_int_equal(input->stream_errno, EIO);
	assert_non_null(strstr(i_stream_get_error(input), "cannot be read"));
	i_stream_destroy(&input);
	test_faults_end();
	free(data);
}

/* A reader of an encrypted file whose disk fails, or lies. */
static void test_reader_fails(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	buffer_t *out = buffer_create_dynamic(default_pool, SIZE);
	struct ostream *output = create(ENCRYPTED, 1000);
	struct istream *input;

	test_faults_begin();
	send_all(output, data, SIZE, SIZE);
	input = iostream_temp_finish(&output, 0);
	test_faults.fail_at[TEST_OP_READ] = 3;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	test_faults.fail_after = true;
	assert_int_equal(test_read_all(input, out), EIO);
	assert_int_equal(out->used, 2 * 65536);
	assert_memory_equal(out->data, data, out->used);
	assert_non_null(strstr(i_stream_get_error(input), "mail: "));
	i_stream_destroy(&input);
	test_faults_end();
	buffer_free(&out);
	free(data);
}

static void test_move_to_memory(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *output;
	unsigned int kind;

	/* from a file, and when there was none yet */
	for (kind = 0; kind < 3; kind++) {
		output = create(kind == 1 ? ENCRYPTED : 0,
				kind == 2 ? SIZE / 2 : 1000);
		send_all(output, data, 100000, 9999);
		assert_int_equal(o_stream_temp_move_to_memory(output), 0);
		test_faults_begin();
		send_all(output, data + 100000, SIZE - 100000, 9999);
		expect(iostream_temp_finish(&output, 0), data, SIZE);
		assert_int_equal(test_faults.calls[TEST_OP_OPEN], 0);
		assert_int_equal(test_faults.calls[TEST_OP_WRITE], 0);
		test_faults_end();
	}
	free(data);
}

/*
 * A file that is not copied
 */

static void send_file(struct ostream *output, uoff_t offset, uoff_t size)
{
	struct istream *file = i_stream_create_file(test_path("file"), 0);
	struct istream *part = i_stream_create_range(file, offset, size);

	assert_int_equal(o_stream_send_istream(output, part),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_true(part->eof);
	i_stream_destroy(&part);
	i_stream_destroy(&file);
}

static void test_fd_dup(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE), *model;
	struct ostream *output;
	struct istream *input;

	test_write_file(test_path("file"), data, SIZE);
	/* all of it, or a part: nothing is written, nothing is read yet */
	test_faults_begin();
	output = create(TRY_FD_DUP, 1000);
	send_file(output, 100, 200000);
	assert_int_equal(output->offset, 200000);
	input = iostream_temp_finish(&output, 0);
	assert_int_equal(test_faults.calls[TEST_OP_WRITE], 0);
	assert_true(input->readable_fd);
	assert_int_equal(i_stream_get_absolute_offset(input), 100);
	expect(input, data + 100, 200000);
	test_faults_end();

	/* more behind it, or a change: all of it is copied */
	output = create(TRY_FD_DUP, 1000);
	send_file(output, 0, SIZE);
	send_all(output, data, 10, 10);
	send_file(output, 50, 20);
	assert_int_equal(o_stream_pwrite(output, data + 5, 5, 0), 0);
	input = iostream_temp_finish(&output, 0);
	assert_int_equal(i_stream_get_absolute_offset(input), 0);
	model = malloc(SIZE + 30);
	memcpy(model, data, SIZE);
	memcpy(model + SIZE, data, 10);
	memcpy(model + SIZE + 10, data + 50, 20);
	memcpy(model, data + 5, 5);
	expect(input, model, SIZE + 30);

	/* not asked for; not the first; nothing to dup */
	output = create(0, SIZE);
	send_file(output, 0, 1000);
	input = iostream_temp_finish(&output, 0);
	assert_int_equal(i_stream_get_fd(input), -1);
	expect(input, data, 1000);
	output = create(TRY_FD_DUP, SIZE);
	send_all(output, data, 10, 10);
	send_file(output, 10, 1000);
	input = iostream_temp_finish(&output, 0);
	assert_int_equal(i_stream_get_fd(input), -1);
	expect(input, data, 1010);
	/* the first one by its offset, but there is more behind it */
	output = create(TRY_FD_DUP, SIZE);
	send_all(output, data, 1010, 1010);
	assert_int_equal(o_stream_seek(output, 0), 1);
	send_file(output, 0, 1000);
	expect(iostream_temp_finish(&output, 0), data, 1010);
	free(model);
	free(data);
}

static void test_fd_dup_of_a_shorter_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *output = create(TRY_FD_DUP, 1000);

	test_write_file(test_path("file"), data, SIZE);
	send_file(output, 0, SIZE);
	assert_int_equal(truncate(test_path("file"), 1000), 0);
	assert_int_equal(o_stream_send(output, data, 10), -1);
	assert_int_equal(output->stream_errno, EPIPE);
	assert_non_null(strstr(o_stream_get_error(output), "shorter"));
	o_stream_destroy(&output);
	free(data);
}

/* Dropped before it was finished, in each state. */
static void test_destroyed(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *output;
	unsigned int i;

	test_write_file(test_path("file"), data, SIZE);
	for (i = 0; i < 4; i++) {
		test_faults_begin();
		output = create(i == 2 ? ENCRYPTED : TRY_FD_DUP, 1000);
		if (i == 3)
			send_file(output, 0, SIZE);
		else
			send_all(output, data, i == 0 ? 10 : SIZE, SIZE);
		o_stream_destroy(&output);
		assert_int_equal(test_faults.calls[TEST_OP_OPEN],
				 i == 0 ? 0 : 1);
		assert_int_equal(test_faults.calls[TEST_OP_CLOSE],
				 i == 3 ? 2 : test_faults.calls[TEST_OP_OPEN]);
		test_faults_end();
	}
	free(data);
}

/* A program that has closed its standard input gets that number for the file. */
static void test_descriptor_zero(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct ostream *output;
	unsigned int i;
	int saved;

	for (i = 0; i < 2; i++) {
		saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
		assert_true(saved >= 0);
		assert_int_equal(close(STDIN_FILENO), 0);
		output = create(both_kinds[i], 1000);
		send_all(output, data, SIZE, SIZE);
		assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
		expect(iostream_temp_finish(&output, 0), data, SIZE);
		assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
		assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
		assert_int_equal(close(saved), 0);
	}
	free(data);
}

/* More at once than the reader's buffer may hold. */
static void test_full_buffer(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	const unsigned char *piece;
	struct ostream *output;
	struct istream *input;
	unsigned int i;
	size_t size;

	for (i = 0; i < 2; i++) {
		output = create(both_kinds[i], 1000);
		send_all(output, data, SIZE, SIZE);
		input = iostream_temp_finish(&output, 4096);
		assert_int_equal(
			i_stream_read_bytes(input, &piece, &size, 4096), 1);
		assert_int_equal(
			i_stream_read_bytes(input, &piece, &size, 4097), -2);
		assert_int_equal(size, 4096);
		assert_memory_equal(piece, data, size);
		/* that is no error */
		assert_int_equal(input->stream_errno, 0);
		assert_false(input->eof);
		expect(input, data, SIZE);
	}
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_default_limit),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_seek_and_pwrite),
		cmocka_unit_test(test_below_a_filter),
		cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_disk_full_at_any_byte),
		cmocka_unit_test(test_no_second_try),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_cannot_be_read_back),
		cmocka_unit_test(test_reader_fails),
		cmocka_unit_test(test_move_to_memory),
		cmocka_unit_test(test_fd_dup),
		cmocka_unit_test(test_fd_dup_of_a_shorter_file),
		cmocka_unit_test(test_destroyed),
		cmocka_unit_test(test_descriptor_zero),
		cmocka_unit_test(test_full_buffer),
	};

	return cmocka_run_group_tests_name("iostream-temp", tests, NULL, NULL);
}
