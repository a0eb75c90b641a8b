/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The same works without any stream: system calls, memcpy, and the codecs' libraries
   with the settings and block sizes that the streams use. */

#define _GNU_SOURCE
#include "bench.h"
#include "bench-files.h"
#include "bench-raw-bytes.h"

#include <fcntl.h>
#include <lz4frame.h>
#include <lz4hc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define OUT_SIZE ((size_t)65536)

static unsigned char out[1 << 20];

/*
 * Codecs
 */

struct codec {
	z_stream z;
	LZ4F_cctx *lz4;
	LZ4F_dctx *lz4_reader;
	ZSTD_CCtx *zstd;
	ZSTD_DCtx *zstd_reader;
};

static LZ4F_preferences_t lz4_preferences(int level)
{
	LZ4F_preferences_t preferences;

	memset(&preferences, 0, sizeof(preferences));
	preferences.frameInfo.blockSizeID = LZ4F_max64KB;
	preferences.frameInfo.blockMode = LZ4F_blockLinked;
	preferences.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled;
	preferences.compressionLevel = level;
	return preferences;
}

static int window_bits(const struct bench *b)
{
	return strcmp(b->codec, "gzip") == 0 ? 31 : 15;
}

static bool is_zlib(const struct bench *b)
{
	return strcmp(b->codec, "gzip") == 0 || strcmp(b->codec, "zlib") == 0;
}

static void codec_begin(const struct bench *b, struct codec *codec)
{
	memset(codec, 0, sizeof(*codec));
	if (is_zlib(b)) {
		bench_check(deflateInit2(&codec->z, b->level, Z_DEFLATED,
					 window_bits(b), 8,
					 Z_DEFAULT_STRATEGY) == Z_OK);
	} else if (strcmp(b->codec, "lz4") == 0) {
		bench_check(!LZ4F_isError(LZ4F_createCompressionContext(
			&codec->lz4, LZ4F_VERSION)));
	} else {
		bench_check(strcmp(b->codec, "zstd") == 0);
		codec->zstd = ZSTD_createCCtx();
		(void)ZSTD_CCtx_setParameter(codec->zstd,
					     ZSTD_c_compressionLevel, b->level);
		(void)ZSTD_CCtx_setParameter(codec->zstd, ZSTD_c_checksumFlag,
					     1);
	}
}

/* For the next message with the same context. */
static void codec_again(const struct bench *b, struct codec *codec)
{
	if (is_zlib(b))
		bench_check(deflateReset(&codec->z) == Z_OK);
	else if (strcmp(b->codec, "zstd") == 0)
		(void)ZSTD_CCtx_reset(codec->zstd, ZSTD_reset_session_only);
}

static void zlib_step(struct bench *b, struct codec *codec,
		      const unsigned char *data, size_t size, int flush)
{
	codec->z.next_in = (Bytef *)(uintptr_t)data;
	codec->z.avail_in = (uInt)size;
	do {
		codec->z.next_out = out;
		codec->z.avail_out = OUT_SIZE;
		bench_check(deflate(&codec->z, flush) >= 0);
		b->out_bytes += OUT_SIZE - codec->z.avail_out;
	} while (codec->z.avail_out == 0);
}

static void zstd_step(struct bench *b, struct codec *codec,
		      const unsigned char *data, size_t size,
		      ZSTD_EndDirective mode)
{
	ZSTD_inBuffer in = { data, size, 0 };
	ZSTD_outBuffer to;
	size_t left;

	do {
		to = (ZSTD_outBuffer){ out, OUT_SIZE, 0 };
		left = ZSTD_compressStream2(codec->zstd, &to, &in, mode);
		bench_check(!ZSTD_isError(left));
		b->out_bytes += to.pos;
	} while (in.pos < in.size || (mode == ZSTD_e_end && left > 0));
}

static void lz4_step(struct bench *b, struct codec *codec,
		     const unsigned char *data, size_t size, bool end)
{
	size_t n = 0;

	if (size > 0)
		n = LZ4F_compressUpdate(codec->lz4, out, sizeof(out), data,
					size, NULL);
	bench_check(!LZ4F_isError(n));
	b->out_bytes += n;
	if (!end)
		return;
	n = LZ4F_compressEnd(codec->lz4, out, sizeof(out), NULL);
	bench_check(!LZ4F_isError(n));
	b->out_bytes += n;
}

static void lz4_header(struct bench *b, struct codec *codec)
{
	LZ4F_preferences_t preferences = lz4_preferences(b->level);
	size_t n =
		LZ4F_compressBegin(codec->lz4, out, sizeof(out), &preferences);

	bench_check(!LZ4F_isError(n));
	b->out_bytes += n;
}

static void codec_step(struct bench *b, struct codec *codec,
		       const unsigned char *data, size_t size, bool end)
{
	if (is_zlib(b))
		zlib_step(b, codec, data, size, end ? Z_FINISH : Z_NO_FLUSH);
	else if (strcmp(b->codec, "lz4") == 0)
		lz4_step(b, codec, data, size, end);
	else
		zstd_step(b, codec, data, size,
			  end ? ZSTD_e_end : ZSTD_e_continue);
}

static void encode(struct bench *b)
{
	struct codec codec;

	bench_start();
	codec_begin(b, &codec);
	if (strcmp(b->codec, "lz4") == 0)
		lz4_header(b, &codec);
	while (b->bytes < b->total) {
		codec_step(b, &codec, bench_piece(b), b->piece, false);
		b->bytes += b->piece;
		b->calls++;
	}
	codec_step(b, &codec, NULL, 0, true);
	bench_stop();
}

/* The same for one message after the other; "none" costs what the loop does. */
static void messages(struct bench *b)
{
	struct codec codec;
	bool none = strcmp(b->codec, "none") == 0;

	if (!none)
		codec_begin(b, &codec);
	bench_start();
	while (b->bytes < b->total) {
		const unsigned char *data = bench_piece(b);

		if (!none) {
			codec_again(b, &codec);
			if (strcmp(b->codec, "lz4") == 0)
				lz4_header(b, &codec);
			codec_step(b, &codec, data, b->piece, true);
		}
		b->bytes += b->piece;
		b->calls++;
	}
	bench_stop();
	b->out_bytes = 0;
}

/* BLAKE2b of each piece, and then the codec: the work of "hash | CODEC". */
static void hashed_messages(struct bench *b)
{
	crypto_generichash_state state;
	unsigned char digest[32];
	struct codec codec;

	codec_begin(b, &codec);
	bench_start();
	while (b->bytes < b->total) {
		const unsigned char *data = bench_piece(b);

		(void)crypto_generichash_init(&state, NULL, 0, sizeof(digest));
		(void)crypto_generichash_update(&state, data, b->piece);
		(void)crypto_generichash_final(&state, digest, sizeof(digest));
		codec_again(b, &codec);
		codec_step(b, &codec, data, b->piece, true);
		b->bytes += b->piece;
		b->calls++;
	}
	bench_stop();
	b->out_bytes = 0;
}

/* in=FILE (one that a stream wrote), decoded round and round. */
static void decode_zlib(struct bench *b, unsigned char *data, size_t size)
{
	z_stream z;
	int ret;

	memset(&z, 0, sizeof(z));
	bench_check(inflateInit2(&z, window_bits(b)) == Z_OK);
	bench_start();
	while (b->bytes < b->total) {
		(void)inflateReset(&z);
		z.next_in = data;
		z.avail_in = (uInt)size;
		do {
			z.next_out = out;
			z.avail_out = OUT_SIZE;
			ret = inflate(&z, Z_NO_FLUSH);
			bench_check(ret == Z_OK || ret == Z_STREAM_END);
			b->bytes += OUT_SIZE - z.avail_out;
		} while (ret != Z_STREAM_END);
		b->calls++;
	}
	bench_stop();
}

static void decode_zstd(struct bench *b, unsigned char *data, size_t size)
{
	ZSTD_DCtx *reader = ZSTD_createDCtx();
	ZSTD_inBuffer in;
	ZSTD_outBuffer to;
	size_t left;

	bench_start();
	while (b->bytes < b->total) {
		in = (ZSTD_inBuffer){ data, size, 0 };
		do {
			to = (ZSTD_outBuffer){ out, OUT_SIZE, 0 };
			left = ZSTD_decompressStream(reader, &to, &in);
			bench_check(!ZSTD_isError(left));
			b->bytes += to.pos;
		} while (left > 0);
		b->calls++;
	}
	bench_stop();
	(void)ZSTD_freeDCtx(reader);
}

static void decode_lz4(struct bench *b, unsigned char *data, size_t size)
{
	LZ4F_dctx *reader;
	size_t pos, from, to, left;

	bench_check(!LZ4F_isError(
		LZ4F_createDecompressionContext(&reader, LZ4F_VERSION)));
	bench_start();
	while (b->bytes < b->total) {
		pos = 0;
		do {
			to = OUT_SIZE;
			from = size - pos;
			left = LZ4F_decompress(reader, out, &to, data + pos,
					       &from, NULL);
			bench_check(!LZ4F_isError(left));
			pos += from;
			b->bytes += to;
		} while (left > 0);
		b->calls++;
	}
	bench_stop();
	(void)LZ4F_freeDecompressionContext(reader);
}

static void decode(struct bench *b)
{
	size_t size;
	unsigned char *data = bench_read_file(b->in_path, &size);

	if (is_zlib(b))
		decode_zlib(b, data, size);
	else if (strcmp(b->codec, "lz4") == 0)
		decode_lz4(b, data, size);
	else
		decode_zstd(b, data, size);
	free(data);
}

/*
 * Encryption: what age cannot do without
 */

static void aead(struct bench *b, bool open)
{
	unsigned char key[32] = { 1 }, nonce[12] = { 0 };
	unsigned char *to = malloc(b->piece + 16), *sealed;
	unsigned long long n;

	sealed = malloc(b->piece + 16);
	bench_check(to != NULL && sealed != NULL && sodium_init() >= 0);
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(sealed, &n,
							bench_piece(b),
							b->piece, NULL, 0, NULL,
							nonce, key);
	bench_start();
	while (b->bytes < b->total) {
		if (open)
			bench_check(crypto_aead_chacha20poly1305_ietf_decrypt(
					    to, &n, NULL, sealed, b->piece + 16,
					    NULL, 0, nonce, key) == 0);
		else
			(void)crypto_aead_chacha20poly1305_ietf_encrypt(
				to, &n, bench_piece(b), b->piece, NULL, 0, NULL,
				nonce, key);
		b->bytes += b->piece;
		b->calls++;
	}
	bench_stop();
	free(to);
	free(sealed);
}

static void aead_seal(struct bench *b)
{
	aead(b, false);
}

static void aead_open(struct bench *b)
{
	aead(b, true);
}

/* The two operations of each recipient of each file. */
static void x25519(struct bench *b)
{
	unsigned char secret[32], share[32], recipient[32], shared[32];

	bench_check(sodium_init() >= 0);
	randombytes_buf(secret, sizeof(secret));
	(void)crypto_scalarmult_curve25519_base(recipient, secret);
	bench_start();
	while (b->bytes < b->total) {
		(void)crypto_scalarmult_curve25519_base(share, secret);
		bench_check(crypto_scalarmult_curve25519(shared, secret,
							 recipient) == 0);
		b->bytes += b->piece;
		b->calls++;
	}
	bench_stop();
}

/*
 * Moving whole files
 */

static int open_in(const struct bench *b, off_t *size_r)
{
	struct stat st;
	int fd = open(b->in_path, O_RDONLY | O_CLOEXEC);

	bench_check(fd >= 0 && fstat(fd, &st) == 0);
	*size_r = st.st_size;
	return fd;
}

static void file_to_file(struct bench *b)
{
	int to = bench_open_out(b), from;
	off_t size, left;
	ssize_t n;

	bench_start();
	while (b->bytes < b->total) {
		from = open_in(b, &size);
		for (left = size; left > 0; left -= n) {
			n = copy_file_range(from, NULL, to, NULL, (size_t)left,
					    0);
			bench_check(n > 0);
		}
		(void)close(from);
		b->bytes += (uint64_t)size;
		b->calls++;
	}
	bench_check(close(to) == 0);
	bench_stop();
}

static void file_to_socket(struct bench *b)
{
	struct bench_drain drain;
	int to = bench_drain_open(&drain), from;
	off_t size, left;
	ssize_t n;

	bench_start();
	while (b->bytes < b->total) {
		from = open_in(b, &size);
		for (left = size; left > 0; left -= n) {
			n = sendfile(to, from, NULL, (size_t)left);
			bench_check(n > 0);
		}
		(void)close(from);
		b->bytes += (uint64_t)size;
		b->calls++;
	}
	(void)close(to);
	bench_drain_close(&drain);
	bench_stop();
}

/*
 * Two durable files a message, as the spool's file store has them
 */

/* What a header file takes in the file store, about, when nobody added a header. */
#define HEADERS_SIZE 240

static void put_file(int dir, int tmp, const char *name, const void *data,
		     size_t size)
{
	int fd = openat(tmp, "new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			0600);
	const char *p = data;
	ssize_t n;

	bench_check(fd >= 0);
	for (; size > 0; p += n, size -= (size_t)n) {
		n = write(fd, p, size);
		bench_check(n > 0);
	}
	bench_check(fdatasync(fd) == 0 && close(fd) == 0);
	bench_check(renameat(tmp, "new", dir, name) == 0 && fsync(dir) == 0);
}

/* Opens the directory that a message is for: one after the other, in an order that
   is none of the disk's. */
static int open_bucket(int messages, uint64_t message)
{
	char name[3];
	int fd;

	bench_bucket_name((unsigned int)(message * 613 % BENCH_BUCKETS), name);
	fd = openat(messages, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bench_check(fd >= 0);
	return fd;
}

/* out=DIR, which must not be there yet. */
static void put_files(struct bench *b)
{
	char headers[HEADERS_SIZE], name[64];
	const unsigned char *message;
	int messages, dir, tmp;
	size_t size;

	memset(headers, 'h', sizeof(headers));
	bench_check(mkdir(b->out_path, 0700) == 0);
	bench_make_buckets(b->out_path);
	messages = open(b->out_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bench_check(messages >= 0 && mkdirat(messages, "tmp", 0700) == 0);
	tmp = openat(messages, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bench_check(tmp >= 0);
	bench_start();
	while (b->calls < b->total) {
		message = bench_message(b, &size);
		dir = open_bucket(messages, b->calls);
		(void)snprintf(name, sizeof(name), "%026llu.b",
			       (unsigned long long)b->calls);
		put_file(dir, tmp, name, message, size);
		(void)snprintf(name, sizeof(name), "%026llu.h",
			       (unsigned long long)b->calls);
		put_file(dir, tmp, name, headers, sizeof(headers));
		(void)close(dir);
		b->bytes += size;
		b->calls++;
	}
	bench_stop();
}

static const struct bench_work works[] = {
	{ "write", raw_write_pieces },
	{ "write-blocks", raw_write_blocks },
	{ "memcpy", raw_copy_pieces },
	{ "read-lines", raw_read_lines },
	{ "encode", encode },
	{ "decode", decode },
	{ "messages", messages },
	{ "hashed-messages", hashed_messages },
	{ "aead-seal", aead_seal },
	{ "aead-open", aead_open },
	{ "x25519", x25519 },
	{ "file-to-file", file_to_file },
	{ "file-to-socket", file_to_socket },
	{ "put-files", put_files },
	{ NULL, NULL },
};

int main(int argc, char *argv[])
{
	return bench_main(argc, argv, works);
}
