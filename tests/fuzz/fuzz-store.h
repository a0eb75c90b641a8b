/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef FUZZ_STORE_H
#define FUZZ_STORE_H

/* A spool in a file store, made once a process, and made anew for each input; and what its
   files say of a message, told from their bytes alone. */

#include "test-spool-common.h"

#include <sys/stat.h>

#define STORE_MESSAGES 10u
#define STORE_VERSIONS 5u
#define STORE_PATH_SIZE 160u

/* What a message was at some time: its two files, and what was stored. */
struct store_version {
	buffer_t *headers, *body, *wire;
	uint64_t number;
};

extern struct store_message {
	message_id id;
	char text[MESSAGE_ID_TEXT_SIZE];
	bool secret; /* its stacks encrypt */
	bool absent; /* it was removed: its files may come back */
	struct store_version versions[STORE_VERSIONS];
	unsigned int made; /* versions before the input; the last is stored */
	/* of an input: with those that it made; a line of it was written for
	   which nothing is claimed; and one of a newer version, or NULL */
	unsigned int count;
	bool forged;
	buffer_t *newer;
} store_messages[STORE_MESSAGES];
extern char store_dir[512];

/* Makes it; there are fuzz_keys(). */
void store_setup(void);
/* As it was; the messages, too. */
void store_restore(void);
/* NULL: it is none of these. */
struct store_message *store_find(const message_id *id);
/* Takes in what was stored now as its last version; wire NULL: the body is as before. */
void store_add_version(struct store_message *m, const buffer_t *wire,
		       uint64_t number);
/* The path of one of its files, below the spool. */
void store_path(const struct store_message *m, const char *suffix,
		char path_r[STORE_PATH_SIZE]);
/* The suffix of a version's body that took the place of another. */
void store_body_suffix(const struct store_version *version, char suffix_r[32]);

/* Changes something, as the input says. */
struct fuzz_input;
void store_damage(struct fuzz_input *in);

/* All that is in messages/ and quarantine/. */
struct store_file {
	char path[STORE_PATH_SIZE]; /* below the spool */
	mode_t type;                /* S_IFREG, ... */
	buffer_t *data;             /* of a regular file, else empty */
};
struct store_tree {
	struct store_file *files;
	unsigned int count;
};
void store_tree_read(struct store_tree *tree);
void store_tree_free(struct store_tree *tree);
const struct store_file *store_tree_find(const struct store_tree *tree,
					 const char *path);
bool store_file_has(const struct store_file *file, const buffer_t *data);
/* It is there as it was; or all is. */
void store_must_stay(const struct store_tree *after,
		     const struct store_file *file);
void store_same_tree(const struct store_tree *a, const struct store_tree *b);

/* A message, as its files are. */
struct store_seen {
	bool odd;   /* something that is no file has one of its names */
	bool there; /* something has the name of its header file */
	bool newer;
	/* whose first line that is, or NULL; the rest is of such a one */
	const struct store_version *version;
	bool headers;    /* as they were written */
	bool body_there; /* a regular file */
	bool body;       /* as it was written */
	char body_path[STORE_PATH_SIZE];
};
void store_look(const struct store_tree *tree, const struct store_message *m,
		struct store_seen *seen_r);
/* A name in a message's directory that is one of its own, or like them. */
bool store_is_of(const struct store_file *file, const struct store_message *m);
/* Both of its files are as they were written. */
bool store_is_whole(const struct store_seen *seen);

/*
 * fuzz-store-scan.c
 */

struct store_scan {
	struct store_seen seen[STORE_MESSAGES]; /* before it */
	bool repairs;
	/* how often each was handed out, and those that are none of these */
	unsigned int found[STORE_MESSAGES], others;
};
/* For spool_start_scan(); its context is a struct store_scan. */
void store_note_found(const message_id *id, void *scan);
/* Each was handed out once, or it was not to be; others: so many of those. */
void store_check_found(const struct store_scan *scan, unsigned int others);
/* What it was to put aside is, and how many messages that are; the rest stays. */
unsigned int store_check_scan(const struct store_scan *scan,
			      const struct store_tree *before,
			      const struct store_tree *after);

#endif
