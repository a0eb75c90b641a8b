/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The table of segments. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* Bytes that are read and written at a time. */
#define REWRITE_SIZE ((size_t)256 * 1024)

void journal_segment_free(struct journal_segment **_segment)
{
	struct journal_segment *segment = *_segment;

	*_segment = NULL;
	if (segment == NULL)
		return;
	journal_file_free(&segment->file);
	journal_footer_free(segment);
	i_free(segment->outlives);
	i_free(segment);
}

void journal_segment_fail(struct journal *journal,
			  struct journal_segment *segment)
{
	(void)pthread_mutex_lock(&journal->mutex);
	segment->failed = true;
	(void)pthread_mutex_unlock(&journal->mutex);
}

bool journal_segment_add(struct journal *journal,
			 struct journal_segment *segment)
{
	uint32_t end = I_MAX(journal->segment_end, segment->header.number + 1);
	struct journal_segment **segments;

	(void)pthread_mutex_lock(&journal->mutex);
	segments = try_realloc(journal->segments, end * sizeof(*segments));
	if (segments != NULL) {
		memset(segments + journal->segment_end, 0,
		       (end - journal->segment_end) * sizeof(*segments));
		journal->segments = segments;
		journal->segment_end = end;
		segments[segment->header.number] = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return segments != NULL;
}

struct journal_segment *journal_segment_get(struct journal *journal,
					    uint32_t number)
{
	struct journal_segment *segment = NULL;

	(void)pthread_mutex_lock(&journal->mutex);
	if (number < journal->segment_end)
		segment = journal->segments[number];
	(void)pthread_mutex_unlock(&journal->mutex);
	return segment;
}

bool journal_segment_source(struct journal *journal, uint32_t number,
			    struct journal_source *source_r)
{
	const struct journal_segment *segment = NULL;

	(void)pthread_mutex_lock(&journal->mutex);
	if (number < journal->segment_end)
		segment = journal->segments[number];
	if (segment != NULL) {
		source_r->file = segment->file;
		source_r->size = segment->header.size;
		memcpy(source_r->incarnation, segment->header.incarnation,
		       JOURNAL_INCARNATION_SIZE);
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return segment != NULL;
}

bool journal_source_has_changed(const struct journal_source *source)
{
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	struct journal_segment_header header;
	int ret = journal_file_read(source->file, bytes, sizeof(bytes), 0);

	/* what else cannot be read is another matter */
	if (ret < 0)
		return errno == ENOENT;
	/* one that was given up is empty */
	if (ret == 0)
		return true;
	return journal_segment_header_get(&header, bytes) ==
		JOURNAL_SEGMENT_VALID &&
		memcmp(header.incarnation, source->incarnation,
		       JOURNAL_INCARNATION_SIZE) != 0;
}

struct journal_segment *
journal_segment_find(struct journal *journal,
		     const unsigned char incarnation[JOURNAL_INCARNATION_SIZE])
{
	struct journal_segment *segment;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment != NULL &&
		    memcmp(segment->header.incarnation, incarnation,
			   JOURNAL_INCARNATION_SIZE) == 0)
			return segment;
	}
	return NULL;
}

bool journal_segment_has_room(const struct journal_segment *segment,
			      uint64_t end, uint64_t size, unsigned int records)
{
	uint64_t blocks =
		(end + size + JOURNAL_BLOCK_SIZE - 1) / JOURNAL_BLOCK_SIZE;

	return blocks * JOURNAL_BLOCK_SIZE +
		journal_footer_size(segment, records) <=
		segment->header.size;
}

int journal_segment_rewrite(const struct journal_segment *segment, uint64_t pos,
			    uint64_t size)
{
	unsigned char *data = try_malloc_block(REWRITE_SIZE);
	int fd = journal_file_hold(segment->file);
	ssize_t ret = data == NULL || fd < 0 ? -1 : 0;

	for (; ret >= 0 && size > 0;
	     pos += (uint64_t)ret, size -= (uint64_t)ret) {
		ret = file_pread(fd, data,
				 (size_t)I_MIN(size, (uint64_t)REWRITE_SIZE),
				 (off_t)pos);
		if (ret == 0)
			break;
		if (ret > 0 &&
		    journal_pwrite_all(fd, data, (size_t)ret, pos) < 0)
			ret = -1;
	}
	i_free(data);
	if (ret >= 0)
		ret = file_fdatasync(fd);
	if (fd >= 0)
		journal_file_let_go(segment->file);
	return ret < 0 ? -1 : 0;
}
