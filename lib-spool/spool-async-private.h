/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_SPOOL_ASYNC_PRIVATE_H
#define BOBBIN_SPOOL_ASYNC_PRIVATE_H

/* What the caller's side of the asynchronous calls (spool-async.c) and the workers'
   (spool-pool.c) share. Not installed. */

#include "spool-async.h"
#include "spool-private.h"
#include "wake-fd.h"

/* A put and a removal are two calls of the chain. */
#define SPOOL_STEPS_MAX 2
/* The last octet of an id is random. */
#define SPOOL_ID_CHAINS 256

struct spool_request;

struct spool_request_list {
	struct spool_request *first, *last;
};

struct spool_request {
	struct spool_request *next; /* of the list that it is in */
	struct spool_async *async;
	spool_answer_t *callback;
	void *context;
	email_message *message; /* a reference; NULL: it is about an id alone */
	message_id id;

	/* Whoever runs it. */
	struct spool_call call;
	enum io_operation steps[SPOOL_STEPS_MAX];
	unsigned int step, step_count;
	unsigned int rooms; /* how often room was made for it */
	/* The answer; why: io_get_error(), NULL for none. */
	int answer, error;
	char *why;

	/* Under the mutex. The oldest of its message is in the table by its id, and
	   those behind it wait there until it is answered. */
	struct spool_request *same_chain;
	struct spool_request_list behind;
	bool begun, cancelled;
};

struct spool_async {
	struct spool *spool;
	uint64_t owner; /* whose the workers are: a process_mark() */
	struct io *io;
	unsigned int requests_max;
	pthread_t threads[SPOOL_WORKERS_MAX];
	unsigned int workers;

	/* The loop's thread's. */
	unsigned int delivering; /* calls of deliver() on the stack */
	bool closed;             /* it frees this then */

	pthread_mutex_t mutex;
	pthread_cond_t work, answered;
	/* Under the mutex. A request is in one of these lists, behind another one, on a
	   worker, or the store has it. */
	struct spool_request_list ready;   /* to be begun */
	struct spool_request_list resumed; /* the store is ready to finish it */
	struct spool_request_list complete; /* to be told the caller */
	struct spool_request *by_id[SPOOL_ID_CHAINS];
	unsigned int count; /* requests whose callback was not called */
	struct wake_fd wake;
	bool closing, quit;
};

void spool_request_list_add(struct spool_request_list *list,
			    struct spool_request *request);
/* NULL where it is empty. */
struct spool_request *spool_request_list_take(struct spool_request_list *list);

/* spool-pool.c: starts a thread. 0, or an errno. */
int spool_pool_start(struct spool_async *async, unsigned int workers);
/* Waits for the threads; nothing may be left for them. */
void spool_pool_stop(struct spool_async *async);
/* Has a worker run it as soon as those of its message that came before are answered.
   Under the mutex. */
void spool_pool_add(struct spool_async *async, struct spool_request *request);
/* spool_async_cancel(), under the mutex. */
unsigned int spool_pool_cancel(struct spool_async *async, const void *context);

#endif
