/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_BENCH_FILES_H
#define BOBBIN_BENCH_FILES_H

/* Files and sockets of the works, the same for each program. */

#include "bench.h"

#include <pthread.h>

/* Bytes of a round through memory: it stays in the second-level cache. */
#define BENCH_ROUND ((size_t)256 * 1024)

/* out=PATH, for writing from its beginning; what is there is overwritten, so that
   all programs find the same blocks. */
int bench_open_out(const struct bench *b);
/* All of a file; free() it. */
unsigned char *bench_read_file(const char *path, size_t *size_r);

/* What is in the memory of a directory's files is dropped: the next who reads them has
   to wait for the disk. */
void bench_forget_files(const char *dir);

/* Directories as below a file store's messages/ (doc/spool-format.md), in one that
   exists. */
#define BENCH_BUCKETS 1024
void bench_bucket_name(unsigned int bucket, char name_r[3]);
void bench_make_buckets(const char *dir);

/* A socket whose other end a thread reads and drops. */
struct bench_drain {
	pthread_t thread;
	int fd;
};
/* The end to write to; closing it is the caller's. */
int bench_drain_open(struct bench_drain *drain);
/* Waits until all was read. */
void bench_drain_close(struct bench_drain *drain);

#endif
