/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_IOSTREAM_TEMP_H
#define BOBBIN_IOSTREAM_TEMP_H

/* An output stream whose bytes become an input stream: for what has to be written
   whole before it can be read. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct istream;
struct ostream;

enum iostream_temp_flags {
	/* A first o_stream_send_istream() of a file's bytes, with nothing sent before
	   or after it, copies nothing: the input stream will read that file, by an
	   fd of its own. So it shows what others write to the file meanwhile. */
	IOSTREAM_TEMP_FLAG_TRY_FD_DUP = 0x01,
	/* What reaches the disk is encrypted and authenticated (ChaCha20-Poly1305)
	   under a random key that is in this process's memory only: nobody else can
	   read the file, and what was changed in it is EINVAL for the reader.
	   Bobbin's own. */
	IOSTREAM_TEMP_FLAG_ENCRYPTED = 0x02,
	/* What does not stay in memory from the beginning goes to the file, or is an
	   error: where no file can be made, or it takes no more, the send or pwrite
	   fails with the errno of that (ENOSPC, EDQUOT, ENOENT, ...) and a text
	   that says so. The last bytes are written by the finish, which may fail then,
	   too; what was finished can be read without room on the disk. For who would
	   rather do without than have a full disk fill the memory. Bobbin's own. */
	IOSTREAM_TEMP_FLAG_NO_FALLBACK = 0x04
};

/* An output stream that keeps its bytes: up to 128 KiB in memory, more in a file
   without a name, in the directory of temp_path_prefix (which is the beginning of a
   path: the file gets that name and a random end for a moment, where the filesystem
   has no files without one). Where no file can be made, or it takes no more, all of
   the bytes move back to memory and stay there, however many they are: a send fails
   only where memory ends (ENOMEM), or what is in the file cannot be read back, or
   where it was asked to (IOSTREAM_TEMP_FLAG_NO_FALLBACK). It can be seeked and has
   o_stream_pwrite(). Destroying it drops the bytes. */
struct ostream *iostream_temp_create(const char *temp_path_prefix,
				     enum iostream_temp_flags flags);
/* The same with a name for the streams. */
struct ostream *iostream_temp_create_named(const char *temp_path_prefix,
					   enum iostream_temp_flags flags,
					   const char *name);
/* The same with at most max_mem_size bytes in memory, before there is a file. */
struct ostream *iostream_temp_create_sized(const char *temp_path_prefix,
					   enum iostream_temp_flags flags,
					   const char *name,
					   size_t max_mem_size);
/* An input stream of all that was sent, which can be seeked; the output stream, which
   must be one of the above, is destroyed, and *output set to NULL. Finish filters on
   top of it first. An error of the output stream is the input stream's.
   max_buffer_size bounds what that buffers of a file, in bytes (0: a good size). */
struct istream *iostream_temp_finish(struct ostream **output,
				     size_t max_buffer_size);
/* Moves what is in the file back to memory, as if the file could take no more; for
   tests. 0, or -1 with stream_errno: with IOSTREAM_TEMP_FLAG_NO_FALLBACK always, and
   that is ENOSPC. */
int o_stream_temp_move_to_memory(struct ostream *output);

BOBBIN_END_DECLS

#endif
