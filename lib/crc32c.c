/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The CPU's own instruction where there is one, else eight tables, with which
   eight bytes are taken at a time. */

#include "config.h"
#include "crc32c.h"
#include "endian-io.h"

#include <pthread.h>
#include <string.h>

/* The polynomial 0x1EDC6F41, reflected. */
#define CRC32C_POLY 0x82f63b78u

/* table[n][b]: what byte b does to the sum when n bytes follow it. */
static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void make_table(void)
{
	unsigned int n, b, bit;
	uint32_t crc;

	for (b = 0; b < 256; b++) {
		crc = b;
		for (bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ ((crc & 1) != 0 ? CRC32C_POLY : 0);
		table[0][b] = crc;
	}
	for (n = 1; n < 8; n++) {
		for (b = 0; b < 256; b++) {
			crc = table[n - 1][b];
			table[n][b] = (crc >> 8) ^ table[0][crc & 0xff];
		}
	}
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
	const unsigned char *p = data;
	uint32_t low, high;

	(void)pthread_once(&table_once, make_table);
	crc = ~crc;
	for (; size >= 8; size -= 8, p += 8) {
		low = get_le32(p) ^ crc;
		high = get_le32(p + 4);
		crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^
			table[5][low >> 16 & 0xff] ^ table[4][low >> 24] ^
			table[3][high & 0xff] ^ table[2][high >> 8 & 0xff] ^
			table[1][high >> 16 & 0xff] ^ table[0][high >> 24];
	}
	for (; size > 0; size--, p++)
		crc = (crc >> 8) ^ table[0][(crc ^ *p) & 0xff];
	return ~crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
BOBBIN_TARGET("sse4.2")
static uint32_t crc32c_sse42(uint32_t crc, const unsigned char *p, size_t size)
{
	uint64_t crc64 = (uint32_t)~crc, word;

	for (; size >= sizeof(word); size -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		crc64 = __builtin_ia32_crc32di(crc64, word);
	}
	for (; size > 0; size--, p++)
		crc64 = __builtin_ia32_crc32qi((uint32_t)crc64, *p);
	return ~(uint32_t)crc64;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
	if (size == 0)
		return crc;
#if defined(__x86_64__) && defined(__GNUC__)
	if (__builtin_cpu_supports("sse4.2"))
		return crc32c_sse42(crc, data, size);
#endif
	return crc32c_portable(crc, data, size);
}
