/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MACROS_H
#define BOBBIN_MACROS_H

#include <stddef.h>

/* Small macros for the implementation; not installed. */

#define N_ELEMENTS(array) (sizeof(array) / sizeof((array)[0]))
#define I_MIN(a, b) ((a) < (b) ? (a) : (b))
#define I_MAX(a, b) ((a) > (b) ? (a) : (b))

/* The struct that embeds `member`, from a pointer to the member. */
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* The processor may fetch what is there, which is read soon. */
#if defined(__GNUC__)
#define I_PREFETCH(ptr) __builtin_prefetch(ptr)
#define I_PREFETCH_WRITE(ptr) __builtin_prefetch(ptr, 1)
#else
#define I_PREFETCH(ptr) ((void)(ptr))
#define I_PREFETCH_WRITE(ptr) ((void)(ptr))
#endif

#endif
