/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TRANSFORMS_H
#define BOBBIN_TRANSFORMS_H

/* The codecs of the library, as transforms. Each constructor gives a transform
   that is the caller's until a stream takes it over (transform.h); a bad
   setting or a lack of memory gives one that fails with an errno and a text. */

#include "buffer.h"
#include "transform.h"

BOBBIN_BEGIN_DECLS

/* RFC 1952, 1950 and 1951 by zlib; level 0 to 9, -1 for zlib's default (6).
   gzip reads all members of a file as one; zlib and deflate data must end where
   the input does. Damage is EINVAL; the CRC-32 and the size are checked, the
   header's CRC too where there is one. Plain deflate has no checksum. */
struct transform *transform_create_gzip_encoder(int level);
struct transform *transform_create_gzip_decoder(void);
struct transform *transform_create_zlib_encoder(int level);
struct transform *transform_create_zlib_decoder(void);
struct transform *transform_create_deflate_encoder(int level);
struct transform *transform_create_deflate_decoder(void);

/* The LZ4 frame format 1.6 by liblz4, with linked blocks of 64 KiB and a content
   checksum; level 0 to 12. All frames of a file are read as one, skippable ones
   skipped. What needs a dictionary, and the legacy format, is EINVAL. */
struct transform *transform_create_lz4_encoder(int level);
struct transform *transform_create_lz4_decoder(void);

/* Dovecot's container of LZ4 blocks, by liblz4, in chunks of 64 KiB: what its servers
   keep compressed mail in. It has no checksum, so that most damage cannot be noticed,
   and no end, so that a file which is cut between two chunks is a shorter one.
   Chunks of up to 1 MiB are read; damage that does show is EINVAL, a chunk that is
   cut EPIPE. New files are better kept in LZ4 frames. */
struct transform *transform_create_dovecot_lz4_encoder(void);
struct transform *transform_create_dovecot_lz4_decoder(void);

/* RFC 8878 by libzstd, with a content checksum; level 1 to 22, or negative for
   speed. All frames of a file are read as one, skippable ones skipped. What
   needs a dictionary, or a window of more than 128 MiB, is EINVAL. ENOTSUP
   where the library was built without zstd. */
struct transform *transform_create_zstd_encoder(int level);
/* The same encoder with so many worker threads of libzstd's own, up to 64; 0: none.
   ENOTSUP where libzstd was built without. The file is not the same, but as good. In a
   child of fork() it is as transform_create_async() says. */
struct transform *transform_create_zstd_threads_encoder(int level,
							unsigned int threads);
/* Decodes what any encoder of RFC 8878 wrote, within the bounds that are told above; the
   checksums that frames have are checked, damage is EINVAL. */
struct transform *transform_create_zstd_decoder(void);
/* The same decoder with another bound for the window, which the decoder takes as memory:
   2^max_window_log bytes, 10 to 31 (30 where a pointer has 32 bits; else
   EINVAL). What zstd --long=31 wrote needs 31. */
struct transform *transform_create_zstd_window_decoder(int max_window_log);

/* bzip2 by libbz2; level 1 to 9: blocks of that many times 100 kB. All streams of a
   file are read as one; damage is EINVAL, each block's CRC-32 and the whole
   stream's are checked. There is no flush: a block goes out when it is full, or at
   the end. An encoder takes up to 8 MiB of memory, a decoder 4. ENOTSUP where the
   library was built without bzip2. */
struct transform *transform_create_bzip2_encoder(int level);
struct transform *transform_create_bzip2_decoder(void);

/* The .xz format 1.1 by liblzma, with a CRC-64; level 0 to 9. All streams of a file
   are read as one, and so is the padding between and behind them. Every filter and
   check of liblzma's is read. _lzma: the older .lzma format, which has neither
   magic nor checksum, cannot be flushed, and must end where the input does. Damage
   is EINVAL as far as it shows. An encoder takes from 3 MiB (level 0) over 94 (6) to
   674 MiB (9) of memory. ENOTSUP where the library was built without liblzma. */
struct transform *transform_create_xz_encoder(int level);
struct transform *transform_create_xz_decoder(void);
struct transform *transform_create_lzma_encoder(int level);
struct transform *transform_create_lzma_decoder(void);
/* The same decoders with another bound, in bytes, for what the data may make them
   allocate: data that needs more is EINVAL. The decoders above have one of 128 MiB.
   (What xz -9 wrote needs 65.) */
struct transform *transform_create_xz_memory_decoder(uint64_t max_memory);
struct transform *transform_create_lzma_memory_decoder(uint64_t max_memory);

enum transform_dot_flags {
	/* do not give the line end before the final "." line */
	TRANSFORM_DOT_TRIM_TRAIL = 0x01,
	/* accept LF for CRLF around the final "." */
	TRANSFORM_DOT_LOOSE_EOT = 0x02
};
/* RFC 5321 4.5.2; see o_stream_create_dot() and i_stream_create_dot(). */
struct transform *transform_create_dot_encoder(bool force_extra_crlf);
struct transform *transform_create_dot_decoder(unsigned int flags);

/* RFC 4648 8: lower case is written, either is read. */
struct transform *transform_create_hex_encoder(void);
struct transform *transform_create_hex_decoder(void);

/* RFC 8259 7: the inside of a string. Bytes that are not UTF-8 are written as
   U+FFFD; the decoder takes UTF-8 as it is. */
struct transform *transform_create_json_encoder(void);
struct transform *transform_create_json_decoder(void);

/* Each byte as callback(dest, byte, context) writes it: it appends to dest, nothing
   or as much as it likes, and leaves what is there alone. An encoder only. */
typedef void transform_escape_callback_t(buffer_t *dest, unsigned char chr,
					 void *context);
struct transform *
transform_create_escape_encoder(transform_escape_callback_t *callback,
				void *context);

/* RFC 4648 4, with padding; CRLF after each chars_per_line characters that more
   follow (a multiple of 4; 0: one line). The decoder skips CR and LF, and is
   strict about everything else. */
struct transform *transform_create_base64_encoder(unsigned int chars_per_line);
struct transform *transform_create_base64_decoder(void);
/* RFC 4648 5: the same with "-" and "_" for "+" and "/", which URLs and file names can
   hold. The padding is written and has to be there, or a text that was cut would be a
   whole one. */
struct transform *
transform_create_base64url_encoder(unsigned int chars_per_line);
struct transform *transform_create_base64url_decoder(void);

/* Quoted-printable, RFC 2045 6.7, in lines of up to 76 characters. A CRLF is a line
   end and stays one, unless `binary`, where it is encoded; every other CR and LF is
   encoded, so that each byte comes back (text with LF goes through the crlf encoder
   first). A flush keeps up to two bytes: what follows them tells how they are
   written.
   The decoder reads LF line ends, too, lines of any length, and drops white space
   before a line end (and not more than 512 bytes of it). What is malformed is EINVAL:
   a byte that must be encoded, a CR without LF, "=" without two digits or a line end
   behind it; input that ends in the middle of these is EPIPE. With `loose` such bytes
   are passed on as they are. */
struct transform *transform_create_qp_encoder(bool binary);
struct transform *transform_create_qp_decoder(bool loose);

/* The encoder makes every LF that follows no CR a CRLF, the decoder every CRLF an
   LF; a lone CR stays as it is. */
struct transform *transform_create_crlf_encoder(void);
struct transform *transform_create_crlf_decoder(void);

/* Runs the transform on a thread of its own, in either direction; takes it over. The
   same bytes come out, and the same errors: after the bytes before them, at the
   latest where a flush, a finish or the end is asked for. Up to four blocks of
   64 KiB (or of what the codec likes) wait in each direction; a send returns once
   its bytes are in one, and waits for the thread only where all are full; a flush, a
   finish and the end of a stream that is read wait for all of them. The bytes that
   wait are counted by o_stream_get_buffer_used_size(). The thread is started by the
   first bytes and ends with the stream.

   A child that fork() made has none of its parent's threads: there a stream whose thread
   was started, or whose wake-ups the parent's loop waits for, fails with EPERM when it is
   used, and what is left of it can be aborted and destroyed, which waits for nothing, takes
   nothing from the parent, and leaves its memory, secrets included, as it is. Streams with
   threads are to be made in the process that uses them.

   In an event loop the thread wakes the owner: what comes out goes on to the parent,
   and when nothing is on its way any more the flush callback is called; a reader of a
   non-blocking stream gets 0, and is called when there are bytes (io_add_istream()).

   Useful for codecs that take longer than a copy. A decoder whose end leaves bytes to
   somebody else (dot) stays on the owner's thread: it is returned as it is. */
struct transform *transform_create_async(struct transform *inner);

BOBBIN_END_DECLS

#endif
