/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Output through filters: hash, dot. */

#include "compat-case.h"

static buffer_t *buf;

static void say_buffer(const char *when)
{
	say("%s: buffer %s", when, shown(buf->data, buf->used));
}

static void say_digest(const struct hash_method *method, void *context)
{
	unsigned char digest[64];

	method->result(context, digest);
	say("digest %s", shown(digest, 8));
}

static void hash(void)
{
	const struct hash_method *method = hash_method_lookup("sha256");
	struct ostream *end, *s;
	unsigned char digest[64];
	void *context;

	STR(method->name);
	NUM(method->digest_size);
	context = calloc(1, method->context_size);
	method->init(context);
	buf = buffer_create_dynamic(default_pool, 64);
	end = o_stream_create_buffer(buf);
	s = o_stream_create_hash(end, method, context);
	CALL(o_stream_send_str(s, "hel"));
	o_stream_nsend_str(s, "lo");
	NUM(o_stream_finish(s));
	NUM(s->offset);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	say_digest(method, context);
	hash_method_get_digest(method, "hello", 5, digest);
	say("digest %s", shown(digest, 8));
	say_buffer("after");
	NUM(hash_method_lookup("nosuch") == NULL);
	free(context);
	buffer_free(&buf);
}

static void hash_of_what_is_accepted(void)
{
	const struct hash_method *method = hash_method_lookup("sha256");
	void *context = calloc(1, method->context_size);
	struct ostream *end, *s;

	method->init(context);
	buf = buffer_create_dynamic(default_pool, 64);
	end = o_stream_create_buffer(buf);
	o_stream_set_max_buffer_size(end, 4);
	s = o_stream_create_hash(end, method, context);
	CALL(o_stream_send_str(s, "abcdef"));
	NUM(s->offset);
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	say_digest(method, context);
	free(context);
	buffer_free(&buf);
}

/* A row: text sent in pieces, a piece ends at each '|'. */
static void dot_row(const char *text, bool force_extra_crlf)
{
	struct ostream *end, *s;
	char copy[64], *piece, *next;
	int ret;

	buf = buffer_create_dynamic(default_pool, 64);
	end = o_stream_create_buffer(buf);
	s = o_stream_create_dot(end, force_extra_crlf);
	snprintf(copy, sizeof(copy), "%s", text);
	for (piece = copy; piece != NULL; piece = next) {
		next = strchr(piece, '|');
		if (next != NULL)
			*next++ = '\0';
		if (o_stream_send_str(s, piece) != (ssize_t)strlen(piece))
			say("a short send");
	}
	ret = o_stream_finish(s);
	say("%s, %d: finish %d, offset %llu, %s", shown_str(text),
	    force_extra_crlf, ret, (unsigned long long)s->offset,
	    shown(buf->data, buf->used));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
	buffer_free(&buf);
}

static void dot(void)
{
	static const char *const rows[] = { "",
					    "a",
					    "a\n",
					    "a\r\n",
					    "a\r",
					    ".",
					    "..",
					    "\n",
					    "\r\n",
					    "\r",
					    ".\n.",
					    ".\r\n.\r\n",
					    "a\n.b\n",
					    "a\r.b",
					    "a\r\r\n.b",
					    "\n\n.\n",
					    "a.b.\n",
					    "\r\n.\r\n",
					    "a\n\r\n",
					    "a\r\n\r",
					    "a\r|\nb",
					    "a|.b",
					    "a\n|.b",
					    "a\r\n|.",
					    "|a||\r||\n.|.",
					    "a\n.\n",
					    ".\r|.\n",
					    "..\r\n..\n",
					    "a\n\n\n" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dot_row(rows[i], false);
		dot_row(rows[i], true);
	}
}

static void dot_finish_stays_above(void)
{
	struct ostream *end, *s;

	buf = buffer_create_dynamic(default_pool, 64);
	end = o_stream_create_buffer(buf);
	s = o_stream_create_dot(end, false);
	CALL(o_stream_send_str(s, "one\n"));
	NUM(o_stream_flush(s));
	say_buffer("flushed");
	NUM(o_stream_finish(s));
	NUM(o_stream_finish(s));
	NUM(o_stream_flush(s));
	say_buffer("finished");
	o_stream_destroy(&s);
	CALL(o_stream_send_str(end, "next"));
	say_buffer("the parent goes on");
	o_stream_destroy(&end);
	buffer_free(&buf);
}

static void dot_over_a_full_pipe(void)
{
	struct ostream *end, *s;
	int fds[2], ret;

	make_pipe(fds);
	fill_pipe(fds, 0);
	end = o_stream_create_fd(fds[1], 6);
	s = o_stream_create_dot(end, false);
	CALL(o_stream_send_str(s, "a\n"));
	NUM(o_stream_get_buffer_used_size(s));
	NUM(o_stream_finish(s));
	NUM(o_stream_finish(s));
	SHOWN(drained(fds));
	ret = o_stream_finish(s);
	SHOWN(drained(fds));
	NUM(ret);
	NUM(o_stream_finish(s));
	SHOWN(drained(fds));
	o_stream_destroy(&s);
	o_stream_destroy(&end);
}

static void dot_fails_with_its_parent(void)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *middle = o_stream_create_failure_at(end, 4, "at four");
	struct ostream *s = o_stream_create_dot(middle, false);

	o_stream_nsend_str(s, "abcdef\n");
	CALL(o_stream_finish(s));
	say("errno %s, error %s", errno_name(s->stream_errno),
	    o_stream_get_error(s));
	o_stream_destroy(&s);
	o_stream_destroy(&middle);
	o_stream_destroy(&end);
}

static void dot_not_finished(void)
{
	struct ostream *end = o_stream_create_file("f", 0, 0600, 0);
	struct ostream *s = o_stream_create_dot(end, false);

	o_stream_set_name(end, "the end");
	CALL(o_stream_send_str(s, "abc\n"));
	o_stream_destroy(&s);
	say("destroyed");
	o_stream_destroy(&end);
}

static void dot_aborted(void)
{
	struct ostream *end, *s;

	buf = buffer_create_dynamic(default_pool, 64);
	end = o_stream_create_buffer(buf);
	s = o_stream_create_dot(end, false);
	CALL(o_stream_send_str(s, "abc\n"));
	o_stream_abort(s);
	o_stream_destroy(&s);
	say_buffer("no end");
	say_ostream("the parent", end);
	o_stream_destroy(&end);
	buffer_free(&buf);
}

static void finish_via_child(void)
{
	struct ostream *end, *s;

	buf = buffer_create_dynamic(default_pool, 64);
	end = o_stream_create_buffer(buf);
	o_stream_set_finish_via_child(end, false);
	s = o_stream_create_failure_at(end, 100, "no");
	CALL(o_stream_send_str(s, "one"));
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	CALL(o_stream_send_str(end, "two"));
	s = o_stream_create_failure_at(end, 100, "no");
	o_stream_set_finish_also_parent(s, false);
	o_stream_set_finish_via_child(end, true);
	NUM(o_stream_finish(s));
	CALL(o_stream_send_str(end, "three"));
	o_stream_destroy(&s);
	say_buffer("all");
	s = o_stream_create_failure_at(end, 100, "no");
	NUM(o_stream_finish(s));
	o_stream_destroy(&s);
	CALL(o_stream_send_str(end, "four"));
}

const struct compat_case compat_ostream_filters[] = {
	{ "ostream-filters hash", hash },
	{ "ostream-filters hash of what is accepted",
	  hash_of_what_is_accepted },
	{ "ostream-filters dot", dot },
	{ "ostream-filters dot finish", dot_finish_stays_above },
	{ "ostream-filters dot over a full pipe", dot_over_a_full_pipe },
	{ "ostream-filters dot and its parent's error",
	  dot_fails_with_its_parent },
	{ "ostream-filters dot not finished", dot_not_finished },
	{ "ostream-filters dot aborted", dot_aborted },
	{ "ostream-filters finish via child", finish_via_child },
	{ NULL, NULL }
};
