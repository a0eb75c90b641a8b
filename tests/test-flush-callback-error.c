/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a flush callback sends is written when it has returned. That this fails is told by
   calling it again, whatever stream it is. */

#include "config.h"
#include "ostream-filters.h"
#include "test-stream-common.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct sender {
	struct ostream *stream;
	bool once; /* it sends once, and does not ask for another turn */
	unsigned int calls;
	int seen; /* the errno of the stream */
};

static int send_more(struct sender *sender)
{
	sender->calls++;
	sender->seen = sender->stream->stream_errno;
	if (sender->seen != 0) {
		io_loop_stop(io_loop_get_current());
		return -1;
	}
	if (sender->once && sender->calls > 1)
		return 1;
	return o_stream_send(sender->stream, "abc", 3) != 3 ? -1 :
		sender->once                                ? 1 :
							      0;
}

/* The test has failed. */
static void give_up(struct sender *sender)
{
	sender->calls = 0;
	io_loop_stop(io_loop_get_current());
}

static ssize_t refuse(void *context ATTR_UNUSED, const void *data ATTR_UNUSED,
		      size_t size ATTR_UNUSED, const char **error_r ATTR_UNUSED)
{
	errno = EPIPE;
	return -1;
}

static struct ostream *make_callback(void)
{
	static const struct ostream_callback_methods methods = {
		.write = refuse
	};

	return o_stream_create_callback(&methods, NULL, 0);
}

static struct ostream *make_pipe(void)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_NONBLOCK | O_CLOEXEC), 0);
	assert_int_equal(close(fds[0]), 0);
	return o_stream_create_fd_autoclose(&fds[1], 0);
}

static struct ostream *add_nothing(struct ostream *end)
{
	o_stream_ref(end);
	return end;
}

static struct ostream *add_hex(struct ostream *end)
{
	return o_stream_create_transform(end, transform_create_hex_encoder());
}

static struct ostream *add_channel(struct ostream *end)
{
	return o_stream_create_multiplex(end, 1024,
					 OSTREAM_MULTIPLEX_FORMAT_STREAM);
}

static struct ostream *add_tee(struct ostream *end)
{
	struct ostream *null = o_stream_create_null();
	struct ostream *outputs[] = { null, end, NULL };
	struct ostream *tee = o_stream_create_tee(outputs);

	o_stream_unref(&null);
	return tee;
}

static struct ostream *add_worker(struct ostream *end)
{
	return o_stream_create_transform(
		end, transform_create_async(transform_create_hex_encoder()));
}

static void must_be_told(struct ostream *end,
			 struct ostream *(*add)(struct ostream *), bool once,
			 const char *what)
{
	struct sender sender = { .once = once };
	struct timeout *limit;

	sender.stream = add(end);
	o_stream_set_flush_callback(sender.stream, send_more, &sender);
	o_stream_set_flush_pending(sender.stream, true);
	limit = timeout_add(8000, give_up, &sender);
	io_loop_run(io_loop_get_current());
	if (sender.calls < 2 || sender.seen != EPIPE)
		fail_msg("%s, %s: %u calls, errno %d", what,
			 once ? "once" : "again", sender.calls, sender.seen);
	timeout_remove(&limit);
	o_stream_abort(sender.stream);
	o_stream_destroy(&sender.stream);
	o_stream_abort(end);
	o_stream_unref(&end);
}

static void test_it_is_called_again(void **state ATTR_UNUSED)
{
	static const struct {
		const char *name;
		struct ostream *(*add)(struct ostream *end);
	} layers[] = {
		{ "nothing", add_nothing },   { "hex", add_hex },
		{ "a channel", add_channel }, { "tee", add_tee },
		{ "a worker", add_worker },
	};
	struct ioloop *loop = io_loop_create();
	size_t i;
	int once;

	(void)signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < N_ELEMENTS(layers); i++) {
		for (once = 0; once < 2; once++) {
			must_be_told(make_pipe(), layers[i].add, once,
				     layers[i].name);
			must_be_told(make_callback(), layers[i].add, once,
				     layers[i].name);
		}
	}
	io_loop_destroy(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_it_is_called_again),
	};

	return cmocka_run_group_tests_name("flush-callback-error", tests, NULL,
					   NULL);
}
