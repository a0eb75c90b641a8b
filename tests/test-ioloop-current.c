/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several loops, of which one is a thread's current one; how they end, and their misuse. */

#include "config.h"
#include "test-ioloop-common.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static void test_ioloop_current(void **state)
{
	struct test_loop *f = *state;
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
	struct test_loop *f = *state;
	struct test_letter w = { .f = f, .chr = 'w' },
			   t = { .f = f, .chr = 't' };
	struct ioloop *other = io_loop_create();

	f->ios[0] =
		io_add_to(f->loop, f->fds[0], IO_WRITE, test_letter_called, &w);
	f->timeouts[0] = timeout_add_to(f->loop, 0, test_letter_called, &t);
	EXPECT_PANIC("nothing to wait for", io_loop_handler_run(other));
	io_loop_destroy(&other);
	io_loop_handler_run(f->loop);
	assert_string_equal(f->log, "tw");
}

static void destroy_callback(struct test_loop *f)
{
	struct ioloop *loop = f->loop;

	timeout_remove(&f->timeouts[0]);
	EXPECT_PANIC("callback of the loop", io_loop_destroy(&loop));
}

static void test_ioloop_destroyed_by_callback(void **state)
{
	struct test_loop *f = *state;

	f->timeouts[0] = timeout_add(0, destroy_callback, f);
	io_loop_handler_run(f->loop);
	assert_null(f->timeouts[0]);
	assert_ptr_equal(current_ioloop, f->loop);
}

static void test_ioloop_misuse(void **state)
{
	struct test_loop *f = *state;
	struct ioloop *loop = f->loop;

	EXPECT_PANIC("io_add(fd -1)",
		     io_add(-1, IO_READ, test_letter_called, NULL));
	EXPECT_PANIC("io_add(fd 1000000)",
		     io_add(1000000, IO_READ, test_letter_called, NULL));
	EXPECT_PANIC("nothing to wait for", io_loop_run(f->loop));
	f->timeouts[0] = timeout_add(TEST_AN_HOUR, test_letter_called, NULL);
	EXPECT_PANIC("1 ios or timeouts are left", io_loop_destroy(&loop));
	timeout_remove(&f->timeouts[0]);
	io_loop_set_current(NULL);
	EXPECT_PANIC("has no event loop",
		     io_add(f->fds[0], IO_READ, test_letter_called, NULL));
	EXPECT_PANIC("has no event loop",
		     timeout_add(1, test_letter_called, NULL));
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
	struct test_loop *f = *state;
	struct player players[2] = { { .fd = f->fds[0], .left = 1000 },
				     { .fd = f->fds[1], .left = 1000 } };
	pthread_t threads[2];
	int i;

	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						player_thread, &players[i]),
				 0);
	/* one more byte than both return: each reads its last one */
	test_write_byte(f->fds[0]);
	test_write_byte(f->fds[1]);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_ptr_equal(current_ioloop, f->loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_WITH_LOOP(test_ioloop_current),
		TEST_WITH_LOOP(test_ioloop_add_to_another),
		TEST_WITH_LOOP(test_ioloop_destroyed_by_callback),
		TEST_WITH_LOOP(test_ioloop_misuse),
		TEST_WITH_LOOP(test_ioloop_two_threads),
	};

	return cmocka_run_group_tests_name("ioloop-current", tests, NULL, NULL);
}
