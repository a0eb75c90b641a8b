/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* All kinds by number and by name: the library's, and behind them the program's own. */

#include "config.h"
#include "stream-kinds-private.h"
#include "macros.h"
#include "mem.h"
#include "stream-options.h"
#include "transforms.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* Published by the count: who reads needs no lock, and none is ever taken away. */
static const struct stream_kind *own[STREAM_KINDS_OWN_MAX];
static atomic_uint own_count;
static pthread_mutex_t own_mutex = PTHREAD_MUTEX_INITIALIZER;

/*
 * Looking at them
 */

const struct stream_kind *stream_kind_get(unsigned int i)
{
	unsigned int builtin = stream_kind_builtin_count();

	if (i < builtin)
		return stream_kind_builtin(i);
	i -= builtin;
	return i < atomic_load(&own_count) ? own[i] : NULL;
}

const struct stream_kind *stream_kind_lookup(const char *name, size_t size)
{
	const struct stream_kind *kind;
	unsigned int i;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if (strlen(kind->name) == size &&
		    memcmp(kind->name, name, size) == 0)
			return kind;
	}
	return NULL;
}

int stream_kind_made_nothing(const char **why_r)
{
	int error = errno;

	*why_r = error == 0 ? "it made nothing, and gave no reason" :
			      strerror(error);
	/* what cannot be undone here is not damaged for that */
	return error == 0 || error == EINVAL ? EIO : error;
}

struct transform *stream_kind_no_transform(const struct stream_kind *kind,
					   bool writing)
{
	const char *why;
	int error = stream_kind_made_nothing(&why);

	return transform_create_error(
		kind->name, writing ? 0 : TRANSFORM_DECODER, error, "%s", why);
}

struct transform *stream_kind_transform(const struct stream_kind *kind,
					bool writing,
					const struct stream_options *options)
{
	struct transform *t;
	unsigned int i;

	errno = 0;
	t = writing ? kind->encoder(options) : kind->decoder(options);
	if (t == NULL)
		return stream_kind_no_transform(kind, writing);
	for (i = 0; kind->options[i].name != NULL; i++) {
		if (strcmp(kind->options[i].name, "async") == 0 &&
		    options->values[i].number != 0)
			return transform_create_async(t);
	}
	return t;
}

/*
 * Registering
 */

/* As a spec can have it, and a line of a spool's record. */
static bool is_name(const char *name)
{
	size_t size = name == NULL ? 0 : strlen(name);

	return size > 0 && size <= STREAM_KIND_NAME_MAX &&
		strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == size;
}

static bool is_one_line(const char *help)
{
	return help != NULL && strchr(help, '\n') == NULL;
}

/* What is wrong with one option, a sentence's end; NULL: nothing. */
static const char *find_option_fault(const struct stream_option *option)
{
	if (!is_name(option->name))
		return "an option's name is no word of a-z, 0-9, _ and -";
	if (!is_one_line(option->help))
		return "an option's help is no line of text";
	if (option->type < STREAM_OPTION_INT ||
	    option->type > STREAM_OPTION_WORD)
		return "an option's type is not known";
	if (option->type == STREAM_OPTION_INT &&
	    (option->min > option->max || option->multiple < 0))
		return "an option's range is empty";
	/* one that must be given has none */
	if (!option->required && !stream_option_takes(option, option->def))
		return "an option's default is not in its range";
	/* a record must not depend on somebody's files */
	if (option->decodes && stream_option_is_text(option->type) &&
	    option->type != STREAM_OPTION_WORD)
		return "an option that decodes is a number, yes or no, or a word";
	if (strcmp(option->name, "async") == 0 &&
	    option->type != STREAM_OPTION_BOOL)
		return "the option async is not a BOOL";
	return NULL;
}

static const char *find_options_fault(const struct stream_option *options)
{
	const char *fault;
	unsigned int i, j;

	for (i = 0; options[i].name != NULL; i++) {
		if (i == STREAM_OPTIONS_MAX)
			return "it has too many options";
		fault = find_option_fault(&options[i]);
		if (fault != NULL)
			return fault;
		for (j = 0; j < i; j++) {
			if (strcmp(options[i].name, options[j].name) == 0)
				return "two of its options have one name";
		}
	}
	return NULL;
}

static const char *find_end_fault(const struct stream_kind *kind)
{
	if (kind->open_output == NULL || kind->open_input == NULL)
		return "an end has an open_output and an open_input";
	if (kind->options[0].name == NULL)
		return NULL;
	if (kind->options[0].type != STREAM_OPTION_PATH)
		return "the first option of an end is a PATH";
	/* which would not be handed to its functions */
	return kind->options[1].name == NULL ?
		NULL :
		"an end has no option but its path";
}

/* Both directions: what cannot be done in one is for its functions to say. */
static const char *find_role_fault(const struct stream_kind *kind)
{
	switch (kind->role) {
	case STREAM_ROLE_TRANSFORM:
		return kind->encoder != NULL && kind->decoder != NULL ?
			NULL :
			"a transform has an encoder and a decoder";
	case STREAM_ROLE_PLUMBING:
		return kind->output != NULL && kind->input != NULL ?
			NULL :
			"plumbing has an output and an input";
	case STREAM_ROLE_END:
		return find_end_fault(kind);
	default:
		return "its role is not known";
	}
}

static const char *find_fault(const struct stream_kind *kind)
{
	const char *fault;

	if (!is_name(kind->name))
		return "its name is no word of a-z, 0-9, _ and -";
	if (strcmp(kind->name, "plain") == 0 || strcmp(kind->name, "auto") == 0)
		return "that word means something else in a spec";
	if (!is_one_line(kind->help))
		return "its help is no line of text";
	if ((kind->flags & ~STREAM_KIND_FLAGS) != 0)
		return "its flags are not known";
	if (kind->magic_size > STREAM_KIND_HEAD_MAX ||
	    kind->confirm_size > STREAM_KIND_HEAD_MAX ||
	    (kind->magic_size > 0) != (kind->magic != NULL))
		return "its magic is too long, or has no size";
	fault = find_role_fault(kind);
	return fault != NULL ? fault : find_options_fault(kind->options);
}

/* Under the mutex: 0, or an errno and why. */
static int add_own(const struct stream_kind *kind, const char **why_r)
{
	const struct stream_kind *other =
		stream_kind_lookup(kind->name, strlen(kind->name));
	unsigned int count = atomic_load(&own_count);

	if (other == kind)
		return 0;
	if (other != NULL) {
		*why_r = "there is a kind of this name";
		return EEXIST;
	}
	if (count == STREAM_KINDS_OWN_MAX) {
		*why_r = "there are too many";
		return ENOSPC;
	}
	own[count] = kind;
	atomic_store(&own_count, count + 1);
	return 0;
}

int stream_kind_register(const struct stream_kind *kind, char **error_r)
{
	const char *why = find_fault(kind);
	int error = EINVAL;

	if (why == NULL) {
		(void)pthread_mutex_lock(&own_mutex);
		error = add_own(kind, &why);
		(void)pthread_mutex_unlock(&own_mutex);
	}
	if (error == 0)
		return 0;
	if (error_r != NULL)
		*error_r = i_strdup_printf(
			"the kind \"%s\" cannot be registered: %s",
			kind->name == NULL ? "" : kind->name, why);
	errno = error;
	return -1;
}
