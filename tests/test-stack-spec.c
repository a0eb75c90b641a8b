/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* Stack specs: what is parsed and how it is written out again, and what the errors point
   at. */

#include "config.h"
#include "stack-spec.h"
#include "stack-spec-private.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>

struct spelling {
	const char *text, *whole, *settings, *decoding;
	unsigned int layers;
	const char *end;
};
static const struct spelling spellings[] = {
	{ "plain", "plain", "plain", "plain", 0, NULL },
	{ "  plain\n", "plain", "plain", "plain", 0, NULL },
	{ "gzip", "gzip", "gzip", "gzip", 1, NULL },
	{ "gzip:9", "gzip:9", "gzip:9", "gzip", 1, NULL },
	{ "gzip:level=-1", "gzip:-1", "gzip:-1", "gzip", 1, NULL },
	{ " dot|lz4:3 |\tage ", "dot | lz4:3 | age", "dot | lz4:3 | age",
	  "dot|lz4|age", 3, NULL },
	{ "dot:extra_crlf=yes,loose=no", "dot:extra_crlf=yes,loose=no",
	  "dot:extra_crlf=yes,loose=no", "dot:extra_crlf=yes", 1, NULL },
	{ "dot:yes", "dot:extra_crlf=yes", "dot:extra_crlf=yes",
	  "dot:extra_crlf=yes", 1, NULL },
	{ "dot:loose=yes,extra_crlf=no", "dot:extra_crlf=no,loose=yes",
	  "dot:extra_crlf=no,loose=yes", "dot:extra_crlf=no", 1, NULL },
	{ "age:recipients=\"a b.txt\"", "age:recipients=\"a b.txt\"", "age",
	  "age", 1, NULL },
	{ "age:keys,identity=\"x\\\"y\\\\z|,\"",
	  "age:recipients=keys,identity=\"x\\\"y\\\\z|,\"", "age", "age", 1,
	  NULL },
	{ "age:recipient=" TEST_RECIPIENT, "age:recipient=" TEST_RECIPIENT,
	  "age", "age", 1, NULL },
	{ "age:threads=2,recipients=r,async=no",
	  "age:recipients=r,threads=2,async=no", "age:threads=2,async=no",
	  "age", 1, NULL },
	{ "age:dir\" and \"file", "age:recipients=\"dir and file\"", "age",
	  "age", 1, NULL },
	{ "gzip:level=\"3\",async=y\"es\"", "gzip:3,async=yes",
	  "gzip:3,async=yes", "gzip", 1, NULL },
	/* any other character behind a backslash is itself */
	{ "file:\"a\\b\\,\\ \"", "file:\"ab, \"", "plain", "plain", 0, "file" },
	{ "file:\"\"a\"\"", "file:a", "plain", "plain", 0, "file" },
	{ "file:a\\b", "file:\"a\\\\b\"", "plain", "plain", 0, "file" },
	{ "file:a:b'c#d", "file:a:b'c#d", "plain", "plain", 0, "file" },
	{ "file:\"a=b\"", "file:\"a=b\"", "plain", "plain", 0, "file" },
	{ "file:out", "file:out", "plain", "plain", 0, "file" },
	{ "lz4:3 | file:path=/tmp/a=b", "lz4:3 | file:\"/tmp/a=b\"", "lz4:3",
	  "lz4", 1, "file" },
	{ "limit:2k | hex | null", "limit:2048 | hex | null",
	  "limit:2048 | hex", "hex", 2, "null" },
	{ "limit:3G|gzip", "limit:3221225472 | gzip", "limit:3221225472 | gzip",
	  "gzip", 2, NULL },
	{ "limit:1T", "limit:1099511627776", "limit:1099511627776", "plain", 1,
	  NULL },
	{ "base64:0 | base64url:1024", "base64:0 | base64url:1024",
	  "base64:0 | base64url:1024", "base64|base64url", 2, NULL },
#ifdef HAVE_LZMA
	{ "xz:memory=64K | lzma:0,memory=65536",
	  "xz:memory=65536 | lzma:0,memory=65536",
	  "xz:memory=65536 | lzma:0,memory=65536", "xz|lzma", 2, NULL },
#endif
	{ "base64:76|crlf|lf|json|zlib:0|deflate|lz4:12",
	  "base64:76 | crlf | lf | json | zlib:0 | deflate | lz4:12",
	  "base64:76 | crlf | lf | json | zlib:0 | deflate | lz4:12",
	  "base64|crlf|lf|json|zlib|deflate|lz4", 7, NULL },
};

/* That this is how it is written out, which means the same. */
static void must_be_written(const struct stack_spec *spec,
			    enum stack_spec_form form, const char *want)
{
	char *text = stack_spec_format(spec, form), *twice;
	struct stack_spec *again;

	assert_string_equal(text, want);
	again = test_stack_parse(text);
	twice = stack_spec_format(again, form);
	assert_string_equal(twice, want);
	stack_spec_free(&again);
	free(text);
	free(twice);
}

static void test_every_spelling_has_one_form(void **state ATTR_UNUSED)
{
	const struct spelling *row;
	struct stack_spec *spec;
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(spellings); i++) {
		row = &spellings[i];
		spec = test_stack_parse(row->text);
		must_be_written(spec, STACK_SPEC_WHOLE, row->whole);
		must_be_written(spec, STACK_SPEC_SETTINGS, row->settings);
		must_be_written(spec, STACK_SPEC_DECODING, row->decoding);
		assert_int_equal(stack_spec_layer_count(spec), row->layers);
		if (row->end == NULL)
			assert_null(stack_spec_end_kind(spec));
		else
			assert_string_equal(stack_spec_end_kind(spec)->name,
					    row->end);
		stack_spec_free(&spec);
	}
}

struct bad_spec {
	const char *text;
	size_t column; /* from 1 */
	const char *word;
	const char *says;
};
static const struct bad_spec bad_specs[] = {
	{ "", 1, "", "the name of a kind is missing" },
	{ "   ", 4, "", "the name of a kind is missing" },
	{ "gzip |", 7, "", "the name of a kind is missing" },
	{ "| gzip", 1, "", "the name of a kind is missing" },
	{ "gzip || zstd", 7, "", "the name of a kind is missing" },
	{ "zst", 1, "zst", "did you mean \"zstd\"?" },
	{ "dot | gizp:3 | age", 7, "gizp", "did you mean \"gzip\"?" },
	{ "dot | quux", 7, "quux", "no such kind (known: dot, gzip," },
	{ "x", 1, "x", "no such kind (known: dot" },
	{ "GZIP", 1, "GZIP", "no such kind" },
	{ "plain | gzip", 1, "plain", "no such kind" },
	{ "\xc3\xa4hm", 1, "\xc3\xa4hm", "no such kind" },
	{ "gzip:10", 6, "10", "gzip: level must be a number from -1" },
	{ "gzip:", 6, "", "level must be a number" },
	{ "gzip:3x", 6, "3x", "level must be a number" },
	{ "gzip:99999999999999999999", 6, "99999999999999999999",
	  "level must be a number" },
	{ "dot | lz4:level=13", 11, "level=13", "from 0 to 12" },
	{ "lz4:levle=3", 5, "levle",
	  "did you mean \"level\"? (its options: level, async)" },
#ifdef HAVE_ZSTD
	{ "dot | zstd:0", 12, "0",
	  "zstd: level must be a number from -131072 to 22, not 0" },
	{ "zstd:level=-0", 6, "level=-0", "level must be a number" },
#endif
	/* what would be refused only when something is written */
	{ "base64:77", 8, "77",
	  "base64: line must be a number from 0 to 1024, a multiple of 4" },
	{ "gzip | base64url:line=1022", 18, "line=1022", "a multiple of 4" },
	{ "base64:1028", 8, "1028", "from 0 to 1024, a multiple of 4" },
#ifdef HAVE_LZMA
	{ "xz:6,memory=0", 6, "memory=0",
	  "xz: memory must be a number of bytes from 65536 to "
	  "9223372036854775807 (K, M," },
	{ "lzma:memory=63K", 6, "memory=63K", "bytes from 65536 to 92" },
	{ "xz:memory=9223372036854775808", 4, "memory=9223372036854775808",
	  "bytes from 65536 to 9223372036854775807" },
#endif
	{ "hex:3", 5, "3", "hex takes no options" },
	{ "hex:a=3", 5, "a", "hex takes no options" },
	{ "dot:loose=maybe", 5, "loose=maybe", "must be yes or no" },
	{ "dot:yes,yes", 9, "yes", "expected NAME=VALUE" },
	{ "gzip:3,", 8, "", "expected NAME=VALUE" },
	{ "gzip:3,level=4", 8, "level=4", "level is given twice" },
	{ "age:threads=0", 5, "threads=0",
	  "threads must be a number from 1 to 64" },
	{ "age:recipients=", 5, "recipients=", "recipients is empty" },
	{ "age:recipient=age1xyz", 5, "recipient=age1xyz",
	  "not an age recipient" },
	{ "age:recipients=\"\"", 5, "recipients=\"\"", "recipients is empty" },
	{ "gzip:\"\"", 6, "\"\"", "level must be a number" },
	{ "gzip:\" 3\"", 6, "\" 3\"", "level must be a number" },
	{ "age:\"keys | zstd", 5, "\"keys | zstd", "the quote is not closed" },
	{ "age:\"keys\\", 5, "\"keys\\", "the quote is not closed" },
	{ "dot | file:a\"b c\\\"", 13, "\"b c\\\"",
	  "the quote is not closed: a \" is missing (in quotes, \\\" and "
	  "\\\\ stand for \" and \\)" },
	{ "file:\"", 6, "\"", "the quote is not closed" },
	{ "gzip zstd", 6, "zstd", "expected \"|\" or the end" },
	{ "gzip,3", 5, "", "options begin with \":\"" },
	/* a quoted word is shown as a whole */
	{ "gzip \"a | b\",c", 6, "\"a | b\"", "expected \"|\" or the end" },
	{ "gzip \"a\\\" b\"c|d", 6, "\"a\\\" b\"c",
	  "expected \"|\" or the end" },
	{ "gzip x\"a b", 6, "x\"a b", "expected \"|\" or the end" },
	{ "gzip \"a \\", 6, "\"a \\", "expected \"|\" or the end" },
	{ "dot:yes,\"a, b\"", 9, "\"a, b\"", "expected NAME=VALUE" },
	{ "hex:\"a b\"", 5, "\"a b\"", "hex takes no options" },
	{ "\"my kind\":3", 1, "\"my kind\":3", "no such kind" },
	{ "file", 1, "file", "the path is missing (file:PATH)" },
	{ "limit", 1, "limit", "the size is missing (limit:NUMBER)" },
	{ "limit:-1", 7, "-1", "size must be a number of bytes" },
	{ "limit:9999999999999999T", 7, "9999999999999999T",
	  "size must be a number of bytes from 0 to 9223372036854775807" },
	{ "limit:1KB", 7, "1KB", "size must be a number of bytes" },
	{ "limit:\"1 \"", 7, "\"1 \"", "size must be a number of bytes" },
	{ "file:a | gzip:1", 10, "gzip:1",
	  "nothing can follow file: it is an end" },
	{ "null | null", 8, "null", "nothing can follow null" },
};

static void must_be_wrong(const struct bad_spec *row)
{
	struct stack_spec_word bad;
	char *error, column[32];

	errno = 0;
	if (stack_spec_parse_at(row->text, &bad, &error) != NULL)
		fail_msg("\"%s\" was parsed", row->text);
	assert_int_equal(errno, EINVAL);
	(void)snprintf(column, sizeof(column), "column %zu: ", row->column);
	if (strstr(error, column) == NULL || strstr(error, row->says) == NULL)
		fail_msg("\"%s\": %s", row->text, error);
	if (bad.offset + 1 != row->column || bad.size != strlen(row->word) ||
	    memcmp(row->text + bad.offset, row->word, bad.size) != 0)
		fail_msg("\"%s\": the word is %zu, %zu", row->text, bad.offset,
			 bad.size);
	free(error);
}

static void test_errors_point_at_the_bad_word(void **state ATTR_UNUSED)
{
	unsigned int i;

	for (i = 0; i < N_ELEMENTS(bad_specs); i++)
		must_be_wrong(&bad_specs[i]);
}

#define QUOTED " in it is written in double quotes: NAME=\"VALUE\")"

/* Where a value could have been meant to go on, and nowhere else. */
static void test_errors_tell_of_quotes(void **state ATTR_UNUSED)
{
	static const struct bad_spec rows[] = {
		{ "age:recipients=/home/me/my keys.txt", 28, "keys.txt",
		  "the end here (a value with white space" QUOTED },
		{ "dot | file:a\t\tb c", 15, "b", "white space" QUOTED },
		{ "file:a , b", 8, "",
		  "\":\" (a value with white space" QUOTED },
		{ "file:'a b'", 9, "b'", "white space" QUOTED },
		{ "file:\"a b\" c", 12, "c", "white space" QUOTED },
		{ "age:recipients=a,b.txt", 18, "b.txt",
		  "without its name (a value with a comma" QUOTED },
		{ "file:a,b=c", 8, "b", "path) (a value with a comma" QUOTED },
		{ "age:recipients=a|b|zstd", 18, "b",
		  "null) (a value with \"|\"" QUOTED },
	};
	static const char *const others[] = {
		"gzip 3",
		"gzip:3 4",
		"gzip:3,4",
		"age:keys,threads=1,x",
		"age:keys,threads=1 x",
		"gzip:3|x",
		"age:keys | x",
		"age:keys |x",
		"age:keys,identty=x",
		"age:x=keys",
		"age:keys|gzip x",
		"x",
	};
	unsigned int i;
	char *error;

	for (i = 0; i < N_ELEMENTS(rows); i++)
		must_be_wrong(&rows[i]);
	for (i = 0; i < N_ELEMENTS(others); i++) {
		assert_null(stack_spec_parse(others[i], &error));
		if (strstr(error, "quotes") != NULL)
			fail_msg("\"%s\": %s", others[i], error);
		free(error);
	}
}

/*
 * Any text as a value
 */

/* How a person would write it who quotes everything. */
static void append_in_quotes(buffer_t *buf, const char *value)
{
	buffer_append_c(buf, '"');
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			buffer_append_c(buf, '\\');
		buffer_append_c(buf, (unsigned char)*value);
	}
	buffer_append_c(buf, '"');
}

/* Parses a stack with the value at two places: in what is first, and in what is
   named. The text that has the same in it is the caller's. */
static char *values_must_be(const char *text, const char *value)
{
	struct stack_spec *spec = test_stack_parse(text);
	char *whole = stack_spec_format(spec, STACK_SPEC_WHOLE);

	assert_string_equal(spec->layers[0].options.values[2].text, value);
	assert_string_equal(spec->end.options.values[0].text, value);
	stack_spec_free(&spec);
	return whole;
}

static void must_survive(const char *value)
{
	buffer_t *text = buffer_create_dynamic(default_pool, 64);
	char *whole, *twice;

	buffer_append_str(text, "age:identity=");
	append_in_quotes(text, value);
	buffer_append_str(text, ",threads=2|file:");
	append_in_quotes(text, value);
	whole = values_must_be(buffer_c_str(text), value);
	twice = values_must_be(whole, value);
	assert_string_equal(twice, whole);
	free(whole);
	free(twice);
	buffer_free(&text);
}

static void test_any_text_survives(void **state ATTR_UNUSED)
{
	static const char sharp[] = "\"\\,|:= \t\na";
	const unsigned int count = sizeof(sharp) - 1;
	char value[5] = "", *large;
	unsigned int i;

	for (i = 1; i < 256; i++) {
		(void)snprintf(value, sizeof(value), "%c", (int)i);
		must_survive(value);
		(void)snprintf(value, sizeof(value), "x%cy", (int)i);
		must_survive(value);
	}
	for (i = 0; i < count * count * count * count; i++) {
		value[0] = sharp[i % count];
		value[1] = sharp[i / count % count];
		value[2] = sharp[i / count / count % count];
		value[3] = sharp[i / count / count / count];
		must_survive(value);
	}
	/* longer than any path */
	large = malloc(100001);
	memset(large, '"', 100000);
	large[100000] = '\0';
	must_survive(large);
	free(large);
}

/* What this build lacks is known, and told from what nobody knows. */
static void test_kinds_that_the_build_lacks(void **state ATTR_UNUSED)
{
	struct stack_spec *spec;
	char *error = NULL;

	spec = stack_spec_parse("zstd:3", &error);
#ifdef HAVE_ZSTD
	assert_non_null(spec);
	stack_spec_free(&spec);
#else
	assert_null(spec);
	assert_int_equal(errno, ENOTSUP);
	assert_non_null(strstr(error, "column 1: \"zstd\": this build"));
	free(error);
#endif
}

static void test_long_words_are_cut_in_errors(void **state ATTR_UNUSED)
{
	char text[5000], *error;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_null(stack_spec_parse(text, &error));
	assert_true(strlen(error) < 400);
	assert_non_null(strstr(error, "xxx...\": no such kind"));
	free(error);
}

static void test_too_many_layers(void **state ATTR_UNUSED)
{
	char text[STACK_LAYERS_MAX * 5 + 10] = "hex", *error;
	struct stack_spec *spec;
	unsigned int i;

	for (i = 1; i < STACK_LAYERS_MAX; i++)
		strcat(text, "|hex");
	spec = test_stack_parse(text);
	assert_int_equal(stack_spec_layer_count(spec), STACK_LAYERS_MAX);
	stack_spec_free(&spec);
	strcat(text, "|hex");
	assert_null(stack_spec_parse(text, &error));
	assert_non_null(strstr(error, "more than 32 layers"));
	free(error);
}

/* Whatever the text is, either a spec that can be written out, or an error with
   a word within the text. */
static void test_random_texts(void **state ATTR_UNUSED)
{
	static const char *const pieces[] = {
		"gzip",       "zstd", "age",        "dot", "file", "null",
		"limit",      ":",    ":",          ",",   "|",    "|",
		"=",          "\"",   "\\",         " ",   "3",    "level",
		"path",       "yes",  "extra_crlf", "\t",  "\x01", "\xff",
		"recipients", "x",
	};
	struct stack_spec_word bad;
	struct stack_spec *spec;
	char text[256], *out, *again;
	uint32_t seed = 1;
	unsigned int i, j, n, good = 0;

	for (i = 0; i < 20000; i++) {
		text[0] = '\0';
		n = test_random(&seed) % 12;
		for (j = 0; j < n; j++)
			strcat(text,
			       pieces[test_random(&seed) % N_ELEMENTS(pieces)]);
		spec = stack_spec_parse_at(text, &bad, &out);
		if (spec != NULL) {
			good++;
			out = stack_spec_format(spec, STACK_SPEC_WHOLE);
			stack_spec_free(&spec);
			spec = test_stack_parse(out);
			again = stack_spec_format(spec, STACK_SPEC_WHOLE);
			assert_string_equal(again, out);
			stack_spec_free(&spec);
			free(again);
		} else {
			assert_true(bad.offset + bad.size <= strlen(text));
		}
		free(out);
	}
	assert_true(good > 20);
}

static void test_what_a_store_may_use(void **state ATTR_UNUSED)
{
	static const struct {
		const char *text, *says; /* NULL: it may */
	} cases[] = {
		{ "plain", NULL },
		{ "lz4 | age", NULL },
		{ "limit:1G | gzip | base64", NULL },
		{ "deflate|hex", NULL },
		{ "dot | lz4", "\"dot\" cannot be in the stack of a store" },
		{ "lz4 | json", "\"json\" cannot" },
		{ "crlf", "\"crlf\" cannot" },
		{ "lf", "\"lf\" cannot" },
		{ "lz4 | file:x", "leave \"file\" out" },
		{ "null", "leave \"null\" out" },
	};
	struct stack_spec *spec;
	unsigned int i;
	char *error;
	int ret;

	for (i = 0; i < N_ELEMENTS(cases); i++) {
		spec = test_stack_parse(cases[i].text);
		ret = stack_spec_check_storable(spec, &error);
		assert_int_equal(ret, cases[i].says == NULL ? 0 : -1);
		if (ret < 0) {
			assert_non_null(strstr(error, cases[i].says));
			free(error);
		}
		stack_spec_free(&spec);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_spelling_has_one_form),
		cmocka_unit_test(test_errors_point_at_the_bad_word),
		cmocka_unit_test(test_errors_tell_of_quotes),
		cmocka_unit_test(test_any_text_survives),
		cmocka_unit_test(test_kinds_that_the_build_lacks),
		cmocka_unit_test(test_long_words_are_cut_in_errors),
		cmocka_unit_test(test_too_many_layers),
		cmocka_unit_test(test_random_texts),
		cmocka_unit_test(test_what_a_store_may_use),
	};

	return cmocka_run_group_tests_name("stack-spec", tests, NULL, NULL);
}
