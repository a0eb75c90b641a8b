/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The panic handler, and what stands between it and an endless recursion. */

#include "config.h"
#include "panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bobbin_panic_handler_t *panic_handler;
static void *panic_context;

/* A handler that panics itself would recurse until the stack is gone. Since it
   may also leave by longjmp(), "a handler runs" cannot be kept in a flag. But
   a recursion goes ever deeper down the stack, while handlers that left give
   their stack back: this many panics, each below the one before, are one. */
#define PANIC_DEPTH_MAX 16
static _Thread_local uintptr_t last_frame;
static _Thread_local unsigned int depth;

static bool handler_recurses(void)
{
	uintptr_t frame = BOBBIN_FRAME_ADDRESS();

	depth = last_frame != 0 && frame < last_frame ? depth + 1 : 0;
	last_frame = frame;
	return depth >= PANIC_DEPTH_MAX;
}

void bobbin_set_panic_handler(bobbin_panic_handler_t *handler, void *context)
{
	panic_handler = handler;
	panic_context = context;
}

void i_panic(const char *fmt, ...)
{
	/* on the stack: a panic may be about the heap */
	char text[1024];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (panic_handler != NULL && !handler_recurses())
		panic_handler(text, panic_context);
	else
		(void)fprintf(stderr, "Panic: %s\n", text);
	abort();
}
