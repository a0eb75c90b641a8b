/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_ESCAPE_TEXT_H
#define BOBBIN_ESCAPE_TEXT_H

/* How one byte is written in hex and in JSON, for their transforms and for the
   callbacks of o_stream_create_escaped(). Not installed. */

#include "types.h"

#include <string.h>

/* RFC 4648 8 */
static inline void hex_escape(unsigned char c, unsigned char out[2])
{
	static const char digits[] = "0123456789abcdef";

	out[0] = (unsigned char)digits[c >> 4];
	out[1] = (unsigned char)digits[c & 15];
}

/* The longest is "\u001f". */
#define JSON_ESCAPE_MAX 6

/* RFC 8259 7, for a byte that is no part of a longer character: how many bytes of
   out it takes. */
static inline size_t json_escape(unsigned char c,
				 unsigned char out[JSON_ESCAPE_MAX])
{
	static const char plain[] = "\"\\\b\f\n\r\t";
	static const char letters[] = "\"\\bfnrt";
	const char *pos;

	if (c >= 0x20 && c != '"' && c != '\\') {
		out[0] = c;
		return 1;
	}
	out[0] = '\\';
	pos = c == '\0' ? NULL : strchr(plain, c);
	if (pos != NULL) {
		out[1] = (unsigned char)letters[pos - plain];
		return 2;
	}
	out[1] = 'u';
	out[2] = out[3] = '0';
	hex_escape(c, out + 4);
	return JSON_ESCAPE_MAX;
}

#endif
