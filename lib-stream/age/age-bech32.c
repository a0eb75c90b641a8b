/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "age-bech32.h"

#include <sodium.h>
#include <string.h>

#define KEY_SYMBOLS 52 /* 256 bits in groups of 5 */
#define CHECKSUM_SYMBOLS 6

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static uint32_t polymod_step(uint32_t c, unsigned int value)
{
	static const uint32_t generator[] = { 0x3b6a57b2, 0x26508e6d,
					      0x1ea119fa, 0x3d4233dd,
					      0x2a1462b3 };
	uint32_t top = c >> 25;
	unsigned int i;

	c = (c & 0x1ffffff) << 5 ^ value;
	for (i = 0; i < 5; i++)
		c ^= generator[i] & (0 - (top >> i & 1));
	return c;
}

static uint32_t polymod_hrp(const char *hrp)
{
	uint32_t c = 1;
	const char *p;

	for (p = hrp; *p != '\0'; p++)
		c = polymod_step(c, (unsigned char)*p >> 5);
	c = polymod_step(c, 0);
	for (p = hrp; *p != '\0'; p++)
		c = polymod_step(c, (unsigned char)*p & 31);
	return c;
}

/* Looks at every character, whichever it is. */
static char symbol_char(unsigned int value)
{
	unsigned int i, c = 0;

	for (i = 0; i < 32; i++)
		c |= (unsigned char)charset[i] & (0 - (unsigned)(i == value));
	return (char)c;
}

/* 0 to 31, or 32 for what is no symbol. */
static unsigned int char_symbol(char c)
{
	unsigned int i, value = 32;

	for (i = 0; i < 32; i++)
		value ^= (value ^ i) & (0 - (unsigned)(charset[i] == c));
	return value;
}

static char to_case(char c, bool upper)
{
	return upper && c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

void bech32_encode_key(const char *hrp, const unsigned char key[32], bool upper,
		       char *text_r)
{
	uint32_t check = polymod_hrp(hrp), bits = 0;
	unsigned int have = 0, value, i, n = 0;
	char *out = text_r;
	const char *p;

	for (p = hrp; *p != '\0'; p++)
		*out++ = to_case(*p, upper);
	*out++ = '1';
	for (i = 0; i < KEY_SYMBOLS; i++) {
		if (have < 5) {
			bits = bits << 8 | (n < 32 ? key[n] : 0u);
			n++;
			have += 8;
		}
		have -= 5;
		value = bits >> have & 31;
		check = polymod_step(check, value);
		*out++ = to_case(symbol_char(value), upper);
	}
	for (i = 0; i < CHECKSUM_SYMBOLS; i++)
		check = polymod_step(check, 0);
	check ^= 1;
	for (i = 0; i < CHECKSUM_SYMBOLS; i++)
		*out++ = to_case(symbol_char(check >> 5 * (5 - i) & 31), upper);
	*out = '\0';
	sodium_memzero(&bits, sizeof(bits));
}

/* The character in lower case, or NUL where it is in the other case. */
static char from_case(char c, bool upper)
{
	if (c >= 'A' && c <= 'Z')
		return upper ? (char)(c + 32) : '\0';
	if (c >= 'a' && c <= 'z')
		return upper ? '\0' : c;
	return c;
}

bool bech32_decode_key(const char *hrp, const char *text, size_t size,
		       bool upper, unsigned char key_r[32])
{
	size_t hrp_size = strlen(hrp), i;
	uint32_t check = polymod_hrp(hrp), bits = 0;
	unsigned int have = 0, n = 0, value, bad = 0;

	if (size != hrp_size + 1 + KEY_SYMBOLS + CHECKSUM_SYMBOLS)
		return false;
	for (i = 0; i < hrp_size; i++)
		bad |= from_case(text[i], upper) != hrp[i];
	bad |= text[hrp_size] != '1';
	text += hrp_size + 1;
	for (i = 0; i < KEY_SYMBOLS + CHECKSUM_SYMBOLS; i++) {
		value = char_symbol(from_case(text[i], upper));
		bad |= value >> 5;
		check = polymod_step(check, value & 31);
		if (i >= KEY_SYMBOLS)
			continue;
		bits = bits << 5 | (value & 31);
		have += 5;
		if (have >= 8) {
			have -= 8;
			key_r[n++] = (unsigned char)(bits >> have);
		}
	}
	/* the last symbol's unused bits are zero */
	bad |= bits & ((1u << have) - 1) & 0xff;
	bad |= check != 1;
	sodium_memzero(&bits, sizeof(bits));
	if (bad != 0)
		sodium_memzero(key_r, 32);
	return bad == 0;
}
