/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* lib/mem.c once more, in place of the library's. */

#include "config.h"
#include "test-mem-faults.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

struct test_mem_faults test_mem_faults;

/* Of whom the call is; what i_new() and its like need is there. */
static bool has_none(const char *function)
{
	unsigned int call, at = test_mem_faults.fail_at;

	if (strstr(function, "try_") == NULL)
		return false;
	call = ++test_mem_faults.calls;
	if (at == 0 || call < at || (call > at && !test_mem_faults.fail_after))
		return false;
	errno = ENOMEM;
	return true;
}

void test_mem_faults_begin(unsigned int fail_at, bool fail_after)
{
	test_mem_faults.calls = 0;
	test_mem_faults.fail_after = fail_after;
	test_mem_faults.fail_at = fail_at;
}

unsigned int test_mem_faults_end(void)
{
	test_mem_faults.fail_at = 0;
	return test_mem_faults.calls;
}

/* Blocks that come, NULL among them, and go. */
static void *used(void *block)
{
	test_mem_faults.used += malloc_usable_size(block);
	return block;
}

static void *unused(void *block)
{
	test_mem_faults.used -= malloc_usable_size(block);
	return block;
}

static void *used_anew(void *block, size_t size)
{
	size_t old = malloc_usable_size(block);

	block = used(realloc(block, size));
	if (block != NULL)
		test_mem_faults.used -= old;
	return block;
}

#define malloc(size) (has_none(__func__) ? NULL : used(malloc(size)))
#define calloc(count, size) \
	(has_none(__func__) ? NULL : used(calloc(count, size)))
#define aligned_alloc(alignment, size) \
	(has_none(__func__) ? NULL : used(aligned_alloc(alignment, size)))
#define realloc(ptr, size) (has_none(__func__) ? NULL : used_anew(ptr, size))
#define free(ptr) free(unused(ptr))

#include "mem.c"
