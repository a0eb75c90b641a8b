/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reading lines. The line is copied, so that a later seek back shows the bytes
   as they were. */

#include "config.h"
#include "copy-line.h"
#include "istream-private.h"

#include <errno.h>
#include <string.h>

/* Ends the line that was copied, and skips it and the line end behind it. */
static char *end_line(struct istream_private *s, size_t size, size_t skip)
{
	s->line[size] = '\0';
	/* i_stream_skip() of what get_data gave, without looking again */
	s->skip += skip;
	s->istream.v_offset += skip;
	return s->line;
}

/* Takes `size` bytes as a line and skips them and the line end behind them. */
static char *take_line(struct istream_private *s, const unsigned char *data,
		       size_t size, size_t skip)
{
	char *line;

	if (size >= s->line_size) {
		line = try_realloc(s->line,
				   I_MAX(size + 1, (size_t)IO_BLOCK_SIZE / 64));
		if (line == NULL) {
			(void)i_stream_fail(s, ENOMEM, "%s: out of memory",
					    i_stream_get_name(&s->istream));
			return NULL;
		}
		s->line_size = I_MAX(size + 1, (size_t)IO_BLOCK_SIZE / 64);
		s->line = line;
	}
	if (size > 0)
		memcpy(s->line, data, size);
	return end_line(s, size, skip);
}

/* A line of mail, mostly: it is short, all of it is there, and there is memory for
   it. NULL: it is not. */
static char *take_short_line(struct istream_private *s,
			     const unsigned char *data, size_t size)
{
	size_t len;
	bool crlf;

	if (s->line_searched > 0)
		return NULL;
	len = copy_line((unsigned char *)s->line, data,
			I_MIN(size, s->line_size));
	if (len == COPY_LINE_NONE)
		return NULL;
	crlf = len > 0 && data[len - 1] == '\r';
	s->line_crlf = crlf;
	return end_line(s, len - (crlf ? 1 : 0), len + 1);
}

char *i_stream_next_line(struct istream *stream)
{
	struct istream_private *s = stream->real_stream;
	const unsigned char *data, *lf = NULL;
	size_t size, len;
	char *line;

	/* what is not a view cannot be stale */
	if (s->is_view)
		(void)i_stream_get_data(stream, &size);
	size = s->pos - s->skip;
	if (size == 0)
		return NULL;
	data = s->buffer + s->skip;
	line = take_short_line(s, data, size);
	if (line != NULL)
		return line;
	if (s->line_searched < size)
		lf = memchr(data + s->line_searched, '\n',
			    size - s->line_searched);
	if (lf == NULL) {
		s->line_searched = size;
		if (!stream->eof || stream->stream_errno != 0 ||
		    !s->return_nolf_line)
			return NULL;
		s->line_searched = 0;
		/* a CR that no LF follows is one of its letters */
		s->line_crlf = false;
		return take_line(s, data, size, size);
	}
	s->line_searched = 0;
	len = (size_t)(lf - data);
	s->line_crlf = len > 0 && data[len - 1] == '\r';
	return take_line(s, data, s->line_crlf ? len - 1 : len, len + 1);
}

char *i_stream_read_next_line(struct istream *stream)
{
	char *line;
	ssize_t ret;

	for (;;) {
		line = i_stream_next_line(stream);
		if (line != NULL)
			return line;
		ret = i_stream_read(stream);
		if (ret == -2) {
			(void)i_stream_fail(
				stream->real_stream, ENOBUFS,
				"%s: the line at offset %llu is longer than "
				"%zu bytes",
				i_stream_get_name(stream),
				(unsigned long long)stream->v_offset,
				i_stream_get_data_size(stream));
			return NULL;
		}
		if (ret <= 0)
			return i_stream_next_line(stream);
	}
}

bool i_stream_last_line_crlf(struct istream *stream)
{
	return stream->real_stream->line_crlf;
}

void i_stream_set_return_partial_line(struct istream *stream, bool set)
{
	stream->real_stream->return_nolf_line = set;
}
