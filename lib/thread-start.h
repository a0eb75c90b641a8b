/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_THREAD_START_H
#define BOBBIN_THREAD_START_H

/* Threads of the library's own. Not installed. */

#include <pthread.h>

/* Bytes of the stack of each, at least: they call modules and codecs, and not all are ours. */
#define THREAD_STACK_MIN ((size_t)1024 * 1024)

/* pthread_create() of a thread that gets none of the program's signals: these are its
   own threads'. 0, or an errno. */
int thread_start(pthread_t *thread, void *(*main)(void *), void *context);

/* How many may run at once: at least 1. */
unsigned int thread_cpus(void);

#endif
