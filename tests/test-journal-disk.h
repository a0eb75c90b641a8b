/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef TEST_JOURNAL_DISK_H
#define TEST_JOURNAL_DISK_H

/* Journals on a disk of a few segments: what segments take counts, as nothing else is on
   it. */

#include "test-journal-common.h"

#include <stdatomic.h>

/* Of the segments, where a test says nothing, in bytes. */
#define TEST_DISK_SEGMENT ((uint64_t)1024 * 1024)
/* Most messages of a test. */
#define TEST_DISK_MANY 9000u

/* One thread makes a segment at a time, others look at its descriptor meanwhile. */
extern struct test_disk {
	_Atomic uint64_t left; /* for new segments, in bytes */
	atomic_int fd;         /* of the one that is being made */
	int error;             /* that it is full; 0: ENOSPC */
	_Atomic uint64_t made; /* how much of it there is */
	struct file_ops ops;   /* for more faults: to be set again then */
} test_disk;

/* A disk that has so many bytes left, for what is opened from now on. */
void test_disk_install(uint64_t left);
/* An empty journal on a disk that has so many bytes left. */
struct journal *test_disk_begin(uint64_t left);
struct journal *test_disk_begin_with(uint64_t left,
				     struct journal_settings settings);
void test_disk_start_again(struct journal **journal);
/* The teardown of each test. */
int test_disk_end(void **state);

/* Messages by their numbers: 0, or the errno. A body has so many bytes, half of a segment
   at most. */
int test_disk_store(struct journal *journal, unsigned int n, size_t size);
/* So many (TEST_DISK_GROUP_MAX at most) from `first` on in one group. */
#define TEST_DISK_GROUP_MAX 32u
int test_disk_store_group(struct journal *journal, unsigned int first,
			  unsigned int count, size_t size);
/* The headers of a message that is there, once more. */
int test_disk_rewrite(struct journal *journal, unsigned int n,
		      uint64_t version);
/* Nothing is packed before it must be. Others may take what is won. */
int test_disk_drop(struct journal *journal, unsigned int n);
bool test_disk_has(struct journal *journal, unsigned int n);

/* Bytes of a body: five have room in a segment, and four where a removal of each has. */
#define TEST_DISK_LARGE ((size_t)200 * 1024)
int test_disk_store_large(struct journal *journal, unsigned int n);

/* Stores from `first` on until the disk is full: the one behind the last. */
unsigned int test_disk_fill(struct journal *journal, unsigned int first,
			    size_t size);
/* Not even a small one goes in any more: how many did, from TEST_DISK_SMALL on. */
#define TEST_DISK_SMALL 1000u
unsigned int test_disk_fill_small(struct journal *journal);
/* The numbers below `count`, always in the same order, which is none. */
void test_disk_shuffle(unsigned int *numbers, unsigned int count);
/* The next number below the limit, always the same ones behind a seed. */
unsigned int test_disk_below(uint64_t *seed, unsigned int limit);
/* Of the environment. */
unsigned int test_disk_number_of(const char *name, unsigned int otherwise);
/* Dead segments that are as large as they should be, with blocks or without. */
unsigned int test_disk_wholes(struct journal *journal, bool cut);

#endif
