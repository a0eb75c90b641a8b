/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_OSTREAM_FILTERS_H
#define BOBBIN_OSTREAM_FILTERS_H

/* Output streams on top of another one. Each takes a reference on `output` and
   never returns NULL: a bad setting or a codec without memory gives a stream
   that fails with an errno and a text. */

#include "types.h"
#include "buffer.h"

BOBBIN_BEGIN_DECLS

struct ostream;
struct hash_method;
struct transform;
struct age_recipients;

/*
 * Plumbing: bytes pass unchanged
 */

/* Nothing but a stream on top of another one, for a name or destroy callbacks of
   its own. */
struct ostream *o_stream_create_passthrough(struct ostream *output);
/* Every byte to each of the streams; the array ends with NULL. What a slow one
   does not take waits here, up to the maximum buffer size (at least a byte), and
   then a send is short: the slowest decides. The first error of one is this
   stream's. Finish, flush, cork and the maximum go to all of them, and their
   flush callbacks are this stream's. */
struct ostream *o_stream_create_tee(struct ostream *outputs[]);
enum ostream_multiplex_format {
	/* each send, or what was sent under cork, as a packet with its length */
	OSTREAM_MULTIPLEX_FORMAT_PACKET,
	/* raw bytes, with escapes where the channel changes */
	OSTREAM_MULTIPLEX_FORMAT_STREAM,
	/* the same without its header, for going on where another one ended */
	OSTREAM_MULTIPLEX_FORMAT_STREAM_CONTINUE
};
/* Several channels over one output, which nobody else may write to meanwhile; in a
   format of Dovecot's (doc/formats.md). Returns channel 0. Each channel holds up to
   bufsize bytes (0: a good size; SIZE_MAX: no bound) that are corked, or that output
   does not take now; then it is the turn of the channel that was served the longest
   time ago. A cork of a channel is no cork of output. An error of output is one of
   every channel. The last open channel that is finished finishes output, where the
   usual flags allow it; one that was aborted or destroyed counts no more. Output's
   flush callback is taken until the last channel is freed; each channel has its own. */
struct ostream *o_stream_create_multiplex(struct ostream *output,
					  size_t bufsize,
					  enum ostream_multiplex_format format);
/* One more channel beside `stream`, which is any of them. Panics where there is one
   of this number already. */
struct ostream *o_stream_multiplex_add_channel(struct ostream *stream,
					       uint8_t cid);
/* The number of a channel. */
uint8_t o_stream_multiplex_get_channel_id(struct ostream *stream);
/* Everything that passes goes through method->loop(context), too. The context
   is the caller's: initialised by method->init(), read by method->result()
   when the stream is finished. */
struct ostream *o_stream_create_hash(struct ostream *output,
				     const struct hash_method *method,
				     void *hash_context);
/* callback(offset, context) after a send by which at least `step` bytes more have
   passed since the last call (0: after each), and for the rest when the stream
   is finished. */
struct ostream *o_stream_create_progress(struct ostream *output, uoff_t step,
					 stream_progress_callback_t *callback,
					 void *context);
/* Exactly failure_offset bytes pass, then EIO with this text. */
struct ostream *o_stream_create_failure_at(struct ostream *output,
					   uoff_t failure_offset,
					   const char *error_string);
/* Everything passes, but flush and finish fail with EIO and this text. */
struct ostream *o_stream_create_failure_at_flush(struct ostream *output,
						 const char *error_string);
/* At most max_size bytes pass; the byte after them is an error (EFBIG). */
struct ostream *o_stream_create_limit(struct ostream *output, uoff_t max_size);

/*
 * Transforms
 */

/* Any transform as an output stream; the transform becomes the stream's. An
   encoder makes an encoding stream, a decoder a decoding one (what is sent is
   encoded, what reaches the parent is plain). */
struct ostream *o_stream_create_transform(struct ostream *output,
					  struct transform *transform);

/* RFC 5321 4.5.2: line ends become CRLF, a dot that begins a line is doubled,
   and finish writes the closing "." line. A lone CR stays, but before a dot, where it
   becomes CRLF: some server may take it for a line end, and the rest for another mail.
   Data without a last line end gets
   one; with force_extra_crlf one is written even where there is one already.
   Finishing it does not finish its parent. */
struct ostream *o_stream_create_dot(struct ostream *output,
				    bool force_extra_crlf);

/* RFC 1952, RFC 1950, RFC 1951 by zlib; level 0 to 9, -1 is zlib's default.
   A flush makes a sync point: what was sent so far can be decoded. */
struct ostream *o_stream_create_gzip(struct ostream *output, int level);
struct ostream *o_stream_create_zlib(struct ostream *output, int level);
struct ostream *o_stream_create_deflate(struct ostream *output, int level);
/* Dovecot's name for o_stream_create_gzip(). */
struct ostream *o_stream_create_gz(struct ostream *output, int level);
/* The standard LZ4 frame, with content checksum; level 0 to 12. */
struct ostream *o_stream_create_lz4(struct ostream *output, int level);
/* What Dovecot calls lz4: its own container, which has no checksum and no end
   (transforms.h says what that means). A flush ends a chunk early. */
struct ostream *o_stream_create_dovecot_lz4(struct ostream *output);
/* RFC 8878 with content checksum; level 1 to 22 (negative: faster). Fails
   with ENOTSUP where the library was built without zstd. */
struct ostream *o_stream_create_zstd(struct ostream *output, int level);
/* The same, compressed by so many threads of libzstd's own, up to 64 (0: none), which
   end with the stream. The file is not the same, but as good. A send returns before
   its bytes are compressed; for a few MiB of them there is nothing to be won. ENOTSUP
   where libzstd was built without threads, too; EPERM in a child of fork() whose parent
   sent. */
struct ostream *o_stream_create_zstd_threads(struct ostream *output, int level,
					     unsigned int threads);

/* bzip2, level 1 to 9. A flush cannot push out the last, partly filled block (of
   level times 100 kB). Fails with ENOTSUP where the library was built without
   bzip2. */
struct ostream *o_stream_create_bzip2(struct ostream *output, int level);
/* Dovecot's name for o_stream_create_bzip2(). */
struct ostream *o_stream_create_bz2(struct ostream *output, int level);

/* The .xz format with a CRC-64, and the older .lzma format, which has no checksum and
   whose flush pushes nothing out; level 0 to 9. The higher ones take much memory
   (transforms.h). Fail with ENOTSUP where the library was built without
   liblzma. */
struct ostream *o_stream_create_xz(struct ostream *output, int level);
struct ostream *o_stream_create_lzma(struct ostream *output, int level);

/* The age v1 format, readable by any of the recipients (see age-keys.h). The
   set is not changed and may be freed after this call. A flush cannot push
   out the last, partly filled chunk of 64 KiB. */
struct ostream *o_stream_create_encrypt(struct ostream *output,
					struct age_recipients *recipients);

/* RFC 4648 8 (lower case) and RFC 8259 7 (the inside of a JSON string, without
   the quotes; bytes that are not UTF-8 become U+FFFD). */
struct ostream *o_stream_create_hex(struct ostream *output);
struct ostream *o_stream_create_json(struct ostream *output);
/* Each byte as escape_callback(dest, byte, context) writes it: it appends to dest,
   nothing or as much as it likes, and leaves what is there alone. */
typedef void ostream_escape_callback_t(buffer_t *dest, unsigned char chr,
				       void *context);
struct ostream *
o_stream_create_escaped(struct ostream *output,
			ostream_escape_callback_t *escape_callback,
			void *context);
/* Such callbacks, for which context is nothing: two hexadecimal digits; and what a
   byte is in a JSON string. The latter leaves bytes above 0x7f as they are, which
   have to be UTF-8 then; o_stream_create_json() looks whether they are. */
void o_stream_escaped_hex(buffer_t *dest, unsigned char chr, void *context);
void o_stream_escaped_json(buffer_t *dest, unsigned char chr, void *context);
/* RFC 4648 4, without line breaks; RFC 2045 6.8 with MIME's lines of 76. */
struct ostream *o_stream_create_base64(struct ostream *output);
struct ostream *o_stream_create_base64_mime(struct ostream *output);
/* RFC 4648 5, "-" and "_" for "+" and "/": what a URL or a file name may hold.
   Without line breaks, with padding. */
struct ostream *o_stream_create_base64url(struct ostream *output);
/* Quoted-printable, RFC 2045 6.7: CRLF stays a line end, other CR and LF are
   encoded. */
struct ostream *o_stream_create_qp(struct ostream *output);
/* Every line end (LF or CRLF) becomes CRLF / LF; a lone CR stays. */
struct ostream *o_stream_create_crlf(struct ostream *output);
struct ostream *o_stream_create_lf(struct ostream *output);

BOBBIN_END_DECLS

#endif
