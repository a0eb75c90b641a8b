/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_HELD_CODEC_H
#define TEST_HELD_CODEC_H

/* A codec that copies, and waits at a gate in each call. */

#include "test-stream-common.h"

#include <pthread.h>

/* What is given to a thread at once. */
#define TEST_BLOCK 131072

struct test_gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool open;
	unsigned int inside; /* calls that have come to the gate */
	unsigned int let;    /* so many of them pass, also where it is shut */
	bool failed;         /* the codec has met its error */
};
void test_gate_init(struct test_gate *gate);
void test_gate_free(struct test_gate *gate);
void test_gate_open(struct test_gate *gate);
void test_gate_let(struct test_gate *gate, unsigned int calls);
void test_gate_wait_for_calls(struct test_gate *gate, unsigned int calls);
void test_gate_wait_for_caller(struct test_gate *gate);
void test_gate_wait_for_failure(struct test_gate *gate);

struct test_held_codec {
	struct transform transform;
	struct test_gate *gate;
	pthread_t caller; /* whose thread called process() */
	size_t fail_at;   /* SIZE_MAX: never */
	size_t done;
	bool mute; /* nothing comes out of it */
};
/* An encoder. */
struct test_held_codec *test_held_new(struct test_gate *gate, size_t fail_at);
/* What it may be instead: a decoder, which copies, too. */
extern const struct transform_class test_held_decoder_class;
/* Or an encoder that has threads of its own: they keep all that it is given, until it is
   called without input. */
extern const struct transform_class test_crew_class;

#endif
