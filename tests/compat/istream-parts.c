/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Input of a size that is known, without NULs, as quoted-printable, and from a
   callback. */

#include "compat-case.h"

static struct istream *data_stream(const char *text)
{
	return i_stream_create_from_data(text, strlen(text));
}

/*
 * sized
 */

static void sized(void)
{
	struct istream *data = data_stream("hello"), *s;

	for (uoff_t size = 0; size <= 7; size++) {
		i_stream_seek(data, 0);
		say("size %llu", (unsigned long long)size);
		s = i_stream_create_sized(data, size);
		say_rest("sized", s);
		i_stream_destroy(&s);
		i_stream_seek(data, 0);
		s = i_stream_create_min_sized(data, size);
		say_rest("at least", s);
		i_stream_destroy(&s);
	}
	i_stream_destroy(&data);
}

static void sized_range(void)
{
	struct istream *data = data_stream("hello, world"), *s;

	i_stream_seek(data, 3);
	s = i_stream_create_sized_range(data, 7, 5);
	NUM(data->v_offset);
	say_rest("the last five", s);
	i_stream_seek(s, 1);
	say_rest("once more", s);
	i_stream_destroy(&s);
	s = i_stream_create_sized_range(data, 7, 4);
	say_rest("four of them", s);
	i_stream_destroy(&s);
	s = i_stream_create_sized_range(data, 7, 6);
	say_rest("six of five", s);
	i_stream_destroy(&s);
	s = i_stream_create_min_sized_range(data, 7, 4);
	say_rest("at least four", s);
	i_stream_destroy(&s);
	s = i_stream_create_min_sized_range(data, 7, 6);
	say_rest("at least six", s);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static const char *sized_error(const struct istream_sized_error_data *data,
			       void *context)
{
	say("%s: %llu bytes, wanted %llu, eof %d", (const char *)context,
	    (unsigned long long)data->v_offset + data->new_bytes,
	    (unsigned long long)data->wanted_size, data->eof);
	return "the size is wrong";
}

static void sized_with_callback(void)
{
	struct istream *data = data_stream("hello"), *s;

	for (uoff_t size = 4; size <= 6; size++) {
		i_stream_seek(data, 0);
		s = i_stream_create_sized_with_callback(data, size, sized_error,
							(void *)"callback");
		say_rest("sized", s);
		STR(i_stream_get_error(s));
		i_stream_destroy(&s);
	}
	i_stream_destroy(&data);
}

static void sized_trickling(void)
{
	struct istream *pipe_input, *s;
	int fds[2];

	make_pipe(fds);
	pipe_input = i_stream_create_fd(fds[0], BLOCK);
	s = i_stream_create_sized(pipe_input, 5);
	NUM(i_stream_read(s));
	NUM(write(fds[1], "hel", 3));
	NUM(i_stream_read(s));
	NUM(i_stream_read(s));
	say_data("some", s);
	i_stream_skip(s, 2);
	NUM(write(fds[1], "lo", 2));
	NUM(i_stream_read(s));
	say_data("all", s);
	NUM(i_stream_read(s));
	say_istream("all", s);
	close(fds[1]);
	say_rest("the end", s);
	i_stream_destroy(&s);
	i_stream_destroy(&pipe_input);
}

static void sized_skipped(void)
{
	struct istream *data = data_stream("hello"), *s;

	s = i_stream_create_sized(data, 5);
	i_stream_skip(s, 4);
	say_rest("the last", s);
	i_stream_seek(s, 0);
	say_rest("again", s);
	i_stream_destroy(&s);
	i_stream_seek(data, 0);
	s = i_stream_create_sized(data, 4);
	i_stream_seek(s, 3);
	say_rest("of four", s);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

/*
 * nonuls
 */

static void nonuls(void)
{
	static const struct {
		const char *data;
		size_t size;
	} rows[] = { { "", 0 },          { "abc", 3 },    { "\0", 1 },
		     { "a\0b", 3 },      { "a\0\0b", 4 }, { "\0\0\0", 3 },
		     { "a\0b\0c\0", 6 }, { "\0a", 2 } };
	struct istream *data, *s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		data = i_stream_create_from_data(rows[i].data, rows[i].size);
		s = i_stream_create_nonuls(data, '?');
		say_rest("nonuls", s);
		i_stream_destroy(&s);
		i_stream_seek(data, 0);
		s = i_stream_create_nonuls(data, (char)0x80);
		say_rest("another", s);
		i_stream_destroy(&s);
		i_stream_destroy(&data);
	}
}

static void nonuls_seek(void)
{
	struct istream *data = i_stream_create_from_data("a\0b\0c", 5), *s;
	uoff_t size = 99;

	s = i_stream_create_nonuls(data, '?');
	NUM(i_stream_get_size(s, true, &size));
	NUM(size);
	say_rest("first", s);
	i_stream_seek(s, 1);
	say_rest("from one", s);
	i_stream_seek(s, 0);
	say_rest("from the beginning", s);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
}

static void nonuls_trickling(void)
{
	static const char bytes[] = "a\0\0b";
	struct istream *pipe_input, *s;
	int fds[2];

	make_pipe(fds);
	pipe_input = i_stream_create_fd(fds[0], BLOCK);
	s = i_stream_create_nonuls(pipe_input, ' ');
	for (size_t i = 0; i < sizeof(bytes) - 1; i++) {
		NUM(write(fds[1], bytes + i, 1));
		NUM(i_stream_read(s));
		NUM(i_stream_read(s));
		say_data("nonuls", s);
	}
	close(fds[1]);
	say_rest("rest", s);
	i_stream_destroy(&s);
	i_stream_destroy(&pipe_input);
}

/*
 * qp
 */

static void qp_encoder(void)
{
	static const char *const rows[] = { "",      "hello",    "a=b",
					    "a b",   "\xc3\xa4", "a\r\nb",
					    "a\nb",  "a \r\nb",  "a\t\r\n",
					    "a\r\n", "." };
	struct istream *data, *s;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		say("text %s", shown_str(rows[i]));
		data = data_stream(rows[i]);
		s = i_stream_create_qp_encoder(data, 0);
		say_rest("text", s);
		i_stream_destroy(&s);
		i_stream_seek(data, 0);
		s = i_stream_create_qp_encoder(data,
					       QP_ENCODER_FLAG_BINARY_DATA);
		say_rest("binary", s);
		i_stream_destroy(&s);
		i_stream_destroy(&data);
	}
}

/* Streams that nobody destroys: libdovecot 2.3 dies of it. */
static struct istream *kept[16];

static void qp_decoder(void)
{
	static const char *const rows[] = { "",         "hello",     "a=3Db",
					    "a=\r\nb",  "a=\nb",     "a \r\nb",
					    "a=C3=A4",  "a\r\n",     "a=3",
					    "a=3db",    "a=20\r\nb", "a=\r\n",
					    "a=  \r\nb" };
	struct istream *data;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		say("text %s", shown_str(rows[i]));
		data = data_stream(rows[i]);
		kept[i] = i_stream_create_qp_decoder(data);
		say_rest("decoded", kept[i]);
		i_stream_unref(&data);
	}
}

static void qp_decoder_destroyed(void)
{
	struct istream *data = data_stream("a=3Db");
	struct istream *s = i_stream_create_qp_decoder(data);

	say_rest("decoded", s);
	i_stream_destroy(&s);
	i_stream_destroy(&data);
	say("destroyed");
}

/*
 * callback
 */

struct pieces {
	const char *const *next; /* "": nothing now; NULL: the end */
	struct istream *stream;
	int error;
	unsigned int calls;
};

static bool next_piece(buffer_t *buf, void *context)
{
	struct pieces *pieces = context;

	pieces->calls++;
	if (*pieces->next == NULL) {
		if (pieces->error != 0)
			i_stream_callback_set_error(pieces->stream,
						    pieces->error, "no more");
		return false;
	}
	buffer_append(buf, *pieces->next, strlen(*pieces->next));
	pieces->next++;
	return true;
}

static void callback(void)
{
	static const char *const texts[] = { "hel", "lo", NULL };
	struct pieces pieces = { texts, NULL, 0, 0 };
	struct istream *s;

	s = i_stream_create_callback(next_piece, (void *)&pieces);
	NUM(s->blocking);
	NUM(s->seekable);
	NUM(i_stream_read(s));
	say_data("one", s);
	NUM(i_stream_read(s));
	say_data("two", s);
	NUM(i_stream_read(s));
	NUM(i_stream_read(s));
	NUM(pieces.calls);
	say_rest("all", s);
	i_stream_destroy(&s);
}

static void callback_fails(void)
{
	static const char *const texts[] = { "hello", NULL };
	struct pieces pieces = { texts, NULL, EIO, 0 };
	struct istream *s;

	s = i_stream_create_callback(next_piece, (void *)&pieces);
	pieces.stream = s;
	say_rest("failed", s);
	STR(i_stream_get_error(s));
	i_stream_destroy(&s);
}

static void callback_waits(void)
{
	static const char *const texts[] = { "", "hello", NULL };
	struct pieces pieces = { texts, NULL, 0, 0 };
	struct istream *s;

	s = i_stream_create_callback(next_piece, (void *)&pieces);
	NUM(i_stream_read(s));
	say_istream("nothing", s);
	NUM(i_stream_read(s));
	NUM(pieces.calls);
	say_rest("all", s);
	i_stream_destroy(&s);
}

static void callback_header(void)
{
	static const char *const texts[] = { "body", NULL };
	struct pieces pieces = { texts, NULL, 0, 0 };
	struct istream *s;

	s = i_stream_create_callback(next_piece, (void *)&pieces);
	i_stream_callback_append_str(s, "a header, ");
	i_stream_callback_append(s, "and more, ", 10);
	buffer_append(i_stream_callback_get_buffer(s), "and by hand, ", 13);
	say_rest("all", s);
	i_stream_destroy(&s);
}

const struct compat_case compat_istream_parts[] = {
	{ "istream-parts sized", sized },
	{ "istream-parts sized range", sized_range },
	{ "istream-parts sized with callback", sized_with_callback },
	{ "istream-parts sized trickling", sized_trickling },
	{ "istream-parts sized skipped", sized_skipped },
	{ "istream-parts nonuls", nonuls },
	{ "istream-parts nonuls seek", nonuls_seek },
	{ "istream-parts nonuls trickling", nonuls_trickling },
	{ "istream-parts qp encoder", qp_encoder },
	{ "istream-parts qp decoder", qp_decoder },
	{ "istream-parts qp decoder destroyed", qp_decoder_destroyed },
	{ "istream-parts callback", callback },
	{ "istream-parts callback fails", callback_fails },
	{ "istream-parts callback waits", callback_waits },
	{ "istream-parts callback and a header", callback_header },
	{ NULL, NULL }
};
