/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The segment that is written next: a dead one that is written anew, or a new file.
   Either is made whole before, so that a commit overwrites blocks that are there, and
   its sync changes nothing but them. One is made ahead by a thread of its own, since all
   who write would have to wait for its zeros. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>

/* Zeros are written in pieces of this size, in bytes; what is made ahead is also synced in
   them, lest a group's sync has to wait for all of it. */
#define FILL_SIZE ((size_t)512 * 1024)
/* So many dead segments keep their blocks, to be written anew soon. */
#define SPARE_MAX 2

/*
 * Making
 */

/* The first block, under a fresh incarnation, which nobody could have guessed. */
static int write_header(int fd, struct journal_segment_header *header)
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

/* Writes its blocks behind the first. Ahead: nobody waits for it, yet. */
static int fill(struct journal *journal, int fd, uint64_t size, bool ahead)
{
	uint64_t pos = JOURNAL_BLOCK_SIZE;
	unsigned char *zeros = try_calloc(1, FILL_SIZE);
	int ret = zeros == NULL ? -1 : 0;

	for (; ret == 0 && pos < size; pos += FILL_SIZE) {
		ret = journal_pwrite_all(
			fd, zeros,
			(size_t)I_MIN((uint64_t)FILL_SIZE, size - pos), pos);
		if (ret == 0 && ahead && !is_wanted_now(journal))
			ret = sync_piece(journal, fd);
	}
	i_free(zeros);
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
	if (write_header(fd, &segment->header) == 0 &&
	    fill(journal, fd, segment->header.size, ahead) == 0 &&
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

static int make_file(struct journal *journal, struct journal_segment *segment,
		     bool ahead)
{
	int fd, error;

	fd = file_open(journal->fd, JOURNAL_NEW_NAME,
		       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		       0600);
	if (fd < 0)
		return -1;
	if (make_whole(journal, segment, fd, ahead) == 0) {
		journal_file_adopt(segment->file, fd);
		return 0;
	}
	error = errno;
	(void)file_close(&fd);
	errno = error;
	return -1;
}

/* A new one, without a record; NULL with errno. */
static struct journal_segment *make_segment(struct journal *journal,
					    uint64_t first_sequence, bool ahead)
{
	struct journal_segment *segment = i_new(struct journal_segment, 1);
	int error;

	/* who makes some is alone */
	segment->header.number = I_MAX(journal->segment_end, 1u);
	segment->file =
		journal_file_new(&journal->files, segment->header.number);
	segment->header.size = journal->settings.segment_size;
	segment->header.first_sequence = first_sequence;
	segment->pos = JOURNAL_BLOCK_SIZE;
	segment->blank = true;
	if (make_file(journal, segment, ahead) == 0 &&
	    journal_segment_add(journal, segment))
		return segment;
	error = errno;
	journal_segment_free(&segment);
	errno = error;
	return NULL;
}

/* Its blocks again, for which there may be no space: then it stays as it was. They are
   synced with its first block, which is written last. */
static int fill_cut(struct journal *journal, struct journal_segment *segment,
		    bool ahead)
{
	int fd = journal_file_hold(segment->file), ret, error;

	if (fd < 0)
		return -1;
	ret = fill(journal, fd, segment->header.size, ahead);
	if (ret == 0) {
		(void)pthread_mutex_lock(&journal->mutex);
		segment->cut = false;
		(void)pthread_mutex_unlock(&journal->mutex);
	} else {
		error = errno;
		(void)file_ops()->ftruncate(fd, JOURNAL_BLOCK_SIZE);
		errno = error;
	}
	journal_file_let_go(segment->file);
	return ret;
}

/*
 * Dead ones
 */

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

/* Nobody knows which of the two headers is on the disk: the file goes. Where even that
   fails, what overrules its records has to stay. So it is where the program is told to
   end: the disk is well, and the next start finds one of the two; a file that is not there
   would be damage. */
static void give_up(struct journal *journal, struct journal_segment *segment,
		    int error)
{
	char name[JOURNAL_NAME_SIZE];

	journal_segment_fail(journal, segment);
	if (error == ECANCELED)
		return;
	journal_segment_name(segment->header.number, name);
	if (file_ops()->unlinkat(journal->fd, name, 0) < 0 ||
	    file_sync_dir_fd(journal->fd) < 0)
		return;
	(void)pthread_mutex_lock(&journal->mutex);
	journal_forget_segment(journal, segment->header.number);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* A crash in the middle leaves the old header or the new one: it is within one
   sector. What is stale is not of the new incarnation. 1; 0: that file is of no use any
   more; -1 with errno: it cannot be opened now. */
static int write_anew(struct journal *journal, struct journal_segment *segment)
{
	struct journal_segment_header fresh = segment->header;
	int fd = journal_file_hold(segment->file);
	bool written;

	if (fd < 0)
		return -1;
	fresh.first_sequence = journal->next_sequence;
	written = write_header(fd, &fresh) == 0 && file_fdatasync(fd) == 0;
	journal_file_let_go(segment->file);
	if (!written) {
		give_up(journal, segment, errno);
		return 0;
	}
	(void)pthread_mutex_lock(&journal->mutex);
	segment->header = fresh;
	segment->pos = JOURNAL_BLOCK_SIZE;
	segment->total = segment->taken = 0;
	segment->sealed = segment->kept = false;
	segment->blank = true;
	journal_forget_segment(journal, segment->header.number);
	(void)pthread_mutex_unlock(&journal->mutex);
	journal_footer_begin(segment);
	return 1;
}

/* One of which something is still to be overruled, as it was not written anew. */
static struct journal_segment *find_stale(struct journal *journal)
{
	struct journal_segment *segment, *found = NULL;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end && found == NULL; i++) {
		segment = journal->segments[i];
		if (is_dead(journal, segment) && !segment->cut &&
		    !segment->blank)
			found = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}

/* One that has its blocks, though it is not soon needed. */
static struct journal_segment *find_surplus(struct journal *journal)
{
	struct journal_segment *segment, *found = NULL;
	unsigned int usable = 0;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end && found == NULL; i++) {
		segment = journal->segments[i];
		if (!is_dead(journal, segment) || segment->cut ||
		    !segment->blank)
			continue;
		if (!is_usable(journal, segment) || ++usable > SPARE_MAX)
			found = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}

/* Who makes segments touches none that is not blank: he is not waited for, as whoever
   wants to write would have to wait, too. */
bool journal_segment_blank_one(struct journal *journal)
{
	struct journal_segment *segment = find_stale(journal);

	if (segment == NULL || write_anew(journal, segment) < 0)
		return false;
	journal_footer_free(segment);
	return true;
}

bool journal_segment_cut_one(struct journal *journal, bool wait)
{
	struct journal_segment *segment;
	int fd;

	if (wait)
		(void)pthread_mutex_lock(&journal->making);
	else if (pthread_mutex_trylock(&journal->making) != 0)
		return false;
	segment = find_surplus(journal);
	if (segment != NULL) {
		/* where that fails, it may as well be thought to be so */
		fd = journal_file_hold(segment->file);
		if (fd >= 0) {
			(void)file_ops()->ftruncate(fd, JOURNAL_BLOCK_SIZE);
			journal_file_let_go(segment->file);
		}
		(void)pthread_mutex_lock(&journal->mutex);
		segment->cut = true;
		(void)pthread_mutex_unlock(&journal->mutex);
	}
	(void)pthread_mutex_unlock(&journal->making);
	return segment != NULL;
}

/*
 * The next
 */

static void set_wanted(struct journal *journal, bool wanted)
{
	(void)pthread_mutex_lock(&journal->mutex);
	journal->next_wanted = wanted;
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* Who makes some is alone. */
static struct journal_segment *take_next(struct journal *journal)
{
	struct journal_segment *segment;
	int ret;

	while ((segment = find_usable(journal)) != NULL) {
		if (segment->cut && fill_cut(journal, segment, false) < 0)
			return NULL;
		ret = write_anew(journal, segment);
		if (ret != 0)
			return ret > 0 ? segment : NULL;
	}
	segment = make_segment(journal, journal->next_sequence, false);
	if (segment != NULL)
		journal_footer_begin(segment);
	return segment;
}

struct journal_segment *journal_segment_next(struct journal *journal)
{
	struct journal_segment *segment;

	set_wanted(journal, true);
	(void)pthread_mutex_lock(&journal->making);
	segment = take_next(journal);
	/* while it is nobody's it is one of those that may be cut */
	(void)pthread_mutex_lock(&journal->mutex);
	journal->active = segment;
	(void)pthread_mutex_unlock(&journal->mutex);
	(void)pthread_mutex_unlock(&journal->making);
	set_wanted(journal, false);
	return segment;
}

/* What fails here is told when the segment is needed. Its first sequence is written when
   it is. */
void journal_segment_make_ahead(struct journal *journal)
{
	struct journal_segment *segment;

	(void)pthread_mutex_lock(&journal->making);
	segment = find_usable(journal);
	if (segment == NULL)
		(void)make_segment(journal, 0, true);
	else if (segment->cut)
		(void)fill_cut(journal, segment, true);
	(void)pthread_mutex_unlock(&journal->making);
	/* what could not be cut meanwhile */
	(void)pthread_mutex_lock(&journal->mutex);
	journal_worker_wake(journal->upkeep);
	(void)pthread_mutex_unlock(&journal->mutex);
}
