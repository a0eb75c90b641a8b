/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* No test here depends on how long anything takes: timeouts that must not come
   are an hour long, and those that must come end the loop. */

#include "config.h"
#include "ioloop.h"
#include "test-common.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define AN_HOUR (60 * 60 * 1000)

/* What the callbacks of a test see. Each test has a loop, a pair of connected
   sockets, and a text to which callbacks append a letter. */
struct fixture {
	struct ioloop *loop;
	int fds[2];
	char log[64];
	struct io *ios[4];
	struct timeout *timeouts[4];
	unsigned int calls, stop_at;
};

/* One callback's own letter. */
struct letter {
	struct fixture *f;
	char chr;
	/* what the callback is to do */
	struct io **remove_io;
	struct timeout **remove_timeout;
	bool stop;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = io_loop_create();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->fds), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < N_ELEMENTS(f->ios); i++)
		io_remove(&f->ios[i]);
	for (i = 0; i < N_ELEMENTS(f->timeouts); i++)
		timeout_remove(&f->timeouts[i]);
	io_loop_destroy(&f->loop);
	(void)close(f->fds[0]);
	(void)close(f->fds[1]);
	free(f);
	return 0;
}

static void write_byte(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void letter_callback(struct letter *letter)
{
	struct fixture *f = letter->f;
	size_t len = strlen(f->log);

	assert_true(len + 1 < sizeof(f->log));
	f->log[len] = letter->chr;
	f->log[len + 1] = '\0';
	if (letter->remove_io != NULL)
		io_remove(letter->remove_io);
	if (letter->remove_timeout != NULL)
		timeout_remove(letter->remove_timeout);
	if (letter->stop)
		io_loop_stop(f->loop);
}

static void count_callback(struct fixture *f)
{
	if (++f->calls == f->stop_at)
		io_loop_stop(f->loop);
}

/*
 * IOs
 */

static void test_ioloop_read_and_write_of_one_fd(void **state)
{
	struct fixture *f = *state;
	struct letter r = { .f = f, .chr = 'r' }, w = { .f = f, .chr = 'w' };

	f->ios[0] = io_add(f->fds[0], IO_READ, letter_callback, &r);
	f->ios[1] = io_add(f->fds[0], IO_WRITE, letter_callback, &w);
	/* nothing to read yet */
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "w");
	write_byte(f->fds[1]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "wrw");
	/* each may go without the other */
	io_remove(&f->ios[1]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "wrwr");
	f->ios[1] = io_add(f->fds[0], IO_WRITE, letter_callback, &w);
	io_remove(&f->ios[0]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "wrwrw");
}

static void test_ioloop_one_io_of_both(void **state)
{
	struct fixture *f = *state;
	struct letter b = { .f = f, .chr = 'b' };

	f->ios[0] = io_add(f->fds[0], IO_READ | IO_WRITE, letter_callback, &b);
	write_byte(f->fds[1]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "b");
}

static void test_ioloop_level_triggered(void **state)
{
	struct fixture *f = *state;
	struct letter r = { .f = f, .chr = 'r' };
	char byte;

	f->ios[0] = io_add(f->fds[0], IO_READ, letter_callback, &r);
	write_byte(f->fds[1]);
	io_loop_handler_run(f->loop);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "rr");
	assert_int_equal(read(f->fds[0], &byte, 1), 1);
	f->timeouts[0] = timeout_add(0, letter_callback,
				     &((struct letter){ .f = f, .chr = 't' }));
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "rrt");
}

static void test_ioloop_hang_up_reaches_all(void **state)
{
	struct fixture *f = *state;
	struct letter e = { .f = f, .chr = 'e' }, r = { .f = f, .chr = 'r' };
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	f->ios[0] = io_add(fds[1], IO_ERROR, letter_callback, &e);
	f->timeouts[0] = timeout_add(0, letter_callback,
				     &((struct letter){ .f = f, .chr = 't' }));
	/* writable, but that is not asked for */
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "t");
	timeout_remove(&f->timeouts[0]);
	f->ios[1] = io_add(f->fds[0], IO_READ, letter_callback, &r);
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
	struct fixture *f = *state;
	struct letter w = { .f = f, .chr = 'w', .remove_io = &f->ios[0] };
	struct letter t = { .f = f,
			    .chr = 't',
			    .remove_timeout = &f->timeouts[0] };

	f->ios[0] = io_add(f->fds[0], IO_WRITE, letter_callback, &w);
	f->timeouts[0] = timeout_add(0, letter_callback, &t);
	f->timeouts[1] = timeout_add(AN_HOUR, letter_callback, NULL);
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
	struct fixture *f = *state;
	struct letter a = { .f = f, .chr = 'a', .remove_io = &f->ios[1] };
	struct letter b = { .f = f, .chr = 'b', .remove_io = &f->ios[0] };
	unsigned int other;

	for (other = 0; other < 2; other++) {
		f->log[0] = '\0';
		f->ios[0] = io_add(f->fds[0], IO_WRITE, letter_callback, &a);
		f->ios[1] =
			io_add(f->fds[other], IO_WRITE, letter_callback, &b);
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
	struct fixture *f = *state;
	struct letter a = { .f = f,
			    .chr = 'a',
			    .remove_timeout = &f->timeouts[1] };
	struct letter b = { .f = f, .chr = 'b' };

	f->timeouts[0] = timeout_add(0, letter_callback, &a);
	f->timeouts[1] = timeout_add(0, letter_callback, &b);
	io_loop_handler_run(f->loop);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "aa");
}

static void io_of_timeout(struct letter *letter)
{
	letter_callback(letter);
	io_remove(&letter->f->ios[0]);
}

static void test_ioloop_timeout_removes_ready_io(void **state)
{
	struct fixture *f = *state;
	struct letter t = { .f = f, .chr = 't' }, w = { .f = f, .chr = 'w' };

	f->ios[0] = io_add(f->fds[0], IO_WRITE, letter_callback, &w);
	f->timeouts[0] = timeout_add(0, io_of_timeout, &t);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "t");
}

/* Two are readable. The first one that is called closes the other's fd, gives
   its number to a quiet socket and watches that: the event that was for the old
   one must not reach the new one. */
struct swap {
	struct fixture *f;
	unsigned int other;
	int quiet_fd;
	struct letter *fresh;
};

static void swap_callback(struct swap *swap)
{
	struct fixture *f = swap->f;
	int fd = f->fds[swap->other];

	if (f->calls++ > 0)
		return;
	io_remove(&f->ios[swap->other]);
	assert_int_equal(dup2(swap->quiet_fd, fd), fd);
	f->ios[2] = io_add(fd, IO_READ, letter_callback, swap->fresh);
}

static void test_ioloop_reused_fd_has_no_old_events(void **state)
{
	struct fixture *f = *state;
	struct letter fresh = { .f = f, .chr = 'x' };
	struct swap swaps[2];
	unsigned int i;
	int quiet[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, quiet), 0);
	for (i = 0; i < 2; i++) {
		swaps[i] = (struct swap){ f, 1 - i, quiet[0], &fresh };
		f->ios[i] =
			io_add(f->fds[i], IO_READ, swap_callback, &swaps[i]);
		write_byte(f->fds[i]);
	}
	io_loop_handler_run(f->loop);
	assert_int_equal(f->calls, 1);
	assert_string_equal(f->log, "");
	write_byte(quiet[1]);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "x");
	(void)close(quiet[0]);
	(void)close(quiet[1]);
}

static void add_callback(struct letter *letter)
{
	struct fixture *f = letter->f;

	letter_callback(letter);
	if (f->ios[1] == NULL)
		f->ios[1] = io_add(f->fds[1], IO_WRITE, letter_callback,
				   letter + 1);
}

static void test_ioloop_added_in_callback_is_for_next_turn(void **state)
{
	struct fixture *f = *state;
	struct letter letters[2] = { { .f = f, .chr = 'a' },
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
	struct fixture *f = *state;
	struct letter w = { .f = f, .chr = 'w', .remove_io = &f->ios[0] };
	unsigned int turns;

	f->ios[0] = io_add(f->fds[0], IO_WRITE, letter_callback, &w);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "w");
	f->timeouts[0] = timeout_add(20, count_callback, f);
	for (turns = 0; f->calls == 0; turns++)
		io_loop_handler_run(f->loop);
	assert_true(turns <= 2);
}

/* A callback that waits for something else in the same loop. */
static void nested_callback(struct letter *letter)
{
	struct fixture *f = letter->f;
	struct letter inner = {
		.f = f, .chr = 'i', .remove_io = &f->ios[1], .stop = true
	};

	letter_callback(letter);
	f->ios[1] = io_add(f->fds[1], IO_WRITE, letter_callback, &inner);
	assert_true(io_loop_is_running(f->loop));
	io_loop_run(f->loop);
	/* that stop was for the inner run */
	assert_true(io_loop_is_running(f->loop));
	f->timeouts[0] = timeout_add(0, letter_callback, letter + 1);
}

static void test_ioloop_nested_run(void **state)
{
	struct fixture *f = *state;
	struct letter letters[2] = {
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
	struct fixture *f = *state;
	struct letter t = { .f = f, .chr = 't', .stop = true };

	f->timeouts[0] = timeout_add(0, letter_callback, &t);
	io_loop_run(f->loop);
	io_loop_handler_run(f->loop);
	io_loop_stop(f->loop);
	io_loop_handler_run(f->loop);
	io_loop_run(f->loop);
	assert_string_equal(f->log, "tttt");
}

static void test_ioloop_always_ready(void **state)
{
	struct fixture *f = *state;
	struct letter r = { .f = f, .chr = 'r' };
	struct letter w = { .f = f, .chr = 'w', .remove_io = &f->ios[1] };
	int fd;

	test_write_file(test_path("regular"), "", 0);
	fd = open(test_path("regular"), O_RDWR);
	assert_true(fd >= 0);
	f->ios[0] = io_add(fd, IO_READ, letter_callback, &r);
	f->ios[1] = io_add(fd, IO_WRITE, letter_callback, &w);
	f->timeouts[0] = timeout_add(AN_HOUR, letter_callback, NULL);
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
	struct letter letters[4] = { { .f = f, .chr = 'a' },
				     { .f = f, .chr = 'b' },
				     { .f = f, .chr = 'c', .stop = true },
				     { .f = f, .chr = 'd' } };
	unsigned int i;

	for (i = 0; i < 4; i++)
		letters[i].remove_timeout = &f->timeouts[i];
	f->timeouts[2] = timeout_add(20, letter_callback, &letters[2]);
	f->timeouts[1] = timeout_add(10, letter_callback, &letters[1]);
	f->timeouts[3] = timeout_add(AN_HOUR, letter_callback, &letters[3]);
	f->timeouts[0] = timeout_add(0, letter_callback, &letters[0]);
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
	struct fixture *f = *state;
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
	struct fixture *f = *state;
	unsigned int i;

	f->timeouts[0] = timeout_add(0, count_callback, f);
	for (i = 1; i <= 10; i++) {
		io_loop_handler_run(f->loop);
		assert_int_equal(f->calls, i);
	}
}

/*
 * Loops
 */

static void test_ioloop_current(void **state)
{
	struct fixture *f = *state;
	struct ioloop *a = io_loop_create(), *b = io_loop_create();

	assert_ptr_equal(current_ioloop, b);
	/* not in the order of creation */
	io_loop_destroy(&a);
	assert_null(a);
	assert_ptr_equal(current_ioloop, b);
	io_loop_destroy(&b);
	assert_ptr_equal(current_ioloop, f->loop);
	io_loop_destroy(&b);

	a = io_loop_create();
	io_loop_set_current(NULL);
	assert_null(current_ioloop);
	io_loop_destroy(&a);
	assert_null(current_ioloop);
	io_loop_set_current(f->loop);
}

static void test_ioloop_add_to_another(void **state)
{
	struct fixture *f = *state;
	struct letter w = { .f = f, .chr = 'w' }, t = { .f = f, .chr = 't' };
	struct ioloop *other = io_loop_create();

	f->ios[0] =
		io_add_to(f->loop, f->fds[0], IO_WRITE, letter_callback, &w);
	f->timeouts[0] = timeout_add_to(f->loop, 0, letter_callback, &t);
	EXPECT_PANIC("nothing to wait for", io_loop_handler_run(other));
	io_loop_destroy(&other);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "tw");
}

static void destroy_callback(struct fixture *f)
{
	struct ioloop *loop = f->loop;

	timeout_remove(&f->timeouts[0]);
	EXPECT_PANIC("callback of the loop", io_loop_destroy(&loop));
}

static void test_ioloop_destroyed_by_callback(void **state)
{
	struct fixture *f = *state;

	f->timeouts[0] = timeout_add(0, destroy_callback, f);
	io_loop_handler_run(f->loop);
	assert_null(f->timeouts[0]);
	assert_ptr_equal(current_ioloop, f->loop);
}

static void test_ioloop_misuse(void **state)
{
	struct fixture *f = *state;
	struct ioloop *loop = f->loop;

	EXPECT_PANIC("io_add(fd -1)",
		     io_add(-1, IO_READ, letter_callback, NULL));
	EXPECT_PANIC("io_add(fd 1000000)",
		     io_add(1000000, IO_READ, letter_callback, NULL));
	EXPECT_PANIC("nothing to wait for", io_loop_run(f->loop));
	f->timeouts[0] = timeout_add(AN_HOUR, letter_callback, NULL);
	EXPECT_PANIC("1 ios or timeouts are left", io_loop_destroy(&loop));
	timeout_remove(&f->timeouts[0]);
	io_loop_set_current(NULL);
	EXPECT_PANIC("has no event loop",
		     io_add(f->fds[0], IO_READ, letter_callback, NULL));
	EXPECT_PANIC("has no event loop",
		     timeout_add(1, letter_callback, NULL));
	io_loop_set_current(f->loop);
}

/* Two threads with a loop each send a byte to and fro. */
struct player {
	int fd;
	struct ioloop *loop;
	struct io *io;
	unsigned int left;
};

static void player_callback(struct player *player)
{
	char byte;

	if (read(player->fd, &byte, 1) != 1)
		abort();
	if (player->left > 0 && write(player->fd, &byte, 1) != 1)
		abort();
	if (player->left-- == 0)
		io_loop_stop(player->loop);
}

static void *player_thread(void *context)
{
	struct player *player = context;

	if (current_ioloop != NULL)
		abort();
	player->loop = io_loop_create();
	player->io = io_add(player->fd, IO_READ, player_callback, player);
	io_loop_run(player->loop);
	io_remove(&player->io);
	io_loop_destroy(&player->loop);
	return NULL;
}

static void test_ioloop_two_threads(void **state)
{
	struct fixture *f = *state;
	struct player players[2] = { { .fd = f->fds[0], .left = 1000 },
				     { .fd = f->fds[1], .left = 1000 } };
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						player_thread, &players[i]),
				 0);
	/* one more byte than both return: each reads its last one */
	write_byte(f->fds[0]);
	write_byte(f->fds[1]);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_ptr_equal(current_ioloop, f->loop);
}

#define LOOP_TEST(func) cmocka_unit_test_setup_teardown(func, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LOOP_TEST(test_ioloop_read_and_write_of_one_fd),
		LOOP_TEST(test_ioloop_one_io_of_both),
		LOOP_TEST(test_ioloop_level_triggered),
		LOOP_TEST(test_ioloop_hang_up_reaches_all),
		LOOP_TEST(test_ioloop_remove_itself),
		LOOP_TEST(test_ioloop_remove_others),
		LOOP_TEST(test_ioloop_remove_other_timeout),
		LOOP_TEST(test_ioloop_timeout_removes_ready_io),
		LOOP_TEST(test_ioloop_reused_fd_has_no_old_events),
		LOOP_TEST(test_ioloop_added_in_callback_is_for_next_turn),
		LOOP_TEST(test_ioloop_sleeps),
		LOOP_TEST(test_ioloop_nested_run),
		LOOP_TEST(test_ioloop_turn_after_a_stop),
		LOOP_TEST(test_ioloop_always_ready),
		LOOP_TEST(test_ioloop_many),
		LOOP_TEST(test_ioloop_timeouts_in_order),
		LOOP_TEST(test_ioloop_timeout_repeats_never_early),
		LOOP_TEST(test_ioloop_zero_timeout_once_a_turn),
		LOOP_TEST(test_ioloop_current),
		LOOP_TEST(test_ioloop_add_to_another),
		LOOP_TEST(test_ioloop_destroyed_by_callback),
		LOOP_TEST(test_ioloop_misuse),
		LOOP_TEST(test_ioloop_two_threads),
	};

	return cmocka_run_group_tests_name("ioloop", tests, NULL, NULL);
}
