/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_ISTREAM_FILTERS_H
#define BOBBIN_ISTREAM_FILTERS_H

/* Input streams on top of another one. Each takes a reference on `input` and
   never returns NULL: a bad setting gives a stream that fails at its first
   read. A decoder gives every byte that it can vouch for, and then the error:
   data before a truncation is readable, the truncation is EPIPE and never a
   clean end, damage is EINVAL.

   When a filter is destroyed before its end, input may stand before or behind what was
   read here: only those of which it is said leave it where that ended. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct istream;
struct hash_method;
struct transform;
struct age_identities;

/*
 * Plumbing: bytes pass unchanged
 */

/* All of input: for a name, an offset or destroy callbacks of its own. When it is
   destroyed, input stands where this one was read to; one that cannot be seeked does not
   go back for that, if others have read more of it. */
struct istream *i_stream_create_noop(struct istream *input);
/* At most v_size bytes of input, from where it stands; where input ends before, this one
   ends, too, without an error (_min_sized, below, has one). When the stream is
   destroyed, input stands behind what was read of it here, as above. */
struct istream *i_stream_create_limit(struct istream *input, uoff_t v_size);
/* All of input, but where it holds more than max_size bytes, EFBIG behind the
   last of these: against input that is larger than it may be. Input stands in the end
   as above. */
struct istream *i_stream_create_max_size(struct istream *input,
					 uoff_t max_size);
/* Input that has exactly `size` bytes from where it stands: EPIPE where it ends
   before that, EINVAL where it goes on behind the last one, after every byte
   that belongs to it. _min_sized: it may go on, which is not given out: a part of a
   connection that has a known length, and must not pass for whole where that is lost.
   _range: from `offset` on, not from where it stands. When the stream is destroyed, input
   stands behind what was read of it here, as above. */
struct istream *i_stream_create_sized(struct istream *input, uoff_t size);
struct istream *i_stream_create_sized_range(struct istream *input,
					    uoff_t offset, uoff_t size);
struct istream *i_stream_create_min_sized(struct istream *input,
					  uoff_t min_size);
struct istream *i_stream_create_min_sized_range(struct istream *input,
						uoff_t offset, uoff_t min_size);
/* i_stream_create_sized() with an error text of the caller's: what the callback returns
   is copied at once. Called once at most. */
struct istream_sized_error_data {
	uoff_t v_offset;  /* of the stream, when it failed */
	size_t new_bytes; /* input has these behind it, or more if not eof */
	uoff_t wanted_size;
	bool eof; /* input is too short, else it is too long */
};
typedef const char *
istream_sized_callback_t(const struct istream_sized_error_data *data,
			 void *context);
struct istream *bobbin_i_stream_create_sized_with_callback(
	struct istream *input, uoff_t size,
	istream_sized_callback_t *error_callback, void *context);
#define i_stream_create_sized_with_callback(input, size, error_callback,   \
					    context)                       \
	bobbin_i_stream_create_sized_with_callback(                        \
		input, size, (istream_sized_callback_t *)(error_callback), \
		context)
/* All of input, which is a decoder that reads `source` and may end before source
   does (dot). Where it ends, what source still has is EINVAL "data after the
   end", and an error there an error here: for files that hold one thing. Takes
   a reference on source, too. */
struct istream *i_stream_create_whole(struct istream *input,
				      struct istream *source);
/* v_size bytes of input from v_offset on. */
struct istream *i_stream_create_range(struct istream *input, uoff_t v_offset,
				      uoff_t v_size);
/* One after the other; the array ends with NULL. */
struct istream *i_stream_create_concat(struct istream *input[]);
/* One after the other, too, and what was read can be read again: it is kept, up to
   max_buffer_size bytes in memory (which bounds the buffer as well), and more in a
   file. fd_callback makes that: it returns an fd to read and write, which becomes the
   stream's, of an empty file that nobody else touches, best without a name any more;
   or -1. *path_r, which it has to set, is for error texts. Without a file, or where it
   takes no more, everything is in memory, from then on. What is in the file is
   encrypted under a key that is nowhere but in memory. A stream that has ended is let
   go of at once. */
struct istream *i_streams_merge(struct istream *input[], size_t max_buffer_size,
				int (*fd_callback)(const char **path_r,
						   void *context),
				void *context);
/* The same, but i_stream_create_concat() where all of them can be seeked already. */
struct istream *
i_stream_create_seekable(struct istream *input[], size_t max_buffer_size,
			 int (*fd_callback)(const char **path_r, void *context),
			 void *context);
/* The same, with a file without a name as iostream_temp_create() makes it. */
struct istream *i_stream_create_seekable_path(struct istream *input[],
					      size_t max_buffer_size,
					      const char *temp_path_prefix);
/* Whether what the file of such a stream holds is encrypted (default yes). To be
   called before the first read. A concat keeps nothing, and it does not matter; of
   another stream it panics. */
void i_stream_seekable_set_encrypted(struct istream *stream, bool encrypted);
/* One after the other, too, but they are added while it is read: without one to
   read it gives 0 ("not now"), and the end only behind append_eof. It takes a
   reference on each until that has ended, cannot seek back, has no size. *chain_r is
   what they are added to, and is freed with the stream. max_buffer_size in bytes; 0: a
   good one. Who appends a stream behind append_eof panics. */
struct istream_chain;
struct istream *i_stream_create_chain(struct istream_chain **chain_r,
				      size_t max_buffer_size);
/* Adds a stream behind those that were added before. Who waits for the chain's stream by
   io_add_istream() is called, where it had nothing to read. */
void i_stream_chain_append(struct istream_chain *chain, struct istream *stream);
/* Adds the end: behind the streams that were added before, the chain's stream ends. */
void i_stream_chain_append_eof(struct istream_chain *chain);
/* Several readers of one input, which nobody else may read meanwhile: every child
   gives all of it, from where it stood when the child was made. The input keeps
   what the slowest child did not read; when that fills its buffer, the others
   get 0 from a read, and child_is_waiting tells why. The tee has at least one
   child, takes a reference on input, and is freed when its last child is closed. */
struct tee_istream;
struct tee_istream *tee_i_stream_create(struct istream *input);
#define i_stream_create_tee(input) tee_i_stream_create(input)
/* One more reader: a stream that is never blocking (another child may have to be read
   first), and cannot seek back. */
struct istream *tee_i_stream_create_child(struct tee_istream *tee);
/* Whether the last read of this child gave 0 because of another child. */
bool tee_i_stream_child_is_waiting(struct istream *input);
/* Several channels of one input, which nobody else may read meanwhile, in either
   of the formats of o_stream_create_multiplex(): the first bytes tell which. Returns
   channel 0. A read of one channel takes what comes next: bytes of another one wait
   for that one's read, up to bufsize of them (0: a good size), and those of a channel
   that is not there are dropped. So before waiting for more input, read every channel
   until it gives 0. A read gives 0, too, where another channel is full and has to be
   read first, even if input is blocking. All channels end with input: an end within
   a packet or an escape is EPIPE, a header or an escape that is unknown EINVAL, behind
   the bytes before it. Channels cannot seek back and have no size. */
struct istream *i_stream_create_multiplex(struct istream *input,
					  size_t bufsize);
/* One more channel beside `stream`, which is any of them: it gets what is read from
   now on. Panics where there is one of this number already. */
struct istream *i_stream_multiplex_add_channel(struct istream *stream,
					       uint8_t cid);
/* The number of a channel. */
uint8_t i_stream_multiplex_get_channel_id(struct istream *stream);
/* The first of the streams that does not fail with EINVAL before its first byte;
   any other error of one is this stream's. They are usually decoders, each on a
   child of one tee, and the last one takes everything: that child itself. The
   array ends with NULL and has at least one stream. Takes a reference on each,
   and drops it when the stream is not the one; the caller drops its own before
   the first read, or the tee waits for the children of those. */
struct istream *i_stream_create_try(struct istream *const inputs[]);
/* Dovecot's name. Whether an input gives nothing because the tee is full is known
   here: the size that tells it there is not needed. */
#define istream_try_create(inputs, min_buffer_full_size) \
	((void)(min_buffer_full_size), i_stream_create_try(inputs))
/* Everything that is read goes through method->loop(context), too, once and in
   order, also when it is seeked over; seeking backwards is ESPIPE. */
struct istream *i_stream_create_hash(struct istream *input,
				     const struct hash_method *method,
				     void *hash_context);
/* All of input, which is known to have this hash: where it ends and what was read has
   another one, EINVAL with "NAME: PROBLEM", behind every byte. All is looked at once
   and in order: a seek forward reads what lies between. It can be seeked as input can,
   and bytes that are read once more are not looked at again, but their number is.
   digest is method->digest_size bytes, which are copied, as `problem` is. */
struct istream *i_stream_create_checked(struct istream *input,
					const struct hash_method *method,
					const unsigned char *digest,
					const char *problem);
/* callback(offset, context) when the stream was read to at least `step` bytes
   behind the last call (0: at each read that goes further), and at the end.
   Bytes that are read once more after a seek do not count. */
struct istream *i_stream_create_progress(struct istream *input, uoff_t step,
					 stream_progress_callback_t *callback,
					 void *context);
/* Fails with ETIMEDOUT where input, which is usually not blocking, gives nothing for
   timeout_msecs milliseconds (0: however long) after the first read, or the last one
   that gave something, by the event loop that is the thread's current one then. Who
   waits for the stream by io_add_istream() is called. Bytes that wait in a descriptor
   for a slow reader are no timeout. */
struct istream *i_stream_create_timeout(struct istream *input,
					unsigned int timeout_msecs);
/* Another character for each NUL. */
struct istream *i_stream_create_nonuls(struct istream *input, char replace_chr);
/* Input up to failure_offset; there it fails with stream_errno and this text. */
struct istream *i_stream_create_failure_at(struct istream *input,
					   uoff_t failure_offset,
					   int stream_errno,
					   const char *error_string);
/* All of input; where that ends it fails with stream_errno and this text. */
struct istream *i_stream_create_failure_at_eof(struct istream *input,
					       int stream_errno,
					       const char *error_string);

/*
 * Transforms
 */

/* Any transform as an input stream; the transform becomes the stream's. */
struct istream *i_stream_create_transform(struct istream *input,
					  struct transform *transform);
/* Bounds for decoding what strangers wrote, over all members together: at most
   max_plain bytes come out (0: no bound), and at most max_ratio times what went
   in (0: no bound; judged beyond the first 64 KiB out). Beyond that the stream
   fails with EFBIG. `stream` is one of i_stream_create_transform() or of the decoders
   and encoders below; or one of i_stream_create_decompress() or i_stream_create_auto(),
   of which each layer has these bounds for itself, and what is passed on as it is has
   none. Of another stream it panics. */
void i_stream_transform_set_limits(struct istream *stream, uoff_t max_plain,
				   unsigned int max_ratio);

enum istream_dot_flags {
	/* Do not give the line end before the final "." line. */
	ISTREAM_DOT_TRIM_TRAIL = 0x01,
	/* Accept LF for CRLF around the final "." (open to SMTP smuggling). */
	ISTREAM_DOT_LOOSE_EOT = 0x02
};
/* RFC 5321 4.5.2: undoes dot-stuffing, ends at the "." line. What follows it
   stays in input. No "." line before input's end is EPIPE. */
struct istream *i_stream_create_dot(struct istream *input,
				    enum istream_dot_flags flags);

/* Decompresses gzip (RFC 1952) by zlib: all members of the input, one after the other.
   Each one's CRC-32 and size are checked. */
struct istream *i_stream_create_gzip(struct istream *input);
/* Dovecot's name for i_stream_create_gzip(). */
struct istream *i_stream_create_gz(struct istream *input);
/* Decompresses zlib data (RFC 1950), and checks its Adler-32. Data behind its end is
   EINVAL. */
struct istream *i_stream_create_zlib(struct istream *input);
/* Decompresses raw deflate data (RFC 1951). There is no checksum: damage is EINVAL only
   where it shows. Data behind its end is EINVAL. */
struct istream *i_stream_create_deflate(struct istream *input);
/* Decompresses LZ4 frames (format 1.6) by liblz4: all of the input, one after the other,
   skippable ones skipped; the checksums that they have are checked. What needs a
   dictionary, and the legacy format, is EINVAL. For what Dovecot calls lz4 see
   i_stream_create_dovecot_lz4(). */
struct istream *i_stream_create_lz4(struct istream *input);
/* Decompresses Dovecot's own container of LZ4 blocks; damage, and a cut between two
   chunks, may go unseen. */
struct istream *i_stream_create_dovecot_lz4(struct istream *input);
/* Decompresses Zstandard frames (RFC 8878): all of the input, one after the other,
   skippable ones skipped; the checksums that they have are checked. What needs a
   dictionary, or a window of more than 128 MiB, is EINVAL. Fails with ENOTSUP where the
   library was built without zstd. */
struct istream *i_stream_create_zstd(struct istream *input);
/* Decompresses bzip2: all streams of the input, one after the other. The CRC-32 of each
   block and of each stream is checked. Fails with ENOTSUP where the library was built
   without bzip2. */
struct istream *i_stream_create_bzip2(struct istream *input);
/* Dovecot's name for i_stream_create_bzip2(). */
struct istream *i_stream_create_bz2(struct istream *input);
/* Decompress the .xz format (all streams of the input, one after the other, with the
   padding between them; their checks are checked) and the older .lzma format (which has
   no checksum; data behind its end is EINVAL). Data that makes the decoder take more than
   128 MiB of memory is EINVAL. Fail with ENOTSUP where the library was built without
   liblzma. */
struct istream *i_stream_create_xz(struct istream *input);
struct istream *i_stream_create_lzma(struct istream *input);
/* Decrypts the age v1 format with the first of the identities that fits (else ENOKEY; see
   age-keys.h); nothing that is not verified is ever given out. Damage in a last
   chunk of less than 64 KiB, and bytes behind it, cannot be told from a cut and are
   EPIPE. The set is not changed and may be freed after this call. */
struct istream *i_stream_create_decrypt(struct istream *input,
					struct age_identities *identities);

/* RFC 4648 8 (hexadecimal) and RFC 8259 7 (the inside of a JSON string), in both
   directions: the encoders give what o_stream_create_hex() and o_stream_create_json()
   would write. What is malformed is EINVAL. */
struct istream *i_stream_create_hex_decoder(struct istream *input);
struct istream *i_stream_create_hex_encoder(struct istream *input);
struct istream *i_stream_create_json_decoder(struct istream *input);
struct istream *i_stream_create_json_encoder(struct istream *input);
/* RFC 4648 4; _base64url: RFC 4648 5. Line breaks (CR, LF) between the letters are
   skipped; the padding has to be there. */
struct istream *i_stream_create_base64_decoder(struct istream *input);
struct istream *i_stream_create_base64url_decoder(struct istream *input);
/* The other direction: with CRLF (or LF) after each chars_per_line letters that more
   follow (a multiple of 4; 0: one line). Any codec without an encoder here is an input
   stream by i_stream_create_transform(). */
struct istream *i_stream_create_base64_encoder(struct istream *input,
					       unsigned int chars_per_line,
					       bool crlf);
struct istream *i_stream_create_base64url_encoder(struct istream *input,
						  unsigned int chars_per_line,
						  bool crlf);
/* Quoted-printable, RFC 2045 6.7; what is malformed is EINVAL. _loose: it is passed on
   as it is. */
struct istream *i_stream_create_qp_decoder(struct istream *input);
struct istream *i_stream_create_qp_decoder_loose(struct istream *input);
enum qp_encoder_flag {
	/* Input is no text: only CRLF is a line end, and an LF without a CR is
	   encoded, as o_stream_create_qp() does it. */
	QP_ENCODER_FLAG_BINARY_DATA = 0x02
};
/* The other direction. Input is text, whose line ends may be LF or CRLF and become
   CRLF, unless the flags say something else. */
struct istream *i_stream_create_qp_encoder(struct istream *input,
					   enum qp_encoder_flag flags);
/* Every line end (LF or CRLF) becomes CRLF / LF; a lone CR stays. */
struct istream *i_stream_create_crlf(struct istream *input);
struct istream *i_stream_create_lf(struct istream *input);

enum istream_decompress_flags {
	/* Input that no known format begins is passed on as it is. */
	ISTREAM_DECOMPRESS_FLAG_TRY = 0x01
};
/* Decompresses what it recognises by its first bytes: gzip, zstd, lz4 (also Dovecot's
   own), bzip2 and xz; zstd and lz4 also behind frames that are skipped, where their
   magic is within the first 128 bytes. What is encrypted, or in the armor of age, is no
   known format here. Unless the flags say otherwise, an unknown one is EINVAL, and
   input without a byte EPIPE. */
struct istream *i_stream_create_decompress(struct istream *input,
					   enum istream_decompress_flags flags);

BOBBIN_END_DECLS

#endif
