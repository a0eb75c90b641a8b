/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_DOT_BLOCKS_H
#define BOBBIN_DOT_BLOCKS_H

/* The fast part of the dot encoder. Not installed. */

#include "transform.h"

/* Moves whole blocks of text in wire form as long as the windows are large enough for
   them; what is left is less than two blocks, or has less room than four. in[-1] must
   be there to read: the byte before decides about the first one. */
void dot_encode_blocks(struct transform_io *io);
/* The same without instructions that not every CPU has, for tests. */
void dot_encode_blocks_portable(struct transform_io *io);

#endif
