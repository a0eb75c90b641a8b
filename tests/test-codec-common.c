/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "test-codec-common.h"

#include "age-keys.h"
#include "transform-age.h"
#include "transforms.h"

#include <stdlib.h>

static struct transform *gzip_encoder(void)
{
	return transform_create_gzip_encoder(6);
}
static struct transform *zlib_encoder(void)
{
	return transform_create_zlib_encoder(6);
}
static struct transform *deflate_encoder(void)
{
	return transform_create_deflate_encoder(6);
}
static struct transform *lz4_encoder(void)
{
	return transform_create_lz4_encoder(1);
}
#ifdef HAVE_ZSTD
static struct transform *zstd_encoder(void)
{
	return transform_create_zstd_encoder(3);
}
static struct transform *zstd_threads_encoder(void)
{
	return transform_create_zstd_threads_encoder(1, 2);
}
#endif
#ifdef HAVE_BZIP2
static struct transform *bzip2_encoder(void)
{
	return transform_create_bzip2_encoder(9);
}
#endif
#ifdef HAVE_LZMA
static struct transform *xz_encoder(void)
{
	return transform_create_xz_encoder(0);
}
static struct transform *lzma_encoder(void)
{
	return transform_create_lzma_encoder(0);
}
#endif
static struct transform *dot_encoder(void)
{
	return transform_create_dot_encoder(true);
}
static struct transform *dot_decoder(void)
{
	return transform_create_dot_decoder(TRANSFORM_DOT_TRIM_TRAIL);
}
static struct transform *base64_encoder(void)
{
	return transform_create_base64_encoder(76);
}

static struct transform *base64url_encoder(void)
{
	return transform_create_base64url_encoder(0);
}

static struct transform *qp_encoder(void)
{
	return transform_create_qp_encoder(false);
}
static struct transform *qp_decoder(void)
{
	return transform_create_qp_decoder(false);
}

static struct transform *async_gzip_encoder(void)
{
	return transform_create_async(gzip_encoder());
}
static struct transform *async_gzip_decoder(void)
{
	return transform_create_async(transform_create_gzip_decoder());
}
static struct transform *async_lz4_encoder(void)
{
	return transform_create_async(lz4_encoder());
}
static struct transform *async_lz4_decoder(void)
{
	return transform_create_async(transform_create_lz4_decoder());
}
static struct transform *async_armor_encoder(void)
{
	return transform_create_async(transform_create_armor_encoder());
}
static struct transform *async_armor_decoder(void)
{
	return transform_create_async(transform_create_armor_decoder());
}

static struct transform *age_encoder(void)
{
	return transform_create_age_encoder(test_keys.recipients);
}
static struct transform *age_decoder(void)
{
	return transform_create_age_decoder(test_keys.identities);
}
static struct transform *age_threads_encoder(void)
{
	return transform_create_age_threads_encoder(test_keys.recipients, 2);
}
static struct transform *age_threads_decoder(void)
{
	return transform_create_age_threads_decoder(test_keys.identities, 2);
}
static struct transform *async_age_encoder(void)
{
	return transform_create_async(age_threads_encoder());
}
static struct transform *async_age_decoder(void)
{
	return transform_create_async(age_threads_decoder());
}

const struct test_codec test_codecs[] = {
	{ "gzip", gzip_encoder, transform_create_gzip_decoder, true, false,
	  true, 0 },
	{ "zlib", zlib_encoder, transform_create_zlib_decoder, true, false,
	  true, 0 },
	{ "deflate", deflate_encoder, transform_create_deflate_decoder, false,
	  false, true, 0 },
	{ "lz4", lz4_encoder, transform_create_lz4_decoder, true, false, true,
	  0 },
	{ "dovecot_lz4", transform_create_dovecot_lz4_encoder,
	  transform_create_dovecot_lz4_decoder, false, true, true, 0 },
#ifdef HAVE_ZSTD
	{ "zstd", zstd_encoder, transform_create_zstd_decoder, true, false,
	  true, 0 },
	{ "zstd, threads", zstd_threads_encoder, transform_create_zstd_decoder,
	  true, false, true, 0 },
#endif
#ifdef HAVE_BZIP2
	{ "bzip2", bzip2_encoder, transform_create_bzip2_decoder, true, false,
	  true, 0 },
#endif
#ifdef HAVE_LZMA
	{ "xz", xz_encoder, transform_create_xz_decoder, true, false, true, 0 },
	{ "lzma", lzma_encoder, transform_create_lzma_decoder, false, false,
	  true, 0 },
#endif
	{ "dot", dot_encoder, dot_decoder, false, false, false, 0 },
	{ "hex", transform_create_hex_encoder, transform_create_hex_decoder,
	  false, true, true, 0 },
	{ "json", transform_create_json_encoder, transform_create_json_decoder,
	  false, true, true, 0 },
	{ "base64", base64_encoder, transform_create_base64_decoder, false,
	  true, true, 0 },
	{ "base64url", base64url_encoder, transform_create_base64url_decoder,
	  false, true, true, 0 },
	{ "qp", qp_encoder, qp_decoder, false, true, true, 0 },
	{ "crlf", transform_create_crlf_encoder, transform_create_crlf_decoder,
	  false, true, true, 0 },
	{ "armor", transform_create_armor_encoder,
	  transform_create_armor_decoder, false, false, true, 1 },
	{ "gzip, async", async_gzip_encoder, async_gzip_decoder, true, false,
	  true, 0 },
	{ "lz4, async", async_lz4_encoder, async_lz4_decoder, true, false, true,
	  0 },
	{ "armor, async", async_armor_encoder, async_armor_decoder, false,
	  false, true, 1 },
	{ "age", age_encoder, age_decoder, true, false, true, 0 },
	{ "age, 2 threads", age_threads_encoder, age_threads_decoder, true,
	  false, true, 0 },
	{ "age, 2 threads, async", async_age_encoder, async_age_decoder, true,
	  false, true, 0 },
	{ NULL, NULL, NULL, false, false, false, 0 },
};

static const char *current_codec = "";

void test_codec_begin(const char *name)
{
	current_codec = name;
}

void test_codec_must_give(const void *data, size_t size, const buffer_t *buf,
			  const char *what)
{
	if (buf->used != size || memcmp(buf->data, data, size) != 0)
		fail_msg("%s, %s: %zu bytes wanted, %zu bytes had",
			 current_codec, what, size, buf->used);
}

unsigned char *test_codec_plain(const struct test_codec *codec, size_t *size)
{
	unsigned char *data = test_data(TEST_DATA_TEXT, *size), *crlf;
	size_t i, n = 0;

	if (codec->exact_text)
		return data;
	crlf = calloc(2, *size + 1);
	assert_non_null(crlf);
	for (i = 0; i < *size; i++) {
		if (data[i] == '\n')
			crlf[n++] = '\r';
		crlf[n++] = data[i];
	}
	free(data);
	*size = n;
	return crlf;
}

buffer_t *test_codec_encode(const struct test_codec *codec, const void *data,
			    size_t size)
{
	return test_encode(codec->encoder(), data, size);
}

int test_codec_decode(const struct test_codec *codec, const void *data,
		      size_t size, buffer_t *out)
{
	return test_decode(codec->decoder(), data, size, out);
}

bool test_codec_ends_with_input(const struct test_codec *codec)
{
	return strncmp(codec->name, "age", 3) == 0;
}
