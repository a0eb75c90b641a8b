/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "iostream-private.h"

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

void io_stream_set_error(struct iostream_private *stream, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	io_stream_set_verror(stream, fmt, args);
	va_end(args);
}

void io_stream_set_name(struct iostream_private *stream, const char *name)
{
	char *copy = i_strdup(name);

	i_free(stream->name);
	stream->name = copy;
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
