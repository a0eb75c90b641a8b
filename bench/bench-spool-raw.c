/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a disk allows those who store messages on it, by the simplest means: no index,
   no checksum, no second thought. */

#define _GNU_SOURCE
#include "bench.h"
#include "bench-files.h"
#include "bench-writers.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zstd.h>

#define BLOCK 4096u
#define FILL_SIZE ((size_t)1 << 20)

/*
 * Group commit
 */

/* More writers than that wait for the next group. */
#define GROUP_MAX 256

struct request {
	struct request *next;
	const unsigned char *body;
	size_t size;
	sem_t woken;
	bool done;
};

struct log {
	pthread_mutex_t mutex;
	struct request *queue;
	bool writing;

	/* of who is writing */
	int fd;
	uint64_t pos;
	size_t record; /* of all that is written for a message */
	struct iovec iov[2 * GROUP_MAX + 1];
};

static const unsigned char rest[2 * BLOCK];

static void write_group(struct log *log, const struct request *request)
{
	uint64_t end = log->pos;
	int count = 0;

	for (; request != NULL; request = request->next) {
		log->iov[count].iov_base = (void *)(uintptr_t)request->body;
		log->iov[count++].iov_len = request->size;
		log->iov[count].iov_base = (void *)(uintptr_t)rest;
		log->iov[count++].iov_len = log->record - request->size;
		end += log->record;
	}
	log->iov[count].iov_base = (void *)(uintptr_t)rest;
	log->iov[count++].iov_len = (BLOCK - end % BLOCK) % BLOCK;
	end += (BLOCK - end % BLOCK) % BLOCK;
	bench_check(pwritev(log->fd, log->iov, count, (off_t)log->pos) ==
		    (ssize_t)(end - log->pos));
	bench_check(fdatasync(log->fd) == 0);
	log->pos = end;
}

/* Writes what is queued, lets one of those who came meanwhile write, and wakes the
   others of this group, each by himself: a wake of all is into one lock. */
static void commit(struct log *log)
{
	struct request *group, *next;

	(void)pthread_mutex_lock(&log->mutex);
	group = log->queue;
	log->queue = NULL;
	(void)pthread_mutex_unlock(&log->mutex);
	write_group(log, group);
	(void)pthread_mutex_lock(&log->mutex);
	next = log->queue;
	log->writing = next != NULL;
	(void)pthread_mutex_unlock(&log->mutex);
	if (next != NULL)
		(void)sem_post(&next->woken);
	for (; group != NULL; group = next) {
		next = group->next;
		group->done = true;
		(void)sem_post(&group->woken);
	}
}

static void put_record(void *context, uint64_t number,
		       const unsigned char *body, size_t size)
{
	struct log *log = context;
	struct request request = { .body = body, .size = size };
	bool writes;

	(void)number;
	bench_check(size <= log->record);
	(void)sem_init(&request.woken, 0, 0);
	(void)pthread_mutex_lock(&log->mutex);
	request.next = log->queue;
	log->queue = &request;
	writes = !log->writing;
	log->writing = true;
	(void)pthread_mutex_unlock(&log->mutex);
	if (!writes)
		bench_check(sem_wait(&request.woken) == 0);
	if (!request.done) {
		commit(log);
		bench_check(sem_wait(&request.woken) == 0);
	}
	(void)sem_destroy(&request.woken);
}

/* As the streams do it: the body and the headers, each a frame with a checksum. */
#define LEVEL 3

static ZSTD_CCtx *make_codec(void)
{
	ZSTD_CCtx *codec = ZSTD_createCCtx();

	bench_check(codec != NULL);
	(void)ZSTD_CCtx_setParameter(codec, ZSTD_c_compressionLevel, LEVEL);
	(void)ZSTD_CCtx_setParameter(codec, ZSTD_c_checksumFlag, 1);
	return codec;
}

static void put_compressed_record(void *context, uint64_t number,
				  const unsigned char *body, size_t size)
{
	static _Thread_local ZSTD_CCtx *codec;
	const struct log *log = context;
	unsigned char stored[4 * BLOCK], *end = stored + sizeof(stored);
	size_t stored_size, headers_size;

	if (codec == NULL)
		codec = make_codec();
	stored_size = ZSTD_compress2(codec, stored, sizeof(stored), body, size);
	bench_check(!ZSTD_isError(stored_size));
	headers_size = ZSTD_compress2(codec, stored + stored_size,
				      (size_t)(end - stored) - stored_size,
				      body, BENCH_HEADERS_SIZE);
	bench_check(!ZSTD_isError(headers_size));
	stored_size += headers_size;
	/* all records are as long as one is on the average */
	put_record(context, number, stored,
		   stored_size < log->record ? stored_size : log->record);
}

/* Room for all groups, each of one message, and nothing of it new to the disk. */
static void prewrite(const struct bench *b, int fd)
{
	uint64_t size = (b->record + BLOCK) * (b->total + 8 * b->writers), pos;
	unsigned char *data = calloc(1, FILL_SIZE);

	bench_check(data != NULL);
	for (pos = 0; pos < size; pos += FILL_SIZE)
		bench_check(pwrite(fd, data, FILL_SIZE, (off_t)pos) ==
			    (ssize_t)FILL_SIZE);
	bench_check(fsync(fd) == 0);
	free(data);
}

/* record=BYTES of a message in the new file out=FILE; with codec=zstd compressed before,
   at level 3. */
static void put_records(struct bench *b)
{
	struct log log = { .fd = bench_open_out(b), .record = b->record };

	bench_check(b->record <= sizeof(rest) && b->writers <= GROUP_MAX);
	bench_check(pthread_mutex_init(&log.mutex, NULL) == 0);
	prewrite(b, log.fd);
	bench_writers(b,
		      strcmp(b->codec, "zstd") == 0 ? put_compressed_record :
						      put_record,
		      &log);
	(void)close(log.fd);
}

/*
 * A file for each message
 */

struct folder {
	int messages, tmp;
	size_t record;
};

static void put_file(void *context, uint64_t number, const unsigned char *body,
		     size_t size)
{
	struct folder *folder = context;
	struct iovec iov[2] = { { (void *)(uintptr_t)body, size },
				{ (void *)(uintptr_t)rest,
				  folder->record - size } };
	char name[64], bucket[3];
	int dir, fd;

	bench_bucket_name((unsigned int)number % BENCH_BUCKETS, bucket);
	dir = openat(folder->messages, bucket,
		     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(name, sizeof(name), "%026llu.m",
		       (unsigned long long)number);
	fd = openat(folder->tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		    0600);
	bench_check(fd >= 0 && dir >= 0);
	bench_check(writev(fd, iov, 2) == (ssize_t)folder->record);
	bench_check(fdatasync(fd) == 0 && close(fd) == 0);
	bench_check(renameat(folder->tmp, name, dir, name) == 0);
	bench_check(fsync(dir) == 0);
	(void)close(dir);
}

/* The same into files of the new folder out=DIR: written, synced, renamed, and the
   folder synced. */
static void put_files(struct bench *b)
{
	struct folder folder = { .record = b->record };

	bench_check(b->record >= b->piece &&
		    b->record - b->piece <= sizeof(rest));
	bench_check(mkdir(b->out_path, 0700) == 0);
	bench_make_buckets(b->out_path);
	folder.messages = open(b->out_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bench_check(folder.messages >= 0 &&
		    mkdirat(folder.messages, "tmp", 0700) == 0);
	folder.tmp = openat(folder.messages, "tmp",
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bench_check(folder.tmp >= 0);
	bench_writers(b, put_file, &folder);
	(void)close(folder.tmp);
	(void)close(folder.messages);
}

/*
 * Reading
 */

/* Reads the files of in=DIR one after the other, total=BYTES of them at most, from the
   disk. */
static void read_files(struct bench *b)
{
	unsigned char *data = malloc(FILL_SIZE);
	DIR *dir = opendir(b->in_path);
	struct dirent *entry;
	ssize_t n;
	int fd;

	bench_check(data != NULL && dir != NULL);
	bench_forget_files(b->in_path);
	bench_start();
	while ((entry = readdir(dir)) != NULL && b->bytes < b->total) {
		if (entry->d_type != DT_REG)
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
		bench_check(fd >= 0);
		while (b->bytes < b->total &&
		       (n = read(fd, data, FILL_SIZE)) > 0)
			b->bytes += (size_t)n;
		(void)close(fd);
		b->calls++;
	}
	bench_stop();
	(void)closedir(dir);
	free(data);
}

static const struct bench_work works[] = {
	{ "put", put_records },
	{ "put-files", put_files },
	{ "read-files", read_files },
	{ NULL, NULL },
};

int main(int argc, char *argv[])
{
	return bench_main(argc, argv, works);
}
