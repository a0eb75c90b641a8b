/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Asynchronous calls, the caller's side: submitting, and the answers in the event
   loop. A descriptor is readable while there are answers. */

#include "config.h"
#include "spool-async-private.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"
#include "process-mark.h"
#include "thread-start.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/*
 * Answers
 */

static void free_request(struct spool_request *request)
{
	email_message_unref(&request->message);
	i_free(request->why);
	i_free(request);
}

/* Calls back once; false: there is nothing to tell. The callback may close. */
static bool deliver_one(struct spool_async *async)
{
	struct spool_request *request;

	(void)pthread_mutex_lock(&async->mutex);
	request = spool_request_list_take(&async->complete);
	if (async->complete.first == NULL)
		wake_fd_clear(&async->wake);
	if (request != NULL)
		async->count--;
	(void)pthread_mutex_unlock(&async->mutex);
	if (request == NULL)
		return false;
	errno = request->error;
	io_set_error("%s", request->why == NULL ? "" : request->why);
	request->callback(request->answer, request->context);
	free_request(request);
	return true;
}

static unsigned int count_complete(struct spool_async *async)
{
	const struct spool_request *request;
	unsigned int count = 0;

	(void)pthread_mutex_lock(&async->mutex);
	for (request = async->complete.first; request != NULL;
	     request = request->next)
		count++;
	(void)pthread_mutex_unlock(&async->mutex);
	return count;
}

static void free_async(struct spool_async *async)
{
	wake_fd_free(&async->wake);
	(void)pthread_cond_destroy(&async->answered);
	(void)pthread_cond_destroy(&async->work);
	(void)pthread_mutex_destroy(&async->mutex);
	i_free(async);
}

/* A child of the process that has the workers: nobody would do anything, and the mutex
   may be held for ever. */
static bool is_forked(const struct spool_async *async)
{
	return async->owner != process_mark();
}

/* What is there now: the loop has other things to do, too. */
static void deliver(void *context)
{
	struct spool_async *async = context;
	unsigned int count;

	if (is_forked(async)) {
		/* the answers are the parent's, and so is the descriptor's state */
		io_remove(&async->io);
		return;
	}
	count = count_complete(async);
	async->delivering++;
	while (count-- > 0 && deliver_one(async)) {
	}
	if (--async->delivering == 0 && async->closed)
		free_async(async);
}

/*
 * Beginning and end
 */

static int start(struct spool_async *async, struct ioloop *ioloop,
		 unsigned int workers, char **error_r)
{
	int fd, error;

	fd = wake_fd_get(&async->wake);
	if (fd < 0)
		return spool_fail(error_r, errno, "eventfd() failed: %s",
				  strerror(errno));
	error = spool_pool_start(async, workers);
	if (error != 0)
		return spool_fail(error_r, error,
				  "starting worker %u of %u failed: %s",
				  async->workers + 1, workers, strerror(error));
	async->io = ioloop == NULL ?
		io_add(fd, IO_READ, deliver, async) :
		io_add_to(ioloop, fd, IO_READ, deliver, async);
	return 0;
}

static unsigned int good_worker_count(void)
{
	return I_MIN(thread_cpus() + 1, (unsigned int)SPOOL_WORKERS_MAX);
}

struct spool_async *spool_async_new(struct spool *spool, struct ioloop *ioloop,
				    unsigned int workers,
				    unsigned int requests_max, char **error_r)
{
	struct spool_async *async;
	int error;

	if (ioloop == NULL && io_loop_get_current() == NULL) {
		(void)spool_fail(error_r, EINVAL,
				 "this thread has no event loop: make one "
				 "before, or say which it is");
		return NULL;
	}
	if (spool_is_forked(spool)) {
		(void)io_refuse_forked(spool);
		(void)spool_fail(error_r, EPERM, "%s", io_get_error());
		return NULL;
	}
	if (workers > SPOOL_WORKERS_MAX || requests_max > SPOOL_REQUESTS_MAX) {
		(void)spool_fail(error_r, EINVAL,
				 "%u workers and %u requests: there may be %u "
				 "and %u",
				 workers, requests_max, SPOOL_WORKERS_MAX,
				 SPOOL_REQUESTS_MAX);
		return NULL;
	}
	async = try_calloc(1, sizeof(*async));
	if (async == NULL) {
		(void)spool_fail(error_r, ENOMEM, "out of memory");
		return NULL;
	}
	async->spool = spool;
	async->owner = process_mark();
	async->requests_max = requests_max == 0 ? SPOOL_REQUESTS_DEFAULT :
						  requests_max;
	(void)pthread_mutex_init(&async->mutex, NULL);
	(void)pthread_cond_init(&async->work, NULL);
	(void)pthread_cond_init(&async->answered, NULL);
	if (start(async, ioloop, workers == 0 ? good_worker_count() : workers,
		  error_r) == 0) {
		(void)atomic_fetch_add(&spool->asyncs, 1);
		return async;
	}
	error = errno;
	spool_pool_stop(async);
	free_async(async);
	errno = error;
	return NULL;
}

/* Until nothing is under way. A callback that closes has been taken out of the
   count. */
static void drain(struct spool_async *async)
{
	(void)pthread_mutex_lock(&async->mutex);
	async->closing = true;
	while (async->count > 0) {
		if (async->complete.first == NULL) {
			(void)pthread_cond_wait(&async->answered,
						&async->mutex);
			continue;
		}
		(void)pthread_mutex_unlock(&async->mutex);
		(void)deliver_one(async);
		(void)pthread_mutex_lock(&async->mutex);
	}
	(void)pthread_mutex_unlock(&async->mutex);
}

void spool_async_close(struct spool_async **_async)
{
	struct spool_async *async = *_async;

	if (async == NULL)
		return;
	if (is_forked(async)) {
		/* a loop that both have still watches for the parent */
		*_async = NULL;
		(void)atomic_fetch_sub(&async->spool->asyncs, 1);
		return;
	}
	if (async->closing) { /* by a callback of who closes already */
		*_async = NULL;
		return;
	}
	/* The callbacks may know it by this pointer alone. */
	drain(async);
	*_async = NULL;
	spool_pool_stop(async);
	io_remove(&async->io);
	(void)atomic_fetch_sub(&async->spool->asyncs, 1);
	async->closed = true;
	if (async->delivering == 0)
		free_async(async);
}

unsigned int spool_async_cancel(struct spool_async *async, const void *context)
{
	unsigned int count;

	if (is_forked(async))
		return 0;
	(void)pthread_mutex_lock(&async->mutex);
	count = spool_pool_cancel(async, context);
	(void)pthread_mutex_unlock(&async->mutex);
	return count;
}

unsigned int spool_async_count(struct spool_async *async)
{
	unsigned int count;

	if (is_forked(async))
		return 0;
	(void)pthread_mutex_lock(&async->mutex);
	count = async->count;
	(void)pthread_mutex_unlock(&async->mutex);
	return count;
}

/*
 * Submitting
 */

static int not_accepted(int error, const char *text)
{
	errno = error;
	io_set_error("%s", text);
	return IO_TRANS_FAIL;
}

/* Under the mutex: whether it is taken. */
static int take(struct spool_async *async, struct spool_request *request)
{
	if (async->closing)
		return not_accepted(ECANCELED,
				    "the spool's workers are being ended");
	if (async->count >= async->requests_max)
		return not_accepted(
			EAGAIN,
			"there are as many requests as there may be: try "
			"again when one of them was answered");
	async->count++;
	spool_pool_add(async, request);
	return IO_DONE;
}

/* Takes `request`, which says what is asked. NULL: there was no memory for it. */
static int submit(struct spool_async *async, struct spool_request *request,
		  spool_answer_t *callback, void *context)
{
	int answer;

	if (request == NULL)
		return not_accepted(ENOMEM, "out of memory");
	if (callback == NULL) {
		free_request(request);
		i_panic("spool_submit_*(): the callback is NULL: nobody would "
			"be told the answer");
	}
	if (is_forked(async)) {
		free_request(request);
		return not_accepted(EPERM,
				    "the spool's workers are of the process "
				    "that started them: a child that fork() "
				    "made has none");
	}
	request->async = async;
	request->callback = callback;
	request->context = context;
	request->call.spool = async->spool;
	request->call.caller = IO_ASYNCHRONOUS;
	request->call.message = request->message;
	request->call.id = request->id;
	io_clear_error();
	(void)pthread_mutex_lock(&async->mutex);
	answer = take(async, request);
	(void)pthread_mutex_unlock(&async->mutex);
	if (answer != IO_DONE)
		free_request(request);
	return answer;
}

/* NULL where there is no memory. */
static struct spool_request *new_request(email_message *message,
					 const message_id *id,
					 enum io_operation step)
{
	struct spool_request *request = try_calloc(1, sizeof(*request));

	i_assert(message != NULL || id != NULL);
	if (request == NULL)
		return NULL;
	if (message != NULL)
		email_message_ref(message);
	request->message = message;
	request->id = message != NULL ? message->message_id : *id;
	request->steps[request->step_count++] = step;
	return request;
}

static void then(struct spool_request *request, enum io_operation step)
{
	if (request != NULL)
		request->steps[request->step_count++] = step;
}

int spool_submit_put(struct spool_async *async, email_message *message,
		     spool_answer_t *callback, void *context)
{
	struct spool_request *request =
		new_request(message, NULL, IO_OP_WRITEBODY);

	then(request, IO_OP_WRITEHEADERS);
	return submit(async, request, callback, context);
}

int spool_submit_get(struct spool_async *async, email_message *message,
		     spool_answer_t *callback, void *context)
{
	struct spool_request *request =
		new_request(message, NULL, IO_OP_READHEADERS);

	then(request, IO_OP_READBODY);
	return submit(async, request, callback, context);
}

int spool_submit_remove(struct spool_async *async, const message_id *id,
			spool_answer_t *callback, void *context)
{
	struct spool_request *request =
		new_request(NULL, id, IO_OP_UNLINKHEADERS);

	then(request, IO_OP_UNLINKBODY);
	return submit(async, request, callback, context);
}

int spool_submit_writebody(struct spool_async *async, email_message *message,
			   int force, spool_answer_t *callback, void *context)
{
	struct spool_request *request =
		new_request(message, NULL, IO_OP_WRITEBODY);

	if (request != NULL)
		request->call.force = force;
	return submit(async, request, callback, context);
}

int spool_submit_writeheaders(struct spool_async *async, email_message *message,
			      int force, spool_answer_t *callback,
			      void *context)
{
	struct spool_request *request =
		new_request(message, NULL, IO_OP_WRITEHEADERS);

	if (request != NULL)
		request->call.force = force;
	return submit(async, request, callback, context);
}

int spool_submit_readheaders(struct spool_async *async, email_message *message,
			     spool_answer_t *callback, void *context)
{
	struct spool_request *request =
		new_request(message, NULL, IO_OP_READHEADERS);

	return submit(async, request, callback, context);
}

int spool_submit_readbody(struct spool_async *async, email_message *message,
			  spool_answer_t *callback, void *context)
{
	struct spool_request *request =
		new_request(message, NULL, IO_OP_READBODY);

	return submit(async, request, callback, context);
}

int spool_submit_unlinkheaders(struct spool_async *async, const message_id *id,
			       spool_answer_t *callback, void *context)
{
	struct spool_request *request =
		new_request(NULL, id, IO_OP_UNLINKHEADERS);

	return submit(async, request, callback, context);
}

int spool_submit_unlinkbody(struct spool_async *async, const message_id *id,
			    spool_answer_t *callback, void *context)
{
	struct spool_request *request = new_request(NULL, id, IO_OP_UNLINKBODY);

	return submit(async, request, callback, context);
}
