/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Proxies between two pairs of sockets: left is a client's, right a server's. */

#include "config.h"
#include "iostream-proxy.h"
#include "istream.h"
#include "ostream.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define LEFT IOSTREAM_PROXY_SIDE_LEFT
#define RIGHT IOSTREAM_PROXY_SIDE_RIGHT

struct fixture {
	struct ioloop *loop;
	int fds[2][2]; /* of each side: the proxy's end, the test's */
	struct istream *inputs[2];
	struct ostream *outputs[2];
	struct iostream_proxy *proxy;
	unsigned int calls[2];
	enum iostream_proxy_status status[2];
	char error[2][256];
	bool unref; /* in the callback */
};

static void completed(enum iostream_proxy_side side,
		      enum iostream_proxy_status status, struct fixture *f)
{
	f->calls[side]++;
	f->status[side] = status;
	(void)snprintf(f->error[side], sizeof(f->error[side]), "%s",
		       iostream_proxy_get_error(f->proxy, side));
	if (f->unref)
		iostream_proxy_unref(&f->proxy);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	unsigned int i;

	assert_non_null(f);
	f->loop = io_loop_create();
	for (i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX,
					    SOCK_STREAM | SOCK_NONBLOCK, 0,
					    f->fds[i]),
				 0);
		f->inputs[i] = i_stream_create_fd(f->fds[i][0], 0);
		f->outputs[i] = o_stream_create_fd(f->fds[i][0], 0);
		o_stream_set_name(f->outputs[i],
				  i == LEFT ? "CLIENT" : "SERVER");
	}
	f->proxy = iostream_proxy_create(f->inputs[LEFT], f->outputs[LEFT],
					 f->inputs[RIGHT], f->outputs[RIGHT]);
	iostream_proxy_set_completion_callback(f->proxy, completed, f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	unsigned int i;

	iostream_proxy_unref(&f->proxy);
	for (i = 0; i < 2; i++) {
		i_stream_unref(&f->inputs[i]);
		o_stream_ignore_last_errors(f->outputs[i]);
		o_stream_unref(&f->outputs[i]);
		(void)close(f->fds[i][0]);
		(void)close(f->fds[i][1]);
	}
	io_loop_destroy(&f->loop);
	free(f);
	return 0;
}

static void nothing(void *context ATTR_UNUSED)
{
}

static void turns(struct fixture *f)
{
	struct timeout *now = timeout_add_to(f->loop, 0, nothing, NULL);
	unsigned int i;

	for (i = 0; i < 5; i++)
		io_loop_handler_run(f->loop);
	timeout_remove(&now);
}

static void say(struct fixture *f, enum iostream_proxy_side side,
		const char *text)
{
	assert_int_equal(write(f->fds[side][1], text, strlen(text)),
			 strlen(text));
	turns(f);
}

static void assert_hears(struct fixture *f, enum iostream_proxy_side side,
			 const char *text)
{
	char got[64] = "";

	assert_int_equal(read(f->fds[side][1], got, sizeof(got) - 1),
			 strlen(text));
	assert_string_equal(got, text);
}

static void test_proxy_both_ways(void **state)
{
	struct fixture *f = *state;

	assert_ptr_equal(iostream_proxy_get_istream(f->proxy, LEFT),
			 f->inputs[LEFT]);
	assert_ptr_equal(iostream_proxy_get_istream(f->proxy, RIGHT),
			 f->inputs[RIGHT]);
	assert_ptr_equal(iostream_proxy_get_ostream(f->proxy, LEFT),
			 f->outputs[LEFT]);
	assert_ptr_equal(iostream_proxy_get_ostream(f->proxy, RIGHT),
			 f->outputs[RIGHT]);
	iostream_proxy_start(f->proxy);
	say(f, LEFT, "question");
	assert_hears(f, RIGHT, "question");
	say(f, RIGHT, "answer");
	assert_hears(f, LEFT, "answer");
	/* one side is done, and the other goes on */
	assert_int_equal(shutdown(f->fds[LEFT][1], SHUT_WR), 0);
	turns(f);
	assert_int_equal(f->calls[LEFT], 1);
	assert_int_equal(f->status[LEFT], IOSTREAM_PROXY_STATUS_INPUT_EOF);
	assert_string_equal(f->error[LEFT], "<no error>");
	assert_int_equal(f->calls[RIGHT], 0);
	say(f, RIGHT, "more");
	assert_hears(f, LEFT, "more");
	assert_int_equal(shutdown(f->fds[RIGHT][1], SHUT_WR), 0);
	turns(f);
	assert_int_equal(f->calls[LEFT], 1);
	assert_int_equal(f->calls[RIGHT], 1);
	assert_int_equal(f->status[RIGHT], IOSTREAM_PROXY_STATUS_INPUT_EOF);
}

/* Sides are named by their reader: what cannot be written to the right one is an
   error of the left one's bytes. */
static void test_proxy_errors_name_the_reader(void **state)
{
	struct fixture *f = *state;
	struct istream *input = f->inputs[RIGHT];

	iostream_proxy_unref(&f->proxy);
	f->inputs[RIGHT] = i_stream_create_failure_at(input, 3, EIO, "broken");
	i_stream_unref(&input);
	f->proxy = iostream_proxy_create(f->inputs[LEFT], f->outputs[LEFT],
					 f->inputs[RIGHT], f->outputs[RIGHT]);
	iostream_proxy_set_completion_callback(f->proxy, completed, f);
	iostream_proxy_start(f->proxy);
	say(f, RIGHT, "abcd");
	assert_hears(f, LEFT, "abc");
	assert_int_equal(f->calls[RIGHT], 1);
	assert_int_equal(f->status[RIGHT], IOSTREAM_PROXY_STATUS_INPUT_ERROR);
	assert_non_null(strstr(f->error[RIGHT], "reading from "));
	assert_non_null(strstr(f->error[RIGHT], "failed: broken"));

	assert_int_equal(shutdown(f->fds[RIGHT][0], SHUT_WR), 0);
	say(f, LEFT, "x");
	assert_int_equal(f->calls[LEFT], 1);
	assert_int_equal(f->status[LEFT],
			 IOSTREAM_PROXY_STATUS_OTHER_SIDE_OUTPUT_ERROR);
	assert_non_null(strstr(f->error[LEFT], "writing to SERVER failed: "));
}

static void test_proxy_waits_for_output(void **state)
{
	static char junk[65536];
	struct fixture *f = *state;

	iostream_proxy_start(f->proxy);
	while (write(f->fds[LEFT][1], junk, sizeof(junk)) > 0)
		turns(f);
	turns(f);
	assert_true(iostream_proxy_is_waiting_output(f->proxy, LEFT));
	assert_false(iostream_proxy_is_waiting_output(f->proxy, RIGHT));
	say(f, RIGHT, "answer");
	assert_hears(f, LEFT, "answer");
	while (read(f->fds[RIGHT][1], junk, sizeof(junk)) > 0)
		turns(f);
	assert_false(iostream_proxy_is_waiting_output(f->proxy, LEFT));
}

static void test_proxy_freed_by_its_callback(void **state)
{
	struct fixture *f = *state;

	f->unref = true;
	iostream_proxy_start(f->proxy);
	assert_int_equal(shutdown(f->fds[RIGHT][1], SHUT_WR), 0);
	assert_int_equal(shutdown(f->fds[LEFT][1], SHUT_WR), 0);
	turns(f);
	assert_null(f->proxy);
	assert_int_equal(f->calls[LEFT] + f->calls[RIGHT], 1);
}

static void test_proxy_stop_and_switch(void **state)
{
	struct fixture *f = *state;
	struct ioloop *other;
	struct iostream_proxy *proxy = f->proxy;

	iostream_proxy_start(f->proxy);
	iostream_proxy_stop(f->proxy);
	say(f, LEFT, "question");
	assert_int_equal(f->inputs[LEFT]->v_offset, 0);
	iostream_proxy_start(f->proxy);
	other = io_loop_create();
	iostream_proxy_switch_ioloop(f->proxy);
	io_loop_destroy(&f->loop);
	f->loop = other;
	turns(f);
	assert_hears(f, RIGHT, "question");
	iostream_proxy_ref(f->proxy);
	iostream_proxy_unref(&proxy);
	say(f, RIGHT, "answer");
	assert_hears(f, LEFT, "answer");
	assert_int_equal(f->calls[LEFT] + f->calls[RIGHT], 0);
}

static void test_proxy_wrong_use(void **state)
{
	struct fixture *f = *state;

	iostream_proxy_set_completion_callback(f->proxy, NULL, NULL);
	EXPECT_PANIC("there is no callback", iostream_proxy_start(f->proxy));
}

#define PROXY_TEST(func) cmocka_unit_test_setup_teardown(func, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		PROXY_TEST(test_proxy_both_ways),
		PROXY_TEST(test_proxy_errors_name_the_reader),
		PROXY_TEST(test_proxy_waits_for_output),
		PROXY_TEST(test_proxy_freed_by_its_callback),
		PROXY_TEST(test_proxy_stop_and_switch),
		PROXY_TEST(test_proxy_wrong_use),
	};

	return cmocka_run_group_tests_name("iostream-proxy", tests, NULL, NULL);
}
