/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Bodies that are too large for a segment, each in a file of its own. The file is whole
   and durable before the record that speaks of it is written, and goes after the
   record that overrules that one is durable: a crash leaves a file too many, never one
   too few. */

#include "config.h"
#include "journal/journal-private.h"
#include "file-ops.h"
#include "mem.h"
#include "ostream.h"
#include "spool-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define TAG_SIZE sizeof(((struct journal_external *)NULL)->tag)
#define SUFFIX ".b"
/* "ID.TAG.b" and the NUL, which the id's text brings */
#define NAME_SIZE (MESSAGE_ID_TEXT_SIZE + 1 + TAG_SIZE * 2 + sizeof(SUFFIX) - 1)
#define QUARANTINE "quarantine/"
#define ASIDE_SIZE (sizeof(QUARANTINE) + NAME_SIZE + 11) /* ".4294967295" */

static void body_name(const message_id *id,
		      const struct journal_external *external,
		      char name_r[NAME_SIZE])
{
	char text[MESSAGE_ID_TEXT_SIZE], tag[TAG_SIZE * 2 + 1];

	message_id_to_text(id, text);
	(void)sodium_bin2hex(tag, sizeof(tag), external->tag, TAG_SIZE);
	(void)snprintf(name_r, NAME_SIZE, "%s.%s" SUFFIX, text, tag);
}

/* False: it is another file's. */
static bool parse_name(const char *name, message_id *id_r,
		       struct journal_external *external_r)
{
	char text[MESSAGE_ID_TEXT_SIZE], again[NAME_SIZE];
	size_t size;

	if (strlen(name) != NAME_SIZE - 1)
		return false;
	memcpy(text, name, sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	if (!message_id_from_text(text, id_r) ||
	    sodium_hex2bin(external_r->tag, TAG_SIZE, name + sizeof(text),
			   TAG_SIZE * 2, NULL, &size, NULL) < 0 ||
	    size != TAG_SIZE)
		return false;
	/* there is one way to write it */
	body_name(id_r, external_r, again);
	return strcmp(name, again) == 0;
}

char *journal_body_path(const struct journal *journal, const message_id *id,
			const struct journal_external *external)
{
	char name[NAME_SIZE];

	body_name(id, external, name);
	return i_strdup_printf("%s/" JOURNAL_BODIES_NAME "/%s", journal->dir,
			       name);
}

struct ostream *journal_body_create(struct journal *journal,
				    const message_id *id,
				    struct journal_external *external)
{
	char name[NAME_SIZE], *path;
	struct ostream *output;

	randombytes_buf(external->tag, TAG_SIZE);
	body_name(id, external, name);
	output = o_stream_create_file_atomic_at(
		journal->bodies_fd, name, -1, 0600,
		OSTREAM_FILE_ATOMIC_FLAG_NO_REPLACE);
	path = journal_body_path(journal, id, external);
	o_stream_set_name(output, path);
	i_free(path);
	return output;
}

int journal_body_open(struct journal *journal, const message_id *id,
		      const struct journal_external *external)
{
	char name[NAME_SIZE];

	body_name(id, external, name);
	return file_open_regular(journal->bodies_fd, name);
}

void journal_body_remove(struct journal *journal, const message_id *id,
			 const struct journal_external *external)
{
	char name[NAME_SIZE];

	body_name(id, external, name);
	(void)file_ops()->unlinkat(journal->bodies_fd, name, 0);
}

/* Where it goes: where others have its name, which somebody put back, behind a number.
   False: its own name is free. */
static bool choose_name(struct journal *journal, const char *name,
			char aside_r[ASIDE_SIZE])
{
	unsigned int number = 0;
	struct stat st;

	(void)snprintf(aside_r, ASIDE_SIZE, QUARANTINE "%s", name);
	while (file_ops()->fstatat(journal->dir_fd, aside_r, &st,
				   AT_SYMLINK_NOFOLLOW) == 0)
		(void)snprintf(aside_r, ASIDE_SIZE, QUARANTINE "%s.%u", name,
			       ++number);
	return number > 0;
}

/* The reason is there before the file is: nobody wonders about that. Where it was moved
   before, but its record is still there, it is aside. -1 with errno. */
static int put_aside(struct journal *journal, const char *name, const char *why)
{
	char aside[ASIDE_SIZE];
	bool was_there = choose_name(journal, name, aside);
	struct stat st;

	if (file_ops()->fstatat(journal->bodies_fd, name, &st,
				AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT || !was_there)
			return -1;
	} else if (spool_put_aside(journal->dir_fd, aside + strlen(QUARANTINE),
				   NULL, 0, why) < 0 ||
		   file_ops()->renameat2(journal->bodies_fd, name,
					 journal->dir_fd, aside, 0) < 0) {
		return -1;
	}
	return file_sync_dir(journal->dir_fd, "quarantine");
}

int journal_body_put_aside(struct journal *journal, const message_id *id,
			   const struct journal_external *external,
			   const char *why)
{
	char name[NAME_SIZE];

	body_name(id, external, name);
	return put_aside(journal, name, why);
}

struct aside {
	struct journal *journal;
	const message_id *id;
	const char *why;
	int error; /* 0: none failed */
};

static bool put_aside_own(int dir_fd ATTR_UNUSED, const char *name,
			  void *context)
{
	struct aside *aside = context;
	struct journal_external external;
	message_id id;

	if (parse_name(name, &id, &external) &&
	    message_id_cmp(&id, aside->id) == 0 &&
	    put_aside(aside->journal, name, aside->why) < 0)
		aside->error = errno;
	return aside->error == 0;
}

int journal_bodies_put_aside(struct journal *journal, const message_id *id,
			     const char *why)
{
	struct aside aside = { .journal = journal, .id = id, .why = why };

	if (spool_walk_dir(journal->bodies_fd, ".", put_aside_own, &aside) < 0)
		return -1;
	errno = aside.error;
	return aside.error == 0 ? 0 : -1;
}

/*
 * What a crash left
 */

bool journal_body_is_spoken_of(struct journal *journal, const message_id *id,
			       const struct journal_external *external)
{
	struct journal_external stored;
	struct journal_entry entry;

	if (!journal_find(journal, id, &entry) || !entry.external)
		return false;
	/* what cannot be read now may be it */
	return journal_read_external(journal, id, &stored) < 0 ||
		memcmp(stored.tag, external->tag, TAG_SIZE) == 0;
}

struct sweep {
	struct journal *journal;
	bool failed;
};

static void put_aside_stray(struct sweep *sweep, const char *name)
{
	struct journal *journal = sweep->journal;
	int error;

	if (put_aside(journal, name,
		      "no record of the journal speaks of this body: the one "
		      "that did may be among those that are damaged or "
		      "missing") == 0) {
		journal_warn(journal, "%s/" JOURNAL_BODIES_NAME "/%s: %s",
			     journal->dir, name,
			     "put aside into quarantine: its record is "
			     "missing");
		return;
	}
	error = errno;
	sweep->failed = true;
	journal_unkept(journal, error);
	journal_warn(journal,
		     "%s/" JOURNAL_BODIES_NAME
		     "/%s: its record is missing, and it could not be put "
		     "aside into quarantine: %s",
		     journal->dir, name, strerror(error));
}

static bool sweep_entry(int dir_fd, const char *name, void *context)
{
	struct sweep *sweep = context;
	struct journal *journal = sweep->journal;
	struct journal_external external;
	message_id id;

	/* anything else here is what a body was being made as */
	if (!parse_name(name, &id, &external))
		(void)file_ops()->unlinkat(dir_fd, name, 0);
	else if (journal_body_is_spoken_of(journal, &id, &external))
		return true;
	else if (journal->damaged)
		put_aside_stray(sweep, name);
	else
		(void)file_ops()->unlinkat(dir_fd, name, 0);
	return true;
}

bool journal_sweep_bodies(struct journal *journal)
{
	struct sweep sweep = { .journal = journal };

	/* the lock is ours: nobody is writing one */
	if (spool_walk_dir(journal->bodies_fd, ".", sweep_entry, &sweep) == 0)
		return !sweep.failed;
	journal_warn(journal,
		     "%s/" JOURNAL_BODIES_NAME
		     ": looking for what a crash left failed: %s",
		     journal->dir, strerror(errno));
	return false;
}

struct count {
	struct journal *journal;
	struct spool_strays *strays;
};

static bool count_entry(int dir_fd, const char *name, void *context)
{
	struct count *count = context;
	struct journal_external external;
	message_id id;

	if (!parse_name(name, &id, &external))
		count->strays->temporary++;
	else if (!journal_body_is_spoken_of(count->journal, &id, &external))
		count->strays->bodies++;
	else
		return true;
	count->strays->bytes += spool_file_size(dir_fd, name);
	return true;
}

int journal_count_bodies(struct journal *journal, struct spool_strays *strays)
{
	struct count count = { journal, strays };

	return spool_walk_dir(journal->bodies_fd, ".", count_entry, &count);
}
