/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The registry of kinds is a table that people and programs rely on: what must
   hold for every row of it. */

#include "config.h"
#include "age-keys.h"
#include "stack-spec.h"
#include "stream-kinds.h"
#include "test-stream-common.h"
#include "transform.h"

#include <stdlib.h>

static bool is_text(const struct stream_option *option)
{
	return option->type == STREAM_OPTION_PATH ||
		option->type == STREAM_OPTION_RECIPIENT ||
		option->type == STREAM_OPTION_RECIPIENTS ||
		option->type == STREAM_OPTION_IDENTITIES;
}

static void check_options(const struct stream_kind *kind)
{
	const struct stream_option *option, *other;

	for (option = kind->options; option->name != NULL; option++) {
		if (option - kind->options >= STREAM_OPTIONS_MAX)
			fail_msg("%s: too many options", kind->name);
		assert_true(strlen(option->help) > 0);
		assert_null(strchr(option->help, '\n'));
		for (other = kind->options; other < option; other++)
			assert_string_not_equal(other->name, option->name);
		if (option->type == STREAM_OPTION_INT) {
			assert_true(option->min <= option->max);
			assert_in_range(option->def - option->min, 0,
					option->max - option->min);
		}
		/* a record must not depend on somebody's files */
		if (is_text(option))
			assert_false(option->decodes);
	}
}

/* What this build was configured without. */
static bool is_missing(const char *name)
{
	static const char *const missing[] = {
#ifndef HAVE_ZSTD
		"zstd",
#endif
#ifndef HAVE_BZIP2
		"bzip2",
#endif
#ifndef HAVE_LZMA
		"xz", "lzma",
#endif
		NULL
	};
	unsigned int i;

	for (i = 0; missing[i] != NULL && strcmp(missing[i], name) != 0; i++)
		;
	return missing[i] != NULL;
}

static void test_rows_are_complete(void **state ATTR_UNUSED)
{
	const struct stream_kind *kind;
	unsigned int i;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		assert_ptr_equal(stream_kind_lookup(kind->name,
						    strlen(kind->name)),
				 kind);
		assert_true(strlen(kind->help) > 0 && strlen(kind->help) < 70);
		assert_null(strchr(kind->help, '\n'));
		assert_string_not_equal(kind->name, "plain");
		assert_string_not_equal(kind->name, "auto");
		check_options(kind);
		assert_true((kind->role == STREAM_ROLE_TRANSFORM) ==
			    (kind->encoder != NULL && kind->decoder != NULL));
		assert_true((kind->role == STREAM_ROLE_PLUMBING) ==
			    (kind->output != NULL && kind->input != NULL));
		assert_true((kind->role == STREAM_ROLE_END) ==
			    (kind->open_output != NULL &&
			     kind->open_input != NULL));
		assert_true(((kind->flags & STREAM_KIND_MISSING) != 0) ==
			    is_missing(kind->name));
	}
	assert_null(stream_kind_get(i + 1));
	assert_null(stream_kind_lookup("gzi", 3));
	assert_null(stream_kind_lookup("gzipp", 5));
	assert_null(stream_kind_lookup("", 0));
}

/* The transform's own name is the kind's, so that errors speak of one thing; and
   each direction is what it says. */
static void test_transforms_are_what_the_row_says(void **state ATTR_UNUSED)
{
	struct stream_options options;
	const struct stream_kind *kind;
	struct transform *encoder, *decoder;
	unsigned int i;

	memset(&options, 0, sizeof(options));
	options.recipients = age_recipients_new();
	options.identities = age_identities_new();
	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if (kind->role != STREAM_ROLE_TRANSFORM)
			continue;
		encoder = kind->encoder(&options);
		decoder = kind->decoder(&options);
		if (strcmp(kind->name, "lf") != 0) {
			assert_string_equal(encoder->class_->name, kind->name);
			assert_string_equal(decoder->class_->name, kind->name);
			assert_int_equal(
				encoder->class_->flags & TRANSFORM_DECODER, 0);
			assert_int_not_equal(
				decoder->class_->flags & TRANSFORM_DECODER, 0);
		}
		assert_int_equal((kind->flags & STREAM_KIND_ENCRYPTED) != 0,
				 (decoder->class_->flags &
				  TRANSFORM_AUTHENTICATED) != 0);
		transform_free(&encoder);
		transform_free(&decoder);
	}
	age_recipients_unref(&options.recipients);
	age_identities_unref(&options.identities);
}

static void test_magics(void **state ATTR_UNUSED)
{
	const struct stream_kind *kind, *other;
	size_t wanted = 0, longest = 0;
	unsigned int i, j;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if (kind->magic_size == 0)
			continue;
		longest = I_MAX(longest, kind->magic_size);
		longest = I_MAX(longest, kind->confirm_size);
		assert_ptr_equal(stream_kind_recognise(kind->magic,
						       kind->magic_size,
						       &wanted),
				 kind->confirm == NULL ? kind : NULL);
		assert_null(stream_kind_recognise(kind->magic,
						  kind->magic_size - 1, NULL));
		/* none begins like another */
		for (j = 0; (other = stream_kind_get(j)) != NULL; j++) {
			if (other != kind && other->magic_size > 0)
				assert_int_not_equal(
					memcmp(other->magic, kind->magic,
					       I_MIN(other->magic_size,
						     kind->magic_size)),
					0);
		}
		/* text could begin like a short one */
		assert_true(kind->magic_size >= 3);
		assert_true((kind->confirm != NULL) ==
			    (kind->confirm_size > kind->magic_size));
	}
	assert_int_equal(wanted, longest);
	for (i = 0; i < 3; i++) {
		kind = stream_kind_lookup(i == 0         ? "zlib" :
						  i == 1 ? "deflate" :
							   "dot",
					  i == 0         ? 4 :
						  i == 1 ? 7 :
							   3);
		assert_int_equal(kind->magic_size, 0);
	}
}

#define ARMOR "-----BEGIN AGE ENCRYPTED FILE-----"

static void test_magics_that_could_be_text(void **state ATTR_UNUSED)
{
	static const struct {
		const char *data;
		size_t size;
		const char *kind;
	} rows[] = {
		{ TEST_BYTES("BZh91AY&SY"), "bzip2" },
		{ TEST_BYTES("BZh11AY&SY and so on"), "bzip2" },
		{ TEST_BYTES("BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0"), "bzip2" },
		{ TEST_BYTES("BZh91AY&S"), NULL },
		{ TEST_BYTES("BZh01AY&SY"), NULL },
		{ TEST_BYTES("BZh91AY&SX"), NULL },
		{ TEST_BYTES("BZhang wrote a mail"), NULL },
		{ TEST_BYTES(ARMOR "\n"), "armor" },
		{ TEST_BYTES(ARMOR "\r\n"), "armor" },
		{ TEST_BYTES(ARMOR "\r"), NULL },
		{ TEST_BYTES(ARMOR " \n"), NULL },
		{ TEST_BYTES(ARMOR), NULL },
	};
	const struct stream_kind *kind;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		kind = stream_kind_recognise(rows[i].data, rows[i].size, NULL);
		if (rows[i].kind == NULL)
			assert_null(kind);
		else
			assert_string_equal(kind->name, rows[i].kind);
	}
}

/* Writes and reads a little with one value for one option. */
static void option_works(const struct stream_kind *kind, unsigned int i,
			 int64_t number)
{
	static const char text[] = "some text\r\n";
	struct stream_options options;
	buffer_t *encoded, *out = buffer_create_dynamic(default_pool, 64);
	unsigned int j;

	memset(&options, 0, sizeof(options));
	for (j = 0; kind->options[j].name != NULL; j++)
		options.values[j].number = kind->options[j].def;
	options.values[i].number = number;
	options.recipients = test_keys.recipients;
	options.identities = test_keys.identities;
	encoded = test_encode(stream_kind_transform(kind, true, &options), text,
			      sizeof(text) - 1);
	if (test_decode(stream_kind_transform(kind, false, &options),
			encoded->data, encoded->used, out) != 0)
		fail_msg("%s:%s=%lld: %s", kind->name, kind->options[i].name,
			 (long long)number, test_stream_error);
	buffer_free(&encoded);
	buffer_free(&out);
}

/* What a spec may say is what the codec takes, up to both ends of its range: who
   is told that a stack is good must be able to write through it. */
static void test_both_ends_of_each_range_work(void **state ATTR_UNUSED)
{
	const struct stream_option *option;
	const struct stream_kind *kind;
	unsigned int i, j;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if (kind->role != STREAM_ROLE_TRANSFORM ||
		    (kind->flags & STREAM_KIND_MISSING) != 0)
			continue;
		for (j = 0; kind->options[j].name != NULL; j++) {
			option = &kind->options[j];
			if (option->type == STREAM_OPTION_BOOL) {
				option_works(kind, j, 0);
				option_works(kind, j, 1);
			} else if (option->type == STREAM_OPTION_INT) {
				option_works(kind, j, option->max);
				/* which is a bound for what others wrote */
				if (strcmp(option->name, "window") == 0)
					continue;
				option_works(kind, j, option->min);
				option_works(kind, j,
					     option->min + option->multiple);
			}
		}
	}
}

/* The text has the name as a word of its own, in backquotes. */
static bool documents(const char *text, const char *name)
{
	char quoted[64];

	(void)snprintf(quoted, sizeof(quoted), "`%s`", name);
	return strstr(text, quoted) != NULL;
}

static void test_every_kind_and_option_is_documented(void **state ATTR_UNUSED)
{
	const char *top = getenv("top_srcdir");
	const struct stream_option *option;
	const struct stream_kind *kind;
	char path[4096];
	buffer_t *doc;
	unsigned int i;

	(void)snprintf(path, sizeof(path), "%s/doc/stack-specs.md",
		       top != NULL ? top : ".");
	doc = test_read_file(path);
	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if (!documents(buffer_c_str(doc), kind->name))
			fail_msg("%s says nothing of %s", path, kind->name);
		for (option = kind->options; option->name != NULL; option++) {
			if (!documents(buffer_c_str(doc), option->name))
				fail_msg("%s says nothing of %s's %s", path,
					 kind->name, option->name);
		}
	}
	buffer_free(&doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows_are_complete),
		cmocka_unit_test(test_transforms_are_what_the_row_says),
		cmocka_unit_test(test_magics),
		cmocka_unit_test(test_magics_that_could_be_text),
		cmocka_unit_test(test_both_ends_of_each_range_work),
		cmocka_unit_test(test_every_kind_and_option_is_documented),
	};

	return cmocka_run_group_tests_name("stream-kinds", tests,
					   test_keys_setup, test_keys_teardown);
}
