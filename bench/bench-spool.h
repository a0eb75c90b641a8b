/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_BENCH_SPOOL_H
#define BOBBIN_BENCH_SPOOL_H

#include "bench.h"

#include <bobbin/spool.h>

/* A message of this body, which is to stay, with a new id. */
email_message *bench_new_message(struct spool *spool, const unsigned char *body,
				 size_t size);

/* bench_writers() of one thread that has writers=N messages under way. */
void bench_put_async(struct bench *b, struct spool *spool);

#endif
