/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bobbin_panic_handler_t *panic_handler;
static void *panic_context;

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
	if (panic_handler != NULL)
		panic_handler(text, panic_context);
	else
		fprintf(stderr, "Panic: %s\n", text);
	abort();
}
