/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_MEM_FAULTS_H
#define TEST_MEM_FAULTS_H

/* Memory that ends: of a program that has test-mem-faults.c among its sources, the calls of
   the try_ functions are counted, and chosen ones fail. */

#include "types.h"

struct test_mem_faults {
	_Atomic unsigned int calls;
	_Atomic unsigned int fail_at; /* 1 is the first; 0: none */
	_Atomic bool fail_after;      /* those behind it, too */
	/* bytes of blocks that were given and not freed; what it grows by says
	   something where no strings are freed meanwhile, which are not in it */
	_Atomic size_t used;
};
extern struct test_mem_faults test_mem_faults;

/* From now on this one fails; and none, which gives the calls since then. */
void test_mem_faults_begin(unsigned int fail_at, bool fail_after);
unsigned int test_mem_faults_end(void);

#endif
