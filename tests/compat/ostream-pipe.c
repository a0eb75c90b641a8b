/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to a pipe that takes no more. */

#include "compat-case.h"

static int fds[2];

static struct ostream *pipe_stream(size_t max, size_t room)
{
	struct ostream *s;

	make_pipe(fds);
	fill_pipe(fds, room);
	s = o_stream_create_fd(fds[1], max);
	o_stream_set_name(s, "pipe");
	return s;
}

static void say_sizes(const char *when, struct ostream *s)
{
	say("%s: used %zu, avail %zu, max %zu", when,
	    o_stream_get_buffer_used_size(s), o_stream_get_buffer_avail_size(s),
	    o_stream_get_max_buffer_size(s));
}

static void free_stream(struct ostream *s)
{
	o_stream_ignore_last_errors(s);
	o_stream_abort(s);
	o_stream_destroy(&s);
}

static void a_full_pipe(void)
{
	struct ostream *s = pipe_stream(10, 0);

	NUM(s->blocking);
	NUM(s->offset);
	say_sizes("new", s);
	CALL(o_stream_send_str(s, "123456"));
	say_sizes("some", s);
	CALL(o_stream_send_str(s, "7890ab"));
	say_sizes("full", s);
	say_ostream("full", s);
	CALL(o_stream_send_str(s, "x"));
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	say_sizes("flushed", s);
	say_ostream("flushed", s);
	CALL(o_stream_send_str(s, "goes on"));
	SHOWN(drained(fds));
	o_stream_destroy(&s);
}

static void room_for_some(void)
{
	struct ostream *s = pipe_stream(5, 0);
	char *text = make_text(5000);

	SHOWN(drained(fds));
	CALL(o_stream_send(s, text, 5000));
	say_sizes("sent", s);
	NUM(s->offset);
	NUM(s->overflow);
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	free(text);
	o_stream_destroy(&s);
}

static void corked_and_full(void)
{
	struct ostream *s = pipe_stream(10, 0);

	o_stream_cork(s);
	CALL(o_stream_send_str(s, "123"));
	say_sizes("corked", s);
	CALL(o_stream_send_str(s, "4567890abc"));
	say_sizes("full", s);
	o_stream_uncork(s);
	say_sizes("uncorked", s);
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	say_ostream("at last", s);
	o_stream_destroy(&s);
}

static void lowered(void)
{
	struct ostream *s = pipe_stream(10, 0);

	CALL(o_stream_send_str(s, "12345678"));
	o_stream_set_max_buffer_size(s, 3);
	say_sizes("lowered", s);
	CALL(o_stream_send_str(s, "x"));
	say_ostream("refused", s);
	say_sizes("refused", s);
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	fill_pipe(fds, 0);
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	say_sizes("drained", s);
	fill_pipe(fds, 0);
	CALL(o_stream_send_str(s, "abcdefgh"));
	say_sizes("sent", s);
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	o_stream_destroy(&s);
}

static void lowered_with_bytes_left(void)
{
	struct ostream *s = pipe_stream(10, 0);

	CALL(o_stream_send_str(s, "12345678"));
	o_stream_set_max_buffer_size(s, 5);
	say_sizes("lowered", s);
	CALL(o_stream_send_str(s, "x"));
	SHOWN(drained(fds));
	/* exactly what fits is taken, nothing waits behind it */
	CALL(o_stream_send_str(s, "abcdefgh"));
	say_sizes("sent", s);
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	o_stream_destroy(&s);
}

static void lowered_with_room_for_a_part(void)
{
	struct ostream *s = pipe_stream(8192, 0);
	char *text = make_text(10000);

	CALL(o_stream_send(s, text, 8000));
	o_stream_set_max_buffer_size(s, 3);
	SHOWN(drained(fds));
	/* 4096 of 8000 go out, more than the bound is still there */
	CALL(o_stream_send(s, text + 8000, 100));
	say_sizes("a part", s);
	SHOWN(drained(fds));
	CALL(o_stream_send(s, text + 8000, 100));
	say_sizes("the rest", s);
	SHOWN(drained(fds));
	CALL(o_stream_send(s, text + 8100, 100));
	say_sizes("drained", s);
	while (o_stream_flush(s) == 0)
		SHOWN(drained(fds));
	SHOWN(drained(fds));
	free(text);
	o_stream_destroy(&s);
}

static void lowered_and_raised(void)
{
	struct ostream *s = pipe_stream(10, 0);

	CALL(o_stream_send_str(s, "12345678"));
	o_stream_set_max_buffer_size(s, 3);
	CALL(o_stream_send_str(s, "9a"));
	o_stream_set_max_buffer_size(s, 9);
	say_sizes("raised", s);
	CALL(o_stream_send_str(s, "9a"));
	o_stream_set_max_buffer_size(s, SIZE_MAX);
	say("used %zu", o_stream_get_buffer_used_size(s));
	CALL(o_stream_send_str(s, "abcdefghijklmnopqrstuvwxyz"));
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	o_stream_destroy(&s);
}

static void lowered_while_corked(void)
{
	struct ostream *s = pipe_stream(100, 0);

	o_stream_cork(s);
	CALL(o_stream_send_str(s, "12345678"));
	o_stream_set_max_buffer_size(s, 3);
	say_sizes("lowered", s);
	CALL(o_stream_send_str(s, "abc"));
	SHOWN(drained(fds));
	CALL(o_stream_send_str(s, "abcdefgh"));
	say_sizes("sent", s);
	o_stream_uncork(s);
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	o_stream_destroy(&s);
}

static void lowered_to_nothing(void)
{
	struct ostream *s = pipe_stream(10, 0);

	o_stream_set_max_buffer_size(s, 0);
	say_sizes("zero", s);
	CALL(o_stream_send_str(s, "abc"));
	say_ostream("refused", s);
	SHOWN(drained(fds));
	CALL(o_stream_send_str(s, "abc"));
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	o_stream_destroy(&s);
}

static void lowered_to_nothing_while_corked(void)
{
	struct ostream *s = pipe_stream(10, 0);

	o_stream_set_max_buffer_size(s, 0);
	o_stream_cork(s);
	CALL(o_stream_send_str(s, "abc"));
	SHOWN(drained(fds));
	CALL(o_stream_send_str(s, "abc"));
	SHOWN(drained(fds));
	o_stream_uncork(s);
	NUM(o_stream_flush(s));
	SHOWN(drained(fds));
	o_stream_destroy(&s);
}

static void an_unlimited_one(void)
{
	struct ostream *s = pipe_stream(SIZE_MAX, 0);
	char *text = make_text(300000);

	CALL(o_stream_send(s, text, 300000));
	say("used %zu", o_stream_get_buffer_used_size(s));
	NUM(s->overflow);
	while (o_stream_flush(s) == 0)
		(void)drained(fds);
	NUM(o_stream_get_buffer_used_size(s));
	free(text);
	o_stream_destroy(&s);
}

static void the_bound_reaches_the_parents(void)
{
	struct ostream *end = pipe_stream(10, 0);
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	NUM(o_stream_get_max_buffer_size(s));
	o_stream_set_max_buffer_size(s, 4);
	NUM(o_stream_get_max_buffer_size(s));
	NUM(o_stream_get_max_buffer_size(end));
	NUM(o_stream_get_buffer_avail_size(s));
	CALL(o_stream_send_str(s, "123456"));
	say_sizes("sent", s);
	NUM(s->offset);
	NUM(end->offset);
	NUM(s->overflow);
	SHOWN(drained(fds));
	NUM(o_stream_flush(s));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

static void nsend_to_a_full_pipe(void)
{
	struct ostream *s = pipe_stream(10, 0);

	o_stream_nsend_str(s, "12345678");
	NUM(o_stream_flush(s));
	o_stream_nsend_str(s, "90ab");
	say("offset %llu, overflow %d, errno %s", (unsigned long long)s->offset,
	    s->overflow, errno_name(s->stream_errno));
	SHOWN(drained(fds));
	o_stream_nsend_str(s, "ignored");
	CALL(o_stream_flush(s));
	say_ostream("flushed", s);
	STR(o_stream_get_error(s));
	CALL(o_stream_finish(s));
	o_stream_destroy(&s);
}

static void finish_with_a_full_pipe(void)
{
	struct ostream *s = pipe_stream(10, 0);

	CALL(o_stream_send_str(s, "12345678"));
	NUM(o_stream_finish(s));
	NUM(o_stream_finish(s));
	SHOWN(drained(fds));
	NUM(o_stream_finish(s));
	SHOWN(drained(fds));
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
}

static void close_with_bytes_left(void)
{
	struct ostream *s = pipe_stream(10, 0);

	CALL(o_stream_send_str(s, "12345678"));
	o_stream_set_no_error_handling(s, true);
	o_stream_close(s);
	say_ostream("closed", s);
	o_stream_destroy(&s);
	SHOWN(drained(fds));
}

static void destroy_with_bytes_left(void)
{
	struct ostream *s = pipe_stream(10, 0);

	CALL(o_stream_send_str(s, "12345678"));
	o_stream_destroy(&s);
	say("destroyed");
}

static void abort_with_bytes_left(void)
{
	struct ostream *s = pipe_stream(10, 0);

	o_stream_nsend_str(s, "12345678");
	o_stream_abort(s);
	o_stream_destroy(&s);
	SHOWN(drained(fds));
}

static void nobody_reads(void)
{
	struct ostream *s = pipe_stream(10, 0);

	CALL(o_stream_send_str(s, "abc"));
	close(fds[0]);
	CALL(o_stream_flush(s));
	say("errno %s, used %zu", errno_name(s->stream_errno),
	    o_stream_get_buffer_used_size(s));
	STR(o_stream_get_disconnect_reason(s));
	CALL(o_stream_send_str(s, "d"));
	free_stream(s);
}

static void filters_over_a_full_pipe(void)
{
	struct ostream *end = pipe_stream(4, 0);
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	o_stream_cork(s);
	NUM(o_stream_is_corked(end));
	CALL(o_stream_send_str(s, "abcdef"));
	NUM(o_stream_get_buffer_used_size(s));
	NUM(o_stream_get_buffer_avail_size(s));
	o_stream_uncork(s);
	NUM(o_stream_is_corked(end));
	NUM(o_stream_flush(s));
	NUM(o_stream_finish(s));
	SHOWN(drained(fds));
	NUM(o_stream_finish(s));
	SHOWN(drained(fds));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

const struct compat_case compat_ostream_pipe[] = {
	{ "ostream-pipe full", a_full_pipe },
	{ "ostream-pipe room for some", room_for_some },
	{ "ostream-pipe corked and full", corked_and_full },
	{ "ostream-pipe lowered", lowered },
	{ "ostream-pipe lowered with bytes left", lowered_with_bytes_left },
	{ "ostream-pipe lowered, room for a part",
	  lowered_with_room_for_a_part },
	{ "ostream-pipe lowered and raised", lowered_and_raised },
	{ "ostream-pipe lowered while corked", lowered_while_corked },
	{ "ostream-pipe lowered to nothing", lowered_to_nothing },
	{ "ostream-pipe lowered to nothing while corked",
	  lowered_to_nothing_while_corked },
	{ "ostream-pipe unlimited", an_unlimited_one },
	{ "ostream-pipe bound reaches the parents",
	  the_bound_reaches_the_parents },
	{ "ostream-pipe nsend", nsend_to_a_full_pipe },
	{ "ostream-pipe finish", finish_with_a_full_pipe },
	{ "ostream-pipe close with bytes left", close_with_bytes_left },
	{ "ostream-pipe destroy with bytes left", destroy_with_bytes_left },
	{ "ostream-pipe abort with bytes left", abort_with_bytes_left },
	{ "ostream-pipe nobody reads", nobody_reads },
	{ "ostream-pipe filters", filters_over_a_full_pipe },
	{ NULL, NULL }
};
