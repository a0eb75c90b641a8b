/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_THREAD_EACH_H
#define BOBBIN_THREAD_EACH_H

/* One thing for each of many, where they need not know of one another. Not installed. */

typedef void thread_each_t(void *context, unsigned int i);

/* Calls it for each i below `count`, by so many threads at most, this one among them; where
   others cannot be started, by fewer. It returns when all are done, and what they wrote is
   seen. */
void thread_each(unsigned int count, unsigned int threads, thread_each_t *call,
		 void *context);

#endif
