/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The spool, with many writers and with many messages. */

#define _GNU_SOURCE
#include "bench.h"
#include "bench-files.h"
#include "bench-spool.h"
#include "bench-writers.h"

#include <bobbin/istream.h>
#include <bobbin/ostream.h>
#include <bobbin/spool.h>
#include <bobbin/stack-spec.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SENDER "someone@example.org"
#define RECIPIENT "somebody.else@example.net"

/*
 * Spools and messages
 */

static struct spool *open_spool(const char *path)
{
	char *error;
	struct spool *spool = spool_open(path, 0, NULL, &error);

	if (spool == NULL)
		bench_fail(error, path, 0);
	return spool;
}

/* store=NAME with the stack codec=SPEC in the new directory out=DIR. */
static struct spool *make_spool(const struct bench *b)
{
	struct spool_settings settings = { .body = b->codec,
					   .store = b->store };
	char *error;

	if (spool_init(b->out_path, &settings, &error) < 0)
		bench_fail(error, b->out_path, 0);
	return open_spool(b->out_path);
}

static email_message *make_message(const message_id *id)
{
	email_message *message = email_message_new(id);

	bench_check(email_message_set_sender(message, SENDER) == 0 &&
		    email_message_add_recipient(message, RECIPIENT) == 0);
	email_message_set_arrival(message, message_id_get_msecs(id));
	return message;
}

email_message *bench_new_message(struct spool *spool, const unsigned char *body,
				 size_t size)
{
	email_message *message;
	struct istream *input;
	message_id id;

	spool_new_id(spool, &id);
	message = make_message(&id);
	input = i_stream_create_from_data(body, size);
	email_message_set_body(message, input, size);
	i_stream_unref(&input);
	return message;
}

static void put(void *context, uint64_t number, const unsigned char *body,
		size_t size)
{
	struct spool *spool = context;
	email_message *message = bench_new_message(spool, body, size);

	(void)number;
	bench_check(spool_put(spool, message) == IO_DONE);
	email_message_unref(&message);
}

/*
 * Ids
 */

struct id_list {
	message_id *ids;
	size_t count, room;
	uint64_t stored;
};

static bool add_id(const struct spool_entry *entry, void *context)
{
	struct id_list *list = context;

	if (list->count == list->room) {
		list->room = list->room * 2 + 1024;
		list->ids = realloc(list->ids, list->room * sizeof(*list->ids));
		bench_check(list->ids != NULL);
	}
	list->ids[list->count++] = entry->id;
	list->stored += entry->stored_size;
	return true;
}

static void list_ids(struct spool *spool, struct id_list *list)
{
	char *error;

	memset(list, 0, sizeof(*list));
	bench_check(spool_list(spool, add_id, list, &error) == 0);
}

/* In an order that has nothing to do with when they were made. */
static void shuffle(struct id_list *list)
{
	uint64_t state = 1;
	message_id id;
	size_t i, j;

	for (i = list->count; i > 1; i--) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		j = (size_t)((state >> 33) % i);
		id = list->ids[i - 1];
		list->ids[i - 1] = list->ids[j];
		list->ids[j] = id;
	}
}

/*
 * Removing
 */

struct removal {
	struct spool *spool;
	struct id_list list;
	size_t kept; /* every how many of them; 0: none is */
	atomic_size_t next;
};

static void *remove_some(void *context)
{
	struct removal *r = context;
	size_t i;

	while ((i = atomic_fetch_add(&r->next, 1)) < r->list.count) {
		if (r->kept == 0 || i % r->kept != 0)
			bench_check(spool_remove(r->spool, &r->list.ids[i]) ==
				    IO_DONE);
	}
	return NULL;
}

/* All messages of the spool go but some; what is left of them lies all over the segments. */
static void remove_messages(struct bench *b, struct spool *spool, size_t kept)
{
	struct removal r = { .spool = spool, .kept = kept };
	pthread_t *threads = calloc(b->writers, sizeof(*threads));
	unsigned int i;

	bench_check(threads != NULL);
	list_ids(spool, &r.list);
	for (i = 0; i < b->writers; i++)
		bench_check(pthread_create(&threads[i], NULL, remove_some,
					   &r) == 0);
	for (i = 0; i < b->writers; i++)
		bench_check(pthread_join(threads[i], NULL) == 0);
	free(threads);
	free(r.list.ids);
}

/*
 * Putting
 */

#define COMPACTION_OFF "compaction = off\n"

/* Whether a thread of the spool's empties segments. */
static void set_compaction(const struct bench *b, bool on)
{
	char path[4096], text[4096];
	size_t size;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/spool.conf", b->out_path);
	file = fopen(path, "r");
	bench_check(file != NULL);
	size = fread(text, 1, sizeof(text), file);
	(void)fclose(file);
	file = fopen(path, on ? "w" : "a");
	bench_check(file != NULL);
	/* it was put behind the rest */
	if (on)
		(void)fwrite(text, 1, size - strlen(COMPACTION_OFF), file);
	else
		(void)fputs(COMPACTION_OFF, file);
	bench_check(fclose(file) == 0);
}

/* They fit into a segment, which is there before the clock runs; the next one is made ahead
   where the spool is growing. */
static struct spool *make_spool_ahead(const struct bench *b)
{
	struct spool *spool = make_spool(b);

	if (strcmp(b->store, "journal") == 0 &&
	    strcmp(b->layer, "growing") != 0) {
		spool_close(&spool);
		set_compaction(b, false);
		spool = open_spool(b->out_path);
	}
	return spool;
}

static void put_messages(struct bench *b)
{
	struct spool *spool = make_spool_ahead(b);

	bench_writers(b, put, spool);
	spool_close(&spool);
}

static void put_messages_async(struct bench *b)
{
	struct spool *spool = make_spool_ahead(b);

	bench_put_async(b, spool);
	spool_close(&spool);
}

/* The same messages through the stack spec=SPEC, into nothing. */
static void encode(const struct stack_spec *spec, const void *data, size_t size)
{
	struct ostream *end = o_stream_create_null(), *output;

	output = stack_spec_create_output(spec, NULL, end, NULL);
	o_stream_unref(&end);
	/* so that the codec knows the size, as in a spool */
	o_stream_cork(output);
	o_stream_nsend(output, data, size);
	bench_check(o_stream_finish(output) > 0);
	o_stream_destroy(&output);
}

static void encode_message(void *context, uint64_t number,
			   const unsigned char *body, size_t size)
{
	(void)number;
	encode(context, body, size);
	/* the headers have a stream of their own */
	encode(context, body, BENCH_HEADERS_SIZE);
}

static void encode_messages(struct bench *b)
{
	struct stack_spec *spec;
	char *error;

	spec = stack_spec_parse(b->codec, &error);
	if (spec == NULL)
		bench_fail(error, b->codec, 0);
	bench_check(stack_spec_load_keys(spec, true, NULL, &error) == 0);
	bench_writers(b, encode_message, spec);
	stack_spec_free(&spec);
}

/* The bytes that a message has in a journal at out=DIR, which is made for it: its
   octets in both records, without their headers. */
static void measure_stored(struct bench *b)
{
	struct spool *spool = make_spool(b);
	struct id_list list;

	bench_writers(b, put, spool);
	list_ids(spool, &list);
	b->out_bytes = list.stored / list.count;
	free(list.ids);
	spool_close(&spool);
}

/*
 * Starting
 */

/* Puts total=N messages into a new spool in a process that is killed then. */
static void fill(struct bench *b)
{
	struct spool *spool;
	pid_t pid = fork();
	int status;

	bench_check(pid >= 0);
	if (pid == 0) {
		spool = make_spool(b);
		bench_writers_fill(b, 0, b->total, put, spool);
		(void)kill(getpid(), SIGKILL);
	}
	bench_check(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
		    WTERMSIG(status) == SIGKILL);
	b->calls = b->total;
	b->bytes = b->total * b->piece;
}

/* Bytes that this process has had from disks. */
static uint64_t bytes_from_disk(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	unsigned long long bytes = 0;
	char line[128];

	bench_check(file != NULL);
	while (fgets(line, sizeof(line), file) != NULL)
		(void)sscanf(line, "read_bytes: %llu", &bytes);
	(void)fclose(file);
	return bytes;
}

static void forget_spool(const struct bench *b)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/journal", b->in_path);
	bench_forget_files(path);
}

/* Opens the spool in=DIR, of which nothing is in memory. The bytes are those that were
   read from the disk, out_bytes the resident memory that came with it. */
static void open_and_close(struct bench *b)
{
	struct spool *spool;
	uint64_t before;
	size_t resident;

	forget_spool(b);
	before = bytes_from_disk();
	resident = bench_resident();
	bench_start();
	spool = open_spool(b->in_path);
	bench_stop();
	b->out_bytes = bench_resident() - resident;
	b->bytes = bytes_from_disk() - before;
	b->calls = b->total;
	spool_close(&spool);
}

/*
 * Changing
 */

static uint64_t thread_cpu(void)
{
	struct timespec ts;

	bench_check(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A call of a thread that did little before takes less CPU time than one of a thread that
   did much, as who had to list a million messages; whatever the call is. */
#define BUSY_NSECS 2000000000u

static void be_busy(void)
{
	uint64_t until = thread_cpu() + BUSY_NSECS;

	while (thread_cpu() < until)
		;
}

/* total=N calls for messages of the spool in=DIR, all over it; out_bytes are this
   thread's nanoseconds a call. */
static void change(struct bench *b, bool remove)
{
	struct spool *spool;
	email_message **messages = calloc(b->total, sizeof(email_message *));
	struct id_list list;
	uint64_t started;
	size_t i;

	/* of both as little is in memory: where a group goes a page costs half a call */
	forget_spool(b);
	spool = open_spool(b->in_path);
	list_ids(spool, &list);
	shuffle(&list);
	bench_check(messages != NULL && b->total <= list.count);
	for (i = 0; i < b->total; i++) {
		bench_check(spool_get(spool, &list.ids[i], &messages[i]) ==
			    IO_DONE);
		bench_check(email_message_set_recipient_state(
				    messages[i], 0, EMAIL_RECIPIENT_DELIVERED,
				    "250 ok") == 0);
	}
	be_busy();
	bench_start();
	started = thread_cpu();
	for (i = 0; i < b->total; i++) {
		if (remove)
			bench_check(spool_remove(spool, &list.ids[i]) ==
				    IO_DONE);
		else
			bench_check(spool_writeheaders(spool, IO_SYNCHRONOUS,
						       messages[i],
						       1) == IO_DONE);
	}
	b->out_bytes = (thread_cpu() - started) / b->total;
	bench_stop();
	b->calls = b->bytes = b->total;
	for (i = 0; i < b->total; i++)
		email_message_unref(&messages[i]);
	/* who comes next finds as many */
	if (remove)
		bench_writers_fill(b, 0, b->total, put, spool);
	free(messages);
	free(list.ids);
	spool_close(&spool);
}

static void rewrite_headers(struct bench *b)
{
	change(b, false);
}

static void unlink_messages(struct bench *b)
{
	change(b, true);
}

/*
 * Putting beside compaction
 */

/* Messages that are there before, and every how many of them is kept. */
#define OLD_MESSAGES 30000
#define OLD_KEPT 4

/* Messages into a spool that has others; with layer=compact most of those are gone, and
   what is left of them is moved meanwhile. */
static void put_beside(struct bench *b)
{
	const bool compact = strcmp(b->layer, "compact") == 0;
	struct spool *spool = make_spool(b);
	uint64_t left;
	char *error;

	spool_close(&spool);
	set_compaction(b, false);
	spool = open_spool(b->out_path);
	bench_writers_fill(b, 0, OLD_MESSAGES, put, spool);
	if (compact)
		remove_messages(b, spool, OLD_KEPT);
	spool_close(&spool);
	set_compaction(b, true);
	spool = open_spool(b->out_path);
	bench_writers(b, put, spool);
	bench_check(spool_compact(spool, &left, &error) == 0);
	/* else nothing was moved meanwhile */
	bench_check(left < OLD_MESSAGES / OLD_KEPT * 3 / 4);
	spool_close(&spool);
}

static const struct bench_work works[] = {
	{ "put", put_messages },       { "put-async", put_messages_async },
	{ "put-beside", put_beside },  { "encode", encode_messages },
	{ "stored", measure_stored },  { "fill", fill },
	{ "open", open_and_close },    { "rewrite", rewrite_headers },
	{ "unlink", unlink_messages }, { NULL, NULL },
};

int main(int argc, char *argv[])
{
	return bench_main(argc, argv, works);
}
