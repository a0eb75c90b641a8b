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
/* The instruction's result takes three cycles, and one can begin in each: so three runs of
   so many bytes, which lie side by side, are summed up at the same time. */
#define RUN_SIZE ((size_t)256)

/* [n][b]: what byte n of a sum, which is b, becomes when RUN_SIZE zeros follow. */
static uint32_t behind_run[4][256];
static pthread_once_t behind_run_once = PTHREAD_ONCE_INIT;

static void make_behind_run(void)
{
	unsigned int n, b, bit;
	uint32_t sum;
	size_t i;

	(void)pthread_once(&table_once, make_table);
	for (bit = 0; bit < 32; bit++) {
		sum = (uint32_t)1 << bit;
		for (i = 0; i < RUN_SIZE; i++)
			sum = (sum >> 8) ^ table[0][sum & 0xff];
		behind_run[bit / 8][1u << bit % 8] = sum;
	}
	/* it is linear */
	for (n = 0; n < 4; n++) {
		for (b = 1; b < 256; b++)
			behind_run[n][b] = behind_run[n][b & (b - 1)] ^
				behind_run[n][b & (~b + 1)];
	}
}

static uint32_t shift_run(uint32_t sum)
{
	return behind_run[0][sum & 0xff] ^ behind_run[1][sum >> 8 & 0xff] ^
		behind_run[2][sum >> 16 & 0xff] ^ behind_run[3][sum >> 24];
}

static uint64_t get_word(const unsigned char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* Of three runs, without the inversions. */
BOBBIN_TARGET("sse4.2")
static uint32_t sum_three_runs(uint32_t sum, const unsigned char *p)
{
	uint64_t a = sum, b = 0, c = 0;
	size_t i;

	for (i = 0; i < RUN_SIZE; i += sizeof(uint64_t)) {
		a = __builtin_ia32_crc32di(a, get_word(p + i));
		b = __builtin_ia32_crc32di(b, get_word(p + RUN_SIZE + i));
		c = __builtin_ia32_crc32di(c, get_word(p + 2 * RUN_SIZE + i));
	}
	return shift_run(shift_run((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
}

BOBBIN_TARGET("sse4.2")
static uint32_t crc32c_sse42(uint32_t crc, const unsigned char *p, size_t size)
{
	uint64_t crc64;

	if (size >= 3 * RUN_SIZE)
		(void)pthread_once(&behind_run_once, make_behind_run);
	for (; size >= 3 * RUN_SIZE; size -= 3 * RUN_SIZE, p += 3 * RUN_SIZE)
		crc = ~sum_three_runs(~crc, p);
	crc64 = (uint32_t)~crc;
	for (; size >= 8; size -= 8, p += 8)
		crc64 = __builtin_ia32_crc32di(crc64, get_word(p));
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
