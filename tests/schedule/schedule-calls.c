/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What the linker puts in place of the calls that a thread waits in. The objects stay the
   system's, so that they can be used before a schedule and behind it; but nobody ever waits
   in the system, whose turn it is then would not be known. */

#include "config.h"
#include "schedule-private.h"

#include <errno.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>

/* What clocks of a schedule begin with, in seconds. */
#define MONOTONIC_BASE 1000
#define REALTIME_BASE 1790000000
#define ONCES_MAX 8

/* The system's, and what is called in its place. */
#define WRAPPED(type, name, params) \
	type __real_##name params;  \
	type __wrap_##name params;

WRAPPED(int, pthread_mutex_lock, (pthread_mutex_t * mutex))
WRAPPED(int, pthread_mutex_unlock, (pthread_mutex_t * mutex))
WRAPPED(int, pthread_mutex_trylock, (pthread_mutex_t * mutex))
WRAPPED(int, pthread_mutex_destroy, (pthread_mutex_t * mutex))
WRAPPED(int, pthread_cond_wait, (pthread_cond_t * cond, pthread_mutex_t *mutex))
WRAPPED(int, pthread_cond_timedwait,
	(pthread_cond_t * cond, pthread_mutex_t *mutex,
	 const struct timespec *end))
WRAPPED(int, pthread_cond_signal, (pthread_cond_t * cond))
WRAPPED(int, pthread_cond_broadcast, (pthread_cond_t * cond))
WRAPPED(int, pthread_cond_destroy, (pthread_cond_t * cond))
WRAPPED(int, pthread_create,
	(pthread_t * id, const pthread_attr_t *attr, void *(*main)(void *),
	 void *context))
WRAPPED(int, pthread_join, (pthread_t id, void **result))
WRAPPED(int, pthread_detach, (pthread_t id))
WRAPPED(int, pthread_once, (pthread_once_t * once, void (*init)(void)))
WRAPPED(int, sem_wait, (sem_t * sem))
WRAPPED(int, sem_post, (sem_t * sem))
WRAPPED(int, sem_destroy, (sem_t * sem))
WRAPPED(int, clock_gettime, (clockid_t clock, struct timespec *ts))
WRAPPED(int, epoll_wait,
	(int fd, struct epoll_event *events, int max, int timeout))
WRAPPED(int, eventfd_read, (int fd, eventfd_t *count))
WRAPPED(int, eventfd_write, (int fd, eventfd_t count))
WRAPPED(void, randombytes_buf, (void *data, size_t size))
WRAPPED(uint32_t, randombytes_random, (void))

/*
 * Mutexes
 */

static void lock(pthread_mutex_t *mutex)
{
	while (__real_pthread_mutex_trylock(mutex) != 0)
		schedule_block(SCHEDULE_MUTEX, mutex);
}

static void unlock(pthread_mutex_t *mutex)
{
	(void)__real_pthread_mutex_unlock(mutex);
	schedule_wake_all(SCHEDULE_MUTEX, mutex);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
	if (schedule_self() == NULL)
		return __real_pthread_mutex_lock(mutex);
	schedule_point();
	lock(mutex);
	return 0;
}

int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
	schedule_point();
	return __real_pthread_mutex_trylock(mutex);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *mutex)
{
	if (schedule_self() == NULL)
		return __real_pthread_mutex_unlock(mutex);
	unlock(mutex);
	schedule_point();
	return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *mutex)
{
	int error = __real_pthread_mutex_destroy(mutex);

	if (schedule_self() != NULL &&
	    (error != 0 || schedule_has_waiter(SCHEDULE_MUTEX, mutex)))
		schedule_fail("a mutex in use is destroyed");
	return error;
}

/*
 * Conditions
 */

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
	if (schedule_self() == NULL)
		return __real_pthread_cond_wait(cond, mutex);
	unlock(mutex);
	schedule_block(SCHEDULE_COND, cond);
	lock(mutex);
	return 0;
}

/* All of the library's are of this clock. */
static uint64_t usecs_of(const struct timespec *ts)
{
	return (uint64_t)(ts->tv_sec - MONOTONIC_BASE) * 1000000 +
		(uint64_t)ts->tv_nsec / 1000;
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
				  const struct timespec *end)
{
	bool timed_out;

	if (schedule_self() == NULL)
		return __real_pthread_cond_timedwait(cond, mutex, end);
	unlock(mutex);
	timed_out = schedule_block_until(SCHEDULE_COND, cond, usecs_of(end));
	lock(mutex);
	return timed_out ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
	if (schedule_self() == NULL)
		return __real_pthread_cond_signal(cond);
	schedule_point();
	schedule_wake_one(SCHEDULE_COND, cond);
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
	if (schedule_self() == NULL)
		return __real_pthread_cond_broadcast(cond);
	schedule_point();
	schedule_wake_all(SCHEDULE_COND, cond);
	return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *cond)
{
	if (schedule_self() != NULL && schedule_has_waiter(SCHEDULE_COND, cond))
		schedule_fail("a condition in use is destroyed");
	return __real_pthread_cond_destroy(cond);
}

/*
 * Semaphores
 */

int __wrap_sem_wait(sem_t *sem)
{
	if (schedule_self() == NULL)
		return __real_sem_wait(sem);
	schedule_point();
	while (sem_trywait(sem) < 0)
		schedule_block(SCHEDULE_SEM, sem);
	return 0;
}

int __wrap_sem_post(sem_t *sem)
{
	int ret;

	if (schedule_self() == NULL)
		return __real_sem_post(sem);
	schedule_point();
	ret = __real_sem_post(sem);
	schedule_wake_all(SCHEDULE_SEM, sem);
	schedule_point();
	return ret;
}

int __wrap_sem_destroy(sem_t *sem)
{
	if (schedule_self() != NULL && schedule_has_waiter(SCHEDULE_SEM, sem))
		schedule_fail("a semaphore in use is destroyed");
	return __real_sem_destroy(sem);
}

/*
 * Threads
 */

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr,
			  void *(*main)(void *), void *context)
{
	struct schedule_thread *thread;
	int error;

	if (schedule_self() == NULL)
		return __real_pthread_create(id, attr, main, context);
	thread = schedule_add(main, context);
	error = __real_pthread_create(&thread->id, attr, schedule_main, thread);
	if (error != 0) {
		schedule_remove(thread);
		return error;
	}
	*id = thread->id;
	schedule_point();
	return 0;
}

static struct schedule_thread *find(pthread_t id)
{
	struct schedule_thread *thread = schedule_find(id);

	if (thread == NULL)
		schedule_fail("a thread is not of this order");
	return thread;
}

int __wrap_pthread_join(pthread_t id, void **result)
{
	struct schedule_thread *thread;
	int error;

	if (schedule_self() == NULL)
		return __real_pthread_join(id, result);
	schedule_point();
	thread = find(id);
	while (thread->wait != SCHEDULE_END)
		schedule_block(SCHEDULE_THREAD, thread);
	error = __real_pthread_join(id, result);
	schedule_remove(thread);
	return error;
}

int __wrap_pthread_detach(pthread_t id)
{
	if (schedule_self() != NULL)
		find(id)->is_detached = true;
	return __real_pthread_detach(id);
}

/* Which are at it. */
static const pthread_once_t *onces[ONCES_MAX];

static const pthread_once_t **find_once(const pthread_once_t *once)
{
	unsigned int i;

	for (i = 0; i < ONCES_MAX; i++) {
		if (onces[i] == once)
			return &onces[i];
	}
	return NULL;
}

int __wrap_pthread_once(pthread_once_t *once, void (*init)(void))
{
	const pthread_once_t **place;
	int error;

	if (schedule_self() == NULL)
		return __real_pthread_once(once, init);
	schedule_point();
	while (find_once(once) != NULL)
		schedule_block(SCHEDULE_ONCE, once);
	place = find_once(NULL);
	if (place == NULL)
		schedule_fail("there are too many onces");
	*place = once;
	error = __real_pthread_once(once, init);
	*place = NULL;
	schedule_wake_all(SCHEDULE_ONCE, once);
	return error;
}

/*
 * Time and events
 */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	uint64_t usecs;

	if (schedule_self() == NULL)
		return __real_clock_gettime(clock, ts);
	usecs = schedule_now();
	ts->tv_sec =
		(clock == CLOCK_MONOTONIC ? MONOTONIC_BASE : REALTIME_BASE) +
		(time_t)(usecs / 1000000);
	ts->tv_nsec = (long)(usecs % 1000000) * 1000;
	return 0;
}

/* Nobody tells when there are events: it looks each time that somebody else went on. */
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	struct schedule_thread *self = schedule_self();
	uint64_t deadline;
	int count;

	if (self == NULL)
		return __real_epoll_wait(fd, events, max, timeout);
	schedule_point();
	deadline = schedule_now() + (uint64_t)timeout * 1000;
	while ((count = __real_epoll_wait(fd, events, max, 0)) == 0 &&
	       timeout != 0) {
		self->saw_nothing = true;
		if (timeout < 0)
			schedule_block(SCHEDULE_EVENTS, NULL);
		else if (schedule_block_until(SCHEDULE_EVENTS, NULL, deadline))
			return 0;
	}
	return count;
}

int __wrap_eventfd_read(int fd, eventfd_t *count)
{
	schedule_point();
	return __real_eventfd_read(fd, count);
}

int __wrap_eventfd_write(int fd, eventfd_t count)
{
	schedule_point();
	return __real_eventfd_write(fd, count);
}

/*
 * Random bytes: of the order, as what is done with them would be another one else
 */

void __wrap_randombytes_buf(void *data, size_t size)
{
	unsigned char *byte = data;

	if (schedule_self() == NULL) {
		__real_randombytes_buf(data, size);
		return;
	}
	for (; size > 0; size--)
		*byte++ = (unsigned char)schedule_random(256);
}

uint32_t __wrap_randombytes_random(void)
{
	return schedule_self() == NULL ? __real_randombytes_random() :
					 schedule_random(UINT32_MAX);
}
