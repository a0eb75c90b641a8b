/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Whether a stored body is SMTP wire form (RFC 5321 4.5.2): nobody looks when it is stored,
   and who reads the message as it was would find out too late. */

#include "config.h"
#include "spool-stacks.h"
#include "istream.h"
#include "mem.h"

#include <errno.h>

/* All that the reader of the message would read: 0, or the errno with io_set_error() of what
   has nothing to do with its form. */
static int read_message(struct istream *body, struct spool_wire *wire)
{
	struct istream *dot = i_stream_create_dot(body, 0);
	struct istream *message = i_stream_create_whole(dot, body);
	uint64_t size;
	int error;

	i_stream_unref(&dot);
	error = spool_read_through(message, &size);
	if (error == EINVAL || error == EPIPE) {
		wire->why = i_strdup(i_stream_get_error(message));
		error = 0;
	}
	i_stream_unref(&message);
	return error;
}

/* What is behind it is read, too: that the bytes are others than those that were written is
   what a stack, or a hash, says at their end. */
int spool_read_wire(struct istream *body, struct spool_wire *wire)
{
	int error;

	wire->why = NULL;
	error = read_message(body, wire);
	return error != 0 ? error : spool_read_through(body, &wire->size);
}

int spool_wire_fail(struct spool_wire *wire)
{
	int error = wire->why == NULL ? 0 : EILSEQ;

	if (error != 0)
		io_set_error("the body is not SMTP wire form, and was stored "
			     "so (%s): \"bobbin spool get --wire\" writes all "
			     "of it",
			     wire->why);
	i_free_and_null(wire->why);
	errno = error;
	return error;
}
