/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Waiting for input; pumps and proxies. */

#include "compat-case.h"

static struct ioloop *loop;
static struct istream *input;
static struct ostream *output;
static struct iostream_pump *pump;
static struct iostream_proxy *proxy;
static int in[2], out[2], calls;

static void begin(void)
{
	loop = io_loop_create();
	make_pipe(in);
	make_pipe(out);
	input = i_stream_create_fd(in[0], BLOCK);
	output = o_stream_create_fd(out[1], BLOCK);
	o_stream_set_no_error_handling(output, true);
}

static void end(void)
{
	i_stream_unref(&input);
	o_stream_unref(&output);
	io_loop_destroy(&loop);
}

static void stop_loop(void *context)
{
	(void)context;
	if (++calls == 5)
		io_loop_stop(loop);
}

/* Enough turns of the loop for all that is due. */
static void run(void)
{
	struct timeout *timeout = timeout_add_short(1, stop_loop, (void *)NULL);

	calls = 0;
	io_loop_run(loop);
	timeout_remove(&timeout);
}

static void feed(const char *text)
{
	if (write(in[1], text, strlen(text)) < 0)
		say("write() failed");
}

static void on_input(void *context)
{
	(void)context;
	say_rest("called", input);
}

static void waits_for_input(void)
{
	struct io *io;

	begin();
	io = io_add_istream(input, on_input, (void *)NULL);
	run();
	feed("text");
	run();
	say("pending");
	i_stream_set_input_pending(input, true);
	run();
	io_remove(&io);
	end();
}

static void pending_before(void)
{
	struct istream *filter;
	struct io *io;

	begin();
	filter = i_stream_create_limit(input, 100);
	i_stream_set_input_pending(filter, true);
	io = io_add_istream(filter, on_input, (void *)NULL);
	run();
	io_remove(&io);
	i_stream_unref(&filter);
	end();
}

static void pumped(enum iostream_pump_status status, void *context)
{
	(void)context;
	say("status %s",
	    status == IOSTREAM_PUMP_STATUS_INPUT_EOF ? "eof" :
		    status == IOSTREAM_PUMP_STATUS_INPUT_ERROR ?
						       "input error" :
						       "output error");
	iostream_pump_unref(&pump);
}

static void begin_pump(void)
{
	pump = iostream_pump_create(input, output);
	iostream_pump_set_completion_callback(pump, pumped, (void *)NULL);
	iostream_pump_start(pump);
}

static void pump_all(void)
{
	begin();
	begin_pump();
	NUM(iostream_pump_get_input(pump) == input);
	NUM(iostream_pump_get_output(pump) == output);
	feed("text");
	run();
	SHOWN(drained(out));
	NUM(iostream_pump_is_waiting_output(pump));
	feed("more");
	close(in[1]);
	run();
	SHOWN(drained(out));
	NUM(pump == NULL);
	end();
}

static void pump_failing_input(void)
{
	struct istream *whole;

	begin();
	whole = input;
	input = i_stream_create_failure_at(whole, 3, EIO, "no");
	i_stream_unref(&whole);
	begin_pump();
	feed("text");
	run();
	SHOWN(drained(out));
	end();
}

static void pump_failing_output(void)
{
	begin();
	begin_pump();
	close(out[0]);
	feed("text");
	run();
	end();
}

static void pump_full_output(void)
{
	begin();
	fill_pipe(out, 0);
	o_stream_set_max_buffer_size(output, 2);
	begin_pump();
	feed("text");
	run();
	NUM(iostream_pump_is_waiting_output(pump));
	NUM(o_stream_get_buffer_used_size(output));
	SHOWN(drained(out));
	run();
	SHOWN(drained(out));
	NUM(iostream_pump_is_waiting_output(pump));
	iostream_pump_stop(pump);
	feed("more");
	run();
	SHOWN(drained(out));
	iostream_pump_start(pump);
	run();
	SHOWN(drained(out));
	iostream_pump_destroy(&pump);
	feed("last");
	run();
	SHOWN(drained(out));
	NUM(pump == NULL);
	end();
}

static void proxied(enum iostream_proxy_side side,
		    enum iostream_proxy_status status, void *context)
{
	(void)context;
	say("%s: status %s",
	    side == IOSTREAM_PROXY_SIDE_LEFT ? "left" : "right",
	    status == IOSTREAM_PROXY_STATUS_INPUT_EOF ? "eof" :
		    status == IOSTREAM_PROXY_STATUS_INPUT_ERROR ?
							"input error" :
							"output error");
}

static void proxy_both_ways(void)
{
	struct istream *left_in = NULL;
	struct ostream *left_out = NULL;
	int back_in[2], back_out[2];

	begin();
	make_pipe(back_in);
	make_pipe(back_out);
	left_in = i_stream_create_fd(back_in[0], BLOCK);
	left_out = o_stream_create_fd(back_out[1], BLOCK);
	proxy = iostream_proxy_create(input, left_out, left_in, output);
	iostream_proxy_set_completion_callback(proxy, proxied, (void *)NULL);
	iostream_proxy_start(proxy);
	NUM(iostream_proxy_get_istream(proxy, IOSTREAM_PROXY_SIDE_LEFT) ==
	    input);
	NUM(iostream_proxy_get_ostream(proxy, IOSTREAM_PROXY_SIDE_LEFT) ==
	    output);
	NUM(iostream_proxy_get_ostream(proxy, IOSTREAM_PROXY_SIDE_RIGHT) ==
	    left_out);
	feed("to the right");
	run();
	SHOWN(drained(out));
	if (write(back_in[1], "to the left", 11) != 11)
		say("write() failed");
	run();
	SHOWN(drained(back_out));
	close(in[1]);
	run();
	close(back_in[1]);
	run();
	iostream_proxy_unref(&proxy);
	i_stream_unref(&left_in);
	o_stream_unref(&left_out);
	end();
}

const struct compat_case compat_pump[] = {
	{ "pump io_add_istream", waits_for_input },
	{ "pump pending before", pending_before },
	{ "pump all", pump_all },
	{ "pump failing input", pump_failing_input },
	{ "pump failing output", pump_failing_output },
	{ "pump full output", pump_full_output },
	{ "pump proxy", proxy_both_ways },
	{ NULL, NULL }
};
