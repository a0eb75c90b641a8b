/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What only Bobbin has: encryption, stacks, the spool; and its memory. */

#define _GNU_SOURCE
#include "bench.h"
#include "bench-files.h"

#include <bobbin/age-keys.h>
#include <bobbin/buffer.h>
#include <bobbin/hash-method.h>
#include <bobbin/istream.h>
#include <bobbin/ostream.h>
#include <bobbin/spool.h>

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH "blake2b"

/*
 * Counting allocations
 */

static uint64_t allocations;

uint64_t bench_allocations(void)
{
	return allocations;
}

#ifdef __GLIBC__
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *data, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
	allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	allocations++;
	return __libc_calloc(count, size);
}

void *realloc(void *data, size_t size)
{
	allocations++;
	return __libc_realloc(data, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	allocations++;
	return __libc_memalign(alignment, size);
}
#endif

/*
 * Stacks
 */

/* key=FILE, as age-keygen writes it. */
static struct age_identities *identities(const struct bench *b)
{
	struct age_identities *set = age_identities_new();
	char *error;

	bench_check(age_identities_add_file(set, b->key_path, NULL, &error) ==
		    0);
	return set;
}

/* The one that key=FILE decrypts for. */
static struct age_recipients *recipients(const struct bench *b)
{
	struct age_identities *set = identities(b);
	struct age_recipients *recipients = age_recipients_new();
	char text[AGE_RECIPIENT_TEXT_SIZE], *error;

	age_identities_get_recipient(set, 0, text);
	bench_check(age_recipients_add(recipients, text, &error) == 0);
	age_identities_unref(&set);
	return recipients;
}

static void finish(struct ostream **output)
{
	bench_check(o_stream_finish(*output) > 0);
	o_stream_destroy(output);
}

/* A layer on top of output, which it takes over. */
static struct ostream *add_layer(const struct bench *b, const char *name,
				 size_t size, struct ostream *output,
				 struct age_recipients *to, void *hash)
{
	struct ostream *layer = NULL;

	if (strncmp(name, "dot", size) == 0)
		layer = o_stream_create_dot(output, false);
	else if (strncmp(name, "gzip", size) == 0)
		layer = o_stream_create_gzip(output, b->level);
	else if (strncmp(name, "zlib", size) == 0)
		layer = o_stream_create_zlib(output, b->level);
	else if (strncmp(name, "lz4", size) == 0)
		layer = o_stream_create_lz4(output, b->level);
	else if (strncmp(name, "zstd", size) == 0)
		layer = o_stream_create_zstd(output, b->level);
	else if (strncmp(name, "age", size) == 0)
		layer = o_stream_create_encrypt(output, to);
	else if (strncmp(name, "hash", size) == 0)
		layer = o_stream_create_hash(output, hash_method_lookup(HASH),
					     hash);
	bench_check(layer != NULL);
	o_stream_set_finish_also_parent(layer, true);
	o_stream_unref(&output);
	return layer;
}

/* codec=dot,zstd,age: the first is on top. */
static struct ostream *stack(const struct bench *b, struct ostream *output,
			     struct age_recipients *to, void *hash)
{
	const char *end = b->codec + strlen(b->codec), *p;

	while (end > b->codec) {
		for (p = end; p > b->codec && p[-1] != ','; p--)
			;
		output = add_layer(b, p, (size_t)(end - p), output, to, hash);
		end = p > b->codec ? p - 1 : p;
	}
	return output;
}

static bool has_layer(const struct bench *b, const char *name)
{
	return strstr(b->codec, name) != NULL;
}

/* One message after the other through a new stack into null; out_bytes is the
   number of allocations. */
static void messages(struct bench *b)
{
	struct age_recipients *to = has_layer(b, "age") ? recipients(b) : NULL;
	const struct hash_method *method = hash_method_lookup(HASH);
	void *hash = malloc(method->context_size);
	unsigned char digest[64];
	struct ostream *output;
	uint64_t before = 0;

	bench_check(hash != NULL);
	bench_start();
	while (b->bytes < b->total) {
		if (b->calls == 16)
			before = allocations;
		method->init(hash);
		output = stack(b, o_stream_create_null(), to, hash);
		o_stream_cork(output);
		o_stream_nsend(output, bench_piece(b), b->piece);
		finish(&output);
		if (has_layer(b, "hash"))
			method->result(hash, digest);
		b->bytes += b->piece;
		b->calls++;
	}
	bench_stop();
	b->out_bytes = allocations - before;
	free(hash);
}

/* The stack over one long stream into null. */
static void encode(struct bench *b)
{
	struct age_recipients *to = has_layer(b, "age") ? recipients(b) : NULL;
	struct ostream *null = o_stream_create_null(), *output;

	o_stream_ref(null);
	bench_start();
	output = stack(b, null, to, NULL);
	while (b->bytes < b->total) {
		bench_check(o_stream_send(output, bench_piece(b), b->piece) ==
			    (ssize_t)b->piece);
		b->bytes += b->piece;
		b->calls++;
	}
	finish(&output);
	bench_stop();
	b->out_bytes = null->offset;
	o_stream_unref(&null);
}

/* in=FILE, decrypted round and round. */
static void decrypt(struct bench *b)
{
	struct age_identities *set = identities(b);
	struct istream *data, *input;
	const unsigned char *plain;
	size_t size, n;
	unsigned char *encoded = bench_read_file(b->in_path, &size);

	bench_start();
	while (b->bytes < b->total) {
		data = i_stream_create_from_data(encoded, size);
		input = i_stream_create_decrypt(data, set);
		while (i_stream_read_more(input, &plain, &n) > 0) {
			b->bytes += n;
			i_stream_skip(input, n);
		}
		bench_check(input->stream_errno == 0);
		i_stream_destroy(&input);
		i_stream_destroy(&data);
		b->calls++;
	}
	bench_stop();
	free(encoded);
	age_identities_unref(&set);
}

/* Writes a file for the decoders: out=FILE through the stack. */
static void write_file(struct bench *b)
{
	struct age_recipients *to = has_layer(b, "age") ? recipients(b) : NULL;
	struct ostream *output;

	output = stack(b, o_stream_create_file_atomic(b->out_path, 0600, 0), to,
		       NULL);
	bench_start();
	while (b->bytes < b->total) {
		o_stream_nsend(output, bench_piece(b), b->piece);
		b->bytes += b->piece;
	}
	finish(&output);
	bench_stop();
}

/*
 * What small sends cost in size
 */

static uint64_t stored_size(struct bench *b, const unsigned char *message,
			    size_t size, size_t piece, bool dot)
{
	struct ostream *null = o_stream_create_null(), *output;
	uint64_t stored;
	size_t n;

	o_stream_ref(null);
	output = stack(b, null, NULL, NULL);
	if (dot) {
		output = add_layer(b, "dot", 3, output, NULL, NULL);
		o_stream_set_finish_also_parent(output, true);
	}
	for (; size > 0; message += n, size -= n) {
		n = size < piece ? size : piece;
		bench_check(o_stream_send(output, message, n) == (ssize_t)n);
	}
	finish(&output);
	stored = null->offset;
	o_stream_unref(&null);
	return stored;
}

/* The message as dot writes it. */
static buffer_t *wire_form(const unsigned char *message, size_t size)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, size + size / 8);
	struct ostream *output = o_stream_create_buffer(buf), *dot;

	dot = o_stream_create_dot(output, false);
	o_stream_nsend(dot, message, size);
	finish(&dot);
	finish(&output);
	return buf;
}

/* out_bytes: one more than the most that a message grows in 64-byte sends, or (sizes-dot)
   when dot is above instead of before. */
static void sizes(struct bench *b, bool dot)
{
	const unsigned char *message;
	uint64_t whole, cut;
	buffer_t *buf;
	size_t size;

	bench_start();
	while (b->bytes < b->total) {
		message = bench_message(b, &size);
		if (dot) {
			buf = wire_form(message, size);
			whole = stored_size(b, buf->data, buf->used, buf->used,
					    false);
			buffer_free(&buf);
			cut = stored_size(b, message, size, size, true);
		} else {
			whole = stored_size(b, message, size, size, false);
			cut = stored_size(b, message, size, 64, false);
		}
		if (cut > whole && cut - whole > b->out_bytes)
			b->out_bytes = cut - whole;
		b->bytes += size;
		b->calls++;
	}
	bench_stop();
	/* 0 would be taken for "the same as bytes" */
	b->out_bytes++;
}

static void sizes_pieces(struct bench *b)
{
	sizes(b, false);
}

static void sizes_dot(struct bench *b)
{
	sizes(b, true);
}

/* total=N stacks that are open at once, each with a message half sent and flushed;
   out_bytes is what one of them keeps. */
static void idle(struct bench *b)
{
	struct age_recipients *to = has_layer(b, "age") ? recipients(b) : NULL;
	struct ostream **outputs = calloc(b->total, sizeof(*outputs));
	const struct hash_method *method = hash_method_lookup(HASH);
	void *hash = malloc(method->context_size);
	size_t before, i;

	bench_check(outputs != NULL && hash != NULL);
	method->init(hash);
	before = bench_resident();
	bench_start();
	for (i = 0; i < b->total; i++) {
		outputs[i] = stack(b, o_stream_create_null(), to, hash);
		o_stream_nsend(outputs[i], bench_piece(b), b->piece);
		bench_check(o_stream_flush(outputs[i]) > 0);
		b->bytes += b->piece;
		b->calls++;
	}
	bench_stop();
	b->out_bytes = (bench_resident() - before) / b->total;
	for (i = 0; i < b->total; i++)
		finish(&outputs[i]);
	free(outputs);
	free(hash);
}

/*
 * The spool
 */

static struct spool *open_spool(const struct bench *b, bool make)
{
	struct spool_settings settings = { .body = b->codec };
	struct spool *spool;
	char *error;

	if (make)
		bench_check(spool_init(b->out_path, &settings, &error) == 0);
	spool = spool_open(b->out_path, 0, NULL, &error);
	bench_check(spool != NULL);
	return spool;
}

/* The folders of a spool that is in use. */
static void make_buckets(const struct bench *b)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/messages", b->out_path);
	bench_make_buckets(path);
}

struct wire {
	unsigned char *data;
	size_t size;
};

/* A message in its wire form, which is what a spool takes. The corpus has to be of
   CRLF; it has no dot that begins a line. */
static void make_wire(struct bench *b, struct wire *wire)
{
	static const char end[] = "\r\n.\r\n";
	const unsigned char *text;
	size_t size;

	text = bench_message(b, &size);
	wire->size = size - 2 + sizeof(end) - 1;
	wire->data = malloc(wire->size);
	bench_check(wire->data != NULL);
	memcpy(wire->data, text, size - 2);
	memcpy(wire->data + size - 2, end, sizeof(end) - 1);
}

static void put_wire(struct bench *b, struct spool *spool, struct wire *wire)
{
	email_message *message;
	struct istream *body;
	message_id id;

	spool_new_id(spool, &id);
	message = email_message_new(&id);
	body = i_stream_create_from_data(wire->data, wire->size);
	email_message_set_body(message, body, wire->size);
	i_stream_unref(&body);
	bench_check(spool_put(spool, message) == IO_DONE);
	email_message_unref(&message);
	b->bytes += wire->size;
	b->calls++;
	free(wire->data);
}

/* So many messages are made before the clock runs. */
#define WIRES_MAX 4000

/* total=N messages into a new spool at out=DIR. */
static void spool_put_messages(struct bench *b)
{
	struct spool *spool = open_spool(b, true);
	struct wire *wires = calloc(WIRES_MAX, sizeof(*wires)), wire;
	size_t i;

	bench_check(wires != NULL);
	make_buckets(b);
	for (i = 0; i < WIRES_MAX && i < b->total; i++)
		make_wire(b, &wires[i]);
	bench_start();
	for (i = 0; i < WIRES_MAX && i < b->total; i++)
		put_wire(b, spool, &wires[i]);
	while (b->calls < b->total) {
		make_wire(b, &wire);
		put_wire(b, spool, &wire);
	}
	bench_stop();
	spool_close(&spool);
	free(wires);
}

struct id_list {
	message_id *ids;
	size_t count;
};

static bool add_id(const struct spool_entry *entry, void *context)
{
	struct id_list *list = context;

	if (list->ids != NULL)
		list->ids[list->count] = entry->id;
	list->count++;
	return true;
}

static void spool_list_messages(struct bench *b)
{
	struct spool *spool = open_spool(b, false);
	struct id_list list = { NULL, 0 };
	char *error;

	bench_start();
	bench_check(spool_list(spool, add_id, &list, &error) == 0);
	bench_stop();
	b->calls = b->bytes = list.count;
	spool_close(&spool);
}

static void spool_verify_messages(struct bench *b)
{
	struct spool *spool = open_spool(b, false);
	struct id_list list = { NULL, 0 };
	char *error;

	bench_start();
	bench_check(spool_verify(spool, add_id, &list, &error) == 0);
	bench_stop();
	b->calls = b->bytes = list.count;
	spool_close(&spool);
}

static void spool_get_messages(struct bench *b)
{
	struct spool *spool = open_spool(b, false);
	struct id_list list = { NULL, 0 };
	const unsigned char *data;
	email_message *message;
	char *error;
	size_t i, n;

	bench_check(spool_list(spool, add_id, &list, &error) == 0);
	list.ids = calloc(list.count, sizeof(*list.ids));
	bench_check(list.ids != NULL);
	list.count = 0;
	bench_check(spool_list(spool, add_id, &list, &error) == 0);
	bench_start();
	for (i = 0; i < list.count; i++) {
		bench_check(spool_get(spool, &list.ids[i], &message) ==
			    IO_DONE);
		while (i_stream_read_more(message->body, &data, &n) > 0) {
			b->bytes += n;
			i_stream_skip(message->body, n);
		}
		bench_check(message->body->stream_errno == 0);
		email_message_unref(&message);
		b->calls++;
	}
	bench_stop();
	free(list.ids);
	spool_close(&spool);
}

static const struct bench_work works[] = {
	{ "encode", encode },
	{ "decrypt", decrypt },
	{ "write-file", write_file },
	{ "messages", messages },
	{ "sizes", sizes_pieces },
	{ "sizes-dot", sizes_dot },
	{ "idle", idle },
	{ "spool-put", spool_put_messages },
	{ "spool-get", spool_get_messages },
	{ "spool-list", spool_list_messages },
	{ "spool-verify", spool_verify_messages },
	{ NULL, NULL },
};

int main(int argc, char *argv[])
{
	return bench_main(argc, argv, works);
}
