/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output to a buffer. */

#include "compat-case.h"

static void say_buffer(const char *when, const buffer_t *buf)
{
	say("%s: buffer %s", when, shown(buf->data, buf->used));
}

static void appends(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s;

	buffer_append(buf, "old", 3);
	s = o_stream_create_buffer(buf);
	NUM(s->offset);
	NUM(s->blocking);
	CALL(o_stream_send_str(s, "new"));
	NUM(s->offset);
	say_buffer("sent", buf);
	NUM(o_stream_get_buffer_used_size(s));
	NUM(o_stream_get_buffer_avail_size(s) > 1000000);
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void seeks(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s = o_stream_create_buffer(buf);

	CALL(o_stream_send_str(s, "0123456789"));
	CALL(o_stream_seek(s, 3));
	NUM(s->offset);
	CALL(o_stream_send_str(s, "abc"));
	NUM(s->offset);
	say_buffer("overwritten", buf);
	CALL(o_stream_seek(s, 12));
	CALL(o_stream_send_str(s, "z"));
	say_buffer("behind the end", buf);
	NUM(s->offset);
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void pwrites(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s = o_stream_create_buffer(buf);

	CALL(o_stream_send_str(s, "0123456789"));
	CALL(o_stream_pwrite(s, "ab", 2, 4));
	NUM(s->offset);
	CALL(o_stream_pwrite(s, "yz", 2, 9));
	say_buffer("written", buf);
	CALL(o_stream_send_str(s, "!"));
	say_buffer("and sent", buf);
	NUM(s->offset);
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void behind_what_was_there(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s;

	buffer_append(buf, "HEAD", 4);
	s = o_stream_create_buffer(buf);
	CALL(o_stream_send_str(s, "abc"));
	CALL(o_stream_pwrite(s, "B", 1, 1));
	CALL(o_stream_seek(s, s->offset));
	CALL(o_stream_send_str(s, "!"));
	NUM(s->offset);
	say_buffer("sent", buf);
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void a_full_one(void)
{
	unsigned char data[8];
	struct ostream *s;
	buffer_t buf;

	buffer_create_from_data(&buf, data, sizeof(data));
	s = o_stream_create_buffer(&buf);
	NUM(o_stream_get_buffer_avail_size(s));
	CALL(o_stream_send_str(s, "12345"));
	NUM(o_stream_get_buffer_avail_size(s));
	CALL(o_stream_send_str(s, "6789"));
	say_ostream("full", s);
	NUM(o_stream_get_buffer_avail_size(s));
	CALL(o_stream_send_str(s, "x"));
	NUM(o_stream_flush(s));
	say_buffer("full", &buf);
	o_stream_destroy(&s);
}

static void nsend_to_a_full_one(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s = o_stream_create_buffer(buf);

	o_stream_set_max_buffer_size(s, 8);
	o_stream_nsend_str(s, "12345");
	o_stream_nsend_str(s, "6789a");
	o_stream_nsend_str(s, "b");
	say("offset %llu, overflow %d", (unsigned long long)s->offset,
	    s->overflow);
	CALL(o_stream_flush(s));
	say("errno %s", errno_name(s->stream_errno));
	NUM(strstr(o_stream_get_error(s), "Output stream buffer was full") !=
	    NULL);
	CALL(o_stream_finish(s));
	say_buffer("full", buf);
	o_stream_destroy(&s);
	buffer_free(&buf);
}

static void max_size(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s = o_stream_create_buffer(buf);

	o_stream_set_max_buffer_size(s, 5);
	NUM(o_stream_get_max_buffer_size(s));
	NUM(o_stream_get_buffer_avail_size(s));
	CALL(o_stream_send_str(s, "12345678"));
	say_ostream("sent", s);
	say_buffer("sent", buf);
	NUM(o_stream_get_buffer_avail_size(s));
	NUM(o_stream_flush(s));
	o_stream_set_max_buffer_size(s, 2);
	CALL(o_stream_send_str(s, "9"));
	o_stream_set_max_buffer_size(s, SIZE_MAX);
	CALL(o_stream_send_str(s, "9"));
	say_buffer("raised", buf);
	o_stream_destroy(&s);
	buffer_free(&buf);
}

/* The caller takes the bytes out of the buffer as they come. */
static void drained_by_the_caller(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s = o_stream_create_buffer(buf);

	o_stream_set_max_buffer_size(s, 3);
	for (int i = 0; i < 3; i++) {
		CALL(o_stream_send_str(s, "12345678"));
		say_buffer("full", buf);
		buffer_set_used_size(buf, 0);
		NUM(o_stream_get_buffer_avail_size(s));
	}
	NUM(s->offset);
	o_stream_destroy(&s);
	buffer_free(&buf);
}

/* A filter cannot send more than its parent takes. */
static void below_a_filter(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *end = o_stream_create_buffer(buf);
	struct ostream *s = o_stream_create_failure_at(end, 100, "no");

	o_stream_set_max_buffer_size(end, 3);
	CALL(o_stream_send_str(s, "12345678"));
	NUM(s->offset);
	NUM(s->overflow);
	say_buffer("full", buf);
	buffer_set_used_size(buf, 0);
	CALL(o_stream_send_str(s, "45678"));
	NUM(s->offset);
	say_buffer("again", buf);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
}

static void grows(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 16);
	struct ostream *s = o_stream_create_buffer(buf);
	char *text = make_text(300000);

	o_stream_cork(s);
	for (int i = 0; i < 300; i++)
		o_stream_nsend(s, text + i * 1000, 1000);
	say_buffer("corked", buf);
	NUM(o_stream_finish(s));
	NUM(s->offset);
	o_stream_destroy(&s);
	free(text);
	buffer_free(&buf);
}

const struct compat_case compat_ostream_buffer[] = {
	{ "ostream-buffer appends", appends },
	{ "ostream-buffer seeks", seeks },
	{ "ostream-buffer pwrites", pwrites },
	{ "ostream-buffer behind others", behind_what_was_there },
	{ "ostream-buffer full", a_full_one },
	{ "ostream-buffer full nsend", nsend_to_a_full_one },
	{ "ostream-buffer max size", max_size },
	{ "ostream-buffer drained", drained_by_the_caller },
	{ "ostream-buffer below a filter", below_a_filter },
	{ "ostream-buffer grows", grows },
	{ NULL, NULL }
};
