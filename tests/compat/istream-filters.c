/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input through filters: hash, failure-at, dot, line ends, base64. */

#include "compat-case.h"

static struct istream *data_stream(const char *text)
{
	return i_stream_create_from_data(text, strlen(text));
}

static void hash(void)
{
	const struct hash_method *method = hash_method_lookup("sha256");
	void *context = calloc(1, method->context_size);
	struct istream *data = data_stream("hello");
	struct istream *s;
	unsigned char digest[64];

	method->init(context);
	s = i_stream_create_hash(data, method, context);
	say_rest("hash", s);
	method->result(context, digest);
	say("digest %s", shown(digest, 8));
	i_stream_destroy(&s);
	i_stream_destroy(&data);
	free(context);
}

static void failure_at(void)
{
	struct istream *data = data_stream("hello"), *s;

	for (uoff_t at = 0; at <= 6; at += 2) {
		i_stream_seek(data, 0);
		s = i_stream_create_failure_at(data, at, EIO, "the text");
		say_rest("failure", s);
		STR(i_stream_get_error(s));
		i_stream_destroy(&s);
	}
	i_stream_seek(data, 0);
	s = i_stream_create_failure_at_eof(data, ENOSPC, "at end");
	say_rest("failure", s);
	STR(i_stream_get_disconnect_reason(s));
	STR(i_stream_get_error(s));
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static void dot_row(const char *text, int flags)
{
	struct istream *data = data_stream(text);
	struct istream *s = i_stream_create_dot(data, flags);

	i_stream_set_name(data, "data");
	say("text %s, flags %d", shown_str(text), flags);
	say_rest("dot", s);
	i_stream_destroy(&s);
	NUM(data->v_offset);
	i_stream_destroy(&data);
}

static void dot(void)
{
	static const char *const rows[] = { ".\r\n",
					    "a\r\n.\r\n",
					    "..\r\n.\r\n",
					    "\r\n.\r\n",
					    ".a\r\n..b\r\n.\r\n",
					    "a\r\n.\r\nnext",
					    ".\r\nnext",
					    "a.\r\n.b\r\n.\r\n",
					    "a\r\n\r\n.\r\n",
					    "..\r\n...\r\n.\r\n" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dot_row(rows[i], 0);
		dot_row(rows[i], ISTREAM_DOT_TRIM_TRAIL);
	}
}

static void dot_without_an_end(void)
{
	static const char *const rows[] = { "",      ".",      "a",
					    "a\r\n", "a\r\n.", "a\r\n.\r",
					    ".\r",   "\r\n",   "a\r\n.." };

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		dot_row(rows[i], 0);
}

/* Texts that SMTP smuggling is made of. */
static void dot_strict(void)
{
	static const char *const rows[] = {
		"a\n.\r\nb\r\n.\r\n", "a\n.\nb\r\n.\r\n", "a\r\n.\nb\r\n.\r\n",
		"a\r.\rb\r\n.\r\n", "a\n\r\n.\r\n"
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		dot_row(rows[i], 0);
}

static void dot_trickling(void)
{
	static const char text[] = ".a\r\n..b\r\n.\r\nrest";
	struct istream *pipe_input, *s;
	ssize_t ret;
	int fds[2];

	make_pipe(fds);
	pipe_input = i_stream_create_fd(fds[0], BLOCK);
	s = i_stream_create_dot(pipe_input, 0);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		NUM(write(fds[1], text + i, 1));
		while ((ret = i_stream_read(s)) > 0)
			;
		if (ret < 0)
			break;
	}
	say_data("dot", s);
	say_istream("dot", s);
	NUM(pipe_input->v_offset);
	i_stream_destroy(&s);
	i_stream_destroy(&pipe_input);
}

static void line_ends(void)
{
	static const char *const rows[] = { "",       "a\n",    "a\r\n",
					    "\r\r\n", "a\rb",   "a\r",
					    "\n\n",   "\n\r\n", "a\nb\r\nc" };
	struct istream *data, *s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		say("text %s", shown_str(rows[i]));
		data = data_stream(rows[i]);
		s = i_stream_create_crlf(data);
		say_rest("crlf", s);
		i_stream_destroy(&s);
		i_stream_seek(data, 0);
		s = i_stream_create_lf(data);
		say_rest("lf", s);
		i_stream_destroy(&s);
		i_stream_destroy(&data);
	}
}

static void base64(void)
{
	static const char *const rows[] = { "aGVsbG8=",     "aGVsbG8h",   "",
					    "aGVs\r\nbG8=", "aGVsbG8=\n", "aGV",
					    "a*Vs" };
	struct istream *data, *s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		say("text %s", shown_str(rows[i]));
		data = data_stream(rows[i]);
		s = i_stream_create_base64_decoder(data);
		say_data("new", s);
		while (i_stream_read(s) > 0)
			;
		say_data("read", s);
		say("errno %s, eof %d", errno_name(s->stream_errno), s->eof);
		i_stream_destroy(&s);
		i_stream_destroy(&data);
	}
}

static void base64_encoder(void)
{
	char *text = make_text(100);
	struct istream *data, *s;

	for (unsigned int line = 0; line <= 76; line += 76) {
		for (size_t size = 0; size <= 60; size += 20) {
			data = i_stream_create_from_data(text, size);
			say("%zu bytes, lines of %u", size, line);
			s = i_stream_create_base64_encoder(data, line,
							   size >= 40);
			say_rest("encoded", s);
			i_stream_destroy(&s);
			i_stream_destroy(&data);
		}
	}
	free(text);
}

const struct compat_case compat_istream_filters[] = {
	{ "istream-filters hash", hash },
	{ "istream-filters failure at", failure_at },
	{ "istream-filters dot", dot },
	{ "istream-filters dot without an end", dot_without_an_end },
	{ "istream-filters dot strict", dot_strict },
	{ "istream-filters dot trickling", dot_trickling },
	{ "istream-filters line ends", line_ends },
	{ "istream-filters base64", base64 },
	{ "istream-filters base64 encoder", base64_encoder },
	{ NULL, NULL }
};
