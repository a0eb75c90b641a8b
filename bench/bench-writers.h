/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_BENCH_WRITERS_H
#define BOBBIN_BENCH_WRITERS_H

/* Threads that store messages, each waiting until its own is on the disk: the same
   for each store. writers=W threads put total=N bodies of piece=SIZE octets in their
   wire form. */

#include "bench.h"

/* Octets of the headers of such a message, for stores that have none of their own: as
   many as the record has that Bobbin makes of it. */
#define BENCH_HEADERS_SIZE 240

/* Messages of each writer before the clock runs: a store makes its files then. */
#define BENCH_WARM 4

/* Stores the message. Many threads call it; each number below N comes once. */
typedef void bench_put_t(void *context, uint64_t number,
			 const unsigned char *body, size_t size);

/* Puts some messages for a start, with the numbers from N on, and then N by the clock.
   The result's bytes are the bodies', and its out_bytes the nanoseconds that 999 of
   1,000 messages took at most. */
void bench_writers(struct bench *b, bench_put_t *put, void *context);
/* The same without a clock: for what the works need that they find. */
void bench_writers_fill(struct bench *b, uint64_t first, uint64_t count,
			bench_put_t *put, void *context);

/* Bodies of piece=SIZE octets that are made before the clock runs, one behind the
   other, to be used in turn; free() them. */
#define BENCH_BODIES 1024
unsigned char *bench_bodies(struct bench *b);
/* The result of total=N messages that took so many nanoseconds each. */
void bench_count_messages(struct bench *b, uint64_t *took);
/* Nanoseconds of a clock that goes on. */
uint64_t bench_now(void);

/* The name of message `number`, as long as a message-id. */
#define BENCH_NAME_SIZE 16
void bench_message_name(uint64_t number, unsigned char name_r[BENCH_NAME_SIZE]);

#endif
