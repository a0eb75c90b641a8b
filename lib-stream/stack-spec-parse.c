/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* From text to a stack spec. Every error points at a word of the text. */

#include "config.h"
#include "stack-spec-private.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <string.h>

/* Longer words are neither kinds nor options. */
#define WORD_MAX 24
/* Names that differ by more are not what was meant. */
#define TYPOS_MAX 2
/* What of a bad word is repeated in an error. */
#define SHOWN_MAX 60

struct spec_parser {
	const char *text;
	const char *pos;
	struct stack_spec *spec;
	/* behind the last value, where that could have been any text */
	const char *text_end;
	struct stack_spec_word bad;
	char *error;
	int error_errno;
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
	p->bad.offset = (size_t)(word - p->text);
	p->bad.size = size;
	if (p->error_errno == 0)
		p->error_errno = EINVAL;
	p->error = size == 0 ?
		i_strdup_printf("stack spec, column %zu: %s", p->bad.offset + 1,
				why) :
		i_strdup_printf("stack spec, column %zu: \"%.*s%s\": %s",
				p->bad.offset + 1,
				(int)I_MIN(size, (size_t)SHOWN_MAX), word,
				size > SHOWN_MAX ? "..." : "", why);
	i_free(why);
	return false;
}

/*
 * Words
 */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(struct spec_parser *p)
{
	while (is_space(*p->pos))
		p->pos++;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || c == '_' || c == '-';
}

static size_t name_size(const char *word)
{
	size_t size = 0;

	while (is_name_char(word[size]))
		size++;
	return size;
}

/* To behind the closing quote, or all where there is none. */
static size_t quoted_size(const char *quote)
{
	size_t size = 1;

	while (quote[size] != '\0' && quote[size] != '"')
		size += quote[size] == '\\' && quote[size + 1] != '\0' ? 2 : 1;
	return quote[size] == '"' ? size + 1 : size;
}

/* All up to what can end a word, so that an error can show it. */
static size_t word_size(const char *word)
{
	size_t size = 0;

	while (word[size] != '\0' && strchr(",|", word[size]) == NULL &&
	       !is_space(word[size]))
		size += word[size] == '"' ? quoted_size(word + size) : 1;
	return size;
}

static bool word_is(const char *word, size_t size, const char *name)
{
	return strlen(name) == size && memcmp(word, name, size) == 0;
}

#define QUOTE_HINT(what)                 \
	" (a value with " what " in it " \
	"is written in double quotes: NAME=\"VALUE\")"

/* Behind a value that could have been any text: what to do if `end`, where it ended,
   was meant to be in it. "" elsewhere. */
static const char *quote_hint(const struct spec_parser *p, const char *end)
{
	if (p->text_end != end)
		return "";
	if (*end == ',' || *end == '|')
		return *end == ',' ? QUOTE_HINT("a comma") :
				     QUOTE_HINT("\"|\"");
	return QUOTE_HINT("white space");
}

/*
 * What was meant: the nearest of some names
 */

/* Characters to insert, remove or change to make one of the other. */
static unsigned int typos(const char *a, size_t a_size, const char *b)
{
	unsigned int row[WORD_MAX + 1], above_left, above;
	size_t i, j, b_size = strlen(b);

	if (a_size > WORD_MAX || b_size > WORD_MAX)
		return UINT32_MAX;
	for (j = 0; j <= b_size; j++)
		row[j] = (unsigned int)j;
	for (i = 1; i <= a_size; i++) {
		above_left = row[0];
		row[0] = (unsigned int)i;
		for (j = 1; j <= b_size; j++) {
			above = row[j];
			row[j] = above_left + (a[i - 1] == b[j - 1] ? 0 : 1);
			row[j] = I_MIN(row[j], above + 1);
			row[j] = I_MIN(row[j], row[j - 1] + 1);
			above_left = above;
		}
	}
	return row[b_size];
}

struct names {
	buffer_t *list; /* "a, b, c" */
	const char *word;
	size_t size;
	const char *nearest; /* NULL: none is near */
	unsigned int typos;
};

static void names_begin(struct names *names, const char *word, size_t size)
{
	memset(names, 0, sizeof(*names));
	names->list = buffer_create_dynamic(default_pool, 128);
	names->word = word;
	names->size = size;
	/* most of a word must be right */
	names->typos = (unsigned int)I_MIN(size / 2, (size_t)TYPOS_MAX) + 1;
}

static void names_add(struct names *names, const char *name)
{
	unsigned int n = typos(names->word, names->size, name);

	if (n < names->typos) {
		names->typos = n;
		names->nearest = name;
	}
	buffer_append_printf(names->list, "%s%s",
			     names->list->used == 0 ? "" : ", ", name);
}

static bool unknown_kind(struct spec_parser *p, const char *word)
{
	const struct stream_kind *kind;
	struct names names;
	unsigned int i;
	size_t size = name_size(word);

	if (size == 0 && word_size(word) == 0)
		return parse_failed(p, word, 0,
				    "the name of a kind is missing here");
	names_begin(&names, word, size);
	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++)
		names_add(&names, kind->name);
	(void)parse_failed(p, word, size > 0 ? size : word_size(word),
			   "no such kind%s%s%s (known: %s)%s",
			   names.nearest == NULL ? "" : ", did you mean \"",
			   names.nearest == NULL ? "" : names.nearest,
			   names.nearest == NULL ? "" : "\"?",
			   buffer_c_str(names.list),
			   word == p->text ? "" : quote_hint(p, word - 1));
	buffer_free(&names.list);
	return false;
}

static bool unknown_option(struct spec_parser *p,
			   const struct stream_kind *kind, const char *word,
			   size_t size)
{
	struct names names;
	unsigned int i;

	if (kind->options[0].name == NULL)
		return parse_failed(p, word, size, "%s takes no options",
				    kind->name);
	names_begin(&names, word, size);
	for (i = 0; kind->options[i].name != NULL; i++)
		names_add(&names, kind->options[i].name);
	(void)parse_failed(
		p, word, size,
		"%s has no such option%s%s%s (its options: %s)%s", kind->name,
		names.nearest == NULL ? "" : ", did you mean \"",
		names.nearest == NULL ? "" : names.nearest,
		names.nearest == NULL ? "" : "\"?", buffer_c_str(names.list),
		names.nearest == NULL ? quote_hint(p, word - 1) : "");
	buffer_free(&names.list);
	return false;
}

/*
 * Options
 */

/* Takes what is within quotes; pos is on the opening one. buf has the room. */
static bool parse_quoted(struct spec_parser *p, buffer_t *buf)
{
	const char *start = p->pos++;

	for (; *p->pos != '"'; p->pos++) {
		if (p->pos[0] == '\\' && p->pos[1] != '\0')
			p->pos++;
		if (*p->pos == '\0')
			return parse_failed(p, start, strlen(start),
					    "the quote is not closed: a \" is "
					    "missing (in quotes, \\\" and "
					    "\\\\ stand for \" and \\)");
		buffer_append_c(buf, (unsigned char)*p->pos);
	}
	p->pos++;
	return true;
}

/* Takes a value, pieces of it quoted or not. */
static bool parse_value(struct spec_parser *p, buffer_t *buf)
{
	size_t size = word_size(p->pos);

	if (buffer_try_reserve(buf, size) == NULL) {
		p->error_errno = ENOMEM;
		return parse_failed(p, p->pos, size, "out of memory");
	}
	while (*p->pos != '\0' && strchr(",|", *p->pos) == NULL &&
	       !is_space(*p->pos)) {
		if (*p->pos == '"') {
			if (!parse_quoted(p, buf))
				return false;
		} else {
			buffer_append_c(buf, (unsigned char)*p->pos++);
		}
	}
	return true;
}

/* The option that a word names, or that may go without a name. -1: none. */
static int find_option(const struct stream_kind *kind, const char *word,
		       size_t size, bool named, bool first)
{
	int i;

	if (!named)
		return first && kind->options[0].name != NULL ? 0 : -1;
	for (i = 0; kind->options[i].name != NULL; i++) {
		if (word_is(word, size, kind->options[i].name))
			return i;
	}
	return -1;
}

static bool parse_option(struct spec_parser *p, struct stack_layer *layer,
			 bool first)
{
	const char *word = p->pos;
	size_t size = name_size(word);
	bool named = size > 0 && word[size] == '=', ok;
	buffer_t *buf;
	char *why;
	int i;

	i = find_option(layer->kind, word, size, named, first);
	if (i < 0 && !named && layer->kind->options[0].name != NULL)
		return parse_failed(p, word, word_size(word),
				    "expected NAME=VALUE: only the first "
				    "option may go without its name%s",
				    quote_hint(p, word - 1));
	if (i < 0)
		return unknown_option(p, layer->kind, word,
				      named ? size : word_size(word));
	if (named)
		p->pos += size + 1;
	buf = buffer_create_dynamic(default_pool, 0);
	ok = parse_value(p, buf);
	if (ok) {
		ok = stream_options_set(&layer->options, layer->kind,
					(unsigned int)i, buffer_c_str(buf),
					&why);
		if (!ok) {
			(void)parse_failed(p, word, (size_t)(p->pos - word),
					   "%s: %s", layer->kind->name, why);
			i_free(why);
		}
	}
	if (stream_option_is_text(layer->kind->options[i].type))
		p->text_end = p->pos;
	buffer_free(&buf);
	return ok;
}

/*
 * Layers
 */

static bool check_required(struct spec_parser *p, struct stack_layer *layer,
			   const char *word)
{
	const struct stream_option *option = layer->kind->options;
	unsigned int i;

	for (i = 0; option[i].name != NULL; i++) {
		if (option[i].required && !layer->options.values[i].given)
			return parse_failed(p, word, (size_t)(p->pos - word),
					    "the %s is missing (%s:%s)",
					    option[i].name, layer->kind->name,
					    option[i].type ==
							    STREAM_OPTION_PATH ?
						    "PATH" :
						    "NUMBER");
	}
	return true;
}

static bool parse_layer(struct spec_parser *p, struct stack_layer *layer)
{
	const char *word = p->pos;
	size_t size = name_size(word);
	const struct stream_kind *kind = stream_kind_lookup(word, size);
	bool first;

	if (kind == NULL)
		return unknown_kind(p, word);
	layer->kind = kind;
	stream_options_init(&layer->options, kind);
	if ((kind->flags & STREAM_KIND_MISSING) != 0) {
		p->error_errno = ENOTSUP;
		return parse_failed(p, word, size,
				    "this build of the library lacks %s "
				    "(configure --help names the option)",
				    kind->name);
	}
	p->pos += size;
	if (*p->pos == ':') {
		for (first = true; first || *p->pos == ','; first = false) {
			p->pos++;
			if (!parse_option(p, layer, first))
				return false;
		}
	}
	return check_required(p, layer, word);
}

/* Takes the layer into the spec. */
static bool add_layer(struct spec_parser *p, struct stack_layer *layer,
		      const char *word)
{
	struct stack_spec *spec = p->spec;
	size_t size = (size_t)(p->pos - word);

	if (spec->end.kind != NULL)
		return parse_failed(p, word, size,
				    "nothing can follow %s: it is an end",
				    spec->end.kind->name);
	/* parse_layer() set it; NOLINTNEXTLINE(clang-analyzer-core.*) */
	if (layer->kind->role == STREAM_ROLE_END) {
		spec->end = *layer;
	} else if (spec->count == STACK_LAYERS_MAX) {
		return parse_failed(p, word, size, "more than %d layers",
				    STACK_LAYERS_MAX);
	} else {
		spec->layers[spec->count++] = *layer;
	}
	memset(layer, 0, sizeof(*layer));
	return true;
}

static bool parse_stack(struct spec_parser *p)
{
	struct stack_layer layer;
	const char *word, *end;
	bool ok;

	for (;;) {
		skip_space(p);
		word = p->pos;
		memset(&layer, 0, sizeof(layer));
		ok = parse_layer(p, &layer) && add_layer(p, &layer, word);
		stream_options_free(&layer.options);
		if (!ok)
			return false;
		end = p->pos;
		skip_space(p);
		if (*p->pos == '\0')
			return true;
		if (*p->pos != '|')
			return parse_failed(p, p->pos, word_size(p->pos),
					    "%s%s",
					    *p->pos == ',' ?
						    "options begin with \":\"" :
						    "expected \"|\" or the "
						    "end here",
					    quote_hint(p, end));
		p->pos++;
	}
}

static bool is_plain(const char *text)
{
	while (is_space(*text))
		text++;
	if (strncmp(text, "plain", 5) != 0)
		return false;
	for (text += 5; is_space(*text);)
		text++;
	return *text == '\0';
}

struct stack_spec *stack_spec_parse_at(const char *text,
				       struct stack_spec_word *bad_r,
				       char **error_r)
{
	struct spec_parser p = { .text = text, .pos = text };

	p.spec = i_new(struct stack_spec, 1);
	p.spec->layers = try_calloc(STACK_LAYERS_MAX, sizeof(*p.spec->layers));
	if (p.spec->layers == NULL) {
		p.error = i_strdup("stack spec: out of memory");
		p.error_errno = ENOMEM;
	} else if (is_plain(text) || parse_stack(&p)) {
		return p.spec;
	}
	stack_spec_free(&p.spec);
	*error_r = p.error;
	if (bad_r != NULL)
		*bad_r = p.bad;
	errno = p.error_errno;
	return NULL;
}

struct stack_spec *stack_spec_parse(const char *text, char **error_r)
{
	return stack_spec_parse_at(text, NULL, error_r);
}
