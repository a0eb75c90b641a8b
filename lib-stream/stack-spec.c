/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* What a spec is good for once it is parsed: text again, and streams. */

#include "config.h"
#include "stack-spec.h"
#include "age-keys.h"
#include "buffer.h"
#include "istream.h"
#include "mem.h"
#include "ostream-private.h"
#include "panic.h"
#include "stack-spec-private.h"
#include "stream-kinds-private.h"
#include "transform.h"

#include <errno.h>

void stack_spec_free(struct stack_spec **_spec)
{
	struct stack_spec *spec = *_spec;
	unsigned int i;

	if (spec == NULL)
		return;
	*_spec = NULL;
	for (i = 0; i < spec->count; i++)
		stream_options_free(&spec->layers[i].options);
	stream_options_free(&spec->end.options);
	i_free(spec->layers);
	i_free(spec);
}

/*
 * Looking at it
 */

unsigned int stack_spec_layer_count(const struct stack_spec *spec)
{
	return spec->count;
}

const struct stream_kind *stack_spec_layer_kind(const struct stack_spec *spec,
						unsigned int i)
{
	i_assert(i < spec->count);
	return spec->layers[i].kind;
}

const struct stream_kind *stack_spec_end_kind(const struct stack_spec *spec)
{
	return spec->end.kind;
}

static bool option_is_in_form(const struct stream_option *option,
			      enum stack_spec_form form)
{
	switch (form) {
	case STACK_SPEC_SETTINGS:
		return option->type == STREAM_OPTION_INT ||
			option->type == STREAM_OPTION_SIZE ||
			option->type == STREAM_OPTION_BOOL ||
			option->type == STREAM_OPTION_WORD;
	case STACK_SPEC_DECODING:
		return option->decodes;
	default:
		return true;
	}
}

static void append_layer(buffer_t *buf, const struct stack_layer *layer,
			 enum stack_spec_form form)
{
	const struct stream_option *option = layer->kind->options;
	char separator = ':';
	unsigned int i;

	buffer_append_str(buf, layer->kind->name);
	for (i = 0; option[i].name != NULL; i++) {
		if (!layer->options.values[i].given ||
		    !option_is_in_form(&option[i], form))
			continue;
		buffer_append_c(buf, (unsigned char)separator);
		/* the usual spelling of what everybody gives: "zstd:3" */
		if (i > 0 ||
		    (option[i].type != STREAM_OPTION_INT &&
		     !option[i].required))
			buffer_append_printf(buf, "%s=", option[i].name);
		stream_options_append(&layer->options, layer->kind, i, buf);
		separator = ',';
	}
}

char *stack_spec_format(const struct stack_spec *spec,
			enum stack_spec_form form)
{
	const char *border = form == STACK_SPEC_DECODING ? "|" : " | ";
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	unsigned int i;

	for (i = 0; i < spec->count; i++) {
		if (form == STACK_SPEC_DECODING &&
		    spec->layers[i].kind->role == STREAM_ROLE_PLUMBING)
			continue;
		buffer_append_str(buf, buf->used > 0 ? border : "");
		append_layer(buf, &spec->layers[i], form);
	}
	if (form == STACK_SPEC_WHOLE && spec->end.kind != NULL) {
		buffer_append_str(buf, buf->used > 0 ? border : "");
		append_layer(buf, &spec->end, form);
	}
	if (buf->used == 0)
		buffer_append_str(buf, "plain");
	(void)buffer_c_str(buf);
	return buffer_free_without_data(&buf);
}

int stack_spec_check_storable(const struct stack_spec *spec, char **error_r)
{
	const struct stream_kind *kind;
	unsigned int i;

	errno = EINVAL;
	if (spec->end.kind != NULL) {
		*error_r = i_strdup_printf("a store has an end of its own: "
					   "leave \"%s\" out of its stack",
					   spec->end.kind->name);
		return -1;
	}
	for (i = 0; i < spec->count; i++) {
		kind = spec->layers[i].kind;
		if (kind->role == STREAM_ROLE_PLUMBING ||
		    (kind->flags & STREAM_KIND_LOSSLESS) != 0)
			continue;
		*error_r = i_strdup_printf(
			"\"%s\" cannot be in the stack of a store: what is "
			"read back is not in every case, byte for byte, what "
			"was written",
			kind->name);
		return -1;
	}
	return 0;
}

int stack_spec_load_keys(struct stack_spec *spec, bool writing,
			 const struct stream_context *context, char **error_r)
{
	unsigned int i;

	for (i = 0; i < spec->count; i++) {
		if (stream_options_load_keys(&spec->layers[i].options,
					     spec->layers[i].kind, writing,
					     context, error_r) < 0)
			return -1;
	}
	return 0;
}

int stack_spec_take_recipients(const struct stack_spec *spec,
			       const struct stream_context *context,
			       struct age_recipients *set, char **error_r)
{
	unsigned int i;

	for (i = 0; i < spec->count; i++) {
		if (stream_options_take_recipients(&spec->layers[i].options,
						   spec->layers[i].kind,
						   context, set, error_r) < 0)
			return -1;
	}
	return 0;
}

/*
 * Streams
 */

/* The layer's transform: with its own keys, or with those of the context. */
static struct transform *create_transform(const struct stack_layer *layer,
					  bool writing,
					  const struct stream_context *context)
{
	const struct stream_kind *kind = layer->kind;
	struct stream_options options = layer->options;
	struct transform *t;
	char *error;

	if (stream_options_load_keys(&options, kind, writing, context, &error) <
	    0) {
		t = transform_create_error(kind->name,
					   writing ? 0 : TRANSFORM_DECODER,
					   errno, "%s", error);
		i_free(error);
		return t;
	}
	t = stream_kind_transform(kind, writing, &options);
	if (options.recipients != layer->options.recipients)
		age_recipients_unref(&options.recipients);
	if (options.identities != layer->options.identities)
		age_identities_unref(&options.identities);
	return t;
}

static struct ostream *open_output(const struct stack_layer *end,
				   const struct stream_context *context)
{
	mode_t mode = context == NULL ? 0 : context->file_mode;
	struct ostream *stream;
	const char *why;
	char *path;
	int error;

	if (end->kind == NULL)
		return o_stream_create_error_str(
			EINVAL, "the stack has no end to write to");
	path = stream_context_path(context, end->options.values[0].text);
	errno = 0;
	stream = end->kind->open_output(path, mode == 0 ? 0666 : mode);
	if (stream == NULL) {
		error = stream_kind_made_nothing(&why);
		stream = o_stream_create_error_str(error, "%s: %s",
						   end->kind->name, why);
	}
	i_free(path);
	return stream;
}

/* One layer, on top of the parent, which is referenced. */
static struct ostream *create_output(const struct stack_layer *layer,
				     const struct stream_context *context,
				     struct ostream *parent)
{
	const struct stream_kind *kind = layer->kind;
	struct ostream *output;

	if (kind->role != STREAM_ROLE_PLUMBING)
		return o_stream_create_transform(
			parent, create_transform(layer, true, context));
	errno = 0;
	output = kind->output(parent, &layer->options);
	return output != NULL ?
		output :
		o_stream_create_transform(parent,
					  stream_kind_no_transform(kind, true));
}

struct ostream *stack_spec_create_output(
	const struct stack_spec *spec, const struct stream_context *context,
	struct ostream *end, struct ostream *streams_r[STACK_LAYERS_MAX + 1])
{
	const struct stack_layer *layer;
	struct ostream *output = end, *parent;
	unsigned int i;

	if (output == NULL)
		output = open_output(&spec->end, context);
	else
		o_stream_ref(output);
	if (streams_r != NULL)
		streams_r[spec->count] = output;
	for (i = spec->count; i > 0; i--) {
		layer = &spec->layers[i - 1];
		parent = output;
		output = create_output(layer, context, parent);
		o_stream_set_finish_also_parent(output, true);
		/* a file that cannot be opened is known before the first send */
		if (parent->stream_errno != 0)
			o_stream_copy_error_from_parent(output->real_stream);
		o_stream_unref(&parent);
		if (streams_r != NULL)
			streams_r[i - 1] = output;
	}
	return output;
}

static struct istream *open_input(const struct stack_layer *end,
				  const struct stream_context *context)
{
	struct istream *stream;
	const char *why;
	char *path;
	int error;

	if (end->kind == NULL)
		return i_stream_create_error_str(
			EINVAL, "the stack has no end to read from");
	path = stream_context_path(context, end->options.values[0].text);
	errno = 0;
	stream = end->kind->open_input(path);
	if (stream == NULL) {
		error = stream_kind_made_nothing(&why);
		stream = i_stream_create_error_str(error, "%s: %s",
						   end->kind->name, why);
	}
	i_free(path);
	return stream;
}

/* One layer undone. A transform that stops before its input does (dot) would
   leave the layers below unread, and their checksums with them. */
static struct istream *create_input(const struct stack_layer *layer,
				    const struct stream_context *context,
				    struct istream *parent)
{
	struct istream *input, *whole;
	struct transform *t;
	bool stops;

	if (layer->kind->role == STREAM_ROLE_PLUMBING) {
		errno = 0;
		input = layer->kind->input(parent, &layer->options);
		if (input != NULL)
			return input;
		t = stream_kind_no_transform(layer->kind, false);
	} else {
		t = create_transform(layer, false, context);
	}
	stops = (t->class_->flags & TRANSFORM_STOP) != 0;
	input = i_stream_create_transform(parent, t);
	if (!stops)
		return input;
	whole = i_stream_create_whole(input, parent);
	i_stream_unref(&input);
	return whole;
}

struct istream *stack_spec_create_input(
	const struct stack_spec *spec, const struct stream_context *context,
	struct istream *source, struct istream *streams_r[STACK_LAYERS_MAX + 1])
{
	struct istream *input = source, *parent;
	unsigned int i;

	if (input == NULL)
		input = open_input(&spec->end, context);
	else
		i_stream_ref(input);
	if (streams_r != NULL)
		streams_r[spec->count] = input;
	for (i = spec->count; i > 0; i--) {
		parent = input;
		input = create_input(&spec->layers[i - 1], context, parent);
		i_stream_unref(&parent);
		if (streams_r != NULL)
			streams_r[i - 1] = input;
	}
	return input;
}
