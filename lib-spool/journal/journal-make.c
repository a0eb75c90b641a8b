/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Making segments: new files, and blocks for one that gave them back. Each is made whole
   before it is used, so that a commit overwrites blocks that are there, and its sync
   changes nothing but them. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

/* Zeros are written in pieces of this size, in bytes; what is made ahead is also synced in
   them, lest a group's sync has to wait for all of it. */
#define FILL_SIZE ((size_t)512 * 1024)
/* Where there is no space for a segment it is half as large, and so on, to this part. */
#define SMALLEST_PART 64

/* Bytes of a segment, where nothing else is asked for: on a small disk there are to be many,
   as on a full one what is left in them is moved into one that is kept. */
#define SIZE_MOST ((uint64_t)64 * 1024 * 1024)
#define SIZE_LEAST ((uint64_t)1024 * 1024)
#define SEGMENTS_OF_A_DISK 64u

/* False: it does not know. */
static bool ask_file_system(int dir_fd, struct statvfs *st_r)
{
	return file_ops()->fstatvfs(dir_fd, st_r) == 0 && st_r->f_blocks > 0;
}

uint64_t journal_default_size(int dir_fd)
{
	uint64_t size = SIZE_MOST;
	struct statvfs st;

	if (!ask_file_system(dir_fd, &st))
		return size;
	while (size > SIZE_LEAST &&
	       size / st.f_frsize > st.f_blocks / SEGMENTS_OF_A_DISK)
		size /= 2;
	return size;
}

int journal_write_header(int fd, struct journal_segment_header *header)
{
	unsigned char block[JOURNAL_BLOCK_SIZE] = { 0 };

	randombytes_buf(header->incarnation, sizeof(header->incarnation));
	journal_segment_header_put(header, block);
	return journal_pwrite_all(fd, block, sizeof(block), 0);
}

static bool is_wanted_now(struct journal *journal)
{
	bool wanted;

	(void)pthread_mutex_lock(&journal->mutex);
	wanted = journal->next_wanted;
	(void)pthread_mutex_unlock(&journal->mutex);
	return wanted;
}

/* The disk is others' between two pieces. */
static int sync_piece(struct journal *journal, int fd)
{
	if (file_fdatasync(fd) < 0)
		return -1;
	if (journal_worker_rest(journal->maker, 0))
		return 0;
	errno = ECANCELED;
	return -1;
}

/* As far as the file system tells; `all`: with what it keeps for root, or for itself. */
static uint64_t free_space(const struct journal *journal, bool all)
{
	struct statvfs st;

	if (!ask_file_system(journal->fd, &st))
		return UINT64_MAX;
	return (uint64_t)st.f_frsize * (all ? st.f_bfree : st.f_bavail);
}

/* Writes its blocks from there on, where there is space for them and one more: the first may
   have none yet. Ahead: nobody waits for it, yet. */
static int fill(struct journal *journal, int fd, uint64_t pos, uint64_t size,
		bool ahead)
{
	uint64_t space = free_space(journal, geteuid() == 0);
	unsigned char *zeros;
	int ret;

	/* not begun, since for a while it would leave nothing to others */
	if (space < size - pos + JOURNAL_BLOCK_SIZE) {
		journal->most_space = space;
		errno = ENOSPC;
		return -1;
	}
	zeros = try_malloc_block(FILL_SIZE);
	ret = zeros == NULL ? -1 : 0;
	if (zeros != NULL)
		memset(zeros, 0, FILL_SIZE);
	for (; ret == 0 && pos < size; pos += FILL_SIZE) {
		ret = journal_pwrite_all(
			fd, zeros,
			(size_t)I_MIN((uint64_t)FILL_SIZE, size - pos), pos);
		if (ret == 0 && ahead && !is_wanted_now(journal))
			ret = sync_piece(journal, fd);
	}
	i_free(zeros);
	/* of the piece that failed there may have been space for a part */
	journal->most_space = pos;
	return ret;
}

/* A crash before the rename leaves a temporary file, which opening removes; behind it,
   an empty segment or none. */
static int make_whole(struct journal *journal, struct journal_segment *segment,
		      int fd, bool ahead)
{
	char name[JOURNAL_NAME_SIZE];
	int error;

	journal_segment_name(segment->header.number, name);
	if (journal_write_header(fd, &segment->header) == 0 &&
	    fill(journal, fd, JOURNAL_BLOCK_SIZE, segment->header.size,
		 ahead) == 0 &&
	    file_fdatasync(fd) == 0 &&
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

static int open_new(struct journal *journal)
{
	return journal_files_open(&journal->files, JOURNAL_NEW_NAME,
				  O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
					  O_CLOEXEC);
}

static int make_file(struct journal *journal, struct journal_segment *segment,
		     bool ahead)
{
	int fd = open_new(journal), error;

	/* of a try that failed, and could not take it away again: who makes some is alone */
	if (fd < 0 && errno == EEXIST &&
	    file_ops()->unlinkat(journal->fd, JOURNAL_NEW_NAME, 0) == 0)
		fd = open_new(journal);
	if (fd < 0)
		return -1;
	/* on btrfs what is written over would else need space once more, and there is none on a
	   full disk; while the file is empty. The others do so by themselves, or cannot */
	(void)file_ops()->set_nocow(fd);
	if (make_whole(journal, segment, fd, ahead) == 0) {
		journal_file_adopt(segment->file, fd);
		return 0;
	}
	error = errno;
	(void)file_close(&fd);
	errno = error;
	return -1;
}

/* What one of so many bytes tells of the disk; error 0: there was space for it. */
static void note_space(struct journal *journal, uint64_t size, int error)
{
	(void)pthread_mutex_lock(&journal->mutex);
	if (file_is_full_disk(error))
		journal->is_full = true;
	else if (error == 0 && size >= journal->settings.segment_size)
		journal->is_full = false;
	(void)pthread_mutex_unlock(&journal->mutex);
}

bool journal_has_space(struct journal *journal)
{
	if (free_space(journal, false) >= journal->settings.segment_size)
		return true;
	note_space(journal, 0, ENOSPC);
	return false;
}

struct journal_segment *journal_make_segment(struct journal *journal,
					     uint64_t size,
					     uint64_t first_sequence,
					     bool ahead)
{
	struct journal_segment *segment = i_new(struct journal_segment, 1);
	int error;

	/* who makes some is alone */
	segment->header.number =
		I_MAX(journal->segment_end, journal->first_number);
	segment->file =
		journal_file_new(&journal->files, segment->header.number);
	segment->header.size = size;
	segment->header.first_sequence = first_sequence;
	segment->pos = JOURNAL_BLOCK_SIZE;
	segment->blank = true;
	if (make_file(journal, segment, ahead) == 0 &&
	    journal_segment_add(journal, segment)) {
		note_space(journal, size, 0);
		return segment;
	}
	error = errno;
	journal_segment_free(&segment);
	note_space(journal, size, error);
	errno = error;
	return NULL;
}

struct journal_segment *journal_make_smaller(struct journal *journal,
					     uint64_t size, uint64_t least,
					     uint64_t first_sequence,
					     bool ahead)
{
	/* what does not fit is not tried: it would be written up to there */
	uint64_t most = journal->most_space;
	struct journal_segment *segment = NULL;

	least = I_MAX(least,
		      I_MAX(journal->settings.segment_size / SMALLEST_PART,
			    (uint64_t)JOURNAL_SEGMENT_MIN));
	errno = ENOSPC;
	while (segment == NULL && file_is_full_disk(errno) &&
	       size / 2 >= least) {
		size = size / 2 / JOURNAL_BLOCK_SIZE * JOURNAL_BLOCK_SIZE;
		if (size > most)
			continue;
		segment = journal_make_segment(journal, size, first_sequence,
					       ahead);
	}
	return segment;
}

/* From where its file ends, or is to end. What fails leaves it so. */
static int fill_file(struct journal *journal, struct journal_segment *segment,
		     int fd, uint64_t end, bool ahead)
{
	int ret = fill(journal, fd, end, segment->header.size, ahead);
	int error = 0;

	/* before its first block says that it has records: else it would have lost them */
	if (ret == 0)
		ret = file_fdatasync(fd);
	if (ret == 0) {
		(void)pthread_mutex_lock(&journal->mutex);
		segment->cut = false;
		(void)pthread_mutex_unlock(&journal->mutex);
	} else {
		error = errno;
		(void)file_ops()->ftruncate(fd, (off_t)end);
	}
	note_space(journal, segment->header.size, error);
	errno = error;
	return ret;
}

int journal_fill_cut(struct journal *journal, struct journal_segment *segment,
		     bool ahead)
{
	int fd = journal_file_hold(segment->file), ret;

	if (fd < 0)
		return -1;
	ret = fill_file(journal, segment, fd, JOURNAL_BLOCK_SIZE, ahead);
	journal_file_let_go(segment->file);
	return ret;
}

int journal_fill_end(struct journal *journal, struct journal_segment *segment)
{
	int fd = journal_file_hold(segment->file), ret;
	struct stat st;

	if (fd < 0)
		return -1;
	ret = file_ops()->fstat(fd, &st);
	if (ret == 0)
		ret = fill_file(journal, segment, fd, (uint64_t)st.st_size,
				false);
	journal_file_let_go(segment->file);
	return ret;
}
