/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What Bobbin and libdovecot can both do, in the names that they share: one source,
   compiled for each (BENCH_DOVECOT), so that both do the very same. */

#ifdef BENCH_DOVECOT
#include "config.h"
#include "lib.h"
#include "buffer.h"
#include "istream.h"
#include "istream-dot.h"
#include "istream-multiplex.h"
#include "istream-zlib.h"
#include "ostream.h"
#include "ostream-dot.h"
#include "ostream-multiplex.h"
#include "ostream-null.h"
#include "ostream-zlib.h"
#define dot_reader(input) i_stream_create_dot(input, TRUE)
/* packets are all that 2.3 knows */
#define multiplexer(output) o_stream_create_multiplex(output, SIZE_MAX)
#else
#define _GNU_SOURCE
#include <bobbin/buffer.h>
#include <bobbin/istream.h>
#include <bobbin/ostream.h>
#define dot_reader(input) i_stream_create_dot(input, 0)
#define multiplexer(output)                         \
	o_stream_create_multiplex(output, SIZE_MAX, \
				  OSTREAM_MULTIPLEX_FORMAT_PACKET)
#endif

#include "bench.h"
#include "bench-files.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE 65536

static void send_pieces(struct bench *b, struct ostream *output)
{
	while (b->bytes < b->total) {
		bench_check(o_stream_send(output, bench_piece(b), b->piece) ==
			    (ssize_t)b->piece);
		b->bytes += b->piece;
		b->calls++;
	}
}

static void finish(struct ostream **output)
{
	int ret;

	do
		ret = o_stream_finish(*output);
	while (ret == 0);
	bench_check(ret > 0);
	o_stream_destroy(output);
}

static void file_send(struct bench *b)
{
	struct ostream *file;

	file = o_stream_create_fd_file(bench_open_out(b), 0, true);
	bench_start();
	o_stream_cork(file);
	send_pieces(b, file);
	finish(&file);
	bench_stop();
}

static void dot_file_send(struct bench *b)
{
	struct ostream *file, *dot;

	file = o_stream_create_fd_file(bench_open_out(b), 0, true);
	/* or libdovecot's dot takes less than all of a large send, which its core
	   does not allow over a blocking stream */
	if (b->piece > 8192)
		o_stream_set_max_buffer_size(file, 4 * b->piece);
	bench_start();
	dot = o_stream_create_dot(file, false);
	o_stream_cork(dot);
	send_pieces(b, dot);
	finish(&dot);
	finish(&file);
	bench_stop();
}

/* A buffer that was as large before, round after round. */
static void buffer_send(struct bench *b)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, BENCH_ROUND);
	struct ostream *output;
	size_t i;

	buffer_append_zero(buf, BENCH_ROUND);
	bench_start();
	while (b->bytes < b->total) {
		buffer_set_used_size(buf, 0);
		output = o_stream_create_buffer(buf);
		for (i = 0; i < BENCH_ROUND / b->piece; i++) {
			bench_check(o_stream_send(output, bench_piece(b),
						  b->piece) ==
				    (ssize_t)b->piece);
			b->calls++;
		}
		b->bytes += i * b->piece;
		finish(&output);
	}
	bench_stop();
	buffer_free(&buf);
}

static void null_send(struct bench *b)
{
	struct ostream *null = o_stream_create_null();

	bench_start();
	send_pieces(b, null);
	bench_stop();
	finish(&null);
}

/*
 * Reading
 */

static void read_all(struct bench *b, struct istream *input)
{
	const unsigned char *data;
	size_t size;
	int ret;

	while ((ret = i_stream_read_more(input, &data, &size)) > 0) {
		b->bytes += size;
		b->calls++;
		i_stream_skip(input, size);
	}
	bench_check(ret == -1 && input->stream_errno == 0);
}

/* The corpus as one text in wire form. */
static void dot_read(struct bench *b)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, b->size * 2);
	struct ostream *output = o_stream_create_buffer(buf), *dot;
	struct istream *data, *input;

	dot = o_stream_create_dot(output, false);
	bench_check(o_stream_send(dot, b->data, b->size) == (ssize_t)b->size);
	finish(&dot);
	finish(&output);
	bench_start();
	while (b->bytes < b->total) {
		data = i_stream_create_from_data(buf->data, buf->used);
		input = dot_reader(data);
		read_all(b, input);
		i_stream_destroy(&input);
		i_stream_destroy(&data);
	}
	bench_stop();
	buffer_free(&buf);
}

static void read_lines(struct bench *b)
{
	struct istream *input;
	const char *line;

	bench_start();
	while (b->bytes < b->total) {
		input = i_stream_create_file(b->in_path, READ_SIZE);
		while ((line = i_stream_read_next_line(input)) != NULL) {
			b->calls++;
			b->out_bytes += (unsigned char)*line;
		}
		bench_check(input->stream_errno == 0);
		b->bytes += input->v_offset;
		i_stream_destroy(&input);
	}
	bench_stop();
	b->out_bytes = 0;
}

/*
 * Codecs
 */

/* libdovecot has neither zlib streams nor standard LZ4 frames: its lz4 is one of
   its own. */
static struct ostream *encoder(const struct bench *b, struct ostream *output)
{
	if (strcmp(b->codec, "gzip") == 0)
		return o_stream_create_gz(output, b->level);
	if (strcmp(b->codec, "lz4") == 0)
		return o_stream_create_lz4(output, b->level);
	bench_check(strcmp(b->codec, "zstd") == 0);
	return o_stream_create_zstd(output, b->level);
}

static struct istream *decoder(const struct bench *b, struct istream *input)
{
	if (strcmp(b->codec, "gzip") == 0)
		return i_stream_create_gz(input);
	if (strcmp(b->codec, "lz4") == 0)
		return i_stream_create_lz4(input);
	bench_check(strcmp(b->codec, "zstd") == 0);
	return i_stream_create_zstd(input);
}

static void encode(struct bench *b)
{
	struct ostream *null = o_stream_create_null(), *output;

	bench_start();
	output = encoder(b, null);
	send_pieces(b, output);
	finish(&output);
	bench_stop();
	b->out_bytes = null->offset;
	finish(&null);
}

static void decode(struct bench *b)
{
	size_t size;
	unsigned char *encoded = bench_read_file(b->in_path, &size);
	struct istream *data, *input;

	bench_start();
	while (b->bytes < b->total) {
		data = i_stream_create_from_data(encoded, size);
		input = decoder(b, data);
		read_all(b, input);
		i_stream_destroy(&input);
		i_stream_destroy(&data);
	}
	bench_stop();
	free(encoded);
}

/* One message after the other: a stream made, corked, sent to, finished. */
static void messages(struct bench *b)
{
	struct ostream *null = o_stream_create_null(), *output;

	/* libdovecot's has room for nothing, and its dot panics then */
	o_stream_set_max_buffer_size(null, 1 << 20);
	bench_start();
	while (b->bytes < b->total) {
		if (strcmp(b->codec, "dot") == 0)
			output = o_stream_create_dot(null, false);
		else
			output = encoder(b, null);
		o_stream_set_finish_also_parent(output, false);
		o_stream_cork(output);
		o_stream_nsend(output, bench_piece(b), b->piece);
		finish(&output);
		b->bytes += b->piece;
		b->calls++;
	}
	bench_stop();
	finish(&null);
}

/*
 * Channels
 */

#define CHANNELS 8

/* total bytes, a packet of piece bytes after the other, each on the next channel. */
static void send_packets(struct bench *b, struct ostream *output)
{
	struct ostream *channels[CHANNELS];
	unsigned int i;

	channels[0] = multiplexer(output);
	for (i = 1; i < CHANNELS; i++)
		channels[i] =
			o_stream_multiplex_add_channel(channels[0], (uint8_t)i);
	while (b->bytes < b->total) {
		bench_check(o_stream_send(channels[b->calls % CHANNELS],
					  bench_piece(b),
					  b->piece) == (ssize_t)b->piece);
		b->bytes += b->piece;
		b->calls++;
	}
	for (i = 0; i < CHANNELS; i++)
		bench_check(o_stream_finish(channels[i]) > 0);
	for (i = CHANNELS; i > 0; i--)
		o_stream_unref(&channels[i - 1]);
}

/* Into out=FILE, or into null. */
static void multiplex_send(struct bench *b)
{
	struct ostream *output;

	if (b->out_path != NULL) {
		output = o_stream_create_fd_file(bench_open_out(b), 0, true);
	} else {
		output = o_stream_create_null();
		/* libdovecot's has room for nothing */
		o_stream_set_max_buffer_size(output, 1 << 20);
	}
	bench_start();
	o_stream_cork(output);
	send_packets(b, output);
	finish(&output);
	bench_stop();
}

/* A read of each channel in turn, which is the order that they were written in. */
static void read_channels(struct bench *b, struct istream *input)
{
	struct istream *channels[CHANNELS];
	const unsigned char *data;
	unsigned int i, ended;
	size_t size;
	int ret;

	channels[0] = i_stream_create_multiplex(input, READ_SIZE);
	for (i = 1; i < CHANNELS; i++)
		channels[i] =
			i_stream_multiplex_add_channel(channels[0], (uint8_t)i);
	do {
		for (i = 0, ended = 0; i < CHANNELS; i++) {
			ret = i_stream_read_more(channels[i], &data, &size);
			if (ret > 0) {
				b->bytes += size;
				b->calls++;
				i_stream_skip(channels[i], size);
			}
			bench_check(ret >= 0 || channels[i]->stream_errno == 0);
			ended += ret < 0;
		}
	} while (ended < CHANNELS);
	for (i = CHANNELS; i > 0; i--)
		i_stream_unref(&channels[i - 1]);
}

static void multiplex_read(struct bench *b)
{
	struct istream *input;

	bench_start();
	while (b->bytes < b->total) {
		input = i_stream_create_file(b->in_path, READ_SIZE);
		read_channels(b, input);
		i_stream_destroy(&input);
	}
	bench_stop();
}

/*
 * Moving whole files
 */

static void send_istream(struct bench *b, struct ostream *output)
{
	struct istream *input;

	while (b->bytes < b->total) {
		input = i_stream_create_file(b->in_path, READ_SIZE);
		bench_check(o_stream_send_istream(output, input) ==
			    OSTREAM_SEND_ISTREAM_RESULT_FINISHED);
		b->bytes += input->v_offset;
		b->calls++;
		i_stream_destroy(&input);
	}
}

static void file_to_file(struct bench *b)
{
	struct ostream *file;

	file = o_stream_create_fd_file(bench_open_out(b), 0, true);
	bench_start();
	send_istream(b, file);
	finish(&file);
	bench_stop();
}

static void file_to_socket(struct bench *b)
{
	struct bench_drain drain;
	int fd = bench_drain_open(&drain);
	struct ostream *output = o_stream_create_fd_autoclose(&fd, SIZE_MAX);

	bench_start();
	send_istream(b, output);
	finish(&output);
	bench_drain_close(&drain);
	bench_stop();
}

static const struct bench_work works[] = {
	{ "file-send", file_send },
	{ "dot-file-send", dot_file_send },
	{ "buffer-send", buffer_send },
	{ "null-send", null_send },
	{ "dot-read", dot_read },
	{ "read-lines", read_lines },
	{ "encode", encode },
	{ "decode", decode },
	{ "messages", messages },
	{ "multiplex-send", multiplex_send },
	{ "multiplex-read", multiplex_read },
	{ "file-to-file", file_to_file },
	{ "file-to-socket", file_to_socket },
	{ NULL, NULL },
};

int main(int argc, char *argv[])
{
#ifdef BENCH_DOVECOT
	lib_init();
#endif
	return bench_main(argc, argv, works);
}
