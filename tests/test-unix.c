/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Descriptors over a UNIX socket: which byte brings one, and that none is left open
   whatever becomes of it. */

#include "config.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
	unsigned int open_before;
	int fds[2];
	struct ostream *output;
	struct istream *input;
};

static void begin(struct fixture *f)
{
	f->open_before = test_open_descriptors();
	assert_int_equal(socketpair(AF_UNIX,
				    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
				    0, f->fds),
			 0);
	f->output = o_stream_create_unix(f->fds[0], 1 << 20);
	f->input = i_stream_create_unix(f->fds[1], 1 << 20);
}

/* Nothing that came or went is open any more. */
static void end(struct fixture *f)
{
	o_stream_destroy(&f->output);
	i_stream_destroy(&f->input);
	(void)close(f->fds[0]);
	if (f->fds[1] != -1)
		(void)close(f->fds[1]);
	assert_int_equal(test_open_descriptors(), f->open_before);
}

/* A new file of this many bytes: the descriptor is known by it. */
static int new_fd(off_t size)
{
	int fd = open(test_path("sent"), O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(unlink(test_path("sent")), 0);
	assert_int_equal(ftruncate(fd, size), 0);
	return fd;
}

static void send_fd(struct fixture *f, off_t size)
{
	int fd = new_fd(size);

	assert_true(o_stream_unix_write_fd(f->output, fd));
	/* the stream has its own */
	assert_int_equal(close(fd), 0);
}

static void send_str(struct fixture *f, const char *str)
{
	assert_int_equal(o_stream_send_str(f->output, str), strlen(str));
}

/* The descriptor that is there is of a file of this size; -1: there is none. */
static void got_fd(struct fixture *f, off_t size)
{
	int fd = i_stream_unix_get_read_fd(f->input);
	struct stat st;

	if (size == -1) {
		assert_int_equal(fd, -1);
		return;
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, size);
	assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(i_stream_unix_get_read_fd(f->input), -1);
}

static void read_str(struct fixture *f, const char *str)
{
	const unsigned char *data;
	size_t size;

	assert_int_equal(i_stream_read(f->input), strlen(str));
	data = i_stream_get_data(f->input, &size);
	assert_int_equal(size, strlen(str));
	assert_memory_equal(data, str, size);
	i_stream_skip(f->input, size);
}

static void test_pass(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_false(f.input->readable_fd);
	i_stream_unix_set_read_fd(f.input);
	send_str(&f, "none");
	read_str(&f, "none");
	got_fd(&f, -1);
	/* the wish stands until one comes */
	send_fd(&f, 11);
	assert_int_equal(i_stream_read(f.input), 0);
	send_str(&f, "with");
	send_str(&f, "behind");
	read_str(&f, "with");
	got_fd(&f, 11);
	read_str(&f, "behind");
	i_stream_unix_set_read_fd(f.input);
	send_fd(&f, 12);
	send_str(&f, "another");
	read_str(&f, "another");
	got_fd(&f, 12);
	assert_int_equal(o_stream_finish(f.output), 1);
	end(&f);
}

/* By each way in for bytes. */
static void test_every_send(void **state ATTR_UNUSED)
{
	struct istream *file;
	struct fixture f;
	unsigned int i;

	test_write_file(test_path("data"), "data", 4);
	for (i = 0; i < 4; i++) {
		begin(&f);
		i_stream_unix_set_read_fd(f.input);
		if (i == 1)
			o_stream_cork(f.output);
		send_fd(&f, 5);
		if (i < 2) {
			send_str(&f, "da");
			if (i == 0)
				read_str(&f, "da");
			send_str(&f, "ta");
			o_stream_uncork(f.output);
			read_str(&f, i == 0 ? "ta" : "data");
		} else if (i == 2) {
			file = i_stream_create_file(test_path("data"), 0);
			assert_int_equal(o_stream_send_istream(f.output, file),
					 OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
			i_stream_destroy(&file);
			read_str(&f, "data");
		} else {
			o_stream_nsend_str(f.output, "data");
			read_str(&f, "data");
		}
		got_fd(&f, 5);
		assert_int_equal(o_stream_finish(f.output), 1);
		end(&f);
	}
}

/* It comes with the byte that it was given before, and no earlier one. */
static void test_not_with_earlier_bytes(void **state ATTR_UNUSED)
{
	struct fixture f;
	char data[7];

	begin(&f);
	o_stream_cork(f.output);
	send_str(&f, "earlier");
	send_fd(&f, 3);
	send_str(&f, "with");
	o_stream_uncork(f.output);
	/* what is read past the stream brings nothing */
	assert_int_equal(read(f.fds[1], data, 7), 7);
	assert_memory_equal(data, "earlier", 7);
	i_stream_unix_set_read_fd(f.input);
	read_str(&f, "with");
	got_fd(&f, 3);
	assert_int_equal(o_stream_finish(f.output), 1);
	end(&f);
}

/* Fills the socket and some of the stream's buffer. */
static size_t fill(struct fixture *f)
{
	static const char block[5000];
	size_t total = 0;

	while (o_stream_get_buffer_used_size(f->output) == 0) {
		assert_int_equal(o_stream_send(f->output, block, 5000), 5000);
		total += 5000;
	}
	return total;
}

static void test_slow_peer(void **state ATTR_UNUSED)
{
	struct fixture f;
	size_t left, size;
	int fd;

	begin(&f);
	left = fill(&f);
	send_fd(&f, 21);
	send_str(&f, "with");
	fd = new_fd(22);
	assert_false(o_stream_unix_write_fd(f.output, fd));
	assert_int_equal(o_stream_flush(f.output), 0);
	i_stream_unix_set_read_fd(f.input);
	while (left > 0 || i_stream_get_data_size(f.input) < 4) {
		assert_true(i_stream_read(f.input) >= 0);
		size = I_MIN(i_stream_get_data_size(f.input), left);
		i_stream_skip(f.input, size);
		left -= size;
		assert_true(o_stream_flush(f.output) >= 0);
	}
	got_fd(&f, 21);
	assert_true(o_stream_unix_write_fd(f.output, fd));
	assert_int_equal(close(fd), 0);
	send_str(&f, "x");
	assert_int_equal(o_stream_finish(f.output), 1);
	end(&f);
}

/* The reader that never asks has nothing to close. */
static void test_peer_never_asks(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f);
	send_fd(&f, 1);
	send_str(&f, "a");
	read_str(&f, "a");
	got_fd(&f, -1);
	i_stream_unix_set_read_fd(f.input);
	i_stream_unix_unset_read_fd(f.input);
	send_fd(&f, 2);
	send_str(&f, "b");
	read_str(&f, "b");
	got_fd(&f, -1);
	/* asked for, and not taken */
	i_stream_unix_set_read_fd(f.input);
	send_fd(&f, 3);
	send_str(&f, "c");
	read_str(&f, "c");
	EXPECT_PANIC("read_fd == -1", i_stream_unix_set_read_fd(f.input));
	/* one that nobody reads */
	send_fd(&f, 4);
	send_str(&f, "d");
	assert_int_equal(o_stream_finish(f.output), 1);
	end(&f);
}

/* Who sends several at once gives one, and no more than that stays open. */
static void test_several_at_once(void **state ATTR_UNUSED)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(3 * sizeof(int))];
	} control;
	char abc[] = "abc";
	struct iovec iov = { abc, 3 };
	struct msghdr msg;
	struct fixture f;
	int fds[3], i;

	begin(&f);
	for (i = 0; i < 3; i++)
		fds[i] = new_fd(30 + i);
	memset(&control, 0, sizeof(control));
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	memset(&msg, 0, sizeof(msg));
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control);
	assert_int_equal(sendmsg(f.fds[0], &msg, 0), 3);
	for (i = 0; i < 3; i++)
		assert_int_equal(close(fds[i]), 0);
	i_stream_unix_set_read_fd(f.input);
	read_str(&f, "abc");
	got_fd(&f, 30);
	end(&f);
}

static void test_peer_gone(void **state ATTR_UNUSED)
{
	struct fixture f;
	int fd = new_fd(1);

	begin(&f);
	send_fd(&f, 1);
	assert_int_equal(close(f.fds[1]), 0);
	f.fds[1] = -1;
	assert_int_equal(o_stream_send_str(f.output, "a"), -1);
	assert_int_equal(f.output->stream_errno, EPIPE);
	assert_false(o_stream_unix_write_fd(f.output, fd));
	end(&f);
	assert_int_equal(close(fd), 0);
}

/* One that no byte took along is lost, and that is an error. */
static void test_not_sent(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f);
	send_fd(&f, 1);
	assert_int_equal(o_stream_flush(f.output), 1);
	assert_int_equal(o_stream_finish(f.output), -1);
	assert_string_equal(strchr(o_stream_get_error(f.output), ':'),
			    ": finished with a descriptor that no data came "
			    "after");
	end(&f);

	begin(&f);
	send_fd(&f, 1);
	o_stream_close(f.output);
	assert_int_equal(f.output->stream_errno, EPIPE);
	assert_string_equal(strchr(o_stream_get_error(f.output), ':'),
			    ": closed with a descriptor that was not sent");
	end(&f);

	begin(&f);
	send_fd(&f, 1);
	o_stream_abort(f.output);
	end(&f);

	begin(&f);
	send_fd(&f, 1);
	EXPECT_PANIC("is missing error handling", o_stream_destroy(&f.output));
	o_stream_abort(f.output);
	end(&f);
}

static void test_bad_fd(void **state ATTR_UNUSED)
{
	struct fixture f;
	int fd;

	begin(&f);
	fd = new_fd(1);
	assert_false(o_stream_unix_write_fd(f.output, -1));
	assert_int_equal(f.output->stream_errno, EBADF);
	assert_non_null(strstr(o_stream_get_error(f.output),
			       "descriptor -1 cannot be duplicated"));
	/* it has failed */
	assert_false(o_stream_unix_write_fd(f.output, fd));
	assert_int_equal(close(fd), 0);
	end(&f);
}

static void test_interrupted_and_short(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f);
	test_faults_begin();
	test_faults.eintr = 2;
	test_faults.max_write = 1;
	i_stream_unix_set_read_fd(f.input);
	send_fd(&f, 9);
	send_str(&f, "abc");
	test_faults_end();
	/* it came with the first of three bytes, written one by one */
	assert_int_equal(i_stream_read(f.input), 1);
	got_fd(&f, 9);
	assert_int_equal(o_stream_finish(f.output), 1);
	end(&f);
}

/* The peer's identity, say: that is no descriptor. */
static void test_other_things_that_come_along(void **state ATTR_UNUSED)
{
	struct fixture f;
	int on = 1;

	begin(&f);
	assert_int_equal(setsockopt(f.fds[1], SOL_SOCKET, SO_PASSCRED, &on,
				    sizeof(on)),
			 0);
	i_stream_unix_set_read_fd(f.input);
	send_str(&f, "bytes");
	read_str(&f, "bytes");
	got_fd(&f, -1);
	/* nor do they keep out what was asked for */
	i_stream_unix_set_read_fd(f.input);
	send_fd(&f, 11);
	send_str(&f, "one");
	read_str(&f, "one");
	got_fd(&f, 11);
	assert_int_equal(o_stream_finish(f.output), 1);
	end(&f);
}

/* One that comes later was not asked for. */
static void test_one_wish_is_for_one(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f);
	i_stream_unix_set_read_fd(f.input);
	send_fd(&f, 11);
	send_str(&f, "one");
	read_str(&f, "one");
	got_fd(&f, 11);
	send_fd(&f, 12);
	send_str(&f, "two");
	read_str(&f, "two");
	got_fd(&f, -1);
	assert_int_equal(o_stream_finish(f.output), 1);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_every_send),
		cmocka_unit_test(test_not_with_earlier_bytes),
		cmocka_unit_test(test_slow_peer),
		cmocka_unit_test(test_peer_never_asks),
		cmocka_unit_test(test_several_at_once),
		cmocka_unit_test(test_peer_gone),
		cmocka_unit_test(test_not_sent),
		cmocka_unit_test(test_bad_fd),
		cmocka_unit_test(test_interrupted_and_short),
		cmocka_unit_test(test_other_things_that_come_along),
		cmocka_unit_test(test_one_wish_is_for_one),
	};

	return cmocka_run_group_tests_name("unix", tests, NULL, NULL);
}
