/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef SCHEDULE_ATOMICS_H
#define SCHEDULE_ATOMICS_H

/* For sources that are compiled once more with it (-include): others may go on before
   each look at an atomic variable. */

/* before anything of the system's */
#include "config.h"

#include "schedule.h"

#include <stdatomic.h>

#undef atomic_load
#undef atomic_store
#undef atomic_exchange
#undef atomic_compare_exchange_strong
#undef atomic_fetch_add
#undef atomic_fetch_sub
#define atomic_load(object) \
	(schedule_point(), atomic_load_explicit(object, memory_order_seq_cst))
#define atomic_store(object, value) \
	(schedule_point(),          \
	 atomic_store_explicit(object, value, memory_order_seq_cst))
#define atomic_exchange(object, value) \
	(schedule_point(),             \
	 atomic_exchange_explicit(object, value, memory_order_seq_cst))
#define atomic_compare_exchange_strong(object, expected, value)           \
	(schedule_point(),                                                \
	 atomic_compare_exchange_strong_explicit(object, expected, value, \
						 memory_order_seq_cst,    \
						 memory_order_seq_cst))
#define atomic_fetch_add(object, value) \
	(schedule_point(),              \
	 atomic_fetch_add_explicit(object, value, memory_order_seq_cst))
#define atomic_fetch_sub(object, value) \
	(schedule_point(),              \
	 atomic_fetch_sub_explicit(object, value, memory_order_seq_cst))

#endif
