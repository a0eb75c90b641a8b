/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STREAM_KINDS_PRIVATE_H
#define BOBBIN_STREAM_KINDS_PRIVATE_H

#include "stream-kinds.h"

/* stream-kinds.c: the library's kinds, in their order. */
unsigned int stream_kind_builtin_count(void);
const struct stream_kind *stream_kind_builtin(unsigned int i);

#endif
