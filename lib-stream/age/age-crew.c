/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-crew.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"
#include "transform-step.h"

#include <errno.h>
#include <pthread.h>

struct age_slot {
	struct age_job job;
	bool done; /* under the lock */
};

struct age_worker {
	struct age_crew *crew;
	pthread_t thread;
	struct age_aead aead; /* libcrypto's contexts cannot be shared */
	/* A chunk comes out here, and the slot's memory stays instead: an opened
	   one must not be lost where it turns out to be the last. */
	struct age_chunk scratch;
};

struct age_crew {
	age_crew_work_t *work;
	struct age_slot *slots;
	unsigned int slot_count;
	struct age_worker *workers;
	unsigned int worker_count; /* that were started */
	struct age_worker owner;   /* who helps where it would have to wait */

	/* How many were given, and how many dropped, since the start: the owner's.
	   Slot n % slot_count is number n's. */
	uint64_t given, dropped;

	struct wake_fd *wake; /* under the lock */
	pthread_mutex_t lock;
	pthread_cond_t to_workers, to_owner;
	/* Under the lock. */
	uint64_t queued;                /* == given */
	uint64_t begun;                 /* how many were taken by a thread */
	const struct age_slot *awaited; /* by the owner */
	bool quit;
};

static struct age_slot *slot_of(const struct age_crew *crew, uint64_t number)
{
	return &crew->slots[number % crew->slot_count];
}

/*
 * The threads
 */

static void work_on(struct age_worker *worker, struct age_job *job)
{
	struct age_chunk *chunk = &job->chunk, *scratch = &worker->scratch;
	unsigned char *data = chunk->data;

	scratch->dirty = AGE_SEALED_CHUNK_SIZE;
	chunk->out_pos = 0;
	chunk->out_end = worker->crew->work(&worker->aead, job, scratch->data);
	chunk->have = 0;
	chunk->data = scratch->data;
	chunk->dirty = AGE_SEALED_CHUNK_SIZE;
	scratch->data = data;
}

/* With the lock, which is let go of meanwhile. */
static void work_on_next(struct age_worker *worker)
{
	struct age_crew *crew = worker->crew;
	struct age_slot *slot = slot_of(crew, crew->begun++);

	(void)pthread_mutex_unlock(&crew->lock);
	work_on(worker, &slot->job);
	(void)pthread_mutex_lock(&crew->lock);
	slot->done = true;
	wake_fd_set(crew->wake);
	if (crew->awaited == slot)
		(void)pthread_cond_signal(&crew->to_owner);
}

static void *worker_main(void *context)
{
	struct age_worker *worker = context;
	struct age_crew *crew = worker->crew;

	(void)pthread_mutex_lock(&crew->lock);
	while (!crew->quit) {
		if (crew->begun < crew->queued)
			work_on_next(worker);
		else
			(void)pthread_cond_wait(&crew->to_workers, &crew->lock);
	}
	(void)pthread_mutex_unlock(&crew->lock);
	return NULL;
}

/*
 * The owner
 */

unsigned int age_crew_count(const struct age_crew *crew)
{
	return (unsigned int)(crew->given - crew->dropped);
}

bool age_crew_is_full(const struct age_crew *crew)
{
	return age_crew_count(crew) == crew->slot_count;
}

void age_crew_give(struct age_crew *crew, struct age_chunk *chunk,
		   uint64_t counter)
{
	struct age_slot *slot = slot_of(crew, crew->given);
	struct age_chunk empty = slot->job.chunk;

	i_assert(!age_crew_is_full(crew));
	slot->job.chunk = *chunk;
	slot->job.counter = counter;
	*chunk = empty;
	crew->given++;
	(void)pthread_mutex_lock(&crew->lock);
	slot->done = false;
	crew->queued++;
	/* a sleeping thread costs a system call to wake, and it more to fall asleep:
	   one chunk alone waits for a second one, or for who waits for it */
	if (crew->queued - crew->begun > 1 || crew->wake->open)
		(void)pthread_cond_signal(&crew->to_workers);
	(void)pthread_mutex_unlock(&crew->lock);
}

struct age_job *age_crew_first(struct age_crew *crew, bool wait)
{
	struct age_slot *slot = slot_of(crew, crew->dropped);
	bool done;

	if (age_crew_count(crew) == 0)
		return NULL;
	(void)pthread_mutex_lock(&crew->lock);
	crew->awaited = slot;
	while (!slot->done && wait) {
		if (crew->begun < crew->queued)
			work_on_next(&crew->owner);
		else
			(void)pthread_cond_wait(&crew->to_owner, &crew->lock);
	}
	crew->awaited = NULL;
	done = slot->done;
	(void)pthread_mutex_unlock(&crew->lock);
	return done ? &slot->job : NULL;
}

void age_crew_drop(struct age_crew *crew)
{
	struct age_chunk *chunk = &slot_of(crew, crew->dropped)->job.chunk;

	i_assert(age_crew_count(crew) > 0);
	chunk->out_pos = chunk->out_end = 0;
	crew->dropped++;
}

size_t age_crew_pending(const struct age_crew *crew)
{
	size_t count = crew == NULL ? 0 : age_crew_count(crew);

	return count * AGE_CHUNK_SIZE;
}

int age_crew_get_wake_fd(struct age_crew *crew, struct wake_fd *wake)
{
	int fd;

	if (wake_fd_is_parents(wake)) {
		errno = EPERM;
		return -1;
	}
	wake_fd_claim(wake);
	if (crew == NULL)
		return wake_fd_get(wake);
	(void)pthread_mutex_lock(&crew->lock);
	fd = wake_fd_get(wake);
	/* who waits for it waits for all */
	if (crew->queued > crew->begun)
		(void)pthread_cond_signal(&crew->to_workers);
	(void)pthread_mutex_unlock(&crew->lock);
	return fd;
}

void age_crew_clear_wake(struct age_crew *crew, struct wake_fd *wake)
{
	if (crew == NULL) {
		wake_fd_clear(wake);
		return;
	}
	(void)pthread_mutex_lock(&crew->lock);
	wake_fd_clear(wake);
	(void)pthread_mutex_unlock(&crew->lock);
}

/*
 * Start and stop
 */

static struct age_crew *crew_new(unsigned int threads, age_crew_work_t *work)
{
	struct age_crew *crew = i_new(struct age_crew, 1);

	crew->work = work;
	crew->slot_count = AGE_CREW_SLOTS(threads);
	crew->slots = try_calloc(crew->slot_count, sizeof(*crew->slots));
	crew->workers = try_calloc(threads, sizeof(*crew->workers));
	if (crew->slots == NULL || crew->workers == NULL) {
		i_free(crew->slots);
		i_free(crew->workers);
		i_free(crew);
		return NULL;
	}
	(void)pthread_mutex_init(&crew->lock, NULL);
	(void)pthread_cond_init(&crew->to_workers, NULL);
	(void)pthread_cond_init(&crew->to_owner, NULL);
	return crew;
}

static bool worker_equip(struct age_worker *worker, struct age_crew *crew,
			 struct transform *t,
			 const unsigned char key[AGE_AEAD_KEY_SIZE])
{
	if (!age_chunk_alloc(&worker->scratch, t))
		return false;
	worker->crew = crew;
	age_aead_set_key(&worker->aead, key);
	return true;
}

static void worker_strip(struct age_worker *worker)
{
	if (worker->crew != NULL)
		age_aead_clear(&worker->aead);
	age_chunk_free(&worker->scratch);
}

static bool add_worker(struct age_crew *crew, struct transform *t,
		       const unsigned char key[AGE_AEAD_KEY_SIZE])
{
	struct age_worker *worker = &crew->workers[crew->worker_count];

	if (worker_equip(worker, crew, t, key) &&
	    transform_start_thread(t, &worker->thread, worker_main, worker)) {
		crew->worker_count++;
		return true;
	}
	worker_strip(worker);
	return false;
}

struct age_crew *age_crew_start(struct transform *t, unsigned int threads,
				const unsigned char key[AGE_AEAD_KEY_SIZE],
				age_crew_work_t *work, struct wake_fd *wake)
{
	struct age_crew *crew = crew_new(threads, work);
	unsigned int i;

	wake_fd_claim(wake);
	if (crew == NULL)
		(void)transform_error(t, ENOMEM, "out of memory");
	else
		crew->wake = wake;
	if (crew != NULL && !worker_equip(&crew->owner, crew, t, key))
		age_crew_stop(&crew);
	for (i = 0; i < threads && crew != NULL; i++) {
		if (!add_worker(crew, t, key))
			age_crew_stop(&crew);
	}
	return crew;
}

void age_crew_stop(struct age_crew **_crew)
{
	struct age_crew *crew = *_crew;
	unsigned int i;

	if (crew == NULL)
		return;
	*_crew = NULL;
	/* the lock may be held for ever, and a chunk be in two places or in none */
	if (wake_fd_is_parents(crew->wake))
		return;
	(void)pthread_mutex_lock(&crew->lock);
	crew->quit = true;
	(void)pthread_cond_broadcast(&crew->to_workers);
	(void)pthread_mutex_unlock(&crew->lock);
	for (i = 0; i < crew->worker_count; i++) {
		(void)pthread_join(crew->workers[i].thread, NULL);
		worker_strip(&crew->workers[i]);
	}
	worker_strip(&crew->owner);
	for (i = 0; i < crew->slot_count; i++)
		age_chunk_free(&crew->slots[i].job.chunk);
	(void)pthread_cond_destroy(&crew->to_owner);
	(void)pthread_cond_destroy(&crew->to_workers);
	(void)pthread_mutex_destroy(&crew->lock);
	i_free(crew->workers);
	i_free(crew->slots);
	i_free(crew);
}

void age_crew_class(struct transform_class *class_,
		    const struct transform_class *alone, unsigned int threads)
{
	*class_ = *alone;
	class_->flags |= TRANSFORM_DEFERS;
	class_->max_state +=
		(AGE_CREW_SLOTS(threads) + threads + 1) * AGE_SEALED_CHUNK_SIZE;
}

struct transform *age_create_threads_error(const struct transform_class *class_,
					   unsigned int threads)
{
	return transform_create_error(class_->name, class_->flags, EINVAL,
				      "%u threads are too many: the most are "
				      "%u",
				      threads, (unsigned int)AGE_THREADS_MAX);
}
