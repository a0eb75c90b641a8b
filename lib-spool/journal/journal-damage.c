/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What becomes of bytes that should be a record, and are none. */

#include "config.h"
#include "journal/journal-scan.h"
#include "file-ops.h"
#include "mem.h"
#include "spool-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define BYTES_NAME_SIZE 128

/* It begins with the message's id, where that is known. */
static void bytes_name(const struct journal_segment *segment,
		       const struct journal_item *item,
		       char name_r[BYTES_NAME_SIZE])
{
	bool known = item->state != JOURNAL_ITEM_GAP;
	char hex[9], text[MESSAGE_ID_TEXT_SIZE] = "";

	if (known)
		message_id_to_text(&item->header.id, text);
	(void)sodium_bin2hex(hex, sizeof(hex), segment->header.incarnation, 4);
	(void)snprintf(name_r, BYTES_NAME_SIZE,
		       "%s%sjournal-%08u-%s-%llu.bytes", text, known ? "." : "",
		       segment->header.number, hex,
		       (unsigned long long)item->pos);
}

/* -1 with errno. */
static int keep_bytes(struct journal *journal,
		      const struct journal_segment *segment,
		      const struct journal_item *item, const char *why)
{
	unsigned char *bytes = try_malloc((size_t)item->size);
	char name[BYTES_NAME_SIZE];
	ssize_t size = -1;
	int ret = -1, error;

	bytes_name(segment, item, name);
	if (bytes != NULL)
		size = journal_file_read_some(segment->file, bytes,
					      (size_t)item->size, item->pos);
	if (size >= 0)
		ret = spool_put_aside(journal->dir_fd, name, bytes,
				      (size_t)size, why);
	error = errno;
	i_free(bytes);
	errno = error;
	return ret;
}

/* As nobody counts what is damaged, the segment would be written anew, and the bytes were
   gone. The next start tries to copy them again. */
static void keep_segment(struct journal *journal, uint32_t number, int error)
{
	struct journal_segment *segment = journal_segment_get(journal, number);

	if (segment != NULL)
		journal_segment_fail(journal, segment);
	journal_unkept(journal, error);
}

/* Keeps a copy of the bytes, and why. */
static void put_aside(struct journal *journal,
		      const struct journal_segment *segment,
		      const struct journal_item *item, const char *why)
{
	uint32_t number = segment->header.number;
	int error;

	if (keep_bytes(journal, segment, item, why) == 0) {
		journal_warn(journal, "%s: segment %u, byte %llu: %s: %s",
			     journal->dir, number,
			     (unsigned long long)item->pos, why,
			     "a copy is kept in quarantine");
		return;
	}
	error = errno;
	keep_segment(journal, number, error);
	journal_warn(journal,
		     "%s: segment %u, byte %llu: %s: no copy could be put into "
		     "quarantine (%s), and the segment stays as it is",
		     journal->dir, number, (unsigned long long)item->pos, why,
		     strerror(error));
}

/* id NULL: nobody knows. */
static struct journal_damage *note_damage(struct journal *journal,
					  const message_id *id,
					  uint32_t segment, uint64_t offset,
					  const char *why)
{
	struct journal_damage *damage = i_new(struct journal_damage, 1);

	if (id != NULL)
		damage->id = *id;
	damage->segment = segment;
	damage->offset = offset;
	damage->why = why;
	*journal->damage_end = damage;
	journal->damage_end = &damage->next;
	return damage;
}

/* Where nothing of a segment can be read, one thing is told of it, however often it is come
   across. */
static void note_whole_segment(struct journal *journal, uint32_t number,
			       const char *why)
{
	const struct journal_damage *damage = journal->damage;

	for (; damage != NULL; damage = damage->next) {
		if (damage->segment == number && damage->offset == 0)
			return;
	}
	(void)note_damage(journal, NULL, number, 0, why);
}

const struct journal_damage *journal_get_damage(const struct journal *journal)
{
	return journal->damage;
}

static bool is_of_what_was(struct journal *journal,
			   const struct journal_damage *damage)
{
	struct journal_source source;

	return journal_segment_source(journal, damage->segment, &source) &&
		journal_source_has_changed(&source);
}

/* A reader goes over a group before it is written, and behind that finds the next one. */
static bool is_of_what_came(struct journal *journal,
			    const struct journal_damage *damage)
{
	const struct journal_segment *segment =
		journal_segment_get(journal, damage->segment);

	return damage->offset != 0 && !damage->is_record && segment != NULL &&
		journal_scan_is_whole(segment, damage->offset);
}

bool journal_damage_is_outdated(struct journal *journal)
{
	const struct journal_damage *damage = journal->damage;

	while (damage != NULL && !is_of_what_came(journal, damage))
		damage = damage->next;
	return damage != NULL;
}

void journal_damage_forget(struct journal *journal)
{
	struct journal_damage *damage, **link = &journal->damage;

	while ((damage = *link) != NULL) {
		if (is_of_what_was(journal, damage) ||
		    is_of_what_came(journal, damage)) {
			*link = damage->next;
			i_free(damage);
		} else {
			link = &damage->next;
		}
	}
	journal->damage_end = link;
}

void journal_damage_free(struct journal *journal)
{
	struct journal_damage *damage;

	while ((damage = journal->damage) != NULL) {
		journal->damage = damage->next;
		i_free(damage);
	}
}

/* Whether a writer has told of it. */
static bool is_aside(struct journal *journal,
		     const struct journal_segment *segment,
		     const struct journal_item *item)
{
	char name[BYTES_NAME_SIZE], path[BYTES_NAME_SIZE + 32];
	struct stat st;

	bytes_name(segment, item, name);
	(void)snprintf(path, sizeof(path), "quarantine/%s.why", name);
	return file_ops()->fstatat(journal->dir_fd, path, &st,
				   AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * A first block
 */

static const char first_block[] =
	"the first block of a segment is damaged, so that nobody can tell which "
	"records in it are its own";

/* It was ours alone, and nothing came of it. errno stays. */
static void drop_reason(struct journal *journal, const char *aside)
{
	char *name = i_strdup_printf("%s.why", aside);
	int error = errno;

	(void)file_ops()->unlinkat(journal->dir_fd, name, 0);
	i_free(name);
	errno = error;
}

static int move_segment(struct journal *journal, uint32_t number)
{
	char name[JOURNAL_NAME_SIZE], aside[64];
	const char *base = aside + strlen("quarantine/");

	journal_segment_name(number, name);
	/* the next one of this number may be damaged, too */
	(void)snprintf(aside, sizeof(aside), "quarantine/journal-%08u-%08x.seg",
		       number, randombytes_random());
	if (spool_put_aside(journal->dir_fd, base, NULL, 0, first_block) < 0)
		return -1;
	/* after a crash here there is a reason without a file */
	if (file_rename_new(journal->fd, name, journal->dir_fd, aside) < 0) {
		drop_reason(journal, aside);
		return -1;
	}
	/* and here the file may be in both directories, or in either */
	if (file_sync_dir(journal->dir_fd, "quarantine") < 0 ||
	    file_sync_dir_fd(journal->fd) < 0)
		return -1;
	journal_warn(journal, "%s/%s: %s: put aside as %s", journal->dir, name,
		     first_block, aside);
	return 0;
}

int journal_damage_segment(struct journal *journal,
			   const struct journal_segment *segment)
{
	journal->damaged = true;
	if (!journal->settings.read_only)
		return move_segment(journal, segment->header.number);
	note_whole_segment(journal, segment->header.number, first_block);
	return 0;
}

/*
 * A segment that is not there
 */

struct looking {
	char prefix[32];
	bool found;
};

static bool is_prefix(int dir_fd ATTR_UNUSED, const char *name, void *context)
{
	struct looking *looking = context;

	looking->found =
		strncmp(name, looking->prefix, strlen(looking->prefix)) == 0 &&
		(strstr(name, ".seg") != NULL ||
		 strstr(name, "-missing") != NULL);
	return !looking->found;
}

bool journal_damage_is_known(const struct journal *journal, uint32_t number)
{
	struct looking looking = { .found = false };

	(void)snprintf(looking.prefix, sizeof(looking.prefix), "journal-%08u-",
		       number);
	(void)spool_walk_dir(journal->dir_fd, "quarantine", is_prefix,
			     &looking);
	return looking.found;
}

static void not_noted(struct journal *journal, uint32_t number)
{
	int error = errno;

	journal_unkept(journal, error);
	journal_warn(journal,
		     "%s: segment %u: this could not be noted in quarantine: "
		     "%s: the next repair tells it again",
		     journal->dir, number, strerror(error));
}

void journal_damage_missing(struct journal *journal, uint32_t number)
{
	static const char why[] =
		"a segment is missing, with the messages that were in it";
	char name[32];

	journal->damaged = true;
	/* each start would say so */
	if ((!journal->settings.read_only && !journal->settings.repair) ||
	    journal_damage_is_known(journal, number))
		return;
	if (journal->settings.read_only) {
		note_whole_segment(journal, number, why);
		return;
	}
	journal_warn(journal, "%s: segment %u: %s", journal->dir, number, why);
	(void)snprintf(name, sizeof(name), "journal-%08u-missing", number);
	if (spool_put_aside(journal->dir_fd, name, NULL, 0, why) < 0)
		not_noted(journal, number);
}

/*
 * The end of a segment
 */

static void tell_of_end(struct journal *journal,
			struct journal_segment *segment,
			const struct journal_item *end, const char *why)
{
	char name[BYTES_NAME_SIZE];

	bytes_name(segment, end, name);
	journal_warn(journal,
		     "%s: segment %u, byte %llu: %s: what was behind it is "
		     "lost",
		     journal->dir, segment->header.number,
		     (unsigned long long)end->pos, why);
	if (spool_put_aside(journal->dir_fd, name, NULL, 0, why) < 0)
		not_noted(journal, segment->header.number);
	segment->end_told = is_aside(journal, segment, end);
}

void journal_damage_end(struct journal *journal,
			struct journal_segment *segment, uint64_t pos)
{
	static const char why[] = "the file ends before the segment does";
	struct journal_item end = { .state = JOURNAL_ITEM_GAP,
				    .pos = pos,
				    .size = JOURNAL_ALIGN };

	journal->damaged = true;
	if (!journal->settings.read_only)
		tell_of_end(journal, segment, &end, why);
	else if (!is_aside(journal, segment, &end))
		(void)note_damage(journal, NULL, segment->header.number, pos,
				  why);
}

void journal_damage_mend(struct journal *journal)
{
	struct journal_segment *segment;
	uint32_t i;

	for (i = 0; i < journal->segment_end; i++) {
		segment = journal->segments[i];
		if (segment == NULL || !segment->end_told)
			continue;
		/* sparse it would be taken for one that has them */
		if (journal_fill_end(journal, segment) < 0)
			journal_warn(
				journal,
				"%s: segment %u cannot be made as long as "
				"it was: %s: the next start tries it again",
				journal->dir, i, strerror(errno));
	}
}

/*
 * Records
 */

/* What is there of a record; NULL: there is no such segment. Where its header is damaged what
   was behind that may be whole. */
static const struct journal_segment *item_at(struct journal *journal,
					     const struct journal_place *place,
					     struct journal_item *item_r)
{
	const struct journal_segment *segment =
		journal_segment_get(journal, place->segment);
	struct journal_source source;

	memset(item_r, 0, sizeof(*item_r));
	item_r->state = JOURNAL_ITEM_GAP;
	item_r->pos = (uint64_t)place->offset * JOURNAL_ALIGN;
	if (!journal_segment_source(journal, place->segment, &source))
		return NULL;
	if (journal_read_header(&source, item_r->pos, &item_r->header)) {
		item_r->state = JOURNAL_ITEM_BAD;
		item_r->size = journal_record_size(&item_r->header);
	} else {
		item_r->size = journal_gap_size(segment, item_r->pos);
	}
	return segment;
}

static const char asked_for[] = "a record is damaged that was asked for";

int journal_damage_keep(struct journal *journal,
			const struct journal_place *place)
{
	struct journal_item item;
	const struct journal_segment *segment = item_at(journal, place, &item);

	return segment == NULL || is_aside(journal, segment, &item) ?
		0 :
		keep_bytes(journal, segment, &item, asked_for);
}

/* What a footer spoke of was not looked at when the journal was opened. */
void journal_damage_read(struct journal *journal,
			 const struct journal_place *place)
{
	const struct journal_segment *segment;
	struct journal_item item;

	if (journal->settings.read_only)
		return;
	segment = item_at(journal, place, &item);
	if (segment == NULL)
		return;
	/* who reads it again is told so by the answer */
	if (!is_aside(journal, segment, &item))
		put_aside(journal, segment, &item, asked_for);
}

void journal_damage_keep_rest(struct journal *journal,
			      const struct journal_place *place)
{
	const struct journal_segment *segment;
	struct journal_item item;

	segment = place->offset == 0 ? NULL : item_at(journal, place, &item);
	if (segment != NULL && !is_aside(journal, segment, &item))
		put_aside(journal, segment, &item,
			  "another record of the same message is damaged");
}

/* What is damaged overrules it for as long as it is there. */
static void drop_message(struct journal *journal, const message_id *id,
			 uint32_t by, struct journal_entry *old_r)
{
	memset(old_r, 0, sizeof(*old_r));
	if (!journal_index_remove(&journal->index, id, old_r))
		return;
	(void)pthread_mutex_lock(&journal->mutex);
	journal_overrule(journal, by, old_r->headers.segment);
	journal_account_gone(journal, old_r);
	(void)pthread_mutex_unlock(&journal->mutex);
}

/* Those that are moved are written once more as they are, and stay where they were until that
   is written anew. */
static bool is_a_copy(struct journal *journal,
		      const struct journal_header *headers)
{
	struct journal_entry entry;

	return journal_index_find(&journal->index, &headers->id, &entry) &&
		entry.base_version == headers->version;
}

/* An older version of it is not what was acknowledged last, but for a person it is better than
   nothing. */
static void end_message(struct journal *journal,
			const struct journal_header *headers, uint32_t by)
{
	const message_id *id = &headers->id;
	struct journal_end end = { .by = by };
	struct journal_entry old;

	if (is_a_copy(journal, headers))
		return;
	drop_message(journal, id, by, &old);
	if ((headers->flags & JOURNAL_WITH_BODY) == 0 &&
	    (old.headers.offset != 0 ||
	     !journal_rests_find_end(journal, id, &end))) {
		end.body = old.body;
		end.external = old.external;
	}
	end.by = by;
	journal_rests_end(journal, id, &end);
	journal_rests_add(journal, id, &old.headers);
	journal_rests_add(journal, id, &old.body);
	journal_rests_add(journal, id, &old.states);
}

/* Its own damage does not bring it back. */
static void remove_message(struct journal *journal, const message_id *id,
			   uint32_t by)
{
	struct journal_entry old;

	drop_message(journal, id, by, &old);
	journal_rests_forget(journal, id);
}

static void note_item(struct journal *journal,
		      const struct journal_segment *segment,
		      const struct journal_item *item, const char *why)
{
	const message_id *id =
		item->state == JOURNAL_ITEM_GAP ? NULL : &item->header.id;

	note_damage(journal, id, segment->header.number, item->pos, why)
		->is_record = item->state == JOURNAL_ITEM_WHOLE;
}

void journal_reject(struct journal *journal,
		    const struct journal_segment *segment,
		    const struct journal_item *item, bool torn, const char *why)
{
	if (torn) {
		if (!journal->settings.read_only)
			journal_add_void(journal, segment, item->pos,
					 item->size);
		return;
	}
	journal->damaged = true;
	if (!journal->settings.read_only)
		put_aside(journal, segment, item, why);
	else if (!is_aside(journal, segment, item))
		note_item(journal, segment, item, why);
	/* also where these headers are whole and their body is not; and a tombstone is one,
	   whatever its target is */
	if (item->state == JOURNAL_ITEM_GAP)
		return;
	if (item->header.type == JOURNAL_HEADERS)
		end_message(journal, &item->header, segment->header.number);
	else if (item->header.type == JOURNAL_UNLINK)
		remove_message(journal, &item->header.id,
			       segment->header.number);
}
