/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_COPY_LINE_H
#define BOBBIN_COPY_LINE_H

/* Copying a line and looking for its end in the same pass. Not installed. */

#include "types.h"

#include <stddef.h>
#include <stdint.h>

#define COPY_LINE_NONE SIZE_MAX

/* Copies up to the first LF: where that is, or COPY_LINE_NONE: there is none, or too
   near to the end. All of the size may be read and written. */
size_t copy_line(unsigned char *out, const unsigned char *in, size_t size);
/* The same without instructions that not every CPU has, for tests. */
size_t copy_line_portable(unsigned char *out, const unsigned char *in,
			  size_t size);

#endif
