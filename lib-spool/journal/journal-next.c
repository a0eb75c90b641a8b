/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The segment that is written next: a dead one that is written anew, or a new file. One is
   made ahead by a thread of its own, since all who write would have to wait for its
   zeros. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>

/*
 * Dead ones
 */

static bool is_usable(const struct journal *journal,
		      const struct journal_segment *segment)
{
	return journal_is_dead(journal, segment) &&
		!journal_is_small(journal, segment);
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

/* One that gave its blocks back: a small one, of this size at most, or a whole one. */
static struct journal_segment *find_cut(struct journal *journal, uint64_t most)
{
	struct journal_segment *segment, *found = NULL;
	bool small = most < journal->settings.segment_size;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end && found == NULL; i++) {
		segment = journal->segments[i];
		if (journal_is_dead(journal, segment) && segment->cut &&
		    segment->header.size <= most &&
		    journal_is_small(journal, segment) == small)
			found = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}

static bool is_better(const struct journal_segment *segment,
		      const struct journal_segment *found, enum journal_use use)
{
	if (found == NULL)
		return true;
	return journal_is_of_tombstones(use) ?
		segment->header.size < found->header.size :
		segment->header.size > found->header.size;
}

/* The largest one that has its blocks; or the smallest, for who removes. */
static struct journal_segment *find_with_blocks(struct journal *journal,
						enum journal_use use)
{
	struct journal_segment *segment, *found = NULL;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (journal_has_blocks(journal, segment) &&
		    journal_reserve_gives(journal, segment, use) &&
		    is_better(segment, found, use))
			found = segment;
	}
	(void)pthread_mutex_unlock(&journal->mutex);
	return found;
}

/* Nobody knows which of the two headers is on the disk: the file is no segment any more. Its
   name says so, as a number of which there is no file would be one that was lost; and a name
   can be changed where there is no space for anything else. Where even that fails, what
   overrules its records has to stay. So it is where the program is told to end: the disk is
   well, and the next start finds one of the two. */
static void give_up(struct journal *journal, struct journal_segment *segment,
		    int fd, int error)
{
	char name[JOURNAL_NAME_SIZE], gone[JOURNAL_GONE_NAME_SIZE];

	journal_segment_fail(journal, segment);
	if (error == ECANCELED)
		return;
	journal_segment_name(segment->header.number, name);
	journal_gone_name(segment->header.number, gone);
	if (file_ops()->renameat2(journal->fd, name, journal->fd, gone, 0) <
		    0 ||
	    file_sync_dir_fd(journal->fd) < 0)
		return;
	(void)pthread_mutex_lock(&journal->mutex);
	journal_forget_segment(journal, segment->header.number);
	(void)pthread_mutex_unlock(&journal->mutex);
	/* it does not come back: else what it had would be lost; the next start tries it again */
	(void)file_ops()->ftruncate(fd, 0);
}

/* A crash in the middle leaves the old header or the new one: it is within one
   sector. What is stale is not of the new incarnation. 1; 0: that file is of no use any
   more; -1 with errno: it cannot be opened now. */
static int write_anew(struct journal *journal, struct journal_segment *segment,
		      uint64_t first_sequence)
{
	struct journal_segment_header fresh = segment->header;
	int fd = journal_file_hold(segment->file);
	bool written;

	if (fd < 0)
		return -1;
	fresh.first_sequence = first_sequence;
	written = journal_write_header(fd, &fresh) == 0 &&
		file_fdatasync(fd) == 0;
	if (!written)
		give_up(journal, segment, fd, errno);
	journal_file_let_go(segment->file);
	if (!written)
		return 0;
	(void)pthread_mutex_lock(&journal->mutex);
	journal_forget_segment(journal, segment->header.number);
	segment->header = fresh;
	segment->pos = JOURNAL_BLOCK_SIZE;
	segment->total = segment->taken = segment->tombstones = 0;
	segment->footer_size = 0;
	segment->sealed = segment->kept = segment->stuck = false;
	segment->blank = true;
	(void)pthread_mutex_unlock(&journal->mutex);
	journal_footer_begin(journal, segment);
	return 1;
}

static int write_for_use(struct journal *journal,
			 struct journal_segment *segment)
{
	return write_anew(journal, segment, journal->next_sequence);
}

/* One of which something is still to be overruled, as it was not written anew, or that was
   to be used. */
static struct journal_segment *find_stale(struct journal *journal)
{
	struct journal_segment *segment, *found = NULL;
	uint32_t i;

	(void)pthread_mutex_lock(&journal->mutex);
	for (i = 0; i < journal->segment_end && found == NULL; i++) {
		segment = journal->segments[i];
		if (journal_has_blocks(journal, segment) &&
		    !journal_is_empty(segment))
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

	if (segment == NULL || write_anew(journal, segment, 0) < 0)
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
	segment = journal_reserve_surplus(journal);
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
 * Making more. Who makes some is alone
 */

static void set_wanted(struct journal *journal, bool wanted)
{
	(void)pthread_mutex_lock(&journal->mutex);
	journal->next_wanted = wanted;
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* Somebody waits for it. */
static void begin_making(struct journal *journal)
{
	set_wanted(journal, true);
	(void)pthread_mutex_lock(&journal->making);
}

static void end_making(struct journal *journal)
{
	(void)pthread_mutex_unlock(&journal->making);
	set_wanted(journal, false);
}

/* One of the reserve: a part of one where there is no space for more. */
static int make_piece(struct journal *journal, bool ahead)
{
	uint64_t size = journal_reserve_piece(journal);
	struct journal_segment *segment = find_cut(journal, size);

	if (segment != NULL)
		return journal_fill_cut(journal, segment, ahead);
	segment = journal_make_segment(journal, size, 0, ahead);
	if (segment == NULL && file_is_full_disk(errno))
		segment = journal_make_smaller(journal, size, 0, 0, ahead);
	return segment == NULL ? -1 : 0;
}

/* It comes first: where there is space for one of both, nothing could be removed. */
static int make_pieces(struct journal *journal, bool ahead)
{
	int ret = 0;

	while (ret == 0 && journal_reserve_lacks_piece(journal))
		ret = make_piece(journal, ahead);
	return ret;
}

/* One more that has its blocks: -1 with errno. */
static int make_whole_one(struct journal *journal, bool ahead)
{
	struct journal_segment *segment = find_cut(journal, UINT64_MAX);

	if (segment != NULL)
		return journal_fill_cut(journal, segment, ahead);
	return journal_make_segment(journal, journal->settings.segment_size, 0,
				    ahead) == NULL ?
		-1 :
		0;
}

/* Or as large a part of one as there is space for. */
static int make_large_one(struct journal *journal, uint64_t least, bool ahead)
{
	int ret = make_whole_one(journal, ahead);

	if (ret < 0 && file_is_full_disk(errno) &&
	    journal_make_smaller(journal, journal->settings.segment_size, least,
				 0, ahead) != NULL)
		ret = 0;
	return ret;
}

/*
 * The next
 */

/* NULL with errno. */
static struct journal_segment *take_usable(struct journal *journal)
{
	struct journal_segment *segment;
	int ret;

	while ((segment = find_usable(journal)) != NULL) {
		if (segment->cut &&
		    journal_fill_cut(journal, segment, false) < 0)
			return NULL;
		ret = write_for_use(journal, segment);
		if (ret != 0)
			return ret > 0 ? segment : NULL;
	}
	segment = journal_make_segment(journal, journal->settings.segment_size,
				       journal->next_sequence, false);
	if (segment != NULL)
		journal_footer_begin(journal, segment);
	return segment;
}

/* Nothing is stored in those of the reserve. */
static uint64_t least_for(const struct journal *journal, enum journal_use use)
{
	return use == JOURNAL_USE_GROW ? journal_reserve_piece(journal) + 1 : 0;
}

/* The disk is full. */
static struct journal_segment *take_small(struct journal *journal,
					  enum journal_use use)
{
	struct journal_segment *segment;
	int ret;

	while ((segment = find_with_blocks(journal, use)) != NULL) {
		ret = write_for_use(journal, segment);
		if (ret != 0)
			return ret > 0 ? segment : NULL;
	}
	segment = journal_make_smaller(journal, journal->settings.segment_size,
				       least_for(journal, use),
				       journal->next_sequence, false);
	if (segment != NULL)
		journal_footer_begin(journal, segment);
	return segment;
}

/* The smallest, as who moves needs the largest. A footer would take half as much as a
   tombstone, as in pieces. */
static struct journal_segment *take_piece(struct journal *journal,
					  enum journal_use use)
{
	struct journal_segment *segment;
	int ret = 0;

	while (ret == 0) {
		segment = find_with_blocks(journal, use);
		errno = ENOSPC;
		if (segment == NULL)
			return NULL;
		ret = write_for_use(journal, segment);
		journal_footer_free(segment);
	}
	return ret > 0 ? segment : NULL;
}

/* Who makes some is alone. */
static struct journal_segment *take_next(struct journal *journal,
					 enum journal_use use)
{
	struct journal_segment *segment;

	if (journal_reserve_is_full(journal) && journal_is_of_tombstones(use) &&
	    journal_reserve_piece(journal) != 0) {
		segment = take_piece(journal, use);
		return segment == NULL && file_is_full_disk(errno) &&
				make_large_one(journal, 0, false) == 0 ?
			take_piece(journal, use) :
			segment;
	}
	segment = take_usable(journal);
	return segment == NULL && file_is_full_disk(errno) ?
		take_small(journal, use) :
		segment;
}

struct journal_segment *journal_segment_next(struct journal *journal,
					     enum journal_use use)
{
	struct journal_segment *segment;

	begin_making(journal);
	segment = take_next(journal, use);
	/* without a thread that makes them ahead: else somebody would wait for them in the
	   middle of it */
	if (segment != NULL && journal->maker == NULL &&
	    !journal_reserve_is_full(journal))
		(void)make_pieces(journal, false);
	/* while it is nobody's it is one of those that may be cut */
	(void)pthread_mutex_lock(&journal->mutex);
	if (segment != NULL)
		segment->footer_size = journal_footer_size(segment, 0);
	journal->active = segment;
	(void)pthread_mutex_unlock(&journal->mutex);
	end_making(journal);
	return segment;
}

/*
 * Those behind it
 */

static int make_next(struct journal *journal, bool ahead)
{
	const struct journal_segment *segment;

	if (make_pieces(journal, ahead) < 0)
		return -1;
	segment = find_usable(journal);
	return segment == NULL || segment->cut ?
		make_large_one(journal, 0, ahead) :
		0;
}

/* Who waits for one does not wait for those behind it. */
static bool make_whole_ahead(struct journal *journal)
{
	int ret = -1;

	(void)pthread_mutex_lock(&journal->making);
	if (journal_reserve_lacks_whole(journal))
		ret = make_whole_one(journal, true);
	(void)pthread_mutex_unlock(&journal->making);
	return ret == 0;
}

/* What fails here is told when the segment is needed. Its first sequence is written when
   it is. */
void journal_segment_make_ahead(struct journal *journal)
{
	int ret;

	(void)pthread_mutex_lock(&journal->making);
	ret = make_next(journal, true);
	(void)pthread_mutex_unlock(&journal->making);
	while (ret == 0 && make_whole_ahead(journal))
		;
	/* what could not be cut meanwhile */
	(void)pthread_mutex_lock(&journal->mutex);
	journal->next_asked = false;
	journal_worker_wake(journal->upkeep);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* Whatever is lacking first. */
static int make_more(struct journal *journal, uint64_t least)
{
	return journal_reserve_lacks_piece(journal) ?
		make_pieces(journal, false) :
		make_large_one(journal, least, false);
}

/* Who waited may find that enough was made meanwhile: so it is below. */
uint64_t journal_segment_make_room(struct journal *journal,
				   enum journal_use use, uint64_t end)
{
	uint64_t room_end;
	int ret = 0;

	begin_making(journal);
	while ((room_end = journal_reserve_end(journal, use)) < end && ret == 0)
		ret = make_more(journal, 0);
	end_making(journal);
	return room_end;
}

/* Who stores leaves what is kept. */
static bool is_prepared(struct journal *journal, uint64_t least,
			enum journal_use use)
{
	const struct journal_segment *segment = find_with_blocks(journal, use);

	return segment != NULL && segment->header.size >= least &&
		journal_reserve_stays(journal, segment, use);
}

bool journal_segment_prepare(struct journal *journal, uint64_t least,
			     enum journal_use use)
{
	bool prepared;
	int ret = 0;

	least = I_MAX(least, least_for(journal, use));
	if (is_prepared(journal, least, use))
		return true;
	begin_making(journal);
	while (!(prepared = is_prepared(journal, least, use)) && ret == 0)
		ret = make_more(journal, least);
	end_making(journal);
	return prepared;
}
