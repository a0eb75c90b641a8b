/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "process-mark.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
/* In memory that the kernel clears in a child, however that was made. NULL: there is no such
   memory. */
static atomic_uint_fast64_t *mark;
/* No mark of this process or of its ancestors was larger. */
static atomic_uint_fast64_t last;

static void make_mark(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return;
#ifdef MADV_WIPEONFORK
	/* qemu's user mode says yes to whatever advice it is given, and takes none */
	if (madvise(page, size, -1) < 0 &&
	    madvise(page, size, MADV_WIPEONFORK) == 0) {
		mark = page;
		return;
	}
#endif
	(void)munmap(page, size);
}

/* Whichever of the child's threads asks first. */
static uint64_t begin(void)
{
	uint_fast64_t none = 0, next;

	/* first, as another thread may make a child meanwhile; and it never goes back, or a
	   child might have the mark of its parent */
	next = atomic_fetch_add(&last, 1) + 1;
	return atomic_compare_exchange_strong(mark, &none, next) ? next : none;
}

uint64_t process_mark(void)
{
	uint64_t value;

	(void)pthread_once(&once, make_mark);
	if (mark == NULL)
		return (uint64_t)getpid();
	value = atomic_load_explicit(mark, memory_order_relaxed);
	return value != 0 ? value : begin();
}
