/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_PANIC_H
#define BOBBIN_PANIC_H

/* A panic is the answer to wrong use of the API, never to bad input, a full
   disk or a lost connection: those are errors of the stream. */

#include "types.h"

BOBBIN_BEGIN_DECLS

/* Called with the text of the panic, without a newline. It may leave by
   longjmp() or end the process; if it returns, the process is aborted. If it
   panics over and over itself, the default takes over. */
typedef void bobbin_panic_handler_t(const char *text, void *context);

/* Sets the process-wide panic handler; NULL restores the default, which prints
   "Panic: TEXT" to stderr and aborts. Set it before threads are started. */
void bobbin_set_panic_handler(bobbin_panic_handler_t *handler, void *context);

/* Formats the text and panics with it. */
void i_panic(const char *fmt, ...) ATTR_FORMAT(1, 2) ATTR_NORETURN ATTR_COLD;

/* Panics, naming the place, unless the expression holds. */
#define i_assert(expr)                                                     \
	((expr) ? (void)0 :                                                \
		  i_panic("file %s: line %d (%s): assertion failed: (%s)", \
			  __FILE__, __LINE__, __func__, #expr))

BOBBIN_END_DECLS

#endif
