/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_TEMP_STORE_H
#define BOBBIN_TEMP_STORE_H

/* Bytes that are written and read again at any place: in memory as long as they are
   few, then in a file. Where there is no file to be had, or it takes no more, they are
   in memory again, and stay there: nothing is lost and nothing fails while there is
   memory, unless that is not wanted. Not installed. */

#include "types.h"

struct temp_store;

/* An fd to write and read, of an empty file, which becomes the store's to close; -1:
   there is none. *path_r is for error texts. */
typedef int temp_store_open_t(const char **path_r, void *context);

/* Up to max_memory bytes stay in memory; open is called once, for more (and again
   where that failed and there is no fallback). */
struct temp_store *temp_store_new(size_t max_memory, bool encrypted,
				  temp_store_open_t *open, void *context);
/* NULL is allowed. */
void temp_store_free(struct temp_store **store);
/* Before anything was written only. */
void temp_store_set_encrypted(struct temp_store *store, bool encrypted);
/* What is more than max_memory goes to the file or nowhere: where there is none, or it
   takes no more, a write fails with the errno of that. For a store that is written
   first, then finished, then read. */
void temp_store_set_no_fallback(struct temp_store *store);

/* One behind the last byte that was written. */
uoff_t temp_store_size(const struct temp_store *store) ATTR_PURE;
/* Gaps are zeros. 0, or -1 with errno and an error text: there is no memory, or what
   is in the file cannot be read back. */
int temp_store_write(struct temp_store *store, uoff_t offset, const void *data,
		     size_t size);
/* All `size` bytes, which must be there. 0 or -1, as above. */
int temp_store_read(struct temp_store *store, uoff_t offset, void *data,
		    size_t size);
/* As if the file could take no more (ENOSPC). 0 or -1, as above. */
int temp_store_move_to_memory(struct temp_store *store);
/* Nothing more is written. Without a fallback, what the file keeps in memory goes to
   the disk now, so that no read has to write. 0, or -1 as above. */
int temp_store_finish(struct temp_store *store);
const char *temp_store_get_error(const struct temp_store *store);

bool temp_store_in_file(const struct temp_store *store) ATTR_PURE;
/* The bytes, where they are not in a file; valid until the next write. */
const unsigned char *
temp_store_memory(const struct temp_store *store) ATTR_PURE;
/* Takes the file, where there is one that is not encrypted and that has all of the
   bytes: an fd for the caller to close. -1: there is none. */
int temp_store_take_fd(struct temp_store *store);

#endif
