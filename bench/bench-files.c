/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

#define _GNU_SOURCE
#include "bench-files.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int bench_open_out(const struct bench *b)
{
	int fd = open(b->out_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	bench_check(fd >= 0);
	return fd;
}

/* In large pages where there are some: where a guest's page tables are nested, what a
   walk through 32 MiB measures is those. */
static unsigned char *big_memory(size_t size)
{
	const size_t page = (size_t)2 << 20;
	void *data;

	size = (size + page - 1) / page * page;
	bench_check(posix_memalign(&data, page, size) == 0);
	(void)madvise(data, size, MADV_HUGEPAGE);
	return data;
}

unsigned char *bench_read_file(const char *path, size_t *size_r)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char *data;
	size_t have = 0;
	ssize_t n;

	bench_check(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0);
	data = big_memory((size_t)st.st_size + 1);
	while (have < (size_t)st.st_size) {
		n = read(fd, data + have, (size_t)st.st_size - have);
		bench_check(n > 0);
		have += (size_t)n;
	}
	data[have] = '\0';
	(void)close(fd);
	*size_r = have;
	return data;
}

void bench_forget_files(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int fd;

	bench_check(dir != NULL);
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_type != DT_REG)
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC);
		/* what is dirty would stay */
		bench_check(fd >= 0 && fdatasync(fd) == 0 &&
			    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
		(void)close(fd);
	}
	(void)closedir(dir);
}

void bench_bucket_name(unsigned int bucket, char name_r[3])
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

	name_r[0] = digits[bucket / 32];
	name_r[1] = digits[bucket % 32];
	name_r[2] = '\0';
}

void bench_make_buckets(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned int i;
	char name[3];

	bench_check(fd >= 0);
	for (i = 0; i < BENCH_BUCKETS; i++) {
		bench_bucket_name(i, name);
		bench_check(mkdirat(fd, name, 0700) == 0);
	}
	(void)close(fd);
}

static void *drop_all(void *context)
{
	static char data[1 << 18];
	int fd = *(int *)context;

	while (read(fd, data, sizeof(data)) > 0)
		;
	(void)close(fd);
	return NULL;
}

int bench_drain_open(struct bench_drain *drain)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	bench_check(listener >= 0 && fd >= 0);
	bench_check(bind(listener, (struct sockaddr *)&address, size) == 0 &&
		    listen(listener, 1) == 0 &&
		    getsockname(listener, (struct sockaddr *)&address, &size) ==
			    0 &&
		    connect(fd, (struct sockaddr *)&address, size) == 0);
	drain->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	bench_check(drain->fd >= 0);
	(void)close(listener);
	bench_check(pthread_create(&drain->thread, NULL, drop_all,
				   &drain->fd) == 0);
	return fd;
}

void bench_drain_close(struct bench_drain *drain)
{
	bench_check(pthread_join(drain->thread, NULL) == 0);
}
