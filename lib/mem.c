/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "mem.h"
#include "panic.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *not_null(void *ptr)
{
	if (BOBBIN_UNLIKELY(ptr == NULL))
		i_panic("out of memory");
	return ptr;
}

/* What each thread of glibc keeps for itself, in bytes, and what goes back to that. calloc()
   takes nothing from there, so that all that is freed would have to go another way. */
#define CACHED_MAX ((size_t)1024)

static bool is_cached(size_t count, size_t size)
{
	return count <= CACHED_MAX / size;
}

/* NULL is allowed. Not inlined: compilers make a calloc() of malloc() and memset(). */
BOBBIN_NOINLINE static void *zero(void *ptr, size_t size)
{
	return ptr == NULL ? NULL : memset(ptr, 0, size);
}

void *i_calloc(size_t count, size_t size)
{
	i_assert(size > 0 && count <= I_SMALL_OBJECT_MAX / size);
	/* calloc(0) may give NULL */
	count = count > 0 ? count : 1;
	return not_null(is_cached(count, size) ?
				zero(malloc(count * size), count * size) :
				calloc(count, size));
}

char *i_strdup(const char *str)
{
	return str == NULL ? NULL : not_null(strdup(str));
}

char *i_strndup(const char *str, size_t max)
{
	return not_null(strndup(str, max));
}

char *i_strdup_vprintf(const char *fmt, va_list args)
{
	char *str;

	if (vasprintf(&str, fmt, args) < 0)
		str = NULL;
	return not_null(str);
}

char *i_strdup_printf(const char *fmt, ...)
{
	va_list args;
	char *str;

	va_start(args, fmt);
	str = i_strdup_vprintf(fmt, args);
	va_end(args);
	return str;
}

void i_free(void *ptr)
{
	free(ptr);
}

/* No object is larger than the difference of two pointers can say. */
static bool too_large(size_t count, size_t size)
{
	if (size == 0 || count <= PTRDIFF_MAX / size)
		return false;
	errno = ENOMEM;
	return true;
}

/* An object of no bytes is one of 1: NULL means that there is no memory. */
void *try_malloc(size_t size)
{
	return too_large(1, size) ? NULL : malloc(size > 0 ? size : 1);
}

void *try_malloc_block(size_t size)
{
	size_t last = I_ALIGN_BLOCK - 1;

	if (too_large(1, size) || too_large(1, size + last))
		return NULL;
	size = size > 0 ? size : 1;
	return aligned_alloc(I_ALIGN_BLOCK, (size + last) & ~last);
}

void *try_calloc(size_t count, size_t size)
{
	if (too_large(count, size))
		return NULL;
	count = count > 0 ? count : 1;
	size = size > 0 ? size : 1;
	return is_cached(count, size) ?
		zero(try_malloc(count * size), count * size) :
		calloc(count, size);
}

void *try_realloc(void *ptr, size_t size)
{
	return too_large(1, size) ? NULL : realloc(ptr, size > 0 ? size : 1);
}
