/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef SCHEDULE_PRIVATE_H
#define SCHEDULE_PRIVATE_H

/* Who goes on (schedule.c), for the calls that wait (schedule-calls.c). */

#include "schedule.h"

#include <pthread.h>
#include <semaphore.h>

enum schedule_wait {
	SCHEDULE_NOTHING,
	SCHEDULE_MUTEX,
	SCHEDULE_COND,
	SCHEDULE_SEM,
	SCHEDULE_ONCE,
	SCHEDULE_THREAD,
	SCHEDULE_EVENTS,
	SCHEDULE_END
};

struct schedule_thread {
	/* another one may have it once this one has ended and is detached */
	pthread_t id;
	bool is_detached;
	sem_t go; /* posted when it is its turn */
	void *(*main)(void *);
	void *context;
	/* what it waits for, and where that is */
	enum schedule_wait wait;
	const void *on;
	bool is_timed, timed_out;
	uint64_t deadline; /* microseconds */
	bool saw_nothing;  /* of events, since somebody else did something */
	uint32_t priority;
};

/* Of this thread; NULL: it is in no schedule. */
struct schedule_thread *schedule_self(void);
/* Another thread, which does not run yet. */
struct schedule_thread *schedule_add(void *(*main)(void *), void *context);
struct schedule_thread *schedule_find(pthread_t id);
/* It is not there any more: it was joined, or could not be started. */
void schedule_remove(struct schedule_thread *thread);
/* What such a thread runs. */
void *schedule_main(void *thread);

/* Waits until somebody wakes it; true: or until its time is over. */
void schedule_block(enum schedule_wait wait, const void *on);
bool schedule_block_until(enum schedule_wait wait, const void *on,
			  uint64_t deadline);
/* Of those who wait for that. One: whoever the order says. */
void schedule_wake_all(enum schedule_wait wait, const void *on);
void schedule_wake_one(enum schedule_wait wait, const void *on);
bool schedule_has_waiter(enum schedule_wait wait, const void *on);

/* The order's next number, below count. */
uint32_t schedule_random(uint32_t count);
/* Microseconds. Each look takes one. */
uint64_t schedule_now(void);

/* schedule-files.c: others may go on before and behind what is done to files. */
void schedule_files_begin(void);
void schedule_files_end(void);

#endif
