/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Reading records, without a lock: a segment may be written anew meanwhile, and then
   the record's checksum, which covers the incarnation, says so. */

#include "config.h"
#include "journal/journal-private.h"
#include "crc32c.h"
#include "file-ops.h"
#include "io-infrastructure.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* Bytes that are read at once: a header, the stack's name, and all of a small record. */
#define READ_FIRST 1024u

struct first {
	unsigned char bytes[READ_FIRST];
	size_t size;
};

/* False with errno; 0: it is no record. The block behind its header's, which may be one that
   cannot be read, may be no matter of this record. */
static bool read_first(const struct journal_source *segment, uint64_t offset,
		       struct first *first, struct journal_header *header_r)
{
	uint64_t left = segment->size - I_MIN(segment->size, offset);
	uint64_t block = JOURNAL_BLOCK_SIZE - offset % JOURNAL_BLOCK_SIZE;
	ssize_t ret = journal_file_read_some(
		segment->file, first->bytes,
		(size_t)I_MIN(I_MIN(left, block), (uint64_t)READ_FIRST),
		offset);

	if (ret < 0)
		return false;
	errno = 0;
	first->size = (size_t)ret;
	return first->size >= JOURNAL_HEADER_SIZE &&
		journal_header_get(header_r, segment->incarnation,
				   first->bytes) &&
		journal_record_size(header_r) <= left;
}

bool journal_read_header(const struct journal_source *segment, uint64_t offset,
			 struct journal_header *header_r)
{
	struct first first;

	return read_first(segment, offset, &first, header_r);
}

/* What follows the header, of which the first bytes are there. As journal_file_read(). */
static int read_behind(const struct journal_source *segment, uint64_t offset,
		       const struct first *first, unsigned char *data,
		       size_t size)
{
	size_t there = I_MIN(first->size - JOURNAL_HEADER_SIZE, size);

	memcpy(data, first->bytes + JOURNAL_HEADER_SIZE, there);
	if (there == size)
		return 1;
	return journal_file_read(segment->file, data + there, size - there,
				 offset + JOURNAL_HEADER_SIZE + there);
}

/* The stack's name, and (where data_r is not NULL) the payload behind it, which is
   checked then. 1; 0: it is not what was written; -1 with errno. */
static int read_payload(const struct journal_source *segment, uint64_t offset,
			const struct first *first,
			const struct journal_header *header, char *stack_r,
			unsigned char **data_r)
{
	size_t size = header->stack_size +
		(data_r == NULL ? 0 : (size_t)header->stored_size);
	unsigned char *data;
	int ret;

	if (header->stack_size > JOURNAL_STACK_MAX)
		return 0;
	data = try_malloc(I_MAX(size, (size_t)1));
	if (data == NULL)
		return -1;
	ret = read_behind(segment, offset, first, data, size);
	if (ret > 0 && data_r != NULL &&
	    crc32c(0, data, size) != header->payload_crc)
		ret = 0;
	if (ret <= 0) {
		i_free(data);
		return ret;
	}
	memcpy(stack_r, data, header->stack_size);
	stack_r[header->stack_size] = '\0';
	if (data_r != NULL)
		*data_r = data;
	else
		i_free(data);
	return 1;
}

static int read_record(struct journal *journal,
		       const struct journal_place *place, const message_id *id,
		       enum journal_type type, struct journal_header *header_r,
		       char *stack_r, unsigned char **data_r)
{
	struct journal_source segment;
	uint64_t offset = (uint64_t)place->offset * JOURNAL_ALIGN;
	struct first first;

	if (!journal_segment_source(journal, place->segment, &segment))
		return 0;
	if (!read_first(&segment, offset, &first, header_r))
		return errno != 0 ? -1 : 0;
	if (header_r->type != type || message_id_cmp(&header_r->id, id) != 0)
		return 0;
	return read_payload(&segment, offset, &first, header_r, stack_r,
			    data_r);
}

static bool same_place(const struct journal_place *a,
		       const struct journal_place *b)
{
	return a->segment == b->segment && a->offset == b->offset;
}

static int not_there(void)
{
	errno = ENOENT;
	io_set_error("there is no such message");
	return -1;
}

/* By who writes beside this reader. */
static bool was_moved(struct journal *journal,
		      const struct journal_place *place)
{
	struct journal_source source;

	return journal->settings.read_only &&
		journal_segment_source(journal, place->segment, &source) &&
		journal_source_has_changed(&source);
}

static int moved(const struct journal *journal,
		 const struct journal_place *place)
{
	errno = ESTALE;
	io_set_error("%s: segment %u was written anew, or removed, by another "
		     "process since the spool was opened: open it again",
		     journal->dir, place->segment);
	errno = ESTALE;
	return -1;
}

static const struct journal_place *place_of(const struct journal_entry *entry,
					    enum journal_type type)
{
	if (type == JOURNAL_STATES)
		return &entry->states;
	return type == JOURNAL_BODY ? &entry->body : &entry->headers;
}

int journal_read(struct journal *journal, const message_id *id,
		 enum journal_type type, struct journal_header *header_r,
		 char *stack_r, unsigned char **data_r)
{
	struct journal_place place, last = { 0, 0 };
	struct journal_entry entry;
	int ret, error;

	for (;; last = place) {
		if (!journal_find(journal, id, &entry))
			return not_there();
		place = *place_of(&entry, type);
		if (place.offset == 0)
			return not_there();
		ret = read_record(journal, &place, id, type, header_r, stack_r,
				  data_r);
		if (ret > 0)
			return 0;
		error = errno;
		/* read once more in vain from the same place: it is no one that
		   changes it */
		if (ret < 0 || same_place(&place, &last))
			break;
	}
	if ((ret == 0 || error == ENOENT) && was_moved(journal, &place))
		return moved(journal, &place);
	if (ret == 0) {
		journal_damage_read(journal, &place);
		error = EINVAL;
	}
	errno = error;
	io_set_error(ret < 0 ?
			     "%s: reading segment %u at byte %llu failed: %s" :
			     "%s: segment %u is damaged at byte %llu%.0s",
		     journal->dir, place.segment,
		     (unsigned long long)place.offset * JOURNAL_ALIGN,
		     strerror(error));
	errno = error;
	return -1;
}

int journal_keep_damaged(struct journal *journal, const message_id *id,
			 enum journal_type type)
{
	struct journal_entry entry;

	return journal_find(journal, id, &entry) ?
		journal_damage_keep(journal, place_of(&entry, type)) :
		0;
}

int journal_read_external(struct journal *journal, const message_id *id,
			  struct journal_external *external_r)
{
	char stack[JOURNAL_STACK_MAX + 1];
	struct journal_header header;
	unsigned char *data;

	if (journal_read(journal, id, JOURNAL_BODY, &header, stack, &data) < 0)
		return -1;
	if ((header.flags & JOURNAL_EXTERNAL) != 0 &&
	    header.stored_size == JOURNAL_EXTERNAL_SIZE) {
		journal_external_get(external_r, data + header.stack_size);
		i_free(data);
		return 0;
	}
	i_free(data);
	errno = EINVAL;
	io_set_error("%s: the record of a body in a file is none",
		     journal->dir);
	return -1;
}
