/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STREAM_KINDS_H
#define BOBBIN_STREAM_KINDS_H

/* The registry of kinds: what a stack spec may name, with options and help. The library's,
   and those that the program adds. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct istream;
struct ostream;
struct transform;
struct age_recipients;
struct age_identities;

enum stream_option_type {
	STREAM_OPTION_INT,  /* a number, min to max */
	STREAM_OPTION_SIZE, /* bytes, from min; K, M, G, T: times 1024, ... */
	STREAM_OPTION_BOOL, /* yes or no */
	STREAM_OPTION_PATH, /* a file */
	/* "age1..."; the path of a file of these; the path of a file of
	   "AGE-SECRET-KEY-1..." */
	STREAM_OPTION_RECIPIENT,
	STREAM_OPTION_RECIPIENTS,
	STREAM_OPTION_IDENTITIES,
	/* 1 to STREAM_KIND_NAME_MAX letters, digits, '.', '_' and '-': the name of
	   something */
	STREAM_OPTION_WORD
};

struct stream_option {
	const char *name;
	enum stream_option_type type;
	bool required;
	/* A reader must be given the same value as the writer was. */
	bool decodes;
	bool no_zero;          /* an INT whose range has a gap there */
	int64_t min, max, def; /* of an INT; a BOOL's def is 0 or 1 */
	int64_t multiple; /* of an INT: it must be one of that; 0: any will do */
	const char *help;
};

#define STREAM_OPTIONS_MAX 5

struct stream_kind;

/* What one layer was given, in the order of the kind's options. */
struct stream_options {
	/* Whose options they are: where several kinds have the same functions. */
	const struct stream_kind *kind;
	struct {
		bool given;
		int64_t number; /* INT, SIZE, BOOL; the default if not given */
		const char *text; /* the others; NULL if not given */
	} values[STREAM_OPTIONS_MAX];
	/* of kinds with such options, once they are loaded */
	struct age_recipients *recipients;
	struct age_identities *identities;
};

/* What surrounds a spec, and does not stand in it. Zeroed: nothing special. */
struct stream_context {
	/* For layers without keys of their own; NULL: there are none. The
	   caller's. */
	struct age_recipients *recipients;
	struct age_identities *identities;
	/* Where relative paths begin; NULL: the current directory. */
	const char *base_dir;
	/* The mode of a new file, less the umask; 0: 0666. */
	mode_t file_mode;
};

enum stream_role {
	STREAM_ROLE_TRANSFORM,
	/* passes bytes unchanged; a reader need not know of it */
	STREAM_ROLE_PLUMBING,
	/* what follows the last "|" */
	STREAM_ROLE_END
};

enum stream_kind_flags {
	/* The reader gets back every byte as it was, whatever was written. */
	STREAM_KIND_LOSSLESS = 0x01,
	/* What it writes is no text. */
	STREAM_KIND_BINARY = 0x02,
	/* An identity is needed to read it. */
	STREAM_KIND_ENCRYPTED = 0x04,
	/* This build of the library lacks it. */
	STREAM_KIND_MISSING = 0x08,
	/* A text around something encrypted: data of it is recognised where
	   encryption is. */
	STREAM_KIND_ARMOR = 0x10,
	/* Frames that its readers skip (RFC 8878 3.1.2) may stand before its
	   magic, as pzstd writes them. */
	STREAM_KIND_SKIPS = 0x20
};
#define STREAM_KIND_FLAGS 0x3fu /* all of these */

/* Bytes of a name, without the NUL. */
#define STREAM_KIND_NAME_MAX 31
/* Bytes by which a kind can be recognised. */
#define STREAM_KIND_HEAD_MAX 128

struct stream_kind {
	const char *name;
	enum stream_role role;
	unsigned int flags; /* enum stream_kind_flags */
	const char *help;   /* one line */
	/* What its data begins with, where that is enough to recognise it. */
	const char *magic;
	size_t magic_size;
	/* Of a kind whose magic could begin a text: whether what follows it is
	   right, too. Gets all that there is to look at, magic and all. NULL:
	   the magic is enough. */
	bool (*confirm)(const unsigned char *data, size_t size);
	size_t confirm_size; /* bytes that it needs, magic and all */
	/* The first option may be given without its name. Ends with a NULL
	   name. */
	struct stream_option options[STREAM_OPTIONS_MAX + 1];

	/* Of a transform; the result is the caller's, and may be one that
	   fails. */
	struct transform *(*encoder)(const struct stream_options *options);
	struct transform *(*decoder)(const struct stream_options *options);
	/* Of plumbing: a stream on top of this one, or another reference of
	   it. */
	struct ostream *(*output)(struct ostream *parent,
				  const struct stream_options *options);
	struct istream *(*input)(struct istream *parent,
				 const struct stream_options *options);
	/* Of an end. The path is its only option's (NULL: it was not given), made
	   absolute where the context says so. */
	struct ostream *(*open_output)(const char *path, mode_t mode);
	struct istream *(*open_input)(const char *path);
};

/* Adds a kind of the program's own behind the library's. From then on specs may name it,
   help and errors list it, data that begins with its magic is recognised, and a spool may
   have it in its stacks, if it is STREAM_KIND_LOSSLESS. It has a name of a-z, 0-9, '_' and
   '-', a help of one line, the functions of its role for both directions, and options as
   above; one that decodes is an INT, SIZE, BOOL or WORD, and the default of a number is one
   that could be given, unless it must be given. A function that returns NULL is taken for one
   that failed with errno, or with EIO where it did not set that, or to EINVAL.

   *kind is not copied, and stays for as long as the process runs, as there is no way to
   take it back: a static const struct, or memory that is never freed, in a program or in a
   shared object that is not unloaded (a spool's modules are not, once they have registered
   one; others are linked with -z nodelete). To register the same one again is nothing.

   0, or -1 with errno and a sentence in *error_r (free(); may be NULL): EEXIST, another
   kind has that name; EINVAL, something of the above does not hold; ENOSPC, there are
   STREAM_KINDS_OWN_MAX. Any thread may call it; specs that were parsed before stay as
   they are. */
int stream_kind_register(const struct stream_kind *kind, char **error_r);
#define STREAM_KINDS_OWN_MAX 64

/* The kind whose name these `size` bytes are; NULL: there is none. */
const struct stream_kind *stream_kind_lookup(const char *name, size_t size);
/* All kinds, in the order in which help shows them, the program's own last; NULL behind
   the last. */
const struct stream_kind *stream_kind_get(unsigned int i);
/* The kind whose magic these bytes begin with, be it behind frames that are skipped;
   NULL: none. *wanted_r (may be NULL) gets how many bytes there have to be to recognise
   every kind: with such a frame, more than without. */
const struct stream_kind *stream_kind_recognise(const void *data, size_t size,
						size_t *wanted_r);

/* A transform of this kind, which is the caller's: its encoder or its decoder, on a
   thread of its own where the options say so. Keys have to be loaded. */
struct transform *stream_kind_transform(const struct stream_kind *kind,
					bool writing,
					const struct stream_options *options);

/* A file that is written: atomically (o_stream_create_file_atomic()), with the
   permissions of the file of that name that it replaces, if there is one, else
   those of mode without the umask's. Owner, group and POSIX ACL of that file are
   handed on, too, where the process may; where the group is not, its permissions and
   those of others are what both had, and with an ACL none. A symbolic link stays and its target is
   replaced. What exists and is no regular file (a device, a FIFO) is opened as it
   is; a directory is refused. The path of an open descriptor (/dev/stdout,
   /dev/fd/N, or a link to it) is a duplicate of that one, written where it
   stands; EBADF where it cannot be. */
struct ostream *o_stream_create_file_or_device(const char *path, mode_t mode);

BOBBIN_END_DECLS

#endif
