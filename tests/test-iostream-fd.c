/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "iostream.h"
#include "test-stream-common.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

/* A connection with streams on one side. */
struct fixture {
	int fd, peer;
	struct istream *input;
	struct ostream *output;
};

static void begin(struct fixture *f)
{
	int fds[2];

	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	f->fd = fds[0];
	f->peer = fds[1];
	test_faults_begin();
	io_stream_create_fd_autoclose(&fds[0], 100, 100, &f->input, &f->output);
	assert_int_equal(fds[0], -1);
}

static void end(struct fixture *f)
{
	i_stream_destroy(&f->input);
	o_stream_destroy(&f->output);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
	assert_int_equal(fcntl(f->fd, F_GETFD), -1);
	test_faults_end();
	assert_int_equal(close(f->peer), 0);
}

static void peer_reads(struct fixture *f, const char *text)
{
	char buf[10];
	size_t size = strlen(text);

	/* an end where the text is empty */
	assert_int_equal(read(f->peer, buf, sizeof(buf)), size);
	assert_memory_equal(buf, text, size);
}

static void test_both_ways(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f);
	assert_int_equal(i_stream_get_fd(f.input), f.fd);
	assert_int_equal(o_stream_get_fd(f.output), f.fd);
	assert_int_equal(write(f.peer, "abc", 3), 3);
	assert_int_equal(i_stream_read(f.input), 3);
	assert_int_equal(o_stream_send(f.output, "xyz", 3), 3);
	peer_reads(&f, "xyz");
	end(&f);
}

static void test_input_first(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f);
	i_stream_destroy(&f.input);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 0);
	assert_int_equal(o_stream_send(f.output, "bye", 3), 3);
	peer_reads(&f, "bye");
	o_stream_destroy(&f.output);
	peer_reads(&f, "");
	end(&f);
}

static void test_output_first(void **state ATTR_UNUSED)
{
	struct fixture f;

	begin(&f);
	/* closed is as good as destroyed */
	o_stream_close(f.output);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 0);
	assert_int_equal(write(f.peer, "abc", 3), 3);
	assert_int_equal(i_stream_read(f.input), 3);
	i_stream_close(f.input);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
	peer_reads(&f, "");
	end(&f);
}

/* References of the caller's own, and any number of streams. */
static void test_references(void **state ATTR_UNUSED)
{
	struct iostream_fd *ref, *mine;
	struct istream *inputs[3];
	int fds[2];
	unsigned int i;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	test_faults_begin();
	ref = mine = iostream_fd_init(fds[0]);
	iostream_fd_ref(ref);
	assert_int_equal(ref->fd, fds[0]);
	for (i = 0; i < 3; i++)
		inputs[i] = i_stream_create_fd_ref_autoclose(ref, 0);
	assert_true(iostream_fd_unref(&ref));
	assert_null(ref);
	for (i = 0; i < 3; i++)
		i_stream_destroy(&inputs[i]);
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 0);
	assert_false(iostream_fd_unref(&mine));
	assert_null(mine);
	assert_false(iostream_fd_unref(&mine));
	assert_int_equal(test_faults.calls[TEST_OP_CLOSE], 1);
	test_faults_end();
	assert_int_equal(close(fds[1]), 0);
	EXPECT_PANIC("assertion failed", (void)iostream_fd_init(-1));
}

/* An output alone, beside a reference of the caller's own. */
static void test_output_of_a_reference(void **state ATTR_UNUSED)
{
	struct iostream_fd *ref;
	struct ostream *output;
	char text[4];
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	ref = iostream_fd_init(fds[0]);
	output = o_stream_create_fd_ref_autoclose(ref, 0);
	assert_int_equal(o_stream_send(output, "abc", 3), 3);
	o_stream_destroy(&output);
	assert_int_equal(read(fds[1], text, 4), 3);
	assert_memory_equal(text, "abc", 3);
	/* still open for its owner */
	assert_int_equal(write(ref->fd, "d", 1), 1);
	assert_false(iostream_fd_unref(&ref));
	assert_int_equal(read(fds[1], text, 4), 1);
	assert_int_equal(read(fds[1], text, 4), 0);
	assert_int_equal(close(fds[1]), 0);
}

/* A late write error, which only close() tells, is the output's if it is the last. */
static void test_close_fails(void **state ATTR_UNUSED)
{
	struct fixture f;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		begin(&f);
		test_faults.fail_at[TEST_OP_CLOSE] = 1;
		test_faults.fail_errno[TEST_OP_CLOSE] = EIO;
		if (i == 0)
			i_stream_destroy(&f.input);
		o_stream_close(f.output);
		assert_int_equal(f.output->stream_errno, i == 0 ? EIO : EPIPE);
		o_stream_ignore_last_errors(f.output);
		end(&f);
	}
}

static void test_disconnect_reason(void **state ATTR_UNUSED)
{
	struct istream *bad_input = i_stream_create_error_str(EIO, "bad in");
	struct ostream *bad_output = o_stream_create_error_str(EIO, "bad out");
	struct istream *input = i_stream_create_from_data("", 0);
	struct ostream *output = o_stream_create_null();
	struct istream *closed = i_stream_create_from_data("", 0);
	const struct {
		struct istream *input;
		struct ostream *output;
		const char *reason;
	} cases[] = {
		{ NULL, NULL, "Connection closed" },
		{ input, output, "Connection closed" },
		{ closed, bad_output, "Connection closed" },
		{ bad_input, bad_output, "Connection closed: bad in" },
		{ input, bad_output, "Connection closed: bad out" },
		{ NULL, bad_output, "Connection closed: bad out" },
		{ bad_input, NULL, "Connection closed: bad in" },
	};
	unsigned int i;

	(void)i_stream_read(bad_input);
	assert_int_equal(o_stream_flush(bad_output), -1);
	i_stream_close(closed);
	for (i = 0; i < N_ELEMENTS(cases); i++)
		assert_string_equal(io_stream_get_disconnect_reason(
					    cases[i].input, cases[i].output),
				    cases[i].reason);
	i_stream_destroy(&bad_input);
	o_stream_destroy(&bad_output);
	i_stream_destroy(&input);
	o_stream_destroy(&output);
	i_stream_destroy(&closed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_input_first),
		cmocka_unit_test(test_output_first),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_output_of_a_reference),
		cmocka_unit_test(test_close_fails),
		cmocka_unit_test(test_disconnect_reason),
	};

	return cmocka_run_group_tests_name("iostream-fd", tests, NULL, NULL);
}
