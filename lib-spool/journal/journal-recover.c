/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a journal is, found in its segments. They are read in the order in which they
   were written, and their records applied. Where bytes should be a record and are
   none: in the last group, which may not have been synced when the power went, they
   are void, and the next segment will say so; before that, they are damage, and are
   put aside. */

#include "config.h"
#include "journal/journal-scan.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "spool-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct held {
	struct journal_segment *segment;
	struct journal_content content;
};

struct recovery {
	struct journal *journal;
	char **error_r;
	int open_errno; /* of a segment: *error_r is set */
	struct journal_segment **sorted;
	unsigned int count;
	/* what was read, and is not applied yet: room for all */
	struct held *held;
	unsigned int held_count;
	struct journal_ahead *ahead;
};

static int recover_fail(struct recovery *recovery,
			const struct journal_segment *segment, const char *what)
{
	return spool_fail(recovery->error_r, errno,
			  "%s: %s segment %u failed: %s",
			  recovery->journal->dir, what, segment->header.number,
			  strerror(errno));
}

/*
 * The files
 */

/* "00000001.seg"; 0: it is something else. */
static uint32_t number_from_name(const char *name)
{
	if (strlen(name) != JOURNAL_NAME_SIZE - 1 ||
	    strspn(name, "0123456789") != 8 || strcmp(name + 8, ".seg") != 0)
		return 0;
	return (uint32_t)strtoul(name, NULL, 10);
}

/* Where it ends early, nothing is in it that is needed. */
static int look_at_size(struct recovery *recovery,
			struct journal_segment *segment, int fd)
{
	struct stat st;

	if (file_ops()->fstat(fd, &st) < 0)
		return recover_fail(recovery, segment, "fstat of");
	segment->cut = (uint64_t)st.st_size < segment->header.size;
	return 0;
}

/* 1; 0: it is damaged, and is to be gone on without; -1 with errno. */
static int read_segment_header(struct recovery *recovery,
			       struct journal_segment *segment, int fd)
{
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	enum journal_segment_state state = JOURNAL_SEGMENT_DAMAGED;
	ssize_t ret = file_pread(fd, bytes, sizeof(bytes), 0);
	uint32_t number = segment->header.number;

	if (ret < 0)
		return recover_fail(recovery, segment, "reading");
	if (ret == sizeof(bytes))
		state = journal_segment_header_get(&segment->header, bytes);
	if (state == JOURNAL_SEGMENT_NEWER)
		return spool_fail(recovery->error_r, ENOTSUP,
				  "%s: segment %u was written by a newer "
				  "version of Bobbin: open the spool with "
				  "that one",
				  recovery->journal->dir, number);
	if (state == JOURNAL_SEGMENT_VALID && segment->header.number == number)
		return look_at_size(recovery, segment, fd) < 0 ? -1 : 1;
	segment->header.number = number;
	/* one cannot tell which of its records are its own */
	if (!recovery->journal->settings.repair)
		return spool_fail(
			recovery->error_r, EBADMSG,
			"%s: the first block of segment %u is "
			"damaged: restore the file from a copy, or "
			"let \"bobbin spool repair\" put it aside, to "
			"go on without its messages",
			recovery->journal->dir, number);
	if (journal_damage_segment(recovery->journal, segment) < 0)
		return recover_fail(recovery, segment, "putting aside");
	return 0;
}

/* As read_segment_header(). */
static int look_at_file(struct recovery *recovery,
			struct journal_segment *segment)
{
	int fd = journal_file_hold(segment->file), ret;

	if (fd < 0)
		return recover_fail(recovery, segment, "opening");
	/* what a killed process wrote, and we go by, has to stay */
	if (!recovery->journal->settings.read_only && file_fdatasync(fd) < 0)
		ret = recover_fail(recovery, segment, "fdatasync of");
	else
		ret = read_segment_header(recovery, segment, fd);
	journal_file_let_go(segment->file);
	return ret;
}

static int open_segment(struct recovery *recovery, uint32_t number)
{
	struct journal *journal = recovery->journal;
	struct journal_segment *segment = i_new(struct journal_segment, 1);
	int ret, error;

	segment->header.number = number;
	segment->pos = JOURNAL_BLOCK_SIZE;
	segment->file = journal_file_new(&journal->files, number);
	ret = look_at_file(recovery, segment);
	if (ret > 0 && journal_segment_add(journal, segment))
		return 0;
	if (ret > 0)
		ret = recover_fail(recovery, segment, "keeping");
	error = errno;
	journal_segment_free(&segment);
	errno = error;
	return ret;
}

static bool open_listed(int dir_fd ATTR_UNUSED, const char *name, void *context)
{
	struct recovery *recovery = context;
	uint32_t number = number_from_name(name);

	if (number > 0 && open_segment(recovery, number) < 0)
		recovery->open_errno = errno;
	return recovery->open_errno == 0;
}

/* A writer beside this reader makes segments while they are listed: of two new ones a
   listing may have the second alone. */
static void open_unlisted(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	char name[JOURNAL_NAME_SIZE];
	struct stat st;
	uint32_t i;

	for (i = 1; i < journal->segment_end; i++) {
		if (journal->segments[i] != NULL)
			continue;
		journal_segment_name(i, name);
		if (file_ops()->fstatat(journal->fd, name, &st,
					AT_SYMLINK_NOFOLLOW) == 0 &&
		    !open_listed(journal->fd, name, recovery))
			return;
	}
}

static int open_segments(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;

	/* a name that a killed process made has to stay, too */
	if (!journal->settings.read_only && file_sync_dir_fd(journal->fd) < 0)
		return spool_fail(recovery->error_r, errno,
				  "fsync(%s) failed: %s", journal->dir,
				  strerror(errno));
	if (spool_walk_dir(journal->fd, ".", open_listed, recovery) < 0)
		return spool_fail(recovery->error_r, errno,
				  "reading %s failed: %s", journal->dir,
				  strerror(errno));
	if (journal->settings.read_only && recovery->open_errno == 0)
		open_unlisted(recovery);
	errno = recovery->open_errno;
	return recovery->open_errno == 0 ? 0 : -1;
}

static int by_age(const void *_a, const void *_b)
{
	const struct journal_segment *a = *(struct journal_segment *const *)_a;
	const struct journal_segment *b = *(struct journal_segment *const *)_b;

	if (a->header.first_sequence != b->header.first_sequence)
		return a->header.first_sequence < b->header.first_sequence ?
			-1 :
			1;
	return a->header.number < b->header.number ? -1 : 1;
}

static int sort_segments(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	uint32_t i;

	recovery->sorted = try_calloc(I_MAX(journal->segment_end, 1u),
				      sizeof(*recovery->sorted));
	recovery->held = try_calloc(I_MAX(journal->segment_end, 1u),
				    sizeof(*recovery->held));
	if (recovery->sorted == NULL || recovery->held == NULL)
		return spool_fail(recovery->error_r, ENOMEM, "out of memory");
	for (i = 0; i < journal->segment_end; i++) {
		if (journal->segments[i] != NULL)
			recovery->sorted[recovery->count++] =
				journal->segments[i];
		else if (i > 0)
			journal_damage_missing(journal, i);
	}
	qsort(recovery->sorted, recovery->count, sizeof(*recovery->sorted),
	      by_age);
	return 0;
}

/*
 * What is void
 */

static bool note_voids(struct journal *journal,
		       const struct journal_segment *segment,
		       const struct journal_items *items)
{
	const struct journal_item *item;
	size_t i;

	for (i = 0; i < items->count; i++) {
		item = &items->items[i];
		if (item->state == JOURNAL_ITEM_WHOLE &&
		    item->header.type == JOURNAL_VOID &&
		    !journal_is_void(journal, segment, item->pos, item->size) &&
		    !journal_note_void(journal, &item->target))
			return false;
	}
	return true;
}

/* The newest first: what is void says nothing itself, as the one that says it need not stay
   for what nobody else says. */
static int read_voids(struct recovery *recovery)
{
	struct journal_segment *segment;
	struct journal_items items;
	unsigned int i;
	bool noted;

	for (i = recovery->count; i > 0; i--) {
		segment = recovery->sorted[i - 1];
		if (journal_scan_voids(segment, &items) < 0)
			return recover_fail(recovery, segment, "reading");
		noted = note_voids(recovery->journal, segment, &items);
		journal_items_free(&items);
		if (!noted)
			return spool_fail(recovery->error_r, ENOMEM,
					  "out of memory");
	}
	return 0;
}

/*
 * What is there
 */

/* What was written last goes on, unless something of it is void; or its last group
   has lost its padding, and with it perhaps more: then no other group may come behind
   it, which would vouch for what is not there. */
static void choose_active(struct journal *journal,
			  struct journal_segment *segment)
{
	if (segment != NULL && journal->voids == NULL && !segment->sealed &&
	    !segment->cut && /* its end would be lost elsewhere then */
	    segment->pos % JOURNAL_BLOCK_SIZE == 0)
		journal->active = segment;
}

/* Where the last sync failed, the kernel may show what the disk does not have, and takes
   it for written. So what is gone by is written: the same bytes, which harm nobody. */
static int rewrite_last_groups(struct recovery *recovery)
{
	const struct journal_item *first, *last;
	const struct journal_items *items;
	unsigned int i;

	for (i = 0; i < recovery->held_count; i++) {
		/* all of its groups were synced before that was written */
		if (recovery->held[i].content.from_footer)
			continue;
		items = &recovery->held[i].content.items;
		first = &items->items[items->last_group];
		last = &items->items[items->count - 1];
		if (journal_segment_rewrite(
			    recovery->held[i].segment, first->pos,
			    last->pos + last->size - first->pos) < 0)
			return recover_fail(recovery, recovery->held[i].segment,
					    "writing");
	}
	return 0;
}

static int apply_held(struct recovery *recovery, bool last)
{
	struct held *held;
	unsigned int i;

	for (i = 0; i < recovery->held_count; i++) {
		held = &recovery->held[i];
		/* a message that is left out would be lost */
		if (!journal_replay(recovery->journal, held->segment,
				    &held->content, last))
			return spool_fail(recovery->error_r, ENOMEM,
					  "out of memory");
		journal_content_free(&held->content);
	}
	recovery->held_count = 0;
	return 0;
}

static int start_reading(struct recovery *recovery)
{
	recovery->ahead =
		journal_ahead_start(recovery->sorted, recovery->count);
	if (recovery->ahead == NULL)
		return spool_fail(recovery->error_r, ENOMEM, "out of memory");
	return 0;
}

/* One that gave its blocks back said before that it has no records. */
static void look_at_end(struct journal *journal,
			struct journal_segment *segment,
			const struct journal_items *items)
{
	const struct journal_item *last;
	uint64_t end = JOURNAL_BLOCK_SIZE;

	if (!segment->cut || journal_segment_is_new(&segment->header))
		return;
	if (items->count > 0) {
		last = &items->items[items->count - 1];
		end = last->pos + last->size;
	}
	journal_damage_end(journal, segment, end);
}

/* Each segment is applied when it is known whether a later one has records: else its
   last group may not have been synced. Some that only began to say what is void may be
   behind it, one for each crash in the middle of that. */
static int read_segments(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	struct journal_segment *segment;
	struct journal_content content;
	unsigned int i;

	for (i = 0; i < recovery->count; i++) {
		segment = recovery->sorted[i];
		/* no two that were to be used have the same */
		journal->next_sequence =
			I_MAX(journal->next_sequence,
			      segment->header.first_sequence + 1);
		if (journal_ahead_next(recovery->ahead, &content) < 0)
			return recover_fail(recovery, segment, "reading");
		segment->sealed = content.from_footer;
		/* one that was to be used, and was not, is made so again */
		segment->blank = journal_segment_is_new(&segment->header);
		look_at_end(journal, segment, &content.items);
		if (journal_content_is_empty(&content)) {
			journal_content_free(&content);
			continue;
		}
		if (journal_content_is_real(&content) &&
		    apply_held(recovery, false) < 0) {
			journal_content_free(&content);
			return -1;
		}
		recovery->held[recovery->held_count].segment = segment;
		recovery->held[recovery->held_count++].content = content;
	}
	return 0;
}

static int finish_last_segments(struct recovery *recovery)
{
	struct journal *journal = recovery->journal;
	struct journal_segment *last = NULL;
	unsigned int i;

	if (!journal->settings.read_only && rewrite_last_groups(recovery) < 0)
		return -1;
	for (i = 0; i < recovery->held_count; i++) {
		last = recovery->held[i].segment;
		if (!recovery->held[i].content.from_footer)
			journal_footer_begin(journal, last);
	}
	if (apply_held(recovery, true) < 0)
		return -1;
	choose_active(journal, last);
	return 0;
}

int journal_recover(struct journal *journal, char **error_r)
{
	struct recovery recovery = { .journal = journal, .error_r = error_r };
	unsigned int i;
	int ret = -1, error;

	if (open_segments(&recovery) == 0 && sort_segments(&recovery) == 0 &&
	    read_voids(&recovery) == 0 && start_reading(&recovery) == 0 &&
	    read_segments(&recovery) == 0 &&
	    finish_last_segments(&recovery) == 0)
		ret = 0;
	error = errno;
	journal_ahead_stop(&recovery.ahead);
	for (i = 0; i < recovery.held_count; i++)
		journal_content_free(&recovery.held[i].content);
	i_free(recovery.held);
	i_free(recovery.sorted);
	errno = error;
	return ret;
}
