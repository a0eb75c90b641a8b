/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a loop calls, when, and in which order.

   No test here depends on how long anything takes: timeouts that must not come
   are an hour long, and those that must come end the loop. */

#include "config.h"
#include "test-ioloop-common.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void count_callback(struct test_loop *f)
{
	if (++f->calls == f->stop_at)
		io_loop_stop(f->loop);
}

/*
 * IOs
 */

static void test_ioloop_read_and_write_of_one_fd(void **state)
{
	struct test_loop *f = *state;
	struct test_letter r = { .f = f, .chr = 'r' },
			   w = { .f = f, .chr = 'w' };

	f->ios[0] = io_add(f->fds[0], IO_READ, test_letter_called, &r);
	f->ios[1] = io_add(f->fds[0], IO_WRITE, test_letter_called, &w);
	/* nothing to read yet */
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "w");
	test_write_byte(f->fds[1]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "wrw");
	/* each may go without the other */
	io_remove(&f->ios[1]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "wrwr");
	f->ios[1] = io_add(f->fds[0], IO_WRITE, test_letter_called, &w);
	io_remove(&f->ios[0]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "wrwrw");
}

static void test_ioloop_one_io_of_both(void **state)
{
	struct test_loop *f = *state;
	struct test_letter b = { .f = f, .chr = 'b' };

	f->ios[0] =
		io_add(f->fds[0], IO_READ | IO_WRITE, test_letter_called, &b);
	test_write_byte(f->fds[1]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "b");
}

static void test_ioloop_level_triggered(void **state)
{
	struct test_loop *f = *state;
	struct test_letter r = { .f = f, .chr = 'r' };
	char byte;

	f->ios[0] = io_add(f->fds[0], IO_READ, test_letter_called, &r);
	test_write_byte(f->fds[1]);
	io_loop_handler_run(f->loop);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "rr");
	assert_int_equal(read(f->fds[0], &byte, 1), 1);
	f->timeouts[0] =
		timeout_add(0, test_letter_called,
			    &((struct test_letter){ .f = f, .chr = 't' }));
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "rrt");
}

static void test_ioloop_hang_up_reaches_all(void **state)
{
	struct test_loop *f = *state;
	struct test_letter e = { .f = f, .chr = 'e' },
			   r = { .f = f, .chr = 'r' };
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	f->ios[0] = io_add(fds[1], IO_ERROR, test_letter_called, &e);
	f->timeouts[0] =
		timeout_add(0, test_letter_called,
			    &((struct test_letter){ .f = f, .chr = 't' }));
	/* writable, but that is not asked for */
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "t");
	timeout_remove(&f->timeouts[0]);
	f->ios[1] = io_add(f->fds[0], IO_READ, test_letter_called, &r);
	(void)close(fds[0]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "te");
	io_remove(&f->ios[0]);
	(void)close(fds[1]);
	/* the end of input is something to read */
	assert_int_equal(shutdown(f->fds[1], SHUT_RDWR), 0);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "ter");
}

static void test_ioloop_remove_itself(void **state)
{
	struct test_loop *f = *state;
	struct test_letter w = { .f = f, .chr = 'w', .remove_io = &f->ios[0] };
	struct test_letter t = { .f = f,
				 .chr = 't',
				 .remove_timeout = &f->timeouts[0] };

	f->ios[0] = io_add(f->fds[0], IO_WRITE, test_letter_called, &w);
	f->timeouts[0] = timeout_add(0, test_letter_called, &t);
	f->timeouts[1] = timeout_add(TEST_AN_HOUR, test_letter_called, NULL);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "tw");
	assert_null(f->ios[0]);
	assert_null(f->timeouts[0]);
	io_remove(&f->ios[0]);
	timeout_remove(&f->timeouts[0]);
}

/* Two that are ready remove each other: only one is called, whichever is first,
   on one fd as on two. */
static void test_ioloop_remove_others(void **state)
{
	struct test_loop *f = *state;
	struct test_letter a = { .f = f, .chr = 'a', .remove_io = &f->ios[1] };
	struct test_letter b = { .f = f, .chr = 'b', .remove_io = &f->ios[0] };
	unsigned int other;

	for (other = 0; other < 2; other++) {
		f->log[0] = '\0';
		f->ios[0] = io_add(f->fds[0], IO_WRITE, test_letter_called, &a);
		f->ios[1] =
			io_add(f->fds[other], IO_WRITE, test_letter_called, &b);
		io_loop_handler_run(f->loop);
		assert_int_equal(strlen(f->log), 1);
		io_loop_handler_run(f->loop);
		assert_int_equal(strlen(f->log), 2);
		assert_int_equal(f->log[0], f->log[1]);
		io_remove(&f->ios[0]);
		io_remove(&f->ios[1]);
	}
}

static void test_ioloop_remove_other_timeout(void **state)
{
	struct test_loop *f = *state;
	struct test_letter a = { .f = f,
				 .chr = 'a',
				 .remove_timeout = &f->timeouts[1] };
	struct test_letter b = { .f = f, .chr = 'b' };

	f->timeouts[0] = timeout_add(0, test_letter_called, &a);
	f->timeouts[1] = timeout_add(0, test_letter_called, &b);
	io_loop_handler_run(f->loop);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "aa");
}

static void io_of_timeout(struct test_letter *letter)
{
	test_letter_called(letter);
	io_remove(&letter->f->ios[0]);
}

static void test_ioloop_timeout_removes_ready_io(void **state)
{
	struct test_loop *f = *state;
	struct test_letter t = { .f = f, .chr = 't' },
			   w = { .f = f, .chr = 'w' };

	f->ios[0] = io_add(f->fds[0], IO_WRITE, test_letter_called, &w);
	f->timeouts[0] = timeout_add(0, io_of_timeout, &t);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "t");
}

/* Two are readable. The first one that is called closes the other's fd, gives
   its number to a quiet socket and watches that: the event that was for the old
   one must not reach the new one. */
struct swap {
	struct test_loop *f;
	unsigned int other;
	int quiet_fd;
	struct test_letter *fresh;
};

static void swap_callback(struct swap *swap)
{
	struct test_loop *f = swap->f;
	int fd = f->fds[swap->other];

	if (f->calls++ > 0)
		return;
	io_remove(&f->ios[swap->other]);
	assert_int_equal(dup2(swap->quiet_fd, fd), fd);
	f->ios[2] = io_add(fd, IO_READ, test_letter_called, swap->fresh);
}

static void test_ioloop_reused_fd_has_no_old_events(void **state)
{
	struct test_loop *f = *state;
	struct test_letter fresh = { .f = f, .chr = 'x' };
	struct swap swaps[2];
	unsigned int i;
	int quiet[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, quiet), 0);
	for (i = 0; i < 2; i++) {
		swaps[i] = (struct swap){ f, 1 - i, quiet[0], &fresh };
		f->ios[i] =
			io_add(f->fds[i], IO_READ, swap_callback, &swaps[i]);
		test_write_byte(f->fds[i]);
	}
	io_loop_handler_run(f->loop);
	assert_int_equal(f->calls, 1);
	assert_string_equal(f->log, "");
	test_write_byte(quiet[1]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "x");
	(void)close(quiet[0]);
	(void)close(quiet[1]);
}

static void add_callback(struct test_letter *letter)
{
	struct test_loop *f = letter->f;

	test_letter_called(letter);
	if (f->ios[1] == NULL)
		f->ios[1] = io_add(f->fds[1], IO_WRITE, test_letter_called,
				   letter + 1);
}

static void test_ioloop_added_in_callback_is_for_next_turn(void **state)
{
	struct test_loop *f = *state;
	struct test_letter letters[2] = { { .f = f, .chr = 'a' },
					  { .f = f, .chr = 'b' } };

	f->ios[0] = io_add(f->fds[0], IO_WRITE, add_callback, letters);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "a");
	io_loop_handler_run(f->loop);
	assert_int_equal(strlen(f->log), 3);
	assert_non_null(strchr(f->log, 'b'));
}

/*
 * Turns and runs
 */

/* The kernel waits, not a busy loop: neither for the last part of a millisecond
   nor for an fd that nobody watches any more. */
static void test_ioloop_sleeps(void **state)
{
	struct test_loop *f = *state;
	struct test_letter w = { .f = f, .chr = 'w', .remove_io = &f->ios[0] };
	unsigned int turns;

	f->ios[0] = io_add(f->fds[0], IO_WRITE, test_letter_called, &w);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "w");
	f->timeouts[0] = timeout_add(20, count_callback, f);
	for (turns = 0; f->calls == 0; turns++)
		io_loop_handler_run(f->loop);
	assert_true(turns <= 2);
}

/* A callback that waits for something else in the same loop. */
static void nested_callback(struct test_letter *letter)
{
	struct test_loop *f = letter->f;
	struct test_letter inner = {
		.f = f, .chr = 'i', .remove_io = &f->ios[1], .stop = true
	};

	test_letter_called(letter);
	f->ios[1] = io_add(f->fds[1], IO_WRITE, test_letter_called, &inner);
	assert_true(io_loop_is_running(f->loop));
	io_loop_run(f->loop);
	/* that stop was for the inner run */
	assert_true(io_loop_is_running(f->loop));
	f->timeouts[0] = timeout_add(0, test_letter_called, letter + 1);
}

static void test_ioloop_nested_run(void **state)
{
	struct test_loop *f = *state;
	struct test_letter letters[2] = {
		{ .f = f, .chr = 'n', .remove_io = &f->ios[0] },
		{ .f = f, .chr = 't', .stop = true }
	};

	f->ios[0] = io_add(f->fds[0], IO_WRITE, nested_callback, letters);
	assert_false(io_loop_is_running(f->loop));
	io_loop_run(f->loop);
	assert_false(io_loop_is_running(f->loop));
	assert_string_equal(f->log, "nit");
}

static void test_ioloop_turn_after_a_stop(void **state)
{
	struct test_loop *f = *state;
	struct test_letter t = { .f = f, .chr = 't', .stop = true };

	f->timeouts[0] = timeout_add(0, test_letter_called, &t);
	io_loop_run(f->loop);
	io_loop_handler_run(f->loop);
	io_loop_stop(f->loop);
	io_loop_handler_run(f->loop);
	io_loop_run(f->loop);
	assert_string_equal(f->log, "tttt");
}

static void test_ioloop_always_ready(void **state)
{
	struct test_loop *f = *state;
	struct test_letter r = { .f = f, .chr = 'r' };
	struct test_letter w = { .f = f, .chr = 'w', .remove_io = &f->ios[1] };
	int fd;

	test_write_file(test_path("regular"), "", 0);
	fd = open(test_path("regular"), O_RDWR);
	assert_true(fd >= 0);
	f->ios[0] = io_add(fd, IO_READ, test_letter_called, &r);
	f->ios[1] = io_add(fd, IO_WRITE, test_letter_called, &w);
	f->timeouts[0] = timeout_add(TEST_AN_HOUR, test_letter_called, NULL);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "rw");
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "rwr");
	io_remove(&f->ios[0]);
	(void)close(fd);
}

/* More than one epoll_wait() tells at once, and fds of high numbers. */
static void test_ioloop_many(void **state)
{
	struct test_loop *f = *state;
	struct io *ios[300];
	int fds[300];
	size_t i;

	for (i = 0; i < N_ELEMENTS(ios); i++) {
		fds[i] = dup(f->fds[0]);
		assert_true(fds[i] >= 0);
		ios[i] = io_add(fds[i], IO_WRITE, count_callback, f);
	}
	f->stop_at = 3000;
	io_loop_run(f->loop);
	assert_true(f->calls >= 3000);
	for (i = 0; i < N_ELEMENTS(ios); i++) {
		io_remove(&ios[i]);
		(void)close(fds[i]);
	}
}

/*
 * Timeouts
 */

static void test_ioloop_timeouts_in_order(void **state)
{
	struct test_loop *f = *state;
	struct test_letter letters[4] = { { .f = f, .chr = 'a' },
					  { .f = f, .chr = 'b' },
					  { .f = f, .chr = 'c', .stop = true },
					  { .f = f, .chr = 'd' } };
	unsigned int i;

	for (i = 0; i < 4; i++)
		letters[i].remove_timeout = &f->timeouts[i];
	f->timeouts[2] = timeout_add(20, test_letter_called, &letters[2]);
	f->timeouts[1] = timeout_add(10, test_letter_called, &letters[1]);
	f->timeouts[3] =
		timeout_add(TEST_AN_HOUR, test_letter_called, &letters[3]);
	f->timeouts[0] = timeout_add(0, test_letter_called, &letters[0]);
	io_loop_run(f->loop);
	assert_string_equal(f->log, "abc");
}

static uint64_t now_nsecs(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void test_ioloop_timeout_repeats_never_early(void **state)
{
	struct test_loop *f = *state;
	uint64_t start = now_nsecs();

	f->stop_at = 5;
	f->timeouts[0] = timeout_add(3, count_callback, f);
	io_loop_run(f->loop);
	assert_int_equal(f->calls, 5);
	/* the clock is taken in microseconds */
	assert_true(now_nsecs() - start >= 5 * 3 * 1000000 - 5 * 1000);
}

static void test_ioloop_zero_timeout_once_a_turn(void **state)
{
	struct test_loop *f = *state;
	unsigned int i;

	f->timeouts[0] = timeout_add(0, count_callback, f);
	for (i = 1; i <= 10; i++) {
		io_loop_handler_run(f->loop);
		assert_int_equal(f->calls, i);
	}
}

/*
 * Forks
 */

static void must_be_well(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* What a child of fork() watches no more its parent still watches. */
static void test_ioloop_a_child_removes(void **state)
{
	struct test_loop *f = *state;
	struct test_letter r = { .f = f, .chr = 'r' };
	pid_t pid;

	f->ios[0] = io_add(f->fds[0], IO_READ, test_letter_called, &r);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		io_remove(&f->ios[0]);
		io_loop_destroy(&f->loop);
		_exit(0);
	}
	must_be_well(pid);
	test_write_byte(f->fds[1]);
	/* else it would wait for ever */
	(void)alarm(60);
	io_loop_handler_run(f->loop);
	(void)alarm(0);
	assert_string_equal(f->log, "r");
}

/* And the other way round, as where a daemon's parent ends. */
static void test_ioloop_a_child_goes_on(void **state)
{
	struct test_loop *f = *state;
	struct test_letter r = { .f = f, .chr = 'r' };
	pid_t pid;
	char byte;

	f->ios[0] = io_add(f->fds[0], IO_READ, test_letter_called, &r);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(60);
		while (recv(f->fds[0], &byte, 1, MSG_PEEK) != 1)
			;
		io_loop_handler_run(f->loop);
		_exit(strcmp(f->log, "r") == 0 ? 0 : 1);
	}
	io_remove(&f->ios[0]);
	test_write_byte(f->fds[1]);
	must_be_well(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH_LOOP(test_ioloop_read_and_write_of_one_fd),
		TEST_WITH_LOOP(test_ioloop_one_io_of_both),
		TEST_WITH_LOOP(test_ioloop_level_triggered),
		TEST_WITH_LOOP(test_ioloop_hang_up_reaches_all),
		TEST_WITH_LOOP(test_ioloop_remove_itself),
		TEST_WITH_LOOP(test_ioloop_remove_others),
		TEST_WITH_LOOP(test_ioloop_remove_other_timeout),
		TEST_WITH_LOOP(test_ioloop_timeout_removes_ready_io),
		TEST_WITH_LOOP(test_ioloop_reused_fd_has_no_old_events),
		TEST_WITH_LOOP(test_ioloop_added_in_callback_is_for_next_turn),
		TEST_WITH_LOOP(test_ioloop_sleeps),
		TEST_WITH_LOOP(test_ioloop_nested_run),
		TEST_WITH_LOOP(test_ioloop_turn_after_a_stop),
		TEST_WITH_LOOP(test_ioloop_always_ready),
		TEST_WITH_LOOP(test_ioloop_many),
		TEST_WITH_LOOP(test_ioloop_timeouts_in_order),
		TEST_WITH_LOOP(test_ioloop_timeout_repeats_never_early),
		TEST_WITH_LOOP(test_ioloop_zero_timeout_once_a_turn),
		TEST_WITH_LOOP(test_ioloop_a_child_removes),
		TEST_WITH_LOOP(test_ioloop_a_child_goes_on),
	};

	return cmocka_run_group_tests_name("ioloop", tests, NULL, NULL);
}
