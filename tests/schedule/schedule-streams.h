/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef SCHEDULE_STREAMS_H
#define SCHEDULE_STREAMS_H

/* What is sent through stacks, and the keys for it. */

#include "stack-spec.h"

#include <stddef.h>

/* Several times what a pipe and the queues of a layer hold. */
#define SCHEDULE_DATA_SIZE ((size_t)1500000)
extern unsigned char *schedule_data;
extern struct stream_context schedule_keys;

/* Of a group of cmocka's. */
int schedule_streams_setup(void **state);
int schedule_streams_teardown(void **state);

#endif
