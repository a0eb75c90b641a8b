/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The segment that is written next: a dead one that is written anew, or a new file. One is
   made ahead by a thread of its own, since all who write would have to wait for its zeros.
   And what is left for who removes messages where the disk is full. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>

/* So many dead segments keep their blocks, to be written anew soon. */
#define SPARE_MAX 2
/* What is not filled before there is another one, as a part of a segment: so that messages
   can be removed where the disk is full. One takes a block, if nobody removes others. */
#define RESERVE_PART 4
/* This part of that is for removals alone: others may have the rest while the next one is
   made, and where they give back more. */
#define REMOVALS_PART 4

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

/* It may have been made when they were to be smaller, or when there was no space for
   more. */
static bool is_small(const struct journal *journal,
		     const struct journal_segment *segment)
{
	return segment->header.size < journal->settings.segment_size;
}

static bool is_usable(const struct journal *journal,
		      const struct journal_segment *segment)
{
	return is_dead(journal, segment) && !is_small(journal, segment);
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

/* The largest one that has its blocks. */
static struct journal_segment *find_largest(struct journal *journal)
{
	struct journal_segment *segment, *found = NULL;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (is_dead(journal, segment) && !segment->cut &&
		    (found == NULL ||
		     found->header.size < segment->header.size))
			found = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}

/* Bytes of those that have their blocks, and keep them. With the mutex. */
static uint64_t dead_bytes(const struct journal *journal)
{
	const struct journal_segment *segment;
	uint64_t bytes = 0;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (is_dead(journal, segment) && !segment->cut &&
		    (journal->is_full || !is_small(journal, segment)))
			bytes += segment->header.size;
	}
	return bytes;
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
	written = journal_write_header(fd, &fresh) == 0 &&
		file_fdatasync(fd) == 0;
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

/* One that has its blocks, though it is not soon needed: a small one is where the disk is
   full. */
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
		if (is_small(journal, segment) ? !journal->is_full :
						 ++usable > SPARE_MAX)
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

/* NULL with errno. */
static struct journal_segment *take_usable(struct journal *journal)
{
	struct journal_segment *segment;
	int ret;

	while ((segment = find_usable(journal)) != NULL) {
		if (segment->cut &&
		    journal_fill_cut(journal, segment, false) < 0)
			return NULL;
		ret = write_anew(journal, segment);
		if (ret != 0)
			return ret > 0 ? segment : NULL;
	}
	segment = journal_make_segment(journal, journal->settings.segment_size,
				       journal->next_sequence, false);
	if (segment != NULL)
		journal_footer_begin(segment);
	return segment;
}

/* The disk is full. */
static struct journal_segment *take_small(struct journal *journal)
{
	struct journal_segment *segment;
	int ret;

	while ((segment = find_largest(journal)) != NULL) {
		ret = write_anew(journal, segment);
		if (ret != 0)
			return ret > 0 ? segment : NULL;
	}
	segment =
		journal_make_smaller(journal, 0, journal->next_sequence, false);
	if (segment != NULL)
		journal_footer_begin(segment);
	return segment;
}

/* Who makes some is alone. */
static struct journal_segment *take_next(struct journal *journal)
{
	struct journal_segment *segment = take_usable(journal);

	return segment == NULL && journal_is_full_disk(errno) ?
		take_small(journal) :
		segment;
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

/* One more that has its blocks, where there is none but small ones: -1 with errno. Who
   makes some is alone. */
static int make_one(struct journal *journal, uint64_t least, bool ahead)
{
	struct journal_segment *segment = find_usable(journal);
	int ret = 0;

	if (segment == NULL)
		ret = journal_make_segment(journal,
					   journal->settings.segment_size, 0,
					   ahead) == NULL ?
			-1 :
			0;
	else if (segment->cut)
		ret = journal_fill_cut(journal, segment, ahead);
	if (ret < 0 && journal_is_full_disk(errno))
		ret = journal_make_smaller(journal, least, 0, ahead) == NULL ?
			-1 :
			0;
	return ret;
}

/* What fails here is told when the segment is needed. Its first sequence is written when
   it is. */
void journal_segment_make_ahead(struct journal *journal)
{
	(void)pthread_mutex_lock(&journal->making);
	(void)make_one(journal, 0, true);
	(void)pthread_mutex_unlock(&journal->making);
	/* what could not be cut meanwhile */
	(void)pthread_mutex_lock(&journal->mutex);
	journal->next_asked = false;
	journal_worker_wake(journal->upkeep);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* Somebody waits for it. */
static int make_one_now(struct journal *journal, uint64_t least)
{
	int ret;

	set_wanted(journal, true);
	(void)pthread_mutex_lock(&journal->making);
	ret = make_one(journal, least, false);
	(void)pthread_mutex_unlock(&journal->making);
	set_wanted(journal, false);
	return ret;
}

bool journal_segment_prepare(struct journal *journal, uint64_t least)
{
	const struct journal_segment *segment = find_largest(journal);

	if (segment != NULL && segment->header.size >= least)
		return true;
	return make_one_now(journal, least) == 0;
}

/*
 * A reserve
 */

/* So that this much is left, here and in dead ones. With the mutex. */
static uint64_t end_that_leaves(const struct journal *journal, uint64_t wanted)
{
	uint64_t size = journal->active->header.size;
	uint64_t dead = dead_bytes(journal);

	return dead >= wanted ? UINT64_MAX : size - I_MIN(size, wanted - dead);
}

/* As it is now; who asks again is told anew, where the thread is at it. */
static uint64_t look_at_growth_end(struct journal *journal)
{
	uint64_t wanted = journal->settings.segment_size / RESERVE_PART, end;

	(void)pthread_mutex_lock(&journal->mutex);
	journal->growth_end = end_that_leaves(journal, wanted);
	end = journal->growth_end;
	if (journal->next_asked)
		end = end_that_leaves(journal, wanted / REMOVALS_PART);
	(void)pthread_mutex_unlock(&journal->mutex);
	return end;
}

uint64_t journal_segment_move_end(struct journal *journal)
{
	uint64_t wanted = journal->settings.segment_size / RESERVE_PART, end;

	(void)pthread_mutex_lock(&journal->mutex);
	end = end_that_leaves(journal, wanted / REMOVALS_PART);
	(void)pthread_mutex_unlock(&journal->mutex);
	return end;
}

uint64_t journal_segment_growth_end(struct journal *journal, uint64_t end)
{
	uint64_t growth_end = journal->growth_end;
	int ret = 0;

	while (growth_end < end) {
		growth_end = look_at_growth_end(journal);
		if (growth_end >= end || ret < 0)
			break;
		ret = make_one_now(journal, 0);
	}
	return growth_end;
}

uint64_t journal_segment_room(struct journal *journal)
{
	uint64_t room = UINT64_MAX;

	(void)pthread_mutex_lock(&journal->mutex);
	if (journal->is_full) {
		room = dead_bytes(journal);
		if (journal->active != NULL)
			room += journal->active->header.size -
				journal->active->pos;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return room;
}
