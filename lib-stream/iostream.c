/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "iostream.h"
#include "iostream-private.h"
#include "istream.h"
#include "ostream.h"

#include <errno.h>
#include <time.h>

struct iostream_destroy_callback {
	struct iostream_destroy_callback *next;
	void (*callback)(void *context);
	void *context;
};

void io_stream_set_verror(struct iostream_private *stream, const char *fmt,
			  va_list args)
{
	char *error = i_strdup_vprintf(fmt, args);

	/* the old text may be among the arguments */
	i_free(stream->error);
	stream->error = error;
}

const char *io_stream_disconnect_reason(struct iostream_private *stream,
					int stream_errno, const char *error)
{
	if (stream_errno == 0 || stream_errno == EPIPE)
		return "Connection closed";
	i_free(stream->disconnect_reason);
	stream->disconnect_reason =
		i_strdup_printf("Connection closed: %s", error);
	return stream->disconnect_reason;
}

const char *io_stream_get_disconnect_reason(struct istream *input,
					    struct ostream *output)
{
	if (input != NULL && input->stream_errno != 0)
		return i_stream_get_disconnect_reason(input);
	if (output != NULL && output->stream_errno != 0)
		return o_stream_get_disconnect_reason(output);
	return "Connection closed";
}

void io_stream_set_name(struct iostream_private *stream, const char *name)
{
	char *copy = i_strdup(name);

	i_free(stream->name);
	stream->name = copy;
}

void io_stream_set_fd_name(struct iostream_private *stream, int fd)
{
	i_free(stream->name);
	stream->name = i_strdup_printf("(fd %d)", fd);
}

void io_stream_add_destroy_callback(struct iostream_private *stream,
				    void (*callback)(void *), void *context)
{
	struct iostream_destroy_callback **pos = &stream->destroy_callbacks;

	while (*pos != NULL)
		pos = &(*pos)->next;
	*pos = i_new(struct iostream_destroy_callback, 1);
	(*pos)->callback = callback;
	(*pos)->context = context;
}

void io_stream_remove_destroy_callback(struct iostream_private *stream,
				       void (*callback)(void *))
{
	struct iostream_destroy_callback **pos = &stream->destroy_callbacks;
	struct iostream_destroy_callback *found;

	while (*pos != NULL && (*pos)->callback != callback)
		pos = &(*pos)->next;
	if (*pos == NULL)
		i_panic("stream has no such destroy callback");
	found = *pos;
	*pos = found->next;
	i_free(found);
}

void io_stream_free(struct iostream_private *stream)
{
	struct iostream_destroy_callback *first;

	while ((first = stream->destroy_callbacks) != NULL) {
		stream->destroy_callbacks = first->next;
		first->callback(first->context);
		i_free(first);
	}
	i_free_and_null(stream->name);
	i_free_and_null(stream->error);
	i_free_and_null(stream->disconnect_reason);
}

struct ioloop *io_stream_get_ioloop(const struct iostream_private *stream)
{
	return stream->ioloop != NULL ? stream->ioloop : io_loop_get_current();
}

void io_stream_get_time(struct timeval *tv_r)
{
	struct timespec ts;

	/* the coarse clock costs a few nanoseconds */
	if (clock_gettime(CLOCK_REALTIME_COARSE, &ts) < 0)
		return;
	tv_r->tv_sec = ts.tv_sec;
	tv_r->tv_usec = ts.tv_nsec / 1000;
}

size_t size_add_saturate(size_t a, size_t b)
{
	return b > SIZE_MAX - a ? SIZE_MAX : a + b;
}
