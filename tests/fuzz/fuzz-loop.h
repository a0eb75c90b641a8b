/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef FUZZ_LOOP_H
#define FUZZ_LOOP_H

/* An event loop that waits for nothing: its time passes when an input says so. */

#include "ioloop.h"

#define FUZZ_LOOP_HANDLES 16u

struct fuzz_loop {
	struct ioloop *ioloop;
	struct fuzz_loop_handle {
		bool used;
		int fd; /* -1: a timeout */
		short events;
		uint64_t due, every; /* milliseconds of the loop's time */
		void (*callback)(void *context);
		void *context;
	} handles[FUZZ_LOOP_HANDLES];
	uint64_t now;
};

/* It is the current one until its end, when nothing must wait in it. */
void fuzz_loop_begin(struct fuzz_loop *loop);
void fuzz_loop_end(struct fuzz_loop *loop);
/* Lets so many milliseconds pass, and calls who is due then, or has something to read or
   room to write: each once. */
void fuzz_loop_pass(struct fuzz_loop *loop, unsigned int msecs);

#endif
