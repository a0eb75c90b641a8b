/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The clock by which the journal's threads rest, and wait for others. */

#include "config.h"
#include "journal/journal-private.h"

#include <time.h>

uint64_t journal_now_usecs(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) < 0)
		return 0;
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void journal_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

struct timespec journal_time_in(uint64_t usecs)
{
	uint64_t until = journal_now_usecs() + usecs;
	struct timespec ts = { .tv_sec = (time_t)(until / 1000000),
			       .tv_nsec = (long)(until % 1000000) * 1000 };

	return ts;
}
