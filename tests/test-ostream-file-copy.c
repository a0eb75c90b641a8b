/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* o_stream_send_istream() between files, sockets and pipes: by the kernel where it
   can, and the same bytes where it cannot. */

#include "config.h"
#include "istream.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define SIZE 1000000

static unsigned char *data;

static int setup(void **state ATTR_UNUSED)
{
	data = test_data(TEST_DATA_RANDOM, SIZE);
	test_write_file(test_path("in"), data, SIZE);
	test_faults_begin();
	return 0;
}

static int teardown(void **state ATTR_UNUSED)
{
	test_faults_end();
	free(data);
	return 0;
}

static void file_has(const char *name, const unsigned char *want, size_t size)
{
	buffer_t *buf = test_read_file(test_path(name));

	assert_int_equal(buf->used, size);
	assert_memory_equal(buf->data, want, size);
	buffer_free(&buf);
}

static void send_all(struct ostream *output, struct istream *input)
{
	assert_int_equal(o_stream_send_istream(output, input),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_true(input->eof);
	assert_int_equal(input->stream_errno, 0);
}

static void test_file_to_file(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	struct ostream *s = o_stream_create_file(test_path("out"), 0, 0600, 0);

	/* what is buffered goes first, and what comes behind stays behind */
	o_stream_cork(s);
	o_stream_nsend(s, data, 10);
	i_stream_skip(input, 10);
	send_all(s, input);
	assert_int_equal(s->offset, SIZE);
	assert_int_equal(input->v_offset, SIZE);
	o_stream_nsend(s, data, 5);
	assert_int_equal(o_stream_finish(s), 1);
	assert_true(test_faults.calls[TEST_OP_COPY] >= 1);
	assert_int_equal(test_faults.calls[TEST_OP_WRITE], 2);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	assert_int_equal(truncate(test_path("out"), SIZE), 0);
	file_has("out", data, SIZE);
}

static void test_views(void **state ATTR_UNUSED)
{
	struct istream *file = i_stream_create_file(test_path("in"), 0);
	struct istream *input = i_stream_create_range(file, 1000, 500000);
	struct ostream *s = o_stream_create_file(test_path("out"), 0, 0600, 0);

	/* read already, and in part skipped */
	assert_true(i_stream_read(input) > 0);
	i_stream_skip(input, 7);
	send_all(s, input);
	assert_true(test_faults.calls[TEST_OP_COPY] >= 1);
	assert_int_equal(input->v_offset, 500000);
	o_stream_destroy(&s);
	file_has("out", data + 1007, 500000 - 7);
	i_stream_destroy(&input);
	/* a limit beyond the end */
	i_stream_seek(file, 100);
	input = i_stream_create_limit(file, 10 * SIZE);
	s = o_stream_create_file(test_path("out"), 0, 0600, 0);
	send_all(s, input);
	o_stream_destroy(&s);
	file_has("out", data + 100, SIZE - 100);
	i_stream_destroy(&input);
	i_stream_destroy(&file);
}

static void test_a_filter_in_between(void **state ATTR_UNUSED)
{
	struct istream *file = i_stream_create_file(test_path("in"), 0);
	struct istream *input =
		i_stream_create_failure_at(file, 900000, EIO, "no more");
	struct ostream *s = o_stream_create_file(test_path("out"), 0, 0600, 0);

	/* it has to see the bytes */
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT);
	assert_int_equal(test_faults.calls[TEST_OP_COPY], 0);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	i_stream_destroy(&file);
	file_has("out", data, 900000);
}

/* Short copies, interruptions, and a kernel that gives up at each call. */
static void test_falling_back(void **state ATTR_UNUSED)
{
	static const int errors[] = { EXDEV, EINVAL, ENOSYS, EIO };
	struct istream *input;
	struct ostream *s;
	size_t i;

	for (i = 0; i < 4 * N_ELEMENTS(errors); i++) {
		test_faults_begin();
		test_faults.eintr = 1;
		test_faults.max_write = 123457;
		test_faults.fail_at[TEST_OP_COPY] = (unsigned int)(i % 4 + 1);
		test_faults.fail_errno[TEST_OP_COPY] = errors[i / 4];
		input = i_stream_create_file(test_path("in"), 0);
		s = o_stream_create_file(test_path("out"), 0, 0600, 0);
		send_all(s, input);
		assert_int_equal(o_stream_finish(s), 1);
		assert_int_equal(test_faults.calls[TEST_OP_COPY], i % 4 + 1);
		o_stream_destroy(&s);
		i_stream_destroy(&input);
		test_faults_end();
		file_has("out", data, SIZE);
	}
}

static void test_errors_say_whose_they_are(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	struct ostream *s = o_stream_create_file("/dev/full", 0, 0600, 0);

	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT);
	assert_int_equal(s->stream_errno, ENOSPC);
	assert_int_equal(input->v_offset, 0);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	/* the copy fails, and so does the read behind it */
	test_faults.fail_at[TEST_OP_COPY] = 1;
	test_faults.fail_errno[TEST_OP_COPY] = EIO;
	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	test_faults.calls[TEST_OP_COPY] = test_faults.calls[TEST_OP_READ] = 0;
	input = i_stream_create_file(test_path("in"), 0);
	s = o_stream_create_file(test_path("out"), 0, 0600, 0);
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT);
	assert_int_equal(input->stream_errno, EIO);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	/* none at all */
	input = i_stream_create_file(test_path("none"), 0);
	s = o_stream_create_file(test_path("out"), 0, 0600, 0);
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_INPUT);
	assert_int_equal(input->stream_errno, ENOENT);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
}

static void test_after_finish(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	struct ostream *s = o_stream_create_file(test_path("out"), 0, 0600, 0);

	assert_int_equal(o_stream_finish(s), 1);
	EXPECT_PANIC("write after finish",
		     (void)!o_stream_send_istream(s, input));
	assert_int_equal(test_faults.calls[TEST_OP_COPY], 0);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
}

/* The input is named by its path and was not opened yet. */
static void test_the_same_file_by_another_way(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	int fd = open(test_path("in"), O_RDWR);
	struct ostream *s = o_stream_create_fd_file_autoclose(&fd, 100000);
	unsigned char *want = malloc(SIZE + 100000);

	assert_non_null(want);
	memcpy(want, data, 100000);
	memcpy(want + 100000, data, SIZE);
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	file_has("in", want, SIZE + 100000);
	free(want);
}

/* Takes what is there; how much. */
static size_t take(int fd, unsigned char *got, size_t size)
{
	size_t total = 0;
	ssize_t ret;

	while (total < size &&
	       (ret = recv(fd, got + total, size - total, MSG_DONTWAIT)) > 0)
		total += (size_t)ret;
	return total;
}

static void test_to_a_slow_socket(void **state ATTR_UNUSED)
{
	struct istream *file = i_stream_create_file(test_path("in"), 0);
	struct istream *input = i_stream_create_range(file, 50, SIZE - 100);
	enum ostream_send_istream_result result;
	unsigned char *got = malloc(SIZE);
	unsigned int waits = 0;
	struct ioloop *loop = io_loop_create();
	size_t total = 0;
	struct ostream *s;
	int fds[2];

	assert_non_null(got);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	s = o_stream_create_fd(fds[0], 1000);
	do {
		result = o_stream_send_istream(s, input);
		/* the input is advanced by exactly what was accepted */
		assert_int_equal(input->v_offset, s->offset);
		total += take(fds[1], got + total, SIZE - total);
		waits++;
	} while (result == OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT);
	assert_int_equal(result, OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_true(waits > 1);
	assert_true(test_faults.calls[TEST_OP_COPY] > 1);
	while (o_stream_flush(s) == 0)
		total += take(fds[1], got + total, SIZE - total);
	total += take(fds[1], got + total, SIZE - total);
	assert_int_equal(total, SIZE - 100);
	assert_memory_equal(got, data + 50, SIZE - 100);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	i_stream_destroy(&file);
	io_loop_destroy(&loop);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
	free(got);
}

static volatile sig_atomic_t signals;

static void on_sigpipe(int sig ATTR_UNUSED)
{
	signals++;
}

static void test_nobody_reads_the_socket(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	struct sigaction action = { .sa_handler = on_sigpipe }, old;
	struct ostream *s;
	int fds[2];

	assert_int_equal(sigaction(SIGPIPE, &action, &old), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(close(fds[1]), 0);
	s = o_stream_create_fd_autoclose(&fds[0], 0);
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT);
	assert_int_equal(s->stream_errno, EPIPE);
	assert_true(test_faults.calls[TEST_OP_COPY] >= 1);
	assert_int_equal(signals, 0);
	/* the program's own still reach it */
	assert_int_equal(raise(SIGPIPE), 0);
	assert_int_equal(signals, 1);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	assert_int_equal(sigaction(SIGPIPE, &old, NULL), 0);
}

static void test_to_a_pipe(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	unsigned char got[4096];
	struct ioloop *loop = io_loop_create();
	size_t total = 0;
	struct ostream *s;
	ssize_t ret;
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	s = o_stream_create_fd(fds[1], 1000);
	while (o_stream_send_istream(s, input) !=
		       OSTREAM_SEND_ISTREAM_RESULT_FINISHED ||
	       total < SIZE) {
		(void)o_stream_flush(s);
		while ((ret = read(fds[0], got, sizeof(got))) > 0) {
			assert_true(total + (size_t)ret <= SIZE);
			assert_memory_equal(got, data + total, (size_t)ret);
			total += (size_t)ret;
		}
	}
	assert_int_equal(total, SIZE);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	io_loop_destroy(&loop);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

/*
 * Out of a pipe
 */

/* The reading end of a pipe that has all the data and no writer any more. */
static struct istream *full_pipe(void)
{
	struct istream *input;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_true(fcntl(fds[1], F_SETPIPE_SZ, 1 << 20) >= SIZE);
	assert_int_equal(write(fds[1], data, SIZE), SIZE);
	assert_int_equal(close(fds[1]), 0);
	input = i_stream_create_fd_autoclose(&fds[0], 0);
	test_faults_end();
	test_faults_begin();
	return input;
}

static void pipe_to_file(bool corked)
{
	struct istream *input = full_pipe();
	struct ostream *s = o_stream_create_file(test_path("out"), 0, 0600, 0);
	size_t have;

	if (corked)
		o_stream_cork(s);
	/* some is read already: it goes first */
	assert_true(i_stream_read(input) > 100);
	i_stream_skip(input, 10);
	o_stream_nsend(s, data, 10);
	have = i_stream_get_data_size(input);
	assert_true(have < SIZE / 2);
	send_all(s, input);
	assert_true(test_faults.calls[TEST_OP_COPY] >= 1);
	assert_int_equal(s->offset, SIZE);
	assert_int_equal(input->v_offset, SIZE);
	assert_int_equal(i_stream_get_data_size(input), 0);
	o_stream_nsend(s, "end", 3);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	assert_int_equal(truncate(test_path("out"), SIZE), 0);
	file_has("out", data, SIZE);
}

static void test_pipe_to_file(void **state ATTR_UNUSED)
{
	pipe_to_file(false);
	pipe_to_file(true);
}

/* A part of a pipe, and what is behind the part afterwards. */
static void test_part_of_a_pipe(void **state ATTR_UNUSED)
{
	struct istream *pipe = full_pipe(), *part;
	struct ostream *s;

	assert_true(i_stream_read(pipe) > 100);
	i_stream_skip(pipe, 100);
	part = i_stream_create_limit(pipe, 700000);
	s = o_stream_create_file(test_path("out"), 0, 0600, 0);
	send_all(s, part);
	assert_true(test_faults.calls[TEST_OP_COPY] >= 1);
	assert_int_equal(part->v_offset, 700000);
	o_stream_destroy(&s);
	i_stream_destroy(&part);
	file_has("out", data + 100, 700000);
	assert_int_equal(pipe->v_offset, 700100);
	s = o_stream_create_file(test_path("rest"), 0, 0600, 0);
	send_all(s, pipe);
	o_stream_destroy(&s);
	i_stream_destroy(&pipe);
	file_has("rest", data + 700100, SIZE - 700100);
}

/* The kernel says no, at each of its calls. */
static void test_splice_falls_back(void **state ATTR_UNUSED)
{
	unsigned int n, calls = 1;
	struct istream *input;
	struct ostream *s;

	for (n = 1; n <= calls; n++) {
		input = full_pipe();
		test_faults.fail_at[TEST_OP_COPY] = n;
		test_faults.fail_errno[TEST_OP_COPY] = EINVAL;
		s = o_stream_create_file(test_path("out"), 0, 0600, 0);
		send_all(s, input);
		calls = test_faults.calls[TEST_OP_COPY];
		o_stream_destroy(&s);
		i_stream_destroy(&input);
		file_has("out", data, SIZE);
	}
	assert_true(n > 1);
}

/* Neither side waits: the same bytes, in turns. */
static void test_pipe_to_pipe(void **state ATTR_UNUSED)
{
	enum ostream_send_istream_result result;
	size_t written = 0, total = 0;
	unsigned char *got = malloc(SIZE);
	unsigned int waits_in = 0, waits_out = 0;
	struct ioloop *loop = io_loop_create();
	struct istream *input;
	struct ostream *s;
	ssize_t ret;
	int in[2], out[2];

	assert_non_null(got);
	assert_int_equal(pipe2(in, O_NONBLOCK), 0);
	assert_int_equal(pipe2(out, O_NONBLOCK), 0);
	input = i_stream_create_fd(in[0], 0);
	s = o_stream_create_fd(out[1], 1000);
	do {
		if (written < SIZE) {
			ret = write(in[1], data + written, SIZE - written);
			written += ret > 0 ? (size_t)ret : 0;
			if (written == SIZE)
				assert_int_equal(close(in[1]), 0);
		}
		result = o_stream_send_istream(s, input);
		if (result == OSTREAM_SEND_ISTREAM_RESULT_WAIT_INPUT)
			waits_in++;
		if (result == OSTREAM_SEND_ISTREAM_RESULT_WAIT_OUTPUT)
			waits_out++;
		/* the reader is slow as long as there is something to write */
		ret = read(out[0], got + total,
			   written < SIZE ? 30000 : SIZE - total);
		total += ret > 0 ? (size_t)ret : 0;
	} while (result != OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_true(waits_in > 0);
	assert_true(waits_out > 0);
	assert_true(test_faults.calls[TEST_OP_COPY] > 1);
	do {
		assert_true(o_stream_flush(s) >= 0);
		while ((ret = read(out[0], got + total, SIZE - total)) > 0)
			total += (size_t)ret;
	} while (total < SIZE);
	assert_memory_equal(got, data, SIZE);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	io_loop_destroy(&loop);
	assert_int_equal(close(in[0]), 0);
	assert_int_equal(close(out[0]), 0);
	assert_int_equal(close(out[1]), 0);
	free(got);
}

static void test_pipe_to_a_closed_socket(void **state ATTR_UNUSED)
{
	struct sigaction action = { .sa_handler = on_sigpipe }, old;
	struct istream *input = full_pipe();
	struct ostream *s;
	int fds[2];

	signals = 0;
	assert_int_equal(sigaction(SIGPIPE, &action, &old), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(close(fds[1]), 0);
	s = o_stream_create_fd_autoclose(&fds[0], 0);
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT);
	assert_int_equal(s->stream_errno, EPIPE);
	assert_int_equal(signals, 0);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	assert_int_equal(sigaction(SIGPIPE, &old, NULL), 0);
}

/* Moved within the file: the stream that reads it back says why it cannot. */
static void test_the_same_file_cannot_be_read(void **state ATTR_UNUSED)
{
	struct istream *input = i_stream_create_file(test_path("in"), 0);
	int fd = open(test_path("in"), O_RDWR);
	struct ostream *s = o_stream_create_fd_file_autoclose(&fd, 100000);

	test_faults.fail_at[TEST_OP_READ] = 1;
	test_faults.fail_errno[TEST_OP_READ] = EIO;
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_ERROR_OUTPUT);
	assert_int_equal(s->stream_errno, EIO);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
}

/* A part that has its end where it had it before the file grew: that is read, too. */
static void test_part_of_the_same_file(void **state ATTR_UNUSED)
{
	struct istream *file = i_stream_create_file(test_path("in"), 0);
	struct istream *input = i_stream_create_limit(file, SIZE);
	int fd = open(test_path("in"), O_RDWR);
	struct ostream *s = o_stream_create_fd_file_autoclose(&fd, 100000);
	unsigned char *want = malloc(SIZE + 100000);

	assert_non_null(want);
	memcpy(want, data, 100000);
	memcpy(want + 100000, data, SIZE);
	send_all(s, input);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	i_stream_destroy(&file);
	file_has("in", want, SIZE + 100000);
	free(want);
}

/* Without a limit it is what was there before, once: not what it is itself. */
static void test_all_of_the_same_file(void **state ATTR_UNUSED)
{
	struct istream *input;
	struct ostream *s;
	int fd;

	test_write_file(test_path("twice"), "abcd", 4);
	fd = open(test_path("twice"), O_RDWR);
	input = i_stream_create_file(test_path("twice"), 0);
	s = o_stream_create_fd_file_autoclose(&fd, 4);
	assert_int_equal(o_stream_send_istream(s, input),
			 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
	assert_true(input->eof);
	assert_int_equal(i_stream_get_data_size(input), 0);
	assert_int_equal(o_stream_finish(s), 1);
	o_stream_destroy(&s);
	i_stream_destroy(&input);
	file_has("twice", (const unsigned char *)"abcdabcd", 8);
}

#define TEST(function) \
	cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_file_to_file),
		TEST(test_views),
		TEST(test_a_filter_in_between),
		TEST(test_falling_back),
		TEST(test_errors_say_whose_they_are),
		TEST(test_after_finish),
		TEST(test_the_same_file_by_another_way),
		TEST(test_to_a_slow_socket),
		TEST(test_nobody_reads_the_socket),
		TEST(test_to_a_pipe),
		TEST(test_pipe_to_file),
		TEST(test_part_of_a_pipe),
		TEST(test_splice_falls_back),
		TEST(test_pipe_to_pipe),
		TEST(test_pipe_to_a_closed_socket),
		TEST(test_the_same_file_cannot_be_read),
		TEST(test_part_of_the_same_file),
		TEST(test_all_of_the_same_file),
	};

	return cmocka_run_group_tests_name("ostream-file-copy", tests, NULL,
					   NULL);
}
