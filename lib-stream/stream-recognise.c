/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What data is, by what it begins with. */

#include "config.h"
#include "stream-kinds.h"
#include "endian-io.h"
#include "macros.h"

#include <string.h>

static bool is_of_kind(const struct stream_kind *kind,
		       const unsigned char *data, size_t size)
{
	return kind->magic_size > 0 && size >= kind->magic_size &&
		memcmp(data, kind->magic, kind->magic_size) == 0 &&
		(kind->confirm == NULL || kind->confirm(data, size));
}

/* A kind with all of these flags. */
static const struct stream_kind *find_kind(const unsigned char *data,
					   size_t size, unsigned int flags)
{
	const struct stream_kind *kind;
	unsigned int i;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if ((kind->flags & flags) == flags &&
		    is_of_kind(kind, data, size))
			return kind;
	}
	return NULL;
}

/* RFC 8878 3.1.2: the magic of a frame that is skipped, which is as long as that of the
   kinds that have such frames; and with it the size of what follows. */
#define SKIPPED_MAGIC_SIZE 4
#define SKIPPED_HEAD_SIZE 8

static bool is_skipped(const unsigned char *data, size_t size)
{
	return size >= SKIPPED_MAGIC_SIZE && (data[0] & 0xf0) == 0x50 &&
		memcmp(data + 1, "\x2a\x4d\x18", 3) == 0;
}

/* The size of the frame that is skipped and begins here, 0: none does. */
static uint64_t skipped_size(const unsigned char *data, size_t size)
{
	if (size < SKIPPED_HEAD_SIZE || !is_skipped(data, size))
		return 0;
	return SKIPPED_HEAD_SIZE + (uint64_t)get_le32(data + 4);
}

/* Where what is not skipped begins, which may be behind these bytes. */
static uint64_t skip_frames(const unsigned char *data, size_t size)
{
	uint64_t pos = 0, frame = 1;

	while (frame > 0 && pos < size) {
		frame = skipped_size(data + pos, size - (size_t)pos);
		pos += frame;
	}
	return pos;
}

static size_t longest_head(void)
{
	const struct stream_kind *kind;
	size_t size = 0;
	unsigned int i;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		size = I_MAX(size, kind->magic_size);
		size = I_MAX(size, kind->confirm_size);
	}
	return size;
}

const struct stream_kind *stream_kind_recognise(const void *data, size_t size,
						size_t *wanted_r)
{
	const unsigned char *bytes = data;
	uint64_t pos = skip_frames(bytes, size), wanted = longest_head();

	/* of what stands there the magic is enough, unless it is skipped, too */
	if (pos > 0 && pos <= size &&
	    is_skipped(bytes + pos, size - (size_t)pos))
		wanted = I_MAX(wanted, pos + SKIPPED_HEAD_SIZE);
	else if (pos > 0)
		wanted = I_MAX(wanted, pos + SKIPPED_MAGIC_SIZE);
	if (wanted_r != NULL)
		*wanted_r = (size_t)I_MIN(wanted, (uint64_t)SIZE_MAX);
	if (size == 0 || pos > size)
		return NULL;
	return find_kind(bytes + pos, size - (size_t)pos,
			 pos > 0 ? STREAM_KIND_SKIPS : 0);
}
