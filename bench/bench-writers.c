/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

#define _GNU_SOURCE
#include "bench-writers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct writers {
	bench_put_t *put;
	void *context;
	unsigned char *bodies;
	size_t size;
	atomic_uint_fast64_t next;
	uint64_t end;
	unsigned int warm; /* messages of each writer before */
	pthread_barrier_t ready, go;
	/* nanoseconds of each message, by number; NULL: nobody asks */
	uint64_t *took;
};

uint64_t bench_now(void)
{
	struct timespec ts;

	bench_check(clock_gettime(CLOCK_MONOTONIC, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void bench_message_name(uint64_t number, unsigned char name_r[BENCH_NAME_SIZE])
{
	/* all over the range, as random bits are */
	uint64_t mixed = number * 0x9e3779b97f4a7c15u;

	memcpy(name_r, &number, sizeof(number));
	memcpy(name_r + sizeof(number), &mixed, sizeof(mixed));
}

unsigned char *bench_bodies(struct bench *b)
{
	static const char end[] = "\r\n.\r\n";
	unsigned char *bodies = malloc(BENCH_BODIES * b->piece), *body;
	size_t i;

	bench_check(bodies != NULL && b->piece > sizeof(end) &&
		    b->piece <= b->window);
	for (i = 0; i < BENCH_BODIES; i++) {
		body = bodies + i * b->piece;
		memcpy(body, bench_piece(b), b->piece);
		memcpy(body + b->piece - (sizeof(end) - 1), end,
		       sizeof(end) - 1);
	}
	return bodies;
}

static void write_message(struct writers *w, uint64_t number)
{
	w->put(w->context, number, w->bodies + number % BENCH_BODIES * w->size,
	       w->size);
}

/* What a thread has from its first messages it has for the others, too. */
static void *write_messages(void *context)
{
	struct writers *w = context;
	uint64_t number, started;
	unsigned int i;

	for (i = 0; i < w->warm; i++)
		write_message(w, atomic_fetch_add(&w->next, 1));
	(void)pthread_barrier_wait(&w->ready);
	(void)pthread_barrier_wait(&w->go);
	while ((number = atomic_fetch_add(&w->next, 1)) < w->end) {
		started = bench_now();
		write_message(w, number);
		if (w->took != NULL)
			w->took[number] = bench_now() - started;
	}
	return NULL;
}

/* What is warm, and then, where it runs by the clock, [first, end). */
static void run(struct writers *w, struct bench *b, uint64_t first, bool clock)
{
	pthread_t *threads = calloc(b->writers, sizeof(*threads));
	unsigned int i;

	bench_check(threads != NULL && b->writers > 0);
	bench_check(pthread_barrier_init(&w->ready, NULL, b->writers + 1) ==
			    0 &&
		    pthread_barrier_init(&w->go, NULL, b->writers + 1) == 0);
	for (i = 0; i < b->writers; i++)
		bench_check(pthread_create(&threads[i], NULL, write_messages,
					   w) == 0);
	(void)pthread_barrier_wait(&w->ready);
	atomic_store(&w->next, first);
	if (clock)
		bench_start();
	(void)pthread_barrier_wait(&w->go);
	for (i = 0; i < b->writers; i++)
		bench_check(pthread_join(threads[i], NULL) == 0);
	if (clock)
		bench_stop();
	(void)pthread_barrier_destroy(&w->ready);
	(void)pthread_barrier_destroy(&w->go);
	free(threads);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void begin(struct writers *w, struct bench *b, bench_put_t *put,
		  void *context)
{
	memset(w, 0, sizeof(*w));
	w->put = put;
	w->context = context;
	w->bodies = bench_bodies(b);
	w->size = b->piece;
}

void bench_count_messages(struct bench *b, uint64_t *took)
{
	b->calls = b->total;
	b->bytes = b->total * b->piece;
	qsort(took, b->total, sizeof(*took), compare);
	b->out_bytes = took[(b->total * 999 + 999) / 1000 - 1];
}

void bench_writers(struct bench *b, bench_put_t *put, void *context)
{
	uint64_t *took = calloc(b->total, sizeof(*took));
	struct writers w;

	bench_check(took != NULL && b->total > 0);
	begin(&w, b, put, context);
	w.took = took;
	w.end = b->total;
	atomic_store(&w.next, b->total);
	w.warm = BENCH_WARM;
	run(&w, b, 0, true);
	bench_count_messages(b, took);
	free(took);
	free(w.bodies);
}

void bench_writers_fill(struct bench *b, uint64_t first, uint64_t count,
			bench_put_t *put, void *context)
{
	struct writers w;

	begin(&w, b, put, context);
	w.end = first + count;
	run(&w, b, first, false);
	free(w.bodies);
}
