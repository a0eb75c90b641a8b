/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "thread-start.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

int thread_start(pthread_t *thread, void *(*main)(void *), void *context)
{
	sigset_t all, old;
	int error;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(thread, NULL, main, context);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return error;
}

unsigned int thread_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : (unsigned int)cpus;
}
