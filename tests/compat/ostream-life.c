/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The life of an output stream: in which order calls may come. */

#include "compat-case.h"

static buffer_t *buf;

static struct ostream *buffer_stream(void)
{
	buf = buffer_create_dynamic(default_pool, 64);
	return o_stream_create_buffer(buf);
}

static void say_buffer(const char *when)
{
	say("%s: buffer %s", when, shown(buf->data, buf->used));
}

static void new_stream(void)
{
	struct ostream *s = buffer_stream();

	say_ostream("new", s);
	STR(o_stream_get_name(s));
	NUM(o_stream_get_fd(s));
	NUM(o_stream_is_corked(s));
	NUM(o_stream_flush(s));
	o_stream_destroy(&s);
	NUM(s == NULL);
	o_stream_destroy(&s);
	o_stream_unref(&s);
	buffer_free(&buf);
}

static void sends(void)
{
	struct const_iovec iov[4] = {
		{ "ab", 2 }, { "", 0 }, { "cde", 3 }, { NULL, 0 }
	};
	struct ostream *s = buffer_stream();

	CALL(o_stream_send(s, "123", 3));
	CALL(o_stream_send(s, "", 0));
	CALL(o_stream_send_str(s, "45"));
	CALL(o_stream_sendv(s, iov, 4));
	CALL(o_stream_sendv(s, iov, 0));
	o_stream_nsend(s, "x", 1);
	o_stream_nsend_str(s, "yz");
	o_stream_nsendv(s, iov, 3);
	say_ostream("sent", s);
	NUM(o_stream_flush(s));
	say_buffer("flushed");
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void cork_is_a_flag(void)
{
	struct ostream *s = buffer_stream();

	o_stream_cork(s);
	NUM(o_stream_is_corked(s));
	o_stream_cork(s);
	o_stream_uncork(s);
	NUM(o_stream_is_corked(s));
	o_stream_uncork(s);
	NUM(o_stream_is_corked(s));
	o_stream_cork(s);
	NUM(o_stream_flush(s));
	NUM(o_stream_is_corked(s));
	NUM(o_stream_uncork_flush(s));
	NUM(o_stream_is_corked(s));
	o_stream_cork(s);
	NUM(o_stream_finish(s));
	NUM(o_stream_is_corked(s));
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void finish_again(void)
{
	struct ostream *s = buffer_stream();

	o_stream_nsend_str(s, "abc");
	NUM(o_stream_finish(s));
	NUM(o_stream_finish(s));
	NUM(o_stream_flush(s));
	CALL(o_stream_send(s, "", 0));
	o_stream_nsend(s, "", 0);
	say_buffer("finished");
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void send_after_finish(void)
{
	struct ostream *s = buffer_stream();

	o_stream_set_name(s, "the name");
	NUM(o_stream_finish(s));
	CALL(o_stream_send_str(s, "x"));
}

static void nsend_after_finish(void)
{
	struct ostream *s = buffer_stream();

	NUM(o_stream_finish(s));
	o_stream_nsend_str(s, "x");
	say("still here");
}

static void pwrite_after_finish(void)
{
	struct ostream *s = buffer_stream();

	NUM(o_stream_finish(s));
	CALL(o_stream_pwrite(s, "x", 1, 0));
}

static void after_close(void)
{
	struct ostream *s = buffer_stream();

	CALL(o_stream_send_str(s, "abc"));
	o_stream_close(s);
	say_ostream("closed", s);
	CALL(o_stream_send_str(s, "d"));
	CALL(o_stream_send(s, "", 0));
	o_stream_nsend_str(s, "d");
	CALL(o_stream_pwrite(s, "x", 1, 0));
	CALL(o_stream_seek(s, 1));
	o_stream_cork(s);
	NUM(o_stream_is_corked(s));
	o_stream_uncork(s);
	CALL(o_stream_flush(s));
	CALL(o_stream_finish(s));
	o_stream_close(s);
	say_ostream("closed again", s);
	STR(o_stream_get_disconnect_reason(s));
	say_buffer("closed");
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void close_takes_the_parents(void)
{
	struct ostream *end = buffer_stream();
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	o_stream_close(s);
	NUM(end->closed);
	o_stream_destroy(&s);
	say_ostream("parent", end);
	o_stream_destroy(&end);
	buffer_free(&buf);
}

static void destroy_leaves_the_parents(void)
{
	struct ostream *end = buffer_stream();
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	CALL(o_stream_send_str(s, "abc"));
	o_stream_destroy(&s);
	say_ostream("parent", end);
	CALL(o_stream_send_str(end, "d"));
	say_buffer("then");
	o_stream_destroy(&end);
	buffer_free(&buf);
}

static void destroy_takes_one_reference(void)
{
	struct ostream *s = buffer_stream(), *other = s;

	o_stream_ref(s);
	o_stream_destroy(&s);
	say_ostream("the other", other);
	o_stream_unref(&other);
	NUM(other == NULL);
	buffer_free(&buf);
}

static void on_destroy(void *context)
{
	say("destroyed: %s", (const char *)context);
}

static void on_destroy_too(void *context)
{
	say("destroyed, too: %s", (const char *)context);
}

static char first_text[] = "first", second_text[] = "second";

static void destroy_callbacks(void)
{
	struct ostream *s = buffer_stream(), *other = s;

	o_stream_add_destroy_callback(s, on_destroy, (void *)first_text);
	o_stream_add_destroy_callback(s, on_destroy_too, (void *)second_text);
	o_stream_ref(s);
	o_stream_unref(&s);
	say("one reference less");
	o_stream_remove_destroy_callback(other, on_destroy_too);
	o_stream_destroy(&other);
	buffer_free(&buf);
}

static void names(void)
{
	struct ostream *end = buffer_stream();
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");
	char name[] = "the end";

	STR(o_stream_get_name(s));
	o_stream_set_name(end, name);
	name[0] = 'X';
	STR(o_stream_get_name(s));
	o_stream_set_name(s, "the top");
	STR(o_stream_get_name(s));
	STR(o_stream_get_name(end));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
}

static void a_null_stream(void)
{
	struct ostream *s = o_stream_create_null();

	CALL(o_stream_send_str(s, "hello"));
	say_ostream("sent", s);
	NUM(o_stream_get_buffer_used_size(s));
	NUM(o_stream_finish(s));
	NUM(o_stream_get_fd(s));
	o_stream_destroy(&s);
}

static void passthrough(void)
{
	struct ostream *end = buffer_stream(), *s;

	CALL(o_stream_send_str(end, "below, "));
	s = o_stream_create_passthrough(end);
	o_stream_set_name(s, "on top");
	o_stream_add_destroy_callback(s, on_destroy, (void *)first_text);
	NUM(s->offset);
	CALL(o_stream_send_str(s, "above"));
	NUM(s->offset);
	NUM(end->offset);
	STR(o_stream_get_name(s));
	NUM(o_stream_get_max_buffer_size(s) ==
	    o_stream_get_max_buffer_size(end));
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	say_buffer("both");
	buffer_free(&buf);
}

static void last_write_time(void)
{
	struct ioloop *loop = io_loop_create();
	struct ostream *s = buffer_stream();
	struct timeval tv;

	o_stream_get_last_write_time(s, &tv);
	NUM(tv.tv_sec);
	CALL(o_stream_send_str(s, "hello"));
	o_stream_get_last_write_time(s, &tv);
	NUM(tv.tv_sec > 0);
	o_stream_destroy(&s);
	buffer_free(&buf);
	io_loop_destroy(&loop);
}

const struct compat_case compat_ostream_life[] = {
	{ "ostream-life new", new_stream },
	{ "ostream-life sends", sends },
	{ "ostream-life cork is a flag", cork_is_a_flag },
	{ "ostream-life finish again", finish_again },
	{ "ostream-life send after finish", send_after_finish },
	{ "ostream-life nsend after finish", nsend_after_finish },
	{ "ostream-life pwrite after finish", pwrite_after_finish },
	{ "ostream-life after close", after_close },
	{ "ostream-life close takes the parents", close_takes_the_parents },
	{ "ostream-life destroy leaves the parents",
	  destroy_leaves_the_parents },
	{ "ostream-life destroy takes one reference",
	  destroy_takes_one_reference },
	{ "ostream-life destroy callbacks", destroy_callbacks },
	{ "ostream-life names", names },
	{ "ostream-life null", a_null_stream },
	{ "ostream-life passthrough", passthrough },
	{ "ostream-life last write time", last_write_time },
	{ NULL, NULL }
};
