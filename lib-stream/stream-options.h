/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STREAM_OPTIONS_H
#define BOBBIN_STREAM_OPTIONS_H

/* The values of a kind's options: from text, to text, and the keys that they
   name. Not installed. */

#include "buffer.h"
#include "stream-kinds.h"

/* Whether a value of this type may be any text, and need quotes in a spec. */
bool stream_option_is_text(enum stream_option_type type);
/* Whether this may be the value of an option that is a number, a size, or yes (1) or no (0);
   of others, whose values are texts, nothing is said: true. */
bool stream_option_takes(const struct stream_option *option, int64_t number);
/* Sets the defaults. */
void stream_options_init(struct stream_options *options,
			 const struct stream_kind *kind);
/* Frees texts and keys. */
void stream_options_free(struct stream_options *options);
/* Sets option i from its text. False with a reason ("level must be 1 to 22") in
   *error_r, to be freed by i_free(). */
bool stream_options_set(struct stream_options *options,
			const struct stream_kind *kind, unsigned int i,
			const char *value, char **error_r);
/* Appends option i's value as a spec has it, quoted where that is needed. */
void stream_options_append(const struct stream_options *options,
			   const struct stream_kind *kind, unsigned int i,
			   buffer_t *buf);
/* Reads the key files that the options name, or takes the context's keys: whom
   to write for, or whom to read as. Kinds without keys need nothing. Keys that
   are loaded already are kept. 0, or -1 with errno and a sentence (i_free()). */
int stream_options_load_keys(struct stream_options *options,
			     const struct stream_kind *kind, bool writing,
			     const struct stream_context *context,
			     char **error_r);
/* Adds the public keys that the options name to the set; none, where the kind
   needs some, is an error. 0 or -1. */
int stream_options_take_recipients(const struct stream_options *options,
				   const struct stream_kind *kind,
				   const struct stream_context *context,
				   struct age_recipients *set, char **error_r);
/* The path below the context's base_dir, for i_free(); NULL for NULL. */
char *stream_context_path(const struct stream_context *context,
			  const char *path);

#endif
