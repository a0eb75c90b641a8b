/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "plumbing/rawlog.h"
#include "file-ops.h"
#include "ostream-private.h"

#include <string.h>

/* A longer line is cut. */
#define MAX_LINE ((size_t)8192)

void rawlog_init(struct rawlog *log, struct ostream *output,
		 enum iostream_rawlog_flags flags, char direction)
{
	memset(log, 0, sizeof(*log));
	log->output = output;
	log->close_fd = -1;
	log->flags = flags;
	log->direction = direction;
	if ((flags & IOSTREAM_RAWLOG_FLAG_BUFFERED) != 0)
		log->line = buffer_create_dynamic(default_pool, 128);
}

struct ostream *rawlog_fd_output(const char *path, int fd)
{
	/* by write(), so that several logs may have one fd */
	struct ostream *output = o_stream_create_fd_blocking(fd);

	o_stream_set_name(output, path);
	o_stream_set_no_error_handling(output, true);
	return output;
}

/* Whoever else has a reference may go on with it, and looks for its errors. */
static void let_go_of_output(struct rawlog *log)
{
	struct ostream *output = log->output;

	if (output->real_stream->iostream.refcount == 1) {
		o_stream_set_no_error_handling(output, true);
		if (o_stream_finish(output) <= 0)
			o_stream_abort(output);
	}
	o_stream_unref(&log->output);
}

static void give_up(struct rawlog *log)
{
	let_go_of_output(log);
	buffer_free(&log->line);
	(void)file_close(&log->close_fd);
}

static void append_stamp(const struct rawlog *log, buffer_t *out, bool ends)
{
	struct timeval now = { 0, 0 };

	if ((log->flags & IOSTREAM_RAWLOG_FLAG_TIMESTAMP) == 0)
		return;
	io_stream_get_time(&now);
	buffer_append_printf(out, "%lld.%06u ", (long long)now.tv_sec,
			     (unsigned int)now.tv_usec);
	if (log->line != NULL)
		buffer_append_printf(out, "%c%c ", log->direction,
				     ends ? ':' : '>');
}

/* One line of the log: what has come of the stream's line. */
static bool append_line(struct rawlog *log, buffer_t *out, bool ends)
{
	append_stamp(log, out, ends);
	if (!buffer_try_append(out, log->line->data, log->line->used) ||
	    (!ends && !buffer_try_append(out, "\n", 1)))
		return false;
	buffer_set_used_size(log->line, 0);
	return true;
}

/* A piece up to the end of a line, or of what there is. False without memory. */
static bool append_piece(struct rawlog *log, buffer_t *out, const char *piece,
			 size_t size)
{
	bool ends = piece[size - 1] == '\n';
	size_t part;

	if (log->line == NULL) {
		if (!log->in_line)
			append_stamp(log, out, ends);
		log->in_line = !ends;
		return buffer_try_append(out, piece, size);
	}
	for (; size > 0; piece += part, size -= part) {
		if (log->line->used == MAX_LINE &&
		    !append_line(log, out, false))
			return false;
		part = I_MIN(size, MAX_LINE - log->line->used);
		if (!buffer_try_append(log->line, piece, part))
			return false;
	}
	return !ends || append_line(log, out, true);
}

/* The caller of rawlog_end() may have finished or closed it before. */
static bool can_send(const struct rawlog *log)
{
	return !log->output->closed && log->output->stream_errno == 0 &&
		!log->output->real_stream->finished;
}

static bool send_out(struct rawlog *log, const buffer_t *out)
{
	return out->used == 0 ||
		(can_send(log) &&
		 o_stream_send(log->output, out->data, out->used) ==
			 (ssize_t)out->used);
}

void rawlog_write(struct rawlog *log, const void *data, size_t size)
{
	const char *piece = data, *end = piece + size, *lf;
	buffer_t *out;
	size_t part;
	bool ok = true;

	if (log->output == NULL || size == 0)
		return;
	out = buffer_create_dynamic(default_pool, 0);
	for (; piece < end && ok; piece += part) {
		lf = memchr(piece, '\n', (size_t)(end - piece));
		part = (size_t)(lf == NULL ? end - piece : lf + 1 - piece);
		ok = append_piece(log, out, piece, part);
	}
	if (!ok || !send_out(log, out))
		give_up(log);
	buffer_free(&out);
}

void rawlog_end(struct rawlog *log)
{
	buffer_t *out;

	if (log->output == NULL)
		return;
	if (log->line != NULL && log->line->used > 0) {
		out = buffer_create_dynamic(default_pool, 0);
		if (append_line(log, out, false))
			(void)send_out(log, out);
		buffer_free(&out);
	}
	give_up(log);
}
