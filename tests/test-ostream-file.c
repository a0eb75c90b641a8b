/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to file descriptors: regular files, pipes, sockets, the event loop. */

#include "config.h"
#include "istream.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void file_has(const char *path, const void *data, size_t size)
{
	buffer_t *buf = test_read_file(path);

	assert_int_equal(buf->used, size);
	assert_memory_equal(buf->data, data, size);
	buffer_free(&buf);
}

static void test_corked_sends_are_blocks(void **state ATTR_UNUSED)
{
	struct ostream *s = o_stream_create_file(test_path("f"), 0, 0600, 0);
	unsigned char *data = test_data(TEST_DATA_RANDOM, 200000);
	size_t i;

	test_faults_begin();
	o_stream_cork(s);
	for (i = 0; i < 200000; i += 50)
		o_stream_nsend(s, data + i, 50);
	assert_int_equal(test_faults.calls[TEST_OP_WRITE], 3);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(test_faults.calls[TEST_OP_WRITE], 4);
	test_faults_end();
	o_stream_destroy(&s);
	file_has(test_path("f"), data, 200000);
	free(data);
}

static void test_uncorked_sends_are_written(void **state ATTR_UNUSED)
{
	struct ostream *s = o_stream_create_file(test_path("f"), 0, 0600, 0);

	assert_int_equal(o_stream_send_str(s, "now"), 3);
	file_has(test_path("f"), "now", 3);
	o_stream_destroy(&s);
}

static void test_many_vectors(void **state ATTR_UNUSED)
{
	static struct const_iovec iov[3000];
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3000);
	struct ostream *s = o_stream_create_file(test_path("f"), 0, 0600, 0);
	size_t i;

	for (i = 0; i < 3000; i++) {
		iov[i].iov_base = data + i;
		iov[i].iov_len = 1;
	}
	assert_int_equal(o_stream_sendv(s, iov, 3000), 3000);
	o_stream_destroy(&s);
	file_has(test_path("f"), data, 3000);
	free(data);
}

static void test_interrupted_and_short_writes(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 100000);
	struct ostream *s;

	test_faults_begin();
	test_faults.eintr = 1;
	test_faults.max_write = 777;
	s = o_stream_create_file(test_path("f"), 0, 0600, 0);
	o_stream_cork(s);
	o_stream_nsend(s, data, 10);
	o_stream_nsend(s, data + 10, 99990);
	assert_int_equal(o_stream_finish(s), 1);
	test_faults_end();
	o_stream_destroy(&s);
	file_has(test_path("f"), data, 100000);
	free(data);
}

static void test_errors_of_writing(void **state ATTR_UNUSED)
{
	struct ostream *s;

	test_faults_begin();
	test_faults.fail_at[TEST_OP_WRITE] = 1;
	test_faults.fail_errno[TEST_OP_WRITE] = EIO;
	s = o_stream_create_file(test_path("f"), 0, 0600, 0);
	assert_int_equal(o_stream_send_str(s, "x"), -1);
	assert_int_equal(s->stream_errno, EIO);
	assert_non_null(strstr(o_stream_get_error(s), "at offset 0"));
	o_stream_destroy(&s);
	/* a file that takes nothing is full */
	test_faults.zero_write = true;
	s = o_stream_create_file(test_path("f"), 0, 0600, 0);
	assert_int_equal(o_stream_send_str(s, "x"), -1);
	assert_int_equal(s->stream_errno, ENOSPC);
	/* nor does close(), which says nothing new */
	test_faults.fail_at[TEST_OP_CLOSE] =
		test_faults.calls[TEST_OP_CLOSE] + 1;
	test_faults.fail_errno[TEST_OP_CLOSE] = EIO;
	o_stream_destroy(&s);
	test_faults_end();
	/* be it that it was told by the last call */
	test_faults_begin();
	s = o_stream_create_file_atomic(test_path("f"), 0600, 0);
	o_stream_nsend_str(s, "x");
	test_faults.fail_at[TEST_OP_FDATASYNC] = 1;
	test_faults.fail_errno[TEST_OP_FDATASYNC] = EIO;
	test_faults.fail_at[TEST_OP_CLOSE] = 1;
	test_faults.fail_errno[TEST_OP_CLOSE] = EIO;
	assert_int_equal(o_stream_finish(s), -1);
	o_stream_destroy(&s);
	test_faults_end();
	s = o_stream_create_file(test_path("no/such/dir"), 0, 0600, 0);
	assert_int_equal(s->stream_errno, ENOENT);
	assert_non_null(strstr(o_stream_get_error(s), "no/such/dir"));
	o_stream_destroy(&s);
	/* a late error that only close() tells */
	test_faults_begin();
	s = o_stream_create_file(test_path("f"), 0, 0600, 0);
	assert_int_equal(o_stream_send_str(s, "x"), 1);
	test_faults.fail_at[TEST_OP_CLOSE] = 1;
	test_faults.fail_errno[TEST_OP_CLOSE] = EIO;
	EXPECT_PANIC("missing error handling", o_stream_destroy(&s));
	assert_int_equal(s->stream_errno, EIO);
	test_faults_end();
	o_stream_ignore_last_errors(s);
	o_stream_unref(&s);
}

static void test_pwrite_where_it_is_buffered(void **state ATTR_UNUSED)
{
	struct ostream *s = o_stream_create_file(test_path("f"), 0, 0600, 0);
	char want[41];
	uoff_t at;

	/* 10 bytes written, 20 buffered: each place, over both borders */
	for (at = 0; at < 34; at++) {
		assert_int_equal(o_stream_seek(s, 0), 1);
		memset(want, 'a', 30);
		memset(want + 30, '\0', sizeof(want) - 30);
		assert_int_equal(o_stream_send(s, want, 10), 10);
		o_stream_cork(s);
		assert_int_equal(o_stream_send(s, want + 10, 20), 20);
		memcpy(want + at, "BCDEFG", 6);
		assert_int_equal(o_stream_pwrite(s, "BCDEFG", 6, at), 0);
		assert_int_equal(s->offset, 30);
		o_stream_uncork(s);
		assert_int_equal(o_stream_flush(s), 1);
		file_has(test_path("f"), want,
			 (size_t)I_MAX(at + 6, (uoff_t)30));
		assert_int_equal(truncate(test_path("f"), 0), 0);
	}
	o_stream_destroy(&s);
}

static void test_append_and_offsets(void **state ATTR_UNUSED)
{
	struct ostream *s;
	int fd;

	test_write_file(test_path("f"), "12345", 5);
	s = o_stream_create_file(test_path("f"), 0, 0600,
				 OSTREAM_CREATE_FILE_FLAG_APPEND);
	assert_int_equal(o_stream_send_str(s, "67"), 2);
	o_stream_destroy(&s);
	file_has(test_path("f"), "1234567", 7);
	fd = open(test_path("f"), O_RDWR);
	assert_true(fd >= 0);
	s = o_stream_create_fd_file_autoclose(&fd, 2);
	assert_int_equal(fd, -1);
	assert_int_equal(o_stream_send_str(s, "XX"), 2);
	assert_int_equal(s->offset, 4);
	o_stream_destroy(&s);
	file_has(test_path("f"), "12XX567", 7);
}

static void test_copy_within_one_file(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 500000), *want;
	static const struct {
		uoff_t from, to;
		size_t size;
	} cases[] = { { 0, 100, 300000 },  { 0, 200000, 300000 },
		      { 100, 0, 300000 },  { 200000, 0, 300000 },
		      { 1000, 1001, 49 },  { 5, 5, 100 },
		      { 7, 65536, 400000 } };
	struct istream *file, *part;
	struct ostream *s;
	size_t i;
	int fd;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		test_write_file(test_path("f"), data, 500000);
		want = malloc(1000000);
		assert_non_null(want);
		memcpy(want, data, 500000);
		memmove(want + cases[i].to, want + cases[i].from,
			cases[i].size);
		fd = open(test_path("f"), O_RDWR);
		assert_true(fd >= 0);
		file = i_stream_create_fd(fd, 0);
		part = i_stream_create_range(file, cases[i].from,
					     cases[i].size);
		s = o_stream_create_fd_file(fd, cases[i].to, false);
		assert_int_equal(o_stream_send_istream(s, part),
				 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&s);
		i_stream_destroy(&part);
		i_stream_destroy(&file);
		assert_int_equal(close(fd), 0);
		file_has(test_path("f"), want,
			 (size_t)I_MAX((uoff_t)500000,
				       cases[i].to + cases[i].size));
		free(want);
	}
	free(data);
}

/*
 * Pipes and sockets
 */

static void set_nonblocking(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK),
			 0);
}

/* Fills the pipe; how much went in. */
static size_t fill(int fd)
{
	static char junk[65536];
	size_t total = 0;
	ssize_t ret;

	while ((ret = write(fd, junk, sizeof(junk))) > 0)
		total += (size_t)ret;
	while (write(fd, junk, 1) > 0)
		total++;
	return total;
}

static void drain(int fd, size_t size)
{
	char block[65536];
	ssize_t ret;

	for (; size > 0; size -= (size_t)ret) {
		ret = read(fd, block, I_MIN(size, sizeof(block)));
		assert_true(ret > 0);
	}
}

static void test_full_pipe(void **state ATTR_UNUSED)
{
	struct ostream *s;
	size_t filled;
	char got[16];
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	set_nonblocking(fds[1]);
	filled = fill(fds[1]);
	s = o_stream_create_fd(fds[1], 10);
	assert_int_equal(o_stream_get_buffer_avail_size(s), 10);
	assert_int_equal(o_stream_send_str(s, "123456"), 6);
	assert_int_equal(o_stream_get_buffer_used_size(s), 6);
	assert_int_equal(o_stream_send_str(s, "7890ab"), 4);
	assert_true(s->overflow);
	assert_int_equal(o_stream_flush(s), 0);
	/* lowered below what is buffered, and raised again */
	o_stream_set_max_buffer_size(s, 3);
	assert_int_equal(o_stream_send_str(s, "c"), 0);
	o_stream_set_max_buffer_size(s, SIZE_MAX);
	assert_int_equal(o_stream_send_str(s, "cd"), 2);
	drain(fds[0], filled);
	assert_int_equal(o_stream_flush(s), 1);
	assert_int_equal(read(fds[0], got, sizeof(got)), 12);
	assert_memory_equal(got, "1234567890cd", 12);
	/* the other end goes away: an error, not a signal, is what remains */
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(o_stream_send_str(s, "x"), -1);
	assert_int_equal(s->stream_errno, EPIPE);
	o_stream_destroy(&s);
	assert_int_equal(close(fds[1]), 0);
}

struct loop_test {
	struct ioloop *loop;
	struct ostream *s;
	unsigned int calls, until;
	bool destroy;
};

static int on_writable(struct loop_test *test)
{
	test->calls++;
	if (test->destroy) {
		o_stream_abort(test->s);
		o_stream_destroy(&test->s);
		io_loop_stop(test->loop);
		return 1;
	}
	if (test->calls < test->until)
		return 0;
	io_loop_stop(test->loop);
	return 1;
}

static void test_flush_callback(void **state ATTR_UNUSED)
{
	struct loop_test test = { .until = 3 };
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	set_nonblocking(fds[1]);
	test.loop = io_loop_create();
	test.s = o_stream_create_fd(fds[1], 100);
	o_stream_set_flush_callback(test.s, on_writable, &test);
	/* asked for although nothing is buffered; 0 asks for another */
	o_stream_set_flush_pending(test.s, true);
	io_loop_run(test.loop);
	assert_int_equal(test.calls, 3);
	/* destroyed inside its own callback */
	test.destroy = true;
	o_stream_set_flush_pending(test.s, true);
	io_loop_run(test.loop);
	assert_null(test.s);
	io_loop_destroy(&test.loop);
	assert_int_equal(close(fds[0]), 0);
	assert_int_equal(close(fds[1]), 0);
}

struct drain_test {
	struct ioloop *loop;
	struct io *io;
	int fd;
	struct ostream *s;
	buffer_t *got;
	int finished;
};

static void on_readable(struct drain_test *test)
{
	char block[777];
	ssize_t ret = read(test->fd, block, sizeof(block));

	assert_true(ret >= 0);
	buffer_append(test->got, block, (size_t)ret);
	if (ret == 0)
		io_loop_stop(test->loop);
}

static int on_finish(struct drain_test *test)
{
	test->finished = o_stream_finish(test->s);
	if (test->finished == 1) {
		o_stream_destroy(&test->s);
		return 1;
	}
	return test->finished;
}

/* A trailer goes out over a slow socket, in as many pieces as it takes. */
static void test_finish_over_a_slow_socket(void **state ATTR_UNUSED)
{
	unsigned char *data = test_data(TEST_DATA_RANDOM, 3000000);
	struct drain_test test = { .finished = 0 };
	struct istream *source, *input;
	struct ostream *socket_stream;
	buffer_t *out;
	int fds[2], size = 4096;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	set_nonblocking(fds[1]);
	test.loop = io_loop_create();
	test.got = buffer_create_dynamic(default_pool, 4096);
	test.fd = fds[0];
	socket_stream = o_stream_create_fd_autoclose(&fds[1], SIZE_MAX);
	test.s = o_stream_create_gzip(socket_stream, 1);
	o_stream_unref(&socket_stream);
	o_stream_set_flush_callback(test.s, on_finish, &test);
	assert_int_equal(o_stream_send(test.s, data, 3000000), 3000000);
	assert_int_equal(o_stream_finish(test.s), 0);
	test.io = io_add(test.fd, IO_READ, on_readable, &test);
	io_loop_run(test.loop);
	io_remove(&test.io);
	assert_int_equal(test.finished, 1);
	io_loop_destroy(&test.loop);

	source = i_stream_create_from_buffer(test.got);
	input = i_stream_create_gzip(source);
	out = buffer_create_dynamic(default_pool, 3000000);
	assert_int_equal(test_read_all(input, out), 0);
	assert_int_equal(out->used, 3000000);
	assert_memory_equal(out->data, data, 3000000);
	i_stream_destroy(&input);
	i_stream_destroy(&source);
	buffer_free(&out);
	buffer_free(&test.got);
	assert_int_equal(close(fds[0]), 0);
	free(data);
}

/* Somebody else writes to the same open file: each behind the other. */
static void test_blocking_fd(void **state ATTR_UNUSED)
{
	const char *path = test_path("shared");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	struct ostream *s = o_stream_create_fd_blocking(fd);
	buffer_t *text;

	assert_true(s->blocking);
	assert_int_equal(write(fd, "1", 1), 1);
	assert_int_equal(o_stream_send(s, "2", 1), 1);
	assert_int_equal(write(fd, "3", 1), 1);
	assert_int_equal(o_stream_send(s, "4", 1), 1);
	assert_int_equal(s->offset, 2);
	o_stream_destroy(&s);
	/* it is the caller's */
	assert_int_equal(close(fd), 0);
	text = test_read_file(path);
	assert_string_equal(buffer_c_str(text), "1234");
	buffer_free(&text);
}

/* Who has the descriptor next goes on behind what was written. */
static void test_what_comes_next_goes_behind(void **state ATTR_UNUSED)
{
	unsigned int i;
	struct ostream *s;
	int fd;

	test_write_file(test_path("f"), "12", 2);
	fd = open(test_path("f"), O_RDWR);
	assert_true(fd >= 0);
	assert_int_equal(lseek(fd, 2, SEEK_SET), 2);
	for (i = 0; i < 2; i++) {
		s = o_stream_create_fd(fd, 0);
		o_stream_cork(s);
		assert_int_equal(o_stream_send_str(s, "abc"), 3);
		assert_int_equal(
			i == 0 ? o_stream_finish(s) : o_stream_flush(s), 1);
		assert_int_equal(write(fd, "x", 1), 1);
		o_stream_destroy(&s);
	}
	/* but not here */
	s = o_stream_create_fd_file(fd, 0, false);
	assert_int_equal(o_stream_send_str(s, "AB"), 2);
	assert_int_equal(o_stream_finish(s), 1);
	assert_int_equal(write(fd, "y", 1), 1);
	o_stream_destroy(&s);
	assert_int_equal(close(fd), 0);
	file_has(test_path("f"), "ABabcxabcxy", 11);
}

/* No pipe can be seeked, and no file to where no file can be. */
static void test_seek_where_there_is_no_place(void **state ATTR_UNUSED)
{
	struct ostream *s;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	s = o_stream_create_fd_autoclose(&fds[1], 0);
	assert_int_equal(o_stream_seek(s, 0), -1);
	assert_int_equal(s->stream_errno, ESPIPE);
	o_stream_destroy(&s);
	assert_int_equal(close(fds[0]), 0);
	s = o_stream_create_file(test_path("far"), 0, 0600, 0);
	assert_int_equal(o_stream_seek(s, (uoff_t)INT64_MAX + 1), -1);
	assert_int_equal(s->stream_errno, EINVAL);
	o_stream_destroy(&s);
}

/* Nor is one written from such a place on: what it has stays. */
static void test_no_file_begins_there(void **state ATTR_UNUSED)
{
	static const uoff_t offsets[] = { (uoff_t)INT64_MAX + 1,
					  UOFF_T_MAX - 1 };
	const char *path = test_path("keep");
	struct ostream *s;
	size_t i;
	int fd;

	test_write_file(path, "KEEPKEEP", 8);
	for (i = 0; i < N_ELEMENTS(offsets); i++) {
		fd = open(path, O_RDWR);
		assert_true(fd >= 0);
		s = o_stream_create_fd_file_autoclose(&fd, offsets[i]);
		assert_int_equal(o_stream_send_str(s, "xy"), -1);
		assert_int_equal(o_stream_finish(s), -1);
		assert_int_equal(s->stream_errno, EFBIG);
		o_stream_destroy(&s);
		s = o_stream_create_file(path, offsets[i], 0600, 0);
		assert_int_equal(o_stream_send_str(s, "xy"), -1);
		assert_int_equal(s->stream_errno, EFBIG);
		assert_non_null(strstr(o_stream_get_error(s), path));
		o_stream_destroy(&s);
		file_has(path, "KEEPKEEP", 8);
	}
}

static void test_pwrite_fails(void **state ATTR_UNUSED)
{
	struct ostream *s = o_stream_create_file(test_path("out"), 0, 0600, 0);
	buffer_t *file;

	assert_int_equal(o_stream_send_str(s, "abcdefgh"), 8);
	assert_int_equal(o_stream_flush(s), 1);
	test_faults_begin();
	test_faults.fail_at[TEST_OP_WRITE] = 1;
	test_faults.fail_errno[TEST_OP_WRITE] = ENOSPC;
	assert_int_equal(o_stream_pwrite(s, "BCDEFG", 6, 1), -1);
	test_faults_end();
	assert_int_equal(s->stream_errno, ENOSPC);
	o_stream_ignore_last_errors(s);
	o_stream_destroy(&s);
	file = test_read_file(test_path("out"));
	assert_string_equal(buffer_c_str(file), "abcdefgh");
	buffer_free(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corked_sends_are_blocks),
		cmocka_unit_test(test_uncorked_sends_are_written),
		cmocka_unit_test(test_many_vectors),
		cmocka_unit_test(test_interrupted_and_short_writes),
		cmocka_unit_test(test_errors_of_writing),
		cmocka_unit_test(test_pwrite_where_it_is_buffered),
		cmocka_unit_test(test_append_and_offsets),
		cmocka_unit_test(test_what_comes_next_goes_behind),
		cmocka_unit_test(test_copy_within_one_file),
		cmocka_unit_test(test_full_pipe),
		cmocka_unit_test(test_flush_callback),
		cmocka_unit_test(test_finish_over_a_slow_socket),
		cmocka_unit_test(test_blocking_fd),
		cmocka_unit_test(test_seek_where_there_is_no_place),
		cmocka_unit_test(test_no_file_begins_there),
		cmocka_unit_test(test_pwrite_fails),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("ostream-file", tests, NULL, NULL);
}
