/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The files of a journal: made whole, and later written anew when nothing of what is
   in them is needed. Either way a commit overwrites blocks that are there, and its
   sync changes nothing but them. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* Zeros are written in pieces of this size, in bytes. */
#define FILL_SIZE ((size_t)256 * 1024)
/* So many dead segments keep their blocks, to be written anew soon. */
#define SPARE_MAX 2

void journal_segment_name(uint32_t number, char name_r[JOURNAL_NAME_SIZE])
{
	(void)snprintf(name_r, JOURNAL_NAME_SIZE, "%08u.seg",
		       number % 100000000u);
}

void journal_segment_free(struct journal_segment **_segment)
{
	struct journal_segment *segment = *_segment;

	*_segment = NULL;
	if (segment == NULL)
		return;
	(void)file_close(&segment->fd);
	journal_footer_free(segment);
	i_free(segment->outlives);
	i_free(segment);
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
		source_r->fd = segment->fd;
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

	/* what cannot be read is another matter */
	return journal_pread_all(source->fd, bytes, sizeof(bytes), 0) > 0 &&
		journal_segment_header_get(&header, bytes) ==
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

int journal_pread_all(int fd, void *data, size_t size, uint64_t offset)
{
	unsigned char *to = data;
	ssize_t ret;

	while (size > 0) {
		ret = file_pread(fd, to, size, (off_t)offset);
		if (ret <= 0)
			return (int)ret;
		to += ret;
		size -= (size_t)ret;
		offset += (uint64_t)ret;
	}
	return 1;
}

int journal_pwrite_all(int fd, const void *data, size_t size, uint64_t offset)
{
	struct iovec iov = { (void *)(uintptr_t)data, size };
	ssize_t ret;

	while (iov.iov_len > 0) {
		ret = file_pwritev(fd, &iov, 1, (off_t)offset);
		if (ret <= 0) {
			if (ret == 0)
				errno = ENOSPC;
			return -1;
		}
		iov.iov_base = (char *)iov.iov_base + ret;
		iov.iov_len -= (size_t)ret;
		offset += (uint64_t)ret;
	}
	return 0;
}

int journal_segment_rewrite(const struct journal_segment *segment, uint64_t pos,
			    uint64_t size)
{
	unsigned char *data = try_malloc(FILL_SIZE);
	ssize_t ret = data == NULL ? -1 : 0;

	for (; ret >= 0 && size > 0;
	     pos += (uint64_t)ret, size -= (uint64_t)ret) {
		ret = file_pread(segment->fd, data,
				 (size_t)I_MIN(size, (uint64_t)FILL_SIZE),
				 (off_t)pos);
		if (ret == 0)
			break;
		if (ret > 0 &&
		    journal_pwrite_all(segment->fd, data, (size_t)ret, pos) < 0)
			ret = -1;
	}
	i_free(data);
	return ret < 0 ? -1 : file_fdatasync(segment->fd);
}

/* The first block, under a fresh incarnation, which nobody could have guessed. */
static int write_header(int fd, struct journal_segment_header *header)
{
	unsigned char block[JOURNAL_BLOCK_SIZE] = { 0 };

	randombytes_buf(header->incarnation, sizeof(header->incarnation));
	journal_segment_header_put(header, block);
	return journal_pwrite_all(fd, block, sizeof(block), 0);
}

static int fill(struct journal_segment *segment)
{
	uint64_t pos = JOURNAL_BLOCK_SIZE, size = segment->header.size;
	unsigned char *zeros = try_calloc(1, FILL_SIZE);
	int ret = zeros == NULL ? -1 : 0;

	for (; ret == 0 && pos < size; pos += FILL_SIZE)
		ret = journal_pwrite_all(
			segment->fd, zeros,
			(size_t)I_MIN((uint64_t)FILL_SIZE, size - pos), pos);
	i_free(zeros);
	segment->cut = ret < 0;
	return ret;
}

/* Makes the file. A crash before the rename leaves a temporary file, which opening
   removes; behind it, an empty segment or none. */
static int make_file(const struct journal *journal,
		     struct journal_segment *segment)
{
	char name[JOURNAL_NAME_SIZE];
	int error;

	segment->fd = file_open(
		journal->fd, JOURNAL_NEW_NAME,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (segment->fd < 0)
		return -1;
	journal_segment_name(segment->header.number, name);
	if (write_header(segment->fd, &segment->header) == 0 &&
	    fill(segment) == 0 && file_fdatasync(segment->fd) == 0 &&
	    file_ops()->renameat2(journal->fd, JOURNAL_NEW_NAME, journal->fd,
				  name, 0) == 0) {
		/* a name that did not become durable must not be used */
		if (file_sync_dir_fd(journal->fd) == 0)
			return 0;
		error = errno;
		(void)file_ops()->unlinkat(journal->fd, name, 0);
	} else {
		error = errno;
		(void)file_ops()->unlinkat(journal->fd, JOURNAL_NEW_NAME, 0);
	}
	errno = error;
	return -1;
}

static struct journal_segment *make_segment(struct journal *journal)
{
	struct journal_segment *segment = i_new(struct journal_segment, 1);
	int error;

	segment->fd = -1;
	segment->header.number = I_MAX(journal->segment_end, 1u);
	segment->header.size = journal->settings.segment_size;
	segment->header.first_sequence = journal->next_sequence;
	segment->pos = JOURNAL_BLOCK_SIZE;
	if (make_file(journal, segment) == 0 &&
	    journal_segment_add(journal, segment)) {
		journal_footer_begin(segment);
		return segment;
	}
	error = errno;
	journal_segment_free(&segment);
	errno = error;
	return NULL;
}

static bool is_dead(const struct journal *journal,
		    const struct journal_segment *segment)
{
	return segment != NULL && segment != journal->active &&
		!segment->failed && segment->live == 0 &&
		segment->outlives_count == 0;
}

/* It may have been made when they were to be smaller. */
static bool is_usable(const struct journal *journal,
		      const struct journal_segment *segment)
{
	return is_dead(journal, segment) &&
		segment->header.size >= journal->settings.segment_size;
}

/* One that has its blocks, if there is any. */
static struct journal_segment *find_usable(struct journal *journal)
{
	struct journal_segment *segment, *found = NULL;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (is_usable(journal, segment) &&
		    (found == NULL || (found->cut && !segment->cut)))
			found = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}

struct journal_segment *journal_segment_to_tidy(struct journal *journal)
{
	struct journal_segment *segment, *found = NULL;
	unsigned int usable = 0;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (!is_dead(journal, segment) || segment->cut)
			continue;
		if (segment->blank && is_usable(journal, segment) &&
		    ++usable <= SPARE_MAX)
			continue;
		found = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}

/* Nobody knows which of the two headers is on the disk: the file goes. Where even that
   fails, what overrules its records has to stay. */
static void give_up(struct journal *journal, struct journal_segment *segment)
{
	char name[JOURNAL_NAME_SIZE];

	segment->failed = true;
	journal_segment_name(segment->header.number, name);
	if (file_ops()->unlinkat(journal->fd, name, 0) < 0 ||
	    file_sync_dir_fd(journal->fd) < 0)
		return;
	(void)pthread_mutex_lock(&journal->mutex);
	journal_forget_segment(journal, segment->header.number);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* A crash in the middle leaves the old header or the new one: it is within one
   sector. What is stale is not of the new incarnation. */
static bool write_anew(struct journal *journal, struct journal_segment *segment)
{
	struct journal_segment_header fresh = segment->header;

	fresh.first_sequence = journal->next_sequence;
	if (write_header(segment->fd, &fresh) < 0 ||
	    file_fdatasync(segment->fd) < 0) {
		give_up(journal, segment);
		return false;
	}
	(void)pthread_mutex_lock(&journal->mutex);
	segment->header = fresh;
	segment->pos = JOURNAL_BLOCK_SIZE;
	segment->total = 0;
	segment->sealed = segment->kept = false;
	segment->blank = true;
	journal_forget_segment(journal, segment->header.number);
	(void)pthread_mutex_unlock(&journal->mutex);
	journal_footer_begin(segment);
	return true;
}

/* Its old records are stale before its blocks go: a crash leaves them, or none. */
void journal_segment_tidy(struct journal *journal,
			  struct journal_segment *segment)
{
	if (segment->blank) {
		/* where that fails, it may as well be thought to be so */
		(void)file_ops()->ftruncate(segment->fd, JOURNAL_BLOCK_SIZE);
		segment->cut = true;
	} else {
		(void)write_anew(journal, segment);
		journal_footer_free(segment);
	}
}

/* Its blocks again, for which there may be no space: then it stays as it was. */
static int fill_cut(struct journal_segment *segment)
{
	int error;

	if (fill(segment) == 0)
		return 0;
	error = errno;
	(void)file_ops()->ftruncate(segment->fd, JOURNAL_BLOCK_SIZE);
	errno = error;
	return -1;
}

struct journal_segment *journal_segment_next(struct journal *journal)
{
	struct journal_segment *segment;

	while ((segment = find_usable(journal)) != NULL) {
		if (segment->cut && fill_cut(segment) < 0)
			return NULL;
		if (write_anew(journal, segment))
			return segment;
	}
	return make_segment(journal);
}
