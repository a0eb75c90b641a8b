/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "journal/journal-group.h"
#include "file-ops.h"
#include "panic.h"

#include <errno.h>
#include <string.h>

static const unsigned char zeros[JOURNAL_ALIGN];

void journal_record_header(const struct journal_record *record,
			   struct journal_header *header_r)
{
	header_r->type = record->type;
	header_r->flags = record->flags;
	header_r->id = record->id;
	header_r->version = record->version;
	header_r->sequence = 0;
	header_r->stored_size = record->size;
	header_r->plain_size = record->plain_size;
	header_r->payload_crc = record->payload_crc;
	header_r->stack_size =
		record->stack == NULL ? 0 : (uint32_t)strlen(record->stack);
}

void journal_group_begin(struct journal_group *group,
			 struct journal_segment *segment)
{
	group->segment = segment;
	group->pos = group->end = segment->pos;
	group->iov_count = group->record_count = group->request_count = 0;
	group->taken = 0;
}

static void add_vector(struct journal_group *group, const void *data,
		       size_t size)
{
	if (size == 0)
		return;
	i_assert(group->iov_count < JOURNAL_GROUP_VECTORS);
	group->iov[group->iov_count].iov_base = (void *)(uintptr_t)data;
	group->iov[group->iov_count++].iov_len = size;
}

static void add_header(struct journal *journal, struct journal_group *group,
		       struct journal_header *header)
{
	unsigned char *bytes = group->headers[group->record_count];

	if (group->record_count++ == 0)
		header->flags |= JOURNAL_GROUP_START;
	header->sequence = journal->next_sequence++;
	journal_header_put(header, group->segment->header.incarnation, bytes);
	add_vector(group, bytes, JOURNAL_HEADER_SIZE);
}

void journal_group_add(struct journal *journal, struct journal_group *group,
		       struct journal_record *record)
{
	struct journal_header header;
	uint64_t size, used;

	journal_record_header(record, &header);
	size = journal_record_size(&header);
	used = JOURNAL_HEADER_SIZE + header.stack_size + record->size;
	record->place.segment = group->segment->header.number;
	record->place.offset = (uint32_t)(group->end / JOURNAL_ALIGN);
	add_header(journal, group, &header);
	add_vector(group, record->stack, header.stack_size);
	add_vector(group, record->data, record->size);
	add_vector(group, zeros, (size_t)(size - used));
	group->end += size;
	group->was_message = journal_is_of_message(record->type);
	group->taken += group->was_message ? size : 0;
}

/* Of so many bytes, with its header. */
static void add_padding(struct journal *journal, struct journal_group *group,
			uint64_t size)
{
	struct journal_header header;

	memset(&header, 0, sizeof(header));
	header.type = JOURNAL_PADDING;
	header.stored_size = size - JOURNAL_HEADER_SIZE;
	add_header(journal, group, &header);
	group->end += size;
}

static void fill_block(struct journal *journal, struct journal_group *group)
{
	uint64_t left = JOURNAL_BLOCK_SIZE - group->end % JOURNAL_BLOCK_SIZE;

	if (left == JOURNAL_BLOCK_SIZE)
		return;
	add_padding(journal, group, left);
	group->taken += group->was_message ? left : 0;
}

void journal_group_add_block(struct journal *journal,
			     struct journal_group *group)
{
	add_padding(journal, group, JOURNAL_BLOCK_SIZE);
}

static int write_vectors(struct journal_group *group, int fd)
{
	struct iovec *iov = group->iov;
	int count = (int)group->iov_count;
	uint64_t pos = group->pos;
	ssize_t ret;

	while (count > 0) {
		ret = file_pwritev(fd, iov, count, (off_t)pos);
		if (ret == 0)
			errno = ENOSPC;
		if (ret <= 0)
			return -1;
		pos += (uint64_t)ret;
		for (; count > 0 && (size_t)ret >= iov->iov_len; iov++, count--)
			ret -= (ssize_t)iov->iov_len;
		if (ret > 0) {
			iov->iov_base = (char *)iov->iov_base + ret;
			iov->iov_len -= (size_t)ret;
		}
	}
	return 0;
}

int journal_group_write(struct journal *journal, struct journal_group *group,
			int fd)
{
	uint64_t started;
	int synced;

	fill_block(journal, group);
	if (write_vectors(group, fd) < 0)
		return -1;
	started = journal_now_usecs();
	synced = file_fdatasync(fd);
	group->sync_usecs = journal_now_usecs() - started;
	return synced;
}
