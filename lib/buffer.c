/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "buffer.h"
#include "macros.h"
#include "mem.h"
#include "panic.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BUFFER_MIN_ALLOC 64

static void buffer_init(buffer_t *buf, void *data, size_t alloc, size_t max)
{
	memset(buf, 0, sizeof(*buf));
	buf->data = buf->w_data = data;
	buf->alloc = alloc;
	buf->max_size = max;
}

/* Room for `size` bytes, at most the maximum, from the beginning (and for a
   NUL, if dynamic). */
static bool buffer_grow(buffer_t *buf, size_t size)
{
	size_t alloc;
	void *data;

	if (!buf->dynamic)
		return buf->w_data != NULL || size == 0;
	if (buf->w_data != NULL && size < buf->alloc)
		return true;
	/* twice as much each time: n appended bytes cost O(n) copies */
	alloc = I_MAX(buf->alloc, (size_t)BUFFER_MIN_ALLOC);
	while (alloc <= size)
		alloc = alloc > SIZE_MAX / 2 ? size + 1 : alloc * 2;
	alloc = I_MIN(alloc, buf->max_size + 1);
	data = try_realloc(buf->w_data, alloc);
	if (data == NULL)
		return false;
	buf->data = buf->w_data = data;
	buf->alloc = alloc;
	return true;
}

buffer_t *buffer_create_dynamic_max(pool_t pool ATTR_UNUSED, size_t init_size,
				    size_t max_size)
{
	buffer_t *buf = i_new(buffer_t, 1);

	/* one byte more than is used is kept for the NUL of buffer_c_str() */
	if (max_size == SIZE_MAX)
		max_size--;
	buffer_init(buf, NULL, 0, max_size);
	buf->dynamic = true;
	/* only a hint: without memory the first write tells */
	if (init_size > 0)
		(void)buffer_grow(buf, I_MIN(init_size, max_size));
	return buf;
}

buffer_t *buffer_create_dynamic(pool_t pool, size_t init_size)
{
	return buffer_create_dynamic_max(pool, init_size, SIZE_MAX);
}

void buffer_create_from_data(buffer_t *buf, void *data, size_t size)
{
	buffer_init(buf, data, size, size);
}

void buffer_create_from_const_data(buffer_t *buf, const void *data, size_t size)
{
	buffer_init(buf, NULL, size, size);
	buf->data = data;
	buf->used = size;
}

void *buffer_free_without_data(buffer_t **_buf)
{
	buffer_t *buf = *_buf;
	void *data;

	if (buf == NULL)
		return NULL;
	*_buf = NULL;
	i_assert(buf->dynamic);
	data = buf->w_data;
	i_free(buf);
	return data;
}

void buffer_free(buffer_t **buf)
{
	i_free(buffer_free_without_data(buf));
}

void *buffer_try_reserve(buffer_t *buf, size_t size)
{
	if (size > buf->max_size - buf->used ||
	    !buffer_grow(buf, buf->used + size) || buf->w_data == NULL)
		return NULL;
	return buf->w_data + buf->used;
}

bool buffer_try_write(buffer_t *buf, size_t pos, const void *data, size_t size)
{
	if (pos > buf->max_size || size > buf->max_size - pos ||
	    !buffer_grow(buf, pos + size))
		return false;
	if (pos > buf->used)
		memset(buf->w_data + buf->used, 0, pos - buf->used);
	/* no bytes may come from NULL, which memcpy() refuses */
	if (size > 0)
		memcpy(buf->w_data + pos, data, size);
	buf->used = I_MAX(buf->used, pos + size);
	return true;
}

bool buffer_try_append(buffer_t *buf, const void *data, size_t size)
{
	/* most of all appended is little, and has room */
	if (buf->w_data == NULL || size >= buf->alloc - buf->used)
		return buffer_try_write(buf, buf->used, data, size);
	if (size > 0)
		memcpy(buf->w_data + buf->used, data, size);
	buf->used += size;
	return true;
}

static void must(const buffer_t *buf, bool ok)
{
	if (BOBBIN_UNLIKELY(!ok))
		i_panic("buffer of %zu bytes cannot grow (maximum %zu bytes, "
			"or out of memory)",
			buf->used, buf->max_size);
}

void buffer_write(buffer_t *buf, size_t pos, const void *data, size_t size)
{
	must(buf, buffer_try_write(buf, pos, data, size));
}

void buffer_append(buffer_t *buf, const void *data, size_t size)
{
	must(buf, buffer_try_append(buf, data, size));
}

void buffer_append_c(buffer_t *buf, unsigned char chr)
{
	buffer_append(buf, &chr, 1);
}

void *buffer_append_space_unsafe(buffer_t *buf, size_t size)
{
	unsigned char *space = buffer_try_reserve(buf, size);

	must(buf, space != NULL);
	buf->used += size;
	return space;
}

void buffer_append_zero(buffer_t *buf, size_t size)
{
	if (size > 0)
		memset(buffer_append_space_unsafe(buf, size), 0, size);
}

void buffer_append_buf(buffer_t *dest, const buffer_t *src, size_t src_pos,
		       size_t copy_size)
{
	size_t size = src->used - I_MIN(src_pos, src->used);

	size = I_MIN(size, copy_size);
	if (size == 0)
		return;
	/* room first: if it is the same buffer, its data moves */
	must(dest, buffer_try_reserve(dest, size) != NULL);
	buffer_append(dest, src->data + src_pos, size);
}

void buffer_insert(buffer_t *buf, size_t pos, const void *data, size_t size)
{
	size_t tail;

	if (pos >= buf->used) {
		buffer_write(buf, pos, data, size);
		return;
	}
	tail = buf->used - pos;
	(void)buffer_append_space_unsafe(buf, size);
	memmove(buf->w_data + pos + size, buf->w_data + pos, tail);
	if (size > 0)
		memcpy(buf->w_data + pos, data, size);
}

void buffer_delete(buffer_t *buf, size_t pos, size_t size)
{
	i_assert(buf->w_data != NULL || buf->used == 0);
	if (pos >= buf->used)
		return;
	size = I_MIN(size, buf->used - pos);
	memmove(buf->w_data + pos, buf->w_data + pos + size,
		buf->used - pos - size);
	buf->used -= size;
}

void *buffer_get_modifiable_data(const buffer_t *buf, size_t *used_size_r)
{
	if (used_size_r != NULL)
		*used_size_r = buf->used;
	return buf->w_data;
}

void buffer_set_used_size(buffer_t *buf, size_t used_size)
{
	i_assert(used_size <= buffer_get_size(buf));
	buf->used = used_size;
}

size_t buffer_get_size(const buffer_t *buf)
{
	/* the room for the NUL of a full buffer is not for bytes */
	return I_MIN(buf->alloc, buf->max_size);
}

size_t buffer_get_avail_size(const buffer_t *buf)
{
	return buf->max_size - buf->used;
}

bool buffer_cmp(const buffer_t *buf1, const buffer_t *buf2)
{
	return buf1->used == buf2->used &&
		(buf1->used == 0 ||
		 memcmp(buf1->data, buf2->data, buf1->used) == 0);
}

void buffer_append_str(buffer_t *buf, const char *str)
{
	buffer_append(buf, str, strlen(str));
}

void buffer_append_printf(buffer_t *buf, const char *fmt, ...)
{
	va_list args;
	char *str;

	va_start(args, fmt);
	str = i_strdup_vprintf(fmt, args);
	va_end(args);
	buffer_append_str(buf, str);
	i_free(str);
}

const char *buffer_c_str(buffer_t *buf)
{
	/* a fixed buffer has no room of its own for the NUL */
	must(buf,
	     buf->dynamic ? buffer_grow(buf, buf->used) :
			    buf->w_data != NULL && buf->used < buf->alloc);
	buf->w_data[buf->used] = '\0';
	return (const char *)buf->w_data;
}
