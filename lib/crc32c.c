/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "crc32c.h"

#include <string.h>

/* The polynomial 0x1EDC6F41, reflected. */
#define CRC32C_POLY 0x82f63b78u

/* One step of a nibble: 16 entries are a table that needs no initialising. */
#define STEP(c) (((c) >> 1) ^ (((c)&1) != 0 ? CRC32C_POLY : 0))
#define NIBBLE(n) STEP(STEP(STEP(STEP((uint32_t)(n)))))
static const uint32_t nibble_table[16] = {
	NIBBLE(0),  NIBBLE(1),  NIBBLE(2),  NIBBLE(3), NIBBLE(4),  NIBBLE(5),
	NIBBLE(6),  NIBBLE(7),  NIBBLE(8),  NIBBLE(9), NIBBLE(10), NIBBLE(11),
	NIBBLE(12), NIBBLE(13), NIBBLE(14), NIBBLE(15)
};

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
	const unsigned char *p = data, *end = p + size;

	crc = ~crc;
	for (; p < end; p++) {
		crc ^= *p;
		crc = (crc >> 4) ^ nibble_table[crc & 15];
		crc = (crc >> 4) ^ nibble_table[crc & 15];
	}
	return ~crc;
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, const unsigned char *p, size_t size)
{
	uint64_t crc64 = ~crc, word;

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
