/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#define _GNU_SOURCE
#include "bench-raw-bytes.h"
#include "bench-files.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_SIZE ((size_t)65536)

void raw_write_pieces(struct bench *b)
{
	int fd = bench_open_out(b);

	bench_start();
	while (b->bytes < b->total) {
		bench_check(write(fd, bench_piece(b), b->piece) ==
			    (ssize_t)b->piece);
		b->bytes += b->piece;
		b->calls++;
	}
	bench_check(close(fd) == 0);
	bench_stop();
}

void raw_write_blocks(struct bench *b)
{
	static _Alignas(64) unsigned char block[BLOCK_SIZE];
	int fd = bench_open_out(b);
	size_t used;

	bench_start();
	while (b->bytes < b->total) {
		for (used = 0; used + b->piece <= BLOCK_SIZE;
		     used += b->piece) {
			memcpy(block + used, bench_piece(b), b->piece);
			b->calls++;
		}
		bench_check(write(fd, block, used) == (ssize_t)used);
		b->bytes += used;
	}
	bench_check(close(fd) == 0);
	bench_stop();
}

/* The lines of what is in text[0..size), ended where they are; how much that was. */
static size_t end_lines(struct bench *b, unsigned char *text, size_t size)
{
	unsigned char *line = text, *end = text + size, *lf;

	while ((lf = memchr(line, '\n', (size_t)(end - line))) != NULL) {
		*lf = '\0';
		b->calls++;
		b->out_bytes += *line;
		line = lf + 1;
	}
	return (size_t)(line - text);
}

void raw_read_lines(struct bench *b)
{
	static _Alignas(64) unsigned char block[BLOCK_SIZE];
	size_t used, taken;
	ssize_t ret;
	int fd;

	bench_start();
	while (b->bytes < b->total) {
		fd = open(b->in_path, O_RDONLY | O_CLOEXEC);
		bench_check(fd >= 0);
		used = 0;
		while ((ret = read(fd, block + used, BLOCK_SIZE - used)) > 0) {
			used += (size_t)ret;
			taken = end_lines(b, block, used);
			memmove(block, block + taken, used - taken);
			used -= taken;
			b->bytes += (size_t)ret;
		}
		bench_check(ret == 0 && close(fd) == 0);
	}
	bench_stop();
	b->out_bytes = 0;
}

void raw_copy_pieces(struct bench *b)
{
	unsigned char *dest = malloc(BENCH_ROUND);
	size_t i;

	bench_check(dest != NULL);
	memset(dest, 1, BENCH_ROUND);
	bench_start();
	while (b->bytes < b->total) {
		for (i = 0; i < BENCH_ROUND / b->piece; i++) {
			memcpy(dest + i * b->piece, bench_piece(b), b->piece);
			/* so that the compiler believes that it is needed */
			__asm__ volatile("" : : "r"(dest) : "memory");
			b->calls++;
		}
		b->bytes += i * b->piece;
	}
	bench_stop();
	free(dest);
}
