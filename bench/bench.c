/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

#define _GNU_SOURCE
#include "bench.h"
#include "bench-files.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t wall_started, cpu_started, wall_ns, cpu_ns;
static size_t resident_started;

void bench_fail(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: it does not hold that %s\n", file, line, what);
	exit(1);
}

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	bench_check(clock_gettime(id, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

void bench_start(void)
{
	resident_started = bench_resident();
	wall_started = read_clock(CLOCK_MONOTONIC);
	cpu_started = read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void bench_stop(void)
{
	cpu_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu_started;
	wall_ns = read_clock(CLOCK_MONOTONIC) - wall_started;
}

size_t bench_resident(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	bench_check(file != NULL && fscanf(file, "%*u %lu", &pages) == 1);
	(void)fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Not getrusage()'s, in which what the process was before exec() counts. */
static long peak_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[256];
	long peak = 0;

	bench_check(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		(void)sscanf(line, "VmHWM: %ld", &peak);
	(void)fclose(file);
	return peak;
}

/* PATH.ends: where each message ends, a number a line. */
static void read_ends(struct bench *b, const char *path)
{
	char name[4096];
	size_t size, count = 0, *ends;
	char *text, *p;

	(void)snprintf(name, sizeof(name), "%s.ends", path);
	text = (char *)bench_read_file(name, &size);
	for (p = text; (p = strchr(p, '\n')) != NULL; p++)
		count++;
	ends = calloc(count, sizeof(*ends));
	bench_check(ends != NULL && count > 0);
	for (p = text; b->messages < count; p++)
		ends[b->messages++] = strtoull(p, &p, 10);
	bench_check(ends[count - 1] == b->size);
	b->ends = ends;
	free(text);
}

static bool set_size(struct bench *b, const char *name, const char *value)
{
	if (strcmp(name, "piece") == 0)
		b->piece = strtoull(value, NULL, 10);
	else if (strcmp(name, "window") == 0)
		b->window = strtoull(value, NULL, 10);
	else if (strcmp(name, "total") == 0)
		b->total = strtoull(value, NULL, 10);
	else if (strcmp(name, "record") == 0)
		b->record = strtoull(value, NULL, 10);
	else if (strcmp(name, "writers") == 0)
		b->writers = (unsigned int)strtoul(value, NULL, 10);
	else if (strcmp(name, "level") == 0)
		b->level = atoi(value);
	else
		return false;
	return true;
}

static bool set(struct bench *b, const char *name, const char *value)
{
	if (strcmp(name, "corpus") == 0) {
		b->data = bench_read_file(value, &b->size);
		read_ends(b, value);
	} else if (strcmp(name, "codec") == 0) {
		b->codec = value;
	} else if (strcmp(name, "spec") == 0) {
		b->spec = value;
	} else if (strcmp(name, "layer") == 0) {
		b->layer = value;
	} else if (strcmp(name, "in") == 0) {
		b->in_path = value;
	} else if (strcmp(name, "out") == 0) {
		b->out_path = value;
	} else if (strcmp(name, "key") == 0) {
		b->key_path = value;
	} else if (strcmp(name, "store") == 0) {
		b->store = value;
	} else {
		return set_size(b, name, value);
	}
	return true;
}

int bench_main(int argc, char *argv[], const struct bench_work *works)
{
	struct bench b = { .piece = 4096,
			   .codec = "",
			   .spec = "plain",
			   .layer = "",
			   .writers = 1 };
	const char *name = "";
	char *value;
	int i;

	for (i = 1; i < argc; i++) {
		value = strchr(argv[i], '=');
		bench_check(value != NULL);
		*value++ = '\0';
		if (strcmp(argv[i], "work") == 0)
			name = value;
		else if (!set(&b, argv[i], value))
			bench_fail("each parameter is known", argv[i], 0);
	}
	if (b.window == 0 || b.window > b.size)
		b.window = b.size;
	b.stride = b.piece + (b.piece < BENCH_PAGE ? 0 : BENCH_GAP);
	while (works->name != NULL && strcmp(works->name, name) != 0)
		works++;
	if (works->name == NULL) {
		fprintf(stderr, "no work \"%s\"\n", name);
		return 2;
	}
	works->run(&b);
	printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
	       " %ld\n",
	       b.bytes, b.calls, b.out_bytes == 0 ? b.bytes : b.out_bytes,
	       wall_ns, cpu_ns, peak_kib() - (long)(resident_started / 1024));
	return 0;
}
