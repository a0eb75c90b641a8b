/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_ASYNC_COMMON_H
#define TEST_ASYNC_COMMON_H

/* Asynchronous calls: answers that are counted, and a module in front of the store that
   writes down what it is asked and holds the workers. */

#include "ioloop.h"
#include "spool-async.h"
#include "test-spool-common.h"

#include <pthread.h>

/*
 * Answers
 */

/* The context of a request. */
struct test_answer {
	unsigned int calls;
	int answer, error;
	char why[200];
};
/* The callback: on the thread that called test_async_begin() and nowhere else. */
void test_answered(int answer, void *context);
/* Makes an event loop, and workers of this spool (requests_max 0: the default). */
struct spool_async *test_async_begin(struct spool *spool, unsigned int workers,
				     unsigned int requests_max);
/* Closes both. */
void test_async_end(struct spool_async **async, struct spool **spool);
/* How many answers came since the beginning. */
unsigned int test_answers(void);
/* Runs the loop until so many have come. */
void test_wait_answers(unsigned int count);
/* That it was answered once, so. */
#define test_must_be(got, want) test_must_be_at(got, want, __FILE__, __LINE__)
void test_must_be_at(const struct test_answer *got, int want, const char *file,
		     int line);

/* A new id, and a message that test_spool_must_have() knows, with TEST_SPOOL_WIRE. */
email_message *test_async_message(struct spool *spool, message_id *id_r);
/* Puts such a one; the answer of spool_submit_put(). */
int test_async_put(struct spool *spool, struct spool_async *async,
		   message_id *id_r, struct test_answer *answer);

/* That there is no such message. */
void test_async_must_be_missing(struct spool *spool, const message_id *id);

/*
 * The module
 */

#define TEST_WATCH_MAX 1000

/* What was asked, in its order; under the mutex while there are workers. */
struct test_watch {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int count;
	struct {
		enum io_operation op;
		message_id id;
		bool after; /* told the answer */
		io_caller caller;
		int force;    /* of what is written */
		bool on_loop; /* the loop's thread */
		int result;
	} events[TEST_WATCH_MAX];
	bool holding;
	enum io_operation held_op;
	message_id held_id;
	bool any_id;
	unsigned int inside; /* workers that are held */
};
extern struct test_watch test_watch;

/* Nothing was asked yet. IO_CONT to everything. */
io_infrastructure *test_watch_new(void);
/* Who asks for this waits (id NULL: any message's), and nobody else does any more. */
void test_watch_hold(enum io_operation op, const message_id *id);
void test_watch_release(void);
/* Waits until so many are held. */
void test_watch_wait_inside(unsigned int count);
/* How often it was asked (id NULL: about any message). */
unsigned int test_watch_asked(enum io_operation op, const message_id *id);
/* Waits until it was asked so often. */
void test_watch_wait_asked(enum io_operation op, unsigned int count);

/* A spool of this store ("memory" is one without a directory) behind the watching
   module. */
struct spool *test_watched_spool(const char *store);

#endif
