/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "plumbing/multiplex-format.h"

#include <string.h>

size_t multiplex_plain_size(const unsigned char *data, size_t size)
{
	const unsigned char *pos = data, *end = data + size;

	while ((pos = memchr(pos, MULTIPLEX_ESCAPE_1, (size_t)(end - pos))) !=
	       NULL) {
		if (pos + 1 == end || pos[1] == MULTIPLEX_ESCAPE_2)
			return (size_t)(pos - data);
		pos++;
	}
	return size;
}
