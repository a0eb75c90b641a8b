/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STREAM_KINDS_PRIVATE_H
#define BOBBIN_STREAM_KINDS_PRIVATE_H

#include "stream-kinds.h"

/* stream-kinds.c: the library's kinds, in their order. */
unsigned int stream_kind_builtin_count(void);
const struct stream_kind *stream_kind_builtin(unsigned int i);

/* stream-registry.c: a kind's function, called with errno 0, returned NULL. The errno to fail
   with, its own or EIO, and why. */
int stream_kind_made_nothing(const char **why_r);
/* The same as a transform that fails so. */
struct transform *stream_kind_no_transform(const struct stream_kind *kind,
					   bool writing);

#endif
