/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reads the first of several streams that does not find its input invalid. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>

struct try_istream {
	struct istream_private istream;
	struct istream **inputs; /* NULL: dropped */
	unsigned int count, current;
	bool chosen;
};

static void choose_current(struct try_istream *try)
{
	unsigned int i;

	for (i = 0; i < try->count; i++) {
		if (i != try->current)
			i_stream_unref(&try->inputs[i]);
	}
	try->chosen = true;
}

/* The current input ended: whether it is another one's turn. */
static bool try_next(struct try_istream *try, int stream_errno)
{
	if (stream_errno != EINVAL || try->chosen ||
	    try->current + 1 == try->count)
		return false;
	i_stream_set_input_pending(&try->istream.istream, true);
	i_stream_unref(&try->inputs[try->current]);
	try->current++;
	return true;
}

static struct istream *i_stream_try_current(struct istream_private *stream)
{
	const struct try_istream *try =
		container_of(stream, struct try_istream, istream);

	return try->inputs[try->current];
}

static ssize_t i_stream_try_read(struct istream_private *stream)
{
	struct try_istream *try =
		container_of(stream, struct try_istream, istream);
	const unsigned char *data;
	struct istream *input;
	size_t size;
	int ret;

	for (;;) {
		input = try->inputs[try->current];
		ret = i_stream_read_more(input, &data, &size);
		if (ret > 0) {
			choose_current(try);
			return i_stream_take_from(stream, input);
		}
		if (ret == 0) {
			if (try->chosen || !i_stream_waits_for_tee(input))
				return 0;
			/* it has seen a whole buffer and does not object */
			choose_current(try);
		} else if (!try_next(try, input->stream_errno)) {
			break;
		}
	}
	if (input->stream_errno != 0)
		return i_stream_fail(stream, input->stream_errno, "%s",
				     i_stream_get_error(input));
	choose_current(try);
	stream->istream.eof = true;
	return -1;
}

static void i_stream_try_each_input(struct istream_private *stream,
				    istream_input_callback_t *callback,
				    void *context)
{
	struct try_istream *try =
		container_of(stream, struct try_istream, istream);
	unsigned int i;

	for (i = 0; i < try->count; i++) {
		if (try->inputs[i] != NULL)
			callback(try->inputs[i], context);
	}
}

static void i_stream_try_destroy(struct iostream_private *stream)
{
	struct try_istream *try =
		container_of(stream, struct try_istream, istream.iostream);
	unsigned int i;

	for (i = 0; i < try->count; i++)
		i_stream_unref(&try->inputs[i]);
	i_free(try->inputs);
}

static void try_add(struct try_istream *try, struct istream *input)
{
	struct istream_private *s = &try->istream;

	i_stream_add_input(s, input);
	try->inputs[try->count++] = input;
	s->max_buffer_size =
		I_MAX(s->max_buffer_size, i_stream_get_max_buffer_size(input));
}

struct istream *i_stream_create_try(struct istream *const inputs[])
{
	struct try_istream *try;
	struct istream *stream;
	unsigned int count = 0, i;

	while (inputs[count] != NULL)
		count++;
	i_assert(count > 0);
	try = i_new(struct try_istream, 1);
	try->inputs = i_new(struct istream *, count);
	try->istream.iostream.destroy = i_stream_try_destroy;
	try->istream.read = i_stream_try_read;
	try->istream.each_input = i_stream_try_each_input;
	try->istream.current_input = i_stream_try_current;
	stream = i_stream_create(&try->istream, NULL, -1);
	stream->blocking = true;
	for (i = 0; i < count; i++)
		try_add(try, inputs[i]);
	i_stream_set_name(stream, "(try)");
	return stream;
}
