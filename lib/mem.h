/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MEM_H
#define BOBBIN_MEM_H

/* Allocation policy, in one place. Objects of a fixed size below 1 KiB come
   from i_new() and friends, which panic with "out of memory" when the heap is
   gone: no stream could even report it. Whatever grows with input uses the
   try_ functions, and the caller turns NULL into ENOMEM. Not installed. */

#include "types.h"

#include <stdarg.h>

#define I_SMALL_OBJECT_MAX 1024
/* A line of the cache. Between a page and what begins 16 bytes behind one, where heaps put
   what they map, the kernel copies up to a third slower. */
#define I_ALIGN_BLOCK ((size_t)64)

/* Zeroed memory for count objects of a type; count * size below 1 KiB. */
#define i_new(type, count) ((type *)i_calloc((count), sizeof(type)))
void *i_calloc(size_t count, size_t size);
char *i_strdup(const char *str); /* NULL gives NULL */
char *i_strndup(const char *str, size_t max);
char *i_strdup_printf(const char *fmt, ...) ATTR_FORMAT(1, 2);
char *i_strdup_vprintf(const char *fmt, va_list args) ATTR_FORMAT(1, 0);
void i_free(void *ptr);
#define i_free_and_null(ptr)  \
	do {                  \
		i_free(ptr);  \
		(ptr) = NULL; \
	} while (0)

/* NULL and errno ENOMEM when there is no memory. */
void *try_malloc(size_t size) ATTR_WARN_UNUSED_RESULT;
/* The same at a multiple of I_ALIGN_BLOCK bytes, for what is copied as a whole. */
void *try_malloc_block(size_t size) ATTR_WARN_UNUSED_RESULT;
void *try_calloc(size_t count, size_t size) ATTR_WARN_UNUSED_RESULT;
void *try_realloc(void *ptr, size_t size) ATTR_WARN_UNUSED_RESULT;

#endif
