/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The constructors that make a stream of a transform, in both directions. */

#include "config.h"
#include "escape-text.h"
#include "istream.h"
#include "ostream.h"
#include "transform-age.h"
#include "transforms.h"

/* RFC 2045 6.8 */
#define MIME_LINE_LENGTH 76

#define OUTPUT(name, params, transform)                              \
	struct ostream *o_stream_create_##name params                \
	{                                                            \
		return o_stream_create_transform(output, transform); \
	}
#define INPUT(name, params, transform)                              \
	struct istream *i_stream_create_##name params               \
	{                                                           \
		return i_stream_create_transform(input, transform); \
	}

OUTPUT(dot, (struct ostream * output, bool force_extra_crlf),
       transform_create_dot_encoder(force_extra_crlf))
OUTPUT(gzip, (struct ostream * output, int level),
       transform_create_gzip_encoder(level))
OUTPUT(gz, (struct ostream * output, int level),
       transform_create_gzip_encoder(level))
OUTPUT(zlib, (struct ostream * output, int level),
       transform_create_zlib_encoder(level))
OUTPUT(deflate, (struct ostream * output, int level),
       transform_create_deflate_encoder(level))
OUTPUT(lz4, (struct ostream * output, int level),
       transform_create_lz4_encoder(level))
OUTPUT(dovecot_lz4, (struct ostream * output),
       transform_create_dovecot_lz4_encoder())
OUTPUT(zstd, (struct ostream * output, int level),
       transform_create_zstd_encoder(level))
OUTPUT(zstd_threads, (struct ostream * output, int level, unsigned int threads),
       transform_create_zstd_threads_encoder(level, threads))
OUTPUT(bzip2, (struct ostream * output, int level),
       transform_create_bzip2_encoder(level))
OUTPUT(bz2, (struct ostream * output, int level),
       transform_create_bzip2_encoder(level))
OUTPUT(xz, (struct ostream * output, int level),
       transform_create_xz_encoder(level))
OUTPUT(lzma, (struct ostream * output, int level),
       transform_create_lzma_encoder(level))
OUTPUT(encrypt, (struct ostream * output, struct age_recipients *recipients),
       transform_create_age_encoder(recipients))
OUTPUT(hex, (struct ostream * output), transform_create_hex_encoder())
OUTPUT(json, (struct ostream * output), transform_create_json_encoder())
OUTPUT(escaped,
       (struct ostream * output, ostream_escape_callback_t *escape_callback,
	void *context),
       transform_create_escape_encoder(escape_callback, context))
OUTPUT(base64, (struct ostream * output), transform_create_base64_encoder(0))
OUTPUT(base64_mime, (struct ostream * output),
       transform_create_base64_encoder(MIME_LINE_LENGTH))
OUTPUT(base64url, (struct ostream * output),
       transform_create_base64url_encoder(0))
OUTPUT(qp, (struct ostream * output), transform_create_qp_encoder(false))
OUTPUT(crlf, (struct ostream * output), transform_create_crlf_encoder())
OUTPUT(lf, (struct ostream * output), transform_create_crlf_decoder())

INPUT(dot, (struct istream * input, enum istream_dot_flags flags),
      transform_create_dot_decoder(flags))
INPUT(gzip, (struct istream * input), transform_create_gzip_decoder())
INPUT(gz, (struct istream * input), transform_create_gzip_decoder())
INPUT(zlib, (struct istream * input), transform_create_zlib_decoder())
INPUT(deflate, (struct istream * input), transform_create_deflate_decoder())
INPUT(lz4, (struct istream * input), transform_create_lz4_decoder())
INPUT(dovecot_lz4, (struct istream * input),
      transform_create_dovecot_lz4_decoder())
INPUT(zstd, (struct istream * input), transform_create_zstd_decoder())
INPUT(bzip2, (struct istream * input), transform_create_bzip2_decoder())
INPUT(bz2, (struct istream * input), transform_create_bzip2_decoder())
INPUT(xz, (struct istream * input), transform_create_xz_decoder())
INPUT(lzma, (struct istream * input), transform_create_lzma_decoder())
INPUT(decrypt, (struct istream * input, struct age_identities *identities),
      transform_create_age_decoder(identities))
INPUT(hex_decoder, (struct istream * input), transform_create_hex_decoder())
INPUT(hex_encoder, (struct istream * input), transform_create_hex_encoder())
INPUT(json_decoder, (struct istream * input), transform_create_json_decoder())
INPUT(json_encoder, (struct istream * input), transform_create_json_encoder())
INPUT(base64_decoder, (struct istream * input),
      transform_create_base64_decoder())
INPUT(base64url_decoder, (struct istream * input),
      transform_create_base64url_decoder())
INPUT(qp_decoder, (struct istream * input), transform_create_qp_decoder(false))
INPUT(qp_decoder_loose, (struct istream * input),
      transform_create_qp_decoder(true))
INPUT(crlf, (struct istream * input), transform_create_crlf_encoder())
INPUT(lf, (struct istream * input), transform_create_crlf_decoder())

struct istream *i_stream_create_qp_encoder(struct istream *input,
					   enum qp_encoder_flag flags)
{
	struct transform *encoder = transform_create_qp_encoder(false);
	struct istream *lines, *stream;

	if ((flags & QP_ENCODER_FLAG_BINARY_DATA) != 0)
		return i_stream_create_transform(input, encoder);
	lines = i_stream_create_crlf(input);
	stream = i_stream_create_transform(lines, encoder);
	i_stream_unref(&lines);
	return stream;
}

/* The encoder, whose line breaks are CRLF, with those that were asked for. */
static struct istream *base64_lines(struct istream *input,
				    struct transform *encoder, bool crlf)
{
	struct istream *stream = i_stream_create_transform(input, encoder);
	struct istream *lines;

	if (crlf)
		return stream;
	lines = i_stream_create_lf(stream);
	i_stream_unref(&stream);
	return lines;
}

struct istream *i_stream_create_base64_encoder(struct istream *input,
					       unsigned int chars_per_line,
					       bool crlf)
{
	return base64_lines(input,
			    transform_create_base64_encoder(chars_per_line),
			    crlf || chars_per_line == 0);
}

struct istream *i_stream_create_base64url_encoder(struct istream *input,
						  unsigned int chars_per_line,
						  bool crlf)
{
	return base64_lines(input,
			    transform_create_base64url_encoder(chars_per_line),
			    crlf || chars_per_line == 0);
}

void o_stream_escaped_hex(buffer_t *dest, unsigned char chr,
			  void *context ATTR_UNUSED)
{
	unsigned char text[2];

	hex_escape(chr, text);
	buffer_append(dest, text, sizeof(text));
}

void o_stream_escaped_json(buffer_t *dest, unsigned char chr,
			   void *context ATTR_UNUSED)
{
	unsigned char text[JSON_ESCAPE_MAX];

	buffer_append(dest, text, json_escape(chr, text));
}
