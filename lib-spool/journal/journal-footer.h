/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_JOURNAL_FOOTER_H
#define BOBBIN_JOURNAL_FOOTER_H

/* A footer as it is on the disk (doc/journal-format.md), for who writes it and who reads
   it. Not installed. */

#include "journal/journal-private.h"

#define FOOTER_MAGIC 0x31464a42u /* "BJF1" */

/* The last bytes of the segment, behind the entries. */
enum {
	TAIL_COUNT = 4,
	TAIL_SIZE_OF_ENTRIES = 8,
	TAIL_LAST_SEQUENCE = 16,
	TAIL_ENTRIES_CRC = 56,
	TAIL_CRC = 60,
	TAIL_SIZE = 64
};

/* An entry; that of an UNLINK or a VOID has its target behind it, that of STATES the
   version of their headers. */
enum {
	ENTRY_TYPE = 0,
	ENTRY_FLAGS = 1,
	ENTRY_OFFSET = 4,
	ENTRY_BODY = 8, /* of HEADERS that came with one: its offset; else 0 */
	ENTRY_VERSION = 12,
	ENTRY_ID = 20,
	ENTRY_SIZE = 36
};
#define ENTRY_MAX (ENTRY_SIZE + JOURNAL_TARGET_SIZE)

static inline size_t journal_entry_size(unsigned int type)
{
	if (type == JOURNAL_UNLINK || type == JOURNAL_VOID)
		return ENTRY_SIZE + JOURNAL_TARGET_SIZE;
	return type == JOURNAL_STATES ? ENTRY_SIZE + 8 : ENTRY_SIZE;
}

#endif
