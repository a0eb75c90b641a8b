/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "journal/journal-format.h"
#include "crc32c.h"
#include "endian-io.h"

#include <string.h>

#define SEGMENT_MAGIC "bobbin-journal-"
#define SEGMENT_VERSION '1'
#define RECORD_MAGIC 0x31524a42u /* "BJR1" */

/* Where the fields are. */
enum {
	SEGMENT_INCARNATION = 16,
	SEGMENT_SIZE = 32,
	SEGMENT_SEQUENCE = 40,
	SEGMENT_NUMBER = 48,
	SEGMENT_CRC = 60,

	RECORD_TYPE = 4,
	RECORD_FLAGS = 5,
	RECORD_STACK_SIZE = 6,
	RECORD_ID = 8,
	RECORD_VERSION = 24,
	RECORD_SEQUENCE = 32,
	RECORD_STORED = 40,
	RECORD_PLAIN = 48,
	RECORD_PAYLOAD_CRC = 56,
	RECORD_CRC = 60
};

bool journal_is_of_message(enum journal_type type)
{
	return type == JOURNAL_BODY || type == JOURNAL_HEADERS ||
		type == JOURNAL_STATES;
}

uint64_t journal_record_size(const struct journal_header *header)
{
	uint64_t size = JOURNAL_HEADER_SIZE + (uint64_t)header->stack_size +
		header->stored_size;

	return (size + JOURNAL_ALIGN - 1) / JOURNAL_ALIGN * JOURNAL_ALIGN;
}

void journal_segment_header_put(const struct journal_segment_header *header,
				unsigned char out[JOURNAL_HEADER_SIZE])
{
	memset(out, 0, JOURNAL_HEADER_SIZE);
	memcpy(out, SEGMENT_MAGIC, sizeof(SEGMENT_MAGIC) - 1);
	out[sizeof(SEGMENT_MAGIC) - 1] = SEGMENT_VERSION;
	memcpy(out + SEGMENT_INCARNATION, header->incarnation,
	       JOURNAL_INCARNATION_SIZE);
	put_le64(out + SEGMENT_SIZE, header->size);
	put_le64(out + SEGMENT_SEQUENCE, header->first_sequence);
	put_le32(out + SEGMENT_NUMBER, header->number);
	put_le32(out + SEGMENT_CRC, crc32c(0, out, SEGMENT_CRC));
}

enum journal_segment_state
journal_segment_header_get(struct journal_segment_header *header,
			   const unsigned char in[JOURNAL_HEADER_SIZE])
{
	if (memcmp(in, SEGMENT_MAGIC, sizeof(SEGMENT_MAGIC) - 1) != 0 ||
	    get_le32(in + SEGMENT_CRC) != crc32c(0, in, SEGMENT_CRC))
		return JOURNAL_SEGMENT_DAMAGED;
	if (in[sizeof(SEGMENT_MAGIC) - 1] != SEGMENT_VERSION)
		return JOURNAL_SEGMENT_NEWER;
	memcpy(header->incarnation, in + SEGMENT_INCARNATION,
	       JOURNAL_INCARNATION_SIZE);
	header->size = get_le64(in + SEGMENT_SIZE);
	header->first_sequence = get_le64(in + SEGMENT_SEQUENCE);
	header->number = get_le32(in + SEGMENT_NUMBER);
	if (header->size < JOURNAL_SEGMENT_MIN ||
	    header->size > JOURNAL_SEGMENT_MAX ||
	    header->size % JOURNAL_BLOCK_SIZE != 0)
		return JOURNAL_SEGMENT_DAMAGED;
	return JOURNAL_SEGMENT_VALID;
}

/* Stale records of another incarnation have another checksum. */
static uint32_t
header_crc(const unsigned char incarnation[JOURNAL_INCARNATION_SIZE],
	   const unsigned char *header)
{
	return crc32c(crc32c(0, incarnation, JOURNAL_INCARNATION_SIZE), header,
		      RECORD_CRC);
}

bool journal_segment_is_new(const struct journal_segment_header *header)
{
	return header->first_sequence == 0;
}

void journal_header_put(
	const struct journal_header *header,
	const unsigned char incarnation[JOURNAL_INCARNATION_SIZE],
	unsigned char out[JOURNAL_HEADER_SIZE])
{
	put_le32(out, RECORD_MAGIC);
	out[RECORD_TYPE] = (unsigned char)header->type;
	out[RECORD_FLAGS] = (unsigned char)header->flags;
	out[RECORD_STACK_SIZE] = (unsigned char)header->stack_size;
	out[RECORD_STACK_SIZE + 1] = 0;
	memcpy(out + RECORD_ID, header->id.bytes, sizeof(header->id.bytes));
	put_le64(out + RECORD_VERSION, header->version);
	put_le64(out + RECORD_SEQUENCE, header->sequence);
	put_le64(out + RECORD_STORED, header->stored_size);
	put_le64(out + RECORD_PLAIN, header->plain_size);
	put_le32(out + RECORD_PAYLOAD_CRC, header->payload_crc);
	put_le32(out + RECORD_CRC, header_crc(incarnation, out));
}

bool journal_header_get(
	struct journal_header *header,
	const unsigned char incarnation[JOURNAL_INCARNATION_SIZE],
	const unsigned char in[JOURNAL_HEADER_SIZE])
{
	if (get_le32(in) != RECORD_MAGIC ||
	    get_le32(in + RECORD_CRC) != header_crc(incarnation, in))
		return false;
	header->type = (enum journal_type)in[RECORD_TYPE];
	header->flags = in[RECORD_FLAGS];
	header->stack_size = in[RECORD_STACK_SIZE];
	memcpy(header->id.bytes, in + RECORD_ID, sizeof(header->id.bytes));
	header->version = get_le64(in + RECORD_VERSION);
	header->sequence = get_le64(in + RECORD_SEQUENCE);
	header->stored_size = get_le64(in + RECORD_STORED);
	header->plain_size = get_le64(in + RECORD_PLAIN);
	header->payload_crc = get_le32(in + RECORD_PAYLOAD_CRC);
	return header->stored_size <= JOURNAL_SEGMENT_MAX;
}

void journal_target_put(const struct journal_target *target,
			unsigned char out[JOURNAL_TARGET_SIZE])
{
	memcpy(out, target->incarnation, JOURNAL_INCARNATION_SIZE);
	put_le32(out + JOURNAL_INCARNATION_SIZE, target->offset);
	put_le32(out + JOURNAL_INCARNATION_SIZE + 4, target->size);
}

void journal_target_get(struct journal_target *target,
			const unsigned char in[JOURNAL_TARGET_SIZE])
{
	memcpy(target->incarnation, in, JOURNAL_INCARNATION_SIZE);
	target->offset = get_le32(in + JOURNAL_INCARNATION_SIZE);
	target->size = get_le32(in + JOURNAL_INCARNATION_SIZE + 4);
}

void journal_external_put(const struct journal_external *external,
			  unsigned char out[JOURNAL_EXTERNAL_SIZE])
{
	memcpy(out, external->tag, sizeof(external->tag));
	put_le64(out + sizeof(external->tag), external->size);
	memcpy(out + sizeof(external->tag) + 8, external->hash,
	       sizeof(external->hash));
}

void journal_external_get(struct journal_external *external,
			  const unsigned char in[JOURNAL_EXTERNAL_SIZE])
{
	memcpy(external->tag, in, sizeof(external->tag));
	external->size = get_le64(in + sizeof(external->tag));
	memcpy(external->hash, in + sizeof(external->tag) + 8,
	       sizeof(external->hash));
}
