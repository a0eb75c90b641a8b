/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_PROCESS_MARK_H
#define BOBBIN_PROCESS_MARK_H

/* Whether this is still the process that made something, asked without a system call. Not
   installed. */

#include <stdint.h>

/* A child, whether fork(), _Fork() or clone() made it with memory of its own, has another
   one than each of its ancestors. */
uint64_t process_mark(void);

#endif
