/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "stream-kinds.h"
#include "age-keys.h"
#include "macros.h"
#include "mem.h"
#include "transform-age.h"
#include "transforms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KIND(name)                                                \
	static struct transform *name(                            \
		const struct stream_options *options ATTR_UNUSED, \
		const struct stream_keys *keys ATTR_UNUSED)

KIND(dot_encoder)
{
	return transform_create_dot_encoder(options->numbers[0] != 0);
}

KIND(dot_decoder)
{
	unsigned int flags = 0;

	/* the line end that was written before the dot goes with it */
	if (options->numbers[0] != 0)
		flags |= TRANSFORM_DOT_TRIM_TRAIL;
	if (options->numbers[1] != 0)
		flags |= TRANSFORM_DOT_LOOSE_EOT;
	return transform_create_dot_decoder(flags);
}

KIND(gzip_encoder)
{
	return transform_create_gzip_encoder((int)options->numbers[0]);
}

KIND(gzip_decoder)
{
	return transform_create_gzip_decoder();
}

KIND(zlib_encoder)
{
	return transform_create_zlib_encoder((int)options->numbers[0]);
}

KIND(zlib_decoder)
{
	return transform_create_zlib_decoder();
}

KIND(deflate_encoder)
{
	return transform_create_deflate_encoder((int)options->numbers[0]);
}

KIND(deflate_decoder)
{
	return transform_create_deflate_decoder();
}

KIND(lz4_encoder)
{
	return transform_create_lz4_encoder((int)options->numbers[0]);
}

KIND(lz4_decoder)
{
	return transform_create_lz4_decoder();
}

KIND(zstd_encoder)
{
	return transform_create_zstd_encoder((int)options->numbers[0]);
}

KIND(zstd_decoder)
{
	return transform_create_zstd_decoder();
}

KIND(hex_encoder)
{
	return transform_create_hex_encoder();
}

KIND(hex_decoder)
{
	return transform_create_hex_decoder();
}

KIND(json_encoder)
{
	return transform_create_json_encoder();
}

KIND(json_decoder)
{
	return transform_create_json_decoder();
}

KIND(base64_encoder)
{
	return transform_create_base64_encoder(
		(unsigned int)options->numbers[0]);
}

KIND(base64_decoder)
{
	return transform_create_base64_decoder();
}

KIND(crlf_encoder)
{
	return transform_create_crlf_encoder();
}

KIND(crlf_decoder)
{
	return transform_create_crlf_decoder();
}

static struct transform *key_error(unsigned int flags, char *text)
{
	struct transform *t =
		transform_create_error("age", flags, errno, "%s", text);

	free(text);
	return t;
}

enum {
	AGE_RECIPIENTS,
	AGE_RECIPIENT,
	AGE_IDENTITY
};

int stream_kind_take_recipients(const struct stream_options *options,
				struct age_recipients *set, char **error_r)
{
	if (options->texts[AGE_RECIPIENTS] == NULL &&
	    options->texts[AGE_RECIPIENT] == NULL) {
		*error_r = i_strdup("age needs to know for whom: "
				    "recipients=FILE or recipient=age1...");
		errno = EINVAL;
		return -1;
	}
	if (options->texts[AGE_RECIPIENTS] != NULL &&
	    age_recipients_add_file(set, options->texts[AGE_RECIPIENTS],
				    error_r) < 0)
		return -1;
	return options->texts[AGE_RECIPIENT] == NULL ?
		0 :
		age_recipients_add(set, options->texts[AGE_RECIPIENT], error_r);
}

KIND(age_encoder)
{
	struct age_recipients *set;
	struct transform *t;
	char *error = NULL;

	/* keys that the caller has serve a layer that names none */
	if (keys != NULL && keys->recipients != NULL &&
	    options->texts[AGE_RECIPIENTS] == NULL &&
	    options->texts[AGE_RECIPIENT] == NULL)
		return transform_create_age_encoder(keys->recipients);
	set = age_recipients_new();
	if (stream_kind_take_recipients(options, set, &error) < 0)
		t = key_error(0, error);
	else
		t = transform_create_age_encoder(set);
	age_recipients_unref(&set);
	return t;
}

KIND(age_decoder)
{
	struct age_identities *set;
	struct transform *t;
	char *error = NULL;

	if (options->texts[AGE_IDENTITY] == NULL) {
		if (keys != NULL && keys->identities != NULL)
			return transform_create_age_decoder(keys->identities);
		return transform_create_error(
			"age", TRANSFORM_DECODER, ENOKEY,
			"the data is encrypted: a file with the identity "
			"(secret key) is needed to read it");
	}
	set = age_identities_new();
	if (age_identities_add_file(set, options->texts[AGE_IDENTITY], NULL,
				    &error) < 0)
		t = key_error(TRANSFORM_DECODER, error);
	else
		t = transform_create_age_decoder(set);
	age_identities_unref(&set);
	return t;
}

#define LEVEL(low, high, usual)                               \
	{                                                     \
		"level", STREAM_OPTION_INT, low, high, usual, \
			"more compression for more time"      \
	}

static const struct stream_kind kinds[] = {
	{ "dot",
	  STREAM_ROLE_TRANSFORM,
	  "SMTP wire form: CRLF, dots doubled, a final dot (RFC 5321)",
	  { { "extra_crlf", STREAM_OPTION_BOOL, 0, 1, 0,
	      "a line end of its own before the final dot" },
	    { "loose", STREAM_OPTION_BOOL, 0, 1, 0,
	      "reading: accept LF around the final dot" } },
	  dot_encoder,
	  dot_decoder },
	{ "gzip",
	  STREAM_ROLE_TRANSFORM,
	  "gzip (RFC 1952)",
	  { LEVEL(-1, 9, -1) },
	  gzip_encoder,
	  gzip_decoder },
	{ "zlib",
	  STREAM_ROLE_TRANSFORM,
	  "zlib (RFC 1950)",
	  { LEVEL(-1, 9, -1) },
	  zlib_encoder,
	  zlib_decoder },
	{ "deflate",
	  STREAM_ROLE_TRANSFORM,
	  "deflate without checksum (RFC 1951)",
	  { LEVEL(-1, 9, -1) },
	  deflate_encoder,
	  deflate_decoder },
	{ "lz4",
	  STREAM_ROLE_TRANSFORM,
	  "LZ4 frames",
	  { LEVEL(0, 12, 1) },
	  lz4_encoder,
	  lz4_decoder },
#ifdef HAVE_ZSTD
	{ "zstd",
	  STREAM_ROLE_TRANSFORM,
	  "Zstandard (RFC 8878)",
	  { LEVEL(-131072, 22, 3) },
	  zstd_encoder,
	  zstd_decoder },
#endif
	{ "age",
	  STREAM_ROLE_TRANSFORM,
	  "age encryption (age-encryption.org/v1)",
	  { { "recipients", STREAM_OPTION_TEXT, 0, 0, 0,
	      "a file of public keys" },
	    { "recipient", STREAM_OPTION_TEXT, 0, 0, 0, "a public key" },
	    { "identity", STREAM_OPTION_TEXT, 0, 0, 0,
	      "reading: a file of secret keys" } },
	  age_encoder,
	  age_decoder },
	{ "hex",
	  STREAM_ROLE_TRANSFORM,
	  "hexadecimal (RFC 4648)",
	  { { NULL, STREAM_OPTION_INT, 0, 0, 0, NULL } },
	  hex_encoder,
	  hex_decoder },
	{ "json",
	  STREAM_ROLE_TRANSFORM,
	  "the inside of a JSON string (RFC 8259)",
	  { { NULL, STREAM_OPTION_INT, 0, 0, 0, NULL } },
	  json_encoder,
	  json_decoder },
	{ "base64",
	  STREAM_ROLE_TRANSFORM,
	  "base64 (RFC 4648)",
	  { { "line", STREAM_OPTION_INT, 0, 1024, 0,
	      "characters a line, a multiple of 4 (76 for MIME); 0: one "
	      "line" } },
	  base64_encoder,
	  base64_decoder },
	{ "crlf",
	  STREAM_ROLE_TRANSFORM,
	  "line ends CRLF instead of LF",
	  { { NULL, STREAM_OPTION_INT, 0, 0, 0, NULL } },
	  crlf_encoder,
	  crlf_decoder },
	{ "file",
	  STREAM_ROLE_FILE,
	  "the end: a file, which appears whole or not at all",
	  { { "path", STREAM_OPTION_TEXT, 0, 0, 0, "its name" } },
	  NULL,
	  NULL },
	{ "null",
	  STREAM_ROLE_NULL,
	  "the end: nothing is kept",
	  { { NULL, STREAM_OPTION_INT, 0, 0, 0, NULL } },
	  NULL,
	  NULL },
};

const struct stream_kind *stream_kind_lookup(const char *name, size_t size)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(kinds); i++) {
		if (strlen(kinds[i].name) == size &&
		    memcmp(kinds[i].name, name, size) == 0)
			return &kinds[i];
	}
	return NULL;
}

const struct stream_kind *stream_kind_get(unsigned int i)
{
	return i < N_ELEMENTS(kinds) ? &kinds[i] : NULL;
}
