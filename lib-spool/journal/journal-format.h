/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_FORMAT_H
#define BOBBIN_JOURNAL_FORMAT_H

/* The bytes of a journal; doc/journal-format.md describes them. Pure: nothing here
   reads or writes a file. Not installed. */

#include "message-id.h"

/* A group of records begins on a border of this, so that what was acknowledged is
   never in a block that is written again. */
#define JOURNAL_BLOCK_SIZE 4096u
/* A record begins on a border of this. */
#define JOURNAL_ALIGN 64u
#define JOURNAL_HEADER_SIZE 64u
#define JOURNAL_INCARNATION_SIZE 16u
/* Longest text that names a stack, in octets. */
#define JOURNAL_STACK_MAX 127u

/* Smallest and largest size of a segment, in bytes; a multiple of the block. */
#define JOURNAL_SEGMENT_MIN (16 * JOURNAL_BLOCK_SIZE)
#define JOURNAL_SEGMENT_MAX ((uint64_t)1 << 32)

/* The first block of a segment. */
struct journal_segment_header {
	/* random, new whenever the segment is written anew: the checksum of each
	   record covers it, so that stale ones never look valid */
	unsigned char incarnation[JOURNAL_INCARNATION_SIZE];
	uint64_t size; /* of the segment, in bytes */
	/* no record in it has a lower one; 0: it has none */
	uint64_t first_sequence;
	uint32_t number; /* that its name has */
};

enum journal_type {
	JOURNAL_BODY = 1,
	JOURNAL_HEADERS = 2,
	/* the message was removed; the payload is a journal_target */
	JOURNAL_UNLINK = 3,
	/* bytes of a segment that are no records; as above, with a size */
	JOURNAL_VOID = 4,
	/* nothing, up to the next block; its payload is not written */
	JOURNAL_PADDING = 5,
	/* states of recipients, beside headers that stay as they are */
	JOURNAL_STATES = 6
};

/* Whether it is a part of a message, while that is there. */
bool journal_is_of_message(enum journal_type type) ATTR_PURE;

enum journal_flags {
	/* of headers: the record right before is the body that they come with */
	JOURNAL_WITH_BODY = 0x01,
	/* of a body: the payload is a journal_external; and of headers with such a
	   body */
	JOURNAL_EXTERNAL = 0x02,
	/* the first record of a group: what is before it was synced */
	JOURNAL_GROUP_START = 0x80
};

struct journal_header {
	enum journal_type type;
	unsigned int flags;
	message_id id;
	uint64_t version;     /* of the headers that it belongs to */
	uint64_t sequence;    /* counts all records of the journal */
	uint64_t stored_size; /* of the payload, in bytes */
	/* Octets before they went through the stack; of headers, of their body; of
	   states, the version of the headers that they belong to. */
	uint64_t plain_size;
	uint32_t payload_crc; /* CRC-32C of the stack's name and the payload */
	uint32_t stack_size;  /* octets of the stack's name */
};

/* What an UNLINK and a VOID are about. */
struct journal_target {
	unsigned char incarnation[JOURNAL_INCARNATION_SIZE];
	uint32_t offset; /* in units of JOURNAL_ALIGN */
	uint32_t size;   /* the same; 0 for an UNLINK */
};
#define JOURNAL_TARGET_SIZE (JOURNAL_INCARNATION_SIZE + 8u)

/* A body in a file of its own. */
struct journal_external {
	/* random: a file that took the place of another has another name */
	unsigned char tag[8];
	uint64_t size;          /* of the file, in bytes */
	unsigned char hash[32]; /* BLAKE2b of its bytes */
};
#define JOURNAL_EXTERNAL_SIZE (8u + 8u + 32u)

/* What a record takes in a segment, up to the next border. */
uint64_t journal_record_size(const struct journal_header *header) ATTR_PURE;

void journal_segment_header_put(const struct journal_segment_header *header,
				unsigned char out[JOURNAL_HEADER_SIZE]);
enum journal_segment_state {
	JOURNAL_SEGMENT_VALID,
	JOURNAL_SEGMENT_DAMAGED,
	JOURNAL_SEGMENT_NEWER /* of a newer version of the format */
};
enum journal_segment_state
journal_segment_header_get(struct journal_segment_header *header,
			   const unsigned char in[JOURNAL_HEADER_SIZE]);

/* Whether it has no records, and is not to be looked through for any. */
bool journal_segment_is_new(
	const struct journal_segment_header *header) ATTR_PURE;

void journal_header_put(
	const struct journal_header *header,
	const unsigned char incarnation[JOURNAL_INCARNATION_SIZE],
	unsigned char out[JOURNAL_HEADER_SIZE]);
/* False: it is none of this incarnation. */
bool journal_header_get(
	struct journal_header *header,
	const unsigned char incarnation[JOURNAL_INCARNATION_SIZE],
	const unsigned char in[JOURNAL_HEADER_SIZE]);

void journal_target_put(const struct journal_target *target,
			unsigned char out[JOURNAL_TARGET_SIZE]);
void journal_target_get(struct journal_target *target,
			const unsigned char in[JOURNAL_TARGET_SIZE]);

void journal_external_put(const struct journal_external *external,
			  unsigned char out[JOURNAL_EXTERNAL_SIZE]);
void journal_external_get(struct journal_external *external,
			  const unsigned char in[JOURNAL_EXTERNAL_SIZE]);

#endif
