/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */
#include "config.h"
#include "stream-options.h"
#include "age-keys.h"
#include "macros.h"
#include "mem.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool stream_option_is_text(enum stream_option_type type)
{
	return type == STREAM_OPTION_PATH || type == STREAM_OPTION_RECIPIENT ||
		type == STREAM_OPTION_RECIPIENTS ||
		type == STREAM_OPTION_IDENTITIES || type == STREAM_OPTION_WORD;
}

void stream_options_init(struct stream_options *options,
			 const struct stream_kind *kind)
{
	unsigned int i;

	memset(options, 0, sizeof(*options));
	options->kind = kind;
	for (i = 0; kind->options[i].name != NULL; i++)
		options->values[i].number = kind->options[i].def;
}

void stream_options_free(struct stream_options *options)
{
	unsigned int i;

	for (i = 0; i < STREAM_OPTIONS_MAX; i++)
		i_free((void *)(uintptr_t)options->values[i].text);
	age_recipients_unref(&options->recipients);
	age_identities_unref(&options->identities);
	memset(options, 0, sizeof(*options));
}

/*
 * From text
 */

static bool parse_number(const char *value, int64_t *number_r,
			 const char **rest_r)
{
	const char *digits = *value == '-' ? value + 1 : value;
	char *end;
	long long number;

	if (*digits < '0' || *digits > '9')
		return false;
	errno = 0;
	number = strtoll(value, &end, 10);
	*number_r = number;
	*rest_r = end;
	return errno == 0;
}

bool stream_option_takes(const struct stream_option *option, int64_t number)
{
	switch (option->type) {
	case STREAM_OPTION_INT:
		return number >= option->min && number <= option->max &&
			(number != 0 || !option->no_zero) &&
			(option->multiple == 0 ||
			 number % option->multiple == 0);
	case STREAM_OPTION_SIZE:
		return number >= 0 && number >= option->min;
	case STREAM_OPTION_BOOL:
		return number == 0 || number == 1;
	default:
		return true;
	}
}

static bool parse_int(const struct stream_option *option, const char *value,
		      int64_t *number_r)
{
	const char *rest;

	return parse_number(value, number_r, &rest) && *rest == '\0' &&
		stream_option_takes(option, *number_r);
}

/* What a number must be, for i_free(). */
static char *int_rule(const struct stream_option *option)
{
	char *rule, *whole;

	rule = i_strdup_printf("%s must be a number from %" PRId64
			       " to %" PRId64 "%s",
			       option->name, option->min, option->max,
			       option->no_zero ? ", not 0" : "");
	if (option->multiple == 0)
		return rule;
	whole = i_strdup_printf("%s, a multiple of %" PRId64, rule,
				option->multiple);
	i_free(rule);
	return whole;
}

static bool parse_size(const struct stream_option *option, const char *value,
		       int64_t *number_r)
{
	static const char units[] = "KMGT";
	const char *rest, *unit;
	int shift;

	if (!parse_number(value, number_r, &rest) || *number_r < 0)
		return false;
	if (*rest == '\0')
		return stream_option_takes(option, *number_r);
	/* of either case; a space becomes a NUL by that, which strchr() finds */
	unit = *rest == ' ' ? NULL : strchr(units, *rest & ~0x20);
	if (unit == NULL || rest[1] != '\0')
		return false;
	shift = 10 * (int)(unit - units + 1);
	if (*number_r > INT64_MAX >> shift)
		return false;
	*number_r <<= shift;
	return stream_option_takes(option, *number_r);
}

static char *size_rule(const struct stream_option *option)
{
	return i_strdup_printf("%s must be a number of bytes from %" PRId64
			       " to %" PRId64 " (K, M, G or T may follow it)",
			       option->name, option->min, INT64_MAX);
}

static bool parse_bool(const char *value, int64_t *number_r)
{
	*number_r = strcmp(value, "yes") == 0 ? 1 : 0;
	return *number_r == 1 || strcmp(value, "no") == 0;
}

static bool check_recipient(const char *value, char **error_r)
{
	struct age_recipients *set = age_recipients_new();
	bool ok = age_recipients_add(set, value, error_r) == 0;

	age_recipients_unref(&set);
	return ok;
}

static bool is_word(const char *value)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"0123456789._-";
	size_t size = strlen(value);

	return size <= STREAM_KIND_NAME_MAX && strspn(value, allowed) == size;
}

static bool set_text(struct stream_options *options, unsigned int i,
		     enum stream_option_type type, const char *name,
		     const char *value, char **error_r)
{
	if (*value == '\0') {
		*error_r = i_strdup_printf("%s is empty", name);
		return false;
	}
	if (type == STREAM_OPTION_RECIPIENT && !check_recipient(value, error_r))
		return false;
	if (type == STREAM_OPTION_WORD && !is_word(value)) {
		*error_r = i_strdup_printf("%s must be a word of at most %d "
					   "letters, digits, \".\", \"_\" and "
					   "\"-\"",
					   name, STREAM_KIND_NAME_MAX);
		return false;
	}
	options->values[i].text = i_strdup(value);
	return true;
}

bool stream_options_set(struct stream_options *options,
			const struct stream_kind *kind, unsigned int i,
			const char *value, char **error_r)
{
	const struct stream_option *option = &kind->options[i];
	int64_t *number = &options->values[i].number;
	bool ok = true;

	if (options->values[i].given) {
		*error_r = i_strdup_printf("%s is given twice", option->name);
		return false;
	}
	options->values[i].given = true;
	if (stream_option_is_text(option->type))
		return set_text(options, i, option->type, option->name, value,
				error_r);
	if (option->type == STREAM_OPTION_INT) {
		ok = parse_int(option, value, number);
		if (!ok)
			*error_r = int_rule(option);
	} else if (option->type == STREAM_OPTION_SIZE) {
		ok = parse_size(option, value, number);
		if (!ok)
			*error_r = size_rule(option);
	} else {
		ok = parse_bool(value, number);
		if (!ok)
			*error_r = i_strdup_printf("%s must be yes or no",
						   option->name);
	}
	return ok;
}

/*
 * To text
 */

static void append_quoted(buffer_t *buf, const char *text)
{
	if (text[strcspn(text, ",|\"\\= \t\r\n\v\f")] == '\0') {
		buffer_append_str(buf, text);
		return;
	}
	buffer_append_c(buf, '"');
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			buffer_append_c(buf, '\\');
		buffer_append_c(buf, (unsigned char)*text);
	}
	buffer_append_c(buf, '"');
}

void stream_options_append(const struct stream_options *options,
			   const struct stream_kind *kind, unsigned int i,
			   buffer_t *buf)
{
	enum stream_option_type type = kind->options[i].type;

	if (stream_option_is_text(type))
		append_quoted(buf, options->values[i].text);
	else if (type == STREAM_OPTION_BOOL)
		buffer_append_str(
			buf, options->values[i].number != 0 ? "yes" : "no");
	else
		buffer_append_printf(buf, "%" PRId64,
				     options->values[i].number);
}

/*
 * Keys
 */

char *stream_context_path(const struct stream_context *context,
			  const char *path)
{
	if (path == NULL || *path == '/' || context == NULL ||
	    context->base_dir == NULL)
		return i_strdup(path);
	return i_strdup_printf("%s/%s", context->base_dir, path);
}

static bool kind_has_option(const struct stream_kind *kind,
			    enum stream_option_type type)
{
	unsigned int i;

	for (i = 0; kind->options[i].name != NULL; i++) {
		if (kind->options[i].type == type)
			return true;
	}
	return false;
}

static bool is_public(enum stream_option_type type)
{
	return type == STREAM_OPTION_RECIPIENT ||
		type == STREAM_OPTION_RECIPIENTS;
}

/* Adds the public keys that the options name. 1, 0: they name none, -1. */
static int add_recipients(const struct stream_options *options,
			  const struct stream_kind *kind,
			  const struct stream_context *context,
			  struct age_recipients *set, char **error_r)
{
	const char *text;
	unsigned int i;
	char *path;
	int ret = 0, added = 0;

	for (i = 0; ret == 0 && kind->options[i].name != NULL; i++) {
		text = options->values[i].text;
		if (text == NULL || !is_public(kind->options[i].type))
			continue;
		added = 1;
		if (kind->options[i].type == STREAM_OPTION_RECIPIENT) {
			ret = age_recipients_add(set, text, error_r);
			continue;
		}
		path = stream_context_path(context, text);
		ret = age_recipients_add_file(set, path, error_r);
		i_free(path);
	}
	return ret < 0 ? -1 : added;
}

/* The same for secret ones. */
static int add_identities(const struct stream_options *options,
			  const struct stream_kind *kind,
			  const struct stream_context *context,
			  struct age_identities *set, char **error_r)
{
	const char *text;
	unsigned int i;
	char *path;
	int ret = 0, added = 0;

	for (i = 0; ret == 0 && kind->options[i].name != NULL; i++) {
		text = options->values[i].text;
		if (text == NULL ||
		    kind->options[i].type != STREAM_OPTION_IDENTITIES)
			continue;
		added = 1;
		path = stream_context_path(context, text);
		ret = age_identities_add_file(set, path, NULL, error_r);
		i_free(path);
	}
	return ret < 0 ? -1 : added;
}

/* Those of the context stand in where a layer names none. */
static int find_recipients(const struct stream_kind *kind,
			   const struct stream_context *context,
			   struct age_recipients **set_r, char **error_r)
{
	if (context != NULL && context->recipients != NULL) {
		*set_r = context->recipients;
		return 0;
	}
	*error_r = i_strdup_printf("%s encrypts, but for whom? Give it a file "
				   "of public keys (%s:recipients=FILE) or one "
				   "(%s:recipient=age1...)",
				   kind->name, kind->name, kind->name);
	errno = EDESTADDRREQ;
	return -1;
}

static int add_all(struct age_recipients *set,
		   const struct age_recipients *others, char **error_r)
{
	char text[AGE_RECIPIENT_TEXT_SIZE];
	unsigned int i;

	for (i = 0; i < age_recipients_count(others); i++) {
		age_recipients_get_text(others, i, text);
		if (age_recipients_add(set, text, error_r) < 0)
			return -1;
	}
	return 0;
}

int stream_options_take_recipients(const struct stream_options *options,
				   const struct stream_kind *kind,
				   const struct stream_context *context,
				   struct age_recipients *set, char **error_r)
{
	struct age_recipients *others;
	int ret;

	if (!kind_has_option(kind, STREAM_OPTION_RECIPIENTS))
		return 0;
	ret = add_recipients(options, kind, context, set, error_r);
	if (ret != 0)
		return ret > 0 ? 0 : -1;
	if (find_recipients(kind, context, &others, error_r) < 0)
		return -1;
	return add_all(set, others, error_r);
}

static int load_recipients(struct stream_options *options,
			   const struct stream_kind *kind,
			   const struct stream_context *context, char **error_r)
{
	struct age_recipients *set = age_recipients_new();
	int ret;

	ret = add_recipients(options, kind, context, set, error_r);
	if (ret > 0) {
		options->recipients = set;
		return 0;
	}
	age_recipients_unref(&set);
	if (ret < 0)
		return -1;
	if (find_recipients(kind, context, &options->recipients, error_r) < 0)
		return -1;
	age_recipients_ref(options->recipients);
	return 0;
}

static int load_identities(struct stream_options *options,
			   const struct stream_kind *kind,
			   const struct stream_context *context, char **error_r)
{
	struct age_identities *set = age_identities_new();
	int ret;

	ret = add_identities(options, kind, context, set, error_r);
	if (ret > 0) {
		options->identities = set;
		return 0;
	}
	age_identities_unref(&set);
	if (ret < 0)
		return -1;
	if (context == NULL || context->identities == NULL) {
		*error_r = i_strdup_printf("the data is encrypted (%s), and no "
					   "identity (secret key) was given to "
					   "read it",
					   kind->name);
		errno = ENOKEY;
		return -1;
	}
	age_identities_ref(context->identities);
	options->identities = context->identities;
	return 0;
}

int stream_options_load_keys(struct stream_options *options,
			     const struct stream_kind *kind, bool writing,
			     const struct stream_context *context,
			     char **error_r)
{
	if (writing && options->recipients == NULL &&
	    kind_has_option(kind, STREAM_OPTION_RECIPIENTS))
		return load_recipients(options, kind, context, error_r);
	if (!writing && options->identities == NULL &&
	    kind_has_option(kind, STREAM_OPTION_IDENTITIES))
		return load_identities(options, kind, context, error_r);
	return 0;
}
