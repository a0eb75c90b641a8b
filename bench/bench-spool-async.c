/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Messages that nobody waits for: one thread submits them, and when one is on the disk
   the next one. */

#define _GNU_SOURCE
#include "bench-spool.h"
#include "bench-writers.h"

#include <bobbin/spool-async.h>

#include <stdlib.h>

struct batch {
	struct bench *b;
	struct spool *spool;
	struct spool_async *async;
	unsigned char *bodies;
	uint64_t *took, next, end;
};

/* One of those that are under way. */
struct flight {
	struct batch *batch;
	uint64_t number, started;
};

static void answered(int answer, void *context);

static void submit_next(struct flight *flight)
{
	struct batch *batch = flight->batch;
	const size_t size = batch->b->piece;
	email_message *message;

	flight->number = batch->next++;
	flight->started = bench_now();
	message = bench_new_message(
		batch->spool,
		batch->bodies + flight->number % BENCH_BODIES * size, size);
	bench_check(spool_submit_put(batch->async, message, answered, flight) ==
		    IO_DONE);
	email_message_unref(&message);
}

static void answered(int answer, void *context)
{
	struct flight *flight = context;
	struct batch *batch = flight->batch;

	bench_check(answer == IO_DONE);
	batch->took[flight->number] = bench_now() - flight->started;
	if (batch->next < batch->end)
		submit_next(flight);
	else if (spool_async_count(batch->async) == 0)
		io_loop_stop(current_ioloop);
}

static void put_all(struct batch *batch, struct flight *flights, uint64_t count)
{
	unsigned int i;

	batch->next = 0;
	batch->end = count;
	for (i = 0; i < batch->b->writers && batch->next < count; i++) {
		flights[i].batch = batch;
		submit_next(&flights[i]);
	}
	io_loop_run(current_ioloop);
}

void bench_put_async(struct bench *b, struct spool *spool)
{
	struct batch batch = { .b = b, .spool = spool };
	struct flight *flights = calloc(b->writers, sizeof(*flights));
	struct ioloop *loop = io_loop_create();
	char *error;

	batch.bodies = bench_bodies(b);
	batch.took = calloc(b->total, sizeof(*batch.took));
	batch.async = spool_async_new(spool, NULL, 0, 0, &error);
	if (batch.async == NULL)
		bench_fail(error, b->out_path, 0);
	bench_check(flights != NULL && batch.took != NULL && b->total > 0);
	/* what the store and its threads have once is there then */
	put_all(&batch, flights, BENCH_WARM * b->writers);
	bench_start();
	put_all(&batch, flights, b->total);
	bench_stop();
	bench_count_messages(b, batch.took);
	spool_async_close(&batch.async);
	io_loop_destroy(&loop);
	free(batch.took);
	free(batch.bodies);
	free(flights);
}
