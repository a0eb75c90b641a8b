/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* A loop of the embedder's: it only notes what it is asked for. */

#include "config.h"
#include "ioloop.h"
#include "test-common.h"

#include <errno.h>

struct noting_loop {
	char log[64];
	io_callback_t *callback;
	void *context;
	int error;
};

static void note(struct noting_loop *loop, const char *what)
{
	(void)strncat(loop->log, what,
		      sizeof(loop->log) - 1 - strlen(loop->log));
}

static void *noting_add_io(void *_loop, int fd ATTR_UNUSED,
			   enum io_condition condition, io_callback_t *callback,
			   void *context)
{
	struct noting_loop *loop = _loop;

	if (loop->error != 0) {
		errno = loop->error;
		return NULL;
	}
	note(loop, condition == IO_READ ? "+r " : "+? ");
	loop->callback = callback;
	loop->context = context;
	return loop->log;
}

static void noting_remove_io(void *loop, void *handle)
{
	note(loop, handle == ((struct noting_loop *)loop)->log ? "-r " : "-? ");
}

static void *noting_add_timeout(void *_loop, unsigned int msecs,
				timeout_callback_t *callback, void *context)
{
	struct noting_loop *loop = _loop;

	note(loop, msecs == 42 ? "+42 " : "+? ");
	loop->callback = callback;
	loop->context = context;
	return &loop->callback;
}

static void noting_remove_timeout(void *_loop, void *handle)
{
	struct noting_loop *loop = _loop;

	note(loop, handle == &loop->callback ? "-42 " : "-? ");
}

static void noting_run(void *_loop)
{
	struct noting_loop *loop = _loop;

	note(loop, "run ");
	loop->callback(loop->context);
}

static void noting_stop(void *loop)
{
	note(loop, "stop ");
}

static void noting_destroy(void *loop)
{
	note(loop, "destroy ");
}

static void test_what_the_owner_is_asked_for(void **state ATTR_UNUSED)
{
	static const struct ioloop_methods methods = {
		noting_add_io,         noting_remove_io, noting_add_timeout,
		noting_remove_timeout, noting_run,       noting_stop,
		noting_destroy
	};
	struct noting_loop noting = { .log = "" };
	struct ioloop *before = io_loop_create();
	struct ioloop *loop = io_loop_create_custom(&methods, &noting);
	struct timeout *timeout;
	struct io *io;

	assert_ptr_equal(current_ioloop, loop);
	io = io_add(7, IO_READ, io_loop_stop, loop);
	io_loop_run(loop);
	io_remove(&io);
	timeout = timeout_add(42, io_loop_stop, loop);
	io_loop_run(loop);
	timeout_remove(&timeout);
	EXPECT_PANIC("run by its owner", io_loop_handler_run(loop));
	noting.error = ENOMEM;
	EXPECT_PANIC("io_add(fd 7): ", io_add(7, IO_READ, io_loop_stop, loop));
	io_loop_destroy(&loop);
	assert_string_equal(noting.log,
			    "+r run stop -r +42 run stop -42 destroy ");
	assert_ptr_equal(current_ioloop, before);
	io_loop_destroy(&before);
}

/* What an embedder leaves out. */
static void test_an_owner_that_runs_it(void **state ATTR_UNUSED)
{
	static const struct ioloop_methods methods = {
		.add_io = noting_add_io,
		.remove_io = noting_remove_io,
		.add_timeout = noting_add_timeout,
		.remove_timeout = noting_remove_timeout,
	};
	struct noting_loop noting = { .log = "" };
	struct ioloop *loop = io_loop_create_custom(&methods, &noting);

	EXPECT_PANIC("run by its owner", io_loop_run(loop));
	io_loop_stop(loop);
	io_loop_destroy(&loop);
	assert_string_equal(noting.log, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_owner_is_asked_for),
		cmocka_unit_test(test_an_owner_that_runs_it),
	};

	return cmocka_run_group_tests_name("ioloop-custom", tests, NULL, NULL);
}
