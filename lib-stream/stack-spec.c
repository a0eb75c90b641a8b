/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "stack-spec.h"
#include "buffer.h"
#include "istream.h"
#include "macros.h"
#include "mem.h"
#include "ostream.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct stack_layer {
	const struct stream_kind *kind;
	struct stream_options options;
	bool given[STREAM_OPTIONS_MAX];
};

struct stack_spec {
	unsigned int count; /* an end included */
	struct stack_layer *layers;
};

/*
 * Parsing
 */

struct spec_parser {
	const char *text;
	const char *pos;
	struct stack_spec *spec;
	char *error;
};

static bool parse_failed(struct spec_parser *p, const char *word, size_t size,
			 const char *fmt, ...) ATTR_FORMAT(4, 5);
static bool parse_failed(struct spec_parser *p, const char *word, size_t size,
			 const char *fmt, ...)
{
	va_list args;
	char *why;

	va_start(args, fmt);
	why = i_strdup_vprintf(fmt, args);
	va_end(args);
	p->error = i_strdup_printf("stack spec: column %zu: \"%.*s\": %s",
				   (size_t)(word - p->text) + 1,
				   (int)I_MIN(size, (size_t)60), word, why);
	i_free(why);
	return false;
}

static void skip_space(struct spec_parser *p)
{
	while (*p->pos == ' ' || *p->pos == '\t' || *p->pos == '\n')
		p->pos++;
}

static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '-';
}

static size_t word_size(const char *word)
{
	size_t size = 0;

	while (is_word_char(word[size]))
		size++;
	return size;
}

/* All kinds' names, for people who mistyped one. */
static char *kind_list(void)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 128);
	const struct stream_kind *kind;
	unsigned int i;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++)
		buffer_append_printf(buf, "%s%s", i == 0 ? "" : ", ",
				     kind->name);
	(void)buffer_c_str(buf);
	return buffer_free_without_data(&buf);
}

static char *option_list(const struct stream_kind *kind)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 128);
	unsigned int i;

	for (i = 0; kind->options[i].name != NULL; i++)
		buffer_append_printf(buf, "%s%s", i == 0 ? "" : ", ",
				     kind->options[i].name);
	if (i == 0)
		buffer_append_str(buf, "none");
	(void)buffer_c_str(buf);
	return buffer_free_without_data(&buf);
}

/* Takes a value, quoted or not; a copy. NULL: failed. */
static char *parse_value(struct spec_parser *p)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	const char *start = p->pos;
	bool quoted = *p->pos == '"';

	if (quoted)
		p->pos++;
	for (; *p->pos != '\0'; p->pos++) {
		if (quoted ? *p->pos == '"' :
			     strchr(",|\" \t\n", *p->pos) != NULL)
			break;
		if (quoted && p->pos[0] == '\\' && p->pos[1] != '\0')
			p->pos++;
		buffer_append_c(buf, (unsigned char)*p->pos);
	}
	if (quoted && *p->pos != '"') {
		(void)parse_failed(p, start, strlen(start),
				   "the quote is not closed");
		buffer_free(&buf);
		return NULL;
	}
	if (quoted)
		p->pos++;
	(void)buffer_c_str(buf);
	return buffer_free_without_data(&buf);
}

static int find_option(const struct stream_kind *kind, const char *name,
		       size_t size)
{
	int i;

	for (i = 0; kind->options[i].name != NULL; i++) {
		if (strlen(kind->options[i].name) == size &&
		    memcmp(kind->options[i].name, name, size) == 0)
			return i;
	}
	return -1;
}

static bool set_number(struct spec_parser *p, struct stack_layer *layer, int i,
		       const char *word, const char *value)
{
	const struct stream_option *option = &layer->kind->options[i];
	char *end;
	long number;

	errno = 0;
	number = strtol(value, &end, 10);
	if (*value == '\0' || *end != '\0' || errno != 0)
		return parse_failed(p, word, (size_t)(p->pos - word),
				    "%s of %s must be a number", option->name,
				    layer->kind->name);
	if (number < option->min || number > option->max)
		return parse_failed(p, word, (size_t)(p->pos - word),
				    "%s of %s must be %ld to %ld", option->name,
				    layer->kind->name, option->min,
				    option->max);
	layer->options.numbers[i] = number;
	return true;
}

static bool set_option(struct spec_parser *p, struct stack_layer *layer, int i,
		       const char *word, char *value)
{
	const struct stream_option *option = &layer->kind->options[i];
	bool ok = true;

	if (layer->given[i]) {
		ok = parse_failed(p, word, (size_t)(p->pos - word),
				  "%s is given twice", option->name);
	} else if (option->type == STREAM_OPTION_TEXT) {
		if (*value == '\0')
			ok = parse_failed(p, word, (size_t)(p->pos - word),
					  "%s of %s is empty", option->name,
					  layer->kind->name);
		layer->options.texts[i] = value;
		value = NULL;
	} else if (option->type == STREAM_OPTION_INT) {
		ok = set_number(p, layer, i, word, value);
	} else if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0) {
		layer->options.numbers[i] = *value == 'y' ? 1 : 0;
	} else {
		ok = parse_failed(p, word, (size_t)(p->pos - word),
				  "%s of %s must be yes or no", option->name,
				  layer->kind->name);
	}
	layer->given[i] = true;
	i_free(value);
	return ok;
}

static bool parse_option(struct spec_parser *p, struct stack_layer *layer,
			 bool first)
{
	const char *word = p->pos;
	size_t size = word_size(word);
	char *value, *list;
	int i;

	if (word[size] == '=') {
		i = find_option(layer->kind, word, size);
		p->pos += size + 1;
	} else {
		i = first && layer->kind->options[0].name != NULL ? 0 : -1;
	}
	if (i < 0) {
		list = option_list(layer->kind);
		(void)parse_failed(p, word, I_MAX(size, strcspn(word, ",| ")),
				   "%s has no such option (its options: %s)",
				   layer->kind->name, list);
		i_free(list);
		return false;
	}
	value = parse_value(p);
	return value != NULL && set_option(p, layer, i, word, value);
}

static bool parse_layer(struct spec_parser *p, struct stack_layer *layer)
{
	const char *word = p->pos;
	size_t size = word_size(word);
	char *list;
	bool first;
	unsigned int i;

	layer->kind = stream_kind_lookup(word, size);
	if (layer->kind == NULL) {
		list = kind_list();
		(void)parse_failed(p, word,
				   size > 0 ? size : strcspn(word, "| "),
				   "unknown kind (known are %s)", list);
		i_free(list);
		return false;
	}
	for (i = 0; layer->kind->options[i].name != NULL; i++)
		layer->options.numbers[i] = layer->kind->options[i].def;
	p->pos += size;
	if (*p->pos != ':')
		return true;
	for (first = true; first || *p->pos == ','; first = false) {
		p->pos++;
		if (!parse_option(p, layer, first))
			return false;
	}
	return true;
}

static bool parse_stack(struct spec_parser *p)
{
	struct stack_spec *spec = p->spec;
	struct stack_layer *layer;
	const char *start;

	for (;;) {
		skip_space(p);
		start = p->pos;
		if (spec->count == STACK_LAYERS_MAX)
			return parse_failed(p, start, strlen(start),
					    "more than %d layers",
					    STACK_LAYERS_MAX);
		layer = &spec->layers[spec->count++];
		if (!parse_layer(p, layer))
			return false;
		if (layer->kind->role == STREAM_ROLE_FILE &&
		    layer->options.texts[0] == NULL)
			return parse_failed(p, start, (size_t)(p->pos - start),
					    "file needs a path");
		skip_space(p);
		if (*p->pos == '\0')
			return true;
		if (*p->pos != '|')
			return parse_failed(p, p->pos, strcspn(p->pos, "|"),
					    "expected \"|\" or the end");
		if (layer->kind->role != STREAM_ROLE_TRANSFORM)
			return parse_failed(p, start, (size_t)(p->pos - start),
					    "%s must be the last",
					    layer->kind->name);
		p->pos++;
	}
}

struct stack_spec *stack_spec_parse(const char *text, char **error_r)
{
	struct spec_parser p = { .text = text, .pos = text };

	p.spec = i_new(struct stack_spec, 1);
	p.spec->layers = try_calloc(STACK_LAYERS_MAX, sizeof(*p.spec->layers));
	if (p.spec->layers == NULL) {
		p.error = i_strdup("out of memory");
		errno = ENOMEM;
	} else if (parse_stack(&p)) {
		return p.spec;
	} else {
		errno = EINVAL;
	}
	*error_r = p.error;
	stack_spec_free(&p.spec);
	return NULL;
}

void stack_spec_free(struct stack_spec **_spec)
{
	struct stack_spec *spec = *_spec;
	unsigned int i, j;
	int old_errno = errno;

	if (spec == NULL)
		return;
	*_spec = NULL;
	for (i = 0; i < spec->count; i++) {
		for (j = 0; j < STREAM_OPTIONS_MAX; j++)
			i_free((void *)(uintptr_t)spec->layers[i]
				       .options.texts[j]);
	}
	i_free(spec->layers);
	i_free(spec);
	errno = old_errno;
}

/*
 * Looking at it
 */

static const struct stack_layer *stack_end(const struct stack_spec *spec)
{
	const struct stack_layer *last = &spec->layers[spec->count - 1];

	return last->kind->role == STREAM_ROLE_TRANSFORM ? NULL : last;
}

unsigned int stack_spec_layer_count(const struct stack_spec *spec)
{
	return stack_end(spec) == NULL ? spec->count : spec->count - 1;
}

const char *stack_spec_layer_name(const struct stack_spec *spec, unsigned int i)
{
	return spec->layers[i].kind->name;
}

const char *stack_spec_file(const struct stack_spec *spec)
{
	const struct stack_layer *end = stack_end(spec);

	return end == NULL ? NULL : end->options.texts[0];
}

bool stack_spec_has_end(const struct stack_spec *spec)
{
	return stack_end(spec) != NULL;
}

bool stack_spec_has_layer(const struct stack_spec *spec, const char *kind)
{
	unsigned int i;

	for (i = 0; i < spec->count; i++) {
		if (strcmp(spec->layers[i].kind->name, kind) == 0)
			return true;
	}
	return false;
}

char *stack_spec_kinds(const struct stack_spec *spec)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	unsigned int i, count = stack_spec_layer_count(spec);

	for (i = 0; i < count; i++)
		buffer_append_printf(buf, "%s%s", i == 0 ? "" : "|",
				     stack_spec_layer_name(spec, i));
	if (count == 0)
		buffer_append_str(buf, "plain");
	(void)buffer_c_str(buf);
	return buffer_free_without_data(&buf);
}

static void append_options(buffer_t *buf, const struct stack_layer *layer)
{
	const struct stream_option *option;
	const char *separator = ":";
	unsigned int i;

	for (i = 0; layer->kind->options[i].name != NULL; i++) {
		option = &layer->kind->options[i];
		if (!layer->given[i] || option->type == STREAM_OPTION_TEXT)
			continue;
		if (option->type == STREAM_OPTION_INT)
			buffer_append_printf(buf, "%s%s=%ld", separator,
					     option->name,
					     layer->options.numbers[i]);
		else
			buffer_append_printf(
				buf, "%s%s=%s", separator, option->name,
				layer->options.numbers[i] != 0 ? "yes" : "no");
		separator = ",";
	}
}

char *stack_spec_text(const struct stack_spec *spec)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	unsigned int i;

	for (i = 0; i < stack_spec_layer_count(spec); i++) {
		buffer_append_printf(buf, "%s%s", i == 0 ? "" : " | ",
				     stack_spec_layer_name(spec, i));
		append_options(buf, &spec->layers[i]);
	}
	(void)buffer_c_str(buf);
	return buffer_free_without_data(&buf);
}

int stack_spec_take_recipients(const struct stack_spec *spec,
			       struct age_recipients *set, char **error_r)
{
	unsigned int i;

	for (i = 0; i < stack_spec_layer_count(spec); i++) {
		if (strcmp(stack_spec_layer_name(spec, i), "age") == 0 &&
		    stream_kind_take_recipients(&spec->layers[i].options, set,
						error_r) < 0)
			return -1;
	}
	return 0;
}

/*
 * Building
 */

static struct ostream *create_end(const struct stack_spec *spec,
				  unsigned int file_mode)
{
	const struct stack_layer *end = stack_end(spec);

	if (end == NULL)
		return o_stream_create_error_str(
			EINVAL, "the stack has no end to write to");
	if (end->kind->role == STREAM_ROLE_NULL)
		return o_stream_create_null();
	return o_stream_create_file_atomic(end->options.texts[0], file_mode, 0);
}

struct ostream *
stack_spec_create_output(const struct stack_spec *spec,
			 const struct stream_keys *keys, struct ostream *end,
			 unsigned int file_mode,
			 struct ostream *streams_r[STACK_LAYERS_MAX + 1])
{
	unsigned int count = stack_spec_layer_count(spec), i;
	const struct stack_layer *layer;
	struct ostream *output, *parent;

	if (end != NULL)
		o_stream_ref(end);
	output = end != NULL ? end : create_end(spec, file_mode);
	if (streams_r != NULL)
		streams_r[count] = output;
	for (i = count; i > 0; i--) {
		layer = &spec->layers[i - 1];
		parent = output;
		output = o_stream_create_transform(
			parent, layer->kind->encoder(&layer->options, keys));
		o_stream_set_finish_also_parent(output, true);
		o_stream_unref(&parent);
		if (streams_r != NULL)
			streams_r[i - 1] = output;
	}
	return output;
}

struct istream *
stack_spec_create_input(const struct stack_spec *spec,
			const struct stream_keys *keys, struct istream *source,
			struct istream *streams_r[STACK_LAYERS_MAX + 1])
{
	unsigned int count = stack_spec_layer_count(spec), i;
	const struct stack_layer *layer;
	struct istream *input = source, *parent;

	i_stream_ref(input);
	if (streams_r != NULL)
		streams_r[count] = input;
	for (i = count; i > 0; i--) {
		layer = &spec->layers[i - 1];
		parent = input;
		input = i_stream_create_transform(
			parent, layer->kind->decoder(&layer->options, keys));
		i_stream_unref(&parent);
		if (streams_r != NULL)
			streams_r[i - 1] = input;
	}
	return input;
}
