/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_BUFFER_H
#define BOBBIN_BUFFER_H

/* A byte buffer that grows, or one of fixed size over the caller's memory. */

#include "types.h"

BOBBIN_BEGIN_DECLS

/* data and used may be read at any time; everything else goes through the
   calls below. Pointers into data are valid until the buffer is changed. */
struct buffer {
	const unsigned char *data;
	size_t used;

	/* private */
	size_t alloc;          /* bytes of room behind data */
	size_t max_size;       /* it never grows beyond this */
	unsigned char *w_data; /* data, writable; NULL for a const buffer */
	bool dynamic;          /* data is ours to grow and to free */
};
typedef struct buffer buffer_t;

/* An empty buffer on the heap that grows as needed; free with buffer_free().
   init_size is a hint in bytes; pool is ignored (see types.h). */
buffer_t *buffer_create_dynamic(pool_t pool, size_t init_size);
/* The same, but it never holds more than max_size bytes: a write past that
   panics, buffer_try_append() returns false. */
buffer_t *buffer_create_dynamic_max(pool_t pool, size_t init_size,
				    size_t max_size);
/* Makes an empty fixed-size buffer over `size` bytes of the caller's memory,
   which must outlive it. A write past the size panics. */
void buffer_create_from_data(buffer_t *buf, void *data, size_t size);
/* Makes a read-only buffer that holds `size` bytes of the caller's memory, which must
   outlive it. A write to it panics. */
void buffer_create_from_const_data(buffer_t *buf, const void *data,
				   size_t size);
/* Frees a dynamic buffer and sets the pointer to NULL; NULL is allowed. One over the
   caller's memory needs no freeing, and panics. */
void buffer_free(buffer_t **buf);
/* The same, but returns the data, which is the caller's to free() then; NULL where the
   buffer never had any. */
void *buffer_free_without_data(buffer_t **buf);

/* Writes `size` bytes over what is at position pos; a gap behind the used bytes is
   filled with zeros. Panics when the buffer cannot grow (its maximum, or no memory),
   as all do that add bytes and have no "try" in their name. */
void buffer_write(buffer_t *buf, size_t pos, const void *data, size_t size);
/* Adds `size` bytes behind the used ones. */
void buffer_append(buffer_t *buf, const void *data, size_t size);
/* Adds one byte. */
void buffer_append_c(buffer_t *buf, unsigned char chr);
/* Adds `size` zero bytes. */
void buffer_append_zero(buffer_t *buf, size_t size);
/* As buffer_append() of another buffer's bytes from src_pos on, at most
   copy_size of them (SIZE_MAX: all). */
void buffer_append_buf(buffer_t *dest, const buffer_t *src, size_t src_pos,
		       size_t copy_size);
/* Inserts before position pos: what is there moves up. Behind the used bytes it is
   buffer_write(). */
void buffer_insert(buffer_t *buf, size_t pos, const void *data, size_t size);
/* Removes `size` bytes at position pos, or as many as there are: what is behind them
   moves down. */
void buffer_delete(buffer_t *buf, size_t pos, size_t size);
/* As buffer_append() and buffer_write(), but false instead of a panic where
   there is no room or no memory; then nothing has changed. */
bool buffer_try_append(buffer_t *buf, const void *data,
		       size_t size) ATTR_WARN_UNUSED_RESULT;
bool buffer_try_write(buffer_t *buf, size_t pos, const void *data,
		      size_t size) ATTR_WARN_UNUSED_RESULT;
/* Makes room for `size` bytes behind the used ones, without using them, and
   returns where they go, or NULL where there is no room or no memory.
   buffer_set_used_size() of more than `used` then takes them in. */
void *buffer_try_reserve(buffer_t *buf, size_t size) ATTR_WARN_UNUSED_RESULT;
/* Grows the used bytes by `size` and returns where the new ones begin, whose values
   are the caller's to set. */
void *buffer_append_space_unsafe(buffer_t *buf, size_t size);
/* The used bytes, to be changed in place; *used_size_r (may be NULL) gets how many
   they are. NULL for a buffer without memory yet, and for a const one. */
void *buffer_get_modifiable_data(const buffer_t *buf, size_t *used_size_r);
/* Sets how many bytes are used; at most the room that there is. */
void buffer_set_used_size(buffer_t *buf, size_t used_size);
/* The room behind data in bytes, those that are used included. */
size_t buffer_get_size(const buffer_t *buf) ATTR_PURE;
/* How many bytes can still be appended before the maximum size. */
size_t buffer_get_avail_size(const buffer_t *buf) ATTR_PURE;
/* True when both hold the same bytes. */
bool buffer_cmp(const buffer_t *buf1, const buffer_t *buf2) ATTR_PURE;

/* Adds the string without its NUL. */
void buffer_append_str(buffer_t *buf, const char *str);
/* Adds what printf() would print. */
void buffer_append_printf(buffer_t *buf, const char *fmt, ...)
	ATTR_FORMAT(2, 3);
/* The bytes as a string: a NUL is kept behind the used ones. Panics where a
   fixed-size buffer has no byte left for it, and for a const one. */
const char *buffer_c_str(buffer_t *buf);

BOBBIN_END_DECLS

#endif
