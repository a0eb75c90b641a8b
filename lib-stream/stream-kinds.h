/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STREAM_KINDS_H
#define BOBBIN_STREAM_KINDS_H

/* The registry of kinds: what a stack spec may name, with options and help. A
   constant table; the one place that knows every codec. */

#include "types.h"

BOBBIN_BEGIN_DECLS

struct transform;
struct age_recipients;
struct age_identities;

enum stream_option_type {
	STREAM_OPTION_INT,  /* min to max */
	STREAM_OPTION_BOOL, /* yes or no */
	STREAM_OPTION_TEXT  /* a path, a key */
};

struct stream_option {
	const char *name;
	enum stream_option_type type;
	long min, max, def; /* of an INT; a BOOL's def is 0 or 1 */
	const char *help;
};

#define STREAM_OPTIONS_MAX 3

/* The options of one layer, in the order of the kind's table. */
struct stream_options {
	long numbers[STREAM_OPTIONS_MAX];
	const char *texts[STREAM_OPTIONS_MAX]; /* NULL: not given */
};

/* What a layer may need that a spec should not hold. Either may be NULL. */
struct stream_keys {
	struct age_recipients *recipients;
	struct age_identities *identities;
};

enum stream_role {
	STREAM_ROLE_TRANSFORM,
	/* an end: what follows the last "|" */
	STREAM_ROLE_FILE,
	STREAM_ROLE_NULL
};

struct stream_kind {
	const char *name;
	enum stream_role role;
	const char *help; /* one line */
	/* The first option may be given without its name. Ends with a NULL
	   name. */
	struct stream_option options[STREAM_OPTIONS_MAX + 1];
	/* Of a transform; the result is the caller's, and may be one that
	   fails. */
	struct transform *(*encoder)(const struct stream_options *options,
				     const struct stream_keys *keys);
	struct transform *(*decoder)(const struct stream_options *options,
				     const struct stream_keys *keys);
};

/* Adds the public keys that the options of an age layer name to the set, each key
   once; none is an error. -1 with errno and a sentence in *error_r (free()). */
int stream_kind_take_recipients(const struct stream_options *options,
				struct age_recipients *set, char **error_r);
/* NULL where there is no kind of this name. */
const struct stream_kind *stream_kind_lookup(const char *name, size_t size);
/* All kinds, in the order in which help shows them; NULL behind the last. */
const struct stream_kind *stream_kind_get(unsigned int i);

BOBBIN_END_DECLS

#endif
