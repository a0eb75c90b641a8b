/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "schedule-private.h"
#include "test-common.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#define THREADS_MAX 64
/* Nothing that is tested takes a tenth of it. */
#define STEPS_MAX 5000000
/* How often priorities change, early or late: of so many steps, doubled up to so often. */
#define CHANGES 5
#define CHANGES_WITHIN 64u
#define DOUBLINGS 9

int __real_sem_wait(sem_t *sem);
int __real_sem_post(sem_t *sem);

static struct schedule_thread threads[THREADS_MAX];
static unsigned int thread_count;
static _Thread_local struct schedule_thread *self;
static uint32_t number, seed;
static uint64_t steps, now_usecs, changes[CHANGES];
static unsigned int held;
static cpu_set_t usual_cpus;

/* How the next one is chosen: each finds other things. */
static enum {
	ANYBODY,    /* at each step */
	SOMETIMES,  /* another one, at one step in 8 */
	SELDOM,     /* in 64 */
	BY_PRIORITY /* the first that can, but for a few changes */
} manner;
/* Who waits for a condition may be woken for nothing: not always, as that mends what
   was forgotten. */
static bool is_spurious;

static const char *const wait_names[] = { "nothing",     "a mutex",
					  "a condition", "a semaphore",
					  "a once",      "the end of",
					  "events",      "nobody: it ended" };

struct schedule_thread *schedule_self(void)
{
	return self;
}

uint32_t schedule_random(uint32_t count)
{
	return (test_random(&seed) >> 8) % count;
}

void schedule_fail(const char *fmt, ...)
{
	const struct schedule_thread *thread;
	va_list args;

	(void)fprintf(stderr, "SCHEDULE=%u: ", number);
	va_start(args, fmt);
	(void)vfprintf(stderr, fmt, args);
	va_end(args);
	(void)fprintf(stderr, " (step %llu)\n", (unsigned long long)steps);
	for (thread = threads; thread < threads + thread_count; thread++) {
		(void)fprintf(stderr, "  thread %u%s waits for %s %p\n",
			      (unsigned int)(thread - threads),
			      thread == self ? ", this one," : "",
			      wait_names[thread->wait], thread->on);
	}
	(void)fflush(stderr);
	abort();
}

/*
 * Who is next
 */

static bool can_go_on(const struct schedule_thread *thread)
{
	return thread->wait == SCHEDULE_NOTHING ||
		(thread->wait == SCHEDULE_EVENTS && !thread->saw_nothing);
}

static void let_run(struct schedule_thread *thread)
{
	thread->wait = SCHEDULE_NOTHING;
	thread->is_timed = false;
}

/* To the next moment that somebody waits for; false: nobody does. */
static bool let_time_pass(void)
{
	struct schedule_thread *thread, *end = threads + thread_count;
	const struct schedule_thread *first = NULL;

	for (thread = threads; thread < end; thread++) {
		if (thread->is_timed &&
		    (first == NULL || thread->deadline < first->deadline))
			first = thread;
	}
	if (first == NULL)
		return false;
	now_usecs = I_MAX(now_usecs, first->deadline);
	for (thread = threads; thread < end; thread++) {
		if (thread->is_timed && thread->deadline <= now_usecs) {
			let_run(thread);
			thread->timed_out = true;
		}
	}
	return true;
}

static void wake_for_nothing(void)
{
	struct schedule_thread *thread =
		&threads[schedule_random(thread_count)];

	if (thread->wait == SCHEDULE_COND)
		let_run(thread);
}

static unsigned int list_able(struct schedule_thread *able[THREADS_MAX])
{
	unsigned int i, count = 0;

	for (i = 0; i < thread_count; i++) {
		if (can_go_on(&threads[i]))
			able[count++] = &threads[i];
	}
	return count;
}

static struct schedule_thread *highest(struct schedule_thread *const *able,
				       unsigned int count)
{
	struct schedule_thread *thread = able[0];
	unsigned int i;

	for (i = 0; i < CHANGES; i++) {
		if (steps == changes[i])
			self->priority = CHANGES - i;
	}
	for (i = 1; i < count; i++) {
		if (able[i]->priority > thread->priority)
			thread = able[i];
	}
	return thread;
}

static struct schedule_thread *next_thread(void)
{
	struct schedule_thread *able[THREADS_MAX];
	unsigned int count;

	if (++steps > STEPS_MAX)
		schedule_fail("it does not end");
	if (schedule_random(256) == 0)
		(void)let_time_pass();
	if (is_spurious && schedule_random(32) == 0)
		wake_for_nothing();
	while ((count = list_able(able)) == 0) {
		if (!let_time_pass())
			schedule_fail("all wait for one another");
	}
	if (manner == BY_PRIORITY)
		return highest(able, count);
	if (manner != ANYBODY && can_go_on(self) &&
	    schedule_random(manner == SOMETIMES ? 8 : 64) != 0)
		return self;
	return able[schedule_random(count)];
}

static void wait_for_turn(struct schedule_thread *thread)
{
	while (__real_sem_wait(&thread->go) < 0)
		;
}

static void go_on(void)
{
	struct schedule_thread *me = self, *next = next_thread();
	/* behind its end, its place may be another one's at once */
	bool ends = me->wait == SCHEDULE_END;
	int old_errno = errno;

	if (next != me) {
		(void)__real_sem_post(&next->go);
		if (!ends)
			wait_for_turn(me);
	}
	errno = old_errno;
}

/* Who did something: there may be events now. */
static void did_something(void)
{
	struct schedule_thread *thread;

	for (thread = threads; thread < threads + thread_count; thread++)
		thread->saw_nothing = false;
}

void schedule_point(void)
{
	if (self == NULL || held > 0)
		return;
	did_something();
	go_on();
}

void schedule_hold(void)
{
	held++;
}

void schedule_let_go(void)
{
	held--;
}

/*
 * Waiting
 */

void schedule_block(enum schedule_wait wait, const void *on)
{
	if (wait != SCHEDULE_EVENTS)
		did_something();
	self->wait = wait;
	self->on = on;
	go_on();
	if (wait != SCHEDULE_END)
		self->wait = SCHEDULE_NOTHING;
}

bool schedule_block_until(enum schedule_wait wait, const void *on,
			  uint64_t deadline)
{
	self->is_timed = true;
	self->timed_out = false;
	self->deadline = deadline;
	schedule_block(wait, on);
	self->is_timed = false;
	return self->timed_out;
}

static bool waits(const struct schedule_thread *thread, enum schedule_wait wait,
		  const void *on)
{
	return thread->wait == wait && thread->on == on;
}

void schedule_wake_all(enum schedule_wait wait, const void *on)
{
	struct schedule_thread *thread;

	for (thread = threads; thread < threads + thread_count; thread++) {
		if (waits(thread, wait, on))
			let_run(thread);
	}
}

void schedule_wake_one(enum schedule_wait wait, const void *on)
{
	struct schedule_thread *waiters[THREADS_MAX];
	unsigned int i, count = 0;

	for (i = 0; i < thread_count; i++) {
		if (waits(&threads[i], wait, on))
			waiters[count++] = &threads[i];
	}
	if (count > 0)
		let_run(waiters[schedule_random(count)]);
}

bool schedule_has_waiter(enum schedule_wait wait, const void *on)
{
	unsigned int i;

	for (i = 0; i < thread_count; i++) {
		if (waits(&threads[i], wait, on))
			return true;
	}
	return false;
}

uint64_t schedule_now(void)
{
	return now_usecs++;
}

/*
 * Threads
 */

struct schedule_thread *schedule_add(void *(*main)(void *), void *context)
{
	struct schedule_thread *thread = threads;

	while (thread < threads + thread_count && thread->main != NULL)
		thread++;
	if (thread == threads + thread_count && thread_count++ == THREADS_MAX)
		schedule_fail("there are too many threads");
	memset(thread, 0, sizeof(*thread));
	thread->main = main;
	thread->context = context;
	thread->priority = CHANGES + 1 + schedule_random(1000);
	(void)sem_init(&thread->go, 0, 0);
	return thread;
}

void schedule_remove(struct schedule_thread *thread)
{
	(void)sem_destroy(&thread->go);
	thread->main = NULL;
	thread->wait = SCHEDULE_END;
}

struct schedule_thread *schedule_find(pthread_t id)
{
	struct schedule_thread *thread;

	for (thread = threads; thread < threads + thread_count; thread++) {
		if (thread->main != NULL && !thread->is_detached &&
		    pthread_equal(thread->id, id))
			return thread;
	}
	return NULL;
}

void *schedule_main(void *context)
{
	struct schedule_thread *thread = context;
	void *result;

	self = thread;
	wait_for_turn(thread);
	result = thread->main(thread->context);
	schedule_wake_all(SCHEDULE_THREAD, thread);
	schedule_block(SCHEDULE_END, NULL);
	self = NULL;
	return result;
}

/*
 * Orders
 */

/* One at a time needs one processor, and is several times as fast there. */
static void use_one_cpu(void)
{
	int cpu = sched_getcpu();
	cpu_set_t one;

	CPU_ZERO(&one);
	if (cpu < 0 ||
	    sched_getaffinity(0, sizeof(usual_cpus), &usual_cpus) < 0)
		return;
	CPU_SET((unsigned int)cpu, &one);
	(void)sched_setaffinity(0, sizeof(one), &one);
}

static void *not_called(void *context)
{
	return context;
}

void schedule_begin(uint32_t n)
{
	unsigned int i;

	if (self != NULL)
		fail_msg("SCHEDULE=%u failed before", number);
	number = n;
	/* numbers that are alike are to be far apart; not 0: it would be 0 for ever */
	seed = (n + 1) * 2654435761u | 1;
	manner = n % 4;
	is_spurious = n / 4 % 2 == 1;
	steps = 0;
	now_usecs = 1;
	thread_count = 0;
	held = 0;
	for (i = 0; i < CHANGES; i++)
		changes[i] = schedule_random(CHANGES_WITHIN
					     << schedule_random(DOUBLINGS));
	use_one_cpu();
	schedule_files_begin();
	self = schedule_add(not_called, NULL);
	self->id = pthread_self();
}

void schedule_end(void)
{
	struct schedule_thread *thread;

	for (thread = threads + 1; thread < threads + thread_count; thread++) {
		while (thread->main != NULL && thread->wait != SCHEDULE_END)
			schedule_block(SCHEDULE_THREAD, thread);
	}
	schedule_remove(self);
	self = NULL;
	schedule_files_end();
	(void)sched_setaffinity(0, sizeof(usual_cpus), &usual_cpus);
}

bool schedule_is_one(void)
{
	return getenv("SCHEDULE") != NULL;
}

void schedule_each(unsigned int usual, schedule_work_t *work, void *context)
{
	const char *one = getenv("SCHEDULE"), *many = getenv("SCHEDULES");
	uint64_t sum = 0;
	uint32_t first, end, i;

	first = one == NULL ? 0 : (uint32_t)strtoul(one, NULL, 10);
	end = one != NULL    ? first + 1 :
		many != NULL ? (uint32_t)strtoul(many, NULL, 10) :
			       I_MAX(usual / TEST_STEP, 8u);
	assert_true(first < end);
	for (i = first; i < end; i++) {
		work(i, context);
		sum += steps;
	}
	printf("%u orders, %llu steps\n", end - first, (unsigned long long)sum);
}
