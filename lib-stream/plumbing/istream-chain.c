/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reads streams one after the other, which are added while it is read. */

#include "config.h"
#include "istream-private.h"

#include <errno.h>

struct chain_link {
	struct chain_link *next;
	struct istream *input; /* NULL: the end */
};

struct istream_chain {
	struct istream_private istream;
	struct chain_link *first, **last;
	bool ends; /* the end was appended */
};

static struct istream_chain *istream_chain(struct istream_private *stream)
{
	return container_of(stream, struct istream_chain, istream);
}

static void drop_first(struct istream_chain *chain)
{
	struct chain_link *link = chain->first;

	chain->first = link->next;
	if (chain->first == NULL)
		chain->last = &chain->first;
	i_stream_unref(&link->input);
	i_free(link);
}

static void next_link(struct istream_chain *chain)
{
	i_stream_set_input_pending(&chain->istream.istream, true);
	drop_first(chain);
}

static struct istream *i_stream_chain_current(struct istream_private *stream)
{
	const struct chain_link *link = istream_chain(stream)->first;

	return link == NULL ? NULL : link->input;
}

static ssize_t i_stream_chain_read(struct istream_private *stream)
{
	struct istream_chain *chain = istream_chain(stream);
	struct istream *input;
	ssize_t ret;

	for (; chain->first != NULL; next_link(chain)) {
		input = chain->first->input;
		if (input == NULL) {
			stream->istream.eof = true;
			return -1;
		}
		if (i_stream_read_from(stream, input, &ret))
			return ret;
	}
	return 0;
}

static void i_stream_chain_each_input(struct istream_private *stream,
				      istream_input_callback_t *callback,
				      void *context)
{
	struct chain_link *link;

	for (link = istream_chain(stream)->first; link != NULL;
	     link = link->next) {
		if (link->input != NULL)
			callback(link->input, context);
	}
}

static void i_stream_chain_destroy(struct iostream_private *stream)
{
	struct istream_chain *chain =
		container_of(stream, struct istream_chain, istream.iostream);

	while (chain->first != NULL)
		drop_first(chain);
}

struct istream *i_stream_create_chain(struct istream_chain **chain_r,
				      size_t max_buffer_size)
{
	struct istream_chain *chain = i_new(struct istream_chain, 1);
	struct istream *stream;

	chain->last = &chain->first;
	chain->istream.iostream.destroy = i_stream_chain_destroy;
	chain->istream.read = i_stream_chain_read;
	chain->istream.each_input = i_stream_chain_each_input;
	chain->istream.current_input = i_stream_chain_current;
	chain->istream.max_buffer_size = max_buffer_size == 0 ? IO_BLOCK_SIZE :
								max_buffer_size;
	stream = i_stream_create(&chain->istream, NULL, -1);
	i_stream_set_name(stream, "(chain)");
	*chain_r = chain;
	return stream;
}

static void append_link(struct istream_chain *chain, struct istream *input)
{
	struct chain_link *link = i_new(struct chain_link, 1);

	if (chain->first == NULL)
		i_stream_set_input_pending(&chain->istream.istream, true);
	link->input = input;
	*chain->last = link;
	chain->last = &link->next;
}

void i_stream_chain_append(struct istream_chain *chain, struct istream *stream)
{
	i_assert(!chain->ends);
	i_stream_add_input(&chain->istream, stream);
	append_link(chain, stream);
}

void i_stream_chain_append_eof(struct istream_chain *chain)
{
	chain->ends = true;
	append_link(chain, NULL);
}
