/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Passes everything on: a stream of its own (with a name, destroy callbacks, an
   offset) on top of another one. All of its methods are the defaults. */

#include "config.h"
#include "ostream-private.h"

struct ostream *o_stream_create_passthrough(struct ostream *output)
{
	return o_stream_create(i_new(struct ostream_private, 1), output, -1);
}
