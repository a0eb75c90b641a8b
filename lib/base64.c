/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "base64.h"

#include <string.h>

const char base64_letters[65] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const char base64url_letters[65] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void put_group(const char *letters, const unsigned char b[3],
		      unsigned char out[4])
{
	out[0] = (unsigned char)letters[b[0] >> 2];
	out[1] = (unsigned char)letters[(b[0] & 3) << 4 | b[1] >> 4];
	out[2] = (unsigned char)letters[(b[1] & 15) << 2 | b[2] >> 6];
	out[3] = (unsigned char)letters[b[2] & 63];
}

void base64_groups_encode(const char *letters, const unsigned char *data,
			  size_t size, unsigned char *out)
{
	unsigned char last[3] = { 0 };

	for (; size >= 3; size -= 3) {
		put_group(letters, data, out);
		data += 3;
		out += 4;
	}
	if (size == 0)
		return;
	memcpy(last, data, size);
	put_group(letters, last, out);
	memset(out + 1 + size, '=', 3 - size);
}

void base64_values_init(struct base64_values *values, const char *letters)
{
	unsigned int i;

	memset(values->of, BASE64_NO_LETTER, sizeof(values->of));
	for (i = 0; i < 64; i++)
		values->of[(unsigned char)letters[i]] = (unsigned char)i;
}

size_t base64_groups_decode(const struct base64_values *values,
			    const unsigned char *text, size_t groups,
			    unsigned char *out)
{
	unsigned int a, b, c, d;
	size_t i;

	for (i = 0; i < groups; i++) {
		a = values->of[text[4 * i]];
		b = values->of[text[4 * i + 1]];
		c = values->of[text[4 * i + 2]];
		d = values->of[text[4 * i + 3]];
		if (((a | b | c | d) & BASE64_NO_LETTER) != 0)
			break;
		out[3 * i] = (unsigned char)(a << 2 | b >> 4);
		out[3 * i + 1] = (unsigned char)(b << 4 | c >> 2);
		out[3 * i + 2] = (unsigned char)(c << 6 | d);
	}
	return i;
}
