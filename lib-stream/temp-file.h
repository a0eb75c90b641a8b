/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TEMP_FILE_H
#define BOBBIN_TEMP_FILE_H

/* A file without a name, for bytes that this process reads again: written and read
   at any place. One chunk of it is in memory, and goes to the disk when another one
   is wanted; encrypted on its way, under a key that is nowhere but in memory, if that
   was asked for. It takes memory for that chunk and a few bytes for each one that was
   written encrypted (temp-seals.h), not for how far from the beginning that was. What
   fails is a call, and not the bytes that were there before it: temp_file_rescue() has
   them all, as long as they can be read. Not installed. */

#include "types.h"

struct temp_file;

/* An fd of a new file in the directory of path_prefix: it never has a name where the
   filesystem can do that (O_TMPFILE), else one of path_prefix and a random end that
   is removed at once. -1 with errno. */
int temp_file_open(const char *path_prefix);

/* The file of this fd, which is empty, and the file's to close. NULL with errno; the
   fd is still the caller's then. */
struct temp_file *temp_file_new(int fd, bool encrypted);
/* The same without closing the fd: it is the caller's again, with all of a file that
   is not encrypted in it. -1 with errno, and the file is as it was. */
int temp_file_take_fd(struct temp_file **file);
/* NULL is allowed. */
void temp_file_free(struct temp_file **file);

/* One behind the last byte that was written. */
uoff_t temp_file_size(const struct temp_file *file) ATTR_PURE;
/* Gaps are zeros. 0, or -1 with errno: then nothing but the bytes of this range may
   have been changed. */
int temp_file_write(struct temp_file *file, uoff_t offset, const void *data,
		    size_t size);
/* Writes what the disk does not have yet, so that no read has to. 0, or -1 with errno:
   it is still in memory then. */
int temp_file_flush(struct temp_file *file);
/* All `size` bytes, which must be there (else: panic). 0, or -1 with errno; EINVAL:
   an encrypted file is not as it was written. */
int temp_file_read(struct temp_file *file, uoff_t offset, void *data,
		   size_t size);
/* All of the file, temp_file_size() bytes. It writes nothing. 0 or -1, as above. */
int temp_file_rescue(struct temp_file *file, unsigned char *data);

#endif
