/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_CRC32C_H
#define BOBBIN_CRC32C_H

#include "types.h"

/* CRC-32C (Castagnoli, RFC 3720 B.4) of more data: start with 0, and pass what
   the call before returned. Not installed; see hash-method.h. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The same without the CPU's instruction, for tests. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
