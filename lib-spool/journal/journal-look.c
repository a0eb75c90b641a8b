/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Which segments there are when a journal is opened, and what their beginnings and ends
   say. Several are looked at at once: of each a little is read from somewhere on the disk. */

#include "config.h"
#include "journal/journal-scan.h"
#include "file-ops.h"
#include "macros.h"
#include "mem.h"
#include "spool-private.h"
#include "thread-each.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Who looks waits for the disk, not for a processor. */
#define THREADS_MAX 8

struct look {
	struct journal_segment *segment;
	enum journal_segment_state state;
	uint32_t listed; /* in its footer */
	const char *failed;
	int error; /* why */
};

struct looks {
	struct journal *journal;
	struct look *looks;
	unsigned int count, room;
	bool out_of_memory;
};

/*
 * What there is
 */

/* "00000001.seg", with this end; 0: it is something else. */
static uint32_t number_from_name(const char *name, const char *end)
{
	if (strspn(name, "0123456789") != 8 || strcmp(name + 8, end) != 0)
		return 0;
	return (uint32_t)strtoul(name, NULL, 10);
}

static bool make_room(struct looks *looks)
{
	unsigned int room = looks->room == 0 ? 64 : looks->room * 2;
	struct look *more;

	if (looks->count < looks->room)
		return true;
	more = try_realloc(looks->looks, room * sizeof(*more));
	if (more == NULL)
		return false;
	looks->looks = more;
	looks->room = room;
	return true;
}

static bool add_number(struct looks *looks, uint32_t number)
{
	struct journal_segment *segment;
	struct look *look;

	if (!make_room(looks))
		return false;
	segment = i_new(struct journal_segment, 1);
	segment->header.number = number;
	segment->pos = JOURNAL_BLOCK_SIZE;
	segment->file = journal_file_new(&looks->journal->files, number);
	look = &looks->looks[looks->count++];
	memset(look, 0, sizeof(*look));
	look->segment = segment;
	return true;
}

static bool add_given_up(struct journal *journal, uint32_t number)
{
	uint32_t *more =
		try_realloc(journal->given_up,
			    (journal->given_up_count + 1) * sizeof(*more));

	if (more == NULL)
		return false;
	journal->given_up = more;
	journal->given_up[journal->given_up_count++] = number;
	return true;
}

bool journal_was_given_up(const struct journal *journal, uint32_t number)
{
	unsigned int i;

	for (i = 0; i < journal->given_up_count; i++) {
		if (journal->given_up[i] == number)
			return true;
	}
	return false;
}

static bool add_listed(int dir_fd ATTR_UNUSED, const char *name, void *context)
{
	struct looks *looks = context;
	uint32_t number = number_from_name(name, ".seg");
	uint32_t gone = number_from_name(name, ".gone");

	if (number > 0)
		looks->out_of_memory = !add_number(looks, number);
	else if (gone > 0)
		looks->out_of_memory = !add_given_up(looks->journal, gone);
	return !looks->out_of_memory;
}

static bool is_there(const struct journal *journal, const char *name)
{
	struct stat st;

	return file_ops()->fstatat(journal->fd, name, &st,
				   AT_SYMLINK_NOFOLLOW) == 0;
}

/* A writer beside this reader makes segments while they are listed, and gives some up: of
   two new ones a listing may have the second alone, and of one name and the next neither. */
static bool add_unlisted(struct looks *looks)
{
	struct journal *journal = looks->journal;
	char name[JOURNAL_NAME_SIZE], gone[JOURNAL_GONE_NAME_SIZE];
	uint32_t i;
	bool added = true;

	for (i = 1; i < journal->segment_end && added; i++) {
		if (journal->segments[i] != NULL ||
		    journal_was_given_up(journal, i))
			continue;
		journal_segment_name(i, name);
		journal_gone_name(i, gone);
		if (is_there(journal, name))
			added = add_number(looks, i);
		else if (is_there(journal, gone))
			added = add_given_up(journal, i);
	}
	return added;
}

/*
 * What it is
 */

static void look_fail(struct look *look, const char *what)
{
	look->error = errno;
	look->failed = what;
}

/* Where the file ends early, nothing is in it that is needed. */
static void look_at_size(struct look *look, int fd)
{
	struct stat st;

	if (file_ops()->fstat(fd, &st) < 0)
		look_fail(look, "fstat of");
	else
		look->segment->cut = (uint64_t)st.st_size <
			look->segment->header.size;
}

static void look_at_header(struct look *look, int fd)
{
	struct journal_segment_header *header = &look->segment->header;
	unsigned char bytes[JOURNAL_HEADER_SIZE];
	uint32_t number = header->number;
	ssize_t ret = file_pread_all(fd, bytes, sizeof(bytes), 0);

	look->state = JOURNAL_SEGMENT_DAMAGED;
	if (ret < 0)
		look_fail(look, "reading");
	else if (ret == sizeof(bytes))
		look->state = journal_segment_header_get(header, bytes);
	if (look->state == JOURNAL_SEGMENT_VALID && header->number != number)
		look->state = JOURNAL_SEGMENT_DAMAGED;
	header->number = number;
	if (look->state == JOURNAL_SEGMENT_VALID)
		look_at_size(look, fd);
}

static void look_at(void *context, unsigned int i)
{
	struct looks *looks = context;
	struct look *look = &looks->looks[i];
	int fd = journal_file_hold(look->segment->file);

	if (fd < 0) {
		look_fail(look, "opening");
		return;
	}
	/* what a killed process wrote, and we go by, has to stay */
	if (!looks->journal->settings.read_only && file_fdatasync(fd) < 0)
		look_fail(look, "fdatasync of");
	else
		look_at_header(look, fd);
	if (look->failed == NULL && look->state == JOURNAL_SEGMENT_VALID)
		look->listed = journal_footer_count(look->segment);
	journal_file_let_go(look->segment->file);
}

/*
 * What follows from that
 */

/* One cannot tell which of its records are its own. */
static int take_damaged(struct journal *journal,
			const struct journal_segment *segment, char **error_r)
{
	uint32_t number = segment->header.number;

	if (!journal->settings.repair)
		return spool_fail(
			error_r, EBADMSG,
			"%s: the first block of segment %u is "
			"damaged: restore the file from a copy, or "
			"let \"bobbin spool repair\" put it aside, to "
			"go on without its messages",
			journal->dir, number);
	if (journal_damage_segment(journal, segment) < 0)
		return spool_fail(error_r, errno,
				  "%s: putting aside segment %u failed: %s",
				  journal->dir, number, strerror(errno));
	return 0;
}

/* What is needed of the segment is the journal's then. */
static int take(struct journal *journal, struct look *look, char **error_r)
{
	uint32_t number = look->segment->header.number;

	if (look->failed != NULL)
		return spool_fail(error_r, look->error,
				  "%s: %s segment %u failed: %s", journal->dir,
				  look->failed, number, strerror(look->error));
	if (look->state == JOURNAL_SEGMENT_NEWER)
		return spool_fail(error_r, ENOTSUP,
				  "%s: segment %u was written by a newer "
				  "version of Bobbin: open the spool with "
				  "that one",
				  journal->dir, number);
	if (look->state == JOURNAL_SEGMENT_DAMAGED)
		return take_damaged(journal, look->segment, error_r);
	if (!journal_segment_add(journal, look->segment))
		return spool_fail(error_r, ENOMEM, "out of memory");
	look->segment = NULL;
	return 0;
}

static void free_segments(struct looks *looks)
{
	unsigned int i;

	for (i = 0; i < looks->count; i++)
		journal_segment_free(&looks->looks[i].segment);
	looks->count = 0;
}

/* What was added is looked at, and taken. Of what is damaged nothing is kept. */
static int take_all(struct looks *looks, uint64_t *listed, char **error_r)
{
	unsigned int i;

	thread_each(looks->count, THREADS_MAX, look_at, looks);
	for (i = 0; i < looks->count; i++) {
		*listed += looks->looks[i].listed;
		if (take(looks->journal, &looks->looks[i], error_r) < 0)
			return -1;
	}
	free_segments(looks);
	return 0;
}

static int list(struct looks *looks, char **error_r)
{
	struct journal *journal = looks->journal;

	/* a name that a killed process made has to stay, too */
	if (!journal->settings.read_only && file_sync_dir_fd(journal->fd) < 0)
		return spool_fail(error_r, errno, "fsync(%s) failed: %s",
				  journal->dir, strerror(errno));
	if (spool_walk_dir(journal->fd, ".", add_listed, looks) < 0)
		return spool_fail(error_r, errno, "reading %s failed: %s",
				  journal->dir, strerror(errno));
	if (looks->out_of_memory)
		return spool_fail(error_r, ENOMEM, "out of memory");
	return 0;
}

/* The number of one that was put aside, or given up, stays its own: else nobody would be told
   of the loss of the other one. */
static void leave_numbers(struct journal *journal)
{
	unsigned int i;

	journal->first_number =
		I_MAX(journal->first_number, journal->segment_end);
	for (i = 0; i < journal->given_up_count; i++)
		journal->first_number =
			I_MAX(journal->first_number, journal->given_up[i] + 1);
	while (journal_damage_is_known(journal, journal->first_number))
		journal->first_number++;
}

/* Where a crash came before that. What fails takes space, and no more. */
static void empty_given_up(struct journal *journal)
{
	char gone[JOURNAL_GONE_NAME_SIZE];
	unsigned int i;
	int fd;

	for (i = 0; i < journal->given_up_count; i++) {
		journal_gone_name(journal->given_up[i], gone);
		fd = journal_files_open(&journal->files, gone,
					O_RDWR | O_NOFOLLOW | O_CLOEXEC |
						O_NONBLOCK | O_NOCTTY);
		if (fd < 0)
			continue;
		(void)file_ops()->ftruncate(fd, 0);
		(void)file_close(&fd);
	}
}

static int look(struct looks *looks, uint64_t *listed, char **error_r)
{
	if (list(looks, error_r) < 0 || take_all(looks, listed, error_r) < 0)
		return -1;
	if (!looks->journal->settings.read_only) {
		leave_numbers(looks->journal);
		empty_given_up(looks->journal);
		return 0;
	}
	if (!add_unlisted(looks))
		return spool_fail(error_r, ENOMEM, "out of memory");
	return take_all(looks, listed, error_r);
}

int journal_look(struct journal *journal, uint64_t *listed_r, char **error_r)
{
	struct looks looks = { .journal = journal };
	int ret, error;

	*listed_r = 0;
	ret = look(&looks, listed_r, error_r);
	error = errno;
	free_segments(&looks);
	i_free(looks.looks);
	errno = error;
	return ret;
}
