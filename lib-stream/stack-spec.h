/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STACK_SPEC_H
#define BOBBIN_STACK_SPEC_H

/* A stack of streams as text: "zstd:3 | age:recipients=keys.txt | file:out".
   Bytes go through it from left to right when they are written, and from right
   to left when they are read.

       stack  = "plain" / layer *( "|" layer )
       layer  = kind [ ":" option *( "," option ) ]
       option = [ name "=" ] value      ; the kind's first needs no name
       value  = 1*piece
       piece  = any character but , | " white space  /  quoted
       quoted = DQUOTE *( any but " and \  /  "\" any ) DQUOTE

   White space around "|" means nothing. "plain" is the stack without a layer.
   Within quotes \" and \\ are a quote and a backslash: any path can be a value.
   stream-kinds.h has the kinds, doc/stack-specs.md tells more.

   A spec that was parsed, and whose keys were loaded if need be, is only read by
   the calls below: threads may share it. */

#include "stream-kinds.h"

BOBBIN_BEGIN_DECLS

struct stack_spec;

/* More layers are refused. */
#define STACK_LAYERS_MAX 32

/* A part of a spec's text, in bytes. */
struct stack_spec_word {
	size_t offset, size;
};

/*
 * Specs
 */

/* The spec that the text is, which is the caller's to free. NULL with a sentence in
   *error_r (free() it) that names the bad word and its column, 1 being the first; errno
   EINVAL, ENOTSUP for a kind that this build lacks, or ENOMEM. *bad_r (may be NULL) gets
   the word's place. */
struct stack_spec *stack_spec_parse_at(const char *text,
				       struct stack_spec_word *bad_r,
				       char **error_r);
struct stack_spec *stack_spec_parse(const char *text, char **error_r);
/* Frees the spec and drops its keys; streams that were made of it stay. Sets the pointer
   to NULL; NULL is allowed. */
void stack_spec_free(struct stack_spec **spec);

enum stack_spec_form {
	/* everything: parsing it gives the same stack */
	STACK_SPEC_WHOLE,
	/* without keys, paths and the end: for a configuration that keeps its
	   keys elsewhere */
	STACK_SPEC_SETTINGS,
	/* what a reader must know to undo it, without white space: "zstd|age" */
	STACK_SPEC_DECODING
};
/* The spec as text, in one form for all spellings of it, with values quoted where
   they need it; "plain" for no layer; free() it. */
char *stack_spec_format(const struct stack_spec *spec,
			enum stack_spec_form form);

/* How many layers it has; an end does not count. */
unsigned int stack_spec_layer_count(const struct stack_spec *spec);
/* Layer i, 0 being the first that is written to. */
const struct stream_kind *stack_spec_layer_kind(const struct stack_spec *spec,
						unsigned int i);
/* The end behind the last layer, NULL where it has none. */
const struct stream_kind *stack_spec_end_kind(const struct stack_spec *spec);

/* Whether a store may write through it: every layer gives back each byte as it
   was, and there is no end. 0, or -1 with EINVAL and a sentence. */
int stack_spec_check_storable(const struct stack_spec *spec, char **error_r);
/* Reads the key files that it names, for writing or for reading, and looks
   whether every layer has the keys it needs; the context's stand in where a
   layer names none. Then creating streams reads no file of keys any more, and
   does not fail for want of keys. 0, or -1 with errno (ENOKEY: there is no
   identity to read as; EDESTADDRREQ: no recipient to write for) and a
   sentence. */
int stack_spec_load_keys(struct stack_spec *spec, bool writing,
			 const struct stream_context *context, char **error_r);

/* Adds the public keys that its layers name to the set, each once; where a layer that
   needs keys names none the context's, and where that has none, too, it is an error
   (EDESTADDRREQ). 0 or -1. */
int stack_spec_take_recipients(const struct stack_spec *spec,
			       const struct stream_context *context,
			       struct age_recipients *set, char **error_r);

/*
 * Streams
 */

/* The stack's streams on top of `end`, which is referenced; where `end` is NULL
   the spec's own end is opened. One o_stream_finish() of the stream that is
   returned finishes every layer, and the end; on failures give it up by
   o_stream_abort(). streams_r (may be NULL) gets the layers' streams, the first
   one at [0], and the end behind the last: for looking at their offsets while
   the returned stream lives. Never NULL: a failure, at once for a bad setting,
   keys or a file that cannot be opened, is the stream's. The context may be
   NULL. */
struct ostream *stack_spec_create_output(
	const struct stack_spec *spec, const struct stream_context *context,
	struct ostream *end, struct ostream *streams_r[STACK_LAYERS_MAX + 1]);
/* Undoes the stack on top of `source`, which is referenced, or NULL for the
   spec's own end. The stack is all that source may hold: data behind its end is
   EINVAL. streams_r as above: the layers as the spec has them, the
   source behind the last. */
struct istream *
stack_spec_create_input(const struct stack_spec *spec,
			const struct stream_context *context,
			struct istream *source,
			struct istream *streams_r[STACK_LAYERS_MAX + 1]);

BOBBIN_END_DECLS

#endif
