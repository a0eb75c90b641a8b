/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TEST_JOURNAL_GATE_H
#define BOBBIN_TEST_JOURNAL_GATE_H

/* A journal whose syncs are held, and counted; and threads that commit to it. */

#include "test-journal-common.h"

struct test_gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	unsigned int syncs;   /* that began */
	unsigned int allowed; /* that may end */
	pthread_t by[8];      /* whose the first ones were */
};
extern struct test_gate test_gate;

/* How many syncs may end. */
void test_gate_allow(unsigned int count);
/* Until there were so many, since test_gate_begin(). */
void test_gate_wait(unsigned int count);
/* A new journal that has its segment, with one message, and whose next sync is held. */
struct journal *test_gate_begin(void);
void test_gate_end(struct journal *journal);

/* One that nobody waits for. */
void test_gate_submit(struct test_journal_put *put, unsigned int n);
/* Its done(). */
void test_gate_count(struct journal_request *request, int error);
/* How often it was told. */
unsigned int test_gate_done(const struct test_journal_put *put);
void test_gate_wait_for_done(const struct test_journal_put *put);

/* One that somebody waits for. */
struct test_gate_commit {
	struct journal *journal;
	struct test_journal_put put;
};
void test_gate_make_commit(struct test_gate_commit *commit,
			   struct journal *journal, unsigned int n);
/* A thread of it; NULL: it went well. */
void *test_gate_run(void *context);
/* Waits until so many requests are queued, and so many want the turn for something
   else. */
void test_gate_wait_for_queue(struct journal *journal, unsigned int requests,
			      bool wanted);

pthread_t test_start(void *(*run)(void *context), void *context);
/* Which has to have gone well: NULL. */
void test_end(pthread_t thread);

#endif
