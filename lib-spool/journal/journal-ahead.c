/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Several segments are read at once, since a disk is faster with more than one reader;
   what is in them is handed out in their order. So many are read ahead at most that
   memory has a bound. The last one is read first: as it is the one that was written, all of
   it has to be read, which nothing would be left to do beside. */

#include "config.h"
#include "journal/journal-scan.h"
#include "macros.h"
#include "mem.h"
#include "thread-start.h"

#include <errno.h>
#include <pthread.h>

#define THREADS_MAX 4
#define AHEAD_MAX (2 * THREADS_MAX)

struct result {
	bool ready;
	int ret, error;
	struct journal_content content;
};

struct journal_ahead {
	struct journal_segment **segments;
	unsigned int count;
	pthread_t threads[THREADS_MAX];
	unsigned int thread_count;

	pthread_mutex_t mutex;
	pthread_cond_t changed;
	/* Under the mutex: how many were begun to be read, and handed out. */
	unsigned int next_read, next_out;
	bool stopping;
	struct result results[AHEAD_MAX]; /* by number modulo AHEAD_MAX */
	struct result last;
};

static struct result *result_of(struct journal_ahead *ahead, unsigned int i)
{
	return i == ahead->count - 1 ? &ahead->last :
				       &ahead->results[i % AHEAD_MAX];
}

/* With the mutex. */
static bool can_read(const struct journal_ahead *ahead)
{
	return ahead->next_read < ahead->count &&
		ahead->next_read <= ahead->next_out + AHEAD_MAX;
}

/* With the mutex, which is let go meanwhile. */
static void read_next(struct journal_ahead *ahead)
{
	unsigned int i = ahead->next_read == 0 ? ahead->count - 1 :
						 ahead->next_read - 1;
	struct result *result = result_of(ahead, i);

	ahead->next_read++;
	(void)pthread_mutex_unlock(&ahead->mutex);
	result->ret =
		journal_content_read(ahead->segments[i], &result->content);
	result->error = errno;
	(void)pthread_mutex_lock(&ahead->mutex);
	result->ready = true;
	(void)pthread_cond_broadcast(&ahead->changed);
}

static void *reader_main(void *context)
{
	struct journal_ahead *ahead = context;

	(void)pthread_mutex_lock(&ahead->mutex);
	while (!ahead->stopping && ahead->next_read < ahead->count) {
		if (can_read(ahead))
			read_next(ahead);
		else
			(void)pthread_cond_wait(&ahead->changed, &ahead->mutex);
	}
	(void)pthread_mutex_unlock(&ahead->mutex);
	return NULL;
}

/* As many as there are: without any, who wants to know reads himself. */
static void start_threads(struct journal_ahead *ahead)
{
	unsigned int wanted = I_MIN(ahead->count, (unsigned int)THREADS_MAX);

	while (ahead->count > 1 && ahead->thread_count < wanted &&
	       thread_start(&ahead->threads[ahead->thread_count], reader_main,
			    ahead) == 0)
		ahead->thread_count++;
}

struct journal_ahead *journal_ahead_start(struct journal_segment **segments,
					  unsigned int count)
{
	struct journal_ahead *ahead = try_calloc(1, sizeof(*ahead));

	if (ahead == NULL)
		return NULL;
	ahead->segments = segments;
	ahead->count = count;
	(void)pthread_mutex_init(&ahead->mutex, NULL);
	(void)pthread_cond_init(&ahead->changed, NULL);
	start_threads(ahead);
	return ahead;
}

int journal_ahead_next(struct journal_ahead *ahead,
		       struct journal_content *content)
{
	struct result *result;
	int ret;

	(void)pthread_mutex_lock(&ahead->mutex);
	result = result_of(ahead, ahead->next_out);
	while (!result->ready) {
		if (ahead->thread_count == 0)
			read_next(ahead);
		else
			(void)pthread_cond_wait(&ahead->changed, &ahead->mutex);
	}
	*content = result->content;
	ret = result->ret;
	errno = result->error;
	result->ready = false;
	ahead->next_out++;
	(void)pthread_cond_broadcast(&ahead->changed);
	(void)pthread_mutex_unlock(&ahead->mutex);
	return ret;
}

void journal_ahead_stop(struct journal_ahead **_ahead)
{
	struct journal_ahead *ahead = *_ahead;
	unsigned int i;

	*_ahead = NULL;
	if (ahead == NULL)
		return;
	(void)pthread_mutex_lock(&ahead->mutex);
	ahead->stopping = true;
	(void)pthread_cond_broadcast(&ahead->changed);
	(void)pthread_mutex_unlock(&ahead->mutex);
	for (i = 0; i < ahead->thread_count; i++)
		(void)pthread_join(ahead->threads[i], NULL);
	for (i = 0; i < AHEAD_MAX; i++) {
		if (ahead->results[i].ready)
			journal_content_free(&ahead->results[i].content);
	}
	if (ahead->last.ready)
		journal_content_free(&ahead->last.content);
	(void)pthread_cond_destroy(&ahead->changed);
	(void)pthread_mutex_destroy(&ahead->mutex);
	i_free(ahead);
}
