/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-ioloop-common.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int test_loop_setup(void **state)
{
	struct test_loop *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->loop = io_loop_create();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, f->fds), 0);
	*state = f;
	return 0;
}

int test_loop_teardown(void **state)
{
	struct test_loop *f = *state;
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

void test_letter_called(struct test_letter *letter)
{
	struct test_loop *f = letter->f;
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

void test_write_byte(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}
