/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "thread-each.h"
#include "macros.h"
#include "thread-start.h"

#include <stdatomic.h>

#define THREADS_MAX 16

struct each {
	thread_each_t *call;
	void *context;
	unsigned int count;
	atomic_uint next;
};

static void *each_main(void *context)
{
	struct each *each = context;
	unsigned int i;

	while ((i = atomic_fetch_add(&each->next, 1)) < each->count)
		each->call(each->context, i);
	return NULL;
}

void thread_each(unsigned int count, unsigned int threads, thread_each_t *call,
		 void *context)
{
	struct each each = { .call = call, .context = context, .count = count };
	unsigned int others = I_MIN(I_MIN(threads, count), THREADS_MAX);
	pthread_t started[THREADS_MAX];
	unsigned int i, n = 0;

	atomic_init(&each.next, 0);
	for (i = 1; i < others; i++) {
		if (thread_start(&started[n], each_main, &each) == 0)
			n++;
	}
	(void)each_main(&each);
	for (i = 0; i < n; i++)
		(void)pthread_join(started[i], NULL);
}
