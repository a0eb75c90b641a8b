/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Lines. */

#include "compat-case.h"

static void say_lines(struct istream *s)
{
	const char *line;

	while ((line = i_stream_read_next_line(s)) != NULL)
		say("line %s, crlf %d, v_offset %llu", shown_str(line),
		    i_stream_last_line_crlf(s),
		    (unsigned long long)s->v_offset);
	say_istream("no more", s);
	say_data("no more", s);
}

static const char *const texts[] = {
	"",          "a",          "a\n",       "a\r\n",  "\n",
	"\r\n",      "\r\r\n",     "\r",        "a\rb\n", "a\nb\r\nc\nd",
	"a\r\n\r\n", "\n\n\r\n\n", "a\r\r\n\r", "a\n\r"
};

static void memory(void)
{
	struct istream *s;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		say("text %s", shown_str(texts[i]));
		s = i_stream_create_from_data(texts[i], strlen(texts[i]));
		say_lines(s);
		i_stream_destroy(&s);
	}
}

static void partial(void)
{
	struct istream *s;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		say("text %s", shown_str(texts[i]));
		s = i_stream_create_from_data(texts[i], strlen(texts[i]));
		i_stream_set_return_partial_line(s, true);
		say_lines(s);
		i_stream_destroy(&s);
	}
}

/* Every place where what is read so far may end. */
static void trickling(void)
{
	static const char text[] = "one\r\ntwo\n\r\r\nlast";
	struct istream *s;
	const char *line;
	int fds[2];

	make_pipe(fds);
	s = i_stream_create_fd(fds[0], BLOCK);
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		NUM(write(fds[1], text + i, 1));
		line = i_stream_next_line(s);
		if (line != NULL)
			say("at %zu without reading: %s", i, shown_str(line));
		line = i_stream_read_next_line(s);
		if (line != NULL)
			say("at %zu: %s, crlf %d", i, shown_str(line),
			    i_stream_last_line_crlf(s));
	}
	close(fds[1]);
	i_stream_set_return_partial_line(s, true);
	STR(i_stream_read_next_line(s));
	say_istream("end", s);
	i_stream_destroy(&s);
}

static void only_what_is_buffered(void)
{
	struct istream *s = i_stream_create_from_data("a\nb\nc", 5);

	STR(i_stream_next_line(s));
	NUM(i_stream_read(s));
	STR(i_stream_next_line(s));
	STR(i_stream_next_line(s));
	STR(i_stream_next_line(s));
	say_data("left", s);
	i_stream_destroy(&s);
}

static void too_long(void)
{
	struct istream *s;

	write_file("f", "short\n0123456789abcdef\nnext\n");
	s = i_stream_create_file("f", 10);
	STR(i_stream_read_next_line(s));
	STR(i_stream_read_next_line(s));
	say("errno %s, eof %d, v_offset %llu", errno_name(s->stream_errno),
	    s->eof, (unsigned long long)s->v_offset);
	NUM(strlen(i_stream_get_error(s)) > 0);
	STR(i_stream_read_next_line(s));
	say_data("what was read", s);
	i_stream_destroy(&s);
}

static void exactly_as_long(void)
{
	struct istream *s;

	write_file("f", "012345678\n01234567\r\n0123456789\n");
	s = i_stream_create_file("f", 10);
	STR(i_stream_read_next_line(s));
	STR(i_stream_read_next_line(s));
	STR(i_stream_read_next_line(s));
	say("errno %s", errno_name(s->stream_errno));
	i_stream_destroy(&s);
}

static void with_a_nul(void)
{
	struct istream *s = i_stream_create_from_data("a\0b\nc\n", 6);
	const char *line = i_stream_read_next_line(s);

	STR(line);
	NUM(s->v_offset);
	STR(i_stream_read_next_line(s));
	i_stream_destroy(&s);
}

static void of_a_limit(void)
{
	struct istream *data =
		i_stream_create_from_data("one\ntwo\nthree\n", 14);
	struct istream *s = i_stream_create_limit(data, 6);

	say_lines(s);
	i_stream_destroy(&s);
	NUM(data->v_offset);
	s = i_stream_create_range(data, 4, 6);
	i_stream_set_return_partial_line(s, true);
	say_lines(s);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static void of_a_concat(void)
{
	struct istream *parts[] = { i_stream_create_from_data("one\r", 4),
				    i_stream_create_from_data("\ntw", 3),
				    i_stream_create_from_data("o\nx", 3),
				    NULL };
	struct istream *s = i_stream_create_concat(parts);

	for (int i = 0; i < 3; i++)
		i_stream_unref(&parts[i]);
	say_lines(s);
	i_stream_destroy(&s);
}

static void mixed_with_seeks(void)
{
	struct istream *s;

	write_file("f", "one\ntwo\nthree\n");
	s = i_stream_create_file("f", BLOCK);
	STR(i_stream_read_next_line(s));
	i_stream_seek(s, 0);
	STR(i_stream_read_next_line(s));
	i_stream_skip(s, 1);
	STR(i_stream_read_next_line(s));
	i_stream_seek(s, 5);
	STR(i_stream_read_next_line(s));
	STR(i_stream_read_next_line(s));
	STR(i_stream_read_next_line(s));
	i_stream_seek(s, 8);
	STR(i_stream_read_next_line(s));
	i_stream_destroy(&s);
}

static void after_close(void)
{
	struct istream *s = i_stream_create_from_data("a\nb\n", 4);

	NUM(i_stream_read(s));
	i_stream_close(s);
	STR(i_stream_next_line(s));
	STR(i_stream_next_line(s));
	STR(i_stream_read_next_line(s));
	say_istream("closed", s);
	i_stream_destroy(&s);
}

static void before_an_error(void)
{
	struct istream *data = i_stream_create_from_data("a\nbc", 4);
	struct istream *s = i_stream_create_failure_at_eof(data, EIO, "at end");

	say_lines(s);
	i_stream_destroy(&s);
	i_stream_seek(data, 0);
	s = i_stream_create_failure_at_eof(data, EIO, "at end");
	i_stream_set_return_partial_line(s, true);
	say_lines(s);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

const struct compat_case compat_istream_lines[] = {
	{ "istream-lines memory", memory },
	{ "istream-lines partial", partial },
	{ "istream-lines trickling", trickling },
	{ "istream-lines buffered only", only_what_is_buffered },
	{ "istream-lines too long", too_long },
	{ "istream-lines exactly as long", exactly_as_long },
	{ "istream-lines with a NUL", with_a_nul },
	{ "istream-lines of a limit", of_a_limit },
	{ "istream-lines of a concat", of_a_concat },
	{ "istream-lines mixed with seeks", mixed_with_seeks },
	{ "istream-lines after close", after_close },
	{ "istream-lines before an error", before_an_error },
	{ NULL, NULL }
};
