/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The workers of asynchronous calls. A worker takes a request and runs its calls of the
   chain. Where the store answers one later, the worker goes on with other requests, and
   whoever is free finishes that one when the store is ready. */

#include "config.h"
#include "spool-async-private.h"
#include "macros.h"
#include "mem.h"
#include "thread-start.h"

#include <errno.h>

void spool_request_list_add(struct spool_request_list *list,
			    struct spool_request *request)
{
	request->next = NULL;
	if (list->first == NULL)
		list->first = request;
	else
		list->last->next = request;
	list->last = request;
}

struct spool_request *spool_request_list_take(struct spool_request_list *list)
{
	struct spool_request *request = list->first;

	if (request != NULL)
		list->first = request->next;
	return request;
}

/*
 * Order: under the mutex
 */

/* Where the oldest request of this message is, or would be. */
static struct spool_request **find_id(struct spool_async *async,
				      const message_id *id)
{
	struct spool_request **pos = &async->by_id[id->bytes[15]];

	while (*pos != NULL && message_id_cmp(&(*pos)->id, id) != 0)
		pos = &(*pos)->same_chain;
	return pos;
}

/* Of these the store is told before they begin. */
static bool is_change(const struct spool_request *request)
{
	unsigned int i;

	for (i = 0; i < request->step_count; i++) {
		if (request->steps[i] == IO_OP_WRITEHEADERS ||
		    request->steps[i] == IO_OP_UNLINKHEADERS)
			return true;
	}
	return false;
}

static void make_ready(struct spool_async *async, struct spool_request *request)
{
	if (is_change(request))
		spool_expect(async->spool, 1);
	spool_request_list_add(&async->ready, request);
	(void)pthread_cond_signal(&async->work);
}

/* On whatever thread the store is ready on. */
static void resume(struct spool_later *later)
{
	struct spool_request *request =
		container_of(later, struct spool_request, call.later);
	struct spool_async *async = request->async;

	(void)pthread_mutex_lock(&async->mutex);
	spool_request_list_add(&async->resumed, request);
	(void)pthread_cond_signal(&async->work);
	(void)pthread_mutex_unlock(&async->mutex);
}

void spool_pool_add(struct spool_async *async, struct spool_request *request)
{
	struct spool_request **pos = find_id(async, &request->id);

	request->call.later.ready = resume;
	if (*pos != NULL) {
		spool_request_list_add(&(*pos)->behind, request);
		return;
	}
	*pos = request;
	make_ready(async, request);
}

/* The next one of its message takes its place. */
static void leave_id(struct spool_async *async, struct spool_request *request)
{
	struct spool_request **pos = find_id(async, &request->id);
	struct spool_request *next = spool_request_list_take(&request->behind);

	if (next == NULL) {
		*pos = request->same_chain;
		return;
	}
	next->same_chain = request->same_chain;
	next->behind = request->behind;
	*pos = next;
	make_ready(async, next);
}

static unsigned int cancel_one(struct spool_request *request,
			       const void *context)
{
	if (request->begun || request->cancelled ||
	    (context != NULL && request->context != context))
		return 0;
	request->cancelled = true;
	return 1;
}

unsigned int spool_pool_cancel(struct spool_async *async, const void *context)
{
	struct spool_request *oldest, *request;
	unsigned int i, count = 0;

	for (i = 0; i < SPOOL_ID_CHAINS; i++) {
		for (oldest = async->by_id[i]; oldest != NULL;
		     oldest = oldest->same_chain) {
			count += cancel_one(oldest, context);
			for (request = oldest->behind.first; request != NULL;
			     request = request->next)
				count += cancel_one(request, context);
		}
	}
	return count;
}

/*
 * Running
 */

static int start_step(struct spool_request *request)
{
	request->call.op = request->steps[request->step];
	return spool_call_start(&request->call);
}

/* The first step of a removal. */
static bool may_make_room(const struct spool_request *request)
{
	return request->step == 0 && request->step_count > 1 &&
		request->steps[0] == IO_OP_UNLINKHEADERS;
}

/* From where the request stands, as far as it goes without waiting. After SPOOL_LATER
   it may be on another worker already. */
static int run(struct spool_request *request, bool resumed)
{
	int answer;

	if (request->cancelled) {
		errno = ECANCELED;
		io_set_error("the request was cancelled");
		return IO_TRANS_FAIL;
	}
	answer = resumed ? spool_call_finish(&request->call) :
			   start_step(request);
	while (answer == IO_TRANS_FAIL && may_make_room(request) &&
	       spool_make_room(request->call.spool, answer, request->rooms++))
		answer = start_step(request);
	while (answer == IO_DONE && ++request->step < request->step_count)
		answer = start_step(request);
	return answer;
}

/* With the mutex; NULL: it is over. What has begun comes first, since it holds
   memory. */
static struct spool_request *wait_for_request(struct spool_async *async)
{
	struct spool_request *request;

	for (;;) {
		request = spool_request_list_take(&async->resumed);
		if (request == NULL)
			request = spool_request_list_take(&async->ready);
		if (request != NULL || async->quit)
			return request;
		(void)pthread_cond_wait(&async->work, &async->mutex);
	}
}

static void keep_answer(struct spool_request *request, int answer)
{
	request->answer = answer;
	if (answer == IO_DONE)
		return;
	request->error = io_get_errno();
	request->why = i_strdup(io_get_error());
}

/* Under the mutex. */
static void complete(struct spool_async *async, struct spool_request *request)
{
	leave_id(async, request);
	spool_request_list_add(&async->complete, request);
	wake_fd_set(&async->wake);
	(void)pthread_cond_signal(&async->answered);
}

static void *worker(void *context)
{
	struct spool_async *async = context;
	struct spool_request *request;
	bool resumed, expected;
	int answer;

	(void)pthread_mutex_lock(&async->mutex);
	while ((request = wait_for_request(async)) != NULL) {
		resumed = request->begun;
		expected = !resumed && is_change(request);
		request->begun = true;
		(void)pthread_mutex_unlock(&async->mutex);
		answer = run(request, resumed);
		if (expected)
			spool_expect(async->spool, -1);
		if (answer != SPOOL_LATER)
			keep_answer(request, answer);
		(void)pthread_mutex_lock(&async->mutex);
		if (answer != SPOOL_LATER)
			complete(async, request);
	}
	(void)pthread_mutex_unlock(&async->mutex);
	return NULL;
}

int spool_pool_start(struct spool_async *async, unsigned int workers)
{
	int error = 0;

	while (async->workers < workers && error == 0) {
		error = thread_start(&async->threads[async->workers], worker,
				     async);
		if (error == 0)
			async->workers++;
	}
	return error;
}

void spool_pool_stop(struct spool_async *async)
{
	(void)pthread_mutex_lock(&async->mutex);
	async->quit = true;
	(void)pthread_cond_broadcast(&async->work);
	(void)pthread_mutex_unlock(&async->mutex);
	while (async->workers > 0)
		(void)pthread_join(async->threads[--async->workers], NULL);
}
