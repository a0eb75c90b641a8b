/* Copyright (c) 2026 The Bobbin authors. MIT licence, see LICENSE. */

/* The streams that a stack spec makes: the keys they want, what they write and read, and
   their threads. */

#include "config.h"
#include "age-keys.h"
#include "stack-spec.h"
#include "test-stream-common.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
	if (test_keys_setup(state) < 0)
		return -1;
	test_write_file(test_path("recipients"), test_keys.recipient,
			strlen(test_keys.recipient));
	return 0;
}

/* Writes the data through the spec; the bytes that came out. */
static buffer_t *write_through(const struct stack_spec *spec,
			       const struct stream_context *context,
			       const void *data, size_t size)
{
	buffer_t *buf = buffer_create_dynamic(default_pool, 1024);
	struct ostream *streams[STACK_LAYERS_MAX + 1];
	struct ostream *end = o_stream_create_buffer(buf), *output;

	output = stack_spec_create_output(spec, context, end, streams);
	assert_ptr_equal(streams[0], output);
	assert_ptr_equal(streams[stack_spec_layer_count(spec)], end);
	o_stream_unref(&end);
	if (o_stream_send(output, data, size) != (ssize_t)size ||
	    o_stream_finish(output) != 1)
		fail_msg("%s", o_stream_get_error(output));
	assert_int_equal(streams[0]->offset, size);
	assert_int_equal(streams[stack_spec_layer_count(spec)]->offset,
			 buf->used);
	o_stream_destroy(&output);
	return buf;
}

/* Reads it back; the errno. */
static int read_through(const struct stack_spec *spec,
			const struct stream_context *context, const void *data,
			size_t size, buffer_t *out)
{
	struct istream *streams[STACK_LAYERS_MAX + 1];
	struct istream *source = i_stream_create_from_data(data, size), *input;
	int ret;

	input = stack_spec_create_input(spec, context, source, streams);
	assert_ptr_equal(streams[0], input);
	assert_ptr_equal(streams[stack_spec_layer_count(spec)], source);
	i_stream_unref(&source);
	buffer_set_used_size(out, 0);
	ret = test_read_all(input, out);
	if (ret == 0)
		assert_int_equal(
			streams[stack_spec_layer_count(spec)]->v_offset, size);
	i_stream_unref(&input);
	return ret;
}

static void round_trip(const char *text, const void *data, size_t size)
{
	struct stream_context context = { .recipients = test_keys.recipients,
					  .identities = test_keys.identities };
	struct stack_spec *spec = test_stack_parse(text);
	buffer_t *encoded, *out = buffer_create_dynamic(default_pool, 1024);
	int ret;

	encoded = write_through(spec, &context, data, size);
	ret = read_through(spec, &context, encoded->data, encoded->used, out);
	if (ret != 0 || out->used != size || memcmp(out->data, data, size) != 0)
		fail_msg("%s: errno %d, %zu bytes of %zu", text, ret, out->used,
			 size);
	buffer_free(&encoded);
	buffer_free(&out);
	stack_spec_free(&spec);
}

/* Text whose lines all end in CRLF. */
static char *crlf_text(size_t lines, size_t *size_r)
{
	char *text = malloc(lines * 20 + 1);
	size_t i, size = 0;

	assert_non_null(text);
	for (i = 0; i < lines; i++)
		size += (size_t)sprintf(text + size, "%sline %zu\r\n",
					i % 3 == 0 ? "." : "", i);
	*size_r = size;
	return text;
}

static void test_every_kind_is_undone(void **state ATTR_UNUSED)
{
	static const size_t sizes[] = { 0, 1, 1000, 65535, 65536, 65537 };
	const struct stream_kind *kind;
	unsigned char *data;
	unsigned int i, j;
	size_t size;
	char *text;

	for (i = 0; (kind = stream_kind_get(i)) != NULL; i++) {
		if (kind->role != STREAM_ROLE_TRANSFORM ||
		    (kind->flags & STREAM_KIND_MISSING) != 0)
			continue;
		for (j = 0; j < N_ELEMENTS(sizes); j++) {
			/* what has line ends in its rules gets text */
			if (strcmp(kind->name, "dot") == 0 ||
			    strcmp(kind->name, "lf") == 0) {
				text = crlf_text(sizes[j] / 10, &size);
				round_trip(kind->name, text, size);
				free(text);
				continue;
			}
			data = test_data((kind->flags & STREAM_KIND_LOSSLESS) !=
							 0 ?
						 TEST_DATA_RANDOM :
						 TEST_DATA_TEXT,
					 sizes[j]);
			round_trip(kind->name, data, sizes[j]);
			free(data);
		}
	}
}

static void test_stacks_are_undone(void **state ATTR_UNUSED)
{
	static const char *const specs[] = {
		"plain",
		"gzip:1 | zlib:9 | deflate",
		"lz4 | base64:76 | hex",
		"age | base64:76 | crlf | json",
		"limit:1M | age | age",
		"dot | lz4 | age",
		"lf | dot | gzip",
		"dot | dot | dot:extra_crlf=yes | hex",
	};
	unsigned int i;
	size_t size;
	char *text = crlf_text(8000, &size);

	for (i = 0; i < N_ELEMENTS(specs); i++)
		round_trip(specs[i], text, size);
	free(text);
}

/* One finish on top reaches the file, also through a dot (which by itself
   leaves its parent alone). */
static void test_own_end(void **state ATTR_UNUSED)
{
	struct stream_context context = { .base_dir = test_dir(),
					  .file_mode = 0600 };
	struct stack_spec *spec = test_stack_parse("dot | gzip | file:out.gz");
	struct ostream *output;
	struct istream *input;
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	struct stat st;

	output = stack_spec_create_output(spec, &context, NULL, NULL);
	assert_int_equal(o_stream_send_str(output, "hello\r\n"), 7);
	assert_int_equal(access(test_path("out.gz"), F_OK), -1);
	assert_int_equal(o_stream_finish(output), 1);
	o_stream_destroy(&output);
	assert_int_equal(stat(test_path("out.gz"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	input = stack_spec_create_input(spec, &context, NULL, NULL);
	assert_int_equal(test_read_all(input, out), 0);
	assert_string_equal(buffer_c_str(out), "hello\r\n");
	i_stream_unref(&input);

	/* given up: the old file stays, and nothing else */
	output = stack_spec_create_output(spec, &context, NULL, NULL);
	assert_int_equal(o_stream_send_str(output, "other\r\n"), 7);
	o_stream_abort(output);
	o_stream_destroy(&output);
	input = stack_spec_create_input(spec, &context, NULL, NULL);
	buffer_set_used_size(out, 0);
	assert_int_equal(test_read_all(input, out), 0);
	assert_string_equal(buffer_c_str(out), "hello\r\n");
	i_stream_unref(&input);
	assert_int_equal(test_command("test -z \"$(ls -A '%s' | grep tmp)\"",
				      test_dir()),
			 0);
	stack_spec_free(&spec);

	/* no end at all */
	spec = test_stack_parse("gzip");
	output = stack_spec_create_output(spec, NULL, NULL, NULL);
	assert_int_equal(output->stream_errno, EINVAL);
	o_stream_destroy(&output);
	input = stack_spec_create_input(spec, NULL, NULL, NULL);
	assert_int_equal(test_read_all(input, out), EINVAL);
	i_stream_unref(&input);
	stack_spec_free(&spec);
	buffer_free(&out);
}

static int write_file_end(const char *path)
{
	struct stack_spec *spec;
	struct ostream *output;
	char text[1024];
	int ret;

	(void)snprintf(text, sizeof(text), "file:\"%s\"", path);
	spec = test_stack_parse(text);
	output = stack_spec_create_output(spec, NULL, NULL, NULL);
	o_stream_nsend_str(output, "new");
	ret = o_stream_finish(output) == 1 ? 0 : output->stream_errno;
	if (ret != 0)
		o_stream_abort(output);
	o_stream_destroy(&output);
	stack_spec_free(&spec);
	return ret;
}

/* Replacing a device or a link by a file would be a bad surprise. */
static void test_what_is_no_file_stays(void **state ATTR_UNUSED)
{
	const char *target = test_path("target"), *link = test_path("link");
	struct stat st;
	buffer_t *buf;

	assert_int_equal(write_file_end("/dev/null"), 0);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(write_file_end("/dev/full"), ENOSPC);
	assert_int_equal(write_file_end(test_dir()), EISDIR);
	assert_int_equal(write_file_end(test_path("no/such/dir")), ENOENT);

	test_write_file(target, "old", 3);
	assert_int_equal(chmod(target, 0640), 0);
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(write_file_end(link), 0);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	buf = test_read_file(target);
	assert_string_equal(buffer_c_str(buf), "new");
	buffer_free(&buf);
	/* who may read it has not changed */
	assert_int_equal(stat(target, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(unlink(target), 0);
	assert_int_equal(write_file_end(link), ENOENT);
}

/*
 * Keys
 */

static void check_key_failure(const char *text, bool writing, int error,
			      const char *says)
{
	struct stream_context context = { .base_dir = test_dir() };
	struct stack_spec *spec = test_stack_parse(text);
	buffer_t *buf = buffer_create_dynamic(default_pool, 64);
	struct ostream *end = o_stream_create_buffer(buf), *output;
	struct istream *source = i_stream_create_from_data("x", 1), *input;
	char *text_r = NULL;

	errno = 0;
	assert_int_equal(stack_spec_load_keys(spec, writing, &context, &text_r),
			 -1);
	assert_int_equal(errno, error);
	if (strstr(text_r, says) == NULL)
		fail_msg("%s: %s", text, text_r);
	free(text_r);
	/* and without loading them first, the stream says the same */
	if (writing) {
		output = stack_spec_create_output(spec, &context, end, NULL);
		assert_int_equal(output->stream_errno, error);
		assert_non_null(strstr(o_stream_get_error(output), says));
		o_stream_abort(output);
		o_stream_unref(&output);
	} else {
		input = stack_spec_create_input(spec, &context, source, NULL);
		assert_int_equal(test_read_all(input, buf), error);
		assert_non_null(strstr(i_stream_get_error(input), says));
		i_stream_unref(&input);
	}
	assert_int_equal(buf->used, 0);
	o_stream_unref(&end);
	i_stream_unref(&source);
	buffer_free(&buf);
	stack_spec_free(&spec);
}

static void test_missing_keys(void **state ATTR_UNUSED)
{
	static const char typo[] = "# a comment\nage1notakey\n";

	test_write_file(test_path("typo"), typo, strlen(typo));
	check_key_failure("gzip | age", true, EDESTADDRREQ,
			  "age encrypts, but for whom?");
	check_key_failure("age:nothere", true, ENOENT, "nothere");
	check_key_failure("age:typo", true, EINVAL, "typo: line 2: ");
	check_key_failure("age:identity=key", true, EDESTADDRREQ, "for whom");
	check_key_failure("age | gzip", false, ENOKEY, "no identity");
	check_key_failure("age:recipients", false, ENOKEY, "no identity");
	check_key_failure("age:identity=recipients", false, EINVAL,
			  "recipients: line 1: ");
}

/* Nobody has given any. */
static void test_no_context(void **state ATTR_UNUSED)
{
	struct stack_spec *spec = test_stack_parse("age");
	char *error = NULL;

	assert_int_equal(stack_spec_load_keys(spec, true, NULL, &error), -1);
	assert_int_equal(errno, EDESTADDRREQ);
	free(error);
	assert_int_equal(stack_spec_load_keys(spec, false, NULL, &error), -1);
	assert_int_equal(errno, ENOKEY);
	free(error);
	stack_spec_free(&spec);
}

static void test_keys_are_loaded_once(void **state ATTR_UNUSED)
{
	struct stream_context context = { .base_dir = test_dir() };
	struct stack_spec *spec;
	buffer_t *encoded, *out = buffer_create_dynamic(default_pool, 64);
	char *error = NULL;

	test_write_file(test_path("r2"), test_keys.recipient,
			strlen(test_keys.recipient));
	assert_int_equal(test_command("cp '%s' '%s'", test_path("key"),
				      test_path("k2")),
			 0);
	spec = test_stack_parse("zlib | age:recipients=r2,identity=k2");
	/* twice is once */
	assert_int_equal(stack_spec_load_keys(spec, true, &context, &error), 0);
	assert_int_equal(stack_spec_load_keys(spec, true, &context, &error), 0);
	assert_int_equal(stack_spec_load_keys(spec, false, &context, &error),
			 0);
	assert_int_equal(unlink(test_path("r2")), 0);
	assert_int_equal(unlink(test_path("k2")), 0);
	encoded = write_through(spec, NULL, "secret", 6);
	assert_int_equal(
		read_through(spec, NULL, encoded->data, encoded->used, out), 0);
	assert_string_equal(buffer_c_str(out), "secret");
	buffer_free(&encoded);
	buffer_free(&out);
	stack_spec_free(&spec);
}

static void test_take_recipients(void **state ATTR_UNUSED)
{
	struct stream_context context = { .base_dir = test_dir() };
	struct age_recipients *set = age_recipients_new();
	struct stack_spec *spec;
	char *error = NULL;

	spec = test_stack_parse(
		"gzip | age:recipients=recipients,recipient=" TEST_RECIPIENT
		" | age:recipient=" TEST_RECIPIENT);
	assert_int_equal(
		stack_spec_take_recipients(spec, &context, set, &error), 0);
	assert_int_equal(age_recipients_count(set), 2);
	stack_spec_free(&spec);
	spec = test_stack_parse("gzip | age");
	assert_int_equal(
		stack_spec_take_recipients(spec, &context, set, &error), -1);
	assert_int_equal(errno, EDESTADDRREQ);
	free(error);
	/* the context's stand in */
	context.recipients = set;
	set = age_recipients_new();
	assert_int_equal(
		stack_spec_take_recipients(spec, &context, set, &error), 0);
	assert_int_equal(age_recipients_count(set), 2);
	stack_spec_free(&spec);
	age_recipients_unref(&context.recipients);
	age_recipients_unref(&set);
}

/*
 * Whole files
 */

/* A dot ends before its input does: what is below it must be looked at, too. */
static void test_nothing_follows_the_end(void **state ATTR_UNUSED)
{
	struct stack_spec *dot = test_stack_parse("dot"),
			  *stack = test_stack_parse("dot | gzip");
	struct stack_spec *gzip = test_stack_parse("gzip");
	buffer_t *out = buffer_create_dynamic(default_pool, 64), *encoded;
	static const char text[] = "hello\r\n.\r\nmore";

	assert_int_equal(read_through(dot, NULL, text, 10, out), 0);
	assert_string_equal(buffer_c_str(out), "hello\r\n");
	assert_int_equal(read_through(dot, NULL, text, sizeof(text) - 1, out),
			 EINVAL);
	assert_string_equal(buffer_c_str(out), "hello\r\n");

	/* a second text in the gzip file */
	encoded = write_through(gzip, NULL, text, sizeof(text) - 1);
	assert_int_equal(read_through(stack, NULL, encoded->data, encoded->used,
				      out),
			 EINVAL);
	buffer_free(&encoded);
	/* its CRC is wrong, or missing */
	encoded = write_through(stack, NULL, "hello\r\n", 7);
	((unsigned char *)(uintptr_t)encoded->data)[encoded->used - 6] ^= 1;
	assert_int_equal(read_through(stack, NULL, encoded->data, encoded->used,
				      out),
			 EINVAL);
	((unsigned char *)(uintptr_t)encoded->data)[encoded->used - 6] ^= 1;
	assert_int_equal(read_through(stack, NULL, encoded->data,
				      encoded->used - 1, out),
			 EPIPE);
	assert_int_equal(read_through(stack, NULL, encoded->data, encoded->used,
				      out),
			 0);
	buffer_free(&encoded);
	buffer_free(&out);
	stack_spec_free(&dot);
	stack_spec_free(&gzip);
	stack_spec_free(&stack);
}

static void test_limit(void **state ATTR_UNUSED)
{
	struct stack_spec *spec = test_stack_parse("limit:1000 | gzip");
	struct stack_spec *gzip = test_stack_parse("gzip");
	unsigned char *zeros = test_data(TEST_DATA_ZEROS, 1001);
	buffer_t *out = buffer_create_dynamic(default_pool, 64), *encoded;
	struct ostream *end = o_stream_create_null(), *output;

	encoded = write_through(spec, NULL, zeros, 1000);
	assert_int_equal(
		read_through(spec, NULL, encoded->data, encoded->used, out), 0);
	assert_int_equal(out->used, 1000);
	buffer_free(&encoded);

	encoded = write_through(gzip, NULL, zeros, 1001);
	assert_int_equal(read_through(spec, NULL, encoded->data, encoded->used,
				      out),
			 EFBIG);
	assert_int_equal(out->used, 1000);
	buffer_free(&encoded);

	output = stack_spec_create_output(spec, NULL, end, NULL);
	assert_int_equal(o_stream_send(output, zeros, 1001), -1);
	assert_int_equal(output->stream_errno, EFBIG);
	o_stream_abort(output);
	o_stream_unref(&output);
	o_stream_unref(&end);
	buffer_free(&out);
	free(zeros);
	stack_spec_free(&spec);
	stack_spec_free(&gzip);
}

/* The options that ask for threads get them, and these end with the stream; age's
   when they are worth it. */
static void test_threads(void **state ATTR_UNUSED)
{
	static const struct {
		const char *spec;
		size_t size;
		unsigned int threads;
	} rows[] = { { "gzip", 5, 0 },
		     { "gzip:async=yes", 5, 1 },
		     { "lz4:async=yes | zlib:async=yes", 5, 2 },
#ifdef HAVE_ZSTD
		     { "zstd:threads=2", 5, 2 },
		     { "zstd:threads=2,async=yes", 5, 3 },
#endif
		     { "age", 1000000, 0 },
		     { "age:threads=1", 1000000, 0 },
		     { "age:threads=3", 1000000, 3 },
		     { "age:threads=3", 500000, 0 },
		     { "dot | hex", 5, 0 } };
	struct stream_context context = { .recipients = test_keys.recipients };
	unsigned char *data = test_data(TEST_DATA_TEXT, 1000000);
	unsigned int before = test_count_threads();
	struct stack_spec *spec;
	struct ostream *end, *s;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spec = test_stack_parse(rows[i].spec);
		end = o_stream_create_null();
		s = stack_spec_create_output(spec, &context, end, NULL);
		assert_int_equal(o_stream_send(s, data, rows[i].size),
				 rows[i].size);
		assert_int_equal(o_stream_flush(s), 1);
		assert_int_equal(test_count_threads(),
				 before + rows[i].threads);
		assert_int_equal(o_stream_finish(s), 1);
		o_stream_destroy(&s);
		o_stream_unref(&end);
		stack_spec_free(&spec);
		test_threads_are(before);
	}
	free(data);
}

/* And so does a reader. */
static void test_threads_of_a_reader(void **state ATTR_UNUSED)
{
	struct stream_context context = { .recipients = test_keys.recipients,
					  .identities = test_keys.identities };
	struct stack_spec *spec = test_stack_parse("age:threads=3");
	unsigned char *data = test_data(TEST_DATA_TEXT, 1000000);
	buffer_t *file = write_through(spec, &context, data, 1000000);
	struct istream *source =
		i_stream_create_from_data(file->data, file->used);
	struct istream *input =
		stack_spec_create_input(spec, &context, source, NULL);
	unsigned int before = test_count_threads();

	while (input->v_offset < 800000) {
		assert_true(i_stream_read(input) > 0);
		i_stream_skip(input, i_stream_get_data_size(input));
	}
	assert_int_equal(test_count_threads(), before + 3);
	i_stream_unref(&input);
	test_threads_are(before);
	i_stream_unref(&source);
	buffer_free(&file);
	stack_spec_free(&spec);
	free(data);
}

static void test_options_reach_the_decoder(void **state ATTR_UNUSED)
{
	static const struct {
		const char *spec, *in, *out;
		int error;
	} rows[] = {
		{ "dot", "a\r\n.\r\n", "a\r\n", 0 },
		{ "dot:extra_crlf=yes", "a\r\n.\r\n", "a", 0 },
		{ "dot:loose=yes", "a\n.\n", "a\n", 0 },
		{ "dot:loose=no", "a\n.\n", "a\n.\n", EPIPE },
	};
	const struct stream_context context = { .base_dir = test_dir() };
	buffer_t *out = buffer_create_dynamic(default_pool, 64);
	struct stack_spec *spec;
	size_t i;

	for (i = 0; i < N_ELEMENTS(rows); i++) {
		spec = test_stack_parse(rows[i].spec);
		assert_int_equal(read_through(spec, &context, rows[i].in,
					      strlen(rows[i].in), out),
				 rows[i].error);
		assert_string_equal(buffer_c_str(out), rows[i].out);
		stack_spec_free(&spec);
	}
	buffer_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_is_undone),
		cmocka_unit_test(test_stacks_are_undone),
		cmocka_unit_test(test_own_end),
		cmocka_unit_test(test_what_is_no_file_stays),
		cmocka_unit_test(test_missing_keys),
		cmocka_unit_test(test_no_context),
		cmocka_unit_test(test_keys_are_loaded_once),
		cmocka_unit_test(test_take_recipients),
		cmocka_unit_test(test_nothing_follows_the_end),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_threads_of_a_reader),
		cmocka_unit_test(test_options_reach_the_decoder),
	};

	return cmocka_run_group_tests_name("stack-streams", tests, setup,
					   test_keys_teardown);
}
