/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "temp-file.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SIZE ((size_t)250000)
#define PARTS 3

/* Where the parts of the data begin. The second one is empty. */
static const size_t starts[PARTS + 1] = { 0, 70001, 70001, SIZE };

/* The caller's part in making a file. */
struct files {
	unsigned int calls;
	bool none;
	int fd; /* a look at the disk, from the side */
};

static int open_file(const char **path_r, void *context)
{
	struct files *files = context;
	int fd;

	files->calls++;
	*path_r = "/the/place";
	if (files->none)
		return -1;
	fd = temp_file_open(test_path("seekable-"));
	assert_true(fd >= 0);
	files->fd = dup(fd);
	return fd;
}

static void files_end(struct files *files)
{
	if (files->fd != -1)
		(void)close(files->fd);
}

/* The data in its parts, `step` bytes a read. */
static struct istream *merge(const unsigned char *data, size_t step,
			     bool pauses, size_t max, struct files *files)
{
	struct istream *inputs[PARTS + 1], *stream;
	unsigned int i;

	memset(files, 0, sizeof(*files));
	files->fd = -1;
	for (i = 0; i < PARTS; i++)
		inputs[i] = test_trickle_create(data + starts[i],
						starts[i + 1] - starts[i], step,
						pauses);
	inputs[PARTS] = NULL;
	stream = i_streams_merge(inputs, max, open_file, files);
	for (i = 0; i < PARTS; i++)
		i_stream_unref(&inputs[i]);
	assert_int_equal(stream->blocking, !pauses);
	assert_true(stream->seekable);
	return stream;
}

static void expect_all(struct istream *stream, const unsigned char *data)
{
	buffer_t *out = buffer_create_dynamic(default_pool, SIZE);

	i_stream_seek(stream, 0);
	assert_int_equal(test_read_all(stream, out), 0);
	assert_int_equal(stream->v_offset, SIZE);
	assert_int_equal(out->used, SIZE);
	assert_memory_equal(out->data, data, SIZE);
	buffer_free(&out);
}

/* Reads a little here and there, also where it has never been. */
static void wander(struct istream *stream, const unsigned char *data,
		   unsigned int times)
{
	const unsigned char *piece;
	uint32_t random = 5;
	size_t size, at;
	int ret;

	while (times-- > 0) {
		at = test_random(&random) % SIZE;
		i_stream_seek(stream, at);
		assert_int_equal(stream->v_offset, at);
		do {
			ret = i_stream_read_more(stream, &piece, &size);
		} while (ret == 0);
		assert_int_equal(ret, 1);
		assert_memory_equal(piece, data + at, size);
		i_stream_skip(stream, size);
	}
}

static void test_any_place(void **state ATTR_UNUSED)
{
	static const size_t limits[] = { 0, 1, 1000, 65536, 100000, SIZE };
	static const size_t steps[] = { 333, 20000 };
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct istream *stream;
	struct files files;
	unsigned int i, kind;

	for (i = 0; i < N_ELEMENTS(limits); i++) {
		for (kind = 0; kind < 4; kind++) {
			stream = merge(data, steps[kind / 2], kind % 2 == 1,
				       limits[i], &files);
			i_stream_seekable_set_encrypted(stream, kind < 2);
			wander(stream, data, limits[i] == 1 ? 5 : 50);
			expect_all(stream, data);
			wander(stream, data, limits[i] == 1 ? 5 : 50);
			assert_int_equal(files.calls, limits[i] < SIZE ? 1 : 0);
			i_stream_seek(stream, SIZE + 10);
			assert_int_equal(i_stream_read(stream), -1);
			assert_int_equal(stream->stream_errno, 0);
			assert_true(stream->eof);
			i_stream_destroy(&stream);
			files_end(&files);
		}
	}
	free(data);
}

/* What was not skipped stays in one piece over the borders of the inputs. */
static void test_in_one_piece(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	const unsigned char *piece;
	struct istream *stream;
	struct files files;
	size_t size;

	stream = merge(data, 5000, false, 100000, &files);
	i_stream_skip(stream, 69000);
	assert_int_equal(i_stream_read_bytes(stream, &piece, &size, 30000), 1);
	assert_memory_equal(piece, data + 69000, size);
	assert_int_equal(i_stream_read_bytes(stream, &piece, &size, 100001),
			 -2);
	assert_int_equal(size, 100000);
	assert_memory_equal(piece, data + 69000, size);
	i_stream_destroy(&stream);
	files_end(&files);
	free(data);
}

static void test_concat_of_seekable_ones(void **state ATTR_UNUSED)
{
	struct istream *a = i_stream_create_from_data("abc", 3), *stream;
	struct istream *b = i_stream_create_from_data("def", 3);
	struct istream *inputs[] = { a, b, NULL };
	const unsigned char *data;
	unsigned int i;
	size_t size;

	for (i = 0; i < 3; i++) {
		b->seekable = i < 2;
		if (i == 0)
			stream = i_stream_create_seekable(inputs, 10, NULL,
							  NULL);
		else
			stream = i_stream_create_seekable_path(
				inputs, 3, test_path("seekable-"));
		assert_string_equal(i_stream_get_name(stream),
				    i < 2 ? "(concat)" : "(seekable)");
		i_stream_seekable_set_encrypted(stream, false);
		i_stream_skip(stream, 4);
		assert_int_equal(i_stream_read_more(stream, &data, &size), 1);
		assert_memory_equal(data, "ef", 2);
		i_stream_seek(stream, 1);
		assert_int_equal(i_stream_read_bytes(stream, &data, &size, 5),
				 i < 2 ? 1 : -2);
		assert_memory_equal(data, "bcdef", size);
		i_stream_destroy(&stream);
		i_stream_seek(a, 0);
		i_stream_seek(b, 0);
	}
	i_stream_destroy(&a);
	i_stream_destroy(&b);
}

static void note_end(void *context)
{
	*(bool *)context = true;
}

static void test_lets_go(void **state ATTR_UNUSED)
{
	struct istream *a = i_stream_create_from_data("abc", 3);
	struct istream *b = i_stream_create_from_data("def", 3);
	struct istream *inputs[] = { a, b, NULL }, *stream;
	const unsigned char *data;
	bool gone = false;
	size_t size;

	i_stream_add_destroy_callback(a, note_end, &gone);
	stream = i_streams_merge(inputs, 100, NULL, NULL);
	i_stream_unref(&a);
	assert_int_equal(i_stream_read_data(stream, &data, &size, 2), 1);
	assert_false(gone);
	assert_int_equal(i_stream_read_data(stream, &data, &size, 3), 1);
	assert_true(gone);
	/* destroyed before the end; closed with its inputs */
	i_stream_close(stream);
	assert_true(b->closed);
	i_stream_destroy(&stream);
	i_stream_destroy(&b);
	inputs[0] = NULL;
	stream = i_streams_merge(inputs, 100, NULL, NULL);
	assert_int_equal(i_stream_read(stream), -1);
	assert_int_equal(stream->stream_errno, 0);
	i_stream_destroy(&stream);
}

static void test_size(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	const struct stat *st = NULL;
	struct istream *stream;
	struct files files;
	uoff_t size;

	/* by reading all of it, and it is where it was after that */
	stream = merge(data, 5000, false, 1000, &files);
	i_stream_skip(stream, 100);
	assert_int_equal(i_stream_get_size(stream, false, &size), 0);
	assert_int_equal(i_stream_stat(stream, false, &st), 0);
	assert_int_equal(st->st_size, -1);
	assert_int_equal(i_stream_get_size(stream, true, &size), 1);
	assert_int_equal(size, SIZE);
	assert_int_equal(stream->v_offset, 100);
	assert_false(stream->eof);
	assert_int_equal(i_stream_stat(stream, true, &st), 0);
	assert_int_equal(st->st_size, SIZE);
	expect_all(stream, data);
	assert_int_equal(i_stream_get_size(stream, false, &size), 1);
	i_stream_destroy(&stream);
	files_end(&files);
	/* an input that has no more now */
	stream = merge(data, 5000, true, 1000, &files);
	assert_int_equal(i_stream_get_size(stream, true, &size), 0);
	expect_all(stream, data);
	i_stream_destroy(&stream);
	files_end(&files);
	free(data);
}

static void test_failing_input(void **state ATTR_UNUSED)
{
	struct istream *a = i_stream_create_from_data("abc", 3);
	struct istream *b =
		i_stream_create_failure_at(a, 2, ERANGE, "it broke");
	struct istream *inputs[] = { b, NULL };
	buffer_t *out = buffer_create_dynamic(default_pool, 10);
	struct istream *stream = i_streams_merge(inputs, 100, NULL, NULL);

	assert_int_equal(test_read_all(stream, out), ERANGE);
	assert_string_equal(buffer_c_str(out), "ab");
	assert_string_equal(i_stream_get_error(stream), "it broke");
	i_stream_destroy(&stream);
	i_stream_destroy(&b);
	i_stream_destroy(&a);
	buffer_free(&out);
}

static void count_call(void *context)
{
	(*(unsigned int *)context)++;
}

/* Who waits in a loop waits for the input that is read now. */
static void test_in_a_loop(void **state ATTR_UNUSED)
{
	struct ioloop *loop = io_loop_create();
	struct istream *inputs[3], *stream;
	unsigned int calls = 0;
	int fds[2][2], i;
	struct io *io;

	for (i = 0; i < 2; i++) {
		assert_int_equal(pipe(fds[i]), 0);
		inputs[i] = i_stream_create_fd_autoclose(&fds[i][0], 0);
		i_stream_set_blocking(inputs[i], false);
	}
	inputs[2] = NULL;
	stream = i_streams_merge(inputs, 100, NULL, NULL);
	i_stream_unref(&inputs[0]);
	i_stream_unref(&inputs[1]);
	io = io_add_istream(stream, count_call, &calls);
	assert_int_equal(i_stream_read(stream), 0);
	assert_int_equal(write(fds[0][1], "a", 1), 1);
	io_loop_handler_run(loop);
	assert_int_equal(calls, 1);
	assert_int_equal(i_stream_read(stream), 1);
	/* the first one ends, and the second has nothing yet */
	assert_int_equal(close(fds[0][1]), 0);
	assert_int_equal(i_stream_read(stream), 0);
	io_loop_handler_run(loop);
	calls = 0;
	assert_int_equal(write(fds[1][1], "b", 1), 1);
	io_loop_handler_run(loop);
	assert_int_equal(calls, 1);
	assert_int_equal(i_stream_read(stream), 1);
	assert_int_equal(close(fds[1][1]), 0);
	assert_int_equal(i_stream_read(stream), -1);
	io_remove(&io);
	i_stream_destroy(&stream);
	io_loop_destroy(&loop);
}

/*
 * The file
 */

static void test_encrypted(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	unsigned char *disk = malloc(2 * SIZE);
	struct istream *stream;
	struct files files;
	unsigned int kind;
	ssize_t have;

	for (kind = 0; kind < 2; kind++) {
		stream = merge(data, 5000, false, 1000, &files);
		if (kind == 1)
			i_stream_seekable_set_encrypted(stream, false);
		expect_all(stream, data);
		have = pread(files.fd, disk, 2 * SIZE, 0);
		assert_true(have > 0);
		assert_int_equal(memmem(disk, (size_t)have, data + 500, 16) !=
					 NULL,
				 kind == 1);
		i_stream_destroy(&stream);
		files_end(&files);
	}
	free(disk);
	free(data);
}

static void test_no_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct istream *stream;
	struct files files;

	stream = merge(data, 5000, false, 1000, &files);
	files.none = true;
	wander(stream, data, 20);
	expect_all(stream, data);
	assert_int_equal(files.calls, 1);
	i_stream_destroy(&stream);
	free(data);
}

static void test_disk_full_at_any_write(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct istream *stream;
	unsigned int kind, call;
	struct files files;

	for (kind = 0; kind < 2; kind++) {
		for (call = 1; call < 36; call++) {
			stream = merge(data, 5000, false, 1000, &files);
			i_stream_seekable_set_encrypted(stream, kind == 0);
			test_faults_begin();
			test_faults.max_write = 9001;
			test_faults.fail_at[TEST_OP_WRITE] = call;
			test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
			test_faults.fail_after = true;
			wander(stream, data, 5);
			expect_all(stream, data);
			wander(stream, data, 5);
			i_stream_destroy(&stream);
			assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
			test_faults_end();
			files_end(&files);
		}
	}
	free(data);
}

static void test_cannot_be_read_back(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, SIZE);
	struct istream *stream;
	struct files files;

	test_faults_begin();
	stream = merge(data, 5000, false, 1000, &files);
	expect_all(stream, data);
	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	test_faults.fail_after = true;
	i_stream_seek(stream, 0);
	assert_int_equal(i_stream_read(stream), -1);
	assert_int_equal(stream->stream_errno, EIO);
	assert_non_null(strstr(i_stream_get_error(stream), "/the/place"));
	i_stream_destroy(&stream);
	test_faults_end();
	files_end(&files);
	free(data);
}

/* Nothing of another stream is encrypted. */
static void test_encryption_of_another_stream(void **state ATTR_UNUSED)
{
	struct istream *inputs[2] = { NULL }, *s;

	inputs[0] = i_stream_create_from_data("abc", 3);
	EXPECT_PANIC("i_stream_seekable_read",
		     i_stream_seekable_set_encrypted(inputs[0], true));
	/* it can be read again already */
	s = i_stream_create_seekable_path(inputs, 0, test_path("seekable-"));
	i_stream_seekable_set_encrypted(s, true);
	i_stream_destroy(&s);
	i_stream_destroy(&inputs[0]);
	s = i_stream_create_error(ENOMEM);
	i_stream_seekable_set_encrypted(s, true);
	i_stream_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_place),
		cmocka_unit_test(test_in_one_piece),
		cmocka_unit_test(test_concat_of_seekable_ones),
		cmocka_unit_test(test_lets_go),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_failing_input),
		cmocka_unit_test(test_in_a_loop),
		cmocka_unit_test(test_encrypted),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_disk_full_at_any_write),
		cmocka_unit_test(test_cannot_be_read_back),
		cmocka_unit_test(test_encryption_of_another_stream),
	};

	return cmocka_run_group_tests_name("istream-seekable", tests, NULL,
					   NULL);
}
