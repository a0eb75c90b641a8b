/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "thread-start.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

/* What is usual stays where it is more: 8 MiB in glibc, but 128 KiB in musl. */
static void need_stack(pthread_attr_t *attr)
{
	size_t size;

	if (pthread_attr_getstacksize(attr, &size) == 0 &&
	    size < THREAD_STACK_MIN)
		(void)pthread_attr_setstacksize(attr, THREAD_STACK_MIN);
}

int thread_start(pthread_t *thread, void *(*main)(void *), void *context)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int error = pthread_attr_init(&attr);

	if (error != 0)
		return error;
	need_stack(&attr);
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(thread, &attr, main, context);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return error;
}

unsigned int thread_cpus(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : (unsigned int)cpus;
}
