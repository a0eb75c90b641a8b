/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "process-mark.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool is_counted;
static atomic_uint_fast64_t forks;

static void count_fork(void)
{
	(void)atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

static void begin_counting(void)
{
	is_counted = pthread_atfork(NULL, NULL, count_fork) == 0;
}

uint64_t process_mark(void)
{
	(void)pthread_once(&once, begin_counting);
	/* there was no memory for that */
	if (!is_counted)
		return (uint64_t)getpid();
	return atomic_load_explicit(&forks, memory_order_relaxed);
}
