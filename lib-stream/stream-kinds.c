/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "stream-kinds-private.h"
#include "ends/file-rights.h"
#include "ends/iostream-named-fd.h"
#include "file-ops.h"
#include "istream.h"
#include "macros.h"
#include "ostream-private.h"
#include "transform-age.h"
#include "transforms.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/*
 * Constructors, from options
 */

#define MAKE(name)                     \
	static struct transform *name( \
		const struct stream_options *options ATTR_UNUSED)
/* A codec whose first option is its level / one without options. */
#define LEVEL_CODEC(name)                                   \
	MAKE(name##_encoder)                                \
	{                                                   \
		return transform_create_##name##_encoder(   \
			(int)options->values[0].number);    \
	}                                                   \
	MAKE(name##_decoder)                                \
	{                                                   \
		return transform_create_##name##_decoder(); \
	}
#define PLAIN_CODEC(name)                                   \
	MAKE(name##_encoder)                                \
	{                                                   \
		return transform_create_##name##_encoder(); \
	}                                                   \
	MAKE(name##_decoder)                                \
	{                                                   \
		return transform_create_##name##_decoder(); \
	}

LEVEL_CODEC(gzip)
LEVEL_CODEC(zlib)
LEVEL_CODEC(deflate)
LEVEL_CODEC(lz4)
LEVEL_CODEC(bzip2)
PLAIN_CODEC(dovecot_lz4)
PLAIN_CODEC(hex)
PLAIN_CODEC(json)
PLAIN_CODEC(crlf)
PLAIN_CODEC(armor)

enum {
	DOT_EXTRA_CRLF,
	DOT_LOOSE
};

enum {
	ZSTD_LEVEL,
	ZSTD_WINDOW,
	ZSTD_THREADS
};

MAKE(zstd_encoder)
{
	return transform_create_zstd_threads_encoder(
		(int)options->values[ZSTD_LEVEL].number,
		(unsigned int)options->values[ZSTD_THREADS].number);
}

MAKE(zstd_decoder)
{
	return transform_create_zstd_window_decoder(
		(int)options->values[ZSTD_WINDOW].number);
}

enum {
	XZ_LEVEL,
	XZ_MEMORY
};

#define XZ_CODEC(name)                                                \
	MAKE(name##_encoder)                                          \
	{                                                             \
		return transform_create_##name##_encoder(             \
			(int)options->values[XZ_LEVEL].number);       \
	}                                                             \
	MAKE(name##_decoder)                                          \
	{                                                             \
		return transform_create_##name##_memory_decoder(      \
			(uint64_t)options->values[XZ_MEMORY].number); \
	}

XZ_CODEC(xz)
XZ_CODEC(lzma)

MAKE(dot_encoder)
{
	return transform_create_dot_encoder(
		options->values[DOT_EXTRA_CRLF].number != 0);
}

MAKE(dot_decoder)
{
	unsigned int flags = 0;

	/* the line end that was written before the dot goes with it */
	if (options->values[DOT_EXTRA_CRLF].number != 0)
		flags |= TRANSFORM_DOT_TRIM_TRAIL;
	if (options->values[DOT_LOOSE].number != 0)
		flags |= TRANSFORM_DOT_LOOSE_EOT;
	return transform_create_dot_decoder(flags);
}

MAKE(base64_encoder)
{
	return transform_create_base64_encoder(
		(unsigned int)options->values[0].number);
}

MAKE(base64_decoder)
{
	return transform_create_base64_decoder();
}

MAKE(base64url_encoder)
{
	return transform_create_base64url_encoder(
		(unsigned int)options->values[0].number);
}

MAKE(base64url_decoder)
{
	return transform_create_base64url_decoder();
}

enum {
	QP_BINARY,
	QP_LOOSE
};

MAKE(qp_encoder)
{
	return transform_create_qp_encoder(options->values[QP_BINARY].number !=
					   0);
}

MAKE(qp_decoder)
{
	return transform_create_qp_decoder(options->values[QP_LOOSE].number !=
					   0);
}

enum {
	AGE_RECIPIENTS,
	AGE_RECIPIENT,
	AGE_IDENTITY,
	AGE_THREADS
};

MAKE(age_encoder)
{
	return transform_create_age_threads_encoder(
		options->recipients,
		(unsigned int)options->values[AGE_THREADS].number);
}

MAKE(age_decoder)
{
	return transform_create_age_threads_decoder(
		options->identities,
		(unsigned int)options->values[AGE_THREADS].number);
}

static struct ostream *limit_output(struct ostream *parent,
				    const struct stream_options *options)
{
	return o_stream_create_limit(parent, (uoff_t)options->values[0].number);
}

static struct istream *limit_input(struct istream *parent,
				   const struct stream_options *options)
{
	return i_stream_create_max_size(parent,
					(uoff_t)options->values[0].number);
}

/*
 * Ends
 */

struct ostream *o_stream_create_file_or_device(const char *path, mode_t mode)
{
	struct ostream *stream = o_stream_create_named_fd(path);
	struct stat st;
	bool exists;

	if (stream != NULL)
		return stream;
	exists = file_ops()->fstatat(AT_FDCWD, path, &st, 0) == 0;
	if (exists && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return o_stream_create_file(path, 0, mode, 0);
	if (!exists)
		return o_stream_create_file_atomic(path, mode, 0);
	stream = o_stream_create_file_atomic(path, 0600, 0);
	/* what the umask would take away was there before */
	if (stream->stream_errno == 0 &&
	    file_hand_rights_on(o_stream_get_fd(stream), path, &st) < 0)
		(void)o_stream_fail(stream->real_stream, errno,
				    "fchmod(%s) failed: %s", path,
				    strerror(errno));
	return stream;
}

static struct istream *file_input(const char *path)
{
	struct istream *stream = i_stream_create_named_fd(path);

	return stream != NULL ? stream : i_stream_create_file(path, 0);
}

static struct ostream *null_output(const char *path ATTR_UNUSED,
				   mode_t mode ATTR_UNUSED)
{
	return o_stream_create_null();
}

static struct istream *null_input(const char *path ATTR_UNUSED)
{
	return i_stream_create_from_data("", 0);
}

/*
 * The table
 */

/* "BZh" could begin a text. A level and the mark of a block, or of the end, follow. */
#define BZIP2_HEAD_SIZE 10

static bool is_bzip2(const unsigned char *data, size_t size)
{
	return size >= BZIP2_HEAD_SIZE && data[3] >= '1' && data[3] <= '9' &&
		(memcmp(data + 4, "1AY&SY", 6) == 0 ||
		 memcmp(data + 4, "\x17\x72\x45\x38\x50\x90", 6) == 0);
}

#define ARMOR_MARKER "-----BEGIN AGE ENCRYPTED FILE-----"
#define ARMOR_HEAD_SIZE (sizeof(ARMOR_MARKER "\r\n") - 1)

/* A text may speak of the marker; where armor begins it is a whole line. */
static bool is_armor(const unsigned char *data, size_t size)
{
	size_t line = sizeof(ARMOR_MARKER) - 1;

	if (size > line && data[line] == '\r')
		line++;
	return size > line && data[line] == '\n';
}

#define TRANSFORM(kind)                               \
	.name = #kind, .role = STREAM_ROLE_TRANSFORM, \
	.encoder = kind##_encoder, .decoder = kind##_decoder
#define MAGIC(bytes) .magic = bytes, .magic_size = sizeof(bytes) - 1
#define LEVEL_FIELDS(low, high, usual)                                       \
	.name = "level", .type = STREAM_OPTION_INT, .min = low, .max = high, \
	.def = usual, .help = "higher: smaller and slower"
#define LEVEL(low, high, usual)                \
	{                                      \
		LEVEL_FIELDS(low, high, usual) \
	}
/* Looked up by its name, wherever it stands: stream_kind_transform(). */
#define ASYNC                                                \
	{                                                    \
		.name = "async", .type = STREAM_OPTION_BOOL, \
		.help = "on a thread of its own"             \
	}
#define OPAQUE (STREAM_KIND_LOSSLESS | STREAM_KIND_BINARY)
#ifdef HAVE_ZSTD
#define ZSTD_FLAGS (OPAQUE | STREAM_KIND_SKIPS)
#else
#define ZSTD_FLAGS (OPAQUE | STREAM_KIND_SKIPS | STREAM_KIND_MISSING)
#endif

/* ZSTD_WINDOWLOG_MAX: what an address space has room for. */
#define ZSTD_WINDOW_MAX (SIZE_MAX > UINT32_MAX ? 31 : 30)

#ifdef HAVE_BZIP2
#define BZIP2_FLAGS OPAQUE
#else
#define BZIP2_FLAGS (OPAQUE | STREAM_KIND_MISSING)
#endif

#ifdef HAVE_LZMA
#define XZ_FLAGS OPAQUE
#else
#define XZ_FLAGS (OPAQUE | STREAM_KIND_MISSING)
#endif
/* With less not even the smallest dictionary, of 4 KiB, can be read: liblzma's own
   state is as large. */
#define XZ_MEMORY_MIN ((int64_t)64 * 1024)
#define XZ_OPTIONS                                                  \
	LEVEL(0, 9, 6),                                             \
		{ .name = "memory",                                 \
		  .type = STREAM_OPTION_SIZE,                       \
		  .min = XZ_MEMORY_MIN,                             \
		  .def = (int64_t)128 * 1024 * 1024,                \
		  .help = "reading: the most memory that the data " \
			  "may make it take (128M)" },              \
		ASYNC

static const struct stream_kind kinds[] = {
	{ TRANSFORM(dot),
	  .help = "SMTP wire form: CRLF, dots doubled, a final dot (RFC 5321)",
	  .options = { { .name = "extra_crlf",
			 .type = STREAM_OPTION_BOOL,
			 .decodes = true,
			 .help = "a line end of its own before the final dot" },
		       { .name = "loose",
			 .type = STREAM_OPTION_BOOL,
			 .help = "reading: LF may stand for CRLF around the "
				 "final dot" } } },
	{ TRANSFORM(gzip), MAGIC("\x1f\x8b\x08"), .flags = OPAQUE,
	  .help = "gzip (RFC 1952)", .options = { LEVEL(-1, 9, -1), ASYNC } },
	{ TRANSFORM(zlib), .flags = OPAQUE, .help = "zlib (RFC 1950)",
	  .options = { LEVEL(-1, 9, -1), ASYNC } },
	{ TRANSFORM(deflate), .flags = OPAQUE,
	  .help = "deflate, without a checksum (RFC 1951)",
	  .options = { LEVEL(-1, 9, -1), ASYNC } },
	{ TRANSFORM(lz4), MAGIC("\x04\x22\x4d\x18"),
	  .flags = OPAQUE | STREAM_KIND_SKIPS, .help = "LZ4 frames",
	  .options = { LEVEL(0, 12, 1), ASYNC } },
	{ TRANSFORM(dovecot_lz4), MAGIC("Dovecot-LZ4\r\x2a\x9b\xc5"),
	  .flags = OPAQUE,
	  .help = "Dovecot's own LZ4 form, without a checksum" },
	{ TRANSFORM(zstd), MAGIC("\x28\xb5\x2f\xfd"), .flags = ZSTD_FLAGS,
	  .help = "Zstandard (RFC 8878)",
	  .options = { { LEVEL_FIELDS(-131072, 22, 3), .no_zero = true },
		       { .name = "window",
			 .type = STREAM_OPTION_INT,
			 .min = 10,
			 .max = ZSTD_WINDOW_MAX,
			 .def = 27,
			 .help = "reading: the largest window, 2^N bytes (as "
				 "zstd --long=N)" },
		       { .name = "threads",
			 .type = STREAM_OPTION_INT,
			 .max = 64,
			 .help = "writing: libzstd's own threads; 0: none" },
		       ASYNC } },
	{ TRANSFORM(bzip2), MAGIC("BZh"), .confirm = is_bzip2,
	  .confirm_size = BZIP2_HEAD_SIZE, .flags = BZIP2_FLAGS,
	  .help = "bzip2", .options = { LEVEL(1, 9, 9), ASYNC } },
	{ TRANSFORM(xz),
	  MAGIC("\xfd"
		"7zXZ\0"),
	  .flags = XZ_FLAGS, .help = "xz, with a CRC-64",
	  .options = { XZ_OPTIONS } },
	{ TRANSFORM(lzma), .flags = XZ_FLAGS,
	  .help = "the older lzma format, without a checksum",
	  .options = { XZ_OPTIONS } },
	{ TRANSFORM(age), MAGIC("age-encryption.org/v1\n"),
	  .flags = OPAQUE | STREAM_KIND_ENCRYPTED,
	  .help = "age encryption (age-encryption.org/v1)",
	  .options = { { .name = "recipients",
			 .type = STREAM_OPTION_RECIPIENTS,
			 .help = "writing: a file of public keys" },
		       { .name = "recipient",
			 .type = STREAM_OPTION_RECIPIENT,
			 .help = "writing: a public key" },
		       { .name = "identity",
			 .type = STREAM_OPTION_IDENTITIES,
			 .help = "reading: a file of secret keys" },
		       { .name = "threads",
			 .type = STREAM_OPTION_INT,
			 .min = 1,
			 .max = 64,
			 .def = 1,
			 .help = "so many chunks of a long file at once" },
		       ASYNC } },
	{ TRANSFORM(armor), MAGIC(ARMOR_MARKER), .confirm = is_armor,
	  .confirm_size = ARMOR_HEAD_SIZE,
	  .flags = STREAM_KIND_LOSSLESS | STREAM_KIND_ARMOR,
	  .help = "the ASCII armor of age files (as age -a)" },
	{ TRANSFORM(hex), .flags = STREAM_KIND_LOSSLESS,
	  .help = "hexadecimal (RFC 4648)" },
	{ TRANSFORM(json), .help = "the inside of a JSON string (RFC 8259)" },
	{ TRANSFORM(base64), .flags = STREAM_KIND_LOSSLESS,
	  .help = "base64 (RFC 4648)",
	  .options = { { .name = "line",
			 .type = STREAM_OPTION_INT,
			 .max = 1024,
			 .multiple = 4,
			 .help = "letters a line, a multiple of 4 (MIME: 76); "
				 "0: one line" } } },
	{ TRANSFORM(base64url), .flags = STREAM_KIND_LOSSLESS,
	  .help = "base64 of URLs and file names (RFC 4648 5)",
	  .options = { { .name = "line",
			 .type = STREAM_OPTION_INT,
			 .max = 1024,
			 .multiple = 4,
			 .help = "letters a line, a multiple of 4; "
				 "0: one line" } } },
	{ TRANSFORM(qp), .flags = STREAM_KIND_LOSSLESS,
	  .help = "quoted-printable (RFC 2045)",
	  .options = { { .name = "binary",
			 .type = STREAM_OPTION_BOOL,
			 .help = "writing: line ends are encoded, too" },
		       { .name = "loose",
			 .type = STREAM_OPTION_BOOL,
			 .help = "reading: what is malformed is passed on as "
				 "it is" } } },
	{ TRANSFORM(crlf), .help = "line ends: CRLF for LF" },
	{ .name = "lf",
	  .role = STREAM_ROLE_TRANSFORM,
	  .help = "line ends: LF for CRLF",
	  .encoder = crlf_decoder,
	  .decoder = crlf_encoder },
	{ .name = "limit",
	  .role = STREAM_ROLE_PLUMBING,
	  .help = "an error where more bytes pass than that",
	  .options = { { .name = "size",
			 .type = STREAM_OPTION_SIZE,
			 .required = true,
			 .help = "bytes" } },
	  .output = limit_output,
	  .input = limit_input },
	{ .name = "file",
	  .role = STREAM_ROLE_END,
	  .help = "a file; when written it appears whole or not at all",
	  .options = { { .name = "path",
			 .type = STREAM_OPTION_PATH,
			 .required = true,
			 .help = "its name" } },
	  .open_output = o_stream_create_file_or_device,
	  .open_input = file_input },
	{ .name = "null",
	  .role = STREAM_ROLE_END,
	  .help = "nothing: what is written is dropped",
	  .open_output = null_output,
	  .open_input = null_input },
};

unsigned int stream_kind_builtin_count(void)
{
	return N_ELEMENTS(kinds);
}

const struct stream_kind *stream_kind_builtin(unsigned int i)
{
	return &kinds[i];
}
