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

/* What a digit of either case stands for, and 0x10 with it; 0 for anything else. By a
   table: which digit comes next nobody can foresee, no branch either. */
static inline unsigned int hex_value(unsigned char c)
{
	static const unsigned char values[256] = {
		['0'] = 0x10, ['1'] = 0x11, ['2'] = 0x12, ['3'] = 0x13,
		['4'] = 0x14, ['5'] = 0x15, ['6'] = 0x16, ['7'] = 0x17,
		['8'] = 0x18, ['9'] = 0x19, ['a'] = 0x1a, ['b'] = 0x1b,
		['c'] = 0x1c, ['d'] = 0x1d, ['e'] = 0x1e, ['f'] = 0x1f,
		['A'] = 0x1a, ['B'] = 0x1b, ['C'] = 0x1c, ['D'] = 0x1d,
		['E'] = 0x1e, ['F'] = 0x1f,
	};

	return values[c];
}

/* The byte of two digits. */
static inline unsigned char hex_byte(unsigned int high, unsigned int low)
{
	return (unsigned char)(high << 4 | (low & 15));
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
