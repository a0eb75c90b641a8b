/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#ifndef BOBBIN_STACK_SPEC_H
#define BOBBIN_STACK_SPEC_H

/* A stack of streams as text: "zstd:3 | age:recipients=keys.txt | file:out".
   Bytes go through it from left to right when they are written, and from right
   to left when they are read.

       stack  = layer *( "|" layer )
       layer  = kind [ ":" option *( "," option ) ]
       option = [ name "=" ] value          (the first one's name may be left out)
       value  = 1*( any character but , | " white space )  /  quoted
       quoted = DQUOTE *( any but " and \  /  "\" any ) DQUOTE

   White space around "|" means nothing. See stream-kinds.h for the kinds. */

#include "stream-kinds.h"

BOBBIN_BEGIN_DECLS

struct istream;
struct ostream;
struct stack_spec;

/* More layers are refused. */
#define STACK_LAYERS_MAX 32

/* NULL with EINVAL and a sentence in *error_r (free() it) that names the bad
   word and its column, 1 being the first. */
struct stack_spec *stack_spec_parse(const char *text, char **error_r);
/* Sets the pointer to NULL; NULL is allowed. */
void stack_spec_free(struct stack_spec **spec);
/* Transforms only; an end does not count. */
unsigned int stack_spec_layer_count(const struct stack_spec *spec);
const char *stack_spec_layer_name(const struct stack_spec *spec,
				  unsigned int i);
/* The path of a "file" end, NULL where there is none. */
const char *stack_spec_file(const struct stack_spec *spec);
/* Whether it ends in "file" or "null". */
bool stack_spec_has_end(const struct stack_spec *spec);
/* Whether a layer has this kind. */
bool stack_spec_has_layer(const struct stack_spec *spec, const char *kind);
/* What a reader has to undo, without options: "zstd|age", "plain" for no layer.
   To be freed by free(). A spec again, but for "plain". */
char *stack_spec_kinds(const struct stack_spec *spec);
/* The spec again, with numbers but without paths and keys; free() it. */
char *stack_spec_text(const struct stack_spec *spec);
/* Adds the public keys that its age layers name to the set, each key once. An age
   layer that names none is an error. -1 with errno and *error_r. */
int stack_spec_take_recipients(const struct stack_spec *spec,
			       struct age_recipients *set, char **error_r);

/* The stack's streams on top of `end`, which is referenced; where `end` is NULL
   the spec's own end is opened (file_mode: mode of a new file). Every layer is
   finished by one o_stream_finish() of the stream that is returned; on failures
   give it up by o_stream_abort(). streams_r (may be NULL) gets the layers, the
   first one at [0], and the end behind the last: for looking at their offsets
   while the returned stream lives. Never NULL: failures are the stream's. */
struct ostream *
stack_spec_create_output(const struct stack_spec *spec,
			 const struct stream_keys *keys, struct ostream *end,
			 unsigned int file_mode,
			 struct ostream *streams_r[STACK_LAYERS_MAX + 1]);
/* Undoes the stack on top of `source`, which is referenced. streams_r as above:
   the layers as the spec has them, the source behind the last. */
struct istream *
stack_spec_create_input(const struct stack_spec *spec,
			const struct stream_keys *keys, struct istream *source,
			struct istream *streams_r[STACK_LAYERS_MAX + 1]);

BOBBIN_END_DECLS

#endif
