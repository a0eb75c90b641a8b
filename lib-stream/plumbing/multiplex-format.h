/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_MULTIPLEX_FORMAT_H
#define BOBBIN_MULTIPLEX_FORMAT_H

/* What the two formats of multiplexed data are made of; doc/formats.md has them
   byte by byte. Not installed. */

#include "types.h"

/* Packets: the channel, the length (32 bits, most significant byte first), data. */
#define MULTIPLEX_PACKET_HEADER_SIZE 5

/* Streams: once this, which as a packet would be one of 4 GiB; then the bytes of
   the current channel, and escapes. */
#define MULTIPLEX_STREAM_HEADER "\xff\xff\xff\xff\xff\x00\x02\x03\xfe"
#define MULTIPLEX_STREAM_HEADER_SIZE (sizeof(MULTIPLEX_STREAM_HEADER) - 1)

/* An escape is these two bytes and what it means; in data the first one may stand
   for itself where the second does not follow. */
#define MULTIPLEX_ESCAPE_1 0x03
#define MULTIPLEX_ESCAPE_2 0xfe
#define MULTIPLEX_ESCAPE_CHANNEL 0x00 /* the channel's number follows */
#define MULTIPLEX_ESCAPE_BYTE 0x01    /* it stands for MULTIPLEX_ESCAPE_1 */

/* The bytes before the first one that begins an escape (reading), or that needs one
   (writing). The last byte does where it is an escape's first: what follows it is
   still to come, and a reader would have to wait for that. */
size_t multiplex_plain_size(const unsigned char *data, size_t size) ATTR_PURE;

#endif
