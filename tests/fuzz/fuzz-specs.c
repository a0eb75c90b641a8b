/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Stack specs: any text is one, which means the same when it is written anew, or an error
   that says what is wrong and where. */

#include "config.h"
#include "fuzz-common.h"

#include "stack-spec.h"

#include <errno.h>
#include <stdlib.h>

static void refused(const char *text, const struct stack_spec_word *bad,
		    char *error)
{
	assert_true(errno == EINVAL || errno == ENOTSUP);
	assert_non_null(error);
	assert_true(strlen(error) > 0);
	assert_true(bad->offset <= strlen(text));
	assert_true(bad->size <= strlen(text) - bad->offset);
	free(error);
}

static void same_layers(const struct stack_spec *a, const struct stack_spec *b)
{
	unsigned int i, count = stack_spec_layer_count(a);

	assert_int_equal(stack_spec_layer_count(b), count);
	for (i = 0; i < count; i++)
		assert_ptr_equal(stack_spec_layer_kind(a, i),
				 stack_spec_layer_kind(b, i));
}

static void format_again(const struct stack_spec *spec,
			 enum stack_spec_form form)
{
	char *text = stack_spec_format(spec, form), *again;
	struct stack_spec *parsed = test_stack_parse(text);

	if (form == STACK_SPEC_WHOLE) {
		same_layers(spec, parsed);
		assert_ptr_equal(stack_spec_end_kind(spec),
				 stack_spec_end_kind(parsed));
	}
	again = stack_spec_format(parsed, form);
	assert_string_equal(text, again);
	free(text);
	free(again);
	stack_spec_free(&parsed);
}

void fuzz_one(const unsigned char *data, size_t size)
{
	struct stack_spec_word bad = { SIZE_MAX, SIZE_MAX };
	char *text = strndup((const char *)data, size), *error = NULL;
	struct stack_spec *spec;

	assert_non_null(text);
	errno = 0;
	spec = stack_spec_parse_at(text, &bad, &error);
	if (spec == NULL) {
		refused(text, &bad, error);
	} else {
		format_again(spec, STACK_SPEC_WHOLE);
		format_again(spec, STACK_SPEC_SETTINGS);
		format_again(spec, STACK_SPEC_DECODING);
		error = NULL;
		if (stack_spec_check_storable(spec, &error) < 0) {
			assert_int_equal(errno, EINVAL);
			assert_true(strlen(error) > 0);
			free(error);
		}
		stack_spec_free(&spec);
	}
	free(text);
}

void fuzz_setup(void)
{
}

void fuzz_seeds(void)
{
	static const char *const texts[] = {
		"plain",
		"zstd:3 | age:recipients=keys.txt | file:out",
		"age:recipient=" TEST_RECIPIENT ",threads=4,async=yes",
		"dot:extra_crlf=yes,loose=no|gzip:-1",
		"limit:10M | base64:76 | base64url:line=4 | hex",
		"xz:9,memory=1G|lzma:0|bzip2:9|lz4:12|zlib|deflate",
		"file:\"a \\\"quoted\\\" \\\\ path\"",
		"qp:binary=yes|json|crlf|lf|armor|dovecot_lz4|null",
		"zstd:level=19,window=31,threads=64 | age:identity=k",
	};
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(texts); i++)
		fuzz_seed(texts[i], strlen(texts[i]));
}
